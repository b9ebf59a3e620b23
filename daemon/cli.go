package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"leadstream/daemon/intake"
)

// Exit codes of the command.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // or a bad config
)

// cli is the command line. Helps are "English|Russian"; each command shows its example.
type cli struct {
	Config string `short:"c" default:"config.yaml" placeholder:"FILE" help:"Where config.yaml is.|Где лежит config.yaml."`

	Serve     serveCmd     `cmd:"" help:"Run the daemon.|Запустить демон." example:"leadstream serve --config /etc/leadstream/config.yaml"`
	Demo      demoCmd      `cmd:"" help:"Try it: made-up leads go to a made-up CRM.|Попробовать: придуманные заявки идут в придуманную CRM." example:"leadstream demo"`
	Check     checkCmd     `cmd:"" help:"Check the config, Redis, the disk and every sink.|Проверить настройки, Redis, диск и каждый приёмник." example:"leadstream check --config config.yaml"`
	Drill     drillCmd     `cmd:"" help:"Load test before a campaign: your config, two and three times the peak, and faults.|Учения перед кампанией: ваши настройки, двойной и тройной пик и сбои." example:"leadstream drill --peak 200/h --html drill.html"`
	Send      sendCmd      `cmd:"" help:"Send leads from a CSV or JSON lines file.|Отправить заявки из файла CSV или JSON lines." example:"leadstream send leads.csv --key \"$KEY\""`
	Link      linkCmd      `cmd:"" help:"Make a short link; that a customer opens it is news of the customer.|Создать короткую ссылку; её открытие — новость о клиенте." example:"leadstream link https://shop.example/sale --phone +79990000011 --key \"$KEY\""`
	Leads     leadsCmd     `cmd:"" help:"List leads, or tell one lead's life.|Список заявок или история одной заявки." example:"leadstream leads --state dead --since 24h"`
	Status    statusCmd    `cmd:"" help:"The daemon at a glance.|Состояние демона одним взглядом." example:"leadstream status"`
	Alerts    alertsCmd    `cmd:"" help:"What is wrong just now; take it on.|Что сейчас не в порядке; взять на себя."`
	Dead      deadCmd      `cmd:"" help:"Leads that were not delivered.|Заявки, которые не удалось доставить."`
	Pause     pauseCmd     `cmd:"" help:"Stop deliveries to a destination; leads wait.|Остановить доставку в приёмник; заявки ждут." example:"leadstream pause crm --for 2h --reason \"works until noon\""`
	Resume    resumeCmd    `cmd:"" help:"Go on with deliveries to a destination.|Продолжить доставку в приёмник." example:"leadstream resume crm"`
	Customers customersCmd `cmd:"" help:"Customers' cards, and what was said with them.|Карточки клиентов и переписка с ними."`
	Why       whyCmd       `cmd:"" help:"What became of a message to a customer, and why.|Что стало с сообщением клиенту и почему." example:"leadstream why 568ag2haeyvxyxpxzs8apb3yy0"`
	Template  templateCmd  `cmd:"" help:"The texts that customers get.|Тексты, которые получают клиенты."`
	Sequences sequencesCmd `cmd:"" help:"What came of the sequences of messages, by variant.|Что дали последовательности сообщений, по вариантам." example:"leadstream sequences --since 30d"`
	Bookings  bookingsCmd  `cmd:"" help:"Who comes when: visits, free times.|Кто когда придёт: визиты и свободное время."`
	Triage    triageCmd    `cmd:"" help:"Try how messages are understood, and teach it.|Попробовать, как понимаются сообщения, и научить."`
	Channel   channelCmd   `cmd:"" help:"Messengers and telephony as sources.|Мессенджеры и телефония как источники."`
	Mail      mailCmd      `cmd:"" help:"Take a mail from a mail server, for its aliases.|Принять письмо от почтового сервера, для его aliases." example:"leadstream mail --source post --key-file /etc/leadstream/post.key < message"`
	Key       keyCmd       `cmd:"" help:"Make a source's key, and its line for config.yaml.|Создать ключ источника и строку для config.yaml." example:"leadstream key site"`
	Version   versionCmd   `cmd:"" help:"Print the version.|Показать версию." example:"leadstream version"`
}

// terminal is what a command reads from and writes to.
type terminal struct {
	context.Context
	lang
	in       io.Reader
	out, err io.Writer
	config   string
}

// lineWriter lets several goroutines of one command write to what its caller gave it, a whole Write at a time.
type lineWriter struct {
	mu sync.Mutex
	io.Writer
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Writer.Write(p)
}

// interactive tells whether w is a person's screen.
func interactive(w io.Writer) bool {
	if l, ok := w.(*lineWriter); ok {
		w = l.Writer
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// usageError is a mistake of whoever typed the command, or of the config: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// quietError fails the command when everything is said already.
type quietError struct{ code int }

func (e quietError) Error() string { return fmt.Sprintf("exit %d", e.code) }

// execute runs the command line and gives its exit code.
func execute(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	t := &terminal{Context: ctx, lang: commandLang(args), in: in, out: &lineWriter{Writer: out}, err: &lineWriter{Writer: errOut}}
	code := -1
	var c cli
	var help bytes.Buffer
	parser, err := kong.New(&c, kong.Name("leadstream"), kong.Writers(&help, &help), kong.Exit(func(n int) { code = n }),
		kong.Description(t.say("Takes customer enquiries and gets every one of them to the people who will answer it.",
			"Принимает обращения клиентов и доводит каждое до тех, кто на него ответит.")),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: false}))
	if err != nil {
		fmt.Fprintln(errOut, err)
		return exitFailed
	}
	translate(t.lang, parser.Model.Node)
	parsed, err := parser.Parse(args)
	if code >= 0 { // --help
		_, _ = io.WriteString(out, headings(t.lang, help.String()))
		return code
	}
	if err != nil {
		fmt.Fprintln(errOut, "leadstream:", err)
		fmt.Fprintln(errOut, t.say("See leadstream --help.", "См. leadstream --help."))
		if isMail(args) {
			return exitLater
		}
		return exitUsage
	}
	t.config = c.Config
	return t.exitCode(parsed.Run(t))
}

func (t *terminal) exitCode(err error) int {
	var quiet quietError
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &quiet):
		return quiet.code
	}
	fmt.Fprintln(t.err, "leadstream:", plain(err.Error()))
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// translate picks the language of every help, and adds the examples.
func translate(l lang, n *kong.Node) {
	n.Help = l.side(n.Help)
	if n.Tag != nil && n.Tag.Has("example") {
		n.Detail = l.say("Example:", "Пример:") + "\n\n  " + n.Tag.Get("example")
	}
	for _, f := range n.Flags {
		if f.Name == "help" {
			f.Help = l.say("Show help.", "Показать справку.")
		}
		f.Help = l.side(f.Help)
	}
	for _, p := range n.Positional {
		p.Help = l.side(p.Help)
	}
	for _, child := range n.Children {
		translate(l, child)
	}
}

// side is the language's half of "English|Russian".
func (l lang) side(text string) string {
	en, ru, both := strings.Cut(text, "|")
	if l == "ru" && both {
		return ru
	}
	return en
}

// headings puts the help's own words in the language.
func headings(l lang, help string) string {
	if l != "ru" {
		return help
	}
	return strings.NewReplacer("Usage:", "Использование:", "Arguments:", "Аргументы:", "Flags:", "Ключи:", "Commands:", "Команды:",
		"Run \"", "Подробнее: \"", "\" for more information on a command.", "\"", "\" for more information.", "\"").Replace(help)
}

var languageKey = regexp.MustCompile(`(?m)^language:\s*["']?(ru|en)\b`)

// commandLang is the config's language, if it names one, else the terminal's.
func commandLang(args []string) lang {
	path := "config.yaml"
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--config="); ok {
			path = v
		} else if (a == "--config" || a == "-c") && i+1 < len(args) {
			path = args[i+1]
		}
	}
	if text, err := os.ReadFile(path); err == nil {
		if m := languageKey.FindSubmatch(text); m != nil {
			return lang(m[1])
		}
	}
	return envLang()
}

// loadConfig reads config.yaml for a command that cannot go on with a fault, and prints the faults.
func (t *terminal) loadConfig() (*Config, error) {
	cfg, faults, err := Load(t.config)
	if err != nil {
		return nil, usageError{fmt.Errorf("%w; %s", err, t.say("name it with --config", "укажите его ключом --config"))}
	}
	for _, f := range faults {
		label := t.say("fault", "ошибка")
		if f.Warning {
			label = t.say("warning", "предупреждение")
		}
		fmt.Fprintf(t.err, "%s: %s: %s\n", t.config, label, plain(f.String()))
	}
	if broken(faults) {
		return nil, quietError{exitUsage}
	}
	return cfg, nil
}

type versionCmd struct{}

func (versionCmd) Run(t *terminal) error {
	fmt.Fprintln(t.out, "leadstream", version())
	return nil
}

type keyCmd struct {
	Source string `arg:"" default:"site" help:"The source's name in config.yaml.|Имя источника в config.yaml."`
}

func (cmd keyCmd) Run(t *terminal) error {
	key := intake.NewKey(cmd.Source)
	fmt.Fprintln(t.out, t.say("The key, for whoever sends; it is shown only now:", "Ключ для отправителя; он показан только сейчас:"))
	fmt.Fprintln(t.out, "  "+key)
	fmt.Fprintln(t.out, t.say("For config.yaml, under sources:", "Для config.yaml, в sources:"))
	fmt.Fprintf(t.out, "  %s: {keys: [%q]}\n", cmd.Source, intake.KeyHash(key))
	return nil
}

type serveCmd struct{}

func (serveCmd) Run(t *terminal) error {
	cfg, err := t.loadConfig()
	if err != nil {
		return err
	}
	return run(t, cfg)
}
