package streams

import "sync"

// backlog holds the leads of one partition that Redis has not confirmed, in the order in which they were accepted.
// Their bytes are kept up to a limit; the others are read back from the journal when their turn comes.
type backlog struct {
	mu    sync.Mutex
	list  []pending
	bytes int
	wake  chan struct{} // has one token when there is something to do
}

// pending is a lead to be forwarded.
type pending struct {
	record *record
	line   []byte // the lead's JSON; nil: read it from the journal
	only   string // destinations that it lacks, when it is driven again; empty: all
	force  bool   // its entry is known to be lost: add it whatever the idempotency key says
	unsure bool   // it may have been delivered by an owner whose journal is not here
}

// backlogBytes is how much of a backlog stands in memory, a partition.
const backlogBytes = 32 << 20

func newBacklog() *backlog { return &backlog{wake: make(chan struct{}, 1)} }

func (b *backlog) push(ps ...pending) {
	b.mu.Lock()
	for _, p := range ps {
		if b.bytes+len(p.line) > backlogBytes {
			p.line = nil
		}
		b.bytes += len(p.line)
		b.list = append(b.list, p)
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// head is up to n leads from the front. They stay until done says that Redis has them.
func (b *backlog) head(n int) []pending {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]pending(nil), b.list[:min(n, len(b.list))]...)
}

func (b *backlog) done(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range n {
		b.bytes -= len(b.list[i].line)
		b.list[i] = pending{}
	}
	b.list = b.list[n:]
	if len(b.list) == 0 {
		b.list = nil
	}
}

func (b *backlog) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.list)
}
