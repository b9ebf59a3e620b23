package intent

import "slices"

// part is a clause of a message with what it was taken for.
type part struct {
	judgement
	words int
}

// joints are the words between two wishes of one message.
var joints = map[string]bool{
	"и": true, "а": true, "но": true, "также": true, "еще": true, "плюс": true,
	"and": true, "also": true, "but": true, "plus": true,
}

// leastClause is how many words a clause has at least, unless a sentence ends there; fewer belong to their neighbour.
const leastClause = 2

// mostClauses are judged: a longer message is a story, and its first lines say what it wants.
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
		short := i-from < leastClause || len(tokens)-i < leastClause
		if tokens[i].gap == stop || !short && (tokens[i].gap == comma || joints[tokens[i].word]) {
			clauses = append(clauses, tokens[from:i])
			from = i
		}
	}
	return append(clauses, tokens[from:])
}

// strongest is the clause that is surest of an intent other than Other.
func strongest(parts []part) (best *judgement) {
	for i := range parts {
		p := &parts[i].judgement
		if p.first != other && (best == nil || p.p[p.first] > best.p[best.first]) {
			best = p
		}
	}
	return best
}

// deciding is the whole, or the clause that knows what the whole does not: the rest of the message may be a story.
func deciding(whole, best *judgement) *judgement {
	if best != nil && !whole.atLeast(firm) && (best.atLeast(firm) || whole.first == other && best.atLeast(fair)) {
		return best
	}
	return whole
}

// order is which intent of several is the main one: what is urgent or would be undone comes first, and a question that
// the answer to another would answer too comes last.
var order = places(Complaint, Reschedule, Cancel, Booking, Operator, OrderStatus, Payment, Price, Address, Hours, Consultation, Other)

func places(intents ...string) (at [classes]int) {
	for n, intent := range intents {
		at[index(intent)] = n
	}
	return at
}

// decide says what a message wants, by its whole and by its clauses: the main judgement, and all.
func decide(whole *judgement, parts []part) (main *judgement, found []*judgement) {
	main = deciding(whole, strongest(parts))
	for i := range parts {
		if p := &parts[i].judgement; p.atLeast(fair) {
			found = appendNew(found, p)
		}
	}
	found = reconcile(appendNew(found, main))
	for _, j := range found {
		if j.atLeast(firm) && order[j.first] < order[main.first] || !slices.Contains(found, main) {
			main = j
		}
	}
	return main, found
}

func (m *Model) result(whole *judgement, parts []part) Result {
	main, found := decide(whole, parts)
	r := Result{Intent: All[main.first], InScope: whole.inScope(), Rule: main.rule}
	if main.first == other {
		r.Confidence = float64(main.p[other])
	} else {
		x := traitsOf(main, whole, parts)
		r.Confidence = m.trust.of(&x)
		r.Answered = r.Confidence >= m.limit
	}
	for i := range parts {
		if parts[i].words > leastClause {
			r.InScope = max(r.InScope, parts[i].inScope())
		}
	}
	for _, j := range found {
		r.Intents = append(r.Intents, All[j.first])
	}
	return r
}

// appendNew adds a judgement, unless its intent is there already; the surer of the two stays.
func appendNew(found []*judgement, j *judgement) []*judgement {
	for n, have := range found {
		if have.first == j.first {
			if j.p[j.first] > have.p[j.first] {
				found[n] = j
			}
			return found
		}
	}
	return append(found, j)
}

// reconcile leaves out the cancelling and the booking that moving is.
func reconcile(found []*judgement) []*judgement {
	if !slices.ContainsFunc(found, func(j *judgement) bool { return All[j.first] == Reschedule }) {
		return found
	}
	return slices.DeleteFunc(found, func(j *judgement) bool { return All[j.first] == Cancel || All[j.first] == Booking })
}
