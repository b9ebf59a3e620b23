package channel

import (
	"bytes"
	"errors"
	"mime/multipart"
	"net/url"
	"strings"
	"time"

	"leadstream/streams"
)

// Telephone exchanges tell of a call many times while it lasts. Only its end says whether somebody answered, and a call
// that came in and that nobody answered is a lead.

// missed is a call that nobody answered.
type missed struct {
	id     string // the exchange's own name for the call
	caller string // as the exchange writes it: a number, a SIP address, "anonymous"
	line   string // our number that was called
	at     time.Time
	reason string // the exchange's word for how it ended
	name   string
}

// missedCall is the lead of a missed call. Who hides the number leaves nobody to call back, but somebody called.
func (c *Config) missedCall(m missed) (Event, error) {
	if m.id == "" {
		return Event{}, errors.New("the call has no id")
	}
	l := streams.Lead{Channel: "call", Key: m.id, EventAt: m.at, Name: name(m.name)}
	var f fields
	f.set("missed_call", true)
	f.set("line", text(m.line))
	f.set("reason", text(m.reason))
	number := strings.TrimPrefix(m.caller, "sip:")
	number, _, _ = strings.Cut(number, "@")
	if p, ok := streams.NormalizePhone(number, c.Region); ok && dialled(number) {
		l.Phone = p
	} else {
		f.set("caller", text(m.caller))
	}
	l.Fields = f
	return Event{Lead: l}, nil
}

// dialled says whether a text is a number and nothing else.
func dialled(s string) bool {
	return s != "" && strings.Trim(s, "+0123456789 ()-") == ""
}

// form reads the fields of a form: url-encoded, or multipart with whatever boundary the body itself begins with, since
// some exchanges name another one in the header.
func form(body []byte) (url.Values, error) {
	if first, _, ok := bytes.Cut(body, []byte("\r\n")); ok && bytes.HasPrefix(first, []byte("--")) && len(first) < 128 {
		const memory = 1 << 20
		parts, err := multipart.NewReader(bytes.NewReader(body), string(first[2:])).ReadForm(memory)
		if err != nil {
			return nil, errors.New("no form: a part is broken")
		}
		defer func() { _ = parts.RemoveAll() }()
		return parts.Value, nil
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errors.New("no form: an escape is broken")
	}
	return values, nil
}

// local is a moment that an exchange writes without a zone: the business's own, since 2006-01-02 15:04:05 says no more.
func (c *Config) local(text string) time.Time {
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04:05.999999", time.RFC3339, time.RFC1123Z} {
		if at, err := time.ParseInLocation(layout, strings.TrimSpace(text), c.Zone); err == nil {
			return at.UTC()
		}
	}
	return time.Time{}
}
