package meta

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadstream/sinks/sim/push"
)

// event is one change that the webhook is told.
type event struct {
	object, entry string
	change        map[string]any // or
	said          map[string]any // in Messenger
	tries         int
	due           time.Time
}

func stamp(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// Write has a customer write: message is as the webhook's messages have it, without from, id and timestamp. It returns the
// message's id.
func (s *Server) Write(from, name string, message map[string]any) string {
	now := s.o.Now()
	s.mu.Lock()
	id := "wamid.IN" + s.id()
	s.last[from] = now
	s.mu.Unlock()
	who, contact := "from", "wa_id"
	if user.MatchString(from) { // hides the number
		who, contact = "from_user_id", "user_id"
	}
	one := map[string]any{who: from, "id": id, "timestamp": stamp(now)}
	for k, v := range message {
		one[k] = v
	}
	s.whatsApp(map[string]any{"contacts": []any{map[string]any{"profile": map[string]any{"name": name}, contact: from}}, "messages": []any{one}})
	return id
}

// Text is a message of words.
func Text(words string) map[string]any {
	return map[string]any{"type": "text", "text": map[string]any{"body": words}}
}

// Echo tells what the business wrote to a customer on its own handset.
func (s *Server) Echo(to, words string) {
	s.mu.Lock()
	id := "wamid.OUT" + s.id()
	s.mu.Unlock()
	one := Text(words)
	one["from"], one["to"], one["id"], one["timestamp"] = "79990000099", to, id, stamp(s.o.Now())
	s.tell("whatsapp_business_account", s.o.Account, "smb_message_echoes", map[string]any{"messaging_product": "whatsapp",
		"metadata": map[string]any{"display_phone_number": "79990000099", "phone_number_id": s.o.Phone}, "message_echoes": []any{one}})
}

// Seen tells that a customer has received and read a message that was sent elsewhere, by its app say.
func (s *Server) Seen(by string) {
	s.mu.Lock()
	id := "wamid.SIM" + s.id()
	s.mu.Unlock()
	for _, status := range []string{"delivered", "read"} {
		s.whatsApp(map[string]any{"statuses": []any{map[string]any{"id": id, "status": status, "timestamp": stamp(s.o.Now()), "recipient_id": by}}})
	}
}

// Say has a person write to the page, in Messenger.
func (s *Server) Say(from, words string) {
	s.mu.Lock()
	s.last["messenger:"+from] = s.o.Now()
	s.mu.Unlock()
	s.messenger(from, s.o.Page, words, nil)
}

// Answer tells what the page wrote to a person: an echo.
func (s *Server) Answer(to, words string) {
	s.messenger(s.o.Page, to, words, map[string]any{"is_echo": true, "app_id": 1})
}

func (s *Server) messenger(from, to, words string, more map[string]any) {
	now := s.o.Now()
	s.mu.Lock()
	message := map[string]any{"mid": "m_" + s.id(), "text": words}
	s.mu.Unlock()
	for k, v := range more {
		message[k] = v
	}
	person := func(id string) map[string]any { return map[string]any{"id": id} }
	s.add(event{object: "page", entry: s.o.Page, said: map[string]any{"sender": person(from), "recipient": person(to),
		"timestamp": now.UnixMilli(), "message": message}})
}

// Picture is a message with a file that was uploaded.
func Picture(id, caption string) map[string]any {
	return map[string]any{"type": "image", "image": map[string]any{"id": id, "mime_type": "image/jpeg", "caption": caption}}
}

func (s *Server) whatsApp(value map[string]any) {
	value["messaging_product"] = "whatsapp"
	value["metadata"] = map[string]any{"display_phone_number": "79990000099", "phone_number_id": s.o.Phone}
	s.tell("whatsapp_business_account", s.o.Account, "messages", value)
}

// tell queues an event.
func (s *Server) tell(object, entry, field string, value map[string]any) {
	s.add(event{object: object, entry: entry, change: map[string]any{"field": field, "value": value}})
}

func (s *Server) add(e event) {
	e.due = time.Now().Add(s.o.Linger)
	s.mu.Lock()
	to := e.entry
	if to == s.o.Instagram {
		to = s.o.Page
	}
	if fields, some := s.subscribed[to]; some && fields == "" { // nobody is subscribed
		s.mu.Unlock()
		return
	}
	s.events = append(s.events, e)
	if s.o.Twice {
		s.events = append(s.events, e)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Pending is how many events were not taken yet.
func (s *Server) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events) + s.sending
}

// Subscribe gives the webhook's address, once it has proved that it knows the verify token.
func (s *Server) Subscribe(ctx context.Context, address string) error {
	q := url.Values{"hub.mode": {"subscribe"}, "hub.verify_token": {s.o.Verify}, "hub.challenge": {"1158201444"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 100))
	if err != nil || resp.StatusCode != http.StatusOK || string(body) != "1158201444" {
		return fmt.Errorf("the callback was not verified: %d %q %w", resp.StatusCode, body, err)
	}
	s.mu.Lock()
	s.o.Webhook = address
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// push sends events until ctx ends, each until it is taken.
func (s *Server) push(ctx context.Context) {
	for {
		batch, to, wait := s.due()
		if len(batch) > 0 {
			taken := s.post(ctx, to, batch)
			s.mu.Lock()
			s.sending = 0
			for _, e := range batch {
				if !taken {
					e.tries++
					e.due = time.Now().Add(s.o.Back << min(e.tries-1, 16))
					s.events = append(s.events, e)
				}
			}
			s.mu.Unlock()
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-time.After(wait):
		}
	}
}

// due takes what is to be sent now out of the queue, for one object.
func (s *Server) due() (batch []event, to string, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait = time.Hour
	if s.o.Webhook == "" {
		return nil, "", wait
	}
	var left []event
	now := time.Now()
	begin := slices.ContainsFunc(s.events, func(e event) bool { return !e.due.After(now) })
	for _, e := range s.events {
		d := e.due.Sub(now)
		if begin && e.tries == 0 { // what has come meanwhile goes along
			d = 0
		}
		switch {
		case d > 0:
			wait = min(wait, d)
			left = append(left, e)
		case len(batch) < s.o.Batch && (len(batch) == 0 || batch[0].object == e.object):
			batch = append(batch, e)
		default:
			left = append(left, e)
		}
	}
	s.events, s.sending = left, len(batch)
	return batch, s.o.Webhook, wait
}

// post sends a batch, and says whether it was taken: with 200 and nothing else.
func (s *Server) post(ctx context.Context, to string, batch []event) bool {
	var entries []any
	for _, e := range batch {
		one := map[string]any{"id": e.entry, "time": s.o.Now().Unix()}
		if e.said != nil {
			one["messaging"] = []any{e.said}
		} else {
			one["changes"] = []any{e.change}
		}
		entries = append(entries, one)
	}
	raw, err := json.Marshal(map[string]any{"object": batch[0].object, "entry": entries})
	if err != nil {
		panic(err) // it is ours
	}
	body := escaped(raw)
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(s.o.Secret))
	mac.Write(body)
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "facebookexternalua")
	try := push.Try{Body: body, Sent: time.Now()}
	resp, err := http.DefaultClient.Do(req)
	try.Answered = time.Now()
	if err != nil {
		try.Err = errors.New("connection refused or timed out")
		return s.o.Watch.Hears(try) == nil
	}
	defer resp.Body.Close()
	if try.Status = resp.StatusCode; try.Status != http.StatusOK {
		try.Err = fmt.Errorf("status %d", try.Status)
	}
	return s.o.Watch.Hears(try) == nil
}

// escaped writes JSON as Meta does: letters beyond ASCII as \u00e4, and slashes as \/.
func escaped(raw []byte) []byte {
	var b strings.Builder
	for _, r := range string(raw) {
		switch {
		case r == '/':
			b.WriteString(`\/`)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		case r > 0x7e:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return []byte(b.String())
}
