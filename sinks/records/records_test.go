package records

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadstream/sinks"
	"leadstream/sinks/records/recordstest"
	"leadstream/sinks/sinkstest"
	"leadstream/streams"
	"leadstream/streams/visits"
)

var postgres *recordstest.Postgres

func TestMain(m *testing.M) {
	var err error
	if postgres, err = recordstest.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := postgres.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// both runs a test on SQLite and on PostgreSQL.
func both(t *testing.T, f func(t *testing.T, s *Sink)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); f(t, newSink(t, Defaults())) })
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, newSink(t, Settings{URL: postgres.Database(t), History: Least}))
	})
}

func newSink(t testing.TB, set Settings) *Sink {
	t.Helper()
	s, err := open(set, env(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func env(t testing.TB) sinks.Env {
	return sinks.Env{Name: "history", DataDir: t.TempDir(), Region: "RU", Zone: time.UTC, Log: zerolog.Nop()}
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// put writes leads one after the other, a minute apart, and answers their cards.
func put(t testing.TB, s *Sink, leads ...streams.Lead) []int64 {
	t.Helper()
	var all []*streams.Lead
	for i := range leads {
		l := &leads[i]
		l.ID = cmp.Or(l.ID, streams.NewID(t.Name(), fmt.Sprint(i, l.Phone, l.Email, l.UserID, l.Message)))
		if l.ReceivedAt.IsZero() {
			l.ReceivedAt = noon.Add(time.Duration(i) * time.Minute)
		}
		all = append(all, l)
	}
	cards, err := s.Write(context.Background(), time.UTC, all)
	if err != nil {
		t.Fatal(err)
	}
	return cards
}

func card(t testing.TB, s *Sink, id int64) Card {
	t.Helper()
	c, err := s.Card(context.Background(), id, true)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func texts(messages []Message) (all []string) {
	for _, m := range messages {
		all = append(all, cmp.Or(m.Event, m.Text))
	}
	return all
}

func TestSuite(t *testing.T) {
	t.Parallel()
	sinkstest.Run(t, sinkstest.Case{Kind: Kind, Configure: func(any, string) {}})
	t.Run("postgres", func(t *testing.T) {
		sinkstest.Run(t, sinkstest.Case{Kind: Kind, Configure: func(settings any, _ string) { settings.(*Settings).URL = postgres.Database(t) }})
	})
}

func TestOneCardAcrossChannels(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		ids := put(t, s,
			streams.Lead{Source: "site", Phone: "+79990000001", Name: "Анна", Message: "first"},
			streams.Lead{Source: "bot", Channel: "telegram", UserID: "7", Message: "second"},
			streams.Lead{Source: "mail", Email: "anna@example.test", Message: "third", Service: "стрижка"},
			streams.Lead{Source: "bot", Channel: "telegram", UserID: "7", Phone: "+79990000001", Message: "it is me", Service: "стрижка"},
			streams.Lead{Source: "site", Phone: "+79990000001", Email: "anna@example.test", Message: "and here"},
			streams.Lead{Event: "order", Email: "anna@example.test"},
		)
		if ids[0] == ids[1] || ids[1] == ids[2] || ids[0] == ids[2] {
			t.Fatalf("strangers share a card: %v", ids)
		}
		if ids[3] != ids[0] || ids[4] != ids[0] || ids[5] != ids[0] {
			t.Errorf("cards %v, want all of the later ones on the oldest", ids)
		}
		c := card(t, s, ids[0])
		if want := []string{"first", "second", "third", "it is me", "and here", "order"}; !slices.Equal(texts(c.Messages), want) {
			t.Errorf("history %v, want %v", texts(c.Messages), want)
		}
		if c.Source != "site" || c.Name != "Анна" || c.Contacts != 6 || c.Orders != 1 || !c.FirstAt.Equal(noon) || !c.LastAt.Equal(noon.Add(5*time.Minute)) || !c.OrderAt.Equal(c.LastAt) {
			t.Errorf("card %+v", c)
		}
		want := []Identity{{"phone", "+79990000001"}, {"user", "telegram:7"}, {"email", "anna@example.test"}}
		if diff := gocmp.Diff(want, c.Identities); diff != "" {
			t.Error(diff)
		}
		if len(c.Merged) != 2 || c.Merged[0].Gone != ids[1] || c.Merged[0].By != "user+phone" || c.Merged[1].By != "phone+email" {
			t.Errorf("merges %+v", c.Merged)
		}
		if i := slices.Index(c.Preferences, Preference{"service", "стрижка", 2}); i < 0 {
			t.Errorf("preferences %+v", c.Preferences)
		}
		if gone := card(t, s, ids[1]); gone.ID != ids[0] {
			t.Errorf("the number of a merged card finds %d", gone.ID)
		}
	})
}

// What several people share joins nobody: info@ of a company, the phone of a reception.
func TestSharedContactsJoinNobody(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		a, b := streams.Lead{Phone: "+79990000001", Email: "info@firm.test"}, streams.Lead{Phone: "+79990000002", Email: "info@firm.test"}
		ids := put(t, s, a, b, b, a,
			streams.Lead{Channel: "telegram", UserID: "1", Phone: "+79990000003"},
			streams.Lead{Channel: "telegram", UserID: "2", Phone: "+79990000003"},
			streams.Lead{Channel: "telegram", UserID: "2", Phone: "+79990000004"},
			streams.Lead{Channel: "telegram", UserID: "1", Phone: "+79990000004"},
			streams.Lead{Channel: "whatsapp", UserID: "9", Phone: "+79990000003"},
		)
		// The ids of put are those of content: b and b, a and a are one lead each.
		for i, want := range map[int]int64{1: ids[2], 3: ids[0], 6: ids[5], 7: ids[4], 8: ids[4]} {
			if ids[i] != want {
				t.Errorf("lead %d stands on card %d, want %d of %v", i, ids[i], want, ids)
			}
		}
		if ids[0] == ids[1] || ids[4] == ids[5] {
			t.Errorf("two people on one card: %v", ids)
		}
		// An e-mail alone belongs to whoever had it first; a phone that comes with it is then hers.
		more := put(t, s, streams.Lead{Email: "eva@example.test"}, streams.Lead{Email: "eva@example.test", Phone: "+79990000008"}, streams.Lead{Phone: "+79990000008"},
			streams.Lead{Email: "eva@example.test", Phone: "+79990000009"}, streams.Lead{Email: "eva@example.test", Message: "again"})
		if more[1] != more[0] || more[2] != more[0] || more[3] == more[0] || more[4] != more[0] {
			t.Errorf("cards %v", more)
		}
	})
}

// What the business answers stands on the customer's card, also where only the chat is told, and counts as nothing that the
// customer has done.
func TestAnswersStandOnTheCard(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		chat := func(id string) map[string]json.RawMessage {
			return map[string]json.RawMessage{"chat_id": json.RawMessage(`"` + id + `"`)}
		}
		ids := put(t, s,
			streams.Lead{Channel: "avito", UserID: "9", Message: "ещё продаёте?", Fields: chat("u2i-1")},
			streams.Lead{Channel: "avito", Event: "answered", Message: "да", Fields: chat("u2i-1")},
			streams.Lead{Channel: "avito", UserID: "9", Message: "а это?", Fields: chat("u2i-2")},
			streams.Lead{Channel: "avito", Event: "answered", Message: "тоже", Fields: chat("u2i-2")},
			// The answer may overtake what it answers, and the customer may have been known.
			streams.Lead{Channel: "avito", Event: "answered", Message: "слушаю", Fields: chat("u2i-3")},
			streams.Lead{Channel: "avito", UserID: "9", Message: "здравствуйте", Fields: chat("u2i-3")},
			streams.Lead{Channel: "avito", Event: "answered", Message: "добрый день", Fields: chat("u2i-4")},
			streams.Lead{Channel: "avito", UserID: "10", Message: "день добрый", Fields: chat("u2i-4")},
			streams.Lead{Channel: "whatsapp", UserID: "79990000001", Phone: "+79990000001", Message: "цена?"},
			streams.Lead{Channel: "whatsapp", UserID: "79990000001", Phone: "+79990000001", Event: "answered", Message: "500 рублей"},
		)
		first := card(t, s, ids[0])
		if want := []string{"ещё продаёте?", "answered", "а это?", "answered", "answered", "здравствуйте"}; !slices.Equal(texts(first.Messages), want) || first.Contacts != 3 {
			t.Errorf("%d contacts, %v; want 3, %v", first.Contacts, texts(first.Messages), want)
		}
		if m := first.Messages[1]; m.Text != "да" || m.Event != "answered" {
			t.Errorf("the answer stands as %+v", m)
		}
		for n, want := range map[int]int64{6: 1, 8: 1} {
			if c := card(t, s, ids[n]); len(c.Messages) != 2 || c.Contacts != want || ids[n+1] != ids[n] {
				t.Errorf("lead %d: card %+v", n, c)
			}
		}
	})
}

// A file that follows its lead stands in that lead's conversation, and is nothing that the customer has said again. One that
// is here before its lead waits for it.
func TestLateFileJoinsItsLead(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		photo := []streams.Media{{Kind: "photo", Ref: "5", Hash: strings.Repeat("a", 64), Type: "image/jpeg", Size: 7}}
		late := streams.Lead{ID: streams.NewID("late"), Source: "wa", Key: streams.LateKey + "lead", Channel: "whatsapp", Name: "Анна", RepeatOf: "lead", Media: photo, ReceivedAt: noon}
		early := s.Deliver(context.Background(), []sinks.Delivery{
			{Lead: &streams.Lead{ID: "another", Phone: "+79990000002"}},
			{Lead: &late, Of: &sinks.Earlier{Pending: true}},
			{Lead: &streams.Lead{ID: "third", Phone: "+79990000003"}},
		})
		if early[0].Result != streams.Done || early[1].Result != streams.Wait || early[1].Fault || early[2].Result != streams.Done {
			t.Fatalf("verdicts %+v", early)
		}
		ids := put(t, s, streams.Lead{ID: "lead", Source: "wa", Channel: "whatsapp", UserID: "79990000001", Phone: "+79990000001", Name: "Анна", Message: "вот фото"}, late)
		c := card(t, s, ids[0])
		if ids[1] != ids[0] || c.Contacts != 1 || len(c.Messages) != 2 || count(t, s, "customers") != 3 || count(t, s, "conversations") != 3 {
			t.Fatalf("cards %v, %+v", ids, c)
		}
		if diff := gocmp.Diff([]File{{Kind: "photo", Hash: photo[0].Hash, Type: "image/jpeg", Size: 7}}, c.Messages[1].Files); diff != "" {
			t.Error(diff)
		}
	})
}

// A form may send the same chat with everybody's enquiry: it joins nobody.
func TestAChatOfAllJoinsNobody(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		fields := map[string]json.RawMessage{"chat_id": json.RawMessage(`"-100500"`)}
		ids := put(t, s,
			streams.Lead{Channel: "site", Phone: "+79990000001", Fields: fields}, streams.Lead{Channel: "site", Phone: "+79990000002", Fields: fields},
			streams.Lead{Channel: "site", Name: "Анна", Fields: fields}, streams.Lead{Channel: "bot", UserID: "1", Fields: fields},
			streams.Lead{Channel: "bot", UserID: "2", Fields: fields}, streams.Lead{Channel: "bot", UserID: "3", Phone: "+79990000003", Fields: fields})
		seen := map[int64]bool{}
		for i, id := range ids {
			if seen[id] {
				t.Errorf("lead %d stands on a stranger's card: %v", i, ids)
			}
			seen[id] = true
		}
	})
}

func TestWritingAgainChangesNothing(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		leads := []streams.Lead{{Phone: "+79990000001", Message: "one", Service: "x"}, {Phone: "+79990000001", Message: "two"}}
		ids := put(t, s, leads...)
		before := card(t, s, ids[0])
		put(t, s, leads[1], leads[0], leads[0])
		if diff := gocmp.Diff(before, card(t, s, ids[0]), gocmp.AllowUnexported(Message{})); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNewsOfALeadWithoutContact(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		lead := streams.Lead{ID: "abc", Name: "Nobody", Message: "no contact"}
		ids := put(t, s, lead, streams.Lead{Event: "read", About: "abc"}, streams.Lead{Phone: "call me", Message: "as written"}, streams.Lead{Phone: "call me", Message: "another"})
		if ids[1] != ids[0] || ids[2] == ids[0] || ids[3] == ids[2] {
			t.Errorf("cards %v", ids)
		}
		if m := card(t, s, ids[2]).Messages; len(m) != 1 || m[0].Phone != "call me" {
			t.Errorf("messages %+v", m)
		}
	})
}

// A long conversation is compressed from its beginning, and is read in its order all the same.
func TestHistoryIsCompressed(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		const n = 3*tailMost + 7
		var leads []streams.Lead
		for i := range n {
			leads = append(leads, streams.Lead{Channel: "telegram", UserID: "7", Message: fmt.Sprintf("Здравствуйте, это сообщение %d о записи на завтра", i)})
		}
		id := put(t, s, leads...)[0]
		check := func(when string, chunks, tail int64) {
			t.Helper()
			c := card(t, s, id)
			for i, m := range c.Messages {
				if m.Lead != leads[i].ID || m.Channel != "telegram" {
					t.Fatalf("%s: message %d is %+v", when, i, m)
				}
			}
			if len(c.Messages) != n || count(t, s, "chunks") != chunks || count(t, s, "tail") != tail {
				t.Errorf("%s: %d messages, %d chunks, %d in the tail", when, len(c.Messages), count(t, s, "chunks"), count(t, s, "tail"))
			}
		}
		check("written", 3, 7)
		day := s.now().Add(tailIdle + time.Minute)
		s.now = func() time.Time { return day }
		tidy(t, s)
		check("at rest", 4, 0)
		put(t, s, streams.Lead{Channel: "telegram", UserID: "7", Message: "one more"})
		if got := card(t, s, id).Messages; len(got) != n+1 {
			t.Errorf("%d messages after one more", len(got))
		}

		// It is kept as long as it has to be, and then goes with its keys; the card stays.
		s.now = func() time.Time { return day.Add(Least - 26*time.Hour) }
		tidy(t, s)
		if got := card(t, s, id).Messages; len(got) != n+1 {
			t.Errorf("%d messages before their time", len(got))
		}
		s.now = func() time.Time { return day.Add(Least + time.Hour) }
		tidy(t, s)
		if got := texts(card(t, s, id).Messages); !slices.Equal(got, []string{"one more"}) {
			t.Errorf("left are %v", got)
		}
		s.now = func() time.Time { return day.Add(3 * Least) }
		tidy(t, s)
		if c := card(t, s, id); len(c.Messages) != 0 || c.Contacts != n+1 || count(t, s, "leads") != 0 || count(t, s, "conversations") != 0 {
			t.Errorf("card %+v, %d keys, %d conversations", c, count(t, s, "leads"), count(t, s, "conversations"))
		}
	})
}

func tidy(t *testing.T, s *Sink) {
	t.Helper()
	if err := s.Tidy(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// A table that somebody holds locked stops the tidying in time, and whoever waits for it hears a stop meanwhile.
func TestTidyHasALimit(t *testing.T) {
	t.Parallel()
	s := newSink(t, Settings{URL: postgres.Database(t), History: Least})
	put(t, s, streams.Lead{Source: "site", Phone: "+79990000001"})
	defer lock(t, s.Store)()
	s.timeout = 2 * time.Second
	tidied := make(chan error, 1)
	go func() { tidied <- s.Tidy(context.Background()) }()
	select {
	case err := <-tidied:
		if err == nil {
			t.Error("it tidied a table that is locked")
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for the lock for ever")
	}
}

func TestWaitingForTheWriterHearsAStop(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		put(t, s, streams.Lead{Source: "site", Phone: "+79990000001"})
		held, free, written := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() { written <- s.write(context.Background(), func(*batch) { close(held); <-free }) }()
		<-held
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		got := make(chan streams.Verdict, 1)
		go func() {
			got <- s.Deliver(ctx, []sinks.Delivery{{Lead: &streams.Lead{ID: streams.NewID("x"), Phone: "+79990000002"}}})[0]
		}()
		select {
		case v := <-got:
			if v.Result != streams.Wait {
				t.Errorf("verdict %+v", v)
			}
		case <-time.After(time.Minute):
			t.Error("it waits for the other writer all the same")
		}
		close(free)
		if err := <-written; err != nil {
			t.Error(err)
		}
	})
}

func count(t testing.TB, s *Sink, table string) (n int64) {
	t.Helper()
	err := s.query(context.Background(), func(scan func(...any) error) error { return scan(&n) }, "SELECT count(*) FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A merge takes everything along, in one transaction: conversations of one channel, preferences, consents, bookings.
func TestMergeTakesEverythingAlong(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		ids := put(t, s, streams.Lead{Channel: "site", Phone: "+79990000001", Message: "a", Service: "x"},
			streams.Lead{Channel: "site", Email: "a@example.test", Message: "b", Service: "x"})
		ctx := context.Background()
		if err := s.AddConsent(ctx, ids[1], Consent{Key: "k", At: noon, Purpose: "marketing", Given: true, How: "form"}); err != nil {
			t.Fatal(err)
		}
		k, err := s.SaveBooking(ctx, visits.Booking{ID: "b1", Customer: ids[1], Status: "booked", Start: noon, End: noon.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, streams.Lead{Channel: "site", Phone: "+79990000001", Email: "a@example.test", Message: "c", Service: "x"})
		c := card(t, s, ids[0])
		if !slices.Equal(texts(c.Messages), []string{"a", "c", "b"}) && !slices.Equal(texts(c.Messages), []string{"a", "b", "c"}) || len(c.Consents) != 1 || len(c.Bookings) != 1 {
			t.Errorf("card %+v", c)
		}
		if !slices.Contains(c.Preferences, Preference{"service", "x", 3}) {
			t.Errorf("preferences %+v", c.Preferences)
		}
		// Whoever still knows the old number writes to the card that has taken it in.
		k.Status = "came"
		if k, err = s.SaveBooking(ctx, k); err != nil || k.Customer != ids[0] {
			t.Errorf("%+v %v", k, err)
		}
	})
}

// A lead may name the same two cards by more than two identities, and more than two cards: each is merged once.
func TestMergeByThreeIdentities(t *testing.T) {
	anna := streams.Lead{Source: "bot", Channel: "telegram", UserID: "7", Phone: "+79990000001", Email: "anna@example.test", Message: "all three"}
	for name, before := range map[string][]streams.Lead{
		"phone and e-mail on one card": {
			{Source: "bot", Channel: "telegram", UserID: "7", Message: "in telegram"},
			{Source: "site", Phone: "+79990000001", Email: "anna@example.test", Message: "on the site"},
		},
		"the account's card is the younger": {
			{Source: "site", Phone: "+79990000001", Email: "anna@example.test", Message: "on the site"},
			{Source: "bot", Channel: "telegram", UserID: "7", Message: "in telegram"},
		},
		"account and e-mail on one card": {
			{Source: "site", Phone: "+79990000001", Message: "on the site"},
			{Source: "bot", Channel: "telegram", UserID: "7", Email: "anna@example.test", Message: "in telegram"},
		},
		"three cards": {
			{Source: "mail", Email: "anna@example.test", Message: "by mail"},
			{Source: "bot", Channel: "telegram", UserID: "7", Message: "in telegram"},
			{Source: "site", Phone: "+79990000001", Message: "on the site"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, s *Sink) {
				cards := put(t, s, append(slices.Clone(before), anna)...)
				if n := count(t, s, "customers"); n != 1 {
					t.Errorf("%d cards are left, want one", n)
				}
				if n := count(t, s, "merges"); int(n) != len(before)-1 {
					t.Errorf("%d merges, want %d", n, len(before)-1)
				}
				for _, id := range cards {
					c := card(t, s, id)
					if c.ID != cards[0] || len(c.Identities) != 3 || len(c.Messages) != len(before)+1 || c.Contacts != int64(len(before)+1) {
						t.Errorf("card %d is %+v", id, c)
					}
				}
			})
		})
	}
}

// A card that is missing takes none with it, and no other lead.
func TestMergeWithAMissingCard(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		cards := put(t, s,
			streams.Lead{Source: "site", Phone: "+79990000001", Message: "on the site"},
			streams.Lead{Source: "bot", Channel: "telegram", UserID: "7", Message: "in telegram"},
		)
		if err := s.write(context.Background(), func(b *batch) { b.exec("DELETE FROM customers WHERE id = $1", cards[0]) }); err != nil {
			t.Fatal(err)
		}
		got := s.Deliver(context.Background(), []sinks.Delivery{
			{Lead: &streams.Lead{ID: streams.NewID("both"), Source: "bot", Channel: "telegram", UserID: "7", Phone: "+79990000001"}},
			{Lead: &streams.Lead{ID: streams.NewID("other"), Source: "site", Phone: "+79990000002"}},
		})
		if got[0].Result != streams.Permanent || !strings.Contains(fmt.Sprint(got[0].Err), "missing") || got[1].Result != streams.Done {
			t.Errorf("verdicts %+v", got)
		}
		if c := card(t, s, cards[1]); len(c.Messages) != 1 {
			t.Errorf("the card that is there: %+v", c)
		}
		if n := count(t, s, "merges"); n != 0 {
			t.Errorf("%d merges", n)
		}
	})
}

func TestConsents(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		ctx, id := context.Background(), put(t, s, streams.Lead{Phone: "+79990000001"})[0]
		yes := Consent{Key: "1", At: noon, Purpose: "marketing", Channel: "telegram", Given: true, How: "form", Wording: "Согласен", Message: "abc"}
		no := Consent{Key: "2", At: noon.Add(time.Hour), Purpose: "marketing", How: "message", Wording: "стоп"}
		for _, c := range []Consent{yes, no, yes} {
			if err := s.AddConsent(ctx, id, c); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Consents(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff([]Consent{yes, no}, got); diff != "" {
			t.Error(diff)
		}
		if Agreed(got, "marketing", "telegram") || !Agreed(got[:1], "marketing", "telegram") || Agreed(got[:1], "marketing", "sms") || Agreed(got[:1], "service", "telegram") {
			t.Error("the last word does not count")
		}
		if err := s.AddConsent(ctx, 999, yes); !errors.Is(err, ErrUnknown) {
			t.Errorf("consent of nobody: %v", err)
		}
		if err := s.AddConsent(ctx, id, Consent{Key: "3"}); err == nil {
			t.Error("a consent to nothing was taken")
		}
	})
}

func TestFind(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		ids := put(t, s, streams.Lead{ID: "lead1", Name: "Анна Канарейкина", Phone: "+79990000001", Email: "anna@example.test"},
			streams.Lead{Name: "100% Olga_K", Channel: "telegram", UserID: "77"})
		for text, want := range map[string][]int64{
			"8 999 000-00-01": ids[:1], "Anna@Example.test": ids[:1], "lead1": ids[:1], fmt.Sprint("#", ids[0]): ids[:1], "КАНАРЕЙ": ids[:1],
			"telegram:77": ids[1:], "0% olga_": ids[1:], "%": nil, "'; DROP TABLE customers; --": nil, "": nil, "+79990000002": nil, "\x00": nil,
		} {
			found, err := s.Find(context.Background(), text, 10)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, c := range found {
				got = append(got, c.ID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q finds %v, want %v", text, got, want)
			}
		}
		if _, err := s.Card(context.Background(), 12345, true); !errors.Is(err, ErrUnknown) {
			t.Errorf("a card that is not there: %v", err)
		}
	})
}

// All cards are gone through page by page, each once, whatever is merged or added meanwhile.
func TestCards(t *testing.T) {
	both(t, func(t *testing.T, s *Sink) {
		ids := put(t, s, streams.Lead{Phone: "+79990000001", Message: "one"}, streams.Lead{Phone: "+79990000002", Message: "two"}, streams.Lead{Channel: "vk", UserID: "3", Message: "three"},
			streams.Lead{Phone: "+79990000004"}, streams.Lead{Phone: "+79990000005"})
		var got []int64
		for after, pages := int64(0), 0; pages < 10; pages++ {
			cards, next, err := s.Cards(context.Background(), after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range cards {
				got = append(got, c.ID)
				if len(c.Messages) == 0 || len(c.Identities) == 0 {
					t.Errorf("card %+v", c)
				}
			}
			if pages == 0 { // the third card becomes the first one's
				put(t, s, streams.Lead{Channel: "vk", UserID: "3", Phone: "+79990000001", Message: "it is me"})
			}
			if after = next; next == 0 {
				break
			}
		}
		if want := slices.Delete(slices.Clone(ids), 2, 3); !slices.Equal(got, want) {
			t.Errorf("cards %v, want %v", got, want)
		}
	})
}

// Several daemons may write to one database at a time.
func TestTwoWriters(t *testing.T) {
	set := Settings{URL: postgres.Database(t), History: Least}
	a, b := newSink(t, set), newSink(t, set)
	var wg sync.WaitGroup
	for i, s := range []*Sink{a, b} {
		wg.Go(func() {
			for n := range 30 {
				lead := &streams.Lead{ID: fmt.Sprint("w", i, "-", n), Phone: "+79990000001", Channel: "telegram", UserID: "7", ReceivedAt: noon}
				if _, err := s.Write(context.Background(), time.UTC, []*streams.Lead{lead}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if c := card(t, a, 1); len(c.Messages) != 60 || c.Contacts != 60 || count(t, b, "customers") != 1 {
		t.Errorf("%d messages, %d contacts, %d cards", len(c.Messages), c.Contacts, count(t, b, "customers"))
	}
}

// Whatever is wrong with the database, leads wait and cost no attempt, the error says the cure, and it goes on by itself.
func TestOutages(t *testing.T) {
	lead := func(n int) []sinks.Delivery {
		l := sinkstest.Lead(n)
		return []sinks.Delivery{{Lead: l, Attempt: 1}}
	}
	deliver := func(t *testing.T, s *Sink, n int, says string) {
		t.Helper()
		v := s.Deliver(context.Background(), lead(n))[0]
		if says == "" && v.Result != streams.Done {
			t.Errorf("after it: %s %v", v.Result, v.Err)
		}
		if says != "" && (v.Result != streams.Wait || !v.Fault || v.Err == nil || !strings.Contains(v.Err.Error(), says)) {
			t.Errorf("got %s %v %v, want to wait, and %q", v.Result, v.Fault, v.Err, says)
		}
		if v.Err != nil && (strings.Contains(v.Err.Error(), "hush") || strings.Contains(v.Err.Error(), "Канарейкина")) {
			t.Errorf("a secret or a person is named: %v", v.Err)
		}
	}
	t.Run("no database", func(t *testing.T) {
		s := newSink(t, Defaults())
		if err := os.WriteFile(s.path, []byte(strings.Repeat("not a database", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(context.Background()); err == nil || !strings.Contains(err.Error(), "is no SQLite database") {
			t.Errorf("check: %v", err)
		}
		deliver(t, s, 1, "is no SQLite database")
		if err := os.Remove(s.path); err != nil {
			t.Fatal(err)
		}
		deliver(t, s, 1, "")
	})
	t.Run("a folder", func(t *testing.T) {
		s := newSink(t, Defaults())
		if err := os.Mkdir(s.path, 0o700); err != nil {
			t.Fatal(err)
		}
		deliver(t, s, 1, "records.db")
	})
	t.Run("removed while open", func(t *testing.T) {
		s := newSink(t, Defaults())
		deliver(t, s, 1, "")
		for _, suffix := range []string{"", "-wal", "-shm"} {
			_ = os.Remove(s.path + suffix)
		}
		deliver(t, s, 2, "")
		if n := count(t, s, "leads"); n != 1 {
			t.Errorf("%d leads in the new file", n)
		}
	})
	t.Run("locked", func(t *testing.T) {
		s := newSink(t, Defaults())
		deliver(t, s, 1, "")
		s.dsn = strings.Replace(s.dsn, "busy_timeout(5000)", "busy_timeout(50)", 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		other, err := sql.Open("sqlite", sqliteDSN(s.path, "rw"))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		tx, err := other.Begin()
		if err != nil {
			t.Fatal(err)
		}
		deliver(t, s, 2, "another program holds it locked")
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		deliver(t, s, 2, "")
	})
	t.Run("newer", func(t *testing.T) {
		both(t, func(t *testing.T, s *Sink) {
			deliver(t, s, 1, "")
			db, err := s.open(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec("INSERT INTO records_version (version) VALUES ($1)", len(migrations)+1); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			deliver(t, s, 2, "of a newer leadstream")
			if err := s.Check(context.Background()); err == nil || !strings.Contains(err.Error(), "of a newer leadstream") {
				t.Errorf("check: %v", err)
			}
		})
	})
	t.Run("disk full", func(t *testing.T) {
		s := newSink(t, Defaults())
		s.dsn += "&_pragma=max_page_count(100)"
		deliver(t, s, 1, "")
		big := lead(2)
		noise := make([]byte, 1<<20) // it cannot be compressed
		if _, err := rand.Read(noise); err != nil {
			t.Fatal(err)
		}
		big[0].Lead.Message = base64.StdEncoding.EncodeToString(noise)
		if v := s.Deliver(context.Background(), big)[0]; v.Result != streams.Wait || v.Err == nil || !strings.Contains(v.Err.Error(), "the disk is full") {
			t.Errorf("got %s %v", v.Result, v.Err)
		}
	})
	for name, c := range map[string]struct{ from, to, says string }{
		"wrong password": {":hush@", ":wrong@", "the user or the password"},
		"no database":    {"/test", "/nothing", "no such database"},
		"nobody there":   {"host=/tmp/", "host=/tmp/nowhere/", "does not answer"},
	} {
		t.Run("postgres "+name, func(t *testing.T) {
			good := postgres.Database(t)
			s := newSink(t, Settings{URL: strings.Replace(good, c.from, c.to, 1), History: Least})
			deliver(t, s, 1, c.says)
			if err := s.Check(context.Background()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("check: %v", err)
			}
		})
	}
	t.Run("postgres goes away", func(t *testing.T) {
		own, err := recordstest.Start()
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		s := newSink(t, Settings{URL: own.Database(t), History: Least})
		deliver(t, s, 1, "")
		own.Stop()
		deliver(t, s, 2, "does not answer")
		if err := own.Run(); err != nil {
			t.Fatal(err)
		}
		deliver(t, s, 2, "")
		if n := count(t, s, "leads"); n != 2 {
			t.Errorf("%d leads", n)
		}
	})
}

func TestCheckCreatesNothing(t *testing.T) {
	s := newSink(t, Defaults())
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
	if files, _ := os.ReadDir(filepath.Dir(s.path)); len(files) > 0 {
		t.Errorf("check has made %v", files)
	}
	p := newSink(t, Settings{URL: postgres.Database(t), History: Least})
	if err := p.Check(context.Background()); err != nil {
		t.Error(err)
	}
	put(t, s, streams.Lead{Phone: "+79990000001"})
	if err := s.Check(context.Background()); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(s.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v %v", info.Mode(), err)
	}
}

func TestSettings(t *testing.T) {
	for name, set := range map[string]Settings{
		"half a year less a day": {URL: Embedded, History: Least - 24*time.Hour},
		"another database":       {URL: "mysql://root:hush@localhost/x", History: Least},
		"no URL":                 {URL: "postgres://leads:hush@[::1/x", History: Least},
		"a file":                 {URL: "history.db", History: Least},
	} {
		_, err := open(set, env(t))
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A batch takes as few round trips to a database that is far away, whatever its leads are: strangers, the same customer
// again, two cards that become one, a conversation that is compressed.
func TestFewRoundTrips(t *testing.T) {
	t.Parallel()
	far := postgres.Far(t, postgres.Database(t), 6*time.Millisecond)
	s := newSink(t, Settings{URL: far.URL, History: Least})
	n := 0
	batch := func(from int, lead func(i int) streams.Lead) (trips int, cards []int64) {
		t.Helper()
		leads := make([]streams.Lead, Kind.Batch)
		for i := range leads {
			n++
			leads[i] = lead(from + i)
			leads[i].Message = fmt.Sprint("message ", n)
		}
		far.Trips()
		cards = put(t, s, leads...)
		return far.Trips(), cards
	}
	phone := func(i int) streams.Lead {
		return streams.Lead{Channel: "site", Phone: fmt.Sprintf("+7999%07d", i), Service: "стрижка"}
	}
	user := func(i int) streams.Lead {
		return streams.Lead{Channel: "telegram", UserID: fmt.Sprint(i), Language: "ru"}
	}
	_, first := batch(0, phone) // opens the database
	batch(0, user)
	batch(1000, phone)
	batch(1000, user)
	const most = 10
	for _, c := range []struct {
		name string
		from int
		lead func(i int) streams.Lead
	}{
		{"known", 0, phone},
		{"strangers", 2000, phone},
		{"two cards that become one", 0, func(i int) streams.Lead { l := user(i); l.Phone = phone(i).Phone; return l }},
		{"one customer", 0, func(int) streams.Lead { return user(7) }},
	} {
		batch(c.from, c.lead) // makes its statements ready
		if trips, _ := batch(c.from+1000, c.lead); trips > most {
			t.Errorf("%s: %d round trips for %d leads, want %d at most", c.name, trips, Kind.Batch, most)
		}
	}
	if _, merged := batch(0, user); !slices.Equal(merged, first) {
		t.Errorf("the cards were not merged: %v, want %v", merged[:3], first[:3])
	}
}

// What does not get there in time is tried in smaller batches, and those grow again: a slow database takes leads slowly, and
// not none.
func TestSlowDatabaseGetsSmallerBatches(t *testing.T) {
	t.Parallel()
	s := newSink(t, Settings{URL: postgres.Database(t), History: Least})
	var all []sinks.Delivery
	for i := range 8 {
		l := sinkstest.Lead(i)
		all = append(all, sinks.Delivery{Lead: l, Attempt: 1})
	}
	written := func(batch []sinks.Delivery) (done, again, fault int) {
		for _, v := range s.Deliver(context.Background(), batch) {
			switch {
			case v.Result == streams.Done:
				done++
			case v.Result == streams.Wait && !v.Fault && v.Err == nil:
				again++
			case v.Result == streams.Wait && v.Fault:
				fault++
			}
		}
		return done, again, fault
	}
	if done, _, _ := written(all[:1]); done != 1 {
		t.Fatal("the first lead is not written")
	}
	free := lock(t, s.Store)
	s.timeout = time.Second
	if done, again, fault := written(all); done != 0 || again != 0 || fault != 8 {
		t.Errorf("while the table is locked: %d done, %d again, %d faults", done, again, fault)
	}
	free()
	s.timeout = 30 * time.Second
	if done, again, _ := written(all); done != 4 || again != 4 {
		t.Errorf("after it: %d done, %d again; want 4 and 4", done, again)
	}
	if done, again, _ := written(all); done != 8 || again != 0 {
		t.Errorf("then: %d done, %d again; want all", done, again)
	}
}

// lock locks a table until free is called.
func lock(t *testing.T, s *Store) (free func()) {
	t.Helper()
	db, err := s.open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("LOCK TABLE conversations IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	return func() { _ = tx.Rollback() }
}
