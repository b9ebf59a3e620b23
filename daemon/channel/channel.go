// Package channel reads what messengers and telephony send to a webhook: which requests are theirs, what each event in
// a body is, and which answer they want. It makes leads of events and keeps nothing: the intake makes durable what it
// reads, and a fetcher that asks the same service for what its webhook never brought reads the same events (IN-02, IN-03).
package channel

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"leadstream/daemon/mail"
	"leadstream/streams"
)

// Protocol is how one kind of service speaks. It is safe for concurrent use.
type Protocol interface {
	// Greet answers a request that only tries the address: Meta's challenge, VK's confirmation, Zadarma's echo. It is
	// asked for each GET (body is nil), and for each POST before Verify; ok is false when it was no such request. A greeting
	// that does not know our secret is refused with a Reply of its own.
	Greet(r *http.Request, body []byte) (reply Reply, ok bool)

	// Verify says whether a POST comes from the service, in a time that does not depend on the secret. Open protocols,
	// which prove nothing, never get here: their sources need a key.
	Verify(r *http.Request, body []byte) bool

	// Read is what a body tells, in its order. Its error says that nothing of it can be read; an event alone that cannot
	// be read says so itself.
	Read(body []byte, contentType string) ([]Event, error)
}

// Reply is an answer to a greeting.
type Reply struct {
	Code int
	Body string // text/plain
}

// Event is one thing that a service tells.
type Event struct {
	// Lead is the event as a lead: Key is the service's own name for the event, Channel and UserID say who. ID, Source and
	// ReceivedAt are for the intake to fill.
	Lead streams.Lead

	// Form are lines of a site's notice that a form was filled: the intake puts what they hold into Lead, as it does with the
	// fields of a form that is sent to it.
	Form []mail.Field

	Talk   string // the conversation, by the name under which the service tells what was said in it; empty: nobody need know
	Raw    []byte // the event alone, as it came
	Ignore string // why nothing of it is kept: an echo, a group's chat, a kind that we do not know; else ""
	Err    error  // it cannot be read; it is kept raw

	// Named says that Lead.Key is never another's, whatever its text and time: they may change, and it is the same event.
	Named bool

	// Doubtful says that an ignored event may be a customer's all the same: it is kept raw where nobody else keeps it.
	Doubtful bool
}

// Canonical is what makes two tellings of an event the same, whatever else changed around it between them: who, when and
// what was said, or what the service alone names so. A service whose ids begin anew tells something else, and it becomes a lead of its own. A site's notices
// are told apart by what was filled in: many sites name each of them by the second alone.
func (e *Event) Canonical() []byte {
	l := &e.Lead
	if e.Named {
		what := l.Event
		if what == "answered" { // who asks Meta for what was said is not told whether a program has said it
			what = "sent"
		}
		return fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s", l.Channel, l.UserID, l.Key, what)
	}
	b := fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d\x00%s\x00%s\x00%s", l.Channel, l.UserID, l.Key, l.EventAt.Unix(), l.Phone, l.Message, l.Event)
	if len(e.Form) > 0 {
		b = fmt.Appendf(b, "\x00%s\x00%s", l.Name, l.Email)
	}
	for _, f := range e.Form {
		b = fmt.Appendf(b, "\x00%s\x00%s", f.Label, f.Value)
	}
	return b
}

// Config is what a source must say for its protocol to know its service.
type Config struct {
	Secrets      []string // of the service's requests; several while one is changed
	Accounts     []string // our own there: group, page, number, bot. Empty: all that prove themselves
	App          string   // our own program there: what it has sent is no person's answer
	Verification string   // what the service shows or expects when it tries the address
	Region       string   // country of phone numbers written without one
	Language     string   // of what a person reads: ru or en
	URL          string   // under which the service knows the address, where it signs it
	Poll         bool     // we ask, and the service sends nothing
	Token        string   // of our questions
	Zone         *time.Location

	// Keep stores a file that has come with a mail, as media.Store.Add does. Nil: files are only named.
	Keep func(m streams.Media, r io.Reader) (streams.Media, error)

	Means func(label string) string // what a form's label is of a lead, "phone"; "" for none. Nil: nobody can tell
}

// kind is what there is to know of a protocol before a source uses it.
type kind struct {
	new func(Config) Protocol

	answer       string // ok, empty, json or twiml: what the service takes for "kept"
	open         bool   // nothing proves who sends: the source needs a key in the address
	secrets      bool   // needs Secrets
	accounts     bool   // needs Accounts
	verification bool   // needs Verification
	url          bool   // needs URL
	poll         bool   // can be asked for its events
}

// kinds are the protocols by the name of their preset.
var kinds = map[string]kind{
	"avito":    {new: newAvito, answer: "json", open: true},
	"mail":     {new: newMail, answer: "json", open: true},
	"mango":    {new: newMango, answer: "ok", secrets: true},
	"max":      {new: newMax, answer: "empty", secrets: true, poll: true},
	"meta":     {new: newMeta, answer: "empty", secrets: true, verification: true},
	"telegram": {new: newTelegram, answer: "empty", secrets: true, poll: true},
	"twilio":   {new: newTwilio, answer: "twiml", secrets: true, url: true},
	"uis":      {new: newUIS, answer: "ok", open: true},
	"vk":       {new: newVK, answer: "ok", secrets: true, verification: true, poll: true},
	"whatsapp": {new: newMeta, answer: "empty", secrets: true, verification: true},
	"zadarma":  {new: newZadarma, answer: "empty", secrets: true},
}

// Names are the presets that are protocols, sorted.
func Names() []string { return slices.Sorted(maps.Keys(kinds)) }

// New makes the protocol of that name, and nil when there is none.
func New(name string, c Config) Protocol {
	k, ok := kinds[name]
	if !ok {
		return nil
	}
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	return k.new(c)
}

// Open says that nothing proves who sends: a source of this protocol needs a key in its address.
func Open(name string) bool { return kinds[name].open }

// Asked says whether a service of this protocol can be asked for its events.
func Asked(name string) bool { return kinds[name].poll }

// Known says whether a preset is a protocol.
func Known(name string) bool { return kinds[name].new != nil }

// Answer is what the service takes for "kept": ok, empty, json or twiml.
func Answer(name string) string { return kinds[name].answer }

// Missing says for each key that a source of this protocol must have and has not, what to write there.
func Missing(name string, c Config) map[string]string {
	k, cures := kinds[name], map[string]string{}
	if c.Poll {
		if c.Token == "" {
			cures["token"] = "write the token that the service has given, say \"${env:CHANNEL_TOKEN}\""
		}
		return cures
	}
	if k.secrets && (len(c.Secrets) == 0 || slices.Contains(c.Secrets, "")) {
		cures["secrets"] = "write the secret that the service knows, say [\"${env:CHANNEL_SECRET}\"]"
	}
	if k.accounts && len(c.Accounts) == 0 {
		cures["accounts"] = "write the number of your group, page or account there"
	}
	if k.verification && c.Verification == "" {
		cures["verification"] = "write the text that the service shows or expects when it tries the address"
	}
	if k.url && !validURL(c.URL) {
		cures["url"] = "write the address as the service knows it, https://…: it signs the address too"
	}
	return cures
}

func validURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Host != ""
}

// ours says whether an event is for one of our accounts.
func (c *Config) ours(account string) bool {
	return len(c.Accounts) == 0 || slices.Contains(c.Accounts, account)
}

// say is a sentence for a person.
func (c *Config) say(en, ru string) string {
	if c.Language == "ru" {
		return ru
	}
	return en
}

// isSecret compares a text with every secret, in a time that depends on neither.
func (c *Config) isSecret(given string) bool {
	found := 0
	for _, secret := range c.Secrets {
		found |= subtle.ConstantTimeCompare([]byte(secret), []byte(given))
	}
	return found == 1 && given != ""
}

// name puts a person's name together from its parts.
func name(parts ...string) string {
	return streams.CleanName(strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " "))
}

// phone is a number as people and telephone exchanges write it, in its normal form, and as written when it has none.
func (c *Config) phone(text string) string {
	if p, ok := streams.NormalizePhone(text, c.Region); ok {
		return p
	}
	return streams.CleanName(text)
}

// international is a number as messengers write it: with the code of its country, and often without the plus.
func (c *Config) international(text string) string {
	if p, ok := streams.NormalizePhone("+"+strings.TrimPrefix(text, "+"), c.Region); ok {
		return p
	}
	return c.phone(text)
}

// seconds is a moment from Unix seconds, or from milliseconds where a service sends those: there is no saying by the field.
func seconds(n int64) time.Time {
	switch {
	case n <= 0, n >= 253402300800e3: // RFC 3339, and so JSON, ends with the year 9999
		return time.Time{}
	case n > 1e11:
		return time.UnixMilli(n).UTC()
	}
	return time.Unix(n, 0).UTC()
}

// fields collects what a lead has no place for.
type fields map[string]json.RawMessage

// set keeps a value that says something.
func (f *fields) set(key string, value any) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
		value = strings.ToValidUTF8(v, "\uFFFD")
	case int64:
		if v == 0 {
			return
		}
	case json.RawMessage:
		if len(v) == 0 || string(v) == "null" || string(v) == "[]" || string(v) == "{}" {
			return
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return // a value that came as JSON and is none cannot be
	}
	if *f == nil {
		*f = fields{}
	}
	(*f)[key] = text
}

// started takes a deep link's word out of a message: what stands after /start says where the person came from.
func started(l *streams.Lead, f *fields) {
	from, ok := strings.CutPrefix(l.Message, "/start")
	if !ok || from != "" && from[0] != ' ' {
		return
	}
	l.Message = ""
	if from = strings.TrimSpace(from); from != "" {
		f.set("start", from)
		l.UTM = map[string]string{"campaign": from}
	}
}

// answer keeps what somebody answered to a question of a form, by the question, or by its key where it has no words.
func (f *fields) answer(question, key, said string) {
	question = streams.CleanName(question)
	if _, taken := (*f)[question]; question == "" || taken {
		question = key
	}
	if question != "" {
		f.set(question, said)
	}
}

// answers are the texts of an answer, which may be a text, a list, or an object with either in value.
func answers(raw json.RawMessage) []string {
	var wrapped struct {
		Value json.RawMessage `json:"value"`
	}
	if json.Unmarshal(raw, &wrapped) == nil && len(wrapped.Value) > 0 {
		raw = wrapped.Value
	}
	var one id
	if len(raw) == 0 || json.Unmarshal(raw, &one) == nil {
		return []string{string(one)}
	}
	var many []id
	if json.Unmarshal(raw, &many) != nil {
		return []string{string(raw)} // rather in the form it came in than not at all
	}
	all := make([]string, len(many))
	for i, m := range many {
		all[i] = string(m)
	}
	return all
}

// email is an address in its normal form, and as written when it is none.
func email(s string) string {
	if e, ok := streams.NormalizeEmail(s); ok {
		return e
	}
	return streams.CleanName(s)
}

// flag is what some services write as true or false, and others as 1 or 0.
type flag bool

func (f *flag) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "true", "1", `"1"`, `"true"`:
		*f = true
	case "false", "0", `"0"`, `"false"`, `""`, "null":
		*f = false
	default:
		return errors.New("a flag is neither true nor false")
	}
	return nil
}

// id is a name that a service writes as a number or as a text; a number keeps all its digits.
type id string

func (d *id) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "null":
		return nil
	case b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*d = id(text(s))
		return nil
	}
	if _, err := strconv.ParseInt(string(b), 10, 64); err != nil {
		return errors.New("an id is neither a whole number nor a text")
	}
	*d = id(b)
	return nil
}

// number is the id as a number, 0 when it is none.
func (d id) number() int64 {
	n, _ := strconv.ParseInt(string(d), 10, 64)
	return n
}

// some says whether there is an id at all: services write 0 for none.
func (d id) some() bool { return d != "" && d != "0" }

// attachment is what hangs on a message and is no file: a link, an article of the shop.
type attachment struct {
	Kind string `json:"kind"`
	ID   string `json:"id,omitempty"`
	URL  string `json:"url,omitempty"`
	Name string `json:"name,omitempty"`
}

// fileKinds are the attachments that are files.
var fileKinds = map[string]bool{
	"photo": true, "voice": true, "audio": true, "video": true, "document": true, "sticker": true, "graffiti": true,
	"story_mention": true, "reel": true, "ig_reel": true,
}

// mostFiles is how many files a message may have: no service sends more.
const mostFiles = 50

// attach puts what hangs on a message where it belongs: files among the lead's media, the rest among its fields.
func attach(l *streams.Lead, f *fields, all []streams.Media) {
	var others []attachment
	for _, m := range all {
		m.Kind, m.Name, m.Ref, m.URL = text(m.Kind), text(m.Name), text(m.Ref), strings.ToValidUTF8(m.URL, "")
		if m.Size < 0 {
			m.Size = 0
		}
		if fileKinds[m.Kind] && len(l.Media) < mostFiles {
			l.Media = append(l.Media, m)
		} else {
			others = append(others, attachment{Kind: m.Kind, ID: m.Ref, URL: m.URL, Name: m.Name})
		}
	}
	if others != nil {
		out, _ := json.Marshal(others)
		f.set("attachments", json.RawMessage(out))
	}
}

// ignored is an event that nothing is kept of.
func ignored(why string) Event { return Event{Ignore: why} }

// Stranger is why an event that surely comes from the service is not kept: it is for none of the source's accounts.
const Stranger = "another account"

// unreadable is an error that names the place and not the content.
func unreadable(err error) error {
	switch e := err.(type) {
	case *json.UnmarshalTypeError:
		return fmt.Errorf("field %s is a %s", e.Field, strings.Fields(e.Value + " ?")[0]) // the value itself may follow
	case *json.SyntaxError:
		return fmt.Errorf("no JSON at byte %d", e.Offset)
	}
	return err
}

// text is what a customer wrote, fit to be kept.
func text(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.TrimSpace(strings.ReplaceAll(s, "\x00", ""))
}
