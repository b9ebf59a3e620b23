package sinks

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"leadstream/streams"
)

// CSV appends leads to a file that a spreadsheet opens. It is Searchable: a redelivered lead is looked for in the file.
var CSV = Kind{
	Settings: func() any {
		return &CSVSettings{Path: "leads.csv", Separator: ",", BOM: true, Columns: append([]string(nil), leadColumns...)}
	},
	Open:   func(settings any, env Env) (Sink, error) { return openCSV(*settings.(*CSVSettings), env) },
	Class:  Searchable,
	Batch:  100,
	Policy: streams.CRMPolicy,
}

// CSVSettings are the keys of a csv destination.
type CSVSettings struct {
	Path        string   `koanf:"path"`         // under the data folder unless absolute; %Y %m %d make a file a day
	Separator   string   `koanf:"separator"`    // "," or ";": Excel with Russian settings wants ";"
	BOM         bool     `koanf:"bom"`          // Excel takes a file without it for a one-byte encoding
	ExcelPhones bool     `koanf:"excel_phones"` // ="+7…": Excel shows the number as text; other programs see the formula
	Columns     []string `koanf:"columns"`      // see ColumnNames; fields.NAME takes a field of the lead's own
}

type csvSink struct {
	file *CSVFile
	now  func() time.Time
}

func openCSV(s CSVSettings, env Env) (Sink, error) {
	file, err := NewCSVFile(s, env)
	if err != nil {
		return nil, err
	}
	return &csvSink{file: file, now: time.Now}, nil
}

// Deliver writes the whole batch in one append: all its leads reach the disk, or none.
func (c *csvSink) Deliver(ctx context.Context, batch []Delivery) []streams.Verdict {
	verdicts := make([]streams.Verdict, len(batch))
	now := c.now()
	var rows []Row
	for i, d := range batch {
		rows = append(rows, Row{Lead: d.Lead, At: now, Unsure: d.Unsure})
		verdicts[i].Remote = filepath.Base(c.file.PathAt(now))
	}
	if err := c.file.Append(ctx, rows...); err != nil {
		for i := range verdicts {
			verdicts[i] = csvVerdict(err)
		}
	}
	return verdicts
}

// csvVerdict: a full or failing disk is the destination's fault, and the lead waits; ErrUnsettled is the one case in
// which the rows may be in the file.
func csvVerdict(err error) streams.Verdict {
	v := streams.Verdict{Result: streams.Retry, Fault: true, Err: err}
	switch {
	case errors.Is(err, ErrUnsettled):
		v.Result = streams.Ambiguous
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		v.Code = "locked"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		v.Code = "disk full"
	}
	return v
}

// Check says whether the file, or the nearest folder above it that exists, can be written.
func (c *csvSink) Check(context.Context) error { return c.file.Check(c.now()) }

// Check says whether the file of a day can be written, and creates nothing.
func (f *CSVFile) Check(now time.Time) error {
	path := f.PathAt(now)
	for p := path; ; p = filepath.Dir(p) {
		err := unix.Access(p, unix.W_OK)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.ENOENT) && filepath.Dir(p) != p:
			continue
		}
		return fmt.Errorf("path: %s cannot be written (%w): give the daemon's user the right, or choose another path", p, err)
	}
}

func (s CSVSettings) check() error {
	var faults []error
	if strings.TrimSpace(s.Path) == "" {
		faults = append(faults, errors.New("path: is empty; give a file name, such as leads.csv or leads-%Y-%m-%d.csv"))
	}
	if _, err := datedPath(s.Path, time.Time{}); err != nil {
		faults = append(faults, err)
	}
	if s.Separator != "," && s.Separator != ";" {
		faults = append(faults, fmt.Errorf(`separator: %q is not known; use "," or ";"`, s.Separator))
	}
	seen := map[string]bool{}
	for _, c := range s.Columns {
		if !knownColumn(c) {
			faults = append(faults, fmt.Errorf("columns: %q is not known; use %s or fields.NAME", c, strings.Join(ColumnNames(), ", ")))
		}
		if seen[c] {
			faults = append(faults, fmt.Errorf("columns: %q is there twice; keep one", c))
		}
		seen[c] = true
	}
	if !seen["id"] {
		faults = append(faults, errors.New("columns: id is missing; add it, a redelivered lead is found by it"))
	}
	return errors.Join(faults...)
}

// datedPath fills %Y, %m and %d; any other % is refused, so that a typing error does not become a file name.
func datedPath(pattern string, at time.Time) (string, error) {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' {
			b.WriteByte(pattern[i])
			continue
		}
		i++
		switch {
		case i < len(pattern) && pattern[i] == 'Y':
			b.WriteString(at.Format("2006"))
		case i < len(pattern) && pattern[i] == 'm':
			b.WriteString(at.Format("01"))
		case i < len(pattern) && pattern[i] == 'd':
			b.WriteString(at.Format("02"))
		case i < len(pattern) && pattern[i] == '%':
			b.WriteByte('%')
		default:
			return "", fmt.Errorf("path: %q has an unknown %% sign; use %%Y, %%m and %%d, or %%%% for the sign itself", pattern)
		}
	}
	return b.String(), nil
}
