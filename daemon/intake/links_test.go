package intake

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"leadstream/daemon/links"
	"leadstream/streams"
)

const sale = "https://shop.example.test/sale?id=1"

// linkHandler keeps links in a folder of the test's.
func linkHandler(t testing.TB, c Config, taker Taker) *Handler {
	t.Helper()
	h := newHandler(t, c, taker)
	h.Links = &links.Store{Dir: filepath.Join(t.TempDir(), "links"), Keep: 24 * time.Hour, URL: "https://go.example.test"}
	return h
}

func makeLink(t testing.TB, h *Handler, body string) (path string) {
	t.Helper()
	w := send(h, "/v1/links", body, "Authorization", "Bearer "+testKey+"api", "Content-Type", "application/json")
	var answer struct {
		OK  bool
		URL string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusCreated || !answer.OK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	path, ok := strings.CutPrefix(answer.URL, "https://go.example.test")
	if !ok || len(path) != len("/l/")+16 {
		t.Fatalf("%q is no short link", answer.URL)
	}
	return path
}

const browser = "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36"

func open(h http.Handler, method, path, agent string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("User-Agent", agent)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func sentOn(t testing.TB, w *httptest.ResponseRecorder) {
	t.Helper()
	h := w.Header()
	if w.Code != http.StatusFound || h.Get("Location") != sale || h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%d %v", w.Code, h)
	}
}

func counted(h *Handler, result string) float64 {
	return testutil.ToFloat64(h.metrics.links.WithLabelValues(result))
}

func TestClick(t *testing.T) {
	m := &memory{}
	h := linkHandler(t, testConfig(), m)
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	h.now = func() time.Time { return now }
	path := makeLink(t, h, `{"url":"`+sale+`","phone":"8 999 000-00-11","email":"Anna@example.test","channel":"Telegram","user_id":"7","about":"lead1"}`)
	if strings.Contains(path, "9990000011") || len(m.taken) != 0 {
		t.Fatalf("%s, taken %v", path, m.taken)
	}
	sentOn(t, open(h, "GET", path, browser))
	if len(m.taken) != 1 {
		t.Fatalf("taken %v", m.taken)
	}
	want := &streams.Lead{Source: "api", ReceivedAt: now, Phone: "+79990000011", Email: "anna@example.test", Channel: "telegram", UserID: "7",
		Event: "click", About: "lead1", Fields: map[string]json.RawMessage{"url": json.RawMessage(`"` + sale + `"`)}}
	if diff := cmp.Diff(want, m.taken[0].Lead, cmpopts.IgnoreFields(streams.Lead{}, "Key")); diff != "" {
		t.Error(diff)
	}

	now = now.Add(clickNews - time.Second)
	sentOn(t, open(h, "GET", path, browser))
	if counted(h, "click") != 1 || counted(h, "repeat") != 1 {
		t.Errorf("%v clicks, %v repeats: a second click is the same news", counted(h, "click"), counted(h, "repeat"))
	}
	now = now.Add(clickNews)
	sentOn(t, open(h, "GET", path, browser))
	if counted(h, "click") != 2 {
		t.Errorf("%v clicks: a later one is news", counted(h, "click"))
	}

	other := linkHandler(t, testConfig(), m) // after a restart
	other.Links.Dir = h.Links.Dir
	sentOn(t, open(other, "GET", path, browser))
}

func TestPreviewsAreNoClicks(t *testing.T) {
	m := &memory{}
	h := linkHandler(t, testConfig(), m)
	path := makeLink(t, h, `{"url":"`+sale+`","phone":"+79990000011"}`)
	sentOn(t, open(h, "HEAD", path, browser))
	sentOn(t, open(h, "GET", path, "TelegramBot (like TwitterBot)"))
	sentOn(t, open(h, "GET", path, ""))
	if len(m.taken) != 0 || counted(h, "preview") != 3 {
		t.Errorf("taken %v, %v previews", m.taken, counted(h, "preview"))
	}
}

// hanging is a journal on a disk that does not answer.
type hanging struct {
	memory
	release chan struct{}
}

func (j *hanging) Take(context.Context, Taken) (Receipt, error) {
	<-j.release
	return Receipt{}, errors.New("too late")
}

func TestCustomerGetsThereWithoutJournal(t *testing.T) {
	m := &memory{}
	h := linkHandler(t, testConfig(), m)
	path := makeLink(t, h, `{"url":"`+sale+`","phone":"+79990000011"}`)
	m.fail = ErrUnavailable{Err: errors.New("disk full")}
	sentOn(t, open(h, "GET", path, browser))
	if counted(h, "fault") != 1 {
		t.Errorf("%v faults", counted(h, "fault"))
	}

	hangs := &hanging{release: make(chan struct{})}
	h.taker = hangs
	sentOn(t, open(h, "GET", path, browser))
	h.clicks.limit = 1 // the one that hangs
	sentOn(t, open(h, "GET", path, browser))
	if counted(h, "fault") != 3 {
		t.Errorf("%v faults", counted(h, "fault"))
	}
	close(hangs.release)
}

func TestLinkThatIsNone(t *testing.T) {
	c := testConfig()
	c.StrangerRate = Rate{PerSecond: 0.001, Burst: 3}
	m := &memory{}
	h := linkHandler(t, c, m)
	known := makeLink(t, h, `{"url":"`+sale+`","phone":"+79990000011"}`)
	for _, path := range []string{"/l/", "/l/nonsense", "/l/aaaaaaaaaaaaaaaa"} {
		w := open(h, "GET", path, browser)
		if w.Code != http.StatusNotFound || w.Header().Get("Location") != "" || !strings.Contains(w.Body.String(), "no such link") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := open(h, "GET", "/l/aaaaaaaaaaaaaaab", browser); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("who guesses: %d %s", w.Code, w.Body)
	}
	sentOn(t, open(h, "GET", known, browser)) // whoever shares the address with them
	if w := send(h, "/v1/leads", `{"name":"Anna"}`, "X-Api-Key", "nonsense"); w.Code != http.StatusUnauthorized {
		t.Errorf("old links use up what senders who sign are let in by: %d", w.Code)
	}
	if w := open(h, "POST", known, browser); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}

	if err := os.WriteFile(filepath.Join(h.Links.Dir, "aaaaaaaaaaaaaaac"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if w := open(h, "GET", "/l/aaaaaaaaaaaaaaac", browser); w.Code != http.StatusServiceUnavailable || counted(h, "fault") != 1 {
		t.Errorf("a damaged link: %d %s", w.Code, w.Body)
	}
	c.Language = "ru"
	if w := open(linkHandler(t, c, m), "GET", "/l/nonsense", browser); !strings.Contains(w.Body.String(), "Такой ссылки нет") {
		t.Errorf("in Russian: %s", w.Body)
	}
	without := newHandler(t, testConfig(), m)
	if w := open(without, "GET", known, browser); w.Code != http.StatusNotFound {
		t.Errorf("without a folder for links: %d", w.Code)
	}
}

func TestMakeLinkRefusals(t *testing.T) {
	long := strings.Repeat("a", 300)
	tests := map[string]struct {
		body, key   string
		code        int
		want, field string
	}{
		"wrong key":          {`{"url":"` + sale + `","phone":"+79990000011"}`, "nonsense", 401, "unauthorized", ""},
		"no key":             {`{"url":"` + sale + `","phone":"+79990000011"}`, "", 401, "unauthorized", ""},
		"no JSON":            {`{`, testKey + "api", 400, "bad_json", ""},
		"nothing":            {``, testKey + "api", 400, "bad_json", ""},
		"a list":             {`[]`, testKey + "api", 400, "not_a_link", ""},
		"a number":           {`{"url":1}`, testKey + "api", 400, "no_text", "url"},
		"no url":             {`{"phone":"+79990000011"}`, testKey + "api", 400, "bad_link", "url"},
		"a script":           {`{"url":"javascript:alert(1)","phone":"+79990000011"}`, testKey + "api", 400, "bad_link", "url"},
		"a header":           {`{"url":"https://a.test/\r\nX: y","phone":"+79990000011"}`, testKey + "api", 400, "bad_link", "url"},
		"nobody's":           {`{"url":"` + sale + `"}`, testKey + "api", 400, "no_customer", ""},
		"an id without more": {`{"url":"` + sale + `","user_id":"7"}`, testKey + "api", 400, "no_customer", "channel"},
		"no phone":           {`{"url":"` + sale + `","phone":"call me"}`, testKey + "api", 400, "bad_contact", "phone"},
		"no e-mail":          {`{"url":"` + sale + `","email":"at home"}`, testKey + "api", 400, "bad_contact", "email"},
		"a long id":          {`{"url":"` + sale + `","channel":"vk","user_id":"` + long + `"}`, testKey + "api", 400, "bad_contact", "user_id"},
		"NUL":                {`{"url":"` + sale + `","about":"a\u0000b"}`, testKey + "api", 400, "bad_contact", "about"},
		"too large":          {`{"url":"` + strings.Repeat("a", 300<<10) + `"}`, testKey + "api", 413, "too_large", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			h := linkHandler(t, testConfig(), m)
			w := send(h, "/v1/links", tc.body, "X-Api-Key", tc.key)
			var answer struct {
				Error struct{ Code, Field string }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != tc.code || answer.Error.Code != tc.want || answer.Error.Field != tc.field {
				t.Errorf("%d %s, want %d %s %s", w.Code, w.Body, tc.code, tc.want, tc.field)
			}
			if len(m.quarantined)+len(m.taken) > 0 {
				t.Errorf("kept as an enquiry: %v", m.quarantined)
			}
			if files, _ := os.ReadDir(h.Links.Dir); len(files) > 0 {
				t.Errorf("a link was made: %v", files)
			}
		})
	}
}

func TestMakeLinkLimits(t *testing.T) {
	c := testConfig()
	api := c.Sources["api"]
	api.Rate = Rate{PerSecond: 0.001, Burst: 1}
	c.Sources["api"] = api
	h := linkHandler(t, c, &memory{})
	makeLink(t, h, `{"url":"`+sale+`","about":"lead1"}`)
	if w := send(h, "/v1/links", `{"url":"`+sale+`","about":"lead1"}`, "X-Api-Key", testKey+"api"); w.Code != http.StatusTooManyRequests {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := open(h, "GET", "/v1/links", browser); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d %s", w.Code, w.Body)
	}
	if err := os.RemoveAll(h.Links.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.Links.Dir, nil, 0o600); err != nil { // where no folder can be made
		t.Fatal(err)
	}
	if w := send(h, "/v1/links", `{"url":"`+sale+`","about":"lead1"}`, "X-Api-Key", testKey+"make"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("a full disk: %d %s", w.Code, w.Body)
	}
}

// FuzzLink holds that whatever is asked for, a link has an address that a header can bear, and a customer.
func FuzzLink(f *testing.F) {
	for _, body := range []string{`{"url":"https://пример.рф/a b","phone":"8 999 000-00-11"}`, `{"url":"http://a.test","channel":"vk","user_id":"7"}`, `{"URL":"//a","about":"x"}`, `[]`, `{"url":null}`} {
		f.Add([]byte(body))
	}
	h := newHandler(f, testConfig(), &memory{})
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := h.sources["api"].link(body)
		if err != nil {
			if e := asError(err); e.Status() != http.StatusBadRequest {
				t.Errorf("%v is answered %d", err, e.Status())
			}
			return
		}
		if again, ok := links.Address(l.Target); !ok || again != l.Target {
			t.Errorf("target %q", l.Target)
		}
		if l.Phone+l.Email+l.UserID+l.About == "" || l.UserID != "" && l.Channel == "" || len(l.UserID)+len(l.About)+len(l.Channel) > 3*mostLinkText {
			t.Errorf("whose is it? %+v", l)
		}
	})
}
