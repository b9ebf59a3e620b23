package processors

import (
	"context"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Message is a text for a person. Its fields are those of the sinks' messages.
type Message struct {
	ID      string // stable over retries
	Subject string
	Text    string
	Short   string // for SMS: one segment, says what to do
	Urgent  bool   // false: may arrive without a sound
}

// Notifier tells a person something; nil means that it was taken. It must be safe for concurrent use.
type Notifier interface {
	Send(ctx context.Context, m Message) error
}

// gsm is the alphabet of SMS in which 160 characters make a segment, less those that count twice.
const gsm = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"

// FitsSMS says whether a text is one segment: 160 characters of the GSM alphabet, or 70 UTF-16 units of any other.
func FitsSMS(text string) bool {
	if !strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(gsm, r) }) {
		return utf8.RuneCountInString(text) <= 160
	}
	return len(utf16.Encode([]rune(text))) <= 70
}

// OneSMS cuts a text to one segment, at a word's end where there is one near.
func OneSMS(text string) string {
	if FitsSMS(text) {
		return text
	}
	runes := []rune(text)
	for n := min(len(runes), 160); n > 0; n-- {
		head := string(runes[:n])
		if !FitsSMS(head + "..") {
			continue
		}
		if space := strings.LastIndexByte(head, ' '); space > len(head)*3/4 {
			head = head[:space]
		}
		return strings.TrimRight(head, " .,;:") + ".."
	}
	return ""
}
