package processors

import (
	"testing"
	"time"

	"github.com/expr-lang/expr/vm"

	"leadstream/streams"
)

// FuzzRule: an expression that is accepted can be asked of any lead, without a panic and in bounded time.
func FuzzRule(f *testing.F) {
	f.Add(`has(message, "имплант") && hot`, "хочу имплант")
	f.Add(`utm["source"] == "yandex"`, "")
	f.Add(`any(1..9999, # > 3)`, "x")
	f.Fuzz(func(t *testing.T, when, message string) {
		if len(when) > 500 || len(message) > 2000 {
			return
		}
		p, err := compileRule(when)
		if err != nil {
			return
		}
		began := time.Now()
		_, _ = matches(&vm.VM{}, p, lineOf(&streams.Lead{Message: message, Phone: "+79990000011"}, time.UTC))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%q took %s", when, took)
		}
	})
}
