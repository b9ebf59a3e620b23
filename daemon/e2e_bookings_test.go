//go:build linux

package main

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"leadstream/daemon/proof"
	"leadstream/sinks/records"
	"leadstream/streams/visits"
)

// A visit that a person books, moves and cancels at the console: the customer is told of each, and reminded a day and an
// hour before of what then stands, once, whatever the clock does and however often the daemon is killed.
func TestBookingsAndReminders(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Asia/Krasnoyarsk")
	if err != nil {
		t.Fatal(err)
	}
	i := newInstance(t, proof.Setup{Records: records.Embedded, Clock: true,
		More: "time_zone: Asia/Krasnoyarsk\ncalendar: {kind: builtin, hours: {mon-sun: \"10:00-20:00\"}}\n" + answersByBot})
	l := i.ledger()
	l.must(l.says("", "+79998880001"))
	i.quiet()
	store := i.records()
	cards, err := store.Find(context.Background(), "+79998880001", 1)
	i.must(err)
	anna := strconv.FormatInt(cards[0].ID, 10)
	told := func() (causes []string) {
		all, err := store.MessagesTo(context.Background(), cards[0].ID, 100)
		i.must(err)
		for _, m := range all {
			causes = append(causes, strings.TrimPrefix(m.Cause, "booking:")+" "+m.Template)
		}
		slices.Sort(causes)
		return causes
	}
	y, m, d := time.Now().In(zone).Date()
	at := func(day, hour, minute int) time.Time { return time.Date(y, m, d+day, hour, minute, 0, 0, zone) }
	it := func(now time.Time) { i.must(i.SetClock(time.Until(now).Round(time.Second))) }
	book := func(args ...string) (k visits.Booking) {
		out := i.run(append([]string{"bookings"}, append(args, "--json")...)...)
		i.must(json.Unmarshal([]byte(out), &k))
		return k
	}
	want := []string{}
	expect := func(more ...string) {
		t.Helper()
		want = append(want, more...)
		slices.Sort(want)
		i.eventually("the customer is told "+strings.Join(more, ", "), func() bool { return slices.Equal(told(), want) })
	}

	it(at(3, 12, 0))
	first := book("add", anna, at(9, 14, 0).Format(minute))
	second := book("add", anna, at(10, 10, 30).Format(minute)) // its hour is in the night: it is said the evening before
	expect(first.ID+":1:notice confirmed", second.ID+":1:notice confirmed")
	it(at(8, 14, 1))
	expect(first.ID + ":1:day reminder_day")
	i.Kill()
	i.start()
	it(at(5, 10, 0))
	it(at(8, 14, 2))
	moved := book("move", first.ID, at(9, 16, 0).Format(minute))
	if moved.Version != 2 {
		t.Errorf("%+v", moved)
	}
	expect(first.ID + ":2:notice moved")
	i.Kill()
	it(at(9, 15, 1))
	i.start()
	expect(first.ID+":2:hour reminder_hour", second.ID+":1:day reminder_day")
	book("cancel", second.ID) // just before its second reminder
	expect(second.ID + ":2:notice cancelled")
	it(at(10, 9, 31))
	third := book("add", anna, at(10, 10, 30).Format(minute)) // the time is free again
	expect(third.ID + ":1:notice confirmed")
	code, _, errs := command(t, "", "-c", i.Config, "bookings", "add", anna, at(10, 11, 0).Format(minute))
	if code != exitUsage || !strings.Contains(errs, "bookings free") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if got := told(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
