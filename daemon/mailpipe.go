package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"leadstream/daemon/intake"
	"leadstream/daemon/mail"
)

// Exit codes that mail servers understand (sysexits.h).
const (
	exitNoMail = 65 // EX_DATAERR: there is nothing to deliver
	exitLater  = 75 // EX_TEMPFAIL: keep the mail, and try again
)

// mailCmd hands a message over to the daemon, for an alias or .forward of a mail server. Whatever keeps it from being taken, also a
// wrong key or option, is for later: the mail server keeps the message and somebody corrects it meanwhile. Any other code would
// send a customer's mail back.
type mailCmd struct {
	Source  string        `required:"" placeholder:"NAME" help:"Of the source in config.yaml, of preset mail.|Имя источника в config.yaml, с preset mail."`
	URL     string        `name:"url" default:"http://127.0.0.1:8080" placeholder:"URL" help:"Where the daemon listens.|Где слушает демон."`
	Key     string        `env:"LEADSTREAM_KEY" help:"The source's key; other users can see it in the list of processes.|Ключ источника; виден другим пользователям в списке процессов."`
	KeyFile string        `placeholder:"FILE" help:"File that holds the key.|Файл с ключом."`
	Timeout time.Duration `default:"30s" help:"Of the whole.|На всё."`
}

func (cmd mailCmd) Run(t *terminal) error {
	later := func(en, ru string, err error) error {
		fmt.Fprintln(t.err, "leadstream mail:", t.say(en, ru)+": "+plain(err.Error()))
		return quietError{exitLater}
	}
	if cmd.KeyFile != "" {
		key, err := readSecret(cmd.KeyFile)
		if err != nil {
			return later("the key cannot be read", "ключ не читается", err)
		}
		cmd.Key = key
	}
	message, err := io.ReadAll(io.LimitReader(t.in, mail.Most+1)) // one more says that there is more
	if err != nil {
		return later("the mail cannot be read", "письмо не читается", err)
	}
	_, _ = io.Copy(io.Discard, t.in) // who writes into a closed pipe takes it for a failure
	if len(bytes.TrimSpace(message)) == 0 {
		fmt.Fprintln(t.err, "leadstream mail:", t.say("there is no mail on the standard input", "на стандартном вводе нет письма"))
		return quietError{exitNoMail}
	}
	ctx, cancel := context.WithTimeout(t, cmd.Timeout)
	defer cancel()
	if err := cmd.post(ctx, message); err != nil {
		return later("not taken, the mail server keeps it", "не принято, письмо остаётся у почтового сервера", err)
	}
	return nil
}

func (cmd mailCmd) post(ctx context.Context, message []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(cmd.URL, "/")+"/in/"+url.PathEscape(cmd.Source), bytes.NewReader(message))
	if err != nil {
		return errors.New("--url is no address")
	}
	req.Header.Set("Content-Type", "message/rfc822")
	req.Header.Set("Authorization", "Bearer "+cmd.Key)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err == nil && res.StatusCode/100 == 2 {
		if string(answer) != intake.Thanks("json") { // whatever listens at a port answers 200
			return fmt.Errorf("%s, but no answer of leadstream: somebody else listens there, or stands between", res.Status)
		}
		return nil
	}
	return errors.Join(errors.New(refusalText(res.Status, answer)), err)
}

// isMail is whether the command line is that of a mail server: a mistake in it must not send mail back.
func isMail(args []string) bool {
	for i, a := range args {
		if a == "-c" || a == "--config" || strings.HasPrefix(a, "-") || i > 0 && (args[i-1] == "-c" || args[i-1] == "--config") {
			continue
		}
		return a == "mail"
	}
	return false
}
