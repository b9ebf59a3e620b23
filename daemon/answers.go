package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/processors/messenger"
	"leadstream/processors/policy"
	"leadstream/processors/slots"
	"leadstream/processors/templates"
	"leadstream/processors/unanswered"
	"leadstream/sinks"
	"leadstream/sinks/records"
	"leadstream/sinks/talk"
	"leadstream/streams"
	"leadstream/streams/outbound"
	"leadstream/streams/visits"
)

// Answers are what customers are told, and by which channels.
type Answers struct {
	Channels   map[string]AnswerChannel `koanf:"channels"`    // none: nobody is written to
	Dialogue   bool                     `koanf:"dialogue"`    // enquiries are answered
	Deadline   time.Duration            `koanf:"deadline"`    // what could not be answered for so long is left to a person
	CheckEvery time.Duration            `koanf:"check_every"` // of each channel's server (F-09)
	Unanswered unanswered.Settings      `koanf:"unanswered"`  // hot enquiries that nobody answers
	Policy     policy.Settings          `koanf:"policy"`
	Texts      templates.Settings       `koanf:"texts"`
}

// AnswerChannel is one way to customers. Keys that are none of these belong to its kind.
type AnswerChannel struct {
	Kind        string          `koanf:"kind"`
	Rate        streams.Rate    `koanf:"rate"`
	Concurrency int             `koanf:"concurrency"`
	Breaker     streams.Breaker `koanf:"breaker"`
	Timeout     time.Duration   `koanf:"timeout"` // of one call

	FallbackAfter time.Duration                 `koanf:"fallback_after"` // what has not got as far as success by then goes by the next channel
	Success       string                        `koanf:"success"`        // accepted, sent, delivered or read
	Cost          float64                       `koanf:"cost"`           // of a message: the cheaper channel first
	Purposes      []string                      `koanf:"purposes"`       // answer, notice, reminder, promotion; empty: all
	Templates     map[string]messenger.Approved `koanf:"templates"`      // the service's own, by ours: "confirmed.ru"
	Backup        map[string]any                `koanf:"backup"`         // keys of the kind that are different for the backup server

	Rest     map[string]any `koanf:",remain"`
	Settings any            `koanf:"-"` // Rest, decoded
	Other    any            `koanf:"-"` // and with Backup; nil: there is none
}

func defaultAnswers() Answers {
	return Answers{Dialogue: true, Deadline: time.Hour, CheckEvery: messenger.CheckEvery, Unanswered: unanswered.Defaults(), Policy: policy.Defaults()}
}

// decodeAnswers decodes one channel's block: the messenger's keys, then its kind's.
func (l *loader) decodeAnswers(block any, path string) AnswerChannel {
	written, _ := block.(map[string]any)
	name, _ := written["kind"].(string)
	kind, ok := talk.Kinds[name]
	if !ok {
		key, problem := path+".kind", l.say("unknown kind %q", "неизвестный kind %q", name)
		if name == "" {
			key, problem = path, l.say("the channel has no kind", "у канала нет kind")
		}
		l.fault(key, problem, l.cureUnknown(name, keysOf(talk.Kinds)))
		return AnswerChannel{}
	}
	c := AnswerChannel{Rate: kind.Rate, Concurrency: 8, Timeout: cmp.Or(kind.Timeout, 30*time.Second), FallbackAfter: 10 * time.Minute, Success: string(usualSuccess(kind)), Cost: usualCosts[kind.Channel],
		Breaker: streams.Breaker{Failures: 5, Of: 5, Delay: 5 * time.Second, MaxDelay: 300 * time.Second}}
	l.into(block, &c, path)
	c.Settings = kind.Settings()
	l.into(c.Rest, c.Settings, path)
	if c.Backup != nil {
		c.Other = kind.Settings()
		both := maps.Clone(c.Rest)
		if both == nil {
			both = map[string]any{}
		}
		maps.Copy(both, c.Backup)
		l.into(both, c.Other, path+".backup")
	}
	return c
}

// usualCosts put what is paid for behind what is not, and a person's time behind everything.
var usualCosts = map[string]float64{"sms": 4, "call": 100}

// usualSuccess is as far as a message must get when the config does not say: to the customer's device, where the service tells of
// each that has.
func usualSuccess(k talk.Kind) outbound.StepState {
	if k.Sure {
		return outbound.Delivered
	}
	return outbound.Accepted
}

// answers finds what cannot work in the block.
func (l *loader) answers(c *Config) {
	a := c.Answers
	for _, name := range slices.Sorted(maps.Keys(a.Channels)) {
		l.answerChannel(c, name)
	}
	if len(a.Channels) > 0 && c.Records.URL == records.Off {
		l.fault("answers.channels", l.say("customers are written to by what stands in the records, which are off", "клиентам пишут по записям, а они выключены"),
			l.say("write records: {url: embedded}", "напишите records: {url: embedded}"))
	}
	for key, d := range map[string]time.Duration{"answers.deadline": a.Deadline, "answers.check_every": a.CheckEvery} {
		if d < time.Minute {
			l.fault(key, l.say("is %s", "равно %s", d), l.say("write 1m or more", "напишите не меньше 1m"))
		}
	}
	l.partFaults("answers.policy.", a.Policy.Faults())
	l.partFaults("", a.Unanswered.Fault())
	if _, err := templates.Load(a.Texts, c.Zone()); err != nil {
		l.fault("answers.texts", err.Error(), l.say("see `leadstream template test`", "см. `leadstream template test`"))
	}
}

func (l *loader) answerChannel(c *Config, name string) {
	ch, path := c.Answers.Channels[name], "answers.channels."+name
	kind, ok := talk.Kinds[ch.Kind]
	if !ok {
		return // said already
	}
	known := []string{string(outbound.Accepted), string(outbound.Sent), string(outbound.Delivered), string(outbound.Read)}
	l.oneOf(path+".success", ch.Success, known...)
	if slices.Index(known, ch.Success) > max(slices.Index(known, string(kind.Tells)), 0) {
		l.fault(path+".success", l.say("%s never says that a message was %s", "%s никогда не сообщает %s", ch.Kind, ch.Success), l.say("write %s", "напишите %s", usualSuccess(kind)))
	}
	for _, p := range ch.Purposes {
		l.oneOf(path+".purposes", p, "answer", "notice", "reminder", "promotion")
	}
	l.atLeast(path+".concurrency", ch.Concurrency, 1)
	l.atLeast(path+".breaker.failures", int(ch.Breaker.Failures), 1)
	if ch.Timeout <= 0 || ch.Timeout > 5*time.Minute {
		l.fault(path+".timeout", l.say("is %s", "равно %s", ch.Timeout), l.say("write 1s to 5m", "напишите от 1s до 5m"))
	}
	if ch.FallbackAfter < time.Second {
		l.fault(path+".fallback_after", l.say("is %s", "равно %s", ch.FallbackAfter), l.say("write 1s or more", "напишите не меньше 1s"))
	}
	if slices.ContainsFunc(l.faults, func(f Fault) bool { return !f.Warning && strings.HasPrefix(f.Key, path) }) {
		return
	}
	for key, settings := range map[string]any{path: ch.Settings, path + ".backup": ch.Other} {
		if settings == nil {
			continue
		}
		if _, err := kind.Open(settings, c.talkEnv(name, zerolog.Nop())); err != nil {
			l.fault(key, err.Error(), l.say("see the block of kind %s in config.yaml", "см. блок kind %s в config.yaml", ch.Kind))
		}
	}
}

func (c *Config) talkEnv(name string, log zerolog.Logger) sinks.Env {
	return sinks.Env{Name: name, Language: c.Language, Zone: c.Zone(), Region: c.Region, DataDir: c.DataDir, Timeout: c.Answers.Channels[name].Timeout,
		Version: version(), Log: log.With().Str("channel", name).Logger()}
}

// newMessenger is what writes to customers; nil: nobody is written to.
func newMessenger(cfg *Config, store *records.Store, visiting visits.Calendar, clients *streams.Clients, custody *streams.Custody, reg prometheus.Registerer, log zerolog.Logger) (*messenger.Messenger, error) {
	a := cfg.Answers
	if len(a.Channels) == 0 || store == nil {
		return nil, nil
	}
	texts, err := templates.Load(a.Texts, cfg.Zone())
	if err != nil {
		return nil, fmt.Errorf("answers.texts: %w", err)
	}
	m := &messenger.Messenger{Store: store, Texts: texts, Policy: a.Policy, Unknown: records.ErrUnknown, Language: cfg.Language, Zone: cfg.Zone(),
		Answer: a.Deadline, Log: log, Tell: func(ctx context.Context, l *streams.Lead) error {
			_, err := custody.TakeAll(ctx, []streams.Taken{{Lead: l, Key: l.Key, Canonical: []byte(l.Key)}})
			return err
		}}
	services := cfg.priced()
	m.Worth = func(l *streams.Lead) int { return unanswered.Worth(l, services) }
	for _, items := range [][]slots.Item{cfg.Triage.Services, cfg.Triage.Branches} {
		for _, item := range items {
			m.Names = append(m.Names, item.Name)
		}
	}
	if a.Dialogue {
		sms := slices.ContainsFunc(slices.Collect(maps.Values(a.Channels)), func(c AnswerChannel) bool { return talk.Kinds[c.Kind].Channel == "sms" })
		if m.Talk, err = newDialogue(cfg, visiting, a.Texts.Business, sms, reg, log); err != nil {
			return nil, fmt.Errorf("lookups: %w", err)
		}
	}
	var faults []error
	if m.Metrics, err = messenger.NewMetrics(reg); err != nil {
		faults = append(faults, err)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Channels)) {
		ch, err := a.Channels[name].open(cfg, name, clients, log)
		if err != nil {
			faults = append(faults, fmt.Errorf("answers.channels.%s: %w", name, err))
			continue
		}
		m.Channels = append(m.Channels, ch)
	}
	m.Init()
	return m, errors.Join(faults...)
}

func (c AnswerChannel) open(cfg *Config, name string, clients *streams.Clients, log zerolog.Logger) (*messenger.Channel, error) {
	kind := talk.Kinds[c.Kind]
	server := func(settings any, guard string) (*messenger.Server, error) {
		carrier, err := kind.Open(settings, cfg.talkEnv(name, log))
		if err != nil {
			return nil, err
		}
		return &messenger.Server{Carrier: carrier, Guard: streams.NewDestination(streams.DestinationConfig{Name: guard, Concurrency: c.Concurrency, Rate: c.Rate,
			Breaker: c.Breaker}, clients, "ls", time.Now)}, nil
	}
	ch := &messenger.Channel{Name: name, Leads: kind.Channel, Address: string(kind.Address), Pair: kind.Pair, Window: kind.Window, First: kind.First,
		Keyed: kind.Keyed, Short: kind.Short, ByPhone: kind.ByPhone, Template: kind.Approved, Later: kind.Later, Sure: kind.Sure, Success: outbound.StepState(c.Success), Fallback: c.FallbackAfter, Cost: c.Cost, Approved: c.Templates, Timeout: c.Timeout}
	for _, p := range c.Purposes {
		ch.Purposes = append(ch.Purposes, outbound.Purpose(p))
	}
	var err error
	if ch.Main, err = server(c.Settings, "channel:"+name); err != nil {
		return nil, err
	}
	if c.Other != nil {
		ch.Backup, err = server(c.Other, "channel:"+name+":backup")
	}
	return ch, err
}

// hearing is a worker's handler of the history: what is written there the messenger hears as well.
func hearing(m *messenger.Messenger, history streams.HandlerFunc) streams.HandlerFunc {
	return func(ctx context.Context, batch []*streams.Entry) []streams.Verdict {
		verdicts := history(ctx, batch)
		var letters []messenger.Letter
		var at []int
		for i := range verdicts {
			if card := records.CardNumber(verdicts[i].Remote); verdicts[i].Result == streams.Done && card != 0 {
				letters, at = append(letters, messenger.Letter{Lead: batch[i].Lead, Card: card}), append(at, i)
			}
		}
		for k, err := range m.Hear(ctx, letters) {
			if err != nil {
				verdicts[at[k]] = streams.Verdict{Result: streams.Wait, After: time.Second, Err: err}
			}
		}
		return verdicts
	}
}
