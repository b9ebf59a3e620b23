package streams

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"leadstream/streams/journal"
)

// siteLead is a lead of about 700 bytes, as the shim hands it over; each i makes another.
func siteLead(i int) Taken {
	body := []byte(fmt.Sprint(i) + strings.Repeat("enquiry ", 80))
	return Taken{Canonical: body, Raw: body, Lead: &Lead{Source: "site", Name: "Анна", Phone: fmt.Sprintf("+7999%07d", i%1e7),
		Email: "client@example.test", Service: "окрашивание и стрижка", Channel: "site", Message: string(body[:400]),
		UTM:    map[string]string{"source": "instagram", "medium": "cpc", "campaign": "osen"},
		Fields: map[string]json.RawMessage{"page": json.RawMessage(`"https://salon.example.test/price"`), "form": json.RawMessage(`"1"`)}}}
}

func benchCustody(b testing.TB) *Custody {
	c := &Custody{Instance: "one"}
	if err := c.Open(journal.Options{Dir: b.TempDir(), Reserve: -1}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	return c
}

// BenchmarkTake takes so many leads with one fsync.
func BenchmarkTake(b *testing.B) {
	for _, n := range []int{1, 250} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := benchCustody(b)
			taken := make([]Taken, n)
			i := 0
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				for k := range taken {
					i++
					taken[k] = siteLead(i)
				}
				b.StartTimer()
				if _, err := c.TakeAll(context.Background(), taken); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(i), "ns/lead")
		})
	}
}
