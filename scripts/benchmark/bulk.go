package main

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// bulk is how many leads a request of NDJSON has.
const bulk = 250

// postBulk sends a request of bulk leads, and returns when it was answered.
func (s *sender) postBulk() {
	var lines bytes.Buffer
	for range bulk {
		lines.Write(body(int(numbers.Add(1)), time.Unix(0, 0)))
		lines.WriteByte('\n')
	}
	s.out = append(s.out[:0], "POST /v1/leads HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-ndjson\r\nX-Api-Key: "+apiKey+"\r\nContent-Length: "...)
	s.out = strconv.AppendInt(s.out, int64(lines.Len()), 10)
	s.out = append(append(s.out, "\r\n\r\n"...), lines.Bytes()...)
	_, err := s.conn.Write(s.out)
	check(err)
	check(s.answer())
}

// measureBulk: requests of many leads each, as fast as they are answered, and at a pace that the forwarder must hold.
func measureBulk(p plan) {
	const pace = 20_000
	var rate, behind series
	for range p.rounds {
		s := startServer("intake", 0)
		begin := time.Now()
		n := senders(s.addr, 8, begin.Add(p.window), 0)
		rate = append(rate, float64(n)/time.Since(begin).Seconds())
		s.drained()
		s.stop()

		s = startServer("intake", 0)
		senders(s.addr, 8, time.Now().Add(p.window), pace)
		behind = append(behind, float64(s.behind()))
		s.drained()
		s.stop()
	}
	fmt.Printf("4. NDJSON, %d leads a request, 8 connections\n", bulk)
	row("journalled, leads/s", rate, "%.0f", "≥ 60000")
	row(fmt.Sprintf("not yet forwarded at the end of %s at %d/s", p.window, pace), behind, "%.0f", "≤ 1000")
	fmt.Println()
}

// senders posts bulks until end, at a pace in leads a second or, 0, as fast as they are answered, and returns how many
// leads.
func senders(addr string, conns int, end time.Time, pace int) int64 {
	var wg sync.WaitGroup
	var sent, turn atomic.Int64
	start := time.Now()
	for range conns {
		wg.Go(func() {
			s := dial(addr)
			defer s.conn.Close()
			for time.Now().Before(end) {
				if pace > 0 {
					at := start.Add(time.Duration(turn.Add(1)-1) * bulk * time.Second / time.Duration(pace))
					if at.After(end) {
						return
					}
					time.Sleep(time.Until(at))
				}
				s.postBulk()
				sent.Add(bulk)
			}
		})
	}
	wg.Wait()
	return sent.Load()
}
