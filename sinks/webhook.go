package sinks

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"leadstream/sinks/httpx"
	"leadstream/streams"
)

// Webhook posts the lead as JSON to a program: Make, Zapier, n8n, or one's own. The lead's id goes along as
// Idempotency-Key and webhook-id; a program that pays no heed to them is declared with `keyed: false`.
var Webhook = Kind{
	Settings: func() any { return &WebhookSettings{Keyed: true} },
	Open:     func(settings any, env Env) (Sink, error) { return openWebhook(*settings.(*WebhookSettings), env) },
	Class:    Keyed,
	Policy:   streams.CRMPolicy,
}

// Classer is a sink whose class depends on its settings; without it, its kind's class holds.
type Classer interface{ Class() Class }

// WebhookSettings are the keys of a webhook destination.
type WebhookSettings struct {
	URL          string            `koanf:"url"`
	Secrets      []string          `koanf:"secrets"` // sign with each: put the new one first, take the old one out later
	Headers      map[string]string `koanf:"headers"`
	Keyed        bool              `koanf:"keyed"`        // the far side takes one Idempotency-Key once
	SuccessText  string            `koanf:"success_text"` // regular expression that a good answer matches
	SuccessJSON  string            `koanf:"success_json"` // path=value that a good answer has, such as data.ok=true
	AllowPrivate bool              `koanf:"allow_private"`
	CAFile       string            `koanf:"ca_file"`
	Proxy        string            `koanf:"proxy"`
}

type webhook struct {
	set     WebhookSettings
	secrets [][]byte
	success Success
	http    *httpx.Client
	now     func() time.Time
}

func openWebhook(s WebhookSettings, env Env) (Sink, error) {
	var faults []error
	if u, err := url.Parse(s.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		faults = append(faults, errors.New("url: is not an http or https address; write the one that the far side gives"))
	}
	success, err := NewSuccess(s.SuccessText, s.SuccessJSON)
	faults = append(faults, err)
	w := &webhook{set: s, success: success, now: time.Now}
	hidden := slices.Clone(s.Secrets)
	for i, secret := range s.Secrets {
		key, err := signingKey(secret)
		if err != nil {
			faults = append(faults, fmt.Errorf("secrets: number %d %w", i+1, err))
		}
		w.secrets = append(w.secrets, key)
	}
	for name, value := range s.Headers {
		faults = append(faults, checkHeader(name, value))
		hidden = append(hidden, value)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	w.http, err = httpx.New(httpx.Options{
		Timeout: env.Timeout, CAFile: s.CAFile, Proxy: s.Proxy, AllowPrivate: s.AllowPrivate,
		UserAgent: "leadstream/" + env.Version, Secrets: hidden,
	})
	return w, err
}

// Class is Blind when the far side knows no keys.
func (w *webhook) Class() Class {
	if w.set.Keyed {
		return Keyed
	}
	return Blind
}

// Deliver posts each lead. The body is the same on every try, so that a far side may also compare bodies.
func (w *webhook) Deliver(ctx context.Context, batch []Delivery) []streams.Verdict {
	verdicts := make([]streams.Verdict, len(batch))
	for i, d := range batch {
		verdicts[i] = w.post(ctx, d.Lead)
	}
	return verdicts
}

func (w *webhook) post(ctx context.Context, lead *streams.Lead) streams.Verdict {
	body, err := json.Marshal(lead)
	if err != nil {
		return streams.Verdict{Result: streams.Permanent, Err: errors.New("webhook: the lead does not become JSON")}
	}
	a, err := w.http.Do(ctx, httpx.Request{URL: w.set.URL, Header: w.header(lead.ID, body), Body: body})
	if err == nil && a.OK() {
		err = w.success.Check(a)
	}
	v := httpx.Verdict(a, err, w.set.Keyed)
	switch a.Status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone:
		// The scenario is switched off or the address is mistyped: all leads would be refused, and none is at fault.
		v.Result, v.After = streams.Pause, 5*time.Minute
		v.Err = fmt.Errorf("webhook: answered HTTP %d: correct url, or switch the far side's scenario on", a.Status)
	}
	return v
}

func (w *webhook) header(id string, body []byte) http.Header {
	h := jsonHeader()
	for name, value := range w.set.Headers {
		h.Set(name, value)
	}
	stamp := strconv.FormatInt(w.now().Unix(), 10)
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", stamp)
	if len(w.secrets) > 0 {
		h.Set("Webhook-Signature", sign(w.secrets, id, stamp, body))
	}
	if w.set.Keyed {
		h.Set("Idempotency-Key", id)
	}
	return h
}

// sign is the scheme of Standard Webhooks: one signature a secret, so that a receiver may change its own at leisure.
func sign(secrets [][]byte, id, stamp string, body []byte) string {
	var all []string
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}

// signingKey is what stands behind whsec_ in base64, or else the text itself.
func signingKey(secret string) ([]byte, error) {
	coded, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		if len(secret) < 16 {
			return nil, errors.New("is shorter than 16 characters; make a longer one")
		}
		return []byte(secret), nil
	}
	key, err := base64.StdEncoding.DecodeString(coded)
	if err != nil || len(key) < 16 {
		return nil, errors.New("is not base64 of 16 bytes or more after whsec_; copy it again")
	}
	return key, nil
}

// ours are set by us on every request; setting them in headers would break signature or key.
var ours = []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "Idempotency-Key", "Content-Length", "Host"}

func checkHeader(name, value string) error {
	switch {
	case name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) }):
		return fmt.Errorf("headers: %q is no name of a header", name)
	case slices.Contains(ours, textproto.CanonicalMIMEHeaderKey(name)):
		return fmt.Errorf("headers: %s is set by leadstream; take it out", name)
	case strings.ContainsAny(value, "\r\n\x00"):
		return fmt.Errorf("headers: the value of %s has a line break; take it out", name)
	}
	return nil
}

// Check asks for the address with OPTIONS, which creates nothing: any answer but a refusal of the key or the address
// will do, since few programs know the method.
func (w *webhook) Check(ctx context.Context) error {
	h := http.Header{}
	for name, value := range w.set.Headers {
		h.Set(name, value)
	}
	a, err := w.http.Do(ctx, httpx.Request{Method: http.MethodOptions, URL: w.set.URL, Header: h, Safe: true})
	switch {
	case err != nil:
		return fmt.Errorf("url: %w", err)
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden, a.Status >= 300 && a.Status < 400, a.Status >= 500:
		v := httpx.Verdict(a, nil, false)
		return cmp.Or(v.Err, errors.New("webhook: refused"))
	}
	return nil
}
