package streams

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
	"unique"
)

// Three events are written for each lead, and all of them are read at the start, so like a lead they have a writer and a
// reader of their own. The format is that of event's tags; what is not exactly as encodeEvents writes it goes to
// encoding/json.

// encodeEvents is json.Marshal of events.
func encodeEvents(events []event) ([]byte, error) {
	w := leadWriter{b: append(make([]byte, 0, 160*len(events)+2), '[')}
	for i := range events {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.event(&events[i])
	}
	return append(w.b, ']'), w.err
}

// event writes the members that every event has, and then those that are there. Its first key is written here: the
// writer's own sets a comma by how much it has written.
func (w *leadWriter) event(e *event) {
	w.b = append(w.b, `{"l":`...)
	w.quote(e.Lead)
	w.key("k")
	w.quote(string(e.Kind))
	w.text("d", e.Dest)
	w.list("ds", e.Dests)
	w.text("r", e.Remote)
	w.text("w", e.Reason)
	if e.Attempts != 0 {
		w.key("a")
		w.b = strconv.AppendInt(w.b, int64(e.Attempts), 10)
	}
	if len(e.Tries) > 0 {
		tries, err := json.Marshal(e.Tries)
		if err != nil {
			w.err = fmt.Errorf("event: tries: %w", err)
		}
		w.key("t")
		w.b = append(w.b, tries...)
	}
	w.key("at")
	w.b = append(w.b, '"')
	var err error
	if w.b, err = e.At.UTC().AppendText(w.b); err != nil {
		w.err = fmt.Errorf("event: at: %w", err)
	}
	w.b = append(w.b, '"')
	w.text("o", e.RepeatOf)
	if e.Undoes != 0 {
		w.key("u")
		w.b = strconv.AppendInt(w.b, e.Undoes, 10)
	}
	w.text("f", e.First)
	w.b = append(w.b, '}')
}

// decodeEvents is json.Unmarshal of events. Their texts have memory of their own: the ledger keeps some for a long time.
func decodeEvents(b []byte) ([]event, error) { return readEvents(b, leadReader{rest: string(b)}) }

// decodeShared is decodeEvents for whoever keeps none of their texts: those may share one piece of memory.
func decodeShared(b []byte) ([]event, error) {
	return readEvents(b, leadReader{rest: string(b), shared: true})
}

func readEvents(b []byte, r leadReader) ([]event, error) {
	if events, ok := r.events(); ok && r.rest == "" && utf8.Valid(b) {
		return events, nil
	}
	var events []event
	err := json.Unmarshal(b, &events)
	return events, err
}

func (r *leadReader) events() ([]event, bool) {
	events := make([]event, 0, strings.Count(r.rest, `{"l":`))
	for sep := "["; sep == "[" || !r.skip("]"); sep = "," {
		var e event
		if !r.skip(sep) || !r.members(func(key string) bool { return r.eventMember(&e, key) }) {
			return nil, false
		}
		events = append(events, e)
	}
	return events, true
}

func (r *leadReader) eventMember(e *event, key string) (ok bool) {
	switch key {
	case "l":
		e.Lead, ok = r.ownText()
	case "k":
		var kind string
		kind, ok = r.text()
		e.Kind = kindNamed(kind)
		ok = ok && e.Kind != ""
	case "d":
		e.Dest, ok = r.text()
		e.Dest = intern(e.Dest)
	case "ds":
		if e.Dests == nil { // else it comes twice
			e.Dests, ok = r.list()
			for i := range e.Dests {
				e.Dests[i] = intern(e.Dests[i])
			}
		}
	case "r":
		e.Remote, ok = r.ownText()
	case "w":
		e.Reason, ok = r.ownText()
	case "a":
		e.Attempts, ok = r.number()
	case "at":
		e.At, ok = r.time()
	case "o":
		e.RepeatOf, ok = r.ownText()
	case "u":
		var ms int
		ms, ok = r.number()
		e.Undoes = int64(ms)
	case "f":
		e.First, ok = r.ownText()
	}
	return ok
}

func (r *leadReader) ownText() (string, bool) {
	s, ok := r.text()
	if r.shared {
		return s, ok
	}
	return strings.Clone(s), ok
}

// intern is a text that many leads have in common, such as a destination's name, once in memory for all of them.
func intern(s string) string { return unique.Make(s).Value() }

// kindNamed is the kind of that name without holding on to where the name stands; "" when there is none.
func kindNamed(name string) eventKind {
	for _, k := range eventKinds {
		if string(k) == name {
			return k
		}
	}
	return ""
}
