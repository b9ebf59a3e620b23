package channel

import (
	"crypto/hmac"
	"crypto/sha1" // Twilio's choice
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// twilio reads voice webhooks: status callbacks of a number, and the action of a <Dial>
// (twilio.com/docs/usage/webhooks/voice-webhooks). The address is signed too, as Twilio knows it.
type twilio struct{ Config }

func newTwilio(c Config) Protocol { return twilio{c} }

func (twilio) Greet(*http.Request, []byte) (Reply, bool) { return Reply{}, false }

// Verify recomputes the signature over the address and the sorted fields. Twilio may or may not name the port of https.
func (t twilio) Verify(r *http.Request, body []byte) bool {
	f, err := form(body)
	if err != nil {
		return false
	}
	given, err := base64.StdEncoding.DecodeString(r.Header.Get("X-Twilio-Signature"))
	if err != nil {
		return false
	}
	found := false
	for _, secret := range t.Secrets {
		for _, address := range addresses(t.URL) {
			mac := hmac.New(sha1.New, []byte(secret))
			mac.Write([]byte(address))
			for _, key := range slices.Sorted(maps.Keys(f)) {
				values := slices.Clone(f[key])
				slices.Sort(values)
				for _, value := range slices.Compact(values) {
					mac.Write([]byte(key + value))
				}
			}
			found = hmac.Equal(mac.Sum(nil), given) || found
		}
	}
	return found
}

// addresses are a URL with its port and without.
func addresses(text string) []string {
	u, err := url.Parse(text)
	if err != nil {
		return nil
	}
	bare, ported := *u, *u
	switch u.Port() {
	case "":
		ported.Host += ":443"
	case "443":
		bare.Host = strings.TrimSuffix(u.Host, ":443")
	default:
		bare.Host = u.Hostname()
	}
	return []string{bare.String(), ported.String()}
}

// twilioNobody are the numbers that stand for a caller who hides the own (twilio.com/docs/voice, "blocked calls").
var twilioNobody = []string{"+7378742883", "+2562533", "+8566696", "+266696687", "+86282452253", "+464"}

func (t twilio) Read(body []byte, _ string) ([]Event, error) {
	f, err := form(body)
	if err != nil {
		return nil, err
	}
	e, err := t.event(f)
	e.Raw, e.Err = body, err
	return []Event{e}, nil
}

func (t twilio) event(f url.Values) (Event, error) {
	unanswered := []string{"no-answer", "busy", "failed", "canceled"}
	part, status := ":dial", f.Get("DialCallStatus")
	if status == "" {
		part, status = "", f.Get("CallStatus")
	}
	caller := f.Get("From")
	switch {
	case f.Get("CallSid") == "" || status == "":
		return Event{}, errors.New("no CallSid or no CallStatus")
	case !t.ours(f.Get("AccountSid")):
		return ignored(Stranger), nil
	case strings.HasPrefix(f.Get("Direction"), "outbound"):
		return ignored("outgoing call"), nil
	case !slices.Contains(unanswered, status):
		return ignored("call goes on or was answered"), nil
	case slices.Contains(twilioNobody, caller):
		caller = "anonymous"
	}
	return t.missedCall(missed{id: f.Get("CallSid") + part, caller: caller, line: f.Get("To"), at: t.local(f.Get("Timestamp")), reason: status, name: f.Get("CallerName")})
}
