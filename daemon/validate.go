package main

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"

	"leadstream/sinks"
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
	l.address("listen", c.Listen)
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
	for i, name := range c.Tell.Sinks {
		l.tellSink(c, name, i)
	}
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
	if strings.HasPrefix(value, "unix:/") {
		return
	}
	if _, _, err := net.SplitHostPort(value); err != nil {
		l.fault(key, l.say("%q is no address", "%q — не адрес", value), l.say("write host:port, like 127.0.0.1:8080", "напишите адрес:порт, например 127.0.0.1:8080"))
	}
}

// redis does not show the URL: it may hold a password.
func (l *loader) redis(r Redis) {
	if r.URL == Embedded {
		return
	}
	u, err := url.Parse(r.URL)
	if err != nil || !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) {
		l.fault("redis", l.say("neither `embedded` nor a Redis URL", "это не `embedded` и не адрес Redis"),
			l.say("write embedded, redis://host:6379/0, rediss://… or unix:///path", "пишите embedded, redis://адрес:6379/0, rediss://… или unix:///путь"))
	}
}

func (l *loader) sink(c *Config, name string) {
	s, path := c.Sinks[name], "sinks."+name
	kind, ok := kinds[s.Kind]
	if !ok {
		return // said already
	}
	l.atLeast(path+".retry.attempts", s.Retry.Attempts, 1)
	l.atLeast(path+".concurrency", s.Concurrency, 1)
	l.atLeast(path+".breaker.failures", s.Breaker.Failures, 1)
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
	if broken(l.faults) {
		return // its kind would only say again, in other words, what is said already
	}
	if _, err := kind.Open(s.Settings, sinks.Env{Name: name, Language: c.Language, Region: c.Region, Zone: time.UTC, DataDir: c.DataDir}); err != nil {
		l.fault(path, err.Error(), l.say("see the block of kind %s in config.yaml", "см. блок kind %s в config.yaml", s.Kind))
	}
}

func (l *loader) sinkName(c *Config, key, name, self string) {
	names := slices.DeleteFunc(keysOf(c.Sinks), func(n string) bool { return n == self })
	if !slices.Contains(names, name) {
		l.fault(key, l.say("there is no other sink %q", "нет другого приёмника %q", name), l.cureUnknown(name, names))
	}
}

func (l *loader) tellSink(c *Config, name string, _ int) {
	s, ok := c.Sinks[name]
	if !ok {
		l.sinkName(c, "tell.sinks", name, "")
		return
	}
	if kind, known := kinds[s.Kind]; known && !kind.Human {
		l.fault("tell.sinks", l.say("sink %q (%s) does not reach a person", "приёмник %q (%s) не достигает человека", name, s.Kind),
			l.say("name a telegram, sms or email sink", "назовите приёмник telegram, sms или email"))
	}
}
