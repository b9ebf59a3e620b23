package portal

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reply is an answer as a caller sees it.
type replied struct {
	Status int
	Error  string `json:"error"`
	Result any    `json:"result"`
	Total  *int   `json:"total"`
	Next   *int   `json:"next"`
	Time   map[string]any
}

func start(t *testing.T, o Options) *Portal {
	t.Helper()
	p := New(o)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func post(t *testing.T, url, contentType, body string) replied {
	t.Helper()
	r, err := http.Post(url, contentType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := replied{Status: r.StatusCode}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&got); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return got
}

// rest calls a method with JSON.
func (p *Portal) call(t *testing.T, method, body string) replied {
	t.Helper()
	return post(t, p.URL()+method, "application/json", body)
}

// dig follows keys and indexes into a decoded answer.
func dig(v any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[s]
		case int:
			l, _ := v.([]any)
			if s >= len(l) {
				return nil
			}
			v = l[s]
		}
	}
	return v
}

const anna = `{"entityTypeId":1,"fields":{"title":"Site form","name":"Anna","originatorId":"leadstream","originId":"k1",
 "fm":[{"typeId":"PHONE","valueType":"MOBILE","value":"+79990000011"}],"PHONE":[{"VALUE":"+79990000012"}]}}`

func TestAddThenFind(t *testing.T) {
	p := start(t, Options{})
	added := p.call(t, "crm.item.add.json", anna)
	if got := dig(added.Result, "item", "id"); got != json.Number("1") {
		t.Fatalf("id %v, want the number 1", got)
	}
	if got := dig(added.Result, "item", "fm", 0, "value"); got != "+79990000011" {
		t.Errorf("phone %v", got)
	}
	list := p.call(t, "crm.item.list", `{"entityTypeId":1,"filter":{"=originatorId":"leadstream","=originId":"k1"},
		"select":["id","stageId"],"order":{"id":"ASC"},"start":-1}`)
	want := []any{map[string]any{"id": json.Number("1"), "stageId": "NEW"}}
	if diff := cmp.Diff(want, dig(list.Result, "items")); diff != "" {
		t.Error(diff)
	}
	if list.Total != nil {
		t.Error("start -1 must not count")
	}
	old := p.call(t, "crm.lead.list", `{"filter":{"=ORIGIN_ID":"k1"},"select":["ID","STATUS_ID"]}`)
	if diff := cmp.Diff([]any{map[string]any{"ID": "1", "STATUS_ID": "NEW"}}, old.Result); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{1}, p.Created("k1")); diff != "" {
		t.Error(diff)
	}
	if e := p.Ledger()[0]; e.Kind != "create" || e.Origin != "k1" || e.ID != 1 || e.Answer != Delivered {
		t.Errorf("%+v", e)
	}
}

func num(n int) json.Number { return json.Number(strconv.Itoa(n)) }

// keys is a map's keys in order; nothing for [], as PHP shows an empty map.
func keys(v any) string {
	m, _ := v.(map[string]any)
	return strings.Join(slices.Sorted(maps.Keys(m)), ",")
}
