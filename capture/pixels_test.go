package capture

import (
	"image"
	"math/rand/v2"
	"testing"

	"sharpend/infer"
)

// lay writes the picture of at (luma, Cb and Cr at full resolution) as a driver would, with junk in the gaps.
func lay(l layout, at func(x, y int) (luma, cb, cr byte)) []byte {
	b := make([]byte, l.size())
	for i := range b {
		b[i] = 0xEE
	}
	put := func(i int, v byte) {
		if i < len(b) {
			b[i] = v
		}
	}
	plane, half0 := l.stride*l.height, half(l.stride)
	for y := range l.height {
		for x := range 2 * half(l.width) {
			luma, cb, cr := at(x, y)
			switch l.pixel {
			case "YUYV":
				put(y*l.stride+2*x, luma)
				put(y*l.stride+2*x+1, []byte{cb, cr}[x%2])
			case "UYVY":
				put(y*l.stride+2*x+1, luma)
				put(y*l.stride+2*x, []byte{cb, cr}[x%2])
			default:
				if x < l.width {
					put(y*l.stride+x, luma)
				}
				if l.pixel == "NV12" {
					put(plane+y/2*l.stride+x/2*2+x%2, []byte{cb, cr}[x%2])
				}
				if l.pixel == "YU12" {
					put(plane+y/2*half0+x/2, cb)
					put(plane+(half(l.height)+y/2)*half0+x/2, cr)
				}
			}
		}
	}
	return b
}

// blocks is a picture whose chroma is constant over 2x2 pixels except for a step of 2 between the rows of a pair.
func blocks(step byte) func(x, y int) (byte, byte, byte) {
	return func(x, y int) (byte, byte, byte) {
		return byte(7*x + 31*y), byte(20 + 11*(x/2) + 3*(y/2)), byte(200-5*(x/2)-7*(y/2)) + step*byte(y%2)
	}
}

func TestUnpack(t *testing.T) {
	sizes := []struct{ w, h, extra int }{{2, 2, 0}, {16, 8, 0}, {16, 8, 12}, {13, 7, 1}, {1, 1, 0}, {5, 6, 3}, {6, 5, 2}, {22, 2, 0}}
	for _, pixel := range pixelFormats[1:] {
		for _, s := range sizes {
			stride := 2 * half(s.w)
			if pixel == "YUYV" || pixel == "UYVY" {
				stride = 4 * half(s.w)
			}
			l := layout{pixel: pixel, width: s.w, height: s.h, stride: stride + s.extra}
			if err := l.check(); err != nil {
				t.Fatal(err)
			}
			unpackOne(t, l)
		}
	}
}

func unpackOne(t *testing.T, l layout) {
	t.Helper()
	step := byte(0)
	if l.pixel == "YUYV" || l.pixel == "UYVY" {
		step = 2 // averages to one more than the upper row
	}
	picture := blocks(step)
	dst := infer.NewPlanes(l.width, l.height, 16)
	l.unpack(dst, lay(l, picture))
	for y := range l.height {
		for x := range l.width {
			luma, _, _ := picture(x, y)
			_, cb, cr := picture(x, y&^1)
			if y|1 < l.height {
				cr += step / 2
			}
			if l.pixel == "GREY" {
				cb, cr = 128, 128
			}
			got := dst.YCbCrAt(x, y)
			if got.Y != luma || got.Cb != cb || got.Cr != cr {
				t.Fatalf("%+v: pixel %d,%d is %v, want {%d %d %d}", l, x, y, got, luma, cb, cr)
			}
		}
	}
	padding(t, l, dst)
}

// padding must be left alone: it belongs to infer.Pad.
func padding(t *testing.T, l layout, dst *image.YCbCr) {
	t.Helper()
	for y := range len(dst.Y) / dst.YStride {
		for x := range dst.YStride {
			if (x >= l.width || y >= l.height) && dst.Y[y*dst.YStride+x] != 0 {
				t.Fatalf("%+v: padding at %d,%d was written", l, x, y)
			}
		}
	}
}

func TestLimitedRange(t *testing.T) {
	tests := []struct{ luma, cb, cr, wantY, wantCb, wantCr byte }{
		{16, 128, 128, 0, 128, 128},
		{235, 128, 128, 255, 128, 128},
		{0, 0, 255, 0, 0, 255},      // foot room and head room are clipped
		{255, 16, 240, 255, 1, 255}, // 128-112*255/224 = 0.5
		{126, 91, 165, 128, 86, 170},
	}
	for _, pixel := range pixelFormats[1:] {
		for _, tt := range tests {
			l := layout{pixel: pixel, width: 6, height: 2, stride: 12, limited: true}
			dst := infer.NewPlanes(6, 2, 2)
			l.unpack(dst, lay(l, func(x, y int) (byte, byte, byte) { return tt.luma, tt.cb, tt.cr }))
			if pixel == "GREY" {
				tt.wantCb, tt.wantCr = 128, 128
			}
			for x := range 6 {
				got := dst.YCbCrAt(x, 1)
				if got.Y != tt.wantY || got.Cb != tt.wantCb || got.Cr != tt.wantCr {
					t.Errorf("%s %+v: pixel %d is %v", pixel, tt, x, got)
				}
			}
		}
	}
}

func TestImpossibleLayouts(t *testing.T) {
	for _, l := range []layout{
		{pixel: "YUYV", width: 4, height: 4, stride: 7},
		{pixel: "YUYV", width: 5, height: 4, stride: 10},
		{pixel: "NV12", width: 5, height: 4, stride: 5},
		{pixel: "YU12", width: 5, height: 4, stride: 4},
		{pixel: "GREY", width: 0, height: 4, stride: 4},
		{pixel: "RGB3", width: 4, height: 4, stride: 12},
	} {
		if l.check() == nil {
			t.Errorf("%+v was accepted", l)
		}
	}
}

// FuzzUnpack: size() bytes are enough for every layout that check lets through.
func FuzzUnpack(f *testing.F) {
	f.Add(uint8(0), uint8(13), uint8(7), uint8(3), true)
	f.Add(uint8(3), uint8(1), uint8(1), uint8(0), false)
	f.Fuzz(func(t *testing.T, pixel, w, h, extra uint8, limited bool) {
		l := layout{pixelFormats[1+pixel%5], int(w), int(h), int(w) + int(extra), extra%2 == 1, limited}
		if l.check() != nil {
			return
		}
		l.unpack(infer.NewPlanes(l.width, l.height, 2), make([]byte, l.size()))
	})
}

func BenchmarkUnpack(b *testing.B) {
	for _, pixel := range pixelFormats[1:] {
		for _, limited := range []bool{false, true} {
			l := layout{pixel, 1280, 720, 1280, false, limited}
			if l.check() != nil {
				l.stride = 2560
			}
			src := make([]byte, l.size())
			random := rand.New(rand.NewPCG(1, 2))
			for i := range src {
				src[i] = byte(random.Uint32())
			}
			dst := infer.NewPlanes(1280, 720, 16)
			b.Run(pixel+map[bool]string{false: "-full", true: "-limited"}[limited], func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					l.unpack(dst, src)
				}
			})
		}
	}
}
