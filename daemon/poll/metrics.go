package poll

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	state, pending *prometheus.GaugeVec
	calls          *prometheus.CounterVec
}

// meter is one source's series.
type meter struct {
	state      map[string]prometheus.Gauge
	pending    prometheus.Gauge
	good, poor prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "leadstream_channel_down",
			Help: "1 while a messenger cannot be asked or does not send, by the reason."}, []string{"source", "why"}),
		pending: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "leadstream_channel_pending",
			Help: "Events that wait at the service for its webhook, where it says so."}, []string{"source"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leadstream_channel_asked_total",
			Help: "Questions to messengers for new messages, and looks at their webhooks, by result."}, []string{"source", "result"}),
	}
	for _, c := range []prometheus.Collector{m.state, m.pending, m.calls} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("channel metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) of(source string) *meter {
	of := &meter{state: map[string]prometheus.Gauge{}, pending: m.pending.WithLabelValues(source), good: m.calls.WithLabelValues(source, "ok"), poor: m.calls.WithLabelValues(source, "failed")}
	for _, why := range whys {
		of.state[why] = m.state.WithLabelValues(source, why)
	}
	return of
}

func (m *meter) up() { m.down("") }

// down says why the channel is down; empty: it is not.
func (m *meter) down(why string) {
	for name, gauge := range m.state {
		if name == why {
			gauge.Set(1)
		} else {
			gauge.Set(0)
		}
	}
}

func (m *meter) asked(ok bool) {
	if ok {
		m.good.Inc()
	} else {
		m.poor.Inc()
	}
}

// Down tells of each source why it brings nothing; other sources that are asked, mailboxes, use it too.
func (c *Channels) Down() *prometheus.GaugeVec { return c.metrics.state }
