package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"leadstream/streams/outbound"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// A Wednesday of 2026, 14:30 in Krasnoyarsk: promotions may go, nobody sleeps.
func wednesday(t testing.TB) time.Time {
	return time.Date(2026, 3, 11, 14, 30, 0, 0, zone(t, "Asia/Krasnoyarsk"))
}

var agreed = []Consent{{Purpose: Marketing, Given: true, At: time.Unix(0, 0)}}

func ask(p outbound.Purpose, now time.Time) Ask {
	return Ask{Message: outbound.Message{ID: "m", Purpose: p, MadeAt: now}, Channel: "whatsapp", Content: "c", Now: now, Zone: now.Location()}
}

func TestJudge(t *testing.T) {
	now := wednesday(t)
	krasnoyarsk := now.Location()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	many := func(n int, x Sent) (all []Sent) {
		for range n {
			all = append(all, x)
		}
		return all
	}
	const ms = time.Millisecond
	night := func(hour, minute int) time.Time { return time.Date(2026, 3, 11, hour, minute, 0, 0, krasnoyarsk) }
	morning := time.Date(2026, 3, 12, 9, 0, 0, 0, krasnoyarsk)
	nextWednesday := time.Date(2026, 3, 18, 14, 0, 0, 0, krasnoyarsk)
	stop := Consent{Purpose: Marketing, At: ago(time.Minute)}
	never := []Consent{stop, {Purpose: Service, At: ago(time.Minute)}}

	for name, c := range map[string]struct {
		purpose outbound.Purpose
		change  func(*Ask)
		past    Past
		want    Ruling
	}{
		"an answer goes":   {outbound.Answer, nil, Past{}, Ruling{Do: Send}},
		"a reminder goes":  {outbound.Reminder, nil, Past{}, Ruling{Do: Send}},
		"a notice goes":    {outbound.Notice, nil, Past{}, Ruling{Do: Send}},
		"a promotion goes": {outbound.Promotion, nil, Past{Consents: agreed}, Ruling{Do: Send}},

		"at its deadline it still goes": {outbound.Notice, func(a *Ask) { a.Message.Deadline = now }, Past{}, Ruling{Do: Send}},
		"behind it no more":             {outbound.Notice, func(a *Ask) { a.Message.Deadline = ago(ms) }, Past{}, Ruling{Do: Drop, Reason: Late}},

		// consent
		"silence is no consent":             {outbound.Promotion, nil, Past{}, Ruling{Do: Drop, Reason: NoConsent}},
		"service is no marketing":           {outbound.Promotion, nil, Past{Consents: []Consent{{Purpose: Service, Given: true}}}, Ruling{Do: Drop, Reason: NoConsent}},
		"an unknown purpose is advertising": {"gift", nil, Past{}, Ruling{Do: Drop, Reason: NoConsent}},
		"opted in is no marketing":          {outbound.Promotion, nil, Past{OptedIn: true}, Ruling{Do: Drop, Reason: NoConsent}},
		"STOP":                              {outbound.Promotion, nil, Past{Consents: append([]Consent{stop}, agreed...)}, Ruling{Do: Drop, Reason: Stopped}},
		"STOP in one channel is one in all": {outbound.Promotion, nil, Past{Consents: append([]Consent{{Purpose: Marketing, Channel: "sms", At: ago(1)}}, agreed...)}, Ruling{Do: Drop, Reason: Stopped}},
		"yes and STOP at one moment":        {outbound.Promotion, nil, Past{Consents: []Consent{stop, {Purpose: Marketing, Given: true, At: stop.At}}}, Ruling{Do: Drop, Reason: Stopped}},
		"consent after STOP":                {outbound.Promotion, nil, Past{Consents: []Consent{{Purpose: Marketing, Given: true, At: ago(0)}, stop}}, Ruling{Do: Send}},
		"consent for another channel":       {outbound.Promotion, nil, Past{Consents: []Consent{{Purpose: Marketing, Given: true, Channel: "sms"}}}, Ruling{Do: Next, Reason: NoConsentHere}},
		"but not once it was tried": {outbound.Promotion, func(a *Ask) { a.Message.Steps = []outbound.Step{{N: 1}} },
			Past{Consents: []Consent{{Purpose: Marketing, Given: true, Channel: "sms"}}}, Ruling{Do: Drop, Reason: NoFailover}},
		"STOP keeps reminders":    {outbound.Reminder, nil, Past{Consents: []Consent{stop}}, Ruling{Do: Send}},
		"STOP keeps notices":      {outbound.Notice, nil, Past{Consents: []Consent{stop}}, Ruling{Do: Send}},
		"no messages: reminders":  {outbound.Reminder, nil, Past{Consents: never}, Ruling{Do: Drop, Reason: Refused}},
		"no messages: notices":    {outbound.Notice, nil, Past{Consents: never}, Ruling{Do: Drop, Reason: Refused}},
		"no messages: promotions": {outbound.Promotion, nil, Past{Consents: never}, Ruling{Do: Drop, Reason: Refused}},
		"no messages: answers":    {outbound.Answer, nil, Past{Consents: never}, Ruling{Do: Send}},

		// a person has stepped in (L-05)
		"an answer waits for a person":          {outbound.Answer, func(a *Ask) { a.Now = now }, Past{Paused: now.Add(time.Hour)}, Ruling{Wait, Person, now.Add(time.Hour)}},
		"and is superfluous later":              {outbound.Answer, func(a *Ask) { a.Message.Deadline = now.Add(time.Minute) }, Past{Paused: now.Add(time.Hour)}, Ruling{Do: Drop, Reason: Person}},
		"until the very moment":                 {outbound.Answer, nil, Past{Paused: now}, Ruling{Do: Send}},
		"a reminder does not":                   {outbound.Reminder, nil, Past{Paused: now.Add(time.Hour)}, Ruling{Do: Send}},
		"nor a notice":                          {outbound.Notice, nil, Past{Paused: now.Add(time.Hour)}, Ruling{Do: Send}},
		"a promotion waits, then for its hours": {outbound.Promotion, nil, Past{Consents: agreed, Paused: now.Add(12 * time.Hour)}, Ruling{Wait, Person, nextWednesday}},

		// once a week, Wednesday 14:00 (L-03)
		"not within a week":           {outbound.Promotion, nil, Past{Consents: agreed, Sent: []Sent{{Purpose: outbound.Promotion, At: now.AddDate(0, 0, -7).Add(ms)}}}, Ruling{Wait, Weekly, now.Add(ms)}},
		"exactly a week":              {outbound.Promotion, nil, Past{Consents: agreed, Sent: []Sent{{Purpose: outbound.Promotion, At: now.AddDate(0, 0, -7)}}}, Ruling{Do: Send}},
		"itself by another step":      {outbound.Promotion, nil, Past{Consents: agreed, Sent: []Sent{{ID: "m", Purpose: outbound.Promotion, At: ago(1)}}}, Ruling{Do: Send}},
		"before its hours":            {outbound.Promotion, func(a *Ask) { a.Now = night(13, 59) }, Past{Consents: agreed}, Ruling{Wait, PromotionHours, night(14, 0)}},
		"at their beginning":          {outbound.Promotion, func(a *Ask) { a.Now = night(14, 0) }, Past{Consents: agreed}, Ruling{Do: Send}},
		"at their end":                {outbound.Promotion, func(a *Ask) { a.Now = night(16, 0) }, Past{Consents: agreed}, Ruling{Wait, PromotionHours, nextWednesday}},
		"a week is too long for it":   {outbound.Promotion, func(a *Ask) { a.Now, a.Message.Deadline = night(16, 0), nextWednesday.Add(-ms) }, Past{Consents: agreed}, Ruling{Do: Drop, Reason: PromotionHours}},
		"five touches in a week":      {outbound.Promotion, nil, Past{Consents: agreed, Sent: many(5, Sent{Purpose: outbound.Reminder, At: ago(time.Hour)})}, Ruling{Wait, Touches, nextWednesday}},
		"four":                        {outbound.Promotion, nil, Past{Consents: agreed, Sent: many(4, Sent{Purpose: outbound.Reminder, At: ago(time.Hour)})}, Ruling{Do: Send}},
		"answers are no touches":      {outbound.Promotion, nil, Past{Consents: agreed, Sent: many(9, Sent{Purpose: outbound.Answer, At: ago(time.Hour)})}, Ruling{Do: Send}},
		"touches hold no reminder up": {outbound.Reminder, nil, Past{Sent: many(9, Sent{Purpose: outbound.Notice, At: ago(time.Hour)})}, Ruling{Do: Send}},

		// the same content (L-02)
		"five times":                  {outbound.Notice, nil, Past{Sent: many(5, Sent{Purpose: outbound.Notice, Content: "c", At: now.AddDate(0, 0, -31).Add(ms)})}, Ruling{Wait, SameContent, now.Add(ms)}},
		"four times":                  {outbound.Notice, nil, Past{Sent: many(4, Sent{Purpose: outbound.Notice, Content: "c", At: ago(time.Hour)})}, Ruling{Do: Send}},
		"a month ago":                 {outbound.Notice, nil, Past{Sent: many(5, Sent{Purpose: outbound.Notice, Content: "c", At: now.AddDate(0, 0, -31)})}, Ruling{Do: Send}},
		"other content":               {outbound.Notice, nil, Past{Sent: many(9, Sent{Purpose: outbound.Notice, Content: "d", At: ago(time.Hour)})}, Ruling{Do: Send}},
		"too often for too long":      {outbound.Notice, func(a *Ask) { a.Message.Deadline = now.AddDate(0, 0, 1) }, Past{Sent: many(5, Sent{Purpose: outbound.Notice, Content: "c", At: ago(time.Hour)})}, Ruling{Do: Drop, Reason: SameContent}},
		"an answer as often as asked": {outbound.Answer, nil, Past{Sent: many(50, Sent{Purpose: outbound.Answer, Content: "c", At: ago(time.Hour)})}, Ruling{Do: Send}},
		"of another visit it is another": {outbound.Reminder, func(a *Ask) { a.Message.Booking, a.Message.Version = "b", 2 },
			Past{Sent: many(9, Sent{Purpose: outbound.Reminder, Content: "c", Topic: Event(outbound.Message{Booking: "b", Version: 1}), At: ago(time.Hour)})}, Ruling{Do: Send}},
		"a promotion's topic does not matter": {outbound.Promotion, func(a *Ask) { a.Message.Topic = "spring" }, Past{Consents: agreed,
			Sent: many(5, Sent{Purpose: outbound.Promotion, Content: "c", Topic: "autumn", At: now.AddDate(0, 0, -20)})}, Ruling{Wait, SameContent, time.Date(2026, 3, 25, 14, 0, 0, 0, krasnoyarsk)}},

		// the same event (L-04)
		"told of an hour ago":   {outbound.Notice, func(a *Ask) { a.Message.Topic = "o" }, Past{Sent: []Sent{{Purpose: outbound.Notice, Topic: "o", At: ago(time.Hour)}}}, Ruling{Wait, SameEvent, now.Add(5 * time.Hour)}},
		"told of six hours ago": {outbound.Notice, func(a *Ask) { a.Message.Topic = "o" }, Past{Sent: []Sent{{Purpose: outbound.Notice, Topic: "o", At: ago(6 * time.Hour)}}}, Ruling{Do: Send}},
		"a moment less":         {outbound.Notice, func(a *Ask) { a.Message.Topic = "o" }, Past{Sent: []Sent{{Purpose: outbound.Notice, Topic: "o", At: ago(6*time.Hour - ms)}}}, Ruling{Wait, SameEvent, now.Add(ms)}},
		"by another channel":    {outbound.Notice, func(a *Ask) { a.Message.Topic = "o" }, Past{Sent: []Sent{{ID: "m", Purpose: outbound.Notice, Topic: "o", At: ago(time.Hour)}}}, Ruling{Do: Send}},
		"the booking has changed": {outbound.Notice, func(a *Ask) { a.Message.Booking, a.Message.Version = "b", 2 },
			Past{Sent: []Sent{{Purpose: outbound.Notice, Topic: Event(outbound.Message{Booking: "b", Version: 1}), At: ago(time.Minute)}}}, Ruling{Do: Send}},
		"reminded a moment ago, and the visit is near": {outbound.Reminder, func(a *Ask) { a.Message.Booking, a.Message.Deadline = "b", now.Add(time.Hour) },
			Past{Sent: []Sent{{Purpose: outbound.Reminder, Topic: Event(outbound.Message{Booking: "b"}), At: ago(time.Hour)}}}, Ruling{Do: Drop, Reason: SameEvent}},
		"confirmed two hours ago, reminded now": {outbound.Reminder, func(a *Ask) { a.Message.Booking = "b" },
			Past{Sent: []Sent{{Purpose: outbound.Notice, Topic: Event(outbound.Message{Booking: "b"}), At: ago(2 * time.Hour)}}}, Ruling{Do: Send}},

		// a day's limit (L-06)
		"the 1000th answer":            {outbound.Answer, nil, Past{Today: 999}, Ruling{Do: Send}},
		"the 1001st":                   {outbound.Answer, nil, Past{Today: 1000}, Ruling{Next, DayLimit, time.Date(2026, 3, 12, 0, 0, 0, 0, krasnoyarsk)}},
		"the 900th reminder":           {outbound.Reminder, nil, Past{Today: 899}, Ruling{Do: Send}},
		"the 901st goes another way":   {outbound.Reminder, func(a *Ask) { a.Message.Deadline = now.Add(time.Hour) }, Past{Today: 900}, Ruling{Do: Next, Reason: DayLimit}},
		"the 800th promotion":          {outbound.Promotion, nil, Past{Consents: agreed, Today: 799}, Ruling{Do: Send}},
		"the 801st waits for its hour": {outbound.Promotion, nil, Past{Consents: agreed, Today: 800}, Ruling{Wait, DayLimit, nextWednesday}},

		// the service's window
		"a second before the window closes": {outbound.Answer, func(a *Ask) { a.Window = 24 * time.Hour }, Past{HeardAt: ago(24*time.Hour - time.Second)}, Ruling{Do: Send}},
		"the window is closed":              {outbound.Answer, func(a *Ask) { a.Window = 24 * time.Hour }, Past{HeardAt: ago(24 * time.Hour)}, Ruling{Do: Approve, Reason: WindowClosed}},
		"never heard there":                 {outbound.Reminder, func(a *Ask) { a.Window = 24 * time.Hour }, Past{}, Ruling{Do: Approve, Reason: WindowClosed}},
		"as a template":                     {outbound.Reminder, func(a *Ask) { a.Window, a.Approved = 24*time.Hour, true }, Past{}, Ruling{Do: Send}},

		// one template in 24 h to those who have not opted in (L-01)
		"a second template":           {outbound.Reminder, func(a *Ask) { a.Approved = true }, Past{Sent: []Sent{{Approved: true, At: ago(24*time.Hour - ms)}}}, Ruling{Next, TemplateLimit, now.Add(ms)}},
		"a day later":                 {outbound.Reminder, func(a *Ask) { a.Approved = true }, Past{Sent: []Sent{{Approved: true, At: ago(24 * time.Hour)}}}, Ruling{Do: Send}},
		"to one who has opted in":     {outbound.Reminder, func(a *Ask) { a.Approved = true }, Past{OptedIn: true, Sent: []Sent{{Approved: true, At: ago(1)}}}, Ruling{Do: Send}},
		"or says so in the ledger":    {outbound.Reminder, func(a *Ask) { a.Approved = true }, Past{Consents: []Consent{{Purpose: Service, Given: true}}, Sent: []Sent{{Approved: true, At: ago(1)}}}, Ruling{Do: Send}},
		"free words are no template":  {outbound.Reminder, func(a *Ask) { a.Approved = true }, Past{Sent: []Sent{{At: ago(1)}}}, Ruling{Do: Send}},
		"a clock that is behind ours": {outbound.Reminder, func(a *Ask) { a.Approved = true }, Past{Sent: []Sent{{Approved: true, At: now.Add(time.Hour)}}}, Ruling{Next, TemplateLimit, now.Add(25 * time.Hour)}},

		// quiet hours
		"20:59":                              {outbound.Notice, func(a *Ask) { a.Now = night(20, 59) }, Past{}, Ruling{Do: Send}},
		"21:00":                              {outbound.Notice, func(a *Ask) { a.Now = night(21, 0) }, Past{}, Ruling{Wait, Quiet, morning}},
		"08:59":                              {outbound.Notice, func(a *Ask) { a.Now = night(8, 59) }, Past{}, Ruling{Wait, Quiet, night(9, 0)}},
		"09:00":                              {outbound.Notice, func(a *Ask) { a.Now = night(9, 0) }, Past{}, Ruling{Do: Send}},
		"the customer is awake":              {outbound.Notice, func(a *Ask) { a.Now = night(23, 0) }, Past{HeardAt: night(22, 30)}, Ruling{Do: Send}},
		"what was asked just now":            {outbound.Answer, func(a *Ask) { a.Now, a.Message.MadeAt = night(23, 0), night(22, 59) }, Past{}, Ruling{Do: Send}},
		"what was asked long ago":            {outbound.Answer, func(a *Ask) { a.Now, a.Message.MadeAt = night(23, 0), night(21, 59) }, Past{}, Ruling{Wait, Quiet, morning}},
		"a reminder is not lost":             {outbound.Reminder, func(a *Ask) { a.Now, a.Message.Deadline = night(23, 0), morning }, Past{}, Ruling{Do: Send}},
		"a reminder for the afternoon":       {outbound.Reminder, func(a *Ask) { a.Now, a.Message.Deadline = night(23, 0), morning.Add(5*time.Hour) }, Past{}, Ruling{Wait, Quiet, morning}},
		"advertising is":                     {outbound.Promotion, func(a *Ask) { a.Now, a.Message.Deadline = night(23, 0), morning }, Past{Consents: agreed}, Ruling{Do: Drop, Reason: PromotionHours}},
		"held by an event until within them": {outbound.Notice, func(a *Ask) { a.Message.Topic, a.Now = "o", night(20, 0) }, Past{Sent: []Sent{{Purpose: outbound.Notice, Topic: "o", At: night(16, 0)}}}, Ruling{Wait, SameEvent, morning}},
	} {
		a := ask(c.purpose, now)
		if c.change != nil {
			c.change(&a)
		}
		got := Defaults().Judge(a, c.past)
		if got.Do != c.want.Do || got.Reason != c.want.Reason || !got.Until.Equal(c.want.Until) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if got.Reason != "" && (Explain(got.Reason, "ru") == got.Reason || Explain(got.Reason, "en") == got.Reason) {
			t.Errorf("%s: %q has no sentence", name, got.Reason)
		}
	}
}

// On the nights on which clocks are set, quiet hours end and promotions begin when clocks show their hour.
func TestClockIsSet(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	night := func(from, until string) Settings {
		s := Defaults()
		s.QuietFrom, s.QuietUntil, s.PromotionAt = from, until, nil
		return s
	}
	for name, c := range map[string]struct {
		settings  Settings
		now, want string
	}{
		"spring":                          {Defaults(), "2026-03-29T01:59:00+01:00", "2026-03-29T09:00:00+02:00"},
		"autumn":                          {Defaults(), "2026-10-25T02:30:00+02:00", "2026-10-25T09:00:00+01:00"},
		"a time that there is not":        {night("21:00", "02:30"), "2026-03-29T01:59:00+01:00", "2026-03-29T03:00:00+02:00"},
		"a time that there is twice":      {night("21:00", "02:30"), "2026-10-25T02:10:00+02:00", "2026-10-25T02:30:00+02:00"},
		"and is past once":                {night("21:00", "02:30"), "2026-10-25T02:10:00+01:00", "2026-10-25T02:30:00+01:00"},
		"the night before":                {Defaults(), "2026-10-24T23:00:00+02:00", "2026-10-25T09:00:00+01:00"},
		"at noon":                         {night("12:00", "13:00"), "2026-10-24T12:00:00+02:00", "2026-10-24T13:00:00+02:00"},
		"after it":                        {night("12:00", "13:00"), "2026-10-24T13:00:00+02:00", ""},
		"no quiet hours":                  {night("", ""), "2026-10-24T23:00:00+02:00", ""},
		"the same from and until is none": {night("09:00", "09:00"), "2026-10-24T09:00:00+02:00", ""},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		a := ask(outbound.Notice, now)
		a.Zone = berlin
		got := c.settings.Judge(a, Past{})
		if c.want == "" {
			if got.Do != Send {
				t.Errorf("%s: %v", name, got)
			}
			continue
		}
		want, _ := time.Parse(time.RFC3339, c.want)
		if got.Do != Wait || !got.Until.Equal(want) {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
	// A week is a week of the calendar.
	sent := time.Date(2026, 10, 21, 14, 0, 0, 0, berlin)
	a := ask(outbound.Promotion, time.Date(2026, 10, 28, 14, 0, 0, 0, berlin))
	past := Past{Consents: agreed, Sent: []Sent{{Purpose: outbound.Promotion, At: sent}}}
	if got := Defaults().Judge(a, past); got.Do != Send {
		t.Errorf("a week later: %v", got)
	}
	spring := ask(outbound.Promotion, time.Date(2026, 4, 1, 14, 0, 0, 0, berlin))
	if got := Defaults().Judge(spring, Past{Consents: agreed, Sent: []Sent{{Purpose: outbound.Promotion, At: spring.Now.AddDate(0, 0, -7)}}}); got.Do != Send {
		t.Errorf("a week of 167 hours later: %v", got)
	}
	a.Now = a.Now.Add(-time.Second)
	if got := Defaults().Judge(a, past); got.Do != Wait || !got.Until.Equal(a.Now.Add(time.Second)) {
		t.Errorf("a second less: %v", got)
	}
}

func TestMonthEnds(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "Asia/Krasnoyarsk"} {
		z := zone(t, name)
		for m := time.January; m <= time.December; m++ {
			first := time.Date(2026, m, 1, 10, 0, 0, 0, z)
			last := time.Date(2026, m+1, 0, 20, 30, 0, 0, z) // in October, in Berlin, 31 days and an hour long
			a := ask(outbound.Notice, last)
			past := Past{}
			for i := range 5 {
				past.Sent = append(past.Sent, Sent{Purpose: outbound.Notice, Content: "c", At: first.Add(time.Duration(i) * time.Minute)})
			}
			if got := Defaults().Judge(a, past); last.AddDate(0, 0, -31).Before(first) != (got.Do == Wait) {
				t.Errorf("%s, %s: a sixth time in one month: %v", name, m, got)
			}
			past.Sent = past.Sent[1:]
			if got := Defaults().Judge(a, past); got.Do != Send {
				t.Errorf("%s, %s: %v", name, m, got)
			}
		}
	}
}

// A customer elsewhere sleeps at other hours.
func TestCustomersZone(t *testing.T) {
	a := ask(outbound.Notice, wednesday(t)) // 10:30 in Moscow
	a.Now = a.Now.Add(-3 * time.Hour)       // 11:30 and 07:30
	if got := Defaults().Judge(a, Past{}); got.Do != Send {
		t.Error(got)
	}
	a.Zone = zone(t, "Europe/Moscow")
	if got := Defaults().Judge(a, Past{}); got.Do != Wait || got.Until.In(a.Zone).Format("15:04") != "09:00" {
		t.Error(got)
	}
	a.Zone = nil
	if got := Defaults().Judge(a, Past{}); got.Do != Wait {
		t.Error("04:30 in UTC:", got)
	}
}

func TestFaults(t *testing.T) {
	if err := Defaults().Faults(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Settings){
		"quiet_from":     func(s *Settings) { s.QuietFrom = "25:00" },
		"quiet_from ":    func(s *Settings) { s.QuietUntil = "" },
		"promotion_at":   func(s *Settings) { s.PromotionAt = []string{"someday"} },
		"promotion_at ":  func(s *Settings) { s.PromotionAt = []string{"wed 16:00-14:00"} },
		"quiet hours":    func(s *Settings) { s.PromotionAt = []string{"wed 22:00-24:00"} },
		"templates":      func(s *Settings) { s.Templates = 0 },
		"promotion_days": func(s *Settings) { s.PromotionDays = 32 },
		"touches":        func(s *Settings) { s.Touches = -1 },
		"pause":          func(s *Settings) { s.Pause = -1 },
		"reserve":        func(s *Settings) { s.Reserve = 0.5 },
	} {
		s := Defaults()
		change(&s)
		if err := s.Faults(); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for text, want := range map[string]span{"wed 14:00-16:00": {time.Wednesday, 840, 960}, " Sun 00:00-24:00": {time.Sunday, 0, 1440}} {
		if got, err := readSpan(text); err != nil || got != want {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
}

func TestExplain(t *testing.T) {
	for reason, text := range reasons {
		if text[0] == "" || text[1] == "" || Explain(reason, "en") != text[0] || Explain(reason, "ru") != text[1] {
			t.Error(reason)
		}
	}
	if Explain("unheard of", "ru") != "unheard of" {
		t.Error("a word of others")
	}
}

func (r Ruling) String() string {
	return fmt.Sprint(string(r.Do), " ", r.Reason, " ", r.Until)
}
