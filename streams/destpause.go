package streams

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// PauseFor stops the destination for all daemons, until then or, with a zero time, until somebody resumes it. It never
// shortens another pause. An error means that only this daemon knows as yet: it tells the others once Redis answers.
func (d *Destination) PauseFor(ctx context.Context, until time.Time, reason, by string) error {
	return d.pauses.add(ctx, "", pause{until: until, reason: reason, by: by})
}

// Resume ends a pause of the whole destination for all daemons. An open breaker probes at once. Without Redis it does
// nothing and says so.
func (d *Destination) Resume(ctx context.Context, by string) error {
	if err := d.pauses.resume(ctx, by); err != nil {
		return fmt.Errorf("resume %s: %w", d.cfg.Name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.openUntil = d.clock()
	return nil
}

// PauseKey stops one method or one recipient of the destination, for all daemons. The key may be a person's address: it
// is kept as a digest.
func (d *Destination) PauseKey(ctx context.Context, key string, until time.Time) error {
	return d.pauses.add(ctx, NewID(key), pause{until: until})
}

// KeyPausedUntil tells until when a method or recipient is paused; zero: it is not.
func (d *Destination) KeyPausedUntil(ctx context.Context, key string) time.Time {
	d.pauses.refresh(ctx)
	return d.pauses.keyUntil(NewID(key))
}

// pause is why and until when; a zero until is for ever.
type pause struct {
	until      time.Time
	told       int64 // until in unix ms, as Redis has it by the clock of whoever paused
	lasts      time.Duration
	reason, by string
}

// begin is a pause that begins now.
func (p *pauses) begin(v pause) pause {
	if !v.until.IsZero() {
		v.told, v.lasts = v.until.UnixMilli(), max(v.until.Sub(p.clock()), 0)
	}
	return v
}

// seen is a pause as Redis has it, by our clock: from when we see it first it lasts no longer than it was meant to,
// whatever clocks say which were set since then, or are not ours.
func (p *pauses) seen(v, known pause) pause {
	if v.told == known.told && !known.until.IsZero() {
		v.until = known.until
		return v
	}
	now := p.clock()
	left := time.UnixMilli(v.told).Sub(now)
	if v.lasts > 0 {
		left = min(left, v.lasts)
	}
	v.until = now.Add(left)
	return v
}

// later tells whether p ends after q.
func (p pause) later(q pause) bool {
	return p.until.IsZero() || (!q.until.IsZero() && p.until.After(q.until))
}

// pauses is what Redis says of a destination's pauses, as of at most half a second ago. A hash has the pause of the
// whole, a sorted set beside it those of its methods and recipients.
type pauses struct {
	clients *Clients
	key     string
	clock   func() time.Time

	mu        sync.Mutex
	read      time.Time        // when Redis was last asked
	changes   int              // of ours, so that an answer from before one does not undo it
	known     map[string]pause // by digest of a key; "" is the whole
	unsaved   map[string]pause // Redis did not take them
	resumedBy string
}

const pausesMaxAge = 500 * time.Millisecond

//go:embed lua/pause.lua
var pauseLua string

//go:embed lua/resume.lua
var resumeLua string

var pauseScript, resumeScript = redis.NewScript(pauseLua), redis.NewScript(resumeLua)

var errNoRedis = errors.New("no Redis to tell the others")

func (p *pauses) add(ctx context.Context, key string, new pause) error {
	new = p.begin(new)
	p.mu.Lock()
	p.changes++
	if old, ok := p.known[key]; !ok || !p.active(old) || new.later(old) {
		p.known = with(p.known, key, new)
	}
	p.unsaved = with(p.unsaved, key, new) // until Redis has it, its answer to somebody else does not undo it
	p.mu.Unlock()

	err := p.save(ctx, key, new)
	if err == nil {
		p.mu.Lock()
		if p.unsaved[key] == new {
			delete(p.unsaved, key)
		}
		p.mu.Unlock()
	}
	return err
}

func with(m map[string]pause, key string, v pause) map[string]pause {
	if m == nil {
		m = map[string]pause{}
	}
	m[key] = v
	return m
}

func (p *pauses) save(ctx context.Context, key string, v pause) error {
	if p.clients == nil {
		return errNoRedis
	}
	ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	if key == "" {
		return pauseScript.Run(ctx, p.clients.Write, []string{p.key}, v.told, v.reason, v.by, v.lasts.Milliseconds()).Err()
	}
	until := v.told
	if until == 0 {
		until = 1 << 52
	}
	_, err := p.clients.Write.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.ZAddGT(ctx, p.key+":keys", redis.Z{Score: float64(until), Member: fmt.Sprintf("%s:%d", key, v.lasts.Milliseconds())})
		pipe.ZRemRangeByScore(ctx, p.key+":keys", "-inf", p.nowMilli())
		return nil
	})
	return err
}

func (p *pauses) resume(ctx context.Context, by string) error {
	if p.clients != nil {
		ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
		defer cancel()
		if err := resumeScript.Run(ctx, p.clients.Write, []string{p.key}, by).Err(); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes++
	delete(p.known, "")
	delete(p.unsaved, "")
	p.resumedBy = by
	return nil
}

// refresh asks Redis when the last answer is too old. Without an answer, what was known stays.
func (p *pauses) refresh(ctx context.Context) {
	p.mu.Lock()
	now := p.clock()
	if p.clients == nil || (!p.read.IsZero() && now.Sub(p.read).Abs() < pausesMaxAge) {
		p.mu.Unlock()
		return
	}
	p.read = now
	unsaved, changes, before := maps.Clone(p.unsaved), p.changes, maps.Clone(p.known)
	p.mu.Unlock()

	for key, v := range unsaved {
		if p.save(ctx, key, v) != nil {
			return
		}
	}
	known, resumedBy, err := p.fetch(ctx, before)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changes == changes {
		p.known, p.resumedBy, p.unsaved = known, resumedBy, nil
	}
}

func (p *pauses) fetch(ctx context.Context, before map[string]pause) (known map[string]pause, resumedBy string, err error) {
	ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	var whole *redis.MapStringStringCmd
	var keys *redis.ZSliceCmd
	_, err = p.clients.Write.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		whole = pipe.HGetAll(ctx, p.key)
		keys = pipe.ZRangeByScoreWithScores(ctx, p.key+":keys", &redis.ZRangeBy{Min: p.nowMilli(), Max: "+inf"})
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	known = map[string]pause{}
	if text, ok := whole.Val()["until"]; ok {
		v := pause{reason: whole.Val()["reason"], by: whole.Val()["by"]}
		if v.told, _ = strconv.ParseInt(text, 10, 64); v.told > 0 {
			v.lasts = millis(whole.Val()["lasts"])
			v = p.seen(v, before[""])
		}
		known[""] = v
	}
	for _, z := range keys.Val() { // by their ends: of two pauses of one key the later counts
		key, lasts, _ := strings.Cut(z.Member.(string), ":")
		known[key] = p.seen(pause{told: int64(z.Score), lasts: millis(lasts)}, before[key])
	}
	return known, whole.Val()["resumed_by"], nil
}

func millis(text string) time.Duration {
	ms, _ := strconv.ParseInt(text, 10, 64) // none in what an earlier version has written
	return time.Duration(ms) * time.Millisecond
}

func (p *pauses) nowMilli() string { return strconv.FormatInt(p.clock().UnixMilli(), 10) }

func (p *pauses) active(v pause) bool { return v.until.IsZero() || v.until.After(p.clock()) }

// wait says how long the pause of the whole lasts; zero: there is none.
func (p *pauses) wait() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.known[""]
	switch {
	case !ok || !p.active(v):
		return 0
	case v.until.IsZero():
		return time.Minute // it may last much longer, but somebody may resume it
	}
	return v.until.Sub(p.clock())
}

func (p *pauses) keyUntil(key string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.known[key]; ok && p.active(v) {
		return v.until
	}
	return time.Time{}
}

func (p *pauses) describe(s *DestinationState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.ResumedBy = p.resumedBy
	if v, ok := p.known[""]; ok && p.active(v) {
		s.Paused, s.PausedUntil, s.PauseReason, s.PausedBy = true, v.until, v.reason, v.by
	}
}
