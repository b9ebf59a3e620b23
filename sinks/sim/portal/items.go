package portal

import (
	"strconv"
	"strings"
)

// kindOf is the entity type that a crm.item.* call names.
func (c *call) kindOf() (kind, *Error) {
	v := c.args.get("entityTypeId")
	if v == nil {
		return 0, fail("100", "Could not find value for parameter {entityTypeId}")
	}
	k := kind(number(v))
	if _, ok := own[k]; !ok {
		return 0, fail("NOT_FOUND", "SPA not found")
	}
	return k, nil
}

// column maps a field's crm.item.* name to the column; UF_CRM_… is taken as well when the call asks for such names.
func (c *call) column(k kind) func(string) string {
	original := text(c.args.get("useOriginalUfNames")) == "Y"
	known := map[string]string{}
	for _, f := range c.p.fields(k) {
		known[f.name] = f.name
		if original && strings.HasPrefix(f.old, "UF_") {
			known[f.old] = f.name
		}
	}
	return func(name string) string { return known[name] }
}

// write reads the fields that a call brings. Unknown and read-only ones are dropped without a word, as the portal does.
func (c *call) fieldsIn(k kind, in *object, name func(field) []string) (map[string]any, *Error) {
	values := map[string]any{}
	for _, f := range c.p.fields(k) {
		for _, key := range name(f) {
			v, there := in.m[key]
			if !there || f.fixed {
				continue
			}
			stored, e := c.p.value(f, v)
			if e != nil {
				return nil, e
			}
			values[f.name] = stored
		}
	}
	return values, nil
}

func (c *call) itemNames(f field) []string {
	if strings.HasPrefix(f.old, "UF_") && text(c.args.get("useOriginalUfNames")) == "Y" {
		return []string{f.name, f.old}
	}
	return []string{f.name}
}

func itemAdd(c *call) (any, *Error) {
	k, e := c.kindOf()
	if e != nil {
		return nil, e
	}
	in, ok := c.args.get("fields").(*object)
	if !ok {
		return nil, fail("100", "Could not find value for parameter {fields}")
	}
	values, e := c.fieldsIn(k, in, c.itemNames)
	if e != nil {
		return nil, e
	}
	var rows []multi
	list, _ := in.get("fm").([]any) // a bare object is dropped
	for _, row := range list {
		if o, ok := row.(*object); ok {
			rows = append(rows, multi{typeID: text(o.get("typeId")), valueType: text(o.get("valueType")), value: text(o.get("value"))})
		}
	}
	it, e := c.create(k, values, rows)
	if e != nil {
		return nil, e
	}
	return map[string]any{"item": c.item(k, it, nil)}, nil
}

// target is the item that a call names by id.
func (c *call) target() (kind, *item, *Error) {
	k, e := c.kindOf()
	if e != nil {
		return 0, nil, e
	}
	if c.args.get("id") == nil {
		return 0, nil, fail("100", "Could not find value for parameter {id}")
	}
	it := c.find(k, number(c.args.get("id")))
	if it == nil {
		return 0, nil, fail("NOT_FOUND", "Элемент не найден")
	}
	return k, it, nil
}

func itemGet(c *call) (any, *Error) {
	k, it, e := c.target()
	if e != nil {
		return nil, e
	}
	c.record(Event{Kind: "read", Entity: k.String(), ID: it.id, Origin: text(it.values["originId"])})
	return map[string]any{"item": c.item(k, it, nil)}, nil
}

func itemUpdate(c *call) (any, *Error) {
	k, it, e := c.target()
	if e != nil {
		return nil, e
	}
	in, ok := c.args.get("fields").(*object)
	if !ok {
		return nil, fail("100", "Could not find value for parameter {fields}")
	}
	values, e := c.fieldsIn(k, in, c.itemNames)
	if e != nil {
		return nil, e
	}
	if e := c.update(k, it, values); e != nil {
		return nil, e
	}
	it.editMulti(c.p, in.get("fm"))
	return map[string]any{"item": c.item(k, it, nil)}, nil
}

// editMulti follows the update's rules: n0, n1 add; a row's id edits, or deletes when the value is empty.
func (it *item) editMulti(p *Portal, fm any) {
	rows, ok := fm.(*object)
	if !ok {
		return
	}
	for _, key := range rows.keys {
		o, _ := rows.m[key].(*object)
		m := multi{typeID: text(o.get("typeId")), valueType: text(o.get("valueType")), value: text(o.get("value"))}
		if m.typeID == "" {
			continue
		}
		id, err := strconv.Atoi(key)
		if err != nil {
			it.addMulti(p, []multi{m})
			continue
		}
		for i := range it.multi {
			if it.multi[i].id != id {
				continue
			}
			if m.value == "" {
				it.multi = append(it.multi[:i], it.multi[i+1:]...)
			} else {
				m.id = id
				it.multi[i] = m
			}
			break
		}
	}
}

func itemDelete(c *call) (any, *Error) {
	k, it, e := c.target()
	if e != nil {
		return nil, e
	}
	delete(c.p.items[k], it.id)
	c.record(Event{Kind: "delete", Entity: k.String(), ID: it.id, Origin: text(it.values["originId"])})
	return []any{}, nil
}

func itemList(c *call) (any, *Error) {
	k, e := c.kindOf()
	if e != nil {
		return nil, e
	}
	column := c.column(k)
	match, e := filter(filterOf(c.args.get("filter")), column, true)
	if e != nil {
		return nil, e
	}
	hits := c.search(k, match)
	by, _ := c.args.get("order").(*object)
	order(hits, by, column)
	hits = page(c, hits)
	c.record(Event{Kind: "search", Entity: k.String(), Found: ids(hits), Origin: sought(c.args)})
	items := make([]any, 0, len(hits))
	for _, it := range hits {
		items = append(items, c.item(k, it, elements(c.args.get("select"))))
	}
	return map[string]any{"items": items}, nil
}

// sought is the caller's key that a search looks for.
func sought(args *object) string {
	f := filterOf(args.fold("filter"))
	for _, key := range []string{"=originId", "originId", "=ORIGIN_ID", "ORIGIN_ID"} {
		if s := text(f.get(key)); s != "" {
			return s
		}
	}
	return ""
}

// item is how crm.item.* shows an item. Without a selection, and with *, it shows everything; multi-fields come only so.
func (c *call) item(k kind, it *item, selected []any) map[string]any {
	want := map[string]bool{}
	for _, s := range selected {
		want[text(s)] = true
	}
	all := len(selected) == 0 || want["*"]
	original := text(c.args.get("useOriginalUfNames")) == "Y"
	out := map[string]any{}
	for _, f := range c.p.fields(k) {
		if !all && f.name != "id" && !want[f.name] && !want[f.old] {
			continue
		}
		name := f.name
		if original && strings.HasPrefix(f.old, "UF_") {
			name = f.old
		}
		v := it.values[f.name]
		switch {
		case f.typ == "list" && v == nil:
			v = []any{}
		case f.typ == "datetime":
			v = text(v)
		}
		out[name] = v
	}
	if all {
		out["entityTypeId"] = int(k)
		fm := make([]any, 0, len(it.multi))
		for _, m := range it.multi {
			fm = append(fm, map[string]any{"id": m.id, "typeId": m.typeID, "valueType": m.valueType, "value": m.value})
		}
		out["fm"] = fm
	}
	return out
}

func itemFields(c *call) (any, *Error) {
	k, e := c.kindOf()
	if e != nil {
		return nil, e
	}
	out := map[string]any{}
	for _, f := range c.p.fields(k) {
		d := c.describe(f)
		d["upperName"] = f.old
		name := f.name
		if text(c.args.get("useOriginalUfNames")) == "Y" && strings.HasPrefix(f.old, "UF_") {
			name = f.old
		}
		out[name] = d
	}
	out["fm"] = map[string]any{"type": "crm_multifield", "isRequired": false, "isReadOnly": false, "isMultiple": true,
		"title": "FM", "upperName": "FM"}
	return map[string]any{"fields": out}, nil
}

// describe is a field as the *.fields methods show it.
func (c *call) describe(f field) map[string]any {
	typ := f.typ
	if typ == "text" {
		typ = "string"
	}
	if typ == "list" {
		typ = "integer"
	}
	required := false
	for _, r := range c.p.o.Required {
		required = required || r == f.name
	}
	return map[string]any{"type": typ, "isRequired": required, "isReadOnly": f.fixed, "isImmutable": false,
		"isMultiple": f.typ == "list", "isDynamic": strings.HasPrefix(f.old, "UF_"), "title": f.old}
}
