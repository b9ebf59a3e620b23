// Package customer remembers what customers have done of late: a few hundred bytes each in Redis, from which the rules
// count. It decides nothing. What it holds can be lost without a lead being lost: the counts then begin anew.
package customer

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kinds of marks besides the names of events (streams.Events). A hot word's is Hot + its class, an intent's Intent + its
// name.
const (
	Enquiry = "lead"
	Hot     = "hot:"
	Intent  = "intent:"
)

// Mark is one thing that a customer has done, or that was done to them.
type Mark struct {
	ID        string // of the lead or the news; the same one counts once
	At        time.Time
	Sentiment float64        // of its message; 0: none
	Reasons   uint32         // why a lead was scored as it was, a bit each
	Kinds     map[string]int // what it is, how often: {"lead": 1, "hot:discount": 4}
}

// active are the kinds in which the customer has done something: an interaction.
var active = []string{Enquiry, "reply", "click", "order", "visit"}

func (m *Mark) active() bool {
	return slices.ContainsFunc(active, func(kind string) bool { return m.Kinds[kind] > 0 })
}

// is says whether the mark is of one of several kinds, "read|reply".
func (m *Mark) is(kinds string) bool {
	for kind := range strings.SplitSeq(kinds, "|") {
		if m.Kinds[kind] > 0 {
			return true
		}
	}
	return false
}

// line is the mark as it stands in Redis: id, time, sentiment in hundredths, reasons, and kinds with how often if more
// than once. Nothing in it is from outside: kinds are names of ours and of the configuration.
func (m *Mark) line() string {
	b := make([]byte, 0, 96)
	b = append(append(b, m.ID...), ' ')
	b = append(strconv.AppendInt(b, m.At.UnixMilli(), 36), ' ')
	b = append(strconv.AppendInt(b, int64(math.Round(m.Sentiment*100)), 10), ' ')
	b = append(strconv.AppendUint(b, uint64(m.Reasons), 36), ' ')
	kinds := make([]string, 0, len(m.Kinds))
	for kind := range m.Kinds {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for i, kind := range kinds {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, kind...)
		if n := m.Kinds[kind]; n > 1 {
			b = strconv.AppendInt(append(b, '='), int64(n), 10)
		}
	}
	return string(append(b, '\n'))
}

// readMark reads a line; false for one that another version or a hand has written.
func readMark(line string) (m Mark, ok bool) {
	parts := strings.Split(line, " ")
	if len(parts) != 5 {
		return m, false
	}
	ms, err := strconv.ParseInt(parts[1], 36, 64)
	percent, err2 := strconv.Atoi(parts[2])
	reasons, err3 := strconv.ParseUint(parts[3], 36, 32)
	if cmp.Or(err, err2, err3) != nil {
		return m, false
	}
	m = Mark{ID: parts[0], At: time.UnixMilli(ms).UTC(), Sentiment: float64(percent) / 100, Reasons: uint32(reasons), Kinds: map[string]int{}}
	for kind := range strings.SplitSeq(parts[4], ",") {
		name, times, more := strings.Cut(kind, "=")
		n := 1
		if more {
			if n, err = strconv.Atoi(times); err != nil {
				return m, false
			}
		}
		m.Kinds[name] = n
	}
	return m, true
}

// Past is what is remembered of one customer, as of Now. Its zero value is a customer of whom nothing is known.
type Past struct {
	Marks []Mark // by time
	Now   time.Time
}

// readPast reads what Redis holds.
func readPast(log string, now time.Time) *Past {
	p := &Past{Now: now, Marks: make([]Mark, 0, strings.Count(log, "\n"))}
	for line := range strings.SplitSeq(strings.TrimSuffix(log, "\n"), "\n") {
		if m, ok := readMark(line); ok {
			p.Marks = append(p.Marks, m)
		}
	}
	slices.SortStableFunc(p.Marks, func(a, b Mark) int { return a.At.Compare(b.At) })
	return p
}

// within goes through the marks that are younger than window.
func (p *Past) within(window time.Duration) []Mark {
	from := p.Now.Add(-window)
	i, _ := slices.BinarySearchFunc(p.Marks, from, func(m Mark, at time.Time) int {
		if m.At.After(at) {
			return 1
		}
		return -1
	})
	return p.Marks[i:]
}

// Count is how often something of a kind has happened within a window: words of a class (hot:discount), messages with an
// intent (intent:address), enquiries (lead), events by name.
func (p *Past) Count(kind string, window time.Duration) (n int) {
	for _, m := range p.within(window) {
		n += m.Kinds[kind]
	}
	return n
}

// Interactions is how often the customer has done something within a window: written, answered, clicked, ordered, come.
func (p *Past) Interactions(window time.Duration) (n int) {
	for _, m := range p.within(window) {
		if m.active() {
			n++
		}
	}
	return n
}

// InARow is how many of the customer's latest messages have a hot word of a class, without one between that has none.
func (p *Past) InARow(class string) (n int) {
	for _, m := range slices.Backward(p.Marks) {
		if m.Kinds[Enquiry]+m.Kinds["reply"] == 0 {
			continue
		}
		if m.Kinds[Hot+class] == 0 {
			break
		}
		n++
	}
	return n
}

// Without says that something has happened longer than a window ago and nothing of the kinds after has come since:
// a click without an order, a message that nobody has read. Several kinds are joined by "|".
func (p *Past) Without(kind, after string, window time.Duration) bool {
	for _, m := range slices.Backward(p.Marks) {
		if m.is(after) {
			return false // whatever came before has had its answer
		}
		if m.is(kind) && !m.At.After(p.Now.Add(-window)) {
			return true
		}
	}
	return false
}

// Silent is how long the customer has not done anything; since they are known when they never have.
func (p *Past) Silent() time.Duration {
	if len(p.Marks) == 0 {
		return 0
	}
	since := p.Marks[0].At
	for _, m := range slices.Backward(p.Marks) {
		if m.active() {
			since = m.At
			break
		}
	}
	return max(p.Now.Sub(since), 0)
}

// LastSentiment is that of the latest message that told one, else neutral.
func (p *Past) LastSentiment(neutral float64) float64 {
	for _, m := range slices.Backward(p.Marks) {
		if m.Sentiment != 0 {
			return m.Sentiment
		}
	}
	return neutral
}

// Before is the past as it was when a lead came.
func (p *Past) Before(leadID string) *Past {
	i := slices.IndexFunc(p.Marks, func(m Mark) bool { return m.ID == leadID })
	if i < 0 {
		return p
	}
	return &Past{Marks: p.Marks[:i], Now: p.Marks[i].At}
}

// LastEnquiry is the id of the customer's latest enquiry, "" when none is remembered.
func (p *Past) LastEnquiry() string {
	for _, m := range slices.Backward(p.Marks) {
		if m.Kinds[Enquiry] > 0 {
			return m.ID
		}
	}
	return ""
}

// Next is the earliest moment after Now at which a mark is as old as one of the windows, when what was counted may count
// no more; zero when there is none.
func (p *Past) Next(windows []time.Duration) (next time.Time) {
	for _, m := range p.Marks {
		for _, w := range windows {
			if at := m.At.Add(w); at.After(p.Now) && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next
}
