package media

import (
	"bytes"
	"errors"
	"image"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"leadstream/streams"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "media"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func add(t *testing.T, s *Store, m streams.Media, content string) streams.Media {
	t.Helper()
	out, err := s.Add(m, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// stored are the files that lie in the store, half ones too.
func stored(t *testing.T, s *Store) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestAdd(t *testing.T) {
	const html = "<!DOCTYPE html><html><body>Log in</body></html>"
	ogg := "OggS\x00" + strings.Repeat("\x00", 40)
	zip := "PK\x03\x04" + strings.Repeat("\x00", 40)
	tests := map[string]struct {
		m       streams.Media
		content string
		want    streams.Media // without Hash
		kept    bool
	}{
		"document":           {streams.Media{Kind: "document", Name: "план.pdf"}, "%PDF-1.7 …", streams.Media{Kind: "document", Name: "план.pdf", Type: "application/pdf"}, true},
		"voice":              {streams.Media{Kind: "voice", Type: "audio/ogg; codecs=opus"}, ogg, streams.Media{Kind: "voice", Type: "audio/ogg"}, true},
		"video":              {streams.Media{Kind: "video"}, "\x00\x00\x00\x18ftypisom....", streams.Media{Kind: "video", Type: "video/mp4"}, true},
		"heic":               {streams.Media{Kind: "photo"}, "\x00\x00\x00\x18ftypheic....", streams.Media{Kind: "photo", Type: "image/heic", Problem: Unconverted}, true},
		"office":             {streams.Media{Kind: "document", Name: "a.docx", Type: "application/vnd.openxmlformats-officedocument.wordprocessingml.document"}, zip, streams.Media{Kind: "document", Name: "a.docx", Type: "application/vnd.openxmlformats-officedocument.wordprocessingml.document"}, true},
		"text":               {streams.Media{Kind: "document", Name: "прайс.txt", Type: "text/plain"}, "цена 100", streams.Media{Kind: "document", Name: "прайс.txt", Type: "text/plain"}, true},
		"a page for a photo": {streams.Media{Kind: "photo", Type: "image/jpeg"}, html, streams.Media{Kind: "photo", Type: "text/html", Problem: NotIt}, false},
		"a page for a pdf":   {streams.Media{Kind: "document", Name: "a.pdf", Type: "application/pdf"}, html, streams.Media{Kind: "document", Name: "a.pdf", Type: "text/html", Problem: NotIt}, false},
		"an error for voice": {streams.Media{Kind: "voice"}, `{"error":{"code":190}}`, streams.Media{Kind: "voice", Type: "application/json", Problem: NotIt}, false},
		"a zip named jpg":    {streams.Media{Kind: "document", Name: "a.jpg", Type: "image/jpeg"}, zip, streams.Media{Kind: "document", Name: "a.jpg", Type: "application/zip", Problem: Other}, true},
		"nothing":            {streams.Media{Kind: "photo"}, "", streams.Media{Kind: "photo", Problem: Empty}, false},
		"truncated picture":  {streams.Media{Kind: "photo"}, string(photo(t, 60, 40)[:600]), streams.Media{Kind: "photo", Type: "image/jpeg", Problem: Unconverted}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			got := add(t, s, tt.m, tt.content)
			if (got.Hash != "") != tt.kept {
				t.Fatalf("kept %q, want kept=%v", got.Hash, tt.kept)
			}
			tt.want.Hash, tt.want.Size = got.Hash, got.Size
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if want := map[bool]int{true: 1}[tt.kept]; len(stored(t, s)) != want {
				t.Errorf("files on the disk: %v", stored(t, s))
			}
			if !tt.kept {
				return
			}
			f, err := s.File(got.Hash)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if b, err := io.ReadAll(f); err != nil || string(b) != tt.content || got.Size != int64(len(b)) {
				t.Errorf("stored %d bytes of %d (%v)", len(b), len(tt.content), err)
			}
		})
	}
}

func TestOneFileOnce(t *testing.T) {
	s := open(t)
	a, b := add(t, s, streams.Media{Kind: "document"}, "%PDF- a"), add(t, s, streams.Media{Kind: "document", Name: "x"}, "%PDF- a")
	if a.Hash != b.Hash || len(stored(t, s)) != 1 {
		t.Errorf("%s and %s: %v", a.Hash, b.Hash, stored(t, s))
	}
	path := s.path(a.Hash) // damaged since
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	add(t, s, streams.Media{Kind: "document"}, "%PDF- a")
	if got, err := os.ReadFile(path); string(got) != "%PDF- a" {
		t.Errorf("stays damaged: %q (%v)", got, err)
	}
}

func TestAddFailures(t *testing.T) {
	s := open(t)
	broken := errors.New("connection reset")
	if m, err := s.Add(streams.Media{Kind: "document"}, io.MultiReader(strings.NewReader("%PDF-"), iotest.ErrReader(broken))); !errors.Is(err, broken) || m.Hash != "" {
		t.Errorf("a broken stream: %+v, %v", m, err)
	}
	if m, err := s.Add(streams.Media{Kind: "document"}, endless{}); err != nil || m.Problem != TooLarge {
		t.Errorf("an endless stream: %+v, %v", m, err)
	}
	s.free = func(string) (int64, error) { return reserve - 1, nil }
	if m, err := s.Add(streams.Media{Kind: "document"}, strings.NewReader("%PDF-")); !errors.Is(err, ErrSpace) || m.Hash != "" {
		t.Errorf("a full disk: %+v, %v", m, err)
	}
	if err := diskError(&fs.PathError{Op: "write", Err: syscall.ENOSPC}); !errors.Is(err, ErrSpace) {
		t.Errorf("ENOSPC is %v", err)
	}
	if left := stored(t, s); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, hash := range []string{"", "../../etc/passwd", strings.Repeat("A", 64), strings.Repeat("0", 64)} {
		if _, err := s.File(hash); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("File(%q): %v", hash, err)
		}
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return copy(b, "%PDF-%PDF-"), nil }

func TestSweep(t *testing.T) {
	s := open(t)
	old, young := add(t, s, streams.Media{Kind: "document"}, "%PDF- old"), add(t, s, streams.Media{Kind: "document"}, "%PDF- young")
	if err := s.Write("abc1", []byte("note")); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-48 * time.Hour)
	half := filepath.Join(s.halves(), "in-1")
	if err := os.WriteFile(half, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{s.path(old.Hash), s.note("abc1"), half} {
		if err := os.Chtimes(p, past, past); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Sweep(time.Now().Add(-24 * time.Hour)); n != 3 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	if left := stored(t, s); len(left) != 1 || left[0] != s.path(young.Hash) {
		t.Errorf("left: %v", left)
	}
	// A start removes halves, and no other daemon's that is at work.
	for name, at := range map[string]time.Time{"in-1": past, "in-2": time.Now()} {
		if err := errors.Join(os.WriteFile(filepath.Join(s.halves(), name), []byte("x"), 0o600), os.Chtimes(filepath.Join(s.halves(), name), at, at)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(s.dir, 1); err != nil {
		t.Fatal(err)
	}
	if left := stored(t, s); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
}

func TestNotes(t *testing.T) {
	s := open(t)
	for range 2 {
		if err := s.Write("0123abc", []byte(`{"a":1}`)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Read("0123abc"); string(got) != `{"a":1}` || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := errors.Join(s.Forget("0123abc"), s.Forget("0123abc")); err != nil {
		t.Error(err)
	}
	if _, err := s.Read("0123abc"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, name := range []string{"", "../x", "a/b", "ABC"} {
		if err := s.Write(name, nil); err == nil {
			t.Errorf("Write(%q) was taken", name)
		}
	}
}

func TestFileName(t *testing.T) {
	tests := map[string]struct {
		m    streams.Media
		want string
	}{
		"named":         {streams.Media{Kind: "document", Name: "План дома.pdf", Type: "application/pdf"}, "План дома.pdf"},
		"unnamed":       {streams.Media{Kind: "photo", Type: "image/jpeg"}, "photo.jpg"},
		"made a JPEG":   {streams.Media{Kind: "document", Name: "scan.png", Type: "image/jpeg"}, "scan.jpg"},
		"jpeg":          {streams.Media{Kind: "photo", Name: "a.JPEG", Type: "image/jpeg"}, "a.JPEG"},
		"a path":        {streams.Media{Kind: "document", Name: `..\..\evil/../x.pdf`, Type: "application/pdf"}, "x.pdf"},
		"hidden ending": {streams.Media{Kind: "document", Name: "fdp.\u202eexe", Type: "application/octet-stream"}, "fdp.exe"},
		"only dots":     {streams.Media{Kind: "sticker", Name: "...", Type: "image/jpeg"}, "sticker.jpg"},
		"odd kind":      {streams.Media{Kind: "../x", Type: "video/mp4"}, "file.mp4"},
		"long":          {streams.Media{Name: strings.Repeat("я", 300) + ".pdf", Type: "application/pdf"}, strings.Repeat("я", 80) + ".pdf"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := FileName(tt.m); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEveryProblemHasWords(t *testing.T) {
	for _, p := range []string{Late, Gone, Denied, Elsewhere, Unfetched, TooLarge, TooManyPixels, Empty, NotIt, Altered, Unconverted, Other, Failed} {
		if text := texts[p]; text[0] == "" || text[1] == "" {
			t.Errorf("%s has no words", p)
		}
	}
	if Say("new", "en") != texts[Failed][0] || SayKind("new", "ru") != "файл" {
		t.Error("unknown words are not said plainly")
	}
}

func FuzzAdd(f *testing.F) {
	f.Add([]byte("%PDF-"), "document", "a.pdf", "application/pdf")
	f.Add(encoded(f, image.NewRGBA(image.Rect(0, 0, 9, 7)), "png"), "photo", "", "")
	f.Add(encoded(f, image.NewRGBA(image.Rect(0, 0, 9, 7)), "gif"), "sticker", "x", "image/webp")
	f.Add(withEXIF(encoded(f, image.NewRGBA(image.Rect(0, 0, 9, 7)), "jpeg"), 6), "photo", "", "image/jpeg")
	f.Add([]byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"), "photo", "", "")
	f.Add(bomb(), "photo", "", "")
	s, err := Open(f.TempDir(), 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte, kind, name, typ string) {
		m, err := s.Add(streams.Media{Kind: kind, Name: name, Type: typ}, bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if m.Hash == "" && m.Problem == "" {
			t.Fatal("neither a file nor why there is none")
		}
		if n := FileName(m); n == "" || strings.ContainsAny(n, "/\\\x00") {
			t.Fatalf("name %q", n)
		}
		if m.Hash == "" {
			return
		}
		file, err := s.File(m.Hash)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if info, err := file.Stat(); err != nil || info.Size() != m.Size {
			t.Fatalf("%d bytes are %v, %v", m.Size, info.Size(), err)
		}
	})
}
