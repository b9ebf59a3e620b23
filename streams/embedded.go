package streams

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"leadstream/streams/failpoint"
)

// EmbeddedOptions is the private redis-server of an installation that has no Redis of its own.
type EmbeddedOptions struct {
	Dir       string         // its folder, made with mode 0700
	MaxMemory string         // as Redis writes it; "" is 512mb. At the limit it refuses new entries, and throws none away
	Binary    string         // "" is redis-server
	Log       zerolog.Logger // starts and ends of the server
}

// Embedded is a redis-server child that outlives a killed daemon, is adopted by the next one, and is started again when
// it dies. Two locks in its folder keep it single: one belongs to the daemon, the other is inherited by the server and
// so is held exactly as long as any process of it lives, whatever has become of pids.
type Embedded struct {
	opt    EmbeddedOptions
	dir    string // absolute, as the server reports it
	url    string
	owner  *os.File // the daemon's lock
	client *redis.Client

	mu      sync.Mutex
	proc    *os.Process
	ended   chan struct{} // closed when proc has ended
	adopted bool
}

// StartEmbedded starts the server, or adopts the one that a killed daemon left behind, and returns once it answers.
// Run then watches it, and Close must be called to stop it.
func StartEmbedded(ctx context.Context, opt EmbeddedOptions) (*Embedded, error) {
	if opt.Binary == "" {
		opt.Binary = "redis-server"
	}
	if opt.MaxMemory == "" {
		opt.MaxMemory = "512mb"
	}
	binary, err := exec.LookPath(opt.Binary)
	if err != nil {
		return nil, fmt.Errorf("embedded Redis: no %s: install it with `sudo apt-get install redis-server`, "+
			"or set redis: to the URL of a server of yours", opt.Binary)
	}
	opt.Binary = binary
	dir, err := ownDir(opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded Redis: %w", err)
	}
	owner, err := tryLock(filepath.Join(dir, "owner.lock"))
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("embedded Redis: another leadstream runs in %s: stop it first, or give this one its own data folder", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("embedded Redis: %w", err)
	}
	url, err := EmbeddedURL(dir)
	if err != nil {
		owner.Close()
		return nil, err
	}
	e := &Embedded{opt: opt, dir: dir, url: url, owner: owner}
	clients, err := OpenRedis(RedisOptions{URL: url, Timeout: 2 * time.Second})
	if err != nil {
		owner.Close()
		return nil, err
	}
	clients.Read.Close()
	e.client = clients.Write.(*redis.Client)
	if err := e.up(ctx); err != nil {
		e.client.Close()
		owner.Close()
		return nil, err
	}
	return e, nil
}

// URL is where OpenRedis finds the server.
func (e *Embedded) URL() string { return e.url }

// PID is the server's process.
func (e *Embedded) PID() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.proc.Pid
}

// Adopted tells whether the server was running already.
func (e *Embedded) Adopted() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.adopted
}

// Run starts the server again whenever it ends, sooner at first and later as it goes on dying, until ctx ends. It leaves
// the server running: what still has to be written then can be.
func (e *Embedded) Run(ctx context.Context) error {
	again := Policy{Base: 100 * time.Millisecond, Factor: 2, Max: 10 * time.Second, Jitter: 0.2}
	for deaths := 0; ; {
		began := time.Now()
		e.mu.Lock()
		ended := e.ended
		e.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
		}
		if deaths++; time.Since(began) > time.Minute {
			deaths = 1
		}
		e.opt.Log.Error().Str("dir", e.dir).Msg("redis-server ended by itself; starting it again, leads wait in the journal")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(again.Delay(deaths, 0)):
		}
		if err := e.up(ctx); err != nil && ctx.Err() == nil {
			e.opt.Log.Error().Err(err).Msg("redis-server does not start; trying again")
		}
	}
}

// Close stops the server and waits for its end. Run must have returned. Nothing is lost by it: every write is in the
// append-only file before it is answered.
func (e *Embedded) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := e.client.ShutdownNoSave(ctx).Err(); err != nil {
		e.opt.Log.Debug().Err(err).Msg("redis-server: SHUTDOWN")
	}
	err := e.client.Close()
	select {
	case <-e.ended:
	case <-time.After(5 * time.Second):
		// The handle was taken while this very process held the server's lock, so it cannot be a stranger's by now.
		err = errors.Join(err, e.proc.Kill())
		<-e.ended
	}
	failpoint.Hit(failpoint.StopRedis)
	_ = os.Remove(e.pidFile())
	return errors.Join(err, e.owner.Close())
}

func (e *Embedded) pidFile() string  { return filepath.Join(e.dir, "redis.pid") }
func (e *Embedded) lockFile() string { return filepath.Join(e.dir, "server.lock") }

// patience bounds the wait for a server that holds the lock and says nothing. One that loads its data says so.
const patience = 30 * time.Second

// up returns once a server answers: a new one, or one that is there already.
func (e *Embedded) up(ctx context.Context) error {
	var last error
	for deadline := time.Now().Add(patience); ; {
		lock, err := tryLock(e.lockFile())
		if err == nil {
			return e.start(ctx, lock)
		}
		if !errors.Is(err, errLocked) {
			return fmt.Errorf("embedded Redis: %w", err)
		}
		if last = e.client.Ping(ctx).Err(); last == nil {
			return e.adopt(ctx)
		}
		if strings.HasPrefix(last.Error(), "LOADING") {
			deadline = time.Now().Add(patience)
		}
		select {
		case <-ctx.Done():
			deadline = time.Time{}
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("embedded Redis: a redis-server that was left in %s does not answer (%w): "+
				"kill the process whose number is in %s", e.dir, last, e.pidFile())
		}
	}
}

// adopt takes charge of the server that holds the lock.
func (e *Embedded) adopt(ctx context.Context) error {
	text, err := e.client.Info(ctx, "server").Result()
	if err != nil {
		return fmt.Errorf("embedded Redis: adopt: %w", err)
	}
	config, err := e.client.ConfigGet(ctx, "dir").Result()
	if err != nil {
		return fmt.Errorf("embedded Redis: adopt: %w", err)
	}
	info := parseInfo(text)
	noted, _ := os.ReadFile(e.pidFile())
	if config["dir"] != e.dir || (len(noted) > 0 && strings.TrimSpace(string(noted)) != info["process_id"]) {
		return fmt.Errorf("embedded Redis: a redis-server that is not ours answers in %s (process %s): stop it", e.dir, info["process_id"])
	}
	pid, err := strconv.Atoi(info["process_id"])
	if err != nil {
		return fmt.Errorf("embedded Redis: adopt: process id: %w", err)
	}
	proc, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("embedded Redis: adopt: %w", err)
	}
	// The settings may have changed since it was started.
	for key, value := range map[string]string{
		"maxmemory": e.opt.MaxMemory, "maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "always",
	} {
		if err := e.client.ConfigSet(ctx, key, value).Err(); err != nil {
			return fmt.Errorf("embedded Redis: adopt: set %s: %w", key, err)
		}
	}
	ended := make(chan struct{})
	go e.watchLock(ended)
	e.took(proc, ended, true)
	e.opt.Log.Info().Int("pid", pid).Str("run_id", info["run_id"]).Msg("redis-server adopted from a daemon that was killed")
	return nil
}

// watchLock closes ended when no process of the server is left. A server that is not our child cannot be waited for.
// It ends with the server, for which Close waits.
func (e *Embedded) watchLock(ended chan struct{}) {
	defer close(ended)
	for {
		lock, err := tryLock(e.lockFile())
		if err == nil {
			lock.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (e *Embedded) took(proc *os.Process, ended chan struct{}, adopted bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.proc, e.ended, e.adopted = proc, ended, adopted
}
