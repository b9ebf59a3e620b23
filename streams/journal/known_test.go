package journal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// knownJournal is a closed journal of a few segments, as its reader remembers it.
func knownJournal(t *testing.T) (dir string, known []Known, first Pos) {
	t.Helper()
	dir = t.TempDir()
	j, _ := open(t, dir, nil)
	for i := range 40 {
		pos := add(t, j, strings.Repeat("x", 8000))
		if i == 0 {
			first = pos[0]
		}
	}
	shut(t, j)
	j, _ = open(t, dir, nil)
	known, err := j.Known()
	if err != nil || len(known) < 5 {
		t.Fatalf("%d segments known, %v", len(known), err)
	}
	shut(t, j)
	return dir, known, first
}

func remembering(known []Known) func(*Options) {
	return func(o *Options) { o.Known = func() []Known { return known } }
}

func TestKnownSegmentsAreNotReplayed(t *testing.T) {
	dir, known, first := knownJournal(t)
	plain, all := open(t, dir, nil)
	want := plain.Segments()
	shut(t, plain)
	fit, ok := Fits(dir, known[:3])
	if !ok {
		t.Fatal("the journal does not fit what is known of it")
	}
	j, got := open(t, dir, remembering(fit))
	replayed := 0
	for _, k := range fit {
		replayed += k.Records
	}
	if len(got) != len(all)-replayed {
		t.Errorf("%d records replayed, want %d", len(got), len(all)-replayed)
	}
	if diff := cmp.Diff(want[:len(want)-1], j.Segments()[:len(want)-1]); diff != "" {
		t.Errorf("segments:\n%s", diff)
	}
	if _, err := j.Read(first); err != nil {
		t.Error(err)
	}
	n := 0
	if err := j.Replay(fit[1].Number(), func(Record) error { n++; return nil }); err != nil || n != fit[1].Records {
		t.Errorf("%d records of a known segment, want %d: %v", n, fit[1].Records, err)
	}
	if err := j.Drop(3, func(uint64) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if rest, ok := Fits(dir, known); !ok || len(rest) != len(known)-2 {
		t.Errorf("without the first two: %d, %v", len(rest), ok)
	}
}

// All that is known is known: seq goes on behind it although nothing was read.
func TestSeqGoesOnBehindKnownSegments(t *testing.T) {
	dir, known, _ := knownJournal(t)
	j, _ := open(t, dir, remembering(known))
	_, seq, err := j.Append(1, []byte("next"))
	if last := known[len(known)-1].Last; err != nil || seq != last+1 {
		t.Errorf("seq %d behind %d, %v", seq, last, err)
	}
}

func TestFits(t *testing.T) {
	for name, harm := range map[string]func(path string, b []byte) error{
		"cut":         func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)-1], 0o600) },
		"longer":      func(path string, b []byte) error { return os.WriteFile(path, append(b, 0), 0o600) },
		"tail zeroed": func(path string, b []byte) error { clear(b[len(b)-300:]); return os.WriteFile(path, b, 0o600) },
		"gone":        func(path string, b []byte) error { return os.Remove(path) },
		"renamed": func(path string, b []byte) error {
			return os.Rename(path, strings.Replace(path, "-0000000000010000", "-0000000000010001", 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, known, _ := knownJournal(t)
			path := filepath.Join(dir, known[2].Name)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := harm(path, b); err != nil {
				t.Fatal(err)
			}
			if _, ok := Fits(dir, known); ok {
				t.Error("it still fits")
			}
		})
	}
	_, known, _ := knownJournal(t)
	other, _, _ := knownJournal(t)
	if _, ok := Fits(other, known); ok {
		t.Error("another journal fits")
	}
}

// Damage in the middle of a segment that nobody reads at the start is found by Check, and treated as Open would.
func TestCheckFindsDamage(t *testing.T) {
	dir, known, _ := knownJournal(t)
	path := filepath.Join(dir, known[1].Name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/3] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var faults []error
	j, _ := open(t, dir, func(o *Options) {
		remembering(known)(o)
		o.OnFault = func(err error) { faults = append(faults, err) }
	})
	for _, k := range known {
		if err := j.Check(k.Number()); err != nil {
			t.Fatal(err)
		}
	}
	if len(faults) != 1 || !errors.Is(faults[0], ErrDamaged) {
		t.Fatalf("faults: %v", faults)
	}
	if kept, _ := os.ReadDir(filepath.Join(dir, quarantine)); len(kept) != 1 {
		t.Errorf("%d copies in quarantine", len(kept))
	}
	if err := j.Drop(100, func(uint64) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(j.Segments(), func(s SegmentInfo) bool { return s.Number == known[1].Number() && s.Damaged }) {
		t.Error("the damaged segment was dropped")
	}
	if now, err := j.Known(); err != nil || len(now) != 0 {
		t.Errorf("%d segments from a damaged one on are known, %v", len(now), err)
	}
}

// Replay and Check tell what they could not read, also where it looks like space that was not used yet.
func TestReplayMissesNothingInSilence(t *testing.T) {
	dir, w := write(t, "one", "two", "three")
	put(t, w.path, w.crashed(w.lastEnd()-1))
	var faults []error
	j, _ := open(t, dir, func(o *Options) { o.OnFault = func(err error) { faults = append(faults, err) } })
	var got []string
	replay := func() error {
		got = nil
		return j.Replay(1, func(r Record) error { got = append(got, string(r.Payload)); return nil })
	}
	if err := replay(); err != nil || len(got) != 2 {
		t.Errorf("%q, %v", got, err)
	}
	put(t, w.path, w.crashed(w.ends[0]))
	if err := replay(); !errors.Is(err, ErrDamaged) || len(got) != 1 {
		t.Errorf("%q, %v, want the first one and what is missing", got, err)
	}
	if err := j.Check(1); err != nil || len(faults) != 1 {
		t.Fatalf("faults: %v, %v", faults, err)
	}
	if d, ok := faults[0].(Damage); !ok || d.Lost != 1 || !j.Segments()[0].Damaged {
		t.Errorf("%+v, want one record lost", faults[0])
	}
}
