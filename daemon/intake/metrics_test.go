package intake

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// nonZero leaves out the counters that have not moved.
type nonZero struct{ prometheus.Gatherer }

func (g nonZero) Gather() ([]*dto.MetricFamily, error) {
	families, err := g.Gatherer.Gather()
	for _, family := range families {
		var moved []*dto.Metric
		for _, metric := range family.Metric {
			if metric.GetCounter().GetValue() != 0 {
				moved = append(moved, metric)
			}
		}
		family.Metric = moved
	}
	return families, err
}
