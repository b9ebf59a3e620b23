//go:build linux

package main

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"leadstream/daemon/proof"
	"leadstream/sinks/sim/phone"
	"leadstream/sinks/sim/portal"
)

// TestOnlySimulatorsAreSimulated asks sinks that lead to simulators, and to all that might look like one.
func TestOnlySimulatorsAreSimulated(t *testing.T) {
	crm, people := portal.New(portal.Options{}), phone.New(phone.Options{})
	for _, s := range []interface{ Start() error }{crm, people} {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	defer crm.Close()
	defer people.Close()
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"ok":true}`)) }))
	defer gateway.Close()
	proxy := httptest.NewServer(http.RedirectHandler(crm.Base()+"/sim/who", http.StatusFound))
	defer proxy.Close()
	practice := t.TempDir()
	if err := os.WriteFile(filepath.Join(practice, demoMark), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	telegram := `{kind: telegram, token: "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0", chat: 5`
	for name, c := range map[string]struct{ sink, data, who string }{
		"simulated portal":           {sink: `{kind: bitrix24, url: "` + crm.URL() + `", allow_private: true}`, who: "portal"},
		"simulated phone":            {sink: telegram + `, base_url: "` + people.URL() + `", allow_private: true}`, who: "phone"},
		"a demo's file":              {sink: `{kind: csv}`, data: practice, who: "file"},
		"real portal":                {sink: `{kind: bitrix24, url: "https://salon.bitrix24.invalid/rest/1/hush/"}`},
		"real Telegram":              {sink: telegram + `}`},
		"the owner's file":           {sink: `{kind: csv}`},
		"mail":                       {sink: `{kind: email, host: 127.0.0.1, tls: none, from: a@example.test, to: b@example.test}`},
		"a gateway of this machine":  {sink: `{kind: webhook, url: "` + gateway.URL + `/x", allow_private: true}`},
		"who redirects to simulator": {sink: `{kind: webhook, url: "` + proxy.URL + `/x", allow_private: true}`},
		"behind a proxy":             {sink: `{kind: bitrix24, url: "` + crm.URL() + `", allow_private: true, proxy: "http://127.0.0.1:3128"}`},
		"nobody there":               {sink: `{kind: webhook, url: "http://127.0.0.1:1/x", allow_private: true}`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _, err := Load(write(t, "data_dir: "+cmp.Or(c.data, t.TempDir())+"\nsinks:\n  one: "+c.sink))
			if err != nil {
				t.Fatal(err)
			}
			got := cfg.simulated(t.Context())
			if len(got) != 1 || got[0].Who != c.who {
				t.Errorf("got %+v, want who %q", got, c.who)
			}
			if raw, err := json.Marshal(got); err != nil || strings.Contains(string(raw), "hush") {
				t.Errorf("it tells a secret: %s (%v)", raw, err)
			}
		})
	}
}

// TestDrillOfARunningDaemon drills one between simulators, twice: the second drill is not taken for the first sent again.
func TestDrillOfARunningDaemon(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{})
	i.ledger().one() // it has had leads before
	for range 2 {
		out, err := i.CLI("drill", "--target", "--key", i.Key, "--peak=100/h", "--quick", "--for=1s", "--faults=none", "--html=", "--json")
		r := readReport(t, []byte(out))
		if err != nil {
			t.Errorf("%v: %v", err, r.Faults)
		}
		if !r.OK || r.Totals.Accepted != 36 || r.Totals.Delivered != 36 || !slices.ContainsFunc(r.Destinations, func(d struct {
			Name    string
			Checked bool
		}) bool {
			return d.Name == "crm" && d.Checked
		}) {
			t.Errorf("ok %v, totals %+v, destinations %v, faults %v", r.OK, r.Totals, r.Destinations, r.Faults)
		}
	}
}

// TestDrillRefusesARealSink: nothing at all is sent to a daemon that has one sink which is not proven.
func TestDrillRefusesARealSink(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{Sinks: "  table: {kind: csv}\n", Route: "crm, table"})
	out, err := i.CLI("drill", "--target", "--key", i.Key, "--peak=100/h", "--quick", "--html=")
	if err == nil || !strings.Contains(err.Error(), "refused") || !strings.Contains(err.Error(), "table (csv)") || !strings.Contains(err.Error(), "exit status 2") {
		t.Errorf("%v, %s", err, out)
	}
	if s, ok := i.status(); !ok || s.Leads["delivered"] != 0 || s.Leads["in_flight"] != 0 || len(i.CRM.Ledger()) != 0 {
		t.Errorf("something was sent: %+v", s.Leads)
	}
}
