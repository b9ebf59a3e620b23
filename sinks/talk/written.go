package talk

import (
	"cmp"
	"errors"
	"strings"

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
