// Package notice is simulated services that post what happens and nothing more: Avito's messenger, the telephone exchanges of
// Mango Office, Zadarma, Twilio and UIS, and a mail server with `leadstream mail` behind an alias. Each proves itself as its
// documentation says and tells again what was not taken.
//
// It leaves out what these services answer when they are asked.
package notice

import (
	"crypto/hmac"
	"crypto/sha1" // Zadarma's and Twilio's choice
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"leadstream/sinks/sim/push"
)

// Options are a service's settings.
type Options struct {
	Kind    string  // avito, mail, mango, twilio, uis, zadarma
	Secret  string  // that it signs with
	Account string  // of the business there
	Signed  string  // the address as Twilio knows it
	Hurry   float64 // how many times faster than the service's delays pass; 1
	Watch   push.Watch
}

// Service is one of them.
type Service struct {
	o     Options
	queue *push.Queue
	last  atomic.Int64
}

// happened is what a service tells: a message, or a call.
type happened struct {
	id         int64
	from       string // a number at the service, a telephone number or an address
	name, text string
	lead       bool // a customer's message, a missed call; else the business's own words, an answered call
	at         time.Time
}

// kind is how one service speaks.
type kind struct {
	calls bool
	media string
	body  func(o Options, h happened) string
	sign  func(o Options, header http.Header, body []byte)
}

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
	ourLine  = "+74950000099"
)

var kinds = map[string]kind{
	"avito":   {media: typeJSON, body: avito},
	"mail":    {media: "message/rfc822", body: letter},
	"mango":   {calls: true, media: typeForm, body: mango},
	"twilio":  {calls: true, media: typeForm, body: twilio, sign: signTwilio},
	"uis":     {calls: true, media: typeJSON, body: uis},
	"zadarma": {calls: true, media: typeForm, body: zadarma, sign: signZadarma},
}

// Known says whether there is such a service.
func Known(name string) bool { return kinds[name].body != nil }

// Calls says whether the service tells of telephone calls.
func Calls(name string) bool { return kinds[name].calls }

// New makes a service; Connect has it post.
func New(o Options) *Service {
	return &Service{o: o, queue: push.New(push.Options{Watch: o.Watch, Hurry: o.Hurry})}
}

// Close ends its posting.
func (s *Service) Close() { s.queue.Close() }

// Unread is how many events nobody has taken.
func (s *Service) Unread() int { return s.queue.State().Waiting }

// Connect has it post to an address.
func (s *Service) Connect(address string) {
	k := kinds[s.o.Kind]
	h := &push.Hook{URL: address, Header: http.Header{"Content-Type": {k.media}}, Most: 20, Taken: func(status int, _ []byte) error {
		if status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return nil
	}, Delay: func(fails int) time.Duration { return min(time.Duration(fails)*10*time.Second, 10*time.Minute) }}
	if k.sign != nil {
		h.Sign = func(header http.Header, body []byte) { k.sign(s.o, header, body) }
	}
	s.queue.SetHook(h)
}

// Write has a customer write, or call and get no answer.
func (s *Service) Write(from, name, text string) {
	s.tell(happened{from: from, name: name, text: text, lead: true})
}

// Own tells what is no enquiry: the business's own message, or a call that was answered.
func (s *Service) Own(from, text string) { s.tell(happened{from: from, text: text}) }

func (s *Service) tell(h happened) {
	h.id, h.at = s.last.Add(1), time.Now()
	s.queue.Add(h.from, func(int64) []byte { return []byte(kinds[s.o.Kind].body(s.o, h)) })
}

func object(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it is ours
	}
	return string(b)
}

func avito(o Options, h happened) string {
	author := any(json.Number(h.from))
	if !h.lead {
		author = json.Number(o.Account)
	}
	return object(map[string]any{"id": fmt.Sprintf("0e000000-0000-4000-8000-%012d", h.id), "version": "v3.0.0", "timestamp": h.at.Unix(),
		"payload": map[string]any{"type": "message", "value": map[string]any{"id": fmt.Sprintf("%032x", h.id), "chat_id": "u2i-" + h.from,
			"user_id": json.Number(o.Account), "author_id": author, "created": h.at.Unix(), "type": "text", "chat_type": "u2i",
			"item_id": 1768287444, "content": map[string]any{"text": h.text}}}})
}

func letter(_ Options, h happened) string {
	automatic := ""
	if !h.lead {
		automatic = "Auto-Submitted: auto-replied\r\n"
	}
	return fmt.Sprintf("From: %s <%s>\r\nTo: leads@example.test\r\nSubject: \r\nMessage-ID: <%d.%s>\r\nDate: %s\r\n%sMIME-Version: 1.0\r\n"+
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n", mime.BEncoding.Encode("utf-8", h.name), h.from,
		h.id, h.from, h.at.Format(time.RFC1123Z), automatic, base64.StdEncoding.EncodeToString([]byte(h.text+"\r\n")))
}

func mango(o Options, h happened) string {
	result := 1
	if h.lead {
		result = 0
	}
	text := object(map[string]any{"entry_id": fmt.Sprintf("MToxMDA%012d", h.id), "call_direction": 1, "entry_result": result,
		"create_time": h.at.Unix(), "talk_time": int64(result) * h.at.Unix(), "line_number": strings.TrimPrefix(ourLine, "+"), "disconnect_reason": 1110,
		"from": map[string]any{"number": strings.TrimPrefix(h.from, "+")}})
	sum := sha256.Sum256([]byte(o.Account + text + o.Secret))
	return url.Values{"vpbx_api_key": {o.Account}, "json": {text}, "sign": {hex.EncodeToString(sum[:])}}.Encode()
}

func zadarma(_ Options, h happened) string {
	disposition := "answered"
	if h.lead {
		disposition = "no answer"
	}
	return url.Values{"event": {"NOTIFY_END"}, "caller_id": {h.from}, "called_did": {ourLine}, "call_start": {h.at.Format(time.DateTime)},
		"pbx_call_id": {fmt.Sprintf("in_%040x", h.id)}, "disposition": {disposition}, "duration": {"0"}}.Encode()
}

func signZadarma(o Options, header http.Header, body []byte) {
	f, _ := url.ParseQuery(string(body)) // it is ours
	mac := hmac.New(sha1.New, []byte(o.Secret))
	mac.Write([]byte(f.Get("caller_id") + f.Get("called_did") + f.Get("call_start")))
	header.Set("Signature", base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(mac.Sum(nil)))))
}

func twilio(o Options, h happened) string {
	status := "completed"
	if h.lead {
		status = "no-answer"
	}
	return url.Values{"AccountSid": {o.Account}, "CallSid": {fmt.Sprintf("CA%032x", h.id)}, "CallStatus": {status}, "Direction": {"inbound"},
		"From": {h.from}, "To": {ourLine}, "Timestamp": {h.at.UTC().Format(time.RFC1123Z)}}.Encode()
}

func signTwilio(o Options, header http.Header, body []byte) {
	f, _ := url.ParseQuery(string(body)) // it is ours
	mac := hmac.New(sha1.New, []byte(o.Secret))
	mac.Write([]byte(o.Signed))
	for _, key := range slices.Sorted(maps.Keys(f)) {
		mac.Write([]byte(key + f.Get(key)))
	}
	header.Set("X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func uis(_ Options, h happened) string {
	event := "answered_call"
	if h.lead {
		event = "missed_call"
	}
	return object(map[string]any{"event": event, "call_session_id": h.id, "contact_phone_number": strings.TrimPrefix(h.from, "+"),
		"virtual_phone_number": strings.TrimPrefix(ourLine, "+"), "start_time": h.at.Format(time.DateTime)})
}
