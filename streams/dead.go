package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"leadstream/streams/failpoint"
)

// DeadLetter is a lead that did not get through to one destination, or that waits there for a person's decision.
type DeadLetter struct {
	ID          string    `json:"id"` // partition and stream id: "0/1700000000000-0"
	Lead        *Lead     `json:"lead"`
	Queue       string    `json:"queue"`
	Destination string    `json:"destination,omitempty"` // empty: it died before it was routed
	State       State     `json:"state"`                 // dead or held
	At          time.Time `json:"at"`
	Attempts    int       `json:"attempts"`
	Tries       []Try     `json:"tries"`
	Faulty      bool      `json:"faulty,omitempty"` // its last try failed by the destination's fault, not the lead's
}

// deadLetter is the entry of the dead stream for an entry that ends here.
func (p *Partition) deadLetter(e *Entry, queue string, state State, fault bool, at time.Time) next {
	d := DeadLetter{Lead: e.Lead, Queue: queue, Destination: destinationOf(queue), State: state, At: at.UTC().Truncate(time.Millisecond),
		Attempts: e.meta.Attempts, Tries: e.meta.Tries, Faulty: fault}
	return p.deadEntry(d)
}

func (p *Partition) deadEntry(d DeadLetter) next {
	b, err := json.Marshal(d)
	if err != nil { // a lead that was decoded from JSON encodes
		panic(err)
	}
	return next{stream: p.Keys.dead(), letter: d.field(), words: []any{"id", d.Lead.ID, "letter", string(b)}}
}

// field names the letter in the hash of the letters: a lead has one at each destination.
func (d DeadLetter) field() string { return d.Lead.ID + " " + d.Destination }

// addLetter adds a letter, unless its lead has one there.
func (p *Partition) addLetter(ctx context.Context, n next) error {
	args := append([]any{n.letter}, n.words...)
	return wrap("dead letters", restoreScript.Run(ctx, p.Clients.Write, []string{p.Keys.dead(), p.Keys.letters()}, args...).Err())
}

// ErrGone says that a dead letter is not there any more: replayed or dropped meanwhile.
var ErrGone = errors.New("no such dead letter; it may have been replayed or dropped meanwhile")

// Dead reads the dead letters of the partition, oldest first, page by page.
func (p *Partition) Dead(ctx context.Context, each func(DeadLetter) bool) error {
	const page = 200
	from := "-"
	for {
		msgs, err := p.Clients.Write.XRangeN(ctx, p.Keys.dead(), from, "+", page).Result()
		if err != nil {
			return fmt.Errorf("dead letters: %w", err)
		}
		for _, m := range msgs {
			d, err := p.readDead(m)
			if err != nil { // damaged, or not ours: it stays for a person, and is no reason to keep the others from them
				p.Log.Warn().Err(err).Msg("a dead letter cannot be read")
				continue
			}
			if !each(d) {
				return nil
			}
		}
		if len(msgs) < page {
			return nil
		}
		from = "(" + msgs[len(msgs)-1].ID
	}
}

func (p *Partition) readDead(m redis.XMessage) (DeadLetter, error) {
	var d DeadLetter
	s, _ := m.Values["letter"].(string)
	if err := json.Unmarshal([]byte(s), &d); err != nil {
		return d, fmt.Errorf("dead letter %s: %w", m.ID, err)
	}
	d.ID = fmt.Sprintf("%d/%s", p.Keys.Partition, m.ID)
	return d, nil
}

// Replay puts a dead letter back into the queue that it came from, or of another destination, with fresh attempts. What
// it says of having perhaps been sent stays known from the ledger.
func (p *Partition) Replay(ctx context.Context, id string) error {
	d, err := p.one(ctx, id)
	if err != nil {
		return err
	}
	line, err := json.Marshal(d.Lead)
	if err != nil {
		return fmt.Errorf("dead letter %s: %w", id, err)
	}
	// The queues' owner may be another daemon, and has its own word that the lead has ended: the entry tells it which end
	// is undone. So does the event, for a home that hears of it late.
	undoes := d.At.UnixMilli()
	ev := event{Lead: d.Lead.ID, Kind: evReopened, Dest: d.Destination, At: p.Custody.Now().UTC()}
	if d.Lead.Home != p.Custody.Instance {
		ev.Undoes = undoes
	}
	return p.move(ctx, d, id, ev, append(words(d.Lead.ID, line, p.epoch.Load(), d.Destination), "undoes", undoes))
}

// Discard ends a dead letter for good.
func (p *Partition) Discard(ctx context.Context, id, reason string) error {
	d, err := p.one(ctx, id)
	if err != nil {
		return err
	}
	return p.move(ctx, d, id, event{Lead: d.Lead.ID, Kind: evDropped, Dest: d.Destination, Reason: reason, At: p.Custody.Now().UTC()}, nil)
}

func (p *Partition) one(ctx context.Context, id string) (DeadLetter, error) {
	msgs, err := p.Clients.Write.XRange(ctx, p.Keys.dead(), id, id).Result()
	if err != nil {
		return DeadLetter{}, fmt.Errorf("dead letter %s: %w", id, err)
	}
	if len(msgs) == 0 {
		return DeadLetter{}, fmt.Errorf("dead letter %s: %w", id, ErrGone)
	}
	return p.readDead(msgs[0])
}

// move removes a dead letter and adds what follows from it, in one step.
func (p *Partition) move(ctx context.Context, d DeadLetter, id string, ev event, entry []any) error {
	home, order, carried := d.Lead.Home, "", ""
	if d.Destination != "" {
		order = d.Lead.OrderKey()
	}
	if home != p.Custody.Instance {
		b, err := json.Marshal(ev)
		if err != nil {
			return err
		}
		carried = string(b)
	}
	// Journaled first: a crash in between leaves a dead letter that can be replayed again, never a lead that is open
	// nowhere.
	if err := p.Custody.note([]event{ev}); err != nil {
		return err
	}
	failpoint.Hit(failpoint.ReplayNoted)
	keys := []string{p.Keys.epoch(), p.Keys.dead(), p.Keys.Queue(d.Queue), p.Keys.count(d.Queue), p.Keys.home(home), p.Keys.letters()}
	args := append([]any{p.epoch.Load(), id, order, carried, d.field(), len(entry)}, entry...)
	n, err := replayScript.Run(ctx, p.Clients.Write, keys, args...).Int()
	if err != nil {
		return fmt.Errorf("dead letter %s: %w", id, epochError(err))
	}
	failpoint.Hit(failpoint.ReplayMoved)
	if n == 0 {
		return fmt.Errorf("dead letter %s: %w", id, ErrGone)
	}
	return nil
}

// restoreDead adds the dead letters that the ledger knows and Redis has lost, and has every letter found by its lead.
func (p *Partition) restoreDead(ctx context.Context) error {
	letters := p.Custody.deadIn(p.Keys.Partition)
	if failpoint.Seeded(failpoint.DeadForgotten) {
		return nil
	}
	named, err := p.Clients.Write.HGetAll(ctx, p.Keys.letters()).Result()
	if err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	n, err := p.Clients.Write.XLen(ctx, p.Keys.dead()).Result()
	if err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	if len(letters) == 0 && int(n) == len(named) {
		return nil
	}
	there := map[string]string{}
	err = p.Dead(ctx, func(d DeadLetter) bool {
		_, there[d.field()], _ = strings.Cut(d.ID, "/")
		delete(letters, [2]string{d.Lead.ID, d.Destination})
		return true
	})
	if err == nil {
		err = p.nameLetters(ctx, named, there)
	}
	if err != nil {
		return err
	}
	for _, d := range letters {
		lead, ok := p.Custody.Lead(d.Lead.ID)
		if !ok {
			continue
		}
		d.Lead = lead
		if err := p.addLetter(ctx, p.deadEntry(d)); err != nil {
			return err
		}
		failpoint.Hit(failpoint.DeadRestored)
	}
	return nil
}

// nameLetters mends the hash of the letters: an earlier version kept none, and somebody may have removed a letter.
func (p *Partition) nameLetters(ctx context.Context, named, there map[string]string) error {
	_, err := p.Clients.Write.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for field, id := range there {
			if named[field] != id {
				pipe.HSet(ctx, p.Keys.letters(), field, id)
			}
		}
		for field := range named {
			if there[field] == "" {
				pipe.HDel(ctx, p.Keys.letters(), field)
			}
		}
		return nil
	})
	return wrap("dead letters", err)
}

// dropDelivered removes the letters of leads that are delivered, as the ledger says or events that it does not know yet.
// An old copy of Redis brings leads back to an owner that does not know their ends: what was delivered it may give up, and
// what has died it may deliver.
func (p *Partition) dropDelivered(ctx context.Context, events []event) error {
	letter := map[string]bool{} // what the ledger will say of those that the events speak of
	for _, e := range events {
		d := DeadLetter{Lead: &Lead{ID: e.Lead}, Destination: e.Dest}
		delivered, dead := p.Custody.endAt(e.Lead, e.Dest)
		if has, heard := letter[d.field()]; heard {
			delivered, dead = delivered || !has, has
		}
		drop := false
		switch e.Kind {
		case evDead, evHeld:
			drop, letter[d.field()] = delivered, !delivered
		case evDelivered, evMerged:
			drop, letter[d.field()] = dead, false
		}
		if !drop {
			continue
		}
		if err := p.dropLetter(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// endAt says whether a lead has surely reached a destination, and whether it has a letter there.
func (c *Custody) endAt(id, dest string) (delivered, dead bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.find(id)
	if r == nil {
		return false, false
	}
	s := r.stop(dest)
	if s == nil {
		return false, false
	}
	return s.state == Delivered || s.state == Merged, s.state == Dead || s.state == Held
}

// dropLetter removes the letter of a lead at a destination, if there is one.
func (p *Partition) dropLetter(ctx context.Context, d DeadLetter) error {
	id, err := p.Clients.Write.HGet(ctx, p.Keys.letters(), d.field()).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	keys := []string{p.Keys.epoch(), p.Keys.dead(), p.Keys.dead(), p.Keys.dead(), p.Keys.dead(), p.Keys.letters()}
	err = replayScript.Run(ctx, p.Clients.Write, keys, p.epoch.Load(), id, "", "", d.field(), 0).Err()
	return wrap("dead letters", epochError(err))
}

// asLetter is the dead letter of a lead that is dead or held at a destination.
func (s *stop) asLetter(l *Lead) DeadLetter {
	return DeadLetter{Lead: l, Queue: Destined(s.name), Destination: s.name, State: s.state, At: s.at.Truncate(time.Millisecond),
		Attempts: s.attempts, Tries: s.tries}
}

// deadIn lists what the ledger knows of dead letters, by lead and destination.
func (c *Custody) deadIn(partition int) map[[2]string]DeadLetter {
	c.mu.Lock()
	defer c.mu.Unlock()
	letters := map[[2]string]DeadLetter{}
	for _, r := range c.leads {
		if !r.home || r.partition != partition {
			continue
		}
		if r.whole == Dead {
			letters[[2]string{r.id, ""}] = DeadLetter{Lead: &Lead{ID: r.id}, Queue: Intake, State: Dead, At: r.accepted}
		}
		for _, d := range r.dests {
			if d.state == Dead || d.state == Held {
				letters[[2]string{r.id, d.name}] = d.asLetter(&Lead{ID: r.id})
			}
		}
	}
	return letters
}
