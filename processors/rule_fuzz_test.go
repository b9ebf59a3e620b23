package processors

import (
	"testing"
	"time"

	"github.com/expr-lang/expr/vm"

	"leadstream/processors/customer"
	"leadstream/streams"
)

// FuzzRule: an expression that is accepted can be asked of any lead, without a panic and in bounded time.
func FuzzRule(f *testing.F) {
	f.Add(`has(message, "имплант") && hot`, "хочу имплант")
	f.Add(`utm["source"] == "yandex"`, "")
	f.Add(`any(1..9999, # > 3)`, "x")
	f.Add(`count("hot:discount", "7d") > 3 and without("click", "order|visit", "72h")`, "скидка")
	f.Add(`count(tags, # == "x") == 1 or in_week(1) >= 3 and last_sentiment < 0.3`, "ужас")
	f.Add(`in_a_row("expensive") == interactions(30)`, "")
	f.Add(`days_since_reply > 60 and "churned" in segments`, "")
	at := time.Now()
	known := &customer.Past{Now: at, Marks: []customer.Mark{{ID: "a", At: at.Add(-time.Hour), Sentiment: 0.2, Kinds: map[string]int{customer.Enquiry: 1, "hot:discount": 4}}}}
	f.Fuzz(func(t *testing.T, when, message string) {
		if len(when) > 500 || len(message) > 2000 {
			return
		}
		p, err := compileRule(when)
		if err != nil {
			return
		}
		began := time.Now()
		line := lineOf(&streams.Lead{Message: message, Phone: "+79990000011"}, time.UTC)
		line.counters = countersOf(known)
		_, _ = matches(&vm.VM{}, p, line)
		_, _ = matches(&vm.VM{}, p, lineOf(&streams.Lead{Message: message, Phone: "+79990000011"}, time.UTC))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%q took %s", when, took)
		}
	})
}
