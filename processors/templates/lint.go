package templates

import "strings"

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
