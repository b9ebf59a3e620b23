package portal

import (
	"slices"
	"strings"
	"time"
)

// note is what hangs on an item: a timeline comment, an activity; or a task.
type note struct {
	sort     string // comment, activity, task
	id       int
	kind     kind
	owner    int
	title    string
	text     string
	deadline string
	by       int
	links    []string // a task's items: L_12
	files    []File   // of a comment
	at       time.Time
}

// findByComm finds items by phone or e-mail.
func findByComm(c *call) (any, *Error) {
	typ := strings.ToUpper(text(c.args.get("type")))
	if typ != "PHONE" && typ != "EMAIL" {
		return nil, &Error{400, "", "Communication type is not defined."}
	}
	values := elements(c.args.get("values"))
	if len(values) == 0 {
		return nil, &Error{400, "", "Communication values is not defined."}
	}
	want := map[string]bool{}
	for _, v := range values[:min(len(values), 20)] {
		want[comparableForm(typ, text(v))] = true
	}
	only := strings.ToUpper(text(c.args.get("entity_type")))
	out := map[string]any{}
	var all []int
	for _, k := range []kind{lead, contact} {
		name := strings.ToUpper(k.String())
		if only != "" && only != name {
			continue
		}
		found := ids(c.search(k, func(it *item) bool {
			return slices.ContainsFunc(it.multi, func(m multi) bool { return m.typeID == typ && want[comparableForm(typ, m.value)] })
		}))
		if len(found) > 20 {
			found = found[:20]
		}
		if len(found) > 0 {
			list := make([]any, len(found))
			for i, id := range found {
				list[i] = id
			}
			out[name] = list
			all = append(all, found...)
		}
		if len(found) == 20 {
			break // the rest is not looked at
		}
	}
	c.record(Event{Kind: "search", Found: all})
	if len(out) == 0 {
		return []any{}, nil
	}
	return out, nil
}

// comparableForm is the form in which communications are compared: digits of a phone, without extension.
func comparableForm(typ, v string) string {
	if typ == "EMAIL" {
		return strings.ToLower(strings.TrimSpace(v))
	}
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, v)
	if len(digits) == 11 && digits[0] == '8' {
		return "7" + digits[1:]
	}
	return digits
}

// owner finds the item that a comment or an activity is to hang on.
func (c *call) owner(k kind, id int) (*item, *Error) {
	if _, ok := own[k]; !ok {
		return nil, fail("OWNER_NOT_FOUND", "Owner was not found.")
	}
	it := c.find(k, id)
	if it == nil {
		return nil, fail("OWNER_NOT_FOUND", "Owner was not found.")
	}
	return it, nil
}

func kindNamed(name string) kind {
	for _, k := range []kind{lead, deal, contact} {
		if strings.EqualFold(k.String(), name) {
			return k
		}
	}
	return 0
}

func commentAdd(c *call) (any, *Error) {
	in, ok := c.args.get("fields").(*object) // lowercase only
	if !ok {
		return nil, fail("100", "Could not find value for parameter {fields}")
	}
	k, id := kindNamed(text(in.get("ENTITY_TYPE"))), number(in.get("ENTITY_ID"))
	it, e := c.owner(k, id)
	if e != nil {
		return nil, e
	}
	n := note{sort: "comment", kind: k, owner: id, text: text(in.get("COMMENT"))}
	if n.text == "" {
		return nil, fail("INVALID_ARG_VALUE", "Empty comment message.")
	}
	if n.files, e = c.files(in); e != nil {
		return nil, e
	}
	return c.note("comment", n, text(it.values["originId"])), nil
}

// note keeps a note and gives its id.
func (c *call) note(event string, n note, origin string) int {
	n.id, n.at, n.by = c.p.id(n.sort), c.now, c.rq.user.ID
	c.p.notes = append(c.p.notes, n)
	c.record(Event{Kind: event, Entity: n.kind.String(), ID: n.id, Origin: origin})
	return n.id
}

// notes finds notes of a sort that hang on an item, or all of them when no item is asked for.
func (c *call) notes(sort string, fits func(note) bool) []note {
	var list []note
	for _, n := range c.p.notes {
		if n.sort == sort && fits(n) {
			list = append(list, n)
		}
	}
	return page(c, list)
}

func commentList(c *call) (any, *Error) {
	f := filterOf(c.args.fold("filter"))
	k, id := kindNamed(text(f.fold("ENTITY_TYPE"))), number(f.fold("ENTITY_ID"))
	if k == 0 || id == 0 {
		return nil, fail("100", "Could not find value for parameter {ENTITY_ID}")
	}
	rows := []any{}
	for _, n := range c.notes("comment", func(n note) bool { return n.kind == k && n.owner == id }) {
		row := map[string]any{"ID": itoa(n.id), "ENTITY_ID": itoa(id), "ENTITY_TYPE": k.String(),
			"CREATED": stamp(n.at), "COMMENT": n.text, "AUTHOR_ID": itoa(n.by)}
		if len(n.files) > 0 {
			files := map[string]any{}
			for i, f := range n.files {
				files[itoa(n.id*100+i)] = map[string]any{"id": n.id*100 + i, "name": f.Name, "size": f.Size, "type": "file"}
			}
			row["FILES"] = files
		}
		rows = append(rows, row)
	}
	c.record(Event{Kind: "search"})
	return rows, nil
}

func todoAdd(c *call) (any, *Error) {
	for _, name := range []string{"ownerTypeId", "ownerId", "deadline"} {
		if c.args.get(name) == nil {
			return nil, fail("100", "Could not find value for parameter {"+name+"}")
		}
	}
	k, id := kind(number(c.args.get("ownerTypeId"))), number(c.args.get("ownerId"))
	it, e := c.owner(k, id)
	if e != nil {
		return nil, e
	}
	deadline, ok := moment(c.args.get("deadline"))
	if !ok {
		return nil, fail("WRONG_DATETIME_FORMAT", "Wrong datetime format.")
	}
	n := note{sort: "activity", kind: k, owner: id, title: text(c.args.get("title")),
		text: text(c.args.get("description")), deadline: stamp(deadline)}
	return map[string]any{"id": c.note("activity", n, text(it.values["originId"]))}, nil
}

func activityList(c *call) (any, *Error) {
	f := filterOf(c.args.fold("filter"))
	k, id := number(f.fold("OWNER_TYPE_ID")), number(f.fold("OWNER_ID"))
	rows := []any{}
	for _, n := range c.notes("activity", func(n note) bool {
		return (k == 0 || int(n.kind) == k) && (id == 0 || n.owner == id)
	}) {
		rows = append(rows, map[string]any{"ID": itoa(n.id), "OWNER_ID": itoa(n.owner), "OWNER_TYPE_ID": itoa(int(n.kind)),
			"PROVIDER_ID": "CRM_TODO", "SUBJECT": n.title, "DESCRIPTION": n.text, "DEADLINE": n.deadline, "COMPLETED": "N",
			"RESPONSIBLE_ID": itoa(n.by), "CREATED": stamp(n.at)})
	}
	c.record(Event{Kind: "search"})
	return rows, nil
}

func taskAdd(c *call) (any, *Error) {
	in, _ := c.args.get("fields").(*object)
	n := note{sort: "task", title: text(in.get("TITLE")), text: text(in.get("DESCRIPTION")), deadline: text(in.get("DEADLINE"))}
	if n.title == "" {
		return nil, fail("ERROR_CORE", "Не указано название задачи")
	}
	if in.get("RESPONSIBLE_ID") == nil {
		return nil, fail("ERROR_CORE", "Не указан исполнитель задачи")
	}
	if c.p.user(number(in.get("RESPONSIBLE_ID"))) == nil {
		return nil, fail("ERROR_CORE", "Пользователь, указанный в поле «Исполнитель», не найден")
	}
	for _, l := range elements(in.get("UF_CRM_TASK")) {
		n.links = append(n.links, text(l))
	}
	return map[string]any{"task": c.task(n, c.note("task", n, ""))}, nil
}

func (c *call) task(n note, id int) map[string]any {
	return map[string]any{"id": itoa(id), "title": n.title, "description": n.text, "deadline": n.deadline,
		"status": "2", "createdBy": itoa(c.rq.user.ID), "ufCrmTask": append([]string{}, n.links...)}
}

func taskList(c *call) (any, *Error) {
	f := filterOf(c.args.fold("filter"))
	title, part := text(f.fold("TITLE")), text(f.fold("%TITLE"))
	link := elements(f.fold("UF_CRM_TASK"))
	rows := []any{}
	for _, n := range c.notes("task", func(n note) bool {
		linked := len(link) == 0 || slices.ContainsFunc(link, func(l any) bool { return slices.Contains(n.links, text(l)) })
		return linked && (title == "" || n.title == title) && strings.Contains(n.title, part)
	}) {
		rows = append(rows, c.task(n, n.id))
	}
	c.record(Event{Kind: "search"})
	return map[string]any{"tasks": rows}, nil
}
