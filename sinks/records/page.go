package records

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadstream/streams"
)

// page is what the leads of a batch touch. It is read in two rounds, changed in memory, and written in three: lead by lead,
// a batch would be thousands of round trips to the database.
type page struct {
	*batch
	zone   *time.Location
	leads  map[string]*person   // on whose card a lead stands; nil: on none yet
	owners map[Identity]*person // whose an identity is; nil: nobody's yet
	people map[int64]*person    // by the number of their card
	read   []*person            // people, as they were found
	made   int64                // how many cards and conversations are new

	// What is to be written.
	fresh   []*person
	merges  []merge
	gained  []gained
	changed []*person
	wants   []*want
	wanted  map[want]*want // without times and at
	talks   []*talk
}

// person is a card.
type person struct {
	id      int64 // 0: not written yet
	age     int64 // orders cards as they were made
	missing bool  // identities name it, and it is not there

	first, last, contacts, orders, orderAt int64
	name, key, source, channel             string

	places []string         // in which it has identities
	talks  map[string]*talk // the last one in each channel
	into   *person          // that has taken it in
	dirty  bool
}

// end is the card that k has become.
func (k *person) end() *person {
	for k.into != nil {
		k = k.into
	}
	return k
}

type merge struct {
	gone, kept *person
	lead, by   string
}

type gained struct {
	Identity
	who   *person
	since int64
}

// want is what a customer wants again and again.
type want struct {
	who         *person
	kind, value string
	times, at   int64
}

// talk is a conversation.
type talk struct {
	who                     *person
	channel                 string
	id, age                 int64 // as a person's
	messages, closed, bytes int64
	leads                   []string // that are added,
	said                    [][]byte // and what they say
	old                     [][]byte // what stands in its end already, if that is to be compressed
}

// full says that the end is to be compressed.
func (t *talk) full() bool {
	return t.messages-t.closed+int64(len(t.said)) >= tailMost || t.size() >= tailBytes
}

func (t *talk) size() int64 {
	n := t.bytes
	for _, body := range t.said {
		n += int64(len(body))
	}
	return n
}

// next is the age of what is made now.
func (p *page) next() int64 {
	p.made++
	return 1<<62 + p.made
}

// person is the card of that number.
func (p *page) person(id int64) *person {
	k := p.people[id]
	if k == nil {
		k = &person{id: id, age: id, missing: true, talks: map[string]*talk{}}
		p.people[id] = k
		p.read = append(p.read, k)
	}
	return k
}

// find reads what there is of the leads' customers.
func (p *page) find(leads []*streams.Lead) {
	p.leads, p.owners, p.people, p.wanted = map[string]*person{}, map[Identity]*person{}, map[int64]*person{}, map[want]*want{}
	var asks []ask
	owner := func(to func(*person)) func(scan func(...any) error) error {
		return func(scan func(...any) error) error {
			var id int64
			err := scan(&id)
			to(p.person(id))
			return err
		}
	}
	find := func(lead string) {
		lead = clean(lead, 64)
		if _, asked := p.leads[lead]; asked || lead == "" {
			return
		}
		p.leads[lead] = nil
		asks = append(asks, ask{owner(func(k *person) { p.leads[lead] = k }),
			"SELECT c.customer FROM leads l JOIN conversations c ON c.id = l.conversation WHERE l.lead = $1", []any{lead}})
	}
	for _, l := range leads {
		find(l.ID)
		ids := identitiesOf(l)
		if len(ids) == 0 {
			find(belongsTo(l))
		}
		for _, id := range ids {
			if _, asked := p.owners[id]; asked {
				continue
			}
			p.owners[id] = nil
			asks = append(asks, ask{owner(func(k *person) { p.owners[id] = k }),
				"SELECT customer FROM identities WHERE kind = $1 AND value = $2", []any{id.Kind, id.Value}})
		}
	}
	p.round(asks)
	asks = nil
	for _, k := range p.read {
		asks = append(asks,
			ask{func(scan func(...any) error) error {
				k.missing = false
				return scan(&k.first, &k.last, &k.contacts, &k.orders, &k.orderAt, &k.name, &k.key)
			}, "SELECT first_at, last_at, contacts, orders, order_at, name, name_key FROM customers WHERE id = $1", []any{k.id}},
			ask{func(scan func(...any) error) error {
				var id Identity
				err := scan(&id.Kind, &id.Value)
				k.places = append(k.places, id.place())
				return err
			}, "SELECT kind, value FROM identities WHERE customer = $1", []any{k.id}},
			ask{func(scan func(...any) error) error {
				t := &talk{who: k}
				err := scan(&t.id, &t.channel, &t.messages, &t.closed, &t.bytes)
				t.age, k.talks[t.channel] = t.id, t
				return err
			}, "SELECT id, channel, messages, closed, bytes FROM conversations WHERE customer = $1 ORDER BY id", []any{k.id}})
	}
	p.round(asks)
}

// belongsTo is the lead whose customer is that of a lead which names nobody: news, or the files that follow a lead.
func belongsTo(l *streams.Lead) string { return cmp.Or(l.About, l.RepeatOf) }

// add puts one lead onto a card.
func (p *page) add(l *streams.Lead, body []byte) *person {
	lead := clean(l.ID, 64)
	if k := p.leads[lead]; k != nil || p.err != nil {
		return k
	}
	at := p.store.at(l).UnixMilli()
	k := p.customer(l, at)
	p.count(k, l, at)
	channel := clean(channelOf(l), 100)
	t := k.talks[channel]
	if t == nil {
		t = &talk{who: k, channel: channel, age: p.next()}
		k.talks[channel] = t
	}
	if t.said == nil {
		p.talks = append(p.talks, t)
	}
	t.leads, t.said = append(t.leads, lead), append(t.said, body)
	p.leads[lead] = k
	return k
}

// customer finds the card of a lead's customer, makes it, or makes one of two (D-05).
func (p *page) customer(l *streams.Lead, at int64) *person {
	ids := identitiesOf(l)
	var k *person
	var by Identity
	for i, id := range ids {
		owner := p.owner(id)
		switch {
		case owner == nil || owner == k:
		case k == nil:
			if fresh := places(ids[:i]); len(fresh) == 0 || mayJoin(id.Kind, fresh, owner.places) {
				k, by = owner, id
			}
		case mayJoin(id.Kind, k.places, owner.places):
			k = p.merge(k, owner, l.ID, by.Kind+"+"+id.Kind)
		}
	}
	if of := p.leads[clean(belongsTo(l), 64)]; len(ids) == 0 && of != nil {
		k = of.end()
	}
	if k == nil {
		k = &person{age: p.next(), first: at, last: at, source: clean(l.Source, 100), channel: clean(channelOf(l), 100), talks: map[string]*talk{}}
		p.fresh = append(p.fresh, k)
	}
	for _, id := range ids {
		if p.owners[id] == nil {
			p.owners[id] = k
			k.places = append(k.places, id.place())
			p.gained = append(p.gained, gained{id, k, at})
		}
	}
	return k
}

func (p *page) owner(id Identity) *person {
	if k := p.owners[id]; k != nil {
		return k.end()
	}
	return nil
}

// merge makes one card of two: the older stays, everything of the other becomes its own, and what was done is noted. Two
// cards of which one is missing are an error of this lead alone.
func (p *page) merge(kept, gone *person, lead, by string) *person {
	for _, k := range []*person{kept, gone} {
		if k.missing && p.err == nil { // it would count as the older one, and the card that is there would be deleted
			p.err = errData{fmt.Sprintf("it names card %d, which is missing", k.id)}
		}
	}
	if p.err != nil {
		return kept
	}
	if cmp.Or(cmp.Compare(gone.first, kept.first), cmp.Compare(gone.age, kept.age)) < 0 {
		kept, gone = gone, kept
	}
	if kept.name == "" {
		kept.name, kept.key = gone.name, gone.key
	}
	kept.last, kept.orderAt = max(kept.last, gone.last), max(kept.orderAt, gone.orderAt)
	kept.contacts, kept.orders = kept.contacts+gone.contacts, kept.orders+gone.orders
	kept.places = append(kept.places, gone.places...)
	for channel, t := range gone.talks {
		if other := kept.talks[channel]; other == nil || other.age < t.age {
			kept.talks[channel] = t
		}
	}
	gone.into = kept
	p.merges = append(p.merges, merge{gone, kept, clean(lead, 64), by})
	p.change(kept)
	return kept
}

func (p *page) change(k *person) {
	if !k.dirty {
		k.dirty = true
		p.changed = append(p.changed, k)
	}
}

// count keeps the card up to date: name, counters and what the customer usually wants (IN-10).
func (p *page) count(k *person, l *streams.Lead, at int64) {
	p.change(k)
	if k.name == "" {
		k.name = clean(l.Name, 200)
		k.key = strings.ToLower(k.name)
	}
	k.last = max(k.last, at)
	if l.BringsFiles() {
		return
	}
	switch l.Event {
	case "", "reply", "click", "visit":
	case "order", "won":
		k.orders, k.orderAt = k.orders+1, max(k.orderAt, at)
	default:
		return
	}
	k.contacts++
	prefer := func(kind, value string) {
		if value = clean(value, 100); value == "" {
			return
		}
		w := p.wanted[want{who: k, kind: kind, value: value}]
		if w == nil {
			w = &want{who: k, kind: kind, value: value}
			p.wanted[*w] = w
			p.wants = append(p.wants, w)
		}
		w.times, w.at = w.times+1, at
	}
	prefer("service", l.Service)
	prefer("language", l.Language)
	if l.UserID != "" {
		prefer("channel", l.Channel) // F-07
	}
	prefer("writes", partOfDay(time.UnixMilli(at).In(p.zone)))
	if s := l.Slots; s != nil {
		prefer("branch", s.Branch)
		if s.When != nil && s.When.Kind != "day" {
			prefer("time", partOfDay(s.When.Start.In(p.zone)))
		}
	}
}

// save writes the page.
func (p *page) save() {
	now := p.store.now().UnixMilli()
	var asks []ask
	for _, k := range p.fresh {
		asks = append(asks, ask{into(&k.id), "INSERT INTO customers (source, channel, first_at, last_at) VALUES ($1, $2, $3, $3) RETURNING id",
			[]any{k.source, k.channel, k.first}})
	}
	p.round(asks)
	asks = nil
	for _, t := range p.talks {
		switch {
		case t.id == 0:
			asks = append(asks, ask{into(&t.id), "INSERT INTO conversations (customer, channel, last_at) VALUES ($1, $2, $3) RETURNING id",
				[]any{t.who.end().id, t.channel, now}})
		case t.full():
			asks = append(asks, tailOf(t.id, &t.old))
		}
	}
	p.round(asks)
	asks = nil
	for _, m := range p.merges {
		asks = append(asks, m.asks(now)...)
	}
	for _, g := range p.gained {
		asks = append(asks, ask{query: "INSERT INTO identities (kind, value, customer, since) VALUES ($1, $2, $3, $4)",
			args: []any{g.Kind, g.Value, g.who.end().id, g.since}})
	}
	for _, k := range p.changed {
		if k.into == nil {
			asks = append(asks, ask{query: "UPDATE customers SET name = $2, name_key = $3, last_at = $4, contacts = $5, orders = $6, order_at = $7 WHERE id = $1",
				args: []any{k.id, k.name, k.key, k.last, k.contacts, k.orders, k.orderAt}})
		}
	}
	for _, w := range p.wants {
		asks = append(asks, ask{query: `INSERT INTO preferences (customer, kind, value, times, last_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (customer, kind, value) DO UPDATE SET times = preferences.times + excluded.times, last_at = excluded.last_at`,
			args: []any{w.who.end().id, w.kind, w.value, w.times, w.at}})
	}
	for _, t := range p.talks {
		more, err := t.asks(now)
		if err != nil && p.err == nil {
			p.err = err
		}
		asks = append(asks, more...)
	}
	p.round(asks)
}

// into reads a row.
func into(to ...any) func(scan func(...any) error) error {
	return func(scan func(...any) error) error { return scan(to...) }
}

// asks are the statements of a merge.
func (m merge) asks(now int64) (asks []ask) {
	kept, gone := m.kept.id, m.gone.id // what kept becomes later is said by later merges
	for _, table := range []string{"identities", "conversations", "consents", "bookings", "messages", "steps", "routes", "unanswered"} {
		asks = append(asks, ask{query: "UPDATE " + table + " SET customer = $1 WHERE customer = $2", args: []any{kept, gone}})
	}
	return append(asks,
		ask{query: `INSERT INTO preferences (customer, kind, value, times, last_at)
			SELECT $1, kind, value, times, last_at FROM preferences WHERE customer = $2
			ON CONFLICT (customer, kind, value) DO UPDATE SET times = preferences.times + excluded.times`, args: []any{kept, gone}},
		ask{query: "DELETE FROM preferences WHERE customer = $1", args: []any{gone}},
		ask{query: `INSERT INTO talks (customer, state, until, changed_at) SELECT $1, state, until, changed_at FROM talks WHERE customer = $2
			ON CONFLICT (customer) DO UPDATE SET until = CASE WHEN excluded.until > talks.until THEN excluded.until ELSE talks.until END`, args: []any{kept, gone}},
		ask{query: "DELETE FROM talks WHERE customer = $1", args: []any{gone}},
		ask{query: `INSERT INTO spoke (customer, at) SELECT $1, at FROM spoke WHERE customer = $2
			ON CONFLICT (customer) DO UPDATE SET at = CASE WHEN excluded.at > spoke.at THEN excluded.at ELSE spoke.at END`, args: []any{kept, gone}},
		ask{query: "DELETE FROM spoke WHERE customer = $1", args: []any{gone}},
		ask{query: `INSERT INTO runs (sequence, customer, cause, variant, step, due_at, state, reason, vals, last, begun_at, moved_at, ended_at)
			SELECT sequence, $1, cause, variant, step, due_at, state, reason, vals, last, begun_at, moved_at, ended_at FROM runs WHERE customer = $2
			ON CONFLICT (sequence, customer, cause) DO NOTHING`, args: []any{kept, gone}},
		ask{query: "DELETE FROM runs WHERE customer = $1", args: []any{gone}},
		ask{query: "DELETE FROM customers WHERE id = $1", args: []any{gone}},
		ask{query: "INSERT INTO merges (gone, kept, at, lead, by) VALUES ($1, $2, $3, $4, $5)", args: []any{gone, kept, now, m.lead, m.by}})
}

// Bounds of a conversation's end: what is longer is compressed, and so is what nobody has added to for a while.
const (
	tailMost  = 100
	tailBytes = 256 << 10
	tailIdle  = 24 * time.Hour
)

// asks are the statements that add to a conversation.
func (t *talk) asks(now int64) (asks []ask, err error) {
	for _, lead := range t.leads {
		asks = append(asks, ask{query: "INSERT INTO leads (lead, conversation) VALUES ($1, $2)", args: []any{lead, t.id}})
	}
	last, size, said := t.messages+int64(len(t.said)), t.size(), t.said
	if t.full() {
		all := slices.Concat(t.old, t.said)
		from := 0
		size = 0
		for i, body := range all {
			if size += int64(len(body)); i+1-from < tailMost && size < tailBytes {
				continue
			}
			t.closed = last - int64(len(all)-i-1)
			more, err := chunk(t.id, t.closed, all[from:i+1], now)
			if err != nil {
				return nil, err
			}
			asks = append(asks, more)
			from, size = i+1, 0
		}
		said = t.said[max(from-len(t.old), 0):]
		asks = append(asks, ask{query: "DELETE FROM tail WHERE conversation = $1 AND n <= $2", args: []any{t.id, t.closed}})
	}
	for i, body := range said {
		asks = append(asks, ask{query: "INSERT INTO tail (conversation, n, body) VALUES ($1, $2, $3)", args: []any{t.id, last - int64(len(said)-i-1), body}})
	}
	return append(asks, ask{query: "UPDATE conversations SET messages = $2, closed = $3, bytes = $4, last_at = $5 WHERE id = $1",
		args: []any{t.id, last, t.closed, size, now}}), nil
}

// tailOf reads the end of a conversation.
func tailOf(talk int64, to *[][]byte) ask {
	return ask{func(scan func(...any) error) error {
		var body []byte
		err := scan(&body)
		*to = append(*to, body)
		return err
	}, "SELECT body FROM tail WHERE conversation = $1 ORDER BY n", []any{talk}}
}

// chunk writes messages of which n is the number of the last one, compressed.
func chunk(talk, n int64, bodies [][]byte, now int64) (ask, error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	var err error
	for _, body := range bodies {
		_, e1 := z.Write(body)
		_, e2 := z.Write([]byte{'\n'})
		err = errors.Join(err, e1, e2)
	}
	err = errors.Join(err, z.Close())
	return ask{query: "INSERT INTO chunks (conversation, n, closed_at, body) VALUES ($1, $2, $3, $4)", args: []any{talk, n, now, packed.Bytes()}}, err
}
