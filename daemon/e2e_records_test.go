//go:build linux

package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"leadstream/daemon/proof"
	"leadstream/sinks"
	"leadstream/sinks/records"
	"leadstream/sinks/sim/fault"
	"leadstream/streams"
)

// records reads the instance's records beside the daemon.
func (i *instance) records() *records.Store {
	i.t.Helper()
	settings := records.Defaults()
	s, err := records.Kind.Open(&settings, sinks.Env{DataDir: i.Data, Region: "RU", Log: zerolog.Nop()})
	i.must(err)
	store := s.(*records.Sink).Store
	i.t.Cleanup(func() { _ = store.Close() })
	return store
}

// The records hear of everything: an enquiry, its repeat, news, what a rule drops. While their file is no database leads are
// taken and delivered, and nothing is missing once it can be written, over a kill -9 too.
func TestRecords(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{Records: records.Embedded, Tagging: `, rules: [{when: 'phone == "+79998880009"', drop: spam}]`})
	l := i.ledger()
	first := l.must(l.says("", "+79998880001"))
	i.quiet()
	store := i.records()
	find := func(phone string) records.Card {
		cards, err := store.Find(context.Background(), phone, 2)
		i.must(err)
		if len(cards) != 1 {
			t.Fatalf("%d cards of one phone", len(cards))
		}
		card, err := store.Card(context.Background(), cards[0].ID, true)
		i.must(err)
		return card
	}
	if card := find("+79998880001"); len(card.Messages) != 1 || card.Messages[0].Lead != first.LeadID || card.Source != "site" {
		t.Errorf("card %+v", card)
	}
	if life := i.life(first.LeadID); life.State != streams.Delivered || len(life.Destinations) != 2 {
		t.Errorf("the lead ended as %+v", life)
	}

	i.must(store.Close())
	i.Kill()
	path := filepath.Join(i.Data, "records.db")
	for _, suffix := range []string{"-wal", "-shm"} {
		_ = os.Remove(path + suffix)
	}
	i.must(os.WriteFile(path, make([]byte, 8192), 0o600))
	i.start()
	repeat := l.must(l.says("", "+79998880001"))
	dropped := l.must(l.says("", "+79998880009"))
	i.eventually("the repeat is at the CRM", func() bool { return len(i.events("comment"))+len(i.events("create")) > 1 })
	news := i.tell(`{"event":"won","phone":"+79998880001","about":"` + first.LeadID + `"}`)
	for _, id := range []string{repeat.LeadID, dropped.LeadID, news} {
		if life := i.life(id); life.State != streams.InFlight {
			t.Errorf("while the records are down it is %s", life.State)
		}
	}
	// A lead that is dead at the CRM takes no message of its customer, though it is still to be written down.
	i.CRM.Inject(fault.Fault{Code: "CRM_FIELD_ERROR_VALUE_NOT_VALID", Description: "Invalid value"})
	dead := l.must(l.says("", "+79998880005"))
	i.eventually("the lead is dead at the CRM", func() bool {
		return slices.ContainsFunc(i.life(dead.LeadID).Destinations, func(s streams.Stop) bool { return s.State == streams.Dead })
	})
	i.CRM.Clear()
	next := l.must(l.says("", "+79998880005"))
	i.eventually("the next message has a card", func() bool { return len(i.CRM.Created(next.LeadID)) == 1 })
	i.must(os.Remove(path))
	i.quiet()
	if life := i.life(next.LeadID); life.RepeatOf != "" {
		t.Errorf("the next message repeats %s, which is dead", life.RepeatOf)
	}
	card := find("+79998880001")
	if len(card.Messages) != 2 || card.Messages[0].RepeatOf != first.LeadID || card.Messages[1].Event != "won" || card.Orders != 1 {
		t.Errorf("card %+v", card)
	}
	if out := i.run("customers", "find", "8 999 888-00-01"); !strings.Contains(out, "+79998880001") {
		t.Errorf("customers find says %s", out)
	}
	if out := i.run("customers", "show", strconv.FormatInt(card.ID, 10)); !strings.Contains(out, "[won]") {
		t.Errorf("customers show says %s", out)
	}
	if out := i.run("customers", "show", "--json", strconv.FormatInt(card.ID, 10)); !strings.Contains(out, `"event": "won"`) {
		t.Errorf("customers show --json says %s", out)
	}
	lines := strings.Split(strings.TrimSpace(i.run("customers", "export")), "\n")
	var out records.Card
	i.must(json.Unmarshal([]byte(lines[0]), &out))
	if len(lines) != 3 || out.ID != card.ID || len(out.Messages) != len(card.Messages) {
		t.Errorf("customers export says %q", lines)
	}
	rows, err := csv.NewReader(strings.NewReader(i.run("customers", "export", "--csv"))).ReadAll()
	i.must(err)
	if len(rows) != 1+len(card.Messages)+2+1 || rows[1][2] != "+79998880001" || rows[1][9] != out.Messages[0].Lead {
		t.Errorf("customers export --csv says %q", rows)
	}
	if card := find("+79998880009"); len(card.Messages) != 1 {
		t.Errorf("card of the dropped lead: %+v", card)
	}
	if life := i.life(dropped.LeadID); life.State != streams.Dropped || life.Reason != "spam" {
		t.Errorf("it ended as %+v", life)
	}
	if life := i.life(news); life.State != streams.Delivered {
		t.Errorf("news ended as %+v", life)
	}
}
