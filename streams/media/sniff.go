package media

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"os"
	"path"
	"strings"
	"unicode"

	"leadstream/streams"
)

// kind is what a file's first bytes say that it is: a MIME type.
type kind string

const heic kind = "image/heic"

// sniff looks at the beginning of a file.
func sniff(f *os.File) (kind, error) {
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return "", err
	}
	return sniffed(head[:n]), nil
}

// brands are what stands behind ftyp in the family of MP4.
var brands = map[string]kind{
	"heic": heic, "heix": heic, "hevc": heic, "mif1": heic, "msf1": heic, "avif": "image/avif", "avis": "image/avif",
	"M4A ": "audio/mp4", "M4B ": "audio/mp4", "3gp4": "video/3gpp", "3gp5": "video/3gpp", "3gp6": "video/3gpp", "qt  ": "video/quicktime",
}

func sniffed(head []byte) kind {
	switch {
	case len(head) >= 12 && string(head[4:8]) == "ftyp":
		if k, ok := brands[string(head[8:12])]; ok {
			return k
		}
		return "video/mp4"
	case bytes.HasPrefix(head, []byte("#!AMR")):
		return "audio/amr"
	case len(head) > 2 && head[0] == 0xff && head[1]&0xe6 == 0xe2: // a frame of MPEG layer III
		return "audio/mpeg"
	case len(head) > 2 && head[0] == 0xff && head[1]&0xf6 == 0xf0:
		return "audio/aac"
	case bytes.HasPrefix(head, []byte("II*\x00")) || bytes.HasPrefix(head, []byte("MM\x00*")):
		return "image/tiff"
	}
	t, _, _ := mime.ParseMediaType(http.DetectContentType(head))
	if rest := bytes.TrimSpace(head); t == "text/plain" && len(rest) > 0 && (rest[0] == '{' || rest[0] == '[') {
		return "application/json"
	}
	return kind(t)
}

// picture tells a kind that becomes a JPEG, or would if there were a decoder.
func (k kind) picture() bool {
	switch k {
	case "image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp", "image/tiff", "image/avif", heic:
		return true
	}
	return false
}

// words tells text: what a service says instead of giving a file.
func (k kind) words() bool {
	return strings.HasPrefix(string(k), "text/") || k == "application/json" || k == "application/xml"
}

// judge is the type of the file that m speaks of, and the problem when its content is something else.
func (k kind) judge(m streams.Media) (typ, problem string) {
	told, _, _ := mime.ParseMediaType(m.Type)
	if told == "" || told == "application/octet-stream" {
		told, _, _ = mime.ParseMediaType(mime.TypeByExtension(strings.ToLower(path.Ext(m.Name))))
	}
	family := func(t string) string { f, _, _ := strings.Cut(t, "/"); return f }
	seen := map[string]bool{"photo": true, "video": true, "audio": true, "voice": true, "sticker": true}[m.Kind]
	switch {
	case k.words() && (seen || family(told) != "text" && k == "text/html" || told == "application/pdf" || kind(told).picture()):
		return string(k), NotIt
	case k.words() && (family(told) == "text" || told == "application/json" || told == "application/xml" || strings.HasSuffix(told, "+xml")):
		return told, ""
	case k == "application/zip" && (strings.HasPrefix(told, "application/vnd.") || told == "application/epub+zip"): // office files
		return told, ""
	case k == "application/ogg":
		if family(told) == "video" || m.Kind == "video" {
			return "video/ogg", ""
		}
		return "audio/ogg", ""
	case k == "video/webm" && (family(told) == "audio" || m.Kind == "voice"):
		return "audio/webm", ""
	case k == "video/mp4" && (family(told) == "audio" || m.Kind == "voice" || m.Kind == "audio"):
		return "audio/mp4", ""
	case k == "application/octet-stream" && told != "" && !kind(told).picture(): // nothing that we know
		return told, ""
	case m.Kind == "photo" && !k.picture(), kind(told).picture() && !k.picture():
		return string(k), Other
	case (m.Kind == "voice" || m.Kind == "audio") && family(string(k)) == "image":
		return string(k), Other
	}
	return string(k), ""
}

// extensions are those that people know; the system's own table knows rarer ones first.
var extensions = map[string]string{
	"image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp", "image/heic": ".heic", "image/avif": ".avif",
	"audio/ogg": ".ogg", "audio/mpeg": ".mp3", "audio/mp4": ".m4a", "audio/amr": ".amr", "audio/aac": ".aac", "audio/wave": ".wav",
	"video/mp4": ".mp4", "video/3gpp": ".3gp", "video/quicktime": ".mov", "video/webm": ".webm",
	"application/pdf": ".pdf", "application/zip": ".zip", "text/plain": ".txt", "application/json": ".json",
}

// FileName is under which name a person gets the file: the sender's, without what could lead out of a folder or hide its
// end, and with the ending of what it is.
func FileName(m streams.Media) string {
	name := path.Base(strings.ReplaceAll(m.Name, `\`, "/"))
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(`/<>:"|?*`, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	name = strings.Trim(name, " .")
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	if stem == "" {
		stem = "file"
		if _, ok := kinds[m.Kind]; ok {
			stem = m.Kind
		}
	}
	if runes := []rune(stem); len(runes) > 80 {
		stem = string(runes[:80])
	}
	typ, _, _ := mime.ParseMediaType(m.Type)
	if known := extensions[typ]; known != "" && !sameType(ext, typ) {
		ext = known
	}
	if len(ext) > 12 {
		ext = ""
	}
	return stem + ext
}

func sameType(ext, typ string) bool {
	t, _, _ := mime.ParseMediaType(mime.TypeByExtension(strings.ToLower(ext)))
	return ext != "" && t == typ
}
