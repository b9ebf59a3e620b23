package processors

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/vm"

	"leadstream/processors/customer"
	"leadstream/streams"
)

// Segment is a sort of customer (G-17). Of a group a customer is in one segment at most: the first that matches, in the
// order of the configuration and then of DefaultSegments. Groups know nothing of each other.
type Segment struct {
	Name     string   `koanf:"name"`
	Group    string   `koanf:"group"`    // empty: the segment's name, so that it excludes none
	When     string   `koanf:"when"`     // expression over the customer's counters, see counters; "false" takes a shipped one out
	Tags     []string `koanf:"tags"`     // of the enquiries of those who are in it
	Level    string   `koanf:"level"`    // of those that have none (G-18)
	Priority int      `koanf:"priority"` // of enquiries and news; may be below 0
	Sinks    []string `koanf:"sinks"`    // hear of who comes and who leaves, beside those of `tagging.events`
}

// DefaultSegments are those that are there unless the configuration has one of the same name. None of them sends
// anything: they are what sequences and coupons go by.
func DefaultSegments() []Segment {
	return []Segment{
		{Name: "churn-risk", Group: "life", When: `in_week(1) >= 3 and in_week(0) <= 1 and last_sentiment < 0.3`},             // G-13
		{Name: "churned", Group: "life", When: `days_since_reply > 60`},                                                       // G-05
		{Name: "active", Group: "life", When: `interactions(30) >= 5`},                                                        // G-14
		{Name: "potential", Group: "life", When: `interactions(30) >= 1`},                                                     // G-04
		{Name: "high-intent", Group: "interest", When: `count("hot:product", "7d") > 3`},                                      // G-03
		{Name: "too-expensive", Group: "price", When: `in_a_row("expensive") >= 2`},                                           // G-07
		{Name: "price-sensitive", Group: "price", When: `count("hot:discount", "7d") > 3`, Tags: []string{"price-sensitive"}}, // G-02
		{Name: "address-no-visit", Group: "visit", When: `without("intent:address", "visit", "7d")`},                          // G-10
		{Name: "asked-address", Group: "visit", When: `count("intent:address", "7d") > 0`},
		{Name: "clicked-no-order", Group: "order", When: `without("click", "order|won", "72h")`},                                         // G-08, G-09
		{Name: "unread", Group: "attention", When: `without("sent|answered", "read|reply|click|lead|order|visit", "24h")`, Priority: -1}, // G-06
		{Name: "regular", Group: "level", When: `count("order", "90d") + count("won", "90d") >= 2`, Level: "regular customer"},           // G-18
		{Name: "customer", Group: "level", When: `count("order", "90d") + count("won", "90d") == 1`, Level: "customer"},
	}
}

// Buffer is how long a segment that goes by something not having come waits before it is believed, so that what is only
// just behind is seen.
const Buffer = 5 * time.Second

// segmenter judges which segments customers are in.
type segmenter struct {
	all     []Segment
	rules   []*counting // what each goes by
	program []*vm.Program
	windows []time.Duration // of all
	buffer  time.Duration
	events  []string // sinks that hear of every change
	heard   bool     // a rule wants to hear of changes, too
	told    []string // segments of which every change is news
}

// compileSegments puts the configuration's segments before the shipped ones and makes them ready.
func compileSegments(own []Segment, classes []string) (*segmenter, []error) {
	s := &segmenter{buffer: Buffer, all: slices.Clone(own)}
	for _, d := range DefaultSegments() {
		if !slices.ContainsFunc(own, func(o Segment) bool { return o.Name == d.Name }) {
			s.all = append(s.all, d)
		}
	}
	var faults []error
	for i := range s.all {
		seg := &s.all[i]
		seg.Group = cmp.Or(seg.Group, seg.Name)
		key := fmt.Sprintf("segments[%d]", i)
		for _, name := range []string{seg.Name, seg.Group} {
			if !className.MatchString(name) {
				faults = append(faults, Fault{key, fmt.Sprintf("%q is no plain name", name), "write small letters and digits, as in price-sensitive"})
			}
		}
		if slices.ContainsFunc(s.all[:i], func(o Segment) bool { return o.Name == seg.Name }) {
			faults = append(faults, Fault{key, fmt.Sprintf("there are two segments %q", seg.Name), "give one another name"})
		}
		what := &counting{classes: classes}
		p, err := compileOver(seg.When, counters{}, countersOf(nil), what)
		if err != nil {
			faults = append(faults, Fault{key + ".when", firstLine(err), `write what is true of such customers, as in count("hot:discount", "7d") > 3`})
		}
		s.program, s.rules, s.windows = append(s.program, p), append(s.rules, what), append(s.windows, what.windows...)
	}
	slices.Sort(s.windows)
	s.windows = slices.Compact(s.windows)
	return s, faults
}

// judgement is which segments a customer is in, and what changes with that.
type judgement struct {
	in      []*Segment // in the order of precedence
	change  *customer.Change
	entered []string
	left    []string
}

// judge says which segments a customer is in as of known.Now. A segment that goes by something not having come is
// entered only when the customer's time to be judged has come (due) and nothing has come of them a moment ago.
func (s *segmenter) judge(known *customer.Known, due bool) judgement {
	now := known.Now
	n := len(known.Marks)
	calm := due && (n == 0 || now.Sub(known.Marks[n-1].At) >= s.buffer)
	env := countersOf(known.Past)
	var machine vm.VM
	found := map[string]*Segment{}
	held := false
	for i := range s.all {
		seg := &s.all[i]
		if found[seg.Group] != nil {
			continue
		}
		is, err := matches(&machine, s.program[i], env)
		if err != nil || !is { // an expression over numbers that were all asked once does not fail
			continue
		}
		if s.rules[i].absence && !calm && known.SegmentOf(seg.Group) != seg.Name {
			held = true
			continue
		}
		found[seg.Group] = seg
	}
	j := judgement{}
	var text []string
	for i := range s.all {
		if seg := &s.all[i]; found[seg.Group] == seg {
			j.in, text = append(j.in, seg), append(text, seg.Group+"="+seg.Name)
		}
	}
	slices.Sort(text)
	c := customer.Change{Of: known, Segments: strings.Join(text, " "), Look: known.Next(s.windows)}
	if !c.Look.IsZero() {
		c.Look = c.Look.Add(s.buffer)
	}
	if wait := now.Add(s.buffer); held && (c.Look.IsZero() || wait.Before(c.Look)) {
		c.Look = wait
	}
	if !due && !known.Look.IsZero() && (c.Look.IsZero() || known.Look.Before(c.Look)) {
		c.Look = known.Look // what just came does not put off what waits
	}
	sooner := !c.Look.IsZero() && (known.Look.IsZero() || c.Look.Before(known.Look))
	if changed := s.compare(&j, known, found, &c); changed || due || sooner {
		j.change = &c
	}
	return j
}

// compare finds who has come and who has left, and makes the news of it for those who want to hear.
func (s *segmenter) compare(j *judgement, known *customer.Known, found map[string]*Segment, c *customer.Change) (changed bool) {
	groups := map[string]bool{}
	for i := range s.all {
		group := s.all[i].Group
		if groups[group] {
			continue
		}
		groups[group] = true
		from, to := known.SegmentOf(group), ""
		if seg := found[group]; seg != nil {
			to = seg.Name
		}
		if from == to {
			continue
		}
		changed = true
		if from != "" {
			j.left = append(j.left, from)
		}
		if to != "" {
			j.entered = append(j.entered, to)
		}
		if s.heard || len(s.sinksOf(from, to)) > 0 || slices.Contains(s.told, from) || slices.Contains(s.told, to) {
			c.News = append(c.News, s.news(known, group, from, to, j.in))
		}
	}
	return changed || c.Segments != known.Text()
}

// sinksOf are the sinks that hear of a change.
func (s *segmenter) sinksOf(from, to string) []string {
	sinks := slices.Clone(s.events)
	for i := range s.all {
		if seg := &s.all[i]; seg.Name == from || seg.Name == to {
			sinks = union(sinks, seg.Sinks)
		}
	}
	return sinks
}

// news is the lead that tells of a change: who, from where, to where, and when.
func (s *segmenter) news(known *customer.Known, group, from, to string, in []*Segment) *streams.Lead {
	l := *known.Contact
	l.Event, l.Source, l.About, l.EventAt = streams.EventSegment, "leadstream", known.LastEnquiry(), known.Now.UTC().Truncate(time.Millisecond)
	l.Fields = map[string]json.RawMessage{}
	for name, value := range map[string]string{"group": group, "from": from, "to": to} {
		l.Fields[name], _ = json.Marshal(value) // a string always has a JSON
	}
	l.Segments = namesOf(in)
	for _, seg := range in {
		l.Priority = cmp.Or(l.Priority, seg.Priority)
		l.Level = cmp.Or(l.Level, seg.Level)
	}
	return &l
}

func namesOf(in []*Segment) (names []string) {
	for _, seg := range in {
		names = append(names, seg.Name)
	}
	return names
}

// route says where the news of a change go.
func (s *segmenter) route(l *streams.Lead) []string {
	text := func(name string) (v string) {
		_ = json.Unmarshal(l.Fields[name], &v) // what a program has added itself names no segment
		return v
	}
	return s.sinksOf(text("from"), text("to"))
}
