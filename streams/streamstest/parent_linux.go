package streamstest

import "syscall"

// dieWithParent leaves no server behind when the test binary itself is killed.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
