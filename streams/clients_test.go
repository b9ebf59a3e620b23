package streams_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"leadstream/streams"
	"leadstream/streams/streamstest"
)

func TestOpenRedisRefuses(t *testing.T) {
	const secret = "s3cr3t"
	tests := map[string]struct{ url, want string }{
		"nothing":              {"", "no scheme"},
		"no scheme":            {"localhost:6379", "no scheme"},
		"other scheme":         {"http://:" + secret + "@localhost", "unknown scheme"},
		"slash in password":    {"redis://user:" + secret + "/x@localhost:6379", "%2F"},
		"percent in password":  {"redis://user:" + secret + "%zz@localhost", "%25"},
		"bad port":             {"redis://localhost:" + secret, "host:port"},
		"no host":              {"redis://", "host:port"},
		"two hosts":            {"redis://a:1,b:2", "redis+sentinel://"},
		"bad database":         {"redis://localhost/" + secret, "database"},
		"database twice":       {"redis://localhost/1?db=2", "database"},
		"resending":            {"redis://localhost?max_retries=3", "max_retries"},
		"unverified TLS":       {"rediss://localhost?skip_verify=true", "skip_verify"},
		"socket without path":  {"unix://", "absolute path"},
		"relative socket":      {"unix://run/redis.sock", "absolute path"},
		"sentinel, no master":  {"redis+sentinel://a:26379,b:26379", "master name"},
		"cluster, database":    {"redis+cluster://a:6379/3", "database 0"},
		"TLS over unix socket": {"rediss+unix:///s", "unknown scheme"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := streams.OpenRedis(streams.RedisOptions{URL: tt.url})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want an error that says %q", err, tt.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func openClients(t *testing.T, url string) *streams.Clients {
	t.Helper()
	c, err := streams.OpenRedis(streams.RedisOptions{URL: url, Readers: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestOpenRedisOptions(t *testing.T) {
	c := openClients(t, "rediss://user:p%40ss@host.example:6380/3")
	type options struct {
		Addr, User, Password string
		DB, Retries, Pool    int
		TLS                  bool
	}
	of := func(c redis.UniversalClient) options {
		o := c.(*redis.Client).Options()
		return options{o.Addr, o.Username, o.Password, o.DB, o.MaxRetries, o.PoolSize, o.TLSConfig != nil}
	}
	want := options{"host.example:6380", "user", "p@ss", 3, 0, 5, true}
	if diff := cmp.Diff(want, of(c.Read)); diff != "" {
		t.Error(diff)
	}
	if n := of(c.Write).Retries; n != 0 {
		t.Errorf("the writer resends %d times", n)
	}
}

// A failed-over server is the old master that has become a replica, with connections still open.
func TestReadonlyDropsThePool(t *testing.T) {
	ctx := context.Background()
	tests := map[string]func(c redis.UniversalClient) error{
		"plain": func(c redis.UniversalClient) error { return c.Set(ctx, "k", "v", 0).Err() },
		"worded": func(c redis.UniversalClient) error {
			return c.Eval(ctx, `return redis.error_reply("ERR READONLY x")`, nil).Err()
		},
		"pipeline": func(c redis.UniversalClient) error {
			_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error { p.Set(ctx, "k", "v", 0); return nil })
			return err
		},
	}
	s := streamstest.Redis(t)
	for name, write := range tests {
		t.Run(name, func(t *testing.T) {
			c := openClients(t, "unix://"+s.Addr).Write
			before := connections(t, c, 4)
			if err := s.Client.Do(ctx, "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
				t.Fatal(err)
			}
			if err := write(c); err == nil || !strings.Contains(err.Error(), "READONLY") {
				t.Fatalf("got %v, want READONLY", err)
			}
			if err := s.Client.Do(ctx, "REPLICAOF", "NO", "ONE").Err(); err != nil {
				t.Fatal(err)
			}
			for id := range connections(t, c, 4) {
				if before[id] {
					t.Errorf("connection %d to the replica is still in use", id)
				}
			}
		})
	}
}

// connections uses n connections of c's pool at once and tells their ids.
func connections(t *testing.T, c redis.UniversalClient, n int) map[int64]bool {
	t.Helper()
	ctx, ids := context.Background(), map[int64]bool{}
	for range n {
		conn := c.(*redis.Client).Conn()
		defer conn.Close()
		id, err := conn.ClientID(ctx).Result()
		if err != nil {
			t.Fatal(err)
		}
		ids[id] = true
	}
	return ids
}

// An answer that is lost must not make the client send the command again, on one server or in a cluster.
func TestNothingIsSentTwice(t *testing.T) {
	tests := map[string]struct {
		args   []string
		scheme string
	}{
		"one server": {nil, "redis"},
		"cluster":    {[]string{"--cluster-enabled", "yes", "--port", streamstest.FreePort(t), "--cluster-port", streamstest.FreePort(t)}, "redis+cluster"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			s := streamstest.Redis(t, tt.args...)
			proxy := cutAnswers(t, s.Addr)
			if tt.args != nil {
				s.Client.Do(ctx, "CONFIG", "SET", "cluster-announce-port", proxy.port)
				if err := s.Client.ClusterAddSlotsRange(ctx, 0, 16383).Err(); err != nil {
					t.Fatal(err)
				}
				streamstest.Eventually(t, func() bool { return strings.Contains(s.Client.ClusterInfo(ctx).Val(), "cluster_state:ok") })
			}
			c := openClients(t, fmt.Sprintf("%s://127.0.0.1:%s", tt.scheme, proxy.port)).Write
			if err := c.Set(ctx, "{0}warm", "1", 0).Err(); err != nil {
				t.Fatal(err)
			}

			proxy.cut.Store(true)
			if err := c.XAdd(ctx, &redis.XAddArgs{Stream: "{0}q", Values: []string{"a", "b"}}).Err(); err == nil {
				t.Error("no error although the answer was lost")
			}
			streamstest.Eventually(t, func() bool { return s.Client.XLen(ctx, "{0}q").Val() > 0 })
			if n := s.Client.XLen(ctx, "{0}q").Val(); n != 1 {
				t.Errorf("%d entries, want 1", n)
			}
		})
	}
}

func TestSentinel(t *testing.T) {
	ctx := context.Background()
	port := streamstest.FreePort(t)
	s := streamstest.Redis(t, "--port", port)
	c := openClients(t, "redis+sentinel://"+streamstest.Sentinel(t, port)+"/mymaster")
	streamstest.Eventually(t, func() bool { return c.Write.Set(ctx, "k", "v", 0).Err() == nil })
	if got := s.Client.Get(ctx, "k").Val(); got != "v" {
		t.Errorf("k = %q on the master", got)
	}
	if err := c.Read.Ping(ctx).Err(); err != nil {
		t.Error(err)
	}
}

// answerCutter is a TCP door to a unix socket that can lose answers.
type answerCutter struct {
	port string
	cut  atomic.Bool
}

// cutAnswers opens one. When cut is set, the next request still reaches the server, but its answer is replaced by a hang-up.
func cutAnswers(t *testing.T, socket string) *answerCutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &answerCutter{port: strconv.Itoa(l.Addr().(*net.TCPAddr).Port)}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { p.serve(in, socket) })
		}
	})
	t.Cleanup(func() { l.Close(); open.Wait() })
	return p
}

func (p *answerCutter) serve(in net.Conn, socket string) {
	defer in.Close()
	out, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer out.Close()
	go func() {
		_, _ = io.Copy(out, in)
		out.Close()
	}()
	answer := make([]byte, 64<<10)
	for {
		n, err := out.Read(answer)
		if err != nil || p.cut.CompareAndSwap(true, false) {
			return
		}
		if _, err := in.Write(answer[:n]); err != nil {
			return
		}
	}
}
