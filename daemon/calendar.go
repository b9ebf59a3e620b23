package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"leadstream/processors/reminders"
	"leadstream/sinks/calendar"
	"leadstream/sinks/records"
	"leadstream/streams/visits"
)

// calendar says what is wrong with the calendar's block.
func (l *loader) calendar(c *Config) {
	if c.Calendar.Kind != calendar.Off && c.Records.URL == records.Off {
		l.fault("calendar.kind", l.say("bookings are kept in the records, and these are off", "записи клиентов хранятся в records, а они выключены"),
			l.say("write records: {url: embedded}, or calendar: {kind: off}", "напишите records: {url: embedded} или calendar: {kind: off}"))
	}
	known := c.serviceNames()
	service := func(key, code string) {
		if known[code] == "" && c.Calendar.Kind != calendar.Off {
			l.warn(key, l.say("there is no service %q in triage.services", "в triage.services нет услуги %q", code), l.cureUnknown(code, keysOf(known)))
		}
	}
	for _, code := range slices.Sorted(maps.Keys(c.Calendar.Services)) {
		service("calendar.services."+code, code)
	}
	for i, m := range c.Calendar.Masters {
		for _, code := range m.Services {
			service(fmt.Sprintf("calendar.masters[%d].services", i), code)
		}
	}
	_, err := calendar.Open(c.Calendar, calendar.Env{Zone: c.Zone(), Log: zerolog.Nop()})
	all, _ := err.(interface{ Unwrap() []error })
	if all == nil {
		return
	}
	for _, one := range all.Unwrap() {
		var f calendar.Fault
		if errors.As(one, &f) {
			l.fault("calendar."+f.Key, l.say(f.Problem, f.ProblemRu), l.say(f.Cure, f.CureRu))
		}
	}
}

// calendarEnv is what a calendar is opened with.
func (c *Config) calendarEnv(kept *records.Store, log zerolog.Logger) calendar.Env {
	return calendar.Env{Records: kept, Zone: c.Zone(), Services: c.serviceNames(), Log: log}
}

// serviceNames are those by code.
func (c *Config) serviceNames() map[string]string {
	names := map[string]string{}
	for _, s := range c.Triage.Services {
		names[cmp.Or(s.Code, s.Name)] = s.Name
	}
	return names
}

// visitsOf is the calendar as those know it who book: nil when there is none.
func visitsOf(c calendar.Calendar) visits.Calendar {
	if c == nil {
		return nil
	}
	return c
}

// remind is who tells customers of their visits; added hears that there are messages to be sent.
func remind(cfg *Config, visiting calendar.Calendar, kept *records.Store, added func(), log zerolog.Logger) *reminders.Reminders {
	quiet, err := reminders.ParseQuiet(cfg.Answers.Policy.QuietFrom, cfg.Answers.Policy.QuietUntil)
	if err != nil { // Load has seen that they can be read
		quiet = reminders.UsualQuiet
	}
	return &reminders.Reminders{Planner: reminders.Planner{Quiet: quiet, Zone: cfg.Zone()}, Store: kept, Language: cfg.Language,
		Services: cfg.serviceNames(), Sync: visiting.Sync, Added: added, Log: log}
}

// syncCalendar looks every so often at what people have changed in the calendar itself.
func syncCalendar(ctx context.Context, every time.Duration, visiting calendar.Calendar, log zerolog.Logger) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := visiting.Sync(ctx); err != nil && ctx.Err() == nil {
			log.Warn().Err(err).Msg("the calendar is looked at again later")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (c *checker) calendar(ctx context.Context) []Finding {
	opened, err := calendar.Open(c.cfg.Calendar, c.cfg.calendarEnv(nil, zerolog.Nop()))
	if err == nil && opened != nil {
		err = within(ctx, opened.Check)
	}
	switch {
	case err != nil:
		return []Finding{{"calendar", stateFault, err.Error(), c.say("correct its block in config.yaml; nothing is booked meanwhile", "исправьте его блок в config.yaml; записи пока не принимаются")}}
	case opened == nil:
		return nil
	}
	return []Finding{{What: "calendar", State: stateOK, Detail: c.cfg.Calendar.Kind}}
}
