package unanswered

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"leadstream/processors"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// kept is a store of a few waits.
type kept struct {
	open   []outbound.Open
	firsts []outbound.First
}

func (k kept) Unanswered(_ context.Context, from, until time.Time, limit int) (u outbound.Unanswered, _ error) {
	for _, o := range k.open { // the latest first
		if !o.Since.Before(from) && !o.Since.After(until) {
			u.Count++
			u.Worth += o.Worth
			u.Oldest = o.Since
			if len(u.Latest) < limit {
				u.Latest = append(u.Latest, o)
			}
		}
	}
	return u, nil
}

func (k kept) Firsts(_ context.Context, from, until time.Time, each func(outbound.First)) error {
	for _, f := range k.firsts {
		if !f.AskedAt.Before(from) && f.AskedAt.Before(until) {
			each(f)
		}
	}
	return nil
}

var evening = time.Date(2026, 3, 2, 20, 58, 0, 0, time.UTC)

func watch(t *testing.T, k kept) *Watch {
	t.Helper()
	clock, err := Defaults().Clock(time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return &Watch{Store: k, Clock: clock, After: 5 * time.Minute}
}

func TestLate(t *testing.T) {
	w := watch(t, kept{open: []outbound.Open{{Lead: "night", Worth: 1, Since: evening.Add(6 * time.Hour)}, {Lead: "evening", Worth: 2000, Since: evening}}})
	for name, c := range map[string]struct {
		at   time.Time
		want Late
	}{
		"the night does not count":       {evening.Add(11 * time.Hour), Late{}},
		"five minutes are not too long":  {evening.Add(12*time.Hour + 5*time.Minute), Late{}},
		"a second more is":               {evening.Add(12*time.Hour + 5*time.Minute + time.Second), Late{1, 2000, 5*time.Minute + time.Second, []Wait{{w.Store.(kept).open[1], 5*time.Minute + time.Second}}}},
		"and who wrote at night, later":  {evening.Add(12*time.Hour + 8*time.Minute), Late{2, 2001, 8 * time.Minute, []Wait{{w.Store.(kept).open[0], 6 * time.Minute}, {w.Store.(kept).open[1], 8 * time.Minute}}}},
		"after a week nobody wants them": {evening.Add(8 * 24 * time.Hour), Late{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := w.Late(context.Background(), c.at)
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Error(diff, err)
			}
		})
	}
	w.After = 0
	if got, err := w.Late(context.Background(), evening.Add(13*time.Hour)); got.Count != 0 || err != nil {
		t.Errorf("switched off, it gives %d, %v", got.Count, err)
	}
}

func TestTimes(t *testing.T) {
	var k kept
	add := func(channel, by string, at time.Time, took time.Duration) {
		f := outbound.First{Channel: channel, AskedAt: at, By: by}
		if by != "" {
			f.At = at.Add(took)
		}
		k.firsts = append(k.firsts, f)
	}
	day := evening.Add(-8 * time.Hour)
	for i := range 100 {
		add("telegram", outbound.Program, day, time.Duration(i+1)*time.Second/2)
	}
	add("site", outbound.Person, evening, 12*time.Hour+3*time.Minute)            // 3 minutes of it in working time
	add("site", outbound.Program, evening.Add(3*time.Hour), 40*time.Second)      // programs work at night
	add("made up 17", outbound.Person, evening.Add(4*time.Hour), 10*time.Minute) // at night: nobody had to
	add("site", "", evening, 0)
	add("site", outbound.Program, evening.Add(24*time.Hour), time.Second) // of another day
	got, err := watch(t, k).Times(context.Background(), day, day.Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]*Times{
		"":         {Enquiries: 104, Answered: 103, P50: 25.5, P99: 50, In3s: 7. / 103, In30s: 61. / 103},
		"telegram": {Enquiries: 100, Answered: 100, P50: 25, P99: 49.5, In3s: .06, In30s: .6},
		"site":     {Enquiries: 3, Answered: 2, P50: 40, P99: 180},
		"other":    {Enquiries: 1, Answered: 1, In3s: 1, In30s: 1},
	}
	if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".took" }, cmp.Ignore())); diff != "" {
		t.Error(diff)
	}
}

func TestAnsweredIsCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	w := watch(t, kept{})
	var err error
	if w.Counts, err = NewCounts(reg); err != nil {
		t.Fatal(err)
	}
	w.Answered(outbound.First{Channel: "anything", By: outbound.Person, AskedAt: evening, At: evening.Add(12 * time.Hour)})
	families, err := reg.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	m := families[0].GetMetric()[0]
	if m.GetLabel()[1].GetValue() != "other" || m.GetHistogram().GetSampleSum() != 120 {
		t.Errorf("counted as %s", m)
	}
}

func TestWorth(t *testing.T) {
	services := []processors.Priced{{Name: "Стрижка", Price: 3000}, {Name: "прочее"}}
	for name, c := range map[string]struct {
		lead streams.Lead
		want int
	}{
		"a service":                 {streams.Lead{Service: "стрижка", Score: 70}, 2100},
		"no service":                {streams.Lead{Score: 70}, 0},
		"what the customer says":    {streams.Lead{Service: "прочее", Score: 50, Slots: &streams.Slots{Price: &streams.Price{To: 1000}}}, 500},
		"the service comes first":   {streams.Lead{Service: "Стрижка", Score: 100, Slots: &streams.Slots{Price: &streams.Price{To: 1000}}}, 3000},
		"a score out of its bounds": {streams.Lead{Service: "Стрижка", Score: 900}, 3000},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Worth(&c.lead, services); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestFault(t *testing.T) {
	for name, c := range map[string]struct {
		set  Settings
		good bool
	}{
		"as shipped": {Defaults(), true},
		"off":        {Settings{}, true},
		"negative":   {Settings{After: -1}, false},
		"no hours":   {Settings{Hours: map[string]string{"mon": "soon"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.set.Fault(); (err == nil) != c.good {
				t.Error(err)
			}
		})
	}
}
