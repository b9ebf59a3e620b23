package sinks

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"leadstream/streams"
)

// A disk that fills up takes part of the write, or takes it all and fails to sync. Neither may leave half a line, nor
// a line that the next power cut would take back.
func TestCSVDiskFull(t *testing.T) {
	part := func(f *os.File, b []byte) (int, error) {
		n, _ := f.Write(b[:len(b)/2])
		return n, syscall.ENOSPC
	}
	cases := map[string]struct {
		put  func(*os.File, []byte) (int, error)
		sync func(*os.File) error
		want streams.Result
		left string
	}{
		"half a write": {put: part, sync: (*os.File).Sync, want: streams.Retry, left: "before\r\n"},
		"no sync":      {put: (*os.File).Write, sync: func(*os.File) error { return syscall.EIO }, want: streams.Retry, left: "before\r\n"},
		"nothing is taken back": {
			put: func(f *os.File, b []byte) (int, error) {
				n, _ := part(f, b)
				f.Close()
				return n, syscall.ENOSPC
			},
			want: streams.Ambiguous,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "leads.csv")
			f, err := NewCSVFile(CSVSettings{Path: path, Separator: ",", Columns: []string{"id"}}, Env{})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("\"id\"\r\nbefore\r\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			f.put, f.sync = c.put, c.sync
			err = f.Append(t.Context(), Row{Lead: &streams.Lead{ID: "after"}})
			if v := csvVerdict(err); v.Result != c.want || !v.Fault || v.Err == nil {
				t.Errorf("got result %d, fault %v (%v), want %d", v.Result, v.Fault, v.Err, c.want)
			}
			text, _ := os.ReadFile(path)
			if c.left != "" && !strings.HasSuffix(string(text), c.left) {
				t.Errorf("left %q", text)
			}
		})
	}
	if v := csvVerdict(syscall.ENOSPC); v.Code != "disk full" || errors.Is(v.Err, ErrUnsettled) {
		t.Errorf("a full disk is not named: %v", v.Code)
	}
}

// While another program holds the file, nothing is written, and the wait ends with ctx.
func TestCSVLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leads.csv")
	f, err := NewCSVFile(CSVSettings{Path: path, Separator: ",", Columns: []string{"id"}}, Env{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := lockedFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	v := csvVerdict(f.Append(ctx, Row{Lead: &streams.Lead{ID: "a"}}))
	if v.Result != streams.Retry || v.Code != "locked" {
		t.Errorf("got result %d, code %q (%v)", v.Result, v.Code, v.Err)
	}
	if info, err := other.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("written beside the lock: %v", err)
	}
}
