package talk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"leadstream/sinks"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// whatsAppKind writes to customers from a number of WhatsApp's Cloud API: free words for a day after the customer's last
// word, templates that Meta has approved at any time. What becomes of a message comes by webhook, with Words.ID along.
// Texts go as they are: WhatsApp has no way to write an asterisk that is none of its bold marks.
func whatsAppKind() Kind {
	return Kind{
		Settings: func() any { return &WhatsAppSettings{BaseURL: graphURL} },
		Open: func(settings any, env sinks.Env) (outbound.Channel, error) {
			return openWhatsApp(*settings.(*WhatsAppSettings), env)
		},
		Channel: "whatsapp", Address: User, ByPhone: true,
		Rate: streams.Rate{PerSecond: 60, Burst: 20}, // of 80, which what customers write counts in
		Pair: 6 * time.Second, Window: metaWindow, First: true, Approved: true, Tells: outbound.Read, Sure: true,
		Later: whatsAppLater,
	}
}

// WhatsAppSettings are the keys of a whatsapp channel.
type WhatsAppSettings struct {
	Token        string `koanf:"token"`           // of a system user with whatsapp_business_messaging
	Phone        string `koanf:"phone_number_id"` // of the number that writes
	BaseURL      string `koanf:"base_url"`        // with the version
	AllowPrivate bool   `koanf:"allow_private"`
	CAFile       string `koanf:"ca_file"`
	Proxy        string `koanf:"proxy"`
}

type whatsApp struct {
	*graph
	choose string // on the button that opens a list of answers
}

func openWhatsApp(s WhatsAppSettings, env sinks.Env) (outbound.Channel, error) {
	g, err := openGraph(&graph{who: "whatsapp", base: s.BaseURL, token: s.Token, account: s.Phone, rulings: whatsAppRulings},
		s.CAFile, s.Proxy, s.AllowPrivate, env)
	if !metaAccount.MatchString(s.Phone) {
		err = errors.Join(errors.New("phone_number_id: is not a number's id; take it from WhatsApp → API Setup, it is not the number itself"), err)
	}
	if err != nil {
		return nil, err
	}
	w := &whatsApp{g, "Choose"}
	if env.Language == "ru" {
		w.choose = "Выбрать"
	}
	return w, nil
}

// metaAccount is an id of an account of ours.
var metaAccount = regexp.MustCompile(`^[0-9]{5,25}$`)

// whatsAppRulings are the codes of the Cloud API (developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes).
// The same come at once and, by webhook, later.
var whatsAppRulings = func() map[string]ruling {
	stop := func(after time.Duration, say string) ruling {
		return ruling{result: streams.Pause, scope: streams.ScopeMethod, key: templates, after: after, say: say}
	}
	template := func(say string) ruling { return graphFinal("", say) }
	fault := ruling{result: streams.Ambiguous, say: "a fault of Meta's"}
	gone := graphPause(graphConfig, "the number is not registered: register it again, or correct phone_number_id")
	all := maps.Clone(graphRulings)
	maps.Copy(all, map[string]ruling{
		"33":     gone,
		"131045": gone,
		"133010": gone,
		"131005": graphPause(graphConfig, "the token lacks a right: give it whatsapp_business_messaging"),
		"131031": graphPause(graphStern, "the account is locked: look into the WhatsApp Manager"),
		"131057": {result: streams.Pause, after: graphConfig, say: "the account is in maintenance"},
		"80007":  graphPause(graphCalls, "the business account has made too many calls"),
		"131042": stop(graphStern, "the payment for messages is not in order: look into the WhatsApp Manager"),
		"131048": stop(graphStern, "Meta restricts the number, since people block or report it: write less, and look into the WhatsApp Manager"),
		"134101": {result: streams.Wait, after: 10 * time.Minute, say: "the template is still being synchronised"},

		"130429": {result: streams.Pause, after: 2 * time.Second, grows: true, say: "the number sends too much"},
		"131056": {result: streams.Wait, scope: streams.ScopeKey, after: 6 * time.Second, grows: true, say: "too many messages to this customer"},

		"131047": graphFinal(outbound.NeedsTemplate, "more than a day has passed since the customer's last word: only an approved template gets through"),
		"131026": graphFinal(outbound.Unreachable, "the customer cannot receive it: no WhatsApp, too old a version, or they block the business"),
		"131049": graphFinal(outbound.NotThis, "Meta does not deliver it: this customer has had enough advertising"),
		"130472": graphFinal(outbound.NotThis, "Meta does not deliver it: the customer is in an experiment of Meta's"),
		"131050": graphFinal(outbound.OptedOut, "the customer wants no advertising"),
		"131021": graphFinal(outbound.Unreachable, "the customer's number is our own"),
		"131030": graphFinal(outbound.Unreachable, "the number is in test, and the customer not on its list: add them, or take the number live"),
		"131062": graphFinal(outbound.Unreachable, "the customer hides the number, and this kind of message needs it"),

		"131008": graphFinal("", "something that Meta requires is missing"),
		"131009": graphFinal("", "Meta does not accept a value"),
		"131051": graphFinal("", "Meta does not know this type of message"),
		"131052": {result: streams.Retry, say: "the file could not be fetched"},
		"131053": {result: streams.Retry, say: "the file could not be taken"},

		"132000": template("the template has another number of parameters: compare approved in config.yaml with the WhatsApp Manager"),
		"132001": template("there is no such template in this language: compare approved in config.yaml with the WhatsApp Manager"),
		"132005": template("the template with its parameters is too long"),
		"132007": template("the template breaks Meta's rules: look into the WhatsApp Manager"),
		"132012": template("a parameter has another format than the template's"),
		"132015": template("the template is paused for its low quality: change it in the WhatsApp Manager"),
		"132016": template("the template is disabled for its low quality: make another one"),
		"132018": template("a parameter is refused"),
		"132068": graphFinal("", "the flow is blocked"),
		"132069": {result: streams.Retry, after: time.Minute, say: "the flow is throttled"},

		"131000": fault,
		"131016": fault,
		"133004": fault,
	})
	return all
}()

// whatsAppLater is what the code of a status "failed" means. A message that Meta took and could not bring for a passing reason
// is not sent again by this channel: what follows is the next one.
func whatsAppLater(code string) outbound.Means { return whatsAppRulings[code].means }

// Limits of the Cloud API, in characters.
const (
	whatsAppText    = 4096
	whatsAppBody    = 1024 // above buttons
	whatsAppButtons = 3
	whatsAppTitle   = 20 // of a button
	whatsAppID      = 256
	whatsAppRows    = 10
	whatsAppRow     = 24 // title of an answer in a list
	whatsAppRowID   = 200
	whatsAppOpaque  = 512
)

var (
	whatsAppNumber = regexp.MustCompile(`^\+?([1-9][0-9]{5,14})$`)
	// whatsAppUser is the id that a business has of a customer who may hide the number (business-scoped user id).
	whatsAppUser = regexp.MustCompile(`^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$`)
)

type whatsAppMessage struct {
	Product     string               `json:"messaging_product"`
	Kind        string               `json:"recipient_type"`
	To          string               `json:"to,omitempty"`
	Recipient   string               `json:"recipient,omitempty"` // a business-scoped user id
	Type        string               `json:"type"`
	Text        *whatsAppWords       `json:"text,omitempty"`
	Interactive *whatsAppInteractive `json:"interactive,omitempty"`
	Template    *whatsAppTemplate    `json:"template,omitempty"`
	Opaque      string               `json:"biz_opaque_callback_data,omitempty"` // comes back with each status
}

type whatsAppWords struct {
	Preview bool   `json:"preview_url"`
	Body    string `json:"body"`
}

type whatsAppInteractive struct {
	Type string `json:"type"` // button, list, cta_url
	Body struct {
		Text string `json:"text"`
	} `json:"body"`
	Action any `json:"action"`
}

type whatsAppTemplate struct {
	Name     string `json:"name"`
	Language struct {
		Code string `json:"code"`
	} `json:"language"`
	Components []whatsAppComponent `json:"components,omitempty"`
}

type whatsAppComponent struct {
	Type       string              `json:"type"`
	Parameters []whatsAppParameter `json:"parameters"`
}

type whatsAppParameter struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// Send sends the approved template, or else the text, with its answers as buttons or as a list where they fit.
func (c *whatsApp) Send(ctx context.Context, to string, w outbound.Words) outbound.Tried {
	m := whatsAppMessage{Product: "whatsapp", Kind: "individual"}
	if len(w.ID) <= whatsAppOpaque {
		m.Opaque = w.ID
	}
	if number := whatsAppNumber.FindStringSubmatch(to); number != nil {
		m.To = number[1]
	} else if whatsAppUser.MatchString(to) {
		m.Recipient = to
	} else {
		tried := local(c.who, "address", "the customer's address is neither a number nor an id of WhatsApp's")
		tried.Means = outbound.Unreachable
		return tried
	}
	if w.Approved != nil {
		t, fault := whatsAppApproved(*w.Approved)
		if fault != "" {
			return local(c.who, "parameter", fault)
		}
		m.Type, m.Template = templates, t
		return c.send(ctx, to, m, true)
	}
	w.Text = sinks.Clean(w.Text)
	if w.Text == "" {
		return empty(c.who)
	}
	if m.Interactive = c.interactive(w); m.Interactive != nil {
		m.Type = "interactive"
		return c.send(ctx, to, m, false)
	}
	text := sinks.Clean(written(w))
	if n := utf8.RuneCountInString(text); n > whatsAppText {
		return local(c.who, "too_long", fmt.Sprintf("the text has %d characters, WhatsApp takes %d: shorten the template", n, whatsAppText))
	}
	m.Type, m.Text = "text", &whatsAppWords{Body: text}
	return c.send(ctx, to, m, false)
}

// whatsAppApproved is a template with its parameters. Meta refuses those with line breaks, tabs or four blanks in a row, and
// empty ones: that is known before it is asked.
func whatsAppApproved(a outbound.Approved) (t *whatsAppTemplate, fault string) {
	t = &whatsAppTemplate{Name: a.Name}
	if t.Language.Code = a.Language; a.Name == "" || a.Language == "" {
		return nil, "the template has no name or no language"
	}
	body := whatsAppComponent{Type: "body"}
	for i, p := range a.Parameters {
		if strings.TrimSpace(p) == "" || strings.ContainsAny(p, "\n\r\t") || strings.Contains(p, "    ") {
			return nil, fmt.Sprintf("parameter %d of the template is empty, or holds a line break, a tab or four blanks in a row, which Meta refuses", i+1)
		}
		body.Parameters = append(body.Parameters, whatsAppParameter{"text", sinks.Clean(p)})
	}
	if body.Parameters != nil {
		t.Components = []whatsAppComponent{body}
	}
	return t, ""
}

// interactive is the message with its buttons, nil when it has none or WhatsApp would refuse them: then they are written out.
func (c *whatsApp) interactive(w outbound.Words) *whatsAppInteractive {
	var links, answers []outbound.Button
	for _, b := range w.Buttons {
		if b.Text = sinks.Line(b.Text, 200); b.URL != "" {
			links = append(links, b)
		} else {
			answers = append(answers, b)
		}
	}
	m := &whatsAppInteractive{}
	m.Body.Text = w.Text
	long := utf8.RuneCountInString(w.Text) > whatsAppBody
	switch {
	case utf8.RuneCountInString(w.Text) > whatsAppText:
		return nil
	case !long && len(links) == 1 && len(answers) == 0 && fits(links, 1, whatsAppTitle, 0):
		m.Type = "cta_url"
		m.Action = map[string]any{"name": "cta_url", "parameters": map[string]any{"display_text": links[0].Text, "url": links[0].URL}}
	case len(links) > 0 || len(answers) == 0:
		return nil
	case !long && fits(answers, whatsAppButtons, whatsAppTitle, whatsAppID):
		m.Type = "button"
		var buttons []any
		for _, b := range answers {
			buttons = append(buttons, map[string]any{"type": "reply", "reply": map[string]any{"id": said(b), "title": b.Text}})
		}
		m.Action = map[string]any{"buttons": buttons}
	case fits(answers, whatsAppRows, whatsAppRow, whatsAppRowID):
		m.Type = "list"
		var rows []any
		for _, b := range answers {
			rows = append(rows, map[string]any{"id": said(b), "title": b.Text})
		}
		m.Action = map[string]any{"button": c.choose, "sections": []any{map[string]any{"rows": rows}}}
	default:
		return nil
	}
	return m
}

// fits says whether buttons are few and short enough, and no two of them alike. id is 0 where they say nothing back.
func fits(buttons []outbound.Button, most, title, id int) bool {
	seen := map[string]bool{}
	for _, b := range buttons {
		back := "\x00" + said(b)
		if b.Text == "" || utf8.RuneCountInString(b.Text) > title || id > 0 && utf8.RuneCountInString(said(b)) > id || seen[b.Text] || seen[back] {
			return false
		}
		seen[b.Text], seen[back] = true, true
	}
	return len(buttons) <= most
}

// whatsAppDown are the states of a number that sends nothing.
var whatsAppDown = []string{"BANNED", "DELETED", "DISCONNECTED", "MIGRATED", "PENDING", "UNVERIFIED"}

// Check asks whether the token opens the number, and the number is connected.
func (c *whatsApp) Check(ctx context.Context) error {
	var number struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	}
	if err := c.read(ctx, "id,status", &number); err != nil {
		return err
	}
	if slices.Contains(whatsAppDown, number.Status) {
		return fmt.Errorf("whatsapp: the number is %s: look into the WhatsApp Manager", strings.ToLower(number.Status))
	}
	if cmp.Or(number.ID, c.account) != c.account {
		return errors.New("whatsapp: phone_number_id: Meta speaks of another number")
	}
	return nil
}
