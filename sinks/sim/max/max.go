// Package max is a simulated MAX: people write to a bot, which learns of it by its webhook or by asking for updates
// (dev.max.ru/docs-api). It knows MAX's limits and errors, takes a subscription away whose address fails for eight hours, and
// misbehaves on request as package fault describes. Group chats, files and everything that no enquiry comes from are left out.
package max

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"leadstream/sinks/sim/fault"
	"leadstream/sinks/sim/push"
)

// Fault is one way to misbehave; Method is the HTTP method and the path, as in "GET /updates".
type Fault = fault.Fault

// Options are a bot's settings.
type Options struct {
	Addr      string           // 127.0.0.1:0 when empty
	Token     string           // "max-token"
	Bot       int64            // its number: 220000001
	PlainHTTP bool             // a webhook may be http
	Rate      int              // calls a second; 30; negative: any number
	PollRate  int              // of GET /updates: 2; negative: any number
	Hurry     float64          // how many times faster than MAX the webhook's delays pass: 1
	Watch     push.Watch       // of the updates
	Clock     func() time.Time // time.Now when nil

	Reading   Reading // of what an update's marker means
	FromFirst bool    // `from` of GET /messages is the earlier time, and `to` the later one; else they are the other way round
}

// Reading is what the texts on GET /updates may mean; MAX's own do not agree.
type Reading int

// The readings of what is told without a marker.
const (
	Everything Reading = iota // all that was not confirmed
	Latest                    // the latest update alone; with a marker, all from there on
	LatestOnly                // the same, and also for a marker before the last that was told
)

// Messenger is a simulated MAX. It is an http.Handler; Start gives it an address of its own.
type Messenger struct {
	o      Options
	faults fault.Set

	server   *http.Server
	listener net.Listener
	serving  sync.WaitGroup
	closed   chan struct{}
	closing  sync.Once

	mu      sync.Mutex
	updates *push.Queue // what was not committed
	hook    *subscription
	calls   map[string][]time.Time
	seq     int64
	polling int
	said    map[int64][]json.RawMessage // by chat, oldest first
	stopped map[int64]bool              // people by whether they have stopped the bot; who is not here has never written
	last    int64                       // marker that was told last
}

// subscription is where the bot wants its updates.
type subscription struct {
	URL   string   `json:"url"`
	Time  int64    `json:"time"`
	Types []string `json:"update_types"`

	secret string
	good   time.Time // when it last took an update, or was made
}

// given up is how long an address may fail.
const givenUp = 8 * time.Hour

// New makes a messenger. It does no I/O.
func New(o Options) *Messenger {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	o.Token = cmp.Or(o.Token, "max-token")
	o.Bot = cmp.Or(o.Bot, 220000001)
	o.Rate = cmp.Or(o.Rate, 30)
	o.PollRate = cmp.Or(o.PollRate, 2)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Messenger{o: o, closed: make(chan struct{}), calls: map[string][]time.Time{}, said: map[int64][]json.RawMessage{}, stopped: map[int64]bool{}, seq: 116000000000000000,
		updates: push.New(push.Options{Watch: o.Watch, Clock: o.Clock, Hurry: o.Hurry, First: 5000})}
}

// Start opens the address and serves until Close.
func (m *Messenger) Start() error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", m.o.Addr)
	if err != nil {
		return fmt.Errorf("simulated MAX: %w", err)
	}
	m.listener = l
	m.server = &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second}
	m.serving.Go(func() { _ = m.server.Serve(l) })
	return nil
}

// Close ends the calls in flight.
func (m *Messenger) Close() error {
	m.closing.Do(func() { close(m.closed) })
	m.faults.Close()
	m.updates.Close()
	if m.server != nil {
		_ = m.server.Close() // its error is the listener's, closed here on purpose
		m.serving.Wait()
	}
	return nil
}

// URL is the address that stands for platform-api2.max.ru, without a slash at the end. Start comes first.
func (m *Messenger) URL() string { return "http://" + m.listener.Addr().String() }

// Inject adds a fault.
func (m *Messenger) Inject(f Fault) { m.faults.Inject(f) }

// Clear removes all faults.
func (m *Messenger) Clear() { m.faults.Clear() }

// Write has a person write to the bot, and answers the message's mid.
func (m *Messenger) Write(user int64, name, text string) string {
	m.mu.Lock()
	m.seq++
	seq := m.seq
	m.stopped[user] = false
	m.mu.Unlock()
	now := m.o.Clock().UnixMilli()
	mid := fmt.Sprintf("mid.%032x", seq)
	message := map[string]any{
		"recipient": map[string]any{"chat_id": user + chats, "chat_type": "dialog", "user_id": m.o.Bot}, "timestamp": now,
		"body":   map[string]any{"mid": mid, "seq": seq, "text": text},
		"sender": map[string]any{"user_id": user, "first_name": name, "last_name": "", "is_bot": false, "last_activity_time": now, "name": name}}
	m.keep(user+chats, message)
	m.Tell("message_created", map[string]any{"message": message})
	return mid
}

// chats is the number of a person's dialog, less the person's.
const chats = 60000000

// keep adds a message to a dialog.
func (m *Messenger) keep(chat int64, message any) {
	body, err := json.Marshal(message)
	if err != nil {
		panic(err) // what is a test's mistake
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.said[chat] = append(m.said[chat], body)
}

// Spoil puts something into a person's dialog that is told as it is given here.
func (m *Messenger) Spoil(user int64, text string) { m.keep(user+chats, json.RawMessage(text)) }

// Leave forgets a person's dialog, as when the person stops the bot.
func (m *Messenger) Leave(user int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.said, user+chats)
}

// Expire forgets the updates that nobody took.
func (m *Messenger) Expire() { m.updates.Forget(func(push.Event) bool { return true }) }

// Stop has a person stop the bot.
func (m *Messenger) Stop(user int64) {
	m.mu.Lock()
	m.stopped[user] = true
	m.mu.Unlock()
	m.Tell("bot_stopped", map[string]any{"chat_id": user + chats, "user": map[string]any{"user_id": user, "first_name": "", "is_bot": false, "name": ""}})
}

// Told is what the bot has said to a person, oldest first: texts, each with its attachments behind it where it has some.
func (m *Messenger) Told(user int64) (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, raw := range m.said[user+chats] {
		var one struct {
			Sender struct {
				Bot bool `json:"is_bot"`
			} `json:"sender"`
			Body struct {
				Text        string          `json:"text"`
				Attachments json.RawMessage `json:"attachments"`
			} `json:"body"`
		}
		if json.Unmarshal(raw, &one) == nil && one.Sender.Bot {
			all = append(all, one.Body.Text+string(one.Body.Attachments))
		}
	}
	return all
}

// Begin has a person press the bot's start button, by a link with a payload.
func (m *Messenger) Begin(user int64, name, payload string) {
	m.mu.Lock()
	m.stopped[user] = false
	m.mu.Unlock()
	m.Tell("bot_started", map[string]any{"chat_id": user + chats, "payload": payload,
		"user": map[string]any{"user_id": user, "first_name": name, "last_name": "", "is_bot": false, "name": name}})
}

// Tell makes an update of any kind.
func (m *Messenger) Tell(kind string, with map[string]any) {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	if hook != nil && len(hook.Types) > 0 && !slices.Contains(hook.Types, kind) {
		return
	}
	update := map[string]any{"update_type": kind, "timestamp": m.o.Clock().UnixMilli(), "user_locale": "ru"}
	for k, v := range with {
		update[k] = v
	}
	body, err := json.Marshal(update)
	if err != nil {
		panic(err) // what is a test's mistake
	}
	m.Raw(string(body))
}

// Raw tells an update as it is.
func (m *Messenger) Raw(text string) {
	m.updates.Add("all", func(int64) []byte { return []byte(text) })
}

// Unread is how many updates the bot has not taken.
func (m *Messenger) Unread() int { return m.updates.State().Waiting }

// Webhook is the address that is subscribed; empty: none.
func (m *Messenger) Webhook() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current() == nil {
		return ""
	}
	return m.hook.URL
}

// Polling is whether somebody waits for updates.
func (m *Messenger) Polling() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.polling > 0
}

// Unsubscribe takes the subscription away, as MAX does with an address that fails for eight hours.
func (m *Messenger) Unsubscribe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = nil
	m.updates.SetHook(nil)
}

// current is the subscription, unless it has failed for too long.
func (m *Messenger) current() *subscription {
	if m.hook == nil {
		return nil
	}
	s := m.updates.State()
	if s.OKAt.After(m.hook.good) {
		m.hook.good = s.OKAt
	}
	if s.Error != "" && s.ErrorAt.After(m.hook.good) && m.o.Clock().Sub(m.hook.good) >= givenUp {
		m.hook = nil
		m.updates.SetHook(nil)
	}
	return m.hook
}

func answer(status int, v any) fault.Answer {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return fault.Answer{Status: status, ContentType: "application/json; charset=utf-8", Body: b}
}

func refuse(status int, code, message string) fault.Answer {
	return answer(status, map[string]any{"code": code, "message": message})
}

// ServeHTTP answers the methods of the Bot API.
func (m *Messenger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	run := map[string]func(*http.Request) fault.Answer{
		"GET /me": m.me, "GET /updates": m.getUpdates, "GET /subscriptions": m.subscriptions, "POST /subscriptions": m.subscribe,
		"DELETE /subscriptions": m.unsubscribe, "POST /messages": m.send, "GET /messages": m.messages, "PATCH /me": m.me, "POST /answers": m.done,
	}[r.Method+" "+r.URL.Path]
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	m.faults.Serve(w, r, fault.Exchange{Method: r.Method + " " + r.URL.Path, Run: func() fault.Answer {
		switch {
		case r.Header.Get("Authorization") != m.o.Token:
			return refuse(http.StatusUnauthorized, "verify.token", "Invalid access_token")
		case run == nil:
			return refuse(http.StatusNotFound, "not.found", "Unknown path")
		case m.slow("", m.o.Rate):
			return refuse(http.StatusTooManyRequests, "too.many.requests", "Too many requests")
		}
		return run(r)
	}, Refuse: func(f Fault) fault.Answer {
		if f.Code == "" && f.Description == "" {
			return fault.FrontPage(max(f.Status, 400))
		}
		return refuse(f.Status, f.Code, f.Description)
	}})
}

// slow is whether there are too many calls of a kind this second.
func (m *Messenger) slow(kind string, rate int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.o.Clock()
	m.calls[kind] = slices.DeleteFunc(m.calls[kind], func(t time.Time) bool { return now.Sub(t) >= time.Second })
	if rate > 0 && len(m.calls[kind]) >= rate {
		return true
	}
	m.calls[kind] = append(m.calls[kind], now)
	return false
}

func (m *Messenger) me(*http.Request) fault.Answer {
	return answer(http.StatusOK, map[string]any{"user_id": m.o.Bot, "first_name": "Салон", "name": "Салон", "username": "salon_bot", "is_bot": true,
		"last_activity_time": m.o.Clock().UnixMilli()})
}

func (m *Messenger) done(*http.Request) fault.Answer {
	return answer(http.StatusOK, map[string]any{"success": true})
}

func (m *Messenger) subscriptions(*http.Request) fault.Answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []any{}
	if s := m.current(); s != nil {
		list = append(list, s)
	}
	return answer(http.StatusOK, map[string]any{"subscriptions": list})
}

var secretForm = regexp.MustCompile(`^[A-Za-z0-9_-]{5,256}$`)

func (m *Messenger) subscribe(r *http.Request) fault.Answer {
	var in struct {
		URL    string   `json:"url"`
		Secret string   `json:"secret"`
		Types  []string `json:"update_types"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return refuse(http.StatusBadRequest, "proto.payload", "Invalid JSON")
	}
	u, err := url.Parse(in.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && !m.o.PlainHTTP {
		return answer(http.StatusOK, map[string]any{"success": false, "message": "Invalid url: HTTPS is required"})
	}
	if in.Secret != "" && !secretForm.MatchString(in.Secret) {
		return refuse(http.StatusBadRequest, "proto.payload", "secret: must match [a-zA-Z0-9_-]{5,256}")
	}
	m.Subscribe(in.URL, in.Secret, in.Types)
	return answer(http.StatusOK, map[string]any{"success": true})
}

// Subscribe has updates sent to an address, of these kinds: all when there are none.
func (m *Messenger) Subscribe(address, secret string, types []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = &subscription{URL: address, Time: m.o.Clock().UnixMilli(), Types: types, secret: secret, good: m.o.Clock()}
	h := &push.Hook{URL: address, Header: http.Header{}, Most: 10, Taken: func(status int, _ []byte) error {
		if status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return nil
	}, Delay: func(int) time.Duration { return 45 * time.Second }} // 30 to 60
	if secret != "" {
		h.Header.Set("X-Max-Bot-Api-Secret", secret)
	}
	m.updates.SetHook(h)
}

func (m *Messenger) unsubscribe(r *http.Request) fault.Answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.current(); s != nil && s.URL == r.URL.Query().Get("url") {
		m.hook = nil
		m.updates.SetHook(nil)
	}
	return answer(http.StatusOK, map[string]any{"success": true})
}

func number(args url.Values, key string, def, least, most int) (int, bool) {
	if args.Get(key) == "" {
		return def, true
	}
	n, err := strconv.Atoi(args.Get(key))
	return n, err == nil && n >= least && n <= most
}

// getUpdates waits. A marker commits what lies before it; without one there is all that was not committed.
func (m *Messenger) getUpdates(r *http.Request) fault.Answer {
	args := r.URL.Query()
	limit, ok := number(args, "limit", 100, 1, 1000)
	timeout, good := number(args, "timeout", 30, 0, 90)
	marker, err := strconv.ParseInt(cmp.Or(args.Get("marker"), "0"), 10, 64)
	m.mu.Lock()
	hook := m.current()
	m.mu.Unlock()
	switch {
	case !ok || !good || err != nil || marker < 0:
		return refuse(http.StatusBadRequest, "proto.payload", "Invalid parameters")
	case hook != nil:
		return refuse(http.StatusConflict, "webhook.active", "Long polling is not available while a webhook subscription is active")
	case m.slow("updates", m.o.PollRate):
		return refuse(http.StatusTooManyRequests, "too.many.requests", "Too many requests")
	}
	var types []string
	if t := args.Get("types"); t != "" {
		types = strings.Split(t, ",")
	}
	m.mu.Lock()
	m.polling++
	m.mu.Unlock()
	defer func() { m.mu.Lock(); m.polling--; m.mu.Unlock() }()
	timer := time.NewTimer(time.Duration(timeout) * time.Second)
	defer timer.Stop()
	for over := false; ; {
		changed := m.updates.Changed()
		if marker > 0 {
			m.updates.Confirm(func(e push.Event) bool { return e.ID < marker })
		}
		found, next := []json.RawMessage{}, marker
		for _, e := range m.latest(marker) {
			if len(found) == limit {
				break
			}
			next = e.ID + 1
			if types == nil || slices.Contains(types, kindOf(e.Body)) {
				found = append(found, e.Body)
			}
		}
		if len(found) > 0 || over {
			m.mu.Lock()
			m.last = next
			m.mu.Unlock()
			out := map[string]any{"updates": found, "marker": next}
			if next == 0 {
				out["marker"] = nil
			}
			return answer(http.StatusOK, out)
		}
		select {
		case <-changed:
		case <-timer.C:
			over = true
		case <-r.Context().Done():
			over = true
		case <-m.closed:
			over = true
		}
	}
}

// latest are the updates that are told from a marker on.
func (m *Messenger) latest(marker int64) []push.Event {
	all := m.updates.Waiting()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.o.Reading == Everything || len(all) == 0 || marker > 0 && (m.o.Reading == Latest || marker >= m.last) {
		return all
	}
	return all[len(all)-1:]
}

// messages tells a part of a dialog, the latest first.
func (m *Messenger) messages(r *http.Request) fault.Answer {
	args := r.URL.Query()
	chat, err := strconv.ParseInt(args.Get("chat_id"), 10, 64)
	from, wrong := strconv.ParseInt(cmp.Or(args.Get("from"), "0"), 10, 64)
	to, bad := strconv.ParseInt(cmp.Or(args.Get("to"), "0"), 10, 64)
	count, ok := number(args, "count", 50, 1, 100)
	if err != nil || wrong != nil || bad != nil || !ok {
		return refuse(http.StatusBadRequest, "proto.payload", "Invalid parameters")
	}
	first, last := to, from
	if m.o.FromFirst {
		first, last = from, to
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all, ok := m.said[chat]
	if !ok {
		return refuse(http.StatusForbidden, "chat.denied", "The user has stopped the bot, or there is no such chat")
	}
	found := []json.RawMessage{}
	for i := len(all) - 1; i >= 0 && len(found) < count; i-- {
		var one struct {
			At int64 `json:"timestamp"`
		}
		_ = json.Unmarshal(all[i], &one) // what a test has broken is of no time
		if one.At > 0 && (first > 0 && one.At < first || last > 0 && one.At > last) {
			continue
		}
		found = append(found, all[i])
	}
	return answer(http.StatusOK, map[string]any{"messages": found})
}

func kindOf(body []byte) string {
	var u struct {
		Type string `json:"update_type"`
	}
	_ = json.Unmarshal(body, &u) // what a test has broken is of no kind
	return u.Type
}

// send says something to a person who has begun with the bot.
func (m *Messenger) send(r *http.Request) fault.Answer {
	var in struct {
		Text        string `json:"text"`
		Attachments []struct {
			Type    string `json:"type"`
			Payload struct {
				Buttons [][]struct {
					Type, Text, URL, Payload string
				} `json:"buttons"`
			} `json:"payload"`
		} `json:"attachments"`
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(raw, &in) != nil || in.Text == "" || len([]rune(in.Text)) > 4000 {
		return refuse(http.StatusBadRequest, "proto.payload", "text: size must be between 1 and 4000")
	}
	for _, a := range in.Attachments {
		if a.Type != "inline_keyboard" || len(a.Payload.Buttons) == 0 || len(a.Payload.Buttons) > 30 {
			return refuse(http.StatusBadRequest, "proto.payload", "attachments: of another kind, or without buttons")
		}
		for _, b := range slices.Concat(a.Payload.Buttons...) {
			if b.Text == "" || len([]rune(b.Text)) > 128 || len(b.Payload) > 1024 || (b.Type == "link") != (b.URL != "") || (b.Type == "callback") != (b.Payload != "") {
				return refuse(http.StatusBadRequest, "proto.payload", "buttons: text, payload or url")
			}
		}
	}
	user, _ := strconv.ParseInt(cmp.Or(r.URL.Query().Get("user_id"), "0"), 10, 64)
	if chat, err := strconv.ParseInt(r.URL.Query().Get("chat_id"), 10, 64); err == nil {
		user = chat - chats
	}
	m.mu.Lock()
	stopped, known := m.stopped[user]
	m.seq++
	seq := m.seq
	m.mu.Unlock()
	switch {
	case !known:
		return refuse(http.StatusNotFound, "dialog.not.found", "Dialog not found")
	case stopped:
		return refuse(http.StatusForbidden, "chat.denied", "error.dialog.suspended")
	}
	var body map[string]any
	_ = json.Unmarshal(raw, &body) // it was read above
	said := map[string]any{"mid": fmt.Sprintf("mid.%032x", seq), "seq": seq, "text": in.Text}
	if len(in.Attachments) > 0 {
		said["attachments"] = body["attachments"]
	}
	message := map[string]any{"timestamp": m.o.Clock().UnixMilli(), "body": said,
		"recipient": map[string]any{"chat_id": user + chats, "chat_type": "dialog", "user_id": user},
		"sender":    map[string]any{"user_id": m.o.Bot, "is_bot": true, "first_name": "Салон", "name": "Салон"}}
	m.keep(user+chats, message)
	return answer(http.StatusOK, map[string]any{"message": message})
}
