package portal

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// File is a file on a card, by what it was: its content is not kept.
type File struct {
	Card    int // its comment's
	Comment int
	Name    string
	Size    int
	Sum     string // SHA-256, hex
}

// files reads FILES of a comment: pairs of name and Base64. In the arguments, and so in the ledger, their content gives way
// to its sum; a ledger that is read again has that.
func (c *call) files(in *object) ([]File, *Error) {
	given := in.get("FILES")
	if given == nil {
		return nil, nil
	}
	if c.nested { // a batch carries no files
		return nil, &Error{405, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage"}
	}
	bad := fail("INVALID_ARG_VALUE", "Invalid value of FILES.")
	var all []File
	var sums []any
	for _, one := range elements(given) {
		pair := elements(one)
		if len(pair) < 2 || text(pair[0]) == "" || strings.ContainsAny(text(pair[0]), "/\\") {
			return nil, bad
		}
		f := File{Name: text(pair[0])}
		if len(pair) == 3 { // of the ledger
			f.Size, f.Sum = number(pair[1]), text(pair[2])
		} else {
			raw, err := base64.StdEncoding.DecodeString(text(pair[1]))
			if err != nil || len(raw) == 0 {
				return nil, bad
			}
			sum := sha256.Sum256(raw)
			f.Size, f.Sum = len(raw), hex.EncodeToString(sum[:])
		}
		all = append(all, f)
		sums = append(sums, []any{f.Name, f.Size, f.Sum})
	}
	in.set("FILES", sums)
	return all, nil
}

// Files are the files on all cards, oldest first.
func (p *Portal) Files() []File {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []File
	for _, n := range p.notes {
		for _, f := range n.files {
			f.Card, f.Comment = n.owner, n.id
			all = append(all, f)
		}
	}
	return all
}
