package sinks

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// FuzzSplitText: parts fit, lose nothing but blanks, and cut no character.
func FuzzSplitText(f *testing.F) {
	f.Add("Добрый день!\nХочу записаться 🙂", 8)
	f.Add(strings.Repeat("🙂", 40), 3)
	f.Fuzz(func(t *testing.T, text string, most int) {
		if !utf8.ValidString(text) || most < 2 || most > 5000 {
			return
		}
		bare := func(s string) string {
			return strings.Map(func(r rune) rune {
				if unicode.IsSpace(r) {
					return -1
				}
				return r
			}, s)
		}
		parts := SplitText(text, most)
		for _, p := range parts {
			if n := len(utf16.Encode([]rune(p))); n > most || p == "" || !utf8.ValidString(p) {
				t.Fatalf("%q has %d units, at most %d", p, n, most)
			}
		}
		if got := strings.Join(parts, ""); bare(got) != bare(text) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
