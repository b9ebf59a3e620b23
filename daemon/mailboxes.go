package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/daemon/intake"
	"leadstream/daemon/mail"
)

// mailboxes are those of the sources, each to be run. down tells for the source why it cannot be read.
func mailboxes(cfg *Config, shim *intake.Handler, down *prometheus.GaugeVec, log zerolog.Logger) []*mail.Mailbox {
	var all []*mail.Mailbox
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		s := cfg.Sources[name]
		if s.Preset != "mail" || !s.Mail.Reads() {
			continue
		}
		state := func(why string) {
			for _, r := range mail.Reasons {
				v := 0.0
				if r == why {
					v = 1
				}
				down.WithLabelValues(name, r).Set(v)
			}
		}
		state("")
		all = append(all, &mail.Mailbox{
			Settings: *s.Mail, Source: name, Dir: cfg.inData("mail"), Log: log,
			Tell:    func(ctx context.Context, message []byte) error { return shim.Told(ctx, name, [][]byte{message}) },
			OnUp:    func() { state("") },
			OnFault: func(f *mail.Fault) { state(f.Reason) },
		})
	}
	return all
}

// sharedMailboxes finds sources that would read each other's mail: each mail would be read by one of them, whichever is first.
func (l *loader) sharedMailboxes(c *Config) {
	first := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		s := c.Sources[name]
		if s.Preset != "mail" || !s.Mail.Reads() {
			continue
		}
		box := s.Mail.Mailbox()
		if other, taken := first[box]; taken {
			l.fault("sources."+name+".mail", l.say("reads the mailbox of sources.%s too", "читает тот же ящик, что и sources.%s", other),
				l.say("keep one of them, or name another folder", "оставьте один из них или укажите другую папку"))
			continue
		}
		first[box] = name
	}
}

// imapHosts are the servers of providers whose mailboxes have other domains than they.
var imapHosts = map[string]string{
	"yandex.ru": "imap.yandex.ru", "ya.ru": "imap.yandex.ru", "yandex.com": "imap.yandex.com", "mail.ru": "imap.mail.ru", "bk.ru": "imap.mail.ru",
	"inbox.ru": "imap.mail.ru", "list.ru": "imap.mail.ru", "internet.ru": "imap.mail.ru", "rambler.ru": "imap.rambler.ru", "gmail.com": "imap.gmail.com",
}

// mailbox walks a person through having a mailbox read.
func (cmd channelAddCmd) mailbox(t *terminal) error {
	_, domain, ok := strings.Cut(cmd.Mailbox, "@")
	if !ok || cmd.Kind != "mail" || strings.ContainsAny(cmd.Mailbox, " \t\"\n") {
		return usageError{errors.New(t.say("--mailbox is the address of a mailbox, and of channel mail", "--mailbox — это адрес ящика, для канала mail"))}
	}
	host := imapHosts[strings.ToLower(domain)]
	if host == "" {
		host = "imap." + domain
	}
	env := strings.ToUpper(strings.ReplaceAll(cmd.Name, "-", "_"))
	lines := []string{
		t.say("1. At the provider: switch IMAP on for the mailbox, and make a password for programs.", "1. У провайдера: включите для ящика IMAP и создайте пароль приложения."),
		t.say("2. Put it into the daemon's environment:", "2. Добавьте его в окружение демона:"),
		"    " + env + "_PASSWORD=",
		t.say("3. Add to config.yaml, under sources:", "3. Добавьте в config.yaml, в sources:"),
		"    " + cmd.Name + ":", "      preset: mail", "      mail:",
		"        host: " + host + t.say("   # as the provider says", "   # как указывает провайдер"),
		"        username: " + cmd.Mailbox, `        password: "${env:` + env + `_PASSWORD}"`,
		t.say("4. Restart the daemon, and try it:", "4. Перезапустите демон и проверьте:"),
		"    leadstream channel try " + cmd.Name,
	}
	fmt.Fprintln(t.out, strings.Join(lines, "\n"))
	return nil
}

// lookTime is how long a look into a mailbox may take.
const lookTime = 30 * time.Second

// tryMailbox proves that a mailbox can be read, and says how its newest mail would be taken. It changes nothing there.
func tryMailbox(t *terminal, name string, set mail.Settings) error {
	ctx, cancel := context.WithTimeout(t, lookTime)
	defer cancel()
	look, err := (&mail.Mailbox{Settings: set, Source: name}).Look(ctx)
	var f *mail.Fault
	switch {
	case errors.As(err, &f):
		return errors.New(t.say(f.En, f.Ru) + " (" + f.Err.Error() + ")")
	case err != nil:
		return err
	case look.Messages == 0:
		fmt.Fprintf(t.out, t.say("ok: %s can be read; there is no mail in it\n", "ok: %s читается; писем в нём нет\n"), name)
		return nil
	}
	as := t.say("as an enquiry", "как обращение")
	if look.Not != "" {
		as = t.say("not as an enquiry: ", "не как обращение: ") + look.Not
	}
	fmt.Fprintf(t.out, t.say("ok: %s can be read; mails in it: %d; the newest, of %s, would be taken %s\n", "ok: %s читается; писем: %d; последнее, от %s, будет принято %s\n"),
		name, look.Messages, look.Newest.Local().Format(time.DateTime), as)
	return nil
}
