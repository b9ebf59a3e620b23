package channel

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"leadstream/streams"
)

const (
	mangoSummary = `{"entry_id":"MTIz","call_direction":1,"from":{"number":"79990000088"},"to":{"number":"74950000000"},"line_number":"74950000000","create_time":1767225600,"talk_time":0,"entry_result":0,"disconnect_reason":1110}`
	mangoSigned  = "82a6088615262abcaf82348eac714b018f3dbb4a0190d299758b0da12c548f82" // hashlib.sha256("testkey" + mangoSummary + "testsalt") in Python

	zadarmaEnd       = "event=NOTIFY_END&call_start=2026-01-01+03%3A00%3A00&pbx_call_id=in_abc&caller_id=79990000088&called_did=74950000000&duration=20&disposition=no+answer&status_code=16&is_recorded=0"
	zadarmaSignature = "ZjY5YTZiYWEwYmNhM2QwZDAxNTRiNTY0YWVhN2ZhY2ViYjM0MzYxMg==" // base64 of the hex of an HMAC-SHA1 in Python

	twilioURL    = "https://leads.example.test/in/twilio?site=1"
	twilioMissed = "CallSid=CA00000000000000000000000000000001&AccountSid=AC00000000000000000000000000000001&From=%2B79990000088&To=%2B74950000000&CallStatus=no-answer&Direction=inbound&Timestamp=Thu%2C+01+Jan+2026+00%3A00%3A00+%2B0000&CallerName=%D0%90%D0%BD%D0%BD%D0%B0+%26+%D0%9A"
	// By getExpectedTwilioSignature of Twilio's own client for Node, without a port and with one.
	twilioSigned       = "4pXRSA5PyH4Ft6dCNJUZyHD0wW8="
	twilioSignedPorted = "wRnnR8vcWPTtj2ZeFaAAKZYYOc8="

	uisMissed = `{"event":"missed_call","call_session_id":"237850123","contact_phone_number":"79990000088","virtual_phone_number":"74950000000","start_time":"2026-01-01 03:00:00","direction":"in","contact_full_name":"Анна","scenario_name":"Ночь","utm_source":"yandex","utm_campaign":""}`
)

func mangoForm(json string) string {
	return url.Values{"vpbx_api_key": {"testkey"}, "sign": {"x"}, "json": {json}}.Encode()
}

// moscow is where the tests' exchanges stand.
var moscow = time.FixedZone("MSK", 3*60*60)

func TestMangoReads(t *testing.T) {
	lead := func(l streams.Lead) []streams.Lead {
		l.Channel, l.Key = "call", "MTIz"
		return []streams.Lead{l}
	}
	tellAll(t, New("mango", Config{Region: "RU"}), "application/x-www-form-urlencoded", map[string]told{
		"missed": {mangoForm(mangoSummary), lead(streams.Lead{EventAt: at(1767225600), Phone: "+79990000088", Fields: fieldsOf("missed_call", "true", "line", `"74950000000"`, "reason", `"1110"`)}), nil, 0},
		"hidden": {mangoForm(`{"entry_id":"MTIz","call_direction":"1","entry_result":"0","from":{"number":"anonymous"}}`), lead(streams.Lead{Fields: fieldsOf("missed_call", "true", "caller", `"anonymous"`)}), nil, 0},
		"by SIP": {mangoForm(`{"entry_id":"MTIz","call_direction":1,"talk_time":0,"from":{"number":"sip:+79990000088@mango.test"}}`), lead(streams.Lead{Phone: "+79990000088", Fields: fieldsOf("missed_call", "true")}), nil, 0},
		"an office": {mangoForm(`{"entry_id":"MTIz","call_direction":1,"talk_time":0,"from":{"number":"sip:user79990000088x@mango.test"}}`),
			lead(streams.Lead{Fields: fieldsOf("missed_call", "true", "caller", `"sip:user79990000088x@mango.test"`)}), nil, 0},

		"answered":      {mangoForm(`{"entry_id":"MTIz","call_direction":1,"entry_result":1,"talk_time":1767225610}`), nil, []string{"answered call"}, 0},
		"answered, old": {mangoForm(`{"entry_id":"MTIz","call_direction":1,"talk_time":1767225610}`), nil, []string{"answered call"}, 0},
		"outgoing":      {mangoForm(`{"entry_id":"MTIz","call_direction":2,"entry_result":0}`), nil, []string{"outgoing call"}, 0},
		"it rings":      {mangoForm(`{"entry_id":"MTIz","call_id":"c","call_state":"Appeared","seq":1}`), nil, []string{"unknown kind"}, 0},

		"no json":   {"vpbx_api_key=testkey&sign=x", nil, nil, 1},
		"no result": {mangoForm(`{"entry_id":"MTIz","call_direction":1}`), nil, nil, 1},
		"no id":     {mangoForm(`{"call_direction":1,"entry_result":0}`), nil, nil, 1},
		"no form":   {"%zz", nil, nil, 1},
	})
}

func TestMangoVerifies(t *testing.T) {
	p := New("mango", Config{Secrets: []string{"oldsalt", "testsalt"}, Accounts: []string{"testkey"}})
	signed := func(key, sign, json string) string {
		return url.Values{"vpbx_api_key": {key}, "sign": {sign}, "json": {json}}.Encode()
	}
	for name, tt := range map[string]struct {
		body string
		want bool
	}{
		"theirs":           {signed("testkey", mangoSigned, mangoSummary), true},
		"in large letters": {signed("testkey", strings.ToUpper(mangoSigned), mangoSummary), true},
		"another text":     {signed("testkey", mangoSigned, mangoSummary+" "), false},
		"another key":      {signed("testkey2", mangoSigned, mangoSummary), false},
		"not our exchange": {signed("otherkey", "d0b30deabff5edcab2f45f66ee11d2b0fb80be660498bae2c3b03c415a9c05e3", mangoSummary), false}, // signed with the salt that two have in common
		"cut":              {signed("testkey", mangoSigned[:20], mangoSummary), false},
		"none":             {signed("testkey", "", mangoSummary), false},
		"no form":          {"%zz", false},
	} {
		if got := p.Verify(request(tt.body), []byte(tt.body)); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// inParts is a form as Zadarma sends some: the body's boundary is not the header's.
func inParts(form string) string {
	values, _ := url.ParseQuery(form)
	var b strings.Builder
	for key := range values {
		b.WriteString("--real\r\nContent-Disposition: form-data; name=\"" + key + "\"\r\n\r\n" + values.Get(key) + "\r\n")
	}
	return b.String() + "--real--\r\n"
}

func TestZadarmaReads(t *testing.T) {
	missed := []streams.Lead{{Channel: "call", Key: "in_abc", EventAt: at(1767225600), Phone: "+79990000088",
		Fields: fieldsOf("missed_call", "true", "line", `"74950000000"`, "reason", `"no answer"`)}}
	tellAll(t, New("zadarma", Config{Region: "RU", Zone: moscow}), "multipart/form-data; boundary=other", map[string]told{
		"missed":           {zadarmaEnd, missed, nil, 0},
		"missed, in parts": {inParts(zadarmaEnd), missed, nil, 0},
		"no time": {"event=NOTIFY_END&pbx_call_id=in_abc&caller_id=Anonymous&call_start=soon&disposition=cancel",
			[]streams.Lead{{Channel: "call", Key: "in_abc", Fields: fieldsOf("missed_call", "true", "caller", `"Anonymous"`, "reason", `"cancel"`)}}, nil, 0},
		"answered":  {"event=NOTIFY_END&pbx_call_id=in_abc&disposition=answered", nil, []string{"answered call"}, 0},
		"outgoing":  {"event=NOTIFY_OUT_END&pbx_call_id=out_abc&disposition=busy", nil, []string{"unknown kind"}, 0},
		"it rings":  {"event=NOTIFY_START&pbx_call_id=in_abc", nil, []string{"unknown kind"}, 0},
		"no event":  {"pbx_call_id=in_abc", nil, nil, 1},
		"no end":    {"event=NOTIFY_END&pbx_call_id=in_abc", nil, nil, 1},
		"no id":     {"event=NOTIFY_END&disposition=busy", nil, nil, 1},
		"no form":   {"%zz", nil, nil, 1},
		"cut parts": {inParts(zadarmaEnd)[:80], nil, nil, 1},
	})
}

func TestZadarmaVerifies(t *testing.T) {
	p := New("zadarma", Config{Secrets: []string{"old", "zd_secret"}})
	for name, tt := range map[string]struct {
		body, signature string
		want            bool
	}{
		"theirs":            {zadarmaEnd, zadarmaSignature, true},
		"theirs, in parts":  {inParts(zadarmaEnd), zadarmaSignature, true},
		"another caller":    {strings.Replace(zadarmaEnd, "0088", "0089", 1), zadarmaSignature, false},
		"of another event":  {strings.Replace(zadarmaEnd, "NOTIFY_END", "NOTIFY_OUT_END", 1), zadarmaSignature, false},
		"none":              {zadarmaEnd, "", false},
		"nothing is signed": {"event=NOTIFY_END", "", false},
		// Over nothing, with the right secret: from Python too.
		"a signature of nothing": {"event=NOTIFY_END", "NjhmY2ZhNWY4ZDMwZTg4YjBmMGM5ZGVmMTI2MDU2N2QwZjE0NjU3MA==", false},
		"an answer":              {"event=NOTIFY_ANSWER&caller_id=79990000088&destination=74950000000&call_start=2026-01-01+03:00:00", zadarmaSignature, true},
	} {
		if got := p.Verify(request(tt.body, "Signature", tt.signature), []byte(tt.body)); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestZadarmaGreets(t *testing.T) {
	p := New("zadarma", Config{Secrets: []string{"s"}})
	for query, want := range map[string]Reply{
		"?zd_echo=a1B2":     {Code: 200, Body: "a1B2"},
		"?zd_echo=<script>": {},
		"?zd_echo=":         {},
		"":                  {},
	} {
		if got, ok := p.Greet(httptest.NewRequest(http.MethodGet, "/in/x"+query, nil), nil); got != want || ok != (want.Code != 0) {
			t.Errorf("%q: %v %v", query, got, ok)
		}
	}
}

func TestTwilioReads(t *testing.T) {
	call := func(rest string) string {
		return "CallSid=CA1&AccountSid=AC1&From=%2B79990000088&Direction=inbound&" + rest
	}
	missed := func(l streams.Lead) []streams.Lead {
		l.Channel = "call"
		return []streams.Lead{l}
	}
	tellAll(t, New("twilio", Config{Region: "RU", Accounts: []string{"AC1", "AC00000000000000000000000000000001"}}), "application/x-www-form-urlencoded", map[string]told{
		"missed": {twilioMissed, missed(streams.Lead{Key: "CA00000000000000000000000000000001", Name: "Анна & К", Phone: "+79990000088", EventAt: at(1767225600),
			Fields: fieldsOf("missed_call", "true", "line", `"+74950000000"`, "reason", `"no-answer"`)}), nil, 0},
		"after a dial": {call("CallStatus=completed&DialCallStatus=busy"), missed(streams.Lead{Key: "CA1:dial", Phone: "+79990000088", Fields: fieldsOf("missed_call", "true", "reason", `"busy"`)}), nil, 0},
		"hidden":       {"CallSid=CA1&AccountSid=AC1&From=%2B86282452253&CallStatus=canceled", missed(streams.Lead{Key: "CA1", Fields: fieldsOf("missed_call", "true", "caller", `"anonymous"`, "reason", `"canceled"`)}), nil, 0},
		"a browser":    {"CallSid=CA1&AccountSid=AC1&From=client:anna&CallStatus=canceled", missed(streams.Lead{Key: "CA1", Fields: fieldsOf("missed_call", "true", "caller", `"client:anna"`, "reason", `"canceled"`)}), nil, 0},

		"answered":           {call("CallStatus=completed"), nil, []string{"call goes on or was answered"}, 0},
		"answered dial":      {call("CallStatus=in-progress&DialCallStatus=completed"), nil, []string{"call goes on or was answered"}, 0},
		"it rings":           {call("CallStatus=ringing"), nil, []string{"call goes on or was answered"}, 0},
		"outgoing":           {"CallSid=CA1&AccountSid=AC1&CallStatus=busy&Direction=outbound-api", nil, []string{"outgoing call"}, 0},
		"of another account": {"CallSid=CA1&AccountSid=AC2&CallStatus=busy", nil, []string{Stranger}, 0},
		"no call":            {"MessageSid=SM1", nil, nil, 1},
	})
}

func TestTwilioVerifies(t *testing.T) {
	for name, tt := range map[string]struct {
		url, body, signature string
		want                 bool
	}{
		"theirs":          {twilioURL, twilioMissed, twilioSigned, true},
		"with the port":   {twilioURL, twilioMissed, twilioSignedPorted, true},
		"port configured": {strings.Replace(twilioURL, ".test/", ".test:443/", 1), twilioMissed, twilioSigned, true},
		"another address": {"https://leads.example.test/in/twilio", twilioMissed, twilioSigned, false},
		"another field":   {twilioURL, twilioMissed + "&x=1", twilioSigned, false},
		"another caller":  {twilioURL, strings.Replace(twilioMissed, "0088", "0089", 1), twilioSigned, false},
		"none":            {twilioURL, twilioMissed, "", false},
		"no base64":       {twilioURL, twilioMissed, "%", false},
	} {
		p := New("twilio", Config{Secrets: []string{"old", "auth_token"}, URL: tt.url})
		if got := p.Verify(request(tt.body, "X-Twilio-Signature", tt.signature), []byte(tt.body)); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestUISReads(t *testing.T) {
	missed := func(fields ...string) []streams.Lead {
		return []streams.Lead{{Channel: "call", Key: "237850123", Phone: "+79990000088", EventAt: at(1767225600), Fields: fieldsOf(append([]string{"missed_call", "true"}, fields...)...)}}
	}
	whole := missed("line", `"74950000000"`, "scenario", `"Ночь"`)
	whole[0].Name, whole[0].UTM = "Анна", map[string]string{"source": "yandex"}
	tellAll(t, New("uis", Config{Region: "RU", Zone: moscow}), "application/json", map[string]told{
		"missed":           {uisMissed, whole, nil, 0},
		"without quotes":   {`{"event":"missed_call","call_session_id":237850123,"contact_phone_number":79990000088,"start_time":2026-01-01 03:00:00,"contact_full_name":,"utm_source":}`, missed(), nil, 0},
		"with two quotes":  {`{"event": "missed_call", "call_session_id": ""237850123"", "calling_phone_number": ""79990000088"", "start_time": ""2026-01-01 03:00:00"", "contact_full_name": """"}`, missed(), nil, 0},
		"nulls":            {`{"event":"missed_call","call_session_id":"237850123","contact_phone_number":"79990000088","start_time":"2026-01-01 03:00:00","contact_full_name":null}`, missed(), nil, 0},
		"outgoing":         {`{"event":"missed_call","direction":"out","call_session_id":"1"}`, nil, []string{"outgoing call"}, 0},
		"of another event": {`{"event":"call_end","call_session_id":"1"}`, nil, []string{"unknown kind"}, 0},
		"no event":         {`{"call_session_id":"1","contact_phone_number":"79990000088"}`, nil, nil, 1},
		"no id":            {`{"event":"missed_call"}`, nil, nil, 1},
		"cut short":        {uisMissed[:120], nil, nil, 1},
	})
	tellAll(t, New("uis", Config{Accounts: []string{"74950000001"}}), "application/json", map[string]told{
		"another line": {uisMissed, nil, []string{Stranger}, 0},
	})
}
