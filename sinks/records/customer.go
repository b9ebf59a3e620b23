package records

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadstream/streams"
)

// Identity is one thing by which a customer is known.
type Identity struct {
	Kind  string `json:"kind"`  // user, phone, email, chat
	Value string `json:"value"` // of a user or a chat: channel:id
}

// identitiesOf are a lead's, the strongest first: an account in a messenger is one person's, a phone nearly always, an
// e-mail often enough a company's.
func identitiesOf(l *streams.Lead) (ids []Identity) {
	add := func(kind, value string) {
		if value = clean(value, 320); value != "" {
			ids = append(ids, Identity{kind, value})
		}
	}
	if l.UserID != "" {
		add("user", l.Channel+":"+l.UserID)
	}
	if isE164(l.Phone) {
		add("phone", l.Phone)
	}
	if strings.Contains(l.Email, "@") {
		add("email", l.Email)
	}
	// Of what the business itself writes some messengers tell the chat alone. In a form such a field may be anything.
	var chat string
	if l.UserID != "" || l.Event != "" {
		_ = json.Unmarshal(l.Fields["chat_id"], &chat) // none, or no text: there is no chat
	}
	if chat != "" && l.Channel != "" {
		add("chat", l.Channel+":"+chat)
	}
	return ids
}

// place is of what a customer usually has one: a phone, an e-mail, an account in each channel.
func (i Identity) place() string {
	if i.Kind == "user" {
		channel, _, _ := strings.Cut(i.Value, ":")
		return "user:" + channel
	}
	return i.Kind // of chats a customer may have many
}

// mayJoin says whether an identity of kind via is proof enough that what is known in two sets of places is one person.
// Several people may share an e-mail (info@ of a company) or a phone (a reception, a family). So an e-mail joins nobody
// who has another phone or another account of the same messenger, a phone nobody who has another account, a chat nobody who
// has another anything. Taking two people for one shows the one what the other wrote; taking one for two is put right later.
func mayJoin(via string, a, b []string) bool {
	for _, place := range a {
		if !slices.Contains(b, place) {
			continue
		}
		if strings.HasPrefix(place, "user:") && via != "user" || place == "phone" && (via == "email" || via == "chat") || place == "email" && via == "chat" {
			return false
		}
	}
	return true
}

func places(ids []Identity) (all []string) {
	for _, id := range ids {
		all = append(all, id.place())
	}
	return all
}

func partOfDay(t time.Time) string {
	switch h := t.Hour(); {
	case h < 6:
		return "night"
	case h < 12:
		return "morning"
	case h < 18:
		return "day"
	}
	return "evening"
}

func channelOf(l *streams.Lead) string { return cmp.Or(l.Channel, l.Source) }

// clean is a text as both databases take it, cut to n bytes.
func clean(text string, n int) string {
	text = strings.ReplaceAll(text, "\x00", "")
	return strings.ToValidUTF8(text[:min(len(text), n)], "")
}

// isE164 says whether a phone was understood: what was left as written may be anybody's "call me".
func isE164(phone string) bool {
	digits, ok := strings.CutPrefix(phone, "+")
	return ok && len(digits) >= 5 && len(digits) <= 15 && strings.Trim(digits, "0123456789") == ""
}

// CardNumber reads the number of a card as Deliver answers it; 0: it is none.
func CardNumber(remote string) int64 { return number(remote) }

// number reads a card's number.
func number(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(text, "#"), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
