package learn

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadstream/processors/intent"
	"leadstream/processors/mask"
	"leadstream/streams"
)

// base has few phrases, each a group of its own, so that training takes no time.
const base = `
intents:
  price: |
    сколько стоит стрижка

    сколько стоит покраска

    сколько стоит массаж

    сколько стоит

    какая цена стрижки

    цена на покраску
  address: |
    где вы находитесь

    а где вы

    какой адрес салона

    где находится салон

    адрес подскажите

    где вас найти
  other: |
    купите рекламу

    реклама для бизнеса

    предлагаем рекламу

    дёшево продвинем сайт

    кредит для бизнеса

    купите нашу базу
`

func examples(t *testing.T) func() (intent.Examples, error) {
	t.Helper()
	return func() (e intent.Examples, err error) { return e, e.Add([]byte(base)) }
}

// desk is one whose clock stands at *now.
func desk(t *testing.T, dir string, now *time.Time) *Desk {
	t.Helper()
	d := &Desk{Settings: Defaults(), Dir: dir, Region: "RU", Current: &intent.Current{}, Base: examples(t), Now: func() time.Time { return *now }, Log: zerolog.Nop()}
	if err := d.Open(); err != nil {
		t.Fatal(err)
	}
	learnt(t, d)
	return d
}

// learnt trains what the desk starts with.
func learnt(t *testing.T, d *Desk) {
	t.Helper()
	if _, err := d.Start(); err != nil {
		t.Fatal(err)
	}
}

// A start takes over what an earlier one has found out of the same model, and of no other.
func TestExaminedOnce(t *testing.T) {
	dir, now := t.TempDir(), clock()
	d := desk(t, dir, now)
	honest := d.Current.Model().Limit()
	file := filepath.Join(dir, examinationFile)
	limit := func(change func(*intent.Examination)) float64 {
		t.Helper()
		text, err := os.ReadFile(file)
		var e intent.Examination
		if err == nil {
			err = json.Unmarshal(text, &e)
		}
		if err != nil {
			t.Fatal(err)
		}
		change(&e)
		if text, err = json.Marshal(e); err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		learnt(t, d)
		return d.Current.Model().Limit()
	}
	if got := limit(func(e *intent.Examination) { e.Limit = 0.123 }); got != 0.123 {
		t.Errorf("the limit is %v: it was examined again", got)
	}
	if got := limit(func(e *intent.Examination) { e.Trust = e.Trust[1:] }); got != honest {
		t.Errorf("the limit is %v by an examination that fits nothing, want %v", got, honest)
	}
	limit(func(e *intent.Examination) { e.Limit = 0.123 })
	base := d.Base
	d.Base = func() (intent.Examples, error) {
		e, err := base()
		e.Learn("а на какой вы улице", intent.Address)
		return e, err
	}
	learnt(t, d)
	if got := d.Current.Model().Limit(); got == 0.123 {
		t.Error("a model that has learnt something else was given the examination of the one before")
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	learnt(t, d)
}

func clock() *time.Time {
	now := time.Date(2026, 3, 11, 10, 0, 0, 0, time.UTC)
	return &now
}

func unsure(id, text string) *streams.Lead {
	return &streams.Lead{ID: id, Message: text, Intent: intent.Price, Intents: []string{intent.Price}, Confidence: 0.4, Phone: "+79990000011", Name: "Анна Кравец"}
}

func waiting(d *Desk) (ids []string) {
	kept, _ := d.Waiting(1000)
	for _, k := range kept {
		ids = append(ids, k.Lead)
	}
	return ids
}

func TestKeepsWhatWasNotUnderstood(t *testing.T) {
	dir, now := t.TempDir(), clock()
	d := desk(t, dir, now)
	answered := unsure("answered", "сколько стоит")
	answered.Answered = true
	greeting := unsure("greeting", "привет")
	greeting.Intent, greeting.Confidence = intent.Other, 0.97
	for _, l := range []*streams.Lead{unsure("a", "это Анна, 8 999 000-00-11, почём у вас?"), answered, greeting, unsure("empty", " "), unsure("b", "воткните меня"), unsure("a", "это Анна, 8 999 000-00-11, почём у вас?")} {
		*now = now.Add(time.Second)
		d.Judged(l, l.ID == "b")
	}
	got, total := d.Waiting(10)
	want := []Kept{
		{Lead: "b", At: now.Add(-time.Second), Text: "воткните меня", Guess: intent.Price, Confidence: 0.4, Why: Disagree},
		{Lead: "a", At: now.Add(-5 * time.Second), Text: "это Имя, +7 999 000-00-00, почём у вас?", Guess: intent.Price, Confidence: 0.4, Why: Unsure},
	}
	if diff := cmp.Diff(want, got); diff != "" || total != 2 {
		t.Errorf("%d in all\n%s", total, diff)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", f.Name(), info.Mode(), err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, keptFile))
	if err != nil || strings.Contains(string(text), "Анна") || strings.Contains(string(text), "000-00-11") {
		t.Errorf("%s %v", text, err)
	}
	d = desk(t, dir, now)
	if diff := cmp.Diff([]string{"b", "a"}, waiting(d)); diff != "" {
		t.Error("after a restart:", diff)
	}
	*now = now.Add(31 * 24 * time.Hour)
	if got := waiting(d); len(got) > 0 {
		t.Errorf("kept for longer than said: %v", got)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, keptFile)); len(text) > 0 {
		t.Errorf("still in the file: %s", text)
	}
}

func TestKeepsNoMoreThanSaid(t *testing.T) {
	dir, now := t.TempDir(), clock()
	d := desk(t, dir, now)
	d.Keep = 20
	for n := range 200 {
		d.Judged(unsure(fmt.Sprint(n), strings.Repeat("воткните меня ", 100)), false)
		if n%10 == 0 {
			if err := d.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	ids := waiting(d)
	if len(ids) != 20 || ids[0] != "199" {
		t.Errorf("%v", ids)
	}
	info, err := os.Stat(filepath.Join(dir, keptFile))
	if err != nil || info.Size() > 150*(longest+200) {
		t.Errorf("%v %v", info.Size(), err)
	}
	for range 3 * mostComing { // faster than they are written
		d.Judged(unsure(fmt.Sprint(time.Now().UnixNano()), "а"), false)
	}
	if n := len(d.coming); n > mostComing {
		t.Errorf("%d wait to be written", n)
	}
	d.Keep = 0
	if waiting(d) != nil {
		t.Error("keep: 0 keeps some")
	}
	if d.Mask = false; d.plain("Анна", mask.Known{}) != "Анна" {
		t.Error("masked although mask is false")
	}
}

func TestLabelUndoCorrectForget(t *testing.T) {
	dir, now := t.TempDir(), clock()
	d := desk(t, dir, now)
	for _, id := range []string{"a", "b", "c"} {
		*now = now.Add(time.Second)
		d.Judged(unsure(id, "почём "+id), false)
	}
	kept, _ := d.Waiting(3)
	for _, step := range []struct {
		do   error
		want error
	}{{d.Label("a", intent.Price), nil}, {d.Label("b", ""), nil}, {d.Label("c", "paid"), ErrUnknownIntent}, {d.Label("x", intent.Price), ErrUnknownLead},
		{d.Correct(unsure("far", ""), intent.Price), ErrUnknownLead}, {d.Correct(unsure("far", "куда"), "paid"), ErrUnknownIntent}, {d.Correct(unsure("far", "куда ехать, Анна"), intent.Address), nil}} {
		if step.do != step.want {
			t.Errorf("got %v, want %v", step.do, step.want)
		}
	}
	if diff := cmp.Diff([]string{"c"}, waiting(d)); diff != "" {
		t.Error(diff)
	}
	d = desk(t, dir, now) // all of it is on the disk
	want := []Lesson{{Lead: "a", At: now.UTC(), Text: "почём a", Intent: intent.Price, Was: intent.Price}, {Lead: "far", At: now.UTC(), Text: "куда ехать, Имя", Intent: intent.Address}}
	if diff := cmp.Diff(want, d.labels); diff != "" {
		t.Error(diff)
	}
	if err := d.Undo(kept[2]); err != nil { // a
		t.Error(err)
	}
	if err := d.Undo(kept[1]); err != nil { // b
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"c", "b", "a"}, waiting(d)); diff != "" || len(d.labels) != 1 {
		t.Error(diff, d.labels)
	}
	if err := d.Correct(unsure("c", "почём c"), intent.Price); err != nil { // one that is kept
		t.Error(err)
	}
	if err := d.Forget("a", "far"); err != nil {
		t.Error(err)
	}
	d = desk(t, dir, now)
	if diff := cmp.Diff([]string{"b"}, waiting(d)); diff != "" || len(d.labels) != 1 || d.labels[0].Lead != "c" {
		t.Error(diff, d.labels)
	}
	for _, name := range []string{keptFile, lessonFile} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || strings.Contains(string(text), "куда") || strings.Contains(string(text), "почём a") {
			t.Errorf("%s: %s %v", name, text, err)
		}
	}
}

// The file of lessons is one of examples, so that other commands can learn from it too.
func TestLessonsAreExamples(t *testing.T) {
	dir := t.TempDir()
	d := desk(t, dir, clock())
	if err := d.Correct(unsure("a", "почём нынче"), intent.Price); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, lessonFile))
	if err != nil {
		t.Fatal(err)
	}
	e, _ := examples(t)()
	n := len(e.Phrases[intent.Price])
	if err := e.Add(text); err != nil || len(e.Phrases[intent.Price]) != n+1 {
		t.Errorf("%v %d", err, len(e.Phrases[intent.Price]))
	}
	if err := e.Add([]byte("learned: [{text: a, intent: paid, was: b}]")); err == nil {
		t.Error("an unknown intent is taken")
	}
}

func teachAll(t *testing.T, d *Desk, wants string, texts ...string) {
	t.Helper()
	for n, text := range texts {
		if err := d.Correct(unsure(fmt.Sprint(wants, n), text), wants); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLearnsWhatPeopleSay(t *testing.T) {
	dir, now := t.TempDir(), clock()
	d := desk(t, dir, now)
	if _, err := d.Train(false); err != ErrNothingNew {
		t.Fatal(err)
	}
	if r := d.Current.Read("почём у вас нынче"); r.Intent == intent.Price && r.Answered {
		t.Fatal("known already")
	}
	teachAll(t, d, intent.Price, "почём у вас стрижка", "почём нынче покраска", "почём массаж", "почём это", "и почём у вас", "а почём нынче")
	got, err := d.Train(false)
	if err != nil || !got.Taken || got.After <= got.Before || got.New != 6 || got.Asked != 24 {
		t.Fatalf("%+v %v", got, err)
	}
	if r := d.Current.Read("почём у вас нынче"); r.Intent != intent.Price || !r.Answered {
		t.Errorf("the model in use has not learnt: %+v", r)
	}
	d = desk(t, dir, now)
	if r := d.Current.Read("почём у вас нынче"); r.Intent != intent.Price {
		t.Errorf("forgotten at a restart: %+v", r)
	}
	if _, err := d.Train(false); err != ErrNothingNew {
		t.Error(err)
	}
}

// A training that makes the model worse changes nothing, unless that is asked for.
func TestNeverLearnsToBeWorse(t *testing.T) {
	dir, now := t.TempDir(), clock()
	d := desk(t, dir, now)
	wrong := []string{"сколько стоит стрижка у вас", "сколько стоит покраска у вас", "сколько стоит массаж у вас", "какая цена стрижки у вас", "цена на покраску у вас", "а сколько стоит"}
	teachAll(t, d, intent.Other, wrong[:3]...)
	teachAll(t, d, intent.Address, wrong[3:]...)
	before := d.Current.Model()
	got, err := d.Train(false)
	if err != nil || got.Taken || got.After >= got.Before || d.Current.Model() != before {
		t.Fatalf("%+v %v", got, err)
	}
	d = desk(t, dir, now)
	if r := d.Current.Read("сколько стоит массаж"); r.Intent != intent.Price {
		t.Errorf("learnt at a restart all the same: %+v", r)
	}
	if got, err = d.Train(true); err != nil || !got.Taken || got.After >= got.Before {
		t.Errorf("%+v %v", got, err)
	}
}

// An intent with fewer examples than can be learnt from waits for more.
func TestTooFewLessonsWait(t *testing.T) {
	d := desk(t, t.TempDir(), clock())
	teachAll(t, d, intent.Hours, "до скольки вы", "когда открыты", "часы работы", "во сколько закрываетесь")
	got, err := d.Train(false)
	if err != ErrNothingNew || got.TooFew != 4 {
		t.Fatalf("%+v %v", got, err)
	}
	teachAll(t, d, intent.Hours, "до скольки вы", "когда открыты", "часы работы", "во сколько закрываетесь", "до скольки работаете")
	if got, err = d.Train(true); err != nil || !got.Taken || got.TooFew != 0 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestWatch(t *testing.T) {
	dir, now := t.TempDir(), clock()
	d := desk(t, dir, now)
	for n := range 250 {
		l := unsure(fmt.Sprint("l", n), "сколько стоит")
		l.Answered, l.Phone = true, fmt.Sprint("+7999000", n%40+1000)
		if n%40 < 10 && n < 40 {
			l.Intents = []string{intent.Operator, intent.Price}
		}
		d.Judged(l, false)
		d.Judged(l, false) // handed out again
	}
	for n := range 60 { // ten of them have been answered too long ago, ten were right
		wants := intent.Address
		if n < 10 || n >= 50 {
			wants = intent.Price
		}
		if err := d.Correct(&streams.Lead{ID: fmt.Sprint("l", n+40), Message: "сколько стоит"}, wants); err != nil {
			t.Fatal(err)
		}
	}
	h := d.Health()
	if h.Answers != 200 || h.Right != 1-40.0/200 || h.Conversations != 40 || h.Operator != 0.25 || h.Asked != 18 || h.Check == 0 || h.Lessons != 60 {
		t.Errorf("%+v", h)
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	d = desk(t, dir, now)
	if h := d.Health(); h.Answers != 200 || h.Right != 0.8 {
		t.Errorf("after a restart: %+v", h)
	}
	*now = now.Add(recount)
	d.Judged(unsure("today", "сколько"), false)
	*now = now.Add(23 * time.Hour)
	if h := d.Health(); h.Conversations != 1 {
		t.Errorf("%+v", h)
	}
	*now = now.Add(3 * time.Hour)
	if h := d.Health(); h.Conversations != 0 {
		t.Errorf("%+v", h)
	}
}

// What a crash has cut is left out, and what comes then is whole.
func TestCutFile(t *testing.T) {
	dir, now := t.TempDir(), clock()
	d := desk(t, dir, now)
	d.Judged(unsure("a", "почём"), false)
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, keptFile)
	text, _ := os.ReadFile(path)
	if err := os.WriteFile(path, append(text, `{"lead":"b","te`...), 0o600); err != nil {
		t.Fatal(err)
	}
	d = desk(t, dir, now)
	d.Judged(unsure("c", "почём"), false)
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	d = desk(t, dir, now)
	if diff := cmp.Diff([]string{"c", "a"}, waiting(d)); diff != "" {
		t.Error(diff)
	}
}

// Leads are judged though the lessons cannot be read, and these are not written over.
func TestDamagedLessonsAreSetAside(t *testing.T) {
	for _, damaged := range []string{"learned: [{lead: a", "learned: [{lead: a, text: b, intent: paid}]"} {
		dir, now := t.TempDir(), clock()
		if err := os.WriteFile(filepath.Join(dir, lessonFile), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		d := desk(t, dir, now)
		teachAll(t, d, intent.Price, "почём")
		text, err := os.ReadFile(filepath.Join(dir, lessonFile+".damaged"))
		if err != nil || string(text) != damaged {
			t.Errorf("%q %v", text, err)
		}
		if d = desk(t, dir, now); len(d.labels) != 1 {
			t.Errorf("%v", d.labels)
		}
	}
}
