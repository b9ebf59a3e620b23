package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// plan is how much is measured.
type plan struct {
	rounds            int
	window            time.Duration // of one closed loop measurement
	leads, asynqLeads int           // through one queue
	paced, idle       time.Duration
	sustained, parked time.Duration
	backlog           int   // leads
	journal           int64 // bytes
}

// series are the results of the rounds.
type series []float64

// median of a series.
func (s series) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func (s series) text(format string) string {
	return fmt.Sprintf(format+" ("+format+" – "+format+")", s.median(), slices.Min(s), slices.Max(s))
}

// over divides round by round: both sides of a round have met the same weather.
func (s series) over(other series) series {
	ratios := make(series, len(s))
	for i := range s {
		ratios[i] = s[i] / other[i]
	}
	return ratios
}

func row(what string, s series, format, target string) {
	if target != "" {
		target = "   target " + target
	}
	fmt.Printf("  %-46s %-34s%s\n", what, s.text(format), target)
}

// bound is how many leads may be under way while a sustained rate is measured: a second's worth or two.
const bound = 10_000

// measureHTTP: POST /v1/leads against a handler that does nothing, in closed loop.
func measureHTTP(p plan) {
	fmt.Println("1. HTTP, leads/s: median (least – most)")
	fmt.Printf("   closed loop, keep-alive; key checked, journal fsynced before 200; at most %d leads under way\n", bound)
	for _, c := range []struct {
		conns  int
		target string
	}{{64, "≥ 0.42"}, {256, "≥ 0.50"}} {
		base, forwarded, delivered := new(loads), new(loads), new(loads)
		for r := range p.rounds {
			profiled := func(what string) string {
				if r > 0 {
					return ""
				}
				return fmt.Sprintf("%s%d", what, c.conns)
			}
			base.add(loaded("nothing", c.conns, p.window, ""))
			forwarded.add(loaded("intake", c.conns, p.window, profiled("intake")))
			delivered.add(loaded("leadstream", c.conns, p.window, profiled("http")))
		}
		row(fmt.Sprintf("%d connections: handler that does nothing", c.conns), base.rate, "%.0f", "")
		row("  CPU a request, µs", base.cpu, "%.0f", "")
		for _, l := range []struct {
			name, target string
			*loads
		}{{"accepted and forwarded to Redis", c.target, forwarded}, {"accepted to delivered, four hops", "", delivered}} {
			row(fmt.Sprintf("%d connections: %s", c.conns, l.name), l.rate, "%.0f", "")
			row("  ratio", l.rate.over(base.rate), "%.2f", l.target)
			row("  ratio by CPU used, all processes", base.all.over(l.all), "%.2f", "")
			row("  CPU a lead, leadstream, µs", l.cpu, "%.0f", "")
			row("  CPU a lead, its redis-server, µs", l.redisCPU, "%.0f", "")
			row("  leads under way, at most", l.most, "%.0f", "")
		}
	}
	fmt.Println()
}

// loads are the results of the rounds; CPU in µs a request, all: of servers, Redis and load together.
type loads struct{ rate, cpu, redisCPU, all, most series }

func (s *loads) add(l loadResult) {
	s.rate, s.cpu, s.redisCPU = append(s.rate, l.rate), append(s.cpu, l.cpu), append(s.redisCPU, l.redisCPU)
	s.all, s.most = append(s.all, l.cpu+l.redisCPU+l.loadCPU), append(s.most, float64(l.most))
}

// loadResult is one server under load. CPU is in µs a request.
type loadResult struct {
	rate, cpu, redisCPU, loadCPU float64
	most                         int64
}

// loaded measures one server in closed loop; what it accepts is waited for, and counts.
func loaded(what string, conns int, d time.Duration, path string) (l loadResult) {
	s := startServer(what, bound)
	defer s.stop()
	s.profile(path, d)
	before := cpuTime(os.Getpid())
	rate, all := closed(s.addr, conns, d)
	each := func(t time.Duration) float64 { return float64(t.Microseconds()) / float64(all) }
	l.rate, l.loadCPU = rate, each(cpuTime(os.Getpid())-before)
	if what != "nothing" {
		l.most = s.drained().Most
		if p := profilePath(path + "-allocs"); p != "" && path != "" {
			check(os.WriteFile(p, s.get("/debug/pprof/allocs"), 0o644))
		}
	}
	l.cpu, l.redisCPU = each(cpuTime(s.cmd.Process.Pid)), each(cpuTime(s.redis.cmd.Process.Pid))
	return l
}

// measureQueue: the last queue, read to settled, against what others do with theirs.
func measureQueue(p plan) {
	names := []string{"leadstream", "hand-over", "watermill", "asynq", "raw"}
	in, out := map[string]series{}, map[string]series{}
	for round := range p.rounds {
		for _, name := range names {
			n := p.leads
			if name == "asynq" {
				n = p.asynqLeads
			}
			path := ""
			if (name == "leadstream" || name == "hand-over") && round == 0 {
				path = profilePath("queue-" + name)
			}
			r := contest(name, n, path)
			in[name], out[name] = append(in[name], r.Enqueue), append(out[name], r.Handle)
		}
	}
	fmt.Println("2. Last queue, leads/s: median (least – most)")
	fmt.Printf("   %d producers, %d handlers for watermill and asynq; leadstream %d calls of %d leads, with intent and outcome fsynced in its journal\n",
		producers, handlers, callers, sinkBatch)
	titles := map[string]string{"leadstream": "leadstream", "hand-over": "leadstream, to a second queue", "watermill": "watermill-redisstream",
		"asynq": "asynq", "raw": "go-redis XADD; XREADGROUP + XACK + XDEL, by 500"}
	for _, name := range names {
		row("handle:  "+titles[name], out[name], "%.0f", "")
	}
	row("  leadstream / watermill", out["leadstream"].over(out["watermill"]), "%.2f", "≥ 3")
	row("  leadstream / asynq", out["leadstream"].over(out["asynq"]), "%.2f", "≥ 10")
	row("  leadstream / raw", out["leadstream"].over(out["raw"]), "%.2f", "")
	row("  hand-over to a second queue / raw", out["hand-over"].over(out["raw"]), "%.2f", "≥ 0.6")
	for _, name := range names {
		row("enqueue: "+titles[name], in[name], "%.0f", "")
	}
	row("  leadstream / watermill", in["leadstream"].over(in["watermill"]), "%.2f", "")
	row("  leadstream / asynq", in["leadstream"].over(in["asynq"]), "%.2f", "")
	fmt.Println()
}

func contest(name string, n int, profileTo string) rates {
	redis := startRedis()
	defer redis.stop()
	dir, err := os.MkdirTemp(scratch, name)
	check(err)
	defer os.RemoveAll(dir)
	cmd := exec.Command(self(), "contend", name, redis.socket, dir, strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "PROFILE="+profileTo)
	out, err := cmd.Output()
	check(err)
	var r rates
	decodeJSON(out, &r)
	return r
}

// behind is how many leads Redis does not have yet.
func (r *running) behind() int64 {
	var st stats
	decodeJSON(r.get("/stats"), &st)
	return st.Accepted - st.Handled
}

// measureLatency: how long a lead takes at a steady rate that no answer slows down; and until it is answered while there
// is no Redis.
func measureLatency(p plan) {
	const rate = 1000
	s := startServer("leadstream", 0)
	s.profile("latency", p.paced)
	answered := paced(s.addr, rate, p.paced, (*sender).post)
	st := s.drained()
	s.stop()
	alone := startServer("intake", 0)
	alone.redis.halt()
	unaided := paced(alone.addr, rate, p.paced, (*sender).post)
	alone.stop()
	messengers := startServer("leadstream", 0)
	hooks := paced(messengers.addr, rate/2, p.paced, (*sender).hook)
	messengers.stop()
	fmt.Printf("3. Latency at %d leads/s for %s, open loop, from the moment a lead ought to be sent; %d delivered\n", rate, p.paced, len(st.Delays))
	for _, what := range []struct {
		name, target string
		took         []time.Duration
	}{{"until the 200", "p99 < 10ms", answered}, {"until the 200, Redis down", "p99 < 10ms", unaided}, {"until the sink is called", "p99 < 20ms", st.Delays},
		{"a messenger's webhook, 500/s, signature checked", "p99 < 10ms", hooks}} {
		at := func(q float64) time.Duration { return percentile(what.took, q).Round(10 * time.Microsecond) }
		target := what.target
		if target != "" {
			target = "   target " + target
		}
		fmt.Printf("  %-46s p50 %s  p95 %s  p99 %s  max %s%s\n", what.name, at(.5), at(.95), at(.99), at(1), target)
	}
	fmt.Println()
}

// measureSustained: the whole path for minutes, and what grows meanwhile.
func measureSustained(p plan) {
	s := startServer("leadstream", bound)
	defer s.stop()
	c := client(s.redis.socket, 1)
	defer c.Close()
	fmt.Printf("5. The whole path, HTTP to triage to tagging to a sink that answers at once, 64 connections, for %s\n", p.sustained)
	var rates, resident, held, keys series
	parts := 5
	for range parts {
		rate, _ := closed(s.addr, 64, p.sustained/time.Duration(parts)*4/5)
		st := s.drained()
		memory := (&pool{admin: c}).memory()
		names, err := c.DBSize(context.Background()).Result()
		check(err)
		rates, resident = append(rates, rate), append(resident, rss(s.cmd.Process.Pid)*(1<<20)/float64(st.Accepted))
		held, keys = append(held, float64(memory)/float64(st.Accepted)), append(keys, float64(names)/float64(st.Accepted))
	}
	row("leads/s, of five parts", rates, "%.0f", "≥ 5000")
	last := func(s series) series { return s[len(s)-1:] }
	row("in the end: Redis's memory a lead it has seen, bytes", last(held), "%.0f", "")
	row("in the end: keys a lead (its own, its contacts')", last(keys), "%.2f", "")
	row("in the end: leadstream's memory a lead, bytes", last(resident), "%.0f", "")
	fmt.Println()
}

func measureIdle(p plan) {
	d, r := idle(*daemon, p.idle)
	fmt.Printf("10. Idle for %s: leadstream serve, embedded Redis, one CSV sink\n", p.idle)
	fmt.Printf("  %-46s %.1f MB, %.2f %% of a core   target < 40 MB, < 1 %%\n", "leadstream", d.rss, d.cpu)
	fmt.Printf("  %-46s %.1f MB, %.2f %% of a core\n", "its redis-server", r.rss, r.cpu)
}

// running is a server in a process of its own, with a Redis of its own.
type running struct {
	addr  string
	cmd   *exec.Cmd
	redis *server
	dir   string
}

func startServer(what string, bound int) *running {
	r := &running{redis: startRedis()}
	var err error
	r.dir, err = os.MkdirTemp(scratch, "journal")
	check(err)
	r.cmd = exec.Command(self(), "serve", what, r.redis.socket, r.dir, strconv.Itoa(bound))
	r.cmd.Stderr, r.cmd.SysProcAttr = os.Stderr, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := r.cmd.StdoutPipe()
	check(err)
	check(r.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	check(err)
	r.addr = strings.TrimSpace(line)
	return r
}

// drained waits until everything accepted was delivered.
func (r *running) drained() stats {
	for {
		var st stats
		decodeJSON(r.get("/stats"), &st)
		if st.Accepted == st.Handled {
			return st
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (r *running) get(path string) []byte {
	answer, err := http.Get("http://" + r.addr + path)
	check(err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	check(err)
	return b
}

// profile fetches a CPU profile of the coming load.
func (r *running) profile(name string, d time.Duration) {
	path := profilePath(name)
	if path == "" || name == "" {
		return
	}
	go func() {
		check(os.WriteFile(path, r.get(fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(d.Seconds()))), 0o644))
	}()
}

func (r *running) stop() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	r.redis.stop()
	_ = os.RemoveAll(r.dir)
}

func self() string {
	path, err := filepath.EvalSymlinks("/proc/self/exe")
	check(err)
	return path
}
