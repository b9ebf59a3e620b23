package main

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/daemon/channel"
	"leadstream/daemon/intake"
	"leadstream/sinks/sim/avito"
	"leadstream/sinks/sim/phone"
)

// What `channel add` says, done word for word, makes a source that `channel try` finds to be in order, for every kind;
// and nothing of the trial is kept.
func TestChannelAddThenTry(t *testing.T) {
	english(t)
	for _, kind := range channel.Names() {
		t.Run(kind, func(t *testing.T) {
			code, out, errs := command(t, "", "channel", "add", kind, "--name", "our-own", "--host", "https://leads.example.test")
			if code != exitOK {
				t.Fatalf("exit %d\n%s%s", code, out, errs)
			}
			// 1: the environment.
			for _, line := range regexp.MustCompile(`(?m)^    ([A-Z_]+)=(\S*)`).FindAllStringSubmatch(out, -1) {
				value := line[2]
				if value == "" {
					value = "of-the-service"
				}
				t.Setenv(line[1], value)
				if value != "of-the-service" && (len(value) < 20 || !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(value)) {
					t.Errorf("%s=%s is no secret that every service takes", line[1], value)
				}
			}
			// 2: config.yaml.
			block := regexp.MustCompile(`(?s)    (our-own:.*?)\n\d\.`).FindStringSubmatch(out)
			if block == nil {
				t.Fatal(out)
			}
			path := withSources(t, block[1])
			cfg, faults := load(t, path)
			if len(faults) > 0 {
				t.Fatalf("%v\n%s", faults, out)
			}
			// 3: the daemon, and the trial.
			kept := &shelf{taken: make(map[string]bool)}
			h, err := intake.New(cfg.Intake, kept, prometheus.NewRegistry(), zerolog.Nop())
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(h)
			defer server.Close()
			args := []string{"channel", "try", "our-own", "--host", server.URL, "-c", path}
			key := ""
			if m := regexp.MustCompile(`/in/our-own/(ls_\S+?)["',\s]`).FindStringSubmatch(out + " "); m != nil {
				key = m[1]
			}
			if channel.Open(kind) != (key != "") {
				t.Errorf("the key in the address is %q", key)
			}
			if code, said, errs := command(t, "", append(args, "--key", key)...); code != exitOK || !strings.HasPrefix(said, "ok: our-own takes what "+kind) {
				t.Errorf("exit %d\n%s%s", code, said, errs)
			}
			// With what the daemon does not know.
			other := strings.ReplaceAll(block[1], "secrets: [", `secrets: ["another", `)
			path = withSources(t, other)
			args[len(args)-1] = path
			if code, said, errs := command(t, "", args...); code != exitFailed || !strings.Contains(errs, "refused") || strings.Contains(errs+said, "ls_our-own") {
				t.Errorf("without the secret or the key: exit %d\n%s%s", code, said, errs)
			}
			if len(kept.taken) > 0 {
				t.Errorf("the trials left %d leads", len(kept.taken))
			}
		})
	}
}

// withSources is a config with sources as `channel add` prints them.
func withSources(t *testing.T, block string) string {
	t.Helper()
	sources := "sources:\n  " + strings.ReplaceAll(block, "\n    ", "\n  ")
	return write(t, "language: en\n"+regexp.MustCompile(`(?m)^sources: .*$`).ReplaceAllLiteralString(told, sources)+"\n")
}

func TestChannelFaults(t *testing.T) {
	english(t)
	path := withSources(t, "site: {keys: [\"sha256:"+strings.Repeat("0", 64)+"\"]}\n    tg: {preset: telegram, secrets: [\"${env:TG}\"]}\nlisten: 127.0.0.1:1")
	t.Setenv("TG", "s3cret")
	proxy := httptest.NewServer(nil) // answers 404
	defer proxy.Close()
	for name, tt := range map[string]struct {
		args []string
		code int
		errs string
	}{
		"unknown kind":  {[]string{"channel", "add", "icq"}, exitUsage, "icq is no channel; write one of avito, "},
		"host of http":  {[]string{"channel", "add", "vk", "--host", "http://leads.example.test"}, exitUsage, "--host is https://"},
		"a bad name":    {[]string{"channel", "add", "vk", "--name", "VK 1"}, exitUsage, "--name"},
		"no source":     {[]string{"channel", "try", "none", "-c", path}, exitUsage, "no channel none"},
		"no channel":    {[]string{"channel", "try", "site", "-c", path}, exitUsage, "no channel site"},
		"nobody there":  {[]string{"channel", "try", "tg", "-c", path}, exitFailed, "nobody answers at http://127.0.0.1:1"},
		"a proxy alone": {[]string{"channel", "try", "tg", "-c", path, "--host", proxy.URL}, exitFailed, "code 404"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, out, errs := command(t, "", tt.args...); code != tt.code || !strings.Contains(errs, tt.errs) {
				t.Errorf("exit %d, want %d\n%s%s", code, tt.code, out, errs)
			}
		})
	}
	_, out, _ := command(t, "", "channel", "add", "vk", "-c", write(t, "language: ru\n"))
	for _, want := range []string{"1. Добавьте в окружение демона", "VK_SECRET=", "В сервисе:", "Сообщество: Управление"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if len(walks) != len(channel.Names()) {
		t.Errorf("%d ways to add a channel, %d channels", len(walks), len(channel.Names()))
	}
}

// With the lines that `channel add avito` leaves off, the daemon looks after the webhook, and `channel try` shows that Avito knows us.
func TestChannelAddWatched(t *testing.T) {
	english(t)
	m := avito.New(avito.Options{})
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	code, out, errs := command(t, "", "channel", "add", "avito", "--name", "our-own", "--host", "https://leads.example.test")
	block := regexp.MustCompile(`(?s)    (our-own:.*?)\n\d\.`).FindStringSubmatch(out)
	if code != exitOK || block == nil {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	t.Setenv("OUR_OWN_CLIENT_ID", "client")
	t.Setenv("OUR_OWN_CLIENT_SECRET", "client-secret")
	path := withSources(t, strings.NewReplacer("#client", "client", "#url", "url").Replace(block[1])+"\n      base_url: "+m.URL()+"\n      allow_private: true")
	cfg, faults := load(t, path)
	if len(faults) > 0 {
		t.Fatalf("%v\n%s", faults, out)
	}
	h, err := intake.New(cfg.Intake, &shelf{taken: make(map[string]bool)}, prometheus.NewRegistry(), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	key := regexp.MustCompile(`/in/our-own/(ls_\S+?)["',\s]`).FindStringSubmatch(out + " ")
	args := []string{"channel", "try", "our-own", "--host", server.URL, "-c", path, "--key", key[1]}
	if code, out, errs := command(t, "", args...); code != exitOK || !strings.Contains(out, "the subscription of our-own is looked after with the token of avito 81000001") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	t.Setenv("OUR_OWN_CLIENT_SECRET", "another-one")
	if code, out, errs := command(t, "", args...); code != exitFailed || !strings.Contains(errs, "does not take the token") || strings.Contains(out+errs, "another-one") {
		t.Errorf("with another secret: exit %d\n%s%s", code, out, errs)
	}
}

// What `channel add --poll` says, done word for word, makes a source that `channel try` finds to be in order.
func TestChannelAddToAsk(t *testing.T) {
	english(t)
	bot := phone.New(phone.Options{PlainHTTP: true})
	if err := bot.Start(); err != nil {
		t.Fatal(err)
	}
	defer bot.Close()
	code, out, errs := command(t, "", "channel", "add", "telegram", "--poll", "--name", "our-own")
	block := regexp.MustCompile(`(?s)    (our-own:.*?)\n\d\.`).FindStringSubmatch(out)
	if code != exitOK || block == nil || !strings.Contains(out, "OUR_OWN_TOKEN=   # @BotFather") || !strings.Contains(out, "deleteWebhook") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	t.Setenv("OUR_OWN_TOKEN", "110201543:phone-token")
	path := withSources(t, block[1]+"\n      base_url: "+bot.URL()+"\n      allow_private: true")
	if _, faults := load(t, path); len(faults) > 0 {
		t.Fatal(faults)
	}
	if code, out, errs := command(t, "", "channel", "try", "our-own", "-c", path); code != exitOK || !strings.HasPrefix(out, "ok: our-own is asked with the token of telegram 110201543") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	bot.SetWebhook("http://127.0.0.1:1/in/x", "")
	if code, _, errs := command(t, "", "channel", "try", "our-own", "-c", path); code != exitFailed || !strings.Contains(errs, "the bot has a webhook") {
		t.Errorf("with a webhook: exit %d\n%s", code, errs)
	}
	bot.SetWebhook("", "")
	t.Setenv("OUR_OWN_TOKEN", "110201543:another-one")
	if code, _, errs := command(t, "", "channel", "try", "our-own", "-c", path); code != exitFailed || !strings.Contains(errs, "does not take the token") || strings.Contains(errs, "another-one") {
		t.Errorf("with another token: exit %d\n%s", code, errs)
	}
	if code, _, errs := command(t, "", "channel", "add", "avito", "--poll"); code != exitUsage || !strings.Contains(errs, "avito cannot be asked") {
		t.Errorf("avito: exit %d\n%s", code, errs)
	}
}
