package calendar

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"leadstream/sinks/httpx"
	"leadstream/streams"
)

// dav speaks to calendars on a CalDAV server (RFC 4791), as far as bookings need it.
type dav struct {
	client *httpx.Client
	auth   string // header
	zone   *time.Location
	odd    func(error) // hears of an event that cannot be read, and is passed over
}

func newDAV(s Server, zone *time.Location, odd func(error)) (*dav, error) {
	auth := ""
	if s.User != "" || s.Password != "" {
		auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(s.User+":"+s.Password))
	}
	client, err := httpx.New(httpx.Options{Timeout: s.Timeout, MaxBody: 32 << 20, CAFile: s.CAFile, Proxy: s.Proxy, AllowPrivate: s.AllowPrivate,
		Secrets: []string{s.Password, auth}})
	return &dav{client: client, auth: auth, zone: zone, odd: odd}, err
}

// Answers of the server that mean something.
var (
	errThere   = errors.New("there is an event of this name already, or it was changed") // 412
	errMissing = errors.New("there is no such event")
)

// ask makes one call. What may be asked twice is, at once.
func (d *dav) ask(ctx context.Context, method, to string, head map[string]string, body []byte, safe bool) (httpx.Answer, error) {
	r := httpx.Request{Method: method, URL: to, Body: body, Safe: safe, Header: http.Header{}}
	if d.auth != "" {
		r.Header.Set("Authorization", d.auth)
	}
	for k, v := range head {
		r.Header.Set(k, v)
	}
	a, err := d.client.Do(ctx, r)
	switch {
	case err != nil:
		return a, fmt.Errorf("CalDAV: %w", err)
	case a.Truncated:
		return a, errors.New("CalDAV: the answer is longer than 32 MiB")
	case a.OK():
		return a, nil
	}
	switch a.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return a, fmt.Errorf("CalDAV: the server refuses the user or the password (%d): correct calendar.caldav; some servers want a password made for programs", a.Status)
	case http.StatusNotFound, http.StatusGone:
		return a, errMissing
	case http.StatusPreconditionFailed:
		return a, errThere
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return a, fmt.Errorf("CalDAV: the server sends us elsewhere (%d): write the address to which it does", a.Status)
	}
	return a, fmt.Errorf("CalDAV: the server answers %d", a.Status)
}

type multistatus struct {
	Responses []struct {
		Href  string `xml:"DAV: href"`
		Stats []struct {
			Prop struct {
				ETag string `xml:"DAV: getetag"`
				Data string `xml:"urn:ietf:params:xml:ns:caldav calendar-data"`
				Type struct {
					Calendar *struct{} `xml:"urn:ietf:params:xml:ns:caldav calendar"`
				} `xml:"DAV: resourcetype"`
			} `xml:"DAV: prop"`
		} `xml:"DAV: propstat"`
	} `xml:"DAV: response"`
}

const utc = "20060102T150405Z"

// events are those of a calendar that touch a time, whoever made them.
func (d *dav) events(ctx context.Context, calendar string, within span) (all []event, err error) {
	body := `<?xml version="1.0" encoding="utf-8"?><C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">` +
		`<D:prop><D:getetag/><C:calendar-data/></D:prop><C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">` +
		`<C:time-range start="` + within.from.UTC().Format(utc) + `" end="` + within.to.UTC().Format(utc) + `"/>` +
		`</C:comp-filter></C:comp-filter></C:filter></C:calendar-query>`
	a, err := d.ask(ctx, "REPORT", calendar, map[string]string{"Depth": "1", "Content-Type": "application/xml; charset=utf-8"}, []byte(body), true)
	if errors.Is(err, errMissing) {
		return nil, errors.New("CalDAV: there is no such calendar: correct calendar.caldav.url, or the master's calendar")
	}
	if err != nil {
		return nil, err
	}
	var m multistatus
	if a.Status != http.StatusMultiStatus || xml.Unmarshal(a.Body, &m) != nil {
		return nil, errors.New("CalDAV: the answer is no list of events: is this the address of a calendar?")
	}
	base, err := url.Parse(calendar)
	if err != nil {
		return nil, err
	}
	for _, r := range m.Responses {
		for _, s := range r.Stats {
			if s.Prop.Data == "" {
				continue
			}
			href, err := base.Parse(r.Href)
			if err != nil || href.Host != base.Host || href.Scheme != base.Scheme {
				return nil, errors.New("CalDAV: an event has an address elsewhere")
			}
			e, err := parseEvent(href.String(), s.Prop.ETag, s.Prop.Data, d.zone)
			if err != nil {
				d.odd(err)
				continue
			}
			all = append(all, e)
		}
	}
	return all, nil
}

// get reads one event; errMissing: it is not there.
func (d *dav) get(ctx context.Context, href string) (event, error) {
	a, err := d.ask(ctx, http.MethodGet, href, nil, nil, true)
	if err != nil {
		return event{}, err
	}
	return parseEvent(href, a.Header.Get("ETag"), string(a.Body), d.zone)
}

// put writes an event: a new one where etag is empty, else in the place of the one that has it. errThere: not so.
func (d *dav) put(ctx context.Context, href, etag string, body []byte) error {
	head := map[string]string{"Content-Type": "text/calendar; charset=utf-8", "If-None-Match": "*"}
	if etag != "" {
		delete(head, "If-None-Match")
		head["If-Match"] = etag
	}
	a, err := d.ask(ctx, http.MethodPut, href, head, body, false)
	if a.Status == http.StatusConflict && etag == "" { // this id is in the calendar under another name (RFC 4791 5.3.2.1)
		return errThere
	}
	return err
}

// remove takes an event away; one that is gone is.
func (d *dav) remove(ctx context.Context, href, etag string) error {
	head := map[string]string{}
	if etag != "" {
		head["If-Match"] = etag
	}
	_, err := d.ask(ctx, http.MethodDelete, href, head, nil, false)
	if errors.Is(err, errMissing) {
		return nil
	}
	return err
}

// check asks whether an address is a calendar.
func (d *dav) check(ctx context.Context, calendar string) error {
	body := `<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:"><D:prop><D:resourcetype/></D:prop></D:propfind>`
	a, err := d.ask(ctx, "PROPFIND", calendar, map[string]string{"Depth": "0", "Content-Type": "application/xml; charset=utf-8"}, []byte(body), true)
	if errors.Is(err, errMissing) {
		return errors.New("CalDAV: there is no such calendar: correct calendar.caldav.url, or the master's calendar")
	}
	if err != nil {
		return err
	}
	var m multistatus
	if xml.Unmarshal(a.Body, &m) == nil {
		for _, r := range m.Responses {
			for _, s := range r.Stats {
				if s.Prop.Type.Calendar != nil {
					return nil
				}
			}
		}
	}
	return errors.New("CalDAV: something answers there that is no calendar: write the address of the calendar itself")
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// hrefOf is where we put an event of an id.
func hrefOf(calendar, uid string) string {
	if !plainName.MatchString(uid) {
		uid = streams.NewID("event", uid)
	}
	return calendar + uid + ".ics"
}

// calendarURL is the address of a master's calendar: with a slash at its end.
func calendarURL(server, of string) (string, error) {
	base, err := url.Parse(server)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return "", errors.New("is no address of http or https")
	}
	base.Path = strings.TrimSuffix(base.Path, "/") + "/"
	if of == "" {
		return base.String(), nil
	}
	u, err := base.Parse(of)
	if err != nil || u.Host == "" || u.User != nil || path.Clean("/"+u.Path) == "/" {
		return "", errors.New("is no address of a calendar")
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/"
	return u.String(), nil
}
