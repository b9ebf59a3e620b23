// Package media keeps the files that customers send: each under the hash of its content, on the disk before anybody is
// told that it is there. Pictures become JPEG of less than 5 MB, upright and without what the camera wrote into them
// (IN-12); everything else stays as it came. Fetching files from a service, and bringing them to a CRM, is done elsewhere.
package media

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"leadstream/streams"
)

// Settings are the block `media` of config.yaml.
type Settings struct {
	Dir     string        `koanf:"dir"`      // relative to data_dir; several daemons on one Redis share it
	Keep    time.Duration `koanf:"keep"`     // files older than this go (C-03, L-07)
	MaxFile int64         `koanf:"max_file"` // bytes
	Wait    time.Duration `koanf:"wait"`     // for how long a lead waits for its files before it goes on without
	GiveUp  time.Duration `koanf:"give_up"`  // after which a file that has not come is given up
	Workers int           `koanf:"workers"`  // calls at one time, for each source
}

// Defaults are the settings that hold unless config.yaml says otherwise.
func Defaults() Settings {
	return Settings{Dir: "media", Keep: 180 * 24 * time.Hour, MaxFile: 100 << 20, Wait: time.Minute, GiveUp: 24 * time.Hour, Workers: 4}
}

// reserve is the disk space that files leave alone: the journal of leads lives there too.
const reserve = 256 << 20

// ErrSpace says that the disk has no room for another file. It is worth trying again later.
var ErrSpace = errors.New("no disk space for files")

// Store is a folder of files. It is safe for concurrent use, by several processes too.
type Store struct {
	dir     string
	maxFile int64
	picture sync.Mutex // one at a time: a picture needs many times its file's size in memory
	free    func(dir string) (int64, error)
}

// Open makes the folder if need be, and removes what a crash has left half written.
func Open(dir string, maxFile int64) (*Store, error) {
	s := &Store{dir: dir, maxFile: maxFile, free: freeBytes}
	if err := os.MkdirAll(s.halves(), 0o700); err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	return s, s.clean(s.halves(), time.Now().Add(-time.Hour), func() {}) // younger ones may be another daemon's at work
}

func (s *Store) halves() string { return filepath.Join(s.dir, "tmp") }

// Add stores what r brings as the file that m speaks of, and returns m with Hash, Type and Size, or with the Problem why
// there is no file. A file that cannot be made what it should be has both. Its error says that r could not be read to its
// end, or that there is no room: then nothing is known of the file, and it may be tried again.
func (s *Store) Add(m streams.Media, r io.Reader) (streams.Media, error) {
	m.Hash, m.Problem = "", ""
	if free, err := s.free(s.dir); err == nil && free < reserve {
		return m, ErrSpace
	}
	half, err := os.CreateTemp(s.halves(), "in-")
	if err != nil {
		return m, diskError(err)
	}
	defer discard(half)
	n, err := io.Copy(half, reading{io.LimitReader(r, s.maxFile+1)})
	switch {
	case errors.As(err, new(readError)):
		return m, err
	case err != nil:
		return m, diskError(err)
	case n > s.maxFile:
		m.Problem = TooLarge
		return m, nil
	case n == 0:
		m.Problem = Empty
		return m, nil
	}
	found, err := sniff(half)
	if err != nil {
		return m, diskError(err)
	}
	m.Type, m.Problem = found.judge(m)
	switch {
	case m.Problem == NotIt:
		m.Size = n
		return m, nil
	case found.picture():
		return s.addPicture(m, half, found)
	}
	return s.keep(m, half)
}

// addPicture stores a picture as JPEG; as it came when that cannot be done.
func (s *Store) addPicture(m streams.Media, raw *os.File, found kind) (streams.Media, error) {
	if found == heic { // there is no decoder of it in Go
		m.Problem = Unconverted
		return s.keep(m, raw)
	}
	s.picture.Lock()
	defer s.picture.Unlock()
	out, err := os.CreateTemp(s.halves(), "out-")
	if err != nil {
		return m, diskError(err)
	}
	defer discard(out)
	switch err := toJPEG(out, raw); {
	case errors.Is(err, errBomb):
		m.Problem = TooManyPixels
		return m, nil
	case errors.As(err, new(*fs.PathError)):
		return m, diskError(err)
	case err != nil:
		if m.Problem == "" {
			m.Problem = Unconverted
		}
		return s.keep(m, raw)
	}
	m.Type = "image/jpeg"
	return s.keep(m, out)
}

// keep puts a whole file in its place.
func (s *Store) keep(m streams.Media, half *os.File) (streams.Media, error) {
	if _, err := half.Seek(0, io.SeekStart); err != nil {
		return m, diskError(err)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, half)
	if err != nil {
		return m, diskError(err)
	}
	hash := hex.EncodeToString(sum.Sum(nil))
	to := s.path(hash)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return m, diskError(err)
	}
	// What is there already is the same, or was damaged since; and it is young again.
	if err := errors.Join(half.Sync(), os.Rename(half.Name(), to), syncDir(filepath.Dir(to))); err != nil {
		return m, diskError(err)
	}
	m.Hash, m.Size = hash, n
	return m, nil
}

func (s *Store) path(hash string) string { return filepath.Join(s.dir, hash[:2], hash) }

var hashForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// File opens a stored file. The caller closes it.
func (s *Store) File(hash string) (*os.File, error) {
	if !hashForm.MatchString(hash) {
		return nil, fs.ErrNotExist
	}
	return os.Open(s.path(hash))
}

// Run removes files that are older than keep, until ctx ends.
func (s *Store) Run(ctx context.Context, keep time.Duration, log zerolog.Logger) error {
	hourly := time.NewTicker(time.Hour)
	defer hourly.Stop()
	for {
		if n, err := s.Sweep(time.Now().Add(-keep)); err != nil {
			log.Error().Err(err).Msg("old files are not removed")
		} else if n > 0 {
			log.Info().Int("files", n).Msg("old files removed")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-hourly.C:
		}
	}
}

// Sweep removes what was stored before that moment and not again since.
func (s *Store) Sweep(before time.Time) (removed int, err error) {
	err = s.clean(s.dir, before, func() { removed++ })
	return removed, err
}

func (s *Store) clean(dir string, before time.Time, removed func()) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err != nil || !info.ModTime().Before(before) {
			return ignoreGone(err)
		}
		if err := os.Remove(path); err != nil {
			return ignoreGone(err)
		}
		removed()
		return nil
	})
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Write puts small things about a lead beside the files, as durable as they are. name is a lead's id.
func (s *Store) Write(name string, text []byte) error {
	if !noteName(name) {
		return fs.ErrInvalid
	}
	to := s.note(name)
	half, err := os.CreateTemp(s.halves(), "note-")
	if err != nil {
		return diskError(err)
	}
	defer discard(half)
	if _, err := half.Write(text); err != nil {
		return diskError(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return diskError(err)
	}
	if err := errors.Join(half.Sync(), os.Rename(half.Name(), to), syncDir(filepath.Dir(to))); err != nil {
		return diskError(err)
	}
	return nil
}

// Read is what Write wrote; fs.ErrNotExist when there is nothing.
func (s *Store) Read(name string) ([]byte, error) {
	if !noteName(name) {
		return nil, fs.ErrNotExist
	}
	return os.ReadFile(s.note(name))
}

// Forget removes what was written about a lead.
func (s *Store) Forget(name string) error {
	if !noteName(name) {
		return nil
	}
	return ignoreGone(os.Remove(s.note(name)))
}

func noteName(name string) bool {
	return len(name) > 2 && len(name) < 100 && strings.Trim(name, "0123456789abcdefghijklmnopqrstuvwxyz") == ""
}

func (s *Store) note(name string) string { return filepath.Join(s.dir, "leads", name[:2], name) }

// discard removes a half that was not renamed.
func discard(f *os.File) {
	f.Close()
	_ = os.Remove(f.Name())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// diskError makes ErrSpace of a full disk.
func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return ErrSpace
	}
	return fmt.Errorf("media: %w", err)
}

// reading tells an error of the far side from one of the disk.
type reading struct{ io.Reader }

type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

func (r reading) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err != nil && err != io.EOF {
		err = readError{err}
	}
	return n, err
}

func freeBytes(dir string) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * int64(fs.Bsize), nil
}
