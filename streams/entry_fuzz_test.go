package streams

import (
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzEntry: an entry that can be read holds the lead that was added, and one whose bytes have changed is never read.
func FuzzEntry(f *testing.F) {
	f.Add("id", `{"id":"id","name":"Ольга"}`, "5", "", 3)
	f.Add("", `{"phone":"+79990000011"}`, "", "crm,csv", 0)
	f.Add("id", "\xff{", "-9", ",", 1)
	f.Fuzz(func(t *testing.T, id, lead, epoch, only string, flip int) {
		values := map[string]any{"id": id, "lead": lead, "sum": checksum([]byte(lead)), "epoch": epoch, "only": only}
		e := decodeEntry(Intake, "1-1", values)
		if e.Lead == nil || e.epoch < noEpoch && epoch == "" {
			t.Fatal("no lead, or no epoch")
		}
		var plain Lead
		if err := json.Unmarshal([]byte(lead), &plain); e.fault == nil && err != nil {
			t.Errorf("%q is read, yet encoding/json says %v", lead, err)
		} else if e.fault == nil && id != "" && !reflect.DeepEqual(e.Lead, &plain) {
			t.Errorf("%q: %+v, want %+v", lead, e.Lead, plain)
		}
		if lead == "" {
			return
		}
		damaged := []byte(lead)
		damaged[uint(flip)%uint(len(damaged))] ^= 1
		values["lead"] = string(damaged)
		if e := decodeEntry(Intake, "1-1", values); e.fault == nil {
			t.Errorf("%q is read though it was %q", damaged, lead)
		}
	})
}
