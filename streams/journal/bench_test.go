package journal

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// BenchmarkAppend appends leads of 700 bytes by so many goroutines at once.
func BenchmarkAppend(b *testing.B) {
	payload := []byte(strings.Repeat("lead ", 140))
	for _, writers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			j, err := Open(Options{Dir: b.TempDir(), Reserve: -1}, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer j.Close()
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			b.SetParallelism((writers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, _, err := j.Append(1, payload); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
		})
	}
}

// BenchmarkOpen replays a journal of 256 MiB.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	j, err := Open(Options{Dir: dir, Reserve: -1}, nil)
	if err != nil {
		b.Fatal(err)
	}
	recs := make([]Record, 256)
	for i := range recs {
		recs[i].Payload = []byte(strings.Repeat("lead ", 140))
	}
	var size int64
	for ; size < 256<<20; size += 256 * 736 {
		if _, err := j.AppendBatch(recs); err != nil {
			b.Fatal(err)
		}
	}
	j.Close()
	b.SetBytes(size)
	for b.Loop() {
		n := 0
		start := time.Now()
		j, err := Open(Options{Dir: dir, Reserve: -1}, func(Record) error { n++; return nil })
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n)/time.Since(start).Seconds(), "records/s")
		j.Close()
	}
}
