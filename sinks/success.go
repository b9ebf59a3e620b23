package sinks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"leadstream/sinks/httpx"
)

// Success tells a good 2xx from a page that some proxy, or a domain that has been sold, gives for anything. The zero
// value takes every answer that is not such a page.
type Success struct {
	text  *regexp.Regexp
	path  []string
	value string
}

// NewSuccess takes the settings success_text, a regular expression, and success_json, a path=value; either may be empty.
func NewSuccess(text, rule string) (Success, error) {
	var s Success
	var faults []error
	if text != "" {
		re, err := regexp.Compile(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("success_text: is no regular expression: %w", err))
		}
		s.text = re
	}
	if rule != "" {
		path, value, ok := strings.Cut(rule, "=")
		if !ok || path == "" {
			faults = append(faults, errors.New("success_json: write path=value, such as status=ok or result.0.code=100"))
		}
		s.path, s.value = strings.Split(path, "."), value
	}
	return s, errors.Join(faults...)
}

// Check says why an answer in 2xx is not a good one. Its error quotes nothing of the answer.
func (s Success) Check(a httpx.Answer) error {
	if s.text != nil && !s.text.Match(a.Body) {
		return errors.New("the answer does not match success_text")
	}
	if s.path != nil {
		got, err := JSONPath(a, s.path...)
		if err != nil {
			return fmt.Errorf("success_json: %w", err)
		}
		if got != s.value {
			return errors.New("the answer has another value than success_json")
		}
	}
	if s.text == nil && s.path == nil && isPage(a) {
		return errors.New("the answer is a web page: something else than the expected program answers there")
	}
	return nil
}

// JSONPath is the text of what stands in the answer under names and, in arrays, numbers.
func JSONPath(a httpx.Answer, path ...string) (string, error) {
	var raw json.RawMessage
	if err := a.JSON(&raw); err != nil {
		return "", err
	}
	for _, name := range path {
		var object map[string]json.RawMessage
		var array []json.RawMessage
		if json.Unmarshal(raw, &object) == nil {
			raw = object[name]
		} else if i, err := strconv.Atoi(name); err == nil && json.Unmarshal(raw, &array) == nil && i >= 0 && i < len(array) {
			raw = array[i]
		} else {
			raw = nil
		}
		if raw == nil {
			return "", fmt.Errorf("the answer has no %s", strings.Join(path, "."))
		}
	}
	return plain(raw), nil
}

// isPage looks at the body alone: gateways and scripts say text/html of a bare OK.
func isPage(a httpx.Answer) bool {
	start := bytes.ToLower(bytes.TrimSpace(a.Body[:min(len(a.Body), 512)]))
	return bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html"))
}
