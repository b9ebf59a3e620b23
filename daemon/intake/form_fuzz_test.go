package intake

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzForm: a form in whatever encoding and charset becomes valid JSON members in UTF-8, or a clear refusal; and text
// in UTF-8 comes out as it went in.
func FuzzForm(f *testing.F) {
	f.Add("name=%CE%EB%FC%E3%E0&name=%zz&a%5B%5D=1&a%5B%5D=2", "windows-1251")
	f.Add("Name=\xcf\xf0\xe8\xe2\xe5\xf2+%D0%9F&COOKIES=TILDAUTM%3Dutm_source%253Dya", "")
	f.Add("name=Анна\r\nphone=8 999\r\n second line\r\n", "utf-8")
	f.Add("--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\xff.png\"\r\nContent-Type: image/png\r\n\r\nabc\r\n--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--\r\n", "cp866")
	f.Fuzz(func(t *testing.T, body, charset string) {
		for _, contentType := range []string{"application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"} {
			if !strings.ContainsAny(charset, "\";\\") {
				contentType += `; charset="` + charset + `"`
			}
			items, err := decode([]byte(body), contentType)
			if err != nil {
				if !errors.As(err, new(*Error)) {
					t.Errorf("%v is no *Error", err)
				}
				continue
			}
			for _, it := range items {
				for _, m := range it.members {
					if !utf8.ValidString(m.key) || !json.Valid(m.val) || !utf8.Valid(m.val) || strings.Contains(m.key, "\x00") {
						t.Errorf("%s: member %q is %q", contentType, m.key, m.val)
					}
				}
				checkItem(t, it)
			}
		}
	})
}

// FuzzFormText: what a browser sends of a text is that text.
func FuzzFormText(f *testing.F) {
	f.Add("имя", "Анна & Ко = 100 %+\r\n")
	f.Fuzz(func(t *testing.T, key, value string) {
		if key == "" || !utf8.ValidString(key) || !utf8.ValidString(value) || strings.Contains(key+value, "\x00") {
			return
		}
		items, err := parseURLEncoded([]byte(formOf(key, value)), "")
		if err != nil || len(items) != 1 || len(items[0].members) != 1 {
			t.Fatalf("%q=%q: %d items, %v", key, value, len(items), err)
		}
		m := items[0].members[0]
		var got string
		if err := json.Unmarshal(m.val, &got); err != nil || m.key != key || got != value {
			t.Errorf("got %q=%q, %v, want %q=%q", m.key, got, err, key, value)
		}
	})
}

func formOf(key, value string) string { return url.Values{key: {value}}.Encode() }
