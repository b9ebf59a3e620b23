package sinks

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrUnsettled says that rows may or may not be in the file: the disk refused both to keep them and to take them back.
var ErrUnsettled = errors.New("the disk did not say whether the rows are kept")

const bom = "\xEF\xBB\xBF"

// CSVFile is a CSV file that several daemons and a person may use at once. Rows are appended in one write under a lock
// and are on the disk when Append returns. What a crash left half written is moved to FILE.torn; a file whose header
// is another one is renamed, so that no row stands under a wrong title.
type CSVFile struct {
	pattern, separator, language string
	bom, excelPhones             bool
	columns                      []string
	zone                         *time.Location

	mu   sync.Mutex                                        // spares the workers of this daemon the wait for flock
	sync func(*os.File) error                              // fsync; another one in tests of a failing disk
	put  func(f *os.File, b []byte) (written int, e error) // write
}

// NewCSVFile makes a CSVFile from its settings; it does no I/O.
func NewCSVFile(s CSVSettings, env Env) (*CSVFile, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	f := &CSVFile{
		pattern: s.Path, separator: s.Separator, language: env.Language, bom: s.BOM, excelPhones: s.ExcelPhones,
		columns: slices.Clone(s.Columns), zone: env.Zone,
		sync: (*os.File).Sync, put: (*os.File).Write,
	}
	if !filepath.IsAbs(f.pattern) {
		f.pattern = filepath.Join(strings.ReplaceAll(env.DataDir, "%", "%%"), f.pattern)
	}
	if f.zone == nil {
		f.zone = time.UTC
	}
	return f, nil
}

// PathAt is the file that a row of that time goes to.
func (f *CSVFile) PathAt(at time.Time) string {
	path, _ := datedPath(f.pattern, at.In(f.zone)) // NewCSVFile has seen the pattern
	return path
}

// Append writes the rows to the file of their first one's day, all or none, and returns when they are on the disk.
// A row that may have been written before (Unsure) and is there is left out.
func (f *CSVFile) Append(ctx context.Context, rows ...Row) error {
	if len(rows) == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	path := f.PathAt(rows[0].At)
	rows, err := f.without(ctx, path, rows)
	if err != nil || len(rows) == 0 {
		return err
	}
	file, err := f.open(ctx, path)
	if err != nil {
		return fmt.Errorf("csv file: %w", err)
	}
	defer file.Close()
	return f.write(file, rows)
}

// open makes the file ready to be appended to: there, locked, whole, and with our header.
func (f *CSVFile) open(ctx context.Context, path string) (*os.File, error) {
	for {
		file, err := lockedFile(ctx, path)
		if err != nil {
			return nil, err
		}
		if err := mend(file); err != nil {
			file.Close()
			return nil, err
		}
		same, err := f.sameHeader(file)
		if same && err == nil {
			return file, nil
		}
		if err == nil {
			err = setAside(path)
		}
		file.Close()
		if err != nil {
			return nil, err
		}
	}
}

// write appends the rows in a single write and syncs them. When the disk refuses, it takes them back: no half line.
func (f *CSVFile) write(file *os.File, rows []Row) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var b strings.Builder
	if info.Size() == 0 {
		if f.bom {
			b.WriteString(bom)
		}
		encode(&b, f.header(), f.separator)
	}
	for _, r := range rows {
		encode(&b, f.cells(r), f.separator)
	}
	_, err = f.put(file, []byte(b.String()))
	if err == nil {
		err = f.sync(file)
	}
	if err == nil {
		return nil
	}
	if back := errors.Join(file.Truncate(info.Size()), file.Sync()); back != nil {
		return fmt.Errorf("csv file: writing: %w: %w: %w", ErrUnsettled, err, back)
	}
	return fmt.Errorf("csv file: writing: %w", err)
}

// without leaves out the rows that may have been written before and are found, in today's file or that of the try
// (which may have begun before midnight).
func (f *CSVFile) without(ctx context.Context, path string, rows []Row) ([]Row, error) {
	var left []Row
	for _, r := range rows {
		found := false
		if !r.Unsure.IsZero() {
			for _, p := range slices.Compact([]string{f.PathAt(r.Unsure.Add(-time.Hour)), f.PathAt(r.Unsure), path}) {
				has, err := f.has(ctx, p, r.Lead.ID)
				if err != nil {
					return nil, fmt.Errorf("csv file: looking for the lead: %w", err)
				}
				found = found || has
			}
		}
		if !found {
			left = append(left, r)
		}
	}
	return left, nil
}

// has reads only whole rows: half a row is moved aside first, so it does not pass for the lead.
func (f *CSVFile) has(ctx context.Context, path, id string) (bool, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	file, err := lockedFile(ctx, path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	if err := mend(file); err != nil {
		return false, err
	}
	text := bufio.NewReader(file)
	if mark, _ := text.Peek(len(bom)); string(mark) == bom {
		_, _ = text.Discard(len(bom))
	}
	r := csv.NewReader(text)
	r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = rune(f.separator[0]), -1, true, true
	at := -1
	for ctx.Err() == nil {
		record, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, err
		case at < 0: // the header
			at = slices.Index(record, "id")
			if at < 0 {
				return false, nil
			}
		case at < len(record) && record[at] == id:
			return true, nil
		}
	}
	return false, ctx.Err()
}

func (f *CSVFile) sameHeader(file *os.File) (bool, error) {
	var want strings.Builder
	encode(&want, f.header(), f.separator)
	got := make([]byte, len(bom)+want.Len())
	n, err := file.ReadAt(got, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	got = bytes.TrimPrefix(got[:n], []byte(bom))
	return n == 0 || bytes.HasPrefix(got, []byte(want.String())), nil
}

// lockedFile opens the file, or creates it, alone among all processes. Someone may rename it while we wait for the
// lock; then the lock is on the wrong file, and we start over.
func lockedFile(ctx context.Context, path string) (*os.File, error) {
	for {
		file, err := openOrCreate(path)
		if err != nil {
			return nil, err
		}
		if err := flock(ctx, file); err != nil {
			file.Close()
			return nil, fmt.Errorf("waiting for the lock of %s: %w", filepath.Base(path), err)
		}
		held, err := file.Stat()
		if there, e := os.Stat(path); err == nil && e == nil && os.SameFile(held, there) {
			return file, nil
		}
		file.Close()
		if err != nil {
			return nil, err
		}
	}
}

func openOrCreate(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if !errors.Is(err, os.ErrNotExist) {
		return file, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syncDir(path); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func flock(ctx context.Context, file *os.File) error {
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// mend moves what stands after the last whole row to FILE.torn. Our rows end in CR LF and have no CR inside; a file
// that another program has saved with LF alone is taken by its lines.
func mend(file *os.File) error {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	last := make([]byte, min(2, info.Size()))
	if _, err := file.ReadAt(last, info.Size()-int64(len(last))); err != nil || string(last) == "\r\n" {
		return err
	}
	const most = 16 << 20 // no append of ours is longer
	from := max(info.Size()-most, 0)
	tail := make([]byte, info.Size()-from)
	if _, err := file.ReadAt(tail, from); err != nil {
		return err
	}
	end := bytes.LastIndex(tail, []byte("\r\n")) + 2
	if end == 1 {
		end = bytes.LastIndexByte(tail, '\n') + 1
	}
	if end == len(tail) {
		return nil
	}
	if err := keepTorn(file.Name()+".torn", tail[end:]); err != nil {
		return err
	}
	return errors.Join(file.Truncate(from+int64(end)), file.Sync())
}

func keepTorn(path string, torn []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(append(torn, '\n')); err != nil {
		return err
	}
	return errors.Join(file.Sync(), syncDir(path))
}

// setAside renames a file with other columns; its new name tells when.
func setAside(path string) error {
	ext := filepath.Ext(path)
	stem := strings.TrimSuffix(path, ext) + "." + time.Now().UTC().Format("20060102T150405.000000000Z")
	if err := os.Rename(path, stem+ext); err != nil {
		return err
	}
	return syncDir(path)
}

func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
