// Package vk is a simulated community at VK: people write to it, and its bot learns of that by a Callback API server or by the
// Bots Long Poll, and may read the history (dev.vk.com/ru/api/community-events). It answers with VK's own error codes and
// misbehaves on request as package fault describes. Walls, shops and everything that no enquiry comes from are left out.
package vk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"leadstream/sinks/sim/fault"
	"leadstream/sinks/sim/push"
)

// Fault is one way to misbehave; Method is the API's (groups.getLongPollServer …), messages.getHistory:PEER, or a_check.
type Fault = fault.Fault

// Options are a community's settings.
type Options struct {
	Addr    string           // 127.0.0.1:0 when empty
	Token   string           // of the community: "vk1.a.community-token"
	Group   int64            // its number: 200000001
	Confirm string           // its confirmation string: "a1b2c3d4"
	NoPoll  bool             // Long Poll is switched off in its settings
	History int              // events that Long Poll remembers; 1,000
	KeyLife int              // a_check calls that a key lasts for; 0: for ever
	Rate    int              // API calls a second; 20; negative: any number
	Hurry   float64          // how many times faster than VK the callback's delays pass: 1
	Watch   push.Watch       // of the events, by the callback or by Long Poll
	Clock   func() time.Time // time.Now when nil
}

// message is one message of a conversation.
type message struct {
	ID     int64  `json:"id"`
	Date   int64  `json:"date"`
	Peer   int64  `json:"peer_id"`
	From   int64  `json:"from_id"`
	Number int64  `json:"conversation_message_id"`
	Out    int    `json:"out"`
	Text   string `json:"text"`
	Random int64  `json:"random_id"`

	Attachments []any `json:"attachments"`
	Forwarded   []any `json:"fwd_messages"`
	Important   bool  `json:"important"`
	Hidden      bool  `json:"is_hidden"`

	Keyboard json.RawMessage `json:"keyboard,omitempty"`

	raw json.RawMessage // what history tells instead
}

// server is a Callback API server of the community.
type server struct {
	id      int
	title   string
	url     string
	secret  string
	status  string // unconfigured, failed, wait, ok
	events  map[string]bool
	version string
	queue   *push.Queue
}

// Community is a simulated community. It is an http.Handler; Start gives it an address of its own.
type Community struct {
	o      Options
	faults fault.Set
	client *http.Client

	http     *http.Server
	listener net.Listener
	serving  sync.WaitGroup
	closed   chan struct{}
	closing  sync.Once

	mu       sync.Mutex
	said     map[int64][]message // by peer, oldest first
	denied   map[int64]bool      // people who take no messages
	lastID   int64
	servers  []*server
	lastSrv  int
	events   []json.RawMessage // of Long Poll
	first    int64             // ts of events[0]
	taken    int64             // up to this ts somebody has asked for what follows
	key      int
	checks   int // with this key
	wake     chan struct{}
	calls    []time.Time
	polling  int
	settings map[string]bool // kinds of event that Long Poll brings
}

const version = "5.199"

// New makes a community. It does no I/O.
func New(o Options) *Community {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	o.Token = cmp.Or(o.Token, "vk1.a.community-token")
	o.Group = cmp.Or(o.Group, 200000001)
	o.Confirm = cmp.Or(o.Confirm, "a1b2c3d4")
	o.History = cmp.Or(o.History, 1000)
	o.Rate = cmp.Or(o.Rate, 20)
	o.Hurry = cmp.Or(o.Hurry, 1)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Community{o: o, said: map[int64][]message{}, denied: map[int64]bool{}, first: 1, taken: 1, key: 1, wake: make(chan struct{}), closed: make(chan struct{}),
		client: &http.Client{Timeout: 10 * time.Second}, settings: map[string]bool{"message_new": true, "message_reply": true, "message_event": true,
			"message_allow": true, "message_deny": true}}
}

// Start opens the address and serves until Close.
func (c *Community) Start() error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", c.o.Addr)
	if err != nil {
		return fmt.Errorf("simulated VK: %w", err)
	}
	c.listener = l
	c.http = &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second}
	c.serving.Go(func() { _ = c.http.Serve(l) })
	return nil
}

// Close ends the calls in flight.
func (c *Community) Close() error {
	c.closing.Do(func() { close(c.closed) })
	c.faults.Close()
	c.mu.Lock()
	servers := c.servers
	c.mu.Unlock()
	for _, s := range servers {
		s.queue.Close()
	}
	c.client.CloseIdleConnections()
	if c.http != nil {
		_ = c.http.Close() // its error is the listener's, closed here on purpose
		c.serving.Wait()
	}
	return nil
}

// URL is the address that stands for api.vk.com, without a slash at the end. Start comes first.
func (c *Community) URL() string { return "http://" + c.listener.Addr().String() }

// Inject adds a fault.
func (c *Community) Inject(f Fault) { c.faults.Inject(f) }

// Clear removes all faults.
func (c *Community) Clear() { c.faults.Clear() }

// Write has a person write to the community, and answers the message's number within the conversation.
func (c *Community) Write(from int64, text string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.add(from, from, text, 0)
	c.tell("message_new", map[string]any{"message": m, "client_info": map[string]any{"button_actions": []string{"text", "open_link", "callback"},
		"keyboard": true, "inline_keyboard": true, "carousel": true, "lang_id": 0}})
	return m.Number
}

// Reply has the community answer a person, by its own page.
func (c *Community) Reply(peer int64, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tell("message_reply", c.add(peer, -c.o.Group, text, 0))
}

// Told is what the community has said to a person, oldest first: texts, each with its keyboard behind it where it has one.
func (c *Community) Told(peer int64) (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.said[peer] {
		if m.Out == 1 {
			all = append(all, m.Text+string(m.Keyboard))
		}
	}
	return all
}

// Deny has a person forbid the community's messages; Allow takes that back, or is a person's first word.
func (c *Community) Deny(peer int64)  { c.allow(peer, false, "message_deny") }
func (c *Community) Allow(peer int64) { c.allow(peer, true, "message_allow") }

func (c *Community) allow(peer int64, allowed bool, kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.denied[peer] = !allowed
	c.tell(kind, map[string]any{"user_id": peer, "key": ""})
}

// Spoil has a person say something that history tells as it is given here, and no event tells.
func (c *Community) Spoil(from int64, raw string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(from, from, "", 0)
	c.said[from][len(c.said[from])-1].raw = json.RawMessage(raw)
}

// Raw tells an event as it is.
func (c *Community) Raw(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, json.RawMessage(text))
	c.remember()
}

// Read has a person read what the community last said.
func (c *Community) Read(peer int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	said := c.said[peer]
	if len(said) == 0 {
		return
	}
	last := said[len(said)-1]
	c.tell("message_read", map[string]any{"from_id": peer, "peer_id": peer, "read_message_id": last.ID, "conversation_message_id": last.Number})
}

// add keeps a message of a conversation.
func (c *Community) add(peer, from int64, text string, random int64) message {
	c.lastID++
	m := message{ID: c.lastID, Date: c.o.Clock().Unix(), Peer: peer, From: from, Number: int64(len(c.said[peer]) + 1), Text: text, Random: random,
		Attachments: []any{}, Forwarded: []any{}}
	if from < 0 {
		m.Out = 1
	}
	c.said[peer] = append(c.said[peer], m)
	return m
}

// tell makes an event of what has happened, for Long Poll and each server that has ticked it.
func (c *Community) tell(kind string, object any) {
	id := fmt.Sprintf("%040x", c.first+int64(len(c.events))+c.lastID<<20)
	event := func(secret string) []byte {
		e := map[string]any{"type": kind, "object": object, "group_id": c.o.Group, "event_id": id, "v": version}
		if secret != "" {
			e["secret"] = secret
		}
		b, err := json.Marshal(e)
		if err != nil {
			panic(err) // what is a test's mistake
		}
		return b
	}
	for _, s := range c.servers {
		if s.events[kind] {
			s.queue.Add("all", func(int64) []byte { return event(s.secret) })
		}
	}
	if c.settings[kind] {
		c.events = append(c.events, event(""))
		c.remember()
	}
}

// remember drops the oldest events, and wakes who waits.
func (c *Community) remember() {
	if more := len(c.events) - c.o.History; more > 0 {
		c.events, c.first = slices.Clone(c.events[more:]), c.first+int64(more)
	}
	close(c.wake)
	c.wake = make(chan struct{})
}

// Polling is whether somebody waits for events.
func (c *Community) Polling() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.polling > 0
}

// Forget loses the events that Long Poll remembers.
func (c *Community) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first += int64(len(c.events)) + 1
	c.events = nil
	c.remember()
}

// NewKey makes the keys that were handed out worthless.
func (c *Community) NewKey() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.key++
	close(c.wake)
	c.wake = make(chan struct{})
}

// Servers are the addresses of the callback servers with their states, as "URL state".
func (c *Community) Servers() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, s := range c.servers {
		out = append(out, s.url+" "+c.statusOf(s))
	}
	return out
}

// Unsent is how many events wait for a callback server.
func (c *Community) Unsent() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.servers {
		n += s.queue.State().Waiting
	}
	return n
}

// Unasked is how many events of Long Poll nobody has asked beyond.
func (c *Community) Unasked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.first + int64(len(c.events)) - max(c.taken, c.first))
}

// Serve adds a callback server with all events ticked, as an owner does in the settings; VK then asks it to confirm itself.
func (c *Community) Serve(address, secret string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, e := c.addCallbackServer(url.Values{"url": {address}, "title": {"leadstream"}, "secret_key": {secret}})
	if e != nil {
		return errors.New(e.text)
	}
	s := c.servers[len(c.servers)-1]
	for _, kind := range []string{"message_new", "message_reply", "message_read", "message_edit", "message_event", "message_allow", "message_deny"} {
		s.events[kind] = true
	}
	return nil
}

// Drop removes all callback servers, as somebody in the settings would.
func (c *Community) Drop() {
	c.mu.Lock()
	servers := c.servers
	c.servers = nil
	c.mu.Unlock()
	for _, s := range servers {
		s.queue.Close()
	}
}

// Fail makes VK give up a server that does not take its events, and forget them.
func (c *Community) Fail() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.servers {
		s.status = "failed"
		s.queue.SetHook(nil)
		s.queue.Forget(func(push.Event) bool { return true })
	}
}

func (c *Community) statusOf(s *server) string { return s.status }

// deliver begins sending events to a server that has confirmed itself.
func (c *Community) deliver(s *server) {
	s.queue.SetHook(&push.Hook{URL: s.url, Header: http.Header{}, Most: 1, Taken: func(status int, body []byte) error {
		switch {
		case status != http.StatusOK:
			return fmt.Errorf("status %d", status)
		case string(body) != "ok":
			return errors.New("incorrect response text")
		}
		return nil
	}, Repeated: func(h http.Header, fails int) { h.Set("X-Retry-Counter", strconv.Itoa(fails)) },
		Delay: func(fails int) time.Duration { return min(time.Duration(fails)*10*time.Second, 10*time.Minute) }})
}

// confirm asks a server for the confirmation string. It waits without c.mu, which the caller does not hold.
func (c *Community) confirm(s *server) {
	body, _ := json.Marshal(map[string]any{"type": "confirmation", "group_id": c.o.Group, "secret": s.secret})
	if s.secret == "" {
		body, _ = json.Marshal(map[string]any{"type": "confirmation", "group_id": c.o.Group})
	}
	res, err := c.client.Post(s.url, "application/json", strings.NewReader(string(body)))
	ok := false
	if err == nil {
		answer := make([]byte, 100)
		n, _ := res.Body.Read(answer)
		res.Body.Close()
		ok = res.StatusCode == http.StatusOK && string(answer[:n]) == c.o.Confirm
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.servers, s) {
		return
	}
	if s.status = "failed"; ok {
		s.status = "ok"
		c.deliver(s)
	}
}
