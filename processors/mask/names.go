package mask

import (
	_ "embed"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:embed names.txt
var nameList string

// givenNames are the stems of common names, spelt as skeleton does. The second part of the list is of names that are
// words too: those count only with a capital.
var givenNames, wordNames = func() (sure, also map[string]bool) {
	sure, also = map[string]bool{}, map[string]bool{}
	to := sure
	for line := range strings.Lines(nameList) {
		if strings.HasPrefix(line, "#") {
			if strings.Contains(line, "words too") {
				to = also
			}
			continue
		}
		for name := range strings.FieldsSeq(line) {
			to[stem(skeleton(name))] = true
		}
	}
	return sure, also
}()

var wordShape = regexp.MustCompile(`[\p{L}]+(?:[-'’][\p{L}]+)*`)

// names takes out the names that are known, that introduce themselves, that are common, and whatever has a capital within a
// sentence or beside a name.
func (w *work) names(known ...string) {
	var stems []string
	for _, name := range known {
		for _, word := range wordShape.FindAllString(Clean(name), -1) {
			stems = append(stems, stem(skeleton(word)))
			for part := range strings.FieldsFuncSeq(word, func(r rune) bool { return !unicode.IsLetter(r) }) {
				if utf8.RuneCountInString(part) >= 2 {
					stems = append(stems, stem(skeleton(part)))
				}
			}
		}
	}
	w.hide("NAME", introduced, nil)
	w.words(func(word, before, _ string) bool {
		s := skeleton(word)
		for part := range strings.FieldsFuncSeq(word, func(r rune) bool { return !unicode.IsLetter(r) }) {
			if utf8.RuneCountInString(part) >= 2 && isKnown(skeleton(part), stems) {
				return true
			}
		}
		return isKnown(s, stems) || isGiven(word, s) || patronymic.MatchString(strings.ToLower(word)) ||
			titled(word) && !startsSentence(before) && !polite[strings.ToLower(word)]
	})
	for range 2 { // a name's neighbours: surname, second name, initials
		w.words(func(word, before, after string) bool {
			initial := utf8.RuneCountInString(word) == 1 && strings.ToUpper(word) == word && strings.HasPrefix(after, ".")
			return (titled(word) || initial) && !polite[strings.ToLower(word)] && (w.namedLast(before) || w.namedFirst(after))
		})
	}
}

func (w *work) namedLast(before string) bool {
	r, _ := utf8.DecodeLastRuneInString(strings.TrimRight(before, " \t."))
	return isMark(r) && w.hidden[r-first].mark == "NAME"
}

func (w *work) namedFirst(after string) bool {
	r, _ := utf8.DecodeRuneInString(strings.TrimLeft(after, " \t."))
	return isMark(r) && w.hidden[r-first].mark == "NAME"
}

// words takes out the words of which really is true, given what stands before and after.
func (w *work) words(really func(word, before, after string) bool) {
	text := w.text
	var b strings.Builder
	at := 0
	for _, span := range wordShape.FindAllStringIndex(text, -1) {
		word := text[span[0]:span[1]]
		b.WriteString(text[at:span[0]])
		if really(word, text[:span[0]], text[span[1]:]) {
			b.WriteString(w.put("NAME", word))
		} else {
			b.WriteString(word)
		}
		at = span[1]
	}
	w.text = b.String() + text[at:]
}

// startsSentence says whether what comes after before begins a sentence.
func startsSentence(before string) bool {
	before = strings.TrimRight(before, " \t\"«“(-–—*•")
	if before == "" {
		return true
	}
	r, _ := utf8.DecodeLastRuneInString(before)
	return strings.ContainsRune(".!?…\n:;)", r) || r > 0x2190 && !isMark(r)
}

// isKnown says whether a word is one of the writer's names, in any case of it.
func isKnown(s string, stems []string) bool {
	for _, known := range stems {
		if rest, ok := strings.CutPrefix(s, known); ok && known != "" && (len(rest) <= 4 || len(rest) <= 6 && len(known) >= 5) {
			return true
		}
	}
	return false
}

// endings are those of names in their cases, as skeleton spells them.
var endings = map[string]bool{"": true, "a": true, "i": true, "e": true, "u": true, "ia": true, "iu": true, "ie": true, "oi": true, "ei": true,
	"om": true, "em": true, "oiu": true, "eiu": true, "ii": true, "iei": true, "iem": true, "y": true, "o": true}

func isGiven(word, s string) bool {
	capital := titled(word)
	if polite[strings.ToLower(word)] {
		return false
	}
	for cut := len(s); cut >= max(2, len(s)-3); cut-- {
		if endings[s[cut:]] && (givenNames[s[:cut]] || capital && wordNames[s[:cut]]) {
			return true
		}
	}
	return false
}

// titled says whether a word begins with a capital and goes on with small letters.
func titled(word string) bool {
	r, size := utf8.DecodeRuneInString(word)
	next, _ := utf8.DecodeRuneInString(word[size:])
	return unicode.IsUpper(r) && unicode.IsLower(next)
}

var (
	patronymic = regexp.MustCompile(`^\p{L}{2,}(?:ович|евич|ьич|ич)(?:а|у|ем|е)?$|^\p{L}{2,}(?:овн|евн|ичн|иничн)(?:а|ы|у|е|ой)$|^(?:оглы|кызы|оглу)$`)

	introduced = regexp.MustCompile(`(?i)(?:фио|ф\.и\.о\.?|фамилия|отчество|(?:мо[её] )?имя|контактное лицо|клиент|пациент(?:ка)?|владелец|name|full name|surname|patient)[ \t]*[:=-][ \t]*\p{L}[\p{L}'-]*(?:[ \t]+\p{Lu}[\p{L}'-]*\.?){0,3}` +
		`|(?:с уважением|regards|sincerely|best wishes|подпись)[ \t,\n-]+\p{L}[\p{L}'-]*(?:[ \t]+\p{Lu}[\p{L}'-]*\.?){0,2}`)
)

// polite are words that name nobody, though they are written with a capital or look like a name in one of its cases.
var polite = func() map[string]bool {
	all := map[string]bool{}
	for w := range strings.FieldsSeq(`вы вас вам вами ваш ваша ваше ваши вашу вашей вашего вашему вашим ваших здравствуйте добрый день доброе утро вечер привет
		спасибо пожалуйста да нет и а но сколько можно я мы
		или надо мыть та том тому свет люди лид поло жена алло пасхе all am an any as eve nasty nine son tan van was wow
		хочу есть не подскажите скажите когда где как какая какие какой какое что чем это на до во уже мне меня запишите отмените нужна
		нужно хотел хотела скиньте перенесите расскажите помогите how what what's can can't could do does don't is are where when need you sorry great
		январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь января февраля марта апреля мая июня июля августа сентября октября ноября декабря
		понедельник вторник среда среду четверг пятница пятницу суббота субботу воскресенье
		i i'm i'd i'll i've hello hi hey good morning afternoon evening thanks thank please ok yes no the a
		monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september october november december english russian`) {
		all[w] = true
	}
	return all
}()

// skeleton spells a word in small Latin letters, so that Анна, ANNA and Anna are one.
func skeleton(word string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(word) {
		if s, ok := latin[r]; ok {
			b.WriteString(s)
		} else if unicode.IsLetter(r) {
			b.WriteRune(r)
		}
	}
	return oneSpelling.Replace(b.String())
}

var oneSpelling = strings.NewReplacer("shch", "sh", "kh", "h", "ph", "f", "ck", "k", "x", "ks", "y", "i", "j", "i", "w", "v", "zh", "z", "tz", "c", "ts", "c", "yo", "e", "io", "e")

var latin = map[rune]string{'а': "a", 'б': "b", 'в': "v", 'г': "g", 'д': "d", 'е': "e", 'ё': "e", 'ж': "zh", 'з': "z", 'и': "i", 'й': "i", 'к': "k",
	'л': "l", 'м': "m", 'н': "n", 'о': "o", 'п': "p", 'р': "r", 'с': "s", 'т': "t", 'у': "u", 'ф': "f", 'х': "h", 'ц': "c", 'ч': "ch", 'ш': "sh", 'щ': "sh",
	'ъ': "", 'ы': "i", 'ь': "", 'э': "e", 'ю': "iu", 'я': "ia", 'і': "i", 'ї': "i", 'є': "e", 'ґ': "g", 'ў': "u"}

// stem is a name without the ending that its cases change: Мари for Мария and Марию, Иванов for Иванова.
func stem(s string) string {
	for _, ending := range []string{"skogo", "skaia", "skii", "aia", "iia", "ia", "ii", "a", "o", "e", "i", "u"} {
		if cut, ok := strings.CutSuffix(s, ending); ok && len(cut) >= 2 {
			return cut
		}
	}
	return s
}
