// Package phone is a simulated person's phone: a server that speaks enough of the Telegram Bot API and of several SMS
// gateways to receive messages, keeps what arrived, shows it, and on request misbehaves as package fault describes.
//
// Its person also writes to the bot, which gets that by a webhook or by asking. It leaves out files and delivery callbacks.
package phone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"leadstream/sinks/sim/fault"
	"leadstream/sinks/sim/push"
)

// Fault is one way for the phone's services to misbehave; Method is sendMessage and the like for Telegram, else
// smsc.send, smsc.status, smsru.send, smsru.status, twilio.send, twilio.list, twilio.message, kannel.send, gateway.send.
type Fault = fault.Fault

// Chat is a Telegram chat that the bot may write to.
type Chat struct {
	ID        int64
	Type      string // private, group, supergroup, channel
	Name      string
	Blocked   bool  // the person has blocked the bot, or the group has removed it
	MigrateTo int64 // the group has become this supergroup
}

// Options are a phone's settings. The zero value knows one chat, 1000001, and the keys below.
type Options struct {
	Addr    string  // 127.0.0.1:0 when empty
	Token   string  // of the bot: 110201543:phone-token
	Chats   []Chat  // nil: a private chat 1000001
	Login   string  // SMSC and Kannel user, Twilio account: AC…1 for Twilio, "shop" for the others
	Secret  string  // SMSC password or apikey, SMS.ru api_id, Kannel password, Twilio token: "secret"
	Balance float64 // of the SMS accounts: 412.50

	PerSecond int        // messages of the bot to all chats: 30, and up to 1,000 for who pays for it
	PlainHTTP bool       // the bot's webhook may be http, at any port, and set again at once
	Hurry     float64    // how many times faster than Telegram's the webhook's delays pass: 1
	FirstID   int64      // of the updates: 700000001
	Watch     push.Watch // of the bot's updates

	Clock func() time.Time // time.Now when nil
}

// TwilioAccount is the account that the phone's Twilio knows when Options name none.
const TwilioAccount = "AC00000000000000000000000000000001"

// Message is what arrived on the phone.
type Message struct {
	Seq    int       `json:"seq"`
	At     time.Time `json:"at"`
	Via    string    `json:"via"` // telegram, smsc, smsru, twilio, kannel, gateway
	To     string    `json:"to"`
	From   string    `json:"from,omitempty"`
	Text   string    `json:"text"` // as the person sees it: without markup
	ID     string    `json:"id"`   // as the service answered
	Parts  int       `json:"parts,omitempty"`
	Edits  int       `json:"edits,omitempty"`
	Silent bool      `json:"silent,omitempty"`
	State  State     `json:"state,omitempty"` // of an SMS
	Answer string    `json:"answer"`          // delivered, or lost on its way back to the sender

	Buttons string `json:"buttons,omitempty"` // below it, as sent

	raw string // as sent: what an edit is compared with
}

// State is what became of an SMS that a gateway has taken.
type State string

// The states of an SMS.
const (
	Delivered State = ""        // at once
	Waiting   State = "waiting" // for a phone that is off
	Expired   State = "expired"
)

// Phone is a simulated phone. It is an http.Handler; Start gives it an address of its own.
type Phone struct {
	o      Options
	faults fault.Set
	mux    *http.ServeMux

	server   *http.Server
	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	messages []Message
	chats    []Chat
	off      map[string]bool       // numbers, in digits
	sent     map[int64][]time.Time // per chat, for Telegram's limits; 0 is the whole bot
	bot      botState

	updates *push.Queue // what people write to the bot
	closed  chan struct{}
	closing sync.Once
}

// New makes a phone. It does no I/O.
func New(o Options) *Phone {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&o.Addr, "127.0.0.1:0")
	set(&o.Token, "110201543:phone-token")
	set(&o.Secret, "secret")
	if o.Balance == 0 {
		o.Balance = 412.5
	}
	if o.PerSecond == 0 {
		o.PerSecond = 30
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.FirstID == 0 {
		o.FirstID = 700000001
	}
	if o.Chats == nil {
		o.Chats = []Chat{{ID: 1000001, Type: "private", Name: "Менеджер"}}
	}
	p := &Phone{o: o, chats: slices.Clone(o.Chats), sent: map[int64][]time.Time{}, off: map[string]bool{}, mux: http.NewServeMux(),
		updates: push.New(push.Options{Watch: o.Watch, Clock: o.Clock, Hurry: o.Hurry, First: o.FirstID}), closed: make(chan struct{})}
	p.telegramRoutes()
	p.smscRoutes()
	p.smsruRoutes()
	p.twilioRoutes()
	p.gatewayRoutes()
	p.pageRoutes()
	return p
}

// Start opens the address and serves until Close.
func (p *Phone) Start() error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", p.o.Addr)
	if err != nil {
		return fmt.Errorf("simulated phone: %w", err)
	}
	p.listener = l
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	p.serving.Go(func() { _ = p.server.Serve(l) })
	return nil
}

// Close ends the calls in flight.
func (p *Phone) Close() error {
	p.closing.Do(func() { close(p.closed) })
	p.faults.Close()
	p.updates.Close()
	if p.server != nil {
		_ = p.server.Close() // its error is the listener's, closed here on purpose
		p.serving.Wait()
	}
	return nil
}

// URL is the address that stands for each service's own, without a slash at the end. Start comes first.
func (p *Phone) URL() string { return "http://" + p.listener.Addr().String() }

// Inject adds a fault.
func (p *Phone) Inject(f Fault) { p.faults.Inject(f) }

// Clear removes all faults.
func (p *Phone) Clear() { p.faults.Clear() }

// SetChat adds a chat, or changes the one with its ID.
func (p *Phone) SetChat(c Chat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chats = append(slices.DeleteFunc(p.chats, func(o Chat) bool { return o.ID == c.ID }), c)
}

// SwitchOff has the phone of a number be off: gateways take its SMS and bring none of them. SwitchOn brings them.
func (p *Phone) SwitchOff(number string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off[digits(number)] = true
}

// SwitchOn ends SwitchOff.
func (p *Phone) SwitchOn(number string) {
	p.waiting(number, Delivered)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.off, digits(number))
}

// Expire has the gateways give up the SMS that wait for a phone.
func (p *Phone) Expire(number string) { p.waiting(number, Expired) }

func (p *Phone) waiting(number string, become State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.messages {
		if m := &p.messages[i]; m.State == Waiting && digits(m.To) == digits(number) {
			m.State = become
		}
	}
}

// Messages is what has arrived, oldest first; SMS that wait or have expired are among them.
func (p *Phone) Messages() []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.messages)
}

// ServeHTTP is the services, the test's controls under /sim/, and a page for a person at /.
func (p *Phone) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// request is one call of a service, under p.mu.
type request struct {
	p    *Phone
	args map[string]string
	now  time.Time
	path string // what the path names
	seq  []int  // of the messages it brought
}

// service is how one gateway is spoken to: what a call does, and what a refusal looks like.
type service struct {
	waits  bool // run takes p.mu itself, for it may wait
	run    func(*request) fault.Answer
	refuse func(Fault) fault.Answer
}

// serve runs a call, with the fault that is due.
func (p *Phone) serve(w http.ResponseWriter, r *http.Request, method string, s service) {
	args, err := arguments(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	q := &request{p: p, args: args}
	p.faults.Serve(w, r, fault.Exchange{
		Method: method,
		Run: func() fault.Answer {
			q.now = p.o.Clock()
			if !s.waits {
				p.mu.Lock()
				defer p.mu.Unlock()
			}
			return s.run(q)
		},
		Refuse: func(f Fault) fault.Answer {
			if f.Code == "" && f.Description == "" && (f.Status >= 500 || f.Status < 400) {
				return fault.FrontPage(f.Status)
			}
			return s.refuse(f)
		},
		Fate: func(delivered bool) {
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, seq := range q.seq {
				p.messages[seq-1].Answer = map[bool]string{true: "delivered", false: "lost"}[delivered]
			}
		},
	})
}

// arrive keeps a message.
func (q *request) arrive(m Message) *Message {
	m.Seq, m.At, m.Answer = len(q.p.messages)+1, q.now, "pending"
	if m.Via != "telegram" && q.p.off[digits(m.To)] {
		m.State = Waiting
	}
	q.p.messages = append(q.p.messages, m)
	q.seq = append(q.seq, m.Seq)
	return &q.p.messages[m.Seq-1]
}

const maxBody = 1 << 20

// arguments reads the query and the body, form or JSON; a JSON value that is no string is kept as JSON.
func arguments(r *http.Request) (map[string]string, error) {
	args := map[string]string{}
	take := func(v url.Values) {
		for k, l := range v {
			args[k] = l[0]
		}
	}
	take(r.URL.Query())
	r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "application/json":
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, fmt.Errorf("reading the body: %w", err)
		}
		var in map[string]json.RawMessage
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, fmt.Errorf("reading JSON: %w", err)
		}
		for k, v := range in {
			var s string
			if json.Unmarshal(v, &s) != nil {
				s = string(v)
			}
			args[k] = s
		}
	case "multipart/form-data":
		// Clients without parameters to send leave out even the last boundary.
		if err := r.ParseMultipartForm(maxBody); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading the form: %w", err)
		}
		take(r.MultipartForm.Value)
	default:
		if err := r.ParseForm(); err != nil {
			return nil, fmt.Errorf("reading the form: %w", err)
		}
		take(r.PostForm)
	}
	return args, nil
}

// answerJSON is an answer in JSON.
func answerJSON(status int, v any) fault.Answer {
	b, err := json.Marshal(v)
	if err != nil {
		return answerText(http.StatusInternalServerError, err.Error())
	}
	return fault.Answer{Status: status, ContentType: "application/json; charset=utf-8", Body: b}
}

func answerText(status int, s string) fault.Answer {
	return fault.Answer{Status: status, ContentType: "text/plain; charset=utf-8", Body: []byte(s)}
}

// numbered is a service's code out of a fault; what a caller wrote there that is no number is 0.
func numbered(code string) int {
	n, _ := strconv.Atoi(code)
	return n
}
