package meta

import (
	"strings"
	"unicode/utf8"

	"leadstream/sinks/sim/fault"
)

// Limits of what a page or an Instagram account answers.
const (
	mostMessenger = 2000 // characters
	mostInstagram = 1000 // bytes
	mostQuick     = 13
)

// platform is where a person is known to the account under this id: "messenger", "instagram", or "" for nowhere. A page
// answers for its Instagram account too.
func (s *Server) platform(account, person string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range []string{"messenger", "instagram"} {
		if p == "messenger" && account == s.o.Instagram {
			continue
		}
		if _, ok := s.last[p+":"+person]; ok {
			return p
		}
	}
	return ""
}

// answering is whether an id is an account of ours that answers people: with the page's own token.
func (s *Server) answering(id string) bool {
	return id == s.o.Page || id == s.o.Instagram || id == "me"
}

// takeReply takes an answer to a person, under the rules of Messenger and Instagram, and tells its echo and what becomes of it.
func (s *Server) takeReply(account string, m map[string]any) fault.Answer {
	to := part[string](m["recipient"], "id")
	platform := s.platform(account, to)
	message := m["message"]
	one := Sent{To: to, Type: part[string](m, "messaging_type"), Text: part[string](message, "text"),
		Callback: part[string](message, "metadata"), At: s.o.Now(), Platform: platform}
	for _, q := range part[[]any](message, "quick_replies") {
		one.Buttons = append(one.Buttons, part[string](q, "title"))
		if part[string](q, "content_type") != "text" || part[string](q, "payload") == "" || len(part[string](q, "payload")) > 1000 {
			return s.failure("100", "Invalid keys were found in param quick_replies")
		}
	}
	late, unknown := "10/2018278", "100/2018001"
	if platform == "instagram" || account == s.o.Instagram {
		late, unknown = "10/2534022", "100/2534014"
	}
	s.mu.Lock()
	last := s.last[platform+":"+to]
	s.mu.Unlock()
	fate := s.fate(to)
	switch {
	case to == "" || strings.Trim(to, "0123456789") != "":
		return s.failure("100", "Invalid fbid.")
	case one.Type != "RESPONSE":
		return s.failure("100", "messaging_type must be one of RESPONSE, UPDATE, MESSAGE_TAG")
	case platform == "":
		return s.failure(unknown, "No matching user found")
	case one.Text == "",
		platform == "messenger" && utf8.RuneCountInString(one.Text) > mostMessenger,
		platform == "instagram" && len(one.Text) > mostInstagram:
		return s.failure("100", "Length of param message[text] is not within its limits")
	case len(one.Buttons) > mostQuick:
		return s.failure("100", "param message[quick_replies] has too many elements.")
	case fate.Refuse != "":
		return s.failure(fate.Refuse, "simulated")
	case s.o.Now().Sub(last) > window:
		return s.failure(late, "This message is sent outside of allowed window.")
	}
	s.mu.Lock()
	one.ID = "m_" + s.id()
	s.sent = append(s.sent, one)
	s.mu.Unlock()
	if !fate.Untold {
		s.tellReply(one, fate)
	}
	return answer(map[string]any{"recipient_id": to, "message_id": one.ID})
}

// tellReply tells the echo of an answer, that it was delivered (Instagram does not say so), and that it was read.
func (s *Server) tellReply(one Sent, f Fate) {
	object, us := "page", s.o.Page
	if one.Platform == "instagram" {
		object, us = "instagram", s.o.Instagram
	}
	now := s.o.Now().UnixMilli()
	say := func(from, to, key string, value map[string]any) {
		s.add(event{object: object, entry: us, said: map[string]any{"sender": map[string]any{"id": from},
			"recipient": map[string]any{"id": to}, "timestamp": now, key: value}})
	}
	echo := map[string]any{"mid": one.ID, "text": one.Text, "is_echo": true, "app_id": app}
	if one.Callback != "" {
		echo["metadata"] = one.Callback
	}
	var told []func()
	told = append(told, func() { say(us, one.To, "message", echo) })
	if one.Platform == "messenger" && !f.Silent {
		told = append(told, func() { say(one.To, us, "delivery", map[string]any{"mids": []any{one.ID}, "watermark": now}) })
	}
	if f.Read && !f.Silent {
		read := map[string]any{"watermark": now}
		if one.Platform == "instagram" {
			read = map[string]any{"mid": one.ID}
		}
		told = append(told, func() { say(one.To, us, "read", read) })
	}
	for i := range told {
		if f.Backwards {
			i = len(told) - 1 - i
		}
		told[i]()
	}
}
