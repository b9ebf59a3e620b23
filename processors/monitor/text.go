package monitor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"time"

	"leadstream/processors"
	"leadstream/streams"
)

// number prints a value as people write it.
type number float64

func (n number) String() string { return strconv.FormatFloat(float64(n), 'f', -1, 64) }

func round(v float64) number {
	n, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'f', 2, 64), 64)
	return number(n)
}

var funcs = template.FuncMap{"percent": func(n number) string { return fmt.Sprintf("%.0f%%", 100*float64(n)) }}

// subject is what the templates of a rule see.
type subject struct {
	Rule   string
	Value  number
	Labels map[string]string

	Values   map[string]number // of all metrics with these labels, or without any
	Currency string
}

// texts compiles a rule's templates for a language; a rule that has none for it uses another, or its name.
func (r *rule) texts(language string) error {
	t, ok := r.Texts[language]
	for _, other := range []string{"ru", "en"} {
		if !ok {
			t, ok = r.Texts[other]
		}
	}
	if t.Title == "" {
		t.Title = "{{.Rule}}: {{.Value}}{{range $k, $v := .Labels}}, {{$k}} {{$v}}{{end}}"
	}
	if t.SMS == "" {
		t.SMS = t.Title + ". " + t.Do
	}
	var errs []error
	ready := func(text string) *template.Template {
		p, err := template.New(r.Name).Funcs(funcs).Option("missingkey=zero").Parse(text)
		if err == nil {
			err = p.Execute(&strings.Builder{}, subject{})
		}
		errs = append(errs, err)
		return p
	}
	r.title, r.do, r.short = ready(t.Title), ready(t.Do), ready(t.SMS)
	return errors.Join(errs...)
}

// textOf is an alert in words.
func (m *Monitor) textOf(a *alert) Text {
	write := func(t *template.Template) string {
		var b strings.Builder
		if err := t.Execute(&b, subject{a.Rule, round(a.Value), a.Labels, a.values, m.currency}); err != nil {
			return a.Rule // checked at load, yet a template can still fail on a value
		}
		return b.String()
	}
	return Text{Title: write(a.rule.title), Do: write(a.rule.do), SMS: write(a.rule.short)}
}

// frames hold the words around the alerts.
var frames = map[string]*template.Template{
	"ru": template.Must(template.New("ru").Parse(
		`{{.Head}}
{{range .Firing}}
• {{.Title}}{{with .Do}}
  Что делать: {{.}}{{end}}
  С {{.Since}}, код {{.ID}}
{{end}}{{with .More}}
и ещё {{.}}
{{end}}{{range .Ended}}
• Прошло: {{.Title}} (длилось {{.For}})
{{end}}`)),
	"en": template.Must(template.New("en").Parse(
		`{{.Head}}
{{range .Firing}}
• {{.Title}}{{with .Do}}
  What to do: {{.}}{{end}}
  Since {{.Since}}, code {{.ID}}
{{end}}{{with .More}}
and {{.}} more
{{end}}{{range .Ended}}
• Over: {{.Title}} (it took {{.For}})
{{end}}`)),
}

type frame struct {
	Head          string
	Firing, Ended []item
	More          int
}

type item struct{ Title, Do, Since, For, ID string }

// maxItems bounds a message: of fifty alerts nobody reads the last forty.
const maxItems = 10

// compose writes a notice down.
func (m *Monitor) compose(n notice, now time.Time) processors.Message {
	f := frame{Head: m.head(n, now)}
	var first Text // a critical one, if there is any
	urgent := false
	for i, a := range n.firing {
		t := m.textOf(a)
		if critical := a.rule.Severity == Critical; i == 0 || critical && !urgent {
			first, urgent = t, critical
		}
		if i >= maxItems {
			f.More++
			continue
		}
		f.Firing = append(f.Firing, item{Title: t.Title, Do: t.Do, Since: a.Fired.In(m.zone).Format("15:04"), ID: n.ids[i]})
	}
	for _, id := range n.ended[:min(len(n.ended), maxItems)] {
		t := m.state.Groups[n.groups[0]].Notified[id]
		f.Ended = append(f.Ended, item{Title: t.Title, For: m.span(t.Until.Sub(t.Since))})
		if len(n.firing) == 0 && first.Title == "" {
			first = Text{Title: t.Title, SMS: m.say("Прошло: ", "Over: ") + t.Title}
		}
	}
	var b strings.Builder
	if err := frames[m.frameLanguage()].Execute(&b, f); err != nil {
		b.WriteString(f.Head)
	}
	short := first.SMS
	if len(n.firing) > 1 {
		short = m.say(fmt.Sprintf("Тревог: %d. ", len(n.firing)), fmt.Sprintf("%d alerts. ", len(n.firing))) + short
	}
	return processors.Message{
		ID: m.messageID(n), Subject: f.Head + ": " + first.Title, Text: strings.TrimSpace(b.String()),
		Short: processors.OneSMS(short), Urgent: urgent && n.kind != end,
	}
}

func (m *Monitor) head(n notice, now time.Time) string {
	switch n.kind {
	case end:
		return m.say("Прошло", "Over")
	case repeat:
		return m.say("Всё ещё не в порядке", "Still not right")
	case digest:
		return m.say("Пока были тихие часы", "While hours were quiet")
	case escalate:
		waited := m.span(m.waited(m.state.Groups[n.groups[0]], now))
		return m.say("Никто не ответил за "+waited, "No answer for "+waited)
	}
	for _, a := range n.firing {
		if a.rule.Severity == Critical {
			return m.say("Тревога", "Alarm")
		}
	}
	return m.say("Внимание", "Attention")
}

func (m *Monitor) frameLanguage() string { return m.say("ru", "en") }

func (m *Monitor) say(ru, en string) string {
	if m.language == "en" {
		return en
	}
	return ru
}

// span is a duration in words.
func (m *Monitor) span(d time.Duration) string {
	minutes := int(d.Round(time.Minute) / time.Minute)
	h, min := m.say("ч", "h"), m.say("мин", "min")
	switch {
	case minutes < 60:
		return fmt.Sprintf("%d %s", minutes, min)
	case minutes%60 == 0:
		return fmt.Sprintf("%d %s", minutes/60, h)
	}
	return fmt.Sprintf("%d %s %d %s", minutes/60, h, minutes%60, min)
}

// sayAlive sends the daily word: silence would look the same whether all is well or leadstream is gone.
func (m *Monitor) sayAlive(ctx context.Context, values []Value, now time.Time) {
	local := now.In(m.zone)
	day := local.Format(time.DateOnly)
	m.mu.Lock()
	if m.state.AliveDay == "" { // the first word comes tomorrow, not at installation
		m.state.AliveDay = day
	}
	due := m.alive >= 0 && minuteOf(local) >= m.alive && m.state.AliveDay != day && !now.Before(m.aliveNext)
	m.mu.Unlock()
	if !due {
		return
	}
	by := m.deliver(ctx, m.chain(0), m.aliveMessage(values, day))
	m.mu.Lock()
	defer m.mu.Unlock()
	if by == "" {
		m.aliveNext = now.Add(5 * time.Minute)
		return
	}
	m.state.AliveDay, m.aliveNext = day, time.Time{}
}

func (m *Monitor) aliveMessage(values []Value, day string) processors.Message {
	sum := func(name string) string {
		total, known := 0.0, false
		for _, v := range values {
			if v.Name == name {
				total, known = total+v.V, true
			}
		}
		if !known {
			return "?"
		}
		return round(total).String()
	}
	day24, lost, way, dead := sum("leads_day"), sum("unexplained"), sum("in_flight"), sum("leads_dead")
	short := m.say(
		fmt.Sprintf("leadstream жив: за сутки заявок %s, потеряно %s", day24, lost),
		fmt.Sprintf("leadstream is alive: %s leads in 24 h, %s lost", day24, lost))
	text := short + m.say(
		fmt.Sprintf(".\nВ пути: %s. Не доставлено и ждёт решения: %s.", way, dead),
		fmt.Sprintf(".\nOn their way: %s. Undelivered, for a person to decide: %s.", way, dead))
	return processors.Message{ID: streams.NewID("alive", day), Subject: short, Text: text, Short: processors.OneSMS(short)}
}

func (m *Monitor) testMessage(now time.Time) processors.Message {
	text := m.say("Проверка: сообщения leadstream доходят.", "Test: messages of leadstream arrive.")
	return processors.Message{ID: streams.NewID("test", stamp(now)), Subject: text, Text: text, Short: text}
}
