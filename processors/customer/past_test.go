package customer

import (
	"testing"
	"time"
)

// past is a customer's, of marks so many hours ago.
func past(now time.Time, marks map[int][]string) *Past {
	var log string
	for hours, kinds := range marks {
		m := Mark{ID: time.Duration(hours).String(), At: now.Add(-time.Duration(hours) * time.Hour), Kinds: map[string]int{}}
		for _, k := range kinds {
			m.Kinds[k]++
		}
		log += m.line()
	}
	return readPast(log, now)
}

func TestCounts(t *testing.T) {
	now := time.Date(2026, 3, 29, 3, 0, 0, 0, time.UTC)
	p := past(now, map[int][]string{
		0:       {Enquiry, "hot:discount", "hot:discount"},
		24:      {"read"},
		7 * 24:  {Enquiry, "hot:discount"}, // exactly a week ago: not within it
		8 * 24:  {"click"},
		40 * 24: {"order"},
	})
	for name, c := range map[string]struct{ got, want any }{
		"words within a week":        {p.Count("hot:discount", 7*day), 2},
		"words within eight days":    {p.Count("hot:discount", 8*day), 3},
		"events":                     {p.Count("read", 25*time.Hour), 1},
		"interactions in 30 days":    {p.Interactions(30 * day), 3},
		"a look at the next change":  {p.Next([]time.Duration{7 * day, 60 * day}), now.Add(6 * day)},
		"no change to look for":      {p.Next(nil).IsZero(), true},
		"silent":                     {p.Silent(), time.Duration(0)},
		"unread, but written since":  {p.Without("read", "lead", time.Hour), false},
		"clicked and not ordered":    {p.Without("click", "order", 3*day), true},
		"clicked, not long ago":      {p.Without("click", "order", 9*day), false},
		"ordered and never clicked":  {p.Without("order", "click", day), false},
		"several kinds are answers":  {p.Without("click", "order|lead", day), false},
		"nothing of that kind":       {p.Without("sent", "read", 0), false},
		"sentiment of nobody's word": {p.LastSentiment(0.5), 0.5},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}

func TestInARow(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		marks map[int][]string
		want  int
	}{
		"none":                {nil, 0},
		"twice":               {map[int][]string{1: {Enquiry, "hot:expensive"}, 2: {Enquiry, "hot:expensive"}, 3: {Enquiry}, 4: {Enquiry, "hot:expensive"}}, 2},
		"not the last":        {map[int][]string{1: {Enquiry}, 2: {Enquiry, "hot:expensive"}}, 0},
		"events do not break": {map[int][]string{1: {"read"}, 2: {Enquiry, "hot:expensive"}, 3: {"sent"}, 4: {"reply", "hot:expensive"}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := past(now, c.marks).InARow("expensive"); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestSilent(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	for name, c := range map[string]struct {
		marks map[int][]string
		want  int // hours
	}{
		"nobody":                  {nil, 0},
		"since the last word":     {map[int][]string{100: {Enquiry}, 50: {"reply"}, 2: {"sent"}}, 50},
		"has never done anything": {map[int][]string{70: {"sent"}, 2: {"sent"}}, 70},
	} {
		t.Run(name, func(t *testing.T) {
			if got := past(now, c.marks).Silent(); got != time.Duration(c.want)*time.Hour {
				t.Errorf("got %s, want %d hours", got, c.want)
			}
		})
	}
}

// What a hand or another version has left in Redis costs its mark and nothing else.
func FuzzReadPast(f *testing.F) {
	f.Add("a 1 2 3 lead\n")
	f.Add("a zzzzzzzzzzzzzzz -1 9 ,=,x=y\nb 1 2 3 lead=2,hot:x")
	f.Fuzz(func(t *testing.T, log string) {
		p := readPast(log, time.Now())
		for _, m := range p.Marks {
			if back, ok := readMark(m.line()[:len(m.line())-1]); !ok || back.ID != m.ID {
				t.Errorf("%q becomes %q", m.line(), back.ID)
			}
		}
		p.InARow("x")
		p.Without("a", "b|c", time.Hour)
		p.Next([]time.Duration{time.Hour})
	})
}
