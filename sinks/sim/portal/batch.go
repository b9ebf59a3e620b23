package portal

import (
	"regexp"
	"strconv"
	"strings"
)

const maxCommands = 50

// batch runs commands in order. It answers 200 whatever becomes of them.
func batch(c *call) (any, *Error) {
	if c.nested {
		return nil, fail("ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage")
	}
	commands := newObject()
	switch v := c.args.get("cmd").(type) {
	case *object:
		commands = v
	case []any:
		for i, e := range v {
			commands.set(strconv.Itoa(i), e)
		}
	}
	if len(commands.keys) > maxCommands {
		return nil, fail("ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")
	}
	halt := text(c.args.get("halt"))
	b := &batched{results: newObject(), errors: newObject(), totals: newObject(), nexts: newObject(), times: newObject()}
	for _, key := range commands.keys {
		if e := b.run(c, key, text(commands.m[key])); e != nil && halt != "" && halt != "0" {
			break
		}
	}
	return map[string]any{"result": php(b.results), "result_error": php(b.errors), "result_total": php(b.totals),
		"result_next": php(b.nexts), "result_time": php(b.times)}, nil
}

// batched is what the commands so far have come to.
type batched struct{ results, errors, totals, nexts, times *object }

func (b *batched) run(c *call, key, command string) *Error {
	name, query, _ := strings.Cut(command, "?")
	sub := &call{p: c.p, rq: c.rq, method: strings.ToLower(name), args: newObject(), now: c.p.o.Clock(), nested: true}
	var result any
	e := fail("INVALID_REQUEST", "The request cannot be read.")
	if err := brackets(sub.args, query); err == nil {
		b.substitute(sub.args)
		if f, hit := c.p.faults.Refusal(sub.method); hit {
			e = faulty(f)
		} else {
			result, e = sub.do()
		}
	}
	if e != nil {
		sub.record(Event{Kind: "refuse", Code: e.Code, Status: e.Status, Origin: origin(sub.args)})
		b.errors.set(key, map[string]any{"error": e.Code, "error_description": e.Description})
		return e
	}
	b.results.set(key, result)
	b.times.set(key, c.p.timing(sub.method, sub.now, c.p.o.Clock()))
	if sub.total != nil {
		b.totals.set(key, *sub.total)
	}
	if sub.next != nil {
		b.nexts.set(key, *sub.next)
	}
	return nil
}

var reference = regexp.MustCompile(`\$result((?:\[[^\[\]]+\])+)`)

// substitute puts earlier results where $result[key][…] stands. What is not there stays as literal text.
func (b *batched) substitute(args *object) {
	for _, k := range args.keys {
		args.m[k] = b.filled(args.m[k])
	}
}

func (b *batched) filled(v any) any {
	switch v := v.(type) {
	case *object:
		b.substitute(v)
	case []any:
		for i := range v {
			v[i] = b.filled(v[i])
		}
	case string:
		return reference.ReplaceAllStringFunc(v, func(ref string) string {
			path := strings.Split(strings.Trim(strings.TrimPrefix(ref, "$result"), "[]"), "][")
			var at any = b.results
			for _, key := range path {
				at = member(at, key)
			}
			if s := text(at); s != "" {
				return s
			}
			return ref
		})
	}
	return v
}

func member(v any, key string) any {
	switch v := v.(type) {
	case *object:
		return v.get(key)
	case map[string]any:
		return v[key]
	case []any:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}

// php shows an object as PHP encodes an array: a list when its keys are 0, 1, 2…, so [] when it is empty.
func php(o *object) any {
	if l, ok := listed(o).([]any); ok {
		return l
	}
	m := make(map[string]any, len(o.keys))
	for k, v := range o.m {
		m[k] = v
	}
	return m
}
