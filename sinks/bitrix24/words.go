package bitrix24

// words are what the portal's people read.
type words struct {
	title, enquiry, repeat, whole                                         string
	name, phone, email, channel, source, service, time, level, tags, task string

	news, priority string
	events         map[string]string // by name, see streams.Events
}

var languages = map[string]words{
	"ru": {
		title:   `{{if .Hot}}Срочно! {{end}}Заявка{{with .Service}}: {{.}}{{end}}{{with .Name}}, {{.}}{{end}}`,
		enquiry: "Заявка", repeat: "Клиент обратился ещё раз", whole: "Заявка целиком: часть данных не поместилась в карточку",
		name: "Имя", phone: "Телефон", email: "Эл. почта", channel: "Канал", source: "Источник", service: "Услуга",
		time: "Удобное время", level: "Уровень клиента", tags: "Метки", task: "Срочно связаться с клиентом",
		news: "Новости о клиенте", priority: "Приоритет",
		events: map[string]string{
			"sent": "клиенту отправлено сообщение", "read": "клиент прочитал сообщение", "click": "клиент открыл ссылку",
			"reply": "клиент ответил", "order": "клиент сделал заказ", "visit": "клиент пришёл", "won": "сделка состоялась",
			"lost": "сделка не состоялась", "segment": "изменился сегмент",
		},
	},
	"en": {
		title:   `{{if .Hot}}Urgent! {{end}}Enquiry{{with .Service}}: {{.}}{{end}}{{with .Name}}, {{.}}{{end}}`,
		enquiry: "Enquiry", repeat: "The customer has written again", whole: "The whole enquiry: part of it did not fit into the card",
		name: "Name", phone: "Phone", email: "E-mail", channel: "Channel", source: "Source", service: "Service",
		time: "Convenient time", level: "Customer level", tags: "Tags", task: "Contact the customer at once",
		news: "News of the customer", priority: "Priority",
		events: map[string]string{
			"sent": "a message was sent to the customer", "read": "the customer has read the message", "click": "the customer has opened a link",
			"reply": "the customer has answered", "order": "the customer has ordered", "visit": "the customer has come", "won": "the deal is won",
			"lost": "the deal is lost", "segment": "the segment has changed",
		},
	},
}

// say answers a language's words, Russian unless told otherwise.
func say(language string) words {
	if w, ok := languages[language]; ok {
		return w
	}
	return languages["ru"]
}
