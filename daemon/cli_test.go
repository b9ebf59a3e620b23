package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadstream/streams"
)

// command runs the command line as a shell does.
func command(t *testing.T, stdin string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(args, strings.NewReader(stdin), &o, &e)
	return code, o.String(), e.String()
}

// english makes the terminal's language English.
func english(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{"LC_ALL": "", "LC_MESSAGES": "", "LANG": "C", "LEADSTREAM_KEY": ""} {
		t.Setenv(name, value)
	}
}

func TestCommandLine(t *testing.T) {
	english(t)
	dir := t.TempDir()
	good := filepath.Join(dir, "good.yaml")
	bad := filepath.Join(dir, "bad.yaml")
	for path, text := range map[string]string{good: "language: en\n" + told, bad: "language: en\nlissten: 1\n" + told} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		args      []string
		code      int
		out, errs string // parts of what is written
	}{
		"version":             {[]string{"version"}, exitOK, "leadstream ", ""},
		"help":                {[]string{"--help"}, exitOK, "Run the daemon.", ""},
		"help of a command":   {[]string{"send", "--help"}, exitOK, `leadstream send leads.csv --key "$KEY"`, ""},
		"no command":          {nil, exitUsage, "", "expected one of"},
		"unknown command":     {[]string{"serv"}, exitUsage, "", "unexpected argument serv"},
		"unknown flag":        {[]string{"status", "--jsn"}, exitUsage, "", "unknown flag --jsn"},
		"no config":           {[]string{"serve", "-c", filepath.Join(dir, "none.yaml")}, exitUsage, "", "name it with --config"},
		"bad config":          {[]string{"serve", "-c", bad}, exitUsage, "", `bad.yaml: fault: line 2: lissten: unknown key; did you mean "listen"?`},
		"check of bad config": {[]string{"check", "-c", bad}, exitUsage, `did you mean "listen"?`, ""},
		"not running":         {[]string{"status", "-c", good}, exitFailed, "", "start it: leadstream serve"},
		"replay of nothing":   {[]string{"dead", "replay", "-c", good}, exitUsage, "", "name ids or a filter, or say --all"},
		"drop without reason": {[]string{"dead", "drop", "x", "-c", good}, exitUsage, "", "--reason"},
		"drop unconfirmed":    {[]string{"dead", "drop", "--all", "--reason", "test", "-c", good}, exitUsage, "", "nothing was dropped"},
		"bad time":            {[]string{"dead", "replay", "--since", "yesterday", "-c", good}, exitUsage, "", "since: must be a time"},
		"key":                 {[]string{"key", "site"}, exitOK, `site: {keys: ["sha256:`, ""},
		"no such file":        {[]string{"send", filepath.Join(dir, "none.csv"), "-c", good}, exitUsage, "", "no such file"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			code, out, errs := command(t, "", tc.args...)
			if code != tc.code || !strings.Contains(out, tc.out) || !strings.Contains(errs, tc.errs) {
				t.Errorf("exit %d\n%s\n%s\nwant exit %d with %q and %q", code, out, errs, tc.code, tc.out, tc.errs)
			}
		})
	}
}

func TestHelpSpeaksTheConfigsLanguage(t *testing.T) {
	english(t)
	path := write(t, "language: ru\n")
	_, out, _ := command(t, "", "leads", "--help", "-c", path)
	for _, want := range []string{"Использование:", "Пример:", "Только этого источника."} {
		if !strings.Contains(out, want) {
			t.Errorf("help lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "|") {
		t.Errorf("a help shows both languages:\n%s", out)
	}
}

// fakeOperator is an engine that knows one lead and one dead letter, and remembers what it was asked.
type fakeOperator struct {
	asked []any
}

var (
	someTime = time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC)
	someLife = streams.Life{ID: "abc", Source: "site", State: streams.Dead, ReceivedAt: someTime, Destinations: []streams.Stop{
		{Name: "crm", State: streams.Dead, Attempts: 5, At: someTime, Error: "503"}}}
	someLetter = streams.DeadLetter{ID: "0/1-0", Destination: "crm", State: streams.Dead, At: someTime, Attempts: 5,
		Tries: []streams.Try{{At: someTime, Code: "503", Err: "busy \x1b[31mred"}},
		Lead:  &streams.Lead{ID: "abc", Name: "Анна", Phone: "+79990000011", Message: "=1+1 \x1b]0;title\x07"}}
)

func (f *fakeOperator) Life(_ context.Context, id string) (streams.Life, error) {
	if id != "abc" {
		return streams.Life{}, ErrNotFound
	}
	return someLife, nil
}

func (f *fakeOperator) Lives(_ context.Context, q LeadQuery) (LeadPage, error) {
	f.asked = append(f.asked, q)
	return LeadPage{Leads: []streams.Life{someLife}, Next: "abc"}, nil
}

func (f *fakeOperator) Status(context.Context) (Status, error) {
	return Status{Version: "1", Instance: "a", Started: someTime, Leads: map[streams.State]int{streams.Dead: 1},
		Destinations: []DestinationStatus{{Name: "crm", Kind: "bitrix24", State: "paused", Dead: 1, Reason: "by hand"}}}, nil
}

func (f *fakeOperator) DeadLetters(_ context.Context, q DeadQuery) (DeadPage, error) {
	f.asked = append(f.asked, q)
	if q.Cursor == "" {
		return DeadPage{Dead: []streams.DeadLetter{someLetter}, Next: "0/1-0"}, nil
	}
	return DeadPage{Dead: []streams.DeadLetter{someLetter}}, nil
}

func (f *fakeOperator) DeadLetter(_ context.Context, id string) (streams.DeadLetter, error) {
	if id != "0/1-0" {
		return streams.DeadLetter{}, ErrNotFound
	}
	return someLetter, nil
}

func (f *fakeOperator) Replay(_ context.Context, q DeadQuery) (int, error) {
	f.asked = append(f.asked, q)
	return 3, nil
}

func (f *fakeOperator) DropDead(_ context.Context, q DeadQuery, reason string) (int, error) {
	f.asked = append(f.asked, q, reason)
	return 1, nil
}

func (f *fakeOperator) Pause(_ context.Context, name string, d time.Duration, reason string) error {
	f.asked = append(f.asked, name, d, reason)
	if name != "crm" {
		return ErrNotFound
	}
	return nil
}

func (f *fakeOperator) Resume(_ context.Context, name string) error {
	f.asked = append(f.asked, name)
	return nil
}

// serving runs the admin API on a unix socket and gives its config.yaml.
func serving(t *testing.T, o Operator) (config string) {
	t.Helper()
	config = write(t, "language: en\n"+told)
	l, err := listenUnix("admin", filepath.Join(filepath.Dir(config), "data", "leadstream.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: (&AdminAPI{Operator: o, Log: zerolog.Nop()}).Handler(), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return config
}

func TestOperate(t *testing.T) {
	english(t)
	tests := map[string]struct {
		args  []string
		code  int
		out   string
		asked []any
	}{
		"status":    {args: []string{"status"}, out: "crm          bitrix24  paused"},
		"leads":     {args: []string{"leads", "--state", "dead", "--limit", "10"}, out: "crm:dead", asked: []any{LeadQuery{State: streams.Dead, Limit: 10}}},
		"more":      {args: []string{"leads"}, out: "more: --cursor abc", asked: []any{LeadQuery{Limit: usualLimit}}},
		"bad state": {args: []string{"leads", "--state", "lost"}, code: exitUsage, out: "state: must be in_flight, held"},
		"csv":       {args: []string{"leads", "--csv"}, out: "abc,2026-01-31T09:00:00Z,site,dead,,,crm:dead\n", asked: []any{LeadQuery{Limit: usualLimit}}},
		"a life":    {args: []string{"leads", "abc"}, out: "attempts: 5, 503"},
		"no life":   {args: []string{"leads", "nope"}, code: exitFailed, out: "there is no such thing"},
		"dead list": {args: []string{"dead", "list", "--destination", "crm"}, out: "busy [31mred", asked: []any{DeadQuery{Destination: "crm", Limit: usualLimit}}},
		"dead show": {args: []string{"dead", "show", "0/1-0"}, out: "+79990000011"},
		"export":    {args: []string{"dead", "export"}, out: ",+79990000011,,,,'=1+1", asked: []any{DeadQuery{Limit: maxLimit}, DeadQuery{Limit: maxLimit, Cursor: "0/1-0"}}},
		"replay":    {args: []string{"dead", "replay", "0/1-0"}, out: "sent again: 3", asked: []any{DeadQuery{IDs: []string{"0/1-0"}}}},
		"replay by filter": {args: []string{"dead", "replay", "--destination", "crm", "--since", "2026-01-31T09:00:00Z"}, out: "sent again: 3",
			asked: []any{DeadQuery{Destination: "crm", Since: someTime}}},
		"drop":        {args: []string{"dead", "drop", "0/1-0", "--reason", "called"}, out: "dropped: 1", asked: []any{DeadQuery{IDs: []string{"0/1-0"}}, "called"}},
		"drop all":    {args: []string{"dead", "drop", "--all", "--yes", "--reason", "test"}, out: "dropped: 1", asked: []any{DeadQuery{}, "test"}},
		"pause":       {args: []string{"pause", "crm", "--for", "2h", "--reason", "works"}, out: "crm is paused", asked: []any{"crm", 2 * time.Hour, "works"}},
		"bad pause":   {args: []string{"pause", "crm", "--for", "soon"}, code: exitUsage, out: "for: must be a duration"},
		"pause which": {args: []string{"pause", "crn"}, code: exitFailed, out: "there is no such thing", asked: []any{"crn", time.Duration(0), ""}},
		"resume":      {args: []string{"resume", "crm"}, out: "crm goes on", asked: []any{"crm"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := &fakeOperator{}
			config := serving(t, o)
			code, out, errs := command(t, "", append(tc.args, "-c", config)...)
			if code != tc.code || !strings.Contains(out+errs, tc.out) {
				t.Errorf("exit %d\n%s%s\nwant exit %d and %q", code, out, errs, tc.code, tc.out)
			}
			if strings.ContainsAny(out+errs, "\x1b\x07") {
				t.Errorf("a lead's text reaches the terminal as it is: %q", out+errs)
			}
			if diff := cmp.Diff(tc.asked, o.asked); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAdminRefusesAnEmptySelection(t *testing.T) {
	o := &fakeOperator{}
	for _, body := range []string{`{}`, `{"filter":{}}`, `{"filter":{"nonsense":1}}`, `nonsense`} {
		t.Run(body, func(t *testing.T) {
			w := do(t, (&AdminAPI{Operator: o, Log: zerolog.Nop()}).Handler(), http.MethodPost, "/v1/dead/replay", body, nil)
			if w.Code != http.StatusBadRequest || len(o.asked) > 0 {
				t.Errorf("status %d, asked %v", w.Code, o.asked)
			}
		})
	}
}
