package monitor

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/processors"
	"leadstream/streams/hours"
)

// office is a monitor in a business with a telegram, an sms and an owner, and a clock that the test turns.
type office struct {
	t      *testing.T
	m      *Monitor
	now    time.Time
	values map[string]Value
	got    []string // "telegram: first line of the message"
	all    []processors.Message
	broken map[string]bool
	set    Settings
	file   string
	beats  int
	hours  *hours.Hours
	tries  int
}

type phone struct {
	o    *office
	name string
}

func (p phone) Send(_ context.Context, m processors.Message) error {
	p.o.tries++
	if p.o.broken[p.name] {
		return errors.New("no connection")
	}
	head, rest, _ := strings.Cut(m.Text, "\n")
	_, title, _ := strings.Cut(rest, "• ")
	title, _, _ = strings.Cut(title, "\n")
	p.o.got = append(p.o.got, strings.TrimSuffix(p.name+": "+head+" | "+title, " | "))
	p.o.all = append(p.o.all, m)
	return nil
}

func (o *office) Values() []Value { return slices.Collect(maps.Values(o.values)) }

// noon is a Monday's.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func newOffice(t *testing.T, rules ...Rule) *office {
	o := &office{t: t, now: noon, values: map[string]Value{}, broken: map[string]bool{}, file: filepath.Join(t.TempDir(), "alerts.json")}
	o.set = Defaults()
	o.set.AliveAt = ""
	o.set.Rules = rules
	o.set.Escalation = []Step{{0, []string{"telegram"}}, {5 * time.Minute, []string{"sms"}}, {15 * time.Minute, []string{"owner"}}}
	o.measure("in_flight", 0)
	o.restart()
	return o
}

func (o *office) restart() {
	o.t.Helper()
	var err error
	o.m, err = New(o.set, Options{
		Source: o, Language: "ru", Hours: o.hours, Currency: "₽", File: o.file, Now: func() time.Time { return o.now },
		Notifiers: map[string]processors.Notifier{"telegram": phone{o, "telegram"}, "sms": phone{o, "sms"}, "owner": phone{o, "owner"}},
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) measure(name string, v float64, labels ...string) {
	l := map[string]string{}
	for i := 0; i < len(labels); i += 2 {
		l[labels[i]] = labels[i+1]
	}
	o.values[name+strings.Join(labels, ",")] = Value{name, l, v}
}

// pass lets time pass in rounds, and answers what was told in it.
func (o *office) pass(d time.Duration) []string {
	o.t.Helper()
	o.got = nil
	for end := o.now.Add(d); o.now.Before(end); {
		o.now = o.now.Add(o.set.Every)
		if err := o.m.Step(context.Background(), o.now); err != nil {
			o.t.Fatal(err)
		}
	}
	return o.got
}

func (o *office) want(d time.Duration, want ...string) {
	o.t.Helper()
	if diff := cmp.Diff(want, o.pass(d)); diff != "" {
		o.t.Errorf("told until %s (-want +got):\n%s", o.now.Format("15:04:05"), diff)
	}
}

func queueRule() Rule {
	return Rule{Name: "queue", When: "queue_length > 50", Clear: "queue_length < 40", Texts: Texts{"ru": {Title: "очередь {{.Labels.queue}} {{.Value}}"}}}
}

func TestHysteresis(t *testing.T) {
	o := newOffice(t, queueRule())
	o.measure("queue_length", 50)
	o.want(time.Minute)
	o.measure("queue_length", 51)
	o.want(20 * time.Second)
	o.want(time.Minute, "telegram: Внимание | очередь  51")
	o.measure("queue_length", 60) // a value is no news
	o.want(10 * time.Minute)
	o.measure("queue_length", 45) // neither is the space between
	o.want(10 * time.Minute)
	o.measure("queue_length", 39)
	o.want(10*time.Minute, "telegram: Прошло | Прошло: очередь  51 (длилось 21 мин)")
	o.measure("queue_length", 45)
	o.want(time.Hour)
}

func TestShortTroubleIsNeverTold(t *testing.T) {
	o := newOffice(t, queueRule())
	for range 10 {
		o.measure("queue_length", 60)
		o.want(20 * time.Second)
		o.measure("queue_length", 0)
		o.want(time.Minute)
	}
}

func TestForAndKeepFiringFor(t *testing.T) {
	r := queueRule()
	r.For, r.KeepFiringFor = 2*time.Minute, time.Minute
	o := newOffice(t, r)
	o.measure("queue_length", 60)
	o.want(time.Minute)
	o.measure("queue_length", 0) // begins anew
	o.want(10 * time.Second)
	o.measure("queue_length", 60)
	o.want(2*time.Minute + 20*time.Second)
	o.want(time.Minute, "telegram: Внимание | очередь  60")
	o.pass(10 * time.Minute)
	for range 5 { // flapping does not end it
		o.measure("queue_length", 0)
		o.want(50 * time.Second)
		o.measure("queue_length", 60)
		o.want(10 * time.Second)
	}
	o.measure("queue_length", 0)
	o.want(50 * time.Second)
	if len(o.m.Alerts()) != 1 {
		t.Error("it ended before keep_firing_for")
	}
	if got := o.pass(time.Minute); len(got) != 1 {
		t.Errorf("told %q, want the end once", got)
	}
}

func TestMinSample(t *testing.T) {
	o := newOffice(t, Rule{Name: "retries", When: "retry_success_rate < 0.8", Sample: "retries", MinSample: 20,
		Texts: Texts{"ru": {Title: "{{percent .Value}}"}}})
	o.measure("retry_success_rate", 0)
	o.want(5 * time.Minute) // without the sample nothing is known
	o.measure("retries", 19)
	o.want(5 * time.Minute)
	o.measure("retries", 20)
	o.want(time.Minute, "telegram: Внимание | 0%")
	o.measure("retries", 3)
	o.want(10*time.Minute, "telegram: Прошло | Прошло: 0% (длилось 1 мин)")
}

func TestGroupsAndRepeats(t *testing.T) {
	o := newOffice(t, queueRule())
	o.measure("queue_length", 60, "queue", "a")
	o.pass(20 * time.Second)
	o.measure("queue_length", 70, "queue", "b")
	if got := o.pass(time.Minute); len(got) != 1 || !strings.Contains(o.all[0].Text, "очередь b 70") {
		t.Errorf("told %q; both belong in one message:\n%s", got, o.all[0].Text)
	}
	o.measure("queue_length", 80, "queue", "c")
	o.want(3 * time.Minute)
	o.want(2*time.Minute, "telegram: Внимание | очередь a 60")
	o.measure("queue_length", 0, "queue", "b") // ends alone
	if got := o.pass(5 * time.Minute); len(got) != 1 || !strings.Contains(o.all[2].Text, "Прошло: очередь b 70") {
		t.Errorf("told %q, want the end of b in a message about the others", got)
	}
	o.want(3*time.Hour + 50*time.Minute)
	o.want(20*time.Minute, "telegram: Всё ещё не в порядке | очередь a 60")
	ids := map[string]bool{}
	for _, m := range o.all {
		ids[m.ID] = true
	}
	if len(ids) != len(o.all) {
		t.Errorf("%d ids for %d messages", len(ids), len(o.all))
	}
}

func critical(name, metric string, inhibits ...string) Rule {
	return Rule{Name: name, When: metric + " > 0", Severity: Critical, Inhibits: inhibits, Texts: Texts{"ru": {Title: name}}}
}

func TestEscalationAndAck(t *testing.T) {
	o := newOffice(t, critical("redis", "redis_down"))
	o.measure("redis_down", 1)
	o.want(time.Minute, "telegram: Тревога | redis")
	o.restart() // the timers must survive
	o.want(5*time.Minute, "sms: Никто не ответил за 5 мин | redis")
	id := o.m.Alerts()[0].Fingerprint
	if !strings.Contains(o.all[0].Text, id) {
		t.Errorf("the message does not name the code %s:\n%s", id, o.all[0].Text)
	}
	if err := o.m.Ack(id); err != nil {
		t.Fatal(err)
	}
	o.restart()
	o.want(24 * time.Hour)
	o.measure("redis_down", 0)
	if got := o.pass(time.Minute); len(got) != 2 { // both who heard of it
		t.Errorf("told %q, want the end to telegram and sms", got)
	}
	o.want(time.Hour)
	if err := o.m.Ack(id); err == nil {
		t.Error("an alert that is over was acknowledged")
	}
}

func TestAckDoesNotCoverWhatComesLater(t *testing.T) {
	o := newOffice(t, critical("breaker", "breaker_open"))
	o.measure("breaker_open", 1, "destination", "crm")
	o.pass(time.Minute)
	if err := o.m.Ack(o.m.Alerts()[0].Fingerprint); err != nil {
		t.Fatal(err)
	}
	o.measure("breaker_open", 1, "destination", "history")
	o.want(10*time.Minute, "telegram: Тревога | breaker", "sms: Никто не ответил за 5 мин | breaker")
}

func TestOnlyAFiringCauseMutes(t *testing.T) {
	cause := critical("breaker", "breaker_open", "queue")
	cause.For = time.Hour
	o := newOffice(t, queueRule(), cause)
	o.measure("breaker_open", 1)
	o.measure("queue_length", 60)
	o.want(time.Minute, "telegram: Внимание | очередь  60")
}

func TestEmptyLabelsAreNone(t *testing.T) {
	o := newOffice(t, queueRule())
	o.measure("queue_length", 60, "queue", "intake", "destination", "")
	o.pass(time.Minute)
	if diff := cmp.Diff(map[string]string{"queue": "intake"}, o.m.Alerts()[0].Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestEscalationWithoutAck(t *testing.T) {
	o := newOffice(t, critical("redis", "redis_down"))
	o.measure("redis_down", 1)
	o.want(20*time.Minute, "telegram: Тревога | redis", "sms: Никто не ответил за 5 мин | redis", "owner: Никто не ответил за 15 мин | redis")
}

func TestFailover(t *testing.T) {
	o := newOffice(t, queueRule())
	o.broken["telegram"] = true
	o.measure("queue_length", 60)
	o.want(time.Minute, "sms: Внимание | очередь  60")
	if !strings.Contains(o.all[0].Text, "Не принял сообщение: telegram") {
		t.Errorf("nobody learns that telegram is dead:\n%s", o.all[0].Text)
	}
}

func TestNobodyTakesIt(t *testing.T) {
	beat := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer beat.Close()
	o := newOffice(t, queueRule())
	o.broken = map[string]bool{"telegram": true, "sms": true, "owner": true}
	o.measure("queue_length", 60)
	o.want(30 * time.Minute)
	if o.tries > 3*12 { // 10 s, 20 s, … 5 min apart
		t.Errorf("%d tries in half an hour", o.tries)
	}
	o.broken = nil
	o.want(5*time.Minute, "telegram: Внимание | очередь  60")
	o.broken = map[string]bool{"telegram": true}
	o.measure("queue_length", 0)
	o.tries = 0
	o.want(10 * time.Minute)
	if o.tries == 0 || o.tries > 7 {
		t.Errorf("%d tries to tell the end in ten minutes", o.tries)
	}
	o.broken = nil
	o.want(5*time.Minute, "telegram: Прошло | Прошло: очередь  60 (длилось 35 мин)")
	o.want(time.Hour)
}

func TestInhibition(t *testing.T) {
	o := newOffice(t, queueRule(), critical("redis", "redis_down", "queue"), critical("breaker", "breaker_open", "queue"))
	o.measure("redis_down", 1)
	o.measure("queue_length", 60, "destination", "crm")
	o.want(time.Minute, "telegram: Тревога | redis")
	o.measure("redis_down", 0)
	o.measure("breaker_open", 1, "destination", "history") // explains nothing of crm
	if got := o.pass(time.Minute); !slices.Contains(got, "telegram: Внимание | очередь  60") {
		t.Errorf("told %q, want the queue once its cause is gone", got)
	}
	o = newOffice(t, queueRule(), critical("breaker", "breaker_open", "queue"))
	o.measure("queue_length", 60, "destination", "crm")
	o.measure("breaker_open", 1, "destination", "crm")
	o.want(4*time.Minute, "telegram: Тревога | breaker")
	if got := o.m.Alerts(); len(got) != 2 || got[0].State != "firing" && got[0].State != "muted" {
		t.Errorf("the console shows %+v", got)
	}
}

func TestSilence(t *testing.T) {
	o := newOffice(t, queueRule())
	if err := o.m.Silence("queue", o.now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := o.m.Silence("quue", o.now.Add(time.Hour)); err == nil {
		t.Error("a rule that is not there was silenced")
	}
	o.measure("queue_length", 60)
	o.restart()
	o.want(time.Hour - 10*time.Second)
	o.want(time.Minute, "telegram: Внимание | очередь  60")
}

func TestQuietHours(t *testing.T) {
	slow := Rule{Name: "slow", When: "avg_processing_seconds > 10", Texts: Texts{"ru": {Title: "медленно"}}}
	o := newOffice(t, queueRule(), slow, critical("redis", "redis_down"))
	o.m.zone = time.FixedZone("+07", 7*3600) // noon in UTC is 19:00
	o.want(3 * time.Hour)                    // 22:00
	o.measure("queue_length", 60)
	o.measure("avg_processing_seconds", 20)
	o.measure("redis_down", 1)
	o.want(time.Minute, "telegram: Тревога | redis")
	o.measure("redis_down", 0)
	o.want(10*time.Minute, "telegram: Прошло | Прошло: redis (длилось 1 мин)")
	o.restart()
	o.m.zone = time.FixedZone("+07", 7*3600)
	o.want(10*time.Hour + 48*time.Minute)
	o.want(2*time.Minute, "telegram: Пока были тихие часы | очередь  60")
	if text := o.all[len(o.all)-1].Text; !strings.Contains(text, "медленно") {
		t.Errorf("the digest lacks one of the two:\n%s", text)
	}
	if got := o.now.In(o.m.zone).Format("15:04"); got != "09:01" {
		t.Fatalf("it is %s", got)
	}
	o.want(time.Hour)
	o.measure("queue_length", 0)
	o.want(10*time.Minute, "telegram: Прошло | Прошло: очередь  60 (длилось 12 ч 1 мин)")
}

func TestWhatEndsInQuietHoursIsNotTold(t *testing.T) {
	o := newOffice(t, queueRule())
	o.pass(10 * time.Hour) // 22:00
	o.measure("queue_length", 60)
	o.want(time.Hour)
	o.measure("queue_length", 0)
	o.want(24 * time.Hour)
}

func TestBlindness(t *testing.T) {
	o := newOffice(t, queueRule())
	o.measure("queue_length", 60)
	o.pass(time.Minute)
	delete(o.values, "queue_length")
	o.want(5 * time.Minute) // unmeasured is not over
	o.restart()             // and counts anew
	o.want(9 * time.Minute)
	o.want(6*time.Minute, "telegram: Прошло | Прошло: очередь  60 (длилось 16 мин)")
	o.values = nil
	if err := o.m.Step(context.Background(), o.now); err == nil {
		t.Error("a source that measures nothing passes for a healthy one")
	}
}

func TestAlive(t *testing.T) {
	o := newOffice(t, queueRule())
	o.set.AliveAt = "09:00"
	o.restart()
	o.measure("leads_day", 14)
	o.measure("unexplained", 0)
	o.want(20*time.Hour + 59*time.Minute)
	o.broken["telegram"], o.broken["sms"], o.broken["owner"] = true, true, true
	o.want(10 * time.Minute)
	o.broken = nil
	o.want(10*time.Minute, "telegram: leadstream жив: за сутки заявок 14, потеряно 0.")
	o.restart()
	o.want(23 * time.Hour)
	o.want(time.Hour, "telegram: leadstream жив: за сутки заявок 14, потеряно 0.")
}

func TestHeartbeat(t *testing.T) {
	o := newOffice(t, queueRule())
	status := 200
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		o.beats++
		w.WriteHeader(status)
	}))
	defer s.Close()
	o.set.Heartbeat = s.URL + "/secret"
	o.restart()
	o.pass(5 * time.Minute)
	if o.beats != 5 {
		t.Errorf("%d heartbeats in 5 minutes, want one a minute", o.beats)
	}
	o.broken = map[string]bool{"telegram": true, "sms": true, "owner": true}
	o.measure("queue_length", 60)
	o.pass(time.Minute)
	o.beats = 0
	o.pass(10 * time.Minute)
	if o.beats != 0 {
		t.Errorf("%d heartbeats while nobody can be told", o.beats)
	}
	o.broken, status = nil, 500
	o.m.beat = time.Time{}
	o.now = o.now.Add(time.Hour)
	err := o.m.Step(context.Background(), o.now)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a refused heartbeat: %v", err)
	}
}

func TestStateThatCannotBeRead(t *testing.T) {
	o := newOffice(t, queueRule())
	if err := os.WriteFile(o.file, []byte(`{"alerts":{"x"`), 0o600); err != nil {
		t.Fatal(err)
	}
	o.restart()
	o.measure("queue_length", 60)
	o.want(time.Minute, "telegram: Внимание | очередь  60")
	if _, err := os.Stat(o.file + ".bad"); err != nil {
		t.Errorf("the old state was not put aside: %v", err)
	}
}

func TestRunStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := 0
		m, err := New(Settings{Every: time.Second, GroupInterval: time.Minute, Repeat: time.Hour, Escalation: []Step{{To: []string{"x"}}}},
			Options{Source: sourceFunc(func() []Value { steps++; return nil }), Notifiers: map[string]processors.Notifier{"x": phone{}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer stop()
		if err := m.Run(ctx); err != nil || steps != 4 {
			t.Errorf("Run = %v after %d rounds, want nil after 4", err, steps)
		}
	})
}

type sourceFunc func() []Value

func (f sourceFunc) Values() []Value { return f() }

func TestTestMessage(t *testing.T) {
	o := newOffice(t, queueRule())
	o.broken["sms"] = true
	got := o.m.Test(context.Background())
	if len(got) != 3 || got["sms"] == nil || got["telegram"] != nil {
		t.Errorf("said %v", got)
	}
}
