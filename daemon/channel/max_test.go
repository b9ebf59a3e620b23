package channel

import (
	"testing"

	"leadstream/streams"
)

// Updates as the Bot API sends them.
const (
	maxCreated = `{"update_type":"message_created","timestamp":1767225600123,"user_locale":"ru","message":{"recipient":{"chat_id":180000001,"chat_type":"dialog","user_id":220000001},
 "timestamp":1767225600100,"body":{"mid":"mid.000000000a0b0c0d019d000000000001","seq":116000000000000001,"text":"Хочу консультацию"},
 "sender":{"user_id":120000001,"first_name":"Анна","last_name":"Пример","is_bot":false,"last_activity_time":1767225590000,"name":"Анна Пример"}}}`
	maxStarted = `{"update_type":"bot_started","timestamp":1767225500000,"chat_id":180000001,"user":{"user_id":120000001,"first_name":"Анна","last_name":"","is_bot":false,
 "last_activity_time":1767225499000,"name":"Анна"},"payload":"site_banner","user_locale":"ru"}`
	maxContact = `{"update_type":"message_created","timestamp":1767225600123,"message":{"recipient":{"chat_id":180000001,"chat_type":"dialog","user_id":220000001},"timestamp":1767225600000,
 "body":{"mid":"mid.x","seq":1,"text":"","attachments":[{"type":"contact","payload":{"vcf_info":"BEGIN:VCARD\r\nVERSION:3.0\r\nTEL;TYPE=cell:79990000066\r\nFN:Анна Пример\r\nEND:VCARD\r\n","max_info":{"user_id":120000001,"first_name":"Анна","last_name":"Пример","is_bot":false,"last_activity_time":0},"hash":"abc"}}]},
 "sender":{"user_id":120000001,"first_name":"Анна","last_name":"Пример","is_bot":false}}}`
	maxPressed = `{"update_type":"message_callback","timestamp":1767225700000,"callback":{"timestamp":1767225700000,"callback_id":"f9LHodD0cOJ5","payload":"svc:repair","user":{"user_id":120000001,"first_name":"Анна","last_name":null,"is_bot":false}},
 "message":{"sender":{"user_id":220000001,"first_name":"Бот","is_bot":true},"recipient":{"chat_id":180000001,"chat_type":"dialog","user_id":120000001},"timestamp":1767225600000,"body":{"mid":"mid.bot","seq":2,"text":"Услуга?"}}}`
)

func TestMaxReads(t *testing.T) {
	message := func(rest string) string {
		return `{"update_type":"message_created","timestamp":1767225600123,"message":{"recipient":{"chat_id":9,"chat_type":"dialog"},"timestamp":1767225600000,` +
			`"sender":{"user_id":7,"first_name":"Анна"}` + rest + `}}`
	}
	lead := func(l streams.Lead) []streams.Lead {
		l.Channel = "max"
		if l.UserID == "" {
			l.UserID, l.Key, l.EventAt = "7", "m1", at(1767225600)
		}
		if l.Name == "" {
			l.Name = "Анна"
		}
		if l.Fields == nil {
			l.Fields = fieldsOf("chat_id", `"9"`)
		}
		return []streams.Lead{l}
	}
	tellAll(t, New("max", Config{Region: "RU"}), "application/json", map[string]told{
		"message": {maxCreated, lead(streams.Lead{UserID: "120000001", Key: "mid.000000000a0b0c0d019d000000000001", EventAt: at(1767225600).Add(100e6), Name: "Анна Пример",
			Message: "Хочу консультацию", Fields: fieldsOf("chat_id", `"180000001"`)}), nil, 0},
		"first touch": {maxStarted, lead(streams.Lead{UserID: "120000001", Key: "bot_started:180000001:120000001:1767225500000", EventAt: at(1767225500),
			UTM: map[string]string{"campaign": "site_banner"}, Fields: fieldsOf("chat_id", `"180000001"`, "start", `"site_banner"`)}), nil, 0},
		"own phone": {maxContact, lead(streams.Lead{UserID: "120000001", Key: "mid.x", EventAt: at(1767225600), Name: "Анна Пример", Phone: "+79990000066",
			Fields: fieldsOf("chat_id", `"180000001"`)}), nil, 0},
		"button": {maxPressed, lead(streams.Lead{UserID: "120000001", Key: "f9LHodD0cOJ5:1767225700000", EventAt: at(1767225700), Message: "svc:repair",
			Fields: fieldsOf("button", `"svc:repair"`, "callback_id", `"f9LHodD0cOJ5"`)}), nil, 0},
		"button of a deleted message": {`{"update_type":"message_callback","callback":{"timestamp":1767225600000,"callback_id":"c","user":{"user_id":7,"name":"Анна"}},"message":null}`,
			[]streams.Lead{{Channel: "max", UserID: "7", Name: "Анна", Key: "c:1767225600000", EventAt: at(1767225600), Fields: fieldsOf("callback_id", `"c"`)}}, nil, 0},
		"deep link as a text": {message(`,"body":{"mid":"m1","text":"/start vk_ad"}`), lead(streams.Lead{UTM: map[string]string{"campaign": "vk_ad"}, Fields: fieldsOf("chat_id", `"9"`, "start", `"vk_ad"`)}), nil, 0},
		"passed on":           {message(`,"body":null,"link":{"type":"forward","message":{"mid":"old","text":"смотрите"}}`), lead(streams.Lead{UserID: "7", Key: "message:9:7:1767225600123", EventAt: at(1767225600), Message: "смотрите", Fields: fieldsOf("chat_id", `"9"`, "forwarded", `"смотрите"`)}), nil, 0},
		"reply":               {message(`,"body":{"mid":"m1","text":"да"},"link":{"type":"reply","message":{"mid":"old","text":"Запись?"}}`), lead(streams.Lead{Message: "да", Fields: fieldsOf("chat_id", `"9"`, "reply_to", `"old"`)}), nil, 0},
		"another's contact": {message(`,"body":{"mid":"m1","attachments":[{"type":"contact","payload":{"vcf_info":"BEGIN:VCARD\nitem1.TEL:+7 999 000-\n 00-77\nFN:Иван\nEND:VCARD","max_info":{"user_id":8}}}]}`),
			lead(streams.Lead{Fields: fieldsOf("chat_id", `"9"`, "contact", `{"name":"Иван","phone":"+79990000077"}`)}), nil, 0},
		"a contact of nobody's": {message(`,"body":{"mid":"m1","attachments":[{"type":"contact","payload":{"vcf_info":"FN:Иван"}}]}`),
			lead(streams.Lead{Fields: fieldsOf("chat_id", `"9"`, "contact", `{"name":"Иван"}`)}), nil, 0},
		"files": {message(`,"body":{"mid":"m1","text":null,"attachments":[{"type":"image","payload":{"photo_id":5,"token":"t","url":"https://a.test/p"}},` +
			`{"type":"file","payload":{"url":"https://a.test/f","token":"t2"},"filename":"план.pdf","size":7},{"type":"sticker","payload":{"code":"s1","url":"https://a.test/s"}},` +
			`{"type":"location","latitude":55.7,"longitude":37.6},{"type":"inline_keyboard","payload":{}},{"type":"share","payload":{"url":"https://b.test"},"title":"Сайт"}]}`),
			lead(streams.Lead{Fields: fieldsOf("chat_id", `"9"`, "location", `{"latitude":55.7,"longitude":37.6}`, "attachments",
				`[{"kind":"share","url":"https://b.test","name":"Сайт"}]`), Media: []streams.Media{{Kind: "photo", Ref: "5", URL: "https://a.test/p"}, {Kind: "document", Ref: "t2", URL: "https://a.test/f", Name: "план.pdf", Size: 7}, {Kind: "sticker", Ref: "s1", URL: "https://a.test/s"}}}), nil, 0},

		"group":        {`{"update_type":"message_created","timestamp":1,"message":{"recipient":{"chat_id":-5,"chat_type":"chat"},"sender":{"user_id":7},"body":{"mid":"m"}}}`, nil, []string{"group chat"}, 0},
		"channel post": {`{"update_type":"message_created","timestamp":1,"message":{"recipient":{"chat_id":-5,"chat_type":"channel"},"body":{"mid":"m"}}}`, nil, []string{"group chat"}, 0},
		"what the bot says": {`{"update_type":"message_created","timestamp":1767225600123,"message":{"recipient":{"chat_id":9,"chat_type":"dialog","user_id":7},"timestamp":1767225600000,"sender":{"user_id":220000001,"username":"our_bot","is_bot":true},"body":{"mid":"m1","text":"Ждём вас"}}}`,
			[]streams.Lead{{Channel: "max", UserID: "7", Event: "sent", Key: "m1", EventAt: at(1767225600), Message: "Ждём вас", Fields: fieldsOf("chat_id", `"9"`, "message_id", `"m1"`)}}, nil, 0},

		"the bot": {`{"update_type":"message_created","timestamp":1,"message":{"recipient":{"chat_id":5,"chat_type":"dialog"},"sender":{"user_id":7,"is_bot":true},"body":{"mid":"m"}}}`, nil, []string{"no person"}, 0},
		"edit":    {`{"update_type":"message_edited","timestamp":1,"message":{}}`, nil, []string{"edit"}, 0},
		"stopped": {`{"update_type":"bot_stopped","timestamp":1767225600000,"chat_id":9,"user":{"user_id":7,"first_name":"Анна"}}`,
			[]streams.Lead{{Channel: "max", UserID: "7", Event: "blocked", Key: "bot_stopped:9:7:1767225600000", EventAt: at(1767225600)}}, nil, 0},
		"stopped by nobody": {`{"update_type":"bot_stopped","timestamp":1}`, nil, []string{"no person"}, 0},
		"dialog removed":    {`{"update_type":"dialog_removed","timestamp":1}`, nil, []string{"membership"}, 0},
		"of next year":      {`{"update_type":"poll_created","x":[]}`, nil, []string{"unknown kind"}, 0},

		"cut short":  {maxCreated[:200], nil, nil, 1},
		"no type":    {`{"updates":[]}`, nil, nil, 1},
		"no message": {`{"update_type":"message_created"}`, nil, nil, 1},
		"no button":  {`{"update_type":"message_callback"}`, nil, nil, 1},
		"no times":   {`{"update_type":"message_created","message":{"recipient":{"chat_type":"dialog"},"sender":{"user_id":7}}}`, nil, nil, 1},
	})
}

func TestMaxVerifies(t *testing.T) {
	p := New("max", Config{Secrets: []string{"old_secret", "new-secret"}})
	for given, want := range map[string]bool{"new-secret": true, "old_secret": true, "": false, "new-secre": false, "sha256=00": false} {
		if got := p.Verify(request("{}", "X-Max-Bot-Api-Secret", given), nil); got != want {
			t.Errorf("%q: %v", given, got)
		}
	}
}
