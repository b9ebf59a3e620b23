package streams

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/net/idna"
)

func TestNormalizePhone(t *testing.T) {
	const mobile = "+79990000011"
	tests := map[string]struct{ raw, region, want string }{
		"E.164":                          {"+79990000011", "RU", mobile},
		"eight":                          {"89990000011", "RU", mobile},
		"seven without plus":             {"79990000011", "RU", mobile},
		"ten digits":                     {"9990000011", "RU", mobile},
		"no region is Russia":            {"89990000011", "", mobile},
		"brackets and dashes":            {"8 (999) 000-00-11", "RU", mobile},
		"plus, brackets":                 {"+7 (999) 000-00-11", "RU", mobile},
		"brackets without blanks":        {"8(999)0000011", "RU", mobile},
		"dots":                           {"8.999.000.00.11", "RU", mobile},
		"spaces":                         {"8 999 000 00 11", "RU", mobile},
		"spaces around":                  {"  +79990000011\t", "RU", mobile},
		"nbsp":                           {"8\u00a0999\u00a0000\u00a000\u00a011", "RU", mobile},
		"narrow nbsp":                    {"+7\u202f999\u202f000\u202f00\u202f11", "RU", mobile},
		"en dashes":                      {"8–999–000–00–11", "RU", mobile},
		"minus signs":                    {"8−999−000−00−11", "RU", mobile},
		"zero width":                     {"+7\u200b999\u200b0000011", "RU", mobile},
		"direction marks, pasted":        {"\u202a+7 999 000-00-11\u202c", "RU", mobile},
		"BOM before":                     {"\ufeff89990000011", "RU", mobile},
		"wide digits":                    {"８９９９０００００１１", "RU", mobile},
		"wide plus":                      {"＋79990000011", "RU", mobile},
		"Arabic digits":                  {"٨٩٩٩٠٠٠٠٠١١", "RU", mobile},
		"Persian digits":                 {"+۷۹۹۹۰۰۰۰۰۱۱", "RU", mobile},
		"Devanagari digits":              {"८९९९०००००११", "RU", mobile},
		"mathematical digits":            {"𝟖𝟗𝟗𝟗𝟎𝟎𝟎𝟎𝟎𝟏𝟏", "RU", mobile},
		"plus eight":                     {"+89990000011", "RU", mobile},
		"plus and ten digits":            {"+9990000011", "RU", mobile},
		"seven and eight":                {"+7 8 999 000 00 11", "RU", mobile},
		"00 for plus":                    {"0079990000011", "RU", mobile},
		"8 10 for plus":                  {"8 10 7 999 000 00 11", "RU", mobile},
		"tel URI":                        {"tel:+79990000011", "RU", mobile},
		"word before":                    {"Телефон: 8 999 000-00-11", "RU", mobile},
		"words around":                   {"звоните 8 999 000-00-11 после шести", "RU", mobile},
		"name after":                     {"8 999 000-00-11 Ольга", "RU", mobile},
		"name after, Latin":              {"8 999 000-00-11 Olga", "RU", mobile},
		"name before, Latin":             {"Olga 89990000011", "RU", mobile},
		"letters stuck to it":            {"call89990000011now", "RU", mobile},
		"extension, Russian":             {"8 999 000-00-11 доб. 12", "RU", mobile},
		"extension, inside":              {"8 (999) 000-00-11 (вн. 304)", "RU", mobile},
		"extension, English":             {"+7 999 000 00 11 ext. 5", "RU", mobile},
		"extension, hash":                {"+7 999 000 00 11 #12", "RU", mobile},
		"extension, x":                   {"+79990000011x123", "RU", mobile},
		"extension, Cyrillic x":          {"+79990000011 х123", "RU", mobile},
		"two with a comma":               {"8 999 000-00-11, 8 999 000-00-22", "RU", mobile},
		"two with a semicolon":           {"89990000011;89990000022", "RU", mobile},
		"two with a slash":               {"89990000011/89990000022", "RU", mobile},
		"two on two lines":               {"89990000011\n89990000022", "RU", mobile},
		"two with a word":                {"89990000011 или 89990000022", "RU", mobile},
		"two with a blank":               {"89990000011 89990000022", "RU", mobile},
		"two with pluses":                {"+79990000011 +79990000022", "RU", mobile},
		"two with pluses, touching":      {"+79990000011+79990000022", "RU", mobile},
		"two, blanks everywhere":         {"8 999 000 00 11 8 999 000 00 22", "RU", mobile},
		"first is wrong":                 {"123, 8 999 000-00-11", "RU", mobile},
		"first is too long":              {"89990000011999999, +79990000011", "RU", mobile},
		"order number before":            {"заказ 1234567, тел. 89990000011", "RU", mobile},
		"flat number before":             {"кв. 5, 8 999 000 00 11", "RU", mobile},
		"e-mail before":                  {"olga@example.test 89990000011", "RU", mobile},
		"in quotes":                      {`"+79990000011"`, "RU", mobile},
		"apostrophe of a spreadsheet":    {"'+79990000011", "RU", mobile},
		"equals sign of a spreadsheet":   {"=+79990000011", "RU", mobile},
		"brackets only":                  {"(999)000-00-11", "RU", mobile},
		"underscores":                    {"8_999_000_00_11", "RU", mobile},
		"wa.me":                          {"https://wa.me/79990000011", "RU", mobile},
		"mixed plus in the middle":       {"8+9990000011", "RU", mobile},
		"Moscow":                         {"8 (495) 000-00-11", "RU", "+74950000011"},
		"Moscow, ten digits":             {"4950000011", "RU", "+74950000011"},
		"Petersburg":                     {"+7 812 000-00-11", "RU", "+78120000011"},
		"free of charge":                 {"8-800-000-00-11", "RU", "+78000000011"},
		"Kazakhstan":                     {"+7 701 000 00 11", "RU", "+77010000011"},
		"Kazakhstan with eight":          {"8 701 000 00 11", "KZ", "+77010000011"},
		"Belarus":                        {"+375 29 100-00-11", "RU", "+375291000011"},
		"Belarus without plus":           {"375291000011", "RU", "+375291000011"},
		"Belarus with 00":                {"00375291000011", "RU", "+375291000011"},
		"Belarus, 8 10":                  {"8 10 375 29 100 00 11", "RU", "+375291000011"},
		"Uzbekistan without plus":        {"998901000011", "RU", "+998901000011"},
		"Armenia":                        {"+374 91 000011", "RU", "+37491000011"},
		"Georgia":                        {"+995 555 00 00 11", "RU", "+995555000011"},
		"Hong Kong":                      {"+852 2123 4567", "RU", "+85221234567"},
		"Hong Kong at home":              {"2123 4567", "HK", "+85221234567"},
		"Taiwan":                         {"+886 912 345 678", "RU", "+886912345678"},
		"Taiwan at home":                 {"0912-345-678", "TW", "+886912345678"},
		"Britain":                        {"+44 7911 123456", "RU", "+447911123456"},
		"Britain, zero in brackets":      {"+44 (0)7911 123456", "RU", "+447911123456"},
		"Britain at home":                {"07911 123456", "GB", "+447911123456"},
		"Germany":                        {"+49 30 123456", "RU", "+4930123456"},
		"Italy keeps its zero":           {"+39 06 1234 5678", "RU", "+390612345678"},
		"United States":                  {"+1 (202) 456-1111", "RU", "+12024561111"},
		"United States at home":          {"(202) 456-1111", "US", "+12024561111"},
		"Turkey":                         {"+90 532 000 00 11", "RU", "+905320000011"},
		"Israel":                         {"+972 50-000-0011", "RU", "+972500000011"},
		"ten digits elsewhere":           {"9990000011", "DE", ""},
		"Russian abroad, plus":           {"+7 999 000-00-11", "DE", mobile},
		"empty":                          {"", "RU", ""},
		"blanks":                         {" \t ", "RU", ""},
		"no digits":                      {"позвоните мне", "RU", ""},
		"short":                          {"112", "RU", ""},
		"six digits":                     {"000-111", "RU", ""},
		"no such code":                   {"+7 000 000 00 11", "RU", ""},
		"zeros":                          {"00000000000", "RU", ""},
		"ones":                           {"11111111111", "RU", ""},
		"mask not filled in":             {"+7 (___) ___-__-__", "RU", ""},
		"mask half filled in":            {"+7 (999) 000-__-__", "RU", ""},
		"one digit missing":              {"8 999 000 00 1", "RU", ""},
		"placeholder":                    {"undefined", "RU", ""},
		"template":                       {"{{1.phone}}", "RU", ""},
		"e-mail":                         {"olga@example.test", "RU", ""},
		"date":                           {"2026-11-22 10:00", "RU", ""},
		"plus alone":                     {"+", "RU", ""},
		"pluses":                         {"+++++", "RU", ""},
		"NUL":                            {"8999\x000000011", "RU", mobile},
		"invalid UTF-8":                  {"\xff\xfe89990000011", "RU", mobile},
		"unknown region":                 {"+79990000011", "ZZ", mobile},
		"unknown region, no country":     {"89990000011", "ZZ", ""},
		"very long":                      {strings.Repeat("9", 5000), "RU", ""},
		"number in a long letter":        {"8 999 000 00 11 " + strings.Repeat("письмо ", 1000), "RU", mobile},
		"many pieces, a number not late": {strings.Repeat("12345,", 5) + "89990000011", "RU", mobile},
	}
	if len(tests) < 100 {
		t.Errorf("only %d cases", len(tests))
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := NormalizePhone(tt.raw, tt.region)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("NormalizePhone(%q, %s) = %q, %t, want %q", tt.raw, tt.region, got, ok, tt.want)
			}
		})
	}
}

// The short way for Russian mobiles must say what the library says, for every prefix of three digits.
func TestRussianMobileAgrees(t *testing.T) {
	for prefix := range 1000 {
		local := fmt.Sprintf("%03d0000011", prefix)
		for _, raw := range []string{"8" + local, "+7" + local, local} {
			got, ok := russianMobile(raw, "RU")
			if !ok {
				continue
			}
			if want, valid := parsePhone(raw, "RU"); !valid || got != want {
				t.Errorf("russianMobile(%s) = %s, the library says %q", raw, got, want)
			}
		}
	}
	if _, ok := russianMobile("89990000011", "RU"); !ok {
		t.Error("the short way is never taken")
	}
}

func TestNormalizeEmail(t *testing.T) {
	tests := map[string]struct{ raw, want string }{
		"plain":             {"olga@example.test", "olga@example.test"},
		"capitals":          {"Olga@Example.TEST", "olga@example.test"},
		"blanks around":     {"  olga@example.test\n", "olga@example.test"},
		"blanks inside":     {"olga @ example.test", "olga@example.test"},
		"nbsp":              {"olga@example.test\u00a0", "olga@example.test"},
		"zero width":        {"ol\u200bga@example.test", "olga@example.test"},
		"with a name":       {"Ольга <olga@example.test>", "olga@example.test"},
		"mailto":            {"mailto:olga@example.test", "olga@example.test"},
		"full stop after":   {"пишите на olga@example.test.", "olga@example.test"},
		"two":               {"olga@example.test, ivan@example.test", "olga@example.test"},
		"first is wrong":    {"olga@, ivan@example.test", "ivan@example.test"},
		"plus":              {"olga+site@example.test", "olga+site@example.test"},
		"subdomain":         {"olga@mail.example.test", "olga@mail.example.test"},
		"Cyrillic domain":   {"olga@пример.рф", "olga@xn--e1afmkfd.xn--p1ai"},
		"ASCII of the same": {"olga@xn--e1afmkfd.xn--p1ai", "olga@xn--e1afmkfd.xn--p1ai"},
		"Cyrillic name":     {"Ольга@пример.рф", "ольга@xn--e1afmkfd.xn--p1ai"},
		"digits":            {"79990000011@example.test", "79990000011@example.test"},
		"no at":             {"olga.example.test", ""},
		"no domain":         {"olga@", ""},
		"no name":           {"@example.test", ""},
		"no dot":            {"olga@example", ""},
		"address":           {"olga@127.0.0.1", ""},
		"two ats":           {"olga@@example.test", ""},
		"leading dot":       {".olga@example.test", "olga@example.test"},
		"dot before at":     {"olga.@example.test", ""},
		"bad label":         {"olga@-example-.test", ""},
		"dots in a row":     {"olga@example..test", ""},
		"phone":             {"+79990000011", ""},
		"empty":             {"", ""},
		"placeholder":       {"null", ""},
		"too long a name":   {strings.Repeat("a", 65) + "@example.test", ""},
		"invalid UTF-8":     {"olga\xff@example.test", "olga@example.test"},
		"line break inside": {"olga@example.test\r\nBcc: x@example.test", "olga@example.test"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := NormalizeEmail(tt.raw)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("NormalizeEmail(%q) = %q, %t, want %q", tt.raw, got, ok, tt.want)
			}
		})
	}
}

func TestCleanName(t *testing.T) {
	tests := map[string]struct{ raw, want string }{
		"plain":           {"Ольга", "Ольга"},
		"case stays":      {"оЛЬГА", "оЛЬГА"},
		"blanks":          {"  Ольга   Петрова ", "Ольга Петрова"},
		"ASCII blanks":    {" Olga  P. ", "Olga P."},
		"tabs and breaks": {"Ольга\t\r\nПетрова", "Ольга Петрова"},
		"nbsp":            {"Ольга\u00a0Петрова", "Ольга Петрова"},
		"direction":       {"\u202eОльга", "Ольга"},
		"zero width":      {"Оль\u200bга", "Ольга"},
		"NUL and escape":  {"Оль\x00га\x1b[31m", "Ольга[31m"},
		"composed":        {"Андреи\u0306", "Андрей"},
		"invalid UTF-8":   {"Ольга\xff", "Ольга"},
		"emoji stays":     {"Ольга 🌸", "Ольга 🌸"},
		"empty":           {" \u200b ", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := CleanName(tt.raw); got != tt.want {
				t.Errorf("CleanName(%q) = %q, want %q", tt.raw, got, tt.want)
			}
		})
	}
}

var e164Shape = regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`)

func FuzzContact(f *testing.F) {
	for _, seed := range []string{
		"8 (999) 000-00-11", "+7 8 999 000 00 11 доб. 5", "00375291000011", "+39 06 1234 5678", "Ольга <olga@пример.рф>",
		"olga @ example.test", "\xff\x00+", "٨٩٩٩٠٠٠٠٠١١", "+79990000011+79990000022", "a@b.c,d@e.fg", "и\u0306\u202e", "a-b.c0.example",
	} {
		f.Add(seed, "RU")
		f.Add(seed, "GB")
	}
	f.Fuzz(func(t *testing.T, raw, region string) {
		if phone, ok := NormalizePhone(raw, region); ok {
			if !e164Shape.MatchString(phone) {
				t.Errorf("NormalizePhone(%q, %q) = %q", raw, region, phone)
			}
			if again, ok := NormalizePhone(phone, region); !ok || again != phone {
				t.Errorf("NormalizePhone(%q, %q) = %q, and of that %q", raw, region, phone, again)
			}
		} else if phone != "" {
			t.Errorf("not ok, yet %q", phone)
		}
		if email, ok := NormalizeEmail(raw); ok {
			if again, ok := NormalizeEmail(email); !ok || again != email {
				t.Errorf("NormalizeEmail(%q) = %q, and of that %q", raw, email, again)
			}
			if strings.ContainsAny(email, " \r\n\t,;<>") {
				t.Errorf("NormalizeEmail(%q) = %q", raw, email)
			}
		}
		if plainDomain(raw) {
			if ascii, err := idna.Lookup.ToASCII(raw); err != nil || ascii != raw {
				t.Errorf("plainDomain(%q), yet the library says %q, %v", raw, ascii, err)
			}
		}
		name := CleanName(raw)
		if !utf8.ValidString(name) || CleanName(name) != name {
			t.Errorf("CleanName(%q) = %q, and of that %q", raw, name, CleanName(name))
		}
	})
}

func BenchmarkNormalizePhone(b *testing.B) {
	for name, raw := range map[string]string{"mobile": "8 (999) 000-00-11", "abroad": "+375 29 100-00-11"} {
		b.Run(name, func(b *testing.B) {
			_ = phonenumbers.GetSupportedRegions()
			b.ReportAllocs()
			for b.Loop() {
				NormalizePhone(raw, "RU")
			}
		})
	}
}
