package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"
)

// counter is a daemon that takes leads, each key once, after it has been busy for a while.
type counter struct {
	mu    sync.Mutex
	busy  int // requests to turn away first
	leads map[string]map[string]string
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	var lead map[string]string
	key := r.Header.Get("Idempotency-Key")
	switch {
	case r.Header.Get("Authorization") != "Bearer secret":
		writeError(w, http.StatusUnauthorized, "unauthorized", "The key is wrong", "")
	case c.busy > 0:
		c.busy--
		w.Header().Set("Retry-After", "0")
		writeError(w, []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}[c.busy%2], "unavailable", "later", "")
	case json.Unmarshal(body, &lead) != nil:
		writeError(w, http.StatusBadRequest, "bad_json", "The body is not valid JSON", "")
	case c.leads[key] != nil:
		fmt.Fprint(w, `{"ok":true,"lead_id":"x","status":"duplicate"}`)
	default:
		c.leads[key] = lead
		fmt.Fprint(w, `{"ok":true,"lead_id":"x","status":"accepted"}`)
	}
}

func TestSend(t *testing.T) {
	english(t)
	cyrillic, err := charmap.Windows1251.NewEncoder().String("Имя;Телефон\nАнна;+79990000011\n")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		file, text string
		busy       int
		key        string
		code       int
		out, errs  string
		leads      []string // name/phone, in any order
	}{
		"CSV":               {file: "l.csv", text: "name,phone\nAnna,+79990000011\nMaria,+79990000012\n", out: "accepted 2, duplicates 0, ignored 0, refused 0", leads: []string{"Anna", "Maria"}},
		"Excel's CSV":       {file: "l.csv", text: "\ufeffname;phone\r\n\"Anna; the second\";+79990000011\r\n", out: "accepted 1", leads: []string{"Anna; the second"}},
		"Windows-1251":      {file: "l.csv", text: cyrillic, out: "accepted 1", leads: []string{"Анна"}},
		"JSON lines":        {file: "l.jsonl", text: "{\"name\":\"Anna\"}\n\n{\"name\":\"Maria\"}\n", out: "accepted 2", leads: []string{"Anna", "Maria"}},
		"standard input":    {file: "-", text: "{\"name\":\"Anna\"}\n", out: "accepted 1", leads: []string{"Anna"}},
		"a busy daemon":     {file: "l.csv", text: "name\nAnna\n", busy: 1, out: "accepted 1", leads: []string{"Anna"}},
		"a row that is bad": {file: "l.jsonl", text: "{\"name\":\"Anna\"}\n{\"name\":\n", code: exitFailed, out: "accepted 1, duplicates 0, ignored 0, refused 1", errs: "row 2: this line is not JSON", leads: []string{"Anna"}},
		"a cell too many":   {file: "l.csv", text: "name,phone\nAnna,1,2\nMaria,2\n", code: exitFailed, out: "refused 1", errs: "row 1: record on line 2: wrong number of fields", leads: []string{"Maria"}},
		"a row refused":     {file: "l.jsonl", text: "{\"name\":1}\n", code: exitFailed, out: "refused 1", errs: "row 1: 400 bad_json: The body is not valid JSON"},
		"wrong key":         {file: "l.csv", text: "name\nAnna\n", key: "nonsense", code: exitFailed, out: "refused 1", errs: "row 1: 401 unauthorized"},
		"never free":        {file: "l.csv", text: "name\nAnna\n", busy: 100, code: exitFailed, errs: "send the file again: nothing is created twice"},
		"an array":          {file: "l.json", text: "[{}]", code: exitUsage, errs: "write one object a line"},
		"nothing":           {file: "l.csv", text: "", code: exitUsage, errs: "there is nothing in it"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := &counter{busy: tc.busy, leads: map[string]map[string]string{}}
			server := httptest.NewServer(c)
			defer server.Close()
			file, stdin := tc.file, tc.text
			if file != "-" {
				file, stdin = filepath.Join(t.TempDir(), tc.file), ""
				if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			key := tc.key
			if key == "" {
				key = "secret"
			}
			args := []string{"send", file, "--url", server.URL, "--key", key, "--attempts", "2"}
			code, out, errs := command(t, stdin, args...)
			if code != tc.code || !strings.Contains(out, tc.out) || !strings.Contains(errs, tc.errs) {
				t.Errorf("exit %d\n%s%s\nwant exit %d with %q and %q", code, out, errs, tc.code, tc.out, tc.errs)
			}
			if diff := cmp.Diff(set(tc.leads), c.names()); diff != "" {
				t.Error(diff)
			}
			if code == exitOK { // a second time creates nothing
				if _, out, _ := command(t, stdin, args...); !strings.Contains(out, fmt.Sprintf("accepted 0, duplicates %d", len(tc.leads))) {
					t.Errorf("sent again: %s", out)
				}
			}
		})
	}
}

func set(names []string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

func (c *counter) names() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := map[string]bool{}
	for _, lead := range c.leads {
		m[lead["name"]+lead["Имя"]] = true
	}
	return m
}

func TestRowKeys(t *testing.T) {
	key := func(name, body string, number int) string {
		return rowKey(name, row{number: number, body: []byte(body)})
	}
	first := key("a.csv", "x", 1)
	if first != key("a.csv", "x", 1) {
		t.Error("the same row has two keys")
	}
	for _, other := range []string{key("b.csv", "x", 1), key("a.csv", "y", 1), key("a.csv", "x", 2)} {
		if other == first {
			t.Errorf("another row has the same key %s", other)
		}
	}
}
