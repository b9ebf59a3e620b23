package lookup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
)

// plain is a Getter of the standard library.
type plain struct{}

func (plain) Get(ctx context.Context, url string, header http.Header) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	r.Header = header
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	return a.StatusCode, body, err
}

func TestFind(t *testing.T) {
	block := make(chan struct{})
	var asked atomic.Int64
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch number := r.URL.Query().Get("number"); number {
		case "A-1 &x=1":
			if r.Header.Get("X-Key") != "hush" || r.URL.EscapedPath() != "/of/+79161234567/%2E%2E" {
				t.Errorf("%s %v", r.URL, r.Header)
			}
			fmt.Fprint(w, `{"result":[{"state":" on its\nway ","sum":1500.5,"track":"RA1"}]}`)
		case "slow":
			select {
			case <-r.Context().Done():
			case <-block:
			}
		case "none":
			http.NotFound(w, r)
		case "empty":
			fmt.Fprint(w, `{"result":[]}`)
		case "page":
			fmt.Fprint(w, `<html>Иванов</html>`)
		default:
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(far.Close)
	t.Cleanup(func() { close(block) })
	set := Defaults().Order
	set.URL, set.Headers, set.Timeout = far.URL+"/of/{phone}/{email}?number={order}", map[string]string{"X-Key": "hush"}, 10*time.Second
	set.Values = map[string]string{"status": "result[0].state", "sum": "result[0].sum", "tracking": "result[0].track", "link": "result[0].url"}
	counted := NewAsked()
	l := New(set, Options{Name: "order", Get: plain{}, Asked: counted, Log: zerolog.Nop()})
	now := time.Now()
	l.now = func() time.Time { return now }
	ask := func(number string) (map[string]string, error) {
		return l.Find(t.Context(), map[string]string{"order": number, "phone": "+79161234567", "email": ".."})
	}
	for range 2 {
		found, err := ask("A-1 &x=1")
		if diff := cmp.Diff(map[string]string{"status": "on its way", "sum": "1500.5", "tracking": "RA1"}, found); diff != "" || err != nil {
			t.Fatal(diff, err)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times within the cache's time", asked.Load())
	}
	now = now.Add(set.Cache)
	if _, err := ask("A-1 &x=1"); err != nil || asked.Load() != 2 {
		t.Errorf("asked %d times after it, %v", asked.Load(), err)
	}
	for number, nothing := range map[string]bool{"none": true, "empty": true, "page": false, "broken": false} {
		if _, err := ask(number); err == nil || errors.Is(err, ErrNothing) != nothing || strings.Contains(err.Error(), "Иванов") {
			t.Errorf("%s: %v", number, err)
		}
	}
	before := asked.Load()
	if _, err := l.Find(t.Context(), map[string]string{"order": "1", "phone": "+7"}); !errors.Is(err, ErrNothing) || asked.Load() != before {
		t.Errorf("asked without what the URL needs: %v", err)
	}
	l.set.Timeout = time.Millisecond
	if _, err := ask("slow"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("slow: %v", err)
	}
	for result, want := range map[string]uint64{"found": 2, "nothing": 2, "failed": 3} { // what the cache has answered is not counted, nor what was not asked
		var m dto.Metric
		if err := counted.WithLabelValues("order", result).(prometheus.Metric).Write(&m); err != nil || m.Histogram.GetSampleCount() != want {
			t.Errorf("%s: %d counted, want %d, %v", result, m.Histogram.GetSampleCount(), want, err)
		}
	}
	var none *Lookup
	if _, err := none.Find(t.Context(), nil); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
}

// What is remembered does not grow with what customers type.
func TestCacheIsBounded(t *testing.T) {
	l := New(HTTP{URL: "https://a.example/{order}", Cache: time.Minute}, Options{Get: plain{}})
	for i := range 3 * mostKnown {
		l.keep(fmt.Sprint(i), map[string]string{"status": "x"})
	}
	if _, ok := l.recall(fmt.Sprint(3*mostKnown - 1)); !ok || len(l.known) > mostKnown {
		t.Errorf("%d are kept, the last one: %v", len(l.known), ok)
	}
}

func TestFaults(t *testing.T) {
	good := func() Settings {
		s := Defaults()
		s.Order.URL, s.Order.Values = "https://crm.example/{order}?p={phone}", map[string]string{"status": "s"}
		s.Courier.URL, s.Courier.Values = "https://crm.example/{tracking}", map[string]string{"status": "s"}
		s.Place.URL, s.Place.Values = "https://geo.example/?q={address}", map[string]string{"lat": "a", "lon": "b"}
		s.Branches = []Branch{{Name: "Центр", At: "55.75, 37.61"}}
		return s
	}
	if err := errors.Join(good().Faults(), Defaults().Faults()); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Settings){
		"lookups.order.url: it is no URL":              func(s *Settings) { s.Order.URL = "crm/{order}" },
		"lookups.order.url: what customers write":      func(s *Settings) { s.Order.URL = "https://{order}.crm.example/" },
		"lookups.order.url: customers' data":           func(s *Settings) { s.Order.URL = "http://crm.example/{order}" },
		"lookups.order.url: {tracking} is not":         func(s *Settings) { s.Order.URL += "{tracking}" },
		"lookups.order.values: it does not say":        func(s *Settings) { s.Order.Values = nil },
		"lookups.courier.values: it does not say":      func(s *Settings) { s.Courier.Values = nil },
		"lookups.place.values: it does not say":        func(s *Settings) { s.Place.Values = map[string]string{"lat": "a"} },
		"lookups.place.timeout: it is 0s":              func(s *Settings) { s.Place.Timeout = 0 },
		"lookups.place.cache: it is 2h":                func(s *Settings) { s.Place.Cache = 2 * time.Hour },
		"lookups.branches[0]: it has no name, or no":   func(s *Settings) { s.Branches[0].At = "55.75" },
		"lookups.branches[1]: it has no name, or no p": func(s *Settings) { s.Branches = append(s.Branches, Branch{At: "1,1"}) },
	} {
		s := good()
		change(&s)
		if err := s.Faults(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Distances are those of the ellipsoid within 500 m: what the lengths of degrees there give.
func TestKilometres(t *testing.T) {
	for _, c := range []struct {
		a, b Point
		km   float64
	}{
		{Point{55.7539, 37.6208}, Point{55.7601, 37.6186}, 0.704},
		{Point{55, 37}, Point{56, 37}, 111.34}, // a degree of the meridian is longer there than on a sphere
		{Point{0, 0}, Point{0, 0.5}, 55.66},
		{Point{10, 179.9}, Point{10, -179.9}, 21.93},
	} {
		if got := Kilometres(c.a, c.b); math.Abs(got-c.km) > max(0.1, 0.005*c.km) {
			t.Errorf("%v to %v: %.3f km, want %.3f", c.a, c.b, got, c.km)
		}
	}
	branches := []Branch{{Name: "no place"}, {Name: "Арбат", At: "55.7494,37.5914"}, {Name: "Сокол", At: "55.8053, 37.5150"}}
	if b, km := Nearest(branches, Point{55.80, 37.53}); b == nil || b.Name != "Сокол" || km > 2 {
		t.Errorf("%+v, %.1f km", b, km)
	}
	if b, _ := Nearest(nil, Point{1, 1}); b != nil {
		t.Error(b)
	}
}

func TestPointIn(t *testing.T) {
	for location, want := range map[string]Point{
		`{"latitude":55.7,"longitude":37.6}`:                           {55.7, 37.6}, // Telegram, WhatsApp, MAX
		`{"coordinates":{"lat":55.7,"long":37.6}}`:                     {55.7, 37.6}, // Messenger
		`{"type":"point","coordinates":{"latitude":1,"longitude":-2}}`: {1, -2},      // VK
		`{"lat":"55.7","lon":"37.6","text":"…"}`:                       {55.7, 37.6},
		`{"latitude":91,"longitude":0}`:                                {},
		`{"latitude":0,"longitude":0}`:                                 {},
		`{"latitude":1}`:                                               {},
		`{"coordinates":[1,2]}`:                                        {},
		`[]`:                                                           {},
		`x`:                                                            {},
		``:                                                             {},
	} {
		if got, ok := PointIn(json.RawMessage(location)); got != want || ok != (want != Point{}) {
			t.Errorf("%s: %v %v", location, got, ok)
		}
	}
}
