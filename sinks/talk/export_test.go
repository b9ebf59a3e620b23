package talk

import (
	"time"

	"leadstream/streams/outbound"
)

// Codes that the channels of Meta's rule on.
var WhatsAppCodes, MetaCodes = keysOf(whatsAppRulings), keysOf(metaRulings)

func keysOf(m map[string]ruling) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

// SetClock gives a channel of Meta's another clock.
func SetClock(c outbound.Channel, now func() time.Time) {
	switch c := c.(type) {
	case *whatsApp:
		c.now = now
	case *metaChannel:
		c.now = now
	}
}
