//go:build linux

package kernel

import (
	"testing"

	"leadstream/daemon/proof"
)

// All calls with all faults are scripts/torture's; these are some.
func TestSweep(t *testing.T) {
	binary, err := proof.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	rows, err := Sweep{Binary: binary, Faults: []Fault{Faults[0], Faults[1], Faults[4]}, First: 3, Stride: 9}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		t.Logf("%+v", r)
		if r.Hit == 0 || r.Verdict.Accepted == 0 {
			t.Errorf("%s proves nothing: %+v", r.Fault, r)
		}
	}
}
