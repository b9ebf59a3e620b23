package sinks

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"leadstream/streams"
	"leadstream/streams/outbound"
)

// The stages of a mail. Only in stageEnd, between the last dot and its answer, may the mail have been taken when no
// answer comes.
const (
	stageConnect = "connect" // dial, greeting, TLS, login
	stageFrom    = "from"
	stageTo      = "to"
	stageData    = "data" // until the last dot
	stageEnd     = "end"
)

func stageOf(err error) string {
	var send *mail.SendError
	if !errors.As(err, &send) {
		return stageConnect
	}
	switch send.Reason {
	case mail.ErrSMTPMailFrom:
		return stageFrom
	case mail.ErrSMTPRcptTo, mail.ErrGetRcpts:
		return stageTo
	case mail.ErrSMTPData, mail.ErrWriteContent, mail.ErrGetSender, mail.ErrNoUnencoded, mail.ErrConnCheck:
		return stageData
	}
	return stageEnd
}

// emailReplies turn a server's reply into a verdict: the first row whose stage, code and enhanced code fit, all of
// them by their beginnings.
var emailReplies = []struct {
	stage, code, enhanced string
	result                streams.Result
	means                 outbound.Means // where the mail is a customer's
	after                 time.Duration
	say                   string
}{
	// What is wrong with our account or domain stops the destination: every mail would meet it.
	{"", "530", "", streams.Pause, "", 5 * time.Minute, "the server wants a login: give username and password"},
	{"", "534", "", streams.Pause, "", 5 * time.Minute, "the login is refused: make a password for programs in the mailbox's settings"},
	{"", "535", "", streams.Pause, "", 5 * time.Minute, "the login is refused: correct username and password"},
	{"", "538", "", streams.Pause, "", 5 * time.Minute, "the server wants encryption: set tls to starttls or tls"},
	{"", "454", "4.7", streams.Pause, "", 15 * time.Minute, "too many logins, or no encryption for now"},
	{"", "421", "4.7.28", streams.Pause, "", 15 * time.Minute, "the server takes no more from us for now"},
	{"", "", "5.4.5", streams.Pause, "", time.Hour, "the mailbox's daily limit is used up"},
	{"", "", "5.7.25", streams.Pause, "", time.Hour, "our address has no name: give it a PTR record"},
	{"", "", "5.7.26", streams.Pause, "", time.Hour, "our domain is not proved: set up SPF, DKIM and DMARC"},
	{"", "", "5.7.27", streams.Pause, "", time.Hour, "our domain takes no mail: correct from"},
	{stageFrom, "552", "", streams.Permanent, "", 0, "the mail is too large"},
	{stageFrom, "50", "", streams.Permanent, "", 0, "the server did not understand us"},
	{stageFrom, "5", "", streams.Pause, "", 5 * time.Minute, "the sender is refused: let from be the login's own address"},
	{"", "550", "5.7.1", streams.Pause, "", time.Hour, "our mail is refused: set up SPF, DKIM and DMARC, and see why"},
	{stageConnect, "5", "", streams.Pause, "", 5 * time.Minute, "the server refuses to talk to us"},

	{"", "552", "5.2.2", streams.Retry, "", 30 * time.Minute, "the person's mailbox is full"},
	{"", "", "5.2.2", streams.Retry, "", 30 * time.Minute, "the person's mailbox is full"},
	{"", "", "4.2.2", streams.Retry, "", 30 * time.Minute, "the person's mailbox is full"},
	{"", "421", "", streams.Retry, "", time.Minute, "the server is closing"},
	{"", "4", "", streams.Retry, "", time.Minute, "not now"},

	{"", "", "5.1", streams.Permanent, outbound.RouteDead, 0, "the address is wrong: correct to"},
	{"", "551", "", streams.Permanent, outbound.RouteDead, 0, "the address has moved: correct to"},
	{"", "553", "", streams.Permanent, outbound.RouteDead, 0, "the address is wrong: correct to"},
	{stageTo, "550", "", streams.Permanent, outbound.RouteDead, 0, "the address is refused: correct to"},
	{"", "552", "", streams.Permanent, "", 0, "the mail is too large"},
	{"", "554", "", streams.Permanent, "", 0, "the mail is refused for what it holds"},
	{"", "50", "", streams.Permanent, "", 0, "the server did not understand us"},
	{"", "5", "", streams.Permanent, "", 0, "refused"},
}

// reply is a code and, behind it, perhaps in quotes, an enhanced one; an address in the text that looks like one does not count.
var reply = regexp.MustCompile(`(?:^|[ :])([245]\d\d)(?:[ -]+"?([245]\.\d{1,3}\.\d{1,3})\b)?`)

// replyOf finds the server's code in what go-mail answers; none means that the connection broke. Nothing else of the
// text is used: servers repeat addresses in it.
func replyOf(err error) (code, enhanced string) {
	var send *mail.SendError
	var proto *textproto.Error
	switch {
	case errors.As(err, &send) && send.ErrorCode() != 0:
		code = strconv.Itoa(send.ErrorCode())
	case errors.As(err, &proto):
		code = strconv.Itoa(proto.Code)
	default:
		return "", ""
	}
	for _, m := range reply.FindAllStringSubmatch(err.Error(), -1) {
		if m[1] == code {
			return code, m[2]
		}
	}
	return code, ""
}

func emailVerdict(stage string, err error) outbound.Tried {
	code, enhanced := replyOf(err)
	if code == "" {
		return outbound.Tried{Verdict: brokenMail(stage, err)}
	}
	v := outbound.Tried{Verdict: streams.Verdict{Code: strings.TrimSpace(code + " " + enhanced), Fault: code == "421"}}
	for _, r := range emailReplies {
		if (r.stage == "" || r.stage == stage) && strings.HasPrefix(code, r.code) && enhancedFits(enhanced, r.enhanced) {
			v.Result, v.Means, v.After, v.Err = r.result, r.means, r.after, fmt.Errorf("email: reply %s: %s", v.Code, r.say)
			return v
		}
	}
	// A 2xx or 3xx where another was due.
	v.Result, v.Err = streams.Retry, fmt.Errorf("email: reply %s out of turn", v.Code)
	if stage == stageEnd {
		v.Result = streams.Ambiguous
	}
	return v
}

// enhancedFits takes whole numbers: 5.7.1 is not the beginning of 5.7.10.
func enhancedFits(got, want string) bool {
	return want == "" || got == want || strings.HasPrefix(got, want+".")
}

// brokenMail is for what ended without a reply.
func brokenMail(stage string, err error) streams.Verdict {
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &cert):
		return streams.Verdict{Result: streams.Pause, After: 5 * time.Minute, Code: "certificate",
			Err: errors.New("email: the server's certificate is not trusted: correct host, or give its authority in ca_file")}
	case errors.Is(err, smtp.ErrUnencrypted), errors.Is(err, mail.ErrNoSupportedAuthDiscovered), strings.Contains(err.Error(), "not support"):
		return streams.Verdict{Result: streams.Pause, After: 5 * time.Minute, Code: "unsupported",
			Err: errors.New("email: the server lacks the encryption or the login asked for: correct tls and port")}
	case stage == stageEnd:
		return streams.Verdict{Result: streams.Ambiguous, Fault: true, Code: stage, Err: errors.New("email: no answer after the mail was sent")}
	case stage == stageConnect:
		return streams.Verdict{Result: streams.Retry, Fault: true, Code: stage, Err: fmt.Errorf("email: connecting: %w", err)}
	}
	return streams.Verdict{Result: streams.Retry, Fault: true, Code: stage, Err: errors.New("email: the connection broke before the mail was sent")}
}
