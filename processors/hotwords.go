package processors

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// HotWords are phrases by class (G-15). `tagging.hot_words` adds classes; one of a shipped name takes its place.
type HotWords map[string][]string

// DefaultHotWords are the classes that are counted unless the configuration says otherwise. What a phrase may hold,
// Phrases says.
func DefaultHotWords() HotWords {
	return HotWords{
		"discount": {"скидк~", "скидоч~", "акци~", "промокод~", "промо", "купон~", "бонус~", "распродаж~", "дешевле", "подешевле", "уступ~", "торг", "спецпредложени~", "сертификат~", "кешбек~", "кэшбек~", "выгодн~",
			"discount~", "coupon~", "promo~", "sale", "cheaper", "voucher~", "special offer~", "deal~", "cashback", "gift card~"},
		"expensive": {"дорого", "дороговато", "дорогой", "дорогая", "дорогие", "дорогое", "дороже", "не по карману", "не потян~", "кусает~", "кусаются", "завышен~", "ценник конский", "нет таких денег", "бюджет (не|маленьк~|огранич~)",
			"expensive", "too much money", "overpriced", "pricey", "cant afford", "cannot afford", "over (my|our) budget", "costs too much", "out of (my|our) budget"},
		"product": {"состав~", "характеристик~", "размер~", "материал~", "из чего", "объем~", "комплект~", "гаранти~", "срок (годности|службы|действия)", "производител~", "марк(а|и|у|ой)", "бренд~", "артикул~", "модел(ь|и|ей)", "подойдет ли", "подходит ли",
			"чем отлича~", "в чем разница", "отличи~", "как работает", "какие препараты", "противопоказани~", "аналог~", "оригинал~", "в наличии", "есть в наличии", "какого цвета", "цвета",
			"ingredient~", "specification~", "size~", "material~", "made of", "volume", "warranty", "guarantee~", "manufacturer~", "brand~", "model~", "difference between", "how does it work", "in stock", "compatible", "original", "color~", "colour~"},
		"instalment": {"рассрочк~", "в кредит", "кредит~", "частями", "долями", "сплит", "оплата частями", "помесячно", "instalment~", "installment~", "pay later", "financing", "monthly payment~"},
		"delivery":   {"доставк~", "доставит~", "доставля~", "самовывоз~", "курьер~", "привез~", "отправ(ите|ляете|ка) почтой", "сдэк", "пункт выдачи", "delivery", "deliver~", "shipping", "ship to", "courier~", "pick up"},
		"urgent":     {"срочн~", "как можно скорее", "побыстрее", "поскорее", "прямо сейчас", "сегодня же", "экстренн~", "горит", "urgent~", "asap", "as soon as possible", "right now", "emergency"},
		"quality":    {"качеств~", "отзыв~", "портфолио", "примеры работ", "фото работ", "опыт работы", "стаж~", "сертифицирован~", "лицензи~", "стерил~", "безопасн~", "quality", "review~", "portfolio", "experience", "licen(s|c)e~", "certified", "sterile"},
		"competitor": {"в другом (салоне|месте|сервисе)", "в другой (клинике|студии)", "у других", "у конкурент~", "соседн~", "нашел дешевле", "нашла дешевле", "elsewhere", "another (salon|clinic|shop|place)", "competitor~", "found it cheaper"},
		"complaint":  {"жалоб~", "претензи~", "верните деньги", "возврат~", "брак", "бракован~", "переделать", "переделайте", "испорти~", "сломал~", "обман~", "хам~", "complain~", "refund~", "money back", "defect~", "broken", "rude"},
		"hesitation": {"подума(ю|ем)", "посоветуюсь", "сомнева~", "не уверен~", "позже", "потом", "пока не", "может быть", "еще не реши~", "think about it", "not sure", "maybe later", "let me think", "undecided"},
		"loyal":      {"опять к вам", "снова к вам", "постоянн~", "давно хожу", "как обычно", "как всегда", "в прошлый раз", "уже (был|была|делал~) у вас", "по рекомендации", "посоветовал~", "regular (customer|client)", "as usual", "last time", "come back", "recommended by", "again with you"},
		"gift":       {"подар(ок|ка|ки|ить)", "в подарок", "день рождения", "днем рождения", "юбилей~", "годовщин~", "подарочн~", "gift~", "birthday", "anniversary", "present for"},
	}
}

// hotWords is a set of classes, ready to be looked for.
type hotWords struct {
	book    phrasebook
	classes []string // by their bit
	all     lists
}

var className = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)

// compileHotWords makes ready the shipped classes together with those of the configuration.
func compileHotWords(own HotWords) (*hotWords, []error) {
	classes := DefaultHotWords()
	maps.Copy(classes, own)
	h := &hotWords{}
	var faults []error
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		key := "hot_words." + class
		switch {
		case !className.MatchString(class):
			faults = append(faults, Fault{key, "the class has no plain name", "write small letters and digits, as in discount"})
		case len(h.classes) == maxLists:
			faults = append(faults, Fault{key, fmt.Sprintf("there are more than %d classes", maxLists), "put several into one"})
		default:
			bit, err := h.book.try(classes[class])
			if err != nil {
				faults = append(faults, Fault{key, err.Error(), "write words as in скидк~ (a beginning) or (в|на) подарок (either)"})
				continue
			}
			h.classes, h.all = append(h.classes, class), h.all|bit
		}
	}
	return h, faults
}

// try is add for phrases from outside.
func (b *phrasebook) try(list []string) (bit lists, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return b.add(list...), nil
}

// count is how often a phrase of each class stands in the words.
func (h *hotWords) count(words []string) map[string]int {
	var n map[string]int
	for i := 0; i < len(words); {
		m := match{of: h.all}
		h.book.match(words[i:], &m)
		if m.lists == 0 {
			i++
			continue
		}
		if n == nil {
			n = map[string]int{}
		}
		for bit, class := range h.classes {
			if m.lists&(1<<bit) != 0 {
				n[class]++
			}
		}
		i += max(m.longest, 1)
	}
	return n
}
