package messenger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"leadstream/processors/policy"
	"leadstream/processors/templates"
	"leadstream/streams/outbound"
	"leadstream/streams/visits"
)

// job is a message that was claimed for one call of a channel.
type job struct {
	change  outbound.Change // that claims it
	channel *Channel
	server  *Server
	words   outbound.Words
	instead *outbound.Approved // when the service says that its window is closed
	ask     *question          // instead of all that
	again   bool               // under its key: nobody knows whether the call before has got through
}

// question is what a service is asked about a message that it has. It may take long to answer: the others do not wait for it.
type question struct {
	asked outbound.Asked
	step  outbound.Step
	until time.Time // then the next channel is tried
}

// Reasons that are the messenger's own; the others are the policy's. The texts for people stand in reasons.go.
const (
	reasonLate       = "too_late"
	reasonNoRoute    = "no_route"
	reasonNoOther    = "no_other_channel"
	reasonNoText     = "no_text"
	reasonValue      = "missing_value"
	reasonBooking    = "booking_changed"
	reasonUnsure     = "unsure"
	reasonSilent     = "not_delivered"
	reasonDown       = "channel_down"
	reasonOnItsWay   = "another_on_its_way"
	reasonPair       = "pair_limit"
	reasonRefused    = "refused"
	reasonOptedOut   = "opted_out"
	reasonDeadRoute  = "route_dead"
	reasonNoTemplate = "no_approved_template"
	reasonPanic      = "panic"
)

// safelyPlan lets a panic cost this message alone: the daemon would find it due again at every start.
func (m *Messenger) safelyPlan(ctx context.Context, msg outbound.Message, begun map[string]int, now time.Time) (change *outbound.Change, j *job, err error) {
	defer func() {
		if p := recover(); p != nil { // what was panicked with may quote the message
			m.Log.Error().Str("message_id", msg.ID).Msg("the messenger panicked on this message: it is given up")
			change, j, err = end(msg, now, outbound.Failed, reasonPanic), nil, nil
		}
	}()
	return m.plan(ctx, msg, begun, now)
}

// plan decides what is done with a message that is due. Of a job nothing is begun yet but its place at the channel.
func (m *Messenger) plan(ctx context.Context, msg outbound.Message, begun map[string]int, now time.Time) (*outbound.Change, *job, error) {
	last := lastStep(&msg)
	if msg.State == outbound.Sending && last != nil {
		change, j, over := m.resume(msg, *last, now)
		if !over {
			return change, j, nil
		}
	}
	c, err := m.Store.Customer(ctx, msg.Customer)
	switch {
	case errors.Is(err, m.Unknown): // the others wait behind this one
		return end(msg, now, outbound.Failed, reasonNoRoute), nil, nil
	case err != nil:
		return nil, nil, err
	}
	if reason, err := m.void(ctx, &msg, now); err != nil || reason != "" {
		return drop(msg, now, reason), nil, err
	}
	if !msg.Deadline.IsZero() && now.After(msg.Deadline) {
		return end(msg, now, outbound.Failed, cmp.Or(msg.Reason, reasonLate)), nil, nil
	}
	if slices.ContainsFunc(c.Sent, func(p outbound.Past) bool {
		return p.State == outbound.Calling && p.Message != msg.ID && now.Sub(p.At) < look
	}) {
		return m.wait(msg, now, "", reasonOnItsWay, now.Add(300*time.Millisecond)), nil, nil
	}
	return m.route(ctx, msg, &c, begun, now)
}

func lastStep(msg *outbound.Message) *outbound.Step {
	if n := len(msg.Steps); n > 0 {
		return &msg.Steps[n-1]
	}
	return nil
}

// resume looks after a message that a channel has, or may have. over says that the next channel is to be tried.
func (m *Messenger) resume(msg outbound.Message, last outbound.Step, now time.Time) (change *outbound.Change, j *job, over bool) {
	ch := m.channel(last.Channel)
	fallback := 10 * time.Minute
	if ch != nil {
		fallback = ch.Fallback
	}
	switch last.State {
	case outbound.Calling: // the daemon was killed in the call, or has lost the database in it
		if ch != nil && ch.Keyed {
			return nil, nil, true // route finds the step and sends it again, under its id
		}
		last.State, last.At = outbound.Unsure, now
		return &outbound.Change{Message: msg, State: outbound.Sending, Reason: reasonUnsure, Due: now.Add(look), Step: &last,
			Ruling: &outbound.Ruling{At: now, Channel: last.Channel, Ruling: "state", Reason: reasonUnsure}}, nil, false
	case outbound.Unsure:
		// A service that tells of what it has delivered would have told. One that never does may have brought it, and a second
		// one would be one too many.
		if ch != nil && ch.Sure && now.Sub(last.At) < max(fallback, look) {
			return m.later(msg, now, last.At.Add(max(fallback, look))), nil, false
		}
		if ch == nil || !ch.Sure || !mayGoOn(&msg) {
			return end(msg, now, outbound.Done, reasonUnsure), nil, false
		}
		return nil, nil, true
	case outbound.Accepted, outbound.Sent, outbound.Delivered:
		if ch == nil || rank(last.State) >= rank(ch.Success) {
			return end(msg, now, outbound.Done, ""), nil, false
		}
		until := last.SentAt.Add(fallback)
		if asked, ok := ch.Main.Carrier.(outbound.Asked); ok && last.Remote != "" {
			if ch.asking.Add(1) > mostAsked {
				ch.asking.Add(-1)
				return m.later(msg, now, now.Add(time.Second)), nil, false
			}
			return nil, &job{channel: ch, ask: &question{asked, last, until}, change: *m.later(msg, now, now.Add(ch.Timeout+30*time.Second))}, false
		}
		if now.Before(until) {
			return m.later(msg, now, until), nil, false
		}
		if !mayGoOn(&msg) {
			return end(msg, now, outbound.Failed, reasonSilent), nil, false
		}
		return nil, nil, true
	}
	return nil, nil, true
}

// mayGoOn says whether another channel may carry what one has not delivered: never a promotion.
func mayGoOn(msg *outbound.Message) bool { return msg.Purpose != outbound.Promotion }

// mostAsked is how many questions a channel's service answers at one time.
const mostAsked = 8

// ask asks the service what became of a message, ever more seldom, and says what is to be kept.
func (m *Messenger) ask(ctx context.Context, j *job) outbound.Change {
	defer j.channel.asking.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, j.channel.Timeout)
	defer cancel()
	msg, q := j.change.Message, j.ask
	msg.Due = j.change.Due // as the claim has left it
	state, code, err := q.safely(ctx)
	now := m.now()
	if err == nil && (rank(state) > rank(q.step.State) || state == outbound.NotSent) {
		c := m.progress(msg, q.step.N, outbound.Status{Channel: j.channel.Name, State: state, Code: code, At: now}, now)
		if c.State == outbound.Sending {
			c.Due = q.next(now)
		}
		if c.Step != nil {
			return c
		}
	}
	switch {
	case now.Before(q.until):
		return *m.later(msg, now, q.next(now))
	case !mayGoOn(&msg):
		return *end(msg, now, outbound.Failed, reasonSilent)
	}
	return outbound.Change{Message: msg, State: outbound.Waiting, Reason: reasonSilent, Due: now,
		Ruling: &outbound.Ruling{Message: msg.ID, At: now, Channel: j.channel.Name, Ruling: "next", Reason: reasonSilent}}
}

func (q *question) next(now time.Time) time.Time {
	next := now.Add(min(max(now.Sub(q.step.SentAt)/2, 3*time.Second), 10*time.Minute))
	if next.After(q.until) && now.Before(q.until) {
		return q.until
	}
	return next
}

func (q *question) safely(ctx context.Context) (state outbound.StepState, code string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the channel panicked")
		}
	}()
	return q.asked.Ask(ctx, q.step.Address, q.step.Remote)
}

// void says why a message has no sense any more.
func (m *Messenger) void(ctx context.Context, msg *outbound.Message, now time.Time) (string, error) {
	if msg.Booking == "" || msg.Version == 0 {
		return "", nil
	}
	k, err := m.Store.Booking(ctx, msg.Booking)
	switch {
	case errors.Is(err, visits.ErrUnknown):
		return reasonBooking, nil
	case err != nil:
		return "", err
	case k.Version != msg.Version:
		return reasonBooking, nil
	case msg.Purpose == outbound.Reminder && (k.Status != visits.Booked || !k.Start.After(now)):
		return reasonBooking, nil
	}
	return "", nil
}

// way is a channel with the customer's address there.
type way struct {
	*Channel
	route outbound.Route
}

// ways are the channels by which a message may go, the best first: where the customer has written just now; what they
// prefer, or else write in; then the cheapest.
func (m *Messenger) ways(msg *outbound.Message, c *outbound.Customer) (ways []way) {
	for _, ch := range m.Channels {
		if !ch.carries(msg.Purpose) {
			continue
		}
		for _, r := range c.Routes {
			byPhone := ch.ByPhone && r.Kind == "phone" && !slices.ContainsFunc(c.Routes, func(o outbound.Route) bool { return o.Kind == "user" && o.Channel == ch.Leads })
			if !byPhone && (r.Kind != ch.Address || r.Kind == "user" && r.Channel != ch.Leads) {
				continue
			}
			for _, known := range c.Routes { // what is known of the channel at this phone or e-mail
				if r.Kind != "user" && known.Channel == ch.Leads && known.Address == r.Address {
					r.DeadAt, r.Code, r.HeardAt = known.DeadAt, known.Code, known.HeardAt
				}
			}
			ways = append(ways, way{ch, r})
		}
	}
	order := func(w way) int {
		switch {
		case w.Leads == msg.Channel && msg.Channel != "":
			return 0
		case w.Leads == c.Prefers:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(ways, func(a, b way) int {
		return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(a.Cost, b.Cost))
	})
	return ways
}

// route finds the channel for a message and claims it, or says why there is none now.
func (m *Messenger) route(ctx context.Context, msg outbound.Message, c *outbound.Customer, begun map[string]int, now time.Time) (*outbound.Change, *job, error) {
	text := m.Texts.Find(msg.Template, cmp.Or(msg.Language, c.Language, m.Language))
	if text == nil {
		return end(msg, now, outbound.Failed, reasonNoText), nil, nil
	}
	values, err := m.values(&msg, c, text.Language, now)
	if err != nil {
		return end(msg, now, outbound.Failed, reasonValue), nil, nil
	}
	said, err := m.Texts.Render(text, values)
	if err != nil {
		m.Log.Warn().Str("message_id", msg.ID).Err(err).Msg("a text to a customer cannot be filled in")
		return end(msg, now, outbound.Failed, reasonValue), nil, nil
	}
	why, again := reasonNoRoute, time.Time{}
	last, ways := lastStep(&msg), m.ways(&msg, c)
	open := last != nil && last.State == outbound.Calling // it may be there: nobody else may bring it, and this channel under its key alone
	for _, w := range ways {
		step := stepOf(&msg, w.Channel)
		switch {
		case open && (w.Name != last.Channel || w.route.Address != last.Address):
			continue
		case step != nil && step.State != outbound.Again && !(step.State == outbound.Calling && w.Keyed), step != nil && step.N != len(msg.Steps):
			continue // this channel has had its turn
		case step == nil && len(msg.Steps) > 0 && !mayGoOn(&msg):
			continue
		case w.route.Dead():
			why = reasonDeadRoute
			continue
		case w.Address == "user" && w.route.HeardAt.IsZero() && !w.First && !w.Template:
			continue
		}
		approved := m.approved(w.Channel, text, values)
		var as *outbound.Approved
		ruling, err := m.rule(ctx, msg, c, w, said.Content, as, begun[w.Name], now)
		if err == nil && ruling.Do == policy.Approve {
			if approved == nil || !w.Template {
				why = reasonNoTemplate
				continue
			}
			as = approved
			ruling, err = m.rule(ctx, msg, c, w, said.Content, as, begun[w.Name], now)
		}
		if err != nil {
			return nil, nil, err
		}
		switch ruling.Do {
		case policy.Drop:
			return drop(msg, now, ruling.Reason), nil, nil
		case policy.Wait:
			return m.wait(msg, now, w.Name, ruling.Reason, ruling.Until), nil, nil
		case policy.Next, policy.Approve:
			why = ruling.Reason
			if ruling.Until.After(now) {
				again = sooner(again, ruling.Until)
			}
			continue
		}
		if until := pairUntil(c, w.Channel, now); until.After(now) {
			return m.wait(msg, now, w.Name, reasonPair, until), nil, nil
		}
		var server *Server
		at := w.pausedUntil(ctx, keyOf(&msg), as != nil)
		if !at.After(now) {
			var wait time.Duration
			server, wait = w.free(ctx)
			at = now.Add(wait)
		}
		if server == nil {
			// It is worth waiting for the better channel for as long as it has to deliver.
			if open && !msg.Deadline.IsZero() && at.After(msg.Deadline) {
				continue
			}
			if !mayGoOn(&msg) || open || at.Before(msg.MadeAt.Add(w.Fallback)) {
				return m.wait(msg, now, w.Name, reasonDown, at), nil, nil
			}
			why, again = reasonDown, sooner(again, at)
			continue
		}
		return nil, m.claim(msg, step, w, server, outbound.Words{Purpose: msg.Purpose, Text: said.Text, Short: said.Short, Subject: said.Subject,
			Buttons: msg.Buttons, Approved: as}, approved, said.Content, now), nil
	}
	if open { // what it has said before is all that will be known
		unsure := *last
		unsure.State, unsure.At = outbound.Unsure, now
		return &outbound.Change{Message: msg, State: outbound.Sending, Reason: reasonUnsure, Due: now.Add(look), Step: &unsure,
			Ruling: &outbound.Ruling{Message: msg.ID, At: now, Channel: last.Channel, Ruling: "state", Reason: reasonUnsure}}, nil, nil
	}
	if !again.IsZero() { // no channel works just now: the first that does
		return m.wait(msg, now, "", why, again), nil, nil
	}
	if why == reasonNoRoute && len(msg.Steps) > 0 {
		why = reasonNoOther
	}
	return end(msg, now, outbound.Failed, why), nil, nil
}

// sooner is the first of two moments, of which zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// claim is the call of a channel that is about to begin. What it says is on the disk before the call is made.
func (m *Messenger) claim(msg outbound.Message, step *outbound.Step, w way, s *Server, words outbound.Words, approved *outbound.Approved, content string, now time.Time) *job {
	words.Again = step != nil
	if step == nil {
		step = &outbound.Step{N: len(msg.Steps) + 1, Channel: w.Name, Address: w.route.Address}
	}
	t := *step
	t.State, t.At, t.Content, t.Approved = outbound.Calling, now, content, words.Approved != nil
	words.ID = wordsID(&msg, &t)
	return &job{channel: w.Channel, server: s, words: words, instead: approved, again: step.State == outbound.Calling,
		change: outbound.Change{Message: msg, State: outbound.Sending, Due: now.Add(w.Timeout + lease), Step: &t}}
}

// wordsID is the same over tries of a step.
func wordsID(msg *outbound.Message, step *outbound.Step) string {
	return msg.ID + ":" + strconv.Itoa(step.N)
}

func stepOf(msg *outbound.Message, ch *Channel) *outbound.Step {
	for i := range msg.Steps {
		if msg.Steps[i].Channel == ch.Name {
			return &msg.Steps[i]
		}
	}
	return nil
}

// rule asks the policy.
func (m *Messenger) rule(ctx context.Context, msg outbound.Message, c *outbound.Customer, w way, content string, as *outbound.Approved, begun int, now time.Time) (policy.Ruling, error) {
	y, mo, d := now.In(m.Zone).Date()
	today, err := m.Store.SentSince(ctx, w.Name, time.Date(y, mo, d, 0, 0, 0, 0, m.Zone))
	if err != nil {
		return policy.Ruling{}, err
	}
	past := policy.Past{HeardAt: w.route.HeardAt, Paused: c.Paused, Today: today + begun}
	for _, k := range c.Consents {
		past.Consents = append(past.Consents, policy.Consent{Purpose: k.Purpose, Channel: k.Channel, Given: k.Given, At: k.At})
	}
	for _, s := range c.Sent {
		past.Sent = append(past.Sent, policy.Sent{ID: s.Message, Purpose: s.Purpose, Channel: s.Channel, Content: s.Content, Approved: s.Approved, At: s.At,
			Topic: policy.Event(outbound.Message{Topic: s.Topic, Booking: s.Booking, Version: s.Version})})
	}
	return m.Policy.Judge(policy.Ask{Message: msg, Channel: w.Name, Window: w.Window, Approved: as != nil, Content: content, Now: now, Zone: m.Zone}, past), nil
}

// pairUntil is when the channel may write to the customer again.
func pairUntil(c *outbound.Customer, ch *Channel, now time.Time) (until time.Time) {
	for _, s := range c.Sent {
		if at := s.At.Add(ch.Pair); s.Channel == ch.Name && at.After(until) {
			until = at
		}
	}
	if most := now.Add(ch.Pair); until.After(most) { // the clock was set back
		until = most
	}
	return until
}

func (m *Messenger) values(msg *outbound.Message, c *outbound.Customer, language string, now time.Time) (v templates.Values, err error) {
	if len(msg.Values) > 0 {
		if err := json.Unmarshal(msg.Values, &v); err != nil {
			return v, fmt.Errorf("values: %w", err)
		}
	}
	v.FirstName = cmp.Or(v.FirstName, c.Name)
	if v.LastVisit == "" && !c.LastVisit.IsZero() {
		v.LastVisit = templates.Ago(language, c.LastVisit, now, m.Zone)
	}
	return v, nil
}

// approved is the service's own template for a text; nil: it has none, or a value of it is not known.
func (m *Messenger) approved(ch *Channel, t *templates.Text, v templates.Values) *outbound.Approved {
	a, ok := ch.Approved[t.Name+"."+t.Language]
	if !ok {
		return nil
	}
	out := &outbound.Approved{Name: a.Name, Language: cmp.Or(a.Language, t.Language)}
	for _, name := range a.Parameters {
		value := m.Texts.Value(v, name)
		if value == "" {
			return nil
		}
		out.Parameters = append(out.Parameters, value)
	}
	return out
}

// wait puts a message off. A reason that is new is noted.
func (m *Messenger) wait(msg outbound.Message, now time.Time, channel, reason string, until time.Time) *outbound.Change {
	if !msg.Deadline.IsZero() && until.After(msg.Deadline) {
		c := end(msg, now, outbound.Failed, reason)
		if reason != reasonDown {
			c = drop(msg, now, reason)
		}
		return c
	}
	c := &outbound.Change{Message: msg, State: outbound.Waiting, Reason: reason, Due: until}
	if reason != msg.Reason {
		c.Ruling = &outbound.Ruling{Message: msg.ID, At: now, Channel: channel, Ruling: "wait", Reason: reason, Until: until}
		m.Metrics.held(reason)
	}
	return c
}

// later has a message looked at again; nothing else changes.
func (m *Messenger) later(msg outbound.Message, now, due time.Time) *outbound.Change {
	if !due.After(now) {
		due = now.Add(time.Second)
	}
	return &outbound.Change{Message: msg, State: msg.State, Reason: msg.Reason, Due: due}
}

func drop(msg outbound.Message, now time.Time, reason string) *outbound.Change {
	return end(msg, now, outbound.Dropped, reason)
}

func end(msg outbound.Message, now time.Time, state outbound.State, reason string) *outbound.Change {
	word := map[outbound.State]string{outbound.Done: "done", outbound.Dropped: "drop", outbound.Failed: "fail"}[state]
	return &outbound.Change{Message: msg, State: state, Reason: reason, Due: now,
		Ruling: &outbound.Ruling{Message: msg.ID, At: now, Ruling: word, Reason: reason}}
}
