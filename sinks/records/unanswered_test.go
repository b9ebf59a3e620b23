package records

import (
	"context"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"leadstream/streams"
	"leadstream/streams/outbound"
)

// said is one thing that happens in a conversation: an enquiry, or who has answered.
type said struct {
	at    time.Duration // since noon
	wrote time.Duration // an enquiry, by the clock of its service; 0: at
	knows time.Duration // a dialogue; 0: at
	lead  string        // an enquiry
	hot   bool
	cost  int
	by    string // an answer
}

// wait is a row.
type wait struct {
	Lead         string
	Hot, Worth   int64
	Asked, First time.Duration // -1: none
	FirstBy, By  string
	Ended        time.Duration
}

func (s *Sink) waits(t *testing.T) (all []wait) {
	t.Helper()
	since := func(at int64) time.Duration {
		if at == 0 {
			return -1
		}
		return fromMilli(at).Sub(noon)
	}
	err := s.query(context.Background(), func(scan func(...any) error) error {
		var w wait
		var asked, first, ended int64
		err := scan(&w.Lead, &w.Hot, &w.Worth, &asked, &first, &w.FirstBy, &w.By, &ended)
		w.Asked, w.First, w.Ended = since(asked), since(first), since(ended)
		all = append(all, w)
		return err
	}, "SELECT lead, hot, worth, asked_at, first_at, first_by, by, ended_at FROM unanswered ORDER BY asked_at, lead")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func moment(d time.Duration) (at time.Time) {
	if d != 0 {
		at = noon.Add(d)
	}
	return at
}

func TestWaits(t *testing.T) {
	const m = time.Minute
	for name, c := range map[string]struct {
		said []said
		want []wait
	}{
		"a person ends it": {
			[]said{{at: m, lead: "a", hot: true, cost: 300}, {at: 3 * m, by: outbound.Person}},
			[]wait{{"a", 1, 300, m, 3 * m, "person", "person", 3 * m}}},
		"a program does not": {
			[]said{{at: m, lead: "a", hot: true}, {at: 2 * m, by: outbound.Program}, {at: 3 * m, by: outbound.Program}},
			[]wait{{"a", 1, 0, m, 2 * m, "program", "", -1}}},
		"a program first, then a person": {
			[]said{{at: m, lead: "a"}, {at: 2 * m, by: outbound.Program}, {at: 9 * m, by: outbound.Person}},
			[]wait{{"a", 0, 0, m, 2 * m, "program", "person", 9 * m}}},
		"a dialogue that has finished the matter ends it": {
			[]said{{at: m, lead: "a"}, {at: 2 * m, by: outbound.Program}, {at: 9 * m, by: outbound.Dialogue}},
			[]wait{{"a", 0, 0, m, 2 * m, "program", "dialogue", 9 * m}}},
		"a repeat begins no second one, and may make it hot and dear": {
			[]said{{at: m, lead: "a", cost: 10}, {at: 2 * m, lead: "b", hot: true, cost: 500}, {at: 3 * m, lead: "c", cost: 20}},
			[]wait{{"a", 1, 500, m, -1, "", "", -1}}},
		"hot after what a program has answered": {
			[]said{{at: m, lead: "a"}, {at: 2 * m, by: outbound.Program}, {at: 30 * m, lead: "b", hot: true}},
			[]wait{{"a", 0, 0, m, 2 * m, "program", "", 30 * m}, {"b", 1, 0, 30 * m, -1, "", "", -1}}},
		"the conversation is taken up again": {
			[]said{{at: m, lead: "a"}, {at: 2 * m, by: outbound.Person}, {at: 50 * m, lead: "b"}, {at: 51 * m, by: outbound.Person}},
			[]wait{{"a", 0, 0, m, 2 * m, "person", "person", 2 * m}, {"b", 0, 0, 50 * m, 51 * m, "person", "person", 51 * m}}},
		"the next day, after a program's answer": {
			[]said{{at: m, lead: "a"}, {at: 2 * m, by: outbound.Program}, {at: 25 * time.Hour, lead: "b"}},
			[]wait{{"a", 0, 0, m, 2 * m, "program", "", 25 * time.Hour}, {"b", 0, 0, 25 * time.Hour, -1, "", "", -1}}},
		"the next day, and nobody has answered": {
			[]said{{at: m, lead: "a"}, {at: 25 * time.Hour, lead: "b"}},
			[]wait{{"a", 0, 0, m, -1, "", "", -1}}},
		"the same lead again": {
			[]said{{at: m, lead: "a"}, {at: m, by: outbound.Person}, {at: m, lead: "a"}},
			[]wait{{"a", 0, 0, m, m, "person", "person", m}}},
		"an answer from before it, heard late": {
			[]said{{at: 5 * m, lead: "a"}, {at: 4 * m, by: outbound.Person}},
			[]wait{{"a", 0, 0, 5 * m, -1, "", "", -1}}},
		"an enquiry that comes after its answer": {
			[]said{{at: 5 * m, by: outbound.Person}, {at: 4 * m, lead: "a"}},
			nil},
		"an outage is over: an enquiry is taken after its answer was given": {
			[]said{{at: 30 * m, wrote: m, lead: "a"}, {at: 10 * m, by: outbound.Person}},
			[]wait{{"a", 0, 0, 30 * m, 10 * m, "person", "person", 10 * m}}},
		"the customer has written on since a person answered": {
			[]said{{at: m, lead: "a", hot: true}, {at: 3 * m, lead: "b"}, {at: 2 * m, by: outbound.Person}},
			[]wait{{"a", 1, 0, m, 2 * m, "person", "", -1}}},
		"the customer has written on while a dialogue's last word was under way": {
			[]said{{at: m, lead: "a"}, {at: 3 * m, lead: "b", hot: true}, {at: 4 * m, knows: 2 * m, by: outbound.Dialogue}},
			[]wait{{"a", 1, 0, m, 4 * m, "dialogue", "", -1}}},
		"what is written under a dialogue's last word and heard after it": {
			[]said{{at: m, lead: "a"}, {at: 3 * m, knows: 2 * m, by: outbound.Dialogue}, {at: 4 * m, wrote: 2 * m, lead: "b"}},
			[]wait{{"a", 0, 0, m, 3 * m, "dialogue", "dialogue", 3 * m}, {"b", 0, 0, 4 * m, -1, "", "", -1}}},
		"a sender's clock is ahead": {
			[]said{{at: 90 * 24 * time.Hour, lead: "a"}},
			[]wait{{"a", 0, 0, 48 * time.Hour, -1, "", "", -1}}},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, s *Sink) {
				s.now = func() time.Time { return noon.Add(48 * time.Hour) }
				var told []outbound.First
				s.OnFirst(func(f outbound.First) { told = append(told, f) })
				ids := put(t, s, streams.Lead{Phone: "+79990000001"}, streams.Lead{Phone: "+79990000002"})
				other := outbound.Wait{At: noon.Add(-time.Hour)} // whose wait nothing of this concerns
				if err := s.Asked(context.Background(), "other", ids[1], other); err != nil {
					t.Fatal(err)
				}
				answered := 0
				for _, e := range c.said {
					var err error
					if at := noon.Add(e.at); e.lead != "" {
						err = s.Asked(context.Background(), e.lead, ids[0], outbound.Wait{Channel: "telegram", Hot: e.hot, Worth: e.cost, At: at, Wrote: moment(e.wrote)})
					} else {
						err = s.Answered(context.Background(), ids[0], outbound.Answered{By: e.by, At: at, Knows: moment(e.knows)})
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				want := append([]wait{{"other", 0, 0, -time.Hour, -1, "", "", -1}}, c.want...)
				if diff := gocmp.Diff(want, s.waits(t)); diff != "" {
					t.Error(diff)
				}
				for _, w := range c.want {
					if w.First >= 0 {
						answered++
					}
				}
				if len(told) != answered {
					t.Errorf("%d first answers were told of, want %d", len(told), answered)
				}
			})
		})
	}
}

func TestUnanswered(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		ctx := context.Background()
		s.now = func() time.Time { return noon.Add(48 * time.Hour) }
		leads := make([]streams.Lead, 5)
		for i := range leads {
			leads[i].Email = string(rune('a'+i)) + "@example.test"
		}
		ids := put(t, s, leads...)
		for i, id := range ids {
			w := outbound.Wait{Channel: "site", Hot: i != 2, Worth: 100 * i, At: noon.Add(time.Duration(i) * time.Minute)}
			if err := s.Asked(ctx, string(rune('a'+i)), id, w); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Answered(ctx, ids[1], outbound.Answered{By: outbound.Person, At: noon.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		got, err := s.Unanswered(ctx, noon, noon.Add(4*time.Minute), 2)
		if err != nil {
			t.Fatal(err)
		}
		want := outbound.Unanswered{Count: 3, Worth: 700, Oldest: noon, Latest: []outbound.Open{
			{Lead: "e", Channel: "site", Worth: 400, Since: noon.Add(4 * time.Minute)}, {Lead: "d", Channel: "site", Worth: 300, Since: noon.Add(3 * time.Minute)}}}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if got, err := s.Unanswered(ctx, noon.Add(time.Minute), noon.Add(3*time.Minute), 2); got.Count != 1 || err != nil {
			t.Errorf("%d within bounds, want 1; %v", got.Count, err)
		}
		if got, err := s.Unanswered(ctx, noon.Add(time.Hour), noon.Add(3*time.Hour), 2); got.Count != 0 || err != nil {
			t.Errorf("%d of a quiet hour; %v", got.Count, err)
		}
		var firsts []outbound.First
		if err := s.Firsts(ctx, noon, noon.Add(2*time.Minute), func(f outbound.First) { firsts = append(firsts, f) }); err != nil {
			t.Fatal(err)
		}
		wantFirsts := []outbound.First{{Channel: "site", Hot: true, AskedAt: noon},
			{Channel: "site", Hot: true, AskedAt: noon.Add(time.Minute), At: noon.Add(time.Hour), By: outbound.Person}}
		if diff := gocmp.Diff(wantFirsts, firsts); diff != "" {
			t.Error(diff)
		}
	})
}

// Who was answered and has written on waits from then.
func TestPersonIsWaitedForSince(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		ctx := context.Background()
		id := put(t, s, streams.Lead{Phone: "+79990000001"})[0]
		for i, lead := range []string{"a", "b"} {
			if err := s.Asked(ctx, lead, id, outbound.Wait{Hot: true, At: noon.Add(time.Duration(i) * time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Answered(ctx, id, outbound.Answered{By: outbound.Person, At: noon.Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		got, err := s.Unanswered(ctx, noon, noon.Add(2*time.Hour), 10)
		if err != nil || got.Count != 1 || !got.Oldest.Equal(noon.Add(time.Hour)) || !got.Latest[0].Since.Equal(noon.Add(time.Hour)) {
			t.Errorf("%+v %v", got, err)
		}
	})
}

// What two cards have waited for is waited for by the one that they become.
func TestWaitsOfMergedCards(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		ctx := context.Background()
		ids := put(t, s, streams.Lead{Phone: "+79990000001"}, streams.Lead{Channel: "telegram", UserID: "7"})
		for i, err := range []error{
			s.Answered(ctx, ids[0], outbound.Answered{By: outbound.Person, At: noon}),
			s.Answered(ctx, ids[1], outbound.Answered{By: outbound.Person, At: noon.Add(time.Hour)}),
			s.Asked(ctx, "a", ids[1], outbound.Wait{At: noon.Add(2 * time.Hour)}),
		} {
			if err != nil {
				t.Fatal(i, err)
			}
		}
		put(t, s, streams.Lead{Channel: "telegram", UserID: "7", Phone: "+79990000001"})
		// Both by the number of the card that is no more.
		if err := s.Asked(ctx, "late", ids[1], outbound.Wait{At: noon.Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		if err := s.Answered(ctx, ids[1], outbound.Answered{By: outbound.Person, At: noon.Add(3 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
		want := []wait{{"a", 0, 0, 2 * time.Hour, 3 * time.Hour, "person", "person", 3 * time.Hour}}
		if diff := gocmp.Diff(want, s.waits(t)); diff != "" {
			t.Error(diff)
		}
	})
}

// An answer that is not kept is not told of.
func TestFirstAnswerIsToldOfOnceKept(t *testing.T) {
	s := newSink(t, Defaults())
	told := 0
	s.OnFirst(func(outbound.First) { told++ })
	id := put(t, s, streams.Lead{Phone: "+79990000001"})[0]
	if err := s.Asked(context.Background(), "a", id, outbound.Wait{At: noon}); err != nil {
		t.Fatal(err)
	}
	err := s.write(context.Background(), func(b *batch) {
		b.answered(id, &outbound.Answered{By: outbound.Person, At: noon.Add(time.Minute)})
		b.exec("SELECT nothing FROM nowhere")
	})
	if err == nil || told != 0 {
		t.Errorf("told of %d answers that were rolled back: %v", told, err)
	}
}

func TestWaitsAreForgotten(t *testing.T) {
	s := newSink(t, Defaults())
	id := put(t, s, streams.Lead{Phone: "+79990000001"})[0]
	for i, lead := range []string{"old", "new"} {
		if err := s.Asked(context.Background(), lead, id, outbound.Wait{At: noon.Add(time.Duration(i) * 100 * 24 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if err := s.Answered(context.Background(), id, outbound.Answered{By: outbound.Person, At: noon.Add(time.Duration(i)*100*24*time.Hour + time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
	s.now = func() time.Time { return noon.Add(Least + time.Hour) }
	if err := s.Tidy(context.Background()); err != nil {
		t.Fatal(err)
	}
	if left := s.waits(t); len(left) != 1 || left[0].Lead != "new" {
		t.Errorf("left are %v", left)
	}
}
