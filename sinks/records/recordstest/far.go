package recordstest

import (
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Far is a server that is far away: what it answers arrives late.
type Far struct {
	URL   string // of the same database as from near
	Delay time.Duration

	trips atomic.Int64
	socks string
}

// Far lets a database that Database has made be reached from afar, until the test ends.
func (p *Postgres) Far(t testing.TB, near string, delay time.Duration) *Far {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, _, _ := strings.Cut(near, "?")
	f := &Far{URL: strings.Replace(address, "@/", "@"+l.Addr().String()+"/", 1) + "?sslmode=disable", Delay: delay, socks: filepath.Join(p.Dir, ".s.PGSQL.5432")}
	var lines sync.WaitGroup
	lines.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			lines.Go(func() { f.carry(c) })
		}
	})
	t.Cleanup(func() { l.Close(); lines.Wait() }) // whoever has opened a line closes it before
	return f
}

// Trips is how often a client has waited for an answer since it was last asked.
func (f *Far) Trips() int { return int(f.trips.Swap(0)) }

// carry carries what two sides say until one of them hangs up.
func (f *Far) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", f.socks)
	if err != nil {
		return
	}
	defer server.Close()
	type parcel struct {
		due  time.Time
		text []byte
	}
	parcels := make(chan parcel, 1024)
	var both sync.WaitGroup
	both.Go(func() {
		defer close(parcels)
		for {
			text := make([]byte, 64<<10)
			n, err := server.Read(text)
			if err != nil {
				return
			}
			parcels <- parcel{time.Now().Add(f.Delay), text[:n]}
		}
	})
	both.Go(func() {
		defer client.Close()
		for p := range parcels {
			time.Sleep(time.Until(p.due)) // the way is the thing that is simulated
			if _, err := client.Write(p.text); err != nil {
				server.Close()
			}
		}
	})
	f.listen(client, server)
	server.Close() // the client has hung up, or will hear nothing more
	both.Wait()
}

// listen passes on what the client says, and counts the messages after which it waits: Query and Sync
// (postgresql.org/docs/current/protocol-message-formats.html). The first message has no type.
func (f *Far) listen(client io.Reader, server io.Writer) {
	for first := true; ; first = false {
		head := make([]byte, 5)
		if first {
			head = head[:4]
		}
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		size := int64(binary.BigEndian.Uint32(head[len(head)-4:])) - 4
		if !first && (head[0] == 'Q' || head[0] == 'S') {
			f.trips.Add(1)
		}
		if _, err := server.Write(head); err != nil {
			return
		}
		if _, err := io.CopyN(server, client, size); err != nil {
			return
		}
	}
}
