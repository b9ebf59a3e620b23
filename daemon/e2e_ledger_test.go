//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leadstream/sinks/sim/portal"
	"leadstream/streams"
)

// fate is what a sender knows of its request.
type fate string

const (
	acked    fate = "acked"
	rejected fate = "rejected" // surely not taken
	unknown  fate = "unknown"  // sent, and no answer
)

// request is one line of the senders' ledger.
type request struct {
	key, phone, body string
	fate             fate
	id               string // of an acked one
	duplicate        bool
	status           int // HTTP; 0: none came
	header           http.Header
	took             time.Duration
	err              error
}

// ledger is what the senders know: ledger A.
type ledger struct {
	i *instance

	mu      sync.Mutex
	all     []*request
	flying  atomic.Int64
	numbers atomic.Int64
}

func (i *instance) ledger() *ledger { return &ledger{i: i} }

// customer is a new customer's request: nobody else has the phone.
func (l *ledger) customer() *request {
	n := l.numbers.Add(1)
	r := &request{key: fmt.Sprintf("k%d", n), phone: fmt.Sprintf("+7999%07d", n)}
	r.body = bodyOf(r.phone, fmt.Sprintf("wish %d", n))
	return r
}

func bodyOf(phone, message string) string {
	b, _ := json.Marshal(map[string]string{"name": personName, "phone": phone, "service": "haircut", "message": message})
	return string(b)
}

// send posts a request as it is and notes what became of it.
func (l *ledger) send(r *request) *request {
	l.flying.Add(1)
	defer l.flying.Add(-1)
	began := time.Now()
	l.post(r)
	r.took = time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r)
	return r
}

func (l *ledger) post(r *request) {
	req, err := http.NewRequest(http.MethodPost, l.i.url("/v1/leads"), strings.NewReader(r.body))
	if err != nil {
		l.i.t.Error(err)
		return
	}
	req.GetBody = nil // net/http shall not send it again by itself: a refused second try would hide the first
	req.Header.Set("Authorization", "Bearer "+l.i.key)
	req.Header.Set("Content-Type", "application/json")
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	res, err := l.i.http.Do(req)
	if err != nil {
		var op *net.OpError
		r.err, r.fate = err, unknown
		if errors.As(err, &op) && op.Op == "dial" {
			r.fate = rejected
		}
		return
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	r.status, r.header = res.StatusCode, res.Header
	var a struct {
		LeadID string `json:"lead_id"`
		Status string
	}
	switch {
	case err != nil:
		r.err, r.fate = err, unknown
	case res.StatusCode/100 != 2:
		r.err, r.fate = fmt.Errorf("%s: %s", res.Status, answer), rejected
	case json.Unmarshal(answer, &a) != nil || a.LeadID == "":
		l.i.t.Errorf("an answer without a lead: %s", answer)
	default:
		r.fate, r.id, r.duplicate = acked, a.LeadID, a.Status == "duplicate"
	}
}

// one sends a new customer's request, which must be taken.
func (l *ledger) one() *request {
	l.i.t.Helper()
	return l.must(l.customer())
}

func (l *ledger) must(r *request) *request {
	l.i.t.Helper()
	if l.send(r); r.fate != acked {
		l.i.t.Fatalf("a lead is %s: %v", r.fate, r.err)
	}
	return r
}

// load sends so many new customers' requests a second, whatever becomes of them, until stop is called. Senders do not
// wait for each other.
func (l *ledger) load(perSecond int) (stop func()) {
	var wg sync.WaitGroup
	quit := make(chan struct{})
	wg.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				wg.Go(func() { l.send(l.customer()) })
			}
		}
	})
	return func() { close(quit); wg.Wait() }
}

// with is the requests of a fate.
func (l *ledger) with(f fate) []*request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.all), func(r *request) bool { return r.fate != f })
}

// inFlight is how many leads are between the sender's 2xx and the portal's card, and requests not yet answered.
func (l *ledger) inFlight() int {
	there := map[string]bool{}
	for _, e := range l.i.crm.Ledger() {
		if e.Kind == "create" {
			there[e.Origin] = true
		}
	}
	n := int(l.flying.Load())
	for _, r := range l.with(acked) {
		if !there[r.id] {
			n++
		}
	}
	return n
}

// cards is the portal's cards by the customer's phone.
func (i *instance) cards() map[string][]string {
	by := map[string][]string{}
	for _, p := range i.portals() {
		for _, e := range p.Ledger() {
			if e.Kind == "create" && e.Entity == "lead" {
				raw, _ := json.Marshal(e.Payload)
				phone := string(phonePattern.Find(raw))
				by[phone] = append(by[phone], e.Origin)
			}
		}
	}
	return by
}

var phonePattern = regexp.MustCompile(`\+7999\d{7}`)

func (i *instance) portals() []*portal.Portal {
	if i.also != nil {
		return []*portal.Portal{i.crm, i.also}
	}
	return []*portal.Portal{i.crm}
}

// quiet waits until every lead has come to an end, and the ledger explains each.
func (i *instance) quiet() Status {
	i.t.Helper()
	var s Status
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		var ok bool
		if s, ok = i.status(); ok && s.Leads[streams.InFlight] == 0 && s.Unforwarded == 0 {
			break
		}
		if time.Now().After(deadline) {
			i.t.Fatalf("leads do not come to an end: %+v", s)
		}
	}
	if s.Unexplained != 0 {
		i.t.Errorf("unexplained: %d, want 0", s.Unexplained)
	}
	return s
}

// settled holds the portal's ledger against the senders': acked exactly once, unknown at most once, nothing else; and
// the daemon's own word on each lead; and what it wrote to its log.
func (l *ledger) settled() {
	l.i.t.Helper()
	l.i.quiet()
	sent := l.verify(l.i.cards(), l.i.crm.Duplicates())
	l.lives(streams.Delivered)
	l.i.silent(slices.Sorted(maps.Keys(sent)))
}

// verify answers the phones that were sent.
func (l *ledger) verify(cards map[string][]string, duplicates map[string][]int) (sent map[string]fate) {
	l.i.t.Helper()
	faults, err := discrepancies(l.fates(), cards, duplicates)
	for _, f := range faults[:min(len(faults), 10)] {
		l.i.t.Error(f)
	}
	if err != nil {
		l.i.t.Error(err)
	}
	return l.fates()
}

// fates is the best that is known of each customer.
func (l *ledger) fates() map[string]fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	sent := map[string]fate{}
	for _, r := range l.all {
		if was := sent[r.phone]; was == acked || was == unknown && r.fate == rejected {
			continue
		}
		sent[r.phone] = r.fate
	}
	return sent
}

// discrepancies is the checker itself. It has a test of its own: one that finds nothing must be able to.
func discrepancies(sent map[string]fate, cards map[string][]string, duplicates map[string][]int) (faults []string, err error) {
	if len(sent) == 0 {
		return nil, errors.New("nothing was sent: nothing was tested")
	}
	for phone, f := range sent {
		switch n := len(cards[phone]); {
		case f == acked && n == 0:
			faults = append(faults, fmt.Sprintf("LOST: %s was acked and has no card", phone))
		case f == rejected && n > 0:
			faults = append(faults, fmt.Sprintf("%s was rejected and has a card", phone))
		case n > 1:
			faults = append(faults, fmt.Sprintf("DOUBLED: %s (%s) has %d cards: %v", phone, f, n, cards[phone]))
		}
	}
	for phone, origins := range cards {
		if _, ok := sent[phone]; !ok {
			faults = append(faults, fmt.Sprintf("nobody sent %s, and it has cards: %v", phone, origins))
		}
	}
	for origin, ids := range duplicates {
		faults = append(faults, fmt.Sprintf("DOUBLED: lead %s has the cards %v", origin, ids))
	}
	slices.Sort(faults)
	return faults, nil
}

// lives holds the daemon's word on each acked lead against want.
func (l *ledger) lives(want streams.State) {
	l.i.t.Helper()
	wrong := 0
	for _, r := range l.with(acked) {
		life := l.i.life(r.id)
		if life.State != want && wrong < 10 {
			wrong++
			l.i.t.Errorf("lead %s: state %s, want %s", r.id, life.State, want)
		}
	}
}

func (i *instance) life(id string) (l streams.Life) {
	i.t.Helper()
	req, err := http.NewRequest(http.MethodGet, i.url("/v1/leads/"+id), nil)
	if err != nil {
		i.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+i.key)
	res, err := i.http.Do(req)
	if err != nil {
		i.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		i.t.Errorf("GET /v1/leads/%s: %s", id, res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(&l); err != nil {
		i.t.Fatal(err)
	}
	return l
}

// silent looks for secrets and people's data in the daemon's log.
func (i *instance) silent(phones []string) {
	i.t.Helper()
	log := i.logged()
	if len(log) == 0 {
		i.t.Error("the log is empty: nothing was tested")
	}
	canaries := []string{crmSecret, botToken, personName, i.key}
	for _, p := range phones {
		canaries = append(canaries, p, strings.TrimPrefix(p, "+"))
	}
	for _, c := range canaries {
		if at := bytes.Index(log, []byte(c)); at >= 0 {
			i.t.Errorf("the log tells %q: %s", c, log[max(0, at-200):min(len(log), at+200)])
			return
		}
	}
}

func TestDiscrepanciesAreFound(t *testing.T) {
	sent := map[string]fate{"a": acked, "u": unknown, "r": rejected}
	for name, c := range map[string]struct {
		sent       map[string]fate
		cards      map[string][]string
		duplicates map[string][]int
		faults     int
		err        bool
	}{
		"all well":           {sent: sent, cards: map[string][]string{"a": {"1"}}},
		"unknown arrived":    {sent: sent, cards: map[string][]string{"a": {"1"}, "u": {"2"}}},
		"lost":               {sent: sent, faults: 1},
		"doubled":            {sent: sent, cards: map[string][]string{"a": {"1", "2"}}, faults: 1},
		"unknown doubled":    {sent: sent, cards: map[string][]string{"a": {"1"}, "u": {"2", "2"}}, faults: 1},
		"rejected arrived":   {sent: sent, cards: map[string][]string{"a": {"1"}, "r": {"2"}}, faults: 1},
		"never sent":         {sent: sent, cards: map[string][]string{"a": {"1"}, "x": {"2"}}, faults: 1},
		"doubled, same lead": {sent: sent, cards: map[string][]string{"a": {"1"}}, duplicates: map[string][]int{"1": {7, 8}}, faults: 1},
		"nothing sent":       {err: true},
	} {
		t.Run(name, func(t *testing.T) {
			faults, err := discrepancies(c.sent, c.cards, c.duplicates)
			if len(faults) != c.faults || (err != nil) != c.err {
				t.Errorf("got %v, %v; want %d faults, error %v", faults, err, c.faults, c.err)
			}
		})
	}
}
