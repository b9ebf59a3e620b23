package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"leadstream/sinks/records"
	"leadstream/streams/media"
)

// customersCmd shows what the records hold of customers.
type customersCmd struct {
	Find customersFindCmd `cmd:"" help:"Find cards by phone, e-mail, name, account, lead id or number.|Найти карточки по телефону, почте, имени, аккаунту, номеру заявки или карточки." example:"leadstream customers find \"+7 999 000-00-11\""`
	Show customersShowCmd `cmd:"" help:"One card, with what was said.|Одна карточка с перепиской." example:"leadstream customers show 17"`
}

type customersFindCmd struct {
	Text  string `arg:"" help:"Phone, e-mail, part of a name, telegram:123, lead id or number.|Телефон, почта, часть имени, telegram:123, номер заявки или карточки."`
	Limit int    `default:"50" help:"How many at most.|Сколько самое большее."`
	JSON  bool   `help:"Print JSON.|Вывести JSON."`
}

func (cmd customersFindCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	var cards []records.Card
	if err := c.get("/v1/customers", query("q", cmd.Text, "limit", strconv.Itoa(cmd.Limit)), &cards); err != nil {
		return err
	}
	if cmd.JSON {
		return t.json(cards)
	}
	rows := [][]string{{"id", t.say("name", "имя"), t.say("known by", "известен по"), t.say("first source", "первый источник"), t.say("contacts", "обращений"), t.say("orders", "заказов"), t.say("last", "последнее")}}
	for _, k := range cards {
		rows = append(rows, []string{strconv.FormatInt(k.ID, 10), k.Name, knownBy(k), k.Source, strconv.FormatInt(k.Contacts, 10), strconv.FormatInt(k.Orders, 10), clock(k.LastAt)})
	}
	return t.table(rows)
}

func knownBy(k records.Card) string {
	var all []string
	for _, i := range k.Identities {
		if i.Kind != "chat" { // it says nothing to a person
			all = append(all, i.Value)
		}
	}
	return strings.Join(all, ", ")
}

type customersShowCmd struct {
	ID   int64 `arg:"" help:"As customers find shows it.|Как показывает customers find."`
	JSON bool  `help:"Print JSON.|Вывести JSON."`
}

func (cmd customersShowCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	var k records.Card
	if err := c.get("/v1/customers/"+url.PathEscape(strconv.FormatInt(cmd.ID, 10)), nil, &k); err != nil {
		return err
	}
	if cmd.JSON {
		return t.json(k)
	}
	rows := [][]string{{"id", strconv.FormatInt(k.ID, 10)}, {t.say("name", "имя"), k.Name}, {t.say("known by", "известен по"), knownBy(k)},
		{t.say("first contact", "первое обращение"), strings.TrimSpace(clock(k.FirstAt) + " " + k.Source + " " + k.Channel)},
		{t.say("last", "последнее"), clock(k.LastAt)},
		{t.say("contacts, orders", "обращений, заказов"), fmt.Sprint(k.Contacts, ", ", k.Orders)}}
	for _, p := range k.Preferences {
		rows = append(rows, []string{t.say("usual ", "обычно ") + p.Kind, fmt.Sprintf("%s (%d)", p.Value, p.Times)})
	}
	for _, m := range k.Merged {
		rows = append(rows, []string{t.say("took in", "объединена с"), t.say("%d by %s of lead %s", "%d по %s заявки %s", m.Gone, m.By, m.Lead)})
	}
	for _, m := range k.Messages {
		text := m.Text
		if m.Event != "" {
			text = strings.TrimSpace("[" + m.Event + "] " + text)
		}
		for _, f := range m.Files {
			text = strings.TrimSpace(text + " [" + strings.TrimSpace(media.SayKind(f.Kind, t.say("en", "ru"))+" "+f.Name) + "]")
		}
		rows = append(rows, []string{clock(m.At) + " " + m.Channel, text})
	}
	return t.table(rows)
}

// recordsLimit is how long a person waits for the records.
const recordsLimit = 20 * time.Second

func (a *AdminAPI) customers(r *http.Request) (any, error) {
	limit := 0
	if err := (values{r}).limit(&limit); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), recordsLimit)
	defer cancel()
	return a.Records.Find(ctx, values{r}.get("q"), limit)
}

func (a *AdminAPI) customer(r *http.Request) (any, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, ErrNotFound
	}
	ctx, cancel := context.WithTimeout(r.Context(), recordsLimit)
	defer cancel()
	k, err := a.Records.Card(ctx, id, true)
	if errors.Is(err, records.ErrUnknown) {
		return nil, ErrNotFound
	}
	return k, err
}

// errRecordsOff is the answer where no records are kept.
var errRecordsOff = errAsk{"records", "are off: see records in config.yaml", "отключены: см. records в config.yaml"}

// withRecords refuses what asks for records where there are none.
func (a *AdminAPI) withRecords(do func(*http.Request) (any, error)) http.HandlerFunc {
	return a.answer(func(r *http.Request) (any, error) {
		if a.Records == nil {
			return nil, errRecordsOff
		}
		return do(r)
	})
}

// recordsOf are the records of a running daemon; nil when they are off.
func recordsOf(all []*destination) *records.Store {
	for _, d := range all {
		if s, ok := d.sink.(*records.Sink); ok {
			return s.Store
		}
	}
	return nil
}
