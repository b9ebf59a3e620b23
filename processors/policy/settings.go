package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadstream/processors"
	"leadstream/streams/outbound"
)

// Settings are what a business may decide. They are pure limits: 0 of Touches, SameContent or DayLimit is no limit.
type Settings struct {
	QuietFrom  string        `koanf:"quiet_from"` // local time; of the customer's zone where it is known
	QuietUntil string        `koanf:"quiet_until"`
	Awake      time.Duration `koanf:"awake"` // so long after the customer's own word quiet hours do not count

	Templates     int           `koanf:"templates"`      // in 24 h to one who has not opted in (L-01)
	SameContent   int           `koanf:"same_content"`   // in 31 days to one customer (L-02)
	PromotionDays int           `koanf:"promotion_days"` // between two promotions to one customer (L-03)
	PromotionAt   []string      `koanf:"promotion_at"`   // hours of the week for promotions, "wed 14:00-16:00"; none: at any time
	SameEvent     time.Duration `koanf:"same_event"`     // between two notices of one event (L-04)
	Pause         time.Duration `koanf:"pause"`          // of automation after a person has stepped in (L-05)
	DayLimit      int           `koanf:"day_limit"`      // messages by one channel (L-06)
	Reserve       float64       `koanf:"reserve"`        // share of DayLimit that is kept from promotions for reminders and notices, and as much from these for answers
	Touches       int           `koanf:"touches"`        // unasked messages to one customer in 7 days from which promotions wait (L-08)

	ConsentFields Fields `koanf:"consent_fields"`
}

// Defaults are those of the mission; quiet hours are customary, no law sets them.
func Defaults() Settings {
	return Settings{
		QuietFrom: "21:00", QuietUntil: "09:00", Awake: time.Hour,
		Templates: 1, SameContent: 5, PromotionDays: 7, PromotionAt: []string{"wed 14:00-16:00"}, SameEvent: 6 * time.Hour,
		Pause: 12 * time.Hour, DayLimit: 1000, Reserve: 0.1, Touches: 5,
		ConsentFields: Fields{
			Marketing: []string{"marketing", "marketing_consent", "newsletter", "subscribe", "promo", "рассылка", "реклама", "согласие на рекламу", "согласие на рассылку"},
			Service:   []string{"consent", "agree", "согласие"},
		},
	}
}

// Faults are the values that cannot work. The error joins processors.Fault.
func (s Settings) Faults() error {
	var faults []error
	fault := func(key, problem, cure string) {
		faults = append(faults, processors.Fault{Key: key, Problem: problem, Cure: cure})
	}
	from, err1 := clock(s.QuietFrom)
	until, err2 := clock(s.QuietUntil)
	if s.QuietFrom+s.QuietUntil != "" && errors.Join(err1, err2) != nil {
		fault("quiet_from", fmt.Sprintf("%q to %q are no times of day", s.QuietFrom, s.QuietUntil), "write both as 21:00, or both empty")
	}
	for _, text := range s.PromotionAt {
		span, err := readSpan(text)
		switch {
		case err != nil:
			fault("promotion_at", err.Error(), "write a day and two times, as in wed 14:00-16:00")
		case err1 == nil && err2 == nil && allQuiet(from, until, span):
			fault("promotion_at", fmt.Sprintf("%q is within the quiet hours", text), "write hours in which customers are awake")
		}
	}
	for key, n := range map[string]int{"templates": s.Templates, "promotion_days": s.PromotionDays} {
		if n < 1 || n > month {
			fault(key, fmt.Sprintf("is %d", n), "write 1 to 31")
		}
	}
	for key, n := range map[string]int{"same_content": s.SameContent, "day_limit": s.DayLimit, "touches": s.Touches} {
		if n < 0 {
			fault(key, fmt.Sprintf("is %d", n), "write 0 for no limit, or more")
		}
	}
	for key, d := range map[string]time.Duration{"awake": s.Awake, "same_event": s.SameEvent, "pause": s.Pause} {
		if d < 0 || d > 7*24*time.Hour {
			fault(key, fmt.Sprintf("is %s", d), "write 0s to 7d")
		}
	}
	if s.Reserve < 0 || s.Reserve > 0.4 {
		fault("reserve", fmt.Sprintf("is %g", s.Reserve), "write a share from 0 to 0.4")
	}
	return errors.Join(faults...)
}

// most is how many messages a channel may carry in a day before one like this is held back: answers go last.
func (s Settings) most(m outbound.Message) int {
	if s.DayLimit == 0 {
		return 1 << 30
	}
	kept := int(float64(s.DayLimit) * s.Reserve)
	switch {
	case m.Purpose == outbound.Answer:
		return s.DayLimit
	case advertising(m):
		return s.DayLimit - 2*kept
	}
	return s.DayLimit - kept
}

// clock reads "21:00" as minutes of the day.
func clock(text string) (int, error) {
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err
}

// quiet says whether a minute of the day is within from (quiet) until (not quiet), which may pass midnight.
func quiet(from, until, minute int) bool {
	if from <= until {
		return from <= minute && minute < until
	}
	return minute >= from || minute < until
}

// allQuiet says that no minute of a span is outside the quiet hours.
func allQuiet(from, until int, of span) bool {
	for minute := of.from; minute < of.until; minute++ {
		if !quiet(from, until, minute) {
			return false
		}
	}
	return true
}

// quietEnds is when the quiet hours end in which now is; zero: it is in none.
func (s Settings) quietEnds(now time.Time) time.Time {
	from, err1 := clock(s.QuietFrom)
	until, err2 := clock(s.QuietUntil)
	if err1 != nil || err2 != nil || !quiet(from, until, now.Hour()*60+now.Minute()) {
		return time.Time{}
	}
	return following(now, func(day time.Time) time.Time { return at(day, until) })
}

// opens is when the next hours for promotions begin; zero: it is within some, or they may go at any time.
func (s Settings) opens(now time.Time) (soonest time.Time) {
	minute := now.Hour()*60 + now.Minute()
	for _, text := range s.PromotionAt {
		span, err := readSpan(text)
		if err != nil {
			continue
		}
		if now.Weekday() == span.day && span.from <= minute && minute < span.until {
			return time.Time{}
		}
		next := following(now, func(day time.Time) time.Time {
			if day.Weekday() != span.day {
				return time.Time{}
			}
			return at(day, span.from)
		})
		if soonest.IsZero() || next.Before(soonest) {
			soonest = next
		}
	}
	return soonest
}

// following is the first moment after now that a day from today on has.
func following(now time.Time, of func(day time.Time) time.Time) time.Time {
	y, m, d := now.Date()
	for n := range 15 {
		t := of(time.Date(y, m, d+n, 12, 0, 0, 0, now.Location()))
		if t.After(now) {
			return t
		}
		if again := t.Add(time.Hour); again.After(now) && again.Hour() == t.Hour() { // a night on which clocks show an hour twice
			return again
		}
	}
	return now.Add(time.Hour) // not reached: each weekday comes within a week
}

// at is a minute of a day as its clocks show it: of a time that they show twice the first, of one that they skip the moment
// after.
func at(day time.Time, minute int) time.Time {
	y, m, d := day.Date()
	t := time.Date(y, m, d, 0, minute, 0, 0, day.Location())
	switch shown := t.Hour()*60 + t.Minute(); {
	case shown < minute: // the hour is skipped, and time.Date counts on from before
		_, t = t.ZoneBounds()
	case shown > minute: // or back from behind
		t, _ = t.ZoneBounds()
	default:
		if first := t.Add(-time.Hour); first.Hour() == t.Hour() {
			return first
		}
	}
	return t
}

// span is a part of a day of the week, in minutes.
type span struct {
	day         time.Weekday
	from, until int
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// readSpan reads "wed 14:00-16:00".
func readSpan(text string) (span, error) {
	day, times, _ := strings.Cut(strings.ToLower(strings.TrimSpace(text)), " ")
	from, until, _ := strings.Cut(strings.TrimSpace(times), "-")
	n := slices.Index(weekdays, day)
	f, err1 := clock(from)
	u, err2 := clock(until)
	if until == "24:00" {
		u, err2 = 24*60, nil
	}
	if n < 0 || err1 != nil || err2 != nil || f >= u {
		return span{}, fmt.Errorf("%q is no part of a week", text)
	}
	return span{time.Weekday(n), f, u}, nil
}
