//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"leadstream/daemon/intake"
	"leadstream/sinks/sim/phone"
	"leadstream/sinks/sim/portal"
)

// The end to end tests drive the real binary between a simulated portal and a simulated phone, which live in the test's
// own process, so that their ledgers outlive every kill of the daemon.

var built struct {
	sync.Once
	dir string
	err error
}

// binary builds the command once for all tests.
func binary(t testing.TB) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("/tmp", "lsbin"); built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", filepath.Join(built.dir, "leadstream"), ".").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal("building leadstream:", built.err)
	}
	return filepath.Join(built.dir, "leadstream")
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// Secrets and people that must be in no log.
const (
	crmSecret  = "canarysecret7"
	botToken   = "110201543:canary-token"
	personName = "Канарейкина"
)

// setup is what a test wants to be different in config.yaml.
type setup struct {
	Redis   string // a URL; empty: embedded
	Level   string // of the log; empty: info
	DataDir string // empty: a folder of the test's own
	CRM     string // further keys of the sink crm, each on its own line; they win
	Tell    string // names of the sinks that tell a person; empty: manager
	Route   string // where leads go; empty: crm
	Sinks   string // further sinks, as lines of YAML
	Limits  portal.Limits
	Args    []string // a wrapper: what to run the daemon with
	Held    *os.File // the public listening socket, held for the daemon as systemd does
}

// instance is one daemon with its data, over all its lives, and the world around it.
type instance struct {
	t       testing.TB
	set     setup
	dir     string
	data    string
	address string // of the public listener
	key     string
	config  string
	crm     *portal.Portal
	also    *portal.Portal // a further one, which may get cards; nil: there is none
	phone   *phone.Phone
	http    *http.Client

	log  *os.File
	proc *os.Process
	gone chan struct{} // closed once proc has ended; state is set then
	end  *os.ProcessState
}

// newInstance makes the world and starts the daemon in it. Everything ends with the test.
func newInstance(t testing.TB, set setup) *instance {
	t.Helper()
	binary(t)
	dir, err := os.MkdirTemp("/tmp", "ls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	i := &instance{t: t, set: set, dir: dir, data: filepath.Join(dir, "data"), key: intake.NewKey("site"),
		// An address that is nobody else's: on 127.0.0.1 an outgoing connection may take the port between two lives.
		address: fmt.Sprintf("127.%d.%d.%d:8080", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250)),
		config:  filepath.Join(dir, "config.yaml"),
		crm: portal.New(portal.Options{Users: []portal.User{{ID: 1, Name: "Администратор", Secret: crmSecret}},
			Limits: set.limits()}),
		phone: phone.New(phone.Options{Token: botToken}),
		http:  &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	if set.DataDir != "" {
		i.data = set.DataDir
	}
	if set.Held != nil {
		i.address = heldAddress(t, set.Held)
	}
	if err := errors.Join(i.crm.Start(), i.phone.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(i.crm.Close(), i.phone.Close()); err != nil {
			t.Error(err)
		}
	})
	if i.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	i.configure()
	t.Cleanup(i.clean)
	i.start()
	return i
}

func (s setup) limits() portal.Limits {
	if s.Limits == (portal.Limits{}) {
		return portal.NoLimits
	}
	return s.Limits
}

// configure writes config.yaml. Everything is quick: the portal ends a call within a second (far_limit leaves two more to
// a machine that has much else to do), and knows at once what it has created.
func (i *instance) configure() {
	crm := map[string]string{"kind": "bitrix24", "url": strconv.Quote(i.crm.URL()), "allow_private": "true",
		"timeout": "700ms", "far_limit": "3s", "index_lag": "100ms", "rate": "{per_second: 1000, burst: 1000}",
		"retry":   "{attempts: 100, base: 200ms, factor: 1.5, max: 1s, jitter: 0.2}",
		"breaker": "{failures: 5, of: 5, delay: 300ms, max_delay: 1s}"}
	for line := range strings.Lines(i.set.CRM) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), ": ")
		crm[k] = v
	}
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	line("language: en\nlisten: %s\ndata_dir: %s", i.address, i.data)
	line("log: {level: %s, format: json}", or(i.set.Level, "info"))
	line("redis: %s", or(i.set.Redis, Embedded))
	line("sources:\n  site: {keys: [%q], channel: site, concurrency: 1024}", intake.KeyHash(i.key))
	line("intake: {connections_per_ip: 2000}")
	line("tagging: {sinks: [%s]}", or(i.set.Route, "crm"))
	line("sinks:\n  crm:")
	for k, v := range crm {
		line("    %s: %s", k, v)
	}
	line("  manager: {kind: telegram, token: %q, chat: 1000001, base_url: %q, allow_private: true, timeout: 1s}", botToken, i.phone.URL())
	line("  sms: {kind: smsc, to: \"+79990009999\", api_key: secret, base_url: %q, allow_private: true, timeout: 1s}", i.phone.URL())
	b.WriteString(i.set.Sinks)
	line("tell: {sinks: [%s]}", or(i.set.Tell, "manager"))
	if err := os.WriteFile(i.config, []byte(b.String()), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (i *instance) url(path string) string { return "http://" + i.address + path }

// start runs the daemon and waits until it is ready to take leads.
func (i *instance) start() {
	i.t.Helper()
	i.launch()
	i.eventually("the daemon is ready", func() bool {
		select {
		case <-i.gone:
			i.t.Fatalf("the daemon has ended (%v):\n%s", i.end, i.tail())
		default:
		}
		res, err := i.http.Get(i.url("/readyz"))
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// launch runs the daemon.
func (i *instance) launch() {
	i.t.Helper()
	args := append(append([]string{}, i.set.Args...), binary(i.t), "serve", "--config", i.config)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr, cmd.Stdout = i.log, i.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if i.set.Held != nil {
		cmd.ExtraFiles = []*os.File{i.set.Held} // fd 3; sh knows its own pid, which exec keeps
		cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=public exec "$@"`, "sh"}, args...)
		cmd.Path = "/bin/sh"
	}
	started, gone := make(chan error), make(chan struct{})
	go func() {
		// The kernel ties Pdeathsig to the thread that started it, so that thread must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			i.end = cmd.ProcessState
		}
		close(gone)
	}()
	if err := <-started; err != nil {
		i.t.Fatal(err)
	}
	i.proc, i.gone = cmd.Process, gone
}

// kill ends the daemon at once, as the kernel's out of memory killer would.
func (i *instance) kill() {
	i.t.Helper()
	if i.proc == nil {
		return
	}
	_ = i.proc.Signal(syscall.SIGKILL) // it may have ended
	<-i.gone
	i.proc = nil
}

// terminate asks the daemon to stop and answers its exit code and how long that took.
func (i *instance) terminate() (code int, took time.Duration) {
	i.t.Helper()
	began := time.Now()
	if err := i.proc.Signal(syscall.SIGTERM); err != nil {
		i.t.Fatal(err)
	}
	select {
	case <-i.gone:
	case <-time.After(60 * time.Second):
		i.t.Fatalf("the daemon does not stop:\n%s", i.tail())
	}
	i.proc = nil
	return i.end.ExitCode(), time.Since(began)
}

// redisPID is the embedded redis-server's process, 0 when there is none. The number in the file is believed only when
// that process works in our folder.
func (i *instance) redisPID() int {
	b, _ := os.ReadFile(filepath.Join(i.data, "redis", "redis.pid"))
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err != nil || cwd != filepath.Join(i.data, "redis") {
		return 0
	}
	return pid
}

func (i *instance) killRedis() {
	if pid := i.redisPID(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended meanwhile
	}
}

// clean leaves nothing running.
func (i *instance) clean() {
	if i.t.Failed() {
		i.t.Logf("the log ends:\n%s", i.tail())
	}
	i.kill()
	i.killRedis()
	for n := 0; i.redisPID() != 0 && n < 500; n++ {
		time.Sleep(10 * time.Millisecond)
	}
	i.http.CloseIdleConnections()
	i.log.Close()
}

func (i *instance) logged() []byte {
	b, err := os.ReadFile(i.log.Name())
	if err != nil {
		i.t.Fatal(err)
	}
	return b
}

func (i *instance) tail() []byte {
	b, _ := os.ReadFile(i.log.Name())
	return b[max(0, len(b)-6000):]
}

// eventually fails the test unless ok becomes true within a minute: tests share their machine.
func (i *instance) eventually(what string, ok func() bool) {
	i.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			i.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// cli runs a command of the real binary against the daemon.
func (i *instance) cli(args ...string) (out string, err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(binary(i.t), append([]string{"--config", i.config}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("leadstream %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// run is cli for a command that must work.
func (i *instance) run(args ...string) string {
	i.t.Helper()
	out, err := i.cli(args...)
	if err != nil {
		i.t.Fatal(err)
	}
	return out
}

// pause stops deliveries, once Redis is there to note it.
func (i *instance) pause() {
	i.t.Helper()
	i.eventually("the destination is paused", func() bool { _, err := i.cli("pause", "crm", "--reason", "moving house"); return err == nil })
}

// status is what `leadstream status --json` says; ok is false while the daemon does not answer.
func (i *instance) status() (s Status, ok bool) {
	out, err := i.cli("status", "--json")
	if err != nil {
		return s, false
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		i.t.Fatal(err)
	}
	return s, true
}

// heldAddress is where a held socket listens.
func heldAddress(t testing.TB, f *os.File) string {
	t.Helper()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // a copy
	return l.Addr().String()
}
