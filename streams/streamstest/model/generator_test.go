package model

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// farID is an id in the future: the ids that a server makes behind it do not depend on its clock.
const farID = "9999999999999-1"

var (
	streamKeys = []string{"s0", "s1", "dead", "home"} // kept alive by the test
	groups     = []string{"ls", "g"}
	consumers  = []string{"one", "two", "parked"}
	fields     = []string{"a", "b", "c"}
)

// generator chooses steps as the engine would take them, with mistakes in between.
type generator struct {
	*rand.Rand
	scripts map[string]string
	run     string
}

func pick[T any](g *generator, of []T) T { return of[g.IntN(len(of))] }

func (g *generator) percent(n int) bool { return g.IntN(100) < n }

// streamKey is mostly a stream.
func (g *generator) streamKey() string {
	switch n := g.IntN(100); {
	case n < 90:
		return pick(g, streamKeys[:2])
	case n < 97:
		return pick(g, []string{"fresh", "none"})
	}
	return pick(g, []string{"h0", "k0"})
}

// id is mostly one that the stream holds.
func (g *generator) id(p *pair, key string) string {
	if ids := p.ids[key]; len(ids) > 0 && g.percent(90) {
		return pick(g, ids)
	}
	return pick(g, []string{"1-1", farID, "9999999999999-7", "9999999999999", "5"})
}

func (g *generator) bound(p *pair, key, end string) string {
	switch g.IntN(4) {
	case 0:
		return g.id(p, key)
	case 1:
		return "(" + g.id(p, key)
	}
	return end
}

func (g *generator) step(p *pair) []any {
	switch n := g.IntN(100); {
	case n < 38:
		return g.streamStep(p)
	case n < 58:
		return g.groupStep(p)
	case n < 72:
		return g.plainStep()
	case n < 73:
		return g.disturb(p)
	}
	return g.scriptStep(p)
}

func (g *generator) streamStep(p *pair) []any {
	key := g.streamKey()
	switch g.IntN(8) {
	case 0, 1:
		if !slices.Contains(streamKeys, key) { // what stands there gets ids by the clock
			return []any{"XLEN", key}
		}
		return []any{"XADD", key, "*", "id", pick(g, fields), "lead", g.IntN(9)}
	case 2:
		return []any{"XADD", key, pick(g, []string{"0-0", "1-1", "x", farID}), "id", "x"}
	case 3:
		return []any{"XLEN", key}
	case 4:
		return []any{"XDEL", key, g.id(p, key), g.id(p, key)}
	case 5:
		return []any{"XRANGE", key, g.bound(p, key, "-"), g.bound(p, key, "+"), "COUNT", 1 + g.IntN(4)}
	}
	return []any{"XRANGE", key, "-", "+"}
}

func (g *generator) groupStep(p *pair) []any {
	key, group, consumer := g.streamKey(), pick(g, groups), pick(g, consumers)
	switch g.IntN(16) {
	case 0:
		return []any{"XGROUP", "CREATE", key, group, pick(g, []string{"0", "$", "x"}), "MKSTREAM"}
	case 1:
		return []any{"XGROUP", "CREATE", key, group, "0"}
	case 2:
		if g.percent(20) {
			return []any{"XGROUP", pick(g, []string{"DESTROY", "DESTROY"}), key, group}
		}
		return []any{"XGROUP", "DELCONSUMER", key, group, consumer}
	case 3, 4, 5:
		return []any{"XREADGROUP", "GROUP", group, consumer, "COUNT", 1 + g.IntN(5), "STREAMS", key, pick(g, streamKeys), ">", ">"}
	case 6:
		return []any{"XACK", key, group, g.id(p, key), g.id(p, key)}
	case 7:
		return []any{"XPENDING", key, group}
	case 8:
		return []any{"XPENDING", key, group, g.bound(p, key, "-"), g.bound(p, key, "+"), 1 + g.IntN(9)}
	case 9:
		if g.percent(50) {
			return []any{"XPENDING", key, group, "IDLE", g.IntN(3) * 10 * coarse, "-", "+", 1 + g.IntN(20), consumer}
		}
		return []any{"XPENDING", key, group, "-", "+", 1 + g.IntN(20), consumer}
	case 10, 11:
		return g.claim(p, key, group, consumer)
	case 12, 13:
		from := pick(g, []string{"0-0", g.id(p, key), "(" + g.id(p, key)})
		return []any{"XAUTOCLAIM", key, group, consumer, g.IntN(3) * 10 * coarse, from, "COUNT", 1 + g.IntN(3)}
	case 14:
		return []any{"XINFO", "GROUPS", key}
	}
	return []any{"XTRIM", key, "MAXLEN", 3 + g.IntN(20)}
}

func (g *generator) claim(p *pair, key, group, consumer string) []any {
	step := []any{"XCLAIM", key, group, consumer, g.IntN(3) * 10 * coarse, g.id(p, key), g.id(p, key)}
	if g.percent(70) {
		step = append(step, "IDLE", g.IntN(4)*7*coarse)
	}
	if g.percent(50) {
		step = append(step, "RETRYCOUNT", g.IntN(4))
	}
	if g.percent(50) {
		step = append(step, "JUSTID")
	}
	return step
}

func (g *generator) plainStep() []any {
	k, h, z, f := pick(g, []string{"k0", "k1", "owner"}), pick(g, []string{"h0", "h1", "k0"}), pick(g, []string{"z0", "h0"}), pick(g, fields)
	all := [][]any{
		{"GET", pick(g, []string{"k0", "k1", "h0", "s0", "epoch"})},
		{"SET", k, g.IntN(5)}, {"SET", k, g.IntN(5), "NX"}, {"SET", k, "x", "NX", "PX", 1000 * coarse}, {"SET", k, "x", "PX", pick(g, []any{0, "x", coarse})},
		{"DEL", k, "z0"}, {"DEL", "h0", "none"}, {"PEXPIREAT", k, pick(g, []int64{1, 4102444800000})}, {"PEXPIRE", k, pick(g, []int64{-1, coarse})},
		{"HSET", h, f, g.IntN(5), "n", g.IntN(5)}, {"HSET", h, f}, {"HGET", h, f}, {"HMGET", h, "a", "n", "none"}, {"HGETALL", h}, {"HLEN", h}, {"HEXISTS", h, f},
		{"HDEL", h, f, f, "none"}, {"HINCRBY", h, pick(g, []string{"a", "n"}), g.IntN(5) - 2}, {"HINCRBY", h, "n", "x"},
		{"ZADD", z, "GT", g.IntN(9), f}, {"ZADD", z, g.IntN(9), f, 2.5, "d"}, {"ZADD", z, "x", f}, {"ZADD", z, 1},
		{"ZRANGEBYSCORE", z, g.IntN(5), "+inf", "WITHSCORES"}, {"ZRANGEBYSCORE", z, "(2", "(7"}, {"ZRANGEBYSCORE", z, "x", "1"},
		{"ZREMRANGEBYSCORE", z, "-inf", g.IntN(5)}, {"GET"}, {"EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", 0},
	}
	return pick(g, all)
}

// disturb does what only operators and faults do.
func (g *generator) disturb(p *pair) []any {
	switch g.IntN(4) {
	case 0:
		p.full = !p.full
		p.real.ConfigSet(p.ctx, "maxmemory", map[bool]string{true: "1", false: "0"}[p.full])
		p.model.mu.Lock()
		p.model.full = p.full
		p.model.mu.Unlock()
	case 1:
		if !p.full {
			p.real.FlushAll(p.ctx)
			p.model.Flush()
			return []any{"PING"}
		}
	case 2:
		if !p.full {
			return []any{"DEL", pick(g, []string{"s0", "s1", "fresh"})}
		}
	}
	return []any{"XLEN", "s0"}
}

// scriptStep calls one of the engine's own scripts.
func (g *generator) scriptStep(p *pair) []any {
	eval := func(name string, keys []string, args ...any) []any {
		step := []any{"EVAL", g.scripts[name], len(keys)}
		for _, k := range keys {
			step = append(step, k)
		}
		return append(step, args...)
	}
	epoch := any(7)
	if g.percent(5) {
		epoch = 8
	}
	switch g.IntN(20) {
	case 0:
		return eval("create", []string{pick(g, []string{"s0", "s1", "fresh", "h0"})}, pick(g, groups))
	case 1:
		return eval("epoch", []string{"epoch", "run"}, 7, g.run)
	case 2:
		return eval("lease", []string{"owner", "last", "epoch", "run"}, pick(g, []string{"a", "b"}), g.IntN(2), 1000*coarse, g.IntN(2), g.IntN(2))
	case 3:
		return eval("release", []string{"owner"}, pick(g, []string{"a|0", "b|1"}))
	case 4:
		return eval("pause", []string{"pause"}, pick(g, []any{0, 4102444800000 + g.IntN(5)}), "why", "who")
	case 5:
		return eval("resume", []string{"pause"}, "who")
	case 6:
		return eval("rate", []string{"bucket"}, 10*coarse*1000, 4, 1+g.IntN(2))
	case 7:
		return eval("restore", []string{"dead", "letters"}, pick(g, fields), "id", "x", "letter", "y")
	case 8:
		return eval("replay", []string{"epoch", "dead", "s0", "h1", "home", "letters"}, epoch, g.id(p, "dead"), pick(g, []string{"", "a"}),
			pick(g, []string{"", "event"}), pick(g, fields), 4, "id", "x", "lead", "y")
	case 9, 10, 11:
		return g.appendLeads(eval, epoch)
	case 12:
		return []any{"XRANGE", pick(g, streamKeys), "-", "+"}
	}
	return g.settle(p, eval, epoch)
}

type evaluate func(name string, keys []string, args ...any) []any

func (g *generator) appendLeads(eval evaluate, epoch any) []any {
	keys, args := []string{"epoch", "s0"}, []any{epoch, 1000 * coarse, g.IntN(2), pick(g, consumers)}
	for range 1 + g.IntN(3) {
		id := fmt.Sprint("id:", g.IntN(30))
		keys = append(keys, id)
		args = append(args, id, "{}", "sum", 7, pick(g, []string{"", "crm,sms"}))
	}
	return eval("append", keys, args...)
}

func (g *generator) settle(p *pair, eval evaluate, epoch any) []any {
	stream := pick(g, []string{"s0", "s0", "s1", "fresh"})
	keys := []string{"epoch", stream, "h0", "h1", "dead", "s1", "home", "letters"}
	args := []any{epoch, "ls", pick(g, consumers), "-", "+"}
	for range 1 + g.IntN(3) {
		args = append(args, g.id(p, stream), pick(g, []string{"", "a", "n"}))
		if g.percent(40) {
			args = append(args, "park", g.IntN(4)*7*coarse, g.IntN(4), "meta")
			continue
		}
		n := g.IntN(3)
		args = append(args, "done", n)
		for range n {
			to := pick(g, []int{5, 6, 7})
			normal, count := 0, 0
			if g.percent(50) {
				count = 4
				normal = g.IntN(2) * 6
			}
			if to == 5 && g.percent(60) { // a dead letter
				normal, count = -1-g.IntN(2), 8
			}
			args = append(args, to, normal, count, pick(g, fields), 4, "id", "x", "lead", g.IntN(9))
		}
	}
	return eval("settle", keys, args...)
}
