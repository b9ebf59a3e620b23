package intake

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leadstream/daemon/channel"
)

// source is a compiled Source: what every request of it needs, looked up once.
type source struct {
	Source
	name, language string
	channel        string
	region         string
	keys           []keyHash
	signature      *signature
	protocol       channel.Protocol // nil for senders that speak no protocol of their own
	fields         map[string]target
	honeypot       map[string]bool
	fillField      string
	minFill        time.Duration
	redirectField  string
	maxBody        int64
	known          lane
	strangers      lane
	perIP          addressLimiter
	meters
}

// compile makes ready what Config.Faults has found nothing wrong with.
func (c Config) compile(m *metrics) (map[string]*source, map[keyHash]*source, error) {
	byName := make(map[string]*source, len(c.Sources))
	byKey := make(map[keyHash]*source)
	for name, given := range c.Sources {
		g := given.withDefaults(c)
		s := &source{
			Source: g, name: name, language: g.Language, channel: g.Channel, region: g.Region, fillField: g.FillField,
			minFill: g.MinFill, maxBody: g.MaxBody, perIP: addressLimiter{rate: g.PerIP}, honeypot: make(map[string]bool), meters: m.of(name),
		}
		for _, l := range []*lane{&s.known, &s.strangers} {
			l.rate.rate, l.busy.limit = g.Rate, int64(g.Concurrency)
		}
		for _, text := range g.Keys {
			key, ok := parseKeyHash(text)
			if !ok {
				return nil, nil, fmt.Errorf("sources.%s.keys: no SHA-256", name)
			}
			s.keys = append(s.keys, key)
			byKey[key] = s
		}
		if g.HMAC != nil {
			s.signature = g.HMAC.compile()
		}
		spoken := g.spoken(c.Zone)
		spoken.Keep = c.Keep
		spoken.Means = s.means
		s.protocol = channel.New(g.Preset, spoken)
		var err error
		if s.fields, err = foldFields(g.Fields); err != nil {
			return nil, nil, fmt.Errorf("sources.%s.fields: %w", name, err)
		}
		for _, field := range g.Honeypot {
			s.honeypot[field] = true
		}
		if len(g.ThankYou) > 0 {
			s.redirectField = "_redirect"
		}
		byName[name] = s
	}
	return byName, byKey, nil
}

// signs is whether the sender proves itself by what it sends.
func (s *source) signs() bool {
	return s.signature != nil || s.protocol != nil && !channel.Open(s.Preset)
}

// proves is whether a request's body, header or signature is the sender's.
func (s *source) proves(r *http.Request, body []byte, now time.Time) bool {
	if s.signature != nil {
		return s.signature.check(r.Header, body, now)
	}
	return s.protocol.Verify(r, body)
}

// allows is whether a browser on that site may send here and read the answer.
func (s *source) allows(origin string) bool {
	return origin != "" && (slices.Contains(s.Origins, origin) || slices.Contains(s.Origins, "*"))
}

// volatile names the fields that differ between two sendings of one lead and so have no part in its id: the page's own
// protection, and captcha and anti-forgery tokens.
func (s *source) volatile(key string) bool {
	switch key {
	case "g-recaptcha-response", "h-captcha-response", "smart-token", "cf-turnstile-response",
		"csrf_token", "csrfmiddlewaretoken", "authenticity_token", "_token", "_wpnonce", "COOKIES":
		return true
	case "":
		return false
	}
	return s.honeypot[key] || key == s.fillField || key == s.redirectField
}

// tooFast judges the hidden field of a form: milliseconds since the page was opened, or when it was, as Unix seconds or
// milliseconds. What it cannot read is no reason to doubt a person.
func tooFast(text string, least time.Duration, now time.Time) bool {
	n, err := time.ParseDuration(text + "ms")
	if err != nil || n < 0 {
		return false
	}
	switch ms := n.Milliseconds(); {
	case ms < 1e9: // since the page was opened
		return n < least
	case ms < 1e11: // in seconds
		n = now.Sub(time.Unix(ms, 0))
	default:
		n = now.Sub(time.UnixMilli(ms))
	}
	return n >= 0 && n < least // a clock that runs ahead proves nothing
}

// thankYou is the page to send a person on to, from the allowed ones only; empty when this was no plain HTML form.
func (s *source) thankYou(wished string) string {
	if len(s.ThankYou) == 0 {
		return ""
	}
	if slices.Contains(s.ThankYou, wished) {
		return wished
	}
	return s.ThankYou[0]
}

// networks parses addresses and networks alike.
func networks(texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			out = append(out, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no address or network", text)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// results are the values of the label `result`.
var results = []string{
	Accepted, Duplicate, Ignored, "quarantined", "invalid", "unauthorized", "forbidden", "too_large", "throttled",
	"unavailable",
}

type metrics struct {
	requests, mapping, quarantined, ignored, links *prometheus.CounterVec
	seconds                                        prometheus.Histogram
}

// meters are one source's series, so that the hot path looks none up.
type meters struct {
	result      map[string]prometheus.Counter
	mapping     prometheus.Counter
	quarantined prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadstream_intake_requests_total",
			Help: "Leads and refused requests by source and result; source is empty when it is not known.",
		}, []string{"source", "result"}),
		mapping: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadstream_intake_mapping_errors_total",
			Help: "Placeholders that came instead of values, and idempotency keys that came with different leads.",
		}, []string{"source"}),
		quarantined: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadstream_intake_quarantined_total",
			Help: "Requests, or items of them, kept raw because they could not become a lead.",
		}, []string{"source"}),
		ignored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadstream_intake_ignored_total",
			Help: "Events of messengers, telephony and mail that are no enquiries, by why.",
		}, []string{"source", "reason"}),
		links: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leadstream_links_total",
			Help: "Short links: made, opened (click, repeat, preview), unknown, and clicks that could not be kept (fault).",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "leadstream_intake_seconds",
			Help:    "From the request's head to its answer, the journal included.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2, 5, 10},
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.mapping, m.quarantined, m.ignored, m.links, m.seconds} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("intake metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) of(name string) meters {
	ms := meters{result: make(map[string]prometheus.Counter, len(results))}
	for _, result := range results {
		ms.result[result] = m.requests.WithLabelValues(name, result)
	}
	ms.mapping = m.mapping.WithLabelValues(name)
	ms.quarantined = m.quarantined.WithLabelValues(name)
	return ms
}

func resultOf(e *Error) string {
	switch e.Status() {
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	case http.StatusTooManyRequests:
		return "throttled"
	case http.StatusServiceUnavailable:
		return "unavailable"
	}
	return "invalid"
}

// validOrigin is a scheme and a host, as browsers write it.
func validOrigin(s string) bool {
	if s == "*" {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && s == u.Scheme+"://"+u.Host
}
