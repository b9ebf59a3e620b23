package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"leadstream/streams"
)

// deadCmd is about the leads that were not delivered, and those that wait for a person's decision.
type deadCmd struct {
	List   deadListCmd   `cmd:"" help:"List them.|Перечислить." example:"leadstream dead list --destination crm --since 24h"`
	Show   deadShowCmd   `cmd:"" help:"One of them, with every attempt.|Одна из них, с каждой попыткой." example:"leadstream dead show 01j9…:crm"`
	Replay deadReplayCmd `cmd:"" help:"Send them to their destination again.|Отправить в их приёмник ещё раз." example:"leadstream dead replay --destination crm --since 24h"`
	Drop   deadDropCmd   `cmd:"" help:"End them for good.|Закрыть насовсем." example:"leadstream dead drop 01j9…:crm --reason \"called the customer\""`
	Export deadExportCmd `cmd:"" help:"Print them as CSV or JSON, for manual handling.|Вывести в CSV или JSON для ручной работы." example:"leadstream dead export --since 7d > dead.csv"`
}

// deadFilter selects dead letters.
type deadFilter struct {
	Destination string `help:"Of this destination only.|Только этого приёмника."`
	Source      string `help:"Of this source only.|Только этого источника."`
	State       string `help:"dead or held.|dead или held."`
	Since       string `help:"Dead since: 24h, 7d, 2026-01-31.|Не доставлены начиная с: 24h, 7d, 2026-01-31."`
	Until       string `help:"Dead until.|Не доставлены до."`
	Query       string `short:"q" help:"Part of an id, a phone, an e-mail or a name.|Часть номера, телефона, почты или имени."`
}

func (f deadFilter) values() url.Values {
	return query("destination", f.Destination, "source", f.Source, "state", f.State, "since", f.Since, "until", f.Until, "q", f.Query)
}

type deadListCmd struct {
	deadFilter
	Limit  int    `default:"50" help:"How many at most.|Сколько самое большее."`
	Cursor string `help:"Go on after the page before.|Продолжить после предыдущей страницы."`
	JSON   bool   `help:"Print JSON.|Вывести JSON."`
}

func (cmd deadListCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	v := cmd.values()
	v.Set("limit", strconv.Itoa(cmd.Limit))
	if cmd.Cursor != "" {
		v.Set("cursor", cmd.Cursor)
	}
	var page DeadPage
	if err := c.get("/v1/dead", v, &page); err != nil {
		return err
	}
	if cmd.JSON {
		return t.json(page)
	}
	rows := [][]string{{"id", t.say("at", "когда"), t.say("destination", "приёмник"), t.say("state", "состояние"), t.say("attempts", "попыток"), t.say("last error", "последняя ошибка")}}
	for _, d := range page.Dead {
		rows = append(rows, []string{d.ID, clock(d.At), d.Destination, string(d.State), strconv.Itoa(d.Attempts), lastError(d)})
	}
	return t.page(rows, page.Next)
}

func lastError(d streams.DeadLetter) string {
	if n := len(d.Tries); n > 0 {
		return d.Tries[n-1].Err
	}
	return ""
}

type deadShowCmd struct {
	ID   string `arg:"" help:"As dead list shows it.|Как показывает dead list."`
	JSON bool   `help:"Print JSON.|Вывести JSON."`
}

func (cmd deadShowCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	var d streams.DeadLetter
	if err := c.get("/v1/dead/"+url.PathEscape(cmd.ID), nil, &d); err != nil {
		return err
	}
	if cmd.JSON {
		return t.json(d)
	}
	rows := [][]string{{"id", d.ID}, {t.say("destination", "приёмник"), d.Destination},
		{t.say("state", "состояние"), string(d.State)}, {t.say("at", "когда"), clock(d.At)}}
	if l := d.Lead; l != nil {
		rows = append(rows, []string{t.say("lead", "заявка"), l.ID}, []string{t.say("source", "источник"), l.Source}, []string{t.say("name", "имя"), l.Name}, []string{t.say("phone", "телефон"), l.Phone}, []string{t.say("e-mail", "почта"), l.Email},
			[]string{t.say("service", "услуга"), l.Service}, []string{t.say("time", "время"), l.Time}, []string{t.say("message", "сообщение"), l.Message})
	}
	for i, a := range d.Tries {
		rows = append(rows, []string{t.say("attempt %d", "попытка %d", i+1), strings.TrimSpace(clock(a.At) + " " + a.Code + " " + a.Err)})
	}
	return t.table(rows)
}

// chosen is how replay and drop name what they act on.
type chosen struct {
	IDs []string `arg:"" name:"id" optional:"" help:"Ids as dead list shows them.|Номера, как показывает dead list."`
	deadFilter
	All bool `help:"All of them.|Все."`
}

// selection turns times before now into moments, as the API's JSON wants them.
func (ch chosen) selection(t *terminal, reason string) (Selection, error) {
	s := Selection{IDs: ch.IDs, All: ch.All, Reason: reason}
	f := DeadQuery{Destination: ch.Destination, Source: ch.Source, Text: ch.Query}
	f.State = streams.State(ch.State)
	for _, m := range []struct {
		name, text string
		to         *time.Time
	}{{"since", ch.Since, &f.Since}, {"until", ch.Until, &f.Until}} {
		var ask errAsk
		if err := parseMoment(m.name, m.text, m.to); errors.As(err, &ask) {
			return s, usageError{errors.New(m.name + ": " + t.say(ask.en, ask.ru))}
		}
	}
	if !f.all() {
		s.Filter = &f
	}
	if len(s.IDs) == 0 && s.Filter == nil && !s.All {
		return s, usageError{fmt.Errorf("%s", t.say("name ids or a filter, or say --all", "назовите номера или отбор, либо скажите --all"))}
	}
	return s, nil
}

type deadReplayCmd struct{ chosen }

func (cmd deadReplayCmd) Run(t *terminal) error {
	n, err := cmd.act(t, "/v1/dead/replay", "")
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out, t.say("sent again: %d", "отправлено ещё раз: %d", n))
	return nil
}

type deadDropCmd struct {
	chosen
	Reason string `required:"" help:"Why they need no delivery.|Почему доставка не нужна."`
	Yes    bool   `short:"y" help:"Do not ask.|Не спрашивать."`
}

func (cmd deadDropCmd) Run(t *terminal) error {
	if !cmd.Yes && len(cmd.IDs) == 0 && !t.confirm(t.say("Drop all that the filter selects?", "Закрыть всё, что выбрано отбором?")) {
		return usageError{fmt.Errorf("%s", t.say("nothing was dropped; say --yes", "ничего не закрыто; скажите --yes"))}
	}
	n, err := cmd.act(t, "/v1/dead/drop", cmd.Reason)
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out, t.say("dropped: %d", "закрыто: %d", n))
	return nil
}

func (ch chosen) act(t *terminal, path, reason string) (int, error) {
	s, err := ch.selection(t, reason)
	if err != nil {
		return 0, err
	}
	c, err := t.dial()
	if err != nil {
		return 0, err
	}
	var n Count
	err = c.post(path, s, &n)
	return n.Count, err
}

// confirm asks a person; without one at the keyboard the answer is no.
func (t *terminal) confirm(question string) bool {
	fmt.Fprint(t.err, question, t.say(" [y/N] ", " [д/Н] "))
	line, _ := bufio.NewReader(t.in).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes", "д", "да":
		return true
	}
	return false
}

type deadExportCmd struct {
	deadFilter
	JSON bool `help:"Print JSON lines instead of CSV.|Вывести JSON lines вместо CSV."`
}

func (cmd deadExportCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	write, flush := deadCSV(t.out)
	if cmd.JSON {
		write, flush = deadLines(t)
	}
	v := cmd.values()
	v.Set("limit", strconv.Itoa(maxLimit))
	for {
		var page DeadPage
		if err := c.get("/v1/dead", v, &page); err != nil {
			return err
		}
		for _, d := range page.Dead {
			if err := write(d); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return flush()
		}
		v.Set("cursor", page.Next)
	}
}

func deadLines(t *terminal) (write func(streams.DeadLetter) error, flush func() error) {
	return func(d streams.DeadLetter) error { return json.NewEncoder(t.out).Encode(d) }, func() error { return nil }
}

func deadCSV(out io.Writer) (write func(streams.DeadLetter) error, flush func() error) {
	w := csv.NewWriter(out)
	_ = w.Write([]string{"id", "at", "destination", "state", "lead_id", "source", "name", "phone", "email", "service", "time", "message", "attempts", "error"})
	write = func(d streams.DeadLetter) error {
		row := []string{d.ID, d.At.Format(time.RFC3339), d.Destination, string(d.State), "", "", "", "", "", "", "", "", strconv.Itoa(d.Attempts), formulaFree(lastError(d))}
		if l := d.Lead; l != nil {
			copy(row[4:], []string{l.ID, formulaFree(l.Source), formulaFree(l.Name), phoneCell(l.Phone), formulaFree(l.Email), formulaFree(l.Service), formulaFree(l.Time), formulaFree(l.Message)})
		}
		return w.Write(row)
	}
	return write, func() error { w.Flush(); return w.Error() }
}

// phoneCell leaves a valid number as it is: its plus begins no formula.
func phoneCell(s string) string {
	if digits, ok := strings.CutPrefix(s, "+"); ok && len(digits) <= 15 && strings.Trim(digits, "0123456789") == "" {
		return s
	}
	return formulaFree(s)
}
