package talk_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leadstream/sinks/sim/meta"
	"leadstream/sinks/talk"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

const ourPage = "300000000000001"

func metaService(kind string) service {
	return service{
		kind: kind, to: "600000000000001", remote: "m_1",
		configure: func(set any, url string) {
			s := set.(*talk.MetaSettings)
			s.Token, s.Account, s.BaseURL, s.AllowPrivate = canarySecret, ourPage, url+"/v23.0", true
		},
		healthy: func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				_, _ = io.WriteString(w, `{"id":"`+ourPage+`"}`)
				return
			}
			_, _ = io.WriteString(w, `{"recipient_id":"600000000000001","message_id":"m_1"}`)
		},
	}
}

func TestMessengerSuffers(t *testing.T) { t.Parallel(); metaService("messenger").suffer(t) }
func TestInstagramSuffers(t *testing.T) { t.Parallel(); metaService("instagram").suffer(t) }

func TestMetaAnswers(t *testing.T) {
	t.Parallel()
	rows := map[string]row{}
	put := func(result streams.Result, means outbound.Means, after time.Duration, codes ...string) {
		for i, code := range codes {
			rows[code] = graphRow([]int{400, 500, 403}[i%3], code, result, means, after)
		}
	}
	put(streams.Pause, "", 5*time.Minute, "0", "3", "10", "102", "190", "100/33", "4", "17", "32", "10/2018108", "200/2018028", "230")
	put(streams.Pause, "", time.Hour, "368")
	put(streams.Pause, "", 10*time.Second, "613")
	put(streams.Permanent, outbound.RouteDead, 0, "10/2018065", "10/2018278", "10/2534022", "551", "551/1545041", "200/1545041", "10/1545041", "100/1545041", "100/2018001", "100/2534014")
	put(streams.Permanent, "", 0, "100")
	put(streams.Ambiguous, "", 0, "1", "2", "1200")
	every(t, talk.MetaCodes, rows)

	unknown := graphRow(400, "613/1893016", streams.Pause, "", 10*time.Second) // a subcode that we do not know: the code decides
	unknown.code = "613"
	rows["a subcode of next year"] = unknown
	rows["a right"] = graphRow(403, "200", streams.Pause, "", 5*time.Minute)
	rows["of next year"] = graphRow(400, "9999", streams.Permanent, "", 0)
	rows["nothing named"] = row{status: 200, body: `{"recipient_id":"600000000000001"}`, result: streams.Ambiguous}
	for _, kind := range []string{"messenger", "instagram"} {
		metaService(kind).table(t, rows)
	}
}

func TestMetaCarries(t *testing.T) {
	t.Parallel()
	now := time.Unix(1767225600, 0)
	at := now.Add(-25 * time.Hour)
	s := graphServer(t, meta.Options{Now: func() time.Time { return at }})
	s.Tell("messenger", "600000000000002", "давно") // a day and an hour ago
	s.Tell("instagram", "700000000000002", "давно")
	at = now
	s.Tell("messenger", "600000000000001", "да")
	s.Tell("instagram", "700000000000001", "да")
	channels := map[string]outbound.Channel{}
	for _, kind := range []string{"messenger", "instagram"} {
		channels[kind] = open(t, kind, func(set any) {
			m := set.(*talk.MetaSettings)
			m.Token, m.Account, m.BaseURL, m.AllowPrivate = canarySecret+"-page", ourPage, s.URL(), true
		})
		if err := channels[kind].Check(t.Context()); err != nil {
			t.Errorf("%s: check: %v", kind, err)
		}
	}
	buttons := func(n int, title string) (all []outbound.Button) {
		for i := range n {
			all = append(all, outbound.Button{Text: fmt.Sprint(title, i)})
		}
		return all
	}
	quick := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprint(i))
		}
		return all
	}
	for name, tt := range map[string]struct {
		kind, to string
		words    outbound.Words
		sent     meta.Sent
		code     string
		means    outbound.Means
	}{
		"text":                {words: outbound.Words{Text: "Ждём\nвас"}, sent: meta.Sent{Text: "Ждём\nвас"}},
		"without a sound":     {words: outbound.Words{Text: "Ждём", Silent: true}, sent: meta.Sent{Text: "Ждём"}},
		"on Instagram":        {kind: "instagram", words: outbound.Words{Text: "Ждём"}, sent: meta.Sent{Text: "Ждём"}},
		"answers":             {words: outbound.Words{Text: "Когда?", Buttons: buttons(13, "")}, sent: meta.Sent{Text: "Когда?", Buttons: quick(13)}},
		"answers, Instagram":  {kind: "instagram", words: outbound.Words{Text: "Когда?", Buttons: buttons(2, "")}, sent: meta.Sent{Text: "Когда?", Buttons: quick(2)}},
		"too many answers":    {words: outbound.Words{Text: "Когда?", Buttons: buttons(14, "")}, sent: meta.Sent{Text: "Когда?\n\n– " + strings.Join(quick(14), "\n– ")}},
		"too long an answer":  {words: outbound.Words{Text: "Когда?", Buttons: buttons(1, strings.Repeat("я", 20))}, sent: meta.Sent{Text: "Когда?\n\n– " + strings.Repeat("я", 20) + "0"}},
		"link":                {words: outbound.Words{Text: "Мы здесь", Buttons: []outbound.Button{{Text: "Да"}, {Text: "Карта", URL: "https://a.test"}}}, sent: meta.Sent{Text: "Мы здесь\n\n– Да\n– Карта: https://a.test"}},
		"the longest":         {words: outbound.Words{Text: strings.Repeat("я", 2000)}, sent: meta.Sent{Text: strings.Repeat("я", 2000)}},
		"the longest, bytes":  {kind: "instagram", words: outbound.Words{Text: strings.Repeat("я", 500)}, sent: meta.Sent{Text: strings.Repeat("я", 500)}},
		"longer":              {words: outbound.Words{Text: strings.Repeat("я", 2001)}, code: "too_long"},
		"longer, on Instagr.": {kind: "instagram", words: outbound.Words{Text: strings.Repeat("я", 501)}, code: "too_long"},
		"a day later":         {to: "600000000000002", words: outbound.Words{Text: "Ждём"}, code: "10/2018278", means: outbound.RouteDead},
		"a day later there":   {kind: "instagram", to: "700000000000002", words: outbound.Words{Text: "Ждём"}, code: "10/2534022", means: outbound.RouteDead},
		"a stranger":          {to: "600000000000003", words: outbound.Words{Text: "Ждём"}, code: "100/2018001", means: outbound.RouteDead},
		"an address of WA's":  {to: "RU.1349abc", words: outbound.Words{Text: "Ждём"}, code: "address", means: outbound.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.words.ID = "id of " + name; tt.kind == "" {
				tt.kind = "messenger"
			}
			if tt.to == "" {
				tt.to = map[string]string{"messenger": "600000000000001", "instagram": "700000000000001"}[tt.kind]
			}
			before := len(s.Sent())
			tried := send(t, t.Context(), channels[tt.kind], tt.to, tt.words)
			sent := s.Sent()[before:]
			if tt.code != "" {
				if tried.Result != streams.Permanent || tried.Code != tt.code || tried.Means != tt.means || len(sent) != 0 {
					t.Errorf("got %s, code %q, means %q (%v), sent %v", tried.Result, tried.Code, tried.Means, tried.Err, sent)
				}
				return
			}
			if tried.Result != streams.Done || len(sent) != 1 || sent[0].ID != tried.Remote {
				t.Fatalf("got %s (%v), sent %+v", tried.Result, tried.Err, sent)
			}
			if tt.sent.Platform, tt.sent.To, tt.sent.Type = tt.kind, tt.to, "RESPONSE"; tt.kind == "messenger" {
				tt.sent.Callback = tt.words.ID
			}
			if diff := cmp.Diff(tt.sent, sent[0], cmpopts.IgnoreFields(meta.Sent{}, "ID", "At")); diff != "" {
				t.Error(diff)
			}
		})
	}
	s.Doom("600000000000001", meta.Fate{Refuse: "551/1545041"})
	if tried := send(t, t.Context(), channels["messenger"], "600000000000001", testWords()); tried.Means != outbound.RouteDead {
		t.Errorf("who blocks the page: %s means %q", tried.Result, tried.Means)
	}
}
