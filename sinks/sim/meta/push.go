package meta

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// event is one change that the webhook is told.
type event struct {
	object, entry string
	change        map[string]any
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
	one := map[string]any{"from": from, "id": id, "timestamp": stamp(now)}
	for k, v := range message {
		one[k] = v
	}
	s.whatsApp(map[string]any{"contacts": []any{map[string]any{"profile": map[string]any{"name": name}, "wa_id": from}}, "messages": []any{one}})
	return id
}

// Text is a message of words.
func Text(words string) map[string]any {
	return map[string]any{"type": "text", "text": map[string]any{"body": words}}
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
	s.mu.Lock()
	e := event{object: object, entry: entry, change: map[string]any{"field": field, "value": value}}
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
	for _, e := range s.events {
		d := time.Until(e.due)
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
		entries = append(entries, map[string]any{"id": e.entry, "time": s.o.Now().Unix(), "changes": []any{e.change}})
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
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
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
