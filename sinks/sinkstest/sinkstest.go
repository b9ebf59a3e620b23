// Package sinkstest is the suite that every kind of sink passes: what a far side may do to it, what a lead may hold,
// and what each verdict then has to be. What only one protocol has (its codes, its search) is left to the kind's tests.
package sinkstest

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadstream/sinks"
	"leadstream/streams"
)

// Case is one kind under the suite.
type Case struct {
	Kind sinks.Kind

	// Configure fills the kind's settings for a far side at url. Put Canary wherever a secret stands (or derive the
	// secret from it): the suite looks for it in every verdict.
	Configure func(settings any, url string)

	// Healthy answers over HTTP as the real far side does when all is well. Creates tells the requests that create or
	// send something; nil: every POST does.
	Healthy http.HandlerFunc
	Creates func(*http.Request) bool
	Busy    http.HandlerFunc // how it says "too many"; nil: 429, Retry-After 7, no body

	// Far starts far sides for a kind that does not speak HTTP; faults that it answers with nil do not exist there.
	Far func(t *testing.T, f Fault) *Far

	Env func(*sinks.Env) // changes what the sink is given; nil: nothing
}

// Far is a far side with a fault.
type Far struct {
	URL     string
	Created func() int // how many things it was asked to create or send
	Written func() int // bytes it could give away, for Flood
}

// Canary is the secret that no verdict may show.
const Canary = "c4n4ry5ecretc4n4ry5ecret"

// Fault is what is wrong with a far side.
type Fault string

// The faults. What each has to lead to is in wants.
const (
	None     Fault = "none"
	Busy     Fault = "busy"     // 429
	Broken   Fault = "broken"   // 500
	Gateway  Fault = "gateway"  // 502 with a page in HTML
	Hang     Fault = "hang"     // takes the request and never answers
	Refused  Fault = "refused"  // nobody listens
	Reset    Fault = "reset"    // takes the request and drops the connection
	Page     Fault = "page"     // 200 with a page in HTML
	Flood    Fault = "flood"    // 200 and a hundred megabytes
	Redirect Fault = "redirect" // 302 to an address that would answer well
)

type want struct {
	results []streams.Result
	fault   bool // must count against the destination
	created int  // most that may have been created; -1: not looked at
}

// wants: an unsure end may be Retry only for a keyed kind, whose second try is harmless.
func wants(class sinks.Class) map[Fault]want {
	unsure := []streams.Result{streams.Ambiguous}
	if class == sinks.Keyed {
		unsure = append(unsure, streams.Retry)
	}
	broken := append([]streams.Result{streams.Retry}, unsure...)
	stop := []streams.Result{streams.Pause, streams.Permanent, streams.Ambiguous, streams.Retry}
	return map[Fault]want{
		Busy:     {results: []streams.Result{streams.Wait, streams.Pause, streams.Retry}, created: -1},
		Broken:   {results: broken, fault: true, created: -1},
		Gateway:  {results: broken, fault: true, created: -1},
		Hang:     {results: unsure, created: 1},
		Refused:  {results: []streams.Result{streams.Retry}, fault: true},
		Reset:    {results: unsure, fault: true, created: 1},
		Page:     {results: stop, created: -1},
		Flood:    {results: stop, created: -1},
		Redirect: {results: stop, created: 0},
	}
}

// Run runs the suite. It may run beside others: call it from a parallel test.
func Run(t *testing.T, c Case) {
	t.Run("settings", c.settings)
	t.Run("delivers", c.delivers)
	t.Run("many at once", c.manyAtOnce)
	t.Run("any lead", c.anyLead)
	t.Run("check creates nothing", c.check)
	t.Run("stopped before it began", c.stopped)
	for fault, want := range wants(c.Kind.Class) {
		if c.Far == nil && c.Healthy == nil {
			break // a file
		}
		t.Run(string(fault), func(t *testing.T) {
			far := c.far(t, fault)
			if far == nil {
				return
			}
			t.Parallel()
			c.suffers(t, fault, want, far)
		})
	}
}

func (c Case) settings(t *testing.T) {
	if a, b := c.Kind.Settings(), c.Kind.Settings(); a == b {
		t.Error("Settings answers the same struct twice")
	}
	if c.Kind.Policy.Attempts < 1 {
		t.Error("no default policy")
	}
	sink := c.open(t, c.far(t, None))
	if _, ok := sink.(sinks.Messenger); ok != c.Kind.Human {
		t.Errorf("Human is %v and Messenger %v", c.Kind.Human, ok)
	}
}

func (c Case) delivers(t *testing.T) {
	far := c.far(t, None)
	batch := Batch(3)
	verdicts := c.deliver(t, c.open(t, far), batch)
	for i, v := range verdicts {
		if v.Result != streams.Done {
			t.Errorf("lead %d: got result %d (%v), want done", i, v.Result, v.Err)
		}
	}
	if far != nil && far.Created() == 0 {
		t.Error("nothing reached the far side")
	}
}

func (c Case) manyAtOnce(t *testing.T) {
	sink := c.open(t, c.far(t, None))
	var all sync.WaitGroup
	for _, d := range Batch(8) {
		all.Go(func() {
			if v := c.deliver(t, sink, []sinks.Delivery{d})[0]; v.Result != streams.Done {
				t.Errorf("got result %d (%v), want done", v.Result, v.Err)
			}
		})
	}
	all.Wait()
}

func (c Case) anyLead(t *testing.T) {
	sink := c.open(t, c.far(t, None))
	for name, lead := range Leads() {
		v := c.deliver(t, sink, []sinks.Delivery{{Lead: lead, Attempt: 1}})[0]
		if v.Result != streams.Done && v.Result != streams.Permanent {
			t.Errorf("%s: got result %d (%v), want done or permanent", name, v.Result, v.Err)
		}
	}
}

func (c Case) check(t *testing.T) {
	far := c.far(t, None)
	if err := c.open(t, far).Check(t.Context()); err != nil {
		t.Errorf("a healthy far side does not pass: %v", err)
	}
	if far != nil && far.Created() != 0 {
		t.Errorf("Check created %d", far.Created())
	}
}

func (c Case) stopped(t *testing.T) {
	far := c.far(t, None)
	sink := c.open(t, far)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v := sink.Deliver(ctx, Batch(1))[0]
	if far != nil && (v.Result == streams.Done || far.Created() != 0) {
		t.Errorf("got result %d and %d created, want neither done nor created", v.Result, far.Created())
	}
}

// suffers gives the sink a lead while the far side has a fault. Hang is met with a short deadline, as the engine's is.
func (c Case) suffers(t *testing.T, fault Fault, want want, far *Far) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	if fault == Hang {
		ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	}
	defer cancel()
	sink := c.open(t, far)
	v := c.deliverIn(t, ctx, sink, Batch(1))[0]
	if !contains(want.results, v.Result) {
		t.Errorf("got result %d (%v), want one of %v", v.Result, v.Err, want.results)
	}
	if want.fault && !v.Fault {
		t.Errorf("not counted as a fault of the destination: %v", v.Err)
	}
	if got := far.Created(); want.created >= 0 && got > want.created {
		t.Errorf("%d requests that create, want at most %d", got, want.created)
	}
	if fault == Busy && v.Result == streams.Wait && v.After <= 0 {
		t.Error("waits for no time at all")
	}
	if fault == Flood && far.Written != nil && far.Written() > 50<<20 {
		t.Errorf("%d bytes of an endless answer were read", far.Written())
	}
	if err := sink.Check(ctx); err != nil {
		c.discreet(t, err.Error())
	}
}

func (c Case) open(t *testing.T, far *Far) sinks.Sink {
	t.Helper()
	env := sinks.Env{
		Name: "out", Instance: "one", Language: "ru", Zone: time.UTC, Region: "RU",
		DataDir: t.TempDir(), Version: "0", Log: zerolog.Nop(),
	}
	if c.Env != nil {
		c.Env(&env)
	}
	settings := c.Kind.Settings()
	url := ""
	if far != nil {
		url = far.URL
	}
	c.Configure(settings, url)
	sink, err := c.Kind.Open(settings, env)
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

func (c Case) deliver(t *testing.T, sink sinks.Sink, batch []sinks.Delivery) []streams.Verdict {
	return c.deliverIn(t, t.Context(), sink, batch)
}

// deliverIn delivers in batches of the kind's size and checks what holds of any verdict.
func (c Case) deliverIn(t *testing.T, ctx context.Context, sink sinks.Sink, batch []sinks.Delivery) []streams.Verdict {
	t.Helper()
	var all []streams.Verdict
	for size := max(c.Kind.Batch, 1); len(batch) > 0; {
		n := min(size, len(batch))
		verdicts := sink.Deliver(ctx, batch[:n])
		if len(verdicts) != n {
			t.Fatalf("%d verdicts for %d deliveries", len(verdicts), n)
		}
		all, batch = append(all, verdicts...), batch[n:]
	}
	for _, v := range all {
		if v.Result == streams.Done != (v.Err == nil) {
			t.Errorf("result %d with error %v", v.Result, v.Err)
		}
		text := v.Code + " " + v.Reason + " " + v.Remote + " " + v.PauseKey
		if v.Err != nil {
			text += v.Err.Error()
		}
		c.discreet(t, text)
	}
	return all
}

// discreet: neither the secret nor anything of the customer is in a text that goes to logs and dead letters.
func (c Case) discreet(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{Canary, customer.Name, customer.Phone, strings.TrimPrefix(customer.Phone, "+"), customer.Email, customer.Message} {
		if strings.Contains(text, secret) {
			t.Errorf("%q shows %q", text, secret)
		}
	}
}

func contains(results []streams.Result, r streams.Result) bool {
	for _, x := range results {
		if x == r {
			return true
		}
	}
	return false
}
