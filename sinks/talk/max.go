package talk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"leadstream/sinks"
	"leadstream/sinks/httpx"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// max writes to customers as the bot to which they have written (dev.max.ru/docs-api). Texts go without a format, so there is
// nothing to escape. MAX knows no keys; after a lost answer the dialog is looked through for the text, where its number is known.
func maxKind() Kind {
	return Kind{
		Settings: func() any { return &MaxSettings{BaseURL: "https://platform-api2.max.ru"} },
		Open: func(settings any, env sinks.Env) (outbound.Channel, error) {
			s := *settings.(*MaxSettings)
			client, err := openHTTP(env, s.BaseURL, s.Token, "token: is missing; copy the bot's from its page at MAX for partners",
				httpx.Options{CAFile: s.CAFile, Proxy: s.Proxy, AllowPrivate: s.AllowPrivate})
			s.BaseURL = strings.TrimRight(s.BaseURL, "/")
			return &maxBot{set: s, http: client, dialogs: map[string]maxDialog{}}, err
		},
		Channel: "max", Address: User,
		Rate: streams.Rate{PerSecond: 20, Burst: 5}, // of 30, which the bot's other calls share
		Pair: time.Second, Tells: outbound.Sent,
	}
}

// MaxSettings are the keys of a max channel.
type MaxSettings struct {
	Token        string `koanf:"token"` // of the bot that customers write to
	BaseURL      string `koanf:"base_url"`
	AllowPrivate bool   `koanf:"allow_private"`
	CAFile       string `koanf:"ca_file"` // of the authority that MAX is certified by
	Proxy        string `koanf:"proxy"`
}

type maxBot struct {
	set   MaxSettings
	http  *httpx.Client
	parts sinks.Parts
	slow  atomic.Int32 // 429 in a row

	mu      sync.Mutex
	dialogs map[string]maxDialog // by user
}

// maxDialog is what the answer to an earlier message has told of a user's dialog.
type maxDialog struct {
	chat int64
	last int64 // number of that message: later ones have greater ones
}

// MAX's limits of a message and its buttons.
const (
	maxUnits   = 4000
	maxLabel   = 128
	maxPayload = 1024 // bytes
	maxButtons = 30   // rows of one
)

type maxMessage struct {
	Recipient struct {
		Chat int64 `json:"chat_id"`
	} `json:"recipient"`
	Sender struct {
		ID  int64 `json:"user_id"`
		Bot bool  `json:"is_bot"`
	} `json:"sender"`
	Body struct {
		ID   string `json:"mid"`
		Seq  int64  `json:"seq"`
		Text string `json:"text"`
	} `json:"body"`
}

// Send sends the text, in parts when it is long; the buttons are under the last.
func (m *maxBot) Send(ctx context.Context, to string, w outbound.Words) outbound.Tried {
	keyboard, fits := maxKeyboard(w.Buttons)
	text := w.Text
	if !fits {
		text = written(w)
	}
	parts := sinks.SplitText(sinks.Clean(text), maxUnits)
	if len(parts) == 0 {
		return empty("max")
	}
	var tried outbound.Tried
	m.parts.Each(w.ID, len(parts), func(i int) streams.Verdict {
		body := map[string]any{"text": parts[i], "notify": !w.Silent && i == 0}
		if i == len(parts)-1 && keyboard != nil {
			body["attachments"] = []any{keyboard}
		}
		tried = m.part(ctx, to, body)
		if tried.Result == streams.Ambiguous {
			if mid := m.look(ctx, to, parts[i]); mid != "" {
				tried = outbound.Tried{Verdict: streams.Verdict{Remote: mid}}
			}
		}
		return tried.Verdict
	})
	return tried
}

func (m *maxBot) part(ctx context.Context, to string, message any) outbound.Tried {
	body, err := json.Marshal(message)
	if err != nil {
		return outbound.Tried{Verdict: streams.Verdict{Result: streams.Permanent, Err: errors.New("max: the message does not become JSON")}}
	}
	a, err := m.http.Do(ctx, httpx.Request{URL: m.set.BaseURL + "/messages?disable_link_preview=true&user_id=" + url.QueryEscape(to),
		Header: m.header(), Body: body})
	if err != nil || !a.OK() {
		return m.refused(a, err)
	}
	m.slow.Store(0)
	var sent struct {
		Message maxMessage `json:"message"`
	}
	if err = a.JSON(&sent); err != nil {
		err = fmt.Errorf("max: %w", err)
	} else if sent.Message.Body.ID == "" {
		err = errors.New("max: the answer names no message")
	}
	if err != nil {
		return outbound.Tried{Verdict: httpx.Verdict(a, err, false)}
	}
	m.remember(to, maxDialog{sent.Message.Recipient.Chat, sent.Message.Body.Seq})
	return outbound.Tried{Verdict: streams.Verdict{Remote: sent.Message.Body.ID}}
}

func (m *maxBot) header() http.Header {
	return http.Header{"Authorization": {m.set.Token}, "Content-Type": {"application/json"}}
}

func (m *maxBot) remember(user string, d maxDialog) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.dialogs) >= 10000 {
		clear(m.dialogs)
	}
	m.dialogs[user] = d
}

// look is the mid of a message whose answer was lost: one of this text behind the last that we know. Empty: it is not there, or
// nobody knows.
func (m *maxBot) look(ctx context.Context, user, text string) string {
	m.mu.Lock()
	d := m.dialogs[user]
	m.mu.Unlock()
	if d.chat == 0 || d.last == 0 {
		return ""
	}
	t := time.NewTimer(time.Second) // for what is still being done
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ""
	case <-t.C:
	}
	var said struct {
		Messages []maxMessage `json:"messages"`
	}
	a, err := m.http.Do(ctx, httpx.Request{URL: m.set.BaseURL + "/messages?count=20&chat_id=" + strconv.FormatInt(d.chat, 10), Header: m.header(), Safe: true})
	if err != nil || !a.OK() || a.JSON(&said) != nil {
		return ""
	}
	for _, one := range said.Messages {
		ours := one.Sender.Bot || strconv.FormatInt(one.Sender.ID, 10) != user
		if ours && one.Body.Text == text && one.Body.Seq > d.last {
			m.remember(user, maxDialog{d.chat, one.Body.Seq})
			return one.Body.ID
		}
	}
	return ""
}

// Check asks whether the token is good.
func (m *maxBot) Check(ctx context.Context) error {
	a, err := m.http.Do(ctx, httpx.Request{URL: m.set.BaseURL + "/me", Header: m.header(), Safe: true})
	if err != nil || !a.OK() {
		return m.refused(a, err).Err
	}
	var me struct {
		ID int64 `json:"user_id"`
	}
	if a.JSON(&me) != nil || me.ID == 0 {
		return errors.New("max: base_url: no MAX answers there")
	}
	return nil
}

// maxErrors are MAX's answers by status and the beginning of the code, the first that fits. What is not MAX's own JSON came
// from something between, and is judged by the rules of HTTP.
var maxErrors = []struct {
	status int
	code   string
	refusal
}{
	{400, "attachment.not.ready", refusal{streams.Wait, 2 * time.Second, "", "", "a file is not ready yet"}},
	{400, "", refusal{streams.Permanent, 0, "", "", "the message is refused: its text or its buttons"}},
	{401, "", refusal{streams.Pause, aPerson, "", "", "the token is refused: put the bot's present token into token"}},
	{403, "", refusal{streams.Permanent, 0, "", outbound.RouteDead, "the person has stopped the bot, or the bot may not write there"}},
	{404, "chat.", refusal{streams.Permanent, 0, "", outbound.RouteDead, "there is no such chat"}},
	{404, "dialog.", refusal{streams.Permanent, 0, "", outbound.RouteDead, "there is no such dialog: the person must write first"}},
	{404, "user.", refusal{streams.Permanent, 0, "", outbound.RouteDead, "there is no such person"}},
	{404, "", refusal{streams.Pause, aPerson, "", "", "base_url is wrong: MAX has no such method there"}},
	{405, "", refusal{streams.Permanent, 0, "", "", "the method is refused"}},
	{429, "", refusal{streams.Pause, time.Second, "", "", "too many messages"}},
}

func (m *maxBot) refused(a httpx.Answer, err error) outbound.Tried {
	var broken *httpx.Error
	if errors.As(err, &broken) && strings.Contains(broken.Error(), "unknown authority") {
		return outbound.Tried{Verdict: streams.Verdict{Result: streams.Pause, After: aPerson, Code: "certificate",
			Err: errors.New("max: the certificate's authority is not trusted: give the PEM of the Russian Trusted Root CA in ca_file")}}
	}
	var answer struct {
		Code string `json:"code"`
	}
	if err != nil || a.JSON(&answer) != nil || answer.Code == "" && a.Status != http.StatusTooManyRequests {
		return outbound.Tried{Verdict: httpx.Verdict(a, err, false)}
	}
	for _, e := range maxErrors {
		if e.status != a.Status || !strings.HasPrefix(answer.Code, e.code) {
			continue
		}
		tried := e.tried("max", strconv.Itoa(a.Status))
		if a.Status == http.StatusTooManyRequests {
			tried.After = cmp.Or(a.RetryAfter, time.Second<<min(m.slow.Add(1)-1, 6))
		}
		return tried
	}
	v := httpx.Verdict(a, nil, false)
	if v.Err == nil {
		v.Result, v.Err = streams.Permanent, fmt.Errorf("max: answered HTTP %d", a.Status)
	}
	return outbound.Tried{Verdict: v}
}

// maxKeyboard is a row for each button; fits is false when MAX would refuse one of them.
func maxKeyboard(buttons []outbound.Button) (keyboard any, fits bool) {
	type button struct {
		Type    string `json:"type"`
		Text    string `json:"text"`
		URL     string `json:"url,omitempty"`
		Payload string `json:"payload,omitempty"`
	}
	var rows [][]button
	for _, b := range buttons {
		one := button{Type: "callback", Text: sinks.Line(b.Text, 1000), Payload: said(b)}
		if b.URL != "" {
			one = button{Type: "link", Text: one.Text, URL: b.URL}
		}
		if one.Text == "" || len([]rune(one.Text)) > maxLabel || len(one.Payload) > maxPayload || len(rows) == maxButtons {
			return nil, false
		}
		rows = append(rows, []button{one})
	}
	if len(rows) == 0 {
		return nil, true
	}
	return map[string]any{"type": "inline_keyboard", "payload": map[string]any{"buttons": rows}}, true
}
