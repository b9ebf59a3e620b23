package channel

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"leadstream/sinks"
	graph "leadstream/sinks/sim/meta"
	"leadstream/sinks/talk"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// heard is a webhook of ours at a simulated Graph API: the news that come of what we send.
type heard struct {
	mu   sync.Mutex
	news []streams.Lead
}

func listens(t *testing.T, s *graph.Server) *heard {
	t.Helper()
	h := &heard{}
	p := New("meta", Config{Secrets: []string{"app_secret"}, Verification: "v", Region: "RU", App: "999000999000999"})
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if reply, ok := p.Greet(r, body); ok {
			_, _ = io.WriteString(w, reply.Body)
			return
		}
		events, err := p.Read(body, "application/json")
		if err != nil || !p.Verify(r, body) {
			t.Errorf("%v: %s", err, body)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, e := range events {
			if e.Err != nil || e.Ignore != "" {
				t.Errorf("%v %s: %s", e.Err, e.Ignore, e.Raw)
			}
			if e.Lead.Event != "" {
				h.news = append(h.news, e.Lead)
			}
		}
	}))
	t.Cleanup(hook.Close)
	if err := s.Subscribe(t.Context(), hook.URL); err != nil {
		t.Fatal(err)
	}
	return h
}

// of are the news that name a message as its service does, and what its sender gave along with it: "delivered id".
func (h *heard) of(remote string) (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.news {
		if field(l, "message_id") == remote || remote == "" {
			all = append(all, strings.TrimSpace(strings.Join([]string{l.Event, field(l, "opaque"), field(l, "code")}, " ")))
		}
	}
	return all
}

func field(l streams.Lead, key string) (s string) {
	_ = json.Unmarshal(l.Fields[key], &s)
	return s
}

// What we have sent comes back by webhook under the id that the service gave it, and with ours along where the service
// carries it: also when its answer was lost.
func TestWhatBecomesOfWhatWeSend(t *testing.T) {
	s := graph.New(graph.Options{Token: "token", Secret: "app_secret", Verify: "v"})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	h := listens(t, s)
	env := sinks.Env{Language: "ru", Zone: time.UTC, Region: "RU", Log: zerolog.Nop()}
	channels := map[string]outbound.Channel{}
	for _, kind := range []string{"whatsapp", "messenger", "instagram"} {
		set := talk.Kinds[kind].Settings()
		switch m := set.(type) {
		case *talk.WhatsAppSettings:
			m.Token, m.Phone, m.BaseURL, m.AllowPrivate = "token", "555000111222333", s.URL(), true
		case *talk.MetaSettings:
			m.Token, m.Account, m.BaseURL, m.AllowPrivate = "token-page", "300000000000001", s.URL(), true
		}
		c, err := talk.Kinds[kind].Open(set, env)
		if err != nil {
			t.Fatal(err)
		}
		channels[kind] = c
	}
	who := map[string]string{"whatsapp": "79990000011", "messenger": "600000000000001", "instagram": "700000000000001"}
	s.Write(who["whatsapp"], "Анна", graph.Text("да"))
	s.Write("RU.1349abc", "Ольга", graph.Text("да"))
	s.Tell("messenger", who["messenger"], "да")
	s.Tell("instagram", who["instagram"], "да")
	settled := func() {
		t.Helper()
		for began := time.Now(); s.Pending() > 0; time.Sleep(time.Millisecond) {
			if time.Since(began) > 2*time.Minute {
				t.Fatal("not all events are taken")
			}
		}
	}
	for name, tt := range map[string]struct {
		channel, to string
		fate        graph.Fate
		want        []string
	}{
		"whatsapp":               {"whatsapp", "", graph.Fate{}, []string{"sent ID", "delivered ID"}},
		"whatsapp, read":         {"whatsapp", "", graph.Fate{Read: true}, []string{"sent ID", "delivered ID", "read ID"}},
		"whatsapp, backwards":    {"whatsapp", "", graph.Fate{Read: true, Backwards: true}, []string{"read ID", "delivered ID", "sent ID"}},
		"whatsapp, silent":       {"whatsapp", "", graph.Fate{Silent: true}, []string{"sent ID"}},
		"whatsapp, untold":       {"whatsapp", "", graph.Fate{Untold: true}, nil},
		"whatsapp, unreachable":  {"whatsapp", "", graph.Fate{Fail: 131026}, []string{"failed ID 131026"}},
		"whatsapp, capped":       {"whatsapp", "", graph.Fate{Fail: 131049}, []string{"failed ID 131049"}},
		"whatsapp, hidden":       {"whatsapp", "RU.1349abc", graph.Fate{}, []string{"sent ID", "delivered ID"}},
		"messenger":              {"messenger", "", graph.Fate{Read: true}, []string{"sent ID", "delivered"}}, // and read, of a time
		"messenger, never there": {"messenger", "", graph.Fate{Silent: true}, []string{"sent ID"}},
		"instagram":              {"instagram", "", graph.Fate{Read: true}, []string{"sent", "read"}},
	} {
		t.Run(name, func(t *testing.T) {
			to := tt.to
			if to == "" {
				to = who[tt.channel]
			}
			s.Doom(to, tt.fate)
			tried := channels[tt.channel].Send(t.Context(), to, outbound.Words{ID: "ID", Text: "Ждём"})
			if tried.Result != streams.Done {
				t.Fatalf("%s: %v", tried.Result, tried.Err)
			}
			settled()
			if diff := cmp.Diff(tt.want, h.of(tried.Remote)); diff != "" {
				t.Error(diff)
			}
		})
	}
	s.Doom(who["whatsapp"], graph.Fate{})
	s.Inject(graph.Fault{Method: "send:*", Times: 1, LoseAnswer: true})
	if tried := channels["whatsapp"].Send(t.Context(), who["whatsapp"], outbound.Words{ID: "LOST", Text: "Ждём"}); tried.Result != streams.Ambiguous {
		t.Errorf("a lost answer: %s", tried.Result)
	}
	settled()
	lost := 0
	for _, l := range h.of("") {
		if strings.HasSuffix(l, " LOST") {
			lost++
		}
	}
	if lost != 2 {
		t.Errorf("of a message whose answer was lost came %d news: %v", lost, h.of(""))
	}
}
