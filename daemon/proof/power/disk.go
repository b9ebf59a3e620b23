//go:build linux

// Package power takes the power from a machine, as far as a disk notices: the daemon and its Redis keep their folder on a
// filesystem of its own, which forgets at once, while they write, everything that was not synced. Then both are killed,
// the filesystem is mounted again, and the daemon starts on what is left.
//
// What forgets is the kernel's own page cache (EXT4_IOC_SHUTDOWN without a flush of its log). A disk that lies about its
// cache, or tears a sector in two, is not simulated.
package power

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// disk is an ext4 filesystem in a file.
type disk struct {
	dir   string // where it is mounted
	image string
	loop  string // the block device
}

const diskSize = 1 << 30 // sparse: the journal takes its space in advance and writes little of it

// newDisk makes one below dir, in memory where the system has such a place: its syncs are no one's burden.
func newDisk() (d *disk, err error) {
	parent := "/dev/shm"
	if st, err := os.Stat(parent); err != nil || !st.IsDir() {
		parent = os.TempDir()
	}
	at, err := os.MkdirTemp(parent, "lsdisk")
	if err != nil {
		return nil, err
	}
	d = &disk{dir: filepath.Join(at, "disk"), image: filepath.Join(at, "image")}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		return d, err
	}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		return d, err
	}
	if err := os.Truncate(d.image, diskSize); err != nil {
		return d, err
	}
	if _, err := run("mkfs.ext4", "-q", "-m", "0", "-J", "size=8", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-F", d.image); err != nil {
		return d, err
	}
	if d.loop, err = run("losetup", "--find", "--show", d.image); err != nil {
		return d, err
	}
	return d, d.mount()
}

func run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if path, err := exec.LookPath(name); err == nil {
		cmd.Path, cmd.Err = path, nil
	} else if path := filepath.Join("/usr/sbin", name); exists(path) {
		cmd.Path, cmd.Err = path, nil
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (d *disk) mount() error {
	if err := unix.Mount(d.loop, d.dir, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount of %s: %w", d.loop, err)
	}
	return nil
}

// forget makes the filesystem drop what it has not written, and refuse all from then on.
func (d *disk) forget() error {
	const shutdown, noLogFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush); err != nil {
		return fmt.Errorf("the filesystem does not let itself be shut down: %w", err)
	}
	return nil
}

// again unmounts the disk, once nobody has a file open on it any more, and mounts it as after a power cut.
func (d *disk) again() error {
	if err := d.unmount(); err != nil {
		return err
	}
	return d.mount()
}

func (d *disk) unmount() error {
	for n := 0; ; n++ {
		d.kill()
		err := unix.Unmount(d.dir, 0)
		if !errors.Is(err, unix.EBUSY) || n == 2000 {
			return os.NewSyscallError("umount", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// kill ends whoever works in a folder of the disk: Redis, whose number cannot be read from a disk without power.
func (d *disk) kill() {
	cwds, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range cwds {
		if cwd, err := os.Readlink(link); err != nil || !strings.HasPrefix(cwd, d.dir+"/") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended
		}
	}
}

func (d *disk) close() error {
	var errs []error
	if d.loop != "" {
		if err := d.unmount(); !errors.Is(err, unix.EINVAL) { // EINVAL: it was not mounted
			errs = append(errs, err)
		}
		_, err := run("losetup", "--detach", d.loop)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, os.RemoveAll(filepath.Dir(d.image)))...)
}

// Available is nil where the power can be taken, or says what this machine lacks.
func Available() error {
	if os.Geteuid() != 0 {
		return errors.New("power loss takes root, for a loop device and a filesystem on it")
	}
	d, err := newDisk()
	if err != nil {
		return fmt.Errorf("power loss takes a loop device with ext4 on it: %w", err)
	}
	return errors.Join(d.forget(), d.again(), d.close())
}
