package slots

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"leadstream/streams"
)

// contacts are what a message says of its writer, and the rest of it: a phone's digits must not be taken for an hour.
type contacts struct {
	phone, email, name string
	rest               string
}

var (
	emailShape = regexp.MustCompile(`[\p{L}\d._%+-]+@[\p{L}\d-]+(?:\.[\p{L}\d-]+)+`)
	linkShape  = regexp.MustCompile(`(?:https?://|www\.)\S+`)
	phoneShape = regexp.MustCompile(`\+?\d(?:[ \t()-]{0,3}\d){9,14}`)
)

func (r *Reader) contacts(text string) contacts {
	c := contacts{rest: text}
	// The expressions are slow; most messages hold nothing that one could find.
	if strings.Contains(text, "://") || strings.Contains(text, "www.") {
		c.rest = linkShape.ReplaceAllString(c.rest, " ")
	}
	if strings.Contains(text, "@") {
		c.rest = r.takeEmail(c.rest, &c)
	}
	if leastDigits(text, 10) {
		c.rest = r.takePhone(c.rest, &c)
	}
	c.name = name(c.rest)
	return c
}

func (r *Reader) takeEmail(text string, c *contacts) string {
	return emailShape.ReplaceAllStringFunc(text, func(s string) string {
		if e, ok := streams.NormalizeEmail(s); ok && c.email == "" {
			c.email = e
		}
		return " "
	})
}

func (r *Reader) takePhone(text string, c *contacts) string {
	return phoneShape.ReplaceAllStringFunc(text, func(s string) string {
		p, ok := streams.NormalizePhone(s, r.region())
		if !ok {
			return s
		}
		if c.phone == "" {
			c.phone = p
		}
		return " "
	})
}

func leastDigits(text string, n int) bool {
	for i := 0; i < len(text) && n > 0; i++ {
		if isDigit(rune(text[i])) {
			n--
		}
	}
	return n <= 0
}

// Names follow words by which people introduce themselves. The second list is of words that introduce much else, so that
// what follows must begin with a capital.
var (
	surely  = regexp.MustCompile(`(?i)(?:меня зовут|зовут меня|мо[её] имя|my name is|my name's|name's)[\s:,-]+(\p{L}[\p{L}-]+)(?:[ \t]+(\p{L}[\p{L}-]+))?`)
	perhaps = regexp.MustCompile(`(?:^|[^\p{L}])(?:[Ээ]то|I'm|I am|i'm|[Tt]his is|[Ii]t's)[ \t]+(\p{Lu}\p{Ll}[\p{L}-]*)(?:[ \t]+(\p{Lu}\p{Ll}[\p{L}-]*))?`)
)

// An expression walks a message letter by letter, and nearly none has a name in it: what must stand in such a message is
// looked for first.
var (
	surelySaid  = []string{"зовут", "Зовут", "ЗОВУТ", "имя", "Имя", "ИМЯ", "name", "Name", "NAME"}
	perhapsSaid = []string{"Это", "это", "I'm", "I am", "i'm", "This is", "this is", "It's", "it's"}
)

func name(text string) string {
	if slices.ContainsFunc(surelySaid, func(s string) bool { return strings.Contains(text, s) }) {
		if m := surely.FindStringSubmatch(text); m != nil {
			first := capital(m[1])
			if second, _ := utf8.DecodeRuneInString(m[2]); unicode.IsUpper(second) {
				return first + " " + m[2]
			}
			return first
		}
	}
	if introduces(text) {
		if m := perhaps.FindStringSubmatch(text); m != nil {
			return strings.TrimSpace(m[1] + " " + m[2])
		}
	}
	return ""
}

// introduces says whether a capital follows one of the words of perhaps.
func introduces(text string) bool {
	for i := 1; i < len(text); i++ {
		if before := text[i-1]; before != ' ' && before != '\t' {
			continue
		}
		if c, _ := utf8.DecodeRuneInString(text[i:]); !unicode.IsUpper(c) {
			continue
		}
		said := strings.TrimRight(text[:i], " \t")
		if slices.ContainsFunc(perhapsSaid, func(s string) bool { return strings.HasSuffix(said, s) }) {
			return true
		}
	}
	return false
}

func capital(word string) string {
	c, size := utf8.DecodeRuneInString(word)
	return string(unicode.ToUpper(c)) + word[size:]
}

// orderShape is a number after the word for what has it, or after №. A number of two digits is rather an hour.
var orderShape = regexp.MustCompile(`(?i)(?:(?:заказ|заявк|накладн|посылк|трек|order|request|tracking|parcel|invoice)\p{L}*[\s,:]*(?:под[\s]+)?(?:(?:номер|number|num|no)\p{L}*\.?|n(?:[^\p{L}]))?[\s:]*(?:is[\s]+)?[№#]?[\s]*|[№#][\s]*)(\p{L}{0,4}-?\d{3,14})`)

// ordered are the words of orderShape.
var ordered = []string{"заказ", "заявк", "накладн", "посылк", "трек", "order", "request", "tracking", "parcel", "invoice", "№", "#"}

func mayOrder(text string) bool {
	lower := strings.ToLower(text)
	return slices.ContainsFunc(ordered, func(s string) bool { return strings.Contains(lower, s) })
}

// order finds an order's number, and gives the text without it.
func order(text string) (number, rest string) {
	if !leastDigits(text, 3) || !mayOrder(text) {
		return "", text
	}
	at := orderShape.FindStringSubmatchIndex(text)
	if at == nil {
		return "", text
	}
	return strings.ToUpper(text[at[2]:at[3]]), text[:at[2]] + " " + text[at[3]:]
}
