package streams

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// RedisFault is one thing that is wrong with a Redis server, and what to do about it.
type RedisFault struct {
	Code    string // names the problem for translations, say "eviction"
	Problem string
	Cure    string
	Fatal   bool // leads would be lost or could not move: leadstream must not start on it
}

func (f RedisFault) String() string { return f.Problem + ": " + f.Cure }

// CheckRedis asks a server, or each master of a cluster, whether it may be trusted with leads. It changes nothing;
// ProbeCommands then tries the commands.
func CheckRedis(ctx context.Context, client redis.UniversalClient) []RedisFault {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return checkServer(ctx, client, false)
	}
	var mu sync.Mutex
	var faults []RedisFault
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		found := checkServer(ctx, node, true)
		mu.Lock()
		defer mu.Unlock()
		for _, f := range found {
			f.Problem = node.Options().Addr + ": " + f.Problem
			faults = append(faults, f)
		}
		return nil
	})
	if err != nil {
		faults = append(faults, unreachable(err))
	}
	return faults
}

// serverFacts is what a server says about itself.
type serverFacts struct {
	info    map[string]string
	config  map[string]string // nil when CONFIG GET is not permitted, as on managed servers
	cluster bool              // we talk to it as to a member of a cluster
}

func checkServer(ctx context.Context, c redis.Cmdable, cluster bool) []RedisFault {
	text, err := c.Info(ctx).Result()
	if err != nil {
		return []RedisFault{unreachable(err)}
	}
	facts := serverFacts{info: parseInfo(text), cluster: cluster}
	config, err := c.ConfigGet(ctx, "*append*").Result()
	if err == nil {
		facts.config = config
	}
	return facts.faults()
}

func unreachable(err error) RedisFault {
	f := RedisFault{Code: "unreachable", Fatal: true, Problem: "Redis does not answer (" + err.Error() + ")",
		Cure: "start it, or correct the address in redis:"}
	switch text := err.Error(); {
	case strings.HasPrefix(text, "NOAUTH"), strings.HasPrefix(text, "WRONGPASS"):
		f.Code, f.Problem = "password", "Redis refuses the user name or password"
		f.Cure = "correct them in redis: redis://user:password@host:6379"
	case strings.HasPrefix(text, "NOPERM"):
		f.Code, f.Problem, f.Cure = "info", "Redis does not let this user run INFO", "ACL SETUSER <user> +info"
	case errors.Is(err, context.DeadlineExceeded):
		f.Cure = "it is started but stuck, or a firewall swallows the connection: look at its log and at the address in redis:"
	}
	return f
}

func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			info[key] = value
		}
	}
	return info
}

func (s serverFacts) faults() []RedisFault {
	var faults []RedisFault
	add := func(fatal bool, code, problem, cure string) {
		faults = append(faults, RedisFault{Code: code, Problem: problem, Cure: cure, Fatal: fatal})
	}

	if v := s.info["redis_version"]; !atLeast7(v) {
		add(true, "version", fmt.Sprintf("Redis %q is too old", v), "install 7.0 or newer, or set redis: embedded")
	}
	if s.info["role"] == "slave" {
		add(true, "replica", "this server is a replica and refuses writes",
			"give the master's address, or let Sentinel find it: redis+sentinel://host:26379/mymaster")
	}
	if s.info["cluster_enabled"] == "1" && !s.cluster {
		add(true, "cluster", "this server is a member of a cluster", "say redis+cluster:// instead of redis://")
	}
	if p := s.info["maxmemory_policy"]; p != "noeviction" {
		add(true, "eviction", fmt.Sprintf("maxmemory-policy is %q: when memory is short, Redis throws whole queues away", p),
			"CONFIG SET maxmemory-policy noeviction, and the same in redis.conf")
	}
	if s.info["aof_last_write_status"] == "err" || s.info["rdb_last_bgsave_status"] == "err" {
		add(false, "disk", "Redis cannot write to its disk and may refuse writes (MISCONF)",
			"free space on its disk and look at its log; accepted leads wait in the journal meanwhile")
	}
	return append(faults, s.durability()...)
}

// durability is never fatal: every lead is in the journal first, and what Redis loses is driven again. But that takes
// time and looks before it creates, so a careful Redis is better.
func (s serverFacts) durability() []RedisFault {
	warn := func(code, problem, cure string) []RedisFault {
		return []RedisFault{{Code: code, Problem: problem, Cure: cure}}
	}
	switch {
	case s.info["aof_enabled"] != "1":
		return warn("appendonly", "appendonly is off: a restart of Redis forgets what it holds; the journal brings the leads back",
			"CONFIG SET appendonly yes, then CONFIG REWRITE (a restart with a changed redis.conf instead starts empty)")
	case s.config == nil:
		return warn("config", "CONFIG GET is not permitted, so appendfsync is unknown; the journal carries the promise",
			"none needed; on your own server: ACL SETUSER <user> +config|get")
	case s.config["appendfsync"] != "always":
		return warn("appendfsync", fmt.Sprintf("appendfsync is %q: a power cut loses Redis's last moments; the journal brings the leads back",
			s.config["appendfsync"]), "CONFIG SET appendfsync always, and the same in redis.conf")
	case s.config["no-appendfsync-on-rewrite"] == "yes":
		return warn("rewrite", "no-appendfsync-on-rewrite is yes: a power cut during a rewrite loses its last moments; the journal brings the leads back",
			"CONFIG SET no-appendfsync-on-rewrite no, and the same in redis.conf")
	}
	return nil
}

// atLeast7 is about XAUTOCLAIM: before 7.0 it does not report the entries that somebody deleted.
func atLeast7(version string) bool {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n >= 7
}
