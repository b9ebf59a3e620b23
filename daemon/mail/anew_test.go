package mail

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"leadstream/daemon/mail/mailtest"
)

// readAll runs a mailbox until it has read what there is.
func readAll(t *testing.T, b *Mailbox, in *inbox) []string {
	t.Helper()
	stop := run(t, b)
	in.until(t, "all is read", func(in *inbox) bool { return in.ups > 0 })
	stop()
	return in.told
}

// What comes after the first start is new, whatever date the server gives it and wherever our clock stood.
func TestNewWhateverItsDate(t *testing.T) {
	for name, clock := range map[string]time.Duration{"right": 0, "a year ahead": 365 * 24 * time.Hour, "a year behind": -365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := mailtest.Start(t)
			dir := t.TempDir()
			b, in := box(t, s, dir, nil)
			b.Now = func() time.Time { return time.Now().Add(clock) }
			readAll(t, b, in)
			s.Put("INBOX", time.Time{}, letterOf(1))
			s.Put("INBOX", time.Now().Add(-72*time.Hour), letterOf(2)) // as imapsync or a POP fetch puts it there
			b, in = box(t, s, dir, nil)                                // the clock is right now
			if got := readAll(t, b, in); !slices.Equal(got, []string{"1", "2"}) {
				t.Errorf("told %q", got)
			}
		})
	}
}

// A mailbox that was made anew: nothing that was read is told again, what was not read is, also from a sender whose clock is
// years behind. Old mail that was copied with the date of the copy is none of ours.
func TestAnewOldClock(t *testing.T) {
	s := mailtest.Start(t)
	dir := t.TempDir()
	s.Put("INBOX", time.Time{}, letterOf(1))
	b, in := box(t, s, dir, nil)
	readAll(t, b, in)
	copied := "Received: from a by b; " + time.Now().AddDate(-1, 0, 0).Format(time.RFC1123Z) + "\n" + letterOf(2)
	late := "Received: from a by b; " + time.Now().Format(time.RFC1123Z) + "\n" + oldClock(4)
	s.Put("INBOX", time.Time{}, copied, oldClock(3), late)
	s.Anew()
	b, in = box(t, s, dir, nil)
	if got := readAll(t, b, in); !slices.Equal(got, []string{"3", "4"}) {
		t.Errorf("told %q, want 3 and 4", got)
	}
}

func oldClock(n int) string {
	head, body, _ := strings.Cut(letterOf(n), "Date: ")
	_, body, _ = strings.Cut(body, "\n")
	return head + "Date: Wed, 1 Jan 2020 10:00:00 +0300\n" + body
}

// Of mails that were read, a mailbox made anew costs their headers.
func TestAnewHeadersOnly(t *testing.T) {
	s := mailtest.Start(t)
	dir := t.TempDir()
	var wholes []string
	p := before(t, s, func(command string) (string, bool) {
		if strings.HasPrefix(command, "UID FETCH") && !strings.Contains(command, "HEADER") {
			wholes = append(wholes, command)
		}
		return "", false
	})
	s.Put("INBOX", time.Time{}, letterOf(1), letterOf(2), letterOf(3))
	b, in := behind(t, s, p, dir, "leave")
	readAll(t, b, in)
	s.Put("INBOX", time.Time{}, letterOf(4))
	s.Anew()
	p.mu.Lock()
	wholes = nil
	p.mu.Unlock()
	b, in = behind(t, s, p, dir, "leave")
	if got := readAll(t, b, in); !slices.Equal(got, []string{"4"}) || len(wholes) != 1 {
		t.Errorf("told %q by %q, want 4 by one FETCH", got, wholes)
	}
}

// A mark that is forgotten moves the date from which mail is read, but never past now.
func TestForgottenMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.mail")
	m, err := openMemory(path, 3)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Second)
	if err := m.begin("host", 1, now.Add(-time.Hour), 1); err != nil {
		t.Fatal(err)
	}
	for n, at := range []time.Time{now.AddDate(12, 0, 0), now.Add(-time.Minute), now, now, now} {
		if err := m.done(uint32(n+1), at, mark{byte(n + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if !m.from.Equal(now.Add(-time.Minute)) {
		t.Errorf("from %s, want a minute ago", m.from)
	}
	_ = m.close()
	if m, err = openMemory(path, 3); err != nil || !m.from.Equal(now.Add(-time.Minute)) {
		t.Error(fmt.Sprint("after a restart: ", m.from, err))
	}
	_ = m.close()
}

// A mailbox is the same under another source, another spelling and at another server: nothing is told again, what waited is read.
func TestSameMailbox(t *testing.T) {
	for name, change := range map[string]func(*Mailbox){
		"source":          func(b *Mailbox) { b.Source = "letters" },
		"folder":          func(b *Mailbox) { b.Folder = "inbox" },
		"server's case":   func(b *Mailbox) { b.Host = "LOCALHOST" },
		"address's case":  func(b *Mailbox) { b.Username = "Leads@Example.test" },
		"another server":  func(b *Mailbox) { b.Host, b.TLS = "127.0.0.1", "none" },
		"nothing changed": func(*Mailbox) {},
	} {
		t.Run(name, func(t *testing.T) {
			s := mailtest.Start(t)
			dir := t.TempDir()
			noID := "Received: from a by b; " + time.Now().Format(time.RFC1123Z) + "\nSubject: no number\n\nhello\n"
			s.Put("INBOX", time.Time{}, letterOf(1), noID)
			b, in := box(t, s, dir, nil)
			readAll(t, b, in)
			s.Put("INBOX", time.Now().Add(-time.Minute), letterOf(3))
			b, in = box(t, s, dir, nil)
			if change(b); b.TLS == "none" {
				b.Port = s.Plain
				higher(t, dir)
			}
			if got := readAll(t, b, in); !slices.Equal(got, []string{"3"}) {
				t.Errorf("told %q, want 3", got)
			}
		})
	}
}

// higher makes a memory say that the numbers at the server were higher.
func higher(t *testing.T, dir string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*.mail"))
	f, err := os.OpenFile(files[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(entry(99, time.Now(), mark{})); err != nil {
		t.Fatal(err)
	}
}
