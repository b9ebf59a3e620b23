package dialogue

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"leadstream/processors/intent"
	"leadstream/processors/lookup"
	"leadstream/processors/slots"
	"leadstream/processors/templates"
)

var signs = map[string]string{"RUB": "₽", "EUR": "€", "USD": "$", "GBP": "£", "KZT": "₸", "BYN": "Br", "UAH": "₴"}

// price says what a service or a product costs; invite: and asks whether they would like a visit.
func (t *talk) price(invite bool) {
	v := t.values()
	cost := 0
	if i := t.item(t.Service); i != nil {
		v.Service, cost = i.Name, i.Price
	} else if s := t.Lead.Slots; s != nil && s.Product != "" {
		for _, p := range t.Products {
			if cmp.Or(p.Code, p.Name) == s.Product {
				v.Service, cost, invite = p.Name, p.Price, false
			}
		}
	}
	priced := slices.ContainsFunc(t.Services, func(i slots.Item) bool { return i.Price > 0 })
	switch {
	case cost > 0:
		v.Price = strconv.Itoa(cost) + " " + cmp.Or(signs[t.Currency], t.Currency)
	case t.Business.Prices != "":
	case v.Service == "" && priced:
		v.Ask.Service = true
		t.ask(aService, Say{Template: "price", Values: v, Buttons: t.serviceButtons(true)})
		return
	case t.wants(intent.Booking): // a person says the price, and the visit is arranged meanwhile
		t.say(Say{Template: "price", Values: v})
		t.besides = intent.Price
		return
	default:
		t.handWith(intent.Price, Say{Template: "price", Values: v})
		return
	}
	s := Say{Template: "price", Values: v}
	if t.Asked == aService {
		t.Asked, t.Last = "", nil
	}
	if !invite || t.Asked != "" {
		t.say(s)
		return
	}
	s.Values.Ask.Visit, s.Buttons = true, texts(t.in("Да", "Yes"))
	t.ask(aVisit, s)
}

func (t *talk) hours() {
	if t.Business.Hours == "" {
		t.hand(intent.Hours)
		return
	}
	t.say(Say{Template: "hours", Values: t.values()})
}

// storeEnquiry is the tag of a question for an address.
const storeEnquiry = "store enquiry"

// address says where the business is: the branch that is named, the nearest one to what is named, or all of them.
func (t *talk) address() error {
	t.tag()
	if s := t.Lead.Slots; s != nil && s.Branch != "" {
		if i := slices.IndexFunc(t.Branches, func(b lookup.Branch) bool { return strings.EqualFold(b.Name, s.Branch) }); i >= 0 {
			t.sayBranch("branch", t.Branches[i])
			return nil
		}
	}
	if near := t.nearWhat(); near != "" && t.Place != nil && len(t.Branches) > 0 {
		return t.nearestTo(near)
	}
	switch {
	case len(t.Branches) > 1:
		v := t.values()
		var all []string
		for _, b := range t.Branches {
			all = append(all, described(b))
		}
		v.Branch = strings.Join(all, "; ")
		s := Say{Template: "branches", Values: v}
		if t.Asked != "" {
			t.say(s)
			return nil
		}
		s.Values.Ask.Place = true
		t.ask(aPlace, s)
	case len(t.Branches) == 1 && t.Branches[0].Address != "":
		t.sayBranch("branch", t.Branches[0])
	case t.Business.Address != "":
		t.say(Say{Template: "address", Values: t.values()})
	default:
		t.hand(intent.Address)
	}
	return nil
}

func (t *talk) tag() {
	if !slices.Contains(t.reply.Tags, storeEnquiry) {
		t.reply.Tags = append(t.reply.Tags, storeEnquiry)
	}
}

func described(b lookup.Branch) string {
	if b.Address == "" {
		return b.Name
	}
	return b.Name + ", " + b.Address
}

func (t *talk) sayBranch(template string, b lookup.Branch) {
	v := t.values()
	v.Branch, v.Link = described(b), b.Map
	t.Branch = b.Name
	t.say(Say{Template: template, Values: v})
}

// nearest names the branch that is nearest to a point.
func (t *talk) nearest(p lookup.Point) {
	if t.Asked == aPlace {
		t.Asked, t.Last = "", nil
	}
	t.tag()
	b, _ := lookup.Nearest(t.Branches, p)
	switch {
	case b != nil:
		t.sayBranch("nearest", *b)
	case t.Business.Address != "":
		t.say(Say{Template: "address", Values: t.values()})
	default:
		t.hand(intent.Address)
	}
}

// nearWhat is what a question for an address says of where the customer is: "какой ближе к Арбату?"
func (t *talk) nearWhat() string {
	for _, lead := range []string{"рядом с ", "недалеко от ", "около ", "возле ", "ближе к ", "ближайший к ", "я на ", "я у ", "живу на ", "близко к ", "near ", "close to ", "nearest to ", "closest to ", "i am at ", "i live at ", "im at "} {
		if _, rest, ok := strings.Cut(strings.ToLower(t.text), lead); ok {
			return strings.TrimSpace(strings.TrimRightFunc(rest, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) }))
		}
	}
	return ""
}

func (t *talk) nearestTo(address string) error {
	found, err := t.Place.Find(t.ctx, map[string]string{"address": address})
	if err != nil && t.ctx.Err() != nil {
		return t.ctx.Err()
	}
	if p, ok := lookup.PointOf(found["lat"], found["lon"], err == nil); ok {
		t.nearest(p)
		return nil
	}
	t.tag()
	t.hand(intent.Address)
	return nil
}

// placeAnswered takes an address in words; a location is taken wherever it comes.
func (t *talk) placeAnswered() (bool, error) {
	t.Asked, t.Last = "", nil
	if line := strings.TrimSpace(t.line); t.point != nil || t.Place == nil || line == "" || thanksWords[line] || greetWords[line] || t.wants(intent.Booking) {
		return false, nil
	}
	address := t.nearWhat()
	return true, t.nearestTo(cmp.Or(address, t.text))
}

// orderNumber is the number of the order that the message speaks of; asked: whatever looks like one is one.
func (t *talk) orderNumber(asked bool) string {
	if s := t.Lead.Slots; s != nil && s.Order != "" {
		return s.Order
	}
	for field := range strings.FieldsSeq(t.text) {
		field = strings.Trim(field, "#№.,;:!?()")
		if asked && strings.ContainsFunc(field, unicode.IsDigit) && len(field) >= 3 && len(field) <= 40 {
			return strings.ToUpper(field)
		}
	}
	return ""
}

// order looks an order up, and when it comes. What cannot be found a person answers.
func (t *talk) order(number string) error {
	if t.Order == nil && t.Courier == nil {
		t.hand(intent.OrderStatus)
		return nil
	}
	what := map[string]string{"order": number, "phone": cmp.Or(t.Lead.Phone, t.Number), "email": t.Lead.Email}
	missing := append(t.Order.Lacks(what), t.Courier.Lacks(what)...)
	if number == "" && slices.Contains(missing, "order") {
		t.ask(anOrder, Say{Template: "ask_order", Values: t.values()})
		return nil
	}
	found := map[string]string{}
	for _, l := range []*lookup.Lookup{t.Order, t.Courier} {
		more, err := l.Find(t.ctx, what)
		if err != nil && t.ctx.Err() != nil {
			return t.ctx.Err()
		}
		maps.Copy(found, more)
		what["tracking"] = cmp.Or(found["tracking"], what["tracking"])
	}
	v := t.values()
	v.Order, v.Status, v.Time, v.Link = number, clip(found["status"]), t.comes(found["eta"]), link(found["link"])
	if v.Status == "" && v.Time == "" {
		t.handWith(intent.OrderStatus, Say{Template: "person", Values: v})
		return nil
	}
	if t.Asked == anOrder {
		t.Asked, t.Last = "", nil
	}
	t.Misses = 0
	t.say(Say{Template: "order_status", Values: v})
	return nil
}

// clip bounds what another system says.
func clip(text string) string {
	const longest = 200
	if r := []rune(text); len(r) > longest {
		return string(r[:longest-1]) + "…"
	}
	return text
}

func link(text string) string {
	if !strings.HasPrefix(text, "https://") && !strings.HasPrefix(text, "http://") || len(text) > 500 {
		return ""
	}
	return text
}

// around is how exactly a courier's time is told: two hours before and after.
const around = 2 * time.Hour

// comes is when a courier comes, in words; a moment becomes a span.
func (t *talk) comes(eta string) string {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", slotLayout} {
		at, err := time.ParseInLocation(layout, eta, t.zone())
		if err != nil {
			continue
		}
		from, to := at.Add(-around).In(t.zone()), at.Add(around).In(t.zone())
		if from.Before(t.Now) {
			from = t.Now.In(t.zone())
		}
		if !to.After(t.Now) {
			return ""
		}
		day := templates.Day(t.Language, from, t.Now, t.zone())
		if strings.Contains(day, ",") {
			day += ","
		}
		return fmt.Sprintf(t.in("%s с %s до %s", "%s between %s and %s"), day, from.Format("15:04"), to.Format("15:04"))
	}
	return clip(eta)
}
