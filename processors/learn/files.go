package learn

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"leadstream/processors/intent"
)

const (
	keptFile   = "kept.jsonl"
	lessonFile = "learned.yaml"
	watchFile  = "watch.json"
)

// readKept reads the file of kept messages. A line that a crash has cut is left out.
func (d *Desk) readKept() error {
	text, err := os.ReadFile(d.path(keptFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var k Kept
		if json.Unmarshal(lines.Bytes(), &k) == nil && k.Lead != "" && d.find(k.Lead) < 0 {
			d.kept = append(d.kept, k)
		}
		d.written++
	}
	d.trim()
	d.dirty = true // a line that was cut must not become the beginning of the next
	return nil
}

// writeKept adds to the file; when half of it is obsolete, or something must not stay in it, it is written anew.
func (d *Desk) writeKept(fresh []Kept) error {
	if d.written+len(fresh) > 2*d.Keep+100 || d.dirty && len(d.kept) < d.Keep {
		return d.rewriteKept()
	}
	if len(fresh) == 0 {
		return nil
	}
	f, err := os.OpenFile(d.path(keptFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	d.written += len(fresh)
	_, err = f.Write(lines(fresh))
	return errors.Join(err, f.Close())
}

func (d *Desk) rewriteKept() error {
	err := replace(d.path(keptFile), lines(d.kept))
	if err == nil {
		d.written, d.dirty = len(d.kept), false
	}
	return err
}

func lines(all []Kept) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for _, k := range all {
		if err := e.Encode(k); err != nil {
			panic(err) // texts and numbers
		}
	}
	return b.Bytes()
}

// lessons is the file of lessons: a file of examples as triage.examples takes it.
type lessons struct {
	Learned []Lesson `yaml:"learned"`
}

const lessonHead = "# What people have said that messages want, from `leadstream triage label` and `correct`. Written by leadstream.\n" +
	"# Что, по словам людей, значат сообщения. Файл пишет leadstream.\n"

// OpenLessons reads the lessons alone, for who only wants Examples.
func (d *Desk) OpenLessons() error {
	text, err := os.ReadFile(d.path(lessonFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var l lessons
	if err := yaml.Unmarshal(text, &l); err != nil {
		return fmt.Errorf("%s: %w", d.path(lessonFile), err)
	}
	for _, one := range l.Learned {
		if !slices.Contains(intent.All, one.Intent) {
			return fmt.Errorf("%s: lead %s: there is no intent %q", d.path(lessonFile), one.Lead, one.Intent)
		}
	}
	d.labels = l.Learned
	return nil
}

func (d *Desk) writeLessons() error {
	text, err := yaml.Marshal(lessons{d.labels})
	if err != nil {
		return err
	}
	return replace(d.path(lessonFile), append([]byte(lessonHead), text...))
}

// replace writes a file whole or not at all; only its owner can read it.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
