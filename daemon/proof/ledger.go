//go:build linux

package proof

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Fate is what a sender knows of its request.
type Fate string

// A request that was rejected was surely not taken; of an unknown one there was no answer. One that waits is with a service,
// which tells it until it is taken.
const (
	Acked    Fate = "acked"
	Rejected Fate = "rejected"
	Unknown  Fate = "unknown"
	Waiting  Fate = "waiting"
)

// Request is one line of the senders' ledger.
type Request struct {
	Key   string // idempotency key; empty: none
	Phone string // the customer
	Text  string // what they say: "wish 17: …"; no two enquiries say the same, a repeated request does
	Body  string // what is posted

	Source string // whose it is; empty: the world's only one
	As     string `json:"-"` // the source's key; empty: the world's

	// Of what a customer writes or calls by a service that carries it:
	Who      string // the customer, by their number there; empty: Phone says it
	Carried  bool   // the service tells it again by itself
	Nameless bool   // the service tells no names
	Turn     int64  // place in the order that the service keeps, whatever is broken; 0: it keeps none

	Due       time.Time // when it was to be sent: what it took counts from here, however late the sender was
	Sent      time.Time
	Answered  time.Time
	Fate      Fate
	LeadID    string // of an acked one
	Duplicate bool
	Status    int         // HTTP; 0: none came
	Header    http.Header `json:"-"`
	Err       error       `json:"-"`
}

// Took is how long the sender waited.
func (r *Request) Took() time.Duration { return r.Answered.Sub(r.Due) }

// Ledger is what the senders know: ledger A. Its methods may be called by many goroutines.
type Ledger struct {
	Worlds []*World // whose daemons are sent to, by each customer always to the same; those on one Redis
	First  int64    // where the numbers begin: a daemon that has been sent to before knows the smaller ones
	File   *os.File // nil, or where each request is written and synced before it is sent and after its answer

	// Forgets is set where the daemon is made to forget what has ended, long before senders would stop repeating.
	Forgets bool

	// Unordered is set where single entries vanish from Redis.
	Unordered bool

	mu      sync.Mutex
	all     []*Request
	last    map[string]*Request // the latest of each customer who has had an answer
	known   []string            // their phones
	there   map[string]bool     // who is at the portal, by the first so many of its events
	looked  int
	flying  atomic.Int64
	numbers atomic.Int64
}

// NewLedger makes the senders of a world, or of several daemons on one Redis.
func NewLedger(worlds ...*World) *Ledger {
	return &Ledger{Worlds: worlds, last: map[string]*Request{}, there: map[string]bool{}}
}

// phrases are what customers say; each has something that a careless hand would break on its way. None has the beginning
// of our own marker, "[ls:", which is taken out of a comment on purpose.
var phrases = []string{
	"I would like a haircut", "Здравствуйте, хочу записаться на стрижку", "\"quoted\" 'text' & a=b+c%20;d",
	"срочно нужна запись на сегодня", "price? {{.Phone}} $result[c0] ${env:HOME}", "смайлик 🙂 и «кавычки» — тире…",
	"line with \\ and / and <b>tags</b>", "0123456789 1e5 NaN null true [ls]", "=cmd|' /C calc'!A0 +1 -1 @x",
}

// Customer is a new customer's request: nobody else has the phone.
func (l *Ledger) Customer() *Request {
	n := l.First + l.numbers.Add(1)
	return l.request(n, fmt.Sprintf(PhonePrefix+"%07d", n))
}

// Again is a further enquiry of a customer who has had an answer before, or a new one's while there is none.
func (l *Ledger) Again() *Request {
	l.mu.Lock()
	phone := ""
	if n := len(l.known); n > 0 {
		phone = l.known[max(0, n-1-rand.IntN(20))] // one of the latest, so that the earlier one may still be on its way
	}
	l.mu.Unlock()
	if phone == "" {
		return l.Customer()
	}
	return l.request(l.First+l.numbers.Add(1), phone)
}

func (l *Ledger) request(n int64, phone string) *Request {
	r := &Request{Key: fmt.Sprintf("k%d", n), Phone: phone, Text: wish(n)}
	r.Body = Body(phone, r.Text)
	return r
}

// wish is what is said the nth time.
func wish(n int64) string { return fmt.Sprintf("wish %d: %s", n, phrases[int(n)%len(phrases)]) }

// Next is a number that nobody has had, and the words that go with it: for who is no sender by HTTP.
func (l *Ledger) Next() (n int64, words string) {
	n = l.First + l.numbers.Add(1)
	return n, wish(n)
}

// Call is what a call has for words: nobody says anything, and whoever calls is known by the number alone.
func Call(phone string) string { return "call " + phone }

// Note adds what a service knows of a message that it carries.
func (l *Ledger) Note(r Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, &r)
}

// Body is an enquiry as a form sends it.
func Body(phone, text string) string {
	b, _ := json.Marshal(map[string]string{"name": PersonName, "phone": phone, "service": "haircut", "message": text})
	return string(b)
}

// Send posts a request as it is and notes what became of it.
func (l *Ledger) Send(ctx context.Context, r *Request) *Request {
	l.flying.Add(1)
	defer l.flying.Add(-1)
	r.Sent = time.Now()
	if r.Due.IsZero() {
		r.Due = r.Sent
	}
	l.write(r)
	l.Worlds[int(crc32.ChecksumIEEE([]byte(r.Phone)))%len(l.Worlds)].post(ctx, r)
	r.Answered = time.Now()
	l.write(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r)
	if r.Fate == Acked {
		if l.last[r.Phone] == nil {
			l.known = append(l.known, r.Phone)
		}
		l.last[r.Phone] = r
	}
	return r
}

func (l *Ledger) write(r *Request) {
	if l.File == nil {
		return
	}
	b, err := json.Marshal(r)
	if err == nil {
		_, err = l.File.Write(append(b, '\n'))
	}
	if err = errors.Join(err, l.File.Sync()); err != nil {
		panic(err) // a proof without its ledger proves nothing
	}
}

func (w *World) post(ctx context.Context, r *Request) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL("/v1/leads"), strings.NewReader(r.Body))
	if err != nil {
		r.Fate, r.Err = Rejected, err
		return
	}
	req.GetBody = nil // net/http shall not send it again by itself: a refused second try would hide the first
	req.Header.Set("Authorization", "Bearer "+or(r.As, w.Key))
	req.Header.Set("Content-Type", "application/json")
	if r.Key != "" {
		req.Header.Set("Idempotency-Key", r.Key)
	}
	res, err := w.HTTP.Do(req)
	if err != nil {
		var op *net.OpError
		r.Err, r.Fate = err, Unknown
		if errors.As(err, &op) && op.Op == "dial" {
			r.Fate = Rejected
		}
		return
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	r.Status, r.Header = res.StatusCode, res.Header
	var a struct {
		LeadID string `json:"lead_id"`
		Status string
	}
	switch {
	case err != nil:
		r.Err, r.Fate = err, Unknown
	case res.StatusCode/100 != 2:
		r.Err, r.Fate = fmt.Errorf("%s: %s", res.Status, answer), Rejected
	case json.Unmarshal(answer, &a) != nil || a.LeadID == "":
		r.Err, r.Fate = fmt.Errorf("an answer without a lead: %s", answer), Acked // a 2xx is a promise: Check finds it broken
	default:
		r.Fate, r.LeadID, r.Duplicate = Acked, a.LeadID, a.Status == "duplicate"
	}
}

// Schedule is an open loop: requests come when they come, whatever becomes of those before.
type Schedule struct {
	PerSecond float64
	Again     float64 // which share comes from customers who have written before
}

// Play sends requests at the schedule's moments until ctx ends, and returns when each has its answer.
func (l *Ledger) Play(ctx context.Context, s Schedule) {
	var wg sync.WaitGroup
	defer wg.Wait()
	due := time.Now()
	for {
		due = due.Add(time.Duration(rand.ExpFloat64() / s.PerSecond * float64(time.Second)))
		timer := time.NewTimer(time.Until(due))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		r := l.Customer
		if rand.Float64() < s.Again {
			r = l.Again
		}
		next := r()
		next.Due = due
		wg.Go(func() { l.Send(context.WithoutCancel(ctx), next) })
	}
}

// Burst sends n new customers' requests from so many senders at once.
func (l *Ledger) Burst(ctx context.Context, n, senders int) {
	var wg sync.WaitGroup
	work := make(chan struct{})
	for range senders {
		wg.Go(func() {
			for range work {
				l.Send(ctx, l.Customer())
			}
		})
	}
	for range n {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
}

// Resend does what senders do with a request that was not taken or not answered: the same again, a few at a time. It
// answers how many are still not taken.
func (l *Ledger) Resend(ctx context.Context) int {
	var left atomic.Int64
	var wg sync.WaitGroup
	work := make(chan Request)
	for range 8 {
		wg.Go(func() {
			for r := range work {
				if l.Send(ctx, &Request{Key: r.Key, Phone: r.Phone, Text: r.Text, Body: r.Body, Source: r.Source, As: r.As}).Fate != Acked {
					left.Add(1)
				}
			}
		})
	}
	for _, r := range l.open() {
		work <- r
	}
	close(work)
	wg.Wait()
	return int(left.Load())
}

// open is the requests of which no try was taken, each once. What a service carries is its own affair.
func (l *Ledger) open() (open []Request) {
	done := map[string]bool{}
	for _, r := range l.With(Acked) {
		done[r.Text] = true
	}
	for _, f := range []Fate{Unknown, Rejected} {
		for _, r := range l.With(f) {
			if !done[r.Text] && !r.Carried {
				done[r.Text] = true
				open = append(open, r)
			}
		}
	}
	return open
}

// All is every request that has come to an end so far.
func (l *Ledger) All() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Request, len(l.all))
	for i, r := range l.all {
		all[i] = *r
	}
	return all
}

// With is the requests of a fate.
func (l *Ledger) With(f Fate) []Request {
	return slices.DeleteFunc(l.All(), func(r Request) bool { return r.Fate != f })
}

// InFlight is how many leads are between the sender's 2xx and the portal's card, and requests not yet answered.
func (l *Ledger) InFlight() int {
	events := l.Worlds[0].CRM.Ledger()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range deliveries(events[l.looked:]) {
		l.there[d.Mark] = true
	}
	l.looked = len(events)
	n := int(l.flying.Load())
	for _, r := range l.all {
		if r.Fate == Acked && !r.Duplicate && !l.there[Mark(r.Text)] {
			n++
		}
	}
	return n
}
