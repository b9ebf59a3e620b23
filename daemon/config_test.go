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

// rest is what every config.yaml needs, to put behind the lines that a case is about.
const rest = `
sources: {site: {public: true, origins: ["https://example.test"]}}
sinks:
  table: {kind: csv}
  boss: {kind: telegram, token: "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0", chat: 1000001}
`
const told = rest + "tell: {sinks: [boss]}\n"

func TestFaults(t *testing.T) {
	t.Setenv("LANG", "C")
	t.Setenv("LC_ALL", "")
	t.Setenv("LC_MESSAGES", "")
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	tests := map[string]struct {
		yaml string
		want []string
	}{
		"empty file": {"", []string{"sinks: leads would go nowhere; add a sink; the simplest is {kind: csv}", "sources: nobody can send; add a source"}},
		"good":       {"language: en\n" + told, nil},
		"nobody is told": {"language: en\n" + rest,
			[]string{"tell.sinks: nobody is told of leads that are late or dead; name a telegram, sms or email sink"}},
		"unknown key": {"language: en\nlissten: 127.0.0.1:1\n" + told, []string{`line 2: lissten: unknown key; did you mean "listen"?`}},
		"unknown key far from any": {"language: en\nlog: {zzzzzzzz: 1}\n" + told,
			[]string{`line 2: log.zzzzzzzz: unknown key; use one of: format, level`}},
		"duplicate key": {"language: en\nlog:\n  level: info\n  level: warn\n" + told,
			[]string{"line 4: log.level: the key is already set on line 3; keep one of them"}},
		"tab": {"language: en\nlog:\n\tlevel: info\n", []string{"line 3: a tab in the indentation; indent with spaces"}},
		"not yaml": {"language: en\nlog: [\n", []string{
			"line 2: this is not YAML (did not find expected node content); look at this line and its neighbours: indentation, colons, quotes"}},
		"a list": {"- a\n", []string{"line 1: there are no keys; write `key: value` lines"}},
		"bad duration": {"language: en\nretention: 7 days\n" + told,
			[]string{"line 2: retention: must be a duration; write a number and its unit: 30s, 10m, 2h, 7d"}},
		"duration without unit": {"language: en\nretention: 600\n" + told,
			[]string{"line 2: retention: must be a duration; write a number and its unit: 30s, 10m, 2h, 7d"}},
		"retention too short": {"language: en\nretention: 1h\n" + told,
			[]string{"line 2: retention: shorter than the 48 h for which a repeated request is known; write 48h or more"}},
		"wrong types, all at once": {"language: en\npartitions: many\nlog: info\ntell: {sinks: {a: b}}\n" + rest, []string{
			"line 2: partitions: must be a whole number; write digits, like 5",
			"line 3: log: must be a block of keys; write its keys on the lines below, indented",
			"line 4: tell.sinks: must be a list; write it as [a, b]",
		}},
		"unknown zone": {"language: en\ntime_zone: Krasnoyarsk\n" + told,
			[]string{`line 2: time_zone: unknown time zone "Krasnoyarsk"; write it like Asia/Krasnoyarsk (timedatectl list-timezones)`}},
		"unknown level": {"language: en\nlog: {level: warning}\n" + told, []string{`line 2: log.level: unknown value "warning"; did you mean "warn"?`}},
		"no address":    {"language: en\nlisten: '8080'\n" + told, []string{`line 2: listen: "8080" is no address; write host:port, say 127.0.0.1:8080`}},
		"redis URL with a password": {"language: en\nredis: http://user:hush@host\n" + told,
			[]string{"line 2: redis: redis URL: unknown scheme: use redis://user:password@host:6379/0, rediss://…, unix:///path/to/redis.sock, " +
				"redis+sentinel://host1:26379,host2:26379/mymaster or redis+cluster://host1:6379,host2:6379; or write embedded"}},
		"missing env": {"language: en\nredis: {url: '${env:NO_SUCH_NAME}'}\n" + told,
			[]string{"line 2: redis.url: the environment has no NO_SUCH_NAME; export NO_SUCH_NAME=… before the start, or use ${credential:…} under systemd"}},
		"missing credential": {"language: en\nredis: {url: '${credential:redis}'}\n" + told,
			[]string{"line 2: redis.url: there is no credential redis; add LoadCredential=redis:/path to leadstream.service (systemctl edit leadstream)"}},
		"bad reference": {"language: en\nredis: {url: '${HOME}'}\n" + told,
			[]string{"line 2: redis.url: ${HOME} says nothing; write ${env:NAME}, ${file:PATH} or ${credential:NAME}, or $${…} for the text itself"}},
		"unknown kind": {"language: en\nsinks: {crm: {kind: telegramm}}\nsources: {site: {public: true, origins: [\"*\"]}}\n", []string{
			"tell.sinks: nobody is told of leads that are late or dead; name a telegram, sms or email sink",
			`line 2: sinks.crm.kind: unknown kind "telegramm"; did you mean "telegram"?`,
		}},
		"unknown key of a kind": {"language: en\nsinks: {crm: {kind: csv, seperator: ';'}}\nsources: {site: {public: true, origins: [\"*\"]}}\n", []string{
			"tell.sinks: nobody is told of leads that are late or dead; name a telegram, sms or email sink",
			`line 2: sinks.crm.seperator: unknown key; did you mean "separator"?`,
		}},
		"sink that is not there": {"language: en\ntell: {sinks: [bos]}\n" + rest,
			[]string{`line 2: tell.sinks: there is no other sink "bos"; did you mean "boss"?`}},
		"rule that is no expression": {"language: en\ntagging: {rules: [{when: 'message ==', hot: true}]}\n" + told, []string{
			"line 2: tagging.rules[0].when: unexpected token EOF (1:10); write an expression that is true or false, " +
				`as in intent == "price" and count_word(message, "скидк") > 3`}},
		"key of the whole in a part": {"language: en\nintake: {listen: '127.0.0.1:1'}\n" + told,
			[]string{`line 2: intake.listen: unknown key; use one of: connections, connections_per_ip, idle_timeout, in_flight_bytes, max_body, max_header, ` +
				`read_header_timeout, read_timeout, stranger_rate, take_timeout, trusted_proxies, write_timeout`}},
		"in Russian": {"language: ru\nlissten: 127.0.0.1:1\n" + told, []string{`line 2: lissten: неизвестный ключ; возможно, имелось в виду "listen"?`}},
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
