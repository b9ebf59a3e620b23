package drill

import (
	_ "embed"
	"html/template"
	"io"
)

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("drill").Funcs(template.FuncMap{"say": func(r *Report, en, ru string) string { return r.Language.Say(en, ru) }}).Parse(pageHTML))

// HTML writes the report as one page that needs nothing beside it.
func (r *Report) HTML(w io.Writer) error {
	return page.Execute(w, map[string]any{
		"R": r, "Worst": r.worst(), "Headline": r.Headline(), "About": r.about(), "Tiles": r.tiles(), "Phases": r.phaseRows(), "Sources": r.sourceRows(), "Far": r.farRows(), "Alerts": r.alerts(), "Answers": r.answerRows(),
		"Curve": r.curvePlot(), "DotPlot": r.dotPlot(), "Quantiles": r.quantilePlot(), "Recovery": r.recoveryPlot(),
		"Started": r.Started.Format("02.01.2006 15:04"), "Good": r.OK && !r.Stopped,
	})
}
