// Package customer is a simulated customer's phone: a page from which a person writes to the business by one messenger or
// another. What the messengers do with it is theirs.
package customer

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Messenger is an app on the phone.
type Messenger struct {
	Name  string                             // as the person knows it: Telegram
	Write func(who int64, name, text string) // who is the same for the same name
	Said  func(who int64) []string           // what they were answered; nil: nobody answers
}

// Options are a phone's settings.
type Options struct {
	Addr       string // 127.0.0.1:0 when empty
	Messengers []Messenger
	See        map[string]string // pages where to look at what comes of it: address by title
}

// Phone is a simulated customer's phone. It is an http.Handler; Start gives it an address of its own.
type Phone struct {
	o        Options
	server   *http.Server
	listener net.Listener
	serving  sync.WaitGroup

	mu      sync.Mutex
	people  map[string]int64
	written []Message
	heard   map[string]int // answers that are among them, by messenger and person
}

// Message is what was written from the phone.
type Message struct {
	At             time.Time
	By, Name, Text string
	Answer         bool // to the customer
}

// New makes a phone. It does no I/O.
func New(o Options) *Phone {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	return &Phone{o: o, people: map[string]int64{}, heard: map[string]int{}}
}

// Start opens the address and serves until Close.
func (p *Phone) Start() error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", p.o.Addr)
	if err != nil {
		return fmt.Errorf("simulated customer: %w", err)
	}
	p.listener = l
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	p.serving.Go(func() { _ = p.server.Serve(l) })
	return nil
}

// Close ends the requests in flight.
func (p *Phone) Close() error {
	if p.server != nil {
		_ = p.server.Close() // its error is the listener's, closed here on purpose
		p.serving.Wait()
	}
	return nil
}

// URL is the page's address. Start comes first.
func (p *Phone) URL() string { return "http://" + p.listener.Addr().String() }

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("customer").Parse(pageHTML))

// words of the page, by language.
var words = map[string]map[string]string{
	"ru": {"title": "Телефон клиента", "by": "Чем писать", "name": "Имя", "text": "Сообщение", "send": "Отправить", "none": "Вы ещё ничего не написали",
		"see": "Что из этого вышло", "person": "Анна", "example": "Здравствуйте! Есть запись на сегодня после двух?", "other": "English"},
	"en": {"title": "The customer's phone", "by": "Write by", "name": "Name", "text": "Message", "send": "Send", "none": "Nothing written yet",
		"see": "See what comes of it", "person": "Anna", "example": "Hello! Can I come today after two?", "other": "Русский"},
}

const (
	mostText = 4000 // letters, as messengers have it
	mostName = 60
)

// ServeHTTP shows the page, and writes what is sent from it.
func (p *Phone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	switch {
	case r.URL.Path != "/":
		http.NotFound(w, r)
	case r.Method == http.MethodPost:
		if !p.write(r.PostFormValue("by"), r.PostFormValue("name"), r.PostFormValue("text")) {
			http.Error(w, "no such messenger, or nothing to say", http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, "/?"+r.URL.RawQuery, http.StatusSeeOther)
	default:
		p.page(w, r)
	}
}

func (p *Phone) write(by, name, text string) bool {
	name, text = strings.TrimSpace(name), strings.TrimSpace(text)
	i := slices.IndexFunc(p.o.Messengers, func(m Messenger) bool { return m.Name == by })
	if i < 0 || name == "" || text == "" || len([]rune(text)) > mostText || len([]rune(name)) > mostName {
		return false
	}
	p.mu.Lock()
	who := p.people[name]
	if who == 0 {
		who = int64(len(p.people) + 1)
		p.people[name] = who
	}
	p.hear()
	p.written = append(p.written, Message{At: time.Now(), By: by, Name: name, Text: text})
	p.mu.Unlock()
	p.o.Messengers[i].Write(who, name, text)
	return true
}

// hear takes up what was answered since the last look.
func (p *Phone) hear() {
	for _, m := range p.o.Messengers {
		if m.Said == nil {
			continue
		}
		for name, who := range p.people {
			said, key := m.Said(who), m.Name+"\x00"+name
			for _, text := range said[min(p.heard[key], len(said)):] {
				p.written = append(p.written, Message{At: time.Now(), By: m.Name, Name: name, Text: text, Answer: true})
			}
			p.heard[key] = len(said)
		}
	}
}

func (p *Phone) page(w http.ResponseWriter, r *http.Request) {
	lang := cmp.Or(r.FormValue("lang"), strings.ToLower(r.Header.Get("Accept-Language")), "ru")
	if lang = lang[:min(2, len(lang))]; words[lang] == nil {
		lang = "en"
	}
	p.mu.Lock()
	p.hear()
	list := slices.Clone(p.written)
	p.mu.Unlock()
	last := Message{Name: words[lang]["person"]}
	for _, m := range list {
		if !m.Answer {
			last = m
		}
	}
	slices.Reverse(list)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pageTemplate.Execute(w, map[string]any{"Lang": lang, "Other": map[string]string{"ru": "en", "en": "ru"}[lang], "W": words[lang],
		"Messengers": p.o.Messengers, "See": p.o.See, "Messages": list, "Last": last}) // the caller has gone: nothing to tell them
}
