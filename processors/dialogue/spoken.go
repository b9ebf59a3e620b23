package dialogue

import (
	"fmt"
	"strings"
	"time"

	"leadstream/processors/slots"
	"leadstream/processors/templates"
	"leadstream/streams"
)

var (
	weekdays = map[string][]string{"ru": {"вс", "пн", "вт", "ср", "чт", "пт", "сб"}, "en": {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}}
)

// label is a time as it stands among others: "14:00" where the day is said, else "завтра в 14:00", "пн 30.11 в 14:00".
func (t *talk) label(at time.Time, daySaid bool) string {
	hour := at.In(t.zone()).Format("15:04")
	if daySaid {
		return hour
	}
	return t.shortDay(at) + t.in(" в ", " at ") + hour
}

// short is a time on a button, of 20 letters at most.
func (t *talk) short(at time.Time) string {
	return t.shortDay(at) + " " + at.In(t.zone()).Format("15:04")
}

func (t *talk) shortDay(at time.Time) string {
	if day := templates.Day(t.Language, at, t.Now, t.zone()); !strings.Contains(day, ",") {
		return day
	}
	at = at.In(t.zone())
	return weekdays[t.Language][at.Weekday()] + " " + at.Format(t.in("02.01", "2 Jan"))
}

// spoken is a wished time in words; empty: none is wished.
func (t *talk) spoken(w *streams.When) string {
	if w == nil {
		return ""
	}
	zone := t.zone()
	if w.Kind == slots.Exact {
		return templates.At(t.Language, w.Start, t.Now, zone)
	}
	day := templates.Day(t.Language, w.Start, t.Now, zone)
	start, end := w.Start.In(zone), w.End.In(zone)
	if w.Kind == slots.PartOfDay && midnight(start, zone).Equal(midnight(end.Add(-time.Minute), zone)) {
		for hours, part := range map[[2]int][2]string{{6, 12}: {"утром", "in the morning"}, {12, 18}: {"днём", "in the afternoon"}, {18, 23}: {"вечером", "in the evening"}} {
			if start.Hour() == hours[0] && end.Hour() == hours[1] && start.Minute() == 0 && end.Minute() == 0 {
				return day + " " + t.in(part[0], part[1])
			}
		}
		if strings.Contains(day, ",") {
			day += ","
		}
		if start.Hour() == 0 {
			return day + t.in(" до ", " before ") + end.Format("15:04")
		}
		from := day + t.in(" с ", " from ") + start.Format("15:04")
		if end.Hour() == 23 || end.Hour() == 0 {
			return from
		}
		return from + t.in(" до ", " to ") + end.Format("15:04")
	}
	last := end.Add(-time.Minute)
	if midnight(last, zone).After(midnight(start, zone)) {
		return fmt.Sprintf(t.in("с %s по %s", "from %s to %s"), templates.Date(t.Language, start, t.Now, zone), templates.Date(t.Language, last, t.Now, zone))
	}
	return day
}
