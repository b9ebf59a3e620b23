package main

import (
	"path/filepath"
	"time"

	"leadstream/daemon/intake"
	"leadstream/daemon/links"
	"leadstream/processors"
	"leadstream/processors/customer"
	"leadstream/processors/learn"
	"leadstream/processors/llm"
	"leadstream/processors/lookup"
	"leadstream/processors/monitor"
	"leadstream/processors/sequences"
	"leadstream/processors/slots"
	"leadstream/sinks/calendar"
	"leadstream/sinks/records"
	"leadstream/streams"
	"leadstream/streams/media"
)

// Config is config.yaml. A new key is a field here, its default in Defaults, its entry in config.yaml, and, where not
// every value works, a line in validate.go.
type Config struct {
	Language string `koanf:"language"`  // of every text a person reads: ru or en
	Region   string `koanf:"region"`    // country of phone numbers written without one
	TimeZone string `koanf:"time_zone"` // the business's own
	Currency string `koanf:"currency"`
	DataDir  string `koanf:"data_dir"` // journal, embedded Redis, CSV files; relative to config.yaml
	Instance string `koanf:"instance"` // the beginning of this daemon's name, which is made once and kept in data_dir

	Log     Log     `koanf:"log"`
	Listen  string  `koanf:"listen"` // host:port of the public HTTP shim, or unix:/path
	Admin   Admin   `koanf:"admin"`
	Metrics Metrics `koanf:"metrics"`

	Redis      Redis         `koanf:"redis"`
	Partitions int           `koanf:"partitions"`
	Retention  time.Duration `koanf:"retention"` // journal segments whose leads all came to an end are kept this long

	Sources  map[string]intake.Source `koanf:"sources"`
	Intake   intake.Config            `koanf:"intake"` // its listen, region, language and sources are the keys above
	Links    links.Settings           `koanf:"links"`
	Media    media.Settings           `koanf:"media"`
	Triage   Triage                   `koanf:"triage"`
	Lookups  lookup.Settings          `koanf:"lookups"` // what customers' questions are looked up in
	Tagging  Tagging                  `koanf:"tagging"`
	Sinks    map[string]Sink          `koanf:"sinks"`
	Records  records.Settings         `koanf:"records"`
	Calendar calendar.Settings        `koanf:"calendar"`
	Answers  Answers                  `koanf:"answers"`

	Sequences []sequences.Sequence `koanf:"sequences"` // none begins by itself

	Tell   Tell             `koanf:"tell"`
	Alerts monitor.Settings `koanf:"alerts"`
}

// Triage is how leads are judged before they are routed.
type Triage struct {
	DedupeWindow time.Duration       `koanf:"dedupe_window"` // the same phone or e-mail within it is a repeat; 0: never
	Examples     []string            `koanf:"examples"`      // files of phrases, on top of the program's own or instead; relative to config.yaml
	Services     []slots.Item        `koanf:"services"`
	Products     []slots.Item        `koanf:"products"` // C-15
	Branches     []slots.Item        `koanf:"branches"`
	Escalate     processors.Escalate `koanf:"escalate"`
	Conversation time.Duration       `koanf:"conversation"` // what a customer of a messenger writes within it after the last word belongs together; 0: never
	LLM          llm.Settings        `koanf:"llm"`          // asked where the classifier is not sure; off by default
	Learn        learn.Settings      `koanf:"learn"`        // what is kept to learn from
}

// Tagging is how leads are marked and routed.
type Tagging struct {
	Level string            `koanf:"level"` // of a customer that has none; empty: "new customer" (G-18)
	Sinks []string          `koanf:"sinks"` // of a lead that no rule routes; empty: every sink that is no person's and no stand-in
	Rules []processors.Rule `koanf:"rules"`

	Emoji     map[string]float64   `koanf:"emoji"`     // emoji → how content the customer is, 0 to 1 (G-12)
	HotWords  processors.HotWords  `koanf:"hot_words"` // class → phrases, besides the shipped ones (G-15)
	Segments  []processors.Segment `koanf:"segments"`  // before the shipped ones (G-17)
	Events    []string             `koanf:"events"`    // sinks that hear of every change of a segment
	Buffer    time.Duration        `koanf:"buffer"`    // before what has not come is believed not to come
	HotAt     int                  `koanf:"hot_at"`    // score from which an enquiry is hot
	Customers int                  `koanf:"customers"` // most that are remembered in a partition; 0: none
}

// ready is the handler that it asks for.
func (t Tagging) ready(known []string, zone *time.Location) *processors.Tagging {
	return &processors.Tagging{Rules: t.Rules, Sinks: t.Sinks, Known: known, Level: t.Level, Emoji: t.Emoji, HotWords: t.HotWords,
		Segments: t.Segments, Events: t.Events, Buffer: t.Buffer, HotAt: t.HotAt, Zone: zone}
}

// Log says what is logged and how.
type Log struct {
	Level  string `koanf:"level"`  // debug, info, warn, error
	Format string `koanf:"format"` // auto (console on a terminal, else json), json, console
}

// Admin is where the operator's commands reach the running daemon.
type Admin struct {
	Socket string `koanf:"socket"` // relative to data_dir
}

// Metrics says who may read /metrics.
type Metrics struct {
	Listen string `koanf:"listen"` // host:port of its own; empty: beside the shim, on `listen`
}

// Embedded is the value of redis.url that means a private redis-server child in the data folder.
const Embedded = "embedded"

// Redis says which server the queues live on. In config.yaml it is `embedded`, a URL, or a block of these keys.
type Redis struct {
	URL       string `koanf:"url"`        // embedded, or as streams.RedisOptions has it
	Server    string `koanf:"server"`     // embedded: the redis-server binary
	MaxMemory string `koanf:"max_memory"` // embedded: as redis.conf writes it
}

// Sink is one destination: the engine's part of its block. Keys that are none of these belong to its kind.
type Sink struct {
	Kind string `koanf:"kind"`

	Retry       streams.Policy  `koanf:"retry"`       // default: its kind's
	Rate        streams.Rate    `koanf:"rate"`        // shared by all daemons on one Redis
	Concurrency int             `koanf:"concurrency"` // calls at one time
	Breaker     streams.Breaker `koanf:"breaker"`
	LateAfter   time.Duration   `koanf:"late_after"`   // an entry that waits longer is told to a person
	Failover    []string        `koanf:"failover"`     // sinks that take over what surely was not sent
	OnAmbiguous string          `koanf:"on_ambiguous"` // hold, retry or drop: of a blind sink, when it may have worked
	Replay      bool            `koanf:"replay"`       // dead letters of an outage are sent again by themselves after it
	Hot         bool            `koanf:"hot"`          // hot leads have a queue of their own, drained first
	Timeout     time.Duration   `koanf:"timeout"`      // of one call; 0: the kind's own

	Rest     map[string]any `koanf:",remain"` // the kind's own keys, as written
	Settings any            `koanf:"-"`       // Rest, decoded: what the kind's Open takes
}

// Tell says who hears of dead and late leads, and where they are written for manual handling.
type Tell struct {
	Sinks []string `koanf:"sinks"` // names of sinks that reach a person, tried in this order
	CSV   string   `koanf:"csv"`   // relative to data_dir
}

// Destination is what the engine needs of the sink's block.
func (s Sink) Destination(name string) streams.DestinationConfig {
	return streams.DestinationConfig{Name: name, Concurrency: s.Concurrency, Batch: kinds[s.Kind].Batch, Rate: s.Rate, Breaker: s.Breaker}
}

// Defaults is the configuration of an empty config.yaml.
func Defaults() *Config {
	return &Config{
		Language: "ru", Region: "RU", TimeZone: "Europe/Moscow", Currency: "RUB",
		DataDir:    "data",
		Log:        Log{Level: "info", Format: "auto"},
		Listen:     "127.0.0.1:8080",
		Admin:      Admin{Socket: "leadstream.sock"},
		Redis:      Redis{URL: Embedded, Server: "redis-server", MaxMemory: "512mb"},
		Partitions: 1,
		Retention:  7 * 24 * time.Hour,
		Intake:     intake.Defaults(),
		Links:      links.Defaults(),
		Media:      media.Defaults(),
		Triage: Triage{DedupeWindow: processors.DedupeWindow, Conversation: processors.ConversationWindow,
			Escalate: processors.UsualEscalation(), LLM: llm.Defaults(), Learn: learn.Defaults()},
		Lookups:  lookup.Defaults(),
		Tagging:  Tagging{Buffer: processors.Buffer, HotAt: processors.HotScore, Customers: customer.Most},
		Records:  records.Defaults(),
		Calendar: calendar.Defaults(),
		Answers:  defaultAnswers(),
		Tell:     Tell{CSV: "manual.csv"},
		Alerts:   monitor.Defaults(),
	}
}

// Zone is the business's own time zone. Load has seen that it exists.
func (c *Config) Zone() *time.Location {
	zone, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// inData is a path below data_dir, unless it is absolute.
func (c *Config) inData(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.DataDir, path)
}

// sinkDefaults is what a sink's block starts from; its retry policy is its kind's.
func sinkDefaults() Sink {
	return Sink{
		Concurrency: 4,
		Breaker:     streams.Breaker{Failures: 5, Of: 5, Delay: 5 * time.Second, MaxDelay: 300 * time.Second},
		LateAfter:   10 * time.Minute,
		OnAmbiguous: "hold",
		Hot:         true,
	}
}
