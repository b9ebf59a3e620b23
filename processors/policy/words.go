package policy

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"leadstream/streams"
)

// Word is what a customer's message says of being written to.
type Word string

// The words. Most messages say nothing of it.
const (
	Nothing Word = ""
	Stop    Word = "stop"  // no advertising any more
	Never   Word = "never" // no messages any more
	Start   Word = "start" // advertising is welcome
)

func (w Word) stops() bool { return w == Stop || w == Never }

// Talk is what has to be known to understand a short word.
type Talk struct {
	Asked   bool     // the last thing that the customer was asked is whether they agree to advertising
	Stopped bool     // they have stopped it before
	Names   []string // of shops, services, products: a message that is nothing but one of them is an answer
}

// Read reads a message. It would rather miss a roundabout wish than take a customer's question for one: a bare "стоп" has to
// be all of the message, a plain wish a clause of its own.
func Read(text string, talk Talk) Word {
	text = own(text)
	whole := strip(normal(text))
	if whole == "" || slices.ContainsFunc(talk.Names, func(name string) bool { return normal(name) == normal(text) }) {
		return Nothing
	}
	command := strings.HasPrefix(strings.TrimSpace(text), "/")
	asks := strings.ContainsAny(text, "?")
	switch {
	case howTo.MatchString(whole):
		return Stop
	case asks && !canYou.MatchString(whole):
		return inClauses(text)
	case canYou.MatchString(whole):
		whole = strip(canYou.ReplaceAllString(whole, ""))
	}
	switch {
	case bareStop.MatchString(whole), stopAds.MatchString(whole):
		return Stop
	case never.MatchString(whole), neverHere.MatchString(whole):
		return Never
	case talk.Asked && agrees.MatchString(whole):
		return Start
	case talk.Asked && denies.MatchString(whole):
		return Stop
	case !command && wantsAds.MatchString(whole), talk.Stopped && !command && bareStart.MatchString(whole):
		return Start
	}
	return inClauses(text)
}

// inClauses looks for a wish that is a clause among others, and plain enough to be meant for good: "Спасибо, я уже купила.
// Больше не пишите мне." Who goes on with how they want to be written to has not said it.
func inClauses(text string) (is Word) {
	if invites.MatchString(normal(text)) {
		return Nothing
	}
	for _, part := range clauses.Split(text, -1) {
		clause := strip(normal(part))
		lasting := forGood.MatchString(clause)
		switch {
		case lasting && never.MatchString(clause):
			return Never
		case lasting && stopAds.MatchString(clause):
			is = Stop
		}
	}
	return is
}

// Lines are what the ledger gets of a word that came with a lead.
func (w Word) Lines(l *streams.Lead) []Consent {
	line := func(purpose string, given bool) Consent {
		return Consent{Key: "word:" + l.ID + ":" + purpose, At: timeOf(l), Purpose: purpose, Given: given, How: "message", Wording: l.Message, Message: l.ID}
	}
	switch w {
	case Stop:
		return []Consent{line(Marketing, false)}
	case Never:
		return []Consent{line(Marketing, false), line(Service, false)}
	case Start:
		return []Consent{line(Marketing, true), line(Service, true)}
	}
	return nil
}

// own is what the customer has written of a text: without what a mail program quotes and signs.
func own(text string) string {
	const most = 4 << 10
	text = strings.ToValidUTF8(text[:min(len(text), most)], "")
	var lines []string
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, ">") {
			continue
		}
		if len(lines) > 0 && (line == "--" || signed.MatchString(line)) {
			break
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

var (
	signed  = regexp.MustCompile(`(?i)^(-{2,}.*|с уважением|best regards|kind regards|отправлено (из|с)|sent from|on .+ wrote:|.*(пишет|написала?):)`)
	clauses = regexp.MustCompile(`[.!;,\n…]+|\s[-–—]\s`)
)

// normal is a text in small letters, ё as е, without stress, pictures and punctuation; stretched letters (стооооп) once, and
// Latin letters in a Russian word as the Russian ones that look the same.
func normal(text string) string {
	var b strings.Builder
	var last rune
	run, gap := 0, false
	for _, r := range strings.ToLower(text) {
		switch {
		case r == 'ё':
			r = 'е'
		case r == '\'' || r == '’' || r == '\u0301':
			continue
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			gap, last = true, 0
			continue
		}
		if r == last {
			run++
		} else {
			last, run = r, 1
		}
		if gap && b.Len() > 0 {
			b.WriteByte(' ')
		}
		gap = false
		b.WriteRune(r)
		if run == 3 && unicode.IsLetter(r) { // the third takes the second along
			s := b.String()
			s = s[:len(s)-2*len(string(r))]
			b.Reset()
			b.WriteString(s)
		} else if run > 3 && unicode.IsLetter(r) {
			s := b.String()
			s = s[:len(s)-len(string(r))]
			b.Reset()
			b.WriteString(s)
		}
	}
	words := strings.Fields(b.String())
	for i, w := range words {
		if strings.ContainsFunc(w, isCyrillic) && strings.ContainsFunc(w, isLatin) {
			words[i] = alike.Replace(w)
		}
	}
	return strings.Join(words, " ")
}

func isCyrillic(r rune) bool { return unicode.Is(unicode.Cyrillic, r) }
func isLatin(r rune) bool    { return unicode.Is(unicode.Latin, r) }

var alike = strings.NewReplacer("a", "а", "c", "с", "e", "е", "o", "о", "p", "р", "x", "х", "y", "у", "k", "к", "m", "м", "t", "т", "h", "н", "b", "в")

// strip takes the politeness off.
func strip(words string) string {
	words = strings.TrimSpace(please.ReplaceAllString(words, "$2"))
	for {
		short := strings.TrimSpace(polite.ReplaceAllString(words, ""))
		if short == words {
			return words
		}
		words = short
	}
}

var polite = regexp.MustCompile(`^(здравствуйте|здравствуй|добрый (день|вечер)|доброе утро|привет|пожалуйста|плиз|прошу( вас)?|спасибо( за предложение)?|будьте добры|ну|все|всем|так|вас|я|и|но|а|уже|очень|девушка|ребята|hello|hi|hey|dear (sir|team)|please|pls|thanks|thank you|kindly|just|and|but|ok|ок)( |$)` +
	`|(^| )(пожалуйста|плиз|спасибо|прошу|please|pls|thanks|thank you|уже|наконец|блин|срочно|immediately|now)$`)

var please = regexp.MustCompile(`(^| )(?:пожалуйста|плиз|please|pls)( |$)`)

// phrase makes a pattern of the whole of a text. A space before a word that may be missing is part of it: "( больше)?".
func phrase(parts ...string) *regexp.Regexp {
	return regexp.MustCompile(`^(` + strings.Join(parts, "|") + `)$`)
}

const (
	lead = `((больше|никогда|вообще|впредь|мне|меня|нам) )*`
	who  = `( мне| нам| меня| сюда)?`
	more = `( больше| никогда| вообще| впредь| совсем| никаких| всякую| всякий| эту| этот| эти| это| свою| свои| свой| вашу| ваши| ваш| свои)*`
	ads  = `(реклам[уые]|рекламн(ую|ые|ых) (рассылк[уи]|сообщения|смс|сообщений)|рекламы|рассылк[уи]|рассылками|рассылок|спам|спама|спамом|акции|скидки|предложения|предложениями|промокоды|купоны|промо|ерунду|рекламой)`
	any_ = `(сообщения|сообщений|смс|смски|sms|ничего|уведомления|письма|писем)`
	send = `(присылай|присылайте|шли|шлите|отправляй|отправляйте|высылай|высылайте|рассылай|рассылайте|слать|присылать|отправлять|высылать|рассылать|спамить|спамьте|спамь)`
	spam = `(присылай|присылайте|шли|шлите|рассылай|рассылайте|слать|присылать|рассылать|спамить|спамьте|спамь)` // not what is said of parcels
	talk = `(пиши|пишите|писать|беспокой|беспокойте|беспокоить|тревожь|тревожьте|тревожить|донимай|донимайте|донимать|доставай|доставайте|доставать)`
	quit = `(хватит|прекрати|прекратите|прекращайте|перестань|перестаньте|завязывайте|достаточно)`
	neg  = `(не|не надо|не нужно|ненадо|нельзя|незачем)`
	out  = `( от| из| с)?( всех| вашей| вашего| этой| всей| своей| ваших)*( рассылки| рассылок| рекламы| рекламной рассылки| спама| базы| списка| смс| сообщений| уведомлений| подписки)?`
)

var (
	bareStop = phrase(`((стоп|stop)( |$))+`, `стоп (всем|все|рассылк[аиу]|реклам[аыу]|спам|смс)`, `stop ?all`, `(стоп|stop) (рассылка|реклама|ads|spam|promo|promotions)`, `unsubscribe`, `unsub`, `opt ?out`, `quit`, `ыещз`, `cnjg`, `ctop`,
		`отписка`, `отписаться`, `отписать`, `отписываюсь`, `отпишите`, `отпишите меня`)
	stopAds = phrase(
		lead+neg+more+who+more+` `+send+who+more+`( `+ads+`)`+who+more,
		lead+neg+more+who+more+` `+spam+who+more,
		lead+neg+more+` `+ads,
		quit+who+more+` `+send+who+more+`( `+ads+`)`+who,
		quit+who+more+` `+spam+who+more,
		quit+more+` `+ads,
		`(хочу |хотел бы |хотела бы |желаю |надо |нужно )?(отписаться|отписаца)`+out+more,
		`(снимите|уберите|исключите|удалите|отпишите|отписать|вычеркните)`+who+`( номер| мой номер| мой телефон)?( из| с| от)( вашей| этой| всех| вашего| своей| вашей рекламной)*( рассылки| рассылок| рекламы| базы рассылки| списка рассылки| рекламной рассылки)`,
		`(отключите|отмените|выключите|прекратите|остановите|уберите)`+who+more+` (рассылку|рассылки|рекламу|рекламную рассылку|рекламные сообщения|рекламные смс|спам)`+who,
		`(отказываюсь|отказ|отказаться|хочу отказаться) от( вашей| всех| получения| любой)*( рассылки| рассылок| рекламы| рекламной рассылки| рекламных сообщений| рекламных рассылок| спама)`,
		`(отзываю|забираю)( свое| мое)* согласие на( получение)?( рекламу| рекламы| рассылку| рассылки| рекламных рассылок| рекламную рассылку| рекламных сообщений)`,
		`не хочу`+more+` (получать|видеть|читать)`+more+`( от вас)?( `+ads+`)`+`( от вас)?`+more,
		`(я )?не (согласен|согласна|соглашался|соглашалась|давал согласия|давала согласия|подписывался|подписывалась) на( вашу| эту)*( рекламу| рассылку| рекламные рассылки)`,
		`(i )?(want to |would like to )?unsubscribe( me)?( from)?( your| this| the| all)*( list| mailing list| newsletter| emails| messages| ads)?`,
		`(i )?(want to |would like to )?opt out( of)?( your| all| these)*( messages| ads| promotions| promos| marketing)?`,
		`(stop|no more|dont send|do not send|quit sending|stop sending|stop with|cease)( me| us)?( any| your| these| more| the)*( more)? (ads|advertising|advertisements|promos|promotions|spam|marketing|offers|newsletters?|coupons|marketing messages|promotional messages)( to me)?( anymore| any more| again)?`,
		`stop spamming( me| us)?`,
		`(take|remove) me (off|from)( your| the| this)*( marketing| mailing)? list`,
	)
	never = phrase(
		lead+neg+more+who+more+` `+talk+who+more,
		lead+`(не|не надо|не нужно)`+more+who+` (звонить|звоните) и (не )?(писать|пишите)`+who+more,
		lead+`(не|не надо|не нужно)`+more+who+` (писать|пишите) и (не )?(звонить|звоните)`+who+more,
		lead+neg+more+who+more+` `+send+who+more+`( `+any_+`)`+who+more,
		quit+who+more+` `+talk+who+more,
		quit+who+more+` `+send+who+more+`( `+any_+`)`+who,
		`не хочу`+more+` (получать|видеть|читать)`+more+`( от вас)?( `+any_+`)`+`( от вас)?`+more,
		`(отстаньте|отвяжитесь|отвалите|отстань|отвали)( от меня)?`,
		`оставьте меня в покое`,
		`(удалите|уберите|забудьте|сотрите|вычеркните)( пожалуйста)? (мой номер|этот номер|мой телефон|мои данные|мои контакты|меня)( из( вашей| своей)?( базы| базы данных| контактов| телефонной книги))?`,
		`(отзываю|забираю)( свое| мое)* согласие на обработку( моих)?( персональных)? данных`,
		`(dont|do not|stop|never|quit)( ever)? (write|writing|text|texting|message|messaging|contact|contacting|email|emailing|bother|bothering)( to)?( me| us)?( ever)?( again| anymore| any more)?`,
		`(stop|quit|cease|dont|do not) (sending|send)( me| us)?( any| your| these| more| the| all)*( messages| texts| sms| emails| anything)( to me)?( anymore| any more| again)?`,
		`no more( of)?( your| these)?( messages| texts| sms| emails)`,
		`leave me alone`,
		`(remove|delete|erase|lose|forget) my (number|phone|phone number|email|data|contacts?)( from your (list|database|base|records|system))?`,
		`(i )?(dont|do not) want( to (get|receive|have))?( any)?( more)?( of)?( your| these)?( messages| texts| sms| emails)( from you)?( anymore| any more)?`,
	)
	// neverHere names the place: as a part of a message it may be about the place alone.
	neverHere = phrase(lead + `(не|не надо|не нужно)` + more + who + ` ` + talk + who + more + ` на (этот|мой) номер` + more)

	howTo   = phrase(`как( мне| можно| же)*( отписаться| отказаться от)`+out, `how (do|can) i (unsubscribe|opt out)( from| of)?( this| your| the)*( list| messages| ads| newsletter)?`, `how to unsubscribe`)
	canYou  = regexp.MustCompile(`^(можно|можете|могли бы вы|не могли бы вы|а можно|вы можете|can you|could you|would you)( пожалуйста| please)?( мне)? `)
	forGood = regexp.MustCompile(`(^| )(больше|никогда|вообще|впредь|рассылк\S*|реклам\S*|спам\S*|отпишите|отписаться|ever|again|anymore|any more|unsubscribe|spam|ads|promotions|marketing|list|покое|номер|данных)( |$)`)
	invites = regexp.MustCompile(`(^|[^н][^е] )(пишите|напишите|звоните|позвоните|перезвоните|присылайте|пришлите|шлите|отправьте|отправляйте) (мне )?(лучше|в|на|по|только|во|после|завтра|сюда|тут)( |$)|(^| )(лучше|только) (в|на|по|звоните|пишите|присылайте)( |$)|(write|text|call|message|email) me (on|at|in|by|later|tomorrow|instead)( |$)`)

	bareStart = phrase(`старт`, `start`, `unstop`)
	wantsAds  = phrase(
		`(подпишите|подписать) меня( на( вашу| ваши)*( рассылку| рекламу| акции| скидки| новости| предложения))`,
		`(хочу|хотим) (подписаться|получать)( ваши| вашу| от вас)*( рассылку| рекламу| акции| скидки| купоны| новости| предложения)`+`( и (скидки|акции|новости|предложения))?`,
		`хочу подписаться на( вашу| ваши)*( рассылку| акции| скидки| новости| предложения)`,
		`(возобновите|верните|включите)( мне)? (рассылку|подписку|рекламную рассылку)`,
		`(согласен|согласна|даю согласие) на( получение)?( рекламу| рекламы| рассылку| рассылки| рекламных рассылок| рекламную рассылку| рекламных сообщений)`,
		`(i )?(want to |would like to )?(subscribe|resubscribe|opt in)( me)?( to)?( your| the)*( newsletter| mailing list| offers| promotions)`,
	)
	agrees = phrase(`да`, `да (согласен|согласна|хочу|конечно|можно|давайте|присылайте|подпишите)`, `согласен`, `согласна`, `хочу`, `конечно`, `давайте`, `можно`, `присылайте`, `подпишите`, `ага`, `yes`, `yep`, `yeah`, `sure`, `agree`, `i agree`, `yes i (do|agree)`, `of course`)
	denies = phrase(`нет`, `нет (не надо|не хочу|не согласен|не согласна|не нужно)`, `не надо`, `не хочу`, `не нужно`, `не согласен`, `не согласна`, `no`, `nope`, `no thanks?`, `no thank you`, `не`)
)
