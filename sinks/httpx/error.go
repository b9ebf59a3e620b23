package httpx

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"leadstream/streams/failpoint"
)

// ErrPrivate is the cause when an address is refused for not being public.
var ErrPrivate = errors.New("the address is not public: if that is meant, set allow_private: true")

// Error is a call that brought no whole answer. It never shows URLs or secrets, and does not unwrap: errors.Is looks
// through it, printing does not.
type Error struct {
	Sent     bool // may have reached the far side; false: it surely did not
	Timeout  bool
	Canceled bool // we gave up, it is nobody's fault
	text     string
	cause    error
}

func (e *Error) Error() string { return e.text }

// Is looks for target in what caused the error.
func (e *Error) Is(target error) bool { return errors.Is(e.cause, target) }

func (c *Client) failure(outer, ctx context.Context, r Request, sent bool, err error) *Error {
	e := &Error{Sent: sent, Canceled: outer.Err() != nil, cause: err}
	var netErr net.Error
	e.Timeout = ctx.Err() == context.DeadlineExceeded || errors.As(err, &netErr) && netErr.Timeout()
	var ue *url.Error
	for errors.As(err, &ue) { // prints the whole URL
		if err = ue.Err; ue.Op == "parse" {
			err = errors.New("the url cannot be parsed")
		}
	}
	e.text = c.scrub(err.Error(), r)
	if failpoint.Seeded(failpoint.SecretShown) {
		e.text = r.URL + ": " + err.Error()
	}
	if sent {
		e.text = "sent, no whole answer: " + e.text
	} else {
		e.text = "nothing was sent: " + e.text
	}
	return e
}

// Scrub blots the client's secrets out of a text.
func (c *Client) Scrub(text string) string { return c.scrub(text, Request{}) }

func (c *Client) scrub(text string, r Request) string {
	secrets := append([]string{r.URL}, c.opts.Secrets...)
	if u, err := url.Parse(r.URL); err == nil {
		pass, _ := u.User.Password()
		secrets = append(secrets, pass, u.RequestURI())
		secrets = append(secrets, strings.Split(u.EscapedPath(), "/")...)
		for _, values := range u.Query() {
			secrets = append(secrets, values...)
		}
	}
	for _, v := range r.Header.Values("Authorization") {
		secrets = append(secrets, strings.Fields(v)...)
	}
	for _, s := range secrets {
		if len(s) < 6 { // would blot out ordinary words
			continue
		}
		for _, form := range []string{s, url.PathEscape(s), url.QueryEscape(s)} {
			text = strings.ReplaceAll(text, form, "[secret]")
		}
	}
	return text
}

// publicOnly runs after name resolution, so a name that is made to point inside does not get through.
func publicOnly(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !public(ap.Addr()) {
		return ErrPrivate
	}
	return nil
}

var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carriers' NAT
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), // IPv4 inside IPv6
	netip.MustParsePrefix("2002::/16"),
}

func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() { // loopback, link-local and multicast are not global unicast
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
