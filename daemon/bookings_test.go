package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadstream/sinks"
	"leadstream/sinks/calendar"
	"leadstream/sinks/records"
	"leadstream/streams"
	"leadstream/streams/visits"
)

// desk serves a daemon's commands about bookings on records with one customer.
func desk(t *testing.T, language string) (path string, customer int64) {
	t.Helper()
	path = write(t, "language: "+language+`
time_zone: Asia/Krasnoyarsk
triage: {services: [{name: Стрижка, code: cut}, {name: Окрашивание, code: color}]}
calendar: {kind: builtin, hours: {mon-sun: "10:00-20:00"}, services: {cut: 90m}, masters: [{name: Анна}, {name: Ольга, services: [color]}]}
`+told)
	cfg, faults := load(t, path)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	opened, err := records.Kind.Open(&cfg.Records, sinks.Env{DataDir: t.TempDir(), Region: "RU", Zone: time.UTC, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	kept := opened.(*records.Sink).Store
	t.Cleanup(func() { kept.Close() })
	ids, err := kept.Write(context.Background(), time.UTC, []*streams.Lead{{ID: "l1", Source: "site", Phone: "+79990000001", ReceivedAt: time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	visiting, err := calendar.Open(cfg.Calendar, cfg.calendarEnv(kept, zerolog.Nop()))
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(filepath.Dir(path), "data", "leadstream.sock")
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: (&AdminAPI{Records: kept, Calendar: visiting, Config: cfg, Language: lang(cfg.Language), Log: zerolog.Nop()}).Handler()}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return path, ids[0]
}

func TestBookingsCommand(t *testing.T) {
	english(t)
	path, customer := desk(t, "en")
	anna := strconv.FormatInt(customer, 10)
	zone, err := time.LoadLocation("Asia/Krasnoyarsk")
	if err != nil {
		t.Fatal(err)
	}
	day := time.Now().In(zone).AddDate(0, 0, 3).Format(time.DateOnly)
	run := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := command(t, "", append([]string{"-c", path, "bookings"}, args...)...)
		if code != want {
			t.Fatalf("%v: exit %d\n%s%s", args, code, out, errs)
		}
		return out + errs
	}
	var k visits.Booking
	if err := json.Unmarshal([]byte(run(exitOK, "add", anna, day+" 11:00", "--service", "cut", "--json")), &k); err != nil {
		t.Fatal(err)
	}
	if k.Version != 1 || k.Lead != "" || k.Master != "Анна" || k.Start.In(zone).Format(minute) != day+" 11:00" || k.End.Sub(k.Start) != 90*time.Minute {
		t.Errorf("%+v", k)
	}
	if out := run(exitOK, "list"); !strings.Contains(out, day+" 11:00") || !strings.Contains(out, "booked") || !strings.Contains(out, k.ID) {
		t.Error(out)
	}
	if out := run(exitOK, "free", "--service", "cut", "--from", day, "--limit", "2"); !strings.Contains(out, day+" 12:30") || strings.Contains(out, "11:00") {
		t.Error(out)
	}
	for want, args := range map[string][]string{
		"is taken; see: leadstream bookings free": {"add", anna, day + " 12:00", "--service", "cut"},
		"has passed":                                                   {"add", anna, "2020-01-01 12:00"},
		"nobody who does this works then":                              {"add", anna, day + " 19:00", "--service", "cut"},
		"there is no such card; find it with":                          {"add", "999", day + " 15:00"},
		`is no time; write it like "2026-11-27 14:00"`:                 {"move", k.ID, "tomorrow"},
		"there is no such visit to be changed":                         {"cancel", "nobody"},
		"from: is no time":                                             {"list", "--from", "1st of May"},
		"customer: there is no such card; find it with: leadstream cu": {"add", "1000", day + " 15:00"},
	} {
		if out := run(exitUsage, args...); !strings.Contains(out, want) {
			t.Errorf("%v says %s", args, out)
		}
	}
	if out := run(exitOK, "move", k.ID, day+" 15:00"); !strings.Contains(out, day+" 15:00") || !strings.Contains(out, "16:30") {
		t.Error(out)
	}
	if out := run(exitOK, "cancel", k.ID); !strings.Contains(out, "cancelled") {
		t.Error(out)
	}
	if out := run(exitOK, "list"); strings.Contains(out, k.ID) {
		t.Error(out)
	}
	if out := run(exitOK, "list", "--all", "--customer", anna); !strings.Contains(out, k.ID) {
		t.Error(out)
	}
	if out := run(exitOK, "move", "--help"); !strings.Contains(out, "Example:") {
		t.Error(out)
	}
}

func TestBookingsInRussian(t *testing.T) {
	path, customer := desk(t, "ru")
	code, _, errs := command(t, "", "-c", path, "bookings", "add", strconv.FormatInt(customer, 10), "2020-01-01 12:00")
	if code != exitUsage || !strings.Contains(errs, "уже прошло") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestCalendarFaults(t *testing.T) {
	for text, want := range map[string]string{
		"calendar: {kind: google}":  "line 2: calendar.kind: unknown value; write off, builtin or caldav",
		"calendar: {kind: builtin}": `line 2: calendar.hours: nobody ever works; write it like {mon-fri: "10:00-14:00, 15:00-20:00", sat: "10:00-18:00"}`,
		`calendar: {kind: builtin, hours: {mon: "10:00-18:00"}, services: {cat: 1h}}` + "\ntriage: {services: [{name: Cut, code: cut}]}": `line 2: calendar.services.cat: there is no service "cat" in triage.services; did you mean "cut"?`,
		`calendar: {kind: builtin, hours: {mon: "9-18"}}`:                                                                  `line 2: calendar.hours: "9-18" is no time of work; write it like {mon-fri: "10:00-14:00, 15:00-20:00", sat: "10:00-18:00"}`,
		"records: {url: off}\ncalendar: {kind: builtin, hours: {mon: '10:00-18:00'}}":                                      "line 3: calendar.kind: bookings are kept in the records, and these are off; write records: {url: embedded}, or calendar: {kind: off}",
		`calendar: {kind: builtin, hours: {mon: "10:00-18:00"}, masters: [{name: Anna, exceptions: [{day: 31.12.2026}]}]}`: `line 2: calendar.masters[0].exceptions: "31.12.2026" to "" is no time of days; write it like {day: "2026-12-31", until: "2027-01-08", hours: "off"}, with the quotes`,
	} {
		if _, got := load(t, write(t, "language: en\n"+text+"\n"+told)); strings.Join(got, "\n") != want {
			t.Errorf("%s:\n%s\nwant\n%s", text, strings.Join(got, "\n"), want)
		}
	}
}

// The check asks the calendars, and says so without their address or password.
func TestCheckCalendar(t *testing.T) {
	english(t)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for yaml, want := range map[string]string{
		`{kind: off}`: "",
		`{kind: builtin, hours: {mon: "10:00-18:00"}}`: stateOK,
		`{kind: caldav, hours: {mon: "10:00-18:00"}, caldav: {url: "` + closed.URL + `/secret-path/", password: hush-hush, allow_private: true}}`: stateFault,
	} {
		_, states, details := checked(t, oneSource+"sinks: {table: {kind: csv}}\ncalendar: "+yaml+"\n")
		if states["calendar"] != want || strings.Contains(details["calendar"], "hush") || strings.Contains(details["calendar"], "secret-path") {
			t.Errorf("%s: %q %s", yaml, states["calendar"], details["calendar"])
		}
	}
}
