package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leadstream/streams"
	"leadstream/streams/journal"
	"leadstream/streams/streamstest/model"
)

// daemon is one instance, through all its lives.
type daemon struct {
	w    *world
	name string
	dir  string // of its journal in this life

	mu       sync.Mutex
	life     *life // nil while it is down
	lives    int
	cutUntil atomic.Int64  // does not reach Redis before
	up       chan struct{} // closed when it is started again

	asleepUntil atomic.Int64 // unix ns
}

// sleepsOn is how long it still sleeps.
func (d *daemon) sleepsOn() time.Duration { return time.Until(time.Unix(0, d.asleepUntil.Load())) }

// outOfTouch says that Redis does not hear from it now.
func (d *daemon) outOfTouch() bool {
	now := time.Now().UnixNano()
	return d.sleepsOn() > 0 || d.w.redisDown.Load() || now < d.cutUntil.Load() || now < d.w.stalledUntil.Load()
}

// life is one run of a daemon's process.
type life struct {
	d       *daemon
	boot    string
	custody *streams.Custody
	engine  *streams.Engine
	clients *streams.Clients
	cancel  context.CancelFunc
	done    chan struct{}
	dead    atomic.Bool // crashed: nothing that it does from now on has any effect

	mu       sync.Mutex
	conns    []*model.Conn
	requests int
	calls    int
	said     map[uint64]int // how often each request was sent: the wire's dice want to know
}

var errDown = errors.New("connection refused")

func (d *daemon) start() {
	w := d.w
	d.lives++
	l := &life{d: d, boot: fmt.Sprintf("%s%d", d.name, d.lives), done: make(chan struct{}), said: map[uint64]int{}}
	l.custody = &streams.Custody{Instance: d.name, Now: w.now, Log: w.log}
	err := l.custody.Open(journal.Options{Dir: d.dir, Reserve: -1, SegmentSize: 64 << 10, MaxRecord: 16 << 10, Log: w.log,
		OnFault: func(err error) { w.broken("journal of %s: %v", l.boot, err) }})
	if err != nil {
		w.broken("journal of %s: %v", l.boot, err)
		return
	}
	if l.clients, err = streams.OpenRedis(streams.RedisOptions{URL: "unix:///model", Timeout: time.Second, Readers: 8, Dial: l.dial}); err != nil {
		w.broken("clients: %v", err)
		return
	}
	workers := w.workers(l)
	l.engine = &streams.Engine{Custody: l.custody, Clients: l.clients, Workers: workers, Boot: l.boot, Grace: 100 * time.Millisecond,
		Log: w.log, Metrics: streams.NewMetrics(prometheus.NewRegistry(), workers), Reconcile: 2 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	d.mu.Lock()
	d.life = l
	if d.up != nil {
		close(d.up)
	}
	d.up = make(chan struct{})
	d.mu.Unlock()
	w.trace("%s starts", l.boot)
	w.running.Go(func() {
		_ = l.engine.Run(ctx)
		_ = l.clients.Close()
		if err := l.custody.Close(); err != nil && !l.dead.Load() {
			w.broken("journal of %s: close: %v", l.boot, err)
		}
		w.trace("%s ends", l.boot)
		close(l.done)
	})
}

func (d *daemon) current() *life {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.life
}

// stop ends a life in order.
func (d *daemon) stop() bool {
	d.mu.Lock()
	l := d.life
	d.life = nil
	d.mu.Unlock()
	if l != nil {
		l.cancel()
		<-l.done
	}
	return l != nil
}

// crash ends a life as kill -9 would: what is in the journal's files at this moment is all that remains. The process's
// goroutines go on to their end in a world of their own.
func (l *life) crash(why string) bool {
	d := l.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.life != l {
		return false
	}
	l.dead.Store(true)
	d.life = nil
	d.w.trace("%s crashes: %s", l.boot, why)
	d.w.disturbed()
	next := filepath.Join(d.w.dir, fmt.Sprintf("%s%d", d.name, d.lives+1))
	if err := copyFiles(d.dir, next); err != nil {
		d.w.broken("copy of a journal: %v", err)
	}
	d.dir = next
	l.cut(d.w.dice("crash", l.boot).percent(30))
	l.cancel()
	return true
}

func copyFiles(from, to string) error {
	files, err := os.ReadDir(from)
	if err == nil {
		err = os.Mkdir(to, 0o700)
	}
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Name() == "lock" || f.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(from, f.Name()))
		if errors.Is(err, os.ErrNotExist) { // renamed meanwhile
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, f.Name()), b, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cut ends all its connections; what is on its way is lost when lose says so.
func (l *life) cut(lose bool) {
	l.mu.Lock()
	conns := l.conns
	l.conns = nil
	l.mu.Unlock()
	for _, c := range conns {
		c.Cut(lose)
	}
}

func (l *life) dial(context.Context, string, string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead.Load() || l.d.w.redisDown.Load() || time.Now().UnixNano() < l.d.cutUntil.Load() {
		return nil, errDown
	}
	c := l.d.w.redis.Dial(l.boot, l.wire)
	l.conns = append(slices.DeleteFunc(l.conns, func(c *model.Conn) bool { return c.Ended() }), c)
	return c, nil
}
