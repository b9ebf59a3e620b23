package bitrix24

import (
	"net/http"
	"testing"

	"leadstream/sinks/sim/portal"
	"leadstream/sinks/sinkstest"
)

// TestSuite is what every kind passes. A redirect is not among its faults: a renamed portal answers with one, and
// TestRenamedPortal says which are followed.
func TestSuite(t *testing.T) {
	t.Parallel()
	faults := map[sinkstest.Fault]portal.Fault{
		sinkstest.Busy:    {Status: http.StatusTooManyRequests, Body: "<html>", RetryAfter: "7"},
		sinkstest.Broken:  {Status: http.StatusInternalServerError, Empty: true},
		sinkstest.Gateway: {Status: http.StatusBadGateway, Body: "<html>", ContentType: "text/html"},
		sinkstest.Hang:    {Hang: true},
		sinkstest.Reset:   {Reset: true},
		sinkstest.Page:    {HTML200: true},
		sinkstest.Flood:   {Fill: 100 << 20},
	}
	sinkstest.Run(t, sinkstest.Case{
		Kind: Kind,
		Configure: func(settings any, url string) {
			set := settings.(*Settings)
			set.URL, set.AllowPrivate = url, true
		},
		Far: func(t *testing.T, f sinkstest.Fault) *sinkstest.Far {
			user := portal.User{ID: 1, Name: "Администратор", Secret: sinkstest.Canary}
			p := portal.New(portal.Options{Users: []portal.User{user}, Limits: portal.NoLimits})
			fault, known := faults[f]
			switch {
			case f == sinkstest.Refused:
				return &sinkstest.Far{URL: "http://" + sinkstest.Unused(t) + p.Path(), Created: func() int { return 0 }}
			case known:
				p.Inject(fault)
			case f != sinkstest.None:
				return nil
			}
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = p.Close() }) // hanging calls end with it
			return &sinkstest.Far{URL: p.URL(), Created: func() int {
				n := 0
				for _, e := range p.Ledger() {
					if e.Kind == "create" {
						n++
					}
				}
				return n
			}}
		},
	})
}
