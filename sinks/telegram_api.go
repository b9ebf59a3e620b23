package sinks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"leadstream/sinks/httpx"
	"leadstream/streams"
)

// telegramUnits is the longest text of one message, in UTF-16 units, as Telegram counts after reading the markup.
const telegramUnits = 4096

type telegramMessage struct {
	Chat     any         `json:"chat_id"`
	Thread   int64       `json:"message_thread_id,omitempty"`
	Text     string      `json:"text"`
	Mode     string      `json:"parse_mode,omitempty"`
	Preview  linkPreview `json:"link_preview_options"`
	Silent   bool        `json:"disable_notification,omitempty"`
	Protect  bool        `json:"protect_content,omitempty"`
	Keyboard any         `json:"reply_markup,omitempty"`

	text string // before markup
	bold bool   // the first line
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
func (m telegramMessage) body(chat string, plain bool) telegramMessage {
	m.Chat, m.Text = chatID(chat), m.text
	if plain {
		return m
	}
	m.Mode = "HTML"
	first, rest, more := strings.Cut(m.text, "\n")
	if !m.bold {
		m.Text = telegramEscape.Replace(m.text)
		return m
	}
	m.Text = "<b>" + telegramEscape.Replace(first) + "</b>"
	if more {
		m.Text += "\n" + telegramEscape.Replace(rest)
	}
	return m
}

var telegramEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// chatID is a number where it is one: group ids do not fit a double, so it never passes through one.
func chatID(chat string) any {
	if n, err := strconv.ParseInt(chat, 10, 64); err == nil {
		return n
	}
	return chat
}

func (t *telegram) call(ctx context.Context, m telegramMessage) (telegramAnswer, streams.Verdict) {
	body, err := json.Marshal(m)
	if err != nil {
		return telegramAnswer{}, streams.Verdict{Result: streams.Permanent, Err: errors.New("telegram: the message does not become JSON")}
	}
	a, err := t.http.Do(ctx, httpx.Request{URL: t.url("sendMessage"), Header: jsonHeader(), Body: body})
	var answer telegramAnswer
	if err == nil {
		err = a.JSON(&answer)
	}
	return answer, telegramVerdict(a, answer, err)
}

func (t *telegram) ask(ctx context.Context, method string, args map[string]any) (telegramAnswer, error) {
	body, err := json.Marshal(args)
	if err != nil {
		return telegramAnswer{}, err
	}
	a, err := t.http.Do(ctx, httpx.Request{URL: t.url(method), Header: jsonHeader(), Body: body, Safe: true})
	var answer telegramAnswer
	if err == nil {
		err = a.JSON(&answer)
	}
	if err == nil && answer.OK {
		return answer, nil
	}
	if v := telegramVerdict(a, answer, err); v.Err != nil {
		return answer, v.Err
	}
	return answer, fmt.Errorf("telegram: %s answered something else than ok", method)
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

// telegramRefusals are the answers that have a cure of their own, by code and a phrase of the description. The
// description itself is never shown: for our formatting it quotes the customer's text.
var telegramRefusals = []struct {
	code   int
	phrase string
	result streams.Result
	say    string
}{
	{400, "chat not found", streams.Permanent, "the chat is not found: correct chat, or let the person write /start to the bot first"},
	{400, "not enough rights", streams.Permanent, "the bot may not write in the chat: give it the right"},
	{400, "have no rights to send", streams.Permanent, "the bot may not write in the chat: give it the right"},
	{400, "topic_closed", streams.Permanent, "the topic is closed: open it or change thread"},
	{400, "message thread not found", streams.Permanent, "the topic does not exist: correct thread"},
	{400, "can't parse entities", streams.Permanent, "the text's markup is refused"},
	{400, "message is too long", streams.Permanent, "the text is too long"},
	{400, "message text is empty", streams.Permanent, "the text is empty"},
	{400, "button_data_invalid", streams.Permanent, "a button's data is refused: shorten data in buttons"},
	{400, "button_url_invalid", streams.Permanent, "a button's address is refused: correct url in buttons"},
	{400, "reply markup is too long", streams.Permanent, "there are too many buttons: take some out"},
	{400, "upgraded to a supergroup", streams.Permanent, "the group has become a supergroup: put its new number into chat"},
	{401, "", streams.Pause, "the token is refused: put the bot's present token into token"},
	{403, "blocked by the user", streams.Permanent, "the person has blocked the bot: they must unblock it, or change chat"},
	{403, "user is deactivated", streams.Permanent, "the person's account is gone: change chat"},
	{403, "kicked", streams.Permanent, "the bot was removed from the chat: add it again"},
	{403, "not a member", streams.Permanent, "the bot is not in the chat: add it"},
	{403, "group chat was deleted", streams.Permanent, "the group was deleted: change chat"},
	{403, "can't initiate conversation", streams.Permanent, "the person must write /start to the bot first"},
	{403, "", streams.Permanent, "the bot may not write to the chat: look at its rights there"},
	{404, "", streams.Pause, "the token or base_url is wrong: Telegram knows no such bot"},
	{409, "", streams.Retry, "another request of the bot is in the way"},
	{413, "", streams.Permanent, "the message is too large"},
}

// telegramVerdict goes by error_code and parameters; only a refusal is told from another one by its description. What
// is not the Bot API's own JSON came from something between, and is judged by the rules of HTTP.
func telegramVerdict(a httpx.Answer, answer telegramAnswer, err error) streams.Verdict {
	if err != nil {
		return httpx.Verdict(a, fmtErr("telegram: ", err), false)
	}
	code := cmp.Or(answer.Code, a.Status)
	v := streams.Verdict{Code: strconv.Itoa(code)}
	switch {
	case answer.OK && a.OK() && answer.Result.MessageID != 0:
		return streams.Verdict{Remote: strconv.FormatInt(answer.Result.MessageID, 10)}
	case answer.OK || a.OK() && answer.Code == 0:
		return httpx.Verdict(a, errors.New("telegram: the answer names no message"), false)
	case code == http.StatusTooManyRequests:
		// The whole destination waits: all its messages go to the chat, or through the bot, that has had too much.
		v.Result, v.After, v.Err = streams.Pause, telegramWait(a, answer), errors.New("telegram: too many messages")
		return v
	}
	for _, r := range telegramRefusals {
		if r.code == code && strings.Contains(strings.ToLower(answer.Description), r.phrase) {
			v.Result, v.Err = r.result, errors.New("telegram: "+r.say)
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

// splitText cuts text into parts of at most so many UTF-16 units, at a line's end where one is near, else at a blank,
// never inside a character.
func splitText(text string, most int) []string {
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
