package poll

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// known are the conversations that a service has told of, where it lists none itself. They stand in a file: a line each time
// that one is heard of anew, and after a start one for each.
type known struct {
	file string

	mu sync.Mutex
	at map[string]time.Time // when each was heard of
}

// Conversations are written down again after a day, and forgotten after as long as records are kept.
const (
	knownAnew = 24 * time.Hour
	knownKept = 180 * 24 * time.Hour
)

// openKnown reads the file. What cannot be read of it is as if it had never been written.
func openKnown(dir, source string) (*known, error) {
	k := &known{file: filepath.Join(dir, source+".talks"), at: map[string]time.Time{}}
	f, err := os.Open(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return k, err
	}
	defer f.Close()
	lines := 0
	for s := bufio.NewScanner(f); s.Scan(); lines++ {
		talk, when, _ := strings.Cut(s.Text(), " ")
		n, err := strconv.ParseInt(when, 10, 64)
		if at := time.Unix(n, 0); err == nil && talk != "" && time.Since(at) < knownKept {
			k.at[talk] = at
		}
	}
	if lines > 2*len(k.at) {
		return k, k.rewrite()
	}
	return k, nil
}

func (k *known) rewrite() error {
	var b strings.Builder
	for talk, at := range k.at {
		fmt.Fprintln(&b, talk, at.Unix())
	}
	if err := os.WriteFile(k.file+".new", []byte(b.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(k.file+".new", k.file)
}

// add notes a conversation.
func (k *known) add(talk string) error {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.at[talk]).Abs() < knownAnew || talk == "" || strings.ContainsAny(talk, " \r\n") {
		return nil
	}
	k.at[talk] = now
	if err := os.MkdirAll(filepath.Dir(k.file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(k.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, talk, now.Unix())
	return errors.Join(err, f.Close())
}

// all are the conversations, the latest first.
func (k *known) all() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	talks := make([]string, 0, len(k.at))
	for talk := range k.at {
		talks = append(talks, talk)
	}
	slices.SortFunc(talks, func(a, b string) int { return k.at[b].Compare(k.at[a]) })
	return talks
}
