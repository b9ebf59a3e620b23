package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"leadstream/daemon/proof"
	"leadstream/sinks/records"
	"leadstream/sinks/sim/fault"
	"leadstream/sinks/sim/phone"
	"leadstream/sinks/sim/portal"
)

// A drill of a running daemon must never bring invented leads into a real CRM, nor a test alarm to a real manager. A
// config file proves nothing (it may have been edited since the start), nor does an owner's word: the daemon itself is
// asked where its sinks lead, and asks there who answers. Only our simulators, on this machine, know the question.

// SimulatedSink says whether a sink of the running daemon is a simulator.
type SimulatedSink struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Who  string `json:"who,omitempty"`  // portal, phone, file; empty: not proven
	Base string `json:"base,omitempty"` // of the simulator
	To   string `json:"to,omitempty"`   // whom the sink writes to there
	Host string `json:"host,omitempty"` // where a sink leads that is no simulator; no path: it may hold a secret
}

// simulated asks the far side of every sink, and of every channel to customers, who it is.
func (c *Config) simulated(ctx context.Context) []SimulatedSink {
	var all []SimulatedSink
	look := func(name, kind string, given any) {
		s := SimulatedSink{Name: name, Kind: kind}
		settings := reflect.Indirect(reflect.ValueOf(given))
		text := func(field string) string {
			if f := settings.FieldByName(field); f.IsValid() && f.Kind() == reflect.String {
				return f.String()
			}
			return ""
		}
		s.To = cmp.Or(text("Chat"), text("To"))
		address := cmp.Or(text("BaseURL"), text("URL"))
		switch {
		case s.Kind == "csv" && c.practice():
			s.Who = "file"
		case address != "" && text("Proxy") == "":
			s.Host = hostOf(address)
			s.Base, s.Who = whoAnswers(ctx, address)
		default:
			s.Host = text("Host")
		}
		all = append(all, s)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Sinks)) {
		if name == c.history() && c.Records.URL == records.Embedded {
			continue // in the data folder, as the journal, which has those leads too
		}
		look(name, c.Sinks[name].Kind, c.Sinks[name].Settings)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Answers.Channels)) { // an invented customer's number may be somebody's
		ch := c.Answers.Channels[name]
		look("answers.channels."+name, ch.Kind, ch.Settings)
		if ch.Other != nil {
			look("answers.channels."+name+".backup", ch.Kind, ch.Other)
		}
	}
	return all
}

// practice tells whether the data folder is a demo's: what is written there is nobody's.
func (c *Config) practice() bool {
	_, err := os.Stat(filepath.Join(c.DataDir, demoMark))
	return err == nil
}

// whoAnswers asks at an address of this machine; elsewhere nobody is asked, and nobody is a simulator.
func whoAnswers(ctx context.Context, address string) (base, who string) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return "", ""
	}
	if at, err := netip.ParseAddrPort(u.Host); err != nil || !at.Addr().IsLoopback() {
		return "", ""
	}
	base = "http://" + u.Host
	var answer struct{ Simulator string }
	if err := simCall(ctx, http.MethodGet, base+"/sim/who", nil, &answer); err != nil {
		return "", ""
	}
	return base, answer.Simulator
}

// simCall asks a simulator on this machine something.
func simCall(ctx context.Context, method, address string, body, to any) error {
	ctx, done := context.WithTimeout(ctx, 10*time.Second)
	defer done()
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	direct := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := direct.Do(req)
	if err != nil {
		return fmt.Errorf("asking the simulator: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the simulator: %s", res.Status)
	}
	if to == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(to)
}

// aim takes a running daemon as the drill's target, or refuses.
func (d *drillRun) aim() (err error) {
	if d.asWritten, _, err = Load(d.config); err != nil {
		return usageError{fmt.Errorf("%w; %s", err, d.say("name it with --config", "укажите его ключом --config"))}
	}
	if d.cmd.Key == "" {
		return usageError{errors.New(d.say("--target needs --key: the key of the source whose leads are played", "для --target нужен --key: ключ источника, чьи заявки играть"))}
	}
	if _, _, err := net.SplitHostPort(d.asWritten.Listen); err != nil || d.asWritten.Admin.Socket != Defaults().Admin.Socket {
		return usageError{errors.New(d.say("--target needs a listen of host:port and the usual admin.socket", "для --target нужны listen вида адрес:порт и обычный admin.socket"))}
	}
	c, err := d.dial()
	if err != nil {
		return err
	}
	var all []SimulatedSink
	if err := c.get("/v1/simulated", nil, &all); err != nil {
		return usageError{err}
	}
	if err := d.refuse(all); err != nil {
		return err
	}
	d.cfg, d.sims = d.asWritten, far(d.Context, all)
	d.setup = drillSetup{Shorten: 1, Keys: map[string]string{cmp.Or(d.cmd.Source, "drill"): d.cmd.Key}}
	d.world = &proof.World{Data: d.cfg.DataDir, Config: d.config, Address: d.cfg.Listen, HTTP: &http.Client{Timeout: 10 * time.Second}}
	return nil
}

// refuse names the sinks that have not proven to be simulators.
func (d *drillRun) refuse(all []SimulatedSink) error {
	var real []string
	for _, s := range all {
		if s.Who == "" {
			real = append(real, fmt.Sprintf("%s (%s)", s.Name, strings.TrimSpace(s.Kind+" "+s.Host)))
		}
	}
	if len(real) == 0 && len(all) > 0 {
		return nil
	}
	return usageError{errors.New(d.say("refused: these sinks are not simulators of this machine, and invented leads would reach real people: %s; leave --target out, the drill then runs a private daemon with your config",
		"отказ: эти приёмники — не учебные на этой машине, и придуманные заявки дошли бы до настоящих людей: %s; уберите --target, тогда учения запустят свой демон с вашими настройками", strings.Join(real, ", ")))}
}

// far are the simulators of a running daemon.
func far(ctx context.Context, all []SimulatedSink) *simulators {
	s := &simulators{portals: map[string]crm{}, people: map[string]string{}}
	for _, one := range all {
		switch one.Who {
		case "portal":
			s.portals[one.Name] = &elsewhere{ctx: context.WithoutCancel(ctx), base: one.Base}
		case "phone":
			if one.To != "" { // a channel to customers writes to anybody
				s.people[strings.TrimPrefix(one.To, "+")] = one.Name
			}
			if !slices.Contains(s.phones, one.Base) {
				s.phones = append(s.phones, one.Base)
			}
		}
	}
	return s
}

// elsewhere gathers the messages of another process's phones.
func (s *simulators) elsewhere() (all []message, err error) {
	for _, base := range s.phones {
		var got []phone.Message
		err = errors.Join(err, simCall(context.Background(), http.MethodGet, base+"/sim/messages", nil, &got))
		for _, m := range got {
			all = append(all, message{m.At, m.To, m.Text})
		}
	}
	return all, err
}

// elsewhere is a simulated portal of another process.
type elsewhere struct {
	ctx  context.Context
	base string
	err  error
}

func (e *elsewhere) Ledger() (all []portal.Event) {
	e.err = errors.Join(e.err, simCall(e.ctx, http.MethodGet, e.base+"/sim/ledger", nil, &all))
	return all
}

// Requests is not told by another process: what a lead costs is then not known.
func (e *elsewhere) Requests() int { return 0 }

func (e *elsewhere) Inject(f fault.Fault) {
	e.err = errors.Join(e.err, simCall(e.ctx, http.MethodPost, e.base+"/sim/fault", f, nil))
}

func (e *elsewhere) Clear() {
	e.err = errors.Join(e.err, simCall(e.ctx, http.MethodDelete, e.base+"/sim/fault", nil, nil))
}

func (e *elsewhere) URL() string { return e.base }

// Close leaves the portal as it was found, and says what could not be asked of it.
func (e *elsewhere) Close() error {
	e.Clear()
	return e.err
}
