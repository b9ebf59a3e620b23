package poll

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"leadstream/daemon/intake"
	"leadstream/sinks/sim/max"
)

func maxWorld(t *testing.T) (*world, *max.Messenger) {
	t.Helper()
	m := max.New(max.Options{PlainHTTP: true, Rate: -1, PollRate: -1, Hurry: 1000})
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return newWorld(t, map[string]intake.Source{"max": {Preset: "max", Poll: true, Token: "max-token", BaseURL: m.URL(), AllowPrivate: true}}), m
}

func tell(m *max.Messenger, n int) {
	for i := range n {
		m.Write(120000001, "Анна", fmt.Sprintf("вопрос %d", i))
	}
}

func TestMaxIsAsked(t *testing.T) {
	w, m := maxWorld(t)
	tell(m, 250) // before the daemon runs
	stop := w.live()
	w.until("what waited is kept", func() bool { return w.leads() == 250 && m.Unread() == 0 })
	m.Begin(120000002, "Пётр", "banner")
	w.until("what comes is kept", func() bool { return w.leads() == 251 && m.Unread() == 0 })
	stop()
	tell(m, 3)
	stop = w.live()
	w.until("it goes on", func() bool { return w.leads() == 254 && m.Unread() == 0 })
	stop()
}

func TestMaxKilledBetween(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			w, m := maxWorld(t)
			tell(m, 30)
			for range 3 {
				reached := make(chan struct{}, 1000)
				w.fail = func(at string) error {
					if at != when {
						return nil
					}
					reached <- struct{}{}
					return errors.New("killed")
				}
				stop := w.live()
				<-reached
				stop()
				if m.Unread() != 30 {
					t.Fatalf("%d updates wait: they were confirmed before their time", m.Unread())
				}
			}
			w.fail = nil
			stop := w.live()
			w.until("all is kept and confirmed", func() bool { return w.leads() == 30 && m.Unread() == 0 })
			stop()
		})
	}
}

func TestMaxNoteIsLost(t *testing.T) {
	for name, note := range map[string]string{"gone": "", "damaged": `{"acc`, "of the past": `{"account":"220000001","cursor":"1","at":"2026-01-01T00:00:00Z"}`} {
		t.Run(name, func(t *testing.T) {
			w, m := maxWorld(t)
			tell(m, 3)
			stop := w.live()
			w.until("they are kept", func() bool { return w.leads() == 3 && m.Unread() == 0 })
			stop()
			if err := os.WriteFile(filepath.Join(w.dir, "channels", "max.json"), []byte(note), 0o600); err != nil {
				t.Fatal(err)
			}
			tell(m, 2)
			stop = w.live()
			w.until("it goes on", func() bool { return w.leads() == 5 && m.Unread() == 0 })
			stop()
		})
	}
}

func TestMaxTroubles(t *testing.T) {
	for name, tt := range map[string]struct {
		fault max.Fault
		why   string
	}{
		"token":        {max.Fault{Status: 401, Code: "verify.token"}, whyToken},
		"too many":     {max.Fault{Method: "GET /updates", Status: 429, Code: "too.many.requests"}, whyUnreachable},
		"503":          {max.Fault{Method: "GET /updates", Status: 503}, whyUnreachable},
		"a page":       {max.Fault{Method: "GET /updates", HTML200: true}, whyUnreadable},
		"no list":      {max.Fault{Method: "GET /updates", Body: `{"marker":1}`}, whyUnreadable},
		"a text":       {max.Fault{Method: "GET /updates", Body: `"hello"`}, whyUnreadable},
		"400":          {max.Fault{Method: "GET /updates", Status: 400, Code: "proto.payload"}, whyUnreachable},
		"40 MB":        {max.Fault{Method: "GET /updates", After: true, Fill: 40 << 20}, whyUnreadable},
		"cut short":    {max.Fault{Method: "GET /updates", After: true, CutAfter: 60}, whyUnreachable},
		"subscribed":   {max.Fault{Method: "GET /subscriptions", Body: `{"subscriptions":[{"url":"https://other.test/in"}]}`}, whyWebhook},
		"conflict":     {max.Fault{Method: "GET /updates", Status: 409, Code: "webhook.active"}, whyWebhook},
		"a strange me": {max.Fault{Method: "GET /me", Body: `{"user_id":0}`}, whyUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			w, m := maxWorld(t)
			m.Inject(tt.fault)
			tell(m, 3)
			stop := w.live()
			w.until("the trouble shows", func() bool { return w.why("max") == tt.why })
			if w.leads() > 0 {
				t.Errorf("%d leads", w.leads())
			}
			m.Clear()
			if tt.why != whyToken {
				w.until("it goes on", func() bool { return w.leads() == 3 && m.Unread() == 0 && w.why("max") == "" })
			}
			stop()
		})
	}
}

func TestMaxStrangeUpdates(t *testing.T) {
	w, m := maxWorld(t)
	m.Raw(`{"update_type":"message_created","message":[]}`)
	m.Raw(`{"update_type":"of_next_year"}`)
	m.Raw(`[]`)
	tell(m, 1)
	stop := w.live()
	w.until("the message is kept", func() bool { return w.leads() == 1 && w.quarantined() == 2 && m.Unread() == 0 })
	stop()
}

// A subscription that MAX has taken away is made again, after what came meanwhile was asked for.
func TestMaxSubscribesAgain(t *testing.T) {
	w, m := maxWorld(t)
	w.sources["max"] = intake.Source{Preset: "max", Token: "max-token", Secrets: []string{"max_secret"}, BaseURL: m.URL(), AllowPrivate: true, URL: w.server.URL + "/in/max"}
	tell(m, 2)
	stop := w.live()
	subscribed := func() bool { return m.Webhook() == w.server.URL+"/in/max" && w.why("max") == "" }
	w.until("it is subscribed", func() bool { return subscribed() && w.leads() == 2 })
	tell(m, 1)
	w.until("the webhook brings a message", func() bool { return w.leads() == 3 && m.Unread() == 0 })
	stop()
	tell(m, 4) // nobody takes them
	m.Unsubscribe()
	stop = w.live()
	w.until("it is subscribed again, and all has come", func() bool { return subscribed() && w.leads() == 7 && m.Unread() == 0 })
	m.Unsubscribe()
	m.Inject(max.Fault{Method: "POST /subscriptions", Body: `{"success":false,"message":"no"}`})
	w.until("that it cannot shows", func() bool { return w.why("max") == whyGone })
	m.Clear()
	w.until("it is in the end", subscribed)
	stop()
}

// watchedMax is a bot whose subscription we look after.
func watchedMax(t *testing.T, o max.Options) (*world, *max.Messenger) {
	o.PlainHTTP, o.Rate, o.PollRate, o.Hurry = true, -1, -1, 1000
	m := max.New(o)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(t, nil)
	w.sources = map[string]intake.Source{"max": {Preset: "max", Token: "max-token", Secrets: []string{"max_secret"}, BaseURL: m.URL(), AllowPrivate: true,
		URL: w.server.URL + "/in/max"}}
	return w, m
}

// Whatever MAX's texts mean, nothing is missed of what came while nobody was subscribed.
func TestMaxReadings(t *testing.T) {
	for name, tt := range map[string]struct {
		reading max.Reading
		before  int // messages that wait at the first start, so that there is a marker from then on
	}{"everything": {max.Everything, 0}, "the latest": {max.Latest, 0}, "the latest, mostly": {max.LatestOnly, 1}} {
		t.Run(name, func(t *testing.T) {
			w, m := watchedMax(t, max.Options{Reading: tt.reading})
			tell(m, tt.before)
			stop := w.live()
			w.until("it is subscribed", func() bool { return m.Webhook() != "" && w.why("max") == "" })
			tell(m, 3)
			w.until("the webhook brings messages", func() bool { return w.leads() == tt.before+3 && m.Unread() == 0 })
			for n := range 2 { // the second time with a marker of MAX's
				stop()
				m.Unsubscribe()
				for person := range 20 {
					m.Write(int64(1000*(n+1)+person), "Пётр", "первое слово")
				}
				tell(m, 5)
				stop = w.live()
				w.until("all has come", func() bool { return m.Webhook() != "" && w.leads() == tt.before+3+25*(n+1) })
			}
			lost := w.lost(lostForgotten)
			stop()
			if lost > 0 {
				t.Error("something is said to be lost")
			}
		})
	}
}

// Where nobody knows a marker, people who have written before are asked for, and that others may be missing is said.
func TestMaxTellsTheLatestAlone(t *testing.T) {
	w, m := watchedMax(t, max.Options{Reading: max.LatestOnly})
	stop := w.live()
	w.until("it is subscribed", func() bool { return m.Webhook() != "" && w.why("max") == "" })
	tell(m, 3)
	w.until("the webhook brings messages", func() bool { return w.leads() == 3 && m.Unread() == 0 })
	stop()
	file := filepath.Join(w.dir, "channels", "max.json")
	var n note
	raw, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(raw, &n)
	}
	if n.Cursor = ""; err == nil {
		raw, err = json.Marshal(n)
	}
	if err = errors.Join(err, os.WriteFile(file, raw, 0o600)); err != nil {
		t.Fatal(err)
	}
	m.Unsubscribe()
	tell(m, 5)
	m.Write(2000, "Пётр", "никто не узнает")
	m.Write(2001, "Павел", "последнее")
	stop = w.live()
	w.until("the conversations that are known are read, and the loss is told", func() bool { return w.leads() == 3+5+1 && w.lost(lostForgotten) == 1 })
	stop()
}

// When a webhook was down for longer than MAX tries, what was said is read from the conversations, whatever from and to mean.
func TestMaxConversations(t *testing.T) {
	for name, first := range map[string]bool{"from is the later": false, "from is the earlier": true} {
		t.Run(name, func(t *testing.T) {
			var ticks atomic.Int64 // no two messages at one time
			w, m := watchedMax(t, max.Options{FromFirst: first, Clock: func() time.Time { return time.Now().Add(time.Duration(ticks.Add(1)) * time.Millisecond) }})
			stop := w.live()
			w.until("it is subscribed", func() bool { return m.Webhook() != "" && w.why("max") == "" })
			for person := range 20 {
				m.Write(int64(person+1), "Пётр", "раз")
			}
			w.until("the webhook brings messages", func() bool { return w.leads() == 20 && m.Unread() == 0 })
			stop()
			m.Unsubscribe()
			for person := range 20 {
				m.Write(int64(person+1), "Пётр", "два")
			}
			for range 250 { // more than twice a page
				m.Write(7, "Пётр", "и ещё")
			}
			m.Spoil(5, `"hello"`)
			m.Spoil(5, `{"timestamp":"now"}`)
			m.Leave(6)
			m.Expire()
			m.Inject(max.Fault{Method: "GET /messages", Status: 503, Times: 2})
			m.Inject(max.Fault{Method: "GET /messages", Status: 429, RetryAfter: "1", Times: 1})
			m.Inject(max.Fault{Method: "GET /messages", HTML200: true, Times: 1})
			stop = w.live()
			w.until("all is fetched", func() bool { return w.leads() == 20+19+250 && w.quarantined() == 2 && w.why("max") == "" })
			stop()
		})
	}
}

func FuzzMaxUpdates(f *testing.F) {
	f.Add([]byte(`{"updates":[{"update_type":"message_created"}],"marker":7}`))
	f.Add([]byte(`{"updates":[],"marker":null}`))
	f.Add([]byte(`{"updates":[null],"marker":-1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got maxUpdates
		if json.Unmarshal(raw, &got) != nil {
			return
		}
		if a, err := got.answer("5"); err == nil && a.cursor == "" {
			t.Error("no way further")
		}
	})
}
