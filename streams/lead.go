// Package streams moves leads: a journal on disk, then queues on Redis Streams in which an entry waits, is retried,
// is handed on, or dies. It knows nothing of what is done with a lead; processors judge leads, sinks deliver them.
package streams

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"strings"
	"time"
)

// Lead is one customer enquiry, as it travels from the shim to the sinks. Its JSON is the wire format of the streams,
// of `POST /v1/leads`, and of programs that XADD to the intake stream themselves (IN-06).
type Lead struct {
	ID         string    `json:"id,omitempty"`         // 26 letters and digits, see NewID; made by leadstream (IN-07)
	Source     string    `json:"source,omitempty"`     // configured name of the source, say "site" (IN-09)
	Key        string    `json:"key,omitempty"`        // the sender's own idempotency key or event id
	Home       string    `json:"home,omitempty"`       // instance whose journal has custody of the lead
	ReceivedAt time.Time `json:"received_at,omitzero"` // when the shim took it; event time may be days earlier
	EventAt    time.Time `json:"event_at,omitzero"`    // when the customer wrote, if the sender says so

	Name    string `json:"name,omitempty"`
	Phone   string `json:"phone,omitempty"` // E.164, or as written when it is not a valid number (D-01)
	Email   string `json:"email,omitempty"` // lower case
	Service string `json:"service,omitempty"`
	Time    string `json:"time,omitempty"` // the wished time, as written
	Message string `json:"message,omitempty"`
	Channel string `json:"channel,omitempty"` // whatsapp, telegram, site, call …
	UserID  string `json:"user_id,omitempty"` // the customer's id in Channel

	UTM    map[string]string          `json:"utm,omitempty"`    // source, medium, campaign, content, term
	Fields map[string]json.RawMessage `json:"fields,omitempty"` // whatever else came, verbatim
	Media  []Media                    `json:"media,omitempty"`  // files that came with it (IN-12)

	// Ref names the enquiry at its service when nothing else has come of it: "leadgen:400000000000001". It is fetched
	// before the lead is judged, and then empty.
	Ref string `json:"ref,omitempty"`

	// Event names what has happened with a customer when this is no enquiry but news: one of Events, or EventSegment.
	// Empty: an enquiry. News are counted in what is remembered of the customer and go to nobody who did not ask for them.
	Event string `json:"event,omitempty"`
	About string `json:"about,omitempty"` // the lead that an event is about, when its sender knows

	// Problems are mapping errors found at intake, one sentence each: the lead is kept, a person is told.
	Problems []string `json:"problems,omitempty"`

	// RepeatOf is the lead that this one is attached to: same body within 48 h, or same phone or e-mail within the
	// dedupe window. A repeat reaches the sinks too, and they say so instead of creating a second card.
	RepeatOf string `json:"repeat_of,omitempty"`

	// Set by triage and tagging.
	Intent     string   `json:"intent,omitempty"`     // what the customer wants first of all, "booking"
	Intents    []string `json:"intents,omitempty"`    // all that the message wants; Intent is among them
	Confidence float64  `json:"confidence,omitempty"` // in Intent, from 0 to 1
	Answered   bool     `json:"answered,omitempty"`   // Confidence is enough to act on without a person
	Person     string   `json:"person,omitempty"`     // why a person is to answer, "medical"; empty: nothing asks for one
	Slots      *Slots   `json:"slots,omitempty"`
	Hot        bool     `json:"hot,omitempty"` // takes the hot queue of each destination
	Language   string   `json:"language,omitempty"`
	Level      string   `json:"level,omitempty"` // customer level, never empty after tagging (G-18)
	Priority   int      `json:"priority,omitempty"`
	Tags       []string `json:"tags,omitempty"`

	Score     int      `json:"score,omitempty"`     // 0 to 100: how likely it becomes a sale
	Reasons   []string `json:"reasons,omitempty"`   // of the score, in fixed English words
	HotWords  []string `json:"hot_words,omitempty"` // classes of which words stand in the message (G-15)
	Segments  []string `json:"segments,omitempty"`  // that the customer is in (G-17)
	Sentiment float64  `json:"sentiment,omitempty"` // 0.01 (not content at all) to 1; 0: the message tells nothing (G-12)
}

// Media is a file that a customer has sent: where the service has it, and, once it was fetched, which of the stored files
// it is. It is settled when it has a Hash or a Problem.
type Media struct {
	Kind    string `json:"kind"`              // photo, voice, audio, video, document, sticker; else as the service names it
	Name    string `json:"name,omitempty"`    // as the sender named the file
	Type    string `json:"type,omitempty"`    // MIME type: as told, and once stored as found
	Size    int64  `json:"size,omitempty"`    // bytes: as told, and once stored as they are
	Ref     string `json:"ref,omitempty"`     // the service's own id of the file
	URL     string `json:"url,omitempty"`     // where the service has it; seldom for long
	Hash    string `json:"hash,omitempty"`    // of the stored file: SHA-256 in hex
	Problem string `json:"problem,omitempty"` // why there is no file, or not the one wanted: a word of media.Problems
}

// Slots are the particulars of a message that have no field of their own.
type Slots struct {
	When    *When  `json:"when,omitempty"`
	Order   string `json:"order,omitempty"`   // its number, in capitals
	Product string `json:"product,omitempty"` // the business's code for it (C-15)
	Branch  string `json:"branch,omitempty"`
	Price   *Price `json:"price,omitempty"`
}

// When is a wished time: from Start until End, in the business's own zone.
type When struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	Kind  string    `json:"kind"` // exact (End is Start), part_of_day, day (one or several)
}

// Price is what a customer would pay: from From to To, of which 0 is not said.
type Price struct {
	From int `json:"from,omitempty"`
	To   int `json:"to,omitempty"`
}

// Events are the news of a customer that a sender may tell.
var Events = []string{
	"sent",      // a program has written to the customer
	"delivered", // what it wrote is on the customer's device
	"answered",  // a person of the business has written
	"failed",    // what was written has not reached the customer,
	"read",      // who has read it
	"click",     // opened a link in it
	"reply",     // answered
	"order",     // ordered, paid
	"visit",     // came
	"won",       // the deal ended in a sale
	"lost",      // or without one
	"blocked",   // the customer takes no more messages in the channel,
	"unblocked", // takes them again
}

// EventSegment is news that leadstream makes itself: a customer has come into a segment, or left it (G-17).
const EventSegment = "segment"

// LateKey begins the key of a lead that only brings files of another one, which went on without them.
const LateKey = "late:"

// BringsFiles says that the lead is nothing but files of the one that it repeats, come late: nobody has written again.
func (l *Lead) BringsFiles() bool {
	return strings.HasPrefix(l.Key, LateKey) && l.RepeatOf != "" && len(l.Media) > 0 && l.Event+l.Message+l.UserID+l.Phone+l.Email == ""
}

// OrderKey says whose lead it is: the first of channel user id, phone, e-mail and lead id. Leads with one order key
// reach a destination in the order in which they came.
func (l *Lead) OrderKey() string {
	switch {
	case l.UserID != "":
		return "u:" + l.Channel + ":" + l.UserID
	case l.Phone != "":
		return "p:" + l.Phone
	case l.Email != "":
		return "e:" + l.Email
	}
	return "l:" + l.ID
}

var idCoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID derives a lead id, 26 letters and digits, from what makes a lead the same lead: source, key and canonical body.
func NewID(parts ...string) string {
	var few [512]byte
	b := few[:0]
	for i, p := range parts {
		if i > 0 {
			b = append(b, 0)
		}
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	var id [26]byte
	idCoding.Encode(id[:], sum[:16])
	return string(id[:])
}
