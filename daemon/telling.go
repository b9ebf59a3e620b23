package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"leadstream/processors"
	"leadstream/sinks"
	"leadstream/streams"
)

// notifier is a sink that reaches a person, as processors see it.
type notifier struct{ sinks.Messenger }

func (n notifier) Send(ctx context.Context, m processors.Message) error {
	v := n.Messenger.Send(ctx, sinks.Message(m))
	if v.Result == streams.Done {
		return nil
	}
	if v.Err == nil {
		return errors.New(v.Result.String())
	}
	return v.Err
}

// people are the sinks that reach a person, by name.
func people(all []*destination) map[string]processors.Notifier {
	by := map[string]processors.Notifier{}
	for _, d := range all {
		if m, ok := d.sink.(sinks.Messenger); ok {
			by[d.name] = notifier{m}
		}
	}
	return by
}

// inOrder picks people by name.
func inOrder(by map[string]processors.Notifier, names []string) []processors.Person {
	var list []processors.Person
	for _, n := range names {
		if p, ok := by[n]; ok {
			list = append(list, processors.Person{Name: n, Notifier: p})
		}
	}
	return list
}

// lateAfter says from when on a lead on its way to a destination is late.
func lateAfter(cfg *Config) func(dest string) time.Duration {
	shortest := 10 * time.Minute
	for _, s := range cfg.Sinks {
		shortest = min(shortest, s.LateAfter)
	}
	return func(dest string) time.Duration {
		if s, ok := cfg.Sinks[dest]; ok {
			return s.LateAfter
		}
		return shortest
	}
}

// untold is custody as the teller sees it.
type untold struct {
	custody   *streams.Custody
	lateAfter func(string) time.Duration
}

var troubles = map[streams.State]processors.Trouble{
	streams.Dead: processors.Dead, streams.Held: processors.Held, streams.InFlight: processors.Late,
}

func (u untold) Untold(now time.Time) []processors.Case {
	var cases []processors.Case
	for _, l := range u.custody.Untold(now, u.lateAfter) {
		cases = append(cases, processors.Case{LeadID: l.LeadID, Destination: l.Destination, Trouble: troubles[l.State],
			Since: l.Since, Attempts: l.Attempts, Err: l.Error})
	}
	for _, q := range u.custody.UntoldQuarantine() {
		cases = append(cases, processors.Case{Destination: q.ID, Trouble: processors.Quarantine, Since: q.At, Err: q.Source + ": " + q.Reason})
	}
	return cases
}

func (u untold) Lead(id string) *streams.Lead {
	if l, ok := u.custody.Lead(id); ok {
		return l
	}
	return &streams.Lead{ID: id} // its record in the journal is damaged
}

func (u untold) Told(_ context.Context, cases []processors.Case, _ string) error {
	var leads []streams.Untold
	var quarantined []string
	for _, c := range cases {
		if c.Trouble == processors.Quarantine {
			quarantined = append(quarantined, c.Destination)
			continue
		}
		t := streams.Untold{LeadID: c.LeadID, Destination: c.Destination}
		for state, trouble := range troubles {
			if trouble == c.Trouble {
				t.State = state
			}
		}
		leads = append(leads, t)
	}
	return errors.Join(u.custody.Told(leads), u.custody.ToldQuarantine(quarantined))
}

// manualRows writes leads in trouble to the file that people work through by hand.
func manualRows(cfg *Config, env sinks.Env) (func(context.Context, []processors.Case) error, error) {
	if cfg.Tell.CSV == "" {
		return nil, nil
	}
	settings, ok := sinks.CSV.Settings().(*sinks.CSVSettings)
	if !ok {
		return nil, fmt.Errorf("tell.csv: %w", errors.ErrUnsupported)
	}
	settings.Path, settings.Columns = filepath.Clean(cfg.inData(cfg.Tell.CSV)), sinks.DeadColumns
	file, err := sinks.NewCSVFile(*settings, env)
	if err != nil {
		return nil, fmt.Errorf("tell.csv: %w", err)
	}
	return func(ctx context.Context, cases []processors.Case) error {
		rows := make([]sinks.Row, len(cases))
		for i, c := range cases {
			rows[i] = sinks.Row{Lead: c.Lead, Destination: c.Destination, Error: string(c.Trouble) + ": " + c.Err, Attempts: c.Attempts, At: time.Now()}
			if c.Lead == nil {
				rows[i].Lead = &streams.Lead{ReceivedAt: c.Since}
			}
		}
		return file.Append(ctx, rows...)
	}, nil
}
