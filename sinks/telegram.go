package sinks

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

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
	set   TelegramSettings
	env   Env
	log   zerolog.Logger
	bot   *TelegramBot
	moved atomic.Pointer[string] // the chat's new number, once Telegram has named one
	parts Parts
}

func openTelegram(s TelegramSettings, env Env) (Sink, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	bot, err := NewTelegramBot(TelegramServer{s.Token, s.BaseURL, s.CAFile, s.Proxy, s.AllowPrivate}, env)
	if err != nil {
		return nil, err
	}
	return &telegram{set: s, env: env, log: env.Log, bot: bot}, nil
}

var chatForm = regexp.MustCompile(`^(-?[0-9]{1,19}|@[A-Za-z][A-Za-z0-9_]{3,})$`)

func (s TelegramSettings) check() error {
	faults := []error{TelegramServer{Token: s.Token, BaseURL: s.BaseURL}.check()}
	if !chatForm.MatchString(s.Chat) {
		faults = append(faults, errors.New("chat: is not a chat's number or @channel; write to the bot and read the number in getUpdates"))
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
	parts := SplitText(Clean(m.Whole()), TelegramUnits)
	if len(parts) == 0 {
		return streams.Verdict{Result: streams.Permanent, Code: "empty", Err: errors.New("telegram: the message has no text")}
	}
	return t.parts.Each(m.ID, len(parts), func(i int) streams.Verdict {
		call := TelegramMessage{
			Thread: t.set.Thread, Silent: !m.Urgent, Protect: t.set.Protect, Text: parts[i], Markup: true, Bold: i == 0 && m.Subject != "",
		}
		if i == len(parts)-1 {
			call.Keyboard = keyboard
		}
		said := t.bot.Say(ctx, t.chat(), call)
		if said.Moved != "" {
			t.moved.Store(&said.Moved)
			t.log.Warn().Str("queue", t.env.Name).Str("chat", said.Moved).Msg("the group has become a supergroup: put its new number into chat")
		}
		return said.Verdict
	})
}

func (t *telegram) chat() string {
	if to := t.moved.Load(); to != nil {
		return *to
	}
	return t.set.Chat
}

// Parts is how far messages of several parts have come while they may be tried again. The zero value is ready. Forgetting, by
// a restart or beyond a thousand messages, costs a repeated part, no more.
type Parts struct {
	mu   sync.Mutex
	sent map[string]int
}

// Each sends the parts of the message id that no earlier call has sent, in order, until one is not Done. Its verdict is the
// last one's.
func (p *Parts) Each(id string, n int, send func(i int) streams.Verdict) (v streams.Verdict) {
	p.mu.Lock()
	from := p.sent[id]
	p.mu.Unlock()
	for i := from; i < n; i++ {
		if v = send(i); v.Result != streams.Done {
			p.remember(id, i, v.Result)
			return v
		}
	}
	p.remember(id, n, streams.Done)
	return v
}

func (p *Parts) remember(id string, sent int, r streams.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id == "" || sent == 0 || r == streams.Done || r == streams.Permanent {
		delete(p.sent, id)
		return
	}
	if len(p.sent) >= 1000 {
		clear(p.sent)
	}
	if p.sent == nil {
		p.sent = map[string]int{}
	}
	p.sent[id] = sent
}

// Check asks whether the token is good and the bot can see the chat.
func (t *telegram) Check(ctx context.Context) error {
	if err := t.bot.Ask(ctx, "getMe", nil); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	if err := t.bot.Ask(ctx, "getChat", map[string]any{"chat_id": chatID(t.chat())}); err != nil {
		return fmt.Errorf("chat: %w", err)
	}
	return nil
}
