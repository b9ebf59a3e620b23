package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"leadstream/daemon/intake"
	"leadstream/daemon/mail"
	"leadstream/processors"
	"leadstream/processors/sequences"
	"leadstream/sinks/talk"
	"leadstream/streams"
)

var offKey = regexp.MustCompile(`(?m)^( *)#([-a-z])`)

// everyKey is config.yaml with every key that is off switched on.
func everyKey(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return offKey.ReplaceAllString(string(text), "$1$2")
}

func TestConfigYAMLLoads(t *testing.T) {
	for name, value := range map[string]string{
		"SITE_SECRET":      "a secret of 32 bytes or more, it is",
		"BITRIX24_WEBHOOK": "https://example.bitrix24.ru/rest/1/abcdefgh12345678/",
		"TELEGRAM_TOKEN":   "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0",
		"WHATSAPP_TOKEN":   "hush", "INSTAGRAM_TOKEN": "hush", "MESSENGER_TOKEN": "hush", "VK_TOKEN": "hush", "MAX_TOKEN": "hush",
		"SMTP_PASSWORD": "hush", "IMAP_PASSWORD": "hush", "SMSC_KEY": "hush", "SMSRU_ID": "hush", "TWILIO_SECRET": "hush", "KANNEL_PASSWORD": "hush",
	} {
		t.Setenv(name, value)
	}
	text, err := os.ReadFile(filepath.Join("..", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, yaml := range map[string]string{"as it is": string(text), "every key on": everyKey(t)} {
		_, faults, err := Load(write(t, yaml))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range faults {
			if !f.Warning || f.Key != "tell.sinks" {
				t.Errorf("%s: %s", name, f)
			}
		}
	}
}

// TestConfigYAMLShowsEveryDefault holds config.yaml and Defaults equal: every key stands there, with its default.
func TestConfigYAMLShowsEveryDefault(t *testing.T) {
	var doc map[string]any
	if err := yaml.Unmarshal([]byte(everyKey(t)), &doc); err != nil {
		t.Fatal(err)
	}
	examples := func(path string) bool { // their values are examples; that they stand there is asked below
		return path == "sources" || path == "sinks" || path == "answers.channels" || strings.HasSuffix(path, ".rules") || path == "tagging.segments" || path == "sequences"
	}
	shows(t, "", doc, reflect.ValueOf(*Defaults()), examples)

	sources := doc["sources"].(map[string]any)
	shows(t, "sources.site", sources["site"].(map[string]any), reflect.ValueOf(intake.Source{}), func(string) bool { return true })
	shows(t, "sources.post.mail", sources["post"].(map[string]any)["mail"].(map[string]any), reflect.ValueOf(mail.Defaults()),
		func(path string) bool {
			return strings.HasSuffix(path, ".host") || strings.HasSuffix(path, ".username") || strings.HasSuffix(path, ".password")
		})
	rules := doc["tagging"].(map[string]any)["rules"].([]any)
	shows(t, "tagging.rules", rules[0].(map[string]any), reflect.ValueOf(Defaults().Tagging).FieldByName("Rules").Type().Elem(), nil)
	rules = doc["tagging"].(map[string]any)["segments"].([]any)
	shows(t, "tagging.segments", rules[0].(map[string]any), reflect.TypeFor[processors.Segment](), nil)
	led := doc["sequences"].([]any)[1].(map[string]any)
	shows(t, "sequences", led, reflect.TypeFor[sequences.Sequence](), nil)
	for key, part := range map[string]reflect.Type{"steps": reflect.TypeFor[sequences.Step](), "variants": reflect.TypeFor[sequences.Variant](), "recommend": reflect.TypeFor[sequences.Recommendation]()} {
		of := led
		if key == "recommend" {
			of = doc["sequences"].([]any)[2].(map[string]any)
		}
		shows(t, "sequences."+key, of[key].([]any)[0].(map[string]any), part, nil)
	}
	rules = doc["alerts"].(map[string]any)["rules"].([]any)
	shows(t, "alerts.rules", rules[0].(map[string]any), reflect.TypeOf(Defaults().Alerts.Rules).Elem(), nil)

	shown := map[string]bool{}
	for name, block := range doc["sinks"].(map[string]any) {
		b := block.(map[string]any)
		kind := b["kind"].(string)
		shown[kind] = true
		settings := reflect.ValueOf(kinds[kind].Settings()).Elem()
		shows(t, "sinks."+name, b, settings, func(path string) bool { return value(settings, path).IsZero() })
		if name == "crm" {
			engine := sinkDefaults()
			engine.Retry, engine.Rate = kinds[kind].Policy, usualRates[kind]
			shows(t, "sinks."+name, b, reflect.ValueOf(engine), func(path string) bool { return strings.HasSuffix(path, ".kind") })
		}
		if retry, ok := b["retry"]; ok {
			var got streams.Policy
			(&loader{lang: "en"}).into(retry, &got, "")
			if got != kinds[kind].Policy {
				t.Errorf("sinks.%s.retry is %v, %s's default is %v", name, got, kind, kinds[kind].Policy)
			}
		}
	}
	for kind := range kinds {
		if !shown[kind] && kind != recordsKind {
			t.Errorf("config.yaml shows no sink of kind %s", kind)
		}
	}
}

// TestConfigYAMLShowsChannels holds the channels' blocks to their kinds.
func TestConfigYAMLShowsChannels(t *testing.T) {
	var doc map[string]any
	if err := yaml.Unmarshal([]byte(everyKey(t)), &doc); err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for name, block := range doc["answers"].(map[string]any)["channels"].(map[string]any) {
		b := block.(map[string]any)
		kind := b["kind"].(string)
		shown[kind] = true
		settings := reflect.ValueOf(talk.Kinds[kind].Settings()).Elem()
		shows(t, "answers.channels."+name, b, settings, func(path string) bool { return value(settings, path).IsZero() })
		if name == "telegram" {
			l := &loader{lang: "en"}
			usual := l.decodeAnswers(map[string]any{"kind": kind}, "")
			shows(t, "answers.channels."+name, b, reflect.ValueOf(usual), func(path string) bool { return strings.HasSuffix(path, ".kind") })
		}
	}
	for kind := range talk.Kinds {
		if !shown[kind] && (!strings.HasPrefix(kind, "sms_") || !shown["sms_smsc"]) {
			t.Errorf("config.yaml shows no channel of kind %s", kind)
		}
	}
}

// value is the field at the last part of path, or a zero one.
func value(v reflect.Value, path string) reflect.Value {
	key := path[strings.LastIndex(path, ".")+1:]
	for f, fv := range v.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("koanf"), ","); name == key {
			return fv
		}
	}
	return reflect.ValueOf("")
}

// shows asks that block holds every key of want, a struct or its type, with its value unless skip says that it may be
// another.
func shows(t *testing.T, path string, block map[string]any, want any, skip func(string) bool) {
	t.Helper()
	v, ok := want.(reflect.Value)
	if !ok {
		v = reflect.Zero(want.(reflect.Type))
		skip = func(string) bool { return true }
	}
	for f, field := range v.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("koanf"), ",")
		if name == "" || name == "-" {
			continue
		}
		key := strings.TrimPrefix(path+"."+name, ".")
		if path == "intake" && (name == "listen" || name == "region" || name == "language" || name == "sources") {
			continue // the whole's
		}
		got, ok := block[name]
		if !ok {
			t.Errorf("config.yaml lacks %s", key)
			continue
		}
		if inner, isBlock := got.(map[string]any); isBlock && field.Kind() == reflect.Struct {
			shows(t, key, inner, field, skip)
			continue
		}
		if skip(key) {
			continue
		}
		l := &loader{lang: "en", lines: map[string]int{}}
		decoded := reflect.New(field.Type())
		l.into(got, decoded.Interface(), key)
		empty := field.Kind() == reflect.Slice || field.Kind() == reflect.Map
		if len(l.faults) > 0 || !(empty && field.Len() == 0 && decoded.Elem().Len() == 0) && !cmp.Equal(decoded.Elem().Interface(), field.Interface()) {
			t.Errorf("config.yaml shows %s: %v, the default is %v %v", key, got, field.Interface(), l.faults)
		}
	}
}
