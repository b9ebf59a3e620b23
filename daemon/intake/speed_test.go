package intake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

const enquiry = "Здравствуйте! Есть ли свободное время на завтра после шести вечера? Нужны стрижка и окрашивание в один тон, " +
	"волосы до плеч, мастер любой. Сколько это будет стоить и сколько займёт времени? Оплата картой."

const siteLead = `{"name":"Анна","phone":"+79990000011","email":"client1@example.test","service":"окрашивание и стрижка",` +
	`"message":"` + enquiry + `","channel":"site","utm_source":"instagram","utm_medium":"cpc","utm_campaign":"osen",` +
	`"page":"https://salon.example.test/price","form":"1","sent":"17"}`

// nowhere takes everything at once, and keeps nothing.
type nowhere struct{ taken int }

func (n *nowhere) Take(context.Context, Taken) (Receipt, error) {
	n.taken++
	return Receipt{LeadID: "0123456789abcdefghjkmnpqrs", Status: Accepted}, nil
}

func (n *nowhere) TakeAll(_ context.Context, ts []Taken) ([]Receipt, error) {
	n.taken += len(ts)
	all := make([]Receipt, len(ts))
	for i := range all {
		all[i] = Receipt{LeadID: "0123456789abcdefghjkmnpqrs", Status: Accepted}
	}
	return all, nil
}

func (n *nowhere) Quarantine(context.Context, Quarantined) error { return nil }

// unread is an http.ResponseWriter that nobody reads.
type unread struct {
	header http.Header
	code   int
}

func (u *unread) Header() http.Header         { return u.header }
func (u *unread) Write(b []byte) (int, error) { return len(b), nil }
func (u *unread) WriteHeader(code int)        { u.code = code }

// poster posts the same body again and again.
type poster struct {
	h     *Handler
	w     unread
	r     *http.Request
	body  *bytes.Reader
	taken *nowhere
}

func newPoster(t testing.TB, contentType, body string) *poster {
	t.Helper()
	p := &poster{body: bytes.NewReader([]byte(body)), w: unread{header: http.Header{}}, taken: &nowhere{}}
	h, err := New(testConfig(), p.taken, prometheus.NewRegistry(), zerolog.New(io.Discard).With().Timestamp().Logger())
	if err != nil {
		t.Fatal(err)
	}
	p.h = h
	p.r, err = http.NewRequest("POST", "/v1/leads", p.body)
	if err != nil {
		t.Fatal(err)
	}
	p.r.RemoteAddr = "192.0.2.1:1234"
	p.r.Header = http.Header{"Content-Type": {contentType}, "X-Api-Key": {testKey + "api"}}
	return p
}

func (p *poster) post(t testing.TB) {
	_, _ = p.body.Seek(0, io.SeekStart)
	clear(p.w.header)
	p.h.ServeHTTP(&p.w, p.r)
	if p.w.code != 200 {
		t.Fatalf("code %d", p.w.code)
	}
}

func bulkBody(n int) string {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "%s\n", bytes.Replace([]byte(siteLead), []byte("+79990000011"), fmt.Appendf(nil, "+7999%07d", i), 1))
	}
	return b.String()
}

// inBulk is how many leads the bulk requests of these tests have.
const inBulk = 100

func BenchmarkPost(b *testing.B) {
	p := newPoster(b, "application/json", siteLead)
	b.ReportAllocs()
	for b.Loop() {
		p.post(b)
	}
}

func BenchmarkPostBulk(b *testing.B) {
	p := newPoster(b, "application/x-ndjson", bulkBody(inBulk))
	b.ReportAllocs()
	for b.Loop() {
		p.post(b)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(p.taken.taken), "ns/lead")
}
