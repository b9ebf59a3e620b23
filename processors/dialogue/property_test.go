package dialogue

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"leadstream/processors/intent"
	"leadstream/processors/lookup"
	"leadstream/processors/slots"
	"leadstream/processors/templates"
	"leadstream/streams"
	"leadstream/streams/outbound"
	"leadstream/streams/visits"
)

// said is what customers write in conversations with us, in no order.
var said = strings.Split(`да|нет|1|2|3|7|14|16:30|в пять|второе|давайте первый|последнее|любое|позже|пораньше|другой день|другое время|не подходит|отмена|спасибо|ок|👍|?|Здравствуйте|добрый день
хочу записаться|запишите на стрижку завтра|стрижка|маникюр завтра в 10|есть время сегодня?|запишите на педикюр в пятницу вечером|завтра|послезавтра утром|на следующей неделе|в субботу|через час|вчера|31 декабря в 23:59|в 3 ночи
отмените мою запись|перенесите мою запись|перенесите на завтра|перенесите на 15:00|не смогу прийти|не смогу|не приду|буду|опоздаю|на когда я записана?|первую|обе
сколько стоит стрижка?|цены|сколько стоит?|где вы?|до скольки работаете|где мой заказ 4512|где мой заказ|A-77|отправьте|+7 916 123-45-67|не хочу давать номер|Иванова Мария
ыфвафыв|олдж пролд|а|...|abc|{{.Business}}|DROP TABLE bookings|сколько стоит стрижка, где вы находитесь и есть ли время завтра?|до скольки работаете, сколько стоит маникюр и где вы?|потом напишу|передумала|не надо|хорошо
book me a haircut tomorrow|the second one|yes please|no thanks|another day|cancel|reschedule|how much is it?|where are you?|later|5 pm|at 12`+"\n", "|")

// Whatever customers write, in whatever order, and whoever books beside them: at most two messages at once, no time that is
// not free, no question a third time, nothing after a person took over, one visit of a message, and a text for everything.
func TestAnySequence(t *testing.T) {
	var lines []string
	for _, s := range said {
		lines = append(lines, strings.Split(strings.TrimSpace(s), "\n")...)
	}
	seeds := uint64(60)
	if testing.Short() {
		seeds = 15
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 6))
		d := &days{}
		for day := range 5 {
			for _, h := range []string{"9:00", "10:00", "12:00", "14:00", "16:30", "19:00"} {
				if r.IntN(3) == 0 {
					d.on(day, h)
				}
			}
		}
		c := talkTo(t, d)
		if r.IntN(3) == 0 { // nothing is written down of the business
			c.Business = templates.Business{}
			c.texts, _ = templates.Load(templates.Settings{}, moscow)
		}
		c.phone, c.SMS = r.IntN(2) == 0, r.IntN(3) > 0
		if r.IntN(8) == 0 {
			c.Calendar = nil
		}
		if r.IntN(2) == 0 {
			c.Branches = []lookup.Branch{{Name: "Арбат", Address: "ул. Арбат, 1", At: "55.75,37.59"}, {Name: "Сокол", At: "55.80,37.51"}}
		}
		if r.IntN(3) == 0 {
			booked([]string{"14:00", "16:30"}[:1+r.IntN(2)]...)(c)
		}
		asked, handed := map[string]int{}, false
		var story []string
		for range 30 {
			text := lines[r.IntN(len(lines))]
			if r.IntN(6) == 0 && len(c.days.booked) > 0 {
				c.reminder = &outbound.Message{Booking: c.days.booked[0].ID, Due: c.now.Add(-time.Second)}
			}
			if r.IntN(10) == 0 { // somebody else is quicker
				for at := range d.open {
					d.booked = append(d.booked, visits.Booking{ID: fmt.Sprint("other", at), Customer: 8, Status: visits.Booked, Start: time.Unix(at, 0), End: time.Unix(at, 0).Add(time.Hour)})
					break
				}
			}
			if offered := c.offers(); len(offered) > 0 && r.IntN(4) == 0 {
				text = offered[r.IntN(len(offered))]
			}
			c.change = nil
			switch r.IntN(25) {
			case 0:
				c.change = func(l *streams.Lead) {
					l.Message, l.Fields = "", map[string]json.RawMessage{"location": json.RawMessage(`{"latitude":55.8,"longitude":37.5}`)}
				}
			case 1:
				text = lines[r.IntN(len(lines))] + ", " + text
			case 2:
				c.now = c.now.Add(time.Duration(r.IntN(30)) * time.Hour)
			}
			if s := stateOf(Turn{State: c.state, Now: c.now}); s.At.IsZero() { // begun anew
				asked, handed = map[string]int{}, false
			}
			now := c.now
			free := map[string]bool{}
			for at := range d.open {
				if d.isFree(time.Unix(at, 0), "") && time.Unix(at, 0).After(now) {
					free[time.Unix(at, 0).In(moscow).Format(slotLayout)] = true
				}
			}
			before := len(d.booked)
			read := c.says(text)
			story = append(story, "> "+text, "  "+strings.Join(read, " | "))
			fail := func(what string) { t.Fatalf("seed %d: %s\n%s", seed, what, strings.Join(story, "\n")) }
			if len(read) > 2 || handed && len(read) > 0 {
				fail("says too much")
			}
			if len(d.booked) > before+1 {
				fail("books twice")
			}
			handed = handed || c.last.Person != "" && stateOf(Turn{State: c.state, Now: now}).Handed != ""
			if handed && c.last.Finished {
				fail("is finished while a person is to answer")
			}
			for _, s := range c.last.Say {
				if slices.Contains([]string{"confirmed", "moved", "cancel", "dropped"}, s.Template) {
					asked = map[string]int{}
				}
				if slices.Contains([]string{"ask", "offer", "taken", "reschedule", "which", "sure", "clarify", "unclear", "ask_order", "sms_offer"}, s.Template) || s.Values.Ask.Place {
					s.Values.Again = false
					key, _ := json.Marshal(s.Values)
					if asked[s.Template+string(key)]++; asked[s.Template+string(key)] > 2 {
						fail("asks a third time")
					}
				}
				if slices.Contains([]string{"offer", "taken", "reschedule"}, s.Template) {
					for _, b := range s.Buttons {
						if !free[b.Data] {
							fail("offers " + b.Data + ", which is not free")
						}
					}
					if len(s.Buttons) != len(s.Values.Slots) {
						fail("offers what no button says")
					}
				}
			}
			for _, text := range read {
				for _, hole := range []string{" ,", " .", "!,", "<no value>", ": .", "..", "()"} {
					if strings.Contains(text, hole) {
						fail("has a hole")
					}
				}
			}
		}
	}
}

// offers are the times and the like that buttons offer.
func (c *chat) offers() (all []string) {
	for _, s := range c.last.Say {
		for _, b := range s.Buttons {
			if b.Data != "" {
				all = append(all, b.Data)
			} else {
				all = append(all, b.Text)
			}
		}
	}
	return all
}

// A state that is damaged, of another version, or a lead of any shape ends in an answer, not in a panic.
func FuzzAnswer(f *testing.F) {
	f.Add("второе", `{"at":"2026-11-23T11:00:00+03:00","asked":"slot","offered":[{"start":"2026-11-23T14:00:00+03:00"}]}`, "booking", true, `"2026-11-23 14:00"`)
	f.Add("2", `{"at":"2026-11-23T11:00:00+03:00","asked":"slot"}`, "", false, `1`)
	f.Add("да", `{"at":"2026-11-23T11:00:00+03:00","asked":"cancel","choices":null}`, "cancel", true, `null`)
	f.Add("", `[]`, "price", true, `{"latitude":1,"longitude":2}`)
	reader := slots.Reader{Zone: moscow, Services: slots.NewCatalog(salon...)}
	d := &Dialogue{Calendar: (&days{}).on(0, "14:00", "16:30"), Reader: reader, Services: salon, Currency: "RUB", SMS: true}
	f.Fuzz(func(t *testing.T, text, old, wanted string, sure bool, field string) {
		if !slices.Contains(intent.All, wanted) {
			wanted = intent.Other
		}
		l := &streams.Lead{ID: "x", Message: text, Intent: wanted, Intents: []string{wanted}, Answered: sure}
		if json.Valid([]byte(field)) {
			l.Fields = map[string]json.RawMessage{"button": json.RawMessage(field), "location": json.RawMessage(field)}
		}
		r, err := d.Answer(t.Context(), Turn{Lead: l, Now: noon, State: json.RawMessage(old)})
		if err != nil || len(r.Say) > 2 || !json.Valid(r.State) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
