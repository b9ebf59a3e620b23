//go:build linux

package proof

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"leadstream/sinks/sim/phone"
	"leadstream/sinks/sim/portal"
	"leadstream/streams"
)

// world builds facts by hand: one customer, whose first enquiry is acked and at the portal.
type facts struct {
	Facts
	now time.Time
}

func (f *facts) sent(n int, fate Fate) *Request {
	f.now = f.now.Add(time.Second)
	r := Request{Key: fmt.Sprint("k", n), Phone: "+79990000001", Text: fmt.Sprintf("wish %d: a haircut", n), Fate: fate,
		Due: f.now, Sent: f.now, Answered: f.now.Add(time.Millisecond)}
	if fate == Acked {
		r.LeadID = fmt.Sprint("lead", n)
		f.Lives[r.LeadID] = streams.Life{ID: r.LeadID, State: streams.Delivered}
	}
	f.Sent = append(f.Sent, r)
	return &f.Sent[len(f.Sent)-1]
}

func (f *facts) arrived(n int) *portal.Event {
	f.Portal = append(f.Portal, portal.Event{Seq: len(f.Portal) + 1, Kind: "create", Entity: "lead", ID: 100 + len(f.Portal),
		Origin: fmt.Sprint("lead", n), Payload: map[string]any{"fields": map[string]any{"name": PersonName,
			"fm": []any{map[string]any{"value": "+79990000001"}}, "comments": fmt.Sprintf("wish %d: a haircut\nService: haircut", n)}}})
	return &f.Portal[len(f.Portal)-1]
}

// carried is what a customer has written by a service, at a turn of its order, and is at the portal as a comment.
func (f *facts) carried(n int, turn int64) *portal.Event {
	r := f.sent(n, Acked)
	r.Who, r.Turn, r.Carried, r.Source = "tg 1", turn, true, ""
	e := f.arrived(n)
	e.Kind = "comment"
	return e
}

func TestCheckFindsEachFault(t *testing.T) {
	outage := Outage{Alert: "Redis is down", Recovery: "Redis is back"}
	for name, c := range map[string]struct {
		breaks func(*facts)
		want   Verdict // its counts of faults
	}{
		"all well":              {breaks: func(*facts) {}},
		"unknown arrived":       {breaks: func(f *facts) { f.sent(2, Unknown); f.arrived(2) }},
		"unknown did not":       {breaks: func(f *facts) { f.sent(2, Unknown) }},
		"acked at the second":   {breaks: func(f *facts) { f.sent(2, Unknown); f.sent(2, Acked); f.arrived(2) }},
		"dead, a person has it": {breaks: func(f *facts) { f.sent(2, Acked); f.Dead["lead2"] = true }},
		"told of its outage": {breaks: func(f *facts) {
			f.Outages = []Outage{outage}
			f.Told = []phone.Message{{Text: "Redis is down!"}, {Text: "Redis is back!"}}
		}},
		"lost":                            {breaks: func(f *facts) { f.sent(2, Acked) }, want: Verdict{Lost: 1}},
		"doubled":                         {breaks: func(f *facts) { f.arrived(1).Origin = "another" }, want: Verdict{Doubled: 1}},
		"doubled under one id":            {breaks: func(f *facts) { f.arrived(1) }, want: Verdict{Doubled: 2}},
		"unknown doubled":                 {breaks: func(f *facts) { f.sent(2, Unknown); f.arrived(2); f.arrived(2).Origin = "another" }, want: Verdict{Doubled: 1}},
		"one request became two leads":    {breaks: func(f *facts) { f.sent(1, Acked).LeadID = "lead9"; f.Lives["lead9"] = f.Lives["lead1"] }, want: Verdict{Doubled: 1, Unexplained: 1}},
		"card and comment":                {breaks: func(f *facts) { e := f.arrived(1); e.Kind, e.Origin = "comment", "" }, want: Verdict{Doubled: 1}},
		"by a service, in its order":      {breaks: func(f *facts) { f.carried(2, 1); f.carried(3, 2) }},
		"by a service, against its order": {breaks: func(f *facts) { f.carried(2, 2); f.carried(3, 1) }, want: Verdict{OutOfOrder: 1}},
		"with the service still":          {breaks: func(f *facts) { f.sent(2, Waiting) }},
		"with the service, and arrived":   {breaks: func(f *facts) { f.sent(2, Waiting); f.arrived(2) }},
		"a customer has two cards":        {breaks: func(f *facts) { f.OneCard = true; f.carried(2, 1).Kind = "create"; f.carried(3, 2).Kind = "create" }, want: Verdict{Doubled: 1}},
		"a customer has one card":         {breaks: func(f *facts) { f.OneCard = true; f.carried(2, 1).Kind = "create"; f.carried(3, 2) }},
		"a second card with a reason": {breaks: func(f *facts) {
			f.OneCard = true
			f.carried(2, 1).Kind = "create"
			f.carried(3, 2).Kind = "create"
			r := f.sent(4, Acked)
			r.Who, f.Dead[r.LeadID] = "tg 1", true
		}},
		"a missed call": {breaks: func(f *facts) {
			r := f.sent(2, Acked)
			r.Phone, r.Text, r.Nameless = "+79990000002", Call("+79990000002"), true
			f.arrived(2).Payload = "+79990000002"
		}},
		"a missed call is lost":          {breaks: func(f *facts) { r := f.sent(2, Acked); r.Phone, r.Text = "+79990000002", Call("+79990000002") }, want: Verdict{Lost: 1}},
		"rejected arrived":               {breaks: func(f *facts) { f.sent(2, Rejected); f.arrived(2) }, want: Verdict{Invented: 1}},
		"never sent":                     {breaks: func(f *facts) { f.arrived(3) }, want: Verdict{Invented: 1}},
		"a card that says nothing":       {breaks: func(f *facts) { f.arrived(3).Payload = "" }, want: Verdict{Invented: 1}},
		"another text":                   {breaks: func(f *facts) { f.sent(2, Acked).Text = "wish 2: a shave"; f.arrived(2) }, want: Verdict{Damaged: 1}},
		"another phone":                  {breaks: func(f *facts) { f.sent(2, Acked).Phone = "+79990000002"; f.arrived(2) }, want: Verdict{Damaged: 1}},
		"behind the later one":           {breaks: func(f *facts) { f.sent(2, Acked); f.sent(3, Acked); f.arrived(3); f.arrived(2) }, want: Verdict{OutOfOrder: 1}},
		"an entry is left":               {breaks: func(f *facts) { f.Left = map[string]int64{"ls:{0}:intake": 1} }, want: Verdict{LeftOpen: 1}},
		"a lead is open":                 {breaks: func(f *facts) { f.Open = 1 }, want: Verdict{LeftOpen: 1}},
		"unexplained":                    {breaks: func(f *facts) { f.Unexplained = 1 }, want: Verdict{Unexplained: 1}},
		"the daemon forgot an acked":     {breaks: func(f *facts) { delete(f.Lives, "lead1") }, want: Verdict{Unexplained: 1}},
		"the daemon holds one in flight": {breaks: func(f *facts) { f.Lives["lead1"] = streams.Life{State: streams.InFlight} }, want: Verdict{Unexplained: 1}},
		"the daemon made one up":         {breaks: func(f *facts) { f.Lives["x"] = streams.Life{State: streams.Delivered} }, want: Verdict{Unexplained: 1}},
		"an outage nobody was told of":   {breaks: func(f *facts) { f.Outages = []Outage{outage} }, want: Verdict{Alerts: 2}},
		"an outage told twice": {breaks: func(f *facts) {
			f.Outages = []Outage{outage}
			f.Told = []phone.Message{{Text: "Redis is down!"}, {Text: "Redis is down!"}, {Text: "Redis is back!"}}
		}, want: Verdict{Alerts: 1}},
		"secret in the log": {breaks: func(f *facts) { f.Log = []byte("url=/rest/1/" + CRMSecret + "/") }, want: Verdict{Leaks: 1}},
		"phone in the log":  {breaks: func(f *facts) { f.Log = []byte(`{"tel":"79990000001"}`) }, want: Verdict{Leaks: 1}},
		"no log":            {breaks: func(f *facts) { f.Log = nil }, want: Verdict{Leaks: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &facts{Facts: Facts{Lives: map[string]streams.Life{}, Dead: map[string]bool{}, Log: []byte(`{"id":"17999000000017","lead":"x"}`)},
				now: time.Now()}
			f.sent(1, Acked)
			f.arrived(1)
			c.breaks(f)
			got, err := Check(f.Facts)
			if err != nil {
				t.Fatal(err)
			}
			faults := got.Faults
			got.Faults, got.Accepted, got.Unknown, got.Delivered = nil, 0, 0, 0
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) {
				t.Errorf("got %+v, want %+v:\n%s", got, c.want, strings.Join(faults, "\n"))
			}
		})
	}
}

func TestNothingSentIsNothingTested(t *testing.T) {
	for name, sent := range map[string][]Request{"nothing": nil, "all rejected": {{Text: "wish 1: x", Fate: Rejected}}} {
		if _, err := Check(Facts{Sent: sent, Log: []byte("x")}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestVerdictsAddUp(t *testing.T) {
	sum := Verdict{Accepted: 1, Lost: 2, Leaks: 3, Faults: []string{"a"}}
	sum.Add(Verdict{Accepted: 10, Lost: 20, Leaks: 30, Faults: []string{"b"}, By: map[string]*Verdict{"tg": {Lost: 4}}})
	sum.Add(Verdict{By: map[string]*Verdict{"tg": {Lost: 1}}})
	if sum.By["tg"].Lost != 5 {
		t.Errorf("a source's part: %+v", sum.By["tg"])
	}
	if sum.Accepted != 11 || sum.Lost != 22 || sum.Leaks != 33 || !slices.Equal(sum.Faults, []string{"a", "b"}) || sum.Err() == nil {
		t.Errorf("%+v", sum)
	}
}
