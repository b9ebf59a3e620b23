package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"leadstream/daemon/intake"
	"leadstream/sinks/sim/meta"
	"leadstream/streams"
	"leadstream/streams/media"
)

// rig is a fetcher at work.
type rig struct {
	*Fetcher
	t    *testing.T
	stop func()

	mu    sync.Mutex
	taken []*streams.Lead
}

func newRig(t *testing.T, dir string, sources map[string]intake.Source) *rig {
	t.Helper()
	store, err := media.Open(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	set := media.Defaults()
	set.Wait = 20 * time.Second
	r := &rig{t: t, Fetcher: &Fetcher{Store: store, Settings: set, Sources: map[string]*Source{}, Region: "RU", Log: zerolog.Nop()}}
	r.Take = func(_ context.Context, l *streams.Lead) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.taken = append(r.taken, l)
		return nil
	}
	for name, s := range sources {
		source, err := Open(s, "test")
		if err != nil {
			t.Fatal(err)
		}
		if source != nil {
			r.Sources[name] = source
		}
	}
	r.run()
	return r
}

func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() { cancel(); <-ended })
	r.t.Cleanup(r.stop)
}

// complete asks as the engine does, until the lead need not wait any more.
func (r *rig) complete(l *streams.Lead) (streams.Verdict, bool) {
	r.t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(5 * time.Millisecond) {
		if v, whole := r.Complete(l); whole || v.Result != streams.Wait {
			return v, whole
		}
	}
	r.t.Fatal("it waits for ever")
	return streams.Verdict{}, false
}

func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for began := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			r.t.Fatal("never: " + what)
		}
	}
}

func graph(t *testing.T) *meta.Server {
	t.Helper()
	s := meta.New(meta.Options{Token: "graph_token"})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func waba(s *meta.Server) map[string]intake.Source {
	return map[string]intake.Source{"wa": {Preset: "whatsapp", Token: "graph_token", BaseURL: s.URL(), AllowPrivate: true}}
}

func picture(t *testing.T, side int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, side, side))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func photo(id string) *streams.Lead {
	return &streams.Lead{ID: "lead" + id, Source: "wa", Channel: "whatsapp", UserID: "79990000011", Media: []streams.Media{{Kind: "photo", Ref: id, Type: "image/jpeg"}}}
}

func (r *rig) content(m streams.Media) []byte {
	r.t.Helper()
	f, err := r.Store.File(m.Hash)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func TestWhatsAppFile(t *testing.T) {
	s := graph(t)
	dir := t.TempDir()
	r := newRig(t, dir, waba(s))
	l := photo(s.Upload(meta.File{Content: picture(t, 20), Type: "image/png"}))
	if _, whole := r.complete(l); !whole || l.Media[0].Problem != "" || l.Media[0].Type != "image/jpeg" {
		t.Fatalf("%+v", l.Media)
	}
	if _, format, err := image.DecodeConfig(bytes.NewReader(r.content(l.Media[0]))); format != "jpeg" || err != nil {
		t.Errorf("stored %s, %v", format, err)
	}
	again := photo(l.Media[0].Ref) // the same entry comes again, perhaps to another process
	r.stop()
	fresh := newRig(t, dir, waba(s))
	if _, whole := fresh.Complete(again); !whole || again.Media[0].Hash != l.Media[0].Hash {
		t.Errorf("decided anew: %+v", again.Media)
	}
	if n := s.Calls("media:" + l.Media[0].Ref); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// What a service may answer, and what the card then says.
func TestFileFates(t *testing.T) {
	tests := map[string]struct {
		file    meta.File
		prepare func(s *meta.Server, id string)
		problem string
		stored  bool
	}{
		"deleted":               {meta.File{}, func(s *meta.Server, id string) { s.Forget(id) }, media.Gone, false},
		"a page":                {meta.File{Content: []byte("<html><body>Log in</body></html>"), Type: "text/html"}, nil, media.NotIt, false},
		"truncated":             {meta.File{Content: picture(t, 90)[:70], Type: "image/png"}, nil, media.Unconverted, true},
		"a zip":                 {meta.File{Content: []byte("PK\x03\x04........................"), Type: "image/jpeg"}, nil, media.Other, true},
		"too large":             {meta.File{Content: make([]byte, 1<<20+1), Type: "image/jpeg"}, nil, media.TooLarge, false},
		"a lasting 404":         {meta.File{Content: picture(t, 9)}, func(s *meta.Server, id string) { s.Inject(meta.Fault{Method: "file:" + id, Status: 404}) }, media.Gone, false},
		"a short fault":         {meta.File{Content: picture(t, 9)}, func(s *meta.Server, id string) { s.Inject(meta.Fault{Method: "media:" + id, Code: "131000", Times: 1}) }, "", true},
		"an expired link":       {meta.File{Content: picture(t, 9)}, func(s *meta.Server, id string) { s.Inject(meta.Fault{Method: "file:" + id, Status: 404, Times: 1}) }, "", true},
		"a cut connection":      {meta.File{Content: picture(t, 9)}, func(s *meta.Server, id string) { s.Inject(meta.Fault{Method: "file:" + id, CutAfter: 30, Times: 1}) }, "", true},
		"a bomb of compression": {meta.File{Content: picture(t, 9)}, func(s *meta.Server, id string) { s.Inject(meta.Fault{Method: "file:" + id, Gzip: true, Fill: 1 << 30}) }, media.TooLarge, false},
		"a login page with 200": {meta.File{Content: picture(t, 9)}, func(s *meta.Server, id string) { s.Inject(meta.Fault{Method: "file:" + id, HTML200: true, Times: 1}) }, "", true},
		"nothing":               {meta.File{Type: "image/jpeg"}, nil, media.Empty, false},
		"JSON that is cut short": {meta.File{Content: picture(t, 9)}, func(s *meta.Server, id string) {
			s.Inject(meta.Fault{Method: "media:" + id, Body: `{"url":`, Status: 200, Times: 1})
		}, "", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := graph(t)
			r := newRig(t, t.TempDir(), waba(s))
			id := s.Upload(tt.file)
			if tt.prepare != nil {
				tt.prepare(s, id)
			}
			l := photo(id)
			if _, whole := r.complete(l); !whole {
				t.Fatal("not whole")
			}
			if l.Media[0].Problem != tt.problem || (l.Media[0].Hash != "") != tt.stored {
				t.Errorf("%+v", l.Media[0])
			}
			if len(r.taken) != 0 {
				t.Errorf("something follows: %+v", r.taken)
			}
		})
	}
}

// Links lead only where the service's files are, whoever sends them on.
func TestForeignHosts(t *testing.T) {
	var stranger *httptest.Server
	hits := 0
	stranger = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits++
		if r.Header.Get("Authorization") != "" {
			t.Error("a stranger gets the token")
		}
	}))
	t.Cleanup(stranger.Close)
	away := strings.Replace(stranger.URL, "127.0.0.1", "localhost", 1)
	ours := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, away+"/x", http.StatusFound)
	}))
	t.Cleanup(ours.Close)
	r := newRig(t, t.TempDir(), map[string]intake.Source{
		"vk":   {Preset: "vk", BaseURL: ours.URL, AllowPrivate: true},
		"real": {Preset: "vk"},
		"site": {Preset: "generic"},
	})
	for name, tt := range map[string]struct{ source, url, want string }{
		"redirected":       {"vk", ours.URL + "/a", media.Elsewhere},
		"a stranger":       {"vk", away + "/a", media.Elsewhere},
		"a near name":      {"real", "https://userapi.com.evil.test/a", media.Elsewhere},
		"no https":         {"real", "http://sun1.userapi.com/a", media.Elsewhere},
		"a file":           {"real", "file:///etc/passwd", media.Elsewhere},
		"somebody's name":  {"real", "https://a:b@sun1.userapi.com/a", media.Elsewhere},
		"no link":          {"real", "", media.Unfetched},
		"another source":   {"site", "https://sun1.userapi.com/a", media.Unfetched},
		"nobody's":         {"x", "https://sun1.userapi.com/a", media.Unfetched},
		"the inner net":    {"real", "https://127.0.0.1/a", media.Elsewhere},
		"not even an URL":  {"real", "https://[::1", media.Elsewhere},
		"the cloud's soul": {"real", "https://169.254.169.254/latest/meta-data", media.Elsewhere},
	} {
		l := &streams.Lead{ID: "l" + strings.Map(letters, name), Source: tt.source, Media: []streams.Media{{Kind: "photo", URL: tt.url}}}
		if _, whole := r.complete(l); !whole || l.Media[0].Problem != tt.want {
			t.Errorf("%s: %+v", name, l.Media[0])
		}
	}
	if hits != 0 {
		t.Errorf("a stranger was asked %d times", hits)
	}
}

func letters(c rune) rune {
	if c < 'a' || c > 'z' {
		return -1
	}
	return c
}

// A lead does not wait for ever: it goes on, the card says what is missing, and the file follows, once.
func TestLateFileFollows(t *testing.T) {
	s := graph(t)
	dir := t.TempDir()
	r := newRig(t, dir, waba(s))
	r.Settings.Wait = 300 * time.Millisecond
	id := s.Upload(meta.File{Content: picture(t, 9)})
	s.Inject(meta.Fault{Method: "media:" + id, Code: "131000"})
	l := photo(id)
	l.Media = append(l.Media, streams.Media{Kind: "document", Ref: s.Upload(meta.File{Content: []byte("%PDF-1.7")})})
	if _, whole := r.complete(l); !whole || l.Media[0].Problem != media.Late || l.Media[1].Hash == "" {
		t.Fatalf("%+v", l.Media)
	}
	if len(r.taken) != 1 {
		t.Fatalf("taken: %+v", r.taken)
	}
	later := r.taken[0]
	want := &streams.Lead{Source: "wa", Channel: "whatsapp", Key: "late:" + l.ID, RepeatOf: l.ID, Media: []streams.Media{{Kind: "photo", Ref: id, Type: "image/jpeg"}}}
	if diff := cmp.Diff(want, later); diff != "" {
		t.Error(diff)
	}
	if later.OrderKey() == l.OrderKey() {
		t.Error("it holds up what its customer writes")
	}

	// A crash before the lead was settled decides nothing anew, and makes sure that the follower is there.
	r.stop()
	s.Clear()
	fresh := newRig(t, dir, waba(s))
	again := photo(id)
	again.Media = append(again.Media, streams.Media{Kind: "document"})
	if _, whole := fresh.complete(again); !whole || cmp.Diff(l.Media, again.Media) != "" {
		t.Errorf("decided anew: %+v", again.Media)
	}
	if len(fresh.taken) != 1 || fresh.taken[0].Key != later.Key {
		t.Errorf("taken: %+v", fresh.taken)
	}

	mine := *later
	mine.ID, mine.ReceivedAt = "follower1", time.Now()
	if _, whole := fresh.complete(&mine); !whole || mine.Media[0].Hash == "" {
		t.Errorf("%+v", mine.Media)
	}
	mine = *later // one that never comes
	mine.ID, mine.ReceivedAt = "follower2", time.Now().Add(-fresh.Settings.GiveUp)
	s.Inject(meta.Fault{Method: "media:" + id, Code: "131000"})
	if v, whole := fresh.complete(&mine); whole || v.Result != streams.Drop {
		t.Errorf("%+v %v", v, mine.Media)
	}
}

// A disk that takes nothing does not keep the lead.
func TestNoDisk(t *testing.T) {
	s := graph(t)
	dir := t.TempDir()
	r := newRig(t, dir, waba(s))
	r.Settings.Wait = 200 * time.Millisecond
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	l := photo(s.Upload(meta.File{Content: picture(t, 9)}))
	if _, whole := r.complete(l); !whole || l.Media[0].Problem != media.Failed || len(r.taken) != 0 {
		t.Errorf("%+v", l.Media)
	}
}

func form(id string) *streams.Lead {
	return &streams.Lead{ID: "form" + id, Source: "wa", Channel: "leadads", Key: "leadgen:" + id, Ref: "leadgen:" + id, UTM: map[string]string{"content": "120"},
		Fields: map[string]json.RawMessage{"leadgen_id": json.RawMessage(`"` + id + `"`)}}
}

func TestLeadAd(t *testing.T) {
	s := graph(t)
	r := newRig(t, t.TempDir(), waba(s))
	fields := func(pairs ...string) map[string]json.RawMessage {
		m := map[string]json.RawMessage{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = json.RawMessage(pairs[i+1])
		}
		return m
	}
	tests := map[string]struct {
		answers map[string]string
		more    map[string]any
		want    streams.Lead
	}{
		"whole": {map[string]string{"full_name": "Ирина Пробная", "phone_number": "8 999 000-00-33", "email": "Irina@Example.test", "какой_бюджет?": "до_100_тыс."},
			map[string]any{"platform": "ig", "campaign_id": "77", "campaign_name": "Весна", "ad_id": 120, "is_organic": false, "custom_disclaimer_responses": []any{map[string]any{"checkbox_key": "k", "is_checked": "1"}}},
			streams.Lead{Name: "Ирина Пробная", Phone: "+79990000033", Email: "irina@example.test", UTM: map[string]string{"source": "ig", "campaign": "77", "content": "120"},
				Fields: fields("какой_бюджет?", `"до_100_тыс."`, "campaign_name", `"Весна"`, "consents", `[{"checkbox_key":"k","is_checked":"1"}]`)}},
		"names in parts, organic": {map[string]string{"first_name": "Ирина", "last_name": "Пробная", "email": "no address"}, map[string]any{"is_organic": true},
			streams.Lead{Name: "Ирина Пробная", Email: "no address", UTM: map[string]string{"medium": "organic", "content": "120"}, Fields: fields()}},
		"test": {map[string]string{"full_name": "<test lead: dummy data for full_name>", "phone_number": "<test lead: dummy data for phone_number>"}, nil,
			streams.Lead{Name: "<test lead: dummy data for full_name>", UTM: map[string]string{"content": "120"}, Fields: fields("test", `true`)}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			id := s.Fill("500", tt.answers, tt.more)
			l := form(id)
			before := *l
			if _, whole := r.complete(l); !whole {
				t.Fatal("not whole")
			}
			tt.want.ID, tt.want.Source, tt.want.Channel, tt.want.Key = l.ID, "wa", "leadads", l.Key
			tt.want.Fields["leadgen_id"] = json.RawMessage(`"` + id + `"`)
			if diff := cmp.Diff(&tt.want, l, cmpopts.IgnoreFields(streams.Lead{}, "EventAt")); diff != "" {
				t.Error(diff)
			}
			if len(before.Fields) != 1 {
				t.Error("the entry's own lead was changed")
			}
		})
	}
}

// A lead ad is nothing without its answers: it waits, and a person hears what to do.
func TestLeadAdWaits(t *testing.T) {
	for code, denied := range map[string]bool{"190": true, "200": true, "4": false, "80005": false, "2": false, "100": true} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s := graph(t)
			r := newRig(t, t.TempDir(), waba(s))
			r.Settings.Wait = time.Millisecond
			l := form(s.Fill("500", map[string]string{"full_name": "Ирина"}, nil))
			method := "leadgen:" + strings.TrimPrefix(l.Ref, "leadgen:")
			s.Inject(meta.Fault{Method: method, Code: code})
			r.until("asked", func() bool { r.Complete(l); return s.Calls(method) > 0 })
			r.until("denied", func() bool { return (r.Denied()["wa"] != nil) == denied })
			if err := r.Denied()["wa"]; denied && strings.Contains(err.Error(), "graph_token") {
				t.Errorf("the token is told: %v", err)
			}
			if v, whole := r.Complete(l); whole || v.Result != streams.Wait {
				t.Errorf("%+v", v)
			}
			s.Clear()
			r.Sources["wa"].awake() // the rest is over
			r.stop()                // and with it the pause of this lead's own
			r.run()
			if _, whole := r.complete(l); !whole || l.Name != "Ирина" || r.Denied()["wa"] != nil {
				t.Errorf("%+v", l)
			}
		})
	}
}

func TestLeadAdDeleted(t *testing.T) {
	s := graph(t)
	r := newRig(t, t.TempDir(), waba(s))
	l := form("400")
	if v, whole := r.complete(l); whole || v.Result != streams.Permanent || v.Code != media.Gone || v.Err == nil {
		t.Errorf("%+v", v)
	}
	id := s.Fill("500", map[string]string{"full_name": "Ирина"}, nil) // a replay tries anew
	l = form(id)
	s.Inject(meta.Fault{Method: "leadgen:" + id, Code: "100/33", Times: 1})
	if v, whole := r.complete(l); whole || v.Result != streams.Permanent {
		t.Errorf("%+v", v)
	}
	if _, whole := r.complete(l); !whole || l.Name != "Ирина" {
		t.Errorf("%+v", l)
	}
}

// Leads that may wait for hours, however many, keep neither one whose customer waits nor those of another source.
func TestPatientLeadsLeaveRoom(t *testing.T) {
	s := graph(t)
	other := graph(t)
	ad := form(other.Fill("500", map[string]string{"email": "olga@example.test"}, nil))
	sources := waba(s)
	sources["other"] = waba(other)["wa"]
	r := newRig(t, t.TempDir(), sources)
	r.until("it runs", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		v, _ := r.Complete(form("1"))
		return v.Result == streams.Permanent
	})
	s.Inject(meta.Fault{Method: "leadgen:*", Hang: true})
	for n := range mostTasks + 5 {
		if v, whole := r.Complete(form(strconv.Itoa(1000 + n))); whole || v.Result != streams.Wait {
			t.Fatalf("form %d: %+v", n, v)
		}
	}
	r.Fetcher.mu.Lock()
	working := r.working[room{"wa", true}]
	r.Fetcher.mu.Unlock()
	if working != mostTasks {
		t.Errorf("%d at work", working)
	}
	l := photo(s.Upload(meta.File{Content: picture(t, 9)}))
	if _, whole := r.complete(l); !whole || l.Media[0].Hash == "" {
		t.Errorf("%+v", l.Media)
	}
	ad.ID, ad.Source = "others", "other"
	if v, whole := r.complete(ad); !whole || ad.Email != "olga@example.test" {
		t.Errorf("%+v %+v", v, ad)
	}
}

func TestBeforeAndAfterRun(t *testing.T) {
	store, err := media.Open(filepath.Join(t.TempDir(), "m"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	f := &Fetcher{Store: store, Settings: media.Defaults(), Log: zerolog.Nop()}
	if v, whole := f.Complete(photo("1")); whole || v.Result != streams.Wait {
		t.Errorf("before it runs: %+v", v)
	}
	if _, whole := f.Complete(&streams.Lead{ID: "x", Media: []streams.Media{{Kind: "photo", Problem: media.Gone}}}); !whole {
		t.Error("a lead that lacks nothing waits")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if v, whole := f.Complete(photo("1")); whole || v.Result != streams.Wait {
		t.Errorf("after it ran: %+v", v)
	}
}

func TestTelegramAndMax(t *testing.T) {
	bytesOf := picture(t, 9)
	answers := map[string]string{
		"/bottok12345/getFile?file_id=good":   `{"ok":true,"result":{"file_id":"good","file_path":"photos/file_1.png"}}`,
		"/bottok12345/getFile?file_id=big":    `{"ok":false,"error_code":400,"description":"Bad Request: file is too big"}`,
		"/bottok12345/getFile?file_id=gone":   `{"ok":false,"error_code":400,"description":"Bad Request: wrong file_id or the file is temporarily unavailable"}`,
		"/bottok12345/getFile?file_id=evil":   `{"ok":true,"result":{"file_path":"../../x"}}`,
		"/file/bottok12345/photos/file_1.png": string(bytesOf),
		"/videos/v1":                          `{"urls":{"mp4_1080":"HOST/v1080","mp4_480":"HOST/v480"}}`,
		"/v480":                               "\x00\x00\x00\x18ftypisom....",
		"/p":                                  string(bytesOf),
	}
	var host string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := answers[r.URL.RequestURI()]
		switch {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		case strings.HasPrefix(r.URL.Path, "/videos/") && r.Header.Get("Authorization") != "max_token":
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasPrefix(body, `{"ok":false`):
			w.WriteHeader(http.StatusBadRequest)
			fallthrough
		default:
			_, _ = io.WriteString(w, strings.ReplaceAll(body, "HOST", host))
		}
	}))
	t.Cleanup(srv.Close)
	host = srv.URL
	r := newRig(t, t.TempDir(), map[string]intake.Source{
		"tg":    {Preset: "telegram", Token: "tok12345", BaseURL: srv.URL, AllowPrivate: true},
		"tgbad": {Preset: "telegram", BaseURL: srv.URL, AllowPrivate: true},
		"max":   {Preset: "max", Token: "max_token", BaseURL: srv.URL, AllowPrivate: true},
	})
	for name, tt := range map[string]struct {
		source, ref, kind, url, problem string
	}{
		"photo":      {"tg", "good", "photo", "", ""},
		"big":        {"tg", "big", "video", "", media.TooLarge},
		"gone":       {"tg", "gone", "photo", "", media.Gone},
		"evil":       {"tg", "evil", "photo", "", media.Unfetched},
		"no token":   {"tgbad", "good", "photo", "", media.Unfetched},
		"max video":  {"max", "v1", "video", "", ""},
		"max photo":  {"max", "77", "photo", host + "/p", ""},
		"max gone":   {"max", "v2", "video", "", media.Gone},
		"max expire": {"max", "78", "photo", host + "/q", media.Gone},
	} {
		l := &streams.Lead{ID: "l" + strings.Map(letters, name), Source: tt.source, Media: []streams.Media{{Kind: tt.kind, Ref: tt.ref, URL: tt.url}}}
		if _, whole := r.complete(l); !whole || l.Media[0].Problem != tt.problem || (l.Media[0].Hash != "") != (tt.problem == "") {
			t.Errorf("%s: %+v", name, l.Media[0])
		}
	}
}

func FuzzFill(f *testing.F) {
	f.Add([]byte(`{"id":"4","created_time":"2026-01-01T00:00:00+0000","field_data":[{"name":"full_name","values":["Ирина"]},{"name":"phone_number","values":["+79990000033"]}]}`))
	f.Add([]byte(`{"field_data":[{"name":1,"values":[2,null,{}]}],"ad_id":12345678901234567890}`))
	f.Add([]byte(`{"field_data":{}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return // what is no JSON never gets here
		}
		l := form("1")
		(&Fetcher{Region: "RU"}).fill(l, raw)
		if _, err := json.Marshal(l); err != nil {
			t.Fatal(err)
		}
	})
}

// awake ends the source's rest.
func (s *Source) awake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Time{}
}
