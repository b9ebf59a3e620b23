package journal

import (
	"fmt"
	"os"
	"path/filepath"

	"leadstream/streams/failpoint"
)

// The spare is a segment's worth of zeros kept ready: starting a segment is a rename, which works on a full disk too,
// so that the outcomes of what was accepted can still be written.
const (
	spareName = "spare"
	newName   = "new.tmp"
	makeName  = "spare.tmp"
)

type spareState int

const (
	spareMissing spareState = iota
	spareMaking
	spareReady
)

func (j *Journal) setSpare(s spareState) {
	j.mu.Lock()
	j.spare = s
	j.mu.Unlock()
}

// findSpare takes over the spare of an earlier run.
func (j *Journal) findSpare() {
	st, err := os.Stat(filepath.Join(j.o.Dir, spareName))
	if err == nil && st.Size() == j.o.SegmentSize {
		j.setSpare(spareReady)
	}
}

// makeSpare makes one beside the committer if there is none.
func (j *Journal) makeSpare() {
	j.mu.Lock()
	missing := j.spare == spareMissing
	if missing {
		j.spare = spareMaking
	}
	j.mu.Unlock()
	if !missing {
		return
	}
	j.aside.Go(func() {
		tmp := filepath.Join(j.o.Dir, makeName)
		err := j.disk.create(tmp, j.o.SegmentSize)
		if err == nil {
			failpoint.Hit(failpoint.SpareMade)
			err = j.disk.rename(tmp, filepath.Join(j.o.Dir, spareName))
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.noSpare = err != nil; j.noSpare {
			j.spare = spareMissing
		} else {
			j.spare = spareReady
			failpoint.Hit(failpoint.SpareReady)
		}
	})
}

// checkSpace says whether anything but essential records may be written: not when the disk has less free than the
// reserve, nor while no spare could be made.
func (j *Journal) checkSpace() {
	free, total, err := j.disk.space(j.o.Dir)
	if err != nil {
		j.o.Log.Warn().Err(err).Msg("journal: free space")
		return // unknown is not full: the segment is allocated already
	}
	reserve := j.reserve(total)
	j.mu.Lock()
	was := j.full != nil
	switch {
	case free < reserve:
		j.full = fmt.Errorf("%w: %d bytes are free, %d are reserved", ErrFull, free, reserve)
	case j.noSpare:
		j.full = fmt.Errorf("%w: no spare segment", ErrFull)
	default:
		j.full = nil
	}
	now := j.full
	j.mu.Unlock()
	switch {
	case now != nil && !was:
		j.o.Log.Error().Err(now).Msg("journal: only outcomes are taken")
		j.o.OnFault(now)
	case now == nil && was:
		j.o.Log.Info().Msg("journal: space again")
	}
}

func (j *Journal) reserve(total int64) int64 {
	if j.o.Reserve == 0 {
		return min(maxReserve, total/20)
	}
	return j.o.Reserve
}

// Room is nil if size bytes that can be done without leave the disk twice the reserve: what comes to the journal must not
// be refused because of them.
func (j *Journal) Room(size int64) error {
	free, total, err := j.disk.space(j.o.Dir)
	if err != nil {
		return fmt.Errorf("journal: free space: %w", err)
	}
	if left, least := free-size, 2*max(j.reserve(total), 0); left < least {
		return fmt.Errorf("%w: %d bytes would be left, at least %d have to", ErrFull, left, least)
	}
	return nil
}
