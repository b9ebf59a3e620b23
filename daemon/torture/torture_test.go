//go:build linux

package main

import (
	"os/exec"
	"testing"

	"leadstream/daemon/proof"
	"leadstream/streams/failpoint"
)

// What users run knows nothing of all this.
func TestReleaseHasNoFailpoints(t *testing.T) {
	for _, c := range []struct {
		tags []string
		want bool
	}{{nil, false}, {[]string{"torture"}, true}} {
		path, err := proof.Build(t.Context(), t.TempDir(), c.tags...)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range failpoint.Points {
			err := exec.Command("grep", "-qaF", string(p), path).Run()
			if found := err == nil; found != c.want {
				t.Errorf("tags %v: the binary has %s: %v, want %v", c.tags, p, found, c.want)
			}
		}
	}
}
