package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// blocked is a client that waits for something new in its streams.
type blocked struct {
	read
	deliver func(reply any) // once, under the server's mutex
}

// read is an XREADGROUP.
type read struct {
	group, consumer string
	keys            []string
	count           int
	block           time.Duration // < 0: not at all
}

func parseRead(a []string) (r read, err any) {
	r.block = -1
	if !strings.EqualFold(a[0], "GROUP") {
		return r, errSyntax
	}
	r.group, r.consumer = a[1], a[2]
	i := 3
	for ; i+1 < len(a) && !strings.EqualFold(a[i], "STREAMS"); i += 2 {
		n, bad := strconv.Atoi(a[i+1])
		if bad != nil {
			return r, errInteger
		}
		switch strings.ToUpper(a[i]) {
		case "COUNT":
			r.count = n
		case "BLOCK":
			r.block = time.Duration(n) * time.Millisecond
		default:
			return r, notModelled("XREADGROUP", a[i])
		}
	}
	rest := a[min(i+1, len(a)):]
	if len(rest) == 0 || len(rest)%2 != 0 {
		return r, errSyntax
	}
	r.keys = rest[:len(rest)/2]
	if slices.ContainsFunc(rest[len(rest)/2:], func(from string) bool { return from != ">" }) {
		return r, notModelled("XREADGROUP", "of history")
	}
	return r, nil
}

// xreadgroup answers a *blocked when there is nothing and the client waits.
func (s *Server) xreadgroup(a []string) any {
	r, err := parseRead(a)
	if err != nil {
		return err
	}
	for _, key := range r.keys {
		if _, _, err := s.groupOf(key, r.group); err == errType {
			return err
		} else if err != nil {
			return fault(fmt.Sprintf("NOGROUP No such key '%s' or consumer group '%s' in XREADGROUP with GROUP option", key, r.group))
		}
	}
	reply := pairs{}
	for _, key := range r.keys {
		if got := s.hand(r, key); len(got) > 0 {
			reply = append(reply, key, got)
		}
	}
	switch {
	case len(reply) > 0:
		return reply
	case r.block >= 0:
		return &blocked{read: r}
	}
	return nil
}

// hand gives a consumer what is new in a stream.
func (s *Server) hand(r read, key string) []any {
	st, g, err := s.groupOf(key, r.group)
	if err != nil || len(st.from(g.delivered.next())) == 0 {
		return nil
	}
	g.consumers[r.consumer] = true
	var got []any
	for _, m := range st.from(g.delivered.next()) {
		if r.count > 0 && len(got) == r.count {
			break
		}
		g.delivered = m.id
		g.hold(m.id, r.consumer, s.now())
		got = append(got, m.reply())
	}
	return got
}

// news notes that a stream has something for those that wait.
func (s *Server) news(key string) {
	if !slices.Contains(s.ready, key) {
		s.ready = append(s.ready, key)
	}
}

// serveBlocked hands out what a command has added, and goes on for those that have waited. The caller holds mu.
func (s *Server) serveBlocked() {
	defer func() {
		for len(s.unblocked) > 0 {
			goOn := s.unblocked[0]
			s.unblocked = s.unblocked[1:]
			goOn()
		}
	}()
	for len(s.ready) > 0 {
		key := s.ready[0]
		s.ready = s.ready[1:]
		for _, b := range slices.Clone(s.blocked) {
			if !slices.Contains(b.keys, key) {
				continue
			}
			if got := s.hand(b.read, key); len(got) > 0 {
				s.unblock(b, pairs{key, got})
			}
		}
	}
}

func (s *Server) unblock(b *blocked, reply any) {
	if s.forget(b) {
		b.deliver(reply)
	}
}

func (s *Server) forget(b *blocked) bool {
	at := slices.Index(s.blocked, b)
	if at >= 0 {
		s.blocked = slices.Delete(s.blocked, at, at+1)
	}
	return at >= 0
}

// gone tells those that wait at a stream that it is removed.
func (s *Server) gone(key string) {
	for _, b := range slices.Clone(s.blocked) {
		if slices.Contains(b.keys, key) {
			s.unblock(b, fault("UNBLOCKED the stream key no longer exists"))
		}
	}
}

// ungrouped tells those that wait in a group that it is removed.
func (s *Server) ungrouped(key, group string) {
	for _, b := range slices.Clone(s.blocked) {
		if slices.Contains(b.keys, key) && b.group == group {
			s.unblock(b, fault("NOGROUP the consumer group this client was blocked on no longer exists"))
		}
	}
}
