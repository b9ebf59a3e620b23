package model

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

type group struct {
	name      string
	delivered id
	pending   []*nack // by id
	consumers map[string]bool
}

// nack is an entry that a consumer has and has not acknowledged.
type nack struct {
	id       id
	consumer string
	at       int64
	count    int64
}

func (g *group) copy() *group {
	c := &group{g.name, g.delivered, make([]*nack, len(g.pending)), maps.Clone(g.consumers)}
	for i, n := range g.pending {
		m := *n
		c.pending[i] = &m
	}
	return c
}

func (g *group) find(i id) *nack {
	at, ok := slices.BinarySearchFunc(g.pending, i, byNack)
	if !ok {
		return nil
	}
	return g.pending[at]
}

func (g *group) forget(i id) bool {
	at, ok := slices.BinarySearchFunc(g.pending, i, byNack)
	if ok {
		g.pending = slices.Delete(g.pending, at, at+1)
	}
	return ok
}

// hold puts an entry under a consumer that has just been given it.
func (g *group) hold(i id, consumer string, at int64) {
	n, found := slices.BinarySearchFunc(g.pending, i, byNack)
	if found { // the group's position was set back: it is given out again
		g.pending[n].consumer, g.pending[n].at, g.pending[n].count = consumer, at, 1
		return
	}
	g.pending = slices.Insert(g.pending, n, &nack{i, consumer, at, 1})
}

func (st *stream) group(name string) *group {
	at, ok := slices.BinarySearchFunc(st.groups, name, byName)
	if !ok {
		return nil
	}
	return st.groups[at]
}

func noGroup(key, name string) fault {
	return fault(fmt.Sprintf("NOGROUP No such key '%s' or consumer group '%s'", key, name))
}

// groupOf finds a stream and its group; err is the answer when there is none.
func (s *Server) groupOf(key, name string) (st *stream, g *group, err any) {
	if st, err = as[*stream](s, key); err != nil {
		return nil, nil, err
	}
	if st != nil {
		g = st.group(name)
	}
	if g == nil {
		err = noGroup(key, name)
	}
	return st, g, err
}

func (s *Server) xgroup(a []string) any {
	switch sub := strings.ToUpper(a[0]); {
	case sub == "CREATE" && (len(a) == 4 || len(a) == 5):
		return s.createGroup(a[1], a[2], a[3], len(a) == 5 && strings.EqualFold(a[4], "MKSTREAM"))
	case sub == "DESTROY" && len(a) == 3:
		st, err := as[*stream](s, a[1])
		if st == nil || err != nil {
			return cmpOr(err, noStream)
		}
		at, ok := slices.BinarySearchFunc(st.groups, a[2], byName)
		if !ok {
			return int64(0)
		}
		st.groups = slices.Delete(st.groups, at, at+1)
		s.ungrouped(a[1], a[2])
		return int64(1)
	case sub == "DELCONSUMER" && len(a) == 4:
		st, err := as[*stream](s, a[1])
		if st == nil || err != nil {
			return cmpOr(err, noStream)
		}
		g := st.group(a[2])
		if g == nil {
			return fault(fmt.Sprintf("NOGROUP No such consumer group '%s' for key name '%s'", a[2], a[1]))
		}
		before := len(g.pending)
		g.pending = slices.DeleteFunc(g.pending, func(n *nack) bool { return n.consumer == a[3] })
		delete(g.consumers, a[3])
		return int64(before - len(g.pending))
	default:
		return notModelled("XGROUP", strings.Join(a, " "))
	}
}

const noStream = fault("ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.")

func cmpOr(err any, other fault) any {
	if err != nil {
		return err
	}
	return other
}

func (s *Server) createGroup(key, name, from string, make bool) any {
	st, err := as[*stream](s, key)
	if err != nil {
		return err
	}
	if st == nil && !make {
		return noStream
	}
	at, ok := parseID(from, 0)
	switch {
	case from == "$" && st != nil:
		at = st.last
	case !ok && from != "$":
		return errStreamID
	}
	if st == nil {
		st = &stream{}
		s.keys[key] = st
	}
	n, found := slices.BinarySearchFunc(st.groups, name, byName)
	if found {
		return fault("BUSYGROUP Consumer Group name already exists")
	}
	st.groups = slices.Insert(st.groups, n, &group{name: name, delivered: at, consumers: map[string]bool{}})
	return status("OK")
}

// xinfo answers what the model knows of groups: not how far behind they are.
func (s *Server) xinfo(a []string) any {
	if len(a) != 2 || !strings.EqualFold(a[0], "GROUPS") {
		return notModelled("XINFO", strings.Join(a, " "))
	}
	st, err := as[*stream](s, a[1])
	if st == nil || err != nil {
		return cmpOr(err, errNoSuchKey)
	}
	reply := []any{}
	for _, g := range st.groups {
		reply = append(reply, pairs{"name", g.name, "consumers", int64(len(g.consumers)), "pending", int64(len(g.pending)),
			"last-delivered-id", g.delivered.String()})
	}
	return reply
}

func (s *Server) xack(a []string) any {
	_, g, err := s.groupOf(a[0], a[1])
	if err == errType {
		return err
	}
	if g == nil {
		return int64(0)
	}
	ids, err := parseIDs(a[2:])
	if err != nil {
		return err
	}
	var n int64
	for _, i := range ids {
		if g.forget(i) {
			n++
		}
	}
	return n
}

func (s *Server) xpending(a []string) any {
	if len(a) == 2 {
		return s.pendingSummary(a[0], a[1])
	}
	var least int64
	if len(a) > 4 && strings.EqualFold(a[2], "IDLE") {
		n, bad := strconv.ParseInt(a[3], 10, 64)
		if bad != nil {
			return errInteger
		}
		least, a = n, append(slices.Clone(a[:2]), a[4:]...)
	}
	if len(a) != 5 && len(a) != 6 {
		return notModelled("XPENDING", strings.Join(a[2:], " "))
	}
	most, bad := strconv.Atoi(a[4])
	if bad != nil {
		return errInteger
	}
	from, to, err := parseRange(a[2], a[3])
	if err != nil {
		return err
	}
	_, g, err := s.groupOf(a[0], a[1])
	if err != nil {
		return err
	}
	reply := []any{}
	for _, n := range g.pending {
		if len(reply) < most && n.id.compare(from) >= 0 && n.id.compare(to) <= 0 && s.idle(n) >= least && (len(a) == 5 || n.consumer == a[5]) {
			reply = append(reply, []any{n.id.String(), n.consumer, s.idle(n), n.count})
		}
	}
	return reply
}

func (s *Server) idle(n *nack) int64 { return max(s.now()-n.at, 0) }

func (s *Server) pendingSummary(key, name string) any {
	_, g, err := s.groupOf(key, name)
	if err != nil {
		return err
	}
	if len(g.pending) == 0 {
		return []any{int64(0), nil, nil, nil}
	}
	count := map[string]int{}
	for _, n := range g.pending {
		count[n.consumer]++
	}
	var consumers []any
	for _, c := range slices.Sorted(maps.Keys(count)) {
		consumers = append(consumers, []any{c, strconv.Itoa(count[c])})
	}
	return []any{int64(len(g.pending)), g.pending[0].id.String(), g.pending[len(g.pending)-1].id.String(), consumers}
}

// claim are the options of XCLAIM.
type claim struct {
	ids    []id
	at     int64
	count  int64 // -1: one more
	justID bool
}

func (s *Server) parseClaim(a []string) (c claim, err any) {
	c.at, c.count = s.now(), -1
	n := 0
	for n < len(a) {
		i, ok := parseID(a[n], 0)
		if !ok {
			break
		}
		c.ids = append(c.ids, i)
		n++
	}
	for ; n < len(a); n++ {
		option := strings.ToUpper(a[n])
		if option == "JUSTID" {
			c.justID = true
			continue
		}
		if option != "IDLE" && option != "RETRYCOUNT" || n+1 == len(a) {
			return c, notModelled("XCLAIM", a[n])
		}
		n++
		v, bad := strconv.ParseInt(a[n], 10, 64)
		if bad != nil {
			return c, errInteger
		}
		if option == "IDLE" {
			if c.at = s.now() - v; c.at < 0 || v < 0 {
				c.at = s.now()
			}
		} else {
			c.count = v
		}
	}
	return c, nil
}

func (s *Server) xclaim(a []string) any {
	st, g, err := s.groupOf(a[0], a[1])
	if err != nil {
		return err
	}
	minIdle, bad := strconv.ParseInt(a[3], 10, 64)
	if bad != nil {
		return fault("ERR Invalid min-idle-time argument for XCLAIM")
	}
	c, err := s.parseClaim(a[4:])
	if err != nil {
		return err
	}
	reply := []any{}
	for _, i := range c.ids {
		n := g.find(i)
		m, exists := st.find(i)
		if !exists {
			g.forget(i)
			continue
		}
		if n == nil || minIdle > 0 && s.now()-n.at < minIdle {
			continue
		}
		g.consumers[a[2]] = true
		n.consumer, n.at = a[2], c.at
		switch {
		case c.count >= 0:
			n.count = c.count
		case !c.justID:
			n.count++
		}
		if c.justID {
			reply = append(reply, i.String())
		} else {
			reply = append(reply, m.reply())
		}
	}
	return reply
}

func (s *Server) xautoclaim(a []string) any {
	st, g, err := s.groupOf(a[0], a[1])
	if err != nil {
		return err
	}
	minIdle, bad := strconv.ParseInt(a[3], 10, 64)
	if bad != nil {
		return fault("ERR Invalid min-idle-time argument for XAUTOCLAIM")
	}
	from, ok := parseBound(a[4], 0, id.next)
	if !ok {
		return errStreamID
	}
	count := 100
	if len(a) == 7 && strings.EqualFold(a[5], "COUNT") {
		if count, bad = strconv.Atoi(a[6]); bad != nil || count < 1 {
			return fault("ERR COUNT must be > 0")
		}
	} else if len(a) != 5 {
		return notModelled("XAUTOCLAIM", strings.Join(a[5:], " "))
	}
	at, _ := slices.BinarySearchFunc(g.pending, from, byNack)
	claimed, deleted := []any{}, []any{}
	for attempts := 10 * count; attempts > 0 && count > 0 && at < len(g.pending); attempts-- {
		n := g.pending[at]
		m, exists := st.find(n.id)
		if !exists {
			deleted = append(deleted, n.id.String())
			g.forget(n.id)
			count--
			continue
		}
		at++
		if minIdle > 0 && s.now()-n.at < minIdle {
			continue
		}
		g.consumers[a[2]] = true
		n.consumer, n.at = a[2], s.now()
		n.count++
		claimed = append(claimed, m.reply())
		count--
	}
	next := firstID
	if at < len(g.pending) {
		next = g.pending[at].id
	}
	return []any{next.String(), claimed, deleted}
}
