package poll

import (
	"fmt"
	"slices"
	"testing"

	"leadstream/daemon/intake"
	"leadstream/sinks/sim/avito"
)

func avitoWorld(t *testing.T, o avito.Options) (*world, *avito.Messenger) {
	t.Helper()
	m := avito.New(o)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	w := newWorld(t, nil)
	key := intake.NewKey("avito")
	w.sources = map[string]intake.Source{"avito": {Preset: "avito", ClientID: "client", ClientSecret: "client-secret", Accounts: []string{"81000001"},
		Keys: []string{intake.KeyHash(key)}, BaseURL: m.URL(), AllowPrivate: true, URL: w.server.URL + "/in/avito/" + key}}
	return w, m
}

// told waits until no event is on its way to the webhook any more.
func (w *world) told(m *avito.Messenger) {
	w.until("what is on its way has come", func() bool { n, _ := m.Told(); return n == 0 })
}

func (w *world) registered(m *avito.Messenger) bool {
	return slices.Equal(m.Webhooks(), []string{w.sources["avito"].URL}) && w.why("avito") == ""
}

// What the webhook did not bring is fetched: after an outage, with a restart in it, and also when it was there all the time.
// Each message is one lead, and each answer of ours one piece of news.
func TestAvitoIsWatched(t *testing.T) {
	for name, wrapped := range map[string]bool{"a list": false, "in an object": true} {
		t.Run(name, func(t *testing.T) {
			w, m := avitoWorld(t, avito.Options{Wrapped: wrapped})
			m.Write(5, 43, "до установки")
			stop := w.live()
			w.until("it is registered", func() bool { return w.registered(m) })
			m.Write(82, 43, "ещё продаёте?")
			w.until("the webhook brings it", func() bool { return w.leads() == 1 })
			stop()
			for n := range 30 {
				m.Write(int64(100+n), 43, "мимо")
				m.Reply(int64(100+n), 43, "здравствуйте")
			}
			for n := range 120 { // more than a page
				m.Write(82, 43, fmt.Sprintf("вопрос %d", n))
			}
			w.told(m)
			m.Drop()
			m.Inject(avito.Fault{Method: "messages:u2i-11[0-2]~43", Status: 500, Times: 5})
			stop = w.live()
			w.until("it is registered again", func() bool { return len(m.Webhooks()) == 1 })
			stop()
			stop = w.live()
			w.until("all is fetched", func() bool { return w.leads() == 1+60+120+1 && w.registered(m) }) // "до установки" is within the overlap
			m.Inject(avito.Fault{Method: "chats", Status: 429, RetryAfter: "1", Times: 1})
			w.shim.Store(nil) // the proxy before us is down
			m.Write(83, 44, "никто не слышит")
			w.told(m)
			w.until("it is fetched all the same", func() bool { return w.leads() == 1+60+120+2 })
			stop()
		})
	}
}

func TestAvitoStrangeMessages(t *testing.T) {
	w, m := avitoWorld(t, avito.Options{})
	stop := w.live()
	w.until("it is registered", func() bool { return w.registered(m) })
	for range 5 {
		m.Write(82, 43, "вопрос")
	}
	m.Spoil(82, 43, `"hello"`)
	m.Spoil(82, 43, `{"id":{},"created":"now"}`)
	m.Write(83, 43, "вопрос")
	w.until("the others are kept", func() bool { return w.leads() == 6 })
	w.until("the strange ones are put aside", func() bool { return w.quarantined() >= 2 && w.why("avito") == "" })
	stop()
}

// A token that expires, or is taken back, is renewed without a word.
func TestAvitoTokens(t *testing.T) {
	w, m := avitoWorld(t, avito.Options{})
	stop := w.live()
	w.until("it is registered", func() bool { return w.registered(m) })
	m.Revoke()
	m.Drop()
	w.until("it is registered again", func() bool { return w.registered(m) })
	stop()
	s := w.sources["avito"]
	s.ClientSecret = "another"
	w.sources["avito"] = s
	stop = w.live()
	w.until("that it is refused shows", func() bool { return w.why("avito") == whyToken })
	stop()
}

func TestAvitoTroubles(t *testing.T) {
	for name, tt := range map[string]struct {
		fault avito.Fault
		why   string
	}{
		"no tariff":       {avito.Fault{Method: "subscriptions", Status: 402}, whyOff},
		"no right":        {avito.Fault{Method: "subscriptions", Status: 403}, whyToken},
		"500":             {avito.Fault{Method: "self", Status: 500}, whyUnreachable},
		"429":             {avito.Fault{Method: "token", Status: 429, RetryAfter: "1"}, whyUnreachable},
		"a page":          {avito.Fault{Method: "self", HTML200: true}, whyUnreadable},
		"no account":      {avito.Fault{Method: "self", Body: `{"id":0}`}, whyUnreadable},
		"another account": {avito.Fault{Method: "self", Body: `{"id":5}`}, whyToken},
		"not registered":  {avito.Fault{Method: "webhook", Status: 500}, whyGone},
		"not ok":          {avito.Fault{Method: "webhook", Body: `{"ok":false}`}, whyGone},
		"a list":          {avito.Fault{Method: "subscriptions", Body: `[]`}, whyUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			w, m := avitoWorld(t, avito.Options{})
			m.Inject(tt.fault)
			stop := w.live()
			w.until("the trouble shows: "+tt.why, func() bool { return w.why("avito") == tt.why })
			m.Clear()
			if tt.why != whyToken && tt.why != whyOff { // those are left alone for a while
				w.until("it goes on", func() bool { return w.registered(m) })
			}
			stop()
		})
	}
}

// Avito shows a thousand chats and a hundred: that there are more is said, and the first are read.
func TestAvitoShowsNoMore(t *testing.T) {
	w, m := avitoWorld(t, avito.Options{})
	stop := w.live()
	w.until("it is registered", func() bool { return w.registered(m) })
	stop()
	for n := range 1150 {
		m.Write(int64(1000+n), 43, "мимо")
	}
	w.told(m)
	m.Drop()
	stop = w.live()
	w.until("what it shows is read", func() bool { return w.leads() >= 1100 && w.lost(lostHidden) > 0 })
	stop()
}
