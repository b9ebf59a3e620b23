package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reference is where a secret stands: ${env:NAME}, ${file:PATH}, ${credential:NAME}. $${…} is that text itself.
var reference = regexp.MustCompile(`\$?\$\{([^}]*)\}`)

// maxSecret is the most that is read of a secret's file: a wrong path may be a large one.
const maxSecret = 64 << 10

// expand puts secrets in their places. The result is a text whatever it looks like: a password 0123 is not octal.
func (l *loader) expand(n *yaml.Node, path string) {
	if !strings.Contains(n.Value, "${") {
		l.inlineSecret(n, path)
		return
	}
	n.Value = reference.ReplaceAllStringFunc(n.Value, func(ref string) string {
		if strings.HasPrefix(ref, "$$") {
			return ref[1:]
		}
		value, err := l.secret(ref[2 : len(ref)-1])
		if err != nil {
			l.fault(path, err.problem, err.cure)
		}
		return value
	})
	n.Tag, n.Style = "!!str", yaml.DoubleQuotedStyle
}

type noSecret struct{ problem, cure string }

func (l *loader) secret(ref string) (string, *noSecret) {
	from, name, _ := strings.Cut(ref, ":")
	switch {
	case from == "env" && name != "":
		return l.envSecret(name)
	case from == "file" && name != "":
		if !filepath.IsAbs(name) {
			name = filepath.Join(l.dir, name)
		}
		return l.fileSecret(name, l.say("write the secret into that file (chmod 600)", "запишите секрет в этот файл (chmod 600)"))
	case from == "credential" && name != "":
		return l.credential(name)
	}
	return "", &noSecret{
		l.say("${%s} says nothing", "${%s} ничего не значит", ref),
		l.say("write ${env:NAME}, ${file:PATH} or ${credential:NAME}, or $${…} for the text itself",
			"пишите ${env:ИМЯ}, ${file:ПУТЬ} или ${credential:ИМЯ}, а для самого текста — $${…}"),
	}
}

func (l *loader) envSecret(name string) (string, *noSecret) {
	if v := os.Getenv(name); v != "" {
		return v, nil
	}
	return "", &noSecret{
		l.say("the environment has no %s", "в окружении нет %s", name),
		l.say("export %s=… before the start, or use ${credential:…} under systemd",
			"задайте export %s=… перед запуском или используйте ${credential:…} под systemd", name),
	}
}

func (l *loader) credential(name string) (string, *noSecret) {
	cure := l.say("add LoadCredential=%s:/path to leadstream.service (systemctl edit leadstream)",
		"добавьте LoadCredential=%s:/путь в leadstream.service (systemctl edit leadstream)", name)
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" || name != filepath.Base(name) {
		return "", &noSecret{l.say("there is no credential %s", "нет учётных данных %s", name), cure}
	}
	return l.fileSecret(filepath.Join(dir, name), cure)
}

func (l *loader) fileSecret(path, cure string) (string, *noSecret) {
	text, err := readSecret(path)
	if err != nil {
		return "", &noSecret{l.say("the secret cannot be read: %v", "секрет не читается: %v", err), cure}
	}
	return text, nil
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxSecret {
		return "", fmt.Errorf("%s is longer than 64 KiB", path)
	}
	if text := strings.TrimRight(string(b), "\r\n"); text != "" {
		return text, nil
	}
	return "", errors.New(path + " is empty")
}

// secretKey finds the keys whose values are secrets by their names.
var secretKey = regexp.MustCompile(`(^|[._])(tokens?|passwords?|secrets?|api_key|api_id|keys?)(\[\d+\])?$`)

// secretURL finds the addresses that hold a secret: Bitrix24's webhooks, and those with a password.
var secretURL = regexp.MustCompile(`/rest/\d+/[^/]+|://[^/@]*:[^/@]+@`)

// inlineSecret warns of a secret that stands in the open in a file which others may read.
func (l *loader) inlineSecret(n *yaml.Node, path string) {
	if l.mode&0o077 == 0 || n.Value == "" || n.Tag == "!!null" || !secretKey.MatchString(path) && !secretURL.MatchString(n.Value) {
		return
	}
	if strings.HasPrefix(n.Value, "sha256:") {
		return // tells nobody the key
	}
	l.faults = append(l.faults, Fault{Key: path, Line: n.Line, Warning: true,
		Problem: l.say("a secret in a file that others on this machine can read", "секрет в файле, который могут читать другие на этой машине"),
		Cure: l.say("chmod 600 the file, or write ${file:PATH} or ${env:NAME} here",
			"сделайте файлу chmod 600 или напишите здесь ${file:ПУТЬ} или ${env:ИМЯ}")})
}
