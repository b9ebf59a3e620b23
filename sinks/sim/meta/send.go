package meta

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"leadstream/sinks/sim/fault"
)

// WhatsApp's limits of what a business sends.
const (
	window     = 24 * time.Hour  // after a customer's last word, for free words
	pairPause  = 6 * time.Second // between two messages to one customer, in the long run
	pairBurst  = 45              // that may be borrowed from the future
	throughput = 80              // messages a second
	mostText   = 4096
	mostBody   = 1024 // above buttons
)

// Fate is what becomes of messages to one customer. The zero value: sent, delivered, told in this order after the answer.
type Fate struct {
	Refuse    string // Meta's code, at once: "131026"
	Fail      int    // Meta's code, by webhook, once the message was taken
	Silent    bool   // taken and sent, and nothing is ever heard of it again
	Read      bool   // read too
	Backwards bool   // what became of it is told in the wrong order
	Untold    bool   // nothing is told at all: who wants to tell it later calls Status
}

// Doom says what becomes of messages to a customer; "" is everybody else. To is as the message names them.
func (s *Server) Doom(to string, f Fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fates[to] = f
}

func (s *Server) fate(to string) Fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.fates[to]; ok {
		return f
	}
	return s.fates[""]
}

// Approve approves a template, with so many parameters in its body. From the first one on only approved ones are known;
// until then all whose names do not begin with no_.
func (s *Server) Approve(name, language string, parameters int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.approved[name+"/"+language] = parameters
}

// part is what stands under a key of an object, "" or nil when it is none.
func part[T any](in any, key string) (v T) {
	o, _ := in.(map[string]any)
	v, _ = o[key].(T)
	return v
}

// user is a customer's business-scoped id.
var user = regexp.MustCompile(`^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$`)

// recipient is whom a message is for: to before recipient.
func recipient(m map[string]any) string {
	if to := strings.TrimPrefix(part[string](m, "to"), "+"); to != "" {
		return to
	}
	return part[string](m, "recipient")
}

// send takes a message, under WhatsApp's rules.
func (s *Server) send(phone string, m map[string]any) fault.Answer {
	to, kind := recipient(m), or(part[string](m, "type"), "text")
	one := Sent{To: to, Type: kind, Text: part[string](m["text"], "body"), Template: part[string](m["template"], "name"),
		Callback: part[string](m, "biz_opaque_callback_data"), At: s.o.Now(), Platform: "whatsapp"}
	switch {
	case phone != s.o.Phone:
		return s.failure("100/33", "Unsupported post request")
	case m["messaging_product"] != "whatsapp":
		return s.failure("100", "The parameter messaging_product is required.")
	case part[string](m, "status") == "read":
		return answer(map[string]any{"success": true})
	case strings.Contains(to, ".") && (part[string](m, "to") != "" || !user.MatchString(to)), to == "",
		!strings.Contains(to, ".") && strings.Trim(to, "0123456789") != "":
		return s.failure("131009", "Parameter value is not valid")
	case kind == "text" && (one.Text == "" || utf8.RuneCountInString(one.Text) > mostText):
		return s.failure("100", "Param text['body'] must be at most 4096 characters long.")
	case len(one.Callback) > 512:
		return s.failure("100", "biz_opaque_callback_data must be at most 512 characters long")
	}
	var code, what string
	switch kind {
	case "template":
		code, what = s.template(&one, m["template"])
	case "interactive":
		code, what = interactive(&one, m["interactive"])
	}
	if code != "" {
		return s.failure(code, what)
	}
	fate := s.fate(to)
	s.mu.Lock()
	last, known := s.last[to]
	s.mu.Unlock()
	switch {
	case fate.Refuse != "":
		return s.failure(fate.Refuse, "simulated")
	case kind != "template" && (!known || s.o.Now().Sub(last) > window):
		return s.failure("131047", "Re-engagement message")
	case !s.pace("", throughput, time.Second):
		return s.failure("130429", "Rate limit hit")
	case !s.pace(to, pairBurst, pairBurst*pairPause):
		return s.failure("131056", "(Business Account, Consumer Account) pair rate limit hit")
	}
	s.mu.Lock()
	one.ID = "wamid.SIM" + s.id()
	s.sent = append(s.sent, one)
	s.mu.Unlock()
	s.follow(one.ID, fate)
	contact := map[string]any{"input": or(part[string](m, "to"), to)}
	if user.MatchString(to) {
		contact["user_id"] = to
	} else {
		contact["wa_id"] = to
	}
	return answer(map[string]any{"messaging_product": "whatsapp", "contacts": []any{contact},
		"messages": []any{map[string]any{"id": one.ID, "message_status": "accepted"}}})
}

// follow tells what becomes of a message that was taken.
func (s *Server) follow(id string, f Fate) {
	told := []string{"sent"}
	switch {
	case f.Untold:
		return
	case f.Fail != 0:
		s.Status(id, "failed", f.Fail)
		return
	case f.Silent:
	case f.Read:
		told = append(told, "delivered", "read")
	default:
		told = append(told, "delivered")
	}
	if f.Backwards {
		slices.Reverse(told)
	}
	for _, status := range told {
		s.Status(id, status)
	}
}

// template is why a template is not sent, as Meta's code.
func (s *Server) template(one *Sent, t any) (code, what string) {
	for _, c := range part[[]any](t, "components") {
		if part[string](c, "type") != "body" {
			continue
		}
		for _, p := range part[[]any](c, "parameters") {
			one.Parameters = append(one.Parameters, part[string](p, "text"))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	parameters, found := s.approved[one.Template+"/"+part[string](part[map[string]any](t, "language"), "code")]
	bad := func(p string) bool { return strings.ContainsAny(p, "\n\t") || strings.Contains(p, "    ") }
	switch {
	case one.Template == "":
		return "131008", "Required parameter is missing"
	case strings.HasPrefix(one.Template, "no_"), len(s.approved) > 0 && !found:
		return "132001", "Template name does not exist in the translation"
	case found && parameters != len(one.Parameters):
		return "132000", fmt.Sprintf("body: number of localizable_params (%d) does not match the expected number of params (%d)", len(one.Parameters), parameters)
	case slices.Contains(one.Parameters, ""):
		return "131008", "Required parameter is missing"
	case slices.ContainsFunc(one.Parameters, bad):
		return "100", "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
	}
	return "", ""
}

// interactive is why buttons or a list are not sent, as Meta's code.
func interactive(one *Sent, m any) (code, what string) {
	one.Text = part[string](part[map[string]any](m, "body"), "text")
	action := part[map[string]any](m, "action")
	long := func(s string, most int) bool { return s == "" || utf8.RuneCountInString(s) > most }
	body, title, id, most, least := mostBody, 20, 256, 3, 1
	var choices []any
	switch part[string](m, "type") {
	case "button":
		for _, b := range part[[]any](action, "buttons") {
			choices = append(choices, part[map[string]any](b, "reply"))
		}
	case "list":
		body, title, id, most = mostText, 24, 200, 10
		if long(part[string](action, "button"), 20) {
			return "131009", "Parameter value is not valid"
		}
		for _, section := range part[[]any](action, "sections") {
			choices = append(choices, part[[]any](section, "rows")...)
		}
	case "cta_url":
		least = 0
		p := part[map[string]any](action, "parameters")
		if part[string](action, "name") != "cta_url" || long(part[string](p, "display_text"), 20) || !strings.HasPrefix(part[string](p, "url"), "http") {
			return "131009", "Parameter value is not valid"
		}
		one.Buttons = []string{part[string](p, "display_text")}
	default:
		return "131009", "Parameter value is not valid"
	}
	if long(one.Text, body) || len(choices) > most || len(choices) < least {
		return "131009", "Parameter value is not valid"
	}
	seen := map[string]bool{}
	for _, c := range choices {
		name, back := part[string](c, "title"), part[string](c, "id")
		if long(name, title) || long(back, id) || seen[name] || seen["\x00"+back] {
			return "131009", "Parameter value is not valid"
		}
		seen[name], seen["\x00"+back] = true, true
		one.Buttons = append(one.Buttons, name)
	}
	return "", ""
}

// pace lets through so many messages in a time: of all, or what the pair of our number and a customer's may exchange.
func (s *Server) pace(of string, most int, in time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	s.paced[of] = slices.DeleteFunc(s.paced[of], func(at time.Time) bool { return now.Sub(at) > in })
	if len(s.paced[of]) >= most {
		return false
	}
	s.paced[of] = append(s.paced[of], now)
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
	st := map[string]any{"id": id, "status": status, "timestamp": stamp(s.o.Now())}
	if user.MatchString(m.To) {
		st["recipient_user_id"] = m.To
	} else {
		st["recipient_id"] = m.To
	}
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

// number tells of our number.
func (s *Server) number() fault.Answer {
	return answer(map[string]any{"id": s.o.Phone, "status": "CONNECTED"})
}
