package templates

import (
	"reflect"
	"slices"
	"strings"

	"leadstream/streams/outbound"
)

// holes are what a value that is not known leaves in a text which does not ask for it.
var holes = []string{" ,", " .", " !", ",!", ",.", ": .", ": ,", "()", "( )", "..", "<no value>", "«»", "\"\""}

// holeIn is what looks in a text as if something were missing; empty: nothing does.
func holeIn(text string) string {
	for _, h := range holes {
		if strings.Contains(text, h) {
			return h
		}
	}
	if strings.HasSuffix(text, ":") || strings.HasSuffix(text, ",") {
		return text[len(text)-1:]
	}
	return ""
}

// Preview is a text as a customer would get it, with an example's values, and the business's own where the config says them.
func (s *Set) Preview(t *Text) (Rendered, error) {
	v := Sample(t.Language)
	own := Set{texts: s.texts, zone: s.zone, business: s.business}
	if own.business == (Business{}) {
		own.business = v.Business
	}
	return own.Render(t, v)
}

// Remark is something about a text that may surprise a customer.
type Remark struct{ En, Ru string }

const (
	longText  = 1000 // Instagram takes no more letters
	longShort = 201  // three segments of Cyrillic
)

// Lint looks at a text filled in with an example, and with as little as it can do with.
func (s *Set) Lint(t *Text) (remarks []Remark) {
	full := Sample(t.Language)
	least := full.only(t.Needs)
	for _, v := range []Values{full, least} {
		text, short, err := t.execute(v)
		if err != nil {
			return append(remarks, Remark{problemOf(err), problemOf(err)})
		}
		for _, one := range []string{text, short} {
			if hole := holeIn(one); hole != "" {
				remarks = append(remarks, Remark{"something seems to be missing at " + hole, "похоже, чего-то не хватает у " + hole})
			}
		}
		if len([]rune(text)) > longText {
			remarks = append(remarks, Remark{"longer than 1000 letters, which is all that Instagram takes", "длиннее 1000 знаков: больше Instagram не примет"})
		}
		if len([]rune(short)) > longShort {
			remarks = append(remarks, Remark{"for SMS it is longer than three segments, each is paid: add {{define \"short\"}}", "для СМС длиннее трёх частей, каждая платная: добавьте {{define \"short\"}}"})
		}
		if t.Purpose == outbound.Promotion && !strings.Contains(strings.ToUpper(text), "СТОП") && !strings.Contains(strings.ToUpper(text), "STOP") {
			remarks = append(remarks, Remark{"advertising that does not say how to stop it", "реклама без слов о том, как от неё отказаться"})
		}
	}
	slices.SortFunc(remarks, func(a, b Remark) int { return strings.Compare(a.En, b.En) })
	return slices.Compact(remarks)
}

// only are the values of those names, and nothing else.
func (v Values) only(names []string) (few Values) {
	to := reflect.ValueOf(&few).Elem()
	for _, name := range names {
		at := to
		for part := range strings.SplitSeq(name, ".") {
			at = at.FieldByName(part)
		}
		at.Set(v.at(name))
	}
	return few
}
