package infer

import (
	"fmt"
	"image"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// sizes covers even, odd, tiny, and already aligned pictures.
var sizes = []image.Point{{1, 1}, {2, 2}, {16, 16}, {17, 15}, {31, 33}, {64, 48}, {639, 361}}

// noisePlanes is a picture whose whole memory, padding too, is random.
func noisePlanes(w, h, multiple int, seed uint64) *image.YCbCr {
	img := NewPlanes(w, h, multiple)
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, plane := range [][]byte{img.Y, img.Cb, img.Cr} {
		for i := range plane {
			plane[i] = byte(rng.Uint32())
		}
	}
	return img
}

func TestNewPlanesIsOneArrayInI420Order(t *testing.T) {
	for _, s := range sizes {
		img := NewPlanes(s.X, s.Y, 16)
		w, h := PaddedSize(img)
		if w%16 != 0 || h%16 != 0 || w < s.X || h < s.Y || w >= s.X+16 || h >= s.Y+16 {
			t.Errorf("%v: padded to %dx%d", s, w, h)
		}
		if img.Rect != image.Rect(0, 0, s.X, s.Y) || img.CStride*2 != w || len(img.Cb) != w*h/4 || len(img.Cr) != w*h/4 {
			t.Errorf("%v: Rect %v, CStride %d, %d and %d chroma samples", s, img.Rect, img.CStride, len(img.Cb), len(img.Cr))
		}
		if img.Y[0] != 0 || img.Cb[0] != 128 || img.Cr[len(img.Cr)-1] != 128 {
			t.Errorf("%v: not black", s)
		}
		start := unsafe.Pointer(&img.Y[0])
		if unsafe.Pointer(&img.Cb[0]) != unsafe.Add(start, w*h) || unsafe.Pointer(&img.Cr[0]) != unsafe.Add(start, w*h*5/4) {
			t.Errorf("%v: planes are not contiguous", s)
		}
	}
}

func TestNewPlanesOddMultipleKeepsChromaWhole(t *testing.T) {
	w, h := PaddedSize(NewPlanes(5, 7, 3))
	if w != 6 || h != 12 {
		t.Errorf("5x7 to a multiple of 3: padded to %dx%d, want 6x12", w, h)
	}
}

func TestPadRepeatsTheEdge(t *testing.T) {
	for _, s := range sizes {
		img := noisePlanes(s.X, s.Y, 16, 7)
		Pad(img)
		checkPadded(t, "Y", img.Y, img.YStride, s.X, s.Y)
		checkPadded(t, "Cb", img.Cb, img.CStride, (s.X+1)/2, (s.Y+1)/2)
		checkPadded(t, "Cr", img.Cr, img.CStride, (s.X+1)/2, (s.Y+1)/2)
	}
}

func checkPadded(t *testing.T, name string, plane []byte, stride, w, h int) {
	t.Helper()
	for i, v := range plane {
		x, y := min(i%stride, w-1), min(i/stride, h-1)
		if want := plane[y*stride+x]; v != want {
			t.Fatalf("%s of %dx%d at (%d,%d): %d, want %d", name, w, h, i%stride, i/stride, v, want)
		}
	}
}

func TestPadLeavesVisiblePixels(t *testing.T) {
	img, before := noisePlanes(17, 15, 16, 3), noisePlanes(17, 15, 16, 3)
	Pad(img)
	for y := range 15 {
		if string(img.Y[y*32:y*32+17]) != string(before.Y[y*32:y*32+17]) {
			t.Fatalf("row %d changed", y)
		}
	}
}

func TestCopyBetweenLayouts(t *testing.T) {
	for _, s := range sizes {
		for _, m := range [][2]int{{16, 16}, {16, 2}, {2, 32}} {
			t.Run(fmt.Sprint(s, m), func(t *testing.T) {
				src, dst := noisePlanes(s.X, s.Y, m[0], 1), NewPlanes(s.X, s.Y, m[1])
				Pad(src)
				Copy(dst, src)
				back := NewPlanes(s.X, s.Y, m[0])
				Copy(back, dst)
				if string(back.Y) != string(src.Y) || string(back.Cb) != string(src.Cb) || string(back.Cr) != string(src.Cr) {
					t.Error("there and back differs")
				}
			})
		}
	}
}

func TestCopyAndPadAllocateNothing(t *testing.T) {
	a, b := NewPlanes(33, 17, 16), NewPlanes(33, 17, 2)
	if n := testing.AllocsPerRun(10, func() { Copy(a, b); Pad(a) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCopyOfAnotherSizePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Copy(NewPlanes(16, 16, 16), NewPlanes(15, 16, 16))
}

func BenchmarkPad1080p(b *testing.B) {
	img := NewPlanes(1920, 1080, 16)
	for b.Loop() {
		Pad(img)
	}
}
