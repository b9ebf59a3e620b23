package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// open opens a small journal without a reserve; change may set more.
func open(t testing.TB, dir string, change func(*Options)) (*Journal, []string) {
	t.Helper()
	var got []string
	o := Options{Dir: dir, SegmentSize: 64 << 10, MaxRecord: 8 << 10, Reserve: -1}
	if change != nil {
		change(&o)
	}
	j, err := Open(o, func(r Record) error {
		got = append(got, string(r.Payload))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j, got
}

func add(t testing.TB, j *Journal, payloads ...string) (ps []Pos) {
	t.Helper()
	for _, p := range payloads {
		pos, _, err := j.Append(1, []byte(p))
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, pos)
	}
	return ps
}

func shut(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func numbered(n int) (s []string) {
	for i := range n {
		s = append(s, fmt.Sprintf("record %04d", i))
	}
	return s
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	var want []string
	var last uint64
	for run := range 3 {
		j, got := open(t, dir, nil)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("run %d: %s", run, d)
		}
		for i, p := range numbered(20) {
			pos, seq, err := j.Append(uint8(i), []byte(p))
			if err != nil || seq != last+1 {
				t.Fatalf("seq %d after %d: %v", seq, last, err)
			}
			last = seq
			r, err := j.Read(pos)
			if err != nil || string(r.Payload) != p || r.Type != uint8(i) || r.Seq != seq || r.Pos != pos || r.Time.IsZero() {
				t.Fatalf("read %v: %+v, %v", pos, r, err)
			}
			want = append(want, p)
		}
		shut(t, j)
	}
}

func TestManyWriters(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir, nil)
	var wg sync.WaitGroup
	var seen sync.Map
	for w := range 64 {
		wg.Go(func() {
			for i := range 20 {
				p := fmt.Sprintf("%d/%d %s", w, i, bytes.Repeat([]byte("x"), 100))
				pos, seq, err := j.Append(1, []byte(p))
				if err != nil {
					t.Error(err)
				}
				if _, dup := seen.LoadOrStore(seq, p); dup {
					t.Errorf("seq %d twice", seq)
				}
				if r, err := j.Read(pos); err != nil || string(r.Payload) != p {
					t.Errorf("%v: %v", pos, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(j.Segments()); n < 3 {
		t.Errorf("%d segments, want several", n)
	}
	shut(t, j)
	rep, err := Scan(dir, func(r Record) error {
		if p, ok := seen.Load(r.Seq); !ok || p != string(r.Payload) {
			t.Errorf("seq %d: %q", r.Seq, r.Payload)
		}
		return nil
	})
	if err != nil || rep.Records != 64*20 || len(rep.Damages) != 0 || rep.TornTails != 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir, nil)
	if _, err := Open(Options{Dir: dir}, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	shut(t, j)
	open(t, dir, nil)
}

func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	ids, _, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, id := range ids {
		paths = append(paths, filepath.Join(dir, id.name()))
	}
	return paths
}

func TestRestartsLeaveNoEmptySegments(t *testing.T) {
	dir := t.TempDir()
	for range 5 {
		j, _ := open(t, dir, nil)
		shut(t, j)
	}
	j, _ := open(t, dir, nil)
	add(t, j, "a")
	shut(t, j)
	for range 5 {
		j, _ := open(t, dir, nil)
		shut(t, j)
	}
	if n := len(segmentFiles(t, dir)); n != 2 {
		t.Errorf("%d segments, want the written one and an empty one", n)
	}
	os.Remove(segmentFiles(t, dir)[0])
	j, _ = open(t, dir, nil)
	if _, seq, _ := j.Append(1, nil); seq != 2 {
		t.Errorf("seq %d after everything was dropped, want 2", seq)
	}
}
