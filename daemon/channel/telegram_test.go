package channel

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"leadstream/daemon/mail"
	"leadstream/streams"
)

// Updates as the Bot API sends them.
const (
	telegramStart = `{"update_id":700000001,"message":{"message_id":51,"from":{"id":900000001,"is_bot":false,"first_name":"Пётр","username":"petr_test",
 "language_code":"ru"},"chat":{"id":900000001,"first_name":"Пётр","type":"private"},"date":1767225600,"text":"/start yandex_brand"}}`
	telegramContact = `{"update_id":700000002,"message":{"message_id":52,"from":{"id":900000001,"is_bot":false,"first_name":"Пётр"},"chat":{"id":900000001,
 "type":"private","first_name":"Пётр"},"date":1767225630,"contact":{"phone_number":"79990000044","first_name":"Пётр","user_id":900000001}}}`
	telegramPress = `{"update_id":700000003,"callback_query":{"id":"38000000000000001","from":{"id":900000001,"is_bot":false,"first_name":"Пётр"},
 "message":{"message_id":53,"chat":{"id":900000001,"type":"private"},"date":1767225640,"text":"Услуга?"},"chat_instance":"-77","data":"svc:repair"}}`
)

func TestTelegramReads(t *testing.T) {
	from := `"from":{"id":900000001,"is_bot":false,"first_name":"Анна","last_name":"Пример"},"chat":{"id":900000001,"type":"private"},"date":1767225600`
	lead := func(l streams.Lead) []streams.Lead {
		l.Channel, l.UserID = "telegram", "900000001"
		if l.Name == "" {
			l.Name = "Анна Пример"
		}
		if l.Key == "" {
			l.Key, l.EventAt = "5", at(1767225600)
		}
		return []streams.Lead{l}
	}
	tellAll(t, New("telegram", Config{Region: "RU"}), "application/json", map[string]told{
		"deep link": {telegramStart, lead(streams.Lead{Name: "Пётр", Key: "700000001", EventAt: at(1767225600), UTM: map[string]string{"campaign": "yandex_brand"},
			Fields: fieldsOf("message_id", "51", "username", `"petr_test"`, "start", `"yandex_brand"`)}), nil, 0},
		"own phone": {telegramContact, lead(streams.Lead{Name: "Пётр", Key: "700000002", EventAt: at(1767225630), Phone: "+79990000044",
			Fields: fieldsOf("message_id", "52")}), nil, 0},
		"button": {telegramPress, lead(streams.Lead{Name: "Пётр", Key: "700000003", Message: "svc:repair",
			Fields: fieldsOf("button", `"svc:repair"`, "callback_query_id", `"38000000000000001"`)}), nil, 0},
		"text":    {`{"update_id":5,"message":{"message_id":1,` + from + `,"text":" Есть запись?\u0000 "}}`, lead(streams.Lead{Message: "Есть запись?", Fields: fieldsOf("message_id", "1")}), nil, 0},
		"caption": {`{"update_id":5,"message":{"message_id":1,` + from + `,"caption":"вот так","photo":[{"file_id":"small"},{"file_id":"big","file_size":90000}],"media_group_id":"g"}}`, lead(streams.Lead{Message: "вот так", Fields: fieldsOf("message_id", "1", "album", `"g"`), Media: []streams.Media{{Kind: "photo", Ref: "big", Size: 90000}}}), nil, 0},
		"voice":   {`{"update_id":5,"message":{"message_id":1,` + from + `,"voice":{"file_id":"v","mime_type":"audio/ogg","file_size":7}}}`, lead(streams.Lead{Fields: fieldsOf("message_id", "1"), Media: []streams.Media{{Kind: "voice", Ref: "v", Type: "audio/ogg", Size: 7}}}), nil, 0},
		"another's contact": {`{"update_id":5,"message":{"message_id":1,` + from + `,"contact":{"phone_number":"+79990000055","first_name":"Иван"}}}`,
			lead(streams.Lead{Fields: fieldsOf("message_id", "1", "contact", `{"name":"Иван","phone":"+79990000055"}`)}), nil, 0},
		"business chat": {`{"update_id":5,"business_message":{"message_id":1,"business_connection_id":"b",` + from + `,"text":"цена?"}}`,
			lead(streams.Lead{Message: "цена?", Fields: fieldsOf("message_id", "1", "business_connection_id", `"b"`)}), nil, 0},
		"no start, but near": {`{"update_id":5,"message":{"message_id":1,` + from + `,"text":"/started"}}`, lead(streams.Lead{Message: "/started", Fields: fieldsOf("message_id", "1")}), nil, 0},
		"poll":               {`{"update_id":5,"message":{"message_id":1,` + from + `,"poll":{"id":"1","question":"Когда?"}}}`, lead(streams.Lead{Fields: fieldsOf("message_id", "1", "poll", `{"id":"1","question":"Когда?"}`)}), nil, 0},
		"a page's text":      {`{"update_id":5,"message":{"message_id":1,` + from + `,"web_app_data":{"data":"стрижка, +79990000011","button_text":"x"}}}`, lead(streams.Lead{Message: "стрижка, +79990000011", Fields: fieldsOf("message_id", "1")}), nil, 0},

		"the owner's own words": {`{"update_id":5,"business_message":{"message_id":1,"business_connection_id":"b","from":{"id":1,"is_bot":false},"chat":{"id":900000001,"first_name":"Анна","last_name":"Пример","type":"private"},"date":1767225600,"text":"да","photo":[{"file_id":"p"}]}}`,
			lead(streams.Lead{Event: "answered", Message: "да", Fields: fieldsOf("message_id", "1", "business_connection_id", `"b"`), Media: []streams.Media{{Kind: "photo", Ref: "p"}}}), nil, 0},
		"a program in the owner's name": {`{"update_id":5,"business_message":{"message_id":1,"business_connection_id":"b","from":{"id":1,"is_bot":false},"sender_business_bot":{"id":2,"is_bot":true},"chat":{"id":900000001,"first_name":"Анна","last_name":"Пример","type":"private"},"date":1767225600,"text":"Ждём вас"}}`,
			lead(streams.Lead{Event: "sent", Message: "Ждём вас", Fields: fieldsOf("message_id", "1", "business_connection_id", `"b"`)}), nil, 0},
		"another's words in no business chat": {`{"update_id":5,"message":{"message_id":1,"from":{"id":1,"is_bot":false},"chat":{"id":900000001,"type":"private"},"date":1767225600,"text":"да"}}`, nil, []string{"own message"}, 0},
		"group":                               {`{"update_id":5,"message":{"message_id":1,"from":{"id":1},"chat":{"id":-100,"type":"supergroup"},"date":1,"text":"да"}}`, nil, []string{"group chat"}, 0},
		"bot":                                 {`{"update_id":5,"message":{"message_id":1,"from":{"id":1,"is_bot":true},"chat":{"id":1,"type":"private"},"date":1,"text":"да"}}`, nil, []string{"no person"}, 0},
		"channel post":                        {`{"update_id":5,"channel_post":{"message_id":1}}`, nil, []string{"unknown kind"}, 0},
		"edit":                                {`{"update_id":5,"edited_message":{"message_id":1,` + from + `,"text":"x"}}`, nil, []string{"edit"}, 0},
		"blocked": {`{"update_id":5,"my_chat_member":{"chat":{"id":7,"type":"private"},"date":1767225600,"new_chat_member":{"status":"kicked"}}}`,
			[]streams.Lead{{Channel: "telegram", UserID: "7", Event: "blocked", Key: "5", EventAt: at(1767225600)}}, nil, 0},
		"unblocked": {`{"update_id":6,"my_chat_member":{"chat":{"id":7,"type":"private"},"date":1767225600,"new_chat_member":{"status":"member"}}}`,
			[]streams.Lead{{Channel: "telegram", UserID: "7", Event: "unblocked", Key: "6", EventAt: at(1767225600)}}, nil, 0},
		"in a group":     {`{"update_id":5,"my_chat_member":{"chat":{"id":-7,"type":"group"},"date":1,"new_chat_member":{"status":"kicked"}}}`, nil, []string{"membership"}, 0},
		"another member": {`{"update_id":5,"my_chat_member":{"chat":{"id":7,"type":"private"},"date":1,"new_chat_member":{"status":"guest"}}}`, nil, []string{"membership"}, 0},
		"of next year":   {`{"update_id":5,"guest_message":{"x":[1,{"y":2}]}}`, nil, []string{"unknown kind"}, 0},

		"no JSON":     {`{"update_id":5,`, nil, nil, 1},
		"no update":   {`{"ok":true}`, nil, nil, 1},
		"wrong types": {`{"update_id":5,"message":{"message_id":"one"}}`, nil, nil, 1},
	})
}

// What somebody fills in on a page of the bot is a form.
func TestTelegramPage(t *testing.T) {
	events, err := New("telegram", Config{}).Read([]byte(`{"update_id":5,"message":{"message_id":1,"from":{"id":7},"chat":{"id":7,"type":"private"},"date":1767225600,
"web_app_data":{"data":"{\"phone\":\"+79990000011\",\"guests\":2,\"note\":\"\"}"}}}`), "")
	want := []mail.Field{{Label: "guests", Value: "2"}, {Label: "phone", Value: "+79990000011"}}
	if err != nil || len(events) != 1 || events[0].Ignore != "" || events[0].Lead.Message != "" || !cmp.Equal(events[0].Form, want) {
		t.Errorf("%v %+v", err, events)
	}
}

func TestTelegramVerifies(t *testing.T) {
	p := New("telegram", Config{Secrets: []string{"old_secret", "new_secret"}})
	for given, want := range map[string]bool{"new_secret": true, "old_secret": true, "": false, "new_secre": false, "new_secret2": false} {
		if got := p.Verify(request("{}", "X-Telegram-Bot-Api-Secret-Token", given), nil); got != want {
			t.Errorf("%q: %v", given, got)
		}
	}
}
