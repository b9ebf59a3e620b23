package streams

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"leadstream/streams/failpoint"
	"leadstream/streams/journal"
)

// The index spares a start the reading of the journal. It is a folder beside the segments, made by replaying each of them
// once it is closed: an archive of the leads that had ended by then, and one snapshot of the ledger without them, as it
// stood at the end of the last segment. A start reads the snapshot and the segments behind it; leads that ended before are
// looked up in the archives when somebody asks. Nothing is believed that does not fit the journal, byte for byte or by
// checksum: then the whole journal is read, as without an index. It may be deleted at any time.
// Whoever changes what these files hold, or what the ledger makes of a record of the journal, changes the number in
// snapshotMagic.
const (
	indexFolder    = "index"
	snapshotPrefix = "ledger-"
	archivePrefix  = "ended-"
	snapshotMagic  = "LSINDEX2"
)

// snapshot is the head of a snapshot file; the leads and the times of Past come behind it.
type snapshot struct {
	Known      []journal.Known `json:"known"` // what has been replayed
	Archives   []archiveNote   `json:"archives"`
	Partitions int             `json:"partitions"`
	Epochs     []keptEpoch     `json:"epochs"`
	Unread     []keptRequest   `json:"unread"`
	Past       []keptPast      `json:"past"`
	Leads      int             `json:"leads"`
}

type keptEpoch struct {
	epochNote
	Segment uint64 `json:"s"`
}

type keptRequest struct {
	Quarantined
	Segment uint64 `json:"s"`
}

type keptPast struct {
	Segment uint64        `json:"s"`
	States  map[State]int `json:"n"`
	Times   int           `json:"t"`
}

// past is what is known in memory of the archived home leads of one segment.
type past struct {
	states map[State]int
	times  []int64 // when they were accepted, unix ms, in order
}

func (c *Custody) pastOf(segment uint64) *past {
	p := c.past[segment]
	if p == nil {
		p = &past{states: map[State]int{}}
		c.past[segment] = p
	}
	return p
}

// idKey is an id as a key of the archives. Only ids that NewID has made have one.
func idKey(id string) (k [16]byte, ok bool) {
	if len(id) != 26 {
		return k, false
	}
	var b [17]byte
	n, err := idCoding.Decode(b[:], []byte(id))
	if err != nil || n != 16 {
		return k, false
	}
	copy(k[:], b[:])
	var again [26]byte
	idCoding.Encode(again[:], k[:])
	return k, string(again[:]) == id
}

// The kinds of keys in an archive: a lead by its id, the last segment of a lead with a key, the last place and the id of one
// with a body.
const (
	byID   = 'l'
	byKey  = 'k'
	byBody = 'b'
)

// over says that a lead has ended and nothing but an odd request asks for it: it may be archived.
func (r *record) over() bool {
	if r.whole == Dead || r.whole == Held || r.whole == "" && (len(r.dests) == 0 || r.home && !r.routed) {
		return false
	}
	for _, s := range r.dests {
		if !s.state.Final() || s.state == Dead || !s.intent.IsZero() {
			return false
		}
	}
	_, ok := idKey(r.id)
	return ok
}

// find is a lead, in memory or archived: then a copy, which nobody may change. The caller holds mu.
func (c *Custody) find(id string) *record {
	r := c.leads[id]
	if r == nil {
		if r = c.archived(id); r != nil {
			c.mend(r)
		}
	}
	return r
}

// mend makes of a lead from the archives what a start would have made of it.
func (c *Custody) mend(r *record) {
	if !c.opened.IsZero() && r.accepted.After(c.opened) {
		r.accepted = c.opened
	}
}

// archived is a lead as it was archived; nil if it was not.
func (c *Custody) archived(id string) *record {
	key, ok := idKey(id)
	if !ok {
		return nil
	}
	for _, a := range slices.Backward(c.archives) {
		b, err := a.get(keyOf(byID, key))
		if err == nil && b == nil {
			continue
		}
		var r *record
		if err == nil {
			r, err = unpack(b)
		}
		if err != nil {
			c.unarchive(err)
			return c.leads[id]
		}
		if r.pos.Segment < c.floor {
			return nil
		}
		return r
	}
	return nil
}

func unpack(b []byte) (*record, error) {
	in := ledgerReader{b: b}
	r := in.record(map[string]string{})
	if in.bad || len(in.b) > 0 {
		return nil, errArchive
	}
	return r, nil
}

// takeOut brings an archived lead back into the ledger, because something has happened to it. The caller holds mu.
func (c *Custody) takeOut(id string) *record {
	r := c.archived(id)
	if r == nil || c.leads[id] != nil {
		return r
	}
	c.leads[r.id] = r
	if r.home {
		p := c.pastOf(r.pos.Segment)
		p.states[r.state()]--
		if i, ok := slices.BinarySearch(p.times, r.accepted.UnixMilli()); ok {
			p.times = slices.Delete(p.times, i, i+1)
		}
	}
	c.mend(r)
	c.indexBefore(r)
	return r
}

// keyKnown says whether a source's key came before. The caller holds mu.
func (c *Custody) keyKnown(key [16]byte) bool {
	if c.keyed[key] != nil {
		return true
	}
	for _, a := range slices.Backward(c.archives) {
		b, err := a.get(keyOf(byKey, key))
		if err != nil {
			c.unarchive(err)
			return c.keyed[key] != nil
		}
		if b != nil && binary.BigEndian.Uint64(b) >= c.floor {
			return true
		}
	}
	return false
}

// latest is the last lead that came with this body and without a key. The caller holds mu.
func (c *Custody) latest(body [16]byte) *record {
	r := c.bodies[body]
	if r != nil && !r.durable() {
		return r
	}
	var at journal.Pos
	if r != nil {
		at = r.pos
	}
	id := ""
	for _, a := range slices.Backward(c.archives) {
		b, err := a.get(keyOf(byBody, body))
		if err != nil {
			c.unarchive(err)
			return c.bodies[body]
		}
		if b == nil {
			continue
		}
		pos := journal.Pos{Segment: binary.BigEndian.Uint64(b), Offset: int64(binary.BigEndian.Uint64(b[8:]))}
		if pos.Segment >= c.floor && pos.Compare(at) > 0 {
			at, id = pos, string(b[16:])
		}
	}
	if id == "" {
		return r
	}
	return c.find(id)
}

// unarchive reads the journal for what the archives ought to have told: one of them is damaged. The caller holds mu.
func (c *Custody) unarchive(err error) {
	c.Log.Warn().Err(err).Msg("the journal's index is damaged: reading the journal")
	c.archives, c.past, c.torn = nil, map[uint64]*past{}, err
	if c.journal == nil { // whoever replays begins anew
		return
	}
	all := c.blank()
	for _, s := range c.journal.Segments() {
		if s.Number > c.indexed {
			break
		}
		if err := c.journal.Replay(s.Number, all.replay); err != nil {
			c.Log.Error().Err(err).Uint64("segment", s.Number).Msg("journal: not read")
		}
	}
	for id, r := range all.leads {
		if c.leads[id] != nil || !r.over() || r.pos.Segment < c.floor {
			continue
		}
		c.mend(r)
		c.leads[id] = r
		c.count(r)
		c.indexBefore(r)
	}
}

// indexBefore makes a lead findable by key or body that may have come before others which are.
func (c *Custody) indexBefore(r *record) {
	switch {
	case r.key != [16]byte{}:
		if c.keyed[r.key] == nil {
			c.keyed[r.key] = r
		}
	case r.body != [16]byte{}:
		if old := c.bodies[r.body]; old == nil || old.durable() && old.pos.Compare(r.pos) < 0 {
			c.bodies[r.body] = r
		}
	}
}

// blank is an empty ledger like c, of nobody's journal.
func (c *Custody) blank() *Custody {
	b := &Custody{Instance: c.Instance, Partitions: c.Partitions, Retention: c.Retention, Now: c.Now, Log: c.Log}
	b.reset()
	return b
}

// restore reads the newest snapshot that fits the journal in dir, and says which segments it knows.
func (c *Custody) restore(dir string) []journal.Known {
	names, _ := filepath.Glob(filepath.Join(dir, indexFolder, snapshotPrefix+"*"))
	slices.Sort(names)
	for _, path := range slices.Backward(names) {
		known, err := c.load(dir, path)
		if err == nil {
			return known
		}
		c.Log.Info().Err(err).Msg("an index does not fit the journal")
		c.reset()
	}
	return nil
}

var errStale = errors.New("index: of another journal or version")

func (c *Custody) load(dir, path string) ([]journal.Known, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	const ends = len(snapshotMagic) + 8
	if len(b) < ends || string(b[:len(snapshotMagic)]) != snapshotMagic {
		return nil, errStale
	}
	sum := binary.LittleEndian.Uint32(b[len(b)-4:])
	size := int64(binary.LittleEndian.Uint32(b[len(snapshotMagic):]))
	b = b[:len(b)-4]
	if crc32.Checksum(b, castagnoli) != sum || size > int64(len(b)-ends+4) {
		return nil, errArchive
	}
	b = b[len(snapshotMagic)+4:]
	var s snapshot
	if err := json.Unmarshal(b[:size], &s); err != nil {
		return nil, fmt.Errorf("%w: %w", errArchive, err)
	}
	known, ok := journal.Fits(dir, s.Known)
	if !ok || s.Partitions != c.Partitions {
		return nil, errStale
	}
	c.floor, c.indexed = known[0].Number(), known[len(known)-1].Number()
	for _, note := range s.Archives {
		if note.Last < c.floor {
			continue
		}
		a, err := openArchive(filepath.Join(dir, indexFolder, note.Name), note)
		if err != nil {
			return nil, err
		}
		c.archives = append(c.archives, a)
	}
	for _, e := range s.Epochs {
		e.epochNote.segment = e.Segment
		c.epochs[e.Partition] = e.epochNote
	}
	for _, q := range s.Unread {
		q.Quarantined.segment = q.Segment
		c.unread[q.ID] = q.Quarantined
	}
	return known, c.loadLeads(s, ledgerReader{b: b[size:]})
}

func (c *Custody) loadLeads(s snapshot, in ledgerReader) error {
	c.leads = make(map[string]*record, s.Leads)
	names := map[string]string{}
	for range s.Leads {
		r := in.record(names)
		if in.bad {
			return errArchive
		}
		if r.pos.Segment >= c.floor {
			c.index(r)
		}
	}
	for _, k := range s.Past {
		p := past{states: k.States}
		at := int64(0)
		for range k.Times {
			at += in.number()
			p.times = append(p.times, at)
		}
		if k.Segment >= c.floor {
			c.past[k.Segment] = &p
		}
	}
	if in.bad || len(in.b) > 0 {
		return errArchive
	}
	return nil
}

// archive takes the leads that are over out of the ledger, into a file for the segment that was replayed last.
func (c *Custody) archive(dir string, segment uint64) error {
	var rows []*record
	for _, r := range c.leads {
		if r.pos.Segment < c.floor { // its record was dropped, and it was not carried
			c.unindex(r)
		} else if r.over() {
			rows = append(rows, r)
			c.unindex(r)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	entries := make([]archived, 0, 2*len(rows))
	note := archiveNote{Name: fmt.Sprintf("%s%016x", archivePrefix, segment)}
	for _, r := range rows {
		note.Last, note.Newest = max(note.Last, r.pos.Segment), max(note.Newest, r.accepted.UnixMilli())
		id, _ := idKey(r.id)
		var w ledgerWriter
		w.record(r)
		entries = append(entries, archived{keyOf(byID, id), w.b})
		at := binary.BigEndian.AppendUint64(nil, r.pos.Segment)
		if r.key != [16]byte{} {
			entries = append(entries, archived{keyOf(byKey, r.key), at})
		} else if r.body != [16]byte{} {
			at = binary.BigEndian.AppendUint64(at, uint64(r.pos.Offset))
			entries = append(entries, archived{keyOf(byBody, r.body), append(at, r.id...)})
		}
		if r.home {
			p := c.pastOf(r.pos.Segment)
			p.states[r.state()]++
			p.times = append(p.times, r.accepted.UnixMilli())
		}
	}
	for _, p := range c.past {
		slices.Sort(p.times)
	}
	b, sum := encodeArchive(entries)
	note.Size, note.Sum = int64(len(b)), sum
	if err := c.write(filepath.Join(dir, indexFolder, note.Name), b); err != nil {
		return err
	}
	failpoint.Hit(failpoint.IndexArchived)
	a, err := openArchive(filepath.Join(dir, indexFolder, note.Name), note)
	if err != nil {
		return err
	}
	c.archives = append(c.archives, a)
	return nil
}

// save writes the ledger as it stands at the end of known, and then removes what no snapshot counts on any more.
func (c *Custody) save(dir string, known []journal.Known) error {
	s := snapshot{Known: known, Partitions: c.Partitions, Leads: len(c.leads)}
	needed := map[string]bool{}
	for _, a := range c.archives {
		if a.note.Last >= c.floor {
			s.Archives = append(s.Archives, a.note)
			needed[a.note.Name] = true
		}
	}
	for _, e := range c.epochs {
		s.Epochs = append(s.Epochs, keptEpoch{e, e.segment})
	}
	for _, q := range c.unread {
		s.Unread = append(s.Unread, keptRequest{q, q.segment})
	}
	rows := make([]*record, 0, len(c.leads))
	for _, r := range c.leads {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *record) int { return a.pos.Compare(b.pos) })
	var w ledgerWriter
	for _, r := range rows {
		w.record(r)
	}
	for segment, p := range c.past {
		if segment < c.floor {
			continue
		}
		s.Past = append(s.Past, keptPast{segment, p.states, len(p.times)})
		at := int64(0)
		for _, t := range p.times {
			w.number(t - at)
			at = t
		}
	}
	head, err := json.Marshal(s)
	if err != nil {
		return err
	}
	b := binary.LittleEndian.AppendUint32([]byte(snapshotMagic), uint32(len(head)))
	b = append(append(b, head...), w.b...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	name := fmt.Sprintf("%s%016x", snapshotPrefix, known[len(known)-1].Number())
	if err := c.write(filepath.Join(dir, indexFolder, name), b); err != nil {
		return err
	}
	failpoint.Hit(failpoint.IndexSaved)
	needed[name] = true
	return c.sweep(dir, needed)
}

func (c *Custody) sweep(dir string, needed map[string]bool) error {
	files, err := os.ReadDir(filepath.Join(dir, indexFolder))
	if err != nil {
		return err
	}
	for _, f := range files {
		if name := f.Name(); !needed[name] && (strings.HasPrefix(name, archivePrefix) || strings.HasPrefix(name, snapshotPrefix) || strings.HasSuffix(name, tmpSuffix)) {
			if err := os.Remove(filepath.Join(dir, indexFolder, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

const tmpSuffix = ".tmp"

// write writes a file of the index, unless the disk is too full for what can be made anew at any time.
func (c *Custody) write(path string, b []byte) error {
	if err := c.room(int64(len(b))); err != nil {
		return err
	}
	return replaceFile(path, b)
}

// replaceFile writes a file that is there whole, or not at all, also after a power cut.
func replaceFile(path string, b []byte) error {
	f, err := os.OpenFile(path+tmpSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = bytes.NewReader(b).WriteTo(f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path + tmpSuffix)
		return err
	}
	if err := os.Rename(path+tmpSuffix, path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
