package calendar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// radicale is a real CalDAV server in a folder of its own, on a free port of this machine.
type radicale struct {
	url, dir string
	proc     *exec.Cmd
	gone     chan struct{}
	n        atomic.Int64
}

var server *radicale

func startRadicale() (*radicale, error) {
	if _, err := exec.LookPath("radicale"); err != nil {
		return nil, errors.New("install radicale: scripts/test does it")
	}
	dir, err := os.MkdirTemp("/tmp", "lsdav")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	l.Close()
	config := "[server]\nhosts = " + address + "\nmax_connections = 50\n[auth]\ntype = htpasswd\nhtpasswd_filename = " + dir + "/users\nhtpasswd_encryption = plain\ndelay = 0\n" +
		"[storage]\nfilesystem_folder = " + dir + "/data\n[logging]\nlevel = error\n"
	for name, text := range map[string]string{"config": config, "users": "salon:hush-hush\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	r := &radicale{url: "http://" + address + "/salon/", dir: dir, gone: make(chan struct{})}
	r.proc = exec.Command("radicale", "--config", filepath.Join(dir, "config"))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	r.proc.Stdout, r.proc.Stderr = log, log
	r.proc.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.proc.Start(); err != nil {
		return nil, err
	}
	go func() { _ = r.proc.Wait(); close(r.gone) }()
	for {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return r, nil
		}
		select {
		case <-r.gone:
			text, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("radicale ended at once:\n%s", text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (r *radicale) stop() {
	_ = r.proc.Process.Kill()
	<-r.gone
	_ = os.RemoveAll(r.dir)
}

// calendar makes an empty one and answers its name.
func (r *radicale) calendar(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("cal%d/", r.n.Add(1))
	r.do(t, "MKCALENDAR", name, "", nil)
	return name
}

// do does what people's programs do.
func (r *radicale) do(t testing.TB, method, path, body string, head map[string]string) (status int, text string, header http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("salon", "hush-hush")
	for k, v := range head {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 500 {
		t.Fatalf("%s: %d %s %v", method, res.StatusCode, b, err)
	}
	return res.StatusCode, string(b), res.Header
}

// vtimezone is what a time in that zone comes with.
const vtimezone = "BEGIN:VTIMEZONE\r\nTZID:Asia/Krasnoyarsk\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:+0700\r\nTZOFFSETTO:+0700\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"

// put adds an event as somebody's telephone does; lines are what stands in it besides its id.
func (r *radicale) put(t testing.TB, calendar, uid string, lines ...string) {
	t.Helper()
	text := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//telephone//EN\r\n" + vtimezone + "BEGIN:VEVENT\r\nUID:" + uid + "\r\nDTSTAMP:20261101T000000Z\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	if status, body, _ := r.do(t, http.MethodPut, calendar+uid+".ics", text, map[string]string{"Content-Type": "text/calendar"}); status >= 300 {
		t.Fatalf("%d %s", status, body)
	}
}

// replace changes the text of an event.
func (r *radicale) replace(t testing.TB, href, old, new string) {
	t.Helper()
	_, text, _ := r.do(t, http.MethodGet, href, "", nil)
	if !strings.Contains(text, old) {
		t.Fatalf("no %s in\n%s", old, text)
	}
	if status, body, _ := r.do(t, http.MethodPut, href, strings.Replace(text, old, new, 1), map[string]string{"Content-Type": "text/calendar"}); status >= 300 {
		t.Fatalf("%d %s", status, body)
	}
}
