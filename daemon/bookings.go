package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"leadstream/sinks/records"
	"leadstream/streams/visits"
)

// bookingsCmd shows and changes who comes when.
type bookingsCmd struct {
	List   bookingsListCmd   `cmd:"" help:"Visits to come, or of a time.|Предстоящие визиты или визиты за период." example:"leadstream bookings list --from 2026-11-27"`
	Free   bookingsFreeCmd   `cmd:"" help:"Times that are free.|Свободное время." example:"leadstream bookings free --service haircut --master Anna"`
	Add    bookingsAddCmd    `cmd:"" help:"Book a visit; the customer is told.|Записать клиента; ему сообщат." example:"leadstream bookings add 17 \"2026-11-27 14:00\" --service haircut"`
	Move   bookingsMoveCmd   `cmd:"" help:"Give a visit another time; the customer is told.|Перенести визит; клиенту сообщат." example:"leadstream bookings move ID \"2026-11-28 10:30\""`
	Cancel bookingsCancelCmd `cmd:"" help:"Cancel a visit; the customer is told.|Отменить визит; клиенту сообщат." example:"leadstream bookings cancel ID"`
}

type bookingsListCmd struct {
	From     string `help:"From then on, like 2026-11-27 or \"2026-11-27 14:00\".|С этого времени: 2026-11-27 или \"2026-11-27 14:00\"."`
	Until    string `help:"Before then.|До этого времени."`
	Customer int64  `help:"Of one customer, by the number of the card.|Одного клиента, по номеру карточки."`
	All      bool   `help:"Cancelled ones too.|Вместе с отменёнными."`
	JSON     bool   `help:"Print JSON.|Вывести JSON."`
}

func (cmd bookingsListCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	var all []visits.Booking
	q := query("from", cmd.From, "until", cmd.Until, "all", map[bool]string{true: "true"}[cmd.All])
	if cmd.Customer != 0 {
		q.Set("customer", strconv.FormatInt(cmd.Customer, 10))
	}
	if err := c.get("/v1/bookings", q, &all); err != nil {
		return err
	}
	return c.bookings(all, cmd.JSON)
}

// bookings prints them, at the business's own times.
func (c *client) bookings(all []visits.Booking, asJSON bool) error {
	if asJSON {
		return c.json(all)
	}
	states := map[string]string{visits.Booked: c.say("booked", "записан"), visits.Cancelled: c.say("cancelled", "отменён"), visits.Came: c.say("came", "пришёл"), visits.Missed: c.say("did not come", "не пришёл")}
	rows := [][]string{{c.say("time", "время"), c.say("until", "до"), c.say("service", "услуга"), c.say("master", "мастер"), c.say("branch", "филиал"), c.say("customer", "клиент"), c.say("state", "состояние"), "id"}}
	for _, k := range all {
		rows = append(rows, []string{k.Start.In(c.zone).Format(minute), k.End.In(c.zone).Format("15:04"), k.Service, k.Master, k.Branch, strconv.FormatInt(k.Customer, 10), cmp.Or(states[k.Status], k.Status), k.ID})
	}
	return c.table(rows)
}

type bookingsFreeCmd struct {
	Service string `help:"Code of the service.|Код услуги."`
	Master  string `help:"Whom the customer wishes.|К кому хочет клиент."`
	Branch  string `help:"Where.|Где."`
	From    string `help:"From then on, like 2026-11-27 or \"2026-11-27 14:00\".|С этого времени: 2026-11-27 или \"2026-11-27 14:00\"."`
	Until   string `help:"Before then.|До этого времени."`
	Limit   int    `default:"20" help:"How many at most.|Сколько самое большее."`
	JSON    bool   `help:"Print JSON.|Вывести JSON."`
}

func (cmd bookingsFreeCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	var all []visits.Slot
	q := query("service", cmd.Service, "master", cmd.Master, "branch", cmd.Branch, "from", cmd.From, "until", cmd.Until, "limit", strconv.Itoa(cmd.Limit))
	if err := c.get("/v1/bookings/free", q, &all); err != nil {
		return err
	}
	if cmd.JSON {
		return t.json(all)
	}
	rows := [][]string{{t.say("time", "время"), t.say("until", "до"), t.say("master", "мастер"), t.say("branch", "филиал")}}
	for _, s := range all {
		rows = append(rows, []string{s.Start.In(c.zone).Format(minute), s.End.In(c.zone).Format("15:04"), s.Master, s.Branch})
	}
	return t.table(rows)
}

type bookingsAddCmd struct {
	Customer int64  `arg:"" help:"Number of the card, as customers find shows it.|Номер карточки, как показывает customers find."`
	Time     string `arg:"" help:"At the business's own clock, like \"2026-11-27 14:00\".|По часам бизнеса: \"2026-11-27 14:00\"."`
	Service  string `help:"Code of the service.|Код услуги."`
	Master   string `help:"Who serves; any, when it is left out.|Мастер; если не указан, любой свободный."`
	Branch   string `help:"Where.|Где."`
	JSON     bool   `help:"Print JSON.|Вывести JSON."`
}

func (cmd bookingsAddCmd) Run(t *terminal) error {
	return t.changeBooking("/v1/bookings", BookingAsk{Customer: cmd.Customer, Time: cmd.Time, Service: cmd.Service, Master: cmd.Master, Branch: cmd.Branch}, cmd.JSON)
}

type bookingsMoveCmd struct {
	ID     string `arg:"" help:"As bookings list shows it.|Как показывает bookings list."`
	Time   string `arg:"" help:"At the business's own clock, like \"2026-11-27 14:00\".|По часам бизнеса: \"2026-11-27 14:00\"."`
	Master string `help:"Another master.|Другой мастер."`
	JSON   bool   `help:"Print JSON.|Вывести JSON."`
}

func (cmd bookingsMoveCmd) Run(t *terminal) error {
	return t.changeBooking("/v1/bookings/"+url.PathEscape(cmd.ID)+"/move", BookingAsk{Time: cmd.Time, Master: cmd.Master}, cmd.JSON)
}

type bookingsCancelCmd struct {
	ID   string `arg:"" help:"As bookings list shows it.|Как показывает bookings list."`
	JSON bool   `help:"Print JSON.|Вывести JSON."`
}

func (cmd bookingsCancelCmd) Run(t *terminal) error {
	return t.changeBooking("/v1/bookings/"+url.PathEscape(cmd.ID)+"/cancel", BookingAsk{}, cmd.JSON)
}

func (t *terminal) changeBooking(path string, ask BookingAsk, asJSON bool) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	var k visits.Booking
	if err := c.post(path, ask, &k); err != nil {
		return err
	}
	if asJSON {
		return t.json(k)
	}
	return c.bookings([]visits.Booking{k}, false)
}

const minute = "2006-01-02 15:04"

// BookingAsk is the body of what books or moves a visit.
type BookingAsk struct {
	Customer int64  `json:"customer,omitempty"`
	Time     string `json:"time,omitempty"` // RFC 3339, or 2026-11-27 14:00 at the business's own clock
	Service  string `json:"service,omitempty"`
	Master   string `json:"master,omitempty"`
	Branch   string `json:"branch,omitempty"`
}

// moment reads a time at the business's own clock. A clock that is set forward leaves some out: they are refused.
func (a *AdminAPI) moment(name, s string, to *time.Time) error {
	if s == "" {
		return nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		*to = t
		return nil
	}
	for _, layout := range []string{minute, "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, a.Config.Zone()); err == nil && t.Format(layout) == s {
			*to = t
			return nil
		}
	}
	return errAsk{name, "is no time; write it like \"2026-11-27 14:00\"", "не время; напишите как \"2026-11-27 14:00\""}
}

func (a *AdminAPI) bookingTimes(r *http.Request, from, until *time.Time) error {
	v := values{r}
	return errors.Join(a.moment("from", v.get("from"), from), a.moment("until", v.get("until"), until))
}

func (a *AdminAPI) listBookings(r *http.Request) (any, error) {
	from := time.Now()
	var until time.Time
	if err := a.bookingTimes(r, &from, &until); err != nil {
		return nil, err
	}
	if until.IsZero() {
		until = from.AddDate(1, 0, 0)
	}
	customer, err := strconv.ParseInt(cmp.Or(values{r}.get("customer"), "0"), 10, 64)
	if err != nil {
		return nil, errAsk{"customer", "is no number of a card", "не номер карточки"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), recordsLimit)
	defer cancel()
	if customer != 0 {
		if customer, err = a.Records.Kept(ctx, customer); err != nil {
			return nil, err
		}
	}
	kept, err := a.Records.Visits(ctx, from, until)
	all := []visits.Booking{}
	for _, k := range kept {
		if (customer == 0 || k.Customer == customer) && (k.Status != visits.Cancelled || values{r}.get("all") == "true") {
			all = append(all, k)
		}
	}
	return all, err
}

func (a *AdminAPI) freeTimes(r *http.Request) (any, error) {
	v := values{r}
	w := visits.Wish{Service: v.get("service"), Master: v.get("master"), Branch: v.get("branch")}
	if err := errors.Join(a.bookingTimes(r, &w.From, &w.To), v.limit(&w.Most)); err != nil {
		return nil, err
	}
	all, err := a.Calendar.Free(r.Context(), w)
	if all == nil {
		all = []visits.Slot{}
	}
	return all, err
}

func (a *AdminAPI) addBooking(r *http.Request) (any, error) {
	var ask BookingAsk
	at, err := a.readBooking(r, &ask)
	if err != nil {
		return nil, err
	}
	k, err := a.Calendar.Book(r.Context(), visits.Booking{ID: rand.Text(), Customer: ask.Customer, Service: ask.Service, Master: ask.Master, Branch: ask.Branch, Start: at})
	return a.changed("booked", k, err)
}

func (a *AdminAPI) moveBooking(r *http.Request) (any, error) {
	var ask BookingAsk
	at, err := a.readBooking(r, &ask)
	if err != nil {
		return nil, err
	}
	k, err := a.Calendar.Move(r.Context(), r.PathValue("id"), visits.Slot{Start: at, Master: ask.Master, Branch: ask.Branch}, "")
	return a.changed("moved", k, err)
}

func (a *AdminAPI) cancelBooking(r *http.Request) (any, error) {
	k, err := a.Calendar.Cancel(r.Context(), r.PathValue("id"), "")
	return a.changed("cancelled", k, err)
}

func (a *AdminAPI) readBooking(r *http.Request, ask *BookingAsk) (at time.Time, err error) {
	if err := readBody(r, ask); err != nil {
		return at, err
	}
	if ask.Time == "" {
		return at, errAsk{"time", "is missing", "не указано"}
	}
	return at, a.moment("time", ask.Time, &at)
}

// changed says what became of a change, and why it was refused.
func (a *AdminAPI) changed(what string, k visits.Booking, err error) (any, error) {
	for known, says := range map[error]errAsk{
		visits.ErrPast:     {"time", "has passed; name one that is to come", "уже прошло; назовите будущее"},
		visits.ErrClosed:   {"time", "nobody who does this works then for as long as it takes; see: leadstream bookings free", "в это время никто не работает или услуга не успеет закончиться; см. leadstream bookings free"},
		visits.ErrTaken:    {"time", "is taken; see: leadstream bookings free", "занято; см. leadstream bookings free"},
		visits.ErrUnknown:  {"id", "there is no such visit to be changed; see: leadstream bookings list", "нет такого визита, который можно изменить; см. leadstream bookings list"},
		visits.ErrChanged:  {"id", "somebody has changed it this moment; look at it and try again", "его только что изменил кто-то другой; посмотрите и повторите"},
		records.ErrUnknown: {"customer", "there is no such card; find it with: leadstream customers find", "нет такой карточки; найдите её: leadstream customers find"},
	} {
		if errors.Is(err, known) {
			return nil, says
		}
	}
	if err == nil {
		a.Log.Info().Str("booking", k.ID).Int64("version", k.Version).Msg("a visit was " + what + " by an operator")
	}
	return k, err
}

// withCalendar refuses what asks for the calendar where there is none.
func (a *AdminAPI) withCalendar(do func(*http.Request) (any, error)) http.HandlerFunc {
	return a.withRecords(func(r *http.Request) (any, error) {
		if a.Calendar == nil {
			return nil, errAsk{"calendar", "is off: see calendar in config.yaml", "выключен: см. calendar в config.yaml"}
		}
		return do(r)
	})
}
