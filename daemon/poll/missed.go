package poll

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"
)

// rememberer is a service that can be asked for what was said, whoever has been told of it before.
type rememberer interface {
	// talks lists the conversations in which something may have been said since, by pages: the first is at the empty place.
	talks(ctx context.Context, since time.Time, place string) (page, error)

	// said gives keep what people said in a conversation since, older things first. What cannot be read is given along as it is: whoever
	// keeps it puts it aside. errClosed says that nobody may read the conversation any more.
	said(ctx context.Context, talk string, since time.Time, keep func(events [][]byte) error) error
}

// page is a part of a list of conversations.
type page struct {
	talks  []string
	next   string // where the following part is; empty: this was the last
	broken int    // entries of the list that cannot be read
	cut    error  // why the service does not show what more there is; nil: it shows all
}

// errClosed is of a conversation that its customer has closed.
var errClosed = errors.New("the conversation is closed to us")

// debt is what was perhaps never brought: that of an outage, or of a webhook that tries but once. It is paid beside what
// comes meanwhile, and stands in the notes until it is.
type debt struct {
	Since time.Time `json:"since"` // what was said from then on
	Until time.Time `json:"until"` // and to then: later things were brought
	Talks []string  `json:"talks,omitempty"`
}

// Bounds of what is fetched after an outage. Nothing is fetched of which the journal may have forgotten that it knows it
// (its memory is 48 h at least), and beyond what is known to be missing a little more: clocks differ.
const (
	farthest = 40 * time.Hour
	overlap  = 10 * time.Minute
)

// owe adds to a note what may be missing since. A zero time owes nothing: what was said before leadstream was there is not
// its business.
func (l *line) owe(n *note, since time.Time) {
	now := time.Now().Round(0) // without the monotonic clock: it is compared with an earlier run's
	if since.IsZero() {
		return
	}
	if since.After(now) { // the clock was set
		since = now
	}
	if l.kind.keeps > 0 && now.Sub(since) > l.kind.keeps {
		l.lose(lostForgotten).Time("since", since).Dur("kept", l.kind.keeps).
			Msg("the service keeps what it could not bring for a shorter time: look for earlier messages at the service itself")
	}
	if _, ok := l.service.(rememberer); !ok {
		return
	}
	d := &debt{Since: since.Add(-overlap), Until: now}
	if n.Owed != nil && n.Owed.Since.Before(d.Since) {
		d.Since = n.Owed.Since
	}
	n.Owed = l.clipped(d)
}

// clipped leaves out of a debt what is too old to be fetched, and says so; nil: nothing else was in it.
func (l *line) clipped(d *debt) *debt {
	first := time.Now().Round(0).Add(-farthest)
	if d == nil || first.Sub(d.Since) < time.Hour { // it ages while it is paid, and that is not worth a word each time
		return d
	}
	l.lose(lostTooLong).Time("since", d.Since).Time("until", d.Until).Time("from", first).
		Msg("what was said so long ago is not fetched any more: look for it at the service itself")
	if d.Until.Before(first) {
		return nil
	}
	return &debt{Since: first, Until: d.Until, Talks: d.Talks}
}

// lose counts what nobody will bring any more, and begins the line of the log that says so.
func (l *line) lose(why string) *zerolog.Event {
	l.meter.lose(why)
	return l.log.Error().Str("why", why)
}

// pay fetches what is owed, whenever something is. Only a stop ends it.
func (l *line) pay(ctx context.Context, service rememberer) {
	var all, left attempt
	var w *paying
	for ctx.Err() == nil {
		n := l.note(func(n *note) { n.Owed, n.Left = l.clipped(n.Owed), l.clipped(n.Left) })
		if n.Owed == nil {
			all, w = attempt{}, nil
		} else if w == nil || w.owed != n.Owed { // another than before: what was read for that may not be all
			all, w = attempt{}, &paying{line: l, service: service, owed: n.Owed, done: map[string]bool{}, failed: map[string]bool{}}
		}
		if n.Left == nil {
			left = attempt{}
		}
		l.meter.missing(all.fails+left.fails > 0)
		now := time.Now()
		switch {
		case n.Owed != nil && !now.Before(all.next):
			err := w.all(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				l.putOff(&all, asTrouble(err), longest)
				continue
			}
			l.log.Info().Time("since", n.Owed.Since).Int("conversations", len(w.done)).Int("failed", len(w.failed)).Int("messages", w.messages).
				Msg("what was said meanwhile is fetched; what was known is the same lead")
			l.note(func(now *note) { now.settle(n.Owed, w.failed) })
		case n.Left != nil && !now.Before(left.next):
			w := &paying{line: l, service: service, owed: n.Left, done: map[string]bool{}, failed: map[string]bool{}}
			err := w.read(ctx, n.Left.Talks, false)
			if ctx.Err() != nil {
				return
			}
			l.note(func(now *note) { now.settleLeft(w.done) })
			if err == nil && len(w.failed) > 0 {
				err = &trouble{why: whyMissed, wait: watchBroken, err: errors.New("conversations that cannot be read")}
			}
			if err != nil {
				l.putOff(&left, asTrouble(err), longestLeft)
			}
		default:
			l.rest(ctx, n, all.next, left.next)
		}
	}
}

// attempt is how often something was tried in vain, and when it may be tried again.
type attempt struct {
	fails int
	next  time.Time
}

// longestLeft is the longest pause between tries at conversations that cannot be read while all others are.
const longestLeft = 30 * time.Minute

func (l *line) putOff(a *attempt, t *trouble, most time.Duration) {
	a.fails++
	pause := max(min(firstWait<<min(a.fails-1, 20), most), t.wait)
	a.next = time.Now().Add(l.shorter(pause))
	l.log.Error().Str("why", t.why).Err(t.err).Int("tries", a.fails).Dur("again_in", pause).
		Msg("a part of what was said meanwhile is not fetched yet; new messages come as ever")
}

// rest waits for the next try, or for something new to be owed.
func (l *line) rest(ctx context.Context, n note, all, left time.Time) {
	wait := time.Hour
	if n.Owed != nil {
		wait = min(wait, time.Until(all))
	}
	if n.Left != nil {
		wait = min(wait, time.Until(left))
	}
	t := time.NewTimer(max(wait, 0))
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.owes:
	case <-ctx.Done():
	}
}

// settle takes a debt that was paid out of the note, but for the conversations that failed. A newer one stays.
func (n *note) settle(paid *debt, failed map[string]bool) {
	if len(failed) > 0 {
		left := &debt{Since: paid.Since, Until: paid.Until}
		if n.Left != nil {
			left.Talks = n.Left.Talks
			if n.Left.Since.Before(left.Since) {
				left.Since = n.Left.Since
			}
			if n.Left.Until.Before(left.Until) { // the older is not to live as long as there are newer ones
				left.Until = n.Left.Until
			}
		}
		left.Talks = slices.Clone(left.Talks)
		for talk := range failed {
			if !slices.Contains(left.Talks, talk) {
				left.Talks = append(left.Talks, talk)
			}
		}
		slices.Sort(left.Talks)
		n.Left = left
	}
	if n.Owed == paid {
		n.Owed = nil
	}
}

func (n *note) settleLeft(done map[string]bool) {
	if n.Left == nil {
		return
	}
	left := *n.Left
	left.Talks = slices.DeleteFunc(slices.Clone(left.Talks), func(talk string) bool { return done[talk] })
	if n.Left = &left; len(left.Talks) == 0 {
		n.Left = nil
	}
}

// paying is a debt on its way.
type paying struct {
	line         *line
	service      rememberer
	owed         *debt
	done, failed map[string]bool // conversations
	messages     int
}

// all reads every conversation of the list once, until the list holds none that was not tried: one in which somebody writes
// meanwhile jumps from a place before us to one behind us. Its error says that there is no use in going on for now.
func (w *paying) all(ctx context.Context) error {
	for since := w.owed.Since; ; {
		begun := time.Now().Add(-overlap)
		fresh := false
		for place := ""; ; {
			p, err := w.service.talks(ctx, since, place)
			if err != nil {
				return err
			}
			if p.broken > 0 {
				w.line.lose(lostUnreadable).Int("entries", p.broken).Msg("entries of the list of conversations cannot be read: look for what was said in them at the service itself")
			}
			if p.cut != nil {
				w.line.lose(lostHidden).Err(p.cut).Time("since", since).Msg("the service does not show all that was said: look for the rest at the service itself")
			}
			untried := slices.DeleteFunc(p.talks, func(talk string) bool { return w.done[talk] || w.failed[talk] })
			fresh = fresh || len(untried) > 0
			if err := w.read(ctx, untried, true); err != nil {
				return err
			}
			if p.next == "" || p.next == place {
				break
			}
			place = p.next
		}
		if !fresh {
			return nil
		}
		since = begun
	}
}

// mostInARow is how many conversations may fail one after the other before the service itself is held to be ill.
const mostInARow = 3

// read reads conversations. One that fails keeps no other from being read; with doubt, several in a row are an error.
func (w *paying) read(ctx context.Context, talks []string, doubt bool) error {
	keep := w.line.kept(ctx)
	row := 0
	for _, talk := range talks {
		err := w.service.said(ctx, talk, w.owed.Since, func(events [][]byte) error {
			w.messages += len(events)
			return keep(events)
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil || errors.Is(err, errClosed) {
			w.done[talk], row = true, 0
			continue
		}
		t := asTrouble(err)
		if t.why == whyJournal || t.why == whyUnreachable && t.wait > 0 { // it says when
			return err
		}
		w.failed[talk] = true
		w.line.log.Error().Str("why", t.why).Err(t.err).Msg("a conversation cannot be read; it is tried again beside the others")
		if row++; doubt && row >= mostInARow {
			return err
		}
	}
	return nil
}
