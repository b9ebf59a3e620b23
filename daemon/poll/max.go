package poll

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
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		t.why, t.wait = whyToken, parkedToken
	case status == http.StatusConflict, strings.Contains(a.Code, "webhook"), strings.Contains(a.Code, "subscription"):
		t.why, t.wait = whyWebhook, parkedOther
	}
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
	if err := m.api.pace(ctx, maxPace); err != nil {
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
func (m *maxService) look(ctx context.Context, keep func([][]byte) error) (again bool, pending int, err error) {
	addresses, err := m.subscribed(ctx)
	if err != nil {
		return false, 0, err
	}
	for _, a := range addresses {
		if a == m.address {
			return false, 0, nil
		}
	}
	if len(addresses) > 0 {
		return false, 0, &trouble{why: whyElsewhere, err: errors.New("the bot is subscribed to another address; if that is nobody's, DELETE it, and ours is set")}
	}
	for cursor, more := "", true; more; {
		got, err := m.updates(ctx, cursor, most, 0)
		if err != nil {
			return false, 0, err
		}
		if more = len(got.events) > 0 && got.cursor != cursor; len(got.events) > 0 {
			if err := keep(got.events); err != nil {
				return false, 0, err
			}
		}
		cursor = got.cursor // the next question confirms
	}
	return true, 0, m.subscribe(ctx)
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
