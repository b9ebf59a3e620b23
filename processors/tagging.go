package processors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/expr-lang/expr/vm"
	"github.com/rs/zerolog"

	"leadstream/processors/customer"
	"leadstream/streams"
)

// NewCustomer is the level of a lead that has none: an empty level must not stop a sync (G-18).
const NewCustomer = "new customer"

// Rule is one line of `rules` in config.yaml: what a lead is marked with, and where it goes, when an expression is
// true of it (G-01). See lineOf for what an expression sees.
type Rule struct {
	When     string   `koanf:"when"`     // expression; empty is every lead
	Tags     []string `koanf:"tags"`     // added to the lead's
	Priority int      `koanf:"priority"` // of the lead: the highest of the rules that match
	Hot      bool     `koanf:"hot"`      // into the hot queue of each destination
	Sinks    []string `koanf:"sinks"`    // destinations, added to those of the other rules that match
	Drop     string   `koanf:"drop"`     // not delivered at all, for this reason
	Stop     bool     `koanf:"stop"`     // later rules are not asked
}

// EventCounted is why news of a customer ends here: no rule that speaks of `event` sends it on.
const EventCounted = "event counted"

// Tagging is the handler of the queue after triage: it marks leads by the rules of the business and chooses their
// destinations.
type Tagging struct {
	Rules   []Rule
	Sinks   []string           // destinations of a lead for which no rule chose one
	Known   []string           // every configured destination
	History string             // the destination that hears of every lead and all news, of what is dropped too; "": none
	Level   string             // of a lead that has none; "" is NewCustomer
	Zone    *time.Location     // of the business: what `hour` and `weekday` mean
	Emoji   map[string]float64 // how content a picture says that the customer is, 0 to 1; others as in the lexicon (G-12)

	HotWords HotWords         // besides the shipped ones
	Segments []Segment        // before the shipped ones
	Events   []string         // sinks that hear of every change of a segment
	Told     []string         // segments by which somebody behind History goes: who comes and who leaves is news
	Buffer   time.Duration    // 0 is Buffer
	Memory   *customer.Memory // nil: nothing is remembered of customers
	Metrics  *TaggingMetrics  // nil: nothing is counted
	Log      zerolog.Logger

	HotAt    int      // score from which an enquiry is hot; 0 is HotScore
	Services []Priced // what is dear among them

	scoring  atomic.Pointer[scoring] // nil: the shipped one
	dear     map[string]bool
	programs []*vm.Program
	hotWords *hotWords
	segments *segmenter
	emoji    map[rune]float64
	news     []bool // which rules speak of `event`: the others are about enquiries
}

// Compile checks the rules and makes them ready. Its error holds every Fault at once.
func (t *Tagging) Compile() error {
	var faults []error
	if len(t.Sinks) == 0 {
		faults = append(faults, Fault{"sinks", "no destination takes the leads that no rule routes", "name at least one sink as default"})
	}
	faults = append(faults, t.unknown("default sinks", t.Sinks)...)
	t.emoji = make(map[rune]float64, len(t.Emoji))
	for picture, value := range t.Emoji {
		r := []rune(strings.TrimSuffix(picture, "\ufe0f"))
		if len(r) != 1 || r[0] < firstPicture || value < 0 || value > 1 {
			faults = append(faults, Fault{"emoji", fmt.Sprintf("%q: %v is no picture with its value", picture, value), "write one emoji and a value from 0 (angry) to 1 (delighted)"})
			continue
		}
		t.emoji[r[0]] = value
	}
	t.dear = dearOf(t.Services)
	var more []error
	t.hotWords, more = compileHotWords(t.HotWords)
	faults = append(faults, more...)
	t.segments, more = compileSegments(t.Segments, t.hotWords.classes)
	faults = append(faults, more...)
	faults = append(faults, t.unknown("events", t.Events)...)
	for i, seg := range t.Segments {
		faults = append(faults, t.unknown(fmt.Sprintf("segments[%d].sinks", i), seg.Sinks)...)
	}
	t.Metrics.ready(t.hotWords.classes, t.segments.all)
	t.segments.events, t.segments.buffer, t.segments.told = t.Events, cmp.Or(t.Buffer, Buffer), t.Told
	t.programs, t.news = make([]*vm.Program, len(t.Rules)), make([]bool, len(t.Rules))
	for i, r := range t.Rules {
		key := fmt.Sprintf("rules[%d]", i)
		faults = append(faults, t.unknown(key+".sinks", r.Sinks)...)
		if len(r.Tags) == 0 && len(r.Sinks) == 0 && r.Priority == 0 && !r.Hot && r.Drop == "" && !r.Stop {
			faults = append(faults, Fault{key, "the rule does nothing", "give it tags, priority, hot, sinks, drop or stop"})
		}
		if r.Drop != "" && len(r.Sinks) > 0 {
			faults = append(faults, Fault{key, "it drops the lead and routes it too", "keep either drop or sinks"})
		}
		if r.When == "" {
			continue
		}
		var err error
		if t.programs[i], err = compileRule(r.When, t.hotWords.classes...); err != nil {
			faults = append(faults, Fault{key + ".when", err.Error(), cureOf(err)})
			continue
		}
		t.news[i] = speaksOf(t.programs[i], "event")
		t.segments.heard = t.segments.heard || t.news[i]
	}
	return errors.Join(faults...)
}

func (t *Tagging) unknown(key string, names []string) (faults []error) {
	for _, n := range names {
		if !slices.Contains(t.Known, n) {
			faults = append(faults, Fault{key, fmt.Sprintf("there is no sink %q", n), fmt.Sprintf("write one of %q", t.Known)})
		}
	}
	return faults
}

// tagJob is a lead while it is judged.
type tagJob struct {
	entry   *streams.Entry
	lead    *streams.Lead // ours to mark; nil when the entry holds none
	line    *line
	hot     map[string]int  // hot words of the message, by class
	reasons uint32          // for its score, without the customer's past
	known   *customer.Known // of its customer; nil when nothing is
	verdict *streams.Verdict
}

// Handle judges a batch, one verdict an entry; its followers are the lead's routing. What is known of the customers costs
// one round trip to Redis for the batch, and a second one when a customer changes segment.
func (t *Tagging) Handle(ctx context.Context, batch []*streams.Entry) []streams.Verdict {
	jobs := make([]*tagJob, len(batch))
	for i, e := range batch {
		jobs[i] = &tagJob{entry: e}
		jobs[i].safely(t.read)
	}
	err := t.remember(ctx, jobs)
	if err == nil {
		changes := t.segment(jobs)
		for _, j := range jobs {
			j.safely(t.score)
		}
		for _, j := range jobs {
			j.safely(t.judge)
		}
		if err = errors.Join(t.Memory.Apply(ctx, changes), t.Memory.Keep(ctx, outcomes(jobs))); err != nil {
			err = t.withoutMemory(err)
		}
	}
	verdicts := make([]streams.Verdict, len(batch))
	for i, j := range jobs {
		switch {
		case err != nil:
			verdicts[i] = streams.Verdict{Result: streams.Wait, After: redisPause, Err: err}
		default:
			verdicts[i] = *j.verdict
		}
	}
	return verdicts
}

// safely lets a panic end this lead alone.
func (j *tagJob) safely(f func(*tagJob)) {
	if j.verdict != nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			// What was panicked with may quote the lead.
			j.lead, j.known = nil, nil
			j.verdict = &streams.Verdict{Result: streams.Permanent, Err: errors.New("tagging panicked on this lead")}
		}
	}()
	f(j)
}

// read finds in the message what rules and counters go by.
func (t *Tagging) read(j *tagJob) {
	if j.entry.Lead == nil {
		j.verdict = &streams.Verdict{Result: streams.Permanent, Err: errors.New("the entry holds no lead")}
		return
	}
	l := *j.entry.Lead
	l.Tags, l.Problems = slices.Clone(l.Tags), slices.Clone(l.Problems)
	if l.Event != "" {
		l.RepeatOf = l.About // a sink puts it to what it has of that lead
	}
	j.lead, j.line = &l, lineOf(&l, t.Zone)
	if l.Event == "" || l.Event == "reply" {
		l.Sentiment = sentiment(j.line.Words, l.Message, t.emoji)
		j.line.Sentiment = cmp.Or(l.Sentiment, neutral)
		j.hot = t.hotWords.count(j.line.Words)
		l.HotWords = sortedClasses(j.hot)
		j.line.HotWords = l.HotWords
	}
	if l.Event == "" {
		j.reasons = t.reasonsOf(j)
	}
	t.Metrics.lead(j)
}

// judge gives one lead its marks and destinations.
func (t *Tagging) judge(j *tagJob) {
	l := j.lead
	if l.Event == "" {
		l.Level = cmp.Or(l.Level, t.Level, NewCustomer)
	}
	j.line.Level, j.line.Tags, j.line.Priority, j.line.Segments = l.Level, l.Tags, l.Priority, l.Segments
	sinks, drop := t.apply(l, j.line)
	if l.Event == streams.EventSegment {
		sinks = union(sinks, t.segments.route(l))
	}
	v := &streams.Verdict{}
	j.verdict = v
	switch {
	case drop != "":
		v.Result, v.Reason, sinks = streams.Drop, drop, nil
	case len(sinks) == 0 && l.Event != "" && t.History == "":
		v.Result, v.Reason = streams.Drop, EventCounted
	case len(sinks) == 0 && l.Event == "":
		sinks = t.Sinks
	}
	if t.History != "" {
		sinks = union(slices.Clip(sinks), []string{t.History})
	}
	for _, s := range sinks {
		queue := streams.Destined(s)
		if l.Hot {
			queue += ":hot"
		}
		v.Followers = append(v.Followers, streams.Follower{Queue: queue, Lead: l})
	}
}

// apply asks the rules in their order; each sees what those before it did. A rule that cannot be judged for this lead
// (a field holds a word where it compares numbers) does not match: the lead is worth more than the rule.
func (t *Tagging) apply(l *streams.Lead, line *line) (sinks []string, drop string) {
	var machine vm.VM
	for i, r := range t.Rules {
		if l.Event != "" && !t.news[i] {
			continue
		}
		ok, err := matches(&machine, t.programs[i], line)
		if err != nil {
			l.Problems = append(l.Problems, fmt.Sprintf("Rule %d could not be judged and was skipped.", i+1))
			t.Log.Warn().Str("lead", l.ID).Str("queue", streams.Triaged).Int("rule", i+1).Msg("rule could not be judged")
		}
		if !ok {
			continue
		}
		if r.Drop != "" {
			return nil, r.Drop
		}
		l.Tags = union(l.Tags, r.Tags)
		if r.Priority != 0 {
			l.Priority = max(l.Priority, r.Priority)
		}
		l.Hot = l.Hot || r.Hot
		sinks = union(sinks, r.Sinks)
		line.Tags, line.Priority, line.Hot = l.Tags, l.Priority, l.Hot
		if r.Stop {
			break
		}
	}
	return sinks, ""
}

func union(have, more []string) []string {
	for _, m := range more {
		if !slices.Contains(have, m) {
			have = append(have, m)
		}
	}
	return have
}
