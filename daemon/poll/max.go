package poll

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadstream/daemon/intake"
	"leadstream/sinks/httpx"
)

// maxService is the MAX Bot API (dev.max.ru/docs-api). Its cursor is the marker, which confirms what lies before it; without one
// MAX may tell the latest update alone, so it is noted.
type maxService struct {
	api             *api
	base            string
	token           string
	address, secret string // of our subscription

	asked bool // whether there is a subscription
}

func newMax(s intake.Source, a *api) service {
	m := &maxService{api: a, base: strings.TrimRight(cmp.Or(s.BaseURL, "https://platform-api2.max.ru"), "/"), token: s.Token, address: s.URL}
	if len(s.Secrets) > 0 {
		m.secret = s.Secrets[0]
	}
	return m
}

// maxPace keeps below MAX's two calls a second of GET /updates.
const maxPace = 600 * time.Millisecond

func (m *maxService) call(ctx context.Context, method, path string, args url.Values, sent []byte, limit time.Duration, out any) error {
	var a struct {
		Code string `json:"code"`
	}
	var raw json.RawMessage
	r := httpx.Request{Method: method, URL: m.base + path, Body: sent, Timeout: limit, Header: http.Header{"Authorization": {m.token}}}
	if len(args) > 0 {
		r.URL += "?" + args.Encode()
	}
	if sent != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	status, err := m.api.ask(ctx, r, &raw)
	if err != nil {
		return err
	}
	if status == http.StatusOK {
		if err := json.Unmarshal(raw, out); err != nil {
			return &trouble{why: whyUnreadable, err: fmt.Errorf("%s %s: the answer is not what it should be", method, path)}
		}
		return nil
	}
	_ = json.Unmarshal(raw, &a) // an error without its code is one all the same
	t := &trouble{why: whyUnreachable, err: fmt.Errorf("%s %s: status %d", method, path, status)}
	switch {
	case path == maxMessages && (status == http.StatusForbidden || status == http.StatusNotFound) && !strings.HasPrefix(a.Code, "verify"):
		t.err = fmt.Errorf("%w: status %d", errClosed, status) // the customer has stopped the bot
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		t.why, t.wait = whyToken, parkedToken
	case status == http.StatusConflict, strings.Contains(a.Code, "webhook"), strings.Contains(a.Code, "subscription"):
		t.why, t.wait = whyWebhook, parkedOther
	}
	t.refused = status == http.StatusBadRequest
	return t
}

func (m *maxService) account(ctx context.Context) (string, error) {
	var me struct {
		ID int64 `json:"user_id"`
	}
	if err := m.call(ctx, http.MethodGet, "/me", nil, nil, 0, &me); err != nil {
		return "", err
	}
	if me.ID == 0 {
		return "", &trouble{why: whyUnreadable, err: errors.New("GET /me names no bot")}
	}
	return strconv.FormatInt(me.ID, 10), nil
}

// subscribed are the addresses that MAX sends to.
func (m *maxService) subscribed(ctx context.Context) (addresses []string, err error) {
	var list struct {
		Subscriptions []struct {
			URL string `json:"url"`
		} `json:"subscriptions"`
	}
	if err := m.call(ctx, http.MethodGet, "/subscriptions", nil, nil, 0, &list); err != nil {
		return nil, err
	}
	for _, s := range list.Subscriptions {
		addresses = append(addresses, s.URL)
	}
	return addresses, nil
}

// free is asked for at the beginning too: with a subscription MAX may answer that there is nothing, for ever.
func (m *maxService) free(ctx context.Context) error {
	addresses, err := m.subscribed(ctx)
	if err == nil && len(addresses) > 0 {
		return &trouble{why: whyWebhook, wait: parkedOther, err: errors.New("a webhook is subscribed")}
	}
	return err
}

func (m *maxService) next(ctx context.Context, cursor string, most int, wait time.Duration) (answer, error) {
	if !m.asked {
		if err := m.free(ctx); err != nil {
			return answer{}, err
		}
		m.asked = true
	}
	return m.updates(ctx, cursor, most, wait)
}

func (m *maxService) updates(ctx context.Context, cursor string, most int, wait time.Duration) (answer, error) {
	if err := m.api.pace(ctx, "updates", maxPace); err != nil {
		return answer{}, err
	}
	args := url.Values{"limit": {strconv.Itoa(most)}, "timeout": {strconv.Itoa(int(wait / time.Second))}}
	if cursor != "" {
		args.Set("marker", cursor)
	}
	var got maxUpdates
	if err := m.call(ctx, http.MethodGet, "/updates", args, nil, wait+call, &got); err != nil {
		return answer{}, err
	}
	return got.answer(cursor)
}

type maxUpdates struct {
	Updates []json.RawMessage `json:"updates"`
	Marker  *int64            `json:"marker"`
}

// answer goes on from the marker, and from where it was without one.
func (u *maxUpdates) answer(cursor string) (answer, error) {
	a := answer{cursor: cursor}
	if u.Updates == nil {
		return a, &trouble{why: whyUnreadable, err: errors.New("GET /updates: no list of updates")}
	}
	if u.Marker != nil {
		a.cursor = strconv.FormatInt(*u.Marker, 10)
	}
	for _, update := range u.Updates {
		a.events = append(a.events, update)
	}
	return a, nil
}

// look subscribes again where MAX has taken the subscription away, as it does after eight hours of failures, without a word.
// Before, it asks for what waits: as long as nothing is subscribed, it may.
func (m *maxService) look(ctx context.Context, before past, keep func([][]byte) error) (sight, error) {
	now := sight{cursor: before.cursor}
	addresses, err := m.subscribed(ctx)
	if err != nil {
		return now, err
	}
	for _, a := range addresses {
		if a == m.address {
			if before.broken && !before.fine.IsZero() && time.Since(before.fine) > maxTries {
				now.lost = "MAX tries a message for eight hours: what people wrote before who had never written is not in any conversation that is known here"
			}
			return now, nil
		}
	}
	if len(addresses) > 0 {
		return now, &trouble{why: whyElsewhere, err: errors.New("the bot is subscribed to another address; if that is nobody's, DELETE it, and ours is set")}
	}
	if now.cursor, now.lost, err = m.waiting(ctx, before.cursor, keep); err != nil {
		return sight{cursor: before.cursor}, err
	}
	if before.fine.IsZero() { // nothing was to be brought yet
		now.lost = ""
	}
	now.again = true
	return now, m.subscribe(ctx)
}

// maxTries is how long MAX tries to bring an update to a webhook.
const maxTries = 8 * time.Hour

// maxFirst is a marker before every update.
const maxFirst = "1"

// waiting keeps the updates that nobody was told of, and answers the marker behind them. MAX's own texts differ in what it
// tells without a marker: all that was not confirmed, or the latest update alone. So the marker of the last time is shown; where there
// is none, and one update comes, the list is asked for from its beginning, before anything is confirmed.
func (m *maxService) waiting(ctx context.Context, marker string, keep func([][]byte) error) (next, lost string, err error) {
	told := 0
	read := func(from string) (cursor string, err error) {
		for cursor, more := from, true; more; {
			got, err := m.updates(ctx, cursor, most, 0)
			if err != nil {
				return cursor, err
			}
			if more = len(got.events) > 0 && got.cursor != cursor && from != ""; len(got.events) > 0 {
				if err := keep(got.events); err != nil {
					return cursor, err
				}
				told += len(got.events)
			}
			if cursor = got.cursor; !more {
				return cursor, nil
			}
		}
		return from, nil
	}
	if marker != "" {
		if next, err = read(marker); err == nil || !asTrouble(err).refused {
			return next, "", err
		} // a marker that MAX does not know any more
	}
	if next, err = read(""); err != nil || told == 0 {
		return cmp.Or(next, marker), "", err
	}
	if told == 1 {
		first, err := read(maxFirst)
		if err == nil && first != maxFirst {
			next = first
		} else if err != nil && !asTrouble(err).refused {
			return marker, "", err
		}
		if told <= 2 { // the same again, or nothing
			lost = "MAX may have told the latest alone of what came while nothing was subscribed: look into the bot's conversations with people who had never written"
		}
	}
	if next == "" {
		return marker, lost, nil
	}
	next, err = read(next) // what is behind, and confirms
	return next, lost, err
}

func (m *maxService) subscribe(ctx context.Context) error {
	var done struct {
		Success bool `json:"success"`
	}
	sent := body(map[string]any{"url": m.address, "secret": m.secret})
	if err := m.call(ctx, http.MethodPost, "/subscriptions", nil, sent, 0, &done); err != nil {
		if t := asTrouble(err); t.why == whyUnreachable {
			t.why = whyGone
		}
		return err
	}
	if !done.Success {
		return &trouble{why: whyGone, err: errors.New("MAX does not take the address")}
	}
	return nil
}

// talks are the conversations that MAX has told of: it lists none.
func (m *maxService) talks(context.Context, time.Time, string) (page, error) {
	return page{talks: m.api.known.all()}, nil
}

const maxMessages = "/messages"

// maxPiece is how many messages are asked for at once: MAX's own limit.
const maxPiece = 100

// said reads a conversation backwards. Which of `from` and `to` is the later time MAX's own texts do not agree on: where one leads no
// further, the other is tried.
func (m *maxService) said(ctx context.Context, chat string, since time.Time, keep func([][]byte) error) error {
	var found []maxSaid
	seen := map[string]bool{}
	for latest, bound := int64(0), "from"; ; {
		list, err := m.messages(ctx, chat, bound, latest)
		if err != nil {
			return err
		}
		fresh, over := false, len(list) < maxPiece
		for _, raw := range list {
			s := maxSaidOf(raw)
			if seen[s.id] {
				continue
			}
			seen[s.id], fresh = true, true
			if s.at > 0 && (latest == 0 || s.at < latest) {
				latest = s.at
			}
			if s.at > 0 && s.at < since.UnixMilli() {
				over = true
			} else {
				found = append(found, s)
			}
		}
		switch {
		case over:
			slices.SortStableFunc(found, func(a, b maxSaid) int { return cmp.Compare(a.at, b.at) })
			events := make([][]byte, len(found))
			for i, s := range found {
				events[i] = body(map[string]any{"update_type": "message_created", "timestamp": s.at, "message": s.raw})
			}
			return keepAll(events, keep)
		case !fresh && bound == "to":
			return &trouble{why: whyUnreadable, err: errors.New("GET /messages tells the same again and no way further")}
		case !fresh:
			bound = "to"
		}
	}
}

// maxSaid is a message of a conversation. Of one that cannot be read at is 0.
type maxSaid struct {
	raw json.RawMessage
	id  string
	at  int64 // ms
}

func maxSaidOf(raw json.RawMessage) maxSaid {
	var m struct {
		At   int64 `json:"timestamp"`
		Body struct {
			ID string `json:"mid"`
		} `json:"body"`
	}
	if json.Unmarshal(raw, &m) != nil || m.At <= 0 {
		return maxSaid{raw: raw, id: string(raw)}
	}
	return maxSaid{raw: raw, id: cmp.Or(m.Body.ID, string(raw)), at: m.At}
}

// maxReadPace keeps below MAX's thirty calls a second, and leaves most of them to those who answer.
const maxReadPace = 100 * time.Millisecond

// messages asks for a part of a conversation, the latest before a moment.
func (m *maxService) messages(ctx context.Context, chat, bound string, latest int64) ([]json.RawMessage, error) {
	if err := m.api.pace(ctx, "messages", maxReadPace); err != nil {
		return nil, err
	}
	args := url.Values{"chat_id": {chat}, "count": {strconv.Itoa(maxPiece)}}
	if latest > 0 {
		args.Set(bound, strconv.FormatInt(latest, 10))
	}
	var got struct {
		Messages []json.RawMessage `json:"messages"`
	}
	if err := m.call(ctx, http.MethodGet, maxMessages, args, nil, 0, &got); err != nil {
		return nil, err
	}
	if got.Messages == nil {
		return nil, &trouble{why: whyUnreadable, err: errors.New("GET /messages: no list of messages")}
	}
	return got.Messages, nil
}
