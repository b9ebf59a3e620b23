//go:build torture

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Enabled tells whether this is a build for the proof.
const Enabled = true

var (
	chosen, after = parse(os.Getenv("LEADSTREAM_FAILPOINT"))
	bug           = Bug(os.Getenv("LEADSTREAM_BUG"))
	hits          atomic.Int64
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

// Hit is called at a moment. The process dies here, as at a power cut, when it is the chosen one.
func Hit(p Point) {
	if p == chosen && hits.Add(1) == after {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// Seeded tells whether this process was started to make that mistake.
func Seeded(b Bug) bool { return b == bug }
