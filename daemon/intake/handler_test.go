package intake

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/streams"
)

// memory is a Taker that keeps everything in a slice.
type memory struct {
	mu          sync.Mutex
	taken       []Taken
	quarantined []Quarantined
	fail        func() error
}

func (m *memory) Take(ctx context.Context, t Taken) (Receipt, error) {
	receipts, err := m.TakeAll(ctx, []Taken{t})
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], nil
}

func (m *memory) TakeAll(_ context.Context, ts []Taken) ([]Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(); err != nil {
			return nil, err
		}
	}
	var receipts []Receipt
	for _, t := range ts {
		r := Receipt{LeadID: streams.NewID(t.Lead.Source, t.Key, string(t.Canonical)), Status: Accepted}
		for _, before := range m.taken {
			if before.Key == t.Key && t.Key != "" {
				r.Conflict = string(before.Canonical) != string(t.Canonical)
			}
			if before.Key == t.Key && string(before.Canonical) == string(t.Canonical) {
				r.Status = Duplicate
			}
		}
		m.taken = append(m.taken, t)
		receipts = append(receipts, r)
	}
	return receipts, nil
}

func (m *memory) Quarantine(_ context.Context, q Quarantined) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.quarantined = append(m.quarantined, q)
	return nil
}

const testKey = "ls_test_0123456789"

// testConfig has a source of every sort.
func testConfig() Config {
	c := Defaults()
	c.Language = "en"
	keys := []string{KeyHash("another"), KeyHash(testKey)}
	c.Sources = map[string]Source{
		"make": {Preset: "make", Keys: keys},
	}
	return c
}

func newHandler(t testing.TB, c Config, taker Taker) *Handler {
	t.Helper()
	h, err := New(c, taker, prometheus.NewRegistry(), zerolog.New(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestOneLead(t *testing.T) {
	m := &memory{}
	h := newHandler(t, testConfig(), m)
	r := httptest.NewRequest("POST", "/v1/leads", strings.NewReader(`{"name":"Ольга","phone":"8 (999) 000-00-11","note":"x","room":5}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Api-Key", testKey)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"status":"accepted"`) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if l := m.taken[0].Lead; l.Phone != "+79990000011" || l.Name != "Ольга" || l.Source != "make" {
		t.Errorf("got %+v", l)
	}
}
