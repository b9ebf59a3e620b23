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

func TestBatchLiesTogether(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir, nil)
	var want []string
	var recs []Record
	for _, p := range numbered(600) { // more than a batch takes of single records
		recs, want = append(recs, Record{Type: 1, Payload: []byte(p)}), append(want, p)
	}
	ps, err := j.AppendBatch(recs)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range ps {
		if r, err := j.Read(p); err != nil || string(r.Payload) != want[i] || p.Segment != ps[0].Segment {
			t.Fatalf("%d: %v %v", i, p, err)
		}
	}
	if ps, err := j.AppendBatch(nil); ps != nil || err != nil {
		t.Errorf("nothing: %v, %v", ps, err)
	}
	if _, err := j.AppendBatch(make([]Record, 2000)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more than a segment: %v", err)
	}
	shut(t, j)
	_, got := open(t, dir, nil)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestGo(t *testing.T) {
	j, _ := open(t, t.TempDir(), nil)
	var wg sync.WaitGroup
	next := uint64(1) // done is called by one goroutine, in the order of Go
	for i, p := range numbered(1000) {
		wg.Add(1)
		j.Go(1, []byte(p), func(pos Pos, seq uint64, err error) {
			defer wg.Done()
			if err != nil || pos == (Pos{}) || seq != next || seq != uint64(i+1) {
				t.Errorf("record %d: seq %d at %v, %v", i, seq, pos, err)
			}
			next++
		})
	}
	wg.Wait()
}

// What one commit takes is written and synced once, however many wait.
func TestGroupCommit(t *testing.T) {
	var syncs int
	held := make(chan struct{})
	d := &badDisk{sync: func(string) error {
		if syncs++; syncs == 1 {
			<-held
		}
		return nil
	}}
	j, _ := open(t, t.TempDir(), func(o *Options) { o.disk = d })
	var wg sync.WaitGroup
	wg.Add(1 + batchRecords + 1)
	add := func(Pos, uint64, error) { wg.Done() }
	j.Go(1, nil, add)
	for j.since.Load() == 0 {
	}
	for range batchRecords + 1 {
		j.Go(1, nil, add)
	}
	close(held)
	wg.Wait()
	shut(t, j)
	if syncs != 1+1+1+1 {
		t.Errorf("%d syncs, want one for the first, one for a full batch, one for the rest and one for the seal", syncs)
	}
}

func TestRefused(t *testing.T) {
	j, _ := open(t, t.TempDir(), nil)
	if _, _, err := j.Append(1, make([]byte, 8<<10+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, _, err := j.Append(typeSeal, nil); err == nil {
		t.Error("the journal's own type was taken")
	}
	for _, p := range []Pos{{}, {Segment: 9, Offset: 36}, {Segment: 1, Offset: 3}, {Segment: 1, Offset: 36, Len: -1}} {
		if _, err := j.Read(p); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("read %v: %v", p, err)
		}
	}
	shut(t, j)
	if _, _, err := j.Append(1, nil); !errors.Is(err, ErrClosed) || !errors.Is(j.Healthy(), ErrClosed) {
		t.Errorf("closed: %v, %v", err, j.Healthy())
	}
	j.Go(1, nil, func(_ Pos, _ uint64, err error) {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
	if _, err := Open(Options{Dir: t.TempDir(), SegmentSize: 100}, nil); err == nil {
		t.Error("a segment smaller than a record was taken")
	}
	broken := errors.New("replay stops")
	dir, _ := write(t, "one")
	if _, err := Open(Options{Dir: dir}, func(Record) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("replay: %v", err)
	}
	open(t, dir, nil) // the lock is free again
}

func TestDrop(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir, nil)
	var ps []Pos
	for len(j.Segments()) < 5 {
		ps = append(ps, add(t, j, string(make([]byte, 8<<10)))...)
	}
	if err := j.Drop(4, func(n uint64) bool { return n != 2 }); err != nil {
		t.Fatal(err)
	}
	if err := j.Drop(99, func(n uint64) bool { return n == 5 }); err != nil { // being written
		t.Fatal(err)
	}
	var left []uint64
	for _, s := range j.Segments() {
		left = append(left, s.Number)
	}
	if d := cmp.Diff([]uint64{2, 4, 5}, left); d != "" || len(segmentFiles(t, dir)) != 3 {
		t.Error(d)
	}
	if _, err := j.Read(ps[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("read of a dropped record: %v", err)
	}
	add(t, j, "last")
	shut(t, j)
	if got, rep := scan(t, dir); len(rep.Damages) != 0 || got[len(got)-1] != "last" {
		t.Errorf("%+v", rep)
	}
}
