package templates

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLint(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.en.txt":     "purpose: notice\nYou are booked: {{.Time}}.{{with .Master}} {{.}} is waiting.{{end}}",
		"hole.en.txt":     "purpose: notice\nYou are booked: {{with .Service}}{{.}}{{end}}, {{.Time}}{{with .Master}}{{.}}{{end}}.",
		"pushy.en.txt":    "purpose: promotion\nTen per cent off today!",
		"long.en.txt":     "purpose: notice\n" + repeat("word ", 60),
		"polite.en.txt":   "purpose: promotion\nTen per cent off. No more? Answer STOP.",
		"polite.ru.txt":   "purpose: promotion\nСкидка. Отказ: СТОП.",
		"question.ru.txt": "purpose: answer\nКогда вам удобно?",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set := load(t, Settings{Dir: dir})
	wrong := map[string]int{"hole.en": 1, "pushy.en": 1, "long.en": 1}
	for _, text := range set.All() {
		name := text.Name + "." + text.Language
		if got := set.Lint(text); len(got) != wrong[name] {
			t.Errorf("%s: %+v", name, got)
		}
		if _, err := set.Preview(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func repeat(s string, n int) (all string) {
	for range n {
		all += s
	}
	return all
}
