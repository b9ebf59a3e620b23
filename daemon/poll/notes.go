package poll

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// note is how far a source has been read.
type note struct {
	Account string    `json:"account"` // with another the rest is worth nothing
	Cursor  string    `json:"cursor,omitempty"`
	At      time.Time `json:"at"`               // until then everything has come, but for what is owed
	Checked time.Time `json:"checked,omitzero"` // until then was looked for what the webhook did not bring
	Owed    *debt     `json:"owed,omitempty"`   // of any conversation
	Left    *debt     `json:"left,omitempty"`   // of those that could not be read
}

// notes keeps one note in a file. A note that is lost or old costs reading again, no more: nothing depends on the disk having
// it, and so nothing waits for that.
type notes struct{ file string }

func notesFile(dir, source string) string { return filepath.Join(dir, source+".json") }

func (n *notes) load() (note, error) {
	var got note
	raw, err := os.ReadFile(n.file)
	if errors.Is(err, fs.ErrNotExist) {
		return got, nil
	}
	if err != nil {
		return got, err
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		return note{}, fmt.Errorf("%s is damaged", n.file)
	}
	return got, nil
}

func (n *notes) save(what note) error {
	raw, err := json.Marshal(what)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(n.file), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(n.file+".new", raw, 0o600); err != nil {
		return err
	}
	return os.Rename(n.file+".new", n.file)
}

// remember takes up the notes of an earlier run with the same account.
func (l *line) remember(account string) note {
	got, err := l.notes.load()
	if err != nil {
		l.log.Warn().Err(err).Msg("how far the service was read is not known")
	}
	if got.Account != account {
		got = note{Account: account}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noted = got
	l.wake()
	return got
}

// note changes what is noted and saves it where it was changed. What cannot be saved counts all the same; a restart then
// goes on from an earlier place.
func (l *line) note(change func(*note)) note {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.noted
	change(&l.noted)
	if l.noted == before {
		return before
	}
	if err := l.notes.save(l.noted); err != nil {
		l.log.Warn().Err(err).Msg("how far the service was read could not be noted; after a restart it is read again from an earlier place")
	}
	if l.noted.Owed != before.Owed {
		l.wake()
	}
	return l.noted
}

// wake tells whoever pays that something is owed.
func (l *line) wake() {
	select {
	case l.owes <- struct{}{}:
	default:
	}
}
