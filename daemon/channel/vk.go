package channel

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"leadstream/streams"
)

// vk reads events of the Callback API (dev.vk.com/ru/api/callback/getting-started). Nothing is signed: the secret stands in
// the body. The layout of an event depends on the API version that is chosen for the server, so all of them are read.
type vk struct{ Config }

func newVK(c Config) Protocol { return vk{c} }

type vkEvent struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
	Group  id              `json:"group_id"`
	ID     id              `json:"event_id"`
	Secret string          `json:"secret"`
}

// Greet answers the confirmation. VK shows our secret with it once one is set for the server.
func (v vk) Greet(_ *http.Request, body []byte) (Reply, bool) {
	if len(body) > 4<<10 || !bytes.Contains(body, []byte("confirmation")) {
		return Reply{}, false
	}
	var e vkEvent
	if err := json.Unmarshal(body, &e); err != nil || e.Type != "confirmation" {
		return Reply{}, false
	}
	if e.Secret != "" && !v.isSecret(e.Secret) || !v.ours(string(e.Group)) {
		return Reply{Code: http.StatusForbidden}, true
	}
	return Reply{Code: http.StatusOK, Body: v.Verification}, true
}

// Verify also asks whose event it is: one secret may be used in the groups of several businesses.
func (v vk) Verify(_ *http.Request, body []byte) bool {
	var e vkEvent
	return json.Unmarshal(body, &e) == nil && v.isSecret(e.Secret) && v.ours(string(e.Group))
}

func (v vk) Read(body []byte, _ string) ([]Event, error) {
	var u vkEvent
	if err := json.Unmarshal(body, &u); err != nil {
		return nil, unreadable(err)
	}
	e, err := v.event(&u)
	e.Err = err
	// The secret has no business in what is kept.
	e.Raw = body
	if u.Secret != "" {
		e.Raw = bytes.ReplaceAll(body, []byte(`"`+u.Secret+`"`), []byte(`"…"`))
	}
	e.Lead.Channel = "vk"
	return []Event{e}, nil
}

func (v vk) event(u *vkEvent) (Event, error) {
	switch u.Type {
	case "message_new":
		return v.message(u)
	case "message_reply":
		return v.answered(u)
	case "message_event":
		return v.pressed(u)
	case "message_read":
		return v.read(u)
	case "message_deny":
		return v.membership(u, "blocked")
	case "message_allow":
		return v.membership(u, "unblocked")
	case "lead_forms_new":
		return v.form(u)
	case "market_order_new":
		return v.order(u)
	case "wall_reply_new", "photo_comment_new", "video_comment_new", "market_comment_new", "board_post_new":
		return v.comment(u)
	case "message_edit":
		return ignored("edit"), nil
	case "":
		return Event{}, errors.New("no type")
	}
	return ignored("unknown kind"), nil
}

// vkMessage is a message in each of its layouts.
type vkMessage struct {
	ID          id              `json:"id"`
	Number      id              `json:"conversation_message_id"` // within the conversation with Peer
	Date        int64           `json:"date"`
	Peer        id              `json:"peer_id"`
	From        id              `json:"from_id"`
	User        id              `json:"user_id"` // before version 5.80: Peer and From
	Chat        id              `json:"chat_id"`
	Out         flag            `json:"out"`
	Text        string          `json:"text"`
	Body        string          `json:"body"` // before version 5.80: Text
	Payload     json.RawMessage `json:"payload"`
	Ref         string          `json:"ref"`
	RefSource   string          `json:"ref_source"`
	Attachments []vkAttachment  `json:"attachments"`
	Forwarded   json.RawMessage `json:"fwd_messages"`
	Geo         json.RawMessage `json:"geo"`
	Admin       id              `json:"admin_author_id"`
}

// vkGroupChat is where the numbers of chats of several people begin.
const vkGroupChat = 2_000_000_000

// said is the message of an event.
func (u *vkEvent) said() (m vkMessage, err error) {
	var wrapped struct {
		Message json.RawMessage `json:"message"` // from version 5.103 on
	}
	if err := json.Unmarshal(u.Object, &wrapped); err != nil {
		return m, unreadable(err)
	}
	object := u.Object
	if len(wrapped.Message) > 0 {
		object = wrapped.Message
	}
	if err := json.Unmarshal(object, &m); err != nil {
		return m, unreadable(err)
	}
	if m.From == "" {
		m.From = m.User
	}
	if m.Peer == "" {
		m.Peer = m.User
	}
	return m, nil
}

// key names a message. The conversation's own number for it comes before the event's: who asks for the history learns the
// former alone, and two callback servers of a group tell one message in two events.
func (u *vkEvent) key(m *vkMessage) (string, error) {
	switch {
	case m.Number.some() && m.Peer.some():
		return string(u.Group + ":" + m.Peer + ":" + m.Number), nil
	case u.ID != "":
		return string(u.Group + ":" + u.ID), nil
	case m.ID.some():
		return string(u.Group + ":m" + m.ID), nil
	}
	return "", errors.New("the message has no number")
}

func (v vk) message(u *vkEvent) (Event, error) {
	m, err := u.said()
	if err != nil {
		return Event{}, err
	}
	switch {
	case bool(m.Out):
		return ignored("own message"), nil
	case m.From.number() <= 0: // a group speaks
		return ignored("no person"), nil
	case m.Peer != m.From || m.Chat.some():
		return ignored("group chat"), nil
	}
	l := streams.Lead{UserID: string(m.From), EventAt: seconds(m.Date), Message: vkText(m.Text + m.Body)}
	if l.Key, err = u.key(&m); err != nil {
		return Event{}, err
	}
	var f fields
	f.set("message_id", string(m.ID))
	f.set("payload", vkPayload(m.Payload))
	f.set("ref", m.Ref)
	f.set("ref_source", m.RefSource)
	f.set("location", m.Geo)
	f.set("forwarded", m.Forwarded)
	attach(&l, &f, vkFiles(m.Attachments))
	if ref := text(m.Ref); ref != "" {
		l.UTM = map[string]string{"campaign": ref}
	}
	l.Fields = f
	return Event{Lead: l}, nil
}

// answered is a message of the group's to a customer: by a person, who has a number, or by a program with the group's token.
func (v vk) answered(u *vkEvent) (Event, error) {
	m, err := u.said()
	if err != nil {
		return Event{}, err
	}
	if n := m.Peer.number(); n <= 0 || n > vkGroupChat {
		return ignored("group chat"), nil
	}
	l := streams.Lead{Event: "sent", UserID: string(m.Peer), EventAt: seconds(m.Date), Message: vkText(m.Text + m.Body)}
	if m.Admin.some() {
		l.Event = "answered"
	}
	if l.Key, err = u.key(&m); err != nil {
		return Event{}, err
	}
	var f fields
	f.set("message_id", string(m.ID))
	f.set("admin", string(m.Admin))
	attach(&l, &f, vkFiles(m.Attachments))
	l.Fields = f
	return Event{Lead: l}, nil
}

// pressed is a button that sends no message.
func (v vk) pressed(u *vkEvent) (Event, error) {
	var b struct {
		User    id              `json:"user_id"`
		Peer    id              `json:"peer_id"`
		Event   string          `json:"event_id"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(u.Object, &b); err != nil {
		return Event{}, unreadable(err)
	}
	switch {
	case b.User.number() <= 0:
		return ignored("no person"), nil
	case b.Peer != b.User && b.Peer != "":
		return ignored("group chat"), nil
	case u.ID == "" && b.Event == "":
		return Event{}, errors.New("no event_id")
	}
	l := streams.Lead{UserID: string(b.User), Key: string(u.Group + ":" + u.ID)}
	if u.ID == "" {
		l.Key = string(u.Group) + ":b" + b.Event
	}
	var f fields
	f.set("button", vkPayload(b.Payload))
	f.set("event_id", b.Event) // to answer it with
	l.Fields = f
	var said string
	if json.Unmarshal(b.Payload, &said) == nil {
		l.Message = text(said)
	}
	return Event{Lead: l}, nil
}

func (v vk) read(u *vkEvent) (Event, error) {
	var r struct {
		From   id `json:"from_id"`
		Peer   id `json:"peer_id"`
		Last   id `json:"read_message_id"`
		Number id `json:"conversation_message_id"`
	}
	if err := json.Unmarshal(u.Object, &r); err != nil {
		return Event{}, unreadable(err)
	}
	if r.From.number() <= 0 || r.Peer != r.From {
		return ignored("no person"), nil
	}
	last := r.Last + "/" + r.Number
	var f fields
	if r.Last.some() {
		f.set("message_id", string(r.Last)) // and all before it
	}
	return Event{Lead: streams.Lead{Event: "read", UserID: string(r.From), Key: string(u.Group + ":read:" + r.From + ":" + last), Fields: f}}, nil
}

// membership is a person who forbids the group's messages, or allows them.
func (v vk) membership(u *vkEvent, event string) (Event, error) {
	var o struct {
		User id `json:"user_id"`
	}
	if err := json.Unmarshal(u.Object, &o); err != nil {
		return Event{}, unreadable(err)
	}
	switch {
	case o.User.number() <= 0:
		return ignored("no person"), nil
	case u.ID == "":
		return Event{}, errors.New("no event_id")
	}
	return Event{Lead: streams.Lead{Event: event, UserID: string(o.User), Key: string(u.Group + ":" + u.ID)}}, nil
}

// form is a lead form that somebody has filled in. Its answers have names of VK's own, or custom_0 and so on for questions
// of the business's: those are kept by the question.
func (v vk) form(u *vkEvent) (Event, error) {
	var o struct {
		Lead    id     `json:"lead_id"`
		User    id     `json:"user_id"`
		Form    id     `json:"form_id"`
		Name    string `json:"form_name"`
		Ad      id     `json:"ad_id"`
		Answers []struct {
			Key      string          `json:"key"`
			Question string          `json:"question"`
			Answer   json.RawMessage `json:"answer"`
		} `json:"answers"`
	}
	if err := json.Unmarshal(u.Object, &o); err != nil {
		return Event{}, unreadable(err)
	}
	if !o.Lead.some() {
		return Event{}, errors.New("no lead_id")
	}
	l := streams.Lead{Key: string(u.Group + ":form:" + o.Form + ":" + o.Lead)}
	if o.User.some() {
		l.UserID = string(o.User)
	}
	var f fields
	parts := map[string]string{}
	for _, a := range o.Answers {
		said := text(strings.Join(answers(a.Answer), ", "))
		switch a.Key {
		case "first_name", "last_name", "patronymic_name":
			parts[a.Key] = said
		case "phone_number":
			l.Phone = v.phone(said)
		case "email":
			l.Email = email(said)
		default:
			f.answer(a.Question, a.Key, said)
		}
	}
	l.Name = name(parts["first_name"], parts["patronymic_name"], parts["last_name"])
	f.set("form_id", string(o.Form))
	f.set("form_name", o.Name)
	f.set("lead_id", string(o.Lead))
	if o.Ad.some() {
		f.set("ad_id", string(o.Ad))
	}
	l.Fields = f
	return Event{Lead: l}, nil
}

// order is a purchase in the group's shop.
func (v vk) order(u *vkEvent) (Event, error) {
	var o struct {
		ID        id              `json:"id"`
		Shown     string          `json:"display_order_id"`
		User      id              `json:"user_id"`
		Date      int64           `json:"date"`
		Comment   string          `json:"comment"`
		Total     json.RawMessage `json:"total_price"`
		Items     json.RawMessage `json:"preview_order_items"`
		Delivery  json.RawMessage `json:"delivery"`
		Recipient struct {
			Name  string `json:"name"`
			Phone string `json:"phone"`
		} `json:"recipient"`
	}
	if err := json.Unmarshal(u.Object, &o); err != nil {
		return Event{}, unreadable(err)
	}
	if !o.ID.some() || o.User.number() <= 0 {
		return Event{}, errors.New("the order has no number or no customer")
	}
	l := streams.Lead{UserID: string(o.User), Key: string(u.Group + ":order:" + o.User + ":" + o.ID), EventAt: seconds(o.Date),
		Name: name(o.Recipient.Name), Message: text(o.Comment)}
	if o.Recipient.Phone != "" {
		l.Phone = v.phone(o.Recipient.Phone)
	}
	var f fields
	f.set("order", string(o.ID))
	f.set("order_number", o.Shown)
	f.set("total_price", o.Total)
	f.set("items", o.Items)
	f.set("delivery", o.Delivery)
	l.Fields = f
	return Event{Lead: l}, nil
}

// comment is what somebody writes under a post, a photo, a video or an article of the shop, or in a discussion.
func (v vk) comment(u *vkEvent) (Event, error) {
	var c struct {
		ID          id             `json:"id"`
		From        id             `json:"from_id"`
		Date        int64          `json:"date"`
		Text        string         `json:"text"`
		Post        id             `json:"post_id"`
		Photo       id             `json:"photo_id"`
		Video       id             `json:"video_id"`
		Item        id             `json:"item_id"`
		Topic       id             `json:"topic_id"`
		Attachments []vkAttachment `json:"attachments"`
	}
	if err := json.Unmarshal(u.Object, &c); err != nil {
		return Event{}, unreadable(err)
	}
	switch {
	case c.From.number() <= 0: // the group itself, or another
		return ignored("no person"), nil
	case !c.ID.some():
		return Event{}, errors.New("the comment has no id")
	}
	under := c.Post + c.Photo + c.Video + c.Item + c.Topic // it has one of them
	l := streams.Lead{UserID: string(c.From), Key: string(u.Group) + ":" + u.Type + ":" + string(under+":"+c.ID), EventAt: seconds(c.Date),
		Message: vkText(c.Text)}
	var f fields
	f.set("comment", u.Type)
	f.set("comment_id", string(c.ID))
	f.set("under", string(under))
	attach(&l, &f, vkFiles(c.Attachments))
	l.Fields = f
	return Event{Lead: l}, nil
}

var vkMention = regexp.MustCompile(`\[(?:id|club|public)\d+\|([^\]]*)\]`)

// vkText shows whoever is mentioned by name.
func vkText(s string) string { return vkMention.ReplaceAllString(text(s), "$1") }

// vkPayload is a button's payload: JSON, which for a message stands in a text.
func vkPayload(p json.RawMessage) json.RawMessage {
	var inner string
	if json.Unmarshal(p, &inner) == nil && json.Valid([]byte(inner)) {
		return json.RawMessage(inner)
	}
	return p
}

// vkAttachment names its kind, and holds what it is under that name.
type vkAttachment struct {
	Type string
	File vkFile
}

func (a *vkAttachment) UnmarshalJSON(b []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return err
	}
	if err := json.Unmarshal(members["type"], &a.Type); err != nil {
		return errors.New("an attachment has no type")
	}
	_ = json.Unmarshal(members[a.Type], &a.File) // what is strange in a file is no reason to lose the message
	return nil
}

type vkFile struct {
	Owner   id       `json:"owner_id"`
	ID      id       `json:"id"`
	Sticker id       `json:"sticker_id"`
	URL     string   `json:"url"`
	MP3     string   `json:"link_mp3"`
	Title   string   `json:"title"`
	Size    int64    `json:"size"`
	Sizes   []vkSize `json:"sizes"`
	Images  []vkSize `json:"images"` // of a sticker
}

type vkSize struct {
	URL    string `json:"url"`
	Width  int64  `json:"width"`
	Height int64  `json:"height"`
}

func vkFiles(given []vkAttachment) (all []streams.Media) {
	kinds := map[string]string{"doc": "document", "audio_message": "voice"}
	for _, a := range given {
		kind := kinds[a.Type]
		if kind == "" {
			kind = text(a.Type)
		}
		f := &a.File
		out := streams.Media{Kind: kind, URL: f.URL, Name: f.Title, Size: f.Size}
		switch {
		case f.ID.some() && f.Owner.some():
			out.Ref = string(f.Owner + "_" + f.ID)
		case f.Sticker.some():
			out.Ref = string(f.Sticker)
		}
		if out.URL == "" {
			out.URL = f.MP3
		}
		var area int64
		for _, s := range append(f.Sizes, f.Images...) {
			if s.URL != "" && (area == 0 || s.Width*s.Height > area) {
				out.URL, area = s.URL, max(1, s.Width*s.Height)
			}
		}
		all = append(all, out)
	}
	return all
}
