package intake

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

type keyHash = [sha256.Size]byte

const keyPrefix = "sha256:"

// KeyHash is what config.yaml keeps of a key. Keys are long and random, so that a plain SHA-256 is enough.
func KeyHash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return keyPrefix + hex.EncodeToString(sum[:])
}

// NewKey makes a key of 160 random bits, recognisable as one of ours, for a source.
func NewKey(source string) string {
	return "ls_" + source + "_" + rand.Text() + rand.Text()[:6]
}

func parseKeyHash(s string) (h keyHash, ok bool) {
	digits, found := strings.CutPrefix(s, keyPrefix)
	raw, err := hex.DecodeString(digits)
	if !found || err != nil || len(raw) != len(h) {
		return h, false
	}
	return keyHash(raw), true
}

// keyOf finds the key of a request where senders can put one; rest is the path after the source's name.
func keyOf(r *http.Request, query url.Values, rest string) string {
	if key := r.Header.Get("X-Api-Key"); key != "" {
		return key
	}
	if auth := r.Header.Get("Authorization"); auth != "" {
		if scheme, key, ok := strings.Cut(auth, " "); ok && strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(key)
		}
		if _, password, ok := r.BasicAuth(); ok {
			return password
		}
	}
	if key := query.Get("key"); key != "" {
		return key
	}
	rest, _, _ = strings.Cut(rest, "/")
	return rest
}

// nobody stands in for an unknown source, so that its refusal takes as long as that of a wrong key.
var nobody = &source{keys: []keyHash{{}}}

// knows compares a key with all of the source's, in a time that depends on neither.
func (s *source) knows(sum keyHash) bool {
	found := 0
	for i := range s.keys {
		found |= subtle.ConstantTimeCompare(sum[:], s.keys[i][:])
	}
	return found == 1 && s != nobody
}

// signature is a compiled HMAC.
type signature struct {
	HMAC
	secrets [][]byte
}

func (h HMAC) compile() *signature {
	sig := &signature{HMAC: h}
	for _, secret := range h.Secrets {
		raw := []byte(secret)
		if text, ok := strings.CutPrefix(secret, "whsec_"); ok {
			if b, err := base64.StdEncoding.DecodeString(text); err == nil {
				raw = b
			}
		}
		sig.secrets = append(sig.secrets, raw)
	}
	return sig
}

// check is true when the request is signed with one of the secrets, and not too long ago.
func (sig *signature) check(header http.Header, body []byte, now time.Time) bool {
	var signed []byte
	if sig.IDHeader != "" {
		signed = append(append(signed, header.Get(sig.IDHeader)...), '.')
	}
	fresh := true
	if sig.TimestampHeader != "" {
		stamp := header.Get(sig.TimestampHeader)
		seconds, err := strconv.ParseInt(stamp, 10, 64)
		fresh = err == nil && now.Sub(time.Unix(seconds, 0)).Abs() <= or(sig.Tolerance, 300*time.Second)
		signed = append(append(signed, stamp...), '.')
	}
	good := 0
	for _, secret := range sig.secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write(signed)
		mac.Write(body)
		sum := mac.Sum(nil)
		for _, given := range strings.Fields(header.Get(sig.Header)) {
			if raw, ok := sig.decode(given); ok {
				good |= subtle.ConstantTimeCompare(raw, sum)
			}
		}
	}
	return good == 1 && fresh
}

func (sig *signature) decode(given string) ([]byte, bool) {
	text, ok := strings.CutPrefix(given, sig.Prefix)
	if !ok {
		return nil, false
	}
	var raw []byte
	var err error
	if sig.Encoding == "base64" {
		raw, err = base64.StdEncoding.DecodeString(text)
	} else {
		raw, err = hex.DecodeString(text)
	}
	return raw, err == nil
}

// clientOf is the address that a request came from: the right-most one that no trusted proxy of ours has. Who comes by a
// unix socket has no address, and was let in by the file system: a proxy, and trusted.
func clientOf(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	addr := peer.Addr().Unmap()
	if addr.IsValid() && !within(trusted, addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return addr
		}
		addr = hop.Unmap()
		if !within(trusted, addr) {
			return addr
		}
	}
	return addr
}

func within(networks []netip.Prefix, addr netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}
