package channel

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"leadstream/streams"
)

// avito reads the messenger's webhook, version 3 (developers.avito.ru/api-catalog/messenger). Its signature is documented
// nowhere, so the key in the address proves who sends. Avito waits two seconds for the answer.
type avito struct{ Config }

func newAvito(c Config) Protocol { return avito{c} }

func (avito) Greet(*http.Request, []byte) (Reply, bool) { return Reply{}, false }
func (avito) Verify(*http.Request, []byte) bool         { return false }

type avitoPayload struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

func (a avito) Read(body []byte, _ string) ([]Event, error) {
	var u struct {
		ID id `json:"id"`
		avitoPayload
		Payload *avitoPayload `json:"payload"`
	}
	if err := json.Unmarshal(body, &u); err != nil {
		return nil, unreadable(err)
	}
	if u.Payload == nil {
		u.Payload = &u.avitoPayload
	}
	var e Event
	var err error
	switch u.Payload.Type {
	case "message":
		e, err = a.message(u.Payload.Value, u.ID)
	case "":
		err = errors.New("no type")
	default:
		e = ignored("unknown kind")
	}
	e.Raw, e.Err = body, err
	return []Event{e}, nil
}

func (a avito) message(raw json.RawMessage, event id) (Event, error) {
	var m struct {
		ID      id     `json:"id"`
		Chat    string `json:"chat_id"`
		Account id     `json:"user_id"`
		Author  id     `json:"author_id"`
		Created id     `json:"created"`
		Type    string `json:"type"`
		Kind    string `json:"chat_type"`
		Item    id     `json:"item_id"`
		Content struct {
			Text string `json:"text"`
			Link struct {
				Text string `json:"text"`
				URL  string `json:"url"`
			} `json:"link"`
			Voice struct {
				ID id `json:"voice_id"`
			} `json:"voice"`
			Image struct {
				Sizes map[string]string `json:"sizes"`
			} `json:"image"`
			Location json.RawMessage `json:"location"`
			Item     json.RawMessage `json:"item"`
			Call     json.RawMessage `json:"call"`
		} `json:"content"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return Event{}, unreadable(err)
	}
	switch {
	case !a.ours(string(m.Account)):
		return ignored(Stranger), nil
	case !m.Author.some() || m.Author == "1" || m.Kind == "a2u" || m.Type == "system": // Avito itself
		return ignored("no person"), nil
	case m.Type == "deleted":
		return ignored("deleted"), nil
	}
	key := m.ID
	if key == "" {
		key = event
	}
	if key == "" {
		return Event{}, errors.New("the message has no id")
	}
	l := streams.Lead{Channel: "avito", UserID: string(m.Author), Key: string(key), EventAt: seconds(m.Created.number())}
	if m.Author == m.Account { // whom it is for, it does not say: the customer is known by the chat
		l.Event, l.UserID = "answered", ""
		if m.Chat == "" {
			return ignored("own message"), nil
		}
	}
	if l.Message = text(m.Content.Text); l.Message == "" {
		l.Message = text(m.Content.Link.Text)
	}
	var f fields
	if l.Event != "" {
		f.set("message_id", string(m.ID))
	}
	f.set("chat_id", m.Chat)
	f.set("account", string(m.Account))
	if m.Item.some() {
		f.set("item_id", string(m.Item)) // the advertisement
	}
	f.set("link", m.Content.Link.URL)
	f.set("location", m.Content.Location)
	f.set("item", m.Content.Item)
	f.set("call", m.Content.Call)
	var files []streams.Media
	if m.Content.Voice.ID != "" {
		files = append(files, streams.Media{Kind: "voice", Ref: string(m.Content.Voice.ID)})
	}
	if url := largest(m.Content.Image.Sizes); url != "" {
		files = append(files, streams.Media{Kind: "photo", URL: url})
	}
	attach(&l, &f, files)
	l.Fields = f
	return Event{Lead: l, Named: m.ID != ""}, nil
}

// largest is the address of the biggest of several sizes, which Avito names like 1280x960.
func largest(sizes map[string]string) (address string) {
	most := -1
	for _, size := range slices.Sorted(maps.Keys(sizes)) {
		w, h, _ := strings.Cut(size, "x")
		width, _ := strconv.Atoi(w)
		height, _ := strconv.Atoi(h)
		if width*height > most && sizes[size] != "" {
			most, address = width*height, sizes[size]
		}
	}
	return address
}
