package talk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"time"
	"unicode/utf8"

	"leadstream/sinks"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// metaPlatform is what distinguishes Messenger and Instagram, which Meta's Send API serves alike: answers only, for a day after
// the customer's last word. Its tag for a person's answers of a week (HUMAN_AGENT) is not for programs.
type metaPlatform struct {
	name     string
	most     int                // of a text
	count    func(string) int   // in
	unit     string             // of these
	metadata bool               // a text of ours comes back with the echo of what we have said
	tells    outbound.StepState // by webhook
}

var (
	// Messenger names no message that was read, but only until when all were.
	messengerPlatform = metaPlatform{"messenger", 2000, utf8.RuneCountInString, "characters", true, outbound.Delivered}
	// Instagram counts bytes: 500 letters of Russian (developers.facebook.com/docs/instagram-platform, "Send messages").
	instagramPlatform = metaPlatform{"instagram", 1000, func(s string) int { return len(s) }, "bytes", false, outbound.Read}
)

func metaKind(p metaPlatform) Kind {
	return Kind{
		Settings: func() any { return &MetaSettings{BaseURL: graphURL} },
		Open: func(settings any, env sinks.Env) (outbound.Channel, error) {
			return openMeta(p, *settings.(*MetaSettings), env)
		},
		Channel: p.name, Address: User,
		Rate: streams.Rate{PerSecond: 100, Burst: 20}, // of 300
		Pair: time.Second, Window: metaWindow, Tells: p.tells,
	}
}

// MetaSettings are the keys of a messenger or an instagram channel.
type MetaSettings struct {
	Token        string `koanf:"token"`    // of the page (pages_messaging, instagram_manage_messages), or of the Instagram login
	Account      string `koanf:"account"`  // the page's id, or with an Instagram login the account's
	BaseURL      string `koanf:"base_url"` // with the version; https://graph.instagram.com/v23.0 with an Instagram login
	AllowPrivate bool   `koanf:"allow_private"`
	CAFile       string `koanf:"ca_file"`
	Proxy        string `koanf:"proxy"`
}

type metaChannel struct {
	*graph
	metaPlatform
}

func openMeta(p metaPlatform, s MetaSettings, env sinks.Env) (outbound.Channel, error) {
	g, err := openGraph(&graph{who: p.name, base: s.BaseURL, token: s.Token, account: s.Account, rulings: metaRulings},
		s.CAFile, s.Proxy, s.AllowPrivate, env)
	if !metaAccount.MatchString(s.Account) {
		err = errors.Join(errors.New("account: is not an id; write the number of the page, or of the Instagram account that logs in by itself"), err)
	}
	if err != nil {
		return nil, err
	}
	return &metaChannel{g, p}, nil
}

// metaRulings are the codes of the Send API (developers.facebook.com/docs/messenger-platform/error-codes); Instagram has the
// subcodes that begin with 2534.
var metaRulings = func() map[string]ruling {
	closed := graphFinal(outbound.RouteDead, "more than a day has passed since the customer's last word: they must write again")
	away := graphFinal(outbound.RouteDead, "the customer receives nothing from the account: they block it, or are gone")
	unknown := graphFinal(outbound.RouteDead, "Meta knows no such customer of this account")
	review := graphPause(graphConfig, "the application may only write to its testers: it needs advanced access to messaging")
	slow := ruling{result: streams.Pause, after: 10 * time.Second, grows: true, say: "too many messages"}
	all := maps.Clone(graphRulings)
	maps.Copy(all, map[string]ruling{
		"10/2018065": closed, "10/2018278": closed, "10/2534022": closed,
		"551": away, "551/1545041": away, "200/1545041": away, "10/1545041": away, "100/1545041": away,
		"100/2018001": unknown, "100/2534014": unknown,
		"10/2018108": review, "200/2018028": review,
		"230":  graphPause(graphConfig, "the application lacks pages_messaging: give it back to the token"),
		"613":  slow,
		"1200": {result: streams.Ambiguous, say: "a passing fault of Meta's"},
	})
	return all
}()

// Limits of quick replies.
const (
	metaReplies = 13
	metaTitle   = 20 // characters; Meta cuts longer ones off
	metaPayload = 1000
)

// metaPerson is a customer as a page or an Instagram account knows them.
var metaPerson = regexp.MustCompile(`^[0-9]{3,32}$`)

type metaMessage struct {
	Recipient struct {
		ID string `json:"id"`
	} `json:"recipient"`
	Type    string `json:"messaging_type"`
	Message struct {
		Text     string      `json:"text"`
		Replies  []metaReply `json:"quick_replies,omitempty"`
		Metadata string      `json:"metadata,omitempty"`
	} `json:"message"`
	Silence string `json:"notification_type,omitempty"` // Messenger
}

type metaReply struct {
	Kind    string `json:"content_type"`
	Title   string `json:"title"`
	Payload string `json:"payload"`
}

// Send sends the text, with its answers as quick replies where they fit.
func (c *metaChannel) Send(ctx context.Context, to string, w outbound.Words) outbound.Tried {
	if !metaPerson.MatchString(to) {
		tried := local(c.who, "address", "the customer's address is no id of Meta's")
		tried.Means = outbound.Unreachable
		return tried
	}
	w.Text = sinks.Clean(w.Text)
	if w.Text == "" {
		return empty(c.who)
	}
	var m metaMessage
	m.Recipient.ID, m.Type, m.Message.Text, m.Message.Replies = to, "RESPONSE", w.Text, metaQuick(w.Buttons)
	if m.Message.Replies == nil {
		m.Message.Text = sinks.Clean(written(w))
	}
	if n := c.count(m.Message.Text); n > c.most {
		return local(c.who, "too_long", fmt.Sprintf("the text has %d %s, %s takes %d: shorten the template", n, c.unit, c.name, c.most))
	}
	if c.metadata {
		m.Message.Metadata = w.ID
		if w.Silent {
			m.Silence = "SILENT_PUSH"
		}
	}
	return c.send(ctx, to, m, false)
}

// metaQuick is the answers as quick replies, nil when there are none, a link among them, or Meta would cut or refuse them.
func metaQuick(buttons []outbound.Button) (replies []metaReply) {
	for _, b := range buttons {
		b.Text = sinks.Line(b.Text, 200)
		if b.URL != "" || b.Text == "" || utf8.RuneCountInString(b.Text) > metaTitle || utf8.RuneCountInString(said(b)) > metaPayload || len(replies) == metaReplies {
			return nil
		}
		replies = append(replies, metaReply{"text", b.Text, said(b)})
	}
	return replies
}

// Check asks whether the token opens the account.
func (c *metaChannel) Check(ctx context.Context) error {
	var account struct {
		ID string `json:"id"`
	}
	return c.read(ctx, "id", &account)
}
