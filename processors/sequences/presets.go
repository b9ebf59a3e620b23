package sequences

import "time"

const day = 24 * time.Hour

// Presets are sequences that a business only has to name and to give its coupon. None of them runs by itself: nearly all of
// what they say is advertising, and reaches only those who have agreed to it.
func Presets() map[string]Sequence {
	return map[string]Sequence{
		"high-intent": { // asked about a product more than 3 times in 7 days (G-03)
			Segment: "high-intent", Again: 30 * day,
			Steps: []Step{{Template: "coupon_interest"}},
			Texts: map[string]string{"discount": "10 %"},
		},
		"potential": { // 1 or 2 interactions in 30 days: once a week (G-04)
			Segment: "potential", Again: 90 * day,
			Steps: []Step{{After: 7 * day, Template: "follow_up"}, {After: 7 * day, Template: "follow_up"}, {After: 7 * day, Template: "follow_up"}},
		},
		"instalments": { // said "too expensive" twice in a row (G-07)
			Segment: "too-expensive", Again: 60 * day, Stop: []string{"order", "visit", "won", "lost", "person"},
			Steps: []Step{{Template: "instalments"}},
		},
		"clicked": { // opened a link and has not ordered in 72 h (G-08, G-09)
			Segment: "clicked-no-order", Again: 30 * day,
			Steps: []Step{{Template: "coupon_click"}},
			Texts: map[string]string{"discount": "10 %"},
		},
		"address": { // asked for the address and has not come in 7 days (G-10)
			Segment: "address-no-visit", Again: 60 * day,
			Steps: []Step{{Template: "coupon_visit", Unless: "booked"}},
			Texts: map[string]string{"discount": "1000 ₽"},
		},
		"questionnaire": { // 3 products for each of its answers, a sample for those who have not bought after 48 h (G-11)
			Again: 90 * day, Stop: []string{"order", "visit", "won", "lost", "person"},
			Steps: []Step{{Template: "recommendation"}, {After: 48 * time.Hour, Template: "sample"}},
		},
		"win-back": { // was there often and seldom comes now, and was not content (G-13)
			Segment: "churn-risk", Again: 90 * day,
			Steps: []Step{{Template: "miss_you", Unless: "booked"}},
			Texts: map[string]string{"discount": "15 %"},
		},
	}
}
