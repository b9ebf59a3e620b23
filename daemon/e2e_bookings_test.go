//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"leadstream/daemon/proof"
	"leadstream/sinks/records"
	"leadstream/sinks/sim/phone"
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

// A customer is reminded in the chat in which they write, and answers that they cannot come: the time is free at once, the
// people are not asked, and there is no second reminder.
func TestReminderAnswered(t *testing.T) {
	t.Parallel()
	const olga = 5_000_002
	zone := noonZone()
	i := newInstance(t, proof.Setup{Records: records.Embedded, Clock: true, Sources: botSource,
		More: "time_zone: " + zone.String() + "\ncalendar: {kind: builtin, hours: {mon-sun: \"00:00-24:00\"}}\n" + answersByBot})
	i.must(i.SetClock(-72 * time.Hour))
	i.Phone.SetChat(phone.Chat{ID: olga, Type: "private", Name: "Ольга"})
	i.Phone.Write(phone.From{ID: olga, Name: "Ольга"}, "Здравствуйте! Во сколько вы открываетесь?")
	i.eventually("the customer is answered", func() bool { return len(i.said(olga)) > 0 })
	i.quiet()
	store := i.records()
	cards, err := store.Find(context.Background(), fmt.Sprintf("telegram:%d", olga), 1)
	i.must(err)

	at := time.Now().In(zone).Add(24*time.Hour - 5*time.Minute).Truncate(time.Minute)
	var k visits.Booking
	i.must(json.Unmarshal([]byte(i.run("bookings", "add", strconv.FormatInt(cards[0].ID, 10), at.Format(minute), "--json")), &k))
	has := func(text string) func() bool {
		return func() bool {
			return slices.ContainsFunc(i.said(olga), func(s string) bool { return strings.Contains(s, text) })
		}
	}
	i.eventually("the customer is told of the visit", has("подтверждён"))
	i.must(i.SetClock(0))
	i.eventually("the customer is reminded", has("Напоминаем о записи: завтра в "+at.Format("15:04")))
	i.Phone.Write(phone.From{ID: olga, Name: "Ольга"}, "1")
	i.eventually("the visit is cancelled", func() bool {
		now, err := store.Booking(context.Background(), k.ID)
		i.must(err)
		return now.Status == visits.Cancelled && now.Lead != "" && now.Version == 2
	})
	i.eventually("the customer is told so", has("отменена. Когда захотите"))
	i.run("bookings", "add", strconv.FormatInt(cards[0].ID, 10), at.Format(minute)) // the very time is free
	before, err := store.MessagesTo(context.Background(), cards[0].ID, 100)
	i.must(err)
	for _, m := range before {
		if m.Template == "cancelled" || m.Template == "reminder_hour" {
			t.Errorf("the customer gets %s too", m.Template)
		}
	}
}

// noonZone is one in which it is noon just now: far from quiet hours and from midnight.
func noonZone() *time.Location {
	ahead := 12 - time.Now().UTC().Hour()
	zone, err := time.LoadLocation(fmt.Sprintf("Etc/GMT%+d", -ahead)) // the signs are the other way round there
	if err != nil {
		panic(err)
	}
	return zone
}
