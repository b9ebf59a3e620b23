package streams

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fullEvent has every field set, also those that will be added one day.
func fullEvent(t testing.TB) event {
	t.Helper()
	var e event
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		switch f := v.Field(i).Addr().Interface().(type) {
		case *string:
			*f = "поле \"" + name
		case *eventKind:
			*f = evDead
		case *int:
			*f = 40 + i
		case *int64:
			*f = 1772359200120
		case *time.Time:
			*f = time.Date(2026, 3, i+1, 10, 0, 0, 120_000_001, time.UTC)
		case *[]string:
			*f = []string{name, "б\\\n", ""}
		case *[]Try:
			*f = []Try{{At: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Code: "503", Err: errText(errors.New("<&>"))}}
		default:
			t.Fatalf("an event has a field %s of type %T: teach encodeEvents, decodeEvents and this test", name, f)
		}
	}
	return e
}

func TestEventJSON(t *testing.T) {
	plain := event{Lead: "01J", Kind: evDelivered, Dest: "crm", Remote: "17", Attempts: 1, At: time.Date(2026, 3, 1, 10, 0, 0, 1, time.UTC)}
	for name, events := range map[string][]event{
		"none":        {},
		"plain":       {plain, plain},
		"every field": {plain, fullEvent(t), plain},
		"odd texts":   {{Lead: "\x00\xff", Kind: evTold, Reason: "a\u2028б\t\"", At: plain.At}},
		"every kind":  everyKind(),
	} {
		t.Run(name, func(t *testing.T) {
			own, err := encodeEvents(events)
			if err != nil {
				t.Fatal(err)
			}
			std, err := json.Marshal(events)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range [][]byte{own, std} {
				var want []event
				if err := json.Unmarshal(std, &want); err != nil {
					t.Fatal(err)
				}
				got, err := decodeEvents(line)
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s:\n%s", line, diff)
				}
				if got, err = decodeShared(line); err != nil || !cmp.Equal(want, got) {
					t.Errorf("%s: with shared texts %+v, %v", line, got, err)
				}
			}
		})
	}
}

func everyKind() (events []event) {
	for _, k := range eventKinds {
		events = append(events, event{Lead: "01J", Kind: k})
	}
	return events
}

// The hot form must not fall back: that would be no fault anybody sees.
func TestEventsAreReadByTheirOwnReader(t *testing.T) {
	line, err := encodeEvents([]event{{Lead: "01J", Kind: evRouted, Dests: []string{"crm", "table"}, At: time.Unix(1, 0).UTC(), RepeatOf: "01H"},
		{Lead: "01J", Kind: evDelivered, Dest: "crm", Remote: "lead 17", Attempts: 2, At: time.Unix(2, 0).UTC()}})
	if err != nil {
		t.Fatal(err)
	}
	r := leadReader{rest: string(line)}
	if events, ok := r.events(); !ok || len(events) != 2 || r.rest != "" {
		t.Errorf("%s: read %d events, %v, left %q", line, len(events), ok, r.rest)
	}
}

func BenchmarkEvents(b *testing.B) {
	events := make([]event, 256)
	for i := range events {
		events[i] = event{Lead: NewID("x"), Kind: evRouted, Dests: []string{"crm", "table"}, At: time.Unix(int64(i), 1).UTC()}
	}
	b.ReportAllocs()
	for b.Loop() {
		line, err := encodeEvents(events)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := decodeEvents(line); err != nil {
			b.Fatal(err)
		}
	}
}
