package main

import (
	"math"
	"time"

	"leadstream/sinks/records"
)

// The records are a sink that the daemon adds by itself, so that nobody has to route anything there: every lead and all
// news go to it beside where the rules send them, also what the rules drop.
const (
	historySink = "history" // its name, and with it the queue to:history
	recordsKind = "records"
)

// addHistory adds it, unless the records are off.
func (l *loader) addHistory(c *Config) {
	if c.Records.URL == records.Off {
		return
	}
	for name, s := range c.Sinks {
		if name == historySink || s.Kind == recordsKind {
			l.fault("sinks."+name, l.say("the records have a sink of this name or kind already", "приёмник с таким именем или kind уже есть: это записи"),
				l.say("give it another name; where the records are kept is said under records", "назовите его иначе; где хранятся записи, задаётся в records"))
			return
		}
	}
	settings := c.Records
	s := sinkDefaults()
	s.Kind, s.Retry, s.Settings = recordsKind, records.Kind.Policy, &settings
	s.Concurrency, s.Hot = 1, false // one transaction at a time, and nobody waits for it
	s.LateAfter = never
	if c.Sinks == nil {
		c.Sinks = map[string]Sink{}
	}
	c.Sinks[historySink] = s
}

// never is how long leads may wait for the records without a person being told to call the customer: that they are down
// is an alert.
const never = time.Duration(math.MaxInt64)

// history is the destination that hears of every lead; empty: none.
func (c *Config) history() string {
	if _, ok := c.Sinks[historySink]; ok && c.Records.URL != records.Off {
		return historySink
	}
	return ""
}
