// Package talk carries messages to customers: a file a channel. Each turns its service's answers into verdicts and into
// what they mean for the route; whether and when a customer may be written to, retries and the next channel are the
// messenger's, breakers, pauses and rates the engine's.
package talk

import (
	"time"

	"leadstream/sinks"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// Address is what of a customer a channel writes to.
type Address string

// What a channel may write to.
const (
	User  Address = "user"  // the customer's account in the channel: the user_id of leads that came from it
	Phone Address = "phone" // in E.164
	Email Address = "email"
)

// Kind is one sort of channel: what `kind` of a block of `answers.channels` in config.yaml selects.
type Kind struct {
	// Settings returns a pointer to a fresh settings struct with defaults, `koanf` tags for its keys in the block.
	Settings func() any
	// Open makes the channel. It does no I/O. Its error names the key and the cure.
	Open func(settings any, env sinks.Env) (outbound.Channel, error)

	Channel string             // name of the channel in leads, "whatsapp"
	Address Address            // what it writes to
	Rate    streams.Rate       // what the service permits in all
	Pair    time.Duration      // least time between two messages to one customer
	Window  time.Duration      // free words only so long after the customer's last word; 0: at any time
	First   bool               // may write to somebody who has never written there
	Keyed   bool               // the service knows Words.ID: sending again is safe
	Short   bool               // Words.Short is what it sends
	Tells   outbound.StepState // how far the service ever says that a message got
	Timeout time.Duration      // of one call, as long as the service may take over one that it will do; 0: 30 s

	// Sure says that the service tells of each message that it has delivered: one of which it does not was not. Others tell of what
	// was read, or of nothing.
	Sure bool

	// Approved says that Words.Approved gets through where free words do not: outside Window, and to somebody who has never
	// written there.
	Approved bool
	// ByPhone says that Send takes a phone in E.164 too: of somebody who has never written there.
	ByPhone bool
	// Later is what the code of a message that the service took and then failed means for its route: news that say "failed"
	// carry it in the field code. Nil: the service tells no failure later.
	Later func(code string) outbound.Means
}

// Kinds are the sorts of channel by the name that `kind` gives them. A new one is its file and its line here.
var Kinds = map[string]Kind{
	"call_task":  callKind(),
	"email":      emailKind(),
	"instagram":  metaKind(instagramPlatform),
	"max":        maxKind(),
	"messenger":  metaKind(messengerPlatform),
	"sms_http":   smsHTTPKind(),
	"sms_kannel": kannelKind(),
	"sms_ru":     smsruKind(),
	"sms_smsc":   smscKind(),
	"sms_twilio": twilioKind(),
	"telegram":   telegramKind(),
	"vk":         vkKind(),
	"whatsapp":   whatsAppKind(),
}
