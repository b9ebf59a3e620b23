package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"leadstream/processors/monitor"
	"leadstream/sinks/calendar"
	"leadstream/sinks/records"
	"leadstream/streams"
)

// AdminAPI is the operator's HTTP API, on a unix socket that only the daemon's user can open. Whoever can open it may do
// everything that it can.
type AdminAPI struct {
	Operator Operator
	Lessons  *lessons          // nil: nothing can be taught
	Records  *records.Store    // nil: none are kept
	Calendar calendar.Calendar // nil: nothing is booked
	Config   *Config
	Language lang
	Log      zerolog.Logger
	Alerts   *monitor.Monitor // nil: nobody is told of anything
}

// maxAsk bounds the body of an admin request: a list of ids.
const maxAsk = 4 << 20

// Handler serves the API.
func (a *AdminAPI) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/leads", a.answer(a.leads))
	mux.HandleFunc("GET /v1/leads/{id}", a.answer(a.lead))
	mux.HandleFunc("GET /v1/status", a.answer(func(r *http.Request) (any, error) { return a.Operator.Status(r.Context()) }))
	mux.HandleFunc("GET /v1/simulated", a.answer(func(r *http.Request) (any, error) { return a.Config.simulated(r.Context()), nil }))
	mux.HandleFunc("GET /v1/alerts", a.answer(a.alerts))
	mux.HandleFunc("POST /v1/alerts/{id}/ack", a.answer(a.ack))
	mux.HandleFunc("GET /v1/dead", a.answer(a.deadLetters))
	mux.HandleFunc("GET /v1/dead/{id}", a.answer(a.deadLetter))
	mux.HandleFunc("POST /v1/dead/replay", a.answer(a.replay))
	mux.HandleFunc("POST /v1/dead/drop", a.answer(a.drop))
	mux.HandleFunc("POST /v1/destinations/{name}/pause", a.answer(a.pause))
	mux.HandleFunc("POST /v1/destinations/{name}/resume", a.answer(a.resume))
	mux.HandleFunc("GET /v1/customers", a.withRecords(a.customers))
	mux.HandleFunc("GET /v1/customers/{id}", a.withRecords(a.customer))
	mux.HandleFunc("GET /v1/export/customers", a.withRecords(a.exportCustomers))
	mux.HandleFunc("GET /v1/messages/{id}", a.withRecords(a.messages))
	mux.HandleFunc("GET /v1/sequences", a.withRecords(a.sequenceCounts))
	mux.HandleFunc("GET /v1/bookings", a.withCalendar(a.listBookings))
	mux.HandleFunc("GET /v1/bookings/free", a.withCalendar(a.freeTimes))
	mux.HandleFunc("POST /v1/bookings", a.withCalendar(a.addBooking))
	mux.HandleFunc("POST /v1/bookings/{id}/move", a.withCalendar(a.moveBooking))
	mux.HandleFunc("POST /v1/bookings/{id}/cancel", a.withCalendar(a.cancelBooking))
	if a.Lessons != nil {
		a.Lessons.handle(mux, a)
	}
	return mux
}

// errAsk is a request that makes no sense.
type errAsk struct{ field, en, ru string }

func (e errAsk) Error() string { return e.field + ": " + e.en }

// answer writes what do gives as JSON, or its error in the shape of all our errors.
func (a *AdminAPI) answer(do func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxAsk)
		v, err := do(r)
		if err == nil {
			writeJSON(w, http.StatusOK, v)
			return
		}
		var ask errAsk
		switch {
		case errors.As(err, &ask):
			writeError(w, http.StatusBadRequest, "bad_request", a.Language.say(ask.en, ask.ru), ask.field)
		case errors.Is(err, ErrNotFound):
			writeError(w, http.StatusNotFound, "not_found", err.Error(), "")
		default:
			if !errors.Is(err, context.Canceled) {
				a.Log.Error().Err(err).Str("path", r.URL.Path).Msg("admin request")
			}
			writeError(w, http.StatusInternalServerError, "internal", err.Error(), "")
		}
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader is gone: nobody to tell
}

func writeError(w http.ResponseWriter, status int, code, message, field string) {
	e := map[string]string{"code": code, "message": message}
	if field != "" {
		e["field"] = field
	}
	writeJSON(w, status, map[string]any{"ok": false, "error": e})
}

func (a *AdminAPI) leads(r *http.Request) (any, error) {
	v := values{r}
	q := LeadQuery{State: streams.State(v.get("state")), Source: v.get("source"), Text: v.get("q"), Cursor: v.get("cursor")}
	err := errors.Join(v.state(q.State), v.time("since", &q.Since), v.time("until", &q.Until), v.limit(&q.Limit))
	if err != nil {
		return nil, err
	}
	page, err := a.Operator.Lives(r.Context(), q)
	if page.Leads == nil {
		page.Leads = []streams.Life{}
	}
	return page, err
}

func (a *AdminAPI) lead(r *http.Request) (any, error) {
	return a.Operator.Life(r.Context(), r.PathValue("id"))
}

func (a *AdminAPI) deadLetters(r *http.Request) (any, error) {
	v := values{r}
	q := DeadQuery{State: streams.State(v.get("state")), Destination: v.get("destination"), Source: v.get("source"), Text: v.get("q"), Cursor: v.get("cursor")}
	err := errors.Join(v.state(q.State), v.time("since", &q.Since), v.time("until", &q.Until), v.limit(&q.Limit))
	if err != nil {
		return nil, err
	}
	page, err := a.Operator.DeadLetters(r.Context(), q)
	if page.Dead == nil {
		page.Dead = []streams.DeadLetter{}
	}
	return page, err
}

func (a *AdminAPI) deadLetter(r *http.Request) (any, error) {
	return a.Operator.DeadLetter(r.Context(), r.PathValue("id"))
}

// Selection is the body of a replay or a drop.
type Selection struct {
	IDs    []string   `json:"ids,omitempty"`
	Filter *DeadQuery `json:"filter,omitempty"`
	All    bool       `json:"all,omitempty"` // said aloud: an empty filter by mistake would take everything
	Reason string     `json:"reason,omitempty"`
}

// Count is the answer: how many entries it was done to.
type Count struct {
	Count int `json:"count"`
}

func (a *AdminAPI) replay(r *http.Request) (any, error) {
	_, q, err := selection(r)
	if err != nil {
		return nil, err
	}
	n, err := a.Operator.Replay(r.Context(), q)
	a.Log.Info().Int("count", n).Err(err).Msg("dead letters replayed by an operator")
	return Count{n}, err
}

func (a *AdminAPI) drop(r *http.Request) (any, error) {
	s, q, err := selection(r)
	if err != nil {
		return nil, err
	}
	if s.Reason == "" {
		return nil, errAsk{"reason", "say why they are dropped", "скажите, почему они закрываются"}
	}
	n, err := a.Operator.DropDead(r.Context(), q, s.Reason)
	a.Log.Info().Int("count", n).Err(err).Msg("dead letters dropped by an operator")
	return Count{n}, err
}

func selection(r *http.Request) (Selection, DeadQuery, error) {
	var s Selection
	if err := readBody(r, &s); err != nil {
		return s, DeadQuery{}, err
	}
	var q DeadQuery
	if s.Filter != nil {
		q = *s.Filter
	}
	q.IDs = append(q.IDs, s.IDs...)
	if q.all() && !s.All {
		return s, q, errAsk{"ids", "name ids or a filter, or say all", "назовите номера или отбор, либо скажите all"}
	}
	return s, q, nil
}

// PauseAsk is the body of a pause.
type PauseAsk struct {
	For    string `json:"for,omitempty"` // duration; empty: until it is resumed
	Reason string `json:"reason,omitempty"`
}

func (a *AdminAPI) pause(r *http.Request) (any, error) {
	var p PauseAsk
	if err := readBody(r, &p); err != nil {
		return nil, err
	}
	var d time.Duration
	if p.For != "" {
		var err error
		if d, err = parseDuration(p.For); err != nil || d <= 0 {
			return nil, errAsk{"for", "must be a duration, like 30m or 2h", "должна быть длительность, например 30m или 2h"}
		}
	}
	name := r.PathValue("name")
	err := a.Operator.Pause(r.Context(), name, d, p.Reason)
	a.Log.Info().Str("queue", name).Dur("for", d).Err(err).Msg("paused by an operator")
	return map[string]bool{"ok": true}, err
}

func (a *AdminAPI) resume(r *http.Request) (any, error) {
	name := r.PathValue("name")
	err := a.Operator.Resume(r.Context(), name)
	a.Log.Info().Str("queue", name).Err(err).Msg("resumed by an operator")
	return map[string]bool{"ok": true}, err
}

func readBody(r *http.Request, to any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return errAsk{"body", "is not the JSON that this needs: " + err.Error(), "не тот JSON, который нужен: " + err.Error()}
	}
	return nil
}

// values reads a request's parameters.
type values struct{ *http.Request }

func (v values) get(name string) string { return v.URL.Query().Get(name) }

func (v values) state(s streams.State) error {
	if s == "" || slices.Contains(states, s) {
		return nil
	}
	return errAsk{"state", "must be in_flight, held, delivered, merged, dropped, dead or erased",
		"должно быть in_flight, held, delivered, merged, dropped, dead или erased"}
}

var states = []streams.State{streams.InFlight, streams.Held, streams.Delivered, streams.Merged, streams.Dropped, streams.Dead, streams.Erased}

func (v values) time(name string, to *time.Time) error { return parseMoment(name, v.get(name), to) }

// parseMoment reads a moment, or a duration before now: 24h, 7d.
func parseMoment(name, s string, to *time.Time) error {
	if s == "" {
		return nil
	}
	if d, err := parseDuration(s); err == nil {
		*to = time.Now().Add(-d)
		return nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		*to = t
		return nil
	}
	t, err := time.ParseInLocation(time.DateOnly, s, time.Local)
	if err != nil {
		return errAsk{name, "must be a time like 2026-01-31T09:00:00Z, a date, or a duration before now like 24h",
			"должно быть время вида 2026-01-31T09:00:00Z, дата или длительность до сих пор, например 24h"}
	}
	*to = t
	return nil
}

const (
	usualLimit = 50
	maxLimit   = 1000
)

func (v values) limit(to *int) error {
	*to = usualLimit
	s := v.get("limit")
	if s == "" {
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxLimit {
		return errAsk{"limit", "must be 1 to " + strconv.Itoa(maxLimit), "должно быть от 1 до " + strconv.Itoa(maxLimit)}
	}
	*to = n
	return nil
}
