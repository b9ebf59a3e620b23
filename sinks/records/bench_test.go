package records

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"leadstream/streams"
)

var benchMessages = flag.Int("bench-messages", 100_000, "messages that stand in the records before BenchmarkAppend begins")

// benchLead is a message of one of many customers, as people write.
func benchLead(n, customers int) *streams.Lead {
	c := n % customers
	return &streams.Lead{ID: streams.NewID("bench", fmt.Sprint(n)), Source: "bot", Channel: "telegram", UserID: fmt.Sprint(c), Language: "ru",
		Phone: fmt.Sprintf("+7999%07d", c), Name: "Анна Канарейкина", Intent: "booking", ReceivedAt: noon.Add(time.Duration(n) * time.Second),
		Message: "Здравствуйте! " + strings.Repeat("Можно записаться на стрижку завтра вечером? ", 1+n%3) + fmt.Sprint("Заказ ", n)}
}

func fill(b *testing.B, s *Sink, from, n, customers int) {
	b.Helper()
	for ; n > 0; n -= Kind.Batch {
		var batch []*streams.Lead
		for range min(n, Kind.Batch) {
			batch = append(batch, benchLead(from, customers))
			from++
		}
		if _, err := s.Write(context.Background(), time.UTC, batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppend appends messages to records that hold -bench-messages of them already, in full batches:
// go test ./sinks/records -run xxx -bench Append -benchtime 20000x -bench-messages 1000000
func BenchmarkAppend(b *testing.B) {
	for name, set := range map[string]func() Settings{
		"sqlite":   Defaults,
		"postgres": func() Settings { return Settings{URL: postgres.Database(b), History: Least} },
	} {
		b.Run(name, func(b *testing.B) {
			s := newSink(b, set())
			fill(b, s, 0, *benchMessages, *benchMessages/10)
			b.ResetTimer()
			fill(b, s, *benchMessages, b.N, *benchMessages/10)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkOpen opens a conversation of 10,000 messages, and tells how much of its text compression leaves.
func BenchmarkOpen(b *testing.B) {
	for name, set := range map[string]func() Settings{
		"sqlite":   Defaults,
		"postgres": func() Settings { return Settings{URL: postgres.Database(b), History: Least} },
	} {
		b.Run(name, func(b *testing.B) {
			s := newSink(b, set())
			fill(b, s, 0, 10_000, 1)
			var packed, plain int64
			err := s.query(context.Background(), func(scan func(...any) error) error {
				var body []byte
				if err := scan(&body); err != nil {
					return err
				}
				lines, err := unzip(body)
				packed, plain = packed+int64(len(body)), plain+int64(len(lines))
				return err
			}, "SELECT body FROM chunks")
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for b.Loop() {
				if m, err := s.History(context.Background(), 1); err != nil || len(m) != 10_000 {
					b.Fatal(len(m), err)
				}
			}
			b.ReportMetric(float64(packed)/float64(plain), "packed/plain")
		})
	}
}
