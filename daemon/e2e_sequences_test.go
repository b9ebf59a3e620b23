//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"leadstream/daemon/proof"
	"leadstream/sinks/records"
	"leadstream/sinks/sim/phone"
)

// A customer agrees to advertising, opens a link and orders nothing: the coupon comes once, also over a kill, and nothing more
// after СТОП. Another, who has not agreed, hears nothing.
func TestLedThroughASequence(t *testing.T) {
	t.Parallel()
	const anna, olga = 5_000_101, 5_000_102
	i := newInstance(t, proof.Setup{Records: records.Embedded, Sources: botSource,
		Tagging: `, buffer: 1s, segments: [{name: clicked-no-order, group: order, when: 'without("click", "order", "0s")'}]`,
		More: strings.Replace(answersByBot, "answers: {", `answers: {policy: {quiet_from: "", quiet_until: "", promotion_at: []}, `, 1) +
			"sequences:\n  - {preset: clicked, steps: [{template: coupon_click}, {after: 1s, template: follow_up}], values: {coupon: CLICK10}}\n"})
	store := i.records()
	card := func(chat int64) (id int64) {
		i.eventually("the customer has a card", func() bool {
			cards, err := store.Find(context.Background(), fmt.Sprintf("telegram:%d", chat), 2)
			i.must(err)
			if len(cards) == 1 {
				id = cards[0].ID
			}
			return len(cards) == 1
		})
		return id
	}
	for chat, text := range map[int64]string{anna: "Подпишите меня на рассылку", olga: "Сколько стоит стрижка?"} {
		i.Phone.SetChat(phone.Chat{ID: chat, Type: "private", Name: "Анна"})
		i.Phone.Write(phone.From{ID: chat, Name: "Анна"}, text)
		i.eventually("the customer is answered", func() bool { return len(i.said(chat)) > 0 })
	}
	for _, chat := range []int64{anna, olga} {
		i.tell(fmt.Sprintf(`{"event":"click","channel":"telegram","user_id":"%d"}`, chat))
	}
	coupons := func(chat int64) (n int) {
		for _, text := range i.said(chat) {
			if strings.Contains(text, "CLICK10") {
				n++
			}
		}
		return n
	}
	i.eventually("the coupon is there", func() bool { return coupons(anna) == 1 })
	i.Kill()
	i.start()
	// The next step is made, and waits: there is one promotion a week.
	i.eventually("the next message waits for its week", func() bool {
		all, err := store.MessagesTo(context.Background(), card(anna), 10)
		i.must(err)
		return len(all) > 0 && all[0].Template == "follow_up" && all[0].Reason == "weekly"
	})
	i.Phone.Write(phone.From{ID: anna, Name: "Анна"}, "Стоп")
	i.eventually("what waited is dropped", func() bool {
		all, err := store.MessagesTo(context.Background(), card(anna), 10)
		i.must(err)
		for _, m := range all {
			if m.Template == "follow_up" {
				return m.State == "dropped" && m.Reason == "stop"
			}
		}
		return false
	})
	i.quiet()
	if a, o := coupons(anna), coupons(olga); a != 1 || o != 0 {
		t.Errorf("%d and %d coupons, want 1 and 0", a, o)
	}
	out := i.run("sequences")
	if !strings.Contains(out, "clicked") || !strings.Contains(out, "СТОП 1") && !strings.Contains(out, "STOP 1") {
		t.Errorf("leadstream sequences says:\n%s", out)
	}
}
