package fetch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"leadstream/sinks/httpx"
	"leadstream/streams"
	"leadstream/streams/media"
)

// metaService is the Graph API, and what WhatsApp, Messenger and Instagram keep their files on.
var metaService = service{base: "https://graph.facebook.com/v23.0", asks: metaAsks, locate: (*Source).metaFile,
	hosts: []string{"lookaside.fbsbx.com", ".fbsbx.com", ".fbcdn.net", ".cdninstagram.com", ".whatsapp.net", ".facebook.com", ".instagram.com"}}

// graphError is the envelope of every refusal (developers.facebook.com/docs/graph-api/guides/error-handling).
type graphError struct {
	Error *struct {
		Code    int `json:"code"`
		Subcode int `json:"error_subcode"`
	} `json:"error"`
}

// graph asks the Graph API.
func (s *Source) graph(ctx context.Context, path string, query url.Values, out any) *fault {
	a, fl := s.ask(ctx, "/"+path, query, http.Header{"Authorization": {"Bearer " + s.set.Token}})
	if fl != nil {
		return fl
	}
	if a.OK() {
		if err := a.JSON(out); err != nil {
			return temporary(fmt.Errorf("graph: %w", err))
		}
		return nil
	}
	return s.graphFault(a)
}

// graphFault is what a code means; the HTTP status says less.
func (s *Source) graphFault(a httpx.Answer) *fault {
	var e graphError
	if json.Unmarshal(a.Body, &e) != nil || e.Error == nil {
		return s.refusal(a)
	}
	code := e.Error.Code
	err := fmt.Errorf("graph: code %d/%d, HTTP %d", code, e.Error.Subcode, a.Status)
	switch {
	case code == 190 || code == 102 || code == 0 && a.Status == http.StatusUnauthorized:
		return &fault{denied: true, after: restTime, err: fmt.Errorf("%w: the access token has expired or was taken back: make a new one, put it into the source's token and restart", err)}
	case code == 3 || code == 10 || code == 103 || code >= 200 && code <= 299 || code == 368:
		return &fault{denied: true, after: restTime, err: fmt.Errorf("%w: the token lacks a right (leads_retrieval, pages_manage_metadata, Leads Access of the page; whatsapp_business_messaging)", err)}
	case code == 4 || code == 17 || code == 32 || code == 341 || code == 613 || code >= 80000 && code < 80100:
		return &fault{rest: true, after: max(a.RetryAfter, restTime), err: fmt.Errorf("%w: too many calls", err)}
	case code == 100 && e.Error.Subcode == 33, a.Status == http.StatusNotFound:
		return &fault{final: media.Gone, err: fmt.Errorf("%w: it does not exist, or the token may not see it", err)}
	case code == 100:
		return &fault{denied: true, after: restTime, err: fmt.Errorf("%w: the question is not understood: check the version in base_url", err)}
	}
	return &fault{after: a.RetryAfter, err: err} // 1, 2 and whatever else Meta suffers from
}

// metaAsks tells WhatsApp's files, which have an id; the others have a link, and Messenger's stickers both, of which the
// id says nothing to anybody.
func metaAsks(m streams.Media) bool { return m.Ref != "" && (m.URL == "" || m.Kind != "sticker") }

// metaFile asks WhatsApp for the link to a file, which lasts five minutes
// (developers.facebook.com/docs/whatsapp/cloud-api/reference/media).
func (s *Source) metaFile(ctx context.Context, m streams.Media) (place, *fault) {
	var out struct {
		URL  string `json:"url"`
		Sum  string `json:"sha256"`
		Mime string `json:"mime_type"`
	}
	if fl := s.graph(ctx, url.PathEscape(m.Ref), nil, &out); fl != nil {
		return place{}, fl
	}
	return place{url: out.URL, sum: out.Sum, typ: out.Mime, header: http.Header{"Authorization": {"Bearer " + s.set.Token}}}, nil
}

// leadgenFields are all that there is to know of a lead ad's form.
const leadgenFields = "id,created_time,ad_id,ad_name,adset_id,adset_name,campaign_id,campaign_name,form_id,platform,is_organic,field_data,custom_disclaimer_responses"

// form asks for the answers of a form (developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving).
func (s *Source) form(ctx context.Context, ref string) (json.RawMessage, *fault) {
	id, ok := strings.CutPrefix(ref, "leadgen:")
	if !ok || id == "" || strings.Trim(id, "0123456789") != "" {
		return nil, final(media.Unfetched, "no service knows what %.40q is", ref)
	}
	if s.set.Token == "" {
		return nil, &fault{denied: true, after: restTime, err: errors.New("the source has no token, and a lead ad is nothing without: write one")}
	}
	var out json.RawMessage
	if fl := s.graph(ctx, id, url.Values{"fields": {leadgenFields}}, &out); fl != nil {
		return nil, fl
	}
	return out, nil
}

// metaText is an id or a word, which some write as a number.
type metaText string

func (t *metaText) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = metaText(strings.TrimSpace(strings.ReplaceAll(s, "\x00", "")))
	} else if len(b) > 0 && strings.ContainsRune("0123456789-", rune(b[0])) {
		*t = metaText(b)
	}
	return nil
}

type leadgen struct {
	Created      metaText `json:"created_time"`
	Ad           metaText `json:"ad_id"`
	AdName       metaText `json:"ad_name"`
	Set          metaText `json:"adset_id"`
	SetName      metaText `json:"adset_name"`
	Campaign     metaText `json:"campaign_id"`
	CampaignName metaText `json:"campaign_name"`
	Platform     metaText `json:"platform"`
	Organic      bool     `json:"is_organic"`
	Answers      []struct {
		Name   metaText   `json:"name"`
		Values []metaText `json:"values"`
	} `json:"field_data"`
	Disclaimers json.RawMessage `json:"custom_disclaimer_responses"`
}

// testMark begins what Meta's Lead Ads Testing Tool fills in.
const testMark = "<test lead:"

// fill puts the answers of a form into its lead: those with names of Meta's own where they belong, the others among its
// fields, by the question.
func (f *Fetcher) fill(l *streams.Lead, form json.RawMessage) {
	var g leadgen
	if err := json.Unmarshal(form, &g); err != nil {
		// Rather in the form it came in than not at all.
		f.set(l, "form", form)
		return
	}
	if at, err := time.Parse("2006-01-02T15:04:05-0700", string(g.Created)); err == nil && l.EventAt.IsZero() {
		l.EventAt = at.UTC()
	}
	parts := map[string]string{}
	for _, a := range g.Answers {
		var said []string
		test := false
		for _, v := range a.Values {
			test = test || strings.HasPrefix(string(v), testMark)
			if v != "" {
				said = append(said, string(v))
			}
		}
		f.answer(l, parts, string(a.Name), strings.Join(said, ", "), test)
	}
	l.Name = cmp.Or(streams.CleanName(parts["full_name"]), streams.CleanName(parts["first_name"]+" "+parts["last_name"]), l.Name)
	utm := map[string]string{}
	for key, value := range map[string]metaText{"source": g.Platform, "campaign": g.Campaign, "content": g.Ad, "term": g.Set} {
		if value != "" {
			utm[key] = string(value)
		}
	}
	if g.Organic {
		utm["medium"] = "organic"
	}
	for key, value := range l.UTM { // the webhook's own word, where the answer has none
		utm[key] = cmp.Or(utm[key], value)
	}
	if len(utm) > 0 {
		l.UTM = utm
	}
	for key, value := range map[string]metaText{"ad_name": g.AdName, "adset_name": g.SetName, "campaign_name": g.CampaignName} {
		f.set(l, key, string(value))
	}
	if s := string(g.Disclaimers); s != "" && s != "null" && s != "[]" {
		f.set(l, "consents", g.Disclaimers)
	}
}

func (f *Fetcher) answer(l *streams.Lead, parts map[string]string, name, said string, test bool) {
	if said == "" {
		return
	}
	if test {
		f.set(l, "test", true)
		if name == "phone_number" || name == "email" { // words, where a number is looked for
			return
		}
	}
	switch name {
	case "full_name", "first_name", "last_name":
		parts[name] = said
	case "phone_number", "phone", "work_phone_number":
		p, ok := streams.NormalizePhone(said, f.Region)
		if !ok {
			p = streams.CleanName(said)
		}
		if l.Phone == "" {
			l.Phone = p
		} else {
			f.set(l, name, said)
		}
	case "email", "work_email":
		e, ok := streams.NormalizeEmail(said)
		if !ok {
			e = streams.CleanName(said)
		}
		if l.Email == "" {
			l.Email = e
		} else {
			f.set(l, name, said)
		}
	default:
		f.set(l, cmp.Or(streams.CleanName(name), "answer"), said)
	}
}

// set adds a field, which other holders of the lead do not see. What is there already stays.
func (f *Fetcher) set(l *streams.Lead, key string, value any) {
	if value == "" {
		return
	}
	if _, taken := l.Fields[key]; taken {
		return
	}
	text, err := json.Marshal(value)
	if err != nil {
		return
	}
	fields := make(map[string]json.RawMessage, len(l.Fields)+1)
	for k, v := range l.Fields {
		fields[k] = v
	}
	fields[key] = text
	l.Fields = fields
}
