package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"leadstream/daemon/intake"
	"leadstream/processors/monitor"
	"leadstream/sinks/calendar"
	"leadstream/sinks/records"
)

//go:embed openapi.yaml
var openapi []byte

// Doors are the daemon's HTTP listeners: the public one for senders, the operator's socket, and, when it is asked for,
// one of its own for metrics. Open them before anything else starts, so that what is in use is found out at once.
type Doors struct {
	Config   *Config
	Intake   http.Handler // POST /v1/leads, POST /in/{source}, POST /v1/links, GET /l/{code}
	Operator Operator
	Lessons  *lessons
	Records  *records.Store    // nil: none are kept
	Calendar calendar.Calendar // nil: nothing is booked
	Alerts   *monitor.Monitor  // nil: nobody is told of anything
	Health   *Health
	Metrics  prometheus.Gatherer
	Log      zerolog.Logger

	public, admin, metrics net.Listener // metrics may be nil
}

// drainTime is how long requests that are being answered may take at a stop: longer than the journal ever does.
const drainTime = 10 * time.Second

// lingerTime is how long open connections may still bring a request after a stop has begun: it was sent before its
// sender could know. http.Server's own Shutdown hangs up on those without an answer.
const lingerTime = 500 * time.Millisecond

// Open opens the listeners, or takes those that systemd holds.
func (d *Doors) Open() error {
	held, err := activated()
	if err != nil {
		return err
	}
	if d.public, err = listen(held, "public", d.Config.Listen); err != nil {
		return err
	}
	if d.admin, err = listen(held, "admin", "unix:"+d.Config.inData(d.Config.Admin.Socket)); err != nil {
		return errors.Join(err, d.public.Close())
	}
	if d.Config.Metrics.Listen == "" {
		return nil
	}
	if d.metrics, err = listen(held, "metrics", d.Config.Metrics.Listen); err != nil {
		return errors.Join(err, d.public.Close(), d.admin.Close())
	}
	return nil
}

// PublicAddr is where senders reach the daemon; Open has been called.
func (d *Doors) PublicAddr() net.Addr { return d.public.Addr() }

// Run serves until ctx ends, then lets the requests that are being answered end.
func (d *Doors) Run(ctx context.Context) error {
	capped, err := intake.Limit(d.public, d.Config.Intake)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	d.serve(ctx, g, capped, d.Public())
	d.serve(ctx, g, d.admin, (&AdminAPI{Operator: d.Operator, Lessons: d.Lessons, Records: d.Records, Calendar: d.Calendar, Alerts: d.Alerts, Config: d.Config, Language: lang(d.Config.Language), Log: d.Log}).Handler())
	if d.metrics != nil {
		d.serve(ctx, g, d.metrics, d.measures(http.NewServeMux()))
	}
	return g.Wait()
}

func (d *Doors) serve(ctx context.Context, g *errgroup.Group, l net.Listener, h http.Handler) {
	l = &closedOnce{Listener: l}
	last := &lingerer{Handler: h}
	s := intake.Server(last, d.Config.Intake, d.Log)
	s.ConnState = last.count
	g.Go(func() error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
			return fmt.Errorf("serving %s: %w", l.Addr(), err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		_ = l.Close() // Shutdown says what is wrong with it
		last.linger(lingerTime)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if err := s.Shutdown(drain); err != nil {
			return errors.Join(s.Close(), fmt.Errorf("stopping: %w", err))
		}
		return nil
	})
}

// lingerer answers what still comes over open connections at a stop, and asks their senders to hang up.
type lingerer struct {
	http.Handler
	open     atomic.Int64
	stopping atomic.Bool
}

func (l *lingerer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.stopping.Load() {
		w.Header().Set("Connection", "close")
	}
	l.Handler.ServeHTTP(w, r)
}

// closedOnce may be closed again; each answer is the first one's.
type closedOnce struct {
	net.Listener
	once sync.Once
	err  error
}

func (l *closedOnce) Close() error {
	l.once.Do(func() { l.err = l.Listener.Close() })
	return l.err
}

func (l *lingerer) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		l.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		l.open.Add(-1)
	}
}

// linger returns when no connection is open, and after most at the latest.
func (l *lingerer) linger(most time.Duration) {
	l.stopping.Store(true)
	for end := time.Now().Add(most); l.open.Load() > 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}

// Public is what the public listener serves.
func (d *Doors) Public() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/leads", d.Intake)
	mux.Handle("/in/", d.Intake)
	mux.Handle("/v1/links", d.Intake)
	mux.Handle("/l/", d.Intake)
	mux.HandleFunc("GET /v1/leads/{id}", d.life)
	mux.HandleFunc("GET /openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml; charset=utf-8")
		_, _ = w.Write(openapi)
	})
	if d.Config.Metrics.Listen != "" {
		return d.health(mux)
	}
	return d.measures(mux)
}

func (d *Doors) health(mux *http.ServeMux) *http.ServeMux {
	mux.HandleFunc("GET /healthz", d.Health.Live)
	mux.HandleFunc("GET /readyz", d.Health.Readiness)
	return mux
}

func (d *Doors) measures(mux *http.ServeMux) *http.ServeMux {
	mux.Handle("GET /metrics", metricsHandler(d.Metrics))
	return d.health(mux)
}

// life serves GET /v1/leads/{id} to a source, about its own leads. Another's lead is as unknown as one that never was.
func (d *Doors) life(w http.ResponseWriter, r *http.Request) {
	source := d.sourceOf(r)
	if source == "" {
		w.Header().Set("WWW-Authenticate", "Bearer")
		writeError(w, http.StatusUnauthorized, "unauthorized", d.say("The key is wrong", "Неверный ключ"), "")
		return
	}
	l, err := d.Operator.Life(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, ErrNotFound), err == nil && l.Source != source:
		writeError(w, http.StatusNotFound, "not_found", d.say("There is no such lead", "Такой заявки нет"), "")
	case err != nil:
		d.Log.Error().Err(err).Msg("a lead's life cannot be told")
		writeError(w, http.StatusInternalServerError, "internal", d.say("The lead's state cannot be read now", "Сейчас состояние заявки не прочитать"), "")
	default:
		writeJSON(w, http.StatusOK, l)
	}
}

func (d *Doors) say(en, ru string) string { return lang(d.Config.Language).say(en, ru) }

// sourceOf is the source whose key the request bears, or "". Only who knows a key can make its hash, so that looking
// hashes up tells nothing by its time.
func (d *Doors) sourceOf(r *http.Request) string {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		if key = r.Header.Get("X-Api-Key"); key == "" {
			key = r.URL.Query().Get("key")
		}
	}
	sum := sha256.Sum256([]byte(key))
	hash := "sha256:" + hex.EncodeToString(sum[:])
	for name, s := range d.Config.Sources {
		for _, known := range s.Keys {
			if strings.EqualFold(known, hash) {
				return name
			}
		}
	}
	return ""
}
