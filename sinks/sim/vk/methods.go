package vk

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"leadstream/sinks/sim/fault"
	"leadstream/sinks/sim/push"
)

// failure is an error of the API (dev.vk.com/ru/reference/errors), which comes with status 200.
type failure struct {
	code int
	text string
}

var texts = map[int]string{
	1: "Unknown error occurred", 5: "User authorization failed: invalid access_token (4).", 6: "Too many requests per second", 9: "Flood control",
	10: "Internal server error", 15: "Access denied", 27: "Group authorization failed: method is unavailable with group auth.", 29: "Rate limit reached",
	100: "One of the parameters specified was missing or invalid", 901: "Can't send messages for users without permission", 3: "Unknown method passed",
	911: "Keyboard format is invalid", 912: "This is a chat bot feature, change this status in settings", 914: "Message is too long",
}

func fail(code int, more string) *failure {
	text := texts[code]
	if more != "" {
		text += ": " + more
	}
	return &failure{code, text}
}

func (f *failure) answer() fault.Answer {
	return answer(map[string]any{"error": map[string]any{"error_code": f.code, "error_msg": f.text, "request_params": []any{}}})
}

func answer(v any) fault.Answer {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return fault.Answer{Status: http.StatusOK, ContentType: "application/json; charset=utf-8", Body: b}
}

// ServeHTTP answers /method/NAME and Long Poll.
func (c *Community) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseMultipartForm(1 << 20); err != nil && r.ParseForm() != nil {
		http.Error(w, "no form", http.StatusBadRequest)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/method/")
	method := name
	run := func() fault.Answer { return c.call(method, r.Form) }
	switch {
	case ok && name == "messages.getHistory":
		name += ":" + r.Form.Get("peer_id")
	case ok:
	case strings.HasPrefix(r.URL.Path, "/whp/"):
		name, run = "a_check", func() fault.Answer { return c.check(r) }
	default:
		http.NotFound(w, r)
		return
	}
	c.faults.Serve(w, r, fault.Exchange{Method: name, Run: run, Refuse: func(f Fault) fault.Answer {
		code, err := strconv.Atoi(f.Code)
		if err != nil {
			return fault.FrontPage(max(f.Status, 400))
		}
		return fail(code, f.Description).answer()
	}})
}

// slow is whether there are too many calls this second.
func (c *Community) slow() bool {
	now := c.o.Clock()
	c.calls = slices.DeleteFunc(c.calls, func(t time.Time) bool { return now.Sub(t) >= time.Second })
	if c.o.Rate > 0 && len(c.calls) >= c.o.Rate {
		return true
	}
	c.calls = append(c.calls, now)
	return false
}

func (c *Community) call(name string, args url.Values) fault.Answer {
	methods := map[string]func(url.Values) (any, *failure){
		"groups.getById": c.getByID, "groups.getLongPollServer": c.getLongPollServer, "groups.getLongPollSettings": c.getLongPollSettings,
		"groups.setLongPollSettings": c.setLongPollSettings, "groups.getCallbackServers": c.getCallbackServers,
		"groups.addCallbackServer": c.addCallbackServer, "groups.editCallbackServer": c.editCallbackServer, "groups.deleteCallbackServer": c.deleteCallbackServer,
		"groups.setCallbackSettings": c.setCallbackSettings, "groups.getCallbackSettings": c.getCallbackSettings, "groups.getCallbackConfirmationCode": c.getConfirmation,
		"messages.getConversations": c.getConversations, "messages.getHistory": c.getHistory, "messages.send": c.send,
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	run := methods[name]
	var out any
	var e *failure
	switch group := args.Get("group_id"); {
	case args.Get("access_token") != c.o.Token:
		e = fail(5, "")
	case args.Get("v") == "":
		e = fail(100, "v is a required parameter")
	case run == nil:
		e = fail(3, "")
	case c.slow():
		e = fail(6, "")
	case group != "" && group != fmt.Sprint(c.o.Group):
		e = fail(15, "no access to this group")
	default:
		out, e = run(args)
	}
	if e != nil {
		return e.answer()
	}
	return answer(map[string]any{"response": out})
}

func (c *Community) getByID(url.Values) (any, *failure) {
	return map[string]any{"groups": []any{map[string]any{"id": c.o.Group, "name": "Салон", "screen_name": "club" + fmt.Sprint(c.o.Group), "type": "group"}}, "profiles": []any{}}, nil
}

func (c *Community) getLongPollServer(url.Values) (any, *failure) {
	if c.o.NoPoll {
		return nil, fail(100, "longpoll for this group is not enabled")
	}
	c.checks = 0
	return map[string]any{"key": fmt.Sprintf("key%d", c.key), "server": c.URL() + "/whp/" + fmt.Sprint(c.o.Group), "ts": fmt.Sprint(c.first + int64(len(c.events)))}, nil
}

func (c *Community) getLongPollSettings(url.Values) (any, *failure) {
	events := map[string]int{}
	for kind, on := range c.settings {
		events[kind] = 0
		if on {
			events[kind] = 1
		}
	}
	return map[string]any{"is_enabled": !c.o.NoPoll, "api_version": version, "events": events}, nil
}

func (c *Community) setLongPollSettings(args url.Values) (any, *failure) {
	if v := args.Get("enabled"); v != "" {
		c.o.NoPoll = v == "0"
	}
	for key := range args {
		if strings.Contains(key, "_") && key != "access_token" && key != "group_id" && key != "api_version" {
			c.settings[key] = args.Get(key) == "1"
		}
	}
	return 1, nil
}

// check is the long poll itself. It waits without c.mu.
func (c *Community) check(r *http.Request) fault.Answer {
	ts, err := strconv.ParseInt(r.Form.Get("ts"), 10, 64)
	wait, _ := strconv.Atoi(r.Form.Get("wait"))
	timer := time.NewTimer(time.Duration(min(max(wait, 0), 90)) * time.Second)
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.polling++
	defer func() { c.polling-- }()
	c.checks++
	if err == nil && r.Form.Get("key") == fmt.Sprintf("key%d", c.key) {
		c.take(ts)
	}
	for {
		now := c.first + int64(len(c.events))
		switch {
		case r.Form.Get("key") != fmt.Sprintf("key%d", c.key):
			return answer(map[string]any{"failed": 2})
		case c.o.KeyLife > 0 && c.checks > c.o.KeyLife:
			c.key++
			return answer(map[string]any{"failed": 2})
		case err != nil || ts < c.first || ts > now:
			return answer(map[string]any{"failed": 1, "ts": now})
		case ts < now:
			return answer(map[string]any{"ts": fmt.Sprint(now), "updates": c.events[ts-c.first:]})
		}
		wake := c.wake
		c.mu.Unlock()
		over := false
		select {
		case <-wake:
		case <-timer.C:
			over = true
		case <-r.Context().Done():
			over = true
		case <-c.closed:
			over = true
		}
		c.mu.Lock()
		if over {
			return answer(map[string]any{"ts": fmt.Sprint(ts), "updates": []any{}})
		}
	}
}

// take notes that somebody asks for what follows ts: what lies before it is kept there. The caller holds c.mu.
func (c *Community) take(ts int64) {
	for ; c.taken < ts && c.taken < c.first+int64(len(c.events)); c.taken++ {
		if c.taken >= c.first && c.o.Watch.Tried != nil {
			now := time.Now()
			c.o.Watch.Tried(push.Try{Body: c.events[c.taken-c.first], Sent: now, Answered: now, Status: http.StatusOK})
		}
	}
}

func (c *Community) getCallbackServers(url.Values) (any, *failure) {
	items := []any{}
	for _, s := range c.servers {
		items = append(items, map[string]any{"id": s.id, "title": s.title, "creator_id": 1, "url": s.url, "secret_key": s.secret, "status": c.statusOf(s)})
	}
	return map[string]any{"count": len(items), "items": items}, nil
}

func (c *Community) addCallbackServer(args url.Values) (any, *failure) {
	if u, err := url.Parse(args.Get("url")); err != nil || u.Host == "" {
		return nil, fail(100, "url is incorrect")
	}
	if t := args.Get("title"); t == "" || len([]rune(t)) > 14 {
		return nil, fail(100, "title is incorrect")
	}
	if len(args.Get("secret_key")) > 50 {
		return nil, fail(100, "secret_key is incorrect")
	}
	if len(c.servers) >= 10 {
		return nil, &failure{2000, "Cannot add more than 10 servers"}
	}
	c.lastSrv++
	s := &server{id: c.lastSrv, title: args.Get("title"), url: args.Get("url"), secret: args.Get("secret_key"), status: "wait", events: map[string]bool{},
		queue: push.New(push.Options{Watch: c.o.Watch, Clock: c.o.Clock, Hurry: c.o.Hurry})}
	c.servers = append(c.servers, s)
	c.serving.Go(func() { c.confirm(s) })
	return map[string]any{"server_id": s.id}, nil
}

// server is the one that a call names.
func (c *Community) server(args url.Values) (*server, *failure) {
	i := slices.IndexFunc(c.servers, func(s *server) bool { return fmt.Sprint(s.id) == args.Get("server_id") })
	if i < 0 {
		return nil, fail(100, "server_id is incorrect")
	}
	return c.servers[i], nil
}

func (c *Community) editCallbackServer(args url.Values) (any, *failure) {
	s, e := c.server(args)
	if e != nil {
		return nil, e
	}
	s.url, s.title, s.secret, s.status = args.Get("url"), args.Get("title"), args.Get("secret_key"), "wait"
	c.serving.Go(func() { c.confirm(s) })
	return 1, nil
}

func (c *Community) deleteCallbackServer(args url.Values) (any, *failure) {
	s, e := c.server(args)
	if e != nil {
		return nil, e
	}
	c.servers = slices.DeleteFunc(c.servers, func(o *server) bool { return o == s })
	c.serving.Go(s.queue.Close)
	return 1, nil
}

func (c *Community) setCallbackSettings(args url.Values) (any, *failure) {
	s, e := c.server(args)
	if e != nil {
		return nil, e
	}
	for key := range args {
		if args.Get(key) == "1" || args.Get(key) == "0" {
			s.events[key] = args.Get(key) == "1"
		}
	}
	s.version = cmp.Or(args.Get("api_version"), version)
	return 1, nil
}

func (c *Community) getCallbackSettings(args url.Values) (any, *failure) {
	s, e := c.server(args)
	if e != nil {
		return nil, e
	}
	events := map[string]int{}
	for kind, on := range s.events {
		if events[kind] = 0; on {
			events[kind] = 1
		}
	}
	return map[string]any{"api_version": s.version, "events": events}, nil
}

func (c *Community) getConfirmation(url.Values) (any, *failure) {
	return map[string]any{"code": c.o.Confirm}, nil
}

func number(args url.Values, key string, def, most int) int {
	n, err := strconv.Atoi(args.Get(key))
	if err != nil {
		n = def
	}
	return min(max(n, 0), most)
}

// page is a part of a list, as offset and count say.
func page[T any](all []T, args url.Values, count int) []T {
	from := min(number(args, "offset", 0, 1<<30), len(all))
	return all[from:min(len(all), from+number(args, "count", count, 200))]
}

func (c *Community) getConversations(args url.Values) (any, *failure) {
	type conversation struct {
		peer int64
		last message
	}
	all := []conversation{}
	for peer, said := range c.said {
		all = append(all, conversation{peer, said[len(said)-1]})
	}
	slices.SortFunc(all, func(a, b conversation) int { return cmp.Compare(b.last.ID, a.last.ID) })
	items := []any{}
	for _, v := range page(all, args, 20) {
		items = append(items, map[string]any{"conversation": map[string]any{"peer": map[string]any{"id": v.peer, "type": "user", "local_id": v.peer}}, "last_message": v.last})
	}
	return map[string]any{"count": len(all), "items": items}, nil
}

func (c *Community) getHistory(args url.Values) (any, *failure) {
	peer, err := strconv.ParseInt(args.Get("peer_id"), 10, 64)
	if err != nil {
		return nil, fail(100, "peer_id is incorrect")
	}
	all := slices.Clone(c.said[peer])
	slices.Reverse(all)
	items := []any{}
	for _, m := range page(all, args, 20) {
		if m.raw != nil {
			items = append(items, m.raw)
		} else {
			items = append(items, m)
		}
	}
	return map[string]any{"count": len(all), "items": items}, nil
}

// send says something to a person who has written before or allows it; the same random_id says it once.
func (c *Community) send(args url.Values) (any, *failure) {
	peer, err := strconv.ParseInt(cmp.Or(args.Get("peer_id"), args.Get("user_id")), 10, 64)
	random, bad := strconv.ParseInt(args.Get("random_id"), 10, 32)
	denied, asked := c.denied[peer]
	switch {
	case err != nil || bad != nil:
		return nil, fail(100, "random_id is a required parameter")
	case denied || !asked && len(c.said[peer]) == 0:
		return nil, fail(901, "")
	case args.Get("message") == "":
		return nil, fail(100, "message is empty or invalid")
	case len(utf16.Encode([]rune(args.Get("message")))) > 4096:
		return nil, fail(914, "")
	}
	keyboard, e := readKeyboard(args.Get("keyboard"))
	if e != nil {
		return nil, e
	}
	for _, m := range c.said[peer] {
		if random != 0 && m.Random == random && m.Out == 1 {
			return m.ID, nil
		}
	}
	m := c.add(peer, -c.o.Group, args.Get("message"), random)
	m.Keyboard = keyboard
	c.said[peer][len(c.said[peer])-1].Keyboard = keyboard
	c.tell("message_reply", m)
	return m.ID, nil
}

// readKeyboard refuses what VK refuses of a keyboard.
func readKeyboard(text string) (json.RawMessage, *failure) {
	if text == "" {
		return nil, nil
	}
	var k struct {
		Inline  bool `json:"inline"`
		Buttons [][]struct {
			Action struct {
				Type, Label, Link string
				Payload           *string
			} `json:"action"`
		} `json:"buttons"`
	}
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return nil, fail(911, "it is no JSON")
	}
	rows, all := 10, 40
	if k.Inline {
		rows, all = 6, 10
	}
	n := 0
	for _, row := range k.Buttons {
		n += len(row)
		for _, b := range row {
			a := b.Action
			switch {
			case a.Label == "" || len([]rune(a.Label)) > 40, a.Payload != nil && (len(*a.Payload) > 255 || !json.Valid([]byte(*a.Payload))):
				return nil, fail(911, "a button's label or payload")
			case a.Type != "text" && a.Type != "callback" && a.Type != "open_link", (a.Type == "open_link") != (a.Link != ""):
				return nil, fail(911, "a button's type")
			}
		}
		if len(row) == 0 || len(row) > 5 {
			return nil, fail(911, "a row")
		}
	}
	if len(k.Buttons) > rows || n > all {
		return nil, fail(911, "too many buttons")
	}
	return json.RawMessage(text), nil
}
