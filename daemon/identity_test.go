package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestIdentityIsKept(t *testing.T) {
	cfg := &Config{DataDir: t.TempDir()}
	first, err := identity(cfg)
	if err != nil || first == "" {
		t.Fatalf("%q, %v", first, err)
	}
	if again, err := identity(cfg); again != first || err != nil {
		t.Errorf("%q after %q, %v", again, first, err)
	}
	if left, err := os.ReadDir(cfg.DataDir); len(left) != 1 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if named, err := identity(&Config{DataDir: cfg.DataDir, Instance: "shop"}); named != "shop" || err != nil {
		t.Errorf("%q, %v", named, err)
	}
	// A crash while the file is made leaves no half of a name.
	if err := os.Rename(filepath.Join(cfg.DataDir, "instance"), filepath.Join(cfg.DataDir, "instance.new")); err != nil {
		t.Fatal(err)
	}
	if other, err := identity(cfg); other == first || other == "" || err != nil {
		t.Errorf("%q after %q, %v", other, first, err)
	}
}
