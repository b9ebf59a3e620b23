package phone

import (
	"errors"
	"testing"

	"github.com/go-telegram/bot"
	"github.com/go-telegram/bot/models"
)

// TestIndependentTelegramClient holds the phone to a client that others wrote for the real Bot API: it sends multipart,
// decodes every answer into its own types and errors into classes.
func TestIndependentTelegramClient(t *testing.T) {
	p := start(t, Options{Chats: []Chat{{ID: 1, Type: "private", Name: "Anna"}, {ID: 7, Type: "private", Blocked: true},
		{ID: -8, Type: "group", MigrateTo: -1008}}})
	client, err := bot.New("110201543:phone-token", bot.WithServerURL(p.URL())) // asks getMe
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if me, err := client.GetMe(ctx); err != nil || !me.IsBot || me.ID != 110201543 || me.Username == "" {
		t.Errorf("getMe: %+v, %v", me, err)
	}
	if chat, err := client.GetChat(ctx, &bot.GetChatParams{ChatID: 1}); err != nil || chat.Type != "private" || chat.FirstName != "Anna" {
		t.Errorf("getChat: %+v, %v", chat, err)
	}
	sent, err := client.SendMessage(ctx, &bot.SendMessageParams{ChatID: 1, Text: "<b>New</b> lead", ParseMode: models.ParseModeHTML,
		ReplyMarkup: &models.InlineKeyboardMarkup{InlineKeyboard: [][]models.InlineKeyboardButton{{{Text: "Take", CallbackData: "take:1"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if sent.ID == 0 || sent.Chat.ID != 1 || sent.Text != "New lead" || sent.Date == 0 || !sent.From.IsBot ||
		sent.ReplyMarkup.InlineKeyboard[0][0].CallbackData != "take:1" {
		t.Errorf("sendMessage: %+v", sent)
	}
	edited, err := client.EditMessageText(ctx, &bot.EditMessageTextParams{ChatID: 1, MessageID: sent.ID, Text: "Taken"})
	if err != nil || edited.ID != sent.ID || edited.EditDate == 0 || edited.ReplyMarkup != nil {
		t.Errorf("editMessageText: %+v, %v", edited, err)
	}
	p.Inject(Fault{Method: "getChat", Status: 429, RetryAfter: "35"})
	_, err = client.GetChat(ctx, &bot.GetChatParams{ChatID: 1})
	if slow := new(bot.TooManyRequestsError); !errors.As(err, &slow) || slow.RetryAfter != 35 {
		t.Errorf("429: %v", err)
	}
	_, err = client.SendMessage(ctx, &bot.SendMessageParams{ChatID: -8, Text: "x"})
	if moved := new(bot.MigrateError); !errors.As(err, &moved) || moved.MigrateToChatID != -1008 {
		t.Errorf("migrated: %v", err)
	}
	for id, want := range map[int64]error{7: bot.ErrorForbidden, 99: bot.ErrorBadRequest} {
		if _, err := client.SendMessage(ctx, &bot.SendMessageParams{ChatID: id, Text: "x"}); !errors.Is(err, want) {
			t.Errorf("chat %d: %v, want %v", id, err, want)
		}
	}
	if _, err := bot.New("1:other", bot.WithServerURL(p.URL())); !errors.Is(err, bot.ErrorUnauthorized) {
		t.Errorf("another token: %v", err)
	}
}
