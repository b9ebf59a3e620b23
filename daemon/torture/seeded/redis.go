//go:build linux

package seeded

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"leadstream/daemon/proof"
	"leadstream/streams"
	"leadstream/streams/failpoint"
)

// What happens in Redis, on the way to it, and in the journal behind it.

// metric reads one of the daemon's metrics.
func (r *rig) metric(w *proof.World, name string) float64 {
	m, err := w.Metrics(r.ctx)
	if err != nil {
		return -1
	}
	return m[name]
}

// pending counts the entries of the portal's queues that somebody works on, and those that are parked.
func (r *rig) pending(w *proof.World) (inHand, parked int64) {
	_ = tryRedis(w, func(c *streams.Clients) error { // one that is not there yet is asked again
		for _, queue := range crmQueues {
			p, err := c.Write.XPending(r.ctx, queue, streams.Group).Result()
			if err != nil {
				return err
			}
			for name, count := range p.Consumers {
				if name == "parked" {
					parked += count
				} else {
					inHand += count
				}
			}
		}
		return nil
	})
	return inHand, parked
}

var crmQueues = []string{"ls:{0}:to:crm", "ls:{0}:to:crm:hot"}

// pause stops deliveries, and waits until no read is under way any more.
func (r *rig) pause(w *proof.World) {
	r.until("the destination is paused", func() bool { _, err := w.CLI("pause", "crm", "--reason", "moving house"); return err == nil })
	time.Sleep(1200 * time.Millisecond) // longer than a read that waits
}

func (r *rig) resume(w *proof.World) {
	r.until("the destination is resumed", func() bool { _, err := w.CLI("resume", "crm"); return err == nil })
}

// restored: Redis comes back from an old copy of its files, under a daemon that runs.
func restored(r *rig) {
	dir := r.dir()
	aof, copied := filepath.Join(dir, "appendonlydir"), filepath.Join(r.dir(), "copy")
	url, stop := r.redis(dir)
	w, l := r.world(proof.Setup{Redis: url})
	l.Burst(r.ctx, 3, 3)
	r.verify(l)
	r.must(stop())
	r.must(os.CopyFS(copied, os.DirFS(aof)))
	_, stop = r.redis(dir)
	r.until("the daemon is on it again", func() bool { _, err := w.CLI("pause", "crm", "--reason", "moving house"); return err == nil })
	l.Burst(r.ctx, 3, 3)
	r.until("Redis has them", func() bool { s, err := w.Status(r.ctx); return err == nil && s.Unforwarded == 0 })
	r.must(stop())
	r.must(os.RemoveAll(aof))
	r.must(os.CopyFS(aof, os.DirFS(copied)))
	r.redis(dir)
	r.resume(w)
	r.verify(l)
}

// deleted: an entry that waits for its retry is deleted from Redis, as XTRIM or an operator would. It must be noticed.
func deleted(r *rig) {
	w, l := r.world(proof.Setup{CRMKeys: "retry: {attempts: 100, base: 2s, factor: 1, max: 2s, jitter: 0}"})
	always(w, down)
	r.send(l, l.Customer())
	r.until("it waits for its retry", func() bool { _, parked := r.pending(w); return parked == 1 })
	r.deleteAll(w)
	r.until("the loss is counted", func() bool { return r.metric(w, "leadstream_entries_deleted_total") == 1 })
}

// deleteAll deletes the entries of the portal's queues, and answers how many there were.
func (r *rig) deleteAll(w *proof.World) (n int) {
	r.inRedis(w, func(c *streams.Clients) error {
		for _, queue := range crmQueues {
			for _, m := range c.Write.XRange(r.ctx, queue, "-", "+").Val() {
				if err := c.Write.XDel(r.ctx, queue, m.ID).Err(); err != nil {
					return err
				}
				n++
			}
		}
		return nil
	})
	return n
}

// vanished: an entry is deleted before anybody was given it. Only a comparison with the ledger can find that.
func vanished(r *rig) {
	w, l := r.world(proof.Setup{Env: []string{"LEADSTREAM_HURRY=" + string(failpoint.ReconcileAfter) + "=100ms"}})
	r.pause(w)
	r.send(l, l.Customer())
	n := 0
	r.until("its entry is there", func() bool { n += r.deleteAll(w); return n > 0 })
	r.resume(w)
	r.verify(l)
}

// flippedInRedis: a digit of a phone changes in Redis, whose files have no checksums.
func flippedInRedis(r *rig) {
	w, l := r.world(proof.Setup{})
	r.pause(w)
	q := r.send(l, l.Customer())
	changed := 0
	r.until("its entry is there", func() bool {
		r.inRedis(w, func(c *streams.Clients) error {
			for _, queue := range crmQueues {
				for _, m := range c.Write.XRange(r.ctx, queue, "-", "+").Val() {
					was, _ := m.Values["lead"].(string)
					m.Values["lead"] = strings.Replace(was, q.Phone, q.Phone[:len(q.Phone)-1]+"7", 1)
					if err := c.Write.XAdd(r.ctx, &redis.XAddArgs{Stream: queue, Values: m.Values}).Err(); err != nil {
						return err
					}
					if err := c.Write.XDel(r.ctx, queue, m.ID).Err(); err != nil {
						return err
					}
					changed++
				}
			}
			return nil
		})
		return changed > 0
	})
	r.resume(w)
	r.verify(l)
}

// outOfMemory: Redis refuses what is added until somebody gives it memory.
func outOfMemory(r *rig) {
	w, l := r.world(proof.Setup{})
	memory := func(most string) {
		r.inRedis(w, func(c *streams.Clients) error { return c.Write.ConfigSet(r.ctx, "maxmemory", most).Err() })
	}
	r.until("the queues are open", func() bool { s, err := w.Status(r.ctx); return err == nil && len(s.Destinations) > 0 && r.owned(w) })
	memory("1")
	r.send(l, l.Customer())
	r.until("Redis has refused it", func() bool {
		var errors string
		r.inRedis(w, func(c *streams.Clients) (err error) {
			errors, err = c.Write.Info(r.ctx, "errorstats").Result()
			return err
		})
		return strings.Contains(errors, "errorstat_OOM")
	})
	memory("0")
	r.verify(l)
}

// owned says that a daemon works the queues.
func (r *rig) owned(w *proof.World) (yes bool) {
	_ = tryRedis(w, func(c *streams.Clients) error {
		n, err := c.Write.Exists(r.ctx, crmQueues...).Result()
		yes = n == int64(len(crmQueues))
		return err
	})
	return yes
}

// answersLost: Redis does what it is told, and its answers do not come.
func answersLost(r *rig) {
	url, _ := r.redis(r.dir())
	cut := newCutter(strings.TrimPrefix(url, "unix://"), []byte("wish "))
	r.must(cut.open())
	r.cleanup = append(r.cleanup, cut.close)
	w, l := r.world(proof.Setup{Redis: "redis://" + cut.address()})
	r.send(l, l.Customer())
	r.verify(l) // Redis has the scripts now: a request is what it does
	const lost = 4
	cut.cut(lost)
	l.Burst(r.ctx, 30, 1)
	r.verify(l)
	if n := cut.left(); n > 0 {
		r.must(fmt.Errorf("%d answers were lost of %d: nothing was tested", lost-n, lost))
	}
	if n := r.metric(w, `leadstream_handled_total{queue="intake",result="done"}`); n != 31 {
		r.found("ADDED TWICE: %.0f entries came out of the intake queue, for 31 leads", n)
	}
}

// repeatedAfterKill: the sender repeats a request after the daemon has been killed.
func repeatedAfterKill(r *rig) {
	w, l := r.world(proof.Setup{})
	first := r.send(l, l.Customer())
	r.verify(l)
	r.restart(w, nil)
	again := r.send(l, &proof.Request{Key: first.Key, Phone: first.Phone, Text: first.Text, Body: first.Body})
	if !again.Duplicate {
		r.found("TAKEN AGAIN: the same request with the same key")
	}
	r.verify(l)
}

// damagedJournal: a byte of an early record is changed on the disk, and Redis is lost: the later records must be read.
func damagedJournal(r *rig) {
	w, l := r.world(proof.Setup{})
	r.until("the queues are open", func() bool { return r.owned(w) })
	r.pause(w)
	l.Burst(r.ctx, 4, 1)
	r.restart(w, func() {
		w.KillRedis()
		r.until("Redis has ended", func() bool { return w.RedisPID() == 0 })
		r.must(os.RemoveAll(filepath.Join(w.Data, "redis", "appendonlydir")))
		r.must(flip(filepath.Join(w.Data, "journal"), []byte(`"foreign"`))) // what is noted of Redis when it is first opened
	})
	r.verify(l)
}

// tidied: a lead is open for longer than the journal keeps what has ended, and then Redis is lost.
func tidied(r *rig) {
	w, l := r.world(proof.Setup{Env: []string{"LEADSTREAM_HURRY=" + string(failpoint.TidyEvery) + "=300ms," + string(failpoint.TidyAge) + "=600ms"}})
	l.Forgets = true // once it has ended, no sooner
	always(w, down)
	r.send(l, l.Customer())
	first, err := filepath.Glob(filepath.Join(w.Data, "journal", "*.seg"))
	r.must(err)
	r.restart(w, nil) // which begins a segment
	r.until("the journal has let its first segment go", func() bool { _, err := os.Stat(first[0]); return os.IsNotExist(err) })
	w.CRM.Clear()
	r.restart(w, func() { r.flush(w) })
	r.verify(l)
}

// flushedAfterDeath: what a person has to look at is not forgotten with Redis.
func flushedAfterDeath(r *rig) {
	w, l := r.world(proof.Setup{CRMKeys: "retry: {attempts: 1, base: 50ms, factor: 1, max: 50ms}"})
	always(w, down)
	r.send(l, l.Customer())
	r.verify(l)
	r.flush(w)
	r.until("the daemon has noticed", func() bool { return r.metric(w, "leadstream_redis_losses_total") == 1 && r.owned(w) })
	r.verify(l)
}

func (r *rig) flush(w *proof.World) {
	r.inRedis(w, func(c *streams.Clients) error { return c.Write.FlushAll(r.ctx).Err() })
}

// flip changes a byte where a text first stands in a journal's segments.
func flip(journal string, text []byte) error {
	files, err := filepath.Glob(filepath.Join(journal, "*.seg"))
	if err != nil {
		return err
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if at := bytes.Index(b, text); at >= 0 {
			b[at] ^= 0x10
			return os.WriteFile(path, b, 0o600)
		}
	}
	return fmt.Errorf("%q is in no segment", text)
}
