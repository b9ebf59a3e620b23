package sinks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"leadstream/sinks/httpx"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// TelegramUnits is the longest text of one message, in UTF-16 units, as Telegram counts after reading the markup.
const TelegramUnits = 4096

// Telegram answers late under load; giving up early would make ambiguous what was about to succeed.
const telegramTimeout = 40 * time.Second

// TelegramServer says where a bot is spoken for. It is common to those who tell people of leads and those who write to customers.
type TelegramServer struct {
	Token        string // from @BotFather
	BaseURL      string // https://api.telegram.org, or a Bot API server of one's own
	CAFile       string
	Proxy        string
	AllowPrivate bool
}

var tokenForm = regexp.MustCompile(`^[0-9]{3,}:[A-Za-z0-9_-]{10,}$`)

func (s TelegramServer) check() error {
	var faults []error
	if !tokenForm.MatchString(s.Token) {
		faults = append(faults, errors.New("token: is not a bot token; take the one that @BotFather gives, such as 123456:ABC…"))
	}
	if u, err := url.Parse(s.BaseURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		faults = append(faults, errors.New("base_url: is not a URL; leave it out, or write http(s)://host[:port] of your Bot API server"))
	}
	return errors.Join(faults...)
}

// TelegramBot calls the Bot API for one bot. It is safe for concurrent use.
type TelegramBot struct {
	base string
	http *httpx.Client
}

// NewTelegramBot does no I/O. Its error names the keys and the cure.
func NewTelegramBot(s TelegramServer, env Env) (*TelegramBot, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	client, err := httpx.New(httpx.Options{
		Timeout: cmp.Or(env.Timeout, telegramTimeout), CAFile: s.CAFile, Proxy: s.Proxy, AllowPrivate: s.AllowPrivate,
		UserAgent: "leadstream/" + env.Version, Secrets: []string{s.Token},
	})
	return &TelegramBot{strings.TrimRight(s.BaseURL, "/") + "/bot" + s.Token + "/", client}, err
}

// TelegramMessage is one message, of at most TelegramUnits.
type TelegramMessage struct {
	Text     string // without markup
	Markup   bool   // send it as HTML: only needed for Bold
	Bold     bool   // the first line
	Thread   int64
	Silent   bool
	Protect  bool
	Keyboard any // reply_markup
}

// TelegramSaid is what became of one message.
type TelegramSaid struct {
	outbound.Tried
	Moved string // the chat's new number, if it has become a supergroup
}

type telegramCall struct {
	Chat     any         `json:"chat_id"`
	Thread   int64       `json:"message_thread_id,omitempty"`
	Text     string      `json:"text"`
	Mode     string      `json:"parse_mode,omitempty"`
	Preview  linkPreview `json:"link_preview_options"`
	Silent   bool        `json:"disable_notification,omitempty"`
	Protect  bool        `json:"protect_content,omitempty"`
	Keyboard any         `json:"reply_markup,omitempty"`
}

type linkPreview struct {
	Disabled bool `json:"is_disabled"`
}

type telegramAnswer struct {
	OK          bool   `json:"ok"`
	Code        int    `json:"error_code"`
	Description string `json:"description"`
	Parameters  struct {
		RetryAfter float64 `json:"retry_after"`
		MigrateTo  int64   `json:"migrate_to_chat_id"`
	} `json:"parameters"`
	Result struct {
		MessageID int64 `json:"message_id"`
	} `json:"result"`
}

// body formats a part that has been split as plain text, so that no tag is ever cut.
func (m TelegramMessage) body(chat string, plain bool) telegramCall {
	call := telegramCall{Chat: chatID(chat), Text: m.Text, Preview: linkPreview{Disabled: true}, Thread: m.Thread, Silent: m.Silent,
		Protect: m.Protect, Keyboard: m.Keyboard}
	if plain || !m.Markup {
		return call
	}
	call.Mode = "HTML"
	first, rest, more := strings.Cut(m.Text, "\n")
	if !m.Bold {
		call.Text = telegramEscape.Replace(m.Text)
		return call
	}
	call.Text = "<b>" + telegramEscape.Replace(first) + "</b>"
	if more {
		call.Text += "\n" + telegramEscape.Replace(rest)
	}
	return call
}

var telegramEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// chatID is a number where it is one: group ids do not fit a double, so it never passes through one.
func chatID(chat string) any {
	if n, err := strconv.ParseInt(chat, 10, 64); err == nil {
		return n
	}
	return chat
}

// Say sends one message, and makes the one repeat that each of two answers asks for: the chat has a new number, our markup is
// refused.
func (b *TelegramBot) Say(ctx context.Context, chat string, m TelegramMessage) (said TelegramSaid) {
	for plain := false; ; {
		answer, tried := b.send(ctx, m.body(chat, plain))
		said.Tried = tried
		switch {
		case answer.Parameters.MigrateTo != 0 && said.Moved == "":
			chat = strconv.FormatInt(answer.Parameters.MigrateTo, 10)
			said.Moved = chat
		case answer.Code == 400 && strings.Contains(answer.Description, "can't parse entities") && !plain:
			plain = true
		default:
			return said
		}
	}
}

func (b *TelegramBot) send(ctx context.Context, m telegramCall) (telegramAnswer, outbound.Tried) {
	body, err := json.Marshal(m)
	if err != nil {
		return telegramAnswer{}, outbound.Tried{Verdict: streams.Verdict{Result: streams.Permanent, Err: errors.New("telegram: the message does not become JSON")}}
	}
	a, err := b.http.Do(ctx, httpx.Request{URL: b.base + "sendMessage", Header: jsonHeader(), Body: body})
	var answer telegramAnswer
	if err == nil {
		err = a.JSON(&answer)
	}
	return answer, telegramVerdict(a, answer, err)
}

// Ask calls a method that reads.
func (b *TelegramBot) Ask(ctx context.Context, method string, args map[string]any) error {
	body, err := json.Marshal(args)
	if err != nil {
		return err
	}
	a, err := b.http.Do(ctx, httpx.Request{URL: b.base + method, Header: jsonHeader(), Body: body, Safe: true})
	var answer telegramAnswer
	if err == nil {
		err = a.JSON(&answer)
	}
	if err == nil && answer.OK {
		return nil
	}
	if v := telegramVerdict(a, answer, err); v.Err != nil {
		return v.Err
	}
	return fmt.Errorf("telegram: %s answered something else than ok", method)
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

// telegramRefusals are the answers that have a cure of their own, by code and a phrase of the description. The
// description itself is never shown: for our formatting it quotes the customer's text.
var telegramRefusals = []struct {
	code   int
	phrase string
	result streams.Result
	means  outbound.Means // where the chat is a customer's
	say    string
}{
	{400, "chat not found", streams.Permanent, outbound.RouteDead, "the chat is not found: correct chat, or let the person write /start to the bot first"},
	{400, "not enough rights", streams.Permanent, outbound.RouteDead, "the bot may not write in the chat: give it the right"},
	{400, "have no rights to send", streams.Permanent, outbound.RouteDead, "the bot may not write in the chat: give it the right"},
	{400, "topic_closed", streams.Permanent, "", "the topic is closed: open it or change thread"},
	{400, "message thread not found", streams.Permanent, "", "the topic does not exist: correct thread"},
	{400, "can't parse entities", streams.Permanent, "", "the text's markup is refused"},
	{400, "message is too long", streams.Permanent, "", "the text is too long"},
	{400, "message text is empty", streams.Permanent, "", "the text is empty"},
	{400, "button_data_invalid", streams.Permanent, "", "a button's data is refused: shorten data in buttons"},
	{400, "button_url_invalid", streams.Permanent, "", "a button's address is refused: correct url in buttons"},
	{400, "reply markup is too long", streams.Permanent, "", "there are too many buttons: take some out"},
	{400, "upgraded to a supergroup", streams.Permanent, "", "the group has become a supergroup: put its new number into chat"},
	{401, "", streams.Pause, "", "the token is refused: put the bot's present token into token"},
	{403, "blocked by the user", streams.Permanent, outbound.RouteDead, "the person has blocked the bot: they must unblock it, or change chat"},
	{403, "user is deactivated", streams.Permanent, outbound.RouteDead, "the person's account is gone: change chat"},
	{403, "kicked", streams.Permanent, outbound.RouteDead, "the bot was removed from the chat: add it again"},
	{403, "not a member", streams.Permanent, outbound.RouteDead, "the bot is not in the chat: add it"},
	{403, "group chat was deleted", streams.Permanent, outbound.RouteDead, "the group was deleted: change chat"},
	{403, "can't initiate conversation", streams.Permanent, outbound.RouteDead, "the person must write /start to the bot first"},
	{403, "", streams.Permanent, outbound.RouteDead, "the bot may not write to the chat: look at its rights there"},
	{404, "", streams.Pause, "", "the token or base_url is wrong: Telegram knows no such bot"},
	{409, "", streams.Retry, "", "another request of the bot is in the way"},
	{413, "", streams.Permanent, "", "the message is too large"},
}

// telegramVerdict goes by error_code and parameters; only a refusal is told from another one by its description. What
// is not the Bot API's own JSON came from something between, and is judged by the rules of HTTP.
func telegramVerdict(a httpx.Answer, answer telegramAnswer, err error) outbound.Tried {
	if err != nil {
		return outbound.Tried{Verdict: httpx.Verdict(a, fmtErr("telegram: ", err), false)}
	}
	code := cmp.Or(answer.Code, a.Status)
	v := outbound.Tried{Verdict: streams.Verdict{Code: strconv.Itoa(code)}}
	switch {
	case answer.OK && a.OK() && answer.Result.MessageID != 0:
		return outbound.Tried{Verdict: streams.Verdict{Remote: strconv.FormatInt(answer.Result.MessageID, 10)}}
	case answer.OK || a.OK() && answer.Code == 0:
		return outbound.Tried{Verdict: httpx.Verdict(a, errors.New("telegram: the answer names no message"), false)}
	case code == http.StatusTooManyRequests:
		// The whole destination waits: all its messages go to the chat, or through the bot, that has had too much.
		v.Result, v.After, v.Err = streams.Pause, telegramWait(a, answer), errors.New("telegram: too many messages")
		return v
	}
	for _, r := range telegramRefusals {
		if r.code == code && strings.Contains(strings.ToLower(answer.Description), r.phrase) {
			v.Result, v.Means, v.Err = r.result, r.means, errors.New("telegram: "+r.say)
			if v.Result == streams.Pause {
				v.After = 5 * time.Minute
			}
			return v
		}
	}
	if code < 500 {
		v.Result, v.Err = streams.Permanent, fmt.Errorf("telegram: refused with code %d", code)
		return v
	}
	v.Result, v.Fault, v.Err = streams.Ambiguous, true, fmt.Errorf("telegram: answered code %d", code)
	return v
}

// telegramWait is exactly what Telegram asks, within a day.
func telegramWait(a httpx.Answer, answer telegramAnswer) time.Duration {
	if s := answer.Parameters.RetryAfter; s > 0 {
		return time.Duration(min(s, 86400) * float64(time.Second))
	}
	if a.Asked {
		return a.RetryAfter
	}
	return 5 * time.Second
}

// fmtErr says who speaks. httpx errors keep what they know of sent and not sent, so they stay as they are.
func fmtErr(who string, err error) error {
	var broken *httpx.Error
	if errors.As(err, &broken) {
		return err
	}
	return fmt.Errorf("%s%w", who, err)
}

func (t *telegram) keyboard(id string) any {
	if len(t.set.Buttons) == 0 {
		return nil
	}
	type button struct {
		Text string `json:"text"`
		URL  string `json:"url,omitempty"`
		Data string `json:"callback_data,omitempty"`
	}
	rows := [][]button{}
	for _, b := range t.set.Buttons {
		fill := func(s string) string { return strings.ReplaceAll(s, "{id}", id) }
		rows = append(rows, []button{{Text: b.Text, URL: fill(b.URL), Data: fill(b.Data)}})
	}
	return map[string]any{"inline_keyboard": rows}
}

// SplitText cuts text into parts of at most so many UTF-16 units, at a line's end where one is near, else at a blank,
// never inside a character.
func SplitText(text string, most int) []string {
	var parts []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		end := fits(text, most)
		if end < len(text) {
			if at := strings.LastIndexByte(text[:end], '\n'); at > end/2 {
				end = at
			} else if at := strings.LastIndexByte(text[:end], ' '); at > end/2 {
				end = at
			}
		}
		parts = append(parts, strings.TrimSpace(text[:end]))
		text = text[end:]
	}
	return parts
}

// fits is the length in bytes of the longest beginning of text with at most so many UTF-16 units.
func fits(text string, most int) int {
	units := 0
	for i, r := range text {
		if units += utf16.RuneLen(r); units > most {
			return i
		}
	}
	return len(text)
}
