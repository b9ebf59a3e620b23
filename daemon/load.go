package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	yamlparser "github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"

	"leadstream/daemon/intake"
	"leadstream/processors/monitor"
)

// Load reads config.yaml and says everything that is wrong with it at once. The error is for a file that cannot be read;
// a Config with faults other than warnings must not be run.
func Load(path string) (*Config, []Fault, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading config: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading config: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, nil, fmt.Errorf("reading config: %w", err)
	}
	l := &loader{lang: envLang(), dir: dir, mode: info.Mode(), lines: map[string]int{}}
	cfg := l.load(text)
	sortFaults(l.faults)
	return cfg, l.faults, nil
}

// loader gathers the faults of one config.yaml.
type loader struct {
	lang
	dir    string      // of config.yaml: its relative paths start here
	mode   fs.FileMode // of config.yaml
	faults []Fault
	lines  map[string]int // of each key, for faults found after decoding
	unread int            // how many of faults are of values that could not be read
}

func (l *loader) fault(key, problem, cure string) {
	if l.isUnread(key) {
		return
	}
	l.faults = append(l.faults, Fault{Key: key, Line: l.lineOf(key), Problem: problem, Cure: cure})
}

// isUnread tells whether the key, a part of it or the block around it could not be read: there the default stands, of
// which there is nothing to say.
func (l *loader) isUnread(key string) bool {
	return slices.ContainsFunc(l.faults[:l.unread], func(f Fault) bool {
		return !f.Warning && (f.Key == key || strings.HasPrefix(f.Key, key+".") || strings.HasPrefix(key, f.Key+"."))
	})
}

// lineOf is the line of the key, or of the nearest block around it that is in the file.
func (l *loader) lineOf(key string) int {
	for key != "" {
		if line, ok := l.lines[key]; ok {
			return line
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return 0
}

// delimiter parts keys in koanf: one that no key of a map (a sink's name, a word) contains.
const delimiter = "\x00"

func (l *loader) load(text []byte) *Config {
	cfg := Defaults()
	doc := l.parse(text)
	if doc == nil {
		if len(l.faults) == 0 {
			l.complete(cfg)
			l.validate(cfg)
		}
		return cfg
	}
	if v := scalarAt(doc, "language"); v == "ru" || v == "en" {
		l.lang = lang(v)
	}
	l.walk(doc)
	clean, err := yaml.Marshal(doc)
	if err != nil {
		l.fault("", err.Error(), l.say("write it anew", "перепишите"))
		return cfg
	}
	k := koanf.New(delimiter)
	if err := k.Load(rawbytes.Provider(clean), yamlparser.Parser()); err != nil {
		l.fault("", err.Error(), l.say("write it anew", "перепишите"))
		return cfg
	}
	l.decode(k, cfg)
	l.unread = len(l.faults)
	l.validate(cfg)
	return cfg
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

// parse is the file's top block with lines, or nil when there is none to go on with.
func (l *loader) parse(text []byte) *yaml.Node {
	if l.tabs(text) {
		return nil
	}
	var doc yaml.Node
	err := yaml.Unmarshal(text, &doc)
	if err != nil {
		m := yamlLine.FindStringSubmatch(err.Error())
		line, _ := strconv.Atoi(m[1])
		l.faults = append(l.faults, Fault{
			Line:    line,
			Problem: l.say("this is not YAML (%s)", "это не YAML (%s)", strings.TrimPrefix(err.Error(), m[0])),
			Cure: l.say("look at this line and its neighbours: indentation, colons, quotes",
				"посмотрите на эту строку и соседние: отступы, двоеточия, кавычки"),
		})
		return nil
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return nil // an empty file: the defaults
	}
	if top := doc.Content[0]; top.Kind == yaml.MappingNode {
		return top
	}
	l.faults = append(l.faults, Fault{Line: 1, Problem: l.say("there are no keys", "здесь нет ключей"),
		Cure: l.say("write `key: value` lines", "пишите строки вида `ключ: значение`")})
	return nil
}

// tabs finds indentation that YAML forbids and whose own message nobody understands.
func (l *loader) tabs(text []byte) bool {
	before := len(l.faults)
	for i, line := range bytes.Split(text, []byte("\n")) {
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if rest := line[len(indent):]; bytes.ContainsRune(indent, '\t') && len(rest) > 0 && rest[0] != '#' {
			l.faults = append(l.faults, Fault{Line: i + 1,
				Problem: l.say("a tab in the indentation", "табуляция в отступе"),
				Cure:    l.say("indent with spaces", "делайте отступ пробелами")})
		}
	}
	return len(l.faults) > before
}

// scalarAt is the text of a top key.
func scalarAt(top *yaml.Node, key string) string {
	for i := 0; i+1 < len(top.Content); i += 2 {
		if top.Content[i].Value == key {
			return top.Content[i+1].Value
		}
	}
	return ""
}

// decode fills cfg. Each sink starts from the engine's defaults and its kind's, so they are decoded one by one.
func (l *loader) decode(k *koanf.Koanf, cfg *Config) {
	names := k.MapKeys("sinks")
	for _, name := range names {
		if cfg.Sinks == nil {
			cfg.Sinks = map[string]Sink{}
		}
		cfg.Sinks[name] = l.decodeSink(k.Get("sinks"+delimiter+name), "sinks."+name)
	}
	k.Delete("sinks")
	channels := k.MapKeys("answers" + delimiter + "channels")
	for _, name := range channels {
		if cfg.Answers.Channels == nil {
			cfg.Answers.Channels = map[string]AnswerChannel{}
		}
		cfg.Answers.Channels[name] = l.decodeAnswers(k.Get("answers"+delimiter+"channels"+delimiter+name), "answers.channels."+name)
	}
	k.Delete("answers" + delimiter + "channels")
	l.into(k.Raw(), cfg, "")
	l.complete(cfg)
}

// complete gives the parts what they share with the whole.
func (l *loader) complete(c *Config) {
	if !filepath.IsAbs(c.DataDir) {
		c.DataDir = filepath.Join(l.dir, c.DataDir)
	}
	for i, file := range c.Triage.Examples {
		if !filepath.IsAbs(file) {
			c.Triage.Examples[i] = filepath.Join(l.dir, file)
		}
	}
	if dir := c.Answers.Texts.Dir; dir != "" && !filepath.IsAbs(dir) {
		c.Answers.Texts.Dir = filepath.Join(l.dir, dir)
	}
	for _, s := range c.Sources {
		for i, key := range s.Keys {
			s.Keys[i] = hashed(key)
		}
	}
	c.Intake.Listen, c.Intake.Region, c.Intake.Language, c.Intake.Sources = c.Listen, c.Region, c.Language, c.Sources
	c.Intake.Zone = c.Zone()
	if len(c.Tagging.Sinks) == 0 {
		c.Tagging.Sinks = c.usualSinks()
	}
	l.addHistory(c)
	if len(c.Alerts.Escalation) == 0 && len(c.Tell.Sinks) > 0 {
		c.Alerts.Escalation = []monitor.Step{{To: c.Tell.Sinks}}
	}
	c.Alerts.Rules = mergeRules(monitor.DefaultRules(), c.Alerts.Rules)
}

// hashed is the form in which intake knows a key: a key that config.yaml takes from a secret is hashed here.
func hashed(key string) string {
	if key == "" || strings.HasPrefix(key, "sha256:") {
		return key
	}
	return intake.KeyHash(key)
}

// usualSinks are those that leads go to when nothing says otherwise: not people, who are told of what goes wrong, and
// not those that only stand in for another.
func (c *Config) usualSinks() []string {
	standIn := map[string]bool{}
	for _, s := range c.Sinks {
		for _, name := range s.Failover {
			standIn[name] = true
		}
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.Sinks)) {
		if !standIn[name] && !kinds[c.Sinks[name].Kind].Human {
			names = append(names, name)
		}
	}
	return names
}

// mergeRules lets a written rule take the place of the built-in one of its name.
func mergeRules(builtIn, written []monitor.Rule) []monitor.Rule {
	rules := slices.DeleteFunc(slices.Clone(builtIn), func(b monitor.Rule) bool {
		return slices.ContainsFunc(written, func(w monitor.Rule) bool { return w.Name == b.Name })
	})
	for _, w := range written {
		if !slices.ContainsFunc(rules, func(r monitor.Rule) bool { return r.Name == w.Name }) {
			rules = append(rules, w)
		}
	}
	return rules
}

// into decodes a block into a pointer; prefix is the block's own key, for faults.
func (l *loader) into(from, to any, prefix string) {
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: to, TagName: "koanf", DecodeHook: mapstructure.DecodeHookFuncValue(convert),
		MatchName: func(key, field string) bool { return key == field },
	})
	if err == nil {
		err = d.Decode(from)
	}
	for _, e := range decodeErrors(err) {
		key := strings.TrimPrefix(prefix+"."+plainKey(e.Name()), ".")
		problem, cure := l.explain(e)
		l.fault(strings.TrimSuffix(key, "."), problem, cure)
	}
}

var mapKey = regexp.MustCompile(`\[([^\]]*[^\]0-9][^\]]*)\]`)

// plainKey writes a decoder's name of a value, `a[b].c[0]`, as config.yaml's reader knows it: `a.b.c[0]`.
func plainKey(name string) string { return mapKey.ReplaceAllString(name, ".$1") }

// decodeErrors are the leaves of an error tree that name a value.
func decodeErrors(err error) []*mapstructure.DecodeError {
	switch e := err.(type) {
	case nil:
		return nil
	case *mapstructure.DecodeError:
		return []*mapstructure.DecodeError{e}
	case interface{ Unwrap() []error }:
		var all []*mapstructure.DecodeError
		for _, one := range e.Unwrap() {
			all = append(all, decodeErrors(one)...)
		}
		return all
	}
	return decodeErrors(errors.Unwrap(err))
}
