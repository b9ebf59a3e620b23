package dialogue

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"leadstream/processors/intent"
	"leadstream/processors/slots"
	"leadstream/processors/templates"
	"leadstream/streams"
	"leadstream/streams/outbound"
	"leadstream/streams/visits"
)

type slot = visits.Slot

// takeService keeps the service that the message names, and says whether there is one.
func (t *talk) takeService() bool {
	named := t.Lead.Service
	if len(t.Services) > 0 {
		if t.item(named) == nil {
			named = t.Reader.Read(t.text, t.Now).Service
		}
	} else if named == "" && t.Asked == aDetail && t.Service == "" && t.when == nil && !t.yes && !t.no && t.choice == 0 && len(t.words) > 0 && len(t.words) <= 5 &&
		!t.wants(intent.Booking) && !thanksWords[strings.TrimSpace(t.line)] && !t.question {
		named = strings.TrimSpace(t.text) // in the customer's own words: there is no list of services
	}
	if named == "" || named == t.Service {
		return named != ""
	}
	if !t.Moving {
		t.Service, t.Refused = named, nil
	}
	if b := t.Lead.Slots; b != nil && b.Branch != "" {
		t.Branch = b.Branch
	}
	return true
}

func (t *talk) item(name string) *slots.Item {
	for i := range t.Services {
		if strings.EqualFold(t.Services[i].Name, name) || t.Services[i].Code != "" && t.Services[i].Code == name {
			return &t.Services[i]
		}
	}
	return nil
}

// code is what the calendar calls a service, name what customers do.
func (t *talk) code(service string) string {
	if i := t.item(service); i != nil {
		return cmp.Or(i.Code, i.Name)
	}
	return service
}

func (t *talk) named(code string) string {
	if i := t.item(code); i != nil {
		return i.Name
	}
	return code
}

func (t *talk) takeWish() bool {
	if t.when == nil {
		return false
	}
	t.Wish = t.when
	return true
}

// about is how much time "через час" leaves.
const about = 2 * time.Hour

// arrange goes the next step to a visit: asks what is missing, or offers times.
func (t *talk) arrange() error {
	if b := t.made(); b != nil {
		t.confirm(*b)
		return nil
	}
	needs := templates.Ask{Service: t.Service == "" && !t.Moving, Time: t.Wish == nil || t.Wish.Kind == slots.Day, Phone: t.needsPhone()}
	switch {
	case needs.Service || t.Calendar == nil && t.Wish == nil:
		v := t.values()
		v.Service, v.Ask, v.Time = t.Service, needs, t.spoken(t.Wish)
		t.Phoned = t.Phoned || needs.Phone
		if needs.Service && t.askedBefore("ask:") && len(t.Services) <= mostNamed {
			for _, s := range t.Services {
				v.Slots = append(v.Slots, s.Name)
			}
		}
		t.ask(aDetail, Say{Template: "ask", Values: v, Buttons: t.serviceButtons(needs.Service)})
		return nil
	case t.Calendar == nil: // times are a person's to promise
		v := t.values()
		v.Service, v.Time = t.Service, t.spoken(t.Wish)
		t.handWith(intent.Booking, Say{Template: "booking", Values: v})
		return nil
	}
	return t.offer()
}

// mostNamed is how many services are named to who does not name one of them.
const mostNamed = 8

func (t *talk) askedBefore(what string) bool {
	for id := range t.Counts {
		if strings.HasPrefix(id, what) {
			return true
		}
	}
	return false
}

// made is the visit that this message has brought about already, when it is answered a second time.
func (t *talk) made() *visits.Booking {
	for i, b := range t.Bookings {
		if b.ID == t.bookingID() || t.Moving && b.ID == t.Booking && b.Lead == t.Lead.ID {
			return &t.Bookings[i]
		}
	}
	return nil
}

// bookingID is of the lead, so that a second try finds the first one's booking.
func (t *talk) bookingID() string { return streams.NewID("booking", t.Lead.ID) }

// How far ahead times are looked for: at first, and when there is none.
const (
	near = 14
	far  = 60
)

// offer proposes times that are free, and takes the one that was wished for when it is.
func (t *talk) offer() error {
	w := t.Wish
	if w != nil && w.Kind == slots.Exact && w.Start.Minute()%5 != 0 {
		w = &streams.When{Start: w.Start, End: w.Start.Add(about), Kind: slots.PartOfDay}
	}
	if w == nil {
		w = &streams.When{Start: t.Now, End: t.Now.AddDate(0, 0, far), Kind: slots.Day}
	}
	free, err := t.free(w.Start, w.End)
	if err != nil {
		return err
	}
	if len(free) > 0 {
		if w.Kind != slots.Exact {
			t.propose(spread(free), false)
			return nil
		}
		if t.question || t.has("есть", "свободн~", "можно", "is there", "available", "free", "any", "can i", "could i") {
			t.propose(free[:1], false)
			return nil
		}
		return t.take(free[0])
	}
	return t.offerOther(*w)
}

// offerOther proposes what is near a time that cannot be had.
func (t *talk) offerOther(w streams.When) error {
	first := midnight(w.Start, t.zone())
	last := midnight(w.End, t.zone()).AddDate(0, 0, 1)
	free, err := t.free(first, last)
	if err != nil {
		return err
	}
	if len(free) > 0 {
		t.propose(nearest(free, w.Start), true)
		return nil
	}
	for _, days := range []int{near, far} {
		from := first
		if days == far {
			from = t.Now
		}
		if free, err = t.free(from, from.AddDate(0, 0, days)); err != nil {
			return err
		}
		if len(free) > 0 {
			t.propose(spread(free), true)
			return nil
		}
	}
	v := t.values()
	t.taken(&v, &w)
	t.say(Say{Template: "taken", Values: v})
	t.hand("no free time")
	return nil
}

// free are the times at which a visit can begin from from on, to to (without it, unless it is from), that were not
// refused. One time is offered once, whoever serves.
func (t *talk) free(from, to time.Time) ([]slot, error) {
	const mostSlots = 1000
	wish := visits.Wish{Service: t.code(t.Service), Branch: t.Branch, From: from, To: to, Most: mostSlots}
	if t.Now.After(from) {
		wish.From = t.Now
	}
	if wish.To.Before(wish.From) {
		return nil, nil
	}
	all, err := t.Calendar.Free(t.ctx, wish)
	switch {
	case errors.Is(err, visits.ErrPast), errors.Is(err, visits.ErrClosed), errors.Is(err, visits.ErrTaken), errors.Is(err, visits.ErrUnknown):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var last time.Time
	return slices.DeleteFunc(all, func(s slot) bool {
		out := s.Start.Before(from) || !s.Start.After(t.Now) || s.Start.Equal(last) || slices.Contains(t.Refused, s.Start.Unix()) ||
			!s.Start.Before(to) && !(from.Equal(to) && s.Start.Equal(from))
		if !out {
			last = s.Start
		}
		return out
	}), nil
}

// How many times are offered at once, and how far they are apart: enough to be a choice, and soon.
const (
	offered = 3
	leastGap,
	mostGap = 2 * time.Hour, 20 * time.Hour
)

// spread chooses some of all times, the first among them.
func spread(all []slot) (some []slot) {
	gap := min(max(all[len(all)-1].Start.Sub(all[0].Start)/offered, leastGap), mostGap)
	for _, s := range all {
		if len(some) == 0 || len(some) < offered && s.Start.Sub(some[len(some)-1].Start) >= gap {
			some = append(some, s)
		}
	}
	if len(some) < 2 && len(all) > 1 {
		some = append(some, all[len(all)-1])
	}
	return some
}

// nearest chooses those nearest to a moment, in their order.
func nearest(all []slot, to time.Time) []slot {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b slot) int { return cmp.Compare(a.Start.Sub(to).Abs(), b.Start.Sub(to).Abs()) })
	all = all[:min(offered, len(all))]
	slices.SortFunc(all, func(a, b slot) int { return a.Start.Compare(b.Start) })
	return all
}

// propose offers times; instead: they are not what was wished for.
func (t *talk) propose(some []slot, instead bool) {
	t.Offered = some
	v := t.values()
	v.Service = t.Service
	v.Ask.Phone = t.needsPhone()
	t.Phoned = t.Phoned || v.Ask.Phone
	one := midnight(some[0].Start, t.zone()).Equal(midnight(some[len(some)-1].Start, t.zone()))
	template := "offer"
	switch {
	case instead:
		template = "taken"
		t.taken(&v, t.Wish)
	case t.Moving:
		template = "reschedule"
		fallthrough
	default:
		if v.Ask.Visit = len(some) == 1 && !t.Moving; v.Ask.Visit {
			v.Master = some[0].Master
		} else if one {
			v.Time = templates.Day(t.Language, some[0].Start, t.Now, t.zone())
		}
	}
	var buttons []outbound.Button
	for _, s := range some {
		v.Slots = append(v.Slots, t.label(s.Start, one && !instead && !v.Ask.Visit))
		buttons = append(buttons, outbound.Button{Text: t.short(s.Start), Data: s.Start.In(t.zone()).Format(slotLayout)})
	}
	t.ask(aSlot, Say{Template: template, Values: v, Buttons: buttons})
}

// taken names a time that cannot be had.
func (t *talk) taken(v *templates.Values, w *streams.When) {
	if w == nil {
		return
	}
	v.Time = t.spoken(w)
	if w.Kind == slots.Exact {
		v.On = templates.For(t.Language, w.Start, t.Now, t.zone())
	} else if t.Language == "ru" && strings.Count(v.Time, ",") == 1 {
		v.Time += ","
	}
}

func (t *talk) needsPhone() bool {
	return !t.Phone && t.Lead.Phone == "" && t.Number == "" && !t.Phoned
}

// offerAgain proposes what is left of what was offered.
func (t *talk) offerAgain() error {
	var left []slot
	for _, s := range t.Offered {
		free, err := t.free(s.Start, s.Start)
		if err != nil {
			return err
		}
		left = append(left, free...)
	}
	if len(left) == 0 {
		t.Wish = &streams.When{Start: t.Offered[0].Start, End: t.Offered[0].Start, Kind: slots.Exact}
		return t.offerOther(*t.Wish)
	}
	t.propose(left, t.Last != nil && t.Last.Template == "taken")
	return nil
}

// slotAnswered takes one of the times that were offered, or looks for others.
func (t *talk) slotAnswered() (bool, error) {
	if s := t.chosen(); s != nil {
		t.Misses = 0
		return true, t.take(*s)
	}
	first, last := t.Offered[0].Start, t.Offered[len(t.Offered)-1].Start
	day := 24 * time.Hour
	before := t.Service
	switch {
	case t.takeService() && t.Service != before && t.when == nil: // another service at the same time
	case t.when != nil:
		t.Wish = t.when
	case t.has(otherDay...):
		next := midnight(last, t.zone()).AddDate(0, 0, 1)
		t.Wish = &streams.When{Start: next, End: next.AddDate(0, 0, near), Kind: slots.Day}
	case t.has(laterWords...):
		t.Wish = &streams.When{Start: last.Add(time.Minute), End: midnight(last, t.zone()).AddDate(0, 0, 1), Kind: slots.PartOfDay}
		if len(t.Offered) > 1 && last.Sub(first) > day {
			t.Wish.Start, t.Wish.End = first.Add(time.Minute), last.AddDate(0, 0, near)
		}
	case t.has(soonerWords...):
		t.Wish = &streams.When{Start: midnight(first, t.zone()), End: first, Kind: slots.PartOfDay}
	case t.no, t.has(otherTime...):
		for _, s := range t.Offered {
			t.Refused = append(t.Refused, s.Start.Unix())
		}
		if t.Wish == nil || t.Wish.Kind == slots.Exact {
			from := midnight(first, t.zone())
			t.Wish = &streams.When{Start: from, End: from.AddDate(0, 0, near), Kind: slots.Day}
		}
		left, err := t.free(t.Wish.Start, t.Wish.End)
		if err != nil {
			return true, err
		}
		if len(left) == 0 { // of that day: the days after it
			next := midnight(last, t.zone()).AddDate(0, 0, 1)
			t.Wish = &streams.When{Start: next, End: next.AddDate(0, 0, near), Kind: slots.Day}
		}
	case t.yes: // to which of them?
		return true, t.offerAgain()
	default:
		return false, nil
	}
	t.Misses = 0
	return true, t.arrange()
}

// chosen is the time that the message names of those that were offered.
func (t *talk) chosen() *slot {
	at := func(i int) *slot { return &t.Offered[i] }
	switch {
	case t.choice == -1:
		return at(len(t.Offered) - 1)
	case t.choice > 0 && t.choice <= len(t.Offered):
		return at(t.choice - 1)
	case t.yes && len(t.Offered) == 1:
		return at(0)
	case t.when == nil || t.when.Kind != slots.Exact:
		return nil
	}
	for i, s := range t.Offered {
		if s.Start.Equal(t.when.Start) {
			return at(i)
		}
	}
	if t.day {
		return nil
	}
	for i, s := range t.Offered { // "в пять" on whichever day that is
		if a, b := s.Start.In(t.zone()), t.when.Start.In(t.zone()); a.Hour() == b.Hour() && a.Minute() == b.Minute() {
			return at(i)
		}
	}
	return nil
}

// take books a time, or moves the visit there. Who was quicker has it: then others are offered.
func (t *talk) take(s slot) error {
	if b := t.made(); b != nil {
		t.confirm(*b)
		return nil
	}
	var b visits.Booking
	var err error
	if t.Moving {
		b, err = t.Calendar.Move(t.ctx, t.Booking, s, t.Lead.ID)
	} else {
		b, err = t.Calendar.Book(t.ctx, visits.Booking{ID: t.bookingID(), Customer: t.Customer, Status: visits.Booked, Service: t.code(t.Service),
			Master: s.Master, Branch: s.Branch, Start: s.Start, End: s.End, Lead: t.Lead.ID})
	}
	switch {
	case errors.Is(err, visits.ErrTaken), errors.Is(err, visits.ErrClosed), errors.Is(err, visits.ErrPast):
		t.Refused = append(t.Refused, s.Start.Unix())
		t.Wish = &streams.When{Start: s.Start, End: s.Start, Kind: slots.Exact}
		return t.offerOther(*t.Wish)
	case errors.Is(err, visits.ErrUnknown), errors.Is(err, visits.ErrChanged):
		t.hand("no booking")
		return nil
	case err != nil:
		return err
	}
	t.confirm(b)
	return nil
}

// confirm tells of a visit that stands (O-05, O-06).
func (t *talk) confirm(b visits.Booking) {
	moved := t.Moving
	t.done()
	t.Booking = b.ID
	v := t.visitValues(b)
	s := Say{Template: "confirmed", Values: v, Topic: "booking:" + b.ID, Booking: b.ID, Version: b.Version,
		Buttons: texts(t.in("Перенести", "Move"), t.in("Отменить запись", "Cancel visit"))}
	known := t.Phone || t.Lead.Phone != "" || t.Number != ""
	switch {
	case moved:
		s.Template, s.Topic = "moved", "moved:"+b.ID+":"+b.Start.UTC().Format(time.RFC3339) // not the same news as that it was booked
	case t.SMS && known:
		s.Values.Ask.SMS, t.Asked = true, aSMS
		s.Buttons = append(texts(t.in("Да", "Yes")), s.Buttons...)
	case t.SMS && !t.Phoned:
		s.Values.Ask.Phone, t.Asked, t.Phoned = true, aPhone, true
	}
	t.say(s)
}

func (t *talk) visitValues(b visits.Booking) templates.Values {
	v := t.values()
	v.Service, v.Master, v.Branch = t.named(b.Service), b.Master, b.Branch
	v.Time = templates.At(t.Language, b.Start, t.Now, t.zone())
	v.On = templates.For(t.Language, b.Start, t.Now, t.zone())
	return v
}

// detailAnswered takes what was missing.
func (t *talk) detailAnswered() (bool, error) {
	service, wish := t.takeService(), t.takeWish()
	if !wish && t.Wish == nil && t.has("любое", "любой", "в любое", "все равно", "без разницы", "не важно", "неважно", "any time", "anytime", "whenever", "any day") {
		t.Wish, wish = &streams.When{Start: t.Now, End: midnight(t.Now, t.zone()).AddDate(0, 0, 7), Kind: slots.Day}, true
	}
	if !service && !wish && !t.givesPhone() {
		return false, nil
	}
	t.Misses = 0
	return true, t.arrange()
}

// visitAnswered takes the answer to whether they would like a visit.
func (t *talk) visitAnswered() (bool, error) {
	t.Asked, t.Last = "", nil
	switch service, wish := t.takeService(), t.takeWish(); {
	case t.refuses() && !wish:
		t.done()
		t.say(Say{Template: "dropped", Values: t.values()})
		return true, nil
	case t.agrees() || service || wish:
		t.Misses = 0
		return true, t.arrange()
	}
	return false, nil
}

// phoneAnswered takes a phone number, or the answer to whether an SMS is wanted.
func (t *talk) phoneAnswered() (bool, error) {
	asked := t.Asked
	t.Asked, t.Last = "", nil
	switch {
	case t.wants(intent.Cancel, intent.Reschedule): // "нет, отмените запись" is more than an answer
		return false, nil
	case t.refuses() && !t.givesPhone(), asked != aNumber && !t.agrees() && !t.givesPhone():
		return t.refuses(), nil
	case asked == aPhone && !t.givesPhone():
		return true, nil
	case !t.Phone && t.Lead.Phone == "" && t.Number == "":
		t.ask(aNumber, Say{Template: "sms_offer", Values: t.values()})
		return true, nil
	case !t.SMS:
		t.say(Say{Template: "noted", Values: t.values()})
		return true, nil
	}
	i := slices.IndexFunc(t.Bookings, func(b visits.Booking) bool { return b.ID == t.Booking })
	if i < 0 {
		return true, nil // it is not to come any more
	}
	t.say(Say{Template: "sms_sent", Values: t.values()})
	t.say(Say{Template: "ticket", Values: t.visitValues(t.Bookings[i]), Booking: t.Booking, Version: t.Bookings[i].Version, Channel: "sms"})
	return true, nil
}

// givesPhone says whether the message holds a phone number, and little else.
func (t *talk) givesPhone() bool {
	digits := 0
	for _, c := range t.text {
		if c >= '0' && c <= '9' {
			digits++
		}
	}
	return t.Lead.Phone != "" && (t.text == "" || digits >= 7)
}

func (t *talk) serviceButtons(wanted bool) []outbound.Button {
	const most = 3 // buttons that every messenger shows
	if !wanted || len(t.Services) > most {
		return nil
	}
	var names []string
	for _, s := range t.Services {
		names = append(names, s.Name)
	}
	return texts(names...)
}

// texts are buttons that say what they are.
func texts(all ...string) (buttons []outbound.Button) {
	for _, text := range all {
		buttons = append(buttons, outbound.Button{Text: text})
	}
	return buttons
}
