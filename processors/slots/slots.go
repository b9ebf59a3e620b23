// Package slots finds in a customer's message what a booking or an answer needs: when, which service, model or branch,
// whom to call, which order, for how much. It reads Russian and English as people write them. What it does not find it
// leaves empty, and what the message wants is for package intent to say.
package slots

import (
	"time"
	"unicode/utf8"

	"leadstream/streams"
)

// Slots are what a message holds.
type Slots struct {
	When    *When  `json:"when,omitempty"`
	Service string `json:"service,omitempty"` // the catalogue's name for it
	Product string `json:"product,omitempty"` // the catalogue's code for it (C-15)
	Branch  string `json:"branch,omitempty"`  // the catalogue's name for it
	Price   *Price `json:"price,omitempty"`
	Name    string `json:"name,omitempty"`  // as the customers call themselves
	Phone   string `json:"phone,omitempty"` // E.164
	Email   string `json:"email,omitempty"` // lower case
	Order   string `json:"order,omitempty"`
}

// The slots of more than one part.
type (
	When  = streams.When
	Price = streams.Price
)

// Reader knows the business. Its zero value reads messages of a Russian business in UTC that has no catalogue.
type Reader struct {
	Zone     *time.Location // the business's own; nil: UTC
	Region   string         // of phone numbers written without a country; empty: RU
	Services *Catalog
	Products *Catalog
	Branches *Catalog
}

// Read finds the slots of a message written at now.
func (r *Reader) Read(text string, now time.Time) Slots {
	var s Slots
	text = cut(text)
	c := r.contacts(text)
	s.Phone, s.Email, s.Name = c.phone, c.email, c.name
	rest := c.rest
	s.Order, rest = order(rest)
	if p, without := price(rest); p != nil {
		s.Price, rest = p, without
	}
	if w, ok := r.When(rest, now); ok {
		s.When = &w
	}
	if r.Services == nil && r.Products == nil && r.Branches == nil {
		return s
	}
	words := catalogWords(rest)
	if item := r.Services.find(words); item != nil {
		s.Service = item.Name
	}
	if item := r.Products.find(words); item != nil {
		s.Product = item.code()
	}
	if item := r.Branches.find(words); item != nil {
		s.Branch = item.Name
	}
	return s
}

// maxText is how much of a message is read, in bytes: what a booking needs stands near the beginning.
const maxText = 4 << 10

func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

func (r *Reader) zone() *time.Location {
	if r.Zone == nil {
		return time.UTC
	}
	return r.Zone
}

func (r *Reader) region() string {
	if r.Region == "" {
		return "RU"
	}
	return r.Region
}
