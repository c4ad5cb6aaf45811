package fakecam

import (
	"bytes"
	"image"
	"image/jpeg"
	"testing"
)

// walk checks that descriptors follow each other to the end, each as long as it says.
func walk(t *testing.T, b []byte) (kinds map[byte]int) {
	t.Helper()
	kinds = map[byte]int{}
	for len(b) > 0 {
		if b[0] < 2 || int(b[0]) > len(b) {
			t.Fatalf("a descriptor of %d bytes, with %d left", b[0], len(b))
		}
		kinds[b[1]]++
		b = b[b[0]:]
	}
	return kinds
}

func TestDescriptors(t *testing.T) {
	c := configuration()
	if total := int(le.Uint16(c[2:])); total != len(c) {
		t.Errorf("the configuration says that it has %d bytes, and has %d", total, len(c))
	}
	kinds := walk(t, c)
	if kinds[4] != 2 || kinds[5] != 1 || kinds[0x24] != 3+1+2*(2+len(sizes)) {
		t.Errorf("descriptors by kind: %v", kinds)
	}
	walk(t, device)
	for i := range 4 {
		walk(t, text(i, []string{"maker", "product", "serial"}))
	}
	if text(4, []string{"maker", "product", "serial"}) != nil {
		t.Error("a fourth string")
	}
	if m := (mode{1, 1, 1}); asked(m.probe()) != m || len(m.probe()) != 26 {
		t.Errorf("%v is asked for as %v", m, asked(m.probe()))
	}
}

func show(t *testing.T, b []byte) *image.YCbCr {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*image.YCbCr)
}

func TestCompare(t *testing.T) {
	for _, s := range sizes[:2] {
		for camera := range 3 {
			for picture := range Pictures {
				m := show(t, encode(paint(s[0], s[1], picture, camera), "MJPG"))
				if l := Compare(m, camera); l.Picture != picture || l.Max > 3 {
					t.Errorf("%v: picture %d of camera %d: %+v", s, picture, camera, l)
				}
				if l := Compare(m, camera+1); l.Max < 30 {
					t.Errorf("%v: picture %d of camera %d passes for another camera's: %+v", s, picture, camera, l)
				}
			}
		}
	}
}

// A picture that is pieced together, or in part grey, is none of the camera's.
func TestCompareSeesDamage(t *testing.T) {
	m, other := paint(320, 240, 0, 0), paint(320, 240, 1, 0)
	copy(m.Y[200*m.YStride:], other.Y[200*other.YStride:])
	if l := Compare(m, 0); l.Max < 30 {
		t.Errorf("two pictures in one: %+v", l)
	}
	m = paint(320, 240, 0, 0)
	for i := len(m.Cb) * 3 / 4; i < len(m.Cb); i++ {
		m.Cb[i], m.Cr[i] = 128, 128
	}
	if l := Compare(m, 0); l.Max < 30 {
		t.Errorf("without colours: %+v", l)
	}
}

func TestSpoil(t *testing.T) {
	m := mode{size: 1}
	whole := encode(paint(160, 120, 0, 0), "MJPG")
	for _, f := range []Fault{Truncated, Garbage, Empty} {
		if _, err := jpeg.Decode(bytes.NewReader(spoil(whole, m, f))); err == nil {
			t.Errorf("%s: it can be decoded", f)
		}
	}
	if rotten := spoil(whole, m, Rotten); len(rotten) != len(whole) || bytes.Equal(rotten, whole) {
		t.Error("rotten: the length changed, or nothing did")
	}
	bare := spoil(whole, m, NoDHT)
	if len(bare) >= len(whole) || bytes.Contains(bare, []byte{0xff, 0xc4}) {
		t.Error("the Huffman tables are still there")
	}
	if got := show(t, spoil(whole, m, WrongSize)).Rect.Size(); got != image.Pt(80, 60) {
		t.Errorf("wrong size: %v", got)
	}
}

func TestYUYVIsOfLimitedRange(t *testing.T) {
	m := image.NewYCbCr(image.Rect(0, 0, 2, 2), image.YCbCrSubsampleRatio420)
	m.Y, m.Cb, m.Cr = []byte{0, 255, 128, 0}, []byte{0}, []byte{255}
	if got, want := packYUYV(m), []byte{16, 16, 235, 240, 126, 16, 16, 240}; !bytes.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
