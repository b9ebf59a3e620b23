package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/daemon/intake"
	"leadstream/daemon/links"
)

// do asks a handler.
func do(t *testing.T, h http.Handler, method, path, body string, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for k, v := range header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// shelf is a Taker that keeps leads in memory.
type shelf struct {
	mu    sync.Mutex
	full  bool
	taken map[string]bool
}

func (s *shelf) Take(ctx context.Context, t intake.Taken) (intake.Receipt, error) {
	all, err := s.TakeAll(ctx, []intake.Taken{t})
	if err != nil {
		return intake.Receipt{}, err
	}
	return all[0], nil
}

func (s *shelf) TakeAll(_ context.Context, ts []intake.Taken) ([]intake.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return nil, intake.ErrUnavailable{Err: errors.New("disk full")}
	}
	var receipts []intake.Receipt
	for _, t := range ts {
		id := t.Key + string(t.Canonical)
		r := intake.Receipt{LeadID: "abc", Status: intake.Accepted}
		if s.taken[id] {
			r.Status = intake.Duplicate
		}
		s.taken[id] = true
		receipts = append(receipts, r)
	}
	return receipts, nil
}

func (s *shelf) Quarantine(context.Context, intake.Quarantined) error { return nil }

const siteKey = "ls_site_0123456789abcdefghijklmnop"

// publicDoors are Doors over a shelf, with the sources site and other.
func publicDoors(t *testing.T) (*Doors, *shelf) {
	t.Helper()
	cfg, _, err := Load(write(t, `
language: en
sources:
  site: {keys: ["`+intake.KeyHash(siteKey)+`"]}
  other: {keys: ["`+intake.KeyHash("other")+`"]}
sinks: {table: {kind: csv}}
`))
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{taken: map[string]bool{}}
	reg := prometheus.NewRegistry()
	shim, err := intake.New(cfg.Intake, s, reg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	shim.Links = &links.Store{Dir: cfg.inData(cfg.Links.Dir), Keep: cfg.Links.Keep}
	return &Doors{Config: cfg, Intake: shim, Operator: &fakeOperator{}, Health: &Health{}, Metrics: reg, Log: zerolog.Nop()}, s
}

// TestOpenAPI holds what the handlers answer against openapi.yaml.
func TestOpenAPI(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	d, s := publicDoors(t)
	h := d.Public()
	bearer := "Bearer " + siteKey
	made, err := d.Intake.(*intake.Handler).Links.Make(links.Link{Target: "https://shop.example.test/", Source: "site", About: "abc"})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		method, path, contentType, body, auth string
		full                                  bool
		want                                  int
	}{
		"a lead":         {"POST", "/v1/leads", "application/json", `{"name":"Анна","phone":"+79990000011"}`, bearer, false, 200},
		"it again":       {"POST", "/v1/leads", "application/json", `{"name":"Анна","phone":"+79990000011"}`, bearer, false, 200},
		"several":        {"POST", "/v1/leads", "application/json", `[{"name":"Анна"},{"name":"Мария"}]`, bearer, false, 200},
		"a form":         {"POST", "/in/site", "application/x-www-form-urlencoded", "name=Anna&phone=%2B79990000011", bearer, false, 200},
		"lines":          {"POST", "/v1/leads", "application/x-ndjson", "{\"name\":\"a\"}\n{\"name\":\"b\"}\n", bearer, false, 200},
		"not JSON":       {"POST", "/v1/leads", "application/json", `{`, bearer, false, 400},
		"wrong key":      {"POST", "/v1/leads", "application/json", `{"name":"Анна"}`, "Bearer nonsense", false, 401},
		"no such source": {"POST", "/in/nobody", "application/json", `{"name":"Анна"}`, bearer, false, 401},
		"disk full":      {"POST", "/v1/leads", "application/json", `{"name":"Пётр"}`, bearer, true, 503},
		"a link":         {"POST", "/v1/links", "application/json", `{"url":"https://shop.example.test/","about":"abc"}`, bearer, false, 201},
		"a bad link":     {"POST", "/v1/links", "application/json", `{"url":"shop"}`, bearer, false, 400},
		"link, no key":   {"POST", "/v1/links", "application/json", `{"url":"https://shop.example.test/"}`, "", false, 401},
		"opened":         {"GET", "/l/" + made, "", "", "", false, 302},
		"opened, full":   {"GET", "/l/" + made, "", "", "", true, 302},
		"unknown link":   {"GET", "/l/nonsense", "", "", "", false, 404},
		"a life":         {"GET", "/v1/leads/abc", "", "", bearer, false, 200},
		"no life":        {"GET", "/v1/leads/nope", "", "", bearer, false, 404},
		"another's life": {"GET", "/v1/leads/abc", "", "", "Bearer other", false, 404},
		"life, no key":   {"GET", "/v1/leads/abc", "", "", "", false, 401},
		"alive":          {"GET", "/healthz", "", "", "", false, 200},
		"ready":          {"GET", "/readyz", "", "", "", false, 200},
		"metrics":        {"GET", "/metrics", "", "", "", false, 200},
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s.full = tc.full
			r := httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body))
			if tc.contentType != "" {
				r.Header.Set("Content-Type", tc.contentType)
			}
			r.Header.Set("Authorization", tc.auth)
			r.Header.Set("User-Agent", "Mozilla/5.0")
			route, params, err := router.FindRoute(r)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tc.want {
				t.Fatalf("status %d: %s, want %d", w.Code, w.Body, tc.want)
			}
			in := &openapi3filter.RequestValidationInput{Request: httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body)),
				PathParams: params, Route: route, Options: options}
			in.Request.Header = r.Header
			if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil && tc.want/100 == 2 && tc.contentType != "application/x-ndjson" {
				t.Errorf("the request: %v", err)
			}
			out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: w.Code, Header: w.Header(), Options: options,
				Body: io.NopCloser(strings.NewReader(w.Body.String()))}
			if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil && tc.path != "/metrics" {
				t.Errorf("the answer: %v\n%s", err, w.Body)
			}
		})
	}
	if w := do(t, h, "GET", "/openapi.yaml", "", nil); w.Code != 200 || w.Body.String() != string(openapi) {
		t.Errorf("/openapi.yaml: %d", w.Code)
	}
}

func TestHealth(t *testing.T) {
	fine := func(context.Context) error { return nil }
	bad := func(context.Context) error { return errors.New("disk full") }
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	hangs := func(context.Context) error { <-release; return nil }
	tests := map[string]struct {
		h            Health
		alive, ready int
		body         string
	}{
		"well":           {Health{Alive: []Probe{{"loop", fine}}, Ready: []Probe{{"journal", fine}}}, 200, 200, `"journal":"ok"`},
		"cannot keep":    {Health{Alive: []Probe{{"loop", fine}}, Ready: []Probe{{"journal", bad}}}, 200, 503, `"journal":"disk full"`},
		"hangs":          {Health{Alive: []Probe{{"loop", hangs}}, Within: 50 * time.Millisecond}, 503, 503, `"loop":"no answer in time"`},
		"Redis is away":  {Health{Notes: []Probe{{"redis", bad}}}, 200, 200, `"redis":"disk full"`},
		"nothing to ask": {Health{}, 200, 200, `{}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &Doors{Config: Defaults(), Health: &tc.h, Metrics: prometheus.NewRegistry(), Intake: http.NotFoundHandler()}
			h := d.Public()
			if w := do(t, h, "GET", "/healthz", "", nil); w.Code != tc.alive {
				t.Errorf("/healthz: %d, want %d", w.Code, tc.alive)
			}
			if w := do(t, h, "GET", "/readyz", "", nil); w.Code != tc.ready || !strings.Contains(w.Body.String(), tc.body) {
				t.Errorf("/readyz: %d %s, want %d with %s", w.Code, w.Body, tc.ready, tc.body)
			}
			if err := tc.h.Check(t.Context()); (err == nil) != (tc.alive == 200) {
				t.Errorf("watchdog: %v", err)
			}
		})
	}
}
