package journal

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"leadstream/streams/failpoint"
)

// disk is what the journal does to files when it writes; tests put a failing one in its place.
type disk interface {
	create(path string, size int64) error // a file of zeros whose space is taken; after an error there is none
	open(path string) (file, error)
	rename(from, to string) error // lasting when it returns
	remove(path string) error
	settle(path string) error // what is read from path afterwards is on the disk
	space(dir string) (free, total int64, err error)
}

type file interface {
	WriteAt(b []byte, off int64) (int, error)
	Datasync() error
	Truncate(size int64) error
	Close() error
}

type realDisk struct{}

type realFile struct{ *os.File }

// Datasync is never called again on a file for which it has failed.
func (f realFile) Datasync() error {
	return os.NewSyscallError("fdatasync", unix.Fdatasync(int(f.Fd())))
}

func (realDisk) open(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return realFile{f}, nil
}

func (realDisk) create(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = allocate(f, size)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

func allocate(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) { // ZFS, some network filesystems
		return fillZeros(f, size)
	}
	return os.NewSyscallError("fallocate", err)
}

func fillZeros(f *os.File, size int64) error {
	zeros := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return err
		}
	}
	return nil
}

func (realDisk) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	failpoint.Hit(failpoint.SegmentRenamed)
	return syncDir(filepath.Dir(to))
}

func (realDisk) remove(path string) error { return os.Remove(path) }

// settle drops the page cache, because pages that could not be written stay in it and look clean.
func (realDisk) settle(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	return errors.Join(err, f.Close())
}

func (realDisk) space(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, os.NewSyscallError("statfs", err)
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
