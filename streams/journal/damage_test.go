package journal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// written is one segment file closed in order, with what it holds and where.
type written struct {
	path     string
	id       identity
	data     []byte
	payloads []string
	ends     []int64 // behind each record
}

func write(t testing.TB, payloads ...string) (dir string, w written) {
	t.Helper()
	dir = t.TempDir()
	j, _ := open(t, dir, nil)
	for _, p := range add(t, j, payloads...) {
		w.ends = append(w.ends, p.Offset+int64(p.Len))
	}
	shut(t, j)
	w.path, w.payloads = segmentFiles(t, dir)[0], payloads
	w.id, _ = parseName(filepath.Base(w.path))
	w.data = read(t, w.path)
	return dir, w
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func scan(t testing.TB, dir string) (got []string, rep Report) {
	t.Helper()
	rep, err := Scan(dir, func(r Record) error {
		got = append(got, string(r.Payload))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, rep
}

// without is the payloads less those that overlap the bytes from..to or from2..to2.
func (w written) without(from, to int64, more ...int64) (kept []string) {
	start := int64(0)
	for i, end := range w.ends {
		hit := end > from && start < to || len(more) == 2 && end > more[0] && start < more[1]
		if !hit {
			kept = append(kept, w.payloads[i])
		}
		start = end
	}
	return kept
}

// lastEnd is where the seal begins.
func (w written) lastEnd() int64 { return w.ends[len(w.ends)-1] }

// crashed is the file as a crash leaves it when the first n bytes had reached the disk.
func (w written) crashed(n int64) []byte {
	return append(slices.Clone(w.data[:n]), make([]byte, w.id.full-n)...)
}

func TestEveryFlippedBitCostsItsRecordAndIsReported(t *testing.T) {
	dir, w := write(t, "one", "", "three three", strings.Repeat("four", 30), "\xf5LSJ\x01", "six")
	f, err := os.OpenFile(w.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for at := range int64(len(w.data)) {
		want := w.without(at, at+1)
		for bit := range 8 {
			f.WriteAt([]byte{w.data[at] ^ 1<<bit}, at)
			got, rep := scan(t, dir)
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("byte %d bit %d: %s", at, bit, d)
			}
			if at < w.lastEnd() && (len(rep.Damages) != 1 || rep.Damages[0].Lost != 1) {
				t.Fatalf("byte %d bit %d: %+v", at, bit, rep)
			}
		}
		f.WriteAt(w.data[at:at+1], at)
	}
}

func TestEveryTornTailKeepsWhatIsWhole(t *testing.T) {
	dir, w := write(t, "one", "two", strings.Repeat("three", 20), "four")
	for n := range int64(len(w.data)) {
		for _, cut := range []bool{true, false} {
			if put(t, w.path, w.crashed(n)); cut {
				put(t, w.path, w.data[:n])
			}
			at := n
			for !cut && at < int64(len(w.data)) && w.data[at] == 0 {
				at++ // a zero that was not written is a zero all the same
			}
			got, rep := scan(t, dir)
			whole := slices.DeleteFunc(slices.Clone(w.ends), func(end int64) bool { return end > at })
			if d := cmp.Diff(w.payloads[:len(whole)], got, cmp.Transformer("", func(s []string) int { return len(s) })); d != "" {
				t.Fatalf("ends at %d: %s", n, d)
			}
			// A crash does not shorten a file: one that ends early has lost bytes.
			damages, torn := 0, 0
			if cut {
				damages = 1
			} else if !slices.Contains(append(w.ends, 0, int64(len(w.data))), at) {
				torn = 1
			}
			if len(rep.Damages) != damages || rep.TornTails != torn {
				t.Fatalf("ends at %d, cut %v: %+v", n, cut, rep)
			}
		}
	}
}

func TestDamage(t *testing.T) {
	var many []string
	for _, s := range numbered(200) {
		many = append(many, s+strings.Repeat(".", 60))
	}
	dir, w := write(t, many...)
	tests := map[string]struct {
		change  func(b []byte) []byte
		want    []string
		damages int
		torn    int
	}{
		"whole":         {func(b []byte) []byte { return b }, many, 0, 0},
		"zeroed page":   {func(b []byte) []byte { clear(b[4096:8192]); return b }, w.without(4096, 8192), 1, 0},
		"zeroed begin":  {func(b []byte) []byte { clear(b[:4096]); return b }, w.without(0, 4096), 1, 0},
		"two stretches": {func(b []byte) []byte { clear(b[100:200]); clear(b[9000:9001]); b[9000] ^= 1; return b }, w.without(100, 200, 9000, 9001), 2, 0},
		"junk page":     {func(b []byte) []byte { copy(b[4096:8192], bytes.Repeat([]byte("LSJ\xf5"), 1024)); return b }, w.without(4096, 8192), 1, 0},
		"junk tail":     {func(b []byte) []byte { return append(b, strings.Repeat("junk", 999)...) }, many, 1, 0},
		"zeros tail":    {func(b []byte) []byte { return append(b, make([]byte, 9999)...) }, many, 0, 0},
		"doubled":       {func(b []byte) []byte { return append(b, b...) }, many, 1, 0},
		"page moved":    {func(b []byte) []byte { copy(b[8192:12288], b[4096:8192]); return b }, w.without(8192, 12288), 1, 0},
		"4 bytes in":    {func(b []byte) []byte { return slices.Insert(b, int(w.ends[99]), 1, 2, 3, 4) }, many[:100], 1, 0},
		"hole":          {func(b []byte) []byte { return slices.Delete(b, int(w.ends[99]), int(w.ends[100])) }, many[:100], 1, 0},
		"seal cut off":  {func(b []byte) []byte { return b[:w.lastEnd()] }, many, 1, 0},
		"seal broken":   {func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, many, 1, 0},
		"last zeroed":   {func(b []byte) []byte { clear(b[w.ends[198]:]); return b }, many[:199], 1, 0},
		"crashed":       {func(b []byte) []byte { return w.crashed(w.lastEnd()) }, many, 0, 0},
		"all zeros":     {func(b []byte) []byte { clear(b); return b }, nil, 1, 0},
		"empty":         {func(b []byte) []byte { return nil }, nil, 1, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			put(t, w.path, tt.change(slices.Clone(w.data)))
			got, rep := scan(t, dir)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if len(rep.Damages) != tt.damages || rep.TornTails != tt.torn {
				t.Errorf("%+v", rep)
			}
		})
	}
}

// record is a whole record for a segment and an offset.
func record(seed uint32, off int64, seq uint64, payload string) []byte {
	h := header{typ: 1, size: uint32(len(payload)), sum: crc32.Checksum([]byte(payload), castagnoli), seq: seq}
	return append(h.appendTo(nil, seed, off), payload...)
}

// A sender may send us our own files. Damage to the record that carries them must not set free what is inside.
func TestRecordsInsidePayloadsAreNotRecords(t *testing.T) {
	_, other := write(t, "fake one", "fake two")
	seed := other.id.seed()
	payloads := map[string]func(mine uint32) []byte{
		"another segment":                func(uint32) []byte { return other.data },
		"a record for its very place":    func(uint32) []byte { return record(seed, headerSize, 50, "evil") },
		"this segment, offset 0":         func(mine uint32) []byte { return record(mine, 0, 50, "evil") },
		"this segment, offset after":     func(mine uint32) []byte { return record(mine, 2*headerSize+4, 50, "evil") },
		"this segment, many":             func(mine uint32) []byte { return bytes.Repeat(record(mine, 7, 50, "evil"), 99) },
		"its own place, should it guess": func(mine uint32) []byte { return append([]byte("pad "), record(mine, headerSize+4, 50, "evil")...) },
	}
	for name, payload := range payloads {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j, _ := open(t, dir, nil)
			add(t, j, string(payload(j.cur.seed)), "after")
			shut(t, j)
			path := segmentFiles(t, dir)[0]
			b := read(t, path)
			for _, at := range []int{2, 9, 20, 33, headerSize} { // magic, length, seq, checksum, payload
				if strings.HasPrefix(name, "its own") && at < headerSize {
					continue // a sound header is what protects the payload here
				}
				bad := slices.Clone(b)
				bad[at] ^= 0x10
				put(t, path, bad)
				got, rep := scan(t, dir)
				if d := cmp.Diff([]string{"after"}, got); d != "" || len(rep.Damages) != 1 {
					t.Errorf("byte %d: %+v %s", at, rep, d)
				}
			}
		})
	}
}

func TestSeqIsNeverTakenTwice(t *testing.T) {
	seqs := []uint64{4, 5, 5, 6, 3, 7}
	id := identity{number: 1, after: 4, full: int64(len(seqs) * (headerSize + 1))}
	var b []byte
	for i, seq := range seqs {
		b = append(b, record(id.seed(), int64(len(b)), seq, fmt.Sprint(i))...)
	}
	dir := t.TempDir()
	put(t, filepath.Join(dir, id.name()), b)
	got, rep := scan(t, dir)
	if d := cmp.Diff([]string{"1", "3", "5"}, got); d != "" || len(rep.Damages) != 3 {
		t.Errorf("%+v %s", rep, d)
	}
}

func TestOpenKeepsDamagedBytesAside(t *testing.T) {
	dir, w := write(t, "one", "two", "three")
	w.data[w.ends[0]+headerSize] ^= 1
	put(t, w.path, w.data)
	for range 2 {
		var faults []error
		j, got := open(t, dir, func(o *Options) { o.OnFault = func(err error) { faults = append(faults, err) } })
		if d := cmp.Diff([]string{"one", "three"}, got); d != "" {
			t.Error(d)
		}
		var dmg Damage
		if len(faults) != 1 || !errors.As(faults[0], &dmg) || !errors.Is(faults[0], ErrDamaged) || dmg.Lost != 1 ||
			!strings.Contains(dmg.Error(), w.id.name()) {
			t.Errorf("faults %v", faults)
		}
		if err := j.Drop(99, func(uint64) bool { return true }); err != nil {
			t.Error(err)
		}
		_, err := j.Read(Pos{Segment: w.id.number, Offset: w.ends[0] + headerSize, Len: 3})
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("read of a damaged record: %v", err)
		}
		shut(t, j)
	}
	if !bytes.Equal(read(t, w.path), w.data) {
		t.Error("the damaged file was changed")
	}
	aside, err := os.ReadDir(filepath.Join(dir, quarantine))
	if err != nil || len(aside) != 1 {
		t.Fatalf("%v, %v", aside, err)
	}
	if got := read(t, filepath.Join(dir, quarantine, aside[0].Name())); !bytes.Equal(got, w.data[w.ends[0]:w.ends[1]]) {
		t.Errorf("kept aside: %q", got)
	}
}

func TestTornSegmentIsLeftAsItIs(t *testing.T) {
	dir, w := write(t, "one", "two")
	torn := w.crashed(w.lastEnd() - 1)
	put(t, w.path, torn)
	for _, f := range segmentFiles(t, dir)[1:] {
		os.Remove(f)
	}
	j, got := open(t, dir, nil)
	pos := add(t, j, "two again")[0]
	shut(t, j)
	if d := cmp.Diff([]string{"one"}, got); d != "" || pos.Segment == w.id.number {
		t.Errorf("%v %s", pos, d)
	}
	if !bytes.Equal(read(t, w.path), torn) {
		t.Error("the torn file was changed")
	}
	if got, rep := scan(t, dir); rep.TornTails != 1 || len(rep.Damages) != 0 || len(got) != 2 {
		t.Errorf("%q %+v", got, rep)
	}
}

// A segment without a seal whose tail goes bad later looks torn; the name of the next one tells that it was whole.
func TestTailLostAfterTheNextSegmentBegan(t *testing.T) {
	dir, w := write(t, "one", "two", "three")
	put(t, w.path, w.crashed(w.lastEnd()))
	j, _ := open(t, dir, nil)
	add(t, j, "four")
	shut(t, j)
	for name, b := range map[string][]byte{
		"torn":       w.crashed(w.lastEnd() - 1),
		"zeroed":     w.crashed(w.ends[1]),
		"cut":        w.data[:w.ends[1]],
		"cut within": w.data[:w.lastEnd()-1],
	} {
		put(t, w.path, b)
		got, rep := scan(t, dir)
		if d := cmp.Diff([]string{"one", "two", "four"}, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if len(rep.Damages) != 1 || rep.Damages[0].Lost != 1 || rep.Damages[0].Segment != 1 || rep.TornTails != 0 {
			t.Errorf("%s: %+v", name, rep)
		}
	}
}

func TestRenamedCopyIsNotReadTwice(t *testing.T) {
	dir, w := write(t, "one", "two")
	other := w.id
	other.number++
	put(t, filepath.Join(dir, other.name()), w.data)
	put(t, filepath.Join(dir, "copy.seg"), w.data)
	got, rep := scan(t, dir)
	if d := cmp.Diff([]string{"one", "two"}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"copy.seg"}, rep.Strangers); d != "" || len(rep.Damages) != 1 {
		t.Errorf("%+v", rep)
	}
}

// FuzzWalk: whatever is in a file, reading ends, and gives nothing but what was written there.
func FuzzWalk(f *testing.F) {
	_, w := write(f, "one", "", "three")
	f.Add(w.data, uint16(0), []byte{})
	f.Add(w.data, uint16(w.ends[0]), []byte{1})
	f.Add(append(slices.Clone(w.data), w.data...), uint16(40), w.data[:36])
	f.Add(make([]byte, 5000), uint16(0), w.data)
	f.Fuzz(func(t *testing.T, b []byte, at uint16, patch []byte) {
		for _, data := range [][]byte{b, w.data} {
			data = slices.Clone(data)
			if int(at) < len(data) {
				copy(data[at:], patch)
			}
			var prev uint64
			wk := walker{b: data, seed: w.id.seed(), emit: func(h header, off int64, payload []byte) error {
				if int(off)+headerSize+len(payload) > len(w.data) || !bytes.Equal(w.data[off:][:headerSize+len(payload)], data[off:][:headerSize+len(payload)]) {
					t.Errorf("invented at %d: %q", off, payload)
				}
				if h.typ <= MaxType && h.seq <= prev {
					t.Errorf("seq %d after %d", h.seq, prev)
				}
				prev = max(prev, h.seq)
				return nil
			}}
			if err := wk.run(); err != nil {
				t.Error(err)
			}
			if wk.end > wk.tail || wk.tail > int64(len(data)) {
				t.Errorf("end %d, tail %d of %d", wk.end, wk.tail, len(data))
			}
		}
	})
}

// badPages cannot be read from one page on, as long as the page is asked for.
type badPages struct {
	io.ReaderAt
	from, to int64
}

func (r badPages) ReadAt(b []byte, off int64) (int, error) {
	if off < r.to && off+int64(len(b)) > r.from {
		return 0, syscall.EIO
	}
	return r.ReaderAt.ReadAt(b, off)
}

func TestUnreadablePages(t *testing.T) {
	var many []string
	for _, s := range numbered(200) {
		many = append(many, s+strings.Repeat(".", 60))
	}
	_, w := write(t, many...)
	b := bytes.Repeat([]byte{1}, len(w.data))
	unread := readPages(badPages{bytes.NewReader(w.data), 5000, 5001}, b)
	if d := cmp.Diff([]int64{4096}, unread); d != "" {
		t.Error(d)
	}
	want := slices.Clone(w.data)
	clear(want[4096:8192])
	if !bytes.Equal(b, want) {
		t.Error("the other pages were not read")
	}

	s := scanner{}
	seg := &segment{identity: w.id, size: 4096, length: 10000, torn: true, sealed: true}
	s.tail(seg, 9000, []int64{0, 8192}) // the first one lies among records and shows there
	if len(s.report.Damages) != 1 || s.report.Damages[0].To != 10000 || !seg.damaged || s.report.TornTails != 0 {
		t.Errorf("%+v", s.report)
	}
}
