// Package bitrix24 delivers leads to a Bitrix24 portal through an inbound webhook: a card (lead, or deal with contact),
// a manager's task for hot ones, a timeline comment for repeats and for what the card's columns cannot hold.
//
// Each card carries the lead's id as its origin id. A portal has no idempotency key and accepts a second card with the
// same origin, so a card that may exist already is looked for first, once the portal must have finished and its search
// must know. Card, comment and task are separate calls, in this order: what comes after the card carries a marker with
// the lead's id and is looked for whenever the card was not made in the same breath. So a crash anywhere between them
// leads to the same card being found and completed, never to a second one.
//
// Pacing is the engine's: DefaultRate is what all daemons behind one address share. Reading events of the portal is not
// done here.
package bitrix24

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/rs/zerolog"

	"leadstream/sinks"
	"leadstream/sinks/httpx"
	"leadstream/streams"
	"leadstream/streams/failpoint"
)

// Kind is kind: bitrix24.
var Kind = sinks.Kind{
	Settings: func() any { return Defaults() },
	Open:     func(settings any, env sinks.Env) (sinks.Sink, error) { return Open(settings.(*Settings), env) },
	Class:    sinks.Searchable,
	Batch:    maxBatch,
	Policy:   streams.CRMPolicy,
}

// DefaultRate is the portal's leaky bucket, shared by everything that calls from one address. A batch is one request.
var DefaultRate = struct {
	PerSecond float64
	Burst     int
}{2, 50}

// Settings are the keys of the sink's block in config.yaml.
type Settings struct {
	URL        string            `koanf:"url"`         // inbound webhook, https://PORTAL/rest/USER/SECRET/
	Entity     string            `koanf:"entity"`      // lead or deal
	Contact    bool              `koanf:"contact"`     // deal: attach the customer's contact, made if there is none
	API        string            `koanf:"api"`         // item (crm.item.*) or lead (crm.lead.*, for old portals)
	Originator string            `koanf:"originator"`  // whose ids the origin ids are
	Source     string            `koanf:"source"`      // SOURCE_ID of leads whose source or channel is not in Sources
	Sources    map[string]string `koanf:"sources"`     // source or channel → SOURCE_ID
	Stage      string            `koanf:"stage"`       // empty: the portal's first
	Category   int               `koanf:"category"`    // deal's pipeline
	AssignedBy int               `koanf:"assigned_by"` // employee's id; 0: the webhook's owner
	Title      string            `koanf:"title"`       // text/template over the lead; empty: in the daemon's language
	Fields     map[string]string `koanf:"fields"`      // the lead's field → the portal's, say level: ufCrm_1700000001
	Task       Task              `koanf:"task"`
	MaxFile    int64             `koanf:"max_file"` // bytes of a file that goes on the card; larger ones stay with us

	FarLimit       time.Duration `koanf:"far_limit"`       // after so long the portal has finished or given up
	IndexLag       time.Duration `koanf:"index_lag"`       // after so long more its search knows what was created
	OperatingLimit time.Duration `koanf:"operating_limit"` // working time a method may use in ten minutes
	Batch          int           `koanf:"batch"`           // commands in one request
	CAFile         string        `koanf:"ca_file"`
	Proxy          string        `koanf:"proxy"`
	AllowPrivate   bool          `koanf:"allow_private"` // a portal in the own network; plain http is allowed too
}

// Task is the manager's task for a hot lead.
type Task struct {
	Enabled     bool          `koanf:"enabled"`
	Kind        string        `koanf:"kind"`        // todo (in the card) or task (in the task list; scope task)
	Deadline    time.Duration `koanf:"deadline"`    // from now
	Responsible int           `koanf:"responsible"` // employee's id; 0: assigned_by
}

const maxBatch = 50

// Defaults are the settings that hold unless config.yaml says otherwise.
func Defaults() *Settings {
	return &Settings{
		Entity: "lead", Contact: true, API: "item", Originator: "leadstream", Source: "WEB",
		Task:    Task{Enabled: true, Kind: "todo", Deadline: 15 * time.Minute},
		MaxFile: 20 << 20, FarLimit: 65 * time.Second, IndexLag: time.Minute, OperatingLimit: 480 * time.Second, Batch: maxBatch,
	}
}

// Sink is one portal.
type Sink struct {
	set    Settings
	env    sinks.Env
	api    dialect
	http   *httpx.Client
	title  *template.Template
	budget budget
	quiet  bool // the portal's own words are not told: they may quote a customer's message
	log    zerolog.Logger
	now    func() time.Time
	after  func(time.Duration) <-chan time.Time

	uploading sync.Mutex // one at a time: files are in memory several times over

	mu   sync.Mutex
	base string                // ends in a slash; changes when the portal says it was renamed
	made map[string]unfinished // by lead id
}

// unfinished is what this process made for a lead that it could not complete. The portal may still be at work on what
// brought no answer at the time of doubt.
type unfinished struct {
	card, contact string
	doubt         time.Time
}

var webhookPath = regexp.MustCompile(`^/rest/\d+/[^/]+/$`)

// Open makes the sink.
func Open(set *Settings, env sinks.Env) (*Sink, error) {
	base, err := address(set)
	if err != nil {
		return nil, err
	}
	if err := set.valid(); err != nil {
		return nil, err
	}
	text := set.Title
	if text == "" {
		text = say(env.Language).title
	}
	title, err := parseTitle(text)
	if err != nil {
		return nil, fmt.Errorf("title: %w", err)
	}
	timeout := env.Timeout
	if timeout == 0 {
		timeout = 70 * time.Second // the portal cuts at 60 s: giving up earlier only makes outcomes unknown
	}
	secret := strings.Split(base, "/")
	client, err := httpx.New(httpx.Options{
		Timeout: timeout, CAFile: set.CAFile, Proxy: set.Proxy, AllowPrivate: set.AllowPrivate,
		UserAgent: "leadstream/" + env.Version, Secrets: []string{secret[len(secret)-2]},
	})
	if err != nil {
		return nil, err
	}
	if env.Zone == nil {
		env.Zone = time.UTC
	}
	return &Sink{
		set: *set, env: env, api: dialectOf(set), http: client, title: title, log: env.Log, now: time.Now, after: time.After, base: base,
		budget: budget{limit: set.OperatingLimit.Seconds()}, made: map[string]unfinished{},
	}, nil
}

func address(set *Settings) (string, error) {
	const cure = "write the inbound webhook as Bitrix24 shows it, https://PORTAL.bitrix24.ru/rest/USER/SECRET/"
	u, err := url.Parse(strings.TrimSpace(set.URL))
	if err != nil || u.Host == "" {
		return "", errors.New("url: " + cure)
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	if !webhookPath.MatchString(u.Path) || u.RawQuery != "" {
		return "", errors.New("url: " + cure)
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && set.AllowPrivate) {
		return "", errors.New("url: the portal wants https")
	}
	return u.String(), nil
}

func (set *Settings) valid() error {
	switch {
	case set.Entity != "lead" && set.Entity != "deal":
		return fmt.Errorf("entity: %q is neither lead nor deal", set.Entity)
	case set.API != "item" && set.API != "lead":
		return fmt.Errorf("api: %q is neither item nor lead", set.API)
	case set.API == "lead" && set.Entity != "lead":
		return errors.New("api: lead knows no deals, use api: item")
	case set.Originator == "":
		return errors.New("originator: must not be empty, cards are found by it")
	case set.Task.Kind != "todo" && set.Task.Kind != "task":
		return fmt.Errorf("task.kind: %q is neither todo nor task", set.Task.Kind)
	case set.Task.Enabled && set.Task.Kind == "task" && set.responsible() == 0:
		return errors.New("task.responsible: a task needs the id of an employee")
	case set.Batch < 1 || set.Batch > maxBatch:
		return fmt.Errorf("batch: %d is not within 1 and %d", set.Batch, maxBatch)
	}
	return nil
}

func (set *Settings) responsible() int {
	if set.Task.Responsible != 0 {
		return set.Task.Responsible
	}
	return set.AssignedBy
}

// Close drops idle connections.
func (s *Sink) Close() { s.http.Close() }

// Deliver brings each lead to its card, in rounds of one request each where the batch allows.
func (s *Sink) Deliver(ctx context.Context, batch []sinks.Delivery) []streams.Verdict {
	jobs := make([]*job, len(batch))
	for i, d := range batch {
		jobs[i] = s.begin(d)
	}
	s.look(ctx, jobs)
	failpoint.Hit(failpoint.BitrixLooked)
	s.attach(ctx, jobs)
	failpoint.Hit(failpoint.BitrixAttached)
	s.contacts(ctx, jobs)
	failpoint.Hit(failpoint.BitrixContacted)
	s.create(ctx, jobs)
	failpoint.Hit(failpoint.BitrixCreated)
	s.complete(ctx, jobs)
	failpoint.Hit(failpoint.BitrixCompleted)
	verdicts := make([]streams.Verdict, len(jobs))
	for i, j := range jobs {
		verdicts[i] = s.verdict(j)
	}
	return verdicts
}
