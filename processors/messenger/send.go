package messenger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"leadstream/streams"
	"leadstream/streams/outbound"
)

// call makes the call of a job, and says what is to be kept of it.
func (m *Messenger) call(ctx context.Context, j *job) outbound.Change {
	ctx, cancel := context.WithTimeout(ctx, j.channel.Timeout)
	defer cancel()
	began := m.now()
	tried := m.try(ctx, j, j.change.Step.Address)
	step := *j.change.Step
	now := m.now()
	m.Metrics.tried(j.channel.Name, j.words.Purpose, tried.Result, now.Sub(began))
	msg := j.change.Message
	msg.State, msg.Due = j.change.State, j.change.Due // as the claim has left it
	c := m.judge(msg, step, j.channel, tried, now)
	if j.again && (c.Step.State == outbound.Again || c.Step.State == outbound.NotSent && tried.Means == outbound.NothingMore) {
		// This try has surely not gone, the one before may have: no other channel may have the message.
		c.State, c.Reason, c.Step.State, c.Due = outbound.Sending, reasonUnsure, outbound.Calling, maxTime(c.Due, now.Add(200*time.Millisecond))
		if c.Step.Tries >= tries {
			c.Step.State, c.Due = outbound.Unsure, now.Add(look)
		}
	}
	if c.Step.State == outbound.Accepted {
		m.tell(ctx, j, c.Step, now)
	}
	ev := m.Log.Info()
	if tried.Result != streams.Done {
		ev = m.Log.Warn()
	}
	ev.Str("message_id", msg.ID).Str("channel", j.channel.Name).Int("attempt", step.Tries+1).Str("result", tried.Result.String()).
		Str("code", tried.Code).AnErr("err", tried.Err).Dur("took", now.Sub(began)).Msg("message to a customer")
	return c
}

// try makes the call; once more, with the approved template, when the service says that only that gets through.
func (m *Messenger) try(ctx context.Context, j *job, to string) (tried outbound.Tried) {
	fault, asked := false, 0
	defer func() { j.server.Guard.Finish(asked, fault) }()
	for {
		if err := j.server.Guard.Call(ctx, 1); err != nil {
			return outbound.Tried{Verdict: streams.Verdict{Result: streams.Wait, After: time.Second, Err: err}}
		}
		asked++
		tried = m.safely(ctx, j, to)
		fault = tried.Fault
		if tried.Result == streams.Pause && tried.Scope == streams.ScopeSink {
			reason := ""
			if tried.Err != nil {
				reason = tried.Err.Error()
			}
			if err := j.server.Guard.PauseFor(ctx, m.now().Add(tried.After), reason, "channel"); err != nil {
				m.Log.Warn().Str("channel", j.channel.Name).Err(err).Msg("a pause is not shared with other daemons")
			}
		}
		m.pauseKey(ctx, j, tried)
		if tried.Means != outbound.NeedsTemplate || j.words.Approved != nil || j.instead == nil {
			return tried
		}
		j.words.Approved, j.change.Step.Approved = j.instead, true
	}
}

// pauseKey keeps what the service wants to be left alone with: one customer, or a method.
func (m *Messenger) pauseKey(ctx context.Context, j *job, tried outbound.Tried) {
	key := keyOf(&j.change.Message)
	switch {
	case tried.Result == streams.Pause && tried.Scope == streams.ScopeMethod:
		key = tried.PauseKey
	case tried.Result == streams.Wait, tried.Result == streams.Pause && tried.Scope == streams.ScopeKey:
	default:
		return
	}
	if err := j.server.Guard.PauseKey(ctx, key, m.now().Add(tried.After)); err != nil {
		m.Log.Warn().Str("channel", j.channel.Name).Err(err).Msg("a pause is not shared with other daemons")
	}
}

// keyOf names a customer among the keys that a channel may pause.
func keyOf(msg *outbound.Message) string { return "customer:" + strconv.FormatInt(msg.Customer, 10) }

// methodTemplate is the method of approved templates, by which channels name it in a pause.
const methodTemplate = "template"

// safely lets a channel that panics fail this message alone.
func (m *Messenger) safely(ctx context.Context, j *job, to string) (tried outbound.Tried) {
	defer func() {
		if p := recover(); p != nil { // what was panicked with may quote the message
			tried = outbound.Tried{Verdict: streams.Verdict{Result: streams.Ambiguous, Code: "panic", Err: errors.New("the channel panicked")}}
		}
	}()
	return j.server.Carrier.Send(ctx, to, j.words)
}

// judge turns a try into what becomes of the message.
func (m *Messenger) judge(msg outbound.Message, step outbound.Step, ch *Channel, tried outbound.Tried, now time.Time) outbound.Change {
	step.At, step.Code = now, tried.Code
	c := outbound.Change{Message: msg, State: outbound.Sending, Step: &step}
	note := func(ruling, reason string, until time.Time) {
		c.Ruling = &outbound.Ruling{Message: msg.ID, At: now, Channel: ch.Name, Ruling: ruling, Reason: reason, Until: until}
	}
	switch tried.Result {
	case streams.Done:
		step.State, step.Remote, step.SentAt, step.Tries = outbound.Accepted, tried.Remote, now, step.Tries+1
		note("state", string(outbound.Accepted), time.Time{})
		c.Due = now.Add(ch.Fallback)
		if rank(ch.Success) <= rank(outbound.Accepted) {
			c.State, c.Due = outbound.Done, now
		} else if _, ok := ch.Main.Carrier.(outbound.Asked); ok {
			c.Due = now.Add(3 * time.Second)
		}
	case streams.Wait, streams.Pause:
		step.State = outbound.Again
		c.State, c.Reason, c.Due = outbound.Waiting, cmp.Or(tried.Code, reasonDown), now.Add(max(tried.After, 200*time.Millisecond))
		note("wait", c.Reason, c.Due)
		// Others are looked for once the channel has had its time; where there are none, it is the one to wait for.
		if patient := msg.MadeAt.Add(ch.Fallback); mayGoOn(&msg) && c.Due.After(patient) {
			c.Due = maxTime(patient, now.Add(200*time.Millisecond))
		}
	case streams.Retry:
		m.again(&c, ch, tried, now)
		note("wait", cmp.Or(tried.Code, reasonRefused), c.Due)
	case streams.Ambiguous:
		if ch.Keyed {
			m.again(&c, ch, tried, now)
			note("wait", cmp.Or(tried.Code, reasonUnsure), c.Due)
			break
		}
		step.Tries++
		step.State = outbound.Unsure
		c.Reason, c.Due = reasonUnsure, now.Add(look)
		note("state", reasonUnsure, c.Due)
	default:
		step.Tries++
		m.goOn(&c, tried.Means, now)
	}
	return c
}

// again has the same channel tried once more, if it was not often enough.
func (m *Messenger) again(c *outbound.Change, ch *Channel, tried outbound.Tried, now time.Time) {
	c.Step.Tries++
	if c.Step.Tries >= tries {
		if tried.Result == streams.Ambiguous { // under its key, thrice: it may be there
			c.Step.State, c.Reason, c.Due = outbound.Unsure, reasonUnsure, now.Add(look)
			return
		}
		m.goOn(c, tried.Means, now)
		return
	}
	back := time.Duration(float64(time.Second) * float64(int(1)<<c.Step.Tries) * (0.8 + 0.4*rand.Float64()))
	c.Step.State = outbound.Again
	c.State, c.Reason, c.Due = outbound.Waiting, cmp.Or(tried.Code, reasonRefused), now.Add(max(back, tried.After))
	if tried.Result == streams.Ambiguous { // as after a crash in the call: no other channel may have it now
		c.Step.State, c.State = outbound.Calling, outbound.Sending
	}
}

// goOn gives a step up: the next channel is tried at once, unless what the service said is about the message itself.
func (m *Messenger) goOn(c *outbound.Change, means outbound.Means, now time.Time) {
	step := c.Step
	step.State, step.At = outbound.NotSent, now
	c.State, c.Reason, c.Due = outbound.Waiting, cmp.Or(step.Code, reasonRefused), now
	word := "next"
	switch means {
	case outbound.RouteDead:
		ch := m.channel(step.Channel)
		if ch != nil {
			c.Route = &outbound.Route{Channel: ch.Leads, Address: step.Address, DeadAt: now, Code: step.Code}
		}
	case outbound.OptedOut:
		c.Words = []outbound.Word{{Key: "channel:" + c.Message.ID + ":" + strconv.Itoa(step.N), At: now, Purpose: "marketing", How: "channel", Wording: step.Code}}
		if c.Message.Purpose == outbound.Promotion {
			c.State, c.Reason, word = outbound.Dropped, reasonOptedOut, "drop"
		}
	case outbound.NotThis:
		c.State, word = outbound.Failed, "fail"
	}
	if c.State == outbound.Waiting && !mayGoOn(&c.Message) {
		c.State, word = outbound.Failed, "fail"
	}
	if c.State == outbound.Waiting && !now.After(c.Message.Due) { // a change must be told from what was there
		c.Due = c.Message.Due.Add(-time.Millisecond)
		if c.Due.After(now) {
			c.Due = now
		}
	}
	c.Ruling = &outbound.Ruling{Message: c.Message.ID, At: now, Channel: step.Channel, Ruling: word, Reason: c.Reason}
}

// NewsSource is the source of the news that a customer was written to.
const NewsSource = "leadstream"

// tell has the news kept that the customer was written to, before it is noted that it went: what was said is never missing where
// people look for it. A daemon killed in between tells it all the same, or has not said it.
func (m *Messenger) tell(ctx context.Context, j *job, step *outbound.Step, now time.Time) {
	if m.Tell == nil {
		return
	}
	msg := &j.change.Message
	text := j.words.Text
	if j.channel.Short && j.words.Short != "" {
		text = j.words.Short
	}
	l := &streams.Lead{Source: NewsSource, Key: "message:" + j.words.ID, Event: "sent", EventAt: now.UTC(), Channel: j.channel.Leads, About: msg.About,
		Message: text, Fields: map[string]json.RawMessage{}}
	for name, value := range map[string]string{"message_id": step.Remote, "message": msg.ID, "template": msg.Template} {
		if value == "" {
			continue
		}
		if b, err := json.Marshal(value); err == nil {
			l.Fields[name] = b
		}
	}
	switch j.channel.Address {
	case "user":
		l.UserID = step.Address
		if strings.HasPrefix(step.Address, "+") && j.channel.ByPhone {
			l.UserID, l.Phone = "", step.Address
		}
	case "phone":
		l.Phone = step.Address
	case "email":
		l.Email = step.Address
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := m.Tell(ctx, l); err != nil {
		m.Log.Error().Str("message_id", msg.ID).Err(err).Msg("the history does not hear of a message that was sent")
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
