package slots

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// moscow is the business's zone in the tests, and now is noon of a Wednesday there.
var (
	moscow = time.FixedZone("MSK", 3*60*60)
	now    = time.Date(2026, 3, 11, 12, 0, 0, 0, moscow)
)

// short writes a When of this year in a line: "exact 03-12 15:30", "day 03-13..03-14", "part_of_day 03-12 14:00..23:00".
func short(w When) string {
	layout, clock := "01-02", "15:04"
	if w.Start.Year() != now.Year() {
		layout = "2006-01-02"
	}
	switch {
	case w.Kind == Exact && w.Start.Equal(w.End):
		return "exact " + w.Start.Format(layout+" "+clock)
	case w.Kind == Day && w.Start.Format(clock) == "00:00" && w.End.Equal(w.Start.AddDate(0, 0, 1)):
		return "day " + w.Start.Format(layout)
	case w.Kind == Day:
		return "day " + w.Start.Format(layout) + ".." + w.End.Format("01-02")
	}
	end := w.End.Format(clock)
	if w.End.Equal(w.Start.Truncate(time.Hour).AddDate(0, 0, 1).Add(-time.Duration(w.Start.Hour()) * time.Hour)) {
		end = "24:00"
	}
	return string(w.Kind) + " " + w.Start.Format(layout+" "+clock) + ".." + end
}

// "к" between a date and an hour makes no thousands of the date.
func TestDateIsNoPrice(t *testing.T) {
	r := Reader{Zone: moscow}
	for text, want := range map[string]string{
		"можно 15.03 к 10 утра":  "exact 03-15 10:00",
		"запишите 25.12 к 14":    "exact 12-25 14:00",
		"01.04.26 к двум":        "exact 04-01 14:00",
		"15.03 к обеду":          "part_of_day 03-15 12:00..14:00",
		"бюджет 15 к, в пятницу": "day 03-13",
		"дам 15к":                "",
	} {
		s, got := r.Read(text, now), ""
		if s.When != nil {
			got = short(*s.When)
		}
		if money := strings.Contains(text, "15к") || strings.Contains(text, "бюджет"); got != want || (s.Price != nil) != money {
			t.Errorf("%q: %s, price %v; want %s", text, got, s.Price, want)
		}
	}
}

// What is refused, moved from, or no date at all.
func TestWhenNotMeant(t *testing.T) {
	r := Reader{Zone: moscow}
	for text, want := range map[string]string{
		"могу не завтра, а в пятницу":           "day 03-13",
		"давайте не в пятницу, а в субботу":     "day 03-14",
		"перенесите с пятницы на субботу":       "day 03-14",
		"перенесите с завтра на пт 15:30":       "exact 03-13 15:30",
		"not tomorrow, on friday":               "day 03-13",
		"не завтра":                             "",
		"вы работаете 24/7?":                    "",
		"пробег 15.000":                         "",
		"двигатель 2.5 литра, можно в пятницу?": "day 03-13",
		"запишите на 2.5":                       "day 05-02",
		"12.04.2026 в 18:00":                    "exact 04-12 18:00",
	} {
		got := ""
		if w, ok := r.When(text, now); ok {
			got = short(w)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	end := time.Date(2026, 1, 31, 12, 0, 0, 0, moscow)
	if w, _ := r.When("через месяц", end); short(w) != "day 02-28" {
		t.Errorf("a month after January 31 is %s", short(w))
	}
}

func TestWhen(t *testing.T) {
	tests := map[string]string{
		// days
		"завтра":                  "day 03-12",
		"хочу на завтра":          "day 03-12",
		"сегодня":                 "day 03-11",
		"послезавтра":             "day 03-13",
		"завтро можно":            "day 03-12",
		"в пятницу":               "day 03-13",
		"в пт":                    "day 03-13",
		"в ср":                    "day 03-18",
		"в среду":                 "day 03-18",
		"в эту субботу":           "day 03-14",
		"в понедельник":           "day 03-16",
		"на вторник":              "day 03-17",
		"в следующую пятницу":     "day 03-20",
		"в следующий понедельник": "day 03-16",
		"в пятницу на следующей неделе": "day 03-20",
		"на следующей неделе в пятницу": "day 03-20",
		"на следующей неделе":           "day 03-16..03-23",
		"на этой неделе":                "day 03-11..03-16",
		"на выходных":                   "day 03-14..03-16",
		"в выходные":                    "day 03-14..03-16",
		"в следующие выходные":          "day 03-21..03-23",
		"через неделю":                  "day 03-18",
		"через две недели":              "day 03-25",
		"через 3 недели":                "day 04-01",
		"через неделю в пятницу":        "day 03-20",
		"через 3 дня":                   "day 03-14",
		"через пару дней":               "day 03-13",
		"через день":                    "day 03-13",
		"через месяц":                   "day 04-11",
		"25 декабря":                    "day 12-25",
		"25-го декабря":                 "day 12-25",
		"двадцать пятого декабря":       "day 12-25",
		"10 марта":                      "day 2027-03-10",
		"11 марта":                      "day 03-11",
		"1 апреля 2027 года":            "day 2027-04-01",
		"25.12":                         "day 12-25",
		"на 25.12":                      "day 12-25",
		"25.12.2026":                    "day 12-25",
		"25.12.26":                      "day 12-25",
		"25/12":                         "day 12-25",
		"12/25":                         "day 12-25",
		"2026-12-25":                    "day 12-25",
		"01.02":                         "day 2027-02-01",
		"20-го":                         "day 03-20",
		"20 числа":                      "day 03-20",
		"5-го числа":                    "day 04-05",
		"31 числа":                      "day 03-31",
		"второго мая":                   "day 05-02",
		"1 мая":                         "day 05-01",
		"в мае":                         "day 05-01..06-01",
		"в начале апреля":               "day 04-01..04-11",
		"в конце марта":                 "day 03-21..04-01",
		"в марте":                       "day 03-11..04-01",
		"в январе":                      "day 2027-01-01..02-01",
		"запишите на субботу пожалуйста": "day 03-14",
		"29 февраля 2028":                "day 2028-02-29",
		"tomorrow":                       "day 03-12",
		"today please":                   "day 03-11",
		"day after tomorrow":             "day 03-13",
		"the day after tomorrow":         "day 03-13",
		"on friday":                      "day 03-13",
		"next friday":                    "day 03-20",
		"this friday":                    "day 03-13",
		"next week":                      "day 03-16..03-23",
		"this weekend":                   "day 03-14..03-16",
		"next weekend":                   "day 03-21..03-23",
		"in two weeks":                   "day 03-25",
		"in a week":                      "day 03-18",
		"in 3 days":                      "day 03-14",
		"in a couple of days":            "day 03-13",
		"in a month":                     "day 04-11",
		"December 25":                    "day 12-25",
		"December 25th":                  "day 12-25",
		"25th of December":               "day 12-25",
		"25 dec 2027":                    "day 2027-12-25",
		"on the 20th":                    "day 03-20",
		"in May":                         "day 05-01..06-01",
		"book me for tmrw":               "day 03-12",
		"sunday works":                   "day 03-15",
		"friday next week":               "day 03-20",

		// a day and an hour
		"завтра в 15:30":                      "exact 03-12 15:30",
		"завтра в 15.30":                      "exact 03-12 15:30",
		"завтра в 15-30":                      "exact 03-12 15:30",
		"завтра в 15 30":                      "exact 03-12 15:30",
		"в пт 15:30":                          "exact 03-13 15:30",
		"завтра в 3":                          "exact 03-12 15:00",
		"завтра в три часа":                   "exact 03-12 15:00",
		"завтра в час":                        "exact 03-12 13:00",
		"завтра в час дня":                    "exact 03-12 13:00",
		"завтра в 9":                          "exact 03-12 09:00",
		"завтра в 7":                          "exact 03-12 19:00",
		"завтра в 7 утра":                     "exact 03-12 07:00",
		"завтра в 7:30":                       "exact 03-12 07:30",
		"завтра в 07:00":                      "exact 03-12 07:00",
		"завтра в 8 вечера":                   "exact 03-12 20:00",
		"завтра в семь тридцать вечера":       "exact 03-12 19:30",
		"завтра в шестнадцать тридцать":       "exact 03-12 16:30",
		"в семь двадцать пять":                "exact 03-12 07:25",
		"к обеду завтра":                      "part_of_day 03-12 12:00..14:00",
		"до 15 числа":                         "day 03-15",
		"в воскр":                             "day 03-15",
		"в пятн вечером":                      "part_of_day 03-13 18:00..23:00",
		"in an hour and a half":               "exact 03-11 13:30",
		"tomorrow at half six":                "exact 03-12 18:30",
		"after 11 pm tomorrow":                "part_of_day 03-12 23:00..24:00",
		"завтра утром в 10":                   "exact 03-12 10:00",
		"завтра вечером в 8":                  "exact 03-12 20:00",
		"завтра в 8 вечером":                  "exact 03-12 20:00",
		"завтра часов в шесть":                "exact 03-12 18:00",
		"завтра часиков в 6":                  "exact 03-12 18:00",
		"завтра к шести":                      "exact 03-12 18:00",
		"завтра около 11":                     "exact 03-12 11:00",
		"завтра в районе 11":                  "exact 03-12 11:00",
		"завтра в половине шестого":           "exact 03-12 17:30",
		"завтра в полшестого":                 "exact 03-12 17:30",
		"завтра в пол шестого":                "exact 03-12 17:30",
		"завтра без четверти шесть":           "exact 03-12 17:45",
		"завтра без пятнадцати шесть":         "exact 03-12 17:45",
		"завтра в четверть шестого":           "exact 03-12 17:15",
		"завтра в полдень":                    "exact 03-12 12:00",
		"завтра в 12 часов дня":               "exact 03-12 12:00",
		"завтра в 2 дня":                      "exact 03-12 14:00",
		"завтра на 11":                        "exact 03-12 11:00",
		"на 11 завтра":                        "exact 03-12 11:00",
		"в 18:00 в пятницу":                   "exact 03-13 18:00",
		"25 декабря в 16:00":                  "exact 12-25 16:00",
		"25.12 в 16":                          "exact 12-25 16:00",
		"25.12.2026 16:00":                    "exact 12-25 16:00",
		"в субботу в 10 30":                   "exact 03-14 10:30",
		"через неделю в 14:00":                "exact 03-18 14:00",
		"на следующей неделе во вторник в 10": "exact 03-17 10:00",
		"запишите на 6 мая в 5 вечера":        "exact 05-06 17:00",
		"завтра 17 часов":                     "exact 03-12 17:00",
		"сегодня в 9":                         "exact 03-11 21:00",
		"сегодня в 18":                        "exact 03-11 18:00",
		"в 12 ночи завтра":                    "exact 03-12 00:00",
		"tomorrow at 3pm":                     "exact 03-12 15:00",
		"tomorrow at 3 pm":                    "exact 03-12 15:00",
		"tomorrow at 3 p.m.":                  "exact 03-12 15:00",
		"tomorrow at 3":                       "exact 03-12 15:00",
		"tomorrow at 9am":                     "exact 03-12 09:00",
		"tomorrow 12pm":                       "exact 03-12 12:00",
		"tomorrow 12am":                       "exact 03-12 00:00",
		"tomorrow at noon":                    "exact 03-12 12:00",
		"friday at half past five":            "exact 03-13 17:30",
		"friday at quarter to six":            "exact 03-13 17:45",
		"friday at quarter past ten":          "exact 03-13 10:15",
		"friday at 5:30 pm":                   "exact 03-13 17:30",
		"friday at 10 o'clock":                "exact 03-13 10:00",
		"friday around 11":                    "exact 03-13 11:00",
		"thursday at 3 works book it":         "exact 03-12 15:00",
		"Dec 25 at 10:00":                     "exact 12-25 10:00",
		"my daughter, monday, 4:15":           "exact 03-16 16:15",

		// an hour alone: today if it is still to come
		"в 15:00":          "exact 03-11 15:00",
		"в 11:00":          "exact 03-12 11:00",
		"в 9":              "exact 03-12 09:00",
		"можно на 16:30":   "exact 03-11 16:30",
		"5pm":              "exact 03-11 17:00",
		"at 10am":          "exact 03-12 10:00",
		"в 6 вечера можно": "exact 03-11 18:00",

		// from now
		"через час":              "exact 03-11 13:00",
		"через полчаса":          "exact 03-11 12:30",
		"через полтора часа":     "exact 03-11 13:30",
		"через 20 минут":         "exact 03-11 12:20",
		"через два часа":         "exact 03-11 14:00",
		"буду через 40 мин":      "exact 03-11 12:40",
		"in an hour":             "exact 03-11 13:00",
		"in half an hour":        "exact 03-11 12:30",
		"in 15 minutes":          "exact 03-11 12:15",
		"in two hours":           "exact 03-11 14:00",
		"опоздаю, через 5 минут": "exact 03-11 12:05",

		// parts of a day
		"завтра утром":                  "part_of_day 03-12 06:00..12:00",
		"завтра с утра":                 "part_of_day 03-12 06:00..12:00",
		"завтра днём":                   "part_of_day 03-12 12:00..18:00",
		"завтра вечером":                "part_of_day 03-12 18:00..23:00",
		"на завтра на вечер":            "part_of_day 03-12 18:00..23:00",
		"завтра после обеда":            "part_of_day 03-12 12:00..18:00",
		"завтра до обеда":               "part_of_day 03-12 06:00..12:00",
		"завтра в обед":                 "part_of_day 03-12 12:00..14:00",
		"завтра после работы":           "part_of_day 03-12 18:00..23:00",
		"завтра в первой половине дня":  "part_of_day 03-12 06:00..12:00",
		"завтра во второй половине дня": "part_of_day 03-12 12:00..18:00",
		"через неделю утром":            "part_of_day 03-18 06:00..12:00",
		"в субботу вечерком":            "part_of_day 03-14 18:00..23:00",
		"сегодня вечером":               "part_of_day 03-11 18:00..23:00",
		"утром":                         "part_of_day 03-12 06:00..12:00",
		"вечером":                       "part_of_day 03-11 18:00..23:00",
		"tomorrow morning":              "part_of_day 03-12 06:00..12:00",
		"tomorrow afternoon":            "part_of_day 03-12 12:00..18:00",
		"friday evening":                "part_of_day 03-13 18:00..23:00",
		"tonight":                       "part_of_day 03-11 18:00..23:00",
		"tomorrow after lunch":          "part_of_day 03-12 12:00..18:00",
		"tomorrow after work":           "part_of_day 03-12 18:00..23:00",
		"in the morning":                "part_of_day 03-12 06:00..12:00",

		// after, before, between
		"завтра после двух":           "part_of_day 03-12 14:00..23:00",
		"завтра после 14":             "part_of_day 03-12 14:00..23:00",
		"завтра после 14:30":          "part_of_day 03-12 14:30..23:00",
		"завтра после шести вечера":   "part_of_day 03-12 18:00..23:00",
		"после 6":                     "part_of_day 03-11 18:00..23:00",
		"завтра вечером после 7":      "part_of_day 03-12 19:00..23:00",
		"завтра утром после 9":        "part_of_day 03-12 09:00..12:00",
		"завтра не раньше 11":         "part_of_day 03-12 11:00..23:00",
		"завтра с 10":                 "part_of_day 03-12 10:00..23:00",
		"завтра до 12":                "part_of_day 03-12 00:00..12:00",
		"завтра не позже 12":          "part_of_day 03-12 00:00..12:00",
		"завтра до пяти":              "part_of_day 03-12 00:00..17:00",
		"завтра с 10 до 12":           "part_of_day 03-12 10:00..12:00",
		"завтра с 2 до 4":             "part_of_day 03-12 14:00..16:00",
		"завтра с двух до четырёх":    "part_of_day 03-12 14:00..16:00",
		"завтра с 10 до 2":            "part_of_day 03-12 10:00..14:00",
		"завтра между 3 и 5":          "part_of_day 03-12 15:00..17:00",
		"завтра 10-12":                "part_of_day 03-12 10:00..12:00",
		"завтра 10:00-12:00":          "part_of_day 03-12 10:00..12:00",
		"tomorrow after 2":            "part_of_day 03-12 14:00..23:00",
		"tomorrow after 2pm":          "part_of_day 03-12 14:00..23:00",
		"friday before 11":            "part_of_day 03-13 00:00..11:00",
		"friday from 2 to 4":          "part_of_day 03-13 14:00..16:00",
		"friday between 10 and 12":    "part_of_day 03-13 10:00..12:00",
		"friday 2-4pm":                "part_of_day 03-13 14:00..16:00",
		"not earlier than 5 tomorrow": "part_of_day 03-12 17:00..23:00",

		// in what people write
		"Здравствуйте, меня бы на маникюр завтра, часиков в шесть, если можно": "exact 03-12 18:00",
		"Добрый день, есть окошко в субботу утром?":                            "part_of_day 03-14 06:00..12:00",
		"Добрый вечер, можно на пятницу":                                       "day 03-13",
		"good morning, could I come on monday":                                 "day 03-16",

		// nothing of time
		"сколько стоит стрижка":      "",
		"добрый вечер":               "",
		"нас 2 человека":             "",
		"ул. Ленина, дом 5":          "",
		"2-3 раза":                   "",
		"на 6 человек":               "",
		"в 3 кабинет":                "",
		"замена масла 5 литров":      "",
		"киа рио 2017":               "",
		"good evening":               "",
		"may I ask":                  "",
		"31 июня":                    "",
		"процедура длится 3 часа":    "",
		"for 2 people":               "",
		"скидка 10 процентов":        "",
		"сделали плохо в третий раз": "",
		"": "",
	}
	r := &Reader{Zone: moscow}
	if len(tests) < 200 {
		t.Errorf("%d cases", len(tests))
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			got := ""
			if w, ok := r.When(text, now); ok {
				got = short(w)
			}
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// The shortcut over words that begin no rule misses nothing: random talk of times is read the same without it.
func TestNoRuleIsSkipped(t *testing.T) {
	var vocabulary []string
	for w := range firstWords {
		vocabulary = append(vocabulary, w)
	}
	for _, words := range []map[string]bool{minuteWords, hourWords, daysWords, weekWords, monthWords, halfWords, clockNouns, amWords, pmWords, dayEnds, nightEnds, counted,
		set("хочу можно мне a an of the past to and и о это 5 15 15:30 10.05 - 2026-05-05 12/5 полшестого полчаса двадцать пятого lunch обеда работы half")} {
		for w := range words {
			vocabulary = append(vocabulary, w)
		}
	}
	slices.Sort(vocabulary)
	random := rand.New(rand.NewPCG(1, 1))
	found := 0
	for range 20_000 {
		var words []string
		for range 1 + random.IntN(7) {
			words = append(words, vocabulary[random.IntN(len(vocabulary))])
		}
		text := strings.Join(words, " ")
		one := &parser{tokens: scan(text), now: now}
		one.run()
		got, ok := one.when()
		all := &parser{tokens: scan(text), now: now, every: true}
		all.run()
		if want, is := all.when(); ok != is || got != want {
			t.Fatalf("%q: %v %v, with every word tried %v %v", text, ok, got, is, want)
		}
		if ok {
			found++
		}
	}
	if found < 5_000 {
		t.Errorf("only %d of the texts say a time", found)
	}
}

func TestNamesDay(t *testing.T) {
	r := Reader{}
	for text, want := range map[string]bool{"завтра в 5": true, "в пятницу": true, "через час": true, "25 декабря": true, "tomorrow": true, "на следующей неделе": true,
		"в пять": false, "16:30": false, "вечером": false, "после двух": false, "at 5 pm": false, "второе": false, "": false} {
		if got := r.NamesDay(text, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
