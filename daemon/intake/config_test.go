package intake

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFaults(t *testing.T) {
	if faults := testConfig().Faults(); len(faults) > 0 {
		t.Errorf("the tests' own configuration: %v", faults)
	}
	if faults := Defaults().Faults(); len(faults) > 0 {
		t.Errorf("the defaults: %v", faults)
	}
	good := KeyHash("k")
	short := Defaults()
	short.InFlightBytes, short.Sources = 8<<20, map[string]Source{"x": {Preset: "mail", Keys: []string{good}, MaxBody: 8 << 20}}
	if faults := short.Faults(); len(faults) > 0 {
		t.Errorf("room for short mails: %v", faults)
	}
	tests := map[string]struct {
		change func(c *Config)
		want   []string // keys
	}{
		"listen":       {func(c *Config) { c.Listen = "8080" }, []string{"listen"}},
		"language":     {func(c *Config) { c.Language = "de" }, []string{"language"}},
		"proxies":      {func(c *Config) { c.TrustedProxies = []string{"localhost"} }, []string{"trusted_proxies"}},
		"no time-outs": {func(c *Config) { c.ReadTimeout, c.IdleTimeout = 0, -1 }, []string{"idle_timeout", "read_timeout"}},
		"no room":      {func(c *Config) { c.InFlightBytes = c.MaxBody }, []string{"in_flight_bytes"}},
		"no room for a mail": {func(c *Config) {
			c.InFlightBytes, c.Sources["x"] = 8<<20, Source{Preset: "mail", Keys: []string{good}}
		}, []string{"in_flight_bytes"}},
		"mail, an answer of none": {func(c *Config) { c.Sources["x"] = Source{Preset: "mail", Keys: []string{good}, Answer: "ok"} }, []string{"sources.x.answer"}},
		"name":                    {func(c *Config) { c.Sources["Наш сайт"] = Source{Keys: []string{good}} }, []string{"sources.Наш сайт"}},
		"nobody can send":         {func(c *Config) { c.Sources["x"] = Source{} }, []string{"sources.x.keys"}},
		"a key itself":            {func(c *Config) { c.Sources["x"] = Source{Keys: []string{"secret"}} }, []string{"sources.x.keys"}},
		"short hash":              {func(c *Config) { c.Sources["x"] = Source{Keys: []string{"sha256:00"}} }, []string{"sources.x.keys"}},
		"one key, two sources": {func(c *Config) {
			c.Sources["x"], c.Sources["y"] = Source{Keys: []string{good}}, Source{Keys: []string{good}}
		}, []string{"sources.y.keys"}},
		"public, no origins": {func(c *Config) { c.Sources["x"] = Source{Public: true} }, []string{"sources.x.origins"}},
		"public, signed": {func(c *Config) {
			c.Sources["x"] = Source{Public: true, Origins: []string{"*"}, HMAC: &HMAC{Header: "H", Secrets: []string{"s"}, Encoding: "hex"}}
		}, []string{"sources.x.hmac"}},
		"origins": {func(c *Config) {
			c.Sources["x"] = Source{Public: true, Origins: []string{"example.test", "https://example.test/"}}
		}, []string{"sources.x.origins", "sources.x.origins"}},
		"signature": {func(c *Config) { c.Sources["x"] = Source{HMAC: &HMAC{Secrets: []string{""}, Tolerance: -1}} },
			[]string{"sources.x.hmac.encoding", "sources.x.hmac.header", "sources.x.hmac.secrets", "sources.x.hmac.tolerance"}},
		"everything else": {func(c *Config) {
			c.Sources["x"] = Source{Keys: []string{good}, Preset: "amo", Answer: "xml", Code: 302, Language: "de", Concurrency: -1,
				ThankYou: []string{"/thanks"}, Fields: map[string]string{"a": "surname"}, Rate: Rate{PerSecond: -1}}
		}, []string{"sources.x.answer", "sources.x.code", "sources.x.concurrency", "sources.x.fields", "sources.x.language",
			"sources.x.preset", "sources.x.rate", "sources.x.thank_you"}},
		"polled, no token": {func(c *Config) { c.Sources["x"] = Source{Preset: "telegram", Poll: true} }, []string{"sources.x.token"}},
		"polled, cannot be asked": {func(c *Config) {
			c.Sources["x"] = Source{Preset: "avito", Poll: true, Token: "t", Keys: []string{good}}
		}, []string{"sources.x.poll"}},
		"polled, no messenger": {func(c *Config) { c.Sources["x"] = Source{Poll: true, Keys: []string{good}} }, []string{"sources.x.poll"}},
		"one bot, two pollers": {func(c *Config) {
			c.Sources["x"], c.Sources["y"] = Source{Preset: "telegram", Poll: true, Token: "t"}, Source{Preset: "telegram", Token: "t", Secrets: []string{"s"}}
		}, []string{"sources.y.token"}},
		"base_url": {func(c *Config) { c.Sources["x"] = Source{Preset: "telegram", Poll: true, Token: "t", BaseURL: "api"} }, []string{"sources.x.base_url"}},
		"WhatsApp, no account": {func(c *Config) {
			c.Sources["x"] = Source{Preset: "whatsapp", Secrets: []string{"s"}, Verification: "v", Token: "t", URL: "https://a.test/in/x"}
		}, []string{"sources.x.waba"}},
		"another's account": {func(c *Config) {
			c.Sources["x"] = Source{Preset: "meta", Secrets: []string{"s"}, Verification: "v", WABA: "1"}
		}, []string{"sources.x.waba"}},
		"half an application": {func(c *Config) { c.Sources["x"] = Source{Preset: "avito", Keys: []string{good}, ClientID: "c"} }, []string{"sources.x.client_id"}},
		"an application, no address": {func(c *Config) {
			c.Sources["x"] = Source{Preset: "avito", Keys: []string{good}, ClientID: "c", ClientSecret: "s"}
		}, []string{"sources.x.url"}},
		"another's application": {func(c *Config) {
			c.Sources["x"] = Source{Preset: "telegram", Poll: true, Token: "t", ClientID: "c", ClientSecret: "s"}
		}, []string{"sources.x.client_id"}},
		"204 with a body": {func(c *Config) { c.Sources["x"] = Source{Keys: []string{good}, Code: 204} }, []string{"sources.x.code"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := testConfig()
			tt.change(&c)
			var got []string
			for _, f := range c.Faults() {
				if f.Problem == "" || f.Cure == "" {
					t.Errorf("%+v says too little", f)
				}
				got = append(got, f.Key)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			if _, err := New(c, nothing{}, nil, discard); err == nil || !strings.Contains(err.Error(), tt.want[0]+": ") {
				t.Errorf("New says %v", err)
			}
		})
	}
}

// Every code of an answer is in both languages and has an error status.
func TestErrorKinds(t *testing.T) {
	for code, k := range errorKinds {
		if k.en == "" || k.ru == "" || k.en == k.ru || k.status < 400 || k.status > 503 {
			t.Errorf("%s: %+v", code, k)
		}
	}
}
