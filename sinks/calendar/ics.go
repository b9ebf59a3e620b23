package calendar

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-ical"
	"github.com/teambition/rrule-go"

	"leadstream/streams/visits"
)

// Events are RFC 5545. Ours are told by X-LEADSTREAM, which holds the nanosecond in which we began to write them there: the
// order in which two of us compete for a time.
const propOurs = "X-LEADSTREAM"

// event is what is read of one resource on the server: an event with the exceptions of its recurrence.
type event struct {
	href, etag string
	data       *ical.Calendar
	uid        string
	made       int64 // ours: its X-LEADSTREAM; 0: somebody else's
	start, end time.Time
	cancelled  bool
}

func parseEvent(href, etag, text string, zone *time.Location) (e event, err error) {
	e.href, e.etag = href, etag
	err = errors.New("an event is not iCalendar") // the libraries quote it
	defer unpanicked(&err)
	data, decodeErr := ical.NewDecoder(strings.NewReader(text)).Decode()
	if decodeErr != nil {
		return e, err
	}
	e.data = data
	first := e.main()
	if first == nil {
		return e, errors.New("an entry is no event")
	}
	e.uid, _ = first.Props.Text(ical.PropUID)
	if p := first.Props.Get(propOurs); p != nil {
		e.made, _ = strconv.ParseInt(p.Value, 10, 64)
	}
	e.cancelled = status(first) == string(ical.EventCancelled)
	e.start, e.end, err = times(first, zone)
	return e, err
}

// unpanicked makes an error of what the libraries do at a text that is cut off in its middle.
func unpanicked(err *error) {
	if recover() != nil {
		*err = errors.New("an event cannot be read")
	}
}

// main is the event itself, beside the exceptions of its recurrence.
func (e *event) main() *ical.Component {
	var first *ical.Component
	for _, c := range e.data.Children {
		if c.Name == ical.CompEvent && (first == nil || c.Props.Get(ical.PropRecurrenceID) == nil) {
			if first == nil || first.Props.Get(ical.PropRecurrenceID) != nil {
				first = c
			}
		}
	}
	return first
}

func status(c *ical.Component) string {
	p := c.Props.Get(ical.PropStatus)
	if p == nil {
		return ""
	}
	return strings.ToUpper(p.Value)
}

// blocks says whether an event keeps whoever has it from other things.
func blocks(c *ical.Component) bool {
	p := c.Props.Get(ical.PropTransparency)
	return status(c) != string(ical.EventCancelled) && (p == nil || !strings.EqualFold(p.Value, "TRANSPARENT"))
}

// times are those of an event, of a whole day from its midnight on.
func times(c *ical.Component, zone *time.Location) (start, end time.Time, err error) {
	at := c.Props.Get(ical.PropDateTimeStart)
	if at == nil {
		return start, end, errors.New("an event has no beginning")
	}
	if start, err = moment(at.Value, at.Params, zone); err != nil {
		return start, end, err
	}
	if p := c.Props.Get(ical.PropDateTimeEnd); p != nil {
		end, err = moment(p.Value, p.Params, zone)
		return start, end, err
	}
	if p := c.Props.Get(ical.PropDuration); p != nil {
		d, err := p.Duration()
		if err != nil {
			return start, end, errors.New("the duration of an event cannot be read")
		}
		return start, start.Add(d), nil
	}
	if len(at.Value) == len("20060102") {
		return start, start.AddDate(0, 0, 1), nil
	}
	return start, start, nil
}

// moment reads a date, a time in a zone, in UTC, or in whatever zone the reader is.
func moment(value string, params ical.Params, zone *time.Location) (time.Time, error) {
	in := zone
	if id := params.Get(ical.PropTimezoneID); id != "" {
		in = zoneOf(id, zone)
	}
	for _, layout := range []string{"20060102T150405", "20060102"} {
		if t, err := time.ParseInLocation(layout, value, in); err == nil {
			return t, nil
		}
	}
	t, err := time.Parse("20060102T150405Z", value)
	if err != nil {
		return t, errors.New("the time of an event cannot be read")
	}
	return t, nil
}

// Names that Outlook has for the zones in which its Russian users live
// (github.com/unicode-org/cldr, common/supplemental/windowsZones.xml).
var windowsZones = map[string]string{
	"Kaliningrad Standard Time": "Europe/Kaliningrad", "Russian Standard Time": "Europe/Moscow", "Russia Time Zone 3": "Europe/Samara",
	"Ekaterinburg Standard Time": "Asia/Yekaterinburg", "Omsk Standard Time": "Asia/Omsk", "N. Central Asia Standard Time": "Asia/Novosibirsk",
	"North Asia Standard Time": "Asia/Krasnoyarsk", "North Asia East Standard Time": "Asia/Irkutsk", "Yakutsk Standard Time": "Asia/Yakutsk",
	"Vladivostok Standard Time": "Asia/Vladivostok", "Russia Time Zone 11": "Asia/Kamchatka", "W. Europe Standard Time": "Europe/Berlin",
	"GMT Standard Time": "Europe/London", "Central Asia Standard Time": "Asia/Almaty", "UTC": "UTC",
}

// zoneOf is the zone of a name; of one that nobody knows, the business's own. Some programs put a path before the name.
func zoneOf(id string, usual *time.Location) *time.Location {
	if known := windowsZones[id]; known != "" {
		id = known
	}
	for part := id; part != ""; {
		if z, err := time.LoadLocation(part); err == nil && part != "Local" {
			return z
		}
		_, rest, found := strings.Cut(part, "/")
		if !found {
			break
		}
		part = rest
	}
	return usual
}

// mostTimes bounds how often an event recurs before it is believed to have no end.
const mostTimes = 200_000

// busy is when an event keeps somebody busy, within a time.
func (e *event) busy(within span, zone *time.Location) (all []span, err error) {
	defer unpanicked(&err)
	add := func(from, to time.Time) {
		if s := (span{from, to}); from.Before(to) && s.meets(within) {
			all = append(all, s)
		}
	}
	instead := map[int64]bool{} // times that an exception takes the place of
	for _, c := range e.data.Children {
		p := c.Props.Get(ical.PropRecurrenceID)
		if c.Name != ical.CompEvent || p == nil {
			continue
		}
		at, err := moment(p.Value, p.Params, zone)
		if err != nil {
			return nil, err
		}
		instead[at.Unix()] = true
		if start, end, err := times(c, zone); err != nil {
			return nil, err
		} else if blocks(c) {
			add(start, end)
		}
	}
	c := e.main()
	if c.Props.Get(ical.PropRecurrenceID) != nil || !blocks(c) {
		return all, nil
	}
	set, err := recurrence(c, e.start, zone)
	if err != nil {
		return nil, err
	}
	if set == nil {
		add(e.start, e.end)
		return all, nil
	}
	whole := len(c.Props.Get(ical.PropDateTimeStart).Value) == len("20060102")
	days := int(e.end.Sub(e.start).Round(24*time.Hour).Hours() / 24)
	next := set.Iterator()
	for range mostTimes {
		at, ok := next()
		if !ok || !at.Before(within.to) {
			return all, nil
		}
		switch {
		case instead[at.Unix()]:
		case whole:
			add(at, at.AddDate(0, 0, days))
		default:
			add(at, at.Add(e.end.Sub(e.start)))
		}
	}
	return nil, errors.New("an event recurs without end")
}

// recurrence are the times at which an event recurs; nil: it does not.
func recurrence(c *ical.Component, start time.Time, zone *time.Location) (*rrule.Set, error) {
	rule, dates := c.Props.Get(ical.PropRecurrenceRule), c.Props[ical.PropRecurrenceDates]
	if rule == nil && len(dates) == 0 {
		return nil, nil
	}
	set := &rrule.Set{}
	if rule != nil {
		option, err := rrule.StrToROptionInLocation(rule.Value, start.Location())
		if err != nil || option.Freq == rrule.SECONDLY || option.Freq == rrule.MINUTELY { // nobody means it, and it is long to count
			return nil, errors.New("the recurrence of an event cannot be read")
		}
		option.Dtstart = start
		r, err := rrule.NewRRule(*option)
		if err != nil {
			return nil, errors.New("the recurrence of an event cannot be read")
		}
		set.RRule(r)
	} else {
		set.RDate(start)
	}
	set.DTStart(start)
	for name, put := range map[string]func(time.Time){ical.PropRecurrenceDates: set.RDate, ical.PropExceptionDates: set.ExDate} {
		for _, p := range c.Props[name] {
			for value := range strings.SplitSeq(p.Value, ",") {
				value, _, _ = strings.Cut(value, "/") // a period: its beginning
				at, err := moment(value, p.Params, zone)
				if err != nil {
					return nil, err
				}
				put(at)
			}
		}
	}
	return set, nil
}

// words are what people read of a booking in their calendar.
type words struct{ title, note string }

// write is a booking as an event. Its times are in UTC: a moment, whatever the clocks do.
func write(uid string, b visits.Booking, w words, now time.Time) ([]byte, error) {
	e := ical.NewEvent()
	e.Props.SetText(ical.PropUID, uid)
	e.Props.SetDateTime(ical.PropDateTimeStamp, now.UTC())
	e.Props.SetDateTime(ical.PropCreated, now.UTC())
	setTimes(e.Component, b.Start, b.End)
	e.Props.SetText(ical.PropSummary, w.title)
	if w.note != "" {
		e.Props.SetText(ical.PropDescription, w.note)
	}
	setOurs(e.Component, now)
	data := ical.NewCalendar()
	data.Props.SetText(ical.PropVersion, "2.0")
	data.Props.SetText(ical.PropProductID, "-//leadstream//bookings//EN")
	data.Children = []*ical.Component{e.Component}
	return encode(data)
}

func setOurs(c *ical.Component, now time.Time) {
	p := ical.NewProp(propOurs)
	p.Value = strconv.FormatInt(now.UnixNano(), 10)
	c.Props.Set(p)
}

func setTimes(c *ical.Component, start, end time.Time) {
	for name, at := range map[string]time.Time{ical.PropDateTimeStart: start, ical.PropDateTimeEnd: end} {
		p := ical.NewProp(name)
		p.SetDateTime(at.UTC().Truncate(time.Second))
		c.Props.Set(p)
	}
	c.Props.Del(ical.PropDuration)
}

// moved is an event at another time, with all that people have added to it.
func (e *event) moved(start, end, now time.Time) ([]byte, error) {
	c := e.main()
	setTimes(c, start, end)
	if c.Props.Get(propOurs) != nil {
		setOurs(c, now)
	}
	stamp := ical.NewProp(ical.PropDateTimeStamp)
	stamp.SetDateTime(now.UTC())
	c.Props.Set(stamp)
	n := 0
	if p := c.Props.Get(ical.PropSequence); p != nil {
		n, _ = strconv.Atoi(p.Value)
	}
	sequence := ical.NewProp(ical.PropSequence)
	sequence.Value = strconv.Itoa(n + 1)
	c.Props.Set(sequence)
	return encode(e.data)
}

func encode(data *ical.Calendar) ([]byte, error) {
	var b bytes.Buffer
	if err := ical.NewEncoder(&b).Encode(data); err != nil {
		return nil, fmt.Errorf("an event cannot be written")
	}
	return b.Bytes(), nil
}
