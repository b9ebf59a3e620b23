package phone

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadstream/sinks/sim/fault"
	"leadstream/sinks/sim/push"
)

// What people write to the bot, which it gets by its webhook or asks for (core.telegram.org/bots/api#getting-updates; the
// details are those of the reference server). The phone's queue holds the updates.

// botState is what the service remembers of the bot's own settings.
type botState struct {
	allowed  []string      // kinds of update; nil: the usual ones
	poll     chan struct{} // closed to end the getUpdates that waits; nil: none does
	aborted  string        // why it was ended
	messages int           // numbers of what people have written
	hookSet  time.Time
}

// unusual are the kinds of update that a bot has to ask for.
var unusual = []string{"chat_member", "message_reaction", "message_reaction_count"}

const telegramTimeout = 50 // seconds that getUpdates waits at most

// From is a person who writes to the bot.
type From struct {
	ID       int64
	Name     string
	Username string
}

// Write has a person write to the bot, in a private chat, and answers the update's number: 0 when the bot has said that it
// wants no messages.
func (p *Phone) Write(from From, text string) int64 {
	return p.Tell("message", from, func() map[string]any { return map[string]any{"text": text} })
}

// Block has a person block the bot, or take that back: it may not write to them then, and is told so.
func (p *Phone) Block(from From, blocked bool) int64 {
	was, is := "member", "kicked"
	if !blocked {
		was, is = is, was
	}
	p.SetChat(Chat{ID: from.ID, Type: "private", Name: from.Name, Blocked: blocked})
	return p.Tell("my_chat_member", from, func() map[string]any {
		return map[string]any{"old_chat_member": map[string]any{"status": was}, "new_chat_member": map[string]any{"status": is}}
	})
}

// Tell has a person do anything else to the bot: kind is the update's (message, callback_query, …), and what fills it goes
// on top of from, chat, date and message_id.
func (p *Phone) Tell(kind string, from From, what func() map[string]any) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if allowed := p.bot.allowed; allowed != nil && !slices.Contains(allowed, kind) || allowed == nil && slices.Contains(unusual, kind) {
		return 0
	}
	if !slices.ContainsFunc(p.chats, func(c Chat) bool { return c.ID == from.ID }) {
		p.chats = append(p.chats, Chat{ID: from.ID, Type: "private", Name: from.Name})
	}
	p.bot.messages++
	user := map[string]any{"id": from.ID, "is_bot": false, "first_name": from.Name}
	if from.Username != "" {
		user["username"] = from.Username
	}
	object := map[string]any{"from": user}
	if kind != "callback_query" {
		maps.Copy(object, map[string]any{"message_id": 100000 + p.bot.messages, "date": p.o.Clock().Unix(),
			"chat": map[string]any{"id": from.ID, "type": "private", "first_name": from.Name}})
	}
	if kind == "my_chat_member" {
		delete(object, "message_id")
	}
	maps.Copy(object, what())
	return p.updates.Add(kind+" "+strconv.FormatInt(from.ID, 10), func(id int64) []byte {
		body, err := json.Marshal(map[string]any{"update_id": id, kind: object})
		if err != nil {
			panic(err) // what is a test's mistake
		}
		return body
	})
}

// Raw puts an update into the bot's queue as it is; "%d" stands for its number.
func (p *Phone) Raw(text string) int64 {
	return p.updates.Add("raw", func(id int64) []byte { return []byte(strings.ReplaceAll(text, "%d", strconv.FormatInt(id, 10))) })
}

// Unread is how many updates the bot has not taken.
func (p *Phone) Unread() int { return p.updates.State().Waiting }

// RestartIDs lets updates be numbered from another number on, as after a week in which nobody wrote.
func (p *Phone) RestartIDs(next int64) { p.updates.Restart(next) }

// Webhook is the address that is set; empty: none.
func (p *Phone) Webhook() string {
	if h := p.updates.State().Hook; h != nil {
		return h.URL
	}
	return ""
}

// SetWebhook sets or, with an empty address, removes the webhook behind the bot's back, as another owner of its token would.
func (p *Phone) SetWebhook(address, secret string) {
	p.abort("Conflict: terminated by setWebhook request")
	p.setHook(address, secret, 0)
}

func (p *Phone) setHook(address, secret string, most int) {
	if address == "" {
		p.updates.SetHook(nil)
		return
	}
	if most == 0 {
		most = 40
	}
	h := &push.Hook{URL: address, Header: http.Header{}, Most: most, Taken: func(status int, _ []byte) error {
		if status < 200 || status > 299 {
			return fmt.Errorf("%s from the webhook: %d %s", "Wrong response", status, http.StatusText(status))
		}
		return nil
	}, Delay: func(fails int) time.Duration { // at once, then 2, 4, 8 … up to a minute or two
		if fails == 1 {
			return 0
		}
		return min(time.Second<<min(fails-1, 10), 90*time.Second)
	}}
	if secret != "" {
		h.Header.Set("X-Telegram-Bot-Api-Secret-Token", secret)
	}
	p.updates.SetHook(h)
}

// abort ends the getUpdates that waits.
func (p *Phone) abort(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endPoll(why)
}

// endPoll is abort for who holds p.mu.
func (p *Phone) endPoll(why string) {
	if p.bot.poll != nil {
		p.bot.aborted = why
		close(p.bot.poll)
		p.bot.poll = nil
	}
}

func integer(args map[string]string, key string, def, least, most int) int {
	n, err := strconv.Atoi(args[key])
	if err != nil {
		n = def
	}
	return min(max(n, least), most)
}

// allow takes the list of kinds that a call gives; none at all leaves what was.
func (p *Phone) allow(raw string) {
	var list []string
	if raw == "" || json.Unmarshal([]byte(raw), &list) != nil {
		return
	}
	p.bot.allowed = list
	if len(list) == 0 {
		p.bot.allowed = nil
	}
}

// getUpdates waits without p.mu, so it is no method like the others.
func (p *Phone) getUpdates(ctx context.Context, args map[string]string) fault.Answer {
	p.mu.Lock()
	if p.updates.State().Hook != nil {
		p.mu.Unlock()
		return refuse(409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first")
	}
	offset, limit := integer(args, "offset", 0, -1<<31, 1<<31-1), integer(args, "limit", 100, 1, 100)
	timeout := integer(args, "timeout", 0, 0, telegramTimeout)
	p.allow(args["allowed_updates"])
	found := p.take(int64(offset), limit)
	if len(found) > 0 || timeout == 0 {
		p.mu.Unlock()
		return answerUpdates(found)
	}
	p.endPoll("Conflict: terminated by other getUpdates request; make sure that only one bot instance is running")
	mine := make(chan struct{})
	p.bot.poll = mine
	p.mu.Unlock()

	timer := time.NewTimer(time.Duration(timeout) * time.Second)
	defer timer.Stop()
	over := false
	for len(found) == 0 && !over {
		changed := p.updates.Changed()
		p.mu.Lock()
		found = p.take(int64(offset), limit)
		p.mu.Unlock()
		if len(found) > 0 {
			break
		}
		select {
		case <-mine:
			p.mu.Lock()
			defer p.mu.Unlock()
			return refuse(409, p.bot.aborted)
		case <-changed:
		case <-timer.C:
			over = true
		case <-p.closed:
			over = true
		case <-ctx.Done():
			over = true
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bot.poll == mine {
		p.bot.poll = nil
	}
	return answerUpdates(found)
}

// take confirms what is below offset and answers what follows. An offset that lies in the future is that of the oldest
// update: numbers may begin anew.
func (p *Phone) take(offset int64, limit int) []json.RawMessage {
	all := p.updates.Waiting()
	switch {
	case offset < 0:
		keep := all[max(0, len(all)+int(offset)):]
		p.updates.Forget(func(e push.Event) bool { return len(keep) == 0 || e.ID < keep[0].ID })
		all = keep
	case offset > 0 && (len(all) == 0 || offset <= all[len(all)-1].ID+1):
		p.updates.Confirm(func(e push.Event) bool { return e.ID < offset })
		all = slices.DeleteFunc(all, func(e push.Event) bool { return e.ID < offset })
	}
	found := make([]json.RawMessage, 0, min(limit, len(all)))
	for _, e := range all[:min(limit, len(all))] {
		found = append(found, e.Body)
	}
	return found
}

// answerUpdates writes updates as they are, also those that a test has broken.
func answerUpdates(found []json.RawMessage) fault.Answer {
	var b strings.Builder
	b.WriteString(`{"ok":true,"result":[`)
	for i, u := range found {
		if i > 0 {
			b.WriteString(",\n")
		}
		b.Write(u)
	}
	b.WriteString("]}")
	return fault.Answer{Status: http.StatusOK, ContentType: "application/json", Body: []byte(b.String())}
}

var secretForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

func setWebhook(q *request) (any, *refusal) {
	p, address := q.p, q.args["url"]
	if address == "" {
		return deleteWebhook(q)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, badRequest("bad webhook: invalid webhook URL specified")
	}
	port := u.Port()
	if u.Scheme != "https" && !p.o.PlainHTTP {
		return nil, badRequest("bad webhook: An HTTPS URL must be provided for webhook")
	}
	if port != "" && !slices.Contains([]string{"80", "88", "443", "8443"}, port) && !p.o.PlainHTTP {
		return nil, badRequest("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
	}
	if secret := q.args["secret_token"]; secret != "" && !secretForm.MatchString(secret) {
		return nil, badRequest("secret token contains unallowed characters")
	}
	if wait := p.bot.hookSet.Add(time.Second).Sub(q.now); wait > 0 && !p.o.PlainHTTP {
		return nil, &refusal{code: 429, description: "Too Many Requests: retry after 1", retryAfter: 1}
	}
	p.bot.hookSet = q.now
	p.endPoll("Conflict: terminated by setWebhook request")
	p.allow(q.args["allowed_updates"])
	if q.args["drop_pending_updates"] == "true" {
		p.updates.Forget(func(push.Event) bool { return true })
	}
	p.setHook(address, q.args["secret_token"], integer(q.args, "max_connections", 40, 1, 100))
	return true, nil
}

func deleteWebhook(q *request) (any, *refusal) {
	if q.args["drop_pending_updates"] == "true" {
		q.p.updates.Forget(func(push.Event) bool { return true })
	}
	if q.p.updates.State().Hook != nil {
		q.p.updates.SetHook(nil)
	}
	return true, nil
}

func getWebhookInfo(q *request) (any, *refusal) {
	s := q.p.updates.State()
	out := map[string]any{"url": "", "has_custom_certificate": false, "pending_update_count": s.Waiting}
	if s.Hook != nil {
		maps.Copy(out, map[string]any{"url": s.Hook.URL, "max_connections": s.Hook.Most, "ip_address": "192.0.2.1"})
	}
	if !s.ErrorAt.IsZero() {
		out["last_error_date"], out["last_error_message"] = s.ErrorAt.Unix(), s.Error
	}
	if q.p.bot.allowed != nil {
		out["allowed_updates"] = q.p.bot.allowed
	}
	return out, nil
}

// answerCallbackQuery is what a bot says to who has pressed a button.
func answerCallbackQuery(q *request) (any, *refusal) {
	if q.args["callback_query_id"] == "" {
		return nil, badRequest("query is too old and response timeout expired or query ID is invalid")
	}
	return true, nil
}

// Polled is whether a getUpdates waits now.
func (p *Phone) Polled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bot.poll != nil
}
