package streams

import (
	"context"
	"net"
	"strings"
	"sync"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// readonlyHook closes all connections of a client when one of them turns out to lead to a replica: after a failover the
// others lead there too, and each would cost a refused write. go-redis drops the one connection only, and not even that
// when a proxy or a script words it "ERR READONLY".
type readonlyHook struct {
	mu    sync.Mutex
	conns map[*trackedConn]struct{}
}

// isReadonly tells whether a replica refused a write, in any wording.
func isReadonly(err error) bool {
	return err != nil && strings.Contains(err.Error(), "READONLY ")
}

func (h *readonlyHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		t := &trackedConn{Conn: conn, hook: h}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.conns == nil {
			h.conns = map[*trackedConn]struct{}{}
		}
		h.conns[t] = struct{}{}
		return t.forPool(), nil
	}
}

func (h *readonlyHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if isReadonly(err) {
			h.drop()
		}
		return err
	}
}

func (h *readonlyHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			if isReadonly(cmd.Err()) {
				h.drop()
				break
			}
		}
		return err
	}
}

func (h *readonlyHook) drop() {
	h.mu.Lock()
	conns := h.conns
	h.conns = nil
	h.mu.Unlock()
	for c := range conns {
		c.Conn.Close()
	}
}

// trackedConn forgets itself when the pool closes it.
type trackedConn struct {
	net.Conn
	hook *readonlyHook
}

func (c *trackedConn) Close() error {
	c.hook.mu.Lock()
	delete(c.hook.conns, c)
	c.hook.mu.Unlock()
	return c.Conn.Close()
}

// forPool shows the pool the raw socket where there is one: that is how it sees, before it reuses a connection, that the
// other side has closed it.
func (c *trackedConn) forPool() net.Conn {
	raw, ok := c.Conn.(syscall.Conn)
	if !ok {
		return c
	}
	return &rawConn{c, raw}
}

type rawConn struct {
	*trackedConn
	raw syscall.Conn
}

func (c *rawConn) SyscallConn() (syscall.RawConn, error) { return c.raw.SyscallConn() }
