package streams

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"leadstream/streams/journal"
)

// runIndex keeps the index up to the last closed segment until ctx ends, and once reads what the start has not: a damaged
// segment must not stay unnoticed because there is an index of it.
func (c *Custody) runIndex(ctx context.Context) {
	unread := c.indexed
	for ctx.Err() == nil {
		pause, begun := time.Second, time.Now()
		if err := c.buildIndex(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, os.ErrNotExist) { // dropped meanwhile
			c.Log.Warn().Err(err).Msg("journal not indexed: the next start reads all of it")
			pause = time.Minute
		}
		pause = max(pause, 20*time.Since(begun)) // with many open leads a snapshot is large, and each segment asks for one
		if unread > 0 && ctx.Err() == nil {
			c.checkIndexed(ctx, unread)
			unread = 0
		}
		sleep(ctx, pause)
	}
}

// checkIndexed reads the segments up to last.
func (c *Custody) checkIndexed(ctx context.Context, last uint64) {
	for _, s := range c.journal.Segments() {
		if s.Number > last || ctx.Err() != nil {
			return
		}
		if err := c.journal.Check(s.Number); err != nil && !errors.Is(err, os.ErrNotExist) {
			c.Log.Error().Err(err).Uint64("segment", s.Number).Msg("journal: not checked")
		}
		sleep(ctx, 50*time.Millisecond) // nobody waits for it
	}
}

// snapshotEvery is after how many segments a long catching up leaves something that it can go on from.
const snapshotEvery = 16

// buildIndex brings the index to the last closed segment. It replays into a ledger of its own: what the index says follows
// from the journal alone.
func (c *Custody) buildIndex(ctx context.Context) error {
	c.mu.Lock()
	done, torn := c.built, c.torn != nil
	c.torn = nil
	c.mu.Unlock()
	if torn {
		if err := os.RemoveAll(filepath.Join(c.dir, indexFolder)); err != nil {
			return err
		}
		done = 0
	}
	if c.lastClosed() <= done || c.journal.Healthy() != nil {
		return nil
	}
	known, err := c.journal.Known()
	if err != nil || len(known) == 0 || known[len(known)-1].Number() <= done {
		return err
	}
	if err := os.MkdirAll(filepath.Join(c.dir, indexFolder), 0o700); err != nil {
		return err
	}
	s := c.blank()
	defer s.closeArchives()
	s.room = c.journal.Room
	s.restore(c.dir)
	s.floor = known[0].Number()
	for i, k := range known {
		if k.Number() <= s.indexed {
			continue
		}
		if err := s.indexSegment(ctx, c.journal, c.dir, k.Number()); err != nil {
			switch {
			case errors.Is(err, journal.ErrDamaged): // what stands there may be read again one day
				err = errors.Join(err, c.journal.Check(k.Number()))
			case errors.Is(err, errArchive):
				err = errors.Join(err, os.RemoveAll(filepath.Join(c.dir, indexFolder)))
			}
			return fmt.Errorf("segment %d: %w", k.Number(), err)
		}
		if (i+1)%snapshotEvery == 0 || i == len(known)-1 {
			if err := s.save(c.dir, known[:i+1]); err != nil {
				return err
			}
		}
	}
	c.mu.Lock()
	c.built = known[len(known)-1].Number()
	c.mu.Unlock()
	return nil
}

// lastClosed is the number of the last segment that is not written any more; 0 if there is none.
func (c *Custody) lastClosed() (last uint64) {
	for _, s := range c.journal.Segments() {
		if s.Closed {
			last = s.Number
		}
	}
	return last
}

// indexSegment replays one more segment and archives what has ended by its end.
func (c *Custody) indexSegment(ctx context.Context, j *journal.Journal, dir string, number uint64) error {
	err := j.Replay(number, func(rec journal.Record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return c.replay(rec)
	})
	if err != nil {
		return err
	}
	c.indexed = number
	return c.archive(dir, number)
}
