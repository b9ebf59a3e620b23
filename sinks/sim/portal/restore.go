package portal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// restore reads the ledger file of an earlier run and does again what it tells of, so that a portal that was killed
// still has its leads. Lines that cannot be read are halves that a kill has left.
func (p *Portal) restore(file string) error {
	raw, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the portal's ledger: %w", err)
	}
	var events []Event
	for line := range bytes.Lines(raw) {
		var e Event
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.UseNumber()
		if dec.Decode(&e) != nil {
			continue
		}
		switch {
		case e.Seq == len(events)+1:
			events = append(events, e)
		case e.Seq >= 1 && e.Seq <= len(events):
			events[e.Seq-1] = e // the last line with a seq is the valid one
		default:
			return fmt.Errorf("portal's ledger %s: event %d follows %d", file, e.Seq, len(events))
		}
	}
	for _, e := range events {
		if err := p.redo(e); err != nil {
			return fmt.Errorf("portal's ledger %s: %w", file, err)
		}
	}
	return nil
}

// changing are the kinds of event that leave something behind.
var changing = []string{"create", "update", "delete", "comment", "activity", "task"}

func (p *Portal) redo(e Event) error {
	if slices.Contains(changing, e.Kind) {
		payload, err := json.Marshal(e.Payload)
		if err != nil {
			return fmt.Errorf("event %d: %w", e.Seq, err)
		}
		c := &call{p: p, rq: &rest{user: p.user(e.User)}, method: e.Method, args: newObject(), now: e.At}
		if err := readJSON(c.args, payload); err != nil {
			return fmt.Errorf("event %d: %w", e.Seq, err)
		}
		m, known := methods[e.Method]
		if !known || c.rq.user == nil {
			return fmt.Errorf("event %d: no method %s, or no user %d", e.Seq, e.Method, e.User)
		}
		if _, refused := m.run(c); refused != nil {
			return fmt.Errorf("event %d: %s", e.Seq, refused.Description)
		}
		p.ledger = p.ledger[:len(p.ledger)-1] // in its place comes the event as it was
	}
	p.ledger = append(p.ledger, e)
	return nil
}

// openLedger restores from the file, and opens it to go on.
func (p *Portal) openLedger(file string) error {
	if err := p.restore(file); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("opening the portal's ledger: %w", err)
	}
	if err := endLine(f); err != nil {
		_ = f.Close()
		return fmt.Errorf("ending the last line of the portal's ledger: %w", err)
	}
	p.file = f
	return nil
}

// endLine ends a half-written last line, or the next one would be lost with it.
func endLine(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, info.Size()-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = f.WriteString("\n")
	return err
}
