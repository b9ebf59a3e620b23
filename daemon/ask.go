package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"leadstream/processors"
	"leadstream/streams"
)

// The commands below ask the running daemon; what they print for people is in the terminal's language.

type leadsCmd struct {
	ID     string `arg:"" optional:"" help:"One lead's id: tells its whole life.|Номер одной заявки: вся её история."`
	State  string `help:"in_flight, held, delivered, merged, dropped, dead or erased.|in_flight, held, delivered, merged, dropped, dead или erased."`
	Source string `help:"Of this source only.|Только этого источника."`
	Since  string `help:"Received since: 24h, 7d, 2026-01-31.|Получены начиная с: 24h, 7d, 2026-01-31."`
	Until  string `help:"Received until.|Получены до."`
	Query  string `short:"q" help:"Part of an id, a phone, an e-mail or a name.|Часть номера заявки, телефона, почты или имени."`
	Limit  int    `default:"50" help:"How many at most.|Сколько самое большее."`
	Cursor string `help:"Go on after the page before.|Продолжить после предыдущей страницы."`
	JSON   bool   `help:"Print JSON.|Вывести JSON."`
	CSV    bool   `help:"Print CSV.|Вывести CSV."`
}

func (cmd leadsCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	if cmd.ID != "" {
		var life streams.Life
		if err := c.get("/v1/leads/"+url.PathEscape(cmd.ID), nil, &life); err != nil {
			return err
		}
		if cmd.JSON {
			return t.json(life)
		}
		return t.life(life)
	}
	var page LeadPage
	if err := c.get("/v1/leads", query("state", cmd.State, "source", cmd.Source, "since", cmd.Since, "until", cmd.Until,
		"q", cmd.Query, "cursor", cmd.Cursor, "limit", strconv.Itoa(cmd.Limit)), &page); err != nil {
		return err
	}
	switch {
	case cmd.JSON:
		return t.json(page)
	case cmd.CSV:
		return t.leadsCSV(page.Leads)
	}
	rows := [][]string{{t.say("lead", "заявка"), t.say("received", "получена"), t.say("source", "источник"), t.say("state", "состояние"), t.say("destinations", "приёмники")}}
	for _, l := range page.Leads {
		rows = append(rows, []string{l.ID, clock(l.ReceivedAt), l.Source, string(l.State), stops(l.Destinations)})
	}
	return t.page(rows, page.Next)
}

// query makes parameters of pairs; those without a value are left out.
func query(pairs ...string) url.Values {
	v := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			v.Set(pair[0], pair[1])
		}
	}
	return v
}

func stops(all []streams.Stop) string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = s.Name + ":" + string(s.State)
	}
	return strings.Join(texts, " ")
}

func (t *terminal) life(l streams.Life) error {
	rows := [][]string{{t.say("lead", "заявка"), l.ID}, {t.say("state", "состояние"), string(l.State)},
		{t.say("source", "источник"), l.Source}, {t.say("received", "получена"), clock(l.ReceivedAt)}}
	if l.Reason != "" {
		rows = append(rows, []string{t.say("reason", "причина"), l.Reason})
	}
	if l.RepeatOf != "" {
		rows = append(rows, []string{t.say("repeat of", "повтор заявки"), l.RepeatOf})
	}
	for _, s := range l.Destinations {
		rows = append(rows, []string{s.Name, strings.Join(slices.DeleteFunc([]string{string(s.State), s.RemoteID, clock(s.At),
			t.say("attempts: %d", "попыток: %d", s.Attempts), s.Reason, s.Error}, func(x string) bool { return x == "" }), ", ")})
	}
	return t.table(rows)
}

func (t *terminal) leadsCSV(leads []streams.Life) error {
	w := csv.NewWriter(t.out)
	_ = w.Write([]string{"id", "received_at", "source", "state", "reason", "repeat_of", "destinations"})
	for _, l := range leads {
		_ = w.Write([]string{l.ID, l.ReceivedAt.Format(time.RFC3339), formulaFree(l.Source), string(l.State), formulaFree(l.Reason), l.RepeatOf, stops(l.Destinations)})
	}
	w.Flush()
	return w.Error()
}

// formulaFree keeps a spreadsheet from running a stranger's text, and a terminal too.
func formulaFree(s string) string {
	s = plain(s)
	if t := strings.TrimLeft(s, " \u00a0"); t != "" && strings.ContainsRune("=+-@\t\r", rune(t[0])) {
		return "'" + s
	}
	return s
}

type statusCmd struct {
	JSON bool `help:"Print JSON.|Вывести JSON."`
}

func (cmd statusCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	var s Status
	if err := c.get("/v1/status", nil, &s); err != nil {
		return err
	}
	if cmd.JSON {
		return t.json(s)
	}
	fmt.Fprintln(t.out, t.say("leadstream %s, instance %s, runs since %s", "leadstream %s, экземпляр %s, работает с %s", cell(s.Version), cell(s.Instance), clock(s.Started)))
	for _, p := range s.Problems {
		fmt.Fprintln(t.out, "! "+cell(p))
	}
	var counts []string
	for _, state := range states {
		counts = append(counts, fmt.Sprintf("%s %d", state, s.Leads[state]))
	}
	fmt.Fprintln(t.out, t.say("leads: %s; unexplained %d", "заявки: %s; необъяснённых %d", strings.Join(counts, ", "), s.Unexplained))
	t.calibration(s.Scores)
	t.answers(s.Answers)
	rows := [][]string{{t.say("destination", "приёмник"), t.say("kind", "вид"), t.say("state", "состояние"), t.say("waiting", "ждут"),
		t.say("retried", "повтор"), t.say("dead", "мёртвые"), t.say("held", "задержаны"), t.say("oldest", "старейшая"), t.say("reason", "причина")}}
	for _, d := range s.Destinations {
		state := d.State
		if !d.Until.IsZero() {
			state += t.say(" until ", " до ") + clock(d.Until)
		}
		rows = append(rows, []string{d.Name, d.Kind, state, strconv.Itoa(d.Waiting), strconv.Itoa(d.Parked), strconv.Itoa(d.Dead), strconv.Itoa(d.Held), age(d.Oldest), d.Reason})
	}
	return t.table(rows)
}

// calibration says how well the scores of enquiries agree with what became of them, once something is known of that.
func (t *terminal) calibration(c processors.Calibration) {
	if c.Outcomes == 0 {
		return
	}
	by := t.say("by the shipped points, until there are 50 outcomes, 10 won and 10 lost", "по встроенным баллам, пока исходов меньше 50 или выигранных или проигранных меньше 10")
	if c.Used {
		by = t.say("by these outcomes", "по этим исходам")
	}
	fmt.Fprintln(t.out, t.say("scores: %d outcomes, %d won; %s; hot from %d", "оценки: исходов %d, выиграно %d; %s; горячие с %d", c.Outcomes, c.Won, by, c.HotAt))
	for _, b := range c.Bands {
		fmt.Fprintln(t.out, t.say("  %d to %d: %d leads, said %.0f %%, won %.0f %%", "  %d–%d: заявок %d, обещано %.0f %%, выиграно %.0f %%",
			b.From, b.To, b.Leads, b.Said, 100*float64(b.Won)/float64(b.Leads)))
	}
}

type pauseCmd struct {
	Destination string `arg:"" help:"The sink's name in config.yaml.|Имя приёмника в config.yaml."`
	For         string `help:"How long: 30m, 2h; without it, until resumed.|На сколько: 30m, 2h; без него — до resume."`
	Reason      string `help:"Why, for whoever looks later.|Почему: для того, кто посмотрит позже."`
}

func (cmd pauseCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	if err := c.post("/v1/destinations/"+url.PathEscape(cmd.Destination)+"/pause", PauseAsk{For: cmd.For, Reason: cmd.Reason}, &struct{}{}); err != nil {
		return err
	}
	fmt.Fprintln(t.out, t.say("%s is paused; its leads wait", "%s остановлен; его заявки ждут", cmd.Destination))
	return nil
}

type resumeCmd struct {
	Destination string `arg:"" help:"The sink's name in config.yaml.|Имя приёмника в config.yaml."`
}

func (cmd resumeCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	if err := c.post("/v1/destinations/"+url.PathEscape(cmd.Destination)+"/resume", struct{}{}, &struct{}{}); err != nil {
		return err
	}
	fmt.Fprintln(t.out, t.say("%s goes on", "%s продолжает", cmd.Destination))
	return nil
}

func (t *terminal) json(v any) error {
	e := json.NewEncoder(t.out) // escapes control characters by itself
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// page prints a table and how to see the next one.
func (t *terminal) page(rows [][]string, next string) error {
	if err := t.table(rows); err != nil {
		return err
	}
	if next != "" {
		fmt.Fprintln(t.out, t.say("more: --cursor %s", "дальше: --cursor %s", cell(next)))
	}
	return nil
}

func (t *terminal) table(rows [][]string) error {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, s := range row {
			cells[i] = cell(s)
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	return w.Flush()
}

func clock(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Local().Format("2006-01-02 15:04:05")
}

func age(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return time.Since(at).Round(time.Second).String()
}
