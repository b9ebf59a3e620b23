// Package lookup asks the business's own systems what customers ask us: where an order is, when the courier comes, which
// branch is the nearest. How HTTP is spoken is left to whoever plugs in a Getter; what is made of an
// answer, to the dialogue.
package lookup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"leadstream/processors"
)

// Settings are `lookups` in config.yaml.
type Settings struct {
	Order    HTTP     `koanf:"order"`   // where an order stands
	Courier  HTTP     `koanf:"courier"` // when it is brought: may use what order has found
	Place    HTTP     `koanf:"place"`   // of an address as a customer wrote it
	Branches []Branch `koanf:"branches"`
}

// HTTP is one look-up: a GET, and where in its JSON the values stand.
type HTTP struct {
	URL          string            `koanf:"url"` // with {order}, {phone} and so on; empty: there is no such look-up
	Headers      map[string]string `koanf:"headers"`
	Values       map[string]string `koanf:"values"` // name → where it stands: "result.items[0].status"
	Timeout      time.Duration     `koanf:"timeout"`
	Cache        time.Duration     `koanf:"cache"` // an answer is good so long; 0: not kept
	AllowPrivate bool              `koanf:"allow_private"`
	CAFile       string            `koanf:"ca_file"`
	Proxy        string            `koanf:"proxy"`
}

// longest is what a customer may wait for a look-up.
const longest = 10 * time.Second

// Defaults are the settings of a config.yaml that names no look-up.
func Defaults() Settings {
	usual := HTTP{Timeout: 1500 * time.Millisecond, Cache: time.Minute}
	return Settings{Order: usual, Courier: usual, Place: usual}
}

// What may stand in the braces of each look-up's url, and what it must find.
var (
	asks  = map[string][]string{"order": {"order", "phone", "email"}, "courier": {"order", "phone", "email", "tracking"}, "place": {"address"}}
	finds = map[string][]string{"order": {"status"}, "courier": {"eta", "status"}, "place": {"lat", "lon"}}
)

// Faults are what is wrong with the settings.
func (s Settings) Faults() error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(asks)) {
		faults = append(faults, map[string]HTTP{"order": s.Order, "courier": s.Courier, "place": s.Place}[name].faults(name)...)
	}
	for i, b := range s.Branches {
		if _, ok := b.at(); strings.TrimSpace(b.Name) == "" || !ok {
			faults = append(faults, processors.Fault{Key: fmt.Sprintf("lookups.branches[%d]", i), Problem: "it has no name, or no place on the earth",
				Cure: `write name: …, at: "55.7558, 37.6173" (latitude, longitude)`})
		}
	}
	return errors.Join(faults...)
}

func (h HTTP) faults(name string) (faults []error) {
	if h.URL == "" {
		return nil
	}
	fault := func(key, problem, cure string) {
		faults = append(faults, processors.Fault{Key: "lookups." + name + "." + key, Problem: problem, Cure: cure})
	}
	switch u, err := url.Parse(brace.ReplaceAllString(h.URL, "x")); {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		fault("url", "it is no URL", "write it like https://crm.example/orders?number={order}")
	case !strings.HasPrefix(h.URL, u.Scheme+"://"+u.Host):
		fault("url", "what customers write would choose the host", "use braces only behind the host")
	case u.Scheme == "http" && !h.AllowPrivate:
		fault("url", "customers' data would travel in the clear", "write https, or allow_private: true for a server in your own network")
	}
	for _, b := range brace.FindAllStringSubmatch(h.URL, -1) {
		if !slices.Contains(asks[name], b[1]) {
			fault("url", fmt.Sprintf("{%s} is not known here", b[1]), fmt.Sprintf("there are %q", asks[name]))
		}
	}
	need := finds[name]
	if name == "courier" && h.Values["status"] != "" {
		need = nil
	}
	for _, want := range need {
		if h.Values[want] == "" && !(name == "courier" && want == "status") {
			fault("values", "it does not say where "+want+" stands", "write {"+want+": result."+want+"}")
		}
	}
	if h.Timeout <= 0 || h.Timeout > longest {
		fault("timeout", fmt.Sprintf("it is %s", h.Timeout), "write more than 0s and at most 10s: a customer waits")
	}
	if h.Cache < 0 || h.Cache > time.Hour {
		fault("cache", fmt.Sprintf("it is %s", h.Cache), "write 0s to 1h")
	}
	return faults
}

// ErrNothing says that the system has answered, and knows nothing.
var ErrNothing = errors.New("nothing was found")

// Getter makes one GET. It follows no redirects and bounds the answer's size; its errors hold no secret and nobody's data.
type Getter interface {
	Get(ctx context.Context, url string, header http.Header) (status int, body []byte, err error)
}

// Options are what a Lookup asks with, and where it says how that went.
type Options struct {
	Name  string // in metrics and the log
	Get   Getter
	Asked *prometheus.HistogramVec // seconds, by name and result; nil: nobody counts
	Log   zerolog.Logger
}

// NewAsked makes what counts the questions of all look-ups.
func NewAsked() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "leadstream_lookup_seconds", Help: "Questions to the business's own systems, and how long they took, by what came of them.",
		Buckets: []float64{.05, .1, .2, .4, .8, 1.5, 3, 10}}, []string{"name", "result"})
}

// Lookup asks one system. It is safe for concurrent use. A nil Lookup finds nothing.
type Lookup struct {
	set HTTP
	Options
	now func() time.Time

	mu    sync.Mutex
	known map[string]answer // by URL
}

type answer struct {
	values map[string]string
	until  time.Time
}

// mostKnown is how many answers are kept at most.
const mostKnown = 1000

// New makes a look-up; nil when the settings name no URL.
func New(set HTTP, o Options) *Lookup {
	if set.URL == "" {
		return nil
	}
	return &Lookup{set: set, Options: o, now: time.Now, known: map[string]answer{}}
}

// Needs are the names in the URL's braces.
func (l *Lookup) Needs() (names []string) {
	if l == nil {
		return nil
	}
	for _, b := range brace.FindAllStringSubmatch(l.set.URL, -1) {
		if !slices.Contains(names, b[1]) {
			names = append(names, b[1])
		}
	}
	return names
}

// Lacks are those of Needs that are not in what.
func (l *Lookup) Lacks(what map[string]string) []string {
	return slices.DeleteFunc(l.Needs(), func(name string) bool { return what[name] != "" })
}

// Find asks for the values of something. What the system does not say is left out. ErrNothing: there is none of them.
func (l *Lookup) Find(ctx context.Context, what map[string]string) (map[string]string, error) {
	if l == nil || len(l.Lacks(what)) > 0 {
		return nil, ErrNothing
	}
	at := fill(l.set.URL, what)
	if found, ok := l.recall(at); ok {
		return found, nil
	}
	begun := time.Now()
	found, err := l.ask(ctx, at)
	result := "found"
	switch {
	case errors.Is(err, ErrNothing):
		result = "nothing"
	case err != nil && ctx.Err() == nil:
		result = "failed"
		l.Log.Warn().Str("lookup", l.Name).Dur("took", time.Since(begun)).Err(err).Msg("a look-up has failed: a person answers")
	case err != nil:
		return nil, err
	}
	if l.Asked != nil {
		l.Asked.WithLabelValues(l.Name, result).Observe(time.Since(begun).Seconds())
	}
	if err == nil {
		l.keep(at, found)
	}
	return found, err
}

// ask makes the call.
func (l *Lookup) ask(ctx context.Context, at string) (map[string]string, error) {
	header := http.Header{"Accept": {"application/json"}}
	for name, value := range l.set.Headers {
		header.Set(name, value)
	}
	ctx, cancel := context.WithTimeout(ctx, l.set.Timeout)
	defer cancel()
	status, body, err := l.Get.Get(ctx, at, header)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusNotFound || status == http.StatusNoContent:
		return nil, ErrNothing
	case status != http.StatusOK:
		return nil, fmt.Errorf("the look-up answered %d", status)
	}
	var doc any
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, errors.New("the look-up's answer is no JSON") // its text may hold people's data
	}
	found := map[string]string{}
	for name, path := range l.set.Values {
		if v := value(doc, path); v != "" {
			found[name] = v
		}
	}
	if len(found) == 0 {
		return nil, ErrNothing
	}
	return found, nil
}

func (l *Lookup) recall(at string) (map[string]string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.known[at]
	if !ok || !l.now().Before(a.until) {
		return nil, false
	}
	return a.values, true
}

func (l *Lookup) keep(at string, found map[string]string) {
	if l.set.Cache <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if len(l.known) >= mostKnown {
		maps.DeleteFunc(l.known, func(_ string, a answer) bool { return !now.Before(a.until) })
	}
	for old := range l.known {
		if len(l.known) < mostKnown {
			break
		}
		delete(l.known, old) // any one
	}
	l.known[at] = answer{found, now.Add(l.set.Cache)}
}

var brace = regexp.MustCompile(`\{([a-z_]*)\}`)

const longestValue = 200 // bytes of what a customer has written

// fill puts values into the braces of a URL, escaped for where they stand.
func fill(pattern string, what map[string]string) string {
	query := strings.IndexByte(pattern, '?')
	var b strings.Builder
	last := 0
	for _, m := range brace.FindAllStringSubmatchIndex(pattern, -1) {
		b.WriteString(pattern[last:m[0]])
		v := what[pattern[m[2]:m[3]]]
		if len(v) > longestValue {
			v = strings.ToValidUTF8(v[:longestValue], "")
		}
		if v = strings.TrimSpace(v); query >= 0 && m[0] > query {
			v = url.QueryEscape(v)
		} else if v = url.PathEscape(v); strings.Trim(v, ".") == "" { // "..": another path
			v = strings.ReplaceAll(v, ".", "%2E")
		}
		b.WriteString(v)
		last = m[1]
	}
	return b.String() + pattern[last:]
}

// value is what stands in a JSON document at a path of names and numbers in brackets, as text; empty: nothing does.
func value(doc any, path string) string {
	for part := range strings.SplitSeq(path, ".") {
		name, rest, _ := strings.Cut(part, "[")
		if name != "" {
			m, ok := doc.(map[string]any)
			if !ok {
				return ""
			}
			doc = m[name]
		}
		for rest != "" {
			var index string
			index, rest, _ = strings.Cut(rest, "]")
			rest = strings.TrimPrefix(rest, "[")
			list, ok := doc.([]any)
			n, err := strconv.Atoi(index)
			if !ok || err != nil || n < 0 || n >= len(list) {
				return ""
			}
			doc = list[n]
		}
	}
	switch v := doc.(type) {
	case string:
		return strings.Join(strings.Fields(v), " ")
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}
