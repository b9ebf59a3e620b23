package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"leadstream/processors/intent"
	"leadstream/processors/learn"
	"leadstream/processors/slots"
)

// triageCmd tries the classifier of messages without the daemon, and teaches the daemon's.
type triageCmd struct {
	Classify triageClassifyCmd `cmd:"" help:"Say what messages want: JSON lines in, JSON lines out.|Сказать, чего хотят сообщения: на входе и выходе JSON lines." example:"echo '{\"text\":\"сколько стоит стрижка и где вы?\"}' | leadstream triage classify"`
	Eval     triageEvalCmd     `cmd:"" help:"Examine the classifier by your own messages.|Проверить классификатор на своих сообщениях." example:"leadstream triage eval messages.csv"`
	Label    triageLabelCmd    `cmd:"" help:"Say what the messages want that triage did not understand.|Разметить сообщения, которых триаж не понял." example:"leadstream triage label --limit 20"`
	Correct  triageCorrectCmd  `cmd:"" help:"Correct what triage made of a lead.|Исправить, как понята заявка." example:"leadstream triage correct 8zh3… price"`
	Train    triageTrainCmd    `cmd:"" help:"Learn from labels and corrections, without a restart.|Обучить на разметке и исправлениях, без перезапуска." example:"leadstream triage train --force"`
}

// taught are the flags that say what the classifier learns from.
type taught struct {
	Examples []string `placeholder:"FILE" sep:"none" help:"A file of your own examples, besides triage.examples; may be repeated.|Файл ваших примеров, кроме triage.examples; можно повторять."`
	Services []string `placeholder:"NAME,…" help:"Names of your services, besides triage.services.|Названия ваших услуг, кроме triage.services."`
}

// understanding is what reads messages: what they want, and the particulars.
type understanding struct {
	intents *intent.Model
	slots   slots.Reader
}

// understanding is that of config.yaml, if there is one, and of the flags.
func (t *terminal) understanding(x taught) (understanding, error) {
	cfg := Defaults()
	if _, err := os.Stat(t.config); err == nil {
		known, faults, err := Load(t.config)
		if err != nil || broken(faults) {
			_, err = t.loadConfig() // says what is wrong
			return understanding{}, err
		}
		cfg = known
	}
	cfg.Triage.Examples = append(cfg.Triage.Examples, x.Examples...)
	for _, name := range x.Services {
		cfg.Triage.Services = append(cfg.Triage.Services, slots.Item{Name: name})
	}
	desk := &learn.Desk{Dir: cfg.inData("triage"), Base: cfg.Triage.examples}
	if err := desk.OpenLessons(); err != nil && !errors.Is(err, fs.ErrPermission) { // the daemon's user alone reads them
		return understanding{}, usageError{err}
	}
	examples, err := desk.Examples()
	if err != nil {
		return understanding{}, usageError{err}
	}
	m, err := intent.Train(examples)
	return understanding{m, cfg.slotReader()}, err
}

type triageClassifyCmd struct {
	taught `embed:""`
	File   string `arg:"" optional:"" default:"-" help:"JSON lines with text, and now and question if you like; - is standard input.|JSON lines с полем text, при желании now и question; - это стандартный ввод."`
}

// question is a line of the input.
type question struct {
	Text     string     `json:"text"`
	Now      *time.Time `json:"now"`      // when it was written; default: now
	Question string     `json:"question"` // yes_no: the message answers such a question
}

// reading is a line of the output.
type reading struct {
	Intent     string       `json:"intent"`
	Intents    []string     `json:"intents"`
	Confidence float64      `json:"confidence"`
	Answered   bool         `json:"answered"`
	InScope    float64      `json:"in_scope"`
	Reply      intent.Reply `json:"reply,omitempty"`
	Reason     string       `json:"reason"`
	Slots      slots.Slots  `json:"slots"`
}

func (cmd triageClassifyCmd) Run(t *terminal) error {
	in := t.in
	if cmd.File != "-" {
		f, err := os.Open(cmd.File)
		if err != nil {
			return usageError{err}
		}
		defer f.Close()
		in = f
	}
	u, err := t.understanding(cmd.taught)
	if err != nil {
		return err
	}
	return t.classify(u, in)
}

// classify answers each line with a line. One that cannot be read gets one too, so that the two files stay side by side,
// and is told at the end.
func (t *terminal) classify(u understanding, in io.Reader) error {
	lines := bufio.NewReaderSize(in, 64<<10)
	if bom, _ := lines.Peek(3); bytes.Equal(bom, []byte("\ufeff")) {
		_, _ = lines.Discard(3)
	}
	out := bufio.NewWriter(t.out)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	var bad error
	for n := 1; ; n++ {
		line, end := lines.ReadBytes('\n')
		if end != nil && end != io.EOF {
			return errors.Join(out.Flush(), end)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			q, err := t.question(line)
			r := reading{Intent: intent.Other, Intents: []string{intent.Other}}
			if err == nil {
				r = t.understand(u, q)
			} else {
				r.Reason = t.say("not read: ", "не прочитано: ") + err.Error()
				bad = cmp.Or(bad, error(usageError{fmt.Errorf(t.say("line %d: %w", "строка %d: %w"), n, err)}))
			}
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		if end == io.EOF {
			break
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return bad
}

func (t *terminal) question(line []byte) (q question, err error) {
	if err := json.Unmarshal(line, &q); err != nil {
		return q, err
	}
	if q.Question != "" && q.Question != "yes_no" {
		return q, errors.New(t.say("question: the only one is yes_no", "question: бывает только yes_no"))
	}
	return q, nil
}

func (t *terminal) understand(u understanding, q question) reading {
	read, now := u.intents.Read, time.Now()
	if q.Question != "" {
		read = u.intents.Answer
	}
	if q.Now != nil {
		now = *q.Now
	}
	r := read(q.Text)
	return reading{
		Intent: r.Intent, Intents: r.Intents, Confidence: rounded(r.Confidence), Answered: r.Answered, InScope: rounded(r.InScope), Reply: r.Reply,
		Reason: t.reason(u.intents, q.Text, r), Slots: u.slots.Read(q.Text, now),
	}
}

// reason is why, in words for a person.
func (t *terminal) reason(m *intent.Model, text string, r intent.Result) string {
	if r.Rule != "" {
		en, ru, ok := strings.Cut(ruleNames[r.Rule], "|")
		if ok {
			return t.say("rule: ", "правило: ") + t.say(en, ru)
		}
		return t.say("rule: ", "правило: ") + r.Rule
	}
	example, likeness := m.Nearest(text, r.Intent)
	if example == "" {
		return t.say("like no example", "не похоже ни на один пример")
	}
	return t.say("like the example “%s” (%.2f)", "похоже на пример «%s» (%.2f)", example, likeness)
}

var ruleNames = map[string]string{
	"greeting":   "only a greeting|только приветствие",
	"no words":   "no words|нет слов",
	"stop":       "asks to be written to no more|просит больше не писать",
	"operator":   "asks for a person|просит человека",
	"reschedule": "asks to move an appointment|просит перенести запись",
	"cancel":     "asks to cancel|просит отменить",
	"keep":       "asks not to cancel|просит не отменять",
	"yes":        "the answer is yes|ответ «да»",
	"no":         "the answer is no|ответ «нет»",
}

func rounded(x float64) float64 { return float64(int(x*1000+0.5)) / 1000 }
