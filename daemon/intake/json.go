package intake

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Limits on the shape of a body. Without them 1 MiB of `{}` costs 44 MiB, and nesting is cheap to write and dear to
// walk.
const (
	maxDepth   = 64
	maxMembers = 2000 // members and elements of one item, those inside others counted
	maxItems   = 1000 // items of one array
)

// member is one field of a body. val is valid JSON, verbatim for a JSON body and a quoted string for a form.
type member struct {
	key string
	val []byte
}

// shape is what a walk over a JSON value learns besides its end.
type shape struct {
	members int
	nul     bool // holds \u0000, which no text of a person does and no database takes
}

// parseJSON reads one JSON value into its members. It trusts nothing but valid, and then walks text that is known
// to be well formed, once: twice and more is what decoding into maps costs, and it loses case twins, repeated keys and
// digits of long numbers.
func parseJSON(body []byte) ([]item, error) {
	if !valid(body) {
		if lines := jsonLines(body); lines != nil {
			return lines, nil
		}
		repaired := repair(body)
		if !valid(repaired) {
			return nil, fault("bad_json", jsonPlace(body))
		}
		items, err := parseJSON(repaired)
		for i := range items {
			items[i].repaired = true
		}
		return items, err
	}
	body = unwrapString(body)
	switch body[skipSpace(body, 0)] {
	case '{':
		it := objectItem(body)
		if len(it.members) == 1 && isBatch(it.members[0]) {
			return arrayItems(it.members[0].val) // {"leads": […]}, as aggregators write
		}
		return []item{it}, nil
	case '[':
		return arrayItems(body)
	}
	return nil, fault("not_an_object", "")
}

// isBatch is true for the one member of an object that only holds a list of leads.
func isBatch(m member) bool {
	switch strings.ToLower(m.key) {
	case "leads", "items", "data", "array", "rows", "records", "results", "bundles", "заявки":
		return m.val[0] == '[' && m.val[skipSpace(m.val, 1)] == '{'
	}
	return false
}

// repair escapes the line breaks and tabs inside strings of a body that a no-code tool put together from text as it
// stood. Anything else that is wrong stays wrong.
func repair(body []byte) []byte {
	out := make([]byte, 0, len(body)+16)
	inside := false
	for i := 0; i < len(body); i++ {
		c := body[i]
		switch {
		case inside && c == '\\' && i+1 < len(body):
			out = append(out, c)
			i++
			c = body[i]
		case c == '"':
			inside = !inside
		case inside && c == '\n':
			out, c = append(out, '\\'), 'n'
		case inside && c == '\r':
			out, c = append(out, '\\'), 'r'
		case inside && c == '\t':
			out, c = append(out, '\\'), 't'
		}
		out = append(out, c)
	}
	return out
}

// parseLines reads NDJSON: a value a line, each judged by itself.
func parseLines(body []byte) ([]item, error) {
	var items []item
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0:
			continue
		case len(items) == maxItems:
			return nil, fault("too_many_items", "")
		case !valid(line):
			items = append(items, item{raw: line, err: fault("bad_json", jsonPlace(line))})
		default:
			items = append(items, objectItem(line))
		}
	}
	if len(items) == 0 {
		return nil, fault("empty_body", "")
	}
	for i := range items {
		items[i].index = i + 1
	}
	return items, nil
}

// jsonLines is for NDJSON under another content type; nil when body is not that.
func jsonLines(body []byte) []item {
	first, _, more := bytes.Cut(bytes.TrimSpace(body), []byte("\n"))
	if !more || !valid(first) || first[0] != '{' {
		return nil
	}
	items, err := parseLines(body)
	if err != nil {
		return nil
	}
	return items
}

func arrayItems(body []byte) ([]item, error) {
	var items []item
	for i := skipSpace(body, 1+skipSpace(body, 0)); body[i] != ']'; {
		if len(items) == maxItems {
			return nil, fault("too_many_items", "")
		}
		end, err := skipValue(body, i, new(shape))
		if err != nil {
			return nil, err
		}
		next := objectItem(body[i:end:end])
		next.index = len(items) + 1
		items = append(items, next)
		i = skipSpace(body, end)
		if body[i] == ',' {
			i = skipSpace(body, i+1)
		}
	}
	if len(items) == 0 {
		return nil, fault("empty_body", "")
	}
	return items, nil
}

// objectItem reads the members of one valid JSON value that should be an object.
func objectItem(raw []byte) item {
	it := item{raw: raw}
	if raw[skipSpace(raw, 0)] != '{' {
		it.err = fault("not_an_object", "")
		return it
	}
	var s shape
	it.members, it.err = objectMembers(raw, &s)
	if it.err == nil && s.nul {
		it.err = fault("nul_character", "")
	}
	return it
}

// objectMembers splits a valid JSON object into members, in order, repeated keys and all.
func objectMembers(raw []byte, s *shape) ([]member, error) {
	members := make([]member, 0, 16)
	for i := skipSpace(raw, 1+skipSpace(raw, 0)); raw[i] != '}'; {
		if s.members++; s.members > maxMembers {
			return nil, fault("too_many_members", "")
		}
		end, nul := skipString(raw, i)
		s.nul = s.nul || nul
		key := unquote(raw[i:end])
		i = skipSpace(raw, 1+skipSpace(raw, end)) // past the colon
		end, err := skipValue(raw, i, s)
		if err != nil {
			return nil, err
		}
		members = append(members, member{key, raw[i:end:end]})
		i = skipSpace(raw, end)
		if raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return members, nil
}

// skipValue returns where the valid JSON value at i ends, and counts what is inside it.
func skipValue(raw []byte, i int, s *shape) (int, error) {
	depth := 0
	for {
		switch c := raw[i]; c {
		case '"':
			end, nul := skipString(raw, i)
			s.nul = s.nul || nul
			i = end
		case '{', '[':
			if depth++; depth >= maxDepth {
				return 0, fault("too_deep", "")
			}
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':':
			if c == ',' {
				if s.members++; s.members > maxMembers {
					return 0, fault("too_many_members", "")
				}
			}
			i++
		case ' ', '\t', '\n', '\r':
			i++
		default: // a number, true, false or null
			for i < len(raw) && strings.IndexByte(" \t\n\r,:]}", raw[i]) < 0 {
				i++
			}
		}
		if depth == 0 {
			return i, nil
		}
	}
}

// skipString returns where the JSON string at i ends, and whether it holds an escaped NUL.
func skipString(raw []byte, i int) (end int, nul bool) {
	for i++; ; i++ {
		switch raw[i] {
		case '"':
			return i + 1, nul
		case '\\':
			i++
			nul = nul || raw[i] == 'u' && string(raw[i+1:i+5]) == "0000"
		}
	}
}

func skipSpace(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\n' || raw[i] == '\t' || raw[i] == '\r') {
		i++
	}
	return i
}

// unquote is the text of a valid JSON string. Without escapes it shares raw's memory: what has been read of a request
// is never changed.
func unquote(raw []byte) string {
	if len(raw) == 2 {
		return ""
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return unsafe.String(&raw[1], len(raw)-2)
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// quote is s as a JSON string.
func quote(dst []byte, s string) []byte {
	start := 0
	dst = append(dst, '"')
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		const hex = "0123456789abcdef"
		switch c := s[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		start = i + 1
	}
	return append(append(dst, s[start:]...), '"')
}

// unwrapString gives what is inside a body that is a JSON text encoded as a JSON string, a habit of no-code tools.
func unwrapString(body []byte) []byte {
	i := skipSpace(body, 0)
	if body[i] != '"' {
		return body
	}
	inner := []byte(unquote(bytes.TrimSpace(body)))
	if valid(inner) && len(inner) > 0 && inner[skipSpace(inner, 0)] != '"' {
		return inner
	}
	return body
}

// canonical appends the members in an order and spelling that do not depend on the sender's, except for those that
// differ between two sendings of one lead.
func canonical(dst []byte, members []member, volatile func(key string) bool) []byte {
	var few [32]int
	order := few[:0]
	for i := range members {
		order = append(order, i)
	}
	slices.SortFunc(order, func(i, j int) int { // repeated keys stay in their order
		return cmp.Or(strings.Compare(members[i].key, members[j].key), i-j)
	})
	dst = append(dst, '{')
	n := len(dst)
	for _, i := range order {
		m := members[i]
		if volatile != nil && volatile(m.key) {
			continue
		}
		if len(dst) > n {
			dst = append(dst, ',')
		}
		dst = append(quote(dst, m.key), ':')
		dst = canonicalValue(dst, m.val)
	}
	return append(dst, '}')
}

// canonicalValue recurses no deeper than maxDepth: the value has been walked before.
func canonicalValue(dst, val []byte) []byte {
	switch val[0] {
	case '{':
		members, _ := objectMembers(val, new(shape))
		return canonical(dst, members, nil)
	case '[':
		dst = append(dst, '[')
		for i := skipSpace(val, 1); val[i] != ']'; {
			end, _ := skipValue(val, i, new(shape))
			dst = canonicalValue(dst, val[i:end])
			if i = skipSpace(val, end); val[i] == ',' {
				dst = append(dst, ',')
				i = skipSpace(val, i+1)
			}
		}
		return append(dst, ']')
	case '"':
		if bytes.IndexByte(val, '\\') >= 0 {
			return quote(dst, unquote(val))
		}
	}
	return append(dst, val...)
}

// jsonPlace says where a body stops being JSON, without showing any of it.
func jsonPlace(body []byte) string {
	var syntax *json.SyntaxError
	if err := json.Unmarshal(body, new(json.RawMessage)); errors.As(err, &syntax) {
		at := min(int(syntax.Offset), len(body))
		line := 1 + bytes.Count(body[:at], []byte("\n"))
		column := utf8.RuneCount(body[bytes.LastIndexByte(body[:at], '\n')+1 : at])
		return place(line, column)
	}
	return ""
}
