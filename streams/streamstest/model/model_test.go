package model

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"leadstream/streams/streamstest"
)

var (
	seed  = flag.Uint64("seed", 0, "the steps to take; 0: new ones")
	steps = flag.Int("steps", 5000, "how many steps to take")
)

// TestLikeRedis takes the same random steps on the model and on a real redis-server.
func TestLikeRedis(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("replay with -seed %d", *seed)
	real := streamstest.Redis(t, "--appendonly", "no")
	p := newPair(t, real)
	g := &generator{Rand: rand.New(rand.NewPCG(*seed, 0)), scripts: readScripts(t), run: p.model.RunID}
	p.moved = true
	for n := range *steps {
		if p.moved {
			for _, key := range streamKeys {
				p.quiet("XADD", key, farID, "f", "v") // so that what follows in this stream gets the same ids on both
			}
		}
		step := g.step(p)
		p.moved = p.moved && p.full || step[0] == "DEL" || step[0] == "PING"
		p.same(n, step...)
	}
}

// pair is the model and the real server behind the same client.
type pair struct {
	t           *testing.T
	ctx         context.Context
	real, fake  *redis.Client
	model       *Server
	full, moved bool
	ids         map[string][]string
}

func newPair(t *testing.T, real *streamstest.Server) *pair {
	m := New(time.Now)
	fake := redis.NewClient(&redis.Options{MaxRetries: -1, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		Dialer:                   func(context.Context, string, string) (net.Conn, error) { return m.Dial("test", nil), nil }})
	t.Cleanup(func() { fake.Close() })
	p := &pair{t: t, ctx: context.Background(), real: real.Client, fake: fake, model: m, ids: map[string][]string{}}
	info := p.real.Info(p.ctx, "server").Val()
	_, rest, _ := strings.Cut(info, "run_id:")
	m.RunID = rest[:40]
	return p
}

// quiet takes a step on both whose answer is of no interest.
func (p *pair) quiet(args ...any) {
	p.real.Do(p.ctx, args...)
	p.fake.Do(p.ctx, args...)
}

// same takes a step on both and compares the answers.
func (p *pair) same(n int, args ...any) {
	p.t.Helper()
	want, err1 := p.real.Do(p.ctx, args...).Result()
	got, err2 := p.fake.Do(p.ctx, args...).Result()
	if d := cmp.Diff(errorText(err1), errorText(err2)); d != "" {
		p.t.Fatalf("step %d: %.300q: error (-redis +model):\n%s", n, args, d)
	}
	if d := cmp.Diff(normal(args, want), normal(args, got)); d != "" {
		p.t.Fatalf("step %d: %.300q: (-redis +model):\n%s", n, args, d)
	}
	if args[0] == "XRANGE" {
		p.learn(args[1].(string), want)
	}
}

// learn keeps the ids that a stream holds.
func (p *pair) learn(key string, reply any) {
	list, _ := reply.([]any)
	p.ids[key] = nil
	for _, m := range list {
		p.ids[key] = append(p.ids[key], m.([]any)[0].(string))
	}
}

// errorText is an error without the place in a script, which each interpreter words in its own way.
func errorText(err error) string {
	if err == nil || errors.Is(err, redis.Nil) {
		return ""
	}
	text, _, _ := strings.Cut(err.Error(), " script: ")
	return text
}

// normal takes out of a reply what cannot be the same: times are rounded to far more than a step takes, and the lag of
// a group is not modelled.
func normal(args []any, reply any) any {
	switch fmt.Sprint(args[0]) {
	case "XPENDING":
		list, _ := reply.([]any)
		for _, row := range list {
			if row, ok := row.([]any); ok && len(row) == 4 {
				row[2] = (row[2].(int64) + coarse/2) / coarse
			}
		}
	case "XINFO":
		list, _ := reply.([]any)
		for _, g := range list {
			if m, ok := g.(map[any]any); ok {
				delete(m, "entries-read")
				delete(m, "lag")
			}
		}
	case "EVAL":
		if list, ok := reply.([]any); ok && strings.Contains(args[1].(string), "'TIME'") {
			for i := range list {
				list[i] = (list[i].(int64) + coarse*500) / (coarse * 1000)
			}
		}
	}
	return reply
}

// coarse is milliseconds: far more than the test takes.
const coarse = 1_000_000

func readScripts(t *testing.T) map[string]string {
	paths, err := filepath.Glob("../../lua/*.lua")
	if err != nil || len(paths) == 0 {
		t.Fatal("no scripts:", err)
	}
	scripts := map[string]string{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		scripts[strings.TrimSuffix(filepath.Base(p), ".lua")] = string(b)
	}
	return scripts
}
