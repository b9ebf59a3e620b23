package model

import (
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// Passage is what happens to one request on its way.
type Passage struct {
	Delay  time.Duration // until the server executes it
	Answer time.Duration // from then until its answer is there
	Lost   Lost
}

// Lost says what of an exchange never arrives. Whatever is lost, the connection is cut a moment later.
type Lost int

const (
	Nothing   Lost = iota
	Request        // it is never executed
	TheAnswer      // it is executed
)

// Wire decides about each request (a pipeline is one) of a connection.
type Wire func(commands [][]string) Passage

// Conn is a connection to a Server, for go-redis to use as its own. It needs no goroutine while it waits, and never
// sleeps on anything but timers and channels.
type Conn struct {
	server *Server
	who    string
	wire   Wire

	mu       sync.Mutex
	in       []byte
	queue    [][][]string // requests on their way, in order
	busy     bool         // one of them is being carried
	out      []byte
	closed   bool // by the client
	cut      bool // by the other side
	deadline time.Time
	wake     chan struct{}
	waiting  *blocked
}

// Dial connects. wire may be nil: then every answer is there at once. who is for Server.Ran.
func (s *Server) Dial(who string, wire Wire) *Conn {
	return &Conn{server: s, who: who, wire: wire, wake: make(chan struct{}, 1)}
}

// Cut ends the connection from the server's side; what was sent and not executed yet is lost when lose says so.
func (c *Conn) Cut(lose bool) {
	c.mu.Lock()
	c.cut = true
	if lose {
		c.queue = nil
	}
	c.mu.Unlock()
	c.stopWaiting()
	c.signal()
}

// Ended says whether either side has ended the connection.
func (c *Conn) Ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed || c.cut
}

func (c *Conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Conn) stopWaiting() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.mu.Lock()
	b := c.waiting
	c.waiting = nil
	c.mu.Unlock()
	if b != nil {
		c.server.forget(b)
	}
}

// Write takes a request, or a part of one.
func (c *Conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	if c.closed || c.cut {
		c.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	commands, rest, err := readCommands(append(c.in, b...))
	c.in = append([]byte(nil), rest...)
	if err != nil {
		c.mu.Unlock()
		return 0, err
	}
	start := false
	if len(commands) > 0 {
		c.queue = append(c.queue, commands)
		start = !c.busy
		c.busy = true
	}
	c.mu.Unlock()
	if start {
		c.carry()
	}
	return len(b), nil
}

// carry takes the next request on its way.
func (c *Conn) carry() {
	c.mu.Lock()
	if len(c.queue) == 0 {
		c.busy = false
		c.mu.Unlock()
		return
	}
	request := c.queue[0]
	c.mu.Unlock()
	if c.wire == nil {
		c.arrive(request, Passage{})
		return
	}
	p := c.wire(request)
	time.AfterFunc(p.Delay, func() { c.arrive(request, p) })
}

func (c *Conn) arrive(request [][]string, p Passage) {
	c.mu.Lock()
	if len(c.queue) == 0 { // cut meanwhile
		c.busy = false
		c.mu.Unlock()
		return
	}
	c.queue = c.queue[1:]
	c.mu.Unlock()
	if p.Lost == Request {
		c.Cut(true)
		return
	}
	out, b := c.executeAll(request)
	if p.Lost == TheAnswer {
		c.Cut(false)
		return
	}
	if b != nil {
		time.AfterFunc(b.block, func() { c.server.timeOut(b) })
		return // what follows waits until it is answered
	}
	c.answer(out, p.Answer)
}

// executeAll runs the commands of a request. When one of them blocks, the others wait until it is answered.
func (c *Conn) executeAll(request [][]string) (out []byte, b *blocked) {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, args := range request {
		reply := c.execute(args)
		if waits, ok := reply.(*blocked); ok {
			c.mu.Lock()
			gone := c.closed || c.cut
			if !gone {
				c.waiting = waits
			}
			c.mu.Unlock()
			if gone {
				return out, nil
			}
			before, rest := out, request[i+1:]
			waits.deliver = func(reply any) { c.deliver(args, before, reply, rest) }
			s.blocked = append(s.blocked, waits)
			return nil, waits
		}
		c.tell(args, reply)
		out = appendReply(out, reply)
		s.serveBlocked()
	}
	return out, nil
}

func (c *Conn) tell(args []string, reply any) {
	if c.server.Ran != nil {
		c.server.Ran(c.who, args, reply)
	}
}

// execute adds what belongs to a connection.
func (c *Conn) execute(args []string) any {
	if strings.EqualFold(args[0], "HELLO") {
		if len(args) != 2 || args[1] != "3" {
			return notModelled("HELLO", strings.Join(args[1:], " "))
		}
		return pairs{"server", "redis", "version", "7.0.15", "proto", int64(3), "id", int64(1), "mode", "standalone",
			"role", "master", "modules", []any{}}
	}
	return c.server.execute(args)
}

// deliver ends the wait of a blocked read; what has waited behind it is executed once the command that ended it is over.
// The server's mutex is held.
func (c *Conn) deliver(args []string, before []byte, reply any, rest [][]string) {
	c.mu.Lock()
	c.waiting = nil
	c.mu.Unlock()
	c.tell(args, reply)
	var p Passage
	if c.wire != nil {
		p = c.wire([][]string{{"answer", args[0]}})
	}
	if p.Lost != Nothing {
		time.AfterFunc(p.Delay, func() { c.Cut(false) })
		return
	}
	out := appendReply(before, reply)
	if len(rest) == 0 {
		c.answer(out, p.Delay)
		return
	}
	c.server.unblocked = append(c.server.unblocked, func() {
		for _, args := range rest {
			reply := c.execute(args)
			if _, waits := reply.(*blocked); waits {
				reply = notModelled(args[0], "that waits behind another")
			}
			c.tell(args, reply)
			out = appendReply(out, reply)
		}
		c.answer(out, p.Delay)
	})
}

func (s *Server) timeOut(b *blocked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unblock(b, nil)
	s.serveBlocked()
}

// answer lets the client read, after a while, and goes on with what it has sent meanwhile.
func (c *Conn) answer(out []byte, after time.Duration) {
	there := func() {
		c.mu.Lock()
		if !c.cut {
			c.out = append(c.out, out...)
		}
		more := len(c.queue) > 0
		c.busy = more
		c.mu.Unlock()
		c.signal()
		if more {
			c.carry()
		}
	}
	if after == 0 && c.wire == nil {
		there()
		return
	}
	time.AfterFunc(after, there)
}

// Read waits for an answer, until the deadline.
func (c *Conn) Read(b []byte) (int, error) {
	for {
		c.mu.Lock()
		n := copy(b, c.out)
		c.out = c.out[n:]
		closed, cut, deadline := c.closed, c.cut, c.deadline
		c.mu.Unlock()
		switch {
		case closed:
			return 0, net.ErrClosed
		case n > 0:
			return n, nil
		case cut:
			return 0, io.EOF
		}
		if deadline.IsZero() {
			<-c.wake
			continue
		}
		left := time.Until(deadline)
		if left <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
		timer := time.NewTimer(left)
		select {
		case <-c.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Close ends the connection from the client's side. What it has sent is executed all the same.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stopWaiting()
	c.signal()
	return nil
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return nil
}

func (c *Conn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
func (c *Conn) LocalAddr() net.Addr              { return &net.UnixAddr{Name: c.who, Net: "unix"} }
func (c *Conn) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "model", Net: "unix"} }
