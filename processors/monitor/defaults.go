package monitor

import (
	"strconv"
	"time"
)

// Metrics are the names that the daemon's Source gives, and what they count.
var Metrics = map[string]string{
	"queue_length":           "entries in a queue {queue, destination}",
	"avg_processing_seconds": "mean time of a lead in a queue's handler {queue, destination}",
	"retry_success_rate":     "share of retried entries that got through, 0 to 1 {destination}",
	"retries":                "retried entries behind that share {destination}",
	"redis_down":             "1 while Redis does not answer",
	"journal_unhealthy":      "1 while the journal cannot be written",
	"destination_paused":     "1 while a destination is paused {destination}",
	"breaker_open":           "1 while a destination's breaker is open {destination}",
	"leads_late":             "leads that wait for longer than late_after {destination}",
	"leads_dead":             "dead letters {destination}",
	"quarantine":             "requests that could not be read and wait for a person",
	"unexplained":            "leads whose fate nobody can tell: must be 0",
	"mapping_errors":         "leads of the last hour with a field that could not be mapped {source}",
	"key_conflicts":          "requests of the last hour with a used key and another body {source}",
	"channel_down":           "1 while a messenger or a mailbox cannot be asked or does not send {source, why}",
	"channel_lost":           "times within the last hour that a part of what customers wrote could not be had any more {source, why}",
	"leads_day":              "leads of the last 24 hours",
	"in_flight":              "leads on their way",
	"triage_accuracy":        "share of messages that triage understands, 0 to 1 {by: check, its own examination; people, of its last 200 answers those that nobody has corrected}",
	"triage_judged":          "phrases or answers behind that share {by}",
	"operator_share":         "share of the last day's conversations that asked for a person, 0 to 1",
	"conversations":          "conversations behind that share",
	"fetch_denied":           "1 for a source whose service gives us nothing: token or rights {source}",
	"hot_unanswered":         "minutes of working time that a hot lead has waited for a person, once that is longer than answers.unanswered.after {lead, channel}; without labels 0",
	"hot_unanswered_worth":   "money at stake with it {lead, channel}",
	"hot_unanswered_count":   "hot leads that wait for longer than that",
	"hot_unanswered_longest": "minutes of working time that the oldest of them has waited",
	"hot_unanswered_sum":     "money at stake with all of them",
	"first_answers_in_30s":   "share of the last hour's first answers by programs that came within 30 s, 0 to 1",
	"first_answers":          "first answers behind that share",
	"answers_down":           "1 while a channel to customers is paused or its breaker is open, on all of its servers {channel}",
	"answers_backup":         "1 while a channel's backup server is used {channel}",
	"answers_failed":         "messages of the last hour, but for advertising, that reached their customer by no channel, or of which nobody can know",
	"unlabelled":             "messages that triage did not understand and that wait for a label",
}

// channelWhy are the reasons of channel_down as a person says them.
var channelWhy = map[string][][2]string{
	"ru": {
		{"token", "сервис не принимает токен"}, {"webhook", "у бота установлен вебхук, при нём спрашивать нельзя"},
		{"poller", "тем же токеном спрашивает другая программа и забирает сообщения"}, {"off", "Long Poll выключен в настройках"},
		{"unreachable", "сервис не отвечает"}, {"unreadable", "ответ сервиса не читается"}, {"journal", "журнал не пишется"},
		{"gone", "подписка пропала, и поставить её снова не удалось"}, {"elsewhere", "сервис шлёт на другой адрес"},
		{"failing", "сервис не может до нас достучаться"}, {"login", "почтовый сервер не принимает пароль"},
		{"certificate", "сертификату почтового сервера нет доверия"}, {"folder", "папки почтового ящика нет"}, {"refused", "почтовый сервер отказывает"},
		{"stuck", "часть писем почтовый сервер не отдаёт, их номера в журнале работы; остальные читаются"},
		{"missed", "новые сообщения приходят, но часть пропущенных за время сбоя сервис пока не отдаёт"},
	},
	"en": {
		{"token", "the service does not take the token"}, {"webhook", "the bot has a webhook, and with it nobody may ask"},
		{"poller", "another program asks with the same token and takes the messages"}, {"off", "Long Poll is off in the settings"},
		{"unreachable", "the service does not answer"}, {"unreadable", "the service's answer cannot be read"}, {"journal", "the journal cannot be written"},
		{"gone", "the subscription is gone and could not be made again"}, {"elsewhere", "the service sends to another address"},
		{"failing", "the service does not get through to us"}, {"login", "the mail server refuses the login"},
		{"certificate", "the mail server's certificate is not trusted"}, {"folder", "the mailbox's folder is not there"}, {"refused", "the mail server refuses"},
		{"stuck", "the mail server does not give some of the mails, the log has their numbers; the others are read"},
		{"missed", "new messages come, but the service does not give a part of those missed in an outage yet"},
	},
}

// lostWhy are the reasons of channel_lost as a person says them.
var lostWhy = map[string][][2]string{
	"ru": {
		{"too_long", "сбой длился дольше, чем можно догрузить"}, {"forgotten", "сервис больше не хранит недоставленное"},
		{"hidden", "сервис показывает не всё"}, {"unreadable", "ответ сервиса не читается"},
	},
	"en": {
		{"too_long", "the outage was longer than can be fetched"}, {"forgotten", "the service keeps what it could not bring no longer"},
		{"hidden", "the service does not show all of it"}, {"unreadable", "the service's answer cannot be read"},
	},
}

// ChannelWhy is a reason of channel_down in words, and as it is when it has none.
func ChannelWhy(language, why string) string {
	for _, w := range channelWhy[language] {
		if w[0] == why {
			return w[1]
		}
	}
	return why
}

// choice is a template that says the words of a label's value.
func choice(label string, words [][2]string) string {
	text, or := "", "{{if"
	for _, w := range words {
		text += or + " eq .Labels." + label + " " + strconv.Quote(w[0]) + "}}" + w[1]
		or = "{{else if"
	}
	return text + "{{else}}{{.Labels." + label + "}}{{end}}"
}

// DefaultRules are the alerts of an installation that says nothing about them (M-01, M-02, M-03 and the engine's own).
// Late, dead and unreadable leads have none: the teller tells of each, with the customer's name and number.
func DefaultRules() []Rule {
	return []Rule{
		{
			Name: "redis_down", When: "redis_down > 0", For: 30 * time.Second, KeepFiringFor: time.Minute, Severity: Critical,
			// All that is measured in Redis; the journal is not.
			Inhibits: []string{"queue_length", "avg_processing_time", "retry_success_rate", "destination_paused", "breaker_open",
				"unexplained"},
			Texts: Texts{
				"ru": {"Redis не отвечает", "Заявки принимаются и лежат в журнале. Перезапустите Redis; доставка продолжится сама.",
					"Redis не отвечает. Перезапустите Redis, заявки целы"},
				"en": {"Redis does not answer", "Leads are still taken and kept in the journal. Restart Redis; delivery goes on by itself.",
					"Redis does not answer. Restart Redis; leads are safe"},
			},
		},
		{
			Name: "journal_unhealthy", When: "journal_unhealthy > 0", KeepFiringFor: time.Minute, Severity: Critical,
			Texts: Texts{
				"ru": {"Журнал не пишется: заявки не принимаются", "Проверьте место на диске и права на папку данных.",
					"Заявки не принимаются! Проверьте место на диске сервера"},
				"en": {"The journal cannot be written: no leads are taken", "Check the disk's free space and the rights of the data folder.",
					"No leads are taken! Check the disk space of the server"},
			},
		},
		{
			Name: "queue_length", When: "queue_length > 50", Clear: "queue_length < 40", // M-01
			Texts: Texts{
				"ru": {"В очереди {{.Labels.queue}} заявок: {{.Value}}", "Откройте консоль: если адресат отвечает, это наплыв и очередь разойдётся; если нет, смотрите его ошибки.",
					"Очередь {{.Labels.queue}}: {{.Value}}. Проверьте получателя"},
				"en": {"Queue {{.Labels.queue}} holds {{.Value}} leads", "Open the console: if the destination answers, this is a peak and will pass; if not, look at its errors.",
					"Queue {{.Labels.queue}}: {{.Value}}. Check its destination"},
			},
		},
		{
			Name: "avg_processing_time", When: "avg_processing_seconds > 10", Clear: "avg_processing_seconds < 8", // M-02
			Texts: Texts{
				"ru": {"Обработка в {{.Labels.queue}} идёт {{.Value}} с на заявку", "Проверьте скорость ответа адресата и сети.",
					"{{.Labels.queue}}: {{.Value}} с на заявку. Проверьте связь"},
				"en": {"{{.Labels.queue}} takes {{.Value}} s a lead", "Check how fast the destination and the network answer.",
					"{{.Labels.queue}}: {{.Value}} s a lead. Check the network"},
			},
		},
		{
			Name: "retry_success_rate", When: "retry_success_rate < 0.8", Clear: "retry_success_rate >= 0.85", // M-03
			Sample: "retries", MinSample: 20,
			Texts: Texts{
				"ru": {"Повторы в {{.Labels.destination}} удаются лишь в {{percent .Value}} случаев", "Смотрите последние ошибки в консоли: чаще всего это права, лимиты или неверные поля.",
					"{{.Labels.destination}}: повторы {{percent .Value}}. Смотрите ошибки"},
				"en": {"Only {{percent .Value}} of retries to {{.Labels.destination}} succeed", "Look at the last errors in the console: mostly rights, limits or wrong fields.",
					"{{.Labels.destination}}: {{percent .Value}} of retries work. See its errors"},
			},
		},
		{
			Name: "breaker_open", When: "breaker_open > 0", For: 2 * time.Minute, KeepFiringFor: time.Minute, Severity: Critical,
			Inhibits: []string{"queue_length", "avg_processing_time", "retry_success_rate", "destination_paused"},
			Texts: Texts{
				"ru": {"{{.Labels.destination}} не работает", "Заявки ждут и уйдут сами. Проверьте адресата; о ждущих дольше срока придёт отдельное сообщение.",
					"{{.Labels.destination}} не работает, заявки ждут. Проверьте"},
				"en": {"{{.Labels.destination}} does not work", "Leads wait and will go by themselves. Check the destination; those that wait too long are told apart.",
					"{{.Labels.destination}} does not work, leads wait. Check it"},
			},
		},
		{
			Name: "destination_paused", When: "destination_paused > 0", For: 5 * time.Minute,
			Texts: Texts{
				"ru": {"{{.Labels.destination}} на паузе", "Причина в консоли: лимит, права или ручная пауза. Снять: leadstream resume {{.Labels.destination}}",
					"{{.Labels.destination}} на паузе. Причина в консоли"},
				"en": {"{{.Labels.destination}} is paused", "The console says why: a limit, rights, or by hand. To end it: leadstream resume {{.Labels.destination}}",
					"{{.Labels.destination}} is paused. The console says why"},
			},
		},
		{
			Name: "unexplained", When: "unexplained > 0", For: 5 * time.Minute, Severity: Critical,
			Texts: Texts{
				"ru": {"Заявок с неизвестной судьбой: {{.Value}}", "Запустите leadstream report и сверьте журнал с CRM.",
					"Судьба неизвестна: {{.Value}}. Сверьте журнал с CRM"},
				"en": {"The fate of {{.Value}} leads is unknown", "Run leadstream report and compare the journal with the CRM.",
					"Fate of {{.Value}} leads unknown. Compare journal and CRM"},
			},
		},
		{
			Name: "mapping_errors", When: "mapping_errors > 0", KeepFiringFor: 10 * time.Minute,
			Texts: Texts{
				"ru": {"Источник {{.Labels.source}}: заявок с ошибкой полей {{.Value}}", "Заявки приняты. Поправьте карту полей источника в config.yaml.",
					"{{.Labels.source}}: ошибки полей. Поправьте карту полей"},
				"en": {"Source {{.Labels.source}}: {{.Value}} leads with field errors", "The leads were taken. Mend the source's field map in config.yaml.",
					"{{.Labels.source}}: field errors. Mend its field map"},
			},
		},
		{
			Name: "fetch_denied", When: "fetch_denied > 0", KeepFiringFor: 2 * time.Minute, Severity: Critical,
			Texts: Texts{
				"ru": {"Сервис источника {{.Labels.source}} не отдаёт заявки с форм и файлы", "Заявки ждут и не потеряны. Выпустите новый token с нужными правами, впишите его в источник и перезапустите; причина — в журнале демона.",
					"{{.Labels.source}}: token не принят. Выпустите новый"},
				"en": {"The service of source {{.Labels.source}} gives neither lead forms nor files", "The leads wait and are not lost. Make a new token with the rights it needs, put it into the source and restart; the daemon's log says why.",
					"{{.Labels.source}}: token refused. Make a new one"},
			},
		},
		{
			Name: "conflict", When: "key_conflicts > 0", KeepFiringFor: 10 * time.Minute,
			Texts: Texts{
				"ru": {"Источник {{.Labels.source}} шлёт разные заявки с одним ключом", "Заявки приняты как новые. Ключ должен быть своим у каждой: поправьте Idempotency-Key.",
					"{{.Labels.source}}: один ключ у разных заявок. Поправьте ключ"},
				"en": {"Source {{.Labels.source}} sends different leads with one key", "They were taken as new leads. Each needs a key of its own: mend the Idempotency-Key.",
					"{{.Labels.source}}: one key for different leads. Mend the key"},
			},
		},
		{
			Name: "channel_down", When: "channel_down > 0", For: 2 * time.Minute, KeepFiringFor: time.Minute, Severity: Critical,
			Texts: Texts{
				"ru": {"{{.Labels.source}} не приносит сообщений: " + choice("why", channelWhy["ru"]), "Сообщения ждут у сервиса, обычно сутки. leadstream channel try {{.Labels.source}} скажет, что исправить.",
					"{{.Labels.source}} не приносит сообщений ({{.Labels.why}}). Проверьте"},
				"en": {"{{.Labels.source}} brings no messages: " + choice("why", channelWhy["en"]), "They wait at the service, a day as a rule. leadstream channel try {{.Labels.source}} says what to mend.",
					"{{.Labels.source}} brings no messages ({{.Labels.why}}). Look at it"},
			},
		},
		{
			Name: "answers_down", When: "answers_down > 0", For: 2 * time.Minute, KeepFiringFor: time.Minute, Severity: Warning,
			Texts: Texts{
				"ru": {"Канал {{.Labels.channel}} не принимает сообщения клиентам", "Они уходят другими каналами или ждут. Причина — в журнале демона и в leadstream check.",
					"Канал {{.Labels.channel}} не принимает сообщения клиентам"},
				"en": {"The channel {{.Labels.channel}} takes no messages to customers", "They go by other channels, or wait. The daemon's log and leadstream check say why.",
					"{{.Labels.channel}} takes no messages to customers"},
			},
		},
		{
			Name: "answers_backup", When: "answers_backup > 0", KeepFiringFor: time.Minute, Severity: Warning,
			Texts: Texts{
				"ru": {"Канал {{.Labels.channel}} работает через запасной сервер", "Основной медленный или не отвечает. Обратно переключится само.",
					"{{.Labels.channel}}: работает запасной сервер"},
				"en": {"The channel {{.Labels.channel}} works by its backup server", "The main one is slow or does not answer. It is used again by itself.",
					"{{.Labels.channel}}: the backup server works"},
			},
		},
		{
			Name: "answers_failed", When: "answers_failed > 0", KeepFiringFor: 10 * time.Minute, Severity: Warning,
			Texts: Texts{
				"ru": {"Сообщений клиентам за час, что не дошли или могли не дойти: {{.Value}}", "Кому и почему: leadstream why. Свяжитесь с ними сами.",
					"Не дошло сообщений клиентам: {{.Value}}. Свяжитесь сами"},
				"en": {"Messages of the last hour that did not reach their customer, or may not have: {{.Value}}", "To whom and why: leadstream why. Get in touch with them yourself.",
					"Messages that reached no customer: {{.Value}}. Call them"},
			},
		},
		{
			Name: "channel_lost", When: "channel_lost > 0", KeepFiringFor: 10 * time.Minute, Severity: Critical,
			Texts: Texts{
				"ru": {"{{.Labels.source}}: часть сообщений клиентов могла пропасть: " + choice("why", lostWhy["ru"]), "Откройте диалоги в самом сервисе и проверьте, кто писал за время сбоя: его начало и конец — в журнале демона.",
					"{{.Labels.source}}: часть сообщений могла пропасть. Проверьте диалоги"},
				"en": {"{{.Labels.source}}: some messages of customers may be missing: " + choice("why", lostWhy["en"]), "Open the conversations at the service itself and see who wrote during the outage: the daemon's log says from when to when.",
					"{{.Labels.source}}: messages may be missing. See the conversations"},
			},
		},
		{
			Name: "hot_unanswered", When: "hot_unanswered > 0", Severity: Critical, BusinessHours: true, // A-14, P-03
			Texts: Texts{
				"ru": {"Горячая заявка ждёт ответа человека {{.Value}} мин{{with .Values.hot_unanswered_worth}}, на кону {{.}} {{$.Currency}}{{end}}",
					"Ответьте клиенту (заявка {{.Labels.lead}}, {{.Labels.channel}}): в чате, из CRM или по телефону." +
						"{{if gt .Values.hot_unanswered_count 1.0}} Всего ждут {{.Values.hot_unanswered_count}}, дольше всех {{.Values.hot_unanswered_longest}} мин" +
						"{{with .Values.hot_unanswered_sum}}, на кону {{.}} {{$.Currency}}{{end}}.{{end}}",
					"Горячие без ответа: {{.Values.hot_unanswered_count}}, {{.Values.hot_unanswered_longest}} мин{{with .Values.hot_unanswered_sum}}, {{.}} {{$.Currency}}{{end}}"},
				"en": {"A hot lead has waited {{.Value}} min for a person{{with .Values.hot_unanswered_worth}}, {{.}} {{$.Currency}} at stake{{end}}",
					"Answer the customer (lead {{.Labels.lead}}, {{.Labels.channel}}): in the chat, from the CRM, or by phone." +
						"{{if gt .Values.hot_unanswered_count 1.0}} {{.Values.hot_unanswered_count}} wait in all, the longest for {{.Values.hot_unanswered_longest}} min" +
						"{{with .Values.hot_unanswered_sum}}, {{.}} {{$.Currency}} at stake{{end}}.{{end}}",
					"Hot leads unanswered: {{.Values.hot_unanswered_count}}, {{.Values.hot_unanswered_longest}} min{{with .Values.hot_unanswered_sum}}, {{.}} {{$.Currency}} at stake{{end}}"},
			},
		},
		{
			Name: "first_answer_slow", When: "first_answers_in_30s < 0.99", KeepFiringFor: 5 * time.Minute, // P-03
			Sample: "first_answers", MinSample: 20,
			Texts: Texts{
				"ru": {"Автоматический ответ за 30 с получают лишь {{percent .Value}} клиентов", "leadstream status покажет, где ждут заявки: в очереди, в записях или у канала ответов.",
					"Автоответ за 30 с: {{percent .Value}}. Смотрите status"},
				"en": {"Only {{percent .Value}} of customers get an automatic answer within 30 s", "leadstream status shows where leads wait: in a queue, in the records, or at the channel of the answers.",
					"Answers within 30 s: {{percent .Value}}. See leadstream status"},
			},
		},
		{
			Name: "triage_accuracy", When: "triage_accuracy < 0.8", Clear: "triage_accuracy >= 0.83",
			Sample: "triage_judged", MinSample: 50,
			Texts: Texts{
				"ru": {"Триаж верно понимает лишь {{percent .Value}} сообщений", "Разметьте непонятые: leadstream triage label. Неверно понятую заявку исправляет leadstream triage correct; ваши фразы — triage.examples.",
					"Триаж понимает {{percent .Value}}. Разметьте: triage label"},
				"en": {"Triage understands only {{percent .Value}} of messages", "Label what it did not understand: leadstream triage label. Correct what it got wrong: leadstream triage correct; your own phrases: triage.examples.",
					"Triage understands {{percent .Value}}. Run: leadstream triage label"},
			},
		},
		{
			Name: "operator_asked", When: "operator_share > 0.15", Clear: "operator_share < 0.12",
			Sample: "conversations", MinSample: 20,
			Texts: Texts{
				"ru": {"{{percent .Value}} клиентов за сутки просят живого человека", "Прочтите их обращения в CRM: о чём спрашивают до этого, на то автоматика и не отвечает. Поправьте ответы или отдайте эти вопросы людям (triage.escalate).",
					"{{percent .Value}} клиентов просят человека. Прочтите обращения"},
				"en": {"{{percent .Value}} of the day's customers ask for a person", "Read their messages in the CRM: what they asked before is what automation does not answer. Mend the replies, or give these questions to people (triage.escalate).",
					"{{percent .Value}} of customers ask for a person. Read their messages"},
			},
		},
	}
}
