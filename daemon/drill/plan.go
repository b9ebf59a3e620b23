// Package drill is what a drill plays, what it measures and what it says: the plan of phases, the figures of each, advice
// computed from them and from the rates of the config, and the report as text, JSON and a page. Running a daemon between
// simulators, and breaking them, is left to the command.
package drill

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Fault is one thing that goes wrong in a drill.
type Fault string

// The faults, in the order in which they are played.
const (
	CRMDown   Fault = "crm-down" // every connection is reset
	CRMSlow   Fault = "crm-slow" // every answer takes seconds
	CRMBusy   Fault = "crm-429"  // refuses with Retry-After
	CRMErrors Fault = "crm-500"  // every call fails inside
	CRMSilent Fault = "crm-lost" // does the work, and the answer is lost

	ChannelDown   Fault = "channel-down"        // of messages to customers: only its front answers
	ChannelSlow   Fault = "channel-slow"        // every answer takes seconds
	ChannelBusy   Fault = "channel-429"         // refuses with Retry-After
	ChannelSilent Fault = "channel-lost"        // takes the message, and the answer is lost
	ChannelMute   Fault = "channel-undelivered" // takes it, and brings it to nobody

	RedisKilled  Fault = "redis-killed"  // kill -9
	RedisFull    Fault = "redis-full"    // takes no writes
	DaemonKilled Fault = "daemon-killed" // kill -9, started again after a while
)

// Faults are all of them.
var Faults = []Fault{CRMDown, CRMSlow, CRMBusy, CRMErrors, CRMSilent, ChannelDown, ChannelSlow, ChannelBusy, ChannelSilent, ChannelMute, RedisKilled, RedisFull, DaemonKilled}

// OfCRM tells whether it is the far side that fails.
func (f Fault) OfCRM() bool { return strings.HasPrefix(string(f), "crm-") }

// OfChannel tells whether it is a channel to customers that fails.
func (f Fault) OfChannel() bool { return strings.HasPrefix(string(f), "channel-") }

// Phase is a stretch of the drill: leads come at some rate, and perhaps something is broken for its first part.
type Phase struct {
	Name   string        `json:"name"`            // 1x, 2x, 3x, or the fault's
	Fault  Fault         `json:"fault,omitempty"` // none: load alone
	Times  float64       `json:"times"`           // of the peak
	Leads  int           `json:"leads"`
	Length time.Duration `json:"-"` // leads come during it
	Broken time.Duration `json:"-"` // of it, with the fault in force
}

// PerSecond is the phase's rate.
func (p Phase) PerSecond() float64 { return float64(p.Leads) / p.Length.Seconds() }

// Plan is a drill to be played.
type Plan struct {
	Peak    Peak    `json:"peak"`
	Density float64 `json:"density"` // how much denser than the busiest minute leads come, so that there is enough to measure
	Phases  []Phase `json:"phases"`
}

// Choice is what whoever starts a drill decides.
type Choice struct {
	Load   time.Duration // of each load phase
	Broken time.Duration // how long a fault lasts
	Least  int           // leads of the phase at 1x
	Faults []Fault
}

// NewPlan lays the phases out: 1x, 2x and 3x the peak, then each fault at 1x. The rate at 1x is that of the busiest
// minute; where that brings too few leads to measure anything, they come denser, which is harder than the peak.
func NewPlan(peak Peak, c Choice) Plan {
	usual := peak.PerMinute / 60 * c.Load.Seconds()
	plan := Plan{Peak: peak, Density: math.Max(1, float64(c.Least)/usual)}
	perSecond := usual * plan.Density / c.Load.Seconds()
	for times := 1.0; times <= 3; times++ {
		plan.Phases = append(plan.Phases, Phase{Name: fmt.Sprintf("%.0fx", times), Times: times,
			Leads: int(math.Ceil(times*perSecond*c.Load.Seconds() - 1e-9)), Length: c.Load})
	}
	for _, f := range c.Faults {
		p := Phase{Name: string(f), Fault: f, Times: 1, Broken: c.Broken, Length: c.Broken + c.Broken/2}
		p.Leads = max(3, int(math.Ceil(perSecond*p.Length.Seconds())))
		plan.Phases = append(plan.Phases, p)
	}
	return plan
}

// Length is how long leads come in all; waiting for what is left is not in it.
func (p Plan) Length() (all time.Duration) {
	for _, one := range p.Phases {
		all += one.Length
	}
	return all
}

// Leads is how many come in all.
func (p Plan) Leads() (n int) {
	for _, one := range p.Phases {
		n += one.Leads
	}
	return n
}

// ParseFaults reads a list of faults' names; all and none are lists too.
func ParseFaults(text string) ([]Fault, error) {
	switch text {
	case "all":
		return Faults, nil
	case "none", "":
		return nil, nil
	}
	var list []Fault
	for name := range strings.SplitSeq(text, ",") {
		f := Fault(strings.TrimSpace(name))
		if !slices.Contains(Faults, f) {
			return nil, fmt.Errorf("%q", f)
		}
		list = append(list, f)
	}
	return list, nil
}

// ParsePeak reads 200/h, 12/m or 3/s as leads an hour.
func ParsePeak(text string) (float64, error) {
	var n float64
	var unit string
	number, unit, ok := strings.Cut(text, "/")
	if _, err := fmt.Sscanf(number+"\n", "%g\n", &n); err != nil || !ok || n <= 0 || math.IsInf(n, 0) || math.IsNaN(n) {
		return 0, fmt.Errorf("%q", text)
	}
	times, known := map[string]float64{"h": 1, "m": 60, "min": 60, "s": 3600}[strings.TrimSpace(unit)]
	if !known {
		return 0, fmt.Errorf("%q", text)
	}
	return n * times, nil
}

// Spread deals leads out to sources by their shares, each as evenly as it can: a small share soon has its turn too.
type Spread struct {
	names  []string
	shares []float64
	due    []float64 // what each is owed
}

// leastShare is that of a source of which little or nothing has come so far: it is configured, and so it is played.
const leastShare = 0.05

// NewSpread deals out to these sources. Without shares all have the same.
func NewSpread(names []string, shares map[string]float64) *Spread {
	s := &Spread{names: names, due: make([]float64, len(names))}
	sum := 0.0
	for _, name := range names {
		share := max(shares[name], leastShare)
		s.shares = append(s.shares, share)
		sum += share
	}
	for i := range s.shares {
		s.shares[i] /= sum
	}
	return s
}

// Next is whose the next lead is.
func (s *Spread) Next() string {
	most := 0
	for i := range s.due {
		s.due[i] += s.shares[i]
		if s.due[i] > s.due[most]+1e-9 {
			most = i
		}
	}
	s.due[most]--
	return s.names[most]
}

// Moments are when a phase's leads come: by chance, as customers do, and yet exactly n.
func Moments(n int, length time.Duration) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = rand.N(length)
	}
	slices.Sort(all)
	return all
}
