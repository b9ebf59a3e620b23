package poll

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// teller is a service of which a test says what it tells.
type teller struct {
	service
	list func(since time.Time, place string) (page, error)
	tell func(talk string) error
}

func (s *teller) talks(_ context.Context, since time.Time, place string) (page, error) {
	return s.list(since, place)
}

func (s *teller) said(_ context.Context, talk string, _ time.Time, _ func([][]byte) error) error {
	return s.tell(talk)
}

func lineOf(t *testing.T, s service) *line {
	t.Helper()
	m, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return &line{name: "test", service: s, meter: m.of("test"), log: zerolog.Nop(), hurry: 1, owes: make(chan struct{}, 1), notes: &notes{file: filepath.Join(t.TempDir(), "test.json")}}
}

// A conversation in which somebody writes while the list is read jumps from a place before us to one behind us: it is read
// all the same, and each is read once.
func TestListsThatMove(t *testing.T) {
	order := []string{"a", "b", "c", "d", "e", "f"}
	var read []string
	s := &teller{list: func(_ time.Time, place string) (page, error) {
		at := 0
		fmt.Sscan(place, &at)
		p := page{talks: slices.Clone(order[at : at+2])}
		if at+2 < len(order) {
			p.next = fmt.Sprint(at + 2)
		}
		if at == 2 { // the last two are written in
			order = []string{"f", "e", "a", "b", "c", "d"}
		}
		return p, nil
	}, tell: func(talk string) error { read = append(read, talk); return nil }}
	w := &paying{line: lineOf(t, s), service: s, owed: &debt{}, done: map[string]bool{}, failed: map[string]bool{}}
	if err := w.all(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(read)
	if got := fmt.Sprint(read); got != "[a b c d e f]" {
		t.Errorf("read %s", got)
	}
}

// Conversations that fail in a row end a round, and are not in the way of the next.
func TestFailuresInARow(t *testing.T) {
	var tried []string
	s := &teller{list: func(time.Time, string) (page, error) {
		return page{talks: []string{"a", "b", "c", "d", "e", "f"}}, nil
	}, tell: func(talk string) error {
		if tried = append(tried, talk); talk == "f" {
			return nil
		}
		return errors.New("no")
	}}
	w := &paying{line: lineOf(t, s), service: s, owed: &debt{}, done: map[string]bool{}, failed: map[string]bool{}}
	if err := w.all(t.Context()); err == nil || len(tried) != mostInARow {
		t.Errorf("%v after %v", err, tried)
	}
	if err := w.all(t.Context()); err != nil || len(tried) != 6 || !w.done["f"] || len(w.failed) != 5 {
		t.Errorf("%v after %v, failed %v", err, tried, w.failed)
	}
}

func TestOwed(t *testing.T) {
	now := time.Now().Round(0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, tt := range map[string]struct {
		before note
		since  time.Time
		from   time.Duration // how long ago what is owed begins; 0: nothing is
		lost   string
	}{
		"nothing before":    {note{}, ago(time.Hour), time.Hour + overlap, ""},
		"never":             {note{}, time.Time{}, 0, ""},
		"the clock was set": {note{}, now.Add(time.Hour), overlap, ""},
		"too long ago":      {note{}, ago(72 * time.Hour), farthest, lostTooLong},
		"more was owed":     {note{Owed: &debt{Since: ago(5 * time.Hour)}}, ago(time.Hour), 5 * time.Hour, ""},
		"less was owed":     {note{Owed: &debt{Since: ago(time.Hour)}}, ago(5 * time.Hour), 5*time.Hour + overlap, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := lineOf(t, &teller{})
			n := tt.before
			l.owe(&n, tt.since)
			if (n.Owed != nil) != (tt.from > 0) {
				t.Fatalf("owed: %+v", n.Owed)
			}
			if n.Owed != nil && (now.Add(-tt.from).Sub(n.Owed.Since).Abs() > time.Minute || n.Owed.Until.IsZero()) {
				t.Errorf("owed: %+v", n.Owed)
			}
			for why, c := range l.meter.losses {
				if got := counted(t, c); (got > 0) != (why == tt.lost) {
					t.Errorf("lost %v, %s", got, why)
				}
			}
		})
	}
}

func TestWhatIsLeft(t *testing.T) {
	now := time.Now().Round(0)
	first := &debt{Since: now.Add(-3 * time.Hour), Until: now.Add(-2 * time.Hour)}
	n := note{Owed: first}
	n.settle(first, map[string]bool{"a": true, "b": true})
	second := &debt{Since: now.Add(-time.Hour), Until: now}
	n.Owed = second
	n.settle(first, nil) // a newer one stays
	if n.Owed != second {
		t.Error("what is owed anew is gone")
	}
	n.settle(second, map[string]bool{"b": true, "c": true})
	if n.Owed != nil || fmt.Sprint(n.Left.Talks) != "[a b c]" || n.Left.Since != first.Since || n.Left.Until != first.Until {
		t.Errorf("%+v", n.Left)
	}
	n.settleLeft(map[string]bool{"b": true})
	if fmt.Sprint(n.Left.Talks) != "[a c]" {
		t.Errorf("%+v", n.Left)
	}
	if n.settleLeft(map[string]bool{"a": true, "c": true}); n.Left != nil {
		t.Errorf("%+v", n.Left)
	}
	l := lineOf(t, &teller{})
	old := &debt{Since: now.Add(-50 * time.Hour), Until: now.Add(-41 * time.Hour), Talks: []string{"a"}}
	if l.clipped(old) != nil || counted(t, l.meter.losses[lostTooLong]) != 1 {
		t.Error("what is too old is tried for ever, or goes without a word")
	}
}

func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

func TestKnownConversations(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "max.talks")
	old := fmt.Sprintf("7 %d\n8 1\nbroken\n\xff 5\n9 %d\n9 %[2]d\n9 %[2]d\n9 %[2]d\n", time.Now().Unix()-3600, time.Now().Unix()-7200)
	if err := os.WriteFile(file, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		k, err := openKnown(dir, "max")
		if err != nil {
			t.Fatal(err)
		}
		for _, talk := range []string{"10", "7", "", "a b", "a\nb"} {
			if err := k.add(talk); err != nil {
				t.Fatal(err)
			}
		}
		if got := fmt.Sprint(k.all()); got != "[10 7 9]" {
			t.Errorf("known: %s", got)
		}
	}
	k, err := openKnown(dir, "vk")
	if err != nil || len(k.all()) > 0 {
		t.Errorf("another's: %v %v", k.all(), err)
	}
}
