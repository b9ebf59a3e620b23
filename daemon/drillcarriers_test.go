//go:build linux

package main

import (
	"bytes"
	"io"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"leadstream/daemon/drill"
	"leadstream/daemon/proof"
	"leadstream/sinks/sim/push"
)

// everyCarrier is a config with each kind of service among its sources, on a machine that has none of the secrets.
const everyCarrier = `
language: en
sources:
  site: {keys: ["${env:NO_SUCH_KEY}"]}
  tg: {preset: telegram, token: "${env:NO_SUCH_TOKEN}", url: "https://salon.real.example/in/tg", secrets: ["${env:NO_SUCH_SECRET}"]}
  tgasked: {preset: telegram, poll: true, token: "${env:NO_SUCH_TOKEN2}", proxy: "http://proxy.real.example:3128"}
  wa: {preset: whatsapp, secrets: ["${env:NO_SUCH_SECRET}"], verification: real, accounts: ["1234567890"], token: "${env:NO_SUCH_TOKEN3}"}
  fb: {preset: meta, secrets: ["${env:NO_SUCH_SECRET}"], verification: real}
  vk: {preset: vk, secrets: ["${env:NO_SUCH_SECRET}"], verification: real, accounts: ["123456"]}
  vkasked: {preset: vk, poll: true, token: "${env:NO_SUCH_TOKEN4}", base_url: "https://vk.real.example"}
  maxbot: {preset: max, secrets: ["${env:NO_SUCH_SECRET}"]}
  maxasked: {preset: max, poll: true, token: "${env:NO_SUCH_TOKEN5}"}
  avito: {preset: avito, keys: ["${env:NO_SUCH_KEY2}"], accounts: ["55577700"]}
  mango: {preset: mango, secrets: ["${env:NO_SUCH_SECRET}"], accounts: [real]}
  zadarma: {preset: zadarma, secrets: ["${env:NO_SUCH_SECRET}"]}
  twilio: {preset: twilio, secrets: ["${env:NO_SUCH_SECRET}"], url: "https://salon.real.example/in/twilio"}
  uis: {preset: uis, keys: ["${env:NO_SUCH_KEY3}"]}
  post: {preset: mail, mail: {host: imap.real.example, username: leads@real.example, password: "${env:NO_SUCH_PASSWORD}"}}
sinks:
  crm: {kind: bitrix24, url: "${env:NO_SUCH_WEBHOOK}", batch: 50, retry: {attempts: 50, base: 200ms, factor: 1.5, max: 1s, jitter: 0.2}, breaker: {failures: 5, of: 5, delay: 300ms, max_delay: 1s}}
`

// TestDrillPlaysEveryService kills the daemon while each kind of service brings what customers write.
func TestDrillPlaysEveryService(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	var out, said bytes.Buffer
	cmd := exec.Command(binary(t), "-c", write(t, everyCarrier), "drill", "--quick", "--for=1s", "--broken=1s", "--peak=40000/h", "--crm-latency=5ms",
		"--faults=daemon-killed", "--json", "--html=", "--dir", dir)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, said.String(), out.String())
	}
	r := readReport(t, out.Bytes())
	if !r.OK || r.Totals.Accepted != r.Totals.Delivered || r.Totals.Accepted != r.Totals.Sent || r.Totals.Broken() || len(r.Sources) != 15 {
		t.Errorf("ok %v, %d sources, totals %+v, faults %v", r.OK, len(r.Sources), r.Totals, r.Faults)
	}
	again, aside := 0, 0
	for _, s := range r.Sources {
		if s.Sent == 0 || s.Accepted != s.Sent || s.Arrived != s.Sent || (s.Way == drill.Asked) != strings.HasSuffix(s.Name, "asked") || (s.Way == drill.ByHTTP) != (s.Name == "site") {
			t.Errorf("source %+v", s)
		}
		again, aside = again+s.Again, aside+s.Aside
	}
	if again == 0 || aside == 0 {
		t.Errorf("%d times something was told again, %d times something that is no enquiry: nothing was tested", again, aside)
	}
	nothingLeft(t, dir)
}

// TestDrillFindsWhatAServiceKnows drills with services that are sure of what the daemon never had, or hear it twice.
func TestDrillFindsWhatAServiceKnows(t *testing.T) {
	for name, c := range map[string]struct {
		sabotage func(c *carrier)
		broken   func(drill.Totals, playedSource) int
	}{
		"taken, and nowhere": {func(c *carrier) {
			write, lost := c.write, false
			c.write = func(who int64, name, text string) {
				if lost {
					write(who, name, text)
					return
				}
				lost = true
				c.tried(push.Try{Body: []byte(`{"update_id":1,"message":{"message_id":1,"from":{"id":5,"first_name":"A"},"chat":{"id":5,"type":"private"},"date":1,"text":"` + text[:strings.Index(text, ":")+1] + `"}}`), Sent: time.Now(), Answered: time.Now()})
			}
		}, func(t drill.Totals, s playedSource) int { return min(t.Lost, s.Lost) }},
		"told twice under two names": {func(c *carrier) {
			write, twice := c.write, false
			c.write = func(who int64, name, text string) {
				if write(who, name, text); !twice {
					twice = true
					write(who, name, text)
				}
			}
		}, func(t drill.Totals, s playedSource) int { return min(t.Doubled, s.Doubled, 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			var out bytes.Buffer
			term := &terminal{Context: t.Context(), lang: "en", out: &out, err: io.Discard,
				config: write(t, "sources: {tg: {preset: telegram, secrets: [x]}}\n"+`sinks: {hook: {kind: webhook, url: "https://hook.example.test/leads"}}`)}
			err := drillCmd{Quick: true, For: time.Second, Broken: time.Second, Faults: "none", Peak: "100/h", JSON: true, Dir: dir, binary: binary(t),
				sabotage: func(s *simulators) { s.clear(); c.sabotage(s.carriers["tg"]) }}.Run(term)
			if code := term.exitCode(err); code != exitFailed {
				t.Fatalf("exit code %d (%v), want 1\n%s", code, err, out.String())
			}
			if r := readReport(t, out.Bytes()); r.OK || len(r.Sources) != 1 || c.broken(r.Totals, r.Sources[0]) != 1 {
				t.Errorf("ok %v, totals %+v, sources %+v, faults %v", r.OK, r.Totals, r.Sources, r.Faults)
			}
		})
	}
}

// TestDrillAsksNobodyOutside closes every kind of source: no address, token or mailbox of the owner's is left.
func TestDrillAsksNobodyOutside(t *testing.T) {
	cfg, written, set, err := closeConfig(t, everyCarrier)
	if err != nil {
		t.Fatal(err, written)
	}
	for _, real := range []string{"real", "NO_SUCH", "1234567890", "123456", "55577700"} {
		if strings.Contains(written, real) {
			t.Errorf("the drill's config still has %q", real)
		}
	}
	var kinds []string
	for _, s := range cfg.Sources {
		kinds = append(kinds, s.Preset)
	}
	for preset := range carriers {
		if !slices.Contains(kinds, preset) {
			t.Errorf("preset %s is not in the test's config", preset)
		}
	}
	if len(set.Keys) != 4 { // site, avito, uis, post
		t.Errorf("%d keys", len(set.Keys))
	}
}

// TestAnAnswerThatAServiceDidNotHear counts how long the service waited for it, and not until the service came again.
func TestAnAnswerThatAServiceDidNotHear(t *testing.T) {
	began := time.Now()
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	try := func(sent, answered int, fate proof.Fate, err error) proof.Request {
		return proof.Request{Source: "tg", Carried: true, Text: "wish 1: a haircut", Due: at(1), Sent: at(sent), Answered: at(answered), Fate: fate, Err: err}
	}
	for name, c := range map[string]struct {
		asked bool
		sent  []proof.Request
		want  drill.Sample
	}{
		"heard the second time": {sent: []proof.Request{try(1, 1, proof.Waiting, nil), try(2, 3, proof.Unknown, push.ErrUnheard), try(8, 9, proof.Acked, nil)},
			want: drill.Sample{Posted: 2, Answered: 3, Accepted: true}},
		"refused at first": {sent: []proof.Request{try(1, 1, proof.Waiting, nil), try(2, 3, proof.Rejected, io.EOF), try(8, 9, proof.Acked, nil)},
			want: drill.Sample{Posted: 2, Answered: 9, Accepted: true, Refused: true}},
		"asked":           {asked: true, sent: []proof.Request{try(1, 1, proof.Waiting, nil), try(2, 5, proof.Acked, nil)}, want: drill.Sample{Posted: 1, Answered: 5, Accepted: true}},
		"still with them": {sent: []proof.Request{try(1, 1, proof.Waiting, nil)}, want: drill.Sample{Posted: drill.None, Answered: drill.None}},
	} {
		t.Run(name, func(t *testing.T) {
			s := tally{drillRun: &drillRun{began: began, cfg: &Config{}, sims: &simulators{carriers: map[string]*carrier{"tg": {asked: c.asked}}}}, Report: &drill.Report{}, sent: c.sent}
			got := s.samples()
			if len(got) != 1 {
				t.Fatalf("%d samples", len(got))
			}
			span := func(s drill.Span) drill.Span {
				if s < 0 {
					return s
				}
				return drill.Span(s.Seconds() + 0.5)
			}
			one := drill.Sample{Posted: span(got[0].Posted), Answered: span(got[0].Answered), Accepted: got[0].Accepted, Refused: got[0].Refused}
			if !reflect.DeepEqual(one, c.want) {
				t.Errorf("got %+v, want %+v", one, c.want)
			}
		})
	}
}
