package customer

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/streams"
	"leadstream/streams/streamstest"
)

const (
	phone1, phone2 = "+79990000011", "+79990000012"
	day            = 24 * time.Hour
)

// world is a memory on a real Redis, with a clock that passes when told.
type world struct {
	*testing.T
	*Memory
	at time.Time
	n  int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, at: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
	w.Memory = &Memory{Redis: streamstest.Redis(t).Client, Now: func() time.Time { return w.at }}
	return w
}

func (w *world) mark(kinds ...string) Mark {
	w.n++
	m := Mark{ID: streams.NewID(fmt.Sprint(w.n)), At: w.at, Kinds: map[string]int{}}
	for _, k := range kinds {
		m.Kinds[k]++
	}
	return m
}

func (w *world) note(notes ...Note) []*Known {
	w.Helper()
	known, err := w.Note(w.Context(), notes)
	if err != nil {
		w.Fatal(err)
	}
	return known
}

func TestNote(t *testing.T) {
	w := newWorld(t)
	anna := &streams.Lead{Phone: phone1, Name: "Анна"}
	one := w.mark(Enquiry, "hot:discount", "hot:discount")
	one.Sentiment, one.Reasons = 0.25, 5
	w.note(Note{anna, one})
	w.at = w.at.Add(time.Hour)
	two := w.mark("read")
	got := w.note(Note{anna, two}, Note{&streams.Lead{}, w.mark(Enquiry)}, Note{&streams.Lead{Phone: phone2}, w.mark(Enquiry)})
	if got[1] != nil {
		t.Errorf("a lead without a contact is remembered: %+v", got[1])
	}
	if len(got[2].Marks) != 1 {
		t.Errorf("another customer's marks: %+v", got[2].Marks)
	}
	want := []Mark{one, two}
	if diff := cmp.Diff(want, got[0].Marks, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
	if got[0].Contact.Name != "Анна" || got[0].LastEnquiry() != one.ID {
		t.Errorf("contact %+v, last enquiry %s", got[0].Contact, got[0].LastEnquiry())
	}
	for _, key := range w.Redis.Keys(t.Context(), "*").Val() {
		if strings.Contains(key, "7999") || !strings.HasPrefix(key, "ls:{0}:") {
			t.Errorf("the name of the key %s", key)
		}
	}
}

// The same lead handed out again, in the same batch or after a crash, counts once.
func TestNoteAgain(t *testing.T) {
	w := newWorld(t)
	l := &streams.Lead{Phone: phone1}
	m := w.mark(Enquiry)
	w.note(Note{l, m}, Note{l, m})
	if got := w.note(Note{l, m})[0]; len(got.Marks) != 1 {
		t.Errorf("%d marks of one lead", len(got.Marks))
	}
}

func TestOneCustomerByAllContacts(t *testing.T) {
	w := newWorld(t)
	chat := streams.Lead{Channel: "telegram", UserID: "77"}
	both := streams.Lead{Channel: "telegram", UserID: "77", Phone: phone1, Email: "anna@example.test"}
	mail := streams.Lead{Email: "anna@example.test"}
	w.note(Note{&chat, w.mark(Enquiry)})
	w.note(Note{&both, w.mark(Enquiry)})
	if got := w.note(Note{&mail, w.mark("read")})[0]; len(got.Marks) != 3 {
		t.Errorf("%d marks, want those of chat, phone and mail", len(got.Marks))
	}
	stranger := streams.Lead{Phone: phone2}
	w.note(Note{&stranger, w.mark(Enquiry)})
	joint := streams.Lead{Phone: phone1, Email: "b@example.test"}
	w.note(Note{&joint, w.mark(Enquiry)})
	if got := w.note(Note{&stranger, w.mark("read")})[0]; len(got.Marks) != 2 {
		t.Errorf("%d marks of the stranger", len(got.Marks))
	}
	w.Redis.FlushAll(t.Context()) // the scripts go, too
	w.Redis.ScriptFlush(t.Context())
	if got := w.note(Note{&mail, w.mark(Enquiry)})[0]; len(got.Marks) != 1 {
		t.Errorf("%d marks after a flush", len(got.Marks))
	}
}

// A contact that led to a customer who is forgotten leads to the new one.
func TestForgottenCustomer(t *testing.T) {
	w := newWorld(t)
	both := streams.Lead{Phone: phone1, Email: "anna@example.test"}
	first := w.note(Note{&both, w.mark(Enquiry)})[0]
	w.Redis.Del(t.Context(), first.key)
	mail := streams.Lead{Email: "anna@example.test"}
	w.note(Note{&mail, w.mark(Enquiry)})
	if got := w.note(Note{&mail, w.mark(Enquiry)})[0]; len(got.Marks) != 2 {
		t.Errorf("%d marks, want 2", len(got.Marks))
	}
	if got := w.note(Note{&both, w.mark(Enquiry)})[0]; len(got.Marks) != 3 {
		t.Errorf("%d marks, want 3", len(got.Marks))
	}
}

func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(t)
	w.Most = 10
	l := &streams.Lead{Phone: phone1}
	var last *Known
	for range 300 {
		last = w.note(Note{l, w.mark(Enquiry, "intent:booking", "hot:discount")})[0]
	}
	if n := w.Redis.HStrLen(t.Context(), last.key, "l").Val(); n > mostLog || n < mostLog/2 {
		t.Errorf("%d bytes of one customer", n)
	}
	if newest := last.Marks[len(last.Marks)-1].ID; newest != streams.NewID("300") {
		t.Error("the newest mark was cut off")
	}
	for i := range 50 {
		w.at = w.at.Add(time.Second)
		k := w.note(Note{&streams.Lead{Phone: fmt.Sprint("+7999000", 1000+i), Email: fmt.Sprint(i, "@example.test")}, w.mark(Enquiry)})[0]
		if err := w.Apply(t.Context(), []Change{{Of: k, Look: w.at.Add(time.Hour)}}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := w.Size(t.Context()); err != nil || n != 10 {
		t.Errorf("%d customers are remembered, %v", n, err)
	}
	if n := w.Redis.DBSize(t.Context()).Val(); n != 10*2+2 {
		t.Errorf("%d keys for 10 customers of two contacts each, and two lists", n)
	}
	if n := w.Redis.ZCard(t.Context(), dueKey(w.keys(0))).Val(); n != 10 {
		t.Errorf("%d of 10 customers are to be judged again", n)
	}
	for _, key := range w.Redis.Keys(t.Context(), "*:cu:*").Val() {
		if ttl := w.Redis.TTL(t.Context(), key).Val(); ttl <= 0 || ttl > Keep {
			t.Errorf("%s expires in %s", key, ttl)
		}
	}
}

// A change is carried out once, whoever judges, and its news come with it.
func TestApply(t *testing.T) {
	w := newWorld(t)
	l := &streams.Lead{Phone: phone1}
	k := w.note(Note{l, w.mark(Enquiry)})[0]
	change := Change{Of: k, Segments: "price=sensitive", Look: w.at.Add(day), News: []*streams.Lead{{Event: streams.EventSegment}}}
	for range 2 { // the answer to the first was lost
		if err := w.Apply(t.Context(), []Change{change}); err != nil {
			t.Fatal(err)
		}
	}
	intake := w.keys(0).Queue(streams.Intake)
	if n := w.Redis.XLen(t.Context(), intake).Val(); n != 1 {
		t.Errorf("%d news of one change", n)
	}
	if got := w.note(Note{l, w.mark("read")})[0]; got.SegmentOf("price") != "sensitive" {
		t.Errorf("segments %q", got.segments)
	}
	// The second was overtaken by the first: the customer is judged again at once.
	due, err := w.Due(t.Context(), 0, 10)
	if err != nil || len(due) != 1 || due[0].SegmentOf("price") != "sensitive" {
		t.Fatalf("due: %+v, %v", due, err)
	}
	if again, _ := w.Due(t.Context(), 0, 10); len(again) != 0 {
		t.Error("handed out twice at once")
	}
	w.at = w.at.Add(2 * lookAgain) // whoever had it is gone
	if again, _ := w.Due(t.Context(), 0, 10); len(again) != 1 {
		t.Error("one whose judge is gone is not handed out again")
	}
	w.Redis.Del(t.Context(), k.key)
	w.at = w.at.Add(2 * lookAgain)
	if due, err := w.Due(t.Context(), 0, 10); err != nil || len(due) != 0 {
		t.Errorf("a customer who is forgotten: %+v, %v", due, err)
	}
}

func TestMemoryWithoutRedis(t *testing.T) {
	s := streamstest.Redis(t)
	s.Kill()
	m := &Memory{Redis: s.Client}
	if _, err := m.Note(context.Background(), []Note{{&streams.Lead{Phone: phone1}, Mark{ID: "a"}}}); err == nil || strings.Contains(err.Error(), phone1) {
		t.Errorf("with Redis away: %v", err)
	}
}
