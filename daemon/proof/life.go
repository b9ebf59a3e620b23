//go:build linux

package proof

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"leadstream/daemon/proof/wallclock"
)

// life is the daemon's process, if there is one.
type life struct {
	proc *os.Process
	gone chan struct{} // closed once proc has ended; end is set then
	end  *os.ProcessState

	off   time.Duration // by which its wall clock is wrong, where it has one of its own
	clock *wallclock.Clock
}

// Patience is how long whatever must happen may take: tests share their machine.
const Patience = time.Minute

// Start runs the daemon, with env added for this life alone, and waits until it is ready to take leads.
func (w *World) Start(ctx context.Context, env ...string) error {
	if err := w.Launch(env...); err != nil {
		return err
	}
	return w.Ready(ctx)
}

// Ready waits until the daemon takes leads. A daemon that ends meanwhile is an error.
func (w *World) Ready(ctx context.Context) error {
	var early error
	err := Eventually(ctx, "the daemon is ready", func() bool {
		select {
		case <-w.gone:
			early = fmt.Errorf("the daemon has ended (%v):\n%s", w.end, w.Tail())
			return true
		default:
		}
		res, err := w.HTTP.Get(w.URL("/readyz"))
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return errors.Join(early, err)
}

// Launch runs the daemon, with env added for this life alone. It ends with this process.
func (w *World) Launch(env ...string) error {
	args := append(append([]string{}, w.Args...), w.Binary, "serve", "--config", w.Config)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(append(os.Environ(), w.Env...), env...)
	cmd.Stderr, cmd.Stdout = w.log, w.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if w.Clock {
		cmd.SysProcAttr = wallclock.Traced()
	}
	if w.Held != nil {
		cmd.ExtraFiles = []*os.File{w.Held} // fd 3; sh knows its own pid, which exec keeps
		cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=public exec "$@"`, "sh"}, args...)
		cmd.Path = "/bin/sh"
	}
	started, gone := make(chan error), make(chan struct{})
	go func() {
		// The kernel ties Pdeathsig to the thread that started it, so that thread must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil && w.Clock {
			if w.clock, err = wallclock.Take(cmd.Process.Pid, w.off); err != nil {
				err = errors.Join(err, cmd.Process.Kill(), cmd.Wait())
			}
		}
		started <- err
		if err == nil {
			_ = cmd.Wait()
			w.end = cmd.ProcessState
		}
		close(gone)
	}()
	if err := <-started; err != nil {
		return err
	}
	w.proc, w.gone = cmd.Process, gone
	return nil
}

// Gone is closed when the daemon of this life has ended. Launch comes first.
func (w *World) Gone() <-chan struct{} { return w.gone }

// PID is the daemon's process, 0 between its lives.
func (w *World) PID() int {
	if w.proc == nil {
		return 0
	}
	return w.proc.Pid
}

// Kill ends the daemon at once, as the kernel's out of memory killer would. One that has ended already is left alone.
func (w *World) Kill() {
	if w.proc == nil {
		return
	}
	_ = w.proc.Signal(syscall.SIGKILL) // it may have ended
	<-w.gone
	w.proc = nil
}

// SetClock sets the daemon's wall clock to be wrong by so much, now and in its next lives.
func (w *World) SetClock(off time.Duration) error {
	w.off = off
	if w.proc == nil {
		return nil
	}
	return w.clock.Set(off)
}

// Signal sends the daemon a signal.
func (w *World) Signal(s os.Signal) error {
	if w.proc == nil {
		return errors.New("the daemon is not running")
	}
	return w.proc.Signal(s)
}

// Terminate asks the daemon to stop and answers its exit code and how long that took.
func (w *World) Terminate() (code int, took time.Duration, err error) {
	began := time.Now()
	if err := w.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, 0, err
	}
	end, err := w.Wait(Patience)
	if err != nil {
		return 0, time.Since(began), err
	}
	return end.ExitCode(), time.Since(began), nil
}

// Wait waits until the daemon has ended by itself, and answers how.
func (w *World) Wait(most time.Duration) (*os.ProcessState, error) {
	select {
	case <-w.gone:
	case <-time.After(most):
		return nil, fmt.Errorf("the daemon still runs after %s:\n%s", most, w.Tail())
	}
	w.proc = nil
	return w.end, nil
}

// RedisPID is the embedded redis-server's process, 0 when there is none. The number in the file is believed only when
// that process works in our folder.
func (w *World) RedisPID() int {
	dir := filepath.Join(w.Data, "redis")
	b, _ := os.ReadFile(filepath.Join(dir, "redis.pid"))
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err != nil || cwd != dir {
		return 0
	}
	return pid
}

// KillRedis ends the embedded redis-server at once.
func (w *World) KillRedis() { w.SignalRedis(syscall.SIGKILL) }

// SignalRedis sends the embedded redis-server a signal, if there is one.
func (w *World) SignalRedis(s syscall.Signal) {
	if pid := w.RedisPID(); pid != 0 {
		_ = syscall.Kill(pid, s) // it may have ended meanwhile
	}
}

// clean leaves no process running, not even a redis-server that has just been started and has not written its number yet.
func (w *World) clean() error {
	w.Kill()
	for n := 0; ; n++ {
		pids := worksIn(filepath.Join(w.Data, "redis"))
		if len(pids) == 0 {
			return nil
		}
		if n == 500 {
			return fmt.Errorf("redis-server %d does not end", pids[0])
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended meanwhile
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// worksIn are the processes whose working folder is dir.
func worksIn(dir string) (pids []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd") // its pattern is good
	for _, link := range links {
		if cwd, err := os.Readlink(link); err == nil && cwd == dir {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// Eventually is an error unless ok becomes true in good time.
func Eventually(ctx context.Context, what string, ok func() bool) error {
	for deadline := time.Now().Add(Patience); !ok(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("waited in vain: %s", what)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-time.After(3 * time.Millisecond):
		}
	}
	return nil
}
