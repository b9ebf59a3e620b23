package streams

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"leadstream/streams/journal"
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
