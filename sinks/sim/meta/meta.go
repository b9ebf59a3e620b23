// Package meta is a simulated Graph API with WhatsApp's Cloud API and lead ads: it sends webhooks that are signed, repeated
// until they are taken, put together and doubled as Meta does; it gives files by links that expire, and forms by their
// number; it takes messages under the rules of WhatsApp, Messenger and Instagram, and tells what becomes of them. On request it misbehaves as package
// fault describes, with Meta's own codes.
//
// It leaves out how templates come to be approved, catalogues, calls, uploads, and the business manager.
package meta

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"leadstream/sinks/sim/fault"
	"leadstream/sinks/sim/push"
)

// Fault is one way to misbehave. Its Method is media:ID, file:ID, leadgen:ID, leads:FORM, send:TO,
// app, accounts, subscribed:ID, conversations:PLATFORM, forms or messages:CONVERSATION; its
// Code is Meta's, say "190".
type Fault = fault.Fault

// Options are a server's settings.
type Options struct {
	Addr   string // 127.0.0.1:0 when empty
	Token  string // that callers must show
	Secret string // of the app: signs webhooks
	Verify string // token of the handshake

	Webhook string        // where events go; empty: nowhere yet, see Subscribe
	Batch   int           // events in one webhook at most; 0 is 1
	Linger  time.Duration // for which events are gathered before a webhook
	Back    time.Duration // before an event is sent again, doubled each time; 0 is a second
	Twice   bool          // every event comes twice, at the same time
	Watch   push.Watch    // of the webhooks

	Phone, Account, Page string // our ids: the number's, the business account's, the page's
	Instagram            string // and the Instagram account's
	Expire               time.Duration
	Now                  func() time.Time
}

// Server is a simulated Graph API. It is an http.Handler; Start gives it an address of its own.
type Server struct {
	o      Options
	faults fault.Set

	server   *http.Server
	listener net.Listener
	serving  sync.WaitGroup
	stop     context.CancelFunc

	mu      sync.Mutex
	wake    chan struct{}
	events  []event
	sending int
	next    int64
	files   map[string]File
	links   map[string]link
	forms   map[string]map[string]any
	order   []string // of forms
	last    map[string]time.Time
	paced   map[string][]time.Time
	sent    []Sent
	calls   map[string]int
	refused []string

	talks      map[string]*talk  // by id
	subscribed map[string]string // fields by page, and by business account

	fates    map[string]Fate // by recipient
	approved map[string]int  // parameters of templates by name/language
}

// File is a file that a customer has sent.
type File struct {
	Content []byte
	Type    string
	Sum     string // told instead of the true SHA-256
}

type link struct {
	file    string
	expires time.Time
}

// Sent is a message that was taken.
type Sent struct {
	ID, To, Type, Text, Template string
	Platform                     string   // whatsapp, messenger, instagram
	Parameters                   []string // of the template's body
	Buttons                      []string // their titles
	Callback                     string   // biz_opaque_callback_data, or Messenger's metadata
	At                           time.Time
}

// New makes a server. It does no I/O.
func New(o Options) *Server {
	o.Addr = or(o.Addr, "127.0.0.1:0")
	o.Phone, o.Account, o.Page = or(o.Phone, "555000111222333"), or(o.Account, "100200300400500"), or(o.Page, "300000000000001")
	o.Instagram = or(o.Instagram, "17800000000000001")
	o.Batch, o.Back, o.Expire = max(o.Batch, 1), or(o.Back, time.Second), or(o.Expire, 5*time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Server{o: o, wake: make(chan struct{}, 1), next: 900000000000000, files: map[string]File{}, links: map[string]link{},
		forms: map[string]map[string]any{}, last: map[string]time.Time{}, paced: map[string][]time.Time{}, calls: map[string]int{},
		fates: map[string]Fate{}, approved: map[string]int{}, talks: map[string]*talk{}, subscribed: map[string]string{o.Page: pageFields, o.Account: "all"}}
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Start opens the address, and serves and sends events until Close.
func (s *Server) Start() error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", s.o.Addr)
	if err != nil {
		return fmt.Errorf("simulated Graph API: %w", err)
	}
	s.listener = l
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.serving.Go(func() { _ = s.server.Serve(l) })
	s.serving.Go(func() { s.push(ctx) })
	return nil
}

// Close ends everything in flight. Events that were not taken are forgotten.
func (s *Server) Close() {
	s.faults.Close()
	if s.server != nil {
		s.stop()
		_ = s.server.Close() // its error is the listener's, closed here on purpose
		s.serving.Wait()
	}
}

// URL is the base that clients are given. Start comes first.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() + "/v23.0" }

// Inject adds a fault; Clear removes all.
func (s *Server) Inject(f Fault) { s.faults.Inject(f) }

// Clear removes all faults.
func (s *Server) Clear() { s.faults.Clear() }

// Calls is how often something was asked for: media:ID, file:ID, leadgen:ID …
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// Sent are the messages that were taken, oldest first.
func (s *Server) Sent() []Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// Refused are the codes of what was not done, oldest first.
func (s *Server) Refused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refused)
}

// id is a number that nobody has yet. The caller holds mu.
func (s *Server) id() string {
	s.next++
	return strconv.FormatInt(s.next, 10)
}

// Upload keeps a file, and returns its media id.
func (s *Server) Upload(f File) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.id()
	s.files[id] = f
	return id
}

// Fill fills in a lead ad's form, and returns its leadgen_id. The page is told.
func (s *Server) Fill(form string, answers map[string]string, more map[string]any) string {
	s.mu.Lock()
	id := s.id()
	var data []any
	for _, name := range slices.Sorted(keys(answers)) {
		data = append(data, map[string]any{"name": name, "values": []any{answers[name]}})
	}
	lead := map[string]any{"id": id, "created_time": s.o.Now().UTC().Format("2006-01-02T15:04:05-0700"), "form_id": form, "field_data": data}
	for k, v := range more {
		lead[k] = v
	}
	s.forms[id] = lead
	s.order = append(s.order, id)
	s.mu.Unlock()
	value := map[string]any{"leadgen_id": id, "page_id": s.o.Page, "form_id": form, "created_time": s.o.Now().Unix()}
	if ad, ok := more["ad_id"]; ok {
		value["ad_id"] = ad
	}
	s.tell("page", s.o.Page, "leadgen", value)
	return id
}

// Forget deletes a file or a form.
func (s *Server) Forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, id)
	delete(s.forms, id)
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

var version = regexp.MustCompile(`^/v\d+\.\d+/`)

const maxBody = 1 << 20

// ServeHTTP answers the Graph API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest := version.ReplaceAllString(r.URL.Path, "/")
	parts := strings.Split(strings.Trim(rest, "/"), "/")
	method, run, ok := s.pageRoute(r, parts)
	if !ok {
		method, run = s.route(r, parts)
	}
	s.mu.Lock()
	s.calls[method]++
	s.mu.Unlock()
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	var sent map[string]any
	if r.Method == http.MethodPost && body.Decode(&sent) != nil && r.ContentLength != 0 {
		s.reply(w, s.failure("100", "Invalid parameter"))
		return
	}
	if method == "send" {
		method = "send:" + or(recipient(sent), part[string](sent["recipient"], "id"))
	}
	s.faults.Serve(w, r, fault.Exchange{Method: method, Run: func() fault.Answer {
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); (!ok || token != s.o.Token && token != s.pageToken()) && r.URL.Query().Get("access_token") != s.o.Token {
			if strings.HasPrefix(method, "file:") {
				return fault.Answer{Status: http.StatusUnauthorized}
			}
			return s.failure("190", "Invalid OAuth access token")
		}
		return run(sent)
	}, Refuse: func(f Fault) fault.Answer {
		if f.Code == "" {
			return fault.FrontPage(max(f.Status, http.StatusInternalServerError))
		}
		a := s.failure(f.Code, f.Description)
		if f.Status != 0 {
			a.Status = f.Status
		}
		return a
	}})
}

func (s *Server) reply(w http.ResponseWriter, a fault.Answer) {
	w.Header().Set("Content-Type", a.ContentType)
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the caller has gone
}

// route finds out what is asked.
func (s *Server) route(r *http.Request, parts []string) (method string, run func(map[string]any) fault.Answer) {
	id := parts[0]
	switch {
	case r.Method == http.MethodGet && len(parts) == 2 && parts[0] == "files":
		return "file:" + s.linked(parts[1]), func(map[string]any) fault.Answer { return s.bytes(parts[1]) }
	case r.Method == http.MethodGet && len(parts) == 2 && parts[1] == "leads":
		return "leads:" + id, func(map[string]any) fault.Answer { return s.leads(id, r) }
	case r.Method == http.MethodPost && len(parts) == 2 && parts[1] == "messages":
		return "send", func(sent map[string]any) fault.Answer { return s.send(id, sent) }
	case r.Method == http.MethodGet && len(parts) == 1:
		s.mu.Lock()
		_, form := s.forms[id]
		_, file := s.files[id]
		s.mu.Unlock()
		if form || !file && strings.Contains(r.URL.Query().Get("fields"), "field_data") {
			return "leadgen:" + id, func(map[string]any) fault.Answer { return s.form(id, r.URL.Query().Get("fields")) }
		}
		return "media:" + id, func(map[string]any) fault.Answer { return s.media(id) }
	}
	return r.Method + " " + r.URL.Path, func(map[string]any) fault.Answer { return s.failure("100/33", "Unsupported request") }
}

func answer(v any) fault.Answer {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it is ours
	}
	return fault.Answer{Status: http.StatusOK, ContentType: "application/json; charset=UTF-8", Body: b}
}

// statuses are those of Meta's codes that do not come with 400.
var statuses = map[string]int{"0": 401, "190": 401, "3": 403, "10": 403, "200": 403, "368": 403, "131031": 403, "1": 500, "2": 503,
	"131000": 500, "131016": 500, "131057": 500, "133004": 503, "130429": 429}

// failure is Meta's envelope; code may have a subcode after a slash.
func (s *Server) failure(code, message string) fault.Answer {
	s.mu.Lock()
	s.refused = append(s.refused, code)
	s.mu.Unlock()
	main, sub, _ := strings.Cut(code, "/")
	n, _ := strconv.Atoi(main)
	e := map[string]any{"message": fmt.Sprintf("(#%d) %s", n, message), "type": "OAuthException", "code": n, "fbtrace_id": "Asim"}
	if m, err := strconv.Atoi(sub); err == nil {
		e["error_subcode"] = m
	}
	if n >= 130000 {
		e["error_data"] = map[string]any{"messaging_product": "whatsapp", "details": message}
	}
	a := answer(map[string]any{"error": e})
	a.Status = or(statuses[main], http.StatusBadRequest)
	return a
}
