package processors

// The intents of a lead. Any other text is Other.
const (
	Booking      = "booking"
	Cancel       = "cancel"
	Reschedule   = "reschedule"
	Price        = "price"
	Address      = "address" // where, and when open
	Consultation = "consultation"
	Other        = "other"
)

// Intents are all of them.
var Intents = []string{Booking, Cancel, Reschedule, Price, Address, Consultation, Other}

// Classifier says what a text wants, and how sure it is of that, from 0 to 1.
type Classifier interface {
	Classify(text string) (intent string, confidence float64)
}

// Rules is the Classifier that needs no examples: word stems in Russian and English. Where a text holds several
// intents, the first of this order wins: reschedule, cancel, booking, price, address, consultation. The one that
// touches an appointment that exists goes first, since a visit kept by mistake costs most; a question that a booking
// would answer anyway goes last. A greeting is no intent and so never wins. Its confidence is coarse: 0.95 for one
// intent, 0.8 where the order had to decide, 0.6 for consultation, whose words are the vaguest, and 0 for Other.
type Rules struct{}

// Classify implements Classifier.
func (r Rules) Classify(text string) (string, float64) { return r.classify(book.read(words(text))) }

func (Rules) classify(t text) (string, float64) {
	intent, found := Other, 0
	for _, r := range intentRules {
		if book.without(t, r.but).has(r.is) {
			if found++; found == 1 {
				intent = r.intent
			}
		}
	}
	switch {
	case found == 0:
		return Other, 0
	case found > 1:
		return intent, 0.8
	case intent == Consultation:
		return intent, 0.6
	}
	return intent, 0.95
}

// intentRule finds an intent by the phrases of is, in a text from which the phrases of but were taken out.
type intentRule struct {
	intent  string
	is, but lists
}

// intentRules stand in the order in which they win.
var intentRules = []intentRule{
	{Reschedule, phrases(
		"перенес~", "перенос~", "перезапи~", "переназнач~", "сдвин~", "подвин~",
		"(поменя~|измени~|сменить) .. (время|врем|дат~|день|запис~|час)",
		"переписа~ .. на", "перепиш~ .. на",
		"(отмен~|отказ~|не смогу|не сможем|не получится|не успева~|не успею) .. .. (можно|давайте|записать~|запишите|лучше)",
		"(можно|давайте|хочу|хотел~) .. на (другой|другое|другую) (день|время|дату|неделю)",
		"reschedul~", "postpone~", "rebook~", "(move|change|shift|push) .. (appointment|booking|visit|time|date|slot)",
		"(another|different) (day|time|date) .. instead", "cant .. (can|could) (i|we) come",
	), phrases(
		"не (надо |нужно |хочу |будем |стоит )?(перенос~|перенес~|сдвиг~|менять~)", "переноси(м|мость)",
		"(dont|do not) .. (move|change|reschedule|postpone)",
	)},
	{Cancel, phrases(
		"отмен~", "аннулир~", "отказ~", "снимите .. (с|запись)", "снять .. запись", "удалите .. запис~", "уберите .. запис~",
		"не прид(у|ем)", "не приед(у|ем)", "не буд(у|ет|ем) .. (приходить|приезжать)", "не (смогу|сможем|получится|сможет)",
		"передума~", "не (надо|нужно|нужна|хочу|стоит) .. (записыва~|запис~|брон~)", "не записыва~", "не запиш~", "не ждите",
		"cancel~", "call off", "(wont|will not|cant|cannot) (be able to )?(come|make it|attend|be there)", "not coming",
		"(dont|do not) (book|schedule|sign)", "no longer need",
	), phrases(
		"не (надо |нужно |хочу |стоит )?отмен~", "(не смогу|не получится|не сможет) .. (дозвон~|найти|понять|решить|оплатить)",
		"(dont|do not|didnt|not) .. cancel~", "(без|бесплатн~) отмен~", "не (нужно|надо) отказ~",
	)},
	{Booking, phrases(
		"запис~", "запиш~", "забронир~", "бронь", "бронир~", "назначить (прием|встреч~|время|визит)", "оформить (визит|заявк~)",
		"(попасть|подойти|прийти|придти|подъехать|приехать|заехать|загнать) .. (на|к|сегодня|завтра|в|во|после|утром|вечером)",
		"(свободн~|ближайш~) .. (врем~|окн~|окош~|мест~|час~|дат~|запис~|день|дни|слот~)",
		"(есть|будет|найдется) .. (окн~|окош~|мест~|слот~|время|свободн~)", "(окошк~|окошечк~)",
		"(можно|хочу|хотел~) .. к (вам|врачу|доктору|мастеру)", "когда (можно|могу|сможете) .. (прийти|придти|приехать|подъехать|подойти|принять|взять)", "на прием",
		"(примете|принимаете|возьмете|впишете) .. (сегодня|завтра|меня|нас|утром|вечером|в)",
		"(book|booking)", "booked", "bookings", "reserv~", "make an appointment", "appointment", "schedule", "sign me up",
		"(free|available|open|any) .. (slot~|time|times|spot~|openings)", "(come|drop|bring) .. (in|by|over|car) .. (today|tomorrow|this|on|at)",
		"availabil~", "fit me in",
	), phrases(
		"(у меня|у нас) .. запис~", "(я|мы|уже|был|была) .. записан~", "(моя|мою|моей|моя) запис~", "без запис~", "(по|до|после) запис~",
		"не (надо |нужно |хочу )?записыва~", "(отмен~|снять|аннулир~) .. (запис~|бронь|брони)", "аудиозапис~", "видеозапис~",
		"не могу прийти", "не смогу прийти", "(have|got) an appointment", "my (appointment|booking)", "(dont|do not) (book|schedule)",
	)},
	{Price, phrases(
		"сколько .. (стоит|стоят|стоить|стоило|будет|выйдет|обойдется|денег|возьмете|берете|рублей|платить|руб)",
		"скок~ .. (стоит|стоят|будет)", "цен(а|ы|у|е|ам|ой|ах)", "ценник~", "стоимост~", "прайс~", "расцен~", "почем", "по чем", "тариф~",
		"скидк~", "дорого", "дешев~", "подешевле", "(акция|акции|акцию|акций)", "рассрочк~", "во сколько .. (обойдется|выйдет)", "бюджет~", "смет~",
		"how much", "pric~", "cost~", "rate", "rates", "quote", "fee", "fees", "charge", "discount~", "expensive", "cheap~", "estimate",
	), phrases(
		"цен(им|ю|ить|ят)", "сколько .. (времени|по времени|длится|часов|минут)",
	)},
	{Address, phrases(
		"адрес~", "где (вы|ты|вас)", "где .. (находит~|располож~|найти|офис|салон|клиника|сервис)", "куда (ехать|подъехать|приезжать|идти|приехать|подходить)",
		"как .. (добраться|доехать|проехать|пройти|найти|дойти|попасть)", "(на|по) карте", "геолокац~", "геометк~", "локаци~", "ориентир~",
		"парков~", "метро", "какая (улица|остановка)", "(филиал~|ближайш~ (салон|клиник~|сервис~|точк~))",
		"(часы|время|график|режим) работы", "(до|со|с) (скольки|скольких|которого)", "во сколько .. (открыва~|закрыва~|работа~)", "(работаете|открыты|закрыты)",
		"address", "where .. (you|located|is|are)", "location", "directions", "how .. (get there|get to|find you)", "parking", "(opening|working|busines) hours",
		"(open|close) .. (til|until|at|on|today|sunday|saturday)", "are you open",
	), phrases(
		"адрес почты", "email address", "where .. do you .. (recommend)", "работаете .. (с|над)",
	)},
	{Consultation, phrases(
		"консульт~", "проконсульт~", "подскаж~", "посовет~", "совет", "вопрос~", "хочу (узнать|уточнить|спросить|понять)", "хотел~ (бы )?(узнать|уточнить|спросить)",
		"интересует", "расскаж~", "объясн~", "можно ли", "(делаете|занимаетесь|чините|ремонтируете|лечите|ставите) .. ", "есть ли", "что (лучше|делать|посоветуете|выбрать)",
		"чем .. отлича~", "какой .. (лучше|выбрать|подойдет)", "как~ .. (подойдет|ухаживать|выбрать)", "болит", "беспокоит", "противопоказан~", "стучит", "скрипит", "помогите",
		"(сколько|долго) .. (времени|длится|часов|минут|держится)", "нужно ли", "нужна помощь", "гарант~", "безопасн~", "вредно", "больно", "подготов~",
		"consult~", "advi(ce|se)", "question~", "recommend~", "(do|can|could|would) you .. (do|help|tell|fix|treat|explain|repair|work)", "wondering", "suggest~", "what .. (best|differ~|should)",
		"how long", "is it (safe|painful|possible|worth)", "does it hurt", "information", "info", "hurts", "tell me",
	), 0},
}
