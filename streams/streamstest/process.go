package streamstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// Process is a redis-server in a folder of its own, for programs too. It ends with the process that started it.
type Process struct {
	Addr string // path of its unix socket
	Dir  string // holds its socket, its append-only file and its log

	args []string
	proc *os.Process
	gone chan struct{} // closed once proc has ended and was waited for
}

// Start starts a redis-server and waits until it answers. It is as safe as a lead queue wants it: appendonly, an fsync
// before each answer, no eviction. args are added to its command line and win.
func Start(args ...string) (*Process, error) {
	// Not a test's own folder: its path holds the test's name, and a socket's path must stay under about 100 bytes.
	dir, err := os.MkdirTemp("/tmp", "ls")
	if err != nil {
		return nil, err
	}
	p := &Process{Dir: dir, args: args, Addr: filepath.Join(dir, "s")}
	if err := p.start(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close kills it and removes its folder.
func (p *Process) Close() error {
	p.Kill()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := os.RemoveAll(p.Dir)
		// A child that was killed may still end the call in which it makes a file, and that one may wait for a busy disk.
		if !errors.Is(err, syscall.ENOTEMPTY) || time.Now().After(deadline) {
			return err
		}
	}
}

// Kill ends it with SIGKILL and waits. The child that rewrites its append-only file ends too: it would go on writing to
// the folder for as long as it has data.
func (p *Process) Kill() {
	if p.proc == nil {
		return
	}
	select {
	case <-p.gone: // by itself, and its number may be another's by now
	default:
		_ = syscall.Kill(-p.proc.Pid, syscall.SIGKILL) // it leads a group of its own; it may have ended
		<-p.gone
	}
	p.proc = nil
}

// Signal sends it a signal. One that has ended by itself is left alone.
func (p *Process) Signal(sig syscall.Signal) error {
	if p.proc == nil {
		return errors.New("redis-server is not running: Restart it first")
	}
	if err := p.proc.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Restart kills it if it runs, starts it again in the same folder and waits until it has loaded its data.
func (p *Process) Restart() error {
	p.Kill()
	return p.start()
}

func (p *Process) start() error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New("install redis-server: scripts/test does it")
	}
	cmd := exec.Command(path, append([]string{
		"--port", "0", "--unixsocket", p.Addr, "--unixsocketperm", "700", "--dir", p.Dir, "--logfile", "log",
		"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--save", "",
	}, p.args...)...)
	if p.proc, p.gone, err = run(cmd); err != nil {
		return err
	}
	return p.await()
}

// run starts cmd so that it ends with this process; the channel is closed once it has ended and was waited for.
func run(cmd *exec.Cmd) (*os.Process, chan struct{}, error) {
	cmd.SysProcAttr = dieWithParent()
	started := make(chan error)
	gone := make(chan struct{})
	go func() {
		// The kernel ties "dies with its parent" to the thread that started it, so that thread must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(gone)
	}()
	if err := <-started; err != nil {
		return nil, nil, err
	}
	return cmd.Process, gone, nil
}

// await returns once it answers PING; while it loads it says LOADING.
func (p *Process) await() error {
	c := Dial(p.Addr)
	defer c.Close()
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := c.Ping(context.Background()).Err()
		var answer redis.Error // NOAUTH is an answer too
		if err == nil || errors.As(err, &answer) && !strings.HasPrefix(err.Error(), "LOADING") {
			return nil
		}
		select {
		case <-p.gone:
			return fmt.Errorf("redis-server ended at once:\n%s", p.log())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("redis-server does not answer: %w\n%s", err, p.log())
		}
	}
}

func (p *Process) log() []byte {
	b, _ := os.ReadFile(filepath.Join(p.Dir, "log"))
	return b
}
