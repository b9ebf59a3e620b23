package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a redis-server of one measurement's own: nobody inherits a heap or an append-only file from the one before.
type server struct {
	dir, socket string
	cmd         *exec.Cmd
}

// durability is the same for everybody.
var durability = []string{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction",
	"--save", "", "--auto-aof-rewrite-percentage", "0"}

func startRedis() *server {
	dir, err := os.MkdirTemp(scratch, "redis")
	check(err)
	s := &server{dir: dir, socket: filepath.Join(dir, "s")}
	s.start()
	return s
}

// start waits until it answers.
func (s *server) start() {
	s.cmd = exec.Command("redis-server", append([]string{"--port", "0", "--unixsocket", s.socket, "--dir", s.dir, "--logfile", "log"}, durability...)...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	check(s.cmd.Start())
	c := client(s.socket, 1)
	defer c.Close()
	for deadline := time.Now().Add(10 * time.Second); c.Ping(context.Background()).Err() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			check(fmt.Errorf("redis-server in %s does not answer", s.dir))
		}
	}
}

// halt ends it; its files stay.
func (s *server) halt() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) stop() {
	s.halt()
	_ = os.RemoveAll(s.dir)
}

func client(socket string, pool int) *redis.Client {
	return redis.NewClient(&redis.Options{Network: "unix", Addr: socket, PoolSize: pool, MaxRetries: -1})
}
