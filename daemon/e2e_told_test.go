//go:build linux

package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leadstream/daemon/proof"
	"leadstream/sinks/sim/phone"
	"leadstream/streams"
)

func asText(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// told is the messages on the manager's phone that speak of something.
func (i *instance) told(of string) []phone.Message {
	var found []phone.Message
	for _, m := range i.Phone.Messages() {
		if strings.Contains(m.Text, of) {
			found = append(found, m)
		}
	}
	return found
}

// manual is the rows of the file that people work through by hand.
func (i *instance) manual() []string {
	i.t.Helper()
	var lines []string
	for _, row := range rowsOf(i.t, filepath.Join(i.Data, "manual.csv")) {
		lines = append(lines, strings.Join(row, "|"))
	}
	return lines
}

func TestLateLeadsAreToldAndStayQueued(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{CRMKeys: "late_after: 2s"})
	l := i.ledger()
	i.pause()
	const leads = 5
	l.burst(leads, leads)
	i.eventually("a person is told", func() bool { return len(i.told("Leads delayed")) > 0 })
	time.Sleep(4 * time.Second) // whatever would be told twice
	if got := i.told("Leads delayed"); len(got) != 1 || !strings.Contains(got[0].Text, "5") {
		t.Errorf("told %v, want one message of 5 leads", got)
	}
	if rows := i.manual(); len(rows) != leads {
		t.Errorf("rows %v, want %d", rows, leads)
	}
	if s, _ := i.status(); s.Leads[streams.InFlight] != leads || len(i.events("create")) != 0 {
		t.Errorf("in flight %d, at the portal %d; want %d, 0", s.Leads[streams.InFlight], len(i.events("create")), leads)
	}
	i.Kill() // a pause and what was told outlive the daemon
	i.start()
	time.Sleep(2 * time.Second)
	if n := len(i.events("create")); n != 0 {
		t.Errorf("%d cards although the destination is paused", n)
	}
	i.run("resume", "crm")
	l.settled()
	if got := i.told("Leads delayed"); len(got) != 1 {
		t.Errorf("told %v after a restart, want nothing more", got)
	}
}
