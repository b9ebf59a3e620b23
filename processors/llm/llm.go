// Package llm asks a language model, over any OpenAI-compatible endpoint, what a message wants where the offline
// classifier is not sure. It is an adviser without power: what it says becomes intents of a fixed list and quotations of
// the customer's own words, or nothing. Nothing personal is sent unless that is asked for. How HTTP is spoken is left to
// whoever makes a Model; what is done with an intent, to triage.
package llm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/processors"
	"leadstream/processors/intent"
	"leadstream/processors/mask"
	"leadstream/streams"
)

// Settings are the keys of `triage.llm` in config.yaml.
type Settings struct {
	URL              string            `koanf:"url"` // the endpoint's base, with its /v1; empty: there is no model
	Key              string            `koanf:"key"`
	Model            string            `koanf:"model"`
	When             string            `koanf:"when"`               // unsure: where the offline classifier abstains; always
	SendPersonalData bool              `koanf:"send_personal_data"` // false: phones, names, e-mails, addresses and numbers are masked
	Timeout          time.Duration     `koanf:"timeout"`            // of all that a batch asks; at most 5 s
	Concurrency      int               `koanf:"concurrency"`
	Breaker          streams.Breaker   `koanf:"breaker"`
	Budget           Budget            `koanf:"budget"`
	Price            Price             `koanf:"price"`
	Format           string            `koanf:"format"` // auto, json_schema, json_object or text: how JSON is asked for
	Headers          map[string]string `koanf:"headers"`
	AllowPrivate     bool              `koanf:"allow_private"`
	CAFile           string            `koanf:"ca_file"`
	Proxy            string            `koanf:"proxy"`
}

// Budget is what a day of the business may cost; 0 is no limit.
type Budget struct {
	Calls int     `koanf:"calls"`
	Money float64 `koanf:"money"` // in the currency of Price
}

// Price is what a million tokens cost.
type Price struct {
	Input  float64 `koanf:"input"`
	Output float64 `koanf:"output"`
}

// When.
const (
	Unsure = "unsure"
	Always = "always"
)

// longest is the time that a batch may wait for the model: leads are behind it.
const longest = 5 * time.Second

// Defaults are the settings of a config.yaml that says nothing of a model: there is none.
func Defaults() Settings {
	return Settings{
		When: Unsure, Timeout: longest, Concurrency: 4, Format: formatAuto,
		Breaker: streams.Breaker{Failures: 3, Of: 3, Delay: 30 * time.Second, MaxDelay: 300 * time.Second},
		Budget:  Budget{Calls: 1000},
	}
}

// Faults are what is wrong with the settings.
func (s Settings) Faults() error {
	if s.URL == "" {
		return nil
	}
	var faults []error
	fault := func(key, problem, cure string) {
		faults = append(faults, processors.Fault{Key: "triage.llm." + key, Problem: problem, Cure: cure})
	}
	if u, err := url.Parse(s.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		fault("url", "it is no URL", "write it like https://api.openai.com/v1")
	} else if u.Scheme == "http" && !s.AllowPrivate {
		fault("url", "the key and the messages would travel in the clear", "write https, or allow_private: true for a server in your own network")
	}
	if s.Model == "" {
		fault("model", "it is empty", "write the model's name as the provider spells it")
	}
	if s.When != Unsure && s.When != Always {
		fault("when", fmt.Sprintf("%q is unknown", s.When), "write unsure or always")
	}
	if s.Timeout <= 0 || s.Timeout > longest {
		fault("timeout", fmt.Sprintf("it is %s", s.Timeout), "write more than 0s and at most 5s: leads wait behind it")
	}
	if s.Concurrency < 1 {
		fault("concurrency", fmt.Sprintf("it is %d", s.Concurrency), "write 1 or more")
	}
	if s.Breaker.Failures < 1 || s.Breaker.Of < s.Breaker.Failures {
		fault("breaker", "failures must be 1 or more, and of not less", "leave it out for 3 of 3")
	}
	if s.Budget.Calls < 0 || s.Budget.Money < 0 || s.Price.Input < 0 || s.Price.Output < 0 {
		fault("budget", "a limit or a price is negative", "write 0 for none")
	}
	if s.Budget.Money > 0 && s.Price.Input == 0 && s.Price.Output == 0 {
		fault("price", "money is limited, and nothing costs any", "write what a million tokens cost, or money: 0")
	}
	if _, ok := ladder[s.Format]; !ok {
		fault("format", fmt.Sprintf("%q is unknown", s.Format), "write auto, json_schema, json_object or text")
	}
	return errors.Join(faults...)
}

// Reply is an HTTP answer.
type Reply struct {
	Status     int
	Header     http.Header
	Body       []byte
	Truncated  bool          // Body is not all of it
	Sent       bool          // the far side may have seen the request, and count it
	RetryAfter time.Duration // as asked for; 0: it was not
}

// Post sends a JSON body to the endpoint's chat/completions, once, and follows no redirect. Any status is an answer. Its
// errors hold no secret.
type Post func(ctx context.Context, body []byte) (Reply, error)

// Options are what a Model needs beside its settings.
type Options struct {
	Post     Post
	Region   string         // of phone numbers written without a country
	Zone     *time.Location // of the business: when its day begins
	File     string         // remembers what the day has cost; empty: it is forgotten at a restart
	Metrics  prometheus.Registerer
	Services []string // names that the model should know
	Now      func() time.Time
	Log      zerolog.Logger
}

var _ processors.Adviser = (*Model)(nil)

// Model asks. It is safe for concurrent use.
type Model struct {
	set     Settings
	post    Post
	mask    mask.Masker
	guard   *streams.Destination
	spent   *ledger
	metrics *metrics
	now     func() time.Time
	log     zerolog.Logger

	mu      sync.Mutex
	dialect dialect
	said    string // the last trouble that was logged
}

// New makes a Model, and reads what the day has cost so far.
func New(set Settings, o Options) (*Model, error) {
	if err := set.Faults(); err != nil {
		return nil, err
	}
	m := &Model{set: set, post: o.Post, mask: mask.Masker{Region: o.Region}, now: o.Now, log: o.Log, dialect: newDialect(set)}
	if m.now == nil {
		m.now = time.Now
	}
	m.guard = streams.NewDestination(streams.DestinationConfig{Name: "llm", Concurrency: set.Concurrency, Breaker: set.Breaker}, nil, "", m.now)
	m.metrics = newMetrics(o.Metrics, m.guard)
	var err error
	if m.spent, err = openLedger(o.File, set, o.Zone, m.now); err != nil {
		m.log.Error().Err(err).Str("file", o.File).Msg("what the language model has cost today cannot be read: within a budget it is not asked until tomorrow; delete the file to begin anew")
	}
	return m, nil
}

// crowd is how many leads a batch has at most for any of them to be asked about: a longer one means that leads stand in
// line, and then nobody waits for a model.
const crowd = 32

// Worth says whether the model is asked about a message at all.
func (m *Model) Worth(r intent.Result) bool {
	if r.Reply != intent.NoReply || r.Rule == "greeting" || r.Rule == "no words" {
		return false
	}
	return !r.Answered || m.set.When == Always
}

// Advise reads the questions of a batch that has leads leads in all. Its opinions are the offline ones wherever the model
// was not asked, has not answered in time, or adds nothing; it takes no longer than the time limit. What cannot be asked
// at once is not asked: nothing waits for a place.
func (m *Model) Advise(ctx context.Context, leads int, questions []processors.Question) []processors.Opinion {
	opinions := make([]processors.Opinion, len(questions))
	ctx, cancel := context.WithTimeout(ctx, m.set.Timeout)
	defer cancel()
	var asking sync.WaitGroup
	free := 0
	if leads <= crowd {
		free, _ = m.guard.Admit(ctx, len(questions))
	}
	for i, q := range questions {
		opinions[i] = processors.Opinion{Result: q.Offline, By: processors.ByOffline}
		switch {
		case !m.Worth(q.Offline):
		case leads > crowd:
			m.metrics.fallback(crowded)
		case free <= 0 || m.guard.Start(1) != nil:
			m.metrics.fallback(m.busyOrOpen(ctx))
		default:
			free--
			asking.Go(func() { opinions[i] = m.consult(ctx, q) })
		}
	}
	asking.Wait()
	return opinions
}

func (m *Model) busyOrOpen(ctx context.Context) string {
	switch s := m.guard.State(ctx); {
	case s.Paused:
		return paused
	case s.Breaker != "closed":
		return broken
	}
	return busy
}

// consult asks about one message, whose place is taken.
func (m *Model) consult(ctx context.Context, q processors.Question) (o processors.Opinion) {
	o = processors.Opinion{Result: q.Offline, By: processors.ByOffline}
	tries, fault := 0, false
	defer func() {
		if p := recover(); p != nil { // what was panicked with may quote the lead
			m.trouble("asking the language model panicked", nil)
			m.metrics.fallback(failed)
		}
		m.guard.Finish(min(tries, 1), fault)
	}()
	text := mask.Text{Masked: mask.Clean(q.Lead.Message)}
	if !m.set.SendPersonalData {
		text = m.mask.Mask(cut(q.Lead.Message), mask.Known{Name: q.Lead.Name, Phone: q.Lead.Phone, Email: q.Lead.Email})
	}
	text.Masked = cut(text.Masked)
	answer, why, tries, fault := m.ask(ctx, text.Masked)
	if why != "" {
		m.metrics.fallback(why)
		return o
	}
	answer.quoted(text)
	o = Join(q.Offline, answer)
	m.metrics.opinion(o)
	return o
}

// longestText is how many runes of a message are sent: what it wants stands near its beginning.
const longestText = 2000

func cut(text string) string {
	if len(text) <= longestText {
		return text
	}
	n := 0
	for i := range text {
		if n++; n > longestText {
			return text[:i]
		}
	}
	return text
}

// trouble logs what went wrong, at a level for a person when a person must act; the same is not said twice in a row.
func (m *Model) trouble(what string, err error) {
	text := what
	if err != nil {
		text += ": " + err.Error()
	}
	m.mu.Lock()
	again := m.said == text
	m.said = text
	m.mu.Unlock()
	if !again {
		m.log.Warn().Err(err).Str("llm", what).Msg("the language model is no help; messages go by the offline classifier")
	}
}

func (m *Model) fine() {
	m.mu.Lock()
	m.said = ""
	m.mu.Unlock()
}

// Spent is what the day has cost so far.
func (m *Model) Spent() Spent { return m.spent.today() }

func micro(money float64) int64 { return int64(math.Round(money * 1e6)) }
