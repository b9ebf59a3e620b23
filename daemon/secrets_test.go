package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	path := write(t, "language: en\nredis: redis://user:hush@127.0.0.1:6379\n"+told)
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
	var keys []string
	for _, f := range faults {
		keys = append(keys, f.Key)
		if text := f.String(); !f.Warning || strings.Contains(text, "AAHdqTcv") || strings.Contains(text, "hush") {
			t.Errorf("no warning, or it shows the secret: %s", text)
		}
	}
	if diff := cmp.Diff([]string{"redis", "sinks.boss.token"}, keys); diff != "" {
		t.Error(diff)
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
