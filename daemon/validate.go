package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"
	"github.com/rs/zerolog"

	"leadstream/processors"
	"leadstream/processors/monitor"
	"leadstream/processors/slots"
	"leadstream/streams"
)

// decodeSink decodes one sink's block: the engine's keys, then its kind's.
func (l *loader) decodeSink(block any, path string) Sink {
	s := sinkDefaults()
	written, _ := block.(map[string]any)
	name, _ := written["kind"].(string)
	kind, ok := kinds[name]
	if !ok {
		l.unknownKind(path, name)
		return s
	}
	if s.Retry = kind.Policy; s.Retry == (streams.Policy{}) {
		s.Retry = streams.CRMPolicy
	}
	s.Rate, s.OnAmbiguous = usualRates[name], cmp.Or(kind.OnAmbiguous, s.OnAmbiguous)
	l.into(block, &s, path)
	s.Settings = kind.Settings()
	l.into(s.Rest, s.Settings, path)
	return s
}

func (l *loader) unknownKind(path, name string) {
	if name == "" {
		l.fault(path, l.say("the sink has no kind", "у приёмника нет kind"), l.cureUnknown("", keysOf(kinds)))
		return
	}
	l.fault(path+".kind", l.say("unknown kind %q", "неизвестный kind %q", name), l.cureUnknown(name, keysOf(kinds)))
}

// validate finds the values that decode and yet cannot work.
func (l *loader) validate(c *Config) {
	l.oneOf("language", c.Language, "ru", "en")
	l.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	l.oneOf("log.format", c.Log.Format, "auto", "json", "console")
	if _, err := time.LoadLocation(c.TimeZone); err != nil || c.TimeZone == "" {
		l.fault("time_zone", l.say("unknown time zone %q", "неизвестный часовой пояс %q", c.TimeZone),
			l.say("write it like Asia/Krasnoyarsk (timedatectl list-timezones)", "пишите как Asia/Krasnoyarsk (timedatectl list-timezones)"))
	}
	if phonenumbers.GetCountryCodeForRegion(c.Region) == 0 {
		l.fault("region", l.say("unknown country %q", "неизвестная страна %q", c.Region), l.say("two capital letters, like RU", "две заглавные буквы, например RU"))
	}
	if len(c.Currency) != 3 || strings.ToUpper(c.Currency) != c.Currency {
		l.fault("currency", l.say("unknown currency %q", "неизвестная валюта %q", c.Currency), l.say("three capital letters, like RUB", "три заглавные буквы, например RUB"))
	}
	if c.Metrics.Listen != "" {
		l.address("metrics.listen", c.Metrics.Listen)
	}
	l.redis(c.Redis)
	l.atLeast("partitions", c.Partitions, 1)
	if c.Retention < 48*time.Hour {
		l.fault("retention", l.say("shorter than the 48 h for which a repeated request is known", "короче 48 ч, в течение которых узнаётся повторный запрос"),
			l.say("write 48h or more", "напишите 48h или больше"))
	}
	for _, name := range slices.Sorted(slices.Values(keysOf(c.Sinks))) {
		l.sink(c, name)
	}
	for _, name := range c.Tell.Sinks {
		l.tellSink(c, name)
	}
	l.media(c)
	l.links(c)
	l.triage(&c.Triage)
	l.calendar(c)
	l.answers(c)
	l.sequences(c)
	l.parts(c)
}

func (l *loader) media(c *Config) {
	m := c.Media
	if m.Keep < c.Retention {
		l.fault("media.keep", l.say("files would go before the leads that they came with (retention)", "файлы исчезали бы раньше своих заявок (retention)"), l.say("write at least %s", "напишите не меньше %s", c.Retention))
	}
	if m.MaxFile < 1<<20 {
		l.fault("media.max_file", l.say("is %d bytes", "равно %d байт", m.MaxFile), l.say("write 1048576 or more", "напишите 1048576 или больше"))
	}
	if m.Wait < 0 || m.Wait > 10*time.Minute {
		l.fault("media.wait", l.say("is %s", "равно %s", m.Wait), l.say("write 0s to 10m: a lead waits for its files as long", "напишите от 0s до 10m: столько заявка ждёт свои файлы"))
	}
	if m.GiveUp < m.Wait {
		l.fault("media.give_up", l.say("is shorter than media.wait", "короче media.wait"), l.say("write more, say 24h", "напишите больше, например 24h"))
	}
	l.atLeast("media.workers", m.Workers, 1)
}

func (l *loader) links(c *Config) {
	if c.Links.Keep < 24*time.Hour {
		l.fault("links.keep", l.say("is %s", "равно %s", c.Links.Keep), l.say("write 24h or more", "напишите не меньше 24h"))
	}
	u, err := url.Parse(c.Links.URL)
	if c.Links.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		l.fault("links.url", l.say("is no address of http or https", "не адрес http или https"), l.say("write https://your-host", "напишите https://ваш-домен"))
	}
}

func (l *loader) triage(c *Triage) {
	for key, items := range map[string][]slots.Item{"services": c.Services, "products": c.Products, "branches": c.Branches} {
		for i, item := range items {
			if strings.TrimSpace(item.Name) == "" {
				l.fault(fmt.Sprintf("triage.%s[%d]", key, i), l.say("it has no name", "нет названия"), l.say("write name: …", "напишите name: …"))
			}
		}
	}
	for _, fault := range c.Escalate.Check() {
		l.partFaults("triage.escalate.", fault)
	}
	if _, err := c.examples(); err != nil {
		l.fault("triage.examples", err.Error(), l.say("correct the file, or leave it out", "исправьте файл или уберите его"))
	}
}

// parts asks the parts of the daemon what is wrong with their own blocks.
func (l *loader) parts(c *Config) {
	for _, f := range c.Intake.Faults() {
		l.fault(intakeKey(f.Key), f.Problem, f.Cure)
	}
	l.sharedMailboxes(c)
	l.partFaults("", c.Triage.LLM.Faults())
	l.partFaults("", c.Lookups.Faults())
	l.atLeast("triage.learn.keep", c.Triage.Learn.Keep, 0)
	if c.Triage.Learn.KeepFor <= 0 {
		l.fault("triage.learn.keep_for", l.say("nothing would be kept", "ничего не хранилось бы"), l.say("write 30d, or keep: 0", "напишите 30d либо keep: 0"))
	}
	if len(c.Sources) == 0 {
		l.warn("sources", l.say("nobody can send", "некому присылать заявки"), l.say("add a source", "добавьте источник"))
	}
	if len(c.Sinks) == 0 || len(c.Sinks) == 1 && c.history() != "" {
		l.fault("sinks", l.say("leads would go nowhere", "заявкам некуда идти"), l.say("add a sink; the simplest is {kind: csv}", "добавьте приёмник; самый простой — {kind: csv}"))
		return
	}
	l.partFaults("tagging.", c.Tagging.ready(slices.Sorted(maps.Keys(c.Sinks)), c.Zone()).Compile())
	l.atLeast("tagging.customers", c.Tagging.Customers, 0)
	l.atLeast("tagging.hot_at", c.Tagging.HotAt, 1)
	if c.Tagging.Buffer <= 0 || c.Tagging.Buffer > time.Hour {
		l.fault("tagging.buffer", l.say("is %s", "равно %s", c.Tagging.Buffer), l.say("write 1s to 1h", "напишите от 1s до 1h"))
	}
	if len(c.Tell.Sinks) == 0 {
		l.warn("tell.sinks", l.say("nobody is told of leads that are late or dead", "никто не узнает о заявках, которые опоздали или не доставлены"),
			l.say("name a telegram, sms or email sink", "назовите приёмник telegram, sms или email"))
		return
	}
	if slices.ContainsFunc(c.Tell.Sinks, func(name string) bool { return !l.human(c, name) }) {
		return // said already
	}
	_, err := monitor.New(c.Alerts, monitor.Options{Notifiers: c.people(), Language: c.Language, Zone: c.Zone()})
	l.partFaults("", err)
}

// people stand in for the sinks that reach a person, by name: the alert settings are only read here, nothing is sent.
func (c *Config) people() map[string]processors.Notifier {
	people := map[string]processors.Notifier{}
	for name, s := range c.Sinks {
		if kinds[s.Kind].Human {
			people[name] = unsent{}
		}
	}
	return people
}

type unsent struct{}

func (unsent) Send(context.Context, processors.Message) error { return errors.ErrUnsupported }

// intakeKey is where a fault of the shim stands in config.yaml: some of its keys are the whole's.
func intakeKey(key string) string {
	top, _, _ := strings.Cut(key, ".")
	if slices.Contains([]string{"listen", "language", "region", "sources"}, top) {
		return strings.TrimSuffix(key, ".")
	}
	return "intake." + key
}

// partFaults takes processors.Faults out of a joined error.
func (l *loader) partFaults(prefix string, err error) {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range all.Unwrap() {
			l.partFaults(prefix, one)
		}
		return
	}
	var f processors.Fault
	switch {
	case errors.As(err, &f):
		l.fault(prefix+strings.Replace(f.Key, "default sinks", "sinks", 1), f.Problem, f.Cure)
	case err != nil:
		l.fault(strings.TrimSuffix(prefix, "."), err.Error(), l.say("see its comment in config.yaml", "см. пояснение в config.yaml"))
	}
}

func (l *loader) warn(key, problem, cure string) {
	if l.isUnread(key) {
		return
	}
	l.faults = append(l.faults, Fault{Key: key, Line: l.lineOf(key), Problem: problem, Cure: cure, Warning: true})
}

func (l *loader) oneOf(key, value string, known ...string) {
	if !slices.Contains(known, value) {
		l.fault(key, l.say("unknown value %q", "неизвестное значение %q", value), l.cureUnknown(value, known))
	}
}

func (l *loader) atLeast(key string, value, least int) {
	if value < least {
		l.fault(key, l.say("is %d", "равно %d", value), l.say("write %d or more", "напишите %d или больше", least))
	}
}

func (l *loader) address(key, value string) {
	if _, _, err := net.SplitHostPort(value); err != nil {
		l.fault(key, l.say("%q is no address", "%q — не адрес", value), l.say("write host:port, like 127.0.0.1:8080", "напишите адрес:порт, например 127.0.0.1:8080"))
	}
}

// redis does not show the URL: it may hold a password.
func (l *loader) redis(r Redis) {
	if r.URL == Embedded {
		return
	}
	clients, err := streams.OpenRedis(streams.RedisOptions{URL: r.URL})
	if err != nil {
		l.fault("redis", err.Error(), l.say("or write embedded", "или напишите embedded"))
		return
	}
	_ = clients.Close()
}

func (l *loader) sink(c *Config, name string) {
	s, path := c.Sinks[name], "sinks."+name
	if name == c.history() {
		path = "records"
	}
	kind, ok := kinds[s.Kind]
	if !ok {
		return // said already
	}
	l.atLeast(path+".retry.attempts", s.Retry.Attempts, 1)
	l.atLeast(path+".concurrency", s.Concurrency, 1)
	l.atLeast(path+".breaker.failures", int(s.Breaker.Failures), 1)
	l.atLeast(path+".breaker.of", int(s.Breaker.Of), int(s.Breaker.Failures))
	if s.Retry.Jitter < 0 || s.Retry.Jitter >= 1 {
		l.fault(path+".retry.jitter", l.say("is not a share", "не доля"), l.say("write 0 to 0.9; 0.2 is ±20 %%", "от 0 до 0.9; 0.2 — это ±20 %%"))
	}
	if s.Retry.Factor < 1 {
		l.fault(path+".retry.factor", l.say("the delay would shrink", "задержка уменьшалась бы"), l.say("write 1 or more", "напишите 1 или больше"))
	}
	if s.Rate.PerSecond < 0 || s.Rate.Burst < 0 || s.LateAfter < 0 || s.Timeout < 0 {
		l.fault(path, l.say("a negative rate or time", "отрицательная скорость или время"), l.say("write 0 or more", "напишите 0 или больше"))
	}
	l.oneOf(path+".on_ambiguous", s.OnAmbiguous, "hold", "retry", "drop")
	for _, other := range s.Failover {
		l.sinkName(c, path+".failover", other, name)
	}
	if slices.ContainsFunc(l.faults, func(f Fault) bool { return !f.Warning && strings.HasPrefix(f.Key, path) }) {
		return // its kind would only say again, in other words, what is said already
	}
	if _, err := kind.Open(s.Settings, c.sinkEnv(name, zerolog.Nop())); err != nil {
		l.fault(path, err.Error(), l.say("see the block of kind %s in config.yaml", "см. блок kind %s в config.yaml", s.Kind))
	}
}

func (l *loader) sinkName(c *Config, key, name, self string) {
	names := slices.DeleteFunc(keysOf(c.Sinks), func(n string) bool { return n == self })
	if !slices.Contains(names, name) {
		l.fault(key, l.say("there is no other sink %q", "нет другого приёмника %q", name), l.cureUnknown(name, names))
	}
}

func (l *loader) tellSink(c *Config, name string) {
	s, ok := c.Sinks[name]
	if !ok {
		l.sinkName(c, "tell.sinks", name, "")
		return
	}
	if _, known := kinds[s.Kind]; known && !l.human(c, name) {
		l.fault("tell.sinks", l.say("sink %q (%s) does not reach a person", "приёмник %q (%s) не достигает человека", name, s.Kind),
			l.say("name a telegram, sms or email sink", "назовите приёмник telegram, sms или email"))
	}
}

func (l *loader) human(c *Config, name string) bool { return kinds[c.Sinks[name].Kind].Human }
