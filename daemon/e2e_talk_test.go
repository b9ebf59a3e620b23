//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"leadstream/daemon/proof"
	"leadstream/sinks/records"
	"leadstream/sinks/sim/phone"
	"leadstream/streams/outbound"
)

// A customer writes to the bot, is asked what is missing, is offered times of the calendar, presses one, and gets the
// confirmation by SMS too, though the daemon is killed between them.
func TestConversation(t *testing.T) {
	t.Parallel()
	far := phone.New(phone.Options{Token: proof.BotToken})
	if err := far.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	i := newInstance(t, proof.Setup{Records: records.Embedded, Phone: far,
		Sources: "  tg: {preset: telegram, poll: true, token: \"" + proof.BotToken + "\", base_url: \"%s\", allow_private: true}\n",
		More: fmt.Sprintf(`triage: {services: [{name: Стрижка, code: cut}]}
calendar: {kind: builtin, hours: {mon-sun: "10:00-20:00"}}
answers:
  channels:
    tg: {kind: telegram, token: %q, base_url: %q, allow_private: true}
    sms: {kind: sms_smsc, api_key: secret, base_url: %q, allow_private: true}
`, proof.BotToken, far.URL(), far.URL())})
	t.Cleanup(func() {
		if t.Failed() {
			for _, m := range far.Messages() {
				t.Log(m.Via, m.Text, m.Buttons)
			}
		}
	})
	olga := phone.From{ID: 5_000_001, Name: "Ольга"}
	read, store := 0, i.records()
	hears := func(via, want string) (m phone.Message) {
		t.Helper()
		i.eventually(fmt.Sprintf("%s brings %q", via, want), func() bool {
			for _, m = range far.Messages()[read:] {
				if m.Via == via && strings.Contains(m.Text, want) {
					return true
				}
			}
			return false
		})
		return m
	}
	says := func(text string) {
		read = len(far.Messages())
		i.eventually("the service's answer to the last message is noted", func() bool {
			all, err := store.MessagesTo(context.Background(), 1, 100)
			return err == nil && !slices.ContainsFunc(all, func(m outbound.Message) bool { return m.State != outbound.Done })
		})
		i.Kill()
		far.Write(olga, text)
		i.start()
	}
	says("Есть запись на завтра?")
	hears("telegram", "Посмотрим, что свободно завтра.\nКакая услуга вам нужна и на какое время?\nЕсли удобно, оставьте и номер телефона для связи.")
	says("Стрижка утром, +7 916 123-45-67")
	offer := hears("telegram", "Есть время завтра (Стрижка): 10:00, 11:30. Какое вам подходит?")
	var keys struct {
		Rows [][]struct {
			Data string `json:"callback_data"`
		} `json:"inline_keyboard"`
	}
	i.must(json.Unmarshal([]byte(offer.Buttons), &keys))
	read = len(far.Messages())
	far.Tell("callback_query", olga, func() map[string]any {
		return map[string]any{"id": "1", "chat_instance": "-7", "data": keys.Rows[1][0].Data}
	})
	hears("telegram", "Ваш талон подтверждён на завтра, 11:30. Напомним за 24 ч и за 1 час. Отправить смс?")
	says("да")
	hears("smsc", "Вы записаны: завтра в 11:30.")
	hears("telegram", "Отправляем смс")
	said := map[string]int{}
	for _, m := range far.Messages() {
		if said[m.Via+m.Text]++; said[m.Via+m.Text] > 1 {
			t.Errorf("said twice: %s", m.Text)
		}
	}
}
