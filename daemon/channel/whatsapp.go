package channel

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"

	"leadstream/streams"
)

// WhatsApp's part of what Meta sends (developers.facebook.com/docs/whatsapp/cloud-api/webhooks).

// whatsAppPhone is a sender that is a number: since 2026 customers may hide theirs, and an id that Meta made for this
// business (say RU.1349…) stands where the number was.
var whatsAppPhone = regexp.MustCompile(`^\d{6,15}$`)

type whatsAppContact struct {
	Profile struct {
		Name     string `json:"name"`
		Username string `json:"username"`
	} `json:"profile"`
	Number id `json:"wa_id"`
	User   id `json:"user_id"`
}

// whatsApp reads one change: messages, statuses of ours, or what the business wrote on its own handset.
func (m meta) whatsApp(entry *metaEntry, c *metaChange, raw json.RawMessage) []Event {
	if c.Field != "messages" && c.Field != "smb_message_echoes" {
		return []Event{{Raw: raw, Ignore: "unknown kind"}}
	}
	var v struct {
		Metadata struct {
			Phone id `json:"phone_number_id"`
			Shown id `json:"display_phone_number"`
		} `json:"metadata"`
		Contacts []whatsAppContact `json:"contacts"`
		Messages []json.RawMessage `json:"messages"`
		Statuses []json.RawMessage `json:"statuses"`
		Echoes   []json.RawMessage `json:"message_echoes"`
	}
	if err := json.Unmarshal(c.Value, &v); err != nil {
		return []Event{{Raw: raw, Err: unreadable(err)}}
	}
	if !m.ours(string(v.Metadata.Phone)) && !m.ours(string(v.Metadata.Shown)) && !m.ours(string(entry.ID)) {
		return []Event{{Raw: raw, Ignore: Stranger}}
	}
	var all []Event
	for _, one := range v.Messages {
		all = append(all, m.told(one, func() (Event, error) { return m.whatsAppMessage(v.Contacts, one) }))
	}
	for _, one := range v.Statuses {
		all = append(all, m.told(one, func() (Event, error) { return m.whatsAppStatus(v.Contacts, one) }))
	}
	for _, one := range v.Echoes {
		all = append(all, m.told(one, func() (Event, error) { return m.whatsAppEcho(v.Contacts, one) }))
	}
	if len(all) == 0 { // errors of the account, say
		all = []Event{{Raw: raw, Ignore: "unknown kind"}}
	}
	return all
}

// who is the customer with that number or id: a lead's UserID, Phone and Name. The id of this business's is the better
// one, since a number may be hidden tomorrow.
func (m meta) who(l *streams.Lead, contacts []whatsAppContact, number, user id) (username string, err error) {
	for _, c := range contacts {
		if number != "" && c.Number == number || user != "" && c.User == user {
			l.Name, username = name(c.Profile.Name), c.Profile.Username
			if user == "" {
				user = c.User
			}
			if number == "" {
				number = c.Number
			}
			break
		}
	}
	if whatsAppPhone.MatchString(string(number)) {
		l.Phone = m.international(string(number))
	}
	if l.UserID = string(user); user == "" {
		l.UserID = string(number)
	}
	if l.UserID == "" {
		return "", errors.New("the message has no sender")
	}
	return username, nil
}

type whatsAppFile struct {
	ID      id     `json:"id"`
	URL     string `json:"url"`
	Caption string `json:"caption"`
	Name    string `json:"filename"`
	Mime    string `json:"mime_type"`
	Voice   flag   `json:"voice"`
}

type whatsAppMessage struct {
	ID       string        `json:"id"`
	From     id            `json:"from"`
	FromUser id            `json:"from_user_id"`
	To       id            `json:"to"`
	ToUser   id            `json:"to_user_id"`
	Group    id            `json:"group_id"`
	At       id            `json:"timestamp"`
	Type     string        `json:"type"`
	Image    *whatsAppFile `json:"image"`
	Video    *whatsAppFile `json:"video"`
	Audio    *whatsAppFile `json:"audio"`
	Voice    *whatsAppFile `json:"voice"`
	Document *whatsAppFile `json:"document"`
	Sticker  *whatsAppFile `json:"sticker"`
	Text     struct {
		Body string `json:"body"`
	} `json:"text"`
	Location json.RawMessage `json:"location"`
	Contacts json.RawMessage `json:"contacts"`
	Button   struct {
		Text    string `json:"text"`
		Payload string `json:"payload"`
	} `json:"button"`
	Interactive struct {
		Button whatsAppChoice `json:"button_reply"`
		List   whatsAppChoice `json:"list_reply"`
		Form   struct {
			Body    string `json:"body"`
			Answers string `json:"response_json"`
		} `json:"nfm_reply"`
	} `json:"interactive"`
	Order struct {
		Text  string          `json:"text"`
		Items json.RawMessage `json:"product_items"`
	} `json:"order"`
	Context struct {
		ID        string          `json:"id"`
		Forwarded flag            `json:"forwarded"`
		Product   json.RawMessage `json:"referred_product"`
	} `json:"context"`
	Referral json.RawMessage `json:"referral"`
}

type whatsAppChoice struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

func (m meta) whatsAppMessage(contacts []whatsAppContact, raw json.RawMessage) (Event, error) {
	var msg whatsAppMessage
	if err := json.Unmarshal(raw, &msg); err != nil {
		return Event{}, unreadable(err)
	}
	switch {
	case msg.Group != "":
		return ignored("group chat"), nil
	case msg.Type == "reaction", msg.Type == "system", msg.Type == "edit", msg.Type == "revoke":
		return ignored(msg.Type), nil
	case msg.ID == "":
		return Event{}, errors.New("the message has no id")
	}
	l := streams.Lead{Channel: "whatsapp", Key: msg.ID, EventAt: seconds(msg.At.number()), Message: msg.words()}
	username, err := m.who(&l, contacts, msg.From, msg.FromUser)
	if err != nil {
		return Event{}, err
	}
	var f fields
	f.set("username", username)
	msg.fields(&f)
	attach(&l, &f, msg.files())
	referred(&l, &f, msg.Referral)
	l.Fields = f
	return Event{Lead: l}, nil
}

// words are what a message says, whatever its type.
func (msg *whatsAppMessage) words() string {
	for _, said := range []string{msg.Text.Body, msg.Button.Text, msg.Interactive.Button.Title, msg.Interactive.List.Title,
		msg.Interactive.Form.Body, msg.Order.Text} {
		if said != "" {
			return text(said)
		}
	}
	for _, file := range []*whatsAppFile{msg.Image, msg.Video, msg.Audio, msg.Voice, msg.Document} {
		if file != nil && file.Caption != "" {
			return text(file.Caption)
		}
	}
	return ""
}

func (msg *whatsAppMessage) fields(f *fields) {
	f.set("reply_to", msg.Context.ID)
	if msg.Context.Forwarded {
		f.set("forwarded", true)
	}
	f.set("product", msg.Context.Product)
	f.set("payload", msg.Button.Payload)
	f.set("button", msg.Interactive.Button.ID+msg.Interactive.List.ID) // it has one of them
	if answers := msg.Interactive.Form.Answers; json.Valid([]byte(answers)) {
		f.set("form", json.RawMessage(answers))
	} else {
		f.set("form", answers)
	}
	f.set("items", msg.Order.Items)
	f.set("location", msg.Location)
	f.set("contacts", msg.Contacts)
	switch msg.Type {
	case "text", "image", "video", "audio", "voice", "document", "sticker", "location", "contacts", "button", "interactive", "order":
	default: // a customer has written all the same; a person can see it in the app
		f.set("unsupported", text(msg.Type))
	}
}

func (msg *whatsAppMessage) files() (files []streams.Media) {
	add := func(kind string, file *whatsAppFile) {
		if file == nil {
			return
		}
		if kind == "audio" && bool(file.Voice) {
			kind = "voice"
		}
		files = append(files, streams.Media{Kind: kind, Ref: string(file.ID), URL: file.URL, Name: file.Name, Type: file.Mime})
	}
	add("photo", msg.Image)
	add("video", msg.Video)
	add("audio", msg.Audio)
	add("voice", msg.Voice)
	add("document", msg.Document)
	add("sticker", msg.Sticker)
	return files
}

// whatsAppStatus is what became of a message of ours.
func (m meta) whatsAppStatus(contacts []whatsAppContact, raw json.RawMessage) (Event, error) {
	var s struct {
		ID     string `json:"id"`
		Status string `json:"status"`
		At     id     `json:"timestamp"`
		To     id     `json:"recipient_id"`
		ToUser id     `json:"recipient_user_id"`
		Type   string `json:"recipient_type"`
		Opaque string `json:"biz_opaque_callback_data"` // what its sender gave along
		Errors []struct {
			Code id `json:"code"`
		} `json:"errors"`
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return Event{}, unreadable(err)
	}
	switch {
	case !slices.Contains([]string{"sent", "delivered", "read", "failed"}, s.Status):
		return ignored("status"), nil
	case s.Type == "group":
		return ignored("group chat"), nil
	case s.ID == "":
		return Event{}, errors.New("the status has no id")
	}
	l := streams.Lead{Channel: "whatsapp", Event: s.Status, Key: s.ID + ":" + s.Status, EventAt: seconds(s.At.number())}
	if _, err := m.who(&l, contacts, s.To, s.ToUser); err != nil {
		return Event{}, err
	}
	var f fields
	f.set("message_id", s.ID)
	f.set("opaque", s.Opaque)
	if s.Status == "failed" && len(s.Errors) > 0 {
		f.set("code", string(s.Errors[0].Code))
	}
	l.Fields = f
	return Event{Lead: l}, nil
}

// whatsAppEcho is what the business wrote on its own handset.
func (m meta) whatsAppEcho(contacts []whatsAppContact, raw json.RawMessage) (Event, error) {
	var msg whatsAppMessage
	if err := json.Unmarshal(raw, &msg); err != nil {
		return Event{}, unreadable(err)
	}
	switch {
	case msg.Group != "":
		return ignored("group chat"), nil
	case msg.ID == "":
		return Event{}, errors.New("the message has no id")
	}
	l := streams.Lead{Channel: "whatsapp", Event: "answered", Key: msg.ID + ":echo", EventAt: seconds(msg.At.number()), Message: msg.words()}
	if _, err := m.who(&l, contacts, msg.To, msg.ToUser); err != nil {
		return Event{}, err
	}
	var f fields
	f.set("message_id", msg.ID)
	msg.fields(&f)
	attach(&l, &f, msg.files())
	l.Fields = f
	return Event{Lead: l}, nil
}
