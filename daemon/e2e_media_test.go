//go:build linux

package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"leadstream/daemon/intake"
	"leadstream/daemon/mail/mailtest"
	"leadstream/daemon/proof"
	"leadstream/sinks/records"
	"leadstream/sinks/sim/meta"
)

// graphWorld is a daemon whose source is a simulated Graph API.
func graphWorld(t *testing.T, o meta.Options, more string) (*instance, *meta.Server) {
	t.Helper()
	o.Token, o.Secret, o.Verify, o.Back = "graph_token", "app_secret", "my_token", 50*time.Millisecond
	s := meta.New(o)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	i := newInstance(t, proof.Setup{Records: records.Embedded, More: more, Sources: "  wa: {preset: meta, secrets: [app_secret], verification: my_token, token: graph_token, base_url: \"" +
		s.URL() + "\", allow_private: true}\n"})
	if err := s.Subscribe(t.Context(), i.URL("/in/wa")); err != nil {
		t.Fatal(err)
	}
	return i, s
}

func snapshot(t *testing.T, n int) meta.File {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 40, 20+n))
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return meta.File{Content: b.Bytes(), Type: "image/png"}
}

// Customers send photos and fill in forms, events come twice, and the daemon is killed again and again: every card has its
// photo once, every form its answers, and what a customer wrote behind a photo comes behind it.
func TestKilledWhileFetching(t *testing.T) {
	t.Parallel()
	i, s := graphWorld(t, meta.Options{Twice: true, Batch: 7}, "")
	s.Inject(meta.Fault{Method: "file:*", Delay: 100 * time.Millisecond})
	const lives, each = 5, 12
	for life := range lives {
		for n := range each {
			k := life*each + n
			from := fmt.Sprintf("7999%07d", k)
			s.Write(from, "Анна", meta.Picture(s.Upload(snapshot(t, k)), fmt.Sprint("wish ", k)))
			s.Write(from, "Анна", meta.Text("и ещё вопрос"))
			s.Fill("500", map[string]string{"full_name": "Ирина Пробная", "phone_number": fmt.Sprintf("+7998%07d", k)}, nil)
		}
		pause(100*time.Millisecond, 800*time.Millisecond)
		if life < lives-1 {
			i.Kill()
			i.start()
		}
	}
	i.eventually("every event is taken", func() bool { return s.Pending() == 0 })
	i.quiet()
	if cards := len(i.events("create")); cards != 2*lives*each {
		t.Errorf("%d cards, want %d", cards, 2*lives*each)
	}
	photos := map[string]int{}
	for _, f := range i.CRM.Files() {
		photos[fmt.Sprint(f.Card, f.Sum)]++
	}
	if len(photos) != lives*each {
		t.Errorf("%d photos on cards, want %d", len(photos), lives*each)
	}
	for f, n := range photos {
		if n != 1 {
			t.Errorf("a photo is %d times on its card: %s", n, f)
		}
	}
	for _, e := range i.events("create") {
		text := fmt.Sprint(e.Payload)
		if !strings.Contains(text, "wish") && !strings.Contains(text, "Ирина Пробная") {
			t.Errorf("a card of neither a photo nor a form: %s", text)
		}
	}
}

// A photo that does not come in time does not keep its lead; it follows.
func TestLateFile(t *testing.T) {
	t.Parallel()
	i, s := graphWorld(t, meta.Options{}, "media: {wait: 500ms}\n")
	id := s.Upload(snapshot(t, 1))
	s.Inject(meta.Fault{Method: "media:" + id, Code: "131000"})
	s.Write("79990000011", "Анна", meta.Picture(id, "вот фото"))
	i.eventually("the card is there", func() bool { return len(i.events("create")) == 1 })
	if text := fmt.Sprint(i.events("create")[0].Payload); !strings.Contains(text, "has not come yet, it follows") {
		t.Errorf("the card says %s", text)
	}
	i.Kill()
	i.start()
	s.Clear()
	i.eventually("the photo follows", func() bool { return len(i.CRM.Files()) == 1 })
	i.quiet()
	comments := asText(i.events("comment"))
	if strings.Contains(comments, "written again") || !strings.Contains(comments, "A file of this enquiry has come") {
		t.Errorf("the manager reads %s", comments)
	}
	store := i.records()
	cards, err := store.Find(t.Context(), "79990000011", 10)
	i.must(err)
	if len(cards) != 1 {
		t.Fatalf("%d customers of one", len(cards))
	}
	card, err := store.Card(t.Context(), cards[0].ID, true)
	i.must(err)
	if len(card.Messages) != 2 || card.Contacts != 1 || len(card.Messages[1].Files) != 1 || card.Messages[1].Files[0].Hash == "" || card.Messages[1].Channel != card.Messages[0].Channel {
		t.Errorf("the records say %+v", card)
	}
	if all, err := store.Find(t.Context(), "Анна", 10); err != nil || len(all) != 1 {
		t.Errorf("%d customers of this name, %v", len(all), err)
	}
	if out := i.run("customers", "show", strconv.FormatInt(card.ID, 10)); !strings.Contains(out, "[photo]") {
		t.Errorf("customers show says %s", out)
	}
	if len(i.events("create")) != 1 || i.CRM.Files()[0].Card != i.events("create")[0].ID {
		t.Errorf("it is on another card: %+v", i.CRM.Files())
	}
}

// A form waits while the token is refused; it is there when a new one works.
func TestFormWaitsForTheToken(t *testing.T) {
	t.Parallel()
	i, s := graphWorld(t, meta.Options{}, "")
	s.Inject(meta.Fault{Method: "leadgen:*", Code: "190"})
	id := s.Fill("500", map[string]string{"full_name": "Ирина Пробная"}, map[string]any{"campaign_id": "77"})
	i.eventually("asked", func() bool { return s.Calls("leadgen:"+id) > 0 })
	s.Clear()
	i.Kill() // as an operator restarts with a new token
	i.start()
	i.eventually("the card is there", func() bool { return len(i.events("create")) == 1 })
	i.quiet()
	if text := fmt.Sprint(i.events("create")[0].Payload); !strings.Contains(text, "Ирина Пробная") || !strings.Contains(text, "77") {
		t.Errorf("the card says %s", text)
	}
}

// Files of mails stand on the card as those of messengers do, whichever way the mail came, and once; what is wrong with one is
// said, and keeps neither its mail nor the others.
func TestMailFiles(t *testing.T) {
	t.Parallel()
	s := mailtest.Start(t)
	key := intake.NewKey("post")
	i := newInstance(t, proof.Setup{Records: records.Embedded, Sources: fmt.Sprintf("  post: {preset: mail, keys: [%q], mail: {host: localhost, port: %d, username: %q, password: %q, ca_file: %s, every: 1h}}\n",
		intake.KeyHash(key), s.TLS, s.User, s.Password, s.CAFile)})
	part := func(typ, name string, content []byte) string {
		return fmt.Sprintf("--b\nContent-Type: %s\nContent-Disposition: attachment; filename=%q\nContent-Transfer-Encoding: base64\n\n%s\n", typ, name, base64.StdEncoding.EncodeToString(content))
	}
	letter := func(n int) string {
		return fmt.Sprintf("From: Olga <olga%d@example.test>\nMessage-ID: <%[1]d@example.test>\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nLike this, number %[1]d\n", n) +
			part("image/png", "../../wish.png", snapshot(t, n).Content) + part("application/pdf", "plan.pdf", fmt.Appendf(nil, "%%PDF-1.4 %d", n)) +
			part("image/jpeg", "page.jpg", []byte("<html><body>Not found</body></html>")) + part("application/pdf", "empty.pdf", nil) + "--b--\n"
	}
	s.Put("INBOX", time.Time{}, letter(1), "From: Shop <news@example.test>\nMessage-ID: <n@example.test>\nList-Id: <news.example.test>\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nBuy now\n"+
		part("image/png", "sale.png", snapshot(t, 9).Content)+"--b--\n")
	for range 2 { // the second time it is the same mail
		var out, errs bytes.Buffer
		if code := execute([]string{"mail", "--source", "post", "--url", i.URL(""), "--key", key}, strings.NewReader(letter(2)), &out, &errs); code != exitOK {
			t.Fatalf("exit %d: %s", code, errs.String())
		}
	}
	i.eventually("both are on cards, with their files", func() bool { return len(i.events("create")) == 2 && len(i.CRM.Files()) == 4 })
	i.quiet()
	var names []string
	for _, f := range i.CRM.Files() {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	if want := []string{"1-wish.jpg", "1-wish.jpg", "2-plan.pdf", "2-plan.pdf"}; !slices.Equal(names, want) {
		t.Errorf("on the cards are %q, want %q", names, want)
	}
	for _, e := range i.events("create") {
		if text := asText(e.Payload); !strings.Contains(text, "page.jpg (") || !strings.Contains(text, "empty.pdf (empty)") {
			t.Errorf("a card says %s", text)
		}
	}
	stored, err := filepath.Glob(filepath.Join(i.Data, "media", "??", "*"))
	if err != nil || len(stored) != 4 {
		t.Errorf("%d files are stored, want 4, none of the newsletter's: %v", len(stored), err)
	}
	cards, err := i.records().Find(t.Context(), "olga1@example.test", 2)
	i.must(err)
	card, err := i.records().Card(t.Context(), cards[0].ID, true)
	i.must(err)
	if len(card.Messages) != 1 || len(card.Messages[0].Files) != 4 || card.Messages[0].Files[0].Hash == "" || card.Messages[0].Files[3].Problem != "empty" {
		t.Errorf("the records say %+v", card.Messages)
	}
}
