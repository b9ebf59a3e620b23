// Package calendar knows who is free when, and books visits: by working hours and the bookings in the records, or by
// calendars on a CalDAV server that people look into and write to themselves. It tells customers nothing.
package calendar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"leadstream/sinks/records"
	"leadstream/streams/visits"
)

// The kinds.
const (
	Off     = "off"
	Builtin = "builtin" // the records are the calendar
	CalDAV  = "caldav"
)

// Settings are `calendar` in config.yaml.
type Settings struct {
	Kind       string                   `koanf:"kind"`
	Hours      map[string]string        `koanf:"hours"`      // mon-fri → "10:00-14:00, 15:00-20:00"
	Exceptions []Exception              `koanf:"exceptions"` // holidays, short days
	Masters    []Master                 `koanf:"masters"`    // none: the business serves one customer at a time
	Services   map[string]time.Duration `koanf:"services"`   // by code, as in triage.services
	Duration   time.Duration            `koanf:"duration"`   // of every other service
	Gap        time.Duration            `koanf:"gap"`        // between two visits
	Step       time.Duration            `koanf:"step"`       // between the beginnings that are offered
	Notice     time.Duration            `koanf:"notice"`     // nothing sooner is offered
	Horizon    time.Duration            `koanf:"horizon"`    // nothing later is offered
	CalDAV     Server                   `koanf:"caldav"`
}

// Exception is days that differ from their week.
type Exception struct {
	Day   string `koanf:"day"`   // 2026-12-31
	Until string `koanf:"until"` // the last of several days; empty: one day
	Hours string `koanf:"hours"` // off, or as on a day of the week
}

// Master is who serves customers: a person, a room.
type Master struct {
	Name       string            `koanf:"name"`
	Branch     string            `koanf:"branch"`
	Services   []string          `koanf:"services"`   // codes; none: all
	Hours      map[string]string `koanf:"hours"`      // none: those of the business
	Exceptions []Exception       `koanf:"exceptions"` // besides those of the business
	Calendar   string            `koanf:"calendar"`   // CalDAV: the URL, or its end after caldav.url
}

// Server is a CalDAV server.
type Server struct {
	URL          string        `koanf:"url"` // of the calendar, or of where those of the masters are
	User         string        `koanf:"user"`
	Password     string        `koanf:"password"`
	Every        time.Duration `koanf:"every"`   // how often changes made there are looked for
	Timeout      time.Duration `koanf:"timeout"` // of one call
	AllowPrivate bool          `koanf:"allow_private"`
	CAFile       string        `koanf:"ca_file"`
	Proxy        string        `koanf:"proxy"`
}

// Defaults are the settings of a config that says nothing.
func Defaults() Settings {
	return Settings{Kind: Off, Duration: time.Hour, Step: 30 * time.Minute, Notice: time.Hour, Horizon: 30 * 24 * time.Hour,
		CalDAV: Server{Every: 3 * time.Minute, Timeout: 10 * time.Second}}
}

// Env is what a calendar is opened with.
type Env struct {
	Records  *records.Store
	Zone     *time.Location    // the business's own
	Services map[string]string // code → name, for what people read in their calendar
	Log      zerolog.Logger
}

// Calendar is a visits.Calendar of one of the kinds.
type Calendar interface {
	visits.Calendar
	// Sync brings what people have changed in the calendar itself into the bookings.
	Sync(ctx context.Context) error
	// Check says whether the calendar answers, and changes nothing.
	Check(ctx context.Context) error
}

// Open makes the calendar that the settings describe; nil when it is off. It asks nobody. The error joins all Faults.
func Open(s Settings, env Env) (Calendar, error) {
	if s.Kind == Off {
		return nil, nil
	}
	p, err := newPlan(s, env.Zone)
	if err != nil {
		return nil, err
	}
	if s.Kind == CalDAV {
		return openDAV(s, p, env)
	}
	return &builtin{plan: p, records: env.Records}, nil
}

// plan is when whom customers can come to, by the settings alone.
type plan struct {
	Settings
	zone    *time.Location
	masters []*master
	now     func() time.Time
}

type master struct {
	Master
	week       week
	exceptions []exceptions
}

func (m *master) serves(service, name, branch string) bool {
	return (name == "" || m.Name == name) && (branch == "" || m.Branch == "" || m.Branch == branch) &&
		(service == "" || len(m.Services) == 0 || slices.Contains(m.Services, service))
}

// lasts is how long a service takes.
func (p *plan) lasts(service string) time.Duration {
	return cmp.Or(p.Services[service], p.Duration)
}

// who are those that work the whole time of a visit and do what it needs, in the settings' order.
func (p *plan) who(s visits.Slot) (names []string) {
	for _, m := range p.masters {
		if m.serves(s.Service, s.Master, s.Branch) && slices.ContainsFunc(m.open(s.Start, s.End, p.zone), func(o span) bool {
			return !s.Start.Before(o.from) && !s.End.After(o.to)
		}) {
			names = append(names, m.Name)
		}
	}
	return names
}

// check completes a visit's end, and says who may serve it, or why nobody does.
func (p *plan) check(s *visits.Slot) ([]string, error) {
	if !s.End.After(s.Start) {
		s.End = s.Start.Add(p.lasts(s.Service))
	}
	if !s.Start.After(p.now()) {
		return nil, visits.ErrPast
	}
	names := p.who(*s)
	if len(names) == 0 {
		return nil, visits.ErrClosed
	}
	return names, nil
}

// branch is where a master serves.
func (p *plan) branch(name string) string {
	for _, m := range p.masters {
		if m.Name == name {
			return m.Branch
		}
	}
	return ""
}

// bounds are between which moments a wish can be met, by their visits' beginnings.
func (p *plan) bounds(w visits.Wish) span {
	now := p.now()
	s := span{now.Add(p.Notice), now.Add(p.Horizon)}
	if w.From.After(s.from) {
		s.from = w.From
	}
	if !w.To.IsZero() && w.To.Before(s.to) {
		s.to = w.To
	}
	return s
}

const mostOffered = 1000

// free are the slots that meet a wish, beside what each master is busy with. Of several masters at one time the first is
// offered, unless the wish names one.
func (p *plan) free(w visits.Wish, busy map[string][]span) (all []visits.Slot) {
	within, lasts := p.bounds(w), p.lasts(w.Service)
	taken := map[int64]bool{}
	for _, m := range p.masters {
		if !m.serves(w.Service, w.Master, w.Branch) {
			continue
		}
		for _, o := range m.open(within.from, within.to.Add(lasts), p.zone) {
			for at := o.from; !at.Add(lasts).After(o.to) && !at.After(within.to); at = at.Add(p.Step) {
				need := span{at.Add(-p.Gap), at.Add(lasts + p.Gap)}
				if at.Before(within.from) || taken[at.Unix()] || slices.ContainsFunc(busy[m.Name], need.meets) {
					continue
				}
				taken[at.Unix()] = true
				all = append(all, visits.Slot{Start: at, End: at.Add(lasts), Service: w.Service, Master: m.Name, Branch: m.Branch})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b visits.Slot) int { return a.Start.Compare(b.Start) })
	most := mostOffered
	if w.Most > 0 {
		most = w.Most
	}
	return all[:min(most, len(all))]
}

// Fault is something in the settings that cannot work. Key is below `calendar`.
type Fault struct{ Key, Problem, ProblemRu, Cure, CureRu string }

func (f Fault) Error() string { return "calendar." + f.Key + ": " + f.Problem + "; " + f.Cure }

const (
	hoursCure   = `write it like {mon-fri: "10:00-14:00, 15:00-20:00", sat: "10:00-18:00"}`
	hoursCureRu = `напишите как {mon-fri: "10:00-14:00, 15:00-20:00", sat: "10:00-18:00"}`
	dayCure     = `write it like {day: "2026-12-31", until: "2027-01-08", hours: "off"}, with the quotes`
	dayCureRu   = `напишите как {day: "2026-12-31", until: "2027-01-08", hours: "off"}, с кавычками`
)

func newPlan(s Settings, zone *time.Location) (*plan, error) {
	p := &plan{Settings: s, zone: zone, now: time.Now}
	var faults []error
	fault := func(key, problem, ru, cure, cureRu string) {
		faults = append(faults, Fault{key, problem, ru, cure, cureRu})
	}
	if s.Kind != Builtin && s.Kind != CalDAV {
		fault("kind", "unknown value", "неизвестное значение", "write off, builtin or caldav", "напишите off, builtin или caldav")
	}
	usual, err := parseWeek(s.Hours)
	if err != nil {
		fault("hours", err.Error(), err.Error(), hoursCure, hoursCureRu)
	}
	days, err := parseExceptions(s.Exceptions)
	if err != nil {
		fault("exceptions", err.Error(), err.Error(), dayCure, dayCureRu)
	}
	for i, m := range s.Masters {
		key := fmt.Sprintf("masters[%d]", i)
		one := &master{Master: m, week: usual, exceptions: []exceptions{nil, days}}
		if strings.TrimSpace(m.Name) == "" || slices.ContainsFunc(p.masters, func(o *master) bool { return o.Name == m.Name }) {
			fault(key+".name", "is empty or another one's", "пусто или уже занято", "give each a name of its own", "дайте каждому своё имя")
		}
		if len(m.Hours) > 0 {
			if one.week, err = parseWeek(m.Hours); err != nil {
				fault(key+".hours", err.Error(), err.Error(), hoursCure, hoursCureRu)
			}
		}
		if one.exceptions[0], err = parseExceptions(m.Exceptions); err != nil {
			fault(key+".exceptions", err.Error(), err.Error(), dayCure, dayCureRu)
		}
		p.masters = append(p.masters, one)
	}
	if len(s.Masters) == 0 {
		p.masters = []*master{{week: usual, exceptions: []exceptions{days}}}
	}
	if !slices.ContainsFunc(p.masters, func(m *master) bool { return slices.ContainsFunc(m.week[:], func(d day) bool { return len(d) > 0 }) }) && len(faults) == 0 {
		fault("hours", "nobody ever works", "никто никогда не работает", hoursCure, hoursCureRu)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Services)) {
		if d := s.Services[key]; d <= 0 || d > 24*time.Hour {
			fault("services."+key, "is "+d.String(), "равно "+d.String(), "write a time up to 24h, like 90m", "напишите время до 24h, например 90m")
		}
	}
	for key, is := range map[string]struct{ got, least, most time.Duration }{
		"duration": {s.Duration, time.Minute, 24 * time.Hour}, "gap": {s.Gap, 0, 24 * time.Hour}, "step": {s.Step, time.Minute, 24 * time.Hour},
		"notice": {s.Notice, 0, 365 * 24 * time.Hour}, "horizon": {s.Horizon, time.Hour, 366 * 24 * time.Hour},
	} {
		if is.got < is.least || is.got > is.most {
			fault(key, "is "+is.got.String(), "равно "+is.got.String(), fmt.Sprintf("write %s to %s", is.least, is.most), fmt.Sprintf("напишите от %s до %s", is.least, is.most))
		}
	}
	return p, errors.Join(faults...)
}
