package jpeg

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	stdjpeg "image/jpeg"
	"math"
	"testing"
)

// scene is a smooth coloured picture, so that subsampling costs little.
func scene(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			wave := func(fx, fy float64) uint8 { return uint8(128 + 90*math.Sin(fx*float64(x)+fy*float64(y))) }
			img.SetRGBA(x, y, color.RGBA{wave(0.05, 0.02), wave(0.03, -0.04), wave(-0.01, 0.06), 255})
		}
	}
	return img
}

// planes is the scene as a 4:2:0 picture with padded strides.
func planes(w, h, padding int) *image.YCbCr {
	img, src := blank(w, h, padding), averaged(scene(w, h), image.YCbCrSubsampleRatio420)
	copyPlane(img.Y, src.Y, img.YStride, src.YStride)
	copyPlane(img.Cb, src.Cb, img.CStride, src.CStride)
	copyPlane(img.Cr, src.Cr, img.CStride, src.CStride)
	return img
}

func copyPlane(dst, src []byte, dstride, sstride int) {
	for len(src) > 0 {
		copy(dst, src[:sstride])
		src, dst = src[sstride:], dst[min(dstride, len(dst)):]
	}
}

func blank(w, h, padding int) *image.YCbCr {
	img := image.NewYCbCr(image.Rect(0, 0, w+padding, h+padding), image.YCbCrSubsampleRatio420)
	img.Rect = image.Rect(0, 0, w, h)
	return img
}

func newDecoder(t testing.TB) *Decoder {
	d, err := NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func newEncoder(t testing.TB) *Encoder {
	e, err := NewEncoder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func encoded(t testing.TB, img *image.YCbCr, quality int) []byte {
	data, err := newEncoder(t).Encode(nil, img, quality)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// worst is the largest difference between two planes' visible parts.
func worst(a, b []byte, astride, bstride, w, h int) int {
	most := 0
	for y := range h {
		for x := range w {
			d := int(a[y*astride+x]) - int(b[y*bstride+x])
			most = max(most, d, -d)
		}
	}
	return most
}

func wantClose(t *testing.T, got, want *image.YCbCr, tolerance int) {
	t.Helper()
	w, h := want.Rect.Dx(), want.Rect.Dy()
	for i, d := range []int{
		worst(got.Y, want.Y, got.YStride, want.YStride, w, h),
		worst(got.Cb, want.Cb, got.CStride, want.CStride, (w+1)/2, (h+1)/2),
		worst(got.Cr, want.Cr, got.CStride, want.CStride, (w+1)/2, (h+1)/2),
	} {
		if d > tolerance {
			t.Errorf("plane %d is off by up to %d grey levels", i, d)
		}
	}
}

func TestRoundTripOfAnySize(t *testing.T) {
	for _, size := range []image.Point{{64, 48}, {65, 48}, {64, 49}, {37, 23}, {1, 1}, {2, 3}, {16, 1}} {
		for _, padding := range []int{0, 1, 32} {
			t.Run(fmt.Sprint(size, padding), func(t *testing.T) {
				img, out := planes(size.X, size.Y, padding), blank(size.X, size.Y, padding)
				if err := newDecoder(t).Decode(encoded(t, img, 98), out); err != nil {
					t.Fatal(err)
				}
				wantClose(t, out, img, 8)
			})
		}
	}
}

// The next pictures' memory lies right behind these planes: nothing past them may change.
func TestDecodeStaysInsideThePlanes(t *testing.T) {
	for _, size := range []image.Point{{33, 21}, {1, 1}, {34, 22}} {
		w, h := size.X, size.Y
		cw, ch := (w+1)/2, (h+1)/2
		memory := bytes.Repeat([]byte{77}, 3*(w*h+100))
		out := &image.YCbCr{Rect: image.Rect(0, 0, w, h), YStride: w, CStride: cw, SubsampleRatio: image.YCbCrSubsampleRatio420,
			Y: memory[:w*h], Cb: memory[w*h+50:][:cw*ch], Cr: memory[2*w*h+100:][:cw*ch]}
		if err := newDecoder(t).Decode(encoded(t, planes(w, h, 0), 90), out); err != nil {
			t.Fatal(err)
		}
		for _, gap := range [][]byte{memory[w*h:][:50], memory[w*h+50+cw*ch:][:50], memory[2*w*h+100+cw*ch:]} {
			if bytes.Count(gap, []byte{77}) != len(gap) {
				t.Errorf("%v: bytes past a plane were written", size)
			}
		}
	}
}

func TestDecodeRefusesAnotherSizeUnwritten(t *testing.T) {
	data, out := encoded(t, planes(64, 48, 0), 90), blank(48, 64, 0)
	if err := newDecoder(t).Decode(data, out); !errors.Is(err, ErrSize) {
		t.Errorf("got %v", err)
	}
	if bytes.Count(out.Y, []byte{0}) != len(out.Y) {
		t.Error("the picture was written")
	}
}

func TestPicturesWithShortPlanesAreRefused(t *testing.T) {
	data := encoded(t, planes(64, 48, 0), 90)
	for name, spoil := range map[string]func(*image.YCbCr){
		"short luma":    func(p *image.YCbCr) { p.Y = p.Y[:len(p.Y)-1] },
		"short chroma":  func(p *image.YCbCr) { p.Cr = p.Cr[:10] },
		"narrow stride": func(p *image.YCbCr) { p.YStride = 63 },
		"4:2:2":         func(p *image.YCbCr) { p.SubsampleRatio = image.YCbCrSubsampleRatio422 },
		"empty":         func(p *image.YCbCr) { *p = image.YCbCr{} },
	} {
		img := planes(64, 48, 0)
		spoil(img)
		if err := newDecoder(t).Decode(data, img); !errors.Is(err, errPicture) {
			t.Errorf("%s: Decode says %v", name, err)
		}
		if _, err := newEncoder(t).Encode(nil, img, 90); !errors.Is(err, errPicture) {
			t.Errorf("%s: Encode says %v", name, err)
		}
	}
}

// subsamplings are all that a baseline camera or file brings; grey has no chroma planes.
var subsamplings = map[string]image.YCbCrSubsampleRatio{
	"4:4:4": image.YCbCrSubsampleRatio444,
	"4:2:2": image.YCbCrSubsampleRatio422,
	"4:2:0": image.YCbCrSubsampleRatio420,
	"4:4:0": image.YCbCrSubsampleRatio440,
	"4:1:1": image.YCbCrSubsampleRatio411,
	"grey":  grey,
}

const grey = image.YCbCrSubsampleRatio(-1)

func encodeAs(t testing.TB, src *image.RGBA, ratio image.YCbCrSubsampleRatio) []byte {
	if ratio != grey {
		return encoded(t, averaged(src, ratio), 98)
	}
	img, out := image.NewGray(src.Rect), new(bytes.Buffer)
	copy(img.Pix, averaged(src, image.YCbCrSubsampleRatio444).Y)
	if err := stdjpeg.Encode(out, img, &stdjpeg.Options{Quality: 98}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// averaged has the mean chroma of each sampling unit.
func averaged(src *image.RGBA, ratio image.YCbCrSubsampleRatio) *image.YCbCr {
	img := image.NewYCbCr(src.Rect, ratio)
	sums := make([][3]int, len(img.Cb))
	for y := range src.Rect.Dy() {
		for x := range src.Rect.Dx() {
			c := src.RGBAAt(x, y)
			luma, cb, cr := color.RGBToYCbCr(c.R, c.G, c.B)
			img.Y[img.YOffset(x, y)] = luma
			s := &sums[img.COffset(x, y)]
			*s = [3]int{s[0] + int(cb), s[1] + int(cr), s[2] + 1}
		}
	}
	for i, s := range sums {
		img.Cb[i], img.Cr[i] = byte((s[0]+s[2]/2)/s[2]), byte((s[1]+s[2]/2)/s[2])
	}
	return img
}

func TestEverySubsampling(t *testing.T) {
	for _, size := range []image.Point{{64, 48}, {37, 23}, {1, 1}, {3, 2}} {
		want := averaged(scene(size.X, size.Y), image.YCbCrSubsampleRatio420)
		for name, s := range subsamplings {
			t.Run(fmt.Sprint(name, size), func(t *testing.T) {
				out := blank(size.X, size.Y, 0)
				if err := newDecoder(t).Decode(encodeAs(t, scene(size.X, size.Y), s), out); err != nil {
					t.Fatal(err)
				}
				if name != "grey" {
					wantClose(t, out, want, 12)
					return
				}
				if worst(out.Y, want.Y, out.YStride, want.YStride, size.X, size.Y) > 3 {
					t.Error("luma is off")
				}
				if bytes.Count(out.Cb, []byte{128}) != len(out.Cb) || bytes.Count(out.Cr, []byte{128}) != len(out.Cr) {
					t.Error("chroma is not 128")
				}
			})
		}
	}
}

// Chroma that changes from row to row (or column to column) shows who averages and who drops.
func TestChromaIsAveraged(t *testing.T) {
	for name, ratio := range subsamplings {
		if ratio == grey || ratio == image.YCbCrSubsampleRatio420 {
			continue
		}
		img := image.NewYCbCr(image.Rect(0, 0, 32, 32), ratio)
		for i := range img.Y {
			img.Y[i] = 128
		}
		for i := range img.Cb {
			stripe := i / img.CStride
			if ratio == image.YCbCrSubsampleRatio440 {
				stripe = i % img.CStride
			}
			img.Cb[i], img.Cr[i] = byte(100+60*(stripe%2)), byte(160-60*(stripe%2))
		}
		out := blank(32, 32, 0)
		if err := newDecoder(t).Decode(encoded(t, img, 100), out); err != nil {
			t.Fatal(err)
		}
		for i := range out.Cb {
			if d := worst(out.Cb[i:], []byte{130}, 0, 0, 1, 1) + worst(out.Cr[i:], []byte{130}, 0, 0, 1, 1); d > 4 {
				t.Errorf("%s: chroma %d is %d and %d, want 130", name, i, out.Cb[i], out.Cr[i])
				break
			}
		}
	}
}

// What lies in memory beside an odd picture must not leak into the file.
func TestEncodeLeavesOutThePadding(t *testing.T) {
	clean, dirty := planes(33, 21, 3), planes(33, 21, 3)
	for y := range 24 {
		for x := range 36 {
			if x >= 33 || y >= 21 {
				dirty.Y[y*dirty.YStride+x] = 255
			}
		}
	}
	if !bytes.Equal(encoded(t, clean, 90), encoded(t, dirty, 90)) {
		t.Error("the padding was encoded")
	}
}

func TestMissingHuffmanTablesAreTheStandardOnes(t *testing.T) {
	img, out := planes(64, 48, 0), blank(64, 48, 0)
	data := withoutDHT(t, encoded(t, img, 95))
	if _, err := stdjpeg.Decode(bytes.NewReader(data)); err == nil {
		t.Fatal("the tables are still there")
	}
	if err := newDecoder(t).Decode(data, out); err != nil {
		t.Fatal(err)
	}
	wantClose(t, out, img, 8)
}

func withoutDHT(t testing.TB, data []byte) []byte {
	out, rest := append([]byte(nil), data[:2]...), data[2:]
	for {
		marker, _, after, ok := segment(rest)
		if !ok {
			t.Fatal("no SOS")
		}
		if marker == markerSOS {
			return append(out, rest...)
		}
		if marker != 0xc4 {
			out = append(out, rest[:len(rest)-len(after)]...)
		}
		rest = after
	}
}

func TestDamageIsAnError(t *testing.T) {
	data := encoded(t, planes(320, 240, 0), 90)
	end := []byte{0xff, markerEOI}
	garbled := bytes.Clone(data)
	for i := len(data) / 2; i < len(data)/2+200; i++ {
		garbled[i] = 0xff
	}
	for name, bad := range map[string][]byte{
		"nothing":           nil,
		"one byte":          data[:1],
		"header only":       data[:100],
		"half":              data[:len(data)/2],
		"half, with an end": append(bytes.Clone(data[:len(data)/2]), end...),
		"no end":            data[:len(data)-2],
		"garbled":           garbled,
		"text":              []byte("HTTP/1.1 404 Not Found"),
		"zeros":             make([]byte, 4096),
	} {
		if err := newDecoder(t).Decode(bad, blank(320, 240, 0)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A few bytes in front of the end marker are some cameras' habit and no damage.
func TestPaddingBeforeTheEndIsNoDamage(t *testing.T) {
	img := planes(64, 48, 0)
	data := encoded(t, img, 95)
	body, end := data[:len(data)-2], data[len(data)-2:]
	pad := func(n int) []byte {
		return append(append(bytes.Clone(body), bytes.Repeat([]byte{1}, n)...), end...)
	}
	out := blank(64, 48, 0)
	if err := newDecoder(t).Decode(pad(5), out); err != nil {
		t.Error(err)
	}
	wantClose(t, out, img, 8)
	if err := newDecoder(t).Decode(pad(500), out); !errors.Is(err, ErrDamaged) {
		t.Errorf("500 bytes: got %v", err)
	}
	if err := newDecoder(t).Decode(append(bytes.Clone(data), make([]byte, 5000)...), out); err != nil {
		t.Errorf("zeros behind the end: %v", err)
	}
}

// A decoder is sound again after a damaged picture.
func TestDecodeAfterDamage(t *testing.T) {
	d, img, out := newDecoder(t), planes(64, 48, 0), blank(64, 48, 0)
	data := encoded(t, img, 95)
	for _, length := range []int{100, 400, len(data) / 2, len(data) - 20, 0, 3} {
		if err := d.Decode(data[:length], out); err == nil {
			t.Fatal("damage went unnoticed")
		}
		if err := d.Decode(data, out); err != nil {
			t.Fatal(err)
		}
		wantClose(t, out, img, 8)
	}
}

func TestForeignColoursAreUnsupported(t *testing.T) {
	data := encodeAs(t, scene(16, 16), subsamplings["4:4:4"])
	_, _, rest, _ := segment(data[2:])
	data = append([]byte{0xff, markerSOI}, rest...) // a JFIF header would mean YCbCr
	frame := bytes.Index(data, []byte{0xff, 0xc0})
	for i, id := range []byte("RGB") { // these component names mean RGB
		data[frame+10+3*i] = id
	}
	scan := bytes.Index(data, []byte{0xff, markerSOS})
	for i, id := range []byte("RGB") {
		data[scan+5+2*i] = id
	}
	if err := newDecoder(t).Decode(data, blank(16, 16, 0)); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestEncodeReusesItsBuffer(t *testing.T) {
	e, img := newEncoder(t), planes(64, 48, 0)
	first, err := e.Encode(nil, img, 90)
	if err != nil {
		t.Fatal(err)
	}
	second, err := e.Encode(first, img, 50)
	if err != nil || &first[0] != &second[0] || len(second) >= len(first) {
		t.Errorf("%d then %d bytes, %v", len(first), len(second), err)
	}
	if _, err := stdjpeg.Decode(bytes.NewReader(second)); err != nil {
		t.Errorf("image/jpeg: %v", err)
	}
}

func TestNothingIsAllocatedPerPicture(t *testing.T) {
	d, e := newDecoder(t), newEncoder(t)
	img, out := planes(320, 240, 16), blank(320, 240, 16)
	var buffer []byte
	for name, s := range subsamplings {
		data := encodeAs(t, scene(320, 240), s)
		if n := testing.AllocsPerRun(20, func() { d.Decode(data, out) }); n != 0 {
			t.Errorf("Decode of %s: %v allocations", name, n)
		}
	}
	if n := testing.AllocsPerRun(20, func() { buffer, _ = e.Encode(buffer, img, 85) }); n != 0 {
		t.Errorf("Encode: %v allocations", n)
	}
}

func TestCloseTwice(t *testing.T) {
	newDecoder(t).Close() // again by Cleanup
	newEncoder(t).Close()
}
