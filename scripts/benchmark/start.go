package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// measureStart: how long the real daemon takes from its start until it takes leads, over a journal that is not in the
// page cache.
func measureStart(p plan) {
	home, err := os.MkdirTemp(scratch, "start")
	check(err)
	defer os.RemoveAll(home)
	size := writeJournal(filepath.Join(home, "data", "journal"), p.journal)
	var cold, warm series
	for range max(p.rounds, 2) {
		evict(filepath.Join(home, "data", "journal"))
		cold = append(cold, startTime(home))
		warm = append(warm, startTime(home))
	}
	fmt.Printf("9. Start of the daemon over %d MB of journal, a tenth of the leads open, with its embedded Redis\n", size>>20)
	row("until it takes leads, journal not in memory, s", cold, "%.2f", "≤ 0.3")
	row("until it takes leads, journal in memory, s", warm, "%.2f", "")
	fmt.Println()
}

// writeJournal takes leads until the journal has that size. Nine tenths of them come to their end.
func writeJournal(dir string, size int64) int64 {
	p := &pool{redis: startRedis(), dir: dir}
	check(os.MkdirAll(dir, 0o700))
	p.admin = client(p.redis.socket, 1)
	p.engine = startIntake(p.redis.socket, dir, nil)
	defer func() {
		p.halt()
		p.redis.stop()
	}()
	const step = 40_000
	for folder(dir) < size {
		p.fill(step)
		p.drain(step * 9 / 10)
	}
	for !indexed(dir) { // as it would be a minute later
		time.Sleep(100 * time.Millisecond)
	}
	return folder(dir)
}

// indexed says whether the journal's index has come to the segment that is being written.
func indexed(dir string) bool {
	segments, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	check(err)
	snapshots, err := filepath.Glob(filepath.Join(dir, "index", "ledger-*"))
	check(err)
	const digits = 16
	number := func(path string, at int) (n uint64) {
		_, err := fmt.Sscanf(filepath.Base(path)[at:at+digits], "%x", &n)
		check(err)
		return n
	}
	last := number(segments[len(segments)-1], 0)
	return last == 1 || len(snapshots) > 0 && number(snapshots[len(snapshots)-1], len("ledger-")) >= last-1
}

// folder is how many bytes its files take on the disk.
func folder(dir string) (size int64) {
	files, err := os.ReadDir(dir)
	check(err)
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			size += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
	}
	return size
}

// evict has the kernel forget the files' pages.
func evict(dir string) {
	check(filepath.WalkDir(dir, func(path string, file os.DirEntry, err error) error {
		check(err)
		if file.IsDir() {
			return nil
		}
		f, err := os.Open(path)
		check(err)
		check(f.Sync())
		check(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
		return f.Close()
	}))
}

func startTime(home string) float64 {
	check(os.RemoveAll(filepath.Join(home, "data", "redis")))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	addr := l.Addr().String()
	check(l.Close())
	config := filepath.Join(home, "config.yaml")
	check(os.WriteFile(config, []byte(idleConfig+"listen: "+addr+"\n"), 0o600))
	cmd := exec.Command(*daemon, "serve", "--config", config)
	var said bytes.Buffer
	cmd.Stderr, cmd.SysProcAttr = &said, &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	begin := time.Now()
	check(cmd.Start())
	ready(addr, &said)
	took := time.Since(begin).Seconds()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	return took
}
