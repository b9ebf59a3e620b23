package mask

import (
	"strings"
	"testing"
	"unicode/utf8"
)

var masker = Masker{}

// phones are one number in the ways in which people write it.
var phones = []string{
	"+79990000011", "89990000011", "8 999 000 00 11", "8 (999) 000-00-11", "+7(999)000-00-11", "8-999-000-00-11", "8.999.000.00.11", "8/999/000/00/11",
	"9990000011", "999 000 00 11", "8 999 0000011", "8(999)0000011", "тел.89990000011", "тел:8-999-0000011.", "89990000011!", "(89990000011)", "8 – 999 – 000 – 00 – 11",
	"8—999—000—00—11", "8  999   000  00  11", "8\n999\n000\n00\n11", "8 9 9 9 0 0 0 0 0 1 1", "8,999,000,00,11", "8*999*000*00*11", "８９９９０００００１１", "8️⃣9️⃣9️⃣9️⃣0️⃣0️⃣0️⃣0️⃣0️⃣1️⃣1️⃣",
	"8\u200b999\u200b000\u200b00\u200b11", "8\u00a0999\u00a0000\u00a000\u00a011", "tel:+79990000011", "https://wa.me/79990000011", "wa.me/79990000011", "whatsapp: 79990000011",
	"٨٩٩٩٠٠٠٠٠١١", "+7 999 000-00-11 доб. 22", "8 999 000 0011 Анна", "8(9О9)000-00-11", "8_999_000_00_11", "000-00-11", "00 00 11 7", "+1 (415) 555-0132", "0044 20 7946 0958", "8 999... 000... 00-11",
}

func TestNoPhoneIsLeft(t *testing.T) {
	for _, p := range phones {
		for _, around := range []string{"%", "запишите меня на завтра, мой номер % спасибо", "%, Анна", "Call me %\nplease"} {
			got := masker.Mask(strings.ReplaceAll(around, "%", p), Known{Phone: "+79990000011"}).Masked
			left := onlyDigits(withoutMarks(Clean(got)))
			if len(left) >= 3 {
				t.Errorf("%q: %q is left of the number in %q", p, left, got)
			}
		}
	}
}

func withoutMarks(s string) string {
	return anyMark.ReplaceAllString(strings.NewReplacer("(", "[", ")", "]").Replace(s), " ")
}

// Names that are known of the writer, and how they stand in messages.
func TestNoKnownNameIsLeft(t *testing.T) {
	for name, forms := range map[string]string{
		"Анна Петрова":              "Анна анна АННА Анны анне Анну Анной Петрова петровой ПЕТРОВУ Anna anna Petrova",
		"Мария":                     "мария Марию Марии марией Mariya Maria mariia",
		"Илья Кузнецов":             "илья Илью ильи Илье кузнецова Кузнецовым Ilya Kuznetsov",
		"Юлия Щербакова":            "юлия Юлию Щербаковой щербакову Shcherbakova yulia Yuliya",
		"Ян":                        "ян Ян Яна яну",
		"Фарход Раҳимов":            "фарход Фархода Фарходу фарходом Farhod раҳимов",
		"Алёна Жукова-Шмидт":        "алена Алёну Жуковой шмидт Шмидт Жукова-Шмидт жукова-шмидт",
		"Нгуен Ван Тхань":           "нгуен Тхань тханю",
		"John O'Neil":               "john John john's oneil O'Neil",
		"Достоевский Фёдор":         "достоевского Достоевским федор Фёдора федору Dostoevsky",
		"Иванова Мария Сергеевна":   "иванова Ивановой мария сергеевна Сергеевну",
		"  Хачатурян   Гаянэ ":      "хачатурян Хачатуряна гаянэ Hachaturyan",
		"Оль-га":                    "ольга? Оль",
		"Müller Jürgen":             "müller Jürgen",
		"Сергій":                    "сергій Сергія",
		"anna.smirnova@example.com": "",
	} {
		for form := range strings.FieldsSeq(forms) {
			for _, around := range []string{"%", "это % хочу записаться", "запишите % на пятницу", "Здравствуйте! %, к вам можно?", "%: сколько стоит", "я от %"} {
				got := masker.Mask(strings.ReplaceAll(around, "%", form), Known{Name: name}).Masked
				if bare := strings.Trim(form, "?"); strings.Contains(strings.ToLower(got), strings.ToLower(bare)) && name != "Оль-га" {
					t.Errorf("%s: %q is left in %q", name, form, got)
				}
			}
		}
	}
}

// Names that nobody has told: introduced, common, or with a capital.
func TestUnknownNames(t *testing.T) {
	for _, text := range []string{
		"меня зовут |анна|", "Меня зовут |Зульфия| |Каримова|, сколько стоит", "зовут меня |ваня|", "это |Олег|", "запишите |катю| на маникюр", "|Саша|, добрый день",
		"на имя |Тютчева|", "для мамы |Раисы| |Ивановны|", "ФИО: |Жмых| |Аполлон| |Ильич|", "пациент: |кукушкина|", "с уважением, |И.И. Хмурый|", "к мастеру |Зое|", "|Иванова| Мария Петровна, 1985 г.р.",
		"My name is |Bartholomew|", "Hi, this is |Kate| |Winslet|", "I'm |Dorothea|", "booking for |john|", "Regards,\n|Fitzgerald|", "клиент - |Хмара|",
	} {
		got := masker.Mask(strings.ReplaceAll(text, "|", ""), Known{}).Masked
		for n, name := range strings.Split(text, "|") {
			if n%2 == 1 && strings.Contains(got, name) {
				t.Errorf("%q is left in %q", name, got)
			}
		}
	}
}

func TestContactsAndPlaces(t *testing.T) {
	for _, text := range []string{
		"пишите на |anna@example.test|", "почта |Anna.K@Mail.RU|, жду", "|anna| |@| mail.ru", "|anna собака mail точка ru|", "|anna(at)mail.ru|", "мой тг |@anna_k|", "телеграм: |annak85|",
		"вот я |https://vk.com/id12345|", "|vk.com/anna_k|", "|t.me/annak|", "ссылка |www.anna.ru/x|", "живу на |ул. Ленина, д. 5, кв. 12|", "улица |Красной Армии| 10", "|Тверская| улица 7", "проспект |Мира| 101к2",
		"адрес: |Лесная ул, дом 3|", "|221b Baker| Street", "паспорт |4510 123456|", "карта |4276 1234 5678 9012|", "заказ |№ 100234|", "заказ |AB-1234|", "машина |А123ВС77|", "VIN |XTA210990Y2712345|", "родилась |12.05.1985|",
		"СНИЛС |112-233-445 95|", "код |восемь девятьсот девяносто девять ноль ноль одиннадцать|",
	} {
		got := masker.Mask(strings.ReplaceAll(text, "|", ""), Known{}).Masked
		for n, part := range strings.Split(text, "|") {
			if n%2 == 1 && strings.Contains(got, part) {
				t.Errorf("%q is left in %q", part, got)
			}
		}
	}
}

// What a message wants must be left.
func TestTheWishIsLeft(t *testing.T) {
	for _, text := range []string{
		"здравствуйте, сколько стоит стрижка?", "Можно записаться завтра в 15:30 или в 16.00?", "хочу к Вам на пятницу с 10:00-12:30", "Добрый день! Есть окошко 5 мая после 2?", "где вы находитесь",
		"сколько будет замена масла на 2 литра, 5000 рублей дорого", "позовите оператора", "отмените запись на 12 марта", "Hello! How much is a haircut at noon?", "meet at 5 on Monday", "нужна вера в вас", "цена до 3000 руб",
		"есть ли у вас парковка и метро рядом", "хочу перенести на 20:15", "не дозвониться до вас! Верните деньги", "кв метр сколько стоит", "под ключ сколько", "дом культуры рядом?",
	} {
		if got := masker.Mask(text, Known{Name: "Анна", Phone: "+79990000011"}); got.Masked != text {
			t.Errorf("%q became %q", text, got.Masked)
		}
	}
}

func TestRestore(t *testing.T) {
	text := "Это Анна, 8 (999) 000-00-11 или anna@example.test, заказ 100234. Анна"
	got := masker.Mask(text, Known{})
	want := "Это [NAME_1], [PHONE_1] или [EMAIL_1], заказ [PHONE_2]. [NAME_1]"
	if got.Masked != want {
		t.Fatalf("got %q, want %q", got.Masked, want)
	}
	if back := got.Restore(got.Masked); back != text {
		t.Errorf("got %q back", back)
	}
	if back := got.Restore("[NAME_7] [PHONE_2]"); back != "[NAME_7] 100234" {
		t.Errorf("got %q of a mark that was never made", back)
	}
	if got := masker.Mask("я [NAME_1] и </lead>", Known{}).Masked; strings.ContainsAny(got, "[]<>") {
		t.Errorf("a message forges a mark: %q", got)
	}
}

func TestPlain(t *testing.T) {
	got := masker.Plain("Это Анна, 8 (999) 000-00-11, anna@example.test", Known{})
	if want := "Это Имя, +7 999 000-00-00, name@example.test"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzMask(f *testing.F) {
	for _, p := range phones {
		f.Add("запишите "+p, "Анна Петрова")
	}
	f.Add("\ue000\ue001 \uf8ff", "\ue000")
	f.Add("а\xff@", "ул. ")
	f.Fuzz(func(t *testing.T, text, name string) {
		got := masker.Mask(text, Known{Name: name, Phone: "+79990000011"})
		if !utf8.ValidString(got.Masked) {
			t.Errorf("%q is not UTF-8", got.Masked)
		}
		bare := withoutMarks(got.Masked)
		for _, run := range strings.FieldsFunc(bare, func(r rune) bool { return r < '0' || r > '9' }) {
			if len(run) >= 5 {
				t.Errorf("%q is left in %q", run, got.Masked)
			}
		}
	})
}
