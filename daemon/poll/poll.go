// Package poll speaks to messengers from our side: it asks them for what customers wrote where there is no public address,
// looks whether the webhooks of the others still send to us and sets them again, and fetches what a webhook never brought
// (IN-02, IN-03). What it gets are the same events as a webhook's; reading them and keeping them is the intake's.
//
// Nothing is confirmed to a service before the journal has it. What was kept and not confirmed, or confirmed and not noted,
// is told again, and is the same lead by the service's own ids.
package poll

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"leadstream/daemon/intake"
	"leadstream/sinks/httpx"
)

// Keep makes the events of a source durable, all or none (intake.Handler.Told).
type Keep func(ctx context.Context, source string, events [][]byte) error

// Options are what Channels need.
type Options struct {
	Sources map[string]intake.Source
	Keep    Keep
	Dir     string // of the notes how far each source has been read
	Version string // of this program, as the services see it
	Reg     prometheus.Registerer
	Log     zerolog.Logger

	hurry float64 // tests: how many times shorter the waits are
}

// Channels are the sources that are asked or watched.
type Channels struct {
	all     []*line
	metrics *metrics
}

// line is one source at work.
type line struct {
	name    string
	service service
	kind    kind
	poll    bool
	keep    Keep
	notes   *notes
	talks   *known // as api.known
	meter   *meter
	log     zerolog.Logger
	hurry   float64

	owes  chan struct{} // tells that something is owed
	mu    sync.Mutex
	noted note
}

// service is one kind of messenger, with a token.
type service interface {
	// account is whose token it is, as the service names it; the call shows that the token is good.
	account(ctx context.Context) (string, error)

	// free says whether the service lets itself be asked: nil, or what stands in the way.
	free(ctx context.Context) error

	// next waits for the events behind a cursor, at most so many and so long. The cursor is empty at first; asking with the one of an answer
	// confirms that answer.
	next(ctx context.Context, cursor string, most int, wait time.Duration) (answer, error)
}

// answer is what a service has to tell.
type answer struct {
	events [][]byte
	cursor string
	gap    bool // the service has forgotten events before these
}

// wait is how long a service is asked to wait for events; we wait no longer than this and call together.
const (
	wait = 25 * time.Second
	call = 15 * time.Second // of everything else, and beyond wait
)

// kind is what there is to know of a service before a source uses it.
type kind struct {
	new   func(intake.Source, *api) service
	noted bool          // the service does not remember how far it was read: the cursor is noted here
	keeps time.Duration // for which it keeps what it could not bring; 0: that is asked for otherwise

	// checks is how often it is asked for what its webhook may not have brought though all seems to be in order; 0: never.
	checks time.Duration

	unlisted bool // it lists no conversations: those that it tells of are noted here
}

// kinds are the services by preset.
var kinds = map[string]kind{
	"avito":    {new: newAvito, checks: watchEvery},
	"max":      {new: newMax, noted: true, keeps: 24 * time.Hour, unlisted: true},
	"meta":     {new: newMetaPages, checks: time.Hour},
	"telegram": {new: newTelegram, keeps: 24 * time.Hour},
	"vk":       {new: newVK, noted: true},
	"whatsapp": {new: newWhatsApp, keeps: 7 * 24 * time.Hour},
}

// New makes the sources of the configuration that have a token ready. It does no I/O but to read CA files.
func New(o Options) (*Channels, error) {
	c := &Channels{}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(o.Sources)) {
		s := o.Sources[name]
		if !Watched(s) && !s.Poll {
			continue
		}
		var talks *known
		if kinds[s.Preset].unlisted {
			var err error
			if talks, err = openKnown(o.Dir, name); err != nil {
				o.Log.Error().Err(err).Str("source", name).Msg("which conversations there are is not known: after an outage what was said in them is not fetched")
			}
		}
		svc, err := open(s, o.Version, o.hurry, talks)
		if err != nil {
			faults = append(faults, fmt.Errorf("sources.%s: %w", name, err))
			continue
		}
		c.all = append(c.all, &line{name: name, service: svc, kind: kinds[s.Preset], poll: s.Poll, talks: talks, keep: o.Keep, notes: &notes{file: notesFile(o.Dir, name)},
			log: o.Log.With().Str("source", name).Logger(), hurry: max(o.hurry, 1), owes: make(chan struct{}, 1)})
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	var err error
	if c.metrics, err = newMetrics(o.Reg); err != nil {
		return nil, err
	}
	for _, l := range c.all {
		l.meter = c.metrics.of(l.name)
	}
	return c, nil
}

// Watched says whether the webhook of a source is looked after: we know its address, and the service knows us.
func Watched(s intake.Source) bool {
	return !s.Poll && kinds[s.Preset].new != nil && s.URL != "" && (s.Token != "" || s.ClientSecret != "")
}

func open(s intake.Source, version string, hurry float64, talks *known) (service, error) {
	client, err := httpx.New(httpx.Options{Timeout: call, MaxBody: maxAnswer, Retries: -1, CAFile: s.CAFile, Proxy: s.Proxy,
		AllowPrivate: s.AllowPrivate, UserAgent: "leadstream/" + version, Secrets: secrets(s)})
	if err != nil {
		return nil, err
	}
	return kinds[s.Preset].new(s, &api{http: client, hurry: hurry, known: talks}), nil
}

// secrets are not to be seen in an error.
func secrets(s intake.Source) []string {
	return slices.DeleteFunc([]string{s.Token, s.ClientSecret}, func(s string) bool { return s == "" })
}

// Heard notes a conversation that a source has told of, by the service's own name for it.
func (c *Channels) Heard(source, talk string) {
	for _, l := range c.all {
		if l.name != source || l.talks == nil {
			continue
		}
		if err := l.talks.add(talk); err != nil {
			l.log.Error().Err(err).Msg("a conversation could not be noted: after an outage what was said in it is not fetched")
		}
	}
}

// Try asks whose token a source has, and whether it may be asked; it takes no event. The account is the bot's or group's number
// at the service. An error says why in one word of Why.
func Try(ctx context.Context, s intake.Source, version string) (account string, err error) {
	if kinds[s.Preset].new == nil {
		return "", errors.New(s.Preset + " cannot be asked")
	}
	svc, err := open(s, version, 1, nil)
	if err != nil {
		return "", err
	}
	if account, err = svc.account(ctx); err != nil {
		return "", err
	}
	if s.Poll {
		return account, svc.free(ctx)
	}
	return account, nil
}

// Why is the reason of an error of Try, a value of the label `why`; empty when it has none.
func Why(err error) string {
	var t *trouble
	if errors.As(err, &t) {
		return t.why
	}
	return ""
}

// Run asks and watches until ctx ends.
func (c *Channels) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range c.all {
		if l.poll {
			g.Go(func() error { l.ask(ctx); return nil })
		} else if service, ok := l.service.(watched); ok {
			g.Go(func() error { l.watch(ctx, service); return nil })
		}
		if service, ok := l.service.(rememberer); ok {
			g.Go(func() error { l.pay(ctx, service); return nil })
		}
	}
	return g.Wait()
}

// most is how many events an answer may hold at first (Telegram's and MAX's own limit).
const most = 100

// asking is how far a line has come with its service.
type asking struct {
	account string
	cursor  string
	most    int
	at      time.Time // until then everything has come; zero: nobody knows
	noted   time.Time // when that was written down
	fails   int       // in a row
	again   [32]byte  // events that were kept and brought the cursor no further
}

// ask is the long poll: ask, keep, note, ask for what follows. Only a stop ends it.
func (l *line) ask(ctx context.Context) {
	a := asking{most: most}
	for ctx.Err() == nil {
		begun := time.Now()
		n, err := l.round(ctx, &a)
		if ctx.Err() != nil {
			return
		}
		pause := l.judge(&a, n, time.Since(begun), err)
		if pause > 0 && !sleep(ctx, l.shorter(pause)) {
			return
		}
	}
}

// judge counts and logs what a round came to, and says how long to wait before the next.
func (l *line) judge(a *asking, n int, took time.Duration, err error) time.Duration {
	if err == nil {
		if a.fails > 0 {
			l.log.Info().Int("after", a.fails).Msg("the service answers again")
		}
		a.fails, a.most = 0, most
		l.meter.up()
		l.meter.asked(true)
		if n == 0 && took < time.Second { // it does not wait as it was asked to
			return time.Second
		}
		return 0
	}
	a.fails++
	t := asTrouble(err)
	if t.why == whyUnreadable { // perhaps one event alone is; the others are to be had
		a.most = max(1, a.most/10)
	}
	l.meter.down(t.why)
	l.meter.asked(false)
	pause := backOff(a.fails, t)
	l.log.Warn().Str("why", t.why).Err(t.err).Int("tries", a.fails).Dur("again_in", pause).Msg("the service cannot be asked")
	return pause
}

// Waits after a failure: they double, with a share of chance, up to a minute.
const (
	firstWait = time.Second
	longest   = time.Minute
)

func backOff(fails int, t *trouble) time.Duration {
	d := min(firstWait<<min(fails-1, 10), longest)
	d += time.Duration(rand.Int64N(int64(d)/5 + 1))
	return max(d, t.wait)
}

// round asks once. n is how many events came and are kept.
func (l *line) round(ctx context.Context, a *asking) (n int, err error) {
	if a.account == "" {
		if err := l.begin(ctx, a); err != nil {
			return 0, err
		}
	}
	patience := wait
	if a.fails > 0 { // so that it soon shows that all is well again
		patience = time.Second
	}
	got, err := l.service.next(ctx, a.cursor, a.most, patience)
	if err != nil {
		return 0, err
	}
	if got.gap {
		l.log.Warn().Time("since", a.at).Msg("the service has forgotten events that were not asked for in time")
	}
	if len(got.events) > 0 {
		sum := sumOf(got.events)
		if got.cursor == a.cursor && sum == a.again { // kept before; a service that goes on like this would fill the disk
			return 0, &trouble{why: whyUnreadable, err: errors.New("the service tells the same again and names no way further")}
		}
		if err := l.kept(ctx)(got.events); err != nil {
			return 0, err
		}
		a.again = sum
	}
	now := time.Now().Round(0)
	stale := now.Sub(a.noted).Abs() > time.Minute
	if changed := l.kind.noted && got.cursor != a.cursor; changed || stale || got.gap {
		a.noted = now
		l.note(func(n *note) {
			if n.At = now; l.kind.noted {
				n.Cursor = got.cursor
			}
			if got.gap {
				l.owe(n, a.at)
			}
		})
	}
	a.cursor, a.at = got.cursor, now
	return len(got.events), nil
}

// begin asks whose token it is and goes on where an earlier run has stopped with the same account.
func (l *line) begin(ctx context.Context, a *asking) error {
	account, err := l.service.account(ctx)
	if err != nil {
		return err
	}
	n := l.remember(account)
	a.account, a.at = account, n.At
	if l.kind.noted {
		a.cursor = n.Cursor
	}
	if l.kind.keeps > 0 && !a.at.IsZero() && time.Since(a.at) > l.kind.keeps {
		l.note(func(n *note) { l.owe(n, a.at) })
	}
	l.log.Info().Str("account", account).Msg("the service is asked for messages")
	return nil
}

func sumOf(events [][]byte) [32]byte {
	h := sha256.New()
	for _, e := range events {
		fmt.Fprintf(h, "%d ", len(e))
		h.Write(e)
	}
	return [32]byte(h.Sum(nil))
}

func (l *line) shorter(d time.Duration) time.Duration { return time.Duration(float64(d) / l.hurry) }

// sleep reports false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
