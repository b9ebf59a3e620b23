package streams

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/append.lua
var appendLua string

//go:embed lua/settle.lua
var settleLua string

//go:embed lua/lease.lua
var leaseLua string

//go:embed lua/release.lua
var releaseLua string

//go:embed lua/replay.lua
var replayLua string

//go:embed lua/create.lua
var createLua string

//go:embed lua/epoch.lua
var epochLua string

//go:embed lua/claim.lua
var claimLua string

//go:embed lua/due.lua
var dueLua string

//go:embed lua/restore.lua
var restoreLua string

var (
	appendScript  = redis.NewScript(appendLua)
	settleScript  = redis.NewScript(settleLua)
	leaseScript   = redis.NewScript(leaseLua)
	releaseScript = redis.NewScript(releaseLua)
	replayScript  = redis.NewScript(replayLua)
	createScript  = redis.NewScript(createLua)
	epochScript   = redis.NewScript(epochLua)
	restoreScript = redis.NewScript(restoreLua)
	claimScript   = redis.NewScript(claimLua)
	dueScript     = redis.NewScript(dueLua)
)

// Horizon is the idle time at which a parked entry is due. A delay cannot be longer.
const Horizon = 30 * 24 * time.Hour

// errEpoch says that the partition in Redis is not the one that was opened: flushed, restored, bumped or taken over.
var errEpoch = errors.New("the partition's epoch or owner in Redis has changed")

func epochError(err error) error {
	if err != nil && (strings.HasPrefix(err.Error(), "EPOCH") || strings.HasPrefix(err.Error(), "LEASE")) {
		return fmt.Errorf("%w (%s)", errEpoch, strings.TrimSpace(err.Error()))
	}
	return err
}

// queue is one stream and its consumer group.
type queue struct {
	name  string
	keys  Keys
	owner string // as whom the partition's lease was taken
	redis redis.UniversalClient
}

// create makes the stream and its group where they are missing. The group starts at 0: entries leave a queue by being
// settled, so whatever stands in the stream is still to be done.
func (q *queue) create(ctx context.Context) error {
	keys := []string{q.keys.Queue(q.name), q.keys.meta(q.name), q.keys.count(q.name), q.keys.epoch()}
	made, err := createScript.Run(ctx, q.redis, keys, Group, flag(destinationOf(q.name) != "")).Int()
	if err != nil {
		return fmt.Errorf("queue %s: create: %w", q.name, err)
	}
	if made == 2 {
		return fmt.Errorf("queue %s: its group was missing: %w", q.name, errEpoch)
	}
	return nil
}

// outcome is what the engine decided for an entry: park it, or finish it with what follows.
type outcome struct {
	entry *Entry
	park  bool
	delay time.Duration // park
	next  []next        // finish
}

// next is something to add when an entry is finished: an entry for a queue, a dead letter, an event for the lead's home.
type next struct {
	stream string // key
	hot    bool   // stream is a hot queue: the customer's open entries in the normal one go first
	letter string // of a dead letter: its field in the hash of the letters
	keep   bool   // of a dead letter: one that is there already stays
	queue  string // for destination queues, the normal queue's name: its open entries are counted by order key
	order  string
	words  []any
}

// settle carries out outcomes in one step, and answers for each whether it took effect: false means that the entry was
// not ours any more, an error that it was refused and stays pending.
func (q *queue) settle(ctx context.Context, epoch int64, consumer string, outs []outcome) ([]bool, []error, error) {
	keys := []string{q.keys.epoch(), q.keys.Queue(q.name), q.keys.meta(q.name), q.keys.count(q.name)}
	index := func(key string) int {
		i := slices.Index(keys, key)
		if i < 0 {
			keys = append(keys, key)
			i = len(keys) - 1
		}
		return i + 1
	}
	counted := destinationOf(q.name) != "" && !strings.HasSuffix(q.name, ":hot")
	first, last := idRange(outs)
	args := make([]any, 0, 5+len(outs)*16)
	args = append(args, epoch, Group, consumer, first, last)
	for _, o := range outs {
		order := ""
		if counted && !o.park {
			order = o.entry.meta.Key
		}
		args = append(args, o.entry.ID, order)
		if o.park {
			m, err := json.Marshal(o.entry.meta)
			if err != nil {
				return nil, nil, fmt.Errorf("queue %s: %w", q.name, err)
			}
			idle := max(Horizon-o.delay, 0)
			args = append(args, "park", idle.Milliseconds(), o.entry.meta.Attempts, m)
			continue
		}
		args = append(args, "done", len(o.next))
		for _, n := range o.next {
			normal, count, order := 0, 0, n.order
			if n.letter != "" {
				normal, count, order = -1, index(q.keys.letters()), n.letter
				if n.keep {
					normal = -2
				}
			}
			if n.queue != "" {
				count = index(q.keys.count(n.queue))
				if n.hot {
					normal = index(q.keys.Queue(n.queue))
				}
			}
			args = append(args, index(n.stream), normal, count, order, len(n.words))
			args = append(args, n.words...)
		}
	}
	answer, err := settleScript.Run(ctx, q.redis, keys, args...).Slice()
	if err != nil {
		return nil, nil, fmt.Errorf("queue %s: settle: %w", q.name, epochError(err))
	}
	took, refused := make([]bool, len(outs)), make([]error, len(outs))
	for i, a := range answer {
		switch a := a.(type) {
		case int64:
			took[i] = a == 1
		case string:
			refused[i] = fmt.Errorf("queue %s: settle: %s", q.name, a)
		}
	}
	return took, refused, nil
}

// idRange is the lowest and the highest id of the outcomes' entries.
func idRange(outs []outcome) (first, last string) {
	before := func(a, b outcome) int { return compareIDs(a.entry.ID, b.entry.ID) }
	return slices.MinFunc(outs, before).entry.ID, slices.MaxFunc(outs, before).entry.ID
}

// take claims entries for this consumer and reads them; those that are gone are left out. unsure is not zero for entries
// in other hands, which may have sent them until then.
func (q *queue) take(ctx context.Context, consumer string, ids []string, unsure time.Time) ([]*Entry, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	since := ""
	if !unsure.IsZero() {
		since = strconv.FormatInt(unsure.UnixMilli(), 10)
	}
	args := []any{q.owner, Group, consumer, since}
	for _, id := range ids {
		args = append(args, id)
	}
	keys := []string{q.keys.owner(), q.keys.Queue(q.name), q.keys.meta(q.name)}
	cmd, err := script(ctx, q.redis, redis.NewXMessageSliceCmd, claimScript, claimLua, keys, args)
	if err != nil {
		return nil, fmt.Errorf("queue %s: claim: %w", q.name, epochError(err))
	}
	return q.withMeta(ctx, decodeAll(q.name, cmd.Val()))
}

// script runs a script that answers as a command of Redis does: parse makes a command of that kind.
func script[C redis.Cmder](ctx context.Context, c redis.UniversalClient, parse func(context.Context, ...any) C, s *redis.Script, text string, keys []string, args []any) (C, error) {
	words := []any{"evalsha", s.Hash(), len(keys)}
	for _, k := range keys {
		words = append(words, k)
	}
	words = append(words, args...)
	cmd := parse(ctx, words...)
	err := c.Process(ctx, cmd)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		words[0], words[1] = "eval", text
		cmd = parse(ctx, words...)
		err = c.Process(ctx, cmd)
	}
	return cmd, err
}

// ours says whether Redis has the lease as ours.
func (q *queue) ours(ctx context.Context) (bool, error) {
	owner, err := q.redis.Get(ctx, q.keys.owner()).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, fmt.Errorf("queue %s: lease: %w", q.name, err)
	}
	return owner == q.owner, nil
}

func decodeAll(queue string, msgs []redis.XMessage) []*Entry {
	entries := make([]*Entry, 0, len(msgs))
	for _, m := range msgs {
		if m.Values != nil { // else deleted under the group: reclaim reports it as lost
			entries = append(entries, decodeEntry(queue, m.ID, m.Values))
		}
	}
	return entries
}

// withMeta adds what is kept beside entries that were in hand or parked before.
func (q *queue) withMeta(ctx context.Context, entries []*Entry) ([]*Entry, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	ids := make([]string, 2*len(entries))
	for i, e := range entries {
		ids[i], ids[len(entries)+i] = e.ID, "u:"+e.ID
	}
	kept, err := q.redis.HMGet(ctx, q.keys.meta(q.name), ids...).Result()
	if err != nil {
		return nil, fmt.Errorf("queue %s: meta: %w", q.name, err)
	}
	for i, e := range entries {
		if s, ok := kept[i].(string); ok {
			if err := json.Unmarshal([]byte(s), &e.meta); err != nil {
				return nil, fmt.Errorf("queue %s: meta of %s: %w", q.name, e.ID, err)
			}
		}
		if s, ok := kept[len(entries)+i].(string); ok { // noted by claim.lua
			ms, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("queue %s: doubt about %s: %w", q.name, e.ID, err)
			}
			e.meta.Unsure = max(e.meta.Unsure, ms)
		}
	}
	return entries, nil
}

// removeOrphan deletes an entry that was handed out and is pending under no consumer, and says whether it is gone now.
func (q *queue) removeOrphan(ctx context.Context, id string) (bool, error) {
	stream := q.keys.Queue(q.name)
	groups, err := q.redis.XInfoGroups(ctx, stream).Result()
	if err != nil || len(groups) == 0 || idLess(groups[0].LastDeliveredID, id) {
		return false, wrap("queue "+q.name, err)
	}
	rows, err := q.redis.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: stream, Group: Group, Start: id, End: id, Count: 1}).Result()
	if err != nil || len(rows) > 0 {
		return false, wrap("queue "+q.name, err)
	}
	err = q.redis.XDel(ctx, stream, id).Err()
	return err == nil, wrap("queue "+q.name, err)
}

// bodiless are those of the entries that do not stand in the stream any more.
func (q *queue) bodiless(ctx context.Context, ids []string) ([]string, error) {
	var dead []string
	for part := range slices.Chunk(ids, 500) {
		found := make([]*redis.XMessageSliceCmd, len(part))
		_, err := q.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i, id := range part {
				found[i] = pipe.XRange(ctx, q.keys.Queue(q.name), id, id)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("queue %s: bodies: %w", q.name, err)
		}
		for i, id := range part {
			if len(found[i].Val()) == 0 {
				dead = append(dead, id)
			}
		}
	}
	return dead, nil
}

// forget removes entries that are gone from the pending list, and what is kept beside them.
func (q *queue) forget(ctx context.Context, ids []string) error {
	fields := make([]string, 0, 2*len(ids))
	for _, id := range ids {
		fields = append(fields, id, "u:"+id)
	}
	if err := q.redis.XAck(ctx, q.keys.Queue(q.name), Group, ids...).Err(); err != nil {
		return fmt.Errorf("queue %s: ack: %w", q.name, err)
	}
	if err := q.redis.HDel(ctx, q.keys.meta(q.name), fields...).Err(); err != nil {
		return fmt.Errorf("queue %s: meta: %w", q.name, err)
	}
	return nil
}

// due claims what has waited out its delay, from cursor on. deleted are entries whose body is gone: lost in Redis.
func (q *queue) due(ctx context.Context, consumer, cursor string, count int) (entries []*Entry, deleted []string, next string, err error) {
	keys := []string{q.keys.owner(), q.keys.Queue(q.name)}
	args := []any{q.owner, Group, consumer, Horizon.Milliseconds(), cursor, count}
	cmd, err := script(ctx, q.redis, redis.NewXAutoClaimWithDeletedCmd, dueScript, dueLua, keys, args)
	if err != nil {
		return nil, nil, cursor, fmt.Errorf("queue %s: reclaim: %w", q.name, epochError(err))
	}
	msgs, next, deleted := cmd.Val()
	entries, err = q.withMeta(ctx, decodeAll(q.name, msgs))
	return entries, deleted, next, err
}
