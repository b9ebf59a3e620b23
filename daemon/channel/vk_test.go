package channel

import (
	"net/http"
	"strings"
	"testing"

	"leadstream/streams"
)

// Events as the Callback API sends them.
const (
	vkMessageNew = `{"type":"message_new","group_id":200000001,"event_id":"0123456789abcdef0123456789abcdef01234567","v":"5.199","secret":"s3cretTest",
 "object":{"message":{"date":1767225600,"from_id":300000001,"id":41,"out":0,"peer_id":300000001,"text":"Сколько стоит доставка?",
 "conversation_message_id":12,"fwd_messages":[],"important":false,"random_id":0,"attachments":[],"is_hidden":false,"ref":"promo_may","ref_source":"abc"},
 "client_info":{"button_actions":["text","open_link","callback"],"keyboard":true,"inline_keyboard":true,"carousel":true,"lang_id":0}}}`
	vkLeadForm = `{"type":"lead_forms_new","group_id":200000001,"event_id":"89abcdef0123456789abcdef0123456789abcdef","v":"5.199","secret":"s3cretTest",
 "object":{"lead_id":77,"group_id":200000001,"user_id":300000002,"form_id":5,"form_name":"Замер окон","ad_id":0,"answers":[
 {"key":"first_name","question":"Имя","answer":"Светлана"},{"key":"phone_number","question":"Номер телефона","answer":"+7 999 000-00-55"},
 {"key":"custom_0","question":"Когда удобно?","answer":"Вечером"}]}}`
	vkConfirm = `{"type":"confirmation","group_id":200000001}`
)

// vkTold is an event of some type around its object.
func vkTold(kind, object string) string {
	return `{"type":"` + kind + `","group_id":1,"event_id":"e1","v":"5.199","secret":"s","object":` + object + `}`
}

func TestVKReads(t *testing.T) {
	message := func(rest string) string {
		return vkTold("message_new", `{"message":{"date":1767225600,"from_id":7,"peer_id":7,"id":41,"conversation_message_id":12`+rest+`}}`)
	}
	lead := func(l streams.Lead) []streams.Lead {
		l.Channel = "vk"
		if l.UserID == "" {
			l.UserID = "7"
		}
		if l.Key == "" {
			l.Key, l.EventAt = "1:7:12", at(1767225600)
		}
		if l.Fields == nil {
			l.Fields = fieldsOf("message_id", `"41"`)
		}
		return []streams.Lead{l}
	}
	tellAll(t, New("vk", Config{Region: "RU"}), "application/json", map[string]told{
		"message": {vkMessageNew, lead(streams.Lead{UserID: "300000001", Key: "200000001:300000001:12", EventAt: at(1767225600), Message: "Сколько стоит доставка?",
			UTM: map[string]string{"campaign": "promo_may"}, Fields: fieldsOf("message_id", `"41"`, "ref", `"promo_may"`, "ref_source", `"abc"`)}), nil, 0},
		"version 5.80": {vkTold("message_new", `{"date":1767225600,"from_id":7,"id":41,"out":0,"peer_id":7,"text":"цена?","conversation_message_id":12}`),
			lead(streams.Lead{Message: "цена?"}), nil, 0},
		"version 5.60": {vkTold("message_new", `{"id":41,"date":1767225600,"out":0,"user_id":7,"read_state":0,"title":"","body":"цена?"}`),
			lead(streams.Lead{Key: "1:e1", EventAt: at(1767225600), Message: "цена?"}), nil, 0},
		"no numbers but its own": {`{"type":"message_new","group_id":1,"object":{"id":41,"date":1767225600,"user_id":7,"body":"да"}}`,
			lead(streams.Lead{Key: "1:m41", EventAt: at(1767225600), Message: "да"}), nil, 0},
		"flags as words":    {message(`,"out":false,"text":"да"`), lead(streams.Lead{Message: "да"}), nil, 0},
		"mentions":          {message(`,"text":"[club1|Салон], а [id5|Анна] там? [x] [y|z]"`), lead(streams.Lead{Message: "Салон, а Анна там? [x] [y|z]"}), nil, 0},
		"text button":       {message(`,"text":"Начать","payload":"{\"command\":\"start\"}"`), lead(streams.Lead{Message: "Начать", Fields: fieldsOf("message_id", `"41"`, "payload", `{"command":"start"}`)}), nil, 0},
		"a strange payload": {message(`,"text":"да","payload":"{"`), lead(streams.Lead{Message: "да", Fields: fieldsOf("message_id", `"41"`, "payload", `"{"`)}), nil, 0},
		"files": {message(`,"text":"","attachments":[{"type":"photo","photo":{"id":3,"owner_id":7,"sizes":[{"type":"s","url":"https://a.test/s","width":75,"height":75},` +
			`{"type":"w","url":"https://a.test/w","width":900,"height":600},{"type":"m","url":"https://a.test/m","width":130,"height":90}]}},` +
			`{"type":"audio_message","audio_message":{"id":4,"owner_id":7,"duration":3,"link_mp3":"https://a.test/v.mp3"}},` +
			`{"type":"doc","doc":{"id":5,"owner_id":7,"title":"план.pdf","size":900,"url":"https://a.test/d"}},{"type":"sticker","sticker":{"sticker_id":61,"images":[{"url":"https://a.test/st","width":64,"height":64}]}},` +
			`{"type":"market","market":{"id":9,"owner_id":-1,"title":"Окно"}},{"type":"of_next_year","of_next_year":[1]}],"geo":{"coordinates":{"latitude":1.5}}`),
			lead(streams.Lead{Fields: fieldsOf("message_id", `"41"`, "location", `{"coordinates":{"latitude":1.5}}`, "attachments",
				`[{"kind":"market","id":"-1_9","name":"Окно"},{"kind":"of_next_year"}]`), Media: []streams.Media{{Kind: "photo", Ref: "7_3", URL: "https://a.test/w"}, {Kind: "voice", Ref: "7_4", URL: "https://a.test/v.mp3"}, {Kind: "document", Ref: "7_5", URL: "https://a.test/d", Name: "план.pdf", Size: 900}, {Kind: "sticker", Ref: "61", URL: "https://a.test/st"}}}), nil, 0},
		"digits beyond a float": {vkTold("message_new", `{"message":{"date":1,"from_id":9007199254740993,"peer_id":9007199254740993,"id":0,"conversation_message_id":1,"text":"да"}}`),
			lead(streams.Lead{UserID: "9007199254740993", Key: "1:9007199254740993:1", EventAt: at(1), Message: "да", Fields: fieldsOf("message_id", `"0"`)}), nil, 0},
		"callback button": {vkTold("message_event", `{"user_id":7,"peer_id":7,"event_id":"answerme","payload":{"svc":"repair"},"conversation_message_id":12}`),
			lead(streams.Lead{Key: "1:e1", Fields: fieldsOf("button", `{"svc":"repair"}`, "event_id", `"answerme"`)}), nil, 0},
		"a button of words": {vkTold("message_event", `{"user_id":7,"peer_id":7,"event_id":"a","payload":"Запись"}`),
			lead(streams.Lead{Key: "1:e1", Message: "Запись", Fields: fieldsOf("button", `"Запись"`, "event_id", `"a"`)}), nil, 0},
		"our answer": {vkTold("message_reply", `{"date":1767225600,"from_id":-1,"peer_id":7,"id":42,"out":1,"text":"500 рублей","conversation_message_id":13,"admin_author_id":88}`),
			lead(streams.Lead{Event: "answered", Key: "1:7:13", EventAt: at(1767225600), Message: "500 рублей", Fields: fieldsOf("message_id", `"42"`, "admin", `"88"`)}), nil, 0},
		"a program's answer": {vkTold("message_reply", `{"date":1767225600,"from_id":-1,"peer_id":7,"id":42,"out":1,"random_id":5,"text":"Ждём вас","conversation_message_id":13,"attachments":[{"type":"photo","photo":{"id":3,"owner_id":-1,"sizes":[{"url":"https://a.test/p"}]}}]}`),
			lead(streams.Lead{Event: "sent", Key: "1:7:13", EventAt: at(1767225600), Message: "Ждём вас", Fields: fieldsOf("message_id", `"42"`), Media: []streams.Media{{Kind: "photo", Ref: "-1_3", URL: "https://a.test/p"}}}), nil, 0},
		"read": {vkTold("message_read", `{"from_id":7,"peer_id":7,"read_message_id":42,"conversation_message_id":13}`),
			[]streams.Lead{{Channel: "vk", UserID: "7", Event: "read", Key: "1:read:7:42/13", Fields: fieldsOf("message_id", `"42"`)}}, nil, 0},
		"forbids":        {vkTold("message_deny", `{"user_id":7}`), []streams.Lead{{Channel: "vk", UserID: "7", Event: "blocked", Key: "1:e1"}}, nil, 0},
		"allows":         {vkTold("message_allow", `{"user_id":7,"key":"x"}`), []streams.Lead{{Channel: "vk", UserID: "7", Event: "unblocked", Key: "1:e1"}}, nil, 0},
		"nobody forbids": {vkTold("message_deny", `{}`), nil, []string{"no person"}, 0},
		"lead form": {vkLeadForm, lead(streams.Lead{UserID: "300000002", Key: "200000001:form:5:77", Name: "Светлана", Phone: "+79990000055",
			Fields: fieldsOf("form_id", `"5"`, "form_name", `"Замер окон"`, "lead_id", `"77"`, "Когда удобно?", `"Вечером"`)}), nil, 0},
		"answers of every sort": {vkTold("lead_forms_new", `{"lead_id":"78","form_id":5,"ad_id":12,"answers":[{"key":"first_name","answer":{"value":"Анна"}},{"key":"last_name","answer":["Пример"]},`+
			`{"key":"email","answer":"Anna@Example.test"},{"key":"custom_0","question":"Что?","answer":["окно","дверь"]},{"key":"custom_1","question":"Что?","answer":5},{"key":"custom_2","answer":{"a":1}},{"key":"age","question":"Возраст","answer":null}]}`),
			[]streams.Lead{{Channel: "vk", Key: "1:form:5:78", Name: "Анна Пример", Email: "anna@example.test",
				Fields: fieldsOf("form_id", `"5"`, "lead_id", `"78"`, "ad_id", `"12"`, "Что?", `"окно, дверь"`, "custom_1", `"5"`, "custom_2", `"{\"a\":1}"`)}}, nil, 0},
		"order": {vkTold("market_order_new", `{"id":5,"group_id":1,"user_id":7,"date":1767225600,"comment":"к двери","total_price":{"amount":"100"},"recipient":{"name":"Анна","phone":"89990000055"}}`),
			lead(streams.Lead{Key: "1:order:7:5", EventAt: at(1767225600), Name: "Анна", Phone: "+79990000055", Message: "к двери", Fields: fieldsOf("order", `"5"`, "total_price", `{"amount":"100"}`)}), nil, 0},
		"comment": {vkTold("wall_reply_new", `{"id":5,"from_id":7,"date":1767225600,"text":"цена?","post_id":3,"owner_id":-1}`),
			lead(streams.Lead{Key: "1:wall_reply_new:3:5", EventAt: at(1767225600), Message: "цена?", Fields: fieldsOf("comment", `"wall_reply_new"`, "comment_id", `"5"`, "under", `"3"`)}), nil, 0},

		"group chat":          {vkTold("message_new", `{"message":{"id":0,"date":1,"from_id":7,"peer_id":2000000001,"conversation_message_id":1,"text":"да"}}`), nil, []string{"group chat"}, 0},
		"our own":             {message(`,"out":1,"text":"да"`), nil, []string{"own message"}, 0},
		"a group writes":      {vkTold("message_new", `{"message":{"id":1,"date":1,"from_id":-7,"peer_id":-7,"conversation_message_id":1,"text":"да"}}`), nil, []string{"no person"}, 0},
		"the group comments":  {vkTold("wall_reply_new", `{"id":5,"from_id":-1,"date":1,"text":"да","post_id":3}`), nil, []string{"no person"}, 0},
		"edit":                {vkTold("message_edit", `{"id":1}`), nil, []string{"edit"}, 0},
		"of next year":        {vkTold("thought_new", `[{"x":1}]`), nil, []string{"unknown kind"}, 0},
		"fields of next year": {message(`,"text":"да","mood":{"a":[1,{}]}`), lead(streams.Lead{Message: "да"}), nil, 0},

		"cut short":      {vkMessageNew[:120], nil, nil, 1},
		"no type":        {`{"group_id":1}`, nil, nil, 1},
		"no object":      {`{"type":"message_new","group_id":1}`, nil, nil, 1},
		"a list":         {vkTold("message_new", `[]`), nil, nil, 1},
		"no number":      {`{"type":"message_new","group_id":1,"object":{"message":{"from_id":7,"peer_id":7,"text":"да"}}}`, nil, nil, 1},
		"a broken id":    {vkTold("message_new", `{"message":{"from_id":7.5,"peer_id":7}}`), nil, nil, 1},
		"form of nobody": {vkTold("lead_forms_new", `{"form_id":5}`), nil, nil, 1},
	})
}

// The secret proves the service; it is not kept with what it proves.
func TestVKVerifies(t *testing.T) {
	p := New("vk", Config{Secrets: []string{"old", "s3cretTest"}, Accounts: []string{"200000001"}, Verification: "a1b2c3d4"})
	for body, want := range map[string]bool{
		vkMessageNew: true,
		strings.Replace(vkMessageNew, "s3cretTest", "old", 1):      true,
		strings.Replace(vkMessageNew, "s3cretTest", "s3cret", 1):   false,
		strings.Replace(vkMessageNew, "s3cretTest", "", 1):         false,
		strings.Replace(vkMessageNew, "200000001", "200000002", 1): false, // another group with our secret
		vkMessageNew[:100]: false,
		vkConfirm:          false,
		"":                 false,
	} {
		if got := p.Verify(request(body), []byte(body)); got != want {
			t.Errorf("%.80s: %v", body, got)
		}
	}
	events, err := p.Read([]byte(vkMessageNew), "")
	if err != nil || strings.Contains(string(events[0].Raw), "s3cretTest") || !strings.Contains(string(events[0].Raw), "доставка") {
		t.Errorf("kept %s, %v", events[0].Raw, err)
	}
}

func TestVKConfirms(t *testing.T) {
	p := New("vk", Config{Secrets: []string{"s3cretTest"}, Accounts: []string{"200000001"}, Verification: "a1b2c3d4"})
	for body, want := range map[string]Reply{
		vkConfirm: {Code: 200, Body: "a1b2c3d4"},
		`{"type":"confirmation","group_id":200000001,"secret":"s3cretTest"}`: {Code: 200, Body: "a1b2c3d4"},
		`{"type":"confirmation","group_id":200000001,"secret":"guess"}`:      {Code: http.StatusForbidden},
		`{"type":"confirmation","group_id":5}`:                               {Code: http.StatusForbidden},
		vkMessageNew:                                                         {},
		`confirmation`:                                                       {},
		`{"type":"message_new","group_id":200000001,"object":{"text":"confirmation"}}`: {},
	} {
		if got, ok := p.Greet(request(body), []byte(body)); got != want || ok != (want.Code != 0) {
			t.Errorf("%.80s: %v %v, want %v", body, got, ok, want)
		}
	}
	if _, ok := p.Greet(request(""), nil); ok {
		t.Error("a GET is no greeting of VK's")
	}
}
