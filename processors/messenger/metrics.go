package messenger

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leadstream/streams"
	"leadstream/streams/outbound"
)

// Metrics count what goes to customers. Nil counts nothing.
type Metrics struct {
	tries    *prometheus.CounterVec   // channel, purpose, result
	took     *prometheus.HistogramVec // channel
	holds    *prometheus.CounterVec   // reason
	ends     *prometheus.CounterVec   // purpose, state, channel
	dueNow   prometheus.Gauge
	strange  *prometheus.CounterVec // channel
	checks   *prometheus.GaugeVec   // channel
	switched *prometheus.GaugeVec   // channel
}

// NewMetrics makes and registers them.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leadstream_messages_" + name, Help: help}, labels)
	}
	m := &Metrics{
		tries: counter("tried_total", "Calls of the channels to customers.", "channel", "purpose", "result"),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "leadstream_messages_call_seconds", Help: "How long calls of the channels took.",
			Buckets: []float64{.05, .1, .2, .4, .8, 1.5, 3, 6, 12, 30}}, []string{"channel"}),
		holds:   counter("held_total", "Messages to customers that were put off, by reason.", "reason"),
		ends:    counter("ended_total", "Messages to customers that have come to an end.", "purpose", "state", "channel"),
		dueNow:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "leadstream_messages_due", Help: "Messages to customers found due at the last look."}),
		strange: counter("unknown_status_total", "News of messages that did not go out here.", "channel"),
		checks: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "leadstream_channel_check_seconds", Help: "How long the last check of the channel's server took; -1: it failed."},
			[]string{"channel"}),
		switched: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "leadstream_channel_backup", Help: "1 while the channel's backup server is used."}, []string{"channel"}),
	}
	return m, errors.Join(reg.Register(m.tries), reg.Register(m.took), reg.Register(m.holds), reg.Register(m.ends), reg.Register(m.dueNow),
		reg.Register(m.strange), reg.Register(m.checks), reg.Register(m.switched))
}

func (m *Metrics) tried(channel string, p outbound.Purpose, r streams.Result, took time.Duration) {
	if m != nil {
		m.tries.WithLabelValues(channel, string(p), r.String()).Inc()
		m.took.WithLabelValues(channel).Observe(took.Seconds())
	}
}

func (m *Metrics) held(reason string) {
	if m != nil {
		m.holds.WithLabelValues(reason).Inc()
	}
}

func (m *Metrics) due(n int) {
	if m != nil {
		m.dueNow.Set(float64(n))
	}
}

func (m *Metrics) unknown(channel string) {
	if m != nil {
		m.strange.WithLabelValues(channel).Inc()
	}
}

func (m *Metrics) checked(channel string, took time.Duration, err error) {
	if m == nil {
		return
	}
	seconds := took.Seconds()
	if err != nil {
		seconds = -1
	}
	m.checks.WithLabelValues(channel).Set(seconds)
}

func (m *Metrics) backup(channel string, yes bool) {
	if m == nil {
		return
	}
	value := 0.0
	if yes {
		value = 1
	}
	m.switched.WithLabelValues(channel).Set(value)
}

// ended counts a change that brings a message to an end.
func (m *Metrics) ended(c *outbound.Change) {
	if m == nil || c.Message.State == c.State {
		return
	}
	if c.State != outbound.Done && c.State != outbound.Dropped && c.State != outbound.Failed {
		return
	}
	channel := ""
	if c.Step != nil {
		channel = c.Step.Channel
	} else if s := lastStep(&c.Message); s != nil {
		channel = s.Channel
	}
	m.ends.WithLabelValues(string(c.Message.Purpose), string(c.State), channel).Inc()
}
