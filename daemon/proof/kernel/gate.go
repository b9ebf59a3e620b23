//go:build linux

// Package kernel stands between a process and the kernel: every call by which the process changes or opens a file below
// one folder is held until the proof has said what becomes of it: it is done, fails, is done in part, or the process is
// killed instead. Calls are counted over all threads, so that a proof can take one after the other and leave none out.
//
// It rests on seccomp's user notification (Linux 5.19 or newer), which takes neither root nor ptrace. The process starts
// as this program's own image, which sets up the filter and becomes the process: Child must come first in main.
package kernel

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Call is one call that is held.
type Call struct {
	N    int    // 1 is the first since Each was set
	Name string // "fdatasync"
	Path string // below the folder
}

func (c Call) String() string { return fmt.Sprintf("%s %s (call %d)", c.Name, c.Path, c.N) }

// Writes tells whether the call can be done in part.
func (c Call) Writes() bool { return c.Name == "write" || c.Name == "pwrite64" }

// Answer is what becomes of a call. The zero Answer lets the kernel do it.
type Answer struct {
	Kill  bool       // the process ends before it is done
	Errno unix.Errno // it is not done and fails so
	Part  bool       // half of the bytes are written, and the caller is told
}

// Gate holds the calls of processes that were started with Args and Env.
type Gate struct {
	Dir string // which files

	listener *net.UnixListener
	socket   string
	serving  sync.WaitGroup

	mu     sync.Mutex
	each   func(Call) Answer
	count  int
	faults []error
}

// New makes a gate for the files below dir. Its socket lies in run.
func New(dir, run string) (*Gate, error) {
	g := &Gate{Dir: dir, socket: filepath.Join(run, "gate.sock")}
	var err error
	if g.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: g.socket, Net: "unix"}); err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	g.serving.Go(g.accept)
	return g, nil
}

// Args is a wrapper: what to run the process with.
func (g *Gate) Args() []string { return []string{"/proc/self/exe"} }

const socketVar = "LEADSTREAM_PROOF_GATE"

// Env is what the process that Args starts needs in its environment.
func (g *Gate) Env() string { return socketVar + "=" + g.socket }

// Each sets what is asked for every call from now on, one after the other, and begins to count; nil lets all be done.
func (g *Gate) Each(f func(Call) Answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.each, g.count = f, 0
}

// Close ends the gate. The processes behind it must have ended: they could not write any more.
func (g *Gate) Close() error {
	err := g.listener.Close()
	g.serving.Wait()
	os.Remove(g.socket)
	return errors.Join(append(g.faults, err)...)
}

func (g *Gate) accept() {
	for {
		c, err := g.listener.AcceptUnix()
		if err != nil {
			return
		}
		fd, pid, err := receive(c)
		c.Close()
		if err != nil {
			g.fault(err)
			continue
		}
		g.serving.Go(func() { g.fault((&held{gate: g, fd: fd, pid: pid}).serve()) })
	}
}

func (g *Gate) fault(err error) {
	if err != nil {
		g.mu.Lock()
		g.faults = append(g.faults, fmt.Errorf("gate: %w", err))
		g.mu.Unlock()
	}
}

// ask is false when nobody asks, or the file lies elsewhere.
func (g *Gate) ask(name, path string) (Call, Answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	rel, below := strings.CutPrefix(path, g.Dir+"/")
	if g.each == nil || !below {
		return Call{}, Answer{}
	}
	g.count++
	c := Call{N: g.count, Name: name, Path: rel}
	return c, g.each(c)
}
