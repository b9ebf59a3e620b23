package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"leadstream/daemon/fetch"
	"leadstream/processors/learn"
	"leadstream/processors/messenger"
	"leadstream/processors/monitor"
	"leadstream/processors/unanswered"
	"leadstream/streams"
)

// measure gives the alert rules their numbers, from the ledger, Redis and the daemon's own counters.
type measure struct {
	custody      *streams.Custody
	engine       *streams.Engine
	destinations []*destination
	desk         *learn.Desk
	fetcher      *fetch.Fetcher       // nil: nothing is fetched
	watch        *unanswered.Watch    // nil: there are no records
	messages     *messenger.Messenger // nil: nobody is written to
	gatherer     prometheus.Gatherer
	lateAfter    func(string) time.Duration

	mu      sync.Mutex
	windows map[string]*window
}

// Spans over which rates and means are taken.
const (
	recently = 5 * time.Minute
	lastHour = time.Hour
)

// Values measures. What cannot be read now is left out, except that Redis is down.
func (m *measure) Values() []monitor.Value {
	m.mu.Lock()
	defer m.mu.Unlock()
	var vs []monitor.Value
	add := func(name string, v float64, labels ...string) {
		l := map[string]string{}
		for i := 0; i+1 < len(labels); i += 2 {
			l[labels[i]] = labels[i+1]
		}
		vs = append(vs, monitor.Value{Name: name, Labels: l, V: v})
	}
	by, day := m.custody.Standings(m.lateAfter)
	down := m.engine.RedisDownFor()
	add("redis_down", one(down > 0))
	add("journal_unhealthy", one(m.custody.Healthy() != nil))
	add("unexplained", float64(m.engine.Unexplained()))
	add("leads_day", float64(day))
	add("in_flight", float64(m.custody.Tally().Open))
	add("quarantine", m.over("quarantine", lastHour, float64(m.custody.Tally().Counts.Quarantined)))
	for source, n := range m.custody.Conflicts() {
		add("key_conflicts", m.over("conflicts "+source, lastHour, float64(n)), "source", source)
	}
	for _, d := range m.destinations {
		st := d.guard.State(context.Background())
		add("destination_paused", one(st.Paused), "destination", d.name)
		add("breaker_open", one(st.Breaker != "closed"), "destination", d.name)
		add("leads_late", float64(by[d.name].Late), "destination", d.name)
		add("leads_dead", float64(by[d.name].Dead), "destination", d.name)
	}
	add("leads_late", float64(by[""].Late), "destination", "")
	for source := range m.fetcher.Denied() {
		add("fetch_denied", 1, "source", source)
	}
	m.triage(add)
	m.waits(add)
	m.channels(add)
	if down == 0 {
		m.queues(add)
	}
	m.counters(add)
	return vs
}

// triage is how messages are understood.
func (m *measure) triage(add func(string, float64, ...string)) {
	h := m.desk.Health()
	add("triage_accuracy", h.Check, "by", "check")
	add("triage_judged", float64(h.Asked), "by", "check")
	add("triage_accuracy", h.Right, "by", "people")
	add("triage_judged", float64(h.Answers), "by", "people")
	add("operator_share", h.Operator)
	add("conversations", float64(h.Conversations))
	add("unlabelled", float64(h.Waiting))
}

// channels are the ways to customers (F-08, F-09).
func (m *measure) channels(add func(string, float64, ...string)) {
	if m.messages == nil {
		return
	}
	for _, h := range m.messages.Health(context.Background()) {
		add("answers_down", one(h.Down), "channel", h.Channel)
		add("answers_backup", one(h.Backup), "channel", h.Channel)
	}
	add("answers_failed", m.over("answers failed", lastHour, float64(m.messages.Failures())))
}

func (m *measure) queues(add func(string, float64, ...string)) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	states, err := m.engine.Queues(ctx)
	if err != nil {
		return
	}
	for _, q := range states {
		add("queue_length", float64(q.Length), "queue", q.Queue, "destination", destinationName(q.Queue))
	}
}

func destinationName(queue string) string {
	name, ok := strings.CutPrefix(queue, "to:")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(name, ":hot")
}

// counters turns the daemon's totals into rates and means of the last minutes.
func (m *measure) counters(add func(string, float64, ...string)) {
	families, err := m.gatherer.Gather()
	if err != nil {
		return
	}
	good, all := map[string]float64{}, map[string]float64{}
	first, quick := 0., 0. // answers by programs
	for _, f := range families {
		for _, s := range f.GetMetric() {
			l := labels(s)
			switch f.GetName() {
			case "leadstream_handle_seconds":
				q := l["queue"]
				sum := m.over("sum "+q, recently, s.GetHistogram().GetSampleSum())
				n := m.over("count "+q, recently, float64(s.GetHistogram().GetSampleCount()))
				if n > 0 {
					add("avg_processing_seconds", sum/n, "queue", q, "destination", destinationName(q))
				}
			case "leadstream_first_answer_seconds":
				if slices.Contains(programs, l["by"]) {
					h := s.GetHistogram()
					first += m.over("first "+l["channel"]+l["by"], lastHour, float64(h.GetSampleCount()))
					quick += m.over("quick "+l["channel"]+l["by"], lastHour, float64(upTo(h, inTime)))
				}
			case "leadstream_retried_total":
				n := m.over("retried "+l["destination"]+l["end"], lastHour, s.GetCounter().GetValue())
				all[l["destination"]] += n
				if l["end"] == string(streams.Delivered) {
					good[l["destination"]] += n
				}
			case "leadstream_channel_down":
				add("channel_down", s.GetGauge().GetValue(), "source", l["source"], "why", l["why"])
			case "leadstream_channel_lost_total":
				add("channel_lost", m.over("lost "+l["source"]+" "+l["why"], lastHour, s.GetCounter().GetValue()), "source", l["source"], "why", l["why"])
			case "leadstream_intake_mapping_errors_total":
				add("mapping_errors", m.over("mapping "+l["source"], lastHour, s.GetCounter().GetValue()), "source", l["source"])
			}
		}
	}
	add("first_answers", first)
	if first > 0 {
		add("first_answers_in_30s", quick/first)
	}
	for dest, n := range all {
		add("retries", n, "destination", dest)
		if n > 0 {
			add("retry_success_rate", good[dest]/n, "destination", dest)
		}
	}
}

// upTo is how many of a histogram's samples are not above a bound, which is one of its buckets'.
func upTo(h *dto.Histogram, bound float64) uint64 {
	for _, b := range h.GetBucket() {
		if b.GetUpperBound() == bound {
			return b.GetCumulativeCount()
		}
	}
	return 0
}

func labels(s *dto.Metric) map[string]string {
	l := map[string]string{}
	for _, p := range s.GetLabel() {
		l[p.GetName()] = p.GetValue()
	}
	return l
}

// window remembers a total's past, to tell how much it has grown lately.
type window struct {
	at    []time.Time
	total []float64
}

// over is how much a total has grown within the span.
func (m *measure) over(name string, span time.Duration, total float64) float64 {
	if m.windows == nil {
		m.windows = map[string]*window{}
	}
	w := m.windows[name]
	if w == nil {
		w = &window{}
		m.windows[name] = w
	}
	now := time.Now()
	w.at, w.total = append(w.at, now), append(w.total, total)
	for len(w.at) > 1 && now.Sub(w.at[0]) > span {
		w.at, w.total = w.at[1:], w.total[1:]
	}
	if now.Sub(w.at[0]) <= span && len(w.at) == 1 {
		return total
	}
	return total - w.total[0]
}
