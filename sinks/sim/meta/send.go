package meta

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"leadstream/sinks/sim/fault"
)

// WhatsApp's limits of what a business sends.
const (
	window    = 24 * time.Hour  // after a customer's last word, for free words
	pairPause = 6 * time.Second // between two messages to one customer, in the long run
	pairBurst = 45              // that may be borrowed from the future
	mostText  = 4096
)

// send takes a message, under WhatsApp's rules.
func (s *Server) send(phone string, m map[string]any) fault.Answer {
	text := func(in any, key string) string {
		o, _ := in.(map[string]any)
		v, _ := o[key].(string)
		return v
	}
	to := strings.TrimPrefix(text(m, "to"), "+")
	kind := or(text(m, "type"), "text")
	one := Sent{To: to, Type: kind, Text: text(m["text"], "body"), Template: text(m["template"], "name"), Callback: text(m, "biz_opaque_callback_data"), At: s.o.Now()}
	switch {
	case phone != s.o.Phone:
		return s.failure("100/33", "Unsupported post request")
	case m["messaging_product"] != "whatsapp":
		return s.failure("100", "The parameter messaging_product is required.")
	case text(m, "status") == "read":
		return answer(map[string]any{"success": true})
	case to == "" || strings.Trim(to, "0123456789") != "":
		return s.failure("131009", "Parameter value is not valid")
	case kind == "text" && (one.Text == "" || utf8.RuneCountInString(one.Text) > mostText):
		return s.failure("100", "Param text['body'] must be at most 4096 characters long.")
	case kind == "template" && one.Template == "":
		return s.failure("131008", "Required parameter is missing")
	case kind == "template" && strings.HasPrefix(one.Template, "no_"):
		return s.failure("132001", "Template name does not exist in the translation")
	case len(one.Callback) > 512:
		return s.failure("100", "biz_opaque_callback_data must be at most 512 characters long")
	}
	s.mu.Lock()
	last, known := s.last[to]
	s.mu.Unlock()
	if kind != "template" && (!known || s.o.Now().Sub(last) > window) {
		return s.failure("131047", "Re-engagement message")
	}
	if !s.pace(to) {
		return s.failure("131056", "(Business Account, Consumer Account) pair rate limit hit")
	}
	s.mu.Lock()
	one.ID = "wamid.SIM" + s.id()
	s.sent = append(s.sent, one)
	s.mu.Unlock()
	s.Status(one.ID, "sent")
	s.Status(one.ID, "delivered")
	return answer(map[string]any{"messaging_product": "whatsapp", "contacts": []any{map[string]any{"input": text(m, "to"), "wa_id": to}},
		"messages": []any{map[string]any{"id": one.ID, "message_status": "accepted"}}})
}

// pace lets through what the pair of our number and a customer's may exchange.
func (s *Server) pace(to string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	s.paced[to] = slices.DeleteFunc(s.paced[to], func(at time.Time) bool { return now.Sub(at) > pairBurst*pairPause })
	if len(s.paced[to]) >= pairBurst {
		return false
	}
	s.paced[to] = append(s.paced[to], now)
	return true
}

// Status tells what became of a message that was taken: sent, delivered, read, or failed with a code.
func (s *Server) Status(id, status string, codes ...int) {
	s.mu.Lock()
	i := slices.IndexFunc(s.sent, func(m Sent) bool { return m.ID == id })
	if i < 0 {
		s.mu.Unlock()
		return
	}
	m := s.sent[i]
	s.mu.Unlock()
	st := map[string]any{"id": id, "status": status, "timestamp": stamp(s.o.Now()), "recipient_id": m.To}
	if m.Callback != "" {
		st["biz_opaque_callback_data"] = m.Callback
	}
	var errs []any
	for _, code := range codes {
		errs = append(errs, map[string]any{"code": code, "title": "error", "message": "error", "error_data": map[string]any{"details": "simulated"}})
	}
	if errs != nil {
		st["errors"] = errs
	}
	s.whatsApp(map[string]any{"statuses": []any{st}})
}
