//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"leadstream/daemon/proof"
	"leadstream/sinks/sim/fault"
	"leadstream/sinks/sim/portal"
	"leadstream/streams"
)

// How a fault of the CRM must end.
type ending int

const (
	byItself   ending = iota // delivered once, with nobody's help
	resumed                  // the destination rests until a person has cured the cause: nothing dies meanwhile
	diesAtOnce               // the lead's own fault: dead, and a person is told
	waits                    // a method rests: the lead waits for it, and the portal is left alone
)

// card is the call that makes a card.
const card = "crm.item.add"

func TestEveryFaultOfTheCRM(t *testing.T) {
	t.Parallel()
	code := func(c string) fault.Fault { return fault.Fault{Method: card, Code: c} }
	once := func(f fault.Fault) fault.Fault { f.Method, f.Times = card, 1; return f }
	for name, c := range map[string]struct {
		fault fault.Fault
		ends  ending
		after time.Duration // the portal must be left alone for so long
	}{
		"rate":                         {fault: once(code("QUERY_LIMIT_EXCEEDED")), after: time.Second},
		"working time":                 {fault: code("OPERATION_TIME_LIMIT"), ends: waits},
		"blocked by hand":              {fault: code("OVERLOAD_LIMIT"), ends: resumed},
		"webhook removed":              {fault: code("NO_AUTH_FOUND"), ends: resumed},
		"token expired":                {fault: code("expired_token"), ends: resumed},
		"no rights":                    {fault: code("INVALID_CREDENTIALS"), ends: resumed},
		"no scope":                     {fault: code("insufficient_scope"), ends: waits},
		"denied":                       {fault: code("ACCESS_DENIED"), ends: resumed},
		"not paid":                     {fault: code("PAYMENT_REQUIRED"), ends: resumed},
		"no such method":               {fault: code("ERROR_METHOD_NOT_FOUND"), ends: waits},
		"value refused":                {fault: code("CRM_FIELD_ERROR_VALUE_NOT_VALID"), ends: diesAtOnce},
		"bad argument":                 {fault: code("INVALID_ARG_VALUE"), ends: diesAtOnce},
		"500":                          {fault: once(fault.Fault{Code: "INTERNAL_SERVER_ERROR"})},
		"500 after the card was made":  {fault: once(fault.Fault{Code: "INTERNAL_SERVER_ERROR", After: true})},
		"502 page":                     {fault: once(fault.Fault{Status: 502})},
		"502 page, card made":          {fault: once(fault.Fault{Status: 502, After: true})},
		"504 page, card made":          {fault: once(fault.Fault{Status: 504, After: true})},
		"login page":                   {fault: once(fault.Fault{HTML200: true})},
		"login page, card made":        {fault: once(fault.Fault{HTML200: true, After: true})},
		"empty 200, card made":         {fault: once(fault.Fault{Empty: true, After: true})},
		"429 with seconds":             {fault: once(fault.Fault{Status: 429, RetryAfter: "2"}), after: 2 * time.Second},
		"429 with a date":              {fault: once(fault.Fault{Status: 429, RetryAfter: "date"}), after: time.Second},
		"503 with nonsense":            {fault: once(fault.Fault{Status: 503, RetryAfter: "soon"})},
		"hang":                         {fault: once(fault.Fault{Hang: true})},
		"hang, card made":              {fault: once(fault.Fault{Hang: true, After: true})},
		"reset":                        {fault: once(fault.Fault{Reset: true})},
		"reset, card made":             {fault: once(fault.Fault{Reset: true, After: true})},
		"lost answer":                  {fault: once(fault.Fault{LoseAnswer: true})},
		"answer cut":                   {fault: once(fault.Fault{CutAfter: 20})},
		"answer byte by byte":          {fault: once(fault.Fault{Trickle: 50 * time.Millisecond})},
		"finished after we gave up":    {fault: once(fault.Fault{FinishLate: 850 * time.Millisecond})},
		"answer larger than all sense": {fault: once(fault.Fault{Fill: 64 << 20})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newInstance(t, proof.Setup{Level: "debug"})
			f := c.fault
			if f.RetryAfter == "date" { // of whole seconds, so up to one is cut off
				f.RetryAfter = time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat)
			}
			i.CRM.Inject(f)
			l := i.ledger()
			lead := l.one()
			i.ends(lead, c.ends)
			if c.ends == waits { // for minutes
				return
			}
			if gap := i.leftAlone(); gap < c.after {
				t.Errorf("the portal was asked again after %s, want %s", gap, c.after)
			}
			l.settled()
		})
	}
}

// ends sees a lead through a fault, with the help that it needs.
func (i *instance) ends(lead *proof.Request, how ending) {
	i.t.Helper()
	switch how {
	case resumed:
		i.eventually("the destination rests", func() bool { s := i.destination("crm"); return s.State == "paused" && s.Reason != "" })
		time.Sleep(2 * time.Second)
		if s, n := i.life(lead.LeadID).State, i.CRM.Requests(); s != streams.InFlight || n != 1 {
			i.t.Errorf("the lead is %s after %d requests, want in_flight, 1", s, n)
		}
		i.CRM.Clear() // what the reason asked for was done
		i.run("resume", "crm")
	case waits:
		i.eventually("the portal has refused", func() bool { return len(i.events("refuse")) > 0 })
		time.Sleep(2 * time.Second)
		if s, n := i.life(lead.LeadID).State, i.CRM.Requests(); s != streams.InFlight || n != 1 {
			i.t.Errorf("the lead is %s after %d requests, want in_flight, 1", s, n)
		}
	case diesAtOnce:
		i.eventually("the lead is dead", func() bool { return i.life(lead.LeadID).State == streams.Dead })
		i.eventually("a person is told", func() bool { return len(i.told("Leads not delivered: 1")) == 1 })
		if m := i.told("Leads not delivered: 1")[0]; !strings.Contains(m.Text, proof.PersonName) {
			i.t.Errorf("the message does not say whom to call: %s", m.Text)
		}
		if rows := i.manual(); len(rows) != 1 || !strings.Contains(rows[0], lead.Phone) {
			i.t.Errorf("rows %v, want one with %s", rows, lead.Phone)
		}
		i.CRM.Clear()
		i.replay(lead)
	}
}

// replay brings a dead lead through by hand.
func (i *instance) replay(lead *proof.Request) {
	i.t.Helper()
	var page DeadPage
	if err := json.Unmarshal([]byte(i.run("dead", "list", "--json")), &page); err != nil || len(page.Dead) != 1 {
		i.t.Fatalf("dead list: %v, %v; want one", page, err)
	}
	id := page.Dead[0].ID
	if shown := i.run("dead", "show", id); !strings.Contains(shown, lead.LeadID) || !strings.Contains(shown, "attempt 1") {
		i.t.Errorf("dead show %s: %s", id, shown)
	}
	if out := i.run("dead", "replay", id); !strings.Contains(out, "sent again: 1") {
		i.t.Errorf("dead replay: %s", out)
	}
}

func (i *instance) destination(name string) DestinationStatus {
	s, _ := i.status()
	for _, d := range s.Destinations {
		if d.Name == name {
			return d
		}
	}
	return DestinationStatus{}
}

// leftAlone is how long the portal was not asked after its first refusal.
func (i *instance) leftAlone() time.Duration {
	i.quiet()
	var from time.Time
	for _, e := range i.CRM.Ledger() {
		if !from.IsZero() {
			return e.At.Sub(from)
		}
		if e.Kind == "refuse" {
			from = e.At
		}
	}
	return 0
}

// A renamed portal answers every call with where it is now.
func TestRenamedPortal(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{})
	moved := portal.New(portal.Options{Users: []portal.User{{ID: 1, Name: "Администратор", Secret: proof.CRMSecret}}, Limits: portal.NoLimits})
	if err := moved.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = moved.Close() })
	i.also = moved
	i.CRM.Inject(fault.Fault{Method: card, Status: http.StatusFound, Header: map[string]string{"Location": moved.URL() + card}})
	l := i.ledger()
	l.one()
	l.settled()
	if n := len(moved.Created(l.All()[0].LeadID)); n != 1 {
		t.Errorf("%d cards at the new address, want 1", n)
	}
	// Somewhere else than a portal's path must not learn the secret.
	other := newInstance(t, proof.Setup{})
	other.CRM.Inject(fault.Fault{Method: card, Times: 1, Status: http.StatusFound, Header: map[string]string{"Location": moved.Base() + "/login"}})
	before := moved.Requests()
	stranger := other.ledger()
	other.ends(stranger.one(), resumed)
	stranger.settled()
	if moved.Requests() != before {
		t.Error("a redirect to another path was followed")
	}
}

// An outage ends in one message, not in one for each lead, and nothing is doubled by bringing the leads through.
func TestOutageIsOneMessage(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{Tell: "manager, sms", CRMKeys: `retry: {attempts: 2, base: 100ms, factor: 1, max: 100ms}`})
	i.Phone.Inject(fault.Fault{Method: "sendMessage", Status: http.StatusInternalServerError}) // Telegram is down too
	i.CRM.Inject(fault.Fault{Times: 2, LoseAnswer: true})                                      // some cards are made, unknown to us
	i.CRM.Inject(fault.Fault{Status: http.StatusInternalServerError})
	l := i.ledger()
	const leads = 20
	l.burst(leads, leads)
	i.eventually("all are dead", func() bool { s, _ := i.status(); return s.Leads[streams.Dead] == leads })
	i.eventually("a person is told", func() bool { return len(i.Phone.Messages()) > 0 })
	i.eventually("every lead has its row", func() bool { return len(i.manual()) == leads })
	time.Sleep(3 * time.Second) // whatever would be told twice
	for _, m := range i.Phone.Messages() {
		if m.Via != "smsc" || !strings.Contains(m.Text, fmt.Sprint(leads)) {
			t.Errorf("told by %s: %s; want by SMS, of %d leads", m.Via, m.Text, leads)
		}
	}
	if n := len(i.Phone.Messages()); n != 1 {
		t.Errorf("%d messages, want 1: %v", n, i.Phone.Messages())
	}
	i.CRM.Clear()
	if out := i.run("dead", "replay", "--destination", "crm"); !strings.Contains(out, fmt.Sprintf("sent again: %d", leads)) {
		t.Errorf("dead replay: %s", out)
	}
	l.settled()
}
