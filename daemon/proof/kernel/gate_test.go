//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) {
	Child()
	if len(os.Args) == 2 && os.Args[1] == "deeds" {
		deeds()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// deeds is the process behind the gate. It says what became of each call.
func deeds() {
	f, err := os.Create("f")
	fmt.Println("create", err)
	n, err := f.WriteString("one two ")
	fmt.Println("write", n, err)
	n, err = f.WriteAt([]byte("three four"), 8)
	fmt.Println("write at", n, err)
	fmt.Println("sync", f.Sync())
	fmt.Println("rename", os.Rename("f", "g"))
	err = exec.Command("touch", "child").Run()
	fmt.Println("child", err)
	b, err := os.ReadFile("g")
	fmt.Printf("read %q %v\n", b, err)
	fmt.Println("remove", os.Remove("g"))
}

func TestGate(t *testing.T) {
	clean := `create <nil>
write 8 <nil>
write at 10 <nil>
sync <nil>
rename <nil>
child <nil>
read "one two three four" <nil>
remove <nil>
`
	tests := map[string]struct {
		call   string
		answer Answer
		out    string
		kill   bool
	}{
		"all is done":       {"", Answer{}, clean, false},
		"a rename fails":    {"renameat f", Answer{Errno: syscall.EIO}, "rename rename f g: input/output error\n", false},
		"a sync fails":      {"fsync f", Answer{Errno: syscall.ENOSPC}, "sync sync f: no space left on device\n", false},
		"an end of two":     {"write f", Answer{Part: true}, clean, false}, // the caller writes the rest
		"another of two":    {"pwrite64 f", Answer{Part: true}, clean, false},
		"killed at a sync":  {"fsync f", Answer{Kill: true}, "create <nil>\nwrite 8 <nil>\nwrite at 10 <nil>\n", true},
		"killed at a start": {"openat f", Answer{Kill: true}, "", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			g, err := New(dir, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			var seen []string
			g.Each(func(c Call) Answer {
				seen = append(seen, c.Name+" "+c.Path)
				if seen[len(seen)-1] == tt.call {
					return tt.answer
				}
				return Answer{}
			})
			cmd := exec.Command(g.Args()[0], os.Args[0], "deeds")
			cmd.Env, cmd.Dir = append(os.Environ(), g.Env()), dir
			out, err := cmd.Output()
			var end *exec.ExitError
			if killed := errors.As(err, &end) && end.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL; killed != tt.kill {
				t.Errorf("ended with %v", err)
			}
			if tt.answer.Errno != 0 {
				out = []byte(lineOf(string(out), tt.out))
			}
			if d := cmp.Diff(tt.out, string(out)); d != "" {
				t.Error(d)
			}
			if err := g.Close(); err != nil {
				t.Error(err)
			}
			want := []string{"openat f", "write f", "pwrite64 f", "fsync f", "renameat f", "openat g", "unlinkat g"}
			if d := cmp.Diff(want, seen); d != "" && tt.call == "" {
				t.Error(d)
			}
			if _, err := os.Stat(filepath.Join(dir, "child")); (err == nil) == tt.kill {
				t.Errorf("the child's file: %v", err)
			}
		})
	}
}

// lineOf is line if it is one of text's, else all of text.
func lineOf(text, line string) string {
	for l := range strings.Lines(text) {
		if l == line {
			return line
		}
	}
	return text
}
