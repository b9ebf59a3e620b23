//go:build linux

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"leadstream/daemon/proof"
	"leadstream/sinks/sim/portal"
	"leadstream/streams"
)

// The end to end tests drive the real binary in a proof.World; here is what ends a test where proof answers an error.

var built struct {
	sync.Once
	dir, path string
	err       error
}

// binary builds the command once for all tests.
func binary(t testing.TB) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("/tmp", "lsbin"); built.err == nil {
			built.path, built.err = proof.Build(t.Context(), built.dir)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// instance is one daemon with its data, over all its lives, and the world around it.
type instance struct {
	*proof.World
	t    testing.TB
	also *portal.Portal // a further one, which may get cards; nil: there is none
}

// newInstance makes the world and starts the daemon in it. Everything ends with the test.
func newInstance(t testing.TB, set proof.Setup) *instance {
	t.Helper()
	set.Binary = binary(t)
	w, err := proof.NewWorld(set)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log ends:\n%s", w.Tail())
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	i := &instance{World: w, t: t}
	i.start()
	return i
}

// must ends the test on an error.
func (i *instance) must(err error) {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
}

// start runs the daemon and waits until it is ready to take leads.
func (i *instance) start() {
	i.t.Helper()
	i.must(i.Start(i.t.Context()))
}

// terminate asks the daemon to stop and answers its exit code and how long that took.
func (i *instance) terminate() (code int, took time.Duration) {
	i.t.Helper()
	code, took, err := i.Terminate()
	i.must(err)
	return code, took
}

// eventually fails the test unless ok becomes true in good time.
func (i *instance) eventually(what string, ok func() bool) {
	i.t.Helper()
	i.must(proof.Eventually(i.t.Context(), what, ok))
}

// quiet waits until every lead has come to an end, and the ledger explains each.
func (i *instance) quiet() {
	i.t.Helper()
	i.must(i.Quiet(i.t.Context()))
	if s, _ := i.status(); s.Unexplained != 0 {
		i.t.Errorf("unexplained: %d, want 0", s.Unexplained)
	}
}

// run is a command that must work.
func (i *instance) run(args ...string) string {
	i.t.Helper()
	out, err := i.CLI(args...)
	i.must(err)
	return out
}

// pause stops deliveries, once Redis is there to note it.
func (i *instance) pause() {
	i.t.Helper()
	i.eventually("the destination is paused", func() bool { _, err := i.CLI("pause", "crm", "--reason", "moving house"); return err == nil })
}

// status is what `leadstream status --json` says; ok is false while the daemon does not answer.
func (i *instance) status() (s Status, ok bool) {
	out, err := i.CLI("status", "--json")
	if err != nil {
		return s, false
	}
	i.must(json.Unmarshal([]byte(out), &s))
	return s, true
}

// life is what a sender is told of its lead.
func (i *instance) life(id string) (l streams.Life) {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), http.MethodGet, i.URL("/v1/leads/"+id), nil)
	i.must(err)
	req.Header.Set("Authorization", "Bearer "+i.Key)
	res, err := i.HTTP.Do(req)
	i.must(err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		i.t.Errorf("GET /v1/leads/%s: %s", id, res.Status)
	}
	i.must(json.NewDecoder(res.Body).Decode(&l))
	return l
}

// events is what of a kind the portal did.
func (i *instance) events(kind string) []portal.Event {
	var found []portal.Event
	for _, e := range i.CRM.Ledger() {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// ledger is what the instance's senders know.
type ledger struct {
	*proof.Ledger
	i *instance
}

func (i *instance) ledger() *ledger { return &ledger{proof.NewLedger(i.World), i} }

// send posts a request, whatever becomes of it.
func (l *ledger) send(r *proof.Request) *proof.Request { return l.Send(l.i.t.Context(), r) }

// must posts a request, which must be taken.
func (l *ledger) must(r *proof.Request) *proof.Request {
	l.i.t.Helper()
	if l.send(r); r.Fate != proof.Acked {
		l.i.t.Fatalf("a lead is %s: %v", r.Fate, r.Err)
	}
	return r
}

// one sends a new customer's request, which must be taken.
func (l *ledger) one() *proof.Request {
	l.i.t.Helper()
	return l.must(l.Customer())
}

// says is a customer's further enquiry, under that key.
func (l *ledger) says(key, phone string) *proof.Request {
	r := l.Customer()
	return &proof.Request{Key: key, Phone: phone, Text: r.Text, Body: proof.Body(phone, r.Text)}
}

// repeat is the same request once more.
func repeat(r *proof.Request) *proof.Request {
	return &proof.Request{Key: r.Key, Phone: r.Phone, Text: r.Text, Body: r.Body}
}

// burst sends n new customers' requests from so many senders at once.
func (l *ledger) burst(n, senders int) { l.Burst(l.i.t.Context(), n, senders) }

// load sends so many new customers' requests a second, whatever becomes of them, until stop is called.
func (l *ledger) load(perSecond float64) (stop func()) {
	ctx, cancel := context.WithCancel(l.i.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { l.Play(ctx, proof.Schedule{PerSecond: perSecond}) })
	return func() { cancel(); wg.Wait() }
}

// settled holds the portal's ledger against the senders', the daemon's own word on each lead, what Redis still holds,
// and what the daemon wrote to its log; and every lead must have been delivered.
func (l *ledger) settled() {
	l.i.t.Helper()
	l.verify()
	for _, r := range l.With(proof.Acked) {
		if s := l.i.life(r.LeadID).State; s != streams.Delivered {
			l.i.t.Fatalf("lead %s: state %s, want delivered", r.LeadID, s)
		}
	}
}

// verify is settled for leads of which some are merged or dead.
func (l *ledger) verify() {
	l.i.t.Helper()
	l.i.quiet()
	f, err := l.Facts(l.i.t.Context())
	l.i.must(err)
	if l.i.also != nil {
		f.Portal = append(f.Portal, l.i.also.Ledger()...)
	}
	v, err := proof.Check(f)
	l.i.must(err)
	if err := v.Err(); err != nil {
		l.i.t.Error(err)
	}
}
