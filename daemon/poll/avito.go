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
	"sync"
	"time"

	"leadstream/daemon/intake"
	"leadstream/sinks/httpx"
)

// avitoService is Avito's messenger (developers.avito.ru/api-catalog/messenger). How often its webhook tries again is documented
// nowhere, so the chats are asked for what it did not bring also while all is in order.
type avitoService struct {
	api        *api
	base       string
	id, secret string   // of the application
	ours       []string // accounts; empty: whose the application is
	address    string   // of our webhook

	user string // our account

	mu      sync.Mutex
	token   string
	expires time.Time
}

func newAvito(s intake.Source, a *api) service {
	return &avitoService{api: a, base: strings.TrimRight(cmp.Or(s.BaseURL, "https://api.avito.ru"), "/"), id: s.ClientID, secret: s.ClientSecret,
		ours: s.Accounts, address: s.URL}
}

// avitoPace is ours: Avito names no limit but in its answers.
const avitoPace = 200 * time.Millisecond

// access is a token that lasts for a while; Avito's last for a day.
func (v *avitoService) access(ctx context.Context) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.token != "" && time.Now().Before(v.expires) {
		return v.token, nil
	}
	var got struct {
		Token   string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {v.id}, "client_secret": {v.secret}}
	status, err := v.api.ask(ctx, httpx.Request{URL: v.base + "/token", Body: []byte(form.Encode()),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}, &got)
	if err != nil {
		return "", err
	}
	if got.Token == "" {
		return "", &trouble{why: whyToken, wait: parkedToken, err: fmt.Errorf("POST /token: status %d, no token: check client_id and client_secret", status)}
	}
	v.token, v.expires = got.Token, time.Now().Add(time.Duration(min(max(got.Seconds, 120), 86400)-60)*time.Second)
	return v.token, nil
}

// forget gives up a token that Avito does not take.
func (v *avitoService) forget(token string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.token == token {
		v.token = ""
	}
}

func (v *avitoService) call(ctx context.Context, method, path string, args url.Values, sent []byte, out any) error {
	if err := v.api.pace(ctx, "", avitoPace); err != nil {
		return err
	}
	r := httpx.Request{Method: method, URL: v.base + path, Body: sent}
	if len(args) > 0 {
		r.URL += "?" + args.Encode()
	}
	var raw json.RawMessage
	status := 0
	for try := range 2 { // a token may be taken back before its time
		token, err := v.access(ctx)
		if err != nil {
			return err
		}
		r.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
		if status, err = v.api.ask(ctx, r, &raw); err != nil {
			return err
		}
		if status != http.StatusUnauthorized && status != http.StatusForbidden {
			break
		}
		v.forget(token)
		if try == 1 {
			return &trouble{why: whyToken, wait: parkedToken, err: fmt.Errorf("%s %s: status %d: check the rights of the application, messenger:read", method, nameless(path), status)}
		}
	}
	if status == http.StatusPaymentRequired {
		return &trouble{why: whyOff, wait: parkedToken, err: fmt.Errorf("%s %s: status %d: the tariff has no messenger API", method, nameless(path), status)}
	}
	if status/100 != 2 {
		return &trouble{why: whyUnreachable, err: fmt.Errorf("%s %s: status %d", method, nameless(path), status)}
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return &trouble{why: whyUnreadable, err: fmt.Errorf("%s %s: the answer is not what it should be", method, nameless(path))}
	}
	return nil
}

// nameless is a path without a customer's chat.
func nameless(path string) string {
	before, _, _ := strings.Cut(path, "/chats/")
	return before
}

func (v *avitoService) account(ctx context.Context) (string, error) {
	var me struct {
		ID int64 `json:"id"`
	}
	if err := v.call(ctx, http.MethodGet, "/core/v1/accounts/self", nil, nil, &me); err != nil {
		return "", err
	}
	if me.ID <= 0 {
		return "", &trouble{why: whyUnreadable, err: errors.New("GET /core/v1/accounts/self names no account")}
	}
	v.user = strconv.FormatInt(me.ID, 10)
	if len(v.ours) > 0 && !slices.Contains(v.ours, v.user) {
		return "", &trouble{why: whyToken, wait: parkedToken, err: errors.New("client_id is of an account that is not among accounts")}
	}
	return v.user, nil
}

func (v *avitoService) free(context.Context) error { return nil }

// next is never asked for: Avito has no list of events.
func (v *avitoService) next(context.Context, string, int, time.Duration) (answer, error) {
	return answer{}, &trouble{why: whyOff, wait: parkedOther, err: errors.New("events cannot be asked for")}
}

// look has Avito send to us again where it has forgotten our address. It may send to others too.
func (v *avitoService) look(ctx context.Context, _ past, _ func([][]byte) error) (sight, error) {
	var list struct {
		Subscriptions []struct {
			URL string `json:"url"`
		} `json:"subscriptions"`
	}
	if err := v.call(ctx, http.MethodPost, "/messenger/v1/subscriptions", nil, []byte("{}"), &list); err != nil {
		return sight{}, err
	}
	for _, s := range list.Subscriptions {
		if s.URL == v.address {
			return sight{}, nil
		}
	}
	var done struct {
		OK bool `json:"ok"`
	}
	if err := v.call(ctx, http.MethodPost, "/messenger/v3/webhook", nil, body(map[string]any{"url": v.address}), &done); err != nil {
		if t := asTrouble(err); t.why == whyUnreachable {
			t.why = whyGone
		}
		return sight{}, err
	}
	if !done.OK {
		return sight{}, &trouble{why: whyGone, err: errors.New("the address is not taken")}
	}
	return sight{again: true}, nil
}

// Pieces of Avito's lists, and how far into one it lets itself be asked.
const (
	avitoPiece = 100
	avitoMost  = 1000
)

// talks lists the chats. Each is named by its id and the advertisement that it is about. In which order they come, Avito does not say:
// where a whole page is older than since, the rest is.
func (v *avitoService) talks(ctx context.Context, since time.Time, place string) (page, error) {
	offset, _ := strconv.Atoi(place)
	var list struct {
		Chats []json.RawMessage `json:"chats"`
	}
	args := url.Values{"limit": {strconv.Itoa(avitoPiece)}, "offset": {strconv.Itoa(offset)}, "chat_types": {"u2i,u2u"}}
	if err := v.call(ctx, http.MethodGet, "/messenger/v2/accounts/"+v.user+"/chats", args, nil, &list); err != nil {
		return page{}, err
	}
	var p page
	recent := false
	for _, raw := range list.Chats {
		var c struct {
			ID      string `json:"id"`
			Updated int64  `json:"updated"`
			Context struct {
				Value struct {
					ID json.RawMessage `json:"id"`
				} `json:"value"`
			} `json:"context"`
			Last json.RawMessage `json:"last_message"`
		}
		var last struct {
			Created int64 `json:"created"`
		}
		if err := json.Unmarshal(raw, &c); err != nil || c.ID == "" {
			p.broken++
			continue
		}
		_ = json.Unmarshal(c.Last, &last) // what cannot be read of it is seen in the chat
		if at := max(c.Updated, last.Created); at > 0 && at < since.Unix() {
			continue
		}
		recent = true
		item, _ := strconv.ParseInt(string(c.Context.Value.ID), 10, 64) // chats between people are about none
		p.talks = append(p.talks, c.ID+" "+strconv.FormatInt(item, 10))
	}
	if len(list.Chats) == avitoPiece && (recent || p.broken > 0) {
		if p.next = strconv.Itoa(offset + avitoPiece); offset+avitoPiece > avitoMost {
			p.next, p.cut = "", fmt.Errorf("no more than %d chats are listed", offset+avitoPiece)
		}
	}
	return p, nil
}

// said gives what was written in a chat since, as the webhook tells it. Reading marks nothing as read.
func (v *avitoService) said(ctx context.Context, talk string, since time.Time, keep func([][]byte) error) error {
	chat, item, _ := strings.Cut(talk, " ")
	var found []avitoSaid
	for offset := 0; ; offset += avitoPiece {
		list, err := v.messages(ctx, chat, offset)
		if err != nil {
			return err
		}
		recent := false
		for _, raw := range list {
			s := avitoSaidOf(raw, chat, v.user, item)
			if s.at > 0 && s.at < since.Unix() {
				continue
			}
			recent = true
			found = append(found, s)
		}
		if len(list) < avitoPiece || !recent {
			break
		}
		if offset+avitoPiece > avitoMost {
			return &trouble{why: whyUnreadable, err: errors.New("the chat holds more messages than Avito shows")}
		}
	}
	slices.SortStableFunc(found, func(a, b avitoSaid) int { return cmp.Compare(a.at, b.at) })
	events := make([][]byte, len(found))
	for i, s := range found {
		events[i] = s.event
	}
	return keepAll(events, keep)
}

// messages asks for a part of a chat: a list, or one in an object, as was seen of others' answers.
func (v *avitoService) messages(ctx context.Context, chat string, offset int) ([]json.RawMessage, error) {
	var raw json.RawMessage
	args := url.Values{"limit": {strconv.Itoa(avitoPiece)}, "offset": {strconv.Itoa(offset)}}
	if err := v.call(ctx, http.MethodGet, "/messenger/v3/accounts/"+v.user+"/chats/"+url.PathEscape(chat)+"/messages/", args, nil, &raw); err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		return list, nil
	}
	var wrapped struct {
		Messages []json.RawMessage `json:"messages"`
	}
	if err := json.Unmarshal(raw, &wrapped); err != nil || wrapped.Messages == nil {
		return nil, &trouble{why: whyUnreadable, err: errors.New("messages of a chat: no list")}
	}
	return wrapped.Messages, nil
}

// avitoSaid is a message of a chat, and the event of it. Of one that cannot be read at is 0.
type avitoSaid struct {
	at    int64
	event []byte
}

func avitoSaidOf(raw json.RawMessage, chat, user, item string) avitoSaid {
	event := func(value any) []byte {
		return body(map[string]any{"payload": map[string]any{"type": "message", "value": value}})
	}
	var m struct {
		At        int64  `json:"created"`
		Direction string `json:"direction"`
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil || json.Unmarshal(raw, &m) != nil || all == nil {
		return avitoSaid{event: event(raw)}
	}
	all["chat_id"] = body(chat)
	all["user_id"] = json.RawMessage(user)
	if kind, _, ok := strings.Cut(chat, "-"); ok {
		all["chat_type"] = body(kind)
	}
	if item != "" && item != "0" {
		all["item_id"] = json.RawMessage(item)
	}
	if m.Direction == "out" { // whoever of us has answered
		all["author_id"] = json.RawMessage(user)
	}
	return avitoSaid{at: m.At, event: event(all)}
}
