package intake

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer tells the sender what became of each lead, in the form that it understands.
func (h *Handler) answer(q *request, outcomes []outcome, items []item, redirect string) {
	s := q.source
	failed := 0
	for _, o := range outcomes {
		switch {
		case o.err != nil:
			failed++
			s.result["invalid"].Inc()
		case o.bot:
			s.result["quarantined"].Inc()
		default:
			s.result[o.status].Inc()
		}
	}
	single := len(outcomes) == 1 && (len(items) != 1 || items[0].index == 0)
	switch {
	case single && failed == 1:
		h.write(q, outcomes[0].err, 0)
	case single && len(items) == 1 && items[0].form && s.redirectTo(q.r) != "":
		q.w.Header().Set("Location", s.thankYou(redirect))
		q.w.WriteHeader(http.StatusSeeOther)
	case s.Answer == "ok" && failed < len(outcomes):
		writeBody(q.w, s.Code, typeText, []byte("ok"))
	case s.Answer == "empty" && failed < len(outcomes):
		q.w.WriteHeader(s.Code)
	case single:
		writeBody(q.w, s.Code, typeJSON, outcomes[0].append(make([]byte, 0, 128), s.language))
	default:
		code := s.Code
		if failed == len(outcomes) {
			code = http.StatusBadRequest
		}
		writeBody(q.w, code, typeJSON, appendAll(make([]byte, 0, 80*len(outcomes)), outcomes, failed, s.language))
	}
}

// Values of headers, which net/http only reads: they need not be made anew for every answer.
var (
	typeJSON = []string{"application/json"}
	typeText = []string{"text/plain; charset=utf-8"}
	typeXML  = []string{"text/xml; charset=utf-8"}
	typeMail = []string{"message/rfc822"}
	noSniff  = []string{"nosniff"}
	byOrigin = []string{"Origin"}
)

// redirectTo is set when a person's browser shows the answer as a page.
func (s *source) redirectTo(r *http.Request) string {
	if len(s.ThankYou) == 0 || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return ""
	}
	return s.ThankYou[0]
}

func (o outcome) append(b []byte, language string) []byte {
	if o.err != nil {
		return o.err.append(b, language)
	}
	b = append(b, `{"ok":true`...)
	if o.id != "" {
		b = quote(append(b, `,"lead_id":`...), o.id)
	}
	return append(quote(append(b, `,"status":`...), o.status), '}')
}

func appendAll(b []byte, outcomes []outcome, failed int, language string) []byte {
	b = strconv.AppendBool(append(b, `{"ok":`...), failed == 0)
	b = append(b, `,"results":[`...)
	for i, o := range outcomes {
		if i > 0 {
			b = append(b, ',')
		}
		b = o.append(b, language)
	}
	return append(b, `]}`...)
}

func (e *Error) append(b []byte, language string) []byte {
	b = quote(append(b, `{"ok":false,"error":{"code":`...), e.Code)
	b = quote(append(b, `,"message":`...), e.Text(language))
	if e.Field != "" {
		b = quote(append(b, `,"field":`...), e.Field)
	}
	return append(b, `}}`...)
}

// refuse counts and answers a request of which nothing is kept, or that is kept in quarantine.
func (h *Handler) refuse(q *request, e *Error, retryAfter time.Duration) {
	m := h.nobody
	if q.source != nil {
		m = q.source.meters
	}
	m.result[resultOf(e)].Inc()
	h.write(q, e, retryAfter)
}

func (h *Handler) write(q *request, e *Error, retryAfter time.Duration) {
	language := "en"
	if q.source != nil {
		language = q.source.language
	}
	if retryAfter > 0 {
		seconds := int64((retryAfter + time.Second - 1) / time.Second)
		q.w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	writeBody(q.w, e.Status(), typeJSON, e.append(nil, language))
}

func writeBody(w http.ResponseWriter, code int, contentType []string, body []byte) {
	header := w.Header()
	header["Content-Type"] = contentType
	header["X-Content-Type-Options"] = noSniff
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // a sender that is gone asks again, and is told "duplicate"
}

// preflight answers a browser that asks whether a page may post here. Unknown sources get the answer of known ones that
// allow nobody.
func (h *Handler) preflight(q *request, name string) {
	q.source = h.sources[name]
	header := q.w.Header()
	header.Set("Allow", "POST, OPTIONS")
	if h.allowOrigin(q) {
		header.Set("Access-Control-Allow-Methods", "POST, OPTIONS")
		header.Set("Access-Control-Allow-Headers", "Content-Type, X-Api-Key, Authorization, Idempotency-Key, X-Idempotency-Key")
		header.Set("Access-Control-Max-Age", "600")
	}
	q.w.WriteHeader(http.StatusNoContent)
}

// allowOrigin lets a page read the answer, refusals too.
func (h *Handler) allowOrigin(q *request) bool {
	q.w.Header()["Vary"] = byOrigin
	origin := q.r.Header.Get("Origin")
	if q.source == nil || !q.source.allows(origin) {
		return false
	}
	q.w.Header().Set("Access-Control-Allow-Origin", origin)
	return true
}

// withQuery adds the fields that a sender put into the address, after those of the body.
func withQuery(members []member, query url.Values) []member {
	if len(query) == 0 {
		return members
	}
	for _, key := range slices.Sorted(maps.Keys(query)) {
		if key == "key" || key == "test" {
			continue
		}
		for _, value := range query[key] {
			members = append(members, member{key, quote(nil, strings.ToValidUTF8(value, "\uFFFD"))})
		}
	}
	return members
}
