package streams

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// servers notices when connections reach another server than before: one that was restarted, or that took the place of
// the first, has a run id of its own, and may have another memory. What it hands out is not to be believed before the
// lease was asked again. The nodes of a cluster are not told apart: there a change is found when the lease is renewed.
type servers struct {
	mu      sync.Mutex
	run     string        // of the last one met; empty: none yet
	changed chan struct{} // closed when another is met
}

// meet is called for each new connection, before its first use.
func (s *servers) meet(ctx context.Context, c *redis.Conn) error {
	info, err := c.Info(ctx, "server").Result()
	if redis.HasErrorPrefix(err, "NOPERM") { // a sentinel, as its manual has it: without INFO Redis would grant no lease
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking Redis who it is: %w", err)
	}
	if strings.Contains(info, "redis_mode:sentinel") { // it is asked for the way to Redis, in connections made like those
		return nil
	}
	_, rest, _ := strings.Cut(info, "run_id:")
	run, _, _ := strings.Cut(rest, "\r\n")
	s.mu.Lock()
	defer s.mu.Unlock()
	if run != s.run {
		s.run = run
		close(s.changed)
		s.changed = make(chan struct{})
	}
	return nil
}

// same tells whether the server that was met last is that run. A nil servers meets none.
func (s *servers) same(run string) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run == "" || s.run == run
}

// change is closed when another server is met; nil never is.
func (s *servers) change() <-chan struct{} {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}
