//go:build linux

// Package seeded shows that the harness of package proof can fail: it has the daemon make a mistake that a good
// programmer could have made, one after the other, and looks whether a scenario finds it which finds nothing without it.
// The mistakes stand in package failpoint, and where they are made. Proving that the daemon makes none is left to others.
package seeded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"leadstream/daemon/proof"
	"leadstream/streams/failpoint"
)

// seed is a mistake and what finds it. The scenario must find nothing without the mistake, and with it something that
// holds the word sees: red for another reason is not caught.
type seed struct {
	bug      failpoint.Bug
	scenario string
	sees     string
}

// scenario brings one fault about and holds the ledgers against each other.
type scenario func(r *rig)

// bench is where seeded bugs are looked for: binaries built once for all runs.
type bench struct {
	daemon  string
	journal string        // its tests
	places  chan struct{} // of runs at a time: they mostly wait
}

// atOnce is how many runs there are at a time.
const atOnce = 12

// newBench builds everything with the tag torture into dir.
func newBench(ctx context.Context, dir string) (*bench, error) {
	b := &bench{places: make(chan struct{}, atOnce)}
	var err error
	if b.daemon, err = proof.Build(ctx, dir, "torture"); err != nil {
		return nil, err
	}
	b.journal = filepath.Join(dir, "journal.test")
	out, err := exec.CommandContext(ctx, "go", "test", "-c", "-tags", "torture", "-o", b.journal, "leadstream/streams/journal").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("building the tests of the journal: %w\n%s", err, out)
	}
	return b, nil
}

// result is one run of a scenario.
type result struct {
	found error // what the scenario has found
	broke error // why it says nothing: the harness itself did not get that far
	log   []byte
	took  time.Duration
}

// patience is how long a run may wait for what must happen. A run with a mistake waits at each step for longer than the
// whole run without one took, so that a busy machine does not look like a mistake.
const patience = 30 * time.Second

func patienceAfter(sound time.Duration) time.Duration { return min(sound+2*time.Second, patience) }

// run plays a scenario with a mistake, or soundly with none.
func (b *bench) run(ctx context.Context, name string, bug failpoint.Bug, patience time.Duration) result {
	b.places <- struct{}{}
	defer func() { <-b.places }()
	began := time.Now()
	var r result
	if test, ok := strings.CutPrefix(name, "journal."); ok {
		r = b.runTest(ctx, test, bug, patience)
	} else {
		r = b.runWorld(ctx, scenarios[name], bug, patience)
	}
	r.took = time.Since(began)
	return r
}

// runTest plays a test of the journal as a scenario, on a disk that only such a test can have: its failure is what it has
// found.
func (b *bench) runTest(ctx context.Context, test string, bug failpoint.Bug, patience time.Duration) result {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.journal, "-test.run", "^"+test+"$", "-test.v")
	cmd.Env = append(os.Environ(), "LEADSTREAM_BUG="+string(bug))
	out, err := cmd.CombinedOutput()
	text := string(out)
	switch {
	case !strings.Contains(text, "=== RUN   "+strings.Split(test, "/")[0]):
		return result{broke: fmt.Errorf("no test %s: %w\n%s", test, errors.Join(err, ctx.Err()), out)}
	case ctx.Err() != nil:
		return result{found: fmt.Errorf("LATE: %s has not ended in good time", test)}
	case err != nil:
		return result{found: errors.New(firstFailure(text))}
	}
	return result{}
}

// firstFailure is the first line by which a test says what is wrong.
func firstFailure(out string) string {
	for line := range strings.Lines(out) {
		if file, text, ok := strings.Cut(line, ".go:"); ok && !strings.Contains(file, " /") {
			_, text, _ = strings.Cut(text, ": ")
			return strings.TrimSpace(text)
		}
	}
	return "the test fails"
}

// verdict is a seed after its two runs.
type verdict struct {
	seed
	sound, red result
}

func (v verdict) err() error {
	switch {
	case v.sound.broke != nil:
		return fmt.Errorf("without the mistake: %w", v.sound.broke)
	case v.sound.found != nil:
		return fmt.Errorf("found without the mistake: %w", v.sound.found)
	case v.red.broke != nil:
		return v.red.broke
	case v.red.found == nil:
		return errors.New("nothing found")
	case !strings.Contains(v.red.found.Error(), v.sees):
		return fmt.Errorf("%s was to be found, not: %w", v.sees, v.red.found)
	}
	return nil
}

// String is the line of one mistake.
func (v verdict) String() string {
	word, why := "caught", ""
	if err := v.err(); err != nil {
		word, why = "missed", err.Error()
	} else {
		why, _, _ = strings.Cut(v.red.found.Error(), "\n")
	}
	if runes := []rune(why); word == "caught" && len(runes) > 100 {
		why = string(runes[:99]) + "…"
	}
	return fmt.Sprintf("%s  %-19s by %-28s %4.1f s  %s", word, v.bug, v.scenario, v.red.took.Seconds(), why)
}

// Hunt looks for every mistake, says a line of each to out, and answers how many were missed.
func Hunt(ctx context.Context, out io.Writer) (missed int, err error) {
	dir, err := os.MkdirTemp("/tmp", "lsseed")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	b, err := newBench(ctx, dir)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(out, "built in %.0f s\n", time.Since(began).Seconds())
	return b.hunt(ctx, out), nil
}

func (b *bench) hunt(ctx context.Context, out io.Writer) (missed int) {
	redis.SetLogger(quiet{})
	began := time.Now()
	verdicts := b.judge(ctx, seeds)
	for i, v := range verdicts {
		if v.sound.found == nil && v.sound.broke == nil && v.err() != nil {
			// Some mistakes show in a moment, which a busy machine may let pass: once more, and alone.
			verdicts[i].red = b.run(ctx, v.scenario, v.bug, patienceAfter(v.sound.took))
		}
	}
	for _, v := range verdicts {
		fmt.Fprintln(out, v)
		if v.err() != nil {
			missed++
			fmt.Fprintf(out, "the log without the mistake ends:\n%s\nand with it:\n%s\n", v.sound.log, v.red.log)
		}
	}
	fmt.Fprintf(out, "%d of %d caught in %.0f s\n", len(verdicts)-missed, len(verdicts), time.Since(began).Seconds())
	return missed
}

// quiet drops go-redis's own lines: they come by the hundred while a Redis is away.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// judge runs each scenario soundly, and then with each of its mistakes.
func (b *bench) judge(ctx context.Context, seeds []seed) []verdict {
	by := map[string][]seed{}
	for _, s := range seeds {
		by[s.scenario] = append(by[s.scenario], s)
	}
	var mu sync.Mutex
	var verdicts []verdict
	var wg sync.WaitGroup
	for name, seeds := range by {
		wg.Go(func() {
			sound := b.run(ctx, name, "", patience)
			for _, s := range seeds {
				wg.Go(func() {
					v := verdict{seed: s, sound: sound, red: b.run(ctx, name, s.bug, patienceAfter(sound.took))}
					mu.Lock()
					defer mu.Unlock()
					verdicts = append(verdicts, v)
				})
			}
		})
	}
	wg.Wait()
	slices.SortFunc(verdicts, func(a, b verdict) int { return cmp.Compare(a.bug, b.bug) })
	return verdicts
}
