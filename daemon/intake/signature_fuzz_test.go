package intake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"testing"
	"time"
)

// FuzzSignature: no header but the right one signs a body, and the right one does so beside any other.
func FuzzSignature(f *testing.F) {
	f.Add("sha256=00", []byte(`{}`))
	f.Add("sha256=zz sha256= sha256", []byte(""))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		sig := HMAC{Header: "X-Signature", Secrets: []string{"new", "old"}, Encoding: "hex", Prefix: "sha256="}.compile()
		given := http.Header{"X-Signature": {header}}
		now := time.Unix(1_795_000_000, 0)
		if sig.check(given, body, now) {
			t.Fatalf("%q signs %q", header, body)
		}
		mac := hmac.New(sha256.New, []byte("old"))
		mac.Write(body)
		given.Set("X-Signature", header+" sha256="+hex.EncodeToString(mac.Sum(nil)))
		if !sig.check(given, body, now) {
			t.Errorf("the right signature is refused beside %q", header)
		}
	})
}
