// Package mailtest runs a real IMAP server, Dovecot, for tests: in a folder of its own, on free ports of this machine, as one
// user.
package mailtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Server is a Dovecot with one mailbox, of User and Password.
type Server struct {
	Plain, TLS     int    // ports; Plain takes STARTTLS too
	User, Password string // Password may be changed while it runs, by SetPassword
	CAFile         string // that signed its certificate

	t    testing.TB
	dir  string
	caps string
	cmd  *exec.Cmd
}

// Option changes dovecot.conf.
type Option func(*Server)

// Without takes capabilities away, such as IDLE or MOVE.
func Without(caps ...string) Option {
	return func(s *Server) {
		all := strings.Fields("IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED ESEARCH SEARCHRES LITERAL+ MOVE LIST-STATUS")
		var left []string
	next:
		for _, c := range all {
			for _, without := range caps {
				if c == without {
					continue next
				}
			}
			left = append(left, c)
		}
		s.caps = strings.Join(left, " ")
	}
}

// Start starts a server, and stops it when the test ends. Without Dovecot on this machine the test is skipped; scripts/test
// installs it.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	binary, err := exec.LookPath("dovecot")
	if err != nil {
		binary = "/usr/sbin/dovecot"
	}
	if _, err := os.Stat(binary); err != nil {
		t.Skip("no dovecot; scripts/test installs it")
	}
	dir, err := os.MkdirTemp("", "dovecot") // a socket's path is short, t.TempDir's is not
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Server{t: t, dir: dir, User: "leads@example.test", Password: "right", Plain: freePort(t), TLS: freePort(t)}
	for _, o := range options {
		o(s)
	}
	s.certificates()
	s.SetPassword(s.Password)
	s.write("dovecot.conf", s.config())
	s.give()
	t.Cleanup(s.Stop)
	s.Run()
	return s
}

// owner is as whom Dovecot runs: it gives no mail to root.
func owner(t testing.TB) (uid, gid int, name, group string) {
	u, err := user.Current()
	if err == nil && u.Uid == "0" {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid, u.Username, g.Name
}

func (s *Server) config() string {
	uid, gid, name, group := owner(s.t)
	caps := ""
	if s.caps != "" {
		caps = "imap_capability = " + s.caps
	}
	return fmt.Sprintf(`
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
protocols = imap
listen = 127.0.0.1
default_internal_user = %[2]s
default_internal_group = %[3]s
default_login_user = %[2]s
mail_location = maildir:%[1]s/mail
mail_uid = %[4]d
mail_gid = %[5]d
first_valid_uid = 1
first_valid_gid = 1
ssl = yes
ssl_cert = <%[1]s/cert.pem
ssl_key = <%[1]s/key.pem
auth_failure_delay = 0
auth_mechanisms = plain login
disable_plaintext_auth = no
mail_max_userip_connections = 100
imap_idle_notify_interval = 29 mins
%[8]s
passdb {
  driver = passwd-file
  args = scheme=plain %[1]s/users
}
userdb {
  driver = static
  args = uid=%[4]d gid=%[5]d home=%[1]s/home
}
service anvil {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    port = %[6]d
  }
  inet_listener imaps {
    port = %[7]d
    ssl = yes
  }
}
`, s.dir, name, group, uid, gid, s.Plain, s.TLS, caps)
}

// Run starts the server that Stop has stopped.
func (s *Server) Run() {
	s.t.Helper()
	uid, gid, _, _ := owner(s.t)
	s.cmd = exec.Command("/usr/sbin/dovecot", "-F", "-c", filepath.Join(s.dir, "dovecot.conf"))
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		s.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true}
	}
	var out strings.Builder
	s.cmd.Stdout, s.cmd.Stderr = &out, &out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.TLS)))
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.t.Fatalf("dovecot does not start: %s %s", out.String(), log)
		}
	}
}

// Stop ends the server and all its connections at once.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Anew makes the server forget the numbers of its messages, as one that was set up again and had its mail copied back; the
// files' times are when mail arrived, and stay.
func (s *Server) Anew() {
	s.t.Helper()
	before := s.validity()
	s.Stop()
	for uint32(time.Now().Unix()) <= before { // it is the time in seconds
		time.Sleep(20 * time.Millisecond)
	}
	for _, pattern := range []string{"mail/dovecot*", "mail/.*/dovecot*"} {
		files, _ := filepath.Glob(filepath.Join(s.dir, pattern))
		for _, f := range files {
			_ = os.RemoveAll(f)
		}
	}
	s.Run()
	if after := s.validity(); after == before {
		s.t.Fatalf("the mailbox has its old UIDVALIDITY %d", after)
	}
}

// validity is the UIDVALIDITY of INBOX.
func (s *Server) validity() uint32 {
	s.t.Helper()
	c := s.Client()
	defer c.Close()
	box, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		s.t.Fatal(err)
	}
	return box.UIDValidity
}

// SetPassword takes another password from now on.
func (s *Server) SetPassword(password string) {
	s.write("users", s.User+":{plain}"+password+"\n")
	s.give()
}

func (s *Server) write(name, text string) {
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// give makes all files the server's own.
func (s *Server) give() {
	uid, gid, _, _ := owner(s.t)
	for _, sub := range []string{"", "run", "state", "home", "mail"} {
		if err := os.MkdirAll(filepath.Join(s.dir, sub), 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	if os.Getuid() != 0 {
		return
	}
	err := filepath.WalkDir(s.dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return nil // run by the server, gone meanwhile
		}
		return os.Lchown(path, uid, gid)
	})
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
}

// certificates makes an authority and a certificate of it for 127.0.0.1 and localhost.
func (s *Server) certificates() {
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			s.t.Fatal(err)
		}
		return k
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mailtest"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caKey, leafKey := key(), key()
	ca, err := x509.CreateCertificate(rand.Reader, authority, authority, &caKey.PublicKey, caKey)
	if err != nil {
		s.t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	signed, err := x509.CreateCertificate(rand.Reader, leaf, authority, &leafKey.PublicKey, caKey)
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(leafKey)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca})))
	s.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})))
	s.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
	s.CAFile = filepath.Join(s.dir, "ca.pem")
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Client is logged in to the mailbox.
func (s *Server) Client() *imapclient.Client {
	s.t.Helper()
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		s.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c, err := imapclient.DialTLS(net.JoinHostPort("127.0.0.1", strconv.Itoa(s.TLS)), &imapclient.Options{TLSConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(s.User, s.Password).Wait(); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// Put delivers messages into the folder, as if they arrived at that time; the zero time is now. Lines may end as Go writes
// them.
func (s *Server) Put(folder string, at time.Time, messages ...string) {
	s.t.Helper()
	c := s.Client()
	defer c.Close()
	for _, m := range messages {
		if !strings.Contains(m, "\r\n") {
			m = strings.ReplaceAll(m, "\n", "\r\n")
		}
		cmd := c.Append(folder, int64(len(m)), &imap.AppendOptions{Time: at})
		if _, err := cmd.Write([]byte(m)); err != nil {
			s.t.Fatal(err)
		}
		if err := cmd.Close(); err != nil {
			s.t.Fatal(err)
		}
		if _, err := cmd.Wait(); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Count is how many messages lie in the folder, and how many of them are marked as seen.
func (s *Server) Count(folder string) (all, seen int) {
	s.t.Helper()
	c := s.Client()
	defer c.Close()
	if _, err := c.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		return 0, 0
	}
	data, err := c.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
	if err != nil {
		s.t.Fatal(err)
	}
	marked, err := c.UIDSearch(&imap.SearchCriteria{Flag: []imap.Flag{imap.FlagSeen}}, nil).Wait()
	if err != nil {
		s.t.Fatal(err)
	}
	return len(data.AllUIDs()), len(marked.AllUIDs())
}
