package dialogue

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"leadstream/processors/lookup"
	"leadstream/processors/slots"
	"leadstream/streams"
	"leadstream/streams/outbound"
	"leadstream/streams/visits"
)

const (
	hello      = "Здравствуйте, Анна! "
	toPerson   = "Ваше сообщение получил администратор, он ответит вам лично. Если срочно, позвоните: +7 999 000-00-11."
	toPersonEn = "Your message has reached a person, who will answer you. If it is urgent, call +7 999 000-00-11."
	visitKeys  = " [Перенести] [Отменить запись]"
	smsKeys    = " [Да]" + visitKeys
)

// TestTalks are conversations, each with what the customer gets word for word. Times are free today at 14:00 and 16:30,
// tomorrow at 10:00, 12:00, 15:00 and 19:00, and on Wednesday at 11:00.
func TestTalks(t *testing.T) {
	for name, c := range map[string]struct {
		set   func(*chat)
		lines []line
	}{
		"booked with one message": {nil, []line{
			{"Запишите меня на стрижку завтра в 15:00, пожалуйста", hello + "Ваш талон подтверждён на завтра, 15:00. Напомним за 24 ч и за 1 час. Отправить смс?\nУслуга: Стрижка.\nАдрес: ул. Ленина, 1.\nНе сможете прийти: ответьте «отмена» или «перенести».\nРомашка, +7 999 000-00-11" + smsKeys},
			{"нет, спасибо", ""},
		}},
		"a question is offered, not booked": {nil, []line{
			{"А можно на стрижку завтра в 15:00?", hello + "Есть время завтра в 15:00 (Стрижка). Записать вас? [завтра 15:00]"},
			{"да", "Ваш талон подтверждён на завтра, 15:00. Напомним за 24 ч и за 1 час. Отправить смс?" + smsKeys},
		}},
		"two questions, an ordinal": {nil, []line{
			{"хочу записаться", "Здравствуйте, Анна!\nКакая услуга вам нужна и на какое время?"},
			{"на маникюр завтра", "Есть время завтра (Маникюр): 10:00, 15:00, 19:00. Какое вам подходит? Подтвердим здесь же. [завтра 10:00] [завтра 15:00] [завтра 19:00]"},
			{"давайте второе", "Ваш талон подтверждён на завтра, 15:00. Напомним за 24 ч и за 1 час. Отправить смс?" + smsKeys},
		}},
		"a few words more": {nil, []line{
			{"запишите на стрижку на сегодня", hello + "Есть время сегодня (Стрижка): 14:00, 16:30. Какое вам подходит? Подтвердим здесь же. [сегодня 14:00] [сегодня 16:30]"},
			{"да", "Есть время сегодня (Стрижка): 14:00, 16:30. Какое вам подходит? Подтвердим здесь же. [сегодня 14:00] [сегодня 16:30]"},
			{"ни одно не подходит", "Есть время (Стрижка): завтра в 10:00, завтра в 19:00, ср 25.11 в 11:00. Какое вам подходит? Подтвердим здесь же. [завтра 10:00] [завтра 19:00] [ср 25.11 11:00]"},
			{"завтра в 10 подходит", "Ваш талон подтверждён на завтра, 10:00. Напомним за 24 ч и за 1 час. Отправить смс?" + smsKeys},
			{"нет, смс не надо", ""},
		}},
		"a service that there is not": {nil, []line{
			{"хочу записаться на массаж", "Здравствуйте, Анна!\nКакая услуга вам нужна и на какое время?"},
			{"а что у вас есть?", "Какая услуга вам нужна и на какое время? У нас есть: Стрижка, Маникюр, Окрашивание, Педикюр."},
		}},
		"a price that a person says, and a visit": {nil, []line{
			{"Здравствуйте! Хочу записаться на окрашивание, сколько будет стоить и когда можно?", "Здравствуйте, Анна!\nУточним цену (Окрашивание) и ответим. | Есть время (Окрашивание): сегодня в 14:00, завтра в 10:00, ср 25.11 в 11:00. Какое вам подходит? Подтвердим здесь же. [сегодня 14:00] [завтра 10:00] [ср 25.11 11:00] !price"},
			{"завтра в 10", "Ваш талон подтверждён на завтра, 10:00. Напомним за 24 ч и за 1 час. Отправить смс?" + smsKeys},
		}},
		"in English, moved": {nil, []line{
			{"How much is a manicure?", "Hello Анна!\nМаникюр: 2000 ₽.\nWould you like a visit? [Yes]"},
			{"ok, can I come tomorrow at noon?", "There is time tomorrow at 12:00 (Маникюр). Shall we book you? [tomorrow 12:00]"},
			{"yes", "Your booking is confirmed for tomorrow, 12:00. We remind you 24 h and 1 h before. Shall we send an SMS? [Yes] [Move] [Cancel visit]"},
			{"no", ""},
			{"actually please move it to 3 pm", "Your visit is moved: tomorrow at 15:00. [Move] [Cancel visit]"},
			{"where are you?", "You find us here: ул. Ленина, 1.\nOpen ежедневно с 10 до 21."},
		}},
		"five o'clock": {func(c *chat) { c.days.on(0, "17:00") }, []line{
			{"хочу сегодня на педикюр", hello + "Есть время сегодня (Педикюр): 14:00, 16:30. Какое вам подходит? Подтвердим здесь же. [сегодня 14:00] [сегодня 16:30]"},
			{"в пять", "Ваш талон подтверждён на 17:00. Напомним за 24 ч и за 1 час. Отправить смс?" + smsKeys},
		}},
		"another day, later, none of them": {nil, []line{
			{"запишите на стрижку на сегодня", hello + "Есть время сегодня (Стрижка): 14:00, 16:30. Какое вам подходит? Подтвердим здесь же. [сегодня 14:00] [сегодня 16:30]"},
			{"а в другой день?", "Есть время (Стрижка): завтра в 10:00, завтра в 19:00, ср 25.11 в 11:00. Какое вам подходит? Подтвердим здесь же. [завтра 10:00] [завтра 19:00] [ср 25.11 11:00]"},
			{"а завтра попозже", "Есть время завтра (Стрижка): 10:00, 15:00, 19:00. Какое вам подходит? Подтвердим здесь же. [завтра 10:00] [завтра 15:00] [завтра 19:00]"},
			{"ничего не подходит", "Есть время завтра в 12:00 (Стрижка). Записать вас? [завтра 12:00]"},
			{"нет, спасибо", "Хорошо. Когда захотите прийти, просто напишите нам."},
		}},
		"what is wished is taken": {nil, []line{
			{"запишите на стрижку завтра в 11", hello + "К сожалению, завтра в 11:00 уже занято. Свободно: завтра в 10:00, завтра в 12:00, завтра в 15:00. Что вам подходит? [завтра 10:00] [завтра 12:00] [завтра 15:00]"},
			{"тогда 12", "Ваш талон подтверждён на завтра, 12:00. Напомним за 24 ч и за 1 час. Отправить смс?" + smsKeys},
		}},
		"a day that is full": {nil, []line{
			{"запишите на стрижку в пятницу", hello + "К сожалению, в пятницу, 27 ноября, уже всё занято. Свободно: сегодня в 14:00, завтра в 10:00, ср 25.11 в 11:00. Что вам подходит? [сегодня 14:00] [завтра 10:00] [ср 25.11 11:00]"},
			{"ср 25.11 11:00", "Ваш талон подтверждён на среду, 25 ноября, 11:00. Напомним за 24 ч и за 1 час. Отправить смс?" + smsKeys},
		}},
		"no time at all": {func(c *chat) { c.days.open = nil }, []line{
			{"запишите на стрижку завтра", hello + "К сожалению, завтра уже всё занято. | " + toPerson + " !no free time"},
			{"ау", "!no free time"},
		}},
		"a price, then a visit": {nil, []line{
			{"сколько стоит маникюр?", "Здравствуйте, Анна!\nМаникюр: 2000 ₽.\nЗаписать вас? [Да]"},
			{"да, завтра в 10", "Ваш талон подтверждён на завтра, 10:00. Напомним за 24 ч и за 1 час. Отправить смс?" + smsKeys},
		}},
		"a price of what?": {nil, []line{
			{"какие у вас цены?", "Здравствуйте, Анна!\nКакая услуга вас интересует?"},
			{"стрижка", "Стрижка: 1500 ₽.\nЗаписать вас? [Да]"},
			{"спасибо", ""},
		}},
		"a price that is not known": {nil, []line{{"сколько стоит окрашивание?", "Здравствуйте, Анна!\nУточним цену (Окрашивание) и ответим. !price"}}},
		"a price on the way": {nil, []line{
			{"запишите на стрижку на сегодня", hello + "Есть время сегодня (Стрижка): 14:00, 16:30. Какое вам подходит? Подтвердим здесь же. [сегодня 14:00] [сегодня 16:30]"},
			{"а сколько это стоит?", "Стрижка: 1500 ₽."},
			{"16:30", "Ваш талон подтверждён на 16:30. Напомним за 24 ч и за 1 час. Отправить смс?" + smsKeys},
		}},
		"two questions at once": {nil, []line{
			{"Здравствуйте! Где вы находитесь? И до скольки работаете?", "Здравствуйте, Анна!\nМы находимся здесь: ул. Ленина, 1.\nРаботаем ежедневно с 10 до 21."},
		}},
		"hours": {nil, []line{{"до скольки вы сегодня работаете?", hello + "Мы работаем ежедневно с 10 до 21."}}},
		"cancelled": {booked("14:00"), []line{
			{"отмените мою запись на сегодня", hello + "Ваша запись сегодня в 14:00 отменена. Когда захотите прийти, просто напишите нам."},
			{"спасибо", ""},
		}},
		"one of two is cancelled": {booked("14:00", "16:30"), []line{
			{"отмените мою запись", hello + "О какой записи речь: Стрижка сегодня в 14:00, Стрижка сегодня в 16:30? [сегодня 14:00] [сегодня 16:30]"},
			{"вторую", "Ваша запись сегодня в 16:30 отменена. Когда захотите прийти, просто напишите нам."},
		}},
		"not on that day": {booked("14:00"), []line{
			{"уберите мою запись на завтра пожалуйста", hello + "Отменить вашу запись (Стрижка) сегодня в 14:00? [Да] [Нет]"},
			{"нет", "Вы записаны: Стрижка, сегодня в 14:00. Адрес: ул. Ленина, 1." + visitKeys},
		}},
		"not so plainly": {booked("14:00"), []line{
			{"какая остановка ваша? я на 14-м автобусе еду, кондуктор не знает", hello + "Отменить вашу запись (Стрижка) сегодня в 14:00? [Да] [Нет]"},
			{"да", "Ваша запись сегодня в 14:00 отменена. Когда захотите прийти, просто напишите нам."},
		}},
		"money back":                        {booked("14:00"), []line{{"отмените запись и верните предоплату", hello + "Ваша запись сегодня в 14:00 отменена. Когда захотите прийти, просто напишите нам. | " + toPerson + " !payment"}}},
		"late":                              {booked("14:00"), []line{{"опаздываю минут на 40, сдвиньте если получится", hello + toPerson + " !late"}}},
		"unsure of what is asked":           {nil, []line{{"ну чо там с машиной", hello + toPerson + " !unsure"}}},
		"nothing to cancel":                 {nil, []line{{"отмените мою запись", hello + "Предстоящих записей на ваше имя не видим: возможно, запись уже отменена. Администратор проверит и ответит. !no booking"}}},
		"an order is cancelled by a person": {booked("14:00"), []line{{"хочу отменить заказ 4512", hello + toPerson + " !order"}}},
		"moved": {booked("14:00"), []line{
			{"перенесите мою запись на завтра", hello + "Перенесём вашу запись.\nЕсть время завтра: 10:00, 15:00, 19:00. Что вам подходит? [завтра 10:00] [завтра 15:00] [завтра 19:00]"},
			{"первый", "Ваша запись перенесена: завтра в 10:00." + visitKeys},
		}},
		"moved at once": {booked("14:00"), []line{
			{"перенесите мою запись на завтра на 19:00", hello + "Ваша запись перенесена: завтра в 19:00.\nРомашка, +7 999 000-00-11" + visitKeys},
		}},
		"when am I expected": {booked("14:00"), []line{
			{"на когда я записана?", hello + "Вы записаны: Стрижка, сегодня в 14:00. Адрес: ул. Ленина, 1." + visitKeys},
			{"Перенести", "Перенесём вашу запись.\nЕсть время: сегодня в 16:30, завтра в 10:00, ср 25.11 в 11:00. Что вам подходит? [сегодня 16:30] [завтра 10:00] [ср 25.11 11:00]"},
		}},
		"will come":            {remindedOf("14:00"), []line{{"да", hello + "Спасибо! Ждём вас сегодня в 14:00."}, {"ок", ""}}},
		"will not come, by 1":  {remindedOf("14:00"), []line{{"1", hello + "Ваша запись сегодня в 14:00 отменена. Когда захотите прийти, просто напишите нам."}}},
		"will not come":        {remindedOf("14:00"), []line{{"к сожалению не смогу", hello + "Ваша запись сегодня в 14:00 отменена. Когда захотите прийти, просто напишите нам."}}},
		"will come some other": {remindedOf("14:00"), []line{{"перенесите", hello + "Перенесём вашу запись.\nЕсть время: сегодня в 16:30, завтра в 10:00, ср 25.11 в 11:00. Что вам подходит? [сегодня 16:30] [завтра 10:00] [ср 25.11 11:00]"}}},
		"will be late":         {remindedOf("14:00"), []line{{"опоздаю минут на 10", hello + toPerson + " !late"}}},
		"thanks after a reminder cancel nothing": {func(c *chat) { remindedOf("14:00")(c); c.reminder.Due, c.reminder.ID = time.Time{}, "r" }, []line{
			{"до скольки вы сегодня работаете?", hello + "Мы работаем ежедневно с 10 до 21."}, {"нет, спасибо", ""}, {"буду", "Спасибо! Ждём вас сегодня в 14:00."}, {"1", "Что вас интересует: запись, цены, адрес? Или напишите «администратор», и ответит человек. [Записаться] [Цены] [Администратор]"}}},
		"a reminder, and another question": {remindedOf("14:00"), []line{{"а где вы находитесь?", "Здравствуйте, Анна!\nМы находимся здесь: ул. Ленина, 1.\nРаботаем ежедневно с 10 до 21."}}},
		"operator":                         {nil, []line{{"позовите оператора", hello + toPerson + " !operator"}, {"ну где вы там", "!operator"}, {"сколько стоит стрижка", "!operator"}}},
		"complaint":                        {nil, []line{{"хочу пожаловаться, мне испортили волосы и не вернули деньги", hello + toPerson + " !complaint"}}},
		"angry":                            {nil, []line{{"вы идиоты, сколько можно ждать", hello + toPerson + " !angry"}}},
		"medical":                          {nil, []line{{"можно ли делать пилинг при беременности?", hello + toPerson + " !medical"}}},
		"thanks":                           {nil, []line{{"спасибо большое!", ""}, {"👍", ""}, {"🙏❤️", ""}, {"ок", ""}}},
		"a greeting":                       {nil, []line{{"Добрый день", hello + "Что вас интересует: запись, цены, адрес? Или напишите «администратор», и ответит человек. [Записаться] [Цены] [Администратор]"}, {"Записаться", "Какая услуга вам нужна и на какое время?"}}},
		"gibberish three times": {nil, []line{
			{"ыввапр лорп", hello + "Что вас интересует: запись, цены, адрес? Или напишите «администратор», и ответит человек. [Записаться] [Цены] [Администратор]"},
			{"фывфыв", "Не совсем поняли вас. Напишите иначе, пожалуйста, или «администратор», и ответит человек."},
			{"олдж", toPerson + " !not understood"},
			{"олдж", "!not understood"},
		}},
		"a phone that is not known is asked for once": {func(c *chat) { c.phone = false }, []line{
			{"хочу записаться на завтра", hello + "Посмотрим, что свободно завтра.\nКакая услуга вам нужна и на какое время?\nЕсли удобно, оставьте и номер телефона для связи."},
			{"стрижка в 10", "Ваш талон подтверждён на завтра, 10:00. Напомним за 24 ч и за 1 час." + visitKeys},
		}},
		"a phone is left for an SMS": {func(c *chat) { c.phone = false }, []line{
			{"запишите на стрижку завтра в 10:00", hello + "Ваш талон подтверждён на завтра, 10:00. Напомним за 24 ч и за 1 час. Если удобно, оставьте номер телефона: пришлём и смс.\nУслуга: Стрижка.\nАдрес: ул. Ленина, 1.\nНе сможете прийти: ответьте «отмена» или «перенести».\nРомашка, +7 999 000-00-11" + visitKeys},
			{"+7 916 123-45-67", "Отправляем смс с подтверждением. | sms: Вы записаны: завтра в 10:00. ул. Ленина, 1. Отмена: ответьте «отмена»."},
		}},
		"no calendar": {func(c *chat) { c.Calendar = nil }, []line{
			{"хочу записаться на завтра", hello + "Посмотрим, что свободно завтра.\nКакая услуга вам нужна и на какое время?"},
			{"стрижка в 15:00", "Ваша заявка: Стрижка, завтра в 15:00. Администратор проверит время и подтвердит. !booking"},
		}},
		"no calendar, one message": {func(c *chat) { c.Calendar = nil }, []line{
			{"запишите на стрижку", "Здравствуйте, Анна!\nСтрижка: на какой день и час вас записать?"},
			{"завтра в 15", "Ваша заявка: Стрижка, завтра в 15:00. Администратор проверит время и подтвердит. !booking"},
		}},
		"in English": {nil, []line{
			{"Hi, do you have a free time for a haircut tomorrow?", "Hello Анна! There is time tomorrow (Стрижка): 10:00, 15:00, 19:00. Which one suits you? We confirm it right here. [tomorrow 10:00] [tomorrow 15:00] [tomorrow 19:00]"},
			{"the second one please", "Your booking is confirmed for tomorrow, 15:00. We remind you 24 h and 1 h before. Shall we send an SMS? [Yes] [Move] [Cancel visit]"},
			{"yes please", "We are sending an SMS with the confirmation. | sms: You are booked: tomorrow at 15:00. ул. Ленина, 1. To cancel answer \"cancel\"."},
			{"Cancel visit", "Your visit tomorrow at 15:00 is cancelled. Whenever you would like to come, just write to us."},
		}},
		"an operator in English": {nil, []line{{"I want to talk to a human", "Hello Анна! " + toPersonEn + " !operator"}}},
		"later": {nil, []line{
			{"запишите на стрижку завтра с утра", hello + "Есть время завтра в 10:00 (Стрижка). Записать вас? [завтра 10:00]"},
			{"а попозже?", "Есть время завтра (Стрижка): 12:00, 15:00, 19:00. Какое вам подходит? Подтвердим здесь же. [завтра 12:00] [завтра 15:00] [завтра 19:00]"},
			{"раньше", "Есть время завтра в 10:00 (Стрижка). Записать вас? [завтра 10:00]"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			chat := talkTo(t, (&days{}).on(0, "14:00", "16:30").on(1, "10:00", "12:00", "15:00", "19:00").on(2, "11:00"))
			if c.set != nil {
				c.set(chat)
			}
			chat.hold(c.lines)
		})
	}
}

// booked gives the customer visits today.
func booked(hours ...string) func(*chat) {
	return func(c *chat) {
		for i, h := range hours {
			at, _ := time.ParseInLocation(slotLayout, "2026-11-23 "+h, moscow)
			c.days.booked = append(c.days.booked, visits.Booking{ID: string(rune('a' + i)), Customer: 7, Version: 1, Status: visits.Booked, Service: "cut", Start: at, End: at.Add(time.Hour)})
		}
	}
}

// remindedOf has reminded the customer of one.
func remindedOf(h string) func(*chat) {
	return func(c *chat) {
		booked(h)(c)
		c.reminder = &outbound.Message{Purpose: outbound.Reminder, Booking: "a", Version: 1, Due: noon.Add(-time.Hour)}
	}
}

// Who was quicker has the time: others are offered, and what is gone is not offered again.
func TestMeanwhile(t *testing.T) {
	c := talkTo(t, (&days{}).on(0, "14:00", "16:30", "18:00"))
	offer := line{"запишите на стрижку на сегодня", hello + "Есть время сегодня (Стрижка): 14:00, 16:30. Какое вам подходит? Подтвердим здесь же. [сегодня 14:00] [сегодня 16:30]"}
	c.hold([]line{offer})
	c.somebody("14:00")
	c.hold([]line{
		{"2026-11-23 14:00", "К сожалению, сегодня в 14:00 уже занято. Свободно: сегодня в 16:30, сегодня в 18:00. Что вам подходит? [сегодня 16:30] [сегодня 18:00]"},
	})
	c.somebody("16:30")
	c.hold([]line{
		{"ыфвафыв", "К сожалению, сегодня в 14:00 уже занято. Свободно: сегодня в 18:00. Что вам подходит? [сегодня 18:00]"},
		{"да", "Ваш талон подтверждён на 18:00. Напомним за 24 ч и за 1 час. Отправить смс?" + smsKeys},
	})
}

func (c *chat) somebody(h string) {
	at, _ := time.ParseInLocation(slotLayout, "2026-11-23 "+h, moscow)
	c.days.booked = append(c.days.booked, visits.Booking{ID: "of another " + h, Customer: 8, Status: visits.Booked, Start: at, End: at.Add(time.Hour)})
}

// A button of an old offer names its own day, also when the conversation is forgotten.
func TestOldButton(t *testing.T) {
	c := talkTo(t, (&days{}).on(0, "14:00").on(1, "14:00"))
	c.says("запишите на стрижку на сегодня")
	c.says("а завтра?")
	c.change = func(l *streams.Lead) { // WhatsApp: the title is the message
		l.Fields = map[string]json.RawMessage{"button": json.RawMessage(`"2026-11-23 14:00"`)}
	}
	c.hold([]line{{"сегодня 14:00", "Ваш талон подтверждён на 14:00. Напомним за 24 ч и за 1 час. Отправить смс?" + smsKeys}})

	c = talkTo(t, (&days{}).on(0, "14:00").on(1, "14:00"))
	c.hold([]line{{"2026-11-24 14:00", "Здравствуйте, Анна! Посмотрим, что свободно завтра в 14:00.\nКакая услуга вам нужна?"},
		{"стрижка", "Ваш талон подтверждён на завтра, 14:00. Напомним за 24 ч и за 1 час. Отправить смс?" + smsKeys}})
}

// A day later a conversation begins anew: it greets, and a person's turn is over.
func TestRest(t *testing.T) {
	c := talkTo(t, (&days{}).on(3, "14:00"))
	c.hold([]line{{"позовите оператора", hello + toPerson + " !operator"}})
	c.Answers = NewAnswers()
	c.now = c.now.Add(pause - time.Hour)
	c.hold([]line{{"ну где вы там", "!operator"}})
	c.now = c.now.Add(time.Hour) // also of one who keeps writing
	c.hold([]line{{"до скольки вы сегодня работаете?", hello + "Мы работаем ежедневно с 10 до 21."}, {"спасибо", ""}, {"позовите оператора", toPerson + " !operator"}})
	for result, want := range map[string]float64{"with_person": 1, "answered": 1, "nothing": 1, "person": 1} { // each is answered twice here
		if got := testutil.ToFloat64(c.Answers.WithLabelValues(result)); got != 2*want {
			t.Errorf("%s: %v", result, got)
		}
	}
}

// asks answers for the business's own systems.
func asks(t *testing.T, set lookup.HTTP, values map[string]string, answer func(*http.Request) string) *lookup.Lookup {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := answer(r)
		if text == "" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	set.URL, set.Values, set.AllowPrivate = s.URL+set.URL, values, true
	if set.Timeout == 0 {
		set.Timeout = time.Minute
	}
	return lookup.New(set, lookup.Options{Get: plainGetter{}})
}

type plainGetter struct{}

func (plainGetter) Get(ctx context.Context, url string, header http.Header) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	return a.StatusCode, body, err
}

func TestOrders(t *testing.T) {
	values := map[string]string{"status": "state", "link": "url", "tracking": "track"}
	knows := func(r *http.Request) string {
		if r.URL.Query().Get("n") != "A-4512" {
			return `{}`
		}
		return `{"state":"передан курьеру","url":"https://shop.example/4512","track":"RA1"}`
	}
	const url = "/order?n={order}"
	for name, c := range map[string]struct {
		set   func(*chat)
		lines []line
	}{
		"known": {func(c *chat) { c.Order = asks(c.T, lookup.HTTP{URL: url}, values, knows) }, []line{
			{"где мой заказ A-4512?", "Здравствуйте, Анна!\nЗаказ A-4512: передан курьеру. Подробнее: https://shop.example/4512"}}},
		"its number is asked for": {func(c *chat) { c.Order = asks(c.T, lookup.HTTP{URL: url}, values, knows) }, []line{
			{"где мой заказ?", hello + "Подскажите, пожалуйста, номер заказа."}, {"a-4512", "Заказ A-4512: передан курьеру. Подробнее: https://shop.example/4512"}, {"спасибо", ""}}},
		"with a courier": {func(c *chat) {
			c.Order = asks(c.T, lookup.HTTP{URL: url}, values, knows)
			c.Courier = asks(c.T, lookup.HTTP{URL: "/track/{tracking}"}, map[string]string{"eta": "eta"}, func(r *http.Request) string {
				if r.URL.Path != "/track/RA1" {
					return ""
				}
				return `{"eta":"2026-11-24T15:00:00+03:00"}`
			})
		}, []line{{"когда привезут заказ A-4512?", "Здравствуйте, Анна!\nЗаказ A-4512: передан курьеру. Привезём завтра с 13:00 до 17:00. Подробнее: https://shop.example/4512"}}},
		"the courier's service is down": {func(c *chat) {
			c.Order = asks(c.T, lookup.HTTP{URL: url}, values, knows)
			c.Courier = asks(c.T, lookup.HTTP{URL: "/track/{tracking}"}, map[string]string{"eta": "eta"}, func(*http.Request) string { return "" })
		}, []line{{"где мой заказ A-4512?", "Здравствуйте, Анна!\nЗаказ A-4512: передан курьеру. Подробнее: https://shop.example/4512"}}},
		"unknown": {func(c *chat) { c.Order = asks(c.T, lookup.HTTP{URL: url}, values, knows) }, []line{{"где мой заказ 99881?", hello + toPerson + " !order_status"}}},
		"broken": {func(c *chat) {
			c.Order = asks(c.T, lookup.HTTP{URL: url}, values, func(*http.Request) string { return "" })
		}, []line{{"где мой заказ A-4512?", hello + toPerson + " !order_status"}}},
		"slow": {func(c *chat) {
			gone := make(chan struct{})
			c.Cleanup(func() { close(gone) })
			c.Order = asks(c.T, lookup.HTTP{URL: url, Timeout: time.Millisecond}, values, func(r *http.Request) string {
				select {
				case <-gone:
				case <-r.Context().Done():
				}
				return ""
			})
		}, []line{{"где мой заказ A-4512?", hello + toPerson + " !order_status"}}},
		"no look-up": {nil, []line{{"где мой заказ A-4512?", hello + toPerson + " !order_status"}}},
	} {
		t.Run(name, func(t *testing.T) {
			chat := talkTo(t, nil)
			if c.set != nil {
				c.set(chat)
			}
			chat.hold(c.lines)
		})
	}
}

func TestNearest(t *testing.T) {
	branches := []lookup.Branch{{Name: "Арбат", Address: "ул. Арбат, 1", At: "55.7494, 37.5914", Map: "https://maps.example/1"}, {Name: "Сокол", Address: "Ленинградский пр., 75", At: "55.8053, 37.5150"}}
	const all = "Здравствуйте, Анна!\nНаши адреса: Арбат, ул. Арбат, 1; Сокол, Ленинградский пр., 75.\nПришлите геопозицию или адрес, подскажем ближайший."
	const sokol = "Ближе всего к вам: Сокол, Ленинградский пр., 75.\nРаботаем ежедневно с 10 до 21."
	place := func(c *chat) {
		c.Place = asks(c.T, lookup.HTTP{URL: "/?q={address}"}, map[string]string{"lat": "a[0].lat", "lon": "a[0].lon"}, func(r *http.Request) string {
			if q := r.URL.Query().Get("q"); q != "метро Аэропорт, Черняховского 5" && q != "метро аэропорт" {
				return `{"a":[]}`
			}
			return `{"a":[{"lat":"55.800","lon":"37.532"}]}`
		})
	}
	for name, c := range map[string]struct {
		set   func(*chat)
		lines []line
	}{
		"a location":                   {nil, []line{{"где вы находитесь?", all}, {"@55.80,37.53", sokol}}},
		"a location alone":             {nil, []line{{"@55.75,37.60", "Здравствуйте, Анна!\nБлиже всего к вам: Арбат, ул. Арбат, 1. Карта: https://maps.example/1\nРаботаем ежедневно с 10 до 21."}}},
		"a branch by name":             {nil, []line{{"какой адрес у филиала на Соколе?", "Здравствуйте, Анна!\nМы находимся здесь: Сокол, Ленинградский пр., 75.\nРаботаем ежедневно с 10 до 21."}}},
		"an address":                   {place, []line{{"где вы находитесь?", all}, {"метро Аэропорт, Черняховского 5", sokol}}},
		"with the question":            {place, []line{{"где вы находитесь? я у метро Аэропорт", "Здравствуйте, Анна!\n" + sokol}}},
		"an address that nobody knows": {place, []line{{"где вы находитесь?", all}, {"у бабушки", toPerson + " !address"}}},
		"no coordinates":               {func(c *chat) { c.Branches = nil }, []line{{"где вы находитесь?", "Здравствуйте, Анна!\nМы находимся здесь: ул. Ленина, 1.\nРаботаем ежедневно с 10 до 21."}}},
	} {
		t.Run(name, func(t *testing.T) {
			chat := talkTo(t, nil)
			chat.Branches = branches
			if c.set != nil {
				c.set(chat)
			}
			for _, l := range c.lines {
				chat.change = nil
				if at, ok := strings.CutPrefix(l.customer, "@"); ok {
					lat, lon, _ := strings.Cut(at, ",")
					chat.change = func(l *streams.Lead) {
						l.Message, l.Fields = "", map[string]json.RawMessage{"location": json.RawMessage(`{"latitude":` + lat + `,"longitude":` + lon + `}`)}
					}
				}
				chat.hold([]line{l})
				if !slices.Contains(chat.last.Tags, "store enquiry") {
					t.Errorf("%q: tags %q", l.customer, chat.last.Tags)
				}
			}
		})
	}
}

// As many answers as may be said at once, of which a visit is one: the rest waits for the customer's next word.
func TestThreeQuestions(t *testing.T) {
	at := noon.Add(2 * time.Hour)
	for name, c := range map[string]struct {
		when   *streams.When
		open   string
		want   []string
		person string
	}{
		"offered":      {nil, "14:00", []string{"price", "offer"}, ""},
		"booked":       {&streams.When{Start: at, End: at, Kind: slots.Exact}, "14:00", []string{"price", "confirmed"}, ""},
		"no free time": {nil, "11:00", []string{"price", "taken"}, "no free time"},
	} {
		chat := talkTo(t, (&days{}).on(0, c.open))
		l := &streams.Lead{ID: "x", Message: "…", Answered: true, Intents: []string{"price", "address", "booking"}, Service: "Стрижка"}
		if c.when != nil {
			l.Slots, l.Time = &streams.Slots{When: c.when}, "14:00"
		}
		r := chat.turn(l)
		var said []string
		for _, s := range r.Say {
			said = append(said, s.Template)
		}
		if !slices.Equal(said, c.want) || r.Person != c.person {
			t.Errorf("%s: %q %s", name, said, r.Person)
		}
	}
}

// News, files that come late, and a voice message.
func TestNoEnquiry(t *testing.T) {
	c := talkTo(t, nil)
	for name, l := range map[string]*streams.Lead{
		"news": {ID: "a", Event: "read"},
		"late": {ID: "b", Key: streams.LateKey + "1", RepeatOf: "a", Media: []streams.Media{{Kind: "photo"}}},
	} {
		if r := c.turn(l); len(r.Say) > 0 || r.Person != "" || !r.Finished {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := c.turn(&streams.Lead{ID: "c", Media: []streams.Media{{Kind: "sticker"}}}); len(r.Say) > 0 || !r.Finished {
		t.Errorf("sticker: %+v", r)
	}
	if r := c.turn(&streams.Lead{ID: "d", Media: []streams.Media{{Kind: "voice"}}}); len(r.Say) != 1 || r.Person != "media" || r.Finished {
		t.Errorf("voice: %+v", r)
	}
}
