package processors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"leadstream/streams"
)

// desk is a Teller with a ledger, a file and two people whose phones can be switched off.
type desk struct {
	t       *testing.T
	teller  *Teller
	now     time.Time
	open    []Case
	rows    []string // lead ids
	told    map[string]string
	got     []Message
	by      []string
	off     map[string]bool
	noDisk  bool
	noVault bool // the ledger cannot record
}

func (d *desk) Untold(time.Time) (open []Case) {
	for _, c := range d.open {
		if d.told[c.key()] == "" {
			open = append(open, c)
		}
	}
	return open
}

func (d *desk) Lead(id string) *streams.Lead {
	return &streams.Lead{ID: id, Name: "Клиент " + id, Phone: phone1, Service: "Маникюр"}
}

func (d *desk) Told(_ context.Context, cases []Case, how string) error {
	if d.noVault {
		return errors.New("journal is full")
	}
	for _, c := range cases {
		if d.told[c.key()] != "" {
			d.t.Errorf("%s was told twice", c.LeadID)
		}
		d.told[c.key()] = how
	}
	return nil
}

type deskPhone struct {
	d    *desk
	name string
}

func (p deskPhone) Send(_ context.Context, m Message) error {
	if p.d.off[p.name] {
		return errors.New("no connection")
	}
	if !p.d.noDisk && len(p.d.rows) == 0 {
		p.d.t.Error("a message went out before its row was written")
	}
	p.d.got, p.d.by = append(p.d.got, m), append(p.d.by, p.name)
	return nil
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, now: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC), told: map[string]string{}, off: map[string]bool{}}
	d.restart()
	return d
}

func (d *desk) restart() {
	d.teller = &Teller{
		Ledger: d, Language: "ru", People: []Person{{"telegram", deskPhone{d, "telegram"}}, {"sms", deskPhone{d, "sms"}}},
		Rows: func(_ context.Context, cases []Case) error {
			if d.noDisk {
				return errors.New("disk is full")
			}
			for _, c := range cases {
				d.rows = append(d.rows, c.Lead.ID)
			}
			return nil
		},
	}
}

func (d *desk) dies(ids ...string) {
	for _, id := range ids {
		d.open = append(d.open, Case{LeadID: id, Trouble: Dead, Destination: "crm", Since: d.now, Attempts: 5, Err: "status 503"})
	}
}

// pass lets time pass and answers how many messages and rows came.
func (d *desk) pass(span time.Duration) (messages, rows int) {
	m, r := len(d.got), len(d.rows)
	for end := d.now.Add(span); d.now.Before(end); {
		d.now = d.now.Add(time.Second)
		d.teller.Step(context.Background(), d.now)
	}
	return len(d.got) - m, len(d.rows) - r
}

func (d *desk) want(span time.Duration, messages, rows int) {
	d.t.Helper()
	if m, r := d.pass(span); m != messages || r != rows {
		d.t.Errorf("in %v until %s: %d messages and %d rows, want %d and %d", span, d.now.Format("15:04:05"), m, r, messages, rows)
	}
}

func TestOneMessageForAnOutage(t *testing.T) {
	d := newDesk(t)
	d.want(time.Minute, 0, 0)
	for i := range 500 {
		d.dies(fmt.Sprintf("lead%03d", i))
	}
	d.want(time.Second, 0, 500) // the rows at once
	d.dies("late comer")
	d.want(10*time.Second, 1, 1)
	for _, want := range []string{"Не доставлено заявок: 501 (crm 501), с 02.03 12:01", "1. Клиент lead000, +79990000011, Маникюр",
		"10. Клиент lead009", "и ещё 491, все записаны в CSV", "crm: status 503"} {
		if !strings.Contains(d.got[0].Text, want) {
			t.Errorf("the message lacks %q:\n%s", want, d.got[0].Text)
		}
	}
	if strings.Contains(d.got[0].Text, "11. ") || !d.got[0].Urgent {
		t.Errorf("more than ten customers, or not urgent: %+v", d.got[0])
	}
	d.dies("next")
	d.want(4*time.Minute, 0, 1)
	d.dies("after next")
	d.want(time.Minute, 1, 1)
	if len(d.told) != 503 {
		t.Errorf("%d cases recorded, want 503", len(d.told))
	}
	d.restart()
	d.want(6*time.Minute, 0, 0)
}

func TestSMSWhenTelegramFails(t *testing.T) {
	d := newDesk(t)
	d.off["telegram"] = true
	d.dies("a")
	d.want(10*time.Second, 1, 1)
	if d.by[0] != "sms" || d.told[d.open[0].key()] != "sms" || !strings.Contains(d.got[0].Text, "Не принял сообщение: telegram") {
		t.Errorf("told by %v: %+v", d.by, d.got)
	}
}

func TestNobodyAnswers(t *testing.T) {
	d := newDesk(t)
	d.off = map[string]bool{"telegram": true, "sms": true}
	d.dies("a")
	d.want(time.Hour, 0, 1) // one row, no message
	if len(d.told) != 0 {
		t.Error("recorded as told, and nobody was")
	}
	d.dies("b")
	d.off = nil
	d.want(6*time.Minute, 1, 1)
	if !strings.Contains(d.got[0].Text, "Клиент a") || !strings.Contains(d.got[0].Text, "Клиент b") {
		t.Errorf("the message lacks one of the two:\n%s", d.got[0].Text)
	}
}

func TestDiskFull(t *testing.T) {
	d := newDesk(t)
	d.noDisk = true
	d.dies("a")
	d.want(time.Minute, 1, 0) // a person hears all the same
	if !strings.Contains(d.got[0].Text, "CSV не пишется") || len(d.told) != 0 {
		t.Errorf("told %v:\n%s", d.told, d.got[0].Text)
	}
	d.noDisk = false
	d.want(10*time.Minute, 1, 1)
	if len(d.told) != 1 {
		t.Error("not recorded after its row was written")
	}
	d.want(time.Hour, 0, 0)
}

func TestLedgerCannotRecord(t *testing.T) {
	d := newDesk(t)
	d.noVault = true
	d.dies("a")
	d.want(time.Hour, 1, 1) // no second message
	d.noVault = false
	d.want(6*time.Minute, 0, 0)
	if len(d.told) != 1 {
		t.Error("not recorded once the ledger could")
	}
}

func TestTellerForgetsWhatEndedByItself(t *testing.T) {
	d := newDesk(t)
	d.dies("a")
	d.want(time.Second, 0, 1)
	d.open = nil // delivered after all
	d.want(time.Minute, 0, 0)
}

func TestALateLeadMovesOn(t *testing.T) {
	d := newDesk(t)
	d.dies("a")
	d.open[0].Trouble = Late
	d.want(time.Second, 0, 1)
	d.open[0].Destination = "history" // it has reached crm
	d.want(10*time.Second, 1, 0)
}

func TestTellerReturnsWhatWentWrong(t *testing.T) {
	d := newDesk(t)
	d.off = map[string]bool{"telegram": true, "sms": true}
	d.dies("a")
	ctx := context.Background()
	if err := d.teller.Step(ctx, d.now); err != nil {
		t.Fatal(err)
	}
	if err := d.teller.Step(ctx, d.now.Add(2*time.Second)); err == nil || !strings.Contains(err.Error(), "telegram") {
		t.Errorf("Step = %v, want who refused", err)
	}
	if err := d.teller.Step(ctx, d.now.Add(3*time.Second)); err != nil {
		t.Errorf("Step = %v before the next try, want quiet", err)
	}
}

func TestTellerTexts(t *testing.T) {
	anna := &streams.Lead{ID: "a", Name: "Анна\nЗвоните: +70000000000", Phone: phone1, Time: "завтра"}
	hot := &streams.Lead{ID: "b", Email: email1, Hot: true}
	since := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		language string
		cases    []Case
		text     []string
		short    string
	}{
		"one": {"ru", []Case{{Lead: anna, Destination: "crm", Trouble: Dead, Since: since}},
			[]string{"1. Анна Звоните: +70000000000, +79990000011, завтра"}, "Заявка не дошла. Позвоните: +79990000011 Анна Звоните: +70000000…"},
		"hot first": {"ru", []Case{{Lead: anna, Trouble: Late, Since: since}, {Lead: hot, Trouble: Late, Since: since}},
			[]string{"Заявок задерживается: 2, с 02.03 19:00\n", "1. СРОЧНО anna@example.test"}, "Не дошло: 2. Звоните anna@example.test, остальные в CSV"},
		"one customer, two destinations": {"en", []Case{{Lead: anna, Destination: "crm", Trouble: Dead, Since: since}, {Lead: anna, Destination: "history", Trouble: Held, Since: since}},
			[]string{"Leads not delivered: 1 (crm 1)", "Leads that wait for your decision: 1 (history 1)", "1. Анна"}, ""},
		"nothing to read": {"en", []Case{{Trouble: Quarantine, Destination: "q1", Since: since, Err: "site: not JSON"}},
			[]string{"Requests that could not be read: 1, since", "\nsite: not JSON\n"}, "1 leads stuck. See the console and the CSV"},
		"neither name nor contact": {"ru", []Case{{Lead: &streams.Lead{ID: "x1"}, Trouble: Dead, Since: since}},
			[]string{"1. без имени и контакта, заявка x1"}, "Заявок не дошло: 1. Смотрите консоль и CSV"},
		"a chat": {"ru", []Case{{Lead: &streams.Lead{ID: "x1", Channel: "telegram", UserID: "77"}, Trouble: Dead, Since: since}},
			[]string{"1. telegram 77"}, "Заявка не дошла. Позвоните: telegram 77"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			teller := &Teller{Language: tt.language, Zone: time.FixedZone("+07", 7*3600)}
			m := teller.compose(tt.cases, false)
			for _, want := range tt.text {
				if !strings.Contains(m.Text+"\n", want) {
					t.Errorf("the text lacks %q:\n%s", want, m.Text)
				}
			}
			if tt.short != "" && m.Short != tt.short || !FitsSMS(m.Short) {
				t.Errorf("short %q, want %q in one segment", m.Short, tt.short)
			}
			if m.ID != teller.compose(tt.cases, false).ID {
				t.Error("the id changes from try to try")
			}
		})
	}
}

func TestTellerRunStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.dies("a")
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		if err := d.teller.Run(ctx); err != nil || len(d.got) != 1 {
			t.Errorf("Run = %v with %d messages, want nil with 1", err, len(d.got))
		}
	})
}

// A stop in an outage does not wait until thousands of rows are written; the next start writes what is missing.
func TestTellerStopsInAnOutage(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for i := range 3*rowsAtOnce - 1 {
		d.dies(fmt.Sprint("lead", i))
	}
	ctx, stop := context.WithCancel(t.Context())
	write := d.teller.Rows
	d.teller.Rows = func(ctx context.Context, cases []Case) error {
		stop()
		return write(ctx, cases)
	}
	if err := d.teller.Step(ctx, d.now); !errors.Is(err, context.Canceled) || len(d.rows) != rowsAtOnce {
		t.Errorf("%d rows after the stop, %v; want %d, canceled", len(d.rows), err, rowsAtOnce)
	}
	d.restart()
	d.rows = nil
	if _, rows := d.pass(5 * time.Second); rows != len(d.open) {
		t.Errorf("%d rows after the next start, want %d", rows, len(d.open))
	}
}
