package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write puts a config.yaml that only its owner reads into a fresh folder.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, path string) (*Config, []string) {
	t.Helper()
	cfg, faults, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{}
	for _, f := range faults {
		lines = append(lines, f.String())
	}
	return cfg, lines
}

func TestFaults(t *testing.T) {
	t.Setenv("LANG", "C")
	t.Setenv("LC_ALL", "")
	t.Setenv("LC_MESSAGES", "")
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	tests := map[string]struct {
		yaml string
		want []string
	}{
		"empty file":  {"", nil},
		"only prose":  {"# nothing yet\n", nil},
		"unknown key": {"language: en\nlissten: 127.0.0.1:1\n", []string{`line 2: lissten: unknown key; did you mean "listen"?`}},
		"unknown key far from any": {"language: en\nlog: {zzzzzzzz: 1}\n",
			[]string{`line 2: log.zzzzzzzz: unknown key; use one of: format, level`}},
		"duplicate key": {"language: en\nlog:\n  level: info\n  level: warn\n",
			[]string{"line 4: log.level: the key is already set on line 3; keep one of them"}},
		"tab": {"language: en\nlog:\n\tlevel: info\n", []string{"line 3: a tab in the indentation; indent with spaces"}},
		"not yaml": {"language: en\nlog: [\n", []string{
			"line 2: this is not YAML (did not find expected node content); look at this line and the one above: indentation, colons, quotes"}},
		"a list": {"- a\n", []string{"line 1: there are no keys; write `key: value` lines"}},
		"bad duration": {"language: en\nretention: 7 days\n",
			[]string{"line 2: retention: must be a duration; write a number and its unit: 30s, 10m, 2h, 7d"}},
		"duration without unit": {"language: en\nretention: 600\n",
			[]string{"line 2: retention: must be a duration; write a number and its unit: 30s, 10m, 2h, 7d"}},
		"retention too short": {"language: en\nretention: 1h\n",
			[]string{"line 2: retention: shorter than the 48 h for which a repeated request is known; write 48h or more"}},
		"wrong types, all at once": {"language: en\npartitions: many\nlog: info\ntell: {sinks: {a: b}}\n", []string{
			"line 2: partitions: must be a whole number; write digits, like 5",
			"line 3: log: must be a block of keys; write its keys on the lines below, indented",
			"line 4: tell.sinks: must be a list; write it as [a, b]",
		}},
		"unknown zone": {"language: en\ntime_zone: Krasnoyarsk\n",
			[]string{`line 2: time_zone: unknown time zone "Krasnoyarsk"; write it like Asia/Krasnoyarsk (timedatectl list-timezones)`}},
		"unknown level": {"language: en\nlog: {level: warning}\n", []string{`line 2: log.level: unknown value "warning"; did you mean "warn"?`}},
		"no address":    {"language: en\nlisten: '8080'\n", []string{`line 2: listen: "8080" is no address; write host:port, like 127.0.0.1:8080`}},
		"redis URL with a password": {"language: en\nredis: http://user:hush@host\n",
			[]string{"line 2: redis: neither `embedded` nor a Redis URL; write embedded, redis://host:6379/0, rediss://… or unix:///path"}},
		"missing env": {"language: en\nredis: {password: '${env:NO_SUCH_NAME}'}\n",
			[]string{"line 2: redis.password: the environment has no NO_SUCH_NAME; export NO_SUCH_NAME=… before the start, or use ${credential:…} under systemd"}},
		"missing credential": {"language: en\nredis: {password: '${credential:redis}'}\n",
			[]string{"line 2: redis.password: there is no credential redis; add LoadCredential=redis:/path to leadstream.service (systemctl edit leadstream)"}},
		"bad reference": {"language: en\nredis: {password: '${HOME}'}\n",
			[]string{"line 2: redis.password: ${HOME} says nothing; write ${env:NAME}, ${file:PATH} or ${credential:NAME}, or $${…} for the text itself"}},
		"in Russian": {"language: ru\nlissten: 127.0.0.1:1\n", []string{`line 2: lissten: неизвестный ключ; возможно, имелось в виду "listen"?`}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, got := load(t, write(t, tc.yaml))
			if diff := cmp.Diff(tc.want, got, cmp.Transformer("nil", func(s []string) string { return strings.Join(s, "\n") })); diff != "" {
				t.Error(diff)
			}
		})
	}
}
