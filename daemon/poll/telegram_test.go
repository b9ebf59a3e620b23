package poll

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"leadstream/daemon/intake"
	"leadstream/sinks/sim/phone"
)

const botToken = "110201543:phone-token"

func telegramWorld(t *testing.T, o phone.Options) (*world, *phone.Phone) {
	t.Helper()
	p := phone.New(o)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return newWorld(t, map[string]intake.Source{"tg": {Preset: "telegram", Poll: true, Token: botToken, BaseURL: p.URL(), AllowPrivate: true}}), p
}

func write(p *phone.Phone, from int64, n int) {
	for i := range n {
		p.Write(phone.From{ID: from, Name: "Ольга"}, fmt.Sprintf("вопрос %d", i))
	}
}

func TestTelegramIsAsked(t *testing.T) {
	w, p := telegramWorld(t, phone.Options{})
	write(p, 7, 250) // before the daemon runs, in three answers
	stop := w.live()
	w.until("what waited is kept", func() bool { return w.leads() == 250 && p.Unread() == 0 })
	write(p, 8, 1) // while it waits
	w.until("what comes is kept and confirmed", func() bool { return w.leads() == 251 && p.Unread() == 0 })
	if why := w.why("tg"); why != "" {
		t.Errorf("down: %s", why)
	}
	stop()
}

// A crash between the journal and the confirmation, and one before the journal, lose and double nothing.
func TestTelegramKilledBetween(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			w, p := telegramWorld(t, phone.Options{})
			write(p, 7, 30)
			for range 3 {
				reached := make(chan struct{}, 1000)
				w.fail = func(at string) error {
					if at != when {
						return nil
					}
					reached <- struct{}{}
					return errors.New("killed") // nothing more happens for this answer
				}
				stop := w.live()
				<-reached
				stop()
				if p.Unread() != 30 {
					t.Fatalf("%d updates wait: they were confirmed before their time", p.Unread())
				}
			}
			w.fail = nil
			stop := w.live()
			w.until("all is kept and confirmed", func() bool { return w.leads() == 30 && p.Unread() == 0 })
			stop()
		})
	}
}

func TestTelegramTroubles(t *testing.T) {
	for name, tt := range map[string]struct {
		fault phone.Fault
		why   string
	}{
		"token":        {phone.Fault{Status: 401, Description: "Unauthorized"}, whyToken},
		"removed bot":  {phone.Fault{Status: 404, Description: "Not Found"}, whyToken},
		"two of us":    {phone.Fault{Method: "getUpdates", Status: 409, Description: "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"}, whyPoller},
		"a webhook":    {phone.Fault{Method: "getUpdates", Status: 409, Description: "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"}, whyWebhook},
		"too many":     {phone.Fault{Method: "getUpdates", Status: 429, RetryAfter: "1"}, whyUnreachable},
		"502":          {phone.Fault{Method: "getUpdates", Status: 502}, whyUnreachable},
		"reset":        {phone.Fault{Method: "getUpdates", Reset: true}, whyUnreachable},
		"a page":       {phone.Fault{Method: "getUpdates", HTML200: true}, whyUnreadable},
		"nothing":      {phone.Fault{Method: "getUpdates", Empty: true}, whyUnreadable},
		"cut short":    {phone.Fault{Method: "getUpdates", After: true, CutAfter: 60}, whyUnreachable},
		"no list":      {phone.Fault{Method: "getUpdates", Body: `{"ok":true,"result":{"a":1}}`}, whyUnreadable},
		"not ok":       {phone.Fault{Method: "getUpdates", Body: `{"ok":false}`}, whyUnreachable},
		"40 MB":        {phone.Fault{Method: "getUpdates", After: true, Fill: 40 << 20}, whyUnreadable},
		"lost answers": {phone.Fault{Method: "getUpdates", LoseAnswer: true}, whyUnreachable},
		"a strange me": {phone.Fault{Method: "getMe", Body: `{"ok":true,"result":[]}`}, whyUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			w, p := telegramWorld(t, phone.Options{})
			p.Inject(tt.fault)
			write(p, 7, 3)
			stop := w.live()
			w.until("the trouble shows", func() bool { return w.why("tg") == tt.why })
			if w.leads() > 0 || p.Unread() != 3 {
				t.Errorf("%d leads, %d updates wait", w.leads(), p.Unread())
			}
			p.Clear()
			if tt.why != whyToken { // that one is left alone for longer
				w.until("it goes on", func() bool { return w.leads() == 3 && p.Unread() == 0 && w.why("tg") == "" })
			}
			stop()
			if w.quarantined() > 0 {
				t.Errorf("%d in quarantine", w.quarantined())
			}
		})
	}
}

// Updates that cannot be read, or are of no kind that we know, hold up nobody; a large answer is an answer.
func TestTelegramStrangeUpdates(t *testing.T) {
	w, p := telegramWorld(t, phone.Options{})
	p.Raw(`{"update_id":%d,"message":{"from":"nobody"}}`)
	p.Raw(`{"update_id":%d,"of_next_year":{"a":[1,2,3]}}`)
	p.Raw(`"text"`)
	p.Raw(`{"update_id":%d,"message":{"message_id":1,"from":{"id":7,"first_name":"Ольга"},"chat":{"id":-100,"type":"supergroup"},"date":1767225600,"text":"в группе"}}`)
	p.Raw(fmt.Sprintf(`{"update_id":%%d,"message":{"message_id":1,"from":{"id":7,"first_name":"Ольга"},"chat":{"id":7,"type":"private"},"date":1767225600,"text":"%010000000d"}}`, 1))
	write(p, 7, 1)
	stop := w.live()
	w.until("the rest is kept", func() bool { return w.leads() == 1 && p.Unread() == 0 })
	stop()
	if got := w.quarantined(); got != 3 {
		t.Errorf("%d in quarantine, want 3", got)
	}
}

// An update that makes an answer no JSON at all, or a lead that cannot be written down, is kept raw; what stands before and behind
// it is read.
func TestTelegramPoisonedUpdates(t *testing.T) {
	for name, raw := range map[string]string{
		"no JSON":        `{"update_id":%d,"message":{"text":"` + "\x01" + `"}}`,
		"no JSON either": `{"update_id":%d,"message":{"text":"a}}`,
	} {
		t.Run(name, func(t *testing.T) {
			w, p := telegramWorld(t, phone.Options{})
			write(p, 7, 5)
			p.Raw(raw)
			write(p, 8, 5)
			stop := w.live()
			w.until("the rest is kept", func() bool { return w.leads() == 10 && p.Unread() == 0 })
			stop()
			if got := w.quarantined(); got != 1 {
				t.Errorf("%d in quarantine, want 1", got)
			}
		})
	}
	w, p := telegramWorld(t, phone.Options{})
	write(p, 7, 5)
	p.Raw(`{"update_id":%d,"message":{"message_id":1,"from":{"id":7,"first_name":"O"},"chat":{"id":7,"type":"private"},"date":9000000000000000,"text":"x"}}`)
	write(p, 8, 5)
	stop := w.live()
	w.until("all is kept", func() bool { return w.leads() == 11 && p.Unread() == 0 })
	stop()
}

// Numbers that begin anew, smaller or larger, neither stop the asking nor make a message a repeat of an old one.
func TestTelegramNumbersBeginAnew(t *testing.T) {
	w, p := telegramWorld(t, phone.Options{})
	stop := w.live()
	for i, first := range []int64{700000001, 5, 900000000, 5} {
		p.RestartIDs(first)
		for n := range 3 {
			p.Write(phone.From{ID: 7, Name: "Ольга"}, fmt.Sprintf("%d.%d", i, n))
		}
		w.until("they are kept", func() bool { return w.leads() == 3*(i+1) && p.Unread() == 0 })
	}
	stop()
}

// A journal that is away confirms nothing.
func TestTelegramWaitsForTheJournal(t *testing.T) {
	w, p := telegramWorld(t, phone.Options{})
	w.fail = func(string) error { return intake.ErrUnavailable{Err: errors.New("disk full")} }
	write(p, 7, 2)
	stop := w.live()
	w.until("it shows", func() bool { return w.why("tg") == whyJournal })
	if p.Unread() != 2 {
		t.Errorf("%d updates wait, want 2", p.Unread())
	}
	stop()
}

// A service that tells the same again and again, without a way further, fills neither the disk nor the processor.
func TestTelegramTellsTheSame(t *testing.T) {
	w, p := telegramWorld(t, phone.Options{})
	p.Inject(phone.Fault{Method: "getUpdates", Body: `{"ok":true,"result":[{"no":"number"}]}`})
	stop := w.live()
	w.until("it shows", func() bool { return w.why("tg") == whyUnreadable })
	stop()
	if got := w.quarantined(); got != 1 {
		t.Errorf("%d in quarantine, want 1", got)
	}
}

func TestTelegramStopsAtOnce(t *testing.T) {
	w, p := telegramWorld(t, phone.Options{})
	stop := w.live()
	w.until("it waits", func() bool { return p.Polled() })
	begun := time.Now()
	stop()
	if took := time.Since(begun); took > wait/2 { // it would be wait otherwise
		t.Errorf("the stop took %s", took)
	}
}

// Two daemons with one token: each message comes to one of them at least, and both say what is wrong.
func TestTelegramTwoDaemons(t *testing.T) {
	one, p := telegramWorld(t, phone.Options{})
	other := newWorld(t, one.sources)
	stopOne, stopOther := one.live(), other.live()
	one.until("both say so", func() bool { return one.why("tg") == whyPoller || other.why("tg") == whyPoller })
	write(p, 7, 20)
	one.until("all is taken", func() bool { return p.Unread() == 0 })
	stopOne()
	stopOther()
	if one.leads()+other.leads() < 20 {
		t.Errorf("%d and %d leads of 20", one.leads(), other.leads())
	}
}

func TestBackOff(t *testing.T) {
	last := time.Duration(0)
	for fails := 1; fails < 100; fails++ {
		d := backOff(fails, &trouble{})
		if d < min(last, longest) || d > longest*6/5+1 {
			t.Fatalf("after %d: %s, before it %s", fails, d, last)
		}
		last = d / 2
	}
	if d := backOff(1, &trouble{wait: time.Hour}); d < time.Hour {
		t.Errorf("%s, asked for an hour", d)
	}
}

func FuzzTelegramUpdates(f *testing.F) {
	f.Add([]byte(`[{"update_id":7,"message":{}},{"update_id":8}]`))
	f.Add([]byte(`[{"update_id":"7"},null,[],1e99,{"update_id":9223372036854775807}]`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := telegramUpdates(raw)
		if err == nil && a.cursor != "" && len(a.events) == 0 {
			t.Error("a cursor of nothing")
		}
	})
}

// watchedTelegram is a bot whose webhook we look after.
func watchedTelegram(t *testing.T) (*world, *phone.Phone) {
	w, p := telegramWorld(t, phone.Options{PlainHTTP: true, Hurry: 100})
	w.sources["tg"] = intake.Source{Preset: "telegram", Token: botToken, Secrets: []string{"the_secret"}, BaseURL: p.URL(), AllowPrivate: true, URL: w.server.URL + "/in/tg"}
	return w, p
}

// A webhook that is gone is set again, and brings what waited.
func TestTelegramWebhookIsSetAgain(t *testing.T) {
	w, p := watchedTelegram(t)
	write(p, 7, 3)
	stop := w.live()
	w.until("it is set, and brings what waited", func() bool { return w.leads() == 3 && p.Unread() == 0 && w.why("tg") == "" })
	p.SetWebhook("", "")
	write(p, 8, 2)
	w.until("it is set again", func() bool { return w.leads() == 5 && p.Webhook() == w.server.URL+"/in/tg" })
	stop()
}

// One that somebody has set to another address is theirs until they remove it.
func TestTelegramWebhookOfAnother(t *testing.T) {
	w, p := watchedTelegram(t)
	p.SetWebhook("http://127.0.0.1:1/in/other", "")
	stop := w.live()
	w.until("it shows", func() bool { return w.why("tg") == whyElsewhere })
	if got := p.Webhook(); got != "http://127.0.0.1:1/in/other" {
		t.Errorf("it was set to %s", got)
	}
	p.SetWebhook("", "")
	w.until("it is ours again", func() bool { return w.why("tg") == "" && p.Webhook() == w.server.URL+"/in/tg" })
	stop()
}

// A webhook through which nothing gets is told, and so is one that cannot be set.
func TestTelegramWebhookTroubles(t *testing.T) {
	w, p := watchedTelegram(t)
	p.SetWebhook(w.server.URL+"/in/tg", "another_secret")
	write(p, 7, 1)
	stop := w.live()
	w.until("what waits shows", func() bool { return w.why("tg") == whyFailing })
	p.SetWebhook("", "")
	p.Inject(phone.Fault{Method: "setWebhook", Status: 400, Description: "Bad Request: bad webhook: Failed to resolve host"})
	w.until("that it cannot be set shows", func() bool { return w.why("tg") == whyGone })
	p.Clear()
	w.until("it works in the end", func() bool { return w.why("tg") == "" && w.leads() == 1 })
	stop()
}
