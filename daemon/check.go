package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"leadstream/daemon/mail"
	"leadstream/sinks"
	"leadstream/sinks/talk"
	"leadstream/streams"
)

type checkCmd struct {
	Timeout time.Duration `default:"15s" help:"Of one check.|На одну проверку."`
	JSON    bool          `help:"Print JSON.|Вывести JSON."`
}

// Finding is a line of the check's table.
type Finding struct {
	What   string `json:"what"`
	State  string `json:"state"` // ok, warning or fault
	Detail string `json:"detail,omitempty"`
	Cure   string `json:"cure,omitempty"`
}

// The states of a Finding.
const (
	stateOK      = "ok"
	stateWarning = "warning"
	stateFault   = "fault"
)

// Run checks everything that the daemon will need, changes nothing, and delivers nothing. A bad config is exit code 2,
// anything else that does not work 1.
func (cmd checkCmd) Run(t *terminal) error {
	cfg, faults, err := Load(t.config)
	if err != nil {
		return usageError{fmt.Errorf("%w; %s", err, t.say("name it with --config", "укажите его ключом --config"))}
	}
	if cfg.Language == "ru" || cfg.Language == "en" {
		t.lang = lang(cfg.Language)
	}
	var found []Finding
	for _, f := range faults {
		found = append(found, fromFault(f))
	}
	if len(found) == 0 {
		found = []Finding{{What: "config", State: stateOK, Detail: t.config}}
	}
	if !broken(faults) {
		c := checker{lang: t.lang, cfg: cfg, timeout: cmd.Timeout}
		found = append(found, c.all(t)...)
	}
	if err := t.findings(found, cmd.JSON); err != nil {
		return err
	}
	switch {
	case broken(faults):
		return quietError{exitUsage}
	case slices.ContainsFunc(found, func(f Finding) bool { return f.State == stateFault }):
		return quietError{exitFailed}
	}
	return nil
}

func fromFault(f Fault) Finding {
	state := stateFault
	if f.Warning {
		state = stateWarning
	}
	where := "config"
	if f.Key != "" {
		where += " " + f.Key
	}
	if f.Line > 0 {
		where += fmt.Sprintf(":%d", f.Line)
	}
	return Finding{where, state, f.Problem, f.Cure}
}

func (t *terminal) findings(found []Finding, asJSON bool) error {
	if asJSON {
		return t.json(found)
	}
	words := map[string]string{stateOK: t.say("ok", "норма"), stateWarning: t.say("WARNING", "ВНИМАНИЕ"), stateFault: t.say("FAULT", "ОШИБКА")}
	rows := [][]string{}
	for _, f := range found {
		text := f.Detail
		if f.Cure != "" {
			text += " → " + f.Cure
		}
		rows = append(rows, []string{words[f.State], f.What, text})
	}
	return t.table(rows)
}

// checker asks the outside; each check has its own time limit and they run at the same time.
type checker struct {
	lang
	cfg     *Config
	timeout time.Duration
}

func (c *checker) all(ctx context.Context) []Finding {
	checks := []func(context.Context) []Finding{c.disk, c.redis, c.calendar}
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Sinks)) {
		checks = append(checks, func(ctx context.Context) []Finding { return []Finding{c.sink(ctx, name)} })
	}
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Answers.Channels)) {
		checks = append(checks, func(ctx context.Context) []Finding { return c.answers(ctx, name) })
	}
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Sources)) {
		if c.cfg.Sources[name].Mail.Reads() {
			checks = append(checks, func(ctx context.Context) []Finding { return []Finding{c.mailbox(ctx, name)} })
		}
	}
	results := make([][]Finding, len(checks))
	var wg sync.WaitGroup
	for i, check := range checks {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, c.timeout)
			defer cancel()
			results[i] = check(ctx)
		})
	}
	wg.Wait()
	return slices.Concat(results...)
}

// Free space: below low it is said, below least the journal takes no leads (reliability: 512 MiB).
const (
	leastFree = 512 << 20
	lowFree   = 4 * leastFree
)

func (c *checker) disk(context.Context) []Finding {
	dir := c.cfg.DataDir
	what := "data_dir"
	if err := writable(dir); err != nil {
		return []Finding{{what, stateFault, err.Error(),
			c.say("make it writable for the user that runs the daemon: chown -R leadstream %s", "сделайте её доступной на запись пользователю демона: chown -R leadstream %s", dir)}}
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(existing(dir), &fs); err != nil {
		return []Finding{{what, stateFault, err.Error(), c.say("look at the disk", "проверьте диск")}}
	}
	free := int64(fs.Bavail) * int64(fs.Bsize)
	detail := c.say("%s, %d MiB free", "%s, свободно %d МиБ", dir, free>>20)
	cure := c.say("free some space: below 512 MiB no leads are taken", "освободите место: если меньше 512 МиБ, заявки не принимаются")
	switch {
	case free < leastFree:
		return []Finding{{what, stateFault, detail, cure}}
	case free < lowFree:
		return []Finding{{what, stateWarning, detail, cure}}
	}
	return []Finding{{What: what, State: stateOK, Detail: detail}}
}

// existing is the nearest folder of path that is there: the daemon makes the rest.
func existing(path string) string {
	for path != filepath.Dir(path) {
		if _, err := os.Stat(path); err == nil {
			return path
		}
		path = filepath.Dir(path)
	}
	return path
}

// writable tries what only a try can tell: rights, a read-only mount, a full disk.
func writable(dir string) error {
	f, err := os.CreateTemp(existing(dir), ".leadstream-check-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString("leadstream check\n")
	return errors.Join(err, f.Sync(), f.Close())
}

func (c *checker) redis(ctx context.Context) []Finding {
	if c.cfg.Redis.URL == Embedded {
		return []Finding{c.embedded(ctx)}
	}
	clients, err := streams.OpenRedis(streams.RedisOptions{URL: c.cfg.Redis.URL, Timeout: c.timeout})
	if err != nil {
		return []Finding{{"redis", stateFault, err.Error(), c.say("correct redis: in config.yaml", "исправьте redis: в config.yaml")}}
	}
	defer clients.Close()
	faults := streams.CheckRedis(ctx, clients.Write)
	if !slices.ContainsFunc(faults, func(f streams.RedisFault) bool { return f.Code == "unreachable" || f.Code == "password" }) {
		faults = append(faults, streams.ProbeCommands(ctx, clients.Write, "ls")...)
	}
	if len(faults) == 0 {
		return []Finding{{What: "redis", State: stateOK, Detail: c.say("answers, and may be trusted with leads", "отвечает, и ему можно доверить заявки")}}
	}
	var found []Finding
	for _, f := range faults {
		state := stateWarning
		if f.Fatal {
			state = stateFault
		}
		found = append(found, Finding{"redis", state, c.redisProblem(f), f.Cure})
	}
	return found
}

// redisProblem is the fault in the operator's language; what only Redis can word stays as it is.
func (c *checker) redisProblem(f streams.RedisFault) string {
	ru, ok := map[string]string{
		"unreachable": "Redis не отвечает",
		"password":    "Redis не принимает имя или пароль",
		"info":        "Redis не разрешает этому пользователю INFO",
		"version":     "слишком старый Redis, нужен 7.0 или новее",
		"replica":     "это реплика, она не принимает запись",
		"cluster":     "это узел кластера: пишите redis+cluster:// вместо redis://",
		"eviction":    "maxmemory-policy не noeviction: при нехватке памяти Redis выбросит очереди целиком",
		"disk":        "Redis не может писать на свой диск и может отказывать в записи",
		"appendonly":  "appendonly выключен: после перезапуска Redis забудет всё, заявки вернёт журнал",
		"config":      "CONFIG GET не разрешён, поэтому appendfsync неизвестен; слово держит журнал",
		"appendfsync": "appendfsync не always: отключение питания теряет последние мгновения Redis, заявки вернёт журнал",
		"rewrite":     "no-appendfsync-on-rewrite равно yes: отключение питания во время перезаписи теряет последние мгновения, заявки вернёт журнал",
	}[f.Code]
	if c.lang == "ru" && ok {
		return ru
	}
	return f.Problem
}

// embedded looks for the server's binary; the daemon starts it.
func (c *checker) embedded(ctx context.Context) Finding {
	cure := c.say("apt-get install redis-server, or set redis: to the URL of your own", "apt-get install redis-server, или укажите в redis: адрес своего")
	path, err := exec.LookPath(c.cfg.Redis.Server)
	if err != nil {
		return Finding{"redis", stateFault, err.Error(), cure}
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return Finding{"redis", stateFault, fmt.Sprintf("%s --version: %v", path, err), cure}
	}
	_, rest, _ := strings.Cut(string(out), "v=")
	number, _, _ := strings.Cut(rest, " ")
	if major, _, _ := strings.Cut(number, "."); len(major) == 1 && major < "7" {
		return Finding{"redis", stateFault, c.say("%s is version %s", "%s — версия %s", path, number), c.say("install 7.0 or newer", "поставьте 7.0 или новее")}
	}
	return Finding{What: "redis", State: stateOK, Detail: c.say("embedded: %s %s", "встроенный: %s %s", path, number)}
}

func (c *checker) sink(ctx context.Context, name string) Finding {
	s := c.cfg.Sinks[name]
	what := "sinks." + name
	sink, err := kinds[s.Kind].Open(s.Settings, c.cfg.sinkEnv(name, zerolog.Nop()))
	if err == nil {
		err = within(ctx, sink.Check)
	}
	if err != nil {
		return Finding{what, stateFault, err.Error(), c.say("correct its block in config.yaml; leads wait meanwhile", "исправьте его блок в config.yaml; заявки пока ждут")}
	}
	return Finding{What: what, State: stateOK, Detail: s.Kind}
}

// answers asks the servers of a channel to customers.
func (c *checker) answers(ctx context.Context, name string) (all []Finding) {
	ch := c.cfg.Answers.Channels[name]
	for key, settings := range map[string]any{"answers.channels." + name: ch.Settings, "answers.channels." + name + ".backup": ch.Other} {
		if settings == nil {
			continue
		}
		carrier, err := talk.Kinds[ch.Kind].Open(settings, c.cfg.talkEnv(name, zerolog.Nop()))
		if err == nil {
			err = within(ctx, carrier.Check)
		}
		f := Finding{What: key, State: stateOK, Detail: ch.Kind}
		if err != nil {
			f = Finding{key, stateFault, err.Error(), c.say("correct its block in config.yaml; messages go by other channels or wait", "исправьте его блок в config.yaml; сообщения пойдут другими каналами или подождут")}
		}
		all = append(all, f)
	}
	return all
}

// mailbox logs in and looks, and changes nothing.
func (c *checker) mailbox(ctx context.Context, name string) Finding {
	what := "sources." + name
	look, err := (&mail.Mailbox{Settings: *c.cfg.Sources[name].Mail, Source: name}).Look(ctx)
	var f *mail.Fault
	switch {
	case errors.As(err, &f):
		return Finding{what, stateFault, f.Err.Error(), c.say(f.En, f.Ru)}
	case err != nil:
		return Finding{what, stateFault, err.Error(), c.say("correct its block in config.yaml", "исправьте его блок в config.yaml")}
	}
	return Finding{What: what, State: stateOK, Detail: c.say("mails: %d", "писем: %d", look.Messages)}
}

// sinkEnv is what a sink is opened with.
func (c *Config) sinkEnv(name string, log zerolog.Logger) sinks.Env {
	return sinks.Env{Name: name, Instance: c.Instance, Language: c.Language, Zone: c.Zone(), Region: c.Region,
		DataDir: c.DataDir, Timeout: c.Sinks[name].Timeout, Version: version(), Log: log}
}
