package records

import (
	"database/sql"
	"testing"

	"leadstream/streams"
)

// TestUpgrade opens records that the first version has written: nothing of them is lost, and what is new works on them.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *Sink) {
		old, err := sql.Open(s.driver, s.dsn)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"CREATE TABLE records_version (version BIGINT NOT NULL)", s.words.Replace(migrations[0]),
			"INSERT INTO records_version (version) VALUES (1)",
			"INSERT INTO customers (name, first_at, last_at) VALUES ('Анна', 1, 1)",
			"INSERT INTO identities (kind, value, customer, since) VALUES ('phone', '+79990000011', 1, 1)",
			"INSERT INTO bookings (id, customer, version, status, service, branch, start_at, end_at, lead, made_at, changed_at) VALUES ('b', 1, 1, 'booked', 'cut', '', 1, 2, '', 1, 1)",
		} {
			if _, err := old.ExecContext(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		if card := put(t, s, streams.Lead{Channel: "site", Phone: "+79990000011", Message: "Здравствуйте"})[0]; card != 1 {
			t.Errorf("another card: %d", card)
		}
		c, err := s.Customer(t.Context(), 1)
		if err != nil || c.Name != "Анна" || len(c.Routes) != 1 {
			t.Errorf("%+v, %v", c, err)
		}
		if k, err := s.Booking(t.Context(), "b"); err != nil || k.Service != "cut" || k.Master != "" {
			t.Errorf("%+v, %v", k, err)
		}
	})
}
