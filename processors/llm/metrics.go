package llm

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leadstream/processors"
	"leadstream/streams"
)

type metrics struct {
	calls     *prometheus.CounterVec
	seconds   prometheus.Histogram
	tokens    *prometheus.CounterVec
	money     prometheus.Counter
	fallbacks *prometheus.CounterVec
	opinions  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, guard *streams.Destination) *metrics {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leadstream_llm_calls_total",
			Help: "Calls of the language model, by what came of them."}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "leadstream_llm_seconds", Help: "Time of one call of the language model.",
			Buckets: []float64{.1, .25, .5, 1, 2, 3, 4, 5}}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leadstream_llm_tokens_total",
			Help: "Tokens that the language model has counted."}, []string{"kind"}),
		money: prometheus.NewCounter(prometheus.CounterOpts{Name: "leadstream_llm_money_total",
			Help: "What the language model has cost, by the prices in the config."}),
		fallbacks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leadstream_llm_fallbacks_total",
			Help: "Messages of which the offline verdict stood although the language model was to be asked, by reason."}, []string{"reason"}),
		opinions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "leadstream_llm_opinions_total",
			Help: "What the language model's answers have come to."}, []string{"outcome"}),
	}
	for _, r := range []string{crowded, busy, paused, broken, noBudget, late, failed, nonsense, refused} {
		m.fallbacks.WithLabelValues(r)
	}
	if reg != nil {
		reg.MustRegister(m.calls, m.seconds, m.tokens, m.money, m.fallbacks, m.opinions,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "leadstream_llm_resting", Help: "1 while the language model is paused or its breaker is open."}, func() float64 {
				if s := guard.State(context.Background()); s.Paused || s.Breaker != "closed" {
					return 1
				}
				return 0
			}))
	}
	return m
}

func (m *metrics) call(s step, took time.Duration, in, out int, money float64) {
	result := s.why
	if result == "" {
		result = "ok"
	} else if s.adapt != nil {
		result = "adapted"
	}
	m.calls.WithLabelValues(result).Inc()
	m.seconds.Observe(took.Seconds())
	m.tokens.WithLabelValues("input").Add(float64(in))
	m.tokens.WithLabelValues("output").Add(float64(out))
	m.money.Add(money)
}

func (m *metrics) fallback(reason string) { m.fallbacks.WithLabelValues(reason).Inc() }

func (m *metrics) opinion(o processors.Opinion) {
	outcome := "unsure"
	switch {
	case o.Disagree:
		outcome = "disagreed"
	case o.By != processors.ByOffline:
		outcome = "answered"
	}
	m.opinions.WithLabelValues(outcome).Inc()
}
