package intake

import (
	"io"
	"slices"
	"strings"
	"time"

	"leadstream/daemon/channel"
	"leadstream/daemon/mail"
	"leadstream/streams"
)

// Keep stores a file, as media.Store.Add does.
type Keep func(streams.Media, io.Reader) (streams.Media, error)

// Config is the `intake` block of config.yaml.
type Config struct {
	Listen         string            `koanf:"listen"`          // address, loopback by default: TLS is a proxy's work
	Region         string            `koanf:"region"`          // country of phone numbers written without one
	Language       string            `koanf:"language"`        // of error messages and problems: ru or en
	Keep           Keep              `koanf:"-"`               // of mails; nil: their files are only named
	Zone           *time.Location    `koanf:"-"`               // of times that a sender writes without one; nil is UTC
	MaxBody        int64             `koanf:"max_body"`        // bytes of one body, after inflation too
	TrustedProxies []string          `koanf:"trusted_proxies"` // addresses or networks whose X-Forwarded-For is believed
	Sources        map[string]Source `koanf:"sources"`         // by name, as in /in/<name>

	Connections      int   `koanf:"connections"`        // open at once
	ConnectionsPerIP int   `koanf:"connections_per_ip"` // of one address that is no trusted proxy
	InFlightBytes    int64 `koanf:"in_flight_bytes"`    // of bodies being worked on; a quarter more is for strangers
	StrangerRate     Rate  `koanf:"stranger_rate"`      // of requests without a valid key, per address

	TakeTimeout       time.Duration `koanf:"take_timeout"` // how long the journal may take; the strictest sender waits 5 s
	ReadHeaderTimeout time.Duration `koanf:"read_header_timeout"`
	ReadTimeout       time.Duration `koanf:"read_timeout"`
	WriteTimeout      time.Duration `koanf:"write_timeout"`
	IdleTimeout       time.Duration `koanf:"idle_timeout"`
	MaxHeader         int           `koanf:"max_header"` // bytes
}

// Rate is a token bucket: so many a second, and so many at once.
type Rate struct {
	PerSecond float64 `koanf:"per_second"` // 0 is no limit
	Burst     int     `koanf:"burst"`
}

// Source is one sender: how it is known, what its fields mean, and what answer it understands.
type Source struct {
	Preset   string   `koanf:"preset"`   // generic, tilda, make, zapier, pabbly, widget, mail, or a messenger of package channel: defaults of what follows
	Keys     []string `koanf:"keys"`     // `sha256:` and 64 hex digits each, see KeyHash; several while a key is changed
	HMAC     *HMAC    `koanf:"hmac"`     // signature over the body, instead of or besides a key
	Public   bool     `koanf:"public"`   // a browser sends, which can keep no key: origins, limits and honeypot instead
	Origins  []string `koanf:"origins"`  // sites that may send from a browser, `https://example.test`, or `*`
	Channel  string   `koanf:"channel"`  // of its leads, say site
	Region   string   `koanf:"region"`   // instead of the whole's
	Language string   `koanf:"language"` // instead of the whole's
	MaxBody  int64    `koanf:"max_body"` // instead of the whole's

	// Of messengers and telephony (package channel):
	Secrets      []string `koanf:"secrets"`      // of its requests, as its own settings name them; several while one is changed
	Accounts     []string `koanf:"accounts"`     // our own there: group, page, number; empty: all that prove themselves
	App          string   `koanf:"app"`          // of Meta: the number of our app, which is no person that answers
	Verification string   `koanf:"verification"` // what the service shows, or expects, when it tries the address
	URL          string   `koanf:"url"`          // under which the service knows this address: it may sign it, and with a token we look whether it still sends there

	// Of services that are asked (packages poll and fetch):
	Poll         bool     `koanf:"poll"`      // ask for events; the service needs no way to us
	Token        string   `koanf:"token"`     // of our calls
	WABA         string   `koanf:"waba"`      // WhatsApp's business account, whose subscription is looked after
	ClientID     string   `koanf:"client_id"` // of an application that gets its tokens by itself
	ClientSecret string   `koanf:"client_secret"`
	BaseURL      string   `koanf:"base_url"` // instead of the service's own
	CAFile       string   `koanf:"ca_file"`  // trusted besides the system's own authorities
	Proxy        string   `koanf:"proxy"`
	AllowPrivate bool     `koanf:"allow_private"`
	MediaHosts   []string `koanf:"media_hosts"` // from which files may come, besides the service's known ones

	Mail *mail.Settings `koanf:"mail"` // the mailbox to read, of preset mail

	Fields map[string]string `koanf:"fields"` // the sender's field name → part of a lead; before the built-in names

	Answer   string   `koanf:"answer"`    // json, ok or empty
	Code     int      `koanf:"code"`      // of a 2xx answer; 0 is 200
	ThankYou []string `koanf:"thank_you"` // pages that a plain HTML form may be sent on to, the first by default

	Honeypot  []string      `koanf:"honeypot"`   // fields that people cannot see
	FillField string        `koanf:"fill_field"` // field with the milliseconds, or the Unix time, since the page was opened
	MinFill   time.Duration `koanf:"min_fill"`   // faster than this is no person

	Rate        Rate `koanf:"rate"`        // of the whole source
	PerIP       Rate `koanf:"per_ip"`      // of one address; public sources only
	Concurrency int  `koanf:"concurrency"` // requests at once
}

// HMAC is how a sender signs: HMAC-SHA256 over the raw body, or over `timestamp.body`, or over `id.timestamp.body`.
type HMAC struct {
	Header          string        `koanf:"header"`           // holds the signature, or several between blanks
	Secrets         []string      `koanf:"secrets"`          // several while a secret is changed; whsec_… is base64
	Encoding        string        `koanf:"encoding"`         // hex or base64
	Prefix          string        `koanf:"prefix"`           // before the signature, say `sha256=` or `v1,`
	TimestampHeader string        `koanf:"timestamp_header"` // Unix seconds; signed too
	IDHeader        string        `koanf:"id_header"`        // signed too, before the timestamp
	Tolerance       time.Duration `koanf:"tolerance"`        // between the timestamp and now
}

// Defaults are the values of keys that config.yaml leaves out.
func Defaults() Config {
	return Config{
		Listen: "127.0.0.1:8080", Region: "RU", Language: "ru", MaxBody: 256 << 10,
		Connections: 4096, ConnectionsPerIP: 256, InFlightBytes: 64 << 20,
		StrangerRate: Rate{PerSecond: 2, Burst: 20},
		TakeTimeout:  4 * time.Second, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: 15 * time.Second, IdleTimeout: 60 * time.Second, MaxHeader: 16 << 10,
	}
}

// presets are what is usual for a kind of sender; a source's own keys come before them.
var presets = map[string]Source{
	"generic": {Answer: "json"},
	"make":    {Answer: "json"},
	"zapier":  {Answer: "json"},
	"pabbly":  {Answer: "json"},
	"tilda":   {Answer: "ok", Channel: "site"},
	"widget": {Answer: "json", Channel: "site", Honeypot: []string{"company_fax", "_gotcha"}, FillField: "_filled",
		MinFill: 2 * time.Second, PerIP: Rate{PerSecond: 0.5, Burst: 10}},
}

// withDefaults fills what neither the source nor its preset says.
func (s Source) withDefaults(c Config) Source {
	s.Preset = or(s.Preset, "generic")
	p := presets[s.Preset]
	if channel.Known(s.Preset) {
		p = Source{Answer: channel.Answer(s.Preset), MaxBody: 4 << 20}
	}
	if s.Preset == "mail" {
		p.MaxBody = mail.Most + 1 // one more says that there is more
		if s.Mail.Reads() && strings.Contains(s.Mail.Username, "@") {
			s.Accounts = append(slices.Clone(s.Accounts), s.Mail.Username)
		}
	}
	s.Answer = or(s.Answer, p.Answer)
	s.Channel = or(s.Channel, p.Channel)
	s.Region = or(s.Region, or(c.Region, "RU"))
	s.Language = or(s.Language, c.Language)
	s.FillField = or(s.FillField, p.FillField)
	s.MaxBody = or(s.MaxBody, max(p.MaxBody, c.MaxBody))
	s.MinFill = or(s.MinFill, p.MinFill)
	s.Code = or(s.Code, 200)
	s.Concurrency = or(s.Concurrency, 256)
	s.PerIP = or(s.PerIP, p.PerIP)
	if s.Honeypot == nil {
		s.Honeypot = p.Honeypot
	}
	if s.Public {
		s.PerIP = or(s.PerIP, Rate{PerSecond: 0.5, Burst: 10})
		s.Rate = or(s.Rate, Rate{PerSecond: 50, Burst: 200})
	}
	return s
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
