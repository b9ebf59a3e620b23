package talk

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"leadstream/sinks"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// written is the text of w with its buttons written out, a line each, for channels that have none.
func written(w outbound.Words) string {
	var b strings.Builder
	b.WriteString(strings.TrimSpace(w.Text))
	for i, button := range w.Buttons {
		if i == 0 {
			b.WriteString("\n")
		}
		b.WriteString("\n" + strings.TrimSpace("– "+sinks.Line(button.Text, 200)))
		if button.URL != "" {
			b.WriteString(": " + button.URL)
		}
	}
	return b.String()
}

// said is what comes back when a button is pressed.
func said(b outbound.Button) string { return cmp.Or(b.Data, b.Text) }

// empty is the verdict on words without a text.
func empty(channel string) outbound.Tried {
	return outbound.Tried{Verdict: streams.Verdict{Result: streams.Permanent, Code: "empty", Err: errors.New(channel + ": the message has no text")}}
}

// aPerson is the time until the next try where a person must act first.
const aPerson = 5 * time.Minute

// refusal is what one code of a service comes to.
type refusal struct {
	result streams.Result
	after  time.Duration
	scope  streams.Scope
	means  outbound.Means
	say    string
}

// tried applies a refusal. A code without one is final: nobody knows what would cure it.
func (r refusal) tried(service, code string) outbound.Tried {
	if r.say == "" {
		r = refusal{result: streams.Permanent, say: "refused for a reason that is not known"}
	}
	return outbound.Tried{Means: r.means, Verdict: streams.Verdict{Result: r.result, After: r.after, Scope: r.scope, Code: code,
		Fault: r.result == streams.Ambiguous, Err: fmt.Errorf("%s: code %s: %s", service, code, r.say)}}
}
