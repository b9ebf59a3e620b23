package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// sender is one keep-alive connection that posts leads. It is written on the bare connection: net/http's client would
// cost more than the servers that are measured.
type sender struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

func dial(addr string) *sender {
	conn, err := net.Dial("tcp", addr)
	check(err)
	return &sender{conn: conn, in: bufio.NewReaderSize(conn, 1<<10)}
}

// post sends lead i, and returns when it has been answered 200. Anything else ends the run.
func (s *sender) post(i int, sent time.Time) {
	s.request("/v1/leads", "X-Api-Key: "+apiKey, body(i, sent))
}

// hook sends message i as WhatsApp does.
func (s *sender) hook(i int, _ time.Time) {
	b := whatsApp(i)
	s.request("/in/"+hookSource, "X-Hub-Signature-256: "+signed(b), b)
}

func (s *sender) request(path, proof string, body []byte) {
	s.out = append(s.out[:0], "POST "+path+" HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"+proof+"\r\nContent-Length: "...)
	s.out = strconv.AppendInt(s.out, int64(len(body)), 10)
	s.out = append(append(s.out, "\r\n\r\n"...), body...)
	_, err := s.conn.Write(s.out)
	check(err)
	check(s.answer())
}

func (s *sender) answer() error {
	status, err := s.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200 "))
	length := 0
	for {
		line, err := s.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(": ")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if !ok {
		text, _ := io.ReadAll(io.LimitReader(s.in, int64(length)))
		return fmt.Errorf("the server answered %s", text)
	}
	_, err = s.in.Discard(length)
	return err
}

// numbers makes every lead of a run another one.
var numbers atomic.Int64

// closed keeps conns connections busy, each with one request at a time, and returns answers per second, after a quarter
// of the time to warm up, and answers in all.
func closed(addr string, conns int, d time.Duration) (rate float64, all int64) {
	var wg sync.WaitGroup
	var answers atomic.Int64
	begin := time.Now()
	end := begin.Add(d + d/4)
	for range conns {
		wg.Go(func() {
			s := dial(addr)
			defer s.conn.Close()
			for time.Now().Before(end) {
				s.post(int(numbers.Add(1)), time.Unix(0, 0))
				answers.Add(1)
			}
		})
	}
	time.Sleep(d / 4)
	warm, from := answers.Load(), time.Now()
	time.Sleep(time.Until(end))
	rate = float64(answers.Load()-warm) / time.Since(from).Seconds()
	wg.Wait()
	return rate, answers.Load()
}

// paced sends rate requests a second whatever the server does, and returns how long after the moment at which each ought
// to have been sent its 200 was there.
func paced(addr string, rate int, d time.Duration, send func(s *sender, i int, at time.Time)) []time.Duration {
	const conns = 64
	total := int(d.Seconds() * float64(rate))
	took := make([]time.Duration, total)
	start := time.Now().Add(100 * time.Millisecond)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			s := dial(addr)
			defer s.conn.Close()
			for {
				i := int(next.Add(1)) - 1
				if i >= total {
					return
				}
				at := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
				time.Sleep(time.Until(at))
				send(s, int(numbers.Add(1)), at)
				took[i] = time.Since(at)
			}
		})
	}
	wg.Wait()
	return took
}

// percentile of unsorted times.
func percentile(d []time.Duration, p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(int(p*float64(len(d))), len(d)-1)]
}
