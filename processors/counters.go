package processors

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"

	"leadstream/processors/customer"
	"leadstream/streams"
)

// counters is what an expression sees of the customer. Beside these it has the functions
//
//	count("hot:discount", "7d")              words of a class, messages with an intent ("intent:address"), enquiries
//	                                         ("lead"), events by name ("click"), within a window
//	interactions(30)                         messages, answers, clicks, orders and visits in so many days
//	in_week(1)                               the same in the seven days before the last seven; in_week(0): in those
//	in_a_row("expensive")                    latest messages with a word of the class, without one between
//	without("click", "order|visit", "72h")   one so long ago, and none of the others since: see segmenter for the wait
//
// Their arguments stand there as they are, so that it is known when what they count changes without anything coming.
type counters struct {
	Past          *customer.Past `expr:"the past"` // no rule can name it
	Silent        float64        `expr:"days_since_reply"`
	LastSentiment float64        `expr:"last_sentiment"`
	Activity      int            `expr:"activity"` // 0 to 10: interactions in 30 days (G-14)
}

const day = 24 * time.Hour

func countersOf(past *customer.Past) counters {
	if past == nil {
		past = &customer.Past{}
	}
	return counters{Past: past, Silent: past.Silent().Hours() / 24, LastSentiment: past.LastSentiment(neutral),
		Activity: min(past.Interactions(30*day), 10)}
}

// counted are the functions as they are called once their arguments were read.
var counted = []expr.Option{
	expr.Function("count"+folded, func(p ...any) (any, error) {
		return p[0].(*customer.Past).Count(p[1].(string), p[2].(time.Duration)), nil
	}, (*customer.Past).Count),
	expr.Function("interactions"+folded, func(p ...any) (any, error) {
		return p[0].(*customer.Past).Interactions(p[1].(time.Duration)), nil
	}, (*customer.Past).Interactions),
	expr.Function("in_week"+folded, func(p ...any) (any, error) {
		past, from := p[0].(*customer.Past), p[1].(time.Duration)
		return past.Interactions(from+7*day) - past.Interactions(from), nil
	}, (*customer.Past).Interactions),
	expr.Function("in_a_row"+folded, func(p ...any) (any, error) {
		return p[0].(*customer.Past).InARow(p[1].(string)), nil
	}, (*customer.Past).InARow),
	expr.Function("without"+folded, func(p ...any) (any, error) {
		return p[0].(*customer.Past).Without(p[1].(string), p[2].(string), p[3].(time.Duration)), nil
	}, (*customer.Past).Without),
}

// counting reads the arguments of an expression's counting functions, and what makes its answer change.
type counting struct {
	classes []string // known classes of hot words; nil: any

	windows []time.Duration // ages at which a mark may count no more
	absence bool            // it depends on something not having come
	err     error
}

// Visit takes the place of a call whose arguments are read.
func (c *counting) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BinaryNode:
		c.compared(n.Left, n.Right)
		c.compared(n.Right, n.Left)
	case *ast.CallNode:
		if name, ok := n.Callee.(*ast.IdentifierNode); ok {
			c.call(node, name.Value, n.Arguments)
		}
	case *ast.BuiltinNode: // of the language's own count(array, condition), which stays, it reads the window as a condition
		if n.Name != "count" || len(n.Arguments) != 2 {
			return
		}
		if _, ok := n.Arguments[0].(*ast.StringNode); ok {
			args := slices.Clone(n.Arguments)
			if p, ok := args[1].(*ast.PredicateNode); ok {
				args[1] = p.Node
			}
			c.call(node, "count", args)
		}
	}
}

// compared notes the number of days that the customer's silence is compared with.
func (c *counting) compared(name, value ast.Node) {
	id, ok := name.(*ast.IdentifierNode)
	if !ok || id.Value != "days_since_reply" {
		return
	}
	var days float64
	switch v := value.(type) {
	case *ast.IntegerNode:
		days = float64(v.Value)
	case *ast.FloatNode:
		days = v.Value
	default:
		return
	}
	if days > 0 && days < 1000 {
		c.windows = append(c.windows, time.Duration(days*float64(day))) // it is looked at a buffer later, when "more than" is true
	}
}

func (c *counting) call(node *ast.Node, name string, args []ast.Node) {
	var read []any
	fail := func(text string) {
		if c.err == nil {
			c.err = fmt.Errorf("%s: %s", name, text)
		}
	}
	text := func(i int) string {
		if i < len(args) {
			if s, ok := args[i].(*ast.StringNode); ok {
				return s.Value
			}
		}
		fail(fmt.Sprintf("its argument %d stands in quotes", i+1))
		return ""
	}
	whole := func(i int) int {
		if i < len(args) {
			if n, ok := args[i].(*ast.IntegerNode); ok && n.Value >= 0 && n.Value <= 1000 {
				return n.Value
			}
		}
		fail(fmt.Sprintf("its argument %d is a whole number, written out", i+1))
		return 0
	}
	window := func(d time.Duration, err error) time.Duration {
		if err != nil {
			fail(err.Error())
		} else if d > customer.Keep {
			fail(fmt.Sprintf("customers are remembered for %d days", customer.Keep/day))
		}
		c.windows = append(c.windows, d)
		return d
	}
	kind := func(s string) string {
		if err := c.known(s); err != nil {
			fail(err.Error())
		}
		return s
	}
	want := 1
	switch name {
	case "count":
		read, want = []any{kind(text(0)), window(readWindow(text(1)))}, 2
	case "interactions":
		read = []any{window(time.Duration(whole(0))*day, nil)}
	case "in_week":
		from := window(time.Duration(whole(0))*7*day, nil)
		window(from+7*day, nil)
		read = []any{from}
	case "in_a_row":
		class := text(0)
		kind(customer.Hot + class)
		read = []any{class}
	case "without":
		read, want = []any{text(0), text(1), window(readWindow(text(2)))}, 3
		for _, kinds := range read[:2] {
			for one := range strings.SplitSeq(kinds.(string), "|") {
				kind(one)
			}
		}
		c.absence = true
	default:
		return
	}
	if len(args) != want {
		fail(fmt.Sprintf("it takes %d arguments", want))
	}
	call := &ast.CallNode{Callee: &ast.IdentifierNode{Value: name + folded}, Arguments: []ast.Node{&ast.IdentifierNode{Value: "the past"}}}
	for _, v := range read {
		call.Arguments = append(call.Arguments, &ast.ConstantNode{Value: v})
	}
	ast.Patch(node, call)
}

// known finds a kind of mark that there never is: a misspelled one would count nothing for ever.
func (c *counting) known(kind string) error {
	class, hot := strings.CutPrefix(kind, customer.Hot)
	intent, wants := strings.CutPrefix(kind, customer.Intent)
	switch {
	case hot && (c.classes == nil || slices.Contains(c.classes, class)), wants && intent != "",
		kind == customer.Enquiry, slices.Contains(streams.Events, kind):
		return nil
	case hot:
		return fmt.Errorf("there are no hot words %q", class)
	}
	return fmt.Errorf("%q is none of lead, hot:CLASS, intent:NAME and the events %s", kind, strings.Join(streams.Events, ", "))
}

var errWindow = errors.New("a window is written as in 7d, 72h or 30m")

func readWindow(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || !(n >= 0) || n > math.MaxInt32/86400 {
			return 0, errWindow
		}
		return time.Duration(n * float64(day)), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errWindow
	}
	return d, nil
}
