package slots

import (
	"regexp"
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
	c := contacts{rest: linkShape.ReplaceAllString(text, " ")}
	c.rest = emailShape.ReplaceAllStringFunc(c.rest, func(s string) string {
		if e, ok := streams.NormalizeEmail(s); ok && c.email == "" {
			c.email = e
		}
		return " "
	})
	c.rest = phoneShape.ReplaceAllStringFunc(c.rest, func(s string) string {
		p, ok := streams.NormalizePhone(s, r.region())
		if !ok {
			return s
		}
		if c.phone == "" {
			c.phone = p
		}
		return " "
	})
	c.name = name(c.rest)
	return c
}

// Names follow words by which people introduce themselves. The second list is of words that introduce much else, so that
// what follows must begin with a capital.
var (
	surely  = regexp.MustCompile(`(?i)(?:меня зовут|зовут меня|мо[её] имя|my name is|my name's|name's)[\s:,-]+(\p{L}[\p{L}-]+)(?:[ \t]+(\p{L}[\p{L}-]+))?`)
	perhaps = regexp.MustCompile(`(?:^|[^\p{L}])(?:[Ээ]то|I'm|I am|i'm|[Tt]his is|[Ii]t's)[ \t]+(\p{Lu}\p{Ll}[\p{L}-]*)(?:[ \t]+(\p{Lu}\p{Ll}[\p{L}-]*))?`)
)

func name(text string) string {
	if m := surely.FindStringSubmatch(text); m != nil {
		first := capital(m[1])
		if second, _ := utf8.DecodeRuneInString(m[2]); unicode.IsUpper(second) {
			return first + " " + m[2]
		}
		return first
	}
	if m := perhaps.FindStringSubmatch(text); m != nil {
		return strings.TrimSpace(m[1] + " " + m[2])
	}
	return ""
}

func capital(word string) string {
	c, size := utf8.DecodeRuneInString(word)
	return string(unicode.ToUpper(c)) + word[size:]
}

// orderShape is a number after the word for what has it, or after №. A number of two digits is rather an hour.
var orderShape = regexp.MustCompile(`(?i)(?:(?:заказ|заявк|накладн|посылк|трек|order|request|tracking|parcel|invoice)\p{L}*[\s,:]*(?:под[\s]+)?(?:(?:номер|number|num|no)\p{L}*\.?|n(?:[^\p{L}]))?[\s:]*(?:is[\s]+)?[№#]?[\s]*|[№#][\s]*)(\p{L}{0,4}-?\d{3,14})`)

// order finds an order's number, and gives the text without it.
func order(text string) (number, rest string) {
	at := orderShape.FindStringSubmatchIndex(text)
	if at == nil {
		return "", text
	}
	return strings.ToUpper(text[at[2]:at[3]]), text[:at[2]] + " " + text[at[3]:]
}
