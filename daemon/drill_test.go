//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"leadstream/daemon/drill"
	"leadstream/sinks/sim/fault"
)

// quickSinks are an owner's sinks on a machine that has none of the secrets, with waits that suit a test.
const quickSinks = `
language: en
sources: {site: {keys: ["${env:NO_SUCH_KEY}"]}}
sinks:
  crm: {kind: bitrix24, url: "${env:NO_SUCH_WEBHOOK}", retry: {attempts: 50, base: 200ms, factor: 1.5, max: 1s, jitter: 0.2}, breaker: {failures: 5, of: 5, delay: 300ms, max_delay: 1s}}
  table: {kind: csv}
  manager: {kind: telegram, token: "${env:NO_SUCH_TOKEN}", chat: 5}
tell: {sinks: [manager]}
`

// playedSource is what the tests look at of a source.
type playedSource struct {
	Name     string
	Way      drill.Way
	Sent     int
	Accepted int
	Arrived  int `json:"delivered"`
	Lost     int
	Doubled  int
	Again    int `json:"told_again"`
	Aside    int `json:"no_leads"`
}

// readReport decodes what --json printed, as far as the tests look at it.
func readReport(t *testing.T, b []byte) (r struct {
	OK, Stopped bool
	Totals      drill.Totals
	Phases      []struct {
		Name     string
		Sent     int
		Recovery *float64
	}
	Destinations []struct {
		Name    string
		Checked bool
	}
	Sources        []playedSource
	Faults, Advice []string
}) {
	t.Helper()
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return r
}

func TestDrill(t *testing.T) {
	t.Parallel()
	config, dir := write(t, quickSinks), shortDir(t)
	page := filepath.Join(t.TempDir(), "drill.html")
	var out, said bytes.Buffer
	cmd := exec.Command(binary(t), "-c", config, "drill", "--quick", "--for=1s", "--broken=1s", "--peak=100/h", "--crm-latency=50ms",
		"--faults=crm-down,daemon-killed", "--json", "--html", page, "--dir", dir)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, said.String(), out.String())
	}
	r := readReport(t, out.Bytes())
	if n := r.Totals.Accepted; !r.OK || n != r.Totals.Delivered || n < 36 || r.Totals.Broken() {
		t.Errorf("ok %v, totals %+v, faults %v", r.OK, r.Totals, r.Faults)
	}
	if len(r.Phases) != 5 || len(r.Destinations) != 2 || !r.Destinations[0].Checked || !r.Destinations[1].Checked || len(r.Advice) == 0 {
		t.Errorf("%d phases, destinations %+v, advice %v", len(r.Phases), r.Destinations, r.Advice)
	}
	for i, p := range r.Phases {
		if p.Sent == 0 || (p.Recovery != nil) != (i >= 3) {
			t.Errorf("phase %s: %d sent, recovery %v", p.Name, p.Sent, p.Recovery)
		}
	}
	if b, err := os.ReadFile(page); err != nil || !bytes.Contains(b, []byte("PASSED")) {
		t.Errorf("the page: %v, %d bytes", err, len(b))
	}
	if !strings.Contains(said.String(), "It takes about") {
		t.Errorf("no plan was shown: %s", said.String())
	}
	nothingLeft(t, dir)
}

// nothingLeft sees that a drill has taken its folder and its processes with it.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	all, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range all {
		if at, err := os.Readlink(link); err == nil && strings.HasPrefix(at, dir) {
			t.Errorf("%s still runs in %s", link, at)
		}
	}
}

// TestDrillFindsWhatIsBroken drills with a far side that says yes to one lead and does nothing with it.
func TestDrillFindsWhatIsBroken(t *testing.T) {
	for name, c := range map[string]struct {
		fault  fault.Fault
		broken func(drill.Totals) int
	}{
		"dropped after 2xx": {fault.Fault{Method: "post", Times: 1, Status: 200, ContentType: "application/json", Body: `{"ok":true}`},
			func(t drill.Totals) int { return t.Lost }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			var out bytes.Buffer
			term := &terminal{Context: t.Context(), lang: "en", out: &out, err: io.Discard, config: write(t, `sinks: {hook: {kind: webhook, url: "https://hook.example.test/leads"}}`)}
			err := drillCmd{Quick: true, For: time.Second, Broken: time.Second, Faults: "none", Peak: "100/h", JSON: true, Dir: dir, binary: binary(t),
				sabotage: func(s *simulators) { s.clear(); s.inject(c.fault) }}.Run(term)
			if code := term.exitCode(err); code != exitFailed {
				t.Fatalf("exit code %d (%v), want 1\n%s", code, err, out.String())
			}
			if r := readReport(t, out.Bytes()); r.OK || c.broken(r.Totals) != 1 || len(r.Faults) == 0 {
				t.Errorf("ok %v, totals %+v, faults %v", r.OK, r.Totals, r.Faults)
			}
			nothingLeft(t, dir)
		})
	}
}

// TestDrillIsStopped sends Ctrl-C in the middle: what was done is reported, and nothing is left behind.
func TestDrillIsStopped(t *testing.T) {
	t.Parallel()
	config, dir := write(t, quickSinks), shortDir(t)
	var out bytes.Buffer
	said := &spoken{}
	cmd := exec.Command(binary(t), "-c", config, "drill", "--for=30s", "--peak=6000/h", "--html=", "--dir", dir, "--json")
	cmd.Stdout, cmd.Stderr = &out, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(said.String(), "\npeak ×1"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not begin: %s", said.String())
		}
	}
	time.Sleep(time.Second)                                                // so that some leads are sent
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil { // the terminal tells the whole group
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, said.String(), out.String())
	}
	r := readReport(t, out.Bytes())
	if !r.Stopped || !r.OK || len(r.Phases) != 1 {
		t.Errorf("stopped %v, ok %v, %d phases, totals %+v, faults %v", r.Stopped, r.OK, len(r.Phases), r.Totals, r.Faults)
	}
	nothingLeft(t, dir)
}

// spoken keeps what a running command says.
type spoken struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *spoken) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *spoken) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestDrillUsage(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no peak known":   {nil, "--peak 200/h"},
		"not a peak":      {[]string{"--peak=200"}, "--peak"},
		"not a fault":     {[]string{"--peak=200/h", "--faults=fire"}, `"fire"`},
		"too short":       {[]string{"--peak=200/h", "--for=10ms"}, "--for"},
		"no such source":  {[]string{"--peak=200/h", "--source=moon"}, `"moon"`},
		"no such folder":  {[]string{"--peak=200/h", "--dir=/no/such/folder"}, "--dir"},
		"a kind unknown":  {[]string{"--peak=200/h", "-c", write(t, "sinks: {crm: {kind: fax}}")}, "fax"},
		"nobody's config": {[]string{"--peak=200/h", "-c", "/no/such/config.yaml"}, "--config"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, said bytes.Buffer
			args := append([]string{"-c", write(t, quickSinks), "drill", "--html="}, c.args...)
			if code := execute(args, strings.NewReader(""), &out, &said); code != exitUsage || !strings.Contains(said.String(), c.says) {
				t.Errorf("exit code %d, said %q; want 2 and %q", code, said.String(), c.says)
			}
		})
	}
}
