package poll

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/daemon/intake"
	"leadstream/sinks/sim/max"
	"leadstream/sinks/sim/vk"
)

// theirs runs what others wrote and answers what it says, line by line.
func theirs(t *testing.T, args ...string) func(out any) {
	t.Helper()
	const folder = "../channel/testdata/clients"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("%v: run scripts/npm-test-deps once", err)
	}
	if _, err := os.Stat(folder + "/node_modules/telegram-test-api"); err != nil {
		t.Fatalf("%v: run scripts/npm-test-deps once", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, node, append([]string{"polled.mjs"}, args...)...)
	cmd.Dir, cmd.Stderr = folder, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	t.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait() // ended by us
	})
	return func(v any) {
		t.Helper()
		line, err := lines.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, v)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
	}
}

// TestVKHeldToItsClient: vk-io finds in the simulated community what it would find in a real one.
func TestVKHeldToItsClient(t *testing.T) {
	c := vk.New(vk.Options{})
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(7, "до опроса")
	said := theirs(t, "vk", c.URL(), "vk1.a.community-token")
	var ready struct{ Conversations int }
	said(&ready)
	if ready.Conversations != 1 {
		t.Errorf("it sees %d conversations", ready.Conversations)
	}
	var sent struct{ Sent, Again, Stranger, Pressed int }
	said(&sent)
	if sent.Sent == 0 || sent.Sent != sent.Again || sent.Stranger != 901 || sent.Pressed <= sent.Sent || len(c.Told(7)) != 2 {
		t.Errorf("messages.send: %+v, told %q", sent, c.Told(7))
	}
	type told struct {
		User, Text, Number string
		Out                bool
	}
	for _, want := range []told{{"7", "раз", "4", false}, {"8", "два", "1", false}, {"7", "три", "5", false}} {
		c.Write(map[string]int64{"7": 7, "8": 8}[want.User], want.Text)
		var got told
		said(&got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestMaxHeldToItsClient: MAX's own client is told by the simulated MAX what people write.
func TestMaxHeldToItsClient(t *testing.T) {
	m := max.New(max.Options{})
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	mid := m.Write(120000001, "Анна", "раз")
	m.Begin(120000002, "Пётр", "banner")
	said := theirs(t, "max", m.URL(), "max-token")
	var sent struct {
		Sent     string
		Stranger int
	}
	said(&sent)
	if !strings.HasPrefix(sent.Sent, "mid.") || sent.Stranger != 404 || len(m.Told(120000001)) != 1 {
		t.Errorf("POST /messages: %+v, told %q", sent, m.Told(120000001))
	}
	type told struct{ User, Text, Mid, Start string }
	for _, want := range []told{{User: "120000001", Text: "раз", Mid: mid}, {User: "120000002", Start: "banner"}} {
		var got told
		said(&got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestTelegramOfOthers asks a Bot API server that others wrote: it waits for nothing and confirms nothing.
func TestTelegramOfOthers(t *testing.T) {
	said := theirs(t, "telegram", botToken)
	var server struct{ URL string }
	said(&server)
	w := newWorld(t, map[string]intake.Source{"tg": {Preset: "telegram", Poll: true, Token: botToken, BaseURL: server.URL, AllowPrivate: true}})
	stop := w.live()
	w.until("messages and a button are kept", func() bool { return w.leads() == 4 })
	if why := w.why("tg"); why != "" || w.quarantined() > 0 {
		t.Errorf("down: %q, %d in quarantine", why, w.quarantined())
	}
	stop()
}
