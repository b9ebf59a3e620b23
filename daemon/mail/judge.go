package mail

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/textproto"

	"leadstream/streams"
)

// Reasons why a message is no enquiry: labels of a metric.
const (
	AutoReply = "auto-reply"   // a robot's answer; answering it would go on for ever
	Automatic = "automatic"    // written by a program, and no form
	Bounce    = "bounce"       // a message could not be delivered
	Receipt   = "receipt"      // a message was read
	List      = "mailing list" // or bulk mail
	Own       = "own message"
	Spam      = "spam" // as the mail server marked it
)

// Report is what a receipt or a bounce says.
type Report struct {
	Of     string // Message-ID of the message of ours
	Failed bool   // it was not delivered, and will not be
	Read   bool   // its reader has seen it
	To     string // for whom it was
	Status string // as in 5.1.1
}

// mostNotice is how long the text of a site's notice is at most, in bytes: newsletters, all of which name a contact, are longer.
const mostNotice = 4 << 10

// judge finds out whether a customer wrote the message. A form that a site passes on is an enquiry also where a program sent
// it in bulk, in our own name, or looking like spam; so is, with a doubt, what else comes in these ways and names a contact: rather
// an enquiry too many than a customer too few.
func (r Reader) judge(m *Message, h *message.Header, report []textproto.Header) {
	media, params, _ := h.ContentType()
	reportType := strings.ToLower(params["report-type"])
	auto := token(h.Get("Auto-Submitted"))
	precedence := token(h.Get("Precedence"))
	answer := h.Get("In-Reply-To") != "" || h.Get("References") != ""
	switch {
	case strings.EqualFold(media, "multipart/report") && reportType == "disposition-notification":
		m.Not, m.Report = Receipt, receipt(report)
		return
	case strings.EqualFold(media, "multipart/report") && (reportType == "delivery-status" || reportType == ""),
		strings.HasPrefix(m.From.Email, "mailer-daemon@"), h.Get("X-Failed-Recipients") != "":
		m.Not, m.Report = Bounce, bounce(report)
		return
	case auto == "auto-replied" || auto == "auto-notified", precedence == "auto_reply", says(h, "X-Autoreply"), says(h, "X-Autorespond"),
		says(h, "X-Autorespond-From"), says(h, "X-Auto-Reply-From"), says(h, "X-Mail-Autoreply"):
		m.Not = AutoReply
		return
	case (auto != "" && auto != "no" || precedence == "bulk" || precedence == "junk") && answersOurs(h): // a form that it quotes is ours
		m.Not = AutoReply
		return
	case strings.HasPrefix(strings.ToLower(h.Get("X-Leadstream")), "notice"): // what we mail ourselves
		m.Not = Own
		return
	case r.own(m.From.Email) && answer:
		m.Not = Own
		return
	}
	fields, rest := r.form(m.Said)
	if fields != nil {
		m.Form, m.Said = fields, rest
		if m.Person.Email == m.From.Email { // of the two only Reply-To is surely the customer
			m.Person = Address{}
		}
		return
	}
	list := h.Has("List-Id") || h.Has("List-Unsubscribe") || h.Has("List-Post") || precedence == "bulk" || precedence == "list" || precedence == "junk"
	switch {
	case r.own(m.From.Email) && m.Person.Email == "":
		m.Not = Own
	case spam(h):
		m.Not = Spam
	case list && !r.ownList(h):
		m.Not = List
	case auto != "" && auto != "no":
		m.Not = Automatic
	}
	group := h.Has("List-Post") || h.Has("Mailing-List") || precedence == "list"
	if m.Not == "" {
		return
	}
	if m.Perhaps = m.Not == Spam || !r.names(m) || m.Not == List && !group && len(m.Text) > mostNotice; m.Perhaps {
		return
	}
	m.Doubt, m.Not, m.Said = m.Not, "", clip(m.Text, mostSaid)
	if m.Doubt == List && listed(h, m.Person.Email) { // many lists want answers for all to read
		m.Person = m.From
	}
	if m.Doubt != List && m.Person.Email == m.From.Email || listed(h, m.Person.Email) { // a program's, or everybody's
		m.Person = Address{}
	}
}

// OurID is the beginning of the Message-ID of what we mail: the lead that it is about or, before ".to", what names a message to a
// customer.
var OurID = regexp.MustCompile(`^([0-9a-hjkmnp-tv-z]{26})(\.to)?\.[A-Za-z0-9-]+@`)

// answersOurs is whether the message answers one that a sink has mailed. A program that acknowledges each of our notices would have
// each acknowledgement, with the contact that it quotes, become a lead and a notice again.
func answersOurs(h *message.Header) bool {
	return slices.ContainsFunc(messageID.FindAllStringSubmatch(h.Get("In-Reply-To")+" "+h.Get("References"), -1), func(id []string) bool {
		return OurID.MatchString(id[1])
	})
}

// says is whether a header is there and does not deny what it is about.
func says(h *message.Header, key string) bool {
	value := token(h.Get(key))
	return h.Has(key) && value != "no" && value != "false"
}

// names is whether the text holds a way to reach somebody: a telephone number, or an address that is neither ours nor the sender's nor
// one that nobody reads.
func (r Reader) names(m *Message) bool {
	text := clip(m.Text, mostSaid)
	if r.Phone != nil && r.Phone(text) != "" {
		return true
	}
	for _, written := range bareAddress.FindAllString(text, 20) {
		if email, ok := streams.NormalizeEmail(written); ok && !r.own(email) && email != m.From.Email && !deaf(email) {
			return true
		}
	}
	return false
}

// ownList is whether the list is one of our own addresses, as a group that several of us read is: customers write to it.
func (r Reader) ownList(h *message.Header) bool {
	return slices.ContainsFunc(r.Own, func(own string) bool { return listed(h, own) })
}

// listed is whether the address is that of the list by which the message came.
func listed(h *message.Header, email string) bool {
	id := strings.ToLower(h.Get("List-Id"))
	id = strings.Trim(id[strings.LastIndex(id, "<")+1:], "> \t")
	addresses := bareAddress.FindAllString(strings.ToLower(h.Get("Mailing-List")+" "+strings.ReplaceAll(h.Get("List-Post"), "mailto:", "")), 10)
	return email != "" && (id == strings.Replace(email, "@", ".", 1) || slices.Contains(addresses, email))
}

// token is the first word of a header's value.
func token(s string) string {
	s, _, _ = strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(s))
}

// spam is whether the mail server says so, in its own way of saying it.
func spam(h *message.Header) bool {
	for _, key := range []string{"X-Spam-Flag", "X-Spam", "X-Spam-Status"} {
		if strings.HasPrefix(strings.ToLower(h.Get(key)), "yes") || strings.EqualFold(strings.TrimSpace(h.Get(key)), "true") {
			return true
		}
	}
	level, err := strconv.Atoi(strings.TrimSpace(h.Get("X-MS-Exchange-Organization-SCL")))
	return err == nil && level >= 5 || strings.TrimSpace(h.Get("X-Yandex-Spam")) == "4"
}

var pairLine = regexp.MustCompile(`^[\s*•·-]*\*{0,2}([^:：\t\n=]{1,60}?)\*{0,2}\s*[:：\t]\*{0,2}\s*(.*)$`)

// form finds the lines `label: value` of a site's notice, and gives what else the text says. It is a form when it names a
// contact and something else that we know, and most of its lines are such lines.
func (r Reader) form(text string) (fields []Field, rest string) {
	if r.Means == nil {
		return nil, ""
	}
	var others []string
	var lines, pairs, known int
	contact, open := false, false
	for _, l := range strings.Split(text, "\n") {
		if strings.TrimSpace(l) == "" {
			open = false
			continue
		}
		lines++
		p := pairLine.FindStringSubmatch(l)
		if p == nil || strings.HasPrefix(p[2], "//") { // an address of a page
			if open && len(fields) > 0 && r.Means(fields[len(fields)-1].Label) == "message" { // a comment of several lines
				fields[len(fields)-1].Value += "\n" + strings.TrimSpace(l)
				pairs++
				continue
			}
			others = append(others, l)
			continue
		}
		pairs++
		label, value := strings.TrimSpace(p[1]), strings.TrimSpace(p[2])
		means := r.Means(label)
		if means != "" && value != "" {
			known++
			contact = contact || means == "phone" || means == "email" || means == "contact"
		}
		fields, open = append(fields, Field{label, value}), true
	}
	if !contact || known < 2 || 2*pairs < lines {
		return nil, ""
	}
	return fields, tidy(strings.Join(others, "\n"))
}

// bounce reads a delivery status: whether it is final, and of which message of ours.
func bounce(blocks []textproto.Header) *Report {
	var rep Report
	for _, b := range blocks {
		if action := token(b.Get("Action")); action != "" {
			rep.Failed = rep.Failed || action == "failed"
			rep.Status = line(token(b.Get("Status")), 20)
			if m := bareAddress.FindString(b.Get("Final-Recipient")); m != "" {
				rep.To = strings.ToLower(line(m, 250))
			}
		}
		if id := ids(b.Get("Message-Id"), true); id != "" {
			rep.Of = id
		}
	}
	return &rep
}

// receipt reads a disposition notification.
func receipt(blocks []textproto.Header) *Report {
	var rep Report
	for _, b := range blocks {
		if id := ids(b.Get("Original-Message-Id"), true); id != "" {
			rep.Of = id
		}
		if d := strings.ToLower(b.Get("Disposition")); d != "" {
			rep.Read = strings.Contains(d, "displayed")
			if m := bareAddress.FindString(b.Get("Final-Recipient")); m != "" {
				rep.To = strings.ToLower(line(m, 250))
			}
		}
	}
	return &rep
}
