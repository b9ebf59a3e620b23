// Package sequences leads customers through several messages, from a first touch to an order: each of its steps becomes a
// message in the outbox, where the policy decides whether and when it goes. What a customer does in the meantime ends it. All
// that it knows stands in the records: a start finds everything as the stop left it, and a step that was taken twice is one
// message.
package sequences

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/processors/policy"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// Store keeps runs.
type Store interface {
	BeginRun(ctx context.Context, r outbound.Run, again time.Duration) (bool, error)
	OpenRuns(ctx context.Context, card int64) ([]outbound.Run, error)
	RunsAfter(ctx context.Context, after outbound.Run, limit int) ([]outbound.Run, error)
	DueRuns(ctx context.Context, now time.Time, limit int) (due []outbound.Run, next time.Time, err error)
	MoveRun(ctx context.Context, from, to outbound.Run, m *outbound.Message) (bool, error)
	RunCustomer(ctx context.Context, card int64) (outbound.Customer, bool, error)
	RunMessage(ctx context.Context, id string) (outbound.Message, bool, error)
	TidyRuns(ctx context.Context) error
}

// Set is sequences that are ready to run.
type Set struct {
	all    []*ready
	byName map[string]*ready
}

// Sequences run them. Set its fields before Run; it is safe for concurrent use, also by several daemons on one store.
type Sequences struct {
	Set      *Set
	Store    Store
	Language string // of a customer of whom it is not known
	Zone     *time.Location
	Wake     func() // there is a new message in the outbox; nil: it is found there
	Metrics  *Metrics
	Clock    func() time.Time // nil: time.Now
	Log      zerolog.Logger
}

// Standing is what the conditions of steps see of a customer.
type Standing struct {
	Heard    float64 `expr:"heard_days"` // days since their last word; -1: none is known
	Visit    float64 `expr:"visit_days"` // since their last visit; -1
	Booked   bool    `expr:"booked"`     // a visit is still to come
	Last     string  `expr:"last"`       // how far the message before this step got: accepted, sent, delivered, read, failed, dropped; empty: there was none
	Language string  `expr:"language"`
	Weekday  int     `expr:"weekday"` // 1 is Monday, 7 is Sunday
}

// Reasons for which a run stops, besides Stops and the policy's words.
const (
	stopWord = "stop"    // the customer wants no more of it
	removed  = "removed" // the sequence is not in the configuration any more
	twice    = "merged"  // two cards have become one, and its other run goes on
	erased   = "erased"
)

func (s *Sequences) now() time.Time {
	if s.Clock == nil {
		return time.Now().Truncate(time.Millisecond)
	}
	return s.Clock().Truncate(time.Millisecond)
}

// Heard draws the conclusions from a lead or news of a customer: what it ends, and what it begins. The same lead again changes
// nothing.
func (s *Sequences) Heard(ctx context.Context, l *streams.Lead, customer int64) error {
	if len(s.Set.all) == 0 || l == nil || l.BringsFiles() || customer == 0 {
		return nil
	}
	if err := s.end(ctx, l, customer); err != nil {
		return err
	}
	for _, r := range s.Set.all {
		values, ok := r.starts(l, s.Zone)
		if !ok || r.Off {
			continue
		}
		if err := s.begin(ctx, r, l, customer, values); err != nil {
			return err
		}
	}
	return nil
}

// end ends the runs that a lead ends.
func (s *Sequences) end(ctx context.Context, l *streams.Lead, customer int64) error {
	why, left := whatEnds(l), segment(l, "from")
	if why == "" && left == "" {
		return nil
	}
	for range 5 {
		missed, err := s.endOnce(ctx, l, customer, why, left)
		if err != nil || !missed {
			return err
		}
	}
	return errors.New("the customer's sequences are moved on all the time") // the lead is heard again
}

// endOnce ends them as they stand; missed: one was moved on meanwhile, and is on still.
func (s *Sequences) endOnce(ctx context.Context, l *streams.Lead, customer int64, why, left string) (missed bool, err error) {
	runs, err := s.Store.OpenRuns(ctx, customer)
	if err != nil {
		return false, err
	}
	at := timeOf(l)
	for _, run := range runs {
		r := s.Set.byName[run.Sequence]
		if r == nil || run.Cause == l.ID {
			continue // one that was taken out ends by itself
		}
		to := run
		switch {
		case why == stopWord:
			to.State, to.Reason = outbound.RunStopped, stopWord
		case why == "reply" && !at.After(run.BegunAt): // it was written before
			continue
		case why != "" && slices.Contains(r.Stop, why):
			to.State, to.Reason = outbound.RunStopped, why
			if slices.Contains(goals, why) && !at.Before(run.BegunAt) {
				to.State = outbound.RunWon
			}
		case left != "" && left == r.Segment && slices.Contains(r.Stop, "left"):
			to.State, to.Reason = outbound.RunStopped, "left"
		default:
			continue
		}
		moved, err := s.finish(ctx, run, to)
		if err != nil {
			return false, err
		}
		missed = missed || !moved
	}
	return missed, nil
}

// whatEnds is which of Stops a lead is, or stopWord; empty: none.
func whatEnds(l *streams.Lead) string {
	switch l.Event {
	case "", "reply":
		if word := policy.Read(l.Message, policy.Talk{}); word == policy.Stop || word == policy.Never {
			return stopWord
		}
		return "reply"
	case "answered":
		return "person"
	case "order", "visit", "won", "lost":
		return l.Event
	}
	return ""
}

// segment is the segment that a customer has come into ("to") or left ("from"), by news of it.
func segment(l *streams.Lead, which string) (name string) {
	if l.Event == streams.EventSegment {
		_ = json.Unmarshal(l.Fields[which], &name) // what a program has added itself names none
	}
	return name
}

func timeOf(l *streams.Lead) time.Time {
	if !l.EventAt.IsZero() {
		return l.EventAt
	}
	return l.ReceivedAt
}

// starts says whether a lead begins the sequence, and what it gives to the texts.
func (r *ready) starts(l *streams.Lead, zone *time.Location) (values map[string]string, ok bool) {
	switch {
	case r.Segment != "":
		return nil, segment(l, "to") == r.Segment
	case r.When != "":
		is, err := r.when.OfLead(l, zone)
		return nil, is && err == nil
	}
	if l.Event != "" {
		return nil, false
	}
	for i, c := range r.recommend {
		if is, err := c.OfLead(l, zone); is && err == nil {
			return map[string]string{"Products": strings.Join(r.Recommend[i].Products, ", ")}, true
		}
	}
	return nil, false
}

// begin begins a run, unless all that it would say is advertising to one who has not agreed to any.
func (s *Sequences) begin(ctx context.Context, r *ready, l *streams.Lead, customer int64, values map[string]string) error {
	c, ok, err := s.Store.RunCustomer(ctx, customer)
	if err != nil || !ok {
		return err
	}
	w, now := r.pick(c.ID), s.now()
	ads := !slices.ContainsFunc(w.steps, func(st readyStep) bool { return st.purpose != outbound.Promotion })
	if reason := refusal(&c); reason != "" && ads {
		s.Metrics.count(r.Name, w.Name, reason)
		return nil
	}
	run := outbound.Run{Sequence: r.Name, Customer: c.ID, Cause: l.ID, Variant: w.Name, State: outbound.RunOn, BegunAt: now, MovedAt: now}
	run.Due = w.due(&run, r.Watch)
	if len(values) > 0 {
		run.Values, _ = json.Marshal(values) // texts always have a JSON
	}
	begun, err := s.Store.BeginRun(ctx, run, r.Again)
	if begun {
		s.Metrics.count(r.Name, w.Name, "begun")
		s.Log.Info().Str("lead", l.ID).Str("sequence", r.Name).Str("variant", w.Name).Msg("a sequence begins")
	}
	return err
}

// refusal is why no advertising reaches a customer; empty: some does.
func refusal(c *outbound.Customer) string {
	ledger := make([]policy.Consent, len(c.Consents))
	for i, k := range c.Consents {
		ledger[i] = policy.Consent{Purpose: k.Purpose, Channel: k.Channel, Given: k.Given, At: k.At}
	}
	return policy.Refusal(ledger)
}

// due is when the step that comes next is, or behind the last one the end.
func (w *way) due(run *outbound.Run, watch time.Duration) time.Time {
	if run.Step < len(w.steps) {
		return run.MovedAt.Add(w.steps[run.Step].After)
	}
	return run.MovedAt.Add(watch)
}

func (s *Sequences) finish(ctx context.Context, run, to outbound.Run) (moved bool, err error) {
	to.EndedAt = s.now()
	moved, err = s.Store.MoveRun(ctx, run, to, nil)
	if moved {
		what := string(to.State)
		if to.State == outbound.RunStopped {
			what = to.Reason
		}
		s.Metrics.count(to.Sequence, to.Variant, what)
		s.Log.Info().Str("lead", run.Cause).Str("sequence", run.Sequence).Str("reason", to.Reason).Msg("a sequence ends")
	}
	return moved, err
}

const (
	batch   = 100
	look    = 30 * time.Second // runs are looked for at least so often: another daemon may have begun one
	recheck = 10 * time.Minute // a step waits for the message before it
	tidying = 24 * time.Hour
)

// Run takes the steps that are due, until ctx ends.
func (s *Sequences) Run(ctx context.Context) error {
	adapted := false
	var tidied time.Time
	for {
		var next time.Time
		var err error
		if !adapted {
			err = s.Adapt(ctx)
			adapted = err == nil
		}
		if err == nil {
			next, err = s.Steps(ctx)
		}
		if err == nil && s.now().Sub(tidied) > tidying {
			if err = s.Store.TidyRuns(ctx); err == nil {
				tidied = s.now()
			}
		}
		if err != nil && ctx.Err() == nil {
			s.Log.Warn().Err(err).Msg("sequences wait for the records")
		}
		wait := look
		if until := next.Sub(s.now()); err == nil && !next.IsZero() && until < wait {
			wait = max(until, 10*time.Millisecond)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// Adapt brings the runs of customers who are under way to the configuration as it is now: a changed delay counts from their
// latest step on, and who is in a sequence that is off or gone leaves it, along with what it has not sent yet (S-04).
func (s *Sequences) Adapt(ctx context.Context) error {
	var after outbound.Run
	for {
		runs, err := s.Store.RunsAfter(ctx, after, batch)
		if err != nil || len(runs) == 0 {
			return err
		}
		after = runs[len(runs)-1]
		for _, run := range runs {
			r := s.Set.byName[run.Sequence]
			if r == nil || r.Off {
				to := run
				to.State, to.Reason = outbound.RunStopped, removed
				if _, err := s.finish(ctx, run, to); err != nil {
					return err
				}
				continue
			}
			to := run
			to.Due = r.wayOf(&to).due(&to, r.Watch)
			if to.Due.Equal(run.Due) && to.Variant == run.Variant {
				continue
			}
			if _, err := s.Store.MoveRun(ctx, run, to, nil); err != nil {
				return err
			}
		}
	}
}

// Steps takes all steps that are due now, and answers when the next one will be; zero: there is none.
func (s *Sequences) Steps(ctx context.Context) (next time.Time, err error) {
	for ctx.Err() == nil {
		due, next, err := s.Store.DueRuns(ctx, s.now(), batch)
		if err != nil || len(due) == 0 {
			return next, err
		}
		any := false
		for _, run := range due {
			moved, err := s.step(ctx, run)
			if err != nil {
				return next, err
			}
			any = any || moved
		}
		if !any { // another daemon takes them
			return s.now().Add(time.Second), nil
		}
	}
	return next, ctx.Err()
}

// step takes one step of a run.
func (s *Sequences) step(ctx context.Context, run outbound.Run) (moved bool, err error) {
	stop := func(state outbound.RunState, reason string) (bool, error) {
		to := run
		to.State, to.Reason = state, reason
		return s.finish(ctx, run, to)
	}
	r := s.Set.byName[run.Sequence]
	if r == nil || r.Off {
		return stop(outbound.RunStopped, removed)
	}
	to := run
	w := r.wayOf(&to)
	if run.Step >= len(w.steps) {
		return stop(outbound.RunDone, "")
	}
	c, ok, err := s.Store.RunCustomer(ctx, run.Customer)
	if err != nil {
		return false, err
	}
	if !ok {
		return stop(outbound.RunStopped, erased)
	}
	switch again, err := s.isTwice(ctx, run); {
	case err != nil:
		return false, err
	case again:
		return stop(outbound.RunStopped, twice)
	}
	st, now := w.steps[run.Step], s.now()
	last, wait, err := s.before(ctx, run, st)
	switch {
	case err != nil:
		return false, err
	case !wait.IsZero():
		to.Due = wait
		return s.Store.MoveRun(ctx, run, to, nil)
	}
	if st.purpose == outbound.Promotion {
		if reason := refusal(&c); reason != "" {
			return stop(outbound.RunStopped, reason)
		}
		if c.Paused.After(now) && slices.Contains(r.Stop, "person") {
			return stop(outbound.RunStopped, "person")
		}
	}
	to.Step, to.MovedAt = run.Step+1, now
	to.Due = w.due(&to, r.Watch)
	if !st.wanted(s.standing(&c, last, now)) || st.purpose == outbound.Promotion && s.had(&c, run, w, st) {
		s.Metrics.count(r.Name, w.Name, "skipped")
		return s.Store.MoveRun(ctx, run, to, nil)
	}
	m := s.message(run, w, st, &c, now)
	to.Last = m.ID
	if moved, err = s.Store.MoveRun(ctx, run, to, &m); !moved || err != nil {
		return moved, err
	}
	s.Metrics.count(r.Name, w.Name, "message")
	if s.Wake != nil {
		s.Wake()
	}
	return true, nil
}

// isTwice says that the customer is in the sequence by an older run too: two cards have become one.
func (s *Sequences) isTwice(ctx context.Context, run outbound.Run) (bool, error) {
	all, err := s.Store.OpenRuns(ctx, run.Customer)
	for _, other := range all {
		if other.Sequence == run.Sequence && (other.BegunAt.Before(run.BegunAt) || other.BegunAt.Equal(run.BegunAt) && other.Cause < run.Cause) {
			return true, err
		}
	}
	return false, err
}

// before looks at the message of the step before: how far it got, and until when the next step waits for it, or for the time
// after it.
func (s *Sequences) before(ctx context.Context, run outbound.Run, st readyStep) (last string, wait time.Time, err error) {
	if run.Last == "" {
		return "", time.Time{}, nil
	}
	m, ok, err := s.Store.RunMessage(ctx, run.Last)
	if err != nil || !ok {
		return "", time.Time{}, err
	}
	now := s.now()
	if m.State == outbound.Waiting {
		return "", now.Add(recheck), nil
	}
	last = string(m.State)
	for _, t := range m.Steps {
		if t.SentAt.IsZero() || t.State == outbound.NotSent {
			continue
		}
		if last = string(t.State); m.State == outbound.Failed {
			last = string(outbound.Failed)
		}
		if due := t.SentAt.Add(st.After); due.After(now) {
			wait = due
		}
	}
	return last, wait, nil
}

func (s *Sequences) standing(c *outbound.Customer, last string, now time.Time) Standing {
	ago := func(t time.Time) float64 {
		if t.IsZero() {
			return -1
		}
		return now.Sub(t).Hours() / 24
	}
	var heard time.Time
	for _, route := range c.Routes {
		if route.HeardAt.After(heard) {
			heard = route.HeardAt
		}
	}
	zone := s.Zone
	if zone == nil {
		zone = time.UTC
	}
	return Standing{Heard: ago(heard), Visit: ago(c.LastVisit), Booked: len(c.Bookings) > 0, Last: last, Language: s.language(c),
		Weekday: (int(now.In(zone).Weekday())+6)%7 + 1}
}

func (s *Sequences) language(c *outbound.Customer) string {
	if c.Language != "" {
		return c.Language
	}
	return s.Language
}

// wanted says whether a step is taken; one whose conditions cannot be judged is not.
func (st readyStep) wanted(is Standing) bool {
	when, err := st.when.Of(is)
	if err != nil || !when {
		return false
	}
	if st.Unless == "" {
		return true
	}
	unless, err := st.unless.Of(is)
	return err == nil && !unless
}

// had says that the customer has got the same text of late in another way: nobody is offered the same thing blindly (D-06).
func (s *Sequences) had(c *outbound.Customer, run outbound.Run, w *way, st readyStep) bool {
	own := map[string]bool{}
	for i := range run.Step {
		own[outbound.ID(outbound.CauseOf(run, i), w.steps[i].Template)] = true
	}
	return slices.ContainsFunc(c.Sent, func(p outbound.Past) bool { return p.Template == st.Template && !own[p.Message] })
}

// message is what a step says. The same step makes the same message.
func (s *Sequences) message(run outbound.Run, w *way, st readyStep, c *outbound.Customer, now time.Time) outbound.Message {
	values := maps.Clone(w.values)
	if len(run.Values) > 0 {
		_ = json.Unmarshal(run.Values, &values) // they are our own; a text that lacks one is not sent
	}
	cause := outbound.CauseOf(run, run.Step)
	m := outbound.Message{ID: outbound.ID(cause, st.Template), Customer: run.Customer, Cause: cause, Purpose: st.purpose, Template: st.Template,
		Language: s.language(c), Channel: st.Channel, MadeAt: now, Due: now, Deadline: now.Add(st.Within), State: outbound.Waiting}
	if len(values) > 0 {
		m.Values, _ = json.Marshal(values) // texts always have a JSON
	}
	return m
}

// Metrics count what becomes of sequences. Their labels are names of the configuration and fixed words.
type Metrics struct{ runs *prometheus.CounterVec }

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leadstream_sequences_total",
		Help: "Sequences by variant: begun, message made, step skipped, won, done, or what ended them."}, []string{"sequence", "variant", "what"})}
	return m, reg.Register(m.runs)
}

func (m *Metrics) count(sequence, variant, what string) {
	if m != nil {
		m.runs.WithLabelValues(sequence, variant, what).Inc()
	}
}
