package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecrets(t *testing.T) {
	english(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"token": "0123\n", "empty": "\n", "long": strings.Repeat("x", maxSecret+1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	t.Setenv("PASSWORD", "yes")
	tests := map[string]struct {
		written, want, fault string
	}{
		"environment":             {"${env:PASSWORD}", "yes", ""},
		"file":                    {"${file:" + dir + "/token}", "0123", ""},
		"credential":              {"${credential:token}", "0123", ""},
		"within a text":           {"bot${env:PASSWORD}/x", "botyes/x", ""},
		"the text itself":         {"$${env:PASSWORD}", "${env:PASSWORD}", ""},
		"empty file":              {"${file:" + dir + "/empty}", "", "is empty"},
		"a file that is no key":   {"${file:" + dir + "/long}", "", "longer than 64 KiB"},
		"no file":                 {"${file:nowhere}", "", "nowhere: no such file"},
		"a way out of the folder": {"${credential:../token}", "", "there is no credential ../token"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cfg, faults := load(t, write(t, "language: en\ntagging: {level: '"+tc.written+"'}\n"+told))
			if tc.fault != "" {
				if len(faults) != 1 || !strings.Contains(faults[0], tc.fault) {
					t.Errorf("faults %q, want one with %q", faults, tc.fault)
				}
				return
			}
			if len(faults) > 0 || cfg.Tagging.Level != tc.want {
				t.Errorf("got %q %q, want %q", cfg.Tagging.Level, faults, tc.want)
			}
		})
	}
}

func TestInlineSecretIsWarnedOfWhereOthersRead(t *testing.T) {
	english(t)
	path := write(t, "language: en\n"+told)
	if _, faults := load(t, path); len(faults) > 0 {
		t.Errorf("in a file of the owner's: %q", faults)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, faults, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(faults) != 1 || faults[0].Key != "sinks.boss.token" || !faults[0].Warning || strings.Contains(faults[0].String(), "AAHdqTcv") {
		t.Errorf("got %v, want one warning of sinks.boss.token", faults)
	}
}

func TestPlainKeysAreHashed(t *testing.T) {
	english(t)
	t.Setenv("SITE_KEY", "a long and random key of the sender")
	cfg, faults := load(t, write(t, "language: en\nsources: {site: {keys: ['${env:SITE_KEY}']}}\n"+strings.SplitN(told, "\n", 3)[2]))
	if len(faults) > 0 || len(cfg.Intake.Sources["site"].Keys) != 1 || !strings.HasPrefix(cfg.Intake.Sources["site"].Keys[0], "sha256:") {
		t.Errorf("got %v %q", cfg.Intake.Sources["site"].Keys, faults)
	}
}
