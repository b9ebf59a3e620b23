package streams

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"leadstream/streams/failpoint"
)

// Entry is one delivery unit of a lead for one queue.
type Entry struct {
	ID    string // stream id
	Queue string // the queue it stands in; a hot queue ends in ":hot"
	Lead  *Lead

	Attempt     int       // this try's number, from 1; crashes, pauses and open breakers cost none
	Redelivered bool      // an earlier owner had it in hand when it stopped
	Unsure      time.Time // not zero: it may have reached the destination already, at the latest then
	First       time.Time // when this destination was first tried; zero before that
	Of          *Earlier  // for a repeat: what is known here of the lead it repeats

	meta   meta
	only   string // destinations that a lead driven again still lacks, by comma; empty: as routed
	epoch  int64
	undoes int64  // unix ms of the end of its lead here that a person's replay has undone; 0: none
	raw    string // the lead's JSON as it stood in the stream
	fault  error  // the entry cannot be read
	called bool   // in a Handle call, or through it
	slot   int    // its place in that call
}

// Earlier is the state, at one destination, of an earlier lead that a repeat is to be attached to.
type Earlier struct {
	Remote  string // its id there, once delivered
	Pending bool   // still on its way there
	// Neither: dead, dropped, erased or unknown.
}

// meta is what a parked entry has that the pending list cannot hold.
type meta struct {
	Key      string `json:"k,omitempty"` // order key
	Waiter   bool   `json:"w,omitempty"` // waits behind an earlier entry of its key
	Attempts int    `json:"a,omitempty"`
	First    int64  `json:"f,omitempty"` // unix ms of the first try
	Unsure   int64  `json:"u,omitempty"` // unix ms of the last moment at which it may have been sent
	Tries    []Try  `json:"t,omitempty"` // the last ones
}

// Try is one failed attempt, as a dead letter shows it.
type Try struct {
	At   time.Time `json:"at"`
	Code string    `json:"code,omitempty"`
	Err  string    `json:"error"`
}

const maxTries = 10 // kept by an entry; a retry policy with more attempts shows the last ones

func (m *meta) failed(v Verdict, at time.Time) {
	m.Tries = append(m.Tries, Try{At: at.UTC().Truncate(time.Millisecond), Code: v.Code, Err: errText(v.Err)})
	if len(m.Tries) > maxTries {
		m.Tries = m.Tries[len(m.Tries)-maxTries:]
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	const limit = 2 << 10
	s := err.Error()
	if len(s) > limit {
		s = s[:limit]
	}
	return s
}

// errDamaged says that an entry's bytes are not those that were added.
var errDamaged = errors.New("the entry's checksum does not match its lead")

// checksum is the stream's guard against a flipped bit in Redis's files, which have no checksums of their own.
func checksum(lead []byte) string {
	sum := sha256.Sum256(lead)
	return hex.EncodeToString(sum[:16])
}

// bytesOf is s without a copy, for those who only read: a lead is summed at each of its hops.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// words are the fields of a stream entry of a lead.
func words(id string, lead []byte, epoch int64, only string) []any {
	w := []any{"id", id, "lead", lead, "sum", checksum(lead), "epoch", epoch}
	if only != "" {
		w = append(w, "only", only)
	}
	return w
}

// decodeEntry reads a stream entry. An entry that cannot be read has fault set and what is known of its lead.
func decodeEntry(queue, id string, values map[string]any) *Entry {
	e := &Entry{ID: id, Queue: queue, Lead: &Lead{}}
	text := func(k string) string { s, _ := values[k].(string); return s }
	e.raw, e.only = text("lead"), text("only")
	var err error
	if e.epoch, err = strconv.ParseInt(text("epoch"), 10, 64); err != nil {
		e.epoch = noEpoch
	}
	e.undoes, _ = strconv.ParseInt(text("undoes"), 10, 64)
	leadID := text("id")
	if sum := text("sum"); sum != "" && sum != checksum(bytesOf(e.raw)) && !failpoint.Seeded(failpoint.ChecksumIgnored) {
		e.fault = errDamaged
	} else if err := decodeLead(e.raw, e.Lead); err != nil {
		e.fault = err
		if e.raw == "" {
			e.fault = errors.New("the entry has no field `lead`")
		}
	}
	if e.fault != nil {
		e.Lead = &Lead{ID: leadID}
	}
	if leadID == "" && e.fault == nil { // XADDed by a program: the entry's id makes the lead's
		e.Lead.ID, e.Lead.Home = "", ""
		if len(e.raw) > mostAdded { // the journal could not take custody of it, nor of those beside it
			e.fault = errors.New("the lead is longer than 256 KiB")
		}
	}
	return e
}

// lacking are the destinations that a lead driven again has not ended at.
func (e *Entry) lacking() []string {
	if e.only == "" || destinationOf(e.Queue) != "" {
		return nil
	}
	return strings.Split(e.only, ",")
}

// mostAdded is the longest lead that a program may add itself, and how much of an unreadable entry is kept.
const mostAdded = 256 << 10

// Epochs of entries that belong to none: one that a program added, and one that an owner who is lost may have delivered.
const (
	noEpoch     = -1
	unsureEpoch = 0
)

// external says that a program added the entry itself, without the journal.
func (e *Entry) external() bool { return e.Lead.ID == "" }

// idTime is the time in a stream id.
func idTime(id string) time.Time {
	ms, _ := idParts(id)
	return time.UnixMilli(int64(ms))
}
