package monitor

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"
)

// state is what outlives a restart: without it each restart would tell everything again, and no long timer would end.
type state struct {
	Alerts   map[string]*alert    `json:"alerts"` // by fingerprint
	Groups   map[string]*group    `json:"groups"` // by name
	Silences map[string]time.Time `json:"silences,omitempty"`
	AliveDay string               `json:"alive_day,omitempty"` // local date of the last daily word
}

// alert is one rule's condition for one set of labels, from the first time that it is true.
type alert struct {
	Rule   string            `json:"rule"`
	Labels map[string]string `json:"labels,omitempty"`
	Since  time.Time         `json:"since"`          // the condition holds
	Fired  time.Time         `json:"fired,omitzero"` // it held for long enough
	Clear  time.Time         `json:"clear,omitzero"` // fired, and the end holds
	Seen   time.Time         `json:"-"`              // last measured; a restart begins anew
	Value  float64           `json:"-"`
	values map[string]number // as subject has them

	rule  *rule
	muted bool
}

func (a *alert) firing() bool { return !a.Fired.IsZero() }

// group is what has been said of the alerts that share messages.
type group struct {
	Since    time.Time        `json:"since,omitzero"`   // first of its alerts fired, nothing was said yet
	Started  time.Time        `json:"started,omitzero"` // first message
	Sent     time.Time        `json:"sent,omitzero"`    // last message
	Step     int              `json:"step,omitempty"`   // of the escalation chain, done
	Acked    time.Time        `json:"acked,omitzero"`
	Held     bool             `json:"held,omitempty"` // for the end of quiet hours
	Severity string           `json:"severity,omitempty"`
	Business bool             `json:"business,omitempty"` // told of in working time only
	Notified map[string]*told `json:"notified,omitempty"`
	Reached  []string         `json:"reached,omitempty"` // notifiers that took a message, and are owed its end
	Failures int              `json:"failures,omitempty"`
	Next     time.Time        `json:"next,omitzero"`  // next try after failures
	Ended    time.Time        `json:"ended,omitzero"` // first try to tell the end
}

// told is an alert that people know of.
type told struct {
	Title string    `json:"title"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"` // it has ended, and that is still to be told
}

// load reads the file. A file that cannot be read is put aside: alerts told twice are better than none.
func (m *Monitor) load() error {
	m.state = state{Alerts: map[string]*alert{}, Groups: map[string]*group{}, Silences: map[string]time.Time{}}
	if m.file == "" {
		return nil
	}
	raw, err := os.ReadFile(m.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		m.log.Error().Err(err).Msg("the alert state cannot be read and was put aside")
		return os.Rename(m.file, m.file+".bad")
	}
	byName := map[string]*rule{}
	for _, r := range m.rules {
		byName[r.Name] = r
	}
	now := m.now()
	for id, a := range s.Alerts {
		if a != nil && byName[a.Rule] != nil {
			a.rule, a.Seen = byName[a.Rule], now
			m.state.Alerts[id] = a
		}
	}
	for name, g := range s.Groups {
		if g != nil {
			if g.Notified == nil {
				g.Notified = map[string]*told{}
			}
			maps.DeleteFunc(g.Notified, func(_ string, t *told) bool { return t == nil })
			m.state.Groups[name] = g
		}
	}
	for name, until := range s.Silences {
		m.state.Silences[name] = until
	}
	m.state.AliveDay, m.saved = s.AliveDay, raw
	return nil
}

// save writes the state when it has changed, so that a power cut leaves the old one or the new one.
func (m *Monitor) save() error {
	raw, err := json.Marshal(m.state)
	if err != nil || m.file == "" || bytes.Equal(raw, m.saved) {
		return err
	}
	if err := replace(m.file, raw); err != nil {
		return err
	}
	m.saved = raw
	return nil
}

func replace(file string, raw []byte) error {
	f, err := os.Create(file + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
