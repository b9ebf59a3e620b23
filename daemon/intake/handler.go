package intake

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Handler serves POST /v1/leads, POST /in/<source>[/<key>], and their OPTIONS. Mount it at `/v1/leads` and `/in/`.
type Handler struct {
	config  Config
	taker   Taker
	log     zerolog.Logger
	now     func() time.Time
	sources map[string]*source
	byKey   map[keyHash]*source
	trusted []netip.Prefix

	stranger  addressLimiter // requests without a valid key
	known     gate           // bytes in flight of senders with a key
	strangers gate           // and of everybody else, so that they cannot use up the former
	metrics   *metrics
	nobody    meters
}

// New makes the handler. Its error says every fault of the configuration.
func New(c Config, taker Taker, reg prometheus.Registerer, log zerolog.Logger) (*Handler, error) {
	if err := faultsError(c.Faults()); err != nil {
		return nil, err
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	h := &Handler{
		config: c, taker: taker, log: log, now: time.Now, metrics: m, nobody: m.of(""),
		stranger: addressLimiter{rate: c.StrangerRate},
		known:    gate{limit: c.InFlightBytes}, strangers: gate{limit: c.InFlightBytes / 4},
	}
	if h.trusted, err = networks(c.TrustedProxies); err != nil {
		return nil, fmt.Errorf("trusted_proxies: %w", err)
	}
	if h.sources, h.byKey, err = c.compile(m); err != nil {
		return nil, err
	}
	return h, nil
}

// request is one HTTP request on its way through the handler.
type request struct {
	w      http.ResponseWriter
	r      *http.Request
	query  url.Values
	start  time.Time
	source *source // nil until it is known
	keyed  bool    // came with a valid key
	client netip.Addr
	body   []byte // as it arrived
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &request{w: w, r: r, start: h.now()}
	if r.URL.RawQuery != "" {
		q.query = r.URL.Query()
	}
	name, rest, ok := route(r.URL.Path)
	switch {
	case !ok:
		h.refuse(q, fault("no_such_path", ""), 0)
	case r.Method == http.MethodOptions:
		h.preflight(q, name)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST, OPTIONS")
		h.refuse(q, fault("method", ""), 0)
	default:
		h.post(q, name, rest)
	}
	h.metrics.seconds.Observe(h.now().Sub(q.start).Seconds())
}

// route splits a path into the source's name, empty for /v1/leads, and what follows it.
func route(path string) (name, rest string, ok bool) {
	if path == "/v1/leads" || path == "/v1/leads/" {
		return "", "", true
	}
	path, ok = strings.CutPrefix(path, "/in/")
	name, rest, _ = strings.Cut(path, "/")
	return name, rest, ok && name != ""
}

// post goes through the stages of a request: who sends, may they now, what did they send, keep it.
func (h *Handler) post(q *request, name, rest string) {
	key := keyOf(q.r, q.query, rest)
	s := h.sender(name, key)
	if s == nil && !h.signs(name) {
		h.turnAway(q)
		return
	}
	if s == nil {
		s = h.sources[name]
		q.keyed = false
	} else {
		q.keyed = !s.Public || s.knows(key)
	}
	q.source = s
	h.allowOrigin(q)
	if s.Public && !q.keyed && !s.allows(q.r.Header.Get("Origin")) {
		h.refuse(q, &Error{Code: "origin", Field: "Origin"}, 0)
		return
	}
	if wait := h.throttle(q); wait > 0 {
		h.refuse(q, fault("too_many_requests", ""), wait)
		return
	}
	if !s.busy.enter(1) {
		h.refuse(q, fault("too_many_requests", ""), time.Second)
		return
	}
	defer s.busy.leave(1)

	room, weight := &h.known, q.r.ContentLength
	if !q.keyed {
		room = &h.strangers
	}
	if weight < 0 || weight > s.maxBody {
		weight = s.maxBody
	}
	if !room.enter(weight) {
		h.refuse(q, fault("unavailable", ""), time.Second)
		return
	}
	defer room.leave(weight)
	h.receive(q)
}

// sender finds the source that a key belongs to; nil when the request has shown no right to send.
func (h *Handler) sender(name, key string) *source {
	if name == "" {
		return h.byKey[sha256.Sum256([]byte(key))] // only who knows the key can make its hash
	}
	s := h.sources[name]
	if s == nil {
		nobody.knows(key)
		return nil
	}
	if s.knows(key) || s.Public && s.signature == nil {
		return s
	}
	return nil
}

// signs is whether a source proves itself by its body alone.
func (h *Handler) signs(name string) bool {
	s := h.sources[name]
	return s != nil && s.signature != nil && len(s.keys) == 0
}

// turnAway refuses a stranger. It first reads and signs the body for nobody: an unknown source, a wrong key and a wrong
// signature look and last the same.
func (h *Handler) turnAway(q *request) {
	q.client = clientOf(q.r, h.trusted)
	if wait := h.stranger.take(q.client, q.start); wait > 0 {
		h.refuse(q, fault("too_many_requests", ""), wait)
		return
	}
	mac := hmac.New(sha256.New, []byte("nobody"))
	_, _ = io.Copy(mac, http.MaxBytesReader(q.w, q.r.Body, h.config.MaxBody))
	mac.Sum(nil)
	h.refuse(q, fault("unauthorized", ""), 0)
}

// throttle asks the buckets that stand before the source: those of strangers by address, those of senders by source.
func (h *Handler) throttle(q *request) time.Duration {
	if !q.keyed {
		q.client = clientOf(q.r, h.trusted)
		if q.source.Public {
			if wait := q.source.perIP.take(q.client, q.start); wait > 0 {
				return wait
			}
		}
	}
	return q.source.rate.take(q.start)
}

// receive reads the body, judges it and answers.
func (h *Handler) receive(q *request) {
	s := q.source
	body, fail := readBody(q.w, q.r, s.maxBody)
	q.body = body
	if s.signature != nil && (fail != nil || !s.signature.check(q.r.Header, body, q.start)) {
		q.source = nil
		h.refuse(q, fault("unauthorized", ""), 0)
		return
	}
	if fail != nil {
		h.reject(q, fail)
		return
	}
	text, err := inflate(body, q.r.Header.Get("Content-Encoding"), s.maxBody)
	if err != nil {
		h.reject(q, asError(err))
		return
	}
	items, err := decode(text, q.r.Header.Get("Content-Type"))
	if err != nil {
		h.reject(q, asError(err))
		return
	}
	if q.query.Get("test") == "1" || q.r.Header.Get("X-Test") == "1" || s.probe(items) {
		h.answer(q, []outcome{{status: Ignored}}, items, "")
		return
	}
	h.keep(q, items)
}

// probe recognises Tilda's check of a new address.
func (s *source) probe(items []item) bool {
	return s.Preset == "tilda" && len(items) == 1 && len(items[0].members) == 1 &&
		items[0].members[0].key == "test" && string(items[0].members[0].val) == `"test"`
}

// readBody reads up to limit bytes, and returns them even when there are more.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *Error) {
	var b bytes.Buffer
	if n := r.ContentLength; n > 0 {
		b.Grow(int(min(n, limit)) + bytes.MinRead)
	}
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	body := b.Bytes()
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, new(*http.MaxBytesError)):
		return body, fault("too_large", fmt.Sprintf("> %d", limit))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return body, fault("timeout", "")
	}
	return body, fault("incomplete", "")
}

// inflate undoes a content encoding, up to limit.
func inflate(body []byte, coding string, limit int64) ([]byte, error) {
	switch strings.ToLower(coding) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
	default:
		return nil, &Error{Code: "unsupported_coding", Field: "Content-Encoding"}
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fault("bad_gzip", "")
	}
	text, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err != nil {
		return nil, fault("bad_gzip", "")
	}
	if int64(len(text)) > limit {
		return nil, fault("too_large", fmt.Sprintf("> %d", limit))
	}
	return text, nil
}

func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return fault("unavailable", "")
}

// takeContext outlives the sender's patience: what has been read in full is kept even when nobody waits for the answer.
func (h *Handler) takeContext(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), h.config.TakeTimeout)
}
