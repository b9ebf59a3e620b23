package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"leadstream/processors"
	"leadstream/processors/intent"
	"leadstream/processors/mask"
)

// Answer is what the model says of a message, checked.
type Answer struct {
	Intents []string // one to three, the main one first
	Sure    bool
	processors.Words
}

// said is the JSON that the model writes.
type said struct {
	Intents []string `json:"intents"`
	Sure    *bool    `json:"sure"`
	Service *string  `json:"service"`
	When    *string  `json:"when"`
	Name    *string  `json:"name"`
	Order   *string  `json:"order"`
}

// schema is that JSON, as structured output wants it: every property required, nothing else allowed, and no limits that
// some servers do not know; those are ours to check.
var schema = map[string]any{
	"type": "object", "additionalProperties": false,
	"required": []string{"intents", "sure", "service", "when", "name", "order"},
	"properties": map[string]any{
		"intents": map[string]any{"type": "array", "items": map[string]any{"type": "string", "enum": intent.All}},
		"sure":    map[string]any{"type": "boolean"},
		"service": orNull, "when": orNull, "name": orNull, "order": orNull,
	},
}

var orNull = map[string]any{"type": []string{"string", "null"}}

const (
	mostIntents = 3
	longestWord = 200 // runes of a quotation
)

var keys = []string{"intents", "sure", "service", "when", "name", "order"}

// parse reads the model's text: the JSON of schema, and nothing that is not in it. A Markdown fence or a line of reasoning
// around it is forgiven, as models without structured output add them. Its errors quote nothing.
func parse(text string) (Answer, error) {
	body, err := object(text)
	if err != nil {
		return Answer{}, err
	}
	var there map[string]json.RawMessage
	if err := json.Unmarshal(body, &there); err != nil {
		return Answer{}, errors.New("it is no JSON object")
	}
	for _, k := range keys {
		if _, ok := there[k]; !ok {
			return Answer{}, fmt.Errorf("it lacks %s", k)
		}
	}
	if len(there) != len(keys) {
		return Answer{}, errors.New("it has keys that were not asked for")
	}
	var s said
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return Answer{}, errors.New("a value is not of its type")
	}
	switch {
	case s.Sure == nil:
		return Answer{}, errors.New("sure is neither true nor false")
	case len(s.Intents) == 0 || len(s.Intents) > mostIntents:
		return Answer{}, fmt.Errorf("it names %d intents", len(s.Intents))
	case slices.ContainsFunc(s.Intents, func(i string) bool { return !slices.Contains(intent.All, i) }):
		return Answer{}, errors.New("it names an intent that there is not")
	}
	a := Answer{Sure: *s.Sure, Words: processors.Words{Service: word(s.Service), When: word(s.When), Name: word(s.Name), Order: word(s.Order)}}
	for _, i := range s.Intents {
		if !slices.Contains(a.Intents, i) && (i != intent.Other || len(s.Intents) == 1) {
			a.Intents = append(a.Intents, i)
		}
	}
	if len(a.Intents) == 0 {
		a.Intents = []string{intent.Other}
	}
	return a, nil
}

// object finds the one JSON object in a text.
func object(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "[") {
		return nil, errors.New("it is a list")
	}
	if !strings.HasPrefix(text, "{") {
		if at := strings.LastIndex(text, "\n{"); at >= 0 {
			text = text[at+1:]
		} else if at := strings.Index(text, "{"); at >= 0 {
			text = text[at:]
		}
	}
	d := json.NewDecoder(strings.NewReader(text))
	var body json.RawMessage
	if err := d.Decode(&body); err != nil {
		return nil, errors.New("it is no JSON")
	}
	if strings.Contains(text[d.InputOffset():], "{") {
		return nil, errors.New("it is more than one JSON object")
	}
	return body, nil
}

func word(s *string) string {
	if s == nil || utf8.RuneCountInString(*s) > longestWord {
		return ""
	}
	return strings.TrimSpace(*s)
}

// quoted leaves only words that the message has, and restores what was masked in them: a model invents, and may be talked
// into saying what the customer did not.
func (a *Answer) quoted(text mask.Text) {
	for _, w := range []*string{&a.Service, &a.When, &a.Name, &a.Order} {
		if !strings.Contains(strings.ToLower(text.Masked), strings.ToLower(*w)) {
			*w = ""
		}
		*w = text.Restore(*w)
	}
}
