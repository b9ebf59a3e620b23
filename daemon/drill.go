package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"leadstream/daemon/drill"
	"leadstream/daemon/proof"
	"leadstream/streams"
)

// drillCmd is the load test before a campaign: the real daemon, with the user's own config, between simulators.
type drillCmd struct {
	Peak    string        `placeholder:"200/h" help:"The most leads you expect: 200/h, 10/m; default: learnt from the journal.|Сколько заявок ждёте самое большее: 200/h, 10/m; по умолчанию узнаётся из журнала."`
	Quick   bool          `help:"A first try of about a minute: short phases, three faults.|Первая проба на минуту: короткие этапы, три сбоя."`
	For     time.Duration `default:"60s" help:"How long each load lasts.|Сколько длится каждая нагрузка."`
	Broken  time.Duration `default:"20s" help:"How long each fault lasts.|Сколько длится каждый сбой."`
	Faults  string        `default:"all" help:"all, none, or some of crm-down,crm-slow,crm-429,crm-500,crm-lost,channel-down,channel-slow,channel-429,channel-lost,channel-undelivered,redis-killed,redis-full,daemon-killed.|all, none или часть из crm-down,crm-slow,crm-429,crm-500,crm-lost,channel-down,channel-slow,channel-429,channel-lost,channel-undelivered,redis-killed,redis-full,daemon-killed."`
	Latency time.Duration `name:"crm-latency" default:"300ms" help:"How long the simulated CRM takes for a call.|Сколько учебная CRM думает над вызовом."`
	Source  string        `help:"Whose leads are played; default: those of all sources, as the journal has them.|Чьи заявки играть; по умолчанию — всех источников, как в журнале."`
	Target  bool          `help:"Drill the running daemon of --config instead of a private one; refused unless all its sinks prove to be simulators.|Проверить работающий демон из --config вместо своего; отказ, если не все его приёмники учебные."`
	Key     string        `env:"LEADSTREAM_KEY" help:"With --target: the source's key.|С --target: ключ источника."`
	HTML    string        `name:"html" default:"drill.html" help:"Where the report's page goes; empty: nowhere.|Куда положить страницу отчёта; пусто: никуда."`
	JSON    bool          `help:"Print the report as JSON.|Вывести отчёт в JSON."`
	Dir     string        `placeholder:"DIR" help:"A folder for its data; default: beside data_dir, so that the disk is the same.|Папка для данных; по умолчанию рядом с data_dir, чтобы диск был тот же."`
	Keep    bool          `help:"Keep its log and data.|Сохранить его журнал и данные."`

	binary   string            // the daemon; empty: this program
	sabotage func(*simulators) // a test's own fault of the far sides
}

// leastLeads is how many leads the phase at 1x has at least: fewer say nothing. Many more than a CRM takes at once
// would show its limit and not the owner's peak.
const (
	leastLeads = 12
	quickLeast = leastLeads / 2
	learnLeads = leastLeads // of the journal
)

func (cmd drillCmd) Run(t *terminal) (err error) {
	choice, err := cmd.choice(t)
	if err != nil {
		return err
	}
	d := &drillRun{terminal: t, cmd: cmd, requests: map[string][]int{}}
	defer func() { err = errors.Join(err, d.Close()) }()
	prepare := d.prepare
	if cmd.Target {
		prepare = d.aim
	}
	if err := prepare(); err != nil {
		return err
	}
	peak, err := cmd.peak(t, d.asWritten)
	if err != nil {
		return err
	}
	d.choose(peak, choice)
	d.announce()
	if err := d.start(); err != nil {
		return err
	}
	stopped := d.playAll()
	report, err := d.report(stopped)
	if err != nil {
		return err
	}
	return d.publish(report)
}

// choice reads the command line.
func (cmd *drillCmd) choice(t *terminal) (drill.Choice, error) {
	wrong := func(en, ru string, a ...any) error { return usageError{errors.New(t.say(en, ru, a...))} }
	least := leastLeads
	faults, err := drill.ParseFaults(cmd.Faults)
	if err != nil {
		return drill.Choice{}, wrong("--faults: there is no %v; see leadstream drill --help", "--faults: нет %v; см. leadstream drill --help", err)
	}
	if cmd.Quick {
		least = quickLeast
		cmd.For, cmd.Broken = min(cmd.For, 5*time.Second), min(cmd.Broken, 4*time.Second)
		if cmd.Faults == "all" {
			faults = []drill.Fault{drill.CRMDown, drill.ChannelBusy, drill.RedisKilled, drill.DaemonKilled}
		}
	}
	if cmd.For < time.Second || cmd.Broken < time.Second || cmd.For > time.Hour || cmd.Broken > time.Hour || cmd.Latency < 0 {
		return drill.Choice{}, wrong("--for and --broken are 1s to 1h", "--for и --broken — от 1s до 1h")
	}
	return drill.Choice{Load: cmd.For, Broken: cmd.Broken, Least: least, Faults: faults}, nil
}

// peak is what was said, or what the journal has seen.
func (cmd drillCmd) peak(t *terminal, cfg *Config) (drill.Peak, error) {
	if cmd.Peak != "" {
		perHour, err := drill.ParsePeak(cmd.Peak)
		if err != nil {
			return drill.Peak{}, usageError{errors.New(t.say("--peak: %v is no rate; write 200/h or 10/m", "--peak: %v — не скорость; напишите 200/h или 10/m", err))}
		}
		return drill.NewPeak(perHour), nil
	}
	came, err := streams.Arrivals(cfg.inData("journal"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return drill.Peak{}, usageError{fmt.Errorf("%w; %s", err, t.say("name the peak: --peak 200/h", "задайте пик: --peak 200/h"))}
	}
	leads := make([]drill.Arrival, len(came))
	for i, a := range came {
		leads[i] = drill.Arrival(a)
	}
	if len(leads) >= learnLeads {
		return drill.Learn(leads)
	}
	if cmd.Quick {
		guess := drill.NewPeak(quickPeak)
		guess.Guessed = true
		return guess, nil
	}
	return drill.Peak{}, usageError{errors.New(t.say("the journal has too few leads (%d) to learn a peak from; name it: --peak 200/h", "в журнале слишком мало заявок (%d), чтобы узнать пик; задайте его: --peak 200/h", len(leads)))}
}

// quickPeak is what a first try plays when nothing is known: leads an hour.
const quickPeak = 100

// drillRun is a drill under way.
type drillRun struct {
	*terminal
	cmd       drillCmd
	asWritten *Config // the user's
	cfg       *Config // the drill's
	setup     drillSetup
	sims      *simulators
	world     *proof.World
	ledger    *proof.Ledger
	sources   []string // whose leads are played
	spread    *drill.Spread
	plan      drill.Plan
	patience  time.Duration // how long what is left may take after a phase
	whole     bool          // patience covers every wait that the config asks for

	began    time.Time
	runs     []drill.Run
	requests map[string][]int // of each phase, by sink
	dir      string           // of its data, to be removed; empty: there is none
}

// quickFarSide stands for far_limit in a quick drill: the simulated portal ends every call within a second.
const quickFarSide = 3 * time.Second

// shortenTo is what the longest wait of the built-in alert rules becomes a part of: a fault's length.
const shortenTo = 3 * time.Minute

// prepare makes the world: simulators, a folder, and the config in which nothing leads outside.
func (d *drillRun) prepare() (err error) {
	if d.asWritten, _, err = Load(d.config); err != nil {
		return usageError{fmt.Errorf("%w; %s", err, d.say("name it with --config", "укажите его ключом --config"))}
	}
	if d.sims, err = newSimulators(); err != nil {
		return err
	}
	if err := d.folder(); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	exe = cmp.Or(d.cmd.binary, exe)
	set := proof.Setup{Binary: exe, DataDir: filepath.Join(d.dir, "data"), Phone: d.sims.phone}
	if path, err := exec.LookPath("setsid"); err == nil {
		set.Args = []string{path} // Ctrl-C at the terminal is for the drill, which then asks the daemon how things stand
	}
	if d.world, err = proof.NewWorld(set); err != nil {
		return err
	}
	d.setup = drillSetup{Dir: d.world.Dir, Data: d.world.Data, Listen: d.world.Address, Socket: "leadstream.sock",
		Shorten: max(1, shortenTo.Seconds()/d.cmd.Broken.Seconds())}
	if d.cmd.Quick {
		d.setup.FarSide = quickFarSide
	}
	if d.cfg, _, err = d.drillConfig(&d.setup, d.sims); err != nil {
		return err
	}
	return d.sims.fault
}

// folder is made on the disk that the user's daemon writes to, or where its sockets' paths would be too long, elsewhere.
func (d *drillRun) folder() (err error) {
	const longest = 60 // a unix socket's path has 107 bytes
	at := d.cmd.Dir
	if at == "" {
		at = existing(d.asWritten.DataDir)
		if len(at) > longest || writable(at) != nil {
			at = os.TempDir()
		}
	}
	if d.dir, err = os.MkdirTemp(at, ".drill-"); err != nil {
		return usageError{fmt.Errorf("%w; %s", err, d.say("name a folder with --dir", "укажите папку ключом --dir"))}
	}
	if d.dir, err = filepath.Abs(d.dir); err != nil {
		return err
	}
	if d.dir, err = filepath.EvalSymlinks(d.dir); err != nil {
		return err
	}
	if len(d.dir) > longest+20 {
		return usageError{errors.New(d.say("%s is too long a path: name a shorter one with --dir", "%s — слишком длинный путь: укажите короче ключом --dir", d.dir))}
	}
	return nil
}

// choose settles whose leads are played, and lays out the plan.
func (d *drillRun) choose(peak drill.Peak, c drill.Choice) {
	if d.sources = slices.Sorted(maps.Keys(d.cfg.Sources)); d.cmd.Target {
		d.sources = slices.Sorted(maps.Keys(d.setup.Keys))
	}
	slices.SortStableFunc(d.sources, func(a, b string) int { return cmp.Compare(peak.Shares[b], peak.Shares[a]) })
	if d.cmd.Source != "" {
		d.sources = []string{d.cmd.Source}
	}
	d.spread = drill.NewSpread(d.sources, peak.Shares)
	if len(d.sims.portals)+len(d.sims.hooks) == 0 { // no CRM, no faults of it
		c.Faults = slices.DeleteFunc(slices.Clone(c.Faults), drill.Fault.OfCRM)
	}
	c.Faults = slices.DeleteFunc(slices.Clone(c.Faults), func(f drill.Fault) bool {
		of := func(has func(talks) bool) bool {
			return slices.ContainsFunc(slices.Collect(maps.Values(d.sims.talks)), has)
		}
		return f == drill.ChannelMute && !of(func(t talks) bool { return t.mute != nil }) || f.OfChannel() && !of(func(t talks) bool { return t.sends != "" })
	})
	if d.cmd.Target { // what is not ours is not killed
		c.Faults = slices.DeleteFunc(slices.Clone(c.Faults), func(f drill.Fault) bool { return !f.OfCRM() })
	}
	d.plan = drill.NewPlan(peak, c)
	d.patience, d.whole = d.longestWait()
}

// mostPatience bounds the wait after a phase: nobody sits through the hours that a mail's retries may take.
const mostPatience = 4 * time.Minute

// longestWait is how long a lead may rightly wait after the last fault: for its retries, the breaker, the moment from
// which an unknown outcome can be looked up.
func (d *drillRun) longestWait() (time.Duration, bool) {
	longest := 10 * time.Second
	for name, s := range d.cfg.Sinks {
		if s.Kind == recordsKind {
			continue // waits for nobody
		}
		wait := 20*time.Second + min(s.Breaker.MaxDelay, max(s.Breaker.Delay, 2*d.cmd.Broken))
		for n := 1; n < s.Retry.Attempts; n++ {
			if wait += time.Duration(float64(s.Retry.Delay(n, 0)) * (1 + s.Retry.Jitter)); wait > mostPatience {
				break
			}
		}
		wait += farSide(s)
		if kinds[s.Kind].Human && !slices.Contains(d.cfg.Tagging.Sinks, name) {
			continue // gets no leads
		}
		longest = max(longest, wait)
	}
	return min(longest, mostPatience), longest <= mostPatience
}

// unsureTime is how long the messenger waits for news of a message that may have been sent.
const unsureTime = 2 * time.Minute

// announce says what will be played and how long it takes.
func (d *drillRun) announce() {
	l := drill.Words(d.lang)
	fmt.Fprintln(d.err, d.say("Drill: %d phases, about %d invented leads by %s; nothing leaves this machine.", "Учения: этапов %d, около %d придуманных заявок, источники: %s; наружу ничего не уходит.", len(d.plan.Phases), d.plan.Leads(), strings.Join(d.sources, ", ")))
	for _, p := range d.plan.Phases {
		fmt.Fprintln(d.err, d.say("  %-28s %3d leads in %s", "  %-28s заявок: %3d за %s", l.Name(p), p.Leads, l.Span(drill.Span(p.Length))))
	}
	usual := d.plan.Length() + 5*time.Second
	for _, p := range d.plan.Phases {
		usual += 3 * time.Second
		if p.Fault == drill.CRMSilent || p.Fault == drill.DaemonKilled { // outcomes are looked up when they surely can be
			usual += d.lookup()
		}
		if p.Fault == drill.ChannelDown || p.Fault == drill.ChannelSilent { // what may have been sent is waited for
			usual += unsureTime
		}
	}
	fmt.Fprintln(d.err, d.say("It takes about %s, at most %s; Ctrl-C ends it with a report of what was done.", "Займёт около %s, самое большее %s; Ctrl-C закончит отчётом о сделанном.",
		l.Span(drill.Span(usual)), l.Span(drill.Span(d.plan.Length()+time.Duration(len(d.plan.Phases))*d.patience))))
}

// start runs the daemon and waits until it takes leads.
func (d *drillRun) start() error {
	d.calm()
	if d.cmd.sabotage != nil {
		d.cmd.sabotage(d.sims)
	}
	for _, name := range d.sources {
		if d.setup.Keys[name] == "" && d.sims.carriers[name] == nil {
			return usageError{errors.New(d.say("--source: there is no source %q", "--source: нет источника %q", name))}
		}
	}
	d.ledger = proof.NewLedger(d.world)
	d.began = time.Now()
	if d.cmd.Target {
		d.ledger.First = rand.Int64N(9_900_000) // its phones, of seven digits, and its keys are no earlier drill's
		return nil
	}
	if err := d.world.Start(d); err != nil {
		return fmt.Errorf("%s: %w", d.say("the drilled daemon does not come up", "проверяемый демон не запускается"), err)
	}
	if err := d.connectAll(d); err != nil {
		return err
	}
	d.began = time.Now()
	return nil
}

// Close ends everything and removes what the drill has written, unless it is to be kept.
func (d *drillRun) Close() error {
	var err error
	if d.world != nil {
		if d.cmd.Keep && d.dir != "" {
			if log, e := d.world.Log(); e == nil {
				err = os.WriteFile(filepath.Join(d.dir, "log"), log, 0o600)
			}
			fmt.Fprintln(d.err, d.say("Its log and data: %s", "Его журнал и данные: %s", d.dir))
		}
		err = errors.Join(err, d.world.Close())
	}
	if d.sims != nil {
		err = errors.Join(err, d.sims.Close())
	}
	if d.dir != "" && !d.cmd.Keep {
		err = errors.Join(err, os.RemoveAll(d.dir))
	}
	return err
}

// publish writes the report where it was asked for, and fails the command when the promise was not kept.
func (d *drillRun) publish(r *drill.Report) error {
	var err error
	if d.cmd.JSON {
		err = d.json(r)
	} else {
		var b strings.Builder
		_ = r.Text(&b) // into memory
		_, err = fmt.Fprint(d.out, plain(b.String()))
	}
	if d.cmd.HTML != "" { // last: what cannot be written there is not lost
		f, e := os.Create(d.cmd.HTML)
		if e == nil {
			e = errors.Join(r.HTML(f), f.Close())
		}
		if err = errors.Join(err, e); err == nil {
			fmt.Fprintln(d.err, d.say("The page to look at: %s", "Страница, чтобы посмотреть: %s", d.cmd.HTML))
		}
	}
	if err == nil && !r.OK {
		return quietError{exitFailed}
	}
	return err
}

// since is the time since the drill's start.
func (d *drillRun) since(at time.Time) drill.Span { return drill.Span(max(0, at.Sub(d.began))) }

// asking is a context for the questions at the end, which a Ctrl-C does not cut.
func (d *drillRun) asking(most time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(d.Context), most)
}
