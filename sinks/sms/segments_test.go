package sms

import (
	"strings"
	"testing"
)

func TestSegments(t *testing.T) {
	latin, cyrillic, emoji := strings.Repeat("a", 1000), strings.Repeat("я", 1000), strings.Repeat("💇", 200)
	ru := func(n int) string { return string([]rune(cyrillic)[:n]) }
	em := func(n int) string { return string([]rune(emoji)[:n]) }
	cases := map[string]struct {
		text string
		want int
	}{
		"nothing":                      {"", 0},
		"one Latin":                    {latin[:160], 1},
		"one too many":                 {latin[:161], 2},
		"two full":                     {latin[:306], 2},
		"three":                        {latin[:307], 3},
		"one Cyrillic letter":          {latin[:69] + "я", 1},
		"which makes all of it UCS-2":  {latin[:70] + "я", 2},
		"Cyrillic":                     {ru(70), 1},
		"Cyrillic, two":                {ru(71), 2},
		"Cyrillic, two full":           {ru(134), 2},
		"Cyrillic, three":              {ru(135), 3},
		"the euro costs two":           {latin[:158] + "€", 1},
		"and is too much":              {latin[:159] + "€", 2},
		"every extended one":           {strings.Repeat("^{}\\[~]|€\f", 8), 1},
		"an escape is not divided":     {latin[:152] + "€" + latin[:152], 3},
		"Greek capitals are basic":     {strings.Repeat("ΔΦΓΛΩΠΨΣΘΞ", 16), 1},
		"Greek small ones are not":     {strings.Repeat("α", 71), 2},
		"the grave accent is not":      {strings.Repeat("`", 71), 2},
		"an emoji is two units":        {em(35), 1},
		"and thirty-six are too many":  {em(36), 2},
		"a pair is not divided":        {em(33) + "я" + em(34), 3},
		"33 pairs a part, one is left": {em(66), 2},
		"67 pairs":                     {em(67), 3},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Segments(c.text); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestFit(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		parts int
		want  int // characters left
	}{
		"short":            {" да ", 1, 2},
		"Cyrillic":         {strings.Repeat("я", 500), 1, 70},
		"Cyrillic, two":    {strings.Repeat("я", 500), 2, 134},
		"Latin":            {strings.Repeat("a", 500), 1, 160},
		"pairs":            {strings.Repeat("💇", 50), 1, 35},
		"pairs, two parts": {strings.Repeat("💇", 100), 2, 66},
		"Latin, then not":  {strings.Repeat("a", 160) + "я", 1, 160},
		"nothing":          {"  ", 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := Fit(c.text, c.parts)
			if n := len([]rune(got)); n != c.want || Segments(got) > c.parts {
				t.Errorf("got %d characters in %d segments, want %d", n, Segments(got), c.want)
			}
		})
	}
}

func FuzzFit(f *testing.F) {
	f.Add("привет €💇", 1)
	f.Add(strings.Repeat("a€", 90), 2)
	f.Fuzz(func(t *testing.T, s string, parts int) {
		parts = min(max(parts, 1), 8)
		s = strings.ToValidUTF8(s, "")
		got := Fit(s, parts)
		if Segments(got) > parts || !strings.HasPrefix(strings.TrimSpace(s), got) {
			t.Errorf("%q in %d segments gives %q", s, parts, got)
		}
	})
}

func TestSmart(t *testing.T) {
	for in, want := range map[string]string{
		"“Hi” — it’s 5\u00a0pm…": `"Hi" - it's 5 pm...`,
		"«Привет» — да":          "«Привет» — да",
		"plain":                  "plain",
		"№ 5":                    "No 5",
	} {
		if got := Smart(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for name, c := range map[string]struct {
		written, region, want string
	}{
		"E.164":            {"+79990000011", "RU", "79990000011"},
		"with eight":       {"8 (999) 000-00-11", "RU", "79990000011"},
		"without either":   {"999 000 00 11", "RU", "79990000011"},
		"digits":           {"79990000011", "RU", "79990000011"},
		"Kazakhstan":       {"+77010000011", "RU", "77010000011"},
		"abroad":           {"+852 9123 4567", "RU", "85291234567"},
		"eight elsewhere":  {"+84900000011", "RU", "84900000011"},
		"other region":     {"85290000011", "HK", "85290000011"},
		"Moscow landline":  {"+7 495 000-00-11", "RU", ""},
		"Siberia landline": {"8 391 000-00-11", "RU", ""},
		"Samara landline":  {"88460000011", "RU", ""},
		"free call":        {"8-800-000-00-11", "RU", ""},
		"too short":        {"12345", "RU", ""},
		"too long for +7":  {"+799900000111", "RU", ""},
		"text":             {"call me", "RU", ""},
		"two numbers":      {"+79990000011+79990000012", "RU", ""},
		"nothing":          {"", "RU", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Number(c.written, c.region)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
}
