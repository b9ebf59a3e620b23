package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"leadstream/processors/monitor"
)

// closeConfig makes the drill's config of a config.yaml.
func closeConfig(t *testing.T, text string) (cfg *Config, written string, set *drillSetup, err error) {
	t.Helper()
	sims, err := newSimulators()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sims.Close(); err != nil {
			t.Error(err)
		}
	})
	var out bytes.Buffer
	term := &terminal{Context: t.Context(), lang: "en", out: io.Discard, err: &out, config: write(t, text)}
	if err := os.WriteFile(filepath.Join(filepath.Dir(term.config), "intents.yaml"), []byte(few), 0o600); err != nil {
		t.Fatal(err)
	}
	set = &drillSetup{Dir: t.TempDir(), Data: "data", Listen: "127.0.0.1:8080", Socket: "leadstream.sock", Shorten: 10}
	cfg, path, err := term.drillConfig(set, sims)
	if err != nil {
		return nil, out.String(), set, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, string(b), set, nil
}

// TestDrillLeavesNoRealAddress drills a config that has every key of every kind, on a machine without its secrets.
func TestDrillLeavesNoRealAddress(t *testing.T) {
	text := everyKey(t)
	for old, real := range map[string]string{"heartbeat: \"\"": `heartbeat: "https://beat.real.example/ping"`,
		"proxy: \"\"": `proxy: "http://proxy.real.example:3128"`, "ca_file: \"\"": `ca_file: "/etc/real.pem"`,
		"#redis:": "redis:", "url: embedded": `url: "redis://:hush@redis.real.example:6379/0"`, "headers: {}": `headers: {X-Real: "https://head.real.example"}`} {
		if !strings.Contains(text, old) && old != "#redis:" {
			t.Fatalf("config.yaml has no %s: nothing is tested", old)
		}
		text = strings.ReplaceAll(text, old, real)
	}
	cfg, written, set, err := closeConfig(t, text)
	if err != nil {
		t.Fatal(err, written)
	}
	for _, real := range []string{"real.example", "hush", "BITRIX24_WEBHOOK", "TELEGRAM_TOKEN", "api.telegram.org", "smsc.ru", "sms.ru", "twilio.com",
		"smtp.example", "hook.example", "sms.example", "127.0.0.1:13013", "/etc/real.pem", "79990000011", "manager@example", "AC00000000000000000000000000000000"} {
		if strings.Contains(written, real) {
			t.Errorf("the drill's config still has %q", real)
		}
	}
	kept := map[string]bool{}
	for _, s := range cfg.Sinks {
		kept[s.Kind] = true
	}
	for kind := range kinds {
		if !kept[kind] {
			t.Errorf("kind %s is not in the test's config", kind)
		}
	}
	if cfg.Redis.URL != Embedded || cfg.Alerts.Heartbeat != "" || cfg.Alerts.Every != time.Second || len(set.Keys) != len(cfg.Sources) {
		t.Errorf("redis %q, heartbeat %q, every %s, %d keys of %d sources", cfg.Redis.URL, cfg.Alerts.Heartbeat, cfg.Alerts.Every, len(set.Keys), len(cfg.Sources))
	}
}

// TestDrillKeepsNoAddress holds the lists of kept keys against every key that could lead outside or hold a secret.
func TestDrillKeepsNoAddress(t *testing.T) {
	outside := []string{"url", "check_url", "base_url", "host", "port", "proxy", "ca_file", "to", "chat", "headers", "body", "username", "login",
		"password", "account", "token", "secrets", "api_key", "api_id", "key", "secret", "allow_private", "title", "buttons"}
	for kind, k := range kinds {
		if kind == recordsKind {
			continue // no user's block names it; a drill has its own in its folder
		}
		stand, ok := standIns[kind]
		if !ok {
			t.Errorf("kind %s has no stand-in: it cannot be drilled", kind)
		}
		own := map[string]reflect.Type{}
		addFields(own, reflect.TypeOf(k.Settings()).Elem())
		for _, key := range stand.keep {
			if _, known := own[key]; !known || slices.Contains(outside, key) || secretKey.MatchString(key) {
				t.Errorf("kind %s keeps %q", kind, key)
			}
		}
	}
	for kind := range standIns {
		if _, ok := kinds[kind]; !ok {
			t.Errorf("there is no kind %s", kind)
		}
	}
}

func TestDrillKeepsTheOwnersSettings(t *testing.T) {
	cfg, written, set, err := closeConfig(t, `
language: en
time_zone: Asia/Krasnoyarsk
partitions: 3
redis: {url: embedded, max_memory: 64mb}
sources:
  tilda: {preset: tilda, keys: ["${env:NOT_THERE}"], fields: {fio: name}}
  page: {public: true, origins: ["https://salon.example"]}
triage: {dedupe_window: 5m, examples: [intents.yaml], services: [Маникюр], llm: {url: "https://llm.salon.example/v1", key: "${env:NOT_THERE}", model: m}}
tagging: {rules: [{when: 'has(message, "price")', tags: [price]}]}
sinks:
  crm: &crm {kind: bitrix24, url: "https://salon.bitrix24.ru/rest/1/hush/", rate: {per_second: 1, burst: 7}, batch: 9, fields: {level: ufCrm_1700000001},
    stage: WON, assigned_by: 7, task: {kind: task, responsible: 12, deadline: 3m}, retry: {attempts: 9, base: 1s, factor: 3, max: 60s, jitter: 0.1}}
  second: {<<: *crm, late_after: 3m}
  manager: {kind: telegram, token: "${env:NOT_THERE}", chat: -100500}
tell: {sinks: [manager], csv: /srv/real/manual.csv}
alerts: {rules: [{name: queue_length, when: queue_length > 7, for: 1m}]}
`)
	if err != nil {
		t.Fatal(err, written)
	}
	crm := cfg.Sinks["crm"]
	got := fmt.Sprintln(cfg.Partitions, cfg.Redis.MaxMemory, cfg.Triage.DedupeWindow, len(cfg.Triage.Examples), cfg.Triage.Services[0].Name, len(cfg.Tagging.Rules), crm.Rate, crm.Retry.Attempts, cfg.Sinks["second"].LateAfter, cfg.Tell.CSV)
	if want := "3 64mb 5m0s 1 Маникюр 1 {1 7} 9 3m0s manual.csv\n"; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
	for _, want := range []string{"ufCrm_1700000001", "batch: 9", "fio: name", "preset: tilda", "per_second: 50", "kind: task"} {
		if !strings.Contains(written, want) {
			t.Errorf("the drill's config has no %q", want)
		}
	}
	for _, gone := range []string{"hush", "NOT_THERE", "WON", "assigned_by", "responsible: 12", "100500", "salon", "/srv/real"} {
		if strings.Contains(written, gone) {
			t.Errorf("the drill's config has %q", gone)
		}
	}
	i := slices.IndexFunc(cfg.Alerts.Rules, func(r monitor.Rule) bool { return r.Name == "queue_length" })
	if r := cfg.Alerts.Rules[i]; r.When != "queue_length > 7" || r.For != 6*time.Second {
		t.Errorf("rule %+v", r)
	}
	if len(set.Keys) != 2 || cfg.Sinks["crm"].Settings == cfg.Sinks["second"].Settings {
		t.Errorf("keys %v", set.Keys)
	}
}

func TestDrillRefusesAConfigThatCannotRun(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"unknown key":       {"sinks: {crm: {kind: csv, pth: x}}", "sinks.crm.pth: unknown key"},
		"unknown top key":   {"snks: {}", "snks: unknown key"},
		"a kind is missing": {"sinks: {crm: {}}", "sinks.crm"},
		"not YAML":          {"a: [", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, said, _, err := closeConfig(t, c.text)
			if code := (&terminal{err: io.Discard, lang: "en"}).exitCode(err); code != exitUsage || !strings.Contains(said, c.says) {
				t.Errorf("exit code %d (%v), said %q; want 2 and %q", code, err, said, c.says)
			}
		})
	}
}

// TestDrillGuardStops sees the last guard find what the lists have let through.
func TestDrillGuardStops(t *testing.T) {
	sims, err := newSimulators()
	if err != nil {
		t.Fatal(err)
	}
	defer sims.Close()
	for name, c := range map[string]string{
		"a portal":          `sinks: {crm: {kind: bitrix24, url: "https://salon.bitrix24.ru/rest/1/hush/"}}`,
		"a local gateway":   `sinks: {sms: {kind: kannel, to: "+79990000011", from: "79990000012", url: "http://127.0.0.1:13013/send", username: u, password: p, allow_private: true}}`,
		"a mail server":     `sinks: {mail: {kind: email, host: 127.0.0.1, port: 25, tls: none, from: a@example.test, to: b@example.test}}`,
		"a header":          `sinks: {hook: {kind: webhook, url: "` + sims.hook("hook", true) + `", headers: {X: "https://a.example"}, allow_private: true}}`,
		"a proxy":           `sinks: {hook: {kind: webhook, url: "` + sims.hook("hook", true) + `", proxy: "http://a.example:1", allow_private: true}}`,
		"the owner's Redis": "redis: redis://127.0.0.1:6379\nsinks: {table: {kind: csv}}",
		"a token":           "sources: {tg: {preset: telegram, poll: true, token: x}}\nsinks: {table: {kind: csv}}",
		"another's server":  "sources: {vk: {preset: vk, poll: true, token: x, base_url: 'https://vk.example'}}\nsinks: {table: {kind: csv}}",
		"a source's proxy":  "sources: {vk: {preset: vk, poll: true, token: x, base_url: '" + sims.phone.URL() + "', proxy: 'http://a.example:1'}}\nsinks: {table: {kind: csv}}",
		"a mailbox":         "sources: {post: {preset: mail, mail: {host: imap.example, username: a@b.example, password: x}}}\nsinks: {table: {kind: csv}}",
		"a public address":  "sources: {tg: {preset: telegram, secrets: [x], url: 'https://salon.example/in/tg'}}\nsinks: {table: {kind: csv}}",
		"a heartbeat":       "alerts: {heartbeat: 'https://beat.example/'}\nsinks: {table: {kind: csv}}",
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _, err := Load(write(t, c))
			if err != nil {
				t.Fatal(err)
			}
			if err := sims.onlyHere(cfg); err == nil {
				t.Error("it was let through")
			} else if strings.Contains(err.Error(), "hush") {
				t.Errorf("a secret in %q", err)
			}
		})
	}
}

func TestRelativeSecretFilesAreFound(t *testing.T) {
	dir := t.TempDir()
	got := absoluteFiles(map[string]any{"a": []any{"x ${file:secret} ${file:/b}"}}, dir)
	want := map[string]any{"a": []any{"x ${file:" + filepath.Join(dir, "secret") + "} ${file:/b}"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
