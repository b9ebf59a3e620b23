package mailtest

import (
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Exim is a real mail server with one address, leads@example.test, which goes into a command. Its queue is run by Run alone.
type Exim struct {
	t    testing.TB
	dir  string
	conf string
}

// StartExim makes one ready; Send hands it a message. No shell reads the command,
// which runs as the user that Start's server does: as root Exim runs none.
func StartExim(t testing.TB, command string) *Exim {
	t.Helper()
	if _, err := os.Stat("/usr/sbin/exim4"); err != nil {
		t.Skip("no exim4; scripts/test installs it")
	}
	dir, err := os.MkdirTemp("", "exim")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	_, _, name, group := owner(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	e := &Exim{t: t, dir: dir, conf: filepath.Join(dir, "exim.conf")}
	text := fmt.Sprintf(`
primary_hostname = mx.example.test
spool_directory = %[1]s/spool
log_file_path = %[1]s/%%slog
exim_user = %[2]s
exim_group = %[3]s
trusted_users = %[2]s
never_users =
keep_environment =
disable_ipv6
domainlist local_domains = example.test
acl_smtp_rcpt = accept
begin routers
leads:
  driver = accept
  domains = +local_domains
  local_parts = leads
  transport = daemon
begin transports
daemon:
  driver = pipe
  command = %[4]s
  user = %[5]s
  group = %[6]s
  return_fail_output
  temp_errors = 75
begin retry
* * F,1h,1s
`, dir, me.Username, groupOf(t, me), command, name, group)
	if err := os.WriteFile(e.conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return e
}

func groupOf(t testing.TB, u *user.User) string {
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return g.Name
}

// Send talks SMTP to the server, over a pipe as inetd has it, and tries to deliver once. It says what was wrong with the talk.
func (e *Exim) Send(message string) {
	e.t.Helper()
	ours, theirs := net.Pipe()
	cmd := exec.Command("/usr/sbin/exim4", "-C", e.conf, "-bs", "-odi")
	cmd.Stdin, cmd.Stdout = theirs, theirs
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	err := talk(ours, message)
	_ = ours.Close()
	_ = theirs.Close()
	_ = cmd.Wait()
	if err != nil {
		e.t.Fatalf("exim: %v %s %s", err, errs.String(), e.Log())
	}
}

func talk(conn net.Conn, message string) error {
	c, err := smtp.NewClient(conn, "mx.example.test")
	if err != nil {
		return err
	}
	if err := c.Mail("olga@example.org"); err != nil {
		return err
	}
	if err := c.Rcpt("leads@example.test"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(strings.ReplaceAll(message, "\n", "\r\n"))); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// Serve is an address at which the server takes mail until the test ends, as inetd has it do. It accepts everything, and sends
// a bounce for whoever is none of its own.
func (e *Exim) Serve() *net.TCPAddr {
	e.t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		e.t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.AcceptTCP()
			if err != nil {
				return // closed below
			}
			all.Go(func() {
				defer conn.Close()
				file, err := conn.File()
				if err != nil {
					return
				}
				defer file.Close()
				cmd := exec.Command("/usr/sbin/exim4", "-C", e.conf, "-bs", "-odi")
				cmd.Stdin, cmd.Stdout = file, file
				_ = cmd.Run() // its log says what was wrong
			})
		}
	})
	e.t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().(*net.TCPAddr)
}

// Run tries again to deliver all that is in the queue.
func (e *Exim) Run() {
	e.t.Helper()
	if out, err := exec.Command("/usr/sbin/exim4", "-C", e.conf, "-qff").CombinedOutput(); err != nil {
		e.t.Fatalf("exim: %v %s", err, out)
	}
}

// Queued is how many messages wait.
func (e *Exim) Queued() int {
	out, err := exec.Command("/usr/sbin/exim4", "-C", e.conf, "-bpc").CombinedOutput()
	if err != nil {
		e.t.Fatalf("exim: %v %s", err, out)
	}
	var n int
	_, _ = fmt.Sscan(string(out), &n)
	return n
}

// Log is what the server says of its work.
func (e *Exim) Log() string {
	b, _ := os.ReadFile(filepath.Join(e.dir, "mainlog"))
	return string(b)
}
