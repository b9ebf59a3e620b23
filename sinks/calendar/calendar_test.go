package calendar

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadstream/sinks"
	"leadstream/sinks/records"
	"leadstream/sinks/records/recordstest"
	"leadstream/streams"
	"leadstream/streams/visits"
)

var postgres *recordstest.Postgres

func TestMain(m *testing.M) {
	var err error
	if postgres, err = recordstest.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if server, err = startRadicale(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	server.stop()
	if err := postgres.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// store opens records, and anna is the number of a customer there.
func store(t testing.TB, url string) (s *records.Store, anna int64) {
	t.Helper()
	set := records.Defaults()
	set.URL = url
	opened, err := records.Kind.Open(&set, sinks.Env{Name: "history", DataDir: t.TempDir(), Region: "RU", Zone: time.UTC, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	s = opened.(*records.Sink).Store
	t.Cleanup(func() { s.Close() })
	ids, err := s.Write(context.Background(), time.UTC, []*streams.Lead{{ID: "l1", Source: "site", Phone: "+79990000001", ReceivedAt: time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	return s, ids[0]
}

// monday is one in winter, 10 in the morning.
func monday(z *time.Location) time.Time { return time.Date(2026, 11, 23, 10, 0, 0, 0, z) }

func salon() Settings {
	s := Defaults()
	s.Kind = Builtin
	s.Hours = map[string]string{"mon-fri": "10:00-13:00, 14:00-20:00", "sat": "10:00-16:00"}
	s.Services = map[string]time.Duration{"cut": time.Hour, "color": 150 * time.Minute}
	return s
}

func with(s Settings, change func(*Settings)) Settings { change(&s); return s }

func planned(t testing.TB, s Settings, z *time.Location, now time.Time) *plan {
	t.Helper()
	p, err := newPlan(s, z)
	if err != nil {
		t.Fatal(err)
	}
	p.now = func() time.Time { return now }
	return p
}

func starts(all []visits.Slot, z *time.Location) (texts []string) {
	for _, s := range all {
		texts = append(texts, strings.TrimSpace(s.Start.In(z).Format("02 15:04")+" "+s.Master))
	}
	return texts
}

func TestFree(t *testing.T) {
	krasnoyarsk, berlin := zone(t, "Asia/Krasnoyarsk"), zone(t, "Europe/Berlin")
	clock := func(z *time.Location, month time.Month, d, h, m int) time.Time {
		return time.Date(2026, month, d, h, m, 0, 0, z)
	}
	usual := salon()
	two := with(usual, func(s *Settings) {
		s.Masters = []Master{{Name: "Анна", Services: []string{"cut"}, Branch: "a"}, {Name: "Ольга", Branch: "b", Hours: map[string]string{"mon": "12:00-14:00"}}}
	})
	tests := map[string]struct {
		set  Settings
		zone *time.Location
		now  time.Time
		wish visits.Wish
		busy map[string][]span
		want string
	}{
		"notice, grid and break": {usual, krasnoyarsk, clock(krasnoyarsk, 11, 23, 10, 10), visits.Wish{Service: "cut", To: clock(krasnoyarsk, 11, 23, 14, 30)}, nil,
			"23 11:30, 23 12:00, 23 14:00, 23 14:30"},
		"a long service does not fit before the break": {usual, krasnoyarsk, clock(krasnoyarsk, 11, 23, 9, 0), visits.Wish{Service: "color", To: clock(krasnoyarsk, 11, 23, 15, 0)}, nil,
			"23 10:00, 23 10:30, 23 14:00, 23 14:30, 23 15:00"},
		"most": {usual, krasnoyarsk, clock(krasnoyarsk, 11, 23, 9, 0), visits.Wish{Most: 2}, nil, "23 10:00, 23 10:30"},
		"what is taken, with a gap": {with(usual, func(s *Settings) { s.Gap = 15 * time.Minute }), krasnoyarsk, clock(krasnoyarsk, 11, 23, 8, 0),
			visits.Wish{To: clock(krasnoyarsk, 11, 23, 15, 0)}, map[string][]span{"": {{clock(krasnoyarsk, 11, 23, 11, 0), clock(krasnoyarsk, 11, 23, 12, 0)}}}, "23 14:00, 23 14:30, 23 15:00"},
		"Sunday is closed, and Saturday short": {usual, krasnoyarsk, clock(krasnoyarsk, 11, 28, 13, 30), visits.Wish{Most: 3}, nil, "28 14:30, 28 15:00, 30 10:00"},
		"holidays": {with(usual, func(s *Settings) {
			s.Exceptions = []Exception{{Day: "2026-11-23", Until: "2026-11-24"}, {Day: "2026-11-25", Hours: "18:00-20:00"}}
		}), krasnoyarsk, clock(krasnoyarsk, 11, 22, 8, 0), visits.Wish{Most: 4}, nil, "25 18:00, 25 18:30, 25 19:00, 26 10:00"},
		"who does it":   {two, krasnoyarsk, clock(krasnoyarsk, 11, 23, 10, 30), visits.Wish{Service: "color", Most: 2}, nil, ""},
		"any of two":    {two, krasnoyarsk, clock(krasnoyarsk, 11, 23, 10, 30), visits.Wish{Service: "cut", Most: 4}, map[string][]span{"Анна": {{clock(krasnoyarsk, 11, 23, 12, 30), clock(krasnoyarsk, 11, 23, 14, 0)}}}, "23 11:30 Анна, 23 12:00 Ольга, 23 12:30 Ольга, 23 13:00 Ольга"},
		"a certain":     {two, krasnoyarsk, clock(krasnoyarsk, 11, 23, 8, 0), visits.Wish{Master: "Ольга", Most: 1}, nil, "23 12:00 Ольга"},
		"a branch":      {two, krasnoyarsk, clock(krasnoyarsk, 11, 23, 8, 0), visits.Wish{Branch: "b", Most: 1}, nil, "23 12:00 Ольга"},
		"the horizon":   {with(usual, func(s *Settings) { s.Horizon = 3 * time.Hour }), krasnoyarsk, clock(krasnoyarsk, 11, 23, 8, 30), visits.Wish{}, nil, "23 10:00, 23 10:30, 23 11:00, 23 11:30"},
		"past midnight": {with(usual, func(s *Settings) { s.Hours = map[string]string{"fri": "22:00-02:00"} }), krasnoyarsk, clock(krasnoyarsk, 11, 28, 0, 0), visits.Wish{Most: 1}, nil, "28 01:00"},
		// Clocks go forward at 2:00 on 29 March and back at 3:00 on 25 October.
		"forward": {with(usual, func(s *Settings) { s.Hours = map[string]string{"sun": "01:00-05:00"} }), berlin, clock(berlin, 3, 28, 12, 0), visits.Wish{To: clock(berlin, 3, 30, 0, 0)}, nil,
			"29 01:00, 29 01:30, 29 03:00, 29 03:30, 29 04:00"},
		"back": {with(usual, func(s *Settings) { s.Hours = map[string]string{"sun": "01:00-04:00"} }), berlin, clock(berlin, 10, 24, 12, 0), visits.Wish{To: clock(berlin, 10, 26, 0, 0)}, nil,
			"25 01:00, 25 01:30, 25 02:00, 25 02:30, 25 02:00, 25 02:30, 25 03:00"},
		"the day after it": {usual, berlin, clock(berlin, 10, 24, 16, 0), visits.Wish{Most: 1}, nil, "26 10:00"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := planned(t, tc.set, tc.zone, tc.now).free(tc.wish, tc.busy)
			if diff := cmp.Diff(tc.want, strings.Join(starts(got, tc.zone), ", ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	tests := map[string]struct {
		change func(*Settings)
		want   []string // keys
	}{
		"good":              {func(*Settings) {}, nil},
		"no hours":          {func(s *Settings) { s.Hours = nil }, []string{"hours"}},
		"bad hours":         {func(s *Settings) { s.Hours = map[string]string{"mon": "10-20"} }, []string{"hours"}},
		"bad day":           {func(s *Settings) { s.Hours = map[string]string{"funday": "10:00-20:00"} }, []string{"hours"}},
		"a day twice":       {func(s *Settings) { s.Hours = map[string]string{"mon-wed": "10:00-20:00", "tue": "off"} }, []string{"hours"}},
		"bad exception":     {func(s *Settings) { s.Exceptions = []Exception{{Day: "31.12.2026"}} }, []string{"exceptions"}},
		"backwards":         {func(s *Settings) { s.Exceptions = []Exception{{Day: "2026-12-31", Until: "2026-12-30"}} }, []string{"exceptions"}},
		"two of one name":   {func(s *Settings) { s.Masters = []Master{{Name: "A"}, {Name: "A"}} }, []string{"masters[1].name"}},
		"master's hours":    {func(s *Settings) { s.Masters = []Master{{Name: "A", Hours: map[string]string{"mon": "25:00-26:00"}}} }, []string{"masters[0].hours"}},
		"no time":           {func(s *Settings) { s.Duration, s.Step, s.Services = 0, 0, map[string]time.Duration{"cut": 0} }, []string{"services.cut", "duration", "step"}},
		"no CalDAV address": {func(s *Settings) { s.Kind = CalDAV }, []string{"caldav.url"}},
		"a master without a calendar": {func(s *Settings) {
			s.Kind, s.CalDAV.URL, s.Masters = CalDAV, "https://dav.example.com/salon", []Master{{Name: "A"}}
		}, []string{"masters[0].calendar"}},
		"password in the address": {func(s *Settings) { s.Kind, s.CalDAV.URL = CalDAV, "https://user:hush@dav.example.com/salon" }, []string{"caldav.url"}},
		"asked all the time":      {func(s *Settings) { s.Kind, s.CalDAV.URL, s.CalDAV.Every = CalDAV, "https://dav.example.com/salon", 0 }, []string{"caldav.every"}},
		"unknown kind":            {func(s *Settings) { s.Kind = "google" }, []string{"kind"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Open(with(salon(), tc.change), Env{Zone: time.UTC})
			var got []string
			if all, ok := err.(interface{ Unwrap() []error }); ok {
				for _, one := range all.Unwrap() {
					got = append(got, one.(Fault).Key)
				}
			}
			slices.Sort(got)
			slices.Sort(tc.want)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

// open makes a built-in calendar in which it is now.
func openBuiltin(t testing.TB, s Settings, kept *records.Store, z *time.Location, now time.Time) *builtin {
	t.Helper()
	opened, err := Open(s, Env{Records: kept, Zone: z, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	c := opened.(*builtin)
	c.now = func() time.Time { return now }
	return c
}

func TestBuiltin(t *testing.T) {
	for name, url := range map[string]string{"sqlite": records.Embedded, "postgres": postgres.Database(t)} {
		t.Run(name, func(t *testing.T) {
			ctx, z := context.Background(), zone(t, "Asia/Krasnoyarsk")
			kept, anna := store(t, url)
			eleven := time.Date(2026, 11, 23, 11, 0, 0, 0, z)
			c := openBuiltin(t, salon(), kept, z, monday(z))
			book := func(id string, at time.Time) (visits.Booking, error) {
				return c.Book(ctx, visits.Booking{ID: id, Customer: anna, Service: "cut", Start: at, Lead: "l1"})
			}
			first, err := book("b1", eleven)
			if err != nil || first.Version != 1 || !first.End.Equal(eleven.Add(time.Hour)) {
				t.Fatalf("%+v %v", first, err)
			}
			for what, tc := range map[string]struct {
				at   time.Time
				want error
			}{"taken": {eleven.Add(30 * time.Minute), visits.ErrTaken}, "in the past": {eleven.Add(-3 * time.Hour), visits.ErrPast}, "in the break": {eleven.Add(2 * time.Hour), visits.ErrClosed},
				"on Sunday": {eleven.AddDate(0, 0, -1+7), visits.ErrClosed}, "until after closing": {time.Date(2026, 11, 23, 19, 30, 0, 0, z), visits.ErrClosed}} {
				if _, err := book("b2", tc.at); !errors.Is(err, tc.want) {
					t.Errorf("%s: %v", what, err)
				}
				if what == "taken" { // by itself
					continue
				}
				if _, err := c.Move(ctx, "b1", visits.Slot{Start: tc.at}, ""); !errors.Is(err, tc.want) {
					t.Errorf("moved %s: %v", what, err)
				}
			}
			if again, err := book("b1", eleven); err != nil || again != first {
				t.Errorf("the same once more: %+v %v", again, err)
			}
			three := time.Date(2026, 11, 23, 15, 0, 0, 0, z)
			moved, err := c.Move(ctx, "b1", visits.Slot{Start: three}, "l2")
			if err != nil || moved.Version != 2 || !moved.Start.Equal(three) || moved.End.Sub(moved.Start) != time.Hour {
				t.Fatalf("%+v %v", moved, err)
			}
			if _, err := book("b3", eleven); err != nil {
				t.Errorf("the old time: %v", err)
			}
			if of, err := c.Of(ctx, anna); err != nil || len(of) != 2 || of[1] != moved {
				t.Errorf("%+v %v", of, err)
			}
			if _, err := c.Cancel(ctx, "b3", "l3"); err != nil {
				t.Fatal(err)
			}
			free, err := c.Free(ctx, visits.Wish{Service: "cut", To: three})
			if got := strings.Join(starts(free, z), ", "); err != nil || got != "23 11:00, 23 11:30, 23 12:00, 23 14:00" {
				t.Errorf("%s %v", got, err)
			}
			if of, err := c.Of(ctx, anna); err != nil || len(of) != 1 {
				t.Errorf("%+v %v", of, err)
			}
			if _, err := c.Cancel(ctx, "nobody's", ""); !errors.Is(err, visits.ErrUnknown) {
				t.Error(err)
			}
			// A master who comes new finds the visits from before.
			withAnna := openBuiltin(t, with(salon(), func(s *Settings) { s.Masters = []Master{{Name: "Анна"}} }), kept, z, monday(z))
			free, err = withAnna.Free(ctx, visits.Wish{Service: "cut", From: three.Add(-30 * time.Minute), To: three.Add(time.Hour)})
			if got := strings.Join(starts(free, z), ", "); err != nil || got != "23 16:00 Анна" {
				t.Errorf("%s %v", got, err)
			}
			// A daemon that starts anew knows all of it.
			if err := kept.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := openBuiltin(t, salon(), kept, z, monday(z)).Book(ctx, visits.Booking{ID: "b4", Customer: anna, Start: three}); !errors.Is(err, visits.ErrTaken) {
				t.Errorf("after a restart: %v", err)
			}
		})
	}
}

// What is offered to many at once goes to as many as there are slots, through two daemons.
func TestRush(t *testing.T) {
	for name, url := range map[string]string{"sqlite": records.Embedded, "postgres": postgres.Database(t)} {
		t.Run(name, func(t *testing.T) {
			ctx, z := context.Background(), zone(t, "Asia/Krasnoyarsk")
			kept, anna := store(t, url)
			daemons := []*builtin{openBuiltin(t, salon(), kept, z, monday(z)), openBuiltin(t, salon(), kept, z, monday(z))}
			if url != records.Embedded {
				other, _ := store(t, url)
				daemons[1].records = other
			}
			free, err := daemons[0].Free(ctx, visits.Wish{Service: "cut", From: monday(z).AddDate(0, 0, 1), To: monday(z).AddDate(0, 0, 1)})
			if err != nil || len(free) != 1 {
				t.Fatalf("%+v %v", free, err)
			}
			var got atomic.Int32
			var all sync.WaitGroup
			for i := range 16 {
				all.Go(func() {
					_, err := daemons[i%2].Book(ctx, visits.Booking{ID: fmt.Sprint("b", i), Customer: anna, Service: "cut", Start: free[0].Start, End: free[0].End})
					switch {
					case err == nil:
						got.Add(1)
					case !errors.Is(err, visits.ErrTaken):
						t.Error(err)
					}
				})
			}
			all.Wait()
			if got.Load() != 1 {
				t.Errorf("%d customers got the one slot", got.Load())
			}
		})
	}
}
