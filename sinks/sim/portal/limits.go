package portal

import (
	"net/http"
	"time"
)

// Limits are what a portal lets its callers do. Zero values are the cloud's; a negative one lifts that limit.
type Limits struct {
	Drain     float64       // requests a second that leave the leaky bucket: 2
	Block     float64       // how full it may be: 50
	Operating time.Duration // working time of one method in ten minutes: 480 s
	Cost      time.Duration // working time that one call is said to take: 100 ms
	Overload  bool          // REST is blocked by hand: every call is refused with OVERLOAD_LIMIT
}

// NoLimits lets everything through.
var NoLimits = Limits{Drain: -1, Operating: -1}

func (l Limits) withDefaults() Limits {
	if l.Drain == 0 {
		l.Drain = 2
	}
	if l.Block == 0 {
		l.Block = 50
	}
	if l.Operating == 0 {
		l.Operating = 480 * time.Second
	}
	if l.Cost == 0 {
		l.Cost = 100 * time.Millisecond
	}
	return l
}

// bucket is the leaky bucket of one source address.
type bucket struct {
	level float64
	at    time.Time
}

// admit takes one request of a source into its bucket, or refuses it. A batch is one request.
func (p *Portal) admit(source string, now time.Time) *Error {
	if p.limits.Overload {
		return &Error{http.StatusServiceUnavailable, "OVERLOAD_LIMIT", "REST API is blocked due to overload."}
	}
	if p.limits.Drain < 0 {
		return nil
	}
	b := p.buckets[source]
	if b == nil {
		b = &bucket{at: now}
		p.buckets[source] = b
	}
	b.level = max(0, b.level-now.Sub(b.at).Seconds()*p.limits.Drain)
	b.at = now
	if b.level+1 > p.limits.Block {
		return &Error{http.StatusServiceUnavailable, "QUERY_LIMIT_EXCEEDED", "Too many requests"}
	}
	b.level++
	return nil
}

// spanMinutes is the window in which a method's working time is summed.
const spanMinutes = 10

// spending is the working time of one method by the minute.
type spending struct{ minutes map[int64]time.Duration }

// sum is the time spent in the window that ends now, and when its oldest minute leaves the window.
func (s *spending) sum(now time.Time) (time.Duration, time.Time) {
	this := now.Unix() / 60
	oldest := this
	var total time.Duration
	for m, d := range s.minutes {
		if m <= this-spanMinutes {
			delete(s.minutes, m)
			continue
		}
		total += d
		oldest = min(oldest, m)
	}
	return total, time.Unix((oldest+spanMinutes)*60, 0)
}

func (p *Portal) spending(method string) *spending {
	s := p.spent[method]
	if s == nil {
		s = &spending{map[int64]time.Duration{}}
		p.spent[method] = s
	}
	return s
}

// affordable refuses a method whose working time is used up.
func (p *Portal) affordable(method string, now time.Time) *Error {
	if p.limits.Operating < 0 {
		return nil
	}
	if used, _ := p.spending(method).sum(now); used >= p.limits.Operating {
		return &Error{http.StatusTooManyRequests, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit."}
	}
	return nil
}

// spend counts one call's working time.
func (p *Portal) spend(method string, now time.Time) {
	p.spending(method).minutes[now.Unix()/60] += p.limits.Cost
}

// timing is the time block of an answer.
func (p *Portal) timing(method string, start, finish time.Time) map[string]any {
	used, reset := p.spending(method).sum(finish)
	seconds := func(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
	return map[string]any{
		"start": seconds(start), "finish": seconds(finish), "duration": finish.Sub(start).Seconds(),
		"processing": p.limits.Cost.Seconds(), "date_start": stamp(start), "date_finish": stamp(finish),
		"operating_reset_at": reset.Unix(), "operating": used.Seconds(),
	}
}

// zone is where the portal lives.
var zone = time.FixedZone("MSK", 3*60*60)

func stamp(t time.Time) string { return t.In(zone).Format(time.RFC3339) }
