package poll

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"leadstream/daemon/intake"
	"leadstream/sinks/httpx"
)

// telegram is the Bot API (core.telegram.org/bots/api#getting-updates). Its cursor is the offset that confirms what has been
// read, and empty once it has done so: the service itself remembers what was confirmed, and numbers may begin anew, so that an
// old offset would say nothing.
type telegram struct {
	api   *api
	base  string
	token string

	address, secret string // of our webhook, where one is to be set
}

func newTelegram(s intake.Source, a *api) service {
	t := &telegram{api: a, base: strings.TrimRight(cmp.Or(s.BaseURL, "https://api.telegram.org"), "/"), token: s.Token, address: s.URL}
	if len(s.Secrets) > 0 {
		t.secret = s.Secrets[0]
	}
	return t
}

// telegramKinds are the updates that are read, and edits, which whoever else reads the bot's settings expects.
var telegramKinds = []string{"message", "edited_message", "callback_query", "my_chat_member", "business_connection", "business_message", "edited_business_message"}

// telegramAnswer is every answer of the Bot API.
type telegramAnswer struct {
	OK          bool            `json:"ok"`
	Result      json.RawMessage `json:"result"`
	Code        int             `json:"error_code"`
	Description string          `json:"description"`
	Parameters  struct {
		RetryAfter int64 `json:"retry_after"`
	} `json:"parameters"`
}

func (t *telegram) call(ctx context.Context, method string, args any, limit time.Duration) (json.RawMessage, error) {
	var a telegramAnswer
	status, err := t.api.ask(ctx, httpx.Request{URL: t.base + "/bot" + t.token + "/" + method, Body: body(args), Timeout: limit,
		Header: http.Header{"Content-Type": {"application/json"}}}, &a)
	later := time.Duration(min(max(a.Parameters.RetryAfter, 0), 3600)) * time.Second
	if err != nil {
		if t := asTrouble(err); later > t.wait {
			t.wait = later
		}
		return nil, err
	}
	if a.OK && status == http.StatusOK {
		return a.Result, nil
	}
	why := &trouble{why: whyUnreachable, wait: later, err: fmt.Errorf("%s: status %d", method, status)}
	switch {
	case status == http.StatusUnauthorized, status == http.StatusNotFound, status == http.StatusForbidden:
		why.why, why.wait = whyToken, parkedToken
	case status == http.StatusConflict && strings.Contains(a.Description, "webhook"):
		why.why, why.wait = whyWebhook, parkedOther
	case status == http.StatusConflict:
		why.why = whyPoller
	}
	return nil, why
}

func (t *telegram) account(ctx context.Context) (string, error) {
	raw, err := t.call(ctx, "getMe", struct{}{}, 0)
	if err != nil {
		return "", err
	}
	var me struct {
		ID int64 `json:"id"`
	}
	if err := json.Unmarshal(raw, &me); err != nil || me.ID == 0 {
		return "", &trouble{why: whyUnreadable, err: errors.New("getMe names no bot")}
	}
	return strconv.FormatInt(me.ID, 10), nil
}

// telegramHook is what Telegram says of a webhook.
type telegramHook struct {
	URL     string `json:"url"`
	Pending int    `json:"pending_update_count"`
	ErrorAt int64  `json:"last_error_date"`
}

func (t *telegram) hook(ctx context.Context) (h telegramHook, err error) {
	raw, err := t.call(ctx, "getWebhookInfo", struct{}{}, 0)
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(raw, &h); err != nil {
		return h, &trouble{why: whyUnreadable, err: errors.New("getWebhookInfo: not what it should be")}
	}
	return h, nil
}

func (t *telegram) free(ctx context.Context) error {
	h, err := t.hook(ctx)
	if err == nil && h.URL != "" {
		return &trouble{why: whyWebhook, err: errors.New("a webhook is set")}
	}
	return err
}

// look needs no memory of what was missed: Telegram keeps what its webhook could not bring for 24 hours, and sends it to an address
// that is set again.
func (t *telegram) look(ctx context.Context, _ past, _ func([][]byte) error) (sight, error) {
	h, err := t.hook(ctx)
	if err != nil {
		return sight{}, err
	}
	switch {
	case h.URL == t.address:
		if ago := time.Since(time.Unix(h.ErrorAt, 0)); h.Pending > 0 && h.ErrorAt > 0 && ago < 2*watchEvery {
			return sight{pending: h.Pending}, &trouble{why: whyFailing, err: fmt.Errorf("%d updates wait: Telegram does not get through", h.Pending)}
		}
		return sight{pending: h.Pending}, nil
	case h.URL != "":
		return sight{pending: h.Pending}, &trouble{why: whyElsewhere, err: errors.New("the webhook is set to another address; if that is nobody's, deleteWebhook, and ours is set")}
	}
	args := map[string]any{"url": t.address, "secret_token": t.secret, "allowed_updates": telegramKinds}
	if _, err := t.call(ctx, "setWebhook", args, 0); err != nil {
		if t := asTrouble(err); t.why == whyUnreachable {
			t.why = whyGone
		}
		return sight{pending: h.Pending}, err
	}
	return sight{again: true, pending: h.Pending}, nil
}

func (t *telegram) next(ctx context.Context, cursor string, most int, wait time.Duration) (answer, error) {
	args := map[string]any{"limit": most, "timeout": int(wait / time.Second), "allowed_updates": telegramKinds}
	if offset, err := strconv.ParseInt(cursor, 10, 64); err == nil {
		args["offset"] = offset
	}
	raw, err := t.call(ctx, "getUpdates", args, wait+call)
	if err != nil {
		if a, ok := stepOver(asTrouble(err).raw); ok && most == 1 {
			return a, nil
		}
		return answer{}, err
	}
	return telegramUpdates(raw)
}

var numbered = regexp.MustCompile(`^\s*\{\s*"ok"\s*:\s*true\b(?s:.*?)"update_id"\s*:\s*(\d{1,18})\b`)

// stepOver makes the event of an answer that is no JSON and holds one update: asked for again it would be no better, and no
// message to the bot would ever come past it. Whoever reads it keeps it raw.
func stepOver(body []byte) (answer, bool) {
	m := numbered.FindSubmatch(body)
	if m == nil {
		return answer{}, false
	}
	id, err := strconv.ParseInt(string(m[1]), 10, 64)
	return answer{events: [][]byte{body}, cursor: strconv.FormatInt(id+1, 10)}, err == nil
}

// telegramUpdates takes a list of updates apart. The cursor is behind the last of them that has a number.
func telegramUpdates(raw []byte) (answer, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return answer{}, &trouble{why: whyUnreadable, err: errors.New("getUpdates: no list of updates")}
	}
	var a answer
	for _, update := range list {
		var u struct {
			ID int64 `json:"update_id"`
		}
		a.events = append(a.events, update)
		if json.Unmarshal(update, &u) == nil && u.ID > 0 {
			a.cursor = strconv.FormatInt(u.ID+1, 10)
		}
	}
	return a, nil
}
