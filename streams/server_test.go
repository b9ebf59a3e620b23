package streams

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"leadstream/streams/journal"
	"leadstream/streams/streamstest"
	"leadstream/streams/streamstest/model"
)

// Redis comes back with an old copy of its memory, in which the lease is ours: nothing that is read from it may go out
// before the lease was asked again and the difference found.
func TestLeaseEndsWhenAnotherRedisIsMet(t *testing.T) {
	custody := &Custody{Instance: "one"}
	if err := custody.Open(journal.Options{Dir: t.TempDir(), Reserve: -1, SegmentSize: 2 << 20}); err != nil {
		t.Fatal(err)
	}
	defer custody.Close()
	synctest.Test(t, func(t *testing.T) {
		server := model.New(time.Now)
		wire := func([][]string) model.Passage { return model.Passage{Delay: time.Millisecond} }
		var conns []*model.Conn
		dial := func(context.Context, string, string) (net.Conn, error) {
			conns = append(conns, server.Dial("one", wire))
			return conns[len(conns)-1], nil
		}
		clients, err := OpenRedis(RedisOptions{URL: "unix:///model", Timeout: time.Second, Readers: 2, Dial: dial})
		if err != nil {
			t.Fatal(err)
		}
		defer clients.Close()
		ping := func() {
			t.Helper()
			if err := clients.Read.Ping(t.Context()).Err(); err != nil {
				t.Error(err)
			}
		}
		p := &Partition{Keys: Keys{Prefix: "ls"}, Custody: custody, Clients: clients}
		ping()
		p.lease.Store(&lease{until: time.Now().Add(time.Minute), run: server.RunID})
		if err := clients.Write.Ping(t.Context()).Err(); err != nil || !p.owns() {
			t.Errorf("%v, owns %v: a further connection to the same server changes nothing", err, p.owns())
		}
		changed := p.elsewhere()
		copied := server.Save()
		server.Restart(strings.Repeat("1", 40), copied)
		if !p.owns() {
			t.Error("what was read before is still ours")
		}
		for _, c := range conns {
			c.Cut(false)
		}
		for clients.Read.Ping(t.Context()).Err() != nil { // until the pool knows
		}
		if p.owns() {
			t.Error("the lease of the server that is gone is still believed")
		}
		select {
		case <-changed:
		default:
			t.Error("nobody is told to ask for the lease again")
		}
	})
}

// Behind a proxy, or while a master is replaced, new connections may reach another server than the ones there are. Then
// the lease is asked for again, but not all the time.
func TestTwoServersAreNotAskedAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := model.New(time.Now)
		wire := func([][]string) model.Passage { return model.Passage{Delay: time.Millisecond} }
		dial := func(context.Context, string, string) (net.Conn, error) { return server.Dial("one", wire), nil }
		clients, err := OpenRedis(RedisOptions{URL: "unix:///model", Timeout: time.Second, Readers: 2, Dial: dial})
		if err != nil {
			t.Fatal(err)
		}
		defer clients.Close()
		p := &Partition{Keys: Keys{Prefix: "ls"}, Custody: &Custody{Instance: "one"}, Clients: clients, Boot: "b"}
		p.epoch.Store(5)
		for key, value := range map[string]string{p.Keys.epoch(): "5", p.Keys.run(): server.RunID, p.Keys.lastOwner(): "one"} {
			if err := clients.Write.Set(t.Context(), key, value, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		p.lease.Store(&lease{until: time.Now().Add(time.Minute), run: server.RunID})
		clients.servers.run = strings.Repeat("1", 40)
		began := time.Now()
		for range 3 {
			if !p.keep(t.Context()) {
				t.Fatal("the partition is given up")
			}
		}
		if took := time.Since(began); p.owns() || took < 2*leaseTTL/9 {
			t.Errorf("asked three times within %v, owns %v", took, p.owns())
		}
	})
}

// A client asks the sentinels for its master, and listens to one of them. That is none of the servers whose change ends
// the lease, and a user of it that may do only what Redis's manual says may not ask it who it is.
func TestSentinelIsNoOtherServer(t *testing.T) {
	ctx := t.Context()
	port := streamstest.FreePort(t)
	master := streamstest.Redis(t, "--port", port).Client
	addr := streamstest.Sentinel(t, port)
	sentinel := redis.NewClient(&redis.Options{Addr: addr, DisableIdentity: true})
	defer sentinel.Close()
	streamstest.Eventually(t, func() bool { return sentinel.Ping(ctx).Err() == nil })
	for name, may := range map[string]string{"all": "+@all", "what it needs": "-info"} {
		t.Run(name, func(t *testing.T) {
			if err := sentinel.Do(ctx, "ACL", "SETUSER", "default", "+@all", may).Err(); err != nil {
				t.Fatal(err)
			}
			c, err := OpenRedis(RedisOptions{URL: "redis+sentinel://" + addr + "/mymaster"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Write.Ping(ctx).Err(); err != nil {
				t.Fatal(err)
			}
			run := redisRun(t, master)
			listening := func() int64 { return sentinel.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub").Val().(int64) }
			streamstest.Eventually(t, func() bool { return listening() > 0 })
			streamstest.Eventually(t, func() bool { return listening() > 0 || !c.servers.same(run) }) // it has connected again
			if !c.servers.same(run) {
				t.Error("the sentinel is taken for another Redis")
			}
		})
	}
}

// redisRun is a server's run id.
func redisRun(t *testing.T, c *redis.Client) string {
	t.Helper()
	_, rest, ok := strings.Cut(c.Info(t.Context(), "server").Val(), "run_id:")
	run, _, _ := strings.Cut(rest, "\r\n")
	if !ok {
		t.Fatal("no run id")
	}
	return run
}
