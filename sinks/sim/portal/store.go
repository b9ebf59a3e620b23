package portal

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// item is a lead, a deal or a contact. Its columns are kept under their crm.item.* names.
type item struct {
	id      int
	values  map[string]any
	multi   []multi
	visible time.Time // from when on searches see it
}

// multi is one phone, e-mail or the like.
type multi struct {
	id                       int
	typeID, valueType, value string
}

var multiTypes = []string{"PHONE", "EMAIL", "WEB", "IM"}

const multiSize = 250

// create makes an item of the values, and notes it.
func (c *call) create(k kind, values map[string]any, rows []multi) (*item, *Error) {
	p := c.p
	for _, name := range p.o.Required {
		if k != contact && text(values[name]) == "" {
			return nil, fail("CRM_FIELD_ERROR_REQUIRED", fmt.Sprintf("Field: '%s' is required.", name))
		}
	}
	if e := c.stage(k, values); e != nil {
		return nil, e
	}
	defaults := map[string]any{"assignedById": c.rq.user.ID, "opened": "N"}
	if k != contact {
		defaults["title"] = map[kind]string{lead: "Лид", deal: "Сделка"}[k]
		defaults["currencyId"], defaults["opportunity"], defaults["isManualOpportunity"] = "RUB", 0.0, "N"
	}
	if k == deal {
		defaults["categoryId"] = 0
	}
	for name, v := range defaults {
		if text(values[name]) == "" {
			values[name] = v
		}
	}
	if k == lead {
		values["isReturnCustomer"] = "N"
		if number(values["contactId"]) > 0 || number(values["companyId"]) > 0 {
			values["isReturnCustomer"] = "Y"
		}
	}
	it := &item{id: p.id(k.String()), values: values, visible: c.now.Add(p.lag)}
	values["id"], values["createdTime"], values["updatedTime"] = it.id, c.now, c.now
	values["createdBy"], values["updatedBy"] = c.rq.user.ID, c.rq.user.ID
	it.addMulti(p, rows)
	if p.items[k] == nil {
		p.items[k] = map[int]*item{}
	}
	p.items[k][it.id] = it
	c.record(Event{Kind: "create", Entity: k.String(), ID: it.id, Origin: text(values["originId"])})
	return it, nil
}

// stage fills in the first stage and what it means, and refuses one that the portal does not have.
func (c *call) stage(k kind, values map[string]any) *Error {
	if k == contact {
		return nil
	}
	known := statusesOf(map[kind]string{lead: "STATUS", deal: "DEAL_STAGE"}[k])
	stage := text(values["stageId"])
	if stage == "" {
		stage = known[0].id
		values["stageId"] = stage
	}
	if k == deal && strings.Contains(stage, ":") { // of another pipeline: C5:NEW
		_, stage, _ = strings.Cut(stage, ":")
	}
	i := slices.IndexFunc(known, func(s status) bool { return s.id == stage })
	if i < 0 {
		return fail("CRM_FIELD_ERROR_VALUE_NOT_VALID", "Field: 'stageId' has invalid value.")
	}
	values["stageSemanticId"] = cmp.Or(known[i].ends, "P")
	if k == deal {
		values["closed"] = map[bool]string{true: "Y", false: "N"}[known[i].ends != ""]
	}
	return nil
}

// id is the next id of a sort of thing.
func (p *Portal) id(of string) int {
	p.lastID[of]++
	return p.lastID[of]
}

func (it *item) addMulti(p *Portal, rows []multi) {
	for _, m := range rows {
		if m.value == "" || !slices.Contains(multiTypes, m.typeID) {
			continue
		}
		if r := []rune(m.value); len(r) > multiSize {
			m.value = string(r[:multiSize])
		}
		if m.valueType == "" {
			m.valueType = "WORK"
		}
		m.id = p.id("multi")
		it.multi = append(it.multi, m)
	}
}

// update changes an item's columns, and notes it.
func (c *call) update(k kind, it *item, values map[string]any) *Error {
	if _, ok := values["stageId"]; ok {
		if e := c.stage(k, values); e != nil {
			return e
		}
	}
	for name, v := range values {
		it.values[name] = v
	}
	it.values["updatedTime"], it.values["updatedBy"] = c.now, c.rq.user.ID
	c.record(Event{Kind: "update", Entity: k.String(), ID: it.id, Origin: text(it.values["originId"])})
	return nil
}

// find is an item that the caller may read, by id: no lag here.
func (c *call) find(k kind, id int) *item {
	it := c.p.items[k][id]
	if it == nil || c.rq.user.OwnOnly && number(it.values["assignedById"]) != c.rq.user.ID {
		return nil
	}
	return it
}

// search is the items that searches see and the caller may read, by id.
func (c *call) search(k kind, match func(*item) bool) []*item {
	var hits []*item
	for id, it := range c.p.items[k] {
		if !it.visible.After(c.now) && c.find(k, id) != nil && match(it) {
			hits = append(hits, it)
		}
	}
	slices.SortFunc(hits, func(a, b *item) int { return cmp.Compare(a.id, b.id) })
	return hits
}

func ids(items []*item) []int {
	var l []int
	for _, it := range items {
		l = append(l, it.id)
	}
	return l
}

// pageSize is fixed: callers cannot ask for more.
const pageSize = 50

// page cuts the caller's page out of a list. start=-1 means: do not count.
func page[T any](c *call, list []T) []T {
	start := number(c.args.fold("start"))
	if start >= 0 {
		total := len(list)
		c.total = &total
		if next := start + pageSize; next < total {
			c.next = &next
		}
	}
	from := min(max(start, 0), len(list))
	return list[from:min(from+pageSize, len(list))]
}

// order sorts items by the caller's wish; ties stay in the order of id.
func order(items []*item, by *object, column func(string) string) {
	if by == nil {
		return
	}
	slices.SortStableFunc(items, func(a, b *item) int {
		for _, k := range by.keys {
			name := column(k)
			n := compare(a.values[name], b.values[name])
			if strings.EqualFold(text(by.m[k]), "desc") {
				n = -n
			}
			if n != 0 {
				return n
			}
		}
		return 0
	})
}

// compare compares column values: numbers as numbers, times as times, all else as text without case, as MySQL does.
func compare(a, b any) int {
	if ta, ok := a.(time.Time); ok {
		if tb, ok := moment(b); ok {
			return ta.Truncate(time.Second).Compare(tb.Truncate(time.Second))
		}
	}
	x, errX := strconv.ParseFloat(text(a), 64)
	y, errY := strconv.ParseFloat(text(b), 64)
	if _, isString := a.(string); !isString && errX == nil && errY == nil {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(strings.ToLower(text(a)), strings.ToLower(text(b)))
}

func moment(v any) (time.Time, bool) {
	if t, ok := v.(time.Time); ok {
		return t, true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, time.DateOnly, "02.01.2006 15:04:05",
		"02.01.2006"} {
		if t, err := time.ParseInLocation(layout, text(v), zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
