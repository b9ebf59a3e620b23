package processors

import (
	"math"
	"unicode/utf8"
)

// Sentiment says how content a message sounds, from 0.01 (not at all) over 0.5 (neither) to 1, and 0 for one that tells
// nothing: no word and no picture of the lexicon stands in it (G-12, G-13). emoji are values of the business's own, 0 to
// 1, for pictures.
//
// It goes by words, each for itself: a negation turns the word after it ("не понравилось", "no complaints"), and an
// adverb makes it stronger. Irony, and what is bad about a tooth and not about us, it does not know.
func Sentiment(message string, emoji map[rune]float64) float64 {
	return sentiment(words(message), message, emoji)
}

// sentiment takes the message as it was folded already.
func sentiment(folded []string, message string, emoji map[rune]float64) float64 {
	sum, found := mood(folded)
	faces, more := pictures(message, emoji)
	if found += more; found == 0 {
		return 0
	}
	sum += faces
	v := 0.5 + 0.5*sum/(math.Abs(sum)+2) // one plain word is 0.67, one strong word 0.75, and nothing is quite 1
	return max(math.Round(v*100)/100, 0.01)
}

// moods is the lexicon: how a word sounds, what turns it and what makes it stronger.
var moods phrasebook

var (
	delight = moods.add("восторг~", "восхитительн~", "великолепн~", "шикарн~", "идеальн~", "обожаю", "замечательн~", "прекрасн~", "потрясающ~", "лучш(ий|ая|ее|ие|е) из", "огонь", "бомба",
		"огромное спасибо", "в восторге", "супер~", "превосходн~", "чудесн~", "wonderful", "amazing", "awesome", "excellent", "perfect", "fantastic", "love it", "loved it", "love (your|the)", "brilliant", "best ever", "so happy", "outstanding")
	liked = moods.add("понравил~", "нравит~", "доволен", "довольн~", "рад", "рада", "рады", "отличн~", "класс", "классн~", "хорош(о|ий|ая|ее|ие|его|ую)", "круто", "крут(ой|ая|ые)", "молодц~", "вежлив~", "приятн~",
		"аккуратн~", "помогл(и|о|а)", "рекомендую", "порекомендую", "советую", "удобно", "быстро сделали", "красив~", "комфортн~", "уютн~", "без проблем", "все супер", "на высоте", "топ",
		"good", "great", "nice", "happy", "glad", "like it", "liked", "love", "satisfied", "pleased", "helpful", "friendly", "recommend", "comfortable", "beautiful", "polite", "cool")
	thanked  = moods.add("спасибо", "благодар~", "спс", "пасиб~", "мерси", "thanks", "thank you", "thx", "grateful")
	disliked = moods.add("плох(о|ой|ая|ое|ие|ого|ую)", "недоволен", "недовольн~", "разочаров~", "обидно", "неприятн~", "неудобно", "неаккуратн~", "невежлив~", "жаль", "долго (жду|ждал~|отвечаете|ждем)", "слишком (долго|дорого)", "дороговато",
		"претензи~", "жалоб~", "жалуюсь", "испорти~", "опоздал~", "не (перезвонили|ответили|отвечаете|дозвониться|берете)", "игнориру~", "надоел~", "достали", "грубо", "грубит~", "нагруби~", "хамит~", "так себе", "хуже", "сомнительн~",
		"навязыва~", "обещали", "передела(ть|йте)", "отклеил~", "облез~", "криво", "bad", "poor", "unhappy", "disappointed", "disappointing", "dissatisfied", "annoyed", "annoying", "rude", "complaint", "complain", "slow",
		"late again", "no answer", "nobody (answers|called|replied)", "still waiting", "not happy", "wrong", "dirty", "overpriced", "worse")
	hated = moods.add("ужас~", "кошмар~", "отвратительн~", "хамств~", "хамк~", "хамло", "безобрази~", "мошенник~", "обман~", "отстой", "позор~", "никогда больше", "больше (никогда|не приду|не приеду|ни ногой)",
		"верните деньги", "ненавижу", "бесит~", "мерзк~", "гадост~", "грязн~", "испортили", "изуродова~", "жуть", "дерьм~", "хрень", "фигня", "худш~", "суд", "роспотребнадзор~", "прокуратур~",
		"terrible", "horrible", "awful", "disgusting", "worst", "hate", "scam~", "fraud~", "never again", "refund", "unacceptable", "nightmare", "cheated", "ripped off", "useless", "pathetic")
	negator = moods.add("не", "нет", "ни", "без", "никак~", "никогда", "not", "no", "never", "isnt", "wasnt", "arent", "werent", "dont", "didnt", "doesnt", "cant", "couldnt", "wont", "wouldnt", "without", "hardly")
	stress  = moods.add("очень", "так", "совсем", "особо", "особенно", "слишком", "реально", "просто", "прям", "прямо", "крайне", "безумно", "абсолютно", "very", "really", "so", "too", "extremely", "absolutely", "totally", "all", "that", "any")
)

// mood sums up the words of a text that sound of something, and counts them.
func mood(folded []string) (sum float64, found int) {
	var before, beforeThat lists // what the two words before are
	for i := 0; i < len(folded); {
		m := match{of: delight | liked | thanked | disliked | hated}
		moods.match(folded[i:], &m)
		weight := weigh(m.lists)
		turned := before&negator != 0 || before&stress != 0 && beforeThat&negator != 0
		if weight != 0 && m.longest > 0 {
			switch {
			case turned && weight > 0:
				weight = -weight
			case turned: // what is "not bad" is not yet good
				weight *= -0.5
			case before&stress != 0:
				weight *= 1.5
			}
			sum, found = sum+weight, found+1
			i += m.longest
			before, beforeThat = 0, 0
			continue
		}
		before, beforeThat = m.lists, before
		i++
	}
	return sum, found
}

func weigh(l lists) float64 {
	switch {
	case l&hated != 0:
		return -2.5
	case l&disliked != 0:
		return -1.5
	case l&delight != 0:
		return 2
	case l&liked != 0:
		return 1.5
	case l&thanked != 0:
		return 0.5
	}
	return 0
}

// faces are what pictures are worth, 0 to 1. A face that laughs is a customer who is content, until the business says
// otherwise in `tagging.emoji`.
var faces = map[rune]float64{
	'😀': .8, '😃': .8, '😄': .8, '😁': .8, '😆': .75, '😂': .75, '🤣': .75, '😊': .85, '🙂': .65, '😉': .65, '😍': .95, '🥰': .95, '😘': .9, '🤩': .95, '😇': .8, '😋': .75, '😎': .8, '🤗': .85,
	'👍': .8, '👏': .85, '🙏': .7, '👌': .8, '💪': .75, '❤': .9, '♥': .9, '💖': .9, '💕': .9, '💐': .9, '🌹': .85, '🔥': .85, '🎉': .85, '✨': .75, '💯': .85, '☺': .75,
	'😐': .45, '😑': .4, '🙄': .3, '😕': .35, '😟': .3, '🙁': .3, '☹': .3, '😞': .25, '😔': .3, '😢': .25, '😭': .2, '😤': .2, '😠': .15, '😡': .08, '🤬': .05, '😱': .3, '😩': .25, '😫': .25,
	'🤦': .25, '🤮': .08, '🤢': .12, '👎': .15, '💔': .2, '💩': .1, '😒': .25, '😖': .25, '😣': .25, '🤡': .15,
}

// mostPictures is how many a message counts for: a row of twenty hearts is one mood, not twenty.
const mostPictures = 3

// firstPicture is the least code point that is looked up.
const firstPicture = 0x2600

func pictures(message string, own map[rune]float64) (sum float64, found int) {
	if len(message) > maxText {
		message = message[:maxText]
	}
	for _, r := range message {
		if r < firstPicture || r == utf8.RuneError {
			continue
		}
		v, ok := own[r]
		if !ok {
			v, ok = faces[r]
		}
		if !ok || found == mostPictures {
			continue
		}
		x := min(max(2*v-1, -0.95), 0.95)
		sum, found = sum+2*x/(1-math.Abs(x)), found+1 // alone it comes out at v again
	}
	return sum, found
}
