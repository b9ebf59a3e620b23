package streams

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Contacts are read from at most this many bytes of a field: what is longer is a letter, not a number or an address.
const contactMax = 512

// NormalizePhone finds the first valid phone number in a field as people fill it in, and returns it in E.164 (D-01).
// region ("RU" when empty) is the country of numbers written without one. Extensions are dropped. ok is false when the
// field holds no valid number.
func NormalizePhone(raw, region string) (e164 string, ok bool) {
	if region == "" {
		region = "RU"
	}
	if e164, ok := russianMobile(raw, region); ok {
		return e164, true
	}
	for _, candidate := range phoneCandidates(cut(raw, contactMax)) {
		for _, spelling := range phoneSpellings(candidate, region) {
			if e164, ok := parsePhone(spelling, region); ok {
				return e164, true
			}
		}
	}
	return "", false
}

// russianMobile knows the one shape that nearly all numbers here have, and is a hundred times faster than the library,
// which compiles down to some forty regular expressions. A test holds it equal to the library for every prefix.
func russianMobile(raw, region string) (string, bool) {
	if len(raw) > 32 {
		return "", false
	}
	var digits [11]byte
	n, plus := 0, false
	for i := range len(raw) {
		switch c := raw[i]; {
		case c >= '0' && c <= '9':
			if n == len(digits) {
				return "", false
			}
			digits[n] = c
			n++
		case c == '+' && n == 0 && !plus:
			plus = true
		case c == ' ' || c == '(' || c == ')' || c == '-':
		default:
			return "", false
		}
	}
	local := digits[:n]
	switch {
	case n == 11 && digits[0] == '7' && (plus || region == "RU"):
		local = digits[1:]
	case n == 11 && digits[0] == '8' && !plus && region == "RU":
		local = digits[1:]
	case n == 10 && !plus && region == "RU":
	default:
		return "", false
	}
	if local[0] != '9' {
		return "", false
	}
	return "+7" + string(local), true
}

// parsePhone gives a number only if it is valid and reads back as itself.
func parsePhone(s, region string) (string, bool) {
	n, err := phonenumbers.Parse(s, region)
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return "", false
	}
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	again, err := phonenumbers.Parse(e164, region)
	if err != nil || phonenumbers.Format(again, phonenumbers.E164) != e164 {
		return "", false
	}
	return e164, true
}

// phoneSpellings are the ways to read one written number: as it stands, then as people here mean it.
func phoneSpellings(s, region string) []string {
	plus := strings.HasPrefix(s, "+")
	digits := strings.TrimPrefix(s, "+")
	spellings := []string{s}
	if plus {
		spellings = append(spellings, digits) // +8 999 …, +999 …: a plus before a national number
	}
	if !plus && strings.HasPrefix(digits, "00") {
		spellings = append(spellings, "+"+digits[2:])
	}
	if !plus && len(digits) >= 11 && digits[0] != '0' {
		spellings = append(spellings, "+"+digits) // 375 29 …: the country without its plus
	}
	if len(digits) > 15 && region == "RU" && strings.ContainsAny(digits[:1], "78") {
		spellings = append(spellings, digits[:11]) // two numbers with nothing but spaces between them
	}
	return spellings
}

// extensionMarks end a number: what follows is dialled inside a company.
var extensionMarks = []string{"доб", "вн", "ext", "#", "x", "х"}

// phoneCandidates splits a field into runs that may be numbers: an optional plus, then ASCII digits. First come the
// numbers between separators, then whole words, then everything between letters taken together.
func phoneCandidates(raw string) []string {
	raw = strings.ToLower(digitsToASCII(raw))
	for _, mark := range extensionMarks {
		if head, _, found := strings.Cut(raw, mark); found && countDigits(head) >= 7 {
			raw = head
		}
	}
	var found []string
	add := func(parts []string) {
		for _, part := range parts {
			if n := countDigits(part); n < 5 || n > 40 {
				continue
			}
			if compact := compactPhone(part); !slices.Contains(found, compact) {
				found = append(found, compact)
			}
		}
	}
	add(strings.FieldsFunc(raw, func(r rune) bool {
		return unicode.IsLetter(r) || strings.ContainsRune(",;/|\\\n\r&:=\"'<>", r)
	}))
	if len(found) > 8 {
		found = found[:8]
	}
	if strings.Count(raw, "+") > 1 {
		add(strings.Split(strings.ReplaceAll(raw, "+", "\x00+"), "\x00"))
	}
	add(strings.Fields(raw))
	add(strings.FieldsFunc(raw, unicode.IsLetter))
	return found[:min(len(found), 16)]
}

// compactPhone keeps the digits, and the plus when it stands before them.
func compactPhone(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] == '+' && len(out) == 0 || s[i] >= '0' && s[i] <= '9' {
			out = append(out, s[i])
		}
	}
	return string(out)
}

func countDigits(s string) (n int) {
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			n++
		}
	}
	return n
}

// digitsToASCII turns the digits of every script, and the wide plus, into ASCII.
func digitsToASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			return r
		}
		if r == '＋' || r == '﹢' || r == '⁺' {
			return '+'
		}
		// Digits come in blocks of ten, zero first; a table entry may hold several blocks.
		for _, t := range unicode.Nd.R16 {
			if rune(t.Lo) <= r && r <= rune(t.Hi) {
				return '0' + (r-rune(t.Lo))%10
			}
		}
		for _, t := range unicode.Nd.R32 {
			if rune(t.Lo) <= r && r <= rune(t.Hi) {
				return '0' + (r-rune(t.Lo))%10
			}
		}
		return r
	}, s)
}

// NormalizeEmail finds the first e-mail address in a field and returns it in lower case, its domain in ASCII. ok is
// false when there is none.
func NormalizeEmail(raw string) (email string, ok bool) {
	raw = strings.ToLower(strings.Map(visible, cut(raw, contactMax)))
	for _, word := range strings.FieldsFunc(raw, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(",;<>()[]\"|\\", r)
	}) {
		if email, ok := parseEmail(word); ok {
			return email, true
		}
	}
	if joined := strings.Join(strings.Fields(raw), ""); strings.Count(joined, "@") == 1 && joined != raw {
		return parseEmail(joined) // "olga @ example.test"
	}
	return "", false
}

func parseEmail(s string) (string, bool) {
	s = strings.TrimPrefix(s, "mailto:")
	s = strings.Trim(s, ".:'`*!?/")
	local, domain, found := strings.Cut(s, "@")
	if !found || local == "" || len(local) > 64 || strings.Contains(domain, "@") {
		return "", false
	}
	for _, r := range local {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r) {
			return "", false
		}
	}
	if strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") {
		return "", false
	}
	ascii, err := domain, error(nil)
	if !plainDomain(domain) {
		ascii, err = idna.Lookup.ToASCII(domain)
	}
	if err != nil || len(ascii) > 253 || strings.Contains("."+ascii+".", "..") {
		return "", false
	}
	top := ascii[strings.LastIndexByte(ascii, '.')+1:]
	if len(top) == len(ascii) || len(top) < 2 || strings.Trim(top, "0123456789") == "" {
		return "", false
	}
	return local + "@" + ascii, true
}

// plainDomain is true for domains that IDNA leaves as they are, which is nearly all of them. The fuzz test holds it to
// the library.
func plainDomain(s string) bool {
	if len(s) == 0 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	label := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
		case c == '-' && s[i-1] != '-' && s[i-1] != '.' && s[i+1] != '.':
		case c == '.':
			label = -1
		default:
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return true
}

// CleanName makes a name fit to be shown: composed letters, no control or invisible characters, single spaces. It
// leaves spelling and case alone.
func CleanName(raw string) string {
	if strings.ContainsFunc(raw, func(r rune) bool {
		return (r < ' ' || r > '~') && (r < 'А' || r > 'я') // all else is clean and composed already
	}) {
		raw = norm.NFC.String(strings.Map(visible, strings.ToValidUTF8(raw, "")))
	}
	if strings.Contains(raw, "  ") || strings.HasPrefix(raw, " ") || strings.HasSuffix(raw, " ") {
		raw = strings.Join(strings.Fields(raw), " ")
	}
	return raw
}

// visible drops what nobody sees (zero width, text direction, control) and makes every blank a space.
func visible(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case unicode.Is(unicode.Cf, r), unicode.IsControl(r), r == utf8.RuneError:
		return -1
	}
	return r
}

// cut shortens s to at most n bytes, at the edge of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
