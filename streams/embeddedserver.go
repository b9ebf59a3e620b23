package streams

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const embeddedSocket = "redis.sock"

// EmbeddedURL is the URL of the embedded server of a folder, whichever process asks. A socket's path is limited to
// about 100 bytes: for a longer one the URL goes through an open handle of the folder, and is of use to this process
// only, which keeps the handle until it ends.
func EmbeddedURL(dir string) (string, error) {
	path := filepath.Join(dir, embeddedSocket)
	if len(path) > 100 {
		handle, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return "", fmt.Errorf("embedded Redis: folder %s: %w", dir, err)
		}
		path = filepath.Join("/proc/self/fd", strconv.Itoa(handle), embeddedSocket)
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			syscall.Close(handle)
			return "", fmt.Errorf("embedded Redis: the path of the folder %s is too long for a socket: choose one under 90 bytes", dir)
		}
	}
	return "unix://" + (&url.URL{Path: path}).EscapedPath(), nil
}

// start begins a server that inherits lock, and waits until it answers.
func (e *Embedded) start(ctx context.Context, lock *os.File) error {
	defer lock.Close() // the server keeps its own handle of it
	log, began, err := e.openLog()
	if err != nil {
		return fmt.Errorf("embedded Redis: %w", err)
	}
	defer log.Close()

	cmd := exec.Command(e.opt.Binary,
		"--dir", e.dir, "--unixsocket", embeddedSocket, "--unixsocketperm", "700", "--port", "0",
		"--bind", "127.0.0.1", "--protected-mode", "yes", "--daemonize", "no", "--supervised", "no",
		"--appendonly", "yes", "--appendfsync", "always", "--no-appendfsync-on-rewrite", "no",
		"--aof-load-truncated", "yes", "--save", "",
		"--maxmemory", e.opt.MaxMemory, "--maxmemory-policy", "noeviction")
	cmd.Dir = e.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TZ=" + os.Getenv("TZ")} // the daemon's has secrets
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock}
	// A group of its own, so that neither a terminal's Ctrl-C nor a kill of the daemon's group reaches it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	_ = os.Remove(e.pidFile()) // should we be killed right after the start, an old one would name a stranger
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("embedded Redis: %w", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()

	err = os.WriteFile(e.pidFile(), []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o600)
	if err == nil {
		err = e.await(ctx, ended)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		<-ended
		return fmt.Errorf("embedded Redis: %w; its log %s ends: %s", err, log.Name(), lastLine(log.Name(), began))
	}
	e.took(cmd.Process, ended, false)
	e.opt.Log.Info().Int("pid", cmd.Process.Pid).Str("dir", e.dir).Msg("redis-server started")
	if bytes.Contains(readFrom(log.Name(), began), []byte("because aof-load-truncated is enabled")) {
		e.opt.Log.Error().Str("dir", e.dir).Msg("redis-server cut a torn end off its append-only file: " +
			"what was written last before a power cut is gone from it, and comes back from the journal")
	}
	return nil
}

func (e *Embedded) await(ctx context.Context, ended <-chan struct{}) error {
	for {
		// It answers LOADING until it has read its file, however long that is.
		if e.client.Ping(ctx).Err() == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return errors.New("redis-server ended at once")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

const maxServerLog = 8 << 20

// openLog opens the server's log and tells where its new lines will begin. One old log is kept.
func (e *Embedded) openLog() (*os.File, int64, error) {
	path := filepath.Join(e.dir, "redis.log")
	if info, err := os.Stat(path); err == nil && info.Size() > maxServerLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, 0, err
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, end, nil
}

func readFrom(path string, offset int64) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, _ := io.ReadAll(io.NewSectionReader(f, offset, 1<<20))
	return b
}

func lastLine(path string, offset int64) string {
	lines := bytes.Split(bytes.TrimSpace(readFrom(path, offset)), []byte("\n"))
	return string(lines[len(lines)-1])
}

// ownDir makes the folder and tells its path without links. Whoever else could write there could put a server of his
// own in our way, or read people's data.
func ownDir(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	for _, path := range []string{dir, filepath.Join(dir, embeddedSocket)} {
		info, err := os.Lstat(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
			return "", fmt.Errorf("%s belongs to another user (%d): give it to the user that runs leadstream, or choose another folder", path, stat.Uid)
		}
	}
	return dir, os.Chmod(dir, 0o700)
}

var errLocked = errors.New("locked by another process")

// tryLock locks a file for as long as it is open here or in a child that inherits it.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", path, errLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
