package sinkstest

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

const page = "<!DOCTYPE html><html><body><h1>Welcome to nginx</h1></body></html>"

// far starts a far side with a fault: the kind's own, or an HTTP server.
func (c Case) far(t *testing.T, f Fault) *Far {
	t.Helper()
	switch {
	case c.Far != nil:
		return c.Far(t, f)
	case c.Healthy != nil:
		return c.httpFar(t, f)
	}
	return nil
}

func (c Case) httpFar(t *testing.T, f Fault) *Far {
	t.Helper()
	if f == Refused {
		return &Far{URL: "http://" + Unused(t), Created: func() int { return 0 }}
	}
	var created, written atomic.Int64
	stop := make(chan struct{})
	good := httptest.NewServer(c.counting(&created, c.Healthy))
	server := good
	if f != None {
		server = httptest.NewServer(c.faulty(f, good.URL, &created, &written, stop))
	}
	t.Cleanup(func() {
		close(stop)
		server.CloseClientConnections()
		server.Close()
		good.Close()
	})
	return &Far{
		URL:     server.URL,
		Created: func() int { return int(created.Load()) },
		Written: func() int { return int(written.Load()) },
	}
}

// counting counts what creates, and reads the whole request before it is answered.
func (c Case) counting(created *atomic.Int64, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if c.Creates == nil && r.Method == http.MethodPost || c.Creates != nil && c.Creates(r) {
			created.Add(1)
		}
		next(w, r)
	}
}

func (c Case) faulty(f Fault, good string, created, written *atomic.Int64, stop chan struct{}) http.HandlerFunc {
	html := func(w http.ResponseWriter, status int) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, page)
	}
	answer := map[Fault]http.HandlerFunc{
		Busy: func(w http.ResponseWriter, r *http.Request) {
			if c.Busy != nil {
				c.Busy(w, r)
				return
			}
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		},
		Broken:  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		Gateway: func(w http.ResponseWriter, _ *http.Request) { html(w, http.StatusBadGateway) },
		Page:    func(w http.ResponseWriter, _ *http.Request) { html(w, http.StatusOK) },
		Hang: func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		},
		Reset: func(w http.ResponseWriter, _ *http.Request) { drop(w) },
		Flood: func(w http.ResponseWriter, _ *http.Request) { flood(w, written) },
		Redirect: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, good+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		},
	}[f]
	if f == Redirect {
		return answer // what counts is what arrives where it points to
	}
	return c.counting(created, answer)
}

// drop closes the connection so that the other side sees a reset.
func drop(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// flood gives what looks like a good answer for a hundred megabytes, or until the other side has had enough.
func flood(w http.ResponseWriter, written *atomic.Int64) {
	w.Header().Set("Content-Type", "application/json")
	block := []byte(strings.Repeat(" ", 64<<10))
	for written.Load() < 100<<20 {
		n, err := w.Write(block)
		written.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// Unused is an address on which nobody listens.
func Unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	return addr
}
