package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadstream/processors/intent"
	"leadstream/processors/learn"
	"leadstream/streams"
)

// deskOf is a desk with the small model of few.
func deskOf(t *testing.T) *learn.Desk {
	t.Helper()
	d := &learn.Desk{Settings: learn.Defaults(), Dir: filepath.Join(t.TempDir(), "triage"), Current: &intent.Current{}, Log: zerolog.Nop(),
		Base: func() (e intent.Examples, err error) { return e, e.Add([]byte(few)) }}
	if err := d.Open(); err != nil {
		t.Fatal(err)
	}
	if err := teach(d, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	return d
}

// taughtBy serves the admin API over a desk.
func taughtBy(t *testing.T, d *learn.Desk) (config string) {
	t.Helper()
	config = write(t, "language: en\n"+told)
	l, err := listenUnix("admin", filepath.Join(filepath.Dir(config), "data", "leadstream.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: (&AdminAPI{Lessons: &lessons{d, &streams.Custody{}}, Language: "en", Log: zerolog.Nop()}).Handler(), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return config
}

func TestTriageLabel(t *testing.T) {
	english(t)
	tests := map[string]struct {
		keys string
		args []string
		want map[string]string // lesson by lead
		left []string          // newest first
		out  []string
	}{
		"by number, by name, as guessed": {"4\npri\n\n", nil, map[string]string{"m3": "price", "m2": "price", "m1": "price"}, nil, []string{"1 of 3, lead m3", "почём три", "labelled 3, skipped 0, removed 0", "3 new labels. Of ", "The new model is"}},
		"in Russian":                     {"узнать а\nзап\nq\n", nil, map[string]string{"m3": "address", "m2": "booking"}, []string{"m1"}, []string{"labelled 2, skipped 0, removed 0"}},
		"skip, remove, quit":             {"s\nd\nq\n", nil, nil, []string{"m3", "m1"}, []string{"labelled 0, skipped 1, removed 1"}},
		"undo a label":                   {"5\nu\n4\nq\n", nil, map[string]string{"m3": "price"}, []string{"m2", "m1"}, []string{"labelled 1"}},
		"undo a removal, then a skip":    {"s\nd\nu\nu\nu\n4\nq\n", nil, map[string]string{"m3": "price"}, []string{"m2", "m1"}, []string{"this is the first one"}},
		"not understood":                 {"99\n0\nx\nc\n?\n4\n", []string{"--no-train"}, map[string]string{"m3": "price"}, []string{"m2", "m1"}, []string{"not understood", "labelled 1"}},
		"the end of a pipe":              {"4\n", []string{"--no-train"}, map[string]string{"m3": "price"}, []string{"m2", "m1"}, []string{"labelled 1"}},
		"at most":                        {"4\n4\n4\n", []string{"--limit", "1"}, map[string]string{"m3": "price"}, []string{"m2", "m1"}, []string{"1 of 1", "labelled 1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := deskOf(t)
			for n, text := range []string{"почём раз", "почём два", "почём три \x1b[31m"} {
				d.Judged(&streams.Lead{ID: fmt.Sprint("m", n+1), Message: text, Intent: intent.Price, Confidence: 0.4}, false)
			}
			code, out, errs := command(t, tt.keys, append([]string{"triage", "label", "-c", taughtBy(t, d)}, tt.args...)...)
			if code != exitOK || errs != "" {
				t.Fatalf("exit %d: %s", code, errs)
			}
			for _, want := range tt.out {
				if !strings.Contains(out, want) {
					t.Errorf("there is no %q in\n%s", want, out)
				}
			}
			if strings.ContainsRune(out, 0x1b) {
				t.Errorf("a message reaches the terminal as it is: %q", out)
			}
			got := map[string]string{}
			for _, l := range d.Lessons() {
				got[l.Lead] = l.Intent
			}
			if tt.want == nil {
				tt.want = map[string]string{}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			kept, _ := d.Waiting(10)
			var left []string
			for _, k := range kept {
				left = append(left, k.Lead)
			}
			if diff := cmp.Diff(tt.left, left); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTriageLessonsRefused(t *testing.T) {
	english(t)
	config := taughtBy(t, deskOf(t))
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"nothing to label":  {[]string{"triage", "label"}, exitOK, "there is nothing to label"},
		"nothing to learn":  {[]string{"triage", "train"}, exitOK, "there is nothing new to learn"},
		"as JSON":           {[]string{"triage", "train", "--json"}, exitOK, `"taken": false`},
		"no such lead":      {[]string{"triage", "correct", "x", "price"}, exitFailed, "there is no such thing"},
		"no such intent":    {[]string{"triage", "correct", "x", "paid"}, exitUsage, `there is no intent "paid"`},
		"no such daemon":    {[]string{"triage", "label", "-c", write(t, "language: en\n"+told)}, exitFailed, "the daemon is not running"},
		"help has examples": {[]string{"triage", "correct", "--help"}, exitOK, "leadstream triage correct 8zh3"},
	} {
		args := tt.args
		if name != "no such daemon" {
			args = append(args, "-c", config)
		}
		if code, out, errs := command(t, "", args...); code != tt.code || !strings.Contains(out+errs, tt.want) {
			t.Errorf("%s: exit %d, %s%s", name, code, out, errs)
		}
	}
}

// TestTriageLearnsWithoutARestart: a daemon takes leads, a person says what they want, and the next one is understood.
func TestTriageLearnsWithoutARestart(t *testing.T) {
	english(t)
	dir, address := shortDir(t), freeAddress(t)
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, []byte(`
language: en
listen: `+address+`
log: {level: error}
sources: {form: {public: true, origins: ["http://localhost:8080"]}}
triage: {examples: [`+exampleFile(t, few)+`], dedupe_window: 0s}
sinks: {table: {kind: csv, columns: [id, message, intent]}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, faults, err := Load(path)
	if err != nil || broken(faults) {
		t.Fatal(err, faults)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, cfg) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(25 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				b, _ := os.ReadFile(filepath.Join(dir, "data", "leads.csv"))
				t.Fatalf("%s\n%s", what, b)
			}
		}
	}
	send := func(message string) {
		t.Helper()
		until("no door opens", func() bool {
			req, _ := http.NewRequest(http.MethodPost, "http://"+address+"/in/form", strings.NewReader("phone=%2B79990000011&message="+url.QueryEscape(message)))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Origin", "http://localhost:8080")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return false
			}
			res.Body.Close()
			return res.StatusCode == http.StatusOK
		})
	}
	row := func(message, wants string) func() bool {
		return func() bool {
			b, err := os.ReadFile(filepath.Join(dir, "data", "leads.csv"))
			return err == nil && regexp.MustCompile(regexp.QuoteMeta(message)+`"?,"?`+wants).Match(b)
		}
	}
	var keys strings.Builder
	for _, message := range []string{"воткните на стрижку", "воткните на покраску", "воткните к мастеру", "воткните завтра", "воткните вечером", "и меня воткните"} {
		send(message)
		until("no row of "+message, row(message, "[a-z]"))
		keys.WriteString("1\n") // booking
	}
	var out string
	until("nothing to label", func() bool {
		_, out, _ = command(t, "q\n", "triage", "label", "-c", path)
		return strings.Contains(out, "1 of 6")
	})
	code, out, errs := command(t, keys.String(), "triage", "label", "-c", path)
	if code != exitOK || !strings.Contains(out, "labelled 6") || !strings.Contains(out, "The new model is in use.") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	send("воткните нас на массаж")
	until("the next one is not understood", row("воткните нас на массаж", "booking"))

	lead := regexp.MustCompile(`lead ([0-9a-z]{26})`).FindStringSubmatch(out)[1]
	code, out, errs = command(t, "", "triage", "correct", lead, "price", "-c", path)
	if code != exitOK || !strings.Contains(out, "noted: "+lead+" wants price") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	// What people have said is what the other commands go by too.
	if code, out, _ = command(t, `{"text":"воткните нас"}`+"\n", "triage", "classify", "-c", path); code != exitOK || !strings.Contains(out, `"intent":"booking"`) {
		t.Errorf("exit %d\n%s", code, out)
	}
	info, err := os.Stat(filepath.Join(dir, "data", "triage", "learned.yaml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
}

// What the alert rules are asked over.
func TestTriageIsMeasured(t *testing.T) {
	d := deskOf(t)
	for n := range 10 {
		l := &streams.Lead{ID: fmt.Sprint(n), UserID: fmt.Sprint(n), Message: "сколько стоит", Intent: intent.Price, Intents: []string{intent.Price}, Confidence: 0.8, Answered: true}
		if n < 3 {
			l.Intent, l.Intents = intent.Operator, []string{intent.Operator}
		}
		d.Judged(l, false)
	}
	if err := d.Correct(&streams.Lead{ID: "5", Message: "сколько стоит"}, intent.Address); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	(&measure{desk: d}).triage(func(name string, v float64, labels ...string) { got[name+strings.Join(labels, "=")] = v })
	want := map[string]float64{"triage_accuracyby=people": 0.9, "triage_judgedby=people": 10, "operator_share": 0.3, "conversations": 10, "unlabelled": 0,
		"triage_accuracyby=check": d.Current.Model().Check().Accuracy, "triage_judgedby=check": float64(d.Current.Model().Check().Asked)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
