//go:build linux

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/schollz/progressbar/v3"

	"leadstream/daemon/proof"
	"leadstream/streams/failpoint"
)

// newBench builds the daemon for the proof.
func newBench(t *testing.T) *bench {
	t.Helper()
	binary, err := proof.Build(t.Context(), t.TempDir(), "torture")
	if err != nil {
		t.Fatal(err)
	}
	return &bench{binary: binary, parallel: 2, bar: progressbar.DefaultSilent(-1), reached: filepath.Join(t.TempDir(), "reached")}
}

// A slice of what a release takes: every moment once that is reached within a second, and each harm to Redis twice.
func TestSlice(t *testing.T) {
	b, kills, harmed := newBench(t), newTable("moment"), newTable("harm")
	var quick, forgetful, unordered []moment
	for _, m := range moments() {
		switch {
		case m.last:
			forgetful = append(forgetful, m)
		case m.unordered:
			unordered = append(unordered, m)
		case !m.seldom:
			quick = append(quick, m)
		}
	}
	var jobs []func(context.Context) error
	for part := range slices.Chunk(quick, (len(quick)+1)/2) {
		jobs = append(jobs, func(ctx context.Context) error { return b.killAt(ctx, kills, "together", part, len(part)) })
	}
	jobs = append(jobs, func(ctx context.Context) error { return b.killAt(ctx, kills, "forgetful", forgetful, 4) })
	jobs = append(jobs, func(ctx context.Context) error { return b.killAt(ctx, kills, "unordered", unordered, 4) })
	if err := b.each(t.Context(), jobs); err != nil {
		t.Error(err)
	}
	if err := redisFaults(t.Context(), b, harmed, 2*len(harms)); err != nil {
		t.Error(err)
	}
	t.Logf("\n%s\n%s", kills, harmed)
	for _, sum := range []proof.Verdict{kills.Sum, harmed.Sum} {
		if err := sum.Err(); err != nil {
			t.Error(err)
		}
	}
	// Reaching these takes seconds, two daemons or deleted entries.
	apart := []string{"tell.", "replay.", "reconcile.", "home.", "dead.", "lease.renewed"}
	text, err := os.ReadFile(b.reached)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range failpoint.Points {
		if slices.ContainsFunc(apart, func(a string) bool { return strings.HasPrefix(string(p), a) }) {
			continue
		}
		if !slices.Contains(strings.Fields(string(text)), string(p)) {
			t.Errorf("%s was never reached", p)
		}
	}
}

// What users run knows nothing of all this.
func TestReleaseHasNoFailpoints(t *testing.T) {
	for _, c := range []struct {
		tags []string
		want bool
	}{{nil, false}, {[]string{"torture"}, true}} {
		path, err := proof.Build(t.Context(), t.TempDir(), c.tags...)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range failpoint.Points {
			err := exec.Command("grep", "-qaF", string(p), path).Run()
			if found := err == nil; found != c.want {
				t.Errorf("tags %v: the binary has %s: %v, want %v", c.tags, p, found, c.want)
			}
		}
	}
}
