package main

import (
	"leadstream/sinks"
	"leadstream/sinks/bitrix24"
	"leadstream/sinks/records"
	"leadstream/sinks/sms"
	"leadstream/streams"
)

// kinds are the sorts of sink that config.yaml's `kind` may name. A new sink is its file and its line here.
var kinds = map[string]sinks.Kind{
	"bitrix24":  bitrix24.Kind,
	"csv":       sinks.CSV,
	"email":     sinks.Email,
	"kannel":    sms.Kannel,
	recordsKind: records.Kind, // not in config.yaml: the daemon adds it
	"sms_http":  sms.Template,
	"smsc":      sms.SMSC,
	"smsru":     sms.SMSRu,
	"telegram":  sinks.Telegram,
	"twilio":    sms.Twilio,
	"webhook":   sinks.Webhook,
}

// usualRates are what the far sides of some kinds permit, whoever runs them.
var usualRates = map[string]streams.Rate{
	"bitrix24": {PerSecond: 2, Burst: 50},
}
