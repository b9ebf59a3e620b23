package dialogue

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"leadstream/processors/intent"
	"leadstream/processors/lookup"
	"leadstream/processors/slots"
	"leadstream/streams"
)

// heard is what a message says, besides what triage has found in it.
type heard struct {
	text     string
	words    []string
	line     string // words with a blank around each
	yes, no  bool
	choice   int // from 1, -1: the last, 0: none
	when     *streams.When
	day      bool // when names it
	question bool // it asks something
	point    *lookup.Point
}

// slotLayout is how a button names a time: readable, for it stands on the card as what the customer has said.
const slotLayout = "2006-01-02 15:04"

func (t *talk) hear() {
	h := &t.heard
	h.text = strings.TrimSpace(t.Lead.Message)
	pressed := t.pressed()
	if _, err := time.ParseInLocation(slotLayout, pressed, t.zone()); err == nil || h.text == "" {
		h.text = pressed
	}
	if at, err := time.ParseInLocation(slotLayout, h.text, t.zone()); err == nil {
		h.when, h.day = &streams.When{Start: at, End: at, Kind: slots.Exact}, true
		if t.Asked == "" { // of an offer that is forgotten
			t.surely(intent.Booking)
		}
	}
	h.words = wordsOf(h.text)
	h.line = " " + strings.Join(h.words, " ") + " "
	h.question = strings.Contains(h.text, "?")
	t.speak()
	said := strings.TrimSpace(h.line)
	if wanted, ok := plain[said]; ok && !t.Lead.Answered {
		t.surely(wanted)
	}
	h.yes = yesWords[said] || len(h.words) == 0 && (h.text == "+" || strings.ContainsAny(h.text, "👍👌✅🙏"))
	h.no = noWords[said] || h.text == "-"
	h.choice = choiceOf(h.words)
	if p, ok := lookup.PointIn(t.Lead.Fields["location"]); ok {
		h.point = &p
	}
	if h.when == nil {
		t.readTime()
	}
}

// surely says what the message wants, where triage cannot know.
func (t *talk) surely(wanted string) {
	l := *t.Lead
	l.Intent, l.Intents, l.Answered = wanted, []string{wanted}, true
	t.Lead = &l
}

// pressed is what a button brought.
func (t *talk) pressed() (data string) {
	for _, field := range []string{"button", "payload"} {
		if json.Unmarshal(t.Lead.Fields[field], &data) == nil && data != "" {
			return data
		}
	}
	return ""
}

// speak chooses the language: the customer's first one, until a message is clearly in the other.
func (t *talk) speak() {
	ru, en := 0, 0
	for _, c := range t.text {
		switch {
		case c >= 'а' && c <= 'я' || c >= 'А' && c <= 'Я':
			ru++
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			en++
		}
	}
	const enough = 4 // letters
	switch {
	case t.Language == "" && ru+en == 0 && t.Reminder != nil: // "1"
		t.Language = t.Reminder.Language
	case t.Language == "":
		t.Language = t.Lead.Language
	case ru >= enough:
		t.Language = "ru"
	case en >= enough && ru == 0 && t.Lead.Language == "en":
		t.Language = "en"
	}
	if t.Language != "en" {
		t.Language = "ru"
	}
}

// readTime reads the wished time. One without a day is of the day that was spoken of.
func (t *talk) readTime() {
	h := &t.heard
	if s := t.Lead.Slots; s != nil && s.When != nil {
		h.when, h.day = s.When, t.Lead.Time != "" && t.text == "" || t.Reader.NamesDay(t.text, t.Now)
	}
	day, known := t.dayInTalk()
	text := t.text
	if left := unfilled(h.words); h.when == nil && (t.Asked == aSlot || t.Asked == aDetail) && len(left) == 1 {
		if n, err := strconv.Atoi(left[0]); err == nil && n > len(t.Offered) && n <= 23 {
			text = "в " + left[0] // a mere "17"
		}
	}
	if h.day || !known && text == t.text {
		return
	}
	at := t.Now
	if known && day.After(t.Now) {
		at = day
	}
	if w, ok := t.Reader.When(text, at); ok {
		h.when = &w
	}
}

// dayInTalk is the day of the times that were offered or wished last, when it is one.
func (t *talk) dayInTalk() (time.Time, bool) {
	if t.Asked != aSlot && t.Asked != aDetail {
		return time.Time{}, false
	}
	if len(t.Offered) > 0 {
		first := midnight(t.Offered[0].Start, t.zone())
		return first, !slices.ContainsFunc(t.Offered, func(s slot) bool { return !midnight(s.Start, t.zone()).Equal(first) })
	}
	if t.Wish == nil {
		return time.Time{}, false
	}
	first := midnight(t.Wish.Start, t.zone())
	return first, !t.Wish.End.After(first.AddDate(0, 0, 1))
}

func midnight(at time.Time, zone *time.Location) time.Time {
	y, m, d := at.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone)
}

var oneSpelling = strings.NewReplacer("ё", "е", "’", "'")

// wordsOf are the words and numbers of a text in small letters, a time such as 16:30 as two numbers.
func wordsOf(text string) []string {
	text = oneSpelling.Replace(strings.ToLower(text))
	words := strings.FieldsFunc(text, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '\'' })
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], "'", "")
	}
	return words
}

// has says whether one of the phrases stands in the message; "~" ends a word of which only the beginning is asked for.
func (h *heard) has(phrases ...string) bool {
	return slices.ContainsFunc(phrases, func(p string) bool {
		if stem, ok := strings.CutSuffix(p, "~"); ok {
			return strings.Contains(h.line, " "+stem)
		}
		return strings.Contains(h.line, " "+p+" ")
	})
}

func set(phrases ...string) map[string]bool {
	all := map[string]bool{}
	for _, p := range phrases {
		all[p] = true
	}
	return all
}

// These are read only as answers: by themselves they are nobody's question.
var (
	yesWords = set("да", "да да", "ага", "угу", "конечно", "да конечно", "хорошо", "да хорошо", "ок", "окей", "давайте", "да давайте", "давай", "подходит", "да подходит", "согласен", "согласна",
		"верно", "да пожалуйста", "пожалуйста", "да спасибо", "подтверждаю", "да подтверждаю", "буду", "да буду", "приду", "да приду", "придем", "да придем", "в силе", "все в силе", "да в силе", "обязательно", "да обязательно", "точно",
		"записывайте", "запишите", "да записывайте", "да запишите", "отправьте", "отправляйте", "да отправьте", "отправить", "можно", "да можно", "хочу", "да хочу", "беру", "мне подходит", "устраивает", "буду вовремя",
		"yes", "yes please", "yep", "yeah", "yup", "y", "sure", "ok", "okay", "of course", "please", "please do", "confirm", "confirmed", "i confirm", "yes i confirm", "ill be there", "yes ill be there", "i will come", "sounds good", "works", "works for me", "that works", "fine", "book it", "send it", "correct", "lets do it", "great", "perfect", "отлично")
	noWords = set("нет", "нет нет", "не", "неа", "нет спасибо", "не надо", "не нужно", "нет не надо", "нет не нужно", "не подходит", "нет не подходит", "ничего не подходит", "не устраивает", "не хочу", "не получится", "нет не получится",
		"не смогу", "нет не смогу", "не приду", "нет не приду", "не буду", "нет не буду", "не могу", "никак", "no", "nope", "nah", "n", "no thanks", "no thank you", "i cant", "no i cant", "cant", "cannot", "not coming", "i wont", "no i wont",
		"i cant come", "cant come", "none", "none of them", "neither", "doesnt work", "doesnt suit", "no sorry", "нет извините", "к сожалению нет", "к сожалению не смогу", "увы нет")
	dropWords = set("не надо", "не нужно", "нет спасибо", "нет не надо", "нет не нужно", "не хочу", "передумал", "передумала", "я передумал", "я передумала", "отмена", "отменить", "отмени", "отмените", "отбой", "спасибо не надо", "не надо спасибо", "уже не надо", "потом", "позже напишу", "я подумаю", "подумаю",
		"cancel", "never mind", "nevermind", "no thanks", "no thank you", "forget it", "i changed my mind", "ill think about it", "not now")
	thanksWords = set("спасибо", "спасибо большое", "большое спасибо", "спс", "благодарю", "спасибо вам", "ок спасибо", "хорошо спасибо", "все спасибо", "понял", "поняла", "поняла спасибо", "понял спасибо", "понятно", "ясно", "ок", "окей", "хорошо", "ладно", "отлично", "супер", "класс", "отлично спасибо", "до встречи", "до свидания", "пока", "ага", "угу", "принято", "договорились", "да", "нет", "нет спасибо", "да спасибо", "жду", "пожалуйста", "и вам", "взаимно", "хорошего дня",
		"thanks", "thank you", "thx", "ok", "okay", "ok thanks", "ok thank you", "great", "great thanks", "got it", "see you", "bye", "goodbye", "perfect", "cool", "thanks a lot", "thank you very much", "fine", "no", "yes", "no thanks", "welcome", "you too", "cheers")
	greetWords  = set("здравствуйте", "здрасте", "здравствуй", "привет", "добрый день", "добрый вечер", "доброе утро", "доброго дня", "доброго времени суток", "доброй ночи", "приветствую", "салют", "хай", "алло", "вы тут", "есть кто", "вы на связи", "start", "hello", "hi", "hey", "hello there", "hi there", "good morning", "good afternoon", "good evening", "good day", "anybody there", "начать", "get started")
	comingWords = []string{"буду", "приду", "придем", "придём", "подтверждаю", "в силе", "confirm", "ill be there", "i will be there", "ill come", "well come"}
	cantWords   = []string{"не смогу", "не приду", "не получится", "не получается", "не сможем", "не придем", "не успею", "не смог", "не буду", "отмена", "отмените", "отменить", "отменяйте", "отменяю", "cant make", "cant come", "not coming", "wont come", "wont make", "cancel"}
	moveWords   = []string{"перенес~", "перенос~", "перезапис~", "перезапиш~", "reschedul~", "move", "postpone", "move it"}
	lateWords   = []string{"опазд~", "опозд~", "задерж~", "running late", "be late", "am late", "im late"}
	laterWords  = []string{"позже", "попозже", "позднее", "попоздней", "later"}
	soonerWords = []string{"раньше", "пораньше", "earlier", "sooner"}
	otherDay    = []string{"другой день", "в другой день", "другие дни", "другую дату", "другая дата", "другое число", "не сегодня", "не в этот день", "another day", "other day", "other days", "different day", "another date", "not today"}
	otherTime   = []string{"другое время", "другое", "другие", "еще варианты", "другие варианты", "а еще", "еще есть", "что еще", "есть еще", "ничего не подходит", "не подходит", "не устраивает", "another time", "other time", "other times", "different time", "something else", "anything else", "other options"}
	mineWords   = []string{"я запис~", "моя запись", "мою запись", "моей записи", "у меня запись", "мы запис~", "на когда я", "во сколько у меня", "во сколько мне", "когда мне приходить", "когда мне прийти", "во сколько я", "my appointment", "my booking", "am i booked", "do i have an appointment", "when am i", "what time is my", "when is my"}
	orderWords  = []string{"заказ~", "доставк~", "посылк~", "курьер~", "трек~", "order~", "deliver~", "parcel~", "package~", "courier~", "tracking"}
	rudeWords   = []string{"идиот~", "дебил~", "придур~", "кретин~", "тупые", "тупой бот", "тупой", "уроды", "урод", "сволоч~", "бля", "блять", "блядь", "сука", "суки", "нахуй", "нахер", "хуй~", "хуе~", "пизд~", "ебан~", "заеб~", "говно", "мудак~", "мраз~", "заткни~", "достали", "задолбали",
		"idiot~", "stupid", "moron~", "fuck~", "shit~", "bullshit", "asshole~", "damn you", "shut up", "wtf"}
)

// fillers stand around a choice and change nothing about it.
var fillers = set("давайте", "давай", "можно", "мне", "тогда", "пожалуйста", "вариант", "время", "хочу", "подходит", "лучше", "выберу", "выбираю", "беру", "номер", "под", "да", "ну", "ок", "окей", "хорошо", "the", "one", "please", "option", "number", "no", "ill", "take", "i", "want", "lets", "prefer", "would", "like", "yes", "ok", "go", "with", "for")

var ordinals = map[string]int{
	"первый": 1, "первое": 1, "первую": 1, "первая": 1, "первом": 1, "1й": 1, "1е": 1, "first": 1, "1st": 1, "один": 1,
	"второй": 2, "второе": 2, "вторую": 2, "вторая": 2, "втором": 2, "2й": 2, "2е": 2, "second": 2, "2nd": 2, "два": 2,
	"третий": 3, "третье": 3, "третью": 3, "третья": 3, "3й": 3, "3е": 3, "third": 3, "3rd": 3, "три": 3,
	"последний": -1, "последнее": -1, "последнюю": -1, "last": -1, "latest": -1,
	"любой": 1, "любое": 1, "любую": 1, "any": 1, "whichever": 1, "either": 1, "ближайшее": 1,
}

func unfilled(words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return fillers[w] })
}

// choiceOf reads "2", "второе", "давайте первый", "the last one".
func choiceOf(words []string) int {
	left := unfilled(words)
	if len(left) == 2 && (left[1] == "й" || left[1] == "е" || left[1] == "я") {
		left = left[:1]
	}
	if len(left) != 1 {
		return 0
	}
	if n, ok := ordinals[left[0]]; ok {
		return n
	}
	if n, err := strconv.Atoi(left[0]); err == nil && n >= 1 && n <= 9 {
		return n
	}
	return 0
}

// plain is what a word or two want of which triage is not sure, among them our own buttons.
var plain = func() map[string]string {
	all := map[string]string{}
	for wanted, phrases := range map[string][]string{
		intent.Booking: {"записаться", "запись", "запишите", "записать", "хочу записаться", "запиши", "на запись", "book", "book a visit", "booking", "appointment", "make an appointment"},
		intent.Price:   {"цены", "цена", "прайс", "стоимость", "сколько стоит", "почем", "price", "prices", "how much", "price list"},
		intent.Address: {"адрес", "где вы", "где", "как добраться", "address", "where are you", "location"},
		intent.Hours:   {"часы работы", "режим работы", "график", "hours", "opening hours"},
	} {
		for _, p := range phrases {
			all[p] = wanted
		}
	}
	return all
}()

// agrees and refuses read the answer to a question of yes or no that says a little more: "нет, смс не надо".
func (t *talk) agrees() bool {
	return t.yes || t.brief() && !t.refuses() && slices.Contains([]string{"да", "ага", "давайте", "конечно", "yes", "sure", "please"}, t.words[0])
}

func (t *talk) refuses() bool {
	return t.no || t.brief() && (slices.Contains([]string{"нет", "не", "no", "dont"}, t.words[0]) || t.has("не надо", "не нужно", "не хочу", "no need", "dont need"))
}

func (t *talk) brief() bool { return len(t.words) > 0 && len(t.words) <= 5 }

// wants says whether triage is sure that the message wants this.
func (t *talk) wants(intents ...string) bool {
	return t.Lead.Answered && slices.ContainsFunc(t.Lead.Intents, func(i string) bool { return slices.Contains(intents, i) })
}
