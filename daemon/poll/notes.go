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
	At      time.Time `json:"at"` // until then everything has come
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
