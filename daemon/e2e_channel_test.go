//go:build linux

package main

import (
	"fmt"
	"testing"
	"time"

	"leadstream/daemon/proof"
	"leadstream/sinks/sim/phone"
)

// Customers write to a bot that is asked, while the daemon is killed again and again: each message becomes one card.
func TestKilledWhileAsking(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{Sources: "  tg: {preset: telegram, poll: true, token: \"" + proof.BotToken + "\", base_url: \"%s\", allow_private: true}\n"})
	written := 0
	for n := range 8 {
		for range 40 {
			written++
			i.Phone.Write(phone.From{ID: int64(5_000_000 + written), Name: "Ольга"}, fmt.Sprintf("wish %d: сколько стоит стрижка?", written))
			pause(0, 10*time.Millisecond)
		}
		i.Kill()
		if n%2 == 0 { // also while nobody asks
			written++
			i.Phone.Write(phone.From{ID: int64(5_000_000 + written), Name: "Ольга"}, "wish while it is down")
		}
		i.start()
	}
	i.eventually("every update is taken", func() bool { return i.Phone.Unread() == 0 })
	i.quiet()
	if cards := len(i.events("create")); cards != written {
		t.Errorf("%d cards of %d messages", cards, written)
	}
}
