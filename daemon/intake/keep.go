package intake

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"time"

	"leadstream/streams"
	"leadstream/streams/failpoint"
)

// outcome is what became of one item.
type outcome struct {
	id     string
	status string
	err    *Error
	bot    bool // looks accepted to the sender; quarantined
}

// turn is how many items of a request are judged at a stretch. A thousand of them would keep a core for ten milliseconds,
// and the one who commits and the one who forwards, whose leads everybody waits for, would stand in line behind them.
const turn = 32

// keep makes what can be a lead durable, quarantines the rest, and answers. Nothing is answered before all of it is on
// disk: an item of an array never counts for less than a lead of its own.
func (h *Handler) keep(q *request, items []item) {
	outcomes := make([]outcome, len(items))
	taken := make([]Taken, 0, len(items))
	places := make([]int, 0, len(items))
	redirect := ""
	ctx, cancel := h.takeContext(q.r)
	defer cancel()
	for i, it := range items {
		if i%turn == turn-1 {
			runtime.Gosched()
		}
		t, out, why, wished := h.judge(q, it)
		redirect = wished
		if why != nil {
			if err := h.quarantine(ctx, q, *why, it.raw); err != nil {
				h.later(q, err)
				return
			}
			outcomes[i] = out
			continue
		}
		taken, places = append(taken, t), append(places, i)
	}
	failpoint.Hit(failpoint.IntakeJudged)
	receipts, err := h.take(ctx, taken)
	failpoint.Hit(failpoint.IntakeKept)
	if err != nil {
		h.later(q, err)
		return
	}
	for n, receipt := range receipts {
		outcomes[places[n]] = outcome{id: receipt.LeadID, status: receipt.Status}
		h.received(q, receipt)
	}
	h.answer(q, outcomes, items, redirect)
	failpoint.Hit(failpoint.IntakeAnswered)
}

// received logs a lead that is on disk.
func (h *Handler) received(q *request, r Receipt) {
	s := q.source
	if r.Conflict {
		s.meters.mapping.Inc()
		h.log.Warn().Str("lead", r.LeadID).Str("source", s.name).Msg("idempotency key came with another body")
	}
	h.log.Info().Str("lead", r.LeadID).Str("source", s.name).Str("status", r.Status).Dur("took", h.now().Sub(q.start)).Msg("lead taken")
}

func (h *Handler) take(ctx context.Context, taken []Taken) ([]Receipt, error) {
	switch len(taken) {
	case 0:
		return nil, nil
	case 1:
		receipt, err := h.taker.Take(ctx, taken[0])
		return []Receipt{receipt}, err
	}
	return h.taker.TakeAll(ctx, taken)
}

// reason is why an item is quarantined.
type reason struct{ code, text string }

// judge makes a lead of an item, or says why it cannot be one and what the sender is told.
func (h *Handler) judge(q *request, it item) (Taken, outcome, *reason, string) {
	s := q.source
	if it.err != nil {
		e := asError(it.err)
		return Taken{}, outcome{err: e}, &reason{e.Code, e.Text(s.language)}, ""
	}
	referer := ""
	if s.Public {
		referer = q.r.Referer()
	}
	it.members = withQuery(it.members, q.query)
	var d draft
	d.read(s, it, q.start, referer)
	switch {
	case d.honeypot:
		return Taken{}, s.bait(it), &reason{"honeypot", s.say("a field that people cannot see is filled", "заполнено поле, невидимое человеку")}, d.redirect
	case d.hasty:
		return Taken{}, s.bait(it), &reason{"too_fast", s.say("the form was filled faster than a person can", "форма заполнена быстрее, чем может человек")}, d.redirect
	case !d.any:
		return Taken{}, outcome{status: Ignored}, &reason{"empty", s.say("no field has a value", "ни в одном поле нет значения")}, d.redirect
	}
	if it.repaired {
		d.mapping++
		d.problem("the %s had line breaks inside its strings, the sender must escape them",
			"в %s переносы строк не экранированы, это нужно исправить у отправителя", "JSON")
	}
	t := Taken{Lead: d.lead, Raw: it.raw, Canonical: canonical(make([]byte, 0, len(it.raw)), it.members, s.volatile)}
	t.Key = h.key(q, &d, it.index)
	d.lead.Key = t.Key
	if d.mapping > 0 {
		s.meters.mapping.Add(float64(d.mapping))
		h.log.Warn().Str("source", s.name).Int("fields", d.mapping).Msg("placeholders instead of values")
	}
	return t, outcome{}, nil, d.redirect
}

// key is the sender's own name for the lead: of the request, with the item's place in an array, or else of the item.
func (h *Handler) key(q *request, d *draft, index int) string {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if key := strings.TrimSpace(q.r.Header.Get(name)); key != "" {
			if d.broken(name, key) {
				break
			}
			return itemKey(key, index)
		}
	}
	if sig := q.source.signature; sig != nil && sig.IDHeader != "" {
		return itemKey(q.r.Header.Get(sig.IDHeader), index)
	}
	return itemKey(d.lead.Key, 0)
}

// itemKey is the request's key for one item of its array; index 0 is no array.
func itemKey(key string, index int) string {
	if len(key) > 256 {
		key = streams.NewID(key)
	}
	if index > 0 {
		key += "#" + strconv.Itoa(index-1)
	}
	return key
}

// bait is the answer to a bot: that of a lead taken.
func (s *source) bait(it item) outcome {
	return outcome{id: streams.NewID(s.name, "bait", string(it.raw)), status: Accepted, bot: true}
}

func (s *source) say(en, ru string) string {
	if s.language == "ru" {
		return ru
	}
	return en
}

// quarantine keeps what could not become a lead.
func (h *Handler) quarantine(ctx context.Context, q *request, why reason, raw []byte) error {
	s := q.source
	err := h.taker.Quarantine(ctx, Quarantined{
		Source: s.name, Code: why.code, Reason: why.text, ContentType: q.r.Header.Get("Content-Type"), Raw: raw,
		ReceivedAt: q.start,
	})
	if err == nil {
		s.meters.quarantined.Inc()
		h.log.Warn().Str("source", s.name).Str("code", why.code).Int("bytes", len(raw)).Msg("quarantined")
	}
	return err
}

// reject quarantines a whole request that cannot be read, and tells the sender why.
func (h *Handler) reject(q *request, e *Error) {
	if q.link { // nobody's enquiry
		h.refuse(q, e, 0)
		return
	}
	ctx, cancel := h.takeContext(q.r)
	defer cancel()
	if q.worthKeeping(e) {
		if err := h.quarantine(ctx, q, reason{e.Code, e.Text(q.source.language)}, q.body); err != nil {
			h.later(q, err)
			return
		}
	}
	if q.source.protocol != nil && q.keyed && e.Code != "incomplete" && e.Code != "timeout" {
		q.source.result["quarantined"].Inc()
		q.source.thank(q) // see events: sent again it would be no better
		return
	}
	h.refuse(q, e, 0)
}

// worthKeeping leaves out tests, and what strangers could fill the disk with.
func (q *request) worthKeeping(e *Error) bool {
	cutShort := e.Code == "too_large" || e.Code == "incomplete" || e.Code == "timeout"
	return len(q.body) > 0 && !q.test() && (q.keyed || !cutShort)
}

// test is whether the sender only tries us out.
func (q *request) test() bool {
	return q.query.Get("test") == "1" || q.r.Header.Get("X-Test") == "1"
}

// later asks the sender to come again: nothing of the request counts as taken.
func (h *Handler) later(q *request, err error) {
	var over ErrOverloaded
	var down ErrUnavailable
	switch {
	case errors.Is(err, ErrTooLarge):
		h.reject(q, fault("too_large", ""))
		return
	case errors.As(err, &over):
		h.refuse(q, fault("too_many_requests", ""), or(over.RetryAfter, time.Second))
	case errors.As(err, &down):
		h.refuse(q, fault("unavailable", ""), or(down.RetryAfter, 5*time.Second))
	default:
		h.refuse(q, fault("unavailable", ""), 5*time.Second)
	}
	h.log.Error().Err(err).Str("source", q.source.name).Msg("lead not taken, the sender is asked to come again")
}
