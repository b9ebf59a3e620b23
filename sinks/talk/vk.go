package talk

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"leadstream/sinks"
	"leadstream/sinks/httpx"
	"leadstream/streams"
	"leadstream/streams/outbound"
)

// vk writes to customers in the name of a community (dev.vk.com/ru/method/messages.send). VK knows each message by a number of
// ours, so sending again is safe.
func vkKind() Kind {
	return Kind{
		Settings: func() any { return &VKSettings{BaseURL: "https://api.vk.com"} },
		Open: func(settings any, env sinks.Env) (outbound.Channel, error) {
			s := *settings.(*VKSettings)
			client, err := openHTTP(env, s.BaseURL, s.Token, "token: is missing; make a key of the community with the right to its messages",
				httpx.Options{CAFile: s.CAFile, Proxy: s.Proxy, AllowPrivate: s.AllowPrivate})
			s.BaseURL = strings.TrimRight(s.BaseURL, "/")
			return &vk{set: s, http: client}, err
		},
		Channel: "vk", Address: User,
		Rate:  streams.Rate{PerSecond: 15, Burst: 3}, // of 20, which what asks for the history shares
		Pair:  4 * time.Second,                       // 1,000 an hour are a flood
		Keyed: true, Tells: outbound.Read,
	}
}

// VKSettings are the keys of a vk channel.
type VKSettings struct {
	Token        string `koanf:"token"` // of the community
	BaseURL      string `koanf:"base_url"`
	AllowPrivate bool   `koanf:"allow_private"`
	CAFile       string `koanf:"ca_file"`
	Proxy        string `koanf:"proxy"`
}

type vk struct {
	set  VKSettings
	http *httpx.Client
}

// VK's limits of a message and its buttons.
const (
	vkVersion = "5.199"
	vkUnits   = 4096
	vkLabel   = 40
	vkPayload = 255 // bytes
	vkRows    = 6
	vkButtons = 10
)

// Send sends the text, in parts when it is long. Each part has its number, so those that a try before has sent are not sent
// again.
func (v *vk) Send(ctx context.Context, to string, w outbound.Words) outbound.Tried {
	keyboard, fits := vkKeyboard(w.Buttons)
	text := w.Text
	if !fits {
		text = written(w)
	}
	tried := v.send(ctx, to, w.ID, text, keyboard)
	if (tried.Code == "911" || tried.Code == "912") && keyboard != "" { // the keyboard, or that the community may have any
		return v.send(ctx, to, w.ID, written(w), "")
	}
	return tried
}

func (v *vk) send(ctx context.Context, to, id, text, keyboard string) outbound.Tried {
	parts := sinks.SplitText(sinks.Clean(text), vkUnits)
	if len(parts) == 0 {
		return empty("vk")
	}
	var tried outbound.Tried
	for i, part := range parts {
		args := url.Values{"peer_id": {to}, "random_id": {vkRandom(id, i)}, "message": {part}, "dont_parse_links": {"1"}}
		if i == len(parts)-1 && keyboard != "" {
			args.Set("keyboard", keyboard)
		}
		if tried = v.part(ctx, args); tried.Result != streams.Done {
			break
		}
	}
	return tried
}

// vkRandom is the number of a part of a message: 31 bits, never the 0 that stands for none.
func vkRandom(id string, part int) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s\x00%d", id, part)))
	return strconv.FormatUint(uint64(max(binary.BigEndian.Uint32(sum[:4])>>1, 1)), 10)
}

type vkAnswer struct {
	Response json.RawMessage `json:"response"`
	Error    *struct {
		Code int `json:"error_code"`
	} `json:"error"` // with error_msg and request_params, which repeat what was sent
}

func (v *vk) part(ctx context.Context, args url.Values) outbound.Tried {
	a, answer, err := v.call(ctx, "messages.send", args, false)
	if err == nil && a.OK() && answer.Error == nil {
		var id int64
		if json.Unmarshal(answer.Response, &id) == nil && id > 0 {
			return outbound.Tried{Verdict: streams.Verdict{Remote: strconv.FormatInt(id, 10)}}
		}
		err = errors.New("vk: the answer names no message")
	}
	if err != nil || answer.Error == nil {
		return outbound.Tried{Verdict: httpx.Verdict(a, err, false)}
	}
	return vkRefused(answer.Error.Code)
}

// Check asks whether the token is the community's.
func (v *vk) Check(ctx context.Context) error {
	a, answer, err := v.call(ctx, "groups.getById", url.Values{}, true)
	switch {
	case err != nil:
		return err
	case !a.OK():
		return httpx.Verdict(a, nil, true).Err
	case answer.Error != nil:
		return vkRefused(answer.Error.Code).Err
	case len(answer.Response) == 0:
		return errors.New("vk: base_url: no VK answers there")
	}
	return nil
}

func (v *vk) call(ctx context.Context, method string, args url.Values, safe bool) (httpx.Answer, vkAnswer, error) {
	args.Set("access_token", v.set.Token)
	args.Set("v", vkVersion)
	a, err := v.http.Do(ctx, httpx.Request{URL: v.set.BaseURL + "/method/" + method, Safe: safe, Body: []byte(args.Encode()),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
	var answer vkAnswer
	if err == nil && a.OK() {
		if err = a.JSON(&answer); err != nil {
			err = fmt.Errorf("vk: %w", err)
		}
	}
	return a, answer, err
}

// vkErrors are VK's codes. What is the community's or its key's fault stops the channel, since every message would meet it.
var vkErrors = map[int]refusal{
	1:   {streams.Ambiguous, 0, "", "", "an unknown fault of VK's"},
	10:  {streams.Ambiguous, 0, "", "", "a fault of VK's"},
	6:   {streams.Wait, 2 * time.Second, "", "", "too many calls a second"},
	9:   {streams.Pause, 15 * time.Minute, streams.ScopeKey, "", "too many messages to one person"},
	29:  {streams.Pause, 15 * time.Minute, "", "", "too many messages"},
	2:   {streams.Pause, aPerson, "", "", "the application is switched off"},
	4:   {streams.Pause, aPerson, "", "", "the signature is wrong: make a new token"},
	5:   {streams.Pause, aPerson, "", "", "the token is refused: make a new one in the community's settings"},
	7:   {streams.Pause, aPerson, "", "", "the token has not the right to the community's messages: make a new one with it"},
	15:  {streams.Pause, aPerson, "", "", "the token is of another community, or its messages are switched off"},
	14:  {streams.Pause, aPerson, "", "", "VK asks for a captcha: a person must look at the community"},
	17:  {streams.Pause, aPerson, "", "", "VK asks for a confirmation: a person must look at the community"},
	24:  {streams.Pause, aPerson, "", "", "VK asks for a confirmation: a person must look at the community"},
	25:  {streams.Pause, aPerson, "", "", "VK asks for a confirmation of the token: a person must look at the community"},
	27:  {streams.Pause, aPerson, "", "", "the community's key is refused: make a new one"},
	28:  {streams.Pause, aPerson, "", "", "the application's key is refused: make the community's own"},
	18:  {streams.Permanent, 0, "", outbound.RouteDead, "the person's page is deleted or banned"},
	113: {streams.Permanent, 0, "", outbound.RouteDead, "there is no such person"},
	900: {streams.Permanent, 0, "", outbound.RouteDead, "the person is in the community's blacklist"},
	901: {streams.Permanent, 0, "", outbound.RouteDead, "the person does not allow the community's messages, or has never written"},
	902: {streams.Permanent, 0, "", outbound.RouteDead, "the person's privacy settings forbid it"},
	917: {streams.Permanent, 0, "", outbound.RouteDead, "no access to the chat"},
	925: {streams.Permanent, 0, "", outbound.RouteDead, "no rights in the chat"},
	936: {streams.Permanent, 0, "", outbound.RouteDead, "there is no such contact"},
	945: {streams.Permanent, 0, "", outbound.RouteDead, "the chat is switched off"},
	946: {streams.Permanent, 0, "", outbound.RouteDead, "the chat does not take it"},
	983: {streams.Permanent, 0, "", outbound.RouteDead, "writing to the chat is forbidden"},
	911: {streams.Permanent, 0, "", "", "the keyboard is refused"},
	912: {streams.Permanent, 0, "", "", "the community's bot is switched off: switch its features on"},
	914: {streams.Permanent, 0, "", "", "the text is too long"},
}

func vkRefused(code int) outbound.Tried { return vkErrors[code].tried("vk", strconv.Itoa(code)) }

// vkKeyboard is a row for each button, or for each two where there are many. A button with data calls back, so that the data
// comes as the answer; one without says its text. fits is false when VK would refuse one of them.
func vkKeyboard(buttons []outbound.Button) (keyboard string, fits bool) {
	type action struct {
		Type    string `json:"type"`
		Label   string `json:"label"`
		Link    string `json:"link,omitempty"`
		Payload string `json:"payload,omitempty"` // JSON
	}
	type button struct {
		Action action `json:"action"`
	}
	if len(buttons) == 0 {
		return "", true
	}
	wide := 1 + (len(buttons)-1)/vkRows
	var rows [][]button
	for i, b := range buttons {
		a := action{Type: "text", Label: sinks.Line(b.Text, 1000), Link: b.URL}
		if b.Data != "" {
			payload, err := json.Marshal(b.Data)
			if err != nil {
				return "", false
			}
			a.Type, a.Payload = "callback", string(payload)
		}
		if b.URL != "" {
			a.Type, a.Payload = "open_link", ""
		}
		if a.Label == "" || len([]rune(a.Label)) > vkLabel || len(a.Payload) > vkPayload || len(buttons) > vkButtons {
			return "", false
		}
		if i%wide == 0 {
			rows = append(rows, nil)
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], button{a})
	}
	body, err := json.Marshal(map[string]any{"inline": true, "buttons": rows})
	return string(body), err == nil
}

// openHTTP is a client for a channel whose keys are the common ones.
func openHTTP(env sinks.Env, base, token, missing string, o httpx.Options) (*httpx.Client, error) {
	var faults []error
	if strings.TrimSpace(token) == "" || strings.ContainsAny(token, "\r\n") {
		faults = append(faults, errors.New(missing))
	}
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		faults = append(faults, errors.New("base_url: is not an http or https address; leave it out"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	o.Timeout, o.UserAgent = cmp.Or(env.Timeout, 30*time.Second), "leadstream/"+env.Version
	o.Secrets = append(o.Secrets, token)
	return httpx.New(o)
}
