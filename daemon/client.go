package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// client speaks to the running daemon over its unix socket.
type client struct {
	*terminal
	socket string
	zone   *time.Location // the business's own
	http   http.Client
}

// dial reads of config.yaml only where the socket is: the operator's shell need not know the daemon's secrets.
func (t *terminal) dial() (*client, error) {
	cfg, _, err := Load(t.config)
	if err != nil {
		return nil, usageError{fmt.Errorf("%w; %s", err, t.say("name it with --config", "укажите его ключом --config"))}
	}
	c := &client{terminal: t, socket: cfg.inData(cfg.Admin.Socket), zone: cfg.Zone()}
	c.http = http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", c.socket)
		},
		DisableKeepAlives: true,
	}}
	return c, nil
}

// get asks for path and decodes the answer.
func (c *client) get(path string, query url.Values, to any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(http.MethodGet, path, nil, to)
}

func (c *client) post(path string, body, to any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.do(http.MethodPost, path, b, to)
}

func (c *client) do(method, path string, body []byte, to any) error {
	req, err := http.NewRequestWithContext(c, method, "http://leadstream"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return c.refusal(res)
	}
	if err := json.NewDecoder(res.Body).Decode(to); err != nil {
		return fmt.Errorf("the daemon's answer: %w", err)
	}
	return nil
}

// refusal is the daemon's error answer.
func (c *client) refusal(res *http.Response) error {
	var answer struct {
		Error struct{ Code, Message, Field string }
	}
	b, _ := io.ReadAll(io.LimitReader(res.Body, maxAsk))
	if json.Unmarshal(b, &answer) != nil || answer.Error.Code == "" {
		return fmt.Errorf("%s", res.Status)
	}
	switch e := answer.Error; {
	case e.Code == "not_found":
		return errors.New(c.say("there is no such thing", "такого нет"))
	case e.Field != "":
		return usageError{fmt.Errorf("%s: %s", e.Field, e.Message)}
	default:
		return errors.New(e.Message)
	}
}

// unreachable says why nobody answers at the socket, and what to do.
func (c *client) unreachable(err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return errors.New(c.say("%s may not be opened by this user; use sudo, or the user that runs the daemon",
			"этому пользователю нельзя открыть %s; запустите через sudo или от пользователя демона", c.socket))
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return errors.New(c.say("the daemon is not running (nobody listens at %s); start it: leadstream serve, or systemctl start leadstream; or name its config with --config",
			"демон не запущен (никто не слушает %s); запустите: leadstream serve или systemctl start leadstream; либо укажите его настройки ключом --config", c.socket))
	}
	return fmt.Errorf("%s: %w", c.socket, err)
}

// plain takes out of a text what a terminal would obey: leads are strangers' texts.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < 0x20 || r >= 0x7f && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == '\ufeff':
			return -1
		}
		return r
	}, s)
}

// cell is a text for one cell of a table.
func cell(s string) string { return strings.Join(strings.Fields(plain(s)), " ") }
