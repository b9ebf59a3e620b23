package streams

import (
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzEvents holds our reader of the journal's events to encoding/json: the same events or the same refusal, for every
// line that a disk may give back.
func FuzzEvents(f *testing.F) {
	own, err := encodeEvents([]event{fullEvent(f), {Lead: "01J", Kind: evDelivered, Dest: "crm"}})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{string(own), `[]`, `[{"l":"\u0000","k":"dead","ds":null,"at":"2026-03-01T10:00:00.1+03:00"}]`, `[{"l":"a","l":"b"} ]`, `[{"a":1e3}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var want []event
		refused := json.Unmarshal(line, &want)
		got, err := decodeEvents(line)
		if (err == nil) != (refused == nil) {
			t.Fatalf("%q: %v, encoding/json says %v", line, err, refused)
		}
		if err != nil || len(want) == 0 && len(got) == 0 {
			return
		}
		a, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%q: got %s, want %s", line, a, b)
		}
	})
}
