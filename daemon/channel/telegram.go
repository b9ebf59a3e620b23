package channel

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"leadstream/daemon/mail"
	"leadstream/streams"
)

// telegram reads updates of the Telegram Bot API, as its webhook and getUpdates bring them
// (core.telegram.org/bots/api#update). The secret of setWebhook comes in a header; nothing is signed.
type telegram struct{ Config }

func newTelegram(c Config) Protocol { return telegram{c} }

func (telegram) Greet(*http.Request, []byte) (Reply, bool) { return Reply{}, false }

func (t telegram) Verify(r *http.Request, _ []byte) bool {
	return t.isSecret(r.Header.Get("X-Telegram-Bot-Api-Secret-Token"))
}

type telegramUpdate struct {
	ID             int64            `json:"update_id"`
	Message        *telegramMessage `json:"message"`
	Edited         *telegramMessage `json:"edited_message"`
	Business       *telegramMessage `json:"business_message"`
	EditedBusiness *telegramMessage `json:"edited_business_message"`
	Callback       *telegramButton  `json:"callback_query"`
	Member         *telegramMember  `json:"my_chat_member"`
}

type telegramUser struct {
	ID       int64  `json:"id"`
	Bot      bool   `json:"is_bot"`
	First    string `json:"first_name"`
	Last     string `json:"last_name"`
	Username string `json:"username"`
	Language string `json:"language_code"`
}

type telegramChat struct {
	ID    int64  `json:"id"`
	Type  string `json:"type"`
	First string `json:"first_name"`
	Last  string `json:"last_name"`
}

type telegramMessage struct {
	ID         int64         `json:"message_id"`
	From       *telegramUser `json:"from"`
	Chat       telegramChat  `json:"chat"`
	Date       int64         `json:"date"`
	Edited     int64         `json:"edit_date"`
	Text       string        `json:"text"`
	Caption    string        `json:"caption"`
	Album      string        `json:"media_group_id"`
	Connection string        `json:"business_connection_id"`
	Program    *telegramUser `json:"sender_business_bot"` // that has written in the owner's name
	Contact    *struct {
		Phone string `json:"phone_number"`
		First string `json:"first_name"`
		Last  string `json:"last_name"`
		User  int64  `json:"user_id"`
	} `json:"contact"`
	WebApp *struct {
		Data string `json:"data"`
	} `json:"web_app_data"`
	Location json.RawMessage `json:"location"`
	Poll     json.RawMessage `json:"poll"`
	Venue    json.RawMessage `json:"venue"`
	Photo    []telegramFile  `json:"photo"`
	Voice    *telegramFile   `json:"voice"`
	Audio    *telegramFile   `json:"audio"`
	Video    *telegramFile   `json:"video"`
	Note     *telegramFile   `json:"video_note"`
	Document *telegramFile   `json:"document"`
	Sticker  *telegramFile   `json:"sticker"`
}

type telegramFile struct {
	ID    string `json:"file_id"`
	Name  string `json:"file_name"`
	Mime  string `json:"mime_type"`
	Size  int64  `json:"file_size"`
	Emoji string `json:"emoji"`
}

type telegramButton struct {
	ID      string           `json:"id"`
	From    *telegramUser    `json:"from"`
	Data    string           `json:"data"`
	Message *telegramMessage `json:"message"`
}

type telegramMember struct {
	Chat telegramChat  `json:"chat"`
	From *telegramUser `json:"from"`
	Date int64         `json:"date"`
	New  struct {
		Status string `json:"status"`
	} `json:"new_chat_member"`
}

func (t telegram) Read(body []byte, _ string) ([]Event, error) {
	var u telegramUpdate
	if err := json.Unmarshal(body, &u); err != nil {
		return nil, unreadable(err)
	}
	if u.ID == 0 {
		return nil, errors.New("no update_id")
	}
	e := t.event(&u)
	e.Raw = body
	e.Lead.Channel = "telegram"
	e.Lead.Key = strconv.FormatInt(u.ID, 10)
	return []Event{e}, nil
}

func (t telegram) event(u *telegramUpdate) Event {
	switch {
	case u.Message != nil:
		return t.message(u.Message)
	case u.Business != nil:
		return t.message(u.Business)
	case u.Callback != nil:
		return t.pressed(u.Callback)
	case u.Edited != nil, u.EditedBusiness != nil:
		return Event{Ignore: "edit"}
	case u.Member != nil:
		return t.membership(u.Member)
	}
	return Event{Ignore: "unknown kind"}
}

func (t telegram) message(m *telegramMessage) Event {
	switch {
	case m.From == nil || m.From.Bot:
		return Event{Ignore: "no person"}
	case m.Chat.Type != "private":
		return Event{Ignore: "group chat"}
	case m.From.ID != m.Chat.ID && m.Connection != "":
		return t.answered(m)
	case m.From.ID != m.Chat.ID:
		return Event{Ignore: "own message"}
	}
	e := t.from(m.From)
	l := &e.Lead
	l.EventAt = seconds(m.Date)
	l.Message = text(m.Text + m.Caption)
	var f fields
	f.set("username", m.From.Username)
	f.set("message_id", m.ID)
	f.set("album", m.Album)
	f.set("business_connection_id", m.Connection)
	f.set("location", m.Location)
	f.set("venue", m.Venue)
	f.set("poll", m.Poll)
	attach(l, &f, m.files())
	started(l, &f)
	if c := m.Contact; c != nil {
		if c.User == m.From.ID {
			l.Phone = t.international(c.Phone)
		} else { // somebody else's
			f.set("contact", map[string]string{"name": name(c.First, c.Last), "phone": t.international(c.Phone)})
		}
	}
	if m.WebApp != nil {
		if e.Form = filledIn(m.WebApp.Data); e.Form == nil {
			l.Message = text(m.WebApp.Data)
		}
	}
	l.Fields = f
	return e
}

// answered is what the owner of a business account has written to a customer, or a program in the owner's name.
func (t telegram) answered(m *telegramMessage) Event {
	l := streams.Lead{Event: "answered", UserID: strconv.FormatInt(m.Chat.ID, 10), Name: name(m.Chat.First, m.Chat.Last), EventAt: seconds(m.Date),
		Message: text(m.Text + m.Caption)}
	if m.Program != nil {
		l.Event = "sent"
	}
	var f fields
	f.set("message_id", m.ID)
	f.set("business_connection_id", m.Connection)
	attach(&l, &f, m.files())
	l.Fields = f
	return Event{Lead: l}
}

// filledIn is what somebody filled in on a page of the bot: pages send texts of their own making, as a rule an object. Nil: it
// is none.
func filledIn(data string) (form []mail.Field) {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(data), &object) != nil {
		return nil
	}
	for _, label := range slices.Sorted(maps.Keys(object)) {
		value := string(object[label])
		var s string
		if json.Unmarshal(object[label], &s) == nil {
			value = s
		}
		if value = text(value); value != "" {
			form = append(form, mail.Field{Label: text(label), Value: value})
		}
	}
	return form
}

// membership is a person who blocks the bot, or takes that back.
func (t telegram) membership(m *telegramMember) Event {
	events := map[string]string{"kicked": "blocked", "member": "unblocked"}
	if m.Chat.Type != "private" || events[m.New.Status] == "" {
		return Event{Ignore: "membership"}
	}
	return Event{Lead: streams.Lead{Event: events[m.New.Status], UserID: strconv.FormatInt(m.Chat.ID, 10), EventAt: seconds(m.Date)}}
}

func (t telegram) pressed(b *telegramButton) Event {
	if b.From == nil || b.From.Bot {
		return Event{Ignore: "no person"}
	}
	if b.Message != nil && b.Message.Chat.Type != "private" && b.Message.Chat.Type != "" {
		return Event{Ignore: "group chat"}
	}
	e := t.from(b.From)
	var f fields
	f.set("username", b.From.Username)
	f.set("button", b.Data)
	f.set("callback_query_id", b.ID)
	e.Lead.Fields = f
	e.Lead.Message = text(b.Data)
	return e
}

func (t telegram) from(u *telegramUser) Event {
	return Event{Lead: streams.Lead{UserID: strconv.FormatInt(u.ID, 10), Name: name(u.First, u.Last)}}
}

func (m *telegramMessage) files() (all []streams.Media) {
	add := func(kind string, f *telegramFile) {
		if f != nil {
			all = append(all, streams.Media{Kind: kind, Ref: f.ID, Name: f.Name, Type: f.Mime, Size: f.Size})
		}
	}
	if n := len(m.Photo); n > 0 { // the same picture in growing sizes
		add("photo", &m.Photo[n-1])
	}
	add("voice", m.Voice)
	add("audio", m.Audio)
	add("video", m.Video)
	add("video", m.Note)
	add("document", m.Document)
	add("sticker", m.Sticker)
	return all
}
