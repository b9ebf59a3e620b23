package intake

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leadstream/streams"
)

// fields writes the expected Fields without noise.
func fields(pairs ...string) map[string]json.RawMessage {
	m := make(map[string]json.RawMessage)
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return m
}

const formType = "application/x-www-form-urlencoded"

// Bodies as each sender writes them, and the lead that they mean.
func TestSenders(t *testing.T) {
	const phone = "+79990000011"
	tests := map[string]struct {
		source, contentType, body string
		want                      streams.Lead
	}{
		"Make, JSON": {"make", "application/json", `{"Name": "Ольга", "Phone": "8 (999) 000-00-11", "Email":"Olga@Example.test", "service":"чистка", "row": 12345678901234567890}`,
			streams.Lead{Name: "Ольга", Phone: phone, Email: "olga@example.test", Service: "чистка", Fields: fields("row", "12345678901234567890")}},
		"Make, JSON without a type": {"make", "", `{"name":"Ольга"}`, streams.Lead{Name: "Ольга"}},
		"Make, line break in a string": {"make", "application/json", "{\"name\":\"Ольга\",\"comment\":\"первая\nвторая \\\"строка\\\"\"}",
			streams.Lead{Name: "Ольга", Message: "первая\nвторая \"строка\"", Problems: []string{"the JSON had line breaks inside its strings, the sender must escape them"}}},
		"Make, urlencoded": {"make", formType, "name=%D0%9E%D0%BB%D1%8C%D0%B3%D0%B0&phone=%2B79990000011&note=a+b",
			streams.Lead{Name: "Ольга", Phone: phone, Message: "a b"}},
		"Make, its own field map": {"make", "application/json", `{"что болит":"зуб","payment":{"amount":"500","name":"Касса"}}`,
			streams.Lead{Service: "зуб", Time: "500", Fields: fields("payment", `{"amount":"500","name":"Касса"}`)}},
		"Make, wrong mapping": {"make", "application/json", `{"name":"undefined","phone":"{{1.phone}}","email":"null","note":null}`,
			streams.Lead{Fields: fields("name", `"undefined"`, "phone", `"{{1.phone}}"`, "email", `"null"`), Problems: []string{
				"field name: the sender's mapping is wrong, it sent a placeholder",
				"field phone: the sender's mapping is wrong, it sent a placeholder",
				"field email: the sender's mapping is wrong, it sent a placeholder"}}},
		"Zapier, form": {"zapier", formType, "first_name=Olga&last_name=Petrova&phone=9990000011&Question=%5Bobject+Object%5D",
			streams.Lead{Name: "Olga Petrova", Phone: phone, Fields: fields("Question", `"[object Object]"`),
				Problems: []string{"поле Question: ошибка сопоставления у отправителя, пришла заглушка"}}},
		"Zapier, wrapped in an array": {"zapier", "application/json; charset=utf-8", `[{"lead":{"name":"Ольга","phone":"+79990000011"}}]`,
			streams.Lead{Name: "Ольга", Phone: phone, Fields: fields("lead", `{"name":"Ольга","phone":"+79990000011"}`)}},
		"Pabbly, JSON": {"pabbly", "application/json", `{"data":{"tel":"+7 999 000 00 11"},"manager":{"phone":"+79990000099","name":"М"}}`,
			streams.Lead{Phone: phone, Fields: fields("data", `{"tel":"+7 999 000 00 11"}`, "manager", `{"phone":"+79990000099","name":"М"}`)}},
		"Tilda, classic": {"tilda", formType + "; charset=UTF-8",
			"Name=%D0%9E%D0%BB%D1%8C%D0%B3%D0%B0&Phone=%2B7+%28999%29+000-00-11&Email=olga%40example.test&Textarea=%D0%9D%D1%83%D0%B6%D0%B5%D0%BD&tranid=7654321%3A1200345678&formid=form555000111&COOKIES=TILDAUTM%3Dutm_source%253Dyandex%257C%257C%257Cutm_medium%253Dcpc%3B+_ym_uid%3D17",
			streams.Lead{Name: "Ольга", Phone: phone, Email: "olga@example.test", Message: "Нужен", Key: "7654321:1200345678", Channel: "site",
				UTM:    map[string]string{"source": "yandex", "medium": "cpc"},
				Fields: fields("formid", `"form555000111"`, "COOKIES", `"TILDAUTM=utm_source%3Dyandex%7C%7C%7Cutm_medium%3Dcpc; _ym_uid=17"`)}},
		"Tilda, JSON": {"tilda", "application/json", `{"Имя":"Ольга","Телефон":"89990000011","tranid":"1111111:6161583731","utm_source":"vk"}`,
			streams.Lead{Name: "Ольга", Phone: phone, Key: "1111111:6161583731", Channel: "site", UTM: map[string]string{"source": "vk"}}},
		"Tilda, order": {"tilda", formType, "Name=Olga&payment[amount]=500&payment[products][0]=a&payment[products][1]=b&Checkbox=yes&Checkbox=more&Checkbox=most",
			streams.Lead{Name: "Olga", Channel: "site", Fields: fields("payment[amount]", `"500"`, "payment[products][0]", `"a"`,
				"payment[products][1]", `"b"`, "Checkbox", `["yes","more","most"]`)}},
		"Elementor": {"api", formType, "form[name]=Footer&fields[name][value]=Olga&fields[phone][value]=89990000011",
			streams.Lead{Name: "Olga", Phone: phone, Fields: fields("form[name]", `"Footer"`)}},
		"Contact Form 7": {"api", formType, "your-name=Olga&your-tel=89990000011&your-message=hi&_wpnonce=1",
			streams.Lead{Name: "Olga", Phone: phone, Message: "hi", Fields: fields("_wpnonce", `"1"`)}},
		"Windows-1251, unsaid":            {"api", formType, "name=%CE%EB%FC%E3%E0&phone=89990000011", streams.Lead{Name: "Ольга", Phone: phone}},
		"Windows-1251, said":              {"api", formType + "; charset=windows-1251", "name=%CE%EB%FC%E3%E0", streams.Lead{Name: "Ольга"}},
		"Windows-1251, JSON":              {"api", "application/json", "{\"name\":\"\xce\xeb\xfc\xe3\xe0\"}", streams.Lead{Name: "Ольга"}},
		"KOI8-R, said":                    {"api", formType + "; charset=koi8-r", "name=%EF%CC%D8%C7%C1", streams.Lead{Name: "Ольга"}},
		"UTF-8 said to be something else": {"api", "application/json; charset=iso-8859-1", `{"name":"Ольга"}`, streams.Lead{Name: "Ольга"}},
		"BOM":                             {"api", "application/json", "\ufeff{\"name\":\"Ольга\"}", streams.Lead{Name: "Ольга"}},
		"stray percent":                   {"api", formType, "name=Olga&note=100%&sale=5%25+%zz", streams.Lead{Name: "Olga", Message: "100%", Fields: fields("sale", `"5% %zz"`)}},
		"beacon":                          {"api", "text/plain;charset=UTF-8", `{"name":"Ольга"}`, streams.Lead{Name: "Ольга"}},
		"plain text form":                 {"api", "text/plain", "name=Olga 100%\r\nmessage=one\r\ntwo\r\n", streams.Lead{Name: "Olga 100%", Message: "one\ntwo"}},
		"form said to be JSON":            {"api", "application/json", "name=Olga&phone=89990000011", streams.Lead{Name: "Olga", Phone: phone}},
		"JSON said to be a form":          {"api", formType, `{"name":"Olga","x":"a=b&c"}`, streams.Lead{Name: "Olga", Fields: fields("x", `"a=b&c"`)}},
		"JSON in a JSON string":           {"api", "application/json", `"{\"name\":\"Olga\"}"`, streams.Lead{Name: "Olga"}},
		"our own format": {"api", "application/json", `{"name":"Olga","utm":{"source":"x"},"fields":{"room":5,"name":"Second"},"event_at":"2026-11-20T10:00:00+03:00","channel":"WhatsApp","user_id":"7999","id":"mine","key":"k1"}`,
			streams.Lead{Name: "Olga", UTM: map[string]string{"source": "x"}, Channel: "whatsapp", UserID: "7999", Key: "k1",
				EventAt: time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC),
				Fields:  fields("room", "5", "name", `"Second"`, "utm", `{"source":"x"}`, "id", `"mine"`), Problems: []string{"field name came more than once"}}},
		"an intent": {"api", "application/json", `{"name":"Olga","intent":" booking"}`, streams.Lead{Name: "Olga", Intent: "booking"}},
		"case twins": {"api", "application/json", `{"phone":"89990000011","PHONE":"89990000022","Phone":"x"}`,
			streams.Lead{Phone: phone, Fields: fields("PHONE", `"89990000022"`, "Phone", `"x"`)}},
		"repeated keys": {"api", "application/json", `{"phone":"89990000011","phone":"89990000022","a":1,"a":[2],"a":3}`,
			streams.Lead{Phone: phone, Fields: fields("phone", `"89990000022"`, "a", "[1,[2],3]"), Problems: []string{"field phone came more than once"}}},
		"a better phone comes later": {"api", "application/json", `{"Номер":"A-17","Телефон":"89990000011"}`,
			streams.Lead{Phone: phone, Fields: fields("Номер", `"A-17"`)}},
		"phone by a part of the name": {"api", "application/json", `{"Ваш телефон для связи":"89990000011","manager_phone":"89990000022","Почта (рабочая)":"a@example.test"}`,
			streams.Lead{Phone: phone, Email: "a@example.test", Fields: fields("Ваш телефон для связи", `"89990000011"`, "manager_phone", `"89990000022"`, "Почта (рабочая)", `"a@example.test"`)}},
		"contact, a phone":  {"api", "application/json", `{"contact":"8 999 000 00 11"}`, streams.Lead{Phone: phone}},
		"contact, e-mail":   {"api", "application/json", `{"Контакты":"a@example.test"}`, streams.Lead{Email: "a@example.test"}},
		"contact, neither":  {"api", "application/json", `{"contact":"@olga"}`, streams.Lead{Fields: fields("contact", `"@olga"`)}},
		"phone as number":   {"api", "application/json", `{"phone":79990000011}`, streams.Lead{Phone: phone}},
		"phone of a table":  {"api", "application/json", `{"phone":7.9990000011E10}`, streams.Lead{Phone: phone}},
		"phone of a CRM":    {"api", "application/json", `{"PHONE":[{"VALUE":"+79990000011","VALUE_TYPE":"WORK"}]}`, streams.Lead{Phone: phone}},
		"two phones":        {"api", "application/json", `{"phone":"89990000011, 89990000022"}`, streams.Lead{Phone: phone, Fields: fields("phone", `"89990000011, 89990000022"`)}},
		"no phone at all":   {"api", "application/json", `{"phone":"перезвоните"}`, streams.Lead{Phone: "перезвоните"}},
		"services, a list":  {"api", "application/json", `{"Услуги":["чистка","осмотр"]}`, streams.Lead{Service: "чистка, осмотр"}},
		"date and time":     {"api", "application/json", `{"Дата":"23.11","Время":"10:00"}`, streams.Lead{Time: "23.11 10:00"}},
		"event in seconds":  {"api", "application/json", `{"name":"a","timestamp":1795000000}`, streams.Lead{Name: "a", EventAt: time.Unix(1795000000, 0).UTC()}},
		"event, unreadable": {"api", "application/json", `{"name":"a","timestamp":"yesterday"}`, streams.Lead{Name: "a", Fields: fields("timestamp", `"yesterday"`)}},
		"news": {"api", "application/json", `{"event":"Won","about":"abc","phone":"89990000011","message":"по договору 7"}`,
			streams.Lead{Event: "won", About: "abc", Phone: phone, Message: "по договору 7"}},
		"news that may be an enquiry": {"api", "application/json", `{"event":"order","about":"us","message":"хочу торт"}`,
			streams.Lead{Message: "хочу торт", Fields: fields("event", `"order"`, "about", `"us"`),
				Problems: []string{"field event: an event has no text; it was taken as an enquiry"}}},
		"news by the source's own map": {"make", "application/json", `{"что было":"order","note":"торт"}`, streams.Lead{Event: "order", Message: "торт"}},
		"unknown news": {"api", "application/json", `{"event":"свадьба","name":"Ольга"}`,
			streams.Lead{Name: "Ольга", Fields: fields("event", `"свадьба"`), Problems: []string{"field event: no event of this name is known, it was taken as an enquiry"}}},
		"news that anybody could tell": {"site", "application/json", `{"event":"won","phone":"89990000011"}`,
			streams.Lead{Phone: phone, Channel: "site", Fields: fields("event", `"won"`), Problems: []string{"field event: no event of this name is known, it was taken as an enquiry"}}},
		"a leadstream's own news": {"api", "application/json", `{"event":"segment"}`,
			streams.Lead{Fields: fields("event", `"segment"`), Problems: []string{"field event: no event of this name is known, it was taken as an enquiry"}}},
		"UTM of the page": {"api", "application/json", `{"name":"a","page_url":"https://example.test/?utm_source=ya&utm_term=%D0%B7%D1%83%D0%B1#x"}`,
			streams.Lead{Name: "a", UTM: map[string]string{"source": "ya", "term": "зуб"}, Fields: fields("page_url", `"https://example.test/?utm_source=ya&utm_term=%D0%B7%D1%83%D0%B1#x"`)}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			h := newHandler(t, testConfig(), m)
			h.now = func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }
			w := send(h, "/in/"+tt.source+"/"+testKey+tt.source, tt.body, "Content-Type", tt.contentType)
			if w.Code/100 != 2 || len(m.taken) != 1 {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			tt.want.Source = tt.source
			if diff := cmp.Diff(&tt.want, m.taken[0].Lead, cmpopts.IgnoreFields(streams.Lead{}, "ReceivedAt"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("lead (-want +got):\n%s", diff)
			}
			if _, err := json.Marshal(m.taken[0].Lead); err != nil {
				t.Errorf("the lead has no JSON: %v", err)
			}
		})
	}
}

func TestMultipart(t *testing.T) {
	body := strings.ReplaceAll(`--XX
Content-Disposition: form-data; name="name"

Ольга
--XX
Content-Disposition: form-data; name="phone"

+7 999 000-00-11
--XX
Content-Disposition: form-data; name="scan"; filename="снимок.jpg"
Content-Type: image/jpeg

not a picture
--XX--
`, "\n", "\r\n")
	m := &memory{}
	w := send(newHandler(t, testConfig(), m), "/in/make", body, "X-Api-Key", testKey+"make", "Content-Type", `multipart/form-data; boundary="XX"`)
	if w.Code != http.StatusOK || len(m.taken) != 1 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	got := m.taken[0].Lead
	want := fields("scan", `{"filename":"снимок.jpg","type":"image/jpeg","size":13}`)
	if diff := cmp.Diff(want, got.Fields); diff != "" || got.Name != "Ольга" || got.Phone != "+79990000011" {
		t.Errorf("got %+v\n%s", got, diff)
	}
}

func TestGzip(t *testing.T) {
	zip := func(text string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(text))
		_ = z.Close()
		return b.String()
	}
	tests := map[string]struct {
		body string
		code int
	}{
		"a lead":    {zip(`{"name":"Olga"}`), 200},
		"a bomb":    {zip(`{"name":"` + strings.Repeat("a", 1<<20) + `"}`), 413},
		"no gzip":   {`{"name":"Olga"}`, 400},
		"cut short": {zip(`{"name":"Olga"}`)[:20], 400},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			w := sendJSON(newHandler(t, testConfig(), m), "make", tt.body, "Content-Encoding", "gzip")
			if w.Code != tt.code || len(m.taken)+len(m.quarantined) != 1 {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
}

// A bomb is inflated no further than the limit.
func TestGzipBombCostsLittle(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 4 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	_ = z.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := inflate(bomb.Bytes(), "gzip", 64<<10)
	runtime.ReadMemStats(&after)
	if asError(err).Code != "too_large" {
		t.Errorf("got %v", err)
	}
	if spent := after.TotalAlloc - before.TotalAlloc; spent > 1<<20 {
		t.Errorf("%d bytes for a limit of 64 KiB", spent)
	}
}

// One lead has one canonical body, however it is sent again.
func TestCanonical(t *testing.T) {
	tests := map[string]struct {
		a, b string
		same bool
	}{
		"order and blanks":    {`{"a":1,"b":{"d":[1, 2],"c":"x"}}`, ` { "b" : {"c":"x","d":[1,2]} , "a":1}`, true},
		"escapes":             {`{"a":"\u041e\/"}`, `{"a":"О/"}`, true},
		"another value":       {`{"a":1}`, `{"a":2}`, false},
		"a long number":       {`{"a":12345678901234567890}`, `{"a":12345678901234567891}`, false},
		"order in a list":     {`{"a":[1,2]}`, `{"a":[2,1]}`, false},
		"case of a key":       {`{"a":1}`, `{"A":1}`, false},
		"form and JSON":       {`{"name":"Olga \"O\"","x":["1","2"]}`, `name=Olga+%22O%22&x=1&x=2`, true},
		"captcha":             {`name=a&g-recaptcha-response=1`, `name=a&g-recaptcha-response=2`, true},
		"fields run together": {`{"a":"b\",\"c"}`, `{"a":"b","c":""}`, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			h := newHandler(t, testConfig(), m)
			for _, body := range []string{tt.a, tt.b} {
				if w := send(h, "/in/api", body, "X-Api-Key", testKey+"api"); w.Code != 200 {
					t.Fatalf("got %d %s", w.Code, w.Body)
				}
			}
			a, b := string(m.taken[0].Canonical), string(m.taken[1].Canonical)
			if (a == b) != tt.same {
				t.Errorf("%s and %s", a, b)
			}
			if !json.Valid(m.taken[0].Canonical) {
				t.Errorf("%s is no JSON", a)
			}
		})
	}
}

func TestKeysOfLeads(t *testing.T) {
	long := strings.Repeat("k", 300)
	tests := map[string]struct {
		body    string
		headers []string
		want    string
	}{
		"header":                 {`{"name":"a"}`, []string{"Idempotency-Key", "row-1"}, "row-1"},
		"the other header":       {`{"name":"a"}`, []string{"X-Idempotency-Key", "row-1"}, "row-1"},
		"header before field":    {`{"name":"a","tranid":"t"}`, []string{"Idempotency-Key", "row-1"}, "row-1"},
		"field":                  {`{"name":"a","leadgen_id":17}`, nil, "17"},
		"none":                   {`{"name":"a"}`, nil, ""},
		"header, wrong mapping":  {`{"name":"a"}`, []string{"Idempotency-Key", "undefined"}, ""},
		"header, wrong template": {`{"name":"a","tranid":"t"}`, []string{"Idempotency-Key", "{{1.id}}"}, "t"},
		"too long":               {`{"name":"a"}`, []string{"Idempotency-Key", long}, streams.NewID(long)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			sendJSON(newHandler(t, testConfig(), m), "make", tt.body, tt.headers...)
			if len(m.taken) != 1 || m.taken[0].Key != tt.want || m.taken[0].Lead.Key != tt.want {
				t.Errorf("got %+v, want key %q", m.taken, tt.want)
			}
		})
	}
}

// Bodies that are meant to hurt: each gets a 4xx, in little time and memory, or is an odd but harmless lead.
func TestHostile(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	wide := func(n int) string { return "{" + strings.TrimSuffix(strings.Repeat(`"a":1,`, n), ",") + "}" }
	tests := map[string]struct {
		body, contentType string
		code              int
	}{
		"deep":                   {deep(65), "application/json", 400},
		"deep, allowed":          {deep(60), "application/json", 200},
		"very deep":              {deep(10_001), "application/json", 400},
		"deep lists":             {`{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}", "application/json", 400},
		"never closed":           {strings.Repeat("[", 200_000), "application/json", 400},
		"wide":                   {wide(2001), "application/json", 400},
		"wide, allowed":          {wide(1990), "application/json", 200},
		"wide inside":            {`{"a":[` + strings.Repeat("1,", 2500) + `1]}`, "application/json", 400},
		"{} by the megabyte":     {"[" + strings.Repeat("{},", 80_000) + "{}]", "application/json", 400},
		"{} by the line":         {strings.Repeat("{}\n", 80_000), "application/x-ndjson", 400},
		"10 MB":                  {`{"a":"` + strings.Repeat("x", 10<<20) + `"}`, "application/json", 413},
		"a huge number":          {`{"phone":1e999999999}`, "application/json", 200},
		"a long number":          {`{"phone":` + strings.Repeat("9", 100_000) + `}`, "application/json", 200},
		"NUL":                    {"{\"name\":\"a\x00b\"}", "application/json", 400},
		"NUL, escaped":           {`{"name":"a\u0000b"}`, "application/json", 400},
		"NUL, escaped, inside":   {`{"a":{"b":["\u0000"]}}`, "application/json", 400},
		"NUL in a key":           {`{"a\u0000":1}`, "application/json", 400},
		"no NUL":                 {`{"name":"a\\u0000b"}`, "application/json", 200},
		"NUL in a form":          {"name=a%00b", formType, 400},
		"half a surrogate":       {`{"name":"\ud800"}`, "application/json", 200},
		"no encoding":            {"{\"name\":\"\x98\xff\"}", "application/json", 400},
		"no encoding, form":      {"name=%98%ff", formType, 400},
		"truncated":              {`{"name":"Ольг`, "application/json", 400},
		"only a quote":           {`"`, "application/json", 400},
		"only blanks":            {" \n\t ", "application/json", 400},
		"null":                   {"null", "application/json", 400},
		"string in string":       {`"\"\\\"a\\\"\""`, "application/json", 400},
		"many fields":            {strings.Repeat("a=1&", 3000), formType, 400},
		"separators":             {strings.Repeat("&", 100_000), formType, 400},
		"one key, many values":   {strings.Repeat("a="+strings.Repeat("x", 100)+"&", 1900), formType, 200},
		"multipart, no boundary": {"--x", "multipart/form-data", 400},
		"multipart, cut short":   {"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nabc", "multipart/form-data; boundary=x", 400},
		"multipart, empty":       {"--x--\r\n", "multipart/form-data; boundary=x", 400},
		"binary":                 {"\x1f\x8b\x08\x00\xff\xfe", "application/octet-stream", 415},
		"nonsense type":          {"hello", ";;;", 415},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			start := time.Now()
			w := send(newHandler(t, testConfig(), m), "/in/api", tt.body, "X-Api-Key", testKey+"api", "Content-Type", tt.contentType)
			if w.Code != tt.code {
				t.Errorf("got %d %.200s, want %d", w.Code, w.Body, tt.code)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if tt.code != 200 && (len(m.taken) != 0 || len(m.quarantined) != 1) {
				t.Errorf("%d taken, %d in quarantine", len(m.taken), len(m.quarantined))
			}
			if len(m.taken) == 1 {
				if _, err := json.Marshal(m.taken[0].Lead); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
