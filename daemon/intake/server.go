package intake

import (
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/rs/zerolog"
)

// Server is an HTTP server with time-outs on everything: Go's zero values mean none, and a sender that trickles its
// bytes would hold a connection for ever. Serve it on what Limit returns.
func Server(handler http.Handler, c Config, log zerolog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: c.ReadHeaderTimeout,
		ReadTimeout:       c.ReadTimeout,
		WriteTimeout:      c.WriteTimeout,
		IdleTimeout:       c.IdleTimeout,
		MaxHeaderBytes:    c.MaxHeader,
		ErrorLog:          stdLog(log),
	}
}

// stdLog takes net/http's own complaints, which are about peers and of no use to an operator one by one.
func stdLog(to zerolog.Logger) *log.Logger {
	return log.New(to.With().Str("level", "debug").Str("from", "net/http").Logger(), "", 0)
}

// Limit caps the connections of a listener, all together and by address, so that one address cannot take all. Trusted
// proxies speak for many and count in the whole alone.
func Limit(inner net.Listener, c Config) (net.Listener, error) {
	trusted, err := networks(c.TrustedProxies)
	if err != nil {
		return nil, err
	}
	return &limited{
		Listener: inner, slots: make(chan struct{}, c.Connections), closed: make(chan struct{}),
		perIP: c.ConnectionsPerIP, trusted: trusted, open: make(map[netip.Addr]int),
	}, nil
}

type limited struct {
	net.Listener
	slots   chan struct{}
	closed  chan struct{}
	once    sync.Once
	perIP   int
	trusted []netip.Prefix

	mu   sync.Mutex
	open map[netip.Addr]int
}

// Accept waits for a free slot: what is beyond the cap queues in the kernel. Connections beyond an address's share are
// closed at once.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			return nil, err
		}
		addr, ok := l.enter(conn.RemoteAddr())
		if ok {
			return &limitedConn{Conn: conn, leave: func() { l.leave(addr) }}, nil
		}
		_ = conn.Close()
	}
}

// Close also wakes an Accept that waits for a slot.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// enter counts a connection of an address; the zero address is not counted.
func (l *limited) enter(remote net.Addr) (netip.Addr, bool) {
	peer, err := netip.ParseAddrPort(remote.String())
	addr := peer.Addr().Unmap()
	if err != nil || within(l.trusted, addr) {
		return netip.Addr{}, true
	}
	addr = network(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[addr] >= l.perIP {
		return addr, false
	}
	l.open[addr]++
	return addr, true
}

func (l *limited) leave(addr netip.Addr) {
	<-l.slots
	if !addr.IsValid() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[addr]--; l.open[addr] == 0 {
		delete(l.open, addr)
	}
}

type limitedConn struct {
	net.Conn
	once  sync.Once
	leave func()
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.leave)
	return err
}
