package streams

import "time"

// State is where a lead, or a lead at one destination, stands. Every one ends in exactly one of the final states.
type State string

const (
	InFlight  State = "in_flight"
	Held      State = "held" // waits for a person's decision, among the dead letters
	Delivered State = "delivered"
	Merged    State = "merged"
	Dropped   State = "dropped"
	Dead      State = "dead"
	Erased    State = "erased"
)

// Final says that nothing more will happen by itself.
func (s State) Final() bool { return s != InFlight && s != Held && s != "" }

// eventKind is what a journal event says of a lead.
type eventKind string

const (
	evIntent    eventKind = "intent"    // a sink is about to be called
	evUnsent    eventKind = "unsent"    // it was called, and surely took nothing
	evUnsure    eventKind = "unsure"    // the call is over; it, or one before it, may have got through until At
	evRouted    eventKind = "routed"    // Dests: where the lead goes
	evDelivered eventKind = "delivered" // Remote
	evMerged    eventKind = "merged"
	evDropped   eventKind = "dropped" // Reason; Dest empty: the whole lead
	evDead      eventKind = "dead"
	evHeld      eventKind = "held"
	evReopened  eventKind = "reopened" // a dead letter was replayed
	evTold      eventKind = "told"     // a person was told that it is dead or held (Dest), or late (no Dest)
	evErased    eventKind = "erased"
	evCarried   eventKind = "carried" // First: its record was written again, in a newer segment
)

// reasonAmbiguous is why a lead is dropped that may have been delivered, where the far side cannot be asked.
const reasonAmbiguous = "ambiguous"

// reasonLate is why a person was told of a lead of whose end nobody has heard yet.
const reasonLate = "late"

var eventKinds = []eventKind{evIntent, evUnsent, evUnsure, evRouted, evDelivered, evMerged, evDropped, evDead, evHeld, evReopened, evTold, evErased, evCarried}

// event is one fact about a lead's custody. It is journaled by the instance that learns it, and travels to the lead's
// home when that is another.
type event struct {
	Lead     string    `json:"l"`
	Kind     eventKind `json:"k"`
	Dest     string    `json:"d,omitempty"`
	Dests    []string  `json:"ds,omitempty"`
	Remote   string    `json:"r,omitempty"`
	Reason   string    `json:"w,omitempty"`
	Attempts int       `json:"a,omitempty"`
	Tries    []Try     `json:"t,omitempty"`
	At       time.Time `json:"at"`
	RepeatOf string    `json:"o,omitempty"` // routed: triage found it to be a repeat
	Undoes   int64     `json:"u,omitempty"` // reopened: unix ms of the end that is undone; 0: whichever was the last
	First    string    `json:"f,omitempty"` // carried: where its record stood when it came, "segment/offset"
}

var finalOf = map[eventKind]State{
	evDelivered: Delivered, evMerged: Merged, evDropped: Dropped, evDead: Dead, evHeld: Held, evErased: Erased,
}
