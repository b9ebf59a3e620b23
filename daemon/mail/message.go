// Package mail reads e-mail: what a message says and whether a customer wrote it, and a mailbox over IMAP, message by
// message, into whatever keeps them (IN-03). It keeps nothing but how far it has read.
package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	netmail "net/mail"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/textproto"

	"leadstream/streams"
)

// Limits on what is read of a message; what is beyond them is left out, never the message.
const (
	Most      = 25 << 20  // bytes of a message: what mail servers let through
	mostText  = 128 << 10 // of its text
	mostSaid  = 32 << 10  // of what triage reads
	mostDepth = 30        // parts in each other
	mostParts = 500
	mostFiles = 50
	mostHead  = 256 << 10 // bytes of a header
)

// Message is what was read of an e-mail.
type Message struct {
	ID     string // Message-ID without its brackets; a hash of the message where it has none
	Thread string // Message-ID of the first message of its conversation; empty: it begins one
	From   Address
	Person Address   // whom an answer goes to: Reply-To, else From; empty where nobody reads the answer, or for a form
	Date   time.Time // when it was written, as far as that can be believed
	Dated  string    // the Date as written where it cannot

	Subject   string
	Said      string // the text without quotations and signature
	Text      string // all of the text
	Signature string
	Form      []Field // the lines `label: value` of a site's notice about a filled form; nil: it is none
	Files     []File

	Not     string  // why it is no enquiry: one of Reasons; empty: it is one
	Perhaps bool    // it is none as far as can be seen, and may be one all the same
	Doubt   string  // why it looks like none, and is one for the contact in it: Own, Automatic or List; else empty
	Report  *Report // what a receipt or a bounce says of a message of ours

	Cut bool // it was too large, or ended early
}

// Address is a mailbox; Email is empty where there is no valid one.
type Address struct{ Name, Email string }

// Field is a line of a form.
type Field struct{ Label, Value string }

// File is an attachment.
type File struct {
	Name string `json:"name,omitempty"`
	Type string `json:"type,omitempty"`
	Size int64  `json:"size"` // bytes, decoded

	Content []byte `json:"-"` // as far as it could be decoded
	Adorns  bool   `json:"-"` // a small picture within the text: a logo below a signature
}

// adorning is the size below which a picture within the text is no photo.
const adorning = 10 << 10

// Reader knows what is ours and what labels mean.
type Reader struct {
	Own []string // our own addresses, lower case

	// Means says which part of a lead a form's label names: name, phone, email, contact, message …; "" when none.
	Means func(label string) string

	// Phone finds a telephone number in a text; "" when there is none. Nil: nobody can tell.
	Phone func(text string) string
}

// Read reads a message as it came, and fails only for what is no message at all.
func (r Reader) Read(raw []byte, now time.Time) (*Message, error) {
	m := &Message{Cut: len(raw) > Most}
	if m.Cut {
		raw = raw[:Most]
	}
	head, body := split(raw)
	if len(head) == 0 {
		return nil, errors.New("no mail: it has no header")
	}
	h, err := textproto.ReadHeader(newReader(head))
	if err != nil {
		return nil, errors.New("no mail: its header cannot be read")
	}
	header := message.Header{Header: h}
	p := parts{message: m}
	p.read(header, bytes.NewReader(body), 0, false)
	if m.Text = p.text(); m.Text == "" && len(m.Files) == 0 && len(p.html) == 0 && len(bytes.TrimSpace(body)) > 0 {
		m.Text, m.Cut = clip(tidy(guess(body[:min(len(body), mostText)])), mostText), true // rather as it came than not at all
	}
	m.Subject = line(headerText(&header, "Subject"), 300)
	m.From, m.Person = r.people(&header)
	m.ID, m.Thread = identify(&header)
	m.date(&header, now)
	m.Said, m.Signature = said(m.Text)
	if m.ID == "" {
		sum := sha256.Sum256([]byte(strings.Join([]string{header.Get("Date"), m.From.Email, m.Subject, m.Text}, "\x00")))
		m.ID = "leadstream:" + hex.EncodeToString(sum[:16])
	}
	r.judge(m, &header, p.report)
	return m, nil
}

// split parts a message at the first empty line, and takes out of the header what is no header line: one such line
// must not cost the mail. A file of mbox begins with a line of its own.
func split(raw []byte) (head, body []byte) {
	raw = bytes.TrimLeft(raw, "\r\n")
	var lines [][]byte
	size := 0
	for len(raw) > 0 {
		line, rest, _ := bytes.Cut(raw, []byte("\n"))
		raw = rest
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			break
		}
		folded := line[0] == ' ' || line[0] == '\t'
		if size < mostHead && (folded && len(lines) > 0 || !folded && isHeader(line)) {
			lines = append(lines, bytes.ReplaceAll(line, []byte{0}, nil))
			size += len(line)
		}
	}
	if len(lines) == 0 {
		return nil, raw
	}
	return append(bytes.Join(lines, []byte("\r\n")), "\r\n\r\n"...), raw
}

// isHeader is whether a line begins with a name of printable ASCII and a colon.
func isHeader(line []byte) bool {
	name, _, found := bytes.Cut(line, []byte(":"))
	if !found || len(name) == 0 || len(name) > 100 {
		return false
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// parts gathers what a message consists of.
type parts struct {
	message     *Message
	plain, html []string
	forwarded   []string           // what messages say that are attached to this one
	inner       bool               // this is such a message: what is attached to it again is a file and no more
	report      []textproto.Header // blocks of a delivery status or a receipt, and the header of what it is about
	count       int
}

// read walks a part. What cannot be decoded is read as it stands.
func (p *parts) read(h message.Header, body io.Reader, depth int, inReport bool) {
	if p.count++; p.count > mostParts {
		p.message.Cut = true
		return
	}
	media, params := typeOf(&h)
	if strings.HasPrefix(media, "multipart/") && params["boundary"] != "" {
		if depth == mostDepth {
			p.message.Cut = true
			return
		}
		inner := textproto.NewMultipartReader(body, params["boundary"])
		for p.count <= mostParts {
			part, err := inner.NextPart()
			if err != nil {
				p.message.Cut = p.message.Cut || !errors.Is(err, io.EOF)
				return
			}
			p.read(message.Header{Header: part.Header}, part, depth+1, inReport || media == "multipart/report")
		}
		p.message.Cut = true
		return
	}
	disposition := token(h.Get("Content-Disposition"))
	_, dispositionParams, _ := h.ContentDisposition()
	name := fileName(dispositionParams["filename"], params["name"])
	page := strings.Contains(media, "html")
	switch {
	case inReport && slices.Contains(reportTypes, media):
		e, _ := message.New(h, body)
		p.reported(e.Body)
	case textual(media) && disposition != "attachment" && (name == "" || page && len(p.html) == 0 || !page && len(p.plain) == 0):
		p.words(&h, body, page, params["charset"])
	case len(p.message.Files) < mostFiles:
		e, _ := message.New(h, body)
		content, err := io.ReadAll(e.Body) // all of them together are smaller than the message
		p.message.Cut = p.message.Cut || errors.Is(err, io.ErrUnexpectedEOF)
		if media == "message/rfc822" && !p.inner {
			p.attached(content, depth)
		}
		p.message.Files = append(p.message.Files, File{Name: name, Type: line(media, 100), Size: int64(len(content)), Content: content,
			Adorns: len(content) < adorning && strings.HasPrefix(media, "image/") && disposition != "attachment" && h.Get("Content-Id") != ""})
	default:
		p.message.Cut = true
	}
}

// reportTypes are the parts of a report that programs read (RFC 3462); those of global ones come of mail that went as SMTPUTF8 (RFC 6533).
var reportTypes = []string{"message/delivery-status", "message/disposition-notification", "message/rfc822", "text/rfc822-headers",
	"message/global-delivery-status", "message/global-disposition-notification", "message/global", "message/global-headers"}

// attached reads a message that somebody has forwarded as a file: who wrote it, and what. Its own files are in the file.
func (p *parts) attached(raw []byte, depth int) {
	head, body := split(raw)
	if len(head) == 0 {
		return
	}
	h, err := textproto.ReadHeader(newReader(head))
	if err != nil {
		return
	}
	header := message.Header{Header: h}
	if header.Has("X-Leadstream") { // a notice of ours, sent back
		return
	}
	in := parts{message: &Message{}, count: p.count, inner: true}
	in.read(header, bytes.NewReader(body), depth+1, false)
	p.count = in.count
	lines := []string{"--- Forwarded message ---"}
	for _, key := range []string{"From", "Subject"} {
		if value := line(headerText(&header, key), 300); value != "" {
			lines = append(lines, key+": "+value)
		}
	}
	p.forwarded = append(p.forwarded, strings.Join(append(lines, "", in.text()), "\n"))
}

var (
	boundaryIn = regexp.MustCompile(`(?i)\bboundary\s*=\s*"?([^\s";,]+)`)
	charsetIn  = regexp.MustCompile(`(?i)\bcharset\s*=\s*"?([^\s";,]+)`)
)

// typeOf is a part's type, in lower case, and its parameters, as far as they can be made out: programs write them wrongly.
func typeOf(h *message.Header) (string, map[string]string) {
	media, params, err := h.ContentType()
	if err == nil {
		return strings.ToLower(media), params
	}
	written := h.Get("Content-Type")
	params = map[string]string{}
	if m := boundaryIn.FindStringSubmatch(written); m != nil {
		params["boundary"] = m[1]
	}
	if m := charsetIn.FindStringSubmatch(written); m != nil {
		params["charset"] = m[1]
	}
	media = strings.ToLower(strings.TrimSpace(written))
	if end := strings.IndexAny(media, "; \t,"); end >= 0 {
		media = media[:end]
	}
	return media, params
}

// textual is whether a part of this type is for reading. Of the types of text that few programs send (a calendar's, a card's)
// it is not: beside them stands a text that says the same.
func textual(media string) bool {
	kind, sub, found := strings.Cut(media, "/")
	return !found || kind == "multipart" || kind == "plain" || kind == "text" && (sub == "" || sub == "plain" || sub == "html" || sub == "markdown" || sub == "enriched")
}

// words takes a part of text.
func (p *parts) words(h *message.Header, body io.Reader, page bool, charset string) {
	const most = 12 * mostText // encoded text is longer
	b, err := io.ReadAll(io.LimitReader(body, most))
	whole := err == nil && len(b) < most
	switch token(h.Get("Content-Transfer-Encoding")) {
	case "base64":
		var clean bool
		b, clean = fromBase64(b)
		whole = whole && clean
	case "quoted-printable", "quotedprintable":
		var clean bool
		b, clean = fromQuoted(b)
		whole = whole && clean
	}
	text := decode(b, charset)
	if page {
		var read bool
		text, read = fromHTML(text)
		whole = whole && read
		p.html = append(p.html, text)
	} else {
		p.plain = append(p.plain, text)
	}
	p.message.Cut = p.message.Cut || !whole
}

// htmlOnly is in what programs write for readers of plain text: that there is something to be seen, but not by them.
var htmlOnly = regexp.MustCompile(`(?i)\bhtml\b`)

// text is the plain text, or what the HTML says when there is none or nothing but a hint at it.
func (p *parts) text() string {
	text := tidy(strings.Join(p.plain, "\n\n"))
	if page := tidy(strings.Join(p.html, "\n\n")); text == "" || page != "" && len(text) < 300 && htmlOnly.MatchString(text) {
		text = page
	}
	if len(p.forwarded) > 0 {
		text = tidy(text + "\n\n" + strings.Join(p.forwarded, "\n\n"))
	}
	if len(text) > mostText {
		p.message.Cut = true
		text = clip(text, mostText)
	}
	return text
}

// reported reads the blocks of header lines that reports consist of.
func (p *parts) reported(body io.Reader) {
	b, err := io.ReadAll(io.LimitReader(body, mostHead))
	if err != nil && len(b) == 0 {
		return
	}
	for range 20 {
		head, rest := split(b)
		if len(head) == 0 {
			return
		}
		if h, err := textproto.ReadHeader(newReader(head)); err == nil {
			p.report = append(p.report, h)
		}
		b = rest
	}
}

// people are who sent a message and who wants the answer. Form services send in their own name and put the customer into
// Reply-To; what nobody reads is nobody's address.
func (r Reader) people(h *message.Header) (from, person Address) {
	from, reply := address(h, "From"), address(h, "Reply-To")
	if from.Email == "" {
		from = address(h, "Sender")
	}
	if original := address(h, "X-Original-From"); r.own(from.Email) && original.Email != "" { // a group passes mail on in its own name
		from = original
	}
	person = reply
	if reply.Email == "" || r.own(reply.Email) {
		person = from
	} else if reply.Name == "" && reply.Email == from.Email {
		person.Name = from.Name
	}
	if r.own(person.Email) || deaf(person.Email) {
		person = Address{}
	}
	return from, person
}

func (r Reader) own(email string) bool {
	return email != "" && slices.Contains(r.Own, email)
}

// deafNames begin addresses that nobody reads.
var deafNames = regexp.MustCompile(`^(no-?_?reply|do-?not-?reply|nobody|mailer-daemon|postmaster|robot|wordpress|www-data|apache|bounces?)([+._-].*)?@`)

func deaf(email string) bool { return deafNames.MatchString(email) }

var bareAddress = regexp.MustCompile(`[^\s<>",;:()\[\]@]+@[^\s<>",;:()\[\]@]+\.[^\s<>",;:()\[\]@.]+`)

// address is the first of a header, however it is written.
func address(h *message.Header, key string) Address {
	text := headerText(h, key)
	if text == "" {
		return Address{}
	}
	if all, err := netmail.ParseAddressList(h.Get(key)); err == nil && len(all) > 0 && utf8.ValidString(all[0].Name) {
		if email, ok := streams.NormalizeEmail(all[0].Address); ok {
			name, err := words.DecodeHeader(all[0].Name)
			if err != nil {
				name = all[0].Name
			}
			return named(name, email)
		}
	}
	at := bareAddress.FindStringIndex(text)
	if at == nil {
		return Address{}
	}
	email, ok := streams.NormalizeEmail(text[at[0]:at[1]])
	if !ok {
		return Address{}
	}
	return named(strings.Trim(text[:at[0]], " \t\"'<"), email)
}

// named leaves out a name that only says the address again.
func named(name, email string) Address {
	name = streams.CleanName(name)
	if strings.EqualFold(strings.Trim(name, "'\""), email) {
		name = ""
	}
	return Address{name, email}
}

var messageID = regexp.MustCompile(`<([^<>\s]+)>`)

// identify finds the message's own name, and that of the message which began its conversation.
func identify(h *message.Header) (id, thread string) {
	id = ids(h.Get("Message-Id"), true)
	if thread = ids(h.Get("References"), false); thread == "" {
		thread = ids(h.Get("In-Reply-To"), false)
	}
	return id, thread
}

// ids is the first id of a header; bare says that one without its brackets will do.
func ids(text string, bare bool) string {
	if m := messageID.FindStringSubmatch(text); m != nil {
		return line(m[1], 250)
	}
	if text = strings.TrimSpace(text); bare && text != "" && !strings.ContainsAny(text, " \t") {
		return line(strings.Trim(text, "<>"), 250)
	}
	return ""
}

// date believes the sender's clock as far as it agrees with our server's: what says another year is kept as written.
func (m *Message) date(h *message.Header, now time.Time) {
	written := line(h.Get("Date"), 100)
	arrived := now
	if f := h.FieldsByKey("Received"); f.Next() { // the first is the last server's, which is ours
		if at := strings.LastIndex(f.Value(), ";"); at >= 0 {
			if t, err := netmail.ParseDate(strings.TrimSpace(f.Value()[at+1:])); err == nil && t.Year() > 2000 && t.Before(now.Add(24*time.Hour)) {
				arrived = t
			}
		}
	}
	at, err := netmail.ParseDate(written)
	if err == nil && at.After(arrived.AddDate(-1, 0, 0)) && at.Before(arrived.Add(24*time.Hour)) {
		m.Date = at.UTC()
		return
	}
	m.Dated = written
	if arrived != now {
		m.Date = arrived.UTC()
	}
}

func fileName(names ...string) string {
	for _, name := range names {
		if name != "" {
			return line(path.Base(strings.ReplaceAll(name, `\`, "/")), 200)
		}
	}
	return ""
}

// words decodes what stands encoded in headers, also what is in none of the charsets that Go knows itself.
var words = mime.WordDecoder{CharsetReader: decoder}

// headerText is a header's text. Old mailers put bytes there as they are.
func headerText(h *message.Header, key string) string {
	raw := h.Get(key)
	if !utf8.ValidString(raw) {
		raw = guess([]byte(raw))
	}
	text, err := words.DecodeHeader(raw)
	if err != nil {
		text = raw
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
