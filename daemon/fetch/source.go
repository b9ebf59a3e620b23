package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"leadstream/daemon/intake"
	"leadstream/sinks/httpx"
	"leadstream/streams"
	"leadstream/streams/media"
)

// Source is one configured source, as what leads lack is asked of it.
type Source struct {
	set     intake.Source
	service service
	base    string // of the service's API, without a slash at the end
	http    *httpx.Client
	hosts   []string               // from which files may come: a name, or an ending that begins with a dot
	slots   map[bool]chan struct{} // calls at one time, for leads that are patient and those that are not

	mu    sync.Mutex
	rest  *fault
	until time.Time
}

// service is how one kind of service gives what it has.
type service struct {
	base   string // of its API
	hosts  []string
	asks   func(m streams.Media) bool // the API is asked where the file is; else, and when nil, it is at Media.URL
	locate func(s *Source, ctx context.Context, m streams.Media) (place, *fault)
}

// place is where the bytes of a file are.
type place struct {
	url    string
	header http.Header
	sum    string // SHA-256 that the service tells, in hex or base64
	typ    string // MIME type that the service tells
}

// services are what is asked for files, by preset.
var services = map[string]service{
	"whatsapp": metaService, "meta": metaService,
	"telegram": {base: "https://api.telegram.org", hosts: []string{"api.telegram.org"}, asks: always, locate: (*Source).telegramFile},
	"max": {base: "https://platform-api2.max.ru", asks: maxAsks, locate: (*Source).maxFile,
		hosts: []string{".max.ru", ".oneme.ru", ".okcdn.ru", ".mycdn.me"}},
	"vk": {base: "https://api.vk.com", hosts: []string{"vk.com", "vk.ru", ".vk.com", ".vk.ru", ".userapi.com", ".vkuserphoto.ru", ".vkuser.net",
		".vkuseraudio.net", ".vkuservideo.net", ".mycdn.me", ".okcdn.ru"}},
	"avito": {base: "https://api.avito.ru", hosts: []string{".avito.st", ".avito.ru"}},
}

func always(streams.Media) bool { return true }

const (
	askTime  = 15 * time.Second // of a question to an API
	loadTime = 5 * time.Minute  // of one file
	restTime = time.Minute      // after a refusal of the token
)

// Open makes a source that can be asked; nil when its preset has nothing to fetch.
func Open(set intake.Source, version string) (*Source, error) {
	svc, ok := services[set.Preset]
	if !ok {
		return nil, nil
	}
	base := strings.TrimSuffix(set.BaseURL, "/")
	if base == "" {
		base = svc.base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return nil, errors.New("base_url is no address")
	}
	client, err := httpx.New(httpx.Options{Timeout: loadTime, CAFile: set.CAFile, Proxy: set.Proxy, AllowPrivate: set.AllowPrivate,
		UserAgent: "leadstream/" + version, Secrets: secrets(set)})
	if err != nil {
		return nil, err
	}
	return &Source{set: set, service: svc, base: base, http: client, slots: map[bool]chan struct{}{}, hosts: append(append([]string{u.Hostname()}, svc.hosts...), set.MediaHosts...)}, nil
}

func secrets(set intake.Source) []string {
	if set.Token == "" {
		return nil
	}
	return []string{set.Token}
}

// resting is why the source is not to be asked now.
func (s *Source) resting(now time.Time) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rest == nil || !now.Before(s.until) {
		return nil
	}
	again := *s.rest
	again.after = s.until.Sub(now)
	return &again
}

// heard remembers what a source answered: after a refusal it has its rest, which is one for all leads.
func (s *Source) heard(fl *fault, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case fl == nil:
		s.rest = nil
	case fl.denied || fl.rest:
		s.rest, s.until = fl, now.Add(max(fl.after, time.Second))
	}
}

func (s *Source) denied() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rest != nil && s.rest.denied {
		return s.rest.err
	}
	return nil
}

// asks says whether the service's API is asked for the file, with the token.
func (s *Source) asks(m streams.Media) bool { return s.service.asks != nil && s.service.asks(m) }

// file fetches one file into the store.
func (s *Source) file(ctx context.Context, store *media.Store, m streams.Media) (streams.Media, *fault) {
	if !s.asks(m) {
		return s.load(ctx, store, m, place{url: m.URL})
	}
	if s.set.Token == "" {
		return m, final(media.Unfetched, "the source has no token")
	}
	for again := false; ; again = true {
		at, fl := s.service.locate(s, ctx, m)
		if fl != nil {
			return m, fl
		}
		got, fl := s.load(ctx, store, m, at)
		if fl == nil || fl.final != media.Gone || again { // the link may have expired on the way
			return got, fl
		}
	}
}

// load brings the bytes. Links of others are followed to the service's own hosts alone, and with a token only on the host
// that it is for.
func (s *Source) load(ctx context.Context, store *media.Store, m streams.Media, at place) (streams.Media, *fault) {
	if at.url == "" {
		return m, final(media.Unfetched, "the service has told no place of the file")
	}
	var got streams.Media
	header := at.header
	for hop := 0; ; hop++ {
		u, err := url.Parse(at.url)
		if err != nil || !s.may(u) {
			return m, final(media.Elsewhere, "the link leads to a host that is not the service's: if it is, add it to media_hosts")
		}
		a, err := s.http.Do(ctx, httpx.Request{URL: at.url, Header: header, Safe: true, Use: func(a httpx.Answer, body io.Reader) error {
			var err error
			got, err = s.keep(store, m, at, a, body)
			return err
		}})
		switch {
		case err != nil:
			return m, temporary(fmt.Errorf("fetching a file: %w", err))
		case a.OK():
			return got, nil
		case a.Status/100 == 3 && hop < 3:
			to, err := u.Parse(a.Header.Get("Location"))
			if err != nil || a.Header.Get("Location") == "" {
				return m, final(media.Gone, "a redirect to nowhere")
			}
			if to.Host != u.Host || to.Scheme != u.Scheme {
				header = nil
			}
			at.url = to.String()
		default:
			return m, s.refusal(a)
		}
	}
}

// keep stores what comes, and compares it with what was announced.
func (s *Source) keep(store *media.Store, m streams.Media, at place, a httpx.Answer, body io.Reader) (streams.Media, error) {
	if m.Type == "" {
		m.Type = at.typ
	}
	if m.Type == "" {
		m.Type = a.Header.Get("Content-Type")
	}
	sum := sha256.New()
	got, err := store.Add(m, io.TeeReader(body, sum))
	if err != nil || at.sum == "" || got.Problem == media.TooLarge { // the end was not read
		return got, err
	}
	if have := sum.Sum(nil); at.sum != hex.EncodeToString(have) && at.sum != base64.StdEncoding.EncodeToString(have) {
		return m, errors.New("its content is not the announced one")
	}
	return got, nil
}

// may says whether a file may come from there.
func (s *Source) may(u *url.URL) bool {
	if u.Scheme != "https" && !(u.Scheme == "http" && s.set.AllowPrivate) || u.User != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return slices.ContainsFunc(s.hosts, func(h string) bool {
		return host == h || strings.HasPrefix(h, ".") && strings.HasSuffix(host, h)
	})
}

// refusal is what an answer means that is no file.
func (s *Source) refusal(a httpx.Answer) *fault {
	err := fmt.Errorf("answered HTTP %d", a.Status)
	switch {
	case a.Status == http.StatusUnauthorized && s.set.Token != "":
		return &fault{denied: true, after: restTime, err: fmt.Errorf("%w: check the token", err)}
	case a.Status == http.StatusTooManyRequests:
		return &fault{rest: true, after: max(a.RetryAfter, 5*time.Second), err: err}
	case a.Status >= 500, a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly:
		return &fault{after: a.RetryAfter, err: err}
	}
	return &fault{final: media.Gone, err: err} // links that have expired: 403, 404, 410
}

// ask puts a question to the service's API.
func (s *Source) ask(ctx context.Context, path string, query url.Values, header http.Header) (httpx.Answer, *fault) {
	address := s.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	a, err := s.http.Do(ctx, httpx.Request{URL: address, Header: header, Safe: true, Timeout: askTime})
	if err != nil {
		return a, temporary(err)
	}
	return a, nil
}
