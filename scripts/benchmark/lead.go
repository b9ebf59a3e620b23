package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"leadstream/streams"
)

const enquiry = "Здравствуйте! Есть ли свободное время на завтра после шести вечера? Нужны стрижка и окрашивание в один тон, " +
	"волосы до плеч, мастер любой. Сколько это будет стоить и сколько займёт времени? Оплата картой."

// body is a lead of about 700 bytes as a site would post it. Each i makes another lead of another customer. sent is when
// it ought to leave the sender, in Unix nanoseconds, for whoever measures a delay at the far end.
func body(i int, sent time.Time) []byte {
	return fmt.Appendf(make([]byte, 0, 800), `{"name":"Анна","phone":"+7999%07d","email":"client%d@example.test","service":"окрашивание и стрижка",`+
		`"message":"`+enquiry+`",`+
		`"channel":"site","utm_source":"instagram","utm_medium":"cpc","utm_campaign":"osen","page":"https://salon.example.test/price",`+
		`"form":"%d","sent":"%d"}`, i%1e7, i, i, sent.UnixNano())
}

// A messenger's webhook, as WhatsApp sends it: signed over its raw bytes.
const hookSource, hookSecret = "whatsapp", "bench-secret-0123456789"

// whatsApp is what a customer writes there. Each i is another customer.
func whatsApp(i int) []byte {
	return fmt.Appendf(make([]byte, 0, 800), `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{`+
		`"messaging_product":"whatsapp","metadata":{"display_phone_number":"79990000000","phone_number_id":"2"},`+
		`"contacts":[{"profile":{"name":"Анна"},"wa_id":"7999%07d"}],"messages":[{"from":"7999%07d","id":"wamid.%d",`+
		`"timestamp":"1767225600","type":"text","text":{"body":"`+enquiry+`"}}]}}]}]}`, i%1e7, i%1e7, i)
}

func signed(body []byte) string {
	m := hmac.New(sha256.New, []byte(hookSecret))
	m.Write(body)
	return fmt.Sprintf("sha256=%x", m.Sum(nil))
}

// sentAt is the time that body was given.
func sentAt(l *streams.Lead) time.Time {
	var text string
	if err := json.Unmarshal(l.Fields["sent"], &text); err != nil {
		return time.Time{}
	}
	var ns int64
	if _, err := fmt.Sscan(text, &ns); err != nil {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// lead is as large, for those who take no HTTP.
func lead(i int) *streams.Lead {
	return &streams.Lead{Source: "site", Name: "Анна", Phone: fmt.Sprintf("+7999%07d", i%1e7), Email: fmt.Sprintf("client%d@example.test", i),
		Service: "окрашивание и стрижка", Channel: "site", Message: enquiry}
}

// payload is that lead as the peers carry it, and as leadstream's own streams do.
func payload(i int) []byte {
	l := lead(i)
	l.ID = fmt.Sprintf("%026d", i)
	b, err := json.Marshal(l)
	check(err)
	return b
}

// look is what every handler does: it reads the lead.
func look(b []byte) {
	var l streams.Lead
	if err := json.Unmarshal(b, &l); err != nil || l.ID == "" {
		log.Fatalf("not a lead: %q: %v", b, err)
	}
}
