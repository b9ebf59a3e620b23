package processors

import (
	"strings"
	"testing"
)

func TestOneSMS(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"fits":          {"Очередь 60. Проверьте CRM", "Очередь 60. Проверьте CRM"},
		"70 of Russian": {strings.Repeat("я", 70), strings.Repeat("я", 70)},
		"71 of Russian": {strings.Repeat("я", 71), strings.Repeat("я", 68) + ".."},
		"160 of Latin":  {strings.Repeat("a", 160), strings.Repeat("a", 160)},
		"161 of Latin":  {strings.Repeat("a", 161), strings.Repeat("a", 158) + ".."},
		"emoji are two": {strings.Repeat("👍", 36), strings.Repeat("👍", 34) + ".."},
		"at a word":     {strings.Repeat("слово ", 15), strings.TrimSpace(strings.Repeat("слово ", 11)) + ".."},
		"a mixed tail":  {strings.Repeat("a", 80) + "я", strings.Repeat("a", 80) + ".."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := OneSMS(tt.in)
			if got != tt.want || !FitsSMS(got) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
