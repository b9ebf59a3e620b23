package records

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"leadstream/streams"
	"leadstream/streams/visits"
)

// Message is one thing that was said with a customer, or happened.
type Message struct {
	Lead     string                     `json:"lead"`
	At       time.Time                  `json:"at"`
	Channel  string                     `json:"channel,omitempty"` // only as it is shown: in the database its conversation has it
	Source   string                     `json:"source,omitempty"`
	Event    string                     `json:"event,omitempty"` // empty: the customer's enquiry
	Text     string                     `json:"text,omitempty"`
	Name     string                     `json:"name,omitempty"`
	Phone    string                     `json:"phone,omitempty"` // as written, where no number was understood
	Service  string                     `json:"service,omitempty"`
	Time     string                     `json:"time,omitempty"`
	Intent   string                     `json:"intent,omitempty"`
	RepeatOf string                     `json:"repeat_of,omitempty"`
	About    string                     `json:"about,omitempty"`
	Problems []string                   `json:"problems,omitempty"`
	Fields   map[string]json.RawMessage `json:"fields,omitempty"`
	Files    []File                     `json:"files,omitempty"`

	n int64 // in its conversation
}

// File is one that came with a message.
type File struct {
	Kind    string `json:"kind"` // as streams.Media says it
	Name    string `json:"name,omitempty"`
	Type    string `json:"type,omitempty"`
	Size    int64  `json:"size,omitempty"`
	Hash    string `json:"hash,omitempty"`    // of the stored file; it is kept for as long as media.keep says
	Problem string `json:"problem,omitempty"` // why there is none
}

func messageOf(l *streams.Lead, at time.Time) Message {
	m := Message{Lead: l.ID, At: at.UTC(), Source: l.Source, Event: l.Event, Text: l.Message, Name: l.Name, Service: l.Service, Time: l.Time,
		Intent: l.Intent, RepeatOf: l.RepeatOf, About: l.About, Problems: l.Problems, Fields: l.Fields}
	if l.Phone != "" && !isE164(l.Phone) {
		m.Phone = l.Phone
	}
	for _, f := range l.Media {
		m.Files = append(m.Files, File{f.Kind, f.Name, f.Type, f.Size, f.Hash, f.Problem})
	}
	return m
}

// Write writes leads in their order, in one transaction, and answers whose card each stands on. Those that are written
// already stay as they are.
func (s *Store) Write(ctx context.Context, zone *time.Location, leads []*streams.Lead) ([]int64, error) {
	bodies := make([][]byte, len(leads))
	for i, l := range leads {
		if l == nil || l.ID == "" {
			return nil, errData{"no id"}
		}
		var err error
		if bodies[i], err = json.Marshal(messageOf(l, s.at(l))); err != nil {
			return nil, errData{"no JSON"}
		}
	}
	stands := make([]*person, len(leads))
	err := s.write(ctx, func(b *batch) {
		p := page{batch: b, zone: zone}
		p.find(leads)
		for i, l := range leads {
			stands[i] = p.add(l, bodies[i])
		}
		p.save()
	})
	if err != nil {
		return nil, err
	}
	cards := make([]int64, len(leads))
	for i, k := range stands {
		cards[i] = k.id
	}
	return cards, nil
}

// at is when the customer wrote. A sender's clock may be ahead of ours.
func (s *Store) at(l *streams.Lead) time.Time {
	at, now := l.EventAt, s.now()
	if at.IsZero() {
		at = l.ReceivedAt
	}
	if at.IsZero() || at.After(now) {
		return now
	}
	return at
}

// tidyStep is how much is tidied in one transaction: deliveries wait meanwhile.
const tidyStep = 50

// Tidy compresses the ends of conversations that rest, and forgets what is older than it has to be kept: in small steps.
func (s *Store) Tidy(ctx context.Context) error {
	for _, step := range []func(*batch) int{s.closeIdle, s.forgetOld, s.forgetWaits} {
		for n := tidyStep; n == tidyStep && ctx.Err() == nil; {
			limited, cancel := context.WithTimeout(ctx, s.timeout)
			err := s.write(limited, func(b *batch) { n = step(b) })
			cancel()
			if err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func (s *Store) closeIdle(b *batch) int {
	var idle [][2]int64
	b.each(func(scan func(...any) error) error {
		var t [2]int64
		err := scan(&t[0], &t[1])
		idle = append(idle, t)
		return err
	}, "SELECT id, messages FROM conversations WHERE messages > closed AND last_at < $1 ORDER BY last_at LIMIT $2", s.now().Add(-tailIdle).UnixMilli(), tidyStep)
	bodies, asks := make([][][]byte, len(idle)), make([]ask, len(idle))
	for i, t := range idle {
		asks[i] = tailOf(t[0], &bodies[i])
	}
	b.round(asks)
	asks = nil
	for i, t := range idle {
		packed, err := chunk(t[0], t[1], bodies[i], s.now().UnixMilli())
		if err != nil && b.err == nil {
			b.err = err
		}
		asks = append(asks, packed,
			ask{query: "DELETE FROM tail WHERE conversation = $1", args: []any{t[0]}},
			ask{query: "UPDATE conversations SET closed = $2, bytes = 0 WHERE id = $1", args: []any{t[0], t[1]}})
	}
	b.round(asks)
	return len(idle)
}

// forgetOld deletes chunks that were closed longer ago than the history is kept: their last message is as old at least.
func (s *Store) forgetOld(b *batch) int {
	type chunk struct {
		talk, n int64
		body    []byte
	}
	var old []chunk
	b.each(func(scan func(...any) error) error {
		var c chunk
		err := scan(&c.talk, &c.n, &c.body)
		old = append(old, c)
		return err
	}, "SELECT conversation, n, body FROM chunks WHERE closed_at < $1 ORDER BY closed_at LIMIT $2", s.now().Add(-s.keep).UnixMilli(), tidyStep)
	var asks []ask
	for _, c := range old {
		messages, _ := unpack(c.body) // one that is damaged goes, too
		for _, m := range messages {
			asks = append(asks, ask{query: "DELETE FROM leads WHERE lead = $1", args: []any{clean(m.Lead, 64)}})
		}
		asks = append(asks, ask{query: "DELETE FROM chunks WHERE conversation = $1 AND n = $2", args: []any{c.talk, c.n}},
			ask{query: "DELETE FROM conversations WHERE id = $1 AND messages = $2", args: []any{c.talk, c.n}})
	}
	b.round(asks)
	return len(old)
}

// unpack reads a chunk.
func unpack(body []byte) ([]Message, error) {
	lines, err := unzip(body)
	if err != nil {
		return nil, fmt.Errorf("a chunk of history is damaged: %w", err)
	}
	all := make([]Message, 0, bytes.Count(lines, []byte{'\n'})+1)
	for line := range bytes.Lines(lines) {
		all = append(all, Message{})
		if err := json.Unmarshal(line, &all[len(all)-1]); err != nil {
			return nil, fmt.Errorf("a chunk of history is damaged: %w", err)
		}
	}
	return all, nil
}

func unzip(body []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	var lines bytes.Buffer
	lines.Grow(tailBytes / 4) // most chunks fit: growing costs as much as unpacking
	_, err = lines.ReadFrom(z)
	return lines.Bytes(), err
}

// History is what was said with a customer in all channels, the oldest first.
func (s *Store) History(ctx context.Context, card int64) ([]Message, error) {
	var all []Message
	type talk struct {
		id      int64
		channel string
	}
	var talks []talk
	err := s.query(ctx, func(scan func(...any) error) error {
		var t talk
		err := scan(&t.id, &t.channel)
		talks = append(talks, t)
		return err
	}, "SELECT id, channel FROM conversations WHERE customer = $1 ORDER BY id", card)
	if err != nil {
		return nil, err
	}
	for _, t := range talks {
		messages, err := s.talk(ctx, t.id)
		if err != nil {
			return nil, err
		}
		for i := range messages {
			messages[i].Channel = t.channel
		}
		all = append(all, messages...)
	}
	slices.SortStableFunc(all, func(a, b Message) int { return a.At.Compare(b.At) })
	return all, nil
}

// talk reads one conversation. Its end comes first: should it be compressed meanwhile, nothing is missed.
func (s *Store) talk(ctx context.Context, id int64) ([]Message, error) {
	var tail []Message
	err := s.query(ctx, func(scan func(...any) error) error {
		var m Message
		var n int64
		var body []byte
		if err := scan(&n, &body); err != nil {
			return err
		}
		if err := json.Unmarshal(body, &m); err != nil {
			return fmt.Errorf("a message of the history is damaged: %w", err)
		}
		m.n = n
		tail = append(tail, m)
		return nil
	}, "SELECT n, body FROM tail WHERE conversation = $1 ORDER BY n", id)
	if err != nil {
		return nil, err
	}
	closed := int64(0)
	var packed [][]byte
	err = s.query(ctx, func(scan func(...any) error) error {
		var body []byte
		err := scan(&closed, &body)
		packed = append(packed, body)
		return err
	}, "SELECT n, body FROM chunks WHERE conversation = $1 ORDER BY n", id)
	if err != nil {
		return nil, err
	}
	parts := make([][]Message, len(packed)+1)
	var unpacking errgroup.Group // nearly all the time of opening a conversation is JSON: every core takes a share
	for i, body := range packed {
		unpacking.Go(func() (err error) {
			parts[i], err = unpack(body)
			return err
		})
	}
	if err := unpacking.Wait(); err != nil {
		return nil, err
	}
	parts[len(packed)] = slices.DeleteFunc(tail, func(m Message) bool { return m.n <= closed })
	return slices.Concat(parts...), nil
}

// Card is what is known of a customer.
type Card struct {
	ID          int64            `json:"id"`
	Name        string           `json:"name,omitempty"`
	Source      string           `json:"source,omitempty"` // of the first contact (IN-09)
	Channel     string           `json:"channel,omitempty"`
	FirstAt     time.Time        `json:"first_at"`
	LastAt      time.Time        `json:"last_at"`
	Contacts    int64            `json:"contacts"` // how often something came of the customer (IN-10)
	Orders      int64            `json:"orders"`
	OrderAt     time.Time        `json:"order_at,omitzero"`
	Identities  []Identity       `json:"identities"`
	Preferences []Preference     `json:"preferences,omitempty"` // the most frequent first
	Merged      []Merge          `json:"merged,omitempty"`      // cards that this one has taken in
	Consents    []Consent        `json:"consents,omitempty"`
	Bookings    []visits.Booking `json:"bookings,omitempty"`
	Messages    []Message        `json:"messages,omitempty"`
}

// Preference is what a customer has asked for before.
type Preference struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
	Times int64  `json:"times"`
}

// Merge says why two cards have become one.
type Merge struct {
	Gone int64     `json:"gone"`
	At   time.Time `json:"at"`
	Lead string    `json:"lead"` // that named both
	By   string    `json:"by"`
}

// ErrUnknown says that there is no such card.
var ErrUnknown = errors.New("there is no such customer")

const cardColumns = "SELECT id, name, source, channel, first_at, last_at, contacts, orders, order_at FROM customers "

func scanCard(scan func(...any) error) (c Card, err error) {
	var first, last, order int64
	err = scan(&c.ID, &c.Name, &c.Source, &c.Channel, &first, &last, &c.Contacts, &c.Orders, &order)
	c.FirstAt, c.LastAt = time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
	if order > 0 {
		c.OrderAt = time.UnixMilli(order).UTC()
	}
	return c, err
}

// Card reads a card with all that is on it, or with its messages left out. The number of a card that was merged finds the
// one that has taken it in.
func (s *Store) Card(ctx context.Context, id int64, messages bool) (Card, error) {
	for range 64 { // a card may have been taken in by one that was taken in
		var kept int64
		err := s.query(ctx, func(scan func(...any) error) error { return scan(&kept) }, "SELECT kept FROM merges WHERE gone = $1", id)
		if err != nil {
			return Card{}, err
		}
		if kept == 0 {
			break
		}
		id = kept
	}
	var c Card
	err := s.query(ctx, func(scan func(...any) error) (err error) { c, err = scanCard(scan); return err }, cardColumns+"WHERE id = $1", id)
	if err != nil {
		return c, err
	}
	if c.ID == 0 {
		return c, ErrUnknown
	}
	if err := s.fill(ctx, &c); err != nil || !messages {
		return c, err
	}
	c.Messages, err = s.History(ctx, id)
	return c, err
}

func (s *Store) fill(ctx context.Context, c *Card) error {
	c.Identities = []Identity{}
	err := s.query(ctx, func(scan func(...any) error) error {
		var i Identity
		err := scan(&i.Kind, &i.Value)
		c.Identities = append(c.Identities, i)
		return err
	}, "SELECT kind, value FROM identities WHERE customer = $1 ORDER BY since, kind DESC, value", c.ID)
	if err != nil {
		return err
	}
	err = s.query(ctx, func(scan func(...any) error) error {
		var p Preference
		err := scan(&p.Kind, &p.Value, &p.Times)
		c.Preferences = append(c.Preferences, p)
		return err
	}, "SELECT kind, value, times FROM preferences WHERE customer = $1 ORDER BY kind, times DESC, last_at DESC LIMIT 100", c.ID)
	if err != nil {
		return err
	}
	err = s.query(ctx, func(scan func(...any) error) error {
		var m Merge
		var at int64
		err := scan(&m.Gone, &at, &m.Lead, &m.By)
		m.At = time.UnixMilli(at).UTC()
		c.Merged = append(c.Merged, m)
		return err
	}, "SELECT gone, at, lead, by FROM merges WHERE kept = $1 ORDER BY at, gone", c.ID)
	if err != nil {
		return err
	}
	if c.Consents, err = s.Consents(ctx, c.ID); err != nil {
		return err
	}
	c.Bookings, err = s.Bookings(ctx, c.ID)
	return err
}

// Cards are the next of those with numbers above after, in their order, with all that is on them; next is the number to go
// on behind, 0 when there are no more.
func (s *Store) Cards(ctx context.Context, after int64, limit int) (cards []Card, next int64, err error) {
	var ids []int64
	err = s.query(ctx, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return err
	}, "SELECT id FROM customers WHERE id > $1 ORDER BY id LIMIT $2", after, limit)
	if err != nil {
		return nil, 0, err
	}
	if len(ids) == limit {
		next = ids[limit-1]
	}
	for _, id := range ids {
		c, err := s.Card(ctx, id, true)
		if errors.Is(err, ErrUnknown) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		if c.ID == id { // else it was taken in meanwhile by an older one
			cards = append(cards, c)
		}
	}
	return cards, next, nil
}

// Find finds cards by number, phone, e-mail, lead id, account in a messenger (telegram:123) or a part of the name; the
// last seen first, without their messages.
func (s *Store) Find(ctx context.Context, text string, limit int) ([]Card, error) {
	text = clean(strings.TrimSpace(text), 320)
	var ids []int64
	add := func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		return err
	}
	phone, _ := streams.NormalizePhone(text, s.region)
	err := errors.Join(
		s.query(ctx, add, "SELECT customer FROM identities WHERE kind = 'phone' AND value = $1 OR kind = 'email' AND value = $2 OR kind = 'user' AND value = $3",
			phone, strings.ToLower(text), text),
		s.query(ctx, add, "SELECT c.customer FROM leads l JOIN conversations c ON c.id = l.conversation WHERE l.lead = $1", text),
	)
	if n := number(text); n > 0 && err == nil {
		var c Card
		switch c, err = s.Card(ctx, n, false); {
		case err == nil:
			ids = append(ids, c.ID)
		case errors.Is(err, ErrUnknown):
			err = nil
		}
	}
	if err == nil && len(ids) == 0 && len([]rune(text)) >= 2 {
		like := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(strings.ToLower(text)) + "%"
		err = s.query(ctx, add, `SELECT id FROM customers WHERE name_key LIKE $1 ESCAPE '\' ORDER BY last_at DESC LIMIT $2`, like, limit)
	}
	cards := []Card{}
	for _, id := range ids[:min(len(ids), limit)] {
		c, more := s.Card(ctx, id, false)
		if more != nil {
			return nil, more
		}
		cards = append(cards, c)
	}
	return cards, err
}
