package intake

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"leadstream/daemon/channel"
)

// Fault is something wrong in the configuration.
type Fault struct {
	Key     string // below `intake`, say sources.site.keys
	Problem string
	Cure    string
}

func (f Fault) Error() string { return f.Key + ": " + f.Problem + "; " + f.Cure }

func faultsError(faults []Fault) error {
	var all []error
	for _, f := range faults {
		all = append(all, f)
	}
	return errors.Join(all...)
}

var sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)

// Faults says everything that is wrong, at once.
func (c Config) Faults() []Fault {
	var faults []Fault
	add := func(key, problem, cure string) { faults = append(faults, Fault{key, problem, cure}) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		add("listen", fmt.Sprintf("%q is no address", c.Listen), "write host:port, say 127.0.0.1:8080")
	}
	if _, err := networks(c.TrustedProxies); err != nil {
		add("trusted_proxies", err.Error(), "write addresses or networks, say 127.0.0.1 or 10.0.0.0/8")
	}
	if c.Language != "ru" && c.Language != "en" {
		add("language", fmt.Sprintf("%q is not known", c.Language), "write ru or en")
	}
	for key, n := range map[string]int64{
		"max_body": c.MaxBody, "connections": int64(c.Connections), "connections_per_ip": int64(c.ConnectionsPerIP),
		"in_flight_bytes": c.InFlightBytes, "take_timeout": int64(c.TakeTimeout), "max_header": int64(c.MaxHeader),
		"read_header_timeout": int64(c.ReadHeaderTimeout), "read_timeout": int64(c.ReadTimeout),
		"write_timeout": int64(c.WriteTimeout), "idle_timeout": int64(c.IdleTimeout),
	} {
		if n <= 0 {
			add(key, "is not above zero", "leave it out for the default")
		}
	}
	if c.InFlightBytes > 0 && c.InFlightBytes/4 < c.MaxBody {
		add("in_flight_bytes", "is less than four times max_body", "raise it: no body of full size would ever be let in")
	}
	owners, askers := map[string]string{}, map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		s := c.Sources[name]
		at := func(key, problem, cure string) { add("sources."+name+"."+key, problem, cure) }
		if !sourceName.MatchString(name) {
			add("sources."+name, "is no name for a source", "use lower-case letters, digits, - and _, at most 40")
		}
		s.faults(at)
		for _, key := range s.Keys {
			if owner, taken := owners[key]; taken {
				at("keys", "one of them is also a key of "+owner, "give each source its own keys: POST /v1/leads tells sources by them")
			}
			owners[key] = name
		}
		if other, taken := askers[s.Preset+" "+s.Token]; taken && s.Token != "" && (s.Poll || c.Sources[other].Poll) {
			at("token", "is also that of "+other, "keep one of the two sources: whoever asks takes the messages from the other")
		}
		askers[s.Preset+" "+s.Token] = name
		if most := s.withDefaults(c).MaxBody; len(s.Keys) > 0 && c.InFlightBytes > 0 && most > c.InFlightBytes {
			add("in_flight_bytes", fmt.Sprintf("is less than a body of sources.%s may have (%d)", name, most), "raise it, or set max_body of the source: no body of full size would ever be let in")
		}
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return strings.Compare(a.Key, b.Key) })
	return faults
}

func (s Source) faults(add func(key, problem, cure string)) {
	spoken := channel.Known(s.Preset)
	if _, ok := presets[or(s.Preset, "generic")]; !ok && !spoken {
		all := append(slices.Sorted(maps.Keys(presets)), channel.Names()...)
		add("preset", fmt.Sprintf("%q is not known", s.Preset), "write one of "+strings.Join(all, ", "))
	}
	if spoken {
		for key, cure := range channel.Missing(s.Preset, s.spoken(nil)) {
			add(key, "is missing", cure)
		}
	}
	reads := s.Preset == "mail" && s.Mail.Reads()
	if s.Preset != "mail" && s.Mail.Reads() {
		add("mail", "a mailbox is read by sources of preset mail only", "write preset: mail, or take it out")
	} else if reads {
		s.Mail.Faults(func(key, problem, cure string) { add("mail."+key, problem, cure) })
	}
	for _, key := range s.Keys {
		if _, ok := parseKeyHash(key); !ok {
			add("keys", "one of them is no hash", "write sha256: and the 64 hex digits of the key's SHA-256, never the key")
		}
	}
	if s.Poll && !channel.Asked(s.Preset) {
		add("poll", or(s.Preset, "generic")+" cannot be asked", "write preset: telegram, vk or max, or take poll out")
	}
	switch {
	case s.WABA != "" && s.Preset != "whatsapp":
		add("waba", "is of WhatsApp alone", "take it out")
	case s.WABA == "" && s.Preset == "whatsapp" && s.Token != "" && s.URL != "":
		add("waba", "is missing", "write the number of the WhatsApp business account, whose subscription is to be looked after, or take url out")
	}
	switch {
	case s.ClientID == "" && s.ClientSecret == "":
	case s.Preset != "avito":
		add("client_id", or(s.Preset, "generic")+" has a token instead", "take client_id and client_secret out")
	case s.ClientID == "" || s.ClientSecret == "":
		add("client_id", "is nothing without client_secret, nor that without client_id", "write both")
	case s.URL == "":
		add("url", "is missing", "write the address that Avito is to send to, https://…, with its key")
	}
	if s.BaseURL != "" {
		if u, err := url.Parse(s.BaseURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			add("base_url", "is no address", "leave it out, or write https://host")
		}
	}
	if spoken && (s.Public || s.HMAC != nil) {
		add("preset", s.Preset+" has its own way to prove who sends", "take out public and hmac")
	}
	if len(s.Keys) == 0 && s.HMAC == nil && !s.Public && !reads && (!spoken || channel.Open(s.Preset)) {
		cure := "give it keys, hmac, or public: true with origins"
		if s.Preset == "mail" {
			cure = "give it a mailbox (mail.host), or keys for leadstream mail"
		}
		add("keys", "nobody could send", cure)
	}
	if s.Public && len(s.Origins) == 0 {
		add("origins", "a public source needs them", "list the sites that may send, say https://example.test")
	}
	if s.Public && s.HMAC != nil {
		add("hmac", "a browser cannot sign", "take out public or hmac")
	}
	for _, origin := range s.Origins {
		if !validOrigin(origin) {
			add("origins", fmt.Sprintf("%q is no origin", origin), "write scheme and host alone, say https://example.test")
		}
	}
	if s.HMAC != nil {
		s.HMAC.faults(func(key, problem, cure string) { add("hmac."+key, problem, cure) })
	}
	if _, err := foldFields(s.Fields); err != nil {
		add("fields", err.Error(), "use one of "+strings.Join(slices.Sorted(maps.Keys(targetNames)), ", "))
	}
	if s.Answer != "" && s.Answer != "json" && s.Answer != "ok" && s.Answer != "empty" && !spoken {
		add("answer", fmt.Sprintf("%q is not known", s.Answer), "write json, ok or empty")
	}
	if s.Preset == "mail" && s.Answer != "" && s.Answer != "json" {
		add("answer", "is none that leadstream mail knows the daemon by", "leave it out")
	}
	if s.Code != 0 && (s.Code < 200 || s.Code > 299) {
		add("code", "is no 2xx", "write 200, 201, 202 or 204: other codes make senders repeat or lose leads")
	}
	if s.Code == 204 && s.Answer != "empty" {
		add("code", "204 has no body", "write answer: empty too")
	}
	for _, page := range s.ThankYou {
		if u, err := url.Parse(page); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			add("thank_you", fmt.Sprintf("%q is no page", page), "write whole addresses, say https://example.test/thanks")
		}
	}
	if s.Language != "" && s.Language != "ru" && s.Language != "en" {
		add("language", fmt.Sprintf("%q is not known", s.Language), "write ru or en")
	}
	for key, below := range map[string]bool{
		"max_body": s.MaxBody < 0, "min_fill": s.MinFill < 0, "concurrency": s.Concurrency < 0,
		"rate": s.Rate.PerSecond < 0 || s.Rate.Burst < 0, "per_ip": s.PerIP.PerSecond < 0 || s.PerIP.Burst < 0,
	} {
		if below {
			add(key, "is below zero", "leave it out for the default")
		}
	}
}

func (h HMAC) faults(add func(key, problem, cure string)) {
	if h.Header == "" {
		add("header", "is missing", "name the header with the signature")
	}
	if len(h.Secrets) == 0 || slices.Contains(h.Secrets, "") {
		add("secrets", "are missing or empty", "write at least one, say ${env:SITE_SECRET}")
	}
	if h.Encoding != "hex" && h.Encoding != "base64" {
		add("encoding", fmt.Sprintf("%q is not known", h.Encoding), "write hex or base64")
	}
	if h.Tolerance < 0 {
		add("tolerance", "is below zero", "leave it out for 5 minutes")
	}
}
