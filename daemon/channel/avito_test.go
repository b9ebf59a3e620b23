package channel

import (
	"testing"

	"leadstream/streams"
)

const avitoText = `{"id":"6f0a0000-0000-4000-8000-000000000001","version":"v3.0.0","timestamp":1767225601,"payload":{"type":"message","value":{"id":"msgtest0001","chat_id":"u2i-TestChat~01","user_id":81000001,
 "author_id":82000001,"created":1767225600,"type":"text","chat_type":"u2i","content":{"text":"Ещё продаёте? Мой номер 8 999 000-00-77"},"item_id":4300000001}}}`

func TestAvitoReads(t *testing.T) {
	message := func(rest string) string {
		return `{"id":"e1","payload":{"type":"message","value":{"id":"m1","chat_id":"u2i-1","user_id":8,"created":1767225600,` + rest + `}}}`
	}
	lead := func(l streams.Lead) []streams.Lead {
		l.Channel, l.EventAt = "avito", at(1767225600)
		if l.UserID == "" {
			l.UserID, l.Key = "9", "m1"
		}
		if l.Fields == nil {
			l.Fields = fieldsOf("chat_id", `"u2i-1"`, "account", `"8"`)
		}
		return []streams.Lead{l}
	}
	tellAll(t, New("avito", Config{Accounts: []string{"8", "81000001"}}), "application/json", map[string]told{
		"text": {avitoText, lead(streams.Lead{UserID: "82000001", Key: "msgtest0001", Message: "Ещё продаёте? Мой номер 8 999 000-00-77",
			Fields: fieldsOf("chat_id", `"u2i-TestChat~01"`, "account", `"81000001"`, "item_id", `"4300000001"`)}), nil, 0},
		"without an envelope": {`{"id":"e1","type":"message","value":{"chat_id":"u2i-1","user_id":8,"author_id":9,"created":1767225600,"type":"text","content":{"text":"да"}}}`,
			lead(streams.Lead{UserID: "9", Key: "e1", Message: "да"}), nil, 0},
		"voice": {message(`"author_id":9,"type":"voice","content":{"voice":{"voice_id":"v1"}}`), lead(streams.Lead{Fields: fieldsOf("chat_id", `"u2i-1"`, "account", `"8"`), Media: []streams.Media{{Kind: "voice", Ref: "v1"}}}), nil, 0},
		"picture": {message(`"author_id":9,"type":"image","content":{"image":{"sizes":{"140x105":"https://a.test/s","1280x960":"https://a.test/l","640x480":"https://a.test/m"}}}`),
			lead(streams.Lead{Fields: fieldsOf("chat_id", `"u2i-1"`, "account", `"8"`), Media: []streams.Media{{Kind: "photo", URL: "https://a.test/l"}}}), nil, 0},
		"link": {message(`"author_id":9,"type":"link","content":{"link":{"text":"смотрите","url":"https://b.test"}}`), lead(streams.Lead{Message: "смотрите", Fields: fieldsOf("chat_id", `"u2i-1"`, "account", `"8"`, "link", `"https://b.test"`)}), nil, 0},

		"our own": {message(`"author_id":8,"type":"text","content":{"text":"да"}`), []streams.Lead{{Channel: "avito", Event: "answered", Key: "m1", EventAt: at(1767225600),
			Message: "да", Fields: fieldsOf("chat_id", `"u2i-1"`, "account", `"8"`, "message_id", `"m1"`)}}, nil, 0},
		"our own, to nobody":  {`{"id":"e1","payload":{"type":"message","value":{"id":"m1","user_id":8,"author_id":8,"type":"text"}}}`, nil, []string{"own message"}, 0},
		"our own, deleted":    {message(`"author_id":8,"type":"deleted"`), nil, []string{"deleted"}, 0},
		"Avito":               {message(`"author_id":1,"type":"text","content":{"text":"да"}`), nil, []string{"no person"}, 0},
		"Avito, as a chat":    {message(`"author_id":9,"chat_type":"a2u","type":"text"`), nil, []string{"no person"}, 0},
		"system":              {message(`"author_id":9,"type":"system"`), nil, []string{"no person"}, 0},
		"deleted":             {message(`"author_id":9,"type":"deleted"`), nil, []string{"deleted"}, 0},
		"of another account":  {`{"id":"e1","payload":{"type":"message","value":{"id":"m1","user_id":7,"author_id":9}}}`, nil, []string{Stranger}, 0},
		"of next year":        {`{"id":"e1","payload":{"type":"chat_read","value":{}}}`, nil, []string{"unknown kind"}, 0},
		"cut short":           {avitoText[:300], nil, nil, 1},
		"no type":             {`{"ok":true}`, nil, nil, 1},
		"no id":               {`{"payload":{"type":"message","value":{"user_id":8,"author_id":9}}}`, nil, nil, 1},
		"a message of a word": {`{"id":"e1","payload":{"type":"message","value":"да"}}`, nil, nil, 1},
	})
}
