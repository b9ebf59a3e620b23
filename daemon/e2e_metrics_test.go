//go:build linux

package main

import (
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"leadstream/daemon/proof"
	"leadstream/sinks/sim/fault"
	"leadstream/streams"
)

func (i *instance) metrics() string {
	i.t.Helper()
	res, err := i.HTTP.Get(i.URL("/metrics"))
	if err != nil {
		i.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		i.t.Fatalf("/metrics: %s, %v", res.Status, err)
	}
	return string(b)
}

// series is our own metrics by name and labels.
func (i *instance) series() map[string]float64 {
	i.t.Helper()
	values := map[string]float64{}
	for line := range strings.Lines(i.metrics()) {
		name, text, _ := cutLast(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(name, "leadstream_") {
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			i.t.Fatal(err)
		}
		values[name] = v
	}
	return values
}

func cutLast(s, sep string) (before, after string, found bool) {
	at := strings.LastIndex(s, sep)
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+len(sep):], true
}

func (i *instance) metric(series string) float64 {
	i.t.Helper()
	v, ok := i.series()[series]
	if !ok {
		i.t.Errorf("no metric %s", series)
	}
	return v
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("install Debian's package prometheus: scripts/test does it")
	}
	i := newInstance(t, proof.Setup{})
	i.eventually("the queues are open", func() bool {
		s, ok := i.status()
		return ok && len(s.Problems) == 0
	})
	start := i.series()

	// Some of everything that happens to leads.
	l := i.ledger()
	first := l.one()
	l.must(repeat(first))
	l.must(l.says(first.Key, "+79998880001"))
	l.send(&proof.Request{Key: "bad", Body: "{"})
	i.quiet()
	for _, f := range []fault.Fault{{Times: 1, Code: "INTERNAL_SERVER_ERROR"}, {Times: 1, LoseAnswer: true}} {
		i.CRM.Inject(f)
		l.one()
		i.quiet()
	}
	i.CRM.Inject(fault.Fault{Code: "CRM_FIELD_ERROR_VALUE_NOT_VALID", Description: "Invalid value"})
	dead := l.one()
	i.eventually("the lead is dead", func() bool { return i.life(dead.LeadID).State == streams.Dead })

	end := i.series()
	for name := range end {
		if _, ok := start[name]; !ok {
			t.Errorf("%s was not there at the start: a rate over it misses its first event", name)
		}
	}
	for name, v := range start {
		if strings.Contains(name, "_total") && v != 0 {
			t.Errorf("%s is %v before anything has happened", name, v)
		}
	}
	if n := end[`leadstream_handled_total{queue="to:crm",result="done"}`]; n < 4 {
		t.Errorf("%v deliveries counted: nothing was tested", n)
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(i.metrics())
	if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
