package main

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"leadstream/sinks/sim/fault"
	"leadstream/sinks/sim/hook"
	"leadstream/sinks/sim/mail"
	"leadstream/sinks/sim/phone"
	"leadstream/sinks/sim/portal"
)

// simulators are what a drill puts in the place of the outside: a portal for each CRM, a program for each webhook, a
// phone and a mail server for the people, a service for each source that has one. They live in the drill's own process, so that they outlive the daemon.
type simulators struct {
	phone    *phone.Phone
	mail     *mail.Server
	portals  map[string]crm // by sink
	hooks    map[string]*hook.Hook
	carriers map[string]*carrier // by source
	listen   string              // where the drilled daemon takes what they bring
	talks    map[string]talks    // by channel of answers
	people   map[string]string   // chat, number or mailbox → sink
	untold   int                 // what the services still had to tell when they were hushed
	hushed   bool
	fault    error    // of starting one of them
	phones   []string // of a running daemon: where its people's simulators are
}

// crm is a simulated portal, here or in another process.
type crm interface {
	Ledger() []portal.Event
	Requests() int
	Inject(fault.Fault)
	Clear()
	URL() string
	Close() error
}

// newSimulators starts what every drill needs; the rest starts when a sink asks for it.
func newSimulators() (*simulators, error) {
	s := &simulators{phone: phone.New(phone.Options{Chats: []phone.Chat{}}), mail: mail.New(), portals: map[string]crm{},
		hooks: map[string]*hook.Hook{}, carriers: map[string]*carrier{}, people: map[string]string{}, talks: map[string]talks{}}
	return s, errors.Join(s.phone.Start(), s.mail.Start())
}

func (s *simulators) Close() error {
	var err error
	if s.phone != nil {
		err = errors.Join(s.phone.Close(), s.mail.Close())
	}
	for _, p := range s.portals {
		err = errors.Join(err, p.Close())
	}
	for _, h := range s.hooks {
		err = errors.Join(err, h.Close())
	}
	for _, c := range s.carriers {
		err = errors.Join(err, c.close())
	}
	return err
}

// portal is the address of a Bitrix24 of the sink's own.
func (s *simulators) portal(sink string, fields []string) string {
	p := portal.New(portal.Options{UserFields: fields})
	if err := p.Start(); err != nil {
		s.fault = errors.Join(s.fault, err)
		return ""
	}
	s.portals[sink] = p
	return p.URL()
}

// hook is the address of a program that takes the sink's leads.
func (s *simulators) hook(sink string, keyed bool) string {
	h := hook.New(hook.Options{Keyed: keyed})
	if err := h.Start(); err != nil {
		s.fault = errors.Join(s.fault, err)
		return ""
	}
	s.hooks[sink] = h
	return h.URL()
}

// chat is a Telegram chat that only this sink writes to.
func (s *simulators) chat(sink string) string {
	id := int64(1000001 + len(s.people))
	s.phone.SetChat(phone.Chat{ID: id, Type: "private", Name: sink})
	to := fmt.Sprint(id)
	s.people[to] = sink
	return to
}

// number is a mobile number that only this sink writes to.
func (s *simulators) number(sink string) string {
	digits := fmt.Sprintf("7999900%04d", len(s.people))
	s.people[digits] = sink
	return "+" + digits
}

// mailbox is an address that only this sink writes to.
func (s *simulators) mailbox(sink string) string {
	to := fmt.Sprintf("person%d@example.test", len(s.people))
	s.people[to] = sink
	return to
}

func (s *simulators) mailServer() (host string, port int) {
	a := s.mail.Addr()
	return a.IP.String(), a.Port
}

// addresses are all host:port of the simulators.
func (s *simulators) addresses() []string {
	all := []string{hostOf(s.phone.URL()), s.mail.Addr().String()}
	for _, p := range s.portals {
		all = append(all, hostOf(p.URL()))
	}
	for _, h := range s.hooks {
		all = append(all, hostOf(h.URL()))
	}
	for _, c := range s.carriers {
		if c.url != "" {
			all = append(all, hostOf(c.url))
		}
		if at, ok := c.talks.put["base_url"].(string); ok {
			all = append(all, hostOf(at))
		}
	}
	slices.Sort(all)
	return all
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// inject makes every CRM and program misbehave; the people's phone and mail stay well.
func (s *simulators) inject(f fault.Fault) {
	for _, p := range s.portals {
		p.Inject(f)
	}
	for _, h := range s.hooks {
		h.Inject(f)
	}
}

// clear ends all misbehaviour.
func (s *simulators) clear() {
	for _, p := range s.portals {
		p.Clear()
	}
	for _, h := range s.hooks {
		h.Clear()
	}
}

// message is what a person has got.
type message struct {
	at       time.Time
	to, text string
}

// messages are everybody's.
func (s *simulators) messages() (all []message, err error) {
	if s.phone == nil {
		return s.elsewhere()
	}
	for _, m := range s.phone.Messages() {
		all = append(all, message{m.At, m.To, m.Text})
	}
	for _, m := range s.mail.Messages() {
		all = append(all, message{m.At, m.To, m.Subject})
	}
	return all, nil
}

// sinkOf is who a message of the phone or the mail server was for.
func (s *simulators) sinkOf(to string) string { return s.people[strings.TrimPrefix(to, "+")] }
