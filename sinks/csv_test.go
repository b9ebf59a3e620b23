package sinks_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/sinks"
	"leadstream/sinks/sinkstest"
	"leadstream/streams"
)

func TestSafeCell(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"text":             {"стрижка", "стрижка"},
		"formula":          {"=1+1", "'=1+1"},
		"plus":             {"+1", "'+1"},
		"minus":            {"-1", "'-1"},
		"at":               {"@SUM(A1)", "'@SUM(A1)"},
		"tab":              {"\tx", "'\tx"},
		"carriage return":  {"\r=x", "\n'=x"},
		"blanks before":    {"  =x", "'  =x"},
		"nbsp before":      {"\u00a0=x", "'\u00a0=x"},
		"no width before":  {"\u200b\ufeff=x", "'\u200b\ufeff=x"},
		"wide forms":       {"＝x", "'＝x"},
		"after a newline":  {"hello\n=x\r\n+y", "hello\n'=x\n'+y"},
		"in the middle":    {"a=b - c", "a=b - c"},
		"control, not UTF": {"a\x00\x1bb\xff", "ab\uFFFD"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := sinks.SafeCell(c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzSafeCell(f *testing.F) {
	for _, s := range []string{"=1", " \t=1", "a\r\n-1", "\u00a0@", "\xff="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for line := range strings.SplitSeq(sinks.SafeCell(s), "\n") {
			bare := strings.TrimSpace(line)
			if strings.ContainsRune(line, '\r') || bare != "" && strings.ContainsAny(bare[:1], "=+-@") {
				t.Errorf("%q has the line %q", s, line)
			}
		}
	})
}

func open(t *testing.T, change func(*sinks.CSVSettings)) (sinks.Sink, string) {
	t.Helper()
	dir := t.TempDir()
	set := sinks.CSV.Settings().(*sinks.CSVSettings)
	set.Columns = []string{"id", "name", "phone", "message"}
	if change != nil {
		change(set)
	}
	sink, err := sinks.CSV.Open(set, sinks.Env{Language: "ru", Zone: time.UTC, DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return sink, filepath.Join(dir, "leads.csv")
}

func deliver(t *testing.T, sink sinks.Sink, deliveries ...sinks.Delivery) {
	t.Helper()
	for _, v := range sink.Deliver(t.Context(), deliveries) {
		if v.Result != streams.Done {
			t.Fatalf("got result %d (%v), want done", v.Result, v.Err)
		}
	}
}

func records(t *testing.T, path string, comma rune) [][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(text), "\uFEFF")))
	r.Comma = comma
	all, err := r.ReadAll()
	if err != nil {
		t.Fatalf("not RFC 4180: %v", err)
	}
	return all
}

func TestCSVKeepsEveryLead(t *testing.T) {
	sink, path := open(t, func(s *sinks.CSVSettings) { s.Separator = ";" })
	lead := &streams.Lead{ID: "a1", Name: `=Анна; "А"`, Phone: "+79990000011", Message: "раз\r\n+два"}
	deliver(t, sink, sinks.Delivery{Lead: lead}, sinks.Delivery{Lead: &streams.Lead{ID: "a2", Phone: "+7(999)"}})
	want := [][]string{
		{"id", "Имя", "Телефон", "Сообщение"},
		{"a1", `'=Анна; "А"`, "+79990000011", "раз\n'+два"},
		{"a2", "", "'+7(999)", ""},
	}
	if diff := cmp.Diff(want, records(t, path, ';')); diff != "" {
		t.Error(diff)
	}
	text, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(text), "\uFEFF") || strings.Count(string(text), "\uFEFF") != 1 {
		t.Error("want one byte order mark, at the beginning")
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v", info.Mode())
	}
}

func TestCSVExcelPhone(t *testing.T) {
	sink, path := open(t, func(s *sinks.CSVSettings) { s.ExcelPhones = true })
	deliver(t, sink, sinks.Delivery{Lead: &streams.Lead{ID: "a", Phone: "+79990000011"}})
	if got := records(t, path, ',')[1][2]; got != `="+79990000011"` {
		t.Errorf("got %s", got)
	}
}

// A half line is what a crash in the middle of a write leaves. It goes aside, even when it ends inside a quoted line
// break, and the redelivered lead is written although half of it was there.
func TestCSVTornLine(t *testing.T) {
	for name, torn := range map[string]string{
		"in a cell":         `"b","Бо`,
		"after a newline":   "\"b\",\"Боб\",\"\",\"раз\n",
		"before the LF":     "\"b\",\"Боб\",\"\",\"раз\"\r",
		"half a character":  "\"b\",\"\xd0",
		"a single quote":    `"`,
		"rows end where LF": "\"b\",\"Боб\",\"\",\"раз\ndва",
	} {
		t.Run(name, func(t *testing.T) {
			sink, path := open(t, nil)
			deliver(t, sink, sinks.Delivery{Lead: &streams.Lead{ID: "a"}})
			appendTo(t, path, torn)
			deliver(t, sink, sinks.Delivery{Lead: &streams.Lead{ID: "b"}, Unsure: time.Now()})
			var ids []string
			for _, r := range records(t, path, ',')[1:] {
				ids = append(ids, r[0])
			}
			if diff := cmp.Diff([]string{"a", "b"}, ids); diff != "" {
				t.Error(diff)
			}
			if kept, _ := os.ReadFile(path + ".torn"); string(kept) != torn+"\n" {
				t.Errorf("kept %q, want %q", kept, torn)
			}
		})
	}
}

func TestCSVFromAnotherProgram(t *testing.T) {
	sink, path := open(t, nil)
	deliver(t, sink, sinks.Delivery{Lead: &streams.Lead{ID: "a", Message: "раз\nдва"}})
	text, _ := os.ReadFile(path)
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "\r\n", "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	deliver(t, sink, sinks.Delivery{Lead: &streams.Lead{ID: "a"}, Unsure: time.Now()}, sinks.Delivery{Lead: &streams.Lead{ID: "b"}})
	all, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil {
		t.Fatal(err)
	}
	var rows int
	for _, p := range all {
		rows += len(records(t, p, ',')) - 1
	}
	if rows != 2 {
		t.Errorf("%d rows in %v, want a and b once each", rows, all)
	}
}

func TestCSVRedelivery(t *testing.T) {
	sink, path := open(t, nil)
	lead := &streams.Lead{ID: "b", RepeatOf: "a"}
	deliver(t, sink, sinks.Delivery{Lead: lead})
	for range 2 {
		deliver(t, sink, sinks.Delivery{Lead: lead, Attempt: 2, Unsure: time.Now()},
			sinks.Delivery{Lead: &streams.Lead{ID: "a"}, Unsure: time.Now()})
	}
	if got := records(t, path, ','); len(got) != 3 {
		t.Errorf("want the header and each lead once, got %v", got)
	}
}

func TestCSVOtherColumnsOtherFile(t *testing.T) {
	sink, path := open(t, nil)
	deliver(t, sink, sinks.Delivery{Lead: &streams.Lead{ID: "a"}})
	set := sinks.CSV.Settings().(*sinks.CSVSettings)
	set.Path = path
	wider, err := sinks.CSV.Open(set, sinks.Env{Language: "en"})
	if err != nil {
		t.Fatal(err)
	}
	deliver(t, wider, sinks.Delivery{Lead: &streams.Lead{ID: "b"}}, sinks.Delivery{Lead: &streams.Lead{ID: "a"}, Unsure: time.Now()})
	if got := records(t, path, ','); len(got) != 2 || got[1][0] != "b" {
		t.Errorf("got %v, want b alone under the new header", got)
	}
	old, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "leads.2*.csv"))
	if len(old) != 1 || records(t, old[0], ',')[1][0] != "a" {
		t.Errorf("the old file is not kept: %v", old)
	}
}

// Two daemons may share a file: each is a CSVFile of its own here.
func TestCSVTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "leads.csv")
	var all sync.WaitGroup
	for range 4 {
		set := sinks.CSV.Settings().(*sinks.CSVSettings)
		set.Path = path
		sink, err := sinks.CSV.Open(set, sinks.Env{Language: "ru"})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for range 10 {
				deliver(t, sink, sinkstest.Batch(5)...)
			}
		})
	}
	all.Wait()
	if got := len(records(t, path, ',')); got != 201 {
		t.Errorf("%d rows, want 201", got)
	}
}

func TestCSVDailyFile(t *testing.T) {
	dir := t.TempDir()
	set := sinks.CSVSettings{Path: "dead-%Y-%m-%d.csv", Separator: ",", Columns: sinks.DeadColumns}
	file, err := sinks.NewCSVFile(set, sinks.Env{Language: "en", DataDir: dir, Zone: time.FixedZone("", 7*3600)})
	if err != nil {
		t.Fatal(err)
	}
	row := sinks.Row{
		Lead: &streams.Lead{ID: "a", Name: "Анна"}, Destination: "crm", Error: "=HTTP 500", Attempts: 5,
		At: time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC),
	}
	next := row
	next.Unsure, next.At = row.At, row.At.Add(24*time.Hour)
	for _, r := range []sinks.Row{row, next} {
		if err := file.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	got := records(t, filepath.Join(dir, "dead-2026-03-02.csv"), ',')
	if diff := cmp.Diff([]string{"a", "2026-03-02 03:00:00", "crm", "5", "'=HTTP 500"}, got[1][:5]); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "dead-2026-03-03.csv")); err == nil {
		t.Error("the row of yesterday was not found, and written again")
	}
}

func TestCSVFaultsOfConfig(t *testing.T) {
	_, err := sinks.CSV.Open(&sinks.CSVSettings{Path: "a-%H.csv", Separator: "|", Columns: []string{"name", "nam", "name"}}, sinks.Env{})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"path:", "separator:", `"nam" is not known`, "twice", "id is missing"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestCSVSuite(t *testing.T) {
	t.Parallel()
	sinkstest.Run(t, sinkstest.Case{Kind: sinks.CSV, Configure: func(any, string) {}})
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}
