package poll

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/daemon/intake"
	"leadstream/streams"
	"leadstream/streams/journal"
)

// world is a service, and a shim with a real journal, over all the lives of the program.
type world struct {
	t       *testing.T
	dir     string
	sources map[string]intake.Source

	fail    func(when string) error // at "before" and "after" the journal; nil: none
	mu      sync.Mutex
	kept    int // calls of Keep that were answered with nil
	reg     *prometheus.Registry
	custody *streams.Custody

	server *httptest.Server // the shim's address, over all lives; while there is none, nobody answers
	shim   atomic.Pointer[intake.Handler]
}

func newWorld(t *testing.T, sources map[string]intake.Source) *world {
	w := &world{t: t, dir: t.TempDir(), sources: sources}
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if h := w.shim.Load(); h != nil {
			h.ServeHTTP(rw, r)
			return
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(w.server.Close)
	return w
}

// taker is custody as the shim sees it.
type taker struct{ custody *streams.Custody }

func (k taker) Take(ctx context.Context, one intake.Taken) (intake.Receipt, error) {
	all, err := k.TakeAll(ctx, []intake.Taken{one})
	if err != nil {
		return intake.Receipt{}, err
	}
	return all[0], nil
}

func (k taker) TakeAll(ctx context.Context, all []intake.Taken) ([]intake.Receipt, error) {
	taken := make([]streams.Taken, len(all))
	for i, a := range all {
		taken[i] = streams.Taken(a)
	}
	rs, err := k.custody.TakeAll(ctx, taken)
	if errors.Is(err, journal.ErrTooLarge) {
		err = intake.ErrTooLarge
	}
	receipts := make([]intake.Receipt, len(rs))
	for i, r := range rs {
		receipts[i] = intake.Receipt{LeadID: r.LeadID, Status: intake.Accepted, Conflict: r.Conflict}
		if r.Duplicate {
			receipts[i].Status = intake.Duplicate
		}
	}
	return receipts, err
}

func (k taker) Quarantine(_ context.Context, q intake.Quarantined) error {
	return k.custody.Quarantine(streams.Quarantined{Source: q.Source, Reason: q.Code, At: q.ReceivedAt, Raw: q.Raw})
}

// live runs the channels on the world's journal until stop is called.
func (w *world) live() (stop func()) {
	w.t.Helper()
	w.reg = prometheus.NewRegistry()
	w.custody = &streams.Custody{Instance: "a", Partitions: 1, Retention: 7 * 24 * time.Hour, Log: zerolog.Nop()}
	if err := w.custody.Open(journal.Options{Dir: filepath.Join(w.dir, "journal"), Log: zerolog.Nop()}); err != nil {
		w.t.Fatal(err)
	}
	c := intake.Defaults()
	c.Sources = w.sources
	shim, err := intake.New(c, taker{w.custody}, w.reg, zerolog.Nop())
	if err != nil {
		w.t.Fatal(err)
	}
	keep := func(ctx context.Context, source string, events [][]byte) error {
		if w.fail != nil {
			if err := w.fail("before"); err != nil {
				return err
			}
		}
		if err := shim.Told(ctx, source, events); err != nil {
			return err
		}
		if w.fail != nil {
			if err := w.fail("after"); err != nil {
				return err
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.kept++
		return nil
	}
	channels, err := New(Options{Sources: w.sources, Keep: keep, Dir: filepath.Join(w.dir, "channels"), Reg: w.reg, Log: zerolog.New(zerolog.NewTestWriter(w.t)), hurry: 50})
	if err != nil {
		w.t.Fatal(err)
	}
	shim.Heard = channels.Heard
	w.shim.Store(shim)
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- channels.Run(ctx) }()
	return func() {
		w.t.Helper()
		w.shim.Store(nil)
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				w.t.Error(err)
			}
		case <-time.After(10 * time.Second):
			w.t.Fatal("the channels do not stop")
		}
		if err := w.custody.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

// leads is how many different leads the journal has.
func (w *world) leads() int { return int(w.custody.Tally().Open) }

func (w *world) quarantined() int { return int(w.custody.Tally().Counts.Quarantined) }

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("in vain: %s", what)
		}
	}
}

// why is the reason that the metric shows; empty: the channel is up.
func (w *world) why(source string) string {
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "leadstream_channel_down" && m.GetGauge().GetValue() > 0 && m.GetLabel()[0].GetValue() == source {
				return m.GetLabel()[1].GetValue()
			}
		}
	}
	return ""
}
