package main

import (
	"bytes"
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadstream/processors"
	"leadstream/processors/monitor"
)

type sick struct{}

func (sick) Values() []monitor.Value { return []monitor.Value{{Name: "journal_unhealthy", V: 1}} }

type pocket struct{ n int }

func (p *pocket) Send(context.Context, processors.Message) error { p.n++; return nil }

func TestAlertIsTakenOn(t *testing.T) {
	english(t)
	manager, owner := &pocket{}, &pocket{}
	set := monitor.Defaults()
	set.AliveAt, set.GroupWait = "", 0
	set.Escalation = []monitor.Step{{To: []string{"manager"}}, {After: 5 * time.Minute, To: []string{"owner"}}}
	alerts, err := monitor.New(set, monitor.Options{Source: sick{}, Language: "en", Notifiers: map[string]processors.Notifier{"manager": manager, "owner": owner}})
	if err != nil {
		t.Fatal(err)
	}
	step := func(at time.Time) {
		if err := alerts.Step(context.Background(), at); err != nil {
			t.Fatal(err)
		}
	}
	config := write(t, "language: en\n"+told)
	l, err := listenUnix("admin", filepath.Join(filepath.Dir(config), "data", "leadstream.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: (&AdminAPI{Alerts: alerts, Language: "en", Log: zerolog.Nop()}).Handler(), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	run := func(args ...string) (int, string) {
		var out bytes.Buffer
		code := execute(append([]string{"--config", config}, args...), strings.NewReader(""), &out, &out)
		return code, out.String()
	}

	now := time.Now()
	if _, out := run("alerts"); strings.Contains(out, "journal") {
		t.Errorf("nothing is wrong yet: %s", out)
	}
	step(now)
	id := alerts.Alerts()[0].Fingerprint
	if code, out := run("alerts"); code != exitOK || !strings.Contains(out, id) || !strings.Contains(out, "The journal cannot be written") {
		t.Errorf("%d %s", code, out)
	}
	if code, out := run("alerts", "ack", "nothing1"); code != exitFailed || !strings.Contains(out, "there is no such thing") {
		t.Errorf("%d %s", code, out)
	}
	if code, out := run("alerts", "ack", id); code != exitOK {
		t.Errorf("%d %s", code, out)
	}
	if _, out := run("alerts", "list"); !strings.Contains(out, "yes") {
		t.Errorf("nobody sees to it: %s", out)
	}
	step(now.Add(time.Hour))
	if manager.n != 1 || owner.n != 0 {
		t.Errorf("the manager heard %d times, the owner %d", manager.n, owner.n)
	}
}
