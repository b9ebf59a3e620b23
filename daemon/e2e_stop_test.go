//go:build linux

package main

import (
	"errors"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"leadstream/daemon/proof"
	"leadstream/sinks/sim/fault"
)

// strangers is a client that opens a connection for each request: a request on an idle connection that the server
// happens to close is nobody's fault, and no sender can tell it from a lost answer.
func strangers() *http.Client {
	return &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
}

func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{})
	i.HTTP = strangers()
	i.CRM.Inject(fault.Fault{Delay: 200 * time.Millisecond})
	l := i.ledger()
	stop := l.load(100)
	for range 4 {
		pause(200*time.Millisecond, 700*time.Millisecond)
		flying := l.InFlight()
		code, took := i.terminate()
		t.Logf("%d in flight, stopped within %s", flying, took)
		if code != 0 || took > 25*time.Second {
			t.Errorf("exit code %d after %s, want 0 within 25 s", code, took)
		}
		if i.RedisPID() != 0 {
			t.Error("the stopped daemon has left its redis-server behind")
		}
		i.start()
	}
	stop()
	i.CRM.Clear()
	l.settled()
	// The kernel resets connections that nobody has accepted when their listener closes: on a busy machine a few senders
	// see that, and repeat. Whoever was accepted has got an answer. Only a held socket spares them all, below.
	for _, r := range l.With(proof.Unknown) {
		if !errors.Is(r.Err, syscall.ECONNRESET) {
			t.Errorf("a request that was sent has got no answer: %v", r.Err)
		}
	}
	for _, r := range l.With(proof.Rejected) {
		if r.Status != 0 {
			t.Errorf("answered %d in a stop: %v", r.Status, r.Err)
		}
	}
	t.Logf("acked %d, not connected %d, not accepted %d", len(l.With(proof.Acked)), len(l.With(proof.Rejected)), len(l.With(proof.Unknown)))
}

// What systemd does: it holds the socket, so that over a restart nobody is refused, only kept waiting.
func TestHeldSocketRefusesNobody(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	held, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	i := newInstance(t, proof.Setup{Held: held})
	i.HTTP = strangers()
	l := i.ledger()
	stop := l.load(100)
	for n := range 4 {
		pause(200*time.Millisecond, 600*time.Millisecond)
		if n == 3 {
			i.Kill()
		} else if code, _ := i.terminate(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		before := len(l.With(proof.Unknown))
		if n < 3 && before > 0 {
			t.Errorf("%d requests without an answer after a stop", before)
		}
		pause(0, 100*time.Millisecond)
		i.start()
	}
	stop()
	l.settled()
	for _, r := range l.With(proof.Rejected) {
		t.Errorf("refused: %v", r.Err)
	}
	if n := len(l.With(proof.Acked)); n < 150 {
		t.Errorf("%d leads acked: nothing was tested", n)
	}
}

// A stop may come while the embedded Redis is still starting.
func TestStopRightAfterTheStart(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{})
	for n := range 6 {
		if code, _ := i.terminate(); code != 0 || i.RedisPID() != 0 {
			t.Errorf("stop %d: exit code %d, redis-server %d; want 0 and none", n+1, code, i.RedisPID())
		}
		i.start()
		time.Sleep(time.Duration(n) * 10 * time.Millisecond)
	}
}
