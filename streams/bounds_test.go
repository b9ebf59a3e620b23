package streams

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

func TestOneCallCarriesWhatALineCanTake(t *testing.T) {
	of := func(force bool, size int32) pending { return pending{force: force, size: size} }
	for name, c := range map[string]struct {
		batch []pending
		want  int
	}{
		"all":                {[]pending{of(false, 1<<20), of(false, 1<<20)}, 2},
		"too many bytes":     {[]pending{of(false, 5<<20), of(false, 3<<20), of(false, 1)}, 2},
		"one is larger":      {[]pending{of(false, 9<<20), of(false, 1)}, 1},
		"the second is":      {[]pending{of(false, 1), of(false, 9<<20)}, 1},
		"some are forced":    {[]pending{of(false, 1), of(true, 1)}, 1},
		"nothing is waiting": {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := len(alike(c.batch)); got != c.want {
				t.Errorf("%d go with one call, want %d", got, c.want)
			}
		})
	}
}

// A letter that somebody has spoilt must not hide the others, nor keep the partition from being opened.
func TestUnreadableLetterHidesNoOther(t *testing.T) {
	t.Parallel()
	r, s := shelf(t)
	p := r.p
	p.Log = zerolog.Nop()
	for _, letter := range []string{"{", `{"lead":{"id":"a"},"destination":"crm"}`} {
		if err := s.Client.XAdd(t.Context(), &redis.XAddArgs{Stream: p.Keys.dead(), Values: []string{"letter", letter}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	var found []string
	err := p.Dead(t.Context(), func(d DeadLetter) bool { found = append(found, d.Lead.ID); return true })
	if err != nil || len(found) != 1 || found[0] != "a" {
		t.Errorf("found %q, %v; want a", found, err)
	}
}
