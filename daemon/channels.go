package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"leadstream/daemon/channel"
	"leadstream/daemon/intake"
	"leadstream/daemon/poll"
	"leadstream/processors/monitor"
)

type channelCmd struct {
	Add channelAddCmd `cmd:"" help:"Make a source of a messenger or an exchange, step by step.|Подключить мессенджер или АТС, по шагам." example:"leadstream channel add telegram --host https://leads.example.ru"`
	Try channelTryCmd `cmd:"" help:"Prove that the daemon takes what the service will send.|Проверить, что демон примет сообщения сервиса." example:"leadstream channel try telegram"`
}

// walk is what a person has to do for one kind of channel.
type walk struct {
	secret string // what to put into its secret; empty: we make it up
	verify string // the same of its verification
	ours   string // what stands in accounts; empty: nothing need
	there  string // what to do at the service; %[1]s is the address, %[2]s our secret, %[3]s our verification
	token  string // where the token comes from, of a service that can be asked
	asked  string // what to do at the service so that it can be asked
	client string // where client_id and client_secret come from, of a service that gives tokens for them
}

// walks are "English|Russian".
var walks = map[string]walk{
	"telegram": {there: `curl "https://api.telegram.org/bot$TOKEN/setWebhook" -d url=%[1]s -d secret_token=%[2]s   (TOKEN: @BotFather)` +
		`|curl "https://api.telegram.org/bot$TOKEN/setWebhook" -d url=%[1]s -d secret_token=%[2]s   (TOKEN даёт @BotFather)`,
		token: "@BotFather → /newbot|@BotFather → /newbot",
		asked: `Nothing. If the bot had a webhook: curl "https://api.telegram.org/bot$TOKEN/deleteWebhook"` +
			`|Ничего. Если у бота был вебхук: curl "https://api.telegram.org/bot$TOKEN/deleteWebhook"`},
	"vk": {verify: "the string that the server must return|строка, которую должен вернуть сервер", ours: "group_id",
		there: "Community: Manage → API usage → Callback API: enter the secret %[2]s and the address %[1]s, press Confirm, choose the events." +
			"|Сообщество: Управление → Работа с API → Callback API: введите секрет %[2]s и адрес %[1]s, нажмите «Подтвердить», отметьте события.",
		token: "Community: Manage → API usage → Access tokens: manage the community, messages|Сообщество: Управление → Работа с API → Ключи доступа: управление, сообщения",
		asked: "Community: Manage → API usage → Long Poll API: switch it on, version 5.199, tick incoming messages and what else is to come." +
			"|Сообщество: Управление → Работа с API → Long Poll API: включите, версия 5.199, отметьте входящие сообщения и нужное ещё."},
	"max": {there: `curl https://platform-api2.max.ru/subscriptions -H "Authorization: $TOKEN" -H 'Content-Type: application/json' -d '{"url":"%[1]s","secret":"%[2]s"}'` +
		`|curl https://platform-api2.max.ru/subscriptions -H "Authorization: $TOKEN" -H 'Content-Type: application/json' -d '{"url":"%[1]s","secret":"%[2]s"}'`,
		token: "business.max.ru → your bot → token|business.max.ru → ваш бот → токен",
		asked: `Nothing. If the bot had a webhook: curl -X DELETE "https://platform-api2.max.ru/subscriptions?url=ITS-ADDRESS" -H "Authorization: $TOKEN"` +
			`|Ничего. Если у бота был вебхук: curl -X DELETE "https://platform-api2.max.ru/subscriptions?url=ЕГО-АДРЕС" -H "Authorization: $TOKEN"`},
	"whatsapp": {secret: "App settings → Basic → App secret|Настройки приложения → Основное → Секрет приложения", ours: "phone number id",
		there: "developers.facebook.com → WhatsApp → Configuration: address %[1]s, verify token %[3]s, subscribe to messages." +
			"|developers.facebook.com → WhatsApp → Configuration: адрес %[1]s, маркер подтверждения %[3]s, подписка на messages.",
		token: "of a system user, with whatsapp_business_management; waba: WhatsApp → API setup|системного пользователя с правом whatsapp_business_management; waba: WhatsApp → Настройка API"},
	"meta": {secret: "App settings → Basic → App secret|Настройки приложения → Основное → Секрет приложения", ours: "page id",
		there: "developers.facebook.com → Webhooks: address %[1]s, verify token %[3]s, subscribe Page and Instagram to messages and leadgen." +
			"|developers.facebook.com → Webhooks: адрес %[1]s, маркер подтверждения %[3]s, подписка Page и Instagram на messages и leadgen.",
		token: "of a system user, with pages_manage_metadata, pages_messaging, instagram_manage_messages, leads_retrieval|системного пользователя с правами pages_manage_metadata, pages_messaging, instagram_manage_messages, leads_retrieval"},
	"avito": {ours: "your number at Avito|ваш номер в Авито", there: `curl https://api.avito.ru/messenger/v3/webhook -H "Authorization: Bearer $TOKEN" -d '{"url":"%[1]s"}'` +
		`|curl https://api.avito.ru/messenger/v3/webhook -H "Authorization: Bearer $TOKEN" -d '{"url":"%[1]s"}'`,
		client: "avito.ru: For business → Integrations → API|avito.ru: Для бизнеса → Интеграции → API"},
	"mango": {secret: "Integrations → API connector → salt|Интеграции → API коннектор → ключ для создания подписи", ours: "vpbx_api_key",
		there: "Integrations → API connector: address of the outer system %[1]s.|Интеграции → API коннектор: адрес внешней системы %[1]s."},
	"zadarma": {secret: "Settings → Integrations and API → secret|Настройки → Интеграции и API → Secret",
		there: "Notifications of the exchange: address %[1]s, tick NOTIFY_END.|Уведомления АТС: адрес %[1]s, отметьте NOTIFY_END."},
	"twilio": {secret: "Console → Auth token|Console → Auth token", there: "The number's status callback: %[1]s|Status callback номера: %[1]s"},
	"mail": {there: "Any program may send a message, as it came, to %[1]s (message/rfc822)." +
		"|Любая программа может слать письма, как они пришли, на %[1]s (message/rfc822)."},
	"uis": {there: "Notifications → add: event lost call, HTTP, POST, %[1]s, and the body that stands in README." +
		"|Уведомления → Добавить: событие «Потерянный звонок», HTTP, POST, %[1]s, тело запроса — в README."},
}

type channelAddCmd struct {
	Kind string `arg:"" help:"telegram, vk, max, whatsapp, meta, avito, mango, zadarma, twilio, uis or mail.|telegram, vk, max, whatsapp, meta, avito, mango, zadarma, twilio, uis или mail."`
	Name string `placeholder:"NAME" help:"Of the source in config.yaml; default: its kind.|Имя источника в config.yaml; по умолчанию вид."`
	Host string `default:"https://your-host" placeholder:"URL" help:"Under which the daemon is reached from outside.|Адрес демона снаружи."`
	Poll bool   `help:"Ask the service instead of waiting for it: no public address is needed (telegram, vk, max).|Спрашивать сервис самим, без публичного адреса (telegram, vk, max)."`

	Mailbox string `placeholder:"ADDRESS" help:"mail: read this mailbox by IMAP.|mail: читать этот ящик по IMAP."`
}

var sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)

func (cmd channelAddCmd) Run(t *terminal) error {
	w, ok := walks[cmd.Kind]
	if !ok {
		return usageError{fmt.Errorf(t.say("%s is no channel; write one of %s", "%s — не канал; напишите один из: %s"), cmd.Kind, strings.Join(slices.Sorted(maps.Keys(walks)), ", "))}
	}
	if cmd.Name == "" {
		cmd.Name = cmd.Kind
	}
	host, err := url.Parse(cmd.Host)
	if err != nil || host.Scheme != "https" || host.Host == "" || !sourceName.MatchString(cmd.Name) {
		return usageError{errors.New(t.say("--host is https://…, --name small letters and digits", "--host — это https://…, --name — строчные латинские буквы и цифры"))}
	}
	if cmd.Poll {
		return cmd.polled(t, w)
	}
	if cmd.Mailbox != "" {
		return cmd.mailbox(t)
	}
	address := strings.TrimSuffix(cmd.Host, "/") + "/in/" + cmd.Name
	env := strings.ToUpper(strings.ReplaceAll(cmd.Name, "-", "_"))
	missing := channel.Missing(cmd.Kind, channel.Config{})
	var secret, verify, key string
	var lines, block []string
	// value is what stands in the environment: made up here, or to be taken from the service.
	value := func(name, from string) string {
		made := ""
		if from == "" {
			made = rand.Text()
		}
		if lines = append(lines, env+name+"="+made); from != "" {
			lines[len(lines)-1] += "   # " + t.side(from)
		}
		return made
	}
	if _, needs := missing["secrets"]; needs {
		secret = value("_SECRET", w.secret)
		block = append(block, fmt.Sprintf(`secrets: ["${env:%s_SECRET}"]`, env))
	}
	if _, needs := missing["verification"]; needs {
		verify = value("_VERIFICATION", w.verify)
		block = append(block, fmt.Sprintf(`verification: "${env:%s_VERIFICATION}"`, env))
	}
	if channel.Open(cmd.Kind) {
		key = intake.NewKey(cmd.Name)
		block = append(block, fmt.Sprintf("keys: [%q]", intake.KeyHash(key)))
		address += "/" + key
	}
	if _, needs := missing["url"]; needs {
		block = append(block, fmt.Sprintf("url: %q", address))
	}
	if w.token != "" { // with it the daemon looks whether the service still sends, and has it send again
		block = append(block, fmt.Sprintf(`#token: "${env:%s_TOKEN}"   # `, env)+t.say("and url: looks after the subscription; ", "вместе с url: следит за подпиской; ")+t.side(w.token), fmt.Sprintf("#url: %q", address))
	}
	if cmd.Kind == "whatsapp" {
		block = append(block, `#waba: ""`)
	}
	if w.client != "" { // the same, and what the webhook did not bring is fetched
		block = append(block, fmt.Sprintf(`#client_id: "${env:%s_CLIENT_ID}"   # `, env)+t.say("with these three the daemon registers the address itself; ", "с этими тремя строками демон зарегистрирует адрес сам; ")+t.side(w.client),
			fmt.Sprintf(`#client_secret: "${env:%s_CLIENT_SECRET}"`, env), fmt.Sprintf("#url: %q", address))
	}
	if w.ours != "" {
		block = append(block, `#accounts: [""]   # `+t.side(w.ours))
	}
	say := t.steps()
	if len(lines) > 0 {
		say("Put into the daemon's environment; what is made up here is shown only now:", "Добавьте в окружение демона; придуманное здесь показано только сейчас:", lines...)
	}
	say("Add to config.yaml, under sources:", "Добавьте в config.yaml, в sources:", append([]string{cmd.Name + ":", "  preset: " + cmd.Kind}, indented(block)...)...)
	say("Restart the daemon, and try it, then from outside:", "Перезапустите демон и проверьте, затем снаружи:", cmd.trials(key)...)
	if cmd.Kind == "mail" {
		say("Write the key into a file that the mail server's user may read, and into its aliases:", "Запишите ключ в файл, доступный пользователю почтового сервера, и добавьте в aliases:",
			"echo "+key+" > /etc/leadstream/"+cmd.Name+".key", fmt.Sprintf(`leads: "|leadstream mail --source %s --key-file /etc/leadstream/%[1]s.key"`, cmd.Name),
			t.say("A mailbox at a provider instead: leadstream channel add mail --mailbox leads@your-domain.com", "Или ящик у провайдера: leadstream channel add mail --mailbox leads@ваш-домен.ru"))
	}
	say("At the service:", "В сервисе:", strings.NewReplacer("%[1]s", address, "%[2]s", secret, "%[3]s", verify).Replace(t.side(w.there)))
	return nil
}

// steps says what to do, step by step.
func (t *terminal) steps() func(en, ru string, what ...string) {
	step := 0
	return func(en, ru string, what ...string) {
		step++
		fmt.Fprintf(t.out, "%d. %s\n", step, t.say(en, ru))
		for _, line := range what {
			fmt.Fprintln(t.out, "    "+line)
		}
	}
}

// polled says how to make a source that is asked.
func (cmd channelAddCmd) polled(t *terminal, w walk) error {
	if !channel.Asked(cmd.Kind) {
		return usageError{fmt.Errorf(t.say("%s cannot be asked: leave --poll out", "%s нельзя спрашивать: уберите --poll"), cmd.Kind)}
	}
	env := strings.ToUpper(strings.ReplaceAll(cmd.Name, "-", "_")) + "_TOKEN"
	say := t.steps()
	say("Put into the daemon's environment:", "Добавьте в окружение демона:", env+"=   # "+t.side(w.token))
	say("Add to config.yaml, under sources:", "Добавьте в config.yaml, в sources:",
		cmd.Name+":", "  preset: "+cmd.Kind, "  poll: true", fmt.Sprintf(`  token: "${env:%s}"`, env))
	say("At the service:", "В сервисе:", t.side(w.asked))
	say("Try it, then restart the daemon and write to the bot:", "Проверьте, затем перезапустите демон и напишите боту:", "leadstream channel try "+cmd.Name)
	return nil
}

func indented(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = "  " + line
	}
	return out
}

func (cmd channelAddCmd) trials(key string) []string {
	try := "leadstream channel try " + cmd.Name
	if key != "" {
		try += " --key " + key
	}
	return []string{try, try + " --host " + cmd.Host}
}

type channelTryCmd struct {
	Name string `arg:"" help:"Of the source in config.yaml.|Имя источника в config.yaml."`
	Host string `placeholder:"URL" help:"Go by this address, as the service will; default: listen of config.yaml.|Через этот адрес, как сервис; по умолчанию listen из config.yaml."`
	Key  string `env:"LEADSTREAM_KEY" help:"The source's key, where its address holds one.|Ключ источника, если он стоит в адресе."`
}

// Run sends what proves itself as the service's and tells nothing.
func (cmd channelTryCmd) Run(t *terminal) error {
	cfg, err := t.loadConfig()
	if err != nil {
		return err
	}
	s, ok := cfg.Sources[cmd.Name]
	if !ok || !channel.Known(s.Preset) {
		return usageError{fmt.Errorf(t.say("config.yaml has no channel %s among its sources", "в config.yaml среди sources нет канала %s"), cmd.Name)}
	}
	if s.Poll {
		return cmd.ask(t, s)
	}
	if cmd.Host == "" {
		cmd.Host = "http://" + cfg.Listen
	}
	address := strings.TrimSuffix(cmd.Host, "/") + "/in/" + cmd.Name
	if cmd.Key != "" {
		address += "/" + url.PathEscape(cmd.Key)
	}
	if s.Mail.Reads() {
		if err := tryMailbox(t, cmd.Name, *s.Mail); err != nil || len(s.Keys) == 0 {
			return err
		}
	}
	trial := channel.Trial(s.Preset, channel.Config{Secrets: s.Secrets, Accounts: s.Accounts, Verification: s.Verification, URL: s.URL})
	req, err := http.NewRequestWithContext(t, http.MethodPost, address, strings.NewReader(trial.Body))
	if err != nil {
		return usageError{errors.New(t.say("--host is no address", "--host — не адрес"))} // err would show the key
	}
	req.Header.Set("Content-Type", trial.ContentType)
	if trial.Header[0] != "" {
		req.Header.Set(trial.Header[0], trial.Header[1])
	}
	client := http.Client{Timeout: 15 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // without the address, which may hold a key
		}
		return fmt.Errorf(t.say("nobody answers at %s: %w", "по адресу %s никто не отвечает: %w"), cmd.Host, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	switch {
	case err != nil:
		return fmt.Errorf(t.say("the answer was cut off: %w", "ответ оборвался: %w"), err)
	case res.StatusCode == http.StatusUnauthorized:
		return errors.New(t.say("refused: the daemon knows another secret or key; restart it after a change of config.yaml",
			"отказ: демон знает другой секрет или ключ; после правки config.yaml перезапустите его"))
	case res.StatusCode != http.StatusOK || string(body) != intake.Thanks(cmp.Or(s.Answer, channel.Answer(s.Preset))):
		return fmt.Errorf(t.say("the answer is not the daemon's: code %d, %d bytes; what stands before it changes answers or hides it",
			"ответ не от демона: код %d, байт: %d; прокси меняет ответы или закрывает адрес"), res.StatusCode, len(body))
	}
	if err := cmd.watched(t, s); err != nil {
		return err
	}
	fmt.Fprintf(t.out, t.say("ok: %s takes what %s sends, by %s\n", "ok: источник %s примет сообщения %s, адрес %s\n"), cmd.Name, s.Preset, cmd.Host)
	return nil
}

// watched shows that the service knows the token, where there is one to look after the subscription with.
func (cmd channelTryCmd) watched(t *terminal, s intake.Source) error {
	if !poll.Watched(s) {
		return nil
	}
	return cmd.ask(t, s)
}

// ask shows that the service knows the token and lets itself be asked. It takes no message: that is the daemon's to do.
func (cmd channelTryCmd) ask(t *terminal, s intake.Source) error {
	ctx, cancel := context.WithTimeout(t, 15*time.Second)
	defer cancel()
	account, err := poll.Try(ctx, s, version())
	if err != nil {
		why := cmp.Or(monitor.ChannelWhy(string(t.lang), poll.Why(err)), err.Error())
		return fmt.Errorf(t.say("%s cannot be asked: %s (%w)", "%s нельзя спросить: %s (%w)"), cmd.Name, why, err)
	}
	if !s.Poll {
		fmt.Fprintf(t.out, t.say("ok: the subscription of %s is looked after with the token of %s %s\n", "ok: за подпиской %s следит токен %s, номер бота или группы %s\n"), cmd.Name, s.Preset, account)
		return nil
	}
	fmt.Fprintf(t.out, t.say("ok: %s is asked with the token of %s %s; write to it, and the message becomes a lead\n",
		"ok: источник %s спрашивает %s, номер бота или группы %s; напишите туда — сообщение станет заявкой\n"), cmd.Name, s.Preset, account)
	return nil
}
