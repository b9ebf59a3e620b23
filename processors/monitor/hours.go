package monitor

import (
	"errors"
	"fmt"
	"time"

	"leadstream/processors"
)

// dayPart is a part of the day in minutes, from (within) until (without); it may pass midnight. from = until: none.
type dayPart struct{ from, until int }

func parseHours(from, until string) (dayPart, error) {
	if from == "" && until == "" {
		return dayPart{}, nil
	}
	f, err1 := parseClock("alerts.quiet_from", from)
	u, err2 := parseClock("alerts.quiet_until", until)
	if err := errors.Join(err1, err2); err != nil {
		return dayPart{}, err
	}
	if f < 0 || u < 0 {
		return dayPart{}, processors.Fault{Key: "alerts.quiet_from", Problem: "quiet hours need a beginning and an end", Cure: "write both or neither"}
	}
	return dayPart{f, u}, nil
}

// parseClock reads "09:00" as minutes of the day; -1 when empty.
func parseClock(key, text string) (int, error) {
	if text == "" {
		return -1, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return 0, processors.Fault{Key: key, Problem: fmt.Sprintf("%q is no time of day", text), Cure: "write it as 09:00"}
	}
	return t.Hour()*60 + t.Minute(), nil
}

func minuteOf(t time.Time) int { return t.Hour()*60 + t.Minute() }

// contain says whether local time t is within.
func (h dayPart) contain(t time.Time) bool {
	m := minuteOf(t)
	if h.from <= h.until {
		return h.from <= m && m < h.until
	}
	return m >= h.from || m < h.until
}
