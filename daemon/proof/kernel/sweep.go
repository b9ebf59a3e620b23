//go:build linux

package kernel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"leadstream/daemon/proof"
)

// Fault is what a sweep does to a call.
type Fault struct {
	Name   string
	Answer Answer
}

// fits tells whether the fault can happen to a call: only a write can be done in part.
func (f Fault) fits(c Call) bool {
	return c.Path != "redis/server.lock" && (!f.Answer.Part || c.Writes())
}

// Faults are those of a full sweep.
var Faults = []Fault{
	{"kill", Answer{Kill: true}},
	{"EIO", Answer{Errno: unix.EIO}},
	{"ENOSPC", Answer{Errno: unix.ENOSPC}},
	{"EINTR", Answer{Errno: unix.EINTR}},
	{"half a write", Answer{Part: true}},
}

// Row is what became of the lives of one fault.
type Row struct {
	Fault   string
	Calls   int // of one clean life that can have the fault: each was to have it once
	Hit     int // lives in which the call was made and had it
	Missed  int // lives that made fewer calls
	Ended   int // hit lives whose process ended before it was asked to stop
	Refused int // hit lives in which the sender was not told that the lead is taken, and sent it again later
	Verdict proof.Verdict
}

// Sweep takes one lead through the daemon's whole life, from its start in a folder that a killed daemon has left to its
// orderly stop, once for each call on a file of its folder and each fault. Then the daemon starts without faults, the
// sender repeats what it was not told is taken, and every invariant must hold. Only the watch on Redis's lock is left
// out: it is looked at ten times a second, however long a life takes.
type Sweep struct {
	Binary   string
	Faults   []Fault
	Stride   int // take only each so many-th call; 0: all
	First    int // the first call taken; 0: 1
	Progress func(done, of int)
}

// Run does it, all faults beside each other. The error is the first life of each after which something did not hold.
func (s Sweep) Run(ctx context.Context) ([]Row, error) {
	calls, err := s.count(ctx)
	if err != nil {
		return nil, fmt.Errorf("counting the calls of a life: %w", err)
	}
	rows, errs := make([]Row, len(s.Faults)), make([]error, len(s.Faults))
	var done atomic.Int64
	var all sync.WaitGroup
	of := 0
	for i := range s.Faults {
		of += len(s.numbers(calls[i]))
	}
	for i, f := range s.Faults {
		rows[i] = Row{Fault: f.Name, Calls: calls[i]}
		all.Go(func() {
			errs[i] = s.each(ctx, f, s.numbers(calls[i]), &rows[i], func() {
				if n := done.Add(1); s.Progress != nil {
					s.Progress(int(n), of)
				}
			})
		})
	}
	all.Wait()
	return rows, errors.Join(errs...)
}

// numbers are the calls to take of so many.
func (s Sweep) numbers(calls int) (numbers []int) {
	for n := max(s.First, 1); n <= calls; n += max(s.Stride, 1) {
		numbers = append(numbers, n)
	}
	return numbers
}

// count lives cleanly: a life's calls vary by one or two, because a spare is made beside the others.
func (s Sweep) count(ctx context.Context) (calls []int, err error) {
	calls = make([]int, len(s.Faults))
	for range 2 {
		seen, err := live(ctx, s.Binary, Fault{Name: "none"}, 0, new(Row))
		if err != nil {
			return nil, err
		}
		for i, f := range s.Faults {
			n := 0
			for _, c := range seen {
				n += count(f.fits(c))
			}
			calls[i] = max(calls[i], n)
		}
	}
	return calls, nil
}

func (s Sweep) each(ctx context.Context, f Fault, numbers []int, row *Row, done func()) error {
	for _, n := range numbers {
		if _, err := live(ctx, s.Binary, f, n, row); err != nil {
			return err
		}
		done()
	}
	return nil
}
