package messenger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"leadstream/processors/dialogue"
	"leadstream/processors/policy"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// Dialogue says what is answered to a customer who has written.
type Dialogue interface {
	Answer(ctx context.Context, t dialogue.Turn) (dialogue.Reply, error)
}

// Sequences hear of what customers do, to begin and to end.
type Sequences interface {
	Heard(ctx context.Context, l *streams.Lead, customer int64) error
}

// Letter is a lead, or news, with the card on which it stands.
type Letter struct {
	Lead *streams.Lead
	Card int64
}

// errEarly says that news are about a message of which nothing is known yet.
var errEarly = errors.New("the news come before the answer of the service")

// together is how many customers' leads are thought about at one time: a dialogue may ask a calendar far away.
const together = 16

// Hear draws the conclusions from leads, once from each, and says of each what stands in the way, if anything does: it is to be
// shown again then, before later ones of its customer. What customers are to be told is in the outbox when it returns.
func (m *Messenger) Hear(ctx context.Context, letters []Letter) []error {
	errs := make([]error, len(letters))
	var ids []string
	for _, l := range letters {
		if concerns(l.Lead) {
			ids = append(ids, l.Lead.ID)
		}
	}
	limited, cancel := context.WithTimeout(ctx, storeLimit)
	known, err := m.Store.Heard(limited, ids)
	cancel()
	stuck := map[int64]error{} // customers of whom an earlier lead waits
	var open []int
	for i, l := range letters {
		switch {
		case err != nil:
			errs[i] = err
		case concerns(l.Lead) && !known[l.Lead.ID]:
			open = append(open, i)
		}
	}
	for len(open) > 0 { // each customer's leads one after the other: from the one follows what the next one means
		var now, later []int
		seen := map[int64]bool{}
		for _, i := range open {
			card := letters[i].Card
			switch {
			case stuck[card] != nil:
				errs[i] = stuck[card]
			case seen[card]:
				later = append(later, i)
			default:
				seen[card], now = true, append(now, i)
			}
		}
		for i, err := range m.concludeAll(ctx, letters, now) {
			if err != nil {
				errs[now[i]], stuck[letters[now[i]].Card] = err, err
			}
		}
		open = later
	}
	return errs
}

// concludeAll draws the conclusions from leads of different customers, and keeps them in one transaction.
func (m *Messenger) concludeAll(ctx context.Context, letters []Letter, which []int) []error {
	errs, all := make([]error, len(which)), make([]outbound.Conclusion, len(which))
	var g errgroup.Group
	g.SetLimit(together)
	for k, i := range which {
		g.Go(func() error {
			all[k], errs[k] = m.safelyConclude(ctx, letters[i])
			return nil
		})
	}
	_ = g.Wait() // errs has them
	var open []outbound.Conclusion
	said := false
	for k := range all {
		if errs[k] == nil {
			open, said = append(open, all[k]), said || len(all[k].Messages) > 0
		}
	}
	limited, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	if err := m.Store.Conclude(limited, open); err != nil {
		for k := range errs {
			errs[k] = cmp.Or(errs[k], err)
		}
	} else if said {
		m.Wake()
	}
	return errs
}

// safelyConclude lets a panic cost this lead its answer alone: a person sees it in the CRM as ever.
func (m *Messenger) safelyConclude(ctx context.Context, l Letter) (c outbound.Conclusion, err error) {
	defer func() {
		if p := recover(); p != nil { // what was panicked with may quote the lead
			m.Log.Error().Str("lead", l.Lead.ID).Msg("the messenger panicked on this lead: it is left to a person")
			c, err = outbound.Conclusion{Lead: l.Lead.ID, Customer: l.Card}, nil
		}
	}()
	return m.conclude(ctx, l)
}

// concerns says whether anything may follow from a lead: not from the news that we have written.
func concerns(l *streams.Lead) bool {
	return l != nil && !l.BringsFiles() && (l.Source != NewsSource || !strings.HasPrefix(l.Key, "message:"))
}

// conclude is what follows from one lead.
func (m *Messenger) conclude(ctx context.Context, l Letter) (outbound.Conclusion, error) {
	c := outbound.Conclusion{Lead: l.Lead.ID, Customer: l.Card}
	var err error
	switch l.Lead.Event {
	case "":
		err = m.enquiry(ctx, l, &c)
	case "sent", "delivered", "read", "failed":
		err = m.status(ctx, l)
	case "reply": // a customer's word that another program answers: a STOP in it is one all the same
		c.Route = m.routeOf(l.Lead)
		for _, k := range policy.Read(l.Lead.Message, policy.Talk{Names: m.Names}).Lines(l.Lead) {
			c.Words = append(c.Words, wordOf(k))
		}
	case "answered":
		err = m.answered(ctx, l, &c)
	case "blocked", "unblocked":
		c.Route = m.routeOf(l.Lead)
		if c.Route != nil && l.Lead.Event == "blocked" {
			c.Route.DeadAt, c.Route.HeardAt, c.Route.Code = c.Route.HeardAt, time.Time{}, l.Lead.Event
		}
	}
	if err == nil && m.Sequence != nil {
		err = m.Sequence.Heard(ctx, l.Lead, l.Card)
	}
	return c, err
}

func at(l *streams.Lead) time.Time {
	if l.EventAt.IsZero() {
		return l.ReceivedAt
	}
	return l.EventAt
}

// routeOf is the account in a messenger on which a customer was heard.
func (m *Messenger) routeOf(l *streams.Lead) *outbound.Route {
	if l.UserID == "" || l.Channel == "" {
		return nil
	}
	heard := at(l)
	if now := m.now(); heard.After(now) {
		heard = now // the clock of the service is ahead of ours
	}
	return &outbound.Route{Channel: l.Channel, Kind: "user", Address: l.UserID, HeardAt: heard}
}

// enquiry is a word of the customer: it revives the route, may give or take back consent, and is answered.
func (m *Messenger) enquiry(ctx context.Context, l Letter, c *outbound.Conclusion) error {
	lead := l.Lead
	limited, cancel := context.WithTimeout(ctx, thinking)
	defer cancel()
	customer, err := m.Store.Customer(limited, l.Card)
	if err != nil {
		return err
	}
	if c.Route = m.routeOf(lead); c.Route != nil { // which the store hears of with this conclusion only
		customer.Routes = append(customer.Routes, *c.Route)
	}
	word := policy.Read(lead.Message, policy.Talk{Stopped: slices.ContainsFunc(customer.Consents, func(k outbound.Consent) bool { return !k.Given }), Names: m.Names})
	for _, k := range append(m.Policy.ConsentFields.FromForm(lead), word.Lines(lead)...) {
		c.Words = append(c.Words, wordOf(k))
	}
	late := m.now().Sub(lead.ReceivedAt) > m.Answer
	answers := m.Talk != nil && !late && !customer.Paused.After(m.now()) && m.reachable(&customer, lead)
	if word != policy.Nothing {
		if text := m.Texts.Find(stopTexts[word], lead.Language); answers && text != nil {
			c.Messages = append(c.Messages, m.message(lead, &customer, dialogue.Say{Template: text.Name}, 0))
		}
		return nil
	}
	c.Asked = &outbound.Wait{Channel: cmp.Or(lead.Channel, lead.Source), Hot: lead.Hot, At: lead.ReceivedAt, Wrote: at(lead)}
	if m.Worth != nil {
		c.Asked.Worth = m.Worth(lead)
	}
	if !answers {
		return nil
	}
	err = m.talk(limited, l, &customer, c)
	if err != nil && ctx.Err() == nil && m.now().Sub(lead.ReceivedAt) > hold {
		m.Log.Error().Str("lead", lead.ID).Err(err).Msg("a customer cannot be answered: left to a person")
		c.Asked.Hot = true
		return nil
	}
	return err
}

const (
	thinking = 30 * time.Second // about one lead
	hold     = 3 * time.Minute  // a lead for the sake of its answer: behind it waits what its customer writes next, and that may be STOP
)

func wordOf(k policy.Consent) outbound.Word {
	return outbound.Word{Key: k.Key, At: k.At, Purpose: k.Purpose, Channel: k.Channel, Given: k.Given, How: k.How, Wording: k.Wording, Lead: k.Message}
}

// stopTexts are what a customer is told who has said something about being written to.
var stopTexts = map[policy.Word]string{policy.Stop: "stopped", policy.Never: "stopped", policy.Start: "started"}

// reachable says whether there is any channel for an answer.
func (m *Messenger) reachable(c *outbound.Customer, l *streams.Lead) bool {
	probe := outbound.Message{Purpose: outbound.Answer, Channel: l.Channel}
	return len(m.ways(&probe, c)) > 0
}

func (m *Messenger) talk(ctx context.Context, l Letter, customer *outbound.Customer, c *outbound.Conclusion) error {
	lead := l.Lead
	turn := dialogue.Turn{Lead: lead, Customer: customer.ID, Name: cmp.Or(customer.Name, lead.Name), LastVisit: customer.LastVisit, State: customer.Talk,
		Now: m.now().In(m.Zone), Bookings: customer.Bookings}
	for _, r := range customer.Routes {
		if r.Kind == "phone" {
			turn.Phone, turn.Number = true, cmp.Or(turn.Number, r.Address)
		}
	}
	for _, s := range customer.Sent {
		if s.Purpose == outbound.Reminder && m.now().Sub(s.At) < 48*time.Hour {
			turn.Reminder = &outbound.Message{ID: s.Message, Customer: customer.ID, Purpose: s.Purpose, Template: s.Template, Booking: s.Booking}
		}
	}
	reply, err := m.Talk.Answer(ctx, turn)
	if err != nil {
		return fmt.Errorf("dialogue: %w", err)
	}
	c.Talk = reply.State
	for n, say := range reply.Say {
		msg := m.message(lead, customer, say, n)
		msg.Language, msg.Channel = cmp.Or(reply.Language, msg.Language), cmp.Or(say.Channel, msg.Channel)
		c.Messages = append(c.Messages, msg)
	}
	switch {
	case reply.Finished && reply.Person == "" && len(c.Messages) == 0: // "thanks": nobody has to say anything
		c.Asked = nil
	case reply.Finished && reply.Person == "":
		c.Messages[len(c.Messages)-1].Ends = true
	case reply.Person != "":
		c.Asked.Hot = true // the dialogue has given up: somebody must not wait for it
	}
	return nil
}

// message is what the dialogue says, as it goes into the outbox.
func (m *Messenger) message(l *streams.Lead, c *outbound.Customer, say dialogue.Say, n int) outbound.Message {
	now := m.now()
	language := cmp.Or(l.Language, c.Language, m.Language)
	msg := outbound.Message{ID: outbound.ID(fmt.Sprintf("lead:%s:%d", l.ID, n), say.Template), Cause: "lead:" + l.ID, Customer: c.ID,
		Purpose: outbound.Answer, Template: say.Template, Language: language, Buttons: say.Buttons, Topic: say.Topic, About: l.ID, Channel: l.Channel,
		Booking: say.Booking, Version: say.Version, MadeAt: now, Due: now.Add(time.Duration(n) * 5 * time.Millisecond), State: outbound.Waiting}
	if text := m.Texts.Find(say.Template, language); text != nil {
		msg.Purpose = text.Purpose
	}
	msg.Deadline = now.Add(m.Answer)
	if msg.Purpose == outbound.Notice {
		msg.Deadline = now.Add(24 * time.Hour)
	}
	if b, err := json.Marshal(say.Values); err == nil {
		msg.Values = b
	}
	return msg
}

// answered is a person of the business who has written to the customer, if it was no message of ours that came back: then automation keeps
// silent, wherever the person has done it (L-05).
func (m *Messenger) answered(ctx context.Context, l Letter, c *outbound.Conclusion) error {
	ours, err := m.isOurs(ctx, l.Lead)
	if err != nil || ours {
		return err
	}
	when := at(l.Lead)
	if now := m.now(); when.After(now) {
		when = now // the clock of the service is ahead of ours
	}
	c.Pause = when.Add(m.Policy.Pause)
	c.Answered = &outbound.Answered{By: outbound.Person, At: when}
	return nil
}

// isOurs says whether news are about a message that went out here. The answer of the service may be on its way still.
func (m *Messenger) isOurs(ctx context.Context, l *streams.Lead) (bool, error) {
	_, _, err := m.find(ctx, l)
	if !errors.Is(err, m.Unknown) {
		return err == nil, err
	}
	for _, ch := range m.Channels {
		if ch.Leads != l.Channel {
			continue
		}
		calling, err := m.Store.Calling(ctx, ch.Name, l.UserID, m.now().Add(-ch.Timeout))
		if err != nil {
			return false, err
		}
		if calling {
			return false, errEarly
		}
	}
	return false, nil
}

// find is the message that news are about, and which step of it.
func (m *Messenger) find(ctx context.Context, l *streams.Lead) (msg outbound.Message, n int, err error) {
	remote, words := field(l, "message_id"), field(l, "opaque")
	err = m.Unknown
	for _, ch := range m.Channels {
		if ch.Leads == l.Channel && (remote != "" || words != "") && errors.Is(err, m.Unknown) {
			msg, n, err = m.Store.MessageOf(ctx, ch.Name, remote, words)
		}
	}
	return msg, n, err
}

func field(l *streams.Lead, name string) string {
	var text string
	_ = json.Unmarshal(l.Fields[name], &text) // none, or no text
	return text
}

// status is what a service tells of a message. What comes twice, late or in another order changes nothing that was known better.
func (m *Messenger) status(ctx context.Context, l Letter) error {
	msg, n, err := m.find(ctx, l.Lead)
	if errors.Is(err, m.Unknown) {
		_, err = m.isOurs(ctx, l.Lead)
		if err == nil {
			m.Metrics.unknown(l.Lead.Channel)
		}
		return err
	}
	if err != nil {
		return err
	}
	step := msg.Steps[n-1]
	if step.State == outbound.Calling && m.now().Before(msg.Due) {
		return errEarly
	}
	state := outbound.StepState(l.Lead.Event)
	if l.Lead.Event == "failed" {
		state = outbound.NotSent
	}
	change := m.progress(msg, n, outbound.Status{State: state, Code: field(l.Lead, "code"), Remote: field(l.Lead, "message_id"), At: at(l.Lead)}, m.now())
	if change.Step == nil {
		return nil
	}
	done, err := m.Store.Change(ctx, []outbound.Change{change})
	switch {
	case err != nil:
		return err
	case !done[0]:
		return errors.New("the message was changed meanwhile")
	}
	m.ended(&change)
	m.Wake()
	return nil
}

// progress is what a status changes. A delivery that is told late ends the message, whatever other channel has it by now.
func (m *Messenger) progress(msg outbound.Message, n int, s outbound.Status, now time.Time) outbound.Change {
	step := msg.Steps[n-1]
	c := outbound.Change{Message: msg, State: msg.State, Reason: msg.Reason, Due: msg.Due, Step: &step}
	ch := m.channel(step.Channel)
	last := n == len(msg.Steps)
	step.Remote = cmp.Or(step.Remote, s.Remote)
	if s.State == outbound.NotSent {
		if rank(step.State) >= rank(outbound.Delivered) || step.State == outbound.NotSent {
			return outbound.Change{}
		}
		step.Code = s.Code
		if !last || msg.State != outbound.Sending && msg.State != outbound.Done {
			step.State, step.At = outbound.NotSent, now
			return c
		}
		means := outbound.NothingMore
		if ch != nil && ch.Later != nil {
			means = ch.Later(s.Code)
		}
		m.goOn(&c, means, now)
		return c
	}
	if rank(s.State) <= rank(step.State) {
		return outbound.Change{}
	}
	step.State, step.At = s.State, now
	if step.SentAt.IsZero() {
		step.SentAt = now
	}
	c.Ruling = &outbound.Ruling{Message: msg.ID, At: now, Channel: step.Channel, Ruling: "state", Reason: string(s.State)}
	if ch == nil || rank(s.State) >= rank(ch.Success) {
		c.State, c.Reason, c.Due = outbound.Done, "", now
	}
	return c
}
