package mail

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Settings are the block `mail` of a source: which mailbox is read.
type Settings struct {
	Host     string        `koanf:"host"`     // empty: none is read; mail comes by `leadstream mail`
	Port     int           `koanf:"port"`     // 0: as tls wants
	TLS      string        `koanf:"tls"`      // tls, starttls, or none on this machine only
	Username string        `koanf:"username"` // its address too, if it is one
	Password string        `koanf:"password"`
	Folder   string        `koanf:"folder"`
	After    string        `koanf:"after"`   // what becomes of a mail that was read: leave, seen or move
	MoveTo   string        `koanf:"move_to"` // folder; made when it is not there
	Every    time.Duration `koanf:"every"`   // looked at that often also when the server says nothing
	Past     time.Duration `koanf:"past"`    // how old a mail may be that is there at the first start
	CAFile   string        `koanf:"ca_file"`
}

// Defaults are the values of keys that are left out.
func Defaults() Settings {
	return Settings{TLS: "tls", Folder: "INBOX", After: "seen", MoveTo: "leadstream", Every: time.Minute, Past: 24 * time.Hour}
}

// Reads is whether there is a mailbox to read.
func (s *Settings) Reads() bool { return s != nil && s.Host != "" }

// withDefaults fills what the block does not say.
func (s Settings) withDefaults() Settings {
	d := Defaults()
	s.TLS, s.Folder, s.After = cmp.Or(s.TLS, d.TLS), cmp.Or(s.Folder, d.Folder), cmp.Or(s.After, d.After)
	s.MoveTo, s.Every, s.Past = cmp.Or(s.MoveTo, d.MoveTo), cmp.Or(s.Every, d.Every), cmp.Or(s.Past, d.Past)
	s.Port = cmp.Or(s.Port, map[string]int{"tls": 993}[s.TLS], 143)
	return s
}

// Faults says everything that is wrong, key by key.
func (s Settings) Faults(add func(key, problem, cure string)) {
	s = s.withDefaults()
	if strings.ContainsAny(s.Host, " /:\r\n") {
		add("host", fmt.Sprintf("%q is not a server's name", s.Host), "write it alone, say imap.example.com")
	}
	if s.Port < 1 || s.Port > 65535 {
		add("port", "is no port", "write 1 to 65535, or leave it out")
	}
	switch s.TLS {
	case "tls", "starttls":
	case "none":
		if !loopback(s.Host) {
			add("tls", "none would send the password in the clear", "write tls or starttls; none is for a server on this machine")
		}
	default:
		add("tls", fmt.Sprintf("%q is not known", s.TLS), "write tls, starttls or none")
	}
	if s.Username == "" || s.Password == "" {
		add("password", "username or password is missing", "give both; most providers want a password made for programs")
	}
	switch s.After {
	case "leave", "seen", "move":
	default:
		add("after", fmt.Sprintf("%q is not known", s.After), "write leave, seen or move")
	}
	if s.After == "move" && strings.EqualFold(s.MoveTo, s.Folder) {
		add("move_to", "is the folder that is read", "name another")
	}
	if s.Every < time.Second || s.Past < 0 {
		add("every", "is below a second, or past is below zero", "leave it out for the default")
	}
	if _, err := s.config(); err != nil {
		add("ca_file", err.Error(), "give a PEM file, or leave it out")
	}
}

// Mailbox names what is read, however that is spelled. An address is one mailbox wherever it lies, so it keeps its name when it
// moves to another provider; a username that is none is its server's.
func (s Settings) Mailbox() string {
	s = s.withDefaults()
	user, folder := strings.ToLower(s.Username), s.Folder
	if !strings.Contains(user, "@") {
		user += "@" + s.server()
	}
	if strings.EqualFold(folder, "INBOX") { // RFC 3501: in any case
		folder = "INBOX"
	}
	return user + "\x00" + folder
}

// server is the host, however it is spelled.
func (s Settings) server() string { return strings.ToLower(strings.TrimSuffix(s.Host, ".")) }

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s Settings) address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

func (s Settings) config() (*tls.Config, error) {
	c := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}
	if s.CAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, err
	}
	if c.RootCAs, err = x509.SystemCertPool(); err != nil {
		c.RootCAs = x509.NewCertPool()
	}
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New("it holds no PEM certificate")
	}
	return c, nil
}
