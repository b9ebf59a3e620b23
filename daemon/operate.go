package main

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"leadstream/processors"
	"leadstream/processors/unanswered"
	"leadstream/streams"
)

// operator answers the admin API from the engine.
type operator struct {
	cfg          *Config
	custody      *streams.Custody
	engine       *streams.Engine
	destinations []*destination
	started      time.Time
	late         func(string) time.Duration
	scores       func() processors.Calibration
	watch        *unanswered.Watch // nil: there are no records
}

var _ Operator = (*operator)(nil)

func (o *operator) Life(_ context.Context, id string) (streams.Life, error) {
	l, ok := o.custody.Life(id)
	if !ok {
		return l, ErrNotFound
	}
	return l, nil
}

// pageLimit is the size of a page of which nobody said how large it should be.
const pageLimit = 100

func (o *operator) Lives(_ context.Context, q LeadQuery) (LeadPage, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = pageLimit
	}
	page := LeadPage{Leads: []streams.Life{}}
	after := q.Cursor
	for {
		lives := o.custody.Lives(streams.Query{State: q.State, Source: q.Source, Since: q.Since, Until: q.Until, After: after, Limit: limit + 1})
		for i, l := range lives {
			if i == limit {
				break
			}
			after = l.ID
			if !o.holds(l, q.Text) {
				continue
			}
			page.Leads = append(page.Leads, l)
			if len(page.Leads) == limit {
				page.Next = after
				return page, nil
			}
		}
		if len(lives) <= limit {
			return page, nil
		}
	}
}

// holds says whether a lead has the text in its id, phone, e-mail or name.
func (o *operator) holds(l streams.Life, text string) bool {
	if text == "" || strings.HasPrefix(l.ID, text) {
		return true
	}
	lead, ok := o.custody.Lead(l.ID)
	return ok && leadHolds(lead, text)
}

func leadHolds(l *streams.Lead, text string) bool {
	text = strings.ToLower(text)
	return text == "" || slices.ContainsFunc([]string{l.ID, l.Phone, l.Email, l.Name}, func(s string) bool {
		return strings.Contains(strings.ToLower(s), text)
	})
}

func (o *operator) Status(ctx context.Context) (Status, error) {
	tally := o.custody.Tally()
	s := Status{Scores: o.scores(), Version: version(), Instance: o.custody.Instance, Started: o.started, Leads: tally.States,
		Unexplained: o.engine.Unexplained(), Unforwarded: tally.Unforwarded}
	standings, _ := o.custody.Standings(o.late)
	queues := map[string]streams.QueueState{}
	say := lang(o.cfg.Language).say
	if down := o.engine.RedisDownFor(); down > 0 {
		s.Problems = append(s.Problems, say("Redis has not answered for %s; leads are kept in the journal", "Redis не отвечает %s; заявки целы в журнале", down.Round(time.Second)))
	} else if states, err := o.engine.Queues(ctx); err != nil {
		s.Problems = append(s.Problems, say("Queues cannot be read: %v", "Очереди не прочитать: %v", err))
	} else {
		for _, q := range states {
			queues[q.Queue] = q
		}
	}
	if err := o.custody.Healthy(); err != nil {
		s.Problems = append(s.Problems, say("The journal takes no leads: %v", "Журнал не принимает заявки: %v", err))
	}
	if s.Unexplained > 0 {
		s.Problems = append(s.Problems, say("%d leads are in no queue; they are driven again within a minute", "Заявок не видно ни в одной очереди: %d; они будут отправлены заново в течение минуты", s.Unexplained))
	}
	answers, err := o.answers(ctx)
	if err != nil {
		s.Problems = append(s.Problems, say("The records do not say how long customers wait: %v", "Записи не отвечают, сколько ждут клиенты: %v", err))
	} else if s.Answers = answers; answers != nil && answers.Hot > 0 {
		s.Problems = append(s.Problems, say("Hot leads that nobody has answered: %d, the oldest for %s of working time, %d %s at stake",
			"Горячие заявки без ответа человека: %d, старейшая ждёт %s рабочего времени, на кону %d %s", answers.Hot, waited(answers.Longest), answers.Worth, sign(o.cfg.Currency)))
	}
	for _, d := range o.destinations {
		s.Destinations = append(s.Destinations, d.status(ctx, queues, standings[d.name]))
	}
	return s, nil
}

func (d *destination) status(ctx context.Context, queues map[string]streams.QueueState, n streams.Standing) DestinationStatus {
	st := d.guard.State(ctx)
	s := DestinationStatus{Name: d.name, Kind: d.cfg.Kind, State: "ok", Dead: n.Dead, Held: n.Held}
	switch {
	case st.Paused:
		s.State, s.Until, s.Reason = "paused", st.PausedUntil, st.PauseReason
	case st.Breaker != "closed":
		s.State = st.Breaker
	}
	for _, name := range []string{streams.Destined(d.name), streams.Destined(d.name) + ":hot"} {
		q := queues[name]
		s.Waiting += int(q.Length)
		s.Parked += int(q.Parked)
		if !q.Oldest.IsZero() && (s.Oldest.IsZero() || q.Oldest.Before(s.Oldest)) {
			s.Oldest = q.Oldest
		}
	}
	return s
}

func (o *operator) DeadLetters(ctx context.Context, q DeadQuery) (DeadPage, error) {
	all, err := o.dead(ctx, q)
	if err != nil {
		return DeadPage{}, err
	}
	if q.Cursor != "" {
		i := slices.IndexFunc(all, func(d streams.DeadLetter) bool { return d.ID == q.Cursor })
		all = all[i+1:]
	}
	limit := q.Limit
	if limit <= 0 {
		limit = pageLimit
	}
	page := DeadPage{Dead: all}
	if len(all) > limit {
		page = DeadPage{Dead: all[:limit], Next: all[limit-1].ID}
	}
	if page.Dead == nil {
		page.Dead = []streams.DeadLetter{}
	}
	return page, nil
}

// dead reads the selected dead letters, newest first.
func (o *operator) dead(ctx context.Context, q DeadQuery) ([]streams.DeadLetter, error) {
	var all []streams.DeadLetter
	for _, p := range o.engine.Partitions() {
		err := p.Dead(ctx, func(d streams.DeadLetter) bool {
			if selects(q, d) {
				all = append(all, d)
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].At.After(all[j].At) })
	return all, nil
}

func selects(q DeadQuery, d streams.DeadLetter) bool {
	return (len(q.IDs) == 0 || slices.Contains(q.IDs, d.ID) || slices.Contains(q.IDs, d.Lead.ID)) &&
		(q.State == "" || q.State == d.State) && (q.Destination == "" || q.Destination == d.Destination) &&
		(q.Source == "" || q.Source == d.Lead.Source) && (q.Since.IsZero() || !d.At.Before(q.Since)) &&
		(q.Until.IsZero() || d.At.Before(q.Until)) && leadHolds(d.Lead, q.Text)
}

func (o *operator) DeadLetter(ctx context.Context, id string) (streams.DeadLetter, error) {
	all, err := o.dead(ctx, DeadQuery{IDs: []string{id}})
	if err != nil {
		return streams.DeadLetter{}, err
	}
	if len(all) == 0 {
		return streams.DeadLetter{}, ErrNotFound
	}
	return all[0], nil
}

func (o *operator) Replay(ctx context.Context, q DeadQuery) (int, error) {
	return o.each(ctx, q, func(p *streams.Partition, id string) error { return p.Replay(ctx, id) })
}

func (o *operator) DropDead(ctx context.Context, q DeadQuery, reason string) (int, error) {
	return o.each(ctx, q, func(p *streams.Partition, id string) error { return p.Discard(ctx, id, reason) })
}

func (o *operator) each(ctx context.Context, q DeadQuery, do func(*streams.Partition, string) error) (int, error) {
	all, err := o.dead(ctx, q)
	if err != nil {
		return 0, err
	}
	slices.Reverse(all) // the oldest first: a customer's leads in their order
	n := 0
	for _, d := range all {
		part, id, _ := strings.Cut(d.ID, "/")
		i, err := strconv.Atoi(part)
		if err != nil || i >= len(o.engine.Partitions()) {
			return n, fmt.Errorf("dead letter %s: %w", d.ID, ErrNotFound)
		}
		if err := do(o.engine.Partitions()[i], id); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (o *operator) Pause(ctx context.Context, name string, d time.Duration, reason string) error {
	dest, err := o.named(name)
	if err != nil {
		return err
	}
	var until time.Time // zero: until somebody resumes it
	if d > 0 {
		until = time.Now().Add(d)
	}
	return dest.guard.PauseFor(ctx, until, reason, "operator")
}

func (o *operator) Resume(ctx context.Context, name string) error {
	dest, err := o.named(name)
	if err != nil {
		return err
	}
	return dest.guard.Resume(ctx, "operator")
}

func (o *operator) named(name string) (*destination, error) {
	i := slices.IndexFunc(o.destinations, func(d *destination) bool { return d.name == name })
	if i < 0 {
		return nil, ErrNotFound
	}
	return o.destinations[i], nil
}
