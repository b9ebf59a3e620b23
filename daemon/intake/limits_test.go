package intake

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
)

func TestBucket(t *testing.T) {
	now := time.Unix(1_795_000_000, 0)
	l := limiter{rate: Rate{PerSecond: 2, Burst: 3}}
	for n := range 3 {
		if wait := l.take(now); wait != 0 {
			t.Errorf("token %d: wait %v", n, wait)
		}
	}
	if wait := l.take(now); wait != 500*time.Millisecond {
		t.Errorf("wait %v, want half a second", wait)
	}
	if wait := l.take(now.Add(500 * time.Millisecond)); wait != 0 {
		t.Errorf("wait %v after half a second", wait)
	}
	if wait := (&limiter{}).take(now); wait != 0 {
		t.Errorf("no limit, wait %v", wait)
	}
}

func TestAddressLimiter(t *testing.T) {
	now := time.Unix(1_795_000_000, 0)
	l := addressLimiter{rate: Rate{PerSecond: 1, Burst: 1}}
	tests := []struct {
		addr string
		free bool
	}{
		{"192.0.2.1", true}, {"192.0.2.1", false}, {"::ffff:192.0.2.1", false}, {"192.0.2.2", true},
		{"2001:db8::1", true}, {"2001:db8::ffff:1", false}, {"2001:db8:0:1::1", true}, {"fe80::1%eth0", true}, {"fe80::2%eth1", false},
	}
	for _, tt := range tests {
		addr := netip.MustParseAddr(tt.addr)
		if peek := l.peek(addr, now) == 0; peek != tt.free {
			t.Errorf("%s: peek %t", tt.addr, peek)
		}
		if free := l.take(addr, now) == 0; free != tt.free {
			t.Errorf("%s: %t, want %t", tt.addr, free, tt.free)
		}
	}
	for n := range maxBuckets + 100 {
		l.take(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), now)
	}
	if len(l.by) > maxBuckets {
		t.Errorf("%d buckets", len(l.by))
	}
}

// A flood of strangers gets 429, and takes nothing from the senders with a key.
func TestFloodOfStrangers(t *testing.T) {
	c := testConfig()
	site := c.Sources["site"]
	site.PerIP, site.Rate = Rate{PerSecond: 1, Burst: 5}, Rate{PerSecond: 1, Burst: 8}
	c.Sources["site"] = site
	floods := map[string]struct {
		target  string
		headers []string
		allowed int
		refused int // status of what is allowed
	}{
		"wrong keys":       {"/in/make", []string{"X-Api-Key", "wrong"}, 20, 401},
		"wrong signatures": {"/in/signed", []string{"X-Signature", "sha256=00"}, 20, 401},
		"a public form":    {"/in/site", []string{"Origin", "https://example.test"}, 5, 200},
	}
	for name, tt := range floods {
		t.Run(name, func(t *testing.T) {
			h := newHandler(t, c, &memory{})
			now := time.Unix(1_795_000_000, 0)
			h.now = func() time.Time { return now }
			codes := map[int]int{}
			var last http.Header
			for range 50 {
				w := send(h, tt.target, `{"name":"a"}`, tt.headers...)
				codes[w.Code]++
				last = w.Header()
			}
			if codes[tt.refused] != tt.allowed || codes[429] != 50-tt.allowed || last.Get("Retry-After") == "" {
				t.Errorf("got %v, %v", codes, last)
			}
			for _, source := range []string{"make", "site", "api"} {
				if w := sendJSON(h, source, `{"name":"a"}`); w.Code != 200 {
					t.Errorf("%s, with its key: %d %s", source, w.Code, w.Body)
				}
			}
		})
	}
}

// Beyond the slots and the memory for bodies, requests are asked to come again; the slots come free.
func TestInFlight(t *testing.T) {
	c := testConfig()
	c.InFlightBytes = 4 * c.MaxBody
	api := c.Sources["api"]
	api.Concurrency = 1
	c.Sources["api"] = api
	entered, release := make(chan struct{}), make(chan struct{})
	m := &memory{}
	h := newHandler(t, c, takerFunc{m, func(context.Context) error {
		entered <- struct{}{}
		<-release
		return nil
	}})
	first := make(chan int)
	go func() { first <- sendJSON(h, "api", `{"name":"a"}`).Code }()
	<-entered
	if w := sendJSON(h, "api", `{"name":"b"}`); w.Code != 429 || w.Header().Get("Retry-After") != "1" {
		t.Errorf("no slot: %d %s", w.Code, w.Body)
	}
	h.known.enter(c.InFlightBytes - 20)
	if w := sendJSON(h, "make", `{"name":"b"}`); w.Code != 503 || w.Header().Get("Retry-After") != "1" {
		t.Errorf("no room: %d %s", w.Code, w.Body)
	}
	h.known.leave(c.InFlightBytes - 20)
	close(release)
	if code := <-first; code != 200 {
		t.Errorf("the first got %d", code)
	}
	go func() { <-entered }()
	if w := sendJSON(h, "api", `{"name":"b"}`); w.Code != 200 {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
	if n := h.known.now.Load(); n != 0 {
		t.Errorf("%d bytes still in flight", n)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	h, err := New(testConfig(), &memory{}, reg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if n, want := testutil.CollectAndCount(h.metrics.requests), (len(testConfig().Sources)+1)*len(results); n != want {
		t.Errorf("%d series before the first request, want %d: a series that is absent cannot be alerted on", n, want)
	}
	sendJSON(h, "make", `{"name":"a","phone":"undefined","email":"null"}`)
	sendJSON(h, "make", `[{"name":"a"},5]`)
	sendJSON(h, "make", `{"name":`)
	sendJSON(h, "make", `{"name":"a"}`, "Idempotency-Key", "constant")
	sendJSON(h, "make", `{"name":"b"}`, "Idempotency-Key", "constant")
	sendJSON(h, "nobody", `{}`)
	want := `
		# HELP leadstream_intake_mapping_errors_total Placeholders that came instead of values, and idempotency keys that came with different leads.
		# TYPE leadstream_intake_mapping_errors_total counter
		leadstream_intake_mapping_errors_total{source="make"} 3
		# HELP leadstream_intake_quarantined_total Requests, or items of them, kept raw because they could not become a lead.
		# TYPE leadstream_intake_quarantined_total counter
		leadstream_intake_quarantined_total{source="make"} 2
		# HELP leadstream_intake_requests_total Leads and refused requests by source and result; source is empty when it is not known.
		# TYPE leadstream_intake_requests_total counter
		leadstream_intake_requests_total{result="accepted",source="make"} 4
		leadstream_intake_requests_total{result="invalid",source="make"} 2
		leadstream_intake_requests_total{result="unauthorized",source=""} 1
	`
	if err := testutil.GatherAndCompare(nonZero{reg}, strings.NewReader(want), "leadstream_intake_requests_total",
		"leadstream_intake_mapping_errors_total", "leadstream_intake_quarantined_total"); err != nil {
		t.Error(err)
	}
	if _, err := New(testConfig(), &memory{}, reg, zerolog.Nop()); err == nil {
		t.Error("metrics registered twice and nothing said")
	}
}

// Logs must never hold what a customer wrote, nor a key, whatever happens to the request.
func TestLogsHoldNoData(t *testing.T) {
	var log bytes.Buffer
	for n, fail := range []error{nil, ErrUnavailable{Err: fmt.Errorf("disk full")}} {
		h, err := New(testConfig(), &memory{fail: fail}, prometheus.NewRegistry(), zerolog.New(&log))
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{
			`{"name":"Canary","phone":"89990000011","email":"{{1.canary}}","undefined":"undefined"}`, `{"name":"Canary`, `Canary`,
			`[{"name":"Canary"},"Canary"]`, `name=Canary&phone=89990000011&company_fax=Canary`,
		} {
			for _, target := range []string{"/in/make/" + testKey + "make", "/v1/leads?key=" + testKey + "api", "/in/site?canary=Canary"} {
				send(h, target, body, "Origin", "https://example.test", "Idempotency-Key", "Canary")
			}
		}
		if n == 0 && !strings.Contains(log.String(), `"lead taken"`) {
			t.Error("no line says that a lead was taken")
		}
	}
	for _, secret := range []string{"anary", testKey, "9990000011"} {
		if at := strings.Index(log.String(), secret); at >= 0 {
			t.Errorf("the log holds %q: …%.200s", secret, log.String()[max(0, at-100):])
		}
	}
}
