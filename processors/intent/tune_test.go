package intent

import (
	"fmt"
	"syscall"
	"testing"
)

func cpu() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(0, &u)
	return float64(u.Utime.Sec) + float64(u.Utime.Usec)/1e6
}

func TestTune(t *testing.T) {
	ex, _ := Defaults()
	for _, u := range []training{{8, 1.2, 2e-5}, {8, 0.8, 5e-5}} {
		usual = u
		c0 := cpu()
		m, _ := Train(ex)
		c := m.Check()
		fmt.Printf("%+v acc %.3f prec %.3f cov %.3f auroc %.3f %+v  cpu %.2f\n", u, c.Accuracy, c.Precision, c.Coverage, c.AUROC, m.limits, cpu()-c0)
	}
}
