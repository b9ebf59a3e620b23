// Package reminders decides what a customer is told of a visit, and when: a reminder a day and an hour before (S-01), and a
// notice of what others than the customer have changed. It keeps nothing: all of it follows from the bookings as they stand,
// so that a restart, a clock that jumps or a lost queue changes nothing. It sends nothing either.
package reminders

import (
	"fmt"
	"time"

	"leadstream/streams/visits"
)

// Quiet are the hours in which nobody is written to, in minutes from midnight; both the same: there are none.
type Quiet struct{ From, Until int }

// UsualQuiet is from 21:00 to 9:00.
var UsualQuiet = Quiet{21 * 60, 9 * 60}

// ParseQuiet reads the two times of day, as "21:00"; both empty: no quiet hours.
func ParseQuiet(from, until string) (q Quiet, err error) {
	if from == "" && until == "" {
		return q, nil
	}
	for _, one := range []struct {
		text string
		to   *int
	}{{from, &q.From}, {until, &q.Until}} {
		t, err := time.Parse("15:04", one.text)
		if err != nil {
			return q, fmt.Errorf("%q is no time of day", one.text)
		}
		*one.to = t.Hour()*60 + t.Minute()
	}
	return q, nil
}

// around are the quiet hours in which a moment lies, in a zone.
func (q Quiet) around(at time.Time, zone *time.Location) (from, until time.Time, quiet bool) {
	y, m, d := at.In(zone).Date()
	clock := func(day, minutes int) time.Time { return time.Date(y, m, day, 0, minutes, 0, 0, zone) }
	for _, day := range []int{d - 1, d} {
		from, until = clock(day, q.From), clock(day, q.Until)
		if q.Until < q.From {
			until = clock(day+1, q.Until)
		}
		if !at.Before(from) && at.Before(until) {
			return from, until, true
		}
	}
	return from, until, false
}

const (
	// before quiet hours, for a message that they would hold back: there is time left for a second channel.
	before = time.Hour
	// together are two reminders of which the second would say nothing new; policy would not let it pass either (L-04).
	together = 6 * time.Hour
	// fresh is how long after a booking nobody needs to be reminded of it.
	fresh = 90 * time.Minute
	// least is how long before the visit a reminder makes sense.
	least = 10 * time.Minute
)

// The templates.
const (
	Day       = "reminder_day"
	Hour      = "reminder_hour"
	Confirmed = "confirmed"
	Moved     = "moved"
	Cancelled = "cancelled"
)

// Due is one thing that a customer is to be told, as follows from a booking's present version.
type Due struct {
	Template     string
	At, Deadline time.Time
}

// Planner knows the clocks by which reminders go.
type Planner struct {
	Quiet Quiet
	Zone  *time.Location // the business's own
}

// Plan is when a customer is reminded of a visit, in the order of time. home is the customer's zone: quiet hours are theirs.
func (p Planner) Plan(b visits.Booking, home *time.Location) (all []Due) {
	if b.Status != visits.Booked {
		return nil
	}
	if home == nil {
		home = p.Zone
	}
	dayBefore, hourBefore := b.Start.In(p.Zone).AddDate(0, 0, -1), b.Start.Add(-time.Hour) // the same time on the day before, also when clocks are set
	hour, ok := time.Time{}, false
	if b.Start.Sub(b.ChangedAt) >= fresh {
		if hour, ok = p.awake(hourBefore, b.ChangedAt, b.Start, home); ok {
			all = append(all, Due{Hour, hour, b.Start})
		}
	}
	if b.ChangedAt.After(dayBefore) {
		return all
	}
	day, may := p.awake(dayBefore, b.ChangedAt, b.Start, home)
	switch {
	case !may:
		return all
	case !ok || hour.Sub(day) < together:
		return []Due{{Day, day, b.Start}}
	}
	// What is late must not come shortly before the next one, nor say "tomorrow" on the day itself.
	until := hour.Add(-together)
	y, m, d := dayBefore.Date()
	if midnight := time.Date(y, m, d+1, 0, 0, 0, 0, p.Zone); midnight.Before(until) && day.Before(midnight) {
		until = midnight
	}
	return []Due{{Day, day, until}, all[0]}
}

// awake is when what was to be said at a moment is said: then, or before the quiet hours around it; after them only when the
// booking did not stand so before them.
func (p Planner) awake(at, made, start time.Time, home *time.Location) (time.Time, bool) {
	from, until, quiet := p.Quiet.around(at, home)
	if !quiet {
		return at, true
	}
	if early := from.Add(-before); !early.Before(made) {
		return early, true
	}
	return until, until.Before(start.Add(-least))
}

// noticed is how long after a change a notice of it is made, if it has not been: the daemon was killed meanwhile.
const noticed = 24 * time.Hour

// Notice is what is said of a change that the customer has not made in a conversation: there the conversation says it.
func Notice(b visits.Booking, now time.Time) (Due, bool) {
	d := Due{At: b.ChangedAt, Deadline: b.Start}
	switch {
	case b.Lead != "" || now.Sub(b.ChangedAt) > noticed:
		return d, false
	case b.Status == visits.Cancelled:
		d.Template = Cancelled
	case b.Status == visits.Booked && b.Version == 1:
		d.Template = Confirmed
	case b.Status == visits.Booked:
		d.Template = Moved
	}
	return d, d.Template != ""
}
