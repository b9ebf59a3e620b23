package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// linkCmd has the daemon make a short link, and prints its address.
type linkCmd struct {
	Target  string `arg:"" help:"Where the link leads: http or https.|Куда ведёт ссылка: http или https."`
	Phone   string `help:"Whose link it is: the customer's phone,|Чья ссылка: телефон клиента,"`
	Email   string `help:"e-mail,|почта,"`
	Channel string `help:"or messenger (telegram, vk, …)|или мессенджер (telegram, vk, …)"`
	UserID  string `name:"user-id" help:"with the customer's id in it.|и id клиента в нём."`
	About   string `placeholder:"LEAD" help:"The lead_id that the link is about.|lead_id заявки, о которой ссылка."`
	URL     string `name:"url" placeholder:"URL" help:"Where links are made; default: listen of config.yaml.|Где создаются ссылки; по умолчанию listen из config.yaml."`
	Key     string `env:"LEADSTREAM_KEY" help:"The source's key.|Ключ источника."`
	JSON    bool   `help:"Print the answer as JSON.|Вывести ответ в JSON."`
}

func (cmd linkCmd) Run(t *terminal) error {
	if cmd.URL == "" {
		cfg, _, err := Load(t.config)
		if err != nil {
			return usageError{fmt.Errorf("%w; %s", err, t.say("name the address with --url", "укажите адрес ключом --url"))}
		}
		cmd.URL = "http://" + cfg.Listen + "/v1/links"
	}
	asked := map[string]string{"url": cmd.Target, "phone": cmd.Phone, "email": cmd.Email, "channel": cmd.Channel, "user_id": cmd.UserID, "about": cmd.About}
	body, err := json.Marshal(asked)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(t, http.MethodPost, cmd.URL, bytes.NewReader(body))
	if err != nil {
		return usageError{err}
	}
	req.Header.Set("Content-Type", "application/json")
	if cmd.Key != "" {
		req.Header.Set("Authorization", "Bearer "+cmd.Key)
	}
	res, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return errors.New(refusalText(res.Status, answer))
	}
	var made struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(answer, &made); err != nil || made.URL == "" {
		return errors.New(t.say("the daemon has answered something else than a link", "демон ответил не ссылкой"))
	}
	if cmd.JSON {
		return t.json(made)
	}
	fmt.Fprintln(t.out, plain(made.URL))
	if strings.HasPrefix(made.URL, "/") {
		fmt.Fprintln(t.err, t.say("The public address goes before it; set links.url in config.yaml.", "Перед этим стоит публичный адрес; задайте links.url в config.yaml."))
	}
	return nil
}
