package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"leadstream/processors/intent"
)

type triageEvalCmd struct {
	taught `embed:""`
	File   string `arg:"" help:"CSV or JSON lines with text and intent (several joined by +); other columns are ignored; - is standard input.|CSV или JSON lines с полями text и intent (несколько — через +); прочие столбцы не нужны; - это стандартный ввод."`
	Wrong  bool   `help:"List the messages that were misunderstood.|Перечислить сообщения, понятые неверно."`
	JSON   bool   `help:"Print JSON.|Вывести JSON."`
}

func (cmd triageEvalCmd) Run(t *terminal) error {
	rows, err := cmd.rows(t)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", cmd.File, err)}
	}
	u, err := t.understanding(cmd.taught)
	if err != nil {
		return err
	}
	report := u.intents.Evaluate(rows)
	if cmd.JSON {
		return t.json(report)
	}
	return t.evaluation(report, u.intents, rows, cmd.Wrong)
}

// rows reads the file whole: a mistake in it is better told before the figures.
func (cmd triageEvalCmd) rows(t *terminal) (rows []intent.Row, err error) {
	in := t.in
	if cmd.File != "-" {
		f, err := os.Open(cmd.File)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	next, err := readRows(t.lang, cmd.File, in)
	if err != nil {
		return nil, err
	}
	for {
		r, err := next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		row, err := t.wanted(r)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil, errors.New(t.say("there are no rows", "в нём нет строк"))
	}
	return rows, nil
}

// noneOfOurs are other names of intent.Other.
var noneOfOurs = []string{"oos", "out_of_scope", "out-of-scope", "none", "greeting"}

func (t *terminal) wanted(r row) (intent.Row, error) {
	var v struct{ Text, Intent string }
	err := json.Unmarshal(r.body, &v)
	switch {
	case r.fault != "":
		return intent.Row{}, errors.New(t.say("row %d: %s", "строка %d: %s", r.number, r.fault))
	case err != nil:
		return intent.Row{}, fmt.Errorf(t.say("row %d: %w", "строка %d: %w"), r.number, err)
	case v.Intent == "":
		return intent.Row{}, errors.New(t.say("row %d: intent is empty; the columns are text and intent", "строка %d: intent пуст; нужны столбцы text и intent", r.number))
	}
	row := intent.Row{Text: v.Text}
	for name := range strings.SplitSeq(v.Intent, "+") {
		name = strings.ToLower(strings.TrimSpace(name))
		if slices.Contains(noneOfOurs, name) {
			name = intent.Other
		}
		if !slices.Contains(intent.All, name) {
			return row, errors.New(t.say("row %d: there is no intent %q; they are %s", "строка %d: нет намерения %q; есть %s", r.number, name, strings.Join(intent.All, ", ")))
		}
		if !slices.Contains(row.Want, name) {
			row.Want = append(row.Want, name)
		}
	}
	return row, nil
}

// evaluation prints a report for a person.
func (t *terminal) evaluation(r intent.Report, m *intent.Model, rows []intent.Row, wrong bool) error {
	tables := [][][]string{t.figures(r, m), t.scores(r)}
	if len(r.Confused) > 0 {
		tables = append(tables, t.confusions(r))
	}
	if wrong && len(r.Mistakes) > 0 {
		tables = append(tables, t.mistakes(r, rows))
	}
	for n, table := range tables {
		if n > 0 {
			fmt.Fprintln(t.out)
		}
		if err := t.table(table); err != nil {
			return err
		}
	}
	return nil
}

func percent(x float64) string { return strconv.FormatFloat(100*x, 'f', 1, 64) + " %" }

func (t *terminal) figures(r intent.Report, m *intent.Model) [][]string {
	check := m.Check()
	between := func(b [2]float64) string {
		return t.say("95 %% sure: %s to %s", "с надёжностью 95 %%: от %s до %s", percent(b[0]), percent(b[1]))
	}
	rows := [][]string{
		{t.say("messages", "сообщений"), strconv.Itoa(r.Rows)},
		{t.say("accuracy", "верно"), percent(r.Accuracy), between(r.Between)},
		{t.say("all intents and no more", "все намерения и ни одного лишнего"), percent(r.Exact)},
		{t.say("precision of answers", "верно среди отвеченных"), percent(r.Precision), between(r.Surely), t.say("of %d answered", "из %d отвеченных", r.Answered)},
		{t.say("coverage", "охват"), percent(r.Coverage), between(r.Covers), t.say("of the messages to the business", "из сообщений по делу")},
	}
	if r.AUROC != nil {
		rows = append(rows, []string{t.say("AUROC of out-of-scope", "AUROC посторонних"), strconv.FormatFloat(*r.AUROC, 'f', 3, 64)})
	}
	return append(rows, []string{t.say("self-check at start", "самопроверка при старте"), percent(check.Accuracy),
		t.say("precision %s, coverage %s, %d examples", "верно среди отвеченных %s, охват %s, примеров %d", percent(check.Precision), percent(check.Coverage), check.Asked)})
}

func (t *terminal) scores(r intent.Report) [][]string {
	rows := [][]string{{t.say("intent", "намерение"), t.say("wanted", "ожидалось"), t.say("found", "найдено"), t.say("right", "верно")}}
	for _, s := range r.Intents {
		rows = append(rows, []string{s.Intent, strconv.Itoa(s.Wanted), strconv.Itoa(s.Found), strconv.Itoa(s.Right)})
	}
	return rows
}

func (t *terminal) confusions(r intent.Report) [][]string {
	rows := [][]string{{t.say("wanted", "ожидалось"), t.say("taken for", "принято за"), t.say("times", "раз")}}
	for _, c := range r.Confused {
		rows = append(rows, []string{c.Want, c.Got, strconv.Itoa(c.Times)})
	}
	return rows
}

func (t *terminal) mistakes(r intent.Report, rows []intent.Row) [][]string {
	list := [][]string{{t.say("row", "строка"), t.say("wanted", "ожидалось"), t.say("taken for", "принято за"), t.say("confidence", "уверенность"), t.say("message", "сообщение")}}
	for _, w := range r.Mistakes {
		list = append(list, []string{strconv.Itoa(w.Row), strings.Join(w.Want, "+"), w.Got, strconv.FormatFloat(w.Confidence, 'f', 2, 64), rows[w.Row-1].Text})
	}
	return list
}
