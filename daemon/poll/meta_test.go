package poll

import (
	"fmt"
	"testing"
	"time"

	"leadstream/daemon/intake"
	"leadstream/sinks/sim/meta"
)

func metaWorld(t *testing.T, preset string) (*world, *meta.Server) {
	t.Helper()
	m := meta.New(meta.Options{Token: "meta-token", Secret: "app-secret", Verify: "verify", Back: 50 * time.Millisecond})
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	w := newWorld(t, nil)
	w.sources = map[string]intake.Source{preset: {Preset: preset, Token: "meta-token", Secrets: []string{"app-secret"}, Verification: "verify", BaseURL: m.URL(),
		AllowPrivate: true, URL: w.server.URL + "/in/" + preset}}
	return w, m
}

const metaPageID, waba = "300000000000001", "100200300400500"

// fine waits until the webhook is looked at, and there is nothing to say.
func (w *world) fine(source string) {
	w.until("it is in order", func() bool { return w.asked(source) > 0 && w.why(source) == "" })
}

// asked is how many looks and questions were answered.
func (w *world) asked(source string) float64 {
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "leadstream_channel_asked_total" && m.GetLabel()[0].GetValue() == "ok" && m.GetLabel()[1].GetValue() == source {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// A page that Meta has taken the application from is subscribed again, and what people wrote and filled in meanwhile is
// fetched, over a restart: each message and form is one lead, and each answer of ours one piece of news.
func TestMetaIsWatched(t *testing.T) {
	w, m := metaWorld(t, "meta")
	stop := w.live()
	w.fine("meta")
	if err := m.Subscribe(t.Context(), w.server.URL+"/in/meta"); err != nil {
		t.Fatal(err)
	}
	m.Tell("messenger", "61", "Есть рассрочка?")
	m.Tell("instagram", "71", "Хочу записаться")
	m.Fill("51", map[string]string{"full_name": "Ирина"}, nil)
	w.until("the webhook brings them", func() bool { return w.leads() == 3 && m.Pending() == 0 })
	stop()
	m.Unsubscribe(metaPageID)
	for n := range 60 { // more than a page
		m.Tell("messenger", fmt.Sprint(1000+n), "мимо")
		m.Tell("instagram", "71", fmt.Sprint("ещё ", n))
		m.Fill("51", map[string]string{"email": fmt.Sprint(n, "@example.test")}, map[string]any{"ad_id": "5"})
	}
	m.Reply("messenger", "61", "Есть")
	m.Spoil("messenger", "61", `"hello"`)
	m.Spoil("messenger", "61", `{"id":"m_1"}`)
	m.Fill("52", map[string]string{"full_name": "Пётр"}, nil)
	if m.Pending() > 0 {
		t.Fatal("they are told though nobody is subscribed")
	}
	m.Inject(meta.Fault{Method: "messages:t_messenger_1010", Status: 500, Code: "2", Times: 3})
	m.Inject(meta.Fault{Method: "leads:51", Status: 400, Code: "80005", Times: 1})
	stop = w.live()
	w.until("it is subscribed again", func() bool { return m.Subscribed(metaPageID) != "" })
	stop()
	stop = w.live()
	w.until("all is fetched", func() bool { return w.leads() == 3+180+1+1 && w.quarantined() >= 2 && w.why("meta") == "" })
	if got := m.Subscribed(metaPageID); got != "messages,messaging_postbacks,leadgen" {
		t.Errorf("subscribed to %s: not as somebody had chosen", got)
	}
	m.Tell("messenger", "62", "раз")
	w.until("the webhook brings messages", func() bool { return w.leads() == 186 })
	stop()
}

// A right that is lacking for one list keeps nothing else from being fetched, and is said.
func TestMetaLacksARight(t *testing.T) {
	w, m := metaWorld(t, "meta")
	stop := w.live()
	w.fine("meta")
	stop()
	m.Unsubscribe(metaPageID)
	m.Tell("messenger", "61", "Есть рассрочка?")
	m.Fill("51", map[string]string{"full_name": "Ирина"}, nil)
	m.Inject(meta.Fault{Method: "conversations:*", Code: "10"})
	stop = w.live()
	w.until("the form is fetched", func() bool { return w.leads() == 1 && w.lost(lostHidden) > 0 })
	stop()
}

func TestMetaTroubles(t *testing.T) {
	for name, tt := range map[string]struct {
		fault meta.Fault
		why   string
	}{
		"an expired token": {meta.Fault{Method: "app", Code: "190"}, whyToken},
		"too many calls":   {meta.Fault{Method: "app", Code: "4"}, whyUnreachable},
		"503":              {meta.Fault{Method: "app", Status: 503}, whyUnreachable},
		"a page":           {meta.Fault{Method: "app", HTML200: true}, whyUnreadable},
		"no pages":         {meta.Fault{Method: "accounts", Body: `{"data":[]}`}, whyToken},
		"no list":          {meta.Fault{Method: "accounts", Body: `{}`}, whyUnreadable},
		"no right":         {meta.Fault{Method: "subscribed:*", Code: "200"}, whyToken},
	} {
		t.Run(name, func(t *testing.T) {
			w, m := metaWorld(t, "meta")
			m.Inject(tt.fault)
			stop := w.live()
			w.until("the trouble shows: "+tt.why, func() bool { return w.why("meta") == tt.why })
			m.Clear()
			if tt.why != whyToken {
				w.fine("meta")
			}
			stop()
		})
	}
}

// WhatsApp is subscribed again; what came meanwhile is with nobody, and that is said.
func TestWhatsAppIsWatched(t *testing.T) {
	w, m := metaWorld(t, "whatsapp")
	s := w.sources["whatsapp"]
	s.WABA = waba
	w.sources["whatsapp"] = s
	stop := w.live()
	w.fine("whatsapp")
	if err := m.Subscribe(t.Context(), w.server.URL+"/in/whatsapp"); err != nil {
		t.Fatal(err)
	}
	m.Unsubscribe(waba)
	m.Write("79990000011", "Анна", meta.Text("никто не слышит"))
	w.until("it is subscribed again, and the loss is told", func() bool { return m.Subscribed(waba) != "" && w.lost(lostForgotten) == 1 })
	m.Write("79990000011", "Анна", meta.Text("раз"))
	w.until("the webhook brings messages", func() bool { return w.leads() == 1 })
	stop()
}
