package bitrix24

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"time"

	"leadstream/sinks/httpx"
	"leadstream/streams"
	"leadstream/streams/failpoint"
)

const (
	byHand  = 15 * time.Minute // until the next probe, where the portal's owner or support must act
	config  = 5 * time.Minute  // the same, where our own settings are wrong
	minutes = time.Minute      // the portal's buckets of working time
)

// meaning is what an error code says about the call that brought it.
type meaning struct {
	result streams.Result // Ambiguous becomes Retry for reads
	scope  streams.Scope
	after  time.Duration
	cure   string
}

// codes are the portal's error codes, in lower case. Codes come first, the HTTP status second: 503 is the rate limit
// or a block by hand, 403 may be about the plan, the scope, the user or one item.
var codes = map[string]meaning{
	"query_limit_exceeded":            {result: streams.Pause},                             // after: budget.slow
	"operation_time_limit":            {result: streams.Pause, scope: streams.ScopeMethod}, // after: budget.reset
	"overload_limit":                  {streams.Pause, "", byHand, "REST was blocked by hand: write to Bitrix24's support"},
	"no_auth_found":                   {streams.Pause, "", config, "the webhook is wrong, removed or expired: make a new one and put it into url"},
	"expired_token":                   {streams.Pause, "", config, "the token has expired: use an inbound webhook"},
	"invalid_credentials":             {streams.Pause, "", config, "the webhook's owner lacks rights: let an administrator make the webhook"},
	"insufficient_scope":              {streams.Pause, streams.ScopeMethod, config, "tick the scopes crm and task in the webhook"},
	"access_denied":                   {streams.Pause, "", config, "the webhook's owner may not do this: give them rights in the CRM"},
	"payment_required":                {streams.Pause, "", byHand, "REST needs a paid plan"},
	"allowed_only_intranet_user":      {streams.Pause, streams.ScopeMethod, config, "the webhook's owner must be an employee"},
	"user_access_error":               {streams.Pause, streams.ScopeMethod, config, "the webhook's owner has no access to this method"},
	"wrong_auth_type":                 {streams.Pause, streams.ScopeMethod, config, "this method needs an application, not a webhook"},
	"error_method_not_found":          {streams.Pause, streams.ScopeMethod, config, "the portal lacks this method: is the module installed?"},
	"error_batch_method_not_allowed":  {streams.Pause, streams.ScopeMethod, config, "set batch: 1"},
	"error_batch_length_exceeded":     {streams.Pause, streams.ScopeMethod, config, "lower batch"},
	"create_dynamic_item_restricted":  {streams.Pause, "", byHand, "the portal's plan does not allow it"},
	"invalid_request":                 {streams.Pause, "", config, "use https in url"},
	"portal_deleted":                  {streams.Pause, "", byHand, "the portal is closed"},
	"not_found":                       {result: streams.Permanent},
	"error_entity_not_found":          {result: streams.Permanent},
	"owner_not_found":                 {result: streams.Permanent},
	"crm_field_error_value_not_valid": {result: streams.Permanent},
	"invalid_arg_value":               {result: streams.Permanent},
	"wrong_datetime_format":           {result: streams.Permanent},
	"100":                             {result: streams.Permanent},
	"error_core":                      {result: streams.Permanent},
	"internal_server_error":           {result: streams.Ambiguous}, // may have been executed
	"error_unexpected_answer":         {result: streams.Ambiguous},
}

// refusal is a decoded error answer.
type refusal struct {
	status     int
	code, text string
	after      time.Duration
	again      bool // an earlier command of the same batch was refused for the rate
}

// judge turns a refusal into a verdict.
func (s *Sink) judge(c command, r refusal) *streams.Verdict {
	code := strings.ToLower(strings.TrimSpace(r.code))
	low := strings.ToLower(r.text)
	if code == "" && strings.Contains(low, "access denied") {
		code = "access_denied"
	}
	m, known := codes[code]
	switch {
	case !known:
		return s.unknown(c, r)
	case code == "access_denied" && strings.Contains(low, "commercial"):
		m = codes["payment_required"]
	case code == "access_denied" && aboutOneItem(c.method):
		m = meaning{result: streams.Permanent}
	case code == "query_limit_exceeded":
		m.after = s.budget.slow(r.again)
	case code == "operation_time_limit":
		m.after = s.budget.reset(c.method, s.now())
	case code == "no_auth_found" && failpoint.Seeded(failpoint.UnauthorizedDies):
		m = meaning{result: streams.Permanent}
	}
	v := &streams.Verdict{Result: m.result, After: max(m.after, r.after), Scope: m.scope, Code: r.code, Err: s.reason(c, r, m.cure)}
	if m.scope == streams.ScopeMethod {
		v.PauseKey = c.method
	}
	if m.result == streams.Ambiguous {
		v.Fault = true
		if c.read {
			v.Result = streams.Retry
		}
	}
	return v
}

// unknown judges by the status. An error inside a 200 leaves open what was done.
func (s *Sink) unknown(c command, r refusal) *streams.Verdict {
	v := httpx.Verdict(httpx.Answer{Status: r.status, RetryAfter: r.after, Asked: r.after > 0}, errors.New("an error"), c.read)
	v.Err = s.reason(c, r, "")
	if r.code != "" {
		v.Code = r.code
	}
	return &v
}

// aboutOneItem tells methods whose refusal says something about the card they hang on, not about us.
func aboutOneItem(method string) bool {
	return strings.HasPrefix(method, "crm.timeline.") || strings.HasPrefix(method, "crm.activity.") || strings.HasPrefix(method, "tasks.")
}

// gone tells that the card is not there any more.
func gone(v *streams.Verdict) bool {
	switch strings.ToLower(v.Code) {
	case "not_found", "error_entity_not_found", "owner_not_found":
		return true
	}
	return false
}

// reason is the error of a refusal: code, the portal's text without what it tells of the customer, the cure.
func (s *Sink) reason(c command, r refusal, cure string) error {
	out := strings.TrimSpace(fmt.Sprintf("%s: HTTP %d %s", c.method, r.status, r.code))
	if t := s.http.Scrub(anonymous(r.text, c.params)); t != "" && !s.quiet {
		out += ": " + cutRunes(t, 200)
	}
	if cure != "" {
		out += " (" + cure + ")"
	}
	return errors.New(out)
}

// personal is what portals quote: addresses, and numbers as long as a phone's.
var personal = regexp.MustCompile(`\S+@\S+|\+?\d[\d\-() ]{4,}\d`)

// anonymous blots out of a portal's text whatever we sent it, except for names of types.
func anonymous(text string, params any) string {
	var sent func(key string, v any)
	sent = func(key string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				sent(k, e)
			}
		case []any:
			for _, e := range v {
				sent("", e)
			}
		case string:
			if len(v) > 2 && key != "typeId" && key != "valueType" && key != "VALUE_TYPE" {
				text = strings.ReplaceAll(text, v, "…")
			}
		}
	}
	sent("", params)
	return personal.ReplaceAllString(text, "…")
}

// budget watches the portal's limits: requests a second, and the working time of each method.
type budget struct {
	limit float64 // seconds

	mu     sync.Mutex
	hits   int // refusals for the rate in a row
	resets map[string]time.Time
	until  map[string]time.Time
}

// spent notes what an answer says about its method's working time, and stops the method shortly before the portal does.
func (b *budget) spent(method string, raw json.RawMessage) {
	var t struct {
		Operating json.RawMessage `json:"operating"`
		Reset     json.RawMessage `json:"operating_reset_at"`
	}
	if json.Unmarshal(raw, &t) != nil {
		return
	}
	used, reset := seconds(t.Operating), seconds(t.Reset)
	if reset <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.resets == nil {
		b.resets, b.until = map[string]time.Time{}, map[string]time.Time{}
	}
	at := time.Unix(int64(reset), 0)
	b.resets[method] = at
	if b.limit > 0 && used >= 0.95*b.limit {
		b.until[method] = at
	}
}

func seconds(raw json.RawMessage) float64 {
	var f float64
	if json.Unmarshal([]byte(text(raw)), &f) != nil {
		return 0
	}
	return f
}

// blocked is how long a method must rest, 0 when it need not. No reset is further off than the ten minutes it is about.
func (b *budget) blocked(method string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return min(max(b.until[method].Sub(now), 0), 11*minutes)
}

// reset stops a method that the portal has refused, until the time that its last good answer named.
func (b *budget) reset(method string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := b.resets[method].Sub(now)
	if wait <= 0 || wait > 11*minutes {
		wait = minutes
	}
	if b.until == nil {
		b.resets, b.until = map[string]time.Time{}, map[string]time.Time{}
	}
	b.until[method] = now.Add(wait)
	return wait
}

// slow is the pause after a refusal for the rate: 1 to 2 s, longer with each request in a row. again says that another
// command of the same request was refused too.
func (b *budget) slow(again bool) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !again {
		b.hits++
	}
	d := min(time.Second<<min(max(b.hits-1, 0), 5), 30*time.Second)
	return d + rand.N(d)
}

func (b *budget) calm() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hits = 0
}
