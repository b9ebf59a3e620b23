package bitrix24

// words are what the portal's people read.
type words struct {
	title, enquiry, repeat, whole                                         string
	name, phone, email, channel, source, service, time, level, tags, task string
}

var languages = map[string]words{
	"ru": {
		title:   `{{if .Hot}}Срочно! {{end}}Заявка{{with .Service}}: {{.}}{{end}}{{with .Name}}, {{.}}{{end}}`,
		enquiry: "Заявка", repeat: "Клиент обратился ещё раз", whole: "Заявка целиком: часть данных не поместилась в карточку",
		name: "Имя", phone: "Телефон", email: "Эл. почта", channel: "Канал", source: "Источник", service: "Услуга",
		time: "Удобное время", level: "Уровень клиента", tags: "Метки", task: "Срочно связаться с клиентом",
	},
	"en": {
		title:   `{{if .Hot}}Urgent! {{end}}Enquiry{{with .Service}}: {{.}}{{end}}{{with .Name}}, {{.}}{{end}}`,
		enquiry: "Enquiry", repeat: "The customer has written again", whole: "The whole enquiry: part of it did not fit into the card",
		name: "Name", phone: "Phone", email: "E-mail", channel: "Channel", source: "Source", service: "Service",
		time: "Convenient time", level: "Customer level", tags: "Tags", task: "Contact the customer at once",
	},
}

// say answers a language's words, Russian unless told otherwise.
func say(language string) words {
	if w, ok := languages[language]; ok {
		return w
	}
	return languages["ru"]
}
