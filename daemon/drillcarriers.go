package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"leadstream/daemon/channel"
	"leadstream/daemon/drill"
	"leadstream/daemon/intake"
	"leadstream/daemon/proof"
	"leadstream/sinks/sim/max"
	"leadstream/sinks/sim/meta"
	"leadstream/sinks/sim/notice"
	"leadstream/sinks/sim/phone"
	"leadstream/sinks/sim/push"
	"leadstream/sinks/sim/vk"
	"leadstream/streams"
)

// A drill plays messengers, telephone exchanges and mail as they come in life: a source of config.yaml whose sender is such
// a service gets a simulated one of its own, which knows secrets made up here, tells again what was not taken, and tells
// things that are no enquiries among those that are.

// carrier is the simulated service of one source, and what it knows of each message.
type carrier struct {
	source, preset string
	kind           carrierKind
	asked          bool // the daemon asks; else the service posts
	hurry          float64
	watch          push.Watch
	ledger         *proof.Ledger // set when the drill begins

	connect func(ctx context.Context, address string) error // has it post there, or waits until it is asked
	write   func(who int64, name, text string)
	aside   func(who int64) int // tells what is no enquiry, and answers how many such things
	unread  func() int
	url     string                 // where it is asked; empty: nowhere
	talks   talks                  // with customers; put is nil: it has none
	address func(who int64) string // of somebody who writes by it, as talks has it
	close   func() error

	protocol channel.Protocol // reads what it tells, as the daemon does

	mu        sync.Mutex
	written   map[string]*proof.Request // by their marks
	tries     map[string]int
	customers []int64
	news      map[string]bool // ids that the daemon gives to what is no enquiry and yet kept
	asides    int
	again     int
	faults    []string
}

// carrierKind is what there is to know of a kind of service.
type carrierKind struct {
	open     func(c *carrier, s *drillSetup) (config map[string]any, err error)
	phoned   bool // tells the customer's phone
	nameless bool // tells no name
	ordered  bool // tells a customer's next message when the one before was taken
}

// carriers are the services by preset.
var carriers = map[string]carrierKind{
	"telegram": {open: openTelegram, ordered: true},
	"vk":       {open: openVK, ordered: true, nameless: true},
	"max":      {open: openMax, ordered: true},
	"whatsapp": {open: openWhatsApp, phoned: true},
	"meta":     {open: openMessenger, nameless: true},
	"avito":    {open: openNotice, ordered: true, nameless: true},
	"mail":     {open: openNotice, ordered: true},
	"mango":    {open: openNotice, phoned: true, nameless: true},
	"twilio":   {open: openNotice, phoned: true, nameless: true},
	"uis":      {open: openNotice, phoned: true, nameless: true},
	"zadarma":  {open: openNotice, phoned: true, nameless: true},
}

// Shares of a service's leads: behind which the same customer writes once more at once, besides which something comes that
// is no enquiry, and of answers that the service does not hear.
const (
	goesOn = 0.3
	beside = 0.2
	deaf   = 0.1
)

// carrierHurry is how many times sooner than in life services tell again what was not taken: a fault of the drill lasts
// seconds, and MAX comes again after 45.
const (
	carrierHurry      = 10
	quickCarrierHurry = 40
)

// carry starts the service of a source and answers what config.yaml is to say of it.
func (s *simulators) carry(source string, given intake.Source, set *drillSetup) (config map[string]any, err error) {
	c := &carrier{source: source, preset: given.Preset, kind: carriers[given.Preset], asked: given.Poll, hurry: carrierHurry, written: map[string]*proof.Request{},
		tries: map[string]int{}, news: map[string]bool{}, close: func() error { return nil }}
	if set.FarSide > 0 {
		c.hurry = quickCarrierHurry
	}
	c.watch = push.Watch{Tried: c.tried, Deaf: func() bool { return mathrand.Float64() < deaf }}
	if config, err = c.kind.open(c, set); err != nil {
		return nil, err
	}
	if c.asked {
		maps.Copy(config, map[string]any{"poll": true, "base_url": c.url, "allow_private": true})
	}
	s.carriers[source] = c
	return config, nil
}

// speak lets carriers read what they tell as the daemon does.
func (s *simulators) speak(cfg *Config) {
	for name, c := range s.carriers {
		set := cfg.Sources[name]
		region, language := cfg.Region, cfg.Language
		if set.Region != "" {
			region = set.Region
		}
		if set.Language != "" {
			language = set.Language
		}
		c.protocol = channel.New(c.preset, channel.Config{Secrets: set.Secrets, Accounts: set.Accounts, Verification: set.Verification, URL: set.URL,
			Region: region, Language: language, Zone: cfg.Zone(), Poll: set.Poll, Token: set.Token})
	}
}

// isNews says whether the daemon gives an id to what is no enquiry and yet kept: a receipt, an echo.
func (s *simulators) isNews(id string) bool {
	for _, c := range s.carriers {
		c.mu.Lock()
		news := c.news[id]
		c.mu.Unlock()
		if news {
			return true
		}
	}
	return false
}

// hush ends what services tell, so that nothing changes while it is counted.
func (s *simulators) hush() error {
	var err error
	s.untold, s.hushed = s.unread(), true
	for _, c := range s.carriers {
		err = errors.Join(err, c.close())
	}
	return err
}

// unread is how much services still have to tell.
func (s *simulators) unread() (n int) {
	if s.hushed {
		return 0
	}
	for _, c := range s.carriers {
		n += c.unread()
	}
	return n
}

// send has a customer write at the moment when it was due. What becomes of it the service sees to.
func (c *carrier) send(due time.Time) {
	who := c.customer()
	c.say(who, due)
	if mathrand.Float64() < goesOn && !notice.Calls(c.preset) {
		c.say(who, due)
	}
	if mathrand.Float64() < beside {
		n := c.aside(who)
		c.mu.Lock()
		c.asides += n
		c.mu.Unlock()
	}
}

// customer is a new one, or one of the latest who have written.
func (c *carrier) customer() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.customers); n > 0 && mathrand.Float64() < again && !notice.Calls(c.preset) {
		return c.customers[n-1-mathrand.IntN(min(n, 20))]
	}
	who, _ := c.ledger.Next()
	c.customers = append(c.customers, who)
	return who
}

func (c *carrier) say(who int64, due time.Time) {
	n, text := c.ledger.Next()
	r := &proof.Request{Source: c.source, Carried: true, Nameless: c.kind.nameless, Who: c.source + " " + strconv.FormatInt(who, 10), Text: text,
		Due: due, Sent: time.Now(), Fate: proof.Waiting}
	if c.kind.phoned {
		r.Phone = number(who)
	}
	if notice.Calls(c.preset) {
		r.Text = proof.Call(r.Phone)
	}
	if c.kind.ordered {
		r.Turn = n
	}
	r.Answered = r.Sent
	c.mu.Lock()
	c.written[proof.Mark(r.Text)] = r
	c.mu.Unlock()
	c.ledger.Note(*r)
	c.write(who, proof.PersonName, r.Text)
}

// number is a customer's phone.
func number(who int64) string { return fmt.Sprintf(proof.PhonePrefix+"%07d", who) }

// tried notes what became of a handing over.
func (c *carrier) tried(t push.Try) {
	media := "application/json"
	if c.preset == "mail" {
		media = "message/rfc822"
	}
	events, err := c.protocol.Read(t.Body, media)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.faults = append(c.faults, c.source+": "+err.Error())
	}
	for _, e := range events {
		id := streams.KeyedID(c.source, e.Lead.Key, e.Canonical())
		switch {
		case e.Err != nil:
			c.faults = append(c.faults, c.source+": "+e.Err.Error())
			continue
		case e.Ignore != "":
			continue
		case e.Lead.Event != "":
			c.news[id] = true
			continue
		}
		mark := proof.Mark(e.Lead.Message)
		if mark == "" {
			mark = proof.Call(e.Lead.Phone)
		}
		base := c.written[mark]
		if base == nil {
			c.faults = append(c.faults, fmt.Sprintf("%s: tells %q, which nobody wrote", c.source, mark))
			continue
		}
		if c.tries[mark]++; c.tries[mark] > 1 {
			c.again++
		}
		r := *base
		r.LeadID, r.Sent, r.Answered, r.Status, r.Err, r.Fate = id, t.Sent, t.Answered, t.Status, t.Err, proof.Unknown
		switch {
		case t.Err == nil:
			r.Fate = proof.Acked
		case t.Status != 0 && t.Status/100 != 2:
			r.Fate = proof.Rejected
		}
		c.ledger.Note(r)
	}
}

// figures are what the report begins with, and what was wrong with the service itself.
func (c *carrier) figures() (drill.Source, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := drill.Source{Name: c.source, Kind: c.preset, Way: drill.ByWebhook, Again: c.again, Aside: c.asides}
	if c.asked {
		f.Way = drill.Asked
	}
	return f, slices.Clone(c.faults)
}

// asking waits until the daemon asks.
func asking(yes func() bool) func(context.Context, string) error {
	return func(ctx context.Context, _ string) error {
		return proof.Eventually(ctx, "the daemon asks for messages", yes)
	}
}

func openTelegram(c *carrier, _ *drillSetup) (map[string]any, error) {
	secret, token := rand.Text(), "220201543:"+rand.Text()
	bot := phone.New(phone.Options{Token: token, Chats: []phone.Chat{}, PlainHTTP: true, Hurry: c.hurry, Watch: c.watch})
	from := func(who int64, name string) phone.From { return phone.From{ID: 5_000_000 + who, Name: name} }
	c.write = func(who int64, name, text string) { bot.Write(from(who, name), text) }
	c.aside = func(who int64) int {
		bot.Tell("edited_message", from(who, proof.PersonName), func() map[string]any { return map[string]any{"text": "an edit", "edit_date": time.Now().Unix()} })
		return 1
	}
	c.unread, c.close = bot.Unread, bot.Close
	if err := bot.Start(); err != nil {
		return nil, err
	}
	c.url = bot.URL()
	c.talks = talks{put: map[string]any{"token": token, "base_url": c.url, "allow_private": true}, sends: "sendMessage", box: bot, said: func(to string) (all []string) {
		for _, m := range bot.Messages() {
			if m.To == to {
				all = append(all, m.Text)
			}
		}
		return all
	}}
	c.address = func(who int64) string { return strconv.FormatInt(5_000_000+who, 10) }
	if c.asked {
		c.connect = asking(bot.Polled)
		return map[string]any{"token": token}, nil
	}
	c.connect = func(_ context.Context, address string) error { bot.SetWebhook(address, secret); return nil }
	return map[string]any{"secrets": []string{secret}}, nil
}

func openVK(c *carrier, _ *drillSetup) (map[string]any, error) {
	secret, token, confirm := rand.Text(), "vk1.a."+rand.Text(), rand.Text()[:8]
	const group = 200000001
	club := vk.New(vk.Options{Token: token, Group: group, Confirm: confirm, History: 1 << 20, Hurry: c.hurry, Watch: c.watch})
	from := func(who int64) int64 { return 6_000_000 + who }
	c.write = func(who int64, _, text string) { club.Write(from(who), text) }
	c.aside = func(who int64) int {
		club.Reply(from(who), communitysOwn)
		club.Read(from(who))
		return 2
	}
	c.close = club.Close
	if err := club.Start(); err != nil {
		return nil, err
	}
	c.url = club.URL()
	c.talks = talks{put: map[string]any{"token": token, "base_url": c.url, "allow_private": true}, sends: "messages.send", box: club, said: func(to string) []string {
		peer, _ := strconv.ParseInt(to, 10, 64) // as the daemon knows who has written
		return slices.DeleteFunc(club.Told(peer), func(text string) bool { return text == communitysOwn })
	}}
	c.address = func(who int64) string { return strconv.FormatInt(from(who), 10) }
	config := map[string]any{"accounts": []string{strconv.Itoa(group)}}
	if c.asked {
		c.connect, c.unread = asking(club.Polling), club.Unasked
		config["token"] = token
		return config, nil
	}
	c.unread = club.Unsent
	c.connect = func(ctx context.Context, address string) error {
		if err := club.Serve(address, secret); err != nil {
			return err
		}
		return proof.Eventually(ctx, "VK's callback server is confirmed", func() bool { return slices.Contains(club.Servers(), address+" ok") })
	}
	maps.Copy(config, map[string]any{"secrets": []string{secret}, "verification": confirm})
	return config, nil
}

func openMax(c *carrier, _ *drillSetup) (map[string]any, error) {
	secret, token := rand.Text(), rand.Text()
	bot := max.New(max.Options{Token: token, PlainHTTP: true, Hurry: c.hurry, Watch: c.watch})
	from := func(who int64) int64 { return 7_000_000 + who }
	c.write = func(who int64, name, text string) { bot.Write(from(who), name, text) }
	c.aside = func(who int64) int {
		bot.Tell("message_edited", map[string]any{"message": map[string]any{"recipient": map[string]any{"chat_type": "dialog"}, "body": map[string]any{"mid": "mid.0", "text": "an edit"}}})
		return 1
	}
	c.unread, c.close = bot.Unread, bot.Close
	if err := bot.Start(); err != nil {
		return nil, err
	}
	c.url = bot.URL()
	c.talks = talks{put: map[string]any{"token": token, "base_url": c.url, "allow_private": true}, sends: "POST /messages", box: bot, said: func(to string) []string {
		user, _ := strconv.ParseInt(to, 10, 64) // as the daemon knows who has written
		return bot.Told(user)
	}}
	c.address = func(who int64) string { return strconv.FormatInt(from(who), 10) }
	if c.asked {
		c.connect = asking(bot.Polling)
		return map[string]any{"token": token}, nil
	}
	c.connect = func(_ context.Context, address string) error { bot.Subscribe(address, secret, nil); return nil }
	return map[string]any{"secrets": []string{secret}}, nil
}

// graphNumber is the id of the business's number.
const graphNumber = "555000111222333"

// communitysOwn is what a person of a community answers.
const communitysOwn = "a reply of the community's"

// graph is a simulated Graph API, which puts several events into one webhook.
func graph(c *carrier) (s *meta.Server, config map[string]any, err error) {
	secret, verify, token := rand.Text(), rand.Text(), rand.Text()
	s = meta.New(meta.Options{Token: token, Secret: secret, Verify: verify, Phone: graphNumber, Batch: 10, Linger: 50 * time.Millisecond,
		Back: time.Duration(float64(time.Second) * 10 / c.hurry), Watch: c.watch})
	c.unread, c.connect = s.Pending, s.Subscribe
	c.close = func() error { s.Close(); return nil }
	if err := s.Start(); err != nil {
		return nil, nil, err
	}
	c.talks = talks{put: map[string]any{"token": token, "phone_number_id": graphNumber, "base_url": s.URL(), "allow_private": true}, sends: "send:*", box: s,
		mute: func(yes bool) { s.Doom("", meta.Fate{Silent: yes}) }, said: func(to string) (all []string) {
			for _, m := range s.Sent() {
				if m.To == strings.TrimPrefix(to, "+") {
					all = append(all, m.Text)
				}
			}
			return all
		}}
	return s, map[string]any{"secrets": []string{secret}, "verification": verify}, nil
}

func openWhatsApp(c *carrier, _ *drillSetup) (map[string]any, error) {
	s, config, err := graph(c)
	if err != nil {
		return nil, err
	}
	from := func(who int64) string { return strings.TrimPrefix(number(who), "+") }
	c.write = func(who int64, name, text string) { s.Write(from(who), name, meta.Text(text)) }
	c.address = from
	c.aside = func(who int64) int {
		s.Echo(from(who), "a reply by the handset")
		s.Seen(from(who))
		return 3
	}
	return config, nil
}

func openMessenger(c *carrier, _ *drillSetup) (map[string]any, error) {
	s, config, err := graph(c)
	if err != nil {
		return nil, err
	}
	from := func(who int64) string { return strconv.FormatInt(8_000_000+who, 10) }
	c.write = func(who int64, _, text string) { s.Say(from(who), text) }
	c.aside = func(who int64) int { s.Answer(from(who), "a reply of the page's"); return 1 }
	return config, nil
}

func openNotice(c *carrier, set *drillSetup) (map[string]any, error) {
	secret, account := rand.Text(), "90000001"
	signed := "https://" + set.Listen + "/in/" + c.source
	s := notice.New(notice.Options{Kind: c.preset, Secret: secret, Account: account, Signed: signed, Hurry: c.hurry, Watch: c.watch})
	from := func(who int64) string {
		switch {
		case notice.Calls(c.preset):
			return number(who)
		case c.preset == "mail":
			return fmt.Sprintf("person%d@example.test", who)
		}
		return strconv.FormatInt(9_000_000+who, 10)
	}
	c.write = func(who int64, name, text string) { s.Write(from(who), name, text) }
	c.aside = func(who int64) int { s.Own(from(who), "not an enquiry"); return 1 }
	c.unread = s.Unread
	c.close = func() error { s.Close(); return nil }
	c.connect = func(_ context.Context, address string) error { s.Connect(address); return nil }
	config := map[string]any{}
	switch c.preset {
	case "avito":
		config["accounts"] = []string{account}
	case "mango":
		config["secrets"], config["accounts"] = []string{secret}, []string{account}
	case "twilio":
		config["secrets"], config["accounts"], config["url"] = []string{secret}, []string{account}, signed
	case "zadarma":
		config["secrets"] = []string{secret}
	}
	if channel.Open(c.preset) {
		key := intake.NewKey("drill")
		set.Keys[c.source], config["keys"] = key, []string{intake.KeyHash(key)}
	}
	return config, nil
}

// connectAll has every service find the daemon.
func (d *drillRun) connectAll(ctx context.Context) error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(d.sims.carriers)) {
		c := d.sims.carriers[name]
		c.ledger = d.ledger
		address := d.world.URL("/in/" + name)
		if key := d.setup.Keys[name]; key != "" {
			address += "/" + key
		}
		if err := c.connect(ctx, address); err != nil {
			faults = append(faults, fmt.Errorf("sources.%s: %w", name, err))
		}
	}
	return errors.Join(faults...)
}
