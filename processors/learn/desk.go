// Package learn keeps the messages that triage did not understand until a person has said what they want, makes examples
// of what was said, and trains anew: never to something worse, unless that is asked for. It watches too how well triage
// does. How people are shown the messages is left to others.
package learn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"leadstream/processors/intent"
	"leadstream/processors/mask"
	"leadstream/streams"
)

// Settings are the keys of `triage.learn` in config.yaml.
type Settings struct {
	Keep    int           `koanf:"keep"`     // messages that wait for a label, at most; 0: none are kept
	KeepFor time.Duration `koanf:"keep_for"` // then one that nobody has labelled is forgotten
	Mask    bool          `koanf:"mask"`     // names, phones and the like are replaced in what is kept
}

// Defaults are the settings of a config.yaml that says nothing of learning.
func Defaults() Settings { return Settings{Keep: 1000, KeepFor: 30 * 24 * time.Hour, Mask: true} }

// Why a message is kept.
const (
	Unsure   = "unsure"   // triage abstained
	Disagree = "disagree" // classifier and language model were both sure, of different things
)

// Kept is a message that waits for a person to say what it wants.
type Kept struct {
	Lead       string    `json:"lead"`
	At         time.Time `json:"at"`
	Text       string    `json:"text"`
	Guess      string    `json:"guess"` // what triage would have said
	Confidence float64   `json:"confidence"`
	Why        string    `json:"why"`
}

// Lesson is a message of which a person has said what it wants.
type Lesson struct {
	Lead   string    `json:"lead" yaml:"lead"`
	At     time.Time `json:"at" yaml:"at"` // when it was said
	Text   string    `json:"text" yaml:"text"`
	Intent string    `json:"intent" yaml:"intent"`
	Was    string    `json:"was,omitempty" yaml:"was,omitempty"`   // what triage had said
	Used   bool      `json:"used,omitempty" yaml:"used,omitempty"` // the model in use has learnt it
}

// Known are errors for whoever asks.
var (
	ErrUnknownLead   = errors.New("no such message is known")
	ErrUnknownIntent = errors.New("there is no such intent")
)

// Desk is where messages lie until they are labelled. Open it, then Run it. It is safe for concurrent use.
type Desk struct {
	Settings
	Dir     string // of its files, which only the daemon's user can read
	Region  string // of phone numbers written without a country
	Current *intent.Current
	Base    func() (intent.Examples, error) // the examples that lessons come on top of
	Now     func() time.Time                // nil: time.Now
	Log     zerolog.Logger

	training sync.Mutex // one at a time

	mu      sync.Mutex
	coming  []coming // not masked and written yet
	kept    []Kept   // the oldest first
	labels  []Lesson
	written int // lines of the file of kept messages; more than there are kept: some are obsolete
	dirty   bool
	watch   watch
}

// coming is a message on its way into the file; what is personal in it is still there.
type coming struct {
	Kept
	known mask.Known
}

// Open reads what an earlier run has left.
func (d *Desk) Open() error {
	if d.Now == nil {
		d.Now = time.Now
	}
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return err
	}
	if err := d.OpenLessons(); err != nil { // leads are worth more than lessons
		aside := d.path(lessonFile) + ".damaged"
		d.Log.Error().Err(err).Str("file", aside).Msg("what people have taught triage cannot be read, and is set aside; mend it and put it back")
		if err := os.Rename(d.path(lessonFile), aside); err != nil {
			return err
		}
	}
	return errors.Join(d.readKept(), d.watch.read(d.path(watchFile)))
}

func (d *Desk) path(name string) string { return filepath.Join(d.Dir, name) }

// Run writes what comes until ctx ends. A crash loses what came in its last second: leads are kept elsewhere.
func (d *Desk) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return d.Flush()
		case <-tick.C:
			if err := d.Flush(); err != nil {
				d.Log.Error().Err(err).Msg("messages to be labelled were not written")
			}
		}
	}
}

// mostComing bounds what waits to be masked: masking takes longer than judging.
const mostComing = 50

// Judged hears how triage has judged a message (processors.Pupil). unclear: two that were sure disagreed.
func (d *Desk) Judged(l *streams.Lead, unclear bool) {
	if strings.TrimSpace(l.Message) == "" {
		return
	}
	now := d.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watch.judged(l, now)
	switch {
	case l.Answered, d.Keep == 0, len(d.coming) >= mostComing:
	case l.Intent == intent.Other && l.Confidence >= certain: // a greeting, a request to be left alone
	case d.find(l.ID) >= 0 || d.lesson(l.ID) >= 0 || slices.ContainsFunc(d.coming, func(c coming) bool { return c.Lead == l.ID }):
	default:
		k := Kept{Lead: l.ID, At: now, Text: l.Message, Guess: l.Intent, Confidence: l.Confidence, Why: Unsure}
		if unclear {
			k.Why = Disagree
		}
		d.coming = append(d.coming, coming{k, mask.Known{Name: l.Name, Phone: l.Phone, Email: l.Email}})
	}
}

// certain is the confidence from which "none of our affairs" needs no person to look.
const certain = 0.95

// longest is how many bytes of a message are kept: what it wants stands near its beginning.
const longest = 1000

// plain is a message as it is kept.
func (d *Desk) plain(text string, known mask.Known) string {
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "")
	}
	if d.Mask {
		return mask.Masker{Region: d.Region}.Plain(text, known)
	}
	return mask.Clean(text)
}

// Flush writes what has come.
func (d *Desk) Flush() error {
	d.mu.Lock()
	come := d.coming
	d.coming = nil
	d.mu.Unlock()
	for i := range come { // takes a while, and nobody waits for it
		come[i].Text = d.plain(come[i].Text, come[i].known)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var fresh []Kept
	for _, c := range come {
		fresh = append(fresh, c.Kept)
	}
	d.kept = append(d.kept, fresh...)
	d.trim()
	return errors.Join(d.writeKept(fresh), d.watch.write(d.path(watchFile)))
}

// trim forgets what is too old or too much.
func (d *Desk) trim() {
	before := len(d.kept)
	d.kept = slices.DeleteFunc(d.kept, func(k Kept) bool { return d.Now().Sub(k.At) > d.KeepFor })
	d.kept = d.kept[max(0, len(d.kept)-d.Keep):]
	d.dirty = d.dirty || len(d.kept) < before
}

func (d *Desk) find(lead string) int {
	return slices.IndexFunc(d.kept, func(k Kept) bool { return k.Lead == lead })
}

func (d *Desk) lesson(lead string) int {
	return slices.IndexFunc(d.labels, func(l Lesson) bool { return l.Lead == lead })
}

// Waiting are the messages that wait for a label, the newest first, and how many there are in all.
func (d *Desk) Waiting(limit int) ([]Kept, int) {
	_ = d.Flush() // what cannot be written now is tried again every second, and logged there
	d.mu.Lock()
	defer d.mu.Unlock()
	list := slices.Clone(d.kept[max(0, len(d.kept)-limit):])
	slices.Reverse(list)
	return list, len(d.kept)
}

// Lessons are what people have said so far, the oldest first.
func (d *Desk) Lessons() []Lesson {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.labels)
}

// Label says what a kept message wants. With no intent it is taken off the desk: it teaches nothing.
func (d *Desk) Label(lead, wants string) error {
	if wants != "" && !slices.Contains(intent.All, wants) {
		return ErrUnknownIntent
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.find(lead)
	if i < 0 {
		return ErrUnknownLead
	}
	k := d.kept[i]
	if wants != "" {
		if err := d.teach(Lesson{Lead: lead, At: d.Now().UTC().Truncate(time.Second), Text: k.Text, Intent: wants, Was: k.Guess}); err != nil {
			return err
		}
	}
	d.kept = slices.Delete(d.kept, i, i+1)
	return d.rewriteKept()
}

// Undo puts a message that was labelled, or taken off, back on the desk.
func (d *Desk) Undo(k Kept) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := d.lesson(k.Lead); i >= 0 {
		d.labels = slices.Delete(d.labels, i, i+1)
		if err := d.writeLessons(); err != nil {
			return err
		}
	}
	if d.find(k.Lead) >= 0 {
		return nil
	}
	d.kept = append(d.kept, k)
	slices.SortStableFunc(d.kept, func(a, b Kept) int { return a.At.Compare(b.At) })
	return d.rewriteKept()
}

// Correct says what a lead's message wanted, whatever triage has made of it. The lead may be one that is kept.
func (d *Desk) Correct(l *streams.Lead, wants string) error {
	if !slices.Contains(intent.All, wants) {
		return ErrUnknownIntent
	}
	if strings.TrimSpace(l.Message) == "" {
		return ErrUnknownLead
	}
	text := d.plain(l.Message, mask.Known{Name: l.Name, Phone: l.Phone, Email: l.Email})
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.watch.corrected(l.ID, wants)
	if i := d.find(l.ID); i >= 0 && was == "" {
		was = d.kept[i].Guess
	}
	if err := d.teach(Lesson{Lead: l.ID, At: d.Now().UTC().Truncate(time.Second), Text: text, Intent: wants, Was: was}); err != nil {
		return err
	}
	if i := d.find(l.ID); i >= 0 {
		d.kept = slices.Delete(d.kept, i, i+1)
		return d.rewriteKept()
	}
	return nil
}

// teach keeps a lesson, in the place of an earlier one of the same lead.
func (d *Desk) teach(l Lesson) error {
	before := slices.Clone(d.labels)
	if i := d.lesson(l.Lead); i >= 0 {
		l.Used = d.labels[i].Used && d.labels[i].Intent == l.Intent
		d.labels = slices.Delete(d.labels, i, i+1)
	}
	d.labels = append(d.labels, l)
	if len(d.labels) > mostLessons {
		d.labels = d.labels[len(d.labels)-mostLessons:]
	}
	err := d.writeLessons()
	if err != nil {
		d.labels = before
	}
	return err
}

// mostLessons bounds what training takes.
const mostLessons = 5000

// Forget removes all that is kept of leads, for their customer has asked for it. The model forgets what it has learnt from
// them with the next training.
func (d *Desk) Forget(leads ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept, labels := len(d.kept), len(d.labels)
	d.coming = slices.DeleteFunc(d.coming, func(c coming) bool { return slices.Contains(leads, c.Lead) })
	d.kept = slices.DeleteFunc(d.kept, func(k Kept) bool { return slices.Contains(leads, k.Lead) })
	d.labels = slices.DeleteFunc(d.labels, func(l Lesson) bool { return slices.Contains(leads, l.Lead) })
	var errs []error
	if len(d.kept) < kept {
		errs = append(errs, d.rewriteKept())
	}
	if len(d.labels) < labels {
		errs = append(errs, d.writeLessons())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("forget messages: %w", err)
	}
	return nil
}
