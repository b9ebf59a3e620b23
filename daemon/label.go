package main

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"leadstream/processors/intent"
	"leadstream/processors/learn"
)

type triageLabelCmd struct {
	Limit   int  `default:"50" help:"How many messages at most.|Сколько сообщений самое большее."`
	NoTrain bool `help:"Do not train afterwards.|Не обучать после разметки."`
}

type triageCorrectCmd struct {
	Lead    string `arg:"" help:"The lead's id.|Номер заявки."`
	Intent  string `arg:"" help:"What its message wants.|Чего хочет её сообщение."`
	NoTrain bool   `help:"Do not train: more corrections follow.|Не обучать: будут ещё исправления."`
}

type triageTrainCmd struct {
	Force bool `help:"Take the new model even if it is right less often.|Взять новую модель, даже если она чаще ошибается."`
	JSON  bool `help:"Print JSON.|Вывести JSON."`
}

// intentNames are the intents as a person reads them.
var intentNames = map[string]string{
	intent.Booking: "make an appointment|записаться", intent.Cancel: "cancel|отменить", intent.Reschedule: "move an appointment|перенести запись",
	intent.Price: "what it costs|узнать цену", intent.Address: "where you are|узнать адрес", intent.Hours: "when you are open|узнать часы работы",
	intent.Consultation: "advice, a question about a service|совет, вопрос об услуге", intent.OrderStatus: "where the order is|что с заказом",
	intent.Complaint: "complain|пожаловаться", intent.Payment: "pay, a receipt, money back|оплатить, чек, вернуть деньги",
	intent.Operator: "a person|позвать человека", intent.Other: "none of these: advertising, a greeting|ничего из этого: реклама, приветствие",
}

func (cmd triageLabelCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	var page KeptPage
	if err := c.get("/v1/triage/kept", query("limit", strconv.Itoa(cmd.Limit)), &page); err != nil {
		return err
	}
	if len(page.Kept) == 0 {
		fmt.Fprintln(t.out, t.say("there is nothing to label", "размечать нечего"))
		return nil
	}
	l := &labelling{client: c, all: page.Kept, waiting: page.Waiting, keys: bufio.NewScanner(t.in)}
	l.legend()
	if err := l.walk(); err != nil {
		return err
	}
	fmt.Fprintln(t.out, t.say("labelled %d, skipped %d, removed %d", "размечено %d, пропущено %d, убрано %d", l.count("label"), l.count("skip"), l.count("drop")))
	if l.count("label") == 0 || cmd.NoTrain {
		return nil
	}
	return c.train(false, false)
}

// labelling is a walk through messages, one answer a line. What was said of a message is with the daemon at once, so that
// an interrupt loses nothing.
type labelling struct {
	*client
	all     []learn.Kept
	waiting int
	keys    *bufio.Scanner
	done    []string // what was done to each of all, so far: label, skip or drop
}

func (l *labelling) count(what string) (n int) {
	for _, d := range l.done {
		if d == what {
			n++
		}
	}
	return n
}

func (l *labelling) legend() {
	for i, name := range intent.All {
		fmt.Fprintf(l.out, "%3d  %-13s %s\n", i+1, name, l.side(intentNames[name]))
	}
	fmt.Fprintln(l.out, l.say("A number or the name's beginning; Enter: as guessed; s: skip, d: remove (teaches nothing), u: undo, ?: this list, q: quit",
		"Номер или начало имени; Enter: как предложено; s: пропустить, d: убрать (не учит), u: отменить, ?: этот список, q: выйти"))
}

func (l *labelling) walk() error {
	for len(l.done) < len(l.all) {
		k := l.all[len(l.done)]
		fmt.Fprintf(l.out, "\n%s\n  %s\n", l.say("%d of %d, lead %s, %s: guessed %s (%.2f)", "%d из %d, заявка %s, %s: похоже на %s (%.2f)",
			len(l.done)+1, len(l.all), k.Lead, clock(k.At), k.Guess, k.Confidence), cell(k.Text))
		for again := true; again; {
			fmt.Fprint(l.out, "> ")
			if !l.keys.Scan() { // the end of a pipe, or of patience
				fmt.Fprintln(l.out)
				return l.keys.Err()
			}
			var err error
			if again, err = l.answer(k, strings.ToLower(strings.TrimSpace(l.keys.Text()))); err != nil {
				if errors.Is(err, errQuit) {
					return nil
				}
				return err
			}
		}
	}
	return nil
}

var errQuit = errors.New("quit")

// answer does what a line says; again asks for another line about the same message.
func (l *labelling) answer(k learn.Kept, key string) (again bool, err error) {
	switch key {
	case "q", "й":
		return false, errQuit
	case "?", "h":
		l.legend()
		return true, nil
	case "s", "ы":
		l.done = append(l.done, "skip")
		return false, nil
	case "d", "в":
		return false, l.tell(k, "drop", "")
	case "u", "г":
		return l.undo()
	case "":
		key = k.Guess
	}
	wanted := l.intent(key)
	if wanted == "" {
		fmt.Fprintln(l.out, l.say("not understood; ? shows the list", "непонятно; ? покажет список"))
		return true, nil
	}
	fmt.Fprintln(l.out, "  "+wanted)
	return false, l.tell(k, "label", wanted)
}

// intent is the one that a number or the beginning of a name, in either language, means.
func (l *labelling) intent(key string) string {
	if n, err := strconv.Atoi(key); err == nil {
		if n < 1 || n > len(intent.All) {
			return ""
		}
		return intent.All[n-1]
	}
	if slices.Contains(intent.All, key) {
		return key
	}
	found := ""
	for _, name := range intent.All {
		_, ru, _ := strings.Cut(intentNames[name], "|")
		if strings.HasPrefix(name, key) || strings.HasPrefix(ru, key) {
			if found != "" {
				return "" // of several
			}
			found = name
		}
	}
	return found
}

func (l *labelling) tell(k learn.Kept, what, wanted string) error {
	err := l.post("/v1/triage/label", LabelAsk{Lead: k.Lead, Intent: wanted}, &struct{}{})
	if err == nil {
		l.done = append(l.done, what)
	}
	return err
}

// undo goes back to the message before.
func (l *labelling) undo() (again bool, err error) {
	n := len(l.done)
	if n == 0 {
		fmt.Fprintln(l.out, l.say("this is the first one", "это первое сообщение"))
		return true, nil
	}
	if l.done[n-1] != "skip" {
		if err := l.post("/v1/triage/label", LabelAsk{Undo: &l.all[n-1]}, &struct{}{}); err != nil {
			return false, err
		}
	}
	l.done = l.done[:n-1]
	return false, nil
}

func (cmd triageCorrectCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	wanted := strings.ToLower(cmd.Intent)
	if !slices.Contains(intent.All, wanted) {
		return usageError{errors.New(t.say("there is no intent %q; they are %s", "нет намерения %q; есть %s", cmd.Intent, strings.Join(intent.All, ", ")))}
	}
	if err := c.post("/v1/triage/correct", CorrectAsk{cmd.Lead, wanted}, &struct{}{}); err != nil {
		return err
	}
	fmt.Fprintln(t.out, t.say("noted: %s wants %s", "записано: %s хочет %s", cmd.Lead, wanted))
	if cmd.NoTrain {
		return nil
	}
	return c.train(false, false)
}

func (cmd triageTrainCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	return c.train(cmd.Force, cmd.JSON)
}

// train has the daemon learn, and says what has come of it.
func (c *client) train(force, asJSON bool) error {
	var r learn.Trained
	if err := c.post("/v1/triage/train", TrainAsk{Force: force}, &r); err != nil {
		return err
	}
	if asJSON {
		return c.json(r)
	}
	if r.TooFew > 0 {
		fmt.Fprintln(c.out, c.say("%d labels wait: there are too few of their intent to learn from", "Отложено: %d, их намерению пока мало примеров", r.TooFew))
	}
	if r.New == 0 {
		fmt.Fprintln(c.out, c.say("there is nothing new to learn", "учить нечего"))
		return nil
	}
	before, after := float64(r.Before)/float64(max(r.Asked, 1)), float64(r.After)/float64(max(r.Asked, 1))
	fmt.Fprintln(c.out, c.say("%d new labels. Of %d phrases that neither had seen, the old model gets %d right (%s), the new one %d (%s).",
		"Новых примеров: %d. Из %d фраз, которых не видела ни одна, прежняя модель верно понимает %d (%s), новая %d (%s).", r.New, r.Asked, r.Before, percent(before), r.After, percent(after)))
	switch {
	case r.Taken && r.After < r.Before:
		fmt.Fprintln(c.out, c.say("The new model is WORSE and in use, as you asked.", "Новая модель ХУЖЕ, но работает: так велено."))
	case r.Taken:
		fmt.Fprintln(c.out, c.say("The new model is in use.", "Новая модель работает."))
	default:
		fmt.Fprintln(c.out, c.say("The new model is WORSE: the old one stays in use. The labels are kept and tried again with the next ones; to take it all the same: leadstream triage train --force",
			"Новая модель ХУЖЕ: работает прежняя. Примеры сохранены и пойдут в дело со следующими; взять новую всё равно: leadstream triage train --force"))
	}
	return nil
}
