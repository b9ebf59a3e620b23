package intake

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzValid holds valid to json.Valid.
func FuzzValid(f *testing.F) {
	for _, seed := range []string{
		"", " ", "{}", "[]", "{", "[1,]", `{"a":1,}`, `{"a" : [1, -0.5e+7, 0, "x"] , "b":{} }`, `{a:1}`, `{"a"}`, `{"a":}`, `[1 2]`, `{} {}`,
		"01", "-", "-0", "0.", ".5", "1e", "1e+", "1E-07", "+1", "0x1", "true", "tru", "truex", "nul", "null ", "false",
		`"`, `"\`, `"\u`, `"\u12"`, `"\u12Gf"`, `"\u00aF"`, `"\x"`, "\"\n\"", "\"\x7f\xff\"", `"\\\"\/\b\f\n\r\t"`, "\t\r\n1\n", "\v1", "1\x00",
		strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001), siteLead,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, want := valid(b), json.Valid(b); got != want {
			t.Errorf("valid(%q) is %t, json.Valid %t", b, got, want)
		}
	})
}
