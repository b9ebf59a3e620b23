//go:build linux

package seeded

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"leadstream/daemon/proof"
	"leadstream/streams/failpoint"
)

var dir string // of the binaries, for all tests

var built = sync.OnceValues(func() (*bench, error) { return newBench(context.Background(), dir) })

func TestMain(m *testing.M) {
	var err error
	if dir, err = os.MkdirTemp("/tmp", "lsseed"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// A harness that cannot fail proves nothing: with each mistake, it does.
func TestEveryMistakeIsCaught(t *testing.T) {
	t.Parallel()
	b, err := built()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	missed := b.hunt(t.Context(), &out)
	t.Logf("\n%s", &out)
	if missed > 0 {
		t.Errorf("%d missed", missed)
	}
	if len(seeds) < 15 {
		t.Errorf("%d mistakes are too few", len(seeds))
	}
}

// A verdict must be able to say missed.
func TestVerdict(t *testing.T) {
	found := func(s string) result { return result{found: fmt.Errorf("%s", s)} }
	broke := result{broke: context.DeadlineExceeded}
	for name, c := range map[string]struct {
		sound, red result
		want       string
	}{
		"caught":                       {result{}, found("LOST: one"), "caught"},
		"nothing found":                {result{}, result{}, "missed"},
		"red for another reason":       {result{}, found("DOUBLED: one"), "missed"},
		"red without the mistake":      {found("LOST: one"), found("LOST: one"), "missed"},
		"the harness failed":           {result{}, broke, "missed"},
		"it failed before the mistake": {broke, found("LOST: one"), "missed"},
	} {
		t.Run(name, func(t *testing.T) {
			v := verdict{seed: seed{failpoint.NoLook, "the answer is lost", "LOST"}, sound: c.sound, red: c.red}
			if got := v.String(); !strings.HasPrefix(got, c.want+" ") {
				t.Errorf("got %q, want %s", got, c.want)
			}
		})
	}
}

// The binary that people get cannot make these mistakes: it does not even know their names.
func TestReleaseKnowsNoMistake(t *testing.T) {
	t.Parallel()
	proofs, err := built()
	if err != nil {
		t.Fatal(err)
	}
	release, err := proof.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	holds := func(binary string) (names []failpoint.Bug) {
		b, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range append(seeds, seed{bug: "LEADSTREAM_BUG"}, seed{bug: "LEADSTREAM_FAILPOINT"}) {
			if bytes.Contains(b, []byte(s.bug)) {
				names = append(names, s.bug)
			}
		}
		return names
	}
	if names := holds(release); len(names) > 0 {
		t.Errorf("the release holds %v", names)
	}
	// Names of a few bytes are compared as numbers, and stand in no binary.
	if got, least := len(holds(proofs.daemon)), len(seeds)*3/4; got < least {
		t.Errorf("the build for the proof holds %d names, want %d or more", got, least)
	}
}
