package main

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"leadstream/daemon/channel"
	"leadstream/daemon/intake"
)

// A drill runs the user's own config.yaml with every way out of this machine closed: what is kept is listed here, and
// whatever is not listed is left out, so that a key of a later version cannot carry a real address along.

// drillTop are the blocks of config.yaml that a drill keeps; of sources, intake, sinks and alerts it keeps parts.
var drillTop = []string{"language", "region", "time_zone", "currency", "partitions", "retention", "triage", "tagging",
	"sources", "intake", "sinks", "answers", "tell", "alerts"}

// drillSource are the keys of a source that a drill keeps: how it is known, what it answers and what only people and
// pages need is the drill's own.
var drillSource = []string{"preset", "channel", "region", "language", "max_body", "fields", "rate", "concurrency"}

var drillIntake = []string{"max_body", "connections", "in_flight_bytes", "take_timeout", "read_header_timeout", "read_timeout",
	"write_timeout", "idle_timeout", "max_header"}

// standIn says what takes the place of a kind's address and secrets, and which of the kind's keys stay.
type standIn struct {
	keep []string
	put  func(s *simulators, name string, block map[string]any) map[string]any
}

// standIns are the kinds that can be drilled. A kind that is not here is refused.
var standIns = map[string]standIn{
	"bitrix24": {
		keep: []string{"entity", "contact", "api", "originator", "source", "fields", "task", "far_limit", "index_lag", "operating_limit", "batch"},
		put: func(s *simulators, name string, block map[string]any) map[string]any {
			put := map[string]any{"url": s.portal(name, customFields(block)), "allow_private": true}
			if task, ok := block["task"].(map[string]any); ok {
				task = maps.Clone(task)
				if _, named := task["responsible"]; named {
					task["responsible"] = 1 // the simulated portal's only employee
				}
				put["task"] = task
			}
			return put
		},
	},
	"csv": {
		keep: []string{"separator", "bom", "excel_phones", "columns"},
		put: func(_ *simulators, name string, _ map[string]any) map[string]any {
			return map[string]any{"path": name + ".csv"}
		},
	},
	"email": {
		put: func(s *simulators, name string, _ map[string]any) map[string]any {
			host, port := s.mailServer()
			return map[string]any{"host": host, "port": port, "tls": "none", "from": "drill@example.test", "to": s.mailbox(name)}
		},
	},
	"kannel": {
		keep: []string{"parts"},
		put: func(s *simulators, name string, _ map[string]any) map[string]any {
			return map[string]any{"to": s.number(name), "from": "79990000012", "url": s.phone.URL() + "/cgi-bin/sendsms",
				"username": "shop", "password": "secret", "allow_private": true}
		},
	},
	"sms_http": {
		keep: []string{"parts"},
		put: func(s *simulators, name string, _ map[string]any) map[string]any {
			return map[string]any{"to": s.number(name), "url": s.phone.URL() + "/gateway/send", "method": "POST",
				"content_type": "application/json", "body": `{"to": "{to}", "text": "{text}"}`, "allow_private": true}
		},
	},
	"smsc": {
		keep: []string{"parts", "look_after"},
		put: func(s *simulators, name string, _ map[string]any) map[string]any {
			return map[string]any{"to": s.number(name), "api_key": "secret", "base_url": s.phone.URL(), "allow_private": true}
		},
	},
	"smsru": {
		keep: []string{"parts"},
		put: func(s *simulators, name string, _ map[string]any) map[string]any {
			return map[string]any{"to": s.number(name), "api_id": "secret", "base_url": s.phone.URL(), "allow_private": true}
		},
	},
	"telegram": {
		keep: []string{"protect"},
		put: func(s *simulators, name string, _ map[string]any) map[string]any {
			return map[string]any{"token": "110201543:phone-token", "chat": s.chat(name), "base_url": s.phone.URL(), "allow_private": true}
		},
	},
	"twilio": {
		keep: []string{"parts", "look_after"},
		put: func(s *simulators, name string, _ map[string]any) map[string]any {
			return map[string]any{"to": s.number(name), "from": "+15005550006", "account": "AC00000000000000000000000000000001",
				"secret": "secret", "base_url": s.phone.URL(), "allow_private": true}
		},
	},
	"webhook": {
		keep: []string{"keyed"},
		put: func(s *simulators, name string, block map[string]any) map[string]any {
			keyed, said := block["keyed"].(bool)
			put := map[string]any{"url": s.hook(name, keyed || !said), "allow_private": true}
			if _, signed := block["secrets"]; signed {
				put["secrets"] = []string{"a signing key of the drill's own"}
			}
			return put
		},
	},
}

// customFields are the portal's own fields that the sink's `fields` write to, as UF_CRM_1700000001.
func customFields(block map[string]any) []string {
	fields, _ := block["fields"].(map[string]any)
	var names []string
	for _, v := range fields {
		if s, ok := v.(string); ok && strings.HasPrefix(strings.ToLower(strings.ReplaceAll(s, "_", "")), "ufcrm") {
			names = append(names, "UF_CRM_"+strings.TrimLeft(s[len("ufCrm"):], "_"))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// drillSetup is what a drill adds to the user's config.
type drillSetup struct {
	Dir     string // the drill's own folder
	Data    string // the daemon's
	Listen  string
	Socket  string
	Keys    map[string]string // by source, of those that have one; filled in
	Shorten float64           // alerts' waiting times are divided by it
	FarSide time.Duration     // of a CRM whose outcome is unknown: far_limit and index_lag; 0: the config's own
}

// drillConfig writes the config that is drilled into set.Dir and reads it as the daemon will.
func (t *terminal) drillConfig(set *drillSetup, sims *simulators) (*Config, string, error) {
	text, err := os.ReadFile(t.config)
	if err != nil {
		return nil, "", usageError{fmt.Errorf("%w; %s", err, t.say("name it with --config", "укажите его ключом --config"))}
	}
	asWritten, _, err := Load(t.config) // its faults about secrets are of no interest here
	if err != nil {
		return nil, "", usageError{err}
	}
	doc, err := t.closed(text, asWritten, set, sims)
	if err != nil {
		return nil, "", usageError{err}
	}
	out, err := yaml.Marshal(doc)
	if err != nil {
		return nil, "", err
	}
	path := filepath.Join(set.Dir, "config.yaml")
	if err := os.WriteFile(path, out, 0o600); err != nil {
		return nil, "", err
	}
	cfg, faults, err := Load(path)
	if err != nil {
		return nil, "", err
	}
	for _, f := range faults {
		if !f.Warning {
			f.Line = 0 // of the drill's file
			fmt.Fprintf(t.err, "%s: %s\n", t.config, plain(f.String()))
		}
	}
	if broken(faults) {
		return nil, "", quietError{exitUsage}
	}
	sims.speak(cfg)
	return cfg, path, sims.onlyHere(cfg)
}

// closed is the user's config with nothing in it that leads out of this machine.
func (t *terminal) closed(text []byte, asWritten *Config, set *drillSetup, sims *simulators) (map[string]any, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", t.config, err)
	}
	if doc == nil {
		doc = map[string]any{}
	}
	doc = keepOnly(doc, reflect.TypeFor[Config](), drillTop)
	maps.Copy(doc, map[string]any{"data_dir": set.Data, "listen": set.Listen, "instance": "drill",
		"admin": map[string]any{"socket": set.Socket}, "log": map[string]any{"level": "info", "format": "json"},
		"redis": map[string]any{"url": Embedded, "server": asWritten.Redis.Server, "max_memory": asWritten.Redis.MaxMemory}})
	in := keepOnly(block(doc, "intake"), reflect.TypeFor[intake.Config](), drillIntake)
	in["connections_per_ip"] = asWritten.Intake.Connections // all senders of a drill live at one address
	doc["intake"] = in
	sims.listen = set.Listen
	sources, err := drillSources(block(doc, "sources"), asWritten, set, sims)
	if err != nil {
		return nil, err
	}
	doc["sources"] = sources
	if answers := drillAnswers(block(doc, "answers"), asWritten, set.Shorten, sims); answers != nil {
		doc["answers"] = answers
	} else {
		delete(doc, "answers")
	}
	doc["alerts"] = drillAlerts(block(doc, "alerts"), asWritten, set.Shorten)
	triage := block(doc, "triage")
	delete(triage, "llm")
	if files := asWritten.Triage.Examples; len(files) > 0 { // by their whole paths: the drill's config.yaml stands elsewhere
		triage["examples"] = files
	}
	doc["triage"] = triage
	if tell := block(doc, "tell"); asWritten.Tell.CSV != "" {
		tell["csv"] = filepath.Base(asWritten.Tell.CSV)
		doc["tell"] = tell
	}
	all := block(doc, "sinks")
	for name := range all {
		one := block(all, name)
		closed, err := t.closedSink(name, one, set, sims)
		if err != nil {
			return nil, err
		}
		all[name] = closed
	}
	doc["sinks"] = all
	return absoluteFiles(doc, filepath.Dir(t.config)).(map[string]any), nil
}

func (t *terminal) closedSink(name string, one map[string]any, set *drillSetup, sims *simulators) (map[string]any, error) {
	kind, _ := one["kind"].(string)
	known, ok := kinds[kind]
	if !ok {
		return one, nil // the loading says it better
	}
	stand, ok := standIns[kind]
	if !ok {
		return nil, fmt.Errorf("sinks.%s: %s", name, t.say("kind %s has no simulator: take the sink out of a copy of the config and drill that", "у вида %s нет симулятора: уберите приёмник из копии настроек и проверяйте её", kind))
	}
	out := map[string]any{}
	own := map[string]reflect.Type{}
	addFields(own, reflect.TypeOf(known.Settings()).Elem())
	for key, v := range one {
		if _, ofKind := own[key]; !ofKind || slices.Contains(stand.keep, key) {
			out[key] = v // the engine's keys, and unknown ones, of which the loading tells
		}
	}
	maps.Copy(out, stand.put(sims, name, one))
	if _, ok := own["far_limit"]; ok && set.FarSide > 0 {
		out["far_limit"], out["index_lag"] = set.FarSide.String(), (set.FarSide / 3).String()
	}
	return out, nil
}

// keepOnly leaves out the keys of t that are not listed. Keys that t does not know stay: the loading refuses them.
func keepOnly(m map[string]any, t reflect.Type, listed []string) map[string]any {
	known := map[string]reflect.Type{}
	addFields(known, t)
	out := map[string]any{}
	for k, v := range m {
		if _, ok := known[k]; !ok || slices.Contains(listed, k) {
			out[k] = v
		}
	}
	return out
}

// block is a copy of a block of m, empty when there is none.
func block(m map[string]any, key string) map[string]any {
	if b, ok := m[key].(map[string]any); ok {
		return maps.Clone(b)
	}
	return map[string]any{}
}

// drillSources lets the drill's senders in, by keys and secrets of its own.
func drillSources(all map[string]any, asWritten *Config, set *drillSetup, sims *simulators) (map[string]any, error) {
	set.Keys = map[string]string{}
	if len(all) == 0 {
		all["drill"] = nil
	}
	for name := range all {
		one := keepOnly(block(all, name), reflect.TypeFor[intake.Source](), drillSource)
		if given := asWritten.Sources[name]; channel.Known(given.Preset) {
			put, err := sims.carry(name, given, set)
			if err != nil {
				return nil, err
			}
			maps.Copy(one, put)
			all[name] = one
			continue
		}
		key := intake.NewKey("drill")
		set.Keys[name], one["keys"], one["answer"] = key, []string{intake.KeyHash(key)}, "json"
		if _, limited := one["rate"]; !limited && asWritten.Sources[name].Public {
			one["rate"] = map[string]any{"per_second": 50, "burst": 200} // what a public source has by itself
		}
		all[name] = one
	}
	return all, nil
}

// drillAlerts keeps the rules and who is told, and shortens the waiting: a drill's faults last seconds. Nobody outside
// is told, so neither quiet hours nor the daily word have a meaning.
func drillAlerts(alerts map[string]any, asWritten *Config, shorten float64) map[string]any {
	short := func(d time.Duration) string {
		return max(time.Duration(float64(d)/shorten), min(d, 200*time.Millisecond)).Round(time.Millisecond).String()
	}
	set := asWritten.Alerts
	delete(alerts, "heartbeat")
	maps.Copy(alerts, map[string]any{"quiet_from": "", "quiet_until": "", "alive_at": "",
		"every": short(set.Every), "group_wait": short(set.GroupWait), "group_interval": short(set.GroupInterval)})
	var rules []any
	for _, r := range set.Rules {
		texts := map[string]any{}
		for l, x := range r.Texts {
			texts[l] = map[string]any{"title": x.Title, "do": x.Do, "sms": x.SMS}
		}
		rules = append(rules, map[string]any{"name": r.Name, "when": r.When, "clear": r.Clear, "for": short(r.For),
			"keep_firing_for": short(r.KeepFiringFor), "sample": r.Sample, "min_sample": r.MinSample, "severity": r.Severity, "business_hours": r.BusinessHours,
			"group": r.Group, "inhibits": r.Inhibits, "texts": texts})
	}
	alerts["rules"] = rules
	return alerts
}

var relativeFile = regexp.MustCompile(`\$\{file:([^}/][^}]*)\}`)

// absoluteFiles lets ${file:…} be found from another folder.
func absoluteFiles(v any, dir string) any {
	switch v := v.(type) {
	case string:
		abs, err := filepath.Abs(dir)
		if err != nil {
			return v
		}
		return relativeFile.ReplaceAllString(v, "$${file:"+strings.ReplaceAll(abs, "$", "$$")+"/$1}")
	case map[string]any:
		for k, x := range v {
			v[k] = absoluteFiles(x, dir)
		}
	case []any:
		for i, x := range v {
			v[i] = absoluteFiles(x, dir)
		}
	}
	return v
}

var urlInText = regexp.MustCompile(`[a-z][a-z0-9+.-]*://[^\s"'<>]+`)

// onlyHere is the last guard: every address in the config that will be drilled is one of the drill's own simulators.
func (s *simulators) onlyHere(cfg *Config) error {
	ours := s.addresses()
	here := func(where, host string) error {
		addr, err := netip.ParseAddrPort(host)
		if err == nil && addr.Addr().IsLoopback() && slices.Contains(ours, host) {
			return nil
		}
		return fmt.Errorf("%s: an address that is not the drill's own is left in its config; nothing was sent", where)
	}
	if cfg.Redis.URL != Embedded {
		return fmt.Errorf("redis: is not the drill's own; nothing was sent")
	}
	if cfg.Alerts.Heartbeat != "" {
		return fmt.Errorf("alerts.heartbeat: would be asked by a drill; nothing was sent")
	}
	if cfg.Triage.LLM.URL != "" {
		return fmt.Errorf("triage.llm: would be asked by a drill; nothing was sent")
	}
	for name, source := range cfg.Sources {
		where := "sources." + name
		switch {
		case source.Proxy != "" || source.Mail.Reads() || source.Token != "" && source.BaseURL == "":
			return fmt.Errorf("%s: would ask somebody outside; nothing was sent", where)
		case source.URL != "" && hostOf(source.URL) != s.listen:
			return fmt.Errorf("%s.url: is not the drill's own; nothing was sent", where)
		case source.BaseURL != "":
			if err := here(where, hostOf(source.BaseURL)); err != nil {
				return err
			}
		}
	}
	ways := map[string]any{}
	for name, sink := range cfg.Sinks {
		ways["sinks."+name] = sink.Settings
	}
	for name, ch := range cfg.Answers.Channels {
		if ways["answers.channels."+name] = ch.Settings; ch.Other != nil {
			return fmt.Errorf("answers.channels.%s.backup: would be used by a drill; nothing was sent", name)
		}
	}
	for where, given := range ways {
		for _, text := range texts(reflect.ValueOf(given)) {
			for _, found := range urlInText.FindAllString(text, -1) {
				u, err := url.Parse(found)
				if err != nil {
					return fmt.Errorf("%s: %w", where, err)
				}
				if err := here(where, u.Host); err != nil {
					return err
				}
			}
		}
		settings := reflect.Indirect(reflect.ValueOf(given))
		if host := settings.FieldByName("Host"); host.IsValid() {
			if err := here(where, net.JoinHostPort(host.String(), fmt.Sprint(settings.FieldByName("Port").Int()))); err != nil {
				return err
			}
		}
		if proxy := settings.FieldByName("Proxy"); proxy.IsValid() && proxy.String() != "" {
			return fmt.Errorf("%s.proxy: would be used by a drill; nothing was sent", where)
		}
	}
	return nil
}

// texts are all strings in a value.
func texts(v reflect.Value) []string {
	var all []string
	switch v.Kind() {
	case reflect.String:
		return []string{v.String()}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return texts(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			all = append(all, texts(v.Field(i))...)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			all = append(all, texts(v.Index(i))...)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			all = append(all, texts(it.Key())...)
			all = append(all, texts(it.Value())...)
		}
	}
	return all
}
