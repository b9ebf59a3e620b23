package processors

import (
	"strings"
	"testing"
)

func TestSentiment(t *testing.T) {
	for text, want := range map[string]struct{ from, to float64 }{
		"":                   {0, 0},
		"Запишите на завтра": {0, 0},
		"Сколько стоит имплант?": {0, 0},
		"🦷🚗": {0, 0},
		"Мне очень понравилось":          {.7, 1},
		"Не понравилось":                 {.01, .3},
		"не очень понравилось":           {.01, .35},
		"не звоните, спасибо":            {.5, .7},
		"Спасибо":                        {.55, .65},
		"Неплохо, спасибо":               {.5, .7},
		"было не плохо":                  {.55, .7},
		"Претензий нет, без претензий":   {.3, .7},
		"Всё супер, вы лучшие из всех!":  {.75, 1},
		"УЖАСНО!!! верните деньги":       {.01, .2},
		"никогда больше к вам не приду":  {.01, .3},
		"Отлично сделали, но долго ждал": {.35, .65},
		"Great service, thank you":       {.7, 1},
		"The nails were not good":        {.01, .3},
		"I wasn't happy with it":         {.01, .3},
		"Terrible, never again":          {.01, .2},
		"😂":                              {.75, .75},
		"👎":                              {.15, .15},
		"❤️❤️❤️❤️❤️❤️":                   {.9, .99},
		"😡 Всё плохо":                    {.01, .1},
		"хорошо 👍":                       {.8, 1},
	} {
		if got := Sentiment(text, nil); got < want.from || got > want.to {
			t.Errorf("%q: %.2f, want %.2f to %.2f", text, got, want.from, want.to)
		}
	}
}

func TestSentimentOfOnesOwnPictures(t *testing.T) {
	own := map[rune]float64{'😂': 0.1, '🦷': 1}
	if got := Sentiment("😂", own); got != 0.1 {
		t.Errorf("a picture with a value of its own: %.2f, want 0.10", got)
	}
	if got := Sentiment("🦷", own); got < 0.95 {
		t.Errorf("a picture that only the business knows: %.2f", got)
	}
}

func TestSentimentOfOddTexts(t *testing.T) {
	for _, text := range []string{strings.Repeat("отлично ", 20000), strings.Repeat("👎", 20000), "\xff\xfe не", "не", "не не не плохо", strings.Repeat("не ", 9999)} {
		if got := Sentiment(text, nil); got < 0 || got > 1 {
			t.Errorf("%.40q: %f", text, got)
		}
	}
}
