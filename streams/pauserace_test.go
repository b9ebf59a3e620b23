package streams

import (
	"context"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"leadstream/streams/streamstest/model"
)

// A pause is on its way to Redis, and is lost there, while somebody asks Redis what is paused: its answer, nothing, must
// not end the pause here.
func TestPauseUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := model.New(time.Now)
		wire := func(commands [][]string) model.Passage {
			p := model.Passage{Delay: time.Millisecond}
			if slices.Contains(commands[0], "a fault") {
				p.Delay, p.Lost = 300*time.Millisecond, model.Request
			}
			return p
		}
		dial := func(context.Context, string, string) (net.Conn, error) { return server.Dial("a", wire), nil }
		clients, err := OpenRedis(RedisOptions{URL: "unix:///model", Timeout: time.Second, Readers: 2, Dial: dial})
		if err != nil {
			t.Fatal(err)
		}
		defer clients.Close()
		d := NewDestination(DestinationConfig{Name: "crm"}, clients, "ls", time.Now)
		go func() {
			if d.PauseFor(t.Context(), time.Now().Add(time.Minute), "a fault", "sink") == nil {
				t.Error("the pause was not lost")
			}
		}()
		time.Sleep(100 * time.Millisecond)
		d.Admit(t.Context(), 1) // asks Redis
		time.Sleep(300 * time.Millisecond)
		if err := d.Start(1); err != ErrPaused {
			t.Errorf("a call may begin: %v", err)
		}
		time.Sleep(3 * time.Second) // what the client still has going ends
	})
}
