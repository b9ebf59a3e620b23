package calendar

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadstream/sinks/records"
	"leadstream/streams/visits"
)

// on are settings of masters with calendars on the server.
func on(calendars ...string) Settings {
	s := salon()
	s.Kind = CalDAV
	s.CalDAV.URL, s.CalDAV.User, s.CalDAV.Password, s.CalDAV.AllowPrivate = server.url, "salon", "hush-hush", true
	if len(calendars) == 1 {
		s.CalDAV.URL += calendars[0]
		return s
	}
	for i, c := range calendars {
		s.Masters = append(s.Masters, Master{Name: []string{"Анна", "Ольга"}[i], Calendar: c})
	}
	return s
}

func openCalDAV(t testing.TB, s Settings, kept *records.Store, z *time.Location) *caldav {
	t.Helper()
	opened, err := Open(s, Env{Records: kept, Zone: z, Services: map[string]string{"cut": "Стрижка"}, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	c := opened.(*caldav)
	c.now = func() time.Time { return monday(z) }
	return c
}

// What stands in people's calendars is busy, however they have written it.
func TestCalDAVFree(t *testing.T) {
	z := zone(t, "Asia/Krasnoyarsk")
	for name, tc := range map[string]struct {
		event []string
		until time.Time
		want  string
	}{
		"empty":               {nil, time.Date(2026, 11, 23, 12, 0, 0, 0, z), "23 11:00, 23 11:30, 23 12:00"},
		"in UTC":              {[]string{"DTSTART:20261123T050000Z", "DTEND:20261123T060000Z"}, time.Date(2026, 11, 23, 14, 30, 0, 0, z), "23 11:00, 23 14:00, 23 14:30"},
		"in a zone":           {[]string{"DTSTART;TZID=Europe/Moscow:20261123T080000", "DURATION:PT1H"}, time.Date(2026, 11, 23, 14, 0, 0, 0, z), "23 11:00, 23 14:00"},
		"in Outlook's zone":   {[]string{"DTSTART;TZID=North Asia Standard Time:20261123T120000", "DTEND;TZID=North Asia Standard Time:20261123T130000"}, time.Date(2026, 11, 23, 14, 0, 0, 0, z), "23 11:00, 23 14:00"},
		"in nobody's zone":    {[]string{"DTSTART;TZID=Mein Büro:20261123T120000", "DURATION:PT1H"}, time.Date(2026, 11, 23, 14, 0, 0, 0, z), "23 11:00, 23 14:00"},
		"without a zone":      {[]string{"DTSTART:20261123T120000", "DTEND:20261123T130000"}, time.Date(2026, 11, 23, 14, 0, 0, 0, z), "23 11:00, 23 14:00"},
		"a whole day":         {[]string{"DTSTART;VALUE=DATE:20261123"}, time.Date(2026, 11, 24, 10, 30, 0, 0, z), "24 10:00, 24 10:30"},
		"whole days":          {[]string{"DTSTART;VALUE=DATE:20261123", "DTEND;VALUE=DATE:20261125"}, time.Date(2026, 11, 25, 10, 0, 0, 0, z), "25 10:00"},
		"every day":           {[]string{"DTSTART;TZID=Asia/Krasnoyarsk:20250101T100000", "DURATION:PT3H", "RRULE:FREQ=DAILY"}, time.Date(2026, 11, 24, 14, 0, 0, 0, z), "23 14:00, 23 14:30, 23 15:00, 23 15:30, 23 16:00, 23 16:30, 23 17:00, 23 17:30, 23 18:00, 23 18:30, 23 19:00, 24 14:00"},
		"every week, but now": {[]string{"DTSTART;TZID=Asia/Krasnoyarsk:20261102T110000", "DURATION:PT9H", "RRULE:FREQ=WEEKLY;BYDAY=MO", "EXDATE;TZID=Asia/Krasnoyarsk:20261116T110000,20261123T110000"}, time.Date(2026, 11, 23, 11, 0, 0, 0, z), "23 11:00"},
		"until last week":     {[]string{"DTSTART;TZID=Asia/Krasnoyarsk:20261102T110000", "DURATION:PT9H", "RRULE:FREQ=WEEKLY;UNTIL=20261120T000000Z"}, time.Date(2026, 11, 23, 11, 0, 0, 0, z), "23 11:00"},
		"once more":           {[]string{"DTSTART;TZID=Asia/Krasnoyarsk:20261102T110000", "DURATION:PT1H", "RDATE;TZID=Asia/Krasnoyarsk:20261123T110000"}, time.Date(2026, 11, 23, 12, 0, 0, 0, z), "23 12:00"},
		"an exception": {[]string{"DTSTART;TZID=Asia/Krasnoyarsk:20261102T110000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY", "END:VEVENT", "BEGIN:VEVENT", "UID:u", "DTSTAMP:20261101T000000Z",
			"RECURRENCE-ID;TZID=Asia/Krasnoyarsk:20261123T110000", "DTSTART;TZID=Asia/Krasnoyarsk:20261123T120000", "DURATION:PT1H"}, time.Date(2026, 11, 23, 14, 0, 0, 0, z), "23 11:00, 23 14:00"},
		"a cancelled time of many": {[]string{"DTSTART;TZID=Asia/Krasnoyarsk:20261102T110000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY", "END:VEVENT", "BEGIN:VEVENT", "UID:u", "DTSTAMP:20261101T000000Z",
			"RECURRENCE-ID;TZID=Asia/Krasnoyarsk:20261123T110000", "DTSTART;TZID=Asia/Krasnoyarsk:20261123T110000", "DURATION:PT1H", "STATUS:CANCELLED"}, time.Date(2026, 11, 23, 11, 0, 0, 0, z), "23 11:00"},
		"cancelled":       {[]string{"DTSTART:20261123T040000Z", "DURATION:PT1H", "STATUS:CANCELLED"}, time.Date(2026, 11, 23, 11, 0, 0, 0, z), "23 11:00"},
		"for information": {[]string{"DTSTART;VALUE=DATE:20261123", "TRANSP:TRANSPARENT"}, time.Date(2026, 11, 23, 11, 0, 0, 0, z), "23 11:00"},
	} {
		t.Run(name, func(t *testing.T) {
			calendar := server.calendar(t)
			if tc.event != nil {
				server.put(t, calendar, "u", tc.event...)
			}
			c := openCalDAV(t, on(calendar), nil, z)
			free, err := c.Free(context.Background(), visits.Wish{Service: "cut", To: tc.until})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, strings.Join(starts(free, z), ", ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCalDAVBook(t *testing.T) {
	ctx, z := context.Background(), zone(t, "Asia/Krasnoyarsk")
	kept, anna := store(t, records.Embedded)
	one, two := server.calendar(t), server.calendar(t)
	c := openCalDAV(t, on(one, two), kept, z)
	eleven := time.Date(2026, 11, 23, 11, 0, 0, 0, z)
	book := func(id, master string, at time.Time) (visits.Booking, error) {
		return c.Book(ctx, visits.Booking{ID: id, Customer: anna, Service: "cut", Master: master, Start: at, Lead: "l1"})
	}
	if err := c.Check(ctx); err != nil {
		t.Fatal(err)
	}
	first, err := book("b1", "", eleven)
	if err != nil || first.Master != "Анна" || first.Version != 1 {
		t.Fatalf("%+v %v", first, err)
	}
	if _, text, _ := server.do(t, http.MethodGet, one+"b1.ics", "", nil); !strings.Contains(text, "DTSTART:20261123T040000Z") || !strings.Contains(text, "SUMMARY:Стрижка") {
		t.Error(text)
	}
	if again, err := book("b1", "", eleven); err != nil || again != first {
		t.Errorf("%+v %v", again, err)
	}
	if second, err := book("b2", "", eleven.Add(30*time.Minute)); err != nil || second.Master != "Ольга" {
		t.Errorf("%+v %v", second, err)
	}
	for want, at := range map[error]time.Time{visits.ErrTaken: eleven.Add(15 * time.Minute), visits.ErrPast: eleven.Add(-2 * time.Hour), visits.ErrClosed: eleven.AddDate(0, 0, 6)} {
		if _, err := book("b3", "", at); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if _, err := c.Book(ctx, visits.Booking{ID: "b4", Customer: 999, Start: eleven.AddDate(0, 0, 1)}); !errors.Is(err, records.ErrUnknown) {
		t.Error(err)
	}
	// A crash after the event was written: the same call again finds it and goes on.
	three := time.Date(2026, 11, 23, 15, 0, 0, 0, z)
	body, err := write("b5", visits.Booking{Start: three, End: three.Add(time.Hour)}, words{title: "x"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.dav.put(ctx, hrefOf(c.addresses["Ольга"], "b5"), "", body); err != nil {
		t.Fatal(err)
	}
	if k, err := book("b5", "", three); err != nil || k.Master != "Ольга" {
		t.Errorf("after a crash: %+v %v", k, err)
	}
	// Within its own time, with what a person has added; then to the other master.
	server.replace(t, one+"b1.ics", "SUMMARY:Стрижка", "LOCATION:upstairs\r\nSUMMARY:Стрижка")
	moved, err := c.Move(ctx, "b1", visits.Slot{Start: eleven.Add(30 * time.Minute)}, "l2")
	if err != nil || moved.Version != 2 || moved.Lead != "l2" || moved.Master != "Анна" {
		t.Fatalf("%+v %v", moved, err)
	}
	if _, text, _ := server.do(t, http.MethodGet, one+"b1.ics", "", nil); !strings.Contains(text, "DTSTART:20261123T043000Z") || !strings.Contains(text, "LOCATION:upstairs") || !strings.Contains(text, "SEQUENCE:1") {
		t.Error(text)
	}
	if _, err := c.Move(ctx, "b1", visits.Slot{Start: three, Master: "Ольга"}, "l2"); !errors.Is(err, visits.ErrTaken) {
		t.Errorf("moved to where another is: %v", err)
	}
	if moved, err = c.Move(ctx, "b1", visits.Slot{Start: three.Add(time.Hour), Master: "Ольга"}, "l3"); err != nil || moved.Master != "Ольга" || moved.Version != 3 {
		t.Fatalf("%+v %v", moved, err)
	}
	if status, _, _ := server.do(t, http.MethodGet, one+"b1.ics", "", nil); status != http.StatusNotFound {
		t.Errorf("the old time answers %d", status)
	}
	if _, err := book("b6", "Анна", eleven); err != nil {
		t.Errorf("the old time: %v", err)
	}
	if k, err := c.Cancel(ctx, "b1", "l4"); err != nil || k.Status != visits.Cancelled || k.Lead != "l4" {
		t.Errorf("%+v %v", k, err)
	}
	if _, err := book("b7", "Ольга", three.Add(time.Hour)); err != nil {
		t.Errorf("the time of a cancelled one: %v", err)
	}
	if _, text, _ := server.do(t, "REPORT", two, `<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><C:calendar-data/></D:prop></C:calendar-query>`, map[string]string{"Depth": "1"}); strings.Contains(text, "-hold") {
		t.Errorf("a hold was left behind:\n%s", text)
	}
	// Nothing of this was changed by others.
	before, err := kept.Visits(ctx, monday(z), monday(z).AddDate(0, 0, 7))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.sync(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if after, err := kept.Visits(ctx, monday(z), monday(z).AddDate(0, 0, 7)); err != nil || cmp.Diff(before, after) != "" {
		t.Errorf("%s %v", cmp.Diff(before, after), err)
	}
}

// What people do in their calendars comes into the bookings.
func TestCalDAVSync(t *testing.T) {
	ctx, z := context.Background(), zone(t, "Asia/Krasnoyarsk")
	kept, anna := store(t, records.Embedded)
	one, two := server.calendar(t), server.calendar(t)
	c := openCalDAV(t, on(one, two), kept, z)
	at := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, z) }
	for i, id := range []string{"stays", "moves", "goes", "other", "far", "void", "grows"} {
		if _, err := c.Book(ctx, visits.Booking{ID: id, Customer: anna, Service: "cut", Master: "Анна", Start: at(24+i/3, 14+2*(i%3)), Lead: "l1"}); err != nil {
			t.Fatal(id, err)
		}
	}
	// Booked before there was a calendar; one who has none is left alone.
	for id, master := range map[string]string{"old": "Ольга", "nobody's": "Пётр"} {
		if _, err := kept.SaveBooking(ctx, visits.Booking{ID: id, Customer: anna, Master: master, Status: visits.Booked, Start: at(24, 10), End: at(24, 11), Lead: "l1"}); err != nil {
			t.Fatal(err)
		}
	}
	server.replace(t, one+"moves.ics", "DTSTART:20261124T090000Z", "DTSTART:20261124T083000Z")
	server.do(t, http.MethodDelete, one+"goes.ics", "", nil)
	_, text, _ := server.do(t, http.MethodGet, one+"other.ics", "", nil)
	server.do(t, http.MethodDelete, one+"other.ics", "", nil)
	server.do(t, http.MethodPut, two+"another-name.ics", text, map[string]string{"Content-Type": "text/calendar"})
	server.replace(t, one+"far.ics", "DTSTART:20261125T090000Z", "DTSTART:20261225T090000Z")
	server.replace(t, one+"far.ics", "DTEND:20261125T100000Z", "DTEND:20261225T100000Z")
	server.replace(t, one+"void.ics", "SUMMARY:", "STATUS:CANCELLED\r\nSUMMARY:")
	server.replace(t, one+"grows.ics", "DTEND:20261126T080000Z", "DTEND:20261126T083000Z")
	for range 2 { // the second time changes nothing
		if err := c.sync(ctx, 0); err != nil {
			t.Fatal(err)
		}
		var got []string
		all, err := kept.Visits(ctx, monday(z), monday(z).AddDate(1, 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range all {
			got = append(got, fmt.Sprint(k.ID, " ", k.Version, " ", k.Status, " ", k.Master, " ", k.Start.In(z).Format("02.01 15:04"), "-", k.End.In(z).Format("15:04"), " ", k.Lead))
		}
		want := []string{"nobody's 1 booked Пётр 24.11 10:00-11:00 l1", "old 1 booked Ольга 24.11 10:00-11:00 l1", "stays 1 booked Анна 24.11 14:00-15:00 l1",
			"moves 2 booked Анна 24.11 15:30-17:00 ", "goes 2 cancelled Анна 24.11 18:00-19:00 ", "other 2 booked Ольга 25.11 14:00-15:00 ",
			"void 2 cancelled Анна 25.11 18:00-19:00 ", "grows 2 booked Анна 26.11 14:00-15:30 ", "far 2 booked Анна 25.12 16:00-17:00 "}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if status, _, _ := server.do(t, http.MethodGet, two+"old.ics", "", nil); status != http.StatusOK {
		t.Errorf("the visit from before is not in the calendar: %d", status)
	}
	// Another calendar in the place of the one: nothing is believed of it.
	wrong := openCalDAV(t, on(server.calendar(t), server.calendar(t)), kept, z)
	if err := wrong.sync(ctx, 0); err == nil || !strings.Contains(err.Error(), "looks like another calendar") {
		t.Error(err)
	}
	if k, err := kept.Booking(ctx, "stays"); err != nil || k.Version != 1 {
		t.Errorf("%+v %v", k, err)
	}
}

// What a crash in the middle of a move has left in the calendars goes, once nobody can be at it any more.
func TestCalDAVSweep(t *testing.T) {
	ctx, z := context.Background(), zone(t, "Asia/Krasnoyarsk")
	kept, anna := store(t, records.Embedded)
	one, two := server.calendar(t), server.calendar(t)
	c := openCalDAV(t, on(one, two), kept, z)
	at := time.Date(2026, 11, 24, 11, 0, 0, 0, z)
	k, err := c.Book(ctx, visits.Booking{ID: "b", Customer: anna, Service: "cut", Master: "Анна", Start: at, Lead: "l1"})
	if err != nil {
		t.Fatal(err)
	}
	put := func(master, uid string, age time.Duration) string {
		k := k
		k.Start, k.End = k.Start.Add(4*time.Hour), k.End.Add(4*time.Hour)
		body, err := write(uid, k, words{title: "x"}, time.Now().Add(-age))
		if err != nil {
			t.Fatal(err)
		}
		href := hrefOf(c.addresses[master], uid)
		if err := c.dav.put(ctx, href, "", body); err != nil {
			t.Fatal(err)
		}
		return href
	}
	for href, stays := range map[string]bool{put("Ольга", "b", time.Hour): false, put("Анна", "b-hold", time.Hour): false, put("Ольга", "b-hold", time.Minute): true,
		put("Ольга", "somebody's", time.Hour): true, hrefOf(c.addresses["Анна"], "b"): true} {
		if err := c.sync(ctx, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := c.dav.get(ctx, href); (err == nil) != stays {
			t.Errorf("%s: %v", href, err)
		}
	}
	if now, err := kept.Booking(ctx, "b"); err != nil || now != k {
		t.Errorf("%+v %v", now, err)
	}
}

// Of many who want one slot at once, through two daemons, one gets it, and nothing is left of the others.
func TestCalDAVRush(t *testing.T) {
	ctx, z := context.Background(), zone(t, "Asia/Krasnoyarsk")
	url := postgres.Database(t)
	kept, anna := store(t, url)
	other, _ := store(t, url)
	calendar := server.calendar(t)
	daemons := []*caldav{openCalDAV(t, on(calendar), kept, z), openCalDAV(t, on(calendar), other, z)}
	for day := range 3 {
		at := time.Date(2026, 11, 24+day, 11, 0, 0, 0, z)
		var got atomic.Int32
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				_, err := daemons[i%2].Book(ctx, visits.Booking{ID: fmt.Sprintf("b%d-%d", day, i), Customer: anna, Service: "cut", Start: at.Add(time.Duration(i%3) * 15 * time.Minute), Lead: "l1"})
				switch {
				case err == nil:
					got.Add(1)
				case !errors.Is(err, visits.ErrTaken):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got.Load() != 1 {
			t.Errorf("%d customers got the one slot", got.Load())
		}
		found, err := daemons[0].dav.events(ctx, daemons[0].addresses[""], span{at.Add(-time.Hour), at.Add(2 * time.Hour)})
		if err != nil || len(found) != 1 {
			t.Errorf("%d events are in the calendar, %v", len(found), err)
		}
	}
}

// A server that does not answer, or something else, is said in time and without secrets.
func TestCalDAVDown(t *testing.T) {
	ctx, z := context.Background(), zone(t, "Asia/Krasnoyarsk")
	kept, anna := store(t, records.Embedded)
	hang := make(chan struct{})
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"silent":       {func(_ http.ResponseWriter, r *http.Request) { <-hang }, "CalDAV: "},
		"unauthorised": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "refuses the user or the password"},
		"moved": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(301)
		}, "sends us elsewhere"},
		"a page":  {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hush-hush</html>") }, "no list of events"},
		"broken":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "answers 500"},
		"nothing": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "no such calendar"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(tc.answer)
			defer s.Close()
			set := on("x/")
			set.CalDAV.URL, set.CalDAV.Timeout = s.URL+"/secret-path/", time.Second
			if name == "silent" {
				defer close(hang)
			}
			c := openCalDAV(t, set, kept, z)
			_, err1 := c.Free(ctx, visits.Wish{})
			_, err2 := c.Book(ctx, visits.Booking{ID: "b", Customer: anna, Start: monday(z).Add(time.Hour)})
			for _, err := range []error{err1, err2} {
				if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "secret-path") {
					t.Errorf("%v", err)
				}
			}
			if err := c.Check(ctx); err == nil {
				t.Error("the check finds nothing wrong")
			}
			if of, err := c.Of(ctx, anna); err != nil || len(of) != 0 {
				t.Errorf("%v %v", of, err)
			}
		})
	}
}
