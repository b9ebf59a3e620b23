package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// badDisk is the real one, which fails where a test says so.
type badDisk struct {
	realDisk
	sync      func(path string) error
	write     func(path string, b []byte) (int, error) // how much of b to write, then the error
	make      func(path string) error
	free      atomic.Int64 // 0 is as much as there is
	synced    sync.Map     // paths whose sync has failed
	settled   []string
	unsettled error
}

type badFile struct {
	file
	path string
	d    *badDisk
}

func (d *badDisk) open(path string) (file, error) {
	f, err := d.realDisk.open(path)
	return badFile{f, path, d}, err
}

func (d *badDisk) create(path string, size int64) error {
	if d.make != nil {
		if err := d.make(path); err != nil {
			return err
		}
	}
	return d.realDisk.create(path, size)
}

func (d *badDisk) space(dir string) (free, total int64, err error) {
	if n := d.free.Load(); n > 0 {
		return n, 1 << 40, nil
	}
	return d.realDisk.space(dir)
}

func (d *badDisk) settle(path string) error {
	d.settled = append(d.settled, filepath.Base(path))
	return errors.Join(d.unsettled, d.realDisk.settle(path))
}

func (f badFile) WriteAt(b []byte, off int64) (int, error) {
	if f.d.write != nil {
		if n, err := f.d.write(f.path, b); err != nil {
			f.file.WriteAt(b[:n], off)
			return n, err
		}
	}
	return f.file.WriteAt(b, off)
}

func (f badFile) Datasync() error {
	if f.d.sync != nil {
		if err := f.d.sync(f.path); err != nil {
			if _, again := f.d.synced.LoadOrStore(f.path, true); again {
				panic("a second fsync after one has failed")
			}
			return err
		}
	}
	return f.file.Datasync()
}

// failOnce gives err to the n-th call only.
func failOnce(n int32, err error) func() error {
	var calls atomic.Int32
	return func() error {
		if calls.Add(1) == n {
			return err
		}
		return nil
	}
}

func TestPoisonedSegment(t *testing.T) {
	tests := map[string]struct {
		disk   func() *badDisk
		replay []string // what a later Open may find besides
	}{
		"fsync fails": {func() *badDisk {
			once := failOnce(2, syscall.EIO)
			return &badDisk{sync: func(string) error { return once() }}
		}, []string{"one", "refused", "three"}},
		"write fails": {func() *badDisk {
			once := failOnce(2, syscall.EIO)
			return &badDisk{write: func(string, []byte) (int, error) { return 0, once() }}
		}, []string{"one", "three"}},
		"write is short": {func() *badDisk {
			once := failOnce(2, syscall.EIO)
			return &badDisk{write: func(_ string, b []byte) (int, error) { return len(b) - 1, once() }}
		}, []string{"one", "three"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var faults []error
			j, _ := open(t, dir, func(o *Options) {
				o.disk, o.OnFault = tt.disk(), func(err error) { faults = append(faults, err) }
			})
			first := add(t, j, "one")[0]
			_, _, err := j.Append(1, []byte("refused"))
			if !errors.Is(err, ErrPoisoned) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("append: %v", err)
			}
			third := add(t, j, "three")[0]
			if err := j.Healthy(); err != nil {
				t.Errorf("still not healthy: %v", err)
			}
			if third.Segment == first.Segment {
				t.Error("the poisoned segment was written again")
			}
			if r, err := j.Read(first); err != nil || string(r.Payload) != "one" {
				t.Errorf("read before the fault: %v", err)
			}
			if s := j.Segments()[0]; !s.Poisoned || !s.Closed || s.Damaged {
				t.Errorf("%+v", s)
			}
			shut(t, j)
			if len(faults) != 1 {
				t.Errorf("faults %v", faults)
			}
			if got, rep := scan(t, dir); cmp.Diff(tt.replay, got) != "" || len(rep.Damages) > 0 {
				t.Errorf("%q %+v", got, rep)
			}
		})
	}
}

// While nothing can be written, every append says so and Healthy too, and tries do not fill the disk with segments.
func TestDeadDisk(t *testing.T) {
	dir := t.TempDir()
	var dead atomic.Bool
	d := &badDisk{sync: func(string) error {
		if dead.Load() {
			return syscall.EIO
		}
		return nil
	}}
	j, _ := open(t, dir, func(o *Options) { o.disk = d })
	add(t, j, "one")
	dead.Store(true)
	for range 50 {
		if _, _, err := j.Append(1, []byte("refused")); !errors.Is(err, ErrPoisoned) {
			t.Fatalf("append: %v", err)
		}
	}
	if err := j.Healthy(); !errors.Is(err, ErrPoisoned) {
		t.Errorf("healthy: %v", err)
	}
	if n := len(segmentFiles(t, dir)); n > 2 {
		t.Errorf("%d segments", n)
	}
	dead.Store(false)
	j.mu.Lock()
	j.nextTry = j.nextTry.Add(-maxBackoff)
	j.mu.Unlock()
	for j.Healthy() != nil { // the tick revives it without traffic
		if _, _, err := j.Append(1, []byte("two")); err == nil {
			break
		}
	}
	shut(t, j)
}

// A disk that takes the probe but no record does not get a new segment for every append.
func TestFlappingDisk(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir, func(o *Options) {
		o.disk = &badDisk{write: func(_ string, b []byte) (int, error) {
			if len(b) > headerSize {
				return 0, syscall.EIO
			}
			return len(b), nil
		}}
	})
	for range 50 {
		if _, _, err := j.Append(1, []byte("refused")); !errors.Is(err, ErrPoisoned) {
			t.Fatalf("append: %v", err)
		}
	}
	if n := len(segmentFiles(t, dir)); n > 3 {
		t.Errorf("%d segments", n)
	}
}

// What a killed process has written and not synced must be synced before it is replayed.
func TestOpenSettlesWhatWasNotClosed(t *testing.T) {
	dir, w := write(t, "one")
	d := &badDisk{}
	j, _ := open(t, dir, func(o *Options) { o.disk = d })
	shut(t, j)
	if len(d.settled) > 0 {
		t.Errorf("a segment with a seal was settled: %q", d.settled)
	}
	put(t, w.path, append(w.data[:w.lastEnd()], make([]byte, 4096)...))
	for _, f := range segmentFiles(t, dir)[1:] {
		os.Remove(f)
	}
	j, _ = open(t, dir, func(o *Options) { o.disk = d })
	shut(t, j)
	if d := cmp.Diff([]string{filepath.Base(w.path)}, d.settled); d != "" {
		t.Error(d)
	}
}

func TestReserveIsForOutcomes(t *testing.T) {
	const accept, outcome = 1, 2
	d := &badDisk{}
	var faults atomic.Int32
	j, _ := open(t, t.TempDir(), func(o *Options) {
		o.disk, o.Reserve, o.Essential = d, 1<<20, func(typ uint8) bool { return typ == outcome }
		o.OnFault = func(error) { faults.Add(1) }
	})
	d.free.Store(1<<20 + 1)
	if _, _, err := j.Append(accept, nil); err != nil {
		t.Errorf("with enough space: %v", err)
	}
	d.free.Store(1<<20 - 1)
	for range 3 {
		if _, _, err := j.Append(accept, nil); !errors.Is(err, ErrFull) {
			t.Errorf("below the reserve: %v", err)
		}
	}
	if _, _, err := j.Append(outcome, nil); err != nil {
		t.Errorf("outcome below the reserve: %v", err)
	}
	if _, err := j.AppendBatch([]Record{{Type: outcome}, {Type: accept}}); !errors.Is(err, ErrFull) {
		t.Errorf("mixed batch: %v", err)
	}
	if err := j.Healthy(); !errors.Is(err, ErrFull) {
		t.Errorf("healthy: %v", err)
	}
	d.free.Store(0)
	if _, _, err := j.Append(accept, nil); err != nil || j.Healthy() != nil {
		t.Errorf("space again: %v, %v", err, j.Healthy())
	}
	if faults.Load() != 1 {
		t.Errorf("told %d times", faults.Load())
	}
}

// fullDisk is a directory on a disk that is full but for what the journal holds already: a real one for root, else one
// that says so.
func fullDisk(t *testing.T) (dir string, d *badDisk, fill, free func()) {
	t.Helper()
	dir, d = t.TempDir(), &badDisk{}
	if os.Geteuid() != 0 {
		var full atomic.Bool
		d.make = func(string) error {
			if full.Load() {
				return syscall.ENOSPC
			}
			return nil
		}
		return dir, d, func() { full.Store(true) }, func() { full.Store(false) }
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	filler := filepath.Join(dir, "filler")
	return dir, d, func() {
			f, err := os.Create(filler)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, err := f.Write(make([]byte, 4096)); err == nil; {
				_, err = f.Write(make([]byte, 4096))
			}
		}, func() {
			if err := os.RemoveAll(filler); err != nil {
				t.Fatal(err)
			}
		}
}

func TestDiskFull(t *testing.T) {
	const accept, outcome = 1, 2
	dir, d, fill, free := fullDisk(t)
	change := func(o *Options) { o.disk, o.Essential = d, func(typ uint8) bool { return typ == outcome } }
	j, _ := open(t, dir, change)
	for _, err := os.Stat(filepath.Join(dir, spareName)); err != nil; {
		_, err = os.Stat(filepath.Join(dir, spareName))
	}
	fill()
	payload := []byte(strings.Repeat("o", 4000))
	kept, last := 0, error(nil)
	for last == nil {
		if _, _, last = j.Append(outcome, payload); last == nil {
			kept++
		}
	}
	if room := 2 * (64 << 10) / (4000 + headerSize); kept != room-room%2 {
		t.Errorf("%d outcomes were written on a full disk, want the segment and the spare full", kept)
	}
	if _, _, err := j.Append(accept, nil); !errors.Is(err, ErrFull) || !errors.Is(last, ErrFull) {
		t.Errorf("accept: %v, outcome: %v", err, last)
	}
	if err := j.Healthy(); !errors.Is(err, ErrFull) {
		t.Errorf("healthy: %v", err)
	}
	shut(t, j)

	j, got := open(t, dir, change)
	if len(got) != kept {
		t.Errorf("%d records are read on a full disk, want %d", len(got), kept)
	}
	if err := j.Healthy(); !errors.Is(err, ErrFull) {
		t.Errorf("open on a full disk: %v", err)
	}
	free()
	for j.Healthy() != nil { // the tick finds the space
		if _, _, err := j.Append(accept, nil); err == nil {
			kept++
		}
	}
	shut(t, j)
	if got, rep := scan(t, dir); len(got) != kept || len(rep.Damages) > 0 || rep.TornTails > 0 {
		t.Errorf("%d of %d, %+v", len(got), kept, rep)
	}
}

// TestKill kills a writer with SIGKILL and expects every record whose Append had returned.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]bool{}
	for run := range 4 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), "JOURNAL_WRITER="+dir, fmt.Sprint("JOURNAL_RUN=", run))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 100+run*37 {
				cmd.Process.Kill()
			}
			if line, whole := strings.CutSuffix(lines.Text(), "!"); whole {
				acked[line] = true
			}
		}
		cmd.Wait()
	}
	j, got := open(t, dir, nil)
	defer j.Close()
	seen := map[string]bool{}
	for _, p := range got {
		if seen[p] {
			t.Errorf("%s twice", p)
		}
		seen[p] = true
		delete(acked, p)
	}
	if len(acked) > 0 || len(got) < 400 {
		t.Errorf("%d lost of %d", len(acked), len(got))
	}
}

func TestMain(m *testing.M) {
	if dir := os.Getenv("JOURNAL_WRITER"); dir != "" {
		j, err := Open(Options{Dir: dir, SegmentSize: 64 << 10, MaxRecord: 8 << 10, Reserve: -1}, nil)
		if err != nil {
			panic(err)
		}
		for w := range 8 {
			go func() {
				for i := 0; ; i++ {
					p := fmt.Sprintf("%s/%d/%d", os.Getenv("JOURNAL_RUN"), w, i)
					if _, _, err := j.Append(1, []byte(p)); err != nil {
						panic(err)
					}
					os.Stdout.WriteString(p + "!\n")
				}
			}()
		}
		select {}
	}
	os.Exit(m.Run())
}

// A segment that was never written serves again when the disk has no room for another, and keeps seq going.
func TestEmptySegmentServesOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	d := &badDisk{}
	outcomes := func(o *Options) { o.disk, o.Essential = d, func(uint8) bool { return true } }
	j, _ := open(t, dir, outcomes)
	add(t, j, "one")
	shut(t, j)
	j, _ = open(t, dir, outcomes)
	shut(t, j)
	for _, path := range []string{segmentFiles(t, dir)[0], filepath.Join(dir, spareName)} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	d.make = func(string) error { return syscall.ENOSPC }
	j, _ = open(t, dir, outcomes)
	if _, seq, err := j.Append(1, nil); seq != 2 || err != nil {
		t.Errorf("seq %d, %v", seq, err)
	}
	for j.Healthy() == nil { // until the lack of a spare has been noticed
		add(t, j, "outcome")
	}
	if err := j.Healthy(); !errors.Is(err, ErrFull) {
		t.Errorf("healthy without a spare: %v", err)
	}
}

func TestOpenSaysWhatItCannotDo(t *testing.T) {
	tests := map[string]error{"no right to create": syscall.EACCES, "read-only": syscall.EROFS}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := &badDisk{make: func(string) error { return want }}
			if _, err := Open(Options{Dir: dir, disk: d}, nil); !errors.Is(err, want) {
				t.Errorf("got %v", err)
			}
			open(t, dir, nil) // the lock is free again
		})
	}
}

func TestSettleFails(t *testing.T) {
	dir, w := write(t, "one")
	left := w.crashed(w.lastEnd())
	put(t, w.path, left)
	var faults []error
	_, got := open(t, dir, func(o *Options) {
		o.disk = &badDisk{unsettled: syscall.EIO}
		o.OnFault = func(err error) { faults = append(faults, err) }
	})
	if len(faults) != 1 || !errors.Is(faults[0], syscall.EIO) || len(got) != 1 {
		t.Errorf("%v, %q", faults, got)
	}
	if !bytes.Equal(read(t, w.path), left) {
		t.Error("a file whose sync has failed was written again")
	}
}

// A segment that a crash has left is ended by the next Open: what happens to its last record after that is no torn tail.
func TestOpenSealsWhatACrashHasLeft(t *testing.T) {
	dir, w := write(t, "one", "two")
	put(t, w.path, w.crashed(w.lastEnd()))
	j, got := open(t, dir, nil)
	shut(t, j)
	b := read(t, w.path)
	if len(got) != 2 || len(b) != len(w.data) || !sealed(w.path, w.id) {
		t.Fatalf("%q, %d bytes, sealed %v", got, len(b), sealed(w.path, w.id))
	}
	put(t, w.path, append(b, make([]byte, 100)...)) // a crash between the seal and the cut
	j, got = open(t, dir, nil)
	shut(t, j)
	if !bytes.Equal(read(t, w.path), b) || len(got) != 2 {
		t.Errorf("%q, %d bytes, want %d", got, len(read(t, w.path)), len(b))
	}
	b[w.lastEnd()-1] ^= 1
	put(t, w.path, b)
	if got, rep := scan(t, dir); len(got) != 1 || len(rep.Damages) != 1 || rep.Damages[0].Lost != 1 || rep.TornTails != 0 {
		t.Errorf("%q %+v", got, rep)
	}
}

func TestStalledDisk(t *testing.T) {
	held, long := make(chan struct{}), time.Now().Add(-stallAfter-time.Second).UnixNano()
	j, _ := open(t, t.TempDir(), func(o *Options) {
		o.disk = &badDisk{sync: func(string) error { <-held; return nil }}
	})
	j.Go(1, nil, func(Pos, uint64, error) {})
	for j.since.Load() == 0 {
		runtime.Gosched()
	}
	j.since.Store(long)
	if err := j.Healthy(); !errors.Is(err, ErrStalled) {
		t.Errorf("a commit that takes long: %v", err)
	}
	close(held)
}

func TestFillZeros(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := fillZeros(f, 1<<20+5); err != nil {
		t.Fatal(err)
	}
	if b := read(t, f.Name()); len(b) != 1<<20+5 || len(bytes.Trim(b, "\x00")) > 0 {
		t.Errorf("%d bytes", len(b))
	}
}
