package phone

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("phone").Parse(pageHTML))

// words of the page, by language.
var words = map[string]map[string]string{
	"ru": {"title": "Телефон", "none": "Сообщений пока нет", "silent": "без звука", "edited": "изменено", "other": "English"},
	"en": {"title": "Phone", "none": "No messages yet", "silent": "silent", "edited": "edited", "other": "Русский"},
}

func (p *Phone) pageRoutes() {
	p.mux.HandleFunc("GET /sim/who", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write([]byte(`{"simulator":"phone"}`)) // the caller has gone: nothing to tell them
	})
	p.mux.HandleFunc("/sim/fault", p.faults.Control)
	p.mux.HandleFunc("GET /sim/messages", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(p.Messages()) // the caller has gone: nothing to tell them
	})
	p.mux.HandleFunc("GET /{$}", p.page)
}

// page shows the phone to a person, newest message first.
func (p *Phone) page(w http.ResponseWriter, r *http.Request) {
	lang := cmp.Or(r.FormValue("lang"), strings.ToLower(r.Header.Get("Accept-Language")), "ru")
	if lang = lang[:min(2, len(lang))]; words[lang] == nil {
		lang = "en"
	}
	list := p.Messages()
	slices.Reverse(list)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pageTemplate.Execute(w, map[string]any{"Lang": lang, "Other": map[string]string{"ru": "en", "en": "ru"}[lang],
		"W": words[lang], "Messages": list}) // the caller has gone: nothing to tell them
}
