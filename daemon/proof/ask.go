//go:build linux

package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"leadstream/streams"
)

// Status is what the daemon says of itself, as far as the proof needs it.
type Status struct {
	Problems     []string
	Leads        map[streams.State]int
	Unexplained  int
	Unforwarded  int
	Destinations []struct {
		Name, State, Reason         string
		Waiting, Parked, Dead, Held int
	}
}

// ask reads from the daemon's own socket.
func (w *World) ask(ctx context.Context, path string, to any) error {
	return w.admin(ctx, http.MethodGet, path, nil, to)
}

// Post has the daemon do something, through its own socket, as the commands of a person do.
func (w *World) Post(ctx context.Context, path string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	return w.admin(ctx, http.MethodPost, path, b, &answer)
}

func (w *World) admin(ctx context.Context, method, path string, body []byte, to any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(w.Data, "leadstream.sock"))
	}}}
	req, err := http.NewRequestWithContext(ctx, method, "http://leadstream"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(to)
}

// Status asks the running daemon how it is.
func (w *World) Status(ctx context.Context) (s Status, err error) {
	err = w.ask(ctx, "/v1/status", &s)
	return s, err
}

// Lives is what the daemon's ledger says of every lead that it took, by id.
func (w *World) Lives(ctx context.Context) (map[string]streams.Life, error) {
	lives := map[string]streams.Life{}
	for next := ""; ; {
		var page struct {
			Leads []streams.Life
			Next  string
		}
		if err := w.ask(ctx, "/v1/leads?limit=1000&cursor="+next, &page); err != nil {
			return nil, err
		}
		for _, l := range page.Leads {
			lives[l.ID] = l
		}
		if next = page.Next; next == "" {
			return lives, nil
		}
	}
}

// Dead is the leads that stand among the dead letters, to be seen by a person: ledger C.
func (w *World) Dead(ctx context.Context) (map[string]bool, error) {
	dead := map[string]bool{}
	for next := ""; ; {
		var page struct {
			Dead []streams.DeadLetter
			Next string
		}
		if err := w.ask(ctx, "/v1/dead?limit=1000&cursor="+next, &page); err != nil {
			return nil, err
		}
		for _, d := range page.Dead {
			dead[d.Lead.ID] = true
		}
		if next = page.Next; next == "" {
			return dead, nil
		}
	}
}

// Metrics are the daemon's own metrics by name and labels.
func (w *World) Metrics(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL("/metrics"), nil)
	if err != nil {
		return nil, err
	}
	res, err := w.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || !strings.HasPrefix(line, "leadstream_") {
			continue
		}
		if values[line[:at]], err = strconv.ParseFloat(line[at+1:], 64); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return values, nil
}

// CLI runs a command of the daemon's binary against the daemon.
func (w *World) CLI(args ...string) (out string, err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(w.Binary, append([]string{"--config", w.Config}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("leadstream %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// OpenRedis opens the Redis of this world, which may be down; the caller closes it.
func (w *World) OpenRedis() (*streams.Clients, error) {
	url := w.Redis
	if url == "" {
		var err error
		if url, err = streams.EmbeddedURL(filepath.Join(w.Data, "redis")); err != nil {
			return nil, err
		}
	}
	return streams.OpenRedis(streams.RedisOptions{URL: url, Timeout: 5 * time.Second})
}

// left is what Redis still holds of leads, dead letters apart: entries of queues, and what is noted beside them.
func (w *World) left(ctx context.Context) (map[string]int64, error) {
	clients, err := w.OpenRedis()
	if err != nil {
		return nil, err
	}
	defer clients.Close()
	left := map[string]int64{}
	for _, kind := range []string{"stream", "hash"} {
		it := clients.Write.ScanType(ctx, 0, "ls:{*", 1000, kind).Iterator()
		for it.Next(ctx) {
			key := it.Val()
			if strings.HasSuffix(key, ":dead") || strings.HasSuffix(key, ":dead:by") || strings.Contains(key, ":cu:") { // customers are remembered
				continue
			}
			var n int64
			if kind == "stream" {
				n, err = clients.Write.XLen(ctx, key).Result()
				if p, perr := clients.Write.XPending(ctx, key, streams.Group).Result(); perr == nil {
					n = max(n, p.Count)
				}
			} else {
				n, err = clients.Write.HLen(ctx, key).Result()
			}
			if err != nil {
				return nil, err
			}
			if n > 0 {
				left[key] = n
			}
		}
		if err := it.Err(); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// isNote tells a hash that is kept beside a queue from the queue.
func isNote(key string) bool {
	return strings.HasSuffix(key, ":meta") || strings.HasSuffix(key, ":open")
}

// Quiet waits until every lead has come to an end and Redis holds none. It is an error when for too long none does.
func (w *World) Quiet(ctx context.Context) error {
	const tooLong = 90 * time.Second
	least := math.MaxInt
	for deadline := time.Now().Add(tooLong); ; {
		var left map[string]int64
		s, err := w.Status(ctx)
		if open := s.Leads[streams.InFlight] + s.Unforwarded; err == nil && open < least {
			least, deadline = open, time.Now().Add(tooLong)
		}
		if err == nil && s.Leads[streams.InFlight] == 0 && s.Unforwarded == 0 {
			left, err = w.left(ctx)
			// What is noted beside entries goes with them: Check looks whether it did.
			maps.DeleteFunc(left, func(key string, _ int64) bool { return isNote(key) })
			if err == nil && len(left) == 0 {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("leads do not come to an end: %+v, in Redis %v, %v", s, left, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
