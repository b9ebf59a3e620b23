package intake

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// serve runs the handler on a real listener with time-outs short enough to wait for.
func serve(t *testing.T, c Config, taker Taker) string {
	t.Helper()
	c.ReadHeaderTimeout, c.ReadTimeout, c.WriteTimeout, c.IdleTimeout = 200*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond, 200*time.Millisecond
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := Limit(inner, c)
	if err != nil {
		t.Fatal(err)
	}
	server := Server(newHandler(t, c, taker), c, zerolog.Nop())
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Errorf("serve: %v", err)
		}
	})
	return inner.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

// post sends a lead over a connection of its own and returns the status, 0 when there is no answer.
func post(t *testing.T, conn net.Conn) int {
	t.Helper()
	_, _ = fmt.Fprintf(conn, "POST /in/make HTTP/1.1\r\nHost: x\r\nX-Api-Key: %smake\r\nContent-Length: 12\r\n\r\n{\"name\":\"a\"}", testKey)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// Senders that trickle are cut off, told so where they can still hear it, and hold up nobody.
func TestSlowSenders(t *testing.T) {
	head := "POST /in/make HTTP/1.1\r\nHost: x\r\nX-Api-Key: " + testKey + "make\r\n"
	tests := map[string]struct {
		bytes string
		want  string // beginning of the answer
	}{
		"nothing":               {"", ""},
		"half a head":           {"POST /in/make HTTP/1.1\r\nHost:", ""},
		"half a body":           {head + "Content-Length: 50\r\n\r\n{\"name\":", "HTTP/1.1 408"},
		"chunks without an end": {head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n", "HTTP/1.1 408"},
		"a head too long":       {"POST /in/make HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 64<<10), "HTTP/1.1 431"},
		"two lengths":           {head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "HTTP/1.1 400"},
		"two hosts":             {head + "Host: y\r\n\r\n", "HTTP/1.1 400"},
	}
	m := &memory{}
	addr := serve(t, testConfig(), m)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, addr)
			_, _ = io.WriteString(conn, tt.bytes)
			got, _ := io.ReadAll(conn)
			if !strings.HasPrefix(string(got), tt.want) || tt.want == "" && len(got) > 0 {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if code := post(t, dial(t, addr)); code != 200 {
		t.Errorf("an honest sender got %d", code)
	}
}

// One address cannot take all connections; what it holds comes free again.
func TestConnectionsOfOneAddress(t *testing.T) {
	c := testConfig()
	c.ConnectionsPerIP = 2
	addr := serve(t, c, &memory{})
	held := []net.Conn{dial(t, addr), dial(t, addr)}
	for _, conn := range held {
		if code := post(t, conn); code != 200 {
			t.Errorf("got %d", code)
		}
	}
	if code := post(t, dial(t, addr)); code != 0 {
		t.Errorf("the third connection got %d", code)
	}
	_ = held[0].Close()
	for start := time.Now(); post(t, dial(t, addr)) != 200; {
		if time.Since(start) > 5*time.Second {
			t.Fatal("the slot never came free")
		}
	}
}

// Beyond the cap connections wait in the kernel, and are served when others end.
func TestConnectionsInAll(t *testing.T) {
	c := testConfig()
	c.Connections, c.TrustedProxies = 1, []string{"127.0.0.1"}
	addr := serve(t, c, &memory{})
	first := dial(t, addr)
	if code := post(t, first); code != 200 {
		t.Fatalf("got %d", code)
	}
	second := make(chan int, 1)
	conn := dial(t, addr)
	go func() { second <- post(t, conn) }()
	if code := <-second; code != 200 { // the first is idle too long, is closed, and makes room
		t.Errorf("got %d", code)
	}
}

func TestLimitCloses(t *testing.T) {
	c := testConfig()
	c.Connections = 1
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := Limit(inner, c)
	if err != nil {
		t.Fatal(err)
	}
	dial(t, inner.Addr().String())
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	waits := make(chan error)
	go func() {
		_, err := l.Accept()
		waits <- err
	}()
	_ = l.Close()
	if err := <-waits; err == nil {
		t.Error("Accept gave a connection after Close")
	}
}
