package messenger

import "leadstream/processors/policy"

// reasons are sentences for the messenger's own words, in English and Russian.
var reasons = map[string][2]string{
	reasonLate:       {"its deadline has passed", "срок отправки прошёл"},
	reasonNoRoute:    {"there is no channel in which this customer can be written to", "нет канала, в котором этому клиенту можно написать"},
	reasonNoOther:    {"no other channel is left for this customer", "других каналов у этого клиента нет"},
	reasonNoText:     {"there is no such text", "такого текста нет"},
	reasonValue:      {"a value that the text needs is not known", "неизвестно значение, без которого текст не составить"},
	reasonBooking:    {"the visit was changed or is over", "визит изменён или уже прошёл"},
	reasonUnsure:     {"the service gave no answer: it may have got through, and a second one might be one too many", "сервис не ответил: сообщение могло дойти, второе было бы лишним"},
	reasonSilent:     {"the service never told that it was delivered", "сервис так и не сообщил о доставке"},
	reasonDown:       {"the channel does not work just now", "канал сейчас не работает"},
	reasonOnItsWay:   {"another message to this customer is on its way", "клиенту прямо сейчас отправляется другое сообщение"},
	reasonPair:       {"the channel lets messages to one customer follow each other only so fast", "канал ограничивает частоту сообщений одному клиенту"},
	reasonRefused:    {"the service refused it", "сервис отказал"},
	reasonOptedOut:   {"the customer has told the service to stop", "клиент отказался от сообщений в самом сервисе"},
	reasonDeadRoute:  {"the customer cannot be reached in this channel until they write again", "клиент в этом канале недоступен, пока сам не напишет"},
	reasonNoTemplate: {"the service takes an approved template only, and none is named for this text", "сервис примет только утверждённый шаблон, а для этого текста он не указан"},
	reasonPanic:      {"an error in the program: the log names the message", "ошибка программы: в журнале есть номер сообщения"},
	"accepted":       {"the service has taken it", "сервис принял"},
	"sent":           {"the service has sent it", "сервис отправил"},
	"delivered":      {"it is on the customer's device", "доставлено клиенту"},
	"read":           {"the customer has read it", "клиент прочитал"},
}

// Explain is a reason as a sentence in a language, ru or en. A code of a service stays as it is.
func Explain(reason, language string) string {
	text, ok := reasons[reason]
	switch {
	case !ok:
		return policy.Explain(reason, language)
	case language == "ru":
		return text[1]
	}
	return text[0]
}
