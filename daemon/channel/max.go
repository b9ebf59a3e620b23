package channel

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"leadstream/streams"
)

// maxBot reads updates of the MAX Bot API (dev.max.ru/docs-api/objects/Update). The secret of the subscription comes in a
// header; nothing is signed, and no update has a number of its own.
type maxBot struct{ Config }

func newMax(c Config) Protocol { return maxBot{c} }

func (maxBot) Greet(*http.Request, []byte) (Reply, bool) { return Reply{}, false }

func (m maxBot) Verify(r *http.Request, _ []byte) bool {
	return m.isSecret(r.Header.Get("X-Max-Bot-Api-Secret"))
}

type maxUpdate struct {
	Type      string       `json:"update_type"`
	Timestamp int64        `json:"timestamp"` // ms, like every time of MAX
	Message   *maxMessage  `json:"message"`
	Callback  *maxCallback `json:"callback"`
	User      *maxUser     `json:"user"`
	Chat      id           `json:"chat_id"`
	Payload   string       `json:"payload"`
}

type maxUser struct {
	ID       id     `json:"user_id"`
	First    string `json:"first_name"`
	Last     string `json:"last_name"`
	Name     string `json:"name"`
	Username string `json:"username"`
	Bot      flag   `json:"is_bot"`
}

type maxMessage struct {
	Sender    *maxUser `json:"sender"`
	Recipient struct {
		Chat id     `json:"chat_id"`
		Type string `json:"chat_type"`
		User id     `json:"user_id"` // of a dialog
	} `json:"recipient"`
	Timestamp int64    `json:"timestamp"`
	Body      *maxBody `json:"body"` // null when something is only passed on
	Link      *struct {
		Type    string   `json:"type"` // forward or reply
		Message *maxBody `json:"message"`
	} `json:"link"`
}

type maxBody struct {
	ID          string          `json:"mid"`
	Text        string          `json:"text"`
	Attachments []maxAttachment `json:"attachments"`
}

type maxAttachment struct {
	Type      string          `json:"type"`
	Payload   maxFile         `json:"payload"`
	Name      string          `json:"filename"`
	Title     string          `json:"title"`
	Size      int64           `json:"size"`
	Latitude  json.RawMessage `json:"latitude"`
	Longitude json.RawMessage `json:"longitude"`
}

type maxFile struct {
	URL   string   `json:"url"`
	Token string   `json:"token"`
	Photo id       `json:"photo_id"`
	Code  string   `json:"code"`
	Card  string   `json:"vcf_info"`
	Whose *maxUser `json:"max_info"`
}

type maxCallback struct {
	ID        string   `json:"callback_id"`
	Timestamp int64    `json:"timestamp"`
	Payload   string   `json:"payload"`
	User      *maxUser `json:"user"`
}

func (m maxBot) Read(body []byte, _ string) ([]Event, error) {
	var u maxUpdate
	if err := json.Unmarshal(body, &u); err != nil {
		return nil, unreadable(err)
	}
	e, err := m.event(&u)
	e.Raw, e.Err = body, err
	e.Lead.Channel = "max"
	return []Event{e}, nil
}

func (m maxBot) event(u *maxUpdate) (Event, error) {
	switch u.Type {
	case "message_created":
		return m.message(u)
	case "message_callback":
		return m.pressed(u)
	case "bot_started":
		return m.started(u)
	case "message_edited":
		return ignored("edit"), nil
	case "bot_stopped":
		return m.stopped(u)
	case "dialog_removed", "dialog_cleared", "dialog_muted", "dialog_unmuted":
		return ignored("membership"), nil
	case "":
		return Event{}, errors.New("no update_type")
	}
	return ignored("unknown kind"), nil
}

func (m maxBot) message(u *maxUpdate) (Event, error) {
	msg := u.Message
	switch {
	case msg == nil:
		return Event{}, errors.New("no message")
	case msg.Recipient.Type != "dialog":
		return ignored("group chat"), nil
	case msg.Sender == nil || !msg.Sender.ID.some():
		return ignored("no person"), nil
	}
	e := m.from(msg.Sender)
	if msg.Sender.Bot { // ours has written; people cannot answer in its name but by a program
		if !msg.Recipient.User.some() || msg.Recipient.User == msg.Sender.ID {
			return ignored("no person"), nil
		}
		e = Event{Lead: streams.Lead{Event: "sent", UserID: string(msg.Recipient.User)}}
	}
	e.Talk = string(msg.Recipient.Chat)
	l := &e.Lead
	l.EventAt = seconds(msg.Timestamp)
	body := msg.Body
	var f fields
	if msg.Link != nil && msg.Link.Message != nil {
		if msg.Link.Type == "reply" {
			f.set("reply_to", msg.Link.Message.ID)
		} else {
			f.set("forwarded", text(msg.Link.Message.Text))
		}
	}
	switch {
	case body != nil && body.ID != "":
		l.Key, e.Named = body.ID, true
	case u.Timestamp > 0 || msg.Timestamp > 0:
		l.Key = "message:" + string(msg.Recipient.Chat) + ":" + l.UserID + ":" + strconv.FormatInt(max(msg.Timestamp, u.Timestamp), 10)
	default:
		return Event{}, errors.New("the message has no mid")
	}
	if body == nil || body.Text == "" && len(body.Attachments) == 0 { // all that there is was passed on
		body = &maxBody{}
		if msg.Link != nil && msg.Link.Message != nil {
			body = msg.Link.Message
		}
	}
	l.Message = text(body.Text)
	if l.Event == "" {
		f.set("username", msg.Sender.Username)
	} else if msg.Body != nil {
		f.set("message_id", msg.Body.ID)
	}
	f.set("chat_id", string(msg.Recipient.Chat))
	started(l, &f)
	m.attached(l, &f, msg.Sender, body.Attachments)
	l.Fields = f
	return e, nil
}

// attached puts contacts, places and files where they belong.
func (m maxBot) attached(l *streams.Lead, f *fields, sender *maxUser, given []maxAttachment) {
	kinds := map[string]string{"image": "photo", "file": "document"}
	var files []streams.Media
	for _, a := range given {
		p := a.Payload
		switch a.Type {
		case "contact":
			fullName, number := vcard(p.Card)
			if p.Whose != nil && p.Whose.ID == sender.ID {
				if number != "" {
					l.Phone = m.international(number)
				}
				continue
			}
			contact := map[string]string{"name": fullName}
			if number != "" {
				contact["phone"] = m.international(number)
			}
			f.set("contact", contact)
		case "location":
			f.set("location", map[string]json.RawMessage{"latitude": a.Latitude, "longitude": a.Longitude})
		case "inline_keyboard", "reply_keyboard", "data":
		default:
			file := streams.Media{Kind: kinds[a.Type], URL: p.URL, Name: a.Name + a.Title, Size: a.Size}
			if file.Kind == "" {
				file.Kind = text(a.Type)
			}
			switch {
			case p.Photo.some():
				file.Ref = string(p.Photo)
			default:
				file.Ref = p.Token + p.Code // it has one of them
			}
			files = append(files, file)
		}
	}
	attach(l, f, files)
}

func (m maxBot) pressed(u *maxUpdate) (Event, error) {
	b := u.Callback
	switch {
	case b == nil || b.ID == "":
		return Event{}, errors.New("no callback_id")
	case b.User == nil || bool(b.User.Bot) || !b.User.ID.some():
		return ignored("no person"), nil
	case u.Message != nil && u.Message.Recipient.Type != "dialog" && u.Message.Recipient.Type != "":
		return ignored("group chat"), nil
	}
	e := m.from(b.User)
	l := &e.Lead
	// One keyboard has one id, however often it is pressed.
	l.Key = b.ID + ":" + strconv.FormatInt(b.Timestamp, 10)
	l.EventAt = seconds(b.Timestamp)
	l.Message = text(b.Payload)
	var f fields
	f.set("username", b.User.Username)
	f.set("button", b.Payload)
	f.set("callback_id", b.ID)
	l.Fields = f
	return e, nil
}

// started is the first touch, or one after a stop.
func (m maxBot) started(u *maxUpdate) (Event, error) {
	if u.User == nil || !u.User.ID.some() || bool(u.User.Bot) {
		return ignored("no person"), nil
	}
	e := m.from(u.User)
	e.Talk = string(u.Chat)
	l := &e.Lead
	l.Key = "bot_started:" + string(u.Chat) + ":" + l.UserID + ":" + strconv.FormatInt(u.Timestamp, 10)
	l.EventAt = seconds(u.Timestamp)
	var f fields
	f.set("username", u.User.Username)
	f.set("chat_id", string(u.Chat))
	f.set("start", text(u.Payload))
	l.Fields = f
	if from := text(u.Payload); from != "" {
		l.UTM = map[string]string{"campaign": from}
	}
	return e, nil
}

// stopped is a person who takes no more messages; the next bot_started, or word, takes that back.
func (m maxBot) stopped(u *maxUpdate) (Event, error) {
	if u.User == nil || !u.User.ID.some() || bool(u.User.Bot) {
		return ignored("no person"), nil
	}
	l := streams.Lead{Event: "blocked", UserID: string(u.User.ID), EventAt: seconds(u.Timestamp)}
	l.Key = "bot_stopped:" + string(u.Chat) + ":" + l.UserID + ":" + strconv.FormatInt(u.Timestamp, 10)
	return Event{Lead: l}, nil
}

func (m maxBot) from(u *maxUser) Event {
	full := name(u.First, u.Last)
	if full == "" {
		full = name(u.Name)
	}
	return Event{Lead: streams.Lead{UserID: string(u.ID), Name: full}}
}

// vcard is the name and the first telephone number of a card (RFC 6350), both as written.
func vcard(card string) (fullName, number string) {
	card = strings.NewReplacer("\r\n ", "", "\r\n\t", "", "\n ", "", "\n\t", "").Replace(card) // folded lines
	for line := range strings.Lines(card) {
		property, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		property, _, _ = strings.Cut(property, ";")
		if _, after, ok := strings.Cut(property, "."); ok { // a group
			property = after
		}
		switch strings.ToUpper(property) {
		case "FN":
			fullName = name(value)
		case "TEL":
			if number == "" {
				number = strings.TrimPrefix(strings.TrimSpace(value), "tel:")
			}
		}
	}
	return fullName, number
}
