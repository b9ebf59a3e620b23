package processors

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"leadstream/processors/customer"
	"leadstream/streams"
)

// remember notes what each lead says of its customer, in one round trip, and puts what is then known into the lines. It
// answers an error when Redis is away: the leads wait, as they would anyway. What Redis refuses costs the counts and no
// lead.
func (t *Tagging) remember(ctx context.Context, jobs []*tagJob) error {
	if t.Memory == nil {
		return nil
	}
	var notes []customer.Note
	var of []*tagJob
	for _, j := range jobs {
		if j.lead != nil && j.lead.Event != streams.EventSegment {
			notes, of = append(notes, customer.Note{Lead: j.lead, Mark: t.markOf(j)}), append(of, j)
		}
	}
	if len(notes) == 0 {
		return nil
	}
	known, err := t.Memory.Note(ctx, notes)
	if err != nil {
		return t.withoutMemory(err)
	}
	for i, k := range known {
		if k != nil {
			of[i].known = k
			of[i].line.counters = countersOf(k.Past)
		}
	}
	return nil
}

// withoutMemory lets leads go on when Redis has answered, but not with what was asked: out of memory, no permission, a
// key of another sort.
func (t *Tagging) withoutMemory(err error) error {
	var answer redis.Error
	if !errors.As(err, &answer) || redis.HasErrorPrefix(err, "LOADING") || redis.HasErrorPrefix(err, "READONLY") || redis.HasErrorPrefix(err, "CLUSTERDOWN") {
		return err
	}
	t.Metrics.unremembered()
	t.Log.Error().Err(err).Str("queue", streams.Triaged).Msg("customers are not remembered; leads go on without counters")
	return nil
}

// markOf is what a lead says of its customer.
func (t *Tagging) markOf(j *tagJob) customer.Mark {
	l, now := j.lead, t.Memory.Clock()
	at := l.EventAt
	if at.IsZero() {
		at = l.ReceivedAt
	}
	if at.IsZero() || at.After(now) {
		at = now
	}
	m := customer.Mark{ID: l.ID, At: at, Sentiment: l.Sentiment, Reasons: j.reasons, Kinds: map[string]int{}}
	if l.Event != "" {
		m.Kinds[l.Event] = 1
	} else {
		m.Kinds[customer.Enquiry] = 1
		for _, intent := range intentsOf(l) {
			if className.MatchString(intent) {
				m.Kinds[customer.Intent+intent] = 1
			}
		}
	}
	for class, n := range j.hot {
		m.Kinds[customer.Hot+class] = n
	}
	return m
}

func intentsOf(l *streams.Lead) []string { return union([]string{l.Intent}, l.Intents) }

// segment judges the customers of a batch once all that came of them is known, and puts the segments into the leads.
func (t *Tagging) segment(jobs []*tagJob) []customer.Change {
	latest := map[string]judgement{} // of a customer's several leads the last one says all, also that nothing changes
	for _, j := range jobs {
		if j.known == nil {
			continue
		}
		is := t.segments.judge(j.known, false)
		for _, seg := range is.in {
			j.lead.Tags = union(j.lead.Tags, seg.Tags)
			if j.lead.Level == "" {
				j.lead.Level = seg.Level
			}
			if j.lead.Priority == 0 {
				j.lead.Priority = seg.Priority
			}
		}
		j.lead.Segments = namesOf(is.in)
		latest[j.known.Key()] = is
	}
	var changes []customer.Change
	for _, is := range latest {
		if is.change != nil {
			changes = append(changes, *is.change)
		}
		t.Metrics.segments(is)
	}
	return changes
}

// watchEvery is how often it is looked whether a customer's time has come.
const watchEvery = time.Second

// watchBatch is how many customers are judged at a time.
const watchBatch = 100

// Watch judges customers whose time has come though nothing came of them, until ctx ends: who has been silent for too
// long, whose message nobody has read. Several daemons may watch one Redis: a change is carried out once.
func (t *Tagging) Watch(ctx context.Context) error {
	if t.Memory == nil {
		return nil
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var learnt time.Time
	for {
		if time.Since(learnt) > learnEach {
			if err := t.learn(ctx); err == nil {
				learnt = time.Now()
			}
		}
		for {
			n, err := t.judgeDue(ctx)
			if err != nil && ctx.Err() == nil {
				t.Log.Debug().Err(err).Msg("customers whose time has come are judged later")
			}
			if err != nil || n == 0 {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// judgeDue judges some of the customers whose time has come, and answers how many.
func (t *Tagging) judgeDue(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for p := range max(t.Memory.Partitions, 1) {
		due, err := t.Memory.Due(ctx, p, watchBatch)
		if err != nil {
			return n, err
		}
		var changes []customer.Change
		for _, known := range due {
			is := t.segments.judge(known, true)
			t.Metrics.segments(is)
			changes = append(changes, *is.change)
		}
		if err := t.Memory.Apply(ctx, changes); err != nil {
			return n, err
		}
		n += len(due)
	}
	return n, nil
}

// TaggingMetrics count what is found in leads. Their labels are names of the configuration, never texts.
type TaggingMetrics struct {
	hotWords, segment, events *prometheus.CounterVec
	lost                      prometheus.Counter
}

// NewTaggingMetrics registers them.
func NewTaggingMetrics(reg prometheus.Registerer) (*TaggingMetrics, error) {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leadstream_" + name, Help: help}, labels)
	}
	m := &TaggingMetrics{
		hotWords: vec("hot_words_total", "Hot words in enquiries by class (G-15).", "class"),
		segment:  vec("segment_changes_total", "Customers who have come into a segment, or left it.", "segment", "change"),
		events:   vec("events_total", "News of customers by name.", "event"),
		lost: prometheus.NewCounter(prometheus.CounterOpts{Name: "leadstream_customers_unremembered_total",
			Help: "Batches of leads that went on without what is known of their customers, because Redis refused."}),
	}
	return m, errors.Join(reg.Register(m.hotWords), reg.Register(m.segment), reg.Register(m.events), reg.Register(m.lost))
}

// ready shows every series from the start: a rate over one that appears later misses its first event.
func (m *TaggingMetrics) ready(classes []string, segments []Segment) {
	if m == nil {
		return
	}
	for _, class := range classes {
		m.hotWords.WithLabelValues(class)
	}
	for _, s := range segments {
		m.segment.WithLabelValues(s.Name, "entered")
		m.segment.WithLabelValues(s.Name, "left")
	}
	for _, name := range append(slices.Clone(streams.Events), streams.EventSegment) {
		m.events.WithLabelValues(name)
	}
}

func (m *TaggingMetrics) unremembered() {
	if m != nil {
		m.lost.Inc()
	}
}

func (m *TaggingMetrics) segments(j judgement) {
	if m == nil {
		return
	}
	for _, name := range j.entered {
		m.segment.WithLabelValues(name, "entered").Inc()
	}
	for _, name := range j.left {
		m.segment.WithLabelValues(name, "left").Inc()
	}
}

// lead counts the words of an enquiry, or the news.
func (m *TaggingMetrics) lead(j *tagJob) {
	if m == nil {
		return
	}
	for class, n := range j.hot {
		m.hotWords.WithLabelValues(class).Add(float64(n))
	}
	if e := j.lead.Event; e != "" && (e == streams.EventSegment || slices.Contains(streams.Events, e)) {
		m.events.WithLabelValues(e).Inc()
	}
}

func sortedClasses(hot map[string]int) []string {
	if len(hot) == 0 {
		return nil
	}
	names := make([]string, 0, len(hot))
	for class := range hot {
		names = append(names, class)
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
