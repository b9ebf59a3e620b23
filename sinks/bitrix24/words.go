package bitrix24

import "strings"

// words are what the portal's people read.
type words struct {
	title, enquiry, repeat, whole                                                string
	name, phone, email, channel, source, service, time, level, tags, task, again string
	wants, person, order, product, branch                                        string
	files, fileKept, fileAway, late                                              string

	intents map[string]string // what a lead wants, but for other, of which there is nothing to say
	reasons map[string]string // why a person is to answer, besides an intent

	news, priority, segments, score string
	call, callWhy                   string
	events                          map[string]string // by name, see streams.Events
}

var languages = map[string]words{
	"ru": {
		title:   `{{if .Hot}}Срочно! {{end}}Заявка{{with .Service}}: {{.}}{{end}}{{with .Name}}, {{.}}{{end}}`,
		enquiry: "Заявка", repeat: "Клиент обратился ещё раз", whole: "Заявка целиком: часть данных не поместилась в карточку",
		name: "Имя", phone: "Телефон", email: "Эл. почта", channel: "Канал", source: "Источник", service: "Услуга",
		files: "Файлы клиента", late: "Пришёл файл к заявке", fileKept: "больше, чем max_file; лежит у нас, в media:", fileAway: "файла нет на этом сервере:",
		time: "Удобное время", level: "Уровень клиента", tags: "Метки", task: "Срочно связаться с клиентом", again: "Клиент пишет, а карточка закрыта",
		wants: "Чего хочет", person: "Ответить должен человек", order: "Заказ", product: "Товар", branch: "Филиал",
		intents: map[string]string{"booking": "запись", "cancel": "отмена", "reschedule": "перенос", "price": "цена", "address": "адрес",
			"hours": "часы работы", "consultation": "консультация", "order_status": "состояние заказа", "complaint": "жалоба",
			"payment": "оплата", "operator": "просит человека"},
		reasons: map[string]string{"medical": "медицинский вопрос", "legal": "юридический вопрос", "words": "по вашим словам", "unsure": "неясно, чего хочет"},
		call:    "Позвонить клиенту", callWhy: "Сообщение не удалось доставить иначе. Позвоните клиенту и передайте:",
		news: "Новости о клиенте", priority: "Приоритет", segments: "Сегменты", score: "Вероятность продажи",
		events: map[string]string{
			"sent": "клиенту отправлено сообщение", "delivered": "сообщение доставлено клиенту", "answered": "сотрудник ответил клиенту", "failed": "сообщение не дошло", "read": "клиент прочитал сообщение", "click": "клиент открыл ссылку",
			"reply": "клиент ответил", "order": "клиент сделал заказ", "visit": "клиент пришёл", "won": "сделка состоялась",
			"lost": "сделка не состоялась", "segment": "изменился сегмент",
			"blocked": "клиент запретил сообщения", "unblocked": "клиент снова разрешил сообщения",
		},
	},
	"en": {
		title: `{{if .Hot}}Urgent! {{end}}Enquiry{{with .Service}}: {{.}}{{end}}{{with .Name}}, {{.}}{{end}}`,
		files: "Files of the customer", late: "A file of this enquiry has come", fileKept: "larger than max_file; we have it, in media:", fileAway: "the file is not on this server:",
		enquiry: "Enquiry", repeat: "The customer has written again", whole: "The whole enquiry: part of it did not fit into the card",
		name: "Name", phone: "Phone", email: "E-mail", channel: "Channel", source: "Source", service: "Service",
		time: "Convenient time", level: "Customer level", tags: "Tags", task: "Contact the customer at once", again: "The customer writes, and the card is closed",
		wants: "Wants", person: "A person is to answer", order: "Order", product: "Product", branch: "Branch",
		intents: map[string]string{"booking": "booking", "cancel": "cancelling", "reschedule": "rescheduling", "price": "price", "address": "address",
			"hours": "opening hours", "consultation": "consultation", "order_status": "order status", "complaint": "complaint",
			"payment": "payment", "operator": "a person"},
		reasons: map[string]string{"medical": "medical question", "legal": "legal question", "words": "by your words", "unsure": "unclear what is wanted"},
		call:    "Call the customer", callWhy: "The message could not be delivered in another way. Call the customer and say:",
		news: "News of the customer", priority: "Priority", segments: "Segments", score: "Chance of a sale",
		events: map[string]string{
			"sent": "a message was sent to the customer", "delivered": "the message was delivered to the customer", "answered": "a person of yours has answered the customer", "failed": "a message did not arrive", "read": "the customer has read the message", "click": "the customer has opened a link",
			"reply": "the customer has answered", "order": "the customer has ordered", "visit": "the customer has come", "won": "the deal is won",
			"lost": "the deal is lost", "segment": "the segment has changed",
			"blocked": "the customer takes no more messages", "unblocked": "the customer takes messages again",
		},
	},
}

// wanted names intents.
func (w words) wanted(intents ...string) string {
	var names []string
	for _, i := range intents {
		if name := w.intents[i]; name != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// because names the reason why a person is to answer.
func (w words) because(reason string) string {
	if name := w.reasons[reason]; name != "" {
		return name
	}
	return w.wanted(reason)
}

// say answers a language's words, Russian unless told otherwise.
func say(language string) words {
	if w, ok := languages[language]; ok {
		return w
	}
	return languages["ru"]
}
