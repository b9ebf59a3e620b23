package mail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"leadstream/daemon/mail/mailtest"
)

// inbox gathers what a mailbox tells.
type inbox struct {
	mu     sync.Mutex
	told   []string // subjects, in order
	faults []*Fault
	ups    int
	fail   func(subject string) error
	news   chan struct{}
}

func (in *inbox) changed() {
	select {
	case in.news <- struct{}{}:
	default:
	}
}

func (in *inbox) tell(_ context.Context, raw []byte) error {
	m, err := Reader{}.Read(raw, time.Now())
	subject := "unreadable"
	if err == nil {
		subject = m.Subject
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	defer in.changed()
	if in.fail != nil {
		if err := in.fail(subject); err != nil {
			return err
		}
	}
	in.told = append(in.told, subject)
	return nil
}

// until waits for something to become true of what was told; the test fails when it does not in a minute.
func (in *inbox) until(t *testing.T, what string, is func(*inbox) bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		in.mu.Lock()
		ok := is(in)
		in.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-in.news:
		case <-limit:
			in.mu.Lock()
			defer in.mu.Unlock()
			t.Fatalf("%s: told %q, faults %v", what, in.told, in.faults)
		}
	}
}

func (in *inbox) has(subjects ...string) func(*inbox) bool {
	return func(in *inbox) bool { return slices.Equal(in.told, subjects) }
}

// box is a mailbox of the server that looks often.
func box(t *testing.T, s *mailtest.Server, dir string, change func(*Settings)) (*Mailbox, *inbox) {
	in := &inbox{news: make(chan struct{}, 1)}
	set := Settings{Host: "localhost", Port: s.TLS, Username: s.User, Password: s.Password, CAFile: s.CAFile, Every: time.Hour}
	if change != nil {
		change(&set)
	}
	b := &Mailbox{Settings: set, Source: "post", Dir: dir, Tell: in.tell, Log: zerolog.Nop(),
		OnUp: func() { in.mu.Lock(); in.ups++; in.mu.Unlock(); in.changed() },
		OnFault: func(f *Fault) {
			in.mu.Lock()
			in.faults = append(in.faults, f)
			in.mu.Unlock()
			in.changed()
		}}
	return b, in
}

// run runs the mailbox until stop is called, which returns when it has ended.
func run(t *testing.T, b *Mailbox) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func letterOf(n int) string {
	return fmt.Sprintf("From: Ольга <olga%d@example.test>\nTo: leads@example.test\nSubject: %d\nMessage-ID: <%d@example.test>\nDate: %s\n\nЗдравствуйте, сколько стоит?\n",
		n, n, n, time.Now().Format(time.RFC1123Z))
}

// What lies there is read in order, what comes while the server waits with us is read at once, a restart reads nothing twice.
func TestReads(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"tls":      nil,
		"starttls": func(s *Settings) { s.TLS = "starttls" },
		"none":     func(s *Settings) { s.TLS, s.Host = "none", "127.0.0.1" },
	} {
		t.Run(name, func(t *testing.T) {
			s := mailtest.Start(t)
			dir := t.TempDir()
			b, in := box(t, s, dir, change)
			if b.TLS == "starttls" || b.TLS == "none" {
				b.Port = s.Plain
			}
			s.Put("INBOX", time.Time{}, letterOf(1), letterOf(2))
			stop := run(t, b)
			in.until(t, "what lies there", in.has("1", "2"))
			in.until(t, "all is read", func(in *inbox) bool { return in.ups > 0 })
			s.Put("INBOX", time.Time{}, letterOf(3))
			in.until(t, "what comes later", in.has("1", "2", "3"))
			in.until(t, "all is read again", func(in *inbox) bool { return in.ups > 1 })
			stop()
			s.Put("INBOX", time.Time{}, letterOf(4))
			b, in = box(t, s, dir, change)
			if b.TLS == "starttls" || b.TLS == "none" {
				b.Port = s.Plain
			}
			run(t, b)
			in.until(t, "after a restart", in.has("4"))
			if all, seen := s.Count("INBOX"); all != 4 {
				t.Errorf("%d mails, %d seen, want 4", all, seen)
			}
		})
	}
}

// What is older than the first start less past is not read.
func TestPast(t *testing.T) {
	s := mailtest.Start(t)
	b, in := box(t, s, t.TempDir(), func(s *Settings) { s.Past = 2 * time.Hour })
	s.Put("INBOX", time.Now().Add(-72*time.Hour), letterOf(1))
	s.Put("INBOX", time.Now().Add(-3*time.Hour), letterOf(2))
	s.Put("INBOX", time.Now().Add(-time.Hour), letterOf(3))
	run(t, b)
	in.until(t, "read", func(in *inbox) bool { return in.ups > 0 })
	in.until(t, "the young one alone", in.has("3"))
}

// What becomes of a mail that was read, also at a server that lacks MOVE.
func TestAfter(t *testing.T) {
	for name, tt := range map[string]struct {
		after             string
		without           []string
		left, seen, moved int
	}{
		"leave":               {after: "leave", left: 2},
		"seen":                {after: "seen", left: 2, seen: 2},
		"move":                {after: "move", moved: 2},
		"move without MOVE":   {after: "move", without: []string{"MOVE"}, moved: 2},
		"move without either": {after: "move", without: []string{"MOVE", "UIDPLUS"}, left: 2, moved: 2}, // left as deleted
	} {
		t.Run(name, func(t *testing.T) {
			var options []mailtest.Option
			if tt.without != nil {
				options = append(options, mailtest.Without(tt.without...))
			}
			s := mailtest.Start(t, options...)
			b, in := box(t, s, t.TempDir(), func(set *Settings) { set.After, set.MoveTo = tt.after, "Заявки" })
			s.Put("INBOX", time.Time{}, letterOf(1), letterOf(2))
			run(t, b)
			in.until(t, "read", func(in *inbox) bool { return in.ups > 0 })
			left, seen := s.Count("INBOX")
			moved, _ := s.Count("Заявки")
			if left != tt.left || seen != tt.seen || moved != tt.moved {
				t.Errorf("%d left, %d seen, %d moved; want %d, %d, %d", left, seen, moved, tt.left, tt.seen, tt.moved)
			}
		})
	}
}

// A mailbox that the server has made anew: what was read is known, what came meanwhile is read.
func TestNewNumbers(t *testing.T) {
	s := mailtest.Start(t)
	dir := t.TempDir()
	b, in := box(t, s, dir, func(set *Settings) { set.After = "leave" })
	s.Put("INBOX", time.Time{}, letterOf(1), letterOf(2))
	stop := run(t, b)
	in.until(t, "at first", in.has("1", "2"))
	in.until(t, "all", func(in *inbox) bool { return in.ups > 0 })
	stop()
	s.Put("INBOX", time.Time{}, letterOf(3))
	s.Anew()
	b, in = box(t, s, dir, func(set *Settings) { set.After = "leave" })
	stop = run(t, b)
	in.until(t, "all", func(in *inbox) bool { return in.ups > 0 })
	s.Put("INBOX", time.Time{}, letterOf(4))
	in.until(t, "afterwards", func(in *inbox) bool { return len(in.told) >= 2 })
	stop()
	if !slices.Equal(in.told, []string{"3", "4"}) {
		t.Errorf("told %q, want 3 and 4", in.told)
	}
}

// Numbers that begin anew hide no mail: what is first now was not there before.
func TestLowerNumbers(t *testing.T) {
	s := mailtest.Start(t)
	dir := t.TempDir()
	change := func(set *Settings) { set.After = "move" }
	b, in := box(t, s, dir, change)
	s.Put("INBOX", time.Time{}, letterOf(1), letterOf(2))
	stop := run(t, b)
	in.until(t, "all", func(in *inbox) bool { return in.ups > 0 })
	stop()
	s.Put("INBOX", time.Time{}, letterOf(3))
	s.Anew()
	b, in = box(t, s, dir, change)
	run(t, b)
	in.until(t, "all", func(in *inbox) bool { return in.ups > 0 })
	in.until(t, "the first by number", in.has("3"))
}

// A mail that cannot be kept now is told again, and those behind it wait for it.
func TestJournalAway(t *testing.T) {
	shortWait(t)
	s := mailtest.Start(t)
	b, in := box(t, s, t.TempDir(), nil)
	away := 3
	in.fail = func(subject string) error {
		if subject == "2" && away > 0 {
			away--
			return errors.New("the disk is full")
		}
		return nil
	}
	s.Put("INBOX", time.Time{}, letterOf(1), letterOf(2), letterOf(3))
	run(t, b)
	in.until(t, "in order", in.has("1", "2", "3"))
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.faults) != 3 || in.faults[0].Reason != Journal {
		t.Errorf("faults %v, want three of the journal", in.faults)
	}
}

// shortWait makes tries follow each other closely.
func shortWait(t *testing.T) {
	old := backoff
	backoff.Base, backoff.Max = 10*time.Millisecond, 20*time.Millisecond
	t.Cleanup(func() { backoff = old })
}

// Each fault says which key to correct.
func TestFaults(t *testing.T) {
	shortWait(t)
	s := mailtest.Start(t)
	other := mailtest.Start(t)
	for name, tt := range map[string]struct {
		change func(*Settings)
		reason string
		key    string
	}{
		"wrong password":    {func(set *Settings) { set.Password = "wrong" }, Login, "mail.password"},
		"strange authority": {func(set *Settings) { set.CAFile = other.CAFile }, Certificate, "mail.ca_file"},
		"another's name":    {func(set *Settings) { set.Host = "127.0.0.2" }, Unreachable, "mail.host"},
		"no server":         {func(set *Settings) { set.Port = 1 }, Unreachable, "mail.port"},
		"no TLS there":      {func(set *Settings) { set.Port = s.Plain }, Certificate, "mail.tls"},
		"no folder":         {func(set *Settings) { set.Folder = "Нет" }, Folder, "mail.folder"},
		"unknown name":      {func(set *Settings) { set.Host = "imap.invalid" }, Unreachable, "mail.host"},
	} {
		t.Run(name, func(t *testing.T) {
			b, in := box(t, s, t.TempDir(), tt.change)
			stop := run(t, b)
			in.until(t, "a fault", func(in *inbox) bool { return len(in.faults) > 0 })
			stop()
			if f := in.faults[0]; f.Reason != tt.reason || !strings.Contains(f.En, tt.key) || !strings.Contains(f.Ru, tt.key) {
				t.Errorf("%+v; want %s, and to hear of %s", f, tt.reason, tt.key)
			}
			if strings.Contains(in.faults[0].Error(), s.User) || strings.Contains(in.faults[0].Error(), "wrong") {
				t.Errorf("%v tells who or how", in.faults[0])
			}
		})
	}
}

// A server that goes and comes again, with its connections cut: all is read, once.
func TestServerRestarts(t *testing.T) {
	shortWait(t)
	s := mailtest.Start(t)
	b, in := box(t, s, t.TempDir(), nil)
	s.Put("INBOX", time.Time{}, letterOf(1))
	run(t, b)
	in.until(t, "before", in.has("1"))
	in.until(t, "all", func(in *inbox) bool { return in.ups > 0 })
	s.Stop()
	in.until(t, "it is missed", func(in *inbox) bool { return len(in.faults) > 0 })
	s.Run()
	s.Put("INBOX", time.Time{}, letterOf(2))
	in.until(t, "after", in.has("1", "2"))
}

// A crash after a mail was told and before that is remembered: it is told again, and no other.
func TestCrash(t *testing.T) {
	s := mailtest.Start(t)
	dir := t.TempDir()
	b, in := box(t, s, dir, nil)
	s.Put("INBOX", time.Time{}, letterOf(1), letterOf(2))
	stop := run(t, b)
	in.until(t, "before", func(in *inbox) bool { return in.ups > 0 })
	stop()
	files, _ := filepath.Glob(filepath.Join(dir, "*.mail"))
	if len(files) != 1 {
		t.Fatalf("%q, want one memory", files)
	}
	file := files[0]
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, missing := range []int{5, 1} { // the last line did not get there whole
		if err := os.WriteFile(file, text[:len(text)-missing], 0o600); err != nil {
			t.Fatal(err)
		}
		for _, want := range [][]string{{"2"}, nil} {
			b, in = box(t, s, dir, nil)
			stop = run(t, b)
			in.until(t, "after", func(in *inbox) bool { return in.ups > 0 })
			stop()
			if !slices.Equal(in.told, want) {
				t.Errorf("without the last %d bytes: told %q, want %q", missing, in.told, want)
			}
		}
	}
}
