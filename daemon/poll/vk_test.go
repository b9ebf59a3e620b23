package poll

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"leadstream/daemon/intake"
	"leadstream/sinks/sim/vk"
)

func vkWorld(t *testing.T, o vk.Options) (*world, *vk.Community) {
	t.Helper()
	o.Rate = -1
	c := vk.New(o)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return newWorld(t, map[string]intake.Source{"vk": {Preset: "vk", Poll: true, Token: "vk1.a.community-token", BaseURL: c.URL(), AllowPrivate: true}}), c
}

func say(c *vk.Community, from int64, n int) {
	for i := range n {
		c.Write(from, fmt.Sprintf("вопрос %d", i))
	}
}

// begun runs the channels and waits until the service is asked for events.
func (w *world) begun(c *vk.Community) (stop func()) {
	stop = w.live()
	w.until("it waits for events", c.Polling)
	return stop
}

func TestVKIsAsked(t *testing.T) {
	w, c := vkWorld(t, vk.Options{KeyLife: 3})
	c.Write(7, "до установки") // nothing of ours
	stop := w.begun(c)
	for n := range 10 { // over several keys
		say(c, 8, 2)
		w.until("what comes is kept", func() bool { return w.leads() == 2*(n+1) })
	}
	c.Reply(8, "Здравствуйте!")
	w.until("an answer is news", func() bool { return w.leads() == 21 })
	stop()
	say(c, 9, 5) // while we are away
	stop = w.live()
	w.until("the rest is asked for", func() bool { return w.leads() == 26 })
	stop()
}

func TestVKKilledBetween(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			w, c := vkWorld(t, vk.Options{})
			w.begun(c)()
			say(c, 7, 30)
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
			}
			w.fail = nil
			stop := w.live()
			w.until("all is kept", func() bool { return w.leads() == 30 })
			say(c, 7, 1)
			w.until("and it goes on", func() bool { return w.leads() == 31 })
			stop()
		})
	}
}

// What Long Poll has forgotten is fetched from the conversations, and what was known of it stays what it is.
func TestVKForgets(t *testing.T) {
	w, c := vkWorld(t, vk.Options{})
	stop := w.begun(c)
	say(c, 7, 3)
	w.until("some are kept", func() bool { return w.leads() == 3 })
	stop()
	for peer := range 230 { // more than a piece of the list
		say(c, int64(100+peer), 1)
	}
	say(c, 7, 250) // and of a history
	c.Forget()
	say(c, 8, 1)
	stop = w.live()
	w.until("all is there", func() bool { return w.leads() == 3+230+250+1 })
	stop()
}

// lost is how often something was lost for that reason.
func (w *world) lost(why string) float64 {
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "leadstream_channel_lost_total" && m.GetLabel()[1].GetValue() == why {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// gap is a community of which Long Poll has forgotten what thirty people said while we were away.
func gap(t *testing.T) (*world, *vk.Community) {
	w, c := vkWorld(t, vk.Options{})
	w.begun(c)()
	for peer := range 30 {
		say(c, int64(100+peer), 1)
	}
	return w, c
}

// A conversation that cannot be read keeps neither the others nor new messages from coming, over a restart too, and is
// read once it can be.
func TestVKOneConversationFails(t *testing.T) {
	for name, fault := range map[string]vk.Fault{"an error": {Code: "10"}, "no JSON": {HTML200: true}, "500": {Status: 500}, "no list": {Body: `{"response":{"items":7}}`}} {
		t.Run(name, func(t *testing.T) {
			w, c := gap(t)
			fault.Method = "messages.getHistory:11[5-8]" // four in a row
			c.Inject(fault)
			c.Forget()
			for range 2 {
				stop := w.live()
				w.until("the others are fetched", func() bool { return w.leads() == 26 && w.why("vk") == whyMissed })
				stop()
			}
			stop := w.live()
			say(c, 7, 1)
			w.until("new messages come", func() bool { return w.leads() == 27 })
			c.Clear()
			w.until("the rest is fetched", func() bool { return w.leads() == 31 && w.why("vk") == "" })
			stop()
			stop = w.begun(c)
			say(c, 7, 1)
			w.until("it goes on", func() bool { return w.leads() == 32 })
			if w.why("vk") != "" || w.lost(lostUnreadable) > 0 {
				t.Error("something is still owed")
			}
			stop()
		})
	}
}

// While the history is refused altogether, new messages come; what is owed outlives a restart.
func TestVKHistoryIsRefused(t *testing.T) {
	w, c := gap(t)
	c.Inject(vk.Fault{Method: "messages.get*", Code: "9"})
	c.Forget()
	stop := w.begun(c)
	w.until("that it is owed shows", func() bool { return w.why("vk") == whyMissed })
	say(c, 7, 3)
	w.until("new messages come", func() bool { return w.leads() == 3 })
	stop()
	c.Clear()
	stop = w.live()
	w.until("all is fetched", func() bool { return w.leads() == 33 && w.why("vk") == "" })
	stop()
}

// What cannot be read in a history is kept raw, and the rest is read.
func TestVKStrangeHistory(t *testing.T) {
	w, c := gap(t)
	for _, raw := range []string{`"hello"`, `[1]`, `{"date":"yesterday"}`, `{"date":9999999999,"from_id":{}}`} {
		c.Spoil(7, raw)
		say(c, 7, 1)
	}
	c.Forget()
	stop := w.live()
	w.until("all is fetched", func() bool { return w.leads() == 34 && w.quarantined() == 4 && w.why("vk") == "" })
	stop()
}

// More conversations than a person can count are all read.
func TestVKManyConversations(t *testing.T) {
	w, c := vkWorld(t, vk.Options{})
	w.begun(c)()
	for peer := range 2300 {
		say(c, int64(1000+peer), 1)
	}
	c.Forget()
	stop := w.live()
	w.until("all is fetched", func() bool { return w.leads() == 2300 && w.why("vk") == "" })
	stop()
}

// A server that was made, and whose events could not be chosen then, is told of messages in the end.
func TestVKEventsAreChosen(t *testing.T) {
	w, c := watchedVK(t)
	c.Inject(vk.Fault{Method: "groups.setCallbackSettings", Code: "10", Times: 3})
	stop := w.live()
	w.until("that it cannot shows", func() bool { return w.why("vk") == whyGone })
	w.until("it can", func() bool { return w.why("vk") == "" })
	say(c, 8, 2)
	w.until("it brings messages", func() bool { return w.leads() == 2 })
	stop()
}

// A note that is gone, damaged or another community's costs what was said while we were away, at most: never a doubled lead.
func TestVKNoteIsLost(t *testing.T) {
	for name, note := range map[string]string{"gone": "", "damaged": `{"acc`, "another's": `{"account":"5","cursor":"1","at":"2026-01-01T00:00:00Z"}`,
		"wrong ts": `{"account":"200000001","cursor":"-99","at":"%s"}`, "ts of the future": `{"account":"200000001","cursor":"9999999","at":"%s"}`,
		"no number": `{"account":"200000001","cursor":"abc","at":"%s"}`} {
		t.Run(name, func(t *testing.T) {
			w, c := vkWorld(t, vk.Options{})
			stop := w.begun(c)
			say(c, 7, 3)
			w.until("they are kept", func() bool { return w.leads() == 3 })
			stop()
			file := filepath.Join(w.dir, "channels", "vk.json")
			note = strings.ReplaceAll(note, "%s", time.Now().Format(time.RFC3339))
			if err := errors.Join(os.Remove(file), os.WriteFile(file, []byte(note), 0o600)); err != nil {
				t.Fatal(err)
			}
			stop = w.begun(c)
			say(c, 8, 1)
			w.until("it goes on", func() bool { return w.leads() == 4 })
			stop()
		})
	}
}

func TestVKTroubles(t *testing.T) {
	for name, tt := range map[string]struct {
		options vk.Options
		fault   vk.Fault
		why     string
	}{
		"token":          {vk.Options{Token: "another"}, vk.Fault{}, whyToken},
		"no right":       {vk.Options{}, vk.Fault{Method: "groups.getLongPollServer", Code: "15"}, whyToken},
		"off":            {vk.Options{NoPoll: true}, vk.Fault{}, whyOff},
		"too many":       {vk.Options{}, vk.Fault{Method: "groups.*", Code: "6"}, whyUnreachable},
		"flood":          {vk.Options{}, vk.Fault{Method: "groups.*", Code: "9"}, whyUnreachable},
		"internal":       {vk.Options{}, vk.Fault{Method: "groups.*", Code: "10"}, whyUnreachable},
		"a page":         {vk.Options{}, vk.Fault{Method: "a_check", HTML200: true}, whyUnreadable},
		"502":            {vk.Options{}, vk.Fault{Method: "a_check", Status: 502}, whyUnreachable},
		"404":            {vk.Options{}, vk.Fault{Method: "a_check", Status: 404}, whyUnreachable},
		"no ts":          {vk.Options{}, vk.Fault{Method: "a_check", Body: `{"updates":[]}`}, whyUnreadable},
		"failed 4":       {vk.Options{}, vk.Fault{Method: "groups.getLongPollServer", Body: `{"response":{"key":"","server":"x","ts":1}}`}, whyUnreadable},
		"no such server": {vk.Options{}, vk.Fault{Method: "groups.getLongPollServer", Body: `{"response":{"key":"k","server":"ftp://a.test/x","ts":"1"}}`}, whyUnreachable},
		"10 MB":          {vk.Options{}, vk.Fault{Method: "a_check", After: true, Fill: 40 << 20}, whyUnreadable},
		"no community":   {vk.Options{}, vk.Fault{Method: "groups.getById", Body: `{"response":{"groups":[]}}`}, whyToken},
	} {
		t.Run(name, func(t *testing.T) {
			w, c := vkWorld(t, tt.options)
			if !reflect.ValueOf(tt.fault).IsZero() {
				c.Inject(tt.fault)
			}
			stop := w.live()
			if tt.fault.After {
				say(c, 7, 1)
			}
			w.until("the trouble shows: "+tt.why, func() bool { return w.why("vk") == tt.why })
			c.Clear()
			if tt.why == whyUnreachable || tt.why == whyUnreadable {
				w.until("it goes on", func() bool { return w.why("vk") == "" && c.Polling() })
			}
			stop()
		})
	}
}

// Events that cannot be read hold up nobody.
func TestVKStrangeEvents(t *testing.T) {
	w, c := vkWorld(t, vk.Options{})
	stop := w.begun(c)
	c.Raw(`{"type":"message_new","object":{"message":{"from_id":{}}},"group_id":1}`)
	c.Raw(`{"type":"of_next_year","object":[],"group_id":1}`)
	c.Raw(`[]`)
	say(c, 7, 1)
	w.until("the message is kept", func() bool { return w.leads() == 1 && w.quarantined() == 2 })
	stop()
}

// watchedVK is a community whose callback server we look after.
func watchedVK(t *testing.T) (*world, *vk.Community) {
	w, c := vkWorld(t, vk.Options{Hurry: 100})
	w.sources["vk"] = intake.Source{Preset: "vk", Token: "vk1.a.community-token", Secrets: []string{"s3cret"}, Verification: "a1b2c3d4",
		BaseURL: c.URL(), AllowPrivate: true, URL: w.server.URL + "/in/vk"}
	return w, c
}

// A server that is gone, or that VK has given up, is set again, and what was said meanwhile is fetched: each message is one lead.
func TestVKCallbackIsSetAgain(t *testing.T) {
	w, c := watchedVK(t)
	c.Write(7, "до установки")
	stop := w.live()
	ok := w.server.URL + "/in/vk ok"
	set := func() bool { s := c.Servers(); return len(s) == 1 && s[0] == ok }
	w.until("it is set and confirmed, and that is noted", func() bool { return set() && noted(t, w.dir) })
	say(c, 8, 2)
	w.until("it brings messages", func() bool { return w.leads() == 2 && c.Unsent() == 0 })

	c.Drop()
	say(c, 8, 3)
	w.until("it is set again, and what was said is fetched", func() bool { return set() && w.leads() == 6 }) // "до установки" is within the overlap
	stop()

	c.Fail() // while the daemon is away
	say(c, 9, 4)
	stop = w.live()
	w.until("it is mended, and what was said is fetched", func() bool { return set() && w.leads() == 10 && w.why("vk") == "" })
	say(c, 9, 1)
	w.until("it brings messages", func() bool { return w.leads() == 11 })
	stop()
}

func noted(t *testing.T, dir string) bool {
	raw, err := os.ReadFile(filepath.Join(dir, "channels", "vk.json"))
	if err != nil {
		return false
	}
	var n note
	if err := json.Unmarshal(raw, &n); err != nil {
		t.Fatal(err)
	}
	return !n.At.IsZero()
}

func TestVKWrongConfirmation(t *testing.T) {
	w, c := watchedVK(t)
	s := w.sources["vk"]
	s.Verification = "00000000"
	w.sources["vk"] = s
	stop := w.live()
	w.until("it shows", func() bool { return w.why("vk") == whyGone })
	if got := c.Servers(); len(got) > 0 {
		t.Errorf("set all the same: %q", got)
	}
	stop()
}

func FuzzVKCheck(f *testing.F) {
	f.Add([]byte(`{"ts":"5","updates":[{"type":"message_new"}]}`))
	f.Add([]byte(`{"failed":1,"ts":7}`))
	f.Add([]byte(`{"failed":2}`))
	f.Add([]byte(`{"ts":-1,"updates":[null,1,"a"]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got vkCheck
		if json.Unmarshal(raw, &got) != nil || got.Failed >= 3 || got.Failed < 0 {
			return
		}
		v := newVK(intake.Source{}, nil).(*vkService)
		a, err := v.checked(t.Context(), "1", &got)
		if err == nil && a.cursor == "" {
			t.Error("no way further")
		}
	})
}
