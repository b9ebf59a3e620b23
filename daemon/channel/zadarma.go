package channel

import (
	"crypto/hmac"
	"crypto/sha1" // Zadarma's choice
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// zadarma reads notifications of Zadarma's exchange (zadarma.com/en/support/api, and its own library in PHP, which settles
// what is signed). NOTIFY_END says how a call ended.
type zadarma struct{ Config }

func newZadarma(c Config) Protocol { return zadarma{c} }

// zadarmaEcho is all that is echoed: what a browser could take for a page is not.
var zadarmaEcho = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)

func (zadarma) Greet(r *http.Request, _ []byte) (Reply, bool) {
	echo := r.URL.Query().Get("zd_echo")
	if r.Method != http.MethodGet || !zadarmaEcho.MatchString(echo) {
		return Reply{}, false
	}
	return Reply{Code: http.StatusOK, Body: echo}, true
}

// Verify recomputes the signature: the base64 of the hex text of an HMAC-SHA1, over fields that depend on the event.
func (z zadarma) Verify(r *http.Request, body []byte) bool {
	f, err := form(body)
	if err != nil {
		return false
	}
	given, signed := []byte(r.Header.Get("Signature")), zadarmaSigned(f)
	found := false
	for _, secret := range z.Secrets {
		mac := hmac.New(sha1.New, []byte(secret))
		mac.Write([]byte(signed))
		own := base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(mac.Sum(nil))))
		found = hmac.Equal([]byte(own), given) || found
	}
	return found && signed != ""
}

func zadarmaSigned(f url.Values) string {
	switch event := f.Get("event"); {
	case event == "NOTIFY_RECORD":
		return f.Get("pbx_call_id") + f.Get("call_id_with_rec")
	case event == "NOTIFY_ANSWER":
		return f.Get("caller_id") + f.Get("destination") + f.Get("call_start")
	case strings.HasPrefix(event, "NOTIFY_OUT_"):
		return f.Get("internal") + f.Get("destination") + f.Get("call_start")
	}
	return f.Get("caller_id") + f.Get("called_did") + f.Get("call_start")
}

func (z zadarma) Read(body []byte, _ string) ([]Event, error) {
	f, err := form(body)
	if err != nil {
		return nil, err
	}
	e, err := z.event(f)
	e.Raw, e.Err = body, err
	return []Event{e}, nil
}

func (z zadarma) event(f url.Values) (Event, error) {
	switch disposition := f.Get("disposition"); {
	case f.Get("event") == "":
		return Event{}, errors.New("no event")
	case f.Get("event") != "NOTIFY_END":
		return ignored("unknown kind"), nil
	case !z.ours(f.Get("called_did")):
		return ignored(Stranger), nil
	case disposition == "":
		return Event{}, errors.New("no disposition")
	case disposition == "answered":
		return ignored("answered call"), nil
	default:
		return z.missedCall(missed{id: f.Get("pbx_call_id"), caller: f.Get("caller_id"), line: f.Get("called_did"), at: z.local(f.Get("call_start")), reason: disposition})
	}
}
