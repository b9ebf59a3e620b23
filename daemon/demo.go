package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"leadstream/daemon/intake"
	"leadstream/sinks/sim/customer"
	"leadstream/sinks/sim/phone"
	"leadstream/sinks/sim/portal"
	"leadstream/streams"
)

// demoCmd runs the real daemon between its user, a simulated Bitrix24, a manager's phone, and the phone of a customer who writes
// by simulated messengers. Nothing leaves this machine.
type demoCmd struct {
	Leads  int    `default:"0" help:"Send so many made-up leads at once.|Сразу отправить столько придуманных заявок."`
	Listen string `default:"127.0.0.1:8080" help:"Where leads are taken.|Где принимать заявки."`
	Dir    string `default:"data" help:"Folder for its data; emptied when it is a demo's.|Папка для данных; если она от прошлой пробы, очищается."`
	Once   bool   `help:"End when the made-up leads are delivered.|Закончить, когда придуманные заявки доставлены."`
}

// demoPatience is how long the demo waits for the daemon, and for a lead to arrive.
const demoPatience = 30 * time.Second

func (cmd demoCmd) Run(t *terminal) (err error) {
	if cmd.Leads < 0 || cmd.Leads > 1000 || cmd.Once && cmd.Leads == 0 {
		return usageError{errors.New(t.say("--leads is 1 to 1000", "--leads от 1 до 1000"))}
	}
	done, err := cmd.folder(t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	crm, manager := portal.New(portal.Options{}), phone.New(phone.Options{})
	if err := errors.Join(crm.Start(), manager.Start()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, crm.Close(), manager.Close()) }()

	d := demo{terminal: t, cmd: cmd, key: intake.NewKey("site"), crm: crm, phone: manager}
	defer func() { err = errors.Join(err, d.Close()) }()
	messengers, channels, err := d.messengers()
	if err != nil {
		return err
	}
	cfg, err := d.config(messengers, channels)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(t)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return run(ctx, cfg) })
	g.Go(func() error {
		defer stop()
		if err := d.until(ctx, d.ready); err != nil {
			return fmt.Errorf("%s: %w", d.say("the daemon does not come up", "демон не запускается"), err)
		}
		if err := d.connect(ctx); err != nil {
			return err
		}
		d.introduce()
		watched, ended := context.WithCancel(ctx)
		defer ended()
		g.Go(func() error { d.watch(watched); return nil })
		if err := d.show(ctx); err != nil || cmd.Once {
			return err
		}
		<-ctx.Done()
		return nil
	})
	if err := g.Wait(); err != nil && t.Err() == nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return usageError{fmt.Errorf("%w; %s", err, t.say("choose another address: --listen 127.0.0.1:8081", "выберите другой адрес: --listen 127.0.0.1:8081"))}
		}
		return err
	}
	return nil
}

// demoMark is a file that says that a folder is a demo's, and may be emptied. It is locked while one runs.
const demoMark = "DEMO"

// folder makes an empty folder, and answers what to do in the end. It never empties one that may hold real leads.
func (cmd demoCmd) folder(t *terminal) (done func() error, err error) {
	if err := os.MkdirAll(cmd.Dir, 0o700); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(cmd.Dir)
	if err != nil {
		return nil, err
	}
	if len(files) > 0 && !slices.ContainsFunc(files, func(f os.DirEntry) bool { return f.Name() == demoMark }) {
		return nil, usageError{errors.New(t.say("%s is not empty and not a demo's: name another folder with --dir", "Папка %s не пуста и не от прошлой пробы: укажите другую, --dir", cmd.Dir))}
	}
	mark, err := os.OpenFile(filepath.Join(cmd.Dir, demoMark), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(mark.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(usageError{errors.New(t.say("another demo runs in %s", "В папке %s уже идёт проба", cmd.Dir))}, mark.Close())
	}
	if err := stopLeftover(t, filepath.Join(cmd.Dir, "redis")); err != nil {
		return nil, errors.Join(err, mark.Close())
	}
	for _, f := range files {
		if f.Name() != demoMark {
			err = errors.Join(err, os.RemoveAll(filepath.Join(cmd.Dir, f.Name())))
		}
	}
	return mark.Close, err
}

// stopLeftover ends the redis-server that a killed demo has left behind: nobody else would.
func stopLeftover(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return nil
	}
	e, err := streams.StartEmbedded(ctx, streams.EmbeddedOptions{Dir: dir, Log: zerolog.Nop()})
	if err != nil {
		return err
	}
	return e.Close()
}

type demo struct {
	*terminal
	cmd   demoCmd
	key   string
	crm   *portal.Portal
	phone *phone.Phone

	carriers []*carrier
	customer *customer.Phone
}

// messengers starts those that a customer writes by, and answers their sources, and the channels by which they are answered, as lines of
// config.yaml.
func (d *demo) messengers() (sources, channels string, err error) {
	list := []customer.Messenger{}
	for _, m := range []struct{ preset, name string }{{"telegram", "Telegram"}, {"whatsapp", "WhatsApp"}, {"vk", d.say("VK", "ВКонтакте")}, {"max", "MAX"}} {
		c := &carrier{source: m.preset, preset: m.preset, hurry: carrierHurry}
		config, err := carriers[m.preset].open(c, nil)
		if c.close != nil {
			d.carriers = append(d.carriers, c)
		}
		if err != nil {
			return "", "", err
		}
		config["preset"] = m.preset
		line, err := json.Marshal(config)
		if err != nil {
			return "", "", err
		}
		sources += fmt.Sprintf("  %s: %s\n", m.preset, line)
		put := maps.Clone(c.talks.put)
		put["kind"] = m.preset
		if line, err = json.Marshal(put); err != nil {
			return "", "", err
		}
		channels += fmt.Sprintf("    %s: %s\n", m.preset, line)
		list = append(list, customer.Messenger{Name: m.name, Write: c.write, Said: func(who int64) []string { return c.talks.said(c.address(who)) }})
	}
	d.customer = customer.New(customer.Options{Messengers: list, See: map[string]string{d.say("Bitrix24", "Битрикс24"): d.crm.Base()}})
	return sources, channels, d.customer.Start()
}

// connect has the messengers send to the daemon.
func (d *demo) connect(ctx context.Context) error {
	for _, c := range d.carriers {
		if err := c.connect(ctx, d.url("/in/"+c.source)); err != nil {
			return fmt.Errorf("%s: %w", c.source, err)
		}
	}
	return nil
}

// Close ends the messengers and the customer's phone.
func (d *demo) Close() (err error) {
	if d.customer != nil {
		err = d.customer.Close()
	}
	for _, c := range d.carriers {
		err = errors.Join(err, c.close())
	}
	return err
}

// config is a config.yaml as anybody would write it, read as any other.
func (d *demo) config(messengers, channels string) (*Config, error) {
	text := fmt.Sprintf(`language: %s
listen: %s
data_dir: .
log: {level: warn}
sources:
  site: {keys: [%q], channel: site}
%ssinks:
  crm: {kind: bitrix24, url: %q, allow_private: true}
  table: {kind: csv}
  manager: {kind: telegram, token: "110201543:phone-token", chat: 1000001, base_url: %q, allow_private: true}
tell: {sinks: [manager]}
calendar: {kind: builtin, hours: {mon-sun: "09:00-21:00"}}
triage: {services: %s}
answers:
  channels:
%s  texts: {business: %s}
`, d.lang, d.cmd.Listen, intake.KeyHash(d.key), messengers, d.crm.URL(), d.phone.URL(),
		d.say(`[{name: haircut, price: 1500}, {name: manicure, price: 2000}]`, `[{name: стрижка, price: 1500}, {name: маникюр, price: 2000}]`), channels,
		d.say(`{name: Romashka, address: "Main Street 1", hours: "daily 9 to 21"}`, `{name: Ромашка, address: "ул. Ленина, 1", hours: "ежедневно с 9 до 21"}`))
	path := filepath.Join(d.cmd.Dir, "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	t := *d.terminal
	t.config = path
	return t.loadConfig()
}

func (d *demo) url(path string) string { return "http://" + d.cmd.Listen + path }

// introduce says where everything is, and how to send a lead.
func (d *demo) introduce() {
	fmt.Fprintln(d.out, d.say("leadstream runs. The simulated Bitrix24: %s  The manager's phone: %s", "leadstream работает. Учебный Битрикс24: %s  Телефон менеджера: %s", d.crm.Base(), d.phone.URL()))
	fmt.Fprintln(d.out, d.say("Send a lead from another terminal:", "Отправьте заявку из другого терминала:"))
	fmt.Fprintf(d.out, "\n  curl %s -H 'X-Api-Key: %s' -H 'Content-Type: application/json' -d '%s'\n\n", d.url("/v1/leads"), d.key,
		d.say(`{"name":"Anna","phone":"+79990000011","message":"Can I come today after two?"}`, `{"name":"Анна","phone":"+79990000011","message":"Есть запись на сегодня после двух?"}`))
	fmt.Fprintln(d.out, d.say("Or write as a customer, by Telegram, WhatsApp, VK or MAX: %s", "Или напишите как клиент — в Telegram, WhatsApp, ВКонтакте или MAX: %s", d.customer.URL()))
	if !d.cmd.Once {
		fmt.Fprintln(d.out, d.say("Ctrl-C ends it.", "Остановить: Ctrl-C."))
	}
}

// watch says what arrives in the simulated CRM.
func (d *demo) watch(ctx context.Context) {
	cards := map[string]int{} // by the lead that they were made for
	for seen := 0; ctx.Err() == nil; {
		events := d.crm.Ledger()
		for _, e := range events[seen:] {
			if e.Kind == "comment" {
				fmt.Fprintln(d.out, d.say("Bitrix24 has a comment in lead #%d", "В Битрикс24 новый комментарий к лиду №%d", cards[e.Origin]))
			}
			if e.Kind == "create" && e.Entity == "lead" {
				cards[e.Origin] = e.ID
				fmt.Fprintln(d.out, d.say("Bitrix24 has lead #%d (%s)", "В Битрикс24 появился лид №%d (%s)", e.ID, e.Origin))
			}
		}
		seen = len(events)
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// show sends the made-up leads and tells what becomes of them.
func (d *demo) show(ctx context.Context) error {
	for i := range d.cmd.Leads {
		start := time.Now()
		id, err := d.send(ctx, i)
		if err != nil {
			return err
		}
		taken := time.Since(start)
		var life streams.Life
		if err := d.until(ctx, func(ctx context.Context) (err error) { life, err = d.delivered(ctx, id); return err }); err != nil {
			return err
		}
		fmt.Fprintln(d.out, d.say("%s taken in %s, %s in %s: %s", "%s принята за %s, %s за %s: %s", id, taken.Round(10*time.Microsecond),
			life.State, time.Since(start).Round(time.Millisecond), stops(life.Destinations)))
	}
	return nil
}

// until asks again and again until it is so.
func (d *demo) until(ctx context.Context, so func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	for {
		err := so(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *demo) ready(ctx context.Context) error {
	return d.ask(ctx, http.MethodGet, "/readyz", nil, nil)
}

var demoWishes = []struct{ name, service, message string }{
	{"Анна", "стрижка", "Здравствуйте! Есть запись на сегодня после 14:00?"},
	{"Мария", "маникюр", "Сколько стоит маникюр с покрытием?"},
	{"Игорь", "борода", "Хочу перенести запись на завтра"},
	{"Ольга", "окрашивание", "Подскажите адрес и как проехать"},
	{"Пётр", "массаж", "Нужна консультация, срочно"},
}

func (d *demo) send(ctx context.Context, i int) (id string, err error) {
	wish := demoWishes[i%len(demoWishes)]
	body, err := json.Marshal(map[string]string{"name": wish.name, "phone": fmt.Sprintf("+7999000%04d", i), "service": wish.service, "message": wish.message})
	if err != nil {
		return "", err
	}
	var answer struct {
		LeadID string `json:"lead_id"`
	}
	err = d.ask(ctx, http.MethodPost, "/v1/leads", body, &answer)
	return answer.LeadID, err
}

var errUnderWay = errors.New("the lead is still under way")

func (d *demo) delivered(ctx context.Context, id string) (life streams.Life, err error) {
	if err := d.ask(ctx, http.MethodGet, "/v1/leads/"+id, nil, &life); err != nil {
		return life, err
	}
	if !life.State.Final() {
		return life, errUnderWay
	}
	return life, nil
}

// ask speaks to the daemon as a sender does.
func (d *demo) ask(ctx context.Context, method, path string, body []byte, to any) error {
	req, err := http.NewRequestWithContext(ctx, method, d.url(path), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+d.key)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s", method, strings.SplitN(path, "?", 2)[0], res.Status)
	}
	if to == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(to)
}
