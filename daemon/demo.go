package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"leadstream/daemon/intake"
	"leadstream/sinks/sim/phone"
	"leadstream/sinks/sim/portal"
	"leadstream/streams"
)

// demoCmd runs the real daemon, in a folder of its own, between made-up customers and a made-up Bitrix24 and phone.
// Nothing leaves this machine.
type demoCmd struct {
	Leads  int    `default:"5" help:"How many made-up leads.|Сколько придуманных заявок."`
	Listen string `default:"127.0.0.1:8080" help:"Where leads are taken.|Где принимать заявки."`
	Dir    string `help:"Folder for its data; without it, a temporary one.|Папка для данных; без неё временная."`
	Once   bool   `help:"End when all are delivered, instead of going on until Ctrl-C.|Закончить, когда все доставлены, а не работать до Ctrl-C."`
}

// demoPatience is how long the demo waits for the daemon, and for a lead to arrive.
const demoPatience = 30 * time.Second

func (cmd demoCmd) Run(t *terminal) (err error) {
	if cmd.Leads < 1 || cmd.Leads > 1000 {
		return usageError{errors.New(t.say("--leads is 1 to 1000", "--leads от 1 до 1000"))}
	}
	dir, done, err := cmd.folder()
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
	cfg, err := d.config(dir)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(t)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return run(ctx, cfg) })
	g.Go(func() error {
		defer stop()
		if err := d.show(ctx); err != nil || cmd.Once {
			return err
		}
		fmt.Fprintln(t.out, t.say("It goes on; Ctrl-C ends it.", "Демон работает дальше; Ctrl-C — остановить."))
		<-ctx.Done()
		return nil
	})
	if err := g.Wait(); err != nil && t.Err() == nil {
		return err
	}
	return nil
}

func (cmd demoCmd) folder() (dir string, done func() error, err error) {
	if cmd.Dir != "" {
		dir, err = filepath.Abs(cmd.Dir)
		return dir, func() error { return nil }, errors.Join(err, os.MkdirAll(dir, 0o700))
	}
	dir, err = os.MkdirTemp("", "leadstream-demo-*")
	return dir, func() error { return os.RemoveAll(dir) }, err
}

type demo struct {
	*terminal
	cmd   demoCmd
	key   string
	crm   *portal.Portal
	phone *phone.Phone
}

// config is a config.yaml as anybody would write it, read as any other.
func (d *demo) config(dir string) (*Config, error) {
	text := fmt.Sprintf(`language: %s
listen: %s
data_dir: data
log: {level: warn}
sources:
  site: {keys: [%q], channel: site}
sinks:
  crm: {kind: bitrix24, url: %q, allow_private: true}
  table: {kind: csv}
  manager: {kind: telegram, token: "110201543:phone-token", chat: 1000001, base_url: %q, allow_private: true}
tell: {sinks: [manager]}
`, d.lang, d.cmd.Listen, intake.KeyHash(d.key), d.crm.URL(), d.phone.URL())
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	t := *d.terminal
	t.config = path
	return t.loadConfig()
}

func (d *demo) url(path string) string { return "http://" + d.cmd.Listen + path }

// show sends the leads and tells what becomes of them.
func (d *demo) show(ctx context.Context) error {
	if err := d.until(ctx, d.ready); err != nil {
		return fmt.Errorf("%s: %w", d.say("the daemon does not come up", "демон не запускается"), err)
	}
	fmt.Fprintln(d.out, d.say("Leads are taken at %s, key %s", "Заявки принимает %s, ключ %s", d.url("/v1/leads"), d.key))
	fmt.Fprintln(d.out, d.say("The manager's phone: %s", "Телефон менеджера: %s", d.phone.URL()))
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
