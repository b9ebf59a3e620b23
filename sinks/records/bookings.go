package records

import (
	"context"
	"errors"
	"slices"
	"time"

	"leadstream/streams/visits"
)

// longestVisit bounds how far back a visit may have begun that is still going on.
const longestVisit = 24 * time.Hour

// checked is a booking as it is written, or why it is not one.
func checked(k visits.Booking) (visits.Booking, error) {
	if k.ID == "" || k.Status == "" || k.Start.IsZero() || k.End.Before(k.Start) {
		return k, errors.New("a booking needs its id, status and a time that does not end before it starts")
	}
	if k.End.Sub(k.Start) > longestVisit {
		return k, errors.New("a booking lasts a day at most")
	}
	k.ID, k.Status, k.Lead = clean(k.ID, 64), clean(k.Status, 50), clean(k.Lead, 64)
	k.Service, k.Master, k.Branch = clean(k.Service, 200), clean(k.Master, 200), clean(k.Branch, 100)
	k.Start, k.End = k.Start.Truncate(time.Millisecond).UTC(), k.End.Truncate(time.Millisecond).UTC()
	return k, nil
}

// Book writes a new booking with the first of masters who is free then, gap before and after it included, and answers it as
// it stands: the same one made twice is one. visits.ErrTaken: none of them is.
func (s *Store) Book(ctx context.Context, k visits.Booking, masters []string, gap time.Duration) (stands visits.Booking, err error) {
	k.Status = visits.Booked
	if k, err = checked(k); err != nil {
		return k, err
	}
	err = s.onCard(ctx, k.Customer, func(b *batch, card int64) {
		if b.booking(k.ID, &stands) || b.err != nil {
			return
		}
		k.Customer = card
		if b.place(&k, masters, gap) {
			b.insertBooking(k)
		}
		b.booking(k.ID, &stands)
	})
	return stands, err
}

// MoveBooking gives a booking another time and the first of masters who is free then. visits.ErrUnknown: there is none that
// could be moved; visits.ErrTaken: nobody is free. One that stands so already is left alone.
func (s *Store) MoveBooking(ctx context.Context, id string, to visits.Slot, masters []string, gap time.Duration, lead string) (stands visits.Booking, err error) {
	err = s.write(ctx, func(b *batch) {
		if !b.booking(id, &stands) || stands.Status != visits.Booked {
			b.fail(visits.ErrUnknown)
			return
		}
		k := stands
		k.Start, k.End, k.Branch, k.Lead = to.Start, to.End, to.Branch, lead
		var err error
		if k, err = checked(k); err != nil {
			b.fail(err)
			return
		}
		if k.Start.Equal(stands.Start) && k.End.Equal(stands.End) && slices.Contains(masters, stands.Master) {
			return
		}
		if b.place(&k, masters, gap) {
			b.updateBooking(k)
		}
		b.booking(id, &stands)
	})
	return stands, err
}

// CancelBooking frees the time of a booking. One that is cancelled already is left alone.
func (s *Store) CancelBooking(ctx context.Context, id, lead string) (stands visits.Booking, err error) {
	err = s.write(ctx, func(b *batch) {
		if !b.booking(id, &stands) {
			b.fail(visits.ErrUnknown)
			return
		}
		if stands.Status == visits.Booked {
			k := stands
			k.Status, k.Lead = visits.Cancelled, clean(lead, 64)
			b.updateBooking(k)
			b.booking(id, &stands)
		}
	})
	return stands, err
}

// SaveBooking writes a booking that was read with b.Version, 0 when it is new, whoever else has that time, and answers it
// as it then stands. The same booking saved twice is visits.ErrChanged the second time, unless it already stands as it should.
func (s *Store) SaveBooking(ctx context.Context, k visits.Booking) (stands visits.Booking, err error) {
	if k, err = checked(k); err != nil {
		return k, err
	}
	err = s.onCard(ctx, k.Customer, func(b *batch, card int64) {
		k.Customer = card
		var n int64
		if k.Version == 0 {
			n = b.insertBooking(k)
		} else {
			n = b.updateBooking(k)
		}
		b.booking(k.ID, &stands)
		wanted := k
		wanted.Version, wanted.MadeAt, wanted.ChangedAt = stands.Version, stands.MadeAt, stands.ChangedAt
		if n == 0 && (wanted != stands || k.Version+1 != stands.Version) {
			b.fail(visits.ErrChanged)
		}
	})
	return stands, err
}

// fail ends the transaction, unless something else has.
func (b *batch) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// place gives k the first of masters who is free at its time. A booking without a master is from before there were any, or
// there is none: it is everybody's.
func (b *batch) place(k *visits.Booking, masters []string, gap time.Duration) bool {
	for _, master := range masters {
		var n int64
		b.get([]any{&n}, `SELECT count(*) FROM bookings WHERE start_at > $1 AND start_at < $2 AND end_at > $3 AND (master = $4 OR master = '' OR $4 = '') AND status <> $5 AND id <> $6`,
			k.Start.Add(-gap-longestVisit).UnixMilli()-1, k.End.Add(gap).UnixMilli(), k.Start.Add(-gap).UnixMilli(), master, visits.Cancelled, k.ID)
		if n == 0 && b.err == nil {
			k.Master = master
			return true
		}
	}
	b.fail(visits.ErrTaken)
	return false
}

func (b *batch) insertBooking(k visits.Booking) int64 {
	return b.exec(`INSERT INTO bookings (id, customer, version, status, service, master, branch, start_at, end_at, lead, made_at, changed_at)
		VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8, $9, $10, $10) ON CONFLICT (id) DO NOTHING`,
		k.ID, k.Customer, k.Status, k.Service, k.Master, k.Branch, k.Start.UnixMilli(), k.End.UnixMilli(), k.Lead, b.store.now().UnixMilli())
}

func (b *batch) updateBooking(k visits.Booking) int64 {
	return b.exec(`UPDATE bookings SET customer = $2, version = version + 1, status = $3, service = $4, master = $5, branch = $6, start_at = $7,
		end_at = $8, lead = $9, changed_at = $10 WHERE id = $1 AND version = $11`,
		k.ID, k.Customer, k.Status, k.Service, k.Master, k.Branch, k.Start.UnixMilli(), k.End.UnixMilli(), k.Lead, b.store.now().UnixMilli(), k.Version)
}

const bookingColumns = "SELECT id, customer, version, status, service, master, branch, start_at, end_at, lead, made_at, changed_at FROM bookings "

func scanBooking(scan func(...any) error) (k visits.Booking, err error) {
	var start, end, made, changed int64
	err = scan(&k.ID, &k.Customer, &k.Version, &k.Status, &k.Service, &k.Master, &k.Branch, &start, &end, &k.Lead, &made, &changed)
	k.Start, k.End = time.UnixMilli(start).UTC(), time.UnixMilli(end).UTC()
	k.MadeAt, k.ChangedAt = time.UnixMilli(made).UTC(), time.UnixMilli(changed).UTC()
	return k, err
}

// booking reads one; false when there is none.
func (b *batch) booking(id string, to *visits.Booking) (found bool) {
	b.each(func(scan func(...any) error) (err error) {
		*to, err = scanBooking(scan)
		found = true
		return err
	}, bookingColumns+"WHERE id = $1", id)
	return found && b.err == nil
}

func (s *Store) bookings(ctx context.Context, where string, args ...any) (all []visits.Booking, err error) {
	err = s.query(ctx, func(scan func(...any) error) error {
		k, err := scanBooking(scan)
		all = append(all, k)
		return err
	}, bookingColumns+where, args...)
	return all, err
}

// Bookings are a customer's, by their start.
func (s *Store) Bookings(ctx context.Context, card int64) ([]visits.Booking, error) {
	return s.bookings(ctx, "WHERE customer = $1 ORDER BY start_at, id", card)
}

// Booking is one by its id; visits.ErrUnknown: there is none.
func (s *Store) Booking(ctx context.Context, id string) (visits.Booking, error) {
	all, err := s.bookings(ctx, "WHERE id = $1", id)
	if err != nil {
		return visits.Booking{}, err
	}
	if len(all) == 0 {
		return visits.Booking{}, visits.ErrUnknown
	}
	return all[0], nil
}

// InCalendar notes that a booking is in a calendar outside: one that is not there later was taken out.
func (s *Store) InCalendar(ctx context.Context, id string) error {
	return s.write(ctx, func(b *batch) { b.exec("UPDATE bookings SET placed = 1 WHERE id = $1", id) })
}

// IsInCalendar says whether a booking was put into a calendar outside.
func (s *Store) IsInCalendar(ctx context.Context, id string) (yes bool, err error) {
	err = s.query(ctx, func(scan func(...any) error) error {
		var n int64
		err := scan(&n)
		yes = n == 1
		return err
	}, "SELECT placed FROM bookings WHERE id = $1", id)
	return yes, err
}

// Visits are the bookings, also the cancelled ones, that begin from a moment on and before another, by their start.
func (s *Store) Visits(ctx context.Context, from, until time.Time) ([]visits.Booking, error) {
	return s.bookings(ctx, "WHERE start_at >= $1 AND start_at < $2 ORDER BY start_at, id", from.UnixMilli(), until.UnixMilli())
}

// Language is the one in which a customer mostly writes; empty: not known.
func (s *Store) Language(ctx context.Context, card int64) (language string, err error) {
	err = s.query(ctx, func(scan func(...any) error) error { return scan(&language) },
		"SELECT value FROM preferences WHERE customer = $1 AND kind = 'language' ORDER BY times DESC, last_at DESC LIMIT 1", card)
	return language, err
}

// Kept is the card that has taken in one that was merged, or the card itself.
func (s *Store) Kept(ctx context.Context, card int64) (int64, error) {
	for range 64 {
		next := card
		err := s.query(ctx, func(scan func(...any) error) error { return scan(&next) }, "SELECT kept FROM merges WHERE gone = $1", card)
		if err != nil || next == card {
			return card, err
		}
		card = next
	}
	return card, nil
}
