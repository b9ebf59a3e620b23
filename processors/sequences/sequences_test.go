package sequences

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"leadstream/processors"
	"leadstream/processors/templates"
	"leadstream/sinks"
	"leadstream/sinks/records"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// bench is sequences on real records, with a clock that is moved by hand.
type bench struct {
	*testing.T
	*Sequences
	store *records.Store
	at    time.Time
	n     int
}

func texts(t testing.TB) *templates.Set {
	t.Helper()
	set, err := templates.Load(templates.Settings{Business: templates.Sample("ru").Business}, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func compiled(t testing.TB, all ...Sequence) *Set {
	t.Helper()
	set, err := Compile(all, texts(t))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func newBench(t *testing.T, all ...Sequence) *bench {
	t.Helper()
	settings := records.Defaults()
	sink, err := records.Kind.Open(&settings, sinks.Env{DataDir: t.TempDir(), Region: "RU", Zone: time.UTC, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	s := sink.(*records.Sink)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	metrics, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, store: s.Store, at: time.Now().Truncate(time.Millisecond).UTC()}
	b.Sequences = &Sequences{Set: compiled(t, all...), Store: s.Store, Language: "ru", Zone: time.UTC, Metrics: metrics, Clock: func() time.Time { return b.at }, Log: zerolog.Nop()}
	return b
}

// lead is written and heard; its customer's card comes back.
func (b *bench) lead(l streams.Lead) int64 {
	b.Helper()
	b.n++
	if l.ID == "" {
		l.ID = fmt.Sprint("lead", b.n)
	}
	if l.ReceivedAt.IsZero() {
		l.ReceivedAt = b.at
	}
	if l.Phone == "" && l.Email == "" {
		l.Phone = "+79990000011"
	}
	cards, err := b.store.Write(b.Context(), time.UTC, []*streams.Lead{&l})
	if err != nil {
		b.Fatal(err)
	}
	for range 2 { // heard twice it is heard once
		if err := b.Heard(b.Context(), &l, cards[0]); err != nil {
			b.Fatal(err)
		}
	}
	return cards[0]
}

func (b *bench) agree(card int64) {
	b.Helper()
	b.n++
	if err := b.store.AddConsent(b.Context(), card, records.Consent{Key: fmt.Sprint("agree", b.n), At: b.at, Purpose: "marketing", Given: true, How: "form"}); err != nil {
		b.Fatal(err)
	}
}

// agreed is a customer who is glad of advertising.
func (b *bench) agreed() int64 {
	b.Helper()
	card := b.lead(streams.Lead{Message: "Здравствуйте", Language: "ru"})
	b.agree(card)
	return card
}

func into(segment string) streams.Lead {
	return streams.Lead{Event: streams.EventSegment, Fields: map[string]json.RawMessage{"to": []byte(`"` + segment + `"`), "from": []byte(`""`)}}
}

func outOf(segment string) streams.Lead {
	return streams.Lead{Event: streams.EventSegment, Fields: map[string]json.RawMessage{"from": []byte(`"` + segment + `"`), "to": []byte(`""`)}}
}

// after takes the steps that are due so much later.
func (b *bench) after(d time.Duration) {
	b.Helper()
	b.at = b.at.Add(d)
	if _, err := b.Steps(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) messages(card int64) []outbound.Message {
	b.Helper()
	all, err := b.store.MessagesTo(b.Context(), card, 100)
	if err != nil {
		b.Fatal(err)
	}
	slices.Reverse(all)
	return all
}

// send carries the waiting messages out.
func (b *bench) send(card int64) {
	b.Helper()
	for _, m := range b.messages(card) {
		if m.State != outbound.Waiting {
			continue
		}
		step := &outbound.Step{N: 1, Channel: "sms", State: outbound.Delivered, At: b.at, SentAt: b.at}
		done, err := b.store.Change(b.Context(), []outbound.Change{{Message: m, State: outbound.Done, Due: b.at, Step: step}})
		if err != nil || !done[0] {
			b.Fatal(done, err)
		}
	}
}

// ended is how the run of a sequence ended: "won order"; "on" while it has not.
func (b *bench) ended() string {
	b.Helper()
	counts, err := b.store.RunCounts(b.Context(), time.Time{})
	if err != nil {
		b.Fatal(err)
	}
	var all []string
	for _, c := range counts {
		for range c.Runs {
			all = append(all, strings.TrimSpace(string(c.State)+" "+c.Reason))
		}
	}
	return strings.Join(all, ", ")
}

func (b *bench) count(want int, card int64) []outbound.Message {
	b.Helper()
	all := b.messages(card)
	if len(all) != want {
		b.Fatalf("%d messages, want %d: %+v", len(all), want, all)
	}
	return all
}

func TestJourney(t *testing.T) {
	b := newBench(t, Sequence{Preset: "potential"})
	card := b.agreed()
	b.lead(into("potential"))
	b.after(7*day - time.Second)
	b.count(0, card)
	b.after(time.Second)
	m := b.count(1, card)[0]
	if m.Template != "follow_up" || m.Purpose != outbound.Promotion || m.State != outbound.Waiting || m.Language != "ru" || !m.Deadline.Equal(b.at.Add(14*day)) || m.Topic != "" {
		t.Errorf("%+v", m)
	}
	// While it waits for its hour, the next one waits for it; a week counts from when it went.
	b.after(8 * day)
	b.count(1, card)
	b.send(card)
	b.after(recheck)
	b.count(1, card)
	b.after(7*day - recheck - time.Second)
	b.count(1, card)
	b.after(time.Second)
	b.count(2, card)
	b.send(card)
	b.after(7 * day)
	b.count(3, card)
	b.send(card)
	b.after(30 * day)
	b.count(3, card)
	if got := b.ended(); got != "done" {
		t.Error(got)
	}
	// And not again for a while.
	b.lead(into("potential"))
	b.after(8 * day)
	b.count(3, card)
	for what, want := range map[string]float64{"begun": 1, "message": 3, "done": 1} {
		if got := testutil.ToFloat64(b.Metrics.runs.WithLabelValues("potential", "", what)); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// Who has not agreed to advertising is in no sequence of advertising.
func TestNoConsent(t *testing.T) {
	b := newBench(t, Sequence{Preset: "potential"})
	card := b.lead(streams.Lead{Message: "Здравствуйте"})
	b.lead(into("potential"))
	if got := b.ended(); got != "" {
		t.Fatal(got)
	}
	// One that was taken back meanwhile ends it.
	b.agree(card)
	b.lead(into("potential"))
	if err := b.store.AddConsent(b.Context(), card, records.Consent{Key: "no", At: b.at.Add(time.Second), Purpose: "marketing", How: "operator"}); err != nil {
		t.Fatal(err)
	}
	b.after(7 * day)
	b.count(0, card)
	if got := b.ended(); got != "stopped stopped" {
		t.Error(got)
	}
}

func TestStops(t *testing.T) {
	every := slices.Clone(Stops)
	for name, c := range map[string]struct {
		stop []string
		news streams.Lead
		at   time.Duration // of the news, behind the beginning
		want string
	}{
		"an answer":                      {every, streams.Lead{Message: "А когда можно?"}, time.Hour, "stopped reply"},
		"an answer as news":              {every, streams.Lead{Event: "reply"}, time.Hour, "stopped reply"},
		"what was written before":        {every, streams.Lead{Message: "А когда можно?"}, -time.Second, "on"},
		"STOP":                           {[]string{}, streams.Lead{Message: "Стоп"}, time.Hour, "stopped stop"},
		"no messages at all":             {[]string{"won"}, streams.Lead{Message: "не пишите мне больше"}, time.Hour, "stopped stop"},
		"an order":                       {every, streams.Lead{Event: "order"}, time.Hour, "won order"},
		"an order that was made before":  {every, streams.Lead{Event: "order"}, -time.Hour, "stopped order"},
		"a visit":                        {every, streams.Lead{Event: "visit"}, time.Hour, "won visit"},
		"a deal won":                     {every, streams.Lead{Event: "won"}, time.Hour, "won won"},
		"a deal lost":                    {every, streams.Lead{Event: "lost"}, time.Hour, "stopped lost"},
		"a person's answer":              {every, streams.Lead{Event: "answered"}, time.Hour, "stopped person"},
		"the segment is left":            {every, outOf("potential"), time.Hour, "stopped left"},
		"another segment is left":        {every, outOf("active"), time.Hour, "on"},
		"a click":                        {every, streams.Lead{Event: "click"}, time.Hour, "on"},
		"an answer that does not matter": {[]string{"won"}, streams.Lead{Message: "А когда можно?"}, time.Hour, "on"},
		"leaving does not matter":        {[]string{"won"}, outOf("potential"), time.Hour, "on"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, Sequence{Preset: "potential", Stop: c.stop})
			card := b.agreed()
			begun := b.at
			b.lead(into("potential"))
			b.after(7 * day)
			b.count(1, card)
			c.news.EventAt = begun.Add(c.at)
			b.lead(c.news)
			if got := b.ended(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			want := outbound.Dropped // what has not gone out does not go out any more
			if c.want == "on" {
				want = outbound.Waiting
			}
			if m := b.messages(card)[0]; m.State != want {
				t.Errorf("the message is %s", m.State)
			}
		})
	}
}

// What begins a sequence does not end it, however often it is heard.
func TestBegunByWhatEnds(t *testing.T) {
	b := newBench(t, Sequence{Name: "thanks", When: `event == "order"`, Steps: []Step{{After: day, Template: "follow_up"}}, Stop: []string{"order"}})
	card := b.agreed()
	b.lead(streams.Lead{Event: "order"})
	b.after(day)
	b.count(1, card)
	b.lead(streams.Lead{Event: "order"})
	if got := b.ended(); got != "won order" {
		t.Error(got)
	}
}

// Every customer gets one variant, always the same, in the shares that the weights say.
func TestVariants(t *testing.T) {
	set := compiled(t, Sequence{Preset: "potential", Variants: []Variant{{Name: "a", Weight: 3}, {Name: "b"}, {Name: "none", Silent: true}}})
	r := set.all[0]
	got := map[string]int{}
	const n = 20000
	again := compiled(t, Sequence{Preset: "potential", Variants: r.Variants}).all[0]
	for c := range int64(n) {
		name := r.pick(c).Name
		got[name]++
		if again.pick(c).Name != name {
			t.Fatal("not the same one after a start")
		}
	}
	for name, share := range map[string]float64{"a": 0.6, "b": 0.2, "none": 0.2} {
		if diff := math.Abs(float64(got[name])/n - share); diff > 0.02 {
			t.Errorf("%s: %d of %d", name, got[name], n)
		}
	}
	other := compiled(t, Sequence{Preset: "potential", Name: "other", Variants: r.Variants}).all[0]
	same := 0
	for c := range int64(n) {
		if other.pick(c).Name == r.pick(c).Name {
			same++
		}
	}
	if same > n*6/10 { // 44 % by chance
		t.Errorf("two tests divide customers alike: %d of %d", same, n)
	}
}

func TestSilentVariant(t *testing.T) {
	b := newBench(t, Sequence{Preset: "potential", Variants: []Variant{{Name: "none", Silent: true}}})
	card := b.agreed()
	b.lead(into("potential"))
	b.after(10 * day)
	b.lead(streams.Lead{Event: "order"})
	b.count(0, card)
	if got := b.ended(); got != "won order" {
		t.Error(got)
	}
}

// Who is under way when the configuration changes goes on by the new one (S-04).
func TestEdited(t *testing.T) {
	follow := func(after ...time.Duration) (steps []Step) {
		for _, a := range after {
			steps = append(steps, Step{After: a, Template: "follow_up"})
		}
		return steps
	}
	edit := func(b *bench, all ...Sequence) {
		b.Helper()
		b.Set = compiled(b.T, all...)
		if err := b.Adapt(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	named := Sequence{Name: "s", Segment: "potential", Steps: follow(7*day, 7*day), Variants: []Variant{{Name: "a"}}}
	start := func(t *testing.T) (*bench, int64) {
		b := newBench(t, named)
		card := b.agreed()
		b.lead(into("potential"))
		b.after(2 * day)
		b.count(0, card)
		return b, card
	}
	t.Run("sooner", func(t *testing.T) {
		b, card := start(t)
		s := named
		s.Steps = follow(day, day)
		edit(b, s)
		b.after(0)
		b.count(1, card)
		b.send(card)
		b.after(day)
		b.count(2, card)
	})
	t.Run("later", func(t *testing.T) {
		b, card := start(t)
		s := named
		s.Steps = follow(20 * day)
		edit(b, s)
		b.after(18*day - time.Second)
		b.count(0, card)
		b.after(time.Second)
		b.count(1, card)
	})
	t.Run("taken out", func(t *testing.T) {
		b, card := start(t)
		b.after(5 * day)
		b.count(1, card)
		edit(b)
		if got := b.ended(); got != "stopped removed" {
			t.Error(got)
		}
		if m := b.messages(card)[0]; m.State != outbound.Dropped {
			t.Error(m.State)
		}
	})
	t.Run("off", func(t *testing.T) {
		b, card := start(t)
		s := named
		s.Off = true
		edit(b, s)
		if got := b.ended(); got != "stopped removed" {
			t.Error(got)
		}
		b.lead(into("potential"))
		b.after(30 * day)
		b.count(0, card)
	})
	t.Run("shorter than where they are", func(t *testing.T) {
		b, card := start(t)
		b.after(5 * day)
		b.send(card)
		s := named
		s.Steps = follow(7 * day)
		edit(b, s)
		b.after(13 * day)
		b.count(1, card)
		if got := b.ended(); got != "on" {
			t.Error(got)
		}
		b.after(day)
		if got := b.ended(); got != "done" {
			t.Error(got)
		}
	})
	t.Run("without their variant", func(t *testing.T) {
		b, card := start(t)
		s := named
		s.Variants = []Variant{{Name: "z", Steps: []Step{{After: 7 * day, Template: "instalments"}}}}
		edit(b, s)
		b.after(5 * day)
		if m := b.count(1, card)[0]; m.Template != "instalments" {
			t.Error(m.Template)
		}
	})
}

func TestConditions(t *testing.T) {
	step := func(when, unless string) Sequence {
		return Sequence{Name: "s", Segment: "potential", Steps: []Step{{Template: "follow_up"}, {After: day, Template: "instalments", When: when, Unless: unless}}}
	}
	for name, c := range map[string]struct {
		s    Sequence
		want int
	}{
		"true":        {step(`last == "delivered" and language == "ru" and not booked and visit_days < 0`, ""), 2},
		"not true":    {step(`last == "read"`, ""), 1},
		"unless":      {step("", `last in ["delivered", "read"]`), 1},
		"unless not":  {step("", `last == "read"`), 2},
		"no visit":    {step("booked", ""), 1},
		"any weekday": {step("weekday >= 1 and weekday <= 7 and heard_days < 100", ""), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, c.s)
			card := b.agreed()
			b.lead(into("potential"))
			b.after(0)
			b.count(1, card)
			b.send(card)
			b.after(day)
			b.count(c.want, card)
		})
	}
}

// Nobody is offered what they were offered a moment ago by something else (D-06).
func TestHad(t *testing.T) {
	b := newBench(t, Sequence{Name: "one", Segment: "a", Steps: []Step{{Template: "follow_up"}}},
		Sequence{Name: "two", Segment: "b", Steps: []Step{{Template: "follow_up"}, {Template: "instalments"}}})
	card := b.agreed()
	b.lead(into("a"))
	b.after(0)
	b.send(card)
	b.lead(into("b"))
	b.after(time.Second)
	if all := b.count(2, card); all[1].Template != "instalments" {
		t.Error(all[1].Template)
	}
	if got := testutil.ToFloat64(b.Metrics.runs.WithLabelValues("two", "", "skipped")); got != 1 {
		t.Error(got)
	}
}

func TestQuestionnaire(t *testing.T) {
	b := newBench(t, Sequence{Preset: "questionnaire", Texts: map[string]string{"link": "https://shop.example/s"}, Recommend: []Recommendation{
		{When: `fields.skin == "dry"`, Products: []string{"ночной крем", "сыворотка", "маска"}},
		{When: `fields.skin == "oily"`, Products: []string{"гель", "тоник", "скраб"}},
	}})
	card := b.lead(streams.Lead{Message: "Здравствуйте"})
	b.lead(streams.Lead{Fields: map[string]json.RawMessage{"skin": []byte(`"normal"`)}})
	b.after(0)
	b.count(0, card)
	b.lead(streams.Lead{Fields: map[string]json.RawMessage{"skin": []byte(`"oily"`)}})
	b.after(0)
	m := b.count(1, card)[0] // an answer needs no consent
	var v templates.Values
	if err := json.Unmarshal(m.Values, &v); err != nil || v.Products != "гель, тоник, скраб" || v.Link != "https://shop.example/s" || m.Purpose != outbound.Answer {
		t.Errorf("%+v %v", m, err)
	}
	r, err := texts(t).Render(texts(t).Find(m.Template, "ru"), v)
	if err != nil || !strings.Contains(r.Text, "гель, тоник, скраб") {
		t.Error(r, err)
	}
	b.send(card)
	b.after(48 * time.Hour)
	b.count(1, card) // advertising does
	if got := b.ended(); got != "stopped no_consent" {
		t.Error(got)
	}
}

// Two daemons and a crash make one message of a step.
func TestTogether(t *testing.T) {
	b := newBench(t, Sequence{Name: "s", Segment: "a", Steps: []Step{{Template: "follow_up"}, {Template: "instalments"}}})
	card := b.agreed()
	b.lead(into("a"))
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			one := *b.Sequences
			if _, err := one.Steps(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	b.count(1, card)
	run, err := b.store.OpenRuns(t.Context(), card)
	if err != nil {
		t.Fatal(err)
	}
	// The message was made, and the run is where it was, as in a copy of the records that was put back.
	back := run[0]
	back.Step, back.Due, back.Last = 0, b.at, ""
	if ok, err := b.store.MoveRun(t.Context(), run[0], back, nil); !ok || err != nil {
		t.Fatal(ok, err)
	}
	b.after(time.Second)
	b.count(1, card)
}

// busy is a store in which others move a run on just before it is moved.
type busy struct {
	Store
	before func()
}

func (b *busy) MoveRun(ctx context.Context, from, to outbound.Run, m *outbound.Message) (bool, error) {
	if f := b.before; f != nil {
		b.before = nil
		f()
	}
	return b.Store.MoveRun(ctx, from, to, m)
}

// An answer that comes while a step is taken ends the sequence all the same, with the message that the step has just made.
func TestEndedWhileAStepIsTaken(t *testing.T) {
	b := newBench(t, Sequence{Name: "s", Segment: "a", Steps: []Step{{Template: "follow_up"}, {After: day, Template: "instalments"}}})
	card := b.agreed()
	b.lead(into("a"))
	b.at = b.at.Add(time.Second)
	plain := *b.Sequences
	b.Store = &busy{b.Store, func() {
		if _, err := plain.Steps(t.Context()); err != nil {
			t.Error(err)
		}
	}}
	if err := b.Heard(t.Context(), &streams.Lead{ID: "x", Message: "А когда можно?", ReceivedAt: b.at}, card); err != nil {
		t.Fatal(err)
	}
	if got := b.ended(); got != "stopped reply" {
		t.Error(got)
	}
	if m := b.count(1, card)[0]; m.State != outbound.Dropped {
		t.Error(m.State)
	}
}

// Of two cards that have become one, one run goes on.
func TestMerged(t *testing.T) {
	b := newBench(t, Sequence{Preset: "potential"})
	card := b.agreed()
	b.lead(into("potential"))
	b.at = b.at.Add(time.Second)
	other := b.lead(streams.Lead{Email: "a@example.test", Message: "Добрый день"})
	b.agree(other)
	news := into("potential")
	news.Email = "a@example.test"
	b.lead(news)
	if b.ended() != "on, on" {
		t.Fatal(b.ended())
	}
	if one := b.lead(streams.Lead{Phone: "+79990000011", Email: "a@example.test", Event: "read"}); one != card {
		t.Fatal("not merged")
	}
	b.after(7*day + time.Second)
	b.count(1, card)
	if got := b.ended(); got != "on, stopped merged" {
		t.Error(got)
	}
}

// Whatever customers do, whenever steps are taken, and however the configuration is edited meanwhile: a customer is in a sequence once,
// what has ended says nothing more, and everything ends.
func TestLives(t *testing.T) {
	steps := func(r *rand.Rand) (all []Step) {
		for range 1 + r.IntN(3) {
			all = append(all, Step{After: time.Duration(r.IntN(5)) * day, Template: []string{"follow_up", "instalments", "miss_you"}[r.IntN(3)]})
		}
		return all
	}
	config := func(r *rand.Rand) (all []Sequence) {
		for _, name := range []string{"one", "two"} {
			if r.IntN(6) == 0 {
				continue
			}
			s := Sequence{Name: name, Segment: name, Steps: steps(r), Texts: map[string]string{"coupon": "A"}, Again: time.Duration(1+r.IntN(20)) * day, Off: r.IntN(8) == 0}
			if r.IntN(2) == 0 {
				s.Variants = []Variant{{Name: "a", Weight: 1 + r.IntN(3)}, {Name: string(rune('b' + r.IntN(2))), Steps: steps(r)}}
			}
			all = append(all, s)
		}
		return all
	}
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 3))
		b := newBench(t, config(r)...)
		cards := []int64{b.lead(streams.Lead{Phone: "+79990000001", Message: "Привет"}), b.lead(streams.Lead{Phone: "+79990000002", Message: "Привет"})}
		for _, card := range cards {
			b.agree(card)
		}
		for range 60 {
			n := r.IntN(2)
			l := []streams.Lead{into("one"), into("two"), into("one"), into("two"), {Message: "А сколько стоит?"}, {Event: "order"}, {Event: "answered"}, {Event: "click"}, {Message: "стоп"}}[r.IntN(9)]
			l.Phone = fmt.Sprintf("+7999000000%d", n+1)
			switch r.IntN(8) {
			case 0, 1, 2:
				b.lead(l)
			case 3, 4:
				b.after(time.Duration(r.IntN(4*24)) * time.Hour)
			case 5, 6:
				b.send(cards[n])
			case 7:
				b.Set = compiled(t, config(r)...)
				if err := b.Adapt(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			b.consistent(cards)
		}
		for range 200 {
			for _, card := range cards {
				b.send(card)
			}
			b.after(2 * day)
		}
		if strings.Contains(b.ended(), "on") && strings.Contains(", "+b.ended(), ", on") {
			t.Errorf("seed %d: something never ends: %s", seed, b.ended())
		}
	}
}

func (b *bench) consistent(cards []int64) {
	b.Helper()
	for _, card := range cards {
		open, err := b.store.OpenRuns(b.Context(), card)
		if err != nil {
			b.Fatal(err)
		}
		on := map[string]bool{}
		in := map[string]bool{}
		for _, run := range open {
			if in[run.Sequence] {
				b.Errorf("a customer is twice in %s", run.Sequence)
			}
			if b.Set.byName[run.Sequence] == nil || b.Set.byName[run.Sequence].Off {
				b.Errorf("%s is not there any more", run.Sequence)
			}
			in[run.Sequence], on[outbound.CauseOf(run, -1)] = true, true
		}
		for _, m := range b.messages(card) {
			of := m.Cause[:strings.LastIndex(m.Cause, ":")+1]
			if m.State == outbound.Waiting && !on[of] {
				b.Errorf("%s waits, and its sequence has ended", m.Cause)
			}
		}
	}
}

func TestPresets(t *testing.T) {
	for name := range Presets() {
		s := Sequence{Preset: name, Texts: map[string]string{"coupon": "SPRING"}}
		if name == "questionnaire" {
			s.Recommend = []Recommendation{{When: "fields.q == 1", Products: []string{"a"}}}
		}
		set := compiled(t, s)
		segment := set.all[0].Segment
		if segment != "" && !slices.ContainsFunc(processors.DefaultSegments(), func(d processors.Segment) bool { return d.Name == segment }) {
			t.Errorf("%s: there is no segment %q", name, segment)
		}
		if got := Segments([]Sequence{s}); segment != "" && !slices.Equal(got, []string{segment}) {
			t.Errorf("%s begins with %q", name, got)
		}
		for _, w := range set.all[0].variants {
			for _, st := range w.steps {
				if (st.purpose == outbound.Promotion) == (st.Template == "recommendation") {
					t.Errorf("%s: %s is %s", name, st.Template, st.purpose)
				}
			}
		}
	}
}

func TestFaults(t *testing.T) {
	good := Sequence{Name: "s", Segment: "potential", Steps: []Step{{Template: "follow_up"}}}
	for want, change := range map[string]func(*Sequence){
		"sequences[0].preset":           func(s *Sequence) { s.Preset = "spam" },
		"sequences[0].name":             func(s *Sequence) { s.Name = "Скидка" },
		"sequences[0]: it is not said":  func(s *Sequence) { s.When = "hot" },
		"it is not said":                func(s *Sequence) { s.Segment = "" },
		"sequences[0].when":             func(s *Sequence) { s.Segment, s.When = "", "hott" },
		"make a segment of it":          func(s *Sequence) { s.Segment, s.When = "", `count("lead", "7d") > 3` },
		"sequences[0].stop":             func(s *Sequence) { s.Stop = []string{"rain"} },
		"sequences[0].steps":            func(s *Sequence) { s.Steps = nil },
		"sequences[0].steps[0].templ":   func(s *Sequence) { s.Steps = []Step{{Template: "folow_up"}} },
		"needs .Coupon":                 func(s *Sequence) { s.Steps = []Step{{Template: "coupon"}} },
		"sequences[0].values":           func(s *Sequence) { s.Texts = map[string]string{"cupon": "x"} },
		"sequences[0].steps[0].when":    func(s *Sequence) { s.Steps = []Step{{Template: "follow_up", When: "hot"}} },
		"sequences[0].steps[0].unless":  func(s *Sequence) { s.Steps = []Step{{Template: "follow_up", Unless: "1"}} },
		"sequences[0].steps[0]: a time": func(s *Sequence) { s.Steps = []Step{{Template: "follow_up", After: -1}} },
		"sequences[0].variants[0].name": func(s *Sequence) { s.Variants = []Variant{{}} },
		"sequences[0].variants[1].name": func(s *Sequence) { s.Variants = []Variant{{Name: "a"}, {Name: "a"}} },
		"variants[0].weight":            func(s *Sequence) { s.Variants = []Variant{{Name: "a", Weight: -1}} },
		"recommend[0].when":             func(s *Sequence) { s.Segment, s.Recommend = "", []Recommendation{{When: "?", Products: []string{"a"}}} },
		"it recommends nothing":         func(s *Sequence) { s.Segment, s.Recommend = "", []Recommendation{{When: "hot"}} },
	} {
		s := good
		change(&s)
		if _, err := Compile([]Sequence{s}, texts(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := Compile([]Sequence{good, good}, texts(t)); err == nil || !strings.Contains(err.Error(), "two sequences") {
		t.Error(err)
	}
	if _, err := Compile([]Sequence{good}, texts(t)); err != nil {
		t.Error(err)
	}
}
