package records

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"leadstream/streams"
	"leadstream/streams/visits"
)

func TestBookings(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		ctx, id := context.Background(), put(t, s, streams.Lead{Phone: "+79990000001"})[0]
		made := visits.Booking{ID: "b1", Customer: id, Status: "booked", Service: "стрижка", Start: noon, End: noon.Add(time.Hour), Lead: "abc"}
		k, err := s.SaveBooking(ctx, made)
		if err != nil || k.Version != 1 {
			t.Fatalf("%+v %v", k, err)
		}
		if again, err := s.SaveBooking(ctx, made); err != nil || again != k {
			t.Errorf("the same once more: %+v %v", again, err)
		}
		other := made
		other.Start = noon.Add(30 * time.Minute)
		if _, err := s.SaveBooking(ctx, other); !errors.Is(err, visits.ErrChanged) {
			t.Errorf("another booking of the same id: %v", err)
		}
		moved := k
		moved.Start, moved.End, moved.Status = noon.Add(time.Hour), noon.Add(2*time.Hour), "moved"
		first, err := s.SaveBooking(ctx, moved)
		if err != nil || first.Version != 2 || !first.Start.Equal(moved.Start) {
			t.Errorf("%+v %v", first, err)
		}
		cancelled := k
		cancelled.Status = "cancelled"
		if _, err := s.SaveBooking(ctx, cancelled); !errors.Is(err, visits.ErrChanged) {
			t.Errorf("a change of what was changed meanwhile: %v", err)
		}
		got, err := s.Bookings(ctx, id)
		if err != nil || len(got) != 1 || got[0] != first {
			t.Errorf("%+v %v", got, err)
		}
		if _, err := s.SaveBooking(ctx, visits.Booking{ID: "b2", Customer: id, Status: "booked", Start: noon, End: noon.Add(-time.Hour)}); err == nil {
			t.Error("a booking that ends before it starts was taken")
		}
	})
}

// Of many who want one time at once each master serves one, also when two daemons share the records; the same booking made
// twice is one.
func TestBookTogether(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		stores := []*Store{s.Store}
		if s.path == "" {
			stores = append(stores, newSink(t, Settings{URL: s.dsn, History: Least}).Store)
		}
		ctx, id := context.Background(), put(t, s, streams.Lead{Phone: "+79990000001"})[0]
		var mu sync.Mutex
		var got []visits.Booking
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				k := visits.Booking{ID: fmt.Sprint("b", i/2), Customer: id, Start: noon.Add(time.Duration(i) * time.Minute), End: noon.Add(time.Hour)}
				k, err := stores[i%len(stores)].Book(ctx, k, []string{"Анна", "Ольга"}, 10*time.Minute)
				if err != nil && !errors.Is(err, visits.ErrTaken) {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					got = append(got, k)
				}
			})
		}
		all.Wait()
		kept, err := s.Visits(ctx, noon.Add(-time.Hour), noon.Add(time.Hour))
		if err != nil || len(kept) != 2 || kept[0].Master == kept[1].Master {
			t.Fatalf("%d were kept, want one a master: %+v %v", len(kept), kept, err)
		}
		for _, k := range got {
			if k != kept[0] && k != kept[1] {
				t.Errorf("%s was promised and is not kept", k.ID)
			}
		}
	})
}

func TestPlaces(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		ctx, id := context.Background(), put(t, s, streams.Lead{Phone: "+79990000001"})[0]
		at := func(id string, minutes int) visits.Booking {
			return visits.Booking{ID: id, Start: noon.Add(time.Duration(minutes) * time.Minute), End: noon.Add(time.Duration(minutes+60) * time.Minute)}
		}
		book := func(name string, minutes int) error {
			k := at(name, minutes)
			k.Customer = id
			_, err := s.Book(ctx, k, []string{""}, 10*time.Minute)
			return err
		}
		if err := book("a", 0); err != nil {
			t.Fatal(err)
		}
		for minutes, want := range map[int]error{69: visits.ErrTaken, -69: visits.ErrTaken, 30: visits.ErrTaken} {
			if err := book("b", minutes); !errors.Is(err, want) {
				t.Errorf("%d min later: %v", minutes, err)
			}
		}
		if err := errors.Join(book("b", 70), book("c", -70)); err != nil {
			t.Errorf("right beside it: %v", err)
		}
		anna := at("anna's", 0)
		anna.Customer = id
		if _, err := s.Book(ctx, anna, []string{"Анна"}, 0); !errors.Is(err, visits.ErrTaken) {
			t.Errorf("where there was no master yet: %v", err)
		}
		anna.Start, anna.End = anna.Start.Add(24*time.Hour), anna.End.Add(24*time.Hour)
		if _, err := s.Book(ctx, anna, []string{"Анна"}, 0); err != nil {
			t.Error(err)
		}
		if err := book("nobody's", 24*60); !errors.Is(err, visits.ErrTaken) {
			t.Errorf("where there is no master any more: %v", err)
		}
		to := visits.Slot{Start: noon.Add(75 * time.Minute), End: noon.Add(135 * time.Minute)}
		if _, err := s.MoveBooking(ctx, "a", to, []string{""}, 0, ""); !errors.Is(err, visits.ErrTaken) {
			t.Errorf("moved to where another is: %v", err)
		}
		k, err := s.MoveBooking(ctx, "b", to, []string{""}, 10*time.Minute, "l2")
		if err != nil || k.Version != 2 || k.Lead != "l2" || !k.Start.Equal(to.Start) {
			t.Errorf("moved within its own time: %+v %v", k, err)
		}
		if again, err := s.MoveBooking(ctx, "b", to, []string{""}, 10*time.Minute, "l3"); err != nil || again != k {
			t.Errorf("moved to where it is: %+v %v", again, err)
		}
		if k, err = s.CancelBooking(ctx, "a", ""); err != nil || k.Status != visits.Cancelled || k.Version != 2 {
			t.Errorf("%+v %v", k, err)
		}
		if again, err := s.CancelBooking(ctx, "a", "l"); err != nil || again != k {
			t.Errorf("cancelled twice: %+v %v", again, err)
		}
		if err := book("d", 0); err != nil {
			t.Errorf("the time of a cancelled one: %v", err)
		}
		if _, err := s.MoveBooking(ctx, "a", to, []string{""}, 0, ""); !errors.Is(err, visits.ErrUnknown) {
			t.Errorf("a cancelled one was moved: %v", err)
		}
		if _, err := s.CancelBooking(ctx, "nobody's", ""); !errors.Is(err, visits.ErrUnknown) {
			t.Error(err)
		}
		if _, err := s.Book(ctx, visits.Booking{ID: "e", Customer: 999, Start: noon, End: noon}, []string{""}, 0); !errors.Is(err, ErrUnknown) {
			t.Errorf("booked for nobody: %v", err)
		}
	})
}
