package channel

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"leadstream/daemon/mail/mailtest"
	"leadstream/sinks"
	"leadstream/sinks/talk"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// A customer's mail goes through a real server as it was written; what that server sends back as undeliverable becomes news that
// name the message, by what the channel has answered for it.
func TestMailToACustomer(t *testing.T) {
	dir, err := os.MkdirTemp("", "mailbox")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	box := filepath.Join(dir, "got")
	exim := mailtest.StartExim(t, "/usr/bin/tee -a "+box)
	addr := exim.Serve()
	kind := talk.Kinds["email"]
	set := kind.Settings().(*talk.EmailSettings)
	set.Host, set.Port, set.TLS, set.From = addr.IP.String(), addr.Port, "none", "Салон <leads@example.test>"
	channel, err := kind.Open(set, sinks.Env{Name: "mail", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	if err := channel.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	protocol := New("mail", Config{Accounts: []string{"leads@example.test"}})
	got := func() Event {
		t.Helper()
		exim.Run()
		raw, err := os.ReadFile(box)
		if err != nil {
			t.Fatalf("%v: %s", err, exim.Log())
		}
		if err := os.Remove(box); err != nil {
			t.Fatal(err)
		}
		events, err := protocol.Read(raw, "")
		if err != nil || len(events) != 1 {
			t.Fatalf("%v, %d events", err, len(events))
		}
		return events[0]
	}
	words := outbound.Words{ID: "01kb3h8ysk5hf9h2b6bkrsmf33:1", Purpose: outbound.Notice, Subject: "Запись №5", Text: ".\nЖдём вас\nзавтра"}
	tried := channel.Send(t.Context(), "leads@example.test", words)
	if tried.Result != streams.Done {
		t.Fatalf("%+v", tried)
	}
	arrived := got()
	if arrived.Ignore != "own message" || !strings.Contains(strings.ToLower(string(arrived.Raw)), "message-id: <"+tried.Remote+">") {
		t.Errorf("ignored for %q: %s", arrived.Ignore, arrived.Raw)
	}
	words.ID = "01kb3h8ysk5hf9h2b6bkrsmf34:1"
	tried = channel.Send(t.Context(), "anna@example.test", words)
	if tried.Result != streams.Done {
		t.Fatalf("%+v", tried)
	}
	bounce := got()
	l := bounce.Lead
	field := func(name string) (s string) {
		_ = json.Unmarshal(l.Fields[name], &s)
		return s
	}
	if l.Event != "failed" || l.Channel != "email" || field("message_id") != tried.Remote || l.UserID != "anna@example.test" || l.Email != "anna@example.test" || l.About != "" {
		t.Errorf("the bounce is %+v, of %s, want %s; ignored for %q: %s", l, field("message_id"), tried.Remote, bounce.Ignore, bounce.Raw)
	}
	if means := kind.Later(field("code")); means == outbound.NothingMore {
		t.Errorf("code %q means nothing", field("code"))
	}
}
