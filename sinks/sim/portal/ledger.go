package portal

import (
	"encoding/json"
	"slices"
	"time"
)

// Event is one thing the portal did, or refused to do.
type Event struct {
	Seq     int       `json:"seq"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"` // create, update, delete, comment, activity, task, search, read, refuse
	Method  string    `json:"method"`
	User    int       `json:"user,omitempty"`   // whose webhook it came by
	Entity  string    `json:"entity,omitempty"` // lead, deal, contact
	ID      int       `json:"id,omitempty"`     // what was made or changed
	Origin  string    `json:"origin,omitempty"` // the caller's own key, originId
	Found   []int     `json:"found,omitempty"`  // what a search answered
	Code    string    `json:"code,omitempty"`   // of a refusal
	Status  int       `json:"status,omitempty"` // of a refusal
	Payload any       `json:"payload,omitempty"`

	// Answer is what became of the answer: "delivered", "lost", or "pending" while it is on its way.
	Answer string `json:"answer"`
}

// What became of an answer.
const (
	Pending   = "pending"
	Delivered = "delivered"
	Lost      = "lost"
)

// record adds an event to the ledger and its file, and to the call whose answer it belongs to.
func (c *call) record(e Event) {
	p := c.p
	e.Seq, e.At, e.Method, e.Answer = len(p.ledger)+1, c.now, c.method, Pending
	e.Payload = payload(c.args)
	if c.rq.user != nil {
		e.User = c.rq.user.ID
	}
	p.ledger = append(p.ledger, e)
	c.rq.events = append(c.rq.events, e.Seq)
	p.write(e)
}

// payload is a call's arguments without its access token.
func payload(args *object) any {
	m, _ := plain(args).(map[string]any)
	delete(m, "auth")
	return m
}

// fate notes what became of a request's answer, in each event that it tells of.
func (p *Portal) fate(rq *rest, delivered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := Lost
	if delivered {
		answer = Delivered
	}
	for _, seq := range rq.events {
		if e := &p.ledger[seq-1]; e.Answer != answer {
			e.Answer = answer
			p.write(*e)
		}
	}
}

// write appends one line. The file's last line with a given seq is the valid one.
func (p *Portal) write(e Event) {
	if p.file == nil {
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = p.file.Write(append(line, '\n'))
	}
	if p.fileErr == nil {
		p.fileErr = err
	}
}

// Ledger is everything so far, oldest first.
func (p *Portal) Ledger() []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.ledger)
}

// Created is the ids of the leads and deals that were created under a caller's key, in order.
func (p *Portal) Created(origin string) []int {
	var ids []int
	for _, e := range p.Ledger() {
		if e.Kind == "create" && e.Origin == origin && e.Entity != "contact" {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// Duplicates is the keys under which more than one item of a kind was created, and the ids of those.
func (p *Portal) Duplicates() map[string][]int {
	type key struct{ entity, origin string }
	made := map[key][]int{}
	for _, e := range p.Ledger() {
		if e.Kind == "create" && e.Origin != "" {
			k := key{e.Entity, e.Origin}
			made[k] = append(made[k], e.ID)
		}
	}
	twice := map[string][]int{}
	for k, ids := range made {
		if len(ids) > 1 {
			twice[k.origin] = append(twice[k.origin], ids...)
		}
	}
	return twice
}
