package main

import (
	"os"
	"path/filepath"
	"strings"
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
	if named, err := identity(&Config{DataDir: cfg.DataDir, Instance: "shop"}); named != first || err != nil {
		t.Errorf("%q after %q, %v", named, first, err)
	}
	// A crash while the file is made leaves no half of a name.
	if err := os.Rename(filepath.Join(cfg.DataDir, "instance"), filepath.Join(cfg.DataDir, "instance.new")); err != nil {
		t.Fatal(err)
	}
	if other, err := identity(cfg); other == first || other == "" || err != nil {
		t.Errorf("%q after %q, %v", other, first, err)
	}
}

// Two daemons that were given one name are two all the same, and one that had its name before is still itself.
func TestOneNameForTwo(t *testing.T) {
	cfg := &Config{DataDir: t.TempDir(), Instance: "shop"}
	one, err := identity(cfg)
	if err != nil || !strings.HasPrefix(one, "shop-") {
		t.Fatalf("%q, %v", one, err)
	}
	if again, err := identity(cfg); again != one || err != nil {
		t.Errorf("%q after %q, %v", again, one, err)
	}
	if other, err := identity(&Config{DataDir: t.TempDir(), Instance: "shop"}); other == one || !strings.HasPrefix(other, "shop-") || err != nil {
		t.Errorf("%q beside %q, %v", other, one, err)
	}
	older := t.TempDir()
	if err := os.Mkdir(filepath.Join(older, "journal"), 0o700); err != nil {
		t.Fatal(err)
	}
	if name, err := identity(&Config{DataDir: older, Instance: "shop"}); name != "shop" || err != nil {
		t.Errorf("%q for a folder that went by shop, %v", name, err)
	}
}
