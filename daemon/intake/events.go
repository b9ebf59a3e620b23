package intake

import (
	"crypto/sha256"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"leadstream/daemon/channel"
	"leadstream/streams"
)

// spoken is what the source's protocol must know.
func (s Source) spoken(zone *time.Location) channel.Config {
	return channel.Config{
		Secrets: s.Secrets, Accounts: s.Accounts, Verification: s.Verification, URL: s.URL, Region: s.Region, Language: s.Language, Zone: zone,
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

// events keeps what a service tells. What it tells and we cannot read is kept raw and answered as a success: the service
// would send it again for a day, and with some of them nothing else of that chat would come before it.
func (h *Handler) events(q *request, body []byte) {
	s := q.source
	ctx, cancel := h.takeContext(q.r)
	defer cancel()
	found, err := s.protocol.Read(body, q.r.Header.Get("Content-Type"))
	if err != nil {
		found = []channel.Event{{Raw: body, Err: err}}
	}
	taken := make([]Taken, 0, len(found))
	for i := range found {
		e := &found[i]
		switch {
		case e.Err != nil:
			why := reason{"unreadable", s.say("an event of the service could not be read: ", "событие сервиса не прочитано: ") + e.Err.Error()}
			if err := h.quarantine(ctx, q, why, e.Raw); err != nil {
				h.later(q, err)
				return
			}
			s.result["quarantined"].Inc()
		case e.Ignore != "":
			s.result[Ignored].Inc()
			level := zerolog.DebugLevel
			if e.Ignore == channel.Stranger {
				level = zerolog.WarnLevel // else a forgotten account would be silent
			}
			h.log.WithLevel(level).Str("source", s.name).Str("why", e.Ignore).Msg("event ignored")
		default:
			taken = append(taken, s.taken(e, q.start))
		}
	}
	receipts, err := h.take(ctx, taken)
	if err != nil {
		h.later(q, err)
		return
	}
	for _, receipt := range receipts {
		h.received(q, receipt)
		s.result[receipt.Status].Inc()
	}
	s.thank(q)
}

// taken is an event as the journal takes it.
func (s *source) taken(e *channel.Event, now time.Time) Taken {
	l := new(streams.Lead)
	*l = e.Lead
	l.Source, l.ReceivedAt = s.name, now
	if l.Key = itemKey(l.Key, 0); s.Channel != "" {
		l.Channel = s.Channel
	}
	return Taken{Lead: l, Key: l.Key, Canonical: e.Canonical(), Raw: e.Raw}
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
