package policy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"leadstream/streams/outbound"
)

// sim is a customer's life under the policy: messages come due, are judged, and go, wait or end.
type sim struct {
	t        *testing.T
	r        *rand.Rand
	settings Settings
	zone     *time.Location
	now      time.Time
	waiting  []*pending
	past     Past
	paused   [][2]time.Time
	today    map[string]int // by channel and day
}

type pending struct {
	outbound.Message
	content string
	asked   int
}

var channels = []string{"whatsapp", "sms", "telegram"}

// Whatever happens, no limit is broken in any window, and everything comes to an end.
func TestHistories(t *testing.T) {
	zones := []string{"Europe/Berlin", "Asia/Krasnoyarsk", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "UTC"}
	rounds := 100
	if testing.Short() {
		rounds = 30
	}
	var do [5]int
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 7))
		s := &sim{t: t, r: r, settings: Defaults(), zone: zone(t, zones[r.IntN(len(zones))]), today: map[string]int{}}
		if r.IntN(3) == 0 {
			s.settings.DayLimit = 3 + r.IntN(4)
			s.settings.Reserve = 0.3
		}
		if r.IntN(3) == 0 {
			s.settings.PromotionAt = []string{"mon 08:00-10:00", "wed 14:00-16:00", "fri 20:00-23:00"}
		}
		start := time.Date(2026, time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), 0, 0, s.zone)
		s.now = start
		s.live(&do)
		s.check()
	}
	if slices.Contains(do[:], 0) {
		t.Errorf("not every ruling was met: %v", do)
	}
}

func (s *sim) live(do *[5]int) {
	end := s.now.AddDate(0, 0, 70)
	made := 0
	for made < 250 || len(s.waiting) > 0 {
		if made < 250 && s.now.Before(end) {
			for range s.r.IntN(4) {
				made++
				s.waiting = append(s.waiting, s.message(made))
			}
		} else {
			made = 250
		}
		s.happen()
		for _, m := range slices.Clone(s.waiting) {
			if !m.Due.After(s.now) {
				s.try(m, do)
			}
		}
		// Until something is due, or some time that is nothing to anybody.
		next := s.now.Add(time.Duration(1+s.r.IntN(10*3600)) * time.Second)
		for _, m := range s.waiting {
			if m.Due.After(s.now) && m.Due.Before(next) {
				next = m.Due
			}
		}
		s.now = next
		if s.now.After(end.AddDate(2, 0, 0)) {
			s.t.Fatalf("%d messages wait for ever", len(s.waiting))
		}
	}
}

func (s *sim) message(n int) *pending {
	r := s.r
	m := &pending{Message: outbound.Message{ID: "m" + time.Duration(n).String(), Purpose: outbound.Purposes[r.IntN(4)], MadeAt: s.now, Due: s.now}, content: string(rune('a' + r.IntN(3)))}
	if r.IntN(2) == 0 {
		m.Topic = string(rune('p' + r.IntN(3)))
	}
	if r.IntN(3) == 0 {
		m.Booking, m.Version = "b", int64(r.IntN(3))
	}
	if r.IntN(4) > 0 {
		m.Deadline = s.now.Add(time.Duration(r.IntN(40*24*60)) * time.Minute)
	}
	return m
}

// happen is what the customer and the business do.
func (s *sim) happen() {
	switch s.r.IntN(12) {
	case 0:
		s.past.HeardAt = s.now
	case 1:
		s.past.Paused = s.now.Add(s.settings.Pause)
		s.paused = append(s.paused, [2]time.Time{s.now, s.past.Paused})
	case 2, 3:
		s.past.Consents = append(s.past.Consents, Consent{Purpose: Marketing, Given: true, At: s.now, Channel: []string{"", "sms"}[s.r.IntN(2)]})
	case 4:
		if s.r.IntN(3) == 0 {
			s.past.Consents = append(s.past.Consents, Consent{Purpose: Marketing, At: s.now})
		}
	case 5:
		if s.r.IntN(6) == 0 {
			s.past.Consents = append(s.past.Consents, Consent{Purpose: Service, At: s.now}, Consent{Purpose: Service, Given: true, At: s.now.Add(50 * time.Hour)})
		}
	}
}

// day is the channel's count of the business's day.
func (s *sim) day(channel string) string { return channel + s.now.In(s.zone).Format(time.DateOnly) }

func (s *sim) try(m *pending, do *[5]int) {
	m.asked++
	if m.asked > 500 {
		s.t.Fatalf("%s was held back %d times", m.Purpose, m.asked)
	}
	var wake time.Time
	for _, channel := range channels {
		a := Ask{Message: m.Message, Channel: channel, Content: m.content, Now: s.now, Zone: s.zone}
		if channel == "whatsapp" {
			a.Window = 24 * time.Hour
		}
		p := s.past
		p.Today = s.today[s.day(channel)]
		p.Consents = slices.DeleteFunc(slices.Clone(p.Consents), func(c Consent) bool { return c.At.After(s.now) })
		ruling := s.settings.Judge(a, p)
		do[slices.Index([]Do{Send, Wait, Drop, Next, Approve}, ruling.Do)]++
		if ruling.Do == Approve {
			a.Approved = true
			if ruling = s.settings.Judge(a, p); ruling.Do == Approve {
				s.t.Fatal("an approved template is to be an approved template")
			}
		}
		switch ruling.Do {
		case Send:
			s.past.Sent = append(s.past.Sent, Sent{ID: m.ID, Purpose: m.Purpose, Channel: channel, Topic: Event(m.Message), Content: m.content, Approved: a.Approved, At: s.now})
			s.today[s.day(channel)]++
			if n := s.today[s.day(channel)]; s.settings.DayLimit > 0 && n > s.settings.most(m.Message) {
				s.t.Errorf("%s is the %dth message of the day", m.Purpose, n)
			}
			s.end(m)
			return
		case Drop:
			s.end(m)
			return
		case Wait:
			if !ruling.Until.After(s.now) || ruling.Until.After(s.now.AddDate(0, 0, 60)) || !m.Deadline.IsZero() && ruling.Until.After(m.Deadline) {
				s.t.Fatalf("%s is told at %s to wait until %s, its deadline is %s: %s", m.Purpose, s.now, ruling.Until, m.Deadline, ruling.Reason)
			}
			m.Due = ruling.Until
			return
		case Next:
			if u := ruling.Until; !u.IsZero() && (wake.IsZero() || u.Before(wake)) {
				wake = u
			}
		}
	}
	if wake.IsZero() {
		s.end(m)
		return
	}
	if !wake.After(s.now) {
		s.t.Fatalf("waits for the past")
	}
	m.Due = wake
}

func (s *sim) end(m *pending) {
	s.waiting = slices.DeleteFunc(s.waiting, func(w *pending) bool { return w == m })
}

// check looks at all that was sent, pair by pair: nothing here is taken from the code that rules.
func (s *sim) check() {
	sent := s.past.Sent
	slices.SortStableFunc(s.past.Consents, func(a, b Consent) int { return a.At.Compare(b.At) })
	for i, x := range sent {
		local := x.At.In(s.zone)
		same, touches := 1, 1
		for _, y := range sent[:i] {
			week := x.At.Before(y.At.In(s.zone).AddDate(0, 0, 7))
			if week && x.Purpose == outbound.Promotion && y.Purpose == outbound.Promotion {
				s.t.Errorf("promotions at %s and %s", y.At, x.At)
			}
			if week && y.Purpose != outbound.Answer {
				touches++
			}
			if x.At.Before(y.At.In(s.zone).AddDate(0, 0, 31)) && x.Content == y.Content && y.Purpose != outbound.Answer && (x.Purpose == outbound.Promotion || x.Topic == y.Topic) {
				same++
			}
			if x.Purpose == y.Purpose && (x.Purpose == outbound.Notice || x.Purpose == outbound.Reminder) && x.Topic != "" && x.Topic == y.Topic && x.At.Sub(y.At) < 6*time.Hour {
				s.t.Errorf("%s of one event at %s and %s", x.Purpose, y.At, x.At)
			}
			if x.Approved && y.Approved && x.At.Sub(y.At) < 24*time.Hour && s.consented(Service, x.At, x.Channel) != 1 && s.consented(Marketing, x.At, x.Channel) != 1 {
				s.t.Errorf("templates at %s and %s", y.At, x.At)
			}
		}
		if same > 5 && x.Purpose != outbound.Answer {
			s.t.Errorf("the same content %d times in the month before %s", same, x.At)
		}
		if x.Purpose != outbound.Promotion {
			continue
		}
		if touches > 6 { // five and this one
			s.t.Errorf("%d touches in the week before %s", touches, x.At)
		}
		if h := local.Hour(); h >= 21 || h < 9 {
			s.t.Errorf("a promotion at %s", local)
		}
		if s.consented(Marketing, x.At, x.Channel) != 1 || s.consented(Service, x.At, x.Channel) < 0 {
			s.t.Errorf("a promotion without consent at %s", x.At)
		}
		for _, p := range s.paused {
			if !x.At.Before(p[0]) && x.At.Before(p[1]) {
				s.t.Errorf("a promotion at %s, a person has stepped in at %s", x.At, p[0])
			}
		}
	}
}

// consented is 1 for yes, -1 for no, 0 for neither, as of a moment.
func (s *sim) consented(purpose string, at time.Time, channel string) (is int) {
	for _, c := range s.past.Consents {
		if c.Purpose != purpose || c.At.After(at) {
			continue
		}
		if !c.Given {
			is = -1
		} else if c.Channel == "" || c.Channel == channel {
			is = 1
		} else if is < 0 {
			is = 0
		}
	}
	return is
}
