package main

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"leadstream/daemon/drill"
	"leadstream/daemon/proof"
	"leadstream/processors/messenger"
	"leadstream/sinks"
	"leadstream/sinks/records"
	"leadstream/sinks/sim/fault"
	"leadstream/sinks/talk"
	"leadstream/streams/outbound"
)

// A drill answers the customers that it has invented, by the channels of the config whose service it plays: the messengers that
// leads come from, and SMS and e-mail. The simulated services keep what they have brought, and the daemon's records what it has sent.

// talks is what a simulated service knows of messages to customers.
type talks struct {
	put   map[string]any // its address and secrets, for the channel's block
	sends string         // its call that takes a message, as faults name it
	box   interface {
		Inject(fault.Fault)
		Clear()
	}
	mute func(bool)                    // takes messages and brings none; nil: it tells nobody whether it has
	said func(address string) []string // the texts that it has for somebody
}

// channelPresets are the presets of sources whose service takes a channel's messages.
var channelPresets = []string{"telegram", "vk", "max", "whatsapp"}

// drillAnswers keeps the channels that can be played; nil: there are none.
func drillAnswers(answers map[string]any, asWritten *Config, shorten float64, sims *simulators) map[string]any {
	written := block(answers, "channels")
	channels := map[string]any{}
	for name := range written {
		one := block(written, name)
		kind, _ := one["kind"].(string)
		put := sims.channel(name, kind, one)
		if put == nil {
			continue
		}
		own := map[string]reflect.Type{}
		addFields(own, reflect.TypeOf(talk.Kinds[kind].Settings()).Elem())
		out := map[string]any{}
		for key, v := range one {
			if _, ofKind := own[key]; !ofKind && key != "backup" {
				out[key] = v
			}
		}
		maps.Copy(out, put)
		wait := asWritten.Answers.Channels[name].FallbackAfter
		out["fallback_after"] = max(time.Duration(float64(wait)/shorten), time.Second).Round(time.Millisecond).String()
		channels[name] = out
	}
	if len(channels) == 0 {
		return nil
	}
	out := map[string]any{"channels": channels, "unanswered": map[string]any{"after": "0s"}} // nobody sees to invented customers
	for _, key := range []string{"dialogue", "deadline", "policy"} {
		if v, ok := answers[key]; ok {
			out[key] = v
		}
	}
	texts := block(answers, "texts")
	if dir := asWritten.Answers.Texts.Dir; dir != "" { // by its whole path: the drill's config.yaml stands elsewhere
		texts["dir"] = dir
	}
	if len(texts) > 0 {
		out["texts"] = texts
	}
	return out
}

// channel finds the service that plays a channel, and answers its address and secrets; nil: none does.
func (s *simulators) channel(name, kind string, written map[string]any) map[string]any {
	if slices.Contains(channelPresets, kind) {
		for _, source := range slices.Sorted(maps.Keys(s.carriers)) {
			if c := s.carriers[source]; c.preset == kind && c.talks.put != nil {
				s.talks[name] = c.talks
				return c.talks.put
			}
		}
		return nil
	}
	sink := strings.TrimPrefix(kind, "sms_")
	if kind == "sms_http" || sink == "ru" {
		sink = map[string]string{"sms_http": "sms_http", "sms_ru": "smsru"}[kind]
	}
	stand, ok := standIns[sink]
	if !ok || talk.Kinds[kind].Settings == nil {
		return nil
	}
	put := stand.put(s, "", written)
	delete(s.people, strings.TrimPrefix(fmt.Sprint(put["to"]), "+")) // a customer is nobody's sink
	delete(put, "to")
	if kind == "email" {
		s.talks[name] = talks{said: func(to string) (all []string) {
			for _, m := range s.mail.Messages() {
				if m.To == to {
					all = append(all, m.Subject)
				}
			}
			return all
		}}
		return put
	}
	s.talks[name] = talks{box: s.phone, said: func(to string) (all []string) {
		for _, m := range s.phone.Messages() {
			if strings.TrimPrefix(m.To, "+") == strings.TrimPrefix(to, "+") {
				all = append(all, m.Text)
			}
		}
		return all
	}}
	return put
}

// spoil makes the messengers' channels misbehave; SMS and e-mail, which may have to stand in, stay well.
func (s *simulators) spoil(f drill.Fault) {
	for _, t := range s.talks {
		bad, ok := map[drill.Fault]fault.Fault{
			drill.ChannelDown:   {Status: 503},
			drill.ChannelSlow:   {Delay: slowAnswer},
			drill.ChannelBusy:   {Status: 429, Code: "too.many.requests", Description: "Too Many Requests: retry after 2", RetryAfter: "2"},
			drill.ChannelSilent: {LoseAnswer: true, Probability: 0.5},
		}[f]
		switch {
		case t.sends == "":
		case f == drill.ChannelMute && t.mute != nil:
			t.mute(true)
		case ok:
			bad.Method = t.sends
			t.box.Clear()
			t.box.Inject(bad)
		}
	}
}

// heal ends that.
func (s *simulators) heal() {
	for _, t := range s.talks {
		if t.sends != "" {
			t.box.Clear()
			if t.mute != nil {
				t.mute(false)
			}
		}
	}
}

// kept opens the records of the drilled daemon; nil: nobody is written to, or they are a running daemon's.
func (d *drillRun) kept() (*records.Store, func() error, error) {
	if d.cmd.Target || len(d.sims.talks) == 0 {
		return nil, func() error { return nil }, nil
	}
	sink, err := records.Kind.Open(records.Kind.Settings(), sinks.Env{DataDir: d.world.Data})
	if err != nil {
		return nil, nil, err
	}
	store := sink.(*records.Sink).Store
	return store, store.Close, nil
}

// said waits until no message to a customer waits any more.
func (d *drillRun) said(ctx context.Context) error {
	store, done, err := d.kept()
	if err != nil || store == nil {
		return err
	}
	defer done()
	for {
		open, _, err := store.DueMessages(ctx, time.Now().Add(365*24*time.Hour), 1)
		if err == nil && len(open) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil // what is left is counted in the end
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// speak holds what the daemon says it has told customers against what the services have.
func (s *tally) speak(ctx context.Context) error {
	store, done, err := s.kept()
	if err != nil || store == nil {
		return err
	}
	defer done()
	taken := map[string]time.Time{}
	for _, r := range s.sent {
		if at, ok := taken[r.LeadID]; r.Fate == proof.Acked && (!ok || r.Answered.Before(at)) {
			taken[r.LeadID] = r.Answered
		}
	}
	var all []drill.Told
	sent := map[[2]string]int{} // by channel and address: how often something may have gone there
	for lead, at := range taken {
		messages, err := store.MessagesAbout(ctx, lead)
		if err != nil {
			return err
		}
		for _, m := range messages {
			one := drill.Told{Phase: s.phaseAt(s.since(m.MadeAt)), Reason: m.Reason, Open: m.State == outbound.Waiting || m.State == outbound.Sending}
			for _, t := range m.Steps {
				if t.State != outbound.NotSent && t.State != outbound.Again {
					sent[[2]string{t.Channel, t.Address}]++
				}
				if !t.SentAt.IsZero() {
					one.Channel, one.After = t.Channel, drill.Span(max(0, t.SentAt.Sub(at)))
				}
			}
			if one.Reason == "" {
				rulings, err := store.Rulings(ctx, m.ID)
				if err != nil {
					return err
				}
				for _, r := range rulings {
					if r.Ruling != "state" && r.Reason != "" {
						one.Reason = r.Reason
					}
				}
			}
			all = append(all, one)
		}
	}
	doubled := map[string]int{}
	for to, n := range sent {
		doubled[to[0]] += max(0, len(s.sims.talks[to[0]].said(to[1]))-n)
	}
	s.Speak(all, doubled)
	return nil
}

// ownNews are told by the daemon itself: that it has written to somebody.
func ownNews(source string) bool { return source == messenger.NewsSource }
