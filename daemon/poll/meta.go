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

// graph is Meta's Graph API (developers.facebook.com/docs/graph-api).
type graph struct {
	api   *api
	base  string
	token string
	app   string // the application's number: whose the token is
}

func newGraph(s intake.Source, a *api) graph {
	return graph{api: a, base: strings.TrimRight(cmp.Or(s.BaseURL, "https://graph.facebook.com/v23.0"), "/"), token: s.Token}
}

// metaPace is ours: Meta counts calls by the hour.
const metaPace = 100 * time.Millisecond

// call asks a node or an edge, with a token that may be a page's own.
func (g *graph) call(ctx context.Context, method, path, token string, args url.Values, out any) error {
	if err := g.api.pace(ctx, "", metaPace); err != nil {
		return err
	}
	r := httpx.Request{Method: method, URL: g.base + path, Header: http.Header{"Authorization": {"Bearer " + token}}}
	if len(args) > 0 {
		r.URL += "?" + args.Encode()
	}
	var raw json.RawMessage
	status, err := g.api.ask(ctx, r, &raw)
	if err != nil && (raw == nil || asTrouble(err).why == whyUnreadable) {
		return err
	}
	if status/100 == 2 {
		if err := json.Unmarshal(raw, out); err != nil {
			return &trouble{why: whyUnreadable, err: errors.New("the Graph API's answer is not what it should be")}
		}
		return nil
	}
	var e struct {
		Error struct {
			Code    int `json:"code"`
			Subcode int `json:"error_subcode"`
		} `json:"error"`
	}
	_ = json.Unmarshal(raw, &e) // an error without its code is one all the same
	wait := time.Duration(0)
	if err != nil {
		wait = asTrouble(err).wait
	}
	return metaFailed(e.Error.Code, e.Error.Subcode, status, wait)
}

// metaFailed says what a code means; the HTTP status says less.
func metaFailed(code, sub, status int, wait time.Duration) error {
	t := &trouble{why: whyUnreachable, wait: wait, err: fmt.Errorf("the Graph API's error %d/%d, status %d", code, sub, status)}
	switch {
	case code == 190, code == 102, code == 0 && status == http.StatusUnauthorized:
		t.why, t.wait = whyToken, parkedToken
	case code == 3, code == 10, code == 103, code >= 200 && code <= 299, code == 368:
		t.why, t.wait, t.refused = whyToken, parkedToken, true // a right
	case code == 4, code == 17, code == 32, code == 341, code == 613, code >= 80000 && code < 80100:
		t.wait = max(wait, time.Minute)
	case code == 100:
		t.refused = true
	}
	return t
}

// account is the application's number.
func (g *graph) account(ctx context.Context) (string, error) {
	var app struct {
		ID string `json:"id"`
	}
	if err := g.call(ctx, http.MethodGet, "/app", g.token, url.Values{"fields": {"id"}}, &app); err != nil {
		return "", err
	}
	if app.ID == "" {
		return "", &trouble{why: whyUnreadable, err: errors.New("the token's application has no id")}
	}
	g.app = app.ID
	return app.ID, nil
}

func (g *graph) free(context.Context) error { return nil }

// next is never asked for: Meta has no list of events.
func (g *graph) next(context.Context, string, int, time.Duration) (answer, error) {
	return answer{}, &trouble{why: whyOff, wait: parkedOther, err: errors.New("events cannot be asked for")}
}

// whatsApp is a business account, of which nobody but its webhook tells what was said.
type whatsApp struct {
	graph
	waba string
}

func newWhatsApp(s intake.Source, a *api) service { return &whatsApp{newGraph(s, a), s.WABA} }

// look subscribes the application to the business account where it is not (…/{waba}/subscribed_apps).
func (w *whatsApp) look(ctx context.Context, before past, _ func([][]byte) error) (sight, error) {
	var list struct {
		Data []struct {
			App struct {
				ID string `json:"id"`
			} `json:"whatsapp_business_api_data"`
		} `json:"data"`
	}
	path := "/" + url.PathEscape(w.waba) + "/subscribed_apps"
	if err := w.call(ctx, http.MethodGet, path, w.token, nil, &list); err != nil {
		return sight{}, err
	}
	for _, s := range list.Data {
		if s.App.ID == w.app {
			return sight{}, nil
		}
	}
	if err := w.subscribe(ctx, path, w.token, nil); err != nil {
		return sight{}, err
	}
	now := sight{again: true}
	if !before.fine.IsZero() {
		now.lost = "WhatsApp keeps no history: what people wrote while nobody was subscribed is on the phone or in the business manager alone"
	}
	return now, nil
}

func (g *graph) subscribe(ctx context.Context, path, token string, args url.Values) error {
	var done struct {
		Success bool `json:"success"`
	}
	if err := g.call(ctx, http.MethodPost, path, token, args, &done); err != nil {
		if t := asTrouble(err); t.why == whyUnreachable {
			t.why = whyGone
		}
		return err
	}
	if !done.Success {
		return &trouble{why: whyGone, err: errors.New("the application is not subscribed")}
	}
	return nil
}

// metaPages are pages of Facebook and the Instagram accounts at them.
type metaPages struct {
	graph
	ours []string

	mu    sync.Mutex
	pages []metaPage
}

// metaPage is a page, with the token that it wants for itself.
type metaPage struct {
	ID        string `json:"id"`
	Token     string `json:"access_token"`
	Instagram struct {
		ID string `json:"id"`
	} `json:"instagram_business_account"`

	fields []string // that the application is told of
}

func newMetaPages(s intake.Source, a *api) service {
	return &metaPages{graph: newGraph(s, a), ours: s.Accounts}
}

// metaFields are what a page is asked to tell us where nobody has chosen.
const metaFields = "messages,messaging_postbacks,messaging_referrals,message_deliveries,message_reads,message_echoes,leadgen"

// reached are the pages among accounts that the token opens: those of a person or a system user, or the page whose it is.
func (v *metaPages) reached(ctx context.Context) ([]metaPage, error) {
	const fields = "id,access_token,instagram_business_account{id}"
	var found []metaPage
	err := v.each(ctx, "/me/accounts", v.token, url.Values{"fields": {fields}}, func(raw json.RawMessage) (bool, error) {
		var p metaPage
		if err := json.Unmarshal(raw, &p); err != nil || p.ID == "" {
			return true, &trouble{why: whyUnreadable, err: errors.New("/me/accounts: a page is none")}
		}
		found = append(found, p)
		return true, nil
	})
	if err != nil && asTrouble(err).refused { // a page has no pages
		var p metaPage
		if err = v.call(ctx, http.MethodGet, "/me", v.token, url.Values{"fields": {"id,instagram_business_account{id}"}}, &p); err == nil {
			found = []metaPage{p}
		}
	}
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(p metaPage) bool {
		return len(v.ours) > 0 && !slices.Contains(v.ours, p.ID) && (p.Instagram.ID == "" || !slices.Contains(v.ours, p.Instagram.ID))
	})
	if len(found) == 0 {
		return nil, &trouble{why: whyToken, wait: parkedToken, err: errors.New("the token opens no page that is among accounts")}
	}
	for i := range found {
		found[i].Token = cmp.Or(found[i].Token, v.token)
	}
	return found, nil
}

// each goes through an edge, page by page, as long as use wants more.
func (g *graph) each(ctx context.Context, path, token string, args url.Values, use func(raw json.RawMessage) (more bool, err error)) error {
	args = url.Values{"limit": {"50"}, "fields": args["fields"], "platform": args["platform"], "filtering": args["filtering"]}
	for key := range args {
		if len(args[key]) == 0 {
			delete(args, key)
		}
	}
	for {
		var got struct {
			Data   []json.RawMessage `json:"data"`
			Paging struct {
				Next    string `json:"next"`
				Cursors struct {
					After string `json:"after"`
				} `json:"cursors"`
			} `json:"paging"`
		}
		if err := g.call(ctx, http.MethodGet, path, token, args, &got); err != nil {
			return err
		}
		if got.Data == nil {
			return &trouble{why: whyUnreadable, err: errors.New("the Graph API's answer has no data")}
		}
		wanted := false
		for _, raw := range got.Data {
			more, err := use(raw)
			if err != nil {
				return err
			}
			wanted = wanted || more
		}
		after := got.Paging.Cursors.After
		if got.Paging.Next == "" || after == "" || after == args.Get("after") || !wanted {
			return nil
		}
		args.Set("after", after)
	}
}

// look subscribes the application to pages where it is not (…/{page}/subscribed_apps). Which fields a page tells of is left as
// somebody has chosen them, and remembered for the time when they are gone.
func (v *metaPages) look(ctx context.Context, before past, _ func([][]byte) error) (sight, error) {
	pages, err := v.reached(ctx)
	if err != nil {
		return sight{cursor: before.cursor}, err
	}
	chosen := map[string]string{}
	_ = json.Unmarshal([]byte(before.cursor), &chosen) // without it the fields are our own
	var now sight
	for i := range pages {
		p := &pages[i]
		there := false
		err := v.each(ctx, "/"+p.ID+"/subscribed_apps", p.Token, nil, func(raw json.RawMessage) (bool, error) {
			var s struct {
				ID     string   `json:"id"`
				Fields []string `json:"subscribed_fields"`
			}
			if json.Unmarshal(raw, &s) == nil && s.ID == v.app {
				there, p.fields = true, s.Fields
			}
			return true, nil
		})
		if err != nil {
			return sight{cursor: before.cursor}, err
		}
		if !there {
			fields := cmp.Or(chosen[p.ID], metaFields)
			if err := v.subscribe(ctx, "/"+p.ID+"/subscribed_apps", p.Token, url.Values{"subscribed_fields": {fields}}); err != nil {
				return sight{cursor: before.cursor}, err
			}
			now.again, p.fields = true, strings.Split(fields, ",")
		}
		chosen[p.ID] = strings.Join(p.fields, ",")
	}
	now.cursor = string(body(chosen))
	v.mu.Lock()
	v.pages = pages
	v.mu.Unlock()
	return now, nil
}

// seen are the pages as they were at the last look.
func (v *metaPages) seen() ([]metaPage, error) {
	v.mu.Lock()
	pages := v.pages
	v.mu.Unlock()
	if pages != nil {
		return pages, nil
	}
	return nil, &trouble{why: whyUnreachable, wait: watchBroken, err: errors.New("the pages were not looked at yet")}
}

// metaLists are where something may have been said: an edge of a page, and which of the page's fields tells of it.
var metaLists = []struct{ name, edge, field, fields string }{
	{"messenger", "conversations", "messages", "id,updated_time"},
	{"instagram", "conversations", "messages", "id,updated_time"},
	{"leads", "leadgen_forms", "leadgen", "id"},
}

// talks lists conversations of Messenger and Instagram, and forms of lead ads, a list at a place.
func (v *metaPages) talks(ctx context.Context, since time.Time, place string) (page, error) {
	pages, err := v.seen()
	if err != nil {
		return page{}, err
	}
	at, _ := strconv.Atoi(place)
	if at >= len(pages)*len(metaLists) {
		return page{}, nil
	}
	p, list := pages[at/len(metaLists)], metaLists[at%len(metaLists)]
	out := page{next: strconv.Itoa(at + 1)}
	if at+1 == len(pages)*len(metaLists) {
		out.next = ""
	}
	if !slices.Contains(p.fields, list.field) || list.name == "instagram" && p.Instagram.ID == "" {
		return out, nil
	}
	args := url.Values{"fields": {list.fields}}
	if list.edge == "conversations" {
		args.Set("platform", list.name)
	}
	err = v.each(ctx, "/"+p.ID+"/"+list.edge, p.Token, args, func(raw json.RawMessage) (bool, error) {
		var one struct {
			ID      string   `json:"id"`
			Updated metaTime `json:"updated_time"`
		}
		if json.Unmarshal(raw, &one) != nil || one.ID == "" {
			out.broken++
			return true, nil
		}
		if !one.Updated.IsZero() && one.Updated.Before(since) {
			return false, nil
		}
		out.talks = append(out.talks, list.name+" "+p.ID+" "+one.ID)
		return true, nil
	})
	if err != nil && asTrouble(err).refused { // a right that is lacking for one list keeps nobody from reading the others
		out.cut, err = fmt.Errorf("%s of a page: %w", list.edge, err), nil
	}
	return out, err
}

// metaTime is written in ISO without a colon, or as Unix seconds.
type metaTime struct{ time.Time }

func (t *metaTime) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		t.Time = time.Unix(n, 0)
		return nil
	}
	at, err := time.Parse("2006-01-02T15:04:05-0700", text)
	t.Time = at
	return err
}

// said gives what was said in a conversation, or filled into a form, since.
func (v *metaPages) said(ctx context.Context, talk string, since time.Time, keep func([][]byte) error) error {
	pages, err := v.seen()
	if err != nil {
		return err
	}
	parts := strings.Split(talk, " ")
	at := slices.IndexFunc(pages, func(p metaPage) bool { return len(parts) == 3 && p.ID == parts[1] })
	if at < 0 {
		return errClosed // no page of ours any more
	}
	p, id := pages[at], parts[2]
	path, args := "/"+url.PathEscape(id)+"/messages", url.Values{"fields": {metaMessage}}
	as := v.message
	if parts[0] == "leads" {
		path, as = "/"+url.PathEscape(id)+"/leads", v.filled
		filter := body([]any{map[string]any{"field": "time_created", "operator": "GREATER_THAN", "value": since.Unix()}})
		args = url.Values{"fields": {"id,created_time,ad_id,form_id"}, "filtering": {string(filter)}}
	}
	var events [][]byte
	err = v.each(ctx, path, p.Token, args, func(raw json.RawMessage) (bool, error) {
		var one struct {
			Created metaTime `json:"created_time"`
		}
		if json.Unmarshal(raw, &one) == nil && !one.Created.IsZero() && one.Created.Before(since) {
			return false, nil
		}
		events = append(events, as(p, parts[0], id, raw))
		return true, nil
	})
	if err != nil {
		return err
	}
	slices.Reverse(events)
	return keepAll(events, keep)
}

// metaTold is a webhook's body with one thing in it.
func metaTold(object, entry, list string, one any) []byte {
	return body(map[string]any{"object": object, "entry": []any{map[string]any{"id": entry, list: []any{one}}}})
}

// filled is a form of a lead ad as the webhook tells it: its answers are asked for by whoever completes the lead.
func (v *metaPages) filled(p metaPage, _, form string, raw json.RawMessage) []byte {
	var l struct {
		ID      json.RawMessage `json:"id"`
		Created metaTime        `json:"created_time"`
		Ad      string          `json:"ad_id"`
	}
	value := any(raw)
	if json.Unmarshal(raw, &l) == nil && len(l.ID) > 0 {
		m := map[string]any{"leadgen_id": l.ID, "page_id": p.ID, "form_id": form, "created_time": l.Created.Unix()}
		if l.Ad != "" {
			m["ad_id"] = l.Ad
		}
		value = m
	}
	return metaTold("page", p.ID, "changes", map[string]any{"field": "leadgen", "value": value})
}

const metaMessage = "id,created_time,from,to,message,attachments"

// message is a message as the webhook tells it.
func (v *metaPages) message(p metaPage, platform, _ string, raw json.RawMessage) []byte {
	object, ours := "page", p.ID
	if platform == "instagram" {
		object, ours = "instagram", p.Instagram.ID
	}
	type person struct {
		ID string `json:"id"`
	}
	var m struct {
		ID      string   `json:"id"`
		Created metaTime `json:"created_time"`
		From    person   `json:"from"`
		To      struct {
			Data []person `json:"data"`
		} `json:"to"`
		Text        string `json:"message"`
		Attachments struct {
			Data []struct {
				Name  string `json:"name"`
				Type  string `json:"mime_type"`
				File  string `json:"file_url"`
				Image struct {
					URL string `json:"url"`
				} `json:"image_data"`
				Video struct {
					URL string `json:"url"`
				} `json:"video_data"`
			} `json:"data"`
		} `json:"attachments"`
	}
	if json.Unmarshal(raw, &m) != nil || m.ID == "" || m.From.ID == "" || m.Created.IsZero() {
		return metaTold(object, ours, "messaging", map[string]any{"message": raw}) // is nobody's: whoever reads it puts it aside
	}
	said := map[string]any{"mid": m.ID, "text": m.Text}
	var files []any
	for _, a := range m.Attachments.Data {
		kind, at := "file", a.File
		switch {
		case a.Image.URL != "":
			kind, at = "image", a.Image.URL
		case a.Video.URL != "":
			kind, at = "video", a.Video.URL
		case strings.HasPrefix(a.Type, "audio/"):
			kind = "audio"
		}
		files = append(files, map[string]any{"type": kind, "payload": map[string]any{"url": at, "title": a.Name}})
	}
	if files != nil {
		said["attachments"] = files
	}
	to := person{ours}
	if m.From.ID == ours {
		said["is_echo"] = true
		if len(m.To.Data) > 0 {
			to = m.To.Data[0]
		}
	}
	return metaTold(object, ours, "messaging", map[string]any{"sender": m.From, "recipient": to, "timestamp": m.Created.UnixMilli(), "message": said})
}
