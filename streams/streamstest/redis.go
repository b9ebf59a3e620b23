// Package streamstest starts a real redis-server for a test: a fake one agrees with whatever we believe.
// It knows nothing of queues, so that the tests of streams itself can use it.
package streamstest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Server is a redis-server of one test's own. Its methods fail the test when they cannot do what they say.
type Server struct {
	Addr   string        // path of its unix socket
	Client *redis.Client // never resends a command, see design of the write client

	t    testing.TB
	dir  string
	args []string
	proc *os.Process
	gone chan struct{} // closed once proc has ended and was waited for
}

// Redis starts redis-server on a unix socket in a folder of its own and kills it when the test ends. It is as safe as
// a lead queue wants it: appendonly, an fsync before each answer, no eviction. args are added to its command line and
// win, as in Redis(t, "--appendfsync", "no").
func Redis(t testing.TB, args ...string) *Server {
	t.Helper()
	// t.TempDir's path holds the test's name, and a socket's path must stay under about 100 bytes.
	dir, err := os.MkdirTemp("/tmp", "ls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{t: t, dir: dir, args: args, Addr: filepath.Join(dir, "s")}
	s.Client = Dial(s.Addr)
	t.Cleanup(func() {
		s.Client.Close()
		s.Kill()
	})
	s.start()
	return s
}

// Dial opens a further client to a socket, for a test that wants a connection of its own; whoever calls closes it.
func Dial(socket string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Network: "unix", Addr: socket, MaxRetries: -1,
		DialTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// Dir is the folder that holds its socket, its append-only file and its log.
func (s *Server) Dir() string { return s.dir }

// Kill ends it with SIGKILL and waits; what it answered must be there after Restart.
func (s *Server) Kill() {
	s.t.Helper()
	if s.proc == nil {
		return
	}
	s.signal(syscall.SIGKILL)
	<-s.gone
	s.proc = nil
}

// Stop freezes it with SIGSTOP: connections stay open and nothing answers. Cont wakes it.
func (s *Server) Stop() { s.t.Helper(); s.signal(syscall.SIGSTOP) }

// Cont wakes it after Stop.
func (s *Server) Cont() { s.t.Helper(); s.signal(syscall.SIGCONT) }

// Restart kills it if it runs, starts it again in the same folder and waits until it has loaded its data.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.start()
}

// Flush removes every key, as an operator's FLUSHALL would.
func (s *Server) Flush() {
	s.t.Helper()
	if err := s.Client.FlushAll(context.Background()).Err(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.proc == nil {
		s.t.Fatal("redis-server is not running: Restart it first")
	}
	if err := s.proc.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatal(err)
	}
}

func (s *Server) start() {
	s.t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		s.t.Fatal("install redis-server: scripts/test does it")
	}
	cmd := exec.Command(path, append([]string{
		"--port", "0", "--unixsocket", s.Addr, "--unixsocketperm", "700", "--dir", s.dir, "--logfile", "log",
		"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--save", "",
	}, s.args...)...)
	s.proc, s.gone = run(s.t, cmd)
	s.await()
}

// run starts cmd so that it ends with the test's process; the channel is closed once it has ended and was waited for.
func run(t testing.TB, cmd *exec.Cmd) (*os.Process, chan struct{}) {
	t.Helper()
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
		t.Fatal(err)
	}
	return cmd.Process, gone
}

// await returns once it answers PING; while it loads it says LOADING.
func (s *Server) await() {
	s.t.Helper()
	c := Dial(s.Addr)
	defer c.Close()
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := c.Ping(context.Background()).Err()
		var answer redis.Error // NOAUTH is an answer too
		if err == nil || errors.As(err, &answer) && !strings.HasPrefix(err.Error(), "LOADING") {
			return
		}
		select {
		case <-s.gone:
			s.t.Fatalf("redis-server ended at once:\n%s", s.log())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("redis-server does not answer: %v\n%s", err, s.log())
		}
	}
}

// Eventually fails the test unless ok becomes true within 20 s, far more than anything it waits for needs.
func Eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited for 20 s in vain")
		}
	}
}

func (s *Server) log() []byte {
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return b
}
