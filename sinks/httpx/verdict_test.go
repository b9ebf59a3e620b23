package httpx

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/streams"
)

func TestVerdict(t *testing.T) {
	undecodable := errors.New("not JSON")
	status := func(code int, header ...string) Answer {
		a := Answer{Status: code, Header: http.Header{}, Sent: true}
		for i := 0; i < len(header); i += 2 {
			a.Header.Set(header[i], header[i+1])
		}
		a.RetryAfter, a.Asked = RetryAfter(a.Header, time.Now())
		return a
	}
	type want struct {
		Result streams.Result
		After  time.Duration
		Fault  bool
		Code   string
	}
	cases := map[string]struct {
		answer     Answer
		err        error
		idempotent bool
		want       want
	}{
		"read and understood":   {answer: status(201), want: want{}},
		"2xx, not understood":   {answer: status(200), err: undecodable, want: want{Result: streams.Ambiguous, Fault: true}},
		"the same, keyed":       {answer: status(200), err: undecodable, idempotent: true, want: want{Result: streams.Retry, Fault: true}},
		"2xx, endless":          {answer: Answer{Status: 200, Truncated: true}, want: want{Result: streams.Ambiguous, Fault: true}},
		"redirect":              {answer: status(302), want: want{Result: streams.Pause, After: pauseConfig, Code: "302"}},
		"bad data":              {answer: status(422), err: undecodable, want: want{Result: streams.Permanent, Code: "422"}},
		"gone":                  {answer: status(404), want: want{Result: streams.Permanent, Code: "404"}},
		"key":                   {answer: status(401), want: want{Result: streams.Pause, After: pauseConfig, Code: "401"}},
		"rights":                {answer: status(403), want: want{Result: streams.Pause, After: pauseConfig, Code: "403"}},
		"unpaid":                {answer: status(402), want: want{Result: streams.Pause, After: pauseConfig, Code: "402"}},
		"slow down":             {answer: status(429), want: want{Result: streams.Wait, After: waitUnasked, Code: "429"}},
		"slow down for so long": {answer: status(429, "Retry-After", "7"), want: want{Result: streams.Wait, After: 7 * time.Second, Code: "429"}},
		"slow down, go on":      {answer: status(429, "Retry-After", "0"), want: want{Result: streams.Wait, Code: "429"}},
		"too early":             {answer: status(425), want: want{Result: streams.Retry, Code: "425"}},
		"timed out there":       {answer: status(408), want: want{Result: streams.Ambiguous, Fault: true, Code: "408"}},
		"down":                  {answer: status(503, "Retry-After", "3"), want: want{Result: streams.Ambiguous, After: 3 * time.Second, Fault: true, Code: "503"}},
		"down, keyed":           {answer: status(500), idempotent: true, want: want{Result: streams.Retry, Fault: true, Code: "500"}},
		"not sent":              {err: &Error{}, want: want{Result: streams.Retry, Fault: true}},
		"not sent, we stop":     {err: &Error{Canceled: true}, want: want{Result: streams.Retry}},
		"sent, no answer":       {err: &Error{Sent: true}, want: want{Result: streams.Ambiguous, Fault: true}},
		"sent, we stop":         {err: &Error{Sent: true, Canceled: true}, want: want{Result: streams.Ambiguous}},
		"sent, keyed":           {err: &Error{Sent: true}, idempotent: true, want: want{Result: streams.Retry, Fault: true}},
		"broken off":            {answer: status(200), err: &Error{Sent: true}, want: want{Result: streams.Ambiguous, Fault: true}},
		"inside":                {err: &Error{cause: ErrPrivate}, want: want{Result: streams.Pause, After: pauseConfig}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			v := Verdict(c.answer, c.err, c.idempotent)
			got := want{v.Result, v.After, v.Fault, v.Code}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if (v.Result == streams.Done) != (v.Err == nil) {
				t.Errorf("error %v with result %d", v.Err, v.Result)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	type answer struct {
		D  time.Duration
		OK bool
	}
	cases := map[string]struct {
		header, date string
		want         answer
	}{
		"none":           {want: answer{}},
		"seconds":        {header: "30", want: answer{30 * time.Second, true}},
		"fraction":       {header: " 1.5 ", want: answer{1500 * time.Millisecond, true}},
		"now":            {header: "0", want: answer{0, true}},
		"date":           {header: "Sun, 01 Mar 2026 12:00:20 GMT", want: answer{20 * time.Second, true}},
		"their clock":    {header: "Sun, 01 Mar 2026 14:00:20 GMT", date: "Sun, 01 Mar 2026 14:00:00 GMT", want: answer{20 * time.Second, true}},
		"past":           {header: "Sun, 01 Mar 2020 12:00:20 GMT", want: answer{0, true}},
		"a year":         {header: "Mon, 01 Mar 2027 12:00:00 GMT", want: answer{time.Hour, true}},
		"a year, number": {header: "31536000", want: answer{time.Hour, true}},
		"beyond numbers": {header: "99999999999999999999999999999", want: answer{time.Hour, true}},
		"negative":       {header: "-5", want: answer{}},
		"infinite":       {header: "Inf", want: answer{}},
		"dots":           {header: "1.2.3", want: answer{}},
		"garbage":        {header: "soon", want: answer{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			h.Set("Retry-After", c.header)
			if c.date != "" {
				h.Set("Date", c.date)
			}
			d, ok := RetryAfter(h, now)
			if diff := cmp.Diff(c.want, answer{d, ok}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"1", "1e9", "..", "Sun, 01 Mar 2026 12:00:20 GMT", "١"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := RetryAfter(http.Header{"Retry-After": {s}}, time.Now())
		if d < 0 || d > time.Hour || !ok && d != 0 {
			t.Errorf("%q: %v, %v", s, d, ok)
		}
	})
}
