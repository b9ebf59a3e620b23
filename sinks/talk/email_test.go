package talk_test

import (
	"context"
	"io"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"leadstream/sinks/sim/mail"
	"leadstream/sinks/talk"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

const anna = "anna.kanareykina@example.org"

func openMail(t *testing.T, addr *net.TCPAddr) outbound.Channel {
	t.Helper()
	return open(t, "email", func(set any) {
		s := set.(*talk.EmailSettings)
		s.Host, s.Port, s.TLS, s.From = addr.IP.String(), addr.Port, "none", "Салон <salon@example.test>"
	})
}

func startMail(t *testing.T) *mail.Server {
	t.Helper()
	s := mail.New()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestEmailReplies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stage    string
		code     int
		enhanced [3]int
		result   streams.Result
		means    outbound.Means
	}{
		"unknown user":    {"to", 550, [3]int{5, 1, 1}, streams.Permanent, outbound.RouteDead},
		"no such mailbox": {"to", 550, [3]int{5, 1, 10}, streams.Permanent, outbound.RouteDead},
		"refused":         {"to", 550, [3]int{}, streams.Permanent, outbound.RouteDead},
		"moved":           {"to", 551, [3]int{}, streams.Permanent, outbound.RouteDead},
		"bad address":     {"to", 553, [3]int{5, 1, 3}, streams.Permanent, outbound.RouteDead},
		"too big":         {"data", 552, [3]int{5, 3, 4}, streams.Permanent, ""},
		"spam":            {"data", 554, [3]int{5, 7, 1}, streams.Permanent, ""},
		"full":            {"to", 552, [3]int{5, 2, 2}, streams.Retry, ""},
		"greylisted":      {"to", 451, [3]int{4, 7, 1}, streams.Retry, ""},
		"closing":         {"from", 421, [3]int{4, 3, 2}, streams.Retry, ""},
		"login wanted":    {"from", 530, [3]int{5, 7, 0}, streams.Pause, ""},
		"sender":          {"from", 553, [3]int{}, streams.Pause, ""},
		"not proved":      {"data", 550, [3]int{5, 7, 26}, streams.Pause, ""},
		"daily limit":     {"data", 550, [3]int{5, 4, 5}, streams.Pause, ""},
		"too fast":        {"data", 421, [3]int{4, 7, 28}, streams.Pause, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startMail(t)
			s.Reply(c.stage, c.code, c.enhanced, "<"+anna+"> "+canaryText)
			tried := send(t, t.Context(), openMail(t, s.Addr()), anna, testWords())
			if tried.Result != c.result || tried.Means != c.means || tried.Code == "" {
				t.Errorf("got %s, means %q, code %q (%v)", tried.Result, tried.Means, tried.Code, tried.Err)
			}
		})
	}
}

func TestEmailLetter(t *testing.T) {
	t.Parallel()
	s := startMail(t)
	c := openMail(t, s.Addr())
	w := testWords()
	w.Subject, w.Buttons = "Запись\r\nBcc: all@example.test", []outbound.Button{{Text: "Приду"}}
	first := send(t, t.Context(), c, anna, w)
	again := send(t, t.Context(), c, anna, w)
	w.ID, w.Purpose, w.Subject = "other", outbound.Promotion, ""
	promo := send(t, t.Context(), c, anna, w)
	got := s.Messages()
	if first.Result != streams.Done || again.Remote != first.Remote || promo.Remote == first.Remote || len(got) != 3 ||
		got[0].ID != "<"+first.Remote+">" || got[0].To != anna || got[0].Subject != "Запись Bcc: all@example.test" || got[2].Subject != "Вы записаны: "+canaryText {
		t.Fatalf("%+v, %+v, %+v; arrived: %+v", first, again, promo, got)
	}
	for i, want := range []map[string]string{
		{"Auto-Submitted": "auto-generated", "X-Leadstream": "notice", "Bcc": "", "List-Unsubscribe": ""}, nil,
		{"Auto-Submitted": "auto-generated", "List-Unsubscribe": "<mailto:salon@example.test?subject=STOP>"},
	} {
		m, err := netmail.ReadMessage(strings.NewReader(got[i].Raw))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range want {
			if is := m.Header.Get(name); is != value {
				t.Errorf("%d: %s is %q, want %q", i, name, is, value)
			}
		}
		text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		if err != nil || strings.ReplaceAll(strings.TrimSpace(string(text)), "\r\n", "\n") != w.Text+"\n\n– Приду" || !strings.HasPrefix(m.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("%d: %q (%v)", i, text, err)
		}
	}
	if tried := send(t, t.Context(), c, "no address", w); tried.Means != outbound.RouteDead {
		t.Errorf("no address: %+v", tried)
	}
	if tried := send(t, t.Context(), c, anna, outbound.Words{ID: "x"}); tried.Code != "empty" {
		t.Errorf("no text: %+v", tried)
	}
	if err := c.Check(t.Context()); err != nil || len(s.Messages()) != 3 {
		t.Errorf("check: %v", err)
	}
}

// A mail whose end nobody has answered may be there; one that was not begun is not.
func TestEmailUnsure(t *testing.T) {
	t.Parallel()
	s := startMail(t)
	s.Slow(time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if tried := send(t, ctx, openMail(t, s.Addr()), anna, testWords()); tried.Result != streams.Ambiguous {
		t.Errorf("got %s (%v)", tried.Result, tried.Err)
	}
	gone := startMail(t)
	addr := gone.Addr()
	_ = gone.Close()
	c := openMail(t, addr)
	if tried := send(t, t.Context(), c, anna, testWords()); tried.Result != streams.Retry || !tried.Fault {
		t.Errorf("got %s (%v)", tried.Result, tried.Err)
	}
	if c.Check(t.Context()) == nil {
		t.Error("nobody listens, and the check passes")
	}
	for status, want := range map[string]outbound.Means{"5.1.1": outbound.RouteDead, "5.2.1": outbound.RouteDead, "5.2.2": outbound.Unreachable, "": ""} {
		if got := talk.Kinds["email"].Later(status); got != want {
			t.Errorf("%q means %q, want %q", status, got, want)
		}
	}
}
