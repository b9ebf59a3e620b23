package bitrix24

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"leadstream/sinks"
	"leadstream/sinks/httpx"
	"leadstream/streams"
)

// CallSettings are those of a Caller.
type CallSettings struct {
	URL          string        // inbound webhook with the scope task, https://PORTAL/rest/USER/SECRET/
	Responsible  int           // employee's id
	Deadline     time.Duration // from now
	CAFile       string
	Proxy        string
	AllowPrivate bool
}

// Caller makes tasks for a person to call a customer, and none twice: each carries a mark in its title, by which it is looked
// for before it is made. It is safe for concurrent use.
type Caller struct {
	s   *Sink
	set CallSettings

	mu     sync.Mutex
	unsure map[string]time.Time // marks of tasks that the portal may yet be making
}

// NewCaller does no I/O. Its error names the keys and the cure.
func NewCaller(set CallSettings, env sinks.Env) (*Caller, error) {
	all := Defaults()
	all.URL, all.CAFile, all.Proxy, all.AllowPrivate = set.URL, set.CAFile, set.Proxy, set.AllowPrivate
	s, err := Open(all, env)
	if set.Responsible < 1 {
		err = errors.Join(err, errors.New("responsible: a task needs the id of an employee"))
	}
	if set.Deadline <= 0 {
		err = errors.Join(err, errors.New("deadline: must be more than nothing, such as 30m"))
	}
	if err != nil {
		return nil, err
	}
	s.quiet = true
	return &Caller{s: s, set: set, unsure: map[string]time.Time{}}, nil
}

// Call asks for a call to phone about what text says. id is the same over all tries. Done has the task's id.
func (c *Caller) Call(ctx context.Context, id, phone, text string) streams.Verdict {
	mark := "[ls:" + streams.NewID("call", id)[:12] + "]"
	c.mu.Lock()
	doubt := c.unsure[mark]
	c.mu.Unlock()
	link, v := c.find(ctx, mark, phone)
	if v.Result == streams.Retry && !doubt.IsZero() {
		v.Result = streams.Ambiguous // as it was
	}
	if v.Result != streams.Done || v.Remote != "" {
		return v
	}
	if wait := c.s.set.FarLimit - c.s.now().Sub(doubt); wait > 0 {
		return streams.Verdict{Result: streams.Wait, After: wait, Err: errors.New("tasks.task.add: the portal may yet be making the task")}
	}
	w := say(c.s.env.Language)
	fields := map[string]any{
		"TITLE": cutRunes(w.call+" "+phone, lineRunes-len(mark)-1) + " " + mark, "DESCRIPTION": cutBytes(w.callWhy+"\n\n"+defused(text), textBytes-200),
		"DEADLINE": c.s.now().Add(c.set.Deadline).In(c.s.env.Zone).Format(time.RFC3339), "RESPONSIBLE_ID": c.set.Responsible,
	}
	if link != "" {
		fields["UF_CRM_TASK"] = []any{link}
	}
	r := c.s.call(ctx, command{method: "tasks.task.add", params: map[string]any{"fields": fields}})
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.fail == nil {
		delete(c.unsure, mark)
		if n := created(r.result); n != "" {
			return streams.Verdict{Remote: n}
		}
		return httpx.Verdict(httpx.Answer{Status: http.StatusOK}, errors.New("tasks.task.add: the answer names no task"), false)
	}
	if r.fail.Result == streams.Ambiguous {
		if len(c.unsure) >= 1000 {
			clear(c.unsure)
		}
		c.unsure[mark] = c.s.now()
	}
	return whole(*r.fail)
}

// whole makes a pause of a method one of all: there is nothing else that a Caller does.
func whole(v streams.Verdict) streams.Verdict {
	v.Scope, v.PauseKey = streams.ScopeSink, ""
	return v
}

// find looks for the task with the mark: Done without Remote says that there is none. link is the customer's card, if there is one
// and the webhook may see it.
func (c *Caller) find(ctx context.Context, mark, phone string) (link string, v streams.Verdict) {
	replies := c.s.calls(ctx, []command{
		{method: "tasks.task.list", read: true, params: map[string]any{
			"filter": map[string]any{"%TITLE": mark}, "select": []any{"ID", "TITLE"}, "order": map[string]any{"ID": "asc"}}},
		{method: "crm.duplicate.findbycomm", read: true, params: map[string]any{"type": "PHONE", "values": []any{phone}}},
	})
	if fail := replies[0].fail; fail != nil {
		return "", whole(*fail)
	}
	list, ok := rows(object(replies[0].result)["tasks"])
	if !ok {
		return "", streams.Verdict{Result: streams.Retry, Fault: true, Err: errors.New("tasks.task.list: the answer holds no list")}
	}
	for _, task := range list {
		if strings.Contains(text(task["title"])+text(task["TITLE"]), mark) { // a filter that is not known would be ignored
			return "", streams.Verdict{Remote: created(marshal(task))}
		}
	}
	if replies[1].fail == nil {
		link = linkOf(replies[1].result)
	}
	return link, streams.Verdict{}
}

func marshal(m map[string]json.RawMessage) json.RawMessage {
	b, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	return b
}

// linkOf names the customer's contact or, without one, the latest lead.
func linkOf(found json.RawMessage) string {
	for _, of := range []struct{ entity, prefix string }{{"CONTACT", "C_"}, {"LEAD", "L_"}} {
		var ids []json.RawMessage
		if json.Unmarshal(object(found)[of.entity], &ids) == nil && len(ids) > 0 {
			return of.prefix + text(ids[len(ids)-1])
		}
	}
	return ""
}

// Check asks whether the webhook may make tasks.
func (c *Caller) Check(ctx context.Context) error {
	raw, err := c.s.ask(ctx, "scope", nil)
	if err != nil {
		return err
	}
	var have []string
	if json.Unmarshal(raw, &have) != nil {
		return errors.New("scope: the answer holds no list")
	}
	if !slices.Contains(have, "task") {
		return fmt.Errorf("url: the webhook lacks the scope task: tick it in the webhook's settings")
	}
	return nil
}
