package streams

import (
	"fmt"
	"time"

	"leadstream/streams/journal"
)

// Arrival is when a lead was accepted, and from whom.
type Arrival struct {
	At     time.Time
	Source string
}

// Arrivals reads from a journal when leads came, each lead once, in no order. It changes nothing; a daemon may be writing the
// journal meanwhile.
func Arrivals(dir string) ([]Arrival, error) {
	by := map[string]Arrival{} // a lead is written again when it is carried into a newer segment
	_, err := journal.Scan(dir, func(rec journal.Record) error {
		if rec.Type != recAccept {
			return nil
		}
		r, _, err := readAccept(rec.Payload)
		if err != nil {
			return nil // damaged: it is one of thousands
		}
		by[r.id] = Arrival{r.accepted, r.source}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading when leads came: %w", err)
	}
	all := make([]Arrival, 0, len(by))
	for _, a := range by {
		all = append(all, a)
	}
	return all, nil
}
