//go:build linux

package proof

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestWorld(t *testing.T) {
	ctx := t.Context()
	binary, err := Build(ctx, t.TempDir(), "torture")
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWorld(Setup{Binary: binary, Cards: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(w.Dir); !os.IsNotExist(err) {
			t.Errorf("the folder is still there: %v", err)
		}
	}()
	if err := w.Start(ctx); err != nil {
		t.Fatal(err)
	}
	l := NewLedger(w)
	if l.File, err = os.Create(w.Dir + "/ledger"); err != nil {
		t.Fatal(err)
	}
	defer l.File.Close()
	play, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	ended := make(chan struct{})
	go func() { l.Play(play, Schedule{PerSecond: 100, Again: 0.5}); close(ended) }()
	time.Sleep(400 * time.Millisecond)
	if l.InFlight() == 0 {
		t.Error("nothing in flight under load")
	}
	w.Kill()
	if err := w.Start(ctx); err != nil {
		t.Fatal(err)
	}
	<-ended
	if n := l.Resend(ctx); n > 0 {
		t.Errorf("%d requests are not taken", n)
	}
	v, err := l.Verify(ctx)
	if err != nil || v.Err() != nil {
		t.Fatal(err, v.Err())
	}
	if v.Accepted < 50 || v.Delivered != v.Accepted {
		t.Errorf("accepted %d, delivered %d", v.Accepted, v.Delivered)
	}
	if b, _ := os.ReadFile(l.File.Name()); len(b) < 10000 {
		t.Errorf("a ledger of %d bytes", len(b))
	}

	// A failpoint ends the process by itself, and the harness sees how.
	if code, _, err := w.Terminate(); code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	if err := w.Launch("LEADSTREAM_FAILPOINT=no.such.point"); err != nil {
		t.Fatal(err)
	}
	if err := w.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := w.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if end, err := w.Wait(10 * time.Second); err != nil || end.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("ended with %v, %v", end, err)
	}
}
