package talk

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"leadstream/sinks"
	"leadstream/sinks/httpx"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// graphURL is Meta's Graph API. A version lives for two years.
const graphURL = "https://graph.facebook.com/v23.0"

// graph sends messages through Meta's Graph API, which knows neither keys nor a history of what was sent: a lost answer stays
// Ambiguous, until a webhook tells what the service gave back of the message.
type graph struct {
	who         string // in errors
	base, token string
	account     string // whose messages they are: a phone number's id, a page's, an Instagram account's
	rulings     map[string]ruling
	http        *httpx.Client
	now         func() time.Time

	mu    sync.Mutex
	hasty map[string]haste // by recipient, and "" for the channel
}

// metaWindow is how long after a customer's last word all of Meta's services take free words: a day, less what a message may
// need until Meta looks at it.
const metaWindow = 24*time.Hour - 5*time.Minute

// ruling is what an error code of Meta's means.
type ruling struct {
	result streams.Result
	means  outbound.Means
	scope  streams.Scope
	key    string // Pause of a method: which
	after  time.Duration
	grows  bool   // After is four times as long each time that it comes again
	say    string // what is wrong, and what to do where a person must act
}

// Lengths of pauses where a person must act, or Meta has to calm down.
const (
	graphConfig = 5 * time.Minute // a token, a right, a number: looked at again that often
	graphCalls  = 5 * time.Minute // of the application's calls
	graphStern  = time.Hour       // a restriction: hours, as Meta says
)

// templates is the method that is paused when free words still pass.
const templates = "template"

func graphPause(after time.Duration, say string) ruling {
	return ruling{result: streams.Pause, after: after, say: say}
}

func graphFinal(means outbound.Means, say string) ruling {
	return ruling{result: streams.Permanent, means: means, say: say}
}

// graphRulings hold for all of the Graph API.
var graphRulings = map[string]ruling{
	"0":      graphPause(graphConfig, "the token is refused: put a present one into token"),
	"3":      graphPause(graphConfig, "the application lacks a right: give it back to the token"),
	"10":     graphPause(graphConfig, "the application lacks a right: give it back to the token"),
	"102":    graphPause(graphConfig, "the token is refused: put a present one into token"),
	"190":    graphPause(graphConfig, "the token is refused: put a present one into token"),
	"100/33": graphPause(graphConfig, "there is no such sender, or the token does not open it: correct the account's number and the token"),
	"368":    graphPause(graphStern, "Meta has blocked the account for a breach of its rules: look into the Business Manager"),
	"4":      graphPause(graphCalls, "the application has made too many calls"),
	"17":     graphPause(graphCalls, "too many calls were made"),
	"32":     graphPause(graphCalls, "too many calls were made of this page"),
	"1":      {result: streams.Ambiguous, say: "a fault of Meta's"},
	"2":      {result: streams.Ambiguous, say: "a fault of Meta's"},
	"100":    graphFinal("", "Meta refuses the request as it is"),
}

// graphRights are the codes of rights that are missing (developers.facebook.com/docs/graph-api/guides/error-handling).
func graphRights(code int) bool { return code >= 200 && code <= 299 }

// openGraph makes the client of a channel. Its errors name the keys.
func openGraph(g *graph, caFile, proxy string, allowPrivate bool, env sinks.Env) (*graph, error) {
	var faults []error
	if g.token == "" {
		faults = append(faults, errors.New(`token: is missing; write the token that Meta gives, say "${env:META_TOKEN}"`))
	}
	if u, err := url.Parse(g.base); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		faults = append(faults, errors.New("base_url: is not a URL; leave it out, or write "+graphURL))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	client, err := httpx.New(httpx.Options{
		Timeout: cmp.Or(env.Timeout, 30*time.Second), CAFile: caFile, Proxy: proxy, AllowPrivate: allowPrivate,
		UserAgent: "leadstream/" + env.Version, Secrets: []string{g.token},
	})
	if err != nil {
		return nil, err
	}
	g.base, g.http, g.now, g.hasty = strings.TrimRight(g.base, "/"), client, time.Now, map[string]haste{}
	return g, nil
}

// graphAnswer is what the Graph API says of a message, or why not.
type graphAnswer struct {
	Error *struct {
		Code    int64 `json:"code"`
		Subcode int64 `json:"error_subcode"`
	} `json:"error"`
	Messages []struct { // WhatsApp
		ID string `json:"id"`
	} `json:"messages"`
	Message string `json:"message_id"` // Messenger and Instagram
}

func (a *graphAnswer) id() string {
	if len(a.Messages) > 0 {
		return a.Messages[0].ID
	}
	return a.Message
}

// send sends one message.
func (g *graph) send(ctx context.Context, to string, message any, approved bool) outbound.Tried {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(message); err != nil {
		return local(g.who, "json", "the message does not become JSON")
	}
	a, err := g.http.Do(ctx, httpx.Request{URL: g.base + "/" + g.account + "/messages", Body: bytes.TrimSpace(body.Bytes()),
		Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + g.token}}})
	var answer graphAnswer
	if err == nil {
		err = a.JSON(&answer)
	}
	return g.tried(a, answer, err, to, approved)
}

// tried goes by Meta's codes, wherever there is one; HTTP's status says nothing beside them.
func (g *graph) tried(a httpx.Answer, answer graphAnswer, err error, to string, approved bool) outbound.Tried {
	switch {
	case err != nil:
		return outbound.Tried{Verdict: httpx.Verdict(a, g.error(err), false)}
	case answer.Error != nil:
		return g.refusal(a, answer.Error.Code, answer.Error.Subcode, to, approved)
	case answer.id() == "":
		return outbound.Tried{Verdict: httpx.Verdict(a, errors.New(g.who+": the answer names no message"), false)}
	}
	g.calm(to)
	return outbound.Tried{Verdict: streams.Verdict{Remote: answer.id()}}
}

// error says who speaks. Errors of httpx keep what they know of sent and not sent, so they stay as they are.
func (g *graph) error(err error) error {
	var broken *httpx.Error
	if errors.As(err, &broken) {
		return err
	}
	return fmt.Errorf("%s: %w", g.who, err)
}

func (g *graph) refusal(a httpx.Answer, code, sub int64, to string, approved bool) outbound.Tried {
	v := streams.Verdict{Code: strconv.FormatInt(code, 10)}
	r, known := g.rulings[v.Code]
	if sub != 0 {
		both := v.Code + "/" + strconv.FormatInt(sub, 10)
		if exact, ok := g.rulings[both]; ok {
			r, known, v.Code = exact, true, both
		}
	}
	switch {
	case known:
	case graphRights(int(code)):
		r = graphRulings["10"]
	case a.Status >= 500:
		r = ruling{result: streams.Ambiguous, say: "a fault of Meta's"}
	default:
		r = graphFinal("", "Meta refuses the message")
	}
	v.Result, v.Scope, v.PauseKey, v.After = r.result, r.scope, r.key, max(r.after, a.RetryAfter)
	v.Err = fmt.Errorf("%s: %s (code %d/%d)", g.who, r.say, code, sub)
	v.Fault = r.result == streams.Ambiguous
	if r.result == streams.Pause && r.key == templates && !approved { // what fails without a template stops everything
		v.Scope, v.PauseKey = streams.ScopeSink, ""
	}
	if r.grows {
		of := ""
		if r.scope == streams.ScopeKey {
			of = to
		}
		v.After = max(g.slower(of, r.after), a.RetryAfter)
	}
	return outbound.Tried{Verdict: v, Means: r.means}
}

// haste is how often in a row something was said too fast, and until when it is to wait.
type haste struct {
	times int
	until time.Time
}

// The longest wait of one who was too fast, and for how many recipients their haste is remembered: forgetting costs a
// shorter wait.
const (
	mostHaste = time.Hour
	mostHasty = 1000
)

// slower is how long whoever was too fast has to wait: first, and four times as long each time that it comes again. What
// comes while it waits already, since several were under way at once, makes it no longer.
func (g *graph) slower(of string, first time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	h := g.hasty[of]
	if left := h.until.Sub(now); left > 0 {
		return max(left, min(first, time.Second))
	}
	if now.Sub(h.until) > mostHaste {
		h.times = 0
	}
	wait := min(first<<min(2*h.times, 20), mostHaste)
	if len(g.hasty) >= mostHasty {
		clear(g.hasty)
	}
	g.hasty[of] = haste{h.times + 1, now.Add(wait)}
	return wait
}

// calm forgets the haste of a recipient, and of the channel, once a message was taken.
func (g *graph) calm(to string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.hasty, to)
	if h, ok := g.hasty[""]; ok && !h.until.After(g.now()) {
		delete(g.hasty, "")
	}
}

// read asks for fields of the sender's.
func (g *graph) read(ctx context.Context, fields string, out any) error {
	a, err := g.http.Do(ctx, httpx.Request{URL: g.base + "/" + g.account + "?fields=" + url.QueryEscape(fields), Safe: true,
		Header: http.Header{"Authorization": {"Bearer " + g.token}}})
	var answer graphAnswer
	if err == nil {
		err = a.JSON(&answer)
	}
	switch {
	case err != nil:
		if v := httpx.Verdict(a, g.error(err), false); v.Err != nil {
			return v.Err
		}
		return g.error(err)
	case answer.Error != nil:
		return g.refusal(a, answer.Error.Code, answer.Error.Subcode, "", false).Err
	case !a.OK():
		return httpx.Verdict(a, nil, false).Err
	}
	if err := a.JSON(out); err != nil {
		return g.error(err)
	}
	return nil
}

// local is the verdict on words that the service would refuse, without asking it.
func local(who, code, say string) outbound.Tried {
	return outbound.Tried{Verdict: streams.Verdict{Result: streams.Permanent, Code: code, Err: errors.New(who + ": " + say)}}
}
