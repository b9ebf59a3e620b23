package fetch

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what is fetched.
type Metrics struct{ files *prometheus.CounterVec }

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{files: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "leadstream_files_total",
		Help: "Files that customers sent, by source and what became of them: stored, or the problem.",
	}, []string{"source", "result"})}
	return m, reg.Register(m.files)
}

func (m *Metrics) file(source, problem string) {
	if m != nil {
		m.files.WithLabelValues(source, cmp.Or(problem, "stored")).Inc()
	}
}
