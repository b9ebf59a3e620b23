package channel

import (
	"bytes"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"leadstream/daemon/mail"
	"leadstream/streams"
	"leadstream/streams/media"
)

// letter reads e-mail, a message a request, as `leadstream mail` and the reader of a mailbox bring it (IN-03). Nothing in a
// message proves who sent it.
type letter struct {
	Config
	reader mail.Reader
}

func newMail(c Config) Protocol {
	own := make([]string, 0, len(c.Accounts))
	for _, a := range c.Accounts {
		own = append(own, email(a))
	}
	m := letter{Config: c}
	m.reader = mail.Reader{Own: own, Means: c.Means, Phone: m.phoneIn}
	return m
}

func (letter) Greet(*http.Request, []byte) (Reply, bool) { return Reply{}, false }

func (letter) Verify(*http.Request, []byte) bool { return false }

// mostRaw is how much of a message is kept beside its lead, in the journal: its header and text stand first.
const mostRaw = 256 << 10

func (m letter) Read(body []byte, _ string) (events []Event, err error) {
	defer func() {
		if recover() != nil { // whatever a stranger has put together, the mails behind it are read
			events, err = nil, errors.New("no mail: reading it came to an end by our own mistake")
		}
	}()
	read, err := m.reader.Read(body, time.Now())
	if err != nil {
		return nil, err
	}
	e := Event{Raw: body[:min(len(body), mostRaw)]}
	switch {
	case read.Report != nil:
		m.report(&e, read)
	case read.Not != "":
		e.Ignore, e.Doubtful = read.Not, read.Perhaps
	default:
		e.Lead, e.Form = m.lead(read), read.Form
	}
	if e.Ignore == "" {
		e.Lead.Channel, e.Lead.Key, e.Lead.EventAt = "email", read.ID, read.Date
	}
	return []Event{e}, nil
}

func (m letter) lead(read *mail.Message) streams.Lead {
	l := streams.Lead{Name: read.Person.Name, Email: read.Person.Email, Message: m.message(read)}
	if read.Form == nil {
		l.UserID = read.Person.Email // of whoever fills a form the site alone knows the address
	}
	if phone := m.phoneIn(read.Signature); phone != "" && m.phoneIn(read.Said) == "" {
		l.Phone = phone // triage reads the message, not what stands below it
	}
	var f fields
	f.set("subject", read.Subject)
	if read.Text != l.Message {
		f.set("text", read.Text)
	}
	if read.From.Email != read.Person.Email {
		f.set("from", read.From.Email)
	}
	f.set("thread", read.Thread)
	f.set("date", read.Dated)
	if m.Keep != nil {
		l.Media = m.files(read.Files)
	} else if len(read.Files) > 0 {
		f.set("files", read.Files)
	}
	l.Fields = f
	if read.Cut {
		l.Problems = append(l.Problems, m.say("the mail could not be read to its end; the rest is in the mailbox",
			"письмо прочитано не до конца; остальное в почтовом ящике"))
	}
	if read.Doubt != "" {
		l.Problems = append(l.Problems, m.say("the mail looks like none of a customer's ("+read.Doubt+"); it was taken for the contact in it",
			"письмо не похоже на письмо клиента ("+doubts[read.Doubt]+"); принято, потому что в нём есть контакт"))
	}
	if read.From.Email == "" {
		l.Problems = append(l.Problems, m.say("the mail does not say who sent it", "в письме не указан отправитель"))
	}
	return l
}

// filesTime is how long the files of a mail may take together: whoever waits for the answer gives up after 30 s, and would
// bring the same mail again for ever.
const filesTime = 15 * time.Second

// files stores what came with a mail. What cannot be stored keeps no lead.
func (m letter) files(given []mail.File) (all []streams.Media) {
	until := time.Now().Add(filesTime)
	for _, file := range given {
		if file.Adorns {
			continue
		}
		one := streams.Media{Kind: mailKind(file.Type), Name: text(file.Name), Type: text(file.Type), Size: file.Size}
		if time.Now().After(until) {
			one.Problem = media.Unkept
		} else if kept, err := m.Keep(one, bytes.NewReader(file.Content)); err == nil {
			one = kept
		} else {
			one.Problem = media.Unkept
		}
		all = append(all, one)
	}
	return all
}

// mailKind is what a person calls a file of that type.
func mailKind(typ string) string {
	switch family, _, _ := strings.Cut(typ, "/"); family {
	case "image":
		return "photo"
	case "audio", "video":
		return family
	}
	return "document"
}

// doubts are what mail.Message.Doubt says, in Russian.
var doubts = map[string]string{mail.Own: "с нашего адреса", mail.Automatic: "отправила программа", mail.List: "рассылка"}

var replySubject = regexp.MustCompile(`(?i)^((re|fw|fwd|aw|отв|на|ha|пересл)(\[\d+\])?\s*:\s*)+`)

// message is what the customer wrote. The subject of a first mail often says what it is about, that of an answer repeats
// another's, and that of a form is the site's.
func (m letter) message(read *mail.Message) string {
	subject := read.Subject
	if read.Form != nil || read.Thread != "" || replySubject.MatchString(subject) || strings.Contains(strings.ToLower(read.Said), strings.ToLower(subject)) {
		subject = ""
	}
	return strings.TrimSpace(subject + "\n" + read.Said)
}

var phoneShape = regexp.MustCompile(`\+?\d(?:[ \t().-]{0,3}\d){9,14}`)

// phoneIn is the first telephone number of a text.
func (m letter) phoneIn(text string) string {
	for _, s := range phoneShape.FindAllString(text, 5) {
		if p, ok := streams.NormalizePhone(s, m.Region); ok {
			return p
		}
	}
	return ""
}

// report makes news of what became of a message about a lead, or to a customer; of others there is nothing to say.
func (m letter) report(e *Event, read *mail.Message) {
	r := read.Report
	of := mail.OurID.FindStringSubmatch(r.Of)
	switch {
	case of == nil:
		e.Ignore = read.Not
		return
	case r.Failed:
		e.Lead.Event = "failed"
	case r.Read:
		e.Lead.Event = "read"
	default:
		e.Ignore = read.Not
		return
	}
	var f fields
	if of[2] == "" {
		e.Lead.About = of[1]
	} else {
		e.Lead.UserID, e.Lead.Email = r.To, email(r.To)
		f.set("message_id", r.Of)
		code, _, _ := strings.Cut(r.Status, " ")
		f.set("code", code)
	}
	f.set("recipient", r.To)
	f.set("status", r.Status)
	e.Lead.Fields = f
}
