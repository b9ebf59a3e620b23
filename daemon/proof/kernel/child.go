//go:build linux

package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Child is the beginning of a process behind a gate. It returns at once in every other; there it does not return.
func Child() {
	socket := os.Getenv(socketVar)
	if socket == "" {
		return
	}
	err := become(socket, os.Args[1:])
	fmt.Fprintln(os.Stderr, "gate:", err)
	os.Exit(1)
}

// become makes this thread's calls subject to the gate, and this process another program.
func become(socket string, args []string) error {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	f, err := c.File()
	if err != nil {
		return err
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	if err := os.Unsetenv(socketVar); err != nil {
		return err
	}
	env := os.Environ()
	runtime.LockOSThread() // the filter is this thread's, and goes with it into the new program
	notices, err := filter()
	if err != nil {
		return err
	}
	pid := binary.NativeEndian.AppendUint32(nil, uint32(os.Getpid()))
	if err := unix.Sendmsg(int(f.Fd()), pid, unix.UnixRights(notices), nil, 0); err != nil {
		return fmt.Errorf("sending the notices: %w", err)
	}
	return syscall.Exec(path, args, env) // all descriptors close on exec
}

// receive gets what become sends.
func receive(c *net.UnixConn) (fd, pid int, err error) {
	b, rights := make([]byte, 4), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := c.ReadMsgUnix(b, rights)
	if err != nil {
		return 0, 0, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return 0, 0, errors.Join(errors.New("no notices came"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return 0, 0, errors.Join(errors.New("no notices came"), err)
	}
	return fds[0], int(binary.NativeEndian.Uint32(b)), nil
}

var arches = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// filter tells the kernel which calls of this thread to give notice of, and answers where the notices come.
func filter() (notices int, err error) {
	arch, known := arches[runtime.GOARCH]
	if !known {
		return 0, fmt.Errorf("not made for %s", runtime.GOARCH)
	}
	const load, equal, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	code := []unix.SockFilter{
		{Code: load, K: 4}, // arch
		{Code: equal, K: arch, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		{Code: load, K: 0}, // number
	}
	left := uint8(len(calls))
	for nr := range calls {
		code = append(code, unix.SockFilter{Code: equal, K: uint32(nr), Jt: left})
		left--
	}
	code = append(code, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW}, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_USER_NOTIF})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("no new privileges: %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return 0, fmt.Errorf("this kernel gives no notice of calls: %w", errno)
	}
	return int(fd), nil
}

// Available is nil where a gate can stand, or says what this machine lacks.
func Available(run string) error {
	g, err := New(run, run)
	if err != nil {
		return err
	}
	cmd := exec.Command(g.Args()[0], "true")
	cmd.Env = append(os.Environ(), g.Env())
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return errors.Join(err, g.Close())
}
