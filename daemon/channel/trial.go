package channel

import (
	"crypto/hmac"
	"crypto/sha1" // Zadarma's and Twilio's choice
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
)

// Request is a POST as a service would make it.
type Request struct {
	Body        string
	ContentType string
	Header      [2]string // name and value of what proves who sends; empty where the body or the address does
}

// Trial is a request that proves itself as the service's and tells nothing: an event of a kind that does not exist. A
// daemon that knows the same secrets answers it as the service wants to be answered, and keeps nothing.
func Trial(kind string, c Config) Request {
	secret, account := "", "1"
	if len(c.Secrets) > 0 {
		secret = c.Secrets[0]
	}
	if len(c.Accounts) > 0 {
		account = c.Accounts[0]
	}
	const json, form = "application/json", "application/x-www-form-urlencoded"
	switch kind {
	case "telegram":
		return Request{`{"update_id":1,"leadstream_trial":{}}`, json, [2]string{"X-Telegram-Bot-Api-Secret-Token", secret}}
	case "max":
		return Request{`{"update_type":"leadstream_trial","timestamp":1}`, json, [2]string{"X-Max-Bot-Api-Secret", secret}}
	case "vk":
		return Request{Body: `{"type":"leadstream_trial","group_id":"` + account + `","secret":"` + secret + `"}`, ContentType: json}
	case "meta", "whatsapp":
		body := `{"object":"leadstream_trial","entry":[]}`
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		return Request{body, json, [2]string{"X-Hub-Signature-256", "sha256=" + hex.EncodeToString(mac.Sum(nil))}}
	case "avito":
		return Request{Body: `{"payload":{"type":"leadstream_trial"}}`, ContentType: json}
	case "uis":
		return Request{Body: `{"event":"leadstream_trial"}`, ContentType: json}
	case "mail":
		return Request{Body: "From: <trial@leadstream.invalid>\r\nAuto-Submitted: auto-generated\r\nX-Leadstream: notice\r\n\r\ntrial\r\n", ContentType: "message/rfc822"}
	case "mango":
		sum := sha256.Sum256([]byte(account + "{}" + secret))
		body := url.Values{"vpbx_api_key": {account}, "json": {"{}"}, "sign": {hex.EncodeToString(sum[:])}}
		return Request{Body: body.Encode(), ContentType: form}
	case "zadarma":
		f := url.Values{"event": {"NOTIFY_TRIAL"}, "caller_id": {"leadstream"}}
		mac := hmac.New(sha1.New, []byte(secret))
		mac.Write([]byte(zadarmaSigned(f)))
		return Request{f.Encode(), form, [2]string{"Signature", base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(mac.Sum(nil))))}}
	case "twilio":
		mac := hmac.New(sha1.New, []byte(secret))
		mac.Write([]byte(c.URL + "AccountSid" + account + "CallSid" + "trial" + "CallStatus" + "trial"))
		f := url.Values{"AccountSid": {account}, "CallSid": {"trial"}, "CallStatus": {"trial"}}
		return Request{f.Encode(), form, [2]string{"X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil))}}
	}
	return Request{}
}
