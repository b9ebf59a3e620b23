package processors

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"leadstream/streams"
	"leadstream/streams/failpoint"
)

// DedupeWindow is how long a contact's next lead counts as a repeat, unless the configuration says otherwise.
const DedupeWindow = 30 * time.Minute

// ConversationWindow is how long after a customer's last word in a channel the next one belongs to the same
// conversation, unless the configuration says otherwise: as long as messengers let a business answer freely.
const ConversationWindow = 24 * time.Hour

// Dedupe finds repeats: leads with the phone or the e-mail of one that came within the window before, and what a customer
// of a channel writes while the conversation lasts. It remembers a contact in a plain key that holds the id of its first
// lead and goes by itself when the window has passed.
//
// A customer who writes from two user ids may fall in two partitions; Dedupe sees them as two.
type Dedupe struct {
	Redis      redis.Cmdable
	Prefix     string        // of every key; "" is "ls"
	Partitions int           // 0 is 1
	Window     time.Duration // from the first lead with a phone or an e-mail on; 0: they make no repeats
	Talk       time.Duration // from a customer's last word in a channel on; 0: it makes no repeats
	Salt       string        // mixed into the hashes of contacts, the same for all instances

	// Alive says whether a lead can still take repeats: it is neither dead, dropped nor erased. Nil: every lead can.
	Alive func(ctx context.Context, leadID string) bool
}

// claimScript makes the lead ARGV[1] the first of the contacts KEYS, unless one of them has a first already, and answers
// the first. All keys then lead to it: a chain of repeats points to its beginning. A lead that is judged a second time
// finds itself and is no repeat. ARGV[i+1] is how long KEYS[i] lasts, in ms: from now on when it is below zero, else from
// when it was made.
var claimScript = redis.NewScript(`
local first = ARGV[1]
for _, key in ipairs(KEYS) do
	local known = redis.call('GET', key)
	if known then first = known break end
end
for i, key in ipairs(KEYS) do
	local window = tonumber(ARGV[i + 1])
	redis.call('SET', key, first, 'NX', 'PX', math.abs(window))
	if window < 0 then redis.call('PEXPIRE', key, -window) end
end
return first`)

// forgetScript removes the keys that still hold the lead ARGV[1].
const forgetScript = `
local gone = 0
for _, key in ipairs(KEYS) do
	if redis.call('GET', key) == ARGV[1] then gone = gone + redis.call('DEL', key) end
end
return gone`

// Firsts answers for each lead the id of the lead that it repeats, or "". Of two leads of one customer in a batch the
// second repeats the first. After news that the deal was won or lost the customer's contacts are forgotten: what comes
// behind them is an enquiry of its own. It takes one round trip for the batch, and more only where a first is no longer
// alive.
func (d *Dedupe) Firsts(ctx context.Context, leads []*streams.Lead) ([]string, error) {
	firsts := make([]string, len(leads))
	claims, err := d.claims(ctx, leads)
	if redis.HasErrorPrefix(err, "NOSCRIPT") { // Redis was restarted: nothing was claimed, or the same again
		if err := claimScript.Load(ctx, d.Redis).Err(); err != nil {
			return nil, fmt.Errorf("dedupe: %w", err)
		}
		claims, err = d.claims(ctx, leads)
	}
	if err != nil {
		return nil, fmt.Errorf("dedupe: %w", err)
	}
	failpoint.Hit(failpoint.ContactClaimed)
	for i, l := range leads {
		first, err := d.living(ctx, l, claims[i])
		if err != nil {
			return nil, fmt.Errorf("dedupe: %w", err)
		}
		if first != l.ID {
			firsts[i] = first
		}
	}
	return firsts, nil
}

// claims runs claimScript for all leads in one round trip. Its text is not sent each time, of which a pipeline has many.
func (d *Dedupe) claims(ctx context.Context, leads []*streams.Lead) ([]*redis.Cmd, error) {
	pipe := d.Redis.Pipeline()
	claims := make([]*redis.Cmd, len(leads))
	for i, l := range leads {
		if !ends(l) {
			claims[i] = d.claim(ctx, pipe, l, l.RepeatOf)
			continue
		}
		keys, _ := d.keys(l)
		for _, k := range keys {
			pipe.Del(ctx, k)
		}
	}
	if pipe.Len() == 0 {
		return claims, nil
	}
	_, err := pipe.Exec(ctx)
	return claims, err
}

// ends says that a lead is news after which a customer and the business start anew.
func ends(l *streams.Lead) bool { return l.Event == "won" || l.Event == "lost" }

// living is what a claim answered, once no dead lead stands in the way.
func (d *Dedupe) living(ctx context.Context, l *streams.Lead, claim *redis.Cmd) (string, error) {
	known := l.RepeatOf
	// Two contacts can lead to two dead leads, and intake to a third.
	for range 3 {
		first := known
		if claim != nil {
			var err error
			if first, err = claim.Text(); err != nil {
				return "", err
			}
		}
		if first == "" || first == l.ID || d.Alive == nil || d.Alive(ctx, first) {
			return first, nil
		}
		if err := d.forget(ctx, l, first); err != nil {
			return "", err
		}
		if known == first {
			known = ""
		}
		claim = d.claim(ctx, d.Redis, l, known) // the script is there by now; when it is not, the batch comes again
	}
	return "", nil
}

// claim runs claimScript for a lead; nil when it has no contact. known is the lead that it
// repeats by what intake saw (the same body, within 48 h): those that follow are led to that one.
func (d *Dedupe) claim(ctx context.Context, c redis.Cmdable, l *streams.Lead, known string) *redis.Cmd {
	keys, windows := d.keys(l)
	if len(keys) == 0 {
		return nil
	}
	first := l.ID
	if known != "" {
		first = known
	}
	return claimScript.EvalSha(ctx, c, keys, append([]any{first}, windows...)...)
}

// Forget frees the contacts of a lead that died, was dropped or erased, so that the customer's next message is a lead
// of its own. Contacts that lead elsewhere stay.
func (d *Dedupe) Forget(ctx context.Context, l *streams.Lead) error {
	if err := d.forget(ctx, l, l.ID); err != nil {
		return fmt.Errorf("dedupe: forget lead %s: %w", l.ID, err)
	}
	return nil
}

func (d *Dedupe) forget(ctx context.Context, l *streams.Lead, leadID string) error {
	keys, _ := d.keys(l)
	if len(keys) == 0 {
		return nil
	}
	return d.Redis.Eval(ctx, forgetScript, keys, leadID).Err()
}

// keys name a lead's contacts by hashes: the names of keys show in logs, dumps and monitoring. windows are how long each
// lasts, as claimScript wants them.
func (d *Dedupe) keys(l *streams.Lead) (keys []string, windows []any) {
	k := streams.Keys{Prefix: d.Prefix, Partition: streams.PartitionOf(l.OrderKey(), d.Partitions)}
	if k.Prefix == "" {
		k.Prefix = "ls"
	}
	add := func(kind, name, contact string, window time.Duration) {
		if window != 0 && contact != "" {
			keys = append(keys, k.Queue("dd:"+kind+":"+streams.NewID(d.Salt, name, contact)))
			windows = append(windows, window.Milliseconds())
		}
	}
	if l.Channel != "" && l.UserID != "" { // without a channel it may be anybody's number
		add("u", "user", l.Channel+":"+l.UserID, -d.Talk)
	}
	add("p", "phone", l.Phone, d.Window)
	add("e", "email", l.Email, d.Window)
	return keys, windows
}
