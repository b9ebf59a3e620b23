package calendar

import (
	"context"
	"time"

	"leadstream/sinks/records"
	"leadstream/streams/visits"
)

// builtin is a calendar whose bookings are in the records, and nowhere else.
type builtin struct {
	*plan
	records *records.Store
}

// callTime bounds what is asked of the records.
const callTime = 20 * time.Second

// Free is who is free when, by the bookings as they stand now.
func (c *builtin) Free(ctx context.Context, w visits.Wish) ([]visits.Slot, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	within := c.bounds(w)
	around := 24*time.Hour + c.Gap // a visit lasts a day at most
	all, err := c.records.Visits(ctx, within.from.Add(-around), within.to.Add(around))
	if err != nil {
		return nil, err
	}
	busy := map[string][]span{}
	for _, k := range all {
		if k.Status != visits.Cancelled {
			for _, m := range c.masters {
				if m.Name == k.Master || m.Name == "" || k.Master == "" { // as the records have it when they book
					busy[m.Name] = append(busy[m.Name], span{k.Start, k.End})
				}
			}
		}
	}
	return c.free(w, busy), nil
}

// Book writes the booking: the records see to it that one of two gets the time.
func (c *builtin) Book(ctx context.Context, b visits.Booking) (visits.Booking, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	if stands, err := c.records.Booking(ctx, b.ID); err == nil {
		return stands, nil // also when its time has passed meanwhile
	}
	s := slotOf(b)
	names, err := c.check(&s)
	if err != nil {
		return b, err
	}
	b.End = s.End
	if b.Branch == "" && len(names) == 1 {
		b.Branch = c.branch(names[0])
	}
	return c.records.Book(ctx, b, names, c.Gap)
}

// Move frees the old time in the step that takes the new one.
func (c *builtin) Move(ctx context.Context, id string, to visits.Slot, lead string) (visits.Booking, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	k, err := c.records.Booking(ctx, id)
	if err != nil {
		return k, err
	}
	to = like(k, to)
	names, err := c.check(&to)
	if err != nil {
		return k, err
	}
	return c.records.MoveBooking(ctx, id, to, names, c.Gap, lead)
}

// Cancel frees the time.
func (c *builtin) Cancel(ctx context.Context, id, lead string) (visits.Booking, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return c.records.CancelBooking(ctx, id, lead)
}

// Of are a customer's visits to come.
func (c *builtin) Of(ctx context.Context, customer int64) ([]visits.Booking, error) {
	return toCome(ctx, c.records, customer, c.now())
}

func toCome(ctx context.Context, from *records.Store, customer int64, now time.Time) (all []visits.Booking, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	customer, err = from.Kept(ctx, customer)
	if err != nil {
		return nil, err
	}
	kept, err := from.Bookings(ctx, customer)
	for _, k := range kept {
		if k.Status == visits.Booked && k.End.After(now) {
			all = append(all, k)
		}
	}
	return all, err
}

// Sync has nothing to do: there is no other place in which a booking could be changed.
func (c *builtin) Sync(context.Context) error { return nil }

// Check has nothing to ask: the records are checked as what they are.
func (c *builtin) Check(context.Context) error { return nil }

func slotOf(b visits.Booking) visits.Slot {
	return visits.Slot{Start: b.Start, End: b.End, Service: b.Service, Master: b.Master, Branch: b.Branch}
}

// like is where a booking moves: what the new place leaves open is as it was. Its service and how long it lasts stay.
func like(k visits.Booking, to visits.Slot) visits.Slot {
	to.Service = k.Service
	if to.Master == "" {
		to.Master = k.Master
	}
	if to.Branch == "" {
		to.Branch = k.Branch
	}
	if !to.End.After(to.Start) {
		to.End = to.Start.Add(k.End.Sub(k.Start))
	}
	return to
}
