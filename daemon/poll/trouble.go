package poll

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"leadstream/sinks/httpx"
)

// Why a channel brings nothing: the values of the label `why`.
const (
	whyToken       = "token"       // the service does not know it, or it may not do this
	whyWebhook     = "webhook"     // one is set, and with it nobody may ask
	whyPoller      = "poller"      // somebody else asks with the same token
	whyOff         = "off"         // long poll is switched off at the service
	whyUnreachable = "unreachable" // no answer, or one that says "later"
	whyUnreadable  = "unreadable"  // an answer that is none
	whyJournal     = "journal"     // we could not keep what it told
	whyGone        = "gone"        // our webhook is not set, and could not be set again
	whyElsewhere   = "elsewhere"   // it is set to an address that is not ours
	whyFailing     = "failing"     // it is set, and the service does not get through to us
	whyMissed      = "missed"      // new messages come, those of an outage cannot be fetched yet
)

var whys = []string{whyToken, whyWebhook, whyPoller, whyOff, whyUnreachable, whyUnreadable, whyJournal, whyGone, whyElsewhere, whyFailing, whyMissed}

// trouble is why a service could not be asked. Its error holds no secret and nothing that a person wrote.
type trouble struct {
	why  string
	wait time.Duration // before it is any use to ask again
	err  error
	raw  []byte // the whole answer that cannot be read

	refused bool // the question itself is held to be wrong
}

func (t *trouble) Error() string { return t.why + ": " + t.err.Error() }
func (t *trouble) Unwrap() error { return t.err }

func asTrouble(err error) *trouble {
	var t *trouble
	if errors.As(err, &t) {
		return t
	}
	return &trouble{why: whyUnreachable, err: err}
}

// Parked is how long to leave a service alone that only a person can make answer.
const (
	parkedToken = 10 * time.Minute
	parkedOther = time.Minute
)

// maxAnswer is the most that is read of an answer: a hundred events are less than a tenth of it.
const maxAnswer = 32 << 20

// api makes the calls of one service.
type api struct {
	http  *httpx.Client
	hurry float64 // tests: how many times shorter the pauses between calls are
	known *known  // conversations, of a service that lists none; nil: others

	mu   sync.Mutex
	next map[string]time.Time // by what is paced: when the next call may be
}

// pace waits until so long has passed since the call of that kind before.
func (a *api) pace(ctx context.Context, what string, least time.Duration) error {
	a.mu.Lock()
	if a.next == nil {
		a.next = map[string]time.Time{}
	}
	rest := time.Until(a.next[what])
	a.next[what] = time.Now().Add(max(rest, 0) + time.Duration(float64(least)/max(a.hurry, 1)))
	a.mu.Unlock()
	if rest > 0 && !sleep(ctx, rest) {
		return ctx.Err()
	}
	return nil
}

// ask makes a call and decodes an answer in JSON of any status into out; status says which it was. What is not JSON is the
// words of a proxy or a page for people.
func (a *api) ask(ctx context.Context, r httpx.Request, out any) (status int, err error) {
	r.Safe = true // net/http may repeat it on a connection that was closed meanwhile: each of these calls may be made twice
	got, err := a.http.Do(ctx, r)
	if err != nil {
		return 0, &trouble{why: whyUnreachable, err: err}
	}
	late := &trouble{why: whyUnreachable, wait: got.RetryAfter, err: fmt.Errorf("status %d", got.Status)}
	if got.Status == http.StatusTooManyRequests || got.Status >= 500 {
		_ = got.JSON(out) // may say how long to wait
		return got.Status, late
	}
	if err := got.JSON(out); err != nil {
		if !got.OK() {
			return got.Status, late
		}
		t := &trouble{why: whyUnreadable, err: err}
		if !got.Truncated {
			t.raw = got.Body
		}
		return got.Status, t
	}
	return got.Status, nil
}

// body is a request's JSON.
func body(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // made of texts and numbers
	}
	return b
}
