package dialogue

import (
	"errors"
	"slices"

	"leadstream/processors/intent"
	"leadstream/processors/slots"
	"leadstream/streams/outbound"
	"leadstream/streams/visits"
)

// change cancels or moves a visit, of several the one that is meant.
func (t *talk) change(q question) error {
	if t.Calendar == nil {
		v := t.values()
		s := Say{Template: "cancel", Values: v}
		if q == whither {
			s.Template, s.Values.Time = "reschedule", t.spoken(t.when)
		}
		t.handWith(string(q), s)
		return nil
	}
	if t.undone != nil {
		return t.cancel(t.undone.ID)
	}
	all := t.meant(t.Bookings)
	switch len(all) {
	case 0:
		t.handWith("no booking", Say{Template: "no_visit", Values: t.values()})
		return nil
	case 1:
		if q == whether && !t.plainly(all[0]) {
			v := t.visitValues(all[0])
			t.forget()
			t.Choices = all
			t.ask(q, Say{Template: "sure", Values: v, Buttons: texts(t.in("Да", "Yes"), t.in("Нет", "No"))})
			return nil
		}
		return t.changeOne(q, all[0])
	}
	v := t.values()
	var buttons []outbound.Button
	for _, b := range all {
		v.Slots = append(v.Slots, t.described(b))
		buttons = append(buttons, outbound.Button{Text: t.short(b.Start), Data: b.Start.In(t.zone()).Format(slotLayout)})
	}
	t.forget()
	t.Choices = all
	t.ask(q, Say{Template: "which", Values: v, Buttons: buttons})
	return nil
}

// plainly says whether the message cancels this visit beyond doubt: what is cancelled may be gone.
func (t *talk) plainly(b visits.Booking) bool {
	return (t.when == nil || !t.day || t.at(b)) && t.has(plainCancel...)
}

var plainCancel = []string{"отмен~", "отказ~", "откаж~", "снимите", "сними", "снять", "уберите", "убери", "убрать", "удалите", "вычерк~", "аннулир~", "не приду", "не придем", "не приед~", "не смогу", "не сможем", "не сможет", "не буду", "не будем", "не будет", "не ждите", "не успева~", "не успею", "не получ~",
	"не выйдет", "не подъед~", "не дойду", "отбой", "передума~", "освобо~", "неактуальн~", "не актуальн~", "не нужн~", "не надо", "cancel~", "cant", "cannot", "can not", "wont", "not coming", "unable", "not able", "not going to", "no longer"}

// meant are the visits at the time that the message names, all of them when it names none of theirs.
func (t *talk) meant(all []visits.Booking) []visits.Booking {
	if t.when == nil {
		return all
	}
	var some []visits.Booking
	for _, b := range all {
		if t.at(b) {
			some = append(some, b)
		}
	}
	if len(some) == 0 {
		return all
	}
	return some
}

// at says whether the message names a visit's time.
func (t *talk) at(b visits.Booking) bool {
	w := t.when
	if w == nil {
		return false
	}
	if w.Kind == slots.Exact {
		a, b := w.Start.In(t.zone()), b.Start.In(t.zone())
		return a.Equal(b) || !t.day && a.Hour() == b.Hour() && a.Minute() == b.Minute()
	}
	return !b.Start.Before(w.Start) && b.Start.Before(w.End)
}

func (t *talk) changeOne(q question, b visits.Booking) error {
	if q == whither {
		return t.move(b)
	}
	return t.cancel(b.ID)
}

// cancel frees a visit's time at once.
func (t *talk) cancel(id string) error {
	b, err := t.Calendar.Cancel(t.ctx, id, t.Lead.ID)
	switch {
	case errors.Is(err, visits.ErrUnknown), errors.Is(err, visits.ErrChanged), errors.Is(err, visits.ErrPast):
		t.handWith("no booking", Say{Template: "no_visit", Values: t.values()})
		return nil
	case err != nil:
		return err
	}
	t.done()
	t.say(Say{Template: "cancel", Values: t.visitValues(b)})
	if t.wants(intent.Payment) || t.has("предоплат~", "деньги", "возврат~", "refund~", "deposit", "money") { // "верните предоплату"
		t.hand(intent.Payment)
	}
	return nil
}

// move looks for another time; the old one is kept until there is one.
func (t *talk) move(b visits.Booking) error {
	was := t.at(b) && t.when.Kind != slots.Day
	t.forget()
	t.Moving, t.Booking, t.Service, t.Branch = true, b.ID, t.named(b.Service), b.Branch
	if !was && t.when != nil && !t.day { // "на 15:00": of the same day
		if day := midnight(b.Start, t.zone()); day.After(t.Now) {
			if w, ok := t.Reader.When(t.text, day); ok {
				t.when = &w
			}
		}
	}
	if !was { // "перенесите запись на 14:00" names the old time where it is that
		t.takeWish()
	}
	return t.arrange()
}

// whichAnswered takes the visit that was meant.
func (t *talk) whichAnswered() (bool, error) {
	q, all := t.Asked, t.Choices
	if len(all) == 1 { // whether it is this one
		switch {
		case t.yes:
			return true, t.changeOne(q, all[0])
		case t.no:
			t.forget()
			return true, t.visit()
		}
		return false, nil
	}
	if t.choice > 0 && t.choice <= len(all) {
		return true, t.changeOne(q, all[t.choice-1])
	}
	if t.choice == -1 && len(all) > 0 {
		return true, t.changeOne(q, all[len(all)-1])
	}
	for _, b := range all {
		if t.at(b) && len(t.meant(all)) == 1 {
			t.when = nil // it says which, not whither
			return true, t.changeOne(q, b)
		}
	}
	if t.no {
		t.done()
		t.say(Say{Template: "dropped", Values: t.values()})
		return true, nil
	}
	return false, nil
}

// visit says when a customer is expected (O-08).
func (t *talk) visit() error {
	v := t.values()
	if len(t.Bookings) == 0 {
		t.handWith("no booking", Say{Template: "no_visit", Values: v})
		return nil
	}
	v = t.visitValues(t.Bookings[0])
	if len(t.Bookings) > 1 {
		for _, b := range t.Bookings {
			v.Slots = append(v.Slots, t.described(b))
		}
	}
	t.say(Say{Template: "visit", Values: v, Booking: t.Bookings[0].ID, Version: t.Bookings[0].Version, Buttons: texts(t.in("Перенести", "Move"), t.in("Отменить запись", "Cancel visit"))})
	return nil
}

func (t *talk) described(b visits.Booking) string {
	at := t.label(b.Start, false)
	if name := t.named(b.Service); name != "" {
		at = name + " " + at
	}
	return at
}

// remindedLast says whether a reminder is the last thing that the customer has heard from us.
func (t *talk) remindedLast() bool {
	if t.Reminder == nil || t.Reminder.Booking == "" || t.Calendar == nil || t.Reminder.ID != "" && t.Reminder.ID == t.Reminded {
		return false
	}
	at := t.Reminder.Due
	for _, s := range t.Reminder.Steps {
		if s.SentAt.After(at) {
			at = s.SentAt
		}
	}
	return at.IsZero() || t.state.At.Before(at)
}

// reminded takes the message as the answer to a reminder: its text says that 1 means not to come.
func (t *talk) reminded() (bool, error) {
	if !t.remindedLast() {
		return false, nil
	}
	id := t.Reminder.Booking
	i := slices.IndexFunc(t.Bookings, func(b visits.Booking) bool { return b.ID == id })
	one := t.choice == 1 && len(t.words) == 1 && t.words[0] == "1"
	short := len(t.words) <= 8
	switch {
	case short && t.has(lateWords...):
		t.hand("late")
		return true, nil
	case t.wants(intent.Reschedule), short && t.has(moveWords...):
		if i < 0 {
			return true, t.change(whither)
		}
		return true, t.move(t.Bookings[i])
	case one, t.no, t.wants(intent.Cancel), short && t.has(cantWords...) && !t.wants(intent.Booking):
		return true, t.cancel(id)
	case i >= 0 && (t.yes || short && t.has(comingWords...) && !t.question):
		v := t.visitValues(t.Bookings[i])
		t.say(Say{Template: "coming", Values: v})
		return true, nil
	}
	return false, nil
}
