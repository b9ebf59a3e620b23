package sms

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"leadstream/sinks"
	"leadstream/sinks/sinkstest"
	"leadstream/streams"
)

// output is what a child has written so far.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// startChild runs one of Kannel's programs until the test ends.
func startChild(t *testing.T, path string, args ...string) *output {
	t.Helper()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s is missing: apt-get install --no-install-recommends kannel kannel-extras", path)
	}
	out := &output{}
	child := exec.Command(path, args...)
	child.Dir, child.Stdout, child.Stderr = t.TempDir(), out, out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(path), out)
		}
	})
	return out
}

// until asks again and again, for twenty seconds at most.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within twenty seconds", what)
		}
	}
}

const kannelConf = `
group = core
admin-port = %[1]s
admin-interface = 127.0.0.1
admin-password = %[5]s
smsbox-port = %[2]s
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1

group = smsc
smsc = fake
smsc-id = fake
host = 127.0.0.1
port = %[3]s
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = %[4]s
sendsms-interface = 127.0.0.1

group = sendsms-user
username = shop
password = %[5]s

group = sms-service
keyword = default
text = ""
omit-empty = true
`

// startKannel runs a real gateway with a pretended operator, and answers its sendsms address and what the operator saw.
func startKannel(t *testing.T) (string, *output) {
	t.Helper()
	var ports []any
	for range 4 {
		_, port, err := net.SplitHostPort(sinkstest.Unused(t))
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
	}
	conf := filepath.Join(t.TempDir(), "kannel.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, kannelConf, append(ports, sinkstest.Canary)...), 0o600); err != nil {
		t.Fatal(err)
	}
	startChild(t, "/usr/sbin/bearerbox", conf)
	for _, port := range ports[1:3] {
		until(t, "bearerbox", func() bool { return listens(port) })
	}
	startChild(t, "/usr/sbin/smsbox", conf)
	operator := startChild(t, "/usr/lib/kannel/test/fakesmsc",
		"-H", "127.0.0.1", "-r", ports[2].(string), "-i", "3600", "-m", "1", "79990000011 SHOP text hello")
	until(t, "smsbox", func() bool { return listens(ports[3]) })
	return fmt.Sprintf("http://127.0.0.1:%s/cgi-bin/sendsms", ports[3]), operator
}

func listens(port any) bool {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%s", port), time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

var arrived = regexp.MustCompile(`Got message \d+: <(\S+) (\S+) (\S+) (\S+)>`)

// Through a real Kannel, Cyrillic arrives at the operator as the UTF-16 that phones show.
func TestKannelForReal(t *testing.T) {
	address, operator := startKannel(t)
	set := func(settings any) {
		s := settings.(*KannelSettings)
		s.URL, s.From = address, "SHOP"
	}
	sink := openKind(t, "kannel", "http://127.0.0.1:1", set)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := sink.Check(ctx); err != nil {
		t.Fatal(err)
	}
	delivery := sinkstest.Batch(1)[0]
	if v := sink.Deliver(ctx, []sinks.Delivery{delivery})[0]; v.Result != streams.Done {
		t.Fatalf("got result %d (%v), want done", v.Result, v.Err)
	}
	var got []string
	until(t, "the message at the operator", func() bool {
		got = arrived.FindStringSubmatch(operator.String())
		return got != nil
	})
	if got[1] != "SHOP" || got[2] != manager || got[3] != "ucs-2" {
		t.Errorf("got sender %s, number %s, coding %s", got[1], got[2], got[3])
	}
	want := sinks.LeadMessage(delivery, sinks.Env{Language: "ru"}).Short
	if text := fromUCS2(t, got[4]); text != Fit(want, 1) {
		t.Errorf("got %q, want %q", text, want)
	}

	// A customer's message goes the same way, to whomever.
	settings := KannelSettings{URL: address, From: "SHOP", Username: "shop", Password: sinkstest.Canary, Parts: 2, AllowPrivate: true}
	line, err := NewLine(settings, sinks.Env{Region: "RU"})
	if err != nil {
		t.Fatal(err)
	}
	if err := line.Check(ctx); err != nil {
		t.Error(err)
	}
	const said = "Ждём вас завтра в 15:40 №1"
	if tried := line.Send(ctx, "01abc", "8 999 000-00-12", said, false); tried.Result != streams.Done {
		t.Fatalf("%+v", tried)
	}
	until(t, "the customer's message at the operator", func() bool {
		all := arrived.FindAllStringSubmatch(operator.String(), -1)
		got = all[len(all)-1]
		return len(all) == 2
	})
	if got[2] != "+79990000012" || fromUCS2(t, got[4]) != said {
		t.Errorf("the operator got %q", got)
	}
	wrong := openKind(t, "kannel", "", func(settings any) {
		set(settings)
		settings.(*KannelSettings).Password = "another one"
	})
	if v := wrong.Deliver(ctx, sinkstest.Batch(1))[0]; v.Result != streams.Pause || wrong.Check(ctx) == nil {
		t.Errorf("a wrong password: got result %d (%v), want a pause", v.Result, v.Err)
	}
}

func fromUCS2(t *testing.T, coded string) string {
	t.Helper()
	raw, err := url.QueryUnescape(coded)
	if err != nil {
		t.Fatal(err)
	}
	var units []uint16
	for i := 0; i+1 < len(raw); i += 2 {
		units = append(units, binary.BigEndian.Uint16([]byte(raw[i:i+2])))
	}
	return string(utf16.Decode(units))
}
