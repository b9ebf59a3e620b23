package channel

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"leadstream/streams"
)

// Notifications as Meta sends them.
const (
	whatsAppText = `{"object":"whatsapp_business_account","entry":[{"id":"100200300400500","changes":[{"field":"messages","value":{
 "messaging_product":"whatsapp","metadata":{"display_phone_number":"79990000099","phone_number_id":"555000111222333"},
 "contacts":[{"profile":{"name":"Марина Тестова"},"wa_id":"79990000011","user_id":"RU.10000000000000000001"}],
 "messages":[{"from":"79990000011","from_user_id":"RU.10000000000000000001","id":"wamid.HBgLTESTAAA1","timestamp":"1767225600",
  "type":"text","text":{"body":"Здравствуйте, сколько стоит ремонт?"},
  "referral":{"source_url":"https://fb.me/xyz","source_id":"120000000000001","source_type":"ad","headline":"Ремонт за 3 дня"}}]}}]}]}`
	whatsAppVoice = `{"object":"whatsapp_business_account","entry":[{"id":"100200300400500","changes":[{"field":"messages","value":{
 "messaging_product":"whatsapp","metadata":{"display_phone_number":"79990000099","phone_number_id":"555000111222333"},
 "contacts":[{"profile":{"name":"Kirill","username":"kirill.t"},"user_id":"RU.10000000000000000002"}],
 "messages":[{"from_user_id":"RU.10000000000000000002","id":"wamid.HBgLTESTAAA2","timestamp":"1767225660","type":"audio",
  "audio":{"mime_type":"audio/ogg; codecs=opus","sha256":"q83vAAAA","id":"900000000000001","voice":true}}]}}]}]}`
	metaLeadgen = `{"object":"page","entry":[{"id":"300000000000001","time":1767225600,"changes":[{"field":"leadgen","value":{
 "leadgen_id":"400000000000001","page_id":"300000000000001","form_id":"500000000000001","ad_id":"120000000000001",
 "adgroup_id":"120000000000002","created_time":1767225598}}]}]}`
	metaMessenger = `{"object":"page","entry":[{"id":"300000000000001","time":1767225601123,"messaging":[{"sender":{"id":"600000000000001"},
 "recipient":{"id":"300000000000001"},"timestamp":1767225600999,"message":{"mid":"m_TESTaaa111","text":"Есть рассрочка?"}}]}]}`
	metaInstagram = `{"object":"instagram","entry":[{"id":"17800000000000001","time":1767225602000,"messaging":[{"sender":{"id":"700000000000001"},
 "recipient":{"id":"17800000000000001"},"timestamp":1767225601500,"message":{"mid":"aWdfTEST1","text":"Хочу записаться",
 "referral":{"source":"ADS","type":"OPEN_THREAD","ad_id":"120000000000003","ads_context_data":{"ad_title":"Маникюр -20%"}}}}]}]}`
)

func whatsAppTold(value string) string {
	return `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2"},` + value + `}}]}]}`
}

func TestWhatsAppReads(t *testing.T) {
	message := func(rest string) string {
		return whatsAppTold(`"contacts":[{"profile":{"name":"Анна"},"wa_id":"79990000011"}],"messages":[{"from":"79990000011","id":"wamid.1","timestamp":"1767225600",` + rest + `}]`)
	}
	lead := func(l streams.Lead) []streams.Lead {
		l.Channel = "whatsapp"
		if l.UserID == "" {
			l.UserID, l.Phone, l.Name = "79990000011", "+79990000011", "Анна"
		}
		if l.Key == "" {
			l.Key, l.EventAt = "wamid.1", at(1767225600)
		}
		return []streams.Lead{l}
	}
	status := func(s, more string) string {
		return whatsAppTold(`"statuses":[{"id":"wamid.OUT","status":"` + s + `","timestamp":"1767225700","recipient_id":"79990000011","conversation":{"id":"c"}` + more + `}]`)
	}
	became := func(l streams.Lead) []streams.Lead {
		l.UserID, l.Phone, l.Key, l.EventAt = "79990000011", "+79990000011", "wamid.OUT:"+l.Event, at(1767225700)
		return lead(l)
	}
	tellAll(t, New("whatsapp", Config{Region: "RU", Accounts: []string{"555000111222333", "2"}}), "application/json", map[string]told{
		"text, by an ad": {whatsAppText, lead(streams.Lead{UserID: "RU.10000000000000000001", Phone: "+79990000011", Name: "Марина Тестова", Key: "wamid.HBgLTESTAAA1", EventAt: at(1767225600),
			Message: "Здравствуйте, сколько стоит ремонт?", UTM: map[string]string{"content": "120000000000001"},
			Fields: fieldsOf("referral", `{"source_url":"https://fb.me/xyz","source_id":"120000000000001","source_type":"ad","headline":"Ремонт за 3 дня"}`)}), nil, 0},
		"voice, of a hidden number": {whatsAppVoice, lead(streams.Lead{UserID: "RU.10000000000000000002", Name: "Kirill", Key: "wamid.HBgLTESTAAA2", EventAt: at(1767225660),
			Fields: fieldsOf("username", `"kirill.t"`), Media: []streams.Media{{Kind: "voice", Ref: "900000000000001", Type: "audio/ogg; codecs=opus"}}}), nil, 0},
		"an id where the number was": {whatsAppTold(`"contacts":[{"profile":{"name":"Kerry"},"wa_id":"US.1234","user_id":"US.1234"}],"messages":[{"from":"US.1234","from_user_id":"US.1234","id":"wamid.1","timestamp":"1767225600","type":"text","text":{"body":"hi"}}]`),
			lead(streams.Lead{UserID: "US.1234", Name: "Kerry", Message: "hi"}), nil, 0},
		"a number of another country": {whatsAppTold(`"messages":[{"from":"49301234567","id":"wamid.1","timestamp":"1767225600","type":"text","text":{"body":"hi"}}]`),
			lead(streams.Lead{UserID: "49301234567", Phone: "+49301234567", Message: "hi"}), nil, 0},
		"picture":     {message(`"type":"image","image":{"id":"5","mime_type":"image/jpeg","caption":"вот","sha256":"x"}`), lead(streams.Lead{Message: "вот", Media: []streams.Media{{Kind: "photo", Ref: "5", Type: "image/jpeg"}}}), nil, 0},
		"document":    {message(`"type":"document","document":{"id":"5","filename":"план.pdf","url":"https://a.test/d"}`), lead(streams.Lead{Media: []streams.Media{{Kind: "document", Ref: "5", URL: "https://a.test/d", Name: "план.pdf"}}}), nil, 0},
		"template":    {message(`"type":"button","button":{"payload":"YES","text":"Да"},"context":{"id":"wamid.0"}`), lead(streams.Lead{Message: "Да", Fields: fieldsOf("payload", `"YES"`, "reply_to", `"wamid.0"`)}), nil, 0},
		"list":        {message(`"type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"r1","title":"Стрижка"}}`), lead(streams.Lead{Message: "Стрижка", Fields: fieldsOf("button", `"r1"`)}), nil, 0},
		"form":        {message(`"type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"body":"Sent","response_json":"{\"age\":\"32\"}"}}`), lead(streams.Lead{Message: "Sent", Fields: fieldsOf("form", `{"age":"32"}`)}), nil, 0},
		"order":       {message(`"type":"order","order":{"text":"к двери","product_items":[{"product_retailer_id":"a","quantity":1}]}`), lead(streams.Lead{Message: "к двери", Fields: fieldsOf("items", `[{"product_retailer_id":"a","quantity":1}]`)}), nil, 0},
		"place":       {message(`"type":"location","location":{"latitude":55.7,"longitude":37.6}`), lead(streams.Lead{Fields: fieldsOf("location", `{"latitude":55.7,"longitude":37.6}`)}), nil, 0},
		"unsupported": {message(`"type":"unsupported","errors":[{"code":131051}]`), lead(streams.Lead{Fields: fieldsOf("unsupported", `"unsupported"`)}), nil, 0},
		"sent":        {status("sent", ""), became(streams.Lead{Event: "sent", Fields: fieldsOf("message_id", `"wamid.OUT"`)}), nil, 0},
		"delivered": {status("delivered", `,"biz_opaque_callback_data":"01abc"`),
			became(streams.Lead{Event: "delivered", Fields: fieldsOf("message_id", `"wamid.OUT"`, "opaque", `"01abc"`)}), nil, 0},
		"read": {status("read", ""), became(streams.Lead{Event: "read", Fields: fieldsOf("message_id", `"wamid.OUT"`)}), nil, 0},
		"failed": {status("failed", `,"biz_opaque_callback_data":"01abc","errors":[{"code":131047,"title":"Re-engagement message"}]`),
			became(streams.Lead{Event: "failed", Fields: fieldsOf("message_id", `"wamid.OUT"`, "opaque", `"01abc"`, "code", `"131047"`)}), nil, 0},
		"failed without a word": {status("failed", ""), became(streams.Lead{Event: "failed", Fields: fieldsOf("message_id", `"wamid.OUT"`)}), nil, 0},
		"read by a hidden number": {whatsAppTold(`"statuses":[{"id":"wamid.OUT","status":"read","timestamp":"1767225700","recipient_user_id":"RU.5"}]`),
			lead(streams.Lead{UserID: "RU.5", Event: "read", Key: "wamid.OUT:read", EventAt: at(1767225700), Fields: fieldsOf("message_id", `"wamid.OUT"`)}), nil, 0},
		"from the handset": {`{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"smb_message_echoes","value":{"metadata":{"phone_number_id":"2"},"message_echoes":[{"from":"79990000099","to":"79990000011","id":"wamid.E","timestamp":"1767225600","type":"text","text":{"body":"500 рублей"}}]}}]}]}`,
			lead(streams.Lead{UserID: "79990000011", Phone: "+79990000011", Event: "answered", Key: "wamid.E:echo", EventAt: at(1767225600), Message: "500 рублей",
				Fields: fieldsOf("message_id", `"wamid.E"`)}), nil, 0},
		"several": {`{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2"},"messages":[` +
			`{"from":"79990000011","id":"a","timestamp":"1767225600","type":"text","text":{"body":"1"}},{"from":{"no":"id"},"id":"b"}]}},{"field":"account_update","value":{}}]},` +
			`7,{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2"},"messages":[{"from":"79990000011","id":"c","timestamp":1767225600,"type":"text","text":{"body":"2"}}],"statuses":"none"}},8]},` +
			`{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2"},"messages":[{"from":"79990000011","id":"d","timestamp":1767225600,"type":"text","text":{"body":"3"}}]}}]}]}`,
			[]streams.Lead{{Channel: "whatsapp", UserID: "79990000011", Phone: "+79990000011", Key: "a", EventAt: at(1767225600), Message: "1"},
				{Channel: "whatsapp", UserID: "79990000011", Phone: "+79990000011", Key: "d", EventAt: at(1767225600), Message: "3"}}, []string{"unknown kind"}, 4},

		"of next year":         {status("remembered", ""), nil, []string{"status"}, 0},
		"reaction":             {message(`"type":"reaction","reaction":{"message_id":"x","emoji":"👍"}`), nil, []string{"reaction"}, 0},
		"group":                {message(`"type":"text","group_id":"5","text":{"body":"да"}`), nil, []string{"group chat"}, 0},
		"the dashboard's test": {`{"object":"whatsapp_business_account","entry":[{"id":"0","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"123456123"},"messages":[{"from":"16315551181","id":"ABGG","timestamp":"1","type":"text","text":{"body":"this is a text message"}}]}}]}]}`, nil, []string{Stranger}, 0},
		"another object":       {`{"object":"user","entry":[{"id":"0"}]}`, nil, []string{"unknown kind"}, 0},

		"cut short": {whatsAppText[:200], nil, nil, 1},
		"no object": {`{"entry":[]}`, nil, nil, 1},
		"nobody":    {whatsAppTold(`"messages":[{"id":"wamid.1","timestamp":"1","type":"text"}]`), nil, nil, 1},
		"no id":     {whatsAppTold(`"messages":[{"from":"79990000011","type":"text"}]`), nil, nil, 1},
	})
}

func TestMetaReads(t *testing.T) {
	page := func(rest string) string {
		return `{"object":"page","entry":[{"id":"3","time":1,"messaging":[{"sender":{"id":"6"},"recipient":{"id":"3"},"timestamp":1767225600000,` + rest + `}]}]}`
	}
	lead := func(l streams.Lead) []streams.Lead {
		if l.Channel == "" {
			l.Channel = "messenger"
		}
		if l.UserID == "" {
			l.UserID, l.EventAt = "6", at(1767225600)
		}
		if l.Key == "" {
			l.Key = "m1"
		}
		return []streams.Lead{l}
	}
	tellAll(t, New("meta", Config{Region: "RU", Language: "en", App: "77"}), "application/json", map[string]told{
		"messenger": {metaMessenger, lead(streams.Lead{UserID: "600000000000001", Key: "m_TESTaaa111", EventAt: at(1767225600).Add(999e6), Message: "Есть рассрочка?"}), nil, 0},
		"instagram": {metaInstagram, lead(streams.Lead{Channel: "instagram", UserID: "700000000000001", Key: "aWdfTEST1", EventAt: at(1767225601).Add(500e6), Message: "Хочу записаться",
			UTM:    map[string]string{"content": "120000000000003"},
			Fields: fieldsOf("referral", `{"source":"ADS","type":"OPEN_THREAD","ad_id":"120000000000003","ads_context_data":{"ad_title":"Маникюр -20%"}}`)}), nil, 0},
		"lead form": {metaLeadgen, []streams.Lead{{Channel: "leadads", Key: "leadgen:400000000000001", EventAt: at(1767225598), UTM: map[string]string{"content": "120000000000001"},
			Problems: []string{"Lead ads tell only that a form was filled in: its answers are in the Leads Center of the page, under this leadgen_id."},
			Fields:   fieldsOf("leadgen_id", `"400000000000001"`, "page_id", `"300000000000001"`, "form_id", `"500000000000001"`, "ad_id", `"120000000000001"`, "adgroup_id", `"120000000000002"`)}}, nil, 0},
		"lead form, ids as numbers": {`{"object":"page","entry":[{"id":3,"changes":[{"field":"leadgen","value":{"leadgen_id":90071992547409931,"form_id":5}}]}]}`,
			[]streams.Lead{{Channel: "leadads", Key: "leadgen:90071992547409931",
				Problems: []string{"Lead ads tell only that a form was filled in: its answers are in the Leads Center of the page, under this leadgen_id."},
				Fields:   fieldsOf("leadgen_id", `"90071992547409931"`, "form_id", `"5"`)}}, nil, 0},
		"time in seconds": {`{"object":"page","entry":[{"id":"3","messaging":[{"sender":{"id":"6"},"recipient":{"id":"3"},"timestamp":1767225600,"message":{"mid":"m1","text":"да"}}]}]}`, lead(streams.Lead{Message: "да"}), nil, 0},
		"files": {page(`"message":{"mid":"m1","attachments":[{"type":"image","payload":{"url":"https://a.test/p"}},{"type":"image","payload":{"url":"https://a.test/like","sticker_id":369239263222822}},{"type":"fallback","payload":null},{"type":"location","payload":{"coordinates":{"lat":1,"long":2}}}]}`),
			lead(streams.Lead{Fields: fieldsOf("location", `{"lat":1,"long":2}`, "attachments", `[{"kind":"fallback"}]`), Media: []streams.Media{{Kind: "photo", URL: "https://a.test/p"}, {Kind: "sticker", Ref: "369239263222822", URL: "https://a.test/like"}}}), nil, 0},
		"phone button":           {page(`"message":{"mid":"m1","text":"+79990000011","quick_reply":{"payload":"+79990000011"}}`), lead(streams.Lead{Phone: "+79990000011", Message: "+79990000011", Fields: fieldsOf("payload", `"+79990000011"`)}), nil, 0},
		"a button with a number": {page(`"message":{"mid":"m1","text":"Позвонить","quick_reply":{"payload":"+79990000011"}}`), lead(streams.Lead{Message: "Позвонить", Fields: fieldsOf("payload", `"+79990000011"`)}), nil, 0},
		"a number as a text":     {page(`"message":{"mid":"m1","text":"+79990000011"}`), lead(streams.Lead{Message: "+79990000011"}), nil, 0},
		"first touch":            {page(`"postback":{"title":"Начать","payload":"start","referral":{"ref":"spring","source":"SHORTLINK"}}`), lead(streams.Lead{Key: "3:6:1767225600000:start", Message: "Начать", UTM: map[string]string{"campaign": "spring"}, Fields: fieldsOf("button", `"start"`, "referral", `{"ref":"spring","source":"SHORTLINK"}`)}), nil, 0},
		"unsupported":            {page(`"message":{"mid":"m1","is_unsupported":true}`), lead(streams.Lead{Fields: fieldsOf("unsupported", `true`)}), nil, 0},
		"the page's answer": {`{"object":"page","entry":[{"id":"3","messaging":[{"sender":{"id":"3"},"recipient":{"id":"6"},"timestamp":1767225600000,"message":{"mid":"m2","is_echo":true,"app_id":5,"text":"500"}}]}]}`,
			lead(streams.Lead{Event: "answered", Key: "m2", Message: "500", Fields: fieldsOf("app_id", `"5"`, "message_id", `"m2"`)}), nil, 0},
		"the page's picture": {`{"object":"instagram","entry":[{"id":"3","messaging":[{"sender":{"id":"3"},"recipient":{"id":"6"},"timestamp":1767225600000,"message":{"mid":"m2","is_echo":true,"attachments":[{"type":"image","payload":{"url":"https://a.test/p"}}]}}]}]}`,
			lead(streams.Lead{Channel: "instagram", Event: "answered", Key: "m2", Fields: fieldsOf("message_id", `"m2"`), Media: []streams.Media{{Kind: "photo", URL: "https://a.test/p"}}}), nil, 0},
		"our app's own words": {`{"object":"page","entry":[{"id":"3","messaging":[{"sender":{"id":"3"},"recipient":{"id":"6"},"timestamp":1767225600000,"message":{"mid":"m2","is_echo":true,"app_id":77,"text":"500"}}]}]}`,
			lead(streams.Lead{Event: "sent", Key: "m2", Message: "500", Fields: fieldsOf("app_id", `"77"`, "message_id", `"m2"`)}), nil, 0},
		"read":               {page(`"read":{"watermark":1767225599000}`), lead(streams.Lead{Event: "read", Key: "3:read:6:1767225599000", Fields: fieldsOf("watermark", `1767225599000`)}), nil, 0},
		"read, on Instagram": {`{"object":"instagram","entry":[{"id":"3","messaging":[{"sender":{"id":"6"},"recipient":{"id":"3"},"timestamp":1767225600000,"read":{"mid":"m0"}}]}]}`, lead(streams.Lead{Channel: "instagram", Event: "read", Key: "3:read:6:m0", Fields: fieldsOf("message_id", `"m0"`)}), nil, 0},
		"opened a link":      {page(`"referral":{"ref":"spring","source":"SHORTLINK","type":"OPEN_THREAD"}`), lead(streams.Lead{Event: "click", Key: "3:referral:6:1767225600000", UTM: map[string]string{"campaign": "spring"}, Fields: fieldsOf("referral", `{"ref":"spring","source":"SHORTLINK","type":"OPEN_THREAD"}`)}), nil, 0},
		"comment": {`{"object":"instagram","entry":[{"id":"3","time":1,"changes":[{"field":"comments","value":{"id":"c1","text":"цена?","from":{"id":"6","username":"anna"},"media":{"id":"9","media_product_type":"FEED"}}}]}]}`,
			[]streams.Lead{{Channel: "instagram", UserID: "6", Key: "comment:c1", Name: "anna", Message: "цена?", Fields: fieldsOf("username", `"anna"`, "comment_id", `"c1"`, "under", `"9"`)}}, nil, 0},
		"comment, by another login": {`{"object":"instagram","entry":[{"id":"3","time":1,"field":"comments","value":{"id":"c1","text":"цена?","from":{"id":"6"}}}]}`,
			[]streams.Lead{{Channel: "instagram", UserID: "6", Key: "comment:c1", Message: "цена?", Fields: fieldsOf("comment_id", `"c1"`)}}, nil, 0},
		"the dashboard's test": {`{"object":"instagram","entry":[{"id":"3","changes":[{"field":"messages","value":{"sender":{"id":"6"},"recipient":{"id":"3"},"timestamp":"1767225600","message":{"mid":"m1","text":"да"}}}]}]}`, lead(streams.Lead{Channel: "instagram", Message: "да"}), nil, 0},
		"one bad of three": {`{"object":"page","entry":[{"id":"3","messaging":[{"sender":{"id":"6"},"recipient":{"id":"3"},"timestamp":1767225600000,"message":{"mid":"m1","text":"да"}},{"sender":"6"},` +
			`{"sender":{"id":"6"},"recipient":{"id":"3"},"timestamp":1767225600000,"message":{"mid":"m3","text":"нет"}}]}]}`,
			append(lead(streams.Lead{Message: "да"}), lead(streams.Lead{Key: "m3", Message: "нет"})...), nil, 1},

		"delivered": {page(`"delivery":{"mids":["m0","m4"],"watermark":1767225599000}`), append(
			lead(streams.Lead{Event: "delivered", Key: "3:delivered:6:m0", Fields: fieldsOf("message_id", `"m0"`, "watermark", `1767225599000`)}),
			lead(streams.Lead{Event: "delivered", Key: "3:delivered:6:m4", Fields: fieldsOf("message_id", `"m4"`, "watermark", `1767225599000`)})...), nil, 0},
		"delivered, all until then": {page(`"delivery":{"watermark":1767225599000}`),
			lead(streams.Lead{Event: "delivered", Key: "3:delivered:6:1767225599000", Fields: fieldsOf("watermark", `1767225599000`)}), nil, 0},

		"reaction":        {page(`"reaction":{"mid":"m0","action":"react"}`), nil, []string{"unknown kind"}, 0},
		"deleted":         {page(`"message":{"mid":"m1","is_deleted":true}`), nil, []string{"deleted"}, 0},
		"edit":            {page(`"message_edit":{"mid":"m1","text":"x"}`), nil, []string{"edit"}, 0},
		"another app's":   {`{"object":"page","entry":[{"id":"3","standby":[{"sender":{"id":"6"}}]}]}`, nil, []string{"standby"}, 0},
		"own comment":     {`{"object":"instagram","entry":[{"id":"3","changes":[{"field":"comments","value":{"id":"c1","text":"500","from":{"id":"3"}}}]}]}`, nil, []string{"own message"}, 0},
		"field of others": {`{"object":"page","entry":[{"id":"3","changes":[{"field":"feed","value":{"item":"like"}}]}]}`, nil, []string{"unknown kind"}, 0},

		"no mid":        {page(`"message":{"text":"да"}`), nil, nil, 1},
		"no leadgen_id": {`{"object":"page","entry":[{"id":"3","changes":[{"field":"leadgen","value":{"form_id":"5"}}]}]}`, nil, nil, 1},
	})
	tellAll(t, New("meta", Config{Token: "t", Language: "en"}), "application/json", map[string]told{
		"lead form, to be fetched": {`{"object":"page","entry":[{"id":3,"changes":[{"field":"leadgen","value":{"leadgen_id":"400","form_id":5}}]}]}`,
			[]streams.Lead{{Channel: "leadads", Key: "leadgen:400", Ref: "leadgen:400", Fields: fieldsOf("leadgen_id", `"400"`, "form_id", `"5"`)}}, nil, 0},
	})
	tellAll(t, New("meta", Config{Accounts: []string{"4"}}), "application/json", map[string]told{
		"of a page that is not ours": {metaMessenger, nil, []string{Stranger}, 0},
	})
}

// A message of our own program's is one event, whether the webhook tells it, with the program's number, or who asks for what was
// said: or each of our own words would be a person's too.
func TestMetaOwnWordsAreToldOnce(t *testing.T) {
	p := New("meta", Config{App: "77"})
	told := func(more string) Event {
		return read(t, p, `{"object":"page","entry":[{"id":"3","messaging":[{"sender":{"id":"3"},"recipient":{"id":"6"},"timestamp":1767225600000,"message":{"mid":"m2","is_echo":true`+more+`,"text":"500"}}]}]}`)
	}
	webhook, asked := told(`,"app_id":77`), told("")
	if webhook.Lead.Event != "sent" || asked.Lead.Event != "answered" || !webhook.Named || !asked.Named {
		t.Fatalf("%s and %s", webhook.Lead.Event, asked.Lead.Event)
	}
	if string(webhook.Canonical()) != string(asked.Canonical()) {
		t.Errorf("%q and %q", webhook.Canonical(), asked.Canonical())
	}
}

// The vector was made by openssl: printf '%s' BODY | openssl dgst -sha256 -hmac app_secret
func TestMetaVerifies(t *testing.T) {
	const body, signed = `{"object":"page","text":"\u0415\u0441\u0442\u044c \/"}`, "68223ec85f84246e900452b7e9b72b5476fe1db36a36526abd9da96690ee3bb7"
	p := New("meta", Config{Secrets: []string{"instagram_secret", "app_secret"}, Verification: "v"})
	for name, tt := range map[string]struct {
		body, header string
		want         bool
	}{
		"theirs":         {body, "sha256=" + signed, true},
		"another letter": {`{"object":"page","text":"Есть /"}`, "sha256=" + signed, false},
		"no prefix":      {body, signed, false},
		"SHA-1":          {body, "sha1=" + signed, false},
		"cut":            {body, "sha256=" + signed[:10], false},
		"none":           {body, "", false},
		"no hex":         {body, "sha256=zz", false},
	} {
		if got := p.Verify(request(tt.body, "X-Hub-Signature-256", tt.header), []byte(tt.body)); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestMetaGreets(t *testing.T) {
	p := New("whatsapp", Config{Secrets: []string{"app_secret"}, Verification: "my token"})
	for query, want := range map[string]Reply{
		"?hub.mode=subscribe&hub.verify_token=my+token&hub.challenge=1158201444": {Code: 200, Body: "1158201444"},
		"?hub.mode=subscribe&hub.verify_token=my&hub.challenge=1":                {Code: 403},
		"?hub.mode=subscribe&hub.challenge=1":                                    {Code: 403},
		"?hub.mode=unsubscribe&hub.verify_token=my+token&hub.challenge=1":        {Code: 403},
		"": {},
	} {
		if got, ok := p.Greet(httptest.NewRequest(http.MethodGet, "/in/x"+query, nil), nil); got != want || ok != (want.Code != 0) {
			t.Errorf("%q: %v %v", query, got, ok)
		}
	}
	if _, ok := p.Greet(httptest.NewRequest(http.MethodPost, "/in/x?hub.mode=subscribe", nil), nil); ok {
		t.Error("a POST is no greeting")
	}
}
