//go:build linux

package power

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"leadstream/daemon/proof"
)

// Losses are the power cuts to be had.
type Losses struct {
	Binary    string
	Cuts      int
	Each      int      // after how many cuts all must come to an end and be checked, and a new world begins; 0: 20
	PerSecond float64  // leads; 0: 80
	Env       []string // of the daemon
	GoOn      bool     // count what does not hold, and go on: with a daemon that is known to lose, which may answer a moment longer
	Progress  func(done int)
}

// Row is what became of them.
type Row struct {
	Cuts     int
	InFlight int           // requests without an answer, and accepted leads that were not yet delivered, at the moments of the cuts
	Idle     int           // cuts at which there was none
	Restart  time.Duration // from the power to a daemon that is ready, in all
	Verdict  proof.Verdict
}

// Run has them. The error is the first time that something did not hold.
func (l Losses) Run(ctx context.Context) (row Row, err error) {
	l.Each = cmp.Or(l.Each, 20)
	l.PerSecond = cmp.Or(l.PerSecond, 80)
	for row.Cuts < l.Cuts && ctx.Err() == nil {
		if err := l.world(ctx, min(l.Each, l.Cuts-row.Cuts), &row); err != nil {
			return row, fmt.Errorf("before power cut %d: %w", row.Cuts+1, err)
		}
	}
	return row, ctx.Err()
}

// scene is a world on a disk of its own; the senders, the portal and the phone have theirs elsewhere.
type scene struct {
	*proof.World
	ledger *proof.Ledger
	disk   *disk
	cuts   []time.Time // when the power went
}

func (l Losses) world(ctx context.Context, cuts int, row *Row) (err error) {
	d, err := newDisk()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	w, err := proof.NewWorld(proof.Setup{Binary: l.Binary, Cards: true, DataDir: filepath.Join(d.dir, "data"), Env: l.Env})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	s := &scene{World: w, ledger: proof.NewLedger(w), disk: d}
	if err := w.Start(ctx); err != nil {
		return err
	}
	play, stop := context.WithCancel(ctx)
	defer stop()
	var senders sync.WaitGroup
	senders.Go(func() { s.ledger.Play(play, proof.Schedule{PerSecond: l.PerSecond, Again: 0.3}) })
	defer senders.Wait()
	defer stop()
	for range cuts {
		if err := l.cut(ctx, s, row); err != nil {
			return fmt.Errorf("%w\n%s", err, w.Tail())
		}
		if l.Progress != nil {
			l.Progress(row.Cuts)
		}
	}
	stop()
	senders.Wait()
	return s.verify(ctx, l.GoOn, row)
}

// verify lets the senders repeat what they were not told is taken, and checks everything.
func (s *scene) verify(ctx context.Context, goOn bool, row *Row) error {
	if left := s.ledger.Resend(ctx); left > 0 {
		return fmt.Errorf("%d requests are not taken after a restart\n%s", left, s.Tail())
	}
	v, err := s.ledger.Verify(ctx)
	row.Verdict.Add(v)
	if goOn {
		return err
	}
	if err == nil && !v.OK() {
		err = s.keep(v)
	}
	return errors.Join(err, v.Err())
}

// keep saves what is known of a broken promise, for whoever looks for the cause: what was sent, when the power went, and
// the journal.
func (s *scene) keep(v proof.Verdict) error {
	dir, err := os.MkdirTemp("", "torture-broken-")
	if err != nil {
		return err
	}
	known, err := json.MarshalIndent(map[string]any{"sent": s.ledger.All(), "cuts": s.cuts, "faults": v.Faults}, "", " ")
	err = errors.Join(err, os.WriteFile(filepath.Join(dir, "known.json"), known, 0o600))
	err = errors.Join(err, os.CopyFS(filepath.Join(dir, "journal"), os.DirFS(filepath.Join(s.Data, "journal"))))
	return errors.Join(err, fmt.Errorf("kept in %s", dir))
}

// cut takes the power while leads are on their way, some of them just being accepted, and gives it back.
func (l Losses) cut(ctx context.Context, s *scene, row *Row) error {
	wait(ctx, 20*time.Millisecond+rand.N(200*time.Millisecond))
	var burst sync.WaitGroup
	burst.Go(func() { s.ledger.Burst(ctx, 8, 8) })
	defer burst.Wait()
	wait(ctx, rand.N(4*time.Millisecond))
	if !l.GoOn {
		s.still() // a machine without power answers nobody: a sync that the kernel fails to fail is no ground for a 2xx then
	}
	s.cuts = append(s.cuts, time.Now())
	if err := s.disk.forget(); err != nil {
		return err
	}
	flying := s.ledger.InFlight()
	row.InFlight += flying
	if flying == 0 {
		row.Idle++
	}
	s.Kill()
	if err := s.disk.again(); err != nil {
		return err
	}
	row.Cuts++
	began := time.Now()
	err := s.Start(ctx)
	row.Restart += time.Since(began)
	return err
}

// still stops the daemon and its Redis where they are, and returns once none of their threads can do anything more: a
// thread that waits for the disk stops before it hears of it.
func (s *scene) still() {
	_ = s.Signal(syscall.SIGSTOP) // it runs: nothing else ends it
	redis := s.RedisPID()
	s.SignalRedis(syscall.SIGSTOP)
	for n := 0; n < 1000 && !(stands(s.PID()) && stands(redis)); n++ {
		time.Sleep(200 * time.Microsecond)
	}
}

// stands says that every thread of a process is stopped, or in a call that cannot return without stopping.
func stands(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, file := range threads {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if at := bytes.LastIndexByte(b, ')'); at < 0 || len(b) < at+3 || !bytes.ContainsRune([]byte("TtD"), rune(b[at+2])) {
			return false
		}
	}
	return true
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
