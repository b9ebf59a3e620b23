package monitor

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"leadstream/streams"
)

// blindFor is how long an alert outlives its measurements: a source that stumbles must not end what it cannot see.
const blindFor = 10 * time.Minute

// evaluate asks every rule of every set of labels, and moves the alerts on.
func (m *Monitor) evaluate(values []Value, now time.Time) {
	series := map[string]map[string]Value{} // by name, by labels
	for _, v := range values {
		v.Labels = maps.Clone(v.Labels)
		maps.DeleteFunc(v.Labels, func(_, value string) bool { return value == "" }) // an empty label is none
		if series[v.Name] == nil {
			series[v.Name] = map[string]Value{}
		}
		series[v.Name][labelKey(v.Labels)] = v
	}
	for _, r := range m.rules {
		for _, labels := range m.labelSets(r, series) {
			if env, ok := r.env(series, labels); ok {
				if a := m.move(r, labels, env, now); a != nil {
					a.values = valuesOf(series, labels)
				}
			}
		}
	}
	for id, a := range m.state.Alerts {
		if now.Sub(a.Seen) >= blindFor {
			delete(m.state.Alerts, id)
		}
	}
	maps.DeleteFunc(m.state.Silences, func(_ string, until time.Time) bool { return !now.Before(until) })
	m.mute()
}

// labelSets are those of all the metrics that the rule names, and of its alerts: of a set that is measured no more a metric
// without labels says how it stands.
func (m *Monitor) labelSets(r *rule, series map[string]map[string]Value) (sets []map[string]string) {
	seen := map[string]bool{}
	for _, name := range r.metrics {
		for _, key := range slices.Sorted(maps.Keys(series[name])) {
			if !seen[key] {
				seen[key] = true
				sets = append(sets, series[name][key].Labels)
			}
		}
	}
	for _, a := range m.state.Alerts {
		if a.rule == r && !seen[labelKey(a.Labels)] {
			sets = append(sets, a.Labels)
		}
	}
	return sets
}

// valuesOf is each metric's value with a set of labels, or else without any.
func valuesOf(series map[string]map[string]Value, labels map[string]string) map[string]number {
	values := map[string]number{}
	for name, by := range series {
		v, ok := by[labelKey(labels)]
		if !ok {
			v, ok = by[""]
		}
		if ok {
			values[name] = round(v.V)
		}
	}
	return values
}

// env is the values that the rule sees for a set of labels: each metric's with that set, else its one without labels.
func (r *rule) env(series map[string]map[string]Value, labels map[string]string) (map[string]any, bool) {
	env := map[string]any{}
	names := r.metrics
	if r.Sample != "" {
		names = append(slices.Clone(names), r.Sample)
	}
	for _, name := range names {
		v, ok := series[name][labelKey(labels)]
		if !ok {
			if v, ok = series[name][""]; !ok {
				return nil, false
			}
		}
		env[name] = v.V
	}
	return env, true
}

// move takes one alert a step further through pending, firing and clear, and answers it when there is one.
func (m *Monitor) move(r *rule, labels map[string]string, env map[string]any, now time.Time) *alert {
	id := fingerprint(r.Name, labels)
	a := m.state.Alerts[id]
	enough := r.Sample == "" || env[r.Sample].(float64) >= r.MinSample
	when := enough && truth(r.when, env)
	if a == nil {
		if !when {
			return nil
		}
		a = &alert{Rule: r.Name, Labels: labels, Since: now, rule: r}
		m.state.Alerts[id] = a
	}
	a.Seen, a.Value = now, env[r.metrics[0]].(float64)
	if !a.firing() {
		if !when {
			delete(m.state.Alerts, id)
		} else if now.Sub(a.Since) >= r.For {
			a.Fired = now
		}
		return a
	}
	over := !when
	if enough && r.clear != nil {
		over = !when && truth(r.clear, env)
	}
	switch {
	case !over:
		a.Clear = time.Time{}
	case a.Clear.IsZero():
		a.Clear = now
		fallthrough
	default:
		if now.Sub(a.Clear) >= r.KeepFiringFor {
			delete(m.state.Alerts, id)
		}
	}
	return a
}

// mute marks the alerts that are silenced, or of which a firing alert is the cause.
func (m *Monitor) mute() {
	for _, a := range m.state.Alerts {
		_, a.muted = m.state.Silences[a.Rule]
		for _, by := range m.state.Alerts {
			if by.firing() && slices.Contains(by.rule.Inhibits, a.Rule) && related(by.Labels, a.Labels) {
				a.muted = true
			}
		}
	}
}

// related says whether a cause with labels explains an alert: one without labels explains all, else those labels that
// both have must agree, and be at least one.
func related(cause, alert map[string]string) bool {
	shared := 0
	for k, v := range cause {
		w, ok := alert[k]
		if ok && v != w {
			return false
		}
		if ok {
			shared++
		}
	}
	return len(cause) == 0 || shared > 0
}

func truth(p *vm.Program, env map[string]any) bool {
	out, err := expr.Run(p, env)
	return err == nil && out.(bool)
}

// fingerprint names an alert by its rule and labels, never by a value: 51 after 50 is no news.
func fingerprint(rule string, labels map[string]string) string {
	return streams.NewID("alert", rule, labelKey(labels))[:8]
}

func labelKey(labels map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(k + "\x00" + labels[k] + "\x00")
	}
	return b.String()
}
