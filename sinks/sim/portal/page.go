package portal

import (
	"cmp"
	_ "embed"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("portal").Parse(pageHTML))

// words of the page, by language.
var words = map[string]map[string]string{
	"ru": {"title": "Портал Bitrix24 (имитация)", "none": "Лидов пока нет", "id": "№", "time": "Создан", "name": "Имя",
		"contacts": "Контакты", "lead": "Обращение", "source": "Источник", "notes": "Комментарии и дела", "origin": "Ключ",
		"twice": "создан дважды", "total": "Всего", "faults": "Включённых неисправностей", "other": "English"},
	"en": {"title": "Bitrix24 portal (simulated)", "none": "No leads yet", "id": "No.", "time": "Created", "name": "Name",
		"contacts": "Contacts", "lead": "Enquiry", "source": "Source", "notes": "Comments and to-dos", "origin": "Key",
		"twice": "created twice", "total": "Total", "faults": "Faults switched on", "other": "Русский"},
}

// shownLead is a row of the page.
type shownLead struct {
	Kind, Time, Name, Title, Comments, Source, Origin string
	ID                                                int
	Contacts, Notes                                   []string
	Twice                                             bool
}

const pageRows = 200

// page shows a person the leads that arrived, newest first.
func (p *Portal) page(w http.ResponseWriter, r *http.Request) {
	lang := cmp.Or(r.FormValue("lang"), strings.ToLower(r.Header.Get("Accept-Language")), "ru")
	if lang = lang[:min(2, len(lang))]; words[lang] == nil {
		lang = "en"
	}
	rows := p.rows()
	total := len(rows)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pageTemplate.Execute(w, map[string]any{"Lang": lang, "Other": map[string]string{"ru": "en", "en": "ru"}[lang],
		"W": words[lang], "Leads": rows[:min(pageRows, total)], "Total": total,
		"Faults": len(p.faults.List())}) // the caller has gone: nothing to tell them
}

func (p *Portal) rows() []shownLead {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := map[string]int{}
	var rows []shownLead
	for _, k := range []kind{lead, deal} {
		for _, it := range p.items[k] {
			v := func(name string) string { return text(it.values[name]) }
			row := shownLead{Kind: k.String(), ID: it.id, Time: strings.Replace(v("createdTime"), "T", " ", 1)[:19],
				Name: strings.TrimSpace(v("name") + " " + v("lastName")), Title: v("title"), Comments: v("comments"),
				Source: strings.TrimSpace(v("sourceId") + " " + v("utmSource")), Origin: v("originId")}
			for _, m := range it.multi {
				row.Contacts = append(row.Contacts, m.value)
			}
			for _, n := range p.notes {
				if n.kind == k && n.owner == it.id {
					row.Notes = append(row.Notes, strings.TrimSpace(n.title+" "+n.text))
				}
			}
			seen[row.Kind+row.Origin]++
			rows = append(rows, row)
		}
	}
	for i := range rows {
		rows[i].Twice = rows[i].Origin != "" && seen[rows[i].Kind+rows[i].Origin] > 1
	}
	slices.SortFunc(rows, func(a, b shownLead) int {
		return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(b.ID, a.ID))
	})
	return rows
}
