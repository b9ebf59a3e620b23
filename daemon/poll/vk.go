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

// vkService is a community's Bots Long Poll and Callback API settings (dev.vk.com/ru/api/bots/getting-started). Its cursor is ts. VK
// does not remember how far it was read, and forgets events after a while; the history of conversations remains.
type vkService struct {
	api     *api
	base    string
	token   string
	ours    []string // groups; empty: whose the token is
	private bool     // Long Poll may be anywhere: tests

	address, secret, confirm string // of our Callback API server

	group       string
	server, key string // of Long Poll; empty: to be asked for
}

func newVK(s intake.Source, a *api) service {
	v := &vkService{api: a, base: strings.TrimRight(cmp.Or(s.BaseURL, "https://api.vk.com"), "/"), token: s.Token, ours: s.Accounts, private: s.AllowPrivate,
		address: s.URL, confirm: s.Verification}
	if len(s.Secrets) > 0 {
		v.secret = s.Secrets[0]
	}
	return v
}

const vkVersion = "5.199" // its layout of events is one that package channel reads

// vkEvents are the kinds of event that a server is told to send.
var vkEvents = []string{"message_new", "message_reply", "message_event", "message_read", "message_edit", "message_allow", "message_deny", "lead_forms_new", "market_order_new",
	"wall_reply_new", "board_post_new", "market_comment_new", "photo_comment_new", "video_comment_new"}

// vkPace keeps well below VK's 20 calls a second of a community.
const vkPace = 100 * time.Millisecond

// call asks a method of the API. Its errors come with status 200.
func (v *vkService) call(ctx context.Context, method string, args url.Values, out any) error {
	if err := v.api.pace(ctx, "", vkPace); err != nil {
		return err
	}
	form := url.Values{"access_token": {v.token}, "v": {vkVersion}}
	for key, value := range args {
		form[key] = value
	}
	var a struct {
		Response json.RawMessage `json:"response"`
		Error    *struct {
			Code int    `json:"error_code"`
			Text string `json:"error_msg"`
		} `json:"error"`
	}
	status, err := v.api.ask(ctx, httpx.Request{URL: v.base + "/method/" + method, Body: []byte(form.Encode()),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}, &a)
	if err != nil {
		return err
	}
	if a.Error != nil {
		return vkFailed(method, a.Error.Code, a.Error.Text)
	}
	if err := json.Unmarshal(a.Response, out); err != nil {
		return &trouble{why: whyUnreadable, err: fmt.Errorf("%s: status %d without what was asked for", method, status)}
	}
	return nil
}

// vkFailed says what an error of VK's means (dev.vk.com/ru/reference/errors).
func vkFailed(method string, code int, text string) error {
	t := &trouble{why: whyUnreachable, err: fmt.Errorf("%s: VK's error %d", method, code)}
	switch code {
	case 5, 7, 15, 27, 28: // no such token, or it lacks a right
		t.why, t.wait = whyToken, parkedToken
	case 9, 29:
		t.wait = parkedOther
	case 100:
		if strings.Contains(strings.ToLower(text), "longpoll") {
			t.why, t.wait = whyOff, parkedOther
		}
	}
	return t
}

func (v *vkService) account(ctx context.Context) (string, error) {
	var raw json.RawMessage
	if err := v.call(ctx, "groups.getById", nil, &raw); err != nil {
		return "", err
	}
	type group struct {
		ID int64 `json:"id"`
	}
	var now struct {
		Groups []group `json:"groups"`
	}
	_ = json.Unmarshal(raw, &now)
	if len(now.Groups) == 0 {
		_ = json.Unmarshal(raw, &now.Groups) // older versions
	}
	if len(now.Groups) != 1 || now.Groups[0].ID <= 0 {
		return "", &trouble{why: whyToken, wait: parkedToken, err: errors.New("the token is no community's")}
	}
	v.group = strconv.FormatInt(now.Groups[0].ID, 10)
	if len(v.ours) > 0 && !slices.Contains(v.ours, v.group) {
		return "", &trouble{why: whyToken, wait: parkedToken, err: errors.New("the token is of a community that is not among accounts")}
	}
	return v.group, nil
}

func (v *vkService) free(ctx context.Context) error {
	var s struct {
		Enabled bool            `json:"is_enabled"`
		Events  map[string]flag `json:"events"`
	}
	if err := v.call(ctx, "groups.getLongPollSettings", url.Values{"group_id": {v.group}}, &s); err != nil {
		return err
	}
	if !s.Enabled || !bool(s.Events["message_new"]) {
		return &trouble{why: whyOff, wait: parkedOther, err: errors.New("the Long Poll API is off, or does not bring message_new")}
	}
	return nil
}

// flag is true or 1.
type flag bool

func (f *flag) UnmarshalJSON(b []byte) error {
	*f = string(b) == "true" || string(b) == "1"
	return nil
}

// vkCheck is an answer of Long Poll.
type vkCheck struct {
	TS      json.RawMessage   `json:"ts"` // a text or a number
	Updates []json.RawMessage `json:"updates"`
	Failed  int               `json:"failed"`
}

// ts is a position, empty when it is none.
func (c *vkCheck) ts() string {
	n, err := strconv.ParseInt(strings.Trim(string(c.TS), `"`), 10, 64)
	if err != nil || n < 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func (v *vkService) next(ctx context.Context, cursor string, _ int, wait time.Duration) (answer, error) {
	if v.server == "" {
		now, err := v.begin(ctx)
		if err != nil {
			return answer{}, err
		}
		if cursor == "" { // the first time ever: what was before is not our business
			return answer{cursor: now}, nil
		}
	}
	address := v.server + "?" + url.Values{"act": {"a_check"}, "key": {v.key}, "ts": {cursor}, "wait": {strconv.Itoa(int(wait / time.Second))}}.Encode()
	var got vkCheck
	status, err := v.api.ask(ctx, httpx.Request{URL: address, Timeout: wait + call}, &got)
	if err == nil && status != http.StatusOK {
		err = &trouble{why: whyUnreachable, err: fmt.Errorf("a_check: status %d", status)}
	}
	if err != nil {
		v.server = "" // perhaps it has moved
		return answer{}, err
	}
	return v.checked(ctx, cursor, &got)
}

func (v *vkService) checked(ctx context.Context, cursor string, got *vkCheck) (answer, error) {
	switch ts := got.ts(); {
	case got.Failed == 1 && ts != "": // it has forgotten a part
		return answer{cursor: ts, gap: true}, nil
	case got.Failed == 2: // the key has come of age; ts goes on
		v.server = ""
		return answer{cursor: cursor}, nil
	case got.Failed != 0:
		now, err := v.begin(ctx)
		return answer{cursor: now, gap: true}, err
	case ts == "":
		v.server = ""
		return answer{}, &trouble{why: whyUnreadable, err: errors.New("a_check: no ts")}
	default:
		a := answer{cursor: ts}
		for _, u := range got.Updates {
			a.events = append(a.events, u)
		}
		return a, nil
	}
}

// begin asks where Long Poll is, and its ts of now.
func (v *vkService) begin(ctx context.Context) (now string, err error) {
	var s struct {
		Key    string          `json:"key"`
		Server string          `json:"server"`
		TS     json.RawMessage `json:"ts"`
	}
	if err := v.call(ctx, "groups.getLongPollServer", url.Values{"group_id": {v.group}}, &s); err != nil {
		return "", err
	}
	now = (&vkCheck{TS: s.TS}).ts()
	u, err := url.Parse(s.Server)
	if err != nil || u.Host == "" || u.Scheme != "https" && !v.private || s.Key == "" || now == "" {
		return "", &trouble{why: whyUnreadable, err: errors.New("groups.getLongPollServer names no server")}
	}
	v.server, v.key = s.Server, s.Key
	return now, nil
}

// look sees to our server of the Callback API. VK gives one up that fails for long; edited, it is tried again.
func (v *vkService) look(ctx context.Context, _ past, _ func([][]byte) error) (sight, error) {
	group := url.Values{"group_id": {v.group}}
	var servers struct {
		Items []struct {
			ID     int64  `json:"id"`
			Title  string `json:"title"`
			URL    string `json:"url"`
			Secret string `json:"secret_key"`
			Status string `json:"status"`
		} `json:"items"`
	}
	if err := v.call(ctx, "groups.getCallbackServers", group, &servers); err != nil {
		return sight{}, err
	}
	for _, s := range servers.Items {
		if s.URL != v.address {
			continue
		}
		other := s.Secret != "" && s.Secret != v.secret
		switch {
		case s.Status == "ok" && !other:
			return v.ticked(ctx, s.ID)
		case s.Status == "wait" && !other:
			return sight{}, &trouble{why: whyFailing, err: errors.New("VK is trying the address")}
		}
		args := url.Values{"group_id": {v.group}, "server_id": {strconv.FormatInt(s.ID, 10)}, "url": {v.address}, "title": {s.Title}, "secret_key": {v.secret}}
		var done json.RawMessage
		if err := v.call(ctx, "groups.editCallbackServer", args, &done); err != nil {
			return sight{}, err
		}
		return sight{}, &trouble{why: whyFailing, err: fmt.Errorf("the server's state is %.20q; VK was told to try it again", s.Status)}
	}
	var code struct {
		Code string `json:"code"`
	}
	if err := v.call(ctx, "groups.getCallbackConfirmationCode", group, &code); err != nil {
		return sight{}, err
	}
	if code.Code != v.confirm {
		return sight{}, &trouble{why: whyGone, wait: watchEvery, err: errors.New("VK wants another string than verification says: put the one of its settings there")}
	}
	var added struct {
		ID int64 `json:"server_id"`
	}
	args := url.Values{"group_id": {v.group}, "url": {v.address}, "title": {"leadstream"}, "secret_key": {v.secret}}
	if err := v.call(ctx, "groups.addCallbackServer", args, &added); err != nil {
		return sight{}, vkGone(err)
	}
	return sight{again: true}, vkGone(v.tick(ctx, added.ID))
}

// ticked sees that our server is told of anything: one that was made, and whose events could not be chosen then, is told of
// nothing. What somebody has chosen stays.
func (v *vkService) ticked(ctx context.Context, server int64) (sight, error) {
	var s struct {
		Events map[string]flag `json:"events"`
	}
	args := url.Values{"group_id": {v.group}, "server_id": {strconv.FormatInt(server, 10)}}
	if err := v.call(ctx, "groups.getCallbackSettings", args, &s); err != nil {
		return sight{}, err
	}
	for _, chosen := range s.Events {
		if chosen {
			return sight{}, nil
		}
	}
	return sight{again: true}, vkGone(v.tick(ctx, server))
}

// tick chooses the events that a server is told of.
func (v *vkService) tick(ctx context.Context, server int64) error {
	args := url.Values{"group_id": {v.group}, "server_id": {strconv.FormatInt(server, 10)}, "api_version": {vkVersion}}
	for _, kind := range vkEvents {
		args.Set(kind, "1")
	}
	var done json.RawMessage
	return v.call(ctx, "groups.setCallbackSettings", args, &done)
}

// vkGone says that our server could not be set again.
func vkGone(err error) error {
	if err == nil {
		return nil
	}
	if t := asTrouble(err); t.why == whyUnreachable {
		t.why = whyGone
	}
	return err
}

// vkPiece is how much of a list is asked for at once.
const vkPiece = 200

// talks lists the community's conversations by their last message. Those that are pinned come before, so that one page must
// be older than since, and not one entry, before the rest need not be asked for.
func (v *vkService) talks(ctx context.Context, since time.Time, place string) (page, error) {
	offset, _ := strconv.Atoi(place)
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	args := url.Values{"group_id": {v.group}, "count": {strconv.Itoa(vkPiece)}, "offset": {strconv.Itoa(offset)}}
	if err := v.call(ctx, "messages.getConversations", args, &list); err != nil {
		return page{}, err
	}
	var p page
	recent := false
	for _, raw := range list.Items {
		var item struct {
			Conversation struct {
				Peer struct {
					ID   int64  `json:"id"`
					Type string `json:"type"`
				} `json:"peer"`
			} `json:"conversation"`
			Last json.RawMessage `json:"last_message"`
		}
		var last struct {
			Date int64 `json:"date"`
		}
		if err := json.Unmarshal(raw, &item); err != nil || item.Conversation.Peer.ID == 0 {
			p.broken++
			continue
		}
		if err := json.Unmarshal(item.Last, &last); err == nil && last.Date < since.Unix() { // else it is seen in the conversation
			continue
		}
		recent = true
		if item.Conversation.Peer.Type == "user" {
			p.talks = append(p.talks, strconv.FormatInt(item.Conversation.Peer.ID, 10))
		}
	}
	if len(list.Items) == vkPiece && (recent || p.broken > 0) {
		p.next = strconv.Itoa(offset + vkPiece)
	}
	return p, nil
}

// said gives what was said since, as events of which the intake knows them.
func (v *vkService) said(ctx context.Context, peer string, since time.Time, keep func([][]byte) error) error {
	var events [][]byte
	for offset, more := 0, true; more; offset += vkPiece {
		var history struct {
			Items []json.RawMessage `json:"items"`
		}
		args := url.Values{"group_id": {v.group}, "peer_id": {peer}, "count": {strconv.Itoa(vkPiece)}, "offset": {strconv.Itoa(offset)}}
		if err := v.call(ctx, "messages.getHistory", args, &history); err != nil {
			return err
		}
		more = len(history.Items) == vkPiece
		for _, raw := range history.Items {
			var m struct {
				Date int64 `json:"date"`
				Out  flag  `json:"out"`
			}
			err := json.Unmarshal(raw, &m)
			if err == nil && m.Date > 0 && m.Date < since.Unix() {
				more = false
				break
			}
			kind := "message_new" // of what cannot be read nobody knows whose it is
			if err == nil && bool(m.Out) {
				kind = "message_reply"
			}
			events = append(events, v.told(kind, raw))
		}
	}
	slices.Reverse(events)
	return keepAll(events, keep)
}

// keepAll gives events to keep, not too many at once.
func keepAll(events [][]byte, keep func([][]byte) error) error {
	for piece := range slices.Chunk(events, most) {
		if err := keep(piece); err != nil {
			return err
		}
	}
	return nil
}

// told is a message as the Callback API tells it.
func (v *vkService) told(kind string, message json.RawMessage) []byte {
	group, _ := strconv.ParseInt(v.group, 10, 64)
	return body(map[string]any{"type": kind, "group_id": group, "v": vkVersion, "object": map[string]any{"message": message}})
}
