//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answering is a shop that answers by messengers, and by SMS where WhatsApp does not deliver. Its secrets are nowhere to be found.
const answering = `
language: en
sources:
  bot: {preset: telegram, secrets: ["${env:NO_SUCH_SECRET}"]}
  wa: {preset: whatsapp, secrets: ["${env:NO_SUCH_SECRET}"], verification: "${env:NO_SUCH_SECRET}"}
sinks: {table: {kind: csv}}
answers:
  channels:
    telegram: {kind: telegram, token: "${env:NO_SUCH_TOKEN}", breaker: {failures: 5, of: 5, delay: 300ms, max_delay: 1s}}
    whatsapp: {kind: whatsapp, token: "${env:NO_SUCH_TOKEN}", phone_number_id: "1", fallback_after: 3m}
    sms: {kind: sms_smsc, api_key: "${env:NO_SUCH_TOKEN}", cost: 3}
    post: {kind: vk, token: "${env:NO_SUCH_TOKEN}"}
`

func TestDrillAnswersCustomers(t *testing.T) {
	t.Parallel()
	config, dir := write(t, answering), shortDir(t)
	var out, said bytes.Buffer
	cmd := exec.Command(binary(t), "-c", config, "drill", "--quick", "--for=2s", "--broken=2s", "--peak=300/h",
		"--faults=channel-429,channel-undelivered", "--json", "--html=", "--dir", dir)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, said.String(), out.String())
	}
	var r struct {
		OK      bool
		Answers *struct {
			Phases []struct {
				Sent, Held      map[string]int
				Waiting, Unsent int
			}
			Doubled map[string]int
		}
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Answers == nil || len(r.Answers.Phases) != 5 {
		t.Fatalf("customers were told nothing: %s", out.String())
	}
	sent := map[string]int{}
	for i, p := range r.Answers.Phases {
		t.Logf("%+v", p)
		if p.Waiting > 0 {
			t.Errorf("phase %d: %d still wait", i, p.Waiting)
		}
		for name, n := range p.Sent {
			sent[name] += n
		}
	}
	if sent["telegram"] == 0 || sent["whatsapp"] == 0 {
		t.Errorf("sent: %v", sent)
	}
	if by := r.Answers.Phases[4].Sent; by["sms"] == 0 {
		t.Errorf("what WhatsApp did not deliver went by %v", by)
	}
	for name, n := range r.Answers.Doubled {
		if n != 0 {
			t.Errorf("%s: %d twice", name, n)
		}
	}
	nothingLeft(t, dir)
}

// A running daemon whose customers are real is not drilled: invented ones have numbers, too.
func TestDrillTargetAsksOfChannels(t *testing.T) {
	cfg, _, err := Load(write(t, `
sinks: {table: {kind: csv}}
answers: {channels: {telegram: {kind: telegram, token: "1:a", backup: {base_url: "http://127.0.0.1:1"}}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, s := range cfg.simulated(t.Context()) {
		if s.Who == "" {
			named = append(named, s.Name+" "+s.Host)
		}
	}
	if diff := cmp.Diff([]string{"table ", "answers.channels.telegram api.telegram.org", "answers.channels.telegram.backup 127.0.0.1:1"}, named); diff != "" {
		t.Error(diff)
	}
}
