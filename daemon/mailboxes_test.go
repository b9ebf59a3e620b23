package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leadstream/daemon/intake"
	"leadstream/daemon/mail/mailtest"
)

// mailDaemon runs a daemon that reads the server's mailbox, and takes mail with the key.
func mailDaemon(t *testing.T, s *mailtest.Server, dir, address, key string) (stop func()) {
	t.Helper()
	path := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf(`
language: en
listen: %s
sources:
  post:
    preset: mail
    keys: [%q]
    accounts: [info@example.test]
    mail: {host: localhost, port: %d, username: %q, password: %q, ca_file: %s, every: 1h}
sinks: {table: {kind: csv, columns: [id, source, name, phone, email, message]}}
`, address, intake.KeyHash(key), s.TLS, s.User, s.Password, s.CAFile)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, faults, err := Load(path)
	if err != nil || broken(faults) {
		t.Fatal(err, faults)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, cfg) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// tableRows are those of leads.csv, once there are so many.
func tableRows(t *testing.T, dir string, want int) [][]string {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		b, _ := os.ReadFile(filepath.Join(dir, "data", "leads.csv"))
		rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))).ReadAll()
		if err == nil && len(rows) > want {
			return rows[1:]
		}
		if time.Now().After(end) {
			t.Fatalf("%d rows, want %d: %v", len(rows)-1, want, rows)
		}
	}
}

// From a real mail server into the table: what lies in the mailbox, what comes while it is watched, what an alias brings. A
// restart, and the same mail by both ways, doubles nothing.
func TestMailIn(t *testing.T) {
	english(t)
	s := mailtest.Start(t)
	dir, address, key := shortDir(t), freeAddress(t), intake.NewKey("post")
	today := time.Now().Format(time.RFC1123Z)
	letter := func(n int) string {
		return fmt.Sprintf("From: Olga <olga%d@example.test>\nTo: leads@example.test\nSubject: Haircut\nMessage-ID: <%[1]d@example.test>\nDate: %s\n\nHow much is it, number %[1]d?\n\n> Quoted\n",
			n, today)
	}
	pipe := func(message string) int {
		var out, errs bytes.Buffer
		code := execute([]string{"mail", "--source", "post", "--url", "http://" + address, "--key", key}, strings.NewReader(message), &out, &errs)
		if code != exitOK && errs.Len() == 0 {
			t.Error("a mail is not taken, and nobody is told why")
		}
		return code
	}
	if code := pipe(letter(1)); code != exitLater {
		t.Fatalf("without a daemon: exit %d, want %d", code, exitLater)
	}
	s.Put("INBOX", time.Time{}, letter(1),
		"From: Shop <news@example.test>\nMessage-ID: <n@example.test>\nList-Id: <news.example.test>\n\nBuy now\n",
		"From: Site <info@example.test>\nMessage-ID: <f@example.test>\nSubject: New form\nAuto-Submitted: auto-generated\n\nИмя: Анна\nТелефон: 8 (999) 000-00-11\nКомментарий: когда можно прийти?\nРеферер: https://example.test/?utm_source=ya\n")
	stop := mailDaemon(t, s, dir, address, key)
	rows := tableRows(t, dir, 2)
	if got := strings.Join(rows[0][1:], "|"); got != "post|Olga||olga1@example.test|Haircut\nHow much is it, number 1?" {
		t.Errorf("a mail is %q", got)
	}
	if got := strings.Join(rows[1][1:], "|"); got != "post|Анна|+79990000011||когда можно прийти?" {
		t.Errorf("a form is %q", got)
	}
	deep := "From: <deep@example.test>\nMessage-ID: <deep@example.test>\n"
	for n := range 1000 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\n\n--b%[1]d\n", n)
	}
	s.Put("INBOX", time.Time{}, "no header at all\n", deep,
		"From: <big@example.test>\nMessage-ID: <big@example.test>\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nbig\n--b\nContent-Type: image/png\n\n"+strings.Repeat("A", 50<<20),
		letter(2)) // the server tells of them: every is an hour
	if rows := tableRows(t, dir, 5); rows[2][4] != "deep@example.test" || rows[3][5] != "big" || rows[4][4] != "olga2@example.test" {
		t.Errorf("what is hard to read: %q", rows[2:])
	}
	for _, n := range []int{2, 3} {
		if code := pipe(letter(n)); code != exitOK {
			t.Fatalf("by an alias: exit %d", code)
		}
	}
	tableRows(t, dir, 6)
	body := get(t, "http://"+address+"/metrics")
	for _, line := range []string{`leadstream_channel_down{source="post",why="login"} 0`, `leadstream_intake_ignored_total{reason="mailing list",source="post"} 1`,
		`leadstream_intake_requests_total{result="duplicate",source="post"} 1`,
		`leadstream_intake_quarantined_total{source="post"} 1`} {
		if !strings.Contains(body, line) {
			t.Errorf("metrics lack %s", line)
		}
	}
	began := time.Now()
	stop()
	t.Logf("stopped in %s", time.Since(began))
	stop = mailDaemon(t, s, dir, address, key)
	defer stop()
	s.Put("INBOX", time.Time{}, letter(4))
	if rows := tableRows(t, dir, 7); len(rows) != 7 {
		t.Errorf("%d rows after a restart, want 7: %v", len(rows), rows)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A real mail server hands its mail over by an alias: while there is no daemon the mail stays in its queue, nothing goes back to
// the sender, and afterwards it is one lead.
func TestMailServer(t *testing.T) {
	english(t)
	s := mailtest.Start(t)
	dir, address, key := shortDir(t), freeAddress(t), intake.NewKey("post")
	keyFile, command := filepath.Join(dir, "post.key"), filepath.Join(dir, "leadstream")
	err := errors.Join(os.WriteFile(keyFile, []byte(key+"\n"), 0o644), os.Link(binary(t), command), os.Chmod(dir, 0o711)) // for the server's user
	if err != nil {
		t.Fatal(err)
	}
	e := mailtest.StartExim(t, fmt.Sprintf("%s mail --source post --url http://%s --key-file %s", command, address, keyFile))
	e.Send("From: Olga <olga@example.org>\nTo: leads@example.test\nSubject: Haircut\nMessage-ID: <1@example.org>\n\nHow much is it?\n.\nA dot before this\n")
	if n := e.Queued(); n != 1 {
		t.Fatalf("%d mails wait without a daemon, want 1\n%s", n, e.Log())
	}
	stop := mailDaemon(t, s, dir, address, key)
	defer stop()
	for end := time.Now().Add(time.Minute); e.Queued() > 0; time.Sleep(100 * time.Millisecond) {
		if e.Run(); time.Now().After(end) {
			t.Fatalf("the mail still waits\n%s", e.Log())
		}
	}
	if got := strings.Join(tableRows(t, dir, 1)[0][1:], "|"); got != "post|Olga||olga@example.org|Haircut\nHow much is it?\n.\nA dot before this" {
		t.Errorf("the lead is %q", got)
	}
}

// Whatever is wrong, the mail server keeps the mail; only where there is none it need not.
func TestMailPipeCodes(t *testing.T) {
	english(t)
	letter := "From: a@example.test\n\nhello\n"
	for name, tt := range map[string]struct {
		args []string
		in   string
		want int
	}{
		"no daemon":      {[]string{"--source", "post", "--url", "http://" + freeAddress(t)}, letter, exitLater},
		"no key file":    {[]string{"--source", "post", "--key-file", "/nonexistent"}, letter, exitLater},
		"no such option": {[]string{"--sourse", "post"}, letter, exitLater},
		"no source":      {nil, letter, exitLater},
		"no mail":        {[]string{"--source", "post"}, " \n", exitNoMail},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := execute(append([]string{"mail"}, tt.args...), strings.NewReader(tt.in), &out, &errs); code != tt.want || errs.Len() == 0 {
				t.Errorf("exit %d %q, want %d and a reason", code, &errs, tt.want)
			}
		})
	}
}

// A mail counts as taken only when the daemon itself says so: what else listens at its port, or stands between, answers 200 too.
func TestMailPipeToOthers(t *testing.T) {
	english(t)
	for name, answer := range map[string]http.HandlerFunc{
		"200":      func(http.ResponseWriter, *http.Request) {},
		"202":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) },
		"204":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"ok":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) },
		"a page":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<h1>It works</h1>")) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	} {
		t.Run(name, func(t *testing.T) {
			other := httptest.NewServer(answer)
			defer other.Close()
			var out, errs bytes.Buffer
			code := execute([]string{"mail", "--source", "post", "--url", other.URL, "--key", "k"}, strings.NewReader("From: a@example.test\n\nhello\n"), &out, &errs)
			if code != exitLater || errs.Len() == 0 {
				t.Errorf("exit %d %q, want %d and a reason", code, &errs, exitLater)
			}
		})
	}
}

// `channel add mail --mailbox` makes a block that the daemon takes; `channel try` logs in with it.
func TestMailboxAddThenTry(t *testing.T) {
	english(t)
	s := mailtest.Start(t)
	code, out, errs := command(t, "", "channel", "add", "mail", "--name", "post", "--mailbox", "leads@yandex.ru")
	if code != exitOK || !strings.Contains(out, "imap.yandex.ru") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	t.Setenv("POST_PASSWORD", "right")
	_, block, _ := strings.Cut(out, "    post:")
	block, _, _ = strings.Cut(block, "\n4.")
	path := withSources(t, "post:"+block)
	if _, faults := load(t, path); len(faults) > 0 {
		t.Fatalf("%v\n%s", faults, out)
	}
	set := func(password string) string {
		return withSources(t, fmt.Sprintf("post: {preset: mail, mail: {host: localhost, port: %d, username: %q, password: %q, ca_file: %s}}", s.TLS, s.User, password, s.CAFile))
	}
	s.Put("INBOX", time.Time{}, "From: Shop <news@example.test>\nMessage-ID: <n@example.test>\nList-Id: <news.example.test>\n\nBuy now\n")
	if code, out, errs := command(t, "", "channel", "try", "post", "-c", set("right")); code != exitOK || !strings.Contains(out, "mailing list") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs := command(t, "", "channel", "try", "post", "-c", set("wrong")); code != exitFailed || !strings.Contains(errs, "mail.password") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if _, seen := s.Count("INBOX"); seen != 0 {
		t.Error("the trial has marked a mail")
	}
}

// Two sources at one mailbox, however it is spelled, are a fault that names both; other folders and addresses are not.
func TestSharedMailbox(t *testing.T) {
	english(t)
	post := "post: {preset: mail, mail: {host: imap.example.test, username: leads@example.test, password: x}}\n  "
	for name, tt := range map[string]struct {
		other  string
		faults int
	}{
		"same":           {"host: imap.example.test, username: leads@example.test", 1},
		"spelled anew":   {"host: mail.example.test., username: Leads@Example.test, folder: inbox", 1},
		"another folder": {"host: imap.example.test, username: leads@example.test, folder: Forms", 0},
		"another box":    {"host: imap.example.test, username: info@example.test", 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := load(t, withSources(t, post+"letters: {preset: mail, mail: {"+tt.other+", password: x}}"))
			if len(faults) != tt.faults {
				t.Fatalf("%v, want %d", faults, tt.faults)
			}
			if tt.faults > 0 && (!strings.Contains(faults[0], "sources.post.mail") || !strings.Contains(faults[0], "sources.letters")) {
				t.Errorf("%s: names not both", faults[0])
			}
		})
	}
}
