package monitor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"

	"leadstream/processors"
)

// The severities. Critical ignores quiet hours and climbs the escalation chain.
const (
	Critical = "critical"
	Warning  = "warning"
)

// Rule is one condition to be told of: an expression over metrics, how long it must hold, and what a person reads.
// It is asked once for each set of labels that its metrics have, and each set is an alert of its own.
type Rule struct {
	Name          string        `koanf:"name"`
	When          string        `koanf:"when"`            // fires: queue_length > 50
	Clear         string        `koanf:"clear"`           // ends: queue_length < 40; empty: as soon as When is false
	For           time.Duration `koanf:"for"`             // When must hold for so long
	KeepFiringFor time.Duration `koanf:"keep_firing_for"` // and the end too
	Sample        string        `koanf:"sample"`          // a metric that counts the cases behind a ratio
	MinSample     float64       `koanf:"min_sample"`      // fewer cases say nothing: 0 of 0 is no failure
	Severity      string        `koanf:"severity"`        // critical or warning; empty is warning
	Group         string        `koanf:"group"`           // alerts of one group share messages; empty is Name
	Inhibits      []string      `koanf:"inhibits"`        // rules that are mute while this one fires
	BusinessHours bool          `koanf:"business_hours"`  // told of only while the business works, by its working time
	Texts         Texts         `koanf:"texts"`           // by language
}

// Texts are what a person reads of an alert, by language ("ru", "en"): templates with .Value, .Labels, .Values of any metric
// with these labels or with none, .Currency and `percent`.
type Texts map[string]Text

// Text is an alert in one language.
type Text struct {
	Title string `koanf:"title"` // what is wrong
	Do    string `koanf:"do"`    // what to do about it
	SMS   string `koanf:"sms"`   // both, in one segment
}

// rule is a Rule made ready.
type rule struct {
	Rule
	when, clear      *vm.Program
	metrics          []string // that the expressions name
	title, do, short *template.Template
}

// maxNodes bounds an expression; conditions are short.
const maxNodes = 200

// compile checks rules against the metrics that exist. Its error holds every fault at once: a rule that would never
// fire must not look like peace.
func compile(rules []Rule, metrics []string, language string) ([]*rule, error) {
	var faults []error
	var ready []*rule
	fault := func(i int, key, problem, cure string) {
		faults = append(faults, processors.Fault{Key: fmt.Sprintf("alerts.rules[%d]%s", i, key), Problem: problem, Cure: cure})
	}
	env := map[string]any{}
	for _, m := range metrics {
		env[m] = 0.0
	}
	names := map[string]bool{}
	for _, r := range rules {
		names[r.Name] = true
	}
	seen := map[string]bool{}
	for i, r := range rules {
		c := &rule{Rule: r}
		if r.Name == "" || seen[r.Name] {
			fault(i, ".name", fmt.Sprintf("%q is empty or used twice", r.Name), "give each rule a name of its own")
		}
		seen[r.Name] = true
		if r.Severity == "" {
			c.Severity = Warning
		} else if r.Severity != Critical && r.Severity != Warning {
			fault(i, ".severity", fmt.Sprintf("%q is unknown", r.Severity), "write critical or warning")
		}
		if r.Group == "" {
			c.Group = r.Name
		}
		if (r.Sample == "") != (r.MinSample == 0) {
			fault(i, ".min_sample", "sample and min_sample need each other", "write both or neither")
		}
		if r.Sample != "" && !slices.Contains(metrics, r.Sample) {
			fault(i, ".sample", fmt.Sprintf("there is no metric %q", r.Sample), "write one of "+strings.Join(metrics, ", "))
		}
		for _, n := range r.Inhibits {
			if !names[n] {
				fault(i, ".inhibits", fmt.Sprintf("there is no rule %q", n), "write the name of another rule")
			}
		}
		var err error
		if c.when, err = c.expression(r.When, env); err != nil {
			fault(i, ".when", err.Error(), "write a condition such as queue_length > 50 over "+strings.Join(metrics, ", "))
		}
		if r.Clear != "" {
			if c.clear, err = c.expression(r.Clear, env); err != nil {
				fault(i, ".clear", err.Error(), "write a condition such as queue_length < 40 over "+strings.Join(metrics, ", "))
			}
		}
		if err := c.texts(language); err != nil {
			fault(i, ".texts", err.Error(), "use .Value, .Labels.queue and percent .Value")
		}
		ready = append(ready, c)
	}
	return ready, errors.Join(faults...)
}

func (r *rule) expression(text string, env map[string]any) (*vm.Program, error) {
	p, err := expr.Compile(text, expr.Env(env), expr.AsBool(), expr.MaxNodes(maxNodes))
	if err != nil {
		return nil, err
	}
	node := p.Node()
	ids := identifiers{}
	ast.Walk(&node, &ids)
	for _, name := range ids.names {
		if _, known := env[name]; known && !slices.Contains(r.metrics, name) {
			r.metrics = append(r.metrics, name)
		}
	}
	if len(r.metrics) == 0 {
		return nil, errors.New("it names no metric")
	}
	return p, nil
}

type identifiers struct{ names []string }

func (v *identifiers) Visit(node *ast.Node) {
	if n, ok := (*node).(*ast.IdentifierNode); ok {
		v.names = append(v.names, n.Value)
	}
}
