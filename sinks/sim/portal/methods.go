package portal

import "slices"

// method is one REST method: the scope it needs and what it does.
type method struct {
	scope string
	run   func(*call) (any, *Error)
}

// methods is filled in by init: batch and methods look into it themselves.
var methods map[string]method

func init() {
	methods = map[string]method{
		"crm.item.add":              {"crm", itemAdd},
		"crm.item.get":              {"crm", itemGet},
		"crm.item.list":             {"crm", itemList},
		"crm.item.update":           {"crm", itemUpdate},
		"crm.item.delete":           {"crm", itemDelete},
		"crm.item.fields":           {"crm", itemFields},
		"crm.lead.add":              {"crm", classic(lead).add},
		"crm.lead.get":              {"crm", classic(lead).get},
		"crm.lead.list":             {"crm", classic(lead).list},
		"crm.lead.update":           {"crm", classic(lead).update},
		"crm.lead.fields":           {"crm", classic(lead).fields},
		"crm.deal.add":              {"crm", classic(deal).add},
		"crm.deal.get":              {"crm", classic(deal).get},
		"crm.deal.list":             {"crm", classic(deal).list},
		"crm.deal.fields":           {"crm", classic(deal).fields},
		"crm.contact.add":           {"crm", classic(contact).add},
		"crm.contact.get":           {"crm", classic(contact).get},
		"crm.contact.list":          {"crm", classic(contact).list},
		"crm.contact.fields":        {"crm", classic(contact).fields},
		"crm.duplicate.findbycomm":  {"crm", findByComm},
		"crm.timeline.comment.add":  {"crm", commentAdd},
		"crm.timeline.comment.list": {"crm", commentList},
		"crm.activity.todo.add":     {"crm", todoAdd},
		"crm.activity.list":         {"crm", activityList},
		"tasks.task.add":            {"task", taskAdd},
		"tasks.task.list":           {"task", taskList},
		"crm.status.list":           {"crm", statusList},
		"user.current":              {"user", userCurrent},
		"profile":                   {"", profile},
		"server.time":               {"", serverTime},
		"scope":                     {"", scopes},
		"methods":                   {"", methodNames},
		"batch":                     {"", batch},
	}
}

func profile(c *call) (any, *Error) {
	u := c.rq.user
	return map[string]any{"ID": itoa(u.ID), "ADMIN": !u.OwnOnly && !u.Denied, "NAME": u.Name, "LAST_NAME": "",
		"PERSONAL_GENDER": "", "TIME_ZONE": "Europe/Moscow", "TIME_ZONE_OFFSET": 0}, nil
}

func userCurrent(c *call) (any, *Error) {
	u := c.rq.user
	return map[string]any{"ID": itoa(u.ID), "ACTIVE": true, "NAME": u.Name, "LAST_NAME": "",
		"TIME_ZONE": "Europe/Moscow", "USER_TYPE": "employee"}, nil
}

func serverTime(c *call) (any, *Error) { return stamp(c.now), nil }

func scopes(c *call) (any, *Error) { return c.p.o.Scopes, nil }

func methodNames(c *call) (any, *Error) {
	var names []string
	for name, m := range methods {
		if m.scope == "" || slices.Contains(c.p.o.Scopes, m.scope) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// status is one entry of a reference book: a source, a stage. Of a stage, ends says how what reaches it has ended: S well, F
// badly, empty: it has not.
type status struct{ id, name, ends string }

var books = map[string][]status{
	"SOURCE": {{id: "CALL", name: "Звонок"}, {id: "EMAIL", name: "Электронная почта"}, {id: "WEB", name: "Веб-сайт"}, {id: "ADVERTISING", name: "Реклама"},
		{id: "PARTNER", name: "Существующий клиент"}, {id: "RECOMMENDATION", name: "По рекомендации"}, {id: "TRADE_SHOW", name: "Выставка"},
		{id: "WEBFORM", name: "CRM-форма"}, {id: "CALLBACK", name: "Обратный звонок"}, {id: "RC_GENERATOR", name: "Генератор продаж"},
		{id: "STORE", name: "Интернет-магазин"}, {id: "OTHER", name: "Другое"}},
	"STATUS": {{id: "NEW", name: "Не обработан"}, {id: "IN_PROCESS", name: "В работе"}, {id: "PROCESSED", name: "Обработан"}, {id: "JUNK", name: "Некачественный лид", ends: "F"},
		{id: "CONVERTED", name: "Качественный лид", ends: "S"}},
	"DEAL_STAGE": {{id: "NEW", name: "Новая"}, {id: "PREPARATION", name: "Подготовка документов"}, {id: "EXECUTING", name: "В работе"},
		{id: "WON", name: "Сделка успешна", ends: "S"}, {id: "LOSE", name: "Сделка провалена", ends: "F"}},
}

func statusesOf(book string) []status { return books[book] }

func statusList(c *call) (any, *Error) {
	f := filterOf(c.args.fold("filter"))
	want := text(f.fold("ENTITY_ID"))
	if want == "" {
		want = text(f.fold("=ENTITY_ID"))
	}
	var rows []any
	for _, book := range []string{"STATUS", "SOURCE", "DEAL_STAGE"} {
		for i, s := range books[book] {
			if want == "" || want == book {
				rows = append(rows, map[string]any{"ID": itoa(len(rows) + 1), "ENTITY_ID": book, "STATUS_ID": s.id,
					"NAME": s.name, "SORT": itoa((i + 1) * 10), "SYSTEM": "Y", "SEMANTICS": s.ends})
			}
		}
	}
	return page(c, rows), nil
}
