//go:build linux

package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"leadstream/daemon/proof"
	"leadstream/streams"
	"leadstream/streams/streamstest"
)

// smallDisk mounts a filesystem of so many KiB below a new folder. It takes root, or sudo without a password.
func smallDisk(t *testing.T, below string, kib int) (dir, disk string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	disk = filepath.Join(dir, below)
	if err := os.MkdirAll(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	as := func(args ...string) {
		t.Helper()
		if os.Getuid() != 0 {
			args = append([]string{"sudo", "-n"}, args...)
		}
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s: a small disk takes root, or sudo without a password", args, err, out)
		}
	}
	as("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dk,mode=700,uid=%d", kib, os.Getuid()), "leadstream-test", disk)
	t.Cleanup(func() { as("umount", "-l", disk) })
	return dir, disk
}

// fill leaves no byte free on a disk; the answer frees it again.
func fill(t *testing.T, disk string) (free func()) {
	t.Helper()
	path := filepath.Join(disk, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		if _, err := f.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			chunk = chunk[:len(chunk)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

func TestFullDiskOfTheJournal(t *testing.T) {
	t.Parallel()
	for name, redis := range map[string]func(*testing.T) string{
		"Redis elsewhere":    func(t *testing.T) string { return "unix://" + streamstest.Redis(t).Addr },
		"Redis on that disk": func(*testing.T) string { return "" }, // embedded
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, disk := smallDisk(t, "data", 80<<10)
			i := newInstance(t, proof.Setup{DataDir: disk, Redis: redis(t)})
			l := i.ledger()
			i.pause()
			l.burst(50, 8)
			earlier := l.With(proof.Acked)
			free := fill(t, disk)
			i.eventually("new leads are refused", func() bool { return l.send(l.Customer()).Fate == proof.Rejected })
			l.burst(50, 8)
			for _, r := range l.With(proof.Rejected) {
				if r.Status != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
					t.Errorf("refused with %d, Retry-After %q: %v", r.Status, r.Header.Get("Retry-After"), r.Err)
				}
			}
			if len(l.With(proof.Unknown)) > 0 || len(earlier) != 50 {
				t.Errorf("%d acked before, %d unknown; want 50, 0", len(earlier), len(l.With(proof.Unknown)))
			}
			if name == "Redis elsewhere" { // what was taken goes on, and its outcomes are written
				i.run("resume", "crm")
				i.eventually("earlier leads are delivered", func() bool {
					return !slices.ContainsFunc(earlier, func(r proof.Request) bool { return i.life(r.LeadID).State != streams.Delivered })
				})
				i.Kill()
				i.start503()
				for _, r := range earlier {
					if s := i.life(r.LeadID).State; s != streams.Delivered {
						t.Errorf("after a restart on the full disk a delivered lead is %s", s)
					}
				}
			}
			free()
			i.eventually("leads are taken again", func() bool { return l.send(l.Customer()).Fate == proof.Acked })
			l.burst(20, 8)
			i.eventually("the destination is resumed", func() bool { _, err := i.CLI("resume", "crm"); return err == nil })
			l.settled()
		})
	}
}

// start503 runs a daemon that will not be ready: it only must answer.
func (i *instance) start503() {
	i.t.Helper()
	i.must(i.Launch())
	i.eventually("the daemon answers", func() bool {
		res, err := i.HTTP.Get(i.URL("/readyz"))
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	})
}

func TestFullDiskOfTheTable(t *testing.T) {
	t.Parallel()
	dir, disk := smallDisk(t, "csv", 64)
	i := newInstance(t, proof.Setup{DataDir: dir, Route: "crm, table", Sinks: `
  table: {kind: csv, path: csv/leads.csv, retry: {attempts: 1000, base: 200ms, factor: 1, max: 200ms}, breaker: {delay: 200ms, max_delay: 300ms}}
`})
	l := i.ledger()
	l.burst(10, 4)
	i.quiet()
	free := fill(t, disk)
	l.burst(40, 4)
	i.eventually("the CRM has them all the same", func() bool { return len(i.events("create")) == 50 })
	table := filepath.Join(disk, "leads.csv")
	if n := len(rowsOf(t, table)); n >= 50 {
		t.Errorf("%d rows on a full disk: nothing was tested", n)
	}
	if s, _ := i.status(); s.Leads[streams.InFlight] == 0 {
		t.Error("no lead waits for the table")
	}
	free()
	l.settled()
	seen := map[string]int{}
	for _, row := range rowsOf(t, table) {
		seen[row[0]]++
	}
	for _, r := range l.With(proof.Acked) {
		if seen[r.LeadID] != 1 {
			t.Errorf("lead %s has %d rows, want 1", r.LeadID, seen[r.LeadID])
		}
	}
}

// rowsOf reads a table without its head; half a row would not parse.
func rowsOf(t testing.TB, path string) [][]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\ufeff")))).ReadAll()
	if err != nil {
		t.Fatalf("%v in\n%s", err, b)
	}
	return rows[min(1, len(rows)):]
}
