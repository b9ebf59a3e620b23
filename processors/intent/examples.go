package intent

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Examples are what a model learns from.
type Examples struct {
	Phrases  map[string][]Group  // by intent
	Services []string            // names of services; the business's own come on top
	Words    map[string][]string // by concept: words of one meaning; ~ at the end: any ending
}

// Group is phrases of one wording. The examination never learns from a part of a group and asks about the rest.
type Group struct {
	English bool // its Latin letters are English
	Phrases []string
}

// file is a file of examples. Its own mode, and that of an intent, is add (the default) or replace.
type file struct {
	Language string            `yaml:"language"` // en: Latin letters are English; default: whatever they look like
	Mode     string            `yaml:"mode"`
	Services list              `yaml:"services"`
	Words    map[string]string `yaml:"words"`
	Intents  map[string]listed `yaml:"intents"`
	Learned  []taught          `yaml:"learned"` // what leadstream writes itself
}

// taught is a phrase of which a person has said what it wants, with more about it that is of no matter here.
type taught struct {
	Text   string         `yaml:"text"`
	Intent string         `yaml:"intent"`
	Rest   map[string]any `yaml:",inline"`
}

// listed is the examples of an intent: a block of text with a phrase a line, a list, or either under `phrases`.
type listed struct {
	Mode    string
	Phrases list
}

// list is written as a YAML list, or as a text.
type list []string

func (l *list) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*l = []string{n.Value}
		return nil
	}
	return n.Decode((*[]string)(l))
}

func (l *listed) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return n.Decode(&l.Phrases)
	}
	var block struct {
		Mode    string `yaml:"mode"`
		Phrases list   `yaml:"phrases"`
	}
	if err := n.Decode(&block); err != nil {
		return err
	}
	l.Mode, l.Phrases = block.Mode, block.Phrases
	return nil
}

// Add takes in a file of examples, on top of what there is or instead of it, as the file says.
func (e *Examples) Add(text []byte) error {
	var f file
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	if f.Mode == "replace" || e.Phrases == nil {
		*e = Examples{Phrases: map[string][]Group{}, Services: e.Services, Words: e.Words}
	}
	for intent, l := range f.Intents {
		if l.Mode == "replace" {
			e.Phrases[intent] = nil
		}
		e.Phrases[intent] = append(e.Phrases[intent], groups(l.Phrases, f.Language == "en")...)
	}
	for _, l := range f.Learned {
		e.Learn(l.Text, l.Intent)
	}
	if e.Words == nil {
		e.Words = map[string][]string{}
	}
	for concept, words := range f.Words {
		e.Words[concept] = append(e.Words[concept], strings.Fields(words)...)
	}
	for _, s := range f.Services {
		for name := range strings.FieldsFuncSeq(s, func(c rune) bool { return c == ',' || c == '\n' }) {
			if name = strings.TrimSpace(name); name != "" {
				e.Services = append(e.Services, name)
			}
		}
	}
	return nil
}

func (f *file) check() error {
	var faults []error
	if f.Language != "" && f.Language != "en" && f.Language != "ru" {
		faults = append(faults, fmt.Errorf("language: %q is none of ru, en", f.Language))
	}
	mode := func(key, m string) {
		if m != "" && m != "add" && m != "replace" {
			faults = append(faults, fmt.Errorf("%s: %q is none of add, replace", key, m))
		}
	}
	mode("mode", f.Mode)
	for _, intent := range slices.Sorted(maps.Keys(f.Intents)) {
		if !slices.Contains(All, intent) {
			faults = append(faults, fmt.Errorf("intents.%s: there is no such intent; the intents are %s", intent, strings.Join(All, ", ")))
		}
		mode("intents."+intent+".mode", f.Intents[intent].Mode)
	}
	for i, l := range f.Learned {
		if !slices.Contains(All, l.Intent) {
			faults = append(faults, fmt.Errorf("learned[%d].intent: there is no intent %q; the intents are %s", i, l.Intent, strings.Join(All, ", ")))
		}
	}
	return errors.Join(faults...)
}

// largestGroup is where a long group is cut: the fewer the groups, the coarser the folds.
const largestGroup = 3

// groups cuts texts at their empty lines. The items of a list are a text of one line each, and stand together.
func groups(texts []string, isEnglish bool) (all []Group) {
	var open []string
	flush := func() {
		if len(open) > 0 {
			all = append(all, Group{isEnglish, open})
		}
		open = nil
	}
	for _, text := range texts {
		for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
			if line = strings.TrimSpace(line); line == "" || len(open) == largestGroup {
				flush()
			}
			if line != "" {
				open = append(open, line)
			}
		}
	}
	flush()
	return all
}
