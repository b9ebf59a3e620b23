//go:build linux

package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leadstream/daemon/proof"
	"leadstream/sinks/records"
)

// A hot lead that nobody answers pages the manager once, over a kill of the daemon too, until a person's answer is told.
func TestUnansweredHotLeadPages(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{Records: records.Embedded, Tagging: ", rules: [{when: 'event == \"\"', hot: true}]",
		More: "alerts: {every: 200ms, group_wait: 0s, group_interval: 1s, quiet_from: \"\", quiet_until: \"\"}\n" +
			"answers: {unanswered: {after: 1s, hours: {mon-sun: \"00:00-24:00\"}}, channels: {telegram: {kind: telegram, token: \"110201543:a-token-of-nobody\", base_url: \"%s\", allow_private: true}}}\n"})
	post := func(body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.URL("/v1/leads"), strings.NewReader(body))
		i.must(err)
		req.Header.Set("Authorization", "Bearer "+i.Key)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		i.must(err)
		i.must(res.Body.Close())
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s for %s", res.Status, body)
		}
	}
	alarms := func(head string) (n int) {
		for _, m := range i.told("A hot lead has waited") {
			if strings.HasPrefix(m.Text, head) {
				n++
			}
		}
		return n
	}
	post(`{"phone": "+79990000011", "message": "Нужна запись сегодня, срочно"}`)
	i.eventually("the manager is paged", func() bool { return alarms("Alarm") > 0 })
	i.eventually("that is kept", func() bool { // a kill before it pages once more: rather that than not at all
		raw, err := os.ReadFile(filepath.Join(i.Data, "alerts.json"))
		return err == nil && strings.Contains(string(raw), "notified\":{\"")
	})
	i.Kill()
	i.start()
	if out := i.run("alerts"); !strings.Contains(out, "A hot lead has waited") {
		t.Errorf("leadstream alerts: %s", out)
	}
	post(`{"event": "answered", "phone": "+79990000011"}`)
	i.eventually("the page is over", func() bool { return alarms("Over") > 0 })
	if n := alarms("Alarm"); n != 1 {
		t.Errorf("paged %d times", n)
	}
	if out := i.run("status"); !strings.Contains(out, "1 of 1 answered") {
		t.Errorf("leadstream status: %s", out)
	}
}
