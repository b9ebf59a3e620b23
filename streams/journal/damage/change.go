package damage

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
)

// change is a file's new content and what was done to it, in words.
type change struct {
	data []byte
	what string
}

// damaged is f, damaged in that way. Mostly where there are records: unused space is zeros.
func damaged(rng *rand.Rand, k Kind, f, other *file, room []byte) change {
	b := append(room[:0], f.data...)
	at := rng.IntN(min(int(f.used)+64, len(b)))
	n := 1 + rng.IntN(1<<rng.IntN(14)) // small ones as often as large ones
	end := min(at+n, len(b))
	switch k {
	case Flip:
		bit := rng.IntN(8)
		b[at] ^= 1 << bit
		return change{b, fmt.Sprintf("bit %d of byte %d flipped", bit, at)}
	case Tear:
		return change{b[:at], fmt.Sprintf("torn at byte %d", at)}
	case Zero:
		return zero(rng, b, at, end)
	case Junk:
		return junk(rng, b, at, end, other.data)
	default:
		return cut(rng, b, at, end)
	}
}

func zero(rng *rand.Rand, b []byte, from, to int) change {
	switch rng.IntN(4) {
	case 0:
		from, to = from&^511, from&^511+512
	case 1:
		from, to = from&^4095, from&^4095+4096
	case 2:
		to = len(b)
	}
	to = min(to, len(b))
	clear(b[from:to])
	return change{b, fmt.Sprintf("bytes %d to %d zeroed", from, to)}
}

func junk(rng *rand.Rand, b []byte, from, to int, other []byte) change {
	if rng.IntN(4) == 0 {
		from, to = len(b), len(b)+to-from
		b = append(b, make([]byte, to-from)...)
	}
	switch rng.IntN(3) {
	case 0:
		copy(b[from:to], other[rng.IntN(len(other)):])
	case 1:
		copy(b[from:to], bytes.Repeat([]byte("\xf5LSJ\x01"), (to-from)/5+1))
	default:
		copy(b[from:to], random(rng, to-from))
	}
	return change{b, fmt.Sprintf("junk from byte %d to %d", from, to)}
}

func cut(rng *rand.Rand, b []byte, from, to int) change {
	at := rng.IntN(len(b) - (to - from) + 1)
	switch n := to - from; rng.IntN(4) {
	case 0:
		return change{slices.Delete(b, from, to), fmt.Sprintf("bytes %d to %d taken out", from, to)}
	case 1:
		piece := slices.Clone(b[from:to])
		return change{slices.Insert(b, at, piece...), fmt.Sprintf("bytes %d to %d put in at %d too", from, to, at)}
	case 2:
		piece := slices.Clone(b[from:to])
		b = slices.Insert(slices.Delete(b, from, to), at, piece...)
		return change{b, fmt.Sprintf("bytes %d to %d moved to %d", from, to, at)}
	default:
		piece := slices.Clone(b[from:to])
		copy(b[from:to], b[at:at+n])
		copy(b[at:at+n], piece)
		return change{b, fmt.Sprintf("bytes %d to %d exchanged with those at %d", from, to, at)}
	}
}

// span is the smallest range outside which a and b are the same; its end is in the longer of the two.
func span(a, b []byte) (from, to int) {
	n := min(len(a), len(b))
	for from+512 <= n && bytes.Equal(a[from:from+512], b[from:from+512]) {
		from += 512
	}
	for from < n && a[from] == b[from] {
		from++
	}
	if to = max(len(a), len(b)); len(a) != len(b) {
		return from, to
	}
	for to-512 >= from && bytes.Equal(a[to-512:to], b[to-512:to]) {
		to -= 512
	}
	for to > from && a[to-1] == b[to-1] {
		to--
	}
	return from, to
}
