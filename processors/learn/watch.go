package learn

import (
	"encoding/json"
	"errors"
	"hash/maphash"
	"io/fs"
	"os"
	"slices"
	"time"

	"leadstream/processors/intent"
	"leadstream/streams"
)

// watch counts how triage does: how many of its answers a person had to correct, and how many customers ask for a
// person.
type watch struct {
	recent  []answered // the last that were answered, the oldest first
	changed bool

	told struct { // what conversations has last answered
		at         time.Time
		all, asked int
	}

	seed  maphash.Seed
	hours []hour // the last ones with messages, the oldest first
}

// answered is a message that triage was sure of.
type answered struct {
	Lead  string `json:"lead"`
	Said  string `json:"said"`
	Wrong bool   `json:"wrong,omitempty"` // a person has said so
}

// hour has the conversations of an hour, and whether they asked for a person.
type hour struct {
	at    time.Time
	asked map[uint64]bool
}

const (
	mostRecent   = 200            // answers over which the accuracy is counted
	window       = 24 * time.Hour // of conversations
	mostOfAnHour = 20_000         // conversations: beyond it, an hour's share does not change any more
)

func (w *watch) judged(l *streams.Lead, now time.Time) {
	if l.Answered && !slices.ContainsFunc(w.recent[max(0, len(w.recent)-20):], func(a answered) bool { return a.Lead == l.ID }) { // not when it is handed out again
		if w.recent = append(w.recent, answered{Lead: l.ID, Said: l.Intent}); len(w.recent) > mostRecent {
			w.recent = slices.Delete(w.recent, 0, len(w.recent)-mostRecent)
		}
		w.changed = true
	}
	if w.hours == nil {
		w.seed = maphash.MakeSeed()
	}
	at := now.Truncate(time.Hour)
	if len(w.hours) == 0 || !w.hours[len(w.hours)-1].at.Equal(at) {
		w.hours = append(w.hours, hour{at, map[uint64]bool{}})
	}
	h := w.hours[len(w.hours)-1]
	key := maphash.String(w.seed, l.OrderKey())
	if _, known := h.asked[key]; known || len(h.asked) < mostOfAnHour {
		h.asked[key] = h.asked[key] || slices.Contains(l.Intents, intent.Operator)
	}
}

// corrected hears what a person says that an answered message wanted, and answers what triage had said.
func (w *watch) corrected(lead, wants string) (said string) {
	for i := range w.recent {
		if a := &w.recent[i]; a.Lead == lead {
			a.Wrong, w.changed = a.Said != wants, true
			return a.Said
		}
	}
	return ""
}

// recount is how long a count stands: it goes through all conversations, and each metric asks for it.
const recount = 10 * time.Second

// conversations of the last day, and how many of them asked for a person.
func (w *watch) conversations(now time.Time) (all, asked int) {
	if age := now.Sub(w.told.at); age >= 0 && age < recount {
		return w.told.all, w.told.asked
	}
	w.hours = slices.DeleteFunc(w.hours, func(h hour) bool { return now.Sub(h.at) > window || h.at.After(now) })
	seen := map[uint64]bool{}
	for _, h := range w.hours {
		for key, a := range h.asked {
			seen[key] = seen[key] || a
		}
	}
	for _, a := range seen {
		if a {
			asked++
		}
	}
	w.told.at, w.told.all, w.told.asked = now, len(seen), asked
	return len(seen), asked
}

// Health is how triage does.
type Health struct {
	Check         float64 // accuracy in the model's own examination
	Asked         int     // phrases in it
	Answers       int     // the last ones, at most 200
	Right         float64 // the share of them that no person has corrected
	Conversations int     // of the last 24 hours
	Operator      float64 // the share of them that asked for a person
	Waiting       int     // messages for a label
	Lessons       int
}

// Health says how triage does.
func (d *Desk) Health() Health {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := Health{Answers: len(d.watch.recent), Waiting: len(d.kept) + len(d.coming), Lessons: len(d.labels)}
	wrong := 0
	for _, a := range d.watch.recent {
		if a.Wrong {
			wrong++
		}
	}
	if h.Answers > 0 {
		h.Right = 1 - float64(wrong)/float64(h.Answers)
	}
	all, asked := d.watch.conversations(d.Now())
	if h.Conversations = all; all > 0 {
		h.Operator = float64(asked) / float64(all)
	}
	if m := d.Current.Model(); m != nil {
		h.Check, h.Asked = m.Check().Accuracy, m.Check().Asked
	}
	return h
}

func (w *watch) read(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_ = json.Unmarshal(text, &w.recent) // damaged: counting begins anew
	return nil
}

func (w *watch) write(path string) error {
	if !w.changed {
		return nil
	}
	text, err := json.Marshal(w.recent)
	if err != nil {
		return err
	}
	if err := replace(path, text); err != nil {
		return err
	}
	w.changed = false
	return nil
}
