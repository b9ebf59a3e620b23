package channel

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
)

// uis reads HTTP notifications of UIS and CoMagic. Their body is a template that the business writes; README has one.
// Nothing proves who sends but the key in the address.
type uis struct{ Config }

func newUIS(c Config) Protocol { return uis{c} }

func (uis) Greet(*http.Request, []byte) (Reply, bool) { return Reply{}, false }
func (uis) Verify(*http.Request, []byte) bool         { return false }

// uisMember is a member of a flat object, however the variable in it was quoted: once, twice, or not at all.
var uisMember = regexp.MustCompile(`"([a-z_]+)"\s*:\s*"*([^",{}\r\n]*)"*`)

func (u uis) Read(body []byte, _ string) ([]Event, error) {
	members := make(map[string]id)
	if err := json.Unmarshal(body, &members); err != nil {
		// A variable without a value leaves a hole in the template, and one that is a text may bring quotes of its own.
		if !strings.HasSuffix(strings.TrimSpace(string(body)), "}") {
			return nil, errors.New("the notification is no whole JSON object")
		}
		for _, m := range uisMember.FindAllSubmatch(body, -1) {
			members[string(m[1])] = id(text(string(m[2])))
		}
	}
	e, err := u.event(members)
	e.Raw, e.Err = body, err
	return []Event{e}, nil
}

func (u uis) event(m map[string]id) (Event, error) {
	get := func(keys ...string) string {
		for _, key := range keys {
			if v := m[key]; v != "" && v != "null" {
				return string(v)
			}
		}
		return ""
	}
	switch event := get("event"); {
	case event != "missed_call" && event != "":
		return ignored("unknown kind"), nil
	case event == "":
		return Event{}, errors.New("no event: the template must say that this is a missed_call")
	case get("direction") == "out":
		return ignored("outgoing call"), nil
	case !u.ours(get("virtual_phone_number")):
		return ignored(Stranger), nil
	}
	e, err := u.missedCall(missed{id: get("call_session_id", "communication_id"), caller: get("contact_phone_number", "calling_phone_number"),
		line: get("virtual_phone_number", "called_phone_number"), at: u.local(get("start_time", "notification_time")), name: get("contact_full_name")})
	for _, part := range []string{"source", "medium", "campaign", "content", "term"} {
		if v := get("utm_" + part); v != "" {
			if e.Lead.UTM == nil {
				e.Lead.UTM = make(map[string]string)
			}
			e.Lead.UTM[part] = v
		}
	}
	f := fields(e.Lead.Fields)
	f.set("scenario", get("scenario_name"))
	e.Lead.Fields = f
	return e, err
}
