package bitrix24

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// object reads a map that PHP writes as [], null, "" or false when it is empty.
func object(raw json.RawMessage) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

// rows reads a list, or the map that PHP makes of one with gaps.
func rows(raw json.RawMessage) ([]map[string]json.RawMessage, bool) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		m := object(raw)
		if m == nil {
			return nil, empty(raw)
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			list = append(list, m[k])
		}
	}
	out := make([]map[string]json.RawMessage, 0, len(list))
	for _, e := range list {
		m := object(e)
		if m == nil {
			return nil, false
		}
		out = append(out, m)
	}
	return out, true
}

func empty(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "[]", "{}", "null", `""`, "false":
		return true
	}
	return false
}

// text reads a string or a number as text; anything else is "".
func text(raw json.RawMessage) string {
	var str string
	if json.Unmarshal(raw, &str) == nil {
		return str
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}

// id reads an item's id, a number in one method and a string in another; "" when there is none.
func id(raw json.RawMessage) string {
	if n, err := strconv.ParseInt(text(raw), 10, 64); err == nil && n > 0 {
		return strconv.FormatInt(n, 10)
	}
	return ""
}

// byID compares ids as numbers.
func byID(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// created reads the id out of an answer to a create: bare, {"id"}, {"item":{"id"}} or {"task":{"id"}}.
func created(raw json.RawMessage) string {
	if n := id(raw); n != "" {
		return n
	}
	m := object(raw)
	for _, k := range []string{"item", "task"} {
		if inner := object(m[k]); inner != nil {
			m = inner
		}
	}
	return id(m["id"])
}
