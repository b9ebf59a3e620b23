//go:build linux

package seeded

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"leadstream/daemon/proof"
	"leadstream/streams/failpoint"
)

// A harness that cannot fail proves nothing: with each mistake, it does.
func TestEveryMistakeIsCaught(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	missed, err := Hunt(t.Context(), &out)
	t.Logf("\n%s", &out)
	if err != nil || missed > 0 {
		t.Errorf("%d missed, %v", missed, err)
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
	holds := func(tags ...string) (names []failpoint.Bug) {
		binary, err := proof.Build(t.Context(), t.TempDir(), tags...)
		if err != nil {
			t.Fatal(err)
		}
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
	if names := holds(); len(names) > 0 {
		t.Errorf("the release holds %v", names)
	}
	// Names of a few bytes are compared as numbers, and stand in no binary.
	if got, least := len(holds("torture")), len(seeds)*3/4; got < least {
		t.Errorf("the build for the proof holds %d names, want %d or more", got, least)
	}
}
