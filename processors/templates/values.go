package templates

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode"

	"github.com/agnivade/levenshtein"
)

// Values are what a text may name (O-03). What is empty is not known.
type Values struct {
	FirstName string   // the customer's
	LastVisit string   // in words, "3 дня назад"
	Service   string   // wished or booked
	Price     string   // of the service
	Time      string   // of the visit, in words: "завтра в 14:00"
	Slots     []string // free times, in words
	Master    string
	Branch    string // the nearest one
	Order     string // its number
	Status    string // of the order
	Link      string
	Coupon    string
	Discount  string // that it gives: "10 %"
	Products  string // recommended ones, in words
	Until     string // until when the coupon holds
	On        string // Time as it follows "на" and "for": "14:00" of today, "завтра, 14:00"
	Again     bool   // it goes on with a conversation: the greeting is left out
	Ask       Ask
	Business  Business
}

// Ask is what a text asks for.
type Ask struct {
	Service, Time, Phone bool // that are not known
	Visit                bool // whether the customer would like one
	Place                bool // where the customer is
	SMS                  bool // whether the confirmation is to go by SMS too
}

// Sample is what previews are filled with.
func Sample(language string) Values {
	if language == "en" {
		return Values{FirstName: "Anna", LastVisit: "3 days ago", Service: "haircut", Price: "from 30 EUR", Time: "tomorrow at 14:00", Slots: []string{"14:00", "16:30"},
			Master: "Olga", Branch: "Main Street 1", Order: "A-1024", Status: "on its way", Link: "https://salon.example/b/1", Coupon: "AUTUMN10", Discount: "10 %", Products: "night cream, serum, mask", Until: "30 November", On: "tomorrow, 14:00",
			Business: Business{Name: "Romashka", Address: "Main Street 1", Map: "https://maps.example/1", Hours: "10:00 to 21:00 daily", Phone: "+7 999 000-00-11", Prices: "https://salon.example/prices"}}
	}
	return Values{FirstName: "Анна", LastVisit: "3 дня назад", Service: "стрижка", Price: "от 1500 ₽", Time: "завтра в 14:00", Slots: []string{"14:00", "16:30"},
		Master: "Ольга", Branch: "ул. Ленина, 1", Order: "А-1024", Status: "в пути", Link: "https://salon.example/b/1", Coupon: "OSEN10", Discount: "10 %", Products: "ночной крем, сыворотка, маска", Until: "30 ноября", On: "завтра, 14:00",
		Business: Business{Name: "Ромашка", Address: "ул. Ленина, 1", Map: "https://maps.example/1", Hours: "ежедневно с 10 до 21", Phone: "+7 999 000-00-11", Prices: "https://salon.example/prices"}}
}

const longestName = 30 // letters

// clean makes of what customers have written what may stand in a text that goes to a phone number which anybody can type
// into a form: a name is a word of letters, and nothing holds a line break (WhatsApp refuses it in a parameter).
func (v Values) clean() Values {
	name, _, _ := strings.Cut(strings.TrimSpace(v.FirstName), " ")
	if strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsLetter(c) && c != '-' && c != '\'' }) || len([]rune(name)) > longestName {
		name = ""
	}
	v.FirstName = capital(name)
	for _, field := range []*string{&v.LastVisit, &v.Service, &v.Price, &v.Time, &v.Master, &v.Branch, &v.Order, &v.Status, &v.Link, &v.Coupon, &v.Discount, &v.Products, &v.Until, &v.On} {
		*field = strings.Join(strings.Fields(*field), " ")
	}
	return v
}

func capital(name string) string {
	r := []rune(name)
	if len(r) > 0 && (name == strings.ToLower(name) || name == strings.ToUpper(name)) {
		r = []rune(strings.ToLower(name))
		r[0] = unicode.ToUpper(r[0])
	}
	return string(r)
}

// Value is one of the values as a text would say it, by the name that texts use; empty: it is not known, or there is none of
// that name.
func (s *Set) Value(v Values, name string) string {
	if !known(name) || name == "Business" {
		return ""
	}
	v = v.clean()
	v.Business = s.business
	switch at := v.at(name); at.Kind() {
	case reflect.Slice:
		return strings.Join(at.Interface().([]string), ", ")
	default:
		return at.String()
	}
}

func (v Values) at(name string) reflect.Value {
	at := reflect.ValueOf(v)
	for part := range strings.SplitSeq(name, ".") {
		at = at.FieldByName(part)
	}
	return at
}

// missing are those of names that have no value.
func (v Values) missing(names []string) (missing []string) {
	for _, name := range names {
		if at := v.at(name); at.IsZero() || at.Kind() == reflect.Slice && at.Len() == 0 {
			missing = append(missing, name)
		}
	}
	return missing
}

// names are all values, as texts write them.
var names = func() (all []string) {
	for f := range reflect.TypeFor[Values]().Fields() {
		if f.Type.Kind() != reflect.Struct {
			all = append(all, f.Name)
			continue
		}
		for inner := range f.Type.Fields() {
			all = append(all, f.Name+"."+inner.Name)
		}
	}
	return all
}()

func known(name string) bool { return name == "Business" || slices.Contains(names, name) }

func cureOf(name string) string {
	best, least := "", 4
	for _, n := range names {
		if d := levenshtein.ComputeDistance(strings.ToLower(n), strings.ToLower(name)); d < least {
			best, least = n, d
		}
	}
	if best != "" {
		return fmt.Sprintf("write .%s", best)
	}
	return "there are ." + strings.Join(names, ", .")
}

// values are what a text names: needed are printed without {{if}} or {{with}} around them, so that a text without them would
// have a hole.
type values struct{ needed, used map[string]bool }

// scope is where in a text something stands.
type scope struct {
	dot  string   // what . is: a value's name, empty for all of them
	sure []string // values of which a condition has seen that they are known
	loop bool     // what is printed in a {{range}} is there
	deep int
}

// read collects the values under a node.
func (v *values) read(t *template.Template, node parse.Node, in scope) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, one := range n.Nodes {
				v.read(t, one, in)
			}
		}
	case *parse.ActionNode:
		for _, f := range fields(n.Pipe, in.dot) {
			v.used[f] = true
			if !in.loop && !slices.Contains(in.sure, f) {
				v.needed[f] = true
			}
		}
	case *parse.IfNode:
		v.branch(t, &n.BranchNode, in)
	case *parse.WithNode:
		v.branch(t, &n.BranchNode, in)
	case *parse.RangeNode:
		v.branch(t, &n.BranchNode, in)
	case *parse.TemplateNode:
		const deepest = 8 // a text that calls itself fails when it is tried
		if of := t.Lookup(n.Name); of != nil && of.Tree != nil && in.deep < deepest {
			in.deep++
			v.read(t, of.Root, in)
		}
	}
}

func (v *values) branch(t *template.Template, b *parse.BranchNode, in scope) {
	asked := fields(b.Pipe, in.dot)
	for _, f := range asked {
		v.used[f] = true
	}
	if b.ElseList != nil {
		v.read(t, b.ElseList, in)
	}
	in.sure = append(slices.Clone(in.sure), asked...)
	switch {
	case b.Type() == parse.NodeRange:
		in.loop = true
	case b.Type() == parse.NodeWith && len(asked) == 1:
		in.dot = asked[0]
	}
	v.read(t, b.List, in)
}

// fields are the values that a pipeline names where . is dot.
func fields(p *parse.PipeNode, dot string) (all []string) {
	if p == nil {
		return nil
	}
	for _, c := range p.Cmds {
		for _, arg := range c.Args {
			switch a := arg.(type) {
			case *parse.FieldNode:
				name := strings.Join(a.Ident, ".")
				if dot != "" {
					name = dot + "." + name
				}
				all = append(all, name)
			case *parse.VariableNode:
				if len(a.Ident) > 1 && a.Ident[0] == "$" {
					all = append(all, strings.Join(a.Ident[1:], "."))
				}
			case *parse.PipeNode:
				all = append(all, fields(a, dot)...)
			}
		}
	}
	return all
}
