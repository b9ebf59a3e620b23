package main

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestLink(t *testing.T) {
	english(t)
	d, _ := publicDoors(t)
	server := httptest.NewServer(d.Public())
	t.Cleanup(server.Close)
	tests := map[string]struct {
		args      []string
		code      int
		out, errs string
	}{
		"a phone's":   {[]string{"https://shop.example.test/", "--phone", "+79990000011"}, exitOK, "/l/", "set links.url"},
		"as JSON":     {[]string{"https://shop.example.test/", "--about", "abc", "--json"}, exitOK, `"url": "/l/`, ""},
		"nobody's":    {[]string{"https://shop.example.test/"}, exitFailed, "", "400 no_customer: Say whose link it is"},
		"no address":  {[]string{"shop", "--phone", "+79990000011"}, exitFailed, "", "400 bad_link"},
		"a wrong key": {[]string{"https://shop.example.test/", "--phone", "+79990000011", "--key", "nonsense"}, exitFailed, "", "401 unauthorized"},
		"no target":   {nil, exitUsage, "", "expected"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var out, errs strings.Builder
			args := append([]string{"link", "--url", server.URL + "/v1/links", "--key", siteKey}, tc.args...)
			if code := execute(args, nil, &out, &errs); code != tc.code || !strings.Contains(out.String(), tc.out) || !strings.Contains(errs.String(), tc.errs) {
				t.Errorf("exit %d, want %d\n%s%s", code, tc.code, &out, &errs)
			}
			if tc.code != exitOK && out.Len() > 0 {
				t.Errorf("printed %q", &out)
			}
		})
	}
}
