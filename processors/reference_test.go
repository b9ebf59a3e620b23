package processors

import (
	"flag"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"leadstream/processors/intent"
	"leadstream/streams"
)

// The phrases looked for a second way: each list of the book as one regular expression over the folded line, each text
// normalised by the library. What phrases.go and words.go do faster must come out the same.

// A longer look: go test ./processors -run RegularExpressions -messages 20000 -seed 7
var (
	messages = flag.Int("messages", 1000, "how many made-up messages to judge both ways")
	seed     = flag.Uint64("seed", 1, "of the made-up messages")
)

// reference is the book in regular expressions, by bit.
type reference map[lists]*regexp.Regexp

func newReference(b *phrasebook) reference {
	ref := reference{}
	for i, list := range b.lists {
		var parts []string
		for _, p := range list {
			p = strings.TrimSuffix(strings.TrimSpace(referenceFold(p)), " ..")
			p = strings.NewReplacer("~", "[^ ]*", ".. ", "(?:[^ ]+ ){0,3}", "#", "[0-9]{1,2}", "(", "(?:").Replace(p)
			parts = append(parts, p)
		}
		ref[1<<i] = regexp.MustCompile(" (?:" + strings.Join(parts, "|") + ") ")
	}
	return ref
}

func referenceFold(text string) string {
	var b strings.Builder
	var last rune
	for _, r := range norm.NFKC.String(text) {
		r = unicode.ToLower(r)
		if r == 'ё' {
			r = 'е'
		}
		if strings.ContainsRune("'’‘ʼ\u0301", r) || r == last && unicode.IsLetter(r) {
			continue
		}
		last = r
		b.WriteRune(r)
	}
	return b.String()
}

func referenceWords(text string) []string {
	return strings.FieldsFunc(referenceFold(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

func (ref reference) line(text string) string {
	return " " + strings.Join(referenceWords(text), " ") + " "
}

var referenceClock = regexp.MustCompile(`(?:^|[^\d.:])(?:[01]?\d|2[0-3])[:.][0-5]\d(?:$|[^\d.:])`)

// reasons are those of Heat that stand in the words.
func (ref reference) reasons(l *streams.Lead) (list []string) {
	line := ref.line(l.Message + " " + l.Time)
	add := func(reason string, is bool) {
		if is {
			list = append(list, reason)
		}
	}
	add("urgent", ref[urgent].MatchString(line))
	add("call me", ref[callMe].MatchString(line))
	add("today", ref[today].MatchString(line))
	add("named time", l.Time != "" || ref[namedTime].MatchString(line) || referenceClock.MatchString(l.Message))
	add("just asking", ref[justAsking].MatchString(line))
	return list
}

func referenceLanguage(text string) string {
	count := func(in *unicode.RangeTable) (n int) {
		for _, r := range text {
			if unicode.Is(in, r) {
				n++
			}
		}
		return n
	}
	switch cyrillic, latin := count(unicode.Cyrillic), count(unicode.Latin); {
	case cyrillic+latin == 0:
		return "none"
	case 2*cyrillic >= latin:
		return "ru"
	}
	return "en"
}

func (ref reference) check(t *testing.T, l *streams.Lead) {
	t.Helper()
	if got, want := words(l.Message), referenceWords(l.Message); !slices.Equal(got, want) {
		t.Errorf("words of %q: %q, want %q", l.Message, got, want)
	}
	if _, got := Heat(l, intent.Other); !slices.Equal(got, ref.reasons(l)) {
		t.Errorf("%q at %q: %q, want %q", l.Message, l.Time, got, ref.reasons(l))
	}
	if got, want := language("none", l.Message), referenceLanguage(l.Message); got != want {
		t.Errorf("language of %q: %s, want %s", l.Message, got, want)
	}
}

func TestPhrasesAsRegularExpressions(t *testing.T) {
	ref := newReference(&book)
	r := rand.New(rand.NewPCG(*seed, 0))
	found := map[lists]int{}
	for n := range *messages {
		l := &streams.Lead{Message: babble(r)}
		if n%8 == 0 {
			l.Time = babble(r)
		}
		ref.check(t, l)
		if t.Failed() {
			t.Fatalf("message %d of -seed %d", n, *seed)
		}
		found[book.read(words(l.Message)).holds]++
	}
	t.Logf("-seed %d -messages %d: %d mixtures of the lists", *seed, *messages, len(found))
	if len(found) < *messages/20 {
		t.Errorf("the messages hold only %d mixtures of the lists", len(found))
	}
}

// babble is a message of phrases, whole or in pieces, with what people write between and into them.
func babble(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(4) {
		list := book.lists[r.IntN(len(book.lists))]
		spelt := spell(list[r.IntN(len(list))])
		for w := range strings.FieldsSeq(spelt[r.IntN(len(spelt))]) {
			if r.IntN(20) == 0 { // a word left out
				continue
			}
			b.WriteString(misspell(r, sound(r, w)))
			b.WriteString(pick(r, " ", " ", " ", " ", "  ", ", ", ". ", "! ", " — ", "-", "… ", "\n"))
		}
	}
	return b.String()
}

// sound is what may be written where a phrase says w.
func sound(r *rand.Rand, w string) string {
	switch stem, any := strings.CutSuffix(w, "~"); {
	case w == number:
		return pick(r, "5", "15", "155", "9:30", "23.59", "12.05.2026", "7а")
	case w == "..":
		fill := make([]string, r.IntN(6))
		for i := range fill {
			list := book.lists[r.IntN(len(book.lists))]
			inside := strings.Trim(pick(r, strings.FieldsFunc(list[r.IntN(len(list))], func(r rune) bool { return strings.ContainsRune(" ()|?~.#", r) })...), " ")
			fill[i] = pick(r, "мне", "не", "очень", "it", "на", "to", inside, inside)
		}
		return strings.Join(fill, " ")
	case any:
		return stem + pick(r, "", "", "а", "ить", "ите", "s", "ing", "7")
	}
	return w
}

func misspell(r *rand.Rand, w string) string {
	switch r.IntN(30) {
	case 0:
		return strings.ToUpper(w)
	case 1:
		return strings.ReplaceAll(w, "е", "ё")
	case 2:
		return norm.NFD.String(w)
	case 3:
		return w + pick(r, "!!!", "ж", "😀", "\u0301", "'", "№", "\xd0", "é", "②")
	case 4:
		return strings.ReplaceAll(w, "о", "ооо")
	case 5:
		return pick(r, "«", "не", "Ж", "1", "ﬁ", "’") + w
	}
	return w
}

func pick(r *rand.Rand, of ...string) string {
	if len(of) == 0 {
		return ""
	}
	return of[r.IntN(len(of))]
}

func TestHeatOfATimeField(t *testing.T) {
	l := &streams.Lead{Message: "жду", Time: "звонка сегодня"}
	if _, got := Heat(l, intent.Other); !reflect.DeepEqual(got, []string{"call me", "today", "named time"}) {
		t.Errorf("got %q: the message goes on in the time field", got)
	}
}
