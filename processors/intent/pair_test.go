package intent

import (
	"fmt"
	"slices"
	"testing"
)

func TestPairs(t *testing.T) {
	ex, _ := Defaults()
	m, err := Train(ex)
	if err != nil {
		t.Fatal(err)
	}
	r, s := prepare(ex)
	for i := range s.messages {
		s.x = append(s.x, m.vocab.vectorOf(s.messages[i].tokens))
	}
	type obs struct {
		whole judgement
		parts []part
		gold  []int
	}
	var all []obs
	joins := []string{". ", ", ", " и ", "? "}
	cyr := func(x string) bool { return x[0] >= 0x80 }
	for fold := range folds {
		var seen, held []int
		for i := range s.y {
			if s.fold[i] != fold {
				seen = append(seen, i)
			} else {
				held = append(held, i)
			}
		}
		taught := &Model{text: r, vocab: m.vocab, weights: usual.fit(s.x, s.y, seen, len(m.vocab.idf)), limits: m.limits}
		for n, i := range held {
			all = append(all, obs{taught.judge(s.messages[i].tokens), taught.parts(s.messages[i]), []int{s.y[i]}})
			j := held[(n*7+13)%len(held)]
			a, b := s.y[i], s.y[j]
			if a == b || a == other || b == other || cyr(s.examples[i].text) != cyr(s.examples[j].text) {
				continue
			}
			g := []int{a, b}
			if a < 3 && b < 3 {
				continue
			}
			msg := r.read(s.examples[i].text + joins[n%4] + s.examples[j].text)
			all = append(all, obs{taught.judge(msg.tokens), taught.parts(msg), g})
		}
	}
	for _, clause := range []float64{0} {
		l := m.limits
		_ = clause
		mm := &Model{limits: l}

		var n, exact, main, ans, good [3]int
		var spurious int
		for _, o := range all {
			res := mm.combine(o.whole, o.parts)
			k := len(o.gold)
			n[k]++
			var got []int
			for _, x := range res.Intents {
				got = append(got, index(x))
			}
			slices.Sort(got)
			g := slices.Clone(o.gold)
			slices.Sort(g)
			if slices.Equal(got, g) {
				exact[k]++
			}
			if slices.Contains(o.gold, index(res.Intent)) {
				main[k]++
			}
			if res.Answered {
				ans[k]++
				if slices.Contains(o.gold, index(res.Intent)) {
					good[k]++
				}
			}
			if k == 1 && len(got) > 1 {
				spurious++
			}
		}
		fmt.Printf("clause %.2f: single n %d exact %.3f main %.3f prec %.3f ans %.3f spurious %d | pair n %d exact %.3f main %.3f prec %.3f ans %.3f\n", clause,
			n[1], share(exact[1], n[1]), share(main[1], n[1]), share(good[1], ans[1]), share(ans[1], n[1]), spurious,
			n[2], share(exact[2], n[2]), share(main[2], n[2]), share(good[2], ans[2]), share(ans[2], n[2]))
	}
}
