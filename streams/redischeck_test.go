package streams_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"leadstream/streams"
	"leadstream/streams/streamstest"
)

// found lists the codes of faults, fatal ones with an exclamation mark.
func found(t *testing.T, faults []streams.RedisFault) []string {
	t.Helper()
	var codes []string
	for _, f := range faults {
		if f.Problem == "" || f.Cure == "" {
			t.Errorf("%s: no problem or no cure", f.Code)
		}
		if f.Fatal {
			f.Code += "!"
		}
		codes = append(codes, f.Code)
	}
	return codes
}

func TestCheckRedis(t *testing.T) {
	ctx := context.Background()
	s := streamstest.Redis(t)
	set := func(keyvals ...string) func(*testing.T) {
		return func(t *testing.T) {
			for i := 0; i < len(keyvals); i += 2 {
				if err := s.Client.ConfigSet(ctx, keyvals[i], keyvals[i+1]).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	tests := map[string]struct {
		make, undo func(*testing.T)
		want       []string
	}{
		"as it should be": {set(), set(), nil},
		"eviction":        {set("maxmemory-policy", "allkeys-lru"), set("maxmemory-policy", "noeviction"), []string{"eviction!"}},
		"every second":    {set("appendfsync", "everysec"), set("appendfsync", "always"), []string{"appendfsync"}},
		"lax rewrite":     {set("no-appendfsync-on-rewrite", "yes"), set("no-appendfsync-on-rewrite", "no"), []string{"rewrite"}},
		"no file":         {set("appendonly", "no"), set("appendonly", "yes"), []string{"appendonly"}},
		"replica": {
			func(*testing.T) { s.Client.Do(ctx, "REPLICAOF", "127.0.0.1", "1") },
			func(*testing.T) { s.Client.Do(ctx, "REPLICAOF", "NO", "ONE") },
			[]string{"replica!"},
		},
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			tests[name].make(t)
			defer tests[name].undo(t)
			if diff := cmp.Diff(tests[name].want, found(t, streams.CheckRedis(ctx, s.Client))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckRedisUnreachable(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s := streamstest.Redis(t, "--requirepass", "right")
	wrong := openClients(t, "unix://:wrong@"+s.Addr).Write
	tests := map[string]struct {
		client redis.UniversalClient
		want   string
	}{
		"gone":           {openClients(t, "unix:///nowhere/redis.sock").Write, "unreachable!"},
		"no password":    {s.Client, "password!"},
		"wrong password": {wrong, "password!"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]string{tt.want}, found(t, streams.CheckRedis(ctx, tt.client))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckRedisCluster(t *testing.T) {
	ctx := context.Background()
	port := streamstest.FreePort(t)
	s := streamstest.Redis(t, "--cluster-enabled", "yes", "--port", port, "--cluster-port", streamstest.FreePort(t), "--appendfsync", "no")
	if err := s.Client.ClusterAddSlotsRange(ctx, 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	streamstest.Eventually(t, func() bool { return strings.Contains(s.Client.ClusterInfo(ctx).Val(), "cluster_state:ok") })

	if diff := cmp.Diff([]string{"cluster!", "appendfsync"}, found(t, streams.CheckRedis(ctx, s.Client))); diff != "" {
		t.Error("as one server:", diff)
	}
	c := openClients(t, "redis+cluster://127.0.0.1:"+port).Write
	if diff := cmp.Diff([]string{"appendfsync"}, found(t, streams.CheckRedis(ctx, c))); diff != "" {
		t.Error("as a cluster:", diff)
	}
	if faults := streams.ProbeCommands(ctx, c, "ls"); len(faults) > 0 {
		t.Error(faults)
	}
}

func TestProbeCommands(t *testing.T) {
	ctx := context.Background()
	s := streamstest.Redis(t)
	acl := func(t *testing.T, line string) {
		t.Helper()
		var args []any
		for word := range strings.FieldsSeq(line) {
			args = append(args, word)
		}
		if err := s.Client.Do(ctx, args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		change string // to what RedisACL grants
		want   []streams.RedisFault
	}{
		"as we say": {"", nil},
		"no command": {"-xack -zadd", []streams.RedisFault{{
			Code: "commands", Fatal: true, Problem: "the Redis user ls-test may not run xack, zadd", Cure: "ACL SETUSER ls-test +xack +zadd",
		}}},
		"no groups": {"-xgroup|create", []streams.RedisFault{{
			Code: "commands", Fatal: true, Problem: "the Redis user ls-test may not run xgroup|create", Cure: "ACL SETUSER ls-test +xgroup|create",
		}}},
		"other keys": {"resetkeys ~other:*", []streams.RedisFault{{
			Code: "keys", Fatal: true, Problem: "the Redis user ls-test may not use keys that start with ls:", Cure: "ACL SETUSER ls-test ~ls:*",
		}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			acl(t, strings.Replace(streams.RedisACL("ls-test", "ls"), ">PASSWORD", ">pw", 1)+" "+tt.change)
			c := openClients(t, "unix://ls-test:pw@"+s.Addr).Write
			got := streams.ProbeCommands(ctx, c, "ls")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if n := s.Client.DBSize(ctx).Val(); n != 0 {
				t.Errorf("%d scratch keys are left", n)
			}
			for _, f := range got { // the cure must cure
				acl(t, f.Cure)
			}
			if again := streams.ProbeCommands(ctx, c, "ls"); len(again) > 0 {
				t.Errorf("after the cure: %v", again)
			}
			for _, forbidden := range []string{"FLUSHALL", "SHUTDOWN", "KEYS *", "CONFIG SET maxmemory 1"} {
				var args []any
				for word := range strings.FieldsSeq(forbidden) {
					args = append(args, word)
				}
				if err := c.Do(ctx, args...).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
					t.Errorf("%s: got %v, want NOPERM", forbidden, err)
				}
			}
		})
	}
}

// A managed Redis permits no CONFIG at all.
func TestCheckRedisWithoutConfig(t *testing.T) {
	ctx := context.Background()
	s := streamstest.Redis(t, "--rename-command", "CONFIG", "")
	if diff := cmp.Diff([]string{"config"}, found(t, streams.CheckRedis(ctx, s.Client))); diff != "" {
		t.Error(diff)
	}
}

func TestProbeNamesRenamedCommands(t *testing.T) {
	s := streamstest.Redis(t, "--rename-command", "XAUTOCLAIM", "")
	faults := streams.ProbeCommands(context.Background(), s.Client, "ls")
	if diff := cmp.Diff([]string{"unknown!"}, found(t, faults)); diff != "" || !strings.Contains(faults[0].Problem, "xautoclaim") {
		t.Error(diff, faults)
	}
}

var (
	scriptCalls = regexp.MustCompile(`redis\.p?call\('([A-Za-z]+)'(?:, '([A-Z]+)')?`) // XGROUP has subcommands
	clientCalls = regexp.MustCompile(`\.((?:X|Z|H)[A-Z][A-Za-z]*)\(ctx`)
)

// What leadstream calls and the probe does not try would be refused only after a lead has been taken.
func TestEveryCommandIsProbed(t *testing.T) {
	var granted []string // "xgroupcreate", as XGroupCreateMkStream begins
	for word := range strings.FieldsSeq(streams.RedisACL("user", "ls")) {
		if command, ok := strings.CutPrefix(word, "+"); ok {
			granted = append(granted, strings.ReplaceAll(command, "|", ""))
		}
	}
	scripts, seen := files(t, "lua/*.lua", "*.go", "../processors/*.go"), 0
	for _, file := range scripts {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range scriptCalls.FindAllStringSubmatch(string(text), -1) {
			seen++
			command := strings.ToLower(call[1])
			if !slices.Contains(granted, command) && !slices.Contains(granted, command+strings.ToLower(call[2])) {
				t.Errorf("%s calls %s: add it to redisProbes", file, call[1])
			}
		}
		for _, call := range clientCalls.FindAllStringSubmatch(string(text), -1) {
			seen++
			if !slices.ContainsFunc(granted, func(c string) bool { return strings.HasPrefix(strings.ToLower(call[1]), c) }) {
				t.Errorf("%s calls %s: add it to redisProbes", file, call[1])
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d calls found: the patterns no longer fit the code", seen)
	}
}

func files(t *testing.T, patterns ...string) []string {
	t.Helper()
	var all []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}
