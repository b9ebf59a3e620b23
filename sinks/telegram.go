package sinks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"leadstream/sinks/httpx"
	"leadstream/streams"
)

// Telegram tells people about leads, and whatever else they must know, through a bot in one chat. The Bot API has
// neither idempotency keys nor a history that bots can read, so it is Blind; a second copy of a notice, which carries
// the lead's number, harms less than none, so the default is to retry.
var Telegram = Kind{
	Settings: func() any {
		return &TelegramSettings{BaseURL: "https://api.telegram.org"}
	},
	Open:        func(settings any, env Env) (Sink, error) { return openTelegram(*settings.(*TelegramSettings), env) },
	Class:       Blind,
	OnAmbiguous: "retry",
	Policy:      streams.MessagePolicy,
	Human:       true,
}

// TelegramSettings are the keys of a telegram destination.
type TelegramSettings struct {
	Token        string           `koanf:"token"`    // from @BotFather
	Chat         string           `koanf:"chat"`     // a person's or group's number (groups are negative), or @channel
	Thread       int64            `koanf:"thread"`   // topic of a forum group; 0: none
	BaseURL      string           `koanf:"base_url"` // of a Bot API server of one's own
	Buttons      []TelegramButton `koanf:"buttons"`  // under a lead notice, a row each
	Protect      bool             `koanf:"protect"`  // forbids forwarding and saving
	AllowPrivate bool             `koanf:"allow_private"`
	CAFile       string           `koanf:"ca_file"`
	Proxy        string           `koanf:"proxy"`
}

// TelegramButton opens a page or calls the bot back. "{id}" in URL or Data stands for the lead's id.
type TelegramButton struct {
	Text string `koanf:"text"`
	URL  string `koanf:"url"`
	Data string `koanf:"data"` // at most 64 bytes with the id
}

type telegram struct {
	set     TelegramSettings
	env     Env
	log     zerolog.Logger
	http    *httpx.Client
	moved   atomic.Pointer[string] // the chat's new number, once Telegram has named one
	partsMu sync.Mutex
	parts   map[string]int // parts already sent of messages that were not finished
}

// Telegram answers late under load; giving up early would make ambiguous what was about to succeed.
const telegramTimeout = 40 * time.Second

func openTelegram(s TelegramSettings, env Env) (Sink, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	s.BaseURL = strings.TrimRight(s.BaseURL, "/")
	client, err := httpx.New(httpx.Options{
		Timeout: cmp.Or(env.Timeout, telegramTimeout), CAFile: s.CAFile, Proxy: s.Proxy, AllowPrivate: s.AllowPrivate,
		UserAgent: "leadstream/" + env.Version, Secrets: []string{s.Token},
	})
	if err != nil {
		return nil, err
	}
	return &telegram{set: s, env: env, log: env.Log, http: client, parts: map[string]int{}}, nil
}

var (
	tokenForm = regexp.MustCompile(`^[0-9]{3,}:[A-Za-z0-9_-]{10,}$`)
	chatForm  = regexp.MustCompile(`^(-?[0-9]{1,19}|@[A-Za-z][A-Za-z0-9_]{3,})$`)
)

func (s TelegramSettings) check() error {
	var faults []error
	if !tokenForm.MatchString(s.Token) {
		faults = append(faults, errors.New("token: is not a bot token; take the one that @BotFather gives, such as 123456:ABC…"))
	}
	if !chatForm.MatchString(s.Chat) {
		faults = append(faults, errors.New("chat: is not a chat's number or @channel; write to the bot and read the number in getUpdates"))
	}
	if u, err := url.Parse(s.BaseURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		faults = append(faults, errors.New("base_url: is not a URL; leave it out, or write http(s)://host[:port] of your Bot API server"))
	}
	for i, b := range s.Buttons {
		if b.Text == "" || (b.URL == "") == (b.Data == "") {
			faults = append(faults, fmt.Errorf("buttons: number %d needs text and one of url and data", i+1))
		}
		if len(strings.ReplaceAll(b.Data, "{id}", strings.Repeat("x", 26))) > 64 {
			faults = append(faults, fmt.Errorf("buttons: data of number %d is longer than Telegram's 64 bytes with a lead's id; shorten it", i+1))
		}
	}
	return errors.Join(faults...)
}

// Deliver sends a notice of each lead.
func (t *telegram) Deliver(ctx context.Context, batch []Delivery) []streams.Verdict {
	verdicts := make([]streams.Verdict, len(batch))
	for i, d := range batch {
		verdicts[i] = t.send(ctx, LeadMessage(d, t.env), t.keyboard(d.Lead.ID))
	}
	return verdicts
}

// Send sends a message, in parts when it is long.
func (t *telegram) Send(ctx context.Context, m Message) streams.Verdict { return t.send(ctx, m, nil) }

// send goes on behind the parts that an earlier try has sent, so that a 429 in the middle does not repeat the beginning.
func (t *telegram) send(ctx context.Context, m Message, keyboard any) streams.Verdict {
	parts := splitText(Clean(m.Whole()), telegramUnits)
	if len(parts) == 0 {
		return streams.Verdict{Result: streams.Permanent, Code: "empty", Err: errors.New("telegram: the message has no text")}
	}
	var v streams.Verdict
	for i := t.sentParts(m.ID); i < len(parts); i++ {
		call := telegramMessage{
			Thread: t.set.Thread, Silent: !m.Urgent, Protect: t.set.Protect,
			Preview: linkPreview{Disabled: true}, text: parts[i], bold: i == 0 && m.Subject != "",
		}
		if i == len(parts)-1 {
			call.Keyboard = keyboard
		}
		if v = t.sendPart(ctx, call); v.Result != streams.Done {
			t.remember(m.ID, i, v.Result)
			return v
		}
	}
	t.remember(m.ID, len(parts), streams.Done)
	return v
}

// sendPart makes the one repeat that each of two answers asks for: the chat has a new number, our markup is refused.
func (t *telegram) sendPart(ctx context.Context, call telegramMessage) streams.Verdict {
	for plain, moved := false, false; ; {
		answer, v := t.call(ctx, call.body(t.chat(), plain))
		switch {
		case answer.Parameters.MigrateTo != 0 && !moved:
			moved = true
			to := strconv.FormatInt(answer.Parameters.MigrateTo, 10)
			t.moved.Store(&to)
			t.log.Warn().Str("queue", t.env.Name).Str("chat", to).Msg("the group has become a supergroup: put its new number into chat")
		case answer.Code == 400 && strings.Contains(answer.Description, "can't parse entities") && !plain:
			plain = true
		default:
			return v
		}
	}
}

func (t *telegram) chat() string {
	if to := t.moved.Load(); to != nil {
		return *to
	}
	return t.set.Chat
}

func (t *telegram) sentParts(id string) int {
	t.partsMu.Lock()
	defer t.partsMu.Unlock()
	return t.parts[id]
}

// remember keeps how far a message came while it may be tried again. Forgetting, by a restart or beyond a thousand
// messages, costs a repeated part, no more.
func (t *telegram) remember(id string, sent int, r streams.Result) {
	t.partsMu.Lock()
	defer t.partsMu.Unlock()
	if id == "" || sent == 0 || r == streams.Done || r == streams.Permanent {
		delete(t.parts, id)
		return
	}
	if len(t.parts) >= 1000 {
		clear(t.parts)
	}
	t.parts[id] = sent
}

// Check asks whether the token is good and the bot can see the chat.
func (t *telegram) Check(ctx context.Context) error {
	if _, err := t.ask(ctx, "getMe", nil); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	if _, err := t.ask(ctx, "getChat", map[string]any{"chat_id": chatID(t.chat())}); err != nil {
		return fmt.Errorf("chat: %w", err)
	}
	return nil
}

func (t *telegram) url(method string) string {
	return t.set.BaseURL + "/bot" + t.set.Token + "/" + method
}
