package intake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestKeys(t *testing.T) {
	tests := map[string]struct {
		target  string
		headers []string
		want    string // source; empty is 401
	}{
		"X-Api-Key":                  {"/v1/leads", []string{"X-Api-Key", testKey + "make"}, "make"},
		"Bearer":                     {"/v1/leads", []string{"Authorization", "Bearer " + testKey + "api"}, "api"},
		"Bearer, lower case":         {"/v1/leads", []string{"Authorization", "bearer " + testKey + "api"}, "api"},
		"Basic, as the password":     {"/in/zapier", []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+testKey+"zapier"))}, "zapier"},
		"in the query":               {"/v1/leads?key=" + testKey + "api", nil, "api"},
		"in the path":                {"/in/make/" + testKey + "make", nil, "make"},
		"in the path, more after it": {"/in/make/" + testKey + "make/x/y", nil, "make"},
		"the older of two":           {"/in/make", []string{"X-Api-Key", "old-make"}, "make"},
		"none":                       {"/v1/leads", nil, ""},
		"none, source":               {"/in/make", nil, ""},
		"wrong":                      {"/v1/leads", []string{"X-Api-Key", "wrong"}, ""},
		"of another source":          {"/in/make", []string{"X-Api-Key", testKey + "api"}, ""},
		"unknown source":             {"/in/nobody", []string{"X-Api-Key", testKey + "api"}, ""},
		"its hash":                   {"/in/make", []string{"X-Api-Key", KeyHash(testKey + "make")}, ""},
		"one byte short":             {"/in/make", []string{"X-Api-Key", testKey + "mak"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			w := send(newHandler(t, testConfig(), m), tt.target, `{"name":"a"}`, tt.headers...)
			if tt.want == "" {
				if w.Code != 401 || len(m.taken)+len(m.quarantined) != 0 {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
				return
			}
			if len(m.taken) != 1 || m.taken[0].Lead.Source != tt.want {
				t.Errorf("got %d %s, want a lead from %s", w.Code, w.Body, tt.want)
			}
			if len(m.taken) == 1 && len(m.taken[0].Lead.Fields) != 0 {
				t.Errorf("the key became a field: %v", m.taken[0].Lead.Fields)
			}
		})
	}
}

// Whoever has no right to send learns nothing about which sources there are.
func TestStrangersAreToldTheSame(t *testing.T) {
	h := newHandler(t, testConfig(), &memory{})
	var first *http.Response
	var body string
	for _, target := range []string{"/in/nobody", "/in/make", "/in/signed", "/in/std", "/v1/leads", "/in/nobody/key", "/in/make/key"} {
		w := send(h, target, `{"name":"a"}`, "Content-Type", "application/json", "X-Signature", "sha256=00")
		if first == nil {
			first, body = w.Result(), w.Body.String()
		}
		if diff := cmp.Diff(first.Header, w.Result().Header); diff != "" || w.Code != 401 || w.Body.String() != body {
			t.Errorf("%s: %d %s %s", target, w.Code, w.Body, diff)
		}
	}
}

func TestSignatures(t *testing.T) {
	const body = `{"name":"a"}`
	now := time.Unix(1_795_000_000, 0)
	sign := func(secret, text string) []byte {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	plain := func(secret string) string { return "sha256=" + hex.EncodeToString(sign(secret, body)) }
	std := func(id string, at time.Time) []string {
		text := fmt.Sprintf("%s.%d.%s", id, at.Unix(), body)
		return []string{"webhook-id", id, "webhook-timestamp", fmt.Sprint(at.Unix()),
			"webhook-signature", "v1,AAAA v1," + base64.StdEncoding.EncodeToString(sign("secret", text))}
	}
	tests := map[string]struct {
		source, body string
		headers      []string
		code         int
		key          string
	}{
		"signed":            {"signed", body, []string{"X-Signature", plain("new")}, 200, ""},
		"older secret":      {"signed", body, []string{"X-Signature", plain("old")}, 200, ""},
		"another secret":    {"signed", body, []string{"X-Signature", plain("other")}, 401, ""},
		"no signature":      {"signed", body, nil, 401, ""},
		"no prefix":         {"signed", body, []string{"X-Signature", hex.EncodeToString(sign("new", body))}, 401, ""},
		"not hex":           {"signed", body, []string{"X-Signature", "sha256=zz"}, 401, ""},
		"another body":      {"signed", body + " ", []string{"X-Signature", plain("new")}, 401, ""},
		"id and time":       {"std", body, std("msg_1", now), 200, "msg_1"},
		"a little late":     {"std", body, std("msg_1", now.Add(-299*time.Second)), 200, "msg_1"},
		"too late":          {"std", body, std("msg_1", now.Add(-301*time.Second)), 401, ""},
		"from the future":   {"std", body, std("msg_1", now.Add(301*time.Second)), 401, ""},
		"another id":        {"std", body, append(std("msg_1", now), "webhook-id", "msg_2"), 401, ""},
		"time is no number": {"std", body, append(std("msg_1", now), "webhook-timestamp", "x"), 401, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			h := newHandler(t, testConfig(), m)
			h.now = func() time.Time { return now }
			w := send(h, "/in/"+tt.source, tt.body, tt.headers...)
			if w.Code != tt.code {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			if tt.code == 200 && m.taken[0].Key != tt.key {
				t.Errorf("key %q, want %q", m.taken[0].Key, tt.key)
			}
			if tt.code == 401 && len(m.quarantined) > 0 {
				t.Error("an unsigned body was kept")
			}
		})
	}
}

// A signature and a key are both asked for when both are configured.
func TestKeyAndSignature(t *testing.T) {
	c := testConfig()
	s := c.Sources["signed"]
	s.Keys = []string{KeyHash(testKey)}
	c.Sources["signed"] = s
	mac := hmac.New(sha256.New, []byte("new"))
	mac.Write([]byte(`{}`))
	good := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	for name, tt := range map[string]struct {
		key, signature string
		code           int
	}{"both": {testKey, good, 200}, "key alone": {testKey, "", 401}, "signature alone": {"", good, 401}} {
		t.Run(name, func(t *testing.T) {
			w := send(newHandler(t, c, &memory{}), "/in/signed", `{}`, "X-Api-Key", tt.key, "X-Signature", tt.signature)
			if w.Code != tt.code {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
}

func TestNewKey(t *testing.T) {
	a, b := NewKey("site"), NewKey("site")
	if a == b || !strings.HasPrefix(a, "ls_site_") || len(a) < len("ls_site_")+32 {
		t.Errorf("got %s and %s", a, b)
	}
	if _, ok := parseKeyHash(KeyHash(a)); !ok {
		t.Error("its hash cannot be read")
	}
}

func TestClientOf(t *testing.T) {
	trusted, err := networks([]string{"127.0.0.1", "10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		remote    string
		forwarded []string
		want      string
	}{
		"direct":                    {"192.0.2.1:5", nil, "192.0.2.1"},
		"direct, lying":             {"192.0.2.1:5", []string{"198.51.100.7"}, "192.0.2.1"},
		"by a proxy":                {"127.0.0.1:5", []string{"198.51.100.7"}, "198.51.100.7"},
		"by a proxy, lying":         {"127.0.0.1:5", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"},
		"by two proxies":            {"127.0.0.1:5", []string{"203.0.113.9, 198.51.100.7, 10.1.1.1"}, "198.51.100.7"},
		"two headers":               {"127.0.0.1:5", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7"},
		"only proxies":              {"127.0.0.1:5", []string{"10.0.0.2, 10.0.0.1"}, "10.0.0.2"},
		"nonsense":                  {"127.0.0.1:5", []string{"198.51.100.7, unknown"}, "127.0.0.1"},
		"proxy without a header":    {"127.0.0.1:5", nil, "127.0.0.1"},
		"IPv6 and a mapped address": {"127.0.0.1:5", []string{"2001:db8::1, ::ffff:10.0.0.1"}, "2001:db8::1"},
		"mapped address of a proxy": {"[::ffff:127.0.0.1]:5", []string{"198.51.100.7"}, "198.51.100.7"},
		"by a unix socket":          {"@", []string{"198.51.100.7"}, "198.51.100.7"},
		"unix socket, no header":    {"@", nil, "invalid IP"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tt.remote, Header: http.Header{"X-Forwarded-For": tt.forwarded}}
			if got := clientOf(r, trusted).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzForwardedFor(f *testing.F) {
	f.Add("203.0.113.9, 198.51.100.7, 10.1.1.1")
	f.Add("::ffff:10.0.0.1,,%")
	f.Fuzz(func(t *testing.T, header string) {
		proxy := netip.MustParsePrefix("127.0.0.0/8")
		r := &http.Request{RemoteAddr: "127.0.0.1:5", Header: http.Header{"X-Forwarded-For": {header}}}
		if got := clientOf(r, []netip.Prefix{proxy}); !got.IsValid() {
			t.Errorf("%q: no address", header)
		}
	})
}

// widget posts as a browser on a page does.
func widget(h http.Handler, body string, headers ...string) *httptest.ResponseRecorder {
	return send(h, "/in/site", body, append([]string{"Origin", "https://example.test", "Content-Type", formType}, headers...)...)
}

func TestWidget(t *testing.T) {
	now := time.Unix(1_795_000_000, 0)
	ago := func(d time.Duration) string { return fmt.Sprint(now.Add(-d).UnixMilli()) }
	tests := map[string]struct {
		body        string
		headers     []string
		code        int
		taken       int
		quarantined string
		location    string
	}{
		"a person":               {"name=Olga&_filled=15000", nil, 200, 1, "", ""},
		"says nothing of time":   {"name=Olga", nil, 200, 1, "", ""},
		"time is nonsense":       {"name=Olga&_filled=soon", nil, 200, 1, "", ""},
		"clock runs ahead":       {"name=Olga&_filled=" + ago(-time.Hour), nil, 200, 1, "", ""},
		"opened a minute ago":    {"name=Olga&_filled=" + ago(time.Minute), nil, 200, 1, "", ""},
		"opened, in seconds":     {fmt.Sprintf("name=Olga&_filled=%d", now.Add(-time.Second).Unix()), nil, 200, 0, "too_fast", ""},
		"opened a moment ago":    {"name=Olga&_filled=" + ago(time.Second), nil, 200, 0, "too_fast", ""},
		"too fast":               {"name=Olga&_filled=300", nil, 200, 0, "too_fast", ""},
		"a bot":                  {"name=Olga&company_fax=1", nil, 200, 0, "honeypot", ""},
		"honeypot, empty":        {"name=Olga&company_fax=", nil, 200, 1, "", ""},
		"honeypot, twice":        {"name=Olga&company_fax=&company_fax=1", nil, 200, 0, "honeypot", ""},
		"another site":           {"name=Olga", []string{"Origin", "https://evil.example"}, 403, 0, "", ""},
		"another scheme":         {"name=Olga", []string{"Origin", "http://example.test"}, 403, 0, "", ""},
		"no site":                {"name=Olga", []string{"Origin", ""}, 403, 0, "", ""},
		"a program with the key": {"name=Olga", []string{"Origin", "", "X-Api-Key", testKey + "site"}, 200, 1, "", ""},
		"plain HTML form":        {"name=Olga", []string{"Accept", "text/html,*/*"}, 303, 1, "", "https://example.test/thanks"},
		"to another page":        {"name=Olga&_redirect=https://example.test/other", []string{"Accept", "text/html"}, 303, 1, "", "https://example.test/other"},
		"to a foreign page":      {"name=Olga&_redirect=https://evil.example/", []string{"Accept", "text/html"}, 303, 1, "", "https://example.test/thanks"},
		"a bot, plain HTML form": {"name=Olga&company_fax=1", []string{"Accept", "text/html"}, 303, 0, "honeypot", "https://example.test/thanks"},
		"JSON is no HTML form":   {`{"name":"Olga"}`, []string{"Accept", "text/html"}, 200, 1, "", ""},
		"unreadable":             {`{"name":`, []string{"Content-Type", "text/plain"}, 400, 0, "bad_json", ""},
		"too large":              {"name=" + strings.Repeat("x", 300<<10), nil, 413, 0, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			h := newHandler(t, testConfig(), m)
			h.now = func() time.Time { return now }
			w := widget(h, tt.body, tt.headers...)
			if w.Code != tt.code || w.Header().Get("Location") != tt.location || len(m.taken) != tt.taken {
				t.Errorf("got %d %s, to %q, %d leads", w.Code, w.Body, w.Header().Get("Location"), len(m.taken))
			}
			got := ""
			if len(m.quarantined) == 1 {
				got = m.quarantined[0].Code
			}
			if got != tt.quarantined {
				t.Errorf("quarantined %q, want %q", got, tt.quarantined)
			}
			if tt.quarantined == "honeypot" && tt.code == 200 && !strings.Contains(w.Body.String(), `"status":"accepted"`) {
				t.Errorf("the bot is taught: %s", w.Body)
			}
			if allowed := w.Header().Get("Access-Control-Allow-Origin"); tt.code != 403 && len(tt.headers) == 0 && allowed != "https://example.test" {
				t.Errorf("the page cannot read the answer: %q", allowed)
			}
			for _, taken := range m.taken {
				if len(taken.Lead.Fields) != 0 && name != "time is nonsense" {
					t.Errorf("the form's own protection became fields: %v", taken.Lead.Fields)
				}
			}
		})
	}
}

func TestUTMOfTheReferer(t *testing.T) {
	m := &memory{}
	widget(newHandler(t, testConfig(), m), "name=Olga", "Referer", "https://example.test/?utm_source=vk")
	if len(m.taken) != 1 || m.taken[0].Lead.UTM["source"] != "vk" {
		t.Errorf("got %+v", m.taken)
	}
}

func TestPreflight(t *testing.T) {
	tests := map[string]struct{ target, origin, allowed string }{
		"allowed":        {"/in/site", "https://example.test", "https://example.test"},
		"another site":   {"/in/site", "https://evil.example", ""},
		"another source": {"/in/make", "https://example.test", ""},
		"unknown source": {"/in/nobody", "https://example.test", ""},
		"leads":          {"/v1/leads", "https://example.test", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodOptions, tt.target, nil)
			r.Header.Set("Origin", tt.origin)
			r.Header.Set("Access-Control-Request-Method", "POST")
			w := httptest.NewRecorder()
			newHandler(t, testConfig(), &memory{}).ServeHTTP(w, r)
			if w.Code != 204 || w.Header().Get("Access-Control-Allow-Origin") != tt.allowed || w.Header().Get("Vary") != "Origin" {
				t.Errorf("got %d %v", w.Code, w.Header())
			}
			if has := w.Header().Get("Access-Control-Allow-Methods") != ""; has != (tt.allowed != "") {
				t.Errorf("got %v", w.Header())
			}
		})
	}
}

func TestOnlyPost(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
		w := httptest.NewRecorder()
		newHandler(t, testConfig(), &memory{}).ServeHTTP(w, httptest.NewRequest(method, "/in/make", nil))
		if w.Code != 405 || w.Header().Get("Allow") == "" {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
}
