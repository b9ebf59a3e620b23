//go:build linux

package seeded

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// cutter stands between a client and a Redis. It passes everything on; when it is told to, it cuts the connection
// instead of delivering the answer to a request that holds a certain text. Every other such answer gets through.
type cutter struct {
	socket string
	text   []byte
	marks  atomic.Int32 // answers to come that are to be cut, and as many between them
	listen net.Listener
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newCutter(socket string, text []byte) *cutter { return &cutter{socket: socket, text: text} }

func (c *cutter) cut(answers int) { c.marks.Store(int32(2 * answers)) }

func (c *cutter) left() int { return int(max(c.marks.Load(), 0)+1) / 2 }

func (c *cutter) open() (err error) {
	if c.listen, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
		c.wg.Go(c.accept)
	}
	return err
}

func (c *cutter) address() string { return c.listen.Addr().String() }

func (c *cutter) close() error {
	err := c.listen.Close()
	c.mu.Lock()
	for _, conn := range c.conns {
		err = errors.Join(err, ignoreClosed(conn.Close()))
	}
	c.mu.Unlock()
	c.wg.Wait()
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (c *cutter) accept() {
	for {
		in, err := c.listen.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("unix", c.socket)
		if err != nil {
			in.Close()
			continue
		}
		c.mu.Lock()
		c.conns = append(c.conns, in, out)
		c.mu.Unlock()
		var marked atomic.Bool // the request under way holds the text
		c.wg.Go(func() {
			defer out.Close()
			pass(out, in, func(b []byte) bool {
				if bytes.Contains(b, c.text) {
					marked.Store(true)
				}
				return true
			})
		})
		c.wg.Go(func() {
			defer in.Close()
			pass(in, out, func([]byte) bool { return !marked.Swap(false) || !c.due() })
		})
	}
}

// due says whether a marked answer is to be cut.
func (c *cutter) due() bool {
	n := c.marks.Add(-1)
	return n >= 0 && n%2 == 1
}

// pass copies until either side ends or look says no.
func pass(to io.Writer, from io.Reader, look func([]byte) bool) {
	buf := make([]byte, 1<<20)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !look(buf[:n]) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
