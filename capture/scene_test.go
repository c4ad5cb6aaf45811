package capture

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"sharpend/infer"
)

func newScene(t testing.TB, c SceneConfig, w, h int) (s *Scene, blurred, sharp *image.YCbCr) {
	t.Helper()
	s, err := NewScene(t.Context(), c, w, h)
	if err != nil {
		t.Fatal(err)
	}
	return s, infer.NewPlanes(w, h, 16), infer.NewPlanes(w, h, 16)
}

func same(a, b *image.YCbCr) bool {
	return bytes.Equal(a.Y, b.Y) && bytes.Equal(a.Cb, b.Cb) && bytes.Equal(a.Cr, b.Cr)
}

// At rest and without noise the camera sees the truth, at odd sizes too: linear light and back loses nothing.
func TestSceneAtRestIsItsTruth(t *testing.T) {
	for _, size := range []image.Point{{160, 90}, {161, 91}, {16, 16}, {1, 1}} {
		s, blurred, sharp := newScene(t, SceneConfig{Seed: 3}, size.X, size.Y)
		for n := range uint64(len(s.views)) {
			s.Draw(n, blurred, sharp)
			if !same(blurred, sharp) {
				t.Fatalf("%v: frame %d differs", size, n)
			}
		}
	}
}

func TestSceneIsDeterministic(t *testing.T) {
	c := SceneConfig{Seed: 7, Blur: 9, Noise: 2}
	a, blurred, sharp := newScene(t, c, 80, 50)
	b, again, againSharp := newScene(t, c, 80, 50)
	a.Draw(1, blurred, sharp)
	a.Draw(40, blurred, sharp)
	b.Draw(40, again, againSharp)
	if !same(blurred, again) || !same(sharp, againSharp) {
		t.Error("the same frame differs")
	}
	b.Draw(41, again, againSharp)
	if same(blurred, again) || same(sharp, againSharp) {
		t.Error("two frames are the same")
	}
	b.Draw(40+uint64(len(b.views)), again, againSharp)
	if same(blurred, again) || !same(sharp, againSharp) {
		t.Error("the next cycle is not the same motion with other noise")
	}
	c.Seed++
	other, again, againSharp := newScene(t, c, 80, 50)
	other.Draw(40, again, againSharp)
	if same(sharp, againSharp) {
		t.Error("another seed gives the same scene")
	}
}

// More blur and more noise both move the camera's view away from the truth.
func TestSceneBlurAndNoise(t *testing.T) {
	psnr := func(blur, noise float64) float64 {
		s, blurred, sharp := newScene(t, SceneConfig{Seed: 1, Blur: blur, Noise: noise}, 240, 136)
		sum := 0.0
		for n := range s.views {
			s.Draw(uint64(n), blurred, sharp)
			sum += infer.PSNR(blurred, sharp)
		}
		return sum / float64(len(s.views))
	}
	little, much, noisy := psnr(3, 0), psnr(9, 0), psnr(0, 1.5)
	if !(little > much+3 && much > 12 && much < 25) {
		t.Errorf("%.1f dB at 3 px of blur, %.1f dB at 9", little, much)
	}
	if want := 10 * math.Log10(255*255/(1.5*1.5+1.0/12)); math.Abs(noisy-want) > 0.1 {
		t.Errorf("%.2f dB of noise, want %.2f", noisy, want)
	}
}

// The truth is where the blurred view is: no shift by a whole or half pixel fits better.
func TestSceneTruthLiesAtTheCentroid(t *testing.T) {
	p := drawPaths(SceneConfig{Seed: 5, Blur: 12}, 30)
	for n, kernel := range p.kernels {
		var x, y, total float64
		for _, tap := range kernel {
			x, y, total = x+float64(tap.dx)*float64(tap.weight), y+float64(tap.dy)*float64(tap.weight), total+float64(tap.weight)
		}
		if total != 1<<16 || math.Hypot(x, y)/total > 0.01 {
			t.Errorf("path %d: centroid %.3f, %.3f, weight %g", n, x/total, y/total, total)
		}
	}
}

func TestPathsHaveTheMeanLengthAsked(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, length := range []float64{0, 0.3, 9, 100} {
		points, got := bend(rng, length), 0.0
		for i := range points[1:] {
			got += math.Hypot(points[i+1].x-points[i].x, points[i+1].y-points[i].y)
		}
		if math.Abs(got-length) > 1e-9 {
			t.Errorf("%g px long, want %g", got, length)
		}
	}
}

// Half black, half white, a blur averages light: 188 in sRGB, not 128.
func TestBlurAddsUpLight(t *testing.T) {
	canvas := image.NewRGBA(image.Rect(0, 0, 8, 8))
	for y := range 8 {
		for x := range 8 {
			canvas.SetRGBA(x, y, color.RGBA{byte(x % 2 * 255), byte(x % 2 * 255), byte(x % 2 * 255), 255})
		}
	}
	out := newShutter(canvas, 4, 4).expose(image.Pt(2, 2), []tap{{0, 0, 1 << 15}, {1, 0, 1 << 15}})
	if v := out.Y[5]; v != 188 {
		t.Errorf("got %d", v)
	}
}

func TestCycleFitsItsMemory(t *testing.T) {
	for _, test := range []struct{ w, h, want int }{{1, 1, 30}, {640, 360, 30}, {1280, 720, 18}, {1920, 1080, 8}, {7680, 4320, 4}} {
		if got := cycleLength(test.w, test.h); got != test.want {
			t.Errorf("%dx%d: %d frames, want %d", test.w, test.h, got, test.want)
		}
	}
}

func TestSyntheticCamera(t *testing.T) {
	c := Default()
	c.Source, c.AsFastAsPossible = Synthetic, true
	camera, f := open(t, c)
	if camera.Granted != (Format{"YU12", 640, 360, 15}) || !camera.HasTruth || !camera.Lossless {
		t.Errorf("%+v", camera)
	}
	f.Truth = infer.NewPlanes(640, 360, 16)
	for n := range uint64(3) {
		if err := camera.Read(t.Context(), f); err != nil || f.Sequence != n || f.Skipped != 0 {
			t.Errorf("frame %d, skipped %d, %v", f.Sequence, f.Skipped, err)
		}
	}
	if p := infer.PSNR(f.Image, f.Truth); p < 10 || p > 30 {
		t.Errorf("the truth is %.1f dB away", p)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(20, func() { camera.Read(ctx, f) }); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
	f.Truth = infer.NewPlanes(64, 36, 16)
	if err := camera.Read(ctx, f); err == nil {
		t.Error("a truth of another size was taken")
	}
}

func TestSceneHonoursItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewScene(ctx, SceneConfig{}, 64, 64); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

// A bar pattern of Code 128 has three bars and three gaps, eleven modules, an even number of them dark (ISO/IEC 15417).
func TestCode128Table(t *testing.T) {
	seen := map[string]bool{}
	for value, bars := range code128Bars[:106] {
		total, dark := 0, 0
		for i, width := range []byte(bars) {
			total += int(width - '0')
			if i%2 == 0 {
				dark += int(width - '0')
			}
		}
		if len(bars) != 6 || total != 11 || dark%2 != 0 || seen[bars] {
			t.Errorf("value %d: %s", value, bars)
		}
		seen[bars] = true
	}
	if got, want := len(code128("PJJ123C")), 11*9+13; got != want { // start, 7 characters, check, stop
		t.Errorf("%d modules, want %d", got, want)
	}
}

// The example of ISO/IEC 18004, annex I: "01234567" in version 1-M has ten check bytes too.
func TestReedSolomon(t *testing.T) {
	data := []byte("\x10\x20\x0c\x56\x61\x80\xec\x11\xec\x11\xec\x11\xec\x11\xec\x11")
	want := []byte("\xa5\x24\xd4\xc1\xed\x36\xc7\x87\x2c\x55")
	if got := remainder(data); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got := qrBytes([]byte("0123456789012345678901234567890!")); len(got) != qrData+qrCheck || got[0] != 0x42 || got[1] != 0x03 {
		t.Errorf("%d bytes: %x", len(got), got)
	}
}

func BenchmarkSceneDraw(b *testing.B) {
	s, blurred, sharp := newScene(b, Default().Synthetic, 640, 360)
	b.ReportAllocs()
	for n := uint64(0); b.Loop(); n++ {
		s.Draw(n, blurred, sharp)
	}
}

func BenchmarkNewScene(b *testing.B) {
	for b.Loop() {
		newScene(b, Default().Synthetic, 640, 360)
	}
}

// To look at: SHARPEND_SCENE=/some/folder go test -run Look ./capture
func TestLookAtTheScene(t *testing.T) {
	folder := os.Getenv("SHARPEND_SCENE")
	if folder == "" {
		t.Skip("SHARPEND_SCENE names no folder")
	}
	s, blurred, sharp := newScene(t, Default().Synthetic, 640, 360)
	s.Draw(4, blurred, sharp)
	for name, img := range map[string]image.Image{"blurred.png": blurred, "sharp.png": sharp} {
		out := new(bytes.Buffer)
		if err := png.Encode(out, img); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(folder+"/"+name, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
