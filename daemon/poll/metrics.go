package poll

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	state, pending *prometheus.GaugeVec
	calls, losses  *prometheus.CounterVec
}

// meter is one source's series.
type meter struct {
	state      map[string]prometheus.Gauge
	pending    prometheus.Gauge
	good, poor prometheus.Counter
	losses     map[string]prometheus.Counter
}

// Why what was said will not be brought any more: the values of the label `why` of losses.
const (
	lostTooLong    = "too_long"   // the outage was longer than can be fetched
	lostForgotten  = "forgotten"  // the service kept it for a shorter time than we were away
	lostHidden     = "hidden"     // the service does not show it
	lostUnreadable = "unreadable" // it shows something that cannot be read
)

var losses = []string{lostTooLong, lostForgotten, lostHidden, lostUnreadable}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "leadstream_channel_down",
			Help: "1 while a messenger cannot be asked or does not send, by the reason."}, []string{"source", "why"}),
		pending: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "leadstream_channel_pending",
			Help: "Events that wait at the service for its webhook, where it says so."}, []string{"source"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leadstream_channel_asked_total",
			Help: "Questions to messengers for new messages, and looks at their webhooks, by result."}, []string{"source", "result"}),
		losses: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leadstream_channel_lost_total",
			Help: "Times that a part of what customers wrote cannot be had from a messenger any more, by the reason."}, []string{"source", "why"}),
	}
	for _, c := range []prometheus.Collector{m.state, m.pending, m.calls, m.losses} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("channel metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) of(source string) *meter {
	of := &meter{state: map[string]prometheus.Gauge{}, pending: m.pending.WithLabelValues(source), good: m.calls.WithLabelValues(source, "ok"), poor: m.calls.WithLabelValues(source, "failed"),
		losses: map[string]prometheus.Counter{}}
	for _, why := range losses {
		of.losses[why] = m.losses.WithLabelValues(source, why)
	}
	for _, why := range whys {
		of.state[why] = m.state.WithLabelValues(source, why)
	}
	return of
}

func (m *meter) up() { m.down("") }

// down says why the channel is down; empty: it is not.
func (m *meter) down(why string) {
	for name, gauge := range m.state {
		switch name {
		case why:
			gauge.Set(1)
		case whyMissed: // new messages may come all the same
		default:
			gauge.Set(0)
		}
	}
}

// missing says whether something of an outage is still to be fetched, and was tried in vain.
func (m *meter) missing(some bool) {
	m.state[whyMissed].Set(0)
	if some {
		m.state[whyMissed].Set(1)
	}
}

func (m *meter) lose(why string) { m.losses[why].Inc() }

func (m *meter) asked(ok bool) {
	if ok {
		m.good.Inc()
	} else {
		m.poor.Inc()
	}
}

// Down tells of each source why it brings nothing; other sources that are asked, mailboxes, use it too.
func (c *Channels) Down() *prometheus.GaugeVec { return c.metrics.state }
