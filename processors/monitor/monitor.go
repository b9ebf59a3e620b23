// Package monitor is the alert engine: it asks rules of metrics, and tells people, each thing once, at a time when it
// helps, until someone takes it on. Where metrics come from and how a message travels is left to whoever makes it.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"leadstream/processors"
	"leadstream/streams/hours"
)

// Value is one measured number.
type Value struct {
	Name   string
	Labels map[string]string
	V      float64
}

// Source gives the values of now. None at all means that measuring itself has failed.
type Source interface {
	Values() []Value
}

// Step of the escalation chain: whom to tell when nobody has acknowledged for so long.
type Step struct {
	After time.Duration `koanf:"after"`
	To    []string      `koanf:"to"` // notifiers; the first that takes the message is enough
}

// Settings are the keys of `alerts` in config.yaml.
//
// In one sentence: a new alert waits GroupWait for company, further news of its group at least GroupInterval, and
// while nothing changes the message comes again every Repeat.
type Settings struct {
	Every         time.Duration `koanf:"every"` // how often the rules are asked
	GroupWait     time.Duration `koanf:"group_wait"`
	GroupInterval time.Duration `koanf:"group_interval"`
	Repeat        time.Duration `koanf:"repeat"`      // rounded up to a multiple of GroupInterval
	Escalation    []Step        `koanf:"escalation"`  // the first step has everything; critical climbs the others
	QuietFrom     string        `koanf:"quiet_from"`  // "21:00", business time; empty: no quiet hours
	QuietUntil    string        `koanf:"quiet_until"` // "09:00": what waited comes as one message
	AliveAt       string        `koanf:"alive_at"`    // daily word that leadstream lives; empty: none
	Heartbeat     string        `koanf:"heartbeat"`   // URL asked after healthy rounds: its silence is the alarm
	Rules         []Rule        `koanf:"rules"`
}

// Defaults are the settings of a config.yaml that says nothing of alerts. The chain names no notifiers: the
// installation must.
func Defaults() Settings {
	return Settings{
		Every: 10 * time.Second, GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, Repeat: 4 * time.Hour,
		QuietFrom: "21:00", QuietUntil: "09:00", AliveAt: "09:00", Rules: DefaultRules(),
	}
}

// Monitor is the alert engine. Make it with New.
type Monitor struct {
	set       Settings
	rules     []*rule
	quiet     dayPart
	alive     int // minute of the day, -1: never
	source    Source
	notifiers map[string]processors.Notifier
	language  string
	zone      *time.Location
	hours     *hours.Hours
	currency  string
	file      string
	now       func() time.Time
	client    *http.Client
	log       zerolog.Logger

	mu        sync.Mutex
	state     state
	beat      time.Time // last heartbeat
	aliveNext time.Time // next try at the daily word
	saved     []byte    // what the state file holds
}

// Options are what a Monitor needs beside its settings.
type Options struct {
	Source    Source
	Notifiers map[string]processors.Notifier // by the names that the escalation chain uses
	Metrics   []string                       // names that rules may use beside those of Metrics
	Language  string                         // "ru" or "en"
	Zone      *time.Location                 // of the business
	Hours     *hours.Hours                   // when it works, for rules that keep to them; nil: always
	Currency  string                         // as people write it
	File      string                         // keeps its state over restarts
	Now       func() time.Time               // nil: time.Now
	Client    *http.Client                   // for the heartbeat; nil: one with a short time limit
	Log       zerolog.Logger
}

// New checks the settings, reads the state that an earlier run left and makes a Monitor. Its error holds every
// processors.Fault at once.
func New(set Settings, o Options) (*Monitor, error) {
	m := &Monitor{
		set: set, source: o.Source, notifiers: o.Notifiers, language: o.Language, zone: o.Zone, hours: o.Hours, currency: o.Currency, file: o.File,
		now: o.Now, client: o.Client, log: o.Log,
	}
	if m.language == "" {
		m.language = "ru"
	}
	if m.zone == nil {
		m.zone = time.UTC
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.client == nil {
		m.client = &http.Client{Timeout: 5 * time.Second}
	}
	var err error
	m.rules, err = compile(set.Rules, append(slices.Sorted(maps.Keys(Metrics)), o.Metrics...), m.language)
	faults := []error{err}
	m.quiet, err = parseHours(set.QuietFrom, set.QuietUntil)
	faults = append(faults, err)
	m.alive, err = parseClock("alerts.alive_at", set.AliveAt)
	faults = append(faults, err)
	faults = append(faults, m.checkChain()...)
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if r := m.set.Repeat % m.set.GroupInterval; r != 0 {
		m.set.Repeat += m.set.GroupInterval - r
	}
	if err := m.load(); err != nil {
		return nil, fmt.Errorf("alert state: %w", err)
	}
	return m, nil
}

func (m *Monitor) checkChain() (faults []error) {
	if m.set.Every <= 0 || m.set.GroupInterval <= 0 || m.set.Repeat <= 0 {
		faults = append(faults, processors.Fault{Key: "alerts", Problem: "every, group_interval and repeat must be positive",
			Cure: "leave them out for 10s, 5m and 4h"})
		m.set.GroupInterval = time.Minute
	}
	if len(m.set.Escalation) == 0 {
		faults = append(faults, processors.Fault{Key: "alerts.escalation", Problem: "nobody is told", Cure: "name a sink that reaches a person"})
	}
	for i, s := range m.set.Escalation {
		key := fmt.Sprintf("alerts.escalation[%d]", i)
		if len(s.To) == 0 {
			faults = append(faults, processors.Fault{Key: key + ".to", Problem: "the step tells nobody", Cure: "name a sink that reaches a person"})
		}
		if i > 0 && s.After <= m.set.Escalation[i-1].After {
			faults = append(faults, processors.Fault{Key: key + ".after", Problem: "it is not later than the step before", Cure: "let each step wait longer"})
		}
		for _, n := range s.To {
			if m.notifiers[n] == nil {
				faults = append(faults, processors.Fault{Key: key + ".to", Problem: fmt.Sprintf("%q reaches no person", n),
					Cure: fmt.Sprintf("write one of %q", slices.Sorted(maps.Keys(m.notifiers)))})
			}
		}
	}
	return faults
}

// Run asks the rules until ctx ends.
func (m *Monitor) Run(ctx context.Context) error {
	tick := time.NewTicker(m.set.Every)
	defer tick.Stop()
	for {
		if err := m.Step(ctx, m.now()); err != nil && ctx.Err() == nil {
			m.log.Error().Err(err).Msg("alerts")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Step is one round: measure, judge, tell, remember, and show that all of it worked.
func (m *Monitor) Step(ctx context.Context, now time.Time) error {
	values := m.source.Values()
	m.mu.Lock()
	m.evaluate(values, now)
	notices := m.due(now)
	m.mu.Unlock()

	for _, n := range notices {
		m.tell(ctx, n, now)
	}
	m.sayAlive(ctx, values, now)

	m.mu.Lock()
	err := m.save()
	told := m.allTold()
	m.mu.Unlock()
	switch {
	case err != nil:
		return fmt.Errorf("keep the alert state: %w", err)
	case len(values) == 0:
		return errors.New("nothing could be measured")
	case told:
		return m.heartbeat(ctx, now)
	}
	return nil // what could not be told was logged, and keeps the heartbeat silent
}

// allTold says whether no message waits for its next try.
func (m *Monitor) allTold() bool {
	for _, g := range m.state.Groups {
		if g.Failures > 0 {
			return false
		}
	}
	return m.aliveNext.IsZero()
}

// heartbeatEvery is how often the heartbeat is sent at most: hosted checks count in minutes.
const heartbeatEvery = time.Minute

func (m *Monitor) heartbeat(ctx context.Context, now time.Time) error {
	if m.set.Heartbeat == "" || now.Sub(m.beat) < heartbeatEvery {
		return nil
	}
	m.beat = now
	// The URL is a secret of sorts: its errors must not carry it.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.set.Heartbeat, nil)
	if err != nil {
		return errors.New("heartbeat: the URL cannot be used")
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return errors.New("heartbeat: no answer")
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("heartbeat: status %d", resp.StatusCode)
	}
	return nil
}

// Ack stops escalation and repeats of the group that an alert belongs to, until the group changes. id is a fingerprint.
func (m *Monitor) Ack(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.state.Groups {
		if _, ok := g.Notified[id]; ok {
			g.Acked = m.now()
			return m.save()
		}
	}
	return fmt.Errorf("no alert %q is waiting for an answer", id)
}

// Told says whether people know of an alert, and may acknowledge it.
func (m *Monitor) Told(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.state.Groups {
		if g.Notified[id] != nil {
			return true
		}
	}
	return false
}

// Silence mutes the rule of that name until then: it is still asked, and told of if it lasts longer.
func (m *Monitor) Silence(name string, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.ContainsFunc(m.rules, func(r *rule) bool { return r.Name == name }) {
		return fmt.Errorf("there is no alert rule %q", name)
	}
	m.state.Silences[name] = until
	return m.save()
}

// Alert is one alert as the console shows it.
type Alert struct {
	Fingerprint string            `json:"fingerprint"`
	Rule        string            `json:"rule"`
	Severity    string            `json:"severity"`
	Labels      map[string]string `json:"labels,omitempty"`
	Title       string            `json:"title"`
	Do          string            `json:"do"`
	Value       float64           `json:"value"`
	State       string            `json:"state"` // pending, firing, muted
	Since       time.Time         `json:"since"`
	Acked       bool              `json:"acked"`
}

// Alerts are those that fire or are about to, the longest first.
func (m *Monitor) Alerts() []Alert {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Alert
	for id, a := range m.state.Alerts {
		t := m.textOf(a)
		s := Alert{Fingerprint: id, Rule: a.Rule, Severity: a.rule.Severity, Labels: a.Labels, Title: t.Title, Do: t.Do,
			Value: a.Value, State: "pending", Since: a.Since}
		if a.firing() {
			s.State, s.Since = "firing", a.Fired
			if a.muted {
				s.State = "muted"
			}
		}
		if g := m.state.Groups[a.rule.Group]; g != nil {
			s.Acked = !g.Acked.IsZero()
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Alert) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.Fingerprint, b.Fingerprint)
	})
	return list
}

// Test sends a test message to every notifier and answers what each said.
func (m *Monitor) Test(ctx context.Context) map[string]error {
	said := map[string]error{}
	for name, n := range m.notifiers {
		_, said[name] = processors.Tell(ctx, []processors.Person{{Name: name, Notifier: n}}, m.testMessage(m.now()), m.language)
	}
	return said
}
