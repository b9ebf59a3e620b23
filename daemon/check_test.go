package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leadstream/streams/streamstest"
)

// checked runs `leadstream check --json` and gives the state of each finding by its name.
func checked(t *testing.T, yaml string) (code int, states, details map[string]string) {
	t.Helper()
	code, out, errs := command(t, "", "check", "--json", "--timeout", "5s", "-c", write(t, yaml))
	var found []Finding
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	states, details = map[string]string{}, map[string]string{}
	for _, f := range found {
		states[f.What], details[f.What] = f.State, f.Detail+f.Cure
	}
	return code, states, details
}

// telegramBot answers as api.telegram.org does to a known bot.
func telegramBot(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"ok":true,"result":{"id":1000001,"type":"private"}}`))
	}))
	t.Cleanup(s.Close)
	return s
}

const oneSource = `
language: en
sources: {site: {public: true, origins: ["https://example.test"]}}
`

func TestCheck(t *testing.T) {
	english(t)
	bot := telegramBot(t)
	boss := `boss: {kind: telegram, allow_private: true, token: "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0", chat: 1000001, base_url: "` + bot.URL + `"}`
	code, states, details := checked(t, oneSource+"sinks: {table: {kind: csv}, "+boss+"}\ntell: {sinks: [boss]}\n")
	for _, what := range []string{"config", "redis", "data_dir", "sinks.table", "sinks.boss"} {
		if states[what] != stateOK && !(what == "data_dir" && states[what] == stateWarning) {
			t.Errorf("%s is %q: %s", what, states[what], details[what])
		}
	}
	if code != exitOK {
		t.Errorf("exit %d", code)
	}
}

func TestCheckFindsFaults(t *testing.T) {
	english(t)
	gone := telegramBot(t)
	gone.Close()
	readOnly := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(readOnly, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		yaml, what, detail string
	}{
		"no redis-server": {"redis: {server: no-such-redis-server}\nsinks: {table: {kind: csv}}\n", "redis", "apt-get install redis-server"},
		"no Redis":        {"redis: redis://127.0.0.1:1\nsinks: {table: {kind: csv}}\n", "redis", "does not answer"},
		"no folder":       {"data_dir: " + readOnly + "/data\nsinks: {table: {kind: csv}}\n", "data_dir", "not a directory"},
		"sink away": {`sinks: {boss: {kind: telegram, allow_private: true, token: "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0", chat: 1, base_url: "` +
			gone.URL + "\"}, table: {kind: csv}}\n", "sinks.boss", "refused"},
		"channel away": {`sinks: {table: {kind: csv}}
answers: {channels: {telegram: {kind: telegram, allow_private: true, token: "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0", base_url: "` + gone.URL + "\"}}}\n",
			"answers.channels.telegram", "refused"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			code, states, details := checked(t, oneSource+tc.yaml)
			if code != exitFailed || states[tc.what] != stateFault || !strings.Contains(details[tc.what], tc.detail) {
				t.Errorf("exit %d, %s is %q: %s", code, tc.what, states[tc.what], details[tc.what])
			}
			for what, text := range details {
				if strings.Contains(text, "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0") {
					t.Errorf("%s shows the token: %s", what, text)
				}
			}
		})
	}
}

// TestCheckRedis holds the check against a server as Debian ships it: no appendonly, and, here, one that evicts.
func TestCheckRedis(t *testing.T) {
	english(t)
	server := streamstest.Redis(t)
	url := "redis: unix://" + server.Addr + "\nsinks: {table: {kind: csv}}\n"
	if code, states, details := checked(t, oneSource+url); code != exitOK || states["redis"] == stateFault {
		t.Errorf("exit %d, redis is %q: %s", code, states["redis"], details["redis"])
	}
	if err := server.Client.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err != nil {
		t.Fatal(err)
	}
	code, out, _ := command(t, "", "check", "-c", write(t, strings.Replace(oneSource, "en", "ru", 1)+url))
	if code != exitFailed || !strings.Contains(out, "ОШИБКА") || !strings.Contains(out, "Redis выбросит очереди целиком") {
		t.Errorf("exit %d\n%s", code, out)
	}
}
