package bitrix24

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"leadstream/sinks/httpx"
	"leadstream/streams"
	"leadstream/streams/failpoint"
)

// command is one REST method with its parameters.
type command struct {
	method string
	params map[string]any
	read   bool // changes nothing: safe to repeat
}

// reply is what a command brought: a result, or the verdict that its failure means.
type reply struct {
	result json.RawMessage
	fail   *streams.Verdict
}

// envelope is every answer's frame.
type envelope struct {
	Result      json.RawMessage `json:"result"`
	Error       json.RawMessage `json:"error"`
	Description json.RawMessage `json:"error_description"`
	Time        json.RawMessage `json:"time"`
}

// refused tells an error answer. Old methods give an empty string as their error.
func (e envelope) refused() bool { return e.Error != nil && string(e.Error) != "null" }

// calls runs independent commands and answers a reply for each, in order: one alone directly, more by batches. Nothing
// is ever sent twice here; a batch that brought no answer leaves each of its commands with the same doubt.
func (s *Sink) calls(ctx context.Context, cmds []command) []reply {
	replies := make([]reply, len(cmds))
	var together []int
	for i, c := range cmds {
		switch v := s.unfit(ctx, c); {
		case v != nil:
			replies[i].fail = v
		case strings.Contains(c.query(), "%24result"): // a batch would replace it, wherever a customer wrote it
			replies[i] = s.call(ctx, c)
		default:
			together = append(together, i)
		}
	}
	size := s.set.Batch
	if s.budget.blocked("batch", s.now()) > 0 {
		size = 1
	}
	for part := range slices.Chunk(together, size) {
		part = slices.DeleteFunc(part, func(i int) bool { // time has passed since
			replies[i].fail = s.unfit(ctx, cmds[i])
			return replies[i].fail != nil
		})
		switch len(part) {
		case 0:
		case 1:
			replies[part[0]] = s.call(ctx, cmds[part[0]])
		default:
			s.batch(ctx, cmds, part, replies)
		}
	}
	return replies
}

// unfit tells a command that must not be sent now.
func (s *Sink) unfit(ctx context.Context, c command) *streams.Verdict {
	if err := ctx.Err(); err != nil {
		return &streams.Verdict{Result: streams.Retry, Err: fmt.Errorf("%s: nothing was sent: %w", c.method, err)}
	}
	if wait := s.budget.blocked(c.method, s.now()); wait > 0 {
		return &streams.Verdict{
			Result: streams.Pause, Scope: streams.ScopeMethod, PauseKey: c.method, After: wait,
			Err: fmt.Errorf("%s: its working time in the portal is used up", c.method),
		}
	}
	return nil
}

func (s *Sink) call(ctx context.Context, c command) reply {
	env, a, err := s.post(ctx, c.method, c.params, c.read)
	if err != nil || !env.refused() && env.Result == nil {
		if err == nil {
			err = errors.New("the answer holds neither a result nor an error")
		}
		v := httpx.Verdict(a, err, c.read)
		if v.Result == streams.Permanent { // not the portal has answered but something before it, to any lead
			v.Result, v.After = streams.Pause, config
		}
		v.Err = fmt.Errorf("%s: %w", c.method, v.Err)
		return reply{fail: &v}
	}
	s.budget.spent(c.method, env.Time)
	if env.refused() {
		return reply{fail: s.judge(c, refusal{status: a.Status, code: text(env.Error), text: text(env.Description), after: a.RetryAfter})}
	}
	s.budget.calm()
	return reply{result: env.Result}
}

// batch sends some of cmds as one request. halt is 0, for they are independent.
func (s *Sink) batch(ctx context.Context, cmds []command, part []int, replies []reply) {
	lines, read := map[string]string{}, true
	for _, i := range part {
		lines[key(i)] = cmds[i].method + "?" + cmds[i].query()
		read = read && cmds[i].read
	}
	whole := s.call(ctx, command{method: "batch", params: map[string]any{"halt": 0, "cmd": lines}, read: read})
	var out struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"result_error"`
		Time   json.RawMessage `json:"result_time"`
	}
	if whole.fail == nil {
		if err := json.Unmarshal(whole.result, &out); err != nil {
			v := httpx.Verdict(httpx.Answer{Status: http.StatusOK}, errors.New("batch: the answer holds no results"), read)
			whole.fail = &v
		}
	}
	limited := false
	results, failures, times := object(out.Result), object(out.Error), object(out.Time)
	for _, i := range part {
		c, k := cmds[i], key(i)
		switch {
		case whole.fail != nil:
			v := *whole.fail
			if c.read && v.Result == streams.Ambiguous {
				v.Result = streams.Retry
			}
			replies[i].fail = &v
			continue
		case failures[k] != nil:
			var e envelope
			_ = json.Unmarshal(failures[k], &e) // what does not decode is an error without a code
			replies[i].fail = s.judge(c, refusal{status: http.StatusBadRequest, code: text(e.Error), text: text(e.Description), again: limited})
			limited = limited || strings.EqualFold(replies[i].fail.Code, "QUERY_LIMIT_EXCEEDED")
		case results[k] != nil:
			replies[i].result = results[k]
		default:
			v := httpx.Verdict(httpx.Answer{Status: http.StatusOK}, fmt.Errorf("%s: the batch's answer does not mention it", c.method), c.read)
			replies[i].fail = &v
		}
		s.budget.spent(c.method, times[k])
	}
}

// key names a command in a batch. With bare numbers the answer would be a list at times, and a map at others.
func key(i int) string { return "c" + strconv.Itoa(i) }

// post sends one request, and once more to where a renamed portal points: a redirect has executed nothing.
func (s *Sink) post(ctx context.Context, method string, params map[string]any, read bool) (envelope, httpx.Answer, error) {
	var env envelope
	body, err := json.Marshal(params)
	if err != nil {
		return env, httpx.Answer{}, fmt.Errorf("%s: writing the parameters: %w", method, err)
	}
	s.mu.Lock()
	base := s.base
	s.mu.Unlock()
	ask := httpx.Request{URL: base + method, Body: body, Safe: read, Header: http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json"},
	}}
	a, err := s.http.Do(ctx, ask)
	failpoint.Hit(failpoint.BitrixAnswered)
	if err == nil && a.Status/100 == 3 {
		if moved := s.renamed(base, method, a.Header.Get("Location")); moved != "" {
			ask.URL = moved + method
			a, err = s.http.Do(ctx, ask)
		}
	}
	if err == nil && a.Status/100 != 3 {
		err = a.JSON(&env)
	}
	return env, a, err
}

// renamed takes the new host from a redirect, or answers "" when it leads elsewhere: to another path, which would give
// the webhook's secret to something that is no portal, or out of https.
func (s *Sink) renamed(base, method, location string) string {
	from, err1 := url.Parse(base)
	to, err2 := url.Parse(location)
	if err1 != nil || err2 != nil || to.Host == "" || to.Host == from.Host && to.Scheme == from.Scheme {
		return ""
	}
	if to.Scheme != "https" && to.Scheme != from.Scheme || strings.TrimSuffix(to.Path, ".json") != from.Path+method {
		return ""
	}
	from.Scheme, from.Host = to.Scheme, to.Host
	moved := from.String()
	s.mu.Lock()
	s.base = moved
	s.mu.Unlock()
	s.log.Warn().Str("sink", s.env.Name).Str("host", to.Host).Msg("the portal was renamed: put its new address into url")
	return moved
}

// query writes the parameters as PHP reads them: fields[fm][0][value]=…
func (c command) query() string {
	var pairs []string
	var add func(name string, v any)
	add = func(name string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				inner := url.QueryEscape(k)
				if name != "" {
					inner = name + "[" + inner + "]"
				}
				add(inner, v[k])
			}
		case []any:
			for i, e := range v {
				add(name+"["+strconv.Itoa(i)+"]", e)
			}
		default:
			pairs = append(pairs, name+"="+url.QueryEscape(fmt.Sprint(v)))
		}
	}
	add("", c.params)
	return strings.Join(pairs, "&")
}
