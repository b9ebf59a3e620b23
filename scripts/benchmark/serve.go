package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/daemon/garbage"
	"leadstream/daemon/intake"
	"leadstream/streams"
)

const apiKey = "bench-key-0123456789abcdef"

// stats is what a server tells of itself.
type stats struct {
	Accepted, Handled, Most int64           // Most: leads accepted and not yet delivered, at the worst moment
	Delays                  []time.Duration // from when a lead ought to have been sent until the sink was called
}

// serve is a server under load, in a process of its own: leadstream from the request to the sink ("leadstream"), only as
// far as the intake stream ("intake"), or a handler that does nothing on the same http.Server. Its answer is as long as
// leadstream's.
func serve(what, socket, dir string, bound int64) {
	go garbage.Tune(context.Background()) // as the daemon does
	config := intake.Defaults()
	config.ConnectionsPerIP = 1024
	config.Sources = map[string]intake.Source{
		"site":     {Keys: []string{intake.KeyHash(apiKey)}, Concurrency: 1024},
		hookSource: {Preset: "whatsapp", Secrets: []string{hookSecret}, Verification: "v", Concurrency: 1024},
	}
	mux := http.NewServeMux()
	switch what {
	case "leadstream":
		shim := leadstream(mux, config, startEngine(socket, dir), bound)
		mux.Handle("/v1/leads", shim)
		mux.Handle("/in/", shim)
	case "intake":
		mux.Handle("/v1/leads", leadstream(mux, config, startIntake(socket, dir, nil), bound))
	default:
		mux.HandleFunc("/v1/leads", nothing)
	}
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.Handle("/debug/pprof/allocs", pprof.Handler("allocs"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	capped, err := intake.Limit(l, config)
	check(err)
	fmt.Println(l.Addr())
	check(intake.Server(mux, config, zerolog.Nop()).Serve(capped))
}

func nothing(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	answer := []byte(`{"ok":true,"lead_id":"0123456789abcdefghjkmnpqrs","status":"accepted"}`)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer)
}

// leadstream is the real shim on the real journal and engine. While more than bound leads are under way, senders wait:
// what is measured then is what the whole pipeline keeps up with. 0 is no bound.
func leadstream(mux *http.ServeMux, config intake.Config, e *engine, bound int64) http.Handler {
	t := &taker{Custody: e.custody}
	shim, err := intake.New(config, t, prometheus.NewRegistry(), shipped())
	check(err)
	var most atomic.Int64
	var mu sync.Mutex
	var delays []time.Duration
	e.seen = func(l *streams.Lead) {
		if at := sentAt(l); at.Unix() > 0 {
			mu.Lock()
			delays = append(delays, time.Since(at))
			mu.Unlock()
		}
	}
	mux.HandleFunc("/stats", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		check(json.NewEncoder(w).Encode(stats{Accepted: t.accepted.Load(), Handled: t.accepted.Load() - e.open(t.accepted.Load()), Most: most.Load(), Delays: delays}))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for bound > 0 && e.open(t.accepted.Load()) > bound {
			time.Sleep(time.Millisecond)
		}
		shim.ServeHTTP(w, r)
		most.Store(max(most.Load(), e.open(t.accepted.Load())))
	})
}
