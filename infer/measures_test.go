package infer

import (
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// gray is a picture of luma f(x, y), rounded and clamped; chroma is neutral.
func gray(w, h int, f func(x, y int) float64) *image.YCbCr {
	img := NewPlanes(w, h, 16)
	for y := range h {
		for x := range w {
			img.Y[y*img.YStride+x] = toByte(float32(f(x, y)))
		}
	}
	Pad(img)
	return img
}

// shaken is img seen along a straight path of length pixels in direction angle.
func shaken(img *image.YCbCr, length, angle float64) *image.YCbCr {
	dx, dy := math.Cos(angle), math.Sin(angle)
	n := 1 + int(2*length)
	return gray(img.Rect.Dx(), img.Rect.Dy(), func(x, y int) float64 {
		sum := 0.0
		for i := range n {
			along := length * (float64(i)/float64(max(n-1, 1)) - 0.5)
			sum += bilinear(img, float64(x)+along*dx, float64(y)+along*dy)
		}
		return sum / float64(n)
	})
}

// noisy is img with sensor noise of the given standard deviation.
func noisy(img *image.YCbCr, deviation float64) *image.YCbCr { return noisySeed(img, deviation, 4) }

func noisySeed(img *image.YCbCr, deviation float64, seed uint64) *image.YCbCr {
	rng := rand.New(rand.NewPCG(seed, 5))
	return gray(img.Rect.Dx(), img.Rect.Dy(), func(x, y int) float64 {
		return float64(img.Y[y*img.YStride+x]) + deviation*rng.NormFloat64()
	})
}

func bilinear(img *image.YCbCr, x, y float64) float64 {
	x0, y0 := math.Floor(x), math.Floor(y)
	fx, fy := x-x0, y-y0
	at := func(x, y float64) float64 {
		xi := min(max(int(x), 0), img.Rect.Dx()-1)
		yi := min(max(int(y), 0), img.Rect.Dy()-1)
		return float64(img.Y[yi*img.YStride+xi])
	}
	return (1-fy)*((1-fx)*at(x0, y0)+fx*at(x0+1, y0)) + fy*((1-fx)*at(x0, y0+1)+fx*at(x0+1, y0+1))
}

// textures are sharp pictures of several kinds, 160x120.
func textures() map[string]*image.YCbCr {
	rng := rand.New(rand.NewPCG(8, 9))
	const w, h = 160, 120
	blocks := make([]float64, w*h)
	for i := range blocks {
		blocks[i] = 40 + 170*float64(rng.IntN(2))
	}
	leaves := dead(rng, w, h)
	return map[string]*image.YCbCr{
		"code":    gray(w, h, func(x, y int) float64 { return blocks[y/5*w+x/5] }),
		"letters": gray(w, h, func(x, y int) float64 { return 230 - 190*blocks[(y/14*w+x/9)*3%len(blocks)]/210*stroke(x%9, y%14) }),
		"edge":    gray(w, h, func(x, y int) float64 { return 60 + 120*clampUnit(float64(x)-70-0.2*float64(y)) }),
		"leaves":  gray(w, h, func(x, y int) float64 { return leaves[y*w+x] }),
		"waves":   gray(w, h, func(x, y int) float64 { return 128 + 90*math.Sin(float64(x*x+y*y)/400) }),
	}
}

func clampUnit(v float64) float64 { return min(max(v, 0), 1) }

// stroke draws something like an E, one or two pixels wide.
func stroke(x, y int) float64 {
	if x == 1 || x == 2 || (x < 7 && (y == 2 || y == 6 || y == 10)) {
		return 1
	}
	return 0
}

// dead is the dead-leaves model of photographs: discs of all sizes that cover each other.
func dead(rng *rand.Rand, w, h int) []float64 {
	out := make([]float64, w*h)
	for range 900 {
		r := 2 / math.Sqrt(0.003+rng.Float64())
		cx, cy, v := rng.Float64()*float64(w), rng.Float64()*float64(h), 20+215*rng.Float64()
		for y := max(0, int(cy-r)); y < min(h, int(cy+r)+1); y++ {
			for x := max(0, int(cx-r)); x < min(w, int(cx+r)+1); x++ {
				inside := clampUnit(r - math.Hypot(float64(x)-cx, float64(y)-cy))
				out[y*w+x] += inside * (v - out[y*w+x])
			}
		}
	}
	return out
}

func TestSharpnessFallsWithShake(t *testing.T) {
	for name, sharp := range textures() {
		for _, angle := range []float64{0, 2.2} {
			last := map[float64]float64{0: math.Inf(1), 1.5: math.Inf(1), 4: math.Inf(1)} // by noise
			for _, length := range []float64{0, 2, 4, 8} {
				blurred := shaken(sharp, length, angle)
				for noise, before := range last {
					got := Sharpness(noisy(blurred, noise))
					if got >= before {
						t.Errorf("%s, noise %g, angle %g: sharpness %.4f after a shake of %g px, %.4f after a shorter one", name, noise, angle, got, length, before)
					}
					last[noise] = got
				}
			}
		}
	}
}

func TestNoiseIsNotSharpness(t *testing.T) {
	flat := gray(160, 120, func(int, int) float64 { return 120 })
	for name, sharp := range textures() {
		clean, blurred := Sharpness(sharp), shaken(sharp, 8, 0.6)
		for _, noise := range []float64{1.5, 3, 5} {
			if got := Sharpness(noisy(blurred, noise)); got >= clean {
				t.Errorf("%s: blurred with noise %g has %.4f, sharp %.4f", name, noise, got, clean)
			}
			if got := Sharpness(noisy(flat, noise)); got > clean/10 {
				t.Errorf("%s: nothing but noise %g has %.4f, sharp %.4f", name, noise, got, clean)
			}
		}
	}
}

// The limit that Sharpness documents: strong noise does count. When this fails,
// the measure has become better than its comment.
func TestStrongNoiseCountsAsSharp(t *testing.T) {
	flat := gray(160, 120, func(int, int) float64 { return 120 })
	if got := Sharpness(noisy(flat, 25)); got < 0.3 {
		t.Errorf("noise of 25 grey levels has %.3f", got)
	}
}

func TestSharpnessIgnoresPaddingAndTinyPictures(t *testing.T) {
	a, b := noisePlanes(37, 21, 16, 1), NewPlanes(37, 21, 2)
	Copy(b, a)
	if x, y := Sharpness(a), Sharpness(b); x != y || x == 0 {
		t.Errorf("padding changes sharpness: %v and %v", x, y)
	}
	for _, s := range sizes {
		if got := Sharpness(NewPlanes(s.X, s.Y, 2)); got != 0 {
			t.Errorf("flat %v has %v", s, got)
		}
	}
}

func TestPSNR(t *testing.T) {
	a, b := gray(33, 17, func(int, int) float64 { return 100 }), gray(33, 17, func(int, int) float64 { return 110 })
	if got, want := PSNR(a, b), 20*math.Log10(25.5); math.Abs(got-want) > 1e-9 {
		t.Errorf("ten levels apart: %v dB, want %v", got, want)
	}
	fill(b.Y[17*b.YStride:], 0) // padding
	b.Y[33] = 0
	if got, want := PSNR(a, b), 20*math.Log10(25.5); math.Abs(got-want) > 1e-9 {
		t.Errorf("padding counts: %v dB, want %v", got, want)
	}
	if got := PSNR(a, a); !math.IsInf(got, 1) {
		t.Errorf("same picture: %v dB", got)
	}
}

func thumb(img *image.YCbCr) *[32 * 18]byte {
	var t [32 * 18]byte
	Thumbnail(&t, img)
	return &t
}

func TestThumbnailIsTheMeanOfEachCell(t *testing.T) {
	for _, s := range sizes {
		got := thumb(gray(s.X, s.Y, func(x, y int) float64 { return 40 + 0.5*float64(x*100/s.X) + float64(y*100/s.Y) }))
		for i, v := range got {
			// A cell's centre, or the pixel it shares with its neighbours.
			x, y := (float64(i%32)+0.5)/32, (float64(i/32)+0.5)/18
			want := 40 + 50*x + 100*y
			if slack := 2 + 1.5*(50/float64(s.X)+100/float64(s.Y)); math.Abs(float64(v)-want) > slack {
				t.Fatalf("%v, cell %d: %d, want %.1f", s, i, v, want)
			}
		}
	}
}

func TestThumbnailOfOneGrey(t *testing.T) {
	for _, s := range sizes {
		for i, v := range thumb(gray(s.X, s.Y, func(int, int) float64 { return 77 })) {
			if v != 77 {
				t.Fatalf("%v, cell %d: %d", s, i, v)
			}
		}
	}
}

func TestDifference(t *testing.T) {
	scene := textures()["leaves"]
	base := thumb(scene)
	shifted := func(dx, dy int) *image.YCbCr {
		return gray(160, 120, func(x, y int) float64 { return bilinear(scene, float64(x+dx), float64(y+dy)) })
	}
	darker := gray(160, 120, func(x, y int) float64 { return float64(scene.Y[y*scene.YStride+x]) * 0.9 })
	for _, c := range []struct {
		name      string
		other     *image.YCbCr
		low, high float64
	}{
		{"the same", scene, 0, 0},
		{"sensor noise", noisy(scene, 4), 0, 1.5},
		{"a little darker", darker, 0, 5},
		{"camera shake", shaken(scene, 8, 0.5), 0, 2},
		{"a cell to the right", shifted(5, 0), 0, 2},
		{"a cell up and left", shifted(-5, -6), 0, 2},
		{"half the picture to the right", shifted(80, 0), 8, 255},
		{"another scene", textures()["waves"], 8, 255},
		{"a wall", gray(160, 120, func(int, int) float64 { return 128 }), 8, 255},
	} {
		if got := Difference(base, thumb(c.other)); got < c.low || got > c.high {
			t.Errorf("%s: difference %.2f, want %g to %g", c.name, got, c.low, c.high)
		}
	}
}

// The demo clip pans and shakes by up to 16 px a frame; its scene changes twice.
func TestScenesOfTheShakenClip(t *testing.T) {
	policy, last := Default().Keyframes, Last{}
	var then [32 * 18]byte
	var scenes []int
	for n, frame := range clip(t) {
		now := thumb(frame)
		m := Moment{Number: uint64(n), Time: time.Unix(0, int64(n)*int64(time.Second)/12), Difference: Difference(now, &then)}
		reason := policy.Reason(last, m)
		if reason == ReasonScene {
			scenes = append(scenes, n)
		}
		if reason != "" {
			last, then = Last{Any: true, Number: m.Number, Time: m.Time}, *now
		}
	}
	if !slices.Equal(scenes, []int{48, 96}) {
		t.Errorf("scenes begin at frames %v, want 48 and 96", scenes)
	}
}

// A lamp's flicker: all cells up by the same amount.
func TestDifferenceIgnoresBrightness(t *testing.T) {
	a := thumb(gray(64, 36, func(x, y int) float64 { return float64(50 + x + y) }))
	b := *a
	for i := range b {
		b[i] += 40
	}
	if got := Difference(a, &b); got != 0 {
		t.Errorf("40 levels brighter: difference %v", got)
	}
	b[0] += 100
	if x, y := Difference(a, &b), Difference(&b, a); x == 0 || x != y {
		t.Errorf("one cell changed: %v there, %v back", x, y)
	}
}

func TestMeasuresAllocateNothing(t *testing.T) {
	a, b := noisePlanes(161, 91, 16, 1), noisePlanes(161, 91, 16, 2)
	var one, two [32 * 18]byte
	if n := testing.AllocsPerRun(10, func() {
		Sharpness(a)
		PSNR(a, b)
		Thumbnail(&one, a)
		Difference(&one, &two)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkThumbnail(b *testing.B) {
	img := noisePlanes(benchW, benchH, 16, 1)
	var dst [32 * 18]byte
	for b.Loop() {
		Thumbnail(&dst, img)
	}
}

func BenchmarkSharpness(b *testing.B) {
	img := noisePlanes(benchW, benchH, 16, 1)
	for b.Loop() {
		Sharpness(img)
	}
}

func BenchmarkPSNR(b *testing.B) {
	x, y := noisePlanes(benchW, benchH, 16, 1), noisePlanes(benchW, benchH, 16, 2)
	for b.Loop() {
		PSNR(x, y)
	}
}

func BenchmarkDifference(b *testing.B) {
	x, y := thumb(noisePlanes(benchW, benchH, 16, 1)), thumb(noisePlanes(benchW, benchH, 16, 2))
	for b.Loop() {
		Difference(x, y)
	}
}
