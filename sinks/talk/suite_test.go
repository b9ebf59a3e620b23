package talk_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadstream/sinks"
	"leadstream/sinks/talk"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// Canaries: no error may show them.
const (
	canarySecret = "c4n4ry5ecretc4n4ry5ecret"
	canaryText   = "Канарейкина в 15:40"
)

// service is a channel's service as one kind of test sees it.
type service struct {
	kind      string
	configure func(settings any, url string) // with canarySecret for each secret
	healthy   http.HandlerFunc
	creates   func(*http.Request) bool // of the requests; nil: every POST
	to        string
	remote    string // that healthy gives
	keyed     bool   // sending again is safe, or looks first
}

func testEnv() sinks.Env {
	return sinks.Env{Name: "out", Instance: "one", Language: "ru", Zone: time.UTC, Region: "RU", Version: "0", Log: zerolog.Nop()}
}

func open(t *testing.T, kind string, configure func(any)) outbound.Channel {
	t.Helper()
	k, ok := talk.Kinds[kind]
	if !ok {
		t.Fatalf("no kind %s", kind)
	}
	set := k.Settings()
	configure(set)
	c, err := k.Open(set, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s service) open(t *testing.T, url string) outbound.Channel {
	t.Helper()
	return open(t, s.kind, func(set any) { s.configure(set, url) })
}

func testWords() outbound.Words {
	return outbound.Words{ID: "01JD4Z6W8Q", Purpose: outbound.Notice, Text: "Вы записаны: " + canaryText, Short: "Zapis: " + canaryText, Subject: "Запись"}
}

// send sends and checks what holds of any answer.
func send(t *testing.T, ctx context.Context, c outbound.Channel, to string, w outbound.Words) outbound.Tried {
	t.Helper()
	tried := c.Send(ctx, to, w)
	if (tried.Result == streams.Done) != (tried.Err == nil) {
		t.Errorf("result %s with error %v", tried.Result, tried.Err)
	}
	if (tried.Result == streams.Pause || tried.Result == streams.Wait) && tried.After <= 0 {
		t.Errorf("%s for no time at all: %v", tried.Result, tried.Err)
	}
	if tried.Means != "" && tried.Result != streams.Permanent {
		t.Errorf("%s means %s", tried.Result, tried.Means)
	}
	if tried.Err != nil {
		discreet(t, tried.Err.Error(), to)
	}
	discreet(t, tried.Code+" "+tried.PauseKey+" "+tried.Reason, to)
	return tried
}

func discreet(t *testing.T, text, to string) {
	t.Helper()
	for _, secret := range []string{canarySecret, canaryText, to, strings.TrimPrefix(to, "+"), "Канарейкина"} {
		if secret != "" && strings.Contains(text, secret) {
			t.Errorf("%q shows %q", text, secret)
		}
	}
}

// answers serves a service that says the same to every call that sends; echo stands for what it was asked.
func (s service) answers(t *testing.T, status int, header http.Header, body string) (string, func() int) {
	t.Helper()
	return s.serve(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		for k, v := range header {
			w.Header()[k] = v
		}
		if w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "ECHO", strings.NewReplacer("\\", "", "\"", "'").Replace(string(raw))))
	})
}

// serve serves broken to the calls that send, healthy to the others, and counts the former.
func (s service) serve(t *testing.T, broken http.HandlerFunc) (string, func() int) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		creates := r.Method == http.MethodPost
		if s.creates != nil {
			creates = s.creates(r)
		}
		if !creates {
			s.healthy(w, r)
			return
		}
		mu.Lock()
		n++
		mu.Unlock()
		broken(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// suffer is what holds of each channel over HTTP, whatever happens to its service.
func (s service) suffer(t *testing.T) {
	unsure := []streams.Result{streams.Ambiguous}
	if s.keyed {
		unsure = append(unsure, streams.Retry)
	}
	stop := append([]streams.Result{streams.Pause, streams.Permanent}, unsure...)
	drop := func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = c.Close()
		}
	}
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<html>"+canaryText+"</html>")
		}
	}
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		want  []streams.Result
		most  int
	}{
		"well":     {s.healthy, []streams.Result{streams.Done}, 1},
		"gateway":  {page(502), unsure, 1},
		"reset":    {drop, unsure, 1},
		"page":     {page(200), stop, 1},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, stop, 1},
		"flood": {func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<20)); err != nil {
					return
				}
			}
		}, stop, 1},
		"hang": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, unsure, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, count := s.serve(t, c.serve)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if name == "hang" {
				ctx, cancel = context.WithTimeout(t.Context(), 400*time.Millisecond)
			}
			defer cancel()
			channel := s.open(t, url)
			tried := send(t, ctx, channel, s.to, testWords())
			if !contains(c.want, tried.Result) {
				t.Errorf("got %s (%v), want one of %v", tried.Result, tried.Err, c.want)
			}
			if name == "well" && (tried.Remote != s.remote || channel.Check(ctx) != nil) {
				t.Errorf("remote %q, want %q; check %v", tried.Remote, s.remote, channel.Check(ctx))
			}
			if n := count(); n > c.most {
				t.Errorf("%d calls that send, want at most %d", n, c.most)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(s.healthy)
		server.Close()
		c := s.open(t, server.URL)
		if tried := send(t, t.Context(), c, s.to, testWords()); tried.Result != streams.Retry || !tried.Fault {
			t.Errorf("got %s (%v), want a retry for the service's fault", tried.Result, tried.Err)
		}
		err := c.Check(t.Context())
		if err == nil {
			t.Fatal("nobody listens, and the check passes")
		}
		discreet(t, err.Error(), s.to)
	})
	t.Run("stopped before it began", func(t *testing.T) {
		t.Parallel()
		url, count := s.serve(t, s.healthy)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if tried := send(t, ctx, s.open(t, url), s.to, testWords()); tried.Result == streams.Done || count() != 0 {
			t.Errorf("got %s, %d sent", tried.Result, count())
		}
	})
	t.Run("check sends nothing", func(t *testing.T) {
		t.Parallel()
		url, count := s.serve(t, s.healthy)
		if err := s.open(t, url).Check(t.Context()); err != nil || count() != 0 {
			t.Errorf("check: %v, %d sent", err, count())
		}
	})
	t.Run("no text", func(t *testing.T) {
		t.Parallel()
		url, count := s.serve(t, s.healthy)
		if tried := send(t, t.Context(), s.open(t, url), s.to, outbound.Words{ID: "x", Text: " \n"}); tried.Result != streams.Permanent || count() != 0 {
			t.Errorf("got %s, %d sent", tried.Result, count())
		}
	})
}

// row is an answer of a service and what it has to lead to.
type row struct {
	status int
	header http.Header
	body   string

	result streams.Result
	means  outbound.Means
	scope  streams.Scope
	code   string
	after  time.Duration // least
}

// table sends once for each row.
func (s service) table(t *testing.T, rows map[string]row) {
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, count := s.answers(t, r.status, r.header, r.body)
			tried := send(t, t.Context(), s.open(t, url), s.to, testWords())
			if tried.Result != r.result || tried.Means != r.means || tried.Scope != r.scope || tried.Code != r.code || tried.After < r.after {
				t.Errorf("got %s, means %q, scope %q, code %q, after %s (%v)", tried.Result, tried.Means, tried.Scope, tried.Code, tried.After, tried.Err)
			}
			if count() != 1 {
				t.Errorf("sent %d times", count())
			}
		})
	}
}

func contains(results []streams.Result, r streams.Result) bool {
	for _, x := range results {
		if x == r {
			return true
		}
	}
	return false
}
