package policy

// The words that say why a message was held back, dropped or sent another way.
const (
	Late           = "late"
	NoConsent      = "no_consent"
	NoConsentHere  = "no_consent_here"
	NoFailover     = "no_failover"
	Stopped        = "stopped"
	Refused        = "refused"
	Person         = "person"
	Weekly         = "weekly"
	Touches        = "touches"
	SameContent    = "same_content"
	SameEvent      = "same_event"
	DayLimit       = "day_limit"
	PromotionHours = "promotion_hours"
	Quiet          = "quiet_hours"
	WindowClosed   = "window_closed"
	TemplateLimit  = "template_limit"
)

// reasons are their sentences for people, in English and Russian.
var reasons = map[string][2]string{
	Late:           {"its deadline has passed", "срок отправки прошёл"},
	NoConsent:      {"the customer has not agreed to advertising", "клиент не давал согласия на рекламу"},
	NoConsentHere:  {"the customer has agreed to advertising in another channel, not in this one", "согласие на рекламу дано для другого канала, не для этого"},
	NoFailover:     {"advertising that was tried in one channel does not go to another", "реклама после попытки в одном канале не уходит в другой"},
	Stopped:        {"the customer has stopped advertising", "клиент отказался от рекламы"},
	Refused:        {"the customer wants no messages, only answers", "клиент просил не писать ему: только ответы на его вопросы"},
	Person:         {"a person has stepped in, automation keeps silent meanwhile", "в разговор вступил сотрудник, автоматика пока молчит"},
	Weekly:         {"the customer got a promotion less than a week ago", "с прошлой рекламы клиенту не прошла неделя"},
	Touches:        {"the customer got enough messages within a week", "за неделю клиенту написали уже достаточно"},
	SameContent:    {"the customer got the same text as often as a month allows", "этот же текст клиент за месяц уже получил предельное число раз"},
	SameEvent:      {"the customer was told of the same event a few hours ago", "об этом же событии клиенту сообщили несколько часов назад"},
	DayLimit:       {"the channel's limit of today is used up", "дневной предел канала исчерпан"},
	PromotionHours: {"promotions go at other hours", "реклама отправляется в другие часы"},
	Quiet:          {"it is night where the customer is", "у клиента ночь"},
	WindowClosed:   {"the customer last wrote too long ago: the service takes an approved template only", "клиент писал слишком давно: сервис примет только утверждённый шаблон"},
	TemplateLimit:  {"the customer, who has not opted in, got a template within 24 hours", "клиенту без согласия шаблон за последние 24 часа уже отправляли"},

	// What has ended the sequence that a message is of.
	"reply":   {"the customer has written meanwhile", "клиент тем временем написал сам"},
	"order":   {"the customer has ordered meanwhile", "клиент тем временем сделал заказ"},
	"visit":   {"the customer has come meanwhile", "клиент тем временем пришёл"},
	"won":     {"the deal was won meanwhile", "сделка тем временем состоялась"},
	"lost":    {"the deal was lost meanwhile", "сделка тем временем не состоялась"},
	"left":    {"the customer has left the segment that it was for", "клиент вышел из сегмента, для которого это было"},
	"stop":    {"the customer has said stop", "клиент написал «стоп»"},
	"removed": {"the sequence was taken out of the configuration", "последовательность убрана из настроек"},
	"merged":  {"two cards have become one, and the other one's sequence goes on", "две карточки объединены, идёт последовательность другой"},
	"erased":  {"the customer's card was erased", "карточка клиента удалена"},
}

// Explain is a reason as a sentence in a language, ru or en; a word that is not of the policy stays as it is.
func Explain(reason, language string) string {
	text, ok := reasons[reason]
	switch {
	case !ok:
		return reason
	case language == "ru":
		return text[1]
	}
	return text[0]
}
