package mail

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// memory is how far a mailbox has been read, on disk: a line for each message that is kept, appended after the journal has it.
// A crash between the two has the message read again, and the journal knows it.
//
// A server that makes its mailbox anew (a restored backup, a move to another provider) gives every message a new number, and
// says so by another UIDVALIDITY. Then the marks tell which were read.
type memory struct {
	path string
	file *os.File
	most int // marks that are remembered; 0: mostMarks

	host          string          // of the server whose numbers these are
	validity, uid uint32          // the last message that was read
	from          time.Time       // when the first of those arrived that are to be read at all
	until         uint32          // messages below it were there when we began: date and marks tell whether to read them
	off           map[uint32]bool // put off: not read, though later ones are
	marks         map[mark]time.Time
	order         []mark // of marks, the oldest first
	lines         int
}

// mark is what a message keeps in whatever mailbox it lies: a hash of its Message-ID, date, sender and subject.
type mark [12]byte

const mostMarks = 100_000

// format is the first line of the file.
const format = "mailbox 1"

// openMemory reads what is remembered.
func openMemory(path string, most int) (*memory, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if most == 0 {
		most = mostMarks
	}
	m := &memory{path: path, most: most, marks: map[mark]time.Time{}, off: map[uint32]bool{}}
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	whole := 0
	if head, _, ok := bytes.Cut(text, []byte("\n")); ok && string(head) == format {
		whole = len(format) + 1
		for line := range bytes.Lines(text[whole:]) {
			if line[len(line)-1] != '\n' || !m.read(line) {
				break // a crash cut it off: the message is read again
			}
			whole += len(line)
		}
	}
	if m.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err := m.file.Truncate(int64(whole)); err != nil {
		return nil, m.failed(err)
	}
	if _, err := m.file.Seek(int64(whole), 0); err != nil {
		return nil, m.failed(err)
	}
	if whole == 0 {
		if err := m.append(format + "\n"); err != nil {
			return nil, m.failed(err)
		}
		if err := syncDir(filepath.Dir(path)); err != nil {
			return nil, m.failed(err)
		}
	}
	return m, nil
}

func (m *memory) failed(err error) error {
	_ = m.file.Close()
	return err
}

// read takes a line into memory.
func (m *memory) read(line []byte) bool {
	var validity, uid uint32
	var at, until int64
	var text string
	if n, _ := fmt.Sscanf(string(line), "began %d %d %d %s", &validity, &at, &until, &text); n == 4 {
		m.began(text, validity, time.Unix(at, 0), uint32(until))
		return true
	}
	if n, _ := fmt.Sscanf(string(line), "off %d", &uid); n == 1 {
		m.off[uid] = true
		return true
	}
	if n, _ := fmt.Sscanf(string(line), "%d %d %s", &uid, &at, &text); n != 3 {
		return false
	}
	var k mark
	if text != "-" {
		if n, err := hex.Decode(k[:], []byte(text)); err != nil || n != len(k) {
			return false
		}
	}
	m.keep(uid, time.Unix(at, 0), k)
	return true
}

func (m *memory) keep(uid uint32, at time.Time, k mark) {
	m.lines++
	m.uid = max(m.uid, uid)
	delete(m.off, uid)
	if _, known := m.marks[k]; known || k == (mark{}) {
		return
	}
	m.marks[k] = at
	if m.order = append(m.order, k); len(m.order) > m.most { // what is forgotten must not be taken for new
		old := m.order[0]
		m.order = m.order[1:]
		if at := m.marks[old]; at.After(m.from) && at.Before(time.Now()) { // the clock may have been wrong
			m.from = at
		}
		delete(m.marks, old)
	}
}

// begin notes that the mailbox lies at this server, with this UIDVALIDITY, from now on. Its messages below until are there already.
func (m *memory) begin(host string, validity uint32, from time.Time, until uint32) error {
	if err := m.append(fmt.Sprintf("began %d %d %d %s\n", validity, from.Unix(), until, host)); err != nil {
		return err
	}
	m.began(host, validity, time.Unix(from.Unix(), 0), until)
	return nil
}

func (m *memory) began(host string, validity uint32, from time.Time, until uint32) {
	m.host, m.validity, m.uid, m.from, m.until = host, validity, 0, from, until
	clear(m.off)
}

// putOff notes that a message could not be read and that later ones will be.
func (m *memory) putOff(uid uint32) error {
	if err := m.append(fmt.Sprintf("off %d\n", uid)); err != nil {
		return err
	}
	m.off[uid] = true
	return nil
}

// done notes that a message is kept, durably, and when.
func (m *memory) done(uid uint32, at time.Time, k mark) error {
	if err := m.append(entry(uid, at, k)); err != nil {
		return err
	}
	m.keep(uid, at, k)
	if m.lines > 2*m.most {
		return m.compact()
	}
	return nil
}

func entry(uid uint32, at time.Time, k mark) string {
	text := "-"
	if k != (mark{}) {
		text = hex.EncodeToString(k[:])
	}
	return fmt.Sprintf("%d %d %s\n", uid, at.Unix(), text)
}

func (m *memory) append(line string) error {
	if _, err := m.file.WriteString(line); err != nil {
		return err
	}
	return m.file.Sync()
}

// compact writes the file anew, without what is forgotten.
func (m *memory) compact() error {
	f, err := os.OpenFile(m.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, format)
	for _, k := range m.order {
		_, _ = w.WriteString(entry(0, m.marks[k], k))
	}
	fmt.Fprintf(w, "began %d %d %d %s\n", m.validity, m.from.Unix(), m.until, m.host)
	_, _ = w.WriteString(entry(m.uid, m.from, mark{}))
	for uid := range m.off {
		fmt.Fprintf(w, "off %d\n", uid)
	}
	if err := w.Flush(); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	if err := os.Rename(m.path+".new", m.path); err != nil {
		_ = f.Close()
		return err
	}
	_ = m.file.Close()
	m.file, m.lines = f, len(m.order)+1
	return syncDir(filepath.Dir(m.path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (m *memory) close() error { return m.file.Close() }
