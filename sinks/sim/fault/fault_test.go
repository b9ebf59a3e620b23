package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// service counts what it executes and says "done".
type service struct {
	faults    Set
	ran       atomic.Int32
	delivered atomic.Bool
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	s.faults.Serve(w, r, Exchange{
		Method: r.URL.Path[1:],
		Run: func() Answer {
			s.ran.Add(1)
			return Answer{Status: 200, ContentType: "text/plain", Body: []byte("done")}
		},
		Refuse: func(f Fault) Answer { return Answer{Status: 400, Body: []byte(f.Code)} },
		Fate:   func(ok bool) { s.delivered.Store(ok) },
	})
}

func serve(t *testing.T) (*service, string) {
	t.Helper()
	s := &service{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(s.faults.Close)
	return s, server.URL
}

// ask posts, and reads at most a megabyte.
func ask(ctx context.Context, url string) (*http.Response, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte("x")))
	if err != nil {
		return nil, "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp, string(body), err
}

func TestWhatTheCallerSees(t *testing.T) {
	cases := map[string]struct {
		fault     Fault
		status    int    // 0: no answer
		body      string // "…" is not looked at
		broken    bool   // the body ends early
		ran       bool
		delivered bool
	}{
		"none":                    {Fault{}, 200, "done", false, true, true},
		"code":                    {Fault{Code: "NO"}, 400, "NO", false, false, true},
		"code with status":        {Fault{Code: "NO", Status: 503}, 503, "NO", false, false, true},
		"code after executing":    {Fault{Code: "NO", Status: 500, After: true}, 500, "NO", false, true, true},
		"login page":              {Fault{HTML200: true}, 200, LoginPage, false, false, true},
		"login page, executed":    {Fault{HTML200: true, After: true}, 200, LoginPage, false, true, true},
		"body":                    {Fault{Body: "{"}, 200, "{", false, false, true},
		"empty":                   {Fault{Empty: true, After: true}, 200, "", false, true, true},
		"reset":                   {Fault{Reset: true}, 0, "", false, false, false},
		"reset after executing":   {Fault{Reset: true, After: true}, 0, "", false, true, false},
		"answer lost":             {Fault{LoseAnswer: true}, 0, "", false, true, false},
		"reset within the body":   {Fault{CutAfter: 2}, 200, "…", true, true, false},
		"delay":                   {Fault{Delay: time.Millisecond}, 200, "done", false, true, true},
		"finished late":           {Fault{FinishLate: time.Millisecond}, 200, "done", false, true, true},
		"byte by byte":            {Fault{Trickle: time.Microsecond}, 200, "done", false, true, true},
		"padded":                  {Fault{Fill: 6}, 200, "done  ", false, true, true},
		"compressed, large":       {Fault{Fill: 5 << 20, Gzip: true}, 200, "…", false, true, true},
		"of another method":       {Fault{Method: "crm.*", Reset: true}, 200, "done", false, true, true},
		"of this method":          {Fault{Method: "to*", Code: "NO"}, 400, "NO", false, false, true},
		"redirect, followed":      {Fault{Status: 307, Code: "x", Header: map[string]string{"Location": "/other"}, Method: "todo"}, 200, "done", false, true, true},
		"probability that is nil": {Fault{Code: "NO", Probability: 1e-300}, 200, "done", false, true, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, url := serve(t)
			s.faults.Inject(c.fault)
			resp, body, err := ask(t.Context(), url+"/todo")
			switch {
			case c.status == 0:
				if err == nil {
					t.Errorf("an answer: %d %q", resp.StatusCode, body)
				}
			case resp == nil:
				t.Fatal(err)
			case resp.StatusCode != c.status || (err != nil) != c.broken || c.body != "…" && body != c.body:
				t.Errorf("%d %q %v", resp.StatusCode, body, err)
			}
			if got := s.ran.Load() == 1; got != c.ran {
				t.Errorf("executed: %v", got)
			}
			if got := s.delivered.Load(); got != c.delivered {
				t.Errorf("delivered: %v", got)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	s, url := serve(t)
	s.faults.Inject(Fault{Code: "NO", Times: 2})
	for i, want := range []int{400, 400, 200} {
		if resp, _, err := ask(t.Context(), url); err != nil || resp.StatusCode != want {
			t.Errorf("call %d: %v %v", i, resp, err)
		}
	}
	if left := s.faults.List(); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}

// TestFinishLateOutlivesTheCaller: the caller gives up, and the work is done all the same.
func TestFinishLateOutlivesTheCaller(t *testing.T) {
	for name, f := range map[string]Fault{
		"caller gives up": {FinishLate: time.Minute},
		"cut off":         {FinishLate: time.Minute, Reset: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, url := serve(t)
			due := make(chan time.Time)
			s.faults.after = func(time.Duration) <-chan time.Time { return due }
			s.faults.Inject(f)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, _, err := ask(ctx, url); err == nil {
				t.Fatal("an answer came")
			}
			if n := s.ran.Load(); n != 0 {
				t.Fatal("executed too early")
			}
			due <- time.Time{}
			s.faults.Close() // waits for the execution
			if n := s.ran.Load(); n != 1 || s.delivered.Load() {
				t.Errorf("executed %d times, delivered: %v", n, s.delivered.Load())
			}
		})
	}
}

// TestCloseFreesWhatHangs would hang itself without Close.
func TestCloseFreesWhatHangs(t *testing.T) {
	for name, f := range map[string]Fault{
		"hang":     {Hang: true},
		"delay":    {Delay: time.Hour},
		"finish":   {FinishLate: time.Hour},
		"executed": {Hang: true, After: true},
		"trickle":  {Trickle: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			s, url := serve(t)
			f.Times = 1
			s.faults.Inject(f)
			failed := make(chan error, 1)
			go func() {
				_, _, err := ask(t.Context(), url)
				failed <- err
			}()
			for len(s.faults.List()) > 0 { // until the call has run into it
				time.Sleep(time.Millisecond)
			}
			s.faults.Close()
			if err := <-failed; err == nil {
				t.Error("an answer came")
			}
		})
	}
}

func TestControl(t *testing.T) {
	var s Set
	server := httptest.NewServer(http.HandlerFunc(s.Control))
	t.Cleanup(server.Close)
	text := `{"method":"crm.*","status":503,"delay":"1.5s","finish_late":"2s","retry_after":"Wed, 21 Oct 2026 07:28:00 GMT","times":3}`
	resp, err := http.Post(server.URL, "application/json", bytes.NewReader([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got []Fault
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := []Fault{{Method: "crm.*", Status: 503, Delay: 1500 * time.Millisecond, FinishLate: 2 * time.Second,
		RetryAfter: "Wed, 21 Oct 2026 07:28:00 GMT", Times: 3}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for name, body := range map[string]string{"no JSON": "{", "no duration": `{"delay":"soon"}`, "no pattern": `{"method":"["}`} {
		bad, err := http.Post(server.URL, "application/json", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		_ = bad.Body.Close()
		if bad.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", name, bad.StatusCode)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Body.Close()
	if left := s.List(); len(left) != 0 {
		t.Errorf("%+v", left)
	}
}
