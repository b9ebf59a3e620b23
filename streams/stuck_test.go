package streams_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"leadstream/streams"
	"leadstream/streams/streamstest"
)

// TestDrainsOutOfMemory: a Redis that is full of waiting leads is emptied by delivering them, also after a restart.
func TestDrainsOutOfMemory(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := streamstest.Redis(t)
	g := newRig(t, r, rigOptions{policy: streams.Policy{Attempts: 9, Base: 200 * time.Millisecond, Factor: 1, Max: time.Second}})
	g.crm.answer = func(int, *streams.Entry) streams.Verdict {
		return streams.Verdict{Result: streams.Wait, After: 200 * time.Millisecond}
	}
	g.run()
	ids := g.takeN2(0, 40)
	g.until("all wait", func() bool { return g.length("to:crm") == 40 })
	g.stop()
	r.Client.ConfigSet(ctx, "maxmemory", "1")
	g = newRig(t, r, rigOptions{dir: g.dir})
	g.crm.answer = func(n int, e *streams.Entry) streams.Verdict {
		if n == 1 && e.Lead.Message == "0 7" {
			return streams.Verdict{Result: streams.Retry}
		}
		return streams.Verdict{}
	}
	g.run()
	g.settled(ids)
	g.once(ids)
	g.until("queues are empty", func() bool { return g.backlog() == 0 })
}

// cutter passes bytes on to Redis and back, and cuts a connection instead of delivering an answer that cut chooses.
func cutter(t *testing.T, socket string, cut func(answer []byte) bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", socket)
			if err != nil {
				in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); out.Close() }()
			go func() {
				defer in.Close()
				defer out.Close()
				buf := make([]byte, 1<<20)
				for {
					n, err := out.Read(buf)
					if err != nil || cut(buf[:n]) {
						return
					}
					if _, err := in.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// TestAnswerLost: Redis has handed entries out, to a read and to a look for what is due, and its answer never came.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	r := streamstest.Redis(t)
	var cuts atomic.Int32
	addr := cutter(t, r.Addr, func(b []byte) bool {
		return bytes.Contains(b, []byte("checksum-mark")) && bytes.Contains(b, []byte("epoch")) && cuts.Add(1) <= 12 && cuts.Load()%3 == 0
	})
	g := newRig(t, r, rigOptions{url: "redis://" + addr, policy: streams.Policy{Attempts: 9, Base: 100 * time.Millisecond, Factor: 1, Max: time.Second}})
	g.crm.answer = func(n int, e *streams.Entry) streams.Verdict {
		if n == 1 {
			return streams.Verdict{Result: streams.Retry}
		}
		return streams.Verdict{}
	}
	g.run()
	var ids []string
	for i := range 30 {
		ids = append(ids, g.take(&streams.Lead{Phone: fmt.Sprintf("+7998000%04d", i), Message: "checksum-mark"})...)
	}
	g.settled(ids)
	g.once(ids)
	if cuts.Load() < 12 {
		t.Errorf("%d answers were seen, want 12 and more", cuts.Load())
	}
}

// TestLineAfterKill: some of a customer's leads were in hand when the daemon was killed, the others wait.
func TestLineAfterKill(t *testing.T) {
	t.Parallel()
	for name, inHand := range map[string][]int{"the first": {0}, "the first, and one just read": {0, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			r := streamstest.Redis(t)
			g := newRig(t, r, rigOptions{policy: streams.Policy{Attempts: 9, Base: time.Hour, Factor: 1, Max: time.Hour}})
			g.crm.answer = func(int, *streams.Entry) streams.Verdict { return streams.Verdict{Result: streams.Retry} }
			g.run()
			var ids []string
			for i := range 4 {
				ids = append(ids, g.take(&streams.Lead{Phone: "+79990000011", Message: fmt.Sprint(i)})...)
			}
			key := "ls:{0}:to:crm"
			g.until("all are parked", func() bool {
				p, err := r.Client.XPending(ctx, key, streams.Group).Result()
				return err == nil && p.Consumers["parked"] == 4
			})
			g.stop()
			entries := r.Client.XRange(ctx, key, "-", "+").Val()
			claim := &redis.XClaimArgs{Stream: key, Group: streams.Group, Consumer: "one"}
			for _, i := range inHand {
				claim.Messages = append(claim.Messages, entries[i].ID)
			}
			if err := r.Client.XClaim(ctx, claim).Err(); err != nil {
				t.Fatal(err)
			}
			g = newRig(t, r, rigOptions{dir: g.dir})
			g.run()
			g.settled(ids)
			if got := g.crm.ids(); !slices.Equal(got, ids) {
				t.Errorf("delivered in another order than accepted")
			}
		})
	}
}

// TestOrderThroughProcessors: a customer's first lead must be judged again, his second stands in the same batch.
func TestOrderThroughProcessors(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	tries := map[string]int{}
	g := newRig(t, streamstest.Redis(t), rigOptions{policy: streams.Policy{Attempts: 9, Base: 300 * time.Millisecond, Factor: 1, Max: time.Second},
		tagging: streams.HandlerFunc(func(_ context.Context, batch []*streams.Entry) []streams.Verdict {
			vs := make([]streams.Verdict, len(batch))
			mu.Lock()
			defer mu.Unlock()
			for i, e := range batch {
				tries[e.Lead.ID]++
				if e.Lead.Message == "0" && tries[e.Lead.ID] == 1 {
					vs[i] = streams.Verdict{Result: streams.Retry}
					continue
				}
				vs[i].Followers = []streams.Follower{{Queue: streams.Destined("crm"), Lead: e.Lead}}
			}
			return vs
		})})
	var ids []string
	for i := range 4 {
		ids = append(ids, g.take(&streams.Lead{Phone: "+79990000011", Message: fmt.Sprint(i)})...)
	}
	g.run()
	g.settled(ids)
	if got := g.crm.ids(); !slices.Equal(got, ids) {
		t.Errorf("delivered in another order than accepted")
	}
}

// TestUnsureSurvivesAnotherKill: an entry was in a lost daemon's hands; the one that took it over is killed while it
// sends. The next one must look, from the time of that second try on.
func TestUnsureSurvivesAnotherKill(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := streamstest.Redis(t)
	key := "ls:{0}:to:crm"
	g := newRig(t, r, rigOptions{policy: streams.Policy{Attempts: 9, Base: time.Hour, Factor: 1, Max: time.Hour}})
	g.crm.answer = func(int, *streams.Entry) streams.Verdict { return streams.Verdict{Result: streams.Retry} }
	g.run()
	ids := g.takeN2(0, 1)
	g.until("it is parked", func() bool {
		p, err := r.Client.XPending(ctx, key, streams.Group).Result()
		return err == nil && p.Consumers["parked"] == 1
	})
	g.stop()
	entry := r.Client.XRangeN(ctx, key, "-", "+", 1).Val()[0].ID
	if err := r.Client.XClaim(ctx, &redis.XClaimArgs{Stream: key, Group: streams.Group, Consumer: "lost", Messages: []string{entry}}).Err(); err != nil {
		t.Fatal(err)
	}
	g = newRig(t, r, rigOptions{dir: g.dir})
	sent := make(chan time.Time, 1)
	g.crm.answer = func(_ int, e *streams.Entry) streams.Verdict {
		if e.Unsure.IsZero() {
			t.Error("taken over from a lost daemon, and sure")
		}
		time.Sleep(50 * time.Millisecond)
		sent <- time.Now()
		runtime.Goexit() // as a kill would: nothing is noted, nothing settled
		return streams.Verdict{}
	}
	g.run()
	at := <-sent
	g.stop()
	g = newRig(t, r, rigOptions{dir: g.dir})
	g.crm.answer = func(_ int, e *streams.Entry) streams.Verdict {
		if e.Unsure.Before(at.Add(-100 * time.Millisecond)) {
			t.Errorf("unsure since %v, the last try was at %v", e.Unsure, at)
		}
		return streams.Verdict{}
	}
	g.run()
	g.settled(ids)
}

// TestTooLongFromAnotherProgram: what the journal cannot take goes to quarantine, and stops no lead beside it.
func TestTooLongFromAnotherProgram(t *testing.T) {
	t.Parallel()
	g := newRig(t, streamstest.Redis(t), rigOptions{})
	ids := g.takeN2(0, 10)
	for _, lead := range []string{`{"phone":"+79990000022","message":"` + strings.Repeat("a", 2<<20) + `"}`, strings.Repeat("{", 2<<20)} {
		if err := g.redis.Client.XAdd(context.Background(), &redis.XAddArgs{Stream: "ls:{0}:intake", Values: []string{"lead", lead}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	g.run()
	g.settled(ids)
	g.once(ids)
	g.until("both are in quarantine", func() bool { return g.custody.Tally().Counts.Quarantined == 2 && g.backlog() == 0 })
}
