package records

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"leadstream/streams/outbound"
)

// The outbox: messages to customers, the steps in which they go out, and what is known of where a customer can be reached.
// A message is found by its id, so that whatever makes it may make it again.

// lookBack is how long what a customer got counts for what they may get (L-02: 31 days of the calendar, one of which may be longer
// than the others).
const lookBack = 32 * 24 * time.Hour

// Heard says of which leads the conclusions are drawn already.
func (s *Store) Heard(ctx context.Context, leads []string) (map[string]bool, error) {
	known := map[string]bool{}
	if len(leads) == 0 {
		return known, nil
	}
	marks, args := make([]string, len(leads)), make([]any, len(leads))
	for i, l := range leads {
		marks[i], args[i] = "$"+strconv.Itoa(i+1), clean(l, 64)
	}
	err := s.query(ctx, func(scan func(...any) error) error {
		var lead string
		err := scan(&lead)
		known[lead] = true
		return err
	}, "SELECT lead FROM heard WHERE lead IN ("+strings.Join(marks, ",")+")", args...)
	return known, err
}

// Conclude keeps what follows from leads, in one transaction. Of a lead that was heard already nothing is done again.
func (s *Store) Conclude(ctx context.Context, all []outbound.Conclusion) error {
	if len(all) == 0 {
		return nil
	}
	return s.write(ctx, func(b *batch) {
		now := s.now()
		for i := range all {
			c := &all[i]
			if b.exec("INSERT INTO heard (lead, at) VALUES ($1, $2) ON CONFLICT (lead) DO NOTHING", clean(c.Lead, 64), now.UnixMilli()) == 0 {
				continue
			}
			b.conclude(c, b.standing(c.Customer), now)
		}
	})
}

// standing is the card that a card has become.
func (b *batch) standing(card int64) int64 {
	for range 64 {
		if !b.get([]any{&card}, "SELECT kept FROM merges WHERE gone = $1", card) {
			break
		}
	}
	return card
}

func (b *batch) conclude(c *outbound.Conclusion, card int64, now time.Time) {
	if r := c.Route; r != nil {
		b.exec(`INSERT INTO routes (channel, address, customer, heard_at, dead_at, code) VALUES ($1, $2, $3, $4, 0, '')
			ON CONFLICT (channel, address) DO UPDATE SET customer = excluded.customer,
			heard_at = CASE WHEN excluded.heard_at > routes.heard_at THEN excluded.heard_at ELSE routes.heard_at END`,
			clean(r.Channel, 100), clean(r.Address, 320), card, milli(r.HeardAt))
		b.dead(card, r)
	}
	b.words(card, c.Words)
	if c.Talk != nil || !c.Pause.IsZero() {
		b.exec(`INSERT INTO talks (customer, state, until, changed_at) VALUES ($1, $2, $3, $4) ON CONFLICT (customer) DO UPDATE SET
			state = CASE WHEN excluded.state <> '' THEN excluded.state ELSE talks.state END,
			until = CASE WHEN excluded.until > talks.until THEN excluded.until ELSE talks.until END, changed_at = excluded.changed_at`,
			card, string(c.Talk), milli(c.Pause), now.UnixMilli())
	}
	if c.Asked != nil {
		b.asked(c.Lead, card, c.Asked)
	}
	if c.Answered != nil {
		b.answered(card, c.Answered)
	}
	for _, m := range c.Messages {
		m.Customer = card
		b.message(&m)
	}
}

func (b *batch) words(card int64, words []outbound.Word) {
	for _, w := range words {
		b.exec(`INSERT INTO consents (customer, key, at, purpose, channel, given, how, wording, message)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (key) DO NOTHING`,
			card, clean(w.Key, 200), w.At.UnixMilli(), clean(w.Purpose, 50), clean(w.Channel, 100), bit(w.Given), clean(w.How, 100),
			clean(w.Wording, 4000), clean(w.Lead, 64))
	}
}

// dead notes that a route does not work.
func (b *batch) dead(card int64, r *outbound.Route) {
	if r.DeadAt.IsZero() {
		return
	}
	b.exec(`INSERT INTO routes (channel, address, customer, heard_at, dead_at, code) VALUES ($1, $2, $3, 0, $4, $5)
		ON CONFLICT (channel, address) DO UPDATE SET dead_at = excluded.dead_at, code = excluded.code`,
		clean(r.Channel, 100), clean(r.Address, 320), card, milli(r.DeadAt), clean(r.Code, 100))
}

// message adds one; false: it is there already.
func (b *batch) message(m *outbound.Message) bool {
	buttons := ""
	if len(m.Buttons) > 0 {
		text, err := json.Marshal(m.Buttons)
		if err != nil {
			b.err = err
			return false
		}
		buttons = string(text)
	}
	return b.exec(`INSERT INTO messages (id, customer, cause, purpose, template, language, vals, buttons, topic, about, channel, booking, version,
		made_at, due_at, deadline, state, reason, ends) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
		ON CONFLICT (id) DO NOTHING`,
		m.ID, m.Customer, clean(m.Cause, 200), string(m.Purpose), clean(m.Template, 100), clean(m.Language, 10), clean(string(m.Values), 16<<10), buttons,
		clean(m.Topic, 200), clean(m.About, 64), clean(m.Channel, 100), clean(m.Booking, 64), m.Version,
		milli(m.MadeAt), milli(m.Due), milli(m.Deadline), string(m.State), clean(m.Reason, 100), bit(m.Ends)) == 1
}

// AddMessages keeps messages. Those that are there already, by their ids, stay as they are.
func (s *Store) AddMessages(ctx context.Context, all []outbound.Message) error {
	return s.write(ctx, func(b *batch) {
		for _, m := range all {
			m.Customer = b.standing(m.Customer)
			b.message(&m)
		}
	})
}

const messageColumns = `SELECT id, customer, cause, purpose, template, language, vals, buttons, topic, about, channel, booking, version,
	made_at, due_at, deadline, state, reason, ends FROM messages `

func scanMessage(scan func(...any) error) (m outbound.Message, err error) {
	var purpose, vals, buttons, state string
	var made, due, deadline, ends int64
	err = scan(&m.ID, &m.Customer, &m.Cause, &purpose, &m.Template, &m.Language, &vals, &buttons, &m.Topic, &m.About, &m.Channel, &m.Booking,
		&m.Version, &made, &due, &deadline, &state, &m.Reason, &ends)
	m.Ends = ends == 1
	m.Purpose, m.State = outbound.Purpose(purpose), outbound.State(state)
	m.MadeAt, m.Due, m.Deadline = fromMilli(made), fromMilli(due), fromMilli(deadline)
	if vals != "" {
		m.Values = json.RawMessage(vals)
	}
	if err == nil && buttons != "" {
		err = json.Unmarshal([]byte(buttons), &m.Buttons)
	}
	return m, err
}

const stepColumns = "SELECT message, n, channel, address, state, tries, remote, code, content, approved, at, sent_at FROM steps "

func scanStep(scan func(...any) error) (message string, t outbound.Step, err error) {
	var state string
	var approved, at, sent int64
	err = scan(&message, &t.N, &t.Channel, &t.Address, &state, &t.Tries, &t.Remote, &t.Code, &t.Content, &approved, &at, &sent)
	t.Approved = approved == 1
	t.State, t.At, t.SentAt = outbound.StepState(state), fromMilli(at), fromMilli(sent)
	return message, t, err
}

// messages reads messages with their steps.
func (s *Store) messages(ctx context.Context, where string, args ...any) (all []outbound.Message, err error) {
	err = s.query(ctx, func(scan func(...any) error) error {
		m, err := scanMessage(scan)
		all = append(all, m)
		return err
	}, messageColumns+where, args...)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	place, marks, ids := map[string]int{}, make([]string, len(all)), make([]any, len(all))
	for i, m := range all {
		place[m.ID], marks[i], ids[i] = i, "$"+strconv.Itoa(i+1), m.ID
	}
	err = s.query(ctx, func(scan func(...any) error) error {
		id, t, err := scanStep(scan)
		if i, ok := place[id]; ok {
			all[i].Steps = append(all[i].Steps, t)
		}
		return err
	}, stepColumns+"WHERE message IN ("+strings.Join(marks, ",")+") ORDER BY message, n", ids...)
	return all, err
}

// DueMessages are those with which something is to be done by now, in the order in which they were due, but answers first and advertising last; next is when the one after
// them will be, zero when there is none.
func (s *Store) DueMessages(ctx context.Context, now time.Time, limit int) (due []outbound.Message, next time.Time, err error) {
	due, err = s.messages(ctx, "WHERE state IN ('waiting', 'sending') AND due_at <= $1 ORDER BY CASE purpose WHEN 'answer' THEN 0 WHEN 'promotion' THEN 2 ELSE 1 END, due_at, made_at, id LIMIT $2", now.UnixMilli(), limit)
	if err != nil || len(due) == limit {
		return due, now, err
	}
	var at int64
	err = s.query(ctx, func(scan func(...any) error) error { return scan(&at) },
		"SELECT coalesce(min(due_at), 0) FROM messages WHERE state IN ('waiting', 'sending') AND due_at > $1", now.UnixMilli())
	return due, fromMilli(at), err
}

// Message reads one with its steps; ErrUnknown: there is none.
func (s *Store) Message(ctx context.Context, id string) (outbound.Message, error) {
	all, err := s.messages(ctx, "WHERE id = $1", clean(id, 64))
	if err == nil && len(all) == 0 {
		err = ErrUnknown
	}
	if err != nil {
		return outbound.Message{}, err
	}
	return all[0], nil
}

// MessagesTo are the latest messages to a customer, the latest first.
func (s *Store) MessagesTo(ctx context.Context, card int64, limit int) ([]outbound.Message, error) {
	return s.messages(ctx, "WHERE customer = $1 ORDER BY made_at DESC, id LIMIT $2", card, limit)
}

// MessagesAbout are the messages that answer a lead.
func (s *Store) MessagesAbout(ctx context.Context, lead string) ([]outbound.Message, error) {
	return s.messages(ctx, "WHERE about = $1 ORDER BY made_at, id LIMIT 100", clean(lead, 64))
}

// MessageOf is the message that a service knows as remote, or that went out under words, and which of its steps that is; ErrUnknown: there is
// none.
func (s *Store) MessageOf(ctx context.Context, channel, remote, words string) (outbound.Message, int, error) {
	var id string
	var n int
	var err error
	if at := strings.LastIndexByte(words, ':'); at > 0 {
		id = words[:at]
		n, err = strconv.Atoi(words[at+1:])
		if err != nil {
			id = ""
		}
	}
	if id == "" && remote != "" {
		err = s.query(ctx, func(scan func(...any) error) error { return scan(&id, &n) },
			"SELECT message, n FROM steps WHERE channel = $1 AND remote = $2 ORDER BY at DESC LIMIT 1", clean(channel, 100), clean(remote, 200))
		if err != nil {
			return outbound.Message{}, 0, err
		}
	}
	if id == "" {
		return outbound.Message{}, 0, ErrUnknown
	}
	m, err := s.Message(ctx, id)
	if err == nil && (n < 1 || n > len(m.Steps)) {
		err = ErrUnknown
	}
	return m, n, err
}

// Calling says whether something is on its way to an address just now, of which the service's id is not known yet.
func (s *Store) Calling(ctx context.Context, channel, address string, since time.Time) (yes bool, err error) {
	var n int
	err = s.query(ctx, func(scan func(...any) error) error { return scan(&n) },
		"SELECT count(*) FROM steps WHERE channel = $1 AND address = $2 AND state IN ('calling', 'unsure') AND at >= $3",
		clean(channel, 100), clean(address, 320), milli(since))
	return n > 0, err
}

// Change carries changes of messages out, all in one transaction, and says of each whether it was: not when somebody else
// has changed the message since it was read.
func (s *Store) Change(ctx context.Context, all []outbound.Change) ([]bool, error) {
	done := make([]bool, len(all))
	err := s.write(ctx, func(b *batch) {
		for i := range all {
			done[i] = b.change(&all[i])
		}
	})
	return done, err
}

func (b *batch) change(c *outbound.Change) bool {
	m := &c.Message
	if t := c.Step; t != nil && t.State == outbound.Calling && b.busy(m, t) {
		return false
	}
	if b.exec("UPDATE messages SET state = $1, reason = $2, due_at = $3 WHERE id = $4 AND state = $5 AND due_at = $6",
		string(c.State), clean(c.Reason, 100), milli(c.Due), m.ID, string(m.State), milli(m.Due)) == 0 {
		return false
	}
	card := b.standing(m.Customer)
	if t := c.Step; t != nil {
		b.exec(`INSERT INTO steps (message, n, customer, channel, address, state, tries, remote, code, content, at, sent_at, approved)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (message, n) DO UPDATE SET state = excluded.state,
			tries = excluded.tries, remote = excluded.remote, code = excluded.code, content = excluded.content, at = excluded.at, sent_at = excluded.sent_at,
			approved = excluded.approved`,
			m.ID, t.N, card, clean(t.Channel, 100), clean(t.Address, 320), string(t.State), t.Tries, clean(t.Remote, 200), clean(t.Code, 100),
			clean(t.Content, 100), milli(t.At), milli(t.SentAt), bit(t.Approved))
	}
	if t := c.Step; t != nil && t.State == outbound.Accepted && (m.Ends || m.Purpose == outbound.Answer) {
		by := outbound.Program
		if m.Ends {
			by = outbound.Dialogue
		}
		b.answered(card, &outbound.Answered{By: by, At: t.SentAt, Knows: m.MadeAt})
	}
	if c.Route != nil {
		b.dead(card, c.Route)
	}
	b.words(card, c.Words)
	if r := c.Ruling; r != nil {
		b.exec("INSERT INTO rulings (message, at, channel, ruling, reason, until) VALUES ($1, $2, $3, $4, $5, $6)",
			m.ID, milli(r.At), clean(r.Channel, 100), clean(r.Ruling, 50), clean(r.Reason, 100), milli(r.Until))
	}
	return true
}

// busy says that another message to the customer is on its way, or was since t was decided upon: the decision did not know of it. It may
// be another daemon's, and what a customer may get depends on what they have got.
func (b *batch) busy(m *outbound.Message, t *outbound.Step) bool {
	return b.get([]any{new(int64)}, `SELECT 1 FROM steps WHERE customer = $1 AND message <> $2 AND at < $5 AND (at >= $3 OR state = 'calling' AND at >= $4) LIMIT 1`,
		b.standing(m.Customer), m.ID, milli(t.At), milli(t.At.Add(-2*time.Minute)), milli(t.At.Add(2*time.Minute)))
}

// Rulings are what was decided about a message, in its order.
func (s *Store) Rulings(ctx context.Context, message string) (all []outbound.Ruling, err error) {
	err = s.query(ctx, func(scan func(...any) error) error {
		var r outbound.Ruling
		var at, until int64
		err := scan(&r.Message, &at, &r.Channel, &r.Ruling, &r.Reason, &until)
		r.At, r.Until = fromMilli(at), fromMilli(until)
		all = append(all, r)
		return err
	}, "SELECT message, at, channel, ruling, reason, until FROM rulings WHERE message = $1 ORDER BY id", clean(message, 64))
	return all, err
}

// SentSince is how many messages a channel has taken since then, or may have.
func (s *Store) SentSince(ctx context.Context, channel string, since time.Time) (n int, err error) {
	err = s.query(ctx, func(scan func(...any) error) error { return scan(&n) },
		`SELECT count(*) FROM steps WHERE channel = $1 AND (sent_at >= $2 OR sent_at = 0 AND state IN ('calling', 'unsure') AND at >= $2)`, clean(channel, 100), since.UnixMilli())
	return n, err
}

// Customer reads what is known of one for a message to them; ErrUnknown: there is no such card.
func (s *Store) Customer(ctx context.Context, card int64) (c outbound.Customer, err error) {
	full, err := s.Card(ctx, card, false)
	if err != nil {
		return c, err
	}
	now := s.now()
	c = outbound.Customer{ID: full.ID, Name: full.Name}
	for _, id := range full.Identities {
		switch channel, value, _ := strings.Cut(id.Value, ":"); id.Kind {
		case "user":
			c.Routes = append(c.Routes, outbound.Route{Channel: channel, Kind: id.Kind, Address: value})
		case "phone", "email":
			c.Routes = append(c.Routes, outbound.Route{Kind: id.Kind, Address: id.Value})
		}
	}
	best := map[string]int64{}
	for _, p := range full.Preferences {
		if p.Times > best[p.Kind] {
			best[p.Kind] = p.Times
			switch p.Kind {
			case "language":
				c.Language = p.Value
			case "channel":
				c.Prefers = p.Value
			}
		}
	}
	for _, w := range full.Consents {
		c.Consents = append(c.Consents, outbound.Consent{Purpose: w.Purpose, Channel: w.Channel, Given: w.Given, At: w.At})
	}
	if err := s.routes(ctx, &c); err != nil {
		return c, err
	}
	for _, k := range full.Bookings {
		if k.Start.After(now) && k.Status != "cancelled" {
			c.Bookings = append(c.Bookings, k)
		} else if k.Start.After(c.LastVisit) && k.Status != "cancelled" && k.Status != "missed" {
			c.LastVisit = k.Start
		}
	}
	var talk string
	var until int64
	err = s.query(ctx, func(scan func(...any) error) error { return scan(&talk, &until) }, "SELECT state, until FROM talks WHERE customer = $1", c.ID)
	if err != nil {
		return c, err
	}
	c.Paused = fromMilli(until)
	if talk != "" {
		c.Talk = json.RawMessage(talk)
	}
	err = s.query(ctx, func(scan func(...any) error) error {
		var p outbound.Past
		var purpose, state string
		var approved, at, sent int64
		err := scan(&p.Message, &purpose, &p.Template, &p.Topic, &p.Booking, &p.Version, &p.Channel, &p.Content, &approved, &state, &at, &sent)
		p.Approved = approved == 1
		p.Purpose, p.State, p.At = outbound.Purpose(purpose), outbound.StepState(state), fromMilli(max(at*bit(sent == 0), sent))
		c.Sent = append(c.Sent, p)
		return err
	}, `SELECT m.id, m.purpose, m.template, m.topic, m.booking, m.version, t.channel, t.content, t.approved, t.state, t.at, t.sent_at FROM steps t JOIN messages m ON m.id = t.message
		WHERE t.customer = $1 AND t.state NOT IN ('not_sent', 'again') AND (t.sent_at >= $2 OR t.sent_at = 0 AND t.at >= $2) ORDER BY t.at`,
		c.ID, now.Add(-lookBack).UnixMilli())
	return c, err
}

// routes puts to the addresses what is known of them beyond the address. A route of a channel that writes to phones is a line of its own.
func (s *Store) routes(ctx context.Context, c *outbound.Customer) error {
	return s.query(ctx, func(scan func(...any) error) error {
		var r outbound.Route
		var heard, dead int64
		if err := scan(&r.Channel, &r.Address, &heard, &dead, &r.Code); err != nil {
			return err
		}
		r.HeardAt, r.DeadAt = fromMilli(heard), fromMilli(dead)
		for i := range c.Routes {
			if c.Routes[i].Channel == r.Channel && c.Routes[i].Address == r.Address {
				r.Kind = c.Routes[i].Kind
				c.Routes[i] = r
				return nil
			}
		}
		c.Routes = append(c.Routes, r) // such as sms to a phone that no operator knows: Kind is empty
		return nil
	}, "SELECT channel, address, heard_at, dead_at, code FROM routes WHERE customer = $1", c.ID)
}

// TidyOutbox forgets, in small steps, what nobody asks for any more: which leads were heard, beyond the time in which they may come again, and
// messages with all that belongs to them that ended before the history's own limit.
func (s *Store) TidyOutbox(ctx context.Context) error {
	return s.write(ctx, func(b *batch) {
		now := s.now()
		b.exec("DELETE FROM heard WHERE lead IN (SELECT lead FROM heard WHERE at < $1 LIMIT 500)", now.Add(-60*24*time.Hour).UnixMilli())
		var old []any
		b.each(func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			old = append(old, id)
			return err
		}, "SELECT id FROM messages WHERE made_at < $1 AND state IN ('done', 'dropped', 'failed') AND due_at < $1 LIMIT 50", now.Add(-s.keep).UnixMilli())
		for _, id := range old {
			for _, table := range []string{"steps WHERE message", "rulings WHERE message", "messages WHERE id"} {
				b.exec("DELETE FROM "+table+" = $1", id)
			}
		}
	})
}

func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMilli(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}
