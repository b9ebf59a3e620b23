// Package avito is a simulated messenger of Avito: people write about advertisements, and an application learns of that by
// its webhook, which tries but once, or reads the chats (developers.avito.ru/api-catalog/messenger). It gives out tokens that expire,
// answers with Avito's limits, and misbehaves on request as package fault describes. Sending, images and voice messages are left out.
package avito

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"leadstream/sinks/sim/fault"
)

// Fault is one way to misbehave; Method is token, self, subscriptions, webhook, chats, or messages:CHAT.
type Fault = fault.Fault

// Options are an account's settings.
type Options struct {
	Addr       string           // 127.0.0.1:0 when empty
	ID, Secret string           // of the application: "client", "client-secret"
	User       int64            // the account: 81000001
	Life       time.Duration    // of a token; 24 h
	Wrapped    bool             // messages come in an object
	Clock      func() time.Time // time.Now when nil
}

// Messenger is a simulated account. It is an http.Handler; Start gives it an address of its own.
type Messenger struct {
	o      Options
	faults fault.Set
	client *http.Client

	server   *http.Server
	listener net.Listener
	work     sync.WaitGroup

	mu      sync.Mutex
	tokens  map[string]time.Time // to when they are good
	given   int
	hooks   []string
	chats   map[string]*chat
	last    int
	sending int
	lost    int
}

type chat struct {
	id       string
	item     int64
	updated  int64
	messages []json.RawMessage // oldest first
}

// New makes an account. It does no I/O.
func New(o Options) *Messenger {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	o.ID, o.Secret = cmp.Or(o.ID, "client"), cmp.Or(o.Secret, "client-secret")
	o.User = cmp.Or(o.User, 81000001)
	o.Life = cmp.Or(o.Life, 24*time.Hour)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Messenger{o: o, tokens: map[string]time.Time{}, chats: map[string]*chat{}, client: &http.Client{Timeout: 2 * time.Second}}
}

// Start opens the address and serves until Close.
func (m *Messenger) Start() error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", m.o.Addr)
	if err != nil {
		return fmt.Errorf("simulated Avito: %w", err)
	}
	m.listener = l
	m.server = &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second}
	m.work.Go(func() { _ = m.server.Serve(l) })
	return nil
}

// Close ends the calls in flight.
func (m *Messenger) Close() {
	m.faults.Close()
	if m.server != nil {
		_ = m.server.Close() // its error is the listener's, closed here on purpose
	}
	m.client.CloseIdleConnections()
	m.work.Wait()
}

// URL is the address that stands for api.avito.ru, without a slash at the end. Start comes first.
func (m *Messenger) URL() string { return "http://" + m.listener.Addr().String() }

// Inject adds a fault.
func (m *Messenger) Inject(f Fault) { m.faults.Inject(f) }

// Clear removes all faults.
func (m *Messenger) Clear() { m.faults.Clear() }

// Write has a person write about an advertisement, and answers the message's id.
func (m *Messenger) Write(author, item int64, text string) string {
	return m.say(author, author, item, text)
}

// Reply has the account answer a person.
func (m *Messenger) Reply(to, item int64, text string) string { return m.say(to, m.o.User, item, text) }

func (m *Messenger) say(person, author, item int64, text string) string {
	m.mu.Lock()
	c := m.chat(person, item)
	m.last++
	id := fmt.Sprintf("msg%08d", m.last)
	now := m.o.Clock().Unix()
	direction := "in"
	if author == m.o.User {
		direction = "out"
	}
	c.updated = now
	c.messages = append(c.messages, encode(map[string]any{"id": id, "author_id": author, "created": now, "direction": direction, "type": "text",
		"content": map[string]any{"text": text}, "is_read": false}))
	event := encode(map[string]any{"id": "event-" + id, "version": "v3.0.0", "timestamp": now, "payload": map[string]any{"type": "message", "value": map[string]any{
		"id": id, "chat_id": c.id, "user_id": m.o.User, "author_id": author, "created": now, "type": "text", "chat_type": "u2i", "item_id": item,
		"content": map[string]any{"text": text}}}})
	hooks := slices.Clone(m.hooks)
	m.sending += len(hooks)
	m.mu.Unlock()
	for _, url := range hooks {
		m.work.Go(func() { m.post(url, event) })
	}
	return id
}

// chat is that of a person and an advertisement. The caller holds m.mu.
func (m *Messenger) chat(person, item int64) *chat {
	id := fmt.Sprintf("u2i-%d~%d", person, item)
	c := m.chats[id]
	if c == nil {
		c = &chat{id: id, item: item}
		m.chats[id] = c
	}
	return c
}

// Spoil puts something into a person's chat that is told as it is given here, and that no webhook brings.
func (m *Messenger) Spoil(person, item int64, raw string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.chat(person, item)
	c.updated = m.o.Clock().Unix()
	c.messages = append(c.messages, json.RawMessage(raw))
}

// post tells a webhook once.
func (m *Messenger) post(url string, event []byte) {
	res, err := m.client.Post(url, "application/json", bytes.NewReader(event))
	ok := err == nil && res.StatusCode == http.StatusOK
	if err == nil {
		res.Body.Close()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sending--
	if !ok {
		m.lost++
	}
}

// Told is how many events are on their way to a webhook, and how many came to none.
func (m *Messenger) Told() (sending, lost int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sending, m.lost
}

// Webhooks are the addresses that are told.
func (m *Messenger) Webhooks() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.hooks)
}

// Drop forgets all webhooks.
func (m *Messenger) Drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hooks = nil
}

// Revoke takes all tokens back.
func (m *Messenger) Revoke() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.tokens)
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // what is a test's mistake
	}
	return b
}

func answer(status int, v any) fault.Answer {
	return fault.Answer{Status: status, ContentType: "application/json; charset=utf-8", Body: encode(v)}
}

func refuse(status int, message string) fault.Answer {
	return answer(status, map[string]any{"error": map[string]any{"code": status, "message": message}})
}

// ServeHTTP answers the API.
func (m *Messenger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	account := fmt.Sprintf("/accounts/%d/chats", m.o.User)
	method, open := r.Method+" "+r.URL.Path, false
	run := func() fault.Answer { return refuse(http.StatusNotFound, "route not found") }
	switch id, ok := strings.CutPrefix(r.URL.Path, "/messenger/v3"+account+"/"); {
	case method == "POST /token":
		method, open, run = "token", true, func() fault.Answer { return m.token(r) }
	case method == "GET /core/v1/accounts/self":
		method, run = "self", func() fault.Answer {
			return answer(http.StatusOK, map[string]any{"id": m.o.User, "name": "Салон"})
		}
	case method == "POST /messenger/v1/subscriptions":
		method, run = "subscriptions", m.subscriptions
	case method == "POST /messenger/v3/webhook":
		method, run = "webhook", func() fault.Answer { return m.subscribe(r) }
	case method == "GET /messenger/v2"+account:
		method, run = "chats", func() fault.Answer { return m.list(r) }
	case r.Method == http.MethodGet && ok && strings.HasSuffix(id, "/messages/"):
		id = strings.TrimSuffix(id, "/messages/")
		method, run = "messages:"+id, func() fault.Answer { return m.messages(r, id) }
	}
	m.faults.Serve(w, r, fault.Exchange{Method: method, Run: func() fault.Answer {
		m.mu.Lock()
		defer m.mu.Unlock()
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !open && !m.o.Clock().Before(m.tokens[token]) {
			return refuse(http.StatusForbidden, "invalid access token")
		}
		return run()
	}, Refuse: func(f Fault) fault.Answer { return refuse(max(f.Status, 400), f.Description) }})
}

func (m *Messenger) token(r *http.Request) fault.Answer {
	if err := r.ParseForm(); err != nil || r.Form.Get("grant_type") != "client_credentials" {
		return refuse(http.StatusBadRequest, "invalid_request")
	}
	if r.Form.Get("client_id") != m.o.ID || r.Form.Get("client_secret") != m.o.Secret {
		return answer(http.StatusOK, map[string]any{"error": "invalid_client", "error_description": "Invalid client"})
	}
	m.given++
	token := "token" + strconv.Itoa(m.given)
	m.tokens[token] = m.o.Clock().Add(m.o.Life)
	return answer(http.StatusOK, map[string]any{"access_token": token, "expires_in": int(m.o.Life / time.Second), "token_type": "Bearer"})
}

func (m *Messenger) subscriptions() fault.Answer {
	list := []any{}
	for _, url := range m.hooks {
		list = append(list, map[string]any{"url": url, "version": "3"})
	}
	return answer(http.StatusOK, map[string]any{"subscriptions": list})
}

func (m *Messenger) subscribe(r *http.Request) fault.Answer {
	var in struct {
		URL string `json:"url"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.URL == "" {
		return refuse(http.StatusBadRequest, "url is required")
	}
	if !slices.Contains(m.hooks, in.URL) {
		m.hooks = append(m.hooks, in.URL)
	}
	return answer(http.StatusOK, map[string]any{"ok": true})
}

// part is what limit and offset say; false: they are none.
func part(r *http.Request, length int) (from, to int, ok bool) {
	limit, bad := strconv.Atoi(cmp.Or(r.FormValue("limit"), "100"))
	offset, wrong := strconv.Atoi(cmp.Or(r.FormValue("offset"), "0"))
	from = min(max(offset, 0), length)
	return from, min(from+limit, length), bad == nil && wrong == nil && limit >= 1 && limit <= 100 && offset >= 0 && offset <= 1000
}

func (m *Messenger) list(r *http.Request) fault.Answer {
	all := []*chat{}
	for _, c := range m.chats {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *chat) int { return cmp.Or(cmp.Compare(b.updated, a.updated), cmp.Compare(a.id, b.id)) })
	from, to, ok := part(r, len(all))
	if !ok {
		return refuse(http.StatusBadRequest, "limit or offset")
	}
	list := []any{}
	for _, c := range all[from:to] {
		list = append(list, map[string]any{"id": c.id, "created": c.updated, "updated": c.updated, "context": map[string]any{"type": "item", "value": map[string]any{"id": c.item}},
			"last_message": c.messages[len(c.messages)-1], "users": []any{}})
	}
	return answer(http.StatusOK, map[string]any{"chats": list})
}

func (m *Messenger) messages(r *http.Request, id string) fault.Answer {
	c := m.chats[id]
	if c == nil {
		return refuse(http.StatusNotFound, "chat not found")
	}
	all := slices.Clone(c.messages)
	slices.Reverse(all)
	from, to, ok := part(r, len(all))
	switch {
	case !ok:
		return refuse(http.StatusBadRequest, "limit or offset")
	case m.o.Wrapped:
		return answer(http.StatusOK, map[string]any{"messages": all[from:to]})
	}
	return answer(http.StatusOK, all[from:to])
}
