package processors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
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

// Person is a Notifier by its configured name.
type Person struct {
	Name string
	Notifier
}

// sendTimeout bounds one try: a notifier that hangs must not hold up the next one.
const sendTimeout = 15 * time.Second

// Tell tries people in order until one takes the message, and says who. The message then names those who did not: a
// fallback that hides the failure of the first is found out when it fails too. by is "" when nobody took it; err says
// why each refused, even when another took it.
func Tell(ctx context.Context, people []Person, m Message, language string) (by string, err error) {
	refused := "Did not take this message: "
	if language != "en" {
		refused = "Не принял сообщение: "
	}
	var names []string
	for _, p := range people {
		tried := m
		if len(names) > 0 {
			tried.Text += "\n" + refused + strings.Join(names, ", ")
		}
		fail := send(ctx, p.Notifier, tried)
		if fail == nil {
			return p.Name, err
		}
		names = append(names, p.Name)
		err = errors.Join(err, fmt.Errorf("%s: %w", p.Name, fail))
	}
	return "", err
}

func send(ctx context.Context, n Notifier, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return n.Send(ctx, m)
}

// Backoff is the wait before people are tried again: 10 s, 20 s, … 5 min.
func Backoff(failures int) time.Duration {
	return min(10*time.Second<<min(failures, 5), 5*time.Minute)
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
