package bitrix24

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"leadstream/sinks/sim/portal"
)

func TestCheck(t *testing.T) {
	own := portal.Options{Users: []portal.User{{ID: 5, Name: "Иван", Secret: canary, OwnOnly: true}}}
	cases := map[string]struct {
		portal portal.Options
		change func(*Settings)
		want   []string // in the error; none: no error
		warns  bool
	}{
		"all is well": {},
		"deals":       {change: func(s *Settings) { s.Entity, s.Stage = "deal", "NEW" }},
		"old methods": {change: func(s *Settings) { s.API = "lead" }},
		"names": {
			portal: portal.Options{UserFields: []string{"UF_CRM_1700000001"}},
			change: func(s *Settings) {
				s.Fields = map[string]string{"level": "ufCrm_170000001", "name": "NAME", "service": "title"}
				s.Source, s.Stage = "WEBB", "NEWW"
			},
			want: []string{
				`fields.level: the portal has no field "ufCrm_170000001"; did you mean "ufCrm_1700000001"?`,
				`fields.name: the portal has no field "NAME"; did you mean "name"?`,
				`source: the portal's list SOURCE has no "WEBB"; did you mean "WEB"?`,
				`stage: the portal's list STATUS has no "NEWW"; did you mean "NEW"?`,
			},
		},
		"task scope": {
			portal: portal.Options{Scopes: []string{"crm"}},
			change: func(s *Settings) { s.Task.Kind, s.AssignedBy = "task", 1 },
			want:   []string{"lacks the scope task"},
		},
		"wrong secret":    {change: func(s *Settings) { s.URL = strings.Replace(s.URL, "/secret/", "/"+canary+"/", 1) }, want: []string{"NO_AUTH_FOUND", "make a new one"}},
		"sees own only":   {portal: own, warns: true},
		"plan":            {portal: portal.Options{Limits: portal.Limits{Overload: true}}, want: []string{"OVERLOAD_LIMIT"}},
		"needs https":     {portal: portal.Options{NeedHTTPS: true}, want: []string{"use https"}},
		"no right at all": {portal: portal.Options{Users: []portal.User{{ID: 5, Secret: canary, Denied: true}}}, want: []string{"give them rights"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			change := c.change
			if change == nil {
				change = func(*Settings) {}
			}
			w := newWorld(t, c.portal, change)
			var logged bytes.Buffer
			w.env.Log = zerolog.New(&logged)
			w.restart()
			err := w.sink.Check(t.Context())
			if (err == nil) != (c.want == nil) {
				t.Fatalf("%v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks: %s", err, want)
				}
			}
			if c.warns != strings.Contains(logged.String(), "administrator") || err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("logged %q, error %v", logged.String(), err)
			}
			for _, e := range w.portal.Ledger() {
				if e.Kind != "search" && e.Kind != "read" && e.Kind != "refuse" {
					t.Errorf("Check did %s", e.Kind)
				}
			}
		})
	}
}
