//go:build linux

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// calls are those that are held, and where the file is among their arguments.
var calls = map[int32]struct {
	name string
	path int // the argument that points to a path, 0: the first argument is an open file
}{
	unix.SYS_WRITE:     {"write", 0},
	unix.SYS_PWRITE64:  {"pwrite64", 0},
	unix.SYS_FSYNC:     {"fsync", 0},
	unix.SYS_FDATASYNC: {"fdatasync", 0},
	unix.SYS_FTRUNCATE: {"ftruncate", 0},
	unix.SYS_FALLOCATE: {"fallocate", 0},
	unix.SYS_OPENAT:    {"openat", 1},
	unix.SYS_RENAMEAT:  {"renameat", 1},
	unix.SYS_UNLINKAT:  {"unlinkat", 1},
	unix.SYS_MKDIRAT:   {"mkdirat", 1},
}

// notice and reply are the kernel's struct seccomp_notif and seccomp_notif_resp.
type notice struct {
	id         uint64
	pid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type reply struct {
	id    uint64
	val   int64
	err   int32
	flags uint32
}

// held is one process, with its children.
type held struct {
	gate *Gate
	fd   int // of the kernel's notices
	pid  int
}

// serve answers every notice until no process is left that could make one.
func (h *held) serve() error {
	defer unix.Close(h.fd)
	for {
		p := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(p, -1); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil {
			return err
		}
		if p[0].Revents&unix.POLLIN == 0 {
			return nil
		}
		var n notice
		if err := control(h.fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINTR) {
			continue // it was killed meanwhile
		} else if err != nil {
			return err
		}
		r, err := h.reply(n)
		if err != nil {
			return err
		}
		if r == nil {
			continue
		}
		if err := control(h.fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(r)); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
}

// reply is what the kernel is to do with a call; nil when its process is no more.
func (h *held) reply(n notice) (*reply, error) {
	goOn := &reply{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	if _, err := os.Lstat(fmt.Sprintf("/proc/%d/task/%d", h.pid, n.pid)); err != nil {
		return goOn, nil // a child's
	}
	path, err := h.path(n)
	if err != nil {
		return goOn, nil // a bad pointer or descriptor is the kernel's to refuse
	}
	call, answer := h.gate.ask(calls[n.nr].name, path)
	switch {
	case answer.Kill:
		return nil, unix.Kill(h.pid, unix.SIGKILL)
	case answer.Errno != 0:
		return &reply{id: n.id, err: -int32(answer.Errno)}, nil
	case answer.Part && call.Writes():
		val, err := h.part(n)
		return &reply{id: n.id, val: val}, err
	}
	return goOn, nil
}

// path is the file that a call is about.
func (h *held) path(n notice) (string, error) {
	at := calls[n.nr].path
	if at == 0 {
		return os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", h.pid, int32(n.args[0])))
	}
	b := make([]byte, unix.PathMax)
	got, err := h.peek(n.args[at], b)
	if err != nil {
		return "", err
	}
	end := bytes.IndexByte(b[:got], 0)
	if end < 0 {
		return "", unix.ENAMETOOLONG
	}
	path := string(b[:end])
	if strings.HasPrefix(path, "/") {
		return path, nil
	}
	dir := fmt.Sprintf("/proc/%d/fd/%d", h.pid, int32(n.args[0]))
	if int32(n.args[0]) == unix.AT_FDCWD {
		dir = fmt.Sprintf("/proc/%d/cwd", h.pid)
	}
	dir, err = os.Readlink(dir)
	return filepath.Join(dir, path), err
}

// peek reads the process's memory, as far as there is any.
func (h *held) peek(at uint64, b []byte) (int, error) {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", h.pid))
	if err != nil {
		return 0, err
	}
	defer mem.Close()
	n, err := mem.ReadAt(b, int64(at))
	if n > 0 {
		err = nil
	}
	return n, err
}

// part writes half of the bytes for the process, to the very file that it has open.
func (h *held) part(n notice) (int64, error) {
	b := make([]byte, (n.args[2]+1)/2)
	if got, err := h.peek(n.args[1], b); err != nil || got < len(b) {
		return 0, fmt.Errorf("reading what is written: %d of %d bytes, %w", got, len(b), err)
	}
	process, err := unix.PidfdOpen(h.pid, 0)
	if err != nil {
		return 0, fmt.Errorf("pidfd_open: %w", err)
	}
	defer unix.Close(process)
	fd, err := unix.PidfdGetfd(process, int(int32(n.args[0])), 0)
	if err != nil {
		return 0, fmt.Errorf("pidfd_getfd: %w", err)
	}
	defer unix.Close(fd)
	var done int
	if n.nr == unix.SYS_PWRITE64 {
		done, err = unix.Pwrite(fd, b, int64(n.args[3]))
	} else {
		done, err = unix.Write(fd, b)
	}
	return int64(done), err
}

func control(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
