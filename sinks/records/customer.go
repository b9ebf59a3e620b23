package records

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadstream/streams"
)

// Identity is one thing by which a customer is known.
type Identity struct {
	Kind  string `json:"kind"`  // user, phone, email
	Value string `json:"value"` // of a user: channel:id
}

// identitiesOf are a lead's, the strongest first: an account in a messenger is one person's, a phone nearly always, an
// e-mail often enough a company's.
func identitiesOf(l *streams.Lead) (ids []Identity) {
	add := func(kind, value string) {
		if value = clean(value, 320); value != "" {
			ids = append(ids, Identity{kind, value})
		}
	}
	if l.UserID != "" {
		add("user", l.Channel+":"+l.UserID)
	}
	if isE164(l.Phone) {
		add("phone", l.Phone)
	}
	if strings.Contains(l.Email, "@") {
		add("email", l.Email)
	}
	return ids
}

// place is of what a customer usually has one: a phone, an e-mail, an account in each channel.
func (i Identity) place() string {
	if i.Kind == "user" {
		channel, _, _ := strings.Cut(i.Value, ":")
		return "user:" + channel
	}
	return i.Kind
}

// mayJoin says whether an identity of kind via is proof enough that what is known in two sets of places is one person.
// Several people may share an e-mail (info@ of a company) or a phone (a reception, a family). So an e-mail joins nobody
// who has another phone or another account of the same messenger, a phone nobody who has another account. Taking two
// people for one shows the one what the other wrote; taking one for two is put right later.
func mayJoin(via string, a, b []string) bool {
	for _, place := range a {
		if !slices.Contains(b, place) {
			continue
		}
		if strings.HasPrefix(place, "user:") && via != "user" || place == "phone" && via == "email" {
			return false
		}
	}
	return true
}

// customer finds the card of a lead's customer, makes it, or makes one of two (D-05).
func (b *batch) customer(l *streams.Lead, at int64) int64 {
	ids := identitiesOf(l)
	owners := make([]int64, len(ids))
	for i, id := range ids {
		b.get([]any{&owners[i]}, "SELECT customer FROM identities WHERE kind = $1 AND value = $2", id.Kind, id.Value)
	}
	var card int64
	var by Identity
	for i, id := range ids {
		switch {
		case owners[i] == 0 || owners[i] == card:
		case card == 0:
			if fresh := places(ids[:i]); len(fresh) == 0 || mayJoin(id.Kind, fresh, b.places(owners[i])) {
				card, by = owners[i], id
			}
		case mayJoin(id.Kind, b.places(card), b.places(owners[i])):
			one, other := card, owners[i]
			card = b.merge(one, other, l.ID, by.Kind+"+"+id.Kind)
			for k := range owners { // later identities name the card that is no more
				if owners[k] == one || owners[k] == other {
					owners[k] = card
				}
			}
		}
	}
	if len(ids) == 0 && l.About != "" { // news of a lead whose customer nobody named again
		b.get([]any{&card}, "SELECT c.customer FROM leads l JOIN conversations c ON c.id = l.conversation WHERE l.lead = $1", clean(l.About, 64))
	}
	if card == 0 {
		b.get([]any{&card}, "INSERT INTO customers (source, channel, first_at, last_at) VALUES ($1, $2, $3, $3) RETURNING id",
			clean(l.Source, 100), clean(channelOf(l), 100), at)
	}
	for i, id := range ids {
		if owners[i] == 0 {
			b.exec("INSERT INTO identities (kind, value, customer, since) VALUES ($1, $2, $3, $4)", id.Kind, id.Value, card, at)
		}
	}
	return card
}

func places(ids []Identity) (all []string) {
	for _, id := range ids {
		all = append(all, id.place())
	}
	return all
}

// places are those in which a card has an identity.
func (b *batch) places(card int64) (all []string) {
	b.each(func(scan func(...any) error) error {
		var id Identity
		err := scan(&id.Kind, &id.Value)
		all = append(all, id.place())
		return err
	}, "SELECT kind, value FROM identities WHERE customer = $1", card)
	return all
}

// merge makes one card of two: the older stays, everything of the other becomes its own, and what was done is noted. Two
// cards of which one is missing are an error of this lead alone.
func (b *batch) merge(one, other int64, lead, by string) int64 {
	type card struct{ id, first, last, contacts, orders, orderAt int64 }
	var two [2]struct {
		card
		name, key, source, channel string
	}
	for i, id := range []int64{one, other} {
		c := &two[i]
		c.id = id
		found := b.get([]any{&c.first, &c.last, &c.contacts, &c.orders, &c.orderAt, &c.name, &c.key, &c.source, &c.channel},
			"SELECT first_at, last_at, contacts, orders, order_at, name, name_key, source, channel FROM customers WHERE id = $1", id)
		if !found && b.err == nil { // it would count as the older one, and the card that is there would be deleted
			b.err = errData{fmt.Sprintf("it names card %d, which is missing", id)}
		}
	}
	if b.err != nil {
		return one
	}
	kept, gone := two[0], two[1]
	if cmp.Or(cmp.Compare(gone.first, kept.first), cmp.Compare(gone.id, kept.id)) < 0 {
		kept, gone = gone, kept
	}
	if kept.name == "" {
		kept.name, kept.key = gone.name, gone.key
	}
	b.exec("UPDATE customers SET name = $2, name_key = $3, last_at = $4, contacts = $5, orders = $6, order_at = $7 WHERE id = $1",
		kept.id, kept.name, kept.key, max(kept.last, gone.last), kept.contacts+gone.contacts, kept.orders+gone.orders, max(kept.orderAt, gone.orderAt))
	for _, table := range []string{"identities", "conversations", "consents", "bookings"} {
		b.exec("UPDATE "+table+" SET customer = $1 WHERE customer = $2", kept.id, gone.id)
	}
	b.exec(`INSERT INTO preferences (customer, kind, value, times, last_at)
		SELECT $1, kind, value, times, last_at FROM preferences WHERE customer = $2
		ON CONFLICT (customer, kind, value) DO UPDATE SET times = preferences.times + excluded.times`, kept.id, gone.id)
	b.exec("DELETE FROM preferences WHERE customer = $1", gone.id)
	b.exec("DELETE FROM customers WHERE id = $1", gone.id)
	b.exec("INSERT INTO merges (gone, kept, at, lead, by) VALUES ($1, $2, $3, $4, $5)", gone.id, kept.id, b.store.now().UnixMilli(), clean(lead, 64), by)
	return kept.id
}

// count keeps the card up to date: name, counters and what the customer usually wants (IN-10).
func (b *batch) count(card int64, l *streams.Lead, at int64, zone *time.Location) {
	contact, order := 0, 0
	switch l.Event {
	case "", "reply", "click", "visit":
		contact = 1
	case "order", "won":
		contact, order = 1, 1
	}
	name := clean(l.Name, 200)
	b.exec(`UPDATE customers SET
		name = CASE WHEN name = '' THEN $2 ELSE name END, name_key = CASE WHEN name = '' THEN $3 ELSE name_key END,
		last_at = CASE WHEN last_at < $4 THEN $4 ELSE last_at END, contacts = contacts + $5, orders = orders + $6,
		order_at = CASE WHEN $6 > 0 AND order_at < $4 THEN $4 ELSE order_at END
		WHERE id = $1`, card, name, strings.ToLower(name), at, contact, order)
	if contact == 0 {
		return
	}
	prefer := func(kind, value string) {
		if value = clean(value, 100); value != "" {
			b.exec(`INSERT INTO preferences (customer, kind, value, times, last_at) VALUES ($1, $2, $3, 1, $4)
				ON CONFLICT (customer, kind, value) DO UPDATE SET times = preferences.times + 1, last_at = excluded.last_at`, card, kind, value, at)
		}
	}
	prefer("service", l.Service)
	prefer("language", l.Language)
	prefer("writes", partOfDay(time.UnixMilli(at).In(zone)))
	if s := l.Slots; s != nil {
		prefer("branch", s.Branch)
		if s.When != nil && s.When.Kind != "day" {
			prefer("time", partOfDay(s.When.Start.In(zone)))
		}
	}
}

func partOfDay(t time.Time) string {
	switch h := t.Hour(); {
	case h < 6:
		return "night"
	case h < 12:
		return "morning"
	case h < 18:
		return "day"
	}
	return "evening"
}

func channelOf(l *streams.Lead) string { return cmp.Or(l.Channel, l.Source) }

// clean is a text as both databases take it, cut to n bytes.
func clean(text string, n int) string {
	text = strings.ReplaceAll(text, "\x00", "")
	return strings.ToValidUTF8(text[:min(len(text), n)], "")
}

// isE164 says whether a phone was understood: what was left as written may be anybody's "call me".
func isE164(phone string) bool {
	digits, ok := strings.CutPrefix(phone, "+")
	return ok && len(digits) >= 5 && len(digits) <= 15 && strings.Trim(digits, "0123456789") == ""
}

// number reads a card's number.
func number(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(text, "#"), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
