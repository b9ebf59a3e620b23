package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what a process takes while nothing happens.
type usage struct {
	rss float64 // MB
	cpu float64 // per cent of a core
}

// idleConfig has one sink for leads, and the person without whom no daemon should run; nothing makes it write to them.
var idleConfig = `sources:
  site: {keys: ["sha256:` + strings.Repeat("0", 64) + `"]}
sinks:
  table: {kind: csv}
  manager: {kind: email, host: 127.0.0.1, port: 9, tls: none, from: leads@example.test, to: manager@example.test}
tell: {sinks: [manager]}
alerts: {alive_at: ""}
`

// idle starts the daemon as it is shipped, with its embedded Redis and one CSV sink, lets it come to rest, and measures
// both processes for d.
func idle(binary string, d time.Duration) (daemon, redis usage) {
	dir, err := os.MkdirTemp(scratch, "idle")
	check(err)
	defer os.RemoveAll(dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	addr := l.Addr().String()
	check(l.Close())
	config := filepath.Join(dir, "config.yaml")
	check(os.WriteFile(config, []byte(idleConfig+"listen: "+addr+"\n"), 0o600))
	cmd := exec.Command(binary, "serve", "--config", config)
	var said bytes.Buffer
	cmd.Stderr, cmd.SysProcAttr = &said, &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	check(cmd.Start())
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	ready(addr, &said)
	child := childOf(cmd.Process.Pid)
	time.Sleep(5 * time.Second)
	d1, r1 := cpuTime(cmd.Process.Pid), cpuTime(child)
	time.Sleep(d)
	d2, r2 := cpuTime(cmd.Process.Pid), cpuTime(child)
	share := func(a, b time.Duration) float64 { return 100 * (b - a).Seconds() / d.Seconds() }
	return usage{rss(cmd.Process.Pid), share(d1, d2)}, usage{rss(child), share(r1, r2)}
}

func ready(addr string, said *bytes.Buffer) {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if r, err := http.Get("http://" + addr + "/readyz"); err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			check(fmt.Errorf("leadstream on %s does not become ready:\n%s", addr, said))
		}
	}
}

// childOf waits for the one child that the daemon starts.
func childOf(pid int) int {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var all []byte
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		for _, t := range threads {
			b, _ := os.ReadFile(t)
			all = append(all, b...)
		}
		if f := strings.Fields(string(all)); len(f) == 1 {
			child, err := strconv.Atoi(f[0])
			check(err)
			return child
		}
		if time.Now().After(deadline) {
			check(fmt.Errorf("the daemon has started no redis-server"))
		}
	}
}

// cpuTime is user and system time, from /proc/PID/stat, which counts in hundredths of a second.
func cpuTime(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	check(err)
	_, after, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(after)
	user, err := strconv.Atoi(f[11])
	check(err)
	system, err := strconv.Atoi(f[12])
	check(err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func rss(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(err)
	_, after, _ := strings.Cut(string(b), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(after)[0])
	check(err)
	return float64(kb) / 1024
}
