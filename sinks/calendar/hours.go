package calendar

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// span is a time between two moments.
type span struct{ from, to time.Time }

func (s span) meets(o span) bool { return s.from.Before(o.to) && o.from.Before(s.to) }

// day is when one works on a day: minutes from midnight on, at most to noon of the next day, in order.
type day [][2]int

// week is when one works on each day, from Sunday as package time counts.
type week [7]day

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// parseDay reads "10:00-14:00, 15:00-20:00"; a time that ends before it begins ends on the next day. Empty and "off" are a
// day on which nobody works.
func parseDay(text string) (day, error) {
	if text = strings.TrimSpace(text); text == "" || text == "off" {
		return nil, nil
	}
	var d day
	for part := range strings.SplitSeq(text, ",") {
		from, to, ok := strings.Cut(part, "-")
		a, err1 := parseClock(from)
		b, err2 := parseClock(to)
		if !ok || err1 != nil || err2 != nil {
			return nil, fmt.Errorf("%q is no time of work", strings.TrimSpace(part))
		}
		if b <= a {
			b += 24 * 60
		}
		if a >= 24*60 || b > 36*60 {
			return nil, fmt.Errorf("%q is no time of work", strings.TrimSpace(part))
		}
		d = append(d, [2]int{a, b})
	}
	slices.SortFunc(d, func(x, y [2]int) int { return cmp.Compare(x[0], y[0]) })
	joined := d[:1]
	for _, next := range d[1:] {
		if last := &joined[len(joined)-1]; next[0] <= last[1] {
			last[1] = max(last[1], next[1])
		} else {
			joined = append(joined, next)
		}
	}
	return joined, nil
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

// parseWeek reads the hours of days and of ranges of days: "mon-fri", "sat".
func parseWeek(hours map[string]string) (w week, err error) {
	named := map[int]string{}
	for key, text := range hours {
		first, last, isRange := strings.Cut(key, "-")
		if !isRange {
			last = first
		}
		from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
		if from < 0 || to < 0 {
			return w, fmt.Errorf("%q is no day", key)
		}
		d, err := parseDay(text)
		if err != nil {
			return w, err
		}
		for i := from; ; i = (i + 1) % 7 {
			if other, twice := named[i]; twice {
				return w, fmt.Errorf("%s stands in %q and in %q", weekdays[i], min(key, other), max(key, other))
			}
			named[i], w[i] = key, d
			if i == to {
				break
			}
		}
	}
	return w, nil
}

// exceptions are days that differ from their week, by their date as time.DateOnly writes it.
type exceptions map[string]day

func parseExceptions(all []Exception) (exceptions, error) {
	e := exceptions{}
	for _, x := range all {
		from, err := time.Parse(time.DateOnly, x.Day)
		until := from
		if err == nil && x.Until != "" {
			until, err = time.Parse(time.DateOnly, x.Until)
		}
		if err != nil || until.Before(from) || until.Sub(from) > 366*24*time.Hour {
			return nil, fmt.Errorf("%q to %q is no time of days", x.Day, x.Until)
		}
		d, err := parseDay(x.Hours)
		if err != nil {
			return nil, err
		}
		for at := from; !at.After(until); at = at.AddDate(0, 0, 1) {
			e[at.Format(time.DateOnly)] = d
		}
	}
	return e, nil
}

// on are the hours of the day on which noon lies.
func (m *master) on(noon time.Time) day {
	date := noon.Format(time.DateOnly)
	for _, e := range m.exceptions { // the master's own, then the business's
		if d, ok := e[date]; ok {
			return d
		}
	}
	return m.week[noon.Weekday()]
}

// open is when a master works between two moments, whatever the clocks do there.
func (m *master) open(from, to time.Time, zone *time.Location) (all []span) {
	y, mo, d := from.In(zone).Date()
	for n := d - 1; ; n++ { // yesterday's night may reach into today
		noon := time.Date(y, mo, n, 12, 0, 0, 0, zone)
		if time.Date(y, mo, n, 0, 0, 0, 0, zone).After(to) {
			return all
		}
		ny, nm, nd := noon.Date()
		for _, part := range m.on(noon) {
			s := span{time.Date(ny, nm, nd, 0, part[0], 0, 0, zone), time.Date(ny, nm, nd, 0, part[1], 0, 0, zone)}
			if last := len(all) - 1; last >= 0 && !all[last].to.Before(s.from) { // round the clock
				all[last].to = s.to
			} else {
				all = append(all, s)
			}
		}
	}
}
