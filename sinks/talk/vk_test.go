package talk_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"leadstream/sinks/sim/vk"
	"leadstream/sinks/talk"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

var vkService = service{
	kind: "vk", to: "300000007", remote: "42",
	configure: func(set any, url string) {
		s := set.(*talk.VKSettings)
		s.Token, s.BaseURL, s.AllowPrivate = canarySecret, url+"/", true
	},
	creates: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/messages.send") },
	healthy: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"response":42}`) },
}

func TestVKSuffers(t *testing.T) { t.Parallel(); vkService.suffer(t) }

func TestVKAnswers(t *testing.T) {
	t.Parallel()
	rows := map[string]row{
		"nothing named": {status: 200, body: `{"response":[]}`, result: streams.Ambiguous},
		"no answer":     {status: 200, body: `{}`, result: streams.Ambiguous},
	}
	for result, codes := range map[streams.Result][]int{
		streams.Ambiguous: {1, 10}, streams.Wait: {6}, streams.Pause: {2, 4, 5, 7, 9, 14, 15, 17, 24, 25, 27, 28, 29},
		streams.Permanent: {3, 8, 18, 100, 113, 150, 900, 901, 902, 913, 914, 917, 921, 925, 936, 940, 943, 944, 945, 946, 950, 969, 983, 985, 987, 988, 12345},
	} {
		for _, code := range codes {
			r := row{status: 200, body: fmt.Sprintf(`{"error":{"error_code":%d,"error_msg":"x","request_params":[{"key":"a","value":"ECHO"}]}}`, code),
				result: result, code: fmt.Sprint(code)}
			if slices.Contains([]int{18, 113, 900, 901, 902, 917, 925, 936, 945, 946, 983}, code) {
				r.means = outbound.RouteDead
			}
			if code == 9 {
				r.scope, r.after = streams.ScopeKey, time.Minute
			}
			rows[fmt.Sprint(code)] = r
		}
	}
	vkService.table(t, rows)
}

func TestVKInACommunity(t *testing.T) {
	t.Parallel()
	community := vk.New(vk.Options{Token: canarySecret})
	if err := community.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = community.Close() })
	c := vkService.open(t, community.URL())
	if tried := send(t, t.Context(), c, "7", testWords()); tried.Means != outbound.RouteDead || tried.Code != "901" {
		t.Errorf("to somebody who never wrote: %+v", tried)
	}
	community.Write(7, "Здравствуйте")
	w := testWords()
	w.Text = strings.Repeat("слово ", 1000) // two parts
	w.Buttons = []outbound.Button{{Text: "Приду", Data: "visit:yes"}, {Text: "Перенести"}, {Text: "Сайт", URL: "https://example.org"}}
	community.Inject(vk.Fault{Method: "messages.send", Times: 1, LoseAnswer: true})
	if tried := send(t, t.Context(), c, "7", w); tried.Result != streams.Ambiguous {
		t.Errorf("a lost answer: %s (%v)", tried.Result, tried.Err)
	}
	first := send(t, t.Context(), c, "7", w)
	again := send(t, t.Context(), c, "7", w)
	told := community.Told(7)
	if first.Result != streams.Done || again.Remote != first.Remote || len(told) != 2 {
		t.Fatalf("%+v, again %+v, told %d times", first, again, len(told))
	}
	for _, want := range []string{`"type":"callback","label":"Приду","payload":"\"visit:yes\""`, `"type":"text","label":"Перенести"`, `"link":"https://example.org"`} {
		if !strings.Contains(told[1], want) || strings.Contains(told[0], want) {
			t.Errorf("%s is not in %s", want, told[1])
		}
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}

	// Ten buttons fit, in rows of two; eleven, and a long one, are written out; and so is what a community without bots refuses.
	for i, n := range []int{10, 11, 1} {
		w := outbound.Words{ID: fmt.Sprint(i), Text: "Когда?"}
		for range n {
			w.Buttons = append(w.Buttons, outbound.Button{Text: "15:00"})
		}
		if n == 1 {
			community.Inject(vk.Fault{Method: "messages.send", Times: 1, Code: "912"})
		}
		if tried := send(t, t.Context(), c, "7", w); tried.Result != streams.Done {
			t.Fatalf("%d buttons: %v", n, tried.Err)
		}
		last := community.Told(7)[2+i]
		if out := !strings.Contains(last, "buttons"); out != (n != 10) || out && !strings.HasSuffix(last, "\n– 15:00") {
			t.Errorf("%d buttons: %s", n, last)
		}
	}
	community.Deny(7)
	if tried := send(t, t.Context(), c, "7", testWords()); tried.Means != outbound.RouteDead {
		t.Errorf("who forbids it: %+v", tried)
	}
	community.Allow(7)
	if tried := send(t, t.Context(), c, "7", testWords()); tried.Result != streams.Done {
		t.Errorf("who allows it again: %v", tried.Err)
	}
}
