//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"leadstream/daemon/proof"
	"leadstream/streams/streamstest"
)

// onFull is a disk without a byte left, for a moment.
var onFull = harms{perWorld: 25, list: []harm{
	{what: "under journal and Redis", do: filled, open: onDisk(false)},
	{what: "under the journal alone", do: filled, open: onDisk(true)},
}}

// diskSize is far more than the journal takes, so that it is we who fill the disk.
const diskSize = 256 << 20

// onDisk is a world whose data folder is a small filesystem, with its Redis in it or beside.
func onDisk(beside bool) func(context.Context, *bench) (*stage, error) {
	return func(ctx context.Context, b *bench) (*stage, error) {
		dir, err := os.MkdirTemp("/tmp", "ls")
		if err != nil {
			return nil, err
		}
		if err := unix.Mount("leadstream", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", diskSize)); err != nil {
			return nil, errors.Join(fmt.Errorf("not run here: a small filesystem takes root: mount: %w", err), os.Remove(dir))
		}
		unmount := func() error {
			return errors.Join(os.NewSyscallError("umount", unix.Unmount(dir, unix.MNT_DETACH)), os.Remove(dir))
		}
		s := proof.Setup{DataDir: dir, Cards: rand.N(2) == 0}
		if !beside {
			return b.open(ctx, []proof.Setup{s}, badDay, unmount)
		}
		p, err := streamstest.Start()
		if err != nil {
			return nil, errors.Join(err, unmount())
		}
		s.Redis = "unix://" + p.Addr
		return b.open(ctx, []proof.Setup{s}, badDay, unmount, p.Close)
	}
}

// filled fills the disk to its last byte, and after a while makes room.
func filled(ctx context.Context, st *stage) (err error) {
	path := filepath.Join(st.Data, "ballast")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	end := time.Now().Add(100*time.Millisecond + rand.N(500*time.Millisecond))
	for at := int64(0); time.Now().Before(end) && ctx.Err() == nil; { // whatever becomes free is filled, too
		size := int64(16 << 20)
		for ; size >= 4096; size /= 2 {
			if err = unix.Fallocate(int(f.Fd()), 0, at, size); !errors.Is(err, unix.ENOSPC) {
				break
			}
		}
		switch {
		case errors.Is(err, unix.ENOSPC):
			pause(ctx, time.Millisecond)
		case err != nil:
			return err
		default:
			at += size
		}
	}
	return nil
}
