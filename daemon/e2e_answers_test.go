//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"leadstream/daemon/proof"
	"leadstream/sinks/records"
	"leadstream/sinks/sim/phone"
	"leadstream/streams/outbound"
)

// answersByBot has customers answered through the bot that they write to.
const answersByBot = "answers: {channels: {telegram: {kind: telegram, token: \"" + proof.BotToken + "\", base_url: \"%s\", allow_private: true, timeout: 5s}}}\n"

// botSource is the bot, asked for what customers write.
const botSource = "  tg: {preset: telegram, poll: true, token: \"" + proof.BotToken + "\", base_url: \"%s\", allow_private: true}\n"

// said is what a customer has got, by their chat.
func (i *instance) said(chat int64) (texts []string) {
	for _, m := range i.Phone.Messages() {
		if m.To == fmt.Sprint(chat) {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

// A customer writes to the bot and is answered there: what is asked, what is free, and that it is booked. A person's STOP and the history of it
// all are where they belong.
func TestAnsweredThroughTheBot(t *testing.T) {
	t.Parallel()
	const anna = 5_000_001
	i := newInstance(t, proof.Setup{Records: records.Embedded, Sources: botSource,
		More: "calendar: {kind: builtin, hours: {mon-sun: \"00:00-24:00\"}, notice: 0s}\ntriage: {services: [{name: стрижка, code: haircut, price: 1500}]}\n" + answersByBot})
	i.Phone.SetChat(phone.Chat{ID: anna, Type: "private", Name: "Анна"})
	write := func(text string) (answers []string) {
		t.Helper()
		before := len(i.said(anna))
		i.Phone.Write(phone.From{ID: anna, Name: "Анна"}, text)
		i.eventually("the customer is answered", func() bool { return len(i.said(anna)) > before })
		return i.said(anna)[before:]
	}
	first := write("Здравствуйте! Можно записаться на стрижку завтра?")
	if !strings.Contains(first[0], "Есть время завтра") {
		t.Errorf("no times are offered: %q", first)
	}
	second := write("Первый вариант")
	store := i.records()
	cards, err := store.Find(context.Background(), fmt.Sprintf("telegram:%d", anna), 2)
	i.must(err)
	if len(cards) != 1 {
		t.Fatalf("%d cards", len(cards))
	}
	bookings, err := store.Bookings(context.Background(), cards[0].ID)
	i.must(err)
	if len(bookings) != 1 || bookings[0].Service != "haircut" {
		t.Fatalf("after %q and %q: booked %+v", first, second, bookings)
	}
	write("СТОП")
	consents, err := store.Consents(context.Background(), cards[0].ID)
	i.must(err)
	if len(consents) != 1 || consents[0].Given || consents[0].Purpose != "marketing" {
		t.Errorf("after STOP: %+v", consents)
	}
	// The conversation is in the history: what the customer has written, and what was said.
	i.eventually("the history has it all", func() bool {
		said, err := store.History(context.Background(), cards[0].ID)
		i.must(err)
		sent := 0
		for _, m := range said {
			if m.Event == "sent" && m.Text != "" {
				sent++
			}
		}
		return sent == len(i.said(anna))
	})
}

// The daemon is killed while it answers: nobody is answered twice, and who was not is known.
func TestKilledWhileAnswering(t *testing.T) {
	t.Parallel()
	i := newInstance(t, proof.Setup{Records: records.Embedded, Sources: botSource, More: answersByBot})
	const each, lives = 12, 5
	// Half of the calls are under way for a while, before or after the customer has the message: the kills meet them.
	i.Phone.Inject(phone.Fault{Method: "sendMessage", Probability: 0.25, Delay: 300 * time.Millisecond})
	i.Phone.Inject(phone.Fault{Method: "sendMessage", Probability: 0.25, Delay: 300 * time.Millisecond, After: true})
	var chats []int64
	for range lives {
		for range each {
			chat := int64(6_000_000 + len(chats))
			chats = append(chats, chat)
			i.Phone.SetChat(phone.Chat{ID: chat, Type: "private", Name: "Ольга"})
			i.Phone.Write(phone.From{ID: chat, Name: "Ольга"}, "Позовите администратора, пожалуйста")
			pause(0, 15*time.Millisecond)
		}
		pause(200*time.Millisecond, time.Second)
		i.Kill()
		i.start()
	}
	i.eventually("every update is taken", func() bool { return i.Phone.Unread() == 0 })
	i.quiet()
	store := i.records()
	var ends []string
	i.eventually("every answer has come to an end, or nobody can know whether it has", func() bool {
		ends = nil
		for _, chat := range chats {
			cards, err := store.Find(context.Background(), fmt.Sprintf("telegram:%d", chat), 2)
			i.must(err)
			if len(cards) != 1 {
				return false
			}
			all, err := store.MessagesTo(context.Background(), cards[0].ID, 10)
			i.must(err)
			if len(all) != 1 {
				return false
			}
			end := string(all[0].State)
			if s := all[0].Steps; len(s) > 0 && s[len(s)-1].State == outbound.Unsure {
				end = "unsure"
			}
			ends = append(ends, end)
		}
		return !slices.Contains(ends, "waiting") && !slices.Contains(ends, "sending")
	})
	for n, chat := range chats {
		said := i.said(chat)
		if len(said) > 1 || len(said) == 0 && ends[n] == "done" {
			t.Errorf("%d answers to one customer, whose message is %s", len(said), ends[n])
		}
	}
	unsure := 0
	for _, e := range ends {
		if e == "unsure" {
			unsure++
		}
	}
	t.Logf("%d customers, %d kills, %d answers of which nobody can know", len(chats), lives, unsure)
}

// What became of a message can be asked by the message, by the lead and by the customer.
func TestWhy(t *testing.T) {
	t.Parallel()
	const olga = 5_000_002
	i := newInstance(t, proof.Setup{Records: records.Embedded, Sources: botSource, More: answersByBot})
	i.Phone.SetChat(phone.Chat{ID: olga, Type: "private", Name: "Ольга", Blocked: true})
	i.Phone.Write(phone.From{ID: olga, Name: "Ольга"}, "Позовите администратора")
	var all []story
	i.eventually("the message has failed", func() bool {
		all = nil
		cards, err := i.records().Find(context.Background(), fmt.Sprintf("telegram:%d", olga), 2)
		i.must(err)
		if len(cards) != 1 {
			return false
		}
		found, err := i.records().MessagesTo(context.Background(), cards[0].ID, 10)
		i.must(err)
		return len(found) == 1 && found[0].State == outbound.Failed
	})
	i.must(json.Unmarshal([]byte(i.run("why", "#1", "--json")), &all))
	if len(all) != 1 || len(all[0].Rulings) == 0 {
		t.Fatalf("%+v", all)
	}
	for _, id := range []string{all[0].ID, all[0].About} {
		if out := i.run("why", id); !strings.Contains(out, "no other channel is left") || !strings.Contains(out, "403") {
			t.Errorf("%s", out)
		}
	}
}
