package calendar

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"leadstream/sinks/records"
	"leadstream/streams/visits"
)

// caldav is a calendar on a CalDAV server, one for each master, into which people look and write themselves. When a visit is
// says the event there; whose it is and its version say the records.
//
// CalDAV refuses no two events at one time. So whoever writes one looks afterwards whether there is another, and takes its own
// away again: of two, who have both written before they look, the elder stays. See settle.
type caldav struct {
	*plan
	dav       *dav
	records   *records.Store
	addresses map[string]string // of the masters' calendars
	names     map[string]string // of services, by code
	log       zerolog.Logger

	mu     sync.Mutex // of Sync
	synced time.Time  // or tried
	failed error      // of that
}

func openDAV(s Settings, p *plan, env Env) (Calendar, error) {
	var faults []error
	fault := func(key, problem, ru, cure, cureRu string) {
		faults = append(faults, Fault{key, problem, ru, cure, cureRu})
	}
	c := &caldav{plan: p, records: env.Records, addresses: map[string]string{}, names: env.Services, log: env.Log}
	const cure, cureRu = "write it like https://dav.example.com/calendars/salon/", "напишите как https://dav.example.com/calendars/salon/"
	if _, err := calendarURL(s.CalDAV.URL, ""); err != nil {
		fault("caldav.url", err.Error(), "не адрес http или https", cure, cureRu)
	}
	for i, m := range p.masters {
		to, err := calendarURL(s.CalDAV.URL, m.Calendar)
		if err == nil && m.Name != "" && m.Calendar == "" {
			err = errors.New("is missing")
		}
		if err != nil && len(faults) == 0 {
			fault(fmt.Sprintf("masters[%d].calendar", i), err.Error(), "не адрес календаря", "write the end of its address after caldav.url, like anna/", "напишите конец адреса после caldav.url, например anna/")
		}
		c.addresses[m.Name] = to
	}
	for key, is := range map[string]struct{ got, least, most time.Duration }{
		"every": {s.CalDAV.Every, 10 * time.Second, time.Hour}, "timeout": {s.CalDAV.Timeout, time.Second, 2 * time.Minute},
	} {
		if is.got < is.least || is.got > is.most {
			fault("caldav."+key, "is "+is.got.String(), "равно "+is.got.String(), fmt.Sprintf("write %s to %s", is.least, is.most), fmt.Sprintf("напишите от %s до %s", is.least, is.most))
		}
	}
	var err error
	if c.dav, err = newDAV(s.CalDAV, p.zone, func(err error) { c.log.Warn().Err(err).Msg("an event in the calendar is passed over") }); err != nil {
		fault("caldav", err.Error(), err.Error(), "correct it", "исправьте")
	}
	return c, errors.Join(faults...)
}

// holdOf names the event that keeps a new time while a visit is moved there.
func holdOf(uid string) string { return uid + "-hold" }

// abandoned is how old what we have written must be before it is taken for what a crash has left behind.
const abandoned = 10 * time.Minute

// around is how far from a time its events are asked for: servers take whole days and times without a zone for UTC's.
const around = 24 * time.Hour

// look reads the calendars of masters, all at the same time.
func (c *caldav) look(ctx context.Context, masters []string, within span) (map[string][]event, error) {
	within = span{within.from.Add(-around), within.to.Add(around)}
	found := make([][]event, len(masters))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, name := range masters {
		g.Go(func() (err error) {
			found[i], err = c.dav.events(ctx, c.addresses[name], within)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := map[string][]event{}
	for i, name := range masters {
		all[name] = found[i]
	}
	return all, nil
}

// times are when events keep their master busy.
func (c *caldav) times(all []event, within span) (busy []span) {
	for _, e := range all {
		spans, err := e.busy(within, c.zone)
		if err != nil {
			c.dav.odd(err)
			continue
		}
		busy = append(busy, spans...)
	}
	return busy
}

// Free is who is free when, by the calendars as they stand now.
func (c *caldav) Free(ctx context.Context, w visits.Wish) ([]visits.Slot, error) {
	within := c.bounds(w)
	if within.to.Before(within.from) {
		return nil, nil
	}
	within.from, within.to = within.from.Add(-c.Gap), within.to.Add(c.lasts(w.Service)+c.Gap)
	var names []string
	for _, m := range c.masters {
		if m.serves(w.Service, w.Master, w.Branch) {
			names = append(names, m.Name)
		}
	}
	found, err := c.look(ctx, names, within)
	if err != nil {
		return nil, err
	}
	busy := map[string][]span{}
	for name, all := range found {
		busy[name] = c.times(all, within)
	}
	return c.free(w, busy), nil
}

// against are the events that stand in the way of a visit, but for those of its own.
func (c *caldav) against(all []event, own string, s span) (others []event) {
	need := span{s.from.Add(-c.Gap), s.to.Add(c.Gap)}
	for _, e := range all {
		if e.uid != own && e.uid != holdOf(own) && len(c.times([]event{e}, need)) > 0 {
			others = append(others, e)
		}
	}
	return others
}

// Book writes the event, then the booking. The same one made twice finds its event.
func (c *caldav) Book(ctx context.Context, b visits.Booking) (visits.Booking, error) {
	if stands, err := c.records.Booking(ctx, b.ID); err == nil {
		return stands, nil
	}
	card, err := c.records.Card(ctx, b.Customer, false)
	if err != nil {
		return b, err
	}
	s := slotOf(b)
	names, err := c.check(&s)
	if err != nil {
		return b, err
	}
	b.Customer, b.Status, b.Version = card.ID, visits.Booked, 0
	b.Start, b.End = s.Start.Truncate(time.Second), s.End.Truncate(time.Second)
	found, err := c.look(ctx, names, span{b.Start, b.End})
	if err != nil {
		return b, err
	}
	slices.SortStableFunc(names, func(x, y string) int { return has(found[y], b.ID) - has(found[x], b.ID) }) // a try before this one
	for _, name := range names {
		if len(c.against(found[name], b.ID, span{b.Start, b.End})) > 0 && has(found[name], b.ID) == 0 {
			continue
		}
		b.Master, b.Branch = name, c.branch(name)
		body, err := write(b.ID, b, c.say(b, card.Name), time.Now())
		if err != nil {
			return b, err
		}
		won, err := c.take(ctx, name, b.ID, b.ID, span{b.Start, b.End}, body)
		if err != nil {
			return b, err
		}
		if won {
			return c.keep(ctx, b)
		}
	}
	return b, visits.ErrTaken
}

func has(all []event, uid string) int {
	if slices.ContainsFunc(all, func(e event) bool { return e.uid == uid }) {
		return 1
	}
	return 0
}

// keep writes a booking whose event is in the calendar.
func (c *caldav) keep(ctx context.Context, b visits.Booking) (visits.Booking, error) {
	stands, err := c.records.SaveBooking(ctx, b)
	if errors.Is(err, visits.ErrChanged) { // by Sync, which has seen the event first, or the same call elsewhere
		if now, e := c.records.Booking(ctx, b.ID); e == nil && now.Status == b.Status && now.Start.Equal(b.Start) {
			stands, err = now, nil
		}
	}
	if err == nil {
		err = c.records.InCalendar(ctx, b.ID)
	}
	return stands, err
}

// say is what people read of a visit in their calendar.
func (c *caldav) say(b visits.Booking, name string) words {
	title := b.Service
	if n := c.names[title]; n != "" {
		title = n
	}
	title = strings.Trim(title+", "+name, ", ")
	if title == "" {
		title = "leadstream"
	}
	return words{title: title, note: fmt.Sprintf("leadstream customers show %d", b.Customer)}
}

// take writes an event of an id where nobody else has that time, and says whether it stands.
func (c *caldav) take(ctx context.Context, master, own, uid string, s span, body []byte) (bool, error) {
	href := hrefOf(c.addresses[master], uid)
	err := c.dav.put(ctx, href, "", body)
	if errors.Is(err, errThere) { // a try before this one
		var e event
		if e, err = c.dav.get(ctx, href); err == nil && (!e.start.Equal(s.from) || !e.end.Equal(s.to)) {
			err = c.dav.put(ctx, href, e.etag, body)
		}
	}
	won := false
	if err == nil {
		won, err = c.settle(ctx, master, own, uid, s)
	}
	if err == nil && won || errors.Is(err, errMissing) {
		return won, nil
	}
	// Whatever has happened, nobody is to find the time taken by what was not booked.
	later, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.CalDAV.Timeout)
	defer cancel()
	return false, errors.Join(err, c.dav.remove(later, href, ""))
}

// rounds are how often one who stays waits for others to give way, up to half a second each time.
const rounds = 8

// settle decides about a time once our event of it is written. Who looks and sees no other keeps it: whoever writes later sees
// ours when they look. Who sees one that gives way to nobody, or an elder one of ours, loses; who sees younger ones waits for
// them to lose. So at most one of several keeps a time, and the eldest does unless a younger one had looked before it came.
func (c *caldav) settle(ctx context.Context, master, own, uid string, s span) (bool, error) {
	for range rounds {
		found, err := c.look(ctx, []string{master}, s)
		if err != nil {
			return false, err
		}
		at := slices.IndexFunc(found[master], func(e event) bool { return e.uid == uid })
		if at < 0 {
			return false, errMissing // somebody has taken it away already
		}
		mine := found[master][at]
		others := c.against(found[master], own, s)
		if len(others) == 0 {
			return true, nil
		}
		if slices.ContainsFunc(others, func(o event) bool { return o.made == 0 || o.made < mine.made || o.made == mine.made && o.uid < uid }) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(100*time.Millisecond + rand.N(400*time.Millisecond)):
		}
	}
	return false, nil
}

// find is the event of a booking: where we have put it, or wherever else it is, as far as its time is known. errMissing: nowhere.
func (c *caldav) find(ctx context.Context, k visits.Booking) (e event, master string, err error) {
	if to := c.addresses[k.Master]; to != "" {
		if e, err = c.dav.get(ctx, hrefOf(to, k.ID)); !errors.Is(err, errMissing) {
			return e, k.Master, err
		}
	}
	found, err := c.look(ctx, c.all(), span{k.Start, k.End})
	if err != nil {
		return e, "", err
	}
	for _, name := range c.all() {
		for _, e := range found[name] {
			if e.uid == k.ID {
				return e, name, nil
			}
		}
	}
	return e, "", errMissing
}

func (c *caldav) all() (names []string) {
	for _, m := range c.masters {
		names = append(names, m.Name)
	}
	return names
}

// Move keeps the new time with an event of its own until the visit's stands there: so nobody takes the one while the other
// is not given up yet.
func (c *caldav) Move(ctx context.Context, id string, to visits.Slot, lead string) (visits.Booking, error) {
	k, err := c.records.Booking(ctx, id)
	if err != nil {
		return k, err
	}
	if k.Status != visits.Booked {
		return k, visits.ErrUnknown
	}
	to = like(k, to)
	to.Start, to.End = to.Start.Truncate(time.Second), to.End.Truncate(time.Second)
	names, err := c.check(&to)
	if err != nil {
		return k, err
	}
	e, from, err := c.find(ctx, k)
	if errors.Is(err, errMissing) {
		return k, visits.ErrUnknown // somebody has taken it out; Sync tells of it
	}
	if err != nil {
		return k, err
	}
	s := span{to.Start, to.End}
	found, err := c.look(ctx, names, s)
	if err != nil {
		return k, err
	}
	now := time.Now()
	for _, name := range names {
		if len(c.against(found[name], id, s)) > 0 {
			continue
		}
		hold, err := write(holdOf(id), visits.Booking{Start: to.Start, End: to.End}, words{title: "…"}, now)
		if err != nil {
			return k, err
		}
		won, err := c.take(ctx, name, id, holdOf(id), s, hold)
		if err != nil {
			return k, err
		}
		if !won {
			continue
		}
		moved, err := c.put(ctx, k, e, from, name, to, lead, now)
		later, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.CalDAV.Timeout)
		defer cancel()
		if e := c.dav.remove(later, hrefOf(c.addresses[name], holdOf(id)), ""); e != nil {
			c.log.Warn().Err(e).Str("booking", id).Msg("what held a new time in the calendar is taken away later")
		}
		return moved, err
	}
	return k, visits.ErrTaken
}

// put writes the event of a visit at a time that is held for it, and the booking.
func (c *caldav) put(ctx context.Context, k visits.Booking, e event, from, master string, to visits.Slot, lead string, now time.Time) (visits.Booking, error) {
	body, err := e.moved(to.Start, to.End, now)
	if err != nil {
		return k, err
	}
	href, etag := e.href, e.etag
	if from != master {
		href, etag = hrefOf(c.addresses[master], k.ID), ""
	}
	err = c.dav.put(ctx, href, etag, body)
	if errors.Is(err, errThere) && from != master { // a try before this one
		err = nil
	}
	if errors.Is(err, errThere) {
		err = visits.ErrChanged
	}
	if err != nil {
		return k, err
	}
	k.Start, k.End, k.Master, k.Branch, k.Lead = to.Start, to.End, master, c.branch(master), lead
	moved, err := c.keep(ctx, k)
	if err == nil && from != master {
		err = c.dav.remove(ctx, e.href, e.etag)
		if errors.Is(err, errThere) {
			err = nil // Sync sees to it
		}
	}
	return moved, err
}

// Cancel takes the event away, then notes it.
func (c *caldav) Cancel(ctx context.Context, id, lead string) (visits.Booking, error) {
	k, err := c.records.Booking(ctx, id)
	if err != nil || k.Status != visits.Booked {
		return k, err
	}
	for range 3 { // somebody may write to it meanwhile
		var e event
		e, _, err = c.find(ctx, k)
		if errors.Is(err, errMissing) {
			err = nil
			break
		}
		if err != nil {
			return k, err
		}
		if err = c.dav.remove(ctx, e.href, e.etag); !errors.Is(err, errThere) {
			break
		}
	}
	if err != nil {
		return k, err
	}
	return c.records.CancelBooking(ctx, id, lead)
}

// Of are a customer's visits to come, as the calendar has them now; where it does not answer, as was last known.
func (c *caldav) Of(ctx context.Context, customer int64) ([]visits.Booking, error) {
	if err := c.sync(ctx, time.Minute); err != nil {
		c.log.Warn().Err(err).Msg("the calendar does not say what has changed in it")
	}
	return toCome(ctx, c.records, customer, c.now())
}

// Check asks whether each calendar is there.
func (c *caldav) Check(ctx context.Context) error {
	for _, name := range c.all() {
		if err := c.dav.check(ctx, c.addresses[name]); err != nil {
			return errors.Join(errors.New(strings.TrimSpace("calendar "+name)), err)
		}
	}
	return nil
}
