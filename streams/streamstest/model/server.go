// Package model is a Redis in memory, for the simulation of package streams: what of Redis 7.0 the engine uses, and no
// more. It runs the engine's own Lua scripts, its clock is whatever the test says, and its connections carry the wire
// protocol with the delays and losses that the test chooses. Anything that it does not know is an error, loudly.
//
// A model agrees with whatever its author believes. So a test of this package takes the same random steps on a model
// and on a real redis-server, and compares every answer.
//
// Not modelled: databases, ACL, persistence, replication, eviction, transactions, publish and subscribe, the lag of a
// group, the history that XREADGROUP gives for an id, and every command that is not in the table.
package model

import (
	"fmt"
	"hash/fnv"
	"maps"
	"strings"
	"sync"
	"time"
)

// Server is one Redis. Its methods may be called by many goroutines.
type Server struct {
	Now   func() time.Time // the server's clock
	RunID string           // changes at a restart

	// Ran is told of every command that a connection has executed, nil is nobody. It must not call the server.
	Ran func(who string, args []string, reply any)

	mu        sync.Mutex
	full      bool
	keys      map[string]any // string, *hash, *zset or *stream
	expires   map[string]int64
	scripts   map[string]*script // by SHA1 in hex
	blocked   []*blocked
	ready     []string // streams that have something new for the blocked, in order
	unblocked []func() // what goes on for clients that have waited
}

// New makes an empty server.
func New(now func() time.Time) *Server {
	return &Server{Now: now, RunID: strings.Repeat("0", 40), keys: map[string]any{}, expires: map[string]int64{},
		scripts: map[string]*script{}}
}

// Do executes one command, as a test's own hand.
func (s *Server) Do(args ...string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := s.execute(args)
	s.serveBlocked()
	return reply
}

// Flush removes every key.
func (s *Server) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
}

func (s *Server) wipe() {
	for key, v := range s.keys {
		if _, ok := v.(*stream); ok {
			s.gone(key)
		}
	}
	clear(s.keys)
	clear(s.expires)
}

// Copy is what a snapshot or an append-only file would hold.
type Copy struct {
	keys    map[string]any
	expires map[string]int64
}

// Save copies what the server holds.
func (s *Server) Save() *Copy {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Copy{copyKeys(s.keys), maps.Clone(s.expires)}
}

// Restart is another process in the server's place: it holds what c says, nothing when c is nil, and knows no scripts.
// Connections to the one before must be cut by the caller.
func (s *Server) Restart(runID string, c *Copy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked = nil
	clear(s.keys)
	clear(s.expires)
	clear(s.scripts)
	s.RunID = runID
	if c != nil {
		s.keys, s.expires = copyKeys(c.keys), maps.Clone(c.expires)
	}
}

func copyKeys(keys map[string]any) map[string]any {
	m := make(map[string]any, len(keys))
	for key, v := range keys {
		switch v := v.(type) {
		case *hash:
			m[key] = v.copy()
		case *zset:
			m[key] = v.copy()
		case *stream:
			m[key] = v.copy()
		default:
			m[key] = v
		}
	}
	return m
}

// command is one that the model knows.
type command struct {
	least int // words, its name included
	write bool
	grows bool // refused while memory is used up
	run   func(s *Server, a []string) any
}

// fault is an error reply.
type fault string

// status is a simple string.
type status string

// pairs is a map reply: key, value, key, value.
type pairs []any

const (
	errSyntax    = fault("ERR syntax error")
	errType      = fault("WRONGTYPE Operation against a key holding the wrong kind of value")
	errInteger   = fault("ERR value is not an integer or out of range")
	errFull      = fault("OOM command not allowed when used memory > 'maxmemory'.")
	errStreamID  = fault("ERR Invalid stream ID specified as stream command argument")
	errNoScript  = fault("NOSCRIPT No matching script. Please use EVAL.")
	errNoSuchKey = fault("ERR no such key")
)

var commands map[string]command

func init() {
	commands = map[string]command{
		"PING": {1, false, false, func(*Server, []string) any { return status("PONG") }},
		"TIME": {1, false, false, (*Server).time}, "INFO": {1, false, false, (*Server).info},
		"DEL": {2, true, false, (*Server).del}, "PEXPIRE": {3, true, false, (*Server).pexpire},
		"PEXPIREAT": {3, true, false, (*Server).pexpireat},
		"GET":       {2, false, false, (*Server).get}, "SET": {3, true, true, (*Server).set},
		"HSET": {4, true, true, (*Server).hset}, "HGET": {3, false, false, (*Server).hget}, "HMGET": {3, false, false, (*Server).hmget},
		"HGETALL": {2, false, false, (*Server).hgetall}, "HEXISTS": {3, false, false, (*Server).hexists},
		"HLEN": {2, false, false, (*Server).hlen}, "HDEL": {3, true, false, (*Server).hdel}, "HINCRBY": {4, true, true, (*Server).hincrby},
		"ZADD": {4, true, true, (*Server).zadd}, "ZRANGEBYSCORE": {4, false, false, (*Server).zrangebyscore},
		"ZREMRANGEBYSCORE": {4, true, false, (*Server).zremrangebyscore},
		"XADD":             {5, true, true, (*Server).xadd}, "XLEN": {2, false, false, (*Server).xlen},
		"XRANGE": {4, false, false, (*Server).xrange}, "XDEL": {3, true, false, (*Server).xdel}, "XTRIM": {4, true, false, (*Server).xtrim},
		"XGROUP": {2, true, true, (*Server).xgroup}, "XINFO": {2, false, false, (*Server).xinfo},
		"XACK": {4, true, false, (*Server).xack}, "XPENDING": {3, false, false, (*Server).xpending},
		"XCLAIM": {6, true, false, (*Server).xclaim}, "XAUTOCLAIM": {6, true, false, (*Server).xautoclaim},
		"XREADGROUP": {7, true, false, (*Server).xreadgroup},
		"EVAL":       {3, false, false, (*Server).eval}, "EVALSHA": {3, false, false, (*Server).evalsha}, "SCRIPT": {2, false, false, (*Server).script},
	}
}

// execute runs a command. The caller holds mu.
func (s *Server) execute(args []string) any {
	name := strings.ToUpper(args[0])
	c, ok := commands[name]
	if !ok {
		return fault(fmt.Sprintf("ERR model: %s is not modelled", args[0]))
	}
	if len(args) < c.least {
		return fault(fmt.Sprintf("ERR wrong number of arguments for '%s' command", strings.ToLower(name)))
	}
	if s.full && c.grows && !(name == "XGROUP" && !strings.EqualFold(args[1], "CREATE")) {
		return errFull
	}
	return c.run(s, args[1:])
}

func (s *Server) now() int64 { return s.Now().UnixMilli() }

// notModelled is the answer to an option that the model does not have.
func notModelled(command, option string) fault {
	return fault(fmt.Sprintf("ERR model: %s %s is not modelled", command, option))
}

// SetFull says whether the server's memory is used up.
func (s *Server) SetFull(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

// Digest is a short form of a command and its reply, for a trace.
func Digest(args []string, reply any) uint64 {
	h := fnv.New64a()
	for _, a := range args {
		h.Write([]byte(a))
		h.Write([]byte{0})
	}
	h.Write(appendReply(nil, reply))
	return h.Sum64()
}
