package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leadstream/processors/intent"
)

// few are examples that are learnt at once, instead of those that come with the program.
const few = `
mode: replace
intents:
  price: |
    сколько стоит стрижка

    сколько стоит покраска
    сколько стоит массаж

    сколько стоит

    сколько стоит ремонт

    ну сколько стоит
  address: |
    где вы

    где вы находитесь

    а где вы находитесь
    скажите где вы находитесь

    где вы находитесь вообще

    где находитесь вы
  other: |
    купите рекламу

    купите нашу рекламу
    купите рекламу для бизнеса

    предлагаем рекламу

    реклама для бизнеса

    дёшево купите рекламу
`

func exampleFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "examples.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTriageClassify(t *testing.T) {
	english(t)
	in := `{"text":"сколько стоит стрижка и где вы находитесь?"}

{"text":"Да","question":"yes_no","now":"2026-05-01T10:00:00+03:00"}
{"text":"stop"}
{"text":"hello"}
`
	code, out, errs := command(t, in, "triage", "classify", "--examples", exampleFile(t, few))
	if code != exitOK || errs != "" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	type said struct {
		Intent   string
		Intents  []string
		Answered bool
		Reply    intent.Reply
		Reason   string
	}
	var got []said
	for line := range strings.Lines(out) {
		var r reading
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Confidence <= 0 || r.Confidence > 1 {
			t.Errorf("%s", line)
		}
		why, _, _ := strings.Cut(r.Reason, "“")
		got = append(got, said{r.Intent, r.Intents, r.Answered, r.Reply, why})
	}
	want := []said{
		{intent.Price, []string{intent.Price, intent.Address}, true, "", "like the example "},
		{intent.Other, []string{intent.Other}, false, intent.Yes, "rule: the answer is yes"},
		{intent.Other, []string{intent.Other}, false, intent.Stop, "rule: asks to be written to no more"},
		{intent.Other, []string{intent.Other}, false, "", "rule: only a greeting"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTriageEval(t *testing.T) {
	english(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rows := write("rows.csv", "author;text;intent\n1;сколько стоит стрижка;price\n2;где вы находитесь, сколько стоит стрижка;price + address\n3;сколько стоит маникюр;hours\n4;купите рекламу для бизнеса;oos\n")
	learn := "--examples=" + exampleFile(t, few)
	tests := map[string]struct {
		args []string
		code int
		want []string // parts of what is written
	}{
		"figures":       {[]string{rows, learn}, exitOK, []string{"accuracy", "75.0 %", "95 % sure: 30.1 % to 95.4 %", "AUROC of out-of-scope    1.000", "hours   price      1"}},
		"mistakes":      {[]string{rows, learn, "--wrong"}, exitOK, []string{"сколько стоит маникюр"}},
		"JSON":          {[]string{rows, learn, "--json"}, exitOK, []string{`"accuracy": 0.75`, `"want": "hours"`}},
		"own services":  {[]string{rows, learn, "--services", "маникюр,стрижка"}, exitOK, []string{"accuracy"}},
		"no file":       {[]string{filepath.Join(dir, "none.csv")}, exitUsage, []string{"none.csv"}},
		"no intent":     {[]string{write("a.csv", "text\nпривет\n")}, exitUsage, []string{"row 1: intent is empty"}},
		"wrong intent":  {[]string{write("b.csv", "text,intent\nпривет,hi\n")}, exitUsage, []string{`row 1: there is no intent "hi"`}},
		"wrong example": {[]string{rows, "--examples", write("bad.yaml", "intents: {hi: [hi]}")}, exitUsage, []string{"intents.hi: there is no such intent"}},
		"no rows":       {[]string{write("c.csv", "text,intent\n")}, exitUsage, []string{"there are no rows"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, out, errs := command(t, "", append([]string{"triage", "eval"}, tt.args...)...)
			if code != tt.code {
				t.Fatalf("exit %d: %s%s", code, out, errs)
			}
			for _, want := range tt.want {
				if !strings.Contains(out+errs, want) {
					t.Errorf("there is no %q in\n%s%s", want, out, errs)
				}
			}
		})
	}
}

// What is said of time is read in the business's zone.
func TestTriageSlots(t *testing.T) {
	english(t)
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte("language: en\ntime_zone: Asia/Krasnoyarsk\n"+told), 0o600); err != nil {
		t.Fatal(err)
	}
	in := `{"text":"где вы находитесь? буду завтра после двух на маникюре, +79990000011","now":"2026-03-11T20:00:00Z"}` + "\n"
	code, out, errs := command(t, in, "triage", "classify", "-c", config, "--examples", exampleFile(t, few), "--services", "Маникюр")
	want := `"slots":{"when":{"start":"2026-03-13T14:00:00+07:00","end":"2026-03-13T23:00:00+07:00","kind":"part_of_day"},"service":"Маникюр","phone":"+79990000011"}}`
	if code != exitOK || !strings.Contains(out, want) {
		t.Errorf("exit %d: %s%s\nwant %s", code, out, errs, want)
	}
}

// A line that cannot be read stops none behind it, and neither does a long one or what Windows puts before the first.
func TestTriageClassifiesLineByLine(t *testing.T) {
	english(t)
	long := `{"text":"` + strings.Repeat("сколько стоит стрижка ", 40_000) + `"}` // above 1 MB
	in := "\ufeff" + `{"text":"где вы находитесь"}` + "\r\nhello\n" + `{"text":5}` + "\n" + long + "\n" + `{"text":"сколько стоит стрижка"}`
	code, out, errs := command(t, in, "triage", "classify", "--examples", exampleFile(t, few))
	if code != exitUsage || !strings.Contains(errs, "line 2: ") {
		t.Errorf("exit %d: %s", code, errs)
	}
	var got []string
	for line := range strings.Lines(out) {
		var said struct {
			Intent, Reason string
			Answered       bool
		}
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(said.Reason, "not read: ") {
			said.Intent = "not read"
			if said.Answered {
				t.Errorf("%s", line)
			}
		}
		got = append(got, said.Intent)
	}
	if want := []string{"address", "not read", "not read", "price", "price"}; !cmp.Equal(got, want) {
		t.Error(cmp.Diff(got, want))
	}
}

func TestTriageRefusesInput(t *testing.T) {
	english(t)
	for name, tt := range map[string]struct{ in, want string }{
		"not JSON":         {"{\"text\":\"hi\"}\nhello\n", "line 2: "},
		"unknown question": {`{"text":"hi","question":"how_much"}`, "line 1: question: the only one is yes_no"},
		"a wrong time":     {`{"text":"hi","now":"today"}`, "line 1: "},
	} {
		if code, _, errs := command(t, tt.in, "triage", "classify"); code != exitUsage || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: exit %d, %s", name, code, errs)
		}
	}
}
