package capture

import (
	"image"
	"math"
	"testing"

	"sharpend/infer"
)

// matrix is luma and chroma of a colour, full range, for the weights of red and blue (ITU-R BT.601, BT.709).
func matrix(kr, kb, r, g, b float64) (y, cb, cr float64) {
	y = kr*r + (1-kr-kb)*g + kb*b
	return y, 128 + (b-y)/2/(1-kb), 128 + (r-y)/2/(1-kr)
}

// Every colour comes out as BT.601 has it, at odd sizes too, and greys stay as they are.
func TestFrom709(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {3, 2}, {2, 3}, {5, 5}} {
		p := infer.NewPlanes(size.X, size.Y, 2)
		for i := range 9 * 9 * 9 {
			r, g, b := float64(i%9)*31, float64(i/9%9)*31, float64(i/81)*31
			y, cb, cr := matrix(0.2126, 0.0722, r, g, b)
			fill(p.Y, level(y))
			fill(p.Cb, level(cb))
			fill(p.Cr, level(cr))
			from709(p)
			y, cb, cr = matrix(0.299, 0.114, r, g, b)
			last, lastC := (size.Y-1)*p.YStride+size.X-1, (size.Y-1)/2*p.CStride+(size.X-1)/2
			for _, c := range []struct{ got, want float64 }{
				{float64(p.Y[0]), y}, {float64(p.Y[last]), y}, {float64(p.Cb[lastC]), cb}, {float64(p.Cr[lastC]), cr},
			} {
				if math.Abs(c.got-min(c.want, 255)) > 1.5 {
					t.Fatalf("%v, colour %g %g %g: %g, want %.1f", size, r, g, b, c.got, c.want)
				}
			}
			if r == g && g == b && (p.Y[0] != level(r) || p.Cb[0] != 128 || p.Cr[0] != 128) {
				t.Fatalf("grey %g became %d %d %d", r, p.Y[0], p.Cb[0], p.Cr[0])
			}
		}
	}
}

func TestUnpackHonours709(t *testing.T) {
	src := []byte{81, 90, 81, 240, 81, 90, 81, 240} // YUYV
	for _, bt709 := range []bool{false, true} {
		l := layout{pixel: "YUYV", width: 4, height: 1, stride: 8, bt709: bt709}
		dst := infer.NewPlanes(4, 1, 2)
		l.unpack(dst, src)
		if changed := dst.Y[0] != 81; changed != bt709 {
			t.Errorf("bt709 %v: luma %d", bt709, dst.Y[0])
		}
	}
}

func BenchmarkFrom709(b *testing.B) {
	p := infer.NewPlanes(1280, 720, 16)
	for i := range p.Cb {
		p.Cb[i], p.Cr[i] = byte(i), byte(i>>8)
	}
	for b.Loop() {
		from709(p)
	}
}

// The kernel's V4L2_MAP_YCBCR_ENC_DEFAULT: what a driver leaves open follows from its colour space.
func TestEncodingOfRawFormats(t *testing.T) {
	const sRGB, encoding601 = 8, 1
	for _, tt := range []struct {
		encoding, colorspace uint32
		bt709, bt2020        bool
	}{
		{0, 0, false, false}, {0, sRGB, false, false}, {0, colorspaceJPEG, false, false},
		{0, colorspace709, true, false}, {encoding709, sRGB, true, false}, {encodingXV709, 0, true, false},
		{encoding601, colorspace709, false, false}, {encoding2020, colorspace709, false, true}, {encoding2020Const, 0, false, true},
	} {
		p := v4l2PixFormat{encoding: tt.encoding, colorspace: tt.colorspace}
		if p.is709() != tt.bt709 || p.is2020() != tt.bt2020 {
			t.Errorf("%+v: BT.709 %v, BT.2020 %v", tt, p.is709(), p.is2020())
		}
	}
}
