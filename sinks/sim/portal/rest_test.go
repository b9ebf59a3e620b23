package portal

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestErrors(t *testing.T) {
	cases := map[string]struct {
		method, body string
		status       int
		code         string
	}{
		"unknown method":         {"crm.item.frobnicate", `{}`, 404, "ERROR_METHOD_NOT_FOUND"},
		"scope not granted":      {"tasks.task.add", `{}`, 403, "insufficient_scope"},
		"no entity type":         {"crm.item.add", `{"fields":{}}`, 400, "100"},
		"entity type not there":  {"crm.item.add", `{"entityTypeId":128,"fields":{}}`, 400, "NOT_FOUND"},
		"no fields":              {"crm.item.add", `{"entityTypeId":1}`, 400, "100"},
		"required field":         {"crm.item.add", `{"entityTypeId":1,"fields":{"title":"x"}}`, 400, "CRM_FIELD_ERROR_REQUIRED"},
		"value of another type":  {"crm.item.add", `{"entityTypeId":1,"fields":{"sourceId":"WEB","assignedById":"Anna"}}`, 400, "CRM_FIELD_ERROR_VALUE_NOT_VALID"},
		"stage not there":        {"crm.item.add", `{"entityTypeId":1,"fields":{"sourceId":"WEB","stageId":"NOPE"}}`, 400, "CRM_FIELD_ERROR_VALUE_NOT_VALID"},
		"no such item":           {"crm.item.get", `{"entityTypeId":1,"id":99}`, 400, "NOT_FOUND"},
		"no such item, old":      {"crm.lead.get", `{"id":99}`, 400, ""},
		"update of nothing":      {"crm.item.update", `{"entityTypeId":1,"id":99,"fields":{}}`, 400, "NOT_FOUND"},
		"unknown filter field":   {"crm.item.list", `{"entityTypeId":1,"filter":{"=nope":1}}`, 400, "INVALID_ARG_VALUE"},
		"communication type":     {"crm.duplicate.findbycomm", `{"values":["1"]}`, 400, ""},
		"comment on nothing":     {"crm.timeline.comment.add", `{"fields":{"ENTITY_ID":99,"ENTITY_TYPE":"lead","COMMENT":"x"}}`, 400, "OWNER_NOT_FOUND"},
		"empty comment":          {"crm.timeline.comment.add", `{"fields":{"ENTITY_ID":1,"ENTITY_TYPE":"lead","COMMENT":""}}`, 400, "INVALID_ARG_VALUE"},
		"comment, FIELDS":        {"crm.timeline.comment.add", `{"FIELDS":{"ENTITY_ID":1,"ENTITY_TYPE":"lead","COMMENT":"x"}}`, 400, "100"},
		"to-do on nothing":       {"crm.activity.todo.add", `{"ownerTypeId":1,"ownerId":99,"deadline":"2026-03-01"}`, 400, "OWNER_NOT_FOUND"},
		"to-do without deadline": {"crm.activity.todo.add", `{"ownerTypeId":1,"ownerId":1}`, 400, "100"},
		"to-do, bad deadline":    {"crm.activity.todo.add", `{"ownerTypeId":1,"ownerId":1,"deadline":"soon"}`, 400, "WRONG_DATETIME_FORMAT"},
		"unreadable JSON":        {"crm.item.add", `{"entityTypeId":`, 400, "INVALID_REQUEST"},
		"unreadable query":       {"crm.item.add?%zz", `{}`, 400, "INVALID_REQUEST"},
		"wrong secret":           {"../other/server.time", `{}`, 401, "NO_AUTH_FOUND"},
		"no token":               {"../../server.time", `{}`, 401, "NO_AUTH_FOUND"},
		"unknown token":          {"../../server.time", `{"auth":"who"}`, 401, "NO_AUTH_FOUND"},
		"expired token":          {"../../server.time", `{"auth":"old"}`, 401, "expired_token"},
		"user without rights":    {"../../2/denied/crm.item.list", `{"entityTypeId":1}`, 403, "ACCESS_DENIED"},
		"without rights, old":    {"../../2/denied/crm.lead.list", `{}`, 400, ""},
		"too long a batch":       {"batch", `{"cmd":[` + strings.Repeat(`"server.time",`, 50) + `"server.time"]}`, 400, "ERROR_BATCH_LENGTH_EXCEEDED"},
	}
	p := start(t, Options{Limits: NoLimits, Scopes: []string{"crm"}, Required: []string{"sourceId"}, Tokens: map[string]int{"old": 0, "good": 1},
		Users: []User{{ID: 1, Secret: "secret"}, {ID: 2, Secret: "denied", Denied: true}}})
	p.call(t, "crm.item.add", `{"entityTypeId":1,"fields":{"sourceId":"WEB"}}`)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path, query, _ := strings.Cut(c.method, "?")
			target, err := url.JoinPath(p.URL(), path)
			if err != nil {
				t.Fatal(err)
			}
			got := post(t, target+"?"+query, "application/json", c.body)
			if got.Status != c.status || got.Error != c.code {
				t.Errorf("got %d %q, want %d %q", got.Status, got.Error, c.status, c.code)
			}
		})
	}
	if got := post(t, p.Base()+"/rest/crm.item.get", "application/json", `{"auth":"good","entityTypeId":1,"id":1}`); got.Status != 200 {
		t.Errorf("with a good token: %+v", got)
	}
	if raw := fmt.Sprint(p.Ledger()); strings.Contains(raw, "good") || strings.Contains(raw, "old") {
		t.Errorf("the ledger tells tokens: %s", raw)
	}
}

// TestStored adds an item in many ways and says what the portal then holds.
func TestStored(t *testing.T) {
	long := strings.Repeat("я", 300)
	cases := map[string]struct {
		method, contentType, body string
		want                      map[string]any // of crm.item.get
	}{
		"unknown fields are ignored": {"crm.item.add", "application/json",
			`{"entityTypeId":1,"fields":{"title":"t","shoeSize":"44","ufCrm_404":"x"}}`, map[string]any{"title": "t", "shoeSize": nil, "ufCrm_404": nil}},
		"custom field": {"crm.item.add", "application/json",
			`{"entityTypeId":1,"fields":{"ufCrm_17":"hot"}}`, map[string]any{"ufCrm_17": "hot"}},
		"custom field, original name": {"crm.item.add", "application/json",
			`{"entityTypeId":1,"useOriginalUfNames":"Y","fields":{"UF_CRM_17":"hot"}}`, map[string]any{"ufCrm_17": "hot"}},
		"custom field, original name unasked": {"crm.item.add", "application/json",
			`{"entityTypeId":1,"fields":{"UF_CRM_17":"hot"}}`, map[string]any{"ufCrm_17": nil}},
		"read-only": {"crm.item.add", "application/json",
			`{"entityTypeId":1,"fields":{"id":77,"isReturnCustomer":"Y"}}`, map[string]any{"isReturnCustomer": "N"}},
		"repeat lead": {"crm.item.add", "application/json",
			`{"entityTypeId":1,"fields":{"contactId":5}}`, map[string]any{"isReturnCustomer": "Y"}},
		"cut to the column": {"crm.item.add", "application/json",
			`{"entityTypeId":1,"fields":{"title":"` + long + `","name":"` + long + `"}}`,
			map[string]any{"title": long[:255*2], "name": long[:50*2]}},
		"cut between letters": {"crm.item.add", "application/json",
			`{"entityTypeId":1,"fields":{"comments":"` + strings.Repeat("я", 40000) + `"}}`,
			map[string]any{"comments": strings.Repeat("я", 32767)}},
		"fm as an object is dropped": {"crm.item.add", "application/json",
			`{"entityTypeId":1,"fields":{"fm":{"typeId":"PHONE","value":"1"}}}`, map[string]any{"fm": []any{}}},
		"old method": {"crm.lead.add", "application/json",
			`{"fields":{"TITLE":"t","STATUS_ID":"IN_PROCESS","PHONE":[{"VALUE":"+79990000011","VALUE_TYPE":"HOME"}],"fm":[{"typeId":"EMAIL","value":"a@b.test"}]}}`,
			map[string]any{"title": "t", "stageId": "IN_PROCESS", "fm": []any{map[string]any{"id": num(1), "typeId": "PHONE",
				"valueType": "HOME", "value": "+79990000011"}}}},
		"old method, bare phone is dropped": {"crm.lead.add", "application/json",
			`{"fields":{"PHONE":"+79990000011"}}`, map[string]any{"fm": []any{}}},
		"form with brackets": {"crm.lead.add", "application/x-www-form-urlencoded",
			"fields[TITLE]=A%26B&fields[PHONE][0][VALUE]=%2B79990000011&fields%5BPHONE%5D%5B0%5D%5BVALUE_TYPE%5D=WORK&fields[EMAIL][][VALUE]=a@b.test",
			map[string]any{"title": "A&B", "fm": []any{
				map[string]any{"id": num(1), "typeId": "PHONE", "valueType": "WORK", "value": "+79990000011"},
				map[string]any{"id": num(2), "typeId": "EMAIL", "valueType": "WORK", "value": "a@b.test"}}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := start(t, Options{UserFields: []string{"UF_CRM_17"}})
			if got := post(t, p.URL()+c.method, c.contentType, c.body); got.Status != 200 {
				t.Fatalf("%+v", got)
			}
			item, _ := dig(p.call(t, "crm.item.get", `{"entityTypeId":1,"id":1}`).Result, "item").(map[string]any)
			for k, want := range c.want {
				if diff := cmp.Diff(want, item[k]); diff != "" {
					t.Errorf("%s: %s", k, diff)
				}
			}
		})
	}
}

func TestStrictRefusesWhatWouldBeCut(t *testing.T) {
	p := start(t, Options{Strict: true})
	got := p.call(t, "crm.item.add", `{"entityTypeId":1,"fields":{"name":"`+strings.Repeat("я", 51)+`"}}`)
	if got.Status != 400 || got.Error != "CRM_FIELD_ERROR_VALUE_NOT_VALID" {
		t.Errorf("%+v", got)
	}
}

func TestFilters(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, zone)
	p := start(t, Options{Clock: func() time.Time { return at }, Limits: NoLimits})
	for i, title := range []string{"Kitchen", "Sofa", "kitchen table"} {
		p.call(t, "crm.item.add", fmt.Sprintf(`{"entityTypeId":1,"fields":{"title":%q,"opportunity":%d,"originId":"k%d"}}`,
			title, (i+1)*90, i+1))
		at = at.Add(time.Hour)
	}
	cases := map[string]struct {
		filter string
		want   []any
	}{
		"none":           {`{}`, []any{num(1), num(2), num(3)}},
		"equal":          {`{"=originId":"k2"}`, []any{num(2)}},
		"bare":           {`{"originId":"k2"}`, []any{num(2)}},
		"list":           {`{"@originId":["k1","k3"]}`, []any{num(1), num(3)}},
		"not":            {`{"!originId":"k2"}`, []any{num(1), num(3)}},
		"not in list":    {`{"!@originId":["k1","k3"]}`, []any{num(2)}},
		"substring":      {`{"%title":"kitchen"}`, []any{num(1), num(3)}},
		"greater":        {`{">id":1}`, []any{num(2), num(3)}},
		"numbers":        {`{"<opportunity":"100"}`, []any{num(1)}},
		"at least":       {`{">=createdTime":"2026-03-01T13:00:00+03:00"}`, []any{num(2), num(3)}},
		"other zone":     {`{"<=createdTime":"2026-03-01T09:00:00Z"}`, []any{num(1)}},
		"both":           {`{">id":1,"%title":"kitchen"}`, []any{num(3)}},
		"or":             {`{"0":{"logic":"OR","0":{"=originId":"k1"},"1":{"=originId":"k2"}}}`, []any{num(1), num(2)}},
		"or at the root": {`{"logic":"OR","=originId":"k1","=title":"Sofa"}`, []any{num(1), num(2)}},
		"list of groups": {`[{">id":1},{"<id":3}]`, []any{num(2)}},
		"nothing":        {`{"=originId":"k9"}`, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := p.call(t, "crm.item.list", `{"entityTypeId":1,"select":["id"],"filter":`+c.filter+`}`)
			var found []any
			items, _ := dig(got.Result, "items").([]any)
			for _, it := range items {
				found = append(found, dig(it, "id"))
			}
			if diff := cmp.Diff(c.want, found); diff != "" {
				t.Errorf("%s\n%+v", diff, got)
			}
		})
	}
	t.Run("old list ignores an unknown field", func(t *testing.T) {
		if got, _ := p.call(t, "crm.lead.list", `{"filter":{"=NOPE":"x"}}`).Result.([]any); len(got) != 3 {
			t.Errorf("%d leads", len(got))
		}
	})
}

func TestPages(t *testing.T) {
	p := start(t, Options{Limits: NoLimits})
	for range 101 {
		p.call(t, "crm.item.add", `{"entityTypeId":1,"fields":{}}`)
	}
	cases := map[string]struct {
		start       string
		len         int
		first       int
		total, next any
	}{
		"first":     {"0", 50, 101, 101, 50},
		"second":    {"50", 50, 51, 101, 100},
		"last":      {"100", 1, 1, 101, nil},
		"uncounted": {"-1", 50, 101, nil, nil},
		"beyond":    {"150", 0, 0, 101, nil},
	}
	value := func(n *int) any {
		if n == nil {
			return nil
		}
		return *n
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := p.call(t, "crm.item.list", `{"entityTypeId":1,"select":["id"],"order":{"id":"DESC"},"start":`+c.start+`}`)
			items, _ := dig(got.Result, "items").([]any)
			if len(items) != c.len || value(got.Total) != c.total || value(got.Next) != c.next {
				t.Errorf("%d items, total %v, next %v", len(items), value(got.Total), value(got.Next))
			}
			if c.len > 0 && dig(items[0], "id") != num(c.first) {
				t.Errorf("first is %v", dig(items[0], "id"))
			}
		})
	}
}

func TestUpdateOfMultiFields(t *testing.T) {
	p := start(t, Options{})
	p.call(t, "crm.item.add", `{"entityTypeId":1,"fields":{"fm":[{"typeId":"PHONE","value":"1"},{"typeId":"PHONE","value":"2"}]}}`)
	p.call(t, "crm.item.update", `{"entityTypeId":1,"id":1,"fields":{"fm":{"1":{"typeId":"PHONE","value":""},
		"2":{"typeId":"PHONE","value":"two"},"n0":{"typeId":"EMAIL","value":"a@b.test"},"n1":{"value":"no type"}}}}`)
	p.call(t, "crm.lead.update", `{"id":1,"fields":{"PHONE":[{"VALUE":"two"}],"TITLE":"changed"}}`)
	got := p.call(t, "crm.lead.get", `{"id":1}`)
	want := []any{map[string]any{"ID": "2", "TYPE_ID": "PHONE", "VALUE": "two", "VALUE_TYPE": ""},
		map[string]any{"ID": "4", "TYPE_ID": "PHONE", "VALUE": "two", "VALUE_TYPE": "WORK"}}
	if diff := cmp.Diff(want, dig(got.Result, "PHONE")); diff != "" {
		t.Error(diff)
	}
	if dig(got.Result, "EMAIL", 0, "VALUE") != "a@b.test" || dig(got.Result, "TITLE") != "changed" {
		t.Errorf("%v", got.Result)
	}
}

func TestBatch(t *testing.T) {
	cases := map[string]struct {
		contentType, body string
		want              map[string]any
		created           int
	}{
		"chain": {"application/json",
			`{"halt":1,"cmd":{"lead":"crm.item.add?entityTypeId=1&fields[title]=A%26B","note":"crm.timeline.comment.add?fields[ENTITY_TYPE]=lead&fields[ENTITY_ID]=$result[lead][item][id]&fields[COMMENT]=x"}}`,
			map[string]any{"keys": "lead,note", "errors": ""}, 1},
		"halt": {"application/json",
			`{"halt":1,"cmd":{"bad":"crm.item.get?entityTypeId=1&id=9","lead":"crm.item.add?entityTypeId=1&fields[title]=x"}}`,
			map[string]any{"keys": "", "errors": "bad"}, 0},
		"go on": {"application/json",
			`{"halt":0,"cmd":{"bad":"crm.item.get?entityTypeId=1&id=9","lead":"crm.item.add?entityTypeId=1&fields[title]=$result[bad][item][id]"}}`,
			map[string]any{"keys": "lead", "errors": "bad", "title": "$result[bad][item][id]"}, 1},
		"nested": {"application/json", `{"cmd":{"in":"batch?cmd[x]=server.time"}}`,
			map[string]any{"keys": "", "errors": "in"}, 0},
		"form": {"application/x-www-form-urlencoded",
			"halt=1&cmd[lead]=" + url.QueryEscape("crm.item.add?entityTypeId=1&fields[title]="+url.QueryEscape("A&B")),
			map[string]any{"keys": "lead", "errors": "", "title": "A&B"}, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := start(t, Options{})
			got := post(t, p.URL()+"batch", c.contentType, c.body)
			if got.Status != 200 {
				t.Fatalf("%+v", got)
			}
			seen := map[string]any{"keys": keys(dig(got.Result, "result")), "errors": keys(dig(got.Result, "result_error"))}
			if _, asked := c.want["title"]; asked {
				seen["title"] = dig(got.Result, "result", "lead", "item", "title")
			}
			if diff := cmp.Diff(c.want, seen); diff != "" {
				t.Error(diff)
			}
			n := 0
			for _, e := range p.Ledger() {
				if e.Kind == "create" {
					n++
				}
			}
			if n != c.created {
				t.Errorf("%d created, want %d", n, c.created)
			}
		})
	}
}
