package media

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"testing"

	"leadstream/streams"
)

func encoded(t testing.TB, img image.Image, format string) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch format {
	case "jpeg":
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 95})
	case "png":
		err = png.Encode(&b, img)
	default:
		err = gif.Encode(&b, img, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// photo has a red corner at its upper left, the rest is blue.
func photo(t testing.TB, w, h int) []byte { return encoded(t, cornered(w, h), "jpeg") }

func cornered(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, color.RGBA{B: 255, A: 255})
			if x < w/2 && y < h/2 {
				img.Set(x, y, color.RGBA{R: 255, A: 255})
			}
		}
	}
	return img
}

// withEXIF puts a segment with an orientation, and a place that nobody should learn, before the rest of a JPEG.
func withEXIF(raw []byte, orientation uint16) []byte {
	tiff := []byte("MM\x00*\x00\x00\x00\x08\x00\x01")
	tiff = append(tiff, 0x01, 0x12, 0, 3, 0, 0, 0, 1)
	tiff = append(binary.BigEndian.AppendUint16(tiff, orientation), 0, 0, 0, 0, 0, 0)
	body := append([]byte("Exif\x00\x00"), tiff...)
	body = append(body, "GPS 55.7558 37.6173"...)
	seg := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(body)+2))
	return append(append(append([]byte{0xff, 0xd8}, seg...), body...), raw[2:]...)
}

// bomb is a PNG of a few bytes that claims 50,000 by 50,000 pixels.
func bomb() []byte {
	b := []byte("\x89PNG\r\n\x1a\n")
	ihdr := []byte("IHDR\x00\x00\xc3\x50\x00\x00\xc3\x50\x08\x06\x00\x00\x00")
	b = append(binary.BigEndian.AppendUint32(b, 13), ihdr...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(ihdr))
}

func decodeStored(t *testing.T, s *Store, m streams.Media) (image.Image, []byte) {
	t.Helper()
	f, err := s.File(m.Hash)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		t.Fatal(err)
	}
	img, format, err := image.Decode(bytes.NewReader(b.Bytes()))
	if err != nil || format != "jpeg" {
		t.Fatalf("stored %s, %v", format, err)
	}
	return img, b.Bytes()
}

// A picture is upright, whatever the camera said, and nobody learns where it was taken.
func TestPictureUpright(t *testing.T) {
	corners := map[uint16][2]int{1: {0, 0}, 2: {1, 0}, 3: {1, 1}, 4: {0, 1}, 5: {0, 0}, 6: {1, 0}, 7: {1, 1}, 8: {0, 1}}
	for o, at := range corners {
		s := open(t)
		m := add(t, s, streams.Media{Kind: "photo", Name: "IMG.JPG"}, string(withEXIF(photo(t, 64, 32), o)))
		if m.Problem != "" || m.Type != "image/jpeg" {
			t.Fatalf("orientation %d: %+v", o, m)
		}
		img, raw := decodeStored(t, s, m)
		if bytes.Contains(raw, []byte("GPS")) || bytes.Contains(raw, []byte("Exif")) {
			t.Errorf("orientation %d: the camera's words are kept", o)
		}
		b := img.Bounds()
		if lying := b.Dx() < b.Dy(); lying != (o >= 5) {
			t.Errorf("orientation %d: %v", o, b)
		}
		for cx := range 2 {
			for cy := range 2 {
				red, _, _, _ := img.At(b.Dx()/4+cx*b.Dx()/2, b.Dy()/4+cy*b.Dy()/2).RGBA()
				if want := [2]int{cx, cy} == at; (red > 0x8000) != want {
					t.Errorf("orientation %d: corner %d,%d red is %v", o, cx, cy, red > 0x8000)
				}
			}
		}
	}
}

func TestPictureBecomesSmallJPEG(t *testing.T) {
	noise := image.NewRGBA(image.Rect(0, 0, 3000, 2600)) // compresses badly
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise.Pix {
		noise.Pix[i] = byte(random.Uint32())
		if i%4 == 3 {
			noise.Pix[i] = 255
		}
	}
	s, err := Open(t.TempDir(), 100<<20)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Add(streams.Media{Kind: "photo"}, bytes.NewReader(encoded(t, noise, "png")))
	if err != nil || m.Problem != "" || m.Size >= 5_000_000 {
		t.Fatalf("%+v, %v", m, err)
	}
	decodeStored(t, s, m)
}

func TestTransparentPictureIsOnWhite(t *testing.T) {
	for _, format := range []string{"png", "gif"} {
		s := open(t)
		img := image.NewNRGBA(image.Rect(0, 0, 8, 8))
		m := add(t, s, streams.Media{Kind: "sticker"}, string(encoded(t, img, format)))
		out, _ := decodeStored(t, s, m)
		if r, _, _, _ := out.At(4, 4).RGBA(); format == "png" && r < 0xf000 {
			t.Errorf("%s: the ground is not white", format)
		}
	}
}

func TestBombIsRefusedBeforeDecoding(t *testing.T) {
	s := open(t)
	if m := add(t, s, streams.Media{Kind: "photo"}, string(bomb())); m.Problem != TooManyPixels || m.Hash != "" {
		t.Errorf("%+v", m)
	}
}
