package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"leadstream/processors/messenger"
	"leadstream/processors/templates"
	"leadstream/sinks/records"
	"leadstream/sinks/sms"
	"leadstream/streams/outbound"
)

// whyCmd tells what became of messages to customers, and why.
type whyCmd struct {
	ID   string `arg:"" help:"Of a message, of the lead that it answers, or #17 for a customer's.|Номер сообщения, заявки, на которую оно отвечает, или #17 для клиента."`
	JSON bool   `help:"Print JSON.|Вывести JSON."`
}

// story is a message with what was decided about it.
type story struct {
	outbound.Message
	Rulings []outbound.Ruling `json:"rulings"`
}

func (cmd whyCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	var all []story
	if err := c.get("/v1/messages/"+url.PathEscape(cmd.ID), nil, &all); err != nil {
		return err
	}
	if cmd.JSON {
		return t.json(all)
	}
	for n, m := range all {
		if n > 0 {
			fmt.Fprintln(t.out)
		}
		if err := t.why(m); err != nil {
			return err
		}
	}
	return nil
}

// why writes one message's story.
func (t *terminal) why(m story) error {
	states := map[outbound.State]string{outbound.Waiting: t.say("waits", "ждёт"), outbound.Sending: t.say("on its way", "в пути"), outbound.Done: t.say("done", "дошло"),
		outbound.Dropped: t.say("dropped", "снято"), outbound.Failed: t.say("failed", "не дошло")}
	head := m.ID + " " + m.Template + " (" + string(m.Purpose) + "): " + states[m.State]
	if m.Reason != "" {
		head += ": " + messenger.Explain(m.Reason, string(t.lang))
	}
	if m.State == outbound.Waiting {
		head += t.say(", until ", ", до ") + clock(m.Due)
	}
	fmt.Fprintln(t.out, head)
	rows := [][]string{{clock(m.MadeAt), "", t.say("made: ", "создано: ") + m.Cause}}
	for _, r := range m.Rulings {
		what := map[string]string{"wait": t.say("waits", "ждёт"), "drop": t.say("dropped", "снято"), "next": t.say("goes to the next channel", "уходит следующим каналом"),
			"fail": t.say("failed", "не дошло"), "done": t.say("done", "дошло")}[r.Ruling]
		if why := messenger.Explain(r.Reason, string(t.lang)); why != "" && what != "" {
			what += ": " + why
		} else if why != "" {
			what = why
		}
		if r.Ruling == "wait" && !r.Until.IsZero() {
			what += t.say(", until ", ", до ") + clock(r.Until)
		}
		rows = append(rows, []string{clock(r.At), r.Channel, what})
	}
	for _, s := range m.Steps {
		rows = append(rows, []string{clock(s.At), s.Channel, strings.TrimSpace(fmt.Sprint(s.State, " ", t.say("tries ", "попыток "), s.Tries, " ", s.Code))})
	}
	return t.table(rows)
}

// messages answers GET /v1/messages/{id}.
func (a *AdminAPI) messages(r *http.Request) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), recordsLimit)
	defer cancel()
	const most = 50
	id := r.PathValue("id")
	var found []outbound.Message
	var err error
	if card, isCard := strings.CutPrefix(id, "#"); isCard {
		n, bad := strconv.ParseInt(card, 10, 64)
		if bad != nil {
			return nil, ErrNotFound
		}
		found, err = a.Records.MessagesTo(ctx, n, most)
	} else {
		var one outbound.Message
		switch one, err = a.Records.Message(ctx, id); {
		case err == nil:
			found = []outbound.Message{one}
		case errors.Is(err, records.ErrUnknown):
			found, err = a.Records.MessagesAbout(ctx, id)
		}
	}
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, ErrNotFound
	}
	all := make([]story, len(found))
	for i, m := range found {
		all[i] = story{Message: m}
		if all[i].Rulings, err = a.Records.Rulings(ctx, m.ID); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// templateCmd is about the texts that customers get.
type templateCmd struct {
	Test templateTestCmd `cmd:"" help:"Show the texts filled in with an example, and what is wrong with them.|Показать тексты с примером данных и что в них не так." example:"leadstream template test confirmed"`
}

type templateTestCmd struct {
	Name     string `arg:"" optional:"" help:"Of one text; none: all of them.|Название текста; без него — все."`
	Language string `help:"ru or en; none: both.|ru или en; без него — оба."`
}

func (cmd templateTestCmd) Run(t *terminal) error {
	cfg, err := t.loadConfig() // a text that cannot be read is a fault of the config, with its line
	if err != nil {
		return err
	}
	set, err := templates.Load(cfg.Answers.Texts, cfg.Zone())
	if err != nil {
		return err
	}
	shown, wrong := 0, 0
	for _, text := range set.All() {
		if cmd.Name != "" && text.Name != cmd.Name || cmd.Language != "" && text.Language != cmd.Language {
			continue
		}
		shown++
		said, err := set.Preview(text)
		if err != nil {
			return err
		}
		whose := t.say("shipped", "поставляется")
		if text.Own {
			whose = t.say("your own", "ваш")
		}
		fmt.Fprintf(t.out, "── %s.%s  %s, %s\n%s\n", text.Name, text.Language, text.Purpose, whose, said.Text)
		fmt.Fprintf(t.out, t.say("   SMS, %d of 70 or 160 letters each: %s\n", "   СМС, частей по 70 или 160 знаков: %d: %s\n"), sms.Segments(said.Short), said.Short)
		if len(text.Needs) > 0 {
			fmt.Fprintln(t.out, t.say("   not sent without: ", "   без этого не отправляется: ")+strings.Join(text.Needs, ", "))
		}
		for _, w := range set.Lint(text) {
			wrong++
			fmt.Fprintln(t.out, "   ! "+t.say(w.En, w.Ru))
		}
	}
	switch {
	case shown == 0:
		return fmt.Errorf("%s", t.say("there is no text %s", "нет текста %s", cmd.Name))
	case wrong > 0:
		return fmt.Errorf("%s", t.say("%d of what was found may surprise a customer", "найдено замечаний: %d", wrong))
	}
	return nil
}
