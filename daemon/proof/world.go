//go:build linux

// Package proof runs the real daemon between a simulated portal and a simulated phone, which live in the caller's own
// process, so that what they know outlives every kill of the daemon; sends it leads whose senders remember what they were
// told; and holds the three against each other: nothing lost, nothing doubled, nothing invented, damaged, out of order,
// left open, unexplained or told to the log. It serves tests and the programs that repeat them thousands of times, so it
// answers errors and knows nothing of package testing. Which faults to bring about, and when, is left to its callers.
package proof

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"leadstream/daemon/intake"
	"leadstream/sinks/sim/phone"
	"leadstream/sinks/sim/portal"
)

// Secrets and a person's name that must be in no log. Every customer's phone begins with PhonePrefix.
const (
	CRMSecret   = "canarysecret7"
	BotToken    = "110201543:canary-token"
	PersonName  = "Канарейкина"
	PhonePrefix = "+7999"
)

// Setup is what a world has that is not as usual. Only Binary is required.
type Setup struct {
	Binary   string         // the daemon, as Build makes it
	Env      []string       // added to the daemon's environment in all its lives
	Redis    string         // a URL; empty: embedded
	Level    string         // of the log; empty: info
	DataDir  string         // empty: a folder of the world's own
	Instance string         // the daemon's name; empty: made by itself
	CRMKeys  string         // further keys of the sink crm, each on its own line; they win
	Tell     string         // names of the sinks that tell a person; empty: manager
	Route    string         // where leads go; empty: crm
	Records  string         // records.url; empty: off
	Tagging  string         // further keys of tagging, as in ", level: vip"
	Sources  string         // further sources, as lines of YAML; %s stands for the phone's address
	Sinks    string         // further sinks, as lines of YAML
	More     string         // further top-level keys, as lines of YAML; %s as in Sources
	Cards    bool           // a lead is a card, even of a customer who has one; else repeats are attached to the first
	Limits   portal.Limits  // zero: none
	CRM      *portal.Portal // another world's; nil: one of its own
	Phone    *phone.Phone   // the same
	Args     []string       // a wrapper: what to run the daemon with
	Held     *os.File       // the public listening socket, held for the daemon as systemd does
	Clock    bool           // the daemon has a wall clock of its own, which SetClock sets; without Args and Held
}

// World is one daemon with its data, over all its lives, and what is around it.
type World struct {
	Setup
	Dir     string // holds everything
	Data    string // the daemon's data folder
	Config  string // path of config.yaml
	Address string // of the public listener
	Key     string // of the source
	HTTP    *http.Client

	log   *os.File
	close []func() error
	life
}

// NewWorld makes the world; Start runs the daemon in it. Close ends it.
func NewWorld(s Setup) (w *World, err error) {
	dir, err := os.MkdirTemp("/tmp", "ls")
	if err != nil {
		return nil, err
	}
	w = &World{Setup: s, Dir: dir, Data: filepath.Join(dir, "data"), Config: filepath.Join(dir, "config.yaml"), Key: intake.NewKey("site"),
		// An address that is nobody else's: on 127.0.0.1 an outgoing connection may take the port between two lives.
		Address: fmt.Sprintf("127.%d.%d.%d:8080", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250)),
		HTTP:    &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	w.onClose(func() error { return os.RemoveAll(dir) })
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if s.DataDir != "" {
		w.Data = s.DataDir
	}
	if s.Held != nil {
		if w.Address, err = heldAddress(s.Held); err != nil {
			return w, err
		}
	}
	if err := w.surround(); err != nil {
		return w, err
	}
	if w.log, err = os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return w, err
	}
	w.onClose(w.log.Close)
	if err := w.Configure(); err != nil {
		return w, err
	}
	w.onClose(w.clean)
	return w, nil
}

// surround makes the portal and the phone where no other world's serve.
func (w *World) surround() error {
	if w.CRM == nil {
		limits := w.Limits
		if limits == (portal.Limits{}) {
			limits = portal.NoLimits
		}
		w.CRM = portal.New(portal.Options{Users: []portal.User{{ID: 1, Name: "Администратор", Secret: CRMSecret}}, Limits: limits})
		if err := w.CRM.Start(); err != nil {
			return err
		}
		w.onClose(w.CRM.Close)
	}
	if w.Phone == nil {
		w.Phone = phone.New(phone.Options{Token: BotToken})
		if err := w.Phone.Start(); err != nil {
			return err
		}
		w.onClose(w.Phone.Close)
	}
	return nil
}

func (w *World) onClose(f func() error) { w.close = append(w.close, f) }

// Close ends the daemon and everything around it, and removes its folder.
func (w *World) Close() error {
	var errs []error
	for i := len(w.close) - 1; i >= 0; i-- {
		errs = append(errs, w.close[i]())
	}
	w.close = nil
	w.HTTP.CloseIdleConnections()
	return errors.Join(errs...)
}

// Configure writes config.yaml from Setup; the daemon's next life has it. Everything is quick: the portal ends a call
// within a second (far_limit leaves two more to a machine that has much else to do), and knows at once what it has made.
func (w *World) Configure() error {
	crm := map[string]string{"kind": "bitrix24", "url": strconv.Quote(w.CRM.URL()), "allow_private": "true",
		"timeout": "700ms", "far_limit": "3s", "index_lag": "100ms", "rate": "{per_second: 1000, burst: 1000}",
		"retry":   "{attempts: 100, base: 200ms, factor: 1.5, max: 1s, jitter: 0.2}",
		"breaker": "{failures: 5, of: 5, delay: 300ms, max_delay: 1s}"}
	if w.Limits == (portal.Limits{}) { // what a portal without limits says of its working time is no reason to rest
		crm["operating_limit"] = "1000h"
	}
	for line := range strings.Lines(w.CRMKeys) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), ": ")
		crm[k] = v
	}
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	line("language: en\nlisten: %s\ndata_dir: %s", w.Address, w.Data)
	line("records: {url: %s}", or(w.Records, "off")) // what is counted here is what goes to the portal
	if w.Instance != "" {
		line("instance: %s", w.Instance)
	}
	line("log: {level: %s, format: json}", or(w.Level, "info"))
	line("redis: %s", or(w.Redis, "embedded"))
	line("sources:\n  site: {keys: [%q], channel: site, concurrency: 1024}", intake.KeyHash(w.Key))
	b.WriteString(strings.ReplaceAll(w.Sources, "%s", w.Phone.URL()))
	line("intake: {connections_per_ip: 2000}")
	if w.Cards {
		line("triage: {dedupe_window: 0s}")
	}
	line("tagging: {sinks: [%s]%s}", or(w.Route, "crm"), w.Tagging)
	line("sinks:\n  crm:")
	for k, v := range crm {
		line("    %s: %s", k, v)
	}
	line("  manager: {kind: telegram, token: %q, chat: 1000001, base_url: %q, allow_private: true, timeout: 1s}", BotToken, w.Phone.URL())
	line("  sms: {kind: smsc, to: \"+79990009999\", api_key: secret, base_url: %q, allow_private: true, timeout: 1s}", w.Phone.URL())
	b.WriteString(w.Sinks)
	line("tell: {sinks: [%s]}", or(w.Tell, "manager"))
	b.WriteString(strings.ReplaceAll(w.More, "%s", w.Phone.URL()))
	return os.WriteFile(w.Config, []byte(b.String()), 0o600)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// URL is an address of the daemon's public listener.
func (w *World) URL(path string) string { return "http://" + w.Address + path }

// Log is what the daemon has written so far, over all its lives since Forget.
func (w *World) Log() ([]byte, error) { return os.ReadFile(w.log.Name()) }

// RemoveFromJournal removes a file of the journal, between two lives.
func (w *World) RemoveFromJournal(name string) error {
	if err := os.Remove(filepath.Join(w.Data, "journal", name)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Forget empties the log, so that a world of thousands of lives does not grow.
func (w *World) Forget() error { return w.log.Truncate(0) }

// Tail is the end of the log, for a person who looks for what went wrong.
func (w *World) Tail() []byte {
	b, _ := w.Log()
	return b[max(0, len(b)-6000):]
}

// heldAddress is where a held socket listens.
func heldAddress(f *os.File) (string, error) {
	l, err := net.FileListener(f)
	if err != nil {
		return "", fmt.Errorf("held socket: %w", err)
	}
	defer l.Close() // a copy
	return l.Addr().String(), nil
}
