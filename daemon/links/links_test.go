package links

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestStore(t *testing.T) {
	now := noon
	s := &Store{Dir: filepath.Join(t.TempDir(), "links"), Keep: 24 * time.Hour, URL: "https://go.example.test/", Now: func() time.Time { return now }}
	want := Link{Target: "https://shop.example.test/a?b=c", Source: "site", Phone: "+79990000011", About: "abc", MadeAt: noon}
	code, err := s.Make(want)
	if err != nil {
		t.Fatal(err)
	}
	if !Valid(code) || s.Path(code) != "https://go.example.test/l/"+code {
		t.Errorf("code %q, path %q", code, s.Path(code))
	}
	other, err := s.Make(want)
	if err != nil || other == code {
		t.Errorf("a second link has the code %q, %v", other, err)
	}
	again := &Store{Dir: s.Dir, Keep: s.Keep, Now: s.Now} // as after a restart
	if got, err := again.Find(code); err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
	if info, err := os.Stat(filepath.Join(s.Dir, code)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("whose link it is can be read by others: %v, %v", info.Mode(), err)
	}
	now = noon.Add(s.Keep + time.Second)
	if _, err := s.Find(code); !errors.Is(err, ErrUnknown) {
		t.Errorf("a link that is too old: %v", err)
	}
}

func TestFindUnknown(t *testing.T) {
	dir := t.TempDir()
	s := &Store{Dir: filepath.Join(dir, "links"), Keep: time.Hour}
	if _, err := s.Make(Link{Target: "https://example.test/"}); err != nil {
		t.Fatal(err)
	}
	secret := `{"url":"https://example.test/","made_at":"2999-01-01T00:00:00Z"}`
	if err := os.WriteFile(filepath.Join(dir, "aaaaaaaaaaaaa"), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"", ".", "..", "../aaaaaaaaaaaaa", strings.Repeat("a", 16), strings.Repeat("A", 16), strings.Repeat("a", 15) + "\x00", strings.Repeat("a", 15) + "/"} {
		if _, err := s.Find(code); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", code, err)
		}
	}
	damaged := strings.Repeat("b", 16)
	for _, text := range []string{"", `{"url":`, `{"url":"javascript:alert(1)"}`, `{"url":"https://example.test/\r\nSet-Cookie: a"}`} {
		if err := os.WriteFile(filepath.Join(s.Dir, damaged), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err := s.Find(damaged); err == nil || errors.Is(err, ErrUnknown) || l.Target != "" {
			t.Errorf("%q: %+v, %v", text, l, err)
		}
	}
}

func TestSweep(t *testing.T) {
	s := &Store{Dir: t.TempDir(), Keep: 48 * time.Hour}
	if n, err := (&Store{Dir: filepath.Join(s.Dir, "none")}).Sweep(); n != 0 || err != nil {
		t.Errorf("no folder: %d, %v", n, err)
	}
	old, err := s.Make(Link{Target: "https://example.test/"})
	if err != nil {
		t.Fatal(err)
	}
	young, err := s.Make(Link{Target: "https://example.test/"})
	if err != nil {
		t.Fatal(err)
	}
	age := func(name string, by time.Duration) {
		t.Helper()
		at := time.Now().Add(-by)
		if err := os.Chtimes(filepath.Join(s.Dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{".new-1", ".new-2", "somebody-elses"} {
		if err := os.WriteFile(filepath.Join(s.Dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	age(old, 49*time.Hour)
	age(young, 47*time.Hour)
	age(".new-1", 2*time.Hour)
	age("somebody-elses", 1000*time.Hour)
	if n, err := s.Sweep(); n != 2 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	var left []string
	files, err := os.ReadDir(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		left = append(left, f.Name())
	}
	if want := []string{".new-2", young, "somebody-elses"}; len(left) != 3 || !cmp.Equal(asSet(left), asSet(want)) {
		t.Errorf("left %v, want %v", left, want)
	}
}

func asSet(all []string) map[string]bool {
	set := map[string]bool{}
	for _, s := range all {
		set[s] = true
	}
	return set
}

func TestAddress(t *testing.T) {
	tests := map[string]string{ // "" is refused
		"https://example.test":                              "https://example.test",
		" http://example.test:8080/a?b=c#d ":                "http://example.test:8080/a?b=c#d",
		"HTTPS://Example.test/":                             "https://example.test/",
		"https://пример.рф/путь?имя=Анна":                   "https://xn--e1afmkfd.xn--p1ai/%D0%BF%D1%83%D1%82%D1%8C?%D0%B8%D0%BC%D1%8F=%D0%90%D0%BD%D0%BD%D0%B0",
		"https://example.test/?q=a b\"<>":                   "https://example.test/?q=a%20b%22%3C%3E",
		"https://[2001:db8::1]:8443/":                       "https://[2001:db8::1]:8443/",
		"https://example.test/%2e%2e/a%20b":                 "https://example.test/%2e%2e/a%20b",
		"javascript:alert(1)":                               "",
		"data:text/html,x":                                  "",
		"//example.test/":                                   "",
		"/path":                                             "",
		"":                                                  "",
		"https:///path":                                     "",
		"https://:443/":                                     "",
		"https:example.test":                                "",
		"https://user:password@example.test/":               "",
		"https://user@example.test/":                        "",
		"https://example.test\\@evil.test/":                 "",
		"https://example.test/\r\nSet-Cookie: a=b":          "",
		"https://example.test/" + strings.Repeat("a", 2048): "",
	}
	for in, want := range tests {
		if got, ok := Address(in); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q %t, want %q", in, got, ok, want)
		}
	}
}

func TestPreview(t *testing.T) {
	const browser = "Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36"
	tests := map[string]struct {
		method, agent, header, value string
		want                         bool
	}{
		"a telephone":         {agent: browser},
		"a telephone's brand": {agent: "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36"},
		"inside Instagram":    {agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 300.0"},
		"inside Facebook":     {agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 [FBAN/FBIOS;FBAV/400.0]"},
		"HEAD":                {method: "HEAD", agent: browser, want: true},
		"no name":             {want: true},
		"Telegram":            {agent: "TelegramBot (like TwitterBot)", want: true},
		"WhatsApp":            {agent: "WhatsApp/2.23.20.0 A", want: true},
		"Facebook":            {agent: "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", want: true},
		"VK":                  {agent: "Mozilla/5.0 (compatible; vkShare; +http://vk.com/dev/Share)", want: true},
		"Slack":               {agent: "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", want: true},
		"an unknown robot":    {agent: "Mozilla/5.0 (compatible; Somebody/1.0; +https://example.test/about)", want: true},
		"Chrome's prefetch":   {agent: browser, header: "Sec-Purpose", value: "prefetch;prerender", want: true},
		"Safari's preview":    {agent: browser, header: "X-Purpose", value: "preview", want: true},
	}
	for name, tc := range tests {
		r := httptest.NewRequest(http.MethodGet, "/l/a", nil)
		if tc.method != "" {
			r.Method = tc.method
		}
		r.Header.Set("User-Agent", tc.agent)
		if tc.header != "" {
			r.Header.Set(tc.header, tc.value)
		}
		if got := Preview(r); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// FuzzDecode holds that whatever a file holds, only an address of http or https comes of it that a header can bear.
func FuzzDecode(f *testing.F) {
	for _, url := range []string{"https://example.test/a?b=c#d", "https://пример.рф/", "javascript:alert(1)", "https://a\\@b/", "http://[::1%25eth0]/", "https://u@h/"} {
		text, err := json.Marshal(Link{Target: url, Phone: "+79990000011"})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, url)
	}
	f.Fuzz(func(t *testing.T, file []byte, text string) {
		if l, err := decode(file); err == nil {
			sound(t, l.Target)
		}
		target, ok := Address(text)
		if !ok {
			return
		}
		sound(t, target)
		if again, ok := Address(target); !ok || again != target {
			t.Errorf("%q becomes %q, and that %q, %t", text, target, again, ok)
		}
		file, err := json.Marshal(Link{Target: target})
		if err != nil {
			t.Fatal(err)
		}
		if l, err := decode(file); err != nil || l.Target != target {
			t.Errorf("%q is kept, and not found: %v", target, err)
		}
	})
}

func sound(t *testing.T, target string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		t.Errorf("%q is no address: %v", target, err)
	}
	if bytes.ContainsFunc([]byte(target), func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		t.Errorf("%q cannot stand in a header", target)
	}
}
