package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// row is one lead of a file.
type row struct {
	number int    // as a person counts: the line of JSON lines, the record after the header of CSV
	body   []byte // JSON object
	key    string
	fault  string // why it cannot be sent
}

// maxRow bounds a line of JSON, and how much of a file is looked at to tell what it is.
const maxRow = 1 << 20

// readRows tells CSV from JSON lines by the first character, and answers a reader of rows; it ends with io.EOF.
func readRows(l lang, name string, in io.Reader) (func() (row, error), error) {
	b := bufio.NewReaderSize(in, 64<<10)
	if bom, _ := b.Peek(3); bytes.Equal(bom, []byte("\ufeff")) {
		_, _ = b.Discard(3)
	}
	start, err := b.Peek(4096)
	if err != nil && err != io.EOF {
		return nil, err
	}
	head := bytes.TrimLeft(start, " \t\r\n")
	switch {
	case len(head) == 0:
		return nil, errors.New(l.say("there is nothing in it", "он пуст"))
	case head[0] == '[':
		return nil, errors.New(l.say("this is one JSON array; write one object a line", "это один массив JSON; пишите по объекту в строке"))
	case head[0] == '{':
		return jsonRows(l, filepath.Base(name), b), nil
	}
	return csvRows(filepath.Base(name), b, start)
}

func jsonRows(l lang, name string, in *bufio.Reader) func() (row, error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxRow)
	n := 0
	return func() (row, error) {
		for lines.Scan() {
			n++
			line := bytes.TrimSpace(lines.Bytes())
			if len(line) == 0 {
				continue
			}
			r := row{number: n, body: bytes.Clone(line)}
			if !json.Valid(line) {
				r.fault = l.say("this line is not JSON", "эта строка не JSON")
			}
			r.key = rowKey(name, r)
			return r, nil
		}
		if err := lines.Err(); err != nil {
			return row{}, fmt.Errorf("line %d: %w", n+1, err)
		}
		return row{}, io.EOF
	}
}

// csvRows reads what Excel writes: comma, semicolon or tab, UTF-8 or Windows-1251.
func csvRows(name string, in *bufio.Reader, start []byte) (func() (row, error), error) {
	var text io.Reader = in
	if !validStart(start) {
		text = charmap.Windows1251.NewDecoder().Reader(in)
	}
	r := csv.NewReader(text)
	header, _, _ := bytes.Cut(start, []byte("\n"))
	r.Comma = separator(string(header))
	names, err := r.Read()
	if err != nil {
		return nil, err
	}
	n := 0
	return func() (row, error) {
		cells, err := r.Read()
		if err == io.EOF {
			return row{}, err
		}
		n++
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			return row{number: n, fault: bad.Error()}, nil
		}
		if err != nil {
			return row{}, err
		}
		lead := map[string]string{}
		for i, v := range cells {
			if v = strings.TrimSpace(v); v != "" {
				lead[strings.TrimSpace(names[i])] = v
			}
		}
		body, err := json.Marshal(lead)
		if err != nil {
			return row{}, err
		}
		out := row{number: n, body: body}
		out.key = rowKey(name, out)
		return out, nil
	}, nil
}

// validStart tells UTF-8, of which the last character may be cut.
func validStart(b []byte) bool {
	for cut := range min(utf8.UTFMax, len(b)) {
		if utf8.Valid(b[:len(b)-cut]) {
			return true
		}
	}
	return len(b) == 0
}

func separator(header string) rune {
	best := ','
	for _, c := range []rune{';', '\t'} {
		if strings.Count(header, string(c)) > strings.Count(header, string(best)) {
			best = c
		}
	}
	return best
}

// rowKey is the same when the same row of the same file is sent again, and another when the file has changed.
func rowKey(name string, r row) string {
	sum := sha256.Sum256(r.body)
	file := sha256.Sum256([]byte(name)) // a header holds no Cyrillic
	return fmt.Sprintf("file-%s-%d-%s", hex.EncodeToString(file[:6]), r.number, hex.EncodeToString(sum[:6]))
}
