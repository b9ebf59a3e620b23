package portal

import (
	"maps"
	"strconv"
	"strings"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// classic is the old generation of methods for a kind: crm.lead.* and the like. They speak in UPPER_SNAKE, give ids and
// numbers as strings, and ignore what they do not know, in filters too.
type classic kind

// names maps old names to columns, multi-field names to nothing.
func (k classic) column(p *Portal) func(string) string {
	known := map[string]string{}
	for _, f := range p.fields(kind(k)) {
		known[f.old] = f.name
	}
	return func(name string) string { return known[strings.ToUpper(name)] }
}

func (k classic) in(c *call) (*object, map[string]any, *Error) {
	in, ok := c.args.fold("fields").(*object)
	if !ok {
		return nil, nil, &Error{400, "", "Parameter 'fields' must be array."}
	}
	values, e := c.fieldsIn(kind(k), in, func(f field) []string { return []string{f.old} })
	return in, values, e
}

// multiIn reads PHONE, EMAIL and the like: lists of objects; anything else is dropped.
func multiIn(in *object) []multi {
	var rows []multi
	for _, typ := range multiTypes {
		list, _ := in.get(typ).([]any)
		for _, row := range list {
			if o, ok := row.(*object); ok {
				rows = append(rows, multi{typeID: typ, valueType: text(o.get("VALUE_TYPE")), value: text(o.get("VALUE"))})
			}
		}
	}
	return rows
}

func (k classic) add(c *call) (any, *Error) {
	in, values, e := k.in(c)
	if e != nil {
		return nil, e
	}
	it, e := c.create(kind(k), values, multiIn(in))
	if e != nil {
		return nil, e
	}
	return it.id, nil
}

func (k classic) find(c *call) (*item, *Error) {
	it := c.find(kind(k), number(c.args.fold("id")))
	if it == nil {
		return nil, &Error{400, "", "Not found"}
	}
	return it, nil
}

func (k classic) get(c *call) (any, *Error) {
	it, e := k.find(c)
	if e != nil {
		return nil, e
	}
	c.record(Event{Kind: "read", Entity: kind(k).String(), ID: it.id, Origin: text(it.values["originId"])})
	row := k.row(c, it, nil)
	maps.Copy(row, k.multi(it))
	return row, nil
}

func (k classic) update(c *call) (any, *Error) {
	it, e := k.find(c)
	if e != nil {
		return nil, e
	}
	in, values, e := k.in(c)
	if e != nil {
		return nil, e
	}
	if e := c.update(kind(k), it, values); e != nil {
		return nil, e
	}
	k.editMulti(c.p, it, in)
	return true, nil
}

// editMulti adds rows without an id, again and again; a row with an id is edited.
func (k classic) editMulti(p *Portal, it *item, in *object) {
	for _, typ := range multiTypes {
		list, _ := in.get(typ).([]any)
		rows := newObject()
		for i, row := range list {
			o, ok := row.(*object)
			if !ok {
				continue
			}
			m := newObject()
			m.set("typeId", typ)
			m.set("valueType", o.get("VALUE_TYPE"))
			m.set("value", o.get("VALUE"))
			if id := number(o.get("ID")); id > 0 {
				rows.set(itoa(id), m)
			} else {
				rows.set("n"+itoa(i), m)
			}
		}
		it.editMulti(p, rows)
	}
}

func (k classic) list(c *call) (any, *Error) {
	column := k.column(c.p)
	match, e := filter(filterOf(c.args.fold("filter")), column, false)
	if e != nil {
		return nil, e
	}
	hits := c.search(kind(k), match)
	by, _ := c.args.fold("order").(*object)
	order(hits, by, column)
	hits = page(c, hits)
	c.record(Event{Kind: "search", Entity: kind(k).String(), Found: ids(hits), Origin: sought(c.args)})
	selected := elements(c.args.fold("select"))
	rows := make([]any, 0, len(hits))
	for _, it := range hits {
		row := k.row(c, it, selected)
		shown := k.multi(it)
		for _, s := range selected {
			if rows, ok := shown[text(s)]; ok {
				row[text(s)] = rows
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// row shows columns as strings, and those without a value as null.
func (k classic) row(c *call, it *item, selected []any) map[string]any {
	want := map[string]bool{}
	for _, s := range selected {
		want[text(s)] = true
	}
	custom := len(selected) == 0 || want["*"]
	row := map[string]any{}
	for _, f := range c.p.fields(kind(k)) {
		uf := strings.HasPrefix(f.old, "UF_")
		if f.old != "ID" && !want[f.old] && !(custom && !uf) && !(uf && want["UF_*"]) {
			continue
		}
		switch v := it.values[f.name].(type) {
		case nil:
			row[f.old] = nil
		case []any:
			row[f.old] = v
		case time.Time:
			row[f.old] = stamp(v)
		case float64:
			row[f.old] = strconv.FormatFloat(v, 'f', 2, 64)
		default:
			row[f.old] = text(v)
		}
	}
	return row
}

func (k classic) multi(it *item) map[string]any {
	out := map[string]any{}
	for _, typ := range multiTypes {
		var rows []any
		for _, m := range it.multi {
			if m.typeID == typ {
				rows = append(rows, map[string]any{"ID": itoa(m.id), "VALUE_TYPE": m.valueType, "VALUE": m.value, "TYPE_ID": typ})
			}
		}
		if rows != nil {
			out[typ] = rows
		}
	}
	return out
}

func (k classic) fields(c *call) (any, *Error) {
	out := map[string]any{}
	for _, f := range c.p.fields(kind(k)) {
		out[f.old] = c.describe(f)
	}
	for _, typ := range multiTypes {
		out[typ] = map[string]any{"type": "crm_multifield", "isRequired": false, "isReadOnly": false, "isMultiple": true,
			"title": typ}
	}
	return out, nil
}
