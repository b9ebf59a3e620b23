package reminders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadstream/processors/templates"
	"leadstream/streams/outbound"
	"leadstream/streams/visits"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestPlan(t *testing.T) {
	here, berlin, moscow := zone(t, "Asia/Krasnoyarsk"), zone(t, "Europe/Berlin"), zone(t, "Europe/Moscow")
	at := func(z *time.Location, month time.Month, d, h, m int) time.Time {
		return time.Date(2026, month, d, h, m, 0, 0, z)
	}
	long := Quiet{18 * 60, 12 * 60}
	tests := map[string]struct {
		zone, home  *time.Location
		quiet       Quiet
		start, made time.Time
		want        string // template at … until
	}{
		"both":                          {here, nil, UsualQuiet, at(here, 11, 27, 14, 0), at(here, 11, 20, 12, 0), "day 26 14:00 until 27 00:00, hour 27 13:00 until 27 14:00"},
		"booked less than a day before": {here, nil, UsualQuiet, at(here, 11, 27, 14, 0), at(here, 11, 26, 14, 1), "hour 27 13:00 until 27 14:00"},
		"booked an hour before":         {here, nil, UsualQuiet, at(here, 11, 27, 14, 0), at(here, 11, 27, 12, 45), ""},
		"early: the hour goes the evening before": {here, nil, UsualQuiet, at(here, 11, 27, 9, 30), at(here, 11, 20, 12, 0),
			"day 26 09:30 until 26 14:00, hour 26 20:00 until 27 09:30"},
		"earlier still: both go before their nights": {here, nil, UsualQuiet, at(here, 11, 27, 8, 0), at(here, 11, 20, 12, 0),
			"day 25 20:00 until 26 14:00, hour 26 20:00 until 27 08:00"},
		"booked in the evening, after it would have gone": {here, nil, UsualQuiet, at(here, 11, 27, 9, 30), at(here, 11, 26, 20, 30), "hour 27 09:00 until 27 09:30"},
		"no time for it in the morning":                   {here, nil, UsualQuiet, at(here, 11, 27, 9, 5), at(here, 11, 26, 20, 30), ""},
		"both would come together":                        {here, nil, long, at(here, 11, 27, 12, 30), at(here, 11, 20, 12, 0), "day 26 12:30 until 27 12:30"},
		"the customer's night":                            {here, moscow, UsualQuiet, at(here, 11, 27, 13, 30), at(here, 11, 20, 12, 0), "day 26 13:30 until 26 18:00, hour 27 00:00 until 27 13:30"},
		"no quiet hours":                                  {here, nil, Quiet{}, at(here, 11, 27, 8, 0), at(here, 11, 20, 12, 0), "day 26 08:00 until 27 00:00, hour 27 07:00 until 27 08:00"},
		// Clocks go back on 25 October: the day is 25 hours long, and "the day before" is still the same time of day.
		"clocks back":    {berlin, nil, UsualQuiet, at(berlin, 10, 25, 14, 0), at(berlin, 10, 1, 12, 0), "day 24 14:00 until 25 00:00, hour 25 13:00 until 25 14:00"},
		"clocks forward": {berlin, nil, UsualQuiet, at(berlin, 3, 29, 9, 30), at(berlin, 3, 1, 12, 0), "day 28 09:30 until 28 14:00, hour 28 20:00 until 29 09:30"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, d := range (Planner{tc.quiet, tc.zone}).Plan(visits.Booking{Status: visits.Booked, Start: tc.start, ChangedAt: tc.made}, tc.home) {
				got = append(got, fmt.Sprintf("%s %s until %s", strings.TrimPrefix(d.Template, "reminder_"), d.At.In(tc.zone).Format("02 15:04"), d.Deadline.In(tc.zone).Format("02 15:04")))
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, ", ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whenever a visit is and whenever it was booked: no reminder in the night, none after its visit, none before its booking,
// not two together; and who has booked two days before is reminded.
func TestPlanAlways(t *testing.T) {
	z := zone(t, "Europe/Berlin")
	p := Planner{UsualQuiet, z}
	for start := time.Date(2026, 10, 23, 0, 0, 0, 0, z); start.Day() < 28; start = start.Add(15 * time.Minute) {
		for ago := 15 * time.Minute; ago < 75*time.Hour; ago += 45 * time.Minute {
			made := start.Add(-ago)
			all := p.Plan(visits.Booking{Status: visits.Booked, Start: start, ChangedAt: made}, nil)
			for i, d := range all {
				_, _, quiet := p.Quiet.around(d.At, z)
				if quiet || d.At.Before(made) || !d.At.Before(start) || !d.At.Before(d.Deadline) || d.Deadline.After(start) || i > 0 && d.At.Sub(all[i-1].At) < together {
					t.Fatalf("visit %s, booked %s before: %v", start, ago, all)
				}
			}
			if ago > 48*time.Hour && len(all) == 0 {
				t.Fatalf("visit %s, booked %s before: nothing is said", start, ago)
			}
		}
	}
}

// memory stands for the records; what keeps messages apart is their id there too.
type memory struct {
	bookings []visits.Booking
	messages map[string]outbound.Message
	language string
	err      error
}

func (m *memory) Visits(_ context.Context, from, until time.Time) (all []visits.Booking, err error) {
	for _, b := range m.bookings {
		if !b.Start.Before(from) && b.Start.Before(until) {
			all = append(all, b)
		}
	}
	return all, m.err
}

func (m *memory) Language(context.Context, int64) (string, error) { return m.language, nil }

func (m *memory) AddMessages(_ context.Context, all []outbound.Message) error {
	for _, x := range all {
		if _, there := m.messages[x.ID]; !there {
			m.messages[x.ID] = x
		}
	}
	return m.err
}

// causes are what was said, in their order, as "booking version what".
func (m *memory) causes() (all []string) {
	for _, x := range m.messages {
		all = append(all, x.Cause)
	}
	slices.Sort(all)
	return all
}

func TestRounds(t *testing.T) {
	z := zone(t, "Asia/Krasnoyarsk")
	noon := func(d, h, m int) time.Time { return time.Date(2026, 11, d, h, m, 0, 0, z) }
	now := noon(20, 12, 0)
	kept := &memory{messages: map[string]outbound.Message{}}
	fresh := func() *Reminders {
		return &Reminders{Planner: Planner{UsualQuiet, z}, Store: kept, Language: "ru", Services: map[string]string{"cut": "стрижка"}, Log: zerolog.Nop(), Now: func() time.Time { return now }}
	}
	r := fresh()
	round := func(at time.Time, want ...string) {
		t.Helper()
		now = at
		if err := r.Round(context.Background()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(kept.causes(), "\n")); diff != "" {
			t.Error(diff)
		}
	}
	one := visits.Booking{ID: "a", Customer: 7, Version: 1, Status: visits.Booked, Service: "cut", Master: "Анна", Start: noon(27, 14, 0), End: noon(27, 15, 0), Lead: "l1", ChangedAt: noon(20, 12, 0)}
	kept.bookings = []visits.Booking{one}
	round(noon(26, 13, 59))
	round(noon(26, 14, 0), "booking:a:1:day")
	m := kept.messages[outbound.ID("booking:a:1:day", Day)]
	var v templates.Values
	if err := json.Unmarshal(m.Values, &v); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(templates.Values{Service: "стрижка", Time: "завтра в 14:00", On: "завтра, 14:00", Master: "Анна"}, v); diff != "" || m.Purpose != outbound.Reminder || m.Booking != "a" || m.Version != 1 || m.Language != "ru" ||
		m.State != outbound.Waiting || m.Customer != 7 || m.Template != Day {
		t.Errorf("%+v %s", m, diff)
	}
	// A restart, and a clock that goes back and forth, say nothing twice.
	r = fresh()
	round(noon(26, 15, 0), "booking:a:1:day")
	round(noon(21, 15, 0), "booking:a:1:day")
	round(noon(26, 15, 0), "booking:a:1:day")
	// Moved in a conversation: that tells of it. The day is past for the new version; its hour is not.
	one.Version, one.Start, one.Lead, one.ChangedAt = 2, noon(27, 16, 0), "l2", noon(26, 17, 0)
	kept.bookings[0] = one
	round(noon(27, 13, 0), "booking:a:1:day")
	round(noon(27, 15, 5), "booking:a:1:day", "booking:a:2:hour")
	// Cancelled at the last moment: nothing more of it.
	two := visits.Booking{ID: "b", Version: 1, Status: visits.Booked, Start: noon(28, 9, 30), Lead: "l3", ChangedAt: noon(20, 12, 0)}
	kept.bookings = []visits.Booking{two}
	round(noon(27, 15, 6), "booking:a:1:day", "booking:a:2:hour") // the day before is late, the hour not yet due
	two.Version, two.Status, two.Lead, two.ChangedAt = 2, visits.Cancelled, "l4", noon(27, 19, 59)
	kept.bookings[0] = two
	round(noon(27, 20, 0), "booking:a:1:day", "booking:a:2:hour")
}

// What was changed by a person, or in the calendar itself, is told; what the conversation has told is not.
func TestNotices(t *testing.T) {
	z := zone(t, "Asia/Krasnoyarsk")
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, z)
	change := func(version int64, status, lead string, ago time.Duration) visits.Booking {
		return visits.Booking{ID: "a", Version: version, Status: status, Lead: lead, ChangedAt: now.Add(-ago), Start: now.Add(100 * time.Hour)}
	}
	for name, tc := range map[string]struct {
		b    visits.Booking
		want string
	}{
		"by hand":           {change(1, visits.Booked, "", time.Minute), Confirmed},
		"moved":             {change(3, visits.Booked, "", time.Minute), Moved},
		"cancelled":         {change(2, visits.Cancelled, "", time.Minute), Cancelled},
		"came":              {change(2, visits.Came, "", time.Minute), ""},
		"in a conversation": {change(2, visits.Cancelled, "l1", time.Minute), ""},
		"long ago":          {change(1, visits.Booked, "", 25*time.Hour), ""},
	} {
		kept := &memory{messages: map[string]outbound.Message{}, bookings: []visits.Booking{tc.b}, language: "en"}
		r := &Reminders{Planner: Planner{UsualQuiet, z}, Store: kept, Language: "ru", Log: zerolog.Nop(), Now: func() time.Time { return now }}
		if err := r.Round(context.Background()); err != nil {
			t.Fatal(err)
		}
		var got outbound.Message
		for _, got = range kept.messages {
		}
		if got.Template != tc.want || tc.want != "" && (got.Purpose != outbound.Notice || got.Language != "en" || !strings.Contains(string(got.Values), "on Tuesday, 24 November, at 16:00")) {
			t.Errorf("%s: %+v %s", name, got, got.Values)
		}
	}
}

// The calendar is asked what has changed before anything is said, and its silence does not keep a reminder back.
func TestSyncBefore(t *testing.T) {
	z := zone(t, "Asia/Krasnoyarsk")
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, z)
	b := visits.Booking{ID: "a", Version: 1, Status: visits.Booked, Lead: "l1", Start: now.Add(30 * time.Minute), ChangedAt: now.Add(-5 * time.Hour)}
	kept := &memory{messages: map[string]outbound.Message{}, bookings: []visits.Booking{b}}
	r := &Reminders{Planner: Planner{UsualQuiet, z}, Store: kept, Language: "ru", Log: zerolog.Nop(), Now: func() time.Time { return now }}
	r.Sync = func(context.Context) error { kept.bookings = nil; return nil }
	if err := r.Round(context.Background()); err != nil || len(kept.messages) != 0 {
		t.Errorf("%v %v", err, kept.causes())
	}
	kept.bookings = []visits.Booking{b}
	r.Sync = func(context.Context) error { return errors.New("no answer") }
	if err := r.Round(context.Background()); err != nil || len(kept.messages) != 1 {
		t.Errorf("%v %v", err, kept.causes())
	}
	kept.err = errors.New("no records")
	if err := r.Round(context.Background()); err == nil {
		t.Error("records that do not answer are no fault")
	}
}
