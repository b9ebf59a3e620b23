package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadstream/sinks/records"
	"leadstream/streams/media"
)

// customersCmd shows what the records hold of customers.
type customersCmd struct {
	Find   customersFindCmd   `cmd:"" help:"Find cards by phone, e-mail, name, account, lead id or number.|Найти карточки по телефону, почте, имени, аккаунту, номеру заявки или карточки." example:"leadstream customers find \"+7 999 000-00-11\""`
	Export customersExportCmd `cmd:"" help:"All cards with what was said: JSON, a card a line, or CSV, a message a row.|Все карточки с перепиской: JSON, карточка в строке, или CSV, сообщение в строке." example:"leadstream customers export > customers.jsonl"`
	Show   customersShowCmd   `cmd:"" help:"One card, with what was said.|Одна карточка с перепиской." example:"leadstream customers show 17"`
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

type customersExportCmd struct {
	CSV bool `name:"csv" help:"Print CSV instead of JSON lines.|Вывести CSV вместо JSON lines."`
}

// exportPage is how many cards are asked for at once: each comes with all that was said.
const exportPage = 20

func (cmd customersExportCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	write, flush := func(k records.Card) error { return json.NewEncoder(t.out).Encode(k) }, func() error { return nil }
	if cmd.CSV {
		write, flush = customersCSV(t.out)
	}
	for after := int64(0); ; {
		var page exportedPage
		if err := c.get("/v1/export/customers", query("after", strconv.FormatInt(after, 10)), &page); err != nil {
			return err
		}
		for _, k := range page.Cards {
			if err := write(k); err != nil {
				return err
			}
		}
		if page.Next <= after {
			return flush()
		}
		after = page.Next
	}
}

// customersCSV writes a row a message, and one for a customer of whom no message is kept.
func customersCSV(out io.Writer) (write func(records.Card) error, flush func() error) {
	w := csv.NewWriter(out)
	_ = w.Write([]string{"customer", "name", "phones", "emails", "accounts", "at", "channel", "source", "event", "lead_id", "message", "files"})
	write = func(k records.Card) error {
		by := map[string][]string{}
		for _, i := range k.Identities {
			by[i.Kind] = append(by[i.Kind], i.Value)
		}
		card := []string{strconv.FormatInt(k.ID, 10), formulaFree(k.Name), phoneCell(strings.Join(by["phone"], " ")), formulaFree(strings.Join(by["email"], " ")),
			formulaFree(strings.Join(by["user"], " "))}
		if len(k.Messages) == 0 {
			return w.Write(append(card, "", "", "", "", "", "", ""))
		}
		for _, m := range k.Messages {
			var files []string
			for _, f := range m.Files {
				files = append(files, strings.TrimSpace(f.Kind+" "+f.Hash))
			}
			row := append(slices.Clip(card), m.At.Format(time.RFC3339), formulaFree(m.Channel), formulaFree(m.Source), formulaFree(m.Event), m.Lead,
				formulaFree(m.Text), formulaFree(strings.Join(files, ", ")))
			if err := w.Write(row); err != nil {
				return err
			}
		}
		return nil
	}
	return write, func() error { w.Flush(); return w.Error() }
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

// exportedPage are cards in the order of their numbers. Next is where to go on; 0: that was all.
type exportedPage struct {
	Cards []records.Card `json:"cards"`
	Next  int64          `json:"next,omitempty"`
}

func (a *AdminAPI) exportCustomers(r *http.Request) (any, error) {
	after, err := strconv.ParseInt(cmp.Or(values{r}.get("after"), "0"), 10, 64)
	if err != nil {
		return nil, errAsk{"after", "is no number of a card", "не номер карточки"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), recordsLimit)
	defer cancel()
	cards, next, err := a.Records.Cards(ctx, after, exportPage)
	return exportedPage{cards, next}, err
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
