//go:build linux

// Package wallclock gives a process a wall clock of its own, which can be set while it runs, as an operator or a time
// server sets that of a machine: CLOCK_REALTIME steps, and CLOCK_MONOTONIC goes on. The program is the one that people
// run: what is changed is the kernel's code in its memory (the vDSO) by which it reads the time without a system call.
// Only amd64 is known here.
package wallclock

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Clock is that of one process.
type Clock struct {
	pid int
	at  int64 // where it finds by how much it is off, in seconds
}

// code is clock_gettime as a system call, to which CLOCK_REALTIME adds the eight bytes behind the code.
var code = []byte{
	0xb8, 228, 0, 0, 0, // mov $228, %eax
	0x0f, 0x05, // syscall
	0x85, 0xff, // test %edi, %edi: 0 is CLOCK_REALTIME
	0x75, 0x0a, // jne to the end
	0x48, 0x8b, 0x0d, 6, 0, 0, 0, // mov 6(%rip), %rcx
	0x48, 0x01, 0x0e, // add %rcx, (%rsi)
	0xc3,       // ret
	0x90, 0x90, // so that the bytes behind are aligned, and set at once
}

// Traced is what a process that is to have a clock of its own is started with; it ends with whoever starts it.
func Traced() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
}

// Take gives the process pid its clock, off by so much. The process was started Traced by this thread, which is
// locked, has not been waited for, and goes on when Take returns.
func Take(pid int, off time.Duration) (*Clock, error) {
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("clock of a process: not made for %s", runtime.GOARCH)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || !status.Stopped() {
		return nil, errors.Join(fmt.Errorf("clock of process %d: it does not wait (%v)", pid, status), err)
	}
	c := &Clock{pid: pid}
	err := c.place()
	if err == nil {
		err = c.Set(off)
	}
	if err := errors.Join(err, syscall.PtraceDetach(pid)); err != nil {
		return nil, fmt.Errorf("clock of process %d: %w", pid, err)
	}
	return c, nil
}

// Set sets the clock to be off by so much, in whole seconds. A process that has ended has no clock.
func (c *Clock) Set(off time.Duration) error {
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", c.pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	_, err = mem.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(int64(off/time.Second))), c.at)
	return err
}

// place puts our code where the process looks for the time.
func (c *Clock) place() error {
	low, high, err := c.vdso()
	if err != nil {
		return err
	}
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", c.pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	image := make([]byte, high-low)
	if _, err := mem.ReadAt(image, low); err != nil {
		return err
	}
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return err
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return err
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" && s.Size >= uint64(len(code)+8) {
			c.at = low + int64(s.Value) + int64(len(code))
			_, err := mem.WriteAt(append(bytes.Clone(code), make([]byte, 8)...), low+int64(s.Value))
			return err
		}
	}
	return errors.New("its vDSO has no clock_gettime, or a short one")
}

// vdso is where it lies in the process.
func (c *Clock) vdso() (low, high int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", c.pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			_, err := fmt.Sscanf(line, "%x-%x", &low, &high)
			return low, high, err
		}
	}
	return 0, 0, errors.New("it has no vDSO")
}
