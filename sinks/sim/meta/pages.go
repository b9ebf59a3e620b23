package meta

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"leadstream/sinks/sim/fault"
)

// talk is a conversation of Messenger or Instagram.
type talk struct {
	id, platform string
	updated      int64
	messages     []json.RawMessage // oldest first
}

// app is the number of the application that the token is of.
const app = "999000999000999"

// pageFields are those that a page's subscription has from the beginning.
const pageFields = "messages,messaging_postbacks,leadgen"

// iso is how Meta writes a time.
const iso = "2006-01-02T15:04:05-0700"

// Tell has a person write to the page (platform messenger) or to its Instagram account (instagram), and answers the message's id;
// the conversation tells it too.
func (s *Server) Tell(platform, from, text string) string { return s.say(platform, from, text, false) }

// Reply has the page, or its Instagram account, write to a person from its own inbox; the conversation tells it too.
func (s *Server) Reply(platform, to, text string) string { return s.say(platform, to, text, true) }

func (s *Server) say(platform, person, text string, own bool) string {
	object, us := "page", s.o.Page
	if platform == "instagram" {
		object, us = "instagram", s.o.Instagram
	}
	now := s.o.Now()
	s.mu.Lock()
	id := "m_" + s.id()
	if !own {
		s.last[platform+":"+person] = now
	}
	from, to := person, us
	message := map[string]any{"mid": id, "text": text}
	if own {
		from, to = us, person
		message["is_echo"] = true
	}
	who := func(id string) map[string]any { return map[string]any{"id": id, "name": "Имя"} }
	c := s.talk(platform, person)
	c.updated = now.Unix()
	c.messages = append(c.messages, encode(map[string]any{"id": id, "created_time": now.UTC().Format(iso), "from": who(from),
		"to": map[string]any{"data": []any{who(to)}}, "message": text}))
	s.mu.Unlock()
	s.add(event{object: object, entry: us, said: map[string]any{"sender": map[string]any{"id": from}, "recipient": map[string]any{"id": to},
		"timestamp": now.UnixMilli(), "message": message}})
	return id
}

// Spoil puts something into a person's conversation that is told as it is given here.
func (s *Server) Spoil(platform, person, raw string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.talk(platform, person)
	c.updated = s.o.Now().Unix()
	c.messages = append(c.messages, json.RawMessage(raw))
}

// talk is a person's conversation. The caller holds mu.
func (s *Server) talk(platform, person string) *talk {
	id := "t_" + platform + "_" + person
	if s.talks[id] == nil {
		s.talks[id] = &talk{id: id, platform: platform}
	}
	return s.talks[id]
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // what is a test's mistake
	}
	return b
}

// Unsubscribe ends the application's subscription to the page, or to the business account, as Meta does after long failures.
func (s *Server) Unsubscribe(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribed[id] = ""
}

// Subscribed are the fields that a page or a business account tells of; empty: nobody is told.
func (s *Server) Subscribed(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subscribed[id]
}

// Lose forgets the events that were not taken.
func (s *Server) Lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = nil
}

// opens is whether a call shows the page's own token.
func (s *Server) opens(r *http.Request) bool {
	return r.Header.Get("Authorization") == "Bearer "+s.pageToken()
}

func (s *Server) pageToken() string { return s.o.Token + "-page" }

// pageRoute finds out what is asked of a page or of the application.
func (s *Server) pageRoute(r *http.Request, parts []string) (method string, run func(map[string]any) fault.Answer, ok bool) {
	id, edge := parts[0], ""
	if len(parts) == 2 {
		edge = parts[1]
	}
	own := func(run func() fault.Answer) func(map[string]any) fault.Answer {
		return func(map[string]any) fault.Answer {
			if !s.opens(r) {
				return s.failure("190", "A page access token is required")
			}
			return run()
		}
	}
	get := r.Method == http.MethodGet
	if edge == "messages" && r.Method == http.MethodPost && s.answering(id) {
		return "send", func(sent map[string]any) fault.Answer {
			return own(func() fault.Answer { return s.takeReply(id, sent) })(sent)
		}, true
	}
	page := map[string]any{"id": s.o.Page, "instagram_business_account": map[string]any{"id": s.o.Instagram}}
	switch {
	case get && id == "app":
		return "app", func(map[string]any) fault.Answer { return answer(map[string]any{"id": app}) }, true
	case get && id == "me" && edge == "accounts":
		return "accounts", func(map[string]any) fault.Answer {
			if s.opens(r) {
				return s.failure("100", "Tried accessing nonexisting field (accounts) on node type (Page)")
			}
			page["access_token"] = s.pageToken()
			return answer(map[string]any{"data": []any{page}})
		}, true
	case get && id == "me":
		return "me", func(map[string]any) fault.Answer { return answer(page) }, true
	case edge == "subscribed_apps" && id == s.o.Account:
		return "subscribed:" + id, func(map[string]any) fault.Answer { return s.subscription(r, id) }, true
	case edge == "subscribed_apps":
		return "subscribed:" + id, own(func() fault.Answer { return s.subscription(r, id) }), true
	case get && edge == "" && (id == s.o.Page || id == s.o.Instagram):
		return "account", own(func() fault.Answer { return answer(map[string]any{"id": id}) }), true
	case get && edge == "" && id == s.o.Phone:
		return "number", func(map[string]any) fault.Answer { return s.number() }, true
	case get && edge == "conversations":
		return "conversations:" + r.FormValue("platform"), own(func() fault.Answer { return s.conversations(r) }), true
	case get && edge == "leadgen_forms":
		return "forms", own(func() fault.Answer { return s.allForms(r) }), true
	case get && edge == "messages":
		return "messages:" + id, own(func() fault.Answer { return s.messages(r, id) }), true
	}
	return "", nil, false
}

func (s *Server) subscription(r *http.Request, id string) fault.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodPost {
		s.subscribed[id] = cmp.Or(r.URL.Query().Get("subscribed_fields"), "all")
		return answer(map[string]any{"success": true})
	}
	data := []any{}
	switch fields := s.subscribed[id]; {
	case fields == "":
	case id == s.o.Account:
		data = append(data, map[string]any{"whatsapp_business_api_data": map[string]any{"id": app, "name": "Салон"}})
	default:
		data = append(data, map[string]any{"id": app, "name": "Салон", "subscribed_fields": strings.Split(fields, ",")})
	}
	return answer(map[string]any{"data": data})
}

// paged answers a part of a list, as limit and after say.
func paged[T any](r *http.Request, all []T) fault.Answer {
	limit, err := strconv.Atoi(cmp.Or(r.FormValue("limit"), "25"))
	from, _ := strconv.Atoi(r.FormValue("after"))
	from = min(max(from, 0), len(all))
	to := min(len(all), from+limit)
	if err != nil {
		to = from
	}
	out := map[string]any{"data": append([]T{}, all[from:to]...)}
	if to < len(all) {
		out["paging"] = map[string]any{"next": "https://graph.facebook.com/next", "cursors": map[string]any{"after": fmt.Sprint(to)}}
	}
	return answer(out)
}

func (s *Server) conversations(r *http.Request) fault.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*talk
	for _, c := range s.talks {
		if c.platform == r.FormValue("platform") {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *talk) int { return cmp.Or(cmp.Compare(b.updated, a.updated), cmp.Compare(a.id, b.id)) })
	var list []any
	for _, c := range all {
		list = append(list, map[string]any{"id": c.id, "updated_time": c.updated})
	}
	return paged(r, list)
}

func (s *Server) messages(r *http.Request, id string) fault.Answer {
	s.mu.Lock()
	c := s.talks[id]
	var all []json.RawMessage
	if c != nil {
		all = slices.Clone(c.messages)
	}
	s.mu.Unlock()
	if c == nil {
		return s.failure("100/33", "Unsupported get request")
	}
	slices.Reverse(all)
	return paged(r, all)
}

func (s *Server) allForms(r *http.Request) fault.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []any
	for _, id := range s.order {
		one := map[string]any{"id": s.forms[id]["form_id"]}
		if s.forms[id] != nil && !slices.ContainsFunc(list, func(o any) bool { return o.(map[string]any)["id"] == one["id"] }) {
			list = append(list, one)
		}
	}
	return paged(r, list)
}
