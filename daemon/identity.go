package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// identity is the instance's name: made once and kept in the data folder, whatever the config says later. It must be there
// after a power cut too: under another name the daemon would not find what is on its way back to it in Redis. What the
// config names is only its beginning: of two daemons of one name each would take the other's work for its own, and
// deliver it once more.
func identity(cfg *Config) (string, error) {
	path := filepath.Join(cfg.DataDir, "instance")
	b, err := os.ReadFile(path)
	if name := strings.TrimSpace(string(b)); err == nil && name != "" {
		return name, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("instance: %w", err)
	}
	name := strings.ToLower(rand.Text()[:10])
	if cfg.Instance != "" {
		name = cfg.Instance + "-" + name
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "journal")); err == nil && cfg.Instance != "" {
		name = cfg.Instance // the folder is older than its name: it has gone by the config's alone
	}
	if err := writeLasting(path, []byte(name+"\n")); err != nil {
		return "", fmt.Errorf("instance: %w", err)
	}
	return name, nil
}

// writeLasting writes a file so that it is either whole or not there, whenever the power goes.
func writeLasting(path string, b []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
