package main

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadstream/daemon/drill"
	"leadstream/daemon/proof"
	"leadstream/sinks"
	"leadstream/sinks/bitrix24"
	"leadstream/sinks/sim/portal"
	"leadstream/sinks/sim/push"
	"leadstream/streams"
)

// report holds what the senders know against what the far sides have, and sums it up.
func (d *drillRun) report(stopped bool) (*drill.Report, error) {
	ctx, done := d.asking(2 * time.Minute)
	defer done()
	took := d.since(time.Now())
	if stopped || d.sims.unread() > 0 {
		if err := d.sims.hush(); err != nil {
			return nil, err
		}
		if err := d.settle(ctx, 10*time.Second); err != nil {
			return nil, err
		}
	}
	status, err := d.world.Status(ctx)
	if err != nil && !d.cmd.Target { // a Ctrl-C at the terminal may have ended the daemon too
		d.world.Kill()
		if err = d.world.Start(ctx); err == nil {
			status, err = d.world.Status(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("asking how the leads stand: %w", err)
	}
	lives, err := d.world.Lives(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for the leads: %w", err)
	}
	r := &drill.Report{Version: version(), Language: drill.Words(d.lang), Started: d.began, Took: took, Stopped: stopped,
		Plan: d.plan, Main: d.main(), Told: d.told(), Shorten: d.setup.Shorten, Alerts: []drill.Alert{}, Faults: []string{}, Notes: d.notes()}
	s := &tally{drillRun: d, Report: r, lives: lives, sent: d.ledger.All(), secrets: d.secrets()}
	maps.DeleteFunc(s.lives, func(id string, l streams.Life) bool { return d.sims.isNews(id) || ownNews(l.Source) })
	r.Sources, r.Faults = d.played()
	if d.cmd.Target {
		r.Target, s.log = d.config, []byte("a running daemon's log is not ours to read")
		s.ours()
	} else if s.log, err = d.world.Log(); err != nil {
		return nil, err
	}
	s.all(status.Unexplained)
	if err := s.speak(ctx); err != nil {
		return nil, fmt.Errorf("reading what customers were told: %w", err)
	}
	return r, nil
}

// played are the sources whose leads were sent.
func (d *drillRun) played() (list []drill.Source, faults []string) {
	faults = []string{}
	for _, name := range d.sources {
		if c := d.sims.carriers[name]; c != nil {
			f, wrong := c.figures()
			list, faults = append(list, f), append(faults, wrong...)
			continue
		}
		list = append(list, drill.Source{Name: name, Kind: cmp.Or(d.cfg.Sources[name].Preset, "generic"), Way: drill.ByHTTP})
	}
	return list, faults
}

// secrets are what must not stand in the log.
func (d *drillRun) secrets() (all []string) {
	for _, key := range d.setup.Keys {
		all = append(all, key)
	}
	for _, name := range slices.Sorted(maps.Keys(d.sims.carriers)) {
		set := d.cfg.Sources[name]
		all = append(append(all, set.Secrets...), set.Token)
	}
	return all
}

// ours forgets the leads of a running daemon that the drill has not sent.
func (s *tally) ours() {
	sent := map[string]bool{}
	for _, r := range s.sent {
		sent[r.LeadID] = true
	}
	maps.DeleteFunc(s.lives, func(id string, _ streams.Life) bool { return !sent[id] })
}

// main is the destination whose delays are shown: the first CRM, else the first program, else any.
func (d *drillRun) main() string {
	for _, kind := range []string{"bitrix24", "webhook", ""} {
		for _, name := range d.cfg.Tagging.Sinks {
			if kind == "" || d.cfg.Sinks[name].Kind == kind {
				return name
			}
		}
	}
	return ""
}

// told are the sinks that hear of trouble.
func (d *drillRun) told() []string {
	names := slices.Clone(d.cfg.Tell.Sinks)
	for _, step := range d.cfg.Alerts.Escalation {
		names = append(names, step.To...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// tally is the report in the making.
type tally struct {
	*drillRun
	*drill.Report
	lives   map[string]streams.Life
	sent    []proof.Request
	log     []byte
	secrets []string
	verdict proof.Verdict
	checked bool
}

func (s *tally) all(unexplained int) {
	for _, name := range slices.Sorted(maps.Keys(s.cfg.Sinks)) {
		s.destination(name)
	}
	if !s.checked { // no far side has a record of its own: the daemon must at least know each lead
		for _, r := range s.sent {
			if _, known := s.lives[r.LeadID]; r.Fate == proof.Acked && !known {
				s.verdict.Lost++
				s.verdict.Faults = append(s.verdict.Faults, "LOST: lead "+r.LeadID+" was accepted and the daemon does not know it")
			}
		}
	}
	s.alerts()
	v, t := s.verdict, &s.Totals
	t.Lost, t.Doubled, t.Invented, t.Damaged, t.OutOfOrder, t.Unknown = v.Lost, v.Doubled, v.Invented, v.Damaged, v.OutOfOrder, max(v.Unexplained, unexplained)
	samples := s.samples()
	t.Sent = len(samples)
	for _, one := range samples {
		if one.Accepted {
			t.Accepted++
		}
		if one.Refused || one.Answered < 0 {
			t.NotTaken++
		}
	}
	for _, l := range s.lives {
		switch l.State {
		case streams.Delivered, streams.Merged:
			t.Delivered++
		case streams.Dead, streams.Held:
			t.Dead++
		case streams.Dropped:
			t.Dropped++
		default:
			t.Waiting++
		}
	}
	s.Faults = append(s.Faults, v.Faults...)
	for i := range s.Sources {
		if part := v.By[s.Sources[i].Name]; part != nil {
			s.Sources[i].Lost, s.Sources[i].Doubled, s.Sources[i].OutOfOrder = part.Lost, part.Doubled, part.OutOfOrder
		}
	}
	if n := s.sims.untold; n > 0 && s.whole && !s.Stopped {
		s.Faults = append(s.Faults, s.say("%d messages still wait at their services: leadstream has not taken them", "Сообщений, которые leadstream так и не забрал у сервисов: %d", n))
	}
	if t.Waiting > 0 && s.whole && !s.Stopped {
		s.Faults = append(s.Faults, s.say("%d leads are still on their way %s after the last phase", "Заявок в пути через %[2]s после последнего этапа: %[1]d", t.Waiting, drill.Words(s.lang).Span(drill.Span(s.patience))))
	}
	if t.Accepted == 0 && !s.Stopped {
		s.Faults = append(s.Faults, s.say("no lead was accepted: nothing was tested", "ни одна заявка не принята: ничего не проверено"))
	}
	s.Sum(samples, s.runs)
	s.Advise()
}

// destination checks one and notes its figures. Sinks that get no leads are left out.
func (s *tally) destination(name string) {
	cfg := s.cfg.Sinks[name]
	if cfg.Kind == recordsKind {
		return // ours, and behind the others
	}
	far := drill.Far{Name: name, Kind: cfg.Kind, PerSecond: cfg.Rate.PerSecond, Burst: cfg.Rate.Burst, Concurrency: cfg.Concurrency,
		LateAfter: drill.Span(cfg.LateAfter), LookAfter: drill.Span(farSide(cfg)), Attempts: cfg.Retry.Attempts, Replay: cfg.Replay, MostBatch: kinds[cfg.Kind].Batch, Requests: s.requests[name]}
	if set, ok := cfg.Settings.(*bitrix24.Settings); ok {
		far.Batch = set.Batch
	}
	routed := 0
	for _, l := range s.lives {
		stop, ok := stopAt(l, name)
		if !ok {
			continue
		}
		routed++
		switch stop.State {
		case streams.Delivered, streams.Merged:
			far.Delivered++
		case streams.Dead, streams.Held:
			far.Dead++
		}
	}
	if routed == 0 {
		return
	}
	events, ok, err := s.events(name)
	if err != nil {
		s.Faults = append(s.Faults, fmt.Sprintf("%s: %v", name, err))
	}
	if ok {
		far.Checked = true
		s.check(name, events)
	}
	s.Far = append(s.Far, far)
}

func stopAt(l streams.Life, name string) (streams.Stop, bool) {
	i := slices.IndexFunc(l.Destinations, func(s streams.Stop) bool { return s.Name == name })
	if i < 0 {
		return streams.Stop{}, false
	}
	return l.Destinations[i], true
}

// check holds one destination's record against the senders' and the daemon's word. Leads that the config routes
// elsewhere, drops or passes to a stand-in, and those still on their way, are none of its business.
func (s *tally) check(name string, events []portal.Event) {
	f := proof.Facts{Portal: events, Dead: map[string]bool{}, Lives: map[string]streams.Life{}, Log: s.log, Secrets: s.secrets}
	f.OneCard = s.sims.portals[name] != nil && s.cfg.Triage.Conversation >= oneTalk
	for id, l := range s.lives {
		if stop, ok := stopAt(l, name); ok && stop.State != streams.Dropped && stop.State != streams.InFlight {
			f.Lives[id] = l
			f.Dead[id] = stop.State == streams.Dead || stop.State == streams.Held
		}
	}
	for _, r := range s.sent {
		if _, known := s.lives[r.LeadID]; r.Fate == proof.Acked && known && f.Lives[r.LeadID].ID == "" {
			if r.Fate = proof.Unknown; f.Portal != nil { // it may be there already: it is not finished with
				r.LeadID = ""
			}
		}
		f.Sent = append(f.Sent, r)
	}
	v, err := proof.Check(f)
	if err != nil {
		return // nothing ended here: there is nothing to hold against anything
	}
	s.checked = true
	for i := range v.Faults {
		v.Faults[i] = name + ": " + v.Faults[i]
	}
	s.verdict.Add(v)
}

// oneTalk is longer than a drill: where a conversation lasts so long, all of a customer's messages belong to one card.
const oneTalk = 12 * time.Hour

// events are what a far side has done, told as a portal tells it; ok is false when it keeps no record that could be
// compared: a message to a person is cut and reworded.
func (s *tally) events(name string) (events []portal.Event, ok bool, err error) {
	if p := s.sims.portals[name]; p != nil {
		return s.portalEvents(p.Ledger()), true, nil
	}
	if h := s.sims.hooks[name]; h != nil {
		for _, c := range h.Calls() {
			if !c.Repeat && !s.sims.isNews(c.LeadID) {
				events = append(events, portal.Event{Seq: c.Seq, At: c.At, Kind: "create", Method: "post", Entity: "call", ID: c.Seq, Origin: c.LeadID, Payload: c.Body, Answer: c.Answer})
			}
		}
		return events, true, nil
	}
	if set, is := s.cfg.Sinks[name].Settings.(*sinks.CSVSettings); is {
		return s.rows(name, set)
	}
	return nil, false, nil
}

// portalEvents are a portal's own since the drill began: a running daemon's has done things before. A deal has its
// customer's name and phone in its contact, which may be an earlier deal's too.
func (s *tally) portalEvents(ledger []portal.Event) (events []portal.Event) {
	contacts := map[string]any{}
	for _, e := range ledger {
		if e.At.Before(s.began) {
			continue
		}
		if _, ours := s.lives[e.Origin]; s.cmd.Target && e.Origin != "" && !ours {
			continue // somebody else's lead, taken by the running daemon before or meanwhile
		}
		if e.Kind == "comment" && s.sims.isNews(commented(e)) {
			continue // a rule of the config has news told; as a card they would be an invention
		}
		if e.Kind == "create" && e.Entity == "contact" {
			contacts[strconv.Itoa(e.ID)] = e.Payload
		}
		if e.Kind == "create" && e.Entity == "deal" {
			raw, _ := json.Marshal(e.Payload)
			if found := contactOf.FindSubmatch(raw); found != nil {
				e.Payload = []any{e.Payload, contacts[string(found[1])]}
			}
		}
		events = append(events, e)
	}
	return events
}

var (
	commentMark = regexp.MustCompile(`\[ls:([0-9a-z]{26})`)
	contactOf   = regexp.MustCompile(`"contactId":"?(\d+)`)
)

// commented is the lead that a comment is of.
func commented(e portal.Event) string {
	raw, _ := json.Marshal(e.Payload)
	if found := commentMark.FindSubmatch(raw); found != nil {
		return string(found[1])
	}
	return ""
}

const byteOrder = "\ufeff"

// rows are the lines of a CSV sink. Their times are the daemon's.
func (s *tally) rows(name string, set *sinks.CSVSettings) (events []portal.Event, ok bool, err error) {
	for _, column := range []string{"id", "name", "phone", "message"} {
		if len(set.Columns) > 0 && !slices.Contains(set.Columns, column) {
			return nil, false, nil
		}
	}
	f, err := os.Open(s.cfg.inData(set.Path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	text := bufio.NewReader(f)
	if mark, err := text.Peek(len(byteOrder)); err == nil && string(mark) == byteOrder {
		_, _ = text.Discard(len(byteOrder)) // peeked at
	}
	in := csv.NewReader(text)
	in.Comma, in.FieldsPerRecord = rune(cmp.Or(set.Separator, ",")[0]), -1
	all, err := in.ReadAll()
	if err != nil || len(all) == 0 {
		return nil, false, err
	}
	id := slices.Index(all[0], "id")
	for n, row := range all[1:] {
		e := portal.Event{Seq: n + 1, Kind: "create", Method: "row", Entity: "row", ID: n + 1, Answer: portal.Delivered}
		var cells []any
		for i, cell := range row {
			if i == id {
				e.Origin = cell
			}
			cells = append(cells, strings.TrimPrefix(cell, "'"))
		}
		if stop, known := stopAt(s.lives[e.Origin], name); known {
			e.At = stop.At
		}
		e.Payload = cells
		events = append(events, e)
	}
	return events, true, nil
}

// samples joins what is known of each enquiry.
func (s *tally) samples() []drill.Sample {
	arrived := map[string]map[string]drill.Span{}
	note := func(mark, name string, at time.Time) {
		if arrived[mark] == nil {
			arrived[mark] = map[string]drill.Span{}
		}
		if was, there := arrived[mark][name]; mark != "" && (!there || s.since(at) < was) {
			arrived[mark][name] = s.since(at)
		}
	}
	byDaemon := map[string]bool{}
	for _, far := range s.Far {
		events, _, _ := s.events(far.Name) // its fault is in the report
		byDaemon[far.Name] = !far.Checked
		for _, e := range events {
			if e.Kind == "create" && e.Entity != "contact" || e.Kind == "comment" {
				note(proof.MarkIn(e.Payload), far.Name, e.At)
			}
		}
	}
	by := map[string]*drill.Sample{}
	var order []string
	for _, r := range s.sent {
		mark := proof.Mark(r.Text)
		if by[mark] == nil {
			by[mark] = &drill.Sample{Source: r.Source, Phase: s.phaseAt(s.since(r.Due)), Due: s.since(r.Due), Posted: drill.None, Answered: drill.None, Arrived: map[string]drill.Span{}}
			order = append(order, mark)
		}
		one := by[mark]
		unheard := errors.Is(r.Err, push.ErrUnheard) // the answer came all the same
		one.Refused = one.Refused || r.Fate != proof.Acked && r.Fate != proof.Waiting && !unheard
		if first := s.postedAt(r); first >= 0 && (one.Posted < 0 || first < one.Posted) {
			one.Posted = first
		}
		if answered := s.since(r.Answered); (r.Fate == proof.Acked || unheard) && (one.Answered < 0 || answered < one.Answered) {
			one.Answered = answered
		}
		if due := s.since(r.Due); due < one.Due {
			one.Due, one.Phase = due, s.phaseAt(due)
		}
		if r.Fate != proof.Acked {
			continue
		}
		one.Accepted = true
		life, known := s.lives[r.LeadID]
		stop, routed := stopAt(life, s.Main)
		one.Aside = known && (!routed || stop.State == streams.Dropped) && life.State.Final()
		for _, stop := range life.Destinations {
			if byDaemon[stop.Name] && (stop.State == streams.Delivered || stop.State == streams.Merged) {
				note(mark, stop.Name, stop.At)
			}
		}
	}
	samples := make([]drill.Sample, 0, len(order))
	for _, mark := range order {
		maps.Copy(by[mark].Arrived, arrived[mark])
		samples = append(samples, *by[mark])
	}
	return samples
}

// postedAt is when whoever sent it began to wait for an answer: a service that posts, with its first try.
func (s *tally) postedAt(r proof.Request) drill.Span {
	c := s.sims.carriers[r.Source]
	switch {
	case c == nil || c.asked:
		return s.since(r.Due)
	case r.Fate == proof.Waiting:
		return drill.None
	}
	return s.since(r.Sent)
}

// phaseAt is the phase under way at a moment.
func (s *tally) phaseAt(at drill.Span) int {
	n := 0
	for i, run := range s.runs {
		if run.Began <= at {
			n = i
		}
	}
	return n
}

// leadNotice begins the message that tells a person of a lead, where people are destinations.
var leadNotice = regexp.MustCompile(`^\W*(New lead|Hot lead|Repeat enquiry|Новая заявка|Горячая заявка|Повторное обращение)`)

// alerts are what people would have got, leads that go to them apart.
func (s *tally) alerts() {
	add := func(at time.Time, to, text string) {
		sink := s.sims.sinkOf(to)
		gets, _, _ := strings.Cut(text, "\n")
		lead := slices.ContainsFunc(s.Far, func(f drill.Far) bool { return f.Name == sink }) && leadNotice.MatchString(gets)
		if slices.Contains(s.Told, sink) && !lead {
			line := []rune(strings.TrimSpace(gets))
			if len(line) > 160 {
				line = append(line[:159], '…')
			}
			s.Alerts = append(s.Alerts, drill.Alert{At: s.since(at), Phase: s.phaseAt(s.since(at)), To: sink, Via: s.cfg.Sinks[sink].Kind, Text: plain(string(line))})
		}
	}
	all, err := s.sims.messages()
	if err != nil {
		s.Faults = append(s.Faults, err.Error())
	}
	for _, m := range all {
		if !m.at.Before(s.began) {
			add(m.at, m.to, m.text)
		}
	}
	slices.SortFunc(s.Alerts, func(a, b drill.Alert) int { return cmp.Compare(a.At, b.At) })
}

// notes say how the drill differs from real life.
func (d *drillRun) notes() []string {
	l := drill.Words(d.lang)
	notes := []string{d.say("The leads are invented, by %s; every tenth is a further one of a customer who has written before.", "Заявки придуманы, источники: %s; каждая десятая — повторная от того, кто уже писал.", strings.Join(d.sources, ", "))}
	for _, c := range d.sims.carriers {
		notes = append(notes, d.say("Messengers, exchanges and mail are simulated: they do not hear every tenth answer, and tell again %s sooner than in life. Of mailboxes the messages were played as by leadstream mail.",
			"Мессенджеры, АТС и почта учебные: каждый десятый ответ они не слышат, а повторяют в %s раньше, чем в жизни. Письма играются как через leadstream mail, ящик не читается.", l.Often(c.hurry)))
		break
	}
	if len(d.sims.portals)+len(d.sims.hooks) > 0 {
		notes = append(notes, d.say("The CRM is simulated: %s a call, a cloud portal's limits (2 requests a second, 50 at once).", "CRM учебная: %s на вызов, пределы облачного портала (2 запроса в секунду, 50 разом).", l.Span(drill.Span(d.cmd.Latency))))
	}
	if d.cmd.Target {
		return notes
	}
	if d.asWritten.Redis.URL != Embedded {
		notes = append(notes, d.say("Redis was the drill's own: the server that the config names was not touched, and not tested.", "Redis был свой, учебный: сервер из настроек не тронут и не проверен."))
	}
	if d.setup.Shorten > 1 {
		notes = append(notes, d.say("Alerts waited %s shorter than your rules say, and quiet hours were off.", "Тревоги ждали в %s меньше, чем в ваших правилах, тихие часы выключены.", l.Often(d.setup.Shorten)))
	}
	if d.setup.FarSide > 0 {
		notes = append(notes, d.say("Quick: an unknown outcome was looked up after %s instead of far_limit and index_lag.", "Быстро: неясный исход проверялся через %s вместо far_limit и index_lag.", l.Span(drill.Span(d.setup.FarSide*4/3))))
	}
	if d.plan.Peak.Guessed {
		notes = append(notes, d.say("The peak is a guess: the journal has too few leads. Name yours with --peak.", "Пик взят наугад: в журнале мало заявок. Задайте свой ключом --peak."))
	}
	return notes
}
