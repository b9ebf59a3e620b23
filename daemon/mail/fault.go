package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"

	"github.com/emersion/go-imap/v2"
)

// Fault is why a mailbox is not read now. Nothing is lost by it: mail waits at the server.
type Fault struct {
	Reason string // a label of a metric
	En, Ru string // the cure
	Err    error  // what was being done; nothing that the server said

	cause error
}

func (f *Fault) Error() string { return f.En + " (" + f.Err.Error() + ")" }

func (f *Fault) Unwrap() []error {
	if f.cause == nil {
		return []error{f.Err}
	}
	return []error{f.Err, f.cause}
}

// Reasons of faults, which the alert channel_down says in words.
const (
	Unreachable = "unreachable"
	Certificate = "certificate"
	Login       = "login"
	Folder      = "folder"
	Refused     = "refused"
	Journal     = "journal" // the mail cannot be kept by us
	Stuck       = "stuck"   // some of the mails are not given, the others are read
)

// Reasons are all of them.
var Reasons = []string{Unreachable, Certificate, Login, Folder, Refused, Journal, Stuck}

// errTime says that a call took longer than it may.
var errTime = errors.New("no answer in time")

// fault sorts an error of a step of the conversation. What servers say is left out: they repeat addresses.
func fault(step string, err error) *Fault {
	var own *Fault
	if errors.As(err, &own) {
		return own
	}
	f := faultOf(step, err)
	f.cause = err
	return f
}

func faultOf(step string, err error) *Fault {
	var no *imap.Error
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	var verify *tls.CertificateVerificationError
	switch {
	case errors.As(err, &verify), errors.As(err, &unknown), errors.As(err, &name):
		return &Fault{Reason: Certificate, En: "the server's certificate is not trusted: correct mail.host, or give its authority in mail.ca_file",
			Ru: "сертификату сервера нет доверия: исправьте mail.host или укажите центр сертификации в mail.ca_file", Err: errors.New(step)}
	case errors.As(err, &record):
		return &Fault{Reason: Certificate, En: "the server speaks no TLS at this port: correct mail.port or mail.tls",
			Ru: "на этом порту сервер не говорит по TLS: исправьте mail.port или mail.tls", Err: errors.New(step)}
	case errors.As(err, &dns):
		return &Fault{Reason: Unreachable, En: "the server's name is not known: correct mail.host",
			Ru: "имя сервера не найдено: исправьте mail.host", Err: errors.New(step)}
	case errors.Is(err, errTime), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return &Fault{Reason: Unreachable, En: "the server does not answer in time",
			Ru: "сервер не отвечает вовремя", Err: errors.New(step)}
	case errors.As(err, &no) && step == "login":
		return &Fault{Reason: Login, En: "the server refuses the login: correct mail.username and mail.password; most providers want IMAP switched on and a password made for programs",
			Ru: "сервер не принимает вход: исправьте mail.username и mail.password; у большинства провайдеров нужно включить IMAP и создать пароль приложения", Err: refusal(step, no)}
	case errors.As(err, &no) && (step == "select" || step == "create"):
		return &Fault{Reason: Folder, En: "the folder is not there or not ours to use: correct mail.folder or mail.move_to",
			Ru: "папки нет или она недоступна: исправьте mail.folder или mail.move_to", Err: refusal(step, no)}
	case errors.As(err, &no):
		return &Fault{Reason: Refused, En: "the server refuses",
			Ru: "сервер отказывает", Err: refusal(step, no)}
	case errors.Is(err, errNoMessage):
		return &Fault{Reason: Refused, En: "the server has a mail and does not give it",
			Ru: "сервер не отдаёт письмо", Err: errors.New(step)}
	case step == "dial":
		return &Fault{Reason: Unreachable, En: "the server cannot be reached: correct mail.host and mail.port, or wait",
			Ru: "сервер недоступен: проверьте mail.host и mail.port или подождите", Err: errors.New(step)}
	}
	return &Fault{Reason: Unreachable, En: "the connection broke",
		Ru: "соединение оборвалось", Err: errors.New(step)}
}

func refusal(step string, e *imap.Error) error {
	text := step + ": " + string(e.Type)
	if e.Code != "" {
		text += " " + string(e.Code)
	}
	return errors.New(text)
}
