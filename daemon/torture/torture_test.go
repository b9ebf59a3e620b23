//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"leadstream/daemon/proof"
	"leadstream/daemon/proof/kernel"
	"leadstream/streams/failpoint"
)

var (
	folder string // for what the tests build, once
	built  = sync.OnceValues(func() (string, error) { return proof.Build(context.Background(), folder, "torture") })
)

func TestMain(m *testing.M) {
	kernel.Child()
	redis.SetLogger(quiet{})
	var err error
	if folder, err = os.MkdirTemp("", "torture"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(folder)
	os.Exit(code)
}

// tortured is the daemon with its failpoints.
func tortured(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// What users run knows nothing of all this.
func TestReleaseHasNoFailpoints(t *testing.T) {
	release, err := proof.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{release: false, tortured(t): true} {
		for _, p := range failpoint.Points {
			err := exec.Command("grep", "-qaF", string(p), path).Run()
			if found := err == nil; found != want {
				t.Errorf("%s has %s: %v, want %v", path, p, found, want)
			}
		}
	}
}
