package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"leadstream/streams"
)

// Both sides of every queue: so many senders with one lead in flight each, so many handlers.
const producers, handlers = 64, 64

// rates of one queue, leads a second.
type rates struct{ Enqueue, Handle float64 }

// contenders move n leads through one queue on the Redis at socket; dir is for what they keep themselves.
var contenders = map[string]func(socket, dir string, n int) rates{
	"leadstream": leadstreamQueue, "hand-over": handOver, "watermill": watermillQueue, "asynq": asynqQueue, "raw": rawQueue,
}

// contend runs one of them, in a process of its own, and prints its rates for the parent.
func contend(name, socket, dir string, n int) {
	check(json.NewEncoder(os.Stdout).Encode(contenders[name](socket, dir, n)))
}

// enqueue calls put for 0..n-1 from the producers and returns the rate.
func enqueue(n int, put func(i int) error) float64 {
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range producers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				check(put(i))
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(start).Seconds()
}

// countdown ends when n leads were handled.
type countdown struct {
	left atomic.Int64
	done chan struct{}
}

func countFrom(n int) *countdown {
	c := &countdown{done: make(chan struct{})}
	c.left.Store(int64(n))
	return c
}

func (c *countdown) one() {
	if c.left.Add(-1) == 0 {
		close(c.done)
	}
}

// leadstreamQueue takes leads into the journal, lets them pass to the last queue, and then opens it. It ends when every
// lead's delivery is in the ledger and its entry is gone from Redis.
func leadstreamQueue(socket, dir string, n int) rates {
	ctx := context.Background()
	e := startEngine(socket, dir)
	e.shut.Store(true)
	in := enqueue(n, func(i int) error { return e.take(i) })
	c := client(socket, 2)
	normal := streams.Keys{Prefix: "ls"}.Queue(streams.Destined("bench"))
	wait := func(length int64) { // triage may find them hot
		for c.XLen(ctx, normal).Val()+c.XLen(ctx, normal+":hot").Val() != length {
			time.Sleep(5 * time.Millisecond)
		}
	}
	wait(int64(n))
	stop := profile()
	start := time.Now()
	e.shut.Store(false)
	wait(0)
	took := time.Since(start)
	stop()
	if t := e.custody.Tally(); t.Open != 0 || t.States[streams.Delivered] != n {
		check(fmt.Errorf("the queue is empty, but the ledger says %+v", t))
	}
	return rates{in, float64(n) / took.Seconds()}
}

// handOver takes leads into the journal and lets them pass from the first queue to the second, where they stay: read,
// decoded, encoded, added, acknowledged and deleted.
func handOver(socket, dir string, n int) rates {
	shut := make(chan struct{}) // until then what has been read waits in hand
	e := startFirst(socket, dir, func(_ context.Context, batch []*streams.Entry) []streams.Verdict {
		<-shut
		verdicts := make([]streams.Verdict, len(batch))
		for i, entry := range batch {
			verdicts[i].Followers = []streams.Follower{{Queue: streams.Triaged, Lead: entry.Lead}}
		}
		return verdicts
	})
	in := enqueue(n, func(i int) error { return e.take(i) })
	for e.custody.Unforwarded() > 0 {
		time.Sleep(5 * time.Millisecond)
	}
	c := client(socket, 1)
	keys := streams.Keys{Prefix: "ls"}
	stop := profile()
	start := time.Now()
	close(shut)
	for c.XLen(context.Background(), keys.Queue(streams.Triaged)).Val() != int64(n) {
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(start)
	stop()
	if left := c.XLen(context.Background(), keys.Queue(streams.Intake)).Val(); left != 0 {
		check(fmt.Errorf("%d leads stand in both queues", left))
	}
	return rates{in, float64(n) / took.Seconds()}
}

// rawQueue is what the machine permits: XADD from each producer on a connection of its own, then one reader of
// XREADGROUP, XACK and XDEL, 500 at a time.
func rawQueue(socket, _ string, n int) rates {
	ctx := context.Background()
	c := client(socket, producers)
	check(c.XGroupCreateMkStream(ctx, "raw", "g", "0").Err())
	in := enqueue(n, func(i int) error {
		return c.XAdd(ctx, &redis.XAddArgs{Stream: "raw", Values: []any{"lead", payload(i)}}).Err()
	})
	start := time.Now()
	for got := 0; got < n; {
		read, err := c.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"raw", ">"}, Count: 500}).Result()
		check(err)
		var ids []string
		for _, m := range read[0].Messages {
			text, _ := m.Values["lead"].(string)
			look([]byte(text))
			ids = append(ids, m.ID)
		}
		_, err = c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.XAck(ctx, "raw", "g", ids...)
			pipe.XDel(ctx, "raw", ids...)
			return nil
		})
		check(err)
		got += len(ids)
	}
	return rates{in, float64(n) / time.Since(start).Seconds()}
}

func watermillQueue(socket, _ string, n int) rates {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := client(socket, producers+handlers+8)
	pub, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: c}, watermill.NopLogger{})
	check(err)
	in := enqueue(n, func(i int) error {
		return pub.Publish("leads", message.NewMessage(watermill.NewUUID(), payload(i)))
	})
	left := countFrom(n)
	start := time.Now()
	for i := range handlers {
		sub, err := redisstream.NewSubscriber(redisstream.SubscriberConfig{Client: c, ConsumerGroup: "g", Consumer: fmt.Sprint(i), OldestId: "0"},
			watermill.NopLogger{})
		check(err)
		messages, err := sub.Subscribe(ctx, "leads")
		check(err)
		go func() {
			for m := range messages {
				look(m.Payload)
				m.Ack()
				left.one()
			}
		}()
	}
	<-left.done
	return rates{in, float64(n) / time.Since(start).Seconds()}
}

func asynqQueue(socket, _ string, n int) rates {
	opt := asynq.RedisClientOpt{Network: "unix", Addr: socket, PoolSize: producers + handlers}
	c := asynq.NewClient(opt)
	defer c.Close()
	in := enqueue(n, func(i int) error {
		_, err := c.Enqueue(asynq.NewTask("lead", payload(i)), asynq.MaxRetry(5))
		return err
	})
	left := countFrom(n)
	srv := asynq.NewServer(opt, asynq.Config{Concurrency: handlers, LogLevel: asynq.FatalLevel})
	start := time.Now()
	check(srv.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		look(t.Payload())
		left.one()
		return nil
	})))
	<-left.done
	return rates{in, float64(n) / time.Since(start).Seconds()}
}
