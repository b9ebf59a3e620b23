//go:build linux

package proof

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"regexp"
	"strings"

	"leadstream/sinks/sim/portal"
	"leadstream/streams"
)

// delivery is an enquiry that the portal has, as a card or as a comment in the card of the customer's first one.
type delivery struct {
	portal.Event
	Mark  string // whose it is
	Sum   [32]byte
	Phone string
	Named bool // it has the customer's name
}

var (
	markPattern = regexp.MustCompile(`wish \d+: [^\n]*`)
	telPattern  = regexp.MustCompile(regexp.QuoteMeta(PhonePrefix) + `\d{7}`)
)

// MarkIn is the enquiry that a payload tells of: "wish 17", or who called; empty when it tells of none.
func MarkIn(payload any) string {
	ds := deliveries([]portal.Event{{Kind: "create", Payload: payload}})
	if ds[0].Mark == nothing {
		return ""
	}
	return ds[0].Mark
}

// nothing is the mark of what says nothing.
const nothing = "what is in card or comment without a wish"

// Mark tells one enquiry from all others: "wish 17".
func Mark(text string) string {
	mark, _, _ := strings.Cut(text, ":")
	return mark
}

// deliveries are the portal's events that brought an enquiry.
func deliveries(events []portal.Event) []delivery {
	var ds []delivery
	for _, e := range events {
		if e.Kind != "create" && e.Kind != "comment" || e.Kind == "create" && e.Entity == "contact" {
			continue
		}
		d := delivery{Event: e, Mark: nothing}
		texts(e.Payload, func(s string) {
			if text := markPattern.FindString(s); text != "" {
				d.Mark, d.Sum = Mark(text), sha256.Sum256([]byte(text))
			}
			if p := telPattern.FindString(s); p != "" {
				d.Phone = p
			}
			d.Named = d.Named || strings.Contains(s, PersonName)
		})
		if d.Sum == ([32]byte{}) && d.Phone != "" { // nothing was said
			d.Mark = Call(d.Phone)
			d.Sum = sha256.Sum256([]byte(d.Mark))
		}
		ds = append(ds, d)
	}
	return ds
}

// texts visits every string of a payload.
func texts(v any, visit func(string)) {
	switch v := v.(type) {
	case string:
		visit(v)
	case []any:
		for _, e := range v {
			texts(e, visit)
		}
	case map[string]any:
		for _, e := range v {
			texts(e, visit)
		}
	}
}

// Facts gathers what is known. The daemons must run.
func (l *Ledger) Facts(ctx context.Context) (Facts, error) {
	f := Facts{Sent: l.All(), Portal: l.Worlds[0].CRM.Ledger(), Told: l.Worlds[0].Phone.Messages(),
		Forgets: l.Forgets, Unordered: l.Unordered, Lives: map[string]streams.Life{}, Dead: map[string]bool{}}
	for _, w := range l.Worlds {
		if err := w.facts(ctx, &f); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (w *World) facts(ctx context.Context, f *Facts) error {
	status, err := w.Status(ctx)
	if err != nil {
		return err
	}
	lives, err := w.Lives(ctx)
	if err != nil {
		return err
	}
	dead, err := w.Dead(ctx)
	if err != nil {
		return err
	}
	if f.Left, err = w.left(ctx); err != nil {
		return err
	}
	log, err := w.Log()
	f.Open += status.Leads[streams.InFlight]
	f.Unexplained += status.Unexplained
	maps.Copy(f.Lives, lives)
	maps.Copy(f.Dead, dead)
	f.Log, f.Secrets = append(f.Log, log...), append(f.Secrets, w.Key)
	return err
}

// Verify waits until all is quiet and checks. What is not quiet in good time is found as left open.
func (l *Ledger) Verify(ctx context.Context, outages ...Outage) (Verdict, error) {
	var quiet error
	for _, w := range l.Worlds {
		quiet = errors.Join(quiet, w.Quiet(ctx))
	}
	f, err := l.Facts(ctx)
	if err != nil {
		return Verdict{}, errors.Join(quiet, err)
	}
	f.Outages = outages
	v, err := Check(f)
	if quiet != nil && err == nil && v.LeftOpen == 0 {
		v.fault(&v.LeftOpen, "LEFT OPEN: %v", quiet)
	}
	return v, err
}
