package model

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// hash keeps its fields in the order in which they came, as a small one in Redis does.
type hash struct {
	fields []string
	values map[string]string
}

func (h *hash) copy() *hash { return &hash{slices.Clone(h.fields), maps.Clone(h.values)} }

type zset struct{ scores map[string]float64 }

func (z *zset) copy() *zset { return &zset{maps.Clone(z.scores)} }

// find is what stands at a key, nil when there is nothing (any more).
func (s *Server) find(key string) any {
	if at, ok := s.expires[key]; ok && at <= s.now() {
		s.remove(key)
	}
	return s.keys[key]
}

func (s *Server) remove(key string) {
	if _, ok := s.keys[key].(*stream); ok {
		s.gone(key)
	}
	delete(s.keys, key)
	delete(s.expires, key)
}

// as finds a value of one type: the zero of it when there is none, an error when there is something else.
func as[T any](s *Server, key string) (v T, err any) {
	switch found := s.find(key).(type) {
	case nil:
	case T:
		v = found
	default:
		err = errType
	}
	return v, err
}

func (s *Server) time([]string) any {
	t := s.Now()
	return []any{strconv.FormatInt(t.Unix(), 10), strconv.Itoa(t.Nanosecond() / 1000)}
}

func (s *Server) info(a []string) any {
	if len(a) != 1 || a[0] != "server" {
		return notModelled("INFO", strings.Join(a, " "))
	}
	return "# Server\r\nredis_version:7.0.15\r\nrun_id:" + s.RunID + "\r\n"
}

func (s *Server) del(a []string) any {
	var n int64
	for _, key := range a {
		if s.find(key) != nil {
			s.remove(key)
			n++
		}
	}
	return n
}

func (s *Server) pexpire(a []string) any {
	d, err := strconv.ParseInt(a[1], 10, 64)
	if err != nil {
		return errInteger
	}
	return s.expireAt(a[0], s.now()+d)
}

func (s *Server) pexpireat(a []string) any {
	at, err := strconv.ParseInt(a[1], 10, 64)
	if err != nil {
		return errInteger
	}
	return s.expireAt(a[0], at)
}

func (s *Server) expireAt(key string, at int64) any {
	if s.find(key) == nil {
		return int64(0)
	}
	if s.expires[key] = at; at <= s.now() {
		s.remove(key)
	}
	return int64(1)
}

func (s *Server) get(a []string) any {
	v := s.find(a[0])
	if _, ok := v.(string); v != nil && !ok {
		return errType
	}
	return v
}

func (s *Server) set(a []string) any {
	key, value := a[0], a[1]
	nx, ttl := false, int64(0)
	for i := 2; i < len(a); i++ {
		switch strings.ToUpper(a[i]) {
		case "NX":
			nx = true
		case "PX":
			i++
			if i == len(a) {
				return errSyntax
			}
			d, err := strconv.ParseInt(a[i], 10, 64)
			if err != nil {
				return errInteger
			}
			if d <= 0 {
				return fault("ERR invalid expire time in 'set' command")
			}
			ttl = d
		default:
			return notModelled("SET", a[i])
		}
	}
	if nx && s.find(key) != nil {
		return nil
	}
	s.remove(key)
	s.keys[key] = value
	if ttl > 0 {
		s.expires[key] = s.now() + ttl
	}
	return status("OK")
}

func (s *Server) hset(a []string) any {
	h, err := as[*hash](s, a[0])
	if err != nil {
		return err
	}
	if len(a)%2 != 1 {
		return fault("ERR wrong number of arguments for 'hset' command")
	}
	if h == nil {
		h = &hash{values: map[string]string{}}
		s.keys[a[0]] = h
	}
	var n int64
	for i := 1; i < len(a); i += 2 {
		if h.put(a[i], a[i+1]) {
			n++
		}
	}
	return n
}

func (h *hash) put(field, value string) (added bool) {
	_, was := h.values[field]
	h.values[field] = value
	if !was {
		h.fields = append(h.fields, field)
	}
	return !was
}

func (h *hash) get(field string) any {
	if h == nil {
		return nil
	}
	if v, ok := h.values[field]; ok {
		return v
	}
	return nil
}

func (s *Server) hget(a []string) any {
	h, err := as[*hash](s, a[0])
	if err != nil {
		return err
	}
	return h.get(a[1])
}

func (s *Server) hmget(a []string) any {
	h, err := as[*hash](s, a[0])
	if err != nil {
		return err
	}
	values := make([]any, len(a)-1)
	for i, field := range a[1:] {
		values[i] = h.get(field)
	}
	return values
}

func (s *Server) hgetall(a []string) any {
	h, err := as[*hash](s, a[0])
	if err != nil {
		return err
	}
	all := pairs{}
	if h != nil {
		for _, f := range h.fields {
			all = append(all, f, h.values[f])
		}
	}
	return all
}

func (s *Server) hexists(a []string) any {
	h, err := as[*hash](s, a[0])
	if err != nil {
		return err
	}
	if h.get(a[1]) == nil {
		return int64(0)
	}
	return int64(1)
}

func (s *Server) hdel(a []string) any {
	h, err := as[*hash](s, a[0])
	if err != nil {
		return err
	}
	var n int64
	for _, f := range a[1:] {
		if h.get(f) == nil {
			continue
		}
		delete(h.values, f)
		h.fields = slices.DeleteFunc(h.fields, func(g string) bool { return g == f })
		n++
	}
	if h != nil && len(h.fields) == 0 {
		s.remove(a[0])
	}
	return n
}

func (s *Server) hincrby(a []string) any {
	by, bad := strconv.ParseInt(a[2], 10, 64)
	if bad != nil {
		return errInteger
	}
	h, err := as[*hash](s, a[0])
	if err != nil {
		return err
	}
	n := int64(0)
	if v, ok := h.get(a[1]).(string); ok {
		if n, bad = strconv.ParseInt(v, 10, 64); bad != nil {
			return fault("ERR hash value is not an integer")
		}
	}
	s.hset([]string{a[0], a[1], strconv.FormatInt(n+by, 10)})
	return n + by
}

func (s *Server) zadd(a []string) any {
	key, rest, gt := a[0], a[1:], false
	if strings.EqualFold(rest[0], "GT") {
		rest, gt = rest[1:], true
	}
	if len(rest) == 0 || len(rest)%2 != 0 {
		return errSyntax
	}
	scores := make([]float64, len(rest)/2)
	for i := range scores {
		var bad error
		if scores[i], bad = strconv.ParseFloat(rest[2*i], 64); bad != nil || math.IsNaN(scores[i]) {
			return fault("ERR value is not a valid float")
		}
	}
	z, err := as[*zset](s, key)
	if err != nil {
		return err
	}
	var n int64
	for i, score := range scores {
		member := rest[2*i+1]
		if z == nil {
			z = &zset{map[string]float64{}}
			s.keys[key] = z
		}
		old, was := z.scores[member]
		if !was {
			n++
		}
		if !was || !gt || score > old {
			z.scores[member] = score
		}
	}
	return n
}

// between are the members at a key in a range of scores, in order.
func (s *Server) between(key, from, to string) (z *zset, members []string, err any) {
	lo, loOut, err1 := scoreBound(from)
	hi, hiOut, err2 := scoreBound(to)
	if err1 != nil || err2 != nil {
		return nil, nil, fault("ERR min or max is not a float")
	}
	if z, err = as[*zset](s, key); z == nil || err != nil {
		return nil, nil, err
	}
	for m, score := range z.scores {
		if (score > lo || score == lo && !loOut) && (score < hi || score == hi && !hiOut) {
			members = append(members, m)
		}
	}
	sort.Slice(members, func(i, j int) bool {
		a, b := z.scores[members[i]], z.scores[members[j]]
		return a < b || a == b && members[i] < members[j]
	})
	return z, members, nil
}

func scoreBound(text string) (score float64, out bool, err error) {
	text, out = strings.CutPrefix(text, "(")
	score, err = strconv.ParseFloat(text, 64)
	return score, out, err
}

func (s *Server) zrangebyscore(a []string) any {
	z, members, err := s.between(a[0], a[1], a[2])
	if err != nil {
		return err
	}
	scores := false
	for i := 3; i < len(a); i++ {
		switch strings.ToUpper(a[i]) {
		case "WITHSCORES":
			scores = true
		default:
			return notModelled("ZRANGEBYSCORE", a[i])
		}
	}
	reply := []any{}
	for _, m := range members {
		if scores {
			reply = append(reply, []any{m, z.scores[m]})
		} else {
			reply = append(reply, m)
		}
	}
	return reply
}

func (s *Server) zremrangebyscore(a []string) any {
	z, members, err := s.between(a[0], a[1], a[2])
	if err != nil {
		return err
	}
	for _, m := range members {
		delete(z.scores, m)
	}
	if z != nil && len(z.scores) == 0 {
		s.remove(a[0])
	}
	return int64(len(members))
}

func formatScore(f float64) string { return fmt.Sprintf("%.17g", f) }

func (s *Server) hlen(a []string) any {
	h, err := as[*hash](s, a[0])
	if err != nil {
		return err
	}
	if h == nil {
		return int64(0)
	}
	return int64(len(h.fields))
}
