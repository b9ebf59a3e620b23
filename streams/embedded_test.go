package streams_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"leadstream/streams"
	"leadstream/streams/streamstest"
)

// shortDir is a folder whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func startEmbedded(t *testing.T, opt streams.EmbeddedOptions) *streams.Embedded {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	e, err := streams.StartEmbedded(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEmbeddedRestarts(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	e := startEmbedded(t, streams.EmbeddedOptions{Dir: dir, MaxMemory: "64mb"})
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	c := openClients(t, e.URL()).Write

	if faults := streams.CheckRedis(ctx, c); len(faults) > 0 {
		t.Error("not as safe as we ask of others:", faults)
	}
	if got := c.ConfigGet(ctx, "maxmemory").Val()["maxmemory"]; got != strconv.Itoa(64<<20) {
		t.Errorf("maxmemory = %s", got)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info.Mode(), err)
	}
	if err := c.Set(ctx, "k", "kept", 0).Err(); err != nil {
		t.Fatal(err)
	}

	first := e.PID()
	kill(t, first, syscall.SIGKILL)
	streamstest.Eventually(t, func() bool { return e.PID() != first && c.Ping(ctx).Err() == nil })
	if got := c.Get(ctx, "k").Val(); got != "kept" {
		t.Errorf("after a kill -9 of redis-server k = %q", got)
	}

	cancel()
	running.Wait()
	if c.Ping(context.Background()).Err() != nil {
		t.Error("the server ends with Run; what still had to be written cannot be")
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if c.Ping(context.Background()).Err() == nil {
		t.Error("the server answers after Close")
	}
	if _, err := os.Stat(filepath.Join(dir, "redis.pid")); !os.IsNotExist(err) {
		t.Error("a pid file is left:", err)
	}
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// TestEmbeddedDaemon is the daemon that TestEmbeddedAdopts kills; by itself it does nothing.
func TestEmbeddedDaemon(t *testing.T) {
	dir := os.Getenv("LEADSTREAM_TEST_DAEMON")
	if dir == "" {
		return
	}
	e := startEmbedded(t, streams.EmbeddedOptions{Dir: dir})
	fmt.Println("pid", e.PID())
	time.Sleep(time.Minute) // the test that started us kills us at once
}

// killedDaemon runs a daemon that is killed as soon as its server answers, and tells the server's pid.
func killedDaemon(t *testing.T, dir string) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestEmbeddedDaemon$", "-test.v")
	cmd.Env = append(os.Environ(), "LEADSTREAM_TEST_DAEMON="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "pid %d", &pid); err != nil {
			t.Log("daemon:", lines.Text())
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if pid == 0 {
		t.Fatal("the daemon started no server")
	}
	return pid
}

func TestEmbeddedAdopts(t *testing.T) {
	ctx := context.Background()
	dir := shortDir(t)
	pid := killedDaemon(t, dir)
	t.Cleanup(func() {
		// Whatever has failed, nothing must be left running. The folder's name is in no other process's arguments.
		if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && bytes.Contains(args, []byte("redis")) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	url, err := streams.EmbeddedURL(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := openClients(t, url).Write
	if err := c.Set(ctx, "k", "kept", 0).Err(); err != nil {
		t.Fatal("the server did not outlive its daemon:", err)
	}

	// It hangs: a second server on the same files would ruin them.
	kill(t, pid, syscall.SIGSTOP)
	short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if _, err := streams.StartEmbedded(short, streams.EmbeddedOptions{Dir: dir}); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("beside a server that hangs: %v", err)
	}
	kill(t, pid, syscall.SIGCONT)

	e := startEmbedded(t, streams.EmbeddedOptions{Dir: dir, MaxMemory: "32mb"})
	if !e.Adopted() || e.PID() != pid {
		t.Errorf("adopted %v, process %d, want %d", e.Adopted(), e.PID(), pid)
	}
	if got := c.Get(ctx, "k").Val(); got != "kept" {
		t.Errorf("k = %q", got)
	}
	if got := c.ConfigGet(ctx, "maxmemory").Val()["maxmemory"]; got != strconv.Itoa(32<<20) {
		t.Errorf("maxmemory = %s: not the new setting", got)
	}

	// An adopted one is watched like a child.
	run, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(run) })
	kill(t, pid, syscall.SIGKILL)
	streamstest.Eventually(t, func() bool { return e.PID() != pid && c.Get(ctx, "k").Val() == "kept" })
	cancel()
	running.Wait()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestEmbeddedStopsAnAdoptedServer(t *testing.T) {
	dir := shortDir(t)
	killedDaemon(t, dir)
	e := startEmbedded(t, streams.EmbeddedOptions{Dir: dir})
	c := openClients(t, e.URL()).Write
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if c.Ping(context.Background()).Err() == nil {
		t.Error("the server answers after Close")
	}
}

func TestEmbeddedRefuses(t *testing.T) {
	mine := shortDir(t)
	e := startEmbedded(t, streams.EmbeddedOptions{Dir: mine})
	defer e.Close()
	foreign := "/usr/lib" // root's
	if os.Geteuid() == 0 {
		foreign = shortDir(t)
		if err := os.Chown(foreign, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		opt  streams.EmbeddedOptions
		want string
	}{
		"a second daemon":    {streams.EmbeddedOptions{Dir: mine}, "another leadstream"},
		"no redis-server":    {streams.EmbeddedOptions{Dir: shortDir(t), Binary: "redis-server-nowhere"}, "sudo apt-get install redis-server"},
		"a foreign folder":   {streams.EmbeddedOptions{Dir: foreign}, "belongs to another user"},
		"a bad memory limit": {streams.EmbeddedOptions{Dir: shortDir(t), MaxMemory: "much"}, "memory"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			other, err := streams.StartEmbedded(context.Background(), tt.opt)
			if err == nil {
				other.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error that says %q", err, tt.want)
			}
		})
	}
}

// A power cut tears the end of the append-only file: that must not keep the server down, and must not pass in silence.
func TestEmbeddedTornFile(t *testing.T) {
	ctx := context.Background()
	dir := shortDir(t)
	var log bytes.Buffer
	opt := streams.EmbeddedOptions{Dir: dir, Log: zerolog.New(&log)}
	e := startEmbedded(t, opt)
	c := openClients(t, e.URL()).Write
	for _, key := range []string{"first", "last"} {
		if err := c.XAdd(ctx, &redis.XAddArgs{Stream: key, Values: []string{"a", "b"}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	info, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(files[0], info.Size()-3); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "torn") {
		t.Error("a clean start speaks of a torn file")
	}

	e = startEmbedded(t, opt)
	defer e.Close()
	if c.XLen(ctx, "first").Val() != 1 || c.XLen(ctx, "last").Val() != 0 {
		t.Error("want all but the torn entry")
	}
	if !strings.Contains(log.String(), "torn") {
		t.Errorf("not logged:\n%s", &log)
	}
}

func TestEmbeddedLongPath(t *testing.T) {
	dir := filepath.Join(shortDir(t), strings.Repeat("folder-", 14), "redis")
	e := startEmbedded(t, streams.EmbeddedOptions{Dir: dir})
	defer e.Close()
	if err := openClients(t, e.URL()).Write.Ping(context.Background()).Err(); err != nil {
		t.Error(err)
	}
}
