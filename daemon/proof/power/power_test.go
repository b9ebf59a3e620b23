//go:build linux

package power

import (
	"testing"

	"leadstream/daemon/proof"
	"leadstream/streams/failpoint"
)

// Hundreds of power cuts are scripts/torture's; these are some.
func TestPowerCuts(t *testing.T) {
	if err := Available(); err != nil {
		t.Logf("not run here: %v", err)
		return
	}
	binary, err := proof.Build(t.Context(), t.TempDir(), "torture")
	if err != nil {
		t.Fatal(err)
	}
	row, err := Losses{Binary: binary, Cuts: 6, Each: 6}.Run(t.Context())
	t.Logf("%+v", row)
	if err != nil {
		t.Fatal(err)
	}
	if row.Verdict.Accepted == 0 || row.Idle == row.Cuts {
		t.Errorf("nothing was tested: %+v", row)
	}
	// The harness sees it when something is lost.
	control := Losses{Binary: binary, Cuts: 5, GoOn: true, Env: []string{"LEADSTREAM_BUG=" + string(failpoint.AnswerBeforeSync)}}
	for tries := 1; ; tries++ {
		row, err := control.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if row.Verdict.Lost > 0 {
			t.Logf("lost in %d power cuts by a daemon that answers before the disk has it: %d", tries*row.Cuts, row.Verdict.Lost)
			return
		}
		if tries == 12 {
			t.Fatal("a daemon that answers before the disk has it loses nothing")
		}
	}
}
