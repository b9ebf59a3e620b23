package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// pair is a field of a form before its text is known to be UTF-8.
type pair struct {
	key, value string
	file       bool // value is JSON that describes a file
}

// parseURLEncoded reads a form body. Escapes that are none are kept as written: a stray percent sign must not cost the
// lead.
func parseURLEncoded(body []byte, charset string) ([]item, error) {
	var pairs []pair
	for part := range strings.SplitSeq(string(body), "&") {
		if part == "" {
			continue
		}
		if len(pairs) == maxMembers {
			return nil, fault("too_many_members", "")
		}
		key, value, _ := strings.Cut(part, "=")
		pairs = append(pairs, pair{key: unescape(key), value: unescape(value)})
	}
	return formItem(body, pairs, charset)
}

// parsePlainForm reads what browsers send for enctype="text/plain": a field a line, nothing escaped. It is urlencoded
// with one field too, then without line breaks.
func parsePlainForm(body []byte, charset string) ([]item, error) {
	if !bytes.Contains(body, []byte("\n")) {
		return parseURLEncoded(body, charset)
	}
	var pairs []pair
	for line := range strings.Lines(string(body)) {
		line = strings.TrimRight(line, "\r\n")
		key, value, found := strings.Cut(line, "=")
		switch {
		case !found && len(pairs) > 0: // a value of several lines
			pairs[len(pairs)-1].value += "\n" + line
		case len(pairs) == maxMembers:
			return nil, fault("too_many_members", "")
		case found:
			pairs = append(pairs, pair{key: key, value: value})
		}
	}
	return formItem(body, pairs, charset)
}

func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	if text, err := url.QueryUnescape(s); err == nil {
		return text
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '+' {
			out = append(out, ' ')
			continue
		}
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// parseMultipart reads a multipart form. Of a file it keeps name, type and size, not the content.
func parseMultipart(body []byte, boundary, charset string) ([]item, error) {
	if boundary == "" {
		return nil, &Error{Code: "bad_form", Field: "Content-Type"}
	}
	reader := multipart.NewReader(bytes.NewReader(body), boundary)
	var pairs []pair
	for {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fault("bad_form", "")
		}
		if len(pairs) == maxMembers {
			return nil, fault("too_many_members", "")
		}
		p, err := readPart(part)
		if err != nil {
			return nil, fault("bad_form", "")
		}
		pairs = append(pairs, p)
	}
	return formItem(body, pairs, charset)
}

func readPart(part *multipart.Part) (pair, error) {
	key := part.FormName()
	if name := part.FileName(); name != "" {
		size, err := io.Copy(io.Discard, part)
		if err != nil {
			return pair{}, err
		}
		about, err := json.Marshal(struct {
			Filename string `json:"filename"`
			Type     string `json:"type,omitempty"`
			Size     int64  `json:"size"`
		}{strings.ToValidUTF8(name, "\uFFFD"), strings.ToValidUTF8(part.Header.Get("Content-Type"), "\uFFFD"), size})
		return pair{key: key, value: string(about), file: true}, err
	}
	text, err := io.ReadAll(part)
	return pair{key: key, value: string(text)}, err
}

// formItem makes the pairs of a form look like a JSON object. A key that came several times, as groups of check boxes
// do, has all its values.
func formItem(body []byte, pairs []pair, charset string) ([]item, error) {
	if err := decodePairs(pairs, charset); err != nil {
		return nil, err
	}
	it := item{raw: body, form: true, members: make([]member, 0, len(pairs))}
	seen := make(map[string]int, len(pairs))
	lists := make(map[int]bool)
	for _, p := range pairs {
		if strings.IndexByte(p.key, 0) >= 0 || strings.IndexByte(p.value, 0) >= 0 {
			return nil, fault("nul_character", "")
		}
		val := []byte(p.value)
		if !p.file {
			val = quote(make([]byte, 0, len(p.value)+2), p.value)
		}
		at, again := seen[p.key]
		switch {
		case !again:
			seen[p.key] = len(it.members)
			it.members = append(it.members, member{p.key, val})
		case lists[at]:
			list := it.members[at].val
			it.members[at].val = append(append(append(list[:len(list)-1], ','), val...), ']')
		default:
			lists[at] = true
			it.members[at].val = append(append(append(append([]byte{'['}, it.members[at].val...), ','), val...), ']')
		}
	}
	if len(it.members) == 0 {
		return nil, fault("empty_body", "")
	}
	return []item{it}, nil
}

// decodePairs brings a form to UTF-8. Sites older than UTF-8 post Windows-1251, and often do not say so.
func decodePairs(pairs []pair, charset string) error {
	if !slices.ContainsFunc(pairs, func(p pair) bool { return !utf8.ValidString(p.key) || !utf8.ValidString(p.value) }) {
		return nil
	}
	table := charsets[strings.ToLower(charset)]
	if table == nil {
		table = charmap.Windows1251
	}
	for i := range pairs {
		var err error
		if pairs[i].key, err = table.NewDecoder().String(pairs[i].key); err != nil {
			return fault("bad_encoding", "")
		}
		if pairs[i].file {
			continue
		}
		if pairs[i].value, err = table.NewDecoder().String(pairs[i].value); err != nil {
			return fault("bad_encoding", "")
		}
		if strings.ContainsRune(pairs[i].value, utf8.RuneError) {
			return fault("bad_encoding", "")
		}
	}
	return nil
}

var charsets = map[string]*charmap.Charmap{
	"windows-1251": charmap.Windows1251, "cp1251": charmap.Windows1251, "win-1251": charmap.Windows1251,
	"koi8-r": charmap.KOI8R, "cp866": charmap.CodePage866, "ibm866": charmap.CodePage866,
	"iso-8859-5": charmap.ISO8859_5, "iso-8859-1": charmap.Windows1252, "windows-1252": charmap.Windows1252,
}
