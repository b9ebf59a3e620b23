package portal

import (
	"encoding/json"
	"net/http"
	"time"
)

// control is the handles that a test or a person has on a running portal.
func (p *Portal) control(mux *http.ServeMux) {
	mux.HandleFunc("GET /sim/who", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]string{"simulator": "portal"}) })
	mux.HandleFunc("GET /sim/ledger", func(w http.ResponseWriter, _ *http.Request) { reply(w, p.Ledger()) })
	mux.HandleFunc("GET /sim/duplicates", func(w http.ResponseWriter, _ *http.Request) { reply(w, p.Duplicates()) })
	mux.HandleFunc("/sim/fault", p.faults.Control)
	mux.HandleFunc("POST /sim/settings", p.settings)
	mux.HandleFunc("GET /{$}", p.page)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v) // the caller has gone: nothing to tell them
}

// settings changes the lag and the limits of a running portal: {"lag":"30s","drain":2,"block":50,"overload":false}.
func (p *Portal) settings(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Lag          *string
		Drain, Block *float64
		Overload     *bool
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var lag time.Duration
	if in.Lag != nil {
		var err error
		if lag, err = time.ParseDuration(*in.Lag); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.SetLag(lag)
	}
	p.mu.Lock()
	l := p.limits
	p.mu.Unlock()
	if in.Drain != nil {
		l.Drain = *in.Drain
	}
	if in.Block != nil {
		l.Block = *in.Block
	}
	if in.Overload != nil {
		l.Overload = *in.Overload
	}
	p.SetLimits(l)
	w.WriteHeader(http.StatusNoContent)
}
