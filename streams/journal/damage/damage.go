// Package damage proves what streams/journal promises of files that were damaged: it writes journals, damages them in
// every way that it knows, one way at a time, and reads them with the reader that the daemon uses.
//
// Of each damaged journal must be true: it is read without a panic or an error; exactly those records are read that are
// unchanged at their place, so none is invented, doubled or lost beside the damage; every stretch that lost something
// is reported, and no other; and opening it leaves the damaged file as it is and takes new records, which are read back.
// The one exception is the journal's own: behind the last whole record of the newest segment, if a crash has left that
// open, damage looks like the tail of the crash. Such journals are counted apart.
package damage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
)

// Kind is a way of damaging a file.
type Kind int

const (
	Flip Kind = iota // one bit
	Tear             // the file ends early, at any byte
	Zero             // a sector, a page or any range reads as zeros, or the rest of the file
	Junk             // random bytes, or bytes of another place, over a range or behind the end
	Cut              // a hole is taken out, a range put in, moved or exchanged with another
	kinds
)

// Kinds is all of them.
var Kinds = []Kind{Flip, Tear, Zero, Junk, Cut}

func (k Kind) String() string { return [...]string{"flip", "tear", "zero", "junk", "cut"}[k] }

// Options say how much is to be proved.
type Options struct {
	Dir       string // for the journals; a new folder in memory by default, where there is one
	Journals  int    // how many damaged ones
	OpenEvery int    // each so many is opened as a daemon does, and the others read only; 25 by default
	Seed      uint64
	Progress  func(done int) // may be nil; called by several goroutines
}

// Count is what happened to the journals of one kind.
type Count struct {
	Journals int
	Records  int // in all of them before the damage
	Hit      int // records that the damage has changed or moved: these are lost
	Reported int // journals whose damage was reported
	AsCrash  int // journals whose damage looks like the tail of a crash, by promise
	Nothing  int // journals that the damage left as they were, with zeros over zeros or behind a seal
	Opened   int // journals that were opened, written again and read back
}

// Add sums counts up.
func (c *Count) Add(d Count) {
	c.Journals, c.Records, c.Hit = c.Journals+d.Journals, c.Records+d.Records, c.Hit+d.Hit
	c.Reported, c.AsCrash, c.Nothing = c.Reported+d.Reported, c.AsCrash+d.AsCrash, c.Nothing+d.Nothing
	c.Opened += d.Opened
}

// perBase is how many damaged journals come of one that was written.
const perBase = 400

// Run damages o.Journals journals. The error is the first one that did not hold what is promised, with what was done to
// it; the counts are of those that did.
func Run(ctx context.Context, o Options) ([]Count, error) {
	dir, err := os.MkdirTemp(o.folder(), "leadstream-journals-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if o.OpenEvery == 0 {
		o.OpenEvery = 25
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next, done atomic.Int64
	var mu sync.Mutex
	sum := make([]Count, kinds)
	var workers sync.WaitGroup
	for w := range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for ctx.Err() == nil {
				chunk := next.Add(1) - 1
				n := min(o.Journals-int(chunk)*perBase, perBase)
				if n <= 0 {
					return
				}
				counts, err := o.chunk(ctx, filepath.Join(dir, fmt.Sprint(w)), uint64(chunk), n)
				if err != nil {
					stop(fmt.Errorf("seed %d, journal %d: %w", o.Seed, chunk, err))
				}
				mu.Lock()
				for k := range sum {
					sum[k].Add(counts[k])
				}
				mu.Unlock()
				if o.Progress != nil {
					o.Progress(int(done.Add(int64(n))))
				}
			}
		})
	}
	workers.Wait()
	return sum, context.Cause(ctx)
}

// folder is in memory where the system has such a place: a million journals are not for a disk.
func (o Options) folder() string {
	if o.Dir != "" {
		return o.Dir
	}
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
}

// chunk writes one journal and damages it n times, each time afresh.
func (o Options) chunk(ctx context.Context, dir string, chunk uint64, n int) (counts [kinds]Count, err error) {
	rng := rand.New(rand.NewPCG(o.Seed, chunk))
	defer os.RemoveAll(dir)
	b, err := write(dir, rng)
	if err != nil {
		return counts, fmt.Errorf("writing it: %w", err)
	}
	defer b.close()
	for i := range n {
		if ctx.Err() != nil {
			return counts, nil
		}
		k := Kinds[rng.IntN(len(Kinds))]
		c, err := b.try(rng, k, i%o.OpenEvery == 0)
		if err != nil {
			return counts, fmt.Errorf("damage %d: %w", i, err)
		}
		counts[k].Add(c)
	}
	return counts, nil
}
