package learn

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"time"

	"leadstream/processors/intent"
)

// Trained is what a training has come to.
type Trained struct {
	intent.Comparison
	Taken   bool          `json:"taken"`             // the new model is in use
	Lessons int           `json:"lessons"`           // that it has learnt
	New     int           `json:"new"`               // of these, those that the model before had not
	TooFew  int           `json:"too_few,omitempty"` // wait until there are more of their intent
	Took    time.Duration `json:"took"`
}

// ErrNothingNew is the answer of a training that has nothing to learn.
var ErrNothingNew = errors.New("there is nothing new to learn")

// Start trains the model that triage starts with, and puts it into use. What an earlier start has found out of the same
// model it does not find out again.
func (d *Desk) Start() (*intent.Model, error) {
	e, err := d.Examples()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(d.path(examinationFile))
	var known intent.Examination
	if err == nil && json.Unmarshal(text, &known) != nil {
		known = intent.Examination{} // damaged: it is held again
	}
	m, err := intent.Train(e, known)
	if err != nil {
		return nil, err
	}
	d.Current.Use(m)
	if m.Examined() {
		d.remember(m)
	}
	return m, nil
}

// examinationFile may be deleted at any time.
const examinationFile = "examination.json"

// remember spares the next start the examination.
func (d *Desk) remember(m *intent.Model) {
	text, err := json.Marshal(m.Examination())
	if err == nil {
		err = replace(d.path(examinationFile), text)
	}
	if err != nil {
		d.Log.Debug().Err(err).Msg("the examination of triage is not kept; the next start holds it again")
	}
}

// Examples are those that the model in use is to have learnt: the base, and the lessons that were taken.
func (d *Desk) Examples() (intent.Examples, error) {
	d.mu.Lock()
	used := slices.DeleteFunc(slices.Clone(d.labels), func(l Lesson) bool { return !l.Used })
	d.mu.Unlock()
	e, _, err := d.with(used)
	return e, err
}

// with are the base and lessons, and those lessons of an intent of which there are too few examples as yet.
func (d *Desk) with(lessons []Lesson) (e intent.Examples, tooFew []Lesson, err error) {
	if e, err = d.Base(); err != nil {
		return e, nil, err
	}
	count := map[string]int{}
	for _, l := range lessons {
		count[l.Intent]++
	}
	lacking := map[string]bool{}
	for name, n := range count {
		lacking[name] = e.Lacks(name) > n
	}
	for _, l := range lessons {
		if lacking[l.Intent] {
			tooFew = append(tooFew, l)
		} else {
			e.Learn(l.Text, l.Intent)
		}
	}
	return e, tooFew, nil
}

// Train learns all lessons. The new model is put into use unless it is right less often than the old one on examples and
// lessons that neither of the two has seen; force takes it all the same. What was not taken stays a lesson: the next
// training takes it up.
func (d *Desk) Train(force bool) (Trained, error) {
	d.training.Lock()
	defer d.training.Unlock()
	start := d.Now()
	before, err := d.Examples()
	if err != nil {
		return Trained{}, err
	}
	d.mu.Lock()
	all := slices.Clone(d.labels)
	d.mu.Unlock()
	after, tooFew, err := d.with(all)
	if err != nil {
		return Trained{}, err
	}
	all = slices.DeleteFunc(all, func(l Lesson) bool { return slices.Contains(tooFew, l) })
	t := Trained{Lessons: len(all), TooFew: len(tooFew)}
	for _, l := range all {
		if !l.Used {
			t.New++
		}
	}
	if t.New == 0 {
		return t, ErrNothingNew
	}
	if t.Comparison, err = intent.Compare(before, after); err != nil {
		return t, err
	}
	if t.After < t.Before && !force {
		t.Took = d.Now().Sub(start)
		return t, nil
	}
	m, err := intent.Train(after) // examined anew: nothing like it was before
	if err != nil {
		return t, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.labels {
		if slices.Contains(all, d.labels[i]) {
			d.labels[i].Used = true
		}
	}
	if err := d.writeLessons(); err != nil {
		return t, err
	}
	d.Current.Use(m)
	d.remember(m)
	t.Taken, t.Took = true, d.Now().Sub(start)
	d.Log.Info().Int("lessons", t.Lessons).Int("new", t.New).Int("asked", t.Asked).Int("before", t.Before).Int("after", t.After).
		Bool("forced", t.After < t.Before).Dur("took", t.Took).Msg("triage has learnt")
	return t, nil
}
