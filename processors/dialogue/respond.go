package dialogue

import (
	"slices"
	"strings"

	"leadstream/processors/intent"
	"leadstream/streams"
)

// respond chooses what to do. What needs a person comes first, then the answer to what was asked last, to a reminder, and
// what the message wants by itself.
func (t *talk) respond() error {
	if reason := t.forPerson(); reason != "" && !t.direct() {
		t.hand(reason)
		return nil
	}
	// Of a question and a reminder the later one is answered.
	for _, try := range []func() (bool, error){t.reminded, t.answered, t.wanted, t.unasked} {
		if done, err := try(); done || err != nil {
			return err
		}
	}
	return t.miss()
}

// direct says whether the message is so plainly an answer that triage, which does not know the question, is not believed.
func (t *talk) direct() bool {
	if t.Asked == "" && !t.remindedLast() {
		return false
	}
	if t.Asked == aSlot && !t.Lead.Answered && t.brief() && (t.has(otherTime...) || t.has(otherDay...) || t.has(laterWords...) || t.has(soonerWords...)) {
		return true
	}
	return t.yes || t.no || t.choice != 0 || (t.Asked == aSlot || t.Asked == aDetail) && t.when != nil && !t.Lead.Answered && len(t.words) <= 4
}

// furious is a sentiment below which a person talks, unless it is clear what is wanted: a strong word, or several.
const furious = 0.3

// forPerson says why a person is to answer, whatever else the message is.
func (t *talk) forPerson() string {
	l := t.Lead
	switch {
	case l.Person != "" && l.Person != "unsure":
		return l.Person
	case slices.Contains(l.Intents, intent.Operator), t.has("администратор", "оператор", "operator"):
		return intent.Operator
	case slices.Contains(l.Intents, intent.Complaint):
		return intent.Complaint
	case t.has(rudeWords...), l.Sentiment > 0 && l.Sentiment < furious && !t.wants(intent.Booking, intent.Cancel, intent.Reschedule):
		return "angry"
	case t.text == "" && t.pressed() == "" && slices.ContainsFunc(l.Media, func(m streams.Media) bool { return m.Kind != "sticker" }), len(l.Fields["unsupported"]) > 0:
		return "media"
	}
	return ""
}

// answered takes the message as the answer to the question that is open.
func (t *talk) answered() (bool, error) {
	if t.Asked == "" {
		return false, nil
	}
	switch t.Asked {
	case aDetail, aSlot, aVisit, aService:
		if dropWords[strings.TrimSpace(t.line)] {
			t.done()
			t.say(Say{Template: "dropped", Values: t.values()})
			return true, nil
		}
	}
	if t.elsewhere() {
		return false, nil
	}
	switch t.Asked {
	case aSlot:
		return t.slotAnswered()
	case aDetail:
		return t.detailAnswered()
	case aVisit:
		return t.visitAnswered()
	case aSMS, aNumber, aPhone:
		return t.phoneAnswered()
	case aService:
		if t.takeService() {
			t.price(true)
			return true, nil
		}
	case anOrder:
		if number := t.orderNumber(true); number != "" {
			return true, t.order(number)
		}
	case aPlace:
		return t.placeAnswered()
	case whether, whither:
		return t.whichAnswered()
	}
	return false, nil
}

// elsewhere says whether the message clearly wants something else than to answer.
func (t *talk) elsewhere() bool {
	arranging := t.Asked == aSlot || t.Asked == aDetail
	switch {
	case arranging && t.wants(intent.Reschedule): // "а в другой день?"
		return t.has("запись", "записи", "визит", "прием", "appointment", "booking", "visit")
	case t.wants(intent.Cancel, intent.Reschedule):
		return t.Asked != whether && t.Asked != whither && !t.no
	case t.wants(intent.Price, intent.Address, intent.Hours, intent.OrderStatus, intent.Payment, intent.Consultation):
		return !(t.Asked == anOrder && t.wants(intent.OrderStatus)) && !(t.Asked == aPlace && t.wants(intent.Address)) && !t.wants(intent.Booking)
	}
	return false
}

// wanted does what the message wants by itself.
func (t *talk) wanted() (bool, error) {
	orders := t.has(orderWords...) || t.Lead.Slots != nil && t.Lead.Slots.Order != ""
	switch {
	case t.has(mineWords...) && !orders && !t.wants(intent.Cancel, intent.Reschedule, intent.Price) && (t.question || !t.wants(intent.Booking)):
		return true, t.visit()
	case t.wants(intent.Cancel) && orders, t.wants(intent.Reschedule) && orders:
		t.hand("order")
		return true, nil
	case t.has(lateWords...) && len(t.Bookings) > 0 && len(t.words) <= 12:
		t.hand("late")
		return true, nil
	case t.wants(intent.Cancel) && len(t.Bookings) == 0 && t.undone == nil && (t.Asked == aSlot || t.Asked == aDetail):
		t.done()
		t.say(Say{Template: "dropped", Values: t.values()})
		return true, nil
	case t.wants(intent.Reschedule), t.only(moveWords):
		return true, t.change(whither)
	case t.wants(intent.Cancel), t.only(cantWords):
		return true, t.change(whether)
	}
	said, err := t.inform()
	if t.Handed != "" || err != nil {
		return true, err
	}
	if !t.Lead.Answered && t.Lead.Intent == intent.Booking && (t.when != nil || t.Lead.Service != "") && t.Lead.Person == "" {
		t.question = true // likely enough to offer times, not to book one
		t.Misses = 0
		t.takeService()
		t.takeWish()
		return true, t.arrange()
	}
	if t.wants(intent.Booking) || t.point == nil && t.Lead.Answered && said && t.Asked == "" && t.when != nil && t.Service != "" {
		t.Misses = 0
		t.takeService()
		t.takeWish()
		return true, t.arrange()
	}
	if said {
		t.Misses = 0
	}
	return said, nil
}

// only says whether the message is little more than one of the phrases: triage is not sure of so few words.
func (t *talk) only(phrases []string) bool { return len(t.words) <= 4 && t.has(phrases...) }

// inform answers questions, as many as may be said at once.
func (t *talk) inform() (said bool, err error) {
	if t.point != nil {
		t.nearest(*t.point)
		return true, nil
	}
	if !t.Lead.Answered {
		return false, nil
	}
	room := most
	if t.wants(intent.Booking) {
		room-- // for what comes of that
	}
	for _, wanted := range t.Lead.Intents {
		switch wanted {
		case intent.Price:
			t.takeService()
			t.price(!t.wants(intent.Booking) && len(t.Lead.Intents) == 1)
		case intent.Address:
			err = t.address()
		case intent.Hours:
			if !slices.ContainsFunc(t.reply.Say, func(s Say) bool { return slices.Contains([]string{"address", "branch", "nearest"}, s.Template) }) { // which says them
				t.hours()
			}
		case intent.OrderStatus:
			err = t.order(t.orderNumber(false))
		case intent.Consultation:
			t.handWith(wanted, Say{Template: "consultation", Values: t.values()})
		case intent.Payment:
			t.hand(wanted)
		default:
			continue
		}
		said = true
		if t.Handed != "" || err != nil || len(t.reply.Say) == room {
			break
		}
	}
	return said, err
}

// unasked is for messages that want nothing: thanks, a smile, a greeting.
func (t *talk) unasked() (bool, error) {
	line := strings.TrimSpace(t.line)
	if line != strings.Join(thankless(t.words), " ") { // "здравствуйте, спасибо"
		line = strings.Join(thankless(t.words), " ")
	}
	switch {
	case t.Phoned && t.givesPhone() && len(t.words) <= 8:
		t.say(Say{Template: "noted", Values: t.values()})
		return true, nil
	case len(t.Bookings) == 1 && len(t.words) <= 4 && t.has(comingWords...) && !t.question:
		t.say(Say{Template: "coming", Values: t.visitValues(t.Bookings[0])})
		return true, nil
	case greetWords[line]:
		if t.Greeted && t.Asked != "" {
			return true, nil
		}
		t.clarify()
		return true, nil
	case line == "" || thanksWords[line], t.polite():
		return true, nil
	}
	return false, nil
}

// thankless leaves out politeness that changes nothing.
func thankless(words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool {
		return len(words) > 1 && (w == "вам" || w == "большое" || w == "очень")
	})
}

// polite says whether all that a message holds is thanks or consent.
func (t *talk) polite() bool {
	if t.question || t.Lead.Answered {
		return false
	}
	return len(t.words) <= story*2 && t.has("спасибо", "спасиб", "пасиб~", "благодар~", "thanks", "thank", "thx") && t.when == nil ||
		!slices.ContainsFunc(t.words, func(w string) bool { return !thanksWords[w] })
}

func (t *talk) clarify() {
	t.ask("", Say{Template: "clarify", Values: t.values(), Buttons: texts(t.in("Записаться", "Book a visit"), t.in("Цены", "Prices"), t.in("Администратор", "Operator"))})
	t.Last = nil
}

// What was not understood so often in a row is a person's, and so is what has so many words: somebody will know what they mean.
const (
	mostMisses = 3
	story      = 4
)

// miss is for what was not understood: the question again, then other words, then a person.
func (t *talk) miss() error {
	t.Misses++
	switch {
	case t.Misses >= mostMisses:
		t.hand("not understood")
	case len(t.words) >= story && t.Asked == "":
		t.hand("unsure")
	case t.Asked == "" && t.Lead.Person == "unsure":
		t.hand("unsure")
	case t.Asked == aSlot && t.Misses == 1:
		return t.offerAgain()
	case t.Asked == aDetail && t.Misses == 1:
		return t.arrange()
	case t.Asked != "" && t.Last != nil && t.Misses == 1:
		t.ask(t.Asked, *t.Last)
	case t.Asked == "" && t.Misses == 1:
		t.clarify()
	default:
		t.ask(t.Asked, Say{Template: "unclear", Values: t.values()})
		t.Last = nil
	}
	return nil
}
