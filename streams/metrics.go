package streams

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the engine's. Labels come from the configured queues and destinations, so every value is there from the
// start.
type Metrics struct {
	Forwarded prometheus.Counter // leads appended to Redis
	Epochs    prometheus.Counter // times that Redis came back flushed or restored
	Lost      prometheus.Counter // leads that had vanished from Redis and were driven again
	Deleted   prometheus.Counter // entries deleted from Redis under a queue
	Damaged   prometheus.Counter // entries whose bytes had changed in Redis

	Handled  *prometheus.CounterVec   // queue, result
	Took     *prometheus.HistogramVec // queue
	Delivery *prometheus.HistogramVec // destination: from accepted to delivered
	Retried  *prometheus.CounterVec   // destination, end: what became of entries that were retried
}

// NewMetrics makes and registers the engine's metrics for the given workers.
func NewMetrics(reg prometheus.Registerer, workers []*Worker) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "leadstream_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	m := &Metrics{
		Forwarded: counter("forwarded_total", "Leads appended to Redis."),
		Epochs:    counter("redis_losses_total", "Times Redis came back flushed or restored."),
		Lost:      counter("redriven_total", "Leads that had vanished from Redis and were driven again from the journal."),
		Deleted:   counter("entries_deleted_total", "Entries deleted from Redis under a queue."),
		Damaged:   counter("entries_damaged_total", "Entries whose bytes had changed in Redis."),
		Handled: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leadstream_handled_total",
			Help: "Tries at an entry, by queue and result."}, []string{"queue", "result"}),
		Took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "leadstream_handle_seconds",
			Help: "Time of one call of a processor or sink.", Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 14)}, []string{"queue"}),
		Delivery: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "leadstream_delivery_seconds",
			Help: "Time from accepted to delivered.", Buckets: prometheus.ExponentialBuckets(0.005, 2.5, 16)}, []string{"destination"}),
		Retried: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leadstream_retried_total",
			Help: "Entries that needed a retry, by how they ended."}, []string{"destination", "end"}),
	}
	reg.MustRegister(m.Handled, m.Took, m.Delivery, m.Retried)
	for _, w := range workers {
		for _, r := range resultNames {
			m.Handled.WithLabelValues(w.Queue, r)
		}
		m.Took.WithLabelValues(w.Queue)
		if d := w.destination(); d != "" {
			m.Delivery.WithLabelValues(d)
			for _, end := range []State{Delivered, Dead} {
				m.Retried.WithLabelValues(d, string(end))
			}
		}
	}
	return m
}

func (m *Metrics) handled(queue string, v Verdict, took time.Duration) {
	m.Handled.WithLabelValues(queue, v.Result.String()).Inc()
	m.Took.WithLabelValues(queue).Observe(took.Seconds())
}

func (m *Metrics) delivered(dest string, e *Entry, now time.Time) {
	m.Delivery.WithLabelValues(dest).Observe(now.Sub(e.Lead.ReceivedAt).Seconds())
	if e.meta.Attempts > 0 {
		m.Retried.WithLabelValues(dest, string(Delivered)).Inc()
	}
}

func (m *Metrics) died(dest string, e *Entry) {
	if dest != "" && e.meta.Attempts > 1 {
		m.Retried.WithLabelValues(dest, string(Dead)).Inc()
	}
}
