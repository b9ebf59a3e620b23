// Package templates holds the texts that customers get: one for each occasion and language, written by the business or
// shipped, filled with what is known of the customer, the visit and the business. It sends nothing.
package templates

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"text/template"
	"time"

	"leadstream/streams/outbound"
)

// Purpose says why a customer is written to.
type Purpose = outbound.Purpose

// Languages are those in which each shipped text exists.
var Languages = []string{"ru", "en"}

//go:embed texts
var shipped embed.FS

// Settings are `texts` in config.yaml.
type Settings struct {
	Dir      string   `koanf:"dir"`      // folder of texts of one's own: NAME.LANGUAGE.txt; relative to config.yaml
	Greeting string   `koanf:"greeting"` // before an answer; empty: the shipped one
	Sign     string   `koanf:"sign"`     // after every text; empty: nothing
	Business Business `koanf:"business"`
}

// Business is what texts say of it.
type Business struct {
	Name    string `koanf:"name"`
	Address string `koanf:"address"`
	Map     string `koanf:"map"` // a link
	Hours   string `koanf:"hours"`
	Phone   string `koanf:"phone"`
	Prices  string `koanf:"prices"` // a sentence or a link
}

// Set is all texts of a business. It is safe for concurrent use.
type Set struct {
	texts    map[string]map[string]*Text // by name, by language
	business Business
	zone     *time.Location
}

// Text is one text for customers.
type Text struct {
	Name, Language string
	Purpose        Purpose
	Own            bool     // the business's, not the shipped one
	Needs          []string // values without which it is not sent
	Uses           []string // and those that it can do without

	body, short *template.Template // short: for SMS; nil: body
	digest      string
}

// Fault is one thing that is wrong with a text.
type Fault struct{ File, Problem, Cure string }

func (f Fault) Error() string { return f.File + ": " + f.Problem + "; " + f.Cure }

// Load reads the shipped texts and those of the business, which take the place of shipped ones of their names. Its error
// joins all Faults.
func Load(s Settings, zone *time.Location) (*Set, error) {
	set := &Set{texts: map[string]map[string]*Text{}, business: s.Business, zone: zone}
	voice, err := voiceOf(s)
	if err != nil {
		return nil, err
	}
	sub, err := fs.Sub(shipped, "texts")
	if err != nil {
		return nil, err
	}
	faults := []error{set.read(sub, voice, false)}
	if s.Dir != "" {
		faults = append(faults, set.read(os.DirFS(s.Dir), voice, true))
	}
	return set, errors.Join(faults...)
}

func (s *Set) read(dir fs.FS, voice map[string]*template.Template, own bool) error {
	files, err := fs.Glob(dir, "*.txt")
	if err != nil {
		return err
	}
	if own && len(files) == 0 {
		if _, err := fs.Stat(dir, "."); err != nil {
			return Fault{"texts.dir", "the folder cannot be read", "correct the path or take the key out"}
		}
	}
	var faults []error
	for _, file := range files {
		b, err := fs.ReadFile(dir, file)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		t, err := parseText(file, string(b), voice)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		t.Own = own
		if s.texts[t.Name] == nil {
			s.texts[t.Name] = map[string]*Text{}
		}
		s.texts[t.Name][t.Language] = t
	}
	return errors.Join(faults...)
}

// voiceOf is the one place of the brand's voice: how texts greet and sign, in each language (O-07).
func voiceOf(s Settings) (map[string]*template.Template, error) {
	all := map[string]*template.Template{}
	for _, language := range Languages {
		b, err := shipped.ReadFile("texts/voice." + language + ".tmpl")
		if err != nil {
			return nil, err
		}
		t, err := template.New(language).Parse(string(b))
		if err != nil {
			return nil, err
		}
		for key, own := range map[string]string{"greeting": s.Greeting, "sign": s.Sign} {
			if own == "" {
				continue
			}
			name := map[string]string{"greeting": "hello", "sign": "sign"}[key]
			if t, err = t.New(name).Parse(own); err != nil {
				return nil, Fault{"texts." + key, problemOf(err), "see the shipped texts for how it is written"}
			}
		}
		all[language] = t
	}
	return all, nil
}

// parseText reads a file: its name says the text's name and language, its first line "purpose: …" the purpose; what stands
// in {{define "short"}} is for SMS.
func parseText(file, content string, voice map[string]*template.Template) (*Text, error) {
	name, language, ok := strings.Cut(strings.TrimSuffix(path.Base(file), ".txt"), ".")
	if !ok || voice[language] == nil {
		return nil, Fault{file, "the name does not say the language", "call it NAME.ru.txt or NAME.en.txt"}
	}
	head, body, _ := strings.Cut(strings.ReplaceAll(content, "\r\n", "\n"), "\n")
	purpose, ok := strings.CutPrefix(head, "purpose:")
	t := &Text{Name: name, Language: language, Purpose: Purpose(strings.TrimSpace(purpose))}
	if !ok || !slices.Contains(outbound.Purposes, t.Purpose) {
		return nil, Fault{file, "the first line does not say the purpose", fmt.Sprintf("begin with a line such as %q, or one of %q", "purpose: answer", outbound.Purposes[1:])}
	}
	base, err := voice[language].Clone()
	if err != nil {
		return nil, err
	}
	if t.body, err = base.New("text").Parse(strings.TrimSpace(body)); err != nil {
		return nil, Fault{file, problemOf(err), "see https://pkg.go.dev/text/template for the notation"}
	}
	t.short = t.body.Lookup("short")
	v := values{map[string]bool{}, map[string]bool{}}
	for _, one := range []*template.Template{t.body, t.short} {
		if one != nil && one.Tree != nil {
			v.read(one, one.Root, scope{})
		}
	}
	for field := range v.used {
		if !known(field) {
			return nil, Fault{file, fmt.Sprintf("there is no value .%s", field), cureOf(field)}
		}
	}
	t.Needs = slices.Sorted(maps.Keys(v.needed))
	for field := range v.used {
		if !v.needed[field] {
			t.Uses = append(t.Uses, field)
		}
	}
	slices.Sort(t.Uses)
	sum := sha256.Sum256([]byte(content))
	t.digest = hex.EncodeToString(sum[:8])
	if _, _, err := t.execute(Sample(language)); err != nil {
		return nil, Fault{file, problemOf(err), "see `leadstream texts show` of a shipped one"}
	}
	return t, nil
}

// problemOf is what text/template says, without the file's place in its own words.
func problemOf(err error) string {
	return strings.TrimPrefix(err.Error(), "template: ")
}

// Find is a text in a language, in the other where there is none in it; nil: there is no such text.
func (s *Set) Find(name, language string) *Text {
	all := s.texts[name]
	if t := all[language]; t != nil {
		return t
	}
	for _, other := range Languages {
		if t := all[other]; t != nil {
			return t
		}
	}
	return nil
}

// All are the texts, by name and language.
func (s *Set) All() (all []*Text) {
	for _, name := range slices.Sorted(maps.Keys(s.texts)) {
		for _, language := range slices.Sorted(maps.Keys(s.texts[name])) {
			all = append(all, s.texts[name][language])
		}
	}
	return all
}

// MissingError says which values a text needs that are not known.
type MissingError struct {
	Text    string
	Missing []string
}

func (e MissingError) Error() string {
	return fmt.Sprintf("text %s: not known: %s", e.Text, strings.Join(e.Missing, ", "))
}

// Rendered is a text filled in.
type Rendered struct {
	Text    string
	Short   string // for SMS
	Subject string // for e-mail: the business's name
	Content string // stands for what it says without its values: the same for every customer (L-02)
}

// Render fills a text in. Its error is a MissingError when the text cannot be sent to this customer.
func (s *Set) Render(t *Text, v Values) (Rendered, error) {
	v = v.clean()
	v.Business = s.business
	if missing := v.missing(t.Needs); len(missing) > 0 {
		return Rendered{}, MissingError{t.Name, missing}
	}
	text, short, err := t.execute(v)
	return Rendered{Text: text, Short: short, Subject: s.business.Name, Content: t.Name + "." + t.Language + ":" + t.digest}, err
}

func (t *Text) execute(v Values) (text, short string, err error) {
	var b strings.Builder
	if err := t.body.Execute(&b, v); err != nil {
		return "", "", err
	}
	text = tidy(b.String())
	short = text
	if t.short != nil {
		b.Reset()
		if err := t.short.Execute(&b, v); err != nil {
			return "", "", err
		}
		short = strings.Join(strings.Fields(b.String()), " ")
	}
	if text == "" {
		return "", "", errors.New("the text is empty")
	}
	return text, short, nil
}

// tidy takes out what missing values leave behind: spaces at the ends of lines, and more than one empty line.
func tidy(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.Join(strings.Fields(line), " ")
		if line == "" && (len(lines) == 0 || lines[len(lines)-1] == "") {
			continue
		}
		lines = append(lines, line)
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
