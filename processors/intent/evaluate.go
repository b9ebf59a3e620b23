package intent

import (
	"cmp"
	"math"
	"slices"
)

// Row is a message with what it wants, according to a person.
type Row struct {
	Text string
	Want []string
}

// Report is how a model did on messages that others wrote.
type Report struct {
	Rows      int         `json:"rows"`
	Right     int         `json:"right"`            // the main intent is one of those wanted
	Accuracy  float64     `json:"accuracy"`         // of all rows, answered or not
	Between   [2]float64  `json:"accuracy_between"` // this and the others: the Wilson interval of 95 %
	Exact     float64     `json:"exact"`            // the share of rows of which all intents were found, and no more
	Answered  int         `json:"answered"`
	Precision float64     `json:"precision"` // of what was answered
	Surely    [2]float64  `json:"precision_between"`
	Coverage  float64     `json:"coverage"` // answered of those that want something
	Covers    [2]float64  `json:"coverage_between"`
	AUROC     *float64    `json:"auroc,omitempty"`
	Intents   []Score     `json:"intents"`
	Confused  []Confusion `json:"confused"`
	Mistakes  []Mistake   `json:"mistakes"`
}

// Score is how often an intent was wanted, how often found, and how often found where it was wanted.
type Score struct {
	Intent string `json:"intent"`
	Wanted int    `json:"wanted"`
	Found  int    `json:"found"`
	Right  int    `json:"right"`
}

// Confusion is one intent taken for another.
type Confusion struct {
	Want  string `json:"want"`
	Got   string `json:"got"`
	Times int    `json:"times"`
}

// Mistake is a row whose main intent is none that was wanted.
type Mistake struct {
	Row        int      `json:"row"` // from 1
	Want       []string `json:"want"`
	Got        string   `json:"got"`
	Confidence float64  `json:"confidence"`
	Answered   bool     `json:"answered"`
}

// Evaluate reads the rows and compares.
func (m *Model) Evaluate(rows []Row) Report {
	t := &tally{Report: Report{Rows: len(rows)}, scores: map[string]*Score{}, confused: map[[2]string]int{}}
	for n, row := range rows {
		t.take(n+1, row, m.Read(row.Text))
	}
	return t.report()
}

// tally is a report in the making.
type tally struct {
	Report
	scores             map[string]*Score
	confused           map[[2]string]int
	inScope            []scored
	exact, ours, sure  int
	rightWhereAnswered int
}

func (t *tally) score(intent string) *Score {
	if t.scores[intent] == nil {
		t.scores[intent] = &Score{Intent: intent}
	}
	return t.scores[intent]
}

func (t *tally) take(n int, row Row, got Result) {
	right := slices.Contains(row.Want, got.Intent)
	ours := slices.ContainsFunc(row.Want, func(w string) bool { return w != Other })
	t.inScope = append(t.inScope, scored{got.InScope, ours})
	for _, w := range row.Want {
		t.score(w).Wanted++
	}
	for _, g := range got.Intents {
		t.score(g).Found++
		if slices.Contains(row.Want, g) {
			t.score(g).Right++
		}
	}
	if ours {
		t.ours++
		if got.Answered {
			t.sure++
		}
	}
	if got.Answered {
		t.Answered++
		if right {
			t.rightWhereAnswered++
		}
	}
	if equalSets(row.Want, got.Intents) {
		t.exact++
	}
	if right {
		t.Right++
		return
	}
	t.confused[[2]string{row.Want[0], got.Intent}]++
	t.Mistakes = append(t.Mistakes, Mistake{Row: n, Want: row.Want, Got: got.Intent, Confidence: got.Confidence, Answered: got.Answered})
}

func equalSets(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x string) bool { return !slices.Contains(b, x) })
}

func (t *tally) report() Report {
	r := &t.Report
	r.Accuracy = share(r.Right, r.Rows)
	r.Between[0], r.Between[1] = Wilson(r.Right, r.Rows)
	r.Exact = share(t.exact, r.Rows)
	r.Precision = share(t.rightWhereAnswered, r.Answered)
	r.Surely[0], r.Surely[1] = Wilson(t.rightWhereAnswered, r.Answered)
	r.Coverage = share(t.sure, t.ours)
	r.Covers[0], r.Covers[1] = Wilson(t.sure, t.ours)
	if a := auroc(t.inScope); !math.IsNaN(a) {
		r.AUROC = &a
	}
	for _, intent := range All {
		if s := t.scores[intent]; s != nil {
			r.Intents = append(r.Intents, *s)
		}
	}
	for pair, times := range t.confused {
		r.Confused = append(r.Confused, Confusion{pair[0], pair[1], times})
	}
	slices.SortFunc(r.Confused, func(a, b Confusion) int {
		return cmp.Or(b.Times-a.Times, cmp.Compare(a.Want, b.Want), cmp.Compare(a.Got, b.Got))
	})
	return *r
}

// Wilson is the interval in which a share lies with a certainty of 95 %, after part of of were counted.
func Wilson(part, of int) (from, to float64) {
	if of == 0 {
		return 0, 1
	}
	const z = 1.959964
	n := float64(of)
	p := float64(part) / n
	middle := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, middle-half), min(1, middle+half)
}
