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
	row, err := Losses{Binary: binary, Cuts: 10, Each: 10}.Run(t.Context())
	t.Logf("%+v", row)
	if err != nil {
		t.Fatal(err)
	}
	row, err = Losses{Binary: binary, Cuts: 20, Each: 10, GoOn: true, Env: []string{"LEADSTREAM_BUG=" + string(failpoint.AnswerBeforeSync)}}.Run(t.Context())
	t.Logf("%d cuts of a daemon that answers before the disk has it: %+v", row.Cuts, row.Verdict.Lost)
	if err != nil {
		t.Fatal(err)
	}
}
