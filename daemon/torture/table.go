//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"leadstream/daemon/proof"
)

// row is what a scenario says of one kind of fault.
type row struct {
	what    string
	rounds  int
	flying  []int           // leads in flight at each fault
	missed  int             // times that the moment did not come, and a random one was taken
	idle    int             // faults with nothing in flight, which prove nothing and do not count
	took    time.Duration   // by all of them, without what making and judging the worlds took
	wanted  map[string]bool // the moments of this row: true once reached
	verdict proof.Verdict
}

// table is a scenario's result. Its methods may be called by many goroutines.
type table struct {
	First string // head of the first column
	Sum   proof.Verdict

	mu   sync.Mutex
	rows map[string]*row
	seen []string // in the order of their first round
}

func newTable(first string) *table { return &table{First: first, rows: map[string]*row{}} }

func (t *table) at(what string) *row {
	r := t.rows[what]
	if r == nil {
		r = &row{what: what, wanted: map[string]bool{}}
		t.rows[what] = r
		t.seen = append(t.seen, what)
	}
	return r
}

// want makes a row of moments that are to be reached.
func (t *table) want(what string, moments ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range moments {
		t.at(what).wanted[m] = false
	}
}

// struck notes a fault of the row what at a moment, what it found in flight and when its round began, and says whether
// it counts.
func (t *table) struck(what, moment string, flying int, missed bool, began time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.at(what)
	r.took += time.Since(began)
	switch {
	case flying == 0:
		r.idle++
		return false
	case missed:
		r.missed++
	default:
		if _, wanted := r.wanted[moment]; wanted {
			r.wanted[moment] = true
		}
		r.rounds++
		r.flying = append(r.flying, flying)
	}
	return true
}

// judged adds a verdict.
func (t *table) judged(what string, v proof.Verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at(what).verdict.Add(v)
	t.Sum.Add(v)
}

// String is the table as a person reads it.
func (t *table) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\ttimes\tmoments\tin flight min/median/max\taccepted\tunknown\tlost\tdoubled\tinvented\tdamaged\tout of order\tleft open\tunexplained\tleaks\tnot reached\tidle\tms a round\n", t.First)
	sum := &row{what: "all", wanted: map[string]bool{}}
	for _, what := range t.seen {
		r := t.rows[what]
		r.write(w)
		sum.rounds += r.rounds
		sum.flying = append(sum.flying, r.flying...)
		sum.missed += r.missed
		sum.idle += r.idle
		for moment, reached := range r.wanted {
			sum.wanted[what+" "+moment] = reached
		}
		sum.took += r.took
	}
	sum.verdict = t.Sum
	sum.write(w)
	_ = w.Flush() // into memory
	for _, what := range t.seen {
		if never := t.rows[what].never(); len(never) > 0 {
			fmt.Fprintf(&b, "never reached: %s", what)
			if never[0] != what {
				fmt.Fprintf(&b, " at %s", strings.Join(never, ", "))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// never is the moments that were to be reached, and were not.
func (r *row) never() []string {
	var never []string
	for moment, reached := range r.wanted {
		if !reached {
			never = append(never, moment)
		}
	}
	slices.Sort(never)
	return never
}

func (r *row) write(w *tabwriter.Writer) {
	flying := "-"
	if n := len(r.flying); n > 0 {
		s := slices.Sorted(slices.Values(r.flying))
		flying = fmt.Sprintf("%d/%d/%d", s[0], s[n/2], s[n-1])
	}
	moments := "-"
	if n := len(r.wanted); n > 0 {
		moments = fmt.Sprintf("%d of %d", n-len(r.never()), n)
	}
	v := r.verdict
	fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.what, r.rounds, moments, flying, v.Accepted, v.Unknown,
		v.Lost, v.Doubled, v.Invented, v.Damaged, v.OutOfOrder, v.LeftOpen, v.Unexplained, v.Leaks, r.missed, r.idle,
		r.took.Milliseconds()/int64(max(r.rounds+r.missed+r.idle, 1)))
}
