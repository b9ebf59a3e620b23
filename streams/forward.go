package streams

import (
	"context"
	"fmt"
	"strings"
	"time"

	"leadstream/streams/failpoint"
)

// A call to Redis carries so many leads and, but for a single one that is larger, so many bytes: a slow line must get it
// through within the call's time.
const (
	forwardBatch = 512
	forwardBytes = 8 << 20
)

// runForward appends accepted leads to Redis, in the order in which they were accepted. It sends a batch again until
// Redis has confirmed it; the script adds each lead once.
func (p *Partition) runForward(ctx context.Context) {
	b := p.Custody.forward[p.Keys.Partition]
	wait := time.Duration(0)
	for ctx.Err() == nil {
		batch := alike(b.head(forwardBatch))
		if len(batch) == 0 {
			select {
			case <-ctx.Done():
			case <-b.wake:
			}
			continue
		}
		if p.epoch.Load() == 0 { // not opened yet, by us or by the owner
			sleep(ctx, 20*time.Millisecond)
			continue
		}
		added, err := p.forwardBatch(ctx, batch)
		if err == nil {
			p.Metrics.Forwarded.Add(float64(added))
			p.Custody.forwarded(batch)
			failpoint.Hit(failpoint.ForwardNoted)
			b.done(len(batch))
			wait = 0
			p.redisAnswered(nil)
			continue
		}
		b.back()
		p.redisAnswered(err)
		if strings.Contains(err.Error(), errEpoch.Error()) {
			p.lost()
		}
		wait = min(max(wait*2, 20*time.Millisecond), time.Second)
		sleep(ctx, wait)
	}
}

// alike is the front part of a batch that goes with one call: the script forces all or none.
func alike(batch []pending) []pending {
	size := 0
	for i, p := range batch {
		size += int(p.size)
		if p.force != batch[0].force || i > 0 && size > forwardBytes {
			return batch[:i]
		}
	}
	return batch
}

// forwardBatch sends leads in one script call, and says how many were not there yet.
func (p *Partition) forwardBatch(ctx context.Context, batch []pending) (int64, error) {
	epoch := p.epoch.Load()
	force := batch[0].force || failpoint.Seeded(failpoint.ResendBlindly)
	keys := make([]string, 0, len(batch)+3)
	keys = append(keys, p.Keys.epoch(), p.Keys.Queue(Intake), p.Keys.run())
	sent := make([]*record, 0, len(batch))
	args := make([]any, 0, len(batch)*5+4)
	args = append(args, epoch, p.Custody.Retention.Milliseconds(), flag(force), p.Custody.Instance)
	for _, l := range batch {
		open, unsure := p.Custody.sending(l.record)
		if !open { // it went on from an earlier sending, whose answer was lost, and has ended
			continue
		}
		line := l.line
		if line == nil {
			read, err := p.Custody.lineOf(l.record)
			if err != nil { // the journal has told of the damage; the lead stays open, becomes late, and is told
				p.Log.Error().Err(err).Str("lead", l.record.id).Msg("lead cannot be read back; it stays open")
				continue
			}
			line = read
		}
		of := epoch
		if l.unsure || unsure {
			of = unsureEpoch
		}
		sent = append(sent, l.record)
		keys = append(keys, p.Keys.lead(l.record.id))
		args = append(args, l.record.id, line, checksum(line), of, l.only)
	}
	if len(sent) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	failpoint.Hit(failpoint.ForwardBegun)
	answer, err := appendScript.Run(ctx, p.Clients.Write, keys, args...).Slice()
	if err != nil && failpoint.Seeded(failpoint.RefusalBelieved) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("intake: append: %w", epochError(err))
	}
	failpoint.Hit(failpoint.ForwardAdded)
	var added int64
	var twins []event
	for i, a := range answer {
		switch a := a.(type) {
		case int64:
			added += a
		case string: // the sender's repetition came to us, and its first request to another daemon: the lead is there
			twins = append(twins, event{Lead: sent[i].id, Kind: evMerged, Reason: "accepted by " + a, At: p.Custody.Now().UTC()})
		}
	}
	return added, p.Custody.note(twins)
}
