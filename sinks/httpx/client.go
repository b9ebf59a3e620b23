// Package httpx is the one way in which sinks speak HTTP to the outside, and the one place that turns HTTP answers into
// verdicts. It follows no redirects, bounds time and size, keeps secrets out of errors, and says of each failed call
// whether the far side may have seen it. Codes of a certain API are left to its sink; so are rate limits and retries of
// leads, which are the engine's.
package httpx

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"leadstream/streams"
	"leadstream/streams/failpoint"
)

// Options of a Client. The zero value is usable: 30 s a call, public addresses only.
type Options struct {
	Timeout       time.Duration // of a whole call, from dial to the body's last byte; 30 s
	DialTimeout   time.Duration // of connecting, and again of the TLS handshake; 5 s
	MaxBody       int64         // bytes kept of an answer, counted after decompression; 1 MiB
	MaxRetryAfter time.Duration // no Retry-After is believed beyond this; 1 h
	Retries       int           // quick repeats of a request marked Safe; 2, negative: none
	UserAgent     string        // "leadstream"
	CAFile        string        // PEM, trusted besides the system's own authorities
	Proxy         string        // URL; empty: none, whatever the environment says
	AllowPrivate  bool          // may reach loopback, private and link-local addresses
	Secrets       []string      // never shown in errors, besides what a request's URL and Authorization hold
}

// Client makes HTTP calls. It is safe for concurrent use.
type Client struct {
	safe, once, fresh *retryablehttp.Client
	opts              Options
}

// Request is one call.
type Request struct {
	Method  string // empty: POST with a Body, GET without
	URL     string
	Header  http.Header
	Body    []byte
	Safe    bool          // a read: may be repeated at once, here; creates are tried exactly once
	Timeout time.Duration // instead of the client's

	// Use reads the body of a 2xx, however long it is, instead of Answer.Body. Its error is Do's, as it is.
	Use func(Answer, io.Reader) error
}

// Answer is what came back. Status is 0 when nothing did.
type Answer struct {
	Status     int
	Header     http.Header
	Body       []byte
	Truncated  bool          // Body was longer than MaxBody
	Sent       bool          // bytes of the request may have reached the far side
	RetryAfter time.Duration // from the header, capped
	Asked      bool          // there was a readable Retry-After
	media      string        // the content type as it may be shown
}

// OK tells a 2xx.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// JSON decodes the body into out. Its error names the content type and no content: answers echo people's data, and a proxy the
// whole request, its secrets too.
func (a Answer) JSON(out any) error {
	if a.Truncated {
		return fmt.Errorf("the answer is longer than %d bytes", len(a.Body))
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		return fmt.Errorf("the answer is not the JSON expected (status %d, content type %.60q, %d bytes)",
			a.Status, a.media, len(a.Body))
	}
	return nil
}

// New makes a client. It reads CAFile and does no other I/O.
func New(o Options) (*Client, error) {
	o.Timeout = or(o.Timeout, 30*time.Second)
	o.DialTimeout = or(o.DialTimeout, 5*time.Second)
	o.MaxBody = or(o.MaxBody, 1<<20)
	o.MaxRetryAfter = or(o.MaxRetryAfter, time.Hour)
	o.Retries = max(or(o.Retries, 2), 0)
	o.UserAgent = or(o.UserAgent, "leadstream")
	t, err := transport(o)
	if err != nil {
		return nil, err
	}
	fresh := t.Clone()
	fresh.DisableKeepAlives = true
	return &Client{safe: client(t, o.Retries), once: client(t, 0), fresh: client(fresh, 0), opts: o}, nil
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// transport speaks HTTP/1.1 only: one dead HTTP/2 connection would hold up every lead of a destination at once.
func transport(o Options) (*http.Transport, error) {
	t := &http.Transport{
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    o.DialTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        30 * time.Second,
	}
	d := &net.Dialer{Timeout: o.DialTimeout, KeepAlive: 15 * time.Second}
	if o.Proxy != "" {
		u, err := url.Parse(o.Proxy)
		if err != nil || u.Host == "" {
			return nil, errors.New("proxy is not a URL: write http://host:port")
		}
		t.Proxy = http.ProxyURL(u)
	} else if !o.AllowPrivate {
		d.Control = publicOnly // behind a proxy it is the proxy that resolves names
	}
	t.DialContext = d.DialContext
	if o.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s holds no PEM certificate", o.CAFile)
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

func client(t *http.Transport, retries int) *retryablehttp.Client {
	return &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     t,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		RetryMax:     retries,
		RetryWaitMin: 50 * time.Millisecond,
		RetryWaitMax: 250 * time.Millisecond,
		Backoff:      retryablehttp.LinearJitterBackoff,
		CheckRetry:   passing,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
}

// passing tells faults that a second try a moment later may not meet. Everything slower, 429 above all, is the engine's.
func passing(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		var cert *tls.CertificateVerificationError
		return !errors.Is(err, ErrPrivate) && !errors.As(err, &cert), nil
	}
	return resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusGatewayTimeout, nil
}

// Do makes one call. The error is an *Error; it says whether anything was sent and holds no secret. An Answer with a
// Status may come with an error: the body broke off. Any status is an answer, not an error.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) {
	outer := ctx
	if err := streams.Turn(ctx); err != nil {
		return Answer{}, c.failure(outer, ctx, r, false, err)
	}
	ctx, cancel := context.WithTimeout(ctx, or(r.Timeout, c.opts.Timeout)) // covers a trickled body too
	defer cancel()
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { sent.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) { sent.Store(true) },
	})
	fail := func(err error) error {
		return c.failure(outer, ctx, r, sent.Load() && !failpoint.Seeded(failpoint.SentUnnoticed), err)
	}

	req, err := c.request(ctx, r)
	if err != nil {
		return Answer{}, fail(err)
	}
	resp, err := c.via(r, req).Do(req)
	if err != nil {
		if resp != nil {
			resp.Body.Close()
		}
		return Answer{Sent: sent.Load()}, fail(err)
	}
	defer resp.Body.Close()
	a := Answer{Status: resp.StatusCode, Header: resp.Header, Sent: true, media: c.scrub(resp.Header.Get("Content-Type"), r)}
	a.RetryAfter, a.Asked = retryAfter(resp.Header, time.Now(), c.opts.MaxRetryAfter)
	if r.Use != nil && a.OK() {
		return a, r.Use(a, broken{resp.Body, fail})
	}
	a.Body, err = io.ReadAll(io.LimitReader(resp.Body, c.opts.MaxBody+1))
	if int64(len(a.Body)) > c.opts.MaxBody {
		a.Body, a.Truncated = a.Body[:c.opts.MaxBody], true
	} else if err != nil {
		return a, fail(err)
	}
	return a, nil
}

// broken makes an Error of what ends a body early.
type broken struct {
	io.Reader
	fail func(error) error
}

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = b.fail(err)
	}
	return n, err
}

func (c *Client) request(ctx context.Context, r Request) (*retryablehttp.Request, error) {
	method := r.Method
	var body any
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
		method = or(method, http.MethodPost)
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, or(method, http.MethodGet), r.URL, body)
	if err != nil {
		return nil, err
	}
	for k, v := range r.Header {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", c.opts.UserAgent)
	}
	return req, nil
}

// via picks the client. net/http silently sends GETs, and whatever carries an Idempotency-Key, a second time when a
// kept-alive connection dies under them; what must go out once only therefore gets a connection of its own.
func (c *Client) via(r Request, req *retryablehttp.Request) *retryablehttp.Client {
	keyed := req.Header.Get("Idempotency-Key") != "" || req.Header.Get("X-Idempotency-Key") != ""
	switch {
	case r.Safe, failpoint.Seeded(failpoint.CreateRepeated):
		return c.safe
	case keyed || req.Method != http.MethodPost && req.Method != http.MethodPut && req.Method != http.MethodPatch:
		return c.fresh
	}
	return c.once
}

// Close drops idle connections.
func (c *Client) Close() {
	c.safe.HTTPClient.CloseIdleConnections()
	c.fresh.HTTPClient.CloseIdleConnections()
}
