package intake

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"leadstream/daemon/channel"
	"leadstream/daemon/mail"
	"leadstream/streams"
)

// spoken is what the source's protocol must know.
func (s Source) spoken(zone *time.Location) channel.Config {
	return channel.Config{
		Secrets: s.Secrets, Accounts: s.Accounts, Verification: s.Verification, URL: s.URL, Region: s.Region, Language: s.Language, Zone: zone,
		Poll: s.Poll, Token: s.Token, App: s.App,
	}
}

// greet answers a GET with which a service tries the address, if the source's service does that. Where the address holds
// a key, who has none finds nothing.
func (h *Handler) greet(q *request, name, rest string) bool {
	s := h.sources[name]
	if s == nil || s.protocol == nil || len(s.keys) > 0 && !s.knows(sha256.Sum256([]byte(keyOf(q.r, q.query, rest)))) {
		return false
	}
	q.client = clientOf(q.r, h.trusted)
	if wait := h.stranger.peek(q.client, q.start); wait > 0 {
		h.refuse(q, fault("too_many_requests", ""), wait)
		return true
	}
	q.source = s
	return h.greeted(q)
}

// greeted answers a request that only tries the address. One that does not know our secret counts as a stranger's.
func (h *Handler) greeted(q *request) bool {
	s := q.source
	if s.protocol == nil {
		return false
	}
	reply, ok := s.protocol.Greet(q.r, q.body)
	if !ok {
		return false
	}
	if reply.Code != http.StatusOK {
		h.stranger.take(q.client, q.start)
		q.source = nil
		h.refuse(q, fault("unauthorized", ""), 0)
		return true
	}
	s.result[Ignored].Inc()
	h.log.Info().Str("source", s.name).Msg("the service has tried the address")
	writeBody(q.w, reply.Code, typeText, []byte(reply.Body))
	return true
}

// events keeps what a service tells, and answers.
func (h *Handler) events(q *request, body []byte) {
	if err := h.keepEvents(q.r.Context(), q, [][]byte{body}); err != nil {
		h.later(q, err)
		return
	}
	q.source.thank(q)
}

// Told keeps what a service has said to a question: events, each as its webhook would have brought it. It returns nil once
// all of them are on disk, and an error when none of the leads is: ask for the same events again then.
func (h *Handler) Told(ctx context.Context, source string, events [][]byte) error {
	s := h.sources[source]
	if s == nil || s.protocol == nil {
		return fmt.Errorf("%s is no source that speaks a protocol", source)
	}
	media := typeJSON
	if s.Preset == "mail" {
		media = typeMail
	}
	q := &request{r: &http.Request{Header: http.Header{"Content-Type": media}}, start: h.now(), source: s, keyed: true}
	return h.keepEvents(ctx, q, events)
}

// keepEvents makes durable what a service tells, all or nothing. What it tells and we cannot read is kept raw and counts
// as kept: the service would tell it again for a day, and with some of them nothing else of that chat would come before it.
func (h *Handler) keepEvents(ctx context.Context, q *request, bodies [][]byte) error {
	s := q.source
	taken := make([]Taken, 0, len(bodies))
	told := make([][]channel.Event, len(bodies))
	var talks []string
	for n, body := range bodies {
		if n%turn == turn-1 {
			runtime.Gosched()
		}
		var err error
		if told[n], err = s.protocol.Read(body, q.r.Header.Get("Content-Type")); err != nil {
			told[n] = []channel.Event{{Raw: body, Err: err}}
		}
	}
	// A stop waits for the disk. Reading has had its own time: the files of a mail may take longer than the journal may.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.config.TakeTimeout)
	defer cancel()
	for _, found := range told {
		for i := range found {
			e := &found[i]
			switch {
			case e.Err != nil:
				why := reason{"unreadable", s.say("an event of the service could not be read: ", "событие сервиса не прочитано: ") + e.Err.Error()}
				if err := h.quarantine(ctx, q, why, e.Raw); err != nil {
					return err
				}
				s.result["quarantined"].Inc()
			case e.Ignore != "":
				s.result[Ignored].Inc()
				h.metrics.ignored.WithLabelValues(s.name, e.Ignore).Inc()
				level := zerolog.DebugLevel
				if e.Ignore == channel.Stranger {
					level = zerolog.WarnLevel // else a forgotten account would be silent
				}
				if s.Preset == "mail" { // each may be a customer's, and a person looks for it
					level = zerolog.InfoLevel
				}
				h.log.WithLevel(level).Str("source", s.name).Str("why", e.Ignore).Msg("event ignored")
				if e.Doubtful && q.w != nil { // who has handed it over keeps no copy; what we ask for stays where it is
					why := reason{"ignored", s.say("taken for no enquiry: ", "не принято за обращение: ") + e.Ignore}
					if err := h.quarantine(ctx, q, why, e.Raw); err != nil {
						return err
					}
				}
			default:
				taken = append(taken, s.taken(e, q.start))
				if e.Talk != "" && h.Heard != nil {
					talks = append(talks, e.Talk)
				}
			}
		}
	}
	for _, talk := range talks { // before they are kept: one that is not heard of is never asked for what it says
		h.Heard(s.name, talk)
	}
	receipts, err := h.take(ctx, taken)
	if errors.Is(err, ErrTooLarge) || err != nil && slices.ContainsFunc(taken, unwritable) {
		return h.keepEach(ctx, q, taken)
	}
	if err != nil {
		return err
	}
	for _, receipt := range receipts {
		h.received(q, receipt)
		s.result[receipt.Status].Inc()
	}
	return nil
}

// unwritable is whether a lead has no JSON, so that no journal ever takes it: a date of no calendar, say.
func unwritable(t Taken) bool {
	_, err := json.Marshal(t.Lead)
	return err != nil
}

// keepEach takes leads one by one, because one of them is too long or cannot be written: that one is kept raw, as much of
// it as fits.
func (h *Handler) keepEach(ctx context.Context, q *request, taken []Taken) error {
	s := q.source
	for _, one := range taken {
		receipt, err := h.taker.Take(ctx, one)
		why := reason{"too_large", fault("too_large", "").Text(s.language)}
		if err != nil && unwritable(one) {
			why = reason{"unreadable", s.say("an event of the service cannot be written down", "событие сервиса не записать")}
		}
		switch {
		case errors.Is(err, ErrTooLarge), why.code == "unreadable":
			if err := h.quarantine(ctx, q, why, one.Raw); err != nil {
				return err
			}
			s.result["quarantined"].Inc()
		case err != nil:
			return err
		default:
			h.received(q, receipt)
			s.result[receipt.Status].Inc()
		}
	}
	return nil
}

// taken is an event as the journal takes it.
func (s *source) taken(e *channel.Event, now time.Time) Taken {
	l := new(streams.Lead)
	*l = e.Lead
	if len(e.Form) > 0 {
		s.filled(l, e.Form, now)
	}
	l.Source, l.ReceivedAt = s.name, now
	if l.Key = itemKey(l.Key, 0); s.Channel != "" {
		l.Channel = s.Channel
	}
	return Taken{Lead: l, Key: l.Key, Canonical: e.Canonical(), Raw: e.Raw}
}

// filled puts what a form says into the lead. Only what a person fills in counts: an event or an id that stands in a mail
// was written by anybody.
func (s *source) filled(l *streams.Lead, form []mail.Field, now time.Time) {
	it := item{form: true, members: make([]member, 0, len(form))}
	for _, f := range form {
		if t := s.targetOf(f.Label); t == unknown || personal(t) {
			it.members = append(it.members, member{f.Label, quote(nil, f.Value)})
		}
	}
	var d draft
	d.read(s, it, now, "")
	read := d.lead
	l.Name, l.Phone = or(read.Name, l.Name), or(read.Phone, l.Phone)
	l.Email, l.Service, l.Time = or(read.Email, l.Email), read.Service, read.Time
	l.Message = strings.TrimSpace(read.Message + "\n" + l.Message)
	l.UTM = read.UTM
	l.Problems = append(l.Problems, read.Problems...)
	for key, value := range read.Fields {
		if _, taken := l.Fields[key]; !taken {
			if l.Fields == nil {
				l.Fields = make(map[string]json.RawMessage, len(read.Fields))
			}
			l.Fields[key] = value
		}
	}
}

// personal is whether a part of a lead is for whoever fills a form to say.
func personal(t target) bool {
	switch t {
	case toChannel, toUserID, toKey, toEventAt, toEvent, toAbout, toIntent:
		return false
	}
	return true
}

// means is which part of a lead a form's label names, for who reads forms that come as text; "" for none.
func (s *source) means(label string) string {
	t := s.targetOf(label)
	if t == unknown {
		t = guess(label)
	}
	if t == unknown || !personal(t) {
		return ""
	}
	for name, known := range targetNames {
		if known == t {
			return name
		}
	}
	return ""
}

// Thanks is the body of the answer of that name: what a service takes for "kept".
func Thanks(answer string) string {
	switch answer {
	case "ok":
		return "ok"
	case "empty":
		return ""
	case "twiml":
		return `<?xml version="1.0" encoding="UTF-8"?><Response/>`
	}
	return `{"ok":true}`
}

// thank answers as the service wants to be answered.
func (s *source) thank(q *request) {
	switch body := []byte(Thanks(s.Answer)); s.Answer {
	case "ok":
		writeBody(q.w, s.Code, typeText, body)
	case "empty":
		q.w.WriteHeader(s.Code)
	case "twiml":
		writeBody(q.w, s.Code, typeXML, body)
	default:
		writeBody(q.w, s.Code, typeJSON, body)
	}
}
