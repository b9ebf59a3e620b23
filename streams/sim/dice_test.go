package sim

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"
)

// dice are thrown for one decision, which they make the same whatever was decided before: the seed and the decision's
// name say what falls.
type dice struct{ *rand.Rand }

func (w *world) dice(parts ...any) dice {
	h := fnv.New64a()
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			h.Write([]byte(p))
		case int:
			h.Write(strconv.AppendInt(nil, int64(p), 10))
		}
		h.Write([]byte{0})
	}
	return dice{rand.New(rand.NewPCG(w.seed, h.Sum64()))}
}

func (d dice) percent(n int) bool { return d.IntN(100) < n }

func (d dice) between(least, most int) int { return least + d.IntN(most-least+1) }

// time is a duration from least on, and hardly ever the same twice: two things that happen at one moment could happen in
// either order.
func (d dice) time(least, most time.Duration) time.Duration {
	return least + time.Duration(d.Int64N(int64(most-least)+1))
}

func one[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }
