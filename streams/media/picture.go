package media

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // decoders by their first bytes
	"image/jpeg"
	_ "image/png"
	"io"
	"os"

	_ "golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"
)

const (
	maxJPEG   = 5_000_000   // bytes of a picture in the CRM (IN-12)
	maxPixels = 200_000_000 // as many as no telephone's camera has: a file that claims more is an attack
	maxMemory = 400 << 20   // bytes to decode a picture; a photo of 50 megapixels takes 350 MB
	maxSide   = 65_000      // a JPEG has at most 65,535
)

var (
	errBomb = errors.New("too many pixels")
	errFit  = errors.New("the picture does not become small enough")
)

// toJPEG writes the picture as JPEG of less than maxJPEG: upright, on white, and with nothing but its pixels. Its error is a
// *fs.PathError when the disk is to blame. errBomb: it claims to be larger than any picture is.
func toJPEG(to, from *os.File) error {
	cfg, orientation, err := measure(from)
	if err != nil {
		return err
	}
	img, err := decode(from)
	if err != nil {
		return err
	}
	if img.Bounds().Dx() != cfg.Width || img.Bounds().Dy() != cfg.Height {
		return errors.New("the picture is not as large as it says")
	}
	upright := turned(flat(img), orientation)
	for quality := 85; ; quality -= 10 {
		if quality < 55 { // smaller rather than worse
			quality = 85
			b := upright.Bounds()
			half := image.NewRGBA(image.Rect(0, 0, max(1, b.Dx()*7/10), max(1, b.Dy()*7/10)))
			if half.Rect.Dx() < 64 && half.Rect.Dy() < 64 {
				return errFit
			}
			draw.ApproxBiLinear.Scale(half, half.Rect, upright, b, draw.Src, nil)
			upright = half
		}
		if err := errors.Join(to.Truncate(0), rewind(to)); err != nil {
			return err
		}
		out := &bounded{w: to, left: maxJPEG}
		err := jpeg.Encode(out, upright, &jpeg.Options{Quality: quality})
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errFit):
			return err
		}
	}
}

// measure reads a picture's size and how the camera was held, and refuses what would take too much to decode.
func measure(f *os.File) (cfg image.Config, orientation int, err error) {
	defer func() { err = recovered(recover(), err) }()
	if err := rewind(f); err != nil {
		return cfg, 0, err
	}
	cfg, format, err := image.DecodeConfig(f)
	if err != nil {
		return cfg, 0, err
	}
	pixels := int64(cfg.Width) * int64(cfg.Height)
	if pixels > maxPixels {
		return cfg, 0, errBomb
	}
	each := int64(8) // as decoded, and the copy that is turned
	orientation = 1
	switch cfg.ColorModel {
	case color.RGBA64Model, color.NRGBA64Model, color.Gray16Model:
		each = 12
	}
	if format == "jpeg" {
		if err := rewind(f); err != nil {
			return cfg, 0, err
		}
		var progressive bool
		orientation, progressive = jpegHead(f)
		if each = 7; progressive { // its coefficients are kept until the last scan
			each = 19
		}
	}
	if pixels <= 0 || pixels*each > maxMemory || cfg.Width > maxSide || cfg.Height > maxSide {
		return cfg, 0, errors.New("the picture takes too much memory")
	}
	return cfg, orientation, nil
}

func decode(f *os.File) (img image.Image, err error) {
	defer func() { err = recovered(recover(), err) }()
	if err := rewind(f); err != nil {
		return nil, err
	}
	img, _, err = image.Decode(f)
	return img, err
}

// recovered makes an error of a decoder's panic: what it reads comes from strangers.
func recovered(x any, err error) error {
	if x != nil {
		return fmt.Errorf("the decoder panicked: %.100v", x)
	}
	return err
}

func rewind(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// flat is the picture on white.
func flat(img image.Image) *image.RGBA {
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(out, out.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(out, out.Rect, img, b.Min, draw.Over)
	return out
}

// turned undoes how the camera was held, by EXIF's numbers: 2 mirrored, 3 upside down, 4 both, 5 to 8 lying.
func turned(in *image.RGBA, orientation int) *image.RGBA {
	if orientation < 2 || orientation > 8 {
		return in
	}
	w, h := in.Rect.Dx(), in.Rect.Dy()
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	if orientation >= 5 {
		out = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			tx, ty := x, y
			switch orientation {
			case 2:
				tx = w - 1 - x
			case 3:
				tx, ty = w-1-x, h-1-y
			case 4:
				ty = h - 1 - y
			case 5:
				tx, ty = y, x
			case 6:
				tx, ty = h-1-y, x
			case 7:
				tx, ty = h-1-y, w-1-x
			case 8:
				tx, ty = y, w-1-x
			}
			copy(out.Pix[out.PixOffset(tx, ty):][:4], in.Pix[in.PixOffset(x, y):][:4])
		}
	}
	return out
}

// jpegHead reads the segments before a JPEG's first scan. Whatever is strange there is left to the decoder.
func jpegHead(r io.Reader) (orientation int, progressive bool) {
	orientation = 1
	var mark [4]byte
	if _, err := io.ReadFull(r, mark[:2]); err != nil {
		return orientation, false
	}
	for range 200 {
		if _, err := io.ReadFull(r, mark[:]); err != nil || mark[0] != 0xff {
			return orientation, progressive
		}
		n := int(binary.BigEndian.Uint16(mark[2:])) - 2
		if n < 0 || mark[1] == 0xda {
			return orientation, progressive
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return orientation, progressive
		}
		switch mark[1] {
		case 0xc2:
			progressive = true
		case 0xe1:
			if len(body) > 6 && string(body[:6]) == "Exif\x00\x00" {
				orientation = exifOrientation(body[6:])
			}
		}
	}
	return orientation, progressive
}

// exifOrientation finds the tag 0x0112 in a TIFF's first directory; 1 without it.
func exifOrientation(b []byte) int {
	if len(b) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.LittleEndian
	if b[0] == 'M' {
		order = binary.BigEndian
	}
	at := int64(order.Uint32(b[4:]))
	if at+2 > int64(len(b)) {
		return 1
	}
	n := int64(order.Uint16(b[at:]))
	for i := range n {
		e := at + 2 + 12*i
		if e+12 > int64(len(b)) {
			return 1
		}
		if order.Uint16(b[e:]) == 0x0112 {
			if o := int(order.Uint16(b[e+8:])); o >= 1 && o <= 8 {
				return o
			}
			return 1
		}
	}
	return 1
}

// bounded stops an encoder whose picture becomes too large.
type bounded struct {
	w    io.Writer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errFit
	}
	return b.w.Write(p)
}
