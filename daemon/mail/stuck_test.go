package mail

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"leadstream/daemon/mail/mailtest"
)

// tamper stands before a server. on may answer a command in its stead (TAG is the command's), or cut the connection.
type tamper struct {
	port int

	mu     sync.Mutex
	on     func(command string) (answer string, instead bool)
	logins int
}

const cut = "cut"

func (p *tamper) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logins
}

func before(t *testing.T, s *mailtest.Server, on func(command string) (answer string, instead bool)) *tamper {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tamper{port: l.Addr().(*net.TCPAddr).Port, on: on}
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	serve := func(client net.Conn) {
		defer client.Close()
		server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Plain))
		if err != nil {
			return
		}
		defer server.Close()
		all.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() })
		for lines := bufio.NewScanner(client); lines.Scan(); {
			tag, command, _ := strings.Cut(lines.Text(), " ")
			p.mu.Lock()
			if strings.HasPrefix(command, "LOGIN") {
				p.logins++
			}
			answer, instead := p.on(command)
			p.mu.Unlock()
			answer, end := strings.CutSuffix(answer, cut)
			_, _ = io.WriteString(client, strings.ReplaceAll(answer, "TAG", tag))
			if end {
				return
			}
			if !instead {
				_, _ = io.WriteString(server, lines.Text()+"\r\n")
			}
		}
	}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(c) })
		}
	})
	return p
}

// behind is a mailbox behind a tamper.
func behind(t *testing.T, s *mailtest.Server, p *tamper, dir, after string) (*Mailbox, *inbox) {
	return box(t, s, dir, func(set *Settings) { set.TLS, set.Host, set.Port, set.After = "none", "127.0.0.1", p.port, after })
}

func fetching(uid int, command string) bool {
	return strings.HasPrefix(command, fmt.Sprintf("UID FETCH %d ", uid))
}

// A mail that the server never gives, whatever way, keeps none from being read, is neither told nor marked, and is read when it
// is given at last, also after a restart.
func TestPutOff(t *testing.T) {
	for name, answer := range map[string]string{
		"NO":             "TAG NO [SERVERBUG] Internal error\r\n",
		"BAD":            "TAG BAD User is authenticated but not connected.\r\n",
		"cut":            cut,
		"not parsed":     "* 1 FETCH (UID 1 INTERNALDATE \" 0-Jan-0000 00:00:00 +0000\" BODY[]<0> {4}\r\nA: b)\r\nTAG OK x\r\n",
		"nothing":        "TAG OK Some messages could not be FETCHed\r\n",
		"NIL":            "* 1 FETCH (UID 1 BODY[]<0> NIL)\r\nTAG OK x\r\n",
		"flags only":     "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\nTAG OK x\r\n",
		"another's":      "* 2 FETCH (UID 2 BODY[]<0> {6}\r\nA: b\r\n)\r\nTAG OK x\r\n",
		"cut in the mid": "* 1 FETCH (UID 1 BODY[]<0> {99}\r\nA: b\r\n" + cut,
	} {
		t.Run(name, func(t *testing.T) {
			shortWait(t)
			s := mailtest.Start(t)
			p := before(t, s, func(command string) (string, bool) {
				if !fetching(1, command) {
					return "", false
				}
				return answer, true
			})
			dir := t.TempDir()
			b, in := behind(t, s, p, dir, "move")
			s.Put("INBOX", time.Time{}, letterOf(1), letterOf(2), letterOf(3))
			stop := run(t, b)
			in.until(t, "those behind it", in.has("2", "3"))
			in.until(t, "somebody is told", func(in *inbox) bool {
				return slices.ContainsFunc(in.faults, func(f *Fault) bool { return f.Reason == Stuck })
			})
			stop()
			if in.ups > 0 {
				t.Error("all seems well")
			}
			if left, _ := s.Count("INBOX"); left != 1 {
				t.Errorf("%d mails left, want the one that was not read", left)
			}
			p.mu.Lock()
			p.on = func(string) (string, bool) { return "", false }
			p.mu.Unlock()
			b, in = behind(t, s, p, dir, "move")
			run(t, b)
			in.until(t, "at last", in.has("1"))
			in.until(t, "all is well", func(in *inbox) bool { return in.ups > 0 })
			if left, _ := s.Count("INBOX"); left != 0 {
				t.Errorf("%d mails left, want none", left)
			}
		})
	}
}

// When no mail is given the mailbox is at fault and none is put off; once they are given all are read.
func TestNoneGiven(t *testing.T) {
	shortWait(t)
	s := mailtest.Start(t)
	away := true
	p := before(t, s, func(command string) (string, bool) {
		if away && strings.HasPrefix(command, "UID FETCH") {
			return "TAG NO [UNAVAILABLE] Later\r\n", true
		}
		return "", false
	})
	dir := t.TempDir()
	b, in := behind(t, s, p, dir, "move")
	s.Put("INBOX", time.Time{}, letterOf(1), letterOf(2), letterOf(3))
	run(t, b)
	in.until(t, "many tries", func(in *inbox) bool { return len(in.faults) > 5*maxTries })
	if slices.ContainsFunc(in.faults, func(f *Fault) bool { return f.Reason != Refused }) || len(in.told) > 0 {
		t.Errorf("told %q, faults %v, want refusals", in.told, in.faults)
	}
	if left, seen := s.Count("INBOX"); left != 3 || seen != 0 {
		t.Errorf("%d mails left, %d seen, want 3 as they were", left, seen)
	}
	p.mu.Lock()
	away = false
	p.mu.Unlock()
	in.until(t, "all is read", func(in *inbox) bool { return in.ups > 0 })
	if told := slices.Sorted(slices.Values(in.told)); !slices.Equal(told, []string{"1", "2", "3"}) {
		t.Errorf("told %q, want each once", told)
	}
}

// A server that spreads a mail over several answers, or tells news between, has given it.
func TestScattered(t *testing.T) {
	mail := strings.ReplaceAll(letterOf(9), "\n", "\r\n")
	body := fmt.Sprintf("BODY[]<0> {%d}\r\n%s", len(mail), mail)
	for name, answer := range map[string]string{
		"flags first":        "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n* 1 FETCH (UID 1 " + body + ")\r\nTAG OK x\r\n",
		"flags, no UID":      "* 1 FETCH (FLAGS (\\Seen))\r\n* 1 FETCH (UID 1 " + body + ")\r\nTAG OK x\r\n",
		"flags afterwards":   "* 1 FETCH (UID 1 " + body + ")\r\n* 1 FETCH (UID 1 FLAGS (\\Seen))\r\nTAG OK x\r\n",
		"date and body":      "* 1 FETCH (UID 1 INTERNALDATE \"" + time.Now().Format("02-Jan-2006 15:04:05 -0700") + "\")\r\n* 1 FETCH (UID 1 " + body + ")\r\nTAG OK x\r\n",
		"another one before": "* 2 FETCH (UID 2 BODY[]<0> {6}\r\nA: b\r\n)\r\n* 1 FETCH (UID 1 " + body + ")\r\nTAG OK x\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := mailtest.Start(t)
			p := before(t, s, func(command string) (string, bool) {
				if fetching(1, command) && !strings.Contains(command, "HEADER") {
					return answer, true
				}
				return "", false
			})
			b, in := behind(t, s, p, t.TempDir(), "seen")
			s.Put("INBOX", time.Time{}, letterOf(1))
			run(t, b)
			in.until(t, "read", func(in *inbox) bool { return in.ups > 0 })
			if !slices.Equal(in.told, []string{"9"}) || len(in.faults) > 0 {
				t.Errorf("told %q, faults %v", in.told, in.faults)
			}
		})
	}
}

// A mail that a person has taken away between the search and its turn is no fault.
func TestTakenAway(t *testing.T) {
	s := mailtest.Start(t)
	p := before(t, s, func(command string) (string, bool) {
		if strings.HasPrefix(command, "UID SEARCH") && !strings.Contains(command, "UID 7") {
			return "* SEARCH 7\r\nTAG OK x\r\n", true
		}
		return "", false
	})
	b, in := behind(t, s, p, t.TempDir(), "seen")
	run(t, b)
	in.until(t, "nothing to read", func(in *inbox) bool { return in.ups > 0 })
	if len(in.told)+len(in.faults) > 0 {
		t.Errorf("told %q, faults %v", in.told, in.faults)
	}
}

// A connection that is lost at each marking has a mail told a few times, not for ever.
func TestCutAtMark(t *testing.T) {
	shortWait(t)
	s := mailtest.Start(t)
	p := before(t, s, func(command string) (string, bool) {
		if strings.HasPrefix(command, "UID STORE 1 ") {
			return cut, true
		}
		return "", false
	})
	dir := t.TempDir()
	b, in := behind(t, s, p, dir, "seen")
	s.Put("INBOX", time.Time{}, letterOf(1), letterOf(2))
	run(t, b)
	in.until(t, "the next", in.has("1", "1", "1", "2"))
	in.until(t, "all is well", func(in *inbox) bool { return in.ups > 0 })
}

// A server that offers IDLE and refuses it is asked at intervals, over one connection.
func TestIdleRefused(t *testing.T) {
	shortWait(t)
	s := mailtest.Start(t)
	p := before(t, s, func(command string) (string, bool) {
		if command == "IDLE" {
			return "TAG BAD no\r\n", true
		}
		return "", false
	})
	b, in := behind(t, s, p, t.TempDir(), "seen")
	b.Every = time.Second
	run(t, b)
	in.until(t, "at first", func(in *inbox) bool { return in.ups > 0 })
	s.Put("INBOX", time.Time{}, letterOf(1))
	in.until(t, "later", in.has("1"))
	if n := p.count(); n != 1 || len(in.faults) > 0 {
		t.Errorf("%d logins, faults %v, want one login", n, in.faults)
	}
}

// What was put off outlives a compaction of the memory.
func TestPutOffCompacted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.mail")
	m, err := openMemory(path, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.begin("host", 1, time.Now(), 1); err != nil {
		t.Fatal(err)
	}
	if err := m.putOff(1); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		if err := m.done(uint32(n+2), time.Now(), mark{byte(n + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	_ = m.close()
	text, _ := os.ReadFile(path)
	if m, err = openMemory(path, 3); err != nil || !m.off[1] || len(m.off) != 1 || strings.Count(string(text), "\n") > 12 {
		t.Errorf("%v %v\n%s", m.off, err, text)
	}
	_ = m.close()
}
