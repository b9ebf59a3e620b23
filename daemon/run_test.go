package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// freeAddress is a loopback address that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// shortDir is a folder whose path leaves room for a unix socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestShippedConfigServes: config.yaml as it is in the repository starts, takes a lead, and stops.
func TestShippedConfigServes(t *testing.T) {
	dir, address := shortDir(t), freeAddress(t)
	text, err := os.ReadFile("../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("#listen: 127.0.0.1:8080"), []byte("listen: "+address), 1)
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, faults, err := Load(path)
	if err != nil || broken(faults) {
		t.Fatal(err, faults)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, cfg) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	ok := func() bool {
		req, _ := http.NewRequest(http.MethodPost, "http://"+address+"/in/form", strings.NewReader("name=Anna&phone=%2B79990000011"))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", "http://localhost:8080")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
	row := func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "data", "leads.csv"))
		return err == nil && bytes.Contains(b, []byte("Anna"))
	}
	for deadline := time.Now().Add(20 * time.Second); !ok() || !row(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the lead is not in leads.csv")
		}
	}
}

func TestDemo(t *testing.T) {
	dir := filepath.Join(shortDir(t), "data")
	var out, errs bytes.Buffer
	for range 2 { // the second one empties what the first has left
		if code := execute([]string{"demo", "--once", "--leads", "2", "--dir", dir, "--listen", freeAddress(t)}, nil, &out, &errs); code != exitOK {
			t.Fatalf("exit %d: %s %s", code, &out, &errs)
		}
	}
	if n := strings.Count(out.String(), "crm:delivered"); n != 4 || !strings.Contains(out.String(), "curl http://") {
		t.Errorf("%d leads delivered, want 4, and a curl line:\n%s", n, &out)
	}
	taken := filepath.Join(shortDir(t), "data")
	if err := os.MkdirAll(filepath.Join(taken, "journal"), 0o700); err != nil {
		t.Fatal(err)
	}
	if code := execute([]string{"demo", "--dir", taken}, nil, &out, &errs); code != exitUsage {
		t.Errorf("a demo in a folder of real leads: exit %d, want %d", code, exitUsage)
	}
}
