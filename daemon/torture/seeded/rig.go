//go:build linux

package seeded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"leadstream/daemon/proof"
	"leadstream/sinks/sim/fault"
	"leadstream/sinks/sim/portal"
	"leadstream/streams"
	"leadstream/streams/failpoint"
)

// rig is what a scenario plays with. Its methods end the scenario when they find something, as a test's Fatal does.
type rig struct {
	ctx      context.Context
	daemon   string
	bug      failpoint.Bug
	patience time.Duration
	worlds   []*proof.World
	cleanup  []func() error
}

// finding ends a scenario: something is not as it was promised. breakage ends it because the harness has failed.
type (
	finding  struct{ error }
	breakage struct{ error }
)

// found ends the scenario with what it has found.
func (r *rig) found(format string, a ...any) { panic(finding{fmt.Errorf(format, a...)}) }

// must ends the scenario when the harness itself has failed.
func (r *rig) must(err error) {
	if err != nil {
		panic(breakage{err})
	}
}

// runWorld plays a scenario among real processes.
func (b *bench) runWorld(ctx context.Context, play scenario, bug failpoint.Bug, patience time.Duration) (res result) {
	if play == nil {
		return result{broke: errors.New("there is no such scenario")}
	}
	r := &rig{ctx: ctx, daemon: b.daemon, bug: bug, patience: patience}
	defer func() {
		for i := len(r.cleanup) - 1; i >= 0; i-- {
			res.broke = errors.Join(res.broke, r.cleanup[i]())
		}
	}()
	defer func() {
		switch x := recover().(type) {
		case nil:
		case finding:
			res.found, res.log = x.error, r.tail()
		case breakage:
			res.broke, res.log = x.error, r.tail()
		default:
			panic(x)
		}
	}()
	play(r)
	return result{}
}

func (r *rig) tail() []byte {
	var all []byte
	for _, w := range r.worlds {
		all = append(all, w.Tail()...)
	}
	return all
}

// world makes a world, starts its daemon with the mistake, and makes its senders. In all worlds the portal's limits are
// short, so that what has to be waited for is.
func (r *rig) world(set proof.Setup) (*proof.World, *proof.Ledger) {
	set.Binary, set.Env = r.daemon, append(set.Env, "LEADSTREAM_BUG="+string(r.bug))
	set.CRMKeys = "far_limit: 500ms\nindex_lag: 50ms\n" + set.CRMKeys
	w, err := proof.NewWorld(set)
	r.must(err)
	r.worlds, r.cleanup = append(r.worlds, w), append(r.cleanup, w.Close)
	r.must(w.Start(r.ctx))
	return w, proof.NewLedger(w)
}

// dir is a folder that goes with the scenario.
func (r *rig) dir() string {
	dir, err := os.MkdirTemp("/tmp", "ls")
	r.must(err)
	r.cleanup = append(r.cleanup, func() error { return os.RemoveAll(dir) })
	return dir
}

// redis starts a redis-server that no daemon watches. stop may be called before the scenario ends.
func (r *rig) redis(dir string) (url string, stop func() error) {
	e, err := streams.StartEmbedded(r.ctx, streams.EmbeddedOptions{Dir: dir})
	r.must(err)
	stop = sync.OnceValue(e.Close)
	r.cleanup = append(r.cleanup, stop)
	return e.URL(), stop
}

// inRedis does something in a world's Redis, which must work.
func (r *rig) inRedis(w *proof.World, do func(c *streams.Clients) error) { r.must(tryRedis(w, do)) }

func tryRedis(w *proof.World, do func(c *streams.Clients) error) error {
	c, err := w.OpenRedis()
	if err != nil {
		return err
	}
	defer c.Close()
	return do(c)
}

// until waits for what must happen.
func (r *rig) until(what string, ok func() bool) {
	for deadline := time.Now().Add(r.patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if r.ctx.Err() != nil {
			r.must(r.ctx.Err())
		}
		if time.Now().After(deadline) {
			r.found("LATE: waited in vain: %s", what)
		}
	}
}

// send sends a request, which must be taken.
func (r *rig) send(l *proof.Ledger, q *proof.Request) *proof.Request {
	if l.Send(r.ctx, q); q.Fate != proof.Acked {
		r.found("REFUSED: a request is %s: %v", q.Fate, q.Err)
	}
	return q
}

// restart kills the daemon and starts it again; between happens meanwhile.
func (r *rig) restart(w *proof.World, between func()) {
	w.Kill()
	if between != nil {
		between()
	}
	r.must(w.Start(r.ctx))
}

// verify waits for quiet and holds the ledgers against each other.
func (r *rig) verify(l *proof.Ledger) proof.Facts {
	quiet, cancel := context.WithTimeout(r.ctx, r.patience)
	defer cancel()
	for _, w := range l.Worlds {
		_ = w.Quiet(quiet) // what is not quiet is found
	}
	facts, err := l.Facts(r.ctx)
	r.must(err)
	v, err := proof.Check(facts)
	r.must(err)
	if err := v.Err(); err != nil {
		r.found("%w", err)
	}
	return facts
}

// cards is how many cards the portal has made.
func cards(w *proof.World) int { return len(events(w, "create")) }

// events are the portal's events of a kind.
func events(w *proof.World, kind string) (es []portal.Event) {
	for _, e := range w.CRM.Ledger() {
		if e.Kind == kind {
			es = append(es, e)
		}
	}
	return es
}

// card is the call that makes a card.
const card = "crm.item.add"

// once makes one call for a card go wrong.
func once(w *proof.World, f fault.Fault) {
	f.Method, f.Times = card, 1
	w.CRM.Inject(f)
}

// always makes each call for a card go wrong, until the portal's faults are cleared.
func always(w *proof.World, f fault.Fault) {
	f.Method = card
	w.CRM.Inject(f)
}

// down is a portal that answers each call with an error of its own and does nothing.
var down = fault.Fault{Code: "INTERNAL_SERVER_ERROR"}
