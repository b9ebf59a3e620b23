package processors

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"

	"leadstream/streams"
)

// maxNodes bounds an expression: a rule longer than this is a program, and belongs into several rules.
const maxNodes = 300

// line is what a rule's expression sees of a lead. Beside these it has the functions
//
//	has(message, "слишком дорог")       the words that begin so stand in a row
//	count_word(message, "скидк") > 3    how many words begin so (G-02)
//
// and those of the expression language: `any(tags, # == "vip")`, `phone startsWith "+7"`, `fields.city ?? ""`.
type line struct {
	ID       string   `expr:"id"`
	Source   string   `expr:"source"`
	Name     string   `expr:"name"`
	Phone    string   `expr:"phone"`
	Email    string   `expr:"email"`
	Service  string   `expr:"service"`
	Time     string   `expr:"time"`
	Message  string   `expr:"message"`
	Channel  string   `expr:"channel"`
	UserID   string   `expr:"user_id"`
	Intent   string   `expr:"intent"`
	Intents  []string `expr:"intents"`
	Sure     float64  `expr:"confidence"`
	Answered bool     `expr:"answered"`
	Person   string   `expr:"person"`
	Slots    slotLine `expr:"slots"`
	Language string   `expr:"language"`
	Level    string   `expr:"level"`
	Hot      bool     `expr:"hot"`
	Repeat   bool     `expr:"repeat"` // attached to an earlier lead
	Event    string   `expr:"event"`  // what has happened, see streams.Events; "" is an enquiry
	Priority int      `expr:"priority"`

	Sentiment float64           `expr:"sentiment"` // 0 to 1; 0.5 for a message that tells nothing
	Tags      []string          `expr:"tags"`
	Words     []string          `expr:"words"`   // of the message: lower case, ё as е, doubled letters single
	Hour      int               `expr:"hour"`    // 0 to 23, when it was received, business time
	Weekday   int               `expr:"weekday"` // 1 is Monday, 7 is Sunday
	UTM       map[string]string `expr:"utm"`
	Fields    map[string]any    `expr:"fields"`

	Score    int      `expr:"score"`     // 0 to 100, see score.go
	HotWords []string `expr:"hot_words"` // classes of hot words in the message
	Segments []string `expr:"segments"`  // that the customer is in, this message counted
	counters
}

// neutral is the sentiment that rules see of a message that tells nothing.
const neutral = 0.5

// slotLine is what an expression sees of the particulars of a message; what was not said is empty or 0.
type slotLine struct {
	Start   time.Time `expr:"start"`
	End     time.Time `expr:"end"`
	Kind    string    `expr:"kind"` // exact, part_of_day, day
	Order   string    `expr:"order"`
	Product string    `expr:"product"`
	Branch  string    `expr:"branch"`
	From    int       `expr:"price_from"`
	To      int       `expr:"price_to"`
}

func slotsOf(s *streams.Slots) (line slotLine) {
	if s == nil {
		return line
	}
	line = slotLine{Order: s.Order, Product: s.Product, Branch: s.Branch}
	if w := s.When; w != nil {
		line.Start, line.End, line.Kind = w.Start, w.End, w.Kind
	}
	if p := s.Price; p != nil {
		line.From, line.To = p.From, p.To
	}
	return line
}

func lineOf(l *streams.Lead, zone *time.Location) *line {
	if zone == nil {
		zone = time.UTC
	}
	at := l.ReceivedAt.In(zone)
	fields := make(map[string]any, len(l.Fields))
	for k, raw := range l.Fields {
		var v any
		if json.Unmarshal(raw, &v) == nil {
			fields[k] = v
		}
	}
	return &line{
		ID: l.ID, Source: l.Source, Name: l.Name, Phone: l.Phone, Email: l.Email, Service: l.Service, Time: l.Time,
		Message: l.Message, Channel: l.Channel, UserID: l.UserID, Intent: l.Intent, Intents: l.Intents, Sure: l.Confidence,
		Answered: l.Answered, Person: l.Person, Slots: slotsOf(l.Slots), Language: l.Language, Level: l.Level,
		Hot: l.Hot, Repeat: l.RepeatOf != "", Event: l.Event, Priority: l.Priority, Sentiment: cmp.Or(l.Sentiment, neutral), Tags: l.Tags, Words: words(l.Message),
		Hour: at.Hour(), Weekday: (int(at.Weekday())+6)%7 + 1, UTM: l.UTM, Fields: fields, counters: countersOf(nil),
	}
}

var ruleOptions = []expr.Option{
	expr.AsBool(), expr.MaxNodes(maxNodes), expr.Patch(foldOnce{}),
	expr.Function("count_word", func(p ...any) (any, error) { return countWord(p[0].(string), p[1].(string)), nil },
		countWord),
	expr.Function("has", func(p ...any) (any, error) { return countWord(p[0].(string), p[1].(string)) > 0, nil },
		func(text, stem string) bool { return false }),
	expr.Function("count_word"+folded, func(p ...any) (any, error) { return countRow(p[0].([]string), p[1].([]string)), nil },
		countRow),
	expr.Function("has"+folded, func(p ...any) (any, error) { return countRow(p[0].([]string), p[1].([]string)) > 0, nil },
		func(in, want []string) bool { return false }),
}

// folded ends the names of the functions that take folded words. No rule can be written with a space in a name.
const folded = " folded"

// foldOnce lets has(message, "…") and count_word(message, "…"), which nearly all rules are, look into the words of the
// line: the message is folded once for all rules, and what they look for when they are compiled.
type foldOnce struct{}

func (foldOnce) Visit(node *ast.Node) {
	call, ok := (*node).(*ast.CallNode)
	if !ok || len(call.Arguments) != 2 {
		return
	}
	name, ok := call.Callee.(*ast.IdentifierNode)
	if !ok || name.Value != "has" && name.Value != "count_word" {
		return
	}
	text, ok := call.Arguments[0].(*ast.IdentifierNode)
	stem, literal := call.Arguments[1].(*ast.StringNode)
	if !ok || !literal || text.Value != "message" {
		return
	}
	ast.Patch(node, &ast.CallNode{
		Callee:    &ast.IdentifierNode{Value: name.Value + folded},
		Arguments: []ast.Node{&ast.IdentifierNode{Value: "words"}, &ast.ConstantNode{Value: words(stem.Value)}},
	})
}

// countWord counts where the words of stem stand in a row in text, each as the beginning of a word.
func countWord(text, stem string) int { return countRow(words(text), words(stem)) }

func countRow(in, want []string) (n int) {
	if len(want) == 0 {
		return 0
	}
	for ; len(in) >= len(want); in = in[1:] {
		hit := 1
		for i, w := range want {
			if !strings.HasPrefix(in[i], w) {
				hit = 0
				break
			}
		}
		n += hit
	}
	return n
}

var (
	errMissing = errors.New("it fails for a lead that lacks a field")
	errLong    = errors.New("its running time has no bound")
)

// compileRule checks an expression by its types, its running time, and by asking it of an empty lead.
func compileRule(when string, classes ...string) (*vm.Program, error) {
	return compileOver(when, line{}, lineOf(&streams.Lead{}, nil), &counting{classes: classes})
}

// compileOver is compileRule for an expression over env, of which empty is an example. what learns how it counts.
func compileOver(when string, env, empty any, what *counting) (*vm.Program, error) {
	p, err := expr.Compile(when, slices.Concat(ruleOptions, counted, []expr.Option{expr.Env(env), expr.Patch(what)})...)
	if what.err != nil {
		return nil, what.err
	}
	if err != nil {
		return nil, err
	}
	node := p.Node()
	bound := bounded{}
	ast.Walk(&node, &bound)
	if bound.broken {
		return nil, errLong
	}
	if _, err := matches(&vm.VM{}, p, empty); err != nil {
		return nil, fmt.Errorf("%w: %v", errMissing, firstLine(err))
	}
	return p, nil
}

// speaksOf says whether an expression asks for a field of the line.
func speaksOf(p *vm.Program, field string) bool {
	node, names := p.Node(), &mentions{name: field}
	ast.Walk(&node, names)
	return names.found
}

type mentions struct {
	name  string
	found bool
}

func (m *mentions) Visit(node *ast.Node) {
	if n, ok := (*node).(*ast.IdentifierNode); ok && n.Value == m.name {
		m.found = true
	}
}

func cureOf(err error) string {
	switch {
	case errors.Is(err, errMissing):
		return `say what a missing field stands for, as in (fields.budget ?? 0) > 100`
	case errors.Is(err, errLong):
		return `leave out ranges (1..9) and loops within loops; has() and count_word() look through a text`
	}
	return `write an expression that is true or false, as in intent == "price" and count_word(message, "скидк") > 3`
}

func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}

// bounded refuses what could make an expression run for longer than the lead is long.
type bounded struct{ broken bool }

func (b *bounded) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BinaryNode:
		b.broken = b.broken || n.Operator == ".."
	case *ast.PredicateNode:
		inner := loops{}
		ast.Walk(&n.Node, &inner)
		b.broken = b.broken || inner.found
	}
}

type loops struct{ found bool }

func (l *loops) Visit(node *ast.Node) {
	if _, ok := (*node).(*ast.PredicateNode); ok {
		l.found = true
	}
}

// matches asks a compiled expression; none is true of every lead.
func matches(machine *vm.VM, p *vm.Program, l any) (bool, error) {
	if p == nil {
		return true, nil
	}
	out, err := machine.Run(p, l)
	if err != nil {
		return false, err
	}
	return out.(bool), nil
}
