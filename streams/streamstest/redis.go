// Package streamstest starts a real redis-server for a test: a fake one agrees with whatever we believe.
// It knows nothing of queues, so that the tests of streams itself can use it.
package streamstest

import (
	"context"
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
	proc *Process
}

// Redis starts redis-server on a unix socket in a folder of its own and kills it when the test ends. args are added to
// its command line and win, as in Redis(t, "--appendfsync", "no").
func Redis(t testing.TB, args ...string) *Server {
	t.Helper()
	p, err := Start(args...)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, proc: p, Addr: p.Addr, Client: Dial(p.Addr)}
	t.Cleanup(func() {
		s.Client.Close()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
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
func (s *Server) Dir() string { return s.proc.Dir }

// Kill ends it with SIGKILL and waits; what it answered must be there after Restart.
func (s *Server) Kill() { s.proc.Kill() }

// Stop freezes it with SIGSTOP: connections stay open and nothing answers. Cont wakes it.
func (s *Server) Stop() { s.t.Helper(); s.must(s.proc.Signal(syscall.SIGSTOP)) }

// Cont wakes it after Stop.
func (s *Server) Cont() { s.t.Helper(); s.must(s.proc.Signal(syscall.SIGCONT)) }

// Restart kills it if it runs, starts it again in the same folder and waits until it has loaded its data.
func (s *Server) Restart() { s.t.Helper(); s.must(s.proc.Restart()) }

// Flush removes every key, as an operator's FLUSHALL would.
func (s *Server) Flush() { s.t.Helper(); s.must(s.Client.FlushAll(context.Background()).Err()) }

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
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
