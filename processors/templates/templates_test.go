package templates

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"leadstream/streams/outbound"
)

var moscow = time.FixedZone("MSK", 3*3600)

func load(t *testing.T, s Settings) *Set {
	t.Helper()
	set, err := Load(s, moscow)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Each shipped text exists in both languages, with one purpose, and reads well both with everything and with nothing known.
func TestShipped(t *testing.T) {
	set := load(t, Settings{Business: Sample("ru").Business})
	for name, all := range set.texts {
		if len(all) != len(Languages) || all["ru"].Purpose != all["en"].Purpose {
			t.Errorf("%s: languages or purposes differ", name)
		}
		for _, text := range all {
			for what, v := range map[string]Values{"full": Sample(text.Language), "least": least(text)} {
				r, err := set.Render(text, v)
				if err != nil {
					t.Errorf("%s.%s, %s: %v", name, text.Language, what, err)
				}
				for _, s := range []string{r.Text, r.Short} {
					if hole := holeIn(s); hole != "" {
						t.Errorf("%s.%s, %s: %q in\n%s", name, text.Language, what, hole, s)
					}
				}
				if len([]rune(r.Short)) > 134 { // two SMS in Russian
					t.Errorf("%s.%s, %s: the SMS has %d letters", name, text.Language, what, len([]rune(r.Short)))
				}
			}
			if slices.Contains(promotions, name) != (text.Purpose == outbound.Promotion) {
				t.Errorf("%s is %s", name, text.Purpose)
			}
		}
	}
}

var promotions = []string{"coupon", "coupon_click", "coupon_interest", "coupon_visit", "follow_up", "instalments", "miss_you", "sample", "win_back"}

func least(text *Text) (v Values) {
	full := Sample(text.Language)
	for _, name := range text.Needs {
		switch name {
		case "Time":
			v.Time = full.Time
		case "Coupon":
			v.Coupon = full.Coupon
		case "Products":
			v.Products = full.Products
		case "LastVisit":
			v.LastVisit = full.LastVisit
		case "Branch":
			v.Branch = full.Branch
		}
	}
	return v
}

func TestGolden(t *testing.T) {
	set := load(t, Settings{Business: Business{Name: "Ромашка", Address: "ул. Ленина, 1"}})
	for name, want := range map[string]string{
		"booking":      "Здравствуйте, Анна! Ваша заявка: стрижка, завтра в 14:00. Администратор проверит время и подтвердит.",
		"offer":        "Здравствуйте, Анна! Есть время завтра в 14:00 (стрижка): 14:00, 16:30. Какое вам подходит? Подтвердим здесь же.",
		"confirmed":    "Здравствуйте, Анна! Ваш талон подтверждён: завтра в 14:00. Напомним за 24 ч и за 1 час.\nУслуга: стрижка.\nАдрес: ул. Ленина, 1.\nНе сможете прийти: ответьте «отмена» или «перенести».\nРомашка",
		"reminder_day": "Здравствуйте, Анна! Напоминаем о записи: стрижка, завтра в 14:00. ул. Ленина, 1.\nПридёте? Ответьте «да» или «перенести», а если не сможете — 1.\nРомашка",
	} {
		r, err := set.Render(set.Find(name, "ru"), Values{FirstName: "анна", Service: "стрижка", Time: "завтра в 14:00", Slots: []string{"14:00", "16:30"}})
		if err != nil || r.Text != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, r.Text, want)
		}
	}
}

// What goes on with a conversation does not greet again, whoever wrote the greeting.
func TestAgain(t *testing.T) {
	for _, s := range []Settings{{}, {Greeting: "Привет!"}} {
		set := load(t, s)
		first, _ := set.Render(set.Find("unclear", "ru"), Values{})
		again, err := set.Render(set.Find("unclear", "ru"), Values{Again: true})
		if err != nil || !strings.HasPrefix(again.Text, "Не совсем") || !strings.HasSuffix(first.Text, "! "+again.Text) {
			t.Errorf("%q %q %v", first.Text, again.Text, err)
		}
	}
}

// A text that needs what is not known says so and is not sent with a hole.
func TestMissing(t *testing.T) {
	set := load(t, Settings{})
	var missing MissingError
	if _, err := set.Render(set.Find("confirmed", "ru"), Values{}); !errors.As(err, &missing) || !slices.Equal(missing.Missing, []string{"Time"}) {
		t.Errorf("confirmed without a time: %v", err)
	}
	if _, err := set.Render(set.Find("hours", "en"), Values{}); !errors.As(err, &missing) || !slices.Equal(missing.Missing, []string{"Business.Hours"}) {
		t.Errorf("hours of a business that has not said them: %v", err)
	}
}

// Who types somebody else's number and an advertisement for a name into a form does not have it sent.
func TestNamesOfStrangers(t *testing.T) {
	set := load(t, Settings{})
	for name, want := range map[string]string{
		"Анна": "Здравствуйте, Анна!", "АННА Петрова": "Здравствуйте, Анна!", "жан-поль": "Здравствуйте, Жан-поль!", "O'Brien": "Здравствуйте, O'Brien!",
		"http://evil.example": "Здравствуйте!", "Выиграй1000р": "Здравствуйте!", "": "Здравствуйте!", "{{.Link}}": "Здравствуйте!", strings.Repeat("а", 31): "Здравствуйте!",
		"\u202eАнна": "Здравствуйте!",
	} {
		r, err := set.Render(set.Find("person", "ru"), Values{FirstName: name})
		if got, _, _ := strings.Cut(r.Text, " Ваше"); err != nil || got != want {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	r, err := set.Render(set.Find("cancel", "ru"), Values{Time: "завтра\n\nв 14:00"})
	if err != nil || !strings.Contains(r.Text, "запись завтра в 14:00 отменена") {
		t.Errorf("%q, %v", r.Text, err)
	}
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOwn(t *testing.T) {
	dir := write(t, map[string]string{
		"hours.ru.txt":  "purpose: answer\r\n{{template \"greeting\" .}} Мы тут {{.Business.Hours}}.\r\n",
		"garden.ru.txt": "purpose: promotion\nСад открыт.{{if .Coupon}} Код {{.Coupon}}.{{end}}",
	})
	set := load(t, Settings{Dir: dir, Greeting: "Привет{{with .FirstName}}, {{.}}{{end}}!", Business: Business{Hours: "всегда"}})
	hours := set.Find("hours", "ru")
	if r, err := set.Render(hours, Values{FirstName: "Анна"}); err != nil || r.Text != "Привет, Анна! Мы тут всегда." || !hours.Own {
		t.Errorf("%+v, %v", r, err)
	}
	garden := set.Find("garden", "en") // there is none in English
	if garden == nil || len(garden.Needs) != 0 || !slices.Equal(garden.Uses, []string{"Coupon"}) {
		t.Errorf("%+v", garden)
	}
	dir = write(t, map[string]string{"a.ru.txt": "purpose: answer\n{{with .Business}}{{.Name}} {{with .Phone}}{{.}}{{end}}{{end}}{{range .Slots}}{{.}}{{$.Service}}{{end}}"})
	if a := load(t, Settings{Dir: dir}).Find("a", "ru"); !slices.Equal(a.Needs, []string{"Business.Name"}) || !slices.Equal(a.Uses, []string{"Business", "Business.Phone", "Service", "Slots"}) {
		t.Errorf("%+v", a)
	}
	one, _ := set.Render(garden, Values{Coupon: "A"})
	two, _ := set.Render(garden, Values{Coupon: "B"})
	if one.Content != two.Content || one.Text == two.Text {
		t.Errorf("the same content for everybody: %+v %+v", one, two)
	}
	if set.Find("no such text", "ru") != nil {
		t.Error("found what is not there")
	}
}

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		file, content, want string
	}{
		"no purpose":                         {"a.ru.txt", "Привет", "first line"},
		"wrong purpose":                      {"a.ru.txt", "purpose: spam\nПривет", "first line"},
		"no language":                        {"a.txt", "purpose: answer\nПривет", "NAME.ru.txt"},
		"a language that nobody speaks here": {"a.xx.txt", "purpose: answer\nПривет", "NAME.ru.txt"},
		"unknown value":                      {"a.ru.txt", "purpose: answer\nПривет, {{.Firstname}}", "write .FirstName"},
		"unknown in if":                      {"a.ru.txt", "purpose: answer\n{{if .Cupon}}x{{end}}y", "write .Coupon"},
		"unknown function":                   {"a.ru.txt", "purpose: answer\n{{shout .FirstName}}", "not defined"},
		"not closed":                         {"a.ru.txt", "purpose: answer\n{{if .FirstName}}x", "unexpected EOF"},
		"empty":                              {"a.ru.txt", "purpose: answer\n", "empty"},
		"a method of a value":                {"a.ru.txt", "purpose: answer\n{{.Business.Named}}", "write .Business.Name"},
		"calls itself":                       {"a.ru.txt", "purpose: answer\n{{template \"text\" .}}", "depth"},
		"a value of a text":                  {"a.ru.txt", "purpose: answer\n{{with .Service}}{{.Name}}{{end}}", "there is no value .Service.Name"},
	} {
		_, err := Load(Settings{Dir: write(t, map[string]string{c.file: c.content})}, moscow)
		var fault Fault
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Load(Settings{Dir: "/no/such/folder"}, moscow); err == nil {
		t.Error("a folder that is not there is no fault")
	}
	if _, err := Load(Settings{Sign: "{{"}, moscow); err == nil {
		t.Error("a broken sign is no fault")
	}
}

func TestSpoken(t *testing.T) {
	now := time.Date(2026, 11, 22, 20, 0, 0, 0, moscow)
	for _, c := range []struct {
		days   int
		ru, en string
	}{
		{0, "сегодня", "today"}, {1, "вчера", "yesterday"}, {2, "2 дня назад", "2 days ago"}, {3, "3 дня назад", "3 days ago"}, {5, "5 дней назад", "5 days ago"},
		{11, "11 дней назад", "11 days ago"}, {14, "2 недели назад", "2 weeks ago"}, {60, "2 месяца назад", "2 months ago"}, {150, "5 месяцев назад", "5 months ago"},
		{365, "1 год назад", "1 year ago"}, {365 * 5, "5 лет назад", "5 years ago"},
	} {
		at := now.AddDate(0, 0, -c.days)
		if ru, en := Ago("ru", at, now, moscow), Ago("en", at, now, moscow); ru != c.ru || en != c.en {
			t.Errorf("%d days: %q %q", c.days, ru, en)
		}
	}
	for want, at := range map[string]time.Time{
		"сегодня в 21:30":                        now.Add(90 * time.Minute),
		"завтра в 00:30":                         now.Add(270 * time.Minute),
		"в пятницу, 27 ноября, в 09:30":          time.Date(2026, 11, 27, 9, 30, 0, 0, moscow),
		"во вторник, 5 января, в 14:00":          time.Date(2027, 1, 5, 14, 0, 0, 0, moscow),
		"в воскресенье, 21 ноября 2027, в 14:00": time.Date(2027, 11, 21, 14, 0, 0, 0, moscow),
	} {
		if got := At("ru", at.UTC(), now.UTC(), moscow); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for want, at := range map[string]time.Time{
		"21:30": now.Add(90 * time.Minute), "завтра, 00:30": now.Add(270 * time.Minute), "пятницу, 27 ноября, 09:30": time.Date(2026, 11, 27, 9, 30, 0, 0, moscow),
	} {
		if got := For("ru", at.UTC(), now, moscow); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := For("en", now.AddDate(0, 0, 5), now, moscow); got != "Friday, 27 November, 20:00" {
		t.Error(got)
	}
	// A night on which the clock is set: still one day.
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if got := At("en", time.Date(2026, 10, 25, 10, 0, 0, 0, berlin), time.Date(2026, 10, 24, 23, 30, 0, 0, berlin), berlin); got != "tomorrow at 10:00" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a.ru.txt", "purpose: answer\n{{template \"greeting\" .}}{{range .Slots}}{{.}}{{end}}")
	f.Add("a.en.txt", "purpose: promotion\n{{define \"short\"}}{{.Coupon}}{{end}}x{{with $x := .Link}}{{$x}}{{end}}")
	f.Add("a.en.txt", "purpose: notice\n{{template \"text\" .}}")
	voice, err := voiceOf(Settings{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, file, content string) {
		text, err := parseText(file, content, voice)
		if err == nil && (text.Name+"."+text.Language+".txt" != filepath.Base(file)) {
			t.Errorf("%q is %s.%s", file, text.Name, text.Language)
		}
	})
}
