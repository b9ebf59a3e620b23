package mail

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"regexp"
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

// decode reads text that is said to be in a charset. What is UTF-8 beyond ASCII is that, whatever old charset is said.
func decode(b []byte, charset string) string {
	if known(charset) && (!utf8.Valid(b) || isASCII(b) || !old(charset)) {
		if r, err := decoder(charset, bytes.NewReader(b)); err == nil {
			if text, err := io.ReadAll(r); err == nil {
				return string(text)
			}
		}
	}
	return guess(b)
}

func old(charset string) bool {
	charset = strings.ToLower(charset)
	return strings.Contains(charset, "125") || strings.HasPrefix(charset, "koi8")
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
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

// fromBase64 decodes as far as it is base64: pieces that were encoded apart and joined, each with its padding, and lines between
// them that are plain, as a list's footer or all of a text that only says it is encoded. clean is false where anything is not as it should be.
func fromBase64(b []byte) (out []byte, clean bool) {
	clean = true
	var piece []byte
	flush := func() {
		if len(piece)%4 != 0 {
			clean = false
		}
		if len(piece)%4 == 1 { // a word, or a piece that was cut
			if len(piece) < 20 {
				out, piece = append(append(out, piece...), '\n'), piece[:0]
				return
			}
			piece = piece[:len(piece)-1]
		}
		decoded, err := base64.RawStdEncoding.AppendDecode(nil, bytes.TrimRight(piece, "="))
		clean = clean && err == nil
		out, piece = append(out, decoded...), piece[:0]
	}
	for l := range bytes.Lines(b) {
		l = bytes.TrimSpace(l)
		if !base64Line.Match(l) {
			flush()
			clean = false
			out = append(append(out, l...), '\n')
			continue
		}
		for len(l) > 0 {
			end := bytes.IndexByte(l, '=')
			if end < 0 {
				piece = append(piece, l...)
				break
			}
			for end < len(l) && l[end] == '=' {
				end++
			}
			piece, l = append(piece, l[:end]...), l[end:]
			if flush(); len(l) > 0 {
				clean = false
			}
		}
	}
	flush()
	return out, clean
}

var base64Line = regexp.MustCompile(`^[A-Za-z0-9+/=]*$`)

// fromQuoted decodes quoted-printable; what is none stays as it is, and clean is false then.
func fromQuoted(b []byte) (out []byte, clean bool) {
	clean = true
	out = make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '=' {
			clean = clean && (b[i] >= ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n')
			out = append(out, b[i])
			continue
		}
		rest := b[i+1:]
		if c, err := hex.DecodeString(string(rest[:min(2, len(rest))])); err == nil && len(c) == 1 {
			out = append(out, c[0])
			i += 2
			continue
		}
		blank, _, found := bytes.Cut(rest, []byte("\n"))
		if len(bytes.TrimSpace(blank)) == 0 { // the line goes on in the next
			i += len(blank)
			if found {
				i++
			}
			continue
		}
		clean = false
		out = append(out, '=')
	}
	return out, clean
}
