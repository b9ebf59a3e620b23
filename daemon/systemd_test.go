package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// TestUnitIsShutIn holds the service's sandbox at systemd's own measure.
func TestUnitIsShutIn(t *testing.T) {
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", filepath.Join("..", "scripts", "leadstream.service")).Output()
	if err != nil {
		t.Fatalf("%v (apt-get install systemd)", err)
	}
	m := regexp.MustCompile(`exposure level for leadstream.service: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no level in\n%s", out)
	}
	if level, err := strconv.ParseFloat(string(m[1]), 64); err != nil || level > 1.2 {
		t.Errorf("exposure is %s, want at most 1.2\n%s", m[1], out)
	}
}

// TestSocketUnitSurvivesRestarts: what stops with the service could refuse a connection.
func TestSocketUnitSurvivesRestarts(t *testing.T) {
	unit, err := os.ReadFile(filepath.Join("..", "scripts", "leadstream.socket"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ListenStream=" + Defaults().Listen, "FileDescriptorName=public"} {
		if !strings.Contains(string(unit), "\n"+want+"\n") {
			t.Errorf("leadstream.socket lacks %s", want)
		}
	}
	if strings.Contains(string(unit), "PartOf=") || strings.Contains(string(unit), "BindsTo=") {
		t.Error("leadstream.socket stops with the service")
	}
}

// systemdSocket is where systemd listens to a service.
func systemdSocket(t *testing.T) *net.UnixConn {
	t.Helper()
	dir, err := os.MkdirTemp("", "ls")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); os.RemoveAll(dir) })
	t.Setenv("NOTIFY_SOCKET", path)
	return c
}

func heard(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestTellSystemd(t *testing.T) {
	c := systemdSocket(t)
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	var ill atomic.Bool
	asked := make(chan struct{}, 100)
	healthy := func(context.Context) error {
		asked <- struct{}{}
		if ill.Load() {
			return errors.New("stuck")
		}
		return nil
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tellSystemd(ctx, healthy, zerolog.Nop()) }()
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := heard(t, c); got != want {
			t.Errorf("systemd hears %q, want %q", got, want)
		}
	}
	ill.Store(true)
	for range 4 { // the one under way may have seen it well; the next ones have not
		select {
		case <-asked:
		case <-time.After(5 * time.Second):
			t.Fatal("the watchdog does not ask how the daemon is")
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	fed := 0
	for got := heard(t, c); got != "STOPPING=1"; got = heard(t, c) {
		fed++
	}
	if fed > 2 {
		t.Errorf("an ill daemon fed the watchdog %d times", fed)
	}
}

func TestListenUnix(t *testing.T) {
	dir, err := os.MkdirTemp("", "ls")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "data", "s.sock")
	l, err := listen(nil, "admin", "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v; want 0600", info.Mode(), err)
	}
	if _, err := listen(nil, "admin", "unix:"+path); err == nil || !strings.Contains(err.Error(), "another daemon listens") {
		t.Errorf("a second daemon: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as after kill -9
	l.Close()
	again, err := listen(nil, "admin", "unix:"+path)
	if err != nil {
		t.Fatalf("after a kill: %v", err)
	}
	again.Close()
}

// TestActivated runs this test binary as systemd runs a service: with a listening socket as its third descriptor.
func TestActivated(t *testing.T) {
	if os.Getenv("LISTEN_FDS") != "" {
		held, err := activated()
		if err != nil {
			t.Fatal(err)
		}
		l, err := listen(held, "public", "127.0.0.1:1")
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("held"))
		c.Close()
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// The shell's pid becomes the test's: LISTEN_PID must name it.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run='^TestActivated$'`, os.Args[0])
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=public")
	cmd.ExtraFiles = []*os.File{f}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 4)
	if _, err := c.Read(b); err != nil || string(b) != "held" {
		t.Errorf("the service answers %q, %v", b, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
