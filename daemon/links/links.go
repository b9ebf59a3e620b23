// Package links keeps short links of our own: which address each opens, and whose opening it is (IN-11). The code in a
// link is random, and what belongs to it lies in a file of the data folder: what is signed or encrypted into the address
// instead would need no file, but make it longer than a text message can bear, and could not be forgotten.
package links

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/net/idna"
)

// Settings is the `links` block of config.yaml.
type Settings struct {
	Dir  string        `koanf:"dir"`  // relative to data_dir; several daemons need one for all
	Keep time.Duration `koanf:"keep"` // older links open nothing
	URL  string        `koanf:"url"`  // public address of this daemon, https://your-host: what a link begins with
}

// Defaults are the values of keys that config.yaml leaves out.
func Defaults() Settings { return Settings{Dir: "links", Keep: 180 * 24 * time.Hour} }

// Link is an address, and who is known to have opened it when the link is.
type Link struct {
	Target  string    `json:"url"`
	Source  string    `json:"source"` // that made it
	Phone   string    `json:"phone,omitempty"`
	Email   string    `json:"email,omitempty"`
	Channel string    `json:"channel,omitempty"`
	UserID  string    `json:"user_id,omitempty"`
	About   string    `json:"about,omitempty"` // the lead that it is about
	MadeAt  time.Time `json:"made_at"`
}

// ErrUnknown says that no link has this code, or no longer.
var ErrUnknown = errors.New("there is no such link")

// Store is a folder of links, a file each. It is safe for concurrent use, also by several daemons.
type Store struct {
	Dir  string
	Keep time.Duration
	URL  string
	Now  func() time.Time // nil is time.Now
}

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Base 32 in small letters, as in file names of any file system. 16 of them are 80 bits: nobody guesses one.
const (
	letters    = "abcdefghijklmnopqrstuvwxyz234567"
	codeLength = 16
)

// Valid is whether a text may be a code. Only such a text becomes a file's name.
func Valid(code string) bool {
	return len(code) == codeLength && strings.Trim(code, letters) == ""
}

// Path is where a link is found below the public address.
func (s *Store) Path(code string) string { return strings.TrimSuffix(s.URL, "/") + "/l/" + code }

// Make keeps a link; on the disk once it returns. Its Target has passed Address.
func (s *Store) Make(l Link) (code string, err error) {
	l.MadeAt = s.now().UTC().Truncate(time.Second)
	text, err := json.Marshal(l)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return "", err
	}
	code = strings.ToLower(rand.Text()[:codeLength])
	return code, write(s.Dir, code, append(text, '\n'))
}

// write makes a file of that name that is whole, or not there at all, whenever the power goes.
func write(dir, name string, text []byte) error {
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Find reads a link. ErrUnknown: there is none.
func (s *Store) Find(code string) (Link, error) {
	if !Valid(code) {
		return Link{}, ErrUnknown
	}
	text, err := os.ReadFile(filepath.Join(s.Dir, code))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Link{}, ErrUnknown
	case err != nil:
		return Link{}, err
	}
	l, err := decode(text)
	if err == nil && s.now().Sub(l.MadeAt) > s.Keep {
		err = ErrUnknown
	}
	return l, err
}

// decode reads a link's file. What a damaged one holds is nobody's address.
func decode(text []byte) (l Link, err error) {
	if json.Unmarshal(text, &l) != nil {
		return Link{}, errors.New("the link's file is damaged")
	}
	if target, ok := Address(l.Target); !ok || target != l.Target {
		return Link{}, errors.New("the link's file is damaged")
	}
	return l, nil
}

const mostAddress = 2048 // bytes, as it is sent; not every browser takes more

// Address is an address as it may stand in a Location header, or false: only http and https, with a host, without a
// password, and in ASCII.
func Address(text string) (string, bool) {
	text = strings.TrimSpace(text)
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Hostname() == "" {
		return "", false
	}
	if host, err := idna.Lookup.ToASCII(u.Hostname()); err == nil && host != "" && host != u.Hostname() { // пример.рф
		if port := u.Port(); port != "" {
			host += ":" + port
		}
		u.Host = host
	}
	text = escape(u.String())
	again, err := url.Parse(text)
	return text, err == nil && again.Host == u.Host && len(text) <= mostAddress
}

// escape writes what no header or browser takes as it is, as %XX.
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Run removes links that are older than they are kept, until ctx ends.
func (s *Store) Run(ctx context.Context, log zerolog.Logger) error {
	daily := time.NewTicker(24 * time.Hour)
	defer daily.Stop()
	for {
		if n, err := s.Sweep(); err != nil {
			log.Error().Err(err).Msg("old links are not removed")
		} else if n > 0 {
			log.Info().Int("links", n).Msg("old links removed")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-daily.C:
		}
	}
}

// Sweep removes the files of links that are older than they are kept, and what a crash has left half written.
func (s *Store) Sweep() (removed int, err error) {
	files, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	for _, f := range files {
		info, gone := f.Info()
		age := s.Keep
		switch {
		case gone != nil:
			continue
		case strings.HasPrefix(f.Name(), ".new-"):
			age = time.Hour
		case !Valid(f.Name()):
			continue // nothing of ours
		}
		if s.now().Sub(info.ModTime()) <= age {
			continue
		}
		if bad := os.Remove(filepath.Join(s.Dir, f.Name())); bad != nil && !errors.Is(bad, fs.ErrNotExist) {
			err = errors.Join(err, bad)
			continue
		}
		removed++
	}
	return removed, err
}
