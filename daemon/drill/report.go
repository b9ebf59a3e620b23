package drill

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"time"
)

// Span is a length of time. In JSON it is seconds; a negative one is none, and null.
type Span time.Duration

// None is the Span of what has not happened.
const None = Span(-1)

// MarshalJSON writes seconds.
func (s Span) MarshalJSON() ([]byte, error) {
	if s < 0 {
		return []byte("null"), nil
	}
	return json.Marshal(math.Round(time.Duration(s).Seconds()*1e4) / 1e4)
}

// Seconds is the span's length.
func (s Span) Seconds() float64 { return time.Duration(s).Seconds() }

// Sample is one lead as its sender and the far sides saw it. Times count from the drill's start.
type Sample struct {
	Source   string
	Phase    int
	Due      Span            // when it was to be sent: what it took to arrive counts from here
	Posted   Span            // from when its answer counts: Due, or of what a service posts, its first try
	Answered Span            // None: there was no answer
	Accepted bool            // with a 2xx
	Refused  bool            // with an answer that is none
	Aside    bool            // the config's rules drop it or send it elsewhere than to the main destination
	Arrived  map[string]Span // by destination, when it was first there
}

// Run is how a phase went. Times count from the drill's start.
type Run struct {
	Began  Span
	Healed Span // when its fault was over; None: there was none
	Ended  Span // when nothing was left to deliver, or waiting for that was given up
}

// Totals are the whole drill's.
type Totals struct {
	Sent       int `json:"sent"`
	Accepted   int `json:"accepted"`
	NotTaken   int `json:"not_taken"`    // requests that met a refusal or a closed door; their senders send again
	Delivered  int `json:"delivered"`    // leads that are at every destination they were routed to
	Waiting    int `json:"waiting"`      // leads still on their way at the end
	Dropped    int `json:"dropped"`      // by the config's own rules
	Dead       int `json:"dead"`         // leads given to a person after the last try
	Lost       int `json:"lost"`         // accepted, and nowhere
	Doubled    int `json:"doubled"`      // at a destination more than once
	Invented   int `json:"invented"`     // at a destination, and nobody sent them
	Damaged    int `json:"damaged"`      // arrived with other words than were sent
	OutOfOrder int `json:"out_of_order"` // before an earlier one of the same customer
	Unknown    int `json:"unexplained"`  // of which the daemon cannot say where they are
}

// Quantiles are of a number of samples. With few, p95 and p99 are the longest.
type Quantiles struct {
	N   int  `json:"n"`
	P50 Span `json:"p50"`
	P95 Span `json:"p95"`
	P99 Span `json:"p99"`
	Max Span `json:"max"`
}

// Far is what the config says of a destination, and what it saw.
type Far struct {
	Name        string  `json:"name"`
	Kind        string  `json:"kind"`
	Checked     bool    `json:"checked"`    // its own record was held against the senders'; else the daemon's word counts
	PerSecond   float64 `json:"per_second"` // requests that it takes, as the config's rate says; 0: no limit
	Burst       int     `json:"burst,omitempty"`
	Batch       int     `json:"batch,omitempty"` // leads in one request, as configured
	MostBatch   int     `json:"most_batch,omitempty"`
	Concurrency int     `json:"concurrency"`
	LateAfter   Span    `json:"late_after"`
	LookAfter   Span    `json:"look_after"` // an unknown outcome is looked up so much later
	Attempts    int     `json:"attempts"`
	Replay      bool    `json:"replay"` // dead letters of an outage go again by themselves

	Requests []int `json:"requests,omitempty"` // of each phase; nil: not counted
	Arrived  []int `json:"arrived"`            // leads of each phase

	Delivered int       `json:"delivered"`
	Dead      int       `json:"dead"`
	Delay     Quantiles `json:"delay"` // of the load phases: from when the lead was to be sent until it was there
}

// Source is whose leads were played, and what became of them.
type Source struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // as `preset` of config.yaml
	Way  Way    `json:"way"`

	Again int `json:"told_again"` // times that the service told something again: it was not taken, or the answer was not heard
	Aside int `json:"no_leads"`   // receipts, echoes and edits that were played too

	Lost       int `json:"lost"`
	Doubled    int `json:"doubled"`
	OutOfOrder int `json:"out_of_order"`

	Sent     int       `json:"sent"`
	Accepted int       `json:"accepted"`
	NotTaken int       `json:"not_taken"`
	Arrived  int       `json:"delivered"` // at the main destination
	Answer   Quantiles `json:"answer"`    // as a phase's, of the load phases
	Delay    Quantiles `json:"delay"`
}

// Way is how a source's leads come.
type Way string

// A sender posts by itself, a service posts to a webhook and repeats what was not taken, or is asked.
const (
	ByHTTP    Way = "http"
	ByWebhook Way = "webhook"
	Asked     Way = "asked"
)

// PhaseFigures are a phase's.
type PhaseFigures struct {
	Phase
	From     Span      `json:"from"`
	Healed   Span      `json:"healed"`
	To       Span      `json:"to"`
	Sent     int       `json:"sent"`
	Accepted int       `json:"accepted"`
	NotTaken int       `json:"not_taken"`
	Arrived  int       `json:"delivered"` // at the main destination
	Answer   Quantiles `json:"answer"`    // until the sender had its answer
	Delay    Quantiles `json:"delay"`     // until the lead was at the main destination
	Recovery Span      `json:"recovery"`  // from the fault's end until everything that came before it was delivered; null: not within the drill
	Told     []string  `json:"told"`      // alerts of the phase
}

// Alert is a message that a person would have got.
type Alert struct {
	At    Span   `json:"at"`
	Phase int    `json:"phase"`
	To    string `json:"to"`  // the sink's name
	Via   string `json:"via"` // its kind
	Text  string `json:"text"`
}

// Moment is a point of the drill's curve.
type Moment struct {
	At        Span `json:"at"`
	Accepted  int  `json:"accepted"`
	Delivered int  `json:"delivered"`
}

// Dot is a lead on the picture of delays.
type Dot struct {
	At    Span `json:"at"`
	Delay Span `json:"delay"`
	Phase int  `json:"phase"`
}

// Report is what a drill has found.
type Report struct {
	Version         string         `json:"version"`
	Language        Words          `json:"language"`
	Started         time.Time      `json:"started"`
	Took            Span           `json:"took"`
	Target          string         `json:"target,omitempty"` // a running instance; empty: a private one
	Sources         []Source       `json:"sources"`          // whose leads were played
	Stopped         bool           `json:"stopped"`          // by a person, before its end
	OK              bool           `json:"ok"`
	Plan            Plan           `json:"plan"`
	Totals          Totals         `json:"totals"`
	Main            string         `json:"main"` // the destination whose delays are shown: the CRM, if there is one
	Phases          []PhaseFigures `json:"phases"`
	Far             []Far          `json:"destinations"`
	Answers         *Answers       `json:"answers,omitempty"` // nil: no customer was written to
	Alerts          []Alert        `json:"alerts"`
	Told            []string       `json:"told_sinks"` // whom the config tells of trouble
	Shorten         float64        `json:"alerts_shortened"`
	Advice          []string       `json:"advice"`
	Notes           []string       `json:"notes"`  // how this differs from real life
	Faults          []string       `json:"faults"` // what was not as it must be, a sentence each
	Curve           []Moment       `json:"curve"`
	Dots            []Dot          `json:"dots"`
	PublicKeepsOpen bool           `json:"socket_held"` // systemd holds the port over a restart
}

// Sum fills in what follows from the samples.
func (r *Report) Sum(samples []Sample, runs []Run) {
	r.Phases, r.Dots = nil, []Dot{}
	for i, run := range runs {
		r.Phases = append(r.Phases, r.phase(i, run, samples))
	}
	for i := range r.Far {
		var delays []Span
		r.Far[i].Arrived = make([]int, len(runs))
		for _, s := range samples {
			at, ok := s.Arrived[r.Far[i].Name]
			if !ok {
				continue
			}
			r.Far[i].Arrived[s.Phase]++
			if r.Plan.Phases[s.Phase].Fault == "" {
				delays = append(delays, at-s.Due)
			}
		}
		r.Far[i].Delay = quantiles(delays)
	}
	for i := range r.Sources {
		r.source(&r.Sources[i], samples)
	}
	for _, s := range samples {
		if at, ok := s.Arrived[r.Main]; ok {
			r.Dots = append(r.Dots, Dot{s.Due, at - s.Due, s.Phase})
		}
	}
	slices.SortFunc(r.Dots, func(a, b Dot) int { return cmp.Compare(a.At, b.At) })
	r.Curve = r.curve(samples)
	r.OK = len(r.Faults) == 0
}

func (r *Report) phase(i int, run Run, samples []Sample) PhaseFigures {
	f := PhaseFigures{Phase: r.Plan.Phases[i], From: run.Began, Healed: run.Healed, To: run.Ended, Recovery: None, Told: []string{}}
	var answers, delays []Span
	missing, last := false, run.Healed
	for _, s := range samples {
		if s.Phase != i {
			continue
		}
		f.Sent++
		if s.Answered >= 0 {
			answers = append(answers, s.Answered-s.Posted)
		}
		if s.Refused || s.Answered < 0 {
			f.NotTaken++
		}
		at, there := s.Arrived[r.Main]
		if s.Accepted {
			f.Accepted++
			missing = missing || !there && !s.Aside && s.Due < run.Healed
		}
		if there {
			f.Arrived++
			delays = append(delays, at-s.Due)
			if s.Due < run.Healed {
				last = max(last, at)
			}
		}
	}
	f.Answer, f.Delay = quantiles(answers), quantiles(delays)
	if f.Fault != "" && run.Healed >= 0 && !missing {
		f.Recovery = last - run.Healed
	}
	for _, a := range r.Alerts {
		if a.Phase == i {
			f.Told = append(f.Told, a.Text)
		}
	}
	return f
}

// source fills in what follows from the samples.
func (r *Report) source(f *Source, samples []Sample) {
	var answers, delays []Span
	for _, s := range samples {
		if s.Source != f.Name {
			continue
		}
		load := r.Plan.Phases[s.Phase].Fault == ""
		f.Sent++
		if s.Accepted {
			f.Accepted++
		}
		if s.Refused || s.Answered < 0 {
			f.NotTaken++
		}
		if s.Answered >= 0 && load {
			answers = append(answers, s.Answered-s.Posted)
		}
		if at, there := s.Arrived[r.Main]; there {
			f.Arrived++
			if load {
				delays = append(delays, at-s.Due)
			}
		}
	}
	f.Answer, f.Delay = quantiles(answers), quantiles(delays)
}

// quantiles takes the nearest rank.
func quantiles(all []Span) Quantiles {
	q := Quantiles{N: len(all), P50: None, P95: None, P99: None, Max: None}
	if len(all) == 0 {
		return q
	}
	all = slices.Clone(all)
	slices.Sort(all)
	at := func(share float64) Span { return all[max(0, int(math.Ceil(share*float64(len(all))))-1)] }
	q.P50, q.P95, q.P99, q.Max = at(0.5), at(0.95), at(0.99), all[len(all)-1]
	return q
}

// moments is how many points the curve has at most.
const moments = 240

// curve counts what was accepted and what has arrived at the main destination, over time.
func (r *Report) curve(samples []Sample) []Moment {
	step := max(Span(250*time.Millisecond), r.Took/moments)
	var list []Moment
	for at := Span(0); at <= r.Took+step; at += step {
		m := Moment{At: min(at, r.Took)}
		for _, s := range samples {
			if s.Accepted && s.Answered >= 0 && s.Answered <= at {
				m.Accepted++
			}
			if there, ok := s.Arrived[r.Main]; ok && there <= at {
				m.Delivered++
			}
		}
		list = append(list, m)
	}
	return list
}

// Broken names the worst in a word for a machine, for exit codes and tests: what a 2xx promises was not kept.
func (t Totals) Broken() bool {
	return t.Lost+t.Doubled+t.Invented+t.Damaged+t.OutOfOrder+t.Unknown > 0
}
