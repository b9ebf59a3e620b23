package records

import (
	"context"
	"errors"
	"time"
)

// Consent is one line of the ledger of what customers have agreed to: lines are added and never changed, so that it can be
// shown later who agreed to what, when, how, and in which words.
type Consent struct {
	Key     string    `json:"key"` // of whoever writes it: the same key again adds nothing
	At      time.Time `json:"at"`
	Purpose string    `json:"purpose"` // service, marketing
	Channel string    `json:"channel"` // empty: every channel
	Given   bool      `json:"given"`   // false: taken back
	How     string    `json:"how"`     // form, message, operator, import
	Wording string    `json:"wording"` // what the customer was asked, or wrote
	Message string    `json:"message"` // id of the lead with which it came
}

// AddConsent adds a line to the ledger of a customer.
func (s *Store) AddConsent(ctx context.Context, card int64, c Consent) error {
	if c.Key == "" || c.Purpose == "" || c.At.IsZero() {
		return errors.New("a consent needs its key, purpose and time")
	}
	return s.onCard(ctx, card, func(b *batch, card int64) {
		b.exec(`INSERT INTO consents (customer, key, at, purpose, channel, given, how, wording, message)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (key) DO NOTHING`,
			card, clean(c.Key, 200), c.At.UnixMilli(), clean(c.Purpose, 50), clean(c.Channel, 100), bit(c.Given), clean(c.How, 100),
			clean(c.Wording, 4000), clean(c.Message, 64))
	})
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Consents are the lines of a customer, the oldest first.
func (s *Store) Consents(ctx context.Context, card int64) (all []Consent, err error) {
	err = s.query(ctx, func(scan func(...any) error) error {
		var c Consent
		var at, given int64
		err := scan(&c.Key, &at, &c.Purpose, &c.Channel, &given, &c.How, &c.Wording, &c.Message)
		c.At, c.Given = time.UnixMilli(at).UTC(), given == 1
		all = append(all, c)
		return err
	}, "SELECT key, at, purpose, channel, given, how, wording, message FROM consents WHERE customer = $1 ORDER BY at, id", card)
	return all, err
}

// Agreed says whether the last word of a customer on a purpose, in a channel or in all, is yes. Silence is no.
func Agreed(lines []Consent, purpose, channel string) bool {
	yes := false
	for _, c := range lines {
		if c.Purpose == purpose && (c.Channel == "" || c.Channel == channel) {
			yes = c.Given
		}
	}
	return yes
}

// Booking is a visit that was agreed upon.
type Booking struct {
	ID       string    `json:"id"` // of whoever makes it
	Customer int64     `json:"customer"`
	Version  int64     `json:"version"` // goes up with every change
	Status   string    `json:"status"`  // booked, moved, cancelled, came, missed
	Service  string    `json:"service,omitempty"`
	Branch   string    `json:"branch,omitempty"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Lead     string    `json:"lead,omitempty"`
}

// ErrChanged says that somebody has changed the booking since it was read: read it again.
var ErrChanged = errors.New("the booking was changed meanwhile")

// SaveBooking writes a booking that was read with b.Version, 0 when it is new, and answers it as it then stands. The
// same booking saved twice is ErrChanged the second time, unless it already stands as it should.
func (s *Store) SaveBooking(ctx context.Context, k Booking) (Booking, error) {
	if k.ID == "" || k.Status == "" || k.Start.IsZero() || k.End.Before(k.Start) {
		return k, errors.New("a booking needs its id, status and a time that does not end before it starts")
	}
	k.ID, k.Status, k.Service, k.Branch, k.Lead = clean(k.ID, 64), clean(k.Status, 50), clean(k.Service, 200), clean(k.Branch, 100), clean(k.Lead, 64)
	k.Start, k.End = k.Start.Truncate(time.Millisecond).UTC(), k.End.Truncate(time.Millisecond).UTC()
	var stands Booking
	err := s.onCard(ctx, k.Customer, func(b *batch, card int64) {
		k.Customer = card
		now := s.now().UnixMilli()
		var n int64
		if k.Version == 0 {
			n = b.exec(`INSERT INTO bookings (id, customer, version, status, service, branch, start_at, end_at, lead, made_at, changed_at)
				VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8, $9, $9) ON CONFLICT (id) DO NOTHING`,
				k.ID, card, k.Status, k.Service, k.Branch, k.Start.UnixMilli(), k.End.UnixMilli(), k.Lead, now)
		} else {
			n = b.exec(`UPDATE bookings SET customer = $2, version = version + 1, status = $3, service = $4, branch = $5, start_at = $6, end_at = $7,
				lead = $8, changed_at = $9 WHERE id = $1 AND version = $10`,
				k.ID, card, k.Status, k.Service, k.Branch, k.Start.UnixMilli(), k.End.UnixMilli(), k.Lead, now, k.Version)
		}
		b.each(func(scan func(...any) error) (err error) { stands, err = scanBooking(scan); return err }, bookingColumns+"WHERE id = $1", k.ID)
		wanted := k
		wanted.Version = stands.Version
		if n == 0 && b.err == nil && (wanted != stands || k.Version+1 != stands.Version) {
			b.err = ErrChanged
		}
	})
	return stands, err
}

const bookingColumns = "SELECT id, customer, version, status, service, branch, start_at, end_at, lead FROM bookings "

func scanBooking(scan func(...any) error) (k Booking, err error) {
	var start, end int64
	err = scan(&k.ID, &k.Customer, &k.Version, &k.Status, &k.Service, &k.Branch, &start, &end, &k.Lead)
	k.Start, k.End = time.UnixMilli(start).UTC(), time.UnixMilli(end).UTC()
	return k, err
}

// Bookings are a customer's, by their start.
func (s *Store) Bookings(ctx context.Context, card int64) (all []Booking, err error) {
	err = s.query(ctx, func(scan func(...any) error) error {
		k, err := scanBooking(scan)
		all = append(all, k)
		return err
	}, bookingColumns+"WHERE customer = $1 ORDER BY start_at, id", card)
	return all, err
}

// onCard writes to a card that exists; one that was merged is the one that has taken it in.
func (s *Store) onCard(ctx context.Context, card int64, f func(b *batch, card int64)) error {
	return s.write(ctx, func(b *batch) {
		for range 64 {
			if !b.get([]any{&card}, "SELECT kept FROM merges WHERE gone = $1", card) {
				break
			}
		}
		var there int64
		if !b.get([]any{&there}, "SELECT id FROM customers WHERE id = $1", card) && b.err == nil {
			b.err = ErrUnknown
		}
		if b.err == nil {
			f(b, card)
		}
	})
}
