package messenger

import (
	"context"
	"sync"
	"time"

	"leadstream/streams"
	"leadstream/streams/outbound"
)

// Server is one way into a channel's service, with its breaker, places, rate and pauses.
type Server struct {
	Carrier outbound.Channel
	Guard   *streams.Destination
}

// The measures of the regular check (F-09).
const (
	CheckEvery = time.Hour
	quick      = 800 * time.Millisecond
	slow       = 1500 * time.Millisecond
	slowTimes  = 3           // in a row: then the backup server takes over
	checkAgain = time.Minute // while it has
)

// health is what is known of a channel's main server.
type health struct {
	mu     sync.Mutex
	slow   int  // checks in a row
	backup bool // the other server is used
	since  time.Time
}

// pausedUntil is until when the service wants to be left alone with a customer, or with its templates.
func (c *Channel) pausedUntil(ctx context.Context, customer string, template bool) time.Time {
	until := c.Main.Guard.KeyPausedUntil(ctx, customer)
	if template {
		until = maxTime(until, c.Main.Guard.KeyPausedUntil(ctx, methodTemplate))
	}
	return until
}

// free is the server to call now, with a place there taken; nil: none, and how long to wait.
func (c *Channel) free(ctx context.Context) (*Server, time.Duration) {
	servers := []*Server{c.Main}
	if c.Backup != nil {
		servers = append(servers, c.Backup)
		if c.onBackup() {
			servers = []*Server{c.Backup, c.Main}
		}
	}
	least := time.Hour
	for _, s := range servers {
		n, wait := s.Guard.Admit(ctx, 1)
		if n > 0 && s.Guard.Start(1) == nil {
			return s, 0
		}
		least = min(least, max(wait, 50*time.Millisecond))
	}
	return nil, least
}

func (c *Channel) onBackup() bool {
	c.health.mu.Lock()
	defer c.health.mu.Unlock()
	return c.health.backup
}

// check asks a channel's main server how it is, and changes to the other one and back. It says when to ask again.
func (m *Messenger) check(ctx context.Context, c *Channel, every time.Duration) time.Duration {
	limited, cancel := context.WithTimeout(ctx, 2*slow)
	began := time.Now()
	err := c.Main.Carrier.Check(limited)
	took := time.Since(began)
	cancel()
	if ctx.Err() != nil {
		return every
	}
	m.Metrics.checked(c.Name, took, err)
	h := &c.health
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil || took > slow:
		h.slow++
	case took < quick || h.slow == 0:
		h.slow = 0
	}
	switch was := h.backup; {
	case !was && h.slow >= slowTimes && c.Backup != nil:
		h.backup, h.since = true, m.now()
		m.Log.Warn().Str("channel", c.Name).Dur("took", took).Err(err).Msg("the channel's server is slow or does not answer: its backup takes over")
	case was && h.slow == 0:
		h.backup, h.since = false, m.now()
		m.Log.Info().Str("channel", c.Name).Msg("the channel's server is well again, and used again")
	}
	m.Metrics.backup(c.Name, h.backup)
	if h.backup || h.slow > 0 {
		return min(checkAgain, every)
	}
	return every
}

// watch checks a channel until ctx ends.
func (m *Messenger) watch(ctx context.Context, c *Channel, every time.Duration) {
	for wait := m.check(ctx, c, every); ; wait = m.check(ctx, c, every) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Health is what an operator sees of a channel.
type Health struct {
	Channel string                   `json:"channel"`
	Down    bool                     `json:"down"`   // none of its servers can be called
	Backup  bool                     `json:"backup"` // the backup server is used
	Since   time.Time                `json:"since,omitzero"`
	Main    streams.DestinationState `json:"main"`
}

// Health tells how the channels are.
func (m *Messenger) Health(ctx context.Context) (all []Health) {
	for _, c := range m.Channels {
		c.health.mu.Lock()
		h := Health{Channel: c.Name, Backup: c.health.backup, Since: c.health.since}
		c.health.mu.Unlock()
		h.Main = c.Main.Guard.State(ctx)
		h.Down = stopped(h.Main) && (c.Backup == nil || stopped(c.Backup.Guard.State(ctx)))
		all = append(all, h)
	}
	return all
}

func stopped(s streams.DestinationState) bool { return s.Paused || s.Breaker != "closed" }

// Failures are the messages since the start, but for advertising, that reached their customer by no channel, or of which nobody can know.
func (m *Messenger) Failures() int64 { return m.failures.Load() }
