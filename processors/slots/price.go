package slots

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// amounts are the tokens of a text as money is written, with their places.
type amounts struct {
	text  string
	words []string
	at    [][2]int
}

// amountsOf cuts a text in lower case into numbers as money is written (15 000, 99.90), words, and signs.
func amountsOf(text string) amounts {
	a := amounts{text: text, words: make([]string, 0, 24), at: make([][2]int, 0, 24)}
	for i := 0; i < len(text); {
		c, size := utf8.DecodeRuneInString(text[i:])
		end := i + size
		switch {
		case isDigit(c):
			end = sumEnd(text, i)
		case isLetter(c):
			end = lettersEnd(text, i)
		case !strings.ContainsRune("$€£₽-–—:/.", c):
			i = end
			continue
		}
		a.words, a.at = append(a.words, text[i:end]), append(a.at, [2]int{i, end})
		i = end
	}
	return a
}

// sumEnd is where a sum ends: its thousands may stand apart, and it may have a fraction.
func sumEnd(s string, i int) int {
	end := digitsEnd(s, i)
	if end-i <= 3 {
		whole := end
		for {
			gap := 0
			if byteAt(s, whole) == ' ' {
				gap = 1
			} else if strings.HasPrefix(s[whole:], "\u00a0") {
				gap = len("\u00a0")
			}
			if gap == 0 || digitsEnd(s, whole+gap) != whole+gap+3 {
				break
			}
			whole += gap + 3
		}
		if whole > end {
			return whole
		}
	}
	if c := byteAt(s, end); (c == '.' || c == ',') && isDigit(rune(byteAt(s, end+1))) {
		return min(digitsEnd(s, end+1), end+3)
	}
	return end
}

var (
	thousands = set("тыс тысяч тысячи тысячу т к k тыщ тыщи косарей косаря grand")
	currency  = set("руб рублей рубля рубль рублями р ₽ $ € £ dollars dollar bucks usd eur euro euros pounds quid баксов долларов евро тр")
	upTo      = set("до under below max maximum максимум upto within пределах дешевле")
	overFrom  = set("от over above from свыше дороже с")
	budget    = set("бюджет бюджете бюджета budget")
	notMore   = set("дороже больше более выше more")
	filler    = set("это у меня мой в is of my around about примерно около где то at most to")
)

var plainDigits = strings.NewReplacer(" ", "", "\u00a0", "", ",", ".")

// price finds what a customer would pay, and gives the text without it. A number is money when a currency or a thousand
// stands beside it, or a word for a budget, or when a limit is larger than hours and people are.
func price(text string) (*Price, string) {
	if !leastDigits(text, 1) {
		return nil, text
	}
	a := amountsOf(strings.ToLower(text))
	for i := range a.words {
		if p, used := a.priceAt(i); p != nil {
			from, to := a.at[i][0], a.at[i+used-1][1]
			if len(a.text) != len(text) {
				return p, a.text[:from] + " " + a.text[to:] // folding changed the places
			}
			return p, text[:from] + " " + text[to:]
		}
	}
	return nil, text
}

func (a *amounts) word(i int) string {
	if i < 0 || i >= len(a.words) {
		return ""
	}
	return a.words[i]
}

// amount is a sum that begins at i.
type amount struct {
	value int
	used  int
	money bool // it is said to be money
}

func (a *amounts) amount(i int) (amount, bool) {
	var m amount
	if currency[a.word(i)] && len(a.word(i)) <= len("€") && a.word(i) != "р" {
		m.money, m.used = true, 1
	}
	if w := a.word(i + m.used); w == "" || w[0] < '0' || w[0] > '9' {
		return m, false
	}
	digits := plainDigits.Replace(a.word(i + m.used))
	value, err := strconv.ParseFloat(digits, 64)
	if err != nil || value > 1e9 {
		return m, false
	}
	m.used++
	if thousands[a.word(i+m.used)] && !a.leadsToHour(i+m.used) {
		value *= 1000
		m.money, m.used = true, m.used+1
		if a.word(i+m.used) == "." { // т.р.
			m.used++
		}
	}
	if currency[a.word(i+m.used)] {
		m.money, m.used = true, m.used+1
	}
	m.value = int(value)
	return m, m.value > 0
}

// leadsToHour says whether the "к" at i is no thousand but leads to an hour: "15.03 к 10", "25.12 к семи".
func (a *amounts) leadsToHour(i int) bool {
	next := a.word(i + 1)
	if a.word(i) != "к" || next == "" || a.at[i-1][1] == a.at[i][0] {
		return false
	}
	return isDigit(rune(next[0])) || numbers[next] > 0 || hourNames[next]
}

// hourNames are hours that are no numbers.
var hourNames = set("часу полудню обеду вечеру утру полуночи")

// leastSum is from when on a number after "до" is a sum and not an hour or a house.
const leastSum = 300

func (a *amounts) priceAt(i int) (*Price, int) {
	lead, most, least, said := i, false, false, false
	for n := 0; n < 5; n++ { // the words that lead to a sum
		w := a.word(lead)
		switch {
		case budget[w]:
			said = true
		case (w == "не" || w == "not" || w == "no") && notMore[a.word(lead+1)]:
			most, lead = true, lead+1
			if a.word(lead+1) == "than" {
				lead++
			}
		case upTo[w]:
			most = true
		case overFrom[w]:
			least = true
		case w == "between" || w == "между":
			least = true
		case w == "up" && a.word(lead+1) == "to":
			most = true
		case (said || most || least) && (filler[w] || w == "-" || w == ":"):
		default:
			n = 5
			continue
		}
		lead++
	}
	from, ok := a.amount(lead)
	if !ok {
		return nil, 0
	}
	used := lead - i + from.used
	if joint := a.word(lead + from.used); joint == "до" || joint == "to" || joint == "-" || joint == "–" || joint == "—" || joint == "and" || joint == "и" {
		if to, ok := a.amount(lead + from.used + 1); ok && (from.money || to.money || said) && to.value*1000 > from.value {
			if to.value >= 1000 && from.value < 1000 && from.value*1000 <= to.value && thousands[a.words[lead+from.used+2]] {
				from.value *= 1000 // от 2 до 5 тысяч
			}
			return &Price{From: from.value, To: to.value}, used + 1 + to.used
		}
	}
	switch sum := from.money || said || from.value >= leastSum && (most || least); {
	case !sum:
		return nil, 0
	case most || said && !least:
		return &Price{To: from.value}, used
	case least && from.money:
		return &Price{From: from.value}, used
	case least:
		return nil, 0
	}
	return &Price{From: from.value, To: from.value}, used
}
