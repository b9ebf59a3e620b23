package mail

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding/charmap"
)

func init() { message.CharsetReader = decoder }

// aliases are charsets by the names that mailers have for them besides the registered ones.
var aliases = map[string]string{
	"cp1251": "windows-1251", "win-1251": "windows-1251", "win1251": "windows-1251", "cp-1251": "windows-1251", "koi8": "koi8-r",
	"koi8r": "koi8-r", "utf8": "utf-8", "utf": "utf-8", "unicode": "utf-8", "cp866": "ibm866", "cp1252": "windows-1252",
}

func decoder(name string, r io.Reader) (io.Reader, error) {
	name = strings.ToLower(strings.Trim(strings.TrimSpace(name), `"'`))
	if better, ok := aliases[name]; ok {
		name = better
	}
	if name == "utf-8" || name == "us-ascii" || name == "ascii" {
		return r, nil
	}
	return charset.Reader(name, r)
}

// known is whether text that was declared to be in the charset has been decoded from it. What is said to be UTF-8 or ASCII,
// or nothing, is looked at.
func known(charset string) bool {
	switch name := strings.ToLower(charset); name {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "utf", "unicode", "iso-8859-1": // the last is what mailers say that do not know
		return false
	}
	return true
}

// guess reads text of which nobody says, or says wrongly, what it is in: UTF-8 where it is that, else one of the two old
// Russian charsets. Their small letters stand where the other has its capitals, and people write small ones.
func guess(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	whole := b
	for cut := 1; cut < utf8.UTFMax && cut < len(whole); cut++ { // ended within a letter
		if utf8.Valid(whole[:len(whole)-cut]) {
			return string(whole[:len(whole)-cut])
		}
	}
	var koi, win int
	for _, c := range b {
		switch {
		case c >= 0xE0:
			win++
		case c >= 0xC0:
			koi++
		}
	}
	table := charmap.Windows1251
	if koi > win {
		table = charmap.KOI8R
	}
	text, err := table.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(text)
}

func newReader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }
