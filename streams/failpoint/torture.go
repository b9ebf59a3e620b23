//go:build torture

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Enabled tells whether this is a build for the proof.
const Enabled = true

var (
	chosen, after = parse(os.Getenv("LEADSTREAM_FAILPOINT"))
	bug           = Bug(os.Getenv("LEADSTREAM_BUG"))
	hits          atomic.Int64
	reached       = open(os.Getenv("LEADSTREAM_REACHED"))
	seen          sync.Map // points that were reached
	waits         = hurry(os.Getenv("LEADSTREAM_HURRY"))
)

// parse reads "journal.synced@3": die at the third time. Without a number: at the first.
func parse(s string) (Point, int64) {
	name, number, _ := strings.Cut(s, "@")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		n = 1
	}
	return Point(name), n
}

// open opens the file that says which moments were reached; nil when nobody asks.
func open(path string) *os.File {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		panic(err)
	}
	return f
}

func hurry(s string) map[Wait]time.Duration {
	waits := map[Wait]time.Duration{}
	for pair := range strings.SplitSeq(s, ",") {
		name, text, _ := strings.Cut(pair, "=")
		if d, err := time.ParseDuration(text); err == nil {
			waits[Wait(name)] = d
		}
	}
	return waits
}

// Sooner is how long a wait lasts: d, unless somebody is in a hurry.
func Sooner(w Wait, d time.Duration) time.Duration {
	if s, ok := waits[w]; ok {
		return s
	}
	return d
}

// Hit is called at a moment. The process dies here, as at a power cut, when it is the chosen one.
func Hit(p Point) {
	if reached != nil {
		if _, known := seen.LoadOrStore(p, true); !known {
			_, _ = reached.WriteString(string(p) + "\n")
		}
	}
	if p == chosen && hits.Add(1) == after {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// Seeded tells whether this process was started to make that mistake.
func Seeded(b Bug) bool { return b == bug }
