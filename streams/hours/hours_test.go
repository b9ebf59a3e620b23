package hours

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestBetween(t *testing.T) {
	everyday := map[string]string{"mon-sun": "09:00-21:00"}
	off := []Exception{{Day: "2026-12-31", Until: "2027-01-02", Hours: "off"}, {Day: "2027-01-03", Hours: "12:00-14:00"}}
	for name, c := range map[string]struct {
		zone   string
		week   map[string]string
		except []Exception
		a, b   string
		want   time.Duration
	}{
		"within a day":          {"Europe/Moscow", everyday, nil, "2026-03-02 10:00", "2026-03-02 10:07", 7 * time.Minute},
		"over a night":          {"Europe/Moscow", everyday, nil, "2026-03-02 20:58", "2026-03-03 09:03", 5 * time.Minute},
		"in the night":          {"Europe/Moscow", everyday, nil, "2026-03-02 21:00", "2026-03-03 09:00", 0},
		"backwards":             {"Europe/Moscow", everyday, nil, "2026-03-03 10:00", "2026-03-02 10:00", 0},
		"over a lunch break":    {"Europe/Moscow", map[string]string{"mon-fri": "09:00-13:00, 14:00-18:00"}, nil, "2026-03-02 12:50", "2026-03-02 14:10", 20 * time.Minute},
		"over a weekend":        {"Europe/Moscow", map[string]string{"mon-fri": "09:00-18:00"}, nil, "2026-03-06 17:30", "2026-03-09 09:30", time.Hour},
		"a range over Sunday":   {"Europe/Moscow", map[string]string{"sat-mon": "10:00-11:00"}, nil, "2026-03-06 00:00", "2026-03-11 00:00", 3 * time.Hour},
		"past midnight":         {"Europe/Moscow", map[string]string{"fri": "20:00-02:00"}, nil, "2026-03-07 01:30", "2026-03-07 09:00", 30 * time.Minute},
		"a night into a day":    {"Europe/Moscow", map[string]string{"fri": "20:00-10:00", "sat": "09:00-21:00"}, nil, "2026-03-07 08:00", "2026-03-07 11:00", 3 * time.Hour},
		"hours that overlap":    {"Europe/Moscow", map[string]string{"mon": "09:00-20:00, 10:00-11:00, 19:00-21:00"}, nil, "2026-03-02 00:00", "2026-03-03 00:00", 12 * time.Hour},
		"days off":              {"Europe/Moscow", everyday, off, "2026-12-30 20:00", "2027-01-04 10:00", 4 * time.Hour},
		"round the clock":       {"Europe/Moscow", map[string]string{"mon-sun": "00:00-24:00"}, nil, "2026-03-02 20:00", "2026-03-04 20:00", 48 * time.Hour},
		"a day of 23 hours":     {"Europe/Berlin", map[string]string{"mon-sun": "00:00-24:00"}, nil, "2026-03-29 00:00", "2026-03-30 00:00", 23 * time.Hour},
		"a day of 25 hours":     {"Europe/Berlin", map[string]string{"mon-sun": "00:00-24:00"}, nil, "2026-10-25 00:00", "2026-10-26 00:00", 25 * time.Hour},
		"clocks change, closed": {"Europe/Berlin", everyday, nil, "2026-03-28 20:58", "2026-03-29 09:03", 5 * time.Minute},
		"an hour that is not":   {"Europe/Berlin", map[string]string{"sun": "02:10-02:50", "mon": "09:00-10:00"}, nil, "2026-03-29 05:00", "2026-03-30 09:05", 5 * time.Minute},
		"no midnight":           {"America/Sao_Paulo", everyday, nil, "2018-11-03 20:00", "2018-11-04 10:00", 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			z := zone(t, c.zone)
			h, err := Parse(c.week, c.except, z)
			if err != nil {
				t.Fatal(err)
			}
			at := func(text string) time.Time {
				at, err := time.ParseInLocation("2006-01-02 15:04", text, z)
				if err != nil {
					t.Fatal(err)
				}
				return at
			}
			if got := h.Between(at(c.a).UTC(), at(c.b).UTC()); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestBetweenIsATime holds Between to what any measure of time is: it adds up, never goes back, is never more than the
// clock shows, and counts what Open says.
func TestBetweenIsATime(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for _, name := range []string{"Europe/Moscow", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe"} {
		z := zone(t, name)
		for _, week := range []map[string]string{
			{"mon-sun": "00:00-24:00"}, {"mon-fri": "09:00-13:00, 14:00-18:00"}, {"sat-sun": "00:30-03:15, 23:00-02:45"}, {"fri": "20:00-12:00", "sat": "09:00-21:00"},
		} {
			h, err := Parse(week, []Exception{{Day: "2026-05-01", Until: "2026-05-09", Hours: "off"}, {Day: "2026-10-25", Hours: "01:30-03:30"}}, z)
			if err != nil {
				t.Fatal(err)
			}
			for range 100 {
				first := time.Date(2026, 1, 1, 0, 0, 0, 0, z).Add(time.Duration(r.Int64N(int64(366 * 24 * time.Hour))))
				var at []time.Time
				for range 3 {
					at = append(at, first.Add(time.Duration(r.Int64N(int64(21*24*time.Hour)))))
				}
				slices.SortFunc(at, time.Time.Compare)
				ab, bc, ac := h.Between(at[0], at[1]), h.Between(at[1], at[2]), h.Between(at[0], at[2])
				if ab < 0 || bc < 0 || ab+bc != ac || ac > at[2].Sub(at[0]) {
					t.Fatalf("seed %d: %v in %s: from %s, %s, %s: %s + %s is not %s", seed, week, name, at[0], at[1], at[2], ab, bc, ac)
				}
				minute := at[0].Truncate(time.Minute)
				if got := h.Between(minute, minute.Add(time.Minute)); got != time.Minute && got != 0 || h.Open(minute) != (got > 0) {
					t.Fatalf("seed %d: %v in %s: %s of the minute after %s", seed, week, name, got, minute)
				}
			}
		}
	}
}

func TestAlwaysOpen(t *testing.T) {
	var h *Hours
	now := time.Now()
	if got := h.Between(now, now.Add(time.Hour)); got != time.Hour || !h.Open(now) {
		t.Errorf("got %s", got)
	}
}

func TestParse(t *testing.T) {
	good := map[string]string{"mon": "09:00-21:00"}
	for name, c := range map[string]struct {
		week   map[string]string
		except []Exception
	}{
		"none":            {nil, nil},
		"all off":         {map[string]string{"mon-sun": "off"}, nil},
		"no day":          {map[string]string{"monday": "09:00-21:00"}, nil},
		"a day twice":     {map[string]string{"mon-wed": "09:00-21:00", "tue": "off"}, nil},
		"no range":        {map[string]string{"mon": "09:00"}, nil},
		"no time":         {map[string]string{"mon": "09:00-21:60"}, nil},
		"minutes missing": {map[string]string{"mon": "9-21"}, nil},
		"too long":        {map[string]string{"mon": "20:00-19:00"}, nil},
		"no date":         {good, []Exception{{Day: "31.12.2026"}}},
		"ends before":     {good, []Exception{{Day: "2026-12-31", Until: "2026-12-30"}}},
		"no hours":        {good, []Exception{{Day: "2026-12-31", Hours: "short"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(c.week, c.except, time.UTC); err == nil {
				t.Error("it was taken")
			}
		})
	}
}
