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
