// Package unanswered knows how long customers wait for their first answer (P-03), and which hot enquiries nobody has seen to
// for so long that a person is to be paged. What a program says is a first answer and sees to nothing: see the records.
package unanswered

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leadstream/processors"
	"leadstream/streams"
	"leadstream/streams/hours"
	"leadstream/streams/outbound"
)

// Settings are the keys of `answers.unanswered` in config.yaml.
type Settings struct {
	After      time.Duration     `koanf:"after"`      // a hot enquiry that waits longer, in working time, pages a person; 0: none does
	Hours      map[string]string `koanf:"hours"`      // mon-fri → "09:00-21:00"; none: every day 09:00 to 21:00
	Exceptions []hours.Exception `koanf:"exceptions"` // holidays and short days
}

// Defaults are the settings of a config that says nothing.
func Defaults() Settings { return Settings{After: 5 * time.Minute} }

// usual are the hours of a business that says nothing of them.
var usual = map[string]string{"mon-sun": "09:00-21:00"}

// Clock is when the business works.
func (s Settings) Clock(zone *time.Location) (*hours.Hours, error) {
	week := s.Hours
	if len(week) == 0 {
		week = usual
	}
	return hours.Parse(week, s.Exceptions, zone)
}

// Fault says what is wrong with the settings; nil: nothing.
func (s Settings) Fault() error {
	if s.After < 0 {
		return processors.Fault{Key: "answers.unanswered.after", Problem: "is negative", Cure: "write 5m, or 0s for never"}
	}
	if _, err := s.Clock(time.UTC); err != nil {
		return processors.Fault{Key: "answers.unanswered.hours", Problem: err.Error(),
			Cure: `write {mon-fri: "09:00-13:00, 14:00-21:00", sat: "10:00-18:00"} and exceptions like {day: "2026-12-31", hours: "off"}`}
	}
	return nil
}

// Store is where the waits are kept.
type Store interface {
	Unanswered(ctx context.Context, from, until time.Time, limit int) (outbound.Unanswered, error)
	Firsts(ctx context.Context, from, until time.Time, each func(outbound.First)) error
}

// Watch looks at the waits.
type Watch struct {
	Store  Store
	Clock  *hours.Hours
	After  time.Duration
	Counts *prometheus.HistogramVec // as NewCounts makes it
}

// Hours are when the business works.
func (w *Watch) Hours() *hours.Hours {
	if w == nil {
		return nil
	}
	return w.Clock
}

// Late are the hot enquiries that wait for too long.
type Late struct {
	Count  int
	Worth  int64         // money at stake in all, as far as it is known
	Oldest time.Duration // the longest of their waits, in working time
	Each   []Wait        // the latest of them, at most 100
}

// Wait is one of them.
type Wait struct {
	outbound.Open
	Waited time.Duration // working time
}

const (
	most   = 100
	giveUp = 7 * 24 * time.Hour // who was not answered for so long is in the list of all that are open, and pages nobody
)

// Late asks for those of now.
func (w *Watch) Late(ctx context.Context, now time.Time) (late Late, err error) {
	if w.After <= 0 {
		return late, nil
	}
	u, err := w.Store.Unanswered(ctx, now.Add(-giveUp), w.since(now), most)
	if err != nil || u.Count == 0 {
		return late, err
	}
	late = Late{Count: u.Count, Worth: u.Worth, Oldest: w.Clock.Between(u.Oldest, now)}
	for _, o := range u.Latest {
		late.Each = append(late.Each, Wait{o, w.Clock.Between(o.Since, now)})
	}
	return late, nil
}

// since is the last moment, to the millisecond, from which on more than After of working time has passed.
func (w *Watch) since(now time.Time) time.Time {
	late, early := now.Add(-giveUp), now
	for early.Sub(late) > time.Millisecond {
		middle := late.Add(early.Sub(late) / 2)
		if w.Clock.Between(middle, now) > w.After {
			late = middle
		} else {
			early = middle
		}
	}
	return late
}

// Took is how long a customer has waited for an answer. A person answers in working time; a program is expected to do so at
// any time.
func (w *Watch) Took(f outbound.First) time.Duration {
	if f.By == outbound.Person {
		return w.Clock.Between(f.AskedAt, f.At)
	}
	return max(f.At.Sub(f.AskedAt), 0)
}

// Times are the first answers of a period.
type Times struct {
	Enquiries int     `json:"enquiries"`
	Answered  int     `json:"answered"`
	P50       float64 `json:"p50"`   // seconds in which half of them came
	P99       float64 `json:"p99"`   // and 99 of 100
	In3s      float64 `json:"in_3s"` // share of the answered, 0 to 1
	In30s     float64 `json:"in_30s"`

	took []time.Duration
}

// Times are those of all channels, under "", and of each.
func (w *Watch) Times(ctx context.Context, from, until time.Time) (map[string]*Times, error) {
	by := map[string]*Times{"": {}}
	err := w.Store.Firsts(ctx, from, until, func(f outbound.First) {
		name := channelOf(f.Channel)
		if by[name] == nil {
			by[name] = &Times{}
		}
		for _, t := range []*Times{by[""], by[name]} {
			t.Enquiries++
			if !f.At.IsZero() {
				t.took = append(t.took, w.Took(f))
			}
		}
	})
	for _, t := range by {
		t.count()
	}
	return by, err
}

func (t *Times) count() {
	if t.Answered = len(t.took); t.Answered == 0 {
		return
	}
	slices.Sort(t.took)
	rank := func(p int) float64 { return t.took[(t.Answered*p+99)/100-1].Seconds() }
	within := func(d time.Duration) float64 {
		n, _ := slices.BinarySearch(t.took, d+1)
		return float64(n) / float64(t.Answered)
	}
	t.P50, t.P99, t.In3s, t.In30s = rank(50), rank(99), within(3*time.Second), within(30*time.Second)
}

// channels bounds what a metric's label can be: a sender may call a channel anything.
var channels = []string{"whatsapp", "telegram", "instagram", "messenger", "facebook", "vk", "max", "avito", "sms", "email", "mail", "call", "site", "widget"}

func channelOf(channel string) string {
	if slices.Contains(channels, channel) {
		return channel
	}
	return "other"
}

// NewCounts is the histogram of first answers.
func NewCounts(reg prometheus.Registerer) (*prometheus.HistogramVec, error) {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "leadstream_first_answer_seconds",
		Help:    "From a customer's enquiry to its first answer; in working time where a person gave it.",
		Buckets: []float64{.1, .3, 1, 3, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600}}, []string{"channel", "by"})
	return h, reg.Register(h)
}

// Answered counts a first answer.
func (w *Watch) Answered(f outbound.First) {
	w.Counts.WithLabelValues(channelOf(f.Channel), f.By).Observe(w.Took(f).Seconds())
}

// Worth is the money at stake with a lead: what its service costs, as far as it is known, by how likely it becomes a sale.
func Worth(l *streams.Lead, services []processors.Priced) int {
	price := 0
	if l.Slots != nil && l.Slots.Price != nil {
		price = max(l.Slots.Price.From, l.Slots.Price.To)
	}
	for _, s := range services {
		if s.Price > 0 && strings.EqualFold(s.Name, l.Service) {
			price = s.Price
		}
	}
	return price * min(max(l.Score, 0), 100) / 100
}
