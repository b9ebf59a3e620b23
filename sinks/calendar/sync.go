package calendar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"leadstream/streams/visits"
)

// Sync brings into the bookings what people have moved or taken out in the calendar. Each change is one by nobody's lead: the
// customer gets a notice of it.
func (c *caldav) Sync(ctx context.Context) error { return c.sync(ctx, 10*time.Second) }

// sync does so unless that was done, or was in vain, a moment ago.
func (c *caldav) sync(ctx context.Context, fresh time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.synced) < fresh {
		return c.failed
	}
	c.failed = c.compareAll(ctx)
	c.synced = time.Now()
	return c.failed
}

func (c *caldav) compareAll(ctx context.Context) error {
	now := c.now()
	// The bookings first: what is booked meanwhile is then not missed in the calendar, and what is changed meanwhile has
	// another version when it is to be written.
	kept, err := c.records.Visits(ctx, now, now.Add(400*24*time.Hour))
	if err != nil {
		return err
	}
	kept = slices.DeleteFunc(kept, func(k visits.Booking) bool { return k.Status != visits.Booked })
	if len(kept) == 0 {
		return nil
	}
	found, err := c.look(ctx, c.all(), span{now, kept[len(kept)-1].End})
	if err != nil {
		return err
	}
	var gone []visits.Booking
	for _, k := range kept {
		missing, err := c.compare(ctx, k, found)
		if err != nil {
			return err
		}
		if missing {
			gone = append(gone, k)
		}
	}
	if len(gone) > 2 && 2*len(gone) > len(kept) {
		return fmt.Errorf("%d of %d visits are not in the calendar, which looks like another calendar: correct calendar.caldav, or cancel them by hand", len(gone), len(kept))
	}
	for _, k := range gone {
		k.Status, k.Lead = visits.Cancelled, ""
		if err := c.bring(ctx, k, "taken out of the calendar"); err != nil {
			return err
		}
	}
	c.sweep(ctx, kept, found)
	return nil
}

// compare brings a booking to where its event is, and says whether that is missing.
func (c *caldav) compare(ctx context.Context, k visits.Booking, found map[string][]event) (missing bool, err error) {
	var seen *event
	master := ""
	for _, name := range c.all() {
		for i, e := range found[name] {
			if e.uid != k.ID {
				continue
			}
			if name == k.Master && e.start.Equal(k.Start) && e.end.Equal(k.End) && !e.cancelled {
				return false, nil
			}
			if seen == nil || name == k.Master {
				seen, master = &found[name][i], name
			}
		}
	}
	if seen == nil {
		placed, err := c.records.IsInCalendar(ctx, k.ID)
		if err != nil {
			return false, err
		}
		if !placed {
			return false, c.enter(ctx, k)
		}
		e, name, err := c.find(ctx, k) // it may be far from where it was
		if errors.Is(err, errMissing) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		seen, master = &e, name
	}
	if seen.cancelled {
		k.Status, k.Lead = visits.Cancelled, ""
		return false, c.bring(ctx, k, "cancelled in the calendar")
	}
	if seen.end.Sub(seen.start) > around || seen.end.Before(seen.start) {
		return false, nil // a day and more is no visit
	}
	if master == k.Master && seen.start.Equal(k.Start) && seen.end.Equal(k.End) {
		return false, nil
	}
	k.Start, k.End, k.Master, k.Branch, k.Lead = seen.start, seen.end, master, c.branch(master), ""
	return false, c.bring(ctx, k, "moved in the calendar")
}

// bring writes a change, unless somebody else has changed the booking meanwhile.
func (c *caldav) bring(ctx context.Context, k visits.Booking, what string) error {
	k, err := c.records.SaveBooking(ctx, k)
	if errors.Is(err, visits.ErrChanged) {
		return nil
	}
	if err == nil {
		c.log.Info().Str("booking", k.ID).Int64("version", k.Version).Msg("a visit was " + what)
	}
	return err
}

// enter writes a visit into the calendar that was booked while there was none: it was agreed upon, whatever else is then.
func (c *caldav) enter(ctx context.Context, k visits.Booking) error {
	to := c.addresses[k.Master]
	if to == "" {
		return nil // nobody of that name has a calendar
	}
	card, err := c.records.Card(ctx, k.Customer, false)
	if err != nil {
		return err
	}
	body, err := write(k.ID, k, c.say(k, card.Name), time.Now())
	if err != nil {
		return err
	}
	if err := c.dav.put(ctx, hrefOf(to, k.ID), "", body); err != nil && !errors.Is(err, errThere) {
		return err
	}
	return c.records.InCalendar(ctx, k.ID)
}

// sweep takes away what a crash has left of moves: holds that nobody waits for any more, and the event in the calendar of the
// master from whom a visit was moved, or to whom it was not.
func (c *caldav) sweep(ctx context.Context, kept []visits.Booking, found map[string][]event) {
	stands := map[string]string{} // where the event of each booking is that agrees with it
	for _, k := range kept {
		for _, e := range found[k.Master] {
			if e.uid == k.ID && e.start.Equal(k.Start) && e.end.Equal(k.End) {
				stands[e.uid] = e.href
			}
		}
	}
	for _, all := range found {
		for _, e := range all {
			left := strings.HasSuffix(e.uid, holdOf("")) || stands[e.uid] != "" && stands[e.uid] != e.href
			if !left || e.made == 0 || time.Since(time.Unix(0, e.made)) < abandoned {
				continue
			}
			if err := c.dav.remove(ctx, e.href, e.etag); err != nil && !errors.Is(err, errThere) {
				c.log.Warn().Err(err).Msg("what held a time in the calendar is taken away later")
			}
		}
	}
}
