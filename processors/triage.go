// Package processors judges leads: triage says what one is, tagging where it goes, and the teller sees to it that a
// person hears of those that did not arrive. It moves nothing itself: its verdicts are the engine's orders, and what
// reaches a person or a system goes through interfaces that the daemon fills with sinks.
package processors

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"leadstream/processors/intent"
	"leadstream/processors/slots"
	"leadstream/streams"
)

// Triage is the handler of the intake queue: it normalises contacts, finds repeats, and says what a lead wants, in which
// language, and whether a person is to answer.
type Triage struct {
	Lacking  Completer    // nil: leads are judged as they came
	Wants    Wants        // nil: what a message wants is not known
	Slots    slots.Reader // of the particulars
	Adviser  Adviser      // has a second opinion; nil: nobody has
	Pupil    Pupil        // nil: nobody learns
	Escalate Escalate
	Dedupe   *Dedupe // nil: no lead is a repeat
	Region   string  // default country for phone numbers, "RU"

	// Find answers the lead that news are about, if it was taken here: of news that name nobody it says whose they are. Nil:
	// such news stay nobody's.
	Find func(leadID string) (*streams.Lead, bool)

	Language string // of leads that hold no words: "ru" or "en"
	Log      zerolog.Logger
}

// Wants says what a message wants. It is *intent.Current, of which the model can be changed at any time.
type Wants interface {
	Read(text string) intent.Result
}

// Completer fetches what leads lack before they are judged: their files, or the answers of a form of which only the
// number has come.
type Completer interface {
	// Complete completes l as far as it can be now, without waiting. Unless it is whole, the verdict is its entry's.
	Complete(l *streams.Lead) (v streams.Verdict, whole bool)
}

var (
	_ streams.Handler = (*Triage)(nil)
	_ streams.Handler = (*Tagging)(nil)
)

// redisPause is how long a batch waits when something that it needs is away; it costs no attempt.
const redisPause = time.Second

// Handle judges a batch, one verdict an entry.
func (t *Triage) Handle(ctx context.Context, batch []*streams.Entry) []streams.Verdict {
	verdicts := make([]streams.Verdict, len(batch))
	var leads []*streams.Lead
	var at []int              // place of each of leads in batch
	var read []*intent.Result // in their messages
	var known []*streams.Lead // those in whose order repeats are found: leads, and news that end what there was to repeat
	var knownAt []int
	incomplete := map[string]bool{}
	for i, e := range batch {
		if e.Lead == nil {
			verdicts[i] = streams.Verdict{Result: streams.Permanent, Err: errors.New("the entry holds no lead")}
			continue
		}
		l := *e.Lead // the entry stays as it came: it may be handed out again
		if l.ID == "" {
			l.ID = streams.NewID(e.Queue, e.ID)
		}
		order := e.Lead.OrderKey()
		if incomplete[order] { // it is not judged before what it came behind
			verdicts[i] = streams.Verdict{Result: streams.Wait}
			continue
		}
		t.normalize(&l)
		if l.Event != "" { // news: nothing to classify, and no repeat of an enquiry
			t.whose(&l)
			verdicts[i] = streams.Verdict{Followers: []streams.Follower{{Queue: streams.Triaged, Lead: &l}}}
			if ends(&l) {
				known, knownAt = append(known, &l), append(knownAt, i)
			}
			continue
		}
		if v, whole := t.complete(&l); !whole {
			incomplete[order] = v.Result == streams.Wait
			verdicts[i] = v
			continue
		}
		read = append(read, t.understand(&l))
		leads, at = append(leads, &l), append(at, i)
		known, knownAt = append(known, &l), append(knownAt, i)
	}
	firsts := make([]string, len(batch))
	if t.Dedupe != nil {
		found, err := t.Dedupe.Firsts(ctx, known)
		for n, i := range knownAt {
			if err != nil {
				verdicts[i] = streams.Verdict{Result: streams.Wait, After: redisPause, Err: err}
			} else {
				firsts[i] = found[n]
			}
		}
		if err != nil {
			return verdicts
		}
	}
	unclear := t.consult(ctx, leads, read)
	for n, l := range leads {
		if t.Dedupe != nil {
			l.RepeatOf = firsts[at[n]]
		}
		verdicts[at[n]] = t.judge(l)
		if t.Pupil != nil && read[n] != nil {
			t.Pupil.Judged(l, unclear[n])
		}
	}
	return verdicts
}

// complete has what the lead lacks fetched.
func (t *Triage) complete(l *streams.Lead) (v streams.Verdict, whole bool) {
	if t.Lacking == nil {
		return v, true
	}
	if v, whole = t.Lacking.Complete(l); whole {
		t.normalize(l)
	}
	return v, whole
}

// normalize does again what the shim did, for leads that came by XADD. It changes nothing that is normal already.
func (t *Triage) normalize(l *streams.Lead) {
	if p, ok := streams.NormalizePhone(l.Phone, t.Region); ok {
		l.Phone = p
	}
	if e, ok := streams.NormalizeEmail(l.Email); ok {
		l.Email = e
	}
}

// whose gives news that name nobody the contacts of the lead that they are about.
func (t *Triage) whose(l *streams.Lead) {
	if t.Find == nil || l.About == "" || l.Phone != "" || l.Email != "" || l.UserID != "" {
		return
	}
	if of, ok := t.Find(l.About); ok {
		l.Phone, l.Email, l.UserID = of.Phone, of.Email, of.UserID
		if l.UserID != "" {
			l.Channel = of.Channel
		}
	}
}

func (t *Triage) judge(l *streams.Lead) streams.Verdict {
	message := book.read(words(l.Message))
	t.escalate(l, message)
	if l.Language == "" {
		l.Language = language(t.Language, l.Message, l.Service)
	}
	t.Log.Debug().Str("lead", l.ID).Str("queue", streams.Intake).Str("intent", l.Intent).
		Float64("confidence", l.Confidence).Bool("answered", l.Answered).Str("person", l.Person).Msg("triaged")
	return streams.Verdict{Followers: []streams.Follower{{Queue: streams.Triaged, Lead: l}}}
}
