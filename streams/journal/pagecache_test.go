package journal

import (
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pageCache is a disk whose files keep what is written in memory until it is synced, as Linux does: a sync that fails
// forgets it and calls it clean, so that the next sync succeeds; a power cut forgets it too.
type pageCache struct {
	realDisk
	sync func(n int) error // asked at each sync of a record, from 1

	mu    sync.Mutex
	syncs int
	off   bool // the power is cut
}

type cachedFile struct {
	file
	disk    *pageCache
	written []piece
}

type piece struct {
	at int64
	b  []byte
}

func (d *pageCache) open(path string) (file, error) {
	f, err := d.realDisk.open(path)
	return &cachedFile{file: f, disk: d}, err
}

func (d *pageCache) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
}

func (f *cachedFile) WriteAt(b []byte, at int64) (int, error) {
	f.written = append(f.written, piece{at, slices.Clone(b)})
	return len(b), nil
}

func (f *cachedFile) Datasync() error {
	f.disk.mu.Lock()
	f.disk.syncs++
	n := f.disk.syncs
	f.disk.mu.Unlock()
	err := f.disk.sync(n)
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	dirty := f.written
	f.written = nil
	if f.disk.off {
		return syscall.EIO
	}
	if err != nil {
		return err
	}
	for _, p := range dirty {
		if _, err := f.file.WriteAt(p.b, p.at); err != nil {
			return err
		}
	}
	return f.file.Datasync()
}

// What an Append has promised is there after the power has been cut, whatever the disk did before.
func TestPowerCut(t *testing.T) {
	const bad = 5
	for name, c := range map[string]struct {
		sync func(d *pageCache) func(n int) error
	}{
		"while a sync is under way": {func(d *pageCache) func(int) error {
			return func(n int) error {
				if n == bad {
					time.Sleep(50 * time.Millisecond) // whoever is answered too soon is answered now
					d.cut()
				}
				return nil
			}
		}},
		"after a sync has failed": {func(*pageCache) func(int) error {
			return func(n int) error {
				if n == bad {
					return syscall.EIO
				}
				return nil
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := &pageCache{}
			d.sync = c.sync(d)
			j, _ := open(t, dir, func(o *Options) { o.disk = d })
			promised := appendMany(j)
			d.cut()
			j.Close() // its seal comes too late
			_, found := open(t, dir, nil)
			if len(promised) < bad-1 {
				t.Errorf("%d promises: nothing was tested", len(promised))
			}
			for _, p := range promised {
				if !slices.Contains(found, p) {
					t.Errorf("LOST: %s was promised", p)
				}
			}
		})
	}
}

// appendMany writes records one after the other and answers those that the journal has promised to keep.
func appendMany(j *Journal) (promised []string) {
	for i := range 12 {
		p := fmt.Sprint("record ", i)
		if _, _, err := j.Append(1, []byte(p)); err == nil {
			promised = append(promised, p)
		}
	}
	return promised
}
