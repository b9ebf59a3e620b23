package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"leadstream/streams/failpoint"
)

const quarantine = "quarantine"

// load reads what is there, puts copies of damaged stretches aside, tidies up and begins a segment.
func (j *Journal) load(replay func(Record) error) error {
	s := scanner{dir: j.o.Dir, fn: replay, settle: j.settle}
	if j.o.Known != nil {
		s.known = map[string]Known{}
		for _, k := range j.o.Known() {
			s.known[k.Name] = k
		}
	}
	if err := s.run(); err != nil {
		return err
	}
	j.tell(s.report.Damages)
	for _, name := range s.report.Strangers {
		j.o.OnFault(fmt.Errorf("journal: %s is not a segment and was not read", name))
	}
	if s.report.TornTails > 0 {
		j.o.Log.Info().Int("tails", s.report.TornTails).Int64("bytes", s.report.TornBytes).Msg("journal: torn tails")
	}
	j.seq, j.durable = s.last, s.last
	failpoint.Hit(failpoint.StartRead)
	return j.begin(s.found)
}

// tell reports damage and puts copies of it aside.
func (j *Journal) tell(damages []Damage) {
	for _, d := range damages {
		if err := j.keepAside(d); err != nil {
			j.o.Log.Error().Err(err).Msg("journal: copy of a damaged stretch")
		}
		j.o.Log.Error().Err(d).Msg("journal: damage")
		j.o.OnFault(d)
	}
}

// begin starts the segment of this run. Files of earlier runs that were never written serve for it.
func (j *Journal) begin(found []*segment) error {
	var empty []*segment
	for len(found) > 0 && found[len(found)-1].blank() {
		empty = append(empty, found[len(found)-1])
		found = found[:len(found)-1]
	}
	for _, s := range found {
		j.trim(s)
		j.number = max(j.number, s.number)
	}
	j.segments = found
	j.findSpare()
	if j.spare != spareReady && len(empty) > 0 && empty[0].length == j.o.SegmentSize {
		// Under its new name the file still says how far seq has come, which the spare's name does not.
		if err := j.startFrom(filepath.Join(j.o.Dir, empty[0].name())); err != nil {
			return err
		}
		empty = empty[1:]
	} else if err := j.start(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		return err
	} else if err != nil {
		j.fail(err)
		return nil // the files left empty hold seq
	}
	for _, s := range empty {
		if err := j.disk.remove(filepath.Join(j.o.Dir, s.name())); err != nil {
			j.o.Log.Warn().Err(err).Msg("journal: empty segment")
		}
	}
	return nil
}

func (s *segment) blank() bool { return s.size == 0 && !s.torn && !s.damaged }

// trim ends a segment that a crash has left, and gives its unused space back. Only zeros are written or cut, and only
// where nothing is torn or damaged.
func (j *Journal) trim(s *segment) {
	if s.torn || s.damaged || s.poisoned || s.sealed && s.size == s.length {
		return
	}
	f, err := j.disk.open(filepath.Join(j.o.Dir, s.name()))
	switch {
	case err != nil:
	case s.sealed:
		err = errors.Join(f.Truncate(s.size), f.Close())
	default:
		s.f = f
		err = j.seal(s)
	}
	if err != nil {
		j.o.Log.Warn().Err(err).Uint64("segment", s.number).Msg("journal: trim")
	}
}

// settle makes the tail of a segment that was not closed in order as lasting as what was acknowledged: records that
// only the page cache holds would otherwise be replayed now and be gone after a power loss.
func (j *Journal) settle(path string) (lasting bool) {
	err := j.disk.settle(path)
	if err != nil {
		err = fmt.Errorf("journal: settle %s: %w", filepath.Base(path), err)
		j.o.Log.Error().Err(err).Msg("journal: records may not be lasting")
		j.o.OnFault(err)
	}
	return err == nil
}

// keepAside copies a damaged stretch below Dir, once.
func (j *Journal) keepAside(d Damage) error {
	dir := filepath.Join(j.o.Dir, quarantine)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, fmt.Sprintf("%s-%d-%d", d.File, d.From, d.To))
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	from, err := os.Open(filepath.Join(j.o.Dir, d.File))
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.NewSectionReader(from, d.From, d.To-d.From))
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		os.Remove(path + ".new")
		return err
	}
	return errors.Join(os.Rename(path+".new", path), syncDir(dir))
}
