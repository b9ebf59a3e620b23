//go:build linux

package wallclock

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv("TELL_TIME") != "" {
		tell()
		return
	}
	os.Exit(m.Run())
}

// tell is the other process: it says what time it is, and how long it has run, whenever it is asked.
func tell() {
	began := time.Now()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		now := time.Now()
		fmt.Println(now.Unix(), now.Sub(began).Milliseconds())
	}
}

// A step is seen by the wall clock alone.
func TestSteps(t *testing.T) {
	runtime.LockOSThread() // who starts a traced process is its tracer
	defer runtime.UnlockOSThread()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TELL_TIME=1")
	cmd.SysProcAttr = Traced()
	ask, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	told, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { ask.Close(); _ = cmd.Wait() }()
	c, err := Take(cmd.Process.Pid, -time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i, off := range []time.Duration{-time.Hour, time.Hour, 0, -24 * time.Hour} {
		if i > 0 {
			if err := c.Set(off); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintln(ask)
		var wall, ran int64
		if _, err := fmt.Fscanln(told, &wall, &ran); err != nil {
			t.Fatal(err)
		}
		if d := time.Unix(wall, 0).Sub(time.Now().Add(off)).Abs(); d > 2*time.Second {
			t.Errorf("set off by %s it says %s, which is %s wrong", off, time.Unix(wall, 0), d)
		}
		if ran < 0 || ran > time.Since(began).Milliseconds()+1000 {
			t.Errorf("set off by %s it says that it runs for %d ms", off, ran)
		}
	}
}
