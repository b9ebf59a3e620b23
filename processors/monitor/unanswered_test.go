package monitor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"leadstream/streams/hours"
)

// newPager is an office with the rule of hot leads alone, that works from 09:00 to 21:00.
func newPager(t *testing.T) *office {
	t.Helper()
	all := DefaultRules()
	rule := all[slices.IndexFunc(all, func(r Rule) bool { return r.Name == "hot_unanswered" })]
	rule.Texts = Texts{"ru": {Title: "{{.Labels.lead}}", SMS: rule.Texts["ru"].SMS, Do: rule.Texts["ru"].Do}}
	o := newOffice(t, rule)
	var err error
	if o.hours, err = hours.Parse(map[string]string{"mon-sun": "09:00-21:00"}, nil, time.UTC); err != nil {
		t.Fatal(err)
	}
	o.restart()
	o.measure("hot_unanswered", 0)
	return o
}

func (o *office) unmeasure(name string, labels ...string) {
	delete(o.values, name+strings.Join(labels, ","))
}

func TestHotLeadPagesUntilAnswered(t *testing.T) {
	o := newPager(t)
	o.want(time.Hour)
	o.measure("hot_unanswered", 6, "lead", "a")
	o.want(2*time.Minute, "telegram: Тревога | a")
	o.measure("hot_unanswered", 7, "lead", "a") // the wait is no news
	o.want(2 * time.Minute)
	o.want(2*time.Minute, "sms: Никто не ответил за 5 мин | a")
	o.unmeasure("hot_unanswered", "lead", "a") // somebody has answered: nobody else is called
	o.want(time.Hour, "telegram: Прошло | Прошло: a (длилось 6 мин)", "sms: Прошло | Прошло: a (длилось 6 мин)")
}

func TestHotLeadPagesOnce(t *testing.T) {
	o := newPager(t)
	o.measure("hot_unanswered", 6, "lead", "a")
	o.want(time.Minute, "telegram: Тревога | a")
	o.restart() // and it is not told again
	o.want(3 * time.Minute)
	if err := o.m.Ack(o.m.Alerts()[0].Fingerprint); err != nil {
		t.Fatal(err)
	}
	o.want(3 * time.Hour)
	o.measure("hot_unanswered", 6, "lead", "b") // of which who has acknowledged does not know
	b := fingerprint("hot_unanswered", map[string]string{"lead": "b"})
	told := o.pass(time.Minute)
	if len(told) != 1 || !strings.HasPrefix(told[0], "telegram: Тревога") || !strings.Contains(o.all[len(o.all)-1].Text, b) {
		t.Errorf("of b was told %q", told)
	}
	if told := o.pass(20 * time.Minute); len(told) != 2 || !strings.HasPrefix(told[0], "sms: Никто не ответил за 5 мин") || !strings.HasPrefix(told[1], "owner: Никто не ответил за 15 мин") {
		t.Errorf("nobody answered b, and that was told: %q", told)
	}
	o.measure("hot_unanswered", 6, "lead", "c") // the chain is at its end, and climbs again
	if told := o.pass(30 * time.Minute); len(told) != 3 {
		t.Errorf("of c was told %q", told)
	}
}

// Who comes while the chain is being climbed does not stop it: or nobody but the first would ever hear.
func TestSteadyHotLeadsDoNotHoldTheChain(t *testing.T) {
	o := newPager(t)
	by := map[string]int{}
	for i := range 10 {
		o.measure("hot_unanswered", 6, "lead", string(rune('a'+i)))
		for _, told := range o.pass(2 * time.Minute) {
			who, _, _ := strings.Cut(told, ":")
			by[who]++
		}
	}
	if by["sms"] == 0 || by["owner"] == 0 {
		t.Errorf("who was told: %v", by)
	}
}

func TestHotLeadsAtNight(t *testing.T) {
	o := newPager(t)
	o.now = time.Date(2026, 3, 2, 20, 58, 0, 0, time.UTC)
	o.measure("hot_unanswered", 6, "lead", "a")
	o.want(time.Minute, "telegram: Тревога | a")
	o.want(12 * time.Hour)                                                                            // neither escalated nor repeated at night
	o.want(5*time.Minute, "telegram: Всё ещё не в порядке | a", "sms: Никто не ответил за 5 мин | a") // of which a minute and a half was in the evening
	o.want(3 * time.Minute)                                                                           // the owner is not called at once
	o.unmeasure("hot_unanswered", "lead", "a")                                                        //
	o.now = time.Date(2026, 3, 3, 21, 0, 0, 0, time.UTC)                                              // it has ended in the night,
	o.want(11*time.Hour + 59*time.Minute)                                                             // in which nobody is told,
	o.want(2*time.Minute, "telegram: Прошло | Прошло: a (длилось 24 ч 2 мин)", "sms: Прошло | Прошло: a (длилось 24 ч 2 мин)")
}

func TestHotLeadsInWords(t *testing.T) {
	o := newPager(t)
	o.measure("hot_unanswered", 6, "lead", "a", "channel", "telegram")
	o.measure("hot_unanswered_count", 1)
	o.measure("hot_unanswered_longest", 6)
	o.pass(time.Minute)
	if got := o.all[0]; got.Short != "Горячие без ответа: 1, 6 мин" || !strings.Contains(got.Text, "(заявка a, telegram): в чате, из CRM или по телефону.\n") {
		t.Errorf("%q in short, %q", got.Short, got.Text)
	}
	o = newPager(t)
	o.measure("hot_unanswered", 6, "lead", "a", "channel", "telegram")
	o.measure("hot_unanswered", 12, "lead", "b", "channel", "site")
	o.measure("hot_unanswered_count", 2)
	o.measure("hot_unanswered_longest", 12)
	o.measure("hot_unanswered_sum", 5100)
	o.pass(time.Minute)
	if got := o.all[0]; got.Short != "Тревог: 2. Горячие без ответа: 2, 12 мин, 5100 ₽" || !strings.Contains(got.Text, "Всего ждут 2, дольше всех 12 мин, на кону 5100 ₽.") {
		t.Errorf("%q in short, %q", got.Short, got.Text)
	}
}
