package intake

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadstream/streams"
)

// draft is a lead while its fields are being read.
type draft struct {
	source   *source
	lead     *streams.Lead
	text     [targets]string
	key      [targets]string // which field text came from
	listed   map[string]bool // keys of lead.Fields that already hold a list of repeated values
	mapping  int             // mapping errors among the problems
	any      bool            // some field has a value
	honeypot bool
	hasty    bool
	redirect string
}

// read makes a lead of an item. It never refuses: what it does not understand stays in Fields, and a lead without phone
// and e-mail is a lead.
func (d *draft) read(s *source, it item, now time.Time, referer string) {
	d.source, d.lead = s, &streams.Lead{Source: s.name, ReceivedAt: now, Channel: s.channel}
	for _, m := range it.members {
		d.take(m.key, m.val, now)
	}
	for _, m := range it.members {
		if m.val[0] == '{' {
			d.descend(foldKey(m.key), m.val)
		}
	}
	d.search()
	d.set(toPage, "", referer)
	d.finish()
}

// take puts one top-level field where it belongs.
func (d *draft) take(key string, val []byte, now time.Time) {
	if d.form(key, val, now) {
		return
	}
	text, plain := textOf(val)
	d.any = d.any || !plain || text != ""
	t := d.source.targetOf(key)
	switch {
	case !plain && val[0] == '{' && key == "fields":
		members, _ := objectMembers(val, new(shape)) // our own wire format: its fields are fields
		for _, m := range members {
			d.take(m.key, m.val, now)
		}
	case plain && d.broken(key, text):
		d.keep(key, val)
	case t == unknown || !plain:
		d.keep(key, val)
	case text == "":
		// An empty field of a known name says nothing.
	case t == toPage || t == toCookies:
		d.set(t, key, text)
		d.keep(key, val)
	case !d.set(t, key, text):
		if d.key[t] == key {
			d.problem("field %s came more than once", "поле %s пришло несколько раз", key)
		}
		d.keep(key, val)
	}
}

// form handles the fields that a page adds for its own protection.
func (d *draft) form(key string, val []byte, now time.Time) bool {
	s := d.source
	switch {
	case s.honeypot[key]:
		text, plain := textOf(val)
		d.honeypot = d.honeypot || !plain || strings.TrimSpace(text) != ""
	case s.fillField != "" && key == s.fillField:
		text, _ := textOf(val)
		d.hasty = d.hasty || tooFast(text, s.minFill, now)
	case s.redirectField != "" && key == s.redirectField:
		d.redirect, _ = textOf(val)
	default:
		return false
	}
	return true
}

// descend reads the objects in which some senders wrap the customer's fields. The object itself is kept whole.
func (d *draft) descend(path string, val []byte) {
	if len(path) > 128 || path == "fields" {
		return
	}
	members, _ := objectMembers(val, new(shape))
	for _, m := range members {
		inner := path + "." + foldKey(m.key)
		if m.val[0] == '{' {
			d.descend(inner, m.val)
			continue
		}
		text, plain := textOf(m.val)
		if t := d.source.targetOf(inner); t != unknown && plain && text != "" && !d.broken(inner, text) {
			d.set(t, inner, text)
		}
	}
}

// set fills a part of the lead unless an earlier field did. A contact that is one takes the place of one that is none.
func (d *draft) set(t target, key, text string) bool {
	if old := d.text[t]; old != "" {
		if t != toPhone && t != toEmail {
			return false
		}
		if _, ok := d.contact(t, old); ok {
			return false
		}
		if _, ok := d.contact(t, text); !ok {
			return false
		}
		d.keep(d.key[t], quote(nil, old))
	}
	d.text[t], d.key[t] = text, key
	return true
}

// search looks for contacts in fields that are only about them by a part of their name.
func (d *draft) search() {
	if d.text[toContact] != "" || d.text[toPhone] != "" && d.text[toEmail] != "" {
		return
	}
	var keys [targets]string // the first by name, since a map has no order
	for key, val := range d.lead.Fields {
		t := guess(key)
		if t == unknown || d.text[t] != "" || keys[t] != "" && keys[t] < key {
			continue
		}
		if text, plain := textOf(val); plain {
			if _, ok := d.contact(t, text); ok {
				keys[t] = key
			}
		}
	}
	for _, t := range []target{toPhone, toEmail} {
		if keys[t] != "" {
			text, _ := textOf(d.lead.Fields[keys[t]])
			d.set(t, keys[t], text)
		}
	}
}

func (d *draft) contact(t target, text string) (string, bool) {
	if t == toPhone {
		return streams.NormalizePhone(text, d.source.region)
	}
	return streams.NormalizeEmail(text)
}

// finish turns the collected texts into the lead.
func (d *draft) finish() {
	l := d.lead
	l.Name = d.name()
	if raw := d.text[toContact]; raw != "" {
		d.either(raw)
	}
	l.Phone = d.settle(toPhone)
	l.Email = d.settle(toEmail)
	l.Service = strings.TrimSpace(d.text[toService])
	l.Time = strings.TrimSpace(strings.TrimSpace(d.text[toDate]) + " " + strings.TrimSpace(d.text[toTime]))
	l.Message = strings.TrimSpace(d.text[toMessage])
	l.Intent = strings.TrimSpace(d.text[toIntent])
	l.UserID = strings.TrimSpace(d.text[toUserID])
	l.Key = strings.TrimSpace(d.text[toKey])
	if channel := strings.ToLower(strings.TrimSpace(d.text[toChannel])); channel != "" {
		l.Channel = channel
	}
	d.eventAt()
	d.event()
	d.utm()
}

// name puts a name together from the parts that forms ask for separately.
func (d *draft) name() string {
	parts := make([]string, 0, 3)
	whole := streams.CleanName(d.text[toName])
	for _, t := range []target{toFirstName, toMiddleName, toLastName} {
		part := streams.CleanName(d.text[t])
		if part != "" && !strings.Contains(whole, part) {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return whole
	}
	return streams.CleanName(whole + " " + strings.Join(parts, " "))
}

// either decides whether a field named "contact" is a phone number or an address; when it is neither it stays a field.
func (d *draft) either(raw string) {
	key := d.key[toContact]
	if _, ok := streams.NormalizeEmail(raw); ok && d.set(toEmail, key, raw) {
		return
	}
	if _, ok := d.contact(toPhone, raw); ok && d.set(toPhone, key, raw) {
		return
	}
	d.keep(key, quote(nil, raw))
}

// settle normalises a contact. What the normal form loses, an extension or a second number, is kept as written; what has
// no normal form is passed on as written.
func (d *draft) settle(t target) string {
	raw := strings.TrimSpace(d.text[t])
	if raw == "" {
		return ""
	}
	normal, ok := d.contact(t, raw)
	if !ok {
		return streams.CleanName(raw)
	}
	more := t == toPhone && digits(raw) > len(normal)-1 || t == toEmail && len(raw) > len(normal)
	if _, kept := d.lead.Fields[d.key[t]]; more && !kept {
		d.keep(d.key[t], quote(nil, raw))
	}
	return normal
}

func digits(s string) (n int) {
	for _, r := range s {
		if r >= '0' && r <= '9' {
			n++
		}
	}
	return n
}

// keep puts a field into Fields verbatim; of a key that came several times, all values.
func (d *draft) keep(key string, val []byte) {
	fields := d.lead.Fields
	if fields == nil {
		fields = make(map[string]json.RawMessage)
		d.lead.Fields = fields
	}
	old, again := fields[key]
	switch {
	case !again:
		fields[key] = val
	case d.listed[key]:
		fields[key] = append(append(append(old[:len(old)-1], ','), val...), ']')
	default:
		if d.listed == nil {
			d.listed = make(map[string]bool)
		}
		d.listed[key] = true
		list := make([]byte, 0, len(old)+len(val)+3)
		fields[key] = append(append(append(append(append(list, '['), old...), ','), val...), ']')
	}
}

// broken reports values that a wrong mapping in a no-code tool sends instead of the customer's.
func (d *draft) broken(key, text string) bool {
	if !isBroken(text) {
		return false
	}
	d.mapping++
	d.problem("field %s: the sender's mapping is wrong, it sent a placeholder", "поле %s: ошибка сопоставления у отправителя, пришла заглушка", key)
	return true
}

func isBroken(text string) bool {
	if len(text) > 256 || len(text) < 3 {
		return false
	}
	text = strings.TrimSpace(text)
	switch text {
	case "undefined", "null", "[object Object]", "NaN", "[object Array]":
		return true
	}
	return strings.HasPrefix(text, "{{") && strings.HasSuffix(text, "}}")
}

func (d *draft) problem(en, ru, key string) {
	text := en
	if d.source.language == "ru" {
		text = ru
	}
	if len(d.lead.Problems) < 20 {
		d.lead.Problems = append(d.lead.Problems, strings.Replace(text, "%s", clip(key, 64), 1))
	}
}

// eventAt reads when the customer wrote, as RFC 3339 or Unix seconds or milliseconds.
func (d *draft) eventAt() {
	raw := strings.TrimSpace(d.text[toEventAt])
	if raw == "" {
		return
	}
	at, err := time.Parse(time.RFC3339, raw)
	if n, bad := strconv.ParseInt(raw, 10, 64); bad == nil {
		err = nil
		if at = time.Unix(n, 0); n > 1e11 {
			at = time.UnixMilli(n)
		}
	}
	if now := d.lead.ReceivedAt; err != nil || at.After(now.Add(24*time.Hour)) || at.Before(now.AddDate(-5, 0, 0)) {
		d.keep(d.key[toEventAt], quote(nil, raw))
		return
	}
	d.lead.EventAt = at.UTC()
}

// event reads what has happened with a customer. Whatever is not surely news stays an enquiry: one that is taken for
// news reaches nobody. So what a form may well ask for (an order, a visit, a reply) is news only without any text of the
// customer's, unless the source's own map of fields says that it is.
func (d *draft) event() {
	raw := strings.ToLower(strings.TrimSpace(d.text[toEvent]))
	l, key := d.lead, d.key[toEvent]
	switch {
	case raw == "":
	case !slices.Contains(streams.Events, raw), d.source.Public && slices.Contains([]string{"won", "lost", "answered", "blocked", "unblocked"}, raw): // anybody can send there
		d.problem("field %s: no event of this name is known, it was taken as an enquiry", "поле %s: такое событие неизвестно, принято как обращение", key)
	case l.Service+l.Time+l.Message != "" && slices.Contains([]string{"order", "visit", "reply"}, raw) && d.source.fields[foldKey(key)] != toEvent:
		d.problem("field %s: an event has no text; it was taken as an enquiry", "поле %s: у события не бывает текста, принято как обращение", key)
	default:
		l.Event, l.About = raw, strings.TrimSpace(d.text[toAbout])
		return
	}
	for _, t := range []target{toEvent, toAbout} {
		if d.text[t] != "" {
			d.keep(d.key[t], quote(nil, d.text[t]))
		}
	}
}

// textOf is the text of a JSON value, and false for an object or a list that has none. Values of a list are joined;
// of `{"value": …}`, which CRMs write, the value is taken.
func textOf(val []byte) (string, bool) {
	switch val[0] {
	case '"':
		return unquote(val), true
	case 'n':
		return "", true
	case 't', 'f':
		return string(val), true
	case '[':
		return listText(val)
	case '{':
		return "", false
	}
	return numberText(val), true
}

func listText(val []byte) (string, bool) {
	var parts []string
	for i := skipSpace(val, 1); val[i] != ']'; {
		end, err := skipValue(val, i, new(shape))
		if err != nil {
			return "", false
		}
		text, ok := elementText(val[i:end])
		if !ok {
			return "", false
		}
		if text != "" {
			parts = append(parts, text)
		}
		if i = skipSpace(val, end); val[i] == ',' {
			i = skipSpace(val, i+1)
		}
	}
	return strings.Join(parts, ", "), true
}

func elementText(val []byte) (string, bool) {
	switch val[0] {
	case '[':
		return "", false
	case '{':
		members, _ := objectMembers(val, new(shape))
		for _, m := range members {
			if strings.EqualFold(m.key, "value") && m.val[0] != '{' && m.val[0] != '[' {
				return textOf(m.val)
			}
		}
		return "", false
	}
	return textOf(val)
}

// numberText is a number as its digits: spreadsheets send phone numbers as 7.9990000011E10.
func numberText(val []byte) string {
	if bytes.ContainsAny(val, ".eE") {
		if f, err := strconv.ParseFloat(string(val), 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return strconv.FormatFloat(f, 'f', 0, 64)
		}
	}
	return string(val)
}

func clip(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
