package drill

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Text writes the report for a terminal.
func (r *Report) Text(w io.Writer) error {
	l := r.Language
	var b strings.Builder
	line := func(text string) { b.WriteString(text + "\n") }
	line(r.Headline())
	line(r.about())
	line("")
	for _, t := range r.tiles() {
		fmt.Fprintf(&b, "  %-*s %s\n", 26, t.Label, t.Value)
	}
	line("")
	b.WriteString(r.table(r.phaseRows()))
	line("")
	b.WriteString(r.table(r.sourceRows()))
	line("")
	b.WriteString(r.table(r.farRows()))
	if rows := r.answerRows(); rows != nil {
		line("")
		b.WriteString(r.table(rows))
	}
	for _, part := range []struct {
		title string
		lines []string
	}{
		{l.Say("What is wrong", "Что не так"), r.worst()}, {l.Say("Who was told", "Кому сообщено"), r.alertLines()},
		{l.Say("What to do", "Что делать"), r.Advice}, {l.Say("How this differs from real life", "Чем это отличается от жизни"), r.Notes},
	} {
		if len(part.lines) == 0 {
			continue
		}
		line("\n" + part.title)
		for _, one := range part.lines {
			line("  - " + one)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Headline is the report in a sentence.
func (r *Report) Headline() string {
	l, t := r.Language, r.Totals
	switch {
	case !r.OK && t.Broken():
		return l.Say("FAILED: %s accepted; %s", "ПРОВАЛ: принято: %s; %s", l.leads(t.Accepted), r.broken())
	case !r.OK && t.Waiting > 0:
		return l.Say("FAILED: of %s accepted, %d are still on their way", "ПРОВАЛ: принято: %s, в пути застряло %d", l.leads(t.Accepted), t.Waiting)
	case !r.OK:
		return l.Say("FAILED: %s", "ПРОВАЛ: %s", r.Faults[0])
	case r.Stopped:
		return l.Say("STOPPED before its end; so far %s accepted, none lost or doubled", "ПРЕРВАНО; пока принято: %s, ни одна не потеряна и не задвоена", l.leads(t.Accepted))
	}
	return l.Say("PASSED: %s accepted, none lost, none doubled, none out of order", "ПРОЙДЕНО: принято: %s, ни одна не потеряна, не задвоена, не обогнала другую", l.leads(t.Accepted))
}

// broken says in which way the promise was broken.
func (r *Report) broken() string {
	l, t := r.Language, r.Totals
	var parts []string
	for _, p := range []struct {
		n      int
		en, ru string
	}{{t.Lost, "lost", "потеряно"}, {t.Doubled, "doubled", "задвоено"}, {t.OutOfOrder, "out of order", "не по порядку"}, {t.Damaged, "damaged", "искажено"},
		{t.Invented, "invented", "выдумано"}, {t.Unknown, "unexplained", "без объяснения"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", l.Say(p.en, p.ru), p.n))
		}
	}
	return strings.Join(parts, ", ")
}

// mostFaults is how many a person reads; JSON has them all.
const mostFaults = 12

func (r *Report) worst() []string {
	if more := len(r.Faults) - mostFaults; more > 0 {
		return append(slices.Clone(r.Faults[:mostFaults]), r.Language.Say("and %d more: see --json", "и ещё %d: см. --json", more))
	}
	return r.Faults
}

// about says what was played.
func (r *Report) about() string {
	l, p := r.Language, r.Plan.Peak
	from := l.Say("as told", "задан")
	if p.Guessed {
		from = l.Say("a guess", "взят наугад")
	}
	if p.Learnt > 0 {
		from = l.Say("learnt from %s since %s", "по журналу: %s с %s", l.leads(p.Learnt), p.Since.Format("02.01.2006"))
	}
	text := l.Say("Peak: %s leads an hour, up to %s in its busiest minute (%s).", "Пик: %s заявок в час, до %s в самую плотную минуту (%s).", l.count(p.PerHour), l.count(p.PerMinute), from)
	if len(r.Plan.Phases) > 0 {
		text += l.Say(" ×1 here is %s leads a minute", " ×1 здесь — %s заявок в минуту", l.number(r.Plan.Phases[0].PerSecond()*60, 1))
		if r.Plan.Density > 1.05 {
			text += l.Say(", %s denser than that minute", ", в %s плотнее той минуты", l.Often(r.Plan.Density))
		}
		text += "."
	}
	return text + l.Say(" It took %s.", " Заняло %s.", l.Span(r.Took))
}

// tile is one of the figures that are looked at first.
type tile struct {
	Label, Value string
	Good, Bad    bool
}

func (r *Report) tiles() []tile {
	l, t := r.Language, r.Totals
	n := func(v int) string { return fmt.Sprint(v) }
	must0 := func(label string, v int) tile { return tile{label, n(v), v == 0, v > 0} }
	list := []tile{{Label: l.Say("accepted", "принято"), Value: n(t.Accepted)}, {Label: l.Say("delivered", "доставлено"), Value: n(t.Delivered)},
		must0(l.Say("lost", "потеряно"), t.Lost), must0(l.Say("doubled", "задвоено"), t.Doubled), must0(l.Say("out of order", "не по порядку"), t.OutOfOrder)}
	for _, extra := range []tile{must0(l.Say("invented or damaged", "выдумано или искажено"), t.Invented+t.Damaged), must0(l.Say("unexplained", "без объяснения"), t.Unknown),
		{Label: l.Say("still on their way", "ещё в пути"), Value: n(t.Waiting), Bad: t.Waiting > 0}, {Label: l.Say("to a person", "передано человеку"), Value: n(t.Dead)}, {Label: l.Say("dropped by your rules", "отсеяно вашими правилами"), Value: n(t.Dropped)}} {
		if extra.Value != "0" {
			list = append(list, extra)
		}
	}
	if f, _, ok := r.load(); ok {
		list = append(list, tile{Label: l.Say("answer at %s, p99", "ответ при %s, p99", l.Times(f.Times)), Value: l.Span(f.Answer.P99)},
			tile{Label: l.Say("to %s at %s, p95", "до %s при %s, p95", r.Main, l.Times(f.Times)), Value: l.Span(f.Delay.P95)})
	}
	return list
}

func (r *Report) phaseRows() [][]string {
	l := r.Language
	rows := [][]string{{l.Say("phase", "этап"), l.Say("leads", "заявок"), l.Say("taken", "принято"), l.Say("arrived", "дошло"),
		l.Say("answer p50", "ответ p50"), "p99", l.Say("to %s p50", "до %s p50", r.Main), "p95", "p99", l.Say("broken for", "сбой длился"), l.Say("recovery", "восстановление")}}
	for _, p := range r.Phases {
		broken, recovery := "", ""
		if p.Fault != "" {
			if recovery = l.Span(p.Recovery); p.Recovery < 0 {
				recovery = l.Say("not yet", "ещё нет")
			}
			if p.Healed >= 0 {
				broken = l.Span(p.Healed - p.From)
			}
		}
		rows = append(rows, []string{l.Name(p.Phase), fmt.Sprint(p.Sent), fmt.Sprint(p.Accepted), fmt.Sprint(p.Arrived), l.Span(p.Answer.P50), l.Span(p.Answer.P99),
			l.Span(p.Delay.P50), l.Span(p.Delay.P95), l.Span(p.Delay.P99), broken, recovery})
	}
	return rows
}

func (r *Report) sourceRows() [][]string {
	l := r.Language
	rows := [][]string{{l.Say("source", "источник"), l.Say("kind", "вид"), l.Say("comes", "приходит"), l.Say("leads", "заявок"), l.Say("taken", "принято"), l.Say("arrived", "дошло"),
		l.Say("lost", "потеряно"), l.Say("doubled", "задвоено"), l.Say("out of order", "не по порядку"), l.Say("answer p99", "ответ p99"), l.Say("to %s p95", "до %s p95", r.Main),
		l.Say("told again", "повторов"), l.Say("no leads", "не заявок")}}
	for _, s := range r.Sources {
		again, aside := "", ""
		if s.Way != ByHTTP {
			aside = fmt.Sprint(s.Aside)
		}
		if s.Way == ByWebhook { // what is asked for is told until it is confirmed
			again = fmt.Sprint(s.Again)
		}
		rows = append(rows, []string{s.Name, s.Kind, l.way(s.Way), fmt.Sprint(s.Sent), fmt.Sprint(s.Accepted), fmt.Sprint(s.Arrived), fmt.Sprint(s.Lost), fmt.Sprint(s.Doubled),
			fmt.Sprint(s.OutOfOrder), l.Span(s.Answer.P99), l.Span(s.Delay.P95), again, aside})
	}
	return rows
}

func (r *Report) farRows() [][]string {
	l := r.Language
	rows := [][]string{{l.Say("destination", "приёмник"), l.Say("kind", "вид"), l.Say("delivered", "доставлено"), l.Say("to a person", "человеку"),
		"p50", "p95", "p99", l.Say("requests a lead", "запросов на заявку"), l.Say("room, leads/h", "запас, заявок/ч"), l.Say("checked against", "сверено с")}}
	for _, d := range r.Far {
		each, room := "", ""
		if perHour, perLead, ok := r.Room(d); ok {
			each, room = l.number(perLead, 2), l.count(perHour)
		}
		by := l.Say("its own record", "его записями")
		if !d.Checked {
			by = l.Say("leadstream's word", "словом leadstream")
		}
		rows = append(rows, []string{d.Name, d.Kind, fmt.Sprint(d.Delivered), fmt.Sprint(d.Dead), l.Span(d.Delay.P50), l.Span(d.Delay.P95), l.Span(d.Delay.P99), each, room, by})
	}
	return rows
}

// alertLines are the alerts, those of a phase that say the same to the same person once.
func (r *Report) alertLines() []string {
	var list []string
	for _, a := range r.alerts() {
		list = append(list, fmt.Sprintf("%s, %s (%s): %s", a.Phase, a.To, a.Via, a.Text))
	}
	return list
}

// told is an alert as it is shown.
type told struct{ Phase, After, To, Via, Text string }

func (r *Report) alerts() []told {
	var list []told
	seen := map[told]bool{}
	for _, a := range r.Alerts {
		phase, after := "", ""
		if a.Phase < len(r.Phases) {
			p := r.Phases[a.Phase]
			phase, after = r.Language.Name(p.Phase), r.Language.Say("after %s", "через %s", r.Language.Span(a.At-p.From))
		}
		one := told{Phase: phase, To: a.To, Via: a.Via, Text: a.Text}
		if !seen[one] {
			seen[one] = true
			one.After = after
			list = append(list, one)
		}
	}
	return list
}

func (r *Report) table(rows [][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, "  "+strings.Join(row, "\t"))
	}
	_ = w.Flush() // into memory
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
