package intake

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"leadstream/daemon/links"
	"leadstream/streams"
)

// linkRequest is the body of POST /v1/links: where the link leads, and whose it is.
type linkRequest struct {
	URL     string `json:"url"`
	Phone   string `json:"phone"`
	Email   string `json:"email"`
	Channel string `json:"channel"`
	UserID  string `json:"user_id"`
	About   string `json:"about"`
}

const mostLinkText = 256 // bytes of a user id or a lead id

// link reads what a sender asks for.
func (s *source) link(body []byte) (links.Link, error) {
	var r linkRequest
	if err := json.Unmarshal(body, &r); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field == "" {
			return links.Link{}, fault("not_a_link", "")
		}
		if wrong != nil {
			return links.Link{}, &Error{Code: "no_text", Field: wrong.Field}
		}
		return links.Link{}, fault("bad_json", "")
	}
	l := links.Link{Source: s.name, Channel: or(strings.ToLower(strings.TrimSpace(r.Channel)), s.channel),
		UserID: strings.TrimSpace(r.UserID), About: strings.TrimSpace(r.About)}
	ok := true
	if l.Target, ok = links.Address(r.URL); !ok {
		return l, &Error{Code: "bad_link", Field: "url"}
	}
	if l.Phone, ok = streams.NormalizePhone(r.Phone, s.region); !ok && strings.TrimSpace(r.Phone) != "" {
		return l, &Error{Code: "bad_contact", Field: "phone"}
	}
	if l.Email, ok = streams.NormalizeEmail(r.Email); !ok && strings.TrimSpace(r.Email) != "" {
		return l, &Error{Code: "bad_contact", Field: "email"}
	}
	for field, text := range map[string]string{"user_id": l.UserID, "about": l.About, "channel": l.Channel} {
		if len(text) > mostLinkText || strings.ContainsRune(text, 0) {
			return l, &Error{Code: "bad_contact", Field: field}
		}
	}
	if l.UserID != "" && l.Channel == "" {
		return l, &Error{Code: "no_customer", Field: "channel"}
	}
	if l.Phone == "" && l.Email == "" && l.UserID == "" && l.About == "" {
		return l, &Error{Code: "no_customer"}
	}
	return l, nil
}

// makeLink keeps a link for an authenticated sender, and answers with its address.
func (h *Handler) makeLink(q *request, body []byte) {
	l, err := q.source.link(body)
	if err != nil {
		h.refuse(q, asError(err), 0)
		return
	}
	code, err := h.Links.Make(l)
	if err != nil {
		h.log.Error().Err(err).Str("source", q.source.name).Msg("link not kept, the sender is asked to come again")
		h.refuse(q, fault("unavailable", ""), 5*time.Second)
		return
	}
	h.metrics.links.WithLabelValues("made").Inc()
	answer := quote(append(make([]byte, 0, 128), `{"ok":true,"url":`...), h.Links.Path(code))
	writeBody(q.w, http.StatusCreated, typeJSON, append(answer, '}'))
}

const (
	clickNews = 10 * time.Minute // within it a second click tells nothing new
	clickTime = time.Second      // that a customer waits for the journal at most
	clickMost = 1000             // that wait for it at once
)

// follow serves GET /l/<code>: the customer gets where the link leads, whatever becomes of the news of it. Whoever
// guesses codes is slowed down as other strangers are; those who know one are not, for a whole town may share an address.
func (h *Handler) follow(w http.ResponseWriter, r *http.Request, code string) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Robots-Tag", "noindex")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		h.page(w, http.StatusMethodNotAllowed, "This address can only be opened.", "Этот адрес можно только открыть.")
		return
	}
	l, err := h.Links.Find(code)
	switch {
	case err == nil:
		h.metrics.links.WithLabelValues(h.click(r, code, l)).Inc()
		header.Set("Location", l.Target)
		w.WriteHeader(http.StatusFound)
	case !errors.Is(err, links.ErrUnknown):
		h.metrics.links.WithLabelValues("fault").Inc()
		h.log.Error().Err(err).Msg("a link cannot be read")
		h.page(w, http.StatusServiceUnavailable, "The link cannot be opened now. Please try again in a minute.", "Сейчас ссылку не открыть. Попробуйте через минуту.")
	default:
		h.metrics.links.WithLabelValues("unknown").Inc()
		if wait := h.guesser.take(clientOf(r, h.trusted), h.now()); wait > 0 {
			header.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
			h.page(w, http.StatusTooManyRequests, "Too many requests. Please try again later.", "Слишком много запросов. Попробуйте позже.")
			return
		}
		h.page(w, http.StatusNotFound, "There is no such link, or it is no longer valid.", "Такой ссылки нет, или она уже не действует.")
	}
}

// click journals the news that a customer has opened a link, and says how it went, as the metric's label. It waits for the
// journal no longer than clickTime, also where a disk hangs.
func (h *Handler) click(r *http.Request, code string, l links.Link) string {
	if links.Preview(r) {
		return "preview"
	}
	if !h.clicks.enter(1) {
		return "fault" // the disk hangs, as has been logged for those before it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), clickTime)
	defer cancel()
	type taken struct {
		Receipt
		err error
	}
	now, done := h.now(), make(chan taken, 1)
	go func() {
		defer h.clicks.leave(1)
		receipt, err := h.taker.Take(ctx, clickOf(l, code, now))
		done <- taken{receipt, err}
	}()
	var got taken
	select {
	case got = <-done:
	case <-ctx.Done():
		got.err = ctx.Err()
	}
	if got.err != nil {
		h.log.Error().Err(got.err).Str("source", l.Source).Msg("a click may not be kept; the customer was sent on")
		return "fault"
	}
	h.log.Info().Str("lead", got.LeadID).Str("source", l.Source).Str("status", got.Status).Dur("took", h.now().Sub(now)).Msg("link opened")
	if got.Status == Duplicate {
		return "repeat"
	}
	return "click"
}

// clickOf is the news as the journal takes it. Its key is that of all clicks on the link within the same clickNews.
func clickOf(l links.Link, code string, now time.Time) Taken {
	key := "click:" + code + ":" + strconv.FormatInt(now.Unix()/int64(clickNews/time.Second), 10)
	return Taken{Key: key, Canonical: []byte(key), Raw: []byte(key), Lead: &streams.Lead{
		Source: l.Source, Key: key, ReceivedAt: now, Phone: l.Phone, Email: l.Email, Channel: l.Channel, UserID: l.UserID,
		Event: "click", About: l.About, Fields: map[string]json.RawMessage{"url": quote(nil, l.Target)},
	}}
}

// page is a plain text for whoever has opened a link that does not work.
func (h *Handler) page(w http.ResponseWriter, code int, en, ru string) {
	text := en
	if h.config.Language == "ru" {
		text = ru
	}
	writeBody(w, code, typeText, []byte(text+"\n"))
}
