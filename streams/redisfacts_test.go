package streams

import "testing"

// What no server at hand says of itself.
func TestServerFacts(t *testing.T) {
	good := func() serverFacts {
		return serverFacts{
			info: parseInfo("# Server\r\nredis_version:7.0.0\r\nrole:master\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n" +
				"aof_last_write_status:ok\r\nrdb_last_bgsave_status:ok\r\n"),
			config: map[string]string{"appendfsync": "always", "no-appendfsync-on-rewrite": "no"},
		}
	}
	tests := map[string]struct {
		key, value string
		want       string // the only fault's code
		fatal      bool
	}{
		"7.0 is enough":     {"redis_version", "7.0.0", "", false},
		"two digits":        {"redis_version", "10.1.2", "", false},
		"6.2":               {"redis_version", "6.2.14", "version", true},
		"no version":        {"redis_version", "", "version", true},
		"its disk is full":  {"aof_last_write_status", "err", "disk", false},
		"its snapshot fail": {"rdb_last_bgsave_status", "err", "disk", false},
		"policy not told":   {"maxmemory_policy", "", "eviction", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			facts := good()
			facts.info[tt.key] = tt.value
			faults := facts.faults()
			if tt.want == "" {
				if len(faults) > 0 {
					t.Error(faults)
				}
				return
			}
			if len(faults) != 1 || faults[0].Code != tt.want || faults[0].Fatal != tt.fatal {
				t.Errorf("got %v, want %s, fatal %v", faults, tt.want, tt.fatal)
			}
		})
	}
}
