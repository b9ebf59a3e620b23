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

	"leadstream/daemon/links"
	"leadstream/streams/failpoint"
)

// Handler serves POST /v1/leads, POST /in/<source>[/<key>], their OPTIONS, POST /v1/links and GET /l/<code>. Mount it at
// `/v1/leads`, `/in/`, `/v1/links` and `/l/`.
type Handler struct {
	Links *links.Store // to be set before the first request to the last two; nil: there are none

	// Heard, if not nil, is told of each conversation that a lead comes from, by the service's own name for it. To be set before the first
	// request.
	Heard func(source, talk string)

	config  Config
	taker   Taker
	log     zerolog.Logger
	now     func() time.Time
	sources map[string]*source
	byKey   map[keyHash]*source
	trusted []netip.Prefix

	stranger  addressLimiter // requests without a valid key
	guesser   addressLimiter // requests of links that are none; apart, for many customers open old ones, maybe behind one proxy
	known     gate           // bytes in flight of senders with a key
	strangers gate           // and of everybody else, so that they cannot use up the former
	clicks    gate           // that are on their way to the journal
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
		stranger: addressLimiter{rate: c.StrangerRate}, guesser: addressLimiter{rate: c.StrangerRate},
		known: gate{limit: c.InFlightBytes}, strangers: gate{limit: c.InFlightBytes / 4}, clicks: gate{limit: clickMost},
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
	link   bool    // asks for a link
	client netip.Addr
	body   []byte // as it arrived
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if code, ok := strings.CutPrefix(r.URL.Path, "/l/"); ok && h.Links != nil {
		h.follow(w, r, code)
		return
	}
	q := &request{w: w, r: r, start: h.now(), link: r.URL.Path == linksPath}
	if r.URL.RawQuery != "" {
		q.query = r.URL.Query()
	}
	name, rest, ok := route(r.URL.Path)
	switch {
	case !ok || q.link && h.Links == nil:
		h.refuse(q, fault("no_such_path", ""), 0)
	case r.Method == http.MethodOptions:
		h.preflight(q, name)
	case r.Method == http.MethodGet && h.greet(q, name, rest):
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST, OPTIONS")
		h.refuse(q, fault("method", ""), 0)
	default:
		h.post(q, name, rest)
	}
	h.metrics.seconds.Observe(h.now().Sub(q.start).Seconds())
}

const linksPath = "/v1/links"

// route splits a path into the source's name, empty for /v1/leads and /v1/links, and what follows it.
func route(path string) (name, rest string, ok bool) {
	if path == "/v1/leads" || path == "/v1/leads/" || path == linksPath {
		return "", "", true
	}
	path, ok = strings.CutPrefix(path, "/in/")
	name, rest, _ = strings.Cut(path, "/")
	return name, rest, ok && name != ""
}

// post goes through the stages of a request: who sends, may they now, what did they send, keep it.
func (h *Handler) post(q *request, name, rest string) {
	q.client = clientOf(q.r, h.trusted)
	key := sha256.Sum256([]byte(keyOf(q.r, q.query, rest)))
	s := h.sources[name]
	if name == "" {
		s = h.byKey[key] // only who knows the key can make its hash
	}
	q.source = s
	h.allowOrigin(q)
	switch {
	case s == nil:
		nobody.knows(key)
		h.turnAway(q)
	case s.knows(key):
		q.keyed = true
		h.admit(q)
	case s.signs() && len(s.keys) == 0:
		h.verify(q)
	case !s.Public || s.signs():
		h.turnAway(q)
	case !s.allows(q.r.Header.Get("Origin")):
		h.refuse(q, &Error{Code: "origin", Field: "Origin"}, 0)
	default:
		h.admit(q)
	}
}

// admit lets a request in unless its bucket is empty or too much is in flight. Senders with a key and strangers have
// buckets, slots and room of their own: no flood of the latter throttles the former.
func (h *Handler) admit(q *request) {
	s, l := q.source, &q.source.known
	if !q.keyed {
		l = &s.strangers
		if wait := s.perIP.take(q.client, q.start); wait > 0 {
			h.refuse(q, fault("too_many_requests", ""), wait)
			return
		}
	}
	if wait := l.rate.take(q.start); wait > 0 {
		h.refuse(q, fault("too_many_requests", ""), wait)
		return
	}
	if !l.busy.enter(1) {
		h.refuse(q, fault("too_many_requests", ""), time.Second)
		return
	}
	defer l.busy.leave(1)
	if q.body != nil { // read already, for its signature
		h.receive(q)
		return
	}
	room := &h.known
	if !q.keyed {
		room = &h.strangers
	}
	h.within(q, room, func() {
		if fail := q.readBody(h.config.WriteTimeout); fail != nil {
			h.reject(q, fail)
			return
		}
		if !q.link && h.greeted(q) {
			return
		}
		if s.signs() && !s.proves(q.r, q.body, q.start) {
			q.source = nil
			h.refuse(q, fault("unauthorized", ""), 0)
			return
		}
		h.receive(q)
	})
}

// within does its work while there is room for the body in memory.
func (h *Handler) within(q *request, room *gate, work func()) {
	weight := q.r.ContentLength
	if weight < 0 || weight > q.source.maxBody {
		weight = q.source.maxBody
	}
	if q.r.Header.Get("Content-Encoding") != "" {
		weight += q.source.maxBody
	}
	if !room.enter(weight) {
		h.refuse(q, fault("unavailable", ""), time.Second)
		return
	}
	defer room.leave(weight)
	work()
}

// verify reads the body of a sender that proves itself by a signature alone: a stranger until then.
func (h *Handler) verify(q *request) {
	if wait := h.stranger.peek(q.client, q.start); wait > 0 {
		h.refuse(q, fault("too_many_requests", ""), wait)
		return
	}
	h.within(q, &h.strangers, func() {
		fail := q.readBody(h.config.WriteTimeout)
		if fail == nil && h.greeted(q) {
			return
		}
		// Of a body that is too large, a secret in a header may still prove the sender.
		large := fail != nil && fail.Code == "too_large"
		if fail != nil && !large || !q.source.proves(q.r, q.body, q.start) {
			h.stranger.take(q.client, q.start)
			q.source = nil
			h.refuse(q, fault("unauthorized", ""), 0)
			return
		}
		q.keyed = true
		if large {
			h.reject(q, fail)
			return
		}
		h.admit(q)
	})
}

// turnAway refuses a stranger. It first reads and signs the body for nobody: an unknown source, a wrong key and a wrong
// signature look and last the same.
func (h *Handler) turnAway(q *request) {
	q.source = nil
	if wait := h.stranger.take(q.client, q.start); wait > 0 {
		h.refuse(q, fault("too_many_requests", ""), wait)
		return
	}
	const piece = 4 << 10
	if !h.strangers.enter(piece) {
		h.refuse(q, fault("unavailable", ""), time.Second)
		return
	}
	defer h.strangers.leave(piece)
	mac := hmac.New(sha256.New, []byte("nobody"))
	_, _ = io.CopyBuffer(mac, http.MaxBytesReader(q.w, q.r.Body, h.config.MaxBody), make([]byte, piece))
	mac.Sum(nil)
	h.refuse(q, fault("unauthorized", ""), 0)
}

// receive judges a body that has been read, and answers.
func (h *Handler) receive(q *request) {
	failpoint.Hit(failpoint.IntakeRead)
	text, err := inflate(q.body, q.r.Header.Get("Content-Encoding"), q.source.maxBody)
	if err != nil {
		h.reject(q, asError(err))
		return
	}
	if q.link {
		h.makeLink(q, text)
		return
	}
	if q.source.protocol != nil {
		h.events(q, text)
		return
	}
	items, err := decode(text, q.r.Header.Get("Content-Type"))
	if err != nil {
		h.reject(q, asError(err))
		return
	}
	if q.test() || q.source.probe(items) {
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

// readBody reads up to the source's limit, and keeps what it has read even when there is more or it fails.
func (q *request) readBody(patience time.Duration) *Error {
	limit := q.source.maxBody
	var err error
	if n := q.r.ContentLength; n >= 0 && n <= limit { // as nearly always; net/http gives no more
		var got int
		q.body = make([]byte, n)
		got, err = io.ReadFull(q.r.Body, q.body)
		q.body = q.body[:got]
	} else {
		q.body, err = io.ReadAll(http.MaxBytesReader(q.w, q.r.Body, limit))
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(*http.MaxBytesError)):
		return fault("too_large", fmt.Sprintf("> %d", limit))
	case errors.Is(err, os.ErrDeadlineExceeded):
		// The time to write ran out together with that to read.
		_ = http.NewResponseController(q.w).SetWriteDeadline(time.Now().Add(patience))
		return fault("timeout", "")
	}
	return fault("incomplete", "")
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
