// Package mask takes out of a message what says whose it is (phones, names, e-mails, addresses, order numbers), and puts it
// back into what comes of the message. It rather takes too much: what a message wants shows without it. A rare name in
// small letters that nothing introduces is the one thing that it does not see, unless it is told the name.
package mask

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"leadstream/processors/slots"
)

// Known is what is known of the writer beside the message.
type Known struct {
	Name, Phone, Email string
}

// Text is a message without what is personal.
type Text struct {
	Masked string // with [PHONE_1], [NAME_1] … in its place
	hidden []hidden
}

type hidden struct{ mark, real string }

// Restore puts what was taken out back into a quotation of the masked text.
func (t Text) Restore(s string) string {
	for i := len(t.hidden) - 1; i >= 0; i-- { // [NAME_12] before [NAME_1] does not matter: the bracket ends it
		s = strings.ReplaceAll(s, t.hidden[i].mark, t.hidden[i].real)
	}
	return s
}

// Masker knows the business's country.
type Masker struct {
	Region string // of phone numbers written without a country; empty: RU
}

// Mask takes out what is personal.
func (m Masker) Mask(message string, known Known) Text {
	w := &work{text: Clean(message)}
	// Most messages have nothing of the kind, and a look for a letter or two costs nothing beside a pattern.
	low := strings.ToLower(w.text)
	has := func(any ...string) bool {
		return slices.ContainsFunc(any, func(s string) bool { return strings.Contains(low, s) })
	}
	if has("@") {
		w.hide("EMAIL", emails, nil)
	}
	if has("собак", "(at)", " at ") {
		w.hide("EMAIL", emailsInWords, nil)
	}
	if has(".", "://") {
		w.hide("LINK", links, nil)
	}
	if has("@", ":", "=") {
		w.hide("CONTACT", handles, nil)
	}
	if has(streets...) {
		w.hide("ADDRESS", streetLast, func(s string) bool { return !strings.HasPrefix(strings.ToLower(s), "как") })
		w.hide("ADDRESS", streetFirst, named)
	}
	if phone := onlyDigits(known.Phone); onlyDigits(low) != "" {
		w.hide("ADDRESS", houses, nil)
		w.hide("NUMBER", codes, func(s string) bool { return len(onlyDigits(s)) >= 3 })
		w.hide("PHONE", clusters, func(s string) bool { return private(s, phone) })
	}
	if has("дев", "восем", "сем", "нол", "плюс", "zero", "nine", "seven", "eight", "plus") { // one of them is in any number
		w.hide("PHONE", spelt, nil)
	}
	said := (&slots.Reader{Region: m.Region}).Read(message, time.Time{})
	w.names(known.Name, said.Name, mailbox(known.Email), mailbox(said.Email))
	return w.done()
}

// Plain masks like Mask, with made-up values of the same kind in the place of marks: for whoever learns from the text.
func (m Masker) Plain(message string, known Known) string {
	t := m.Mask(message, known)
	return anyMark.ReplaceAllStringFunc(t.Masked, func(mark string) string {
		switch kind, _, _ := strings.Cut(mark[1:], "_"); kind {
		case "PHONE":
			return "+7 999 000-00-00"
		case "EMAIL":
			return "name@example.test"
		case "LINK", "CONTACT":
			return "www.example.test"
		case "NUMBER":
			return "00000"
		case "ADDRESS":
			return "ул. Такая-то, 0"
		}
		return "Имя"
	})
}

var anyMark = regexp.MustCompile(`\[[A-Z]+_\d+\]`)

// work is a message from which things are being taken. A rune of the private use area stands for each, so that what looks
// for the next thing cannot mistake a mark for a part of it.
type work struct {
	text   string
	hidden []hidden // the n-th stands for the rune first+n; mark is its kind until done
}

const first, last = '\ue000', '\uf8ff'

func (w *work) put(kind, real string) string {
	if trimmed := strings.TrimSpace(real); trimmed == "" || first+rune(len(w.hidden)) > last {
		return " "
	}
	w.hidden = append(w.hidden, hidden{kind, real})
	return string(first + rune(len(w.hidden)-1))
}

// hide takes out what matches, if it is asked for.
func (w *work) hide(kind string, shape *regexp.Regexp, really func(string) bool) {
	w.text = shape.ReplaceAllStringFunc(w.text, func(s string) string {
		if really != nil && !really(w.reveal(s)) {
			return s
		}
		core := strings.TrimRight(strings.TrimLeft(s, " \t\n,;:"), " \t\n.,;:")
		before, after, _ := strings.Cut(s, core)
		return before + w.put(kind, w.reveal(core)) + after
	})
}

// reveal is a part of the text as it was.
func (w *work) reveal(s string) string {
	if strings.IndexFunc(s, isMark) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isMark(r) {
			b.WriteString(w.hidden[r-first].real)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isMark(r rune) bool { return r >= first && r <= last }

// done writes the marks. The same thing has the same mark.
func (w *work) done() Text {
	var t Text
	count := map[string]int{}
	marks := map[hidden]string{}
	var b strings.Builder
	for _, r := range w.text {
		if !isMark(r) {
			b.WriteRune(r)
			continue
		}
		h := w.hidden[r-first]
		mark, ok := marks[h]
		if !ok {
			count[h.mark]++
			mark = "[" + h.mark + "_" + strconv.Itoa(count[h.mark]) + "]"
			marks[h] = mark
			t.hidden = append(t.hidden, hidden{mark, h.real})
		}
		b.WriteString(mark)
	}
	t.Masked = b.String()
	return t
}

// Clean brings digits and letters to one form (８ and ⑧ to 8), and drops what is not seen, our own marks' brackets, and
// what could close a tag.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '[', r == '{', r == '<':
			return '('
		case r == ']', r == '}', r == '>':
			return ')'
		case r == '\n', r == '\t':
			return r
		case unicode.In(r, unicode.Cf, unicode.Mn, unicode.Me, unicode.Co, unicode.Cs), r == unicode.ReplacementChar:
			return -1
		case unicode.IsControl(r), unicode.IsSpace(r):
			return ' '
		case unicode.IsDigit(r) && (r < '0' || r > '9'):
			return asciiDigit(r)
		}
		return r
	}, norm.NFKC.String(strings.ToValidUTF8(text, "")))
}

// asciiDigit is the value of a digit of any script: their tables begin at 0 and are ten long.
func asciiDigit(r rune) rune {
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
	return '0'
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

var (
	emails        = regexp.MustCompile(`[^\s@(),;:]+[ \t]?@[ \t]?[^\s@(),;]+`)
	emailsInWords = regexp.MustCompile(`(?i)[\p{L}\d._-]+[ \t]*(?:\((?:at|собака|@)\)|[ \t](?:at|собак[аи]|собачка)[ \t])[ \t]*[\p{L}\d-]+[ \t]*(?:\.|точка|dot)[ \t]*(?:ru|ру|com|ком|net|org|рф|me|io)`)
	links         = regexp.MustCompile(`(?i)(?:\b(?:https?|tg|viber|whatsapp)://\S+|\bwww\.\S+|(?:^|\b)[a-zа-я\d][a-zа-я\d.-]*\.(?:ru|com|me|org|net|рф|su|info|io|link|app|site|online|by|kz|ua)(?:/\S*|\b))`)
	handles       = regexp.MustCompile(`(?i)(?:@[\p{L}\d_.]{2,}|(?:telegram|телеграм\p{L}*|телега|тг|tg|вк|vk|инст\p{L}*|instagram|insta|inst|whatsapp|вотсап\p{L}*|ватсап\p{L}*|viber|вайбер\p{L}*|skype|скайп)[ \t]*[:=][ \t]*[a-z\d_.@]{3,})`)

	// codes are words of digits and letters: car plates, orders, VINs.
	codes = regexp.MustCompile(`(?i)[\p{L}\d]*(?:\p{L}\d{3,}|\d{3,}\p{L}{2,}\d|\d\p{L}{1,2}\d{2,})[\p{L}\d]*(?:-[\p{L}\d]+)*|[\p{L}]{1,4}-\d{3,}(?:-\d+)*`)
	// clusters are digits with nothing but signs between them.
	clusters = regexp.MustCompile(`[+(]*\d(?:[\s().+\-–—−‐‑/_,*:;•·~='"#№|\\]{0,4}\d)*`)
	// spelt are five or more numbers in words, as a phone is dictated.
	spelt = regexp.MustCompile(`(?i)(?:(?:плюс|ноль|нол[яь]|ноли|один|одна|два|две|три|четыре|пять|шесть|семь|восемь|девять|десять|\p{L}+надцать|двадцать|тридцать|сорок|пятьдесят|шестьдесят|семьдесят|восемьдесят|девяносто|сто|двести|триста|четыреста|пятьсот|шестьсот|семьсот|восемьсот|девятьсот|plus|zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple|\d{1,4})[\s,.-]+){4,}(?:ноль|один|одна|два|две|три|четыре|пять|шесть|семь|восемь|девять|десять|\p{L}+надцать|двадцать|тридцать|сорок|пятьдесят|шестьдесят|семьдесят|восемьдесят|девяносто|сто|двести|триста|четыреста|пятьсот|шестьсот|семьсот|восемьсот|девятьсот|zero|oh|one|two|three|four|five|six|seven|eight|nine|\d{1,4})`)

	hours = regexp.MustCompile(`^(?:[01]?\d|2[0-3]):[0-5]\d(?:[ \t]*[-–—][ \t]*(?:[01]?\d|2[0-3]):[0-5]\d)?$`)
)

// private tells whether digits may be somebody's: five or more of them that are no hours, or a part of the writer's phone.
func private(s, phone string) bool {
	d := onlyDigits(s)
	if hours.MatchString(strings.TrimSpace(s)) {
		return false
	}
	return len(d) >= 5 || len(d) >= 3 && strings.Contains(phone, d)
}

// named tells whether what follows the word street is a street's name: "улица Мира" is one, "на улице сейчас" is not.
func named(s string) bool {
	words := strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len(words) < 2 {
		return false
	}
	next := words[1]
	if r := []rune(next)[0]; unicode.IsUpper(r) || unicode.IsDigit(r) || onlyDigits(s) != "" {
		return true
	}
	return len([]rune(next)) >= 4 && streetEnding.MatchString(next)
}

var streetEnding = regexp.MustCompile(`(?:ая|ой|ую|ого|ия|а|ы|и|я)$`)

// streets are the beginnings of streetWords and of their English fellows.
var streets = []string{"ул", "просп", "пр-", "пр.", "прт", "пркт", "пр ", "пер", "бул", "б-р", "шос", "пл", "наб", "мкр", "микр", "проезд", "туп", "пос", "дер", "снт",
	"st", "ave", "ro", "rd", "lane", "drive"}

const (
	streetWords = `(?:ул(?:иц[аеуы]й?)?|просп(?:ект[аеу]?)?|пр-?(?:к?т|кт)[аеу]?|пер(?:еул(?:ок|ке|ка))?|б(?:ульва|-)р[аеу]?|шоссе|пл(?:ощад[ьи])?|наб(?:ережн(?:ая|ой|ую))?|мкр|микрорайон[аеу]?|проезд[аеу]?|тупик[аеу]?|пос(?:[её]л(?:ок|ке|ка))?|дер(?:евн[яеи])?|снт)`
	houseTail   = `(?:[\s,]*(?:д(?:ом)?|стр(?:оение)?|корп(?:ус)?|к|кв(?:артира)?|оф(?:ис)?|подъезд|под|эт(?:аж)?|домофон)?[\s.,]*(?:№\s*)?\d+(?:[/-]?\d+)?[а-яa-z]?(?:$|[^\p{L}\d]))*`
)

var (
	streetFirst = regexp.MustCompile(`(?i:(?:^|[^\p{L}])` + streetWords + `)(?:\.[ \t]*|[ \t]+)(?:(?:[\p{Lu}\d][\p{L}\d-]*)(?:[ \t]+\p{Lu}[\p{L}-]*){0,2}|[\p{L}\d][\p{L}\d-]*)` + `(?i:` + houseTail + `)`)
	streetLast  = regexp.MustCompile(`(?:\p{Lu}[\p{L}-]*|\d+[ \t]+\p{Lu}[\p{L}-]*|\p{L}+(?:ая|ой|ую|ина|ского|ова))[ \t]+(?i:` + streetWords + `|street|st|avenue|ave|road|rd|lane|drive)\.?(?:$|[^\p{L}])(?i:` + houseTail + `)`)
	houses      = regexp.MustCompile(`(?i)(?:^|[^\p{L}])(?:д(?:ом)?|кв(?:артира)?|корп(?:ус)?|подъезд|домофон|apt|flat)\b?[\s.]*(?:№\s*)?\d+[/-]?\d*[а-яa-z]?(?:$|[^\p{L}\d])`)
)

// mailbox is what stands before the @: often a name.
func mailbox(email string) string {
	box, _, _ := strings.Cut(email, "@")
	words := strings.FieldsFunc(box, func(r rune) bool { return !unicode.IsLetter(r) })
	words = slices.DeleteFunc(words, func(s string) bool { return len(s) < 4 || common[s] })
	return strings.Join(words, " ")
}

// common are mailboxes that are nobody's name.
var common = map[string]bool{"info": true, "mail": true, "post": true, "sales": true, "office": true, "admin": true, "test": true, "hello": true,
	"contact": true, "support": true, "shop": true, "order": true, "orders": true, "zakaz": true, "client": true, "user": true, "salon": true, "auto": true}
