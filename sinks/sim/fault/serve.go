package fault

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Answer is what a service says to one request.
type Answer struct {
	Status      int
	ContentType string
	Header      map[string]string
	Body        []byte
}

// Exchange is one request to a service, taken apart so that a fault can come between its steps.
type Exchange struct {
	Method string
	Run    func() Answer         // executes it; called once or never
	Refuse func(Fault) Answer    // the service's own shape for a refusal
	Fate   func(delivered bool)  // told before the answer is sent, and again should that change; the last word counts
	Busy   func() (Answer, bool) // refuses before anything else, as a rate limit does; may be nil
}

// LoginPage is what a portal's front shows instead of an API answer when it has lost its way.
const LoginPage = "<!DOCTYPE html>\n<html><head><title>Authorization</title></head><body><form>Log in</form></body></html>\n"

// Serve answers a request, with the first fault in force that matches it.
func (s *Set) Serve(w http.ResponseWriter, r *http.Request, x Exchange) {
	if x.Fate == nil {
		x.Fate = func(bool) {}
	}
	if x.Busy != nil {
		if a, busy := x.Busy(); busy {
			s.send(w, r, Fault{}, a, x.Fate)
			return
		}
	}
	f, _ := s.take(x.Method, func(Fault) bool { return true })
	if !f.After && !f.LoseAnswer && !s.wait(r, f.Delay) {
		x.Fate(false)
		cut(w, false)
		return
	}
	switch {
	case f.FinishLate > 0:
		s.finishLate(w, r, f, x)
	case f.LoseAnswer || f.After:
		a := x.Run()
		if f.refuses() {
			a = replace(f, x)
		}
		s.conclude(w, r, f, a, x)
	case f.quiet():
		s.conclude(w, r, f, Answer{}, x)
	case f.refuses():
		s.conclude(w, r, f, replace(f, x), x)
	default:
		s.conclude(w, r, f, x.Run(), x)
	}
}

// finishLate leaves the execution to a goroutine that outlives the request.
func (s *Set) finishLate(w http.ResponseWriter, r *http.Request, f Fault, x Exchange) {
	done := make(chan Answer, 1)
	stop, after := s.stopped(), s.after
	if after == nil {
		after = time.After
	}
	s.background(func() {
		select {
		case <-after(f.FinishLate):
			a := x.Run()
			x.Fate(false) // unless someone still waits for it
			done <- a
		case <-stop:
		}
	})
	if f.quiet() {
		s.conclude(w, r, f, Answer{}, x)
		return
	}
	select {
	case a := <-done:
		if f.refuses() {
			a = replace(f, x)
		}
		s.conclude(w, r, f, a, x)
	case <-r.Context().Done():
		x.Fate(false)
	case <-stop:
		x.Fate(false)
		cut(w, false)
	}
}

// conclude sends the answer, or does to the connection what the fault says.
func (s *Set) conclude(w http.ResponseWriter, r *http.Request, f Fault, a Answer, x Exchange) {
	if f.quiet() {
		x.Fate(false)
	}
	if f.After && !s.wait(r, f.Delay) {
		x.Fate(false)
		cut(w, false)
		return
	}
	switch {
	case f.Hang:
		select {
		case <-r.Context().Done():
		case <-s.stopped():
		}
		cut(w, false)
	case f.Reset:
		cut(w, true)
	case f.LoseAnswer:
		cut(w, false)
	default:
		s.send(w, r, f, a, x.Fate)
	}
}

// FrontPage is what a front server says when the service itself does not speak: a gateway's 502, a redirect.
func FrontPage(status int) Answer {
	text := fmt.Sprintf("<html><head><title>%d %s</title></head></html>\n", status, http.StatusText(status))
	return Answer{Status: status, ContentType: "text/html", Body: []byte(text)}
}

// replace is the refusal that the fault asks for.
func replace(f Fault, x Exchange) Answer {
	var a Answer
	switch {
	case f.HTML200:
		a = Answer{Status: http.StatusOK, ContentType: "text/html; charset=utf-8", Body: []byte(LoginPage)}
	case f.Empty:
		a = Answer{Status: http.StatusOK}
	case f.Body != "":
		a = Answer{Status: http.StatusOK, ContentType: "application/json; charset=utf-8", Body: []byte(f.Body)}
	default:
		a = x.Refuse(f)
	}
	if f.Status != 0 {
		a.Status = f.Status
	}
	return a
}

func (s *Set) send(w http.ResponseWriter, r *http.Request, f Fault, a Answer, fate func(bool)) {
	if r.Context().Err() != nil { // the caller has gone
		fate(false)
		return
	}
	header := w.Header()
	for k, v := range a.Header {
		header.Set(k, v)
	}
	for k, v := range f.Header {
		header.Set(k, v)
	}
	if f.RetryAfter != "" {
		header.Set("Retry-After", f.RetryAfter)
	}
	if f.ContentType != "" {
		a.ContentType = f.ContentType
	}
	header.Set("Content-Type", a.ContentType)
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	lost := f.CutAfter > 0
	fate(!lost)
	err := s.write(w, r, f, a)
	if err != nil && !lost {
		fate(false)
	}
}

func (s *Set) write(w http.ResponseWriter, r *http.Request, f Fault, a Answer) error {
	switch {
	case f.Trickle > 0:
		return s.trickle(w, r, f, a)
	case f.Gzip:
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(a.Status)
		z := gzip.NewWriter(w)
		if err := body(z, a.Body, f.Fill); err != nil {
			return err
		}
		return z.Close()
	case f.CutAfter > 0:
		w.Header().Set("Content-Length", strconv.Itoa(max(len(a.Body), f.CutAfter+1)))
		w.WriteHeader(a.Status)
		if _, err := w.Write(a.Body[:min(len(a.Body), f.CutAfter)]); err != nil {
			return err
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
		cut(w, true)
		return nil
	default:
		w.WriteHeader(a.Status)
		return body(w, a.Body, f.Fill)
	}
}

// trickle writes the raw answer byte by byte, so that a caller's limit on each read never strikes.
func (s *Set) trickle(w http.ResponseWriter, r *http.Request, f Fault, a Answer) error {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	var raw bytes.Buffer
	fmt.Fprintf(&raw, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %d\r\n", a.Status, http.StatusText(a.Status),
		len(a.Body))
	if err := w.Header().Write(&raw); err != nil {
		return err
	}
	raw.WriteString("\r\n")
	raw.Write(a.Body)
	for _, b := range raw.Bytes() {
		if _, err := conn.Write([]byte{b}); err != nil {
			return err
		}
		if !s.wait(r, f.Trickle) {
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}

// body writes b and pads it with spaces to fill bytes.
func body(w io.Writer, b []byte, fill int64) error {
	if _, err := w.Write(b); err != nil {
		return err
	}
	pad := bytes.Repeat([]byte(" "), 64<<10)
	for left := fill - int64(len(b)); left > 0; left -= int64(len(pad)) {
		if _, err := w.Write(pad[:min(left, int64(len(pad)))]); err != nil {
			return err
		}
	}
	return nil
}

// wait reports false when the caller has gone or the service stops first.
func (s *Set) wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	case <-s.stopped():
		return false
	}
}

// cut ends the connection without an answer: with RST when reset is set.
func cut(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // a recorder, or HTTP/2: the server drops the stream without a log line
	}
	raw := conn
	if t, ok := conn.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}
