package streamstest_test

import (
	"context"
	"os"
	"testing"

	"leadstream/streams/streamstest"
)

func TestRedis(t *testing.T) {
	ctx := context.Background()
	s := streamstest.Redis(t, "--maxmemory", "50mb")
	if got := s.Client.ConfigGet(ctx, "maxmemory").Val()["maxmemory"]; got != "52428800" {
		t.Errorf("maxmemory = %q: an argument of the caller's must win", got)
	}
	if err := s.Client.Set(ctx, "k", "kept", 0).Err(); err != nil {
		t.Fatal(err)
	}

	s.Kill()
	if s.Client.Ping(ctx).Err() == nil {
		t.Error("a killed server answers")
	}
	s.Restart()
	if got := s.Client.Get(ctx, "k").Val(); got != "kept" {
		t.Errorf("after Kill and Restart k = %q", got)
	}

	s.Stop()
	s.Cont()
	s.Flush()
	if n := s.Client.DBSize(ctx).Val(); n != 0 {
		t.Errorf("%d keys after Flush", n)
	}
	if _, err := os.Stat(s.Dir()); err != nil {
		t.Error(err)
	}
}
