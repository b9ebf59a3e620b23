package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Fault is something wrong in config.yaml, in the operator's words and language.
type Fault struct {
	Key     string `json:"key"`
	Line    int    `json:"line,omitempty"` // 0: the key is not in the file
	Problem string `json:"problem"`
	Cure    string `json:"cure"`
	Warning bool   `json:"warning,omitempty"` // the daemon starts all the same
}

// String is a fault on one line: where, what, and what to do.
func (f Fault) String() string {
	where := f.Key
	if f.Line > 0 {
		where = strings.TrimSuffix(fmt.Sprintf("line %d: %s", f.Line, f.Key), ": ")
	}
	problem, _, _ := strings.Cut(f.Problem, "\n") // an expression's error also draws where
	return fmt.Sprintf("%s: %s; %s", where, problem, f.Cure)
}

// broken tells whether any of the faults keeps the daemon from starting.
func broken(faults []Fault) bool {
	return slices.ContainsFunc(faults, func(f Fault) bool { return !f.Warning })
}

func sortFaults(faults []Fault) {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
}

// nearest is the known word that a person most likely meant, or "".
func nearest(word string, known []string) string {
	best, distance := "", max(2, len([]rune(word))/3)+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if len(k) > 2 && strings.HasPrefix(word, k) {
			return k
		}
		if d := levenshtein.ComputeDistance(strings.ToLower(word), k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// cureUnknown says what to write instead of a word that is none of the known ones.
func (l lang) cureUnknown(word string, known []string) string {
	if k := nearest(word, known); k != "" {
		return l.say("did you mean %q?", "возможно, имелось в виду %q?", k)
	}
	if len(known) == 0 {
		return l.say("remove it", "уберите")
	}
	return l.say("use one of: %s", "допустимо: %s", strings.Join(slices.Sorted(slices.Values(known)), ", "))
}
