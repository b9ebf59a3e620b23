package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"leadstream/streams"
)

func TestRead(t *testing.T) {
	plain, asked, stopped := Talk{}, Talk{Asked: true}, Talk{Stopped: true}
	for text, want := range map[string]Word{
		"стоп": Stop, "СТОП": Stop, "Стоп!": Stop, "стоооооп!!!": Stop, "Стоп, пожалуйста": Stop, "стоп стоп стоп": Stop, "«СТОП»": Stop,
		"stop": Stop, "STOP.": Stop, "Stop please": Stop, "stopall": Stop, "STOP ALL": Stop, "cтoп": Stop /* Latin c and o */, "ыещз": Stop, "cnjg": Stop,
		"отписаться": Stop, "Отписаться от рассылки": Stop, "отпишите меня": Stop, "Здравствуйте! Отпишите меня, пожалуйста, от вашей рассылки": Stop,
		"хочу отписаться": Stop, "Отписываюсь": Stop, "Как отписаться от рассылки?": Stop, "как отписаться": Stop,
		"unsubscribe": Stop, "Unsubscribe me": Stop, "please unsubscribe me from your list": Stop, "opt out": Stop, "How do I unsubscribe?": Stop,
		"хватит присылать": Stop, "Хватит слать мне рекламу": Stop, "Хватит спамить!": Stop, "прекратите присылать спам": Stop,
		"не присылайте мне больше рекламу": Stop, "Больше не присылайте": Stop, "не шлите спам": Stop, "Не надо рекламы": Stop,
		"Прошу больше не присылать рекламу": Stop, "Можете больше не присылать мне рекламу?": Stop, "не хочу получать рекламу": Stop,
		"Уберите меня из рассылки": Stop, "удалите мой номер из рассылки": Stop, "отключите рассылку": Stop, "Отказываюсь от рекламной рассылки": Stop,
		"отзываю согласие на рекламу": Stop, "Я не подписывалась на вашу рассылку": Stop,
		"stop sending me ads": Stop, "no more promotions please": Stop, "Please remove me from your list": Stop, "don't send me spam": Stop,
		"Спасибо, я уже всё купила. Отпишите меня от рассылки.":                                    Stop,
		"Отпишите меня от рассылки! А сколько стоит стрижка?":                                      Stop,
		"СТОП\n> Для вас скидка\n> Отказаться от рассылки: ответьте СТОП.":                         Stop,
		"STOP\n--\nИван, ООО Ромашка":                                                              Stop,
		"unsubscribe\nOn Mon, Nov 2, 2026 Romashka wrote:\n> Answer STOP to get no more of these.": Stop,

		"не пишите мне больше": Never, "Не пишите мне": Never, "больше мне не пишите": Never, "Больше никогда мне не пишите!!!": Never, "Не пишите сюда больше": Never,
		"не беспокойте меня": Never, "хватит мне писать": Never, "Перестаньте мне писать!": Never, "прекратите писать": Never, "Отстаньте": Never, "оставьте меня в покое": Never,
		"Не присылайте мне больше сообщений": Never, "не шлите мне больше ничего": Never, "Удалите мой номер": Never, "удалите меня из базы": Never,
		"Я уже купила в другом месте, не пишите мне больше": Never, "Спасибо. Больше не пишите мне.": Never, "отзываю согласие на обработку персональных данных": Never,
		"не пишите на этот номер": Never,
		"stop texting me": Never, "Don't text me again": Never, "Stop messaging me.": Never, "leave me alone": Never, "Do not contact me anymore": Never, "remove my number": Never,
		"please stop sending me messages": Never, "no more messages": Never, "I don't want any more messages": Never, "Never contact me again!": Never,

		"стоп, а сколько стоит?": Nothing, "Стоп. А сколько стоит стрижка?": Nothing, "стоп?": Nothing, "Стоп, вы же говорили 1500": Nothing, "Стоп-линия": Nothing,
		"магазин СТОП": Nothing, "Салон «Стоп Хаус» это вы?": Nothing, "я на остановке нон-стоп": Nothing, "don't stop": Nothing, "Can I stop by tomorrow?": Nothing,
		"stop by at 5": Nothing, "bus stop": Nothing, "full stop": Nothing, "non-stop": Nothing, "Стоп-кран сломался": Nothing,
		"Не пишите мне до понедельника": Nothing, "пока не пишите мне, я на работе": Nothing, "Не пишите мне, я сама напишу": Nothing, "Не пишите фамилию в талоне": Nothing,
		"Больше не пишите в вотсап, пишите в телеграм": Nothing, "Не звоните, напишите в вотсап": Nothing, "не присылайте мне чек": Nothing, "Не присылайте курьера сегодня": Nothing,
		"не хочу отписываться": Nothing, "Вы меня не отписали?": Nothing, "Хочу записаться": Nothing, "отмена": Nothing, "cancel": Nothing, "нет": Nothing, "не надо": Nothing, "хватит": Nothing,
		"Хватит ли мне одной упаковки?": Nothing, "не беспокойтесь": Nothing, "Не хочу ждать": Nothing, "удалите запись на завтра": Nothing, "Удалите мне зуб": Nothing, "уберите меня из записи на завтра": Nothing,
		"Рекламу видела, сколько стоит?": Nothing, "есть ли скидки и акции?": Nothing, "спам": Nothing, "больше скидка": Nothing, "не получил сообщение": Nothing, "Почему вы не пишете?": Nothing,
		"не отправляйте": Nothing, "Пока не отправляйте": Nothing, "не высылайте": Nothing, "Отмените заказ, не отправляйте": Nothing,
		"no": Nothing, "I don't want a haircut": Nothing, "remove my booking": Nothing, "Don't text before 9": Nothing, "Please don't send the courier": Nothing, "end": Nothing, "quit smoking course": Nothing,
		"Хочу записаться завтра\n> Отказаться от рассылки: ответьте СТОП.": Nothing, "Answer STOP to get no more of these.": Nothing, "Отказаться от рассылки: ответьте СТОП.": Nothing,
		"": Nothing, "👍": Nothing, "?": Nothing, "да": Nothing, "старт": Nothing, "/start": Nothing, "/stop": Stop, "start": Nothing, "тариф Старт": Nothing, "спасибо, не надо": Nothing,

		"подпишите меня на рассылку": Start, "Хочу получать скидки": Start, "Хочу подписаться на рассылку": Start, "верните рассылку": Start, "subscribe me to your newsletter": Start,
		"Согласна на рассылку": Start,
	} {
		if got := Read(text, plain); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for _, c := range []struct {
		text string
		talk Talk
		want Word
	}{
		{"да", asked, Start}, {"Да, согласна!", asked, Start}, {"yes", asked, Start}, {"нет", asked, Stop}, {"no, thanks", asked, Stop}, {"да?", asked, Nothing},
		{"да, а сколько стоит", asked, Nothing}, {"стоп", asked, Stop}, {"старт", stopped, Start}, {"START", stopped, Start}, {"/start", stopped, Nothing},
		{"Стоп", Talk{Names: []string{"Ромашка", "СТОП"}}, Nothing}, {"салон Стоп", Talk{Names: []string{"СТОП"}}, Nothing},
	} {
		if got := Read(c.text, c.talk); got != c.want {
			t.Errorf("%q (%+v): %q, want %q", c.text, c.talk, got, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("стоооп, а сколько?", true)
	f.Add("не пишите\n> мне\n--", false)
	f.Fuzz(func(t *testing.T, text string, asked bool) {
		got := Read(text, Talk{Asked: asked, Stopped: asked})
		if again := Read(strings.ToUpper(text), Talk{Asked: asked, Stopped: asked}); got != again && strings.ToLower(strings.ToUpper(text)) == text {
			t.Errorf("%q is %q, in capitals %q", text, got, again)
		}
	})
}

func TestLines(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := &streams.Lead{ID: "a", Message: "стоп", ReceivedAt: at}
	var got []string
	for _, word := range []Word{Nothing, Stop, Never, Start} {
		for _, c := range word.Lines(l) {
			if c.Message != "a" || c.Wording != "стоп" || c.How != "message" || !c.At.Equal(at) || c.Channel != "" {
				t.Errorf("%+v", c)
			}
			got = append(got, map[bool]string{true: "+", false: "-"}[c.Given]+c.Purpose)
		}
	}
	if want := []string{"-marketing", "-marketing", "-service", "+marketing", "+service"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestFromForm(t *testing.T) {
	fields := Defaults().ConsentFields
	for name, c := range map[string]struct {
		fields map[string]any
		want   []string
	}{
		"ticked":                    {map[string]any{"marketing": "on"}, []string{"+marketing marketing: on"}},
		"in Russian":                {map[string]any{"Рассылка": "да"}, []string{"+marketing Рассылка: да"}},
		"true":                      {map[string]any{"newsletter": true}, []string{"+marketing newsletter: true"}},
		"the wording is the value":  {map[string]any{"marketing": "Я согласен получать рекламу"}, []string{"+marketing marketing: Я согласен получать рекламу"}},
		"the wording stands beside": {map[string]any{"marketing": "1", "marketing_text": "Хочу знать о скидках"}, []string{"+marketing marketing: Хочу знать о скидках"}},
		"a list of ticks":           {map[string]any{"promo": []any{"yes"}}, []string{"+marketing promo: yes"}},
		"personal data is no ads":   {map[string]any{"consent": "yes", "Согласие": "Согласен на обработку данных"}, []string{"+service consent: yes", "+service Согласие: Согласен на обработку данных"}},
		"not ticked":                {map[string]any{"marketing": "", "newsletter": false, "promo": "0", "subscribe": nil}, nil},
		"no":                        {map[string]any{"marketing": "Нет"}, []string{"-marketing marketing: Нет"}},
		"no in words":               {map[string]any{"marketing": "Не присылайте мне рекламу"}, []string{"-marketing marketing: Не присылайте мне рекламу"}},
		"who knows what was ticked": {map[string]any{"marketing": "Не возражаю"}, nil},
		"another field":             {map[string]any{"market": "yes", "city": "стоп"}, nil},
		"an object is no plain no":  {map[string]any{"city": map[string]any{"a": 1}}, nil},
	} {
		l := &streams.Lead{ID: "x", ReceivedAt: time.Now(), Fields: map[string]json.RawMessage{}}
		for k, v := range c.fields {
			l.Fields[k], _ = json.Marshal(v)
		}
		var got []string
		for _, line := range fields.FromForm(l) {
			got = append(got, map[bool]string{true: "+", false: "-"}[line.Given]+line.Purpose+" "+line.Wording)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		l.Event = "click"
		if len(fields.FromForm(l)) > 0 {
			t.Errorf("%s: news bring no consent", name)
		}
	}
}
