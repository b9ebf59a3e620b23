// Package mail is a simulated mail server that keeps what arrives for its people. It leaves out everything a mail
// server does after it has answered 250.
package mail

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net"
	netmail "net/mail"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Message is a mail that arrived.
type Message struct {
	At      time.Time `json:"at"`
	To      string    `json:"to"`
	From    string    `json:"from"`
	Subject string    `json:"subject"`
	ID      string    `json:"id"` // Message-ID
}

// Server is a simulated mail server.
type Server struct {
	server   *smtp.Server
	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	messages []Message
}

// New makes a server. It does no I/O.
func New() *Server {
	s := &Server{}
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }))
	s.server.Domain, s.server.MaxMessageBytes = "localhost", 10<<20
	s.server.ReadTimeout, s.server.WriteTimeout = time.Minute, time.Minute
	return s
}

// Start opens an address on loopback and serves until Close.
func (s *Server) Start() error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("simulated mail server: %w", err)
	}
	s.listener = l
	s.serving.Go(func() { _ = s.server.Serve(l) })
	return nil
}

// Close ends the sessions.
func (s *Server) Close() error {
	if s.listener != nil {
		_ = s.listener.Close() // the server does not know it yet when Close comes right after Start
		_ = s.server.Close()   // its error is the listener's, closed here on purpose
		s.serving.Wait()
	}
	return nil
}

// Addr is where the server listens. Start comes first.
func (s *Server) Addr() *net.TCPAddr { return s.listener.Addr().(*net.TCPAddr) }

// Messages is what has arrived, oldest first.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// session is one client's connection.
type session struct {
	server *Server
	from   string
	to     []string
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("reading the mail: %w", err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		subject = m.Header.Get("Subject")
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	for _, to := range s.to {
		s.server.messages = append(s.server.messages, Message{At: time.Now(), To: to, From: s.from, Subject: subject, ID: m.Header.Get("Message-Id")})
	}
	return nil
}
