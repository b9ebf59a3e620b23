package meta

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"leadstream/sinks/sim/fault"
)

// media tells where a file is, by a link that expires.
func (s *Server) media(id string) fault.Answer {
	s.mu.Lock()
	f, ok := s.files[id]
	s.mu.Unlock()
	if !ok {
		return s.failure("100/33", "Unsupported get request. Object with ID '"+id+"' does not exist, cannot be loaded due to missing permissions, or does not support this operation")
	}
	sum := sha256.Sum256(f.Content)
	s.mu.Lock()
	key := "f" + s.id()
	s.links[key] = link{id, s.o.Now().Add(s.o.Expire)}
	s.mu.Unlock()
	return answer(map[string]any{"messaging_product": "whatsapp", "url": "http://" + s.listener.Addr().String() + "/files/" + key,
		"mime_type": f.Type, "sha256": or(f.Sum, hex.EncodeToString(sum[:])), "file_size": len(f.Content), "id": id})
}

func (s *Server) linked(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links[key].file
}

// bytes gives a file while its link lasts.
func (s *Server) bytes(key string) fault.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.links[key]
	f, ok := s.files[l.file]
	if !ok || s.o.Now().After(l.expires) {
		return fault.Answer{Status: http.StatusNotFound, ContentType: "text/html", Body: []byte("<html>Not Found</html>")}
	}
	return fault.Answer{Status: http.StatusOK, ContentType: f.Type, Body: f.Content}
}

// Expire ends all links that were given.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.links)
}

// formFields are those that a form has; who asks for another is refused.
var formFields = map[string]bool{"id": true, "created_time": true, "ad_id": true, "ad_name": true, "adset_id": true, "adset_name": true,
	"campaign_id": true, "campaign_name": true, "form_id": true, "platform": true, "is_organic": true, "field_data": true,
	"custom_disclaimer_responses": true, "partner_name": true, "retailer_item_id": true, "home_listing": true, "vehicle": true}

// form gives the asked fields of a form; without any its id, time and answers.
func (s *Server) form(id, fields string) fault.Answer {
	s.mu.Lock()
	lead, ok := s.forms[id]
	s.mu.Unlock()
	if !ok {
		return s.failure("100/33", "Unsupported get request. Object with ID '"+id+"' does not exist, cannot be loaded due to missing permissions, or does not support this operation")
	}
	picked, bad := pick(lead, fields)
	if bad != "" {
		return s.failure("100", "Tried accessing nonexisting field ("+bad+")")
	}
	return answer(picked)
}

func pick(lead map[string]any, fields string) (picked map[string]any, unknown string) {
	picked = map[string]any{"id": lead["id"]}
	for _, f := range strings.Split(or(fields, "created_time,field_data"), ",") {
		if !formFields[f] {
			return nil, f
		}
		if v, ok := lead[f]; ok {
			picked[f] = v
		}
	}
	return picked, ""
}

// leads lists a form's, newest first.
func (s *Server) leads(form string, r *http.Request) fault.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := []any{}
	for i := len(s.order) - 1; i >= 0; i-- {
		if lead := s.forms[s.order[i]]; lead != nil && lead["form_id"] == form {
			picked, _ := pick(lead, r.URL.Query().Get("fields"))
			data = append(data, picked)
		}
	}
	return paged(r, data)
}
