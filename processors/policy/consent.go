package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadstream/streams"
)

// Purposes of consents.
const (
	Service   = "service"   // to be written to at all
	Marketing = "marketing" // advertising
)

// Consent is a line of the ledger: the same fields in the same order as the records have it.
type Consent struct {
	Key     string // the same one again adds nothing
	At      time.Time
	Purpose string
	Channel string // empty: every channel
	Given   bool   // false: taken back
	How     string // form, message
	Wording string // what the customer was asked, or wrote
	Message string // id of the lead with which it came
}

type opinion int

const (
	silent    opinion = iota
	elsewhere         // yes, for other channels alone
	yes
	no
)

// said is a customer's last word on a purpose. A no is one for all channels, wherever it was said; of a yes and a no at
// one moment the no counts.
func said(ledger []Consent, purpose, channel string) opinion {
	lines := slices.DeleteFunc(slices.Clone(ledger), func(c Consent) bool { return c.Purpose != purpose })
	slices.SortStableFunc(lines, func(a, b Consent) int {
		if order := a.At.Compare(b.At); order != 0 {
			return order
		}
		if a.Given != b.Given && a.Given {
			return -1
		}
		return 0
	})
	is := silent
	for _, c := range lines {
		switch {
		case !c.Given:
			is = no
		case c.Channel == "" || c.Channel == channel:
			is = yes
		case is != yes:
			is = elsewhere
		}
	}
	return is
}

// Fields are names of form fields that hold a consent, in any case of letters. A consent to the processing of personal data,
// which is what most boxes called "consent" ask for, is none to advertising.
type Fields struct {
	Marketing []string `koanf:"marketing"`
	Service   []string `koanf:"service"`
}

// FromForm reads the consents that came with a lead. A box that is not ticked says nothing; who writes no takes back.
func (f Fields) FromForm(l *streams.Lead) (lines []Consent) {
	if l.Event != "" || l.ID == "" {
		return nil
	}
	names := make([]string, 0, len(l.Fields))
	for name := range l.Fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for purpose, known := range map[string][]string{Marketing: f.Marketing, Service: f.Service} {
			if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, strings.TrimSpace(name)) }) {
				continue
			}
			value := textOf(l.Fields[name])
			given, ok := ticked(value)
			if !ok {
				continue
			}
			wording := value
			for _, suffix := range []string{"_text", "_wording"} {
				if w := textOf(l.Fields[name+suffix]); w != "" {
					wording = w
				}
			}
			lines = append(lines, Consent{Key: "form:" + l.ID + ":" + name, At: timeOf(l), Purpose: purpose, Given: given, How: "form",
				Wording: fmt.Sprintf("%s: %s", name, wording), Message: l.ID})
		}
	}
	return lines
}

// ticked reads the value of a box; a text that is no plain yes or no is the wording next to the box that was ticked.
func ticked(value string) (given, ok bool) {
	switch v := normal(value); v {
	case "", "0", "false", "off", "unchecked", "null":
		return false, false
	case "no", "нет", "не согласен", "не согласна", "не хочу", "decline", "declined":
		return false, true
	default:
		if Read(value, Talk{}).stops() {
			return false, true
		}
		for _, denies := range []string{"не ", "нет ", "no ", "not ", "do not ", "dont ", "i do not ", "i dont ", "я не "} {
			if strings.HasPrefix(v, denies) {
				return false, false // "не возражаю" or "не желаю": it is not known what was ticked
			}
		}
		return true, true
	}
}

// textOf is a field as a text; a list is its parts.
func textOf(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return ""
	}
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return strings.TrimSpace(v)
	case []any:
		var parts []string
		for _, one := range v {
			parts = append(parts, fmt.Sprint(one))
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v)
}

func timeOf(l *streams.Lead) time.Time {
	if !l.EventAt.IsZero() && (l.ReceivedAt.IsZero() || l.EventAt.Before(l.ReceivedAt)) {
		return l.EventAt
	}
	return l.ReceivedAt
}

// Refusal is why no advertising reaches a customer by any channel, a word that Explain knows; empty: they have agreed to some.
func Refusal(ledger []Consent) string {
	switch {
	case said(ledger, Service, "") == no:
		return Refused
	case said(ledger, Marketing, "") == no:
		return Stopped
	case said(ledger, Marketing, "") == silent:
		return NoConsent
	}
	return ""
}
