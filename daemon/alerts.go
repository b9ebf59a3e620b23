package main

import (
	"net/http"
	"net/url"
	"time"

	"leadstream/processors/monitor"
)

// alertsCmd shows what is wrong just now, and takes it on.
type alertsCmd struct {
	List alertsListCmd `cmd:"" default:"withargs" help:"What is wrong just now, the longest first.|Что сейчас не в порядке, давнее — первым." example:"leadstream alerts"`
	Ack  alertsAckCmd  `cmd:"" help:"I see to it: it is neither repeated nor passed on to the next person.|Я займусь: тревога не повторяется и не идёт дальше по цепочке." example:"leadstream alerts ack k3f9a0zb"`
}

type alertsListCmd struct {
	JSON bool `help:"Print JSON.|Вывести JSON."`
}

func (cmd alertsListCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	var all []monitor.Alert
	if err := c.get("/v1/alerts", nil, &all); err != nil {
		return err
	}
	if cmd.JSON {
		return t.json(all)
	}
	rows := [][]string{{t.say("code", "код"), t.say("state", "состояние"), t.say("since", "с"), t.say("seen to", "занимаются"), t.say("what", "что")}}
	for _, a := range all {
		seen := ""
		if a.Acked {
			seen = t.say("yes", "да")
		}
		rows = append(rows, []string{a.Fingerprint, a.State, a.Since.In(c.zone).Format(time.DateTime), seen, a.Title})
	}
	return t.table(rows)
}

type alertsAckCmd struct {
	Code string `arg:"" help:"As its message and the list show it.|Код из сообщения или списка."`
}

func (cmd alertsAckCmd) Run(t *terminal) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	return c.post("/v1/alerts/"+url.PathEscape(cmd.Code)+"/ack", struct{}{}, &struct{}{})
}

func (a *AdminAPI) alerts(*http.Request) (any, error) {
	if a.Alerts == nil {
		return []monitor.Alert{}, nil
	}
	return append([]monitor.Alert{}, a.Alerts.Alerts()...), nil
}

func (a *AdminAPI) ack(r *http.Request) (any, error) {
	if a.Alerts == nil || !a.Alerts.Told(r.PathValue("id")) {
		return nil, ErrNotFound
	}
	return struct{}{}, a.Alerts.Ack(r.PathValue("id"))
}
