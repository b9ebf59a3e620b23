package portal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// send calls a method and answers its status, 0 when no answer came.
func send(t *testing.T, p *Portal, method, body string) int {
	t.Helper()
	r, err := http.Post(p.URL()+method, "application/json", strings.NewReader(body))
	if err != nil {
		return 0
	}
	defer r.Body.Close()
	return r.StatusCode
}

// TestFaultsAgainstTheLedger: what the caller sees, and what really happened.
func TestFaultsAgainstTheLedger(t *testing.T) {
	type event struct{ Kind, Code, Answer string }
	cases := map[string]struct {
		fault  Fault
		status int
		want   []event
	}{
		"none":                 {Fault{Method: "tasks.*", Reset: true}, 200, []event{{"create", "", Delivered}}},
		"code of the sheet":    {Fault{Code: "insufficient_scope"}, 403, []event{{"refuse", "insufficient_scope", Delivered}}},
		"token":                {Fault{Code: "expired_token"}, 401, []event{{"refuse", "expired_token", Delivered}}},
		"portal closed":        {Fault{Code: "PORTAL_DELETED"}, 500, []event{{"refuse", "PORTAL_DELETED", Delivered}}},
		"empty code":           {Fault{Status: 400, Description: "Access denied."}, 400, []event{{"refuse", "", Delivered}}},
		"front's page":         {Fault{Status: 502}, 502, []event{{"refuse", "", Delivered}}},
		"500 after executing":  {Fault{Code: "INTERNAL_SERVER_ERROR", After: true}, 500, []event{{"create", "", Delivered}, {"refuse", "INTERNAL_SERVER_ERROR", Delivered}}},
		"login page, executed": {Fault{HTML200: true, After: true}, 200, []event{{"create", "", Delivered}}},
		"reset before":         {Fault{Reset: true}, 0, nil},
		"reset after":          {Fault{Reset: true, After: true}, 0, []event{{"create", "", Lost}}},
		"answer lost":          {Fault{LoseAnswer: true}, 0, []event{{"create", "", Lost}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := start(t, Options{})
			p.Inject(c.fault)
			if got := send(t, p, "crm.item.add", anna); got != c.status {
				t.Errorf("status %d, want %d", got, c.status)
			}
			var got []event
			for _, e := range p.Ledger() {
				if e.Origin != "k1" {
					t.Errorf("whose is it? %+v", e)
				}
				got = append(got, event{e.Kind, e.Code, e.Answer})
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFinishedLateIsLost(t *testing.T) {
	p := start(t, Options{})
	p.Inject(Fault{FinishLate: 50 * time.Millisecond, Reset: true, Times: 1})
	if got := send(t, p, "crm.item.add", anna); got != 0 {
		t.Fatalf("an answer: %d", got)
	}
	for range 200 {
		if l := p.Ledger(); len(l) == 1 && l[0].Answer == Lost {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%+v", p.Ledger())
}

func TestDuplicatesAreFound(t *testing.T) {
	p := start(t, Options{})
	for _, body := range []string{anna, anna, strings.Replace(anna, "k1", "k2", 1), strings.Replace(anna, `Id":1`, `Id":2`, 1)} {
		send(t, p, "crm.item.add", body)
	}
	if diff := cmp.Diff(map[string][]int{"k1": {1, 2}}, p.Duplicates()); diff != "" {
		t.Error(diff)
	}
}

func TestLedgerFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	p := start(t, Options{LedgerFile: file})
	send(t, p, "crm.item.add", anna)
	p.Inject(Fault{LoseAnswer: true, Times: 1})
	send(t, p, "crm.item.add", strings.Replace(anna, "k1", "k2", 1))
	raw, err := os.ReadFile(file) // while the portal runs
	if err != nil {
		t.Fatal(err)
	}
	last := map[int]string{}
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		last[e.Seq] = e.Origin + " " + e.Answer
	}
	if diff := cmp.Diff(map[int]string{1: "k1 delivered", 2: "k2 lost"}, last); diff != "" {
		t.Error(diff)
	}
}

func TestRestartRemembers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	p := New(Options{LedgerFile: file})
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	send(t, p, "crm.item.add", anna)
	send(t, p, "crm.lead.update", `{"id":1,"fields":{"TITLE":"changed"}}`)
	send(t, p, "crm.timeline.comment.add", `{"fields":{"ENTITY_ID":1,"ENTITY_TYPE":"lead","COMMENT":"first"}}`)
	send(t, p, "batch", `{"cmd":{"a":"crm.item.add?entityTypeId=1&fields[originId]=k2","b":"crm.timeline.comment.add?fields[ENTITY_TYPE]=lead&fields[ENTITY_ID]=$result[a][item][id]&fields[COMMENT]=second"}}`)
	want := p.Ledger()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	half, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := half.WriteString(`{"seq":6,"kind":"cre`); err != nil { // killed while writing
		t.Fatal(err)
	}
	if err := half.Close(); err != nil {
		t.Fatal(err)
	}

	p = start(t, Options{LedgerFile: file})
	if diff := cmp.Diff(want, p.Ledger()); diff != "" {
		t.Error(diff)
	}
	got := p.call(t, "crm.item.get", `{"entityTypeId":1,"id":1}`)
	if dig(got.Result, "item", "title") != "changed" || dig(got.Result, "item", "fm", 0, "value") != "+79990000011" {
		t.Errorf("%v", got.Result)
	}
	comments := p.call(t, "crm.timeline.comment.list", `{"filter":{"ENTITY_ID":2,"ENTITY_TYPE":"lead"}}`)
	if dig(comments.Result, 0, "COMMENT") != "second" {
		t.Errorf("%v", comments.Result)
	}
	if added := p.call(t, "crm.item.add", anna); dig(added.Result, "item", "id") != num(3) {
		t.Errorf("%v", added.Result)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(raw, []byte("\"kind\":\"cre\n{")) {
		t.Error("what follows half a line shares its fate")
	}
	p = start(t, Options{LedgerFile: file})
	if diff := cmp.Diff([]int{1, 3}, p.Created("k1")); diff != "" {
		t.Error(diff)
	}
}

func TestHandlesOverHTTP(t *testing.T) {
	p := start(t, Options{})
	do := func(method, path, body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, p.Base()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		if _, err := b.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, b.String()
	}
	do("POST", "/sim/fault", `{"method":"crm.item.add","code":"OVERLOAD_LIMIT","times":1}`)
	if got := send(t, p, "crm.item.add", anna); got != 503 {
		t.Errorf("status %d", got)
	}
	send(t, p, "crm.item.add", strings.Replace(anna, "Anna", "<script>alert(1)</script>", 1))
	if _, body := do("GET", "/sim/ledger", ""); strings.Count(body, `"kind"`) != 2 {
		t.Error(body)
	}
	for lang, title := range map[string]string{"ru": "имитация", "en": "simulated"} {
		if _, body := do("GET", "/?lang="+lang, ""); !strings.Contains(body, title) || strings.Contains(body, "<script>") ||
			!strings.Contains(body, "&lt;script&gt;") {
			t.Error(body)
		}
	}
	if status, _ := do("POST", "/sim/settings", `{"lag":"30s","overload":true}`); status != 204 {
		t.Errorf("status %d", status)
	}
	if got := send(t, p, "server.time", `{}`); got != 503 {
		t.Errorf("status %d", got)
	}
	if status, _ := do("POST", "/sim/settings", `{"lagg":"30s"}`); status != 400 {
		t.Errorf("status %d", status)
	}
	if got := p.Requests(); got != 3 {
		t.Errorf("%d requests", got)
	}
}
