package streams

import (
	"errors"
	"math"
	"time"

	"leadstream/streams/internal/chance"

	"leadstream/streams/failpoint"
)

// Policy is how a queue retries: a delay that grows with each attempt, up to a number of attempts.
// Its keys in config.yaml are `attempts`, `base`, `factor`, `max`, `jitter`.
type Policy struct {
	Attempts int           `koanf:"attempts"` // tries in all; after the last one the entry is dead
	Base     time.Duration `koanf:"base"`     // delay after the first failed attempt
	Factor   float64       `koanf:"factor"`   // growth per attempt; 1 is a fixed delay
	Max      time.Duration `koanf:"max"`      // the delay's upper bound, before jitter
	Jitter   float64       `koanf:"jitter"`   // 0.2 spreads the delay by ±20 %
}

// The three policies of the sources: they are three jobs and stay apart.
var (
	CRMPolicy     = Policy{Attempts: 5, Base: 5 * time.Second, Factor: 2, Max: 300 * time.Second, Jitter: 0.2}
	MessagePolicy = Policy{Attempts: 3, Base: 5 * time.Second, Factor: 2, Max: 300 * time.Second, Jitter: 0.2} // 2 retries
	SyncPolicy    = Policy{Attempts: 4, Base: 5 * time.Minute, Factor: 1, Max: 5 * time.Minute, Jitter: 0}     // 3 retries, 5 min apart
)

// Delay is the wait after failed attempt n (from 1). floor is the far side's Retry-After: jitter only lengthens it.
func (p Policy) Delay(n int, floor time.Duration) time.Duration {
	d := min(float64(p.Base)*math.Pow(p.Factor, float64(n-1)), float64(p.Max))
	d *= 1 + p.Jitter*(2*chance.Float64()-1)
	if f := float64(floor); d < f {
		d = f * (1 + p.Jitter*chance.Float64())
		if failpoint.Seeded(failpoint.JitterBelow) {
			d = f * (1 - p.Jitter*chance.Float64())
		}
	}
	return time.Duration(d)
}

// UnmarshalText takes a policy by the name of its job, in config.yaml: `retry: sync`.
func (p *Policy) UnmarshalText(name []byte) error {
	switch string(name) {
	case "crm":
		*p = CRMPolicy
	case "message":
		*p = MessagePolicy
	case "sync":
		*p = SyncPolicy
	default:
		return errors.New("a retry policy is crm, message, sync, or a block of attempts, base, factor, max and jitter")
	}
	return nil
}
