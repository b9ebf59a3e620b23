package phone

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"leadstream/sinks/sim/fault"
)

func (p *Phone) telegramRoutes() {
	methods := map[string]func(*request) (any, *refusal){
		"getme": getMe, "getchat": getChat, "sendmessage": sendMessage, "editmessagetext": editMessageText,
		"setwebhook": setWebhook, "deletewebhook": deleteWebhook, "getwebhookinfo": getWebhookInfo, "answercallbackquery": answerCallbackQuery,
	}
	p.mux.HandleFunc("/{bot}/{method}", func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.PathValue("bot"), "bot")
		if !ok {
			http.NotFound(w, r)
			return
		}
		name := r.PathValue("method")
		run := methods[strings.ToLower(name)]
		waits := token == p.o.Token && strings.EqualFold(name, "getUpdates")
		p.serve(w, r, name, service{
			waits: waits,
			run: func(q *request) fault.Answer {
				if !strings.Contains(token, ":") {
					return refuse(404, "Not Found")
				}
				if token != p.o.Token {
					return refuse(401, "Unauthorized")
				}
				if waits {
					return p.getUpdates(r.Context(), q.args)
				}
				if run == nil {
					return refuse(404, "Not Found")
				}
				result, e := run(q)
				if e != nil {
					return e.answer()
				}
				return answerJSON(http.StatusOK, map[string]any{"ok": true, "result": result})
			},
			refuse: func(f Fault) fault.Answer { return faulty(f).answer() },
		})
	})
}

// refusal is a Bot API error.
type refusal struct {
	code        int
	description string
	retryAfter  int
	migrateTo   int64
}

func refuse(code int, description string) fault.Answer {
	return (&refusal{code: code, description: description}).answer()
}

func badRequest(text string) *refusal {
	return &refusal{code: 400, description: "Bad Request: " + text}
}

func (e *refusal) answer() fault.Answer {
	body := map[string]any{"ok": false, "error_code": e.code, "description": e.description}
	parameters := map[string]any{}
	if e.migrateTo != 0 {
		parameters["migrate_to_chat_id"] = e.migrateTo
	}
	if e.retryAfter != 0 {
		parameters["retry_after"] = e.retryAfter
	}
	if len(parameters) > 0 {
		body["parameters"] = parameters
	}
	a := answerJSON(e.code, body)
	if e.retryAfter != 0 {
		a.Header = map[string]string{"Retry-After": strconv.Itoa(e.retryAfter)}
	}
	return a
}

// faulty is the error that a fault asks for. A 429 tells retry_after in body and header, as the reference server does.
func faulty(f Fault) *refusal {
	e := &refusal{code: f.Status, description: f.Description}
	if e.code == 0 {
		e.code = max(numbered(f.Code), 400)
	}
	if e.code == http.StatusTooManyRequests {
		e.retryAfter = max(numbered(f.RetryAfter), 1)
		if e.description == "" {
			e.description = "Too Many Requests: retry after " + strconv.Itoa(e.retryAfter)
		}
	}
	if e.description == "" {
		e.description = http.StatusText(e.code)
	}
	return e
}

func getMe(q *request) (any, *refusal) {
	id, _, _ := strings.Cut(q.p.o.Token, ":")
	n, _ := strconv.ParseInt(id, 10, 64)
	return map[string]any{"id": n, "is_bot": true, "first_name": "Leads", "username": "leads_bot",
		"can_join_groups": true, "can_read_all_group_messages": false, "supports_inline_queries": false}, nil
}

// chat is the chat that a call names, if the bot may write there.
func (q *request) chat() (Chat, *refusal) {
	id, err := strconv.ParseInt(q.args["chat_id"], 10, 64)
	if q.args["chat_id"] == "" {
		return Chat{}, badRequest("chat_id is empty")
	}
	i := slices.IndexFunc(q.p.chats, func(c Chat) bool { return c.ID == id })
	if err != nil || i < 0 {
		return Chat{}, badRequest("chat not found")
	}
	c := q.p.chats[i]
	if c.MigrateTo != 0 {
		e := badRequest("group chat was upgraded to a supergroup chat")
		e.migrateTo = c.MigrateTo
		return Chat{}, e
	}
	return c, nil
}

func (c Chat) show() map[string]any {
	out := map[string]any{"id": c.ID, "type": c.Type}
	if c.Type == "private" {
		out["first_name"] = c.Name
	} else {
		out["title"] = c.Name
	}
	return out
}

func getChat(q *request) (any, *refusal) {
	c, e := q.chat()
	if e != nil {
		return nil, e
	}
	out := c.show()
	maps.Copy(out, map[string]any{"accent_color_id": 0, "max_reaction_count": 11})
	return out, nil
}

const maxText = 4096

// said is the text of a message as the person reads it.
func (q *request) said() (string, *refusal) {
	plain, e := unmarked(q.args["text"], q.args["parse_mode"])
	if e != nil {
		return "", e
	}
	if strings.TrimSpace(plain) == "" {
		return "", badRequest("message text is empty")
	}
	if len(utf16.Encode([]rune(plain))) > maxText {
		return "", badRequest("message is too long")
	}
	return plain, q.keyboard()
}

// keyboard checks the buttons below a message.
func (q *request) keyboard() *refusal {
	raw := q.args["reply_markup"]
	if raw == "" {
		return nil
	}
	var markup struct {
		InlineKeyboard [][]struct {
			Text         string
			CallbackData string `json:"callback_data"`
		} `json:"inline_keyboard"`
	}
	if err := json.Unmarshal([]byte(raw), &markup); err != nil {
		return badRequest("can't parse reply keyboard markup JSON object")
	}
	for _, row := range markup.InlineKeyboard {
		for _, b := range row {
			if b.Text == "" {
				return badRequest("inline keyboard button text is empty")
			}
			if len(b.CallbackData) > 64 {
				return badRequest("BUTTON_DATA_INVALID")
			}
		}
	}
	return nil
}

func sendMessage(q *request) (any, *refusal) {
	c, e := q.chat()
	if e != nil {
		return nil, e
	}
	if c.Blocked {
		text := "Forbidden: bot was blocked by the user"
		if c.Type != "private" {
			text = "Forbidden: bot was kicked from the " + c.Type + " chat"
		}
		return nil, &refusal{code: 403, description: text}
	}
	plain, e := q.said()
	if e != nil {
		return nil, e
	}
	if wait := q.tooFast(c); wait > 0 {
		return nil, &refusal{code: 429, description: fmt.Sprintf("Too Many Requests: retry after %d", wait), retryAfter: wait}
	}
	m := q.arrive(Message{Via: "telegram", To: strconv.FormatInt(c.ID, 10), Text: plain,
		ID: strconv.Itoa(len(q.p.messages) + 1), Silent: q.args["disable_notification"] == "true",
		raw: q.args["text"], Buttons: q.args["reply_markup"]})
	return q.shown(m, c), nil
}

// shown is a message as the Bot API shows it.
func (q *request) shown(m *Message, c Chat) map[string]any {
	from, _ := getMe(q)
	f := from.(map[string]any)
	out := map[string]any{"message_id": numbered(m.ID), "date": m.At.Unix(), "chat": c.show(), "text": m.Text,
		"from": map[string]any{"id": f["id"], "is_bot": true, "first_name": f["first_name"], "username": f["username"]}}
	if m.Edits > 0 {
		out["edit_date"] = q.now.Unix()
	}
	if m.Buttons != "" {
		out["reply_markup"] = json.RawMessage(m.Buttons)
	}
	return out
}

func editMessageText(q *request) (any, *refusal) {
	c, e := q.chat()
	if e != nil {
		return nil, e
	}
	i := slices.IndexFunc(q.p.messages, func(m Message) bool {
		return m.Via == "telegram" && m.ID == q.args["message_id"] && m.To == strconv.FormatInt(c.ID, 10)
	})
	if i < 0 {
		return nil, badRequest("message to edit not found")
	}
	plain, e := q.said()
	if e != nil {
		return nil, e
	}
	m := &q.p.messages[i]
	if m.raw == q.args["text"] && m.Buttons == q.args["reply_markup"] {
		return nil, badRequest("message is not modified: specified new message content and reply markup are exactly " +
			"the same as a current content and reply markup of the message")
	}
	m.Text, m.raw, m.Buttons = plain, q.args["text"], q.args["reply_markup"]
	m.Edits++
	q.seq = append(q.seq, m.Seq)
	return q.shown(m, c), nil
}

// tooFast is how many seconds a chat, a group or the whole bot has to wait: 30 a second to all by default, 20 a minute to a group.
func (q *request) tooFast(c Chat) int {
	recent := func(id int64, span time.Duration) []time.Time {
		return slices.DeleteFunc(q.p.sent[id], func(t time.Time) bool { return q.now.Sub(t) >= span })
	}
	all, mine := recent(0, time.Second), recent(c.ID, time.Minute)
	q.p.sent[0], q.p.sent[c.ID] = all, mine
	if len(all) >= q.p.o.PerSecond {
		return 1
	}
	if c.Type != "private" && len(mine) >= 20 {
		return int((time.Minute-q.now.Sub(mine[0]))/time.Second) + 1
	}
	q.p.sent[0], q.p.sent[c.ID] = append(all, q.now), append(mine, q.now)
	return 0
}
