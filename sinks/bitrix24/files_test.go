package bitrix24

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"leadstream/sinks"
	"leadstream/sinks/sim/portal"
	"leadstream/streams"
	"leadstream/streams/media"
)

// storing gives a world a store, and a lead with files of those contents.
func storing(t *testing.T, w *world, contents ...string) *streams.Lead {
	t.Helper()
	store, err := media.Open(t.TempDir(), 1<<24)
	if err != nil {
		t.Fatal(err)
	}
	w.env.Files, w.env.Language = store, "en"
	w.restart()
	l := w.lead(1)
	for i, c := range contents {
		m, err := store.Add(streams.Media{Kind: "document", Name: fmt.Sprintf("file %d.pdf", i), Type: "application/pdf"}, strings.NewReader(c))
		if err != nil {
			t.Fatal(err)
		}
		l.Media = append(l.Media, m)
	}
	return l
}

func sumOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// onCards are the files of the portal, by card.
func onCards(w *world) (all []string) {
	for _, f := range w.portal.Files() {
		all = append(all, fmt.Sprint(f.Card, " ", f.Name, " ", f.Sum))
	}
	return all
}

func TestFilesReachTheCard(t *testing.T) {
	w := newWorld(t, portal.Options{})
	l := storing(t, w, "%PDF- a", "%PDF- b")
	l.Media = append(l.Media, streams.Media{Kind: "photo", Problem: media.Gone}, streams.Media{Kind: "video"})
	if v := w.once(sinks.Delivery{Lead: l, Attempt: 1}); v.Result != streams.Done || v.Err != nil {
		t.Fatalf("%+v", v)
	}
	want := fmt.Sprint([]string{"1 1-file 0.pdf " + sumOf("%PDF- a"), "1 2-file 1.pdf " + sumOf("%PDF- b")})
	if got := fmt.Sprint(onCards(w)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if text := fmt.Sprint(w.item(1, "1")["comments"]); !strings.Contains(text, "photo (the service has it no more); video (not fetched: see it in the messenger)") {
		t.Errorf("the card says %s", text)
	}
	repeat := w.lead(1)
	repeat.ID, repeat.RepeatOf, repeat.Media = streams.NewID("later"), l.ID, l.Media[:1]
	if v := w.once(sinks.Delivery{Lead: repeat, Attempt: 1, Of: &sinks.Earlier{Remote: "1"}}); v.Outcome != "merged" || len(onCards(w)) != 3 {
		t.Errorf("a repeat's file: %+v, %v", v, onCards(w))
	}
}

// Whatever becomes of an answer or of the process, each file is on the card once.
func TestFilesAreNotDoubled(t *testing.T) {
	faults := map[string]portal.Fault{
		"lost answer":     {Method: "crm.timeline.comment.add", LoseAnswer: true, Times: 1},
		"finished late":   {Method: "crm.timeline.comment.add", FinishLate: 40 * time.Millisecond, Reset: true, Times: 1},
		"refused at rate": {Method: "crm.timeline.comment.add", Code: "QUERY_LIMIT_EXCEEDED", Times: 1},
		"a fault within":  {Method: "crm.timeline.comment.add", Code: "INTERNAL_SERVER_ERROR", Times: 1},
		"nobody answers":  {Method: "crm.timeline.comment.list", Status: 502, Times: 2},
	}
	for name, f := range faults {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, crash=%v", name, crash), func(t *testing.T) {
				w := newWorld(t, portal.Options{})
				var contents []string
				for i := range mostFiles + 2 { // two comments
					contents = append(contents, fmt.Sprint("%PDF- ", i))
				}
				l := storing(t, w, contents...)
				w.portal.Inject(f)
				d := sinks.Delivery{Lead: l, Attempt: 1}
				v := w.once(d)
				if v.Result != streams.Done {
					if v.Result != streams.Ambiguous {
						t.Fatalf("%+v", v)
					}
					if crash {
						w.restart()
					}
					d.Attempt, d.Unsure = 2, w.clock.now()
					if f.Code != "QUERY_LIMIT_EXCEEDED" || crash { // the portal may still be at work
						if v := w.once(d); v.Result != streams.Wait || v.After < w.set.FarLimit-time.Second {
							t.Errorf("too soon: %+v", v)
						}
					}
					for began := time.Now(); f.FinishLate > 0 && len(onCards(w)) == 0 && time.Since(began) < time.Minute; {
						time.Sleep(time.Millisecond)
					}
					w.clock.pass(v.After + time.Second)
					v = last(w.drive(d))
				}
				if v.Result != streams.Done || v.Err != nil || len(w.portal.Created(l.ID)) != 1 {
					t.Fatalf("%+v", v)
				}
				got := map[string]int{}
				for _, f := range onCards(w) {
					got[f]++
				}
				if len(got) != mostFiles+2 {
					t.Errorf("files: %v", got)
				}
				for f, n := range got {
					if n != 1 {
						t.Errorf("%s is there %d times", f, n)
					}
				}
			})
		}
	}
}

func TestFilesThatCannotGo(t *testing.T) {
	w := newWorld(t, portal.Options{}, func(set *Settings) { set.MaxFile = 20 })
	l := storing(t, w, "%PDF- a", "%PDF- "+strings.Repeat("large", 10))
	l.Media = append(l.Media, streams.Media{Kind: "photo", Hash: strings.Repeat("0", 64), Size: 7}) // another daemon's
	if v := w.once(sinks.Delivery{Lead: l, Attempt: 1}); v.Result != streams.Done || v.Err != nil {
		t.Fatalf("%+v", v)
	}
	if len(onCards(w)) != 1 {
		t.Errorf("files: %v", onCards(w))
	}
	if text := fmt.Sprint(w.item(1, "1")["comments"]); !strings.Contains(text, "file 1.pdf (larger than max_file; we have it, in media: "+l.Media[1].Hash) {
		t.Errorf("the card says %s", text)
	}
	if all := strings.Join(w.comments("1"), "\n"); !strings.Contains(all, "the file is not on this server: "+strings.Repeat("0", 64)) {
		t.Errorf("the comments say %s", all)
	}
}
