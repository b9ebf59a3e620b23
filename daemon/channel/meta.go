package channel

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"leadstream/streams"
)

// meta reads the webhooks of Meta's apps (developers.facebook.com/docs/graph-api/webhooks): WhatsApp, Messenger,
// Instagram and lead ads have one envelope, one signature and often one address; `object` says whose a request is.
type meta struct{ Config }

func newMeta(c Config) Protocol { return meta{c} }

// Greet answers the challenge of whoever knows our verify token.
func (m meta) Greet(r *http.Request, _ []byte) (Reply, bool) {
	if r.Method != http.MethodGet {
		return Reply{}, false
	}
	q := r.URL.Query()
	if !q.Has("hub.mode") {
		return Reply{}, false
	}
	token := subtle.ConstantTimeCompare([]byte(q.Get("hub.verify_token")), []byte(m.Verification))
	if q.Get("hub.mode") != "subscribe" || token != 1 || m.Verification == "" {
		return Reply{Code: http.StatusForbidden}, true
	}
	return Reply{Code: http.StatusOK, Body: q.Get("hub.challenge")}, true
}

// Verify takes the body as it came off the wire: Meta signs its own escapes of letters beyond ASCII.
func (m meta) Verify(r *http.Request, body []byte) bool {
	given, ok := strings.CutPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256=")
	sum, err := hex.DecodeString(given)
	if !ok || err != nil {
		return false
	}
	found := false
	for _, secret := range m.Secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		found = hmac.Equal(mac.Sum(nil), sum) || found
	}
	return found
}

type metaEntry struct {
	ID        id                `json:"id"` // the page, the Instagram account or the WhatsApp business account
	Changes   []json.RawMessage `json:"changes"`
	Messaging []json.RawMessage `json:"messaging"`
	Standby   []json.RawMessage `json:"standby"`
	Field     string            `json:"field"` // some logins of Instagram put a change right into the entry
	Value     json.RawMessage   `json:"value"`
}

type metaChange struct {
	Field string          `json:"field"`
	Value json.RawMessage `json:"value"`
}

// Read walks all that a body holds: up to a thousand things that have nothing to do with each other.
func (m meta) Read(body []byte, _ string) ([]Event, error) {
	var u struct {
		Object string            `json:"object"`
		Entry  []json.RawMessage `json:"entry"`
	}
	if err := json.Unmarshal(body, &u); err != nil {
		return nil, unreadable(err)
	}
	switch u.Object {
	case "whatsapp_business_account", "instagram", "page":
	case "":
		return nil, errors.New("no object")
	default:
		return []Event{{Raw: body, Ignore: "unknown kind"}}, nil
	}
	var all []Event
	for _, raw := range u.Entry {
		var entry metaEntry
		if err := json.Unmarshal(raw, &entry); err != nil {
			all = append(all, Event{Raw: raw, Err: unreadable(err)})
			continue
		}
		all = append(all, m.entry(u.Object, &entry, raw)...)
	}
	return all, nil
}

func (m meta) entry(object string, entry *metaEntry, raw json.RawMessage) []Event {
	if object != "whatsapp_business_account" && !m.ours(string(entry.ID)) {
		return []Event{{Raw: raw, Ignore: Stranger}}
	}
	var all []Event
	for _, one := range entry.Messaging {
		if several := m.deliveries(object, entry, one); several != nil {
			all = append(all, several...)
			continue
		}
		all = append(all, m.told(one, func() (Event, error) { return m.messaging(object, entry, one) }))
	}
	for _, one := range entry.Standby { // another app leads this conversation
		all = append(all, Event{Raw: one, Ignore: "standby"})
	}
	changes := entry.Changes
	if entry.Field != "" {
		one, _ := json.Marshal(metaChange{entry.Field, entry.Value})
		changes = append(changes, one)
	}
	for _, one := range changes {
		var c metaChange
		if err := json.Unmarshal(one, &c); err != nil {
			all = append(all, Event{Raw: one, Err: unreadable(err)})
			continue
		}
		switch {
		case object == "whatsapp_business_account":
			all = append(all, m.whatsApp(entry, &c, one)...)
		case c.Field == "leadgen":
			all = append(all, m.told(one, func() (Event, error) { return m.leadgen(c.Value) }))
		case c.Field == "messages": // how the App Dashboard tries an address
			all = append(all, m.told(one, func() (Event, error) { return m.messaging(object, entry, c.Value) }))
		case object == "instagram" && (c.Field == "comments" || c.Field == "live_comments"):
			all = append(all, m.told(one, func() (Event, error) { return m.comment(entry, c.Value) }))
		default:
			all = append(all, Event{Raw: one, Ignore: "unknown kind"})
		}
	}
	return all
}

// told is an event with its own text and its own error.
func (meta) told(raw json.RawMessage, read func() (Event, error)) Event {
	e, err := read()
	e.Raw, e.Err = raw, err
	return e
}

type metaMessage struct {
	ID          string          `json:"mid"`
	Text        string          `json:"text"`
	Echo        flag            `json:"is_echo"`
	Deleted     flag            `json:"is_deleted"`
	Unsupported flag            `json:"is_unsupported"`
	App         id              `json:"app_id"`
	Metadata    string          `json:"metadata"` // of an echo: what its sender gave along
	Referral    json.RawMessage `json:"referral"`
	ReplyTo     json.RawMessage `json:"reply_to"`
	QuickReply  struct {
		Payload string `json:"payload"`
	} `json:"quick_reply"`
	Attachments []struct {
		Type    string `json:"type"`
		Payload struct {
			URL     string          `json:"url"`
			Title   string          `json:"title"`
			Sticker id              `json:"sticker_id"`
			Place   json.RawMessage `json:"coordinates"`
		} `json:"payload"`
	} `json:"attachments"`
}

// messaging reads what is said in Messenger and Instagram Direct.
func (m meta) messaging(object string, entry *metaEntry, raw json.RawMessage) (Event, error) {
	var u struct {
		Sender struct {
			ID id `json:"id"`
		} `json:"sender"`
		Recipient struct {
			ID id `json:"id"`
		} `json:"recipient"`
		Timestamp id           `json:"timestamp"` // ms
		Message   *metaMessage `json:"message"`
		Postback  *struct {
			ID       string          `json:"mid"`
			Title    string          `json:"title"`
			Payload  string          `json:"payload"`
			Referral json.RawMessage `json:"referral"`
		} `json:"postback"`
		Referral json.RawMessage `json:"referral"`
		Read     *struct {
			ID        string `json:"mid"`
			Watermark id     `json:"watermark"`
		} `json:"read"`
		Edit json.RawMessage `json:"message_edit"`
	}
	if err := json.Unmarshal(raw, &u); err != nil {
		return Event{}, unreadable(err)
	}
	l := streams.Lead{Channel: "messenger", UserID: string(u.Sender.ID), EventAt: seconds(u.Timestamp.number())}
	if object == "instagram" {
		l.Channel = "instagram"
	}
	own := u.Sender.ID == entry.ID
	if own {
		l.UserID = string(u.Recipient.ID)
	}
	page, at := string(entry.ID), string(u.Timestamp)
	var f fields
	named := u.Message != nil && u.Message.ID != "" || u.Postback != nil && u.Postback.ID != ""
	switch {
	case u.Message != nil && bool(u.Message.Deleted):
		return ignored("deleted"), nil
	case u.Message != nil && (bool(u.Message.Echo) || own):
		if l.UserID = string(u.Recipient.ID); u.Recipient.ID == entry.ID {
			l.UserID = string(u.Sender.ID)
		}
		// People answer by Meta's own apps and by CRMs, which have numbers, too: only ours is known to be none.
		m.said(&l, &f, u.Message)
		f.set("message_id", u.Message.ID)
		f.set("opaque", u.Message.Metadata)
		if l.Event = "answered"; m.App != "" && string(u.Message.App) == m.App {
			l.Event = "sent"
		}
		f.set("app_id", string(u.Message.App))
	case own:
		return ignored("own message"), nil
	case u.Message != nil:
		m.said(&l, &f, u.Message)
	case u.Postback != nil:
		if l.Key = u.Postback.ID; l.Key == "" && at != "" {
			l.Key = page + ":" + l.UserID + ":" + at + ":" + u.Postback.Payload
		}
		l.Message = text(u.Postback.Title)
		f.set("button", u.Postback.Payload)
		referred(&l, &f, u.Postback.Referral)
	case u.Read != nil:
		l.Event, l.Key = "read", page+":read:"+l.UserID+":"+u.Read.ID+string(u.Read.Watermark)
		f.set("message_id", u.Read.ID)
		f.set("watermark", u.Read.Watermark.number()) // all that was sent until then
	case len(u.Referral) > 0: // opened a link to a conversation that there was already
		l.Event, l.Key = "click", page+":referral:"+l.UserID+":"+at
		referred(&l, &f, u.Referral)
	case len(u.Edit) > 0:
		return ignored("edit"), nil
	default:
		return ignored("unknown kind"), nil
	}
	if l.Key == "" || l.UserID == "" {
		return Event{}, errors.New("the message has no mid or no sender")
	}
	l.Fields = f
	return Event{Lead: l, Named: named}, nil
}

// deliveries are an event for each message that a person's device has received: Messenger tells of several at once. Nil: it
// tells something else.
func (m meta) deliveries(object string, entry *metaEntry, raw json.RawMessage) []Event {
	var u struct {
		Sender struct {
			ID id `json:"id"`
		} `json:"sender"`
		Timestamp id `json:"timestamp"` // ms
		Delivery  *struct {
			IDs       []string `json:"mids"`
			Watermark id       `json:"watermark"`
		} `json:"delivery"`
	}
	if !bytes.Contains(raw, []byte(`"delivery"`)) || json.Unmarshal(raw, &u) != nil || u.Delivery == nil || u.Sender.ID == "" {
		return nil
	}
	l := streams.Lead{Channel: "messenger", Event: "delivered", UserID: string(u.Sender.ID), EventAt: seconds(u.Timestamp.number())}
	if object == "instagram" {
		l.Channel = "instagram"
	}
	ids := u.Delivery.IDs
	if len(ids) == 0 {
		ids = []string{""}
	}
	all := make([]Event, 0, len(ids))
	for _, mid := range ids {
		var f fields
		f.set("message_id", mid)
		f.set("watermark", u.Delivery.Watermark.number()) // all that was sent until then
		one := l
		one.Key, one.Fields = string(entry.ID)+":delivered:"+l.UserID+":"+cmp.Or(mid, string(u.Delivery.Watermark)), f
		all = append(all, Event{Lead: one, Raw: raw})
	}
	return all
}

// metaPhone is what the button that asks for a phone sends.
var metaPhone = regexp.MustCompile(`^\+\d{7,15}$`)

func (m meta) said(l *streams.Lead, f *fields, msg *metaMessage) {
	l.Key, l.Message = msg.ID, text(msg.Text)
	f.set("payload", msg.QuickReply.Payload)
	if p := msg.QuickReply.Payload; p == msg.Text && metaPhone.MatchString(p) {
		l.Phone = m.international(p)
	}
	f.set("reply_to", msg.ReplyTo)
	referred(l, f, msg.Referral)
	if msg.Unsupported {
		f.set("unsupported", true) // to be seen in the app alone
	}
	var files []streams.Media
	for _, a := range msg.Attachments {
		kind := text(a.Type)
		switch {
		case len(a.Payload.Place) > 0 && string(a.Payload.Place) != "null":
			f.set("location", a.Payload.Place)
			continue
		case kind == "image":
			kind = "photo"
		case kind == "file":
			kind = "document"
		}
		if a.Payload.Sticker.some() {
			kind = "sticker"
		}
		files = append(files, streams.Media{Kind: kind, Ref: string(a.Payload.Sticker), URL: a.Payload.URL, Name: a.Payload.Title})
	}
	attach(l, f, files)
}

// referred keeps which advertisement or link brought the customer.
func referred(l *streams.Lead, f *fields, raw json.RawMessage) {
	var r struct {
		Ref    string `json:"ref"`
		Ad     id     `json:"ad_id"`     // Messenger, Instagram
		Source id     `json:"source_id"` // WhatsApp
	}
	if len(raw) == 0 || json.Unmarshal(raw, &r) != nil {
		return
	}
	f.set("referral", raw)
	utm := map[string]string{}
	if ref := text(r.Ref); ref != "" {
		utm["campaign"] = ref
	}
	if ad := string(r.Ad + r.Source); ad != "" { // it has one of them
		utm["content"] = ad
	}
	if len(utm) > 0 {
		l.UTM = utm
	}
}

// comment is what somebody writes under a post or a live video on Instagram.
func (m meta) comment(entry *metaEntry, raw json.RawMessage) (Event, error) {
	var c struct {
		ID   id     `json:"id"`
		Text string `json:"text"`
		From struct {
			ID   id     `json:"id"`
			Name string `json:"username"`
		} `json:"from"`
		Media struct {
			ID id `json:"id"`
		} `json:"media"`
		Parent id `json:"parent_id"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return Event{}, unreadable(err)
	}
	switch {
	case c.ID == "":
		return Event{}, errors.New("the comment has no id")
	case c.From.ID == entry.ID:
		return ignored("own message"), nil
	case c.From.ID == "":
		return ignored("no person"), nil
	}
	l := streams.Lead{Channel: "instagram", UserID: string(c.From.ID), Key: "comment:" + string(c.ID), Name: name(c.From.Name), Message: text(c.Text)}
	var f fields
	f.set("username", c.From.Name)
	f.set("comment_id", string(c.ID))
	f.set("under", string(c.Media.ID))
	f.set("reply_to", string(c.Parent))
	l.Fields = f
	return Event{Lead: l}, nil
}

// leadgen is a lead form that somebody has filled in, on Facebook or Instagram. It tells ids alone: the answers are there
// for who asks with a token of the page.
func (m meta) leadgen(raw json.RawMessage) (Event, error) {
	var v struct {
		Lead    id `json:"leadgen_id"`
		Page    id `json:"page_id"`
		Form    id `json:"form_id"`
		Ad      id `json:"ad_id"`
		Group   id `json:"adgroup_id"`
		Created id `json:"created_time"`
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return Event{}, unreadable(err)
	}
	if !v.Lead.some() {
		return Event{}, errors.New("no leadgen_id")
	}
	l := streams.Lead{Channel: "leadads", Key: "leadgen:" + string(v.Lead), EventAt: seconds(v.Created.number())}
	l.Ref = "leadgen:" + string(v.Lead)
	if m.Token == "" {
		l.Ref, l.Problems = "", LeadgenUnfetched(m.Language)
	}
	var f fields
	f.set("leadgen_id", string(v.Lead))
	f.set("page_id", string(v.Page))
	f.set("form_id", string(v.Form))
	f.set("adgroup_id", string(v.Group))
	if v.Ad.some() {
		f.set("ad_id", string(v.Ad))
		l.UTM = map[string]string{"content": string(v.Ad)}
	}
	l.Fields = f
	return Event{Lead: l, Named: true}, nil
}

// LeadgenUnfetched is what a person reads of a form whose answers cannot be had.
func LeadgenUnfetched(language string) []string {
	c := Config{Language: language}
	return []string{c.say("Lead ads tell only that a form was filled in: its answers are in the Leads Center of the page, under this leadgen_id.",
		"Реклама с формами сообщает только о факте заявки: ответы — в «Центре лидов» страницы, под этим leadgen_id.")}
}
