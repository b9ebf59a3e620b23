//go:build linux

package proof

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build builds the daemon into dir and answers the binary's path. With the tag `torture` it has its failpoints.
func Build(ctx context.Context, dir string, tags ...string) (string, error) {
	path := filepath.Join(dir, strings.Join(append([]string{"leadstream"}, tags...), "-"))
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", strings.Join(tags, ","), "-o", path, "leadstream/daemon")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building leadstream: %w\n%s", err, out)
	}
	return path, nil
}
