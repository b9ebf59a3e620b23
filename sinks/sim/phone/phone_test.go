package phone

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func start(t *testing.T, o Options) *Phone {
	t.Helper()
	p := New(o)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// ask calls the phone; a body that begins with a brace is JSON, else it is a form.
func ask(t *testing.T, p *Phone, method, path, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	r.SetBasicAuth(TwilioAccount, "secret")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(raw)
}

func TestMessageArrives(t *testing.T) {
	cases := map[string]struct {
		method, path, body string
		status             int
		answer             string // a part of it
		want               Message
	}{
		"telegram": {"POST", "/bot110201543:phone-token/sendMessage",
			`{"chat_id":1000001,"text":"<b>Лид</b> &amp; имя","parse_mode":"HTML","disable_notification":true}`, 200, `"message_id":1`,
			Message{Via: "telegram", To: "1000001", Text: "Лид & имя", ID: "1", Silent: true}},
		"telegram form": {"POST", "/bot110201543:phone-token/sendMessage", "chat_id=1000001&text=hello", 200, `"ok":true`,
			Message{Via: "telegram", To: "1000001", Text: "hello", ID: "1"}},
		"smsc": {"POST", "/sys/send.php", "login=shop&psw=secret&phones=89990000011&mes=Привет&fmt=3&id=77", 200, `{"cnt":1,"id":77}`,
			Message{Via: "smsc", To: "79990000011", Text: "Привет", ID: "77", Parts: 1}},
		"smsc json": {"POST", "/rest/send/", `{"apikey":"secret","phones":"79990000011","mes":"hi"}`, 200, `"cnt":1`,
			Message{Via: "smsc", To: "79990000011", Text: "hi", ID: "1000", Parts: 1}},
		"sms.ru": {"POST", "/sms/send", "api_id=secret&to=79990000011&msg=hi&json=1", 200, `"status_code":100`,
			Message{Via: "smsru", To: "79990000011", Text: "hi", ID: "202603-1000000", Parts: 1}},
		"twilio": {"POST", "/2010-04-01/Accounts/" + TwilioAccount + "/Messages.json",
			"To=%2B79990000011&From=%2B15550000001&Body=hi", 201, `"status":"queued"`,
			Message{Via: "twilio", To: "+79990000011", From: "+15550000001", Text: "hi", ID: "SM" + strings.Repeat("0", 31) + "1", Parts: 1}},
		"kannel": {"GET", "/cgi-bin/sendsms?username=shop&password=secret&to=%2B79990000011&text=hi", "", 202, "0: Accepted",
			Message{Via: "kannel", To: "79990000011", Text: "hi", ID: "0", Parts: 1}},
		"gateway": {"POST", "/gateway/send", `{"to":"+79990000011","text":"hi"}`, 200, `{"id":"1"}`,
			Message{Via: "gateway", To: "+79990000011", Text: "hi", ID: "1", Parts: 1}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			p := start(t, Options{Clock: func() time.Time { return at }})
			resp, body := ask(t, p, c.method, c.path, c.body)
			if resp.StatusCode != c.status || !strings.Contains(body, c.answer) {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
			c.want.Seq, c.want.At, c.want.Answer = 1, at, "delivered"
			if diff := cmp.Diff([]Message{c.want}, p.Messages(), cmpopts.IgnoreUnexported(Message{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	const bot = "/bot110201543:phone-token/"
	const account = "/2010-04-01/Accounts/" + TwilioAccount
	cases := map[string]struct {
		path, body string
		status     int
		answer     string
	}{
		"unknown token":     {"/bot1:other/sendMessage", "chat_id=1000001&text=x", 401, `"Unauthorized"`},
		"malformed token":   {"/botx/getMe", "", 404, `"Not Found"`},
		"unknown method":    {bot + "sendmassage", "", 404, `"Not Found"`},
		"unknown chat":      {bot + "sendMessage", "chat_id=5&text=x", 400, "chat not found"},
		"blocked":           {bot + "sendMessage", "chat_id=7&text=x", 403, "bot was blocked by the user"},
		"migrated":          {bot + "sendMessage", "chat_id=-8&text=x", 400, `"migrate_to_chat_id":-1008`},
		"empty text":        {bot + "sendMessage", "chat_id=1&text=+", 400, "message text is empty"},
		"long text":         {bot + "sendMessage", "chat_id=1&text=" + strings.Repeat("x", 4097), 400, "message is too long"},
		"unknown tag":       {bot + "sendMessage", "chat_id=1&parse_mode=HTML&text=" + url.QueryEscape("a <x>"), 400, `can't parse entities: Unsupported start tag`},
		"open tag":          {bot + "sendMessage", "chat_id=1&parse_mode=HTML&text=" + url.QueryEscape("<b>a"), 400, `can't parse entities`},
		"crossed tags":      {bot + "sendMessage", "chat_id=1&parse_mode=HTML&text=" + url.QueryEscape("<b><i>a</b></i>"), 400, `Unmatched end tag`},
		"button data":       {bot + "sendMessage", `{"chat_id":1,"text":"x","reply_markup":{"inline_keyboard":[[{"text":"T","callback_data":"` + strings.Repeat("ы", 33) + `"}]]}}`, 400, "BUTTON_DATA_INVALID"},
		"nothing to edit":   {bot + "editMessageText", "chat_id=1&message_id=9&text=x", 400, "message to edit not found"},
		"smsc password":     {"/sys/send.php", "login=shop&psw=no&phones=79990000011&mes=x&fmt=3", 200, `"error_code":2`},
		"smsc number":       {"/sys/send.php", "apikey=secret&phones=74950000011&mes=x&fmt=3", 200, `"error_code":7`},
		"smsc no text":      {"/sys/send.php", "apikey=secret&phones=79990000011&fmt=3", 200, `"error_code":1`},
		"smsc plain":        {"/sys/send.php", "apikey=no&phones=79990000011&mes=x", 200, "ERROR = 2 (authorise error)"},
		"smsc never sent":   {"/sys/status.php", "apikey=secret&phone=79990000011&id=5&fmt=3", 200, `"status":-3`},
		"sms.ru key":        {"/sms/send", "api_id=no&to=79990000011&msg=x", 200, `"status_code":200`},
		"sms.ru number":     {"/sms/send", "api_id=secret&to=1&msg=x", 200, `"1":{"status":"ERROR","status_code":202`},
		"sms.ru parts":      {"/sms/send", "api_id=secret&to=79990000011&msg=" + strings.Repeat("я", 67*8+1), 200, `"status_code":205`},
		"twilio no To":      {account + "/Messages.json", "From=x&Body=x", 400, `"code":21604`},
		"twilio bad To":     {account + "/Messages.json", "From=x&Body=x&To=123", 400, `"code":21211`},
		"twilio long":       {account + "/Messages.json", "From=x&To=%2B79990000011&Body=" + strings.Repeat("x", 1601), 400, `"code":21617`},
		"twilio account":    {"/2010-04-01/Accounts/ACx/Messages.json", "From=x&To=%2B79990000011&Body=x", 401, `"code":20003`},
		"kannel password":   {"/cgi-bin/sendsms", "username=shop&password=no&to=79990000011", 403, "Authorization failed"},
		"kannel landline":   {"/cgi-bin/sendsms", "username=shop&password=secret&to=74950000011", 403, "Not routable"},
		"kannel no number":  {"/cgi-bin/sendsms", "username=shop&password=secret", 400, "Missing receiver"},
		"gateway no number": {"/gateway/send", "text=x", 400, "required"},
	}
	p := start(t, Options{Chats: []Chat{{ID: 1, Type: "private"}, {ID: 7, Type: "private", Blocked: true},
		{ID: -8, Type: "group", MigrateTo: -1008}}})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			resp, body := ask(t, p, "POST", c.path, c.body)
			if resp.StatusCode != c.status || !strings.Contains(body, c.answer) {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
	if got := p.Messages(); len(got) != 0 {
		t.Errorf("refused messages arrived: %+v", got)
	}
}

func TestTelegramEdit(t *testing.T) {
	p := start(t, Options{})
	const bot = "/bot110201543:phone-token/"
	ask(t, p, "POST", bot+"sendMessage", "chat_id=1000001&text=one")
	if resp, body := ask(t, p, "POST", bot+"editMessageText", "chat_id=1000001&message_id=1&text=one"); resp.StatusCode != 400 ||
		!strings.Contains(body, "message is not modified") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, body := ask(t, p, "POST", bot+"editMessageText", "chat_id=1000001&message_id=1&text=two"); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	got := p.Messages()
	if len(got) != 1 || got[0].Text != "two" || got[0].Edits != 1 {
		t.Errorf("%+v", got)
	}
}

func TestSameTextTwiceInAMinute(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p := start(t, Options{Clock: func() time.Time { return at }})
	cases := map[string]struct{ path, body, again string }{
		"smsc":   {"/sys/send.php", "apikey=secret&phones=79990000011&mes=x&fmt=3", `"error_code":9`},
		"sms.ru": {"/sms/send", "api_id=secret&to=79990000011&msg=x", `"status_code":231`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, body := ask(t, p, "POST", c.path, c.body); strings.Contains(body, c.again) {
				t.Error(body)
			}
			if _, body := ask(t, p, "POST", c.path, c.body); !strings.Contains(body, c.again) {
				t.Error(body)
			}
			at = at.Add(time.Minute)
			if _, body := ask(t, p, "POST", c.path, c.body); strings.Contains(body, c.again) {
				t.Error(body)
			}
		})
	}
}

func TestStatusAndListFindWhatArrived(t *testing.T) {
	p := start(t, Options{})
	const account = "/2010-04-01/Accounts/" + TwilioAccount
	ask(t, p, "POST", "/sys/send.php", "apikey=secret&phones=79990000011&mes=x&fmt=3&id=5")
	ask(t, p, "POST", account+"/Messages.json", "From=x&To=%2B79990000011&Body=one")
	ask(t, p, "POST", account+"/Messages.json", "From=x&To=%2B79990000012&Body=two")
	if _, body := ask(t, p, "GET", "/sys/status.php?apikey=secret&phone=79990000011&id=5&fmt=3", ""); !strings.Contains(body, `"status":1`) {
		t.Error(body)
	}
	_, body := ask(t, p, "GET", account+"/Messages.json?To=%2B79990000012", "")
	if strings.Contains(body, "one") || !strings.Contains(body, `"body":"two"`) {
		t.Error(body)
	}
	if _, body := ask(t, p, "GET", account+".json", ""); !strings.Contains(body, `"status":"active"`) {
		t.Error(body)
	}
}

func TestFaults(t *testing.T) {
	p := start(t, Options{})
	p.Inject(Fault{Method: "sendMessage", Status: 429, RetryAfter: "35", Times: 1})
	resp, body := ask(t, p, "POST", "/bot110201543:phone-token/sendMessage", "chat_id=1000001&text=x")
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "35" || !strings.Contains(body, `"parameters":{"retry_after":35}`) {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	p.Inject(Fault{Method: "sendMessage", LoseAnswer: true, Times: 1})
	// A POST: Go's client asks again for a GET that got no answer on a kept connection.
	form := url.Values{"chat_id": {"1000001"}, "text": {"lost"}}
	if _, err := http.PostForm(p.URL()+"/bot110201543:phone-token/sendMessage", form); err == nil {
		t.Error("an answer came")
	}
	got := p.Messages()
	if len(got) != 1 || got[0].Text != "lost" || got[0].Answer != "lost" {
		t.Errorf("%+v", got)
	}
	p.Inject(Fault{Method: "smsc.*", Code: "3"})
	if _, body := ask(t, p, "POST", "/sys/send.php", "apikey=secret&phones=79990000011&mes=x&fmt=3"); body != `{"error":"insufficient funds","error_code":3}` {
		t.Error(body)
	}
}

func TestLimitsOfTelegram(t *testing.T) {
	cases := map[string]struct {
		chat  Chat
		free  int           // messages that go through at once
		after time.Duration // when the next one is tried
		wait  string
	}{
		"group":      {Chat{ID: -5, Type: "group", Name: "Leads"}, 20, 10 * time.Second, `"retry_after":51`},
		"all of bot": {Chat{ID: 5, Type: "private", Name: "Anna"}, 30, time.Second / 2, `"retry_after":1`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			p := start(t, Options{Chats: []Chat{c.chat}, Clock: func() time.Time { return at }})
			body := url.Values{"chat_id": {strconv.FormatInt(c.chat.ID, 10)}, "text": {"x"}}.Encode()
			for range c.free {
				if resp, body := ask(t, p, "POST", "/bot110201543:phone-token/sendMessage", body); resp.StatusCode != 200 {
					t.Fatal(body)
				}
			}
			at = at.Add(c.after)
			resp, answer := ask(t, p, "POST", "/bot110201543:phone-token/sendMessage", body)
			if resp.StatusCode != 429 || !strings.Contains(answer, c.wait) {
				t.Errorf("%d %s", resp.StatusCode, answer)
			}
			at = at.Add(time.Minute)
			if resp, answer := ask(t, p, "POST", "/bot110201543:phone-token/sendMessage", body); resp.StatusCode != 200 {
				t.Errorf("after the wait: %s", answer)
			}
		})
	}
}

func TestSegments(t *testing.T) {
	cases := map[string]struct {
		text string
		want int
	}{
		"160 Latin":             {strings.Repeat("x", 160), 1},
		"161 Latin":             {strings.Repeat("x", 161), 2},
		"extended counts twice": {strings.Repeat("€", 81), 2},
		"one Cyrillic letter":   {strings.Repeat("x", 70) + "я", 2},
		"70 Cyrillic":           {strings.Repeat("я", 70), 1},
		"emoji is not split":    {strings.Repeat("я", 66) + "🙂" + strings.Repeat("я", 66), 3},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := segments(c.text); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestPageEscapesAndSpeaksBothLanguages(t *testing.T) {
	p := start(t, Options{})
	ask(t, p, "POST", "/gateway/send", `{"to":"+79990000011","text":"<script>alert(1)</script>"}`)
	for lang, title := range map[string]string{"ru": "Телефон", "en": "Phone", "": "Телефон"} {
		_, body := ask(t, p, "GET", "/?lang="+lang, "")
		if !strings.Contains(body, title) || strings.Contains(body, "<script>") || !strings.Contains(body, "&lt;script&gt;") {
			t.Errorf("%q: %s", lang, body)
		}
	}
}
