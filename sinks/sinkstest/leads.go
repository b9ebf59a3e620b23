package sinkstest

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"leadstream/sinks"
	"leadstream/streams"
)

var customer = streams.Lead{
	Source: "site", Home: "one", Name: "Анна Канарейкина", Phone: "+79990000011", Email: "canary@example.test",
	Service: "стрижка", Time: "завтра в 14:00", Message: "Есть ли запись на сегодня?", Channel: "site",
	ReceivedAt: time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC), Intent: "booking", Level: "new customer", Language: "ru",
}

// Lead is an ordinary lead, another one for each n.
func Lead(n int) *streams.Lead {
	l := customer
	l.ID = streams.NewID("sinkstest", strconv.Itoa(n))
	return &l
}

// Batch is n ordinary leads on their first way.
func Batch(n int) []sinks.Delivery {
	var batch []sinks.Delivery
	for i := range n {
		batch = append(batch, sinks.Delivery{Lead: Lead(i), Attempt: 1})
	}
	return batch
}

// Leads are leads that hurt: whatever a form lets through must neither break a sink nor the lead behind it.
func Leads() map[string]*streams.Lead {
	everywhere := func(text string) *streams.Lead {
		return &streams.Lead{
			ID: streams.NewID("hostile", text), Source: "site", Name: text, Phone: text, Email: text, Service: text,
			Time: text, Message: text, Channel: text, UserID: text, Problems: []string{text}, Tags: []string{text},
			UTM: map[string]string{"source": text}, ReceivedAt: customer.ReceivedAt,
		}
	}
	repeat := Lead(1)
	repeat.RepeatOf = Lead(0).ID
	odd := Lead(2)
	odd.Fields = map[string]json.RawMessage{"тариф": json.RawMessage(`{"a":[1,2,{"b":null}]}`), "": json.RawMessage(`""`)}
	odd.ReceivedAt = time.Time{}
	return map[string]*streams.Lead{
		"empty":         {ID: streams.NewID("empty")},
		"without an id": {},
		"repeat":        repeat,
		"odd fields":    odd,
		"line breaks":   everywhere("one\r\nBcc: everyone@example.test\r\n\r\n.\r\nDATA\nтри\u2028четыре"),
		"markup":        everywhere(`<b>x</i></div><script>alert(1)</script>&amp;&#0;]]> {{.}} ${x} %s %00`),
		"formula":       everywhere("=HYPERLINK(\"http://example.test\";\"x\")\n+1\t@SUM(A1)\n\u00a0-2+3"),
		"quotes":        everywhere(`"'` + "`" + `; DROP TABLE leads; -- \`),
		"emoji":         everywhere("👩‍👩‍👧‍👦🇷🇺" + strings.Repeat("💇", 50)),
		"not text":      everywhere("\xff\xfe\x00\x1b[31m\u202e\u2066\ufffe"),
		"long":          everywhere(strings.Repeat("я", 10_000)),
		"long line":     everywhere(strings.Repeat("x", 10_000)),
		"only blanks":   everywhere(" \t\n\u00a0"),
	}
}
