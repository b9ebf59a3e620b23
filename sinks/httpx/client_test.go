package httpx

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"leadstream/streams"
)

const canary = "s3cr3tcanary"

func open(t *testing.T, o Options) *Client {
	t.Helper()
	o.AllowPrivate = true
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// raw serves connections by hand, for what net/http's server is too well-behaved to do.
func raw(t *testing.T, serve func(c net.Conn, r *http.Request)) (url string, seen *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen = new(atomic.Int32)
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err == nil {
				seen.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				serve(c, r)
			}
			c.Close()
		}
	}()
	return "http://" + l.Addr().String(), seen
}

func TestDoFailures(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, never shakes hands
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	tlsServer := httptest.NewUnstartedServer(http.NotFoundHandler())
	tlsServer.Config.ErrorLog = log.New(io.Discard, "", 0)
	tlsServer.StartTLS()
	defer tlsServer.Close()
	reset := func(c net.Conn, _ *http.Request) { _ = c.(*net.TCPConn).SetLinger(0) }
	drip := func(start, piece string) func(net.Conn, *http.Request) {
		return func(c net.Conn, _ *http.Request) {
			_, err := io.WriteString(c, start)
			for err == nil {
				time.Sleep(10 * time.Millisecond)
				_, err = io.WriteString(c, piece)
			}
		}
	}
	serve := func(f func(net.Conn, *http.Request)) string { u, _ := raw(t, f); return u }

	cases := map[string]struct {
		url     string
		sent    bool
		timeout bool
		status  int
	}{
		"refused":           {url: "http://" + free.Addr().String()},
		"unknown authority": {url: tlsServer.URL},
		"hanging handshake": {url: "https://" + silent.Addr().String(), timeout: true},
		"no URL":            {url: "http://127.0.0.1:port"},
		"reset":             {url: serve(reset), sent: true},
		"closed":            {url: serve(func(net.Conn, *http.Request) {}), sent: true},
		"header trickle":    {url: serve(drip("HTTP/1.1 200 OK\r\nX: ", "x")), sent: true, timeout: true},
		"body trickle":      {url: serve(drip("HTTP/1.1 200 OK\r\n\r\n", "x")), sent: true, timeout: true, status: 200},
		"body broken off":   {url: serve(func(c net.Conn, _ *http.Request) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{") }), sent: true, status: 200},
		"not HTTP":          {url: serve(func(c net.Conn, _ *http.Request) { fmt.Fprint(c, "SSH-2.0\r\n") }), sent: true},
		"endless header lines": {url: serve(func(c net.Conn, _ *http.Request) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nX: ", strings.Repeat("x", 200<<10))
		}), sent: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := Options{Secrets: []string{canary}}
			if tc.timeout && tc.sent {
				o.Timeout = 700 * time.Millisecond
			} else if tc.timeout {
				o.DialTimeout = 100 * time.Millisecond
			}
			c := open(t, o)
			a, err := c.Do(t.Context(), Request{
				URL:    tc.url + "/rest/7/" + canary + "/crm.item.add?key=" + canary,
				Header: http.Header{"Authorization": {"Bearer " + canary}},
				Body:   []byte("{}"),
			})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.Sent != tc.sent || a.Sent != tc.sent || e.Timeout != tc.timeout || a.Status != tc.status {
				t.Errorf("error sent %v, answer sent %v, timeout %v, status %d: %v", e.Sent, a.Sent, e.Timeout, a.Status, err)
			}
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%v", fmt.Errorf("wrapped: %w", err))} {
				if strings.Contains(text, canary) {
					t.Errorf("shows the secret: %s", text)
				}
			}
			want := streams.Retry
			if tc.sent {
				want = streams.Ambiguous
			}
			if v := Verdict(a, err, false); v.Result != want || !v.Fault {
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

func TestCancelIsNobodysFault(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url, _ := raw(t, func(c net.Conn, _ *http.Request) { cancel(); _, _ = c.Read(make([]byte, 1)) })
	a, err := open(t, Options{}).Do(ctx, Request{URL: url, Body: []byte("{}")})
	if v := Verdict(a, err, false); v.Result != streams.Ambiguous || v.Fault || !errors.Is(err, context.Canceled) {
		t.Errorf("%+v", v)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		s := httptest.NewServer(http.RedirectHandler(other.URL+"/"+canary, code))
		a, err := open(t, Options{}).Do(t.Context(), Request{URL: s.URL, Body: []byte("{}")})
		s.Close()
		v := Verdict(a, err, false)
		if a.Status != code || v.Result != streams.Pause || !strings.Contains(v.Err.Error(), "127.0.0.1") || strings.Contains(v.Err.Error(), canary) {
			t.Errorf("%d: %+v", code, v)
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests went where the redirect pointed", n)
	}
}

func TestBodyIsCapped(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		zeros := make([]byte, 1<<20)
		for range 20 {
			if _, err := z.Write(zeros); err != nil {
				return
			}
		}
		z.Close()
	}))
	defer s.Close()
	a, err := open(t, Options{}).Do(t.Context(), Request{URL: s.URL, Safe: true})
	if err != nil || !a.Truncated || len(a.Body) != 1<<20 {
		t.Fatalf("%d bytes, truncated %v, %v", len(a.Body), a.Truncated, err)
	}
	if a.JSON(new(any)) == nil {
		t.Error("a cut answer was decoded")
	}
}

// A server may close a kept-alive connection while the next request is on its way; net/http then sends what it holds
// for idempotent once more.
func TestDeadConnectionDoesNotSendTwice(t *testing.T) {
	cases := map[string]struct {
		request Request
		once    bool
	}{
		"create by POST":     {Request{Body: []byte("{}")}, true},
		"create by GET":      {Request{}, true},
		"keyed create":       {Request{Body: []byte("{}"), Header: http.Header{"idempotency-key": {"k"}}}, true},
		"read by GET":        {Request{Safe: true}, false},
		"read by POST, safe": {Request{Body: []byte("{}"), Safe: true}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if r.URL.Path == "/warm" {
					return
				}
				if seen.Add(1) == 1 {
					c, _, err := http.NewResponseController(w).Hijack()
					if err == nil {
						c.Close()
					}
				}
			}))
			defer s.Close()
			c := open(t, Options{})
			warm := tc.request
			warm.URL = s.URL + "/warm"
			if _, err := c.Do(t.Context(), warm); err != nil {
				t.Fatal(err)
			}
			tc.request.URL = s.URL + "/x"
			_, err := c.Do(t.Context(), tc.request)
			if n := seen.Load(); tc.once != (n == 1) || tc.once != (err != nil) {
				t.Errorf("sent %d times, error %v", n, err)
			}
		})
	}
}

func TestOnlyReadsAreRepeated(t *testing.T) {
	var seen atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer s.Close()
	c := open(t, Options{Retries: 1})
	for _, safe := range []bool{true, false} {
		seen.Store(0)
		a, err := c.Do(t.Context(), Request{URL: s.URL, Body: []byte("{}"), Safe: safe})
		if err != nil || a.Status != http.StatusBadGateway {
			t.Errorf("status %d, %v", a.Status, err)
		}
		if n := seen.Load(); safe && n != 2 || !safe && n != 1 {
			t.Errorf("safe %v: %d tries", safe, n)
		}
	}
}

func TestAnswerJSON(t *testing.T) {
	var out struct{ ID int }
	good := Answer{Status: 200, Body: []byte(`{"id":7}`)}
	if err := good.JSON(&out); err != nil || out.ID != 7 {
		t.Errorf("%v, %v", out, err)
	}
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // a proxy's page about the request
		w.Header().Set("Content-Type", "text/html; of="+r.URL.Path)
		fmt.Fprint(w, "<p>Anna +79990000011")
	}))
	defer echo.Close()
	page, err := open(t, Options{}).Do(t.Context(), Request{URL: echo.URL + "/bot" + canary + "/getMe"})
	if err != nil {
		t.Fatal(err)
	}
	err = page.JSON(&out)
	if err == nil || !strings.Contains(err.Error(), "text/html") || strings.Contains(err.Error(), "Anna") || strings.Contains(err.Error(), canary[:8]) {
		t.Errorf("%v", err)
	}
}

func TestScrub(t *testing.T) {
	c := open(t, Options{Secrets: []string{canary, "a b/c d"}})
	if got := c.Scrub("at /bot" + canary + "/x and a+b%2Fc+d"); got != "at /bot[secret]/x and [secret]" {
		t.Errorf("%q", got)
	}
}

func TestCAFile(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := open(t, Options{CAFile: ca}).Do(t.Context(), Request{URL: s.URL}); err != nil || !a.OK() {
		t.Errorf("status %d, %v", a.Status, err)
	}
	if err := os.WriteFile(ca, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{CAFile: ca}); err == nil {
		t.Error("took a file without certificates")
	}
}

func TestPrivateIsRefused(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.Do(t.Context(), Request{URL: s.URL, Body: []byte("{}")})
	if v := Verdict(a, err, false); !errors.Is(err, ErrPrivate) || a.Sent || v.Result != streams.Pause {
		t.Errorf("%v, %+v", err, v)
	}
	for address, want := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1::1": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.0.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "::1": false, "::": false, "fe80::1": false, "fd00::1": false,
		"::ffff:127.0.0.1": false, "64:ff9b::7f00:1": false, "224.0.0.1": false, "255.255.255.255": false,
	} {
		if got := public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: public %v", address, got)
		}
	}
}

func TestProxyIsOnlyTheConfiguredOne(t *testing.T) {
	var through atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { through.Add(1) }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	c, err := New(Options{Proxy: proxy.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Do(t.Context(), Request{URL: "http://crm.example/"}); err != nil || through.Load() != 1 {
		t.Errorf("%d through the proxy, %v", through.Load(), err)
	}
	direct, err := transport(Options{})
	if err != nil || direct.Proxy != nil {
		t.Errorf("a proxy was taken from the environment (%v)", err)
	}
	if _, err := New(Options{Proxy: "host:3128"}); err == nil {
		t.Error("took a proxy that is no URL")
	}
}
