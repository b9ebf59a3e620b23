package processors

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"leadstream/processors/customer"
	"leadstream/streams"
	"leadstream/streams/streamstest"
)

// life is a customer's, on a real Redis, with a clock that passes when told.
type life struct {
	*testing.T
	*Tagging
	redis *streamstest.Server
	at    time.Time
	n     int
}

func newLife(t *testing.T, change ...func(*Tagging)) *life {
	t.Helper()
	l := &life{T: t, redis: streamstest.Redis(t), at: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
	l.Tagging = &Tagging{Sinks: []string{"crm"}, Known: []string{"crm", "hook"}}
	l.Memory = &customer.Memory{Redis: l.redis.Client, Now: func() time.Time { return l.at }}
	for _, f := range change {
		f(l.Tagging)
	}
	if err := l.Compile(); err != nil {
		t.Fatal(err)
	}
	return l
}

// tag hands over leads of one customer, unless they say whose they are.
func (l *life) tag(leads ...streams.Lead) (verdicts []streams.Verdict) {
	l.Helper()
	var batch []*streams.Entry
	for _, lead := range leads {
		l.n++
		lead.ID = cmp.Or(lead.ID, streams.NewID(fmt.Sprint(l.n)))
		lead.Phone = cmp.Or(lead.Phone, phone1)
		batch = append(batch, &streams.Entry{Lead: &lead})
	}
	return l.Handle(l.Context(), batch)
}

func (l *life) says(message string) *streams.Lead {
	l.Helper()
	v := l.tag(streams.Lead{Message: message})[0]
	if len(v.Followers) == 0 {
		l.Fatalf("%q goes nowhere: %+v", message, v)
	}
	return v.Followers[0].Lead
}

// pass lets time pass, as Watch sees it: every second.
func (l *life) pass(d time.Duration) {
	l.Helper()
	for until := l.at.Add(d); l.at.Before(until); {
		due := l.redis.Client.ZRangeWithScores(l.Context(), "ls:{0}:customers:due", 0, 0).Val()
		next := until
		if len(due) > 0 {
			if at := time.UnixMilli(int64(due[0].Score)); at.Before(next) {
				next = at
			}
		}
		if next.After(l.at) {
			l.at = next
		} else {
			l.at = l.at.Add(time.Second)
		}
		if _, err := l.judgeDue(l.Context()); err != nil {
			l.Fatal(err)
		}
	}
}

// news are the changes that wait in the intake queue, "from>to".
func (l *life) news() (all []string) {
	l.Helper()
	for _, m := range l.redis.Client.XRange(l.Context(), "ls:{0}:intake", "-", "+").Val() {
		var lead streams.Lead
		if err := json.Unmarshal([]byte(m.Values["lead"].(string)), &lead); err != nil {
			l.Fatal(err)
		}
		if lead.Event != streams.EventSegment || lead.Phone != phone1 {
			l.Errorf("news %+v", lead)
		}
		all = append(all, strings.Trim(string(lead.Fields["from"]), `"`)+">"+strings.Trim(string(lead.Fields["to"]), `"`))
	}
	return all
}

func in(t *testing.T, lead *streams.Lead, want ...string) {
	t.Helper()
	if !slices.Equal(lead.Segments, want) {
		t.Errorf("%.40q: segments %v, want %v", lead.Message, lead.Segments, want)
	}
}

func TestSegmentsOfWords(t *testing.T) {
	l := newLife(t)
	in(t, l.says("скидка есть? а скидки?"), "potential")
	lead := l.says("ну скидку! промокод?")
	in(t, lead, "potential", "price-sensitive")
	if !slices.Contains(lead.Tags, "price-sensitive") || !slices.Contains(lead.HotWords, "discount") {
		t.Errorf("tags %v, hot words %v", lead.Tags, lead.HotWords)
	}
	in(t, l.says("это дорого"), "potential", "price-sensitive")
	in(t, l.says("всё равно дорого"), "potential", "too-expensive") // of a group the first that matches
	in(t, l.says("запишите"), "active", "price-sensitive")
	l.at = l.at.Add(7*24*time.Hour + time.Second)
	in(t, l.says("ещё раз"), "active")
}

func TestCustomersAreApart(t *testing.T) {
	l := newLife(t)
	l.says("скидка скидка скидка скидка")
	v := l.tag(streams.Lead{Phone: phone2, Message: "запишите"}, streams.Lead{Message: "и меня"})
	in(t, v[0].Followers[0].Lead, "potential")
	in(t, v[1].Followers[0].Lead, "potential", "price-sensitive")
}

// Leads of one customer in one batch: the last one says where the customer is, also where the customer was before them.
func TestSegmentsWithinABatch(t *testing.T) {
	l := newLife(t, func(tg *Tagging) { tg.Events = []string{"hook"} })
	l.says("запишите")
	v := l.tag(streams.Lead{Message: "дорого"}, streams.Lead{Message: "всё равно дорого"}, streams.Lead{Message: "тогда запишите"})
	in(t, v[1].Followers[0].Lead, "potential", "too-expensive")
	in(t, v[2].Followers[0].Lead, "potential")
	if got := l.news(); !slices.Equal(got, []string{">potential"}) {
		t.Errorf("told %v, but it is over", got)
	}
	l.says("дорого")
	l.says("очень дорого")
	if got := l.news(); !slices.Contains(got, ">too-expensive") {
		t.Errorf("told %v, and not that it is so now", got)
	}
}

// A lead that is handed out again, as after a crash, counts once; its change is told once.
func TestSegmentsUnderRedelivery(t *testing.T) {
	l := newLife(t, func(tg *Tagging) { tg.Events = []string{"hook"} })
	for range 3 {
		v := l.tag(streams.Lead{ID: "same", Message: "скидка скидка"})
		in(t, v[0].Followers[0].Lead, "potential")
	}
	if got := l.news(); !slices.Equal(got, []string{">potential"}) {
		t.Errorf("news %v", got)
	}
}

func TestSegmentsOfTime(t *testing.T) {
	l := newLife(t, func(tg *Tagging) { tg.Events = []string{"hook"} })
	l.says("Здравствуйте")
	l.pass(31 * 24 * time.Hour)
	if got := l.news(); !slices.Equal(got, []string{">potential", "potential>"}) {
		t.Errorf("after a month: %v", got)
	}
	l.pass(60*24*time.Hour - 31*24*time.Hour)
	if got := l.news(); len(got) != 2 {
		t.Errorf("at 60 days already: %v", got)
	}
	l.pass(time.Minute)
	if got := l.news(); len(got) != 3 || got[2] != ">churned" {
		t.Errorf("after 60 days: %v", got)
	}
	in(t, l.says("я снова тут"), "potential")
}

// Unread for a day lowers the priority in the CRM, and reading raises it again (G-06).
func TestUnread(t *testing.T) {
	l := newLife(t, func(tg *Tagging) {
		tg.Segments = []Segment{{Name: "unread", Group: "attention", When: `without("sent|answered", "read|reply|lead", "24h")`, Priority: -1, Sinks: []string{"crm"}}}
	})
	first := l.says("Здравствуйте")
	l.tag(streams.Lead{Event: "answered"})
	l.pass(23 * time.Hour)
	if got := l.news(); len(got) != 0 {
		t.Fatalf("too early: %v", got)
	}
	l.pass(2 * time.Hour)
	if got := l.news(); !slices.Equal(got, []string{">unread"}) {
		t.Fatalf("after a day: %v", got)
	}
	// What the intake queue then hands over goes to the CRM alone, about the customer's card, with a lower priority.
	var news streams.Lead
	raw := l.redis.Client.XRange(t.Context(), "ls:{0}:intake", "-", "+").Val()[0].Values["lead"].(string)
	if err := json.Unmarshal([]byte(raw), &news); err != nil {
		t.Fatal(err)
	}
	v := l.tag(news)[0]
	if len(v.Followers) != 1 || v.Followers[0].Queue != "to:crm" {
		t.Fatalf("the news go to %+v", v)
	}
	if got := v.Followers[0].Lead; got.Priority != -1 || got.RepeatOf != first.ID || got.Level != "" {
		t.Errorf("priority %d, about %s, level %q; want -1, %s and none", got.Priority, got.RepeatOf, got.Level, first.ID)
	}
	l.tag(streams.Lead{Event: "read"})
	if got := l.news(); !slices.Equal(got, []string{">unread", "unread>"}) {
		t.Errorf("after reading: %v", got)
	}
}

// Who goes by a segment behind the history hears of it, and of no other.
func TestToldSegments(t *testing.T) {
	l := newLife(t, func(tg *Tagging) { tg.History, tg.Told = "hook", []string{"clicked-no-order"} })
	l.says("Здравствуйте")
	l.tag(streams.Lead{Event: "click"})
	l.pass(73 * time.Hour)
	if got := l.news(); !slices.Equal(got, []string{">clicked-no-order"}) {
		t.Errorf("%v", got)
	}
	l.tag(streams.Lead{Event: "order"})
	if got := l.news(); !slices.Equal(got, []string{">clicked-no-order", "clicked-no-order>"}) {
		t.Errorf("%v", got)
	}
}

// What is only just behind is seen: a rule by something not having come waits five seconds.
func TestBuffer(t *testing.T) {
	rule := func(tg *Tagging) {
		tg.Segments = []Segment{{Name: "clicked-no-order", Group: "order", When: `without("click", "order", "0s")`, Sinks: []string{"hook"}}}
	}
	t.Run("the order is just behind", func(t *testing.T) {
		l := newLife(t, rule)
		l.tag(streams.Lead{Event: "click"})
		l.pass(4 * time.Second)
		l.tag(streams.Lead{Event: "order"})
		l.pass(time.Hour)
		if got := l.news(); len(got) != 0 {
			t.Errorf("it fired: %v", got)
		}
	})
	t.Run("no order", func(t *testing.T) {
		l := newLife(t, rule)
		l.tag(streams.Lead{Event: "click"})
		l.pass(4 * time.Second)
		if got := l.news(); len(got) != 0 {
			t.Errorf("it fired before the buffer: %v", got)
		}
		l.pass(2 * time.Second)
		if got := l.news(); !slices.Equal(got, []string{">clicked-no-order"}) {
			t.Errorf("after the buffer: %v", got)
		}
	})
	t.Run("nor does another rule's time", func(t *testing.T) {
		l := newLife(t, rule, func(tg *Tagging) {
			tg.Segments = append(tg.Segments, Segment{Name: "not-read", When: `without("sent", "read", "0s")`})
		})
		l.tag(streams.Lead{Event: "sent"})
		l.pass(3 * time.Second)
		l.tag(streams.Lead{Event: "click"})
		l.pass(3 * time.Second) // five seconds after the first news the customer is judged, two after the click
		if got := l.news(); len(got) != 0 {
			t.Errorf("it fired before the buffer: %v", got)
		}
		l.pass(5 * time.Second)
		if got := l.news(); !slices.Equal(got, []string{">clicked-no-order"}) {
			t.Errorf("after the buffer: %v", got)
		}
	})
	t.Run("other news do not hasten it", func(t *testing.T) {
		l := newLife(t, rule)
		l.tag(streams.Lead{Event: "click"})
		l.pass(2 * time.Second)
		l.tag(streams.Lead{Event: "read"})
		l.pass(2 * time.Second)
		if got := l.news(); len(got) != 0 {
			t.Errorf("it fired before the buffer: %v", got)
		}
	})
}

func TestChurnRisk(t *testing.T) {
	l := newLife(t, func(tg *Tagging) { tg.Events = []string{"hook"} })
	for range 3 {
		l.says("Отлично, спасибо")
		l.pass(time.Hour)
	}
	in(t, l.says("Ужасно, верните деньги"), "potential")
	l.pass(8 * 24 * time.Hour)
	if got := l.news(); got[len(got)-1] != "potential>churn-risk" {
		t.Errorf("news %v", got)
	}
}

func TestSegmentsNeedNoMemory(t *testing.T) {
	l := newLife(t, func(tg *Tagging) { tg.Memory = nil })
	lead := l.says("скидка скидка скидка скидка")
	if len(lead.Segments) != 0 || lead.Level != NewCustomer {
		t.Errorf("%+v", lead)
	}
	if err := l.Watch(context.Background()); err != nil {
		t.Error(err)
	}
}

// Redis away is a wait; what Redis refuses costs the counts and no lead.
func TestTaggingWithAnUnwillingRedis(t *testing.T) {
	l := newLife(t, func(tg *Tagging) { tg.Metrics, _ = NewTaggingMetrics(prometheus.NewRegistry()) })
	first := l.says("Здравствуйте")
	key := l.redis.Client.ZRange(t.Context(), "ls:{0}:customers", 0, 0).Val()[0]
	l.redis.Client.Del(t.Context(), key)
	l.redis.Client.Set(t.Context(), key, "another program's", 0)
	if lead := l.says("Запишите"); lead.Level != NewCustomer || first.Level != NewCustomer {
		t.Errorf("%+v", lead)
	}
	if n := testutil.ToFloat64(l.Metrics.lost); n != 1 {
		t.Errorf("%v batches without counters are counted, want 1", n)
	}
	l.redis.Kill()
	if v := l.tag(streams.Lead{Message: "Запишите"})[0]; v.Result != streams.Wait || v.After == 0 {
		t.Errorf("with Redis away: %+v", v)
	}
}

func TestCountersInRules(t *testing.T) {
	l := newLife(t, func(tg *Tagging) {
		tg.Rules = []Rule{
			{When: `count("hot:discount", "7d") > 1 and activity > 1`, Tags: []string{"asks again"}},
			{When: `"potential" in segments and "discount" in hot_words`, Tags: []string{"new and thrifty"}},
			{When: `in_a_row("expensive") == 1 and last_sentiment == 0.5 and days_since_reply == 0`, Tags: []string{"dear"}},
			{When: `count(tags, # == "dear") == 1`, Tags: []string{"counted"}}, // the language's own
		}
	})
	if got := l.says("скидка?").Tags; !slices.Equal(got, []string{"new and thrifty"}) {
		t.Errorf("tags %v", got)
	}
	if got := l.says("дорого. скидка?").Tags; !slices.Equal(got, []string{"asks again", "new and thrifty", "dear", "counted"}) {
		t.Errorf("tags %v", got)
	}
}

func TestSegmentFaults(t *testing.T) {
	tg := &Tagging{Known: []string{"crm"}, Sinks: []string{"crm"}, Events: []string{"hubspot"}, HotWords: HotWords{"Bad Name": {"x"}, "broken": {"(x"}},
		Segments: []Segment{
			{Name: "a", When: `intent == "price"`},
			{Name: "b", When: `count("hot:discout", "7d") > 3`},
			{Name: "c", When: `count("hot:discount", "week") > 3`},
			{Name: "d", When: `count("hot:discount", "100d") > 3`},
			{Name: "e", When: `interactions(activity) > 3`},
			{Name: "f", When: `without("click", "odrer", "72h")`},
			{Name: "g", When: `in_a_row("nothing") > 1`},
			{Name: "h", When: `count("hot:discount") > 1`},
			{Name: "i", When: ``},
			{Name: "Big", When: `true`},
			{Name: "j", When: `true`, Sinks: []string{"telegram"}},
			{Name: "k", When: `true`}, {Name: "k", When: `true`},
			{Name: "fine", When: `interactions(30) > 3 and days_since_reply > 3.5 and not without("sent", "read|lead", "30m")`},
			{Name: "churned", When: `false`},
		}}
	err := tg.Compile()
	if err == nil {
		t.Fatal("no fault found")
	}
	got := err.Error()
	for i := range 9 {
		if key := fmt.Sprintf("segments[%d].when: ", i); !strings.Contains(got, key) {
			t.Errorf("no fault for %s in:\n%s", key, got)
		}
	}
	for _, key := range []string{"segments[9]: ", "segments[10].sinks: ", "segments[12]: ", "events: ", "hot_words.Bad Name: ", "hot_words.broken: "} {
		if !strings.Contains(got, key) {
			t.Errorf("no fault for %s in:\n%s", key, got)
		}
	}
	for _, key := range []string{"segments[13]", "segments[14]"} {
		if strings.Contains(got, key) {
			t.Errorf("a fault for %s, which has none:\n%s", key, got)
		}
	}
}

func TestHotWordsAreMany(t *testing.T) {
	n := 0
	for _, list := range DefaultHotWords() {
		n += len(list)
	}
	if n < 150 {
		t.Errorf("%d hot words (G-15 wants 150)", n)
	}
	h, faults := compileHotWords(HotWords{"vip": {"вип~"}, "gift": nil})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if got := h.count(words("ВИП-скидка на подарок, СКИДОЧКА")); len(got) != 2 || got["discount"] != 2 || got["vip"] != 1 {
		t.Errorf("%v", got)
	}
}
