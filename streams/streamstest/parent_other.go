//go:build !linux

package streamstest

import "syscall"

// dieWithParent can only keep a terminal's Ctrl-C from the server here; Redis's cleanup ends it.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
