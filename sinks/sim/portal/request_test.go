package portal

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func read(contentType, query, body string) (any, error) {
	r, err := http.NewRequest(http.MethodPost, "http://portal.test/rest/1/s/m?"+query, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", contentType)
	args, err := arguments(r)
	return plain(args), err
}

func TestArguments(t *testing.T) {
	const form, js = "application/x-www-form-urlencoded", "application/json"
	cases := map[string]struct {
		contentType, query, body string
		want                     map[string]any
	}{
		"empty":              {js, "", "", map[string]any{}},
		"a list is nothing":  {js, "", `[1]`, map[string]any{}},
		"query and body":     {js, "a=1&b=2", `{"b":3}`, map[string]any{"a": "1", "b": num(3)}},
		"lists":              {form, "", "a[]=1&a[]=2&b[0]=x&b[1]=y", map[string]any{"a": []any{"1", "2"}, "b": []any{"x", "y"}}},
		"holes are no list":  {form, "", "a[1]=x", map[string]any{"a": map[string]any{"1": "x"}}},
		"nested":             {form, "", "f[PHONE][0][VALUE]=%2B7&f[PHONE][0][VALUE_TYPE]=WORK", map[string]any{"f": map[string]any{"PHONE": []any{map[string]any{"VALUE": "+7", "VALUE_TYPE": "WORK"}}}}},
		"filter prefixes":    {form, "", "filter[%3E%3Did]=5&filter[!@x][]=1", map[string]any{"filter": map[string]any{">=id": "5", "!@x": []any{"1"}}}},
		"a list, continued":  {form, "a[]=1", "a[]=2", map[string]any{"a": []any{"1", "2"}}},
		"no closing bracket": {form, "", "a[b=1", map[string]any{"a": "1"}},
		"too deep":           {form, "", "x=1&a" + strings.Repeat("[b]", 200) + "=1", map[string]any{"x": "1"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := read(c.contentType, c.query, c.body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(any(c.want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, body := range map[string]string{"cut": `{"a":`, "deep": strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)} {
		if _, err := read(js, "", body); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

func FuzzArguments(f *testing.F) {
	f.Add("application/json", "a[]=1", `{"a":[{"b":null}]}`)
	f.Add("application/x-www-form-urlencoded", "a[0][b]=1&a=2", "a[][b]=%2B&a[0]=x&[=]&]=[")
	f.Fuzz(func(t *testing.T, contentType, query, body string) {
		_, _ = read(contentType, query, body) // it must come back, whatever it says
	})
}
