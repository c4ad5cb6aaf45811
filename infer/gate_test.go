package infer

import (
	"bytes"
	"image"
	"image/jpeg"
	"math"
	"os"
	"testing"
)

// An event is one frame of a hand-made history: what the gate sees of it, and
// what comes of a prediction.
type event struct {
	sharpness, predicted, psnr float64
	view                       byte // of cell 0; the others are 100
}

const verdicts = "PCS" // Predict, Check, Skip

// judge runs a history through the gate and says what became of each frame.
func judge(g *Gate, threshold float64, history ...event) string {
	out := make([]byte, len(history))
	for i, e := range history {
		g.now.sharpness = e.sharpness
		fill(g.now.view[:], 100)
		g.now.view[0] = e.view
		g.look()
		v := g.judge(threshold)
		if v != Skip {
			g.learn(e.predicted, e.psnr)
		}
		out[i] = verdicts[v]
	}
	return string(out)
}

// times repeats an event.
func times(n int, e event) (all []event) {
	for range n {
		all = append(all, e)
	}
	return all
}

func history(parts ...[]event) (all []event) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestGateByHand(t *testing.T) {
	sharp := event{0.2, 0.2, 60, 100}
	blurred := event{0.1, 0.13, 33, 100}
	with := func(change func(*event)) event { e := sharp; change(&e); return e }
	const check = "PPP" + "SSSSSSSSSSSSSSS" + "C"
	for _, c := range []struct {
		says      string
		threshold float64
		history   []event
		want      string
	}{
		{"sharp and at rest: after three frames one in sixteen is predicted", 0.97, times(36, sharp), check + "SSSSSSSSSSSSSSS" + "C" + "S"},
		{"off", 0, times(20, sharp), "PPPPPPPPPPPPPPPPPPPP"},
		{"always blurred: predictions are sharper", 0.97, times(20, blurred), "PPPPPPPPPPPPPPPPPPPP"},
		{"always blurred, predictions differ without being sharper", 0.97, times(8, event{0.1, 0.1, 40, 100}), "PPPPPPPP"},
		{"sharper predictions, but hardly another picture", 0.97, times(8, event{0.1, 0.11, 50, 100}), "PPPPPPPP"},
		{"the same with a threshold that allows it", 0.9, times(8, event{0.1, 0.11, 50, 100}), "PPPSSSSS"},
		{"no edges", 0.97, times(8, event{0, 0, math.Inf(1), 100}), "PPPPPPPP"},

		{"a little less sharp", 0.97, history(times(3, sharp), times(2, event{0.195, 0.196, 60, 100})), "PPPSS"},
		{"too much less", 0.97, history(times(3, sharp), times(2, event{0.19, 0.19, 60, 100})), "PPPPP"},
		{"blurred in between, then sharp again", 0.97, history(times(4, sharp), times(2, blurred), times(5, sharp)), "PPPSPPPPPSS"},
		{"sharper than the last prediction: that must be looked at", 0.97, history(times(3, sharp), times(5, event{0.21, 0.21, 60, 100})), "PPPPSSSS"},
		{"sharper, and still blurred", 0.97, history(times(3, sharp), times(5, event{0.25, 0.3, 33, 100})), "PPPPPPPP"},
		{"sharper elsewhere in the scene's history", 0.97, history(times(1, event{0.3, 0.3, 60, 100}), times(8, sharp)), "PPPPPPPPP"},

		{"something moves in one cell", 0.97, history(times(3, sharp), []event{with(func(e *event) { e.view = 120 })}, times(6, sharp)), "PPPPPPPPSS"},
		{"and stays", 0.97, history(times(3, sharp), times(6, with(func(e *event) { e.view = 120 }))), "PPPPPPPSS"},
		{"a cell's noise", 0.97, history(times(3, sharp), []event{with(func(e *event) { e.view = 105 })}), "PPPS"},
		{"a check that finds work to do", 0.97, history(times(18, sharp), []event{with(func(e *event) { e.psnr = 40 })}, times(5, sharp)), check + "PPPSS"},
	} {
		if got := judge(new(Gate), c.threshold, c.history...); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.says, got, c.want)
		}
	}
}

// The best fades: a scene that was sharper long ago does not keep the gate shut.
func TestGateForgets(t *testing.T) {
	var g Gate
	judge(&g, 0.97, event{0.4, 0.4, 60, 100})
	got := judge(&g, 0.97, times(200, event{0.2, 0.2, 60, 100})...)
	const half = 138
	if got[half-10] != 'P' || got[half+10] != 'S' {
		t.Errorf("a scene half as sharp: %s, want skips from frame %d on", got, half)
	}
}

// A lamp's flicker moves nothing.
func TestGateIgnoresBrightness(t *testing.T) {
	a := [32 * 18]byte{3: 50}
	b := a
	for i := range b {
		b[i] += 30
	}
	if got := moved(&a, &b); got != 0 {
		t.Errorf("all cells brighter by 30: moved by %v", got)
	}
	b[7] += 20
	if x, y := moved(&a, &b), moved(&b, &a); x != y || x < 19 || x > 20 {
		t.Errorf("one cell brighter by 20: moved by %v, %v the other way", x, y)
	}
}

func FuzzGate(f *testing.F) {
	f.Add(0.97, 0.2, 0.2, 60.0, byte(100), uint8(4))
	f.Add(math.NaN(), math.Inf(1), math.NaN(), math.Inf(-1), byte(0), uint8(20))
	f.Add(1.0, math.NaN(), math.Inf(1), math.NaN(), byte(100), uint8(3))
	f.Add(0.5, 1e308, -1.0, 44.0, byte(100), uint8(3))
	f.Fuzz(func(t *testing.T, threshold, sharpness, predicted, psnr float64, view byte, n uint8) {
		var g Gate
		first := judge(&g, threshold, times(int(n), event{sharpness, predicted, psnr, view})...)
		for i, v := range first {
			if v == 'S' && (i < gateHistory || !(threshold > 0) || !(psnr >= gateAlone) || !(sharpness > 0)) {
				t.Fatalf("%s: skipped without cause", first)
			}
		}
		// Whatever came, the gate finds the way back: it opens on a scene at rest that is as sharp.
		usual := event{0.2, 0.2, 60, 100}
		for _, v := range []float64{sharpness, predicted} {
			if v > 0.2 && !math.IsInf(v, 1) {
				usual.sharpness, usual.predicted = max(usual.sharpness, v), max(usual.sharpness, v)
			}
		}
		if got := judge(&g, 0.9, times(8, usual)...); got[7] == 'P' {
			t.Fatalf("after %s it stays shut: %s", first, got)
		}
	})
}

func TestGateAllocatesNothing(t *testing.T) {
	img := noisePlanes(160, 90, 16, 1)
	var g Gate
	if n := testing.AllocsPerRun(10, func() {
		g.Judge(0.97, img)
		g.Learn(img, img)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// decoded is a JPEG's luma, every second pixel of it, with neutral chroma.
func decoded(t testing.TB, data []byte) *image.YCbCr {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	y := img.(*image.YCbCr)
	return gray(y.Rect.Dx()/2, y.Rect.Dy()/2, func(i, j int) float64 { return float64(y.Y[2*j*y.YStride+2*i]) })
}

func clipFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("../clips/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// clip is the frames of the demo clip: what follows each frame header of the AVI.
func clip(t testing.TB) (frames []*image.YCbCr) {
	t.Helper()
	for _, part := range bytes.Split(clipFile(t, "shake.avi"), []byte("00dc"))[1:] {
		if len(part) > 6 && bytes.HasPrefix(part[4:], []byte{0xff, 0xd8}) {
			frames = append(frames, decoded(t, part[4:]))
		}
	}
	if len(frames) != 144 {
		t.Fatalf("%d frames in the clip, want 144", len(frames))
	}
	return frames
}

// pass leads pictures through the gate, with what the predictor would make of
// each, and counts those skipped.
func pass(g *Gate, pictures []*image.YCbCr, predict func(*image.YCbCr) *image.YCbCr) (skipped int) {
	for _, p := range pictures {
		if g.Judge(0.97, p) == Skip {
			skipped++
			continue
		}
		g.Learn(p, predict(p))
	}
	return skipped
}

func same(img *image.YCbCr) *image.YCbCr { return img }

// Even a predictor that changes nothing, and so calls every frame sharp, gets
// no more than the calm moments of the demo clip skipped.
func TestGateOnTheShakenClip(t *testing.T) {
	var g Gate
	if n := pass(&g, clip(t), same); n > 144/20 {
		t.Errorf("%d of 144 frames skipped", n)
	}
}

func resting(img *image.YCbCr, n int, noise float64) (all []*image.YCbCr) {
	for i := range n {
		all = append(all, noisySeed(img, noise, uint64(i)))
	}
	return all
}

func TestGateOnARestingPhotograph(t *testing.T) {
	for _, name := range []string{"sharp_0010.jpg", "sharp_0062.jpg", "sharp_0123.jpg"} {
		scene := decoded(t, clipFile(t, name))
		for _, noise := range []float64{0, 2, 5} {
			var g Gate
			if n := pass(&g, resting(scene, 40, noise), same); n < 34 {
				t.Errorf("%s, noise %g: %d of 40 skipped, want all but the first four and each sixteenth", name, noise, n)
			}
			var h Gate
			blurred := shaken(scene, 3, 0.4)
			if n := pass(&h, resting(blurred, 20, noise), func(*image.YCbCr) *image.YCbCr { return scene }); n > 0 {
				t.Errorf("%s, noise %g: %d of 20 blurred frames skipped", name, noise, n)
			}
		}
	}
}

// Something small and blurred crosses a resting, sharp scene: the scene as a
// whole is as sharp as ever, and still no frame is skipped while it moves.
func TestGateSeesWhatMoves(t *testing.T) {
	scene, car := decoded(t, clipFile(t, "sharp_0010.jpg")), shaken(decoded(t, clipFile(t, "sharp_0062.jpg")), 6, 0)
	var g Gate
	if n := pass(&g, resting(scene, 10, 2), same); n != 6 {
		t.Fatalf("%d of 10 skipped before anything moves", n)
	}
	w, h := scene.Rect.Dx(), scene.Rect.Dy()
	for x0 := 8; x0 < w-48; x0 += 12 { // 40 x 24 of 320 x 180 pixels
		frame := gray(w, h, func(x, y int) float64 {
			if x >= x0 && x < x0+40 && y >= 100 && y < 124 {
				return float64(car.Y[(y-40)*car.YStride+x-x0+100])
			}
			return float64(scene.Y[y*scene.YStride+x])
		})
		if n := pass(&g, []*image.YCbCr{frame}, same); n > 0 {
			t.Errorf("skipped with the object at %d", x0)
		}
	}
}

// BenchmarkGate is what the gate costs a frame of 640x360: at rest, where it is
// skipped, and while the camera moves, where it is predicted.
func BenchmarkGate(b *testing.B) {
	img, err := jpeg.Decode(bytes.NewReader(clipFile(b, "sharp_0010.jpg")))
	if err != nil {
		b.Fatal(err)
	}
	rests := img.(*image.YCbCr)
	moves := *rests
	moves.Y = moves.Y[32:] // the same, 32 pixels further to the left
	moves.Rect.Max.X -= 32
	b.Run("resting", func(b *testing.B) {
		var g Gate
		for b.Loop() {
			if g.Judge(0.97, rests) != Skip {
				g.Learn(rests, rests)
			}
		}
	})
	b.Run("moving", func(b *testing.B) {
		var g Gate
		for n := 0; b.Loop(); n++ {
			p := []*image.YCbCr{rests, &moves}[n%2]
			g.Judge(0.97, p)
			g.Learn(p, p)
		}
	})
}
