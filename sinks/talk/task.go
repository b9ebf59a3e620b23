package talk

import (
	"context"
	"errors"
	"time"

	"leadstream/sinks"
	"leadstream/sinks/bitrix24"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// callKind has a person call the customer: a task in Bitrix24. The task is looked for before it is made, so sending again is safe;
// that it was made is all that is ever told.
func callKind() Kind {
	return Kind{
		Settings: func() any { return &CallSettings{Deadline: 30 * time.Minute} },
		Open: func(settings any, env sinks.Env) (outbound.Channel, error) {
			s := settings.(*CallSettings)
			c, err := bitrix24.NewCaller(bitrix24.CallSettings{URL: s.URL, Responsible: s.Responsible, Deadline: s.Deadline,
				CAFile: s.CAFile, Proxy: s.Proxy, AllowPrivate: s.AllowPrivate}, env)
			return &callTask{c}, err
		},
		Channel: "call", Address: Phone,
		Rate:  streams.Rate{PerSecond: 0.5, Burst: 5},                                 // of the 2 that all who call the portal share
		First: true, Keyed: true, Tells: outbound.Accepted, Timeout: 70 * time.Second, // the portal cuts at 60 s
	}
}

// CallSettings are the keys of a call_task channel.
type CallSettings struct {
	URL          string        `koanf:"url"`         // inbound webhook with the scope task
	Responsible  int           `koanf:"responsible"` // employee's id
	Deadline     time.Duration `koanf:"deadline"`    // of the task, from now
	AllowPrivate bool          `koanf:"allow_private"`
	CAFile       string        `koanf:"ca_file"`
	Proxy        string        `koanf:"proxy"`
}

type callTask struct{ caller *bitrix24.Caller }

// Send makes the task: the text is what the person is to say, the buttons are answers to expect.
func (c *callTask) Send(ctx context.Context, to string, w outbound.Words) outbound.Tried {
	text := sinks.Clean(written(w))
	if text == "" {
		return empty("call")
	}
	if w.Purpose == outbound.Promotion {
		return outbound.Tried{Verdict: streams.Verdict{Result: streams.Permanent, Code: "promotion", Err: errors.New("call: nobody is asked to call with advertising")}}
	}
	return outbound.Tried{Verdict: c.caller.Call(ctx, w.ID, to, text)}
}

// Check asks whether the webhook may make tasks.
func (c *callTask) Check(ctx context.Context) error { return c.caller.Check(ctx) }
