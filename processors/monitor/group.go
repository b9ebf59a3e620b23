package monitor

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadstream/processors"
	"leadstream/streams"
)

// kind is why a message is sent.
type kind string

const (
	news     kind = "news"     // a group's first message, or a change
	repeat   kind = "repeat"   // nothing has changed for Repeat
	escalate kind = "escalate" // nobody has acknowledged
	end      kind = "end"      // all that was told has ended
	digest   kind = "digest"   // what quiet hours held back
)

// notice is one message that is due.
type notice struct {
	kind   kind
	groups []string
	firing []*alert // with their fingerprints in ids
	ids    []string
	ended  []string // fingerprints of what was told and has ended
	step   int      // of the escalation chain
	msg    processors.Message
}

// due says what is to be told now. The messages of groups that quiet hours held back are one.
func (m *Monitor) due(now time.Time) (notices []notice) {
	firing := map[string][]string{} // fingerprints by group
	for id, a := range m.state.Alerts {
		if a.firing() {
			firing[a.rule.Group] = append(firing[a.rule.Group], id)
			if m.state.Groups[a.rule.Group] == nil && !a.muted {
				m.state.Groups[a.rule.Group] = &group{Notified: map[string]*told{}}
			}
		}
	}
	var held notice
	for _, name := range slices.Sorted(maps.Keys(m.state.Groups)) {
		slices.Sort(firing[name])
		n, ok := m.dueOf(name, firing[name], now)
		if !ok {
			continue
		}
		if m.state.Groups[name].Held && n.kind == news {
			held.kind = digest
			held.groups = append(held.groups, n.groups...)
			held.firing, held.ids = append(held.firing, n.firing...), append(held.ids, n.ids...)
			continue
		}
		notices = append(notices, n)
	}
	if held.kind != "" {
		notices = append(notices, held)
	}
	for i := range notices {
		notices[i].msg = m.compose(notices[i], now)
	}
	return notices
}

// dueOf says what is to be told of one group. Of firing, all its alerts that fire, those that are muted count only as
// not ended.
func (m *Monitor) dueOf(name string, firing []string, now time.Time) (notice, bool) {
	g := m.state.Groups[name]
	n := notice{groups: []string{name}}
	fresh := false
	severity := Warning
	for _, id := range firing {
		a := m.state.Alerts[id]
		if a.muted {
			continue
		}
		if a.rule.Severity == Critical {
			severity = Critical
		}
		n.firing, n.ids = append(n.firing, a), append(n.ids, id)
		fresh = fresh || g.Notified[id] == nil
	}
	if len(n.ids) > 0 {
		g.Severity = severity
	}
	for _, id := range slices.Sorted(maps.Keys(g.Notified)) {
		t := g.Notified[id]
		if slices.Contains(firing, id) {
			t.Until = time.Time{}
			continue
		}
		if t.Until.IsZero() {
			t.Until = now
		}
		n.ended = append(n.ended, id)
	}
	for _, id := range firing {
		g.Business = m.state.Alerts[id].rule.BusinessHours
	}
	quiet := g.Severity != Critical && m.quiet.contain(now.In(m.zone)) || g.Business && !m.hours.Open(now)
	if len(g.Notified) == 0 {
		return m.dueFirst(name, g, n, quiet, now)
	}
	over := len(n.ids) == 0 && len(n.ended) == len(g.Notified)
	switch waited := now.Sub(g.Sent); {
	case now.Before(g.Next):
		return n, false
	case over && waited >= m.set.GroupInterval && !quiet:
		n.kind = end
	case (fresh || len(n.ended) > 0 && len(n.ids) > 0) && waited >= m.set.GroupInterval && !quiet:
		n.kind = news
	case len(n.ids) == 0 || !g.Acked.IsZero():
		return n, false
	case g.Severity == Critical && g.Step < len(m.set.Escalation) && m.waited(g, now) >= m.set.Escalation[g.Step].After && !(g.Business && quiet):
		n.kind, n.step = escalate, g.Step
	case waited >= m.set.Repeat && !quiet:
		n.kind = repeat
	default:
		return n, false
	}
	return n, true
}

// waited is how long a group has waited for somebody to take it on.
func (m *Monitor) waited(g *group, now time.Time) time.Duration {
	if g.Business {
		return m.hours.Between(g.Started, now)
	}
	return now.Sub(g.Started)
}

// dueFirst is for a group of which nobody has heard: what ends while it waits is never told.
func (m *Monitor) dueFirst(name string, g *group, n notice, quiet bool, now time.Time) (notice, bool) {
	if len(n.ids) == 0 {
		delete(m.state.Groups, name)
		return n, false
	}
	if g.Since.IsZero() {
		g.Since = now
	}
	if now.Sub(g.Since) < m.set.GroupWait || now.Before(g.Next) {
		return n, false
	}
	if quiet {
		g.Held = true
		return n, false
	}
	n.kind = news
	return n, true
}

// tell sends a notice and notes what came of it.
func (m *Monitor) tell(ctx context.Context, n notice, now time.Time) {
	if n.kind == end {
		m.tellEnd(ctx, n, now)
		return
	}
	by := m.deliver(ctx, m.chain(n.step), n.msg)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range n.groups {
		g := m.state.Groups[name]
		if by == "" {
			g.fail(now)
			continue
		}
		m.noteTold(g, n, by, now)
	}
}

func (m *Monitor) noteTold(g *group, n notice, by string, now time.Time) {
	if g.Started.IsZero() {
		g.Started = now
	}
	if n.kind != escalate {
		g.Sent = now
	}
	g.Step = max(g.Step, n.step+1)
	g.Held, g.Failures, g.Next = false, 0, time.Time{}
	if !slices.Contains(g.Reached, by) {
		g.Reached = append(g.Reached, by)
	}
	for i, id := range n.ids {
		a := n.firing[i]
		if m.state.Groups[a.rule.Group] != g {
			continue
		}
		if g.Notified[id] == nil {
			g.Notified[id] = &told{Title: m.textOf(a).Title, Since: a.Fired}
			if n.kind != escalate && (!g.Acked.IsZero() || g.Step >= len(m.set.Escalation)) {
				g.Started, g.Step = now, 1 // nobody up the chain knows of this one
			}
			g.Acked = time.Time{} // nor did who acknowledged
		}
	}
	for _, id := range n.ended {
		delete(g.Notified, id)
	}
}

// endTries is for how long the end is offered to those who do not take it.
const endTries = time.Hour

// tellEnd tells everyone who heard of the beginning.
func (m *Monitor) tellEnd(ctx context.Context, n notice, now time.Time) {
	g := m.state.Groups[n.groups[0]]
	var left []string
	for _, name := range g.Reached {
		// A notifier that left the configuration is owed nothing.
		if m.notifiers[name] != nil && m.deliver(ctx, []string{name}, n.msg) == "" {
			left = append(left, name)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if g.Ended.IsZero() {
		g.Ended = now
	}
	if g.Reached = left; len(left) == 0 || now.Sub(g.Ended) >= endTries {
		delete(m.state.Groups, n.groups[0])
		return
	}
	g.fail(now)
}

// fail puts the next try off.
func (g *group) fail(now time.Time) {
	g.Next = now.Add(processors.Backoff(g.Failures))
	g.Failures++
}

// chain is whom to try for a step: its own notifiers, then those of the steps after it, then those before.
func (m *Monitor) chain(step int) (names []string) {
	steps := m.set.Escalation
	for i := range steps {
		for _, name := range steps[(step+i)%len(steps)].To {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// deliver tells the first of the named that takes the message, and says who; "" when nobody did.
func (m *Monitor) deliver(ctx context.Context, names []string, msg processors.Message) string {
	var people []processors.Person
	for _, name := range names {
		people = append(people, processors.Person{Name: name, Notifier: m.notifiers[name]})
	}
	by, err := processors.Tell(ctx, people, msg, m.language)
	switch {
	case by == "":
		m.log.Error().Err(err).Msg("nobody could be told of an alert")
	case err != nil:
		m.log.Warn().Err(err).Str("by", by).Msg("an alert went another way")
	}
	return by
}

// messageID is stable over retries and restarts, and new for each thing to be said.
func (m *Monitor) messageID(n notice) string {
	parts := []string{"alert", string(n.kind), strconv.Itoa(n.step), strings.Join(n.ids, ","), strings.Join(n.ended, ",")}
	for _, name := range n.groups {
		g := m.state.Groups[name]
		parts = append(parts, name, stamp(g.Since), stamp(g.Sent))
	}
	return streams.NewID(parts...)
}

func stamp(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 36) }
