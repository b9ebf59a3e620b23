package vk

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func start(t *testing.T, o Options) *Community {
	t.Helper()
	c := New(o)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// ask calls a method of the API.
func ask(t *testing.T, c *Community, method, args string) string {
	t.Helper()
	form, err := url.ParseQuery(args)
	if err != nil {
		t.Fatal(err)
	}
	if form.Get("access_token") == "" {
		form.Set("access_token", "vk1.a.community-token")
	}
	form.Set("v", version)
	res, err := http.PostForm(c.URL()+"/method/"+method, form)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v %d", method, err, res.StatusCode)
	}
	return string(body)
}

func TestErrors(t *testing.T) {
	c := start(t, Options{NoPoll: true, Rate: 10})
	for i, tt := range []struct{ method, args, want string }{
		{"groups.getById", "access_token=x", `"error_code":5`},
		{"groups.of_next_year", "", `"error_code":3`},
		{"groups.getLongPollServer", "group_id=200000001", "longpoll for this group is not enabled"},
		{"groups.getLongPollServer", "group_id=5", `"error_code":15`},
		{"groups.editCallbackServer", "server_id=9", `"error_code":100`},
		{"messages.send", "peer_id=7&message=a&random_id=1", `"error_code":901`},
		{"messages.send", "peer_id=7&message=a", `"error_code":100`},
	} {
		if got := ask(t, c, tt.method, tt.args); !strings.Contains(got, tt.want) {
			t.Errorf("%d: %s", i, got)
		}
	}
	slow := false
	for range 20 {
		slow = slow || strings.Contains(ask(t, c, "groups.getById", ""), `"error_code":6`)
	}
	if !slow {
		t.Error("any number of calls a second")
	}
}

type checked struct {
	TS      string
	Updates []struct{ Object struct{ Message message } }
	Failed  int
}

func TestLongPoll(t *testing.T) {
	c := start(t, Options{History: 3})
	var s struct {
		Response struct{ Key, Server, TS string }
	}
	if err := json.Unmarshal([]byte(ask(t, c, "groups.getLongPollServer", "group_id=200000001")), &s); err != nil {
		t.Fatal(err)
	}
	check := func(ts, key string) string {
		res, err := http.Get(s.Response.Server + "?act=a_check&wait=25&ts=" + ts + "&key=" + key)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return string(body)
	}
	go func() {
		for !c.Polling() {
			time.Sleep(time.Millisecond)
		}
		c.Write(7, "раз")
	}()
	var got checked
	if err := json.Unmarshal([]byte(check(s.Response.TS, s.Response.Key)), &got); err != nil || got.TS != "2" || len(got.Updates) != 1 || got.Updates[0].Object.Message.Text != "раз" {
		t.Errorf("%+v, %v", got, err)
	}
	for i := range 4 {
		c.Write(7, fmt.Sprint(i))
	}
	for ts, want := range map[string]string{"1": `{"failed":1,"ts":6}`, "99": `{"failed":1,"ts":6}`, "x": `{"failed":1,"ts":6}`} {
		if got := check(ts, s.Response.Key); got != want {
			t.Errorf("ts %s: %s", ts, got)
		}
	}
	c.NewKey()
	if got := check("5", s.Response.Key); got != `{"failed":2}` {
		t.Errorf("an old key: %s", got)
	}
}

// A callback server is asked for the confirmation first; an event comes again until the answer is ok.
func TestCallback(t *testing.T) {
	c := start(t, Options{Hurry: 1000})
	var mu sync.Mutex
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var e struct {
			Type, Secret string
			Object       struct{ Message message }
		}
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil || e.Secret != "s3cret" {
			t.Errorf("%v, %+v", err, e)
		}
		got = append(got, e.Type+" "+e.Object.Message.Text+" "+r.Header.Get("X-Retry-Counter"))
		switch {
		case e.Type == "confirmation":
			_, _ = io.WriteString(w, "a1b2c3d4")
		case len(got) < 4:
			_, _ = io.WriteString(w, "\ufeffok")
		default:
			_, _ = io.WriteString(w, "ok")
		}
	}))
	defer server.Close()
	if got := ask(t, c, "groups.addCallbackServer", url.Values{"url": {server.URL}, "title": {"bot"}, "secret_key": {"s3cret"}}.Encode()); got != `{"response":{"server_id":1}}` {
		t.Fatal(got)
	}
	ask(t, c, "groups.setCallbackSettings", "server_id=1&message_new=1")
	for !slices.Equal(c.Servers(), []string{server.URL + " ok"}) {
		time.Sleep(time.Millisecond)
	}
	c.Write(7, "раз")
	c.Reply(7, "не отмечено")
	for c.Unsent() > 0 {
		time.Sleep(time.Millisecond)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"confirmation  ", "message_new раз ", "message_new раз 1", "message_new раз 2"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
