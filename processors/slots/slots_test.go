package slots

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	services = NewCatalog(
		Item{Name: "Маникюр", Also: []string{"ногти", "manicure", "nails"}}, Item{Name: "Маникюр с покрытием"}, Item{Name: "Замена масла", Also: []string{"oil change"}},
		Item{Name: "Окрашивание", Also: []string{"покраска волос"}}, Item{Name: "Шиномонтаж", Also: []string{"переобувка"}}, Item{Name: "УЗИ"})
	products = NewCatalog(Item{Name: "iPhone 15 Pro Max", Code: "APL-IP15PM", Also: []string{"айфон 15 про макс"}}, Item{Name: "iPhone 15", Code: "APL-IP15", Also: []string{"айфон 15"}}, Item{Name: "Galaxy S24"})
	branches = NewCatalog(Item{Name: "Центр", Also: []string{"Ленина 5", "downtown"}}, Item{Name: "Северный", Also: []string{"на севере"}})
	reader   = &Reader{Zone: moscow, Services: services, Products: products, Branches: branches}
)

func TestRead(t *testing.T) {
	at := func(day, hour int) *When {
		moment := time.Date(2026, 3, day, hour, 0, 0, 0, moscow)
		return &When{Start: moment, End: moment, Kind: Exact}
	}
	tests := map[string]struct {
		text string
		want Slots
	}{
		"nothing":                  {"здравствуйте", Slots{}},
		"no text":                  {"", Slots{}},
		"phone":                    {"мой номер 8 (999) 000-00-11", Slots{Phone: "+79990000011"}},
		"phone with plus":          {"+7 999 000 00 11 звоните", Slots{Phone: "+79990000011"}},
		"phone is no hour":         {"звоните на 89990000011 завтра в 10", Slots{Phone: "+79990000011", When: at(12, 10)}},
		"two phones":               {"+79990000011 или +79990000022", Slots{Phone: "+79990000011"}},
		"e-mail":                   {"пишите на Ivan.P@Example.test", Slots{Email: "ivan.p@example.test"}},
		"a link is nothing":        {"https://example.test/2026/10/12", Slots{}},
		"name":                     {"меня зовут ирина", Slots{Name: "Ирина"}},
		"two names":                {"Меня зовут Анна Иванова, хочу узнать", Slots{Name: "Анна Иванова"}},
		"name after this is":       {"Это Олег, отвечаю", Slots{Name: "Олег"}},
		"this is no name":          {"это дорого", Slots{}},
		"English name":             {"Hi, my name is kate and", Slots{Name: "Kate"}},
		"I'm":                      {"Hi, I'm Kate Brown", Slots{Name: "Kate Brown"}},
		"I'm is no name":           {"I'm sick", Slots{}},
		"order":                    {"где мой заказ 55120", Slots{Order: "55120"}},
		"order with a sign":        {"Заказ № AB-1234 когда?", Slots{Order: "AB-1234"}},
		"order, in full":           {"по заказу номер 90012", Slots{Order: "90012"}},
		"sign alone":               {"что с №4512", Slots{Order: "4512"}},
		"English order":            {"order number is 77120", Slots{Order: "77120"}},
		"English sign":             {"my order #A100 please", Slots{Order: "A100"}},
		"order of two words":       {"хочу заказать 2 штуки", Slots{}},
		"service":                  {"запишите на маникюр", Slots{Service: "Маникюр"}},
		"another case":             {"после маникюра", Slots{Service: "Маникюр"}},
		"the longer name":          {"маникюр с покрытием сколько", Slots{Service: "Маникюр с покрытием"}},
		"a synonym":                {"сделать ногти", Slots{Service: "Маникюр"}},
		"misspelt":                 {"замена масло или замену маслаа", Slots{Service: "Замена масла"}},
		"a letter wrong":           {"хочу окрошивание", Slots{Service: "Окрашивание"}},
		"a word between":           {"замену моторного масла", Slots{Service: "Замена масла"}},
		"English service":          {"I need an oil change tomorrow at 3pm", Slots{Service: "Замена масла", When: at(12, 15)}},
		"short words must be same": {"уже", Slots{}},
		"product":                  {"есть iPhone15 Pro Max?", Slots{Product: "APL-IP15PM"}},
		"product in Russian":       {"айфон 15 про макс в наличии", Slots{Product: "APL-IP15PM"}},
		"the shorter model":        {"айфон 15 сколько", Slots{Product: "APL-IP15"}},
		"another model":            {"айфон 14", Slots{}},
		"without a code":           {"galaxy s24", Slots{Product: "Galaxy S24"}},
		"branch":                   {"в филиал на Ленина 5", Slots{Branch: "Центр"}},
		"branch by side":           {"салон на севере", Slots{Branch: "Северный"}},
		"price to":                 {"до 5000 рублей", Slots{Price: &Price{To: 5000}}},
		"price to, bare":           {"до 5000", Slots{Price: &Price{To: 5000}}},
		"not dearer":               {"не дороже 3 тысяч", Slots{Price: &Price{To: 3000}}},
		"range":                    {"от 2 до 5 тысяч", Slots{Price: &Price{From: 2000, To: 5000}}},
		"range with a dash":        {"2000-3000 руб", Slots{Price: &Price{From: 2000, To: 3000}}},
		"budget":                   {"бюджет 10 000", Slots{Price: &Price{To: 10000}}},
		"exact price":              {"видела за 1500р", Slots{Price: &Price{From: 1500, To: 1500}}},
		"dollars":                  {"something under $50", Slots{Price: &Price{To: 50}}},
		"English range":            {"between 50 and 100 dollars", Slots{Price: &Price{From: 50, To: 100}}},
		"from":                     {"от 1000 рублей", Slots{Price: &Price{From: 1000}}},
		"an hour is no price":      {"до 18", Slots{When: &When{Start: time.Date(2026, 3, 11, 0, 0, 0, 0, moscow), End: time.Date(2026, 3, 11, 18, 0, 0, 0, moscow), Kind: PartOfDay}}},
		"all at once": {
			"Здравствуйте! Меня зовут Ольга, хочу на маникюр завтра в 18:00 в центр, бюджет 2000 рублей, +79990000033, olga@example.test",
			Slots{When: at(12, 18), Service: "Маникюр", Branch: "Центр", Price: &Price{To: 2000}, Name: "Ольга", Phone: "+79990000033", Email: "olga@example.test"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, reader.Read(tt.text, now)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Midnight is the business's, wherever the daemon runs.
func TestZone(t *testing.T) {
	tokyo := time.FixedZone("JST", 9*60*60)
	late := time.Date(2026, 3, 11, 22, 0, 0, 0, time.UTC) // the 12th in Moscow and Tokyo
	for name, tt := range map[string]struct {
		zone *time.Location
		want string
	}{"Moscow": {moscow, "2026-03-13T10:00:00+03:00"}, "Tokyo": {tokyo, "2026-03-13T10:00:00+09:00"}, "none": {nil, "2026-03-12T10:00:00Z"}} {
		r := &Reader{Zone: tt.zone}
		if w, ok := r.When("завтра в 10", late); !ok || w.Start.Format(time.RFC3339) != tt.want {
			t.Errorf("%s: %s, want %s", name, w.Start.Format(time.RFC3339), tt.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{"", "25.12", "в 15-30", "с 10 до", "без четверти", "через", "до 24:00", "$", "от до", "№", "99999999999", "in a", "31 февраля", "0", "\xff", "№ -", "полпол", "с 24 до 24"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := reader.Read(text, now)
		if w := s.When; w != nil && (w.End.Before(w.Start) || w.Start.Before(now.AddDate(-30, 0, 0)) || w.Start.Location() != moscow) {
			t.Errorf("%q: %s", text, short(*w))
		}
	})
}

func BenchmarkRead(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		reader.Read("Здравствуйте! Меня зовут Ольга, хочу на маникюр завтра в 18:00, бюджет 2000 рублей, +79990000033", now)
	}
}
