package intent

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// The rules decide what must not depend on a model: that a person asks for a person, or to be left alone, or names an
// appointment and that it is to be cancelled or moved. They are few and narrow; what they do not see, the model does.

// pattern is words in their order. A word may be one of several (a|b), may have any ending (a~), and may be followed by
// up to two other words (..).
type pattern []element

type element struct {
	words []word
	gap   bool // instead of words
}

type word struct {
	text string
	stem bool // a longer word that begins so will do
}

const widestGap = 2

// phrases are patterns, found by the letter that the first word begins with.
type phrases struct {
	all  []pattern
	from [256][]pattern
}

// letterOf is what tells the first letters of words apart: of a Cyrillic one the second byte.
func letterOf(word string) byte {
	if len(word) > 1 && word[0] >= utf8.RuneSelf {
		return word[1]
	}
	return word[0]
}

func patterns(lines ...string) *phrases {
	f := &phrases{}
	for _, line := range lines {
		var p pattern
		for w := range strings.FieldsSeq(line) {
			if w == ".." {
				p = append(p, element{gap: true})
			} else {
				var e element
				for one := range strings.SplitSeq(w, "|") {
					text, stem := strings.CutSuffix(one, "~")
					e.words = append(e.words, word{text, stem})
				}
				p = append(p, e)
			}
		}
		f.all = append(f.all, p)
		var met [256]bool
		for _, w := range p[0].words {
			if at := letterOf(w.text); !met[at] {
				met[at] = true
				f.from[at] = append(f.from[at], p)
			}
		}
	}
	return f
}

func (e *element) is(word string) bool {
	for i := range e.words {
		if w := &e.words[i]; strings.HasPrefix(word, w.text) && (w.stem || len(word) == len(w.text)) {
			return true
		}
	}
	return false
}

// at is whether the tokens begin with the pattern, and with how many of them.
func (p pattern) at(tokens []token) (n int, ok bool) {
	if len(p) == 0 {
		return 0, true
	}
	if p[0].gap {
		for skip := 0; skip <= min(widestGap, len(tokens)); skip++ {
			if n, ok := p[1:].at(tokens[skip:]); ok {
				return n + skip, true
			}
		}
		return 0, false
	}
	if len(tokens) == 0 || !p[0].is(tokens[0].word) {
		return 0, false
	}
	n, ok = p[1:].at(tokens[1:])
	return n + 1, ok
}

// within says whether one of the patterns stands anywhere in the tokens.
func within(tokens []token, f *phrases) bool {
	for i := range tokens {
		for _, p := range f.from[letterOf(tokens[i].word)] {
			if !p[0].is(tokens[i].word) {
				continue
			}
			if _, ok := p.at(tokens[i:]); ok {
				return true
			}
		}
	}
	return false
}

// whole says whether one of the patterns is all that the tokens are.
func whole(tokens []token, f *phrases) bool {
	return slices.ContainsFunc(f.all, func(p pattern) bool {
		n, ok := p.at(tokens)
		return ok && n == len(tokens)
	})
}

var (
	stopWhole = patterns("стоп", "stop", "отписаться", "отписка", "отпишите", "unsubscribe", "отпишись", "stop all", "стоп рассылка", "отписаться от рассылки")
	stopParts = patterns("отпишите меня", "отписаться от", "отписка от", "не (присылайте|пишите|шлите)", "не присылайте|шлите .. больше|сообщения|рассылк~|смс|рекламу",
		"хватит|прекратите|перестаньте .. слать|присылать|писать|рассыл~", "не пишите .. больше", "больше .. не пишите|присылайте|шлите",
		"уберите|удалите|исключите .. из рассылки|базы", "unsubscribe me", "stop texting|messaging|sending|spamming", "remove me from .. list|mailing")

	operatorWhole = patterns("оператор~", "человек|человека", "менеджер|менеджера", "администратор|администратора", "живой человек", "живого человека", "operator", "agent", "human", "person", "representative", "live agent", "real person")
	operatorParts = patterns(
		"позовите|позови|позвать|соедин~|переключ~|переведите|свяжите|пригласите|дайте .. оператор~|менеджер~|администратор~|человек~|специалист~|руководител~|директор~|управляющ~",
		"живой|живого|живым|живому|живые оператор~|человек~|люд~|менеджер~", "поговорить|пообщаться|говорить|общаться с .. оператор~|менеджер~|администратор~|человеком|руководител~|директор~|управляющ~",
		"не с ботом", "отключите бота", "обратный звонок", "перезвоните мне",
		"talk|speak|chat|connect|transfer|put .. to|with .. human|person|operator|agent|representative|manager|someone|somebody",
		"real|live|actual person|human|agent|operator", "customer service representative", "call me back")

	movePlain = patterns(
		"перенести|перенесите|перенесем|перенос .. запис~|визит~|прием|приема|время|день", "перенести|перенесите|перенесем|перенос на|с",
		"перезапишите|перезаписаться", "запис~|прием|визит .. перенести|перенесите", "отменить|отмените|снимите .. .. .. запишите|поставьте|впишите|перепишите",
		"не надо|нужно отменять .. перенесите|запишите", "reschedul~", "rebook", "move|change|shift|push|postpone|switch my|our|the|an appointment|booking|visit|reservation",
		"cancel .. .. .. put|book|move me|it")
	moveNot = patterns("не перенос~|перенес~|перезап~", "не надо|нужно|хочу|хочется|стоит|будем перенос~|перенес~|перезапис~",
		"почему|зачем|опять|снова|сколько", "второй|третий раз", "why|again|dont|not|cannot|never|without", "привез~|достав~|заказ~", "вы перенесли")
	cancelPlain = patterns(
		"отменить|отмените|отмени|отменяю|отменяем|отмена|аннулируйте|снимите .. запись|записи|визит|прием|приема|заказ|бронь|заявку|доставку|брони|заказа|заявки|визита",
		"запись|визит|прием|заказ|бронь|заявку .. отменить|отмените|отменяю|отменяем|аннулируйте", "cancel|cancelling|canceling .. appointment|booking|visit|order|reservation|appt")
	cancelNot = patterns("не отмен~", "не надо|нужно|хочу|хочется|стоит .. отмен~", "почему|зачем|опять|сколько", "вы отменили",
		"перенес~|перенос~|переза~|другой|другое|другую|лучше|запишите|поставьте|давайте|вместо", "dont|not|cannot|why|again|fee|policy|reschedul~|rebook|instead|another|different|free",
		"штраф~|бесплатн~|условия|правила|если|if")
	absent = patterns("не смогу|сможем|сможет|получится .. прийти|придти|приехать|подъехать|подойти|быть", "cant|wont|cannot come|attend", "cant|wont|cannot make it", "wont be coming|there",
		"not able to come|attend", "unable to come|attend|make")
	absentNot = patterns("можно|могу|можем|если|вместо|давайте|лучше|позже|попозже|раньше|пораньше|приду|приеду|буду|дозвониться", "перен~|переза~|перепи~|друг~|запис~|запиш~|постав~|подойд~",
		"почему|зачем|никак .. дозвон~", "can|could|may|instead|another|different|later|earlier|but|if|why|how|move|reschedul~|rebook|postpone", "complain~", "find|online")
	keep = patterns("не отменя~", "не отмените", "не надо|нужно|стоит отменять", "dont|never cancel", "do not cancel", "не снимайте .. запис~")
)

// ruleOf gives the intent of tokens that a rule is sure of, and the rule's name.
func ruleOf(tokens []token) (intent, rule string) {
	switch {
	case whole(tokens, operatorWhole), within(tokens, operatorParts):
		return Operator, "operator"
	case within(tokens, movePlain) && !within(tokens, moveNot):
		return Reschedule, "reschedule"
	case within(tokens, keep) && !within(tokens, movePlain):
		return Other, "keep"
	case within(tokens, cancelPlain) && !within(tokens, cancelNot), within(tokens, absent) && !within(tokens, absentNot):
		return Cancel, "cancel"
	}
	return "", ""
}

// stops says whether a message asks to be written to no more.
func stops(m message) bool { return whole(m.tokens, stopWhole) || within(m.tokens, stopParts) }

var (
	yesWhole = patterns("да", "да да", "ага", "угу", "конечно", "подтверждаю", "да подтверждаю", "да конечно", "буду", "да буду", "приду", "да приду", "придем", "хорошо", "ок", "окей", "да хорошо",
		"давайте", "да давайте", "подходит", "да подходит", "согласен", "согласна", "верно", "да верно", "в силе", "да в силе", "все в силе", "обязательно", "точно", "да точно", "жду",
		"yes", "yes yes", "yep", "yeah", "yup", "sure", "ok", "okay", "confirm", "confirmed", "i confirm", "yes confirm", "of course", "ill be there", "yes ill be there", "correct", "works", "sounds good", "y")
	noWhole = patterns("нет", "нет нет", "не", "неа", "нет не приду", "не приду", "нет не смогу", "не смогу", "не получится", "нет не получится", "не буду", "нет не буду", "не надо", "нет не надо", "не нужно", "не подходит", "нет не подходит", "отказ", "нет спасибо",
		"no", "nope", "nah", "no thanks", "no thank you", "not coming", "i cant", "no i cant", "cant", "i wont", "no i wont", "n", "no sorry", "нет извините", "не подтверждаю")
)

// answerOf reads an answer to a question: yes, no, or their numbers.
func answerOf(m message) Reply {
	if len(m.tokens) == 1 && m.tokens[0].stem == numberMark {
		switch m.digits {
		case "1":
			return Yes
		case "2", "0":
			return No
		}
	}
	switch {
	case len(m.tokens) == 0 && m.sign == '+':
		return Yes
	case len(m.tokens) == 0 && m.sign == '-':
		return No
	case stops(m):
		return Stop
	case whole(m.tokens, yesWhole):
		return Yes
	case whole(m.tokens, noWhole):
		return No
	}
	return NoReply
}
