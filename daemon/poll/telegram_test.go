package poll

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/daemon/intake"
	"leadstream/sinks/sim/phone"
	"leadstream/streams"
	"leadstream/streams/journal"
)

const botToken = "110201543:phone-token"

// world is a service, and a shim with a real journal, over all the lives of the program.
type world struct {
	t       *testing.T
	dir     string
	sources map[string]intake.Source

	fail    func(when string) error // at "before" and "after" the journal; nil: none
	mu      sync.Mutex
	kept    int // calls of Keep that were answered with nil
	reg     *prometheus.Registry
	custody *streams.Custody
}

func newWorld(t *testing.T, sources map[string]intake.Source) *world {
	return &world{t: t, dir: t.TempDir(), sources: sources}
}

// taker is custody as the shim sees it.
type taker struct{ custody *streams.Custody }

func (k taker) Take(ctx context.Context, one intake.Taken) (intake.Receipt, error) {
	all, err := k.TakeAll(ctx, []intake.Taken{one})
	if err != nil {
		return intake.Receipt{}, err
	}
	return all[0], nil
}

func (k taker) TakeAll(ctx context.Context, all []intake.Taken) ([]intake.Receipt, error) {
	taken := make([]streams.Taken, len(all))
	for i, a := range all {
		taken[i] = streams.Taken(a)
	}
	rs, err := k.custody.TakeAll(ctx, taken)
	if errors.Is(err, journal.ErrTooLarge) {
		err = intake.ErrTooLarge
	}
	receipts := make([]intake.Receipt, len(rs))
	for i, r := range rs {
		receipts[i] = intake.Receipt{LeadID: r.LeadID, Status: intake.Accepted, Conflict: r.Conflict}
		if r.Duplicate {
			receipts[i].Status = intake.Duplicate
		}
	}
	return receipts, err
}

func (k taker) Quarantine(_ context.Context, q intake.Quarantined) error {
	return k.custody.Quarantine(streams.Quarantined{Source: q.Source, Reason: q.Code, At: q.ReceivedAt, Raw: q.Raw})
}

// live runs the channels on the world's journal until stop is called.
func (w *world) live() (stop func()) {
	w.t.Helper()
	w.reg = prometheus.NewRegistry()
	w.custody = &streams.Custody{Instance: "a", Partitions: 1, Retention: 7 * 24 * time.Hour, Log: zerolog.Nop()}
	if err := w.custody.Open(journal.Options{Dir: filepath.Join(w.dir, "journal"), Log: zerolog.Nop()}); err != nil {
		w.t.Fatal(err)
	}
	c := intake.Defaults()
	c.Sources = w.sources
	shim, err := intake.New(c, taker{w.custody}, w.reg, zerolog.Nop())
	if err != nil {
		w.t.Fatal(err)
	}
	keep := func(ctx context.Context, source string, events [][]byte) error {
		if w.fail != nil {
			if err := w.fail("before"); err != nil {
				return err
			}
		}
		if err := shim.Told(ctx, source, events); err != nil {
			return err
		}
		if w.fail != nil {
			if err := w.fail("after"); err != nil {
				return err
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.kept++
		return nil
	}
	channels, err := New(Options{Sources: w.sources, Keep: keep, Dir: filepath.Join(w.dir, "channels"), Reg: w.reg, Log: zerolog.New(zerolog.NewTestWriter(w.t)), hurry: 50})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- channels.Run(ctx) }()
	return func() {
		w.t.Helper()
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				w.t.Error(err)
			}
		case <-time.After(10 * time.Second):
			w.t.Fatal("the channels do not stop")
		}
		if err := w.custody.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

// leads is how many different leads the journal has.
func (w *world) leads() int { return int(w.custody.Tally().Open) }

func (w *world) quarantined() int { return int(w.custody.Tally().Counts.Quarantined) }

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("in vain: %s", what)
		}
	}
}

// why is the reason that the metric shows; empty: the channel is up.
func (w *world) why(source string) string {
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "leadstream_channel_down" && m.GetGauge().GetValue() > 0 && m.GetLabel()[0].GetValue() == source {
				return m.GetLabel()[1].GetValue()
			}
		}
	}
	return ""
}

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
