package model

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

type id struct{ ms, seq uint64 }

var (
	firstID = id{}
	lastID  = id{math.MaxUint64, math.MaxUint64}
)

func (i id) String() string         { return fmt.Sprintf("%d-%d", i.ms, i.seq) }
func (i id) compare(o id) int       { return cmp.Or(cmp.Compare(i.ms, o.ms), cmp.Compare(i.seq, o.seq)) }
func byID(e message, i id) int      { return e.id.compare(i) }
func byNack(n *nack, i id) int      { return n.id.compare(i) }
func byName(g *group, n string) int { return cmp.Compare(g.name, n) }

// next is the smallest id behind i.
func (i id) next() id {
	if i.seq == math.MaxUint64 {
		return id{i.ms + 1, 0}
	}
	return id{i.ms, i.seq + 1}
}

func (i id) previous() id {
	if i.seq == 0 {
		return id{i.ms - 1, math.MaxUint64}
	}
	return id{i.ms, i.seq - 1}
}

// parseID reads an id; one without a second half gets seq.
func parseID(text string, seq uint64) (id, bool) {
	ms, tail, has := strings.Cut(text, "-")
	m, err := strconv.ParseUint(ms, 10, 64)
	if err != nil {
		return id{}, false
	}
	if has {
		if seq, err = strconv.ParseUint(tail, 10, 64); err != nil {
			return id{}, false
		}
	}
	return id{m, seq}, true
}

// parseRange reads the two ends of a range, both included.
func parseRange(from, to string) (a, b id, err any) {
	a, ok := parseBound(from, 0, id.next)
	if !ok {
		return a, b, errStreamID
	}
	if b, ok = parseBound(to, math.MaxUint64, id.previous); !ok {
		return a, b, errStreamID
	}
	return a, b, nil
}

func parseBound(text string, seq uint64, inside func(id) id) (id, bool) {
	switch text {
	case "-":
		return firstID, true
	case "+":
		return lastID, true
	}
	if text, ok := strings.CutPrefix(text, "("); ok {
		i, ok := parseID(text, seq)
		return inside(i), ok
	}
	return parseID(text, seq)
}

type message struct {
	id     id
	fields []string
}

func (m message) reply() any {
	fields := make([]any, len(m.fields))
	for i, f := range m.fields {
		fields[i] = f
	}
	return []any{m.id.String(), fields}
}

type stream struct {
	last     id
	messages []message // by id
	groups   []*group  // by name
}

func (st *stream) copy() *stream {
	c := &stream{st.last, slices.Clone(st.messages), make([]*group, len(st.groups))}
	for i, g := range st.groups {
		c.groups[i] = g.copy()
	}
	return c
}

func (st *stream) find(i id) (message, bool) {
	at, ok := slices.BinarySearchFunc(st.messages, i, byID)
	if !ok {
		return message{}, false
	}
	return st.messages[at], true
}

// from are the messages from an id on.
func (st *stream) from(i id) []message {
	at, _ := slices.BinarySearchFunc(st.messages, i, byID)
	return st.messages[at:]
}

func (st *stream) delete(i id) bool {
	at, ok := slices.BinarySearchFunc(st.messages, i, byID)
	if ok {
		st.messages = slices.Delete(st.messages, at, at+1)
	}
	return ok
}

func (s *Server) xadd(a []string) any {
	key, where, fields := a[0], a[1], a[2:]
	if len(fields)%2 != 0 {
		return fault("ERR wrong number of arguments for 'xadd' command")
	}
	var i id
	if where != "*" {
		var ok bool
		if i, ok = parseID(where, 0); !ok {
			return errStreamID
		}
		if i == firstID {
			return fault("ERR The ID specified in XADD must be greater than 0-0")
		}
	}
	st, err := as[*stream](s, key)
	if err != nil {
		return err
	}
	if st == nil {
		st = &stream{}
		s.keys[key] = st
	}
	if where == "*" {
		if i = (id{uint64(s.now()), 0}); i.ms <= st.last.ms {
			i = st.last.next()
		}
	} else if i.compare(st.last) <= 0 {
		return fault("ERR The ID specified in XADD is equal or smaller than the target stream top item")
	}
	st.last = i
	st.messages = append(st.messages, message{i, slices.Clone(fields)})
	s.news(key)
	return i.String()
}

func (s *Server) xlen(a []string) any {
	st, err := as[*stream](s, a[0])
	if err != nil {
		return err
	}
	if st == nil {
		return int64(0)
	}
	return int64(len(st.messages))
}

func (s *Server) xrange(a []string) any {
	from, to, err := parseRange(a[1], a[2])
	if err != nil {
		return err
	}
	most := int64(-1)
	if len(a) == 5 && strings.EqualFold(a[3], "COUNT") {
		var bad error
		if most, bad = strconv.ParseInt(a[4], 10, 64); bad != nil {
			return errInteger
		}
	} else if len(a) > 3 {
		return errSyntax
	}
	st, err := as[*stream](s, a[0])
	if err != nil {
		return err
	}
	reply := []any{}
	if st == nil {
		return reply
	}
	for _, m := range st.from(from) {
		if m.id.compare(to) > 0 || most >= 0 && int64(len(reply)) >= most {
			break
		}
		reply = append(reply, m.reply())
	}
	return reply
}

func (s *Server) xdel(a []string) any {
	st, err := as[*stream](s, a[0])
	if err != nil {
		return err
	}
	ids, err := parseIDs(a[1:])
	if err != nil {
		return err
	}
	var n int64
	for _, i := range ids {
		if st != nil && st.delete(i) {
			n++
		}
	}
	return n
}

func (s *Server) xtrim(a []string) any {
	if len(a) != 3 || !strings.EqualFold(a[1], "MAXLEN") {
		return notModelled("XTRIM", strings.Join(a[1:], " "))
	}
	most, bad := strconv.Atoi(a[2])
	if bad != nil {
		return errInteger
	}
	st, err := as[*stream](s, a[0])
	if err != nil {
		return err
	}
	if st == nil || len(st.messages) <= most {
		return int64(0)
	}
	n := len(st.messages) - most
	st.messages = slices.Clone(st.messages[n:])
	return int64(n)
}

func parseIDs(texts []string) ([]id, any) {
	ids := make([]id, len(texts))
	for n, text := range texts {
		var ok bool
		if ids[n], ok = parseID(text, 0); !ok {
			return nil, errStreamID
		}
	}
	return ids, nil
}
