package portal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// condition tells whether an item fits.
type condition func(*item) bool

// filterOps are the prefixes of a filter's keys, longest first.
var filterOps = []string{"!@", "!%", "!=", ">=", "<=", "=", "!", ">", "<", "@", "%"}

// filter compiles a filter. column maps a key to a column, empty when there is none: an unknown one is refused when
// strict, and else ignored, which answers with everything.
func filter(f *object, column func(string) string, strict bool) (condition, *Error) {
	if f == nil {
		return func(*item) bool { return true }, nil
	}
	var all []condition
	either := false
	for _, key := range f.keys {
		v := f.m[key]
		if key == "logic" || key == "LOGIC" {
			either = strings.EqualFold(text(v), "or")
			continue
		}
		if _, err := strconv.Atoi(key); err == nil {
			group, _ := v.(*object)
			sub, e := filter(group, column, strict)
			if e != nil {
				return nil, e
			}
			all = append(all, sub)
			continue
		}
		op, name := splitOp(key)
		col := column(name)
		if col == "" {
			if strict {
				return nil, fail("INVALID_ARG_VALUE", fmt.Sprintf("Invalid filter: field '%s' is not allowed in filter", name))
			}
			continue
		}
		all = append(all, compareWith(op, col, v))
	}
	return func(it *item) bool {
		if either && len(all) > 0 {
			return slices.ContainsFunc(all, func(c condition) bool { return c(it) })
		}
		return !slices.ContainsFunc(all, func(c condition) bool { return !c(it) })
	}, nil
}

// filterOf reads a filter argument, which may be a list of groups too.
func filterOf(v any) *object {
	switch v := v.(type) {
	case *object:
		return v
	case []any:
		o := newObject()
		for i, e := range v {
			o.set(strconv.Itoa(i), e)
		}
		return o
	}
	return nil
}

func splitOp(key string) (op, name string) {
	for _, op := range filterOps {
		if name, ok := strings.CutPrefix(key, op); ok {
			return op, name
		}
	}
	return "=", key
}

func compareWith(op, col string, v any) condition {
	among := func(it *item) bool {
		options := elements(v)
		if len(options) == 0 { // nothing, false, "": the empty value
			return text(it.values[col]) == ""
		}
		return slices.ContainsFunc(options, func(o any) bool { return compare(it.values[col], o) == 0 })
	}
	contains := func(it *item) bool {
		return strings.Contains(strings.ToLower(text(it.values[col])), strings.ToLower(text(v)))
	}
	switch op {
	case "=", "@":
		return among
	case "!", "!=", "!@":
		return func(it *item) bool { return !among(it) }
	case "%":
		return contains
	case "!%":
		return func(it *item) bool { return !contains(it) }
	}
	return func(it *item) bool {
		if it.values[col] == nil {
			return false
		}
		n := compare(it.values[col], v)
		return op == ">" && n > 0 || op == "<" && n < 0 || op == ">=" && n >= 0 || op == "<=" && n <= 0
	}
}
