package httpx

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"leadstream/streams"
	"leadstream/streams/failpoint"
)

const (
	waitUnasked = 10 * time.Second // after a 429 that names no time
	pauseConfig = 5 * time.Minute  // until the next probe, where a person must act
)

// Verdict turns the outcome of one call into a verdict by the rules that hold for any HTTP API; a sink that knows the
// far side's own codes looks at those first.
//
// err is what Do answered or, if that was nil, what reading the answer found: an answer in 2xx is done only with a nil
// err, so pass the error of Answer.JSON. idempotent says that sending the same again is safe.
func Verdict(a Answer, err error, idempotent bool) streams.Verdict {
	var broken *Error
	if errors.As(err, &broken) {
		return transportVerdict(broken, idempotent)
	}
	if a.OK() {
		if failpoint.Seeded(failpoint.AnySuccess) {
			return streams.Verdict{}
		}
		if err == nil && a.Truncated {
			err = fmt.Errorf("the answer is longer than %d bytes", len(a.Body))
		}
		if err == nil {
			return streams.Verdict{}
		}
		return unsure(idempotent, streams.Verdict{Fault: true, Err: err})
	}
	v := streams.Verdict{Code: strconv.Itoa(a.Status), Err: statusError(a)}
	switch {
	case a.Status == http.StatusTooManyRequests:
		v.Result, v.After = streams.Wait, waitUnasked
		if a.Asked {
			v.After = a.RetryAfter
		}
	case a.Status == http.StatusRequestTimeout, a.Status >= 500:
		v.Fault, v.After = true, a.RetryAfter
		return unsure(idempotent, v)
	case a.Status == http.StatusTooEarly:
		v.Result, v.After = streams.Retry, a.RetryAfter
	case a.Status < 400,
		a.Status == http.StatusUnauthorized,
		a.Status == http.StatusPaymentRequired,
		a.Status == http.StatusForbidden,
		a.Status == http.StatusProxyAuthRequired:
		v.Result, v.After = streams.Pause, pauseConfig
	default:
		v.Result = streams.Permanent
	}
	return v
}

func transportVerdict(e *Error, idempotent bool) streams.Verdict {
	v := streams.Verdict{Err: e, Fault: !e.Canceled}
	switch {
	case e.Is(ErrPrivate):
		v.Result, v.After, v.Fault = streams.Pause, pauseConfig, false
	case e.Sent:
		return unsure(idempotent, v)
	default:
		v.Result = streams.Retry
	}
	return v
}

func unsure(idempotent bool, v streams.Verdict) streams.Verdict {
	v.Result = streams.Ambiguous
	if idempotent {
		v.Result = streams.Retry
	}
	return v
}

// statusError says what is wrong and, where a person must act, the cure. It quotes nothing of the body: answers echo
// the customer's data.
func statusError(a Answer) error {
	text := fmt.Sprintf("answered HTTP %d %s", a.Status, http.StatusText(a.Status))
	switch {
	case a.Status < 400:
		host := "another address"
		if u, err := url.Parse(a.Header.Get("Location")); err == nil && u.Host != "" {
			host = u.Host
		}
		text += ": redirects are not followed; if " + host + " is right, put it into the url"
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		text += ": check the key and its rights"
	case a.Status == http.StatusPaymentRequired:
		text += ": check the account's balance or plan"
	}
	return errors.New(strings.TrimSpace(text))
}

// RetryAfter reads the header of that name: seconds, whole or not, or a date. A past date is 0; more than an hour is
// cut to an hour, since nobody means a year; garbage is not there.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	return retryAfter(h, now, time.Hour)
}

func retryAfter(h http.Header, now time.Time, most time.Duration) (time.Duration, bool) {
	s := strings.TrimSpace(h.Get("Retry-After"))
	if s == "" {
		return 0, false
	}
	if strings.Trim(s, "0123456789.") == "" {
		secs, err := strconv.ParseFloat(s, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return 0, false
		}
		return time.Duration(min(secs, most.Seconds()) * float64(time.Second)), true
	}
	at, err := http.ParseTime(s)
	if err != nil || failpoint.Seeded(failpoint.DateIgnored) {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date // the far side's clock wrote both
	}
	return min(max(at.Sub(now), 0), most), true
}
