package channel

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// mango reads events of the virtual exchange of Mango Office. It sends a form with vpbx_api_key, json and sign, which is
// the SHA-256 of key, json and salt put together. Of its events, `summary` says how a call ended.
type mango struct{ Config }

func newMango(c Config) Protocol { return mango{c} }

func (mango) Greet(*http.Request, []byte) (Reply, bool) { return Reply{}, false }

func (m mango) Verify(_ *http.Request, body []byte) bool {
	f, err := form(body)
	if err != nil || !m.ours(f.Get("vpbx_api_key")) {
		return false
	}
	found := 0
	for _, salt := range m.Secrets {
		sum := sha256.Sum256([]byte(f.Get("vpbx_api_key") + f.Get("json") + salt))
		found |= subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(strings.ToLower(f.Get("sign"))))
	}
	return found == 1
}

func (m mango) Read(body []byte, _ string) ([]Event, error) {
	f, err := form(body)
	if err != nil {
		return nil, err
	}
	raw := f.Get("json")
	e, err := m.event(raw)
	e.Raw, e.Err = []byte(raw), err
	if raw == "" {
		e.Raw = body
	}
	return []Event{e}, nil
}

func (m mango) event(raw string) (Event, error) {
	var s struct {
		Entry     id `json:"entry_id"`
		Direction id `json:"call_direction"` // 1 in, 2 out
		Result    id `json:"entry_result"`   // 1 answered, 0 missed
		Talk      id `json:"talk_time"`      // when the talk began; 0: it did not
		Created   id `json:"create_time"`
		Line      id `json:"line_number"`
		Reason    id `json:"disconnect_reason"`
		From      struct {
			Number id `json:"number"`
		} `json:"from"`
	}
	if err := json.Unmarshal([]byte(raw), &s); err != nil {
		return Event{}, unreadable(err)
	}
	switch {
	case s.Direction == "": // a call that goes on, a record, a key pressed
		return ignored("unknown kind"), nil
	case s.Direction != "1":
		return ignored("outgoing call"), nil
	case s.Result == "" && s.Talk == "":
		return Event{}, errors.New("neither entry_result nor talk_time")
	case s.Result == "1" || s.Result == "" && s.Talk.some():
		return ignored("answered call"), nil
	}
	return m.missedCall(missed{id: string(s.Entry), caller: string(s.From.Number), line: string(s.Line), at: seconds(s.Created.number()), reason: string(s.Reason)})
}
