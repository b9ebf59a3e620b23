package drill

import (
	"errors"
	"math"
	"slices"
	"time"
)

// Peak is the most that is expected: an hour's leads, and those of its busiest minute.
type Peak struct {
	PerHour   float64            `json:"per_hour"`
	PerMinute float64            `json:"per_minute"`       // of the busiest minute
	Learnt    int                `json:"learnt,omitempty"` // from so many leads of the journal; 0: it was said
	Since     time.Time          `json:"since,omitzero"`   // of these leads, the first
	Guessed   bool               `json:"guessed,omitempty"`
	Shares    map[string]float64 `json:"shares,omitempty"`      // of the leads, by source; empty: all sources alike
	Hour      time.Time          `json:"busiest_hour,omitzero"` // when the busiest hour began
}

// Arrival is a lead that came earlier.
type Arrival struct {
	At     time.Time
	Source string
}

// NewPeak is a peak of which only the hour is known. Customers come by chance and not by the clock, so an hour's busiest
// minute has more than a sixtieth of it: the number that one of sixty minutes reaches in every other such hour.
func NewPeak(perHour float64) Peak {
	mean := perHour / 60
	p := math.Exp(-mean) // of exactly n leads in a minute
	n, upTo := 0, p
	if mean > 500 { // the sum would vanish; the normal law is as good there
		return Peak{PerHour: perHour, PerMinute: math.Ceil(mean + 2.27*math.Sqrt(mean))}
	}
	for math.Pow(upTo, 60) < 0.5 {
		n++
		p *= mean / float64(n)
		upTo += p
	}
	return Peak{PerHour: perHour, PerMinute: math.Max(1, float64(n))}
}

// Learn finds the busiest hour and the busiest minute of earlier leads. They need not be one hour's.
func Learn(leads []Arrival) (Peak, error) {
	if len(leads) < 2 {
		return Peak{}, errors.New("too few leads to learn a peak from")
	}
	leads = slices.Clone(leads)
	slices.SortFunc(leads, func(a, b Arrival) int { return a.At.Compare(b.At) })
	p := Peak{Learnt: len(leads), Since: leads[0].At, Shares: map[string]float64{}}
	for _, l := range leads {
		p.Shares[l.Source] += 1 / float64(len(leads))
	}
	hour, at := busiest(leads, time.Hour)
	minute, _ := busiest(leads, time.Minute)
	p.PerHour, p.PerMinute, p.Hour = float64(hour), float64(minute), at
	return p, nil
}

// busiest is the most leads within any span, and when that span began.
func busiest(leads []Arrival, span time.Duration) (most int, began time.Time) {
	first := 0
	for i, l := range leads {
		for l.At.Sub(leads[first].At) >= span {
			first++
		}
		if n := i - first + 1; n > most {
			most, began = n, leads[first].At
		}
	}
	return most, began
}
