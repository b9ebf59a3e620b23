package talk

import (
	"context"
	"fmt"
	"sync"
	"time"

	"leadstream/sinks"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// telegram writes to customers as the bot to which they have written. Texts go without markup, so there is nothing to escape.
// The Bot API knows no keys and tells no bot what it has said: a lost answer stays Ambiguous.
func telegramKind() Kind {
	return Kind{
		Settings: func() any { return &TelegramSettings{BaseURL: "https://api.telegram.org"} },
		Open: func(settings any, env sinks.Env) (outbound.Channel, error) {
			s := settings.(*TelegramSettings)
			bot, err := sinks.NewTelegramBot(sinks.TelegramServer{
				Token: s.Token, BaseURL: s.BaseURL, CAFile: s.CAFile, Proxy: s.Proxy, AllowPrivate: s.AllowPrivate}, env)
			return &telegram{bot: bot, now: time.Now}, err
		},
		Channel: "telegram", Address: User,
		Rate: streams.Rate{PerSecond: 25, Burst: 5}, // of about 30, which the bot's other messages share
		Pair: time.Second, Tells: outbound.Sent,
	}
}

// TelegramSettings are the keys of a telegram channel.
type TelegramSettings struct {
	Token        string `koanf:"token"`    // of the bot that customers write to
	BaseURL      string `koanf:"base_url"` // of a Bot API server of one's own
	AllowPrivate bool   `koanf:"allow_private"`
	CAFile       string `koanf:"ca_file"`
	Proxy        string `koanf:"proxy"`
}

type telegram struct {
	bot   *sinks.TelegramBot
	parts sinks.Parts
	now   func() time.Time

	mu      sync.Mutex
	refused string    // the chat that last had too many messages,
	until   time.Time // and how long it has to wait
}

// Most bytes of a button's data, and most buttons of a message.
const (
	telegramData    = 64
	telegramButtons = 100
)

// Send sends the text, in parts when it is long; the buttons are under the last.
func (t *telegram) Send(ctx context.Context, to string, w outbound.Words) outbound.Tried {
	keyboard, fits := telegramKeyboard(w.Buttons)
	text := w.Text
	if !fits {
		text = written(w)
	}
	parts := sinks.SplitText(sinks.Clean(text), sinks.TelegramUnits)
	if len(parts) == 0 {
		return empty("telegram")
	}
	var tried outbound.Tried
	t.parts.Each(w.ID, len(parts), func(i int) streams.Verdict {
		m := sinks.TelegramMessage{Text: parts[i], Silent: w.Silent || i > 0}
		if i == len(parts)-1 {
			m.Keyboard = keyboard
		}
		tried = t.bot.Say(ctx, to, m).Tried
		return tried.Verdict
	})
	if tried.Result == streams.Pause && tried.Code == "429" {
		tried.Scope = t.scope(to, tried.After)
	}
	return tried
}

// scope is what a 429 means, which does not say whether the chat has had too much or the bot has said too much: when another
// chat is refused while the first one waits, it is the bot.
func (t *telegram) scope(chat string, after time.Duration) streams.Scope {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	whole := t.refused != "" && t.refused != chat && now.Before(t.until)
	t.refused, t.until = chat, now.Add(after)
	if whole {
		return ""
	}
	return streams.ScopeKey
}

// Check asks whether the token is good.
func (t *telegram) Check(ctx context.Context) error {
	if err := t.bot.Ask(ctx, "getMe", nil); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	return nil
}

// telegramKeyboard is a row for each button; fits is false when Telegram would refuse one of them.
func telegramKeyboard(buttons []outbound.Button) (keyboard any, fits bool) {
	type button struct {
		Text string `json:"text"`
		URL  string `json:"url,omitempty"`
		Data string `json:"callback_data,omitempty"`
	}
	var rows [][]button
	for _, b := range buttons {
		one := button{Text: sinks.Line(b.Text, 200), URL: b.URL}
		if one.URL == "" {
			one.Data = said(b)
		}
		if one.Text == "" || len(one.Data) > telegramData || len(rows) == telegramButtons {
			return nil, false
		}
		rows = append(rows, []button{one})
	}
	if len(rows) == 0 {
		return nil, true
	}
	return map[string]any{"inline_keyboard": rows}, true
}
