package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"leadstream/sinks/sim/phone"
	"leadstream/sinks/sim/push"
)

// answersConfig is a shop whose customers write to its bot and are answered by it, in two brackets: token, address of the
// simulated Telegram, messages a second that it permits.
const answersConfig = `sources:
  bot: {preset: telegram, secrets: ["a secret of the benchmark's own"]}
sinks:
  table: {kind: csv}
answers:
  channels:
    telegram: {kind: telegram, token: %q, base_url: %q, allow_private: true, rate: {per_second: %d, burst: %[3]d}}
  policy: {day_limit: 0}
  unanswered: {after: 0s}
alerts: {alive_at: ""}
listen: %s
`

// measureAnswers: customers write by Telegram, each once, at a steady rate; from the moment in which Telegram has its 2xx
// until the answer is at the customer. Journal, Redis, triage, records, dialogue, policy and the Bot API are on the way.
func measureAnswers(p plan) {
	fmt.Println("11. First answer, ms from accepted to answered: median (least – most)")
	fmt.Printf("   the daemon with embedded Redis and SQLite, Telegram in and out (simulated), %s a round\n", p.paced)
	for _, c := range []struct {
		rate, most int
		what       string
	}{{20, 30, "20/s, within the limits of a bot"}, {50, 1000, "50/s, by a bot that pays for more"}} {
		var p50, p99, longest, lost series
		for range p.rounds {
			took, written := answers(*daemon, c.rate, c.most, p.paced)
			at := func(share float64) float64 { return took[int(share*float64(len(took)-1))] }
			p50, p99, longest = append(p50, at(.5)), append(p99, at(.99)), append(longest, at(1))
			lost = append(lost, float64(written-len(took)))
		}
		row(c.what+": p50", p50, "%.0f", "")
		row("  p99", p99, "%.0f", "< 3000")
		row("  longest", longest, "%.0f", "< 30000")
		row("  without an answer", lost, "%.0f", "0")
	}
	fmt.Println()
}

// answers has customers write for d, waits for the last answer, and gives what each has waited, in order, and how many have
// written.
func answers(binary string, rate, most int, d time.Duration) (took series, written int) {
	dir, err := os.MkdirTemp(scratch, "answers")
	check(err)
	defer os.RemoveAll(dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	addr := l.Addr().String()
	check(l.Close())

	var mu sync.Mutex
	accepted := map[string]time.Time{}
	const token = "110201543:phone-token"
	bot := phone.New(phone.Options{Token: token, Chats: []phone.Chat{}, PlainHTTP: true, PerSecond: most, Watch: push.Watch{Tried: func(t push.Try) {
		var update struct {
			Message struct {
				Chat struct{ ID int64 }
			}
		}
		if t.Err == nil && json.Unmarshal(t.Body, &update) == nil {
			mu.Lock()
			accepted[strconv.FormatInt(update.Message.Chat.ID, 10)] = t.Answered
			mu.Unlock()
		}
	}}})
	check(bot.Start())
	defer func() { check(bot.Close()) }()
	config := filepath.Join(dir, "config.yaml")
	check(os.WriteFile(config, fmt.Appendf(nil, answersConfig, token, bot.URL(), most, addr), 0o600))
	cmd := exec.Command(binary, "serve", "--config", config)
	var said bytes.Buffer
	cmd.Stderr, cmd.SysProcAttr = &said, &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	check(cmd.Start())
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	ready(addr, &said)
	childOf(cmd.Process.Pid)
	bot.SetWebhook("http://"+addr+"/in/bot", "a secret of the benchmark's own")

	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
		written++
		bot.Write(phone.From{ID: int64(5_000_000 + written), Name: "Анна"}, "Здравствуйте! Можно записаться на стрижку завтра в 14:00?")
	}
	answered := map[string]time.Time{}
	for deadline := time.Now().Add(time.Minute); len(answered) < written && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		for _, m := range bot.Messages() {
			if _, again := answered[m.To]; !again {
				answered[m.To] = m.At
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for who, at := range answered {
		if taken, ok := accepted[who]; ok {
			took = append(took, max(0, at.Sub(taken).Seconds()*1000)) // an answer may be there before the 2xx is
		}
	}
	if len(took) == 0 {
		check(fmt.Errorf("nobody was answered:\n%s", said.Bytes()[max(0, said.Len()-2000):]))
	}
	slices.Sort(took)
	return took, written
}
