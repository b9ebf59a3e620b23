// Package hours knows when a business works, and how much of its working time lies between two moments.
package hours

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Exception is a day, or several, that differ from their week.
type Exception struct {
	Day   string `koanf:"day"`   // 2026-12-31
	Until string `koanf:"until"` // the last of them; empty: Day alone
	Hours string `koanf:"hours"` // off, or as on a day of the week
}

// Hours are when a business works. A nil *Hours is one that always does.
type Hours struct {
	week   [7]day // from Sunday, as package time counts
	except map[string]day
	zone   *time.Location
}

// day is when one works on a day: minutes from midnight on, at most to noon of the next day, by their beginning.
type day [][2]int

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// Parse reads the hours of days and of ranges of days, {"mon-fri": "10:00-14:00, 15:00-20:00", "sat": "10:00-18:00"}, in a
// business's own zone. A time that ends before it begins ends on the next day; 00:00-24:00 is the whole day.
func Parse(week map[string]string, except []Exception, zone *time.Location) (*Hours, error) {
	h := &Hours{except: map[string]day{}, zone: zone}
	named := [7]string{}
	for key, text := range week {
		d, err := parseDay(text)
		if err != nil {
			return nil, err
		}
		first, last, isRange := strings.Cut(key, "-")
		if !isRange {
			last = first
		}
		from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
		if from < 0 || to < 0 {
			return nil, fmt.Errorf("%q is no day", key)
		}
		for i := from; ; i = (i + 1) % 7 {
			if named[i] != "" {
				return nil, fmt.Errorf("%s stands in %q and in %q", weekdays[i], min(key, named[i]), max(key, named[i]))
			}
			named[i], h.week[i] = key, d
			if i == to {
				break
			}
		}
	}
	if !slices.ContainsFunc(h.week[:], func(d day) bool { return len(d) > 0 }) {
		return nil, errors.New("nobody ever works")
	}
	for _, x := range except {
		if err := h.exception(x); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (h *Hours) exception(x Exception) error {
	from, err := time.Parse(time.DateOnly, x.Day)
	until := from
	if err == nil && x.Until != "" {
		until, err = time.Parse(time.DateOnly, x.Until)
	}
	if err != nil || until.Before(from) || until.Sub(from) > 366*24*time.Hour {
		return fmt.Errorf("%q to %q are no days", x.Day, x.Until)
	}
	d, err := parseDay(x.Hours)
	for at := from; !at.After(until); at = at.AddDate(0, 0, 1) {
		h.except[at.Format(time.DateOnly)] = d
	}
	return err
}

// parseDay reads "10:00-14:00, 15:00-20:00". Empty and "off" are a day on which nobody works.
func parseDay(text string) (d day, err error) {
	if text = strings.TrimSpace(text); text == "" || text == "off" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		from, to, ok := strings.Cut(part, "-")
		a, err1 := parseClock(from)
		b, err2 := parseClock(to)
		if b <= a {
			b += 24 * 60
		}
		if !ok || err1 != nil || err2 != nil || a >= 24*60 || b > 36*60 {
			return nil, fmt.Errorf("%q are no hours", strings.TrimSpace(part))
		}
		d = append(d, [2]int{a, b})
	}
	slices.SortFunc(d, func(x, y [2]int) int { return cmp.Compare(x[0], y[0]) })
	return d, nil
}

func parseClock(text string) (minutes int, err error) {
	h, m, ok := strings.Cut(strings.TrimSpace(text), ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	if !ok || err1 != nil || err2 != nil || len(m) != 2 || hour < 0 || hour > 24 || minute < 0 || minute > 59 || hour == 24 && minute > 0 {
		return 0, fmt.Errorf("%q is no time of day", text)
	}
	return hour*60 + minute, nil
}

// Open says whether the business works at t.
func (h *Hours) Open(t time.Time) bool { return h.Between(t, t.Add(1)) > 0 }

// Between is how long the business works from a until b; 0 when b is not after a. A day on which the clocks change is as long
// as it is.
func (h *Hours) Between(a, b time.Time) (sum time.Duration) {
	if !b.After(a) {
		return 0
	}
	if h == nil {
		return b.Sub(a)
	}
	done := a // what is before it is counted
	y, m, d := a.In(h.zone).Date()
	for n := d - 1; ; n++ { // yesterday's night may reach into today
		noon := time.Date(y, m, n, 12, 0, 0, 0, h.zone)
		ny, nm, nd := noon.Date()
		if time.Date(ny, nm, nd, 0, 0, 0, 0, h.zone).After(b) {
			return sum
		}
		for _, part := range h.on(noon) {
			from, to := time.Date(ny, nm, nd, 0, part[0], 0, 0, h.zone), time.Date(ny, nm, nd, 0, part[1], 0, 0, h.zone)
			from, to = later(from, done), earlier(to, b)
			if to.After(from) {
				sum += to.Sub(from)
				done = to
			}
		}
	}
}

// on are the hours of the day on which noon lies.
func (h *Hours) on(noon time.Time) day {
	if d, ok := h.except[noon.Format(time.DateOnly)]; ok {
		return d
	}
	return h.week[noon.Weekday()]
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
