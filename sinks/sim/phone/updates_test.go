package phone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-telegram/bot"
	"github.com/go-telegram/bot/models"
	"github.com/google/go-cmp/cmp"
)

// heard is what an independent client has made of the updates.
type heard struct {
	mu   sync.Mutex
	said []string
}

func (h *heard) hear(_ context.Context, _ *bot.Bot, u *models.Update) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case u.Message != nil:
		h.said = append(h.said, fmt.Sprintf("%d %s %s: %s", u.ID, u.Message.Chat.Type, u.Message.From.FirstName, u.Message.Text))
	case u.CallbackQuery != nil:
		h.said = append(h.said, fmt.Sprintf("%d pressed %s", u.ID, u.CallbackQuery.Data))
	}
}

// until waits for so many.
func (h *heard) until(t *testing.T, n int) []string {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		h.mu.Lock()
		said := slices.Clone(h.said)
		h.mu.Unlock()
		if len(said) >= n {
			return said
		}
		if time.Now().After(end) {
			t.Fatalf("heard %q, want %d", said, n)
		}
	}
}

var anna = From{ID: 1000001, Name: "Анна", Username: "anna_test"}

// TestIndependentClientGetsUpdates holds the phone to a client that others wrote for the real Bot API, which asks for updates,
// and gets them by its webhook.
func TestIndependentClientGetsUpdates(t *testing.T) {
	p := start(t, Options{PlainHTTP: true, Hurry: 100})
	var h heard
	client, err := bot.New("110201543:phone-token", bot.WithServerURL(p.URL()), bot.WithDefaultHandler(h.hear), bot.WithNotAsyncHandlers(), bot.WithWorkers(1),
		bot.WithWebhookSecretToken("the_secret"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { client.Start(ctx) })
	p.Write(anna, "раз")
	p.Write(anna, "два")
	p.Tell("callback_query", anna, func() map[string]any { return map[string]any{"id": "1", "chat_instance": "-7", "data": "svc:1"} })
	want := []string{"700000001 private Анна: раз", "700000002 private Анна: два", "700000003 pressed svc:1"}
	if diff := cmp.Diff(want, h.until(t, 3)); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	for p.Unread() > 0 { // until it asks again
		time.Sleep(time.Millisecond)
	}
	cancel()
	ended.Wait()

	ctx, cancel = context.WithCancel(t.Context())
	ended.Go(func() { client.StartWebhook(ctx) })
	failing := 2
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if failing > 0 {
			failing--
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		client.WebhookHandler()(w, r)
	}))
	defer server.Close()
	if ok, err := client.SetWebhook(ctx, &bot.SetWebhookParams{URL: server.URL, SecretToken: "the_secret", AllowedUpdates: []string{"message"}, MaxConnections: 5}); !ok || err != nil {
		t.Fatalf("setWebhook: %v, %v", ok, err)
	}
	p.Write(anna, "три")
	p.Write(anna, "четыре")
	if p.Tell("callback_query", anna, func() map[string]any { return nil }) != 0 {
		t.Error("an update of a kind that was not asked for")
	}
	want = append(want, "700000004 private Анна: три", "700000005 private Анна: четыре")
	if diff := cmp.Diff(want, h.until(t, 5)); diff != "" {
		t.Errorf("by webhook (-want +got):\n%s", diff)
	}
	p.Block(anna, true)
	_, err = client.SendMessage(ctx, &bot.SendMessageParams{ChatID: anna.ID, Text: "x"})
	if !errors.Is(err, bot.ErrorForbidden) {
		t.Errorf("who has blocked the bot gets a message: %v", err)
	}
	info, err := client.GetWebhookInfo(ctx)
	if err != nil || info.URL != server.URL || info.MaxConnections != 5 || !slices.Equal(info.AllowedUpdates, []string{"message"}) ||
		info.LastErrorMessage != "Wrong response from the webhook: 502 Bad Gateway" || info.LastErrorDate == 0 {
		t.Errorf("getWebhookInfo: %+v, %v", info, err)
	}
	if ok, err := client.DeleteWebhook(ctx, &bot.DeleteWebhookParams{}); !ok || err != nil || p.Webhook() != "" {
		t.Errorf("deleteWebhook: %v, %v", ok, err)
	}
	cancel()
	ended.Wait()
}

type updates struct {
	OK          bool
	Description string
	Result      []struct {
		ID int64 `json:"update_id"`
	}
}

func (u updates) ids() (ids []int64) {
	for _, one := range u.Result {
		ids = append(ids, one.ID-700000000)
	}
	return ids
}

func getUpdates(t *testing.T, p *Phone, args string) (u updates) {
	t.Helper()
	_, body := ask(t, p, "POST", "/bot110201543:phone-token/getUpdates", args)
	if err := json.Unmarshal([]byte(body), &u); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	return u
}

// Who blocks the bot is told of as the Bot API does, to a client that others wrote.
func TestBlockIsTold(t *testing.T) {
	p := start(t, Options{})
	p.Block(anna, true)
	p.Block(anna, false)
	_, body := ask(t, p, "POST", "/bot110201543:phone-token/getUpdates", "timeout=0")
	var told struct{ Result []models.Update }
	if err := json.Unmarshal([]byte(body), &told); err != nil || len(told.Result) != 2 {
		t.Fatalf("%v\n%s", err, body)
	}
	for i, want := range []models.ChatMemberType{models.ChatMemberTypeBanned, models.ChatMemberTypeMember} {
		if m := told.Result[i].MyChatMember; m == nil || m.NewChatMember.Type != want || m.Chat.ID != anna.ID || m.Date == 0 {
			t.Errorf("%d: %+v", i, m)
		}
	}
}

func TestGetUpdates(t *testing.T) {
	now := time.Now()
	p := start(t, Options{PlainHTTP: true, Clock: func() time.Time { return now }})
	for range 5 {
		p.Write(anna, "да")
	}
	for _, tt := range []struct {
		args string
		want []int64
	}{
		{"", []int64{1, 2, 3, 4, 5}},
		{"limit=2", []int64{1, 2}},
		{"offset=700000002", []int64{2, 3, 4, 5}}, // confirms the first
		{"", []int64{2, 3, 4, 5}},
		{"offset=1000", []int64{2, 3, 4, 5}},
		{"offset=700000099", []int64{2, 3, 4, 5}}, // lies in the future
		{"offset=-2", []int64{4, 5}},              // forgets all but the last two
		{"offset=700000006", nil},
		{"", nil},
	} {
		if diff := cmp.Diff(tt.want, getUpdates(t, p, tt.args).ids()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.args, diff)
		}
	}
	p.Write(anna, "да")
	now = now.Add(24 * time.Hour)
	if got := getUpdates(t, p, "").ids(); len(got) > 0 {
		t.Errorf("%d are still there after a day", got)
	}
	p.SetWebhook("http://127.0.0.1:1/", "")
	if got := getUpdates(t, p, ""); got.OK || !strings.HasPrefix(got.Description, "Conflict: can't use getUpdates method while webhook is active") {
		t.Errorf("with a webhook: %+v", got)
	}
}

// The second who asks ends the first one's wait.
func TestTwoPollers(t *testing.T) {
	p := start(t, Options{})
	first := make(chan updates, 1)
	go func() { first <- getUpdates(t, p, "timeout=50") }()
	for !p.Polled() {
		time.Sleep(time.Millisecond)
	}
	go func() {
		if u := <-first; u.OK || !strings.HasPrefix(u.Description, "Conflict: terminated by other getUpdates request") {
			t.Errorf("the first is told %+v", u)
		}
		p.Write(anna, "да")
	}()
	if got := getUpdates(t, p, "timeout=50").ids(); !slices.Equal(got, []int64{1}) {
		t.Errorf("the second gets %v", got)
	}
}

// Of one chat the head alone is sent, again and again; another chat does not wait for it.
func TestWebhookKeepsOrder(t *testing.T) {
	p := start(t, Options{PlainHTTP: true, Hurry: 1000})
	var mu sync.Mutex
	var got []string
	tries := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var u struct{ Message struct{ Text string } }
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &u)
		mu.Lock()
		defer mu.Unlock()
		if u.Message.Text == "a1" {
			if tries++; tries < 6 {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
		}
		if r.Header.Get("X-Telegram-Bot-Api-Secret-Token") == "s" {
			got = append(got, u.Message.Text)
		}
	}))
	defer server.Close()
	for _, text := range []string{"a1", "a2", "a3"} {
		p.Write(anna, text)
	}
	p.Write(From{ID: 2, Name: "Пётр"}, "b1")
	p.SetWebhook(server.URL, "s")
	for p.Unread() > 0 {
		time.Sleep(time.Millisecond)
	}
	if i := slices.Index(got, "b1"); i < 0 || !slices.Equal(slices.Delete(slices.Clone(got), i, i+1), []string{"a1", "a2", "a3"}) {
		t.Errorf("got %q", got)
	}
}

func TestSetWebhookRefuses(t *testing.T) {
	p := start(t, Options{})
	for args, want := range map[string]string{
		"url=http://leads.example.test/in":                     "An HTTPS URL must be provided",
		"url=https://leads.example.test:8080/in":               "only on ports 80, 88, 443 or 8443",
		"url=https://leads.example.test/in&secret_token=a%20b": "unallowed characters",
		"url=leads": "invalid webhook URL",
		"url=https://leads.example.test/in&secret_token=abc-_1": `"result":true`,
	} {
		if _, body := ask(t, p, "POST", "/bot110201543:phone-token/setWebhook", args); !strings.Contains(body, want) {
			t.Errorf("%s: %s", args, body)
		}
	}
}
