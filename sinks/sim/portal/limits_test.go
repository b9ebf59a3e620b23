package portal

import (
	"testing"
	"time"
)

func TestRateLimit(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p := start(t, Options{Clock: func() time.Time { return at }})
	for i := range 50 {
		if got := p.call(t, "server.time", `{}`); got.Status != 200 {
			t.Fatalf("request %d: %+v", i, got)
		}
	}
	if got := p.call(t, "crm.item.add", anna); got.Status != 503 || got.Error != "QUERY_LIMIT_EXCEEDED" {
		t.Errorf("%+v", got)
	}
	at = at.Add(time.Second) // two requests drain away
	for i, want := range []int{200, 200, 503} {
		if got := p.call(t, "crm.item.add", anna); got.Status != want {
			t.Errorf("after a second, request %d: %+v", i, got)
		}
	}
	if got := p.Created("k1"); len(got) != 2 {
		t.Errorf("refused requests were executed: %v", got)
	}
	p.SetLimits(Limits{Overload: true})
	if got := p.call(t, "server.time", `{}`); got.Status != 503 || got.Error != "OVERLOAD_LIMIT" {
		t.Errorf("%+v", got)
	}
}

func TestOperatingTime(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 30, 0, time.UTC)
	p := start(t, Options{Clock: func() time.Time { return at }, Limits: Limits{Operating: 2 * time.Second, Cost: time.Second}})
	p.call(t, "crm.item.add", anna)
	at = at.Add(time.Minute)
	got := p.call(t, "crm.item.add", anna)
	if got.Time["operating"] != num(2) || got.Time["operating_reset_at"] != num(int(at.Truncate(time.Minute).Add(9*time.Minute).Unix())) {
		t.Errorf("%v", got.Time)
	}
	if got := p.call(t, "crm.item.add", anna); got.Status != 429 || got.Error != "OPERATION_TIME_LIMIT" {
		t.Errorf("%+v", got)
	}
	if got := p.call(t, "crm.item.list", `{"entityTypeId":1}`); got.Status != 200 {
		t.Errorf("another method is not blocked: %+v", got)
	}
	at = at.Truncate(time.Minute).Add(9 * time.Minute) // the first call's minute leaves the window
	if got := p.call(t, "crm.item.add", anna); got.Status != 200 {
		t.Errorf("after the reset: %+v", got)
	}
}

func TestLag(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p := start(t, Options{Clock: func() time.Time { return at }, Lag: 30 * time.Second})
	p.call(t, "crm.item.add", anna)
	found := func() (list, byComm int) {
		items, _ := dig(p.call(t, "crm.item.list", `{"entityTypeId":1}`).Result, "items").([]any)
		leads, _ := dig(p.call(t, "crm.duplicate.findbycomm", `{"type":"PHONE","values":["89990000011"]}`).Result, "LEAD").([]any)
		return len(items), len(leads)
	}
	if a, b := found(); a+b != 0 {
		t.Errorf("found at once: %d, %d", a, b)
	}
	if got := p.call(t, "crm.item.get", `{"entityTypeId":1,"id":1}`); got.Status != 200 {
		t.Errorf("get has no lag: %+v", got)
	}
	at = at.Add(30 * time.Second)
	if a, b := found(); a != 1 || b != 1 {
		t.Errorf("after the lag: %d, %d", a, b)
	}
}

func TestOwnItemsOnly(t *testing.T) {
	p := start(t, Options{Users: []User{{ID: 1, Secret: "secret"}, {ID: 2, Secret: "own", OwnOnly: true}}})
	p.call(t, "crm.item.add", anna)
	own := post(t, p.Base()+"/rest/2/own/crm.item.list", "application/json", `{"entityTypeId":1,"filter":{"=originId":"k1"}}`)
	if items, _ := dig(own.Result, "items").([]any); len(items) != 0 {
		t.Errorf("sees another's lead: %v", items)
	}
}
