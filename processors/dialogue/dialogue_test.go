package dialogue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/processors"
	"leadstream/processors/intent"
	"leadstream/processors/slots"
	"leadstream/processors/templates"
	"leadstream/streams"
	"leadstream/streams/outbound"
	"leadstream/streams/visits"
)

var moscow = time.FixedZone("MSK", 3*3600)

// noon is when the conversations take place: a Monday.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, moscow)

// days is a calendar in memory: open times, and who has taken them.
type days struct {
	open   map[int64]bool // beginnings, in Unix seconds, of visits of an hour
	booked []visits.Booking
	err    error
}

func (d *days) Free(_ context.Context, w visits.Wish) (all []visits.Slot, err error) {
	for begin := range d.open {
		at := time.Unix(begin, 0)
		taken := slices.ContainsFunc(d.booked, func(b visits.Booking) bool { return b.Status == visits.Booked && b.Start.Equal(at) })
		if !taken && !at.Before(w.From) && !at.After(w.To) {
			all = append(all, visits.Slot{Start: at, End: at.Add(time.Hour), Service: w.Service})
		}
	}
	slices.SortFunc(all, func(a, b visits.Slot) int { return a.Start.Compare(b.Start) })
	return all[:min(len(all), w.Most)], d.err
}

func (d *days) find(id string) int {
	return slices.IndexFunc(d.booked, func(b visits.Booking) bool { return b.ID == id })
}

func (d *days) isFree(at time.Time, but string) bool {
	return !slices.ContainsFunc(d.booked, func(b visits.Booking) bool { return b.Status == visits.Booked && b.Start.Equal(at) && b.ID != but })
}

func (d *days) Book(_ context.Context, b visits.Booking) (visits.Booking, error) {
	if d.err != nil {
		return b, d.err
	}
	if i := d.find(b.ID); i >= 0 {
		return d.booked[i], nil
	}
	if !d.open[b.Start.Unix()] {
		return b, visits.ErrClosed
	}
	if !d.isFree(b.Start, "") {
		return b, visits.ErrTaken
	}
	b.Version, b.Status = 1, visits.Booked
	d.booked = append(d.booked, b)
	return b, nil
}

func (d *days) Move(_ context.Context, id string, to visits.Slot, lead string) (visits.Booking, error) {
	i := d.find(id)
	switch {
	case d.err != nil:
		return visits.Booking{}, d.err
	case i < 0 || d.booked[i].Status != visits.Booked:
		return visits.Booking{}, visits.ErrUnknown
	case !d.isFree(to.Start, id):
		return d.booked[i], visits.ErrTaken
	}
	b := &d.booked[i]
	b.Start, b.End, b.Lead, b.Version = to.Start, to.End, lead, b.Version+1
	return *b, nil
}

func (d *days) Cancel(_ context.Context, id, lead string) (visits.Booking, error) {
	i := d.find(id)
	switch {
	case d.err != nil:
		return visits.Booking{}, d.err
	case i < 0:
		return visits.Booking{}, visits.ErrUnknown
	}
	if b := &d.booked[i]; b.Status == visits.Booked {
		b.Status, b.Lead, b.Version = visits.Cancelled, lead, b.Version+1
	}
	return d.booked[i], nil
}

func (d *days) Of(_ context.Context, customer int64) (all []visits.Booking, err error) {
	return slices.Clone(d.booked), d.err
}

// on opens times of a day so many days from noon's.
func (d *days) on(day int, hours ...string) *days {
	if d.open == nil {
		d.open = map[int64]bool{}
	}
	for _, h := range hours {
		var hour, minute int
		fmt.Sscanf(h, "%d:%d", &hour, &minute)
		d.open[time.Date(2026, 11, 23+day, hour, minute, 0, 0, moscow).Unix()] = true
	}
	return d
}

var model = sync.OnceValue(func() *intent.Current {
	examples, err := processors.Examples()
	if err != nil {
		panic(err)
	}
	for _, s := range salon {
		examples.Services = append(examples.Services, s.Name)
	}
	m, err := intent.Train(examples)
	if err != nil {
		panic(err)
	}
	c := &intent.Current{}
	c.Use(m)
	return c
})

var salon = []slots.Item{{Name: "Стрижка", Code: "cut", Also: []string{"haircut", "подстричься"}, Price: 1500}, {Name: "Маникюр", Code: "nails", Also: []string{"manicure"}, Price: 2000},
	{Name: "Окрашивание", Also: []string{"colouring"}}, {Name: "Педикюр", Price: 2500}}

// chat is a customer's conversation with the whole of what is shipped: triage, dialogue and texts.
type chat struct {
	*testing.T
	*Dialogue
	days     *days
	texts    *templates.Set
	triage   *processors.Triage
	now      time.Time
	state    json.RawMessage
	phone    bool
	reminder *outbound.Message
	change   func(*streams.Lead)
	n        int
	last     Reply
}

func talkTo(t *testing.T, d *days) *chat {
	t.Helper()
	business := templates.Business{Name: "Ромашка", Address: "ул. Ленина, 1", Hours: "ежедневно с 10 до 21", Phone: "+7 999 000-00-11"}
	texts, err := templates.Load(templates.Settings{Business: business}, moscow)
	if err != nil {
		t.Fatal(err)
	}
	reader := slots.Reader{Zone: moscow, Services: slots.NewCatalog(salon...), Branches: slots.NewCatalog(slots.Item{Name: "Арбат"}, slots.Item{Name: "Сокол"})}
	c := &chat{T: t, days: d, texts: texts, now: noon, phone: true, triage: &processors.Triage{Wants: model(), Slots: reader, Escalate: processors.UsualEscalation(), Region: "RU", Language: "ru"},
		Dialogue: &Dialogue{Reader: reader, Services: salon, Currency: "RUB", Business: business, SMS: true}}
	if d != nil {
		c.Calendar = d
	}
	return c
}

func (c *chat) lead(text string) *streams.Lead {
	c.n++
	l := &streams.Lead{ID: fmt.Sprintf("lead-%d", c.n), Channel: "whatsapp", UserID: "1", Message: text, ReceivedAt: c.now}
	if c.change != nil {
		c.change(l)
	}
	v := c.triage.Handle(c.Context(), []*streams.Entry{{Lead: l, Queue: streams.Intake}})
	l = v[0].Followers[0].Lead
	l.Sentiment = processors.Sentiment(l.Message, nil)
	return l
}

// turn answers twice, as after a crash: the second answer is the first.
func (c *chat) turn(l *streams.Lead) Reply {
	c.Helper()
	answer := func() Reply {
		var of []visits.Booking
		if c.days != nil {
			of, _ = c.days.Of(c.Context(), 7)
		}
		r, err := c.Answer(c.Context(), Turn{Lead: l, Customer: 7, Name: "Анна", Phone: c.phone, State: c.state, Now: c.now, Bookings: of, Reminder: c.reminder})
		if err != nil {
			c.Fatal(err)
		}
		return r
	}
	first := answer()
	if second := answer(); !cmp.Equal(first, second) {
		c.Errorf("%q is answered differently a second time:\n%s", l.Message, cmp.Diff(first, second))
	}
	return first
}

// says is what the customer reads after writing something, message by message, with the buttons in brackets.
func (c *chat) says(text string) (read []string) {
	c.Helper()
	c.last = c.turn(c.lead(text))
	c.state = c.last.State
	c.now = c.now.Add(time.Minute)
	for _, s := range c.last.Say {
		r, err := c.texts.Render(c.texts.Find(s.Template, c.last.Language), s.Values)
		if err != nil {
			c.Fatalf("%s: %v", s.Template, err)
		}
		text := r.Text
		for _, b := range s.Buttons {
			text += " [" + b.Text + "]"
			if len([]rune(b.Text)) > 20 || len(b.Data) > 64 {
				c.Errorf("a button that messengers refuse: %+v", b)
			}
		}
		if s.Channel != "" {
			text = s.Channel + ": " + r.Short
		}
		read = append(read, text)
	}
	return read
}

// line is one exchange: what the customer writes, and what is answered, messages parted by |; "!" and a reason: a person.
type line struct{ customer, answer string }

func (c *chat) hold(lines []line) {
	c.Helper()
	for _, l := range lines {
		got := strings.Join(c.says(l.customer), " | ")
		if c.last.Person != "" {
			got = strings.TrimSpace(got + " !" + c.last.Person)
		}
		if got != l.answer {
			c.Errorf("%s: %q is answered\n%s\nwant\n%s", c.Name(), l.customer, got, l.answer)
		}
	}
}

// The conversation of O-05, word for word.
func TestGolden(t *testing.T) {
	c := talkTo(t, (&days{}).on(0, "14:00", "16:30"))
	c.hold([]line{
		{"Есть запись на сегодня?", "Здравствуйте, Анна! Посмотрим, что свободно сегодня.\nКакая услуга вам нужна и на какое время?"},
		{"Стрижка, после обеда", "Есть время сегодня (Стрижка): 14:00, 16:30. Какое вам подходит? Подтвердим здесь же. [сегодня 14:00] [сегодня 16:30]"},
		{"14:00", "Ваш талон подтверждён на 14:00. Напомним за 24 ч и за 1 час. Отправить смс? [Да] [Перенести] [Отменить запись]"},
	})
	if s := c.last.Say[0]; s.Topic != "booking:"+s.Booking || s.Version != 1 || !c.last.Finished || len(c.days.booked) != 1 || c.days.booked[0].Service != "cut" || c.days.booked[0].Customer != 7 {
		t.Errorf("%+v %+v", c.last.Say, c.days.booked)
	}
	c.hold([]line{{"да", "Отправляем смс с подтверждением. | sms: Вы записаны: сегодня в 14:00. ул. Ленина, 1. Отмена: ответьте «отмена»."}, {"спасибо!", ""}})
}

var errAway = errors.New("away")

// A calendar that cannot be asked is asked again, and nothing is said meanwhile.
func TestCalendarAway(t *testing.T) {
	c := talkTo(t, (&days{err: errAway}).on(0, "14:00"))
	if _, err := c.Answer(t.Context(), Turn{Lead: c.lead("запишите на стрижку сегодня в 14:00"), Now: noon}); !errors.Is(err, errAway) {
		t.Error(err)
	}
}
