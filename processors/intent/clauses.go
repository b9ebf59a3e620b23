package intent

import "slices"

// part is a clause of a message with what it was taken for.
type part struct {
	judgement
	words int
}

// joints are the words between two wishes of one message.
var joints = map[string]bool{"и": true, "а": true, "но": true, "также": true, "еще": true, "плюс": true, "and": true, "also": true, "but": true, "plus": true}

// leastClause is how many words a clause has at least; fewer belong to their neighbour.
const leastClause = 2

// most clauses that are judged: a longer message is a story, and its first lines say what it wants.
const mostClauses = 6

// parts judges the clauses of a message, none if it has but one.
func (m *Model) parts(msg message) []part {
	clauses := split(msg.tokens)
	if len(clauses) < 2 {
		return nil
	}
	if len(clauses) > mostClauses {
		clauses = clauses[:mostClauses]
	}
	all := make([]part, 0, len(clauses))
	for _, c := range clauses {
		all = append(all, part{m.judge(c), len(c)})
	}
	return all
}

// split cuts tokens where a sentence or a phrase ends, and before the words that join two.
func split(tokens []token) (clauses [][]token) {
	from := 0
	for i := 1; i < len(tokens); i++ {
		if tokens[i].gap == space && !joints[tokens[i].word] {
			continue
		}
		if i-from < leastClause && tokens[i].gap != stop || len(tokens)-i < leastClause && tokens[i].gap != stop {
			continue
		}
		clauses = append(clauses, tokens[from:i])
		from = i
	}
	return append(clauses, tokens[from:])
}

// combine says what a message wants, by its whole and by its parts. A part counts when it is surer than the whole needs
// to be: a few words are soon taken for something.
func (m *Model) combine(whole judgement, parts []part) Result {
	limits := Limits{Confidence: m.limits.Clause, Margin: m.limits.Margin}
	var found []int
	strongest := whole
	for i := range parts {
		p := &parts[i]
		if !p.sureBy(limits) {
			continue
		}
		if !slices.Contains(found, p.first) {
			found = append(found, p.first)
		}
		if strongest.first == other || strongest.p[strongest.first] < p.p[p.first] {
			strongest = p.judgement
		}
	}
	main := whole
	if !whole.sureBy(m.limits) && len(found) > 0 {
		main = strongest
	}
	found = reconcile(main.first, found)
	r := Result{Intent: All[main.first], Confidence: float64(main.p[main.first]), Answered: main.sureBy(m.limits), InScope: whole.inScope(), Rule: main.rule}
	for i := range parts {
		r.InScope = max(r.InScope, inScopeOfPart(&parts[i]))
	}
	for _, k := range found {
		r.Intents = append(r.Intents, All[k])
	}
	return r
}

// inScopeOfPart trusts a short part less.
func inScopeOfPart(p *part) float64 {
	if p.words < 3 {
		return 0
	}
	return p.inScope()
}

// reconcile puts the main intent among those found. To cancel and to book, or to move, in one message is to move.
func reconcile(main int, found []int) []int {
	if !slices.Contains(found, main) {
		if main == other && len(found) > 0 {
			return found
		}
		found = append([]int{main}, found...)
	}
	if slices.Contains(found, index(Reschedule)) {
		found = slices.DeleteFunc(found, func(k int) bool { return k != main && (k == index(Cancel) || k == index(Booking)) })
	}
	return found
}
