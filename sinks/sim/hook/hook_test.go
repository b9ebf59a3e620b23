package hook

import (
	"net/http"
	"strings"
	"testing"
)

func post(t *testing.T, h *Hook, key string) (status int) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, h.URL(), strings.NewReader(`{"id":"a1","phone":"+79990000011"}`))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

func TestHookTakesAKeyOnce(t *testing.T) {
	for name, c := range map[string]struct {
		keyed  bool
		key    string
		repeat bool
	}{
		"keyed":            {keyed: true, key: "a1", repeat: true},
		"pays no heed":     {key: "a1"},
		"keyed, sent none": {keyed: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := New(Options{Keyed: c.keyed})
			if err := h.Start(); err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			for range 2 {
				if got := post(t, h, c.key); got != http.StatusOK {
					t.Fatalf("status %d", got)
				}
			}
			calls := h.Calls()
			if len(calls) != 2 || calls[0].Repeat || calls[1].Repeat != c.repeat || calls[1].LeadID != "a1" {
				t.Errorf("calls %+v, want the second one's repeat to be %v", calls, c.repeat)
			}
		})
	}
}

func TestHookLosesAnAnswer(t *testing.T) {
	h := New(Options{})
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.Inject(Fault{LoseAnswer: true, Times: 1})
	if got := post(t, h, "a1"); got != 0 {
		t.Errorf("an answer %d, want none", got)
	}
	if calls := h.Calls(); len(calls) != 1 || calls[0].Answer != "lost" {
		t.Errorf("calls %+v, want one whose answer is lost", calls)
	}
	h.Inject(Fault{Status: 500, Times: 1})
	if got := post(t, h, "a1"); got != 500 || len(h.Calls()) != 1 || h.Requests() != 2 {
		t.Errorf("status %d, %d calls of %d requests; want a refusal that executes nothing", got, len(h.Calls()), h.Requests())
	}
}
