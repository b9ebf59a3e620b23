package calendar

import (
	"strings"
	"testing"
	"time"
)

// Whatever stands in a calendar: reading it ends, and what is busy lies within the time that was asked for.
func FuzzEvent(f *testing.F) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Fatal(err)
	}
	for _, lines := range []string{
		"DTSTART:20261123T050000Z|DTEND:20261123T060000Z", "DTSTART;TZID=Europe/Moscow:20261123T080000|DURATION:PT1H|RRULE:FREQ=WEEKLY;BYDAY=MO,TU;UNTIL=20270101",
		"DTSTART;VALUE=DATE:20261123|RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "DTSTART:20250101T000000|RRULE:FREQ=HOURLY;INTERVAL=0;BYHOUR=25|EXDATE:20261123T000000,20261124T000000",
		"DTSTART:20261123T100000|RECURRENCE-ID:20261123T100000|DURATION:-PT1H", "DTSTART:00010101T000000Z|RRULE:FREQ=DAILY;COUNT=1000000000|RDATE;VALUE=PERIOD:20261123T100000Z/PT1H",
		"DTSTART:20261101T100000Z|RRULE:FREQ=MONTHLY;BYSETPOS=-1;BYDAY=FR;WKST=SU", "DTSTART:99991231T235959Z|DURATION:P99999999999W",
	} {
		f.Add(lines)
	}
	within := span{time.Date(2026, 11, 23, 0, 0, 0, 0, zone), time.Date(2026, 12, 1, 0, 0, 0, 0, zone)}
	f.Fuzz(func(t *testing.T, lines string) {
		text := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20261101T000000Z\r\n" + strings.ReplaceAll(lines, "|", "\r\n") + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
		e, err := parseEvent("x", "", text, zone)
		if err != nil {
			return
		}
		began := time.Now()
		all, err := e.busy(within, zone)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("took %s", took)
		}
		for _, s := range all {
			if !s.meets(within) || !s.from.Before(s.to) || err != nil {
				t.Errorf("busy %v, %v", s, err)
			}
		}
		if _, err := e.moved(within.from, within.from.Add(time.Hour), time.Now()); err != nil {
			t.Skip()
		}
	})
}
