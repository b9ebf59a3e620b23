package streams

import (
	"slices"
	"sync"
)

// backlog holds the leads of one partition that Redis has not confirmed, in the order in which they were accepted.
// Their bytes are kept up to a limit; the others are read back from the journal when their turn comes.
type backlog struct {
	mu    sync.Mutex
	list  []pending
	out   int  // of its front, with the forwarder now
	mixed bool // something was merged behind the front part that may belong before it
	bytes int
	wake  chan struct{} // has one token when there is something to do
}

// pending is a lead to be forwarded.
type pending struct {
	record *record
	at     place  // where its record stood when it came
	size   int32  // of its record
	line   []byte // the lead's JSON; nil: read it from the journal
	only   string // destinations that it lacks, when it is driven again; empty: all
	force  bool   // its entry is known to be lost: add it whatever the idempotency key says
	unsure bool   // it may have been delivered by an owner whose journal is not here
}

// compare orders leads as they were accepted.
func (p pending) compare(o pending) int { return p.at.compare(o.at) }

// backlogBytes is how much of a backlog stands in memory, a partition.
const backlogBytes = 32 << 20

func newBacklog() *backlog { return &backlog{wake: make(chan struct{}, 1)} }

// push adds leads at the end. The caller holds the ledger's mu.
func (b *backlog) push(ps ...pending) { b.add(false, ps) }

// merge adds leads that were accepted before others which wait already, each at its place. The caller holds the ledger's
// mu.
func (b *backlog) merge(ps []pending) { b.add(true, ps) }

func (b *backlog) add(sorted bool, ps []pending) {
	b.mu.Lock()
	for _, p := range ps {
		if b.bytes+len(p.line) > backlogBytes {
			p.line = nil
		}
		b.bytes += len(p.line)
		p.at, p.size = p.record.came(), p.record.pos.Len
		b.list = append(b.list, p)
	}
	if sorted {
		b.sort(b.out)
		b.mixed = b.out > 0
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *backlog) sort(from int) {
	slices.SortStableFunc(b.list[from:], pending.compare)
}

// back takes the front part back that could not be forwarded. What was merged meanwhile finds its place before it.
func (b *backlog) back() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.out = 0; b.mixed {
		b.sort(0)
		b.mixed = false
	}
}

// head is up to n leads from the front. They stay until done says that Redis has them. Taken again without that, they
// make room for what belongs before them.
func (b *backlog) head(n int) []pending {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mixed {
		b.sort(0)
		b.mixed = false
	}
	b.out = min(n, len(b.list))
	return slices.Clone(b.list[:b.out])
}

func (b *backlog) done(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range n {
		b.bytes -= len(b.list[i].line)
		b.list[i] = pending{}
	}
	b.list, b.out, b.mixed = b.list[n:], 0, false
	if len(b.list) == 0 {
		b.list = nil
	}
}

func (b *backlog) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.list)
}
