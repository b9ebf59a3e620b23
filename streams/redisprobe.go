package streams

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisProbe tries one command on scratch keys. $s, $h, $z and $k in its words are a stream, a hash, a sorted set and a
// string; $g is the scratch stream's group.
type redisProbe struct {
	command string // as an ACL names it
	words   string
}

// redisProbes is every command that leadstream needs, in an order in which each finds what it works on. A script that
// acknowledges an entry and then meets NOPERM has lost it: that is why all are tried before the first lead.
var redisProbes = []redisProbe{
	{"ping", "PING"},
	{"time", "TIME"},
	{"info", "INFO server"},
	{"xgroup|create", "XGROUP CREATE $s $g 0 MKSTREAM"},
	{"xadd", "XADD $s * lead {}"},
	{"xlen", "XLEN $s"},
	{"xrange", "XRANGE $s - + COUNT 1"},
	{"xreadgroup", "XREADGROUP GROUP $g c COUNT 1 STREAMS $s >"},
	{"xpending", "XPENDING $s $g"},
	{"xclaim", "XCLAIM $s $g c 0 1-1 JUSTID"},
	{"xautoclaim", "XAUTOCLAIM $s $g c 3600000 0 COUNT 1"},
	{"xinfo", "XINFO GROUPS $s"},
	{"xack", "XACK $s $g 1-1"},
	{"xdel", "XDEL $s 1-1"},
	{"set", "SET $k 1 PX 60000"},
	{"get", "GET $k"},
	{"hset", "HSET $h f 1"},
	{"hget", "HGET $h f"},
	{"hmget", "HMGET $h f"},
	{"hgetall", "HGETALL $h"},
	{"hexists", "HEXISTS $h f"},
	{"hincrby", "HINCRBY $h f 1"},
	{"hdel", "HDEL $h g"},
	{"zadd", "ZADD $z 1 m"},
	{"zscore", "ZSCORE $z m"},
	{"zcard", "ZCARD $z"},
	{"zrem", "ZREM $z n"},
	{"zpopmin", "ZPOPMIN $z 0"},
	{"zrange", "ZRANGE $z 0 -1"},
	{"zremrangebyrank", "ZREMRANGEBYRANK $z 1 -1"},
	{"zrangebyscore", "ZRANGEBYSCORE $z 0 1 LIMIT 0 1"},
	{"zremrangebyscore", "ZREMRANGEBYSCORE $z 0 0"},
	{"eval", "EVAL return(1) 1 $k"},
	{"script|load", "SCRIPT LOAD return(1)"},
	{"evalsha", "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 $k"}, // of "return 1", which it need not know
	{"pexpire", "PEXPIRE $k 60000"},
	{"pexpireat", "PEXPIREAT $k 4102444800000"},
	{"del", "DEL $s $h $z $k"},
}

// RedisACL is the Redis command that makes a user who may do what leadstream needs, and no more: no FLUSHALL, no
// CONFIG SET, no foreign keys. prefix is that of leadstream's keys, "ls" by default.
func RedisACL(user, prefix string) string {
	line := "ACL SETUSER " + user + " on >PASSWORD resetkeys ~" + prefix + ":* resetchannels -@all +hello +select +acl|whoami +config|get"
	for _, p := range redisProbes {
		line += " +" + p.command
	}
	return line
}

// ProbeCommands tries every command that leadstream uses, on scratch keys under prefix that it deletes and that are in
// nobody's way. It names what the user may not do, with the ACL line that permits it.
func ProbeCommands(ctx context.Context, client redis.UniversalClient, prefix string) []RedisFault {
	scratch := prefix + ":{probe}:" + rand.Text()
	node := client
	if cluster, ok := client.(*redis.ClusterClient); ok {
		master, err := cluster.MasterForKey(ctx, scratch)
		if err != nil {
			return []RedisFault{unreachable(err)}
		}
		node = master
	}
	// A probe that is cut short must not leave its keys; without the right to DEL they stay, and are named.
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		node.Del(ctx, scratch+":s", scratch+":h", scratch+":z", scratch+":k")
	}()

	var found probeResult
	for _, p := range redisProbes {
		err := node.Do(ctx, p.args(scratch)...).Err()
		if err == nil || errors.Is(err, redis.Nil) || strings.HasPrefix(err.Error(), "NOSCRIPT") {
			continue
		}
		found.add(p.command, err)
		var answer redis.Error
		if !errors.As(err, &answer) {
			break // no connection: the rest would only wait in vain
		}
	}
	return found.faults(aclUser(ctx, node), prefix)
}

func (p redisProbe) args(scratch string) []any {
	var args []any
	for word := range strings.FieldsSeq(p.words) {
		switch word {
		case "$s", "$h", "$z", "$k":
			word = scratch + ":" + word[1:]
		case "$g":
			word = Group
		}
		args = append(args, word)
	}
	return args
}

func aclUser(ctx context.Context, c redis.UniversalClient) string {
	if user, err := c.Do(ctx, "ACL", "WHOAMI").Text(); err == nil {
		return user
	}
	return "<user>"
}

// probeResult sorts refusals by their cure.
type probeResult struct {
	denied  []string
	unknown []string
	keys    bool
	other   error
}

func (r *probeResult) add(command string, err error) {
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "NOPERM") && strings.Contains(text, "run the"):
		r.denied = append(r.denied, command)
	case strings.HasPrefix(text, "NOPERM"):
		r.keys = true
	case strings.HasPrefix(text, "ERR unknown"):
		r.unknown = append(r.unknown, command)
	case r.other == nil:
		r.other = fmt.Errorf("%s: %w", command, err)
	}
}

func (r *probeResult) faults(user, prefix string) []RedisFault {
	var faults []RedisFault
	if len(r.denied) > 0 {
		faults = append(faults, RedisFault{Code: "commands", Fatal: true,
			Problem: fmt.Sprintf("the Redis user %s may not run %s", user, strings.Join(r.denied, ", ")),
			Cure:    "ACL SETUSER " + user + " +" + strings.Join(r.denied, " +")})
	}
	if r.keys {
		faults = append(faults, RedisFault{Code: "keys", Fatal: true,
			Problem: fmt.Sprintf("the Redis user %s may not use keys that start with %s:", user, prefix),
			Cure:    "ACL SETUSER " + user + " ~" + prefix + ":*"})
	}
	if len(r.unknown) > 0 {
		faults = append(faults, RedisFault{Code: "unknown", Fatal: true,
			Problem: "Redis does not know " + strings.Join(r.unknown, ", "),
			Cure:    "remove rename-command from redis.conf, or use a server that has them"})
	}
	// After a refusal the later probes fail for want of what the refused one would have made.
	if r.other != nil && len(faults) == 0 {
		faults = append(faults, RedisFault{Code: "probe", Fatal: true,
			Problem: "trying Redis's commands: " + r.other.Error(),
			Cure:    "look at what Redis answers and at its log"})
	}
	return faults
}
